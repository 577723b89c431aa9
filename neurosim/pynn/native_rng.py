"""Random numbers of this library, drawn by counters, for PyNN's connectors and distributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pyNN import random

from ..parameters import Distribution, Exponential, Gamma, Integers, LogNormal, Normal, Uniform, stream_key

__all__ = ["NativeRNG"]

_MADE: dict[str, Callable[..., Distribution]] = {
    "uniform": lambda low, high: Uniform(low, high),
    "uniform_int": lambda low, high: Integers(low, high - 1),
    "normal": lambda mu, sigma: Normal(mu, sigma),
    "normal_clipped": lambda mu, sigma, low, high: Normal(mu, sigma, low, high),
    "lognormal": lambda mu, sigma: LogNormal(mu, sigma),
    "exponential": lambda beta: Exponential(beta),
    "gamma": lambda k, theta: Gamma(k, theta),
}


class NativeRNG(random.NativeRNG):
    """This library's own random numbers: what comes out is a function of the seed and of how much was drawn before.

    A connector that is given one chooses synapses as the connector of the same name of `neurosim.connectors` does, whose time
    grows with the synapses and not with the pairs of cells; other back ends have no such numbers.  Weights, delays and
    parameters may be drawn by it as well: ``RandomDistribution("normal", mu=0.5, sigma=0.1, rng=NativeRNG(seed=3))``.

    Parameters
    ----------
    seed : int, optional
        At least 0; 0 by default.
    """

    parallel_safe = True

    def __init__(self, seed: int | None = None) -> None:
        """Begin with the first number of the seed."""
        super().__init__(0 if seed is None else seed)
        if self.seed < 0:
            raise ValueError(f"NativeRNG: seed must be >= 0, got {self.seed}")
        self._drawn = 0

    def key(self) -> int:
        """A new key for a connector's draws."""
        self._drawn += 1
        return stream_key(self.seed, "NativeRNG", "key", self._drawn)

    def next(self, n: int | None = None, distribution: str | None = None, parameters: dict[str, Any] | None = None,
             mask: np.ndarray | None = None) -> Any:
        """``n`` numbers of a distribution, float64 (int64 of "uniform_int"); one number if n is None.

        Raises
        ------
        NotImplementedError
            For a distribution that the library does not have.
        """
        if distribution is None:
            distribution, parameters = "uniform", {"low": 0.0, "high": 1.0}
        drawn = self._made(distribution, parameters or {})
        count = 1 if n is None else n
        if count < 0:
            raise ValueError(f"NativeRNG: the number of draws must be >= 0, got {n}")
        values = drawn.draw(stream_key(self.seed, "NativeRNG", str(drawn)), self._drawn, count)
        self._drawn += count
        if distribution == "uniform_int":
            values = values.astype(np.int64)
        return values[0] if n is None else values if mask is None else values[mask]

    @staticmethod
    def _made(name: str, parameters: dict[str, Any]) -> Distribution:
        if name not in _MADE:
            raise NotImplementedError(f"NativeRNG has no distribution {name!r}; it has {', '.join(_MADE)}")
        return _MADE[name](**parameters)
