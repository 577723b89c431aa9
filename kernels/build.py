"""Sorting synapses into rows: by source, then delay, then target, apart for each part of the target group.

A counting sort in two passes over the same stream of synapses: ``count``, a running sum, ``fill``.
"""

import numpy as np

from . import jit


@jit
def count(pre, post, source, target, part_size, codes, code, counts):
    """counts[part, row, delay code] += 1 for each synapse.

    Parameters
    ----------
    pre, post : ndarray, int32 (k,)
        Indices within the projection's two ends.
    source, target : ndarray, int32
        The neuron of each index within its group.
    part_size : int
        Neurons in a part of the target group.
    codes : ndarray, uint16 (k,) or (0,)
        Delay code of each synapse; empty if all have ``code``.
    counts : ndarray, uint32 (parts, rows, codes)
    """
    one = codes.size == 0
    for j in range(pre.size):
        c = code if one else np.int64(codes[j])
        counts[target[post[j]] // part_size, source[pre[j]], c] += np.uint32(1)


@jit
def fill(pre, post, source, target, part_size, codes, code, cursor, bases, targets, weight, weights):
    """Write each synapse to its place, advancing ``cursor`` (parts, rows, codes).

    ``targets`` (uint16 or int32) and ``weights`` (float32, float64 or empty) are flat over the
    parts, part p beginning at ``bases[p]``; ``weight`` (k,) float64.  Targets are relative to their part.
    """
    one = codes.size == 0
    weighted = weights.size > 0
    for j in range(pre.size):
        c = code if one else np.int64(codes[j])
        i = np.int64(target[post[j]])
        p = i // part_size
        row = source[pre[j]]
        at = bases[p] + np.int64(cursor[p, row, c])
        cursor[p, row, c] += np.uint32(1)
        targets[at] = i - p * part_size
        if weighted:
            weights[at] = weight[j]


@jit
def locate(pre, post, source, target, part_size, codes, code, cursor, bases, places):
    """As :func:`fill`, but only tells the place of each synapse, in ``places`` (k,) int64."""
    one = codes.size == 0
    for j in range(pre.size):
        c = code if one else np.int64(codes[j])
        p = np.int64(target[post[j]]) // part_size
        row = source[pre[j]]
        places[j] = bases[p] + np.int64(cursor[p, row, c])
        cursor[p, row, c] += np.uint32(1)


@jit
def starts(counts, order, pointer):
    """Running sum of the counts of one part, (rows, codes) read in the codes' ascending order, into ``pointer``.

    ``pointer`` is uint32 (rows * codes + 1,); returns the total.
    """
    total = np.int64(0)
    at = 0
    for row in range(counts.shape[0]):
        for c in range(order.size):
            pointer[at] = total
            total += counts[row, order[c]]
            at += 1
    pointer[at] = total
    return total
