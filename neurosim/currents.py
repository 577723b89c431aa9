"""Currents injected into cells: constant, stepped, sinusoidal, noisy.  PyNN's names; nA, ms, Hz, degrees.

All are functions of time: of the step, counted from 0, and of nothing that happens in a simulation.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import NetworkError, ParameterError
from .parameters import Settings, parameter, row, signed, stream_key
from .wiring import whole_steps

__all__ = ["ACSource", "CurrentSource", "DCSource", "NoisyCurrentSource", "StepCurrentSource", "coded", "injected", "noise_key",
           "noise_number", "stream_of", "values"]

FOREVER = 1e12


class CurrentSource(Settings):
    """Base of the currents.  A value set for time t acts on the interval (t, t + dt]: a potential shows it at t + dt.

    Times at which currents begin, change and end are rounded to the nearest step, halves up.
    """

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
    """``amplitudes[k]`` from ``times[k]`` on; nothing before ``times[0]``.  Of times that fall into one step the last counts."""

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
    """Gaussian noise: a new value every ``dt`` ms, counted from ``start``, held until the next step at or after that.

    By default each cell has values of its own (as with NEST's ``noise_generator``); with ``shared=True`` all cells that
    this source is injected into get the same (as with PyNN's NEURON and Brian2 back ends).
    """

    mean: Any = parameter(0.0, "nA", "mean current")
    stdev: Any = parameter(1.0, "nA", "standard deviation of a value", low=0.0)
    start: Any = parameter(0.0, "ms", "time it is switched on", low=0.0)
    stop: Any = parameter(FOREVER, "ms", "time it is switched off", low=0.0)
    dt: Any = parameter(0.1, "ms", "time for which a value is held; at least one step is taken", low=0.0, open_low=True)
    shared: bool = False

    def check(self) -> None:
        super().check()
        if not isinstance(self.shared, (bool, np.bool_)):
            raise ParameterError(f"NoisyCurrentSource.shared must be True or False, got {self.shared!r:.200}")


# ------------------------------------------------------------------------------------ their values


def coded(source: CurrentSource, dt: float) -> tuple[int, list[float]]:
    """The kind and the parameters of a source as `neurosim.kernels.engine.amplitude` reads them; times in ms, on the grid of steps."""
    from .kernels import engine as k
    if isinstance(source, StepCurrentSource):
        return k.STEPS, [*(whole_steps(source.times, dt, 0.0) * dt), *source.amplitudes]
    span = [float(whole_steps(getattr(source, name, 0.0), dt, 0.0) * dt) for name in ("start", "stop")]
    if isinstance(source, DCSource):
        return k.DC, [*span, source.amplitude]
    if isinstance(source, ACSource):
        return k.AC, [*span, source.offset, source.amplitude, source.frequency, math.radians(source.phase)]
    if isinstance(source, NoisyCurrentSource):
        return k.NOISE, [*span, source.mean, source.stdev, max(source.dt, dt)]
    raise NetworkError(f"the engine has no current source {type(source).__name__}")


def noise_number(injections: Sequence[Any], injection: Any) -> int:
    """By which injection its noise is drawn: its place among all; of shared noise, the first of that source."""
    shared = getattr(injection.current, "shared", False)
    return next(k for k, one in enumerate(injections) if one is injection or (shared and one.current is injection.current))


def noise_key(seed: int, number: int) -> int:
    """The stream of an injection's noise."""
    return signed(stream_key(seed, "current", number))


def values(source: CurrentSource, dt: float, first: int, last: int, key: int = 0, cells: Any = None) -> np.ndarray:
    """A source's amplitudes (nA) at steps ``first`` to ``last``, both included: what acts over the step that follows each.

    Parameters
    ----------
    dt : float
        Step, ms.
    key : int
        The stream of noise, from :func:`noise_key`.
    cells : ndarray of int, optional
        Whose noise, counted in their population; by default that which is shared.

    Returns
    -------
    ndarray, float64, shape (last - first + 1,), or (last - first + 1, cells) if cells are given
    """
    from .kernels import engine as k
    for name, step, least in (("first", first, 0), ("last", last, first)):
        if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or not least <= step < 2**62:
            raise ParameterError(f"values of a current: {name} must be a whole number of steps >= {least}, got {step!r}")
    kind, par = coded(source, dt)
    each = np.zeros(1, np.int64) if cells is None else np.asarray(cells, np.int64)
    out = np.empty((each.size, int(last) - int(first) + 1))
    for row_of, cell in zip(out, each, strict=True):
        k.amplitudes(kind, np.array(par, dtype=np.float64), np.int64(key), cell, int(first), float(dt), row_of)
    return out[0] if cells is None else np.ascontiguousarray(out.T)


def stream_of(sim: Any, injection: Any) -> int:
    """The stream that a simulation draws an injection's noise from; raises NetworkError if it has no such injection."""
    known = sim._described[3]
    if not any(one is injection for one in known):
        raise NetworkError(f"{injection!r:.100} is no injection of {sim.network.label}, or was added after the simulation had been made")
    return noise_key(sim.seed, sim._current_numbers[noise_number(known, injection)])


def injected(sim: Any, injection: Any, first: int, last: int | None) -> np.ndarray:
    """As `neurosim.Simulation.current_of`."""
    key, own = stream_of(sim, injection), not getattr(injection.current, "shared", True)
    return values(injection.current, sim.dt, first, sim._step if last is None else last, key, injection.target.indices if own else None)
