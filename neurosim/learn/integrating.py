"""Cells that add up what they get and forget nothing, and the layers that networks made of them need besides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import maps
from ..errors import ParameterError
from ..leaky import leaky
from ..maps import Shape
from ..stack import Cells, Connection
from .deployment import describe
from .functional import Cell, Product, State, neuron_loop, zeros
from .residual import Residual
from .sequence import Layer, Sequential, applied
from .surrogate import Surrogate
from .surrogate import surrogate as named_surrogate

__all__ = ["IF", "SPREAD", "Integrator", "Scale", "opened"]

SPREAD = "spread"
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0  # its multiples fill 0 to 1 as evenly as any do


class IF(Layer):
    """Integrate-and-fire cells without leak, at each step::

        v <- v + x,      s = 1 if v >= 1 else 0,      v <- v - s  (reset "subtract")   or   v <- 0 where s  ("zero")

    With ``"subtract"`` what is left over the threshold stays, and the number of spikes follows the sum of x; with ``"zero"``
    it is lost (Rueckauer et al., Frontiers in Neuroscience 11, 2017: reset by subtraction, reset to zero).

    Parameters
    ----------
    initial : float or "spread"
        v before the first step, in units of the threshold, < 1.  One half makes a rounding of the floor: T steps of x give
        floor(T x + 1/2) spikes for x in [0, 1].  ``"spread"``: from cell to cell other values, evenly over 0 to 1 (cell k
        begins at the fractional part of 1/2 + 0.618... k), so that cells that get the same do not spike together: then
        what they send reaches the next layer evenly in time.
    reset : {"subtract", "zero"}
    surrogate : str or Surrogate
        What stands for the derivative of a spike where the network is trained on.
    """

    takes_products = True

    def __init__(self, initial: float | str = 0.5, reset: str = "subtract", surrogate: str | Surrogate = "triangle") -> None:
        super().__init__()
        number = isinstance(initial, (int, float)) and math.isfinite(initial) and initial < 1
        if initial != SPREAD and not number:
            raise ParameterError(f"IF.initial must be finite and < 1 threshold, or {SPREAD!r}, got {initial!r}")
        if reset not in ("subtract", "zero"):
            raise ParameterError(f"IF.reset must be 'subtract' or 'zero', got {reset!r}")
        self.initial: float | str = initial if isinstance(initial, str) else float(initial)
        self.reset, self.surrogate = reset, named_surrogate(surrogate)

    def potentials(self, shape: Shape) -> np.ndarray:
        """v of each cell before the first step, float64, in the given shape."""
        if not isinstance(self.initial, str):
            return np.full(shape, self.initial)
        return np.modf(0.5 + _GOLDEN * np.arange(math.prod(shape)))[0].reshape(shape)

    def forward(self, x: Tensor | Product, state: State | None = None) -> tuple[Tensor, State]:
        """Spikes, 0 or 1, for ``x`` of shape (T, B, ...); the state is v, shape (B, ...), after them."""
        before = self._beginning(zeros(x)) if state is None else state["v"]
        one = before.new_ones(())
        return neuron_loop(x, {"v": before}, Cell(one, one, subtract=self.reset == "subtract", surrogate=self.surrogate))

    def _beginning(self, v: Tensor) -> Tensor:
        if not isinstance(self.initial, str):
            return v + self.initial
        return v + torch.as_tensor(self.potentials(tuple(v.shape[1:])), dtype=v.dtype, device=v.device)

    def extra_repr(self) -> str:
        """The settings, for the module's representation."""
        return f"initial={self.initial!r}, reset={self.reset!r}"


class Integrator(Layer):
    """A readout that adds up, v <- v + x, and sends v at each step."""

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        """The sums so far, shape (T, B, ...); the state is the last."""
        v = x.cumsum(0)
        v = v if state is None else v + state
        return v, v[-1]


class Scale(nn.Module):
    """Everything times one number."""

    factor: Tensor

    def __init__(self, factor: float) -> None:
        super().__init__()
        if not math.isfinite(factor):
            raise ParameterError(f"Scale.factor must be finite, got {factor!r}")
        self.register_buffer("factor", torch.tensor(float(factor), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """x times the factor, in the precision of x."""
        return x * self.factor.to(x.dtype)

    def extra_repr(self) -> str:
        """The number, for the module's representation."""
        return f"{self.factor.item():.6g}"


def opened(layers: Sequential, x: Tensor, state: Any = None, prefix: str = "") -> tuple[Tensor, Any, dict[str, Tensor]]:
    """(output, state, what every layer sends by name), as ``layers`` and within branches too, as ``block.branch.layer``."""
    sent: dict[str, Tensor] = {}
    after: dict[str, Any] = {}
    for name, layer in layers.layers():
        before = (state or {}).get(name)
        if isinstance(layer, Residual):
            ends, states = [], []
            for place, branch in enumerate(layer.branches):
                end, inner, within = opened(Sequential(branch), x, None if before is None else before[place], f"{prefix}{name}.")
                ends.append(end)
                states.append(inner)
                sent.update(within)
            x, after[name] = sum(ends[1:], ends[0]), states
        elif isinstance(layer, Sequential):
            x, after[name], within = opened(layer, x, before, f"{prefix}{name}.")
            sent.update(within)
        else:
            x, after[name] = applied(layer, x, before)
        sent[prefix + name] = x
    return x, after, sent


@describe.register(IF)
def _(module: IF, shape: Shape, dt: float) -> Cells:
    return leaky(shape, 1.0, dt, reset={"subtract": "subtract", "zero": "value"}[module.reset], initial=module.potentials(shape))


@describe.register(Integrator)
def _(module: Integrator, shape: Shape, dt: float) -> Cells:
    return leaky(shape, 1.0, dt, spiking=False)


@describe.register(Scale)
def _(module: Scale, shape: Shape, dt: float) -> Connection:
    return Connection(maps.diagonal(np.full(math.prod(shape), float(module.factor))), shape)
