"""Ways for errors to go back that need no copy of the forward weights: feedback alignment and sign-symmetric feedback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import grad

from ..errors import NetworkError, ParameterError
from ..parameters import stream_key
from .presynaptic import WEIGHTED

__all__ = ["ROUTES", "ErrorRoute", "route_errors"]

ROUTES = ("alignment", "sign")


class ErrorRoute:
    """What `route_errors` has put on a model; `remove` takes it off."""

    def __init__(self, hooks: list[Any], feedback: dict[str, Callable[[], Tensor]]) -> None:
        self._hooks, self.feedback = hooks, feedback

    def remove(self) -> None:
        """Let errors go through the weights again."""
        for hook in self._hooks:
            hook.remove()


def route_errors(model: nn.Module, route: str, layers: tuple[str, ...] | None = None, seed: int = 1) -> ErrorRoute:
    """Send errors back through other weights than the forward ones: W^T delta becomes B^T delta.

    ``"alignment"``: B is random and fixed, uniform within +-1 / sqrt(n) for n inputs of an output (feedback alignment;
    Lillicrap et al., Nature Communications 7, 2016).  ``"sign"``: B = sign(W) / sqrt(n), of the weights at hand
    (sign-symmetric; Liao et al., AAAI 2016).  Weights change by delta times their presynaptic signals as ever, so that with
    presynaptic traces this is a three-factor rule: error, slope at the postsynaptic cell, trace.

    Parameters
    ----------
    model : nn.Module
        Its ``nn.Linear``, ``nn.Conv1d`` and ``nn.Conv2d`` are meant.
    route : {"alignment", "sign"}
    layers : tuple of str, optional
        Names of the layers; by default all.
    seed : int
        Decides B.

    Returns
    -------
    ErrorRoute
        With ``feedback``: layer's name -> function that returns its B.

    Raises
    ------
    ParameterError
        If there is no such route.
    NetworkError
        If ``layers`` names what is not such a layer, or a layer pads otherwise than with zeros.
    """
    if route not in ROUTES:
        raise ParameterError(f"route_errors: route must be one of {', '.join(ROUTES)}, got {route!r}")
    there = {name: layer for name, layer in model.named_modules() if isinstance(layer, WEIGHTED)}
    names = tuple(there) if layers is None else tuple(layers)
    for name in names:
        if name not in there:
            raise NetworkError(f"route_errors: {name!r} is no Linear, Conv1d or Conv2d of the model; there are {sorted(there)}")
        if getattr(there[name], "padding_mode", "zeros") != "zeros" or isinstance(getattr(there[name], "padding", 0), str):
            raise NetworkError(f"route_errors: {name!r} must pad with zeros, by numbers")
    hooks: list[Any] = []
    feedback: dict[str, Callable[[], Tensor]] = {}
    for name in names:
        feedback[name] = _feedback(there[name], route, stream_key(seed, "route_errors", name))
        hooks += _divert(there[name], feedback[name])
    return ErrorRoute(hooks, feedback)


class _Back(torch.autograd.Function):
    """y as it is; its error goes on to the layer (for its weight) and, through other weights, to the layer's input."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, back: Tensor, layer: nn.Module) -> Tensor:
        ctx.save_for_backward(back)
        ctx.layer, ctx.shape = layer, x.shape
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple:
        (back,), layer = ctx.saved_tensors, ctx.layer
        if not ctx.needs_input_grad[1]:
            return delta, None, None, None
        if isinstance(layer, nn.Linear):
            return delta, delta @ back, None, None
        inverse = grad.conv1d_input if isinstance(layer, nn.Conv1d) else grad.conv2d_input
        return delta, inverse(ctx.shape, back, delta, layer.stride, layer.padding, layer.dilation, layer.groups), None, None


def _divert(layer: nn.Module, back: Callable[[], Tensor]) -> list[Any]:
    """Hooks: the layer sees its input without history, and the error finds its way around it."""
    held: list[Tensor] = []

    def before(layer: nn.Module, args: tuple) -> tuple:
        held[:] = args[:1]
        return args[0].detach(), *args[1:]

    def after(layer: nn.Module, args: tuple, y: Tensor) -> Tensor:
        return _Back.apply(y, held.pop(), back(), layer)

    return [layer.register_forward_pre_hook(before), layer.register_forward_hook(after, prepend=True)]


def _feedback(layer: Any, route: str, key: int) -> Callable[[], Tensor]:
    root = layer.weight[0].numel() ** -0.5
    if route == "sign":
        return lambda: torch.sign(layer.weight.detach()) * root
    draws = torch.Generator().manual_seed(key % 2**63)
    fixed = ((2.0 * torch.rand(layer.weight.shape, generator=draws) - 1.0) * root).to(layer.weight)
    return lambda: fixed
