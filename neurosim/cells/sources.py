"""Populations that only send spikes: Poisson, dead-time Poisson, inhomogeneous gamma, given times."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from ..errors import ParameterError
from ..parameters import Distribution, parameter
from .base import Model

__all__ = [
    "Source", "SpikeSourceArray", "SpikeSourceInhGamma", "SpikeSourcePoisson", "SpikeSourcePoissonRefractory",
]

FOREVER = 1e10  # ms, PyNN's default duration


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
        if isinstance(self.rate, Distribution) or isinstance(self.tau_refrac, Distribution):
            return
        product = np.max(np.asarray(self.rate) * np.asarray(self.tau_refrac))
        if product >= 1000.0:
            raise ParameterError(
                f"{self.name}.rate * tau_refrac must be < 1000 (Hz ms), got {product:g}: "
                "the dead time alone would take longer than the mean interval"
            )


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
            value = np.atleast_1d(np.asarray(getattr(self, name), dtype=float))
            if value.ndim != 1 or value.size == 0 or not np.isfinite(value).all():
                raise ParameterError(f"{self.name}.{name} must be a row of finite numbers, got {getattr(self, name)!r}")
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
        rows = self.spike_times
        nested = len(rows) > 0 and any(np.ndim(row) > 0 for row in rows)
        rows = [np.asarray(row, dtype=float).ravel() for row in (rows if nested else [rows])]
        for k, row in enumerate(rows):
            if not np.isfinite(row).all() or (row < 0).any():
                bad = row[~np.isfinite(row) | (row < 0)][0]
                raise ParameterError(f"{self.name}.spike_times must be finite and >= 0 ms, got {bad:g} in row {k}")
        object.__setattr__(self, "spike_times", tuple(np.sort(row) for row in rows))
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
