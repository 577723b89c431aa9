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

LANES = 64  # places that are looked at together
WIDTHS = WIDE, MIDDLE, NARROW = 256, 64, 16  # bytes of a row that are summed up in registers
HELD = 2**17  # numbers of a gradient that are held back, so that they come from the cache again


class Entries(NamedTuple):
    """Lists of entries, as above: ``first``, ``last`` int64 (rows,); ``column`` int32, ``value`` (room,)."""

    first: np.ndarray
    last: np.ndarray
    column: np.ndarray
    value: np.ndarray


@intrinsic
def _not_zero(typingctx, x, at):
    """Bits 0 .. 63 say which of x[at] .. x[at + 63] are not zero; x is contiguous, of floats."""
    signature = types.uint64(x, types.int64)

    def codegen(context, builder, sig, args):
        array = context.make_array(sig.args[0])(context, builder, args[0])
        vector = ir.VectorType(context.get_value_type(sig.args[0].dtype), LANES)
        start = builder.gep(array.data, [args[1]])
        loaded = builder.load(builder.bitcast(start, vector.as_pointer()), align=sig.args[0].dtype.bitwidth // 8)
        mask = builder.fcmp_unordered("!=", loaded, ir.Constant(vector, [0.0] * LANES))
        return builder.bitcast(mask, ir.IntType(LANES))

    return signature, codegen


@intrinsic
def _lowest(typingctx, mask):
    """The place of the lowest bit that is set; 64 where there is none."""
    signature = types.int64(types.uint64)

    def codegen(context, builder, sig, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return signature, codegen


@intrinsic
def _count(typingctx, mask):
    """How many bits are set."""
    signature = types.int64(types.uint64)

    def codegen(context, builder, sig, args):
        return builder.ctpop(args[0])

    return signature, codegen


def _adder(width):
    """What adds to so many bytes of ``out`` from k on those of the rows of ``weight`` that the entries name, times their values.

    The sum stays in registers.  Products are rounded before they are added, as in plain loops.
    """

    @intrinsic
    def add(typingctx, begin, end, column, value, weight, k, out):
        signature = types.void(types.int64, types.int64, column, value, weight, types.int64, out)

        def codegen(context, builder, sig, args):
            begin, end, *_, k, _ = args
            column, value, weight, out = (context.make_array(sig.args[place])(context, builder, args[place]) for place in (2, 3, 4, 6))
            number, size, long = context.get_value_type(sig.args[3].dtype), sig.args[3].dtype.bitwidth // 8, ir.IntType(64)
            vector = ir.VectorType(number, width // size)
            into = builder.bitcast(builder.gep(out.data, [k]), vector.as_pointer())
            before = builder.load(into, align=size)
            entry, (head, body, done) = builder.basic_block, (builder.append_basic_block(name) for name in ("head", "body", "done"))
            builder.branch(head)
            builder.position_at_end(head)
            e, total = builder.phi(long), builder.phi(vector)
            e.add_incoming(begin, entry)
            total.add_incoming(before, entry)
            builder.cbranch(builder.icmp_signed("<", e, end), body, done)
            builder.position_at_end(body)
            row = builder.mul(builder.sext(builder.load(builder.gep(column.data, [e])), long), builder.extract_value(weight.shape, 1))
            start = builder.gep(weight.data, [builder.add(row, k)])
            loaded = builder.load(builder.bitcast(start, vector.as_pointer()), align=size)
            none, word = ir.Constant(vector, ir.Undefined), ir.IntType(32)
            factor = builder.insert_element(none, builder.load(builder.gep(value.data, [e])), ir.Constant(word, 0))
            factor = builder.shuffle_vector(factor, none, ir.Constant(ir.VectorType(word, width // size), [0] * (width // size)))
            e.add_incoming(builder.add(e, ir.Constant(long, 1)), body)
            total.add_incoming(builder.fadd(total, builder.fmul(factor, loaded)), body)
            builder.branch(head)
            builder.position_at_end(done)
            builder.store(total, into, align=size)
            return context.get_dummy_value()

        return signature, codegen

    return add


_add_wide, _add_middle, _add_narrow = (_adder(width) for width in WIDTHS)


@jit
def list_row(x, at, column, value):
    """List the entries of ``x`` (n,) that are not zero from place ``at`` on, where there is room for n; the place after them."""
    n = x.size
    k = 0
    while k + LANES <= n:
        mask = _not_zero(x, k)
        end = at + _count(mask)
        e = at
        while e < end:  # by fours, some of them too many: a branch for each would be guessed wrong too often
            for _ in range(4):
                j = k + (_lowest(mask) & (LANES - 1))
                column[e] = j
                value[e] = x[j]
                e += 1
                mask &= mask - np.uint64(1)
        at = end
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
    n, size = out.size, out.itemsize
    k = 0
    while k + WIDE // size <= n:
        _add_wide(begin, end, column, value, weight, k, out)
        k += WIDE // size
    while k + MIDDLE // size <= n:
        _add_middle(begin, end, column, value, weight, k, out)
        k += MIDDLE // size
    while k + NARROW // size <= n:
        _add_narrow(begin, end, column, value, weight, k, out)
        k += NARROW // size
    while k < n:
        total = out[k]
        for e in range(begin, end):
            total += value[e] * weight[column[e], k]
        out[k] = total
        k += 1


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
def held_grads(t0, t1, lo, hi, n_batch, entries, held, stride, begin, row, value, grad):
    """Add to ``grad`` (m, n) what ``held``, rows (t - t0) stride + b - lo of gradients, says: steps t0 .. t1 - 1, samples lo .. hi - 1.

    The entries are put in the order of their columns, so that each row of ``grad`` is read and written once;
    those of short rows are not.

    Parameters
    ----------
    begin : (m + 2,)
        int64; anything.
    row, value : (room,)
        int32 and as held: room for all entries.
    """
    m = grad.shape[0]
    if grad.shape[1] * grad.itemsize < WIDE:  # not worth the order
        for t in range(t0, t1):
            for b in range(lo, hi):
                r = t * n_batch + b
                scattered(entries.first[r], entries.last[r], entries.column, entries.value, held[(t - t0) * stride + b - lo], grad)
        return
    begin[:] = 0
    for t in range(t0, t1):
        for r in range(t * n_batch + lo, t * n_batch + hi):
            for e in range(entries.first[r], entries.last[r]):
                begin[entries.column[e] + 2] += 1
    for c in range(m):
        begin[c + 2] += begin[c + 1]
    for t in range(t0, t1):
        for b in range(lo, hi):
            r = t * n_batch + b
            for e in range(entries.first[r], entries.last[r]):
                at = begin[entries.column[e] + 1]
                row[at] = (t - t0) * stride + b - lo
                value[at] = entries.value[e]
                begin[entries.column[e] + 1] = at + 1
    for c in range(m):
        if begin[c] < begin[c + 1]:
            gathered(begin[c], begin[c + 1], row, value, held, grad[c])


@jit
def most_entries(steps, n_steps, lo, hi, n_batch, entries):
    """The most entries that samples lo .. hi - 1 have in so many steps t0 .. t0 + steps - 1, t0 being a multiple of ``steps``."""
    most = 0
    for t0 in range(0, n_steps, steps):
        found = 0
        for t in range(t0, min(t0 + steps, n_steps)):
            for r in range(t * n_batch + lo, t * n_batch + hi):
                found += entries.last[r] - entries.first[r]
        most = max(most, found)
    return most


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
