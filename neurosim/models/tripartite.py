"""A balanced network with astrocytes at its excitatory synapses: NEST's example ``astrocyte_brunel_bernoulli``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..cells.adex import EIF_cond_alpha_isfa_ista
from ..cells.astrocyte import Astrocyte
from ..connectors import FixedProbabilityConnector
from ..errors import ParameterError
from ..network import Network
from ..plasticity import TsodyksMarkramSynapse
from .base import Model, number, plain, settled, sizes

if TYPE_CHECKING:
    from ..result import Result

__all__ = ["ASTROCYTES", "CELL", "MODEL", "NEURONS", "build", "report"]

NEURONS, ASTROCYTES = 10_000, 10_000
CONNECTED = 0.1  # of all pairs, at full size
P_THIRD, POOL = 0.5, 10
WEIGHTS = (0.001, 0.004)  # uS
DELAYS = (2.0, 1.0)  # ms
SIC_WEIGHT, SIC_DELAY = 0.05, 1.0
DRIVE = 2000.0  # Hz
TAU_SYN = (2.0, 4.0)  # ms
# The neuron's defaults in NEST (aeif_cond_alpha_astro), with these time constants of synapses
CELL = EIF_cond_alpha_isfa_ista(cm=0.281, tau_refrac=0.0, v_spike=0.0, v_reset=-60.0, v_rest=-70.6, tau_m=281.0 / 30.0,
                                a=4.0, b=0.0805, delta_T=2.0, tau_w=144.0, v_thresh=-50.4, e_rev_E=0.0,
                                tau_syn_E=TAU_SYN[0], e_rev_I=-85.0, tau_syn_I=TAU_SYN[1])
SYNAPSES = tuple(TsodyksMarkramSynapse(U=0.5, tau_rec=800.0, tau_facil=0.0, tau_psc=tau) for tau in TAU_SYN)
RECORDED = 50  # astrocytes, every millisecond


def build(scale: float, seed: int, dt: float, coupling: float = 1.0) -> Network:
    """The network.

    8000 excitatory and 2000 inhibitory adaptive neurons; each pair is connected with probability 0.1, by synapses that
    depress.  Half of the excitatory synapses have an astrocyte, one of ten that their target may choose from; the
    sender's spikes make IP3 in it, and its slow inward current reaches the target.  Every neuron has a Poisson input
    of 2 kHz.

    Parameters
    ----------
    scale : float
        Multiplies the numbers of neurons and astrocytes; the probability of a connection is divided by it, so that
        neurons keep their inputs, up to 1 (below a scale of 0.1 inputs become fewer).
    coupling : float
        Multiplies the slow inward currents; 0 for a network without astrocytes.
    """
    if not 0.0 <= coupling <= 1e6:
        raise ParameterError(f"model tripartite: coupling must be >= 0 and <= 1e6, got {coupling!r}")
    net = Network(seed, "tripartite")
    n_exc, n_inh = sizes("tripartite", NEURONS, scale)
    exc, inh = net.population(n_exc, CELL, "exc"), net.population(n_inh, CELL, "inh")
    astro = net.population(round(ASTROCYTES * scale), Astrocyte(), "astro", initial_values={"IP3": 0.4})
    for cells in (exc, inh):
        net.poisson_input(cells, DRIVE, WEIGHTS[0])
        net.record(cells, "spikes")
    random = FixedProbabilityConnector(min(1.0, CONNECTED / scale))
    for post in (exc, inh):
        net.tripartite(exc, post, astro, random, P_THIRD, min(POOL, astro.size), "random", WEIGHTS[0], DELAYS[0],
                       synapse=SYNAPSES[0], weight_in=1.0, delay_in=DELAYS[0], synapse_in=SYNAPSES[0],
                       weight_out=coupling * SIC_WEIGHT, delay_out=SIC_DELAY)
        net.project(inh, post, random, WEIGHTS[1], DELAYS[1], "inhibitory", synapse=SYNAPSES[1])
    net.record(astro[:min(RECORDED, astro.size)], ["IP3", "Ca", "sic"], 1.0)
    return net


def report(result: Result) -> str:
    """The common table, and calcium and current of the recorded astrocytes in the same window."""
    begin, end = settled(result)
    notes = []
    if {"Ca", "sic"} <= set(result.recorded.get("astro", ())):
        trace = {}
        for name in ("Ca", "sic"):
            one = result.traces("astro", name)
            trace[name] = one.values[(one.times > begin) & (one.times <= end)]
        calcium, current = float(trace["Ca"].mean()), 1e3 * float(trace["sic"].mean())
        notes = [f"Mean of astrocytes: calcium {number(calcium, 3)} uM, slow inward current {number(current, 2)} pA."]
    return plain(result, notes)


MODEL = Model("tripartite", "balanced network with astrocytes (NEST's example): 10,000 neurons, 10,000 astrocytes",
              build, report)
