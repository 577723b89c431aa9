"""Parameters of a stretch of neurons as contiguous rows, whether the neurons are alike or not.

A kernel whose rule costs much more than reading its parameters sweeps tiles of neurons with one loop for
both cases: where all neurons are alike the only column is repeated once, else the tile's columns are copied.
"""

import numba
import numpy as np

from . import _OPTIONS, _OwnCache, jit

TILE = 512  # neurons; a few dozen rows of that length fit the second-level cache
_BLOCK = 64


def inlined(function):
    """As :func:`neurosim.kernels.jit`, and always inlined: a loop that calls a large rule is vectorised only then."""
    with _OwnCache():
        return numba.njit(forceinline=True, **_OPTIONS)(function)


@jit
def rows_for(p, lo, hi):
    """Room for the parameters of one tile: float64 (n_parameters, at most TILE); filled if ``p`` has a single column."""
    q = np.empty((p.shape[0], min(TILE, max(hi - lo, 1))))
    if p.shape[1] == 1:
        for k in range(p.shape[0]):
            q[k, :] = p[k, 0]
    return q


@jit
def load(p, a, b, q):
    """Make ``q`` hold the parameters of neurons a..b-1 in its first b - a columns."""
    if p.shape[1] > 1:
        for k in range(p.shape[0]):
            q[k, :b - a] = p[k, a:b]


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
