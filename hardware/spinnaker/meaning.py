"""What a weight means here and on the machine, where that differs: numbers that make the machine do what the network says.

========================  ==========================================  ==============================================================
model                     here, a weight is                           on the machine
========================  ==========================================  ==============================================================
IF_curr_alpha             the peak of the current, nA                 its charge, nA ms: e tau_syn times the peak
IF_curr_delta             the jump of v, mV                           a charge that flows in over one step of the leaky membrane
Izhikevich                the jump of v, mV; 1 nA is 1000 mV/ms       a current that decays with tau_syn; 1 nA is 1 mV/ms
========================  ==========================================  ==============================================================

The machine's Izhikevich is given a tau_syn that is over within a step.  The cells of `extra` are the machine's own and mean what
they mean there.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim import cells
from neurosim.cells.base import Model
from neurosim.currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource

__all__ = ["PULSE", "adapted", "current", "factor", "told"]

PULSE = 11.0  # steps that the machine needs for a current to decay to 0 of 2**32: more than 10.4
_ONE = 32768.0
_PER_NA = 1000.0
_TAU = {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"}
_SIZES = {DCSource: ("amplitude",), ACSource: ("amplitude", "offset"), StepCurrentSource: ("amplitudes",),
          NoisyCurrentSource: ("mean", "stdev")}


def adapted(cell: Model, values: Mapping[str, np.ndarray], dt: float) -> dict[str, np.ndarray]:
    """Parameters that the machine is given for those of a cell of the network; shape (n,) each."""
    made = dict(values)
    if type(cell) is cells.Izhikevich:
        made["i_offset"] = values["i_offset"] * _PER_NA
        made |= {name: np.full_like(values["a"], dt / PULSE) for name in _TAU.values()}
    return made


def factor(cell: Model, values: Mapping[str, np.ndarray], receptor: str, dt: float) -> np.ndarray | None:
    """What weights onto a receptor are multiplied by to mean the same on the machine.

    Parameters
    ----------
    values : dict of ndarray, shape (n,)
        The machine's parameters, from `adapted`.

    Returns
    -------
    ndarray, float64, shape (n,), or None
        For each cell; None where weights mean the same.
    """
    if type(cell) is cells.IF_curr_alpha:
        return math.e * values[_TAU[receptor]]
    if type(cell) is cells.IF_curr_delta:
        resistance = values["tau_m"] / values["cm"]
        return dt / (resistance * -np.expm1(-dt / values["tau_m"]))
    if type(cell) is cells.Izhikevich:
        # tau / dt of the current reaches the cell, for one step; both as the machine has them.
        return np.rint(dt * _ONE) / (np.rint(values[_TAU[receptor]] * _ONE) * dt)
    return None


def told(cell: Model) -> str | None:
    """In words, what `factor` corrects."""
    return {
        cells.IF_curr_alpha: "weights are peaks of currents; SpiNNaker takes their charge, e tau_syn times as much",
        cells.IF_curr_delta: "weights are jumps of v; SpiNNaker takes the charge that makes them in one step",
        cells.Izhikevich: "weights are jumps of v; SpiNNaker takes a current of one step, with 1 nA as 1 mV/ms",
    }.get(type(cell))


def current(cell: Model, source: Any) -> Any:
    """An injected current as the machine is given it for such a cell."""
    if type(cell) is not cells.Izhikevich:
        return source
    return dataclasses.replace(source, **{name: np.asarray(getattr(source, name)) * _PER_NA if name == "amplitudes" else
                                          float(getattr(source, name)) * _PER_NA for name in _SIZES[type(source)]})
