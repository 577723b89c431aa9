"""The state behind the PyNN functions: one `neurosim.Network` and the `neurosim.Simulation` of it."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import numpy as np
from pyNN import common

from ..cells import IF_curr_exp, SpikeSourceArray
from ..engine import Simulation
from ..network import Network

__all__ = ["ID", "State", "name", "state"]

name = "neurosim"


class ID(int, common.IDMixin):
    """One cell: its number, with the parameters of the cell as attributes."""

    def __init__(self, n: int) -> None:
        """A cell of number ``n``; its population sets ``parent``."""
        int.__init__(n)
        common.IDMixin.__init__(self)

    @property
    def parent(self) -> Any:
        """The population; no reference that keeps it alive: arrays of objects are not looked through for cycles."""
        return self._parent()

    @parent.setter
    def parent(self, population: Any) -> None:
        object.__setattr__(self, "_parent", weakref.ref(population))


class State(common.control.BaseState):
    """What `setup` begins and the PyNN objects belong to.

    Populations and projections describe themselves to ``network`` before the first run; what is changed later is described
    anew before the next one, and the simulation then follows (`neurosim.Simulation.follow`).

    Attributes
    ----------
    network : neurosim.Network
        All that the script has described so far; brought up to date by `describe`.
    simulation : neurosim.Simulation or None
        None before the first run and after `reset`.
    """

    mpi_rank, num_processes = 0, 1

    def __init__(self) -> None:
        common.control.BaseState.__init__(self)
        self.begin(0.1, "auto", "auto")

    def begin(self, dt: float, min_delay: Any, max_delay: Any, seed: int = 1, threads: int | None = None,
              update: str = "auto", progress: bool = False) -> None:
        """Forget everything and take new settings."""
        self.dt, self._min_delay, self._max_delay = dt, min_delay, max_delay
        self.seed, self.threads, self.update, self.progress = seed, threads, update, progress
        self.clear()

    def clear(self) -> None:
        """Forget all populations, projections, currents and recordings."""
        self.recorders: set[Any] = set()
        self.populations: list[Any] = []
        self.projections: list[Any] = []
        self.currents: list[Any] = []
        self.write_on_end: list[Any] = []
        self.id_counter = 0
        self.segment_counter = -1
        self.network = Network(seed=self.seed, label="network")
        common.Population._nPop = 0  # trains are drawn by label: those of a script must not depend on what was run before it
        self.reset()

    def reset(self) -> None:
        """Back to time 0 and to initial values; what was described and chosen for recording stays."""
        self.running = False
        self.t_start = 0.0
        self.segment_counter += 1
        self.simulation: Any = None
        self._stale = True
        self._initialized: list[tuple[Any, str, Any]] = []
        for projection in self.projections:
            projection.forget()
        for current in self.currents:
            current.forget()
        for recorder in self.recorders:
            recorder.forget()

    @property
    def t(self) -> float:
        """Simulated time, ms."""
        return self.simulation.t if self.simulation is not None else 0.0

    @property
    def min_delay(self) -> float:
        """As set up; if that was "auto", the shortest delay that there is, or one step."""
        if self._min_delay != "auto":
            return self._min_delay
        return min((p.shortest_delay() for p in self.projections if len(p)), default=self.dt)

    @property
    def max_delay(self) -> Any:
        """As set up; if that was "auto", the longest delay that there is, or one step."""
        if self._max_delay != "auto":
            return self._max_delay
        return max((p.longest_delay() for p in self.projections if len(p)), default=self.dt)

    @property
    def default_delay(self) -> float:
        """The delay of synapses that are given none: the shortest allowed."""
        return self.dt if self._min_delay == "auto" else self._min_delay

    def changed(self) -> None:
        """Something was described anew: the next run must take it up."""
        self._stale = True

    def initialized(self, cells: Any, variable: str, values: Any) -> None:
        """State variables were given values in the middle of a simulation; the next run starts with them."""
        if self.simulation is not None:
            self._initialized.append((cells, variable, values))

    # -- running --------------------------------------------------------------------------------

    def run(self, simtime: float) -> None:
        """Advance by ``simtime`` ms."""
        self.run_until(self.t + simtime)

    def run_until(self, tstop: float) -> None:
        """Advance to the step nearest to ``tstop`` ms.

        Raises
        ------
        neurosim.errors.NeurosimError
            For a network that cannot be built; what was recorded before is kept.
        ValueError
            If that is later than now, but by less than half a step: a callback that asks for it would be called for ever.
        """
        if 1e-6 < tstop / self.dt - round(self.t / self.dt) < 0.5:
            raise ValueError(f"cannot run until {tstop:g} ms, which is less than half a step ({self.dt:g} ms) from now, {self.t:g} ms")
        self.prepare()
        assert self.simulation is not None
        now = round(self.simulation.t / self.dt)
        steps = round(tstop / self.dt) - now
        if steps < 1:
            return
        result = self.simulation.run(steps * self.dt, progress=self.progress)
        self.simulation.clear()
        for recorder in self.recorders:
            recorder.collect(result)
        for current in self.currents:
            current.collect(now, round(self.simulation.t / self.dt))
        if not result.complete:
            raise KeyboardInterrupt(f"stopped at {self.simulation.t:g} ms; what was recorded until then is kept")

    def prepare(self) -> None:
        """Make the simulation, or let it follow what was changed."""
        self.running = True
        if self.simulation is None:
            self.describe()
            if not self.network.populations:  # time passes all the same
                self.network.population(1, SpikeSourceArray(), "nothing")
            self.simulation = self.made()
        elif self._stale:
            self.describe()
            self.simulation = self.simulation.follow()
        self._stale = False
        for cells, variable, values in self._initialized:
            for native, chosen in self.native_cells(cells):
                self.simulation.set(native, **{variable: values[chosen] if np.ndim(values) else values})
        self._initialized = []
        for recorder in self.recorders:
            recorder.start(self.simulation)

    def made(self) -> Any:
        """A simulation of the network as it is described, at time 0."""
        return Simulation(self.network, dt=self.dt, seed=self.seed + self.segment_counter, threads=self.threads,
                          update=self.update, progress=self.progress)

    def describe(self) -> Network:
        """Bring the network up to date with the PyNN objects, and return it."""
        for population in self.populations:
            population.describe_to(self.network)
        for projection in self.projections:
            if projection.stale:
                projection.describe_to(self.network)
        for current in self.currents:
            current.describe_to(self.network)
        self.network.records = []
        for population in self.populations:
            population.recorder.describe_to(self.network)
        return self.network

    def native_cells(self, cells: Any) -> list[tuple[Any, np.ndarray]]:
        """The cells of the network that a population, view or assembly stands for.

        Returns
        -------
        list of (neurosim.Population or neurosim.PopulationView, ndarray of int)
            With each, which of ``cells`` they are, counted from 0.
        """
        if isinstance(cells, common.Assembly):
            found, first = [], 0
            for part in cells.populations:
                found += [(native, first + chosen) for native, chosen in self.native_cells(part)]
                first += part.size
            return found
        every = np.arange(cells.size)
        whole = cells.grandparent if isinstance(cells, common.PopulationView) else cells
        return [(whole.at(whole.places(every if whole is cells else cells.index_in_grandparent(every))), every)]


state = State()


@functools.cache
def load() -> None:
    """Load the engine's machine code (or compile it, once on a machine), so that runs take the time that they take."""
    network = Network()
    network.population(1, IF_curr_exp())
    Simulation(network)
