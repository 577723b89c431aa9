"""Adaptive exponential integrate-and-fire cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..parameters import Value, parameter
from .base import Cell, State, StepModel, refractory_steps, stack

__all__ = ["EIF_cond_alpha_isfa_ista", "EIF_cond_exp_isfa_ista"]

_STATES = {
    "v": State("mV", "v_rest", "membrane potential"),
    "w": State("nA", 0.0, "adaptation current"),
    "gsyn_exc": State("uS", 0.0, "excitatory synaptic conductance"),
    "gsyn_inh": State("uS", 0.0, "inhibitory synaptic conductance"),
}
_BELOW = (("v_reset", "v_spike"), ("v_thresh", "v_spike"))


def upswing(p: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Where the cell spikes (mV), and 1/delta_T; without an upswing (delta_T = 0) the threshold is hard."""
    sharp = p["delta_T"] == 0.0
    return np.where(sharp, p["v_thresh"], p["v_spike"]), np.where(sharp, 0.0, 1.0 / np.where(sharp, 1.0, p["delta_T"]))


def _rows(p: Mapping[str, np.ndarray], dt: float) -> np.ndarray:
    """The parameters in the order of ``kernels.adex``; a in µS."""
    v_spike, per_delta = upswing(p)
    return stack([v_spike, p["v_reset"], refractory_steps(p["tau_refrac"], dt), p["cm"] / p["tau_m"], p["v_rest"],
                  p["v_thresh"], p["delta_T"], 1.0 / p["cm"], 1e-3 * p["a"], p["b"], 1.0 / p["tau_w"], p["i_offset"],
                  p["e_rev_E"], p["e_rev_I"], 1.0 / p["tau_syn_E"], 1.0 / p["tau_syn_I"], 1.0 / p["tau_m"],
                  np.exp(-0.5 * dt / p["tau_syn_E"]), np.exp(-0.5 * dt / p["tau_syn_I"]),
                  per_delta])


@dataclasses.dataclass(frozen=True)
class AdaptiveMembrane:
    """The parameters of all adaptive exponential membranes."""

    cm: Value = parameter(0.281, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_refrac: Value = parameter(0.1, "ms", "refractory period after a spike", low=0)
    v_spike: Value = parameter(-40.0, "mV", "potential at which a spike is detected and cut off")
    v_reset: Value = parameter(-70.6, "mV", "potential after a spike")
    v_rest: Value = parameter(-70.6, "mV", "resting potential")
    tau_m: Value = parameter(9.3667, "ms", "membrane time constant", low=0, open_low=True)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    a: Value = parameter(4.0, "nS", "adaptation that follows v; more of it holds v back")
    b: Value = parameter(0.0805, "nA", "adaptation current added by each spike; more of it slows firing")
    delta_T: Value = parameter(2.0, "mV", "slope factor; smaller makes a spike start sharper, 0 a hard threshold at v_thresh", low=0)
    tau_w: Value = parameter(144.0, "ms", "adaptation time constant", low=0, open_low=True)
    v_thresh: Value = parameter(-50.4, "mV", "potential at which the exponential takes over")


@dataclasses.dataclass(frozen=True)
class EIF_cond_exp_isfa_ista(AdaptiveMembrane, Cell):
    """Adaptive exponential integrate-and-fire (Brette & Gerstner 2005), exponential conductances::

        cm dv/dt    = -g_L (v - v_rest) + g_L delta_T exp((v - v_thresh)/delta_T) - w + i_offset
                      - gsyn_exc (v - e_rev_E) - gsyn_inh (v - e_rev_I),      g_L = cm/tau_m
        tau_w dw/dt = a (v - v_rest) - w
        v >= v_spike:  v <- v_reset,  w <- w + b;  v stays for tau_refrac (whole steps, rounded), w goes on

    gsyn_exc and gsyn_inh decay with tau_syn_E and tau_syn_I; an arriving weight (positive for both receptors) is added.

    Numerical method: Runge-Kutta of order 4; where the upswing of a spike or strong conductances would make a
    step too coarse, it is divided, as a function of the state alone (see ``kernels/adex.py``).  The equations are
    those of NEST's ``aeif_cond_exp``.  We depart from it in two points: a spike counts from the end of its step
    even if tau_refrac = 0 (NEST then integrates the rest of the step), so that a cell spikes at most once a step;
    and, with delta_T = 0, v_thresh is where the cell spikes, and v_spike does not count.
    """

    e_rev_E: Value = parameter(0.0, "mV", "reversal potential of excitatory input")
    tau_syn_E: Value = parameter(5.0, "ms", "decay time of excitatory conductance", low=0, open_low=True)
    e_rev_I: Value = parameter(-80.0, "mV", "reversal potential of inhibitory input")
    tau_syn_I: Value = parameter(5.0, "ms", "decay time of inhibitory conductance", low=0, open_low=True)

    states: ClassVar[Mapping[str, State]] = _STATES
    weight_unit: ClassVar[str] = "uS"
    below: ClassVar[tuple[tuple[str, str], ...]] = _BELOW
    order: ClassVar[int] = 4

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.adex.step_exp``."""
        rows = [initial[name] for name in self.states]
        return StepModel(
            module="adex", function="step_exp", parameters=_rows(p, dt),
            states=(*self.states, "_r"), initial=np.stack([*rows, np.zeros_like(rows[0])]),
            inputs={"excitatory": "gsyn_exc", "inhibitory": "gsyn_inh"},
        )


@dataclasses.dataclass(frozen=True)
class EIF_cond_alpha_isfa_ista(AdaptiveMembrane, Cell):
    """Adaptive exponential integrate-and-fire (Brette & Gerstner 2005), alpha-shaped conductances.

    As :class:`EIF_cond_exp_isfa_ista`, but an arriving weight adds ``weight (s/tau_syn) exp(1 - s/tau_syn)``, s
    the time since arrival, to the conductance: the weight is the peak, reached after tau_syn.  NEST's
    ``aeif_cond_alpha``.
    """

    e_rev_E: Value = parameter(0.0, "mV", "reversal potential of excitatory input")
    tau_syn_E: Value = parameter(5.0, "ms", "rise time of excitatory conductance", low=0, open_low=True)
    e_rev_I: Value = parameter(-80.0, "mV", "reversal potential of inhibitory input")
    tau_syn_I: Value = parameter(5.0, "ms", "rise time of inhibitory conductance", low=0, open_low=True)

    states: ClassVar[Mapping[str, State]] = _STATES
    weight_unit: ClassVar[str] = "uS"
    below: ClassVar[tuple[tuple[str, str], ...]] = _BELOW
    order: ClassVar[int] = 4

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.adex.step_alpha``."""
        rows = [initial[name] for name in self.states]
        return StepModel(
            module="adex", function="step_alpha", parameters=_rows(p, dt),
            states=(*self.states, "_dexc", "_dinh", "_r"), initial=np.stack(rows + [np.zeros_like(rows[0])] * 3),
            inputs={"excitatory": "_dexc", "inhibitory": "_dinh"},
        )
