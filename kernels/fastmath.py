"""An exponential that LLVM can vectorise: no table, no branch, no call.

The loops over neurons call :func:`exp` instead of ``math.exp``, whose library call would keep them
scalar.  Only additions, multiplications and integer operations are used (none fused), so that every
machine gives the same bits.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import jit


@intrinsic
def _as_int(typingctx, x):
    """The 64 bits of a float64, read as int64."""
    signature = types.int64(types.float64)

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return signature, codegen


@intrinsic
def _as_float(typingctx, i):
    """64 bits read as a float64."""
    signature = types.float64(types.int64)

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return signature, codegen


_SHIFT = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to a whole number, left in the low bits
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01  # the 21 low bits are zero: k * _LN2_HIGH is exact for |k| < 2**20
_LN2_LOW = 1.90821492927058770002e-10
LOWEST = -708.0  # exp of this is still a normal number
HIGHEST = 709.0


@jit
def exp(x):
    """e**x within 1 ulp; x, a float64, is first clamped to [-708, 709].

    x = k ln 2 + r with |r| <= ln 2 / 2 (Cody & Waite's reduction), e**r by its Taylor polynomial of degree 13
    (remainder below 2**-57), and 2**k by adding k to the exponent bits.
    """
    x = LOWEST if x < LOWEST else x  # noqa: FURB136 (in this form NaN stays NaN)
    x = HIGHEST if x > HIGHEST else x  # noqa: FURB136
    shifted = x * _LOG2_E + _SHIFT
    k = shifted - _SHIFT
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    # Estrin's order: short chains of dependent operations.
    low = (0.5 + r * 0.16666666666666666) + r2 * (0.041666666666666664 + r * 0.008333333333333333)
    mid = (0.001388888888888889 + r * 0.0001984126984126984) + r2 * (2.48015873015873e-05 + r * 2.7557319223985893e-06)
    high = (2.755731922398589e-07 + r * 2.505210838544172e-08)
    high += r2 * (2.08767569878681e-09 + r * 1.6059043836821613e-10)
    p = 1.0 + (r + r2 * (low + r4 * (mid + r4 * high)))
    return _as_float(_as_int(p) + (_as_int(shifted) << 52))
