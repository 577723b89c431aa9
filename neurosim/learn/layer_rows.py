"""The lateral rows of one layer: a set for each group of a convolution, one set for a linear layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..subspace import projected, quantised
from .lateral import Lateral, Rule
from .presynaptic import groups_of, matrix, patches, postsynaptic

__all__ = ["LayerRows"]

_PLACES = 8  # at least so many patches are drawn of an image


class LayerRows:
    """Rows of all groups of a layer.

    Attributes
    ----------
    layer : nn.Module
    groups : list of Lateral
    seen : int
        Batches that were offered.
    """

    def __init__(self, name: str, layer: Any, k: int, seed: int) -> None:
        self.layer, self.seen, count = layer, 0, groups_of(layer)
        self.groups = [Lateral(name if count == 1 else f"{name}, group {g}", layer.weight, k, seed) for g in range(count)]

    @property
    def old(self) -> int:
        """Fixed rows, of each group."""
        return self.groups[0].old

    @property
    def size(self) -> int:
        """All rows, of each group."""
        return len(self.groups[0].rows)

    @property
    def inputs(self) -> int:
        """Directions of each group: n."""
        return self.groups[0].space.n

    @property
    def novelty(self) -> float:
        """The share of the last signals that fixed rows leave; the mean of the groups."""
        return sum(one.novelty for one in self.groups) / len(self.groups)

    def stacked(self) -> Tensor:
        """All rows, (groups, k, n)."""
        return torch.stack([one.rows for one in self.groups])

    def learn(self, x: Tensor, rule: Rule, samples: int | None, draws: torch.Generator) -> None:
        """Learn from the layer's input ``x``; from at most ``samples`` of its signals."""
        if self.old == self.size:
            return
        if samples is not None and not isinstance(self.layer, nn.Linear):  # a few images, before they are cut into patches
            x = _some(x, 0, -(-samples // _PLACES), draws)
        signals = patches(self.layer, x.detach())
        if samples is not None:
            signals = _some(signals, 1, samples, draws)
        for one, part in zip(self.groups, signals):
            one.learn(part, rule)

    def perpendicular(self, x: Tensor, levels: int | None) -> Tensor:
        """What the fixed rows leave of the signals of an input: (groups, rows, n)."""
        return torch.stack([projected(one.fixed, part.to(one.dtype), levels) for one, part in zip(self.groups, patches(self.layer, x))])

    def projected(self, change: Tensor) -> Tensor:
        """A change of the weight without what it has along the fixed rows: g - g H^T H."""
        parts = matrix(self.layer, change)
        return torch.stack([part - (part @ one.fixed.T.to(part)) @ one.fixed.to(part)
                            for one, part in zip(self.groups, parts)]).view_as(change)

    def share(self, x: Tensor, delta: Tensor, levels: int | None) -> Tensor:
        """What the gradient of one pass has along the fixed rows: errors at the output times y^T H, with y quantised."""
        parts = zip(self.groups, patches(self.layer, x), postsynaptic(self.layer, delta))
        whole = torch.stack([post.to(one.dtype).T @ quantised(part.to(one.dtype) @ one.fixed.T, levels) @ one.fixed
                             for one, part, post in parts])
        return whole.view_as(self.layer.weight).to(self.layer.weight)

    def energy(self, signals: Tensor) -> float:
        """The share of the squared length of signals (groups, rows, n) that all rows reach; NaN for silence."""
        left = sum(float((projected(one.rows, part.to(one.dtype)) ** 2).sum()) for one, part in zip(self.groups, signals, strict=True))
        whole = float((signals**2).sum())
        return 1.0 - left / whole if whole else float("nan")


def _some(x: Tensor, axis: int, most: int, draws: torch.Generator) -> Tensor:
    """At most so many along an axis, drawn."""
    if x.shape[axis] <= most:
        return x
    return x.index_select(axis, torch.randperm(x.shape[axis], generator=draws)[:most].to(x.device))
