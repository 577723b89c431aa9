"""Slow processes in a simulation: scaling and normalising weights, forming and removing synapses.

They act between two calls of the compiled loop, at multiples of their intervals, on weights brought up to date.  What
they do is said by `neurosim.homeostasis` and `neurosim.structure`; here are the spikes that they are told of, and the
arrays that they change.

A new synapse passes on every spike that arrives from now on, those already under way included; what plasticity knows of
its source's earlier spikes, and of its target's, holds for it too, and target spikes that the synapses have not yet
seen (those of the last two dendritic delays) will change it like the others.  What was under way to a synapse that is
removed is lost.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import learning, wiring
from .errors import FileFormatError, NetworkError
from .learning import Process, Samples
from .network import Cells, Network, Projection
from .parameters import stream_key
from .recording import interval_steps
from .structure import Activity, Edges
from .synapses import SynapseBlock

if TYPE_CHECKING:
    from .engine import Simulation

__all__ = [
    "Homeostat", "Rewirer", "Turnover", "branched", "count_spikes", "processes", "restore", "saved", "turnover",
    "watched",
]


def processes(network: Network, dt: float) -> tuple[list[Process], Samples | None]:
    """What is done at intervals in a simulation of a network, in order, and its recorded weights."""
    made: list[Process] = []
    for one in network.projections:
        if one.homeostasis is not None:
            name = f"{one.label}: {type(one.homeostasis).__name__}"
            made.append(Homeostat(one, interval_steps(one.homeostasis.interval, dt, name)))
        if one.structure is not None:
            name = f"{one.label}: {type(one.structure).__name__}"
            made.append(Rewirer(one, interval_steps(one.structure.interval, dt, name)))
    samples = Samples(network, dt) if network.weight_records else None
    return [*made, *(Process(every) for every in (samples.intervals if samples else ()))], samples


# ------------------------------------------------------------------------------------ spikes


def watched(sim: Simulation) -> dict[int, np.ndarray]:
    """Counters of all spikes, for the groups that some process asks about: number of the group -> int64 (n,)."""
    asked = [cells for process in sim._processes for cells in getattr(process, "looks_at", ())]
    groups = {sim._groups.index(sim._place[cells.population.label][0]) for cells in asked}
    return {g: np.zeros(sim._groups[g].n, np.int64) for g in sorted(groups)}


def count_spikes(sim: Simulation, start: int) -> None:
    """Add the spikes of the steps after ``start``, until now, to the counters."""
    net, k = sim._net, sim._k
    first, last = start + 1 - sim._base, sim._step + 1 - sim._base
    for g, counts in sim._watched.items():
        for p in range(net.groups[g, k.G_PART0], net.groups[g, k.G_PART0] + net.groups[g, k.G_PARTS]):
            ids = net.spikes[net.offsets[p] + net.pointer[p, first]:net.offsets[p] + net.pointer[p, last]]
            if ids.size:
                counts += np.bincount(ids, minlength=counts.size)


class _Counter:
    """Spikes of cells since it was last asked."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.before = np.zeros(cells.size, np.int64)

    def peek(self, sim: Simulation) -> np.ndarray:
        """Spikes of each cell since the last call of `take`."""
        group, first = sim._place[self.cells.population.label]
        return sim._watched[sim._groups.index(group)][first + self.cells.indices] - self.before

    def take(self, sim: Simulation) -> np.ndarray:
        """As `peek`; counts from zero again."""
        counts = self.peek(sim)
        self.before = self.before + counts
        return counts

    def put(self, sim: Simulation, counts: np.ndarray) -> None:
        """Go on from these counts."""
        if np.shape(counts) != (self.cells.size,):
            raise FileFormatError(f"saved state: spike counts have shape {np.shape(counts)}, not ({self.cells.size},)")
        self.before = self.before + self.peek(sim) - counts


# ------------------------------------------------------------------------------------ homeostasis


class Homeostat(Process):
    """A `neurosim.homeostasis.Homeostasis` at work on its projection."""

    def __init__(self, projection: Projection, every: int) -> None:
        super().__init__(every)
        self.projection, self.rule = projection, projection.homeostasis
        self.looks_at = (projection.post,)
        self._spikes = _Counter(projection.post)
        self._post: np.ndarray | None = None
        self._post_of: Any = None
        self.state: dict[str, np.ndarray] = {}

    def begin(self, sim: Simulation) -> None:
        self._spikes = _Counter(self.projection.post)
        self.state = self.rule.initial_state(self.projection.post.size)  # type: ignore[union-attr]

    def act(self, sim: Simulation) -> None:
        one, block = learning.learner(sim, self.projection, "homeostasis")
        learning.cut(sim, block)
        kept = sim._net.changing[block.weights_at:block.weights_at + block.size]
        after, self.state = self.rule.apply(  # type: ignore[union-attr]
            kept * block.sign, self._targets(sim, block), self._spikes.take(sim), self.state)
        if not learning.is_frozen(sim, block):
            kept[:] = np.clip(after * block.sign, *learning.bounds(one, block))

    def _targets(self, sim: Simulation, block: SynapseBlock) -> np.ndarray:
        """The target of each synapse, in the order of the store; those of one target by sender, whatever the parts."""
        if self._post is None or self._post_of is not block.bases:
            place = np.full(block.target.n, -1, np.int64)
            post = self.projection.post
            place[sim._place[post.population.label][1] + post.indices] = np.arange(post.size)
            self._post, self._post_of = place[_targets(sim, block)], block.bases
        return self._post

    def copy(self) -> Homeostat:
        twin = copy.copy(self)
        twin._spikes = copy.copy(self._spikes)
        return twin

    def saved(self, sim: Simulation) -> dict[str, np.ndarray]:
        return {"spikes": self._spikes.peek(sim), **self.state}

    def restore(self, sim: Simulation, kept: Mapping[str, np.ndarray]) -> None:
        self._spikes.put(sim, kept["spikes"])
        self.state = _like(self.state, kept, self.projection.label)


def _like(own: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray], label: str) -> dict[str, np.ndarray]:
    """The saved arrays of these names; raises where one has another shape."""
    for name, array in own.items():
        if kept[name].shape != array.shape:
            raise FileFormatError(
                f"saved state: {name} of {label} has shape {kept[name].shape}, this network needs {array.shape}"
            )
    return {name: np.array(kept[name]) for name in own}


# ------------------------------------------------------------------------------------ structure


class Turnover(NamedTuple):
    """How many synapses came and went, for each time at which a process acted: arrays of one length.

    ``times`` (ms), ``removed``, ``formed``, and ``present`` afterwards.
    """

    times: np.ndarray
    removed: np.ndarray
    formed: np.ndarray
    present: np.ndarray


def turnover(sim: Simulation, projection: Projection | str) -> Turnover:
    """What came and went among the synapses of a projection since time 0."""
    one = sim.projection(projection)
    for process in sim._processes:
        if isinstance(process, Rewirer) and process.projection is one:
            rows = np.array(process.log, np.int64).reshape(-1, 4)
            return Turnover(rows[:, 0] * sim.dt, rows[:, 1], rows[:, 2], rows[:, 3])
    raise NetworkError(f"turnover: projection {one.label} has no structure=")


class Rewirer(Process):
    """A `neurosim.structure.Structure` at work on its projection.

    ``edges`` are the synapses that there are (delays in steps; their weights are in the store), by target, then source,
    those of one pair by age.  ``log``: for each time at which it acted, (step, removed, formed, present then).
    """

    def __init__(self, projection: Projection, every: int) -> None:
        super().__init__(every)
        self.projection, self.rule = projection, projection.structure
        self.looks_at = (projection.pre, projection.post)
        self._spikes = (_Counter(projection.pre), _Counter(projection.post))
        self.edges = Edges(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0), np.empty(0, np.uint16))
        self.state: dict[str, np.ndarray] = {}
        self.log: list[tuple[int, int, int, int]] = []

    def begin(self, sim: Simulation) -> None:
        one, block = learning.learner(sim, self.projection, "structure")
        pre, post, weight, delay = wiring.arrays(one, sim.network.seed, sim.dt)
        order = np.lexsort((pre, post))
        steps = np.rint(delay / sim.dt).astype(np.uint16)
        sized = np.clip(weight * block.sign, *learning.bounds(one, block))
        self._spikes = (_Counter(one.pre), _Counter(one.post))
        self.log = []
        edges = Edges(pre[order], post[order], (sized * block.sign)[order], steps[order])
        self._lay(sim, block, edges, np.zeros(pre.size))
        self.state = self.rule.initial_state(self.edges, self._context(sim))  # type: ignore[union-attr]

    def _context(self, sim: Simulation) -> Any:
        return wiring.context_of(self.projection, sim.network.seed)

    def act(self, sim: Simulation) -> None:
        one, block = learning.learner(sim, self.projection, "structure")
        learning.cut(sim, block)
        at = sim._placed[one.label]
        edges = self.edges._replace(weight=sim._net.changing[block.weights_at + at] * block.sign)
        activity = Activity(*(counter.take(sim) for counter in self._spikes))
        key = stream_key(sim.seed, "projection", one.label, "structure")
        change, self.state = self.rule.step(  # type: ignore[union-attr]
            key, sim._step // self.every, edges, activity, self.state, self._context(sim), sim.dt)
        formed, removed = change.new.pre.size, int(np.count_nonzero(~change.keep))
        if learning.is_frozen(sim, block):
            formed = removed = 0
        if formed or removed:
            waiting = np.zeros(edges.pre.size)
            if block.has_eligibility:
                waiting = sim._net.eligibility[block.eligibility_at + at]
            order, after = change.ordered(edges)
            self._lay(sim, block, after, np.concatenate([waiting[change.keep], np.zeros(formed)])[order])
        self.log.append((sim._step, removed, formed, self.edges.pre.size))

    def _lay(self, sim: Simulation, block: SynapseBlock, edges: Edges, eligibility: np.ndarray) -> None:
        one = self.projection
        sources = sim._place[one.pre.population.label][1] + one.pre.indices[edges.pre]
        targets = sim._place[one.post.population.label][1] + one.post.indices[edges.post]
        at = lay(sim, block, sources, targets, edges.delay)
        sim._net.changing[block.weights_at + at] = edges.weight * block.sign
        if block.has_eligibility:
            sim._net.eligibility[block.eligibility_at + at] = eligibility
        self.edges = edges
        sim._placed[one.label] = at
        sim._joins[one.label] = one.pre.indices[edges.pre], one.post.indices[edges.post]

    def copy(self) -> Rewirer:
        twin = copy.copy(self)
        twin._spikes = (copy.copy(self._spikes[0]), copy.copy(self._spikes[1]))
        twin.log = list(self.log)
        return twin

    def saved(self, sim: Simulation) -> dict[str, np.ndarray]:
        pre, post = (counter.peek(sim) for counter in self._spikes)
        return {"pre": self.edges.pre, "post": self.edges.post, "delay": self.edges.delay, "spikes_pre": pre,
                "spikes_post": post, "log": np.array(self.log, np.int64).reshape(-1, 4), **self.state}

    def restore(self, sim: Simulation, kept: Mapping[str, np.ndarray]) -> None:
        one, block = learning.learner(sim, self.projection, "structure")
        pre, post, delay = (np.array(kept[name]) for name in ("pre", "post", "delay"))
        good = pre.shape == post.shape == delay.shape and pre.ndim == 1
        for ends, n in ((pre, one.pre.size), (post, one.post.size)):
            good = good and bool(((0 <= ends) & (ends < n)).all())
        if not good or not np.isin(delay, block.delays).all():
            raise FileFormatError(f"saved state: the synapses of {one.label} do not fit this network")
        edges = Edges(pre.astype(np.int32), post.astype(np.int32), np.zeros(pre.size), delay.astype(np.uint16))
        self._lay(sim, block, edges, np.zeros(pre.size))
        for counter, name in zip(self._spikes, ("spikes_pre", "spikes_post"), strict=True):
            counter.put(sim, kept[name])
        self.log = [tuple(row) for row in kept["log"].tolist()]
        self.state = _like(self.state, kept, one.label)


# ------------------------------------------------------------------------------------ the store


def _targets(sim: Simulation, block: SynapseBlock) -> np.ndarray:
    """The target of each synapse of a block, counted in its group, in the order of the store."""
    flat = sim._net.targets32 if block.wide else sim._net.targets16
    out = flat[block.at:block.at + block.size].astype(np.int64)
    for p in range(block.target.n_parts):
        out[block.bases[p]:block.bases[p + 1]] += p * block.target.part_size
    return out


def lay(sim: Simulation, block: SynapseBlock, sources: np.ndarray, targets: np.ndarray,
        delays: np.ndarray) -> np.ndarray:
    """Give a block other synapses; returns the place in the block of each.

    Rows of one sender and delay hold their targets in ascending order, synapses of one pair in the order given: a
    block does not remember how it came about.  Weights and eligibilities are not written, states of rows stay.

    Parameters
    ----------
    sources, targets : ndarray of int
        Counted in their groups.
    delays : ndarray of int
        Steps; each must be one of the block's.
    """
    from .kernels import build, plasticity
    target, width = block.target, block.delays.size
    order = np.argsort(targets, kind="stable")
    ends = sources[order].astype(np.int32), targets[order].astype(np.int32)
    maps = np.arange(block.source.n, dtype=np.int32), np.arange(target.n, dtype=np.int32)
    codes = np.searchsorted(block.delays, delays[order]).astype(np.uint16)
    counts = np.zeros((target.n_parts, block.source.n, width), np.uint32)
    build.count(*ends, *maps, target.part_size, codes, 0, counts)
    sizes = [build.starts(each, np.arange(width), pointer) for each, pointer in zip(counts, block.pointer, strict=True)]
    block.bases = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    block.size = sources.size
    _make_room(sim, block, block.size)
    cursor = np.stack([pointer[:-1].reshape(block.source.n, width) for pointer in block.pointer])
    places = np.empty(block.size, np.int64)
    build.locate(*ends, *maps, target.part_size, codes, 0, cursor, block.bases, places)
    net, k = sim._net, sim._k
    flat = net.targets32 if block.wide else net.targets16
    flat[block.at + places] = ends[1] % target.part_size
    first = net.groups[sim._groups.index(target), k.G_PART0]
    for p, b in learning.parts_of(sim, block):
        base = int(block.bases[p - first])
        net.blocks[b, k.B_TARGETS], net.blocks[b, k.B_W] = block.at + base, block.weights_at + base
        net.rules[net.blocks[b, k.B_RULE], plasticity.R_C] = block.eligibility_at + base
    at = np.empty(block.size, np.int64)
    at[order] = places
    return at


def _make_room(sim: Simulation, block: SynapseBlock, n: int) -> None:
    """If a block has no room for ``n`` synapses, move it to the end of the arrays, with room for a quarter more."""
    if n <= block.room:
        return
    block.room = n + n // 4 + 64
    targets = "targets32" if block.wide else "targets16"
    places = {targets: "at", "changing": "weights_at"}
    if block.has_eligibility:
        places["eligibility"] = "eligibility_at"
    for name, place in places.items():
        flat = getattr(sim._net, name)
        setattr(block, place, flat.size)
        grown = np.concatenate([flat, np.zeros(block.room, flat.dtype)])
        sim._net = sim._net._replace(**{name: grown})
        setattr(sim._store, name, grown)


# ------------------------------------------------------------------------------------ whole states


def branched(sim: Simulation) -> None:
    """Give a branch processes and, where synapses come and go, a store of its own."""
    sim._processes = [process.copy() for process in sim._processes]
    sim._watched = {g: counts.copy() for g, counts in sim._watched.items()}
    sim._placed, sim._joins = dict(sim._placed), dict(sim._joins)
    if not any(block.structure is not None for block in sim._store.blocks):
        return
    net, tables = sim._net, copy.copy(sim._tables)
    own = {name: getattr(net, name).copy() for name in ("blocks", "row_ptr", "targets16", "targets32")}
    sim._net = net._replace(**own)
    blocks, at = {}, 0
    for block in sim._store.blocks:
        pointers = []
        for pointer in block.pointer:
            pointers.append(own["row_ptr"][at:at + pointer.size])
            at += pointer.size
        blocks[id(block)] = dataclasses.replace(block, pointer=pointers)
    sim._store = dataclasses.replace(sim._store, blocks=list(blocks.values()), targets16=own["targets16"],
                                     targets32=own["targets32"])
    tables.store, tables.block_of = sim._store, [blocks[id(block)] for block in tables.block_of]
    sim._tables = tables


def saved(sim: Simulation) -> dict[str, np.ndarray]:
    """What slow processes remember, by name."""
    return {f"{number}/{name}": array for number, process in enumerate(sim._processes)
            for name, array in process.saved(sim).items()}


def restore(sim: Simulation, kept: Mapping[str, np.ndarray]) -> None:
    """Put slow processes, and synapses that come and go, into a saved state; before `neurosim.learning.restore`."""
    for number, process in enumerate(sim._processes):
        start = f"{number}/"
        process.restore(sim, {name[len(start):]: array for name, array in kept.items() if name.startswith(start)})

