"""Quantised activations, with which a network is trained that is to spike for few steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ParameterError

__all__ = ["QCFS"]

_LEAST = 1e-6  # a threshold that training drives to 0 or below counts as this


class QCFS(nn.Module):
    """Quantisation, clip, floor, shift: what an integrate-and-fire cell does in ``levels`` steps, in place of a ReLU::

        h(z) = threshold clip(floor(levels z / threshold + 1/2), 0, levels) / levels

    A cell that starts at half its threshold, loses the threshold with each spike and gets z at each of T = ``levels`` steps
    sends h(z) T / threshold spikes (Bu et al., "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking
    neural networks", ICLR 2022).  The gradient passes straight through the floor: dh/dz is 1 and dh/dthreshold is
    (h - z) / threshold where the clip does nothing; above, they are 0 and 1; below, 0.

    Parameters
    ----------
    levels : int
        Steps of the staircase, at least 1.  More are nearer to a ReLU; fewer prepare for fewer time steps.
    threshold : float
        Where the staircase ends, > 0, in units of what comes in; it is learnt.

    Attributes
    ----------
    threshold : nn.Parameter
        One number for the layer.  Training may drive it to 0 or below, where it counts as 1e-6.
    """

    def __init__(self, levels: int = 8, threshold: float = 8.0) -> None:
        super().__init__()
        if not isinstance(levels, int) or isinstance(levels, bool) or levels < 1:
            raise ParameterError(f"QCFS.levels must be a whole number >= 1, got {levels!r}")
        if not 0 < threshold < float("inf"):
            raise ParameterError(f"QCFS.threshold must be finite and > 0, got {threshold!r}")
        self.levels = levels
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))

    def forward(self, z: Tensor) -> Tensor:
        """The staircase of ``z``, any shape."""
        return _Staircase.apply(z, self.threshold, self.levels)

    def extra_repr(self) -> str:
        """The numbers, for the module's representation."""
        return f"levels={self.levels}, threshold={self.threshold.item():.4g}"


class _Staircase(torch.autograd.Function):
    """h(z) with the straight-through gradients of :class:`QCFS`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, threshold: Tensor, levels: int) -> Tensor:
        top = threshold.clamp_min(_LEAST)
        step = z.mul(levels / top).add_(0.5)
        ctx.save_for_backward(z, step, top)
        ctx.levels = levels
        return step.floor().clamp_(0, levels).mul_(top / levels)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        z, step, top = ctx.saved_tensors
        inside, above = (step >= 0) & (step < ctx.levels), step >= ctx.levels
        within = grad * inside
        slope = (within * (step.floor() / ctx.levels - z / top)).sum() + grad[above].sum()
        return within, slope.reshape(()), None
