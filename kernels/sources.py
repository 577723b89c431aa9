"""Spike sources: each keeps the time of its next spike, so a silent source costs nothing."""

import math

from . import jit
from .random import exponential_at, gamma_at

POISSON, ARRAY, GAMMA, REFRACTORY, SHAPED = 0, 1, 2, 3, 4
BLOCK = 256


@jit
def next_time(kind, key, i, draw, after, rate, dead, start, stop, bins):
    """The first spike of source ``i`` later than ``after`` (ms); inf if it would be later than ``stop``.

    Parameters
    ----------
    draw : int
        How many intervals this source has drawn.
    rate : float
        Spikes per ms (Poisson kinds); of SHAPED the inverse of the intervals' scale, 1/ms.
    dead : float
        Dead time, ms; of SHAPED the intervals' shape.
    bins : ndarray (3, n_bins)
        GAMMA: left edges (ms), shapes, scales (ms).
    """
    t = max(after, start)
    if kind == GAMMA:
        t = _gamma(key, i, draw, t, bins)
    elif rate <= 0.0:
        return math.inf
    elif kind == SHAPED:
        t += gamma_at(key, i, draw, dead) / rate
    elif kind == REFRACTORY:
        lead = dead if after > start or draw > 0 else 0.0
        t += lead + exponential_at(key, i, draw) * (1.0 / rate - dead)
    else:
        t += exponential_at(key, i, draw) / rate
    return t if t <= stop else math.inf


@jit
def _gamma(key, i, draw, t, bins):
    """Walk through the bins until the unit-mean gamma interval is used up by the integrated rate."""
    n = bins.shape[1]
    b = 0
    while b + 1 < n and bins[0, b + 1] <= t:
        b += 1
    t = max(t, bins[0, b])
    shape = bins[1, b]
    left = gamma_at(key, i, draw, shape) / shape
    while True:
        mean = bins[1, b] * bins[2, b]
        edge = bins[0, b + 1] if b + 1 < n else math.inf
        step = left * mean
        if t + step <= edge:
            return t + step
        left -= (edge - t) / mean
        t = edge
        b += 1


@jit
def emit(kind, key, lo, hi, until, following, draws, least, rate, dead, start, stop, bins, out, room):
    """Spikes of sources lo..hi up to time ``until`` (ms), ascending by id; returns their number, -1 if no room.

    ``following`` (n,) is each source's next time, ``draws`` (n,) its number of draws, ``least``
    the minimum of ``following`` over blocks of 256 (block 0 starts at ``lo``).
    """
    found = 0
    for block in range((hi - lo + BLOCK - 1) // BLOCK):
        if least[block] > until:
            continue
        first = lo + block * BLOCK
        last = min(first + BLOCK, hi)
        low = math.inf
        for i in range(first, last):
            t = following[i]
            while t <= until:
                if found == room:
                    return -1
                out[found] = i
                found += 1
                draws[i] += 1
                t = next_time(kind, key, i, draws[i], t, rate[i], dead[i], start[i], stop[i], bins)
            following[i] = t
            low = min(low, t)
        least[block] = low
    return found


@jit
def prepare(kind, key, lo, hi, after, following, draws, least, rate, dead, start, stop, bins):
    """Draw the next times of sources lo..hi anew, from time ``after`` on (at the start, or after a change of rate)."""
    for i in range(lo, hi):
        following[i] = next_time(kind, key, i, draws[i], after, rate[i], dead[i], start[i], stop[i], bins)
    refresh(lo, hi, following, least)


@jit
def refresh(lo, hi, following, least):
    """Recompute the minima of the blocks of lo..hi."""
    for block in range((hi - lo + BLOCK - 1) // BLOCK):
        low = math.inf
        for i in range(lo + block * BLOCK, min(lo + (block + 1) * BLOCK, hi)):
            low = min(low, following[i])
        least[block] = low


@jit
def change_rate(key, cells, y, now, fresh, before, dead_before, rate, dead, start, stop, following, draws):
    """Draw the next times of sources whose parameters have just changed; they keep the dead time they are in.

    Parameters
    ----------
    cells : ndarray, int64
        Neurons among all; their group begins at neuron ``y``.
    now : float
        ms; ``fresh`` says that it is the start of the simulation.
    before, dead_before : ndarray, float64
        Their rates, spikes per ms, and dead times, ms, before.
    """
    for q in range(cells.size):
        c = cells[q]
        i = c - y
        free = max(now, start[c])
        if dead_before[q] > 0.0 and following[c] != math.inf:  # the end of the dead time it is or was in
            free = max(free, following[c] - exponential_at(key, i, draws[c]) * (1.0 / before[q] - dead_before[q]))
        elif dead[c] > 0.0 and not fresh:
            free += dead[c]  # it was silent; whether it has just sent a spike is not known
        draws[c] += 1
        following[c] = math.inf
        if rate[c] > 0.0:
            at = free + exponential_at(key, i, draws[c]) * (1.0 / rate[c] - dead[c])
            if at <= stop[c]:
                following[c] = at
