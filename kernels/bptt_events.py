"""Products of weights with sparse rows, by their entries that are not zero.

Rows are lists of such entries: those of row r lie at first[r] .. last[r] - 1 of ``index`` (int32, columns) and ``value``.
Sums are taken in the order of the entries, so that they depend on nothing else.
"""

import numpy as np

from . import jit

BLOCK = 16  # entries that are looked at together


@jit
def listed(x, bits, lo, hi, at, end, first, last, index, value):
    """List the entries of rows lo .. hi - 1 that are not zero, from ``at`` on; the place after the last, or -1.

    -1 means that there is no room up to ``end``: the rows are not sparse.

    Parameters
    ----------
    x : float (rows, n)
    bits : int32 or int64 (rows, n)
        The same memory; -0.0 counts as an entry, which changes no sum.
    first, last : int64 (rows,)
    index : int32 (room,)
    value : like x (room,)
    """
    n = x.shape[1]
    for r in range(lo, hi):
        first[r] = at
        for k0 in range(0, n, BLOCK):
            k1 = min(k0 + BLOCK, n)
            if at + BLOCK > end:
                return -1
            if k1 - k0 == BLOCK:
                row = bits[r, k0:k0 + BLOCK]
                found = row[0]
                for k in range(1, BLOCK):
                    found |= row[k]
                if found == 0:
                    continue
            for k in range(k0, k1):
                index[at] = k
                value[at] = x[r, k]
                at += bits[r, k] != 0
        last[r] = at
    return at


@jit
def gathered(begin, end, index, value, weight, out):
    """Add to ``out`` (n,) the rows of ``weight`` (m, n) that the entries begin .. end - 1 name, times their values."""
    n = out.size
    e = begin
    while e + 4 <= end:
        row0, row1, row2, row3 = weight[index[e]], weight[index[e + 1]], weight[index[e + 2]], weight[index[e + 3]]
        x0, x1, x2, x3 = value[e], value[e + 1], value[e + 2], value[e + 3]
        for k in range(n):
            out[k] += (x0 * row0[k] + x1 * row1[k]) + (x2 * row2[k] + x3 * row3[k])
        e += 4
    while e < end:
        row0, x0 = weight[index[e]], value[e]
        for k in range(n):
            out[k] += x0 * row0[k]
        e += 1


@jit
def scattered(begin, end, index, value, g, grad):
    """Add ``g`` (n,) times an entry's value to the row of ``grad`` (m, n) that it names, for entries begin .. end - 1."""
    for e in range(begin, end):
        row, x = grad[index[e]], value[e]
        for k in range(g.size):
            row[k] += x * g[k]


@jit
def products(lo, hi, first, last, index, value, weight, bias, out):
    """Rows lo .. hi - 1 of ``out`` (rows, n): the bias (n,) and the listed entries times ``weight`` (m, n)."""
    for r in range(lo, hi):
        out[r] = bias
        gathered(first[r], last[r], index, value, weight, out[r])


@jit
def product_grads(lo, hi, first, last, index, value, g, grad):
    """Add to ``grad`` (m, n) what rows lo .. hi - 1 of ``g`` (rows, n) say of the weights."""
    for r in range(lo, hi):
        scattered(first[r], last[r], index, value, g[r], grad)


@jit
def spiking(s, index):
    """Which entries of ``s`` (n,) are not zero: their number; their places in ``index`` (n,)."""
    at = 0
    for k in range(s.size):
        index[at] = k
        at += s[k] != 0
    return at


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
    """total (n,) float64 += partial (n,), which is set to zero."""
    zero = partial.dtype.type(0)
    for k in range(partial.size):
        total[k] += np.float64(partial[k])
        partial[k] = zero
