"""Who is connected to whom: random draws of sources and targets, and orders of synapses.

Every draw is addressed by (key, the cell that it is drawn for, slot), so that any range of cells can
be drawn alone and again.  One Philox block gives four 32-bit words; a word becomes an integer below n
by multiply and shift (Lemire 2019, "Fast random integer generation in an interval", without the
rejection): no value's probability is off by more than 2**-32, a relative bias below n * 2**-32.

``own[t]`` is the index, among the sources, of the cell that target t is, where a cell may not connect
to itself; -1 elsewhere.  Draws are then made among one source fewer, and those at or above it move up.
"""

import math

import numpy as np

from . import jit
from .random import _unit, block, uniform_at

_32 = np.uint64(32)
_1 = np.uint64(1)
_63 = np.uint64(63)
_TWO_32 = 4294967296.0
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
# Position of the lowest set bit from (bit * _DE_BRUIJN) >> 58 (Leiserson, Prokop & Randall 1998).
_BIT = np.zeros(64, dtype=np.int32)
for _i in range(64):
    _BIT[((1 << _i) * 0x03F79D71B4CB0A89 & (2**64 - 1)) >> 58] = _i


@jit
def _below(word, n):
    """An integer in 0..n-1 from a 32-bit word held as uint64."""
    return np.int64((word * np.uint64(n)) >> _32)


@jit
def _pick(words, q):
    """Word q (0..3) of a block."""
    if q < 2:
        return words[0] if q == 0 else words[1]
    return words[2] if q == 2 else words[3]


@jit
def _draw(key, index, m, out):
    """out[:] = independent integers in 0..m-1, drawn for ``index``; unsorted."""
    n = out.size
    whole = n & ~3
    for k in range(0, whole, 4):
        x0, x1, x2, x3 = block(key, index, k >> 2)
        out[k] = _below(x0, m)
        out[k + 1] = _below(x1, m)
        out[k + 2] = _below(x2, m)
        out[k + 3] = _below(x3, m)
    if whole < n:
        words = block(key, index, whole >> 2)
        for k in range(whole, n):
            out[k] = _below(_pick(words, k - whole), m)


@jit
def _draw_distinct(key, index, m, bits, out):
    """out[:] = distinct integers in 0..m-1, every set equally likely; unsorted; leaves their bits set.

    Floyd's algorithm (Bentley & Floyd 1987, "A sample of brilliance", CACM 30:754).  ``bits`` uint64,
    all zero on entry.
    """
    n = out.size
    words = block(key, index, 0)
    for k in range(n):
        if k & 3 == 0 and k > 0:
            words = block(key, index, k >> 2)
        last = m - n + k
        value = _below(_pick(words, k & 3), last + 1)
        if (bits[value >> 6] >> (np.uint64(value) & _63)) & _1:
            value = last
        bits[value >> 6] |= _1 << (np.uint64(value) & _63)
        out[k] = value


@jit
def _sort(values, top, scratch, count):
    """Sort ``values`` (int32, 0 <= value < top) in place: insertion below 48 of them, else radix of 8 bits."""
    n = values.size
    if n < 48:
        for i in range(1, n):
            v = values[i]
            j = i - 1
            while j >= 0 and values[j] > v:
                values[j + 1] = values[j]
                j -= 1
            values[j + 1] = v
        return
    shift = 0
    while (top - 1) >> shift > 0:
        count[:] = 0
        for i in range(n):
            count[(values[i] >> shift) & 255] += 1
        total = 0
        for b in range(256):
            here = count[b]
            count[b] = total
            total += here
        for i in range(n):
            b = (values[i] >> shift) & 255
            scratch[count[b]] = values[i]
            count[b] += 1
        for i in range(n):
            values[i] = scratch[i]
        shift += 8


@jit
def _drain(bits, out):
    """out[:] = the positions of the set bits, ascending; clears them."""
    at = 0
    for w in range(bits.size):
        word = bits[w]
        if word == 0:
            continue
        bits[w] = 0
        base = w << 6
        while word != 0:
            lowest = word & (~word + _1)
            out[at] = base + _BIT[(lowest * _DE_BRUIJN) >> np.uint64(58)]
            at += 1
            word ^= lowest


@jit
def sources_with_replacement(key, first, counts, n_pre, own, pre, post):
    """For target first + t, counts[t] independent sources, ascending.

    ``counts`` int64 and ``own`` int32, shape (targets,); ``pre``, ``post`` int32, shape (sum of counts,).
    """
    scratch = np.empty(counts.max() if counts.size else 0, dtype=np.int32)
    digits = np.empty(256, dtype=np.int32)
    at = 0
    for t in range(counts.size):
        row = pre[at:at + counts[t]]
        forbidden = own[t]
        m = n_pre - (1 if forbidden >= 0 else 0)
        _draw(key, first + t, m, row)
        _sort(row, m, scratch, digits)
        if forbidden >= 0:
            for k in range(row.size):
                row[k] += 1 if row[k] >= forbidden else 0
        for k in range(at, at + counts[t]):
            post[k] = first + t
        at += counts[t]


@jit
def sources_distinct(key, first, counts, n_pre, own, pre, post):
    """For target first + t, counts[t] distinct sources, ascending; shapes as above."""
    bits = np.zeros((n_pre + 63) >> 6, dtype=np.uint64)
    scratch = np.empty(counts.max() if counts.size else 0, dtype=np.int32)
    digits = np.empty(256, dtype=np.int32)
    at = 0
    for t in range(counts.size):
        row = pre[at:at + counts[t]]
        forbidden = own[t]
        m = n_pre - (1 if forbidden >= 0 else 0)
        _draw_distinct(key, first + t, m, bits, row)
        if bits.size <= 4 * row.size:
            _drain(bits, row)
        else:
            for k in range(row.size):
                bits[row[k] >> 6] = 0
            _sort(row, m, scratch, digits)
        if forbidden >= 0:
            for k in range(row.size):
                row[k] += 1 if row[k] >= forbidden else 0
        for k in range(at, at + counts[t]):
            post[k] = first + t
        at += counts[t]


@jit
def sources_by_chance(key, first, last, n_pre, own, p, pre, post):
    """Targets first..last-1: every source with probability ``p``, by geometric steps between hits.

    Returns (the first target that did not fit into ``pre``, synapses of those before it).  The step to
    the next hit is floor(log u / log(1 - p)) + 1 (Devroye 1986, section X.2.2; Batagelj & Brandes 2005), two of 53
    random bits from one block.  ``own`` is indexed by target.
    """
    if p <= 0.0:
        return last, 0
    scale = 1.0 / math.log1p(-p)
    at = 0
    for target in range(first, last):
        start = at
        forbidden = own[target]
        m = n_pre - (1 if forbidden >= 0 else 0)
        position = -1
        slot = 0
        low = np.uint64(0)
        high = np.uint64(0)
        while True:
            if slot & 1 == 0:
                x0, x1, high, low = block(key, target, slot >> 1)
                u = _unit(x0, x1)
            else:
                u = _unit(high, low)
            slot += 1
            step = math.log(u) * scale
            if step >= m - 1 - position:
                break
            position += 1 + np.int64(step)
            if at == pre.size:
                return target, start
            pre[at] = position + (1 if 0 <= forbidden <= position else 0)
            post[at] = target
            at += 1
    return last, at


@jit
def sources_by_matrix(key, first, probability, own, pre, post):
    """Target first + t: source i with ``probability[t, i]``; returns the number of synapses.

    Compares 32 random bits with the probability's first 32; where these are equal, 53 more decide.
    ``pre``, ``post`` int32 of at least probability.size; ``own`` int32, shape (targets,).
    """
    at = 0
    targets, n_pre = probability.shape
    for t in range(targets):
        words = block(key, first + t, 0)
        for i in range(n_pre):
            if i & 3 == 0 and i > 0:
                words = block(key, first + t, i >> 2)
            threshold = probability[t, i] * _TWO_32
            word = np.float64(_pick(words, i & 3))
            if word >= threshold or i == own[t]:
                continue
            if word + 1.0 > threshold and uniform_at(key, first + t, (np.int64(1) << 40) + i) >= threshold - word:
                continue
            pre[at] = i
            post[at] = first + t
            at += 1
    return at


@jit
def all_sources(first, last, n_pre, own, pre, post):
    """Targets first..last-1: every source but their own; ``own`` is indexed by target.  Returns the number."""
    at = 0
    for target in range(first, last):
        for i in range(n_pre):
            if i != own[target]:
                pre[at] = i
                post[at] = target
                at += 1
    return at


@jit
def share_out(key, n, counts):
    """counts[t] += how many of ``n`` independent uniform draws fell on t (a multinomial draw)."""
    m = counts.size
    for k in range(0, n & ~3, 4):
        x0, x1, x2, x3 = block(key, k >> 2, 0)
        counts[_below(x0, m)] += 1
        counts[_below(x1, m)] += 1
        counts[_below(x2, m)] += 1
        counts[_below(x3, m)] += 1
    words = block(key, n >> 2, 0)
    for q in range(n & 3):
        counts[_below(_pick(words, q), m)] += 1


@jit
def share_out_pairs(key, n, n_pre, own, distinct, counts):
    """counts[t] += how many of ``n`` allowed pairs (source, t), drawn uniformly, have target t.

    A pair is drawn and rejected if it is a cell with itself or, where ``distinct``, was drawn before:
    of the n_pre pairs of t that happened to counts[t], whichever they are.
    """
    attempt = 0
    words = block(key, 0, 0)
    for _ in range(n):
        while True:
            if attempt & 1 == 0:
                words = block(key, attempt >> 1, 0)
            t = _below(_pick(words, (attempt & 1) * 2), counts.size)
            source = _below(_pick(words, (attempt & 1) * 2 + 1), n_pre)
            attempt += 1
            if source >= (counts[t] if distinct else 0) + (1 if own[t] >= 0 else 0):
                break
        counts[t] += 1


@jit
def _draw_targets(key, source, n_post, forbidden, distinct, bits, row):
    """row[:] = the targets of one source, unsorted."""
    m = n_post - (1 if forbidden >= 0 else 0)
    if distinct:
        _draw_distinct(key, source, m, bits, row)
        for k in range(row.size):
            bits[row[k] >> 6] = 0
    else:
        _draw(key, source, m, row)
    if forbidden >= 0:
        for k in range(row.size):
            row[k] += 1 if row[k] >= forbidden else 0


@jit
def count_targets(key, fan_out, own, distinct, counts):
    """counts[t] += synapses that target t gets when source i draws fan_out[i] targets.

    ``fan_out`` int64 and ``own`` int32 (the target that source i is, or -1), shape (n_pre,).
    """
    bits = np.zeros((counts.size + 63) >> 6, dtype=np.uint64)
    space = np.empty(fan_out.max() if fan_out.size else 0, dtype=np.int32)
    for source in range(fan_out.size):
        row = space[:fan_out[source]]
        _draw_targets(key, source, counts.size, own[source], distinct, bits, row)
        for k in range(row.size):
            counts[row[k]] += 1


@jit
def fill_targets(key, fan_out, own, distinct, n_post, first, cursor, pre):
    """The sources of targets first .. first + cursor.size - 1, by target, ascending within each.

    ``cursor`` int64: where each target's synapses start in ``pre``; moved to their ends.
    """
    bits = np.zeros((n_post + 63) >> 6, dtype=np.uint64)
    space = np.empty(fan_out.max() if fan_out.size else 0, dtype=np.int32)
    for source in range(fan_out.size):
        row = space[:fan_out[source]]
        _draw_targets(key, source, n_post, own[source], distinct, bits, row)
        for k in range(row.size):
            t = row[k] - first
            if 0 <= t < cursor.size:
                pre[cursor[t]] = source
                cursor[t] += 1


@jit
def repeat_targets(first, counts, post):
    """post = first + t, counts[t] times, for t = 0, 1, ..."""
    at = 0
    for t in range(counts.size):
        for _ in range(counts[t]):
            post[at] = first + t
            at += 1


@jit
def stable_order(values, n_values, order, out):
    """out = ``order`` sorted by values[order], equal ones in their order; values in 0..n_values-1.

    ``values`` int32; ``order``, ``out`` int64, shape (k,).  A counting sort.
    """
    cursor = np.zeros(n_values + 1, dtype=np.int64)
    for k in range(values.size):
        cursor[values[k] + 1] += 1
    for v in range(n_values):
        cursor[v + 1] += cursor[v]
    for k in range(order.size):
        v = values[order[k]]
        out[cursor[v]] = order[k]
        cursor[v] += 1


@jit
def keep_some(key, starts, n, targets, out):
    """Of each source's targets[starts[i]:starts[i+1]], ``n`` chosen at random, in their order, into out[i, :]."""
    widest = 0
    for i in range(starts.size - 1):
        widest = max(widest, starts[i + 1] - starts[i])
    bits = np.zeros((widest + 63) >> 6, dtype=np.uint64)
    for i in range(starts.size - 1):
        row = out[i]
        _draw_distinct(key, i, starts[i + 1] - starts[i], bits, row)
        _drain(bits, row)
        for k in range(n):
            row[k] = targets[starts[i] + row[k]]


@jit
def rewire(key, starts, probability, n_post, own, targets):
    """With ``probability``, move the target of each synapse to one that its source does not have yet.

    Source i's distinct targets are targets[starts[i]:starts[i+1]] (int32, changed in place); ``own[i]`` is
    the target that source i is and may not have, or -1.  The new target is uniform over all others that the source
    has not at that moment (Watts & Strogatz 1998); where there is none, the synapse stays.
    Slots: synapse * 2**32 + trial, trial 0 for whether.
    """
    bits = np.zeros((n_post + 63) >> 6, dtype=np.uint64)
    for i in range(starts.size - 1):
        row = targets[starts[i]:starts[i + 1]]
        allowed = n_post - (1 if own[i] >= 0 else 0)
        if row.size >= allowed:
            continue
        for k in range(row.size):
            bits[row[k] >> 6] |= _1 << (np.uint64(row[k]) & _63)
        for k in range(row.size):
            slot = np.int64(k) << 32
            if uniform_at(key, i, slot) >= probability:
                continue
            while True:
                slot += 1
                new = _below(block(key, i, slot)[0], n_post)
                if new != own[i] and not (bits[new >> 6] >> (np.uint64(new) & _63)) & _1:
                    break
            old = row[k]
            bits[old >> 6] &= ~(_1 << (np.uint64(old) & _63))
            bits[new >> 6] |= _1 << (np.uint64(new) & _63)
            row[k] = new
        for k in range(row.size):
            bits[row[k] >> 6] = 0
