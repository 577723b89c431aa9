"""From a `Network` to a NIR graph that spikes, step for step, as the network does where it is executed."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurosim import wiring
from neurosim.cells.base import refractory_steps
from neurosim.cells.euler import RESETS, EulerCubaLIF, EulerLIF
from neurosim.cells.lif import IF_curr_delta, IF_curr_exp, IF_jump, current_propagator
from neurosim.currents import FOREVER, DCSource
from neurosim.errors import FileFormatError, NetworkError, ParameterError
from neurosim.extras import need
from neurosim.leaky import NEVER
from neurosim.network import Network, Population

from . import graph as graphs
from .graph import Note

__all__ = ["TARGETS", "Exported", "to_nir"]

TARGETS = ("snntorch", "norse")
_STEP_OF = {"snntorch": 1e-4}  # s: the step that the target has built in
_CELLS = "IF_curr_delta, IF_jump, IF_curr_exp, EulerLIF, EulerCubaLIF and spike sources"
_MOST_WEIGHTS = 100_000_000

Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True, eq=False)
class Exported:
    """A NIR graph made of a network, and how its steps correspond to the network's.

    Attributes
    ----------
    graph : nir.NIRGraph
    dt : float
        Step to execute it with, s.
    names : dict
        Label of each population -> its node.
    offsets : dict
        Label of each population -> steps that it lies behind the graph: what it does at step t + offset, the graph does
        within step t (0, 1, ...).
    report : tuple of Note
        What was left out, shifted or scaled.
    """

    graph: Any
    dt: float
    names: dict[str, str]
    offsets: dict[str, int]
    report: tuple[Note, ...]


def to_nir(network: Network, path: str | Path | None = None, dt: float = 0.1, dynamics: str = "euler", target: str | None = None,
           outputs: Sequence[str] | None = None, retime: bool = True) -> Exported:
    """Make a NIR graph of a network.

    Parameters
    ----------
    network : Network
        Of `IF_curr_delta`, `IF_jump` or `IF_curr_exp` cells (or the Euler cells of :func:`from_nir`) without refractory
        time, and spike sources, joined by synapses that do not change.
    path : str or Path, optional
        File to write; it is read again and compared.
    dt : float
        Step that the network is simulated with, ms.
    dynamics : {"euler", "exact"}
        ``"euler"``: who executes the graph by Euler's method, with the step `Exported.dt`, finds the network's spikes.
        ``"exact"``: the graph has the network's own time constants.
    target : {"snntorch", "norse"}, optional
        Say it so that this one executes it: potentials relative to rest, gains as it expects them.
    outputs : sequence of str, optional
        Populations that get an Output; by default those that are recorded, or else those that project nowhere.
    retime : bool
        Whether delays that all paths have in common are taken as offsets of layers, so that layers follow each other
        within a step; else every delay beyond the first is a Delay node.

    Returns
    -------
    Exported

    Raises
    ------
    NetworkError
        For what NIR, or the target, cannot say, by name; nothing is written then.
    ParameterError
        For arguments out of range.
    FileFormatError
        If the file, read again, is not the graph.
    ModuleNotFoundError
        If the package ``nir`` is missing (extra ``[nir]``).
    """
    if not isinstance(network, Network):
        raise ParameterError(f"to_nir needs a Network, got {network!r:.200}")
    for name, value, known in (("dynamics", dynamics, ("euler", "exact")), ("target", target, (None, *TARGETS))):
        if value not in known:
            raise ParameterError(f"to_nir: {name} must be one of {', '.join(map(str, known))}, got {value!r}")
    if isinstance(dt, bool) or not isinstance(dt, (int, float, np.number)) or not math.isfinite(dt) or dt <= 0:
        raise ParameterError(f"to_nir: dt must be > 0 ms, got {dt!r}")
    if target and dynamics != "euler":
        raise ParameterError(f"to_nir: {target} executes by Euler's method: dynamics must be 'euler', got {dynamics!r}")
    made = _Exporter(network, float(dt), dynamics, target, retime).exported(outputs)
    if path is not None:
        nir = need("nir", "nir")
        nir.write(str(path), made.graph)
        difference = _difference(made.graph, nir.read(str(path)))
        if difference:
            raise FileFormatError(f"{path}: read again, the graph differs: {difference}")
    return made


def _difference(one: Any, two: Any) -> str:
    """Where two graphs differ, or nothing."""
    (nodes, edges), (others, other_edges) = graphs.flatten(one), graphs.flatten(two)
    if set(nodes) != set(others) or set(edges) != set(other_edges):
        return "other nodes or edges"
    for name, node in nodes.items():
        other = others[name]
        if type(node) is not type(other):
            return f"node {name!r} is a {type(other).__name__}"
        for field in dataclasses.fields(node) if node is not None else ():
            if field.name in ("input_type", "output_type", "metadata"):
                continue
            if not np.array_equal(np.asarray(getattr(node, field.name)), np.asarray(getattr(other, field.name))):
                return f"{field.name} of node {name!r}"
    return ""


# ----------------------------------------------------------------------------------- cells


@dataclasses.dataclass
class _Neuron:
    """A population in NIR's terms: SI units; arrays of shape (size,).

    ``effect``: V that a weight of the network brings when it arrives; ``factor``: V that a weight of the graph brings;
    ``bias``: (first step, V a step); ``lag``: steps from arrival to effect.
    """

    kind: str
    values: dict[str, np.ndarray]
    effect: np.ndarray
    factor: np.ndarray
    bias: list[tuple[int, np.ndarray]]
    lag: int = 0


def _below(threshold: np.ndarray) -> np.ndarray:
    """V above which a cell is at or above a threshold (mV), also when both are rounded to single precision."""
    v = np.nextafter(threshold, -np.inf) * 1e-3
    single = v.astype(np.float32)
    lower = np.nextafter(single, np.float32(-np.inf)).astype(np.float64)
    return np.where(single.astype(np.float64) >= threshold * 1e-3, lower, v)


class _Cells:
    """The populations of a network as neurons of NIR."""

    def __init__(self, network: Network, dt: float, dynamics: str, target: str | None, notes: list[Note]) -> None:
        self.network, self.dt, self.exact, self.target, self.notes = network, dt, dynamics == "exact", target, notes
        self.step = _STEP_OF.get(target or "", dt * 1e-3)  # s, of the graph

    def neuron(self, population: Population) -> _Neuron:
        """One population, or an error that names what cannot be said."""
        cell, label, n = population.cell, population.label, population.size
        kind = type(cell)
        if kind not in (IF_curr_delta, IF_jump, IF_curr_exp, EulerLIF, EulerCubaLIF):
            raise NetworkError(f"to_nir: population {label!r} is of {cell.name}, which NIR does not have; it has {_CELLS}")
        p = cell.values(n, self.network.seed, label)
        initial = cell.initial_values(n, self.network.seed, label, population.initial_values, p)
        if "tau_refrac" in p and refractory_steps(p["tau_refrac"], self.dt).any():
            raise NetworkError(f"to_nir: population {label!r}: NIR has no refractory time; {cell.name}.tau_refrac must be 0 ms,"
                               f" got {p['tau_refrac'].max():g} ms")
        leak = p["v_reset"] if kind is IF_jump else p["v_rest"] if "v_rest" in p else p["v_leak"]
        for name, value in initial.items():
            wanted = leak if name == "v" else np.zeros(n)
            if (value != wanted).any():
                at = int(np.flatnonzero(value != wanted)[0])
                raise NetworkError(f"to_nir: population {label!r}: NIR has no initial values; {name} must start at {wanted[at]:g},"
                                   f" got {value[at]:g}")
        made = self._euler(label, cell, p) if kind in (EulerLIF, EulerCubaLIF) else self._solved(label, kind, p)
        self._levels(label, made, leak, p, kind)
        self._scale(label, made)
        return made

    def _solved(self, label: str, kind: Any, p: Mapping[str, np.ndarray]) -> _Neuron:
        """Cells that are solved exactly."""
        n, dt = p["cm"].size, self.dt
        if kind is IF_jump:
            gain = dt / p["cm"]  # mV for 1 nA that lasts a step
            return _Neuron("IF", {"r": gain * 1e6 / self.step}, np.full(n, 1e-3), gain * 1e6, [(0, gain * p["i_offset"] * 1e-3)])
        tau, b = self._tau(p["tau_m"])
        r = p["tau_m"] / p["cm"] * 1e6
        if kind is IF_curr_delta:
            return _Neuron("LIF", {"tau": tau, "r": r}, np.full(n, 1e-3), b * r, [(0, b * r * p["i_offset"] * 1e-9)])
        if p["i_offset"].any():
            raise NetworkError(f"to_nir: population {label!r}: a constant current into the membrane is not in NIR's CubaLIF, whose"
                               " inputs go through the synapse; IF_curr_exp.i_offset must be 0 nA")
        if (p["tau_syn_E"] != p["tau_syn_I"]).any():
            raise NetworkError(f"to_nir: population {label!r}: NIR's CubaLIF has one synaptic current; IF_curr_exp.tau_syn_E and"
                               f" tau_syn_I must be equal, got {p['tau_syn_E'][0]:g} and {p['tau_syn_I'][0]:g} ms")
        tau_syn, a = self._tau(p["tau_syn_E"])
        effect = 1e-9 * b * r if self.exact else 1e-3 * current_propagator(p["tau_m"], p["tau_syn_E"], p["cm"], dt)
        values = {"tau_syn": tau_syn, "tau_mem": tau, "r": r, "w_in": np.ones(n)}
        return _Neuron("CubaLIF", values, effect, a * b * r, [], 0 if self.exact else 1)

    def _euler(self, label: str, cell: Any, p: Mapping[str, np.ndarray]) -> _Neuron:
        """Cells that are stepped by Euler's method."""
        n, b = p["keep"].size, 1.0 - p["keep"]
        if self.exact:
            raise NetworkError(f"to_nir: population {label!r} is stepped by Euler's method: dynamics must be 'euler'")
        if (p["reset"] != p["reset"][0]).any() or not 0 <= int(p["reset"][0]) < len(RESETS):
            raise NetworkError(f"to_nir: population {label!r}: {cell.name}.reset must be one number from 0 to {len(RESETS) - 1}")
        if p["reset"][0]:
            text = f"a spike's effect, {RESETS[int(p['reset'][0])]!r}, is not said by NIR, whose spikes set v to v_reset"
            if self.target:
                raise NetworkError(f"to_nir: population {label!r}: {text}, and {self.target} would do so")
            self.notes.append(Note(label, text))
        if isinstance(cell, EulerLIF):
            bias = [(0, p["gain"] * p["i_offset"] * 1e-3)]
            static = (p["keep"] == 0).all() and (p["gain"] == 1e-6).all() and not p["v_leak"].any() and not p["v_reset"].any()
            if static and self.target is None:
                return _Neuron("Threshold", {}, np.full(n, 1e-3), np.ones(n), bias)
            if (b == 0).all():
                return _Neuron("IF", {"r": p["gain"] * 1e6 / self.step}, np.full(n, 1e-3), p["gain"] * 1e6, bias)
            self._positive(label, cell, "1 - keep", b)
            return _Neuron("LIF", {"tau": self.step / b, "r": p["gain"] * 1e6 / b}, np.full(n, 1e-3), p["gain"] * 1e6, bias)
        a = 1.0 - p["keep_syn"]
        self._positive(label, cell, "1 - keep", b)
        self._positive(label, cell, "1 - keep_syn", a)
        values = {"tau_syn": self.step / a, "tau_mem": self.step / b, "r": p["gain"] * 1e6 / b, "w_in": p["gain_syn"] / a}
        return _Neuron("CubaLIF", values, p["gain"] * 1e-3, p["gain"] * 1e6 * p["gain_syn"],
                       [(0, p["gain"] * p["gain_syn"] * p["i_offset"] * 1e-3)])

    @staticmethod
    def _positive(label: str, cell: Any, what: str, value: np.ndarray) -> None:
        if (value <= 0).any():
            raise NetworkError(f"to_nir: population {label!r}: {what} of {cell.name} must be > 0, got {value.min():g}")

    def _tau(self, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(time constant of the graph, s; step over it), for a decay of the network's with tau ms."""
        b = self.dt / tau if self.exact else -np.expm1(-self.dt / tau)
        return self.step / b, b

    def _levels(self, label: str, made: _Neuron, leak: np.ndarray, p: Mapping[str, np.ndarray], kind: Any) -> None:
        """Threshold, reset and leak, V; relative to the leak for a target."""
        graded = (p["v_thresh"] >= NEVER).all()
        strict = kind in (EulerLIF, EulerCubaLIF) and not p["reached"].any()
        zero = leak if self.target else np.zeros_like(leak)
        if self.target and leak.any():
            self.notes.append(Note(label, f"potentials are relative to rest, {leak[0]:g} mV"))
        threshold = p["v_thresh"] - zero
        reset = (p["v_reset"] - zero) * 1e-3
        if made.kind == "Threshold":
            made.values["threshold"] = threshold * 1e-3
            return
        if not graded:
            made.values["v_threshold"] = threshold * 1e-3 if strict else _below(threshold)
            made.values["v_reset"] = reset
            if self.target and reset.any():
                raise NetworkError(f"to_nir: population {label!r}: {self.target} resets to the leak potential; v_reset must be"
                                   f" {leak[0]:g} mV, got {p['v_reset'][0]:g} mV")
        if made.kind != "IF":
            made.values["v_leak"] = (leak - zero) * 1e-3
        if graded:
            made.kind = {"IF": "I", "LIF": "LI", "CubaLIF": "CubaLI"}[made.kind]

    def _scale(self, label: str, made: _Neuron) -> None:
        """Gains as the target takes them."""
        if self.target is None:
            return
        known = {"snntorch": ("LIF", "CubaLIF"), "norse": ("LIF", "CubaLIF", "IF")}[self.target]
        if made.kind not in known:
            raise NetworkError(f"to_nir: population {label!r}: {self.target} does not read NIR's {made.kind}; it reads {', '.join(known)}")
        values, ones = made.values, np.ones_like(made.effect)
        if made.kind == "IF":
            values["r"], made.factor = ones, ones
        elif made.kind == "LIF" and self.target == "norse":
            values["r"], made.factor = ones, self.step / values["tau"]
        else:
            values["r"] = values["tau" if made.kind == "LIF" else "tau_mem"] / self.step
            if made.kind == "CubaLIF":
                values["w_in"] = values["tau_syn"] / self.step
            made.factor = ones
        threshold = values["v_threshold"]
        if self.target == "snntorch" and (threshold != threshold[0]).any():
            if (threshold <= 0).any():
                raise NetworkError(f"to_nir: population {label!r}: snntorch has one threshold a layer: thresholds that differ must lie"
                                   " above rest")
            self.notes.append(Note(label, "snntorch has one threshold a layer: weights are divided by the thresholds, which are 1 V"))
            made.factor = made.factor * threshold
            values["v_threshold"] = ones


# ----------------------------------------------------------------------------------- the graph


@dataclasses.dataclass
class _Joint:
    """All synapses between two populations: indices, V that each brings, delay in steps."""

    pre: np.ndarray
    post: np.ndarray
    volts: np.ndarray
    steps: np.ndarray


class _Exporter:
    """One export."""

    def __init__(self, network: Network, dt: float, dynamics: str, target: str | None, retime: bool) -> None:
        self.network, self.dt, self.target, self.retime = network, dt, target, retime
        self.notes: list[Note] = []
        self.cells = _Cells(network, dt, dynamics, target, self.notes)
        self.step = self.cells.step

    def exported(self, outputs: Sequence[str] | None) -> Exported:
        """The graph and what belongs to it."""
        network = self.network
        self._check()
        self.sources = [p.label for p in network.populations if p.cell.is_source]
        self.neurons = {p.label: self.cells.neuron(p) for p in network.populations if not p.cell.is_source}
        self.sizes = {p.label: p.size for p in network.populations}
        for injection in network.injections:
            self._inject(injection)
        self.names = self._named()
        self.joints = self._joined()
        for label in self.neurons:
            if not any(post == label for _, post in self.joints):
                raise NetworkError(f"to_nir: nothing projects to population {label!r}; a NIR node needs an input")
        self.read = self._outputs(outputs)
        self.late = late = self._late({pair: np.zeros(joint.pre.size, np.int64) for pair, joint in self.joints.items()})
        offsets = self._offsets(late)
        waits = {pair: joint.steps + self.neurons[pair[1]].lag - late[pair] + offsets[pair[0]] - offsets[pair[1]]
                 for pair, joint in self.joints.items()}
        biases = {label: self._bias(label, offsets[label]) for label in self.neurons}
        if self._late(waits) != late:
            raise NetworkError("to_nir: with Delay nodes the loops of the graph are executed in another order; retime=False may help")
        graph = self._graph(waits, biases)
        for label in self.sources:
            self.notes.append(Note(label, "when it spikes is not part of a graph: give its spikes to the Input"))
        if self.step != self.dt * 1e-3:
            self.notes.append(Note("graph", f"{self.target} has a step of {self.step:g} s: time constants are for steps of that length"))
        return Exported(graph, self.step, self.names, offsets, tuple(dict.fromkeys(self.notes)))

    # -------------------------------------------------------------------------- what there is

    def _check(self) -> None:
        network = self.network
        for one in network.inputs:
            raise NetworkError(f"to_nir: Poisson input {one.label!r} is not in NIR; make it a population of SpikeSourcePoisson")
        for projection in network.projections:
            if projection.graded or projection.changes or projection.synapse is not None:
                raise NetworkError(f"to_nir: projection {projection.label!r} has synapses that change or act all the time; NIR's stay"
                                   " as they are")
        if not network.projections:
            raise NetworkError("to_nir: the network has no projections")

    def _inject(self, injection: Any) -> None:
        source, label = injection.current, injection.target.population.label
        if not isinstance(source, DCSource) or source.stop < FOREVER:
            raise NetworkError(f"to_nir: population {label!r}: NIR knows constant currents without end, not {type(source).__name__}"
                               + (f" until {source.stop:g} ms" if isinstance(source, DCSource) else ""))
        neuron = self.neurons[label]
        if neuron.kind in ("CubaLIF", "CubaLI") and not isinstance(injection.target.cell, EulerCubaLIF):
            raise NetworkError(f"to_nir: population {label!r}: a constant current into the membrane is not in NIR's CubaLIF")
        vector = np.zeros(self.sizes[label])
        p = injection.target.cell.values(vector.size, self.network.seed, label)
        vector[injection.target.indices] = source.amplitude
        if neuron.kind in ("LIF", "LI") and isinstance(injection.target.cell, IF_curr_delta):
            volts = self.cells._tau(p["tau_m"])[1] * p["tau_m"] / p["cm"] * vector * 1e-3
        elif isinstance(injection.target.cell, IF_jump):
            volts = self.dt / p["cm"] * vector * 1e-3
        else:
            volts = p["gain"] * p.get("gain_syn", 1.0) * vector * 1e-3
        neuron.bias.append((int(math.floor(source.start / self.dt + 0.5)), volts))

    def _named(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for label in self.sizes:
            plain = stem = re.sub(r"\W", "_", label)
            k = 1
            while plain in names.values() or plain == "output":
                k += 1
                plain = f"{stem}_{k}"
            names[label] = plain
            if plain != label:
                self.notes.append(Note(label, f"the node is called {plain!r}"))
        return names

    def _joined(self) -> dict[Pair, _Joint]:
        parts: dict[Pair, list[tuple[np.ndarray, ...]]] = {}
        for projection in self.network.projections:
            pre, post, weight, delay = wiring.arrays(projection, self.network.seed, self.dt)
            pre, post = projection.pre.indices[pre], projection.post.indices[post]
            pair = projection.pre.population.label, projection.post.population.label
            steps = np.rint(delay / self.dt).astype(np.int64)
            some = weight != 0
            if some.any():
                volts = weight * self.neurons[pair[1]].effect[post]
                parts.setdefault(pair, []).append((pre[some], post[some], volts[some], steps[some]))
        for pre_label, post_label in parts:
            if self.sizes[pre_label] * self.sizes[post_label] > _MOST_WEIGHTS:
                raise NetworkError(f"to_nir: NIR has full matrices only; {pre_label!r} to {post_label!r} would take"
                                   f" {self.sizes[pre_label] * self.sizes[post_label]} weights, more than {_MOST_WEIGHTS}")
            if pre_label in self.neurons and self.neurons[pre_label].kind in ("LI", "CubaLI", "I"):
                raise NetworkError(f"to_nir: population {pre_label!r} never spikes; its projection to {post_label!r} has no node in NIR")
        return {pair: _Joint(*(np.concatenate(column) for column in zip(*part))) for pair, part in parts.items()}

    def _outputs(self, outputs: Sequence[str] | None) -> list[str]:
        if outputs is None:
            recorded = list(dict.fromkeys(r.target.population.label for r in self.network.records))
            sinks = [label for label in self.neurons if not any(pre == label and post != label for pre, post in self.joints)]
            chosen = [label for label in recorded if label in sinks] or [label for label in recorded if label in self.neurons] or sinks
        else:
            chosen = [outputs] if isinstance(outputs, str) else list(outputs)
            for label in chosen:
                if label not in self.neurons:
                    raise NetworkError(f"to_nir: there is no population of neurons {label!r} for an Output; there are"
                                       f" {', '.join(self.neurons)}")
        for label in self.neurons:
            if label not in chosen and not any(pre == label for pre, _ in self.joints):
                chosen.append(label)
                self.notes.append(Note(label, "an Output, since it leads nowhere"))
        if not chosen:
            raise NetworkError("to_nir: no population for an Output: name some in outputs")
        if self.target and (len(chosen) != 1 or len(self.sources) != 1):
            raise NetworkError(f"to_nir: {self.target} runs graphs with one Input and one Output, here would be"
                               f" {len(self.sources)} ({', '.join(self.sources)}) and {len(chosen)} ({', '.join(chosen)})")
        return chosen

    # -------------------------------------------------------------------------- time

    def _late(self, waits: Mapping[Pair, np.ndarray]) -> dict[Pair, int]:
        """For each pair 1 if its spikes go into the next step where the graph is executed (round a loop), else 0."""
        chains = {pair: list(self._chains(pair, wait)) for pair, wait in waits.items()}
        nodes, edges = self._skeleton(chains)
        inputs = [self.names[label] for label in self.sources]
        rule: Callable = graphs.order_of_norse if self.target == "norse" else graphs.order_of_nirtorch
        order = rule(nodes, edges, inputs)
        if self.target == "norse" and order[-1] != "output":
            raise NetworkError(f"to_nir: norse gives out what the last node sends, here {order[-1]!r}, not the Output")
        place = {name: k for k, name in enumerate(order)}
        late = {pair: [int(place[chain[0][0]] > place[self.names[pair[1]]]) for chain in some] for pair, some in chains.items()}
        for (pre, post), each in late.items():
            if min(each) != max(each):
                raise NetworkError(f"to_nir: from {pre!r} to {post!r}: of synapses with different delays some would go into the next step")
        return {pair: each[0] for pair, each in late.items()}

    def _offsets(self, late: Mapping[Pair, int]) -> dict[str, int]:
        offsets: dict[str, int] = {label: 0 for label in self.sources}
        if not self.retime:
            return {**offsets, **{label: 1 for label in self.neurons}}
        for _ in range(len(self.sizes) + 1):
            changed = False
            for (pre, post), joint in self.joints.items():
                if pre in offsets:
                    least = offsets[pre] + int(joint.steps.min()) + self.neurons[post].lag - late[pre, post]
                    if least < offsets.get(post, least + 1) and post not in self.sources:
                        offsets[post], changed = least, True
            if not changed:
                break
        return offsets

    def _bias(self, label: str, offset: int) -> dict[int, np.ndarray]:
        """V a step, from the graph's first step on (0), or from the second (1), which weights in a loop can say."""
        total: dict[int, np.ndarray] = {}
        looped = any(post == label and late for (_, post), late in self.late.items())
        for start, volts in self.neurons[label].bias:
            late = start - (offset - 1)
            if volts.any() and late not in ((0, 1) if looped else (0,)):
                raise NetworkError(
                    f"to_nir: population {label!r}: a constant current must begin with the graph's first step, which is the cell's"
                    f" step {offset}, at {(offset - 1) * self.dt:g} ms, not {start * self.dt:g} ms"
                    + ("; with retime=False every cell's first step is the graph's" if self.retime else "")
                )
            if volts.any():
                total[late] = total.get(late, 0.0) + volts
        return total

    # -------------------------------------------------------------------------- nodes and edges

    def _chains(self, pair: Pair, wait: np.ndarray) -> Iterator[list[tuple[str, str, np.ndarray]]]:
        """Chains of nodes (name, kind, values) from one population to another, the last node first."""
        joint, (pre, post) = self.joints[pair], pair
        stem = f"{self.names[post]}_from_{self.names[pre]}"
        n_pre, n_post = self.sizes[pre], self.sizes[post]

        def weights(chosen: Any) -> np.ndarray:
            matrix = np.zeros((n_post, n_pre))
            np.add.at(matrix, (joint.post[chosen], joint.pre[chosen]), joint.volts[chosen])
            return matrix / self.neurons[post].factor[:, None]

        by_pre, by_post = _by(joint.pre, wait, n_pre), _by(joint.post, wait, n_post)
        everything = slice(None)
        if not wait.any():
            yield [(stem, "Linear", weights(everything))]
        elif by_pre is not None:
            yield [(stem, "Linear", weights(everything)), (f"{stem}_delay", "Delay", by_pre * self.step)]
        elif by_post is not None:
            yield [(f"{stem}_delay", "Delay", by_post * self.step), (stem, "Linear", weights(everything))]
        else:
            for steps in np.unique(wait):
                chain = [(f"{stem}_{steps}", "Linear", weights(wait == steps))]
                yield chain + ([(f"{stem}_{steps}_delay", "Delay", np.full(n_pre, steps * self.step))] if steps else [])

    def _skeleton(self, chains: Mapping[Pair, list]) -> tuple[list[str], list[tuple[str, str]]]:
        """Names in order, and edges: loops onto one population first, outputs last (norse goes depth first)."""
        edges: list[tuple[str, str]] = []
        for pair in sorted(chains, key=lambda one: (one[0] != one[1],)):
            for chain in chains[pair]:
                path = [self.names[pair[0]], *(name for name, _, _ in reversed(chain)), self.names[pair[1]]]
                edges += zip(path, path[1:])
        edges += [(self.names[label], self._output_name(label)) for label in self.read]
        return sorted({name for edge in edges for name in edge} | set(self.names.values())), edges

    def _output_name(self, label: str) -> str:
        return "output" if len(self.read) == 1 else f"output_{self.names[label]}"

    def _graph(self, waits: Mapping[Pair, np.ndarray], biases: Mapping[str, Mapping[int, np.ndarray]]) -> Any:
        nir = need("nir", "nir")
        chains = {pair: list(self._chains(pair, wait)) for pair, wait in waits.items()}
        _, edges = self._skeleton(chains)
        nodes: dict[str, Any] = {self.names[label]: nir.Input(input_type=np.array([self.sizes[label]])) for label in self.sources}
        for label, neuron in self.neurons.items():
            nodes[self.names[label]] = getattr(nir, neuron.kind)(**neuron.values)
        for pair, some in chains.items():
            for name, kind, values in (node for chain in some for node in chain):
                if kind == "Delay" and self.target:
                    raise NetworkError(f"to_nir: from {pair[0]!r} to {pair[1]!r}: {self.target} does not read NIR's Delay; delays must be"
                                       " such that layers follow each other in one step, and loops take one")
                nodes[name] = nir.Linear(values) if kind == "Linear" else nir.Delay(values)
        for label, some in biases.items():
            for late, volts in some.items():
                at = self._place_of_bias(label, late, chains)
                nodes[at] = nir.Affine(nodes[at].weight, volts / self.neurons[label].factor)
        for label in self.read:
            nodes[self._output_name(label)] = nir.Output(output_type=np.array([self.sizes[label]]))
        if self.target == "snntorch":
            nodes, edges = self._wrapped(nodes, edges, nir)
        return nir.NIRGraph({name: nodes[name] for name in sorted(nodes)}, edges)

    def _place_of_bias(self, label: str, late: int, chains: Mapping[Pair, list]) -> str:
        """A weight node that no Delay follows, in a loop (1) or not (0)."""
        for (pre, post), some in chains.items():
            if post == label and self.late[pre, post] == late:
                for chain in some:
                    if chain[0][1] == "Linear":
                        return chain[0][0]
        raise NetworkError(f"to_nir: population {label!r}: its constant current needs a projection from outside its loops, without"
                           " delays that differ from target to target")

    def _wrapped(self, nodes: dict[str, Any], edges: list[tuple[str, str]], nir: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Populations that project to themselves become sub-graphs, as snntorch writes them."""
        for pre, post in self.joints:
            if pre != post:
                continue
            name, loop = self.names[pre], f"{self.names[pre]}_from_{self.names[pre]}"
            n = np.array([self.sizes[pre]])
            inner = {"input": nir.Input(input_type=n), "lif": nodes[name], "w_rec": nodes.pop(loop), "output": nir.Output(output_type=n)}
            nodes[name] = nir.NIRGraph(inner, [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")])
            edges = [edge for edge in edges if loop not in edge]
            self.notes.append(Note(pre, "a sub-graph, since it projects to itself"))
        if not any(type(node).__name__ == "NIRGraph" for node in nodes.values()):
            return nodes, edges
        # nirtorch fails on a sub-graph whose input is not there yet, and a file gives nodes in alphabetical order.
        order = graphs.order_of_nirtorch(nodes, edges, [self.names[label] for label in self.sources])
        width = len(str(len(order)))
        renamed = {name: f"n{k:0{width}}_{name}" for k, name in enumerate(order)}
        self.names = {label: renamed[name] for label, name in self.names.items()}
        self.notes.append(Note("graph", "nodes are numbered in their order, which snntorch's import needs for sub-graphs"))
        return {renamed[name]: node for name, node in nodes.items()}, [(renamed[u], renamed[v]) for u, v in edges]


def _by(cells: np.ndarray, steps: np.ndarray, n: int) -> np.ndarray | None:
    """One number of steps for each cell, if its synapses agree."""
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(low, cells, steps)
    np.maximum.at(high, cells, steps)
    some = high >= 0
    return np.where(some, high, 0) if (low[some] == high[some]).all() else None
