"""Current-based integrate-and-fire neurons on the grid, by exact propagators (Rotter & Diesmann, Biol. Cybern. 81, 1999).

Four callbacks share one threshold rule: ``step_exp``, ``step_alpha`` (synaptic currents), ``step_delta`` (voltage
jumps) and ``step_jump`` (voltage jumps, no leak).  Parameters, float64 (rows, n_par), are propagators over one step,
computed in ``neurosim.cells.lif``; states are float64 (rows, n): v mV, currents nA, ``_r`` steps of
refractoriness left, ``_x`` mV that arrived.

On reaching the threshold at step t the neuron spikes and v = v_reset up to and including step t + R; currents decay meanwhile.
The equations agree with NEST's iaf_psc_exp, iaf_psc_alpha and iaf_psc_delta.
"""

import numpy as np
from numba import carray

from . import jit
from .step import stepper


@jit
def _settle(v, moved, r, v_thresh, v_reset, refractory):
    """(v, r, spiked) of a neuron whose free evolution gives ``moved``; it holds v while r > 0."""
    if r > 0.0:
        return v, r - 1.0, False
    if moved >= v_thresh:
        return v_reset, refractory, True
    return moved, r, False


@stepper
def step_exp(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Exponential currents (eq. 12 of the paper).

    States: v, isyn_exc, isyn_inh, _r.  Parameter rows: v_thresh, v_reset, refractory steps, v_rest, then the propagators
    v->v, nA->v of a constant current, i_offset's mV, isyn_exc->v, isyn_inh->v, isyn_exc, isyn_inh.
    """
    s = carray(S, (4, n))
    p = carray(P, (11, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        k = i if n_par > 1 else 0
        rest = p[3, k]
        u = (s[0, i] - rest) * p[4, k] + s[1, i] * p[7, k] + s[2, i] * p[8, k] + (p[6, k] + j[i] * p[5, k])
        s[0, i], s[3, i], spiked = _settle(s[0, i], rest + u, s[3, i], p[0, k], p[1, k], p[2, k])
        s[1, i] *= p[9, k]
        s[2, i] *= p[10, k]
        if spiked:
            ids[count] = i
            count += 1
    return count


@stepper
def step_alpha(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Alpha-shaped currents i(s) = (i + e s/tau d) exp(-s/tau), d(s) = d exp(-s/tau) (eq. 13 of the paper).

    States: v, isyn_exc, isyn_inh, _dexc, _dinh (nA; arriving weights, the peak current, go there), _r.  Parameter rows:
    0-10 as for ``step_exp``, then _dexc->v, _dinh->v, _dexc->isyn_exc, _dinh->isyn_inh.
    """
    s = carray(S, (6, n))
    p = carray(P, (15, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        k = i if n_par > 1 else 0
        rest = p[3, k]
        u = (s[0, i] - rest) * p[4, k] + s[1, i] * p[7, k] + s[2, i] * p[8, k] + (p[6, k] + j[i] * p[5, k])
        u += s[3, i] * p[11, k] + s[4, i] * p[12, k]
        s[0, i], s[5, i], spiked = _settle(s[0, i], rest + u, s[5, i], p[0, k], p[1, k], p[2, k])
        s[1, i] = s[1, i] * p[9, k] + s[3, i] * p[13, k]
        s[2, i] = s[2, i] * p[10, k] + s[4, i] * p[14, k]
        s[3, i] *= p[9, k]
        s[4, i] *= p[10, k]
        if spiked:
            ids[count] = i
            count += 1
    return count


@stepper
def step_delta(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Voltage jumps: what arrived at step t lies in ``_x``; a refractory neuron drops it.

    States: v, _x, _r.  Parameter rows: v_thresh, v_reset, refractory steps, v_rest, the propagators v->v and nA->v,
    i_offset's mV.
    """
    s = carray(S, (3, n))
    p = carray(P, (7, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        k = i if n_par > 1 else 0
        rest = p[3, k]
        u = (s[0, i] - rest) * p[4, k] + (p[6, k] + j[i] * p[5, k]) + s[1, i]
        s[0, i], s[2, i], spiked = _settle(s[0, i], rest + u, s[2, i], p[0, k], p[1, k], p[2, k])
        s[1, i] = 0.0
        if spiked:
            ids[count] = i
            count += 1
    return count


@stepper
def step_jump(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Voltage jumps without leak: v <- v + (i_offset + J) dt/cm + _x.

    States: v, _x, _r.  Parameter rows: v_thresh, v_reset, refractory steps, dt/cm (mV/nA), i_offset dt/cm (mV).
    """
    s = carray(S, (3, n))
    p = carray(P, (5, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        k = i if n_par > 1 else 0
        moved = s[0, i] + (p[4, k] + j[i] * p[3, k]) + s[1, i]
        s[0, i], s[2, i], spiked = _settle(s[0, i], moved, s[2, i], p[0, k], p[1, k], p[2, k])
        s[1, i] = 0.0
        if spiked:
            ids[count] = i
            count += 1
    return count
