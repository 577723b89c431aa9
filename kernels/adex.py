"""Adaptive exponential integrate-and-fire (Brette & Gerstner, J. Neurophysiol. 94, 2005, eqs. 1-3).

    cm dv/dt    = -g_L (v - v_rest) + g_L delta_T exp((v - v_thresh)/delta_T) - g_E (v - e_rev_E) - g_I (v - e_rev_I)
                  - w + i_offset + J,      g_L = cm/tau_m
    tau_w dw/dt = a (v - v_rest) - w
    v >= v_spike:  v <- v_reset,  w <- w + b

Scheme: the classical Runge-Kutta method of order 4 on (v, w), conductances taken from their closed form at each stage.
While the membrane's rate, 1/tau_m (1 + exp((v - v_thresh)/delta_T)) + (g_E + g_I)/cm, times the step exceeds 1/4, the rest
of the step is divided: each part lasts 1/(4 rate).  That resolves the upswing of a spike, where v would run to
infinity in finite time, and keeps strong conductances stable.  After ``_PARTS`` parts what is left is taken in one.

States, float64 (rows, n): v mV, w nA, gsyn_exc µS, gsyn_inh µS, [_dexc, _dinh µS,] _r steps of refractoriness left.
Parameters, float64 (19, n_par), in the order of :func:`_advance`.  While refractory, and for what is left of the step
of a spike, v = v_reset and w relaxes exactly.
"""

import numpy as np
from numba import carray

from . import fastmath, jit
from .step import stepper

_ROWS = 19
_PARTS = 1000
_STEEPEST = 50.0  # the largest exponent: e**50 carries v past any threshold


@jit
def _conductance(g, d, rate, s, decay):
    """A conductance s ms later: (g + e s/tau d) exp(-s/tau); rate = 1/tau, decay the exponential; d = 0 if not alpha-shaped."""
    return (g + np.e * rate * s * d) * decay


@jit
def _upswing(v, v_thresh, per_delta):
    """exp((v - v_thresh)/delta_T), bounded."""
    return fastmath.exp(min((v - v_thresh) * per_delta, _STEEPEST))


@jit
def _slope(v, w, g_e, g_i, current, q):
    """(dv/dt, dw/dt); beyond v_spike the slope is that at v_spike."""
    v = min(v, q[0])
    leak = q[3] * (q[4] - v) + q[3] * q[6] * _upswing(v, q[5], 1.0 / q[6])
    dv = (leak + g_e * (q[12] - v) + g_i * (q[13] - v) - w + current) * q[7]
    return dv, (q[8] * (v - q[4]) - w) * q[10]


@jit
def _advance(v, w, ge, gi, xe, xi, r, j, q, dt):
    """(v, w, r, spiked) one step later.

    q: 0 v_spike, 1 v_reset, 2 refractory steps, 3 g_L, 4 v_rest, 5 v_thresh, 6 delta_T, 7 1/cm, 8 a (µS), 9 b (nA), 10 1/tau_w,
    11 i_offset, 12 e_rev_E, 13 e_rev_I, 14 1/tau_syn_E, 15 1/tau_syn_I, 16 1/tau_m,
    17 exp(-dt/2/tau_syn_E), 18 exp(-dt/2/tau_syn_I).
    """
    current = q[11] + j
    s = 0.0
    e0, i0 = ge, gi
    parts = 0
    spiked = False
    while r == 0.0 and s < dt:
        rate = q[16] * (1.0 + _upswing(min(v, q[0]), q[5], 1.0 / q[6])) + (abs(e0) + abs(i0)) * q[7]
        parts += 1
        h = dt - s
        if rate * h > 0.25 and parts < _PARTS:
            h = 0.25 / rate
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
        v1, w1 = _slope(v, w, e0, i0, current, q)
        v2, w2 = _slope(v + 0.5 * h * v1, w + 0.5 * h * w1, e1, i1, current, q)
        v3, w3 = _slope(v + 0.5 * h * v2, w + 0.5 * h * w2, e1, i1, current, q)
        v4, w4 = _slope(v + h * v3, w + h * w3, e2, i2, current, q)
        v += h / 6.0 * (v1 + 2.0 * (v2 + v3) + v4)
        w += h / 6.0 * (w1 + 2.0 * (w2 + w3) + w4)
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


@stepper
def step_exp(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Exponential conductances; rows v, w, gsyn_exc, gsyn_inh, _r."""
    s = carray(S, (5, n))
    p = carray(P, (_ROWS, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        q = p[:, i if n_par > 1 else 0]
        s[0, i], s[1, i], s[4, i], spiked = _advance(
            s[0, i], s[1, i], s[2, i], s[3, i], 0.0, 0.0, s[4, i], j[i], q, dt)
        s[2, i] *= q[17] * q[17]
        s[3, i] *= q[18] * q[18]
        if spiked:
            ids[count] = i
            count += 1
    return count


@stepper
def step_alpha(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Alpha-shaped conductances; rows v, w, gsyn_exc, gsyn_inh, _dexc, _dinh, _r."""
    s = carray(S, (7, n))
    p = carray(P, (_ROWS, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        q = p[:, i if n_par > 1 else 0]
        s[0, i], s[1, i], s[6, i], spiked = _advance(
            s[0, i], s[1, i], s[2, i], s[3, i], s[4, i], s[5, i], s[6, i], j[i], q, dt)
        s[2, i] = _conductance(s[2, i], s[4, i], q[14], dt, q[17] * q[17])
        s[3, i] = _conductance(s[3, i], s[5, i], q[15], dt, q[18] * q[18])
        s[4, i] *= q[17] * q[17]
        s[5, i] *= q[18] * q[18]
        if spiked:
            ids[count] = i
            count += 1
    return count
