"""Leaky integrate-and-fire with synaptic conductances, exponential (``step_exp``) or alpha-shaped (``step_alpha``).

    cm dv/dt = -cm/tau_m (v - v_rest) - g_E (v - e_rev_E) - g_I (v - e_rev_I) + i_offset + J

Scheme: the exponential midpoint rule (Hochbruck & Ostermann, Acta Numerica 19, 2010), of order 2.  Conductances follow
their closed form; over a step they are held at their value in its middle, with which the equation for v is
linear and is solved exactly::

    a = 1/tau_m + (g_E + g_I)/cm                                               1/ms
    b = v_rest/tau_m + (g_E e_rev_E + g_I e_rev_I + i_offset + J)/cm           mV/ms
    v <- b/a + (v - b/a) exp(-a dt)

States, float64 (rows, n): v mV, gsyn_exc µS, gsyn_inh µS, [_dexc, _dinh µS,] _r = steps of refractoriness left.
Arriving weights (µS, the peak of the conductance) are added, after the step, to gsyn_* or, for alpha, to _d*:
g(s) = (g + e s/tau d) exp(-s/tau), d(s) = d exp(-s/tau).
Parameters, float64 (rows, n_par), in the order in which ``step_exp`` and ``step_alpha`` read them.
Refractory neurons stay at v_reset while their conductances go on.

The sweeps have no branches, so LLVM vectorises them.  They go over a tile of neurons, small enough for the cache
and large enough that the test for overlapping arrays before each loop costs nothing; then the tile is searched
for spikes.
"""

import numpy as np
from numba import carray

from . import fastmath, jit
from .step import stepper

_TILE = 2048
_BLOCK = 64


@jit
def _membrane(v, g_e, g_i, j, r, rate, drive, per_cm, e_e, e_i, v_reset, minus_dt):
    """v one step later with the conductances held at ``g_e``, ``g_i``; v_reset while r > 0."""
    a = rate + (g_e + g_i) * per_cm
    level = (drive + (g_e * e_e + g_i * e_i + j) * per_cm) / a
    moved = level + (v - level) * fastmath.exp(a * minus_dt)
    return v_reset if r > 0.0 else moved


@jit
def _less_one(r):
    """One refractory step less, not below zero."""
    left = r - 1.0
    return left if left > 0.0 else 0.0  # noqa: FURB136 (a select, which LLVM vectorises)


@jit
def _alpha(g, d, decay, rise):
    """An alpha-shaped conductance and its second variable, half a step later."""
    return (g + rise * d) * decay, d * decay


@jit
def _sweep_exp(v, ge, gi, r, j, q, minus_dt):
    """Advance equal neurons; arrays of shape (m,), q of shape (12,)."""
    rate, drive, per_cm, e_e, e_i, v_reset = q[0], q[1], q[2], q[3], q[4], q[6]
    he, hi, de, di = q[8], q[9], q[10], q[11]
    for i in range(v.size):
        v[i] = _membrane(v[i], ge[i] * he, gi[i] * hi, j[i], r[i], rate, drive, per_cm, e_e, e_i, v_reset, minus_dt)
        ge[i] *= de
        gi[i] *= di
        r[i] = _less_one(r[i])


@jit
def _sweep_exp_each(v, ge, gi, r, j, rate, drive, per_cm, e_e, e_i, v_reset, he, hi, de, di, minus_dt):
    """As :func:`_sweep_exp`, every argument an array of shape (m,): parameters differ between neurons."""
    for i in range(v.size):
        v[i] = _membrane(v[i], ge[i] * he[i], gi[i] * hi[i], j[i], r[i],
                         rate[i], drive[i], per_cm[i], e_e[i], e_i[i], v_reset[i], minus_dt)
        ge[i] *= de[i]
        gi[i] *= di[i]
        r[i] = _less_one(r[i])


@jit
def _sweep_alpha(v, ge, gi, xe, xi, r, j, q, minus_dt):
    """Advance equal neurons; arrays of shape (m,), q of shape (12,)."""
    rate, drive, per_cm, e_e, e_i, v_reset = q[0], q[1], q[2], q[3], q[4], q[6]
    he, hi, ke, ki = q[8], q[9], q[10], q[11]
    for i in range(v.size):
        g_e, x_e = _alpha(ge[i], xe[i], he, ke)
        g_i, x_i = _alpha(gi[i], xi[i], hi, ki)
        v[i] = _membrane(v[i], g_e, g_i, j[i], r[i], rate, drive, per_cm, e_e, e_i, v_reset, minus_dt)
        ge[i], xe[i] = _alpha(g_e, x_e, he, ke)
        gi[i], xi[i] = _alpha(g_i, x_i, hi, ki)
        r[i] = _less_one(r[i])


@jit
def _sweep_alpha_each(v, ge, gi, xe, xi, r, j, rate, drive, per_cm, e_e, e_i, v_reset, he, hi, ke, ki, minus_dt):
    """As :func:`_sweep_alpha`, every argument an array of shape (m,)."""
    for i in range(v.size):
        g_e, x_e = _alpha(ge[i], xe[i], he[i], ke[i])
        g_i, x_i = _alpha(gi[i], xi[i], hi[i], ki[i])
        v[i] = _membrane(v[i], g_e, g_i, j[i], r[i], rate[i], drive[i], per_cm[i], e_e[i], e_i[i], v_reset[i], minus_dt)
        ge[i], xe[i] = _alpha(g_e, x_e, he[i], ke[i])
        gi[i], xi[i] = _alpha(g_i, x_i, hi[i], ki[i])
        r[i] = _less_one(r[i])


@jit
def _collect(v, r, lo, hi, p, out, count):
    """Reset the neurons lo..hi-1 that reached v_thresh and append their ids; returns the new count.

    Row 5 of p is v_thresh, 6 v_reset, 7 the refractory steps.
    """
    each = p.shape[1] > 1
    for first in range(lo, hi, _BLOCK):
        last = min(first + _BLOCK, hi)
        crossed = np.int64(0)
        if each:
            for i in range(first, last):
                crossed += np.int64(1) if v[i] >= p[5, i] else np.int64(0)
        else:
            v_thresh = p[5, 0]
            for i in range(first, last):
                crossed += np.int64(1) if v[i] >= v_thresh else np.int64(0)
        if crossed > 0:
            for i in range(first, last):
                k = i if each else 0
                if v[i] >= p[5, k]:
                    v[i] = p[6, k]
                    r[i] = p[7, k]
                    out[count] = i
                    count += 1
    return count


@stepper
def step_exp(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Exponential conductances; signature and result as in ``step.py``.

    Parameter rows: 1/tau_m, v_rest/tau_m + i_offset/cm, 1/cm, e_rev_E, e_rev_I, v_thresh, v_reset, refractory steps,
    exp(-dt/2/tau_syn_E), exp(-dt/2/tau_syn_I), exp(-dt/tau_syn_E), exp(-dt/tau_syn_I).
    """
    s = carray(S, (4, n))
    p = carray(P, (12, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    v, ge, gi, r = s[0], s[1], s[2], s[3]
    q = p[:, 0].copy()
    count = np.int64(0)
    for a in range(lo, hi, _TILE):
        b = min(a + _TILE, hi)
        if n_par == 1:
            _sweep_exp(v[a:b], ge[a:b], gi[a:b], r[a:b], j[a:b], q, -dt)
        else:
            _sweep_exp_each(v[a:b], ge[a:b], gi[a:b], r[a:b], j[a:b],
                            p[0][a:b], p[1][a:b], p[2][a:b], p[3][a:b], p[4][a:b], p[6][a:b],
                            p[8][a:b], p[9][a:b], p[10][a:b], p[11][a:b], -dt)
        count = _collect(v, r, a, b, p, ids, count)
    return count


@stepper
def step_alpha(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Alpha-shaped conductances; signature and result as in ``step.py``.

    Parameter rows: 1/tau_m, v_rest/tau_m + i_offset/cm, 1/cm, e_rev_E, e_rev_I, v_thresh, v_reset, refractory steps,
    exp(-dt/2/tau_syn_E), exp(-dt/2/tau_syn_I), e dt/2/tau_syn_E, e dt/2/tau_syn_I.
    """
    s = carray(S, (6, n))
    p = carray(P, (12, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    v, ge, gi, xe, xi, r = s[0], s[1], s[2], s[3], s[4], s[5]
    q = p[:, 0].copy()
    count = np.int64(0)
    for a in range(lo, hi, _TILE):
        b = min(a + _TILE, hi)
        if n_par == 1:
            _sweep_alpha(v[a:b], ge[a:b], gi[a:b], xe[a:b], xi[a:b], r[a:b], j[a:b], q, -dt)
        else:
            _sweep_alpha_each(v[a:b], ge[a:b], gi[a:b], xe[a:b], xi[a:b], r[a:b], j[a:b],
                              p[0][a:b], p[1][a:b], p[2][a:b], p[3][a:b], p[4][a:b], p[6][a:b],
                              p[8][a:b], p[9][a:b], p[10][a:b], p[11][a:b], -dt)
        count = _collect(v, r, a, b, p, ids, count)
    return count
