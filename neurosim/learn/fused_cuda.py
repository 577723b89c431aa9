"""The time loop of leaky neurons as one operator of torch on graphics processors: `fused` with the kernels of `kernels.cuda`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..kernels import bptt

__all__ = ["loop"]


def _view(tensor: Tensor | None, like: Tensor) -> Any:
    """A tensor as the kernels take it, without a copy; the simulator of ``numba.cuda`` takes arrays of the CPU."""
    from ..kernels.cuda import view

    tensor = like.new_empty(0) if tensor is None else tensor.detach()
    return view(tensor) if tensor.is_cuda else tensor.numpy()


def _flat(state: Tensor | None, like: Tensor) -> Any:
    return _view(None if state is None else state.view(-1), like)


def _launched(kernel: Any, like: Tensor) -> Any:
    """A kernel with a thread for each cell of each sample, on torch's stream."""
    from ..kernels.cuda import launched

    return launched(kernel, like[0].numel(), torch.cuda.current_stream(like.device).cuda_stream if like.is_cuda else None)


class _Loop(torch.autograd.Function):
    """See `loop`."""

    @staticmethod
    def forward(ctx: Any, flags: int, surrogate: tuple[int, float, float], record: bool, x: Tensor, *tensors: Tensor | None) -> Any:
        from ..kernels.cuda import bptt as kernels

        cells, initial = tensors[:5], tensors[5:]
        fires = bool(flags & bptt.SPIKES)
        flags |= (bptt.OF_CELLS if any(ctx.needs_input_grad[4:9]) else 0) | (bptt.KEEP if record else 0)
        y = torch.empty_like(x)
        u, i, a = (torch.empty_like(x) if record and there else None
                   for there in (fires, flags & bptt.SYNAPSE and flags & bptt.OF_CELLS, flags & bptt.ADAPTS))
        after = [None if one is None else one.clone() for one in initial]
        history = [x.new_empty(0, 0) if one is None else one.flatten(1) for one in (u, i, a)]
        _launched(kernels.forward, x)(flags, _view(x.flatten(1), x), *(_view(one, x) for one in cells), *(_flat(one, x) for one in after),
                                      *(_view(one, x) for one in history), _view(y.flatten(1), x))
        if record:
            ctx.save_for_backward(*cells, *initial, y, u, i, a)
            ctx.kept = (flags, surrogate)
            ctx.set_materialize_grads(False)
        return y, *after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor | None, *gafter: Tensor | None) -> Any:
        from ..kernels.cuda import bptt as kernels

        cells, initial, (y, u, i, a) = ctx.saved_tensors[:5], ctx.saved_tensors[5:8], ctx.saved_tensors[8:]
        flags, (kind, alpha, scale) = ctx.kept
        gy = torch.zeros_like(y) if gy is None else gy.contiguous()
        gx = torch.empty_like(y)
        found = [None if one is None else torch.zeros_like(one) if g is None else g.clone(memory_format=torch.contiguous_format)
                 for one, g in zip(initial, gafter)]
        of_cells = y.new_zeros((5, y[0].numel()) if flags & bptt.OF_CELLS else (0, 0), dtype=torch.float64)
        history = [y.new_empty(0, 0) if one is None else one.flatten(1) for one in (u if flags & bptt.SPIKES else y, i, a)]
        _launched(kernels.backward, y)(flags, kind, alpha, scale, *(_view(one, y) for one in cells), _flat(initial[0], y),
                                       *(_view(one, y) for one in history), _view(gy.flatten(1), y), *(_flat(one, y) for one in found),
                                       _view(gx.flatten(1), y), _view(of_cells, y))
        needs = ctx.needs_input_grad
        of_each = [of_cells[place].view(y.shape[1:]).sum(0).to(y.dtype) if needs[4 + place] else None for place in range(5)]
        return (None, None, None, gx if needs[3] else None, *of_each, *found)


def loop(x: Tensor, cells: tuple[Tensor | None, ...], initial: tuple[Tensor | None, ...], flags: int,
         surrogate: tuple[int, float, float]) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """All steps of a layer of n cells that do not project to themselves.

    Parameters
    ----------
    x : Tensor, shape (T, B, n)
        On a graphics processor, float32 or float64, as all others.
    cells : tuple of Tensor, shape (n,), or None
        By `kernels.bptt.PARAMETERS`.
    initial : tuple of Tensor, shape (B, n), or None
        v, i, a.
    flags, surrogate
        For the kernels.

    Returns
    -------
    y : Tensor, shape (T, B, n)
    states : tuple, as ``initial``
    """
    tensors = [None if one is None else one.contiguous() for one in (*cells, *initial)]
    record = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (x, *tensors))
    y, *after = _Loop.apply(flags, surrogate, record, x.contiguous(), *tensors)
    return y, tuple(after)
