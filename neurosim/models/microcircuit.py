"""The cortical microcircuit of Potjans & Diesmann 2014: four layers below 1 mm^2, 77,169 neurons, 0.3 billion synapses.

Numbers are those of the paper's tables 4 (description) and 5 (parameters), as its authors keep them in
github.com/INM-6/microcircuit-PD14-model (commit fd40046, PyNEST/src/microcircuit/network_params.py and
docs/model_description); the published activity stands in `microcircuit_published`.

References
----------
Potjans TC, Diesmann M (2014) Cereb Cortex 24:785-806, doi:10.1093/cercor/bhs358.
van Albada SJ, Helias M, Diesmann M (2015) PLoS Comput Biol 11:e1004490, doi:10.1371/journal.pcbi.1004490 (scaling).
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from ..cells.lif import IF_curr_exp
from ..cells.sources import SpikeSourcePoisson
from ..connectors import FixedTotalNumberConnector
from ..errors import ParameterError
from ..network import Network, Population
from ..parameters import Normal
from . import microcircuit_published as published
from .base import Model, number, render, settled, statistics

if TYPE_CHECKING:
    from ..result import Result

__all__ = [
    "BACKGROUND_RATE", "CELL", "DELAY", "EXTERNAL_INPUTS", "MODEL", "POPULATIONS", "PROBABILITY", "SIZES", "V_INIT",
    "Circuit", "build", "circuit", "psp_weight", "report", "synapses",
]

POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])

PROBABILITY = np.array([
    # from L23E   L23I    L4E     L4I     L5E     L5I     L6E     L6I         to
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],  # L23E
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],  # L23I
    [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],  # L4E
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],  # L4I
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],  # L5E
    [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],  # L5I
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],  # L6E
    [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],  # L6I
])
"""That a pair of neurons is connected by at least one synapse."""

EXTERNAL_INPUTS = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])
BACKGROUND_RATE = 8.0  # Hz, of each external input

THALAMIC_SIZE = 902
THALAMIC_RATE = 120.0  # Hz
THALAMIC_DURATION = 10.0  # ms
THALAMIC_PROBABILITY = np.array([0.0, 0.0, 0.0983, 0.0619, 0.0, 0.0, 0.0512, 0.0196])

TAU_M, TAU_SYN = 10.0, 0.5  # ms
CM = 0.25  # nF
CELL = IF_curr_exp(v_rest=-65.0, v_reset=-65.0, v_thresh=-50.0, tau_m=TAU_M, tau_refrac=2.0, cm=CM,
                   tau_syn_E=TAU_SYN, tau_syn_I=TAU_SYN)
PSP = 0.15  # mV, height of an excitatory postsynaptic potential
INHIBITION = -4.0  # inhibitory weights relative to excitatory ones
DOUBLED = (0, 2)  # the projection L4E -> L23E has twice the weight
WEIGHT_SD = 0.1  # relative
DELAY = (1.5, 0.75)  # ms, from excitatory and from inhibitory neurons
DELAY_SD = 0.5  # relative

V_INIT = {
    "optimized": (np.array([-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43]),
                  np.array([5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48])),
    "original": (np.full(8, -58.0), np.full(8, 10.0)),
}
"""Mean and standard deviation of v at the start, mV; the optimized ones begin near the stationary state."""

_EXCITATORY = np.tile([True, False], 4)


def psp_weight(psp: float = PSP) -> float:
    """The weight, nA, of a synapse whose postsynaptic potential is ``psp`` mV high.

    The potential after 1 nA is tau_m tau_s / (cm (tau_m - tau_s)) (exp(-t/tau_m) - exp(-t/tau_s)), and
    highest at t = tau_m tau_s / (tau_m - tau_s) ln(tau_m / tau_s).

    Examples
    --------
    >>> round(1000.0 * psp_weight(), 2)
    87.81
    """
    shared = TAU_M * TAU_SYN / (TAU_M - TAU_SYN)
    top = shared * math.log(TAU_M / TAU_SYN)
    return psp * CM / (shared * (math.exp(-top / TAU_M) - math.exp(-top / TAU_SYN)))


def synapses(probability: np.ndarray, n_pre: np.ndarray, n_post: np.ndarray) -> np.ndarray:
    """How many synapses, placed at random with replacement, connect a pair with this probability (table 4).

    Of n_pre * n_post pairs one is missed by K synapses with probability (1 - 1/(n_pre n_post))^K.

    Returns
    -------
    ndarray, float64, shape (targets, sources)
    """
    pairs = np.multiply.outer(np.asarray(n_post, dtype=float), np.asarray(n_pre, dtype=float))
    return np.log1p(-probability) / np.log1p(-1.0 / pairs)


@dataclasses.dataclass(frozen=True, eq=False)
class Circuit:
    """The circuit at one scale, as arrays; rows are targets, columns sources.

    Attributes
    ----------
    scale : float
    sizes : ndarray, int64, shape (8,)
    synapses : ndarray, int64, shape (8, 8)
    weight : ndarray, float64, shape (8, 8)
        Mean, nA.
    external_rate : ndarray, float64, shape (8,)
        Hz, of the Poisson train into each neuron; 0 where a constant current stands for it.
    external_weight : float
        nA.
    i_offset : ndarray, float64, shape (8,)
        nA.
    """

    scale: float
    sizes: np.ndarray
    synapses: np.ndarray
    weight: np.ndarray
    external_rate: np.ndarray
    external_weight: float
    i_offset: np.ndarray

    @property
    def in_degrees(self) -> np.ndarray:
        """Mean number of synapses of each kind onto one neuron; float64, shape (8, 8)."""
        return self.synapses / self.sizes[:, np.newaxis]

    def mean_input(self, rates: np.ndarray) -> np.ndarray:
        """Mean of all currents into a neuron, nA, shape (8,), if the populations fire at ``rates``, Hz."""
        arriving = (self.in_degrees * self.weight) @ rates + self.external_rate * self.external_weight
        return arriving * TAU_SYN / 1000.0 + self.i_offset


def circuit(scale: float = 1.0, drive: str = "poisson") -> Circuit:
    """The circuit with its numbers of neurons and of inputs of each both multiplied by ``scale``.

    Weights grow by 1/sqrt(scale), which keeps the variance of the input; a constant current replaces the mean
    input that this takes away, as it would be at the rates of the full circuit (`published.FULL_RATES`).
    Numbers of synapses follow the rounded numbers of neurons, so that in-degrees are exact; external in-degrees are not
    rounded at all, as only their product with the rate matters.

    Parameters
    ----------
    scale : float
        > 0, <= 1; 1 is the published circuit.
    drive : {"poisson", "dc"}
        External input as spikes, or as their mean current.

    Examples
    --------
    >>> full = circuit()
    >>> int(full.sizes.sum()), int(full.synapses.sum())
    (77169, 298880970)
    """
    if drive not in ("poisson", "dc"):
        raise ParameterError(f"model microcircuit: drive must be 'poisson' or 'dc', got {drive!r}")
    sizes = np.round(SIZES * scale).astype(np.int64)
    if not scale <= 1.0 or sizes.min() < 1:
        raise ParameterError(f"model microcircuit: scale must be <= 1 and leave a neuron in each population"
                             f" (>= {0.5 / SIZES.min():.2g}), got {scale:g}")
    unit = psp_weight()
    weight = np.tile(np.where(_EXCITATORY, unit, INHIBITION * unit), (8, 1))
    weight[DOUBLED] *= 2.0
    in_degrees = synapses(PROBABILITY, SIZES, SIZES) / SIZES[:, np.newaxis]

    to_current = TAU_SYN / 1000.0
    recurrent = (weight * in_degrees) @ published.FULL_RATES * to_current
    external = EXTERNAL_INPUTS * BACKGROUND_RATE * unit * to_current
    lost = 1.0 - math.sqrt(scale)
    poisson = drive == "poisson"
    return Circuit(
        scale=scale,
        sizes=sizes,
        synapses=np.round(in_degrees * scale * sizes[:, np.newaxis]).astype(np.int64),
        weight=weight / math.sqrt(scale),
        external_rate=EXTERNAL_INPUTS * scale * BACKGROUND_RATE * poisson,
        external_weight=unit / math.sqrt(scale),
        i_offset=lost * recurrent + (lost * external if poisson else external),
    )


def build(scale: float, seed: int, dt: float, drive: str = "poisson", start: str = "optimized",
          thalamus: float | None = None) -> Network:
    """The microcircuit.

    Eight populations of one kind of neuron; between two of them a fixed number of synapses, each drawn from all pairs,
    with normal weights (10 %, none of the wrong sign) and delays (50 %, none below one step).

    Parameters
    ----------
    scale : float
        Multiplies the neurons and their inputs; 1 is the published circuit.  See `circuit` for what is kept.
        Below it correlations grow and rates fall.
    drive : {"poisson", "dc"}
        External input as independent Poisson trains, or as a constant current of the same mean; with that a circuit
        scaled to 0.1 falls silent (in NEST too), one scaled to 0.2 does not.
    start : {"optimized", "original"}
        Membrane potentials at the start: of each population its own, or N(-58, 10) mV for all, which begins with
        a volley.
    thalamus : float, optional
        Time, ms, at which 902 thalamic neurons fire at 120 Hz for 10 ms.  Their number is not scaled, that of their
        synapses is.
    """
    if start not in V_INIT:
        raise ParameterError(f"model microcircuit: start must be one of {', '.join(V_INIT)}, got {start!r}")
    if dt > DELAY[1]:
        raise ParameterError(f"model microcircuit: dt must be <= {DELAY[1]} ms, the mean inhibitory delay, got {dt}")
    made = circuit(scale, drive)
    net = Network(seed, "microcircuit" if drive == "poisson" else f"microcircuit {drive}")
    cells = []
    for k, label in enumerate(POPULATIONS):
        cell = CELL.replaced(i_offset=float(made.i_offset[k]))
        v_mean, v_sd = (float(values[k]) for values in V_INIT[start])
        cells.append(net.population(int(made.sizes[k]), cell, label, initial_values={"v": Normal(v_mean, v_sd)}))
        if made.external_rate[k] > 0.0:
            net.poisson_input(cells[k], float(made.external_rate[k]), made.external_weight)
    for k, post in enumerate(cells):
        for j, pre in enumerate(cells):
            _project(net, pre, post, int(made.synapses[k, j]), float(made.weight[k, j]), dt)
    if thalamus is not None:
        _add_thalamus(net, cells, made, thalamus, dt)
    net.record(cells, "spikes")
    return net


def _project(net: Network, pre: Population, post: Population, n: int, weight: float, dt: float) -> None:
    if n == 0:
        return
    low, high, delay, receptor = (0.0, math.inf, DELAY[0], "excitatory") if weight > 0 else (
        -math.inf, 0.0, DELAY[1], "inhibitory")
    net.project(pre, post, FixedTotalNumberConnector(n, with_replacement=True),
                Normal(weight, WEIGHT_SD * abs(weight), low, high), Normal(delay, DELAY_SD * delay, low=dt), receptor)


def _add_thalamus(net: Network, cells: list[Population], made: Circuit, start: float, dt: float) -> None:
    source = SpikeSourcePoisson(rate=THALAMIC_RATE, start=start, duration=THALAMIC_DURATION)
    thalamus = net.population(THALAMIC_SIZE, source, "TH")
    in_degrees = synapses(THALAMIC_PROBABILITY[:, np.newaxis], np.array([THALAMIC_SIZE]), SIZES)[:, 0] / SIZES
    for k, post in enumerate(cells):
        _project(net, thalamus, post, round(in_degrees[k] * made.scale * post.size), made.external_weight, dt)


def report(result: Result) -> str:
    """Rate, irregularity and synchrony of each population, beside the published ones.

    Computed without the first 500 ms (Senk et al. 2026 do the same) or the first half of a run shorter than 1 s; the
    irregularity of neurons with at least 10 spikes, the synchrony of 1000 neurons, from those that were recorded.
    """
    begin, end = settled(result)
    known = [label for label in POPULATIONS if label in result.populations]
    scale = sum(result.populations[label].size for label in known) / SIZES.sum()
    drive = "dc" if result.label.endswith(" dc") else "poisson"
    theirs = published.activity(scale, drive)
    rows = []
    for label in known:
        k = POPULATIONS.index(label)
        spikes = result.spikes(label).between(begin, end)
        rate, cv, synchrony = statistics(spikes)
        rows.append((label, f"{spikes.size:,}", number(rate, 2), number(theirs.nest_rate[k], 2),
                     number(theirs.long_rate[k], 2), number(cv, 3), number(theirs.cv[k], 3),
                     number(synchrony, 2), number(theirs.synchrony[k], 1)))
    head = ("population", "neurons", "rate Hz", "[1]", "[2]", "CV of ISI", "[2]", "synchrony", "[2]")
    notes = [f"From {begin:g} to {end:g} ms; scale {scale:.3g}, {drive} drive.  Published:"]
    if drive == "poisson":
        notes.append(f"[1] NEST, scale {theirs.nest_scale:g}, 1 s: INM-6/microcircuit-PD14-model, nest/nest-simulator.")
    notes.append("[2] NetPyNE, scale 1, 60 s, 1000 neurons of each: Romaro et al. 2021, Neural Comput 33:1993.")
    return render(head, rows, notes)


MODEL = Model("microcircuit", "cortical microcircuit (Potjans & Diesmann 2014): 77,169 neurons, 0.3 billion synapses",
              build, report)
