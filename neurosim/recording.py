"""What is recorded, and how it is taken out of the compiled loop's arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import NetworkError, ParameterError
from .groups import Group
from .network import Network, Population
from .result import Result, Spikes, Trace, Weights, populations_of

__all__ = ["Recorder", "Recording", "interval_steps", "recordings"]

_TRACE_BYTES = 64 * 2**20  # samples of one call of the loop


@dataclasses.dataclass(eq=False)
class Recording:
    """One variable of one population: merged from all that was asked for.

    ``ids`` are indices within the population, ascending; ``every`` is in steps.
    """

    population: Population
    variable: str
    ids: np.ndarray
    every: int
    group: Group
    first: int

    @property
    def label(self) -> str:
        """The population's."""
        return self.population.label

    @property
    def chosen(self) -> np.ndarray | None:
        """The recorded cells; None for all."""
        return None if self.ids.size == self.population.size else self.ids

    @property
    def unit(self) -> str:
        """Unit of the state variable."""
        return self.population.cell.states[self.variable].unit


def recordings(network: Network, place: Mapping[str, tuple[Group, int]], dt: float) -> list[Recording]:
    """What the network asks to be recorded, one entry for each population and variable.

    Raises
    ------
    NetworkError
        If one variable is asked for at two intervals.
    ParameterError
        If an interval is not a multiple of dt.
    """
    merged: dict[tuple[str, str], Recording] = {}
    for record in network.records:
        population = record.target.population
        every = 1
        if record.interval is not None and record.variable != "spikes":
            every = interval_steps(record.interval, dt, f"recording of {record.variable} of {record.target.label}")
        key = (population.label, record.variable)
        group, first = place[population.label]
        if key not in merged:
            merged[key] = Recording(population, record.variable, np.sort(record.target.indices), every, group, first)
            continue
        if merged[key].every != every:
            raise NetworkError(
                f"{record.variable} of {population.label} is recorded at two intervals, {merged[key].every * dt:g}"
                f" and {every * dt:g} ms"
            )
        merged[key].ids = np.union1d(merged[key].ids, record.target.indices)
    return list(merged.values())


def interval_steps(interval: float, dt: float, what: str) -> int:
    """An interval in steps; raises :class:`ParameterError` unless it is a multiple of dt."""
    steps = round(interval / dt)
    if steps < 1 or abs(steps * dt - interval) > 1e-6 * dt:
        raise ParameterError(f"{what}: interval must be a multiple of dt = {dt:g} ms, got {interval:g} ms")
    return steps


class Recorder:
    """Makes results from the arrays of the compiled loop.

    Spikes of a part lie in one flat list; column ``s`` of its pointers is where those of step ``base + s`` begin.
    """

    def __init__(self, network: Network, groups: list[Group], place: Mapping[str, tuple[Group, int]], dt: float,
                 seed: int) -> None:
        from .kernels import engine
        self._k, self._place, self._dt = engine, place, dt
        self._first_part = {}
        first = 0
        for group in groups:
            self._first_part[id(group)] = first
            first += group.n_parts
        self._sizes = {p.label: p.size for p in network.populations}
        self.recorded = recordings(network, place, dt)
        self._whole = {one.label for one in self.recorded if one.variable == "spikes" and one.chosen is None}
        self.populations = populations_of(network)
        self._facts: dict[str, Any] = {"label": network.label, "dt": dt, "seed": seed, "populations": self.populations}

    @property
    def traced(self) -> list[Recording]:
        """The recordings of states."""
        return [one for one in self.recorded if one.variable != "spikes"]

    def longest_call(self, otherwise: int) -> int:
        """Steps whose samples fit into the buffer."""
        per_step = sum(8.0 * one.ids.size / one.every for one in self.traced)
        return max(1, int(_TRACE_BYTES / per_step)) if per_step else otherwise

    def make_room(self, net: Any, start: int, stop: int) -> tuple[Any, list[int]]:
        """The arrays with room for the samples of steps start + 1 .. stop, and where each recording begins."""
        at, places = 0, []
        for one in self.traced:
            places.append(at)
            at += _sampled(start, stop, one.every).size * one.ids.size
        if net.traces.size < at:
            net = net._replace(traces=np.empty(at))
        for row in net.records:
            row[self._k.R_OUT] = places[row[self._k.R_NUMBER]]
        return net, places

    def harvest(self, net: Any, places: list[int], base: int, start: int, stop: int, weights: Mapping[str, Weights]) -> Result:
        """Spikes and samples of steps start + 1 .. stop."""
        traces = {}
        for one, at in zip(self.traced, places, strict=True):
            steps = _sampled(start, stop, one.every)
            values = net.traces[at:at + steps.size * one.ids.size].reshape(steps.size, one.ids.size).copy()
            traces[one.label, one.variable] = Trace(steps * self._dt, one.ids, values, one.unit)
        return self._result(start * self._dt, stop * self._dt, self._spikes(net, base, start, stop), traces, weights)

    def at_zero(self, net: Any, base: int, value: Callable[[Population, str], np.ndarray],
                weights: Mapping[str, Weights]) -> Result:
        """States at time 0, and spikes that sources send at time 0."""
        traces = {(one.label, one.variable): Trace(np.zeros(1), one.ids, value(one.population, one.variable)[one.ids][None, :],
                                                   one.unit) for one in self.traced}
        return self._result(0.0, 0.0, self._spikes(net, base, -1, 0), traces, weights)

    def nothing(self, t: float, weights: Mapping[str, Weights]) -> Result:
        """A result without samples at time ``t``."""
        spikes = {one.label: self._made(one, np.empty(0), np.empty(0, np.int32), t, t)
                  for one in self.recorded if one.variable == "spikes"}
        traces = {(one.label, one.variable): Trace(np.empty(0), one.ids, np.empty((0, one.ids.size)), one.unit)
                  for one in self.traced}
        return self._result(t, t, spikes, traces, weights)

    def spikes_of(self, net: Any, base: int, label: str, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """(steps, ids within the population) of its spikes in steps start + 1 .. stop, in order of time, then id."""
        k = self._k
        group, offset = self._place[label]
        end = offset + self._sizes[label]
        first = self._first_part[id(group)]
        column = start + 1 - base
        all_steps, all_ids = [], []
        for p in range(first, first + group.n_parts):
            lo, hi = net.parts[p, k.P_LO], net.parts[p, k.P_HI]
            if hi <= offset or lo >= end:
                continue
            ends = net.pointer[p, column:stop - base + 2]
            ids = net.spikes[net.offsets[p] + ends[0]:net.offsets[p] + ends[-1]]
            steps = np.repeat(np.arange(start + 1, stop + 1), np.diff(ends))
            if lo < offset or hi > end:
                own = (ids >= offset) & (ids < end)
                ids, steps = ids[own], steps[own]
            all_steps.append(steps)
            all_ids.append(ids - offset)
        if len(all_steps) == 1:
            return all_steps[0], all_ids[0].astype(np.int32)
        steps, ids = np.concatenate(all_steps), np.concatenate(all_ids)
        order = np.argsort(steps, kind="stable")
        return steps[order], ids[order].astype(np.int32)

    def ids_of(self, net: Any, base: int, chunk: Result, label: str, start: int, stop: int) -> np.ndarray:
        """The cells of a population that spiked in a chunk, recorded or not."""
        if label in self._whole:
            return chunk.spikes(label).ids
        return self.spikes_of(net, base, label, start, stop)[1]

    def _spikes(self, net: Any, base: int, start: int, stop: int) -> dict[str, Spikes]:
        out = {}
        for one in self.recorded:
            if one.variable != "spikes":
                continue
            steps, ids = self.spikes_of(net, base, one.label, start, stop)
            if one.chosen is not None:
                keep = np.isin(ids, one.ids)
                steps, ids = steps[keep], ids[keep]
            out[one.label] = self._made(one, steps * self._dt, ids, max(start, 0) * self._dt, stop * self._dt)
        return out

    @staticmethod
    def _made(one: Recording, times: np.ndarray, ids: np.ndarray, t0: float, t1: float) -> Spikes:
        return Spikes(times, ids, one.population.size, t0, t1, one.chosen, one.label)

    def _result(self, t0: float, t1: float, spikes: Mapping[str, Spikes], traces: Mapping[tuple[str, str], Trace],
                weights: Mapping[str, Weights]) -> Result:
        return Result(t_start=t0, t_stop=t1, spikes=spikes, traces=traces, weights=weights, **self._facts)


def _sampled(start: int, stop: int, every: int) -> np.ndarray:
    """The multiples of ``every`` in start + 1 .. stop."""
    return np.arange(-(-(start + 1) // every) * every, stop + 1, every)
