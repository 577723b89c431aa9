"""NIR graphs as they are executed: sub-graphs laid open, the order within a step, and what reaches each neuron."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from neurosim import maps
from neurosim.deployed import Note
from neurosim.errors import NetworkError
from neurosim.maps import Shape
from neurosim.signals import Signal, own

__all__ = ["NEURONS", "Flow", "Late", "Note", "flatten", "flow", "number", "order_of_norse", "order_of_nirtorch"]

Edges = Sequence[tuple[str, str]]

NEURONS = ("LIF", "LI", "CubaLIF", "CubaLI", "IF", "I", "Threshold")
_LINEAR = ("Linear", "Affine", "Conv1d", "Conv2d", "AvgPool2d", "SumPool2d", "Flatten", "Scale", "Delay")
_SUPPORTED = (*NEURONS, *_LINEAR, "Input", "Output", "NIRGraph")


class Late(str):
    """What a node sent in the step before, by the node's name."""


@dataclasses.dataclass(frozen=True)
class Flow:
    """A graph as it is executed: shapes of inputs, neurons (node, shape, what reaches it), outputs."""

    inputs: dict[str, Shape]
    neurons: dict[str, tuple[Any, Signal]]
    outputs: dict[str, Signal]
    late: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]


# ----------------------------------------------------------------------------------- structure


def flatten(graph: Any, prefix: str = "") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """All nodes by name, those of sub-graphs as ``sub.node``, and the edges between them.

    Inputs and outputs of sub-graphs are None: they pass on what they get.
    """
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    doors: dict[str, tuple[str, str]] = {}
    for key, node in graph.nodes.items():
        name, kind = prefix + key, type(node).__name__
        if kind not in _SUPPORTED:
            raise NetworkError(f"NIR node {name!r}: {kind} is not supported; {', '.join(_SUPPORTED)} are")
        if kind != "NIRGraph":
            nodes[name] = None if prefix and kind in ("Input", "Output") else node
            continue
        inner_nodes, inner_edges = flatten(node, f"{name}.")
        ends = [[f"{name}.{inner}" for inner, one in node.nodes.items() if type(one).__name__ == side]
                for side in ("Input", "Output")]
        if [len(side) for side in ends] != [1, 1]:
            raise NetworkError(
                f"NIR sub-graph {name!r} must have one Input and one Output, it has {len(ends[0])} and {len(ends[1])}"
            )
        doors[name] = (ends[0][0], ends[1][0])
        nodes.update(inner_nodes)
        edges += inner_edges
    for before, after in graph.edges:
        before, after = prefix + _text(before), prefix + _text(after)
        edge = doors[before][1] if before in doors else before, doors[after][0] if after in doors else after
        for end in edge:
            if end not in nodes:
                raise NetworkError(f"NIR edge {(before, after)}: there is no node {end!r}")
        if edge not in edges:
            edges.append(edge)
    return nodes, edges


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def order_of_nirtorch(nodes: Iterable[str], edges: Edges, inputs: Iterable[str]) -> list[str]:
    """The order within a step that `nirtorch.nir_to_torch` finds.

    Nodes wait in a queue, in the order of the graph, until what they need is there; a node with several inputs does not
    wait for those that depend on itself.
    """
    waiting = list(nodes)
    first = next(iter(k for k, name in enumerate(waiting) if name in set(inputs)), 0)
    waiting = waiting[first:] + waiting[:first]  # until an input has come, nodes go to the end of the queue
    before = {name: [u for u, v in edges if v == name] for name in waiting}
    reach = {name: _reached(name, edges) for name in waiting}
    done: list[str] = []
    put_off = 0
    while waiting:
        name = waiting.pop(0)
        sources = before[name]
        if all(u in done or (u in reach[name] and len(sources) > 1) for u in sources):
            done.append(name)
            put_off = 0
            continue
        waiting.append(name)
        put_off += 1
        if put_off == len(waiting):
            raise NetworkError(f"NIR graph: no input leads into the loop of {', '.join(sorted(waiting))}")
    return done


def order_of_norse(nodes: Iterable[str], edges: Edges, inputs: Iterable[str]) -> list[str]:
    """The order within a step that norse's `from_nir` (`nirtorch.load`) takes: depth first from the input."""
    inputs, names = list(inputs), list(nodes)
    if len(inputs) != 1:
        raise NetworkError(f"norse runs a NIR graph with one Input, this one has {len(inputs)}")
    done: list[str] = []
    waiting = [inputs[0]]
    while waiting:
        name = waiting.pop()
        if name not in done:
            done.append(name)
            waiting += [v for u, v in reversed(edges) if u == name and v not in done]
    missing = sorted(set(names) - set(done))
    if missing:
        raise NetworkError(f"NIR graph: the input does not reach {', '.join(missing)}")
    return done


def _reached(start: str, edges: Edges) -> set[str]:
    """The nodes that lie behind a node."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        for u, v in edges:
            if u == name and v not in found:
                found.add(v)
                waiting.append(v)
    return found


# ----------------------------------------------------------------------------------- numbers


def number(name: str, node: Any, field: str, shape: Shape) -> np.ndarray:
    """A parameter of a node for each of its neurons, float64, shape (size,)."""
    value = np.asarray(getattr(node, field), dtype=np.float64)
    size = math.prod(shape)
    if value.size == 1:
        value = np.full(size, value.reshape(-1)[0])
    elif value.size != size:
        try:
            value = np.broadcast_to(value, shape)
        except ValueError:
            raise NetworkError(
                f"NIR node {name!r} ({type(node).__name__}): {field} has shape {value.shape}, what reaches it has shape {shape}"
            ) from None
    value = np.array(value, dtype=np.float64).reshape(-1)
    if not np.isfinite(value).all():
        raise NetworkError(f"NIR node {name!r} ({type(node).__name__}): {field} must be finite, got {value[~np.isfinite(value)][0]:g}")
    return value


# ----------------------------------------------------------------------------------- signals


def flow(nodes: dict[str, Any], edges: Edges, dt: float, rule: Callable = order_of_nirtorch) -> Flow:
    """What reaches each neuron and output, as linear functions of what inputs and neurons send.

    Parameters
    ----------
    nodes, edges
        From :func:`flatten`.
    dt : float
        Step, s; delays are rounded to whole steps.
    rule : callable
        Gives the order of nodes within a step; an edge from a node that comes later, or from itself, carries what
        was sent in the step before.
    """
    inputs = {name: _shape(node.input_type["input"], name) for name, node in nodes.items() if type(node).__name__ == "Input"}
    if not inputs:
        raise NetworkError("NIR graph: it has no Input node")
    order = rule(nodes, edges, inputs)
    place = {name: k for k, name in enumerate(order)}
    sent: dict[str, Signal] = {}
    reached: dict[str, Signal] = {}
    notes: list[Note] = []
    for name in order:
        node = nodes[name]
        kind = type(node).__name__
        if kind == "Input":
            sent[name] = own(name, inputs[name])
            continue
        reached[name] = total = _total(name, edges, place, sent)
        if kind in NEURONS:
            sent[name] = own(name, _neuron_shape(name, node, total.shape))
        elif kind in _LINEAR:
            sent[name] = _passed(name, node, total, dt, notes)
        else:
            sent[name] = total
    resolved = {name: _resolved(one, sent, ()) for name, one in reached.items()
                if type(nodes[name]).__name__ in (*NEURONS, "Output")}
    late = tuple((u, v) for u, v in edges if place[u] >= place[v])
    neurons = {name: (nodes[name], one) for name, one in resolved.items() if type(nodes[name]).__name__ != "Output"}
    outputs = {name: one for name, one in resolved.items() if type(nodes[name]).__name__ == "Output"}
    return Flow(inputs, neurons, outputs, late, tuple(notes))


def _shape(value: Any, name: str) -> Shape:
    if value is None:
        raise NetworkError(f"NIR Input {name!r} must have a shape")
    return tuple(int(n) for n in np.atleast_1d(np.asarray(value)))


def _neuron_shape(name: str, node: Any, shape: Shape) -> Shape:
    """The shape of what reaches a neuron; every parameter must fit it."""
    for field in dataclasses.fields(node):
        if field.name not in ("input_type", "output_type", "metadata") and getattr(node, field.name) is not None:
            number(name, node, field.name, shape)
    return shape


def _total(name: str, edges: Edges, place: dict[str, int], sent: dict[str, Signal]) -> Signal:
    """The sum of all that reaches a node; what comes late is left as `Late`."""
    sources = [u for u, v in edges if v == name]
    now = [sent[u] for u in sources if place[u] < place[name]]
    if not now:
        raise NetworkError(f"NIR node {name!r}: nothing leads to it")
    total = now[0]
    for other in now[1:]:
        if other.size != total.size:
            raise NetworkError(f"NIR node {name!r}: what reaches it has shapes {total.shape} and {other.shape}")
        total = total.plus(other)
    for u in sources:
        if place[u] >= place[name]:
            total = total.plus(Signal(total.shape, {(Late(u), 0): maps.diagonal(np.ones(total.size))}))
    return total


def _resolved(signal: Signal, sent: dict[str, Signal], within: tuple[str, ...]) -> Signal:
    """Late values in terms of what neurons and inputs sent."""
    out = Signal(signal.shape, {}, dict(signal.constant))
    for (source, ago), one in signal.terms.items():
        if not isinstance(source, Late):
            out = out.plus(Signal(signal.shape, {(source, ago): one}))
            continue
        if source in within:
            raise NetworkError(f"NIR graph: a loop without a neuron, through {', '.join(within)}")
        if sent[source].size != one.shape[1]:
            raise NetworkError(f"NIR node {str(source)!r}: it sends shape {sent[source].shape}, {one.shape[1]} values are due")
        earlier = _resolved(sent[source], sent, (*within, source))
        waits = np.full(signal.size, ago + 1)
        out = out.plus(earlier.through(one, signal.shape).shifted(waits))
    return out.real()


def _passed(name: str, node: Any, x: Signal, dt: float, notes: list[Note]) -> Signal:
    """What a node without a state makes of a signal."""
    kind = type(node).__name__
    if kind in ("Linear", "Affine"):
        return _weighted(name, node, x)
    if kind == "Scale":
        return x.through(maps.diagonal(number(name, node, "scale", x.shape)), x.shape)
    if kind == "Delay":
        return x.shifted(_delay_steps(name, node, x.shape, dt, notes))
    if kind == "Flatten":
        return dataclasses.replace(x, shape=_flat_shape(x.shape, int(node.start_dim), int(node.end_dim)))
    dimensions = 2 if kind == "Conv1d" else 3
    shape = x.shape[1:] if len(x.shape) == dimensions + 1 and x.shape[0] == 1 else x.shape
    if len(shape) != dimensions:
        raise NetworkError(f"NIR node {name!r} ({kind}) needs {dimensions} dimensions, got shape {x.shape}")
    if kind in ("AvgPool2d", "SumPool2d"):
        step, out = maps.pool(node.kernel_size, shape, node.stride, node.padding, kind == "AvgPool2d")
        return x.through(step, out)
    weight = np.asarray(node.weight, dtype=np.float64)
    groups = int(node.groups)
    if weight.shape[1] * groups != shape[0]:
        raise NetworkError(f"NIR node {name!r} ({kind}) is for {weight.shape[1] * groups} channels, got shape {x.shape}")
    padding = _text(node.padding) if isinstance(node.padding, (bytes, str)) else node.padding
    step, out = maps.conv(weight, shape, node.stride, padding, node.dilation, groups)
    made = x.through(step, out)
    if node.bias is not None:
        bias = np.repeat(np.asarray(node.bias, dtype=np.float64), math.prod(out[1:]))
        made = made.plus(Signal(out, {}, {0: bias}))
    return made


def _weighted(name: str, node: Any, x: Signal) -> Signal:
    weight = np.asarray(node.weight, dtype=np.float64)
    if weight.ndim != 2:
        raise NetworkError(f"NIR node {name!r} ({type(node).__name__}): weight must be a matrix, got shape {weight.shape}")
    n_out, n_in = weight.shape
    lead = x.shape[:-1] if x.shape[-1] == n_in else ()
    if math.prod(lead) * n_in != x.size:
        raise NetworkError(f"NIR node {name!r} ({type(node).__name__}) is for {n_in} values, got shape {x.shape}")
    shape = (*lead, n_out)
    made = x.through(maps.repeated(maps.dense(weight), math.prod(lead)), shape)
    bias = getattr(node, "bias", None)
    return made if bias is None else made.plus(Signal(shape, {}, {0: np.tile(np.asarray(bias, np.float64), math.prod(lead))}))


def _delay_steps(name: str, node: Any, shape: Shape, dt: float, notes: list[Note]) -> np.ndarray:
    delay = number(name, node, "delay", shape)
    if (delay < 0).any():
        raise NetworkError(f"NIR node {name!r} (Delay): delay must be >= 0 s, got {delay.min():g}")
    steps = np.floor(delay / dt + 0.5 + 1e-9)
    off = np.abs(steps * dt - delay)
    if (off > 1e-6 * dt).any():
        notes.append(Note(name, f"delays rounded to whole steps of {dt:g} s, by up to {off.max():g} s"))
    return steps.astype(np.int64)


def _flat_shape(shape: Shape, start: int, end: int) -> Shape:
    n = len(shape)
    start, end = max(start + n if start < 0 else start, 0), end + n if end < 0 else end
    if start >= n or end <= start:
        return shape
    return (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:])
