"""What reaches a layer, as linear functions of what layers and inputs sent at this step and before."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from . import maps
from .maps import Map, Shape

__all__ = ["Signal", "own"]


@dataclasses.dataclass(frozen=True)
class Signal:
    """A linear function of what neurons and inputs send.

    Attributes
    ----------
    shape : tuple of int
    terms : dict
        (source, steps ago) -> `Map` from the source's values to these, both flattened.
    constant : dict
        Step from which on it is there -> array of shape (size,).
    """

    shape: Shape
    terms: dict[tuple[str, int], Map]
    constant: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def through(self, step: Map, shape: Shape, delays: Any = 0) -> Signal:
        """A linear map of it; ``delays`` are in steps, one number or one for each entry of the map."""
        waits = np.asarray(delays)
        out = Signal(shape, {})
        for wait in np.unique(waits):
            part, late = step if waits.ndim == 0 else step.chosen(waits == wait), int(wait)
            out = out.plus(Signal(
                shape, {(source, ago + late): maps.chained(part, one) for (source, ago), one in self.terms.items()},
                {start + late: part.applied(vector) for start, vector in self.constant.items()},
            ))
        return out

    def plus(self, other: Signal) -> Signal:
        """The sum of two; the shape is this one's."""
        terms, constant = dict(self.terms), dict(self.constant)
        for key, one in other.terms.items():
            terms[key] = maps.summed(terms[key], one) if key in terms else one
        for late, vector in other.constant.items():
            constant[late] = constant[late] + vector if late in constant else vector
        return Signal(self.shape, terms, constant)

    def shifted(self, steps: np.ndarray) -> Signal:
        """Each value (shape (size,)) that many steps later."""
        out = Signal(self.shape, {})
        for wait in np.unique(steps):
            rows = steps == wait
            out = out.plus(Signal(
                self.shape,
                {(source, ago + int(wait)): one.chosen(rows[one.rows]) for (source, ago), one in self.terms.items()},
                {late + int(wait): np.where(rows, vector, 0.0) for late, vector in self.constant.items()},
            ))
        return out

    def part(self, first: int, size: int) -> Signal:
        """``size`` successive values from ``first`` on."""
        def cut(one: Map) -> Map:
            inside = one.chosen((one.rows >= first) & (one.rows < first + size))
            return inside._replace(rows=inside.rows - first, shape=(size, one.shape[1]))

        return Signal((size,), {key: cut(one) for key, one in self.terms.items()},
                      {late: vector[first:first + size] for late, vector in self.constant.items()})

    def real(self) -> Signal:
        """Without maps that are empty and constants that are 0."""
        return Signal(self.shape, {key: one for key, one in self.terms.items() if one.values.size},
                      {late: vector for late, vector in self.constant.items() if vector.any()})


def own(name: str, shape: Shape, ago: int = 0) -> Signal:
    """What a source itself sends, or sent some steps ago."""
    return Signal(shape, {(name, ago): maps.diagonal(np.ones(math.prod(shape)))})
