"""Astrocytes with calcium, and neurons that share one's calcium."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..errors import ParameterError
from ..parameters import Value, parameter
from .base import Cell, State, StepModel, stack
from .lif import membrane_rows

__all__ = ["Astrocyte", "IF_curr_delta_astro"]


@dataclasses.dataclass(frozen=True)
class Astrocyte(Cell):
    """An astrocyte: calcium that IP3 lets out of its store (Li & Rinzel 1994), and the slow inward current it causes::

        dIP3/dt = (IP3_0 - IP3)/tau_IP3,      IP3 <- IP3 + delta_IP3 weight on arrival
        dCa/dt  = J_channel - J_pump + J_leak
        dh/dt   = k_IP3R (Kd_inh (IP3 + Kd_IP3_1)/(IP3 + Kd_IP3_2) (1 - h) - Ca h)

        J_channel = ratio_ER_cyt rate_IP3R (m n h)**3 (Ca_ER - Ca),   m = IP3/(IP3 + Kd_IP3_1),  n = Ca/(Ca + Kd_act)
        J_leak    = ratio_ER_cyt rate_L (Ca_ER - Ca),                 Ca_ER = (Ca_tot - Ca)/ratio_ER_cyt
        J_pump    = rate_SERCA Ca**2/(Km_SERCA**2 + Ca**2)

        sic = sic_scale ln y  where  y = (Ca - sic_thresh) in nM exceeds 1,  else 0     (Nadkarni & Jung 2003)

    IP3 and Ca are in µM, and Ca stays between 0 and Ca_tot.  A weight is a number without unit.  An astrocyte never
    spikes; it acts through ``sic``, which a graded projection takes to neurons (``receptor="sic"`` of
    :meth:`Network.project`).  An injected current of 1 nA adds 1000 µM/ms to dCa/dt (1 pA: 1 µM/ms, as in NEST).

    Numerical method: IP3 exactly, Ca and h by Runge-Kutta of order 4 in dt.  The equations are those of NEST's
    ``astrocyte_lr_1994``, and so are the names of the parameters but for ``sic_thresh`` (there ``SIC_th``) and
    ``sic_scale`` (``SIC_scale``, in pA).  States there: ``IP3``, ``Ca_astro``, ``h_IP3R``.
    """

    Ca_tot: Value = parameter(2.0, "uM", "calcium of cell and store, as if all in the cell", low=0, open_low=True)
    IP3_0: Value = parameter(0.16, "uM", "IP3 at rest", low=0)
    Kd_IP3_1: Value = parameter(0.13, "uM", "IP3 at which half the channels bind it", low=0, open_low=True)
    Kd_IP3_2: Value = parameter(0.9434, "uM", "the same, of channels that are inactivated", low=0, open_low=True)
    Kd_act: Value = parameter(0.08234, "uM", "calcium that activates half the channels", low=0, open_low=True)
    Kd_inh: Value = parameter(1.049, "uM", "calcium that inactivates half the channels", low=0)
    Km_SERCA: Value = parameter(0.1, "uM", "calcium at which the pump runs at half its rate", low=0, open_low=True)
    sic_scale: Value = parameter(1e-3, "nA", "current put out at e nM of calcium above sic_thresh")
    sic_thresh: Value = parameter(0.19669, "uM", "calcium above which there is a current", low=0)
    delta_IP3: Value = parameter(0.0002, "uM", "IP3 that an arriving weight of 1 makes", low=0)
    k_IP3R: Value = parameter(0.0002, "/ms/uM", "how fast channels bind the calcium that inactivates them", low=0)
    rate_IP3R: Value = parameter(0.006, "/ms", "flow through open channels; more makes calcium rise faster", low=0)
    rate_L: Value = parameter(0.00011, "/ms", "leak out of the store", low=0)
    rate_SERCA: Value = parameter(0.0009, "uM/ms", "the most that the pump returns to the store", low=0)
    ratio_ER_cyt: Value = parameter(0.185, "", "volume of the store relative to that of the cell", low=0, open_low=True)
    tau_IP3: Value = parameter(7142.0, "ms", "time constant of the breakdown of IP3", low=0, open_low=True)

    receptors: ClassVar[tuple[str, ...]] = ("excitatory",)
    states: ClassVar[Mapping[str, State]] = {
        "IP3": State("uM", "IP3_0", "inositol trisphosphate"),
        "Ca": State("uM", 0.073, "calcium in the cell"),
        "h": State("", 0.793, "fraction of channels that calcium has not inactivated"),
        "sic": State("nA", 0.0, "slow inward current put out"),
    }
    spikes: ClassVar[bool] = False
    graded: ClassVar[str] = "sic"
    order: ClassVar[int] = 4

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.astrocyte.step``."""
        rows = [p["IP3_0"], np.exp(-0.5 * dt / p["tau_IP3"]), p["delta_IP3"], p["Ca_tot"], p["ratio_ER_cyt"],
                p["Kd_IP3_1"], p["Kd_IP3_2"], p["Kd_act"], p["Kd_inh"], p["rate_IP3R"], p["rate_L"], p["rate_SERCA"],
                p["Km_SERCA"]**2, p["k_IP3R"], p["sic_thresh"], p["sic_scale"]]
        states = [initial[name] for name in self.states]
        return StepModel(
            module="astrocyte", parameters=stack(rows), states=(*self.states, "_x"),
            initial=np.stack([*states, np.zeros_like(states[0])]), inputs={"excitatory": "_x"}, deliver_first=True,
        )


@dataclasses.dataclass(frozen=True)
class IF_curr_delta_astro(Cell):
    """Leaky integrate-and-fire with voltage jumps; ``group_size`` cells share the calcium c of an astrocyte::

        cm dv/dt = -cm/tau_m (v - v_rest) + i_offset,      v <- v + (1 + g_astro c) weight on arrival
        spike where v >= v_rest + (v_thresh - v_rest) (1 - kappa tanh c)
        tau_c dc/dt = -c,      c <- c + delta_c/group_size for every spike of the group

    So the group's own activity makes its cells easier to fire, for about tau_c.  Cells 0 .. group_size - 1 of a
    population are the first group, and so on; its size must be a multiple of ``group_size``.  Input and threshold at
    step t see c after its decay to t and before the spikes of t.  Arrivals, reset and refractoriness as in
    :class:`IF_curr_delta`, which this is for kappa = g_astro = 0.  c is a state of every cell; a group's is that of its
    first cell, and so are tau_c and delta_c.  Solved exactly on the grid of dt.

    The cell is ours, made after the idea of astrocyte-modulated units; it reproduces no published model.  With
    v in units of the threshold and delta_c = dt/tau_c, c follows the mean of the group's spikes at each step.
    """

    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    cm: Value = parameter(1.0, "nF", "capacitance; it scales the effect of currents only", low=0, open_low=True)
    tau_m: Value = parameter(20.0, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True)
    tau_refrac: Value = parameter(0.1, "ms", "refractory period after a spike", low=0)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    v_reset: Value = parameter(-65.0, "mV", "potential after a spike")
    v_thresh: Value = parameter(-50.0, "mV", "potential at which the cell spikes without calcium")
    kappa: Value = parameter(0.3, "", "how far calcium lowers the threshold towards v_rest", low=-1, high=1)
    g_astro: Value = parameter(0.0, "", "gain of synaptic input by calcium", low=0)
    tau_c: Value = parameter(2000.0, "ms", "decay time of calcium", low=0, open_low=True)
    delta_c: Value = parameter(0.1, "", "calcium that one spike of every cell of the group makes", low=0)
    group_size: Value = parameter(1.0, "", "cells of an astrocyte, a whole number for all", low=1, high=2**20)

    states: ClassVar[Mapping[str, State]] = {
        "v": State("mV", "v_rest", "membrane potential"),
        "c": State("", 0.0, "calcium of the cell's astrocyte"),
    }
    weight_unit: ClassVar[str] = "mV"
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"), ("v_rest", "v_thresh"))
    exact: ClassVar[bool] = True

    def check(self) -> None:
        """As :meth:`Cell.check`; the groups must be of one size."""
        super().check()
        if not isinstance(self.group_size, float) or self.group_size % 1:
            raise ParameterError(
                f"{self.name}.group_size must be one whole number >= 1 for all cells, got {self.group_size}:"
                f" {self.parameters()['group_size'].sentence}"
            )

    def values(self, n: int, seed: int, label: str) -> dict[str, np.ndarray]:
        """As :meth:`Cell.values`; ``n`` cells must make whole groups."""
        if n % int(self.group_size):  # type: ignore[arg-type]
            raise ParameterError(
                f"{label}: {n} cells do not make whole groups of {self.name}.group_size = {self.group_size:g}"
            )
        return super().values(n, seed, label)

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.astrocyte.step_delta``."""
        v, size = initial["v"], int(p["group_size"][0])
        c = np.repeat(initial["c"][::size], size)
        rows = [*membrane_rows(p, dt), p["kappa"], p["g_astro"], np.exp(-dt / p["tau_c"]), p["delta_c"] / size,
                p["group_size"]]
        return StepModel(
            module="astrocyte", function="step_delta", parameters=stack(rows), states=("v", "c", "_x", "_r"),
            initial=np.stack([v, c, np.zeros_like(v), np.zeros_like(v)]),
            inputs={"excitatory": "_x", "inhibitory": "_x"}, deliver_first=True, together=size,
        )
