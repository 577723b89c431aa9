"""Leaky neurons over whole sequences, forward and backward in time.

One step, for each cell (potentials in any one unit)::

    x <- x + W s(t - 1)                         LOOP: weights from the cells to themselves
    i <- keep_syn i + x,    else i = x          SYNAPSE
    u = keep v + i
    s = 1 where u >= level, else 0,             level = v_thresh, or v_thresh + beta a with ADAPTS
    v <- u - s u,    or u - s level             SUBTRACT
    a <- keep_adapt a + s                       ADAPTS

and y = s; without SPIKES v = y = u.  Going back, slope(u - level) stands for ds/du (surrogate gradients: Neftci, Mostafa &
Zenke, IEEE Signal Processing Magazine 36, 2019); with DETACH the spike in the third last line is a constant.

Arrays are float32 or float64, all alike: (T, B, n) over steps, samples and cells; (B, n) for states; (n,) for parameters.  Those
that a kind of cells does not need have a size of 0.  Calls for samples lo .. hi - 1 of a batch are independent.
"""

from typing import NamedTuple

import numpy as np

from . import jit
from .bptt_events import Entries, added, gathered, list_row, scattered, transposed_product
from .fastmath import exp

EVENTS, LOOP, SPIKES, SYNAPSE, ADAPTS, SUBTRACT, DETACH, KEEP = 1, 2, 4, 8, 16, 32, 64, 128
OF_X, OF_CELLS = 256, 512  # which gradients are asked for: of the input at each step; of keep, v_thresh, ...
LIST = 1024  # list the spikes that are sent

PARAMETERS = ("keep", "v_thresh", "keep_syn", "keep_adapt", "beta")


class Input(NamedTuple):
    """What arrives: ``x`` (T, B, n); with EVENTS rather entries of rows t B + b times ``weight`` (m, n) plus ``bias``."""

    x: np.ndarray
    entries: Entries
    weight: np.ndarray
    bias: np.ndarray


class Cells(NamedTuple):
    """Parameters (n,), and with LOOP ``weight`` (n, n) from cell to cell, (outputs, inputs), and its transpose."""

    keep: np.ndarray
    v_thresh: np.ndarray
    keep_syn: np.ndarray
    keep_adapt: np.ndarray
    beta: np.ndarray
    weight: np.ndarray
    weight_t: np.ndarray


class States(NamedTuple):
    """v, i, a, s (B, n): on entry those before the first step, on return those after the last; or gradients by them."""

    v: np.ndarray
    i: np.ndarray
    a: np.ndarray
    s: np.ndarray


class History(NamedTuple):
    """What the way back needs, (T, B, n): u; with SYNAPSE and OF_CELLS i, with ADAPTS a, both before the step."""

    u: np.ndarray
    i: np.ndarray
    a: np.ndarray


class Grads(NamedTuple):
    """Gradients, added to what is there: ``x`` (T, B, n) is written; the others float64 (n,), weights (m, n), (n, n) as x.

    ``weight`` and ``loop`` are transposed: (inputs, outputs).
    """

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    loop: np.ndarray
    keep: np.ndarray
    v_thresh: np.ndarray
    keep_syn: np.ndarray
    keep_adapt: np.ndarray
    beta: np.ndarray


# ----------------------------------------------------------------------------------- forward


@jit
def _synapse(keep_syn, i, x):
    """x (n,) becomes the synaptic current after this step."""
    for k in range(x.size):
        now = keep_syn[k] * i[k] + x[k]
        i[k] = now
        x[k] = now


@jit
def _integrate(keep, x, v, y):
    """A leaky integrator's step."""
    for k in range(x.size):
        now = keep[k] * v[k] + x[k]
        v[k] = now
        y[k] = now


@jit
def _fire_zero(keep, level, x, v, u, y):
    """u, spikes, and v set to 0 by them."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for k in range(x.size):
        now = keep[k] * v[k] + x[k]
        spike = now >= level[k]
        u[k] = now
        v[k] = zero if spike else now
        y[k] = one if spike else zero


@jit
def _fire_subtract(keep, level, x, v, u, y):
    """u, spikes, and the threshold taken off v by them."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for k in range(x.size):
        now = keep[k] * v[k] + x[k]
        spike = now >= level[k]
        u[k] = now
        v[k] = now - level[k] if spike else now
        y[k] = one if spike else zero


@jit
def _levels(v_thresh, beta, a, level):
    for k in range(level.size):
        level[k] = v_thresh[k] + beta[k] * a[k]


@jit
def _adapt(keep_adapt, y, a):
    for k in range(a.size):
        a[k] = keep_adapt[k] * a[k] + y[k]


@jit
def forward(lo, hi, flags, source, cells, states, history, y, at, end, sent):
    """All steps of samples lo .. hi - 1.

    Parameters
    ----------
    flags : int
        EVENTS, LOOP, SPIKES, SYNAPSE, ADAPTS, SUBTRACT, KEEP (write the history), LIST (write ``sent``).
    source : Input
    cells : Cells
    states : States
        Written.
    history : History
        Written, with KEEP.
    y : (T, B, n)
        Written.
    at, end : int
    sent : Entries
        With LIST: those of y, from place ``at`` on.

    Returns
    -------
    int
        The place after the entries; -1 where places up to ``end`` did not do.
    """
    n_steps, n_batch, n = y.shape
    drive, level, spare = np.empty(n, y.dtype), np.empty(n, y.dtype), np.empty(n, y.dtype)
    index, ones = np.empty(n, np.int32), np.empty(n, y.dtype)
    level[:] = cells.v_thresh[:n] if flags & SPIKES else cells.keep
    listing = (flags & LIST) != 0
    events, loop, synapse, adapts = flags & EVENTS, flags & LOOP, flags & SYNAPSE, flags & ADAPTS
    keeps = flags & KEEP
    for t in range(n_steps):
        for b in range(lo, hi):
            x = drive if events or loop or synapse else source.x[t, b]
            if events:
                r = t * n_batch + b
                x[:] = source.bias
                gathered(source.entries.first[r], source.entries.last[r], source.entries.column, source.entries.value, source.weight, x)
            elif loop or synapse:
                x[:] = source.x[t, b]
            if loop:
                gathered(0, list_row(states.s[b], 0, index, ones), index, ones, cells.weight_t, x)
            if synapse:
                if keeps and flags & OF_CELLS:
                    history.i[t, b] = states.i[b]
                _synapse(cells.keep_syn, states.i[b], x)
            if not flags & SPIKES:
                _integrate(cells.keep, x, states.v[b], y[t, b])
                continue
            if adapts:
                if keeps:
                    history.a[t, b] = states.a[b]
                _levels(cells.v_thresh, cells.beta, states.a[b], level)
            u = history.u[t, b] if keeps else spare
            if flags & SUBTRACT:
                _fire_subtract(cells.keep, level, x, states.v[b], u, y[t, b])
            else:
                _fire_zero(cells.keep, level, x, states.v[b], u, y[t, b])
            if adapts:
                _adapt(cells.keep_adapt, y[t, b], states.a[b])
            if loop:
                states.s[b] = y[t, b]
            if listing:
                listing = at + n <= end
            if listing:
                sent.first[t * n_batch + b] = at
                at = list_row(y[t, b], at, sent.column, sent.value)
                sent.last[t * n_batch + b] = at
    return at if listing else -1


# ----------------------------------------------------------------------------------- backward


@jit
def slopes(kind, alpha, scale, u, level, out):
    """The surrogate's slope at u - level, (n,); ``kind`` numbers those of ``neurosim.learn.surrogate``, in its order."""
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
    for k in range(out.size):
        out[k] = one[k] + two[k]


@jit
def _add(one, out):
    for k in range(out.size):
        out[k] += one[k]


@jit
def _scaled(factor, one, out):
    for k in range(out.size):
        out[k] = factor[k] * one[k]


@jit
def _add_product(one, two, out):
    for k in range(out.size):
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
def _before(flags, t, b, history, cells, initial, level, out):
    """v before step t."""
    if t == 0:
        out[:] = initial[b]
        return
    u = history.u[t - 1, b]
    if not flags & SPIKES:
        out[:] = u
        return
    if flags & ADAPTS:
        _levels(cells.v_thresh, cells.beta, history.a[t - 1, b], level)
    zero = u.dtype.type(0)
    for k in range(u.size):
        after = u[k] - level[k] if flags & SUBTRACT else zero
        out[k] = after if u[k] >= level[k] else u[k]


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
    g, gl, slope, sent = np.empty(n, gy.dtype), np.empty(n, gy.dtype), np.empty(n, gy.dtype), np.empty(n, gy.dtype)
    level, other, v = np.empty(n, gy.dtype), np.empty(n, gy.dtype), np.empty(n, gy.dtype)
    of_bias, of_keep, of_level = np.zeros(n, gy.dtype), np.zeros(n, gy.dtype), np.zeros(n, gy.dtype)
    of_syn, of_adapt, of_beta = np.zeros(n, gy.dtype), np.zeros(n, gy.dtype), np.zeros(n, gy.dtype)
    index, ones = np.empty(n, np.int32), np.empty(n, gy.dtype)
    level[:] = cells.v_thresh[:n] if flags & SPIKES else cells.keep
    other[:] = level
    through = gy.dtype.type(0) if flags & DETACH else gy.dtype.type(1)
    events, loop, adapts, of_cells = flags & EVENTS, flags & LOOP, flags & ADAPTS, flags & OF_CELLS
    for t in range(n_steps - 1, -1, -1):
        for b in range(lo, hi):
            gv = states.v[b]
            if flags & SPIKES:
                sent_g = sent if loop or adapts else gy[t, b]
                if loop:
                    _sum(gy[t, b], states.s[b], sent_g)
                elif adapts:
                    sent_g[:] = gy[t, b]
                if adapts:
                    _levels(cells.v_thresh, cells.beta, history.a[t, b], level)
                    _add(states.a[b], sent_g)
                u = history.u[t, b]
                slopes(kind, alpha, scale, u, level, slope)
                if flags & SUBTRACT:
                    _back_subtract(u, level, slope, through, sent_g, gv, g, gl)
                else:
                    _back_zero(u, level, slope, through, sent_g, gv, g, gl)
                if adapts and of_cells:
                    _add_product(states.a[b], history.a[t, b], of_adapt)
                    _add_product(gl, history.a[t, b], of_beta)
                if adapts:
                    _adapt_back(cells.keep_adapt, cells.beta, gl, states.a[b])
                if of_cells:
                    _add(gl, of_level)
            else:
                _sum(gy[t, b], gv, g)
            if of_cells:
                _before(flags, t, b, history, cells, initial.v, other, v)
                _add_product(g, v, of_keep)
            _scaled(cells.keep, g, gv)
            if flags & SYNAPSE:
                _synapse_back(cells.keep_syn, g, states.i[b])
                if of_cells:
                    _add_product(g, history.i[t, b], of_syn)
            if flags & OF_X:
                grads.x[t, b] = g
            if events:
                r = t * n_batch + b
                scattered(source.entries.first[r], source.entries.last[r], source.entries.column, source.entries.value, g, grads.weight)
                _add(g, of_bias)
            if loop:
                transposed_product(g, cells.weight, states.s[b])
                found = list_row(y[t - 1, b] if t else initial.s[b], 0, index, ones)
                scattered(0, found, index, ones, g, grads.loop)
        if events:
            added(of_bias, grads.bias)
        if of_cells:
            added(of_keep, grads.keep)
            if flags & SPIKES:
                added(of_level, grads.v_thresh)
            if flags & SYNAPSE:
                added(of_syn, grads.keep_syn)
            if adapts:
                added(of_adapt, grads.keep_adapt)
                added(of_beta, grads.beta)
