"""Current-based random network: Vogels & Abbott 2005 as benchmark 2 of Brette et al. 2007."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..cells.lif import IF_curr_exp
from ..network import Network
from ..parameters import Uniform
from .base import Model, connect_at_random, plain, sizes

if TYPE_CHECKING:
    from ..result import Result

__all__ = ["CELL", "INPUTS", "MODEL", "NEURONS", "TAU_M", "WEIGHTS", "build", "nA", "report"]

NEURONS = 4000
INPUTS = (64, 16)  # excitatory and inhibitory, of every neuron: 2 % of 3200 and of 800
TAU_M = 20.0  # ms
CM = 0.25  # nF; the paper has none, and it cancels out
CELL = IF_curr_exp(v_rest=-49.0, v_thresh=-50.0, v_reset=-60.0, tau_m=TAU_M, tau_refrac=5.0, cm=CM,
                   tau_syn_E=5.0, tau_syn_I=10.0)


def nA(mV: float) -> float:
    """The current that the paper writes as a voltage: tau_m dV/dt = ... + g with g in mV is cm g / tau_m in nA."""
    return mV * CM / TAU_M


WEIGHTS = (nA(1.62), nA(-9.0))


def build(scale: float, seed: int, dt: float) -> Network:
    """The network; v_rest lies above the threshold, so that it fires without input from outside.

    ``tau_m dV/dt = -49 mV - V + g_E + g_I``; a spike adds 1.62 mV to g_E or -9 mV to g_I (5 and 10 ms).
    ``scale`` multiplies the number of neurons; each keeps its 80 inputs, and so the mean and variance of its input.
    Departure: sources are drawn with replacement, a fixed number for each neuron, not with probability 2 %;
    the delay is one step, not 0.

    References
    ----------
    Vogels TP, Abbott LF (2005) J Neurosci 25:10786-10795, doi:10.1523/JNEUROSCI.3508-05.2005.
    Brette R et al. (2007) J Comput Neurosci 23:349-398, doi:10.1007/s10827-007-0038-6.
    """
    net = Network(seed, "cuba")
    n_exc, n_inh = sizes("cuba", NEURONS, scale)
    exc, inh = net.population(n_exc, CELL, "exc"), net.population(n_inh, CELL, "inh")
    for cells in (exc, inh):
        cells.initialize(v=Uniform(-60.0, -50.0))
    connect_at_random(net, exc, inh, INPUTS, WEIGHTS, dt)
    net.record([exc, inh], "spikes")
    return net


def report(result: Result) -> str:
    """Rates, irregularity and synchrony."""
    return plain(result)


MODEL = Model("cuba", "random network of current-based neurons (Vogels & Abbott 2005): 4000 neurons", build, report)
