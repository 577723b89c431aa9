"""SpiNNaker's Poisson sources and injected currents, in fixed point.

The random numbers are Marsaglia's 64-bit KISS, one generator of four words a core, drawn by its sources in turn.  A source sends

* below 0.01 spikes a tick, after intervals that are drawn: an exponential variate by von Neumann's comparisons (no logarithm), in
  thousandths, times the mean interval in whole ticks;
* below 10, a number found by multiplying uniform variates until the product falls below exp(-rate);
* else the rounded square of a normal variate of mean sqrt(rate) and standard deviation 1/2.  The machine approximates the normal
  variate and the square root; here both are right to the last bit of s16.15, so that single numbers may differ: such sources, and noisy
  currents, are only statistically those of the machine.

Source: spike_source_poisson.c and current_sources/*.h of sPyNNaker, random.c and sincos.c of spinn_common.
"""

import math

import numpy as np

from . import inlined, jit
from .fixed import ONE, expulr, mulk, wrap
from .random import normal_quantile

# Columns of `Machine.sources`; ticks, u0.32, s16.15, ticks, thousandths of ticks.
Q_START, Q_END, Q_FAST, Q_EXP, Q_SQRT, Q_MEAN, Q_WAIT = range(7)
Q_COLUMNS = 7

# Columns of `Machine.currents`: its cells, ticks on and off, up to four numbers (s16.15); of steps and noise where theirs begin.
C_KIND, C_CELLS, C_N, C_START, C_STOP, C_A, C_B, C_C, C_D = range(9)
C_COLUMNS = 9
DC, AC, STEPS, NOISE = range(1, 5)

SLOW = 655  # u16.16, spikes a tick: 0.01
FAST = 655360  # 10
SCALE = 1000
FOREVER = 0xFFFFFFFF
_LOW = 0xFFFFFFFF
_HALF = ONE // 2


# ------------------------------------------------------------------------------------ random numbers


@jit
def draw(seed):
    """The next 32 bits; ``seed`` (4,) uint32 x, y, z, carry."""
    x = (np.uint64(314527869) * np.uint64(seed[0]) + np.uint64(1234567)) & np.uint64(_LOW)
    y = np.uint64(seed[1])
    y ^= (y << np.uint64(5)) & np.uint64(_LOW)
    y ^= y >> np.uint64(7)
    y ^= (y << np.uint64(22)) & np.uint64(_LOW)
    z = np.uint64(4294584393) * np.uint64(seed[2]) + np.uint64(seed[3])
    seed[0], seed[1], seed[2], seed[3] = x, y, z & np.uint64(_LOW), z >> np.uint64(32)
    return np.int64((x + y + z) & np.uint64(_LOW))


@jit
def _exponential(seed):
    """An exponential variate of mean 1, s16.15: the length of falling runs of uniform variates (von Neumann)."""
    whole = np.int64(0)
    while True:
        first = draw(seed)
        u = first
        while True:
            other = draw(seed)
            if u < other:
                return whole + (first >> 17)
            u = draw(seed)
            if u >= other:
                break
        whole += ONE


@jit
def _normal(seed):
    """A normal variate, s16.15, from the high 16 bits of a draw, which the machine takes for a signed number."""
    bits = np.int64(np.int32(draw(seed))) >> 16
    return np.int64(math.floor(normal_quantile((bits + 32768.5) / 65536.0) * ONE + 0.5))


# ------------------------------------------------------------------------------------ Poisson


@jit
def _wait(mean, seed):
    """Thousandths of ticks to the next spike, a 32-bit word; ``mean`` interval in ticks."""
    variate = wrap(_exponential(seed) * SCALE)
    return ((variate >> 15) + ((variate >> 14) & 1)) * mean & _LOW


@jit
def set_rate(source, rate, seconds_per_tick, ticks_per_second, seed):
    """Give a source its rate, as a core does when it starts or rates were changed; slow ones draw their first interval.

    Parameters
    ----------
    source : ndarray, int64 (Q_COLUMNS,)
    rate : int
        Hz, u32.32; the core keeps 16 bits of each half.
    seconds_per_tick : int
        u0.32
    ticks_per_second : int
    seed : ndarray, uint32 (4,)
    """
    rate = rate >> 16 & _LOW
    per_tick = (rate * seconds_per_tick) >> 32
    source[Q_FAST:] = 0
    if per_tick >= SLOW:
        source[Q_FAST] = 1
        if per_tick >= FAST:
            source[Q_SQRT] = np.int64(math.floor(math.sqrt(np.float64((per_tick >> 1) << 15))))
        else:
            source[Q_EXP] = expulr(-(per_tick >> 1)) >> 16 << 16
        return
    if rate > 1:
        source[Q_MEAN] = (ticks_per_second << 16) // rate
    source[Q_WAIT] = _wait(source[Q_MEAN], seed)


@jit
def _slow(source, seed):
    """Spikes of a slow source in this tick."""
    count = 0
    while source[Q_WAIT] < SCALE:
        count += 1
        source[Q_WAIT] = (source[Q_WAIT] + _wait(source[Q_MEAN], seed)) & _LOW
    source[Q_WAIT] -= SCALE
    return count


@jit
def _fast(source, seed):
    """Spikes of a fast source in this tick."""
    if source[Q_SQRT] > 0:
        x = wrap(mulk(_normal(seed), np.int64(_HALF)) + source[Q_SQRT])
        square = mulk(x, x)
        return ((square >> 15) + ((square >> 14) & 1)) & _LOW
    least = source[Q_EXP]
    if least == 0:
        return 0
    product = np.int64(_LOW)
    count = 0
    while True:
        product = np.int64((np.uint64(product) * np.uint64(draw(seed))) >> np.uint64(32))
        if product <= least:
            return count
        count += 1


@jit
def poisson_tick(t, lo, hi, offset, seed, sources, spikes, end):
    """One tick of the core of sources lo .. hi - 1: source s is written as s + offset to ``spikes`` from ``end`` on, once a spike.

    Returns the new end, or -1 if there is no room.
    """
    for s in range(lo, hi):
        source = sources[s]
        if not source[Q_START] <= t < source[Q_END]:
            continue
        if source[Q_FAST]:
            count = _fast(source, seed)
        elif source[Q_MEAN]:
            count = _slow(source, seed)
        else:
            continue
        if end + count > spikes.size:
            return -1
        for k in range(count):
            spikes[end + k] = s + offset
        end += count
    return end


# ------------------------------------------------------------------------------------ sine
# sin(k/16) and cos(k/16) - 1, times 2**31.
_SINES = np.array([round(math.sin(k / 16) * 2**31) for k in range(16)], dtype=np.int64)
_COSINES = np.array([round((math.cos(k / 16) - 1.0) * 2**31) for k in range(16)], dtype=np.int64)
_TURNS, _TURNS_LENGTH = 7358, 189364951  # so many eighths of a turn, in s16.15
_DOZEN_LENGTH = 2470649  # 12 eighths, with 18 fractional bits
_EIGHTH = 105414357  # one eighth, with 27 fractional bits
_ROOT_HALF = 1518500250  # sqrt(1/2), with 31 fractional bits


@inlined
def _top(x, y):
    """Bits 16 to 47 of x times the high half of y."""
    return (x * (y >> 16)) >> 16


@inlined
def _rounded(x, bits):
    """x rounded to a multiple of 2**bits, in 32 bits."""
    return wrap(((x >> bits) + ((x >> (bits - 1)) & 1)) << bits)


@jit
def _reduced(x):
    """(what is left of s16.15 x after whole eighths of a turn, with 31 fractional bits; the eighth, 0 .. 7): Cody and Waite's way."""
    n = ((x * 20861) >> 16) >> 13
    eighth = n & 7
    while n < 0:
        n += _TURNS
        x += _TURNS_LENGTH
    while n >= _TURNS:
        n -= _TURNS
        x -= _TURNS_LENGTH
    dozens = ((n * 21845) >> 16) >> 2
    n += (-786432 * dozens) >> 16
    x = wrap(wrap((wrap(x << 3) - _DOZEN_LENGTH * dozens) << 9) - _EIGHTH * n)
    if x < 0:
        x += _EIGHTH
        eighth = (eighth + 7) & 7
    return wrap(x << 4), eighth


@jit
def sink(x):
    """sin of s16.15 x, as s16.15.  Where it is 1 to the last bit the machine's 32 bits overflow: it says -1, and at some of -1, 1."""
    x, eighth = _reduced(x)
    near = _rounded(x, 27)
    x = wrap((x - near) << 5)
    k = near >> 27
    fall = (x >> 16) * (x >> 16) >> 10  # 1 - cos(x)
    sine = wrap(_SINES[k] + _top(_SINES[k], wrap(-(fall << 1))))
    sine = wrap(_top(_COSINES[k], x >> 4) + sine + (x >> 5))
    drop = wrap(fall - _COSINES[k] + _top(_COSINES[k], wrap(fall << 1)))
    drop = wrap(drop + _top(_SINES[k], x >> 4))
    if eighth & 1 == 0:
        if eighth == 0:
            return _rounded(sine, 16) >> 16
        if eighth == 2:
            return ONE - (_rounded(drop, 16) >> 16)
        if eighth == 4:
            return _rounded(-sine, 16) >> 16
        return (_rounded(drop, 16) >> 16) - ONE
    s = (sine * _ROOT_HALF) >> 31
    c = _ROOT_HALF - ((drop * _ROOT_HALF) >> 31)
    both = c + s if eighth in (1, 5) else c - s
    return _rounded(wrap(both if eighth < 4 else -both), 16) >> 16


# ------------------------------------------------------------------------------------ currents


@jit
def _value(t, current):
    """Amplitude (s16.15) of a direct or alternating current that is on."""
    if current[C_KIND] == DC:
        return current[C_A]
    angle = wrap(mulk(wrap((t - current[C_START]) << 15), current[C_C]) + current[C_D])
    return wrap(current[C_B] + mulk(current[C_A], sink(angle)))


@jit
def add_current(t, current, cells, steps, seeds, bias):
    """Add a current, as it is in tick t, to the ``bias`` (int32, s16.15, nA) of its cells.

    Parameters
    ----------
    t : int
    current : ndarray, int64 (C_COLUMNS,)
    cells : ndarray, int32
        Numbers within the population: those of this current from C_CELLS on.
    steps : ndarray, int64 (steps, 2)
        Tick and amplitude: those of a step current C_A .. C_B - 1, of which C_C were taken, C_D is the latest.  Each cell that asks
        takes at most one.
    seeds : ndarray, uint32 (noise, 4)
        That of a noisy current is number C_C; each cell on each tick takes a new value of mean C_A and standard deviation C_B.
    """
    kind, lo = current[C_KIND], current[C_CELLS]
    hi = lo + current[C_N]
    if kind == STEPS:
        for k in range(lo, hi):
            at = current[C_A] + current[C_C]
            if at < current[C_B] and t >= steps[at, 0]:
                current[C_D] = steps[at, 1]
                current[C_C] += 1
            bias[cells[k]] += current[C_D]
    elif current[C_START] <= t < current[C_STOP]:
        if kind == NOISE:
            for k in range(lo, hi):
                bias[cells[k]] += current[C_A] + mulk(current[C_B], _normal(seeds[current[C_C]]))
        else:
            value = _value(t, current)
            for k in range(lo, hi):
                bias[cells[k]] += value
