"""Izhikevich's neuron (IEEE Trans. Neural Networks 14, 2003, eqs. 1-3), inputs as jumps of v.

    dv/dt = 0.04 v**2 + 5 v + 140 - u + I,      du/dt = a (b v - u),      I = 1000 (i_offset + J) mV/ms
    v >= 30 mV:  v <- c,  u <- u + d

Scheme: the classical Runge-Kutta method of order 4.  While |0.08 v + 5|, the rate at which neighbouring solutions
separate, times the step exceeds 1/2, the rest of the step is divided: each part lasts 1/(2 rate).  Beyond 30 mV
the slope is that at 30 mV, so that u does not see the runaway.  What arrived at step t (``_x``, mV) is added after the
flow and before the threshold.

States, float64 (3, n): v mV, u mV/ms, _x mV.  Parameters, float64 (5, n_par): a, b (1/ms), c mV, d mV/ms, I mV/ms.
"""

import numpy as np
from numba import carray

from . import jit
from .step import stepper

_PARTS = 1000
_PEAK = 30.0


@jit
def _slope(v, u, a, b, current):
    """(dv/dt, du/dt)."""
    v = min(v, _PEAK)
    return 0.04 * v * v + 5.0 * v + 140.0 - u + current, a * (b * v - u)


@jit
def _advance(v, u, a, b, current, dt):
    """(v, u) one step later, without input and threshold."""
    s = 0.0
    parts = 0
    while s < dt:
        rate = abs(0.08 * min(v, _PEAK) + 5.0)
        parts += 1
        h = dt - s
        if rate * h > 0.5 and parts < _PARTS:
            h = 0.5 / rate
            s += h
        else:
            s = dt
        v1, u1 = _slope(v, u, a, b, current)
        v2, u2 = _slope(v + 0.5 * h * v1, u + 0.5 * h * u1, a, b, current)
        v3, u3 = _slope(v + 0.5 * h * v2, u + 0.5 * h * u2, a, b, current)
        v4, u4 = _slope(v + h * v3, u + h * u3, a, b, current)
        v += h / 6.0 * (v1 + 2.0 * (v2 + v3) + v4)
        u += h / 6.0 * (u1 + 2.0 * (u2 + u3) + u4)
    return v, u


@stepper
def step(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """One step of neurons lo..hi-1; signature and result as in ``step.py``."""
    s = carray(S, (3, n))
    p = carray(P, (5, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        k = i if n_par > 1 else 0
        v, u = _advance(s[0, i], s[1, i], p[0, k], p[1, k], p[4, k] + 1000.0 * j[i], dt)
        v += s[2, i]
        if v >= _PEAK:
            v = p[2, k]
            u += p[3, k]
            ids[count] = i
            count += 1
        s[0, i] = v
        s[1, i] = u
        s[2, i] = 0.0
    return count
