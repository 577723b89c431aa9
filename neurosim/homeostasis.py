"""Slow changes of all weights onto a cell: synaptic scaling, and weights normalised to a fixed sum.

A process acts on the synapses of one projection, at multiples of its ``interval``, on the weights as they are then.
What it does is a pure function of flat arrays (:meth:`Homeostasis.apply`): it knows no engine, and the arrays that
it returns as its state are all that it remembers.

Weights count by their magnitudes: inhibitory weights of current-based cells, which are negative, keep their sign.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from .errors import ParameterError
from .parameters import Settings, parameter

__all__ = ["Homeostasis", "SynapticScaling", "WeightNormalization"]

UNBOUNDED = 1e12

State = dict[str, np.ndarray]


class Homeostasis(Settings):
    """Base of the processes that change all weights onto a cell together."""

    interval: Any

    def initial_state(self, n_post: int) -> State:
        """What the process remembers, at the start: named arrays of shape (n_post,)."""
        return {}

    def apply(self, weights: np.ndarray, post: np.ndarray, counts: np.ndarray, state: State,
              ) -> tuple[np.ndarray, State]:
        """The weights and the state after one interval; nothing that is given is changed.

        Parameters
        ----------
        weights : ndarray, float64, shape (n_synapses,)
            With their signs.
        post : ndarray of int, shape (n_synapses,)
            The target of each synapse.
        counts : ndarray, shape (n_post,)
            Spikes of each target in the interval that has just ended.
        state : dict
            From :meth:`initial_state`, or from the call before.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class SynapticScaling(Homeostasis):
    """All weights onto a cell are multiplied by one factor that brings its rate towards a target.

    Found by Turrigiano et al. (1998); the rule is the proportional part of the controller of van Rossum, Bi &
    Turrigiano (2000), dw/dt = beta w (a_goal - a), with the cell's running rate r as its activity a, and the error
    relative to the target:

        dw/dt = eta w (1 - r / target_rate)          tau_rate dr/dt = -r + spikes

    Departures: both equations are advanced once in an interval, exactly for a rate that is constant within it:
    r += (counts / interval - r)(1 - exp(-interval / tau_rate)), then w *= exp(eta interval (1 - r / target_rate)),
    which cannot change a sign; there is no integral term; magnitudes are bounded.  r starts at the target.
    A negative ``eta`` scales the other way, as inhibition does (Turrigiano 2008).
    """

    target_rate: Any = parameter(5.0, "Hz", "rate at which weights rest", low=0.0, open_low=True)
    eta: Any = parameter(0.1, "1/s", "relative change of a weight per second of a silent cell")
    tau_rate: Any = parameter(10000.0, "ms", "time constant of the running rate", low=0.0, open_low=True)
    interval: Any = parameter(1000.0, "ms", "time between two scalings", low=0.0, open_low=True)
    w_min: Any = parameter(0.0, "nA, uS or mV", "least magnitude of a weight", low=0.0)
    w_max: Any = parameter(UNBOUNDED, "nA, uS or mV", "greatest magnitude of a weight", low=0.0, open_low=True)

    def check(self) -> None:
        if self.w_min > self.w_max:
            raise ParameterError(f"SynapticScaling.w_min must be <= w_max ({self.w_max:g}), got {self.w_min:g}")
        fastest = abs(self.eta) * self.interval / 1000.0
        if fastest > 1.0:
            raise ParameterError(
                f"SynapticScaling: |eta| * interval must be <= 1 (else a silent cell's weights grow more than e-fold"
                f" at once), got {fastest:g} from eta = {self.eta:g} per s and interval = {self.interval:g} ms"
            )

    def initial_state(self, n_post: int) -> State:
        """``rate``: the running rate of each cell, Hz."""
        return {"rate": np.full(n_post, self.target_rate)}

    def apply(self, weights: np.ndarray, post: np.ndarray, counts: np.ndarray, state: State,
              ) -> tuple[np.ndarray, State]:
        """As :meth:`Homeostasis.apply`."""
        seconds = self.interval / 1000.0
        before = state["rate"]
        rate = before + (np.asarray(counts) / seconds - before) * -math.expm1(-self.interval / self.tau_rate)
        factor = np.exp(self.eta * seconds * (1.0 - rate / self.target_rate))
        return _bounded(weights * factor[post], weights, self.w_min, self.w_max), {"rate": rate}


@dataclasses.dataclass(frozen=True)
class WeightNormalization(Homeostasis):
    """All weights onto a cell are multiplied by one factor that makes the sum of their magnitudes ``total``.

    As Diehl & Cook (2015) do with the weights of each excitatory neuron after each example; the sum is over the
    synapses of this projection: w_i *= total / sum_j |w_j|.  A cell whose weights are all zero keeps them.
    """

    total: Any = parameter(1.0, "nA, uS or mV", "sum of the weights onto a cell", low=0.0, open_low=True)
    interval: Any = parameter(1000.0, "ms", "time between two normalisations", low=0.0, open_low=True)

    def apply(self, weights: np.ndarray, post: np.ndarray, counts: np.ndarray, state: State,
              ) -> tuple[np.ndarray, State]:
        """As :meth:`Homeostasis.apply`."""
        sums = np.bincount(post, np.abs(weights), minlength=len(counts))[post]
        share = np.divide(weights, sums, out=np.zeros(len(weights)), where=sums > 0.0)
        return self.total * share, {}


def _bounded(weights: np.ndarray, signs: np.ndarray, low: float, high: float) -> np.ndarray:
    """The weights with their magnitudes in [low, high]; a weight of zero stays zero, having no sign."""
    return np.sign(signs) * np.clip(np.abs(weights), low, high)
