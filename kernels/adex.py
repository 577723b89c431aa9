"""Adaptive exponential integrate-and-fire (Brette & Gerstner, J. Neurophysiol. 94, 2005).

    cm dv/dt    = -g_L (v - v_rest) + g_L delta_T exp((v - v_thresh)/delta_T) - g_E (v - e_rev_E) - g_I (v - e_rev_I)
                  - w + i_offset + J,      g_L = cm/tau_m
    tau_w dw/dt = a (v - v_rest) - w
    v >= v_spike:  v <- v_reset,  w <- w + b

Scheme: the classical Runge-Kutta method of order 4 on (v, w), conductances taken from their closed form at each
stage. While the membrane's rate, 1/tau_m (1 + exp((v - v_thresh)/delta_T)) + (g_E + g_I)/cm, times the step
exceeds 1/4, the rest of the step is divided: each part lasts 1/(4 rate).  That resolves the upswing of a spike,
where v would run to infinity in finite time, and keeps strong conductances stable.  After ``_PARTS`` parts what
is left is taken in one.

Most neurons take an undivided step: a sweep over a tile of neurons, which LLVM vectorises, does it for all, and
marks those for which it is void (steep, refractory, or past v_spike); :func:`_advance` does these again, one by one.

States, float64 (rows, n): v mV, w nA, gsyn_exc µS, gsyn_inh µS, [_dexc, _dinh µS,] _r steps of refractoriness left.
Parameters, float64 (20, n_par), in the order of :func:`_advance`.  While refractory, and for what is left of the step
of a spike, v = v_reset and w relaxes exactly.
"""

import numpy as np
from numba import carray

from . import fastmath, inlined, jit
from .step import stepper
from .tiles import TILE, columns

_ROWS = 20
_PARTS = 1000
_COARSEST = 0.25  # rate times step
_STEEPEST = 50.0  # the largest exponent: e**50 carries v past any threshold


@inlined
def _conductance(g, d, rate, s, decay):
    """A conductance s ms later: (g + e s/tau d) exp(-s/tau).

    rate = 1/tau, decay = the exponential; d = 0 where not alpha-shaped.
    """
    return (g + np.e * rate * s * d) * decay


@inlined
def _upswing(v, v_thresh, per_delta):
    """exp((v - v_thresh)/delta_T), bounded."""
    return fastmath.exp(min((v - v_thresh) * per_delta, _STEEPEST))


@inlined
def _slope(v, w, g_e, g_i, current, v_spike, g_l, v_rest, v_thresh, delta, per_cm, a, rate_w, e_e, e_i, per_delta):
    """(dv/dt, dw/dt); beyond v_spike the slope is that at v_spike."""
    v = min(v, v_spike)
    leak = g_l * (v_rest - v) + g_l * delta * _upswing(v, v_thresh, per_delta)
    dv = (leak + g_e * (e_e - v) + g_i * (e_i - v) - w + current) * per_cm
    return dv, (a * (v - v_rest) - w) * rate_w


@inlined
def _runge_kutta(v, w, e0, e1, e2, i0, i1, i2, current, h, v_spike, g_l, v_rest, v_thresh, delta, per_cm, a, rate_w,
                 e_e, e_i, per_delta):
    """(v, w) after h ms; conductances at the start (0), in the middle (1) and at the end (2)."""
    k = (v_spike, g_l, v_rest, v_thresh, delta, per_cm, a, rate_w, e_e, e_i, per_delta)
    v1, w1 = _slope(v, w, e0, i0, current, *k)
    v2, w2 = _slope(v + 0.5 * h * v1, w + 0.5 * h * w1, e1, i1, current, *k)
    v3, w3 = _slope(v + 0.5 * h * v2, w + 0.5 * h * w2, e1, i1, current, *k)
    v4, w4 = _slope(v + h * v3, w + h * w3, e2, i2, current, *k)
    return v + h / 6.0 * (v1 + 2.0 * (v2 + v3) + v4), w + h / 6.0 * (w1 + 2.0 * (w2 + w3) + w4)


@inlined
def _sharpness(v, g_e, g_i, v_spike, v_thresh, per_cm, per_tau, per_delta):
    """The membrane's rate, 1/ms, that decides how a step is divided."""
    return per_tau * (1.0 + _upswing(min(v, v_spike), v_thresh, per_delta)) + (abs(g_e) + abs(g_i)) * per_cm


@jit
def _advance(v, w, ge, gi, xe, xi, r, j, q, dt):
    """(v, w, r, spiked) one step later.

    q: 0 v_spike, 1 v_reset, 2 refractory steps, 3 g_L, 4 v_rest, 5 v_thresh, 6 delta_T, 7 1/cm, 8 a (µS), 9 b
    (nA), 10 1/tau_w, 11 i_offset, 12 e_rev_E, 13 e_rev_I, 14 1/tau_syn_E, 15 1/tau_syn_I, 16 1/tau_m, 17
    exp(-dt/2/tau_syn_E), 18 exp(-dt/2/tau_syn_I), 19 1/delta_T.
    """
    current = q[11] + j
    s = 0.0
    e0, i0 = ge, gi
    parts = 0
    spiked = False
    while r == 0.0 and s < dt:
        rate = _sharpness(v, e0, i0, q[0], q[5], q[7], q[16], q[19])
        parts += 1
        h = dt - s
        if rate * h > _COARSEST and parts < _PARTS:
            h = _COARSEST / rate
            end = s + h
        else:
            end = dt
        mid = s + 0.5 * h
        if h == dt:
            mid_e, mid_i, end_e, end_i = q[17], q[18], q[17] * q[17], q[18] * q[18]
        else:
            mid_e, mid_i = fastmath.exp(-q[14] * mid), fastmath.exp(-q[15] * mid)
            end_e, end_i = fastmath.exp(-q[14] * end), fastmath.exp(-q[15] * end)
        e1, i1 = _conductance(ge, xe, q[14], mid, mid_e), _conductance(gi, xi, q[15], mid, mid_i)
        e2, i2 = _conductance(ge, xe, q[14], end, end_e), _conductance(gi, xi, q[15], end, end_i)
        v, w = _runge_kutta(v, w, e0, e1, e2, i0, i1, i2, current, h,
                            q[0], q[3], q[4], q[5], q[6], q[7], q[8], q[10], q[12], q[13], q[19])
        s, e0, i0 = end, e2, i2
        if v >= q[0]:
            w += q[9]
            spiked = True
            break
    if spiked or r > 0.0:
        level = q[8] * (q[1] - q[4])
        w = level + (w - level) * fastmath.exp((s - dt) * q[10])
        return q[1], w, q[2] if spiked else r - 1.0, spiked
    return v, w, r, False


@jit
def _sweep(v, w, ge, gi, xe, xi, r, j, moved_v, moved_w, void, v_spike, g_l, v_rest, v_thresh, delta, per_cm, a, rate_w,
           i_offset, e_e, e_i, rate_e, rate_i, per_tau, half_e, half_i, per_delta, dt):
    """One undivided step of all neurons into ``moved_*``; void = 1 where it does not hold; arrays of shape (tile,)."""
    for k in range(v.size):
        e1 = _conductance(ge[k], xe[k], rate_e[k], 0.5 * dt, half_e[k])
        i1 = _conductance(gi[k], xi[k], rate_i[k], 0.5 * dt, half_i[k])
        e2 = _conductance(ge[k], xe[k], rate_e[k], dt, half_e[k] * half_e[k])
        i2 = _conductance(gi[k], xi[k], rate_i[k], dt, half_i[k] * half_i[k])
        rate = _sharpness(v[k], ge[k], gi[k], v_spike[k], v_thresh[k], per_cm[k], per_tau[k], per_delta[k])
        nv, nw = _runge_kutta(v[k], w[k], ge[k], e1, e2, gi[k], i1, i2, i_offset[k] + j[k], dt,
                              v_spike[k], g_l[k], v_rest[k], v_thresh[k], delta[k], per_cm[k], a[k], rate_w[k],
                              e_e[k], e_i[k], per_delta[k])
        moved_v[k] = nv
        moved_w[k] = nw
        bad = 1.0 if rate * dt > _COARSEST else 0.0
        bad = bad if r[k] == 0.0 else 1.0
        void[k] = bad if nv < v_spike[k] else 1.0


@jit
def _relax(ge, gi, xe, xi, rate_e, rate_i, half_e, half_i, dt):
    """Conductances a step later."""
    for k in range(ge.size):
        de = half_e[k] * half_e[k]
        di = half_i[k] * half_i[k]
        ge[k] = _conductance(ge[k], xe[k], rate_e[k], dt, de)
        gi[k] = _conductance(gi[k], xi[k], rate_i[k], dt, di)
        xe[k] *= de
        xi[k] *= di


@jit
def _tile(v, w, ge, gi, xe, xi, r, j, p, q, moved, first, m, dt, out, count):
    """Advance the m neurons from ``first`` on; state arrays of shape (m,); returns the new count of spikes."""
    c0 = first if p.shape[1] > 1 else 0
    c1 = c0 + m
    nv, nw, void = moved[0][:m], moved[1][:m], moved[2][:m]
    _sweep(v, w, ge, gi, xe, xi, r, j, nv, nw, void,
           q[0][c0:c1], q[3][c0:c1], q[4][c0:c1], q[5][c0:c1], q[6][c0:c1], q[7][c0:c1], q[8][c0:c1],
           q[10][c0:c1], q[11][c0:c1], q[12][c0:c1], q[13][c0:c1], q[14][c0:c1], q[15][c0:c1], q[16][c0:c1],
           q[17][c0:c1], q[18][c0:c1], q[19][c0:c1], dt)
    for k in range(m):
        if void[k] > 0.0:
            nv[k], nw[k], r[k], spiked = _advance(v[k], w[k], ge[k], gi[k], xe[k], xi[k], r[k], j[k], q[:, c0 + k], dt)
            if spiked:
                out[count] = first + k
                count += 1
    v[:] = nv
    w[:] = nw
    _relax(ge, gi, xe, xi, q[14][c0:c1], q[15][c0:c1], q[17][c0:c1], q[18][c0:c1], dt)
    return count


@stepper
def step_exp(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Exponential conductances; rows v, w, gsyn_exc, gsyn_inh, _r; signature and result as in ``step.py``."""
    s = carray(S, (5, n))
    p = carray(P, (_ROWS, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, hi)
    moved = np.empty((3, min(TILE, max(hi - lo, 1))))
    none = np.zeros((2, min(TILE, max(hi - lo, 1))))
    count = np.int64(0)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        count = _tile(s[0][a:b], s[1][a:b], s[2][a:b], s[3][a:b], none[0][:b - a], none[1][:b - a], s[4][a:b],
                      j[a:b], p, q, moved, a, b - a, dt, ids, count)
    return count


@stepper
def step_alpha(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Alpha-shaped conductances; rows v, w, gsyn_exc, gsyn_inh, _dexc, _dinh, _r."""
    s = carray(S, (7, n))
    p = carray(P, (_ROWS, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, hi)
    moved = np.empty((3, min(TILE, max(hi - lo, 1))))
    count = np.int64(0)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        count = _tile(s[0][a:b], s[1][a:b], s[2][a:b], s[3][a:b], s[4][a:b], s[5][a:b], s[6][a:b],
                      j[a:b], p, q, moved, a, b - a, dt, ids, count)
    return count
