"""Sparsely connected excitatory and inhibitory neurons: Brunel 2000, model A."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from ..cells.lif import IF_curr_delta
from ..errors import ParameterError
from ..network import Network
from ..parameters import Uniform
from .base import Model, connect_at_random, number, plain, sizes

if TYPE_CHECKING:
    from ..result import Result

__all__ = ["CELL", "INPUTS", "MODEL", "NEURONS", "REGIMES", "J", "build", "report", "stationary_rate"]

NEURONS = 12_500
INPUTS = (1000, 250)
J = 0.1  # mV
DELAY = 1.5  # ms
V_THRESH, V_RESET = 20.0, 10.0  # mV above rest
TAU_M, TAU_REFRAC = 20.0, 2.0  # ms
CELL = IF_curr_delta(v_rest=0.0, v_thresh=V_THRESH, v_reset=V_RESET, tau_m=TAU_M, tau_refrac=TAU_REFRAC, cm=1.0)

REGIMES = {"SR": (3.0, 2.0), "SI": (6.0, 4.0), "AI": (5.0, 2.0), "SI-slow": (4.5, 0.9)}
"""(g, eta) of figure 8: A synchronous regular, B synchronous irregular with fast oscillations, C asynchronous
irregular, D synchronous irregular with slow oscillations."""


def external_rate(eta: float) -> float:
    """Hz, of all external spikes to a neuron: ``eta`` times what brings its mean potential to the threshold."""
    return 1000.0 * eta * V_THRESH / (J * TAU_M)


def build(scale: float, seed: int, dt: float, regime: str = "AI", g: float | None = None,
          eta: float | None = None) -> Network:
    """The network.

    A spike moves v by J = 0.1 mV (excitatory) or -g J (inhibitory) 1.5 ms later; v decays with 20 ms.  Every neuron
    receives 1000 excitatory and 250 inhibitory inputs and an independent Poisson train of ``eta * 10 Hz * 1000``.
    Input that arrives in the refractory period is lost.

    Parameters
    ----------
    scale : float
        Multiplies the number of neurons; each keeps its inputs, so that their mean and variance stay.  Neurons then
        share more of their inputs.  (The original has one tenth of the neurons as inputs.)
    regime : {"AI", "SR", "SI", "SI-slow"}
        A panel of figure 8.
    g : float, optional
        Strength of inhibition relative to excitation, instead of the regime's; beyond 4 inhibition dominates.
    eta : float, optional
        External rate relative to threshold, instead of the regime's.

    References
    ----------
    Brunel N (2000) J Comput Neurosci 8:183-208, doi:10.1023/A:1008925309027.
    """
    if regime not in REGIMES:
        raise ParameterError(f"model brunel: regime must be one of {', '.join(REGIMES)}, got {regime!r}")
    g = REGIMES[regime][0] if g is None else float(g)
    eta = REGIMES[regime][1] if eta is None else float(eta)
    if not (0.0 <= g < math.inf and 0.0 <= eta < math.inf):
        raise ParameterError(f"model brunel: g and eta must be >= 0, got g={g:g}, eta={eta:g}")
    net = Network(seed, f"brunel g={g:g} eta={eta:g}")
    n_exc, n_inh = sizes("brunel", NEURONS, scale)
    exc, inh = net.population(n_exc, CELL, "exc"), net.population(n_inh, CELL, "inh")
    for cells in (exc, inh):
        cells.initialize(v=Uniform(0.0, 20.0))
        net.poisson_input(cells, external_rate(eta), J)
    connect_at_random(net, exc, inh, INPUTS, (J, -g * J), DELAY)
    net.record([exc, inh], "spikes")
    return net


# ------------------------------------------------------------------------------------------- theory


def _passage(low: float, high: float) -> float:
    """Integral of exp(u^2) (1 + erf u) from ``low`` to ``high``, by Simpson's rule."""
    if high > 25.0:
        return math.inf
    u = np.linspace(max(low, -25.0), high, 2001)
    f = np.array([math.exp(x * x) * math.erfc(-x) for x in u])
    return float((u[1] - u[0]) / 3.0 * (f[0] + f[-1] + 4.0 * f[1:-1:2].sum() + 2.0 * f[2:-1:2].sum()))


def _response(rate: float, g: float, eta: float) -> float:
    """Rate, Hz, of a neuron in a network that fires at ``rate``."""
    c_e, c_i = INPUTS
    tau = TAU_M / 1000.0
    arriving = external_rate(eta) + c_e * rate
    mean = tau * J * (arriving - g * c_i * rate)
    sd = J * math.sqrt(tau * (arriving + g * g * c_i * rate))
    if sd == 0.0:
        return 0.0
    passage = _passage((V_RESET - mean) / sd, (V_THRESH - mean) / sd)
    return 1.0 / (TAU_REFRAC / 1000.0 + tau * math.sqrt(math.pi) * passage)


def stationary_rate(g: float, eta: float) -> float:
    """The rate, Hz, at which the network could fire asynchronously (Brunel 2000, section 3.1).

    The highest solution of rate = response(rate) in the diffusion approximation: mean and variance of a neuron's
    input follow from the rate of all, its rate from the first-passage time of the threshold.  Whether this state
    is stable, or gives way to oscillations, it does not say.

    Examples
    --------
    >>> round(stationary_rate(g=5.0, eta=2.0))
    38
    """
    high = 1000.0 / TAU_REFRAC
    grid = np.linspace(high, 0.0, 400)
    above = [_response(rate, g, eta) >= rate for rate in grid]
    k = above.index(True)
    low, high = float(grid[k]), float(grid[max(k - 1, 0)])
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _response(middle, g, eta) >= middle else (low, middle)
    return 0.5 * (low + high)


def report(result: Result) -> str:
    """The common table, in bins of 1 ms as neurons may fire in step every 3 ms, and the asynchronous rate in theory."""
    found = re.fullmatch(r"brunel g=(\S+) eta=(\S+)", result.label)
    if found is None:
        return plain(result, width=1.0)
    g, eta = float(found[1]), float(found[2])
    names = [name for name, values in REGIMES.items() if values == (g, eta)]
    values = ", ".join([f"g = {g:g}", f"eta = {eta:g}", *names])
    theory = number(stationary_rate(g, eta), 1)
    return plain(result, [f"{values}; asynchronous state in theory (Brunel 2000): {theory} Hz."], 1.0)


MODEL = Model("brunel", "sparse random network in its regimes (Brunel 2000): 12,500 neurons, 15.6 million synapses",
              build, report)
