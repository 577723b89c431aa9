"""Sequences of spikes kept as lists of spikes, and made into arrays a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ParameterError

__all__ = ["Binned", "binned"]


class Binned:
    """Samples of shape (steps, ...) of which few entries are not 0: what an ndarray (samples, steps, ...) would hold.

    ``binned[k]``, ``binned[3:7]`` and ``binned[indices]`` give uint8 ndarrays; `take` other samples of the same kind;
    ``numpy.asarray`` all of it.

    Parameters
    ----------
    offsets : ndarray of int64, shape (samples + 1,)
        Where the entries of each sample begin.
    places : ndarray of int, shape (entries,)
        Index of each entry in its sample, flattened.
    counts : ndarray of uint8, shape (entries,)
    shape : tuple of int
        Of a sample: (steps, ...).
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, offsets: np.ndarray, places: np.ndarray, counts: np.ndarray, shape: tuple[int, ...]) -> None:
        self.offsets, self.places, self.counts = offsets, places, counts
        self.shape = (len(offsets) - 1, *shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """How many dimensions it has as an ndarray."""
        return len(self.shape)

    def __getitem__(self, which: Any) -> np.ndarray:
        at = np.arange(len(self))[which]
        chosen = self.take(np.atleast_1d(at))
        out = np.zeros((len(chosen), math.prod(self.shape[1:])), np.uint8)
        out[np.repeat(np.arange(len(chosen)), np.diff(chosen.offsets)), chosen.places] = chosen.counts
        return out.reshape(*np.shape(at), *self.shape[1:])

    def take(self, indices: Any, axis: int = 0) -> Binned:
        """Some of the samples, kept in the same way; ``axis`` is 0, as for an ndarray that would have samples first."""
        indices = np.asarray(indices)
        if axis != 0 or indices.ndim != 1:
            raise ParameterError("Binned.take takes a list of samples along axis 0")
        length = np.diff(self.offsets)[indices]
        offsets = np.concatenate([[0], np.cumsum(length)])
        at = np.repeat(self.offsets[indices] - offsets[:-1], length) + np.arange(offsets[-1])
        return Binned(offsets, self.places[at], self.counts[at], self.shape[1:])

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self[:].astype(dtype or np.uint8)


def binned(times: Sequence[Any], places: Sequence[Any], shape: tuple[int, ...], steps: int, dt: float, *, binary: bool = False) -> Binned:
    """Spikes sorted into bins.

    Parameters
    ----------
    times : sequence of array_like
        Of the spikes of each sample, in the unit of ``dt``, from 0; those after the last bin are left out.
    places : sequence of array_like of int
        Of each spike, in an array of shape ``shape``, flattened.
    shape : tuple of int
        Of a step.
    steps, dt : int, float
        Bins of length ``dt``.
    binary : bool
        1 for an entry with spikes; else how many, at most 255.
    """
    if int(steps) != steps or steps < 1 or not dt > 0:
        raise ParameterError(f"steps must be a whole number >= 1 and dt > 0, got {steps} and {dt}")
    size = math.prod(shape)
    offsets, found, counts = [0], [], []
    for k, (when, where) in enumerate(zip(times, places, strict=True)):
        step, where = np.floor(np.asarray(when, np.float64) / dt).astype(np.int64), np.asarray(where, np.int64)
        if where.shape != step.shape or (where.size and not 0 <= where.min() <= where.max() < size):
            raise ParameterError(f"sample {k}: {step.size} times and {where.size} places, which must be from 0 to {size - 1}")
        kept = (step >= 0) & (step < steps)
        entries, many = np.unique(step[kept] * size + where[kept], return_counts=True)
        found.append(entries)
        counts.append(np.minimum(many, 1 if binary else 255).astype(np.uint8))
        offsets.append(offsets[-1] + len(entries))
    none = np.empty(0, np.int64)
    return Binned(np.array(offsets), np.concatenate([none, *found]), np.concatenate([none.astype(np.uint8), *counts]), (int(steps), *shape))
