"""Hodgkin-Huxley neuron: channels of Traub & Miles (1991) as in Brette et al., J. Comput. Neurosci. 23, 2007.

    cm dv/dt = -gbar_Na m**3 h (v - e_rev_Na) - gbar_K n**4 (v - e_rev_K) - g_leak (v - e_rev_leak)
               - g_E (v - e_rev_E) - g_I (v - e_rev_I) + i_offset + J
    dx/dt    = alpha_x (1 - x) - beta_x x,      x = m, h, n; rates are functions of v - v_offset (:func:`_gates`)

Scheme: Strang's splitting, order 2.  Gates move half a step at the old v, each by its exact exponential; v moves a step
with the gates and the mid-step conductances held, by the exact solution of its linear equation; gates move half a
step at the new v.  Stable for any step.  A step longer than 0.025 ms is divided into equal parts no longer than that;
where two parts meet, the two half moves of the gates are one whole one.  Branches are selections, so that LLVM
vectorises the sweeps over a tile of neurons.

A spike is reported at the first step at which v has passed its peak: v >= v_offset + 30 mV and falling; none is
reported in the following 2 ms.  v is not reset.

States, float64 (7, n): v mV, gsyn_exc, gsyn_inh µS, h, m, n, _r steps in which no spike is reported.
Parameters, float64 (16, n_par): 0 gbar_Na, 1 gbar_K, 2 g_leak, 3 1/cm, 4 v_offset, 5 e_rev_Na, 6 e_rev_K, 7
e_rev_leak, 8 e_rev_E, 9 e_rev_I, 10 i_offset, 11 and 12 the decay of g_E and g_I over half a part, 13 parts of a
step, 14 steps without a further spike, 15 v_offset + 30 mV.
"""

import numpy as np
from numba import carray

from . import fastmath, jit
from .step import stepper
from .tiles import TILE, columns


@jit
def _over_expm1(x):
    """x/(e**x - 1); near 0 its Taylor series, remainder below 1e-16."""
    x2 = x * x
    near = 1.0 - 0.5 * x + x2 * (1.0 / 12.0 - x2 * (1.0 / 720.0 - x2 / 30240.0))
    return near if x2 < 0.0025 else x / (fastmath.exp(x) - 1.0)


@jit
def _relax(x, alpha, beta, s):
    """A gate after s ms at constant rates."""
    total = alpha + beta
    level = alpha / total
    return level + (x - level) * fastmath.exp(-s * total)


@jit
def _gates(v, h, m, n, v_offset, s):
    """Move the gates by s ms at constant v; arrays of shape (tile,)."""
    for i in range(v.size):
        u = v[i] - v_offset[i]
        m[i] = _relax(m[i], 1.28 * _over_expm1((13.0 - u) * 0.25), 1.4 * _over_expm1((u - 40.0) * 0.2), s)
        n[i] = _relax(n[i], 0.16 * _over_expm1((15.0 - u) * 0.2), 0.5 * fastmath.exp((10.0 - u) * 0.025), s)
        alpha_h = 0.128 * fastmath.exp((17.0 - u) * (1.0 / 18.0))
        h[i] = _relax(h[i], alpha_h, 4.0 / (1.0 + fastmath.exp((40.0 - u) * 0.2)), s)


@jit
def _membrane(v, ge, gi, h, m, n, j, g_na, g_k, g_leak, per_cm, e_na, e_k, e_leak, e_e, e_i, i_offset,
              decay_e, decay_i, s):
    """Move v by s ms with the gates held; conductances too; arrays of shape (tile,)."""
    for i in range(v.size):
        mid_e = ge[i] * decay_e[i]
        mid_i = gi[i] * decay_i[i]
        na = g_na[i] * m[i] * m[i] * m[i] * h[i]
        k = g_k[i] * n[i] * n[i] * n[i] * n[i]
        total = na + k + g_leak[i] + mid_e + mid_i
        drive = na * e_na[i] + k * e_k[i] + g_leak[i] * e_leak[i] + mid_e * e_e[i] + mid_i * e_i[i] + i_offset[i] + j[i]
        x = total * per_cm[i] * s
        level = drive / total
        curved = level + (v[i] - level) * fastmath.exp(-x)
        straight = v[i] + (drive - total * v[i]) * per_cm[i] * s
        v[i] = curved if x > 1e-8 else straight  # where all conductances vanish, level is 0/0
        ge[i] = mid_e * decay_e[i]
        gi[i] = mid_i * decay_i[i]


@stepper
def step(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """One step of neurons lo..hi-1; signature and result as in ``step.py``."""
    s = carray(S, (7, n))
    p = carray(P, (16, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, hi)
    before = np.empty(min(TILE, max(hi - lo, 1)))
    parts = int(p[13, 0])
    part = dt / parts
    count = np.int64(0)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        c0 = a if n_par > 1 else 0
        m = b - a
        c1 = c0 + m
        v, ge, gi, r = s[0][a:b], s[1][a:b], s[2][a:b], s[6][a:b]
        gate_h, gate_m, gate_n = s[3][a:b], s[4][a:b], s[5][a:b]
        before[:m] = v
        _gates(v, gate_h, gate_m, gate_n, q[4][c0:c1], 0.5 * part)
        for k in range(parts):
            _membrane(v, ge, gi, gate_h, gate_m, gate_n, j[a:b],
                      q[0][c0:c1], q[1][c0:c1], q[2][c0:c1], q[3][c0:c1], q[5][c0:c1], q[6][c0:c1], q[7][c0:c1],
                      q[8][c0:c1], q[9][c0:c1], q[10][c0:c1], q[11][c0:c1], q[12][c0:c1], part)
            _gates(v, gate_h, gate_m, gate_n, q[4][c0:c1], part if k < parts - 1 else 0.5 * part)
        for i in range(m):
            if r[i] > 0.0:
                r[i] -= 1.0
            elif v[i] >= q[15, c0 + i] and v[i] < before[i]:
                r[i] = q[14, c0 + i]
                ids[count] = a + i
                count += 1
    return count
