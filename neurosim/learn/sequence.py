"""Modules that take whole sequences, (time, batch, ...), one after another."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from ..errors import ParameterError
from .functional import Product, linear

__all__ = ["Layer", "Sequential", "applied", "detached"]


class Layer(nn.Module):
    """A layer over time: ``y, state = layer(x, state)``.

    ``x`` is a tensor of shape (T, B, ...), ``y`` likewise.  ``state`` is what the next piece of the same sequences goes on
    from: a tensor, or a nest of tuples, lists and dicts of tensors and None; None at the beginning.
    """

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:  # pragma: no cover - an interface
        raise NotImplementedError


def detached(state: Any) -> Any:
    """A state cut off from what it was computed from, for truncated back-propagation through time."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {name: detached(one) for name, one in state.items()}
    if isinstance(state, (tuple, list)):
        return type(state)(detached(one) for one in state)
    return state


class Sequential(Layer):
    """Layers one after another; ``y, state = net(x, state)``.

    What is a `Layer` gets the sequence and its state; so does a cell of norse or snntorch (`Foreign`).  Other modules
    (``nn.Linear``, ``nn.Conv2d``, ``nn.BatchNorm1d``, ``nn.Dropout`` ...) see no time: they get all steps as one batch
    of T * B.

    Parameters
    ----------
    *layers : nn.Module, or one OrderedDict of them
        As for ``nn.Sequential``; their names are the names of what they send.
    """

    def __init__(self, *layers: Any) -> None:
        super().__init__()
        named = layers[0] if len(layers) == 1 and isinstance(layers[0], OrderedDict) else OrderedDict(
            (str(place), layer) for place, layer in enumerate(layers))
        for name, layer in named.items():
            self.add_module(name, layer)

    def layers(self) -> list[tuple[str, nn.Module]]:
        """(name, layer) in their order; a layer that stands at two places comes twice."""
        return [(name, layer) for name, layer in self._modules.items() if layer is not None]

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, place: int) -> nn.Module:
        return self.layers()[place][1]

    def __iter__(self) -> Any:
        return iter([layer for _, layer in self.layers()])

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """``x`` of shape (T, B, ...) through all layers; the states of those that have one, by name."""
        after: dict[str, Any] = {}
        for (name, layer), follower in zip(self.layers(), self._followers()):
            if isinstance(layer, nn.Linear) and _put_off(layer, follower):
                x, after[name] = _product(layer, x, name), None  # type: ignore[assignment]
            else:
                x, after[name] = applied(layer, x, (state or {}).get(name))
        return x, after

    def _followers(self) -> list[nn.Module | None]:
        """For each layer the one after it."""
        return [*[layer for _, layer in self.layers()[1:]], None]

    def activity(self, x: Tensor, state: Any = None) -> dict[str, Tensor]:
        """What each layer sends for the input ``x``, by name; the last is the output."""
        sent = {}
        for (name, layer), follower in zip(self.layers(), self._followers()):
            if isinstance(layer, nn.Linear) and _put_off(layer, follower):
                x = linear(*_product(layer, x, name))
            else:
                x, _ = applied(layer, x, (state or {}).get(name))
            sent[name] = x
        return sent


def _put_off(layer: nn.Linear, follower: nn.Module | None) -> bool:
    """Whether the product may be left to the layer that follows, which takes spikes one by one; nobody watches it."""
    watched = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return (type(layer) is nn.Linear and not any(watched) and follower is not None
            and getattr(follower, "takes_products", False) and not follower._forward_pre_hooks)


def _product(layer: nn.Linear, x: Tensor, name: str) -> Product:
    """The product that is put off, of what fits: kernels would read and write past the ends of what does not."""
    weight = layer.weight
    if not isinstance(x, Tensor):
        raise ParameterError(f"layer {name}: Linear takes a tensor, got {type(x).__name__}")
    if x.ndim < 3 or x.shape[-1] != weight.shape[1]:
        raise ParameterError(f"layer {name}: Linear takes (steps, batch, {weight.shape[1]}), got {tuple(x.shape)}")
    if x.dtype != weight.dtype or x.device != weight.device:
        raise ParameterError(f"layer {name}: Linear has weights of {weight.dtype} on {weight.device}, got {x.dtype} on {x.device}")
    return Product(x, weight, layer.bias)


def applied(layer: nn.Module, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """(output, state) of any module for a sequence of shape (T, B, ...)."""
    if isinstance(layer, Layer):
        return layer(x, state)
    if type(layer).__module__.partition(".")[0] in ("norse", "snntorch"):
        from .foreign import foreign, over_time

        if foreign(layer):
            return over_time(layer, x, state)
    y = layer(x.flatten(0, 1))
    return y.unflatten(0, x.shape[:2]), None
