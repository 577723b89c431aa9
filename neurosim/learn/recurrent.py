"""Neurons that project to themselves."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ParameterError
from . import functional
from .functional import Product, State, zeros
from .neurons import LI, Neurons
from .sequence import Layer

__all__ = ["Recurrent"]


class Recurrent(Layer):
    """Neurons that also get what they sent in the step before: x(t) + weight s(t - 1).

    Parameters
    ----------
    neurons : Neurons
        That spike, with ``n`` given.
    weight : Tensor or array of shape (n, n), optional
        (outputs, inputs) to begin with; drawn uniformly from +- 1 / sqrt(n), as ``nn.Linear`` does, if not given.
    generator : torch.Generator, optional
        That the weights are drawn with; one of seed 1 if not given.

    Attributes
    ----------
    weight : nn.Parameter
    neurons : Neurons
    """

    takes_products = True

    def __init__(self, neurons: Neurons, weight: Any = None, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not isinstance(neurons, Neurons) or isinstance(neurons, LI) or neurons.n is None:
            raise ParameterError(f"Recurrent needs neurons that spike, with n given, got {neurons!r}")
        n = math.prod(neurons.n)
        if weight is None:
            generator = torch.Generator().manual_seed(1) if generator is None else generator
            weight = (2.0 * torch.rand(n, n, generator=generator) - 1.0) / math.sqrt(n)
        weight = torch.as_tensor(weight, dtype=torch.get_default_dtype()).detach().clone()
        if weight.shape != (n, n) or not torch.isfinite(weight).all():
            raise ParameterError(f"Recurrent.weight must be finite and of shape ({n}, {n}), got {tuple(weight.shape)}")
        self.neurons, self.weight = neurons, nn.Parameter(weight)

    @property
    def n(self) -> Any:
        """Shape of the cells."""
        return self.neurons.n

    def initial(self, x: Tensor | Product) -> State:
        """The state before the first step: nothing was sent."""
        return {**self.neurons.initial(x), "s": zeros(x)}

    def forward(self, x: Tensor | Product, state: State | None = None) -> tuple[Tensor, State]:
        """Input ``x`` of shape (T, B, *n), without what comes from the layer itself; spikes, and the state."""
        self.neurons._check(x)
        state = self.initial(x) if state is None else state
        return functional.neuron_loop(x, state, self.neurons.cell(), self.weight)
