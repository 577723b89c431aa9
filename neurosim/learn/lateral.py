"""Lateral rows as tensors: what a `LateralSubspace` keeps, learning on the device and in the precision of a layer's weight."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from ..errors import ParameterError
from ..subspace import LateralSubspace, oja_step, projected

__all__ = ["Lateral", "Rule", "is_whole"]

_LONGEST = 2.0  # a row whose rate suits the signals has a length of 1
_KEPT = 0.9  # of the running mean of the signals' squared length, from batch to batch


def is_whole(value: Any, low: int) -> bool:
    """Whether a value is a whole number, at least ``low``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


@dataclasses.dataclass(frozen=True)
class Rule:
    """How rows learn; the parameters of `OrthogonalProjection` of these names."""

    gain: float
    settle: float
    iterations: int
    momentum: float
    levels: int | None

    def __post_init__(self) -> None:
        for name in ("gain", "settle"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < float("inf"):
                raise ParameterError(f"OrthogonalProjection.{name} must be a number > 0, got {value!r}")
        if isinstance(self.momentum, bool) or not isinstance(self.momentum, (int, float)) or not 0.0 <= self.momentum < 1.0:
            raise ParameterError(f"OrthogonalProjection.momentum must be >= 0 and < 1, got {self.momentum!r}")
        if not is_whole(self.iterations, 1):
            raise ParameterError(f"OrthogonalProjection.iterations must be a whole number >= 1, got {self.iterations!r}")
        if self.levels is not None and not is_whole(self.levels, 1):
            raise ParameterError(f"OrthogonalProjection.levels must be a whole number >= 1 or None, got {self.levels!r}")


class Lateral:
    """Rows H, of shape (k, n), of which the first ``old`` are fixed; see `OrthogonalProjection` for the rest.

    Attributes
    ----------
    space : LateralSubspace
        Draws new rows, orthogonal to those that there are, and counts what is free.
    novelty : float
        The share of the last signals' squared length that the fixed rows leave.
    """

    def __init__(self, label: str, like: Tensor, k: int, seed: int) -> None:
        self.dtype, self.device = (torch.float64 if like.dtype == torch.float64 else torch.float32), like.device
        n = like[0].numel()
        if k > n:
            raise ParameterError(f"OrthogonalProjection: {k} rows do not fit: {label!r} has {n} inputs")
        self.space = LateralSubspace(n, k, seed=seed, label=label, dtype=str(self.dtype).removeprefix("torch."))
        self._take()

    def _take(self) -> None:
        """Go on from what the space holds."""
        self.rows = torch.tensor(self.space.rows, dtype=self.dtype, device=self.device)
        self.old = self.space.n_old
        self.moving = torch.zeros_like(self.rows[self.old:])
        self.updates, self.novelty, self._size = 0, 1.0, 0.0

    @property
    def fixed(self) -> Tensor:
        """The rows of tasks that have ended."""
        return self.rows[:self.old]

    def learn(self, x: Tensor, rule: Rule) -> None:
        """Updates from one batch of signals, shape (batch, n)."""
        x = x.to(self.dtype)
        rest = projected(self.fixed, x, rule.levels)
        left, whole = float((rest**2).sum()) / len(x), float((x**2).sum()) / len(x)
        if left == 0.0:  # nothing was sent, or nothing new
            return
        self.novelty = left / whole
        self._size = left if self._size == 0.0 else _KEPT * self._size + (1.0 - _KEPT) * left
        new = self.rows[self.old:]
        for _ in range(rule.iterations):
            rate = rule.gain / self._size / (1.0 + self.updates / rule.settle)
            new, self.moving = oja_step(new, self.moving, x, 0, rate, rule.momentum, rule.levels, rest)
            self.updates += 1
        if not bool(((new**2).sum(1) < _LONGEST**2).all()):
            raise ParameterError(f"{self.space.label}: the lateral rows grew without bound: lower the gain ({rule.gain:g})")
        self.rows = torch.cat([self.fixed, new])

    def check(self, k: int) -> None:
        """Refuses more rows than there are free directions."""
        if k > self.space.capacity:
            raise ParameterError(f"OrthogonalProjection: {k} more rows do not fit: of the {self.space.n} directions of "
                                 f"{self.space.label!r} {self.space.capacity} are free")

    def end(self, k: int, orthonormal: bool) -> None:
        """Fix all rows and add ``k``."""
        if orthonormal:
            self.rows = torch.linalg.qr(self.rows.double().T)[0].T.to(self.dtype)
        self._give()
        self.space.freeze()
        self.space.grow(k)
        self._take()

    def _give(self) -> None:
        self.space.rows = self.rows.cpu().numpy().copy()

    def state(self) -> dict[str, Any]:
        """All that it remembers."""
        return {"rows": self.rows.clone(), "old": self.old, "moving": self.moving.clone(), "updates": self.updates,
                "novelty": self.novelty, "size": self._size, "seed": self.space.seed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.rows = state["rows"].to(self.device, self.dtype)
        self._give()
        self.space.seed = int(state["seed"])
        self.space.restore({"rows": self.space.rows, "moving": 0.0 * self.space.rows, "n_old": state["old"]})
        self._take()
        self.moving = state["moving"].to(self.device, self.dtype)
        self.updates, self.novelty, self._size = int(state["updates"]), float(state["novelty"]), float(state["size"])
