"""sPyNNaker's cells and sources, by its names, with its defaults."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from pyNN.errors import InvalidParameterValueError
from pyNN.parameters import LazyArray, Sequence
from pyNN.random import RandomDistribution

from neurosim import cells as ours
from neurosim.cells.base import Model
from neurosim.pynn.standardmodels import NeurosimCell, same_names

from .. import extra
from . import simulator
from .distributions import seeded
from .errors import note

__all__ = ["IF_cond_exp", "IF_curr_alpha", "IF_curr_delta", "IF_curr_exp", "Izhikevich", "MachineCell", "SpikeSourceArray",
           "SpikeSourcePoisson", "cell_class"]

FOREVER = 1e10  # ms
_UNITS = {"v": "mV", "u": "mV/ms", "gsyn_exc": "uS", "gsyn_inh": "uS", "spikes": ""}  # the machine says uS for currents too


class MachineCell(NeurosimCell):
    """A model of the machine.

    Its parameters and state variables have sPyNNaker's names; ``native_names`` tells what a variable is called in the network, and
    whether its sign is another there.
    """

    native_names: dict[str, tuple[str, float]] = {}
    most_per_core = 256

    def __init__(self, **parameters: Any) -> None:
        """Parameters; state variables, which belong to `initialize`, are taken too, as on the machine."""
        self.initial_given = {one: parameters.pop(one) for one in list(parameters) if one in self.default_initial_values}
        for one in self.initial_given.keys() - {"seed"}:
            note(f"{type(self).__name__}: {one} is a state variable; PyNN would set it with initial_values, not with the parameters")
        for one in parameters:
            if one not in self.default_parameters:
                raise TypeError(f"{type(self).__name__} has no parameter {one!r}; it has {', '.join(self.default_parameters)}")
        super().__init__(**{one: self.plain(one, value) for one, value in parameters.items()})

    @classmethod
    def plain(cls, name: str, value: Any) -> Any:
        """A value of a parameter as PyNN takes it."""
        return value

    def drawn(self, next_seed: Any) -> MachineCell:
        """The same with random numbers that the population's seed decides."""
        made = copy.copy(self)
        made.parameter_space = copy.deepcopy(self.parameter_space)
        for name, lazy in made.parameter_space.items():
            if isinstance(lazy, LazyArray) and isinstance(lazy.base_value, RandomDistribution):
                lazy.base_value = seeded(lazy.base_value, next_seed(), name)
        return made

    def native_variable(self, variable: str) -> tuple[str, float]:
        """What a recorded variable or a state variable is called in the network, and the factor from there to here."""
        return self.native_names.get(variable, (variable, 1.0))

    @classmethod
    def given_times(cls, values: dict[str, Any], size: int) -> None:
        """Spikes of sources are recorded at the steps at which they are sent."""
        return None


def _names(native: type[Model]) -> dict[str, tuple[str, float]]:
    """sPyNNaker's names of variables that have another name, or sign, in the network."""
    found = {}
    for here in ("exc", "inh", "exc2"):
        for theirs in (f"gsyn_{here}", f"isyn_{here}"):
            known = next((one for one in (f"isyn_{here}", f"gsyn_{here}") if one in native.states), None)
            if known is not None:
                found[theirs] = (known, -1.0 if known == "isyn_inh" else 1.0)
    return found


def cell_class(name: str, native: type[Model], initial: dict[str, float]) -> type[MachineCell]:
    """The sPyNNaker model that a cell of the library is.

    Parameters
    ----------
    name : str
        sPyNNaker's.
    native : type
    initial : dict
        sPyNNaker's state variables that can be given, with its defaults.
    """
    names = _names(native)
    declared = native.parameters()
    recordable = ["v", *(one for one in ("gsyn_exc", "gsyn_inh") if one in names), "spikes"]
    return type(name, (MachineCell,), {
        "__doc__": f"sPyNNaker's {name}: {(native.__doc__ or '').strip()}", "__module__": __name__, "native": native, "native_names": names,
        "translations": same_names(*declared), "default_parameters": {one: float(declared[one].default) for one in declared},
        "default_initial_values": initial, "recordable": recordable,
        "units": {**{one: declared[one].unit for one in declared}, **{one: state.unit for one, state in native.states.items()}, **_UNITS},
        "conductance_based": native.weight_unit == "uS", "receptor_types": native.receptors, "injectable": True})


_AT_REST = {"v": -65.0, "isyn_exc": 0.0, "isyn_inh": 0.0}
IF_curr_exp = cell_class("IF_curr_exp", ours.IF_curr_exp, _AT_REST)
IF_cond_exp = cell_class("IF_cond_exp", ours.IF_cond_exp, _AT_REST)
IF_curr_alpha = cell_class("IF_curr_alpha", extra.IF_curr_alpha, {
    "v": -65.0, "exc_response": 0.0, "exc_exp_response": 0.0, "inh_response": 0.0, "inh_exp_response": 0.0})
IF_curr_delta = cell_class("IF_curr_delta", extra.IF_curr_delta, _AT_REST)
Izhikevich = cell_class("Izhikevich", extra.Izhikevich, {"u": -14.0, "v": -70.0, "isyn_exc": 0.0, "isyn_inh": 0.0})


class _Source(MachineCell):
    recordable = ["spikes"]
    receptor_types = ()
    default_initial_values: dict[str, float] = {}
    units = {"spikes": "", "rate": "Hz", "start": "ms", "duration": "ms", "spike_times": "ms"}
    conductance_based = False
    injectable = False


class SpikeSourceArray(_Source):
    """Sources of given spikes.

    A time t (ms) is sent in step ``ceil(floor(1000 t) / (1000 dt))``: between steps, in the next one.
    """

    native = ours.SpikeSourceArray
    default_parameters = {"spike_times": Sequence([])}
    translations = same_names("spike_times")
    most_per_core = 0

    def __init__(self, spike_times: Any = None) -> None:
        """Times (ms): a number, a list for all sources, or a list of lists, one for each."""
        super().__init__(**({} if spike_times is None else {"spike_times": spike_times}))

    @classmethod
    def plain(cls, name: str, value: Any) -> Any:
        """Sorted sequences."""
        if value is None:
            return Sequence([])
        if isinstance(value, str):
            raise InvalidParameterValueError(f"SpikeSourceArray.{name} must be times in ms, got {value!r:.100}")
        if isinstance(value, Sequence):
            return Sequence(np.sort(value.value))
        if not hasattr(value, "__len__"):
            return Sequence([float(value)])
        if len(value) and (hasattr(value[0], "__len__") or isinstance(value[0], Sequence)):
            return [cls.plain(name, one) for one in value]
        return Sequence(np.sort(np.asarray(value, dtype=np.float64)))

    @classmethod
    def native_cell(cls, values: dict[str, Any], size: int) -> Model:
        """The source, with times moved to the steps at which the machine sends."""
        step = math.ceil(1000.0 * simulator.state.dt)
        given = values["spike_times"]
        rows = [np.asarray(getattr(one, "value", one), float) for one in (given if isinstance(given, np.ndarray) else [given] * size)]
        return ours.SpikeSourceArray([np.ceil(np.floor(row * 1000.0) / step) * (step / 1000.0) for row in rows])


class SpikeSourcePoisson(_Source):
    """Sources of Poisson trains: rate (Hz), start and duration (ms; None: for ever)."""

    native = ours.SpikeSourcePoisson
    default_parameters = {"rate": 0.0, "start": 0.0, "duration": FOREVER}
    translations = same_names("rate", "start", "duration")
    most_per_core = 500

    def __init__(self, rate: Any = 0.0, start: Any = 0, duration: Any = None) -> None:
        """Numbers, or one for each source."""
        super().__init__(rate=rate, start=start, duration=duration)

    @classmethod
    def plain(cls, name: str, value: Any) -> Any:
        """Without None."""
        if value is None:
            return FOREVER
        if isinstance(value, (list, tuple)):
            return [FOREVER if one is None else float(one) for one in value]
        return value
