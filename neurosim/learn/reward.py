"""Learning by reward in the engine: what spikes make eligible, dopamine turns into weights, and the weights return to the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..connectors import FromListConnector
from ..engine import Simulation
from ..errors import NetworkError, ParameterError
from ..plasticity import AdditiveWeightDependence, Dopamine, SpikePairRule, STDPMechanism
from .deployment import array, to_network
from .sequence import Sequential

__all__ = ["RewardSTDP", "right_answer"]


def right_answer(counts: np.ndarray, target: Any) -> float:
    """1 if the cell of the right class, and no other, sent the most spikes; else -1."""
    best = np.flatnonzero(counts == counts.max())
    return 1.0 if best.size == 1 and best[0] == int(target) else -1.0


class RewardSTDP:
    """Reward-modulated spike-timing dependent plasticity of one weight layer, in the engine (Izhikevich 2007).

    The model becomes a network (`to_network`), in which the synapses of one ``nn.Linear`` learn: pairs of spikes change an
    eligibility instead of the weight, and after each trial a reward, less what was expected, is given as dopamine (`Dopamine`).
    ``step`` has the interface of `Learner`: it shows a batch, trial after trial, and leaves what was learnt in the model's weight.

    Parameters
    ----------
    model : Sequential
        Spikes in, spikes out.
    layer : str
        Name of the ``nn.Linear`` that learns; neurons follow it, and spikes come into it from neurons or the input.  Its weights are
        between 0 and ``w_max``: STDP does not change signs.
    input_shape : tuple of int
    dt : float
        ms that a step lasts.
    w_max : float
        In the model's unit.
    rule : SpikePairRule, optional
        Amplitudes in units of ``w_max``.
    dopamine : Dopamine, optional
    reward : callable
        (spike counts of the last layer (n,), target) -> number.
    amount : float
        Dopamine for a reward of 1 more than expected.
    remember : float
        How much a new reward counts in the expectation, which there is for each target apart; 0: nothing is expected, ever.
    gap : int
        Steps without input after a trial, in which the reward works and the cells come to rest.
    optimiser : torch.optim.Optimizer, optional
        Gets the change of the weights as a gradient, negative, and makes the step (plain SGD with a rate of 1 takes it over as it is): so
        changes can be projected, scaled or clipped.
    observe : callable, optional
        ``observe(layer, signal)`` before a batch: how many spikes each input sends in each trial, (B, n).
    seed : int
        Of the simulation.

    Attributes
    ----------
    deployed : Deployed
    simulation : Simulation
        As far as it has come; it goes on with each batch.
    expected : dict
        Target -> expected reward.
    rewards : list of float
        Of all trials so far.
    """

    def __init__(self, model: Sequential, layer: str, input_shape: tuple[int, ...], dt: float = 1.0, *, w_max: float = 1.0,
                 rule: SpikePairRule | None = None, dopamine: Dopamine | None = None,
                 reward: Callable[[np.ndarray, Any], float] = right_answer, amount: float = 0.01, remember: float = 0.05,
                 gap: int = 200, optimiser: Any = None, observe: Callable[[nn.Module, Tensor], None] | None = None,
                 seed: int = 1) -> None:
        if not 0 < w_max < math.inf:
            raise ParameterError(f"RewardSTDP.w_max must be > 0, got {w_max!r}")
        if not 0 <= remember <= 1:
            raise ParameterError(f"RewardSTDP.remember must be between 0 and 1, got {remember!r}")
        if isinstance(gap, bool) or not isinstance(gap, int) or gap < 1:
            raise ParameterError(f"RewardSTDP.gap must be a whole number of steps >= 1, got {gap!r}")
        self.model, self.w_max, self.reward, self.amount, self.remember, self.gap = model, w_max, reward, amount, remember, gap
        self.optimiser, self.observe = optimiser, observe
        self.layer, before, after = _neighbours(model, layer)
        weight = array(self.layer.weight)
        if (weight < 0).any() or (weight > w_max).any() or not weight.any():
            raise NetworkError(f"RewardSTDP: weights of {layer} must be between 0 and w_max = {w_max:g}, and not all 0; got"
                               f" {weight.min():g} to {weight.max():g}")
        self.deployed = to_network(model, dt=dt, input_shape=input_shape)
        self._pre = self.deployed.populations[self.deployed.inputs[0] if before is None else before]
        self._post = self.deployed.populations[after]
        self._scale = self._plastic(weight, rule or SpikePairRule(A_plus=0.02, A_minus=0.006),
                                    dopamine or Dopamine(tau_c=200.0, tau_d=50.0))
        self.simulation = Simulation(self.deployed.network, dt=self.deployed.dt, seed=seed)
        self.expected: dict[Any, float] = {}
        self.rewards: list[float] = []
        self._steps = 0

    def _plastic(self, weight: np.ndarray, rule: SpikePairRule, dopamine: Dopamine) -> float:
        """Describe the projection anew, with all its synapses, those of weight 0 too; returns engine weight / model weight."""
        network, (out, inputs) = self.deployed.network, weight.shape
        old = [one for one in network.projections if one.pre is self._pre and one.post is self._post]
        if len(old) != 1:
            raise NetworkError(f"RewardSTDP: {self._pre.label} and {self._post.label} must be joined by one layer of weights >= 0")
        table = np.asarray(old[0].connector.conn_list)
        values = table[:, 2] / weight[table[:, 1].astype(int), table[:, 0].astype(int)]
        scale = float(values[0])
        if np.abs(values - scale).max() > 1e-9 * scale:
            raise NetworkError("RewardSTDP: between the weights and the neurons there must be nothing that scales them")
        pre, post = np.tile(np.arange(inputs), out), np.repeat(np.arange(out), inputs)
        rows = np.stack([pre, post, scale * weight.ravel()], axis=1)
        synapse = STDPMechanism(rule, AdditiveWeightDependence(0.0, scale * self.w_max), neuromodulation=dopamine)
        self.projection = network.replace(old[0], connector=FromListConnector(rows, ("weight",)), synapse=synapse)
        return scale

    @torch.no_grad()
    def step(self, x: Tensor, target: Tensor) -> float:
        """Learn from a batch of trials, one after another.

        Parameters
        ----------
        x : Tensor, shape (T, B, ...)
            Spikes, whole numbers >= 0.
        target : Tensor, shape (B,)

        Returns
        -------
        float
            Minus the mean reward.
        """
        steps, batch = x.shape[:2]
        if len(target) != batch:
            raise ParameterError(f"RewardSTDP: {batch} trials need as many targets, got {len(target)}")
        spikes = array(x).reshape(steps, batch, -1)
        late = max(self.deployed.offsets.values())
        length = steps + late + self.gap
        self._show(spikes, length)
        if self.observe is not None and self._pre is self.deployed.populations[self.deployed.inputs[0]]:
            self.observe(self.layer, x.flatten(2).sum(0))
        before = array(self.layer.weight)
        last, given = list(self.deployed.populations.values())[-1], []
        for k in range(batch):
            sent = self.simulation.step(steps + late)[last.label]
            reward = float(self.reward(np.bincount(sent, minlength=last.size), target[k].item()))
            key = target[k].item()
            surprise = reward - self.expected.get(key, 0.0)
            self.expected[key] = self.expected.get(key, 0.0) + self.remember * surprise
            self.simulation.reinforce(self.projection, self.amount * surprise)
            self.simulation.step(self.gap)
            given.append(reward)
        self._steps += batch * length
        self.rewards += given
        self._take_over(before)
        return -float(np.mean(given))

    def _show(self, spikes: np.ndarray, length: int) -> None:
        """Give the input population the spikes of the trials, from now on; weights as the model has them now."""
        source = self.deployed.populations[self.deployed.inputs[0]]
        starts = self._steps + length * np.arange(spikes.shape[1])
        rows = []
        for channel in range(spikes.shape[2]):
            t, b = np.nonzero(spikes[:, :, channel])
            times = np.repeat(starts[b] + t, spikes[t, b, channel].astype(np.int64))
            rows.append(np.sort(times) * self.deployed.dt)
        source.set(spike_times=rows)
        self.simulation = self.simulation.follow()
        weight = self._scale * np.clip(array(self.layer.weight), 0.0, self.w_max).ravel()
        self.simulation.set_weights(self.projection, weight[self._order()])

    def _order(self) -> np.ndarray:
        """The place in the weight matrix of each synapse, in the order of the simulation's weights."""
        now: Any = self.simulation.weights(self.projection)
        return now.post.astype(np.int64) * self.layer.in_features + now.pre

    def _take_over(self, before: np.ndarray) -> None:
        """The learnt weights into the model, by way of the optimiser if there is one."""
        learnt = np.empty(before.size)
        learnt[self._order()] = self.simulation.weights(self.projection).values / self._scale
        new = torch.from_numpy(learnt.reshape(before.shape)).to(self.layer.weight)
        if self.optimiser is None:
            self.layer.weight.copy_(new)
            return
        self.layer.weight.grad = torch.from_numpy(before).to(new) - new
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.layer.weight.clamp_(0.0, self.w_max)


def _neighbours(model: Sequential, name: str) -> tuple[Any, str | None, str]:
    """The linear layer of this name, and the names of the layers of cells before it (None: the input) and after it."""
    layers = model.layers()
    places = [k for k, (one, _) in enumerate(layers) if one == name]
    if not places or not isinstance(layers[places[0]][1], nn.Linear) or layers[places[0]][1].bias is not None:
        raise NetworkError(f"RewardSTDP: {name!r} must name an nn.Linear of the model, without a bias")
    k = places[0]
    if k + 1 == len(layers) or isinstance(layers[k + 1][1], nn.Linear):
        raise NetworkError(f"RewardSTDP: neurons must follow {name}")
    return layers[k][1], layers[k - 1][0] if k else None, layers[k + 1][0]
