"""Cells with dendrites: PyNN's MultiCompartmentNeuron as a `neurosim.CompartmentalCell`."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN import errors
from pyNN.morphology import NeuriteDistribution, NeuroMLMorphology
from pyNN.parameters import ParameterSpace
from pyNN.standardmodels import build_translations, cells
from pyNN.standardmodels import ion_channels as channels

from ..cells.compartments import CompartmentalCell, Section

__all__ = ["KdrChannel", "MultiCompartmentNeuron", "NaChannel", "PassiveLeak", "PassiveLeakHH"]


class NaChannel(channels.NaChannel):
    """Sodium of Hodgkin & Huxley (1952); conductance_density in S/cm2."""

    translations = build_translations(("conductance_density", "conductance_density"))
    density = "g_Na"


class KdrChannel(channels.KdrChannel):
    """Delayed potassium of Hodgkin & Huxley (1952); conductance_density in S/cm2."""

    translations = build_translations(("conductance_density", "conductance_density"))
    density = "g_K"


class PassiveLeak(channels.PassiveLeak):
    """A leak; conductance_density in S/cm2, e_rev in mV."""

    translations = build_translations(("conductance_density", "conductance_density"), ("e_rev", "e_rev"))
    density = "g_pas"


class PassiveLeakHH(channels.PassiveLeakHH):
    """A leak, with the reversal potential of Hodgkin & Huxley (1952)."""

    translations = build_translations(("conductance_density", "conductance_density"), ("e_rev", "e_rev"))
    density = "g_pas"


class MultiCompartmentNeuron(cells.MultiCompartmentNeuron):
    """A cell with dendrites: a NeuroML morphology of named segments, leak, sodium and potassium channels.

    ``ion_channels``, a dict of the class, names the channels; their densities are numbers or `morphology.uniform` and
    the like.  Currents are injected, and ``v`` recorded, in the middle of a named segment.  It has no synapses yet:
    `neurosim.CompartmentalCell`, which it becomes, has.
    """

    ion_channels: dict[str, Any] = {}
    post_synaptic_entities: dict[str, Any] = {}
    recordable = ["spikes", "v"]

    def __init__(self, **parameters: Any) -> None:
        if self.post_synaptic_entities:
            raise errors.NoModelAvailableError(
                "neurosim.pynn has no synapses onto a MultiCompartmentNeuron; natively neurosim.CompartmentalCell has")
        made = {name: channel(**parameters.pop(name, {})) for name, channel in type(self).ion_channels.items()}
        unknown = [name for name in parameters if name not in self.default_parameters]
        if unknown:
            raise errors.NonExistentParameterError(unknown[0], "MultiCompartmentNeuron", [*self.default_parameters, *made])
        self.parameters = {**self.default_parameters, **parameters}
        object.__setattr__(self, "ion_channels", made)
        self.parameter_space = ParameterSpace({})
        self._cell = self._made()

    def _made(self) -> CompartmentalCell:
        tree = self.parameters["morphology"]
        segments = getattr(getattr(tree, "_morphology", None), "segments", None)
        if not isinstance(tree, NeuroMLMorphology) or segments is None:
            raise errors.InvalidParameterValueError(
                f"MultiCompartmentNeuron.morphology must be a NeuroMLMorphology of a neuroml.Morphology with segments, got {tree!r:.200}")
        names = {one.id: one.name or f"segment {one.id}" for one in segments}
        ends = {one.id: one.distal for one in segments}
        sections = []
        for k, one in enumerate(segments):
            begin = one.proximal or ends[one.parent.id if hasattr(one.parent, "id") else one.parent.segments]
            length = float(np.sqrt(sum((getattr(begin, axis) - getattr(one.distal, axis)) ** 2 for axis in "xyz")))
            parent = None if one.parent is None else names[one.parent.id if hasattr(one.parent, "id") else one.parent.segments]
            sections.append(Section(names[one.id], parent, length, begin.diameter, one.distal.diameter,
                                    cm=self._at(self.parameters["cm"], tree, k), Ra=self.parameters["Ra"], **self._channels(tree, k)))
        species = self.parameters["ionic_species"] or {}
        reversals = {name: species[ion].reversal_potential for ion, name in (("na", "e_rev_Na"), ("k", "e_rev_K")) if ion in species}
        return CompartmentalCell(tuple(sections), "soma" if "soma" in names.values() else "", **reversals)

    def _channels(self, tree: NeuroMLMorphology, k: int) -> dict[str, float]:
        found: dict[str, float] = {}
        for channel in self.ion_channels.values():
            values = {name: value.base_value for name, value in channel.parameter_space.items()}
            found[channel.density] = found.get(channel.density, 0.0) + (self._at(values["conductance_density"], tree, k) or 0.0)
            if "e_rev" in values:
                found["e_pas"] = self._at(values["e_rev"], tree, k)
        return found

    @staticmethod
    def _at(value: Any, tree: NeuroMLMorphology, k: int) -> Any:
        return value.value_in(tree, k) if isinstance(value, NeuriteDistribution) else value

    @property
    def native_parameters(self) -> ParameterSpace:
        """None that may differ from cell to cell."""
        return ParameterSpace({})

    @property
    def default_initial_values(self) -> dict[str, float]:
        """The potential of all compartments."""
        return {"v": -65.0}

    def native_cell(self, values: dict[str, Any], size: int) -> CompartmentalCell:
        """The model, of one cell."""
        return self._cell

    def given_times(self, values: dict[str, Any], size: int) -> None:
        """It is no source."""
        return None

    def can_record(self, variable: str, location: str | None = None) -> bool:
        """Spikes of the soma, and the potential at any segment."""
        known = [one.name for one in self._cell.sections]
        return variable in self.recordable and (location is None or (variable == "v" and location in known))

    def describe(self, template: Any = None, engine: str = "default") -> Any:
        """What it is, in words, or as a dict if template is None."""
        context: dict[str, Any] = {
            "name": type(self).__name__, "default_parameters": {}, "default_initial_values": self.default_initial_values,
            "parameters": {"sections": ", ".join(one.name for one in self._cell.sections)}}
        return context if template is None else f"{context['name']} of {context['parameters']['sections']}"
