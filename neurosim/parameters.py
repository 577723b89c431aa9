"""Parameters declared once (default, unit, range, sentence), and the random values they may take."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from typing import Any, Union

import numpy as np

from .errors import ParameterError

__all__ = [
    "Distribution", "Exponential", "Gamma", "Integers", "LogNormal", "Normal", "Parameter", "Uniform",
    "parameter", "parameters_of", "stream_key",
]


def stream_key(seed: int, *names: object) -> int:
    """64 bits that name one random stream: a hash of the seed and of what is drawn."""
    text = "/".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What is known of a parameter before anyone gives it a value.

    ``low`` and ``high`` bound the value; ``open_low`` / ``open_high`` exclude the bound itself.
    """

    default: Any
    unit: str
    sentence: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def range_text(self) -> str:
        """The range in words, with the unit: ``> 0 ms``, ``between 0 and 1``."""
        unit = f" {self.unit}" if self.unit else ""
        above = f"{'>' if self.open_low else '>='} {self.low:g}"
        below = f"{'<' if self.open_high else '<='} {self.high:g}"
        if self.low > -math.inf and self.high < math.inf:
            return f"{above} and {below}{unit}"
        if self.low > -math.inf:
            return above + unit
        return below + unit if self.high < math.inf else f"finite{unit}"

    def check(self, owner: str, name: str, value: Any) -> Any:
        """The value as a float, a float array or a :class:`Distribution`; raises :class:`ParameterError`."""
        if isinstance(value, Distribution):
            value.check_range(self, f"{owner}.{name}")
            return value
        try:
            array = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise ParameterError(
                f"{owner}.{name} must be a number, an array or a Distribution, got {value!r}: {self.sentence}"
            ) from None
        bad = ~np.isfinite(array)
        bad |= (array <= self.low) if self.open_low else (array < self.low)
        bad |= (array >= self.high) if self.open_high else (array > self.high)
        if bad.any():
            where = "" if array.ndim == 0 else f" at index {int(np.flatnonzero(bad)[0])}"
            raise ParameterError(
                f"{owner}.{name} must be {self.range_text()}, got {array[bad].flat[0]:g}{where}: {self.sentence}"
            )
        return float(array) if array.ndim == 0 else array


def parameter(default: Any, unit: str, sentence: str, **limits: Any) -> Any:
    """A dataclass field that carries its :class:`Parameter`."""
    return dataclasses.field(default=default, metadata={"parameter": Parameter(default, unit, sentence, **limits)})


def parameters_of(thing: Any) -> dict[str, Parameter]:
    """The declared parameters of a dataclass or of its instance, in their order."""
    return {f.name: f.metadata["parameter"] for f in dataclasses.fields(thing) if "parameter" in f.metadata}


# ------------------------------------------------------------------------------------ distributions


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A random value.  ``draw(key, first, n)`` is a function of its arguments alone."""

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        """The values of items first .. first + n - 1 of stream ``key``; float64, shape (n,)."""
        raise NotImplementedError

    def support(self) -> tuple[float, float]:
        """The least and the greatest value that can come out."""
        raise NotImplementedError

    def mean_value(self) -> float:
        """The mean (of the untruncated distribution)."""
        raise NotImplementedError

    def check_range(self, declared: Parameter, name: str) -> None:
        """Raise :class:`ParameterError` if a draw could fall outside the declared range."""
        low, high = self.support()
        if low < declared.low or high > declared.high:
            raise ParameterError(
                f"{name} must be {declared.range_text()}, but {self} reaches from {low:g} to {high:g}"
                f" (give low= and high= to draw again outside them): {declared.sentence}"
            )

    def _require(self, good: bool, text: str) -> None:
        if not good:
            raise ParameterError(f"{type(self).__name__} {text}, got {self}")


def _out(n: int) -> np.ndarray:
    return np.empty(n, dtype=np.float64)


@dataclasses.dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform between ``low`` and ``high``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        self._require(math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high,
                      "needs finite low <= high")

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        from .kernels import random
        out = _out(n)
        random.fill_uniform(np.uint64(key), np.int64(first), float(self.low), float(self.high), out)
        return out

    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def mean_value(self) -> float:
        return 0.5 * (self.low + self.high)


@dataclasses.dataclass(frozen=True)
class Normal(Distribution):
    """Normal; values outside [low, high] are drawn again (not clipped)."""

    mean: float
    sd: float
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        self._require(math.isfinite(self.mean) and math.isfinite(self.sd) and self.sd >= 0 and self.low < self.high,
                      "needs a finite mean, sd >= 0 and low < high")
        inside = max(0.0, self._mass())
        self._require(inside > 1e-3 or (self.sd == 0 and self.low <= self.mean <= self.high),
                      f"keeps only a fraction {inside:.1e} of its draws between low and high")

    def _mass(self) -> float:
        if self.sd == 0:
            return float(self.low <= self.mean <= self.high)
        z = [(b - self.mean) / (self.sd * math.sqrt(2.0)) for b in (self.low, self.high)]
        return 0.5 * (math.erf(z[1]) - math.erf(z[0]))

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        from .kernels import random
        out = _out(n)
        random.fill_normal(np.uint64(key), np.int64(first), float(self.mean), float(self.sd),
                           float(self.low), float(self.high), out)
        return out

    def support(self) -> tuple[float, float]:
        return (self.low, self.high) if self.sd > 0 else (self.mean, self.mean)

    def mean_value(self) -> float:
        return self.mean


@dataclasses.dataclass(frozen=True)
class LogNormal(Distribution):
    """exp of a normal with mean ``mu`` and standard deviation ``sigma``."""

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        self._require(math.isfinite(self.mu) and math.isfinite(self.sigma) and self.sigma >= 0, "needs sigma >= 0")

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        return np.exp(Normal(self.mu, self.sigma).draw(key, first, n))

    def support(self) -> tuple[float, float]:
        return 0.0, math.inf

    def mean_value(self) -> float:
        return math.exp(self.mu + 0.5 * self.sigma**2)


@dataclasses.dataclass(frozen=True)
class Exponential(Distribution):
    """Exponential with the given ``mean``."""

    mean: float

    def __post_init__(self) -> None:
        self._require(math.isfinite(self.mean) and self.mean > 0, "needs a mean > 0")

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        from .kernels import random
        out = _out(n)
        random.fill_exponential(np.uint64(key), np.int64(first), float(self.mean), out)
        return out

    def support(self) -> tuple[float, float]:
        return 0.0, math.inf

    def mean_value(self) -> float:
        return self.mean


@dataclasses.dataclass(frozen=True)
class Gamma(Distribution):
    """Gamma with ``shape`` and ``scale`` (mean = shape * scale)."""

    shape: float
    scale: float

    def __post_init__(self) -> None:
        self._require(self.shape > 0 and self.scale > 0, "needs shape > 0 and scale > 0")

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        from .kernels import random
        out = _out(n)
        random.fill_gamma(np.uint64(key), np.int64(first), float(self.shape), float(self.scale), out)
        return out

    def support(self) -> tuple[float, float]:
        return 0.0, math.inf

    def mean_value(self) -> float:
        return self.shape * self.scale


@dataclasses.dataclass(frozen=True)
class Integers(Distribution):
    """Whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        self._require(int(self.low) == self.low and int(self.high) == self.high and self.low <= self.high,
                      "needs whole numbers low <= high")

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        from .kernels import random
        out = _out(n)
        random.fill_integers(np.uint64(key), np.int64(first), np.int64(self.low), np.int64(self.high), out)
        return out

    def support(self) -> tuple[float, float]:
        return float(self.low), float(self.high)

    def mean_value(self) -> float:
        return 0.5 * (self.low + self.high)


Value = Union[float, np.ndarray, Distribution]
DistanceFunction = Callable[[np.ndarray], np.ndarray]


def evaluate(value: Value, n: int, key: int, name: str) -> np.ndarray:
    """A parameter's value for each of ``n`` items: float64, shape (n,).

    Raises
    ------
    ParameterError
        If an array's length is not ``n``.
    """
    if isinstance(value, Distribution):
        return value.draw(key, 0, n)
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        return np.full(n, float(array))
    if array.shape != (n,):
        raise ParameterError(f"{name} must be a number or an array of {n} values, got shape {array.shape}")
    return np.ascontiguousarray(array)
