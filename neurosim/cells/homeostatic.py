"""An integrate-and-fire cell that raises its threshold when it spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..parameters import Value, parameter
from .base import Cell, State, StepModel, stack
from .conductance import LeakyMembrane, membrane_rows

__all__ = ["IF_cond_exp_homeostatic"]


@dataclasses.dataclass(frozen=True)
class IF_cond_exp_homeostatic(LeakyMembrane, Cell):
    """:class:`IF_cond_exp` with a threshold that follows the cell's own activity (Diehl & Cook 2015)::

        cm dv/dt = -cm/tau_m (v - v_rest) - gsyn_exc (v - e_rev_E) - gsyn_inh (v - e_rev_I) + i_offset
        tau_syn_E dgsyn_exc/dt = -gsyn_exc,      tau_syn_I dgsyn_inh/dt = -gsyn_inh
        tau_theta dtheta/dt = -theta
        v >= v_thresh + theta:  v <- v_reset,  theta <- theta + theta_plus

    In a layer whose cells compete, one that wins often becomes harder to excite, so that all come to take part
    (intrinsic homeostasis).  An arriving weight (positive for both receptors) is added to the conductance; v stays
    at v_reset for tau_refrac (whole steps, rounded) while theta and the conductances go on.

    ``theta`` is a state: it can be initialised and recorded.  To hold it fixed, as when a trained network is tested,
    give it as initial value to cells with ``theta_plus=0`` and ``tau_theta=1e30``.

    Numerical method as in :class:`IF_cond_exp`: theta and conductances are exact, v follows the exponential midpoint
    rule, second order in dt.

    References
    ----------
    Diehl PU, Cook M (2015) Front Comput Neurosci 9:99, doi:10.3389/fncom.2015.00099.
    """

    theta_plus: Value = parameter(0.05, "mV", "rise of the threshold at each spike; more of it slows firing", low=0)
    tau_theta: Value = parameter(1e7, "ms", "decay time of theta; with 1e30 it never decays", low=0, open_low=True)

    states: ClassVar[Mapping[str, State]] = {
        "v": State("mV", "v_rest", "membrane potential"),
        "theta": State("mV", 0.0, "how far the threshold lies above v_thresh"),
        "gsyn_exc": State("uS", 0.0, "excitatory synaptic conductance"),
        "gsyn_inh": State("uS", 0.0, "inhibitory synaptic conductance"),
    }
    weight_unit: ClassVar[str] = "uS"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)
    order: ClassVar[int] = 2

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.homeostatic.step``."""
        rows = [initial[name] for name in self.states]
        return StepModel(
            module="homeostatic",
            parameters=stack([*membrane_rows(p, dt), np.exp(-dt / p["tau_syn_E"]), np.exp(-dt / p["tau_syn_I"]),
                              np.exp(-dt / p["tau_theta"]), p["theta_plus"]]),
            states=(*self.states, "_r"), initial=np.stack([*rows, np.zeros_like(rows[0])]),
            inputs={"excitatory": "gsyn_exc", "inhibitory": "gsyn_inh"},
        )
