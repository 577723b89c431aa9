"""Leaky integrate-and-fire with exponential conductances and a threshold raised by the neuron's own spikes.

    cm dv/dt = -cm/tau_m (v - v_rest) - g_E (v - e_rev_E) - g_I (v - e_rev_I) + i_offset + J
    tau_theta dtheta/dt = -theta;    v >= v_thresh + theta:  v <- v_reset, theta <- theta + theta_plus

Scheme: that of ``cond.py``, with which a neuron whose theta stays 0 agrees to the last bit; theta decays exactly, and
v is compared with the threshold at the end of the step.

States, float64 (5, n): v, theta mV, gsyn_exc, gsyn_inh µS, _r = steps of refractoriness left.
Parameters, float64 (14, n_par): 0 1/tau_m, 1 v_rest/tau_m + i_offset/cm, 2 1/cm, 3 e_rev_E, 4 e_rev_I, 5 v_thresh,
6 v_reset, 7 refractory steps, 8 and 9 decay of g_E and g_I over half a step, 10 and 11 over a step, 12 decay of theta
over a step, 13 theta_plus.
"""

import numpy as np
from numba import carray

from . import jit
from .cond import _less_one, _membrane
from .step import stepper
from .tiles import TILE, collect, columns

_ROWS = 14


@jit
def _sweep(v, theta, ge, gi, r, j, level, rate, drive, per_cm, e_e, e_i, v_thresh, v_reset, he, hi, de, di, kept,
           minus_dt):
    """Advance a tile and write its thresholds into ``level``; arrays of shape (m,)."""
    for i in range(v.size):
        v[i] = _membrane(v[i], ge[i] * he[i], gi[i] * hi[i], j[i], r[i],
                         rate[i], drive[i], per_cm[i], e_e[i], e_i[i], v_reset[i], minus_dt)
        ge[i] *= de[i]
        gi[i] *= di[i]
        r[i] = _less_one(r[i])
        theta[i] *= kept[i]
        level[i] = v_thresh[i] + theta[i]


@stepper
def step(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """One step of neurons lo..hi-1; signature and result as in ``step.py``."""
    s = carray(S, (5, n))
    p = carray(P, (_ROWS, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, hi)
    level = np.empty(min(TILE, max(hi - lo, 1)))
    count = np.int64(0)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        c = a if n_par > 1 else 0
        d = c + b - a
        _sweep(s[0][a:b], s[1][a:b], s[2][a:b], s[3][a:b], s[4][a:b], j[a:b], level[:b - a],
               q[0][c:d], q[1][c:d], q[2][c:d], q[3][c:d], q[4][c:d], q[5][c:d], q[6][c:d],
               q[8][c:d], q[9][c:d], q[10][c:d], q[11][c:d], q[12][c:d], -dt)
        before = count
        count = collect(s[0][a:b], s[4][a:b], level[:b - a], q[6][c:d], q[7][c:d], a, ids, count)
        for k in range(before, count):
            s[1, ids[k]] += q[13, ids[k] - a + c]
    return count
