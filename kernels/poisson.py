"""Poisson numbers for many neurons and many steps: one Philox call serves four steps of a neuron.

The number is found by inversion: the 32 bits of a word against the cumulative distribution, of
which the leading 12 bits are tabulated.  Probabilities are exact to 2**-32.
"""

import numpy as np

from . import jit
from .random import philox

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
AMBIGUOUS = 255


@jit
def words(first, items, quad, rounds, key, out0, out1, out2, out3):
    """The four words, for steps 4 * quad .. 4 * quad + 3, of ``items`` or, if that is empty, of items first, first + 1 ..."""
    k = np.uint64(key)
    k0 = k & _LOW
    k1 = k >> _32
    q = np.uint64(quad)
    q0 = q & _LOW
    q1 = q >> _32
    r = np.uint64(rounds)
    if items.size == 0:
        for i in range(out0.size):
            x0, x1, x2, x3 = philox(np.uint64(first + i), q0, q1, r, k0, k1)
            out0[i] = np.uint32(x0)
            out1[i] = np.uint32(x1)
            out2[i] = np.uint32(x2)
            out3[i] = np.uint32(x3)
    else:
        for i in range(out0.size):
            x0, x1, x2, x3 = philox(np.uint64(items[i]), q0, q1, r, k0, k1)
            out0[i] = np.uint32(x0)
            out1[i] = np.uint32(x1)
            out2[i] = np.uint32(x2)
            out3[i] = np.uint32(x3)


@jit
def lookup(word, table, cdf):
    """The Poisson number of a 32-bit word: ``table`` (4096,) uint8, ``cdf`` uint32 scaled by 2**32."""
    number = table[word >> np.uint32(20)]
    if number == AMBIGUOUS:
        number = np.uint8(0)
        while number < cdf.size and word >= cdf[number]:
            number += np.uint8(1)
    return number


@jit
def search(word, zero):
    """The Poisson number of a word where P(0) = ``zero`` = exp(-rate), by summing the distribution."""
    u = (np.float64(word) + 0.5) / 4294967296.0
    p = zero
    total = zero
    rate = -np.log(zero)
    number = 0
    while u > total and number < 254:
        number += 1
        p *= rate / number
        total += p
    return np.uint8(number)


@jit
def _add_looked_up(row, table, cdf, line):
    for i in range(line.size):
        line[i] += np.uint16(lookup(row[i], table, cdf))


@jit
def _add_searched(row, zero, line):
    for i in range(line.size):
        line[i] += np.uint16(search(row[i], zero[i]))


@jit
def fill_quad(first, items, quad, rounds, key, table, cdf, zero, counts):
    """counts (4, m) uint16 for the items (see :func:`words`), steps 4 * quad ..: sums of ``rounds`` draws.

    ``zero`` is empty if all items share ``table``, else exp(-rate) of each.
    """
    m = counts.shape[1]
    buffer = np.empty((4, 256), np.uint32)
    counts[:] = 0
    for r in range(rounds):
        start = 0
        while start < m:
            stop = min(start + 256, m)
            size = stop - start
            some = items[start:stop] if items.size > 0 else items
            words(first + start, some, quad, r, key, buffer[0, :size], buffer[1, :size], buffer[2, :size], buffer[3, :size])
            for w in range(4):
                if zero.size == 0:
                    _add_looked_up(buffer[w], table, cdf, counts[w, start:stop])
                else:
                    _add_searched(buffer[w], zero[start:stop], counts[w, start:stop])
            start = stop
