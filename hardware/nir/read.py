"""From a NIR graph to a `Network` that spikes, step for step, as the graph does where it is executed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.cells.euler import RESETS, EulerCubaLIF, EulerLIF
from neurosim.cells.lif import IF_curr_delta, IF_curr_exp, IF_jump, current_propagator
from neurosim.deployed import Deployed
from neurosim.errors import NetworkError, ParameterError
from neurosim.extras import need
from neurosim.leaky import NEVER
from neurosim.maps import Shape
from neurosim.signals import Signal
from neurosim.stack import Cells, Stack

from . import graph as graphs
from .graph import Note, number

__all__ = ["DYNAMICS", "NEVER", "Imported", "from_nir"]

DYNAMICS = ("euler", "exact", "snntorch", "norse")
SNNTORCH_DT = 0.1  # ms: the step that snntorch's import has built in


class Imported(Deployed):
    """A network made of a NIR graph, and how its steps correspond to the graph's: by the names of its nodes.

    An analog input's values are in A, potentials that an Output reads in V.
    """


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
        stack = Stack(self.flow.inputs, self.analog, "the graph")
        for name, (node, signal) in self.flow.neurons.items():
            cells = self._made(name, node, signal, True)
            if cells.lag:
                cells = dataclasses.replace(cells, instead=self._made(name, node, signal, False))
            stack.layers[name] = cells, signal
        stack.outputs, stack.notes = self.flow.outputs, self.notes
        return stack.deployed(self.dt, label, Imported)

    # -------------------------------------------------------------------------- cells

    def _made(self, name: str, node: Any, signal: Signal, native: bool) -> Cells:
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

    def _leaky(self, name: str, node: Any, signal: Signal, native: bool) -> Cells:
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
            return _cells(signal.shape, IF_curr_delta(**_plain(common)), per_weight, 0, graded)
        cell = self._euler(EulerLIF, name, graded, keep=keep, gain=gain, v_leak=v_leak, **common)
        return _cells(signal.shape, cell, per_weight, 0, graded)

    def _with_synapse(self, name: str, node: Any, signal: Signal, exact: bool, common: dict[str, Any],
                      membrane: tuple[np.ndarray, np.ndarray, np.ndarray], graded: bool) -> Cells:
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
                return _cells(signal.shape, cell, jump, 0, graded)
            n = signal.size
            full = {key: np.broadcast_to(np.asarray(common[key]), n) for key in ("tau_m", "cm")}
            step = current_propagator(full["tau_m"], tau_syn, full["cm"], self.dt)
            return _cells(signal.shape, cell, jump * gain / step, 1, graded)
        if exact:  # parameters of the exact cell -> those of the stepped one
            v_thresh, v_reset, _ = self._levels(name, node, signal)
            common = {"v_thresh": v_thresh, "v_reset": v_reset}
        cell = self._euler(EulerCubaLIF, name, graded, keep=keep, gain=gain, v_leak=v_leak, keep_syn=keep_syn,
                           gain_syn=w_in * self.dt * 1e-3 / tau, **common)
        return _cells(signal.shape, cell, jump, 0, graded)

    def _check_leak(self, name: str, node: Any, v_leak: np.ndarray) -> None:
        kind = type(node).__name__
        if v_leak.any() and self.dynamics == "snntorch":
            raise NetworkError(f"NIR node {name!r} ({kind}): snntorch refuses v_leak != 0, got {v_leak[v_leak != 0][0] * 1e-3:g} V")
        if v_leak.any() and self.dynamics == "norse" and kind.startswith("Cuba"):
            raise NetworkError(f"NIR node {name!r} ({kind}): norse lets the synaptic current, too, decay to v_leak; v_leak must be 0 V")

    def _integrator(self, name: str, node: Any, signal: Signal) -> Cells:
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
            return _cells(signal.shape, cell, per_weight, 0, graded)
        cell = self._euler(EulerLIF, name, graded, keep=1.0, gain=gain, v_leak=v_reset, v_thresh=v_thresh, v_reset=v_reset)
        return _cells(signal.shape, cell, per_weight, 0, graded)

    def _threshold(self, name: str, node: Any, signal: Signal) -> Cells:
        threshold = 1e3 * self._of(name, node, "threshold", signal)
        cell = EulerLIF(keep=0.0, gain=1e-6, v_leak=0.0, v_thresh=_one(threshold), v_reset=0.0, reset=0.0)
        return _cells(signal.shape, cell, np.full(signal.size, 1e3), 0, False)

    def _euler(self, model: Any, name: str, graded: bool, **values: Any) -> Any:
        if self.dynamics == "exact":
            raise NetworkError(f"NIR node {name!r}: dynamics='exact' needs v_reset < v_threshold and reset='value'; 'euler' does not")
        reset = self.reset[name]
        if self.dynamics == "snntorch" and reset == "subtract":
            reset = "snntorch subtract"
        return model(**_plain(values), reset=float(RESETS.index(reset)))


def _cells(shape: Shape, cell: Any, per_weight: np.ndarray, lag: int, graded: bool) -> Cells:
    """Weights of the graph times ``per_weight`` are the network's; constants are A, potentials that are read V."""
    return Cells(cell, shape, per_weight, lag, 1e9, value=("v", 1e-3) if graded else None)


def _one(value: np.ndarray) -> Any:
    """An array of one value as that number."""
    array = np.asarray(value, dtype=np.float64)
    return float(array.reshape(-1)[0]) if (array == array.reshape(-1)[0]).all() else array


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _one(value) for name, value in values.items()}
