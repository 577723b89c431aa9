"""Penalties on what layers do, for ``fit(regularise=...)``: rates that are too low or too high, and potentials too far out."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ParameterError

__all__ = ["Regulariser", "regularise", "voltage"]

_POOLS = ("neuron", "population", "sample")


class Regulariser:
    """A penalty on spikes per step that leave a range: strength times the mean of (rate - upper)_+^2 + (lower - rate)_+^2.

    Spikes are averaged over time and, by ``pool``, over more: "sample": over nothing else, each cell in each sample; "neuron": over
    the batch, each cell; "population": over cells, each sample.  The lower bound for each cell and the upper one for the
    population are those of Zenke & Vogels (Neural Computation 33, 2021); a target, lower = upper, for each cell is that of
    Bellec et al. (NeurIPS 2018).  Departure: both are on spikes per step, not on counts, so that strengths do not depend on
    the length of the sequences.

    Parameters
    ----------
    layers : str or sequence of str
        Names, or patterns of names as of files, of the layers that it is about.
    lower, upper : float, optional
        Spikes per step, between 0 and 1 for cells that spike at most once in a step.
    strength : float
        > 0; more of it keeps rates closer to the range, at the cost of the loss.
    pool : {"neuron", "population", "sample"}
    """

    def __init__(self, layers: str | Sequence[str] = "*", lower: float | None = None, upper: float | None = None,
                 strength: float = 1.0, pool: str = "neuron") -> None:
        if pool not in _POOLS:
            raise ParameterError(f"Regulariser.pool must be one of {', '.join(_POOLS)}, got {pool!r}")
        if lower is None and upper is None:
            raise ParameterError("Regulariser needs lower, upper or both, spikes per step")
        for name, value in (("lower", lower), ("upper", upper), ("strength", strength)):
            if value is not None and not (isinstance(value, (int, float)) and 0.0 <= value < math.inf):
                raise ParameterError(f"Regulariser.{name} must be a finite number >= 0, got {value!r}")
        if lower is not None and upper is not None and lower > upper:
            raise ParameterError(f"Regulariser.lower must be <= upper, got {lower:g} > {upper:g} spikes per step")
        self.layers, self.lower, self.upper, self.strength, self.pool = layers, lower, upper, float(strength), pool

    def __call__(self, sent: dict[str, Tensor]) -> Tensor:
        """The penalty for what layers sent, by name, (T, B, ...)."""
        return sum((self.of(one) for one in chosen(self.layers, sent)), torch.zeros(()))

    def of(self, spikes: Tensor) -> Tensor:
        """The penalty for one layer's spikes, (T, B, ...)."""
        rate = spikes.mean(0).flatten(1)
        if self.pool != "sample":
            rate = rate.mean(0 if self.pool == "neuron" else 1)
        too_much = 0.0 if self.upper is None else (rate - self.upper).clamp(min=0.0) ** 2
        too_little = 0.0 if self.lower is None else (self.lower - rate).clamp(min=0.0) ** 2
        whole: Any = too_much + too_little
        return self.strength * whole.mean()


def voltage(v: Tensor, lower: float = -1.0, upper: float = 1.0, strength: float = 1.0) -> Tensor:
    """A penalty on potentials outside of a range: strength times the mean of (v - upper)_+^2 + (lower - v)_+^2.

    Parameters
    ----------
    v : Tensor
        Potentials, in units of the threshold: what `LI` sends, or the input of cells whose decay is fast.
    lower, upper : float
    strength : float
    """
    if not lower < upper:
        raise ParameterError(f"voltage: lower must be < upper, got {lower:g} and {upper:g} (units of the threshold)")
    return strength * ((v - upper).clamp(min=0.0) ** 2 + (lower - v).clamp(min=0.0) ** 2).mean()


def chosen(layers: str | Sequence[str], sent: dict[str, Tensor]) -> list[Tensor]:
    """Outputs of the layers that names or patterns name."""
    patterns = [layers] if isinstance(layers, str) else list(layers)
    for pattern in patterns:
        if not fnmatch.filter(sent, pattern):
            raise ParameterError(f"no layer is named {pattern!r}; there are {', '.join(sent)}")
    return [one for name, one in sent.items() if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def regularise(*penalties: Callable[[dict[str, Tensor]], Tensor]) -> Callable[[dict[str, Tensor]], Tensor]:
    """The sum of several penalties, for ``fit(regularise=...)``."""
    return lambda sent: torch.stack([penalty(sent) for penalty in penalties]).sum()
