"""Layers trained by exact gradients of spike times: weights and delays, event by event."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import maps
from ..cells.lif import IF_curr_exp
from ..errors import NetworkError, ParameterError
from ..kernels import eventprop as kernel
from ..stack import Cells, Connection
from .deployment import array, describe
from .eventprop_autograd import Potentials, Settings, Spikes, in_force
from .sequence import Layer

__all__ = ["EventLI", "EventLIF"]

NEVER = 1e300  # mV: a threshold that nothing reaches


def _two_numbers(given: Any) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and all(isinstance(one, (int, float)) for one in given)


class _Events(Layer):
    """Cells with exponential synaptic currents, each synapse with a weight and a delay."""

    def __init__(self, n_in: int, n: int, *, steps: float, tau_m: float, tau_syn: float, weight: Any, delays: Any,
                 max_delay: float, learn_delays: bool, grid: bool, generator: torch.Generator) -> None:
        super().__init__()
        name = type(self).__name__
        for what, number in (("n_in", n_in), ("n", n)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ParameterError(f"{name}.{what} must be a whole number >= 1, got {number!r}")
        for what, value in (("steps", steps), ("tau_m", tau_m), ("tau_syn", tau_syn)):
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise ParameterError(f"{name}.{what} must be > 0 steps, got {value!r}")
        if grid and steps != int(steps):
            raise ParameterError(f"{name}.steps must be a whole number on a grid, got {steps!r}")
        if not max_delay >= 0:
            raise ParameterError(f"{name}.max_delay must be >= 0 steps, got {max_delay!r}")
        self.n_in, self.n, self.grid, self.steps = n_in, n, bool(grid), float(steps)
        self.tau_m, self.tau_syn, self.max_delay = float(tau_m), float(tau_syn), float(max_delay)
        top = float(kernel.potential(0.0, 1.0, kernel.crest(0.0, 1.0, self.tau_m, self.tau_syn), self.tau_m, self.tau_syn))
        self._unit = 2.0 / (top * n_in)
        self.weight = nn.Parameter(self._drawn("weight", weight, (n, n_in), self._unit, generator))
        self.delay = nn.Parameter(self._times("delays", delays, (n, n_in), 0.0, generator), requires_grad=learn_delays)

    def _drawn(self, what: str, given: Any, shape: tuple[int, int], unit: float, draws: torch.Generator) -> Tensor:
        """(mean, sd) or values; by default both are ``unit``."""
        mean_sd = (unit, unit) if given is None else given
        if _two_numbers(mean_sd):
            return mean_sd[0] + mean_sd[1] * torch.randn(shape, generator=draws, dtype=torch.float64)
        return self._shaped(what, mean_sd, shape)

    def _times(self, what: str, given: Any, shape: tuple[int, int], low: float, draws: torch.Generator) -> Tensor:
        """(low, high) or values, within what is allowed."""
        if _two_numbers(given):
            values = given[0] + (given[1] - given[0]) * torch.rand(shape, generator=draws, dtype=torch.float64)
        else:
            values = self._shaped(what, given, shape)
        if not ((values >= low) & (values <= self.max_delay)).all():
            raise ParameterError(f"{type(self).__name__}.{what} must be between {low:g} and max_delay = {self.max_delay:g} steps")
        return values

    def _shaped(self, what: str, given: Any, shape: tuple[int, int]) -> Tensor:
        values = torch.as_tensor(given, dtype=torch.float64).detach()
        if values.ndim and values.shape != shape or not torch.isfinite(values).all():
            raise ParameterError(f"{type(self).__name__}.{what} must be a finite number or of shape {shape}, got {tuple(values.shape)}")
        return values.expand(shape).clone()

    def _bounded(self, delay: Tensor, low: float) -> Tensor:
        """A delay that an optimiser moved out of its range is put back before it is used."""
        with torch.no_grad():
            if ((delay < low) | (delay > self.max_delay)).any():
                delay.clamp_(low, self.max_delay)
        return delay

    def _input(self, x: Tensor, state: Any) -> Tensor:
        name = type(self).__name__
        if x.ndim != 3 or x.shape[2] != self.n_in:
            raise ParameterError(f"{name} takes spike times of shape (K, B, {self.n_in}), got {tuple(x.shape)}")
        if state is not None:
            raise ParameterError(f"{name} takes whole sequences: it cannot go on from a state")
        with torch.no_grad():
            finite = x[torch.isfinite(x)]
            if torch.isnan(x).any() or (finite < 0).any():
                raise ParameterError(f"{name}: spike times must be >= 0, or inf for none")
            if self.grid and not torch.equal(finite, finite.round()):
                raise ParameterError(f"{name}: on a grid spike times must be whole steps")
        return x.to(torch.float64)

    def used_delays(self) -> Tensor:
        """The delays in force, (n, n_in): on a grid rounded to whole steps."""
        return in_force(self._bounded(self.delay, 0.0).detach(), self.grid)

    def extra_repr(self) -> str:
        return f"{self.n_in}, {self.n}, steps={self.steps:g}, tau_m={self.tau_m:g}, tau_syn={self.tau_syn:g}, grid={self.grid}"


class EventLIF(_Events):
    """Leaky integrate-and-fire cells simulated event by event, with exact gradients of their spike times.

    ::

        tau_m dV/dt = -V + I,   tau_syn dI/dt = -I;   I += weight, a delay after an input's spike;   V >= v_thresh: spike, V = 0

    ``times, _ = layer(x)``: spike times in steps, (K, B, n_in) to (K', B, n), inf for none (`spike_times` makes them of spikes on
    a grid).  The forward pass goes from event to event and finds each spike as a root, to rounding; the backward pass is the
    adjoint, event by event (EventProp: Wunderlich & Pehle 2021; with delays Meszaros, Knight & Nowotny 2025, eqs. 5, 6, 16, 17).
    Only spikes are kept in between.  Layers in a row, and losses on times, are put together by autograd.

    Parameters
    ----------
    n_in, n : int
    steps : float
        How long a trial is.
    tau_m, tau_syn : float
        Time constants, steps.
    v_thresh : float
    weight : (mean, sd), or values of shape (n, n_in)
        By default such that all inputs together, once, would lift V to twice the threshold.
    delays : number, (low, high) to draw them from, or values of shape (n, n_in)
        Steps.
    max_delay : float
        What training may reach, steps; delays stay between 0 (recurrent ones on a grid: 1) and this.
    learn_delays : bool
    recurrent : bool
        Whether the cells project to each other and to themselves, with ``recurrent_weight``, ``recurrent_delay`` (n, n), to and from.
    recurrent_weight, recurrent_delays
        As ``weight`` (by default normal with sd of a tenth of the default weights' mean times n_in / n) and ``delays``.
    max_spikes : int, optional
        A cell falls silent after so many spikes; 1 for codes of first spikes.
    grid : bool
        Spikes are found at whole steps only, as the engine finds them, and delays count rounded: then `to_network` gives the
        same spikes.  Gradients are those of the continuous equations at these times (straight through the rounding).
    wake : float
        Strength of a loss for cells that stay silent: ``wake`` times the mean, over batch and cells, of v_thresh - the highest V.
        Its exact gradient is added in the backward pass; spike times of silent cells have none.
    least_slope : float
        tau_m dV/dt at a spike counts as at least this.  Where V only grazes the threshold, gradients grow without bound.
    generator : torch.Generator, optional
        Draws weights, then delays; by default one of its own, seeded with 1.

    Notes
    -----
    Time constants and threshold are not trained and are one for all cells.  A gradient does not know of spikes that appear or
    disappear.  On a grid a spike is up to one step late, and each layer adds to it.
    """

    def __init__(self, n_in: int, n: int, *, steps: float, tau_m: float = 20.0, tau_syn: float = 5.0, v_thresh: float = 1.0,
                 weight: Any = None, delays: Any = 0.0, max_delay: float = math.inf, learn_delays: bool = True,
                 recurrent: bool = False, recurrent_weight: Any = None, recurrent_delays: Any = 1.0, max_spikes: int | None = None,
                 grid: bool = False, wake: float = 0.0, least_slope: float = 0.0, generator: torch.Generator | None = None) -> None:
        generator = torch.Generator().manual_seed(1) if generator is None else generator
        super().__init__(n_in, n, steps=steps, tau_m=tau_m, tau_syn=tau_syn, weight=weight, delays=delays, max_delay=max_delay,
                         learn_delays=learn_delays, grid=grid, generator=generator)
        if max_spikes is not None and (isinstance(max_spikes, bool) or not isinstance(max_spikes, int) or max_spikes < 1):
            raise ParameterError(f"EventLIF.max_spikes must be a whole number >= 1 or None, got {max_spikes!r}")
        if not v_thresh > 0:
            raise ParameterError(f"EventLIF.v_thresh must be > 0, got {v_thresh!r}")
        for what, value in (("wake", wake), ("least_slope", least_slope)):
            if not value >= 0:
                raise ParameterError(f"EventLIF.{what} must be >= 0, got {value!r}")
        self.v_thresh, self.max_spikes, self.wake, self.least_slope = float(v_thresh), max_spikes, float(wake), float(least_slope)
        self.recurrent_weight = self.recurrent_delay = None
        if recurrent:
            given = (0.0, 0.1 * self._unit * n_in / n) if recurrent_weight is None else recurrent_weight
            self.recurrent_weight = nn.Parameter(self._drawn("recurrent_weight", given, (n, n), 0.0, generator))
            self.recurrent_delay = nn.Parameter(self._times("recurrent_delays", recurrent_delays, (n, n), 1.0 if grid else 0.0, generator),
                                                requires_grad=learn_delays)

    def settings(self) -> Settings:
        """What the kernels get."""
        end = self.steps - 1.0 if self.grid else self.steps
        return Settings(self.tau_m, self.tau_syn, self.v_thresh, end, self.grid, self.max_spikes or -1, self.wake, self.least_slope)

    def used_recurrent_delays(self) -> Tensor | None:
        """Those of the loops in force, (n, n)."""
        if self.recurrent_delay is None:
            return None
        return in_force(self._bounded(self.recurrent_delay, 1.0 if self.grid else 0.0).detach(), self.grid)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Spike times, and each cell's highest V within the trial, (B, n): with a gradient where the cell stays silent."""
        x = self._input(x, None)
        loops: tuple[Any, Any] = (None, None)
        if self.recurrent_delay is not None:
            loops = self.recurrent_weight, self._bounded(self.recurrent_delay, 1.0 if self.grid else 0.0)
        return Spikes.apply(x, self.weight, self._bounded(self.delay, 0.0), *loops, self.settings())

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Spike times (K, B, n_in) to spike times (K', B, n); there is no state."""
        return self.both(self._input(x, state))[0], None


class EventLI(_Events):
    """Leaky integrators that read out spike times: the equations of `EventLIF` without a threshold; exact gradients.

    Parameters
    ----------
    readout : {"max", "mean", "trace"}
        What it gives of V: the highest value within the trial and the mean over it, in continuous time, shape (1, B, n); or V at the steps
        0, 1 ... steps - 1, shape (steps, B, n).  On a grid "max" and "mean" are those of the steps.
    others
        As for `EventLIF`.
    """

    def __init__(self, n_in: int, n: int, *, steps: float, tau_m: float = 20.0, tau_syn: float = 5.0, readout: str = "max",
                 weight: Any = None, delays: Any = 0.0, max_delay: float = math.inf, learn_delays: bool = True, grid: bool = False,
                 generator: torch.Generator | None = None) -> None:
        generator = torch.Generator().manual_seed(1) if generator is None else generator
        super().__init__(n_in, n, steps=steps, tau_m=tau_m, tau_syn=tau_syn, weight=weight, delays=delays, max_delay=max_delay,
                         learn_delays=learn_delays, grid=grid, generator=generator)
        if readout not in ("max", "mean", "trace"):
            raise ParameterError(f"EventLI.readout must be 'max', 'mean' or 'trace', got {readout!r}")
        self.readout = readout

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Spike times (K, B, n_in) to potentials; there is no state."""
        x, delay = self._input(x, state), self._bounded(self.delay, 0.0)
        settings = Settings(self.tau_m, self.tau_syn, math.inf, self.steps, self.grid, -1, 0.0, 0.0)
        if self.readout == "max" and not self.grid:
            return Spikes.apply(x, self.weight, delay, None, None, settings)[1][None], None
        values, integral = Potentials.apply(x, self.weight, delay, settings, math.ceil(self.steps))
        if self.readout == "trace":
            return values, None
        if not self.grid:
            return integral[None] / self.steps, None
        return (values.amax(0) if self.readout == "max" else values.mean(0))[None], None


# ------------------------------------------------------------------------------------------------ deployment


def _synapses(weight: Tensor, delay: Tensor, ahead: int, shape: tuple[int, ...]) -> Connection:
    """Weights and whole delays; ``ahead`` steps more, since what arrives at a step counts from the next on."""
    table = maps.dense(array(weight))
    steps = np.rint(array(delay)).astype(np.int64) + ahead
    return Connection(table, shape, delays=steps[table.rows, table.cols])


def _cells(layer: _Events, dt: float, v_thresh: float, **more: Any) -> Cells:
    """`IF_curr_exp` in whose units a weight is what it is here."""
    tau_m, tau_syn = layer.tau_m * dt, layer.tau_syn * dt
    silent = layer.steps * dt if getattr(layer, "max_spikes", None) == 1 else 0.0
    cell = IF_curr_exp(v_rest=0.0, v_reset=0.0, v_thresh=v_thresh, cm=tau_m, tau_m=tau_m, tau_refrac=silent, tau_syn_E=tau_syn,
                       tau_syn_I=tau_syn)
    return Cells(cell, (layer.n,), lag=1, **more)


def _whole_steps(layer: _Events, shape: tuple[int, ...]) -> None:
    name = type(layer).__name__
    if not layer.grid:
        raise NetworkError(f"{name}: spikes of a network lie on its steps; make the layer with grid=True, and measure again")
    if shape != (layer.n_in,):
        raise NetworkError(f"{name} is for {layer.n_in} values, what reaches it has shape {shape}")


@describe.register(EventLIF)
def _(module: Any, shape: Any, dt: float) -> list:
    _whole_steps(module, shape)
    if module.max_spikes not in (None, 1):
        raise NetworkError(f"EventLIF: no cell of a network falls silent after {module.max_spikes} spikes; max_spikes must be None or 1")
    loops = () if module.recurrent_weight is None else (
        _synapses(module.recurrent_weight, module.used_recurrent_delays(), 0, (module.n,)),)
    # At a tie the engine's own arithmetic may fall short of the threshold by rounding.
    return [_synapses(module.weight, module.used_delays(), 1, (module.n,)),
            _cells(module, dt, module.v_thresh * (1.0 - 2.0**-40), loops=loops)]


@describe.register(EventLI)
def _(module: Any, shape: Any, dt: float) -> list:
    _whole_steps(module, shape)
    return [_synapses(module.weight, module.used_delays(), 1, (module.n,)), _cells(module, dt, NEVER, value=("v", 1.0))]
