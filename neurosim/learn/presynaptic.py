"""What linear layers and convolutions multiply their weights with: presynaptic signals as rows, and outputs likewise.

For each group g of a layer, output = signals[g] @ weight[g].T, with signals of shape (groups, rows, n) and the weight as
(groups, outputs / groups, n).  A linear layer has one group and a row for each sample and step; a convolution has a row
for each place of its kernel, which holds the patch there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import NetworkError

__all__ = ["WEIGHTED", "groups_of", "inputs_of", "matrix", "mean_rate", "patches", "postsynaptic"]

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
_PADDED = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def groups_of(layer: nn.Module) -> int:
    """Into how many groups the layer's inputs and outputs fall."""
    return int(getattr(layer, "groups", 1))


def inputs_of(layer: Any) -> int:
    """Inputs of one output: n."""
    return int(layer.weight[0].numel())


def matrix(layer: nn.Module, values: Tensor) -> Tensor:
    """A weight, or its gradient, as (groups, outputs / groups, n); a view."""
    return values.view(groups_of(layer), -1, inputs_of(layer))


def patches(layer: Any, x: Tensor) -> Tensor:
    """Presynaptic signals (groups, rows, n) of the layer's input ``x``.

    Raises
    ------
    NetworkError
        If ``x`` does not fit the layer.
    """
    if isinstance(layer, nn.Linear):
        if x.shape[-1] != layer.in_features:
            raise NetworkError(f"a signal of shape {tuple(x.shape)} does not fit {layer}")
        return x.reshape(1, -1, layer.in_features)
    places = len(layer.kernel_size)
    if x.ndim == places + 1:
        x = x[None]
    if x.ndim < places + 2 or x.shape[-places - 1] != layer.in_channels:
        raise NetworkError(f"a signal of shape {tuple(x.shape)} does not fit {layer}")
    x = x.flatten(0, -places - 2)
    x = functional.pad(x, layer._reversed_padding_repeated_twice, mode=_PADDED[layer.padding_mode])
    size, spread, stride = layer.kernel_size, layer.dilation, layer.stride
    if places == 1:  # a line is an image one pixel high
        x, size, spread, stride = x[:, :, None], (1, *size), (1, *spread), (1, *stride)
    return _in_groups(functional.unfold(x, size, spread, 0, stride), layer.groups)


def postsynaptic(layer: nn.Module, y: Tensor) -> Tensor:
    """Outputs of a layer, or their gradients, in rows that belong to those of `patches`: (groups, rows, outputs / groups)."""
    if isinstance(layer, nn.Linear):
        return y.reshape(1, -1, layer.out_features)
    places = len(layer.kernel_size)  # type: ignore[arg-type]
    y = y[None] if y.ndim == places + 1 else y.flatten(0, -places - 2)
    return _in_groups(y.flatten(2), groups_of(layer))


def mean_rate(x: Tensor, steps_and_batch: tuple[int, int], tau: float | None) -> Tensor:
    """The mean over time of a layer's input, given as (T, B, ...) or with all steps as one batch.

    With ``tau`` (steps), step t of T counts exp(-(T - 1 - t) / tau).
    """
    batch = steps_and_batch[1]
    if x.shape[:2] != steps_and_batch:
        if len(x) % batch:
            raise NetworkError(f"signal='rate': {len(x)} signals are no sequences of {batch} samples; what the model is given must be "
                               "of shape (T, B, ...)")
        x = x.unflatten(0, (-1, batch))
    if tau is None:
        return x.mean(0)
    weights = torch.exp(torch.arange(1 - len(x), 1, dtype=x.dtype, device=x.device) / tau)
    return torch.tensordot(weights / weights.sum(), x, 1)


def _in_groups(values: Tensor, groups: int) -> Tensor:
    """(batch, groups * n, places) -> (groups, batch * places, n)."""
    return values.unflatten(1, (groups, -1)).permute(1, 0, 3, 2).flatten(1, 2)
