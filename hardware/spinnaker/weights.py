"""How sPyNNaker stores weights: 16 bits each, in units that follow from the greatest input it expects in a step.

A cell's ring buffer adds the stored weights that arrive in one step for one synapse type, in 16 bits; the sum times 2**shift is the
input, as s16.15.  So a shift is chosen for each synapse type of a population, and a weight becomes
``rint(|w| * scale * 2**(15 - shift))``, where `scale` is 1024 for conductances (uS) and else 1.  Source:
``PopulationVertex.get_ring_buffer_shifts`` and ``SynapseDynamicsStatic.get_static_synaptic_data`` of sPyNNaker 1!7.4.1, for projections
that are given as lists over whole populations (`FromListConnector`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

__all__ = ["Input", "greatest_input", "input_of", "resolution", "shift_of", "store", "stored_value"]

_MASK = 0xFFFF
_WITHIN = 3.0  # standard deviations that the sum over numbers of spikes goes to
_LARGEST_LOG = 701.0


class Input(NamedTuple):
    """What one projection adds to the estimate of a synapse type.

    Attributes
    ----------
    count : int
        Most synapses onto one cell.
    mean, variance, greatest : float
        Of the magnitudes of weights, in the weight's unit; of those that learn, the greatest they may become, and no variance.
    delay_variance : float
        ms**2.
    """

    count: int
    mean: float
    variance: float
    greatest: float
    delay_variance: float


def input_of(target: np.ndarray, weight: np.ndarray, delay: np.ndarray, dt: float, w_max: float | None = None) -> Input:
    """Statistics of a projection as ``FromListConnector`` takes them.

    Parameters
    ----------
    target : ndarray of int, shape (k,)
    weight : ndarray, shape (k,)
        In the weight's unit.
    delay : ndarray of int, shape (k,)
        Steps.
    dt : float
        ms.
    w_max : float, optional
        Greatest weight that a learning rule may set.
    """
    if not target.size:
        return Input(0, 0.0, 0.0, 0.0, 0.0)
    size = np.abs(np.asarray(weight, dtype=np.float64))
    count, greatest = int(np.bincount(target).max()), float(size.max())
    # In ms, because the mean of equal delays can differ from them in the last digit, and a variance of 1e-33 is not 0.
    spread = float(np.var(np.asarray(delay, dtype=np.float64) * dt))
    if w_max is None:
        return Input(count, float(np.mean(size)), float(np.var(size)), greatest, spread)
    greatest = max(greatest, float(w_max))
    return Input(count, greatest, 0.0, greatest, spread)


class _Running:
    """Mean and variance of groups of items that are known by theirs."""

    def __init__(self) -> None:
        self.items, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, mean: float, variance: float, items: int) -> None:
        """Add ``items`` of this mean and variance."""
        if items <= 0:
            return
        total, off = self.items + items, mean - self.mean
        self._squares += variance * (items - 1.0) + (off * off * self.items * items) / total
        self.mean = ((self.items * self.mean) + (items * mean)) / total
        self.items = total

    @property
    def variance(self) -> float:
        """Of the items so far."""
        return self._squares / (self.items - 1.0) if self.items > 1 else 0.0


def greatest_input(inputs: Iterable[Input], scale: float, dt: float, spikes_per_second: float = 30.0, sigma: float = 5.0) -> float:
    """The greatest input of a step that ring buffers of a synapse type get room for, times ``scale``.

    One spike of every source at once where all delays of each projection are equal; else at most ``sigma`` standard deviations above
    the mean of Poisson spikes; never less than the greatest weight.  All sources count with ``spikes_per_second``, Poisson
    sources too.  As in sPyNNaker the sum of all weights is not multiplied by ``scale``.
    """
    weights, delays, rates = _Running(), _Running(), _Running()
    biggest, total, steps_per_second = 0.0, 0.0, 1e6 / round(1000.0 * dt)
    spikes = max(1.0, spikes_per_second / steps_per_second)
    for one in inputs:
        weights.add(one.mean * scale, one.variance * scale**2, one.count)
        delays.add(0.0, one.delay_variance, one.count)
        rates.add(spikes_per_second, 0.0, one.count)
        biggest = max(biggest, one.greatest * scale)
        total += spikes * (one.greatest * one.count)
    if delays.variance == 0.0:
        return max(total, biggest)
    bound = _upper_bound(weights.mean, math.sqrt(weights.variance), rates.mean, weights.items, sigma, steps_per_second)
    return max(min(bound, total), biggest)


def _upper_bound(mean: float, deviation: float, rate: float, synapses: int, sigma: float, steps_per_second: float) -> float:
    """Mean input of a step, and ``sigma`` standard deviations: of the Poisson number of spikes, and of the weights they bring."""
    spikes = float(synapses * rate) / steps_per_second
    if spikes <= 0.0:
        return 0.0
    variance = spikes * mean**2
    most = int(round(spikes + _WITHIN * math.sqrt(spikes)))
    last = math.log(spikes) * most - math.lgamma(1 + most)
    if deviation > 0 and -_LARGEST_LOG < last < _LARGEST_LOG and last != 0.0:
        variance += deviation**2 * spikes * _poisson_cdf(most - 1, spikes)
    return spikes * mean + sigma * math.sqrt(variance)


def _poisson_cdf(most: int, mean: float) -> float:
    """Chance that a Poisson number is at most ``most``."""
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(most + 1)]
    return math.fsum(map(math.exp, logs))


def shift_of(greatest: float) -> int:
    """Ring-buffer shift for the greatest input of a step: the least power of two above it, at least 2**0."""
    if not greatest > 0.0:
        return 0
    power = int(math.ceil(max(0.0, math.log2(greatest))))
    return power + 1 if 2.0**power <= greatest else power


def resolution(shift: int, scale: float = 1.0) -> float:
    """Difference of neighbouring stored weights, in the weight's unit."""
    return 2.0 ** (shift - 15) / scale


def store(weight: np.ndarray, shift: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Weights as the machine stores them.

    Parameters
    ----------
    weight : ndarray of float
        In the weight's unit; the sign is lost.

    Returns
    -------
    stored : ndarray, uint16
        Rounded, halves to even, and only the low 16 bits of that.
    overflowed : ndarray of bool
        Where higher bits were lost.
    """
    whole = np.rint(np.abs(np.asarray(weight, dtype=np.float64) * (2.0 ** (15 - shift) * scale)))
    over = whole > _MASK
    return (np.mod(whole, _MASK + 1.0)).astype(np.uint16), over


def stored_value(stored: np.ndarray, shift: int, scale: float = 1.0) -> np.ndarray:
    """What stored weights mean, in the weight's unit; float64."""
    return np.asarray(stored) * resolution(shift, scale)
