"""A network on SpiNNaker, run in the machine's own arithmetic: the spikes that a board would send."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from typing import Any

import numpy as np

from neurosim.console import announce_compilation, interruptible, run_bar
from neurosim.description import duration_steps
from neurosim.errors import NetworkError, ParameterError, SimulationError
from neurosim.kernels import spinnaker as kernel
from neurosim.network import Cells, Network, Projection
from neurosim.result import Result, Weights, concatenate

from . import changes, checkpoint
from .deployment import Deployment
from .load import load
from .machine import build, most_spikes, records_of
from .recording import Recorder

__all__ = ["Emulation", "emulate"]

_CHUNK_TICKS = 4096
_CHUNK_SECONDS = 0.2
_SAMPLE_BYTES = 64 * 2**20  # of one call of the loop
# What a run changes; all else is as it was loaded.
STATE = ("state", "ring", "saturated", "weight", "row_time", "row_trace", "post_times", "post_traces", "post_count", "given_next",
         "seeds", "sources", "currents", "current_seeds")


def emulate(network: Network, duration: float, dt: float = 1.0, progress: bool = False, **settings: Any) -> Result:
    """What a SpiNNaker board would record of a network in ``duration`` ms.

    Parameters
    ----------
    network : Network
    duration : float
        ms, a multiple of dt.
    dt : float
        Step of the machine, ms.
    progress : bool
    **settings
        Other fields of `neurosim.hardware.spinnaker.deployment.Settings`.

    Raises
    ------
    NetworkError
        If the network cannot be deployed; says why, and what to do instead.
    ParameterError
        If the duration is not a positive multiple of dt, or for settings without meaning.
    """
    return Emulation(network, dt, **settings).run(duration, progress)


class Emulation:
    """A network as a SpiNNaker board runs it.

    Each tick of ``dt`` ms the input that is due is added to the synapses of all cells, states are recorded, cells advance and spikes
    are sent; what they send arrives in later ticks.  A spike of tick t has the time t dt; a sample of tick t is the state at its
    start.  Spikes, states and weights are those of the machine to the last bit, with these exceptions: sources of 10 and more
    spikes a tick and noisy currents are only statistically the same, and a seed that sPyNNaker would draw is made from
    ``Settings.seed`` and the population's label.  Packets are never late and never lost, and what a board has not enough of (memory,
    cores, time) is not looked at: `check` does.

    Parameters
    ----------
    network : Network
    dt : float
        Step of the machine, ms.
    **settings
        Other fields of `neurosim.hardware.spinnaker.deployment.Settings`.

    Attributes
    ----------
    deployment : Deployment
        What is run: weights, delays and parameters as the machine stores them.

    Raises
    ------
    NetworkError
        If the network cannot be deployed; says why, and what to do instead.
    ParameterError
        For settings without meaning.
    """

    def __init__(self, network: Network, dt: float = 1.0, **settings: Any) -> None:
        if not isinstance(network, Network):
            raise ParameterError(f"Emulation needs a Network, got {network!r}")
        self._build(load(network, dt=dt, **settings))

    @classmethod
    def of(cls, deployment: Deployment) -> Emulation:
        """The emulation of a network that is loaded already."""
        made = object.__new__(cls)
        made._build(deployment)
        return made

    def _build(self, deployment: Deployment) -> None:
        deployment.refuse()
        if not deployment.cells:
            raise NetworkError(f"{deployment.network.label} has no population: there is nothing to emulate")
        announce_compilation("spinnaker.run_ticks")
        began = time.perf_counter()
        self.deployment, self.network, self.dt = deployment, deployment.network, float(deployment.settings.dt)
        machine, self._layout = build(deployment)
        self._recorder = Recorder(deployment, self._layout)
        rows, ids = records_of(self._recorder.sampled, deployment, self._layout)
        self._m = machine._replace(records=rows, record_ids=ids)
        self._initial = {name: getattr(machine, name).copy() for name in STATE}
        self._loaded_poisson = {cells.label: cells.parameters for cells in deployment.cells if cells.is_source and cells.ticks is None}
        self._poisson = dict(self._loaded_poisson)  # parameters of Poisson sources as they are now
        self._history = int(machine.lags.max())
        self._worst = self._most()
        self._described = changes.described(deployment.network)
        self._speed = 0.0
        self._start()
        kernel.run_ticks(self._m, 0, 0, 0, 0)  # compiled now, so that the time of a run is that of the run
        self.build_seconds = time.perf_counter() - began

    def __repr__(self) -> str:
        cells = sum(one.size for one in self.deployment.cells)
        return f"<{self.network.label} on SpiNNaker, emulated: {cells} cells, at {self.t:g} ms>"

    def _most(self) -> int:
        """More spikes than a tick ever has."""
        return most_spikes(self.deployment, self._m.pops, self._poisson)

    def _start(self) -> None:
        self._tick = 0
        self._past = np.empty(0, np.int32)  # spikes that delay extensions may still send, and how many in each of the last ticks
        self._counts = np.zeros(self._history, np.int64)
        self._chunks = [self._recorder.nothing(self._tick)]

    # -- running --------------------------------------------------------------------------------

    @property
    def t(self) -> float:
        """Emulated time, ms: that of the next tick."""
        return self._tick * self.dt

    def run(self, duration: float, progress: bool = False) -> Result:
        """Emulate ``duration`` ms more.

        Parameters
        ----------
        duration : float
            ms, a multiple of dt.
        progress : bool
            Show emulated time, speed against real time and spikes.

        Returns
        -------
        Result
            What was recorded in this call; `result` has everything.  After Ctrl-C, what was computed until then, with
            ``complete = False``.

        Raises
        ------
        ParameterError
            If the duration is not a positive multiple of dt.
        SimulationError
            If the network was changed since this was made (`follow` goes on with it as it is now), or Poisson sources sent more
            spikes in a tick than there is room for.
        """
        if changes.described(self.network) != self._described:
            raise SimulationError(f"{self.network.label} was changed after the emulation had been made: follow() gives an emulation that"
                                  " goes on with the network as it is now, or make a new one")
        goal = self._tick + duration_steps(duration, self.dt)
        if goal >= 2**31:
            raise ParameterError(f"the machine's clock ends at {2**31 * self.dt:g} ms, asked was {goal * self.dt:g} ms")
        first = len(self._chunks)
        wall, cpu = time.perf_counter(), time.process_time()
        with interruptible() as stop, run_bar(progress, duration) as bar:
            while self._tick < goal and not stop.is_set():
                self._chunks.append(self._advance(goal))
                bar(self._chunks[-1])
        if len(self._chunks) == first:
            self._chunks.append(self._recorder.nothing(self._tick))
        result = self._joined(first)
        result.complete = self._tick == goal
        result.provenance.update(wall_s=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)
        return result

    def _advance(self, goal: int) -> Result:
        """One call of the compiled loop; returns what it recorded."""
        per_tick = self._recorder.bytes_per_tick()
        limit = min(_CHUNK_TICKS, max(1.0, _CHUNK_SECONDS * self._speed) if self._speed else 64,
                    max(1.0, _SAMPLE_BYTES / per_tick) if per_tick else _CHUNK_TICKS)
        start = self._tick
        stop = min(goal, start + int(limit))
        m = self._room(start, stop)
        base = start - self._history
        began = time.perf_counter()
        reached = kernel.run_ticks(m, start, stop, base, self._worst)
        if reached < 0:
            raise SimulationError(f"Poisson sources sent more spikes in tick {-1 - reached} than there is room for: lower rates or dt")
        self._speed = (reached - start) / max(time.perf_counter() - began, 1e-6)
        self._tick = int(reached)
        pointer = m.pointer[:reached - base + 1]
        chunk = self._recorder.harvest(m, start, self._tick, pointer[self._history:])
        kept = pointer[reached - start:]
        self._counts = np.diff(kept)
        self._past = m.spikes[kept[0]:kept[-1]].copy()
        return chunk

    def _room(self, start: int, stop: int) -> kernel.Machine:
        """The arrays with room for spikes and samples of ticks start .. stop - 1."""
        m = self._m
        sampled = self._recorder.places(m, start, stop)
        samples = m.samples if m.samples.size >= sampled else np.empty(sampled, np.int32)
        room = self._past.size + 4 * self._worst + 65536
        spikes = m.spikes if m.spikes.size >= room else np.empty(room + room // 4, np.int32)
        spikes[:self._past.size] = self._past
        pointer = np.zeros(self._history + stop - start + 1, np.int64)
        np.cumsum(self._counts, out=pointer[1:self._history + 1])
        self._m = m._replace(samples=samples, spikes=spikes, pointer=pointer)
        return self._m

    # -- recording ------------------------------------------------------------------------------

    def _joined(self, first: int) -> Result:
        joined = concatenate(self._chunks[first:])
        joined.provenance.update(self.provenance())
        self._chunks[first:] = [joined]
        return joined

    @property
    def result(self) -> Result:
        """Everything recorded since the start, the last `reset` or `clear`."""
        return self._joined(0)

    def clear(self) -> None:
        """Forget what was recorded so far; the emulation goes on."""
        self._chunks = [self._recorder.nothing(self._tick)]

    def provenance(self) -> dict[str, Any]:
        """Where results come from: versions, settings, additions that saturated."""
        from neurosim import __version__
        return {"neurosim": __version__, "numpy": np.__version__, "numba": version("numba"), "python": platform.python_version(),
                "machine": platform.machine(), "target": "SpiNNaker, emulated", "dt": self.dt, "seed": self.deployment.settings.seed,
                "network_seed": self.network.seed, "precision": "s16.15", "build_s": self.build_seconds,
                "saturations": {f"{label}/{receptor}": count for (label, receptor), count in self.saturations.items() if count}}

    @property
    def saturations(self) -> dict[tuple[str, str], int]:
        """How many additions to ring buffers were cut at 0xFFFF so far, by population and receptor."""
        counts = {}
        for cells, row in zip(self.deployment.cells, self._m.pops, strict=True):
            for kind, receptor in enumerate(cells.receptors):
                counts[cells.label, receptor] = int(self._m.saturated[row[kernel.P_SHIFTS] + kind])
        return counts

    # -- reading and writing state ----------------------------------------------------------------

    def get(self, target: Cells | str, variable: str) -> np.ndarray:
        """A state variable of cells now; float64, shape (size,)."""
        return changes.get(self, target, variable)

    def set(self, target: Cells | str, **values: Any) -> None:
        """Change state variables of cells, or the ``rate`` (Hz) of Poisson sources, between two runs.

        As on the machine, all sources of a population draw their next spikes anew when the rate of any of them is set.

        Parameters
        ----------
        target : Population, PopulationView, or label
            A label may also be that of the sources of a Poisson input.
        **values : number or array of shape (size,)

        Raises
        ------
        NetworkError
            For cells of another network.
        ParameterError
            For what the cells do not have, or a number that the machine cannot hold; nothing is set then.
        """
        changes.set_values(self, target, values)

    def weights(self, projection: Projection | str) -> Weights:
        """The synapses of a projection as a board would return them: weights as they are stored now, with the projection's sign.

        Their order is that of `neurosim.wiring.arrays`, as in `Simulation.weights`.

        Raises
        ------
        NetworkError
            If the network has no such projection.
        """
        return changes.weights(self, projection)

    def reset(self) -> None:
        """Back to time 0 and the initial state, weights and seeds; what was recorded is dropped."""
        for name, value in self._initial.items():
            getattr(self._m, name)[...] = value
        self._poisson = dict(self._loaded_poisson)
        self._start()

    def follow(self) -> Emulation:
        """An emulation of the network as it is now, which goes on from the state and the time of this one.

        Between two runs sPyNNaker lets change parameters of cells, rates and times of sources, injected currents, and what is
        recorded; populations and synapses stay.  Where a parameter of a population of Poisson sources was changed, all of them
        draw their next spikes anew; given spikes that are past are not sent.  This emulation stays as it is, with what it recorded;
        the other begins without any recorded data.

        Raises
        ------
        NetworkError
            If populations or synapses are others, or the network cannot be deployed any more.
        """
        return changes.follow(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write the whole state: what follows `load` is what would have followed here.

        Raises
        ------
        FileFormatError
            If the file cannot be written.
        """
        checkpoint.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike, network: Network) -> Emulation:
        """Go on from a saved state, with the settings that it was saved with; without any recorded data.

        Parameters
        ----------
        network : Network
            The same description that was saved from.

        Raises
        ------
        FileFormatError
            For a file that is damaged, cut short, or not a saved state, or one of another network.
        """
        return checkpoint.read(cls, path, network)
