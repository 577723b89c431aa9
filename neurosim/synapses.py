"""The synapses of a network as the engine reads them: rows of targets, by sender and delay."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from . import wiring
from .errors import NetworkError, ParameterError
from .network import GainModulation, Network, Projection
from .parameters import Distribution
from .plasticity import STDPMechanism, SynapseType, Transmission, transmission_of
from .structure import Structure

if TYPE_CHECKING:
    from .groups import Group

__all__ = ["Store", "SynapseBlock", "build", "places", "refill", "weight_kind"]

ROW_WEIGHT, WEIGHTS32, WEIGHTS64, CHANGING = range(4)
ALWAYS = -(2**62)  # as in `kernels.engine`
_WORTH_THREADS = 20_000  # synapses in a projection, on average


@dataclasses.dataclass
class SynapseBlock:
    """Projections that share source group, target group, receptor, kind of weight, and how they change.

    ``pointer[part]`` is uint32 (rows * delays + 1,): row ``r``, delay ``d`` begins at ``pointer[r * delays + d]``.
    """

    source: Group
    target: Group
    receptor: str
    kind: int
    projections: list[Projection]
    row_weight: np.ndarray
    wakes: bool = False
    graded: bool = False
    delays: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    pointer: list[np.ndarray] = dataclasses.field(default_factory=list)
    bases: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    size: int = 0
    at: int = 0
    weights_at: int = 0
    synapse: SynapseType | None = None
    sign: int = 1
    eligibility_at: int = 0
    structure: Structure | None = None
    room: int = 0
    gain: GainModulation | None = None
    gap: bool = False
    backward: bool = False  # from the targets of its projections to their sources
    since: int = ALWAYS  # only spikes sent after this step are delivered

    @property
    def ruled(self) -> bool:
        """Whether the compiled loop looks at a rule before it delivers a row."""
        return self.kind == CHANGING or self.synapse is not None or self.gain is not None

    @property
    def mechanism(self) -> STDPMechanism | None:
        """How its weights change, if they do."""
        return self.synapse if isinstance(self.synapse, STDPMechanism) else None

    @property
    def transmission(self) -> Transmission | None:
        """How what its synapses send differs from spike to spike, if it does."""
        return transmission_of(self.synapse)

    @property
    def has_eligibility(self) -> bool:
        """Whether changes wait for dopamine."""
        return self.mechanism is not None and self.mechanism.neuromodulation is not None

    @property
    def sort(self) -> str:
        """Who delivers it: the main loop ("static"), the hook of `kernels.learning` ("changing"), or neither ("graded", "gap")."""
        return "gap" if self.gap else "graded" if self.graded else "changing" if self.ruled else "static"

    @property
    def wide(self) -> bool:
        """Whether targets need 32 bits."""
        return self.target.part_size > 65536


@dataclasses.dataclass
class Store:
    """All synapses: flat arrays, and the blocks that lie in them."""

    blocks: list[SynapseBlock]
    targets16: np.ndarray
    targets32: np.ndarray
    weights32: np.ndarray
    weights64: np.ndarray
    changing: np.ndarray
    eligibility: np.ndarray

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return sum(block.size for block in self.blocks)

    @property
    def nbytes(self) -> int:
        """Memory of the synapses and their rows."""
        rows = sum(pointer.nbytes for block in self.blocks for pointer in block.pointer)
        rows += sum(block.row_weight.nbytes for block in self.blocks)
        return rows + sum(a.nbytes for a in (self.targets16, self.targets32, self.weights32, self.weights64, self.changing,
                                              self.eligibility))

    @property
    def longest_delay(self) -> int:
        """Steps; 0 without synapses."""
        return max((int(block.delays[-1]) for block in self.blocks if block.size or block.structure), default=0)

    @property
    def shortest_delay(self) -> int:
        """Steps; 0 without synapses."""
        return min((int(block.delays[0]) for block in self.blocks if block.size or block.structure), default=0)


def weight_kind(projection: Projection) -> int:
    """How a projection's weights are kept: one for a row, single precision, or double.

    Drawn weights are single-precision numbers by definition (see `neurosim.wiring`); given ones are
    kept in double unless single precision holds them exactly.
    """
    weight = projection.weight
    if projection.changes:
        return CHANGING
    if projection.dynamics is not None or projection.gain is not None:  # rows that the hook delivers have no single precision
        drawn = isinstance(weight, (Distribution, str)) or callable(weight) or "weight" in projection.connector.columns()
        return CHANGING if drawn or np.ndim(weight) else ROW_WEIGHT
    if "weight" in projection.connector.columns():
        return WEIGHTS64
    if isinstance(weight, Distribution):
        return WEIGHTS32
    if isinstance(weight, str) or callable(weight):
        return WEIGHTS64
    if np.ndim(weight) == 0:
        return ROW_WEIGHT
    array = np.asarray(weight, dtype=np.float64)
    return WEIGHTS32 if np.array_equal(array.astype(np.float32).astype(np.float64), array) else WEIGHTS64


def plan(network: Network, place: dict[str, tuple[Group, int]], since: Mapping[str, int]) -> list[SynapseBlock]:
    """Sort the projections into blocks."""
    blocks: list[SynapseBlock] = []
    directions = [(one, backward) for one in network.projections for backward in ((False, True) if one.electrical else (False,))]
    for projection, backward in directions:
        pre, post = (projection.post, projection.pre) if backward else (projection.pre, projection.post)
        source, first = place[pre.population.label]
        target, _ = place[post.population.label]
        kind = weight_kind(projection)
        weight = float(projection.weight) if kind == ROW_WEIGHT else 0.0
        rows = first + pre.indices
        begins = since.get(projection.label, ALWAYS)
        key = (source, target, projection.receptor, kind, projection.graded, projection.electrical, backward, begins)
        for block in blocks:
            if (block.source, block.target, block.receptor, block.kind, block.graded, block.gap, block.backward,
                    block.since) != key:
                continue
            if block.synapse != projection.dynamics or block.gain is not projection.gain:
                continue
            if block.transmission is not None and block.transmission.by_synapse:
                continue  # synapses are counted within their projection
            if projection.changes or any(one.changes for one in block.projections):
                continue  # what learns is frozen, rewarded and rewired by itself
            if kind == ROW_WEIGHT:
                there = block.row_weight[rows]
                if not (np.isnan(there) | (there == weight)).all():
                    continue
            break
        else:
            row_weight = np.full(source.n if kind == ROW_WEIGHT else 0, np.nan)
            sign = -1 if kind == CHANGING and projection.sign < 0 else 1
            block = SynapseBlock(source, target, projection.receptor, kind, [], row_weight, synapse=projection.dynamics, sign=sign,
                                 graded=projection.graded, structure=projection.structure, gain=projection.gain,
                                 gap=projection.electrical, backward=backward, since=begins)
            blocks.append(block)
        block.projections.append(projection)
        if kind == ROW_WEIGHT:
            block.row_weight[rows] = weight
            block.wakes |= weight > 0
        else:
            block.wakes = block.sign > 0
    return blocks


class _Codes:
    """Numbers delays in the order in which they are met."""

    def __init__(self) -> None:
        self.code = np.full(65536, -1, dtype=np.int64)
        self.delays: list[int] = []

    def of(self, steps: int | np.ndarray) -> tuple[np.ndarray, int]:
        """(code of each synapse, 0) or (empty, the code of all)."""
        if np.ndim(steps) == 0:
            self._learn(np.array([int(steps)]))
            return np.empty(0, np.uint16), int(self.code[int(steps)])
        present = np.flatnonzero(np.bincount(steps))
        self._learn(present)
        return self.code[steps].astype(np.uint16), 0

    def _learn(self, delays: np.ndarray) -> None:
        for delay in delays[self.code[delays] < 0]:
            self.code[delay] = len(self.delays)
            self.delays.append(int(delay))


def _maps(projection: Projection, place: dict[str, tuple[Group, int]], backward: bool = False) -> tuple[np.ndarray, np.ndarray]:
    pre, post = (projection.post, projection.pre) if backward else (projection.pre, projection.post)
    return ((place[pre.population.label][1] + pre.indices).astype(np.int32),
            (place[post.population.label][1] + post.indices).astype(np.int32))


def _portions(projections: list[Projection], network: Network, dt: float, weighted: bool,
              ) -> Iterator[tuple[Projection, wiring.Synapses]]:
    """The synapses of all projections in turn; two threads make what comes next while one portion is used."""
    makers = [wiring.synapses(one, network.seed, dt, weighted=weighted) for one in projections]
    if sum(wiring.expected_synapses(one) for one in projections) < _WORTH_THREADS * len(projections):
        for projection, maker in zip(projections, makers, strict=True):
            yield from ((projection, portion) for portion in maker)
        return
    coming: dict[int, Future] = {}
    with ThreadPoolExecutor(2) as pool:
        for i, projection in enumerate(projections):
            for j in range(i, min(i + 2, len(makers))):
                if j not in coming:
                    coming[j] = pool.submit(next, makers[j], None)
            while (portion := coming[i].result()) is not None:
                coming[i] = pool.submit(next, makers[i], None)
                yield projection, portion


def _count(block: SynapseBlock, network: Network, place: dict, dt: float, tick: Any) -> np.ndarray:
    """First pass over a block: how many synapses each (part, row, delay) has, and which delays there are."""
    from .kernels import build as kernel
    codes = _Codes()
    target = block.target
    if block.structure is not None:  # synapses that come later have a place, whatever their delay
        low, high = block.structure.delay_range(dt)
        codes.of(np.arange(low, high + 1))
    counts = np.zeros((target.n_parts, block.source.n, max(1, len(codes.delays))), dtype=np.uint32)
    for projection, part in _portions(block.projections, network, dt, weighted=False):
        source_map, target_map = _maps(projection, place, block.backward)
        pre, post = (part.post, part.pre) if block.backward else (part.pre, part.post)
        each, one = codes.of(part.delay_steps)
        if len(codes.delays) > counts.shape[2]:
            wider = np.zeros((*counts.shape[:2], max(len(codes.delays), 2 * counts.shape[2])), dtype=np.uint32)
            wider[:, :, :counts.shape[2]] = counts
            counts = wider
        kernel.count(pre, post, source_map, target_map, target.part_size, each, one, counts)
        tick(part.pre.size)
    order = np.argsort(codes.delays).astype(np.int64)
    block.delays = np.array(codes.delays, dtype=np.int64)[order]
    width = order.size
    sizes = []
    for p in range(target.n_parts):
        if int(counts[p].sum(dtype=np.int64)) >= 2**32:
            raise NetworkError(
                f"more than 4.29e9 synapses from {block.source.label} to one part of {target.label}: use more threads"
            )
        pointer = np.empty(block.source.n * max(width, 1) + 1, dtype=np.uint32)
        sizes.append(int(kernel.starts(counts[p], order, pointer)) if width else 0)
        block.pointer.append(pointer)
    if not width:
        block.delays = np.ones(1, dtype=np.int64)
        for pointer in block.pointer:
            pointer[:] = 0
    block.bases = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    block.size = block.room = int(block.bases[-1])
    if block.structure is not None:
        block.room += block.size // 4 + 64
    return block.delays


def _fill(block: SynapseBlock, store: Store, network: Network, place: dict, dt: float, tick: Any) -> None:
    """Second pass: write every synapse to its place."""
    from .kernels import build as kernel
    target, width = block.target, block.delays.size
    cursor = np.stack([pointer[:-1].reshape(block.source.n, width) for pointer in block.pointer])
    code = np.zeros(65536, dtype=np.uint16)
    code[block.delays] = np.arange(width)
    targets = (store.targets32 if block.wide else store.targets16)[block.at:block.at + block.size]
    none = np.empty(0, np.float64)
    weights: np.ndarray = none
    if block.kind == WEIGHTS32:
        weights = store.weights32[block.weights_at:block.weights_at + block.size]
    elif block.kind == WEIGHTS64:
        weights = store.weights64[block.weights_at:block.weights_at + block.size]
    elif block.kind == CHANGING:
        weights = store.changing[block.weights_at:block.weights_at + block.size]
    for projection, part in _portions(_by_target(block, place), network, dt, weighted=block.kind != ROW_WEIGHT):
        source_map, target_map = _maps(projection, place, block.backward)
        pre, post = (part.post, part.pre) if block.backward else (part.pre, part.post)
        steps = part.delay_steps
        each = code[steps] if np.ndim(steps) else np.empty(0, np.uint16)
        one = 0 if np.ndim(steps) else int(code[int(steps)])
        weight = none
        if block.kind != ROW_WEIGHT:
            weight = np.ascontiguousarray(np.broadcast_to(np.asarray(part.weight, np.float64), part.pre.shape))
            _check_bounds(block, projection, weight)
        kernel.fill(pre, post, source_map, target_map, target.part_size, each, one, cursor,
                    block.bases, targets, weight, weights)
        tick(part.pre.size)
    if block.kind == CHANGING:
        weights *= block.sign
        if block.mechanism is not None:
            bounds = block.mechanism.weight_dependence
            np.clip(weights, bounds.w_min, bounds.w_max, out=weights)


def _check_bounds(block: SynapseBlock, projection: Projection, weight: np.ndarray) -> None:
    """Refuse weights beyond the bounds of their rule; drawn ones are moved there instead."""
    if block.mechanism is None or isinstance(projection.weight, Distribution) and "weight" not in projection.connector.columns():
        return
    bounds, size = block.mechanism.weight_dependence, weight * block.sign
    bad = (size < bounds.w_min) | (size > bounds.w_max)
    if bad.any():
        raise ParameterError(
            f"{projection.label}: weights must lie between w_min = {bounds.w_min:g} and w_max = {bounds.w_max:g}"
            f" {projection.post.cell.weight_unit} in magnitude, got {weight[bad][0]:g}"
        )


def places(block: SynapseBlock, projection: Projection, network: Network, place: dict[str, tuple[Group, int]],
           dt: float) -> np.ndarray:
    """Where in its block each synapse of a projection lies, in the connector's order; int64."""
    from .kernels import build as kernel
    cursor = np.stack([pointer[:-1].reshape(block.source.n, block.delays.size) for pointer in block.pointer])
    code = np.zeros(65536, dtype=np.uint16)
    code[block.delays] = np.arange(block.delays.size)
    found = [np.empty(0, np.int64)]
    for one in _by_target(block, place):
        source_map, target_map = _maps(one, place)
        for part in wiring.synapses(one, network.seed, dt, weighted=False):
            steps = part.delay_steps
            each = code[steps] if np.ndim(steps) else np.empty(0, np.uint16)
            at = np.empty(part.pre.size, np.int64)
            kernel.locate(part.pre, part.post, source_map, target_map, block.target.part_size, each,
                          0 if np.ndim(steps) else int(code[int(steps)]), cursor, block.bases, at)
            if one is projection:
                found.append(at)
    return np.concatenate(found)


def refill(store: Store, network: Network, place: dict[str, tuple[Group, int]], dt: float) -> None:
    """Give weights that change what they began with; synapses that come and go are laid anew by `neurosim.slow`."""
    for block in store.blocks:
        if block.kind == CHANGING and block.structure is None:
            _fill(block, store, network, place, dt, lambda n: None)


def _by_target(block: SynapseBlock, place: dict[str, tuple[Group, int]]) -> list[Projection]:
    """Targets of a row ascend if the projections come by their place in the target group."""
    return sorted(block.projections, key=lambda one: place[one.post.population.label][1])


def build(network: Network, groups: Sequence[Group], place: dict[str, tuple[Group, int]], dt: float,
          tick: Any = lambda n: None, before: Store | None = None,
          since: Mapping[str, int] | None = None) -> Store:
    """Make all synapses.

    Parameters
    ----------
    place : dict
        Population label -> (its group, its first neuron in the group).
    tick : callable
        Told of the synapses done; each is done twice.
    before : Store, optional
        Of a simulation of the same network, perhaps changed since: blocks of the same projections between groups that lie
        as they did are taken over, not made.
    since : dict, optional
        Label of a projection -> step: only spikes sent after it are delivered.
    """
    blocks = plan(network, place, since or {})
    kept = _kept(blocks, before)
    for block in blocks:
        if id(block) in kept:
            _take_over(block, kept[id(block)])
        else:
            _count(block, network, place, dt, tick)
    totals = {"t16": 0, "t32": 0, "w32": 0, "w64": 0, "changing": 0, "eligibility": 0}
    for block in blocks:
        key = "t32" if block.wide else "t16"
        block.at = totals[key]
        totals[key] += block.room
        if block.kind != ROW_WEIGHT:
            key = {WEIGHTS32: "w32", WEIGHTS64: "w64", CHANGING: "changing"}[block.kind]
            block.weights_at = totals[key]
            totals[key] += block.room
        if block.has_eligibility:
            block.eligibility_at = totals["eligibility"]
            totals["eligibility"] += block.room
    if before is not None and _lie_the_same(blocks, kept, before):
        return Store(blocks, before.targets16, before.targets32, before.weights32, before.weights64, before.changing.copy(),
                     before.eligibility.copy())
    store = Store(blocks, np.empty(totals["t16"], np.uint16), np.empty(totals["t32"], np.int32),
                  np.empty(totals["w32"], np.float32), np.empty(totals["w64"], np.float64),
                  np.empty(totals["changing"], np.float64), np.zeros(totals["eligibility"], np.float64))
    for block in blocks:
        if before is not None and id(block) in kept:
            for name, at in _stretches(block):
                old = kept[id(block)]
                begin = getattr(old, at)
                getattr(store, name)[getattr(block, at):getattr(block, at) + block.size] = getattr(before, name)[begin:begin + block.size]
        else:
            _fill(block, store, network, place, dt, tick)
    return store


def _stretches(block: SynapseBlock) -> list[tuple[str, str]]:
    """(array of the store, field that says where the block begins in it) of all arrays that a block lies in."""
    lies = [("targets32" if block.wide else "targets16", "at")]
    if block.kind != ROW_WEIGHT:
        lies.append(({WEIGHTS32: "weights32", WEIGHTS64: "weights64", CHANGING: "changing"}[block.kind], "weights_at"))
    if block.has_eligibility:
        lies.append(("eligibility", "eligibility_at"))
    return lies


def _goes_on(new: Group, old: Group) -> bool:
    """Whether a group begins with the populations of another, in the same order."""
    return len(new.members) >= len(old.members) and all(p is q for p, q in zip(new.members, old.members, strict=False))


def _kept(blocks: list[SynapseBlock], before: Store | None) -> dict[int, SynapseBlock]:
    """id of a block -> the block of the store ``before`` that it repeats; those whose synapses come and go are made anew."""
    kept: dict[int, SynapseBlock] = {}
    for block in blocks:
        for old in before.blocks if before is not None else ():
            same = (block.kind, block.receptor, block.structure, block.backward, len(block.projections)) == (
                old.kind, old.receptor, None, old.backward, len(old.projections))
            if not same or any(p is not q for p, q in zip(block.projections, old.projections, strict=True)):
                continue
            cut = (block.target.part_size, block.target.n_parts) == (old.target.part_size, old.target.n_parts)
            whole = block.target.n_parts == old.target.n_parts == 1 and block.wide == old.wide
            if (cut or whole) and _goes_on(block.source, old.source) and _goes_on(block.target, old.target):
                kept[id(block)] = old
    return kept


def _take_over(block: SynapseBlock, old: SynapseBlock) -> None:
    """Make a block out of the other's rows; cells that have joined the source group since have none."""
    more = (block.source.n - old.source.n) * old.delays.size
    block.delays, block.bases = old.delays, old.bases
    block.pointer = [np.concatenate([pointer, np.full(more, pointer[-1])]) if more else pointer for pointer in old.pointer]
    block.size = block.room = old.size


def _lie_the_same(blocks: list[SynapseBlock], kept: dict[int, SynapseBlock], before: Store) -> bool:
    """Whether all blocks are taken over, and lie where they lay, so that arrays can be shared."""
    return len(blocks) == len(before.blocks) and all(
        id(block) in kept and kept[id(block)] is old and (block.at, block.weights_at, block.eligibility_at)
        == (old.at, old.weights_at, old.eligibility_at) for block, old in zip(blocks, before.blocks, strict=True))
