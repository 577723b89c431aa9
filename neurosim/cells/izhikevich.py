"""Izhikevich's cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..parameters import Value, parameter
from .base import Cell, State, StepModel, stack

__all__ = ["Izhikevich"]


@dataclasses.dataclass(frozen=True)
class Izhikevich(Cell):
    """Izhikevich's simple model (2003, eqs. 1-3), v in mV and t in ms::

        dv/dt = 0.04 v**2 + 5 v + 140 - u + I,      I = i_offset in pA, read as mV/ms
        du/dt = a (b v - u)
        v >= 30 mV:  v <- c,  u <- u + d

    An arriving spike makes v jump by its weight.  A current of 1 nA counts as 1000 mV/ms, as in PyNN (a
    capacitance of 1 pF).

    Numerical method: Runge-Kutta of order 4, with steps divided during the upswing of a spike and far from rest.
    NEST's ``izhikevich`` takes forward Euler steps (order 1), and Izhikevich's own program two half steps of 0.5
    ms in v and one of 1 ms in u; parameters that were tuned at such steps behave differently here.
    """

    a: Value = parameter(0.02, "/ms", "rate of recovery; smaller makes u slower", low=0)
    b: Value = parameter(0.2, "/ms", "how strongly u follows v")
    c: Value = parameter(-65.0, "mV", "potential after a spike", high=30.0, open_high=True)
    d: Value = parameter(2.0, "mV/ms", "what a spike adds to u; more of it slows firing")
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")

    states: ClassVar[Mapping[str, State]] = {
        "v": State("mV", -70.0, "membrane potential"),
        "u": State("mV/ms", -14.0, "recovery variable"),
    }
    weight_unit: ClassVar[str] = "mV"
    order: ClassVar[int] = 4
    capacitance: ClassVar[float] = 1e-3

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.izhikevich.step``."""
        v = initial["v"]
        return StepModel(
            module="izhikevich", parameters=stack([p["a"], p["b"], p["c"], p["d"], 1000.0 * p["i_offset"]]),
            states=("v", "u", "_x"), initial=np.stack([v, initial["u"], np.zeros_like(v)]),
            inputs={"excitatory": "_x", "inhibitory": "_x"}, deliver_first=True,
        )
