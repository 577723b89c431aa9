"""Leaky integrate-and-fire neurons and leaky integrators as layers over time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ParameterError
from . import functional
from .functional import Cell, Product, State, zeros
from .sequence import Layer
from .surrogate import Surrogate, surrogate

__all__ = ["DECAYS", "LI", "LIF", "RESETS", "AdaptiveLIF", "Neurons"]

DECAYS = ("exact", "euler")
RESETS = ("zero", "subtract")

# Parameter -> (lowest value, unit, what it is).  Those that are > 0 are trained by their logarithm.
_KNOWN = {
    "tau_m": (0.0, "steps", "membrane time constant"),
    "tau_syn": (0.0, "steps", "time constant of the synaptic current"),
    "tau_adapt": (0.0, "steps", "time constant of the adaptation"),
    "v_thresh": (0.0, "thresholds", "potential at which a cell spikes"),
    "beta": (-math.inf, "thresholds", "what a spike adds to the threshold"),
}


class Neurons(Layer):
    """What all leaky neurons share: their parameters, by name, and which of these are trained."""

    takes_products = True

    def __init__(self, n: int | tuple[int, ...] | None, train: Iterable[str], decay: str, values: dict[str, Any]) -> None:
        super().__init__()
        kind = type(self).__name__
        if decay not in DECAYS:
            raise ParameterError(f"{kind}.decay must be one of {', '.join(DECAYS)}, got {decay!r}")
        self.n, self.decay = n if n is None else _shape(kind, n), decay
        self.train_names = (train,) if isinstance(train, str) else tuple(train)
        for name in self.train_names:
            if values.get(name) is None:
                there = ", ".join(one for one, value in values.items() if value is not None)
                raise ParameterError(f"{kind}.train names {name!r}; what can be trained here is {there}")
        for name, value in values.items():
            self._keep(name, value)

    def _keep(self, name: str, value: Any) -> None:
        """Hold a parameter: a buffer, or what is trained."""
        if value is None:
            self.register_buffer(f"_{name}", None)
            return
        number = _number(type(self).__name__, name, value, self.n)
        if name not in self.train_names:
            self.register_buffer(f"_{name}", number)
            return
        full = (number if self.n is None else number.expand(self.n)).clone()
        positive = _KNOWN[name][0] == 0.0
        self.register_parameter(_trained(name), nn.Parameter(full.log() if positive else full))

    def value(self, name: str) -> Any:
        """A parameter, shape () or ``n``; the trained ones by their present values.  None where there is no such thing."""
        if name not in self.train_names:
            return getattr(self, f"_{name}")
        held = getattr(self, _trained(name))
        return held.exp() if _KNOWN[name][0] == 0.0 else held

    def kept(self, name: str) -> Any:
        """What is left after a step by the time constant of this name: exp(-1 / tau), or 1 - 1 / tau by Euler's method."""
        tau = self.value(name)
        if tau is None:
            return None
        return torch.exp(-1.0 / tau) if self.decay == "exact" else 1.0 - 1.0 / tau

    @property
    def tau_m(self) -> Any:
        """Membrane time constant, steps."""
        return self.value("tau_m")

    @property
    def tau_syn(self) -> Any:
        """Time constant of the synaptic current, steps, or None."""
        return self.value("tau_syn")

    def cell(self) -> Cell:
        """The cells, as `functional` takes them."""
        raise NotImplementedError

    def initial(self, x: Tensor | Product) -> State:
        """The state before the first step, for input like ``x``, shape (T, B, *shape): zeros."""
        names = ["v", *(["i"] if self.tau_syn is not None else [])]
        return {name: zeros(x) for name in names}

    def forward(self, x: Tensor | Product, state: State | None = None) -> tuple[Tensor, State]:
        """Input ``x`` of shape (T, B, *shape); spikes (or potentials) of that shape, and the state after the last step."""
        self._check(x)
        return functional.neuron_loop(x, self.initial(x) if state is None else state, self.cell())

    def _check(self, x: Tensor | Product) -> None:
        kind = type(self).__name__
        if len(x.shape) < 3 or (self.n is not None and tuple(x.shape[2:]) != self.n):
            shape = "..." if self.n is None else ", ".join(map(str, self.n))
            raise ParameterError(f"{kind}: input must have shape (steps, batch, {shape}), got {tuple(x.shape)}")
        if isinstance(x, Tensor) and not x.is_floating_point():
            raise ParameterError(f"{kind}: input must be of floating point, got {x.dtype}")

    def extra_repr(self) -> str:
        held = {name: self.value(name) for name in _KNOWN if f"_{name}" in self._buffers or name in self.train_names}
        said = [f"{name}={value.detach().mean().item():.4g}" for name, value in held.items() if value is not None]
        trained = [f"train=({', '.join(self.train_names)})"] if self.train_names else []
        return ", ".join([str(self.n), *said, *trained])


class LIF(Neurons):
    """Leaky integrate-and-fire neurons, in steps::

        v <- keep v + x              or, with tau_syn,     i <- keep_syn i + x,   v <- keep v + i
        s = 1 where v >= v_thresh, else 0
        v <- (1 - s) v               or, with reset="subtract",     v <- v - s v_thresh

    with keep = exp(-1 / tau_m), keep_syn = exp(-1 / tau_syn).  Backwards a surrogate's slope stands for ds/dv (Neftci,
    Mostafa & Zenke, IEEE Signal Processing Magazine 36, 2019).

    Parameters
    ----------
    n : int, tuple of int or None
        Cells, or their shape; None: as the input has, parameters being shared by all.
    tau_m : float or array of the cells' shape
        Membrane time constant, steps, > 0; longer sums input for longer.
    v_thresh : float or array
        Potential at which a cell spikes, > 0.
    reset : {"zero", "subtract"}
        What a spike does to v.
    decay : {"exact", "euler"}
        ``"euler"``: keep = 1 - 1 / tau, as many frameworks have it.
    surrogate : str or Surrogate
    tau_syn : float, array or None
        Time constant of the synaptic current, steps, > 0; None: input acts on v at once.
    train : sequence of str
        Which of tau_m, tau_syn, v_thresh are trained; one value for each cell where ``n`` is given.  What is trained is
        their logarithm: they stay positive.
    detach_reset : bool
        Whether the spike in the reset counts as a constant for gradients.
    """

    def __init__(self, n: int | tuple[int, ...] | None = None, tau_m: Any = 20.0, v_thresh: Any = 1.0, reset: str = "zero",
                 decay: str = "exact", surrogate: str | Surrogate = "atan", tau_syn: Any = None, train: Iterable[str] = (),
                 detach_reset: bool = True) -> None:
        self._spiking(reset, surrogate, detach_reset)
        super().__init__(n, train, decay, {"tau_m": tau_m, "tau_syn": tau_syn, "v_thresh": v_thresh})

    def _spiking(self, reset: str, slope: str | Surrogate, detach_reset: bool) -> None:
        kind = type(self).__name__
        if reset not in RESETS:
            raise ParameterError(f"{kind}.reset must be one of {', '.join(RESETS)}, got {reset!r}")
        if not isinstance(detach_reset, bool):
            raise ParameterError(f"{kind}.detach_reset must be True or False, got {detach_reset!r}")
        nn.Module.__init__(self)
        self.reset, self.surrogate, self.detach_reset = reset, surrogate(slope), detach_reset

    @property
    def v_thresh(self) -> Any:
        """Potential at which a cell spikes."""
        return self.value("v_thresh")

    def cell(self) -> Cell:
        return Cell(self.kept("tau_m"), self.v_thresh, self.kept("tau_syn"), None, None, self.reset == "subtract",
                    self.detach_reset, self.surrogate)


class AdaptiveLIF(LIF):
    """`LIF` whose threshold rises with each spike and falls back (the ALIF neuron of Bellec et al., NeurIPS 2018)::

        s = 1 where v >= v_thresh + beta a, else 0;    reset="subtract" takes v_thresh + beta a off
        a <- keep_adapt a + s

    with keep_adapt = exp(-1 / tau_adapt).  Departure: there a spike adds 1 - keep_adapt to a, here 1, so that beta is
    what a spike adds to the threshold.

    Parameters
    ----------
    n, tau_m, v_thresh, reset, decay, surrogate, tau_syn, detach_reset
        As for `LIF`.
    tau_adapt : float or array
        Time constant of the adaptation, steps, > 0; longer remembers spikes for longer.
    beta : float or array
        What a spike adds to the threshold.
    train : sequence of str
        Also tau_adapt and beta.
    """

    def __init__(self, n: int | tuple[int, ...] | None = None, tau_m: Any = 20.0, v_thresh: Any = 1.0, reset: str = "subtract",
                 decay: str = "exact", surrogate: str | Surrogate = "atan", tau_syn: Any = None, train: Iterable[str] = (),
                 detach_reset: bool = True, tau_adapt: Any = 200.0, beta: Any = 0.2) -> None:
        self._spiking(reset, surrogate, detach_reset)
        Neurons.__init__(self, n, train, decay, {"tau_m": tau_m, "tau_syn": tau_syn, "v_thresh": v_thresh,
                                                 "tau_adapt": tau_adapt, "beta": beta})

    @property
    def tau_adapt(self) -> Any:
        """Time constant of the adaptation, steps."""
        return self.value("tau_adapt")

    @property
    def beta(self) -> Any:
        """What a spike adds to the threshold."""
        return self.value("beta")

    def initial(self, x: Tensor | Product) -> State:
        return {**super().initial(x), "a": zeros(x)}

    def cell(self) -> Cell:
        return super().cell()._replace(keep_adapt=self.kept("tau_adapt"), beta=self.beta)


class LI(Neurons):
    """Leaky integrators, for readouts: v <- keep v + x, and v is what they send; with tau_syn a synaptic current before.

    Parameters
    ----------
    n, tau_m, decay, tau_syn, train
        As for `LIF`.
    """

    def __init__(self, n: int | tuple[int, ...] | None = None, tau_m: Any = 20.0, decay: str = "exact", tau_syn: Any = None,
                 train: Iterable[str] = ()) -> None:
        super().__init__(n, train, decay, {"tau_m": tau_m, "tau_syn": tau_syn})

    def cell(self) -> Cell:
        return Cell(self.kept("tau_m"), keep_syn=self.kept("tau_syn"))


def _trained(name: str) -> str:
    """The attribute that holds what is trained of a parameter."""
    return f"log_{name}" if _KNOWN[name][0] == 0.0 else f"trained_{name}"


def _shape(kind: str, n: Any) -> tuple[int, ...]:
    shape = n if isinstance(n, tuple) else (n,)
    whole = all(isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size > 0 for size in shape)
    if not shape or not whole:
        raise ParameterError(f"{kind}.n must be a whole number > 0, a tuple of these, or None, got {n!r}")
    return tuple(map(int, shape))


def _number(kind: str, name: str, value: Any, n: tuple[int, ...] | None) -> Tensor:
    """A parameter as a tensor of shape () or one that fits the cells."""
    low, unit, what = _KNOWN[name]
    try:
        number = torch.as_tensor(value, dtype=torch.get_default_dtype()).detach().clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(f"{kind}.{name} must be a number or an array, got {value!r}: {what}") from error
    good = torch.isfinite(number) & (number > low)
    if not good.all():
        bound = "finite" if low == -math.inf else f"> {low:g} {unit}"
        raise ParameterError(f"{kind}.{name} must be {bound}, got {number[~good].flatten()[0].item():g}: {what}")
    if number.dim():
        if n is None:
            raise ParameterError(f"{kind}.{name} has shape {tuple(number.shape)}: this needs n, the shape of the cells")
        try:
            number = number.expand(n).clone()
        except RuntimeError as error:
            raise ParameterError(f"{kind}.{name} must have shape {n} or (), got {tuple(number.shape)}: {what}") from error
    return number
