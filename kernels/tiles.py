"""Sweeps over tiles of neurons: parameters as contiguous rows, alike or not, and the search for spikes.

A sweep is one loop over the arrays of a tile, without branches, so that LLVM vectorises it.  Each loop begins
with a test for overlapping arrays; a tile is long enough that this costs nothing, and short enough for the cache.
"""

import numpy as np

from . import jit

TILE = 512  # neurons; a few dozen rows of that length fit the second-level cache
_BLOCK = 64


@jit
def columns(p, lo, hi):
    """Parameters for tiles of neurons lo..hi-1: ``p``, or its only column repeated over the length of a tile.

    A tile that starts at neuron a reads columns from a on, or, if all neurons are alike, from 0 on.
    """
    if p.shape[1] > 1:
        return p
    q = np.empty((p.shape[0], min(TILE, max(hi - lo, 1))))
    for k in range(p.shape[0]):
        q[k, :] = p[k, 0]
    return q


@jit
def collect(v, r, v_thresh, v_reset, refractory, first, out, count):
    """Reset the neurons of a tile that reached the threshold and append their ids; returns the new count.

    Arrays of shape (m,); ``first`` is the id of the tile's first neuron.  Blocks are counted before they are searched.
    """
    for a in range(0, v.size, _BLOCK):
        b = min(a + _BLOCK, v.size)
        crossed = np.int64(0)
        for i in range(a, b):
            crossed += np.int64(1) if v[i] >= v_thresh[i] else np.int64(0)
        if crossed > 0:
            for i in range(a, b):
                if v[i] >= v_thresh[i]:
                    v[i] = v_reset[i]
                    r[i] = refractory[i]
                    out[count] = first + i
                    count += 1
    return count
