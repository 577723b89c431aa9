"""From a `Network` back to a module, to be trained further."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import wiring
from ..cells.base import refractory_steps
from ..cells.euler import EulerAdaptiveLIF, EulerCubaLIF, EulerLIF
from ..cells.lif import IF_curr_delta, IF_curr_exp
from ..cells.sources import SpikeSourceArray
from ..currents import FOREVER, DCSource, StepCurrentSource
from ..deployed import Deployed
from ..errors import NetworkError, ParameterError
from ..layers import CEILING, per_weight
from ..leaky import EDGE
from ..network import Network
from .delays import DelayedLinear
from .neurons import LI, LIF, AdaptiveLIF
from .recurrent import Recurrent
from .recurrent_delays import RecurrentDelays
from .sequence import Layer, Sequential

__all__ = ["from_network"]


def from_network(given: Any, dt: float | None = None, scale: float | None = None, dtype: torch.dtype = torch.float32) -> Sequential:
    """Make a module of a network whose layers follow one another, with its weights, delays and time constants.

    Parameters
    ----------
    given : Deployed, Network or Simulation
        Of a simulation the weights as they are now, learnt or not.  One population of sources, then populations of
        `IF_curr_delta`, `IF_curr_exp` or the Euler cells of `to_network`, each with projections from the one before it and,
        perhaps, from itself.
    dt : float, optional
        ms of a step; that of the `Deployed` or of the simulation, else 1.
    scale : float, optional
        mV that become 1, the unit of the module: that of the `Deployed`, else what the first layer's threshold lies above rest.
    dtype : torch.dtype

    Returns
    -------
    Sequential
        `LIF`, `AdaptiveLIF`, or `LI` where the threshold is out of reach, called as their populations; before each ``nn.Linear`` or, with
        delays beyond a step, `DelayedLinear`; with loops `Recurrent` or `RecurrentDelays`.  Convolutions come back as matrices.

    Raises
    ------
    NetworkError
        For what a chain of such layers does not say, by the population's name.
    """
    deployed = given if isinstance(given, Deployed) else None
    simulation = given if hasattr(given, "weights") and hasattr(given, "network") and deployed is None else None
    network = given if isinstance(given, Network) else getattr(given, "network", None)
    if not isinstance(network, Network):
        raise ParameterError(f"from_network needs a Deployed, a Network or a Simulation, got {given!r:.100}")
    step = dt if dt is not None else getattr(given, "dt", 1.0)
    return _Returning(network, deployed, simulation, float(step), scale, dtype).made()


@dataclasses.dataclass(frozen=True)
class _Layer:
    """A population of cells in a layer's terms, potentials in mV: what is left after a step; what weights and currents add."""

    keep: np.ndarray
    keep_syn: np.ndarray | None
    v_thresh: np.ndarray | None
    reset: str
    adapt: tuple[np.ndarray, np.ndarray] | None
    per_weight: np.ndarray
    per_current: np.ndarray
    i_offset: np.ndarray
    lag: int
    solved: bool


class _Returning:
    """One way back: what each population is, what reaches it."""

    def __init__(self, network: Network, deployed: Deployed | None, simulation: Any, dt: float, scale: float | None,
                 dtype: torch.dtype) -> None:
        self.network, self.deployed, self.simulation, self.dt, self.dtype = network, deployed, simulation, dt, dtype
        self.machine = deployed is not None and deployed.machine
        self.cells = {one.label: one for one in network.populations if not one.cell.is_source}
        sources = [one for one in network.populations if one.cell.is_source]
        self.bias = next((one for one in sources if one.label.startswith("bias") and one.size == 1
                          and isinstance(one.cell, SpikeSourceArray)), None)
        self.inputs = [one for one in sources if one is not self.bias]
        self.layers = {label: self._checked(one) for label, one in self.cells.items()}
        self.scale = scale if scale is not None else deployed.scale if deployed is not None else self._unit()

    def _refuse(self, label: str, text: str) -> NetworkError:
        return NetworkError(f"from_network: population {label!r}: {text}")

    def _checked(self, one: Any) -> _Layer:
        """A population in a layer's terms; potentials relative to rest."""
        kind, n = type(one.cell), one.size
        if kind not in (IF_curr_delta, IF_curr_exp, EulerLIF, EulerCubaLIF, EulerAdaptiveLIF):
            raise self._refuse(one.label, f"{one.cell.name} does not become a layer; IF_curr_delta, IF_curr_exp and Euler cells do")
        p = one.cell.values(n, self.network.seed, one.label)
        initial = one.cell.initial_values(n, self.network.seed, one.label, one.initial_values, p)
        solved = kind in (IF_curr_delta, IF_curr_exp)
        rest = p["v_rest" if solved else "v_leak"]
        reset = np.zeros(n) if solved else p["reset"]
        graded = bool((p["v_thresh"] >= CEILING).all())
        for wrong, text in ((solved and refractory_steps(p["tau_refrac"], self.dt).any(), "tau_refrac must be 0 ms"),
                            (not graded and (reset == 0).any() and (p["v_reset"] != rest).any(), "v_reset must be the resting potential"),
                            (not graded and ((reset != reset[0]).any() or reset[0] not in (0, 1)), "reset must be 'value' or 'subtract'"),
                            (reset.any() and rest.any(), "rest must be 0 mV where the threshold is taken off"),
                            ("tau_syn_E" in p and (p["tau_syn_E"] != p["tau_syn_I"]).any(), "tau_syn_E and tau_syn_I must be equal"),
                            ((initial["v"] != rest).any() or any(v.any() for name, v in initial.items() if name != "v"),
                             "it must begin at rest")):
            if wrong:
                raise self._refuse(one.label, f"{text}: a LIF layer has no such thing")
        if solved:
            keep, keep_syn = np.exp(-self.dt / p["tau_m"]), np.exp(-self.dt / p["tau_syn_E"]) if "tau_syn_E" in p else None
            factor = np.broadcast_to(per_weight(one.cell, self.dt, self.machine), n)
            steady = p["tau_m"] / p["cm"] * -np.expm1(-self.dt / p["tau_m"])
            level = (p["v_thresh"] - rest) / (1.0 - EDGE)
        else:
            keep, keep_syn, level = p["keep"], p.get("keep_syn"), p["v_thresh"] - rest
            keep_syn = None if keep_syn is None or not keep_syn.any() else keep_syn
            factor = np.ones(n) if kind is EulerLIF else p["gain"]
            steady = p["gain"] * p.get("gain_syn", 1.0)
        adapt = (p["keep_adapt"], p["beta"]) if kind is EulerAdaptiveLIF else None
        lag = int(kind is IF_curr_exp and not self.machine)
        return _Layer(keep, keep_syn, None if graded else level, "subtract" if reset[0] == 1 else "zero", adapt, factor, steady,
                      p["i_offset"], lag, solved)

    def _unit(self) -> float:
        return next((float(one.v_thresh[0]) for one in self.layers.values() if one.v_thresh is not None), 1.0)

    # -------------------------------------------------------------------------- synapses

    def _synapses(self) -> dict[tuple[str, str], list[tuple[np.ndarray, ...]]]:
        """(pre, post) -> portions of (pre cell, post cell, weight of the network, delay in steps)."""
        found: dict[tuple[str, str], list[tuple[np.ndarray, ...]]] = {}
        for one in self.network.projections:
            pre, post, weight, delay = wiring.arrays(one, self.network.seed, self.dt)
            pre, post = one.pre.indices[pre], one.post.indices[post]
            if self.simulation is not None and one.changes:
                now = self.simulation.weights(one)
                if not (np.array_equal(now.pre, pre) and np.array_equal(now.post, post)) and np.unique(delay).size > 1:
                    raise NetworkError(f"from_network: projection {one.label!r}: synapses that came and went have different delays")
                pre, post, weight, delay = now.pre, now.post, now.values, np.full(now.values.size, delay[0] if delay.size else self.dt)
            steps = np.rint(delay / self.dt).astype(np.int64)
            found.setdefault((one.pre.population.label, one.post.population.label), []).append((pre, post, weight, steps))
        return found

    def _chain(self, pairs: Any) -> list[str]:
        """Labels of the populations of cells in their order."""
        bias = self.bias.label if self.bias else None
        if len(self.inputs) != 1:
            raise NetworkError("from_network: there must be one population of sources, there are"
                               f" {', '.join(one.label for one in self.inputs) or 'none'}")
        order = [self.inputs[0].label]
        while True:
            after = [post for pre, post in pairs if pre == order[-1] and post != pre]
            if not after:
                break
            if len(after) > 1 or after[0] in order:
                raise self._refuse(order[-1], f"it leads to {', '.join(after)}: layers must follow one another")
            order.append(after[0])
        for label in self.cells:
            before = [pre for pre, post in pairs if post == label and pre not in (label, bias)]
            if label not in order or len(before) != 1:
                raise self._refuse(label, f"it gets spikes from {', '.join(before) or 'nowhere'}: layers must follow one another")
        return order

    # -------------------------------------------------------------------------- layers

    def made(self) -> Sequential:
        synapses = self._synapses()
        order = self._chain(synapses)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        sizes = {one.label: one.size for one in self.network.populations}
        offsets = self._offsets(order, synapses)
        for before, label in zip(order, order[1:]):
            parts = [np.concatenate(column) for column in zip(*synapses[before, label])]
            factor = self.layers[label].per_weight / self.scale
            wait = parts[3] - (offsets[label] - offsets[before] - self.layers[label].lag)
            bias = self._bias(label, factor, synapses)
            name = label.replace(".", "_")
            layers[f"to_{name}"] = self._linear(sizes[before], sizes[label], parts[0], parts[1], parts[2] * factor[parts[1]], wait, bias)
            layers[name] = self._neurons(label, synapses.get((label, label)), factor)
        self._readout(layers, order[-1])
        return Sequential(layers)

    def _offsets(self, order: list[str], synapses: Any) -> dict[str, int]:
        if self.deployed is not None:
            return self.deployed.offsets
        offsets = {order[0]: 0}
        for before, label in zip(order, order[1:]):
            least = min(int(part[3].min()) for part in synapses[before, label] if part[3].size)
            offsets[label] = offsets[before] + least + self.layers[label].lag
        return offsets

    def _linear(self, n_in: int, n_out: int, pre: np.ndarray, post: np.ndarray, weight: np.ndarray, wait: np.ndarray,
                bias: np.ndarray | None) -> nn.Module:
        """A matrix, or one synapse after the other of each pair with its delay."""
        layer: nn.Module
        if not wait.any():
            matrix = np.zeros((n_out, n_in))
            np.add.at(matrix, (post, pre), weight)
            layer = nn.Linear(n_in, n_out, bias=bias is not None, dtype=self.dtype)
            held = {"weight": matrix}
        else:
            order = np.lexsort((wait, pre, post))
            pre, post, weight, wait = pre[order], post[order], weight[order], wait[order]
            pair = post.astype(np.int64) * n_in + pre
            _, first, which = np.unique(pair, return_index=True, return_inverse=True)
            nth = np.arange(pair.size) - first[which]
            values, delays = np.zeros((2, n_out, n_in, int(nth.max()) + 1))
            values[post, pre, nth], delays[post, pre, nth] = weight, wait
            layer = DelayedLinear(n_in, n_out, int(wait.max()), kernel_count=values.shape[2], bias=bias is not None, dtype=self.dtype)
            layer.round_()
            held = {"weight": values, "delay": delays}
        for name, value in {**held, **({} if bias is None else {"bias": bias})}.items():
            with torch.no_grad():
                getattr(layer, name).copy_(torch.as_tensor(value))
        return layer

    def _bias(self, label: str, factor: np.ndarray, synapses: Any) -> np.ndarray | None:
        """What constant currents, and the source that spikes in every step, add at each step."""
        layer = self.layers[label]
        steady = layer.per_current / self.scale
        total, some = layer.i_offset * steady, bool(layer.i_offset.any())
        driven = some
        if self.bias is not None and (self.bias.label, label) in synapses:
            for _, post, weight, _ in synapses[self.bias.label, label]:
                np.add.at(total, post, weight * factor[post])
            some = True
        for one in self.network.injections:
            if one.target.population.label != label or self._is_input(one):
                continue
            source: Any = one.current
            held = isinstance(source, DCSource) and source.stop >= FOREVER or (
                isinstance(source, StepCurrentSource) and len(source.times) == 1)
            if not held:
                raise self._refuse(label, f"a {type(source).__name__} that is not constant without end is no bias")
            total[one.target.indices] += (source.amplitude if isinstance(source, DCSource) else source.amplitudes[0]) * steady[
                one.target.indices]
            some = driven = True
        if driven and layer.solved and layer.keep_syn is not None:
            raise self._refuse(label, "a constant current into the membrane passes by the synaptic current of a LIF layer with tau_syn")
        return total if some else None

    def _is_input(self, injection: Any) -> bool:
        return self.deployed is not None and self.deployed.injects(injection)

    def _neurons(self, label: str, loop: Any, factor: np.ndarray) -> Layer:
        one, held = self.cells[label], self.layers[label]
        values = {"tau_m": self._steps(held.keep)}
        if held.keep_syn is not None:
            values["tau_syn"] = self._steps(held.keep_syn)
        if held.v_thresh is not None:
            values["v_thresh"] = held.v_thresh / self.scale
        if held.adapt is not None:
            values |= {"tau_adapt": self._steps(held.adapt[0]), "beta": held.adapt[1] / self.scale}
        plain: dict[str, Any] = {name: value[0] if (value == value[0]).all() else value for name, value in values.items()}
        reset: dict[str, Any] = {} if held.v_thresh is None else {"reset": held.reset}
        layer: Any = (LI if held.v_thresh is None else LIF if held.adapt is None else AdaptiveLIF)(one.size, **plain, **reset)
        for name, value in plain.items():
            setattr(layer, f"_{name}", torch.as_tensor(value, dtype=self.dtype))
        if loop is None:
            return layer
        pre, post, weight, steps = (np.concatenate(column) for column in zip(*loop))
        wait = steps - 1 + held.lag
        matrix, delay = np.zeros((one.size, one.size)), np.zeros(one.size)
        np.add.at(matrix, (post, pre), weight * factor[post])
        delay[pre] = wait
        if (delay[pre] != wait).any():
            raise self._refuse(label, "its loop has axons with several delays; a layer has one for each")
        around: Any
        if not wait.any():
            around = Recurrent(layer)
        else:
            around = RecurrentDelays(layer, int(wait.max()))
            around.delay.data = torch.as_tensor(delay, dtype=self.dtype)
            around.round_()
        around.weight.data = torch.as_tensor(matrix, dtype=self.dtype)
        return around

    def _steps(self, keep: np.ndarray) -> np.ndarray:
        """Time constants in steps by what is left after one: of few digits where these leave the same."""
        steps = -1.0 / np.log(keep)
        kept = torch.as_tensor(keep).to(self.dtype).double()
        for digits in range(2, 13):
            short = np.array([float(f"{value:.{digits}g}") for value in steps])
            left = torch.exp(-1.0 / torch.as_tensor(short, dtype=self.dtype)).double()
            if torch.allclose(left, kept, rtol=0.0, atol=4e-16):
                return short
        return steps

    def _readout(self, layers: OrderedDict, last: str) -> None:
        """What a `Deployed` makes of the last layer's spikes."""
        if self.deployed is None:
            return
        signal = self.deployed.readout()
        keys = list(signal.terms)
        if [source for source, _ in keys] != [last] or keys[0][1] != 0:
            raise self._refuse(last, "the output is not a linear map of what it sends in the same step")
        weights, bias = signal.terms[keys[0]].array(), signal.constant.get(0)
        if bias is None and weights.shape[0] == weights.shape[1] and np.array_equal(weights, np.eye(len(weights))):
            return
        steps = np.zeros(weights.size, np.int64)
        post, pre = (axis.ravel() for axis in np.indices(weights.shape))
        layers["output"] = self._linear(weights.shape[1], math.prod(signal.shape), pre, post, weights.ravel(), steps, bias)
