"""Parameters of a stretch of neurons as contiguous rows, whether the neurons are alike or not.

A kernel whose rule costs much more than reading its parameters sweeps tiles of neurons with one loop for
both cases: where all neurons are alike the only column is repeated once, else the tile's columns are copied.
"""

import numpy as np

from . import jit

TILE = 512  # neurons; a few dozen rows of that length fit the second-level cache


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
