"""Counter-based random numbers: every draw is a function of (key, index, slot) and of nothing else.

The generator is Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC 2011, section 3.1).  ``key`` is 64 bits that name a stream (made from the seed and the
name of what is drawn), ``index`` says which item (a neuron, a synapse), ``slot`` which draw of that
item (a step, a trial).  No state is kept: threads, chunks of a run, and restored simulations all
see the same numbers.
"""

import math

import numpy as np

from . import inlined, jit

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2**-53


@inlined
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds of Philox4x32 on four 32-bit counters; returns four 32-bit words held as uint64."""
    x0 = np.uint64(c0)
    x1 = np.uint64(c1)
    x2 = np.uint64(c2)
    x3 = np.uint64(c3)
    a = np.uint64(k0)
    b = np.uint64(k1)
    for _ in range(10):
        p = _M0 * x0
        q = _M1 * x2
        x0 = (q >> _32) ^ x1 ^ a
        x1 = q & _LOW
        x2 = (p >> _32) ^ x3 ^ b
        x3 = p & _LOW
        a = (a + _W0) & _LOW
        b = (b + _W1) & _LOW
    return x0, x1, x2, x3


@inlined
def block(key, index, slot):
    """The four words of item ``index``, draw ``slot`` of stream ``key`` (all uint64-convertible)."""
    k = np.uint64(key)
    i = np.uint64(index)
    s = np.uint64(slot)
    return philox(i & _LOW, i >> _32, s & _LOW, s >> _32, k & _LOW, k >> _32)


@inlined
def _unit(high, low):
    """A double in (0, 1) from two 32-bit words: 53 random bits, shifted off zero by half a unit."""
    bits = ((high >> np.uint64(5)) << np.uint64(26)) | (low >> np.uint64(6))
    return (np.float64(bits) + 0.5) * _TO_UNIT


@inlined
def uniform_at(key, index, slot):
    """One draw from U(0, 1), open at both ends."""
    x0, x1, _x2, _x3 = block(key, index, slot)
    return _unit(x0, x1)


@jit
def integer_at(key, index, slot, n):
    """One integer from 0..n-1; bias below n / 2**53."""
    return min(np.int64(uniform_at(key, index, slot) * n), np.int64(n) - 1)


_CENTRE_N = (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
             1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0)
_CENTRE_D = (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
             5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0)
_MIDDLE_N = (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
             3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0)
_MIDDLE_D = (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
             6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0)
_TAIL_N = (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
           2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0)
_TAIL_D = (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
           1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0)


@jit
def _poly(c, r):
    """A polynomial of degree 7, highest power first."""
    return ((((((c[0] * r + c[1]) * r + c[2]) * r + c[3]) * r + c[4]) * r + c[5]) * r + c[6]) * r + c[7]


@jit
def normal_quantile(u):
    """The standard normal variate below which a share ``u`` of (0, 1) lies (Wichura 1988, algorithm AS 241, PPND16)."""
    q = u - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * _poly(_CENTRE_N, r) / _poly(_CENTRE_D, r)
    r = math.sqrt(-math.log(u if q < 0.0 else 1.0 - u))
    if r <= 5.0:
        z = _poly(_MIDDLE_N, r - 1.6) / _poly(_MIDDLE_D, r - 1.6)
    else:
        z = _poly(_TAIL_N, r - 5.0) / _poly(_TAIL_D, r - 5.0)
    return -z if q < 0.0 else z


@jit
def normal_at(key, index, slot):
    """One draw from N(0, 1), by inversion."""
    return normal_quantile(uniform_at(key, index, slot))


@jit
def exponential_at(key, index, slot):
    """One draw from the exponential distribution of mean 1."""
    return -math.log(uniform_at(key, index, slot))


@jit
def gamma_at(key, index, slot, shape):
    """One draw from Gamma(shape, 1) (Marsaglia & Tsang 2000; shapes below 1 by their boost, section 6).

    The trials of one draw use the slots ``slot * 2**20 + trial``.
    """
    a = shape if shape >= 1.0 else shape + 1.0
    d = a - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    first = np.int64(slot) * 1048576
    trial = first
    value = d
    while True:
        x = normal_at(key, index, trial)
        u = uniform_at(key, index, trial + 1)
        trial += 2
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
            value = d * v
            break
    if shape < 1.0:
        value *= uniform_at(key, index, first + 1048575) ** (1.0 / shape)
    return value


@jit
def fill_uniform(key, first, low, high, out):
    """out[i] = U(low, high) of item first + i, slot 0."""
    for i in range(out.size):
        out[i] = low + (high - low) * uniform_at(key, first + i, 0)


@jit
def _quantiles(mean, sd, out):
    for i in range(out.size):
        out[i] = mean + sd * normal_quantile(out[i])


@jit
def _normal_again(key, index, mean, sd, low, high):
    slot = 1
    value = mean + sd * normal_at(key, index, slot)
    while value < low or value > high:
        slot += 1
        value = mean + sd * normal_at(key, index, slot)
    return value


@jit
def fill_normal(key, first, mean, sd, low, high, out):
    """out[i] = N(mean, sd) of item first + i, drawn again until it lies in [low, high]."""
    for start in range(0, out.size, 512):
        tile = out[start:start + 512]
        fill_uniform(key, first + start, 0.0, 1.0, tile)  # vectorised
        _quantiles(mean, sd, tile)
        for i in range(tile.size):
            if tile[i] < low or tile[i] > high:
                tile[i] = _normal_again(key, first + start + i, mean, sd, low, high)


@jit
def fill_exponential(key, first, mean, low, high, out):
    """out[i] = exponential of the given mean, item first + i, drawn again until it lies in [low, high]."""
    for i in range(out.size):
        slot = 0
        value = mean * exponential_at(key, first + i, slot)
        while value < low or value > high:
            slot += 1
            value = mean * exponential_at(key, first + i, slot)
        out[i] = value


@jit
def fill_gamma(key, first, shape, scale, low, high, out):
    """out[i] = Gamma(shape, scale), item first + i, drawn again until it lies in [low, high]."""
    for i in range(out.size):
        slot = 0
        value = scale * gamma_at(key, first + i, slot, shape)
        while value < low or value > high:
            slot += 1
            value = scale * gamma_at(key, first + i, slot, shape)
        out[i] = value


@jit
def fill_integers(key, first, low, high, out):
    """out[i] = integer from low..high inclusive, item first + i, slot 0."""
    for i in range(out.size):
        out[i] = low + integer_at(key, first + i, 0, high - low + 1)
