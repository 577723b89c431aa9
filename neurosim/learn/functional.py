"""The time loop of leaky neurons on sequences: as kernels, and step by step."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ParameterError
from ..kernels import bptt
from . import fused, fused_cuda
from .surrogate import Surrogate

__all__ = ["Cell", "Product", "State", "linear", "neuron_loop", "plain_loop", "zeros"]

# What neurons go on from, after a step: tensors of shape (B, *shape) by name.  v: potential after the reset; i: synaptic
# current; a: adaptation of the threshold; s: what was sent, by neurons that project to themselves.
State = dict[str, Tensor]


class Cell(NamedTuple):
    """What the neurons of a layer are; tensors of shape (*shape) or ().

    Attributes
    ----------
    keep : Tensor
        What is left of v after a step.
    v_thresh : Tensor or None
        None: neurons without spikes, that send v.
    keep_syn : Tensor or None
        What is left of the synaptic current; None: input acts on v at once.
    keep_adapt, beta : Tensor or None
        What is left of the adaptation; what a spike adds to the threshold.
    subtract : bool
        A spike takes the threshold off v; else it sets v to 0.
    detach_reset : bool
        No gradient through the spike in the reset.
    surrogate : Surrogate
    """

    keep: Tensor
    v_thresh: Tensor | None = None
    keep_syn: Any = None
    keep_adapt: Any = None
    beta: Any = None
    subtract: bool = False
    detach_reset: bool = True
    surrogate: Surrogate = Surrogate()


def plain_loop(x: Tensor, state: State, cell: Cell, weight: Tensor | None = None) -> tuple[Tensor, State]:
    """A loop over time, step by step::

        x <- x + W s(t - 1)                          where there are weights from the layer to itself
        i <- keep_syn i + x                          or i = x, without a synaptic current
        v <- keep v + i
        s = H(v - (v_thresh + beta a))
        v <- v - s v,  or  v - s (v_thresh + beta a)
        a <- keep_adapt a + s

    Parameters
    ----------
    x : Tensor, shape (T, B, *shape)
    state : dict of Tensor, shape (B, *shape)
        v, and what of i, a and s there is.
    cell : Cell
    weight : Tensor, shape (n, n), optional
        From the layer to itself (outputs, inputs), n cells.

    Returns
    -------
    y : Tensor, shape (T, B, *shape)
        Spikes, or v.
    state : dict
    """
    v, i, a, s = state["v"], state.get("i"), state.get("a"), state.get("s")
    sent = []
    for now in x:
        if weight is not None and s is not None:
            now = now + (s.flatten(1) @ weight.T).view_as(now)
        if i is not None:
            now = i = cell.keep_syn * i + now
        v = cell.keep * v + now
        if cell.v_thresh is None:
            sent.append(v)
            continue
        level = cell.v_thresh + cell.beta * a if a is not None else cell.v_thresh
        s = cell.surrogate.spike(v - level)
        gone = s.detach() if cell.detach_reset else s
        v = v - gone * (level if cell.subtract else v)
        if a is not None:
            a = cell.keep_adapt * a + s
        sent.append(s)
    after = {"v": v, "i": i, "a": a, "s": None if weight is None else s}
    return torch.stack(sent) if sent else x, {name: one for name, one in after.items() if one is not None}


class Product(NamedTuple):
    """x W^T + b, put off: who takes it can take the entries of x that are not zero, one by one.

    Attributes
    ----------
    x : Tensor, shape (T, B, m)
    weight : Tensor, shape (n, m)
    bias : Tensor, shape (n,), or None
    """

    x: Tensor
    weight: Tensor
    bias: Tensor | None

    @property
    def shape(self) -> torch.Size:
        """Of the product."""
        return torch.Size((*self.x.shape[:-1], self.weight.shape[0]))

    def tensor(self) -> Tensor:
        """The product itself."""
        return linear(self.x, self.weight, self.bias)


def zeros(x: Tensor | Product) -> Tensor:
    """Zeros for the cells of each sample that ``x`` goes to."""
    return (x.x if isinstance(x, Product) else x).new_zeros(x.shape[1:])


def _kernels_take(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and x.numel() > 0


def _processors_take(x: Tensor, weight: Tensor | None) -> bool:
    return x.device.type == "cuda" and x.dtype in (torch.float32, torch.float64) and x.numel() > 0 and weight is None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``nn.functional.linear``, which on the CPU takes spikes one by one where there are few (see `fused.linear`)."""
    if _kernels_take(x) and x.dtype == weight.dtype:
        return fused.linear(x, weight, bias)
    return torch.nn.functional.linear(x, weight, bias)


def neuron_loop(x: Tensor | Product, state: State, cell: Cell, weight: Tensor | None = None) -> tuple[Tensor, State]:
    """As `plain_loop`, in one operator whose loops over time, forward and backward, are kernels.

    Input may be a `Product`.  On graphics processors cells that project to themselves, elsewhere other types of numbers than
    float32 and float64, go through `plain_loop`, which also is what to take for second derivatives.

    Raises
    ------
    ParameterError
        For a state whose shape is not that of the input.
    """
    inner = x.x if isinstance(x, Product) else x
    shape, n = x.shape[1:], x.shape[2:].numel()
    for name, one in state.items():
        if one.shape != shape:
            raise ParameterError(f"state {name!r} must have the shape of the input at a step, {tuple(shape)}, got {tuple(one.shape)}")
    processor = _processors_take(inner, weight)
    if not processor and not _kernels_take(inner):
        return plain_loop(x.tensor() if isinstance(x, Product) else x, state, cell, weight)
    flags = _flags(cell, weight)
    parameters = tuple(None if one is None else one.to(inner.dtype).expand(shape[1:]).reshape(n)
                       for one in (cell.keep, cell.v_thresh, cell.keep_syn, cell.keep_adapt, cell.beta))
    there = {"v": True, "i": flags & bptt.SYNAPSE, "a": flags & bptt.ADAPTS, "s": flags & bptt.LOOP}
    initial = tuple(state[name].to(inner.dtype).reshape(shape[0], n) if wanted else None for name, wanted in there.items())
    slope = (cell.surrogate.number, float(cell.surrogate.alpha or 0.0), cell.surrogate.scale)
    if processor:
        drive = x.tensor() if isinstance(x, Product) else x
        y, after = fused_cuda.loop(drive.reshape(*x.shape[:2], n), parameters, initial[:3], flags, slope)
    elif isinstance(x, Product):
        y, after = fused.loop(x.x, x.weight, x.bias, weight, parameters, initial, flags, slope)
    else:
        y, after = fused.loop(x.reshape(*x.shape[:2], n), None, None, weight, parameters, initial, flags, slope)
    left = {name: one.view(shape) for name, one in zip(there, after) if one is not None}
    return (y if y.shape == x.shape else y.view(x.shape)), left


def _flags(cell: Cell, weight: Tensor | None) -> int:
    """What kind of cells these are, for the kernels."""
    kinds = ((bptt.LOOP, weight is not None), (bptt.SPIKES, cell.v_thresh is not None), (bptt.SYNAPSE, cell.keep_syn is not None),
             (bptt.ADAPTS, cell.keep_adapt is not None), (bptt.SUBTRACT, cell.subtract), (bptt.DETACH, cell.detach_reset))
    return sum(flag for flag, there in kinds if there)
