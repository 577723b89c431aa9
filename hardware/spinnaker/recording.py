"""What an emulation records, made from the arrays of its loop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurosim.kernels import spinnaker as kernel
from neurosim.result import Result, Spikes, Trace, populations_of

from .cells import MODELS
from .deployment import Deployment, Sampled
from .machine import Layout

__all__ = ["Recorder"]


class Recorder:
    """Makes results of what the loop left behind.

    Parameters
    ----------
    deployment : Deployment
    layout : Layout
    """

    def __init__(self, deployment: Deployment, layout: Layout) -> None:
        self._deployment, self._layout, self._dt = deployment, layout, float(deployment.settings.dt)
        self._populations = populations_of(deployment.network)
        self.sampled = [one for one in deployment.records if one.variable != "spikes"]

    def bytes_per_tick(self) -> float:
        """Of samples."""
        return sum(4.0 * self._ids(one).size / one.steps for one in self.sampled)

    def places(self, m: kernel.Machine, start: int, stop: int) -> int:
        """Tell the loop where the samples of ticks start .. stop - 1 go; returns how many there are."""
        at = 0
        for row in m.records:
            row[kernel.S_OUT] = at
            at += _sampled(start, stop, int(row[kernel.S_EVERY])).size * int(row[kernel.S_N])
        return at

    def harvest(self, m: kernel.Machine, start: int, stop: int, pointer: np.ndarray) -> Result:
        """What was recorded in ticks start .. stop - 1, the places of whose spikes are in ``pointer``."""
        ids = m.spikes[pointer[0]:pointer[-1]]
        ticks = np.repeat(np.arange(start, stop), np.diff(pointer))
        spikes, traces = {}, {}
        for one in self._deployment.records:
            if one.variable == "spikes":
                row = m.pops[self._layout.place[one.label]]
                own = (ids >= row[kernel.P_FIRST]) & (ids < row[kernel.P_FIRST] + row[kernel.P_N])
                local, times = ids[own] - np.int32(row[kernel.P_FIRST]), ticks[own] * self._dt
                if one.ids is not None:
                    keep = np.isin(local, one.ids)
                    local, times = local[keep], times[keep]
                spikes[one.label] = self._spikes(one, times, local, start, stop)
        for one, row in zip(self.sampled, m.records, strict=True):
            at = _sampled(start, stop, one.steps)
            raw = m.samples[row[kernel.S_OUT]:row[kernel.S_OUT] + at.size * row[kernel.S_N]].reshape(at.size, row[kernel.S_N])
            traces[one.label, one.variable] = self._trace(one, at * self._dt, raw)
        return self._result(start, stop, spikes, traces)

    def nothing(self, tick: int) -> Result:
        """What is recorded in no time."""
        spikes = {one.label: self._spikes(one, np.empty(0), np.empty(0, np.int32), tick, tick)
                  for one in self._deployment.records if one.variable == "spikes"}
        traces = {(one.label, one.variable): self._trace(one, np.empty(0), np.empty((0, self._ids(one).size), np.int32))
                  for one in self.sampled}
        return self._result(tick, tick, spikes, traces)

    def _ids(self, one: Sampled) -> np.ndarray:
        return np.arange(self._deployment[one.label].size, dtype=np.int32) if one.ids is None else one.ids.astype(np.int32)

    def _spikes(self, one: Sampled, times: np.ndarray, ids: np.ndarray, start: int, stop: int) -> Spikes:
        return Spikes(times, ids, self._deployment[one.label].size, start * self._dt, stop * self._dt, one.ids, one.label)

    def _trace(self, one: Sampled, times: np.ndarray, raw: np.ndarray) -> Trace:
        cells = self._deployment[one.label]
        states = cells.population.cell.states if cells.population is not None else {}
        unit = states[one.variable].unit if one.variable in states else ""
        return Trace(times, self._ids(one), raw * MODELS[cells.model].variables[one.variable][1], unit)

    def _result(self, start: int, stop: int, spikes: Mapping[str, Spikes], traces: Mapping[tuple[str, str], Trace]) -> Result:
        return Result(label=self._deployment.network.label, dt=self._dt, t_start=start * self._dt, t_stop=stop * self._dt,
                      seed=self._deployment.settings.seed, populations=self._populations, spikes=spikes, traces=traces)


def _sampled(start: int, stop: int, every: int) -> np.ndarray:
    """The multiples of ``every`` in start .. stop - 1."""
    return np.arange(-(-start // every) * every, stop, every)
