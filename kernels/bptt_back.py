"""Leaky neurons over whole sequences, backward in time: what ``bptt`` does, and its names, the other way round."""

import numpy as np

from . import jit
from .bptt import ADAPTS, BLOCK, DETACH, EVENTS, LOOP, OF_CELLS, OF_X, SPIKES, SUBTRACT, SYNAPSE, levels, tiled
from .bptt_events import HELD, added, held_grads, list_row, most_entries, scattered, transposed_product
from .fastmath import exp


@jit
def slopes(kind, alpha, scale, u, level, out):
    """The surrogate's slope at u - level, for each of ``u``; ``kind`` numbers those of ``neurosim.learn.surrogate``, in its order."""
    a, one, zero = u.dtype.type(alpha), u.dtype.type(1), u.dtype.type(0)
    if kind == 0:  # atan
        top, inner = u.dtype.type(0.5 * alpha * scale), u.dtype.type(0.5 * np.pi * alpha)
        for k in range(u.size):
            x = inner * (u[k] - level[k])
            out[k] = top / (one + x * x)
    elif kind == 1:  # fast_sigmoid
        top = u.dtype.type(scale)
        for k in range(u.size):
            x = one + a * abs(u[k] - level[k])
            out[k] = top / (x * x)
    elif kind == 2:  # sigmoid
        for k in range(u.size):
            fall = exp(-alpha * abs(np.float64(u[k] - level[k])))
            out[k] = alpha * scale * fall / ((1.0 + fall) * (1.0 + fall))
    elif kind == 3:  # triangle
        top = u.dtype.type(alpha * scale)
        for k in range(u.size):
            x = one - a * abs(u[k] - level[k])
            out[k] = top * x if x > zero else zero
    elif kind == 4:  # boxcar
        top, half = u.dtype.type(alpha * scale), u.dtype.type(0.5)
        for k in range(u.size):
            out[k] = top if a * abs(u[k] - level[k]) <= half else zero
    elif kind == 5:  # gaussian
        for k in range(u.size):
            x = alpha * np.float64(u[k] - level[k])
            out[k] = alpha * scale / np.sqrt(2.0 * np.pi) * exp(-0.5 * x * x)
    else:  # slayer
        for k in range(u.size):
            out[k] = 0.5 * alpha * scale * exp(-alpha * abs(np.float64(u[k] - level[k])))


@jit
def _back_zero(u, level, slope, through, gy, gv, g, gl):
    """Gradients of u and of the level from those of what was sent, gy, and of v; ``through``: 1, or 0 with DETACH."""
    zero = u.dtype.type(0)
    for k in range(u.size):
        after = gv[k]
        by_slope = (gy[k] - through * (after * u[k])) * slope[k]
        g[k] = (zero if u[k] >= level[k] else after) + by_slope
        gl[k] = -by_slope


@jit
def _back_subtract(u, level, slope, through, gy, gv, g, gl):
    zero = u.dtype.type(0)
    for k in range(u.size):
        after = gv[k]
        by_slope = (gy[k] - through * (after * level[k])) * slope[k]
        g[k] = after + by_slope
        gl[k] = (-after if u[k] >= level[k] else zero) - by_slope


@jit
def _sum(one, two, out):
    for k in range(one.size):
        out[k] = one[k] + two[k]


@jit
def _add(one, out):
    for k in range(one.size):
        out[k] += one[k]


@jit
def _scaled(factor, one, out):
    for k in range(out.size):
        out[k] = factor[k] * one[k]


@jit
def _add_product(one, two, out):
    for k in range(two.size):
        out[k] += one[k] * two[k]


@jit
def _adapt_back(keep_adapt, beta, gl, ga):
    """The gradient of a before the step from that after it."""
    for k in range(ga.size):
        ga[k] = keep_adapt[k] * ga[k] + beta[k] * gl[k]


@jit
def _synapse_back(keep_syn, g, gi):
    """g (n,) becomes the gradient of what arrived, ``gi`` that of the current before the step."""
    for k in range(g.size):
        now = g[k] + gi[k]
        g[k] = now
        gi[k] = keep_syn[k] * now


@jit
def _after_reset(subtract, u, level, out):
    """v after the step, from before its reset."""
    zero = u.dtype.type(0)
    for k in range(u.size):
        out[k] = u[k] if u[k] < level[k] else (u[k] - level[k] if subtract else zero)


@jit
def backward(lo, hi, flags, kind, alpha, scale, source, cells, initial, history, y, gy, states, grads):
    """Back through all steps of samples lo .. hi - 1.

    Parameters
    ----------
    flags : int
        As of `forward`, and DETACH, OF_X, OF_CELLS.
    kind, alpha, scale
        The surrogate, as for `slopes`.
    source, cells, history, y
        As `forward` had them and left them.
    initial : States
        Before the first step.
    gy : (T, B, n)
        Gradient of y.
    states : States
        Gradients of the states after the last step; on return, of those before the first.
    grads : Grads
        Added to; ``x`` is written, with OF_X.
    """
    n_steps, n_batch, n = gy.shape
    rows = max(1, min(hi - lo, BLOCK // n))
    size, kind_of = rows * n, gy.dtype
    keep, keep_syn, keep_adapt, beta = (tiled(cells.keep, rows), tiled(cells.keep_syn, rows), tiled(cells.keep_adapt, rows),
                                        tiled(cells.beta, rows))
    v_thresh, level, other = tiled(cells.v_thresh, rows), tiled(cells.v_thresh, rows), tiled(cells.v_thresh, rows)
    gl_all, slope_all, sent_all, v_all = np.empty(size, kind_of), np.empty(size, kind_of), np.empty(size, kind_of), np.empty(size, kind_of)
    of_bias, of_keep, of_level = np.zeros(size, kind_of), np.zeros(size, kind_of), np.zeros(size, kind_of)
    of_syn, of_adapt, of_beta = np.zeros(size, kind_of), np.zeros(size, kind_of), np.zeros(size, kind_of)
    column, value = np.empty(n, np.int32), np.empty(n, kind_of)
    came = gy.reshape(-1)
    all_v, all_i, all_a, all_s = states.v.reshape(-1), states.i.reshape(-1), states.a.reshape(-1), states.s.reshape(-1)
    past_u, past_i, past_a = history.u.reshape(-1), history.i.reshape(-1), history.a.reshape(-1)
    first_v = initial.v.reshape(-1)
    through = kind_of.type(0) if flags & DETACH else kind_of.type(1)
    events, loop, synapse, adapts, of_cells = flags & EVENTS, flags & LOOP, flags & SYNAPSE, flags & ADAPTS, flags & OF_CELLS
    entries, fires, subtract = source.entries, flags & SPIKES, (flags & SUBTRACT) != 0
    step = n_batch * n
    span = max(1, min(n_steps, HELD // ((hi - lo) * n))) if events else 1  # steps whose gradients wait for those of the weights
    whole = (flags & OF_X) != 0  # gradients by x are written where they belong, others where they wait
    stride = n_batch if whole else hi - lo
    held = grads.x.reshape(n_steps * n_batch, n) if whole else np.empty((span * stride, n), kind_of)
    holds, room = held.reshape(-1), most_entries(span, n_steps, lo, hi, n_batch, entries) if events else 0
    begin, row_of, value_of = np.empty(grads.weight.shape[0] + 2, np.int64), np.empty(room, np.int32), np.empty(room, kind_of)
    for t in range(n_steps - 1, -1, -1):
        for b0 in range(lo, hi, rows):
            b1 = min(b0 + rows, hi)
            c0, c1 = b0 * n, b1 * n
            p0, p1 = t * step + c0, t * step + c1
            m = c1 - c0
            h0 = p0 if whole else ((t % span) * stride + b0 - lo) * n
            g, gl, gv = holds[h0:h0 + m], gl_all[:m], all_v[c0:c1]
            if fires:
                sent = sent_all[:m] if loop or adapts else came[p0:p1]
                if loop:
                    _sum(came[p0:p1], all_s[c0:c1], sent)
                elif adapts:
                    sent[:] = came[p0:p1]
                if adapts:
                    levels(v_thresh, beta, past_a[p0:p1], level)
                    _add(all_a[c0:c1], sent)
                u = past_u[p0:p1]
                slopes(kind, alpha, scale, u, level, slope_all)
                if subtract:
                    _back_subtract(u, level, slope_all, through, sent, gv, g, gl)
                else:
                    _back_zero(u, level, slope_all, through, sent, gv, g, gl)
                if adapts:
                    if of_cells:
                        _add_product(all_a[c0:c1], past_a[p0:p1], of_adapt)
                        _add_product(gl, past_a[p0:p1], of_beta)
                    _adapt_back(keep_adapt, beta, gl, all_a[c0:c1])
                if of_cells:
                    _add(gl, of_level)
            else:
                _sum(came[p0:p1], gv, g)
            if of_cells:
                if t and fires:
                    if adapts:
                        levels(v_thresh, beta, past_a[p0 - step:p1 - step], other)
                    _after_reset(subtract, past_u[p0 - step:p1 - step], other, v_all)
                else:
                    v_all[:m] = past_u[p0 - step:p1 - step] if t else first_v[c0:c1]
                _add_product(v_all, g, of_keep)
            _scaled(keep, g, gv)
            if synapse:
                _synapse_back(keep_syn, g, all_i[c0:c1])
                if of_cells:
                    _add_product(past_i[p0:p1], g, of_syn)
            if events:
                _add(g, of_bias)
            for b in range(b0, b1) if loop else range(0):
                row = g[(b - b0) * n:(b - b0 + 1) * n]
                transposed_product(row, cells.weight, all_s[b * n:(b + 1) * n])
                found = list_row(y[t - 1, b] if t else initial.s[b], 0, column, value)
                scattered(0, found, column, value, row, grads.loop)
        if events:
            if t % span == 0:
                held_grads(t, min(t + span, n_steps), lo, hi, n_batch, entries, held[t * n_batch + lo:] if whole else held, stride, begin,
                           row_of, value_of, grads.weight)
            added(of_bias, grads.bias)
        if of_cells:
            added(of_keep, grads.keep)
            if fires:
                added(of_level, grads.v_thresh)
            if synapse:
                added(of_syn, grads.keep_syn)
            if adapts:
                added(of_adapt, grads.keep_adapt)
                added(of_beta, grads.beta)
