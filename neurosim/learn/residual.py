"""Layers whose branches meet again."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ParameterError
from .sequence import Layer, Sequential

__all__ = ["Residual"]


class Residual(Layer):
    """Branches whose ends are added: ``y = x + body(x)``, or the sum of several.

    Parameters
    ----------
    *branches : nn.Module
        One: it is added to its input.  Several: they are added to each other; ``nn.Identity()`` is a branch that does nothing.
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        if not branches:
            raise ParameterError("Residual needs at least one branch")
        self.branches = nn.ModuleList([nn.Identity(), *branches] if len(branches) == 1 else branches)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """(sum of the branches, their states)."""
        made = [Sequential(branch)(x, one) for branch, one in zip(self.branches, state or [None] * len(self.branches))]
        return functools.reduce(torch.add, [y for y, _ in made]), [after for _, after in made]
