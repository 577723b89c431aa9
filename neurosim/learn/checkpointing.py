"""Less memory for long sequences: what the way back needs is computed again, piece by piece of time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..errors import ParameterError
from .sequence import Layer

__all__ = ["Checkpointed"]


class Checkpointed(Layer):
    """A net that keeps, for the way back, only its states at the ends of pieces of time; each piece runs again on the way back.

    Outputs are those of the net itself, gradients too but for the order of sums.  With pieces of about the square root of the
    number of steps, what is kept within the net grows with that root; the price is a second way forward.

    Parameters
    ----------
    net : Layer
        Any; a `Sequential` as a rule.  Random numbers that it draws (dropout) are drawn alike again.
    steps : int
        Steps of a piece.
    """

    def __init__(self, net: Layer, steps: int) -> None:
        super().__init__()
        if not isinstance(net, Layer):
            raise ParameterError(f"Checkpointed needs a Layer, got {type(net).__name__}")
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ParameterError(f"Checkpointed.steps must be a whole number > 0, got {steps!r}")
        self.net, self.steps = net, steps

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """``x`` of shape (T, B, ...), as the net takes it."""
        sent = []
        for piece in x.split(self.steps):
            if torch.is_grad_enabled():
                y, state = checkpoint(self.net, piece, state, use_reentrant=False)
            else:
                y, state = self.net(piece, state)
            sent.append(y)
        return torch.cat(sent), state
