"""A content-addressable memory after region CA3 of the hippocampus: Casanueva-Morato et al. 2024."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cells.lif import IF_curr_exp
from ..cells.sources import SpikeSourceArray
from ..connectors import AllToAllConnector, ArrayConnector, OneToOneConnector
from ..errors import FileFormatError, ParameterError
from ..network import Network
from ..plasticity import AdditiveWeightDependence, SpikePairRule, STDPMechanism
from .base import Model, render
from .ca3_operations import HOLD, Answer, Operation, fragment, index, learn, perfect, recall

if TYPE_CHECKING:
    from ..result import Result

__all__ = ["MODEL", "Answer", "CA3Memory", "Operation", "build", "fragment", "learn", "perfect", "recall"]

TICK = 1.0  # ms: delays, and so the whole memory, are laid out in ticks of a machine
FIRST, SECOND = 5, 6  # ticks from an operation to its first and its second output
EVERY = 14  # ticks from one operation to the next, unless another number is asked for
W = 6.0  # nA: a weight that makes its target fire in the tick of its arrival
SLOW = IF_curr_exp(cm=0.27, tau_m=3.0, tau_refrac=1.0, tau_syn_E=0.3, tau_syn_I=0.3, v_rest=-60.0, v_reset=-60.0, v_thresh=-57.0)
FAST = SLOW.replaced(cm=0.14, tau_m=0.5)
OUTPUT = SLOW.replaced(v_thresh=-57.5)
RULE = STDPMechanism(SpikePairRule(tau_plus=3.0, tau_minus=3.0, A_plus=1.0, A_minus=1.0), AdditiveWeightDependence(w_min=0.0, w_max=W),
                     order="spinnaker")


# ------------------------------------------------------------------------------------------ the network


def network(cues: int = 5, contents: int = 10, seed: int = 1, inhibition: float | None = None, record: str = "output") -> Network:
    """The network of `CA3Memory`, with silent inputs.

    Cues and bits of the content come in one to one and go out one to one; two projections learn (==>)::

        by cue      cue_in --> cue_1 ==> content_1 -----------------> content_merged --> content_out
        by content  content_in --> content_1 --> content_2 --> content_3 ==> cue_2 --> cue_merged --> cue_out

    ``cue_1`` teaches ``cue_2`` and holds all others of it back while it does, and keeps contents that are recalled by a cue out
    of ``content_2``; ``condition``, one cell, helps contents through.

    Parameters
    ----------
    cues, contents : int
        Number of cues, of which one is active at a time, and of bits.
    inhibition : float, optional
        What a cue holds the others back with in learning, nA; by default the paper's 6 ``contents``, as much as all bits
        together can excite.
    record : str
        ``"output"``, or ``"all"`` populations.

    References
    ----------
    Casanueva-Morato D, Ayuso-Martinez A, Dominguez-Morales JP, Jimenez-Fernandez A, Jimenez-Moreno G (2024) Neural Networks 178:106474.
    """
    for value, name, least in ((cues, "cues", 2), (contents, "contents", 1)):
        if index(value, f"model ca3: {name}") < least:
            raise ParameterError(f"model ca3: {name} must be >= {least}, got {value}")
    if record not in ("output", "all"):
        raise ParameterError(f"model ca3: record must be 'output' or 'all', got {record!r}")
    strong = W * contents if inhibition is None else inhibition
    if isinstance(strong, bool) or not isinstance(strong, (int, float, np.number)) or not 0.0 < strong < np.inf:
        raise ParameterError(f"model ca3: inhibition must be a finite number > 0 nA, got {inhibition!r}")
    net = Network(seed, "ca3")
    cue_in, content_in = (net.population(n, SpikeSourceArray(), label) for n, label in ((cues, "cue_in"), (contents, "content_in")))
    cue1, cue2 = net.population(cues, SLOW, "cue_1"), net.population(cues, FAST, "cue_2")
    content1, content2 = net.population(contents, SLOW, "content_1"), net.population(contents, FAST, "content_2")
    content3, condition = net.population(contents, SLOW, "content_3"), net.population(1, FAST, "condition")
    cue_merged, content_merged = net.population(cues, SLOW, "cue_merged"), net.population(contents, SLOW, "content_merged")
    cue_out, content_out = net.population(cues, OUTPUT, "cue_out"), net.population(contents, OUTPUT, "content_out")
    single, every = OneToOneConnector(), AllToAllConnector()
    others = ArrayConnector(~np.eye(cues, dtype=bool))
    for pre, post, weight, delay in (
            (cue_in, cue1, W, 1), (content_in, content1, W, 1), (cue1, cue2, W, 2), (content1, content2, 1.5 * W, 1),
            (content2, content3, W, 1), (cue1, cue_merged, W, 3), (cue2, cue_merged, W, 1), (content1, content_merged, W, 3),
            (content3, content_merged, W, 1),
            (cue_merged, cue_out, W, 1), (content_merged, content_out, W, 1)):
        net.project(pre, post, single, weight, delay * TICK)
    net.project(content1, condition, every, W, TICK)
    net.project(condition, content2, every, W / 3.0, TICK)
    for pre, post, connector, weight, delay in (
            (cue1, content2, every, W, 2), (cue1, cue2, others, strong, 3), (cue2, cue2, others, strong, 2)):
        net.project(pre, post, connector, -float(weight), delay * TICK, "inhibitory", f"{pre.label} -| {post.label}")
    net.project(cue1, content1, every, 0.0, TICK, label="content of cue", synapse=RULE)
    net.project(content3, cue2, every, 0.0, TICK, label="cue of content", synapse=RULE)
    net.record([cue_out, content_out] if record == "output" else None, "spikes")
    return net


# ------------------------------------------------------------------------------------------ the memory


def _engine(described: Network) -> Any:
    from ..engine import Simulation
    from ..hardware.spinnaker.scheme import in_scheme
    return Simulation(in_scheme(described), dt=TICK, threads=1)


def _emulator(described: Network) -> Any:
    from ..hardware.spinnaker.emulation import Emulation
    return Emulation(described, dt=TICK)


_BACKENDS: dict[str, Callable[[Network], Any]] = {"engine": _engine, "emulator": _emulator}


class CA3Memory:
    """A memory that learns contents under cues, and recalls either by the other (see `network` for how).

    Parameters
    ----------
    cues, contents : int
        Cues 0 .. cues - 1, and bits 0 .. contents - 1 of the contents.
    backend : str or callable
        ``"engine"`` runs the network in SpiNNaker's order of events in double precision, ``"emulator"`` in its fixed point.
        A function from a `Network` to a simulation (with ``network``, ``run``, ``follow``, ``clear`` and ``t``, as
        `neurosim.Simulation` has them) may stand for others; it must deliver, add and test in that order too.
    seed, inhibition, record
        As for `network`.

    Attributes
    ----------
    network : Network
    simulation
        None before the first operation.
    result : Result or None
        What was recorded in the latest `run`.

    Examples
    --------
    >>> memory = CA3Memory(cues=5, contents=10)
    >>> memory.learn(0, {0, 1, 8, 9}).content
    (0, 1, 8, 9)
    >>> memory.recall(cue=0).content, memory.recall(content={8}).cues
    ((0, 1, 8, 9), (0,))
    """

    def __init__(self, cues: int = 5, contents: int = 10, backend: str | Callable[[Network], Any] = "engine", seed: int = 1,
                 inhibition: float | None = None, record: str = "output") -> None:
        if not callable(backend) and (not isinstance(backend, str) or backend not in _BACKENDS):
            raise ParameterError(f"CA3Memory.backend must be {' or '.join(map(repr, _BACKENDS))}, or a function, got {backend!r}")
        self.network = network(cues, contents, seed, inhibition, record)
        self.cues, self.contents = int(cues), int(contents)
        self._make: Callable[[Network], Any] = backend if callable(backend) else _BACKENDS[backend]
        self.simulation: Any = None
        self.result: Result | None = None

    @property
    def t(self) -> float:
        """Simulated time, ms."""
        return 0.0 if self.simulation is None else float(self.simulation.t)

    def learn(self, cue: int, content: Iterable[int]) -> Answer:
        """Store ``content`` under ``cue`` now."""
        return self.run([learn(cue, content)])[0]

    def recall(self, cue: int | None = None, content: Iterable[int] | None = None) -> Answer:
        """Recall by cue or by content now."""
        return self.run([recall(cue, content)])[0]

    def run(self, operations: Iterable[Operation], every: float | None = None, at: Sequence[float] | None = None) -> list[Answer]:
        """Carry out operations one after the other, from now on, and wait until everything is quiet.

        Parameters
        ----------
        operations : iterable of Operation
        every : float, optional
            Time from one to the next, ms, by default 14.  It may be as short as 7 after learning and 6 after recall, but what was
            learnt is then weakened if the next operation shares some of it.
        at : sequence of float, optional
            Times at which they begin, ms, in place of ``every``.

        Returns
        -------
        list of Answer

        Raises
        ------
        ParameterError
            For a cue or a bit that the memory does not have; for times that are not whole ticks, in the past, or too close.
        """
        operations = list(operations)
        self._check(operations)
        starts = self._starts(operations, every, at)
        self._give(operations, starts)
        self.result = self.simulation.run((starts[-1] + EVERY - 1) * TICK - self.t)
        self.simulation.clear()
        return self._decode(operations, starts)

    def stored(self) -> np.ndarray:
        """What each cue has: the synapses from cues to contents that make their target fire; bool, shape (cues, contents).

        The machine, and the emulator, change the weights of a cue when it fires next: what it learnt last may be missing here.
        """
        table = np.zeros((self.cues, self.contents), bool)
        if self.simulation is not None:
            found = self.simulation.weights("content of cue")
            table[found.pre, found.post] = np.asarray(found.values).reshape(-1) > 0.5 * W
        return table

    def _check(self, operations: Sequence[Any]) -> None:
        if not operations:
            raise ParameterError("CA3Memory.run needs at least one operation")
        for one in operations:
            if not isinstance(one, Operation):
                raise ParameterError(f"an operation is made by learn() or recall(), got {one!r}")
            if one.cue is not None and one.cue >= self.cues:
                raise ParameterError(f"{one.kind}: cue must be 0 .. {self.cues - 1}, got {one.cue}")
            if one.content and one.content[-1] >= self.contents:
                raise ParameterError(f"{one.kind}: bits of the content must be 0 .. {self.contents - 1}, got {one.content[-1]}")

    def _starts(self, operations: Sequence[Operation], every: float | None, at: Sequence[float] | None) -> list[int]:
        """The tick at which each operation begins."""
        now = 0 if self.simulation is None else round(self.t) + 1
        if at is not None:
            if every is not None or len(at) != len(operations):
                raise ParameterError(f"CA3Memory.run: at must have {len(operations)} times, and every must be left out, got {at!r:.200}")
            starts = [_tick(one, "CA3Memory.run: at") for one in at]
        else:
            starts = (now + np.arange(len(operations)) * (EVERY if every is None else _tick(every, "CA3Memory.run: every"))).tolist()
        if starts[0] < now:
            raise ParameterError(f"CA3Memory.run: the first operation can begin at {now} ms, got {starts[0]} ms")
        for one, start, following in zip(operations, starts, starts[1:]):
            if following < start + one.spacing:
                raise ParameterError(f"CA3Memory.run: after an operation ({one.kind}) at {start} ms the next can begin at"
                                     f" {start + one.spacing} ms, got {following} ms")
        return starts

    def _give(self, operations: Sequence[Operation], starts: Sequence[int]) -> None:
        """Make the inputs fire at the operations to come."""
        times: dict[str, list[list[float]]] = {"cue_in": [[] for _ in range(self.cues)], "content_in": [[] for _ in range(self.contents)]}
        for one, start in zip(operations, starts, strict=True):
            ticks = [(start + k) * TICK for k in range(HOLD[one.kind])]
            if one.cue is not None:
                times["cue_in"][one.cue] += ticks
            for bit in one.content:
                times["content_in"][bit] += ticks
        described = self.network if self.simulation is None else self.simulation.network
        for label, rows in times.items():
            described[label].set(spike_times=rows)
        self.simulation = self._make(self.network) if self.simulation is None else self.simulation.follow()

    def _decode(self, operations: Sequence[Operation], starts: Sequence[int]) -> list[Answer]:
        assert self.result is not None
        fired = {}
        for label in ("cue_out", "content_out"):
            spikes = self.result.spikes(label)
            by_tick: dict[int, list[int]] = {}
            for tick, cell in zip(np.rint(spikes.times / TICK).astype(int).tolist(), spikes.ids.tolist(), strict=True):
                by_tick.setdefault(tick, []).append(cell)
            fired[label] = {tick: tuple(sorted(cells)) for tick, cells in by_tick.items()}
        answers = []
        for one, start in zip(operations, starts, strict=True):
            by_content = one.cue is None
            cues = fired["cue_out"].get(start + (SECOND if by_content else FIRST), ())
            first, second = (fired["content_out"].get(start + k, ()) for k in (FIRST, SECOND))
            learns = one.kind == "learn"
            answers.append(Answer(one, start * TICK, cues, first if by_content or learns else second, second if learns else ()))
        return answers


def _tick(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)) or not float(value / TICK).is_integer():
        raise ParameterError(f"{name} must be whole ticks of {TICK:g} ms, got {value!r}")
    return int(value / TICK)


# ------------------------------------------------------------------------------------------ the model of `neurosim run`


@dataclasses.dataclass(eq=False)
class Demonstration:
    """Operations that a memory was put through, and its answers beside those of a perfect one."""

    operations: list[Operation]
    answers: list[Answer]
    expected: list[Answer]
    result: Result
    facts: dict[str, Any]

    @property
    def exact(self) -> int:
        """How many answers are the perfect ones."""
        return sum(a.said == b.said for a, b in zip(self.answers, self.expected, strict=True))

    def report(self) -> str:
        """How many answers of each kind were right."""
        rows = []
        kinds = {"learn": "learn", "cue": "recall by cue", "content": "recall by content"}
        for kind, words in kinds.items():
            mine = [k for k, one in enumerate(self.operations) if kind == _kind(one)]
            right = sum(self.answers[k].said == self.expected[k].said for k in mine)
            rows.append((words, str(len(mine)), str(right)))
        f = self.facts
        return render(("operation", "number", "exact"), rows, [
            f"{f['cues']} cues, contents of {f['contents']} bits; {f['neurons']} neurons, {f['simulated']:g} ms on the"
            f" {f['backend']} in {f['wall_s']:.1f} s."])

    def save(self, path: str | os.PathLike) -> None:
        """Write operations and answers as ``.npz``: one line of JSON each."""
        lines = [json.dumps({"time": a.time, **dataclasses.asdict(a.operation), "cues_out": a.cues, "content_out": a.content,
                             "forgotten": a.forgotten, "exact": a.said == b.said})
                 for a, b in zip(self.answers, self.expected, strict=True)]
        try:
            with open(path, "wb") as file:
                np.savez_compressed(file, answers=np.array(lines), facts=json.dumps(self.facts))
        except OSError as error:
            raise FileFormatError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from error

    def picture(self) -> Any:
        """The spikes of all populations: a matplotlib Figure."""
        return self.result.plot.raster()


def _kind(one: Operation) -> str:
    return "learn" if one.kind == "learn" else "content" if one.cue is None else "cue"


def demonstrate(scale: float = 1.0, seed: int = 1, dt: float = TICK, threads: int | None = None, progress: bool = False,
                cues: int = 5, contents: int = 10, backend: str = "engine") -> Demonstration:
    """Learn a random content under every cue; recall all by cue and by a fragment; learn half of them anew; recall all again."""
    if dt != TICK:
        raise ParameterError(f"model ca3: dt must be {TICK:g} ms, got {dt:g} ms")
    cues, contents = _scaled(scale, cues, contents)
    rng = np.random.default_rng(seed)
    memory = CA3Memory(cues, contents, backend, seed, record="all")
    table = {cue: tuple(np.flatnonzero(rng.permutation(contents) < max(1, contents // 3)).tolist()) for cue in range(cues)}
    operations = [learn(cue, bits) for cue, bits in table.items()]
    operations += [one for cue, bits in table.items() for one in (recall(cue=cue), recall(content=fragment(bits, 1, rng)))]
    for cue in range(0, cues, 2):
        table[cue] = tuple(sorted(set(range(contents)) - set(table[cue]))) or table[cue]
        operations.append(learn(cue, table[cue]))
    operations += [one for cue, bits in table.items() for one in (recall(cue=cue), recall(content=fragment(bits, 1, rng)))]
    began = time.perf_counter()
    answers = memory.run(operations)
    assert memory.result is not None
    facts = {"cues": cues, "contents": contents, "backend": backend, "simulated": memory.t, "wall_s": time.perf_counter() - began,
             "neurons": sum(p.size for p in memory.network.populations if not p.cell.is_source), "seed": seed}
    return Demonstration(operations, answers, perfect(operations), memory.result, facts)


def _scaled(scale: float, cues: int, contents: int) -> tuple[int, int]:
    return max(2, round(index(cues, "model ca3: cues") * scale)), max(1, round(index(contents, "model ca3: contents") * scale))


def build(scale: float, seed: int, dt: float, cues: int = 5, contents: int = 10) -> Network:
    """The network before it has learnt, with silent inputs; ``scale`` multiplies ``cues`` and ``contents``."""
    return network(*_scaled(scale, cues, contents), seed, record="all")


def report(result: Result) -> str:
    """How often the output fired."""
    rows = [(label, str(result.spikes(label).times.size)) for label in ("cue_out", "content_out")]
    return render(("population", "spikes"), rows)


MODEL = Model("ca3", "content-addressable memory of the hippocampus (Casanueva-Morato et al. 2024)", build, report,
              default_time=100.0, default_dt=TICK, learn=demonstrate)
