"""Lateral circuits that learn the main directions of their input by Hebbian and anti-Hebbian plasticity.

What a layer has learned is protected by keeping later weight changes orthogonal to the inputs of earlier tasks; the
lateral rows say which directions those are.  :func:`oja_step` and :func:`projected` are written with operators that
NumPy arrays and tensors of other libraries share (``@``, ``.T``, ``.clip``, ``.round``): tensors give tensors.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .errors import ParameterError
from .parameters import Normal, stream_key

__all__ = ["LateralSubspace", "oja_step", "projected", "quantised"]

_LIMIT = 10.0  # of an update, before the learning rate
_RANGE = 20.0  # of a spiking lateral neuron's signal
_LONGEST = 2.0  # a row whose rate suits the input has a length of 1
_LOW = 0.1  # share of free directions below which there is a warning


def quantised(y: Any, levels: int | None) -> Any:
    """The signal of spiking lateral neurons: clipped to +-20, rounded to ``levels`` steps a side; None: as it is."""
    if levels is None:
        return y
    return (y.clip(-_RANGE, _RANGE) * (levels / _RANGE)).round() * (_RANGE / levels)


def oja_step(rows: Any, momentum: Any, x: Any, old: int, rate: float, decay: float = 0.9, levels: int | None = None,
             rest: Any = None) -> tuple[Any, Any]:
    """One update of the lateral rows from a batch; returns rows and momentum.

    With y = H x (quantised where the lateral neurons spike) and the reconstruction x^ = H^T y by *all* rows,
    Oja's subspace rule D = mean_b clip(y_b (x_b - x^_b)^T): Hebbian y x^T, anti-Hebbian -y x^^T.
    M <- decay M + (1 - decay) D, H <- H + rate M, for the rows from ``old`` on; rows before it stay.

    Parameters
    ----------
    rows, momentum : array, shape (k, n)
    x : array, shape (batch, n)
    rest : array, shape (batch, n), optional
        What further fixed rows, which are not among ``rows``, leave of ``x`` (`projected`): it takes the place of ``x`` in
        x - x^, so that many updates from one batch compute the share of the fixed rows once.
    """
    y = quantised(x @ rows.T, levels)
    left = (x if rest is None else rest) - y @ rows
    update = (y[:, old:].T @ left / x.shape[0]).clip(-_LIMIT, _LIMIT)
    moved, after = rows + 0.0, momentum + 0.0
    after[old:] = decay * momentum[old:] + (1.0 - decay) * update
    moved[old:] = rows[old:] + rate * after[old:]
    return moved, after


def projected(rows: Any, x: Any, levels: int | None = None) -> Any:
    """x - H^T H x, the part of each row of ``x`` that these lateral rows do not reach."""
    return x - quantised(x @ rows.T, levels) @ rows


class LateralSubspace:
    """Lateral rows H that learn to span the directions in which a layer's input varies most.

    Hebbian learning based orthogonal projection (Xiao et al., ICLR 2024): `learn` on the inputs of a task makes the
    rows an orthonormal base of the inputs' main subspace (Oja's subspace rule); `freeze` fixes them; `grow` adds rows
    that learn what the fixed ones leave over; `project` takes the fixed directions out of an input, for weight changes
    that leave alone what was learned before.

    Departure: rows start orthogonal to those that there are, not only among themselves.

    Parameters
    ----------
    n : int
        Inputs of the layer.
    k : int
        Lateral rows to begin with.
    rate : float
        Learning rate; 0.1 to 1 over an input's mean squared length is stable, and settles within some 1000 batches.
    iterations : int
        Updates for each batch.
    momentum : float
    levels : int, optional
        Steps on each side to which the signal of spiking lateral neurons is rounded; None for graded ones.
    seed, label
        Decide the rows at the start.
    dtype
        float64 or float32.

    Attributes
    ----------
    rows : ndarray, shape (k, n)
    n_old : int
        The first so many rows are fixed.
    """

    def __init__(self, n: int, k: int, rate: float = 1e-2, iterations: int = 5, momentum: float = 0.9,
                 levels: int | None = None, seed: int = 1, label: str = "subspace", dtype: Any = np.float64) -> None:
        self.n = _whole("n", n, 1)
        self.iterations, self.levels = _whole("iterations", iterations, 1), levels
        if levels is not None:
            _whole("levels", levels, 1)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0.0 < rate < 1.0:
            raise ParameterError(f"LateralSubspace.rate must be > 0 and < 1, got {rate!r}")
        if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0.0 <= momentum < 1.0:
            raise ParameterError(f"LateralSubspace.momentum must be >= 0 and < 1, got {momentum!r}")
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ParameterError(f"LateralSubspace.dtype must be float32 or float64, got {dtype!r}")
        self.rate, self.momentum, self.seed, self.label = float(rate), float(momentum), int(seed), str(label)
        self.rows = np.empty((0, self.n), dtype)
        self._moving = np.empty((0, self.n), dtype)
        self.n_old = 0
        self.grow(k)

    def __repr__(self) -> str:
        return f"LateralSubspace({self.n} inputs, {self.n_old} fixed rows + {len(self.rows) - self.n_old} that learn)"

    @property
    def capacity(self) -> int:
        """Directions of the input that no row holds yet: n - k."""
        return self.n - len(self.rows)

    def grow(self, k: int) -> None:
        """Add ``k`` rows that learn.

        Warns where less than a tenth of the directions stay free: what is orthogonal to all that was learned is then
        too little to learn much more with.

        Raises
        ------
        ParameterError
            If there are fewer free directions than ``k``.
        """
        k = _whole("k", k, 0)
        if k > self.capacity:
            raise ParameterError(
                f"LateralSubspace: {k} rows do not fit: of {self.n} directions {self.capacity} are free"
            )
        draws = Normal(0.0, 1.0).draw(stream_key(self.seed, self.label, "rows", len(self.rows)), 0, k * self.n)
        new = draws.reshape(k, self.n)
        for _ in range(2):  # once more, against rounding
            new = new - new @ self.rows.T @ np.linalg.pinv(self.rows.T) if len(self.rows) else new
            new = np.linalg.qr(new.T)[0].T
        self.rows = np.concatenate([self.rows, new.astype(self.rows.dtype)])
        self._moving = np.concatenate([self._moving, np.zeros((k, self.n), self.rows.dtype)])
        if k and self.capacity < _LOW * self.n:
            warnings.warn(
                f"{self.label}: {self.capacity} of {self.n} directions are left for what is learned from now on",
                stacklevel=2,
            )

    def freeze(self) -> None:
        """Fix all rows: they are of the past now."""
        self.n_old = len(self.rows)
        self._moving[:] = 0.0

    def learn(self, x: Any) -> None:
        """Learn from a batch of inputs, shape (batch, n)."""
        x = self._batch(x)
        if self.n_old == len(self.rows) or not len(x):
            return
        for _ in range(self.iterations):
            self.rows, self._moving = oja_step(self.rows, self._moving, x, self.n_old, self.rate, self.momentum,
                                               self.levels)
        if not (np.sum(self.rows**2, axis=1) < _LONGEST**2).all():
            raise ParameterError(
                f"{self.label}: the rows grew without bound: lower the rate ({self.rate:g}) or scale the inputs"
            )

    def project(self, x: Any) -> np.ndarray:
        """What the fixed rows leave of a batch: x - H_old^T H_old x; shape (batch, n)."""
        return projected(self.rows[:self.n_old], self._batch(x), self.levels)

    def energy(self, x: Any) -> float:
        """The share of a batch's squared length that all rows together reach, between 0 and 1 for orthonormal rows."""
        x = self._batch(x)
        return 1.0 - float(np.sum(projected(self.rows, x) ** 2) / np.sum(x**2))

    def state(self) -> dict[str, Any]:
        """All that it remembers, for saving; `restore` takes it."""
        return {"rows": self.rows.copy(), "moving": self._moving.copy(), "n_old": self.n_old}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        rows, moving = (np.array(state[name], self.rows.dtype) for name in ("rows", "moving"))
        fits = rows.ndim == 2 and rows.shape[1] == self.n and moving.shape == rows.shape
        if not fits or not 0 <= state["n_old"] <= len(rows):
            raise ParameterError(f"{self.label}: the state is not one of a LateralSubspace of {self.n} inputs")
        self.rows, self._moving, self.n_old = rows, moving, int(state["n_old"])

    def _batch(self, x: Any) -> np.ndarray:
        x = np.asarray(x, dtype=self.rows.dtype)
        if x.ndim != 2 or x.shape[1] != self.n:
            raise ParameterError(f"{self.label}: inputs must have shape (batch, {self.n}), got {x.shape}")
        return x


def _whole(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise ParameterError(f"LateralSubspace.{name} must be a whole number >= {low}, got {value!r}")
    return int(value)
