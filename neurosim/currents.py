"""Currents injected into cells: constant, stepped, sinusoidal, noisy.  PyNN's names; nA, ms, Hz, degrees."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .errors import ParameterError
from .parameters import Settings, parameter, row

__all__ = ["ACSource", "CurrentSource", "DCSource", "NoisyCurrentSource", "StepCurrentSource"]

FOREVER = 1e12


class CurrentSource(Settings):
    """Base of the currents.  A value set for time t acts on the interval (t, t + dt]."""

    def check(self) -> None:
        """Raise where parameters contradict each other."""
        start, stop = getattr(self, "start", 0.0), getattr(self, "stop", FOREVER)
        if stop < start:
            raise ParameterError(f"{type(self).__name__}.stop must be >= start ({start:g} ms), got {stop:g} ms")


@dataclasses.dataclass(frozen=True)
class DCSource(CurrentSource):
    """A constant current between ``start`` and ``stop``."""

    amplitude: Any = parameter(1.0, "nA", "current")
    start: Any = parameter(0.0, "ms", "time it is switched on", low=0.0)
    stop: Any = parameter(FOREVER, "ms", "time it is switched off", low=0.0)


@dataclasses.dataclass(frozen=True)
class StepCurrentSource(CurrentSource):
    """``amplitudes[k]`` from ``times[k]`` on; nothing before ``times[0]``."""

    times: Any = (0.0,)
    amplitudes: Any = (0.0,)

    def check(self) -> None:
        for name in ("times", "amplitudes"):
            object.__setattr__(self, name, row("StepCurrentSource", name, getattr(self, name)))
        if self.times.size != self.amplitudes.size:
            raise ParameterError(
                f"StepCurrentSource: times and amplitudes must have one length, got {self.times.size} and {self.amplitudes.size}"
            )
        if (self.times < 0).any() or (np.diff(self.times) <= 0).any():
            raise ParameterError(f"StepCurrentSource.times must ascend from >= 0 ms, got {self.times}")


@dataclasses.dataclass(frozen=True)
class ACSource(CurrentSource):
    """``offset + amplitude * sin(2 pi frequency (t - start) / 1000 + phase)``, held for a step."""

    amplitude: Any = parameter(1.0, "nA", "amplitude of the sine")
    offset: Any = parameter(0.0, "nA", "constant part")
    frequency: Any = parameter(10.0, "Hz", "frequency of the sine", low=0.0)
    phase: Any = parameter(0.0, "deg", "phase at start")
    start: Any = parameter(0.0, "ms", "time it is switched on", low=0.0)
    stop: Any = parameter(FOREVER, "ms", "time it is switched off", low=0.0)


@dataclasses.dataclass(frozen=True)
class NoisyCurrentSource(CurrentSource):
    """Gaussian noise: a new value every ``dt`` ms, independent for each cell (as NEST's ``noise_generator``)."""

    mean: Any = parameter(0.0, "nA", "mean current")
    stdev: Any = parameter(1.0, "nA", "standard deviation of a value", low=0.0)
    start: Any = parameter(0.0, "ms", "time it is switched on", low=0.0)
    stop: Any = parameter(FOREVER, "ms", "time it is switched off", low=0.0)
    dt: Any = parameter(0.1, "ms", "time for which a value is held; at least one step is taken", low=0.0, open_low=True)
