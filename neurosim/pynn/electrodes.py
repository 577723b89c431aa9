"""Injected currents."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from pyNN import common
from pyNN.parameters import ParameterSpace, Sequence
from pyNN.standardmodels import StandardCurrentSource, build_translations, electrodes

from .. import currents
from ..network import Injection, Network
from . import simulator

__all__ = ["ACSource", "DCSource", "NoisyCurrentSource", "StepCurrentSource"]


class NeurosimCurrentSource(StandardCurrentSource):
    """A current of this library, into any cells; what it was is kept if `record` was called."""

    _simulator = simulator
    native: type[currents.CurrentSource]

    def __init__(self, **parameters: Any) -> None:
        self._injected: list[tuple[Any, np.ndarray, str | None]] = []  # populations, which of their cells, and where there
        self._native: list[Injection] = []  # the network's, one for each of these
        self._recording = False
        self._recorded: list[np.ndarray] = []
        self._key = 0
        self._values: dict[str, Any] = {}
        space = ParameterSpace(self.default_parameters, self.get_schema(), shape=(1,))
        space.update(**parameters)
        self.set_native_parameters(space)
        self._simulator.state.currents.append(self)

    def set_native_parameters(self, parameters: ParameterSpace) -> None:
        """Take new values, which count from now on."""
        parameters.evaluate(simplify=True)
        values = dict(self._values)
        for name, value in parameters.items():
            values[name] = np.asarray(value.value, float) if isinstance(value, Sequence) else float(np.squeeze(value))
        object.__setattr__(self, "_current", self._made(values))
        object.__setattr__(self, "_values", values)
        self._simulator.state.changed()

    def _made(self, values: dict[str, Any]) -> currents.CurrentSource:
        return self.native(**values)

    def get_native_parameters(self) -> ParameterSpace:
        """The values."""
        return ParameterSpace({one: Sequence(value) if isinstance(value, np.ndarray) else value
                               for one, value in self._values.items()})

    def get_parameters(self) -> dict[str, Any]:
        """The values, as numbers and arrays."""
        return dict(self._values)

    def inject_into(self, cells: Any, location: str | None = None) -> None:
        """Inject into a population, a view, an assembly or a list of cells; of those with dendrites, into a named section.

        Raises
        ------
        TypeError
            For spike sources.
        ValueError
            For a list that names a cell twice.
        """
        chosen: dict[int, tuple[Any, list[int]]] = {}
        for cell in cells.all_cells if isinstance(cells, (common.BasePopulation, common.Assembly)) else cells:
            if not cell.celltype.injectable:
                raise TypeError(f"cannot inject a current into {type(cell.celltype).__name__}, a spike source")
            chosen.setdefault(id(cell.parent), (cell.parent, []))[1].append(cell.parent.id_to_index(cell))
        for population, which in chosen.values():
            if len(set(which)) < len(which):
                raise ValueError(f"a list of cells for a current names a cell of {population.label} twice")
        for population, which in chosen.values():
            population.places(np.zeros(1, np.int64), location)
            self._injected.append((population, np.array(which, np.int64), location))
        self._simulator.state.changed()

    def describe_to(self, network: Network) -> None:
        """Add the injections to the network, or bring them up to date there."""
        for k, old in enumerate(self._native):
            if old.current is not self._current:
                self._native[k] = dataclasses.replace(old, current=self._current)
                network.injections[next(n for n, one in enumerate(network.injections) if one is old)] = self._native[k]
        for population, which, location in self._injected[len(self._native):]:
            self._native.append(network.inject(self._current, population.at(population.places(which, location))))

    # -- recording ------------------------------------------------------------------------------

    def record(self) -> None:
        """Keep the current."""
        object.__setattr__(self, "_recording", True)

    def forget(self) -> None:
        """Drop what was kept."""
        self._recorded.clear()

    def collect(self, first: int, last: int) -> None:
        """Keep the current of the steps ``first`` to ``last - 1``."""
        if self._recording:
            state = self._simulator.state
            if self._native:
                object.__setattr__(self, "_key", currents.stream_of(state.simulation, self._native[0]))
            self._recorded.append(self._between(first, last - 1))

    def _between(self, first: int, last: int) -> np.ndarray:
        return currents.values(self._current, self._simulator.state.dt, first, last, self._key)

    def _get_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Times (ms) and currents (nA) since `record` was called, or since the last reset, to now, both included."""
        now = round(self._simulator.state.t / self._simulator.state.dt)
        amplitudes = np.concatenate([*self._recorded, self._between(now, now)])
        return np.arange(now + 1 - amplitudes.size, now + 1) * self._simulator.state.dt, amplitudes


def _source(base: type[StandardCurrentSource], native: type[currents.CurrentSource]) -> type:
    return type(base.__name__, (NeurosimCurrentSource, base), {
        "__doc__": base.__doc__, "__module__": __name__, "native": native,
        "translations": build_translations(*((one, one) for one in base.default_parameters))})


DCSource = _source(electrodes.DCSource, currents.DCSource)
ACSource = _source(electrodes.ACSource, currents.ACSource)


class NoisyCurrentSource(NeurosimCurrentSource, electrodes.NoisyCurrentSource):
    __doc__ = electrodes.NoisyCurrentSource.__doc__
    native = currents.NoisyCurrentSource
    translations = build_translations(*((one, one) for one in electrodes.NoisyCurrentSource.default_parameters))

    def _made(self, values: dict[str, Any]) -> currents.CurrentSource:
        """One noise for all cells that it is injected into, as in most of PyNN's simulators."""
        return self.native(**values, shared=True)


class StepCurrentSource(NeurosimCurrentSource, electrodes.StepCurrentSource):
    __doc__ = electrodes.StepCurrentSource.__doc__
    native = currents.StepCurrentSource
    translations = build_translations(("amplitudes", "amplitudes"), ("times", "times"))

    def _made(self, values: dict[str, Any]) -> currents.CurrentSource:
        """Times are moved to the nearest step; of several in one step the last counts."""
        times, amplitudes, dt = values["times"], values["amplitudes"], self._simulator.state.dt
        if times.size == 0:
            return self.native()
        if (times < 0).any():
            raise ValueError(f"StepCurrentSource.times must be >= 0 ms, got {times.min():g}")
        if (np.diff(times) <= 0).any():
            raise ValueError(f"StepCurrentSource.times must ascend (ms), got {times}")
        steps, last = np.unique(np.rint(times / dt)[::-1], return_index=True)
        values["times"], values["amplitudes"] = steps * dt, amplitudes[::-1][last]
        return self.native(values["times"], values["amplitudes"])
