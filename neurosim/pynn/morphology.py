"""Where on a cell something is: PyNN's selectors, for morphologies made of named segments."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN import errors, morphology
from pyNN.morphology import NeuroMLMorphology

__all__ = ["LabelledLocations", "NeuroMLMorphology", "by_diameter", "uniform", "with_label"]


class with_label(morphology.with_label):  # noqa: N801, PyNN's name
    """Segments, or groups of them, of these names; ``"all"`` is all."""

    def __call__(self, tree: NeuroMLMorphology, **_: Any) -> np.ndarray:
        """Which segments they are, counted from 0."""
        found: list[int] = []
        for label in self.labels:
            names = [k for k, segment in enumerate(tree.segments) if label in ("all", segment.name)]
            names += list(tree.section_groups.get(label, ()))
            if not names:
                known = ", ".join(str(segment.name) for segment in tree.segments)
                raise errors.InvalidParameterValueError(f"the morphology has no segment or group {label!r}; it has {known}")
            found += names
        return np.unique(np.array(found, int))


class _Chosen:
    """A value at some segments, and another elsewhere."""

    selector: Any
    value_provider: Any
    absence: Any

    @staticmethod
    def get_with_label_selector(label: str) -> with_label:
        """The selector that a name stands for."""
        return with_label(label)

    def value_in(self, tree: NeuroMLMorphology, index: int) -> Any:
        """The value at segment ``index``."""
        if not isinstance(self.selector, with_label):
            raise errors.InvalidParameterValueError(
                f"neurosim.pynn knows selectors by name only (with_label, or a text), got {type(self.selector).__name__}")
        return self._value(tree, index) if index in self.selector(tree) else self.absence

    def _value(self, tree: NeuroMLMorphology, index: int) -> Any:
        return self.value_provider


class uniform(_Chosen, morphology.uniform):  # noqa: N801
    """One value at the chosen segments."""


class by_diameter(_Chosen, morphology.by_diameter):  # noqa: N801
    """A function of the diameter (um) at the chosen segments."""

    def _value(self, tree: NeuroMLMorphology, index: int) -> Any:
        return self.value_provider(tree.get_diameter(index))


LabelledLocations = morphology.LabelledLocations
