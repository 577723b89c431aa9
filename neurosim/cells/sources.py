"""Populations that only send spikes: Poisson, dead-time Poisson, gamma, inhomogeneous gamma, given times."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from ..errors import ParameterError
from ..parameters import Distribution, _gamma_cdf, numbers, parameter, row
from .base import Model

__all__ = [
    "Source", "SpikeSourceArray", "SpikeSourceGamma", "SpikeSourceInhGamma", "SpikeSourcePoisson",
    "SpikeSourcePoissonRefractory",
]

FOREVER = 1e10  # ms, PyNN's default duration
_LATEST = 1e12  # ms; in steps it fits 64 bits


class Source(Model):
    """A population without state of its own.  Event times lie in (start, start + duration], on the grid of steps."""

    is_source: ClassVar[bool] = True


@dataclasses.dataclass(frozen=True)
class SpikeSourcePoisson(Source):
    """Poisson process: intervals are exponential with mean ``1000 / rate`` ms.

    Times are continuous and reported at the end of the step that holds them, so that a source may
    send more than one spike in a step.
    """

    rate: Any = parameter(1.0, "Hz", "mean rate", low=0.0)
    start: Any = parameter(0.0, "ms", "time before which nothing is sent", low=0.0)
    duration: Any = parameter(FOREVER, "ms", "length of the train from start on", low=0.0)


@dataclasses.dataclass(frozen=True)
class SpikeSourcePoissonRefractory(Source):
    """Poisson process with dead time: intervals are ``tau_refrac`` plus an exponential, mean ``1000 / rate`` ms in all."""

    rate: Any = parameter(1.0, "Hz", "mean rate, dead time included", low=0.0)
    tau_refrac: Any = parameter(0.0, "ms", "dead time after each spike", low=0.0)
    start: Any = parameter(0.0, "ms", "time before which nothing is sent", low=0.0)
    duration: Any = parameter(FOREVER, "ms", "length of the train from start on", low=0.0)

    def check(self) -> None:
        if not isinstance(self.rate, Distribution) and not isinstance(self.tau_refrac, Distribution):
            check_dead_time(self.name, self.rate, self.tau_refrac)

    def values(self, n: int, seed: int, label: str) -> dict[str, np.ndarray]:
        """As :meth:`Model.values`; what was drawn is checked too."""
        values = super().values(n, seed, label)
        check_dead_time(f"{label}: {self.name}", values["rate"], values["tau_refrac"])
        return values


def check_dead_time(owner: str, rate: Any, dead: Any) -> None:
    """Raise :class:`ParameterError` unless rate * dead time < 1 for every source; arrays that do not match are left."""
    try:
        product = np.asarray(rate) * np.asarray(dead)
    except ValueError:
        return
    if np.max(product, initial=0.0) >= 1000.0:
        raise ParameterError(
            f"{owner}.rate * tau_refrac must be < 1000 (Hz ms), got {np.max(product):g}: "
            "the dead time alone would take longer than the mean interval"
        )


@dataclasses.dataclass(frozen=True)
class SpikeSourceGamma(Source):
    """Gamma process: intervals are drawn from a gamma distribution, mean ``1000 alpha / beta`` ms, CV ``1/sqrt(alpha)``.

    ``alpha = 1`` is a Poisson process of rate beta; more of it makes the train more regular.  The first interval begins at
    ``start``, as if there had been a spike.  Times are reported at the end of the step that holds them.
    """

    alpha: Any = parameter(2.0, "", "shape of the intervals; more of it makes them more regular", low=0.0, open_low=True)
    beta: Any = parameter(1.0, "Hz", "rate of the distribution of intervals; more of it makes them shorter", low=0.0)
    start: Any = parameter(0.0, "ms", "time before which nothing is sent", low=0.0)
    duration: Any = parameter(FOREVER, "ms", "length of the train from start on", low=0.0)

    def mean_rate(self) -> Any:
        """Mean rate, Hz, once the train goes on; of each source where parameters are arrays, by the mean where they are drawn."""
        alpha, beta = (v.mean_value() if isinstance(v, Distribution) else v for v in (self.alpha, self.beta))
        return np.asarray(beta) / np.asarray(alpha)


def most_in_a_step(alpha: float, beta: float) -> int:
    """How many spikes of a gamma process may fall into one step; the chance of more is below 1e-20.

    k + 1 do if k intervals, whose sum is gamma distributed with shape k alpha, take less than the step; ``beta`` counts
    per step.
    """
    most = 1
    while most < 2**24 and _gamma_cdf(most * alpha, beta) > 1e-20:
        most *= 2
    low, high = most // 2, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _gamma_cdf(middle * alpha, beta) > 1e-20 else (low, middle)
    return high + 1


@dataclasses.dataclass(frozen=True)
class SpikeSourceInhGamma(Source):
    """Inhomogeneous gamma process with piecewise constant parameters (Muller, Buesing, Schemmel & Meier 2007).

    From ``tbins[k]`` on intervals have shape ``a[k]`` and scale ``b[k]`` seconds, mean ``a * b``.
    Departure: an interval that crosses into another bin goes on in rescaled time (its expected
    number of spikes, not its hazard, is carried over); ``a = 1`` is exactly a Poisson process.

    Parameters
    ----------
    a : sequence of float
        Shape in each bin, > 0.
    b : sequence of float
        Scale in each bin, s, > 0.
    tbins : sequence of float
        Left edges of the bins, ms, ascending.
    """

    a: Any = (1.0,)
    b: Any = (1.0,)
    tbins: Any = (0.0,)
    start: Any = parameter(0.0, "ms", "time before which nothing is sent", low=0.0)
    duration: Any = parameter(FOREVER, "ms", "length of the train from start on", low=0.0)

    def check(self) -> None:
        for name, unit in (("a", ""), ("b", " s"), ("tbins", " ms")):
            value = row(self.name, name, getattr(self, name))
            if name != "tbins" and (value <= 0).any():
                raise ParameterError(f"{self.name}.{name} must be > 0{unit}, got {value.min():g}")
            object.__setattr__(self, name, value)
        if not self.a.size == self.b.size == self.tbins.size:
            raise ParameterError(
                f"{self.name}: a, b and tbins must have one length, got {self.a.size}, {self.b.size}, {self.tbins.size}"
            )
        if (np.diff(self.tbins) <= 0).any():
            raise ParameterError(f"{self.name}.tbins must ascend (ms), got {self.tbins}")


@dataclasses.dataclass(frozen=True)
class SpikeSourceArray(Source):
    """Spikes at given times.

    Parameters
    ----------
    spike_times : sequence of float, or a sequence of such sequences
        Times in ms, >= 0; one row for all sources, or one for each.  Each time is rounded to the
        nearest step; a spike at time s with delay d arrives at s + d.
    """

    spike_times: Any = ()

    def check(self) -> None:
        given = self.spike_times
        nested = (given.ndim > 1 if isinstance(given, np.ndarray) else isinstance(given, (list, tuple))
                  and any(isinstance(times, (list, tuple, np.ndarray)) for times in given))
        rows = [numbers(times) for times in (given if nested else [given])]
        for k, times in enumerate(rows):
            if times is None or times.ndim != 1:
                raise ParameterError(f"{self.name}.spike_times must be rows of times (ms), got {given!r:.200}")
            bad = times[~((times >= 0) & (times <= _LATEST))]
            if bad.size:
                raise ParameterError(
                    f"{self.name}.spike_times must be >= 0 and <= {_LATEST:g} ms, got {bad[0]:g} in row {k}"
                )
        object.__setattr__(self, "spike_times", tuple(np.sort(times) for times in rows if times is not None))
        object.__setattr__(self, "_shared", not nested)

    def rows(self, n: int, label: str) -> list[np.ndarray]:
        """One sorted array of times for each of ``n`` sources."""
        if self._shared:  # type: ignore[attr-defined]
            return [self.spike_times[0]] * n
        if len(self.spike_times) != n:
            raise ParameterError(
                f"{label}: SpikeSourceArray.spike_times must be one row or {n} rows, got {len(self.spike_times)}"
            )
        return list(self.spike_times)
