"""Neurons that project to themselves through axons whose delays are learnt.

Source: Queant, Rouat, Masquelier et al., "DelRec: learning delays in recurrent spiking neural networks", 2025 (arXiv 2509.24852).
A spike of cell j at step t reaches all cells at t + 1 + d_j; while one trains, it is spread over the steps around that::

    x[t + k] += sum_j w_ij h(k; d_j) s_j[t],     h(k; d) = max(0, (1 + width - |k - (1 + d)|) / (1 + width)**2),   k >= 1
    width = 10 * 0.95**(100 epoch / epochs)

With a width of 0 this is linear interpolation, with whole delays besides a spike arrives at one step.

Departures: delays are kept below ``max_delay``; training may round them in the forward pass (``mode``); what is spread over
later steps there (a ring buffer) is collected from earlier ones here, and all steps that cannot reach each other at once.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import NetworkError, ParameterError
from ..maps import Shape, dense
from ..stack import Cells, Connection
from .delays import DelayLayer, filtered
from .deployment import array, describe
from .neurons import LI, Neurons

__all__ = ["RecurrentDelays"]


class RecurrentDelays(DelayLayer):
    """Neurons that also get what they sent 1 + delay steps ago, each its own delay: ``y, state = layer(x, state)``.

    Parameters
    ----------
    neurons : Neurons
        That spike, with ``n`` given.
    max_delay : int
        Longest delay, steps; delays are kept within 0 ... max_delay.
    delay : (float, float)
        Delays at the beginning are uniform between these, steps; between 0 and max_delay unless told.
    dropout : float
        Part of the recurrent input that is left out while training, drawn anew for each step, from torch's own generator.
    width : float
        Of the kernel at the beginning, steps; see `DelaySchedule`.
    generator : torch.Generator, optional
        Draws weights (orthogonal) and delays; else one with seed 1.

    Attributes
    ----------
    weight : Parameter, shape (n, n)
        (to, from).
    delay : Parameter, shape (n,)
        Steps more than the one that a spike takes anyway.
    width : Tensor
        Steps.

    Raises
    ------
    ParameterError
        For neurons that do not spike or have no size, and numbers out of range.
    """

    def __init__(self, neurons: Neurons, max_delay: int, delay: tuple[float, float] | None = None, dropout: float = 0.0,
                 width: float = 10.0, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not isinstance(neurons, Neurons) or isinstance(neurons, LI) or neurons.n is None:
            raise ParameterError(f"RecurrentDelays needs neurons that spike, with n given, got {neurons!r}")
        if isinstance(max_delay, bool) or not isinstance(max_delay, int) or max_delay < 0:
            raise ParameterError(f"RecurrentDelays.max_delay must be a whole number >= 0 steps, got {max_delay!r}")
        low, high = (0.0, float(max_delay)) if delay is None else delay
        if not 0.0 <= low <= high <= max_delay:
            raise ParameterError(f"RecurrentDelays.delay must lie within 0 ... {max_delay} steps (max_delay), got {delay!r}")
        if not 0.0 <= dropout < 1.0:
            raise ParameterError(f"RecurrentDelays.dropout must be >= 0 and < 1, got {dropout!r}")
        generator = generator or torch.Generator().manual_seed(1)
        self.neurons, self.max_delay, self.dropout = neurons, max_delay, dropout
        n = math.prod(neurons.n)
        self.weight = nn.Parameter(torch.empty(n, n))
        nn.init.orthogonal_(self.weight, generator=generator)
        self._start(low + (high - low) * torch.rand(n, generator=generator), width)

    def extra_repr(self) -> str:
        return f"max_delay={self.max_delay}, mode={self.mode!r}"

    def narrowed(self, epoch: int, epochs: int, width: float, part: float) -> float:
        """The paper's, over all epochs: `initial_width` times 0.95 to the power 100 epoch / epochs."""
        return self.initial_width * 0.95 ** (100.0 * epoch / epochs)

    def taps(self) -> tuple[Tensor, int]:
        """What part of a spike arrives k + 1 steps after it, shape (n, steps), k = 0, 1, ...; and the first k of any part."""
        if self.acting == "rounded":
            d = self.whole_delays()
            return functional.one_hot(d, int(d.max()) + 1).to(self.weight.dtype), int(d.min())
        d = self.delay.clamp(0.0, float(self.max_delay))
        s = 1.0 + self.width.abs()
        k = torch.arange(math.ceil(float((d.max() + s).detach())), device=d.device)
        h = torch.relu((s - (k - d[:, None]).abs()) / s**2)
        first = int((h.detach() > 0).any(0).nonzero()[0])
        if self.acting == "straight-through":
            h = (k == d.detach().round()[:, None]).to(h.dtype) + (h - h.detach())
        return h, first

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, dict[str, Any]]:
        """Input ``x`` of shape (T, B, *n), without what comes from the layer itself; spikes, and the state.

        The state is that of the neurons, and what they sent in the last steps, (steps, B, n).
        """
        shape = self.neurons.n or ()
        if tuple(x.shape[2:]) != shape:
            raise ParameterError(f"RecurrentDelays: input must have shape (steps, batch, {', '.join(map(str, shape))}),"
                                 f" got {tuple(x.shape)}")
        h, first = self.taps()
        reach = h.shape[1]
        cells, past = (None, None) if state is None else (state["neurons"], state["sent"])
        longest = max(reach, self.max_delay + 1)
        past = x.new_zeros(longest, *x.shape[1:]).flatten(2) if past is None else past
        past = functional.pad(past, (0, 0, 0, 0, max(0, longest - past.shape[0]), 0))
        sent = []
        for piece in x.split(first + 1):  # so many steps follow from what was sent before them
            steps = piece.shape[0]
            known = functional.pad(past[-reach:], (0, 0, 0, 0, 0, steps - 1))
            arriving = filtered(known, h)[reach - 1:]
            if self.dropout and self.training:
                arriving = functional.dropout(arriving, self.dropout)
            y, cells = self.neurons(piece + functional.linear(arriving, self.weight).view_as(piece), cells)
            sent.append(y)
            past = torch.cat([past, y.flatten(2)])[-longest:]
        return torch.cat(sent), {"neurons": cells, "sent": past}


@describe.register(RecurrentDelays)
def _(module: Any, shape: Shape, dt: float) -> Cells:
    if module.mode != "rounded":
        raise NetworkError("RecurrentDelays has delays that are not whole steps: round_delays(model) rounds them")
    cells, weights = describe(module.neurons, shape, dt), dense(array(module.weight))
    loop = Connection(weights, shape, module.whole_delays().cpu().numpy()[weights.cols])
    return dataclasses.replace(cells, loops=(*cells.loops, loop))
