"""Spikes as a list of times instead of a grid: (K, B, n), the k-th spikes first, inf for none."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import ParameterError

__all__ = ["excess_spikes", "first_spike_scores", "spike_times", "spikes_at"]


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

    With cross-entropy as the loss, the cell of the right class learns to be first (Goeltz et al., Nat. Mach. Intell. 3, 2021).
    ``tau``: how many steps ahead count as e times as likely.
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
