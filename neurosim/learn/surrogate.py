"""Surrogate gradients: a spike is a step of the potential; going back, a slope of finite width stands for its derivative."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import ParameterError

__all__ = ["Surrogate", "surrogate"]


def _atan(u: Tensor, alpha: float) -> Tensor:
    return (0.5 * alpha) / (1.0 + (0.5 * math.pi * alpha * u) ** 2)


def _fast_sigmoid(u: Tensor, alpha: float) -> Tensor:
    return 1.0 / (1.0 + alpha * u.abs()) ** 2


def _sigmoid(u: Tensor, alpha: float) -> Tensor:
    fall = torch.exp(-alpha * u.abs())
    return alpha * fall / (1.0 + fall) ** 2


def _triangle(u: Tensor, alpha: float) -> Tensor:
    return alpha * (1.0 - alpha * u.abs()).clamp(min=0.0)


def _boxcar(u: Tensor, alpha: float) -> Tensor:
    return alpha * (alpha * u.abs() <= 0.5).to(u.dtype)


def _gaussian(u: Tensor, alpha: float) -> Tensor:
    return (alpha / math.sqrt(2.0 * math.pi)) * torch.exp(-0.5 * (alpha * u) ** 2)


def _slayer(u: Tensor, alpha: float) -> Tensor:
    return (0.5 * alpha) * torch.exp(-alpha * u.abs())


# Name -> (slope, default alpha).  The place in this table is the number by which kernels know a surrogate.
_SLOPES: dict[str, tuple[Callable[[Tensor, float], Tensor], float]] = {
    "atan": (_atan, 2.0),
    "fast_sigmoid": (_fast_sigmoid, 10.0),
    "sigmoid": (_sigmoid, 4.0),
    "triangle": (_triangle, 1.0),
    "boxcar": (_boxcar, 1.0),
    "gaussian": (_gaussian, 2.0),
    "slayer": (_slayer, 5.0),
}


class _Spike(torch.autograd.Function):
    """H(u) forward, u >= 0 being a spike; the surrogate's slope backward, which may itself be differentiated."""

    @staticmethod
    def forward(u: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
        return (u >= 0).to(u.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.slope = inputs[1]
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * ctx.slope(ctx.saved_tensors[0]), None


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """The slope that stands for the derivative of a spike, as a function of u = v - v_thresh.

    ============= =================================== =====================================
    name          slope (times ``scale``)              default alpha
    ============= =================================== =====================================
    atan          (a / 2) / (1 + (pi a u / 2)^2)       2
    fast_sigmoid  1 / (1 + a |u|)^2                    10
    sigmoid       a S(a u) (1 - S(a u))                4; S is the logistic function
    triangle      a max(0, 1 - a |u|)                  1
    boxcar        a where |u| <= 1 / (2 a), else 0     1
    gaussian      normal density, deviation 1 / a      2
    slayer        (a / 2) exp(-a |u|)                  5
    ============= =================================== =====================================

    All but fast_sigmoid have an area of 1, as has the derivative of a step.

    Parameters
    ----------
    name : str
    alpha : float, optional
        Steepness, > 0; a larger one lets only potentials closer to the threshold learn.
    scale : float
        Factor on the slope, > 0; below 1 it dampens gradients through many steps.
    """

    name: str = "atan"
    alpha: float | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in _SLOPES:
            raise ParameterError(f"surrogate must be one of {', '.join(_SLOPES)}, got {self.name!r}")
        if self.alpha is None:
            object.__setattr__(self, "alpha", _SLOPES[self.name][1])
        for field in ("alpha", "scale"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < math.inf:
                raise ParameterError(f"Surrogate.{field} must be a finite number > 0, got {value!r}")
            object.__setattr__(self, field, float(value))

    @property
    def number(self) -> int:
        """The place among all surrogates, by which kernels know it."""
        return list(_SLOPES).index(self.name)

    def slope(self, u: Tensor) -> Tensor:
        """The slope at u = v - v_thresh."""
        assert self.alpha is not None
        return self.scale * _SLOPES[self.name][0](u, self.alpha)

    def spike(self, u: Tensor) -> Tensor:
        """1 where u >= 0, else 0; its gradient is the slope.

        Parameters
        ----------
        u : Tensor
            v - v_thresh, in units of the threshold.
        """
        spikes: Tensor = _Spike.apply(u, self.slope)
        return spikes


def surrogate(given: str | Surrogate) -> Surrogate:
    """A surrogate of its name, or as it is."""
    if isinstance(given, Surrogate):
        return given
    if not isinstance(given, str):
        raise ParameterError(f"surrogate must be a name ({', '.join(_SLOPES)}) or a Surrogate, got {given!r}")
    return Surrogate(given)
