"""Generalised integrate-and-fire neuron with escape noise (Pozzorini et al., PLoS Comput. Biol. 11, 2015).

    cm dv/dt = -cm/tau_m (v - v_rest) - i_eta - g_E (v - e_rev_E) - g_I (v - e_rev_I) + i_offset + J
    i_eta    = sum over k of eta_k,                tau_eta_k deta_k/dt = -eta_k,         eta_k += a_eta_k at a spike
    v_t      = v_t_star + sum over k of gamma_k,   tau_gamma_k dgamma_k/dt = -gamma_k,   gamma_k += a_gamma_k at a spike
    P(spike in a step) = 1 - exp(-lambda0 exp((v - v_t)/delta_v) dt)

Scheme: the exponential midpoint rule of ``cond.py`` (order 2), i_eta held at its value in the middle of the step;
eta, gamma and conductances are exact.  The draw of neuron i at step t is ``uniform_at(key, i, t)``: no state.

States, float64 (12, n): v, v_t mV, i_eta nA, gsyn_exc, gsyn_inh µS, _eta1-3 nA, _gamma1-3 mV, _r steps of
refractoriness left.
Parameters, float64 (24, n_par): 0 1/tau_m, 1 v_rest/tau_m + i_offset/cm, 2 1/cm, 3 e_rev_E, 4 e_rev_I, 5 v_reset,
6 refractory steps, 7 and 8 decay of g_E and g_I over half a step, 9 1/delta_v, 10 lambda0 dt, 11 v_t_star, then
in threes: 12 decay of eta over half a step, 15 a_eta, 18 decay of gamma over half a step, 21 a_gamma.
"""

import math

import numpy as np
from numba import carray

from . import fastmath, jit
from .random import uniform_at
from .step import stepper

_SMALLEST = 2.0**-55  # uniform_at is never below 2**-54


@jit
def _membrane(v, g_e, g_i, current, rate, drive, per_cm, e_e, e_i, dt):
    """v one step later with conductances and current held."""
    a = rate + (g_e + g_i) * per_cm
    level = (drive + (g_e * e_e + g_i * e_i + current) * per_cm) / a
    return level + (v - level) * fastmath.exp(-a * dt)


@jit
def _escapes(v, v_t, per_delta, intensity, key, i, t):
    """Whether neuron i spikes at step t; nothing is drawn where no draw, however small, could make it spike."""
    expected = intensity * fastmath.exp((v - v_t) * per_delta)
    if expected < _SMALLEST:
        return False
    return uniform_at(key, i, t) < -math.expm1(-expected)


@stepper
def step(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """One step of neurons lo..hi-1; signature and result as in ``step.py``."""
    s = carray(S, (12, n))
    p = carray(P, (24, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        q = p[:, i if n_par > 1 else 0]
        i_eta = 0.0
        v_t = q[11]
        for k in range(3):
            half = s[5 + k, i] * q[12 + k]
            i_eta += half
            s[5 + k, i] = half * q[12 + k]
            s[8 + k, i] *= q[18 + k] * q[18 + k]
            v_t += s[8 + k, i]
        g_e = s[3, i] * q[7]
        g_i = s[4, i] * q[8]
        s[3, i] = g_e * q[7]
        s[4, i] = g_i * q[8]
        if s[11, i] > 0.0:
            s[11, i] -= 1.0
        else:
            v = _membrane(s[0, i], g_e, g_i, j[i] - i_eta, q[0], q[1], q[2], q[3], q[4], dt)
            if _escapes(v, v_t, q[9], q[10], key, i, t):
                v = q[5]
                s[11, i] = q[6]
                for k in range(3):
                    s[5 + k, i] += q[15 + k]
                    s[8 + k, i] += q[21 + k]
                    v_t += q[21 + k]
                ids[count] = i
                count += 1
            s[0, i] = v
        s[1, i] = v_t
        s[2, i] = s[5, i] + s[6, i] + s[7, i]
    return count
