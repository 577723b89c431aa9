"""Linear layers whose synapses have delays that are learnt, and that are whole steps in the end.

Source: Hammouamri, Khalfaoui-Hassani & Masquelier, "Learning delays in spiking neural networks using dilated convolutions
with learnable spacings", ICLR 2024 (DCLS-delays).  A synapse with weight w and real delay d acts through a kernel over whole
delays k = 0 ... max_delay that is narrowed while one trains::

    y[t] = sum_k w h(k - d) x[t - k],      h(u) = f(u) / (sum over k of f + 1e-7)
    gauss      f(u) = exp(-u**2 / (2 s**2)),    s = |width| + 0.27
    max        f(u) = max(0, |width| + 1 - |u|)
    triangle   f(u) = max(0, 1 - |u|)           (linear interpolation; version "v1" of the authors)

The paper's position is P = max_delay / 2 - d; its kernel of size T_d = max_delay + 1 is this one read backwards.

Departures: `DelayedLinear` can train *with* whole delays, the kernel then only giving the gradient of the delay
(``straight_through``); `rounded` layers have h = 1 at the delay exactly, without the 1e-7.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import NetworkError, ParameterError
from ..kernels import delayed
from ..maps import Map, Shape
from ..stack import Connection
from .deployment import array, describe
from .sequence import Layer

__all__ = ["DelayLayer", "DelayedLinear", "delayed_sum", "filtered"]

KERNELS = ("gauss", "max", "triangle")
SITES = ("synapse", "axon", "dendrite")
MODES = ("kernel", "straight-through", "rounded")
_NARROWEST = 0.27  # added to the width of a gauss


class DelayLayer(Layer):
    """What all layers with delays share: ``delay``, a Parameter in steps, ``width`` of their kernels, and `mode`.

    Attributes
    ----------
    initial_width : float
        Steps.
    whole_in_evaluation : bool
        Whether delays are rounded in evaluation, as where the layer is deployed; else they act as they do while training.
    """

    delay: nn.Parameter
    width: Tensor
    _mode: Tensor
    max_delay: int
    initial_width: float
    whole_in_evaluation = True

    @property
    def mode(self) -> str:
        """How delays act while one trains.

        ``"kernel"``: as real numbers, through the kernel.  ``"straight-through"``: rounded; their gradient is that of the kernel.
        ``"rounded"``: they are whole numbers and no longer learnt (`round_`).
        """
        return MODES[int(self._mode)]

    @mode.setter
    def mode(self, value: str) -> None:
        if value not in MODES:
            raise ParameterError(f"{type(self).__name__}.mode must be one of {', '.join(MODES)}, got {value!r}")
        if value == "rounded":
            self.round_()
            return
        self._mode.fill_(MODES.index(value))
        self.delay.requires_grad_(True)

    @property
    def acting(self) -> str:
        """`mode`, or ``"rounded"`` in evaluation."""
        return "rounded" if self.whole_in_evaluation and not self.training else self.mode

    @torch.no_grad()
    def clamp_(self) -> None:
        """Put delays that left 0 ... max_delay back to its ends; after every batch, as the paper does."""
        self.delay.clamp_(0.0, float(self.max_delay))

    @torch.no_grad()
    def round_(self) -> Any:
        """Round the delays, in place, and learn them no longer.  Weights go on learning."""
        self.delay.copy_(self.whole_delays())
        self.delay.requires_grad_(False)
        self._mode.fill_(MODES.index("rounded"))
        return self

    @torch.no_grad()
    def whole_delays(self) -> Tensor:
        """The delays rounded to steps, int64, in the shape of `delay`."""
        return self.delay.clamp(0.0, float(self.max_delay)).round().long()

    def narrowed(self, epoch: int, epochs: int, width: float, part: float) -> float:
        """Width after so many of the epochs, steps, where it is to become ``width`` after ``part`` of them."""
        raise NotImplementedError

    def _start(self, delay: Tensor, width: float) -> None:
        if not 0.0 <= width < math.inf:
            raise ParameterError(f"{type(self).__name__}.width must be >= 0 steps, got {width!r}")
        self.initial_width = float(width)
        self.delay = nn.Parameter(delay.clamp(0.0, float(self.max_delay)))
        self.register_buffer("width", torch.tensor(float(width), dtype=delay.dtype))
        self.register_buffer("_mode", torch.tensor(0))


class DelayedLinear(DelayLayer):
    """A linear layer whose synapses have a delay each, which is learnt: ``y, state = layer(x, state)``.

    In evaluation (``layer.eval()``) delays are rounded to whole steps, as where the layer is deployed; while
    training they act through the kernel, or are rounded as well (`mode`).  The state is the last ``max_delay`` inputs.

    Parameters
    ----------
    n_in, n_out : int
    max_delay : int
        Longest delay, steps; delays are kept within 0 ... max_delay.  The paper's size of a kernel is max_delay + 1.
    kernel : {"gauss", "max", "triangle"}
        See the module.  Only a kernel that is wide tells a delay of something that is many steps away.
    kernel_count : int
        Synapses from each input to each output, each with its weight and delay.
    bias : bool
    site : {"synapse", "axon", "dendrite"}
        Where the delay is: one for each synapse, for each input, or for each output.
    width : float, optional
        Of the kernel at the beginning, steps; (max_delay + 1) // 2 unless told.  It is not learnt: see `DelaySchedule`.
    pad_right : bool
        Give max_delay // 2 steps more than the input has, as the paper does; not with a state.
    generator : torch.Generator, optional
        Draws weights (uniform, He et al. 2015, for rectifiers) and delays (uniform over all); else one with seed 1.
    dtype : torch.dtype

    Attributes
    ----------
    weight : Parameter, shape (n_out, n_in, kernel_count)
    delay : Parameter, shape (n_out, n_in, kernel_count), for axons (1, n_in, ...), for dendrites (n_out, 1, ...)
        Steps.
    width : Tensor
        Of the kernel, steps.
    bias : Parameter, shape (n_out,), or None

    Raises
    ------
    ParameterError
        For sizes and names out of range.
    """

    def __init__(self, n_in: int, n_out: int, max_delay: int, kernel: str = "gauss", kernel_count: int = 1, bias: bool = False,
                 site: str = "synapse", width: float | None = None, pad_right: bool = False,
                 generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        for name, value, least in (("n_in", n_in, 1), ("n_out", n_out, 1), ("max_delay", max_delay, 0), ("kernel_count", kernel_count, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ParameterError(f"DelayedLinear.{name} must be a whole number >= {least}, got {value!r}")
        for name, one, known in (("kernel", kernel, KERNELS), ("site", site, SITES)):
            if one not in known:
                raise ParameterError(f"DelayedLinear.{name} must be one of {', '.join(known)}, got {one!r}")
        self.n_in, self.n_out, self.max_delay, self.kernel, self.kernel_count = n_in, n_out, max_delay, kernel, kernel_count
        self.site, self.pad_right = site, pad_right
        generator = generator or torch.Generator().manual_seed(1)
        bound = math.sqrt(6.0 / (n_in * kernel_count))
        shape = (n_out, n_in, kernel_count)
        self.weight = nn.Parameter((2.0 * torch.rand(shape, generator=generator, dtype=dtype) - 1.0) * bound)
        shape = (1 if site == "axon" else n_out, 1 if site == "dendrite" else n_in, kernel_count)
        position = (torch.rand(shape, generator=generator, dtype=dtype) - 0.5) * (max_delay + 1)
        self._start(0.5 * max_delay - position, float((max_delay + 1) // 2) if width is None else width)
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=dtype)) if bias else None

    def extra_repr(self) -> str:
        return (f"{self.n_in}, {self.n_out}, max_delay={self.max_delay}, kernel={self.kernel!r}, kernel_count={self.kernel_count},"
                f" site={self.site!r}, mode={self.mode!r}")

    # -------------------------------------------------------------------------- delays

    def narrowed(self, epoch: int, epochs: int, width: float, part: float) -> float:
        """The paper's: in equal ratios from `initial_width` to ``width`` within the first ``part`` of the epochs, then constant."""
        count = int(epochs * part)
        if self.initial_width <= width or epoch >= count:
            return min(width, self.initial_width)
        return self.initial_width * (width / self.initial_width) ** (epoch / count)

    def taps(self, mode: str | None = None) -> tuple[Tensor, Tensor]:
        """The kernels, without weights, where they are not 0.

        Parameters
        ----------
        mode : str, optional
            Else `acting`.

        Returns
        -------
        first : Tensor, int64, shape (*shape of the delays)
            Delay of the first tap of each; others follow step by step.
        h : Tensor, shape (*shape of the delays, taps)
            A wide kernel has all taps 0 ... max_delay; of a gauss, those that single (double) precision can tell from 0.
        """
        mode = mode or self.acting
        if mode == "rounded":
            first = self.whole_delays()
            return first, torch.ones((*first.shape, 1), dtype=self.weight.dtype, device=first.device)
        d = self.delay.clamp(0.0, float(self.max_delay))
        reach = max(1, math.ceil(self._reach()))
        if 6 * reach > self.max_delay + 1:
            first, count = torch.zeros_like(d, dtype=torch.int64), self.max_delay + 1
        else:
            first, count = d.detach().floor().long() - reach + 1, 2 * reach
        k = first[..., None] + torch.arange(count, device=d.device)
        f = self._profile(k - d[..., None]) * ((k >= 0) & (k <= self.max_delay))
        h = f / (f.sum(-1, keepdim=True) + 1e-7)
        if mode == "straight-through":
            h = (k == d.detach().round()[..., None]).to(h.dtype) + (h - h.detach())
        return first, h

    def _profile(self, u: Tensor) -> Tensor:
        if self.kernel == "gauss":
            return torch.exp(-0.5 * (u / (self.width.abs() + _NARROWEST)) ** 2)
        return torch.relu((self.width.abs() + 1.0 if self.kernel == "max" else 1.0) - u.abs())

    def _reach(self) -> float:
        """Steps from the delay beyond which the kernel is 0."""
        if self.kernel == "gauss":
            return (5.5 if self.weight.dtype == torch.float32 else 8.5) * (abs(float(self.width)) + _NARROWEST)
        return 1.0 + (abs(float(self.width)) if self.kernel == "max" else 0.0)

    # -------------------------------------------------------------------------- the sequence

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        """``x`` of shape (T, B, n_in), and the last ``max_delay`` inputs before it, (max_delay, B, n_in), 0 at the beginning."""
        if x.ndim != 3 or x.shape[2] != self.n_in:
            raise ParameterError(f"DelayedLinear takes a tensor of shape (T, B, {self.n_in}), got {tuple(x.shape)}")
        if self.pad_right:
            if state is not None:
                raise ParameterError("DelayedLinear with pad_right=True takes whole sequences, without a state")
            x = functional.pad(x, (0, 0, 0, 0, 0, self.max_delay // 2))
        steps = x.shape[0]
        known = x if state is None else torch.cat([state, x])
        first, h = self.taps()
        y = self._summed(known, first, h)[-steps:]
        if self.bias is not None:
            y = y + self.bias
        missing = self.max_delay - known.shape[0]
        last = known[max(0, -missing):] if missing <= 0 else functional.pad(known, (0, 0, 0, 0, missing, 0))
        return y, last

    def _summed(self, x: Tensor, first: Tensor, h: Tensor) -> Tensor:
        """All delayed copies times their weights, summed."""
        if self.site == "synapse":
            return delayed_sum(x, first, self.weight[..., None] * h, self.max_delay)
        parts = []
        for m in range(self.kernel_count):
            filters = _dense(first[..., m].flatten(), h[..., m, :].flatten(0, 1), self.max_delay)
            if self.site == "axon":
                parts.append(functional.linear(filtered(x, filters), self.weight[..., m]))
            else:
                parts.append(filtered(functional.linear(x, self.weight[..., m]), filters))
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]


# ----------------------------------------------------------------------------------- sums of delayed copies


def delayed_sum(x: Tensor, first: Tensor, taps: Tensor, max_delay: int) -> Tensor:
    """y[t, b, i] = sum over j, m, s of taps[i, j, m, s] x[t - first[i, j, m] - s, b, j]; x is 0 before its beginning.

    Parameters
    ----------
    x : Tensor, shape (T, B, inputs)
    first : Tensor, int64, shape (outputs, inputs, kernels)
    taps : Tensor, shape (outputs, inputs, kernels, taps)
        0 where a delay would be less than 0 or more than ``max_delay``.
    max_delay : int

    Returns
    -------
    Tensor, shape (T, B, outputs)

    Notes
    -----
    Kernels of few taps go tap by tap (`neurosim.kernels.delayed`), wide ones, and those on other devices, through ``conv1d``.
    """
    if x.device.type == "cpu" and 3 * taps.shape[3] <= max_delay + 1 and x.dtype in (torch.float32, torch.float64):
        parts = [_Delayed.apply(x, first[:, :, m], taps[:, :, m]) for m in range(first.shape[2])]
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
    whole = _dense(first.flatten(), taps.flatten(0, 2), max_delay).unflatten(0, first.shape).sum(2)
    padded = functional.pad(x.permute(1, 2, 0), (max_delay, 0))
    return functional.conv1d(padded, whole.flip(-1)).permute(2, 0, 1)


def _dense(first: Tensor, taps: Tensor, max_delay: int) -> Tensor:
    """Kernels (n, taps) that begin at the delays ``first``, over all delays: (n, max_delay + 1)."""
    k = first[:, None] + torch.arange(taps.shape[1], device=first.device)
    inside = (k >= 0) & (k <= max_delay)
    out = torch.zeros((taps.shape[0], max_delay + 1), dtype=taps.dtype, device=taps.device)
    return out.scatter_add(1, k.clamp(0, max_delay), taps * inside)


def filtered(x: Tensor, kernels: Tensor) -> Tensor:
    """Each channel of x, (T, B, n), with its own causal kernel, (n, delays)."""
    padded = functional.pad(x.permute(1, 2, 0), (kernels.shape[1] - 1, 0))
    return functional.conv1d(padded, kernels.flip(-1)[:, None], groups=x.shape[2]).permute(2, 0, 1)


def _blocks(x: Tensor) -> Tensor:
    """(T, B, n) as (B / LANES, n, T * LANES), B filled up with zeros."""
    spare = -x.shape[1] % delayed.LANES
    x = functional.pad(x, (0, 0, 0, spare)) if spare else x
    return x.unflatten(1, (-1, delayed.LANES)).permute(1, 3, 0, 2).reshape(x.shape[1] // delayed.LANES, x.shape[2], -1)


def _sequence(blocks: Tensor, batch: int) -> Tensor:
    """What `_blocks` was made of."""
    return blocks.unflatten(2, (-1, delayed.LANES)).permute(2, 0, 3, 1).flatten(1, 2)[:, :batch].contiguous()


class _Delayed(torch.autograd.Function):
    """`delayed_sum` with one kernel for each synapse, by Numba."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, first: Tensor, taps: Tensor) -> Tensor:
        lanes, first, taps = _blocks(x.detach()), first.contiguous(), taps.detach().contiguous()
        y = torch.zeros((lanes.shape[0], taps.shape[0], lanes.shape[2]), dtype=x.dtype)
        delayed.forward(lanes.numpy(), first.numpy(), taps.numpy(), y.numpy())
        ctx.save_for_backward(lanes, first, taps)
        ctx.batch = x.shape[1]
        return _sequence(y, x.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        lanes, first, taps = ctx.saved_tensors
        g = _blocks(gradient)
        for_x = for_taps = None
        if ctx.needs_input_grad[0]:
            out = torch.zeros_like(lanes)
            delayed.backward_input(g.numpy(), first.numpy(), taps.numpy(), out.numpy())
            for_x = _sequence(out, ctx.batch)
        if ctx.needs_input_grad[2]:
            for_taps = torch.zeros_like(taps)
            sums = torch.zeros(delayed.WIDE, dtype=g.dtype)
            delayed.backward_taps(g.numpy(), lanes.numpy(), first.numpy(), sums.numpy(), for_taps.numpy())
        return for_x, None, for_taps


# ----------------------------------------------------------------------------------- deployment


@describe.register(DelayedLinear)
def _(module: Any, shape: Shape, dt: float) -> tuple[Connection, ...]:
    if module.mode != "rounded":
        raise NetworkError("DelayedLinear has delays that are not whole steps: round_delays(model) rounds them")
    if tuple(shape) != (module.n_in,):
        raise NetworkError(f"DelayedLinear is for {module.n_in} values, what reaches it has shape {shape}")
    weight = array(module.weight)
    delays = np.broadcast_to(module.whole_delays().cpu().numpy(), weight.shape)
    made = []
    for m in range(module.kernel_count):
        rows, cols = np.nonzero(weight[..., m])
        bias = None if module.bias is None or m else array(module.bias)
        steps = Map(rows, cols, weight[rows, cols, m], weight.shape[:2])
        made.append(Connection(steps, (module.n_out,), delays[rows, cols, m], bias))
    return tuple(made)
