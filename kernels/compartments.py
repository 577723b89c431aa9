"""Cells of many compartments: a tree of cylinders with the channels of Hodgkin & Huxley (J. Physiol. 117, 1952).

    C dv/dt = sum over neighbours of g (v' - v) - g_pas (v - e_pas) - g_Na m**3 h (v - e_Na) - g_K n**4 (v - e_K)
              - g_E (v - e_E) - g_I (v - e_I) + i_offset + J
    dx/dt   = alpha_x (1 - x) - beta_x x,      x = m, h, n

Rates (eqs. 12, 13, 20, 21, 23, 24, with the sign and zero of today: rest at -65 mV) are in :func:`_rates`.

Scheme: Strang's splitting, order 2.  Gates move half a step at the old v; v moves a step with the gates and the mid-step
conductances held, by the Crank-Nicolson rule, as half an implicit Euler step that is then extrapolated; gates move half a
step at the new v.  The linear equations of the tree are solved by elimination from the leaves to the root (Hines 1984),
in as many operations as there are compartments.  A step is divided into equal parts.

The compartments of a cell are successive neurons, each after its parent.  States, float64 (6, n): v mV, g_E, g_I µS, m, h, n.
Parameters, float64 (17, n_par): 0 parent within the cell (-1: none), 1 g to it, 2 C nF, 3 g_pas µS, 4 e_pas mV, 5 g_Na, 6 g_K,
7 e_Na, 8 e_K, 9 e_E, 10 e_I, 11 i_offset nA, 12 and 13 the decay of g_E and g_I over half a part, 14 threshold, 15 compartments
of a cell, 16 parts of a step.
"""

import math

import numpy as np
from numba import carray

from . import jit
from .step import stepper


@jit
def _over_expm1(x):
    """x/(e**x - 1), 1 at 0."""
    return x / math.expm1(x) if abs(x) > 1e-9 else 1.0 - 0.5 * x


@jit
def _rates(v):
    """alpha and beta (1/ms) of m, h and n at v mV."""
    return (_over_expm1(-0.1 * (v + 40.0)), 4.0 * math.exp(-(v + 65.0) / 18.0),
            0.07 * math.exp(-0.05 * (v + 65.0)), 1.0 / (1.0 + math.exp(-0.1 * (v + 35.0))),
            0.1 * _over_expm1(-0.1 * (v + 55.0)), 0.125 * math.exp(-(v + 65.0) / 80.0))


def steady(v):
    """Steady states of m, h and n at potentials v (mV); arrays of v's shape."""
    rates = np.array([_rates(one) for one in np.ravel(v)]).T.reshape(6, *np.shape(v))
    return tuple(rates[k] / (rates[k] + rates[k + 1]) for k in (0, 2, 4))


@jit
def _gates(v, m, h, n, p, first, size, s):
    """Move the gates of a cell by s ms at constant v; only where there are channels."""
    for i in range(first, first + size):
        c = i if p.shape[1] > 1 else 0
        if p[5, c] == 0.0 and p[6, c] == 0.0:
            continue
        alpha_m, beta_m, alpha_h, beta_h, alpha_n, beta_n = _rates(v[i])
        m[i] += math.expm1(-s * (alpha_m + beta_m)) * (m[i] - alpha_m / (alpha_m + beta_m))
        h[i] += math.expm1(-s * (alpha_h + beta_h)) * (h[i] - alpha_h / (alpha_h + beta_h))
        n[i] += math.expm1(-s * (alpha_n + beta_n)) * (n[i] - alpha_n / (alpha_n + beta_n))


@jit
def _membrane(s, j, p, first, size, part, diagonal, right):
    """Move v of a cell by ``part`` ms with the gates held, and the conductances with it."""
    v, g_e, g_i, m, h, n = s[0], s[1], s[2], s[3], s[4], s[5]
    for k in range(size):
        i = first + k
        c = i if p.shape[1] > 1 else 0
        g_e[i] *= p[12, c]
        g_i[i] *= p[13, c]
        na = p[5, c] * m[i] * m[i] * m[i] * h[i]
        potassium = p[6, c] * n[i] * n[i] * n[i] * n[i]
        inertia = 2.0 * p[2, c] / part
        diagonal[k] = inertia + p[3, c] + na + potassium + g_e[i] + g_i[i] + p[1, c]
        right[k] = (inertia * v[i] + p[3, c] * p[4, c] + na * p[7, c] + potassium * p[8, c] + g_e[i] * p[9, c] + g_i[i] * p[10, c]
                    + p[11, c] + j[i])
        g_e[i] *= p[12, c]
        g_i[i] *= p[13, c]
    for k in range(1, size):
        c = first + k
        diagonal[int(p[0, c])] += p[1, c]
    for k in range(size - 1, 0, -1):
        c = first + k
        parent, factor = int(p[0, c]), p[1, c] / diagonal[k]
        diagonal[parent] -= factor * p[1, c]
        right[parent] += factor * right[k]
    right[0] /= diagonal[0]
    for k in range(1, size):
        c = first + k
        right[k] = (right[k] + p[1, c] * right[int(p[0, c])]) / diagonal[k]
    for k in range(size):
        v[first + k] = 2.0 * right[k] - v[first + k]


@stepper
def step(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """One step of neurons lo..hi-1, which are whole cells; signature and result as in ``step.py``."""
    s = carray(S, (6, n))
    p = carray(P, (17, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    size, parts = int(p[15, 0]), int(p[16, 0])
    part = dt / parts
    diagonal, right, before = np.empty(size), np.empty(size), np.empty(size)
    count = np.int64(0)
    for first in range(lo, hi, size):
        before[:] = s[0][first:first + size]
        _gates(s[0], s[3], s[4], s[5], p, first, size, 0.5 * part)
        for k in range(parts):
            _membrane(s, j, p, first, size, part, diagonal, right)
            _gates(s[0], s[3], s[4], s[5], p, first, size, part if k < parts - 1 else 0.5 * part)
        for k in range(size):
            threshold = p[14, first + k if n_par > 1 else 0]
            if before[k] < threshold <= s[0, first + k]:
                ids[count] = first + k
                count += 1
    return count
