"""Integrate-and-fire cells with conductance-based synapses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..parameters import Value, parameter
from .base import Cell, State, StepModel, refractory_steps, stack
from .point import conductance_rows, response_rows

__all__ = ["IF_cond_alpha", "IF_cond_exp", "IF_cond_exp_gsfa_grr", "IF_facets_hardware1"]

_STATES = {
    "v": State("mV", "v_rest", "membrane potential"),
    "gsyn_exc": State("uS", 0.0, "excitatory synaptic conductance"),
    "gsyn_inh": State("uS", 0.0, "inhibitory synaptic conductance"),
}


def membrane_rows(p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
    """The rows that the kernels of ``cond`` and ``homeostatic`` begin with."""
    return [1.0 / p["tau_m"], p["v_rest"] / p["tau_m"] + p["i_offset"] / p["cm"], 1.0 / p["cm"],
            p["e_rev_E"], p["e_rev_I"], p["v_thresh"], p["v_reset"], refractory_steps(p["tau_refrac"], dt),
            np.exp(-0.5 * dt / p["tau_syn_E"]), np.exp(-0.5 * dt / p["tau_syn_I"])]


@dataclasses.dataclass(frozen=True)
class LeakyMembrane:
    """The parameters of leaky membranes with two exponential conductances."""

    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    cm: Value = parameter(1.0, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_m: Value = parameter(20.0, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True)
    tau_refrac: Value = parameter(0.1, "ms", "refractory period after a spike", low=0)
    tau_syn_E: Value = parameter(5.0, "ms", "decay time of excitatory conductance", low=0, open_low=True)
    tau_syn_I: Value = parameter(5.0, "ms", "decay time of inhibitory conductance", low=0, open_low=True)
    e_rev_E: Value = parameter(0.0, "mV", "reversal potential of excitatory input")
    e_rev_I: Value = parameter(-70.0, "mV", "reversal potential of inhibitory input")
    v_thresh: Value = parameter(-50.0, "mV", "potential at which the cell spikes")
    v_reset: Value = parameter(-65.0, "mV", "potential after a spike")
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")


@dataclasses.dataclass(frozen=True)
class IF_cond_exp(LeakyMembrane, Cell):
    """Leaky integrate-and-fire with exponentially decaying synaptic conductances::

        cm dv/dt = -cm/tau_m (v - v_rest) - gsyn_exc (v - e_rev_E) - gsyn_inh (v - e_rev_I) + i_offset
        tau_syn_E dgsyn_exc/dt = -gsyn_exc,      tau_syn_I dgsyn_inh/dt = -gsyn_inh

    An arriving weight (positive for both receptors) is added to the conductance.  When v >= v_thresh at a step,
    the cell spikes at that step, and v = v_reset for tau_refrac (whole steps, rounded).

    The equations are those of NEST's ``iaf_cond_exp``.  NEST integrates with an adaptive Runge-Kutta method of
    order 4-5; here conductances are exact and v follows the exponential midpoint rule, second order in dt.
    """

    states: ClassVar[Mapping[str, State]] = _STATES
    weight_unit: ClassVar[str] = "uS"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)
    order: ClassVar[int] = 2

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.cond.step_exp``."""
        v = initial["v"]
        return StepModel(
            module="cond", function="step_exp",
            parameters=stack([*membrane_rows(p, dt), np.exp(-dt / p["tau_syn_E"]), np.exp(-dt / p["tau_syn_I"])]),
            states=("v", "gsyn_exc", "gsyn_inh", "_r"),
            initial=np.stack([v, initial["gsyn_exc"], initial["gsyn_inh"], np.zeros_like(v)]),
            inputs={"excitatory": "gsyn_exc", "inhibitory": "gsyn_inh"},
        )


@dataclasses.dataclass(frozen=True)
class IF_cond_alpha(Cell):
    """Leaky integrate-and-fire with alpha-shaped synaptic conductances::

        cm dv/dt = -cm/tau_m (v - v_rest) - gsyn_exc (v - e_rev_E) - gsyn_inh (v - e_rev_I) + i_offset
        gsyn_exc = sum over inputs of weight (s/tau_syn_E) exp(1 - s/tau_syn_E),   s = time since arrival

    and gsyn_inh likewise with tau_syn_I.  The weight is the peak of the conductance, reached tau_syn after
    arrival. Threshold, reset, refractoriness and numerical method (order 2) as in :class:`IF_cond_exp`; NEST's
    ``iaf_cond_alpha``.
    """

    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    cm: Value = parameter(1.0, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_m: Value = parameter(20.0, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True)
    tau_refrac: Value = parameter(0.1, "ms", "refractory period after a spike", low=0)
    tau_syn_E: Value = parameter(0.3, "ms", "rise time of excitatory conductance", low=0, open_low=True)
    tau_syn_I: Value = parameter(0.5, "ms", "rise time of inhibitory conductance", low=0, open_low=True)
    e_rev_E: Value = parameter(0.0, "mV", "reversal potential of excitatory input")
    e_rev_I: Value = parameter(-70.0, "mV", "reversal potential of inhibitory input")
    v_thresh: Value = parameter(-50.0, "mV", "potential at which the cell spikes")
    v_reset: Value = parameter(-65.0, "mV", "potential after a spike")
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")

    states: ClassVar[Mapping[str, State]] = _STATES
    weight_unit: ClassVar[str] = "uS"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)
    order: ClassVar[int] = 2

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.cond.step_alpha``."""
        v = initial["v"]
        rise = [0.5 * np.e * dt / p[name] for name in ("tau_syn_E", "tau_syn_I")]
        return StepModel(
            module="cond", function="step_alpha", parameters=stack(membrane_rows(p, dt) + rise),
            states=("v", "gsyn_exc", "gsyn_inh", "_dexc", "_dinh", "_r"),
            initial=np.stack([v, initial["gsyn_exc"], initial["gsyn_inh"]] + [np.zeros_like(v)] * 3),
            inputs={"excitatory": "_dexc", "inhibitory": "_dinh"},
        )


@dataclasses.dataclass(frozen=True)
class IF_cond_exp_gsfa_grr(LeakyMembrane, Cell):
    """:class:`IF_cond_exp` whose own spikes open two more conductances (Muller et al. 2007)::

        cm dv/dt = -cm/tau_m (v - v_rest) - gsyn_exc (v - e_rev_E) - gsyn_inh (v - e_rev_I) + i_offset
                   - g_s (v - e_rev_sfa) - g_r (v - e_rev_rr)
        tau_sfa dg_s/dt = -g_s,      tau_rr dg_r/dt = -g_r
        v >= v_thresh:  v <- v_reset,  g_s <- g_s + q_sfa,  g_r <- g_r + q_rr

    g_s adapts the rate of firing (slow and small), g_r is a relative refractoriness (fast and large); both go on while
    v stays at v_reset for tau_refrac.  Both, and what a spike adds to them, are in nS; synaptic conductances, and weights
    (positive for both receptors), in µS.  NEST's ``iaf_cond_exp_sfa_rr``; numerical method (order 2) as in
    :class:`IF_cond_exp`.

    References
    ----------
    Muller E, Buesing L, Schemmel J, Meier K (2007) Neural Comput 19:2958-3010, doi:10.1162/neco.2007.19.11.2958.
    """

    tau_sfa: Value = parameter(100.0, "ms", "decay time of adaptation", low=0, open_low=True)
    e_rev_sfa: Value = parameter(-75.0, "mV", "reversal potential of adaptation")
    q_sfa: Value = parameter(15.0, "nS", "adaptation added by each spike; more of it slows firing", low=0)
    tau_rr: Value = parameter(2.0, "ms", "decay time of relative refractoriness", low=0, open_low=True)
    e_rev_rr: Value = parameter(-75.0, "mV", "reversal potential of relative refractoriness")
    q_rr: Value = parameter(3000.0, "nS", "relative refractoriness added by each spike; more of it spaces spikes", low=0)

    states: ClassVar[Mapping[str, State]] = {
        **_STATES,
        "g_r": State("nS", 0.0, "conductance of relative refractoriness"),
        "g_s": State("nS", 0.0, "conductance of spike-frequency adaptation"),
    }
    weight_unit: ClassVar[str] = "uS"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)
    order: ClassVar[int] = 2

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.point.step_lif_cond``: four receptors, of which two receive the cell's own spikes."""
        one = np.ones_like(initial["v"])
        rows = [4.0 * one, *conductance_rows(p, dt),
                *response_rows(dt, p["tau_syn_E"], e_syn=p["e_rev_E"]), *response_rows(dt, p["tau_syn_I"], e_syn=p["e_rev_I"]),
                *response_rows(dt, p["tau_rr"], e_syn=p["e_rev_rr"], scale=1e-3, kick=p["q_rr"]),
                *response_rows(dt, p["tau_sfa"], e_syn=p["e_rev_sfa"], scale=1e-3, kick=p["q_sfa"])]
        return StepModel(
            module="point", function="step_lif_cond", parameters=stack(rows), states=(*self.states, "_r"),
            initial=np.stack([*(initial[name] for name in self.states), 0.0 * one]),
            inputs={"excitatory": "gsyn_exc", "inhibitory": "gsyn_inh"},
        )


@dataclasses.dataclass(frozen=True)
class IF_facets_hardware1(Cell):
    """:class:`IF_cond_exp` as the neurons of the first FACETS hardware are: few parameters can be chosen.

    cm = 0.2 nF, tau_refrac = 1 ms and e_rev_E = 0 mV are fixed, ``g_leak`` stands for the membrane time constant
    (tau_m = cm/g_leak), and no constant current flows.  Equations and numerical method (order 2) of :class:`IF_cond_exp`.
    """

    g_leak: Value = parameter(40.0, "nS", "leak conductance; more of it forgets input sooner", low=0, open_low=True)
    tau_syn_E: Value = parameter(30.0, "ms", "decay time of excitatory conductance", low=0, open_low=True)
    tau_syn_I: Value = parameter(30.0, "ms", "decay time of inhibitory conductance", low=0, open_low=True)
    v_reset: Value = parameter(-80.0, "mV", "potential after a spike")
    e_rev_I: Value = parameter(-80.0, "mV", "reversal potential of inhibitory input")
    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    v_thresh: Value = parameter(-55.0, "mV", "potential at which the cell spikes")

    states: ClassVar[Mapping[str, State]] = _STATES
    weight_unit: ClassVar[str] = "uS"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)
    order: ClassVar[int] = 2

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """Those of :class:`IF_cond_exp`."""
        return IF_cond_exp().step_model(facets_as_cond_exp(p), initial, dt)


def facets_as_cond_exp(p: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters of :class:`IF_facets_hardware1` as those of :class:`IF_cond_exp`."""
    one = np.ones_like(p["g_leak"])
    own = {name: p[name] for name in ("tau_syn_E", "tau_syn_I", "v_reset", "e_rev_I", "v_rest", "v_thresh")}
    return {**own, "cm": 0.2 * one, "tau_m": 200.0 / p["g_leak"], "tau_refrac": one, "e_rev_E": 0.0 * one, "i_offset": 0.0 * one}
