"""PyNN's models and ours: one table, `CELLS`, and what translates the rest.

Names, units and meanings of parameters agree, so that a PyNN class is PyNN's declaration with the name of our model.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from pyNN import errors
from pyNN.models import BaseCellType
from pyNN.parameters import ArrayParameter, ParameterSpace
from pyNN.standardmodels import StandardCellType, StandardModelType, build_translations, cells, receptors, synapses

from .. import cells as ours
from .. import plasticity
from ..cells.base import Cell, Model
from ..errors import ParameterError
from . import simulator
from .compartments import KdrChannel, MultiCompartmentNeuron, NaChannel, PassiveLeak, PassiveLeakHH
from .electrodes import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource

CELLS = {getattr(cells, name): getattr(ours, name) for name in (
    "IF_curr_alpha", "IF_curr_exp", "IF_curr_delta", "IF_cond_alpha", "IF_cond_exp", "IF_cond_exp_gsfa_grr", "IF_facets_hardware1",
    "HH_cond_exp", "EIF_cond_alpha_isfa_ista", "EIF_cond_exp_isfa_ista", "Izhikevich", "GIF_cond_exp", "SpikeSourcePoisson",
    "SpikeSourcePoissonRefractory", "SpikeSourceGamma", "SpikeSourceInhGamma", "SpikeSourceArray",
)}
"""PyNN's cells and sources, and the models of this library that they are."""


def same_names(*names: str) -> dict[str, Any]:
    """PyNN's table of translations where nothing is to be translated."""
    return build_translations(*((one, one) for one in names))


class NeurosimCell(StandardCellType):
    """A cell or source whose parameters are those of a model of this library."""

    native: type[Model]

    @classmethod
    def native_cell(cls, values: dict[str, Any], size: int) -> Model:
        """The model with these parameters: for each a number, or an array of shape (size,)."""
        return cls.native(**{name: part for one, value in values.items() for name, part in _parts(cls.native, one, value, size).items()})

    @classmethod
    def given_times(cls, values: dict[str, Any], size: int) -> list[np.ndarray] | None:
        """The times (ms) that a source was given, for each cell; None for other cells."""
        return _rows(values["spike_times"], size) if cls.native is ours.SpikeSourceArray else None


def _parts(native: type[Model], name: str, value: Any, size: int) -> dict[str, Any]:
    """A PyNN parameter as the model's: rows of numbers become several parameters, or rows of the model's own."""
    if native is ours.SpikeSourceArray:
        return {name: _rows(value, size)}
    if isinstance(value, ArrayParameter):
        value = np.asarray(value.value, float)
        if name in native.parameters() or name in getattr(native, "__dataclass_fields__", {}):
            return {name: value}
        return {f"{name}{k + 1}": float(one) for k, one in enumerate(value)}
    if isinstance(value, np.ndarray) and value.dtype == object and isinstance(value[0], ArrayParameter):
        rows = [np.asarray(one.value, float) for one in value]
        if name in getattr(native, "__dataclass_fields__", {}):
            if any(not np.array_equal(one, rows[0]) for one in rows):
                raise ParameterError(f"{native.__name__}.{name} must be the same for all cells of a population: use several populations")
            return {name: rows[0]}
        table = np.array(rows)
        return {f"{name}{k + 1}": table[:, k] for k in range(table.shape[1])}
    return {name: value.astype(float) if isinstance(value, np.ndarray) else value}


def _rows(value: Any, size: int) -> list[np.ndarray]:
    """One row of times for each cell."""
    rows = [np.asarray(getattr(one, "value", one), float) for one in (value if isinstance(value, np.ndarray) else [value] * size)]
    for k, row in enumerate(rows):
        if (np.diff(row) < 0).any():
            raise ParameterError(f"SpikeSourceArray.spike_times must ascend (ms); those of cell {k} do not: {row[:8]}")
    return rows


def _cell_class(base: type[StandardCellType], native: type[Model]) -> type[NeurosimCell]:
    return type(base.__name__, (NeurosimCell, base), {
        "__doc__": base.__doc__, "__module__": __name__, "native": native, "translations": same_names(*base.default_parameters)})


globals().update({base.__name__: _cell_class(base, native) for base, native in CELLS.items()})


def native_cell_type(model: str | type[Model]) -> type[BaseCellType]:
    """A PyNN cell type of a model that PyNN has no name for: one of this library, or your own (`neurosim.neuron`).

    Parameters
    ----------
    model : type or str
        e.g. ``"IF_jump"``, or what `neurosim.neuron` returns.

    Raises
    ------
    pyNN.errors.InvalidModelError
        If there is no such model.
    """
    native = getattr(ours, model, None) if isinstance(model, str) else model
    if not (isinstance(native, type) and issubclass(native, Model)):
        raise errors.InvalidModelError(f"neurosim has no cell model {model!r}")
    declared = native.parameters()
    return type(native.__name__, (NeurosimCell,), {
        "__doc__": native.__doc__, "native": native, "translations": same_names(*declared),
        "default_parameters": {one: declared[one].default for one in declared},
        "default_initial_values": {one: declared[state.default].default if isinstance(state.default, str) else state.default
                                   for one, state in native.states.items()},
        "recordable": [*(["spikes"] if native.spikes else []), *native.states],
        "units": {**{one: declared[one].unit for one in declared}, **{one: state.unit for one, state in native.states.items()}},
        "conductance_based": native.weight_unit == "uS", "receptor_types": native.receptors,
        "injectable": issubclass(native, Cell),
    })


# ------------------------------------------------------------------------------------ composed cells


class LIF(cells.LIF):
    __doc__ = cells.LIF.__doc__
    native = ours.LIF
    translations = same_names(*cells.LIF.default_parameters)


class AdExp(cells.AdExp):
    __doc__ = cells.AdExp.__doc__
    native = ours.AdExp
    translations = same_names(*cells.AdExp.default_parameters)


def _receptor(base: type[StandardModelType]) -> type:
    return type(base.__name__, (base,), {
        "__doc__": base.__doc__, "__module__": __name__, "native": getattr(ours, base.__name__),
        "translations": same_names(*base.default_parameters), "recordable": list(base.default_initial_values)})


CurrExpPostSynapticResponse = _receptor(receptors.CurrExpPostSynapticResponse)
CondExpPostSynapticResponse = ExpPSR = _receptor(receptors.CondExpPostSynapticResponse)
CondAlphaPostSynapticResponse = AlphaPSR = _receptor(receptors.CondAlphaPostSynapticResponse)
CondBetaPostSynapticResponse = BetaPSR = _receptor(receptors.CondBetaPostSynapticResponse)


class PointNeuron(cells.PointNeuron):
    __doc__ = cells.PointNeuron.__doc__

    @property
    def native_parameters(self) -> ParameterSpace:
        """All parameters, those of receptors in a space of their own, without places, which a point does not have."""
        found = copy.deepcopy(self.neuron.parameter_space)
        for name, receptor in self.post_synaptic_receptors.items():
            own = {one: value for one, value in copy.deepcopy(receptor.parameter_space).items() if one != "locations"}
            found[name] = ParameterSpace(own, None, None)
        return found

    def native_cell(self, values: dict[str, Any], size: int) -> Model:
        """The composed model with these parameters."""
        membrane = {one: value for one, value in values.items() if "." not in one}
        parts: dict[str, dict[str, Any]] = {one: {} for one in self.receptor_types}
        for one, value in values.items():
            if "." in one:
                receptor, _, name = one.partition(".")
                parts[receptor][name] = value
        return ours.PointNeuron(self.neuron.native(**membrane),
                                **{one: self.post_synaptic_receptors[one].native(**part) for one, part in parts.items()})

    def given_times(self, values: dict[str, Any], size: int) -> None:
        """It is no source."""
        return None

    def get_schema(self) -> dict[str, type]:
        """The membrane's parameters are numbers."""
        return self.neuron.get_schema()

    def get_parameter_names(self) -> list[str]:
        """Of the membrane, then of the receptors."""
        own = [f"{receptor}.{one}" for receptor in self.receptor_types
               for one in self.post_synaptic_receptors[receptor].default_parameters if one != "locations"]
        return [*self.neuron.get_parameter_names(), *own]

    def has_parameter(self, name: str) -> bool:
        """Whether the membrane or a receptor has it."""
        return name in self.get_parameter_names()

    def translate(self, parameters: ParameterSpace, copy: bool = True) -> ParameterSpace:
        """Nothing is to be translated."""
        return parameters

    def computed_parameters(self) -> list[str]:
        """None."""
        return []

    def computed_parameters_include(self, parameter_names: Any) -> bool:
        """None are computed."""
        return False


# ------------------------------------------------------------------------------------ synapses


class NeurosimSynapse:
    """A synapse type that has a counterpart in this library; ``native_synapse`` makes it.

    ``rest``: its states before the first spike, numbers or the names of the parameters that they equal.
    """

    _simulator = simulator
    rest: dict[str, Any] = {}

    def _get_minimum_delay(self) -> float:
        return self._simulator.state.default_delay

    @staticmethod
    def native_synapse(values: dict[str, Any]) -> plasticity.SynapseType | None:
        """What `neurosim.Network.project` takes as ``synapse``; ``values``: numbers, or arrays with one for each synapse."""
        raise NotImplementedError


class StaticSynapse(NeurosimSynapse, synapses.StaticSynapse):
    __doc__ = synapses.StaticSynapse.__doc__
    translations = same_names("weight", "delay")

    @staticmethod
    def native_synapse(values: dict[str, Any]) -> None:
        """Weights that stay."""
        return None


class ElectricalSynapse(NeurosimSynapse, synapses.ElectricalSynapse):
    __doc__ = synapses.ElectricalSynapse.__doc__
    translations = same_names("weight")

    @staticmethod
    def native_synapse(values: dict[str, Any]) -> plasticity.SynapseType:
        """A gap junction."""
        return plasticity.ElectricalSynapse()


def _transmitting(base: type[StandardModelType], **rest: Any) -> type:
    """A synapse type whose further parameters are those of our model; ``rest`` as in :class:`NeurosimSynapse`."""
    own = [one for one in base.default_parameters if one not in ("weight", "delay")]
    native = getattr(plasticity, base.__name__)

    def native_synapse(values: dict[str, Any]) -> plasticity.SynapseType:
        """The model of the same name."""
        return native(**{one: values[one] for one in own})

    return type(base.__name__, (NeurosimSynapse, base), {
        "__doc__": base.__doc__, "__module__": __name__, "translations": same_names(*base.default_parameters),
        "native_synapse": staticmethod(native_synapse), "rest": rest})


TsodyksMarkramSynapse = _transmitting(synapses.TsodyksMarkramSynapse, u=0.0)
SimpleStochasticSynapse = _transmitting(synapses.SimpleStochasticSynapse)
StochasticTsodyksMarkramSynapse = _transmitting(synapses.StochasticTsodyksMarkramSynapse)
MultiQuantalSynapse = _transmitting(synapses.MultiQuantalSynapse, u="U", a="n")


def _rule(base: type[StandardModelType]) -> type:
    """A timing or weight dependence whose parameters are those of our class of the same name."""
    return type(base.__name__, (base,), {
        "__doc__": base.__doc__, "__module__": __name__, "translations": same_names(*base.default_parameters),
        "possible_models": {"neurosim"}, "native": getattr(plasticity, base.__name__)})


AdditiveWeightDependence = _rule(synapses.AdditiveWeightDependence)
MultiplicativeWeightDependence = _rule(synapses.MultiplicativeWeightDependence)
AdditivePotentiationMultiplicativeDepression = _rule(synapses.AdditivePotentiationMultiplicativeDepression)
GutigWeightDependence = _rule(synapses.GutigWeightDependence)
SpikePairRule = _rule(synapses.SpikePairRule)
Vogels2011Rule = _rule(synapses.Vogels2011Rule)


class STDPMechanism(NeurosimSynapse, synapses.STDPMechanism):
    __doc__ = synapses.STDPMechanism.__doc__
    def __init__(self, timing_dependence: Any = None, weight_dependence: Any = None, voltage_dependence: Any = None,
                 dendritic_delay_fraction: float = 1.0, weight: Any = 0.0, delay: Any = None) -> None:
        if voltage_dependence is not None:
            raise errors.NoModelAvailableError("neurosim.pynn has no voltage_dependence; natively there is neurosim.ClopathRule")
        super().__init__(timing_dependence, weight_dependence, None, dendritic_delay_fraction, weight, delay)

    def _build_translations(self) -> None:
        self.translations = same_names("weight", "delay", "dendritic_delay_fraction",
                                       *self.timing_dependence.default_parameters, *self.weight_dependence.default_parameters)

    def native_synapse(self, values: dict[str, Any]) -> plasticity.SynapseType:  # type: ignore[override]
        """The mechanism with numbers, which are the same for all synapses of a projection."""
        arrays = [one for one, value in values.items() if np.ndim(value) and one not in ("weight", "delay")]
        if arrays:
            raise errors.InvalidParameterValueError(
                f"STDPMechanism.{arrays[0]} must be one number for a projection, got an array of {np.size(values[arrays[0]])}")

        def made(part: Any) -> Any:
            return part.native(**{one: values[one] for one in part.default_parameters})

        return plasticity.STDPMechanism(made(self.timing_dependence), made(self.weight_dependence),
                                        dendritic_delay_fraction=values["dendritic_delay_fraction"])


__all__ = [*(base.__name__ for base in CELLS), "ACSource", "AdExp", "AdditivePotentiationMultiplicativeDepression",
           "AdditiveWeightDependence", "AlphaPSR", "BetaPSR", "CondAlphaPostSynapticResponse", "CondBetaPostSynapticResponse",
           "CondExpPostSynapticResponse", "CurrExpPostSynapticResponse", "DCSource", "ElectricalSynapse", "ExpPSR", "GutigWeightDependence",
           "KdrChannel", "LIF", "MultiCompartmentNeuron", "MultiQuantalSynapse", "MultiplicativeWeightDependence", "NaChannel",
           "NoisyCurrentSource", "PassiveLeak", "PassiveLeakHH", "PointNeuron", "STDPMechanism", "SimpleStochasticSynapse",
           "SpikePairRule", "StaticSynapse", "StepCurrentSource", "StochasticTsodyksMarkramSynapse", "TsodyksMarkramSynapse",
           "Vogels2011Rule", "native_cell_type"]
