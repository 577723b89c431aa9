"""What a module costs: parameters, synaptic operations, membrane updates and time, measured on samples."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..cost import Cost, Group, Joint
from ..errors import NetworkError, ParameterError
from ..stack import Cells, Connection, Named
from .deployment import describe
from .foreign import Foreign, foreign
from .residual import Residual
from .sequence import Layer, Sequential

__all__ = ["cost"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_PRODUCTS = (nn.Linear, *_CONVOLUTIONS)
_UNITS = (nn.ReLU, nn.Sigmoid)  # those that neurobench counts
_CONTAINERS = (Sequential, Residual)


def cost(net: nn.Module, batches: Iterable[Any], *, run: Callable[[nn.Module, Any], Any] | None = None, timed: bool = True) -> Cost:
    """Measure a module.

    Parameters
    ----------
    net : nn.Module
        A `Layer` (sequences in, shape (T, B, ...)), or any module (B, ...).  ``nn.Linear``, convolutions, ``nn.RNN``, ``nn.GRU``,
        ``nn.LSTM``, layers that `describe` knows, and cells of norse and snntorch are counted wherever they are in it.
    batches : iterable of Tensor
        Inputs, each of a whole batch; no gradients are computed.
    run : callable, optional
        ``run(net, x)`` for a module that is stepped from outside, as those of snntorch are; ``x`` then has the shape (T, B, ...).
    timed : bool
        Run all once more, first, to tell the seconds (the first batch twice: what is done only once is left out).

    Returns
    -------
    Cost
        Per sample; a joint for each product, a group for each layer of cells and each ``nn.ReLU`` or ``nn.Sigmoid``.

    Notes
    -----
    As ``neurobench`` 2.3.0 counts, with these departures.  Whether a product is of spikes is decided for all its inputs
    together, not call by call.  The operations of a layer on its own spikes, or with delays, are those of all spikes sent, also
    of those that would arrive after the last step, as in an engine.  Recurrent torch layers, which neurobench refuses, count
    their own weights once a step, hidden states taken as not 0.  Potentials that are only read (``LI``) are no signals.
    """
    meter = _Meter(net, isinstance(net, Layer) or run is not None)
    call = run or (lambda module, x: module(x))
    batches = list(batches)
    if not batches:
        raise ParameterError("cost: there is nothing to measure: no batch was given")
    training = {name: module.training for name, module in net.named_modules()}
    net.eval()
    seconds = 0.0
    try:
        with torch.no_grad():
            if timed:
                call(net, batches[0])  # what is done once (compiling) is not counted
            for x in batches if timed else ():
                start = time.perf_counter()
                call(net, x)
                seconds += time.perf_counter() - start
            meter.hook()
            for x in batches:
                meter.begin(x)
                call(net, x)
    finally:
        meter.unhook()
        for name, module in net.named_modules():
            module.training = training[name]
    return meter.cost(seconds if timed else float("nan"))


@dataclasses.dataclass
class _Product:
    """A joint while it is measured: ``fan`` is what an input that is not 0 costs, by its place."""

    weights: int
    nonzero: int
    dense: float = 0.0
    effective: float = 0.0
    spiking: bool = True

    def add(self, x: Tensor, fan: Tensor, full: float) -> None:
        """Count inputs ``x``, shape (..., places); ``full`` is what one row of them costs if nothing is 0."""
        flat = x.reshape(-1, fan.numel())
        on = torch.count_nonzero(flat, dim=0).to(torch.float64)
        self.effective += float(on @ fan.reshape(-1).to(torch.float64))
        self.dense += full * flat.shape[0]
        self.spiking = self.spiking and bool(((flat == 0) | (flat == 1) | (flat == -1)).all())


@dataclasses.dataclass
class _Cells:
    """A group while it is measured; ``last`` is the potentials after the step before."""

    cells: int = 0
    sent: float = 0.0
    signals: float = 0.0
    updates: float = 0.0
    counted: bool = True
    last: Tensor | None = None

    def step(self, v: Tensor) -> None:
        """Count the changes to potentials ``v``, shape (B, ...)."""
        same = self.last is not None and self.last.shape == v.shape
        self.updates += int(torch.count_nonzero(torch.ne(v, self.last))) if same and self.last is not None else v.numel()
        self.last = v.detach().clone()


class _Meter:
    """Hooks on the modules of a net, and what they saw."""

    def __init__(self, net: nn.Module, over_time: bool) -> None:
        self.net, self.over_time = net, over_time
        self.samples, self.steps = 0, 1
        self.parameters = sum(one.numel() for one in net.parameters())
        self.footprint = sum(one.numel() * one.element_size() for one in [*net.parameters(), *net.buffers()])
        self.products: dict[str, _Product] = {}
        self.groups: dict[str, _Cells] = {}
        self.notes: dict[str, None] = {}
        self.described: dict[Any, tuple[list[Connection], list[Cells], list[Connection]]] = {}
        self.handles: list[Any] = []

    # ------------------------------------------------------------------------------------- hooks

    def hook(self) -> None:
        self._visit(self.net, "")

    def _visit(self, module: nn.Module, name: str) -> None:
        """Hooks on a module, or on those within it."""
        called = name or type(module).__name__
        if isinstance(module, _PRODUCTS):
            self._on(module, lambda m, x, y: self._product(called, m, x[0]))
        elif isinstance(module, nn.RNNBase):
            self._on(module, lambda m, x, y: self._recurrent(called, m, x[0]))
        elif isinstance(module, _UNITS):
            self._on(module, lambda m, x, y: self._sent(called, y, math.prod(y.shape[1:])))
        elif foreign(module) == "snntorch":
            self._on(module, lambda m, x, y: self._snntorch(called, m, y))
            for child_name, child in module.named_children():  # what a recurrent one sends itself goes through a nn.Linear
                self._visit(child, f"{called}.{child_name}")
        elif isinstance(module, Foreign):
            self._visit(module.cell, name)
        elif isinstance(module, Layer) and not isinstance(module, _CONTAINERS):
            self._on(module, lambda m, x, y: self._layer(called, m, x, y[0]))
        elif foreign(module):
            self._on(module, lambda m, x, y: self._stepped(called, m, x, y))
        else:
            if any(True for _ in module.parameters(recurse=False)) and not isinstance(module, _plain()):
                self.notes[f"{called} ({type(module).__name__}): operations with its parameters are not counted"] = None
            for child_name, child in module.named_children():
                self._visit(child, f"{name}.{child_name}" if name else child_name)

    def _on(self, module: nn.Module, call: Callable[[nn.Module, Any, Any], None]) -> None:
        self.handles.append(module.register_forward_hook(call))

    def unhook(self) -> None:
        for handle in self.handles:
            handle.remove()

    def begin(self, x: Tensor) -> None:
        """A new batch."""
        self.samples += x.shape[1] if self.over_time else x.shape[0]
        self.steps = x.shape[0] if self.over_time else 1
        for group in self.groups.values():
            group.last = None

    # ------------------------------------------------------------------------------------ counting

    def _product(self, name: str, module: Any, x: Tensor) -> None:
        weight = module.weight
        kept = self.products.setdefault(name, _Product(weight.numel(), int(torch.count_nonzero(weight))))
        if isinstance(module, nn.Linear):
            kept.add(x, torch.count_nonzero(weight, dim=0), weight.numel())
            return
        shape = x.shape[-(weight.dim() - 1):]
        fan, full = (_fan(module, shape, one) for one in ((weight != 0).to(weight.dtype), torch.ones_like(weight)))
        kept.add(x, fan, float(full.sum(dtype=torch.float64)))

    def _recurrent(self, name: str, module: Any, x: Any) -> None:
        """``nn.RNN``, ``nn.GRU``, ``nn.LSTM``: every weight once for each row of inputs, hidden states being dense."""
        rows = x.data if isinstance(x, nn.utils.rnn.PackedSequence) else x.reshape(-1, x.shape[-1])
        named = [(key, weight) for key, weight in module.named_parameters() if key.startswith("weight")]
        nonzero = sum(int(torch.count_nonzero(weight)) for _, weight in named)
        kept = self.products.setdefault(name, _Product(sum(weight.numel() for _, weight in named), nonzero))
        for key, weight in named:
            of_input = key.startswith("weight_ih_l0")
            kept.add(rows if of_input else torch.full((1, 1), 0.5).expand(len(rows), weight.shape[1]), torch.count_nonzero(weight, dim=0),
                     weight.numel())
        kept.spiking = False

    def _sent(self, name: str, y: Tensor, cells: int) -> None:
        group = self.groups.setdefault(name, _Cells())
        group.cells = cells
        group.sent += int(torch.count_nonzero(y))
        group.signals += y.numel()

    def _snntorch(self, name: str, module: Any, y: Any) -> None:
        """A step of a cell of snntorch, which takes its steps one by one also in a `Sequential`."""
        out = y if isinstance(y, Tensor) else y[0]
        if module.reset_mechanism != "none":
            self._sent(name, out, math.prod(out.shape[1:]))
        group = self.groups.setdefault(name, _Cells(cells=math.prod(out.shape[1:])))
        group.step(module.mem if module.init_hidden else y[-1])

    def _stepped(self, name: str, module: Any, x: Any, y: Any) -> None:
        """A cell of norse, a step at a time or a sequence at once."""
        out, state = y
        if foreign(module) == "whole":
            self._described(name, module, x[0].flatten(0, 1), out.flatten(0, 1))
            self._replayed(name, module, x)
            return
        self._described(name, module, x[0], out)
        v = _potential(state)
        if v is not None and name in self.groups:
            self.groups[name].step(v)

    def _layer(self, name: str, module: nn.Module, x: Any, y: Tensor) -> None:
        """A layer over time: its own synapses and cells by its description; potentials by running it step by step."""
        self._described(name, module, x[0].flatten(0, 1), y.flatten(0, 1))
        self._replayed(name, module, x)

    def _replayed(self, name: str, module: Any, x: Any) -> None:
        if name not in self.groups:
            return
        group, sequence = self.groups[name], x[0]
        state = x[1] if len(x) > 1 else None
        for t in range(len(sequence)):
            _, state = module.forward(sequence[t:t + 1], state)
            v = _potential(state)
            if v is None:
                group.updates += group.cells * (len(sequence) - t) * sequence.shape[1]
                group.counted = False
                return
            group.step(v)

    def _described(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        """Synapses and cells of a description, for inputs and outputs of shape (rows, ...)."""
        shape = tuple(x.shape[1:])
        if (name, shape) not in self.described:
            try:
                self.described[name, shape] = _parts(describe(module, shape, 1.0))
            except NetworkError as error:
                self.notes[f"{name}: operations are not counted: {error}"] = None
                self.described[name, shape] = [], [], []
        into, cells, loops = self.described[name, shape]
        for k, joint in enumerate([*into, *loops]):
            called = name if len(into) + len(loops) == 1 else f"{name}.{k}"
            signals, weights = y if k >= len(into) else x, joint.weights
            if weights.shape[1] != math.prod(signals.shape[1:]):
                self.notes[f"{called}: operations of a connection behind another are not counted"] = None
                continue
            nonzero = weights.cols[weights.values != 0]
            fan = torch.from_numpy(np.bincount(nonzero, minlength=weights.shape[1]))
            kept = self.products.setdefault(called, _Product(math.prod(weights.shape), len(nonzero)))
            kept.add(signals, fan, math.prod(weights.shape))
        for one in cells[-1:]:
            group = self.groups.setdefault(name, _Cells(cells=math.prod(one.shape)))
            if one.value is None:
                group.sent += int(torch.count_nonzero(y))
                group.signals += y.numel()

    # -------------------------------------------------------------------------------------- result

    def cost(self, seconds: float) -> Cost:
        n = self.samples
        joints = tuple(Joint(name, one.weights, one.nonzero, one.dense / n, one.effective / n, one.spiking)
                       for name, one in self.products.items())
        groups = tuple(Group(name, one.cells, one.sent / n, one.signals / n, one.updates / n, one.counted)
                       for name, one in self.groups.items())
        return Cost(self.footprint, self.parameters, n, self.steps, seconds / n, joints, groups, tuple(self.notes))


def _plain() -> tuple[type, ...]:
    """Modules whose parameters are folded into connections, or looked up."""
    return nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.Embedding


def _fan(module: Any, shape: Any, weight: Tensor) -> Tensor:
    """How many products each place of an input of a convolution takes part in, by its shape."""
    with torch.enable_grad():
        x = torch.zeros(1, *shape, dtype=weight.dtype, device=weight.device, requires_grad=True)
        y = module._conv_forward(x, weight, None).sum()
        return torch.autograd.grad(y, x)[0][0]


def _potential(state: Any) -> Tensor | None:
    """The membrane potential in a state: what is called ``v`` or ``mem``; a state that is one tensor is it."""
    if isinstance(state, Tensor):
        return state
    for name in ("v", "mem"):
        found = state.get(name) if isinstance(state, dict) else getattr(state, name, None)
        if isinstance(found, Tensor):
            return found
    inner = state.values() if isinstance(state, dict) else state if isinstance(state, (tuple, list)) else ()
    return next((found for one in inner if not isinstance(one, Tensor) and (found := _potential(one)) is not None), None)


def _parts(what: Any) -> tuple[list[Connection], list[Cells], list[Connection]]:
    """Connections of a description, its cells, and the connections of these to themselves."""
    if isinstance(what, Connection):
        return [what], [], []
    if isinstance(what, Cells):
        return [], [what], list(what.loops)
    parts = [_parts(one) for one in ([what.what] if isinstance(what, Named) else what)]
    return [c for part in parts for c in part[0]], [c for part in parts for c in part[1]], [c for part in parts for c in part[2]]
