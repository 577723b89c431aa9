"""Layers trained by exact gradients of spike times: weights and delays, event by event."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .. import maps
from ..cells.lif import IF_curr_exp
from ..errors import NetworkError, ParameterError
from ..kernels import eventprop as kernel
from ..stack import Cells, Connection
from .deployment import array, describe
from .sequence import Layer

__all__ = ["EventLI", "EventLIF", "excess_spikes", "first_spike_scores", "spike_times", "spikes_at"]

NEVER = 1e300  # mV: a threshold that nothing reaches
NEVER = 1e300  # mV: a threshold that nothing reaches
_PIECES = 8  # of a batch: gradients are summed piece by piece, so that threads leave no trace in them


class Settings(NamedTuple):
    """What a layer of events is besides weights and delays; times in steps."""

    tau_m: float
    tau_syn: float
    v_thresh: float
    end: float
    grid: bool
    most: int
    wake: float
    least: float


def spike_times(spikes: Tensor) -> Tensor:
    """Times of spikes on a grid: (T, B, ...) of whole numbers >= 0 -> (K, B, ...), float64, inf where there is none.

    ``y[k]`` is the time, in steps, of each cell's (k + 1)-th spike; K is the most that any cell has, at least 1.
    """
    count = spikes.detach().to(torch.int64)
    if not torch.equal(count.to(spikes.dtype), spikes.detach()) or (count < 0).any():
        raise ParameterError("spike_times: spikes must be whole numbers >= 0, how many at each step")
    total = count.sum(0)
    out = torch.full((max(1, int(total.max()) if total.numel() else 0), *spikes.shape[1:]), math.inf, dtype=torch.float64)
    reached = count.cumsum(0)
    for k in range(out.shape[0]):
        found = reached > k
        out[k] = torch.where(found.any(0), found.to(torch.int8).argmax(0).to(torch.float64), out[k])
    return out


def spikes_at(times: Tensor, steps: int) -> Tensor:
    """The other way: (K, B, ...) -> (steps, B, ...), how many spikes lie at each step (the first at or after their time).

    Spikes at or after ``steps`` are left out.  There is no gradient.
    """
    place = times.detach().ceil()
    out = torch.zeros(steps, *times.shape[1:], dtype=torch.float64)
    inside = (place >= 0) & (place < steps)
    return out.scatter_add_(0, torch.where(inside, place, 0.0).to(torch.int64), inside.to(torch.float64))


def first_spike_scores(steps: float, tau: float) -> Callable[[Tensor], Tensor]:
    """A readout for spike times (K, B, n): -t/tau of each cell's first spike, ``steps`` counting as t of a silent one.

    With cross-entropy as the loss, the cell of the right class learns to be first (Goeltz et al., Nat. Mach. Intell. 3, 2021,
    eq. 10).  ``tau``: how many steps ahead count as e times as likely.
    """
    if not (steps > 0 and tau > 0):
        raise ParameterError(f"first_spike_scores: steps and tau must be > 0 steps, got {steps!r}, {tau!r}")

    def scores(times: Tensor) -> Tensor:
        first = times[0]
        return -torch.where(torch.isfinite(first), first, torch.full_like(first, float(steps))) / tau
    return scores


def excess_spikes(times: Tensor, most: float, steps: float) -> Tensor:
    """A regulariser of counts: sum of (1 - t/steps) over the spikes of cells with more than ``most``, times the excess.

    Counts are whole numbers without a gradient; spike times have one.  So what a cell sends too often is pushed later, and out
    of the trial.  Mean over the batch and cells.
    """
    sent = torch.isfinite(times)
    excess = (sent.sum(0) - most).clamp(min=0.0).detach()
    early = torch.where(sent, 1.0 - torch.where(sent, times, torch.zeros_like(times)) / steps, torch.zeros_like(times))
    return (excess * early.sum(0)).mean()


# ------------------------------------------------------------------------------------------------ layers


def _two_numbers(given: Any) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and all(isinstance(one, (int, float)) for one in given)


class _Events(Layer):
    """Cells with exponential synaptic currents, each synapse with a weight and a delay."""

    def __init__(self, n_in: int, n: int, *, steps: float, tau_m: float, tau_syn: float, weight: Any, delays: Any,
                 max_delay: float, learn_delays: bool, grid: bool, generator: torch.Generator | None) -> None:
        super().__init__()
        name = type(self).__name__
        for what, value in (("n_in", n_in), ("n", n)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ParameterError(f"{name}.{what} must be a whole number >= 1, got {value!r}")
        for what, value in (("steps", steps), ("tau_m", tau_m), ("tau_syn", tau_syn)):
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise ParameterError(f"{name}.{what} must be > 0 steps, got {value!r}")
        if grid and steps != int(steps):
            raise ParameterError(f"{name}.steps must be a whole number on a grid, got {steps!r}")
        if not max_delay >= 0:
            raise ParameterError(f"{name}.max_delay must be >= 0 steps, got {max_delay!r}")
        self.n_in, self.n, self.steps, self.tau_m, self.tau_syn, self.grid = n_in, n, steps, float(tau_m), float(tau_syn), grid
        self.max_delay = float(max_delay)
        self.generator = torch.Generator().manual_seed(1) if generator is None else generator
        top = float(kernel.potential(0.0, 1.0, kernel.crest(0.0, 1.0, self.tau_m, self.tau_syn), self.tau_m, self.tau_syn))
        self._unit = 2.0 / (top * n_in)
        self.weight = nn.Parameter(self._drawn("weight", weight, (n, n_in), self._unit))
        self.delay = nn.Parameter(self._times("delays", delays, (n, n_in), 0.0), requires_grad=learn_delays)

    def _drawn(self, what: str, given: Any, shape: tuple[int, int], unit: float) -> Tensor:
        """(mean, sd) or values; by default both are ``unit``."""
        mean_sd = (unit, unit) if given is None else given
        if _two_numbers(mean_sd):
            return mean_sd[0] + mean_sd[1] * torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return self._shaped(what, mean_sd, shape)

    def _times(self, what: str, given: Any, shape: tuple[int, int], low: float) -> Tensor:
        """(low, high) or values, within what is allowed."""
        if _two_numbers(given):
            values = given[0] + (given[1] - given[0]) * torch.rand(shape, generator=self.generator, dtype=torch.float64)
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
        return _in_force(self._bounded(self.delay, 0.0).detach(), self.grid)

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

    Notes
    -----
    Time constants and threshold are not trained and are one for all cells.  A gradient does not know of spikes that appear or
    disappear.  On a grid a spike is up to one step late, and each layer adds to it.
    """

    def __init__(self, n_in: int, n: int, *, steps: float, tau_m: float = 20.0, tau_syn: float = 5.0, v_thresh: float = 1.0,
                 weight: Any = None, delays: Any = 0.0, max_delay: float = math.inf, learn_delays: bool = True,
                 recurrent: bool = False, recurrent_weight: Any = None, recurrent_delays: Any = 1.0, max_spikes: int | None = None,
                 grid: bool = False, wake: float = 0.0, least_slope: float = 0.0, generator: torch.Generator | None = None) -> None:
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
            self.recurrent_weight = nn.Parameter(self._drawn("recurrent_weight", given, (n, n), 0.0))
            self.recurrent_delay = nn.Parameter(self._times("recurrent_delays", recurrent_delays, (n, n), 1.0 if grid else 0.0),
                                                requires_grad=learn_delays)

    def settings(self) -> Settings:
        """What the kernels get."""
        end = self.steps - 1.0 if self.grid else float(self.steps)
        return Settings(self.tau_m, self.tau_syn, self.v_thresh, end, self.grid, self.max_spikes or -1, self.wake, self.least_slope)

    def used_recurrent_delays(self) -> Tensor | None:
        """Those of the loops in force, (n, n)."""
        if self.recurrent_delay is None:
            return None
        return _in_force(self._bounded(self.recurrent_delay, 1.0 if self.grid else 0.0).detach(), self.grid)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Spike times, and each cell's highest V within the trial, (B, n): with a gradient where the cell stays silent."""
        x = self._input(x, None)
        loops = (None, None) if self.recurrent_weight is None else (
            self.recurrent_weight, self._bounded(self.recurrent_delay, 1.0 if self.grid else 0.0))
        return _Spikes.apply(x, self.weight, self._bounded(self.delay, 0.0), *loops, self.settings())

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
        super().__init__(n_in, n, steps=steps, tau_m=tau_m, tau_syn=tau_syn, weight=weight, delays=delays, max_delay=max_delay,
                         learn_delays=learn_delays, grid=grid, generator=generator)
        if readout not in ("max", "mean", "trace"):
            raise ParameterError(f"EventLI.readout must be 'max', 'mean' or 'trace', got {readout!r}")
        self.readout = readout

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Spike times (K, B, n_in) to potentials; there is no state."""
        x, delay = self._input(x, state), self._bounded(self.delay, 0.0)
        settings = Settings(self.tau_m, self.tau_syn, math.inf, float(self.steps), self.grid, -1, 0.0, 0.0)
        if self.readout == "max" and not self.grid:
            return _Spikes.apply(x, self.weight, delay, None, None, settings)[1][None], None
        values, integral = _Potentials.apply(x, self.weight, delay, settings, math.ceil(self.steps))
        if self.readout == "trace":
            return values, None
        if not self.grid:
            return integral[None] / self.steps, None
        return (values.amax(0) if self.readout == "max" else values.mean(0))[None], None


# ------------------------------------------------------------------------------------------------ autograd


def _in_force(delay: Tensor, grid: bool) -> Tensor:
    return delay.round() if grid else delay


def _array(x: Tensor) -> np.ndarray:
    return np.ascontiguousarray(array(x))


def _by_sample(x: Tensor) -> np.ndarray:
    """(K, B, n) -> (B, n, K)."""
    return _array(x.permute(1, 2, 0))


def _in_pieces(samples: int, work: Callable[[slice], Any]) -> list[Any]:
    """``work`` on pieces of the batch, by as many threads as torch has; the pieces do not depend on their number."""
    edges = np.linspace(0, samples, min(samples, _PIECES) + 1).astype(int)
    pieces = [slice(int(a), int(b)) for a, b in zip(edges, edges[1:])]
    threads = min(torch.get_num_threads(), len(pieces))
    if threads <= 1:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, pieces))


class _Spikes(torch.autograd.Function):
    """(spike times, highest potentials) of a layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, delay: Tensor, r_weight: Tensor | None, r_delay: Tensor | None, s: Settings) -> Any:
        arrays = [_array(weight), _array(_in_force(delay, s.grid))]
        arrays += [np.zeros((0, 0))] * 2 if r_weight is None else [_array(r_weight), _array(_in_force(r_delay, s.grid))]
        given, n = _by_sample(x), weight.shape[0]

        def work(piece: slice) -> list[np.ndarray]:
            b, room = piece.stop - piece.start, s.most if s.most > 0 else 8
            while True:
                times, currents, slopes = np.full((b, n, room), np.inf), np.zeros((b, n, room)), np.zeros((b, n, room))
                peak = np.zeros((b, n, 3))
                peak[..., 1] = -1.0
                if not kernel.forward(given[piece], *arrays, s.tau_m, s.tau_syn, s.v_thresh, s.end, s.grid, s.most, times,
                                      currents, slopes, peak):
                    return [times, currents, slopes, peak]
                room *= 2

        done = _in_pieces(given.shape[0], work)
        room = max([1, *(int(np.isfinite(part[0]).sum(-1).max(initial=0)) for part in done)])
        whole = [np.full((given.shape[0], n, room), fill) for fill in (np.inf, 0.0, 0.0)]
        at = 0
        for part in done:
            for out, values in zip(whole, part):
                k = min(room, values.shape[2])
                out[at:at + len(values), :, :k] = values[:, :, :k]
            at += len(part[0])
        peak = np.concatenate([part[3] for part in done]) if done else np.zeros((0, n, 3))
        silent = ~np.isfinite(whole[0][:, :, 0])
        ctx.arrays, ctx.given, ctx.found, ctx.silent, ctx.settings = arrays, given, (*whole, peak), silent, s
        ctx.dtypes = [None if one is None else one.dtype for one in (x, weight, delay, r_weight, r_delay)]
        highest = np.where(silent, peak[..., 0], s.v_thresh)
        return torch.from_numpy(whole[0].copy()).permute(2, 0, 1).contiguous(), torch.from_numpy(highest)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        s, (times, currents, slopes, peak) = ctx.settings, ctx.found
        g_times = np.where(np.isfinite(times), _by_sample(grads[0]), 0.0)
        g_peak = np.where(ctx.silent, _array(grads[1]) - s.wake / max(ctx.silent.size, 1), 0.0)
        g_x = np.zeros(ctx.given.shape)

        def work(piece: slice) -> list[np.ndarray]:
            out = [np.zeros(one.shape) for one in ctx.arrays]
            kernel.backward(ctx.given[piece], *ctx.arrays, s.tau_m, s.tau_syn, s.end, s.least, times[piece], currents[piece],
                            slopes[piece], peak[piece], g_peak[piece], g_times[piece], *out, g_x[piece])
            return out

        parts = _in_pieces(ctx.given.shape[0], work)
        sums = [sum(part[k] for part in parts) if parts else np.zeros(ctx.arrays[k].shape) for k in range(4)]
        if not ctx.arrays[2].size:
            sums[2:] = [None, None]
        every = [g_x.transpose(2, 0, 1), *sums]
        return (*(None if g is None else torch.from_numpy(np.ascontiguousarray(g)).to(dtype) for g, dtype in zip(every, ctx.dtypes)), None)


class _Potentials(torch.autograd.Function):
    """(potentials at the steps, integral over the trial) of cells without a threshold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, delay: Tensor, s: Settings, steps: int) -> Any:
        ctx.arrays, ctx.given, ctx.settings = [_array(weight), _array(_in_force(delay, s.grid))], _by_sample(x), s
        ctx.dtypes = [x.dtype, weight.dtype, delay.dtype]
        b, n = ctx.given.shape[0], weight.shape[0]
        values, integral = np.zeros((b, steps, n)), np.zeros((b, n))
        _in_pieces(b, lambda piece: kernel.trace(ctx.given[piece], *ctx.arrays, s.tau_m, s.tau_syn, s.end, values[piece],
                                                 integral[piece]))
        return torch.from_numpy(values).transpose(0, 1).contiguous(), torch.from_numpy(integral)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        s, g_x = ctx.settings, np.zeros(ctx.given.shape)
        g_values, g_integral = _array(grads[0].transpose(0, 1)), _array(grads[1])

        def work(piece: slice) -> list[np.ndarray]:
            out = [np.zeros(one.shape) for one in ctx.arrays]
            kernel.trace_backward(ctx.given[piece], *ctx.arrays, s.tau_m, s.tau_syn, s.end, g_values[piece], g_integral[piece],
                                  *out, g_x[piece])
            return out

        parts = _in_pieces(ctx.given.shape[0], work)
        sums = [sum(part[k] for part in parts) if parts else np.zeros(ctx.arrays[k].shape) for k in range(2)]
        every = [g_x.transpose(2, 0, 1), *sums]
        return (*(torch.from_numpy(np.ascontiguousarray(g)).to(dtype) for g, dtype in zip(every, ctx.dtypes)), None, None)


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
