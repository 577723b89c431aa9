"""What was recorded, kept until it is asked for, and handed out in sPyNNaker's layout."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

import numpy as np

from neurosim.extras import need
from neurosim.network import Network
from neurosim.result import Result

from . import simulator
from .errors import ConfigurationException, note

__all__ = ["Recorder"]


@dataclasses.dataclass(eq=False)
class _Chosen:
    """Which cells are recorded, and every how many steps."""

    cells: np.ndarray
    steps: int


@dataclasses.dataclass(eq=False)
class _Segment:
    """What was recorded from one reset to the next."""

    number: int
    when: datetime = dataclasses.field(default_factory=datetime.now)
    stop: float = 0.0
    start: dict[str, float] = dataclasses.field(default_factory=dict)
    spikes: list[tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=list)
    samples: dict[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)
    chosen: dict[str, _Chosen] = dataclasses.field(default_factory=dict)

    def all_spikes(self) -> np.ndarray:
        """Rows (cell, time in ms), by cell, then time."""
        rows = np.concatenate([np.empty((0, 2)), *(np.column_stack((cells, times)) for times, cells in self.spikes)])
        return rows[np.lexsort((rows[:, 1], rows[:, 0]))]

    def signal(self, variable: str) -> np.ndarray:
        """Samples of a variable, shape (samples, cells)."""
        cells = self.chosen[variable].cells
        return np.concatenate([np.empty((0, cells.size)), *self.samples.get(variable, [])])


class Recorder:
    """The recordings of one population: each variable has its own cells and its own sampling interval."""

    _simulator = simulator

    def __init__(self, population: Any, file: Any = None) -> None:
        self.population = population
        self.chosen: dict[str, _Chosen] = {}
        self._past: list[_Segment] = []
        self._simulator.state.recorders.add(self)
        self.forget()

    # -- choosing -------------------------------------------------------------------------------

    def names(self, variables: Any) -> list[str]:
        """The variables that ``variables`` stands for.

        Raises
        ------
        KeyError
            For one that the model does not let record.
        """
        known = self.population.celltype.recordable
        given = [variables] if isinstance(variables, str) else list(variables)
        if "all" in given:
            return list(known)
        for one in given:
            if one not in known:
                raise KeyError(f"{self.population.label}: it is not possible to record {one!r}; there is {', '.join(known)}")
        return given

    def choose(self, variables: Any, cells: np.ndarray, interval: float | None) -> None:
        """Record variables of more cells; ``variables=None``: of these no longer."""
        state = self._simulator.state
        state.check_active()
        if variables is None:
            if interval is not None:
                raise ConfigurationException("record(None) turns recording off: a sampling_interval has no meaning")
            for one, chosen in list(self.chosen.items()):
                chosen.cells = np.setdiff1d(chosen.cells, cells)
                if not chosen.cells.size:
                    del self.chosen[one]
            state.restructured()
            return
        steps = 1 if interval is None else interval / state.dt
        if steps < 1 or abs(steps - round(steps)) > 1e-6:
            raise ConfigurationException(
                f"{self.population.label}: sampling_interval must be a whole multiple of the time step {state.dt:g} ms, got {interval!r}")
        for one in self.names(variables):
            before = self.chosen.get(one)
            every = 1 if one == "spikes" else round(steps)
            if before is not None and before.steps != every:
                raise ConfigurationException(
                    f"{self.population.label}: {one} is recorded every {before.steps * state.dt:g} ms already; one interval for all cells"
                    f" of a population, got {every * state.dt:g} ms")
            if not self.population.celltype.receptor_types and cells.size < self.population.size:
                note(f"{self.population.label}: spikes of all sources are recorded, also of those outside the view")
                cells = np.arange(self.population.size)
            kept = cells if before is None else np.union1d(before.cells, cells)
            self.chosen[one] = _Chosen(np.sort(kept).astype(np.int64), every)
        state.restructured()

    def describe_to(self, network: Network) -> None:
        """Ask the network for what is to be recorded."""
        for variable, chosen in self.chosen.items():
            interval = None if variable == "spikes" else chosen.steps * self._simulator.state.dt
            network.record(self.population.at(chosen.cells), self.population.celltype.native_variable(variable)[0], interval)

    # -- keeping --------------------------------------------------------------------------------

    def start(self, simulation: Any) -> None:
        """Before a run."""
        self._now.chosen = {one: dataclasses.replace(chosen) for one, chosen in self.chosen.items()}

    def collect(self, result: Result) -> None:
        """Take what a run recorded."""
        now, label = self._now, self.population.native.label
        now.stop = self._simulator.state.t
        for variable, chosen in now.chosen.items():
            if variable == "spikes":
                spikes = result.spikes(label)
                kept = np.isin(spikes.ids, chosen.cells)
                now.spikes.append((np.asarray(spikes.times)[kept], np.asarray(spikes.ids)[kept]))
            else:
                native, sign = self.population.celltype.native_variable(variable)
                trace = result.traces(label, native)
                columns = np.searchsorted(trace.ids, chosen.cells)
                now.samples.setdefault(variable, []).append(sign * np.asarray(trace.values)[:, columns])

    def forget(self) -> None:
        """Begin an empty segment."""
        self._now = _Segment(self._simulator.state.segment_counter)

    def store_to_cache(self, annotations: Any = None) -> None:
        """Keep the segment that a reset ends."""
        if self._simulator.state.simulation is not None:
            self._past.append(self._now)

    # -- handing out ----------------------------------------------------------------------------

    def _current(self, variable: str) -> _Segment:
        if self._simulator.state.simulation is None:
            raise ConfigurationException(f"{self.population.label}: no recorded data: call run() first")
        if variable not in self._now.chosen:
            raise ConfigurationException(f"{self.population.label}: {variable} was not recorded")
        return self._now

    def counts(self, cells: np.ndarray) -> dict[int, int]:
        """Spikes of cells, by their index."""
        rows = self._current("spikes").all_spikes()
        counts = np.bincount(rows[:, 0].astype(np.int64), minlength=self.population.size)
        return {int(one): int(counts[one]) for one in cells}

    def table(self, variable: Any, cells: np.ndarray, as_matrix: bool) -> np.ndarray:
        """As `Population.spinnaker_get_data`."""
        if not isinstance(variable, str):
            if len(variable) != 1:
                raise ConfigurationException(f"only one type of data at a time is supported, got {list(variable)}")
            variable = variable[0]
        segment = self._current(variable)
        if variable == "spikes":
            rows = segment.all_spikes()
            return rows[np.isin(rows[:, 0], cells)]
        chosen, signal = segment.chosen[variable], segment.signal(variable)
        shown = self._shown(segment, variable, cells)
        signal = signal[:, np.searchsorted(chosen.cells, shown)]
        if as_matrix:
            return signal
        times = np.arange(signal.shape[0]) * (chosen.steps * self._simulator.state.dt)
        return np.column_stack((np.repeat(shown, times.size), np.tile(times, shown.size), signal.T.ravel()))

    def _shown(self, segment: _Segment, variable: str, cells: np.ndarray) -> np.ndarray:
        """Those of the cells that were recorded; a warning for the others."""
        missing = np.setdiff1d(cells, segment.chosen[variable].cells)
        if missing.size and cells.size < self.population.size:
            note(f"{self.population.label}: no {variable} of cells {missing.tolist()}: they were not recorded")
        return cells[np.isin(cells, segment.chosen[variable].cells)]

    def block(self, variables: Any, cells: np.ndarray | None, clear: bool, annotations: Any) -> Any:
        """Neo block of all segments; ``cells=None``: all."""
        neo = need("neo", "pynn")
        state, population = self._simulator.state, self.population
        if not state.has_run:
            raise ConfigurationException(f"{population.label}: no recorded data: call run() first")
        segments = list(self._past)
        if state.simulation is None:
            note(f"{population.label}: called directly after reset(): the data have no segment of what comes")
        else:
            segments.append(self._now)
        size, first = population.size, int(population.first_id)
        block = neo.Block(name=population.label, description=population.describe())
        block.annotate(size=size, first_index=0, last_index=size, first_id=first, last_id=first + size, label=population.label,
                       simulator=simulator.name, dt=state.dt, **(annotations or {}))
        for segment in segments:
            names = list(segment.chosen) if variables in ("all", None) or "all" in variables else self.names(variables)
            missing = [one for one in names if one not in segment.chosen]
            if missing and segment is self._now:
                raise ConfigurationException(f"{population.label}: {', '.join(missing)} was not recorded")
            made = neo.Segment(name=f"segment{segment.number}", description=block.description, rec_datetime=segment.when)
            block.segments.append(made)
            made.block = block
            for one in names:
                if one in segment.chosen:
                    self._fill(neo, made, segment, one, cells)
                    if clear:
                        self._clear(segment, one)
        return block

    def _fill(self, neo: Any, made: Any, segment: _Segment, variable: str, cells: np.ndarray | None) -> None:
        """Put a variable into a Neo segment."""
        population, dt = self.population, self._simulator.state.dt
        start, chosen = segment.start.get(variable, 0.0), segment.chosen[variable]
        first, rate = int(population.first_id), 1000.0 / (chosen.steps * dt)
        units = need("quantities", "pynn")
        if variable == "spikes":
            rows = segment.all_spikes()
            edges = np.searchsorted(rows[:, 0], np.arange(population.size + 1))
            for k in np.arange(population.size) if cells is None else cells:
                train = neo.SpikeTrain(
                    rows[edges[k]:edges[k + 1], 1], t_start=start, t_stop=segment.stop, units="ms", sampling_rate=rate * units.Hz,
                    source_population=population.label, source_id=int(k) + first, source_index=int(k), channel_id=int(k) + first)
                train.segment = made
                made.spiketrains.append(train)
            return
        shown = chosen.cells if cells is None else self._shown(segment, variable, cells)
        values = segment.signal(variable)[:, np.searchsorted(chosen.cells, shown)]
        signal = neo.AnalogSignal(
            values, units=population.celltype.units[variable] or "dimensionless", t_start=start * units.ms, sampling_rate=rate * units.Hz,
            name=variable, source_population=population.label, source_ids=(shown + first).tolist(), channel_names=shown,
            array_annotations={"channel_index": shown})
        signal.segment = made
        made.analogsignals.append(signal)

    def _clear(self, segment: _Segment, variable: str) -> None:
        """Drop what was handed out; later data begin now."""
        segment.start[variable] = segment.stop
        if variable == "spikes":
            segment.spikes = []
        else:
            segment.samples[variable] = []
