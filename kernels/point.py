"""A membrane with any number of receptors: leaky integrate-and-fire or adaptive exponential integrate-and-fire.

How many receptors a neuron has, and of what kind, is read from the parameters: no combination compiles anything.
A receptor is linear and has one or two states,

    g(s) = A(s) g + B(s) d,    d(s) = D(s) d,        A = exp(-s/tau_decay),  D = exp(-s/tau_rise)
    B(s) = c (exp(-s/tau_decay) - exp(-s/tau_rise)) / (1/tau_rise - 1/tau_decay)

g (µS or nA) acts on the membrane by the current g (push - per v): push is the reversal potential and per = 1, or, for a
current, push = 1 and per = 0.  What arrives is added to g, or to d where there is one; c is such that a d of 1 makes g rise
to 1 (Roth & van Rossum 2009, "Modeling synapses").  Equal time constants are the limit: an alpha function.

``step_lif_curr``  exact propagators, as ``lif_step`` (Rotter & Diesmann 1999); exponential currents only
``step_lif_cond``  the exponential midpoint rule, of order 2, as ``cond``
``step_adex``      Runge-Kutta of order 4 with divided steps, as ``adex``

With the same receptors the schemes are those of these files.  States, float64 (rows, n): v [, w], every receptor's g in
turn, the d of those that have one, _r = steps of refractoriness left.  Parameters, float64 (rows, n_par): the number of
receptors, the membrane's rows, then ``_BLOCK`` rows for each receptor (two for ``step_lif_curr``):

0 whether there is a d, 1 per, 2 push, 3 what a spike of the neuron itself adds to g (``step_lif_cond``), 4 and 5 A and B of
half a step, 6, 7, 8 A, B and D of a step, 9 1/tau_decay, 10 1/tau_rise, 11 c.
"""

import numpy as np
from numba import carray

from . import fastmath, inlined, jit
from .adex import _COARSEST, _PARTS, _upswing
from .cond import _less_one
from .step import stepper
from .tiles import collect, columns

_TILE = 128  # neurons: parameters that all share are written out for so many, at every step
_BLOCK = 12
_CURR, _COND, _ADEX = 8, 7, 15  # rows before those of the receptors


@jit
def _seconds(p, first, row, receptors):
    """The row of each receptor's second state, counted from ``row`` on, or -1; int64 (receptors,)."""
    rows = np.full(receptors, -1)
    for k in range(receptors):
        if p[first + _BLOCK * k, 0] > 0.0:
            rows[k] = row
            row += 1
    return rows


# ------------------------------------------------------------------------------- leaky, currents


@jit
def _leak(v, rest, keep, u):
    """What is left of v - v_rest after a step; arrays of shape (m,), as in all sweeps."""
    for i in range(v.size):
        u[i] = (v[i] - rest[i]) * keep[i]


@jit
def _add_current(current, keep, to_v, u):
    """What an exponential current adds to v in a step, and the current after it."""
    for i in range(u.size):
        u[i] += current[i] * to_v[i]
        current[i] *= keep[i]


@jit
def _settle(v, r, u, j, rest, per_current, offset):
    """v moves, or stays while r > 0."""
    for i in range(v.size):
        moved = rest[i] + (u[i] + (offset[i] + j[i] * per_current[i]))
        v[i] = v[i] if r[i] > 0.0 else moved
        r[i] = _less_one(r[i])


@stepper
def step_lif_curr(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Leaky, exponential currents.

    Rows: receptors, v_thresh, v_reset, refractory steps, v_rest, the propagators v->v and nA->v of a constant
    current, i_offset's mV; for each receptor the propagators isyn->isyn and isyn->v.
    """
    receptors = np.int64(carray(P, (1,))[0])
    s = carray(S, (2 + receptors, n))
    p = carray(P, (_CURR + 2 * receptors, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, min(hi, lo + _TILE))
    u = np.empty(_TILE)
    r = s[1 + receptors]
    count = np.int64(0)
    for a in range(lo, hi, _TILE):
        b = min(a + _TILE, hi)
        m = b - a
        c = a if n_par > 1 else 0
        d = c + m
        _leak(s[0][a:b], q[4][c:d], q[5][c:d], u[:m])
        for k in range(receptors):
            _add_current(s[1 + k][a:b], q[_CURR + 2 * k][c:d], q[_CURR + 2 * k + 1][c:d], u[:m])
        _settle(s[0][a:b], r[a:b], u[:m], j[a:b], q[4][c:d], q[6][c:d], q[7][c:d])
        count = collect(s[0][a:b], r[a:b], q[1][c:d], q[2][c:d], q[3][c:d], a, ids, count)
    return count


# --------------------------------------------------------------------------- leaky, conductances


@jit
def _receive(g, d, total, pushed, per, push, half_g, half_d, whole_g, whole_d, keep):
    """Add what a receptor does in the middle of the step, and advance it by the step."""
    for i in range(g.size):
        middle = half_g[i] * g[i] + half_d[i] * d[i]
        total[i] += per[i] * middle
        pushed[i] += push[i] * middle
        g[i] = whole_g[i] * g[i] + whole_d[i] * d[i]
        d[i] *= keep[i]


@jit
def _midpoint(v, r, total, pushed, j, rate, drive, per_cm, v_reset, minus_dt):
    """v with the conductances held at their value in the middle of the step; v_reset while r > 0."""
    for i in range(v.size):
        a = rate[i] + total[i] * per_cm[i]
        level = (drive[i] + (pushed[i] + j[i]) * per_cm[i]) / a
        moved = level + (v[i] - level) * fastmath.exp(a * minus_dt)
        v[i] = v_reset[i] if r[i] > 0.0 else moved
        r[i] = _less_one(r[i])


@stepper
def step_lif_cond(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Leaky, conductances.

    Rows: receptors, 1/tau_m, v_rest/tau_m + i_offset/cm, 1/cm, v_thresh, v_reset, refractory steps; the receptors'.
    """
    receptors = np.int64(carray(P, (1,))[0])
    p = carray(P, (_COND + _BLOCK * receptors, n_par))
    second = _seconds(p, _COND, 1 + receptors, receptors)
    last = 1 + receptors + np.int64((second >= 0).sum())
    s = carray(S, (last + 1, n))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, min(hi, lo + _TILE))
    work = np.zeros((3, _TILE))
    total, pushed, none = work[0], work[1], work[2]
    count = np.int64(0)
    for a in range(lo, hi, _TILE):
        b = min(a + _TILE, hi)
        m = b - a
        c = a if n_par > 1 else 0
        e = c + m
        total[:m] = 0.0
        pushed[:m] = 0.0
        for k in range(receptors):
            f = _COND + _BLOCK * k
            d = s[second[k]][a:b] if second[k] >= 0 else none[:m]
            _receive(s[1 + k][a:b], d, total[:m], pushed[:m], q[f + 1][c:e], q[f + 2][c:e], q[f + 4][c:e],
                     q[f + 5][c:e], q[f + 6][c:e], q[f + 7][c:e], q[f + 8][c:e])
        _midpoint(s[0][a:b], s[last][a:b], total[:m], pushed[:m], j[a:b], q[1][c:e], q[2][c:e], q[3][c:e],
                  q[5][c:e], -dt)
        before = count
        count = collect(s[0][a:b], s[last][a:b], q[4][c:e], q[5][c:e], q[6][c:e], a, ids, count)
        for x in range(before, count):
            i = np.int64(ids[x])
            for k in range(receptors):
                s[1 + k, i] += q[_COND + _BLOCK * k + 3, i - a + c]
    return count


# ----------------------------------------------------------------------------- adaptive exponential


@inlined
def _slope(v, w, total, pushed, v_spike, g_l, v_rest, v_thresh, delta, per_cm, a, rate_w, per_delta):
    """(dv/dt, dw/dt); beyond v_spike the slope is that at v_spike."""
    v = min(v, v_spike)
    leak = g_l * (v_rest - v) + g_l * delta * _upswing(v, v_thresh, per_delta)
    return (leak + (pushed - total * v) - w) * per_cm, (a * (v - v_rest) - w) * rate_w


@inlined
def _runge_kutta(v, w, t0, t1, t2, p0, p1, p2, h, v_spike, g_l, v_rest, v_thresh, delta, per_cm, a, rate_w, per_delta):
    """(v, w) after h ms; conductance and push at the start (0), in the middle (1) and at the end (2)."""
    k = (v_spike, g_l, v_rest, v_thresh, delta, per_cm, a, rate_w, per_delta)
    v1, w1 = _slope(v, w, t0, p0, *k)
    v2, w2 = _slope(v + 0.5 * h * v1, w + 0.5 * h * w1, t1, p1, *k)
    v3, w3 = _slope(v + 0.5 * h * v2, w + 0.5 * h * w2, t1, p1, *k)
    v4, w4 = _slope(v + h * v3, w + h * w3, t2, p2, *k)
    return v + h / 6.0 * (v1 + 2.0 * (v2 + v3) + v4), w + h / 6.0 * (w1 + 2.0 * (w2 + w3) + w4)


@inlined
def _sharpness(v, total, v_spike, v_thresh, per_cm, per_tau, per_delta):
    """The membrane's rate, 1/ms, that decides how a step is divided."""
    return per_tau * (1.0 + _upswing(min(v, v_spike), v_thresh, per_delta)) + abs(total) * per_cm


@jit
def _shape(x):
    """(1 - exp(-x))/x for x >= 0."""
    if x > 0.1:
        return (1.0 - fastmath.exp(-x)) / x
    total = 1.0
    for k in range(10, 1, -1):  # the series sum of (-x)**m / (m + 1)!, by Horner's rule
        total = 1.0 - x / k * total
    return total


@jit
def _inflow(s, i, second, q, c, at):
    """(conductance, push) of neuron ``i``, column ``c``, ``at`` ms after the start of the step."""
    total, pushed = 0.0, 0.0
    for k in range(second.size):
        f = _ADEX + _BLOCK * k
        g = s[2 + k, i]
        if second[k] >= 0:
            g += s[second[k], i] * q[f + 11, c] * at * _shape((q[f + 10, c] - q[f + 9, c]) * at)
        g *= fastmath.exp(-at * q[f + 9, c])
        total += q[f + 1, c] * g
        pushed += q[f + 2, c] * g
    return total, pushed


@jit
def _advance(s, i, r, second, j, q, c, dt):
    """(v, w, r, spiked) of neuron ``i`` one step later, divided as need be; rows of q as in :func:`step_adex`."""
    v, w = s[0, i], s[1, i]
    current = q[12, c] + j
    at = 0.0
    total, pushed = _inflow(s, i, second, q, c, 0.0)
    parts = 0
    spiked = False
    while r == 0.0 and at < dt:
        rate = _sharpness(v, total, q[1, c], q[6, c], q[8, c], q[13, c], q[14, c])
        parts += 1
        h = dt - at
        end = dt
        if rate * h > _COARSEST and parts < _PARTS:
            h = _COARSEST / rate
            end = at + h
        t1, p1 = _inflow(s, i, second, q, c, at + 0.5 * h)
        t2, p2 = _inflow(s, i, second, q, c, end)
        v, w = _runge_kutta(v, w, total, t1, t2, pushed + current, p1 + current, p2 + current, h, q[1, c], q[4, c],
                            q[5, c], q[6, c], q[7, c], q[8, c], q[9, c], q[11, c], q[14, c])
        at, total, pushed = end, t2, p2
        if v >= q[1, c]:
            w += q[10, c]
            spiked = True
            break
    if spiked or r > 0.0:
        level = q[9, c] * (q[2, c] - q[5, c])
        w = level + (w - level) * fastmath.exp((at - dt) * q[11, c])
        return q[2, c], w, q[3, c] if spiked else r - 1.0, spiked
    return v, w, r, False


@jit
def _gather(g, d, t0, t1, t2, p0, p1, p2, per, push, half_g, half_d, whole_g, whole_d):
    """Add what a receptor does at the start, in the middle and at the end of the step."""
    for i in range(g.size):
        middle = half_g[i] * g[i] + half_d[i] * d[i]
        end = whole_g[i] * g[i] + whole_d[i] * d[i]
        t0[i] += per[i] * g[i]
        t1[i] += per[i] * middle
        t2[i] += per[i] * end
        p0[i] += push[i] * g[i]
        p1[i] += push[i] * middle
        p2[i] += push[i] * end


@jit
def _relax(g, d, whole_g, whole_d, keep):
    """A receptor a step later."""
    for i in range(g.size):
        g[i] = whole_g[i] * g[i] + whole_d[i] * d[i]
        d[i] *= keep[i]


@jit
def _sweep(v, w, r, j, t0, t1, t2, p0, p1, p2, moved_v, moved_w, void, v_spike, g_l, v_rest, v_thresh, delta, per_cm, a,
           rate_w, i_offset, per_tau, per_delta, dt):
    """One undivided step of all neurons into ``moved_*``; void = 1 where it does not hold."""
    for i in range(v.size):
        current = i_offset[i] + j[i]
        rate = _sharpness(v[i], t0[i], v_spike[i], v_thresh[i], per_cm[i], per_tau[i], per_delta[i])
        nv, nw = _runge_kutta(v[i], w[i], t0[i], t1[i], t2[i], p0[i] + current, p1[i] + current, p2[i] + current, dt,
                              v_spike[i], g_l[i], v_rest[i], v_thresh[i], delta[i], per_cm[i], a[i], rate_w[i],
                              per_delta[i])
        moved_v[i] = nv
        moved_w[i] = nw
        bad = 1.0 if rate * dt > _COARSEST else 0.0
        bad = bad if r[i] == 0.0 else 1.0
        void[i] = bad if nv < v_spike[i] else 1.0


@jit
def _tile(s, second, last, j, q, work, a, b, c, dt, ids, count):
    """Advance neurons a..b-1, whose parameters begin at column ``c``; returns the new count of spikes."""
    m = b - a
    e = c + m
    v, w, r = s[0][a:b], s[1][a:b], s[last][a:b]
    nv, nw, void, none = work[6][:m], work[7][:m], work[8][:m], work[9][:m]
    work[:6, :m] = 0.0
    for k in range(second.size):
        f = _ADEX + _BLOCK * k
        d = s[second[k]][a:b] if second[k] >= 0 else none
        _gather(s[2 + k][a:b], d, work[0][:m], work[1][:m], work[2][:m], work[3][:m], work[4][:m], work[5][:m],
                q[f + 1][c:e], q[f + 2][c:e], q[f + 4][c:e], q[f + 5][c:e], q[f + 6][c:e], q[f + 7][c:e])
    _sweep(v, w, r, j[a:b], work[0][:m], work[1][:m], work[2][:m], work[3][:m], work[4][:m], work[5][:m], nv, nw, void,
           q[1][c:e], q[4][c:e], q[5][c:e], q[6][c:e], q[7][c:e], q[8][c:e], q[9][c:e], q[11][c:e], q[12][c:e],
           q[13][c:e], q[14][c:e], dt)
    for i in range(m):
        if void[i] > 0.0:
            nv[i], nw[i], r[i], spiked = _advance(s, a + i, r[i], second, j[a + i], q, c + i, dt)
            if spiked:
                ids[count] = a + i
                count += 1
    v[:] = nv
    w[:] = nw
    for k in range(second.size):
        f = _ADEX + _BLOCK * k
        d = s[second[k]][a:b] if second[k] >= 0 else none
        _relax(s[2 + k][a:b], d, q[f + 6][c:e], q[f + 7][c:e], q[f + 8][c:e])
    return count


@stepper
def step_adex(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Adaptive exponential, conductances or currents.

    Rows: 0 receptors, 1 v_spike, 2 v_reset, 3 refractory steps, 4 g_L, 5 v_rest, 6 v_thresh, 7 delta_T, 8 1/cm, 9 a
    (µS), 10 b, 11 1/tau_w, 12 i_offset, 13 1/tau_m, 14 1/delta_T; the receptors'.
    """
    receptors = np.int64(carray(P, (1,))[0])
    p = carray(P, (_ADEX + _BLOCK * receptors, n_par))
    second = _seconds(p, _ADEX, 2 + receptors, receptors)
    last = 2 + receptors + np.int64((second >= 0).sum())
    s = carray(S, (last + 1, n))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, min(hi, lo + _TILE))
    work = np.zeros((10, _TILE))
    count = np.int64(0)
    for a in range(lo, hi, _TILE):
        b = min(a + _TILE, hi)
        count = _tile(s, second, last, j, q, work, a, b, a if n_par > 1 else 0, dt, ids, count)
    return count
