"""The time loop of leaky neurons on sequences."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .surrogate import Surrogate

__all__ = ["Cell", "State", "plain_loop"]


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
