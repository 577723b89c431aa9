"""A large network in which one neuron in a hundred fires and the others listen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..network import Network
from ..parameters import Uniform
from .base import Model, connect_at_random, number, plain, settled, sizes
from .cuba import CELL as CUBA_CELL
from .cuba import TAU_M, WEIGHTS, nA

if TYPE_CHECKING:
    from ..result import Result

__all__ = ["CELL", "INPUTS", "MODEL", "NEURONS", "build", "interval", "pacemakers", "report"]

NEURONS = 1_000_000
INPUTS = (80, 20)
DELAY = 1.5  # ms
DRIVE = 12.0  # mV
V_REST, V_THRESH, TAU_REFRAC = -60.0, -50.0, 5.0
CELL = CUBA_CELL.replaced(v_rest=V_REST, v_thresh=V_THRESH, v_reset=V_REST, tau_refrac=TAU_REFRAC)


def pacemakers(neurons: int) -> int:
    """How many of the neurons fire: 1 %, the first of the excitatory ones."""
    return max(1, round(0.01 * neurons))


def interval(dt: float) -> float:
    """Time between two spikes of a pacemaker without input, ms.

    v climbs from v_reset = v_rest towards v_rest + 12 mV, and crosses v_thresh 10 mV above after tau_m ln(12 / 2);
    the step that finds it above the threshold ends there, after the refractory period.
    """
    climb = TAU_M * math.log(DRIVE / (DRIVE - (V_THRESH - V_REST)))
    return math.ceil(climb / dt - 1e-9) * dt + TAU_REFRAC


def build(scale: float, seed: int, dt: float) -> Network:
    """The network of `cuba`, but resting below its threshold; a constant current drives the first 1 % of the neurons.

    Made to measure what silent neurons cost a simulator.  ``scale`` multiplies the number of neurons; each
    keeps its 100 inputs, of which about 0.8 come from pacemakers.
    """
    net = Network(seed, "sparse")
    n_exc, n_inh = sizes("sparse", NEURONS, scale)
    current = np.zeros(n_exc)
    current[:pacemakers(n_exc + n_inh)] = nA(DRIVE)
    exc = net.population(n_exc, CELL.replaced(i_offset=current), "exc")
    inh = net.population(n_inh, CELL, "inh")
    for cells in (exc, inh):
        cells.initialize(v=Uniform(-60.0, -50.0))
    connect_at_random(net, exc, inh, INPUTS, WEIGHTS, DELAY)
    net.record([exc, inh], "spikes")
    return net


def report(result: Result) -> str:
    """The common table, and the pacemakers' rate beside the one they would have alone."""
    spikes = result.spikes("exc").between(*settled(result))
    n = pacemakers(sum(info.size for info in result.populations.values()))
    rate = spikes.rates()[spikes.neurons < n].mean() if (spikes.neurons < n).any() else math.nan
    alone = 1000.0 / interval(result.dt)
    return plain(result, [f"The {n:,} pacemakers: {number(rate, 2)} Hz ({alone:.2f} Hz without input)."])


MODEL = Model("sparse", "large network of which 1 % fires: 1,000,000 neurons, 100 million synapses", build, report)
