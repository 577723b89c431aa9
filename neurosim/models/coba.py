"""Conductance-based random network: benchmark 1 of Brette et al. 2007, with a constant drive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..cells.conductance import IF_cond_exp
from ..network import Network
from ..parameters import Uniform
from .base import Model, connect_at_random, plain, sizes

if TYPE_CHECKING:
    from ..result import Result

__all__ = ["CELL", "INPUTS", "MODEL", "NEURONS", "WEIGHTS", "build", "report"]

NEURONS = 4000
INPUTS = (64, 16)
WEIGHTS = (0.006, 0.067)  # uS: 0.6 and 6.7 times the leak conductance, cm / tau_m = 10 nS
CELL = IF_cond_exp(v_rest=-60.0, v_thresh=-50.0, v_reset=-60.0, tau_m=20.0, tau_refrac=5.0, cm=0.2,
                   tau_syn_E=5.0, tau_syn_I=10.0, e_rev_E=0.0, e_rev_I=-80.0, i_offset=0.2)


def build(scale: float, seed: int, dt: float) -> Network:
    """The network; the constant 0.2 nA (20 mV of depolarisation) keeps it active.

    ``scale`` multiplies the number of neurons; each keeps its 80 inputs.
    Departure: Brette et al. start the activity with 50 ms of random input and then leave the network alone, so that
    it may die out; sources are drawn with replacement; the delay is one step.

    References
    ----------
    Brette R et al. (2007) J Comput Neurosci 23:349-398, doi:10.1007/s10827-007-0038-6.
    """
    net = Network(seed, "coba")
    n_exc, n_inh = sizes("coba", NEURONS, scale)
    exc, inh = net.population(n_exc, CELL, "exc"), net.population(n_inh, CELL, "inh")
    for cells in (exc, inh):
        cells.initialize(v=Uniform(-60.0, -50.0))
    connect_at_random(net, exc, inh, INPUTS, WEIGHTS, dt)
    net.record([exc, inh], "spikes")
    return net


def report(result: Result) -> str:
    """Rates, irregularity and synchrony."""
    return plain(result)


MODEL = Model("coba", "random network of conductance-based neurons (Brette et al. 2007): 4000 neurons", build, report)
