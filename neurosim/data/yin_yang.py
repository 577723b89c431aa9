"""Points of the Yin-Yang sign: small, not linearly separable, and told apart best by a network with a hidden layer."""

from __future__ import annotations

import numpy as np

from ..errors import ParameterError
from .split import Split, generator

__all__ = ["yin_yang", "yin_yang_class"]

RADIUS, DOT = 0.5, 0.1


def yin_yang_class(points: np.ndarray) -> np.ndarray:
    """Class of points (n, 2) of the disc around (0.5, 0.5) with radius 0.5: 0 Yin, 1 Yang, 2 a dot; -1 outside."""
    x, y = np.asarray(points, dtype=np.float64).T
    right, left = np.hypot(x - 1.5 * RADIUS, y - RADIUS), np.hypot(x - 0.5 * RADIUS, y - RADIUS)
    dots = (right < DOT) | (left < DOT)
    yin = (left <= 0.5 * RADIUS) | ((y > RADIUS) & (right > 0.5 * RADIUS))
    kind = np.where(dots, 2, np.where(yin, 0, 1))
    return np.where(np.hypot(x - RADIUS, y - RADIUS) > RADIUS, -1, kind)


def yin_yang(sizes: tuple[int, int, int] = (5000, 1000, 1000), seed: int = 1) -> Split:
    """Points drawn evenly from each of the three areas of the Yin-Yang sign (Kriener, Goeltz & Petrovici 2022).

    Parameters
    ----------
    sizes : three int
        Samples for training, validation and test; classes take turns.
    seed : int

    Returns
    -------
    Split
        Inputs float64 (n, 2) between 0 and 1; targets 0 Yin, 1 Yang, 2 a dot.

    Raises
    ------
    ParameterError
        If a size is below 1.
    """
    if len(sizes) != 3 or any(isinstance(one, bool) or int(one) != one or one < 1 for one in sizes):
        raise ParameterError(f"yin_yang: sizes must be three whole numbers >= 1, got {sizes!r}")
    parts = []
    for place, n in enumerate(sizes):
        rng, targets = generator(seed, place), np.arange(int(n)) % 3
        points, open_ = np.empty((int(n), 2)), np.arange(int(n))
        while open_.size:
            points[open_] = rng.random((open_.size, 2))
            open_ = open_[yin_yang_class(points[open_]) != targets[open_]]
        order = rng.permutation(int(n))
        parts.append((points[order], targets[order].astype(np.int64)))
    return Split(parts[0], parts[1], parts[2], "synthetic: points of the Yin-Yang sign")
