"""From a NIR graph to a `Network` that spikes, step for step, as the graph does where it is executed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.cells.base import Cell
from neurosim.cells.lif import IF_curr_delta, IF_curr_exp, IF_jump, current_propagator
from neurosim.cells.sources import SpikeSourceArray
from neurosim.connectors import FromListConnector
from neurosim.currents import DCSource, StepCurrentSource
from neurosim.errors import NetworkError, ParameterError
from neurosim.extras import need
from neurosim.maps import Map, Shape
from neurosim.network import Network, Population

from . import graph as graphs
from .cells import RESETS, EulerCubaLIF, EulerLIF
from .graph import Note, Signal, number

__all__ = ["DYNAMICS", "NEVER", "Imported", "from_nir"]

DYNAMICS = ("euler", "exact", "snntorch", "norse")
SNNTORCH_DT = 0.1  # ms: the step that snntorch's import has built in
NEVER = 1e300  # mV: a threshold that nothing reaches


@dataclasses.dataclass(frozen=True, eq=False)
class Imported:
    """A network made of a NIR graph, and how its steps correspond to the graph's.

    Layers are retimed: what the graph does within step t (0, 1, ...) a population does at step t + offset of its own, since
    spikes of a network take at least one step from cell to cell.

    Attributes
    ----------
    network : Network
    dt : float
        Step to simulate with, ms.
    populations : dict
        Name of each Input and neuron node -> its population.  An analog input has none.
    shapes : dict
        Name -> shape in the graph.
    inputs, outputs : tuple of str
        Names of the Input and Output nodes.
    offsets : dict
        Name -> steps that it lies behind the graph.
    report : tuple of Note
        What was rounded, folded, or is taken otherwise than the graph says.
    """

    network: Network
    dt: float
    populations: dict[str, Population]
    shapes: dict[str, Shape]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    offsets: dict[str, int]
    report: tuple[Note, ...]
    _readouts: dict[str, Signal]
    _analog: dict[str, list[tuple[str, int, Map]]]
    _injected: dict[str, list[Any]]

    def duration(self, steps: int) -> float:
        """ms to simulate for ``steps`` steps of the graph."""
        return (steps + max(self.offsets.values())) * self.dt

    def set_input(self, values: Any, name: str | None = None) -> None:
        """Give an Input its values.

        Parameters
        ----------
        values : array, shape (steps, *shape of the Input)
            Spikes: whole numbers >= 0, how many at each step.  For an analog input any numbers, A.
        name : str, optional
            Of the Input; not needed where there is one.

        Raises
        ------
        ParameterError
            For an unknown name, a wrong shape, or values that are no spikes.
        """
        name = _chosen(name, self.inputs, "Input")
        frames = np.asarray(values, dtype=np.float64)
        if frames.ndim < 1 or frames.shape[1:] not in (self.shapes[name], (math.prod(self.shapes[name]),)):
            raise ParameterError(f"NIR Input {name!r} takes values of shape (steps, *{self.shapes[name]}), got {frames.shape}")
        if not np.isfinite(frames).all():
            raise ParameterError(f"NIR Input {name!r}: values must be finite")
        frames = frames.reshape(frames.shape[0], -1)
        if name in self._analog:
            self._inject(name, frames)
            return
        if (frames < 0).any() or (frames != np.rint(frames)).any():
            bad = frames[(frames < 0) | (frames != np.rint(frames))][0]
            raise ParameterError(
                f"NIR Input {name!r} takes spikes, whole numbers >= 0, got {bad:g}; from_nir(analog=True) takes any numbers"
            )
        steps = np.arange(frames.shape[0]) * self.dt
        rows = [np.repeat(steps, column.astype(np.int64)) for column in frames.T]
        self.populations[name].set(spike_times=rows)

    def spikes(self, result: Any, name: str, steps: int) -> np.ndarray:
        """Spikes of a node by the graph's own steps, from a result of the network.

        Parameters
        ----------
        result : Result
            Of a simulation over at least :meth:`duration` ms that recorded the population's spikes.
        name : str
            Of an Input or neuron node.
        steps : int

        Returns
        -------
        ndarray, int64, shape (steps, *shape)
            How many at each step.
        """
        self._long_enough(result, steps)
        out = np.zeros((steps, math.prod(self.shapes[name])), dtype=np.int64)
        found = result.spikes(self.populations[name].label)
        step = np.rint(found.times / self.dt).astype(np.int64) - self.offsets[name]
        inside = (step >= 0) & (step < steps)
        np.add.at(out, (step[inside], found.ids[inside]), 1)
        return out.reshape(steps, *self.shapes[name])

    def output(self, result: Any, steps: int, name: str | None = None) -> np.ndarray:
        """What an Output gives at each of the graph's steps: spikes, weighted sums of spikes, or potentials (V).

        Parameters are as in :meth:`spikes`; ``name`` is not needed where there is one Output.

        Returns
        -------
        ndarray, float64, shape (steps, *shape)
        """
        signal = self._readouts[_chosen(name, self.outputs, "Output")]
        out = np.zeros((steps, signal.size))
        for (source, ago), one in signal.terms.items():
            if ago < steps:
                out[ago:] += one.applied(self._sent(result, source, steps).reshape(steps, -1))[:steps - ago]
        for late, vector in signal.constant.items():
            out[late:] += vector
        return out.reshape(steps, *signal.shape)

    def _sent(self, result: Any, name: str, steps: int) -> np.ndarray:
        """Values that a source sent: its spikes, or for cells that never spike their potential, V."""
        if not _graded(self.populations[name].cell):
            return self.spikes(result, name, steps)
        self._long_enough(result, steps)
        trace = result.traces(self.populations[name].label, "v")
        step = np.rint(trace.times / self.dt).astype(np.int64) - self.offsets[name]
        inside = (step >= 0) & (step < steps)
        out = np.zeros((steps, trace.values.shape[1]))
        out[step[inside]] = trace.values[inside] * 1e-3
        return out

    def _long_enough(self, result: Any, steps: int) -> None:
        last = max(self.offsets.values()) + steps - 1
        if result.duration < (last - 0.5) * self.dt:
            raise ParameterError(
                f"{steps} steps of the graph take {self.duration(steps):g} ms of the network, the result has {result.duration:g} ms"
            )

    def _inject(self, name: str, frames: np.ndarray) -> None:
        """Real values as currents into each target cell, a value for each step."""
        old = set(map(id, self._injected.get(name, ())))
        self.network.injections[:] = [one for one in self.network.injections if id(one) not in old]
        self._injected[name] = []
        for target, ago, one in self._analog[name]:
            current = one.applied(frames) * 1e9
            first = self.offsets[target] - 1 + ago
            times = (first + np.arange(frames.shape[0] + 1)) * self.dt
            for cell in np.flatnonzero(current.any(axis=0)):
                source = StepCurrentSource(times, np.append(current[:, cell], 0.0))
                self._injected[name].append(self.network.inject(source, self.populations[target][int(cell)]))


def _chosen(name: str | None, known: tuple[str, ...], what: str) -> str:
    """A name among those known; the only one if none is given."""
    if name is None and len(known) == 1:
        return known[0]
    if name is None:
        raise ParameterError(f"the NIR graph has several nodes of kind {what}: name one of {', '.join(known)}")
    if name not in known:
        raise ParameterError(f"the NIR graph has no {what} {name!r}; it has {', '.join(known)}")
    return name


def _graded(cell: Any) -> bool:
    return isinstance(cell, Cell) and bool(np.all(np.asarray(getattr(cell, "v_thresh", 0.0)) >= NEVER))


# ----------------------------------------------------------------------------------- from_nir


def from_nir(graph: Any, dt: float | None = None, dynamics: str = "euler", reset: str | Mapping[str, str] = "value",
             cells: str = "auto", analog: bool = False, label: str = "nir") -> Imported:
    """Make a `Network` of a NIR graph.

    Parameters
    ----------
    graph : nir.NIRGraph, or the path of a file that holds one
    dt : float, optional
        Step, ms.  1 ms for ``dynamics="norse"``, 0.1 ms (the only one) for ``"snntorch"``; else it must be given.
    dynamics : {"euler", "exact", "snntorch", "norse"}
        ``"euler"``: the graph's equations by Euler's method, as frameworks execute them.  ``"snntorch"``, ``"norse"``:
        likewise, with what these take otherwise than the graph says (the report tells).  ``"exact"``: the equations
        solved exactly, spikes being impulses of area dt.
    reset : {"value", "subtract", "late subtract", "late value"}, or a dict of them by node
        What a spike does to the potential: sets it to v_reset, as NIR says; takes the threshold off it; or either
        with the next step (snntorch's ``reset_delay=True``).  NIR cannot say which; snntorch's default is "late subtract".
        Nodes that a dict does not name are reset by "value".
    cells : {"auto", "euler"}
        ``"auto"``: `IF_curr_delta`, `IF_jump`, `IF_curr_exp` where they give the same spikes, else `EulerLIF` and
        `EulerCubaLIF`.  ``"euler"``: only the latter.
    analog : bool
        Whether inputs are real numbers, which become injected currents, not spikes.
    label : str
        Of the network.

    Returns
    -------
    Imported

    Raises
    ------
    NetworkError
        For nodes and parameters that cannot be said, by name, before anything is made.
    ParameterError
        For arguments out of range.
    ModuleNotFoundError
        If a path is given and the package ``nir`` is missing (extra ``[nir]``).

    Notes
    -----
    `docs/nir.md` derives the correspondence.
    """
    resets = dict(reset) if isinstance(reset, Mapping) else {"": reset}
    given = [("dynamics", dynamics, DYNAMICS), *(("reset", one, RESETS) for one in resets.values()), ("cells", cells, ("auto", "euler"))]
    for name, value, known in given:
        if value not in known:
            raise ParameterError(f"from_nir: {name} must be one of {', '.join(known)}, got {value!r}")
    dt = _step(dt, dynamics)
    if isinstance(graph, (str, Path)):
        graph = need("nir", "nir").read(graph, type_check=False)
    if not hasattr(graph, "nodes") or not hasattr(graph, "edges"):
        raise ParameterError(f"from_nir needs a nir.NIRGraph or the path of a file, got {graph!r:.200}")
    nodes, edges = graphs.flatten(graph)
    rule = graphs.order_of_norse if dynamics == "norse" else graphs.order_of_nirtorch
    flow = graphs.flow(nodes, edges, dt * 1e-3, rule)
    for name in resets:
        if name and name not in flow.neurons:
            raise ParameterError(f"from_nir: reset names {name!r}, which is no neuron node; there are {', '.join(flow.neurons)}")
    each = {name: resets.get(name, resets.get("", "value")) for name in flow.neurons}
    return _Importer(flow, dt, dynamics, each, cells, analog).made(label)


def _step(dt: float | None, dynamics: str) -> float:
    given = {"snntorch": SNNTORCH_DT, "norse": 1.0}.get(dynamics) if dt is None else dt
    if isinstance(given, bool) or not isinstance(given, (int, float, np.number)) or not math.isfinite(given) or given <= 0:
        raise ParameterError(f"from_nir: dt must be > 0 ms, got {given!r}")
    if dynamics == "snntorch" and abs(given - SNNTORCH_DT) > 1e-9:
        raise ParameterError(f"from_nir: snntorch's import knows one step, dt = {SNNTORCH_DT} ms, got {given:g} ms")
    return float(given)


@dataclasses.dataclass
class _Made:
    """A cell for a node: weights of the graph times ``per_weight`` are the network's; ``lag`` steps from arrival to effect."""

    cell: Any
    per_weight: np.ndarray
    lag: int
    graded: bool
    offset_current: np.ndarray | None = None


class _Importer:
    """One import: cells for nodes, offsets for layers, projections for what flows."""

    def __init__(self, flow: graphs.Flow, dt: float, dynamics: str, reset: dict[str, str], cells: str, analog: bool) -> None:
        self.flow, self.dt, self.dynamics, self.reset, self.native = flow, dt, dynamics, reset, cells == "auto"
        self.analog = set(flow.inputs) if analog else set()
        self.notes = [*flow.notes, Note("graph", "times s -> ms, potentials V -> mV, currents A -> nA")]
        if flow.late:
            edges = ", ".join(f"{u} -> {v}" for u, v in flow.late)
            self.notes.append(Note("graph", f"loops: what was sent in the step before goes along {edges}"))

    def made(self, label: str) -> Imported:
        """The network and all that belongs to it."""
        self._check_sources()
        plain = self._all_made(set())
        offsets = self._offsets(plain)
        if offsets is None:
            looped = {name for name, made in plain.items() if made.lag and self._in_a_loop(name)}
            plain = self._all_made(looped)
            offsets = self._offsets(plain)
        if offsets is None:
            loop = ", ".join(sorted(name for name in plain if self._in_a_loop(name)))
            raise NetworkError(
                f"NIR graph: a loop through several neurons takes fewer steps than it has neurons ({loop}); spikes of a network take"
                " at least one step from cell to cell. A Delay in the loop makes room"
            )
        network = Network(label=label)
        populations = {name: network.population(math.prod(shape), SpikeSourceArray(), name)
                       for name, shape in self.flow.inputs.items() if name not in self.analog}
        for name, made in plain.items():
            populations[name] = network.population(self.flow.neurons[name][1].size, made.cell, name)
        analog = self._join(network, populations, plain, offsets)
        self._record(network, populations, plain)
        shapes = {**self.flow.inputs, **{name: signal.shape for name, (_, signal) in self.flow.neurons.items()}}
        return Imported(network, self.dt, populations, shapes, tuple(self.flow.inputs), tuple(self.flow.outputs), offsets,
                        tuple(dict.fromkeys(self.notes)), self.flow.outputs, analog, {})

    # -------------------------------------------------------------------------- checks

    def _check_sources(self) -> None:
        for name, signal in {**{n: s for n, (_, s) in self.flow.neurons.items()}, **self.flow.outputs}.items():
            for source, _ in signal.terms:
                if name in self.flow.outputs:
                    if source in self.analog:
                        raise NetworkError(f"NIR Output {name!r} reads the analog input {source!r} itself, past all neurons")
                elif source in self.flow.neurons and type(self.flow.neurons[source][0]).__name__ in ("LI", "CubaLI", "I"):
                    raise NetworkError(
                        f"NIR node {source!r} sends its potential at every step, to {name!r}: only Outputs may read it, cells get spikes"
                    )

    def _in_a_loop(self, name: str) -> bool:
        waiting, seen = [name], set()
        while waiting:
            now = waiting.pop()
            for target, (_, signal) in self.flow.neurons.items():
                if any(source == now for source, _ in signal.terms) and target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return name in seen

    def _offsets(self, made: Mapping[str, _Made]) -> dict[str, int] | None:
        """Steps that each source and neuron lies behind the graph; None if a loop is too fast."""
        offsets = {**{name: 0 for name in self.flow.inputs}, **{name: 1 for name in made}}
        for _ in range(len(offsets) + 1):
            changed = False
            for name, one in made.items():
                for source, ago in self.flow.neurons[name][1].terms:
                    least = offsets[source] + 1 + one.lag - ago
                    if source not in self.analog and offsets[name] < least:
                        offsets[name], changed = least, True
            if not changed:
                return {name: off for name, off in offsets.items() if name not in self.analog}
        return None

    # -------------------------------------------------------------------------- parts

    def _join(self, network: Network, populations: Mapping[str, Population], made: Mapping[str, _Made],
              offsets: Mapping[str, int]) -> dict[str, list[tuple[str, int, Map]]]:
        analog: dict[str, list[tuple[str, int, Map]]] = {name: [] for name in self.analog}
        for name, one in made.items():
            signal, post = self.flow.neurons[name][1], populations[name]
            for (source, ago), weights in signal.terms.items():
                if source in self.analog:
                    analog[source].append((name, ago, weights))
                    continue
                delay = (ago + offsets[name] - offsets[source] - one.lag) * self.dt
                scaled = weights.scaled(one.per_weight)
                for receptor, mask in (("excitatory", scaled.values > 0), ("inhibitory", scaled.values < 0)):
                    if mask.any():
                        part = scaled.chosen(mask)
                        rows = np.stack([part.cols, part.rows, part.values], axis=1)
                        network.project(populations[source], post, FromListConnector(rows, ("weight",)), delay=delay, receptor=receptor)
            for late, vector in signal.constant.items():
                self._constant(network, post, vector * 1e9, (offsets[name] - 1 + late) * self.dt)
        return analog

    def _constant(self, network: Network, post: Population, current: np.ndarray, start: float) -> None:
        """A constant current, nA, from ``start`` on."""
        if start == 0.0:
            post.set(i_offset=current)
            return
        for value in np.unique(current[current != 0]):
            network.inject(DCSource(amplitude=float(value), start=start), post[np.flatnonzero(current == value)])

    def _record(self, network: Network, populations: Mapping[str, Population], made: Mapping[str, _Made]) -> None:
        for name, population in populations.items():
            network.record(population, "v" if name in made and made[name].graded else "spikes")

    # -------------------------------------------------------------------------- cells

    def _all_made(self, never_native: set[str]) -> dict[str, _Made]:
        return {name: self._made(name, node, signal, name not in never_native) for name, (node, signal) in self.flow.neurons.items()}

    def _made(self, name: str, node: Any, signal: Signal, native: bool) -> _Made:
        kind = type(node).__name__
        if kind == "Threshold":
            return self._threshold(name, node, signal)
        if kind in ("IF", "I"):
            return self._integrator(name, node, signal)
        return self._leaky(name, node, signal, native)

    def _of(self, name: str, node: Any, field: str, signal: Signal, positive: bool = False) -> np.ndarray:
        value = number(name, node, field, signal.shape)
        if positive and (value <= 0).any():
            raise NetworkError(f"NIR node {name!r} ({type(node).__name__}): {field} must be > 0, got {value[value <= 0][0]:g}")
        return value

    def _levels(self, name: str, node: Any, signal: Signal) -> tuple[np.ndarray, np.ndarray, bool]:
        """(threshold, reset), mV, and whether it never spikes; a spike needs *more* than the threshold."""
        if type(node).__name__ in ("LI", "CubaLI", "I"):
            return np.full(signal.size, NEVER), np.zeros(signal.size), True
        v_thresh = 1e3 * self._of(name, node, "v_threshold", signal)
        if node.v_reset is None:
            return v_thresh, np.zeros(signal.size), False
        v_reset = 1e3 * self._of(name, node, "v_reset", signal)
        if self.dynamics in ("snntorch", "norse") and v_reset.any():
            self.notes.append(Note(name, f"{self.dynamics} resets to 0 V, not to v_reset"))
            v_reset = np.zeros(signal.size)
        return v_thresh, v_reset, False

    def _exact_cell_will_do(self, name: str, v_thresh: np.ndarray, v_reset: np.ndarray, graded: bool, keep: np.ndarray) -> bool:
        levels_fit = graded or (self.reset[name] == "value" and bool((v_reset < v_thresh).all()))
        return self.native and levels_fit and bool((keep > 0).all())

    def _resistance(self, name: str, node: Any, signal: Signal) -> np.ndarray:
        """r, Ohm; norse takes r = 1 for nodes without a synaptic current."""
        r = self._of(name, node, "r", signal, positive=True)
        if self.dynamics == "norse" and type(node).__name__ in ("LIF", "LI", "IF", "I") and (r != 1).any():
            self.notes.append(Note(name, "norse takes r = 1, not r"))
            r = np.ones(signal.size)
        return r

    def _decay(self, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(what is left after a step; the time constant in ms whose exact decay that is)."""
        ratio = self.dt * 1e-3 / tau
        keep = np.exp(-ratio) if self.dynamics == "exact" else 1.0 - ratio
        with np.errstate(divide="ignore", invalid="ignore"):
            return keep, tau * 1e3 if self.dynamics == "exact" else -self.dt / np.log1p(-ratio)

    def _leaky(self, name: str, node: Any, signal: Signal, native: bool) -> _Made:
        cuba = type(node).__name__ in ("CubaLIF", "CubaLI")
        tau = self._of(name, node, "tau_mem" if cuba else "tau", signal, positive=True)
        keep, tau_m = self._decay(tau)
        r = self._resistance(name, node, signal)
        v_leak = 1e3 * self._of(name, node, "v_leak", signal)
        v_thresh, v_reset, graded = self._levels(name, node, signal)
        self._check_leak(name, node, v_leak)
        gain = r * 1e-6 * (1.0 - keep)  # mV for 1 nA that lasts a step
        common = {"v_thresh": v_thresh, "v_reset": v_reset}
        exact = native and self._exact_cell_will_do(name, v_thresh, v_reset, graded, keep)
        if exact:
            above = np.nextafter(v_thresh, np.inf) if not graded else v_thresh
            low = np.minimum(v_reset, v_leak) if graded else v_reset
            common = {"v_rest": v_leak, "tau_m": tau_m, "tau_refrac": 0.0, "v_thresh": above, "v_reset": low, "cm": tau_m / (r * 1e-6)}
        if cuba:
            return self._with_synapse(name, node, signal, exact, common, (keep, v_leak, gain), graded)
        per_weight = 1e3 * r * self.dt * 1e-3 / tau
        if exact:
            return _Made(IF_curr_delta(**_plain(common)), per_weight, 0, graded)
        return _Made(self._euler(EulerLIF, name, graded, keep=keep, gain=gain, v_leak=v_leak, **common), per_weight, 0, graded)

    def _with_synapse(self, name: str, node: Any, signal: Signal, exact: bool, common: dict[str, Any],
                      membrane: tuple[np.ndarray, np.ndarray, np.ndarray], graded: bool) -> _Made:
        keep, v_leak, gain = membrane
        tau = self._of(name, node, "tau_syn", signal, positive=True)
        keep_syn, tau_syn = self._decay(tau)
        w_in = self._of(name, node, "w_in", signal)
        jump = 1e9 * w_in * self.dt * 1e-3 / tau  # nA for a weight of 1 A
        driven = bool(signal.constant) or any(source in self.analog for source, _ in signal.terms)
        if self.dynamics == "exact" and (driven or not exact):
            what = "a bias or an analog input goes through the synapse"
            what = what if driven else f"reset={self.reset[name]!r}, or v_reset >= v_threshold"
            raise NetworkError(f"NIR node {name!r} ({type(node).__name__}): dynamics='exact' cannot say this: {what}; 'euler' can")
        if exact and not driven and (keep_syn > 0).all():
            cell = IF_curr_exp(**_plain({**common, "tau_syn_E": tau_syn, "tau_syn_I": tau_syn}))
            if self.dynamics == "exact":
                return _Made(cell, jump, 0, graded)
            n = signal.size
            full = {key: np.broadcast_to(np.asarray(common[key]), n) for key in ("tau_m", "cm")}
            step = current_propagator(full["tau_m"], tau_syn, full["cm"], self.dt)
            return _Made(cell, jump * gain / step, 1, graded)
        if exact:  # parameters of the exact cell -> those of the stepped one
            v_thresh, v_reset, _ = self._levels(name, node, signal)
            common = {"v_thresh": v_thresh, "v_reset": v_reset}
        cell = self._euler(EulerCubaLIF, name, graded, keep=keep, gain=gain, v_leak=v_leak, keep_syn=keep_syn,
                           gain_syn=w_in * self.dt * 1e-3 / tau, **common)
        return _Made(cell, jump, 0, graded)

    def _check_leak(self, name: str, node: Any, v_leak: np.ndarray) -> None:
        kind = type(node).__name__
        if v_leak.any() and self.dynamics == "snntorch":
            raise NetworkError(f"NIR node {name!r} ({kind}): snntorch refuses v_leak != 0, got {v_leak[v_leak != 0][0] * 1e-3:g} V")
        if v_leak.any() and self.dynamics == "norse" and kind.startswith("Cuba"):
            raise NetworkError(f"NIR node {name!r} ({kind}): norse lets the synaptic current, too, decay to v_leak; v_leak must be 0 V")

    def _integrator(self, name: str, node: Any, signal: Signal) -> _Made:
        if self.dynamics == "snntorch":
            raise NetworkError(f"NIR node {name!r} (IF): snntorch runs it as a Leaky(beta=0.9); it has no IF")
        v_thresh, v_reset, graded = self._levels(name, node, signal)
        r = self._resistance(name, node, signal)
        if self.dynamics == "norse":
            self.notes.append(Note(name, "norse adds inputs to v as they are, not times dt"))
            r = r / (self.dt * 1e-3)
        gain = r * 1e-6 * self.dt * 1e-3  # mV for 1 nA that lasts a step
        per_weight = 1e3 * r * self.dt * 1e-3
        if self._exact_cell_will_do(name, v_thresh, v_reset, graded, np.ones(1)):
            low = np.minimum(v_reset, 0.0) if graded else v_reset
            above = v_thresh if graded else np.nextafter(v_thresh, np.inf)
            cell = IF_jump(**_plain({"v_rest": v_reset, "cm": self.dt / gain, "tau_refrac": 0.0, "v_thresh": above, "v_reset": low}))
            return _Made(cell, per_weight, 0, graded)
        cell = self._euler(EulerLIF, name, graded, keep=1.0, gain=gain, v_leak=v_reset, v_thresh=v_thresh, v_reset=v_reset)
        return _Made(cell, per_weight, 0, graded)

    def _threshold(self, name: str, node: Any, signal: Signal) -> _Made:
        threshold = 1e3 * self._of(name, node, "threshold", signal)
        cell = EulerLIF(keep=0.0, gain=1e-6, v_leak=0.0, v_thresh=_one(threshold), v_reset=0.0, reset=0.0)
        return _Made(cell, np.full(signal.size, 1e3), 0, False)

    def _euler(self, model: Any, name: str, graded: bool, **values: Any) -> Any:
        if self.dynamics == "exact":
            raise NetworkError(f"NIR node {name!r}: dynamics='exact' needs v_reset < v_threshold and reset='value'; 'euler' does not")
        reset = self.reset[name]
        if self.dynamics == "snntorch" and reset == "subtract":
            reset = "snntorch subtract"
        return model(**_plain(values), reset=float(RESETS.index(reset)))


def _one(value: np.ndarray) -> Any:
    """An array of one value as that number."""
    array = np.asarray(value, dtype=np.float64)
    return float(array.reshape(-1)[0]) if (array == array.reshape(-1)[0]).all() else array


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _one(value) for name, value in values.items()}
