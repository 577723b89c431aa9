"""Astrocytes: calcium of single cells (``step``), and neurons that share an astrocyte's calcium (``step_delta``).

``step`` is the model of Li & Rinzel (J. Theor. Biol. 166, 1994) with IP3 (Nadkarni & Jung, Phys. Rev. Lett. 91, 2003);
x arrived at this step, j is an injected current::

    dIP3/dt = (IP3_0 - IP3)/tau_IP3,                  IP3 <- IP3 + delta_IP3 x
    dCa/dt  = (rate_IP3R (m n h)**3 + rate_L) ((Ca_tot - Ca) - ratio Ca) - rate_SERCA Ca**2/(Km_SERCA**2 + Ca**2) + J
    dh/dt   = k_IP3R (q (1 - h) - Ca h)
    m = IP3/(IP3 + Kd_IP3_1),  n = Ca/(Ca + Kd_act),  q = Kd_inh (IP3 + Kd_IP3_1)/(IP3 + Kd_IP3_2),  J = 1000 j µM/ms
    sic = sic_scale ln y where y = 1000 (Ca - sic_thresh) exceeds 1, else 0

(Calcium in the store is (Ca_tot - Ca)/ratio; ratio times its excess over Ca is the last factor of the first term.)
Scheme: IP3 from its closed form, and the classical Runge-Kutta method of order 4 on (Ca, h).  Then Ca is held between
0 and Ca_tot.  The rates are a hundred times slower than a step of 1 ms, so that steps are not divided.  One sweep over
a tile of cells, which LLVM vectorises; then the logarithms, only where there is a current.

States, float64 (5, n): IP3 µM, Ca µM, h, sic nA, _x.  Parameters, float64 (16, n_par), in the order of :func:`_sweep`.
Astrocytes do not spike.

``step_delta`` is described there.
"""

import math

import numpy as np
from numba import carray

from . import fastmath, inlined, jit
from .step import stepper
from .tiles import TILE, collect, columns

_ROWS = 16


@inlined
def _slope(ca, h, ip3, j, total, ratio, kd1, kd2, act, inh, rate_channel, rate_leak, rate_pump, km2, rate_h):
    """(dCa/dt, dh/dt); ``km2`` is Km_SERCA squared."""
    open_ = ip3 / (ip3 + kd1) * (ca / (ca + act)) * h
    stream = (rate_channel * open_ * open_ * open_ + rate_leak) * (total - ca - ratio * ca)
    pump = rate_pump * ca * ca / (km2 + ca * ca)
    q = inh * (ip3 + kd1) / (ip3 + kd2)
    return stream - pump + j, rate_h * (q * (1.0 - h) - ca * h)


@jit
def _sweep(ip3, ca, h, x, j, rest, keep_half, delta, total, ratio, kd1, kd2, act, inh, rate_channel, rate_leak,
           rate_pump, km2, rate_h, dt):
    """One step of all cells; arrays of shape (tile,).  ``keep_half`` is exp(-dt/2/tau_IP3)."""
    for i in range(ip3.size):
        p0 = ip3[i]
        p1 = rest[i] + (p0 - rest[i]) * keep_half[i]
        p2 = rest[i] + (p1 - rest[i]) * keep_half[i]
        k = (total[i], ratio[i], kd1[i], kd2[i], act[i], inh[i], rate_channel[i], rate_leak[i], rate_pump[i], km2[i],
             rate_h[i])
        current = 1000.0 * j[i]
        c1, h1 = _slope(ca[i], h[i], p0, current, *k)
        c2, h2 = _slope(ca[i] + 0.5 * dt * c1, h[i] + 0.5 * dt * h1, p1, current, *k)
        c3, h3 = _slope(ca[i] + 0.5 * dt * c2, h[i] + 0.5 * dt * h2, p1, current, *k)
        c4, h4 = _slope(ca[i] + dt * c3, h[i] + dt * h3, p2, current, *k)
        moved = ca[i] + dt / 6.0 * (c1 + 2.0 * (c2 + c3) + c4)
        moved = moved if moved > 0.0 else 0.0  # noqa: FURB136 (selects, which LLVM vectorises)
        ca[i] = moved if moved < total[i] else total[i]  # noqa: FURB136
        h[i] += dt / 6.0 * (h1 + 2.0 * (h2 + h3) + h4)
        ip3[i] = p2 + delta[i] * x[i]
        x[i] = 0.0


@jit
def _put_out(ca, sic, threshold, scale):
    """The slow inward current of all cells; arrays of shape (tile,)."""
    for i in range(ca.size):
        y = 1000.0 * (ca[i] - threshold[i])
        sic[i] = scale[i] * math.log(y) if y > 1.0 else 0.0


@stepper
def step(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """One step of astrocytes lo..hi-1; signature as in ``step.py``; there are never spikes."""
    s = carray(S, (5, n))
    p = carray(P, (_ROWS, n_par))
    j = carray(J, n)
    q = columns(p, lo, hi)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        c0 = a if n_par > 1 else 0
        c1 = c0 + b - a
        _sweep(s[0][a:b], s[1][a:b], s[2][a:b], s[4][a:b], j[a:b], q[0][c0:c1], q[1][c0:c1], q[2][c0:c1], q[3][c0:c1],
               q[4][c0:c1], q[5][c0:c1], q[6][c0:c1], q[7][c0:c1], q[8][c0:c1], q[9][c0:c1], q[10][c0:c1],
               q[11][c0:c1], q[12][c0:c1], q[13][c0:c1], dt)
        _put_out(s[1][a:b], s[3][a:b], q[14][c0:c1], q[15][c0:c1])
    return np.int64(0)


# ------------------------------------------------------------------- neurons that share an astrocyte's calcium


@jit
def _decay(c, size, keep):
    """The calcium of each astrocyte a step later; ``c`` (cells,) repeats it for each of its ``size`` neurons.

    The first neuron's value is the astrocyte's; so is the first one's ``keep`` (cells,).
    """
    for first in range(0, c.size, size):
        value = c[first] * keep[first if keep.size > 1 else 0]
        for i in range(first, first + size):
            c[i] = value


@jit
def _sweep_delta(v, x, r, c, j, limit, thresh, rest, keep, per_current, offset, kappa, gain):
    """Free evolution with leak, what arrived, and each neuron's threshold now; arrays of shape (tile,)."""
    for i in range(v.size):
        tanh = 1.0 - 2.0 / (fastmath.exp(2.0 * c[i]) + 1.0)
        limit[i] = rest[i] + (thresh[i] - rest[i]) * (1.0 - kappa[i] * tanh)
        u = rest[i] + (v[i] - rest[i]) * keep[i] + (offset[i] + j[i] * per_current[i]) + (1.0 + gain[i] * c[i]) * x[i]
        held = r[i] > 0.0
        v[i] = v[i] if held else u
        limit[i] = np.inf if held else limit[i]
        left = r[i] - 1.0
        r[i] = left if left > 0.0 else 0.0  # noqa: FURB136 (a select, which LLVM vectorises)
        x[i] = 0.0


@jit
def _raise(c, size, each, ids, lo):
    """Add ``each`` to an astrocyte's calcium for every spike of its neurons; ``ids`` ascend, ``c[0]`` is neuron lo."""
    k = 0
    while k < ids.size:
        first = (np.int64(ids[k]) - lo) // size * size
        amount = each[first if each.size > 1 else 0]
        value = c[first]
        while k < ids.size and ids[k] - lo < first + size:
            value += amount
            k += 1
        for i in range(first, first + size):
            c[i] = value


@stepper
def step_delta(lo, hi, n, n_par, S, P, J, out, t, dt, key):
    """Leaky neurons with voltage jumps whose threshold and input follow the calcium of their astrocyte.

    An astrocyte has ``size`` successive neurons; lo and hi are multiples of it.  With c its calcium a step later,
    before the spikes of step t::

        v <- v_rest + (v - v_rest) exp(-dt/tau_m) + i_offset's mV + (1 + g_astro c) _x
        spike where v >= v_rest + (v_thresh - v_rest) (1 - kappa tanh c)
        c <- c + delta_c/size for every spike

    States, float64 (4, n): v mV, c, _x mV, _r.  Parameters, float64 (12, n_par): v_thresh, v_reset, refractory steps,
    v_rest, the propagators v->v and nA->v, i_offset's mV, kappa, g_astro, c's decay, delta_c/size, size.
    """
    s = carray(S, (4, n))
    p = carray(P, (12, n_par))
    j = carray(J, n)
    ids = carray(out, n)
    q = columns(p, lo, hi)
    size = np.int64(p[11, 0])
    c = s[1][lo:hi]
    p0, p1 = (lo, hi) if n_par > 1 else (0, 1)
    _decay(c, size, p[9][p0:p1])
    limits = np.empty(min(TILE, max(hi - lo, 1)))
    count = np.int64(0)
    for a in range(lo, hi, TILE):
        b = min(a + TILE, hi)
        c0 = a if n_par > 1 else 0
        c1 = c0 + b - a
        v, r, limit = s[0][a:b], s[3][a:b], limits[:b - a]
        _sweep_delta(v, s[2][a:b], r, s[1][a:b], j[a:b], limit, q[0][c0:c1], q[3][c0:c1], q[4][c0:c1], q[5][c0:c1],
                     q[6][c0:c1], q[7][c0:c1], q[8][c0:c1])
        count = collect(v, r, limit, q[1][c0:c1], q[2][c0:c1], a, ids, count)
    _raise(c, size, p[10][p0:p1], ids[:count], lo)
    return count
