"""Astrocytic units over time: plain loops of torch, which say what happens, and the fused ones, which are fast."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..kernels import bptt_astro as kernels
from .surrogate import Surrogate

__all__ = ["attention", "attention_plainly", "calcium_in_parallel", "lif", "lif_plainly"]

_FUSED = (torch.float32, torch.float64)


def _fusible(*tensors: Tensor) -> bool:
    return all(one.device.type == "cpu" for one in tensors) and tensors[0].dtype in _FUSED


def _array(tensor: Tensor, like: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().to(like.dtype).contiguous().numpy()
    return array


def _grouped(values: Tensor, size: int) -> Tensor:
    """(..., groups) -> (..., neurons)."""
    return values.repeat_interleave(size, dim=-1) if size > 1 else values


# ---------------------------------------------------------------------------------- neurons that share an astrocyte


def lif_plainly(x: Tensor, weight: Tensor | None, keep: Tensor, keep_c: Tensor, each: Tensor, kappa: Tensor, gain: Tensor,
                v: Tensor, c: Tensor, sent: Tensor, size: int, surrogate: Surrogate, detach_reset: bool,
                ) -> tuple[Tensor, Tensor, Tensor]:
    """One step after another, as the docstring of :class:`AstroLIF` says it; any device and type.

    Parameters
    ----------
    x : Tensor, shape (T, B, n)
    weight : Tensor, shape (n, n), or None
        Of what was sent a step before.
    keep, kappa, gain : Tensor, shape (n,)
    keep_c, each : Tensor, shape (G,)
    v, sent : Tensor, shape (B, n)
    c : Tensor, shape (B, G)

    Returns
    -------
    spikes (T, B, n), v, c
    """
    spikes = []
    for x_t in x:
        total = x_t if weight is None else x_t + sent @ weight.T
        now = keep_c * c
        each_now = _grouped(now, size)
        u = keep * v + (1.0 + gain * each_now) * total
        sent = surrogate.spike(u - (1.0 - kappa * torch.tanh(each_now)))
        v = u * (1.0 - (sent.detach() if detach_reset else sent))
        c = now + each * sent.unflatten(-1, (-1, size)).sum(-1)
        spikes.append(sent)
    return torch.stack(spikes), v, c


class _Lif(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, keep: Tensor, keep_c: Tensor, each: Tensor, kappa: Tensor,
                gain: Tensor, v: Tensor, c: Tensor, sent: Tensor, size: int, surrogate: Surrogate, detach_reset: bool) -> Any:
        steps = x.shape[0]
        drive = _array(x, x) if weight is None else _array(x, x).copy()
        given = tuple(_array(one, x) for one in (keep, keep_c, each, kappa, gain))
        s, u, z = (np.empty_like(drive) for _ in range(3))
        past = np.empty((steps, *c.shape), dtype=drive.dtype)
        v_now, c_now = _array(v, x).copy(), _array(c, x).copy()
        if weight is None:
            kernels.lif(0, steps, drive, *given, size, v_now, c_now, s, u, z, past)
        else:
            back, before = np.ascontiguousarray(_array(weight, x).T), _array(sent, x)
            for t in range(steps):
                drive[t] += before @ back
                kernels.lif(t, t + 1, drive, *given, size, v_now, c_now, s, u, z, past)
                before = s[t]
        out = torch.from_numpy(s)
        ctx.save_for_backward(out)
        ctx.arrays = (drive, given, u, z, past)
        ctx.rest = (None if weight is None else _array(weight, x), _array(v, x), _array(sent, x), size, surrogate,
                    0.0 if detach_reset else 1.0)
        return out, torch.from_numpy(v_now), torch.from_numpy(c_now)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g_s: Tensor, g_v: Tensor, g_c: Tensor) -> Any:
        s = ctx.saved_tensors[0].numpy()
        drive, given, u, z, past = ctx.arrays
        weight, first_v, first_sent, size, surrogate, through = ctx.rest
        steps, _, n = drive.shape
        d = surrogate.slope(torch.from_numpy(z)).numpy()
        of_s = g_s.contiguous().numpy()
        of_v, of_c = g_v.contiguous().numpy().copy(), g_c.contiguous().numpy().copy()
        of_x = np.empty_like(drive)
        sums = [np.zeros(count) for count in (n, of_c.shape[1], of_c.shape[1], n, n)]
        of_weight = of_sent = None
        if weight is None:
            kernels.lif_back(0, steps, through, drive, *given, size, s, u, d, past, of_s, first_v, of_v, of_c, of_x, *sums)
        else:
            of_s = of_s.copy()
            for t in range(steps - 1, -1, -1):
                kernels.lif_back(t, t + 1, through, drive, *given, size, s, u, d, past, of_s, first_v, of_v, of_c, of_x, *sums)
                if t:
                    of_s[t - 1] += of_x[t] @ weight
            of_sent = torch.from_numpy(of_x[0] @ weight)
            all_sent = np.concatenate([first_sent[None], s[:-1]])
            of_weight = torch.from_numpy(of_x.reshape(-1, n).T @ all_sent.reshape(-1, n))
        of_given = [torch.from_numpy(one).to(g_s.dtype) for one in sums]
        return (torch.from_numpy(of_x), of_weight, *of_given, torch.from_numpy(of_v), torch.from_numpy(of_c), of_sent,
                None, None, None)


def lif(x: Tensor, weight: Tensor | None, keep: Tensor, keep_c: Tensor, each: Tensor, kappa: Tensor, gain: Tensor, v: Tensor,
        c: Tensor, sent: Tensor, size: int, surrogate: Surrogate, detach_reset: bool) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`lif_plainly`; on the CPU by the fused kernels."""
    chosen = _Lif.apply if _fusible(x) else lif_plainly
    result: tuple[Tensor, Tensor, Tensor] = chosen(x, weight, keep, keep_c, each, kappa, gain, v, c, sent, size, surrogate, detach_reset)
    return result


# ---------------------------------------------------------------------------------- attention


def attention_plainly(x: Tensor, keep: Tensor, keep_c: Tensor, write: Tensor, gain: Tensor, bonus: Tensor, direct: Tensor,
                      v: Tensor, c: Tensor, surrogate: Surrogate, detach_reset: bool, parallel: bool = False,
                      ) -> tuple[Tensor, Tensor, Tensor]:
    """One step after another, as the docstring of :class:`AstroAttention` says it; any device and type.

    Parameters
    ----------
    x : Tensor, shape (T, B, 3, n)
        Key, value and query spikes.
    keep, keep_c, write, gain, bonus, direct : Tensor, shape (n,)
    v, c : Tensor, shape (B, n)
    parallel : bool
        Calcium of all steps first, by :func:`calcium_in_parallel`.

    Returns
    -------
    spikes (T, B, n), v, c
    """
    if parallel:
        calcium = calcium_in_parallel(x[:, :, 0], x[:, :, 1], keep_c, write, c)
        before = torch.cat([c[None], calcium[:-1]])
    spikes = []
    for t, at_t in enumerate(x):
        key, value, query = at_t.unbind(1)
        now = keep_c * (before[t] if parallel else c)
        u = keep * v + query * (gain * now + bonus) + direct * value
        sent = surrogate.spike(u - 1.0)
        v = u * (1.0 - (sent.detach() if detach_reset else sent))
        c = calcium[t] if parallel else now + write * key * (value - now)
        spikes.append(sent)
    return torch.stack(spikes), v, c


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor, keep_c: Tensor, write: Tensor, gain: Tensor, bonus: Tensor, direct: Tensor,
                v: Tensor, c: Tensor, surrogate: Surrogate, detach_reset: bool) -> Any:
        drive = _array(x, x)
        given = tuple(_array(one, x) for one in (keep, keep_c, write, gain, bonus, direct))
        s, u, past = (np.empty((*drive.shape[:2], drive.shape[3]), dtype=drive.dtype) for _ in range(3))
        v_now, c_now = _array(v, x).copy(), _array(c, x).copy()
        kernels.attention(drive, *given, v_now, c_now, s, u, past)
        out = torch.from_numpy(s)
        ctx.save_for_backward(out, x)
        ctx.arrays = (given, u, past, _array(v, x))
        ctx.rest = (surrogate, 0.0 if detach_reset else 1.0)
        return out, torch.from_numpy(v_now), torch.from_numpy(c_now)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g_s: Tensor, g_v: Tensor, g_c: Tensor) -> Any:
        s, x = (_array(one, one) for one in ctx.saved_tensors)
        given, u, past, first_v = ctx.arrays
        surrogate, through = ctx.rest
        d = surrogate.slope(torch.from_numpy(u) - 1.0).numpy()
        of_v, of_c = g_v.contiguous().numpy().copy(), g_c.contiguous().numpy().copy()
        of_x = np.empty_like(x)
        sums = [np.zeros(s.shape[2]) for _ in given]
        kernels.attention_back(through, x, *given, s, u, d, past, g_s.contiguous().numpy(), first_v, of_v, of_c, of_x, *sums)
        of_given = [torch.from_numpy(one).to(g_s.dtype) for one in sums]
        return torch.from_numpy(of_x), *of_given, torch.from_numpy(of_v), torch.from_numpy(of_c), None, None


def attention(x: Tensor, keep: Tensor, keep_c: Tensor, write: Tensor, gain: Tensor, bonus: Tensor, direct: Tensor,
              v: Tensor, c: Tensor, surrogate: Surrogate, detach_reset: bool) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`attention_plainly`; on the CPU by the fused kernels, elsewhere with calcium in parallel over time."""
    arguments = (x, keep, keep_c, write, gain, bonus, direct, v, c, surrogate, detach_reset)
    result: tuple[Tensor, Tensor, Tensor] = (
        _Attention.apply(*arguments) if _fusible(x) else attention_plainly(*arguments, parallel=True))
    return result


def calcium_in_parallel(key: Tensor, value: Tensor, keep_c: Tensor, write: Tensor, c: Tensor) -> Tensor:
    """Calcium of all steps at once: c_t = (1 - write key_t) keep_c c_{t-1} + write key_t value_t by a parallel scan.

    log2 T passes over the sequence (Hillis & Steele 1986), in each of which a step takes in what stands twice as far back
    as in the pass before; nothing is divided by, so that a key may wipe out everything before it.

    Parameters
    ----------
    key, value : Tensor, shape (T, B, n)
    keep_c, write : Tensor, shape (n,)
    c : Tensor, shape (B, n)

    Returns
    -------
    Tensor, shape (T, B, n)
    """
    factor = (1.0 - write * key) * keep_c
    total = write * key * value
    total = torch.cat([(total[0] + factor[0] * c)[None], total[1:]])
    span = 1
    while span < len(total):
        total = torch.cat([total[:span], total[span:] + factor[span:] * total[:-span]])
        factor = torch.cat([factor[:span], factor[span:] * factor[:-span]])
        span *= 2
    return total
