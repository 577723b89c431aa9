"""What a network is made of, laid out in a row: named linear maps and activations, and sums of branches; folding."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .quantised import QCFS

__all__ = ["ACTIVATIONS", "NORMS", "Piece", "Sum", "WEIGHTED", "each", "folded"]

ACTIVATIONS = (nn.ReLU, QCFS)
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclasses.dataclass(eq=False)
class Piece:
    """A named module, a linear map or one of `ACTIVATIONS`, and the shape of what it gets, without the batch."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]


@dataclasses.dataclass(eq=False)
class Sum:
    """Branches from one signal that are added up; an empty one is the signal itself."""

    name: str
    branches: list[list[Any]]


def each(pieces: list[Any]) -> Iterator[Piece]:
    """All pieces, those of branches too."""
    for one in pieces:
        if isinstance(one, Sum):
            for branch in one.branches:
                yield from each(branch)
        else:
            yield one


def folded(pieces: list[Any]) -> list[Any]:
    """Batch normalisation as part of the layer before it, else as a layer of its own; modules in series laid open."""
    out: list[Any] = []
    for one in pieces:
        if isinstance(one, Sum):
            out.append(Sum(one.name, [folded(branch) for branch in one.branches]))
        elif isinstance(one.module, nn.Sequential):
            out += [Piece(f"{one.name}_{k}" if k else one.name, part, one.shape) for k, part in enumerate(one.module)]
        elif not isinstance(one.module, NORMS):
            out.append(one)
        elif out and isinstance(out[-1], Piece) and isinstance(out[-1].module, WEIGHTED):
            _fold(out[-1].module, *_line(one.module))
        else:
            out.append(Piece(one.name, _of_its_own(one), one.shape))
    return out


def _line(norm: Any) -> tuple[Tensor, Tensor]:
    """(slope, offset) of each channel."""
    slope = torch.rsqrt(norm.running_var + norm.eps)
    slope = slope if norm.weight is None else slope * norm.weight
    offset = -norm.running_mean * slope
    return slope, offset if norm.bias is None else offset + norm.bias


def _fold(layer: Any, slope: Tensor, offset: Tensor) -> None:
    layer.weight.mul_(slope.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    bias = offset if layer.bias is None else layer.bias * slope + offset
    layer.bias = nn.Parameter(bias, requires_grad=False)


def _of_its_own(piece: Piece) -> nn.Module:
    """The same as a layer of weights, where there is none before it: a factor and an offset for each channel."""
    slope, offset = _line(piece.module)
    n, dimensions = len(slope), len(piece.shape) - 1
    layer: Any = nn.Linear(n, n) if not dimensions else (nn.Conv1d if dimensions == 1 else nn.Conv2d)(n, n, 1, groups=n)
    layer.double().requires_grad_(False)
    layer.weight.copy_(torch.diag(slope) if not dimensions else slope.reshape(-1, 1, *[1] * dimensions))
    layer.bias.copy_(offset)
    return layer
