"""Current-based integrate-and-fire cells, solved exactly on the grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..parameters import Value, parameter
from .base import Cell, State, StepModel, refractory_steps, stack

__all__ = ["IF_curr_alpha", "IF_curr_delta", "IF_curr_exp", "IF_jump"]

_V = State("mV", "v_rest", "membrane potential")
_CURRENTS = {
    "v": _V,
    "isyn_exc": State("nA", 0.0, "excitatory synaptic current"),
    "isyn_inh": State("nA", 0.0, "inhibitory synaptic current"),
}


# ----------------------------------------------------------------------------------- propagators


def current_propagator(tau_m: np.ndarray, tau_syn: np.ndarray, cm: np.ndarray, dt: float) -> np.ndarray:
    """mV after one step of 1 nA that decays with ``tau_syn`` (Rotter & Diesmann 1999).

    1/cm times the integral of exp(-(dt - s)/tau_m) exp(-s/tau_syn) over the step, in a form that stays accurate when
    the time constants are equal or nearly so.
    """
    x = np.abs(tau_syn - tau_m) / (tau_syn * tau_m) * dt
    ratio = np.where(x > 0.0, -np.expm1(-x) / np.where(x > 0.0, x, 1.0), 1.0)
    return dt / cm * np.exp(-dt / np.maximum(tau_m, tau_syn)) * ratio


def alpha_propagator(tau_m: np.ndarray, tau_syn: np.ndarray, cm: np.ndarray, dt: float) -> np.ndarray:
    """mV after one step of the current s exp(-s/tau_syn), in nA/ms (Rotter & Diesmann 1999).

    dt**2/cm exp(-dt/tau_m) f(x) with f(x) = (1 + (x - 1) e**x)/x**2 and x = dt (1/tau_m - 1/tau_syn); f is the
    integral of u exp(x u) over 0..1, summed as a series where x is small.
    """
    x = (tau_syn - tau_m) / (tau_syn * tau_m) * dt
    series = np.zeros_like(x)
    term = np.ones_like(x)
    near = np.where(np.abs(x) < 1.0, x, 0.0)
    for k in range(20):
        series += term / (k + 2)
        term = term * near / (k + 1)
    far = np.where(np.abs(x) < 1.0, 1.0, x)
    decay_m, decay_syn = np.exp(-dt / tau_m), np.exp(-dt / tau_syn)
    direct = (decay_m + (far - 1.0) * decay_syn) / far**2
    return dt**2 / cm * np.where(np.abs(x) < 1.0, decay_m * series, direct)


def membrane_rows(p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
    """The rows that all leaky kernels begin with: threshold, reset, refractoriness, rest, and v's own propagators."""
    per_current = -p["tau_m"] / p["cm"] * np.expm1(-dt / p["tau_m"])
    return [p["v_thresh"], p["v_reset"], refractory_steps(p["tau_refrac"], dt), p["v_rest"],
            np.exp(-dt / p["tau_m"]), per_current, per_current * p["i_offset"]]


def _synapse_rows(p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
    """What the synaptic currents add to v, and how they decay."""
    return [current_propagator(p["tau_m"], p["tau_syn_E"], p["cm"], dt),
            current_propagator(p["tau_m"], p["tau_syn_I"], p["cm"], dt),
            np.exp(-dt / p["tau_syn_E"]), np.exp(-dt / p["tau_syn_I"])]


# ----------------------------------------------------------------------------------- models


@dataclasses.dataclass(frozen=True)
class IF_curr_exp(Cell):
    """Leaky integrate-and-fire with exponentially decaying synaptic currents::

        cm dv/dt       = -cm/tau_m (v - v_rest) + isyn_exc + isyn_inh + i_offset
        tau_syn_E disyn_exc/dt = -isyn_exc
        tau_syn_I disyn_inh/dt = -isyn_inh

    An arriving weight is added to the current; inhibitory weights are negative.  When v >= v_thresh at a step,
    the cell spikes at that step, and v = v_reset for tau_refrac (whole steps, rounded).  Solved exactly (Rotter &
    Diesmann 1999); the same equations as NEST's ``iaf_psc_exp``.
    """

    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    cm: Value = parameter(1.0, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_m: Value = parameter(20.0, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True)
    tau_refrac: Value = parameter(0.1, "ms", "refractory period after a spike", low=0)
    tau_syn_E: Value = parameter(5.0, "ms", "decay time of excitatory current", low=0, open_low=True)
    tau_syn_I: Value = parameter(5.0, "ms", "decay time of inhibitory current", low=0, open_low=True)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    v_reset: Value = parameter(-65.0, "mV", "potential after a spike")
    v_thresh: Value = parameter(-50.0, "mV", "potential at which the cell spikes")

    states: ClassVar[Mapping[str, State]] = _CURRENTS
    weight_unit: ClassVar[str] = "nA"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)
    exact: ClassVar[bool] = True

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.lif_step.step_exp``."""
        v = initial["v"]
        return StepModel(
            module="lif_step", function="step_exp",
            parameters=stack(membrane_rows(p, dt) + _synapse_rows(p, dt)),
            states=("v", "isyn_exc", "isyn_inh", "_r"),
            initial=np.stack([v, initial["isyn_exc"], initial["isyn_inh"], np.zeros_like(v)]),
            inputs={"excitatory": "isyn_exc", "inhibitory": "isyn_inh"},
        )


@dataclasses.dataclass(frozen=True)
class IF_curr_alpha(Cell):
    """Leaky integrate-and-fire with alpha-shaped synaptic currents::

        cm dv/dt = -cm/tau_m (v - v_rest) + isyn_exc + isyn_inh + i_offset
        isyn_exc = sum over inputs of weight (s/tau_syn_E) exp(1 - s/tau_syn_E),   s = time since arrival

    and isyn_inh likewise with tau_syn_I.  The weight is the peak of the current, reached tau_syn after arrival;
    inhibitory weights are negative.  Threshold, reset and refractoriness as in :class:`IF_curr_exp`.  Solved exactly
    (Rotter & Diesmann 1999); the same equations as NEST's ``iaf_psc_alpha``.
    """

    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    cm: Value = parameter(1.0, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_m: Value = parameter(20.0, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True)
    tau_refrac: Value = parameter(0.1, "ms", "refractory period after a spike", low=0)
    tau_syn_E: Value = parameter(0.5, "ms", "rise time of excitatory current", low=0, open_low=True)
    tau_syn_I: Value = parameter(0.5, "ms", "rise time of inhibitory current", low=0, open_low=True)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    v_reset: Value = parameter(-65.0, "mV", "potential after a spike")
    v_thresh: Value = parameter(-50.0, "mV", "potential at which the cell spikes")

    states: ClassVar[Mapping[str, State]] = _CURRENTS
    weight_unit: ClassVar[str] = "nA"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)
    exact: ClassVar[bool] = True

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.lif_step.step_alpha``."""
        v = initial["v"]
        rise = [np.e / p[name] for name in ("tau_syn_E", "tau_syn_I")]
        alpha = [np.e / p[name] * alpha_propagator(p["tau_m"], p[name], p["cm"], dt)
                 for name in ("tau_syn_E", "tau_syn_I")]
        synapses = _synapse_rows(p, dt)
        return StepModel(
            module="lif_step", function="step_alpha",
            parameters=stack([*membrane_rows(p, dt), *synapses, *alpha,
                              rise[0] * dt * synapses[2], rise[1] * dt * synapses[3]]),
            states=("v", "isyn_exc", "isyn_inh", "_dexc", "_dinh", "_r"),
            initial=np.stack([v, initial["isyn_exc"], initial["isyn_inh"]] + [np.zeros_like(v)] * 3),
            inputs={"excitatory": "_dexc", "inhibitory": "_dinh"},
        )


@dataclasses.dataclass(frozen=True)
class IF_curr_delta(Cell):
    """Leaky integrate-and-fire whose potential jumps by the weight of each arriving spike::

        cm dv/dt = -cm/tau_m (v - v_rest) + i_offset,      v <- v + weight on arrival

    A jump that arrives at step t counts for the threshold at step t; one that arrives while the cell is
    refractory is lost.  Threshold, reset and refractoriness as in :class:`IF_curr_exp`.  Solved exactly; the same
    equations as NEST's ``iaf_psc_delta``.
    """

    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    cm: Value = parameter(1.0, "nF", "capacitance; it scales the effect of currents only", low=0, open_low=True)
    tau_m: Value = parameter(20.0, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True)
    tau_refrac: Value = parameter(0.1, "ms", "refractory period after a spike", low=0)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    v_reset: Value = parameter(-65.0, "mV", "potential after a spike")
    v_thresh: Value = parameter(-50.0, "mV", "potential at which the cell spikes")

    states: ClassVar[Mapping[str, State]] = {"v": _V}
    weight_unit: ClassVar[str] = "mV"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)
    exact: ClassVar[bool] = True

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.lif_step.step_delta``."""
        v = initial["v"]
        return StepModel(
            module="lif_step", function="step_delta", parameters=stack(membrane_rows(p, dt)),
            states=("v", "_x", "_r"), initial=np.stack([v, np.zeros_like(v), np.zeros_like(v)]),
            inputs={"excitatory": "_x", "inhibitory": "_x"}, deliver_first=True,
        )


@dataclasses.dataclass(frozen=True)
class IF_jump(Cell):
    """Integrate-and-fire without leak whose potential jumps by the weight of each arriving spike::

        cm dv/dt = i_offset,      v <- v + weight on arrival

    The neuron of converted and of very small networks.  v starts at v_rest and forgets nothing; arrivals,
    threshold, reset and refractoriness as in :class:`IF_curr_delta`.  Not a model of PyNN.
    """

    v_rest: Value = parameter(0.0, "mV", "potential at the start")
    cm: Value = parameter(1.0, "nF", "capacitance; it scales the effect of currents only", low=0, open_low=True)
    tau_refrac: Value = parameter(0.0, "ms", "refractory period after a spike", low=0)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    v_reset: Value = parameter(0.0, "mV", "potential after a spike")
    v_thresh: Value = parameter(1.0, "mV", "potential at which the cell spikes")

    states: ClassVar[Mapping[str, State]] = {"v": _V}
    weight_unit: ClassVar[str] = "mV"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)
    exact: ClassVar[bool] = True

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.lif_step.step_jump``."""
        v = initial["v"]
        rows = [p["v_thresh"], p["v_reset"], refractory_steps(p["tau_refrac"], dt),
                dt / p["cm"], dt / p["cm"] * p["i_offset"]]
        return StepModel(
            module="lif_step", function="step_jump", parameters=stack(rows),
            states=("v", "_x", "_r"), initial=np.stack([v, np.zeros_like(v), np.zeros_like(v)]),
            inputs={"excitatory": "_x", "inhibitory": "_x"}, deliver_first=True,
        )
