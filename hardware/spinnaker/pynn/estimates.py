"""What sPyNNaker expects of connectors and distributions before anything is drawn: from this it chooses how weights are stored.

Formulas of ``AbstractConnector``, the connectors and ``utility_calls`` of sPyNNaker 1!7.4.1.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from pyNN.random import RandomDistribution

from ..weights import Input

__all__ = ["estimate", "most_selected"]

_CHANCE = 1.0 / 100.0
_STANDARD = NormalDist()
_WIDTH = 40.0  # standard deviations on each side within which binomial chances are summed


def most_selected(total: float, trials: int, chosen: float, chance: float = _CHANCE) -> int:
    """How many of ``trials`` are selected at most, each with chance ``chosen``, but for ``chance / total``.

    The ``1 - chance / total`` quantile of the binomial distribution.
    """
    if trials <= 0 or chosen <= 0.0:
        return 0
    if chosen >= 1.0:
        return int(trials)
    rest = 1.0 - (1.0 - chance / float(total))
    spread = math.sqrt(trials * chosen * (1.0 - chosen))
    low = max(0, math.floor(trials * chosen - _WIDTH * spread) - 40)
    high = min(trials, math.ceil(trials * chosen + _WIDTH * spread) + 40)
    counts = np.arange(low + 1, high + 1)
    first = (math.lgamma(trials + 1) - math.lgamma(low + 1) - math.lgamma(trials - low + 1) + low * math.log(chosen)
             + (trials - low) * math.log1p(-chosen))
    logs = first + np.cumsum(np.log((trials - counts + 1) / counts) + math.log(chosen) - math.log1p(-chosen))
    above = np.cumsum(np.exp(logs)[::-1])[::-1]  # the chance of counts[k] or more
    return int(low + np.count_nonzero(above > rest))


def _quantile(name: str, values: dict[str, float], chance: float) -> float | None:
    """Of a distribution that is known here; None of another."""
    if name == "uniform":
        return values["low"] + chance * (values["high"] - values["low"])
    if name == "exponential":
        return -values["beta"] * math.log1p(-chance)
    if name == "normal":
        return values["mu"] + values["sigma"] * _STANDARD.inv_cdf(chance)
    if name == "lognormal":
        return math.exp(values["mu"] + values["sigma"] * _STANDARD.inv_cdf(chance))
    if name in ("normal_clipped", "normal_clipped_to_boundary"):
        low, high = (_STANDARD.cdf((values[one] - values["mu"]) / values["sigma"]) for one in ("low", "high"))
        return values["mu"] + values["sigma"] * _STANDARD.inv_cdf(min(max(low + chance * (high - low), 1e-300), 1 - 2**-53))
    return None


def _moments(name: str, values: dict[str, float]) -> tuple[float, float] | None:
    """Mean and variance of a distribution that is known here."""
    if name == "uniform":
        return (values["low"] + values["high"]) / 2, (values["high"] - values["low"]) ** 2 / 12
    if name == "exponential":
        return values["beta"], values["beta"] ** 2
    if name == "normal":
        return values["mu"], values["sigma"] ** 2
    if name == "lognormal":
        square = values["sigma"] ** 2
        return math.exp(values["mu"] + square / 2), math.expm1(square) * math.exp(2 * values["mu"] + square)
    if name in ("normal_clipped", "normal_clipped_to_boundary"):
        a, b = ((values[one] - values["mu"]) / values["sigma"] for one in ("low", "high"))
        inside = _STANDARD.cdf(b) - _STANDARD.cdf(a)
        first = (_STANDARD.pdf(a) - _STANDARD.pdf(b)) / inside
        second = (a * _STANDARD.pdf(a) - b * _STANDARD.pdf(b)) / inside
        return values["mu"] + values["sigma"] * first, values["sigma"] ** 2 * (1 + second - first**2)
    return None


def _weights(base: Any, drawn: Any, draws: float) -> tuple[float, float, float]:
    """Mean, variance and greatest magnitude of weights that are a number, a distribution, or anything else once drawn."""
    if isinstance(base, RandomDistribution) and (moments := _moments(base.name, base.parameters)) is not None:
        mean, variance = moments
        bound = base.parameters.get("low" if mean < 0 else "high")
        chance = _CHANCE / max(float(draws), 1.0)
        extreme = _quantile(base.name, base.parameters, chance if mean < 0 else 1.0 - chance)
        assert extreme is not None
        if bound is not None:
            extreme = max(extreme, bound) if mean < 0 else min(extreme, bound)
        return abs(mean), variance, abs(extreme)
    size = np.abs(np.asarray(drawn, dtype=np.float64))
    if size.ndim == 0:
        return float(size), 0.0, float(size)
    return (float(size.mean()), float(size.var()), float(size.max())) if size.size else (0.0, 0.0, 0.0)


def _spread(base: Any, drawn: Any) -> float:
    """Variance of delays, ms**2."""
    if isinstance(base, RandomDistribution) and (moments := _moments(base.name, base.parameters)) is not None:
        return moments[1]
    return 0.0 if np.ndim(drawn) == 0 or not np.size(drawn) else float(np.var(drawn))


def estimate(count: int, draws: float, weight: tuple[Any, Any], delay: tuple[Any, Any], w_max: float | None) -> Input:
    """What a projection adds to the estimate of a synapse type.

    Parameters
    ----------
    count : int
        Most synapses onto one cell, as its connector expects.
    draws : float
        How many weights are drawn, as its connector expects.
    weight, delay : tuple
        (what the script gave: a number, a `RandomDistribution` or another; what was drawn).
    w_max : float, optional
        The greatest weight of a learning rule: what all weights count with.
    """
    mean, variance, greatest = _weights(*weight, draws)
    if w_max is not None:
        mean = greatest = max(greatest, w_max)
        variance = 0.0
    return Input(int(count), mean, variance, greatest, _spread(*delay))
