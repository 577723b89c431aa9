"""Leaky neurons over whole sequences, forward and backward: `neurosim.kernels.bptt` with a thread for each cell of each sample.

Equations, flags and arrays are those of that module, but for cells without weights to themselves; samples and cells are one dimension of
size m = B n, cell k of sample b at b n + k, so that neighbouring threads read neighbouring numbers.  Parameters are (n,); gradients
of parameters come out for each sample, (m,), and are summed by the caller, in one order.
"""

import math

from numba import cuda

from ..bptt import ADAPTS, DETACH, KEEP, OF_CELLS, SPIKES, SUBTRACT, SYNAPSE


@cuda.jit(device=True)
def _slope(kind, alpha, scale, u):
    """As `kernels.bptt_back.slopes`."""
    if kind == 0:
        x = 0.5 * math.pi * alpha * u
        return 0.5 * alpha * scale / (1.0 + x * x)
    if kind == 1:
        x = 1.0 + alpha * abs(u)
        return scale / (x * x)
    if kind == 2:
        fall = math.exp(-alpha * abs(u))
        return alpha * scale * fall / ((1.0 + fall) * (1.0 + fall))
    if kind == 3:
        return alpha * scale * max(0.0, 1.0 - alpha * abs(u))
    if kind == 4:
        return alpha * scale if alpha * abs(u) <= 0.5 else 0.0
    if kind == 5:
        return alpha * scale / math.sqrt(2.0 * math.pi) * math.exp(-0.5 * (alpha * u) * (alpha * u))
    return 0.5 * alpha * scale * math.exp(-alpha * abs(u))


@cuda.jit
def forward(flags, x, keep, v_thresh, keep_syn, keep_adapt, beta, v, i, a, u, past_i, past_a, y):
    """x, y, and with KEEP the history u, past_i, past_a: (T, m); states v, i, a (m,) are written."""
    j = cuda.grid(1)
    if j >= x.shape[1]:
        return
    k = j % keep.size
    here, current, adaptation = v[j], x[0, j], x[0, j]
    if flags & SYNAPSE:
        current = i[j]
    if flags & ADAPTS:
        adaptation = a[j]
    for t in range(x.shape[0]):
        drive = x[t, j]
        if flags & SYNAPSE:
            if flags & KEEP and flags & OF_CELLS:
                past_i[t, j] = current
            current = keep_syn[k] * current + drive
            drive = current
        here = keep[k] * here + drive
        if not flags & SPIKES:
            y[t, j] = here
            continue
        level = v_thresh[k]
        if flags & ADAPTS:
            if flags & KEEP:
                past_a[t, j] = adaptation
            level += beta[k] * adaptation
            adaptation = keep_adapt[k] * adaptation
        if flags & KEEP:
            u[t, j] = here
        spike = here >= level
        y[t, j] = 1.0 if spike else 0.0
        if spike:
            here = here - level if flags & SUBTRACT else here - here
            if flags & ADAPTS:
                adaptation += y[t, j]
    v[j] = here
    if flags & SYNAPSE:
        i[j] = current
    if flags & ADAPTS:
        a[j] = adaptation


@cuda.jit
def backward(flags, kind, alpha, scale, keep, v_thresh, keep_syn, keep_adapt, beta, first_v, u, past_i, past_a, gy, gv, gi, ga,
             gx, of_cells):
    """Histories as `forward` left them (without spikes u is y); ``first_v`` (m,); gradients gy of y (T, m), gv, gi, ga (m,) of the states:
    on entry of those after the last step, on return of those before the first.  gx (T, m) is written; with OF_CELLS
    so is ``of_cells`` (5, m): keep, v_thresh, keep_syn, keep_adapt, beta."""
    j = cuda.grid(1)
    if j >= gy.shape[1]:
        return
    k = j % keep.size
    after, of_i, of_a = gv[j], gv[j], gv[j]
    if flags & SYNAPSE:
        of_i = gi[j]
    if flags & ADAPTS:
        of_a = ga[j]
    of_keep = of_level = of_keep_syn = of_keep_adapt = of_beta = 0.0
    for step in range(gy.shape[0]):
        t = gy.shape[0] - 1 - step
        if flags & SPIKES:
            now, level, came = u[t, j], v_thresh[k], gy[t, j]
            if flags & ADAPTS:
                level += beta[k] * past_a[t, j]
                came += of_a
            spike = now >= level
            gone = level if flags & SUBTRACT else now
            by_slope = came if flags & DETACH else came - after * gone
            by_slope *= _slope(kind, alpha, scale, now - level)
            gl = -by_slope
            g = by_slope
            if flags & SUBTRACT:
                g += after
                gl -= after if spike else 0.0
            elif not spike:
                g += after
            if flags & ADAPTS:
                of_keep_adapt += of_a * past_a[t, j]
                of_beta += gl * past_a[t, j]
                of_a = keep_adapt[k] * of_a + beta[k] * gl
            of_level += gl
        else:
            g = gy[t, j] + after
        if flags & OF_CELLS:
            before = u[t - 1, j] if t else first_v[j]
            if flags & SPIKES and t:
                level = v_thresh[k]
                if flags & ADAPTS:
                    level += beta[k] * past_a[t - 1, j]
                if before >= level:
                    before = before - level if flags & SUBTRACT else before - before
            of_keep += g * before
        after = keep[k] * g
        if flags & SYNAPSE:
            g += of_i
            if flags & OF_CELLS:
                of_keep_syn += g * past_i[t, j]
            of_i = keep_syn[k] * g
        gx[t, j] = g
    gv[j] = after
    if flags & SYNAPSE:
        gi[j] = of_i
    if flags & ADAPTS:
        ga[j] = of_a
    if flags & OF_CELLS:
        of_cells[0, j] = of_keep
        of_cells[1, j] = of_level
        of_cells[2, j] = of_keep_syn
        of_cells[3, j] = of_keep_adapt
        of_cells[4, j] = of_beta
