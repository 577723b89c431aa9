"""Current-based integrate-and-fire neurons on the grid, by exact propagators.

Source: Rotter & Diesmann, "Exact digital simulation of time-invariant linear systems", Biol. Cybern. 81, 1999.

Four callbacks share the threshold rule of ``tiles.collect``: ``step_exp``, ``step_alpha`` (synaptic currents),
``step_delta`` (voltage jumps) and ``step_jump`` (voltage jumps, no leak).  Parameters, float64 (rows, n_par), are
propagators over one step, computed in ``neurosim.cells.lif``; states are float64 (rows, n): v mV, currents nA,
``_r`` steps of refractoriness left, ``_x`` mV that arrived.

On reaching the threshold at step t the neuron spikes and v = v_reset up to and including step t + R; currents
decay meanwhile. The equations agree with NEST's iaf_psc_exp, iaf_psc_alpha and iaf_psc_delta.
"""

import numpy as np
from numba import carray

from . import jit
from .step import stepper
from .tiles import TILE, collect, columns


@jit
def _hold(v, moved, r):
    """(v, r): v stays while r > 0, else moves."""
    left = r - 1.0
    return v if r > 0.0 else moved, left if left > 0.0 else 0.0  # noqa: FURB136 (a select, which LLVM vectorises)


@jit
def _sweep_exp(v, e, i, r, j, rest, keep, per_current, offset, e_to_v, i_to_v, keep_e, keep_i):
    """Free evolution with exponential currents; arrays of shape (tile,)."""
    for k in range(v.size):
        u = (v[k] - rest[k]) * keep[k] + e[k] * e_to_v[k] + i[k] * i_to_v[k] + (offset[k] + j[k] * per_current[k])
        v[k], r[k] = _hold(v[k], rest[k] + u, r[k])
        e[k] *= keep_e[k]
        i[k] *= keep_i[k]


@jit
def _sweep_alpha(v, e, i, de, di, r, j, rest, keep, per_current, offset, e_to_v, i_to_v, keep_e, keep_i,
                 de_to_v, di_to_v, de_to_e, di_to_i):
    """Free evolution with alpha-shaped currents; arrays of shape (tile,)."""
    for k in range(v.size):
        u = (v[k] - rest[k]) * keep[k] + e[k] * e_to_v[k] + i[k] * i_to_v[k] + (offset[k] + j[k] * per_current[k])
        u += de[k] * de_to_v[k] + di[k] * di_to_v[k]
        v[k], r[k] = _hold(v[k], rest[k] + u, r[k])
        e[k] = e[k] * keep_e[k] + de[k] * de_to_e[k]
        i[k] = i[k] * keep_i[k] + di[k] * di_to_i[k]
        de[k] *= keep_e[k]
        di[k] *= keep_i[k]


@jit
def _sweep_delta(v, x, r, j, rest, keep, per_current, offset):
    """Free evolution with leak, and what arrived; arrays of shape (tile,)."""
    for k in range(v.size):
        u = (v[k] - rest[k]) * keep[k] + (offset[k] + j[k] * per_current[k]) + x[k]
        v[k], r[k] = _hold(v[k], rest[k] + u, r[k])
        x[k] = 0.0


@jit
def _sweep_jump(v, x, r, j, per_current, offset):
    """Free evolution without leak, and what arrived; arrays of shape (tile,)."""
    for k in range(v.size):
        v[k], r[k] = _hold(v[k], v[k] + (offset[k] + j[k] * per_current[k]) + x[k], r[k])
        x[k] = 0.0


@stepper
def step_exp(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Exponential currents.

    States: v, isyn_exc, isyn_inh, _r.  Parameter rows: v_thresh, v_reset, refractory steps, v_rest, then the
    propagators v->v, nA->v of a constant current, i_offset's mV, isyn_exc->v, isyn_inh->v, isyn_exc, isyn_inh.
    """
    s = carray(S, (4, n))
    p = carray(P, (11, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, hi)
    count = np.int64(0)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        m = b - a
        c0 = a if n_par > 1 else 0
        c1 = c0 + m
        v, r = s[0][a:b], s[3][a:b]
        _sweep_exp(v, s[1][a:b], s[2][a:b], r, j[a:b], q[3][c0:c1], q[4][c0:c1], q[5][c0:c1], q[6][c0:c1],
                   q[7][c0:c1], q[8][c0:c1], q[9][c0:c1], q[10][c0:c1])
        count = collect(v, r, q[0][c0:c1], q[1][c0:c1], q[2][c0:c1], a, ids, count)
    return count


@stepper
def step_alpha(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Alpha-shaped currents i(s) = (i + e s/tau d) exp(-s/tau), d(s) = d exp(-s/tau).

    States: v, isyn_exc, isyn_inh, _dexc, _dinh (nA; arriving weights, the peak current, go there), _r.  Parameter rows:
    0-10 as for ``step_exp``, then _dexc->v, _dinh->v, _dexc->isyn_exc, _dinh->isyn_inh.
    """
    s = carray(S, (6, n))
    p = carray(P, (15, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, hi)
    count = np.int64(0)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        m = b - a
        c0 = a if n_par > 1 else 0
        c1 = c0 + m
        v, r = s[0][a:b], s[5][a:b]
        _sweep_alpha(v, s[1][a:b], s[2][a:b], s[3][a:b], s[4][a:b], r, j[a:b], q[3][c0:c1], q[4][c0:c1],
                     q[5][c0:c1], q[6][c0:c1], q[7][c0:c1], q[8][c0:c1], q[9][c0:c1], q[10][c0:c1], q[11][c0:c1],
                     q[12][c0:c1], q[13][c0:c1], q[14][c0:c1])
        count = collect(v, r, q[0][c0:c1], q[1][c0:c1], q[2][c0:c1], a, ids, count)
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
    q = columns(p, lo, hi)
    count = np.int64(0)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        m = b - a
        c0 = a if n_par > 1 else 0
        c1 = c0 + m
        v, r = s[0][a:b], s[2][a:b]
        _sweep_delta(v, s[1][a:b], r, j[a:b], q[3][c0:c1], q[4][c0:c1], q[5][c0:c1], q[6][c0:c1])
        count = collect(v, r, q[0][c0:c1], q[1][c0:c1], q[2][c0:c1], a, ids, count)
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
    q = columns(p, lo, hi)
    count = np.int64(0)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        m = b - a
        c0 = a if n_par > 1 else 0
        c1 = c0 + m
        v, r = s[0][a:b], s[2][a:b]
        _sweep_jump(v, s[1][a:b], r, j[a:b], q[3][c0:c1], q[4][c0:c1])
        count = collect(v, r, q[0][c0:c1], q[1][c0:c1], q[2][c0:c1], a, ids, count)
    return count
