"""Populations, views and assemblies: parameters in flat arrays, described to the network when it is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN import common, errors
from pyNN.parameters import LazyArray, ParameterSpace, simplify
from pyNN.recording import Variable

from ..cells.compartments import CompartmentalCell
from ..errors import ParameterError
from ..network import Network
from . import simulator
from .recording import Recorder

__all__ = ["Assembly", "Population", "PopulationView"]


class Assembly(common.Assembly):
    __doc__ = common.Assembly.__doc__
    _simulator = simulator

    @property
    def receptor_types(self) -> list[str]:
        """Those that all have, in the order of the first: excitatory before inhibitory.  (PyNN's order is by chance.)"""
        first, *others = (one.celltype.receptor_types for one in self.populations)
        return [one for one in first if all(one in other for other in others)]

    @property
    def position_generator(self) -> Any:
        """A function that gives the positions of cells, shape (cells, 3), as that of a population does."""
        return lambda i: self.positions.T[i]


class _Cells:
    """What populations and their views have in common."""

    _simulator = simulator
    _assembly_class = Assembly
    _view_class: Any  # that of views of these cells
    celltype: Any  # these are PyNN's
    size: int
    id_to_index: Any

    def _get_view(self, selector: Any, label: str | None = None) -> Any:
        return self._view_class(self, selector, label)

    def _get_parameters(self, *names: str) -> ParameterSpace:
        schema = self.celltype.get_schema()
        return ParameterSpace(self._values(names), {one: schema.get(one, float) for one in names}, shape=(self.size,))

    def _get_native_parameters(self, *names: str) -> ParameterSpace:
        return self._get_parameters(*names)

    def _values(self, names: Any) -> dict[str, Any]:
        """Values of parameters of these cells; one number where all are equal."""
        whole, chosen = self._whole()
        unknown = [one for one in names if one not in whole.values]
        if unknown:
            raise errors.NonExistentParameterError(unknown[0], type(self.celltype).__name__, list(whole.values))
        picked = {one: whole.values[one] for one in names}
        return {one: simplify(value[chosen]) if _is_array(value) else value for one, value in picked.items()}

    def _whole(self) -> tuple[Population, np.ndarray]:
        """The population, and which of its cells these are."""
        raise NotImplementedError

    def set(self, **parameters: Any) -> None:
        """As PyNN's; the parameters of composed cells are named like ``AMPA.tau_syn``."""
        composed = {one: value for one, value in parameters.items() if "." in one}
        simple = {one: value for one, value in parameters.items() if "." not in one}
        if simple:
            super().set(**simple)  # type: ignore[misc]
        if composed:
            self._set_parameters(ParameterSpace(composed, None, (self.size,)))

    def _set_parameters(self, parameter_space: ParameterSpace) -> None:
        whole, chosen = self._whole()
        try:
            parameter_space.evaluate(simplify=True)
        except ValueError as error:  # a LazyArray of what is no number, e.g. None
            raise errors.InvalidParameterValueError(
                f"{whole.label}: values of {', '.join(parameter_space.keys())} cannot be taken: {error}") from error
        parameter_space.flatten()
        changed = dict(whole.values)
        for one, value in parameter_space.as_dict().items():
            if one not in changed:
                raise errors.NonExistentParameterError(one, type(self.celltype).__name__, list(changed))
            if chosen.size == whole.size and not _is_array(value):
                changed[one] = value
                continue
            full = _spread(changed[one], whole.size)
            full[chosen] = _spread(value, chosen.size)
            changed[one] = full
        whole.take(changed)

    def _set_initial_value_array(self, variable: str, initial_values: LazyArray) -> None:
        whole, chosen = self._whole()
        known = {**whole.celltype.default_initial_values, **dict.fromkeys(whole._cell.states)}
        if variable not in known:
            raise errors.NonExistentParameterError(variable, type(self.celltype).__name__, list(known))
        value = initial_values.evaluate(simplify=True)
        if chosen.size == whole.size and np.ndim(value) == 0:
            whole.initial[variable] = float(value)
        else:
            full = _spread(whole.initial.get(variable, whole.celltype.default_initial_values.get(variable, 0.0)), whole.size)
            full[chosen] = value
            whole.initial[variable] = full
        whole.initial_values[variable] = LazyArray(whole.initial[variable], shape=(whole.size,), dtype=float)
        whole.stale = True
        if variable in whole._cell.states:
            self._simulator.state.initialized(self, variable, value)
        self._simulator.state.changed()

    def _set_cell_initial_value(self, id: Any, variable: str, value: Any) -> None:
        id.as_view().initialize(**{variable: value})

    def _get_cell_initial_value(self, id: Any, variable: str) -> Any:
        whole, chosen = self._whole()
        value = whole.initial.get(variable, 0.0)
        return value[chosen[self.id_to_index(id)]] if np.ndim(value) else value


class PopulationView(_Cells, common.PopulationView):
    __doc__ = common.PopulationView.__doc__

    @property
    def initial_values(self) -> dict[str, Any]:
        """Initial values of these cells, by variable; one number where all of the population have the same."""
        whole, chosen = self._whole()
        return {one: value[chosen] if np.ndim(value) else value for one, value in whole.initial.items()}

    def _whole(self) -> tuple[Population, np.ndarray]:
        return self.grandparent, self.index_in_grandparent(np.arange(self.size))


_Cells._view_class = PopulationView


class Population(_Cells, common.Population):
    __doc__ = common.Population.__doc__
    _recorder_class: Any = Recorder

    def _create_cells(self) -> None:
        space = self.celltype.native_parameters
        space.shape = (self.size,)
        space.evaluate(simplify=True)
        space.flatten()
        values = {one: value for one, value in space.as_dict().items() if not isinstance(value, dict)}
        self.initial: dict[str, Any] = {}
        self.native: Any = None
        self.take(values)
        state = self._simulator.state
        first = state.id_counter
        state.id_counter += self.size
        self.all_cells = np.empty(self.size, dtype=object)
        self.all_cells[:] = [self._simulator.ID(n) for n in range(first, first + self.size)]
        for cell in self.all_cells:
            cell.parent = self
        self._mask_local = np.ones(self.size, bool)
        state.populations.append(self)

    def _whole(self) -> tuple[Population, np.ndarray]:
        return self, np.arange(self.size)

    def take(self, values: dict[str, Any]) -> None:
        """New values of all parameters, if the model takes them.

        Raises
        ------
        pyNN.errors.InvalidParameterValueError
            If it does not; the old ones stay.
        """
        try:
            cell = self.celltype.native_cell(values, self.size)
        except ParameterError as error:
            raise errors.InvalidParameterValueError(f"{self.label}: {error}") from error
        self.values, self._cell, self.stale = values, cell, True
        self._simulator.state.changed()

    def describe_to(self, network: Network) -> None:
        """Add the population to the network, or bring it up to date there."""
        if not self.stale:
            return
        if self.native is None:
            labels = {one.label for one in network.populations}
            label = self.label if self.label not in labels else f"{self.label} ({self.first_id})"
            positions = None if self._positions is None else np.ascontiguousarray(self._positions.T)
            self.native = network.population(self.size * self._neurons, self._cell, label, positions)
        else:
            self.native.cell = self._cell
        known = self._cell.states
        self.native.initial_values = {}
        self.native.initialize(**{one: np.repeat(value, self._neurons) if np.ndim(value) else value
                                  for one, value in self.initial.items() if one in known})
        self.stale = False

    @property
    def _neurons(self) -> int:
        """Neurons of the native population that one cell is."""
        return getattr(self._cell, "compartments", 1)

    def at(self, places: np.ndarray) -> Any:
        """The native population, or, of some of its neurons, a view."""
        whole = places.size == self.native.size and np.array_equal(places, np.arange(places.size))
        return self.native if whole else self.native[places]

    def places(self, cells: np.ndarray, section: str | None = None) -> np.ndarray:
        """Which neurons of the native population these cells are; of cells with dendrites, at a section or where they spike."""
        if isinstance(self._cell, CompartmentalCell):
            return self._cell.at(section or self._cell.source, cells)
        if section is not None:
            raise errors.InvalidParameterValueError(f"{self.label}: {self._cell.name} is a point and has no section {section!r}")
        return cells

    def find_units(self, variable: Variable) -> str:
        """The unit of a variable, as text."""
        return self.celltype.units[variable.name]


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 0


def _spread(value: Any, n: int) -> np.ndarray:
    """One value for each of ``n`` cells, as a new array."""
    if _is_array(value):
        return value.copy()
    if isinstance(value, (int, float, np.number)):
        return np.full(n, float(value))
    out = np.empty(n, dtype=object)
    out[:] = [value] * n
    return out
