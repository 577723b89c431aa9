"""Parameters declared once (default, unit, range, sentence), and the random values they may take."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable
from typing import Any, Union

import numpy as np

from .errors import ParameterError

__all__ = [
    "Distribution", "Exponential", "Gamma", "Integers", "LogNormal", "Normal", "Parameter", "Settings",
    "Uniform", "parameter", "parameters_of", "stream_key",
]


def stream_key(seed: int, *names: object) -> int:
    """64 bits that name one random stream: a hash of the seed and of what is drawn."""
    text = "/".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def signed(key: int) -> int:
    """A key of 64 bits as the signed number of the same bits, for tables of int64."""
    return key - 2**64 if key >= 2**63 else key


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
        array = numbers(value)
        if array is None:
            raise ParameterError(
                f"{owner}.{name} must be a number, an array or a Distribution, got {value!r:.200}: {self.sentence}"
            )
        bad = ~np.isfinite(array)
        bad |= (array <= self.low) if self.open_low else (array < self.low)
        bad |= (array >= self.high) if self.open_high else (array > self.high)
        if bad.any():
            where = "" if array.ndim == 0 else f" at index {int(np.flatnonzero(bad)[0])}"
            raise ParameterError(
                f"{owner}.{name} must be {self.range_text()}, got {array[bad].flat[0]:g}{where}: {self.sentence}"
            )
        return float(array) if array.ndim == 0 else array

    def number(self, owner: str, name: str, value: Any) -> float:
        """As :meth:`check`, for what can only be one number."""
        array = None if isinstance(value, Distribution) else numbers(value)
        if array is None or array.ndim:
            raise ParameterError(f"{owner}.{name} must be one number, {self.range_text()}, got {value!r:.200}: {self.sentence}")
        return self.check(owner, name, value)


def numbers(value: Any) -> np.ndarray | None:
    """A number, or numbers in lists or an array, as a new float array; None for anything else (text, truth values)."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        return None
    return array.astype(float) if array.dtype.kind in "iuf" else None


def row(owner: str, name: str, value: Any) -> np.ndarray:
    """A parameter that is a row of finite numbers, as an array of shape (n,)."""
    array = None if isinstance(value, Distribution) else numbers(value)
    if array is None or array.ndim > 1 or array.size == 0 or not np.isfinite(array).all():
        raise ParameterError(f"{owner}.{name} must be a row of finite numbers, got {value!r:.200}")
    return np.atleast_1d(array)


def refuse_unknown(owner: str, cls: type, given: Iterable[str]) -> None:
    """Raise :class:`ParameterError` if one of these names is not a field of the dataclass."""
    known = [f.name for f in dataclasses.fields(cls) if f.init] if dataclasses.is_dataclass(cls) else []
    for name in given:
        if name not in known:
            raise ParameterError(f"{owner} has no parameter {name!r}; it has {', '.join(known) or 'none'}")


def parameter(default: Any, unit: str, sentence: str, **limits: Any) -> Any:
    """A dataclass field that carries its :class:`Parameter`."""
    return dataclasses.field(default=default, metadata={"parameter": Parameter(default, unit, sentence, **limits)})


def parameters_of(thing: Any) -> dict[str, Parameter]:
    """The declared parameters of a dataclass or of its instance, in their order."""
    return {f.name: f.metadata["parameter"] for f in dataclasses.fields(thing) if "parameter" in f.metadata}


class Settings:
    """Base of frozen dataclasses of single numbers: names and ranges are checked on creation."""

    def __new__(cls, *args: Any, **values: Any) -> Any:
        """Refuse names that are not parameters before dataclass's own ``__init__`` raises a TypeError."""
        refuse_unknown(cls.__name__, cls, values)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, declared in parameters_of(self).items():
            object.__setattr__(self, name, declared.number(type(self).__name__, name, getattr(self, name)))
        self.check()

    def check(self) -> None:
        """Raise :class:`ParameterError` where the numbers contradict each other."""


# ------------------------------------------------------------------------------------ distributions


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A random value.  ``draw(key, first, n)`` is a function of its arguments alone.

    Values outside ``low`` and ``high``, where a distribution has them, are drawn again (not clipped).
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
                raise ParameterError(f"{type(self).__name__}.{field.name} must be a number, got {value!r:.200}")
        self.check()

    def check(self) -> None:
        """Raise :class:`ParameterError` where the numbers do not make a distribution."""

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

    def _require_mass(self, inside: float) -> None:
        """Drawing again must come to an end soon; a NaN is refused too."""
        self._require(inside > 1e-3, f"keeps only a fraction {max(inside, 0.0):.1e} of its draws between low and high")


def _out(n: int) -> np.ndarray:
    return np.empty(n, dtype=np.float64)


@dataclasses.dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform between ``low`` and ``high``."""

    low: float
    high: float

    def check(self) -> None:
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


def _normal_mass(mean: float, sd: float, low: float, high: float) -> float:
    """The probability of [low, high]."""
    if sd == 0:
        return float(low <= mean <= high)
    z = [(bound - mean) / (sd * math.sqrt(2.0)) for bound in (low, high)]
    return 0.5 * (math.erf(z[1]) - math.erf(z[0]))


@dataclasses.dataclass(frozen=True)
class Normal(Distribution):
    """Normal; values outside [low, high] are drawn again (not clipped)."""

    mean: float
    sd: float
    low: float = -math.inf
    high: float = math.inf

    def check(self) -> None:
        self._require(math.isfinite(self.mean) and math.isfinite(self.sd) and self.sd >= 0 and self.low < self.high,
                      "needs a finite mean, sd >= 0 and low < high")
        self._require_mass(_normal_mass(self.mean, self.sd, self.low, self.high))

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
    """exp of a normal with mean ``mu`` and standard deviation ``sigma``; values outside [low, high] are drawn again."""

    mu: float
    sigma: float
    low: float = 0.0
    high: float = math.inf

    def check(self) -> None:
        self._require(self.sigma >= 0 and -700 < self.mu and self.mu + 0.5 * self.sigma**2 < 700,
                      "needs sigma >= 0 and a finite mean")
        self._require(self.low < self.high and self.high > 0, "needs low < high and high > 0")
        self._require_mass(_normal_mass(self.mu, self.sigma, *self._logarithms()))

    def _logarithms(self) -> tuple[float, float]:
        return math.log(self.low) if self.low > 0 else -math.inf, math.log(self.high)

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        drawn = np.exp(Normal(self.mu, self.sigma, *self._logarithms()).draw(key, first, n))
        return np.clip(drawn, *self.support())  # exp may round across a bound

    def support(self) -> tuple[float, float]:
        return max(0.0, self.low), self.high

    def mean_value(self) -> float:
        return math.exp(self.mu + 0.5 * self.sigma**2)


@dataclasses.dataclass(frozen=True)
class Exponential(Distribution):
    """Exponential of ``mean`` (before truncation); values outside [low, high] are drawn again."""

    mean: float
    low: float = 0.0
    high: float = math.inf

    def check(self) -> None:
        self._require(math.isfinite(self.mean) and self.mean > 0 and self.low < self.high,
                      "needs a finite mean > 0 and low < high")
        self._require_mass(math.exp(-max(0.0, self.low) / self.mean) - math.exp(-max(0.0, self.high) / self.mean))

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        from .kernels import random
        out = _out(n)
        random.fill_exponential(np.uint64(key), np.int64(first), float(self.mean), float(self.low), float(self.high),
                                out)
        return out

    def support(self) -> tuple[float, float]:
        return max(0.0, self.low), self.high

    def mean_value(self) -> float:
        return self.mean


def _gamma_cdf(a: float, x: float) -> float:
    """P(a, x), the regularised incomplete gamma function (Abramowitz & Stegun 1964, eqs. 6.5.4 and 6.5.29)."""
    if x <= 0:
        return 0.0
    if x > a + 20.0 * math.sqrt(a) + 100.0:
        return 1.0
    if a > 1e5:  # Wilson & Hilferty (1931)
        return 0.5 * math.erfc(3.0 * math.sqrt(0.5 * a) * (1.0 - 1.0 / (9.0 * a) - (x / a) ** (1.0 / 3.0)))
    term = total = math.exp(a * math.log(x) - x - math.lgamma(a + 1.0))
    n = a
    while term > 1e-12 * total:
        n += 1.0
        term *= x / n
        total += term
    return total


@dataclasses.dataclass(frozen=True)
class Gamma(Distribution):
    """Gamma with ``shape`` and ``scale`` (mean = shape * scale); values outside [low, high] are drawn again."""

    shape: float
    scale: float
    low: float = 0.0
    high: float = math.inf

    def check(self) -> None:
        self._require(0 < self.shape < math.inf and 0 < self.scale < math.inf and self.low < self.high,
                      "needs a finite shape > 0, a finite scale > 0 and low < high")
        low, high = (_gamma_cdf(self.shape, bound / self.scale) for bound in (self.low, self.high))
        self._require_mass(high - low)

    def draw(self, key: int, first: int, n: int) -> np.ndarray:
        from .kernels import random
        out = _out(n)
        random.fill_gamma(np.uint64(key), np.int64(first), float(self.shape), float(self.scale), float(self.low),
                          float(self.high), out)
        return out

    def support(self) -> tuple[float, float]:
        return max(0.0, self.low), self.high

    def mean_value(self) -> float:
        return self.shape * self.scale


@dataclasses.dataclass(frozen=True)
class Integers(Distribution):
    """Whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int

    def check(self) -> None:
        self._require(self.low % 1 == 0 and self.high % 1 == 0 and -(2**53) <= self.low <= self.high <= 2**53,
                      "needs whole numbers low <= high of at most 2**53")

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
