"""Cells updated in the order in which SpiNNaker's software updates them, in double precision.

Source: sPyNNaker 7.4.1, neural_modelling/src/neuron: implementations/neuron_impl_standard.h (order), models/neuron_model_lif_impl.h and
neuron_model_izh_impl.h (membranes), synapse_types/synapse_types_{exponential,alpha,delta}_impl.h.

A tick t, of which the first is 0:

1. synaptic inputs decay over the tick before, and what arrives at t is added to them;
2. the membrane is advanced over dt with these inputs and the injected current of t held constant, unless refractory;
3. v is compared with the threshold, also while refractory: a spike at t may be the work of what arrived at t.

All states are float64 (rows, n) and begin with v, then the two synaptic inputs, if they last, as they stand between 1 and 2,
which is when the machine records.  So ``v`` is the potential at the beginning of the tick, and the one at its end is the
kernel's own (``_v``).  A ``v`` that is not the one that the kernel left there (``_shown``) was set from outside, and counts.

Parameters, float64 (rows, n_par), begin for leaky cells with v_thresh, v_reset, refractory ticks, v_rest, exp(-dt/tau_m),
resistance (MOhm), i_offset (nA); then come those of the synapses, for both receptors in turn.
"""

import numpy as np
from numba import carray

from . import jit
from .step import stepper

_PEAK = 30.0  # mV
_SQUARE = 0.040008544921875  # the machine's 0.04
_AFTER_SPIKE = 1.85  # length of the step after a spike


@jit
def _end(s, own, refractory, i, p, c, v, current, ids, count):
    """Advance a leaky cell with a constant current and test it; ``own`` and ``refractory`` are rows.  Returns the number of spikes."""
    if s[refractory, i] > 0.0:
        s[refractory, i] -= 1.0
    else:
        goal = current * p[5, c] + p[3, c]
        v = goal - p[4, c] * (goal - v)
    if v >= p[0, c]:
        v, s[refractory, i] = p[1, c], p[2, c]
        ids[count] = i
        count += 1
    s[own, i] = v
    return count


@jit
def _start(s, own, shown, i):
    """v at the beginning of the tick, which it also shows from now on; ``own`` and ``shown`` are rows."""
    v = s[own, i] if s[0, i] == s[shown, i] else s[0, i]
    s[0, i] = v
    s[shown, i] = v
    return v


@stepper
def step_exp(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Exponential currents.

    States: v, isyn_exc, isyn_inh, _r, _v, _shown, _xe, _xi (what arrives, nA).  Parameters of each receptor: decay over a tick, and what
    an arriving nA adds: tau/dt (1 - exp(-dt/tau)), so that the charge of the held current is that of the decaying one.
    """
    s = carray(S, (8, n))
    p = carray(P, (11, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        c = i if n_par > 1 else 0
        v = _start(s, 4, 5, i)
        for k in range(2):
            g = s[1 + k, i] * p[7 + 2 * k, c] if t > 0 else s[1 + k, i]
            s[1 + k, i] = g + s[6 + k, i] * p[8 + 2 * k, c]
            s[6 + k, i] = 0.0
        count = _end(s, 4, 3, i, p, c, v, s[1, i] + s[2, i] + p[6, c] + j[i], ids, count)
    return count


@stepper
def step_cond(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Exponential conductances, whose current is that of the potential at the beginning of the tick.

    States as for ``step_exp``, in uS.  Parameters of each receptor: decay, what an arriving uS adds, reversal potential (mV).
    """
    s = carray(S, (8, n))
    p = carray(P, (13, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        c = i if n_par > 1 else 0
        v = _start(s, 4, 5, i)
        current = p[6, c] + j[i]
        for k in range(2):
            g = s[1 + k, i] * p[7 + 3 * k, c] if t > 0 else s[1 + k, i]
            s[1 + k, i] = g + s[6 + k, i] * p[8 + 3 * k, c]
            s[6 + k, i] = 0.0
            current += s[1 + k, i] * (p[9 + 3 * k, c] - v)
        count = _end(s, 4, 3, i, p, c, v, current, ids, count)
    return count


@stepper
def step_alpha(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Alpha currents as the product of a linear and an exponential buffer; the latest input alone sets the slope of the first.

    States as for ``step_exp``, and behind them for each receptor: linear and exponential buffer, latest input.  Parameters of each
    receptor: decay over a tick, what an input adds to the linear buffer in each tick.
    """
    s = carray(S, (14, n))
    p = carray(P, (11, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        c = i if n_par > 1 else 0
        v = _start(s, 4, 5, i)
        for k in range(2):
            b = 8 + 3 * k
            keep, slope = p[7 + 2 * k, c], p[8 + 2 * k, c]
            sign = 1.0 - 2.0 * k  # weights onto the inhibitory receptor are negative
            linear, falling = s[b, i], s[b + 1, i]
            if t > 0:
                linear, falling = linear + s[b + 2, i] * slope, falling * keep
            x = sign * s[6 + k, i]
            s[6 + k, i] = 0.0
            if x > 0.0:
                s[b + 2, i] = x
                falling = falling * keep + 1.0
                linear = (linear + x * slope) * (1.0 - 1.0 / falling)
            s[b, i], s[b + 1, i] = linear, falling
            s[1 + k, i] = sign * linear * falling
        count = _end(s, 4, 3, i, p, c, v, s[1, i] + s[2, i] + p[6, c] + j[i], ids, count)
    return count


@stepper
def step_delta(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """What arrives (mV) is a current over one tick; while refractory it is lost.

    States: v, _r, _v, _shown, _x.  One more parameter: the current (nA) that raises v by 1 mV until the end of a tick.
    """
    s = carray(S, (5, n))
    p = carray(P, (8, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        c = i if n_par > 1 else 0
        v = _start(s, 2, 3, i)
        count = _end(s, 2, 1, i, p, c, v, s[4, i] * p[7, c] + p[6, c] + j[i], ids, count)
        s[4, i] = 0.0
    return count


@stepper
def step_izhikevich(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Izhikevich's neuron: one midpoint step of order 2 in each tick, 1.85 times as long after a spike.

    What arrives (mV) is a current over one tick.  States: v, u, _h (length of the next step), _v, _shown, _x.  Parameters: a, b, c, d,
    I (mV/ms), mV/ms of an injected nA, mV/ms of an arriving mV.
    """
    s = carray(S, (6, n))
    p = carray(P, (7, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    count = np.int64(0)
    for i in range(lo, hi):
        q = i if n_par > 1 else 0
        v, u, h = _start(s, 3, 4, i), s[1, i], s[2, i]
        a, b = p[0, q], p[1, q]
        constant = 140.0 + p[4, q] + p[5, q] * j[i] + p[6, q] * s[5, i] - u
        middle = v + 0.5 * h * (constant + (5.0 + _SQUARE * v) * v)
        change = 0.5 * h * a * (b * v - u)
        v += h * (constant - change + (5.0 + _SQUARE * middle) * middle)
        u += a * h * (b * middle - u - change)
        s[2, i], s[5, i] = dt, 0.0
        if v >= _PEAK:
            v = p[2, q]
            u += p[3, q]
            s[2, i] = _AFTER_SPIKE * dt
            ids[count] = i
            count += 1
        s[1, i], s[3, i] = u, v
    return count
