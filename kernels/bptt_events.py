"""Products of weights with sparse rows, by their entries that are not zero.

Rows are lists of such entries: those of row r lie at first[r] .. last[r] - 1 of ``column`` and ``value``.
Sums are taken in the order of the entries, so that they depend on nothing else.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import jit

LANES = 16  # entries that are looked at together


class Entries(NamedTuple):
    """Lists of entries, as above: ``first``, ``last`` int64 (rows,); ``column`` int32, ``value`` (room,)."""

    first: np.ndarray
    last: np.ndarray
    column: np.ndarray
    value: np.ndarray


@intrinsic
def _not_zero(typingctx, x, at):
    """Bits 0 .. 15 say which of x[at] .. x[at + 15] are not zero; x is contiguous, of floats."""
    signature = types.int32(x, types.int64)

    def codegen(context, builder, sig, args):
        array = context.make_array(sig.args[0])(context, builder, args[0])
        number = context.get_value_type(sig.args[0].dtype)
        vector = ir.VectorType(number, LANES)
        start = builder.gep(array.data, [args[1]])
        loaded = builder.load(builder.bitcast(start, vector.as_pointer()), align=sig.args[0].dtype.bitwidth // 8)
        mask = builder.fcmp_unordered("!=", loaded, ir.Constant(vector, [0.0] * LANES))
        return builder.zext(builder.bitcast(mask, ir.IntType(LANES)), ir.IntType(32))

    return signature, codegen


@intrinsic
def _lowest(typingctx, mask):
    """The place of the lowest bit that is set."""
    signature = types.int32(types.int32)

    def codegen(context, builder, sig, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return signature, codegen


@jit
def list_row(x, at, column, value):
    """List the entries of ``x`` (n,) that are not zero from place ``at`` on, where there is room for n; the place after them."""
    n = x.size
    k = 0
    while k + LANES <= n:
        mask = _not_zero(x, k)
        while mask != 0:
            j = k + _lowest(mask)
            column[at] = j
            value[at] = x[j]
            at += 1
            mask &= mask - 1
        k += LANES
    while k < n:
        if x[k] != 0:
            column[at] = k
            value[at] = x[k]
            at += 1
        k += 1
    return at


@jit
def listed(x, lo, hi, at, end, entries):
    """List rows lo .. hi - 1 of ``x`` (rows, n) from place ``at`` on; the place after them.

    -1 where places up to ``end`` may not do: the rows are not sparse.
    """
    for r in range(lo, hi):
        if at + x.shape[1] > end:
            return -1
        entries.first[r] = at
        at = list_row(x[r], at, entries.column, entries.value)
        entries.last[r] = at
    return at


@jit
def gathered(begin, end, column, value, weight, out):
    """Add to ``out`` (n,) the rows of ``weight`` (m, n) that the entries begin .. end - 1 name, times their values."""
    n = out.size
    e = begin
    while e + 4 <= end:
        row0, row1, row2, row3 = weight[column[e]], weight[column[e + 1]], weight[column[e + 2]], weight[column[e + 3]]
        x0, x1, x2, x3 = value[e], value[e + 1], value[e + 2], value[e + 3]
        for k in range(n):
            out[k] += (x0 * row0[k] + x1 * row1[k]) + (x2 * row2[k] + x3 * row3[k])
        e += 4
    while e < end:
        row0, x0 = weight[column[e]], value[e]
        for k in range(n):
            out[k] += x0 * row0[k]
        e += 1


@jit
def scattered(begin, end, column, value, g, grad):
    """Add ``g`` (n,) times an entry's value to the row of ``grad`` (m, n) that it names, for entries begin .. end - 1."""
    for e in range(begin, end):
        row, x = grad[column[e]], value[e]
        for k in range(g.size):
            row[k] += x * g[k]


@jit
def products(lo, hi, entries, weight, bias, out):
    """Rows lo .. hi - 1 of ``out`` (rows, n): the bias (n,) and the listed entries times ``weight`` (m, n)."""
    for r in range(lo, hi):
        out[r] = bias
        gathered(entries.first[r], entries.last[r], entries.column, entries.value, weight, out[r])


@jit
def product_grads(lo, hi, entries, g, grad):
    """Add to ``grad`` (m, n) what rows lo .. hi - 1 of ``g`` (rows, n) say of the weights."""
    for r in range(lo, hi):
        scattered(entries.first[r], entries.last[r], entries.column, entries.value, g[r], grad)


@jit
def transposed_product(g, weight, out):
    """out (m,) = weight^T g, for ``weight`` (n, m) and ``g`` (n,)."""
    n, m = weight.shape
    out[:] = 0
    k = 0
    while k + 4 <= n:
        row0, row1, row2, row3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        g0, g1, g2, g3 = g[k], g[k + 1], g[k + 2], g[k + 3]
        for j in range(m):
            out[j] += (g0 * row0[j] + g1 * row1[j]) + (g2 * row2[j] + g3 * row3[j])
        k += 4
    while k < n:
        row0, g0 = weight[k], g[k]
        for j in range(m):
            out[j] += g0 * row0[j]
        k += 1


@jit
def added(partial, total):
    """total (n,) float64 += the sum of the rows of ``partial`` (rows n,), which is set to zero."""
    n, zero = total.size, partial.dtype.type(0)
    for b in range(0, partial.size, n):
        for k in range(n):
            total[k] += np.float64(partial[b + k])
            partial[b + k] = zero
