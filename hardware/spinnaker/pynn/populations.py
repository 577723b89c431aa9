"""Populations and views with sPyNNaker's methods."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN.models import BaseCellType
from pyNN.random import RandomDistribution as PyNNDistribution
from pyNN.recording import get_io

from neurosim.errors import ParameterError
from neurosim.pynn import populations as base

from ..weights import greatest_input
from . import simulator
from .distributions import seeded
from .errors import ConfigurationException, note
from .recording import Recorder

__all__ = ["Population", "PopulationView"]

# What sPyNNaker takes as additional parameters of a population.  Those of the first row do something here.
USED = ("seed", "neurons_per_core", "max_expected_summed_weight", "spikes_per_second", "ring_buffer_sigma")
PASSED_OVER = ("incoming_spike_buffer_size", "drop_late_spikes", "splitter", "n_colour_bits", "n_synapse_cores", "allow_delay_extensions",
               "max_rate", "n_steps_per_timestep")


class _Cells:
    """What populations and their views have in common, in sPyNNaker's words."""

    _simulator = simulator
    celltype: Any
    label: str
    size: int
    _whole: Any

    def __add__(self, other: Any) -> Any:
        raise NotImplementedError("sPyNNaker has no assemblies: make a projection for each population")

    # -- parameters and state variables ---------------------------------------------------------

    def get(self, parameter_names: Any, gather: bool = True, simplify: bool = True) -> Any:
        """Values of parameters: a list with one for each cell; of several names, a dict of lists.

        Raises
        ------
        KeyError
            For what is no parameter of the model.
        """
        names = [parameter_names] if isinstance(parameter_names, str) else list(parameter_names)
        self._check_names(names, self.celltype.default_parameters, "parameter")
        found = {one: value.tolist() if isinstance(value, np.ndarray) else [value] * self.size
                 for one, value in self._values(names).items()}  # type: ignore[attr-defined]
        return found[parameter_names] if isinstance(parameter_names, str) else found

    def set(self, **parameters: Any) -> None:
        """Change parameters: numbers, one value for each cell, a `RandomDistribution` or a function of the cell's index.

        Raises
        ------
        KeyError
            For what is no parameter of the model, state variables such as ``v`` among them.
        """
        self._check_names(parameters, self.celltype.default_parameters, "parameter")
        whole, _ = self._whole()
        super().set(**{one: self._drawn(whole.celltype.plain(one, value), one) for one, value in parameters.items()})  # type: ignore[misc]

    def initialize(self, **initial_values: Any) -> None:
        """Values of state variables at time 0; after a run they count from the next `reset` on, as on the machine."""
        whole, _ = self._whole()
        self._check_names(initial_values, whole.celltype.default_initial_values, "state variable")
        if whole.made and self._simulator.state.simulation is not None and self._simulator.state.t > 0:
            note(f"{self.label}: initialize() without reset() changes nothing now; set_state() sets what a state variable is now")
        super().initialize(**{one: self._drawn(value, one) for one, value in initial_values.items()})  # type: ignore[misc]

    def set_state(self, **values: Any) -> None:
        """Values of state variables from now on; before a run, at time 0."""
        whole, chosen = self._whole()
        self._check_names(values, whole.celltype.default_initial_values, "state variable")
        if self._simulator.state.simulation is None:
            self.initialize(**values)
            return
        for one, value in values.items():
            lazy = base.LazyArray(self._drawn(value, one), shape=(self.size,), dtype=float)
            native, sign = whole.celltype.native_variable(one)
            self._simulator.state.set_now(self, native, sign * lazy.evaluate(simplify=True))

    @property
    def current_values(self) -> dict[str, np.ndarray]:
        """State variables now, one value for each cell; of parts of synapses only those that the machine keeps as they are."""
        whole, chosen = self._whole()
        simulation = self._simulator.state.simulation
        if simulation is None:
            return self.initial_values
        found = {}
        for one in whole.celltype.default_initial_values:
            native, sign = whole.celltype.native_variable(one)
            try:
                found[one] = sign * simulation.get(whole.native, native)[chosen]
            except ParameterError:  # part of a state that the machine keeps in another form
                continue
        return found

    def _check_names(self, names: Any, known: Any, kind: str) -> None:
        for one in names:
            if one not in known:
                hint = ""
                if kind == "parameter" and one in self._whole()[0].celltype.default_initial_values:
                    hint = ": it is a state variable, which initialize() and set_state() set"
                raise KeyError(f"{self.label}: {one!r} is not a {kind} of {type(self.celltype).__name__}{hint}; it has"
                               f" {', '.join(known) or 'none'}")

    def _drawn(self, value: Any, name: str) -> Any:
        return seeded(value, self._whole()[0].next_seed(), name) if isinstance(value, PyNNDistribution) else value

    @property
    def initial_values(self) -> dict[str, np.ndarray]:
        """State variables at time 0, one value for each cell."""
        whole, chosen = self._whole()
        names = {one: whole.celltype.native_variable(one) for one in whole.celltype.default_initial_values}
        return {one: sign * np.broadcast_to(whole.initial.get(native, 0.0), whole.size)[chosen] for one, (native, sign) in names.items()}

    @initial_values.setter
    def initial_values(self, values: Any) -> None:
        """PyNN keeps a copy there; this one is made when it is asked for."""

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        whole, _ = self._whole()
        variable, sign = whole.celltype.native_variable(variable)
        initial_values = initial_values * sign if sign != 1.0 else initial_values
        super()._set_initial_value_array(variable, initial_values)  # type: ignore[misc]

    # -- recording ------------------------------------------------------------------------------

    def record(self, variables: Any, to_file: Any = None, sampling_interval: float | None = None) -> None:
        """Record variables of these cells: a name, several, ``"all"``, or None to stop.

        Parameters
        ----------
        sampling_interval : float, optional
            ms, a whole multiple of the time step; each variable may have its own.
        """
        whole, chosen = self._whole()
        whole.recorder.choose(variables, chosen, sampling_interval)
        if to_file is not None:
            names = whole.recorder.names(variables)
            self._simulator.state.write_on_end.append((self, names, to_file))

    def get_data(self, variables: Any = "all", gather: bool = True, clear: bool = False, *, annotations: Any = None) -> Any:
        """What was recorded, as a Neo block with a segment for each reset, in sPyNNaker's layout."""
        whole, chosen = self._whole()
        return whole.recorder.block(variables, None if chosen.size == whole.size else chosen, clear, annotations)

    def spinnaker_get_data(self, variable: Any, as_matrix: bool = False, view_indexes: Any = None) -> np.ndarray:
        """What was recorded since the last reset, as numbers.

        Returns
        -------
        ndarray, float64
            Spikes: rows (cell, time in ms).  Other variables: rows (cell, time, value), or, ``as_matrix``, of shape (samples, cells).
        """
        whole, chosen = self._whole()
        if view_indexes is not None:
            chosen = np.asarray(view_indexes, np.int64)
        return whole.recorder.table(variable, chosen, as_matrix)

    def get_spike_counts(self, gather: bool = True) -> dict[int, int]:
        """How often each cell, by its index in the population, has spiked since the last reset."""
        whole, chosen = self._whole()
        return whole.recorder.counts(chosen)

    def mean_spike_count(self, gather: bool = True) -> float:
        """The mean of `get_spike_counts`."""
        counts = self.get_spike_counts()
        return sum(counts.values()) / len(counts)

    def write_data(self, io: Any, variables: Any = "all", gather: bool = True, clear: bool = False, annotations: Any = None) -> None:
        """Write what was recorded to a file of one of Neo's formats."""
        (get_io(io) if isinstance(io, str) else io).write(self.get_data(variables, gather, clear, annotations=annotations))

    def can_record(self, variable: str, location: Any = None) -> bool:
        """Whether the model lets that variable be recorded."""
        return variable in self.celltype.recordable

    def nearest(self, position: Any) -> Any:
        """Not there, as in sPyNNaker."""
        raise NotImplementedError("sPyNNaker has no nearest()")

    def save_positions(self, file: Any) -> None:
        """Not there, as in sPyNNaker."""
        raise NotImplementedError("sPyNNaker has no save_positions()")


class PopulationView(_Cells, base.PopulationView):
    """Some cells of a population, as sPyNNaker has them."""


class Population(_Cells, base.Population):
    """Cells of one model, as sPyNNaker has them.

    Parameters
    ----------
    size : int
    cellclass : cell type, or its class
    cellparams : dict, optional
        With a class: its parameters.
    structure : pyNN.space structure, optional
    initial_values : dict, optional
    label : str, optional
    additional_parameters : dict, optional
        ``seed`` (of a Poisson source and of all random numbers of the cells and their incoming projections), ``neurons_per_core``,
        ``max_expected_summed_weight``, ``spikes_per_second``, ``ring_buffer_sigma``; those that only a board needs are passed over.
    **additional_kwargs
        The same, as keywords.
    """

    _recorder_class = Recorder
    _view_class = PopulationView
    made = False

    def __init__(self, size: Any, cellclass: Any, cellparams: dict[str, Any] | None = None, structure: Any = None,
                 initial_values: dict[str, Any] | None = None, label: str | None = None,
                 additional_parameters: dict[str, Any] | None = None, **additional_kwargs: Any) -> None:
        simulator.state.check_active()
        cell = _cell_type(cellclass, cellparams)
        self.structure_given = structure is not None
        self.additional = _additional({**(additional_parameters or {}), **additional_kwargs}, label)
        self.additional.setdefault("neurons_per_core", simulator.state.per_core.get(type(cell)))
        self._draws = 0
        super().__init__(_whole_size(size, label), cell, None, structure, {}, label)
        given = {**cell.initial_given, **(initial_values or {})}
        if "seed" in cell.default_initial_values:  # of cells that draw numbers: one for all
            given.setdefault("seed", float(self.next_seed()))
        for variable, value in given.items():
            self.initialize(**{variable: value})
        self.made = True
        self._simulator.state.restructured()

    def _create_cells(self) -> None:
        self.celltype = self.celltype.drawn(self.next_seed)
        super()._create_cells()

    def next_seed(self) -> int:
        """A seed for the next random numbers that belong to these cells."""
        self._draws += 1
        own = self.additional.get("seed")
        return simulator.state.seed_of(self.label if own is None else own, self._draws)

    def settings(self) -> dict[str, Any]:
        """What of `Settings` belongs to this population."""
        found: dict[str, Any] = {}
        if self.additional["neurons_per_core"] is not None:
            found["neurons_per_core"] = int(np.prod(self.additional["neurons_per_core"]))
        if self.additional.get("seed") is not None and not self.celltype.receptor_types:
            found["seeds"] = int(self.additional["seed"])
        if self.celltype.receptor_types:
            found["max_expected_summed_weight"] = self.expected()
        return {key: value for key, value in found.items() if value is not None}

    def expected(self) -> tuple[float, ...]:
        """The greatest input of a step for each receptor, in the weight's unit, as sPyNNaker expects it of the script's projections."""
        given = self.additional.get("max_expected_summed_weight")
        if given is not None:
            return tuple(float(one) for one in given)
        scale = 1024.0 if self.celltype.conductance_based else 1.0
        into = [one for one in self._simulator.state.projections if getattr(one.post, "grandparent", one.post) is self]
        told = {"spikes_per_second": float(self.additional.get("spikes_per_second", 30.0)),
                "sigma": float(self.additional.get("ring_buffer_sigma", 5.0))}
        by_receptor = ([one.estimate() for one in into if one.receptor_type == receptor] for receptor in self.celltype.receptor_types)
        return tuple(greatest_input(inputs, scale, self._simulator.state.dt, **told) / scale for inputs in by_receptor)

    @property
    def positions(self) -> np.ndarray:
        """Positions of the cells, shape (3, cells).

        Raises
        ------
        ValueError
            For a population that was given no structure.
        """
        if not self.structure_given and self._positions is None:
            raise ValueError(f"{self.label} has no positions: give it a structure, such as Grid2D()")
        return self._get_positions()

    @positions.setter
    def positions(self, values: Any) -> None:
        self._set_positions(values)

    def set_max_atoms_per_core(self, max_atoms_per_core: Any) -> None:
        """At most so many cells on one core."""
        self.additional["neurons_per_core"] = max_atoms_per_core
        self._simulator.state.changed()

    def add_placement_constraint(self, x: int, y: int, p: int | None = None) -> None:
        """Where a board would place the cells: passed over."""


def _cell_type(cellclass: Any, cellparams: Any) -> Any:
    if isinstance(cellclass, type):
        if not issubclass(cellclass, BaseCellType):
            raise ConfigurationException(f"the model of a population must be a cell type, got {cellclass.__name__}")
        return cellclass(**(cellparams or {}))
    if cellparams:
        raise ConfigurationException(f"{type(cellclass).__name__} has its parameters already: cellparams must be None, got {cellparams}")
    if not isinstance(cellclass, BaseCellType):
        raise ConfigurationException(f"the model of a population must be a cell type, got {cellclass!r:.100}")
    return cellclass


def _whole_size(size: Any, label: str | None) -> int:
    whose = "a population" if label is None else f"population {label}"
    if size is None or isinstance(size, (str, tuple)) or abs(round(size) - size) >= 0.001:
        raise ConfigurationException(f"size of {whose} must be a whole number, got {size!r}")
    if size <= 0:
        raise ConfigurationException(f"size of {whose} must be > 0, got {size!r}")
    return round(size)


def _additional(given: dict[str, Any], label: str | None) -> dict[str, Any]:
    """Additional parameters that do something; a warning for unknown ones, as on the machine."""
    for one, value in given.items():
        if one not in (*USED, *PASSED_OVER):
            note(f"population {label}: additional parameter {one} will be ignored")
    if given.get("n_steps_per_timestep", 1) not in (None, 1):
        raise NotImplementedError(
            f"population {label}: n_steps_per_timestep must be 1 here, got {given['n_steps_per_timestep']}; use a shorter timestep")
    return {one: value for one, value in given.items() if one in USED and value is not None}
