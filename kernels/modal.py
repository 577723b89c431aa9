"""Linear neurons in modal coordinates: between inputs nothing of a neuron's state changes.

A leaky integrator with exponential synapses is a sum of decaying exponentials (Rotter & Diesmann
1999, section 3).  Its state is kept as the amplitudes of these modes in a frame that decays with
them: with ``k`` the steps since the frame was last renewed,

    m(k) = f0[k] * a + f1[k] * b + f2[k] * c          (V = base + scale * m)

where ``f0[k] = exp(-k dt / tau_m)``, ``f1[k] = K exp(-k dt / tau_syn_E)``, ``K = tau_s / (tau_s - tau_m)``.
``a, b, c`` change only when input arrives, by the weight times ``1 / exp(...)`` of that step; every
``period`` steps all are renewed (multiplied by f[period]).  So

* stepping all neurons needs no write, and is one fused multiply-add loop;
* a neuron that is left alone gives the same bits as one that is looked at every step, which is why
  clock-driven and event-driven updates yield the same spikes;
* input is added straight to the state when it arrives: there is no ring buffer of inputs.

Kinds: 0 voltage jumps (rows a), 1 exponential currents (a, b, c), 2 alpha currents (a, and for
each receptor the pair (C, D) of the mode (C + D k) exp(-k dt / tau)).
"""

import math

import numpy as np

from . import jit

DELTA, EXP, ALPHA = 0, 1, 2
BLOCK = 32
TINY = 1e-250
_INF = math.inf


@jit
def value(kind, x, n, i, f, k, width):
    """m of neuron ``i``: ``x`` is the flat (modes, n) state, ``f`` the flat (rows, width) tables."""
    m = f[k] * x[i]
    if kind == EXP:
        m = m + f[width + k] * x[n + i] + f[2 * width + k] * x[2 * n + i]
    elif kind == ALPHA:
        e = f[width + k]
        s = f[2 * width + k]
        m = m + e * x[n + i] + (k * e) * x[2 * n + i] + s * x[3 * n + i] + (k * s) * x[4 * n + i]
    return m


@jit
def potential(kind, x, n, i, f, k, width, h, base, scale, reset):
    """v of neuron ``i``, mV; the last four are arrays over the group's neurons."""
    return reset[i] if h[i] == _INF else base[i] + scale[i] * value(kind, x, n, i, f, k, width)


@jit
def reach(kind, f, width):
    """For alpha modes, the greatest values of k exp(-k dt / tau), as :func:`bound` wants them; else zeros."""
    if kind == ALPHA:
        return f[9 * width + 2], f[9 * width + 5]
    return 0.0, 0.0


@jit
def others(kind, x, n, i, f, k, width):
    """m without the membrane mode."""
    m = 0.0
    if kind == EXP:
        m = f[width + k] * x[n + i] + f[2 * width + k] * x[2 * n + i]
    elif kind == ALPHA:
        e = f[width + k]
        s = f[2 * width + k]
        m = e * x[n + i] + (k * e) * x[2 * n + i] + s * x[3 * n + i] + (k * s) * x[4 * n + i]
    return m


@jit
def bound(kind, x, n, i, f, k, width, reach_e, reach_i):
    """An upper bound of m from now on if no input comes: the sum of the modes that are positive now.

    ``reach`` is, for alpha modes, the greatest value of k exp(-k dt / tau): tau / (e dt).
    A relative 1e-12 covers rounding.
    """
    a = f[k] * x[i]
    total = max(a, 0.0)
    size = abs(a)
    if kind == EXP:
        b = f[width + k] * x[n + i]
        c = f[2 * width + k] * x[2 * n + i]
        total += max(b, 0.0) + max(c, 0.0)
        size += abs(b) + abs(c)
    elif kind == ALPHA:
        e = f[width + k]
        s = f[2 * width + k]
        b = e * x[n + i] + (k * e) * x[2 * n + i]
        c = s * x[3 * n + i] + (k * s) * x[4 * n + i]
        d = e * x[2 * n + i] * reach_e
        g = s * x[4 * n + i] * reach_i
        total += max(b, 0.0) + max(c, 0.0) + max(d, 0.0) + max(g, 0.0)
        size += abs(b) + abs(c) + abs(d) + abs(g)
    return total + 1e-12 * size


@jit
def steepest(kind, x, n, i, f, k, width, r0, r1, r2):
    """An upper bound of the change of m in any one step from now on without input; ``r`` = dt / tau of each mode."""
    total = abs(f[k] * x[i]) * r0
    if kind == EXP:
        total += abs(f[width + k] * x[n + i]) * r1 + abs(f[2 * width + k] * x[2 * n + i]) * r2
    elif kind == ALPHA:
        e = f[width + k]
        s = f[2 * width + k]
        d = abs(e * x[2 * n + i])
        g = abs(s * x[4 * n + i])
        total += abs(e * x[n + i] + k * e * x[2 * n + i]) * r1 + 1.4 * d
        total += abs(s * x[3 * n + i] + k * s * x[4 * n + i]) * r2 + 1.4 * g
    return max(total, 1e-300)


@jit
def _count1(a, h, f0):
    count = np.int64(0)
    for i in range(BLOCK):
        count += np.int64(1) if f0 * a[i] >= h[i] else np.int64(0)
    return count


@jit
def _count3(a, b, c, h, f0, f1, f2):
    count = np.int64(0)
    for i in range(BLOCK):
        count += np.int64(1) if f0 * a[i] + f1 * b[i] + f2 * c[i] >= h[i] else np.int64(0)
    return count


@jit
def _count5(a, b, c, d, g, h, f0, f1, f2, f3, f4):
    count = np.int64(0)
    for i in range(BLOCK):
        m = f0 * a[i] + f1 * b[i] + f2 * c[i] + f3 * d[i] + f4 * g[i]
        count += np.int64(1) if m >= h[i] else np.int64(0)
    return count


@jit
def crossings(kind, x, n, lo, hi, h, f, k, width, out):
    """Neurons of lo..hi with m >= h, ascending, into ``out``; returns their number.

    Blocks of 32 are counted without branches (one vector loop); a block is searched only if it holds one.
    """
    found = 0
    start = lo
    f0 = f[k]
    while start < hi:
        stop = start + BLOCK
        if stop <= hi:
            if kind == DELTA:
                count = _count1(x[start:stop], h[start:stop], f0)
            elif kind == EXP:
                count = _count3(x[start:stop], x[n + start:n + stop], x[2 * n + start:2 * n + stop],
                                h[start:stop], f0, f[width + k], f[2 * width + k])
            else:
                e = f[width + k]
                s = f[2 * width + k]
                count = _count5(x[start:stop], x[n + start:n + stop], x[2 * n + start:2 * n + stop],
                                x[3 * n + start:3 * n + stop], x[4 * n + start:4 * n + stop],
                                h[start:stop], f0, e, k * e, s, k * s)
        else:
            stop = hi
            count = 1
        if count > 0:
            for i in range(start, stop):
                if value(kind, x, n, i, f, k, width) >= h[i]:
                    out[found] = i
                    found += 1
        start = stop
    return found


@jit
def _scale(row, factor):
    for i in range(row.size):
        scaled = row[i] * factor
        row[i] = scaled if abs(scaled) > TINY else 0.0  # denormal numbers are slow


@jit
def renew(kind, x, n, lo, hi, f, period, width):
    """Start a new frame: multiply every mode of neurons lo..hi by its decay over the whole period."""
    _scale(x[lo:hi], f[period])
    if kind == EXP:
        # The tables of the synaptic modes carry the factor K; the decay is their ratio.
        _scale(x[n + lo:n + hi], f[width + period] / f[width])
        _scale(x[2 * n + lo:2 * n + hi], f[2 * width + period] / f[2 * width])
    elif kind == ALPHA:
        for r in range(2):
            decay = f[(1 + r) * width + period]
            c = x[(1 + 2 * r) * n + lo:(1 + 2 * r) * n + hi]
            d = x[(2 + 2 * r) * n + lo:(2 + 2 * r) * n + hi]
            for i in range(c.size):
                c[i] = (c[i] + d[i] * period) * decay
                d[i] *= decay
