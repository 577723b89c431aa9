"""Statistics of spike trains, on plain arrays: times in ms, ascending; ids of the neurons beside them.

A spike found in the step from t - dt to t has the time t, so windows are open on the left:
``t0 < t <= t1``, as are bins.  Times are compared to within 1e-6 ms, because 3 * 0.1 is not 0.3.
"""

from __future__ import annotations

import math

import numpy as np

from .errors import ParameterError

__all__ = ["bin_counts", "bin_edges", "correlation", "cv", "grouped", "intervals", "partnered", "synchrony", "van_rossum",
           "victor_purpura"]

TOLERANCE = 1e-6  # ms


def bin_edges(window: tuple[float, float], width: float) -> np.ndarray:
    """Edges, ms, of the whole bins of ``width`` ms that fit into a window; float64, shape (n_bins + 1,)."""
    if not (math.isfinite(width) and width > 0):
        raise ParameterError(f"the width of a bin must be > 0 ms, got {width!r}")
    n = max(0, math.floor((window[1] - window[0] + TOLERANCE) / width))
    return window[0] + width * np.arange(n + 1)


def _bins(times: np.ndarray, start: float, width: float) -> np.ndarray:
    """The bin of each spike; one at the very start belongs to the first."""
    bins = np.ceil((times - start - TOLERANCE) / width).astype(np.int64) - 1
    bins[np.abs(times - start) <= TOLERANCE] = 0
    return bins


def bin_counts(times: np.ndarray, window: tuple[float, float], width: float) -> tuple[np.ndarray, np.ndarray]:
    """Spikes in bins: counts, int64, shape (n_bins,), and the edges of the bins in ms, shape (n_bins + 1,)."""
    edges = bin_edges(window, width)
    n = edges.size - 1
    bins = _bins(times, window[0], width)
    return np.bincount(bins[(bins >= 0) & (bins < n)], minlength=n).astype(np.int64), edges


def grouped(times: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spikes neuron by neuron: which neurons fired, ascending; their times; where each one's times begin.

    Returns
    -------
    neurons : ndarray, shape (n,)
    times : ndarray, ms, shape (n_spikes,)
        Those of ``neurons[k]`` are ``times[starts[k]:starts[k + 1]]``, ascending.
    starts : ndarray, shape (n + 1,)
    """
    order = np.argsort(ids, kind="stable")
    neurons, first = np.unique(ids[order], return_index=True)
    return neurons, times[order], np.append(first, ids.size)


def intervals(times: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intervals between successive spikes of one neuron, ms, and the neuron of each."""
    order = np.argsort(ids, kind="stable")
    neuron, steps = ids[order], np.diff(times[order])
    same = neuron[1:] == neuron[:-1]
    return steps[same], neuron[1:][same]


def cv(times: np.ndarray, ids: np.ndarray, min_spikes: int = 10) -> float:
    """Irregularity: mean over neurons of standard deviation / mean of the interspike intervals.

    0 for a clock, 1 for a Poisson process.  Softky & Koch, J. Neurosci. 13:334 (1993).

    Parameters
    ----------
    min_spikes : int
        Neurons with fewer spikes are left out: from few intervals the value comes out too small
        (a Poisson process with 10 spikes has 0.87 on average, with 3 spikes 0.5).

    Returns
    -------
    float
        No unit; nan where no neuron has enough spikes.
    """
    if min_spikes < 3:
        raise ParameterError(f"min_spikes must be >= 3, got {min_spikes}: one interval has no deviation")
    gaps, neuron = intervals(times, ids)
    if not gaps.size:
        return math.nan
    _, index, n = np.unique(neuron, return_inverse=True, return_counts=True)
    mean = np.bincount(index, gaps) / n
    deviation = np.sqrt(np.bincount(index, (gaps - mean[index]) ** 2) / n)
    enough = (n >= min_spikes - 1) & (mean > 0)
    return float(np.mean(deviation[enough] / mean[enough])) if enough.any() else math.nan


def synchrony(times: np.ndarray, window: tuple[float, float], width: float = 3.0) -> float:
    """Variance over mean of the number of a population's spikes in bins.

    1 for independent Poisson neurons, more for neurons that fire together.  With bins of 3 ms, the
    "synchrony" of Potjans & Diesmann, Cereb. Cortex 24:785 (2014), who take it over 1000 neurons:
    the value grows with the number of neurons.

    Returns
    -------
    float
        No unit; nan without spikes, or with fewer than two bins.
    """
    counts, _ = bin_counts(times, window, width)
    mean = counts.mean() if counts.size > 1 else 0.0
    return float(counts.var() / mean) if mean > 0 else math.nan


def correlation(times: np.ndarray, ids: np.ndarray, window: tuple[float, float], width: float = 5.0,
                n_neurons: int = 200) -> float:
    """Mean correlation coefficient of the binned spike counts of pairs of neurons.

    Of the neurons that fired in the window, ``n_neurons`` spread evenly over their ids are compared,
    all pairs of them.  The measure is that of Kumar et al., Neural Comput. 20:1 (2008), who
    use bins of 2 ms.

    Returns
    -------
    float
        Between -1 and 1; nan if fewer than two neurons can be compared.
    """
    edges = bin_edges(window, width)
    n_bins = edges.size - 1
    bins = _bins(times, window[0], width)
    inside = (bins >= 0) & (bins < n_bins)
    fired = np.unique(ids[inside])
    chosen = fired[np.unique(np.linspace(0, fired.size - 1, min(fired.size, n_neurons)).astype(np.int64))]
    row = np.searchsorted(chosen, ids)
    inside &= row < chosen.size
    inside[inside] = chosen[row[inside]] == ids[inside]
    counts = np.zeros((chosen.size, n_bins))
    np.add.at(counts, (row[inside], bins[inside]), 1.0)
    counts = counts[counts.std(axis=1) > 0] if n_bins else counts[:0]
    if len(counts) < 2:
        return math.nan
    return float(np.corrcoef(counts)[np.triu_indices(len(counts), 1)].mean())


def victor_purpura(a: np.ndarray, b: np.ndarray, cost: float) -> float:
    """The least cost of turning one spike train into another.

    Removing or adding a spike costs 1, moving it costs ``cost`` per ms.  Victor & Purpura,
    J. Neurophysiol. 76:1310 (1996).

    Parameters
    ----------
    a, b : ndarray
        Times in ms, ascending.
    cost : float
        1/ms.  0 counts spikes only; with a large cost only spikes at the same time match.
    """
    if cost < 0:
        raise ParameterError(f"cost must be >= 0 per ms, got {cost}")
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    row = np.arange(b.size + 1, dtype=np.float64)
    columns = np.arange(b.size + 1)
    for time in a:
        # best[j] without insertions, then insertions as a running minimum along the row.
        best = row + 1.0
        best[1:] = np.minimum(best[1:], row[:-1] + cost * np.abs(time - b))
        row = np.minimum.accumulate(best - columns) + columns
    return float(row[-1])


def van_rossum(a: np.ndarray, b: np.ndarray, tau: float) -> float:
    """Distance of two spike trains after each spike became an exponential of time constant ``tau``, ms.

    Normalised so that one additional spike gives 1/2.  van Rossum, Neural Comput. 13:751 (2001),
    equation 2.4 (there: the distance squared, which is what this returns).
    """
    if not tau > 0:
        raise ParameterError(f"tau must be > 0 ms, got {tau}")
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    times = np.concatenate([a, b])
    signs = np.repeat([1.0, -1.0], [a.size, b.size])
    order = np.argsort(times, kind="stable")
    gaps = np.diff(times[order], prepend=times[order][:1])
    trace = total = 0.0
    for gap, sign in zip(gaps.tolist(), signs[order].tolist()):
        decay = math.exp(-gap / tau)
        total += 0.5 * trace * trace * (1.0 - decay * decay)
        trace = trace * decay + sign
    return total + 0.5 * trace * trace


def partnered(a: np.ndarray, b: np.ndarray, within: float) -> tuple[np.ndarray, np.ndarray]:
    """Which spikes of two trains have a partner in the other, each spike at most one.

    As many pairs as there can be: the trains are gone through from the left, and a spike takes the first that is free.

    Parameters
    ----------
    a, b : ndarray
        Times in ms, ascending.
    within : float
        ms; how far apart partners may be.

    Returns
    -------
    ndarray of bool, shape (a.size,); ndarray of bool, shape (b.size,)

    Examples
    --------
    >>> of_a, of_b = partnered(np.array([1.0, 5.0]), np.array([1.5, 9.0]), within=1.0)
    >>> of_a.tolist(), of_b.tolist()
    ([True, False], [True, False])
    """
    if not within >= 0:
        raise ParameterError(f"within must be >= 0 ms, got {within}")
    of_a, of_b = np.zeros(np.size(a), bool), np.zeros(np.size(b), bool)
    left, right = np.asarray(a, dtype=float).tolist(), np.asarray(b, dtype=float).tolist()
    j = k = 0
    while j < len(left) and k < len(right):
        lag = right[k] - left[j]
        if abs(lag) <= within + TOLERANCE:
            of_a[j] = of_b[k] = True
        j, k = j + (lag >= -within - TOLERANCE), k + (lag <= within + TOLERANCE)
    return of_a, of_b
