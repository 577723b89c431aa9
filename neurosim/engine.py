"""The simulation: state, time, and what is read from and written to it."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from . import checkpoint, currents, learning, live, slow, wiring
from . import follow as going_on
from . import store as files
from .assemble import assemble
from .cells.sources import SpikeSourceGamma, most_in_a_step
from .console import announce_compilation, building, interruptible, run_bar
from .description import check_dt, check_threads, duration_steps, processors
from .errors import FileFormatError, NetworkError, ParameterError, SimulationError
from .groups import LONGEST_SLICE, SOURCE, Group, make_groups
from .network import Cells, Injection, Network, Projection
from .parameters import stream_key
from .recording import Recorder
from .result import Result, Weights, concatenate
from .result_io import ResultWriter
from .synapses import Store, build, refill

__all__ = ["Simulation"]

_CHUNK_STEPS = 4096
_SLICE_SPIKES = 4_000_000  # room for the most spikes of a part in one slice
_CHUNK_SECONDS = 0.2
_MOST_CHUNKS = 256  # results of single steps that are kept apart
_MUTABLE = ("mode", "rebuild", "x", "h", "h0", "rho", "base", "current", "due", "active", "n_active", "spikes",
            "offsets", "pointer", "counts", "following", "draws", "least", "rate", "array_next", "traces", "stats", "meeting", "full",
            "puts", "stirred", "records", "array_step", "array_id", "parts", "inputs", "lookup", "cdf", "zero")


class Simulation:
    """A network that runs.

    Parameters
    ----------
    network : Network
    dt : float
        Step, ms.  Delays, refractory times and spike times are whole steps.
    seed : int
        Decides Poisson spikes and noise, and which synapses come and go (the graph belongs to the network's seed).
    threads : int, optional
        The spikes do not depend on it.  By default all processors, or one if the network is too small to gain.
    update : {"auto", "clock", "event"}
        How linear neurons are updated: all at every step, only those that may fire, or whichever is cheaper
        by measured activity.  The spikes do not depend on it.
    stream : path, optional
        File that receives what is recorded while the run goes on (`neurosim.Result.load` opens it, also after
        a run that was killed).  Memory holds it too until `clear`.
    progress : bool
        Show the building of large networks.

    Raises
    ------
    ParameterError, NetworkError
        For a description that cannot be built; nothing is allocated before the checks.
    """

    def __init__(self, network: Network, dt: float = 0.1, seed: int = 1, threads: int | None = None,
                 update: str = "auto", stream: str | os.PathLike | None = None, progress: bool = False) -> None:
        _check_arguments(network, dt, seed, threads, update, stream)
        self._build(network, float(dt), int(seed), threads, update, progress)
        if stream is not None:
            self._open_stream(stream)
        self._begin()
        self._load_kernels()

    # -- setting up -----------------------------------------------------------------------------

    _step: int
    _base: int
    _store: Store

    def _build(self, network: Network, dt: float, seed: int, threads: int | None, update: str, progress: bool = False,
               before: Simulation | None = None, since: Mapping[str, int] | None = None) -> None:
        """All arrays, at no time yet; synapses that are those of the simulation ``before`` are taken from it.

        Projections named in ``since`` deliver only spikes that are sent after the step given there.
        """
        self.network, self.dt, self.seed, self.update = network, dt, seed, update
        announce_compilation()
        description = network.describe(dt)
        description.check_memory()
        self._description, self._fingerprint = str(description), network.fingerprint()
        self._described, self._cells = _lists(network), {p.label: p.cell for p in network.populations}
        self._current_numbers = list(range(len(network.injections)))  # by which injected currents draw their noise
        self._since = dict(since or {})
        self._processes, self._samples = slow.processes(network, self.dt)
        self.threads = _threads(threads, description)
        self._may_rest = threads is None  # whether fewer threads may be used than there are
        began = time.perf_counter()
        self._groups, self._place = make_groups(network, self.dt, self.seed)
        for group in self._groups:
            group.cut(self.threads, description.is_dense(group.members))
        self._recorder = Recorder(network, self._groups, self._place, self.dt, self.seed)
        with building(progress, description.synapses) as tick:
            self._store = build(network, self._groups, self._place, self.dt, tick, None if before is None else before._store, self._since)
        self.build_seconds = time.perf_counter() - began
        net, self._tables = assemble(network, self._groups, self._place, self._store, self._recorder.recorded, self.dt, self.seed)
        self._placed: dict[str, np.ndarray] = {}  # where the synapses of projections that change lie, and what they join
        self._bound: Any = None  # the arrays that the hook of plasticity knows
        self._settled = -1  # the step at which all weights were last brought up to date
        self._joins: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._watched = slow.watched(self)
        self._synapses = self._store.n_synapses
        self._prepare(net)
        self._initial = {name: getattr(self._net, name).copy() for name in checkpoint.SAVED}
        self._writer: ResultWriter | None = None
        self._held: dict[int, float] = {}
        self._step = 0

    def _prepare(self, net: Any) -> None:
        """Everything that follows from the arrays: owners, room for spikes, history."""
        from .kernels import engine as k
        self._k, self._net = k, net
        parts = net.parts
        kinds = net.groups[parts[:, k.P_GROUP], k.G_KIND]
        sizes, synapses = parts[:, k.P_HI] - parts[:, k.P_LO], self._part_synapses()
        self._owner = {n: _owners(sizes, synapses, n) for n in {1, self.threads}}
        self._pace: dict[int, float] = {}
        self._calls = 0
        self._multiplicity = np.where(kinds == SOURCE, self._most_per_step(), 1).astype(np.int64)
        refractory = int(net.refractory.max(initial=0))
        released = [learning.modulation_steps(one, self.dt) for one in self.network.modulations]
        self._history = max([self._store.longest_delay, refractory, 1, *released]) + 1
        largest = int(np.max((parts[:, k.P_HI] - parts[:, k.P_LO]) * self._multiplicity))
        scaled = [learning.modulation_steps(one, self.dt) for one in self.network.gains]
        shortest = min([self._store.shortest_delay or LONGEST_SLICE, *released, *scaled])
        self._slice = max(1, min(shortest, LONGEST_SLICE, _SLICE_SPIKES // largest))
        self._lists: list[np.ndarray] = [np.empty(0, np.int32)] * parts.shape[0]
        self._counts = np.zeros((parts.shape[0], self._history), np.int64)
        self._chunks: list[Result] = []
        self._speed = 0.0

    def _load_kernels(self) -> None:
        """Compile or load the main loop now, by no step, so that the time of a run is that of the run."""
        began = time.perf_counter()
        self._k.advance(self._k.core(self._net), self._owner[1], 0, 1, self._step, self._step, self._base, self._slice,
                        self._multiplicity, self.dt)
        self.compile_seconds = time.perf_counter() - began

    def _part_synapses(self) -> np.ndarray:
        sizes = np.zeros(self._net.parts.shape[0], np.int64)
        for block in self._store.blocks:
            first = self._net.groups[self._groups.index(block.target), self._k.G_PART0]
            sizes[first:first + block.bases.size - 1] += np.diff(block.bases)
        return sizes

    def _most_per_step(self) -> np.ndarray:
        """The most spikes that a source may send in one step; the chance of more is below 1e-20."""
        most = np.ones(self._net.parts.shape[0], np.int64)
        for p, row in enumerate(self._net.parts):
            group = self._groups[row[self._k.P_GROUP]]
            if group.kind != SOURCE:
                continue
            lo, hi = row[self._k.P_LO], row[self._k.P_HI]
            mean = float(self._net.rate[group.y + lo:group.y + hi].max(initial=0.0)) * self.dt
            cell = group.members[0].cell
            if hasattr(cell, "tbins"):
                mean = float(np.max(self.dt / (1000.0 * cell.a * cell.b)))
            most[p] = math.ceil(mean + 12.0 * math.sqrt(mean) + 20.0)
            if isinstance(cell, SpikeSourceGamma):
                own = slice(group.y + lo, group.y + hi)
                most[p] = most_in_a_step(float(self._net.dead[own].min()), float(self._net.rate[own].max()) * self.dt)
            if row[self._k.P_ARRS]:
                steps = self._net.array_step[row[self._k.P_ARR0]:row[self._k.P_ARR0] + row[self._k.P_ARRS]]
                densest = int(np.unique(steps, return_counts=True)[1].max())
                most[p] = max(1, -(-densest // int(hi - lo)))
        return most

    def _begin(self) -> None:
        """Put time to zero and let the sources draw their first times."""
        self._step = -1
        self._counts[:] = 0
        self._lists = [np.empty(0, np.int32) for _ in self._lists]
        self._draw_sources()
        base = self._layout(1)
        self._send_at_zero(-base)
        self._step = 0
        for counts in self._watched.values():
            counts[:] = 0
        for process in self._processes:
            process.begin(self)
        learning.start(self)
        if any(group.step is not None and group.step.from_zero for group in self._groups):
            learning.bind(self)
            self._k.begin(self._k.core(self._net), base, self.dt)
        self._keep(base)
        self._chunks = [self._recorder.at_zero(self._net, base, self.get, self._taken())]
        self._write(self._chunks[0])

    def _send_at_zero(self, column: int) -> None:
        """Step 0 of sources: only given spikes can lie there."""
        net, k = self._net, self._k
        net.pointer[:, column + 1] = net.pointer[:, column]
        for p, part in enumerate(net.parts):
            first, count = part[k.P_ARR0], part[k.P_ARRS]
            found = int(np.searchsorted(net.array_step[first:first + count], 0, side="right"))
            at = net.offsets[p] + net.pointer[p, column]
            net.spikes[at:at + found] = net.array_id[first:first + found]
            net.pointer[p, column + 1] += found
            net.array_next[p] = first + found

    def _draw_sources(self) -> None:
        """The first times of all sources."""
        from .kernels import sources
        net, k = self._net, self._k
        for row in net.parts:
            group = net.groups[row[k.P_GROUP]]
            if group[k.G_KIND] != SOURCE or group[k.G_SOURCE] == sources.ARRAY:
                continue
            y, n = group[k.G_Y], group[k.G_N]
            own = slice(y, y + n)
            bins = net.bins[group[k.G_BINS]:group[k.G_BINS] + 3 * group[k.G_NBINS]].reshape(3, -1)
            sources.prepare(group[k.G_SOURCE], np.uint64(int(group[k.G_KEY]) % 2**64), row[k.P_LO], row[k.P_HI], 0.0,
                            net.following[own], net.draws[own], net.least[row[k.P_LEAST]:], net.rate[own],
                            net.dead[own], net.start[own], net.stop[own], bins)

    # -- running --------------------------------------------------------------------------------

    @property
    def t(self) -> float:
        """Simulated time, ms."""
        return self._step * self.dt

    def run(self, duration: float, progress: bool = False) -> Result:
        """Simulate ``duration`` ms more.

        Parameters
        ----------
        duration : float
            ms, a multiple of dt.
        progress : bool
            Show simulated time, speed against real time and spikes.

        Returns
        -------
        Result
            What was recorded in this call; `result` has everything since the start.  After Ctrl-C, what was computed
            until then, with ``complete = False``.

        Raises
        ------
        ParameterError
            If the duration is not a positive multiple of dt.
        SimulationError
            If a source sends more spikes than there is room for; what was recorded before is kept.
        """
        steps = duration_steps(duration, self.dt)
        if steps >= 2**62:
            raise ParameterError(f"duration must be below {2.0**62 * self.dt:g} ms, got {duration:g} ms")
        self._check_unchanged()
        goal = self._step + steps
        first = len(self._chunks) if self._step > 0 else 0
        wall, cpu = time.perf_counter(), time.process_time()
        with interruptible() as stop, run_bar(progress, duration) as bar:
            while self._step < goal and not stop.is_set():
                chunk = self._advance(goal)
                self._chunks.append(chunk)
                self._write(chunk)
                bar(chunk)
        result = self._joined(first)
        result.complete = self._step == goal
        result.provenance.update(wall_s=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)
        return result

    def step(self, n: int = 1) -> dict[str, np.ndarray]:
        """Advance ``n`` steps (closed loops): the ids of the neurons that spiked, for every population.

        What the network records is recorded as in `run`.
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ParameterError(f"Simulation.step needs a whole number of steps >= 1, got {n!r}")
        self._check_unchanged()
        goal = self._step + int(n)
        out: dict[str, list[np.ndarray]] = {label: [] for label in self._place}
        while self._step < goal:
            start = self._step
            chunk = self._advance(goal)
            self._chunks.append(chunk)
            self._write(chunk)
            for label, ids in out.items():
                ids.append(self._recorder.ids_of(self._net, self._base, chunk, label, start, self._step))
        if len(self._chunks) > _MOST_CHUNKS:
            self._chunks[-_MOST_CHUNKS:] = [concatenate(self._chunks[-_MOST_CHUNKS:])]
        return {label: ids[0] if len(ids) == 1 else np.concatenate(ids) for label, ids in out.items()}

    def _check_unchanged(self) -> None:
        """What is changed in a network later is not simulated: say so instead of leaving it out."""
        now = _lists(self.network)
        if now == self._described and all(p.cell is self._cells[p.label] for p in now[0]):
            return
        what = "added to" if any(len(a) > len(b) for a, b in zip(now, self._described, strict=True)) else "changed"
        raise SimulationError(
            f"{self.network.label} was {what} after the simulation had been made: follow() gives a simulation that goes on with"
            " the network as it is now, or make a new Simulation"
        )

    def _advance(self, goal: int) -> Result:
        """One call of the compiled loop; returns what it recorded."""
        limit = _CHUNK_STEPS
        if self._speed > 0.0:
            limit = int(min(limit, max(1.0, _CHUNK_SECONDS * self._speed)))
        else:
            limit = 64
        start = self._step
        stop = min([goal, start + limit, start + self._recorder.longest_call(_CHUNK_STEPS),
                    *(start - start % one.every + one.every for one in self._processes)])
        self._choose_updates(stop - start)
        base = self._layout(stop - start)
        self._net, places = self._recorder.make_room(self._net, start, stop)
        net = self._net
        net.meeting[0] = 0
        net.full[:] = 0
        net.stats[:] = 0
        learning.bind(self)
        began = time.perf_counter()
        args = (start, stop, base, self._slice, self._multiplicity, self.dt)
        core = self._k.core(net)
        threads = self._threads_now()

        def work_of(thread: int) -> int:
            return self._k.advance(core, self._owner[threads], thread, threads, *args)

        if threads == 1:
            reached = work_of(0)
        else:
            with _SUBMITTING:  # one call's threads stand in the queue together, so that none waits for a later call's
                work = [_pool(threads).submit(work_of, thread) for thread in range(threads)]
            reached = max(job.result() for job in work)
        took = time.perf_counter() - began
        if reached > start:
            self._speed = (reached - start) / max(took, 1e-6)
            if reached - start >= 32:
                self._pace[threads] = self._speed
        self._step = int(reached)
        self._keep(base)
        slow.count_spikes(self, start)
        for process in self._processes:
            if self._step % process.every == 0 and self._step > start:
                process.act(self)
        chunk = self._recorder.harvest(net, places, base, start, self._step, self._taken())
        if net.full[2]:
            self._chunks.append(chunk)
            raise SimulationError("a source sent more spikes in one step than there is room for; lower its rate or dt")
        if net.full[3]:
            self._chunks.append(chunk)
            raise SimulationError("more spikes, or releases of dopamine, than plasticity can remember over the delays in the dendrites")
        return chunk

    def _taken(self) -> dict[str, Weights]:
        """The weights that are recorded at this step."""
        return {} if self._samples is None else self._samples.take(self)

    def _threads_now(self) -> int:
        """All threads, or one where that was measured to be faster; the other is tried again now and then."""
        self._calls += 1
        if not self._may_rest or self.threads == 1:
            return self.threads
        untried = [n for n in (self.threads, 1) if n not in self._pace]
        if untried:
            return untried[0]
        best, other = sorted(self._pace, key=self._pace.__getitem__, reverse=True)
        return other if self._calls % 64 == 0 else best

    def _layout(self, steps: int) -> int:
        """Lay out the spike lists for ``steps`` more steps, history first; returns the step of the first pointer."""
        k, net = self._k, self._net
        kept = np.array([part.size for part in self._lists], np.int64)
        sizes = net.parts[:, k.P_HI] - net.parts[:, k.P_LO]
        slices = min(-(-steps // self._slice), 8)
        room = kept + sizes * self._multiplicity * self._slice * (slices + 1) + 1024
        total = int(room.sum())
        spikes = net.spikes if net.spikes.size >= total else np.empty(total + total // 4, np.int32)
        pointer = net.pointer
        if pointer.shape[1] < self._history + steps + 2:
            pointer = np.zeros((net.parts.shape[0], self._history + max(steps, 64) + 2), np.int64)
        at = 0
        for p, part in enumerate(self._lists):
            net.offsets[p], net.parts[p, k.P_ROOM] = at, room[p]
            spikes[at:at + part.size] = part
            at += int(room[p])
        pointer[:, 0] = 0
        np.cumsum(self._counts, axis=1, out=pointer[:, 1:self._history + 1])
        self._net = net._replace(spikes=spikes, pointer=pointer)
        return self._step - self._history + 1

    def _keep(self, base: int) -> None:
        """After a call: remember the spikes of the last ``history`` steps."""
        net = self._net
        last = self._step - base + 1  # pointer column s holds step base + s
        first = last - self._history
        self._counts = np.diff(net.pointer[:, first:last + 1], axis=1)
        self._lists = [net.spikes[at + net.pointer[p, first]:at + net.pointer[p, last]].copy()
                       for p, at in enumerate(net.offsets)]
        self._base = base

    def _choose_updates(self, steps: int) -> None:
        """Clock or event updates for each modal group."""
        k, net = self._k, self._net
        for g, group in enumerate(self._groups):
            if group.modal is None:
                continue
            first = net.groups[g, k.G_PART0]
            parts = slice(first, first + group.n_parts)
            want = {"clock": 0, "event": 1}.get(self.update)
            if want is None:
                want = self._cheaper(g, group, parts, steps)
            if want == 1 and net.mode[g] == 0:
                net.rebuild[parts] = 1
            net.mode[g] = want

    def _cheaper(self, g: int, group: Group, parts: slice, steps: int) -> int:
        """1 if event updates are cheaper, from the last call's activity (ns: 0.3 a neuron step, 8 an event, 2 active)."""
        k, net = self._k, self._net
        if self._net.parts[parts, k.P_INPUTS].any() or steps < 16:
            return int(net.mode[g]) if steps < 16 else 0
        done = max(int(net.stats[parts, k.S_STEPS].max()), 1)
        events = float(net.stats[parts, k.S_EVENTS].sum()) / done
        if net.mode[g] == 1:
            active = float(net.stats[parts, k.S_ACTIVE].sum()) / done
        else:
            active = float(self._would_be_active(g, group, parts))
        clock, event = 0.3 * group.n, 8.0 * events + 2.0 * active
        return int(event < (1.2 if net.mode[g] == 1 else 0.6) * clock)

    def _would_be_active(self, g: int, group: Group, parts: slice) -> int:
        k, net = self._k, self._net
        modal = group.modal
        assert modal is not None
        width = modal.period + 1
        f = net.tables[net.groups[g, k.G_F]:]
        reach = k.modal.reach(group.kind, f, width)
        x = net.x[net.groups[g, k.G_X]:]
        return sum(
            k.count_active(net.parts[p, k.P_LO], net.parts[p, k.P_HI], group.kind, x, group.n, f,
                           self._step % modal.period, width, *reach, net.h[group.y:group.y + group.n])
            for p in range(parts.start, parts.stop)
        )

    # -- recording ------------------------------------------------------------------------------

    def _joined(self, first: int) -> Result:
        """The chunks from ``first`` on as one."""
        joined = concatenate(self._chunks[first:])
        joined.provenance.update(self.provenance())
        self._chunks[first:] = [joined]
        return joined

    @property
    def result(self) -> Result:
        """Everything recorded since the start, the last reset or `clear`."""
        return self._joined(0)

    def clear(self) -> None:
        """Forget what was recorded so far; the simulation goes on."""
        self._chunks = [self._recorder.nothing(self.t, self._samples.nothing(self) if self._samples is not None else {})]

    def provenance(self) -> dict[str, Any]:
        """Where results come from: versions, seeds, threads, the network in words."""
        import numba

        from . import __version__
        return {
            "neurosim": __version__, "numpy": np.__version__, "numba": numba.__version__,
            "python": platform.python_version(), "machine": platform.machine(), "dt": self.dt, "seed": self.seed,
            "network_seed": self.network.seed, "threads": self.threads, "update": self.update, "precision": "double",
            "network": self._description, "build_s": self.build_seconds,
        }

    # -- streaming ------------------------------------------------------------------------------

    def _open_stream(self, path: str | os.PathLike) -> None:
        self._writer = ResultWriter(path, label=self.network.label, dt=self.dt, t_start=self.t, seed=self.seed,
                                    populations=self._recorder.populations)
        for one in self._recorder.recorded:
            self._writer.recording(one.label, one.variable, one.chosen)

    def _write(self, chunk: Result) -> None:
        if self._writer is None:
            return
        for label, recorded in chunk.recorded.items():
            for variable in recorded:
                if variable == "spikes":
                    spikes = chunk.spikes(label)
                    self._writer.spikes(label, spikes.times, spikes.ids)
                else:
                    trace = chunk.traces(label, variable)
                    self._writer.trace(label, variable, trace.unit, trace.times, trace.ids, trace.values)
        for label, weights in chunk._weights.items():
            if weights.times is not None and weights.times.size:
                self._writer.weights(label, weights)
        self._writer.progress(self.t)

    def close(self) -> None:
        """Finish the stream, if there is one."""
        if self._writer is not None:
            self._writer.close(self.provenance())
            self._writer = None

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- reading and writing state ----------------------------------------------------------------

    def get(self, target: Cells, variable: str) -> np.ndarray:
        """A state variable of cells now; float64, shape (size,)."""
        return live.get(self, target, variable)

    def weights(self, projection: Projection | str) -> Weights:
        """The synapses of a projection, by target: weights with their senders and receivers, counted within their populations.

        Weights that change are those that a spike arriving now would find.  Of a projection with ``structure=``, the
        synapses that there are now, by target, then source.

        Parameters
        ----------
        projection : Projection or its label

        Raises
        ------
        NetworkError
            If the network has no such projection.
        """
        one = self.projection(projection)
        if one.changes:
            return Weights(learning.read(self, one), one.post.cell.weight_unit, *self._ends(one))
        pre, post, weight, _delay = wiring.arrays(one, self.network.seed, self.dt)
        return Weights(weight, one.weight_unit, one.pre.indices[pre], one.post.indices[post])

    def _ends(self, one: Projection) -> tuple[np.ndarray, np.ndarray]:
        """Senders and receivers of the synapses of a projection, counted within their populations."""
        if one.label not in self._joins:
            pre, post, *_ = wiring.arrays(one, self.network.seed, self.dt)
            self._joins[one.label] = one.pre.indices[pre].astype(np.int32), one.post.indices[post].astype(np.int32)
        return self._joins[one.label]

    def projection(self, which: Projection | str) -> Projection:
        """A projection of the network, by itself or its label; raises :class:`NetworkError` if there is none."""
        for one in self.network.projections:
            if which is one or (isinstance(which, str) and which == one.label):
                if not any(one is known for known in self._described[1]):
                    raise SimulationError(f"projection {one.label} was added after the simulation had been made: go on with follow(),"
                                          " or make a new Simulation")
                return one
        known = ", ".join(one.label for one in self.network.projections) or "none"
        raise NetworkError(f"{self.network.label} has no projection {which!r}; it has {known}")

    def set_weights(self, projection: Projection | str, values: Any) -> None:
        """Set weights that change; what the synapses remember of spikes stays.

        Parameters
        ----------
        values : number or array of shape (synapses,)
            In the order of `weights`, with their sign.

        Raises
        ------
        NetworkError
            For a projection that the network lacks, or whose weights do not change.
        ParameterError
            For another number of values, or values beyond the bounds of the rule; nothing is set then.
        """
        learning.write(self, projection, values)

    def freeze(self, projection: Projection | str) -> None:
        """Stop the learning of a projection: traces of spikes go on, weights and synapses stay, eligibilities wait."""
        learning.freeze(self, projection, True)

    def thaw(self, projection: Projection | str) -> None:
        """Let a projection learn again."""
        learning.freeze(self, projection, False)

    def current_of(self, injection: Injection, first: int = 0, last: int | None = None) -> np.ndarray:
        """The values of an injected current at steps ``first`` to ``last`` (by default from 0 to now), exactly as the loop injects them.

        The value at step k acts from k dt to (k + 1) dt: a potential that it changes is another at step k + 1.

        Parameters
        ----------
        injection : Injection
            As `Network.inject` returns it.
        first, last : int
            Steps; later ones than now can be asked for too.

        Returns
        -------
        ndarray, float64, nA
            Of shape (last - first + 1,); for noise that is not ``shared`` (last - first + 1, cells), in the order of the target.

        Raises
        ------
        NetworkError
            For an injection of another network, or one that was added after this was made.
        ParameterError
            For steps that are not whole numbers >= 0, or not in order.
        """
        return currents.injected(self, injection, first, last)

    def turnover(self, projection: Projection | str) -> slow.Turnover:
        """How many synapses of a projection with ``structure=`` came and went, each time that it was looked at.

        Raises
        ------
        NetworkError
            For a projection that the network lacks, or whose synapses do not come and go.
        """
        return slow.turnover(self, projection)

    def reinforce(self, projection: Projection | str, amount: float = 1.0) -> None:
        """Raise the dopamine at the synapses of a projection by ``amount`` now (a reward in a closed loop).

        Raises
        ------
        NetworkError
            For a projection without `Dopamine`.
        ParameterError
            For an amount that is not a finite number.
        """
        learning.reinforce(self, projection, amount)

    def set(self, target: Cells, **values: Any) -> None:
        """Change cells while the simulation runs.

        Parameters
        ----------
        target : Population or PopulationView
        **values : number or array of shape (target.size,)
            ``rate`` (Hz) of Poisson sources; ``current`` (nA) of cells: an injected current on top of the parameter
            ``i_offset``, held until changed; any state variable of the cells, such as ``v`` (mV; refractory cells keep theirs),
            ``w`` or ``isyn_exc``.

        Raises
        ------
        NetworkError, ParameterError
            For cells of another network, and for what they do not have or may not be; the simulation can go on.
        """
        unknown = [name for name in values if name not in ("rate", "current", *target.cell.states)] if hasattr(target, "cell") else []
        if unknown:
            raise ParameterError(
                f"{target.label}: only rate, current and states can be set in a running simulation, got {unknown[0]!r}"
                f" ({target.cell.name} has {', '.join(target.cell.states) or 'no states'}); parameters: change the network and follow()"
            )
        for name, value in values.items():
            if name == "rate":
                live.set_rate(self, target, value)
            elif name == "current":
                live.set_current(self, target, value)
            else:
                live.set_state(self, target, name, value)

    # -- whole states -----------------------------------------------------------------------------

    def reset(self) -> None:
        """Back to time 0 and the initial state; what was recorded is dropped, a stream goes on in a new file."""
        if self._writer is not None:
            raise SimulationError("a simulation that streams cannot be reset: close it and make a new one")
        for name, value in self._initial.items():
            getattr(self._net, name)[...] = value
        self._held = {}
        self._net.stirred[:] = 1
        self._net.due[:] = -1
        self._net.n_active[:] = 0
        self._net.mode[:] = 0
        if self._since:
            blocks = self._net.blocks.copy()
            blocks[:, self._k.B_SINCE] = self._k.ALWAYS
            self._net, self._since = self._net._replace(blocks=blocks), {}
        refill(self._store, self.network, self._place, self.dt)
        self._begin()

    def branch(self) -> Simulation:
        """An independent simulation in the same state; synapses that do not change are shared."""
        twin = object.__new__(Simulation)
        twin.__dict__.update(self.__dict__)
        twin._net = self._net._replace(**{name: getattr(self._net, name).copy() for name in (*_MUTABLE, *learning.STATE)})
        twin._store = dataclasses.replace(self._store, changing=twin._net.changing, eligibility=twin._net.eligibility)
        slow.branched(twin)
        twin._lists = [part.copy() for part in self._lists]
        twin._counts = self._counts.copy()
        twin._chunks = list(self._chunks)
        twin._held, twin._pace = dict(self._held), dict(self._pace)
        twin._writer = None
        return twin

    def follow(self, network: Network | None = None) -> Simulation:
        """A simulation of the network as it is now, which goes on from the state and the time of this one.

        Between two runs the description may be changed in any way: parameters of cells (`Population.set`), projections, inputs,
        currents, recordings, populations that come and go.  What was not changed goes on as if nothing had happened, to the
        last bit; `neurosim.follow` says what becomes of the rest.  This simulation stays as it is, with what it recorded; the
        other begins without any recorded data.

        Parameters
        ----------
        network : Network, optional
            Another description, whose populations and projections are matched by label; by default this one's.

        Returns
        -------
        Simulation
            With the same dt, seed, threads and update, at the same time; without a stream.

        Raises
        ------
        NetworkError
            If a population has another size or another model than the one of that label had.
        ParameterError, NetworkError
            For a description that cannot be built.
        SimulationError
            If this simulation streams to a file, which cannot be carried on: close it first.
        """
        return going_on.follow(self, network)

    def fingerprint(self) -> str:
        """A hash of what must agree for a saved state to be loaded: the network as it was when this was made, and dt."""
        return f"{stream_key(self.network.seed, self.dt, self._synapses, self._fingerprint):016x}"

    def save(self, path: str | os.PathLike) -> None:
        """Write the whole state: what follows `load` is what would have followed here.

        Raises
        ------
        FileFormatError
            If the file cannot be written.
        """
        checkpoint.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike, network: Network, threads: int | None = None,
             update: str | None = None, stream: str | os.PathLike | None = None) -> Simulation:
        """Go on from a saved state.

        Parameters
        ----------
        network : Network
            The same description that was saved from.

        Raises
        ------
        FileFormatError
            For a file that is damaged, cut short, or not a saved state, or one of another network.
        """
        _check_arguments(network, 1.0, 1, threads, "auto" if update is None else update, stream)
        header, frames = checkpoint.read(path)
        with checkpoint.reading(path):
            dt, seed, kept = float(header["dt"]), int(header["seed"]), str(header["update"])
            _check_arguments(network, dt, seed, None, kept)
            since = {str(label): int(step) for label, step in header.get("since", {}).items()}
            numbers = [int(number) for number in header.get("currents", range(len(network.injections)))]
        made = object.__new__(cls)
        made._build(network, dt, seed, threads, update or kept, since=since)
        made._begin()
        made._load_kernels()
        if header.get("fingerprint") != made.fingerprint():
            raise FileFormatError(f"{path} was saved from another network than the one given")
        with checkpoint.reading(path):
            checkpoint.number_currents(made, numbers)
            checkpoint.restore(made, header, {frame.kind: frame.arrays for frame in frames})
        if stream is not None:
            made._open_stream(stream)
            made._write(made._chunks[0])
        return made


# ------------------------------------------------------------------------------------------ helpers

_POOLS: dict[int, ThreadPoolExecutor] = {}
_SUBMITTING = threading.Lock()


def _pool(threads: int) -> ThreadPoolExecutor:
    """Workers that wait for compiled loops; shared, since all threads of one call must run at once."""
    key = (os.getpid() << 10) + threads
    if key not in _POOLS:
        _POOLS[key] = ThreadPoolExecutor(threads, thread_name_prefix="neurosim")
    return _POOLS[key]


def _check_arguments(network: Any, dt: Any, seed: Any, threads: Any, update: Any, stream: Any = None) -> None:
    if not isinstance(network, Network):
        raise ParameterError(f"Simulation needs a Network, got {network!r}")
    if not network.populations:
        raise NetworkError(f"{network.label} has no population: there is nothing to simulate")
    check_dt(dt, "Simulation.dt")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ParameterError(f"Simulation.seed must be a whole number >= 0 and < 2**63, got {seed!r}")
    if threads is not None:
        check_threads(threads, "Simulation.threads")
    if update not in ("auto", "clock", "event"):
        raise ParameterError(f"Simulation.update must be 'auto', 'clock' or 'event', got {update!r}")
    if stream is not None and not isinstance(stream, (str, os.PathLike)):
        raise ParameterError(f"Simulation.stream must be a path, got {stream!r}")
    if stream is not None:
        files.make_room(os.path.realpath(stream))


def _lists(network: Network) -> tuple[list, ...]:
    """All that a network consists of; lists are equal if they hold the same objects."""
    n = network
    return tuple(list(one) for one in (n.populations, n.projections, n.inputs, n.injections, n.records, n.modulations, n.gains,
                                       n.weight_records))


def _threads(asked: int | None, description: Any) -> int:
    """As asked, else all processors where a slice between two meetings is long enough to share."""
    if asked is not None:
        return int(asked)
    return processors() if description.microseconds_per_slice > 10.0 else 1


def _owners(neurons: np.ndarray, synapses: np.ndarray, threads: int) -> np.ndarray:
    """Give each part to the thread with the least work so far, the heaviest first."""
    owner = np.zeros(neurons.size, np.int64)
    load = np.zeros(threads)
    cost = neurons + 0.05 * synapses
    for p in np.argsort(-cost, kind="stable"):
        owner[p] = int(np.argmin(load))
        load[owner[p]] += cost[p]
    return owner
