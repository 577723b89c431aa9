"""Synapses with a third cell: some have one more from the sender to an astrocyte, and one from it to the target.

Which synapses have a third cell, and which cell it is, are functions of the seed and of the label of the *primary*
projection: both sides draw the same without knowing of each other, whatever the portions.  The rule is that of NEST's
``third_factor_bernoulli_with_pool``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import wiring
from .connectors import Block, Connector, Context
from .errors import NetworkError, ParameterError
from .parameters import Integers, Uniform, stream_key

if TYPE_CHECKING:
    from .network import Projection

__all__ = ["ThirdFactorConnector", "Tripartite"]

_TYPES = ("random", "block")


class Tripartite(NamedTuple):
    """The three projections of :meth:`Network.tripartite`: neurons to neurons, to astrocytes, and from astrocytes."""

    primary: Projection
    third_in: Projection
    third_out: Projection


@dataclasses.dataclass(frozen=True, eq=False)
class ThirdFactorConnector(Connector):
    """One half of the third factor of a projection; made in pairs by :meth:`Network.tripartite`.

    Parameters
    ----------
    primary
        The projection whose synapses get a third cell.
    n_third
        Number of third cells.
    p
        Probability that a synapse has one.
    pool_size
        How many third cells a target of the primary projection may choose from.
    pool_type
        ``"random"``: each target has a pool of its own, drawn without replacement.  ``"block"``: targets and third
        cells are cut into equal blocks side by side: one third cell to a block of targets (``pool_size=1``), or
        ``pool_size`` third cells to each target.
    side
        ``"in"``: from the senders to the third cells; ``"out"``: from the third cells to the targets.
    """

    primary: Any
    n_third: int
    p: float
    pool_size: int
    pool_type: str
    side: str

    def __post_init__(self) -> None:
        name = f"{self.primary.label}: tripartite"
        if isinstance(self.p, bool) or not isinstance(self.p, (int, float, np.number)) or not 0 <= self.p <= 1:
            raise ParameterError(f"{name}: p_third must be >= 0 and <= 1, got {self.p!r}: a probability")
        whole = isinstance(self.pool_size, (int, np.integer)) and not isinstance(self.pool_size, bool)
        if not whole or not 1 <= self.pool_size <= self.n_third:
            raise ParameterError(
                f"{name}: pool_size must be a whole number between 1 and {self.n_third}, the third cells,"
                f" got {self.pool_size!r}"
            )
        if self.pool_type not in _TYPES:
            raise ParameterError(f"{name}: pool_type must be 'random' or 'block', got {self.pool_type!r}")
        targets = self.primary.post.size
        fits = targets % self.n_third == 0 if self.pool_size == 1 else targets * self.pool_size == self.n_third
        if self.pool_type == "block" and not fits:
            raise NetworkError(
                f"{name}: blocks need pool_size = 1 and a number of targets that {self.n_third} third cells divide, or"
                f" pool_size * targets = third cells; got pool_size = {self.pool_size} and {targets} targets"
            )

    def _expected(self, context: Context) -> float:
        return self.p * wiring.expected_synapses(self.primary)

    def _chosen(self, seed: int, max_synapses: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(sender, third cell, target) of the synapses that have one, in the order of the primary projection."""
        context = wiring.context_of(self.primary, seed)
        whether, which = (stream_key(context.key, "third", name) for name in ("whether", "which"))
        first = 0
        for block in self.primary.connector.blocks(context, max_synapses):
            n = block.pre.size
            has = np.flatnonzero(Uniform(0.0, 1.0).draw(whether, first, n) <= self.p)
            place = Integers(0, self.pool_size - 1).draw(which, first, n)[has].astype(np.int64)
            first += n
            if has.size:
                yield block.pre[has], self._pooled(context, block.post[has], place), block.post[has]

    def _pooled(self, context: Context, post: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Member ``place`` of the pool of each target ``post``; int32."""
        if self.pool_type == "block":
            if self.pool_size == 1:
                return (post // (context.n_post // self.n_third)).astype(np.int32)
            return (post * np.int64(self.pool_size) + place).astype(np.int32)
        from .kernels import connect
        low, high = int(post.min()), int(post.max()) + 1
        counts = np.full(high - low, self.pool_size, dtype=np.int64)
        pool, target = (np.empty((high - low) * self.pool_size, dtype=np.int32) for _ in range(2))
        connect.sources_distinct(np.uint64(stream_key(context.key, "third", "pool")), low, counts, self.n_third,
                                 np.full(high - low, -1, dtype=np.int32), pool, target)
        return pool[(post - low).astype(np.int64) * self.pool_size + place]

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        if self.side == "out":
            for _, third, post in self._chosen(context.seed, max_synapses):
                order = np.lexsort((third, post))
                yield Block(third[order], post[order])
            return
        counts = np.zeros(self.n_third, dtype=np.int64)
        for _, third, _ in self._chosen(context.seed, max_synapses):
            counts += np.bincount(third, minlength=self.n_third)
        ends = np.cumsum(counts)
        low, done = 0, 0
        while low < self.n_third:  # as many third cells at once as have so many synapses together
            high = max(int(np.searchsorted(ends, done + max_synapses, side="right")), low + 1)
            pieces = [(pre[here], third[here]) for pre, third, _ in self._chosen(context.seed, max_synapses)
                      for here in [(third >= low) & (third < high)]]
            pre, third = (np.concatenate([np.empty(0, np.int32), *(piece[k] for piece in pieces)]) for k in (0, 1))
            order = np.lexsort((pre, third))
            yield Block(pre[order], third[order])
            low, done = high, int(ends[high - 1])
