"""SpiNNaker's arithmetic: 32-bit fixed point whose every product is rounded down and whose sums wrap around.

``s16.15`` is a signed word with 15 fractional bits, ``u0.32`` an unsigned one with 32 (a factor below 1).  Here every
number is an int64: signed ones within int32, unsigned ones within uint32; every function returns what the machine's
32 bits would hold.  Source: maths-util.h, decay.h and stdfix-exp.c of sPyNNaker and spinn_common, and what the shipped
binaries do (a product is ``smull`` and two shifts; none is rounded to nearest).
"""

import math

import numpy as np

from . import inlined, jit

FRACTION = 15
ONE = 1 << FRACTION
LARGEST = 2**31 - 1

_LOW = 0xFFFFFFFF
_U32 = np.uint64(32)
_ULOW = np.uint64(_LOW)
_HALF = np.uint64(0x7FFFFFFF)
# e**(k - 13) and 1 - e**(-k/16), times 2**32; the machine's e**10 is one less than the nearest.
_POWERS = np.array([round(math.exp(k - 13) * 2**32) - (k == 23) for k in range(26)], dtype=np.int64)
_PARTS = np.array([round(-math.expm1(-k / 16) * 2**32) for k in range(16)], dtype=np.uint64)
_HIGHEST, _LOWEST = 363408, -340695  # of the argument: beyond, the result is the largest number or 0


@inlined
def wrap(x):
    """The signed number of the low 32 bits of ``x``."""
    return np.int64(np.int32(x))


@inlined
def mulk(a, b):
    """a b of two s16.15."""
    return np.int64(np.int32((a * b) >> 15))


@inlined
def decay(x, factor):
    """s16.15 x times u0.32 factor."""
    return np.int64(np.int32((x * factor) >> 32))


@inlined
def kdivk(a, b):
    """a / b of two s16.15, b not 0; a negative one counts as its 64 bits without sign, as on the machine."""
    return np.int64(np.int32((np.uint64(a) << np.uint64(15)) // np.uint64(b)))


@jit
def _scaled(x, factor):
    """x times u0.32 factor; x has 32 fractional bits and is not negative."""
    unsigned = np.uint64(x)
    product = (unsigned & _ULOW) * factor
    rounded = (product >> _U32) + (np.uint64(1) if (product & _ULOW) >= _HALF else np.uint64(0))
    return np.int64(rounded + (unsigned >> _U32) * factor)


@jit
def _exponential(n):
    """exp of s16.15 n, with 32 fractional bits: a table of whole powers, one of sixteenths, and a polynomial."""
    whole = n >> 15
    part = n & 0x7FFF
    if part == 0:
        return _POWERS[13 + whole]
    part = ONE - part
    r = _POWERS[14 + whole]
    r -= _scaled(r, _PARTS[part >> 11])
    y = (part & 0x7FF) << 17
    inner = (4293434720 - ((2081624032 * y) >> 32)) & _LOW
    return r - _scaled(r, np.uint64(5294 + ((y * inner) >> 32)))


@jit
def expk(n):
    """exp of s16.15, as s16.15."""
    if n > _HIGHEST:
        return np.int64(LARGEST)
    if n < _LOWEST:
        return np.int64(0)
    return _exponential(n) >> 17


@jit
def expulr(n):
    """exp of s16.15 below 0, as u0.32 (the low 32 bits of the result)."""
    if n > _HIGHEST:
        return np.int64(LARGEST)
    if n < _LOWEST:
        return np.int64(0)
    return _exponential(n) & _LOW


@jit
def ceilk(x):
    """The least whole number not below s16.15 x."""
    return (x >> 15) + (1 if x & 0x7FFF else 0)
