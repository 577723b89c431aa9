"""Random numbers without generators: on the machine only the target population's seed decides them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN import random
from pyNN.random import NumpyRNG, available_distributions

from .errors import ConfigurationException

__all__ = ["RandomDistribution", "refuse_rng", "seeded"]

available_distributions.setdefault("exponential_clipped", ("beta", "low", "high"))


class RandomDistribution(random.RandomDistribution):
    """Numbers of a distribution, such as ``RandomDistribution("uniform", low=1, high=16)``.

    Which numbers come is decided by ``seed=`` of the population that they belong to, or else by ``setup(rng_seed=...)``;
    a board draws others.

    Parameters
    ----------
    distribution : str
        One of PyNN's, or ``"exponential_clipped"``.
    parameters_pos : tuple, optional
    rng : None
        With a seed it is refused where it would be used, as sPyNNaker does.
    **parameters_named : float
    """

    def __init__(self, distribution: str, parameters_pos: Any = None, rng: Any = None, **parameters_named: float) -> None:
        super().__init__(distribution, parameters_pos, rng, **parameters_named)


class _Clipped(NumpyRNG):
    """NumPy's generator, which draws exponential numbers out of range again."""

    def next(self, n: int | None = None, distribution: str | None = None, parameters: Any = None, mask: Any = None) -> Any:
        """``n`` numbers of a distribution; one number if n is None."""
        if distribution != "exponential_clipped":
            return super().next(n, distribution, parameters, mask)
        low, high, beta = (parameters[one] for one in ("low", "high", "beta"))
        size = 1 if n is None else n
        values = self.rng.exponential(beta, size)
        while (bad := (values < low) | (values > high)).any():
            values[bad] = self.rng.exponential(beta, np.count_nonzero(bad))
        return values[0] if n is None else values if mask is None else values[mask]


def refuse_rng(rng: Any, where: str) -> None:
    """Raise `ConfigurationException` for a generator with a seed, as sPyNNaker does."""
    if rng is not None and getattr(rng, "seed", None) is not None:
        raise ConfigurationException(
            f"use of rng in {where} is not supported by sPyNNaker: give seed=... to the target population instead")


def seeded(distribution: random.RandomDistribution, seed: int, where: str) -> random.RandomDistribution:
    """The same distribution, with numbers that ``seed`` decides."""
    refuse_rng(distribution.rng, f"RandomDistribution of {where}")
    rng: NumpyRNG = _Clipped(seed) if distribution.name == "exponential_clipped" else NumpyRNG(seed)
    return random.RandomDistribution(distribution.name, rng=rng, **distribution.parameters)
