"""Linear maps (weights, convolutions, pooling) as sparse matrices, and how they follow one another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Map", "chained", "conv", "dense", "diagonal", "pool", "repeated", "summed"]

Shape = tuple[int, ...]


class Map(NamedTuple):
    """A matrix of shape ``shape`` = (outputs, inputs): ``values`` float64 at ``rows``, ``cols`` (int64), none twice."""

    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    def applied(self, x: np.ndarray) -> np.ndarray:
        """The map of x, shape (..., inputs): shape (..., outputs)."""
        out = np.zeros((*x.shape[:-1], self.shape[0]))
        where: Any = (..., self.rows)
        np.add.at(out, where, x[..., self.cols] * self.values)
        return out

    def array(self) -> np.ndarray:
        """As a full matrix."""
        out = np.zeros(self.shape)
        out[self.rows, self.cols] = self.values
        return out

    def scaled(self, by_row: np.ndarray) -> Map:
        """Each row times a factor, shape (outputs,)."""
        return self._replace(values=self.values * by_row[self.rows])

    def chosen(self, mask: np.ndarray) -> Map:
        """Only some of the entries."""
        return Map(self.rows[mask], self.cols[mask], self.values[mask], self.shape)


def diagonal(values: np.ndarray) -> Map:
    """A diagonal matrix."""
    at = np.arange(values.size)
    return Map(at, at, np.asarray(values, dtype=np.float64), (values.size, values.size))


def dense(matrix: np.ndarray) -> Map:
    """A full matrix, zeros left out."""
    rows, cols = np.nonzero(matrix)
    return Map(rows, cols, np.asarray(matrix[rows, cols], dtype=np.float64), (matrix.shape[0], matrix.shape[1]))


def repeated(one: Map, times: int) -> Map:
    """The same map on each of ``times`` successive pieces of the input."""
    if times == 1:
        return one
    at = np.repeat(np.arange(times), one.rows.size)
    return Map(np.tile(one.rows, times) + at * one.shape[0], np.tile(one.cols, times) + at * one.shape[1],
               np.tile(one.values, times), (one.shape[0] * times, one.shape[1] * times))


def _gathered(rows: np.ndarray, cols: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> Map:
    """Entries at the same place are added; zeros are left out."""
    place, which = np.unique(rows * shape[1] + cols, return_inverse=True)
    total = np.bincount(which, weights=values, minlength=place.size)
    keep = total != 0
    return Map(place[keep] // shape[1], place[keep] % shape[1], total[keep], shape)


def chained(after: Map, before: Map) -> Map:
    """The matrix product ``after @ before``."""
    order = np.argsort(before.rows, kind="stable")
    count = np.bincount(before.rows, minlength=before.shape[0])
    first = np.cumsum(count) - count
    times = count[after.cols]
    entry = np.repeat(np.arange(after.cols.size), times)
    within = np.arange(entry.size) - np.repeat(np.cumsum(times) - times, times)
    other = order[first[after.cols[entry]] + within]
    return _gathered(after.rows[entry], before.cols[other], after.values[entry] * before.values[other],
                     (after.shape[0], before.shape[1]))


def summed(one: Map, two: Map) -> Map:
    """The sum of two maps of one shape."""
    return _gathered(np.concatenate([one.rows, two.rows]), np.concatenate([one.cols, two.cols]),
                     np.concatenate([one.values, two.values]), one.shape)


def _each(value: Any, n: int) -> list[int]:
    """One whole number for each of n dimensions."""
    flat = [int(v) for v in np.atleast_1d(np.asarray(value))]
    return flat * n if len(flat) == 1 else flat


def conv(weight: np.ndarray, shape: Shape, stride: Any, padding: Any, dilation: Any, groups: int) -> tuple[Map, Shape]:
    """A cross-correlation in any number of dimensions, as PyTorch's ``ConvNd``.

    Parameters
    ----------
    weight : ndarray, shape (C_out, C_in / groups, *kernel)
    shape : tuple
        Of the input, (C_in, *space).
    stride, dilation : int or one for each dimension
    padding : likewise, or "same" or "valid"
        Zeros around the input.

    Returns
    -------
    map, shape of the output (C_out, *space)
    """
    space, kernel, n = shape[1:], weight.shape[2:], len(shape) - 1
    stride, dilation = _each(stride, n), _each(dilation, n)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel)]
    if isinstance(padding, str):
        before = [r // 2 if padding == "same" else 0 for r in reach]
        total = reach if padding == "same" else [0] * n
    else:
        before = _each(padding, n)
        total = [2 * p for p in before]
    out = tuple((s + p - r - 1) // step + 1 for s, p, r, step in zip(space, total, reach, stride))
    c_out, per_group = weight.shape[0], weight.shape[1]
    o = np.repeat(np.arange(c_out), per_group)
    i = np.tile(np.arange(per_group), c_out) + o // (c_out // groups) * per_group
    rows, cols, values = [], [], []
    for offset in itertools.product(*map(range, kernel)):
        at = [np.arange(size) * step - pad + k * d
              for size, step, pad, k, d in zip(out, stride, before, offset, dilation)]
        inside = [np.flatnonzero((a >= 0) & (a < size)) for a, size in zip(at, space)]
        to = _flat_index(inside, out)
        source = _flat_index([a[here] for a, here in zip(at, inside)], space)
        where: Any = (slice(None), slice(None), *offset)
        w = weight[where].ravel()
        rows.append((o[:, None] * int(np.prod(out)) + to).ravel())
        cols.append((i[:, None] * int(np.prod(space)) + source).ravel())
        values.append(np.repeat(w, to.size))
    row, col, value = (np.concatenate(part) for part in (rows, cols, values))
    return _gathered(row, col, value, (c_out * int(np.prod(out)), int(np.prod(shape)))), (c_out, *out)


def _flat_index(axes: Sequence[np.ndarray], shape: Shape) -> np.ndarray:
    """Indices in a flattened array of ``shape`` of all combinations of the axes' indices."""
    total = np.zeros(1, dtype=np.int64)
    for axis, size in zip(axes, shape):
        total = (total[:, None] * size + axis[None, :]).ravel()
    return total


def pool(kernel: Any, shape: Shape, stride: Any, padding: Any, average: bool) -> tuple[Map, Shape]:
    """Sums, or averages (zeros of the padding count), over windows of each channel; as :func:`conv`."""
    window = _each(kernel, len(shape) - 1)
    weight = np.full((shape[0], 1, *window), 1.0 / np.prod(window) if average else 1.0)
    return conv(weight, shape, stride, padding, 1, shape[0])
