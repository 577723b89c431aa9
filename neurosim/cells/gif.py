"""Generalised integrate-and-fire cell with escape noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..parameters import Value, parameter
from .base import Cell, State, StepModel, refractory_steps, stack

__all__ = ["GIF_cond_exp"]


@dataclasses.dataclass(frozen=True)
class GIF_cond_exp(Cell):
    """Generalised integrate-and-fire with escape noise (Mensi et al. 2012; Pozzorini et al. 2015)::

        cm dv/dt = -cm/tau_m (v - v_rest) - i_eta + i_offset
                   - gsyn_exc (v - e_rev_E) - gsyn_inh (v - e_rev_I)
        i_eta = sum over past spikes of a_eta_k exp(-s/tau_eta_k),                   k = 1, 2, 3
        v_t   = v_t_star + sum over past spikes of a_gamma_k exp(-s/tau_gamma_k),    s = time since the spike
        rate  = lambda0 exp((v - v_t)/delta_v)

    In each step the cell spikes with probability 1 - exp(-rate dt); then v = v_reset for tau_refrac (whole steps,
    rounded). gsyn_exc and gsyn_inh decay with tau_syn_E and tau_syn_I; an arriving weight (positive for both
    receptors) is added.  PyNN's parameters tau_eta, a_eta, tau_gamma, a_gamma, arrays of three, are tau_eta1,
    tau_eta2, ... here.

    An initial i_eta, or an initial v_t above v_t_star, decays with the third time constant.

    Numerical method: exponential midpoint rule, order 2; everything but v is exact.  NEST's ``gif_cond_exp`` has
    the same equations but holds i_eta at its value at the start of the step (order 1), compares v with the v_t of
    the step before, and resets v one step later than here.
    """

    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    cm: Value = parameter(1.0, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_m: Value = parameter(20.0, "ms", "membrane time constant", low=0, open_low=True)
    tau_refrac: Value = parameter(4.0, "ms", "refractory period after a spike", low=0)
    tau_syn_E: Value = parameter(5.0, "ms", "decay time of excitatory conductance", low=0, open_low=True)
    tau_syn_I: Value = parameter(5.0, "ms", "decay time of inhibitory conductance", low=0, open_low=True)
    e_rev_E: Value = parameter(0.0, "mV", "reversal potential of excitatory input")
    e_rev_I: Value = parameter(-70.0, "mV", "reversal potential of inhibitory input")
    v_reset: Value = parameter(-65.0, "mV", "potential after a spike")
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    delta_v: Value = parameter(0.5, "mV", "softness of the threshold; smaller makes it sharper", low=0, open_low=True)
    v_t_star: Value = parameter(-48.0, "mV", "threshold of a cell that has not spiked for long")
    lambda0: Value = parameter(1.0, "Hz", "rate of firing at threshold", low=0)
    tau_eta1: Value = parameter(1.0, "ms", "first time constant of the spike-triggered current", low=0, open_low=True)
    tau_eta2: Value = parameter(10.0, "ms", "second time constant of the spike-triggered current", low=0, open_low=True)
    tau_eta3: Value = parameter(100.0, "ms", "third time constant of the spike-triggered current", low=0, open_low=True)
    tau_gamma1: Value = parameter(1.0, "ms", "first time constant of the moving threshold", low=0, open_low=True)
    tau_gamma2: Value = parameter(10.0, "ms", "second time constant of the moving threshold", low=0, open_low=True)
    tau_gamma3: Value = parameter(100.0, "ms", "third time constant of the moving threshold", low=0, open_low=True)
    a_eta1: Value = parameter(1.0, "nA", "what a spike adds to the first part of the spike-triggered current")
    a_eta2: Value = parameter(1.0, "nA", "what a spike adds to the second part of the spike-triggered current")
    a_eta3: Value = parameter(1.0, "nA", "what a spike adds to the third part of the spike-triggered current")
    a_gamma1: Value = parameter(1.0, "mV", "what a spike adds to the first part of the moving threshold")
    a_gamma2: Value = parameter(1.0, "mV", "what a spike adds to the second part of the moving threshold")
    a_gamma3: Value = parameter(1.0, "mV", "what a spike adds to the third part of the moving threshold")

    states: ClassVar[Mapping[str, State]] = {
        "v": State("mV", "v_rest", "membrane potential"),
        "v_t": State("mV", "v_t_star", "moving threshold"),
        "i_eta": State("nA", 0.0, "spike-triggered current; it lowers v where positive"),
        "gsyn_exc": State("uS", 0.0, "excitatory synaptic conductance"),
        "gsyn_inh": State("uS", 0.0, "inhibitory synaptic conductance"),
    }
    weight_unit: ClassVar[str] = "uS"
    order: ClassVar[int] = 2

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.gif.step``."""
        def half(name: str) -> np.ndarray:
            return np.exp(-0.5 * dt / p[name])

        rows = [1.0 / p["tau_m"], p["v_rest"] / p["tau_m"] + p["i_offset"] / p["cm"], 1.0 / p["cm"],
                p["e_rev_E"], p["e_rev_I"], p["v_reset"], refractory_steps(p["tau_refrac"], dt),
                half("tau_syn_E"), half("tau_syn_I"), 1.0 / p["delta_v"], 1e-3 * dt * p["lambda0"], p["v_t_star"],
                *[half(f"tau_eta{k}") for k in (1, 2, 3)], *[p[f"a_eta{k}"] for k in (1, 2, 3)],
                *[half(f"tau_gamma{k}") for k in (1, 2, 3)], *[p[f"a_gamma{k}"] for k in (1, 2, 3)]]
        zero = np.zeros_like(initial["v"])
        return StepModel(
            module="gif", parameters=stack(rows),
            states=(*self.states, "_eta1", "_eta2", "_eta3", "_gamma1", "_gamma2", "_gamma3", "_r"),
            initial=np.stack([*[initial[name] for name in self.states], zero, zero, initial["i_eta"],
                              zero, zero, initial["v_t"] - p["v_t_star"], zero]),
            inputs={"excitatory": "gsyn_exc", "inhibitory": "gsyn_inh"},
        )
