"""The kernels of EventProp as operations of autograd, batches in pieces."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..kernels import eventprop as kernel
from .deployment import array

__all__ = ["Potentials", "Settings", "Spikes", "in_force"]

_PIECES = 8  # of a batch: gradients are summed piece by piece, so that threads leave no trace in them


class Settings(NamedTuple):
    """What a layer of events is besides weights and delays; times in steps.

    ``end``: the last time; ``most``: spikes after which a cell is silent, or -1; ``wake``, ``least``: as `EventLIF`'s ``wake`` and
    ``least_slope``.
    """

    tau_m: float
    tau_syn: float
    v_thresh: float
    end: float
    grid: bool
    most: int
    wake: float
    least: float


def in_force(delay: Tensor, grid: bool) -> Tensor:
    """Delays as they count: on a grid in whole steps."""
    return delay.round() if grid else delay


def _array(x: Tensor) -> np.ndarray:
    return np.ascontiguousarray(array(x))


def _by_sample(x: Tensor) -> np.ndarray:
    """(K, B, n) -> (B, n, K)."""
    return _array(x.permute(1, 2, 0))


def _in_pieces(samples: int, work: Callable[[slice], Any]) -> list[Any]:
    """``work`` on pieces of the batch, by as many threads as torch has; the pieces do not depend on their number."""
    edges = np.linspace(0, samples, min(samples, _PIECES) + 1).astype(int)
    pieces = [slice(int(a), int(b)) for a, b in zip(edges, edges[1:])]
    threads = min(torch.get_num_threads(), len(pieces))
    if threads <= 1:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, pieces))


class Spikes(torch.autograd.Function):
    """(spike times, highest potentials) of a layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, delay: Tensor, r_weight: Tensor | None, r_delay: Tensor | None, s: Settings) -> Any:
        arrays = [_array(weight), _array(in_force(delay, s.grid))]
        arrays += [np.zeros((0, 0))] * 2 if r_weight is None or r_delay is None else [_array(r_weight), _array(in_force(r_delay, s.grid))]
        given, n = _by_sample(x), weight.shape[0]

        def work(piece: slice) -> list[np.ndarray]:
            b, room = piece.stop - piece.start, s.most if s.most > 0 else 8
            while True:
                times, currents, slopes = np.full((b, n, room), np.inf), np.zeros((b, n, room)), np.zeros((b, n, room))
                peak = np.zeros((b, n, 3))
                peak[..., 1] = -1.0
                if not kernel.forward(given[piece], *arrays, s.tau_m, s.tau_syn, s.v_thresh, s.end, s.grid, s.most, times,
                                      currents, slopes, peak):
                    return [times, currents, slopes, peak]
                room *= 2

        done = _in_pieces(given.shape[0], work)
        room = max([1, *(int(np.isfinite(part[0]).sum(-1).max(initial=0)) for part in done)])
        whole = [np.full((given.shape[0], n, room), fill) for fill in (np.inf, 0.0, 0.0)]
        at = 0
        for part in done:
            for out, values in zip(whole, part):
                k = min(room, values.shape[2])
                out[at:at + len(values), :, :k] = values[:, :, :k]
            at += len(part[0])
        peak = np.concatenate([part[3] for part in done]) if done else np.zeros((0, n, 3))
        silent = ~np.isfinite(whole[0][:, :, 0])
        ctx.arrays, ctx.given, ctx.found, ctx.silent, ctx.settings = arrays, given, (*whole, peak), silent, s
        ctx.dtypes = [None if one is None else one.dtype for one in (x, weight, delay, r_weight, r_delay)]
        highest = np.where(silent, peak[..., 0], s.v_thresh)
        return torch.from_numpy(whole[0].copy()).permute(2, 0, 1).contiguous(), torch.from_numpy(highest)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        s, (times, currents, slopes, peak) = ctx.settings, ctx.found
        g_times = np.where(np.isfinite(times), _by_sample(grads[0]), 0.0)
        g_peak = np.where(ctx.silent, _array(grads[1]) - s.wake / max(ctx.silent.size, 1), 0.0)
        g_x = np.zeros(ctx.given.shape)

        def work(piece: slice) -> list[np.ndarray]:
            out = [np.zeros(one.shape) for one in ctx.arrays]
            kernel.backward(ctx.given[piece], *ctx.arrays, s.tau_m, s.tau_syn, s.end, s.least, times[piece], currents[piece],
                            slopes[piece], peak[piece], g_peak[piece], g_times[piece], *out, g_x[piece])
            return out

        parts = _in_pieces(ctx.given.shape[0], work)
        sums = [sum(part[k] for part in parts) if parts else np.zeros(ctx.arrays[k].shape) for k in range(4)]
        if not ctx.arrays[2].size:
            sums[2:] = [None, None]
        every = [g_x.transpose(2, 0, 1), *sums]
        return (*(None if g is None else torch.from_numpy(np.ascontiguousarray(g)).to(dtype) for g, dtype in zip(every, ctx.dtypes)), None)


class Potentials(torch.autograd.Function):
    """(potentials at the steps, integral over the trial) of cells without a threshold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, delay: Tensor, s: Settings, steps: int) -> Any:
        ctx.arrays, ctx.given, ctx.settings = [_array(weight), _array(in_force(delay, s.grid))], _by_sample(x), s
        ctx.dtypes = [x.dtype, weight.dtype, delay.dtype]
        b, n = ctx.given.shape[0], weight.shape[0]
        values, integral = np.zeros((b, steps, n)), np.zeros((b, n))
        _in_pieces(b, lambda piece: kernel.trace(ctx.given[piece], *ctx.arrays, s.tau_m, s.tau_syn, s.end, values[piece],
                                                 integral[piece]))
        return torch.from_numpy(values).transpose(0, 1).contiguous(), torch.from_numpy(integral)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        s, g_x = ctx.settings, np.zeros(ctx.given.shape)
        g_values, g_integral = _array(grads[0].transpose(0, 1)), _array(grads[1])

        def work(piece: slice) -> list[np.ndarray]:
            out = [np.zeros(one.shape) for one in ctx.arrays]
            kernel.trace_backward(ctx.given[piece], *ctx.arrays, s.tau_m, s.tau_syn, s.end, g_values[piece], g_integral[piece],
                                  *out, g_x[piece])
            return out

        parts = _in_pieces(ctx.given.shape[0], work)
        sums = [sum(part[k] for part in parts) if parts else np.zeros(ctx.arrays[k].shape) for k in range(2)]
        every = [g_x.transpose(2, 0, 1), *sums]
        return (*(torch.from_numpy(np.ascontiguousarray(g)).to(dtype) for g, dtype in zip(every, ctx.dtypes)), None, None)
