"""What was recorded, kept between runs until it is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN import errors, recording
from pyNN.morphology import LabelledLocations
from pyNN.recording import Variable

from ..engine import Simulation
from ..network import Network
from ..result import Result, Spikes
from ..wiring import whole_steps
from . import simulator

__all__ = ["Recorder"]


class Recorder(recording.Recorder):
    """The recordings of one population.

    Spikes are kept as (times, cells); a state variable as blocks of samples, each of the cells that were recorded then.
    Sources with given times are recorded with these, not with the steps at which they act.
    """

    _simulator = simulator

    def __init__(self, population: Any, file: Any = None) -> None:
        super().__init__(population, file)
        self.forget()

    def forget(self) -> None:
        """Drop all samples."""
        self._spikes: list[tuple[np.ndarray, np.ndarray]] = []
        self._samples: dict[Variable, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}

    def _record(self, variable: Variable, new_ids: set, sampling_interval: float | None = None) -> None:
        if variable.name != "spikes":
            interval = self._simulator.state.dt if sampling_interval is None else sampling_interval
            steps = interval / self._simulator.state.dt
            if interval <= 0 or abs(steps - round(steps)) > 1e-6:
                raise errors.InvalidParameterValueError(
                    f"{self.population.label}: sampling_interval must be a multiple of the time step"
                    f" {self._simulator.state.dt:g} ms, got {interval!r}"
                )
            self.sampling_interval = interval
        self._simulator.state.changed()

    def _localize_variables(self, variables: Any, locations: Any) -> list[Variable]:
        """Variables with the sections at which they are to be recorded."""
        if locations is None:
            return super()._localize_variables(variables, None)
        names = [variables] if isinstance(variables, str) else list(variables)
        places = [locations] if isinstance(locations, (str, LabelledLocations)) else list(locations)
        labels = [label for place in places for label in ([place] if isinstance(place, str) else place.labels)]
        return [Variable(name=name, location=label, label=label) for label in labels for name in names]

    def _reset(self) -> None:
        self._simulator.state.changed()

    def _chosen(self, variable: Variable) -> np.ndarray:
        """Which cells of the population are recorded, ascending."""
        ids = self.recorded[variable]
        return np.sort(np.fromiter((int(one) for one in ids), np.int64, len(ids))) - int(self.population.first_id)

    def _places(self, variable: Variable) -> np.ndarray:
        """The neurons of the native population that these cells are."""
        return self.population.places(self._chosen(variable), variable.location)

    def describe_to(self, network: Network) -> None:
        """Ask the network for what is to be recorded."""
        for variable in self.recorded:
            if self.recorded[variable]:
                cells = self.population.at(self._places(variable))
                network.record(cells, variable.name, None if variable.name == "spikes" else self.sampling_interval)

    def start(self, simulation: Simulation) -> None:
        """Before a run: the samples at this moment, of variables that have none yet."""
        step = round(simulation.t / simulation.dt)
        for variable in self.recorded:
            if variable.name == "spikes" or not self.recorded[variable] or step == 0 or step % self._every:
                continue
            chosen, kept = self._chosen(variable), self._samples.setdefault(variable, [])
            if kept and kept[-1][0][-1] == step and np.array_equal(kept[-1][1], chosen):
                continue
            values = simulation.get(self.population.native, variable.name)[self._places(variable)]
            kept.append((np.array([step]), chosen, values[None, :]))

    @property
    def _every(self) -> int:
        return round(self.sampling_interval / self._simulator.state.dt)

    def collect(self, result: Result) -> None:
        """Take what a run recorded."""
        if self.population.native is None:
            return
        label = self.population.native.label
        dt = self._simulator.state.dt
        for variable in self.recorded:
            if not self.recorded[variable] or variable.name not in result.recorded.get(label, ()):
                continue
            chosen, places = self._chosen(variable), self._places(variable)
            if variable.name == "spikes":
                spikes = result.spikes(label)
                exact = self.population.celltype.given_times(self.population.values, self.population.size)
                times = spikes.times if exact is None else _exact(spikes, exact, dt)
                self._spikes.append((times, chosen[np.searchsorted(places, spikes.ids)]))
            else:
                trace = result.traces(label, variable.name)
                if trace.times.size:
                    own = slice(None) if trace.ids.size == places.size else np.searchsorted(trace.ids, places)
                    steps = np.rint(trace.times / dt).astype(np.int64)
                    self._samples.setdefault(variable, []).append((steps, chosen, trace.values[:, own]))

    def _first_row(self) -> int:
        """The time at which samples of the current segment begin, in sampling intervals."""
        return -(-round(float(self._recording_start_time) / self._simulator.state.dt) // self._every)

    def _get_current_segment(self, filter_ids: Any = None, variables: Any = "all", clear: bool = False) -> Any:
        """As PyNN's; samples begin at a multiple of the sampling interval, also where the recording did not."""
        segment = super()._get_current_segment(filter_ids, variables, clear)
        first = self._first_row() * self._every
        if first != round(float(self._recording_start_time) / self._simulator.state.dt):
            for signal in segment.analogsignals:
                signal.t_start = first * self._simulator.state.dt * self._recording_start_time.units
        return segment

    def _all_spikes(self) -> tuple[np.ndarray, np.ndarray]:
        """(times in ms, cells within the population), in order of time."""
        if len(self._spikes) != 1:
            times = np.concatenate([np.empty(0), *(part[0] for part in self._spikes)])
            self._spikes = [(times, np.concatenate([np.empty(0, np.int64), *(part[1] for part in self._spikes)]))]
        return self._spikes[0]

    def _get_spiketimes(self, ids: Any, clear: bool = False) -> tuple[np.ndarray, np.ndarray]:
        times, cells = self._all_spikes()
        first = int(self.population.first_id)
        wanted = np.zeros(self.population.size, bool)
        wanted[np.asarray(ids, np.int64) - first] = True
        keep = wanted[cells] & (times <= self._simulator.state.t)  # given times may lie after the step at which they act
        return cells[keep] + first, times[keep]

    def _get_all_signals(self, variable: Variable, ids: Any, clear: bool = False) -> tuple[np.ndarray, None]:
        """Samples of cells since the recording began: float64, shape (samples, cells); NaN where none was taken."""
        every, dt, begin = self._every, self._simulator.state.dt, self._first_row()
        end = round(self._simulator.state.t / dt) // every
        cells = np.asarray(ids, np.int64) - int(self.population.first_id)
        column = np.full(self.population.size, -1, np.int64)
        column[cells] = np.arange(cells.size)
        signal = np.full((end - begin + 1, cells.size), np.nan)
        for steps, recorded, values in self._samples.get(variable, []):
            rows, columns = steps // every - begin, column[recorded]
            inside, shown = (rows >= 0) & (rows < signal.shape[0]) & (steps % every == 0), columns >= 0
            if inside.all() and shown.all() and cells.size == recorded.size and rows[-1] - rows[0] + 1 == rows.size:
                signal[rows[0]:rows[0] + rows.size, columns] = values
            else:
                signal[np.ix_(rows[inside], columns[shown])] = values[np.ix_(inside, shown)]
        return signal, None

    def _local_count(self, variable: Variable, filter_ids: Any = None) -> dict[int, int]:
        ids = self.filter_recorded(variable, filter_ids)
        first = int(self.population.first_id)
        counts = np.bincount(self._all_spikes()[1], minlength=self.population.size)
        return {int(one): int(counts[int(one) - first]) for one in ids}

    def _clear_simulator(self) -> None:
        """Drop what was recorded, but for the samples of this moment, with which the next data begin, and given times to come."""
        times, cells = self._all_spikes()
        later = times > self._simulator.state.t
        self._spikes = [(times[later], cells[later])]
        for variable, kept in self._samples.items():
            steps, cells, values = kept[-1]
            self._samples[variable] = [(steps[-1:], cells, values[-1:].copy())]


def _exact(spikes: Spikes, given: list[np.ndarray], dt: float) -> np.ndarray:
    """The given times of spikes that were recorded on the grid."""
    times, ids = spikes.times.copy(), np.asarray(spikes.ids)
    order = np.argsort(ids, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
        if own.size:
            all_times = np.sort(given[ids[own[0]]])
            first = np.searchsorted(whole_steps(all_times, dt, least=0.0), np.rint(times[own[0]] / dt))
            times[own] = all_times[first:first + own.size]
    return times
