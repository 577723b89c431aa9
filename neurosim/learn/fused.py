"""Operators of torch that are kernels: products with sparse input, and the whole time loop of leaky neurons, on the CPU."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..kernels import bptt, bptt_back, bptt_events
from ..kernels.bptt_events import Entries
from .memory import empty

__all__ = ["PIECES", "SPARSE", "Settings", "linear", "loop"]

SPARSE = 0.2  # share of entries that are not zero up to which products go entry by entry
ROWS = 1024  # of a product that are made at once
PIECES = 4  # a batch is cut into so many pieces, whatever the number of threads: sums keep their order


# ----------------------------------------------------------------------------------- pieces and threads


@functools.lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def _cuts(size: int, least: int) -> list[tuple[int, int, int]]:
    """(piece, lo, hi) of up to `PIECES` pieces of 0 .. size - 1, each of at least ``least`` where there are several."""
    pieces = max(1, min(PIECES, size // least))
    ends = [size * piece // pieces for piece in range(pieces + 1)]
    return list(zip(range(pieces), ends, ends[1:]))


def _each(call: Callable[[int, int, int], Any], cuts: list[tuple[int, int, int]]) -> list[Any]:
    """What ``call(piece, lo, hi)`` gives for each, on as many threads as torch has."""
    threads = min(torch.get_num_threads(), len(cuts))
    if threads == 1:
        return [call(*cut) for cut in cuts]
    return list(_pool(threads, os.getpid()).map(lambda cut: call(*cut), cuts))


def _array(tensor: Tensor | None, like: Tensor, dims: int = 1) -> np.ndarray:
    """The memory of a tensor; an empty array of so many dimensions for None."""
    return (like.new_empty((0,) * dims) if tensor is None else tensor.detach()).numpy()


# ----------------------------------------------------------------------------------- products with sparse input


def _room(size: int, rows: int, n: int, cuts: list[tuple[int, int, int]], like: Tensor) -> tuple[Entries, list[int]]:
    """Memory for the entries of ``rows`` rows of n, and where the piece's places begin (and the last ends)."""
    room = [int(SPARSE * (hi - lo) * (rows // size) * n) + n for _, lo, hi in cuts]
    start = [sum(room[:piece]) for piece in range(len(room) + 1)]
    dtype = np.float32 if like.dtype == torch.float32 else np.float64
    return Entries(np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(start[-1], np.int32), np.empty(start[-1], dtype)), start


class _Brought:
    """What a tensor of spikes brings along: its entries, as long as it is what it was; no part of its copies and files."""

    def __init__(self, spikes: Tensor, lists: Entries | None) -> None:
        self.version, self.lists = spikes._version, lists

    def __reduce__(self) -> Any:
        return type(None), ()


def entries(x: Tensor) -> Entries | None:
    """Those of ``x`` (..., n), contiguous, that are not zero; None where more than a share of `SPARSE` is not.

    Spikes that come from `loop` bring theirs along.
    """
    known = getattr(x, "_entries", None)
    if known is not None and known.version == x._version:
        found: Entries | None = known.lists
        return found
    values = x.detach().numpy().reshape(-1, x.shape[-1])
    cuts = _cuts(len(values), 64)
    lists, start = _room(len(values), *values.shape, cuts, x)
    ends = _each(lambda k, lo, hi: bptt_events.listed(values, lo, hi, start[k], start[k + 1], lists), cuts)
    return None if -1 in ends else lists


def _weight_grad(parts: list[np.ndarray]) -> Tensor:
    """The sum of what the pieces found, (m, n), as the gradient of a weight (n, m)."""
    for part in parts[1:]:
        parts[0] += part
    return torch.from_numpy(parts[0]).t()


def dense(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``nn.functional.linear`` without gradients, by oneDNN where torch has it: torch's own takes twice as long on some makes."""
    if x.dtype == torch.float32 and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        flat, weight = x.flatten(0, -2), weight.contiguous()
        out = empty((*x.shape[:-1], weight.shape[0]), x)
        with torch.no_grad():  # in pieces, which are still in the cache when they are put in their place
            for one, into in zip(flat.split(ROWS), out.flatten(0, -2).split(ROWS)):
                into.copy_(torch.ops.mkldnn._linear_pointwise(one, weight, bias, "none", [], ""))
        return out
    return torch.nn.functional.linear(x, weight, bias)


class _Linear(torch.autograd.Function):
    """x W^T + b for sparse x, entry by entry."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, listed: Entries) -> Tensor:
        out = empty((x.shape[0], weight.shape[0]), x)
        transposed = weight.detach().t().contiguous().numpy()
        offset = _array(x.new_zeros(weight.shape[0]) if bias is None else bias.contiguous(), x)
        into = out.numpy()
        _each(lambda _, lo, hi: bptt_events.products(lo, hi, listed, transposed, offset, into), _cuts(x.shape[0], 64))
        ctx.save_for_backward(weight)
        ctx.listed = listed
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        weight, = ctx.saved_tensors
        g = g.contiguous()
        found: list[Any] = [None, None, None, None]
        if ctx.needs_input_grad[0]:
            found[0] = dense(g, weight.t())
        if ctx.needs_input_grad[1]:
            values, size = g.numpy(), (weight.shape[1], weight.shape[0])

            def part(_: int, lo: int, hi: int) -> np.ndarray:
                grad = np.zeros(size, values.dtype)
                bptt_events.product_grads(lo, hi, ctx.listed, values, grad)
                return grad

            found[1] = _weight_grad(_each(part, _cuts(g.shape[0], 64)))
        if ctx.needs_input_grad[2]:
            found[2] = g.sum(0)
        return tuple(found)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``nn.functional.linear`` that takes the entries of ``x`` one by one where few are not zero.

    Parameters
    ----------
    x : Tensor, shape (..., m), on the CPU, float32 or float64
    weight : Tensor, shape (n, m)
    bias : Tensor, shape (n,), optional

    Returns
    -------
    Tensor, shape (..., n)
        Sums differ from ``nn.functional.linear``'s by rounding.
    """
    x = x.contiguous()
    listed = entries(x)
    if listed is None:
        return torch.nn.functional.linear(x, weight, bias)
    out: Tensor = _Linear.apply(x.reshape(-1, x.shape[-1]), weight, bias, listed)
    return out.view(*x.shape[:-1], weight.shape[0])


# ----------------------------------------------------------------------------------- the loop over time


class Settings(NamedTuple):
    """What `loop` does, besides the tensors: flags of `kernels.bptt`, surrogate, and whether there will be a way back."""

    flags: int
    surrogate: tuple[int, float, float]
    record: bool
    sent: list[Entries | None]  # gets those of y, where there are spikes


class _Loop(torch.autograd.Function):
    """See `loop`."""

    @staticmethod
    def forward(ctx: Any, settings: Settings, x: Tensor, weight: Tensor | None, bias: Tensor | None, own: Tensor | None,
                *tensors: Tensor | None) -> Any:
        cells, initial = tensors[:5], tensors[5:]
        flags, record = settings.flags, settings.record
        listed, drive = None, x
        if weight is not None:
            listed = entries(x)
            if listed is None:
                drive = dense(x, weight, bias)
        n = drive.shape[-1] if weight is None else weight.shape[0]
        shape = (x.shape[0], x.shape[1], n)
        y = empty(shape, x)
        fires = bool(flags & bptt.SPIKES)
        if any(ctx.needs_input_grad[5:10]):
            flags |= bptt.OF_CELLS
        if record:
            flags |= bptt.KEEP
        if listed is not None:
            flags |= bptt.EVENTS
        source = _source(x, drive, weight, bias, listed)
        own_t = None if own is None else own.detach().t().contiguous()
        given = bptt.Cells(*(_array(one, x) for one in cells), _array(own, x, 2), _array(own_t, x, 2))
        u = empty(shape if record and fires else (0, 0, 0), x)
        i = empty(shape if record and flags & bptt.SYNAPSE and flags & bptt.OF_CELLS else (0, 0, 0), x)
        a = empty(shape if record and flags & bptt.ADAPTS else (0, 0, 0), x)
        history = bptt.History(u.numpy(), i.numpy(), a.numpy())
        after = [None if one is None else one.clone() for one in initial]
        states = bptt.States(*(_array(one, x, 2) for one in after))
        into, cuts = y.numpy(), _cuts(shape[1], 8)
        flags |= bptt.LIST if fires else 0
        sent, start = _room(shape[1], shape[0] * shape[1], n, cuts, x)
        ends = _each(lambda k, lo, hi: bptt.forward(lo, hi, flags, source, given, states, history, into, start[k], start[k + 1], sent),
                     cuts)
        if fires:
            settings.sent.append(None if -1 in ends else sent)
        if record:
            ctx.save_for_backward(x, weight, bias, own, *cells, *initial, y, u, i, a, own_t)
            ctx.kept = (flags, settings.surrogate, listed)
            ctx.set_materialize_grads(False)
        return y, *after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor | None, *gafter: Tensor | None) -> Any:
        x, weight, bias, own, *rest = ctx.saved_tensors
        cells, initial, (y, u, i, a, own_t) = rest[:5], rest[5:9], rest[9:]
        flags, (kind, alpha, scale), listed = ctx.kept
        needs = ctx.needs_input_grad[1:]
        gy = torch.zeros_like(y) if gy is None else gy.contiguous()
        n = y.shape[-1]
        by_entry = listed is not None and (needs[1] or needs[2])
        if not by_entry:
            flags &= ~bptt.EVENTS
        whole = needs[0] or (weight is not None and listed is None and (needs[1] or needs[2]))
        flags |= bptt.OF_X if whole else 0
        gx = empty(y.shape if whole else (0, 0, 0), x)
        source = _source(x, x.new_empty(0, 0, 0), None, None, listed if by_entry else None)
        given = bptt.Cells(*(_array(one, x) for one in cells), _array(own, x, 2), _array(own_t, x, 2))
        history = bptt.History((u if flags & bptt.SPIKES else y.detach()).numpy(), i.numpy(), a.numpy())
        before = bptt.States(*(_array(one, x, 2) for one in initial))
        found = [None if one is None else torch.zeros_like(one) if g is None else g.clone(memory_format=torch.contiguous_format)
                 for one, g in zip(initial, gafter)]
        states = bptt.States(*(_array(one, x, 2) for one in found))
        sent, came, into = y.detach().numpy(), gy.numpy(), gx.numpy()

        def part(_: int, lo: int, hi: int) -> bptt.Grads:
            of_weight = np.zeros((weight.shape[1], n) if by_entry else (0, 0), sent.dtype)
            of_own = np.zeros((n, n) if own is not None else (0, 0), sent.dtype)
            grads = bptt.Grads(into, of_weight, np.zeros(n), of_own, *(np.zeros(n) for _ in bptt.PARAMETERS))
            bptt_back.backward(lo, hi, flags, kind, alpha, scale, source, given, before, history, sent, came, states, grads)
            return grads

        parts = _each(part, _cuts(y.shape[1], 8))
        return (None, *_input_grads(x, weight, needs, gx, parts, by_entry),
                _weight_grad([part.loop for part in parts]) if needs[3] else None,
                *(_total(parts, name, x) if need else None for name, need in zip(bptt.PARAMETERS, needs[4:9])),
                *found)


def _source(x: Tensor, drive: Tensor, weight: Tensor | None, bias: Tensor | None, listed: Entries | None) -> bptt.Input:
    """What arrives at the cells, for the kernels; on the way back without weights."""
    if listed is None:
        none = np.empty(0, np.int64)
        return bptt.Input(drive.detach().numpy(), Entries(none, none, np.empty(0, np.int32), _array(None, x)), _array(None, x, 2),
                          _array(None, x))
    transposed = None if weight is None else weight.detach().t().contiguous()
    offset = x.new_zeros(weight.shape[0]) if bias is None and weight is not None else bias
    return bptt.Input(_array(None, x, 3), listed, _array(transposed, x, 2), _array(offset, x))


def _input_grads(x: Tensor, weight: Tensor | None, needs: Any, gx: Tensor, parts: list[bptt.Grads], by_entry: bool) -> tuple[Any, ...]:
    """Gradients of x, weight and bias."""
    if weight is None:
        return gx if needs[0] else None, None, None
    flat = gx.flatten(0, 1)
    of_x = dense(flat, weight.t()).view_as(x) if needs[0] else None
    if by_entry:
        return of_x, _weight_grad([part.weight for part in parts]) if needs[1] else None, _total(parts, "bias", x) if needs[2] else None
    return of_x, flat.t() @ x.flatten(0, 1) if needs[1] else None, flat.sum(0) if needs[2] else None


def _total(parts: list[bptt.Grads], name: str, like: Tensor) -> Tensor:
    """A gradient summed over the pieces, in their order."""
    return torch.from_numpy(np.sum([getattr(part, name) for part in parts], axis=0)).to(like.dtype)


def loop(x: Tensor, weight: Tensor | None, bias: Tensor | None, own: Tensor | None, cells: tuple[Tensor | None, ...],
         initial: tuple[Tensor | None, ...], flags: int, surrogate: tuple[int, float, float]) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """All steps of a layer of n cells, as `kernels.bptt` has them.

    Parameters
    ----------
    x : Tensor, shape (T, B, n); or (T, B, m) with ``weight``
        On the CPU, float32 or float64, as all others.
    weight, bias : Tensor, shapes (n, m) and (n,), or None
        Input is x W^T + b; taken entry by entry where few of x are not zero.
    own : Tensor, shape (n, n), or None
        Weights from the layer to itself.
    cells : tuple of Tensor, shape (n,), or None
        By `kernels.bptt.PARAMETERS`.
    initial : tuple of Tensor, shape (B, n), or None
        v, i, a, s.
    flags, surrogate
        For the kernels.

    Returns
    -------
    y : Tensor, shape (T, B, n)
    states : tuple, as ``initial``
    """
    x = x.contiguous()
    tensors = [None if one is None else one.contiguous() for one in (weight, bias, own, *cells, *initial)]
    record = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (x, *tensors))
    settings = Settings(flags, surrogate, record, [])
    y, *after = _Loop.apply(settings, x, *tensors)
    if settings.sent:
        y._entries = _Brought(y, settings.sent[0])
    return y, tuple(after)
