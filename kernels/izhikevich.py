"""Izhikevich's neuron (IEEE Trans. Neural Networks 14, 2003, eqs. 1-3), inputs as jumps of v.

    dv/dt = 0.04 v**2 + 5 v + 140 - u + I,      du/dt = a (b v - u),      I = 1000 (i_offset + J) mV/ms
    v >= 30 mV:  v <- c,  u <- u + d

Scheme: the classical Runge-Kutta method of order 4.  While |0.08 v + 5|, the rate at which neighbouring solutions
separate, times the step exceeds 1/2, the rest of the step is divided: each part lasts 1/(2 rate).  Beyond 30 mV
the slope is that at 30 mV, so that u does not see the runaway.  What arrived at step t (``_x``, mV) is added
after the flow and before the threshold.  A sweep over a tile of neurons, which LLVM vectorises, takes an
undivided step of all; those that need a divided one are done again.

States, float64 (3, n): v mV, u mV/ms, _x mV.  Parameters, float64 (5, n_par): a, b (1/ms), c mV, d mV/ms, I mV/ms.
"""

import numpy as np
from numba import carray

from . import jit
from .step import stepper
from .tiles import TILE, columns

_PARTS = 1000
_COARSEST = 0.5  # rate times step
_PEAK = 30.0


@jit
def _slope(v, u, a, b, current):
    """(dv/dt, du/dt)."""
    v = min(v, _PEAK)
    return 0.04 * v * v + 5.0 * v + 140.0 - u + current, a * (b * v - u)


@jit
def _runge_kutta(v, u, a, b, current, h):
    """(v, u) after h ms."""
    v1, u1 = _slope(v, u, a, b, current)
    v2, u2 = _slope(v + 0.5 * h * v1, u + 0.5 * h * u1, a, b, current)
    v3, u3 = _slope(v + 0.5 * h * v2, u + 0.5 * h * u2, a, b, current)
    v4, u4 = _slope(v + h * v3, u + h * u3, a, b, current)
    return v + h / 6.0 * (v1 + 2.0 * (v2 + v3) + v4), u + h / 6.0 * (u1 + 2.0 * (u2 + u3) + u4)


@jit
def _sharpness(v):
    """Rate, 1/ms, at which neighbouring solutions separate."""
    return abs(0.08 * min(v, _PEAK) + 5.0)


@jit
def _advance(v, u, a, b, current, dt):
    """(v, u) one step later, the step divided where need be; without input and threshold."""
    s = 0.0
    parts = 0
    while s < dt:
        rate = _sharpness(v)
        parts += 1
        h = dt - s
        if rate * h > _COARSEST and parts < _PARTS:
            h = _COARSEST / rate
            s += h
        else:
            s = dt
        v, u = _runge_kutta(v, u, a, b, current, h)
    return v, u


@jit
def _sweep(v, u, x, j, moved_v, moved_u, wanted, a, b, current, dt):
    """One undivided step of all neurons into ``moved_*``; wanted = 1 for those to look at; arrays of shape (tile,)."""
    for k in range(v.size):
        nv, nu = _runge_kutta(v[k], u[k], a[k], b[k], current[k] + 1000.0 * j[k], dt)
        nv += x[k]
        moved_v[k] = nv
        moved_u[k] = nu
        steep = 1.0 if _sharpness(v[k]) * dt > _COARSEST else 0.0
        wanted[k] = steep if nv < _PEAK else 1.0


@stepper
def step(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """One step of neurons lo..hi-1; signature and result as in ``step.py``."""
    s = carray(S, (3, n))
    p = carray(P, (5, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, hi)
    moved = np.empty((3, min(TILE, max(hi - lo, 1))))
    count = np.int64(0)
    for first in range(lo, hi, TILE):
        last = min(first + TILE, hi)
        m = last - first
        c0 = first if n_par > 1 else 0
        c1 = c0 + m
        v, u, x, injected = s[0][first:last], s[1][first:last], s[2][first:last], j[first:last]
        nv, nu, wanted = moved[0][:m], moved[1][:m], moved[2][:m]
        _sweep(v, u, x, injected, nv, nu, wanted, q[0][c0:c1], q[1][c0:c1], q[4][c0:c1], dt)
        for k in range(m):
            if wanted[k] > 0.0:
                nv[k], nu[k] = _advance(v[k], u[k], q[0, c0 + k], q[1, c0 + k], q[4, c0 + k] + 1000.0 * injected[k], dt)
                nv[k] += x[k]
                if nv[k] >= _PEAK:
                    nv[k] = q[2, c0 + k]
                    nu[k] += q[3, c0 + k]
                    ids[count] = first + k
                    count += 1
        v[:] = nv
        u[:] = nu
        x[:] = 0.0
    return count
