"""Hodgkin-Huxley cell."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..parameters import Value, parameter
from .base import Cell, State, StepModel, refractory_steps, stack

__all__ = ["HH_cond_exp"]

_LONGEST_PART = 0.025  # ms
_COARSE = 0.2  # ms
_DEAD_TIME = 2.0  # ms after a spike in which no other is reported, as in NEST
_ABOVE_OFFSET = 30.0  # mV above v_offset that v must have reached


@dataclasses.dataclass(frozen=True)
class HH_cond_exp(Cell):
    """Hodgkin-Huxley cell, channels of Traub & Miles (1991; as in Brette et al. 2007), exponential conductances::

        cm dv/dt = -gbar_Na m**3 h (v - e_rev_Na) - gbar_K n**4 (v - e_rev_K) - g_leak (v - e_rev_leak)
                   - gsyn_exc (v - e_rev_E) - gsyn_inh (v - e_rev_I) + i_offset
        dx/dt    = alpha_x (1 - x) - beta_x x,    x = m, h, n;    u = v - v_offset
        alpha_m = 0.32 (13 - u)/(exp((13 - u)/4) - 1)      beta_m = 0.28 (u - 40)/(exp((u - 40)/5) - 1)
        alpha_h = 0.128 exp((17 - u)/18)                   beta_h = 4/(1 + exp((40 - u)/5))
        alpha_n = 0.032 (15 - u)/(exp((15 - u)/5) - 1)     beta_n = 0.5 exp((10 - u)/40)

    gsyn_exc and gsyn_inh decay with tau_syn_E and tau_syn_I; an arriving weight (positive for both receptors) is added.
    A spike is reported when v >= v_offset + 30 mV and has begun to fall; none in the following 2 ms.

    Numerical method: Strang's splitting with exponential gates, order 2, in parts of at most 0.025 ms.  NEST's
    ``hh_cond_exp_traub`` has the same equations under an adaptive Runge-Kutta method; it starts the gates at a
    steady state, we at PyNN's h = 1, m = n = 0.
    """

    gbar_Na: Value = parameter(20.0, "uS", "maximal sodium conductance", low=0)
    gbar_K: Value = parameter(6.0, "uS", "maximal potassium conductance", low=0)
    g_leak: Value = parameter(0.01, "uS", "leak conductance", low=0)
    cm: Value = parameter(0.2, "nF", "capacitance; more of it makes everything slower", low=0, open_low=True)
    v_offset: Value = parameter(-63.0, "mV", "shift of all rates along v; it sets the threshold, some 10 mV above")
    e_rev_Na: Value = parameter(50.0, "mV", "reversal potential of sodium")
    e_rev_K: Value = parameter(-90.0, "mV", "reversal potential of potassium")
    e_rev_leak: Value = parameter(-65.0, "mV", "reversal potential of the leak")
    e_rev_E: Value = parameter(0.0, "mV", "reversal potential of excitatory input")
    e_rev_I: Value = parameter(-80.0, "mV", "reversal potential of inhibitory input")
    tau_syn_E: Value = parameter(0.2, "ms", "decay time of excitatory conductance", low=0, open_low=True)
    tau_syn_I: Value = parameter(2.0, "ms", "decay time of inhibitory conductance", low=0, open_low=True)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")

    states: ClassVar[Mapping[str, State]] = {
        "v": State("mV", -65.0, "membrane potential"),
        "gsyn_exc": State("uS", 0.0, "excitatory synaptic conductance"),
        "gsyn_inh": State("uS", 0.0, "inhibitory synaptic conductance"),
        "h": State("", 1.0, "inactivation of sodium"),
        "m": State("", 0.0, "activation of sodium"),
        "n": State("", 0.0, "activation of potassium"),
    }
    weight_unit: ClassVar[str] = "uS"
    order: ClassVar[int] = 2

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.hh.step``."""
        if dt > _COARSE:
            warnings.warn(
                f"HH_cond_exp looks for spikes at whole steps: at dt = {dt:g} ms it misses some; take dt <= {_COARSE:g} ms",
                stacklevel=2)
        ones = np.ones_like(p["cm"])
        parts = np.ceil(dt / _LONGEST_PART - 1e-9)
        rows = [p["gbar_Na"], p["gbar_K"], p["g_leak"], 1.0 / p["cm"], p["v_offset"], p["e_rev_Na"], p["e_rev_K"],
                p["e_rev_leak"], p["e_rev_E"], p["e_rev_I"], p["i_offset"],
                np.exp(-0.5 * dt / parts / p["tau_syn_E"]), np.exp(-0.5 * dt / parts / p["tau_syn_I"]),
                parts * ones, refractory_steps(_DEAD_TIME * ones, dt), p["v_offset"] + _ABOVE_OFFSET]
        states = [initial[name] for name in self.states]
        return StepModel(
            module="hh", parameters=stack(rows), states=(*self.states, "_r"),
            initial=np.stack([*states, np.zeros_like(ones)]),
            inputs={"excitatory": "gsyn_exc", "inhibitory": "gsyn_inh"},
        )
