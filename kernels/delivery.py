"""Adding a row of synapses to the state of its targets.

``tg`` are targets relative to the part, uint16 or int32; ``w`` weights, float32 or float64.  A cell's
input is one row of its state (conductances, voltage jumps), two (a current that decays, and the
membrane mode that keeps the voltage continuous), or three (an alpha-shaped current).
"""

import numpy as np

from . import jit


@jit
def add1(a, tg, ca):
    """a[target] += ca, for a row whose synapses have one weight."""
    for j in range(tg.size):
        a[np.uint64(tg[j])] += ca


@jit
def add1v(a, tg, w, ca):
    """a[target] += ca * weight."""
    for j in range(tg.size):
        a[np.uint64(tg[j])] += ca * w[j]


@jit
def add2(a, b, tg, ca, cb):
    """Two rows, one weight."""
    for j in range(tg.size):
        i = np.uint64(tg[j])
        a[i] += ca
        b[i] += cb


@jit
def add2v(a, b, tg, w, ca, cb):
    """Two rows, a weight for each synapse."""
    for j in range(tg.size):
        i = np.uint64(tg[j])
        x = np.float64(w[j])
        a[i] += ca * x
        b[i] += cb * x


@jit
def add3(a, b, c, tg, ca, cb, cc):
    """Three rows, one weight."""
    for j in range(tg.size):
        i = np.uint64(tg[j])
        a[i] += ca
        b[i] += cb
        c[i] += cc


@jit
def add3v(a, b, c, tg, w, ca, cb, cc):
    """Three rows, a weight for each synapse."""
    for j in range(tg.size):
        i = np.uint64(tg[j])
        x = np.float64(w[j])
        a[i] += ca * x
        b[i] += cb * x
        c[i] += cc * x
