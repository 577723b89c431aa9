"""From the output of a network over time, (T, B, classes), to one score for each class, (B, classes)."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["last_of_time", "max_over_time", "mean_over_time", "spike_count", "sum_of_softmax"]


def mean_over_time(y: Tensor) -> Tensor:
    """The mean over all steps: of potentials, or of spikes (a rate per step)."""
    return y.mean(0)


def spike_count(y: Tensor) -> Tensor:
    """The sum over all steps: spikes of each output cell."""
    return y.sum(0)


def max_over_time(y: Tensor) -> Tensor:
    """The largest value over all steps (Cramer et al. 2020, for potentials of a leaky readout)."""
    return y.amax(0)


def last_of_time(y: Tensor) -> Tensor:
    """The value of the last step."""
    return y[-1]


def sum_of_softmax(y: Tensor) -> Tensor:
    """Sum over the steps of softmax over the classes (Hammouamri et al. 2024), which the loss takes as scores."""
    return nn.functional.softmax(y, -1).sum(0)
