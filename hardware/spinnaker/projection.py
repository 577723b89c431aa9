"""A lateral population that takes a learned subspace out of a layer's activity, of cells that SpiNNaker has.

`neurosim.subspace.LateralSubspace` learns rows H by Hebbian and anti-Hebbian plasticity; x - H^T H x is the part of an input that they
do not reach, along which weights may change without touching what was learned before (Xiao et al., ICLR 2024).  Here spikes do it:

    senders x ──H──► lateral cells y+, y-  ──-H^T──► output cells z+, z-
        └───────────────────────one to one──────────────────▲

A rate above or below ``mean`` is a signal of either sign, so each row and each output has two cells, for the positive and for the
negative part; a synapse of negative weight is an inhibitory one.  Cells integrate with hardly any leak, which makes their rate
proportional to their input: an input of charge cm (v_thresh - v_rest) is worth one spike.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosim.cells.lif import IF_curr_exp
from neurosim.connectors import FromListConnector
from neurosim.errors import NetworkError, ParameterError
from neurosim.network import Network, Population, Projection
from neurosim.parameters import numbers
from neurosim.result import Result

__all__ = ["LateralProjection", "lateral_projection"]

_THETA, _CM, _TAU_SYN, _TAU_M = 20.0, 1.0, 5.0, 400.0  # mV, nF, ms, ms
_UNIT = _CM * _THETA / _TAU_SYN  # nA of a spike whose charge makes the cell fire once
_BIAS = 0.5 * _THETA * _CM / _TAU_M  # nA that the leak takes, on average between reset and threshold


class LateralProjection(NamedTuple):
    """The populations and projections of :func:`lateral_projection`; ``rates`` reads what it makes of its input.

    Attributes
    ----------
    rows : ndarray, shape (k, n)
    mean : float
        Hz.
    lateral, output : tuple of two Population
        For positive and negative parts, of k and of n cells.
    projections : list of Projection
    """

    rows: np.ndarray
    mean: float
    lateral: tuple[Population, Population]
    output: tuple[Population, Population]
    projections: list[Projection]

    def rates(self, result: Result, window: tuple[float, float] | None = None) -> np.ndarray:
        """Of each output, rate of the positive cell minus that of the negative one, Hz, shape (n,)."""
        plus, minus = (result.spikes(one.label).rates(window) for one in self.output)
        return plus - minus

    def exact(self, rates: np.ndarray) -> np.ndarray:
        """What the rates of the senders (Hz, shape (n,)) leave: s - H^T H s for s = rates - mean."""
        signal = np.asarray(rates, dtype=float) - self.mean
        return signal - self.rows.T @ (self.rows @ signal)


def lateral_projection(network: Network, senders: Population, rows: Any, mean: float, delay: float = 1.0,
                       label: str = "projection") -> LateralProjection:
    """Add the lateral and the output cells of a subspace to a network.

    Parameters
    ----------
    network : Network
    senders : Population
        n cells whose rates are the input.
    rows : array, shape (k, n)
        Orthonormal, such as `LateralSubspace.rows`.
    mean : float
        Rate of the senders that counts as no signal, Hz.
    delay : float
        Of all synapses, ms.
    label : str
        The populations are ``label y+``, ``label y-``, ``label z+`` and ``label z-``.

    Raises
    ------
    ParameterError
        For rows of another shape or that are not orthonormal, or a mean that is negative.
    NetworkError
        For senders of another network, or labels in use.
    """
    matrix = numbers(rows)
    if matrix is None or matrix.ndim != 2 or matrix.shape[1] != senders.size or not len(matrix):
        raise ParameterError(f"{label}: rows must be numbers of shape (k, {senders.size}), got {np.shape(rows)}")
    if not np.allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=0.05):
        raise ParameterError(f"{label}: rows must be orthonormal, got lengths and products up to"
                             f" {np.abs(matrix @ matrix.T - np.eye(len(matrix))).max():.3g} away from it")
    rate = numbers(mean)
    if rate is None or rate.ndim or not 0.0 <= rate < np.inf:
        raise ParameterError(f"{label}: mean must be >= 0 Hz, got {mean!r}")
    if senders.population is not senders:
        raise NetworkError(f"{label}: senders must be a whole population, got the view {senders.label}")
    k, n = matrix.shape
    lateral = _pair(network, k, f"{label} y", matrix.T, float(rate))
    output = _pair(network, n, f"{label} z", np.eye(n), float(rate))
    made = []
    for sign, cells in zip((1.0, -1.0), lateral):
        made += _signed(network, senders, cells, sign * matrix.T, delay)
    for sign, cells in zip((1.0, -1.0), output):
        made += _signed(network, senders, cells, sign * np.eye(n), delay)
        for side, from_cells in zip((1.0, -1.0), lateral):
            made += _signed(network, from_cells, cells, -sign * side * matrix, delay)
    return LateralProjection(matrix, float(rate), lateral, output, made)


def _pair(net: Network, size: int, label: str, weights: np.ndarray, mean: float) -> tuple[Population, Population]:
    """Cells for the positive and the negative part; a constant current takes away what the mean rate brings."""
    steady = mean * 1e-3 * weights.sum(axis=0) * _UNIT * _TAU_SYN
    pair = []
    for sign, name in ((1.0, "+"), (-1.0, "-")):
        cell = IF_curr_exp(v_rest=0.0, v_reset=0.0, v_thresh=_THETA, tau_m=_TAU_M, cm=_CM, tau_refrac=0.0, tau_syn_E=_TAU_SYN,
                           tau_syn_I=_TAU_SYN, i_offset=_BIAS - sign * steady)
        pair.append(net.population(size, cell, label + name, initial_values={"v": 0.0}))
    return pair[0], pair[1]


def _signed(net: Network, pre: Population, post: Population, weights: np.ndarray, delay: float) -> list[Projection]:
    """Synapses of both signs; ``weights`` of shape (n_pre, n_post) in spikes for a spike."""
    made = []
    for receptor, chosen in (("excitatory", weights > 1e-9), ("inhibitory", weights < -1e-9)):
        i, j = np.nonzero(chosen)
        if i.size:
            pairs = FromListConnector(np.column_stack([i, j, _UNIT * weights[i, j]]), column_names=("weight",))
            made.append(net.project(pre, post, pairs, delay=delay, receptor=receptor, label=f"{pre.label} -> {post.label} {receptor}"))
    return made
