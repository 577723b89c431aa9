"""The codes of `neurosim.encoding` where `fit` wants them: for a batch, with the training's own random numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["encoder"]


def encoder(code: Callable[..., Any], *arguments: Any, **settings: Any) -> Callable[[Tensor, torch.Generator], Tensor]:
    """``fit(..., encode=encoder(encoding.rate, 50))``: spikes of shape (T, B, ...) for inputs of shape (B, ...).

    Parameters
    ----------
    code : callable
        ``code(inputs, *arguments, **settings)`` gives an array (steps, B, ...), as the encoders of `neurosim.encoding` do.  If it
        takes a ``seed`` and none is set, each batch has one of its own, drawn with the generator that `fit` hands over.
    *arguments, **settings
        As ``code`` takes them.

    Returns
    -------
    callable
        (inputs, torch.Generator) -> floating-point Tensor of torch's default kind.
    """
    seeded = "seed" in inspect.signature(code).parameters and "seed" not in settings

    def encode(inputs: Tensor, draws: torch.Generator) -> Tensor:
        own = {"seed": int(torch.randint(2**31, (), generator=draws))} if seeded else {}
        return torch.from_numpy(code(inputs.detach().cpu().numpy(), *arguments, **settings, **own)).to(torch.get_default_dtype())

    return encode
