"""Poisson sources and injected currents as sPyNNaker writes them into the machine."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from neurosim.currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from neurosim.errors import NetworkError, ParameterError
from neurosim.kernels import spinnaker_sources as kernel

from .cells import words
from .deployment import LoadedCells

__all__ = ["acting_rates", "coded_current", "core_seeds", "cores_of", "poisson_rates", "poisson_spans", "population_seed",
           "seconds_per_tick", "ticks_per_second"]

_LARGEST = 0xFFFFFFFF


def population_seed(seed: int, label: str) -> int:
    """The seed of a population of Poisson sources, 0 .. 2**32 - 1: what is handed to sPyNNaker's ``Population(seed=)``."""
    return zlib.crc32(f"{seed}/{label}".encode())


def core_seeds(seed: int, cores: int) -> np.ndarray:
    """The generators of a population's cores, first core first: uint32 (cores, 4), as sPyNNaker draws them.

    Source: ``create_mars_kiss_seeds`` of sPyNNaker 7.4.1.
    """
    rng = np.random.RandomState(seed)
    drawn = rng.randint(-0x80000000, 0x7FFFFFFF, size=(cores, 4)).astype(np.int64) + 0x80000000
    drawn[drawn[:, 1] == 0, 1] = 13031301  # a word that may not be 0
    drawn[:, 3] = drawn[:, 3] % 698769068 + 1
    return drawn.astype(np.uint32)


def cores_of(cells: LoadedCells) -> np.ndarray:
    """First cell and end of each core of a population: int64 (cores, 2)."""
    starts = np.arange(0, cells.size, cells.per_core)
    return np.stack([starts, np.minimum(starts + cells.per_core, cells.size)], axis=1)


def seconds_per_tick(dt: float) -> int:
    """A step of ``dt`` ms in seconds, u0.32."""
    return int(round(Decimal(repr(dt / 1000.0)) * 2**32))


def ticks_per_second(dt: float) -> int:
    """Whole ticks in a second, by way of ticks a ms in u16.16."""
    return 1000 * int(round(Decimal(repr(1.0 / dt)) * 65536)) >> 16


def _u3232(values: np.ndarray) -> np.ndarray:
    """Numbers >= 0 as u32.32."""
    return np.array([int(np.round(value * 2.0**32)) for value in values], dtype=np.uint64)


def poisson_rates(cells: LoadedCells) -> np.ndarray:
    """Rates (Hz) of Poisson sources as u32.32, int64."""
    rates = np.asarray(cells.parameters["rate"], dtype=np.float64)
    bad = np.flatnonzero(~((rates >= 0.0) & (rates < 2.0**16)))
    if bad.size:
        raise ParameterError(f"{cells.label}.rate must be within 0 and 65536 Hz on the machine, got {rates[bad[0]]:g} at index {bad[0]}")
    return _u3232(rates).astype(np.int64)


def acting_rates(cells: LoadedCells, dt: float) -> np.ndarray:
    """Rates (Hz) at which Poisson sources send, float64: other than asked for where a core draws the intervals between spikes.

    Sources below 0.01 spikes a tick: their mean interval is a whole number of ticks, rounded down, of a second that is one too; an
    interval is 32 bits of thousandths of ticks, and what is over wraps around; and below 2**-15 Hz none is drawn at all.
    """
    asked, found = np.unique(np.asarray(cells.parameters["rate"], dtype=np.float64), return_inverse=True)
    acting = asked.copy()
    for k, rate in enumerate(_u3232(asked)):
        kept = int(rate) >> 16 & _LARGEST  # as `kernels.spinnaker_sources.set_rate`
        if kept * seconds_per_tick(dt) >> 32 >= kernel.SLOW:
            continue
        mean = kernel.SCALE * ((ticks_per_second(dt) << 16) // kept if kept > 1 else 0)
        over = (_LARGEST + 1) / mean if mean else math.inf
        # Of an exponential variate of this mean, what is left of it after whole multiples of 2**32.
        left = mean - (_LARGEST + 1) / math.expm1(over) if over < 700.0 else mean
        acting[k] = 1000.0 * kernel.SCALE / (left * dt) if mean else 0.0
    return acting[found]


def poisson_spans(cells: LoadedCells, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """First tick and end of each Poisson source, int64; sPyNNaker rounds halves up."""
    per_ms = int(round(Decimal(repr(1.0 / dt)) * 65536))

    def ticks(values: np.ndarray) -> np.ndarray:
        return np.array([((int(round(value * 2.0**32)) * per_ms >> 16) + 2**31) >> 32 for value in values], dtype=np.int64) & _LARGEST

    start = np.asarray(cells.parameters["start"], dtype=np.float64)
    duration = np.asarray(cells.parameters["duration"], dtype=np.float64)
    first = ticks(np.minimum(start, _LARGEST * dt))
    forever = ~(duration < _LARGEST)
    end = np.where(forever, _LARGEST, first + ticks(np.where(forever, 0.0, duration)))
    return first, np.minimum(end, _LARGEST)


def coded_current(source: Any, dt: float, steps: list[tuple[int, int]], label: str) -> list[int]:
    """Columns C_KIND, C_START ... C_D of an injected current; appends the steps of a `StepCurrentSource` to ``steps``.

    Times are whole ticks, rounded down; numbers s16.15.  The machine counts an alternating current's time in ticks where its
    frequency is per ms: at steps other than 1 ms it has another frequency.

    Raises
    ------
    NetworkError
        For a current that sPyNNaker does not have.
    ParameterError
        For a number beyond s16.15.
    """
    def stored(name: str, values: Sequence[float]) -> list[int]:
        out = words(np.asarray(values, dtype=np.float64))
        if ((out < -(2**31)) | (out >= 2**31)).any():
            raise ParameterError(f"{type(source).__name__}.{name} into {label} must be within -65536 and 65536 (s16.15), got {values}")
        return [int(value) for value in out]

    def tick(time: float) -> int:
        return min(int(time * (1.0 / dt)), _LARGEST)

    if isinstance(source, StepCurrentSource):
        first = len(steps)
        steps.extend(zip([tick(time) for time in source.times], stored("amplitudes", source.amplitudes), strict=True))
        return [kernel.STEPS, 0, _LARGEST, first, len(steps), 0, 0]
    if not isinstance(source, (DCSource, ACSource, NoisyCurrentSource)):
        raise NetworkError(f"SpiNNaker has no current source {type(source).__name__}; it has DCSource, ACSource, StepCurrentSource and"
                           " NoisyCurrentSource")
    span = [tick(source.start), tick(source.stop)]
    if isinstance(source, DCSource):
        return [kernel.DC, *span, *stored("amplitude", [source.amplitude]), 0, 0, 0]
    if isinstance(source, ACSource):
        numbers = [source.amplitude, source.offset, source.frequency * 2 * np.pi / 1000.0, source.phase * (np.pi / 180.0)]
        return [kernel.AC, *span, *stored("parameters", numbers)]
    return [kernel.NOISE, *span, *stored("mean and stdev", [source.mean, source.stdev]), 0, 0]
