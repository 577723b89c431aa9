"""How much a pair of spikes changes a weight: what the engine does, measured pair by pair.

``python -m neurosim.benchmarks.stdp_windows`` draws docs/plasticity.png (with matplotlib).
"""

import argparse
from typing import Any

import numpy as np

from .. import (
    AdditiveWeightDependence,
    IF_curr_delta,
    Network,
    OneToOneConnector,
    Simulation,
    SpikePairRule,
    SpikeSourceArray,
    STDPMechanism,
)
from ..extras import need

DT = 1.0  # ms
DELAY = 8  # steps
FIRST = 100  # step of each source's spike
LAGS = np.arange(-30, 31)  # steps from the source's spike to the target's
RULE = SpikePairRule(tau_plus=10.0, tau_minus=10.0, A_plus=0.01, A_minus=0.008)
AT_ZERO = {"nest": ("#0072B2", "nothing"), "spinnaker": ("#D55E00", "depression"),
           "brian2": ("#B07D00", "potentiation")}
RING = {"marker": "o", "color": "white", "markeredgewidth": 1.8, "markersize": 8.0}


def changes(order: str = "nest", fraction: float = 1.0, lags: np.ndarray = LAGS) -> np.ndarray:
    """What one spike of the source and one of the target, ``lags`` steps later, add to a weight of 0.5 (w_max 1)."""
    synapse = STDPMechanism(RULE, AdditiveWeightDependence(0.0, 1.0), dendritic_delay_fraction=fraction, order=order)
    net = Network(seed=1)
    pre = net.population(lags.size, SpikeSourceArray(spike_times=[[FIRST * DT]] * lags.size), "pre")
    kick = net.population(lags.size, SpikeSourceArray(spike_times=[[(FIRST + k - 1) * DT] for k in lags]), "kick")
    post = net.population(lags.size, IF_curr_delta(), "post")
    net.project(kick, post, OneToOneConnector(), weight=100.0, delay=DT)  # mV: fires in the step of its arrival
    pairs = net.project(pre, post, OneToOneConnector(), weight=0.5, delay=DELAY * DT, label="pairs", synapse=synapse)
    sim = Simulation(net, dt=DT)
    sim.run((FIRST + LAGS[-1] + 3 * DELAY) * DT)
    return sim.weights(pairs).values - 0.5


def draw(path: str) -> None:
    """The windows of the presets, where both delays are taken off; and those of several splits of the delay."""
    figure = need("matplotlib.figure", "plot").Figure(figsize=(9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    near = np.arange(-6, 7)
    for order, (colour, what) in AT_ZERO.items():
        size = changes(order, 1.0, near - DELAY)  # the target's spike is seen DELAY later
        _window(left, near, size, 0, "", "#333333")
        left.plot(0, size[near == 0], markeredgecolor=colour, **RING)
        beside = {"xytext": (9, -4), "ha": "left"} if size[near == 0] < 0.0 else {"xytext": (-9, 4), "ha": "right"}
        left.annotate(f"{order}: {what}", (0.0, size[near == 0][0]), textcoords="offset points", color=colour, **beside)
    left.set_title("when both are seen in one step (all other pairs agree)", fontsize=10)
    left.set_xlabel("target's spike − source's spike, at the synapse (steps)")
    left.set_ylabel("change of the weight, in units of w_max")
    for fraction, colour, where in ((0.0, "#333333", "0: axon"), (0.5, "#1F8A9E", "0.5: half and half"),
                                    (1.0, "#56B4E9", "1: dendrite")):
        zero = round(DELAY * (1.0 - 2.0 * fraction))
        size = changes("nest", fraction)
        _window(right, LAGS, size, zero, where, colour)
        right.plot(zero, size[zero == LAGS], markeredgecolor=colour, **RING)
    right.set_title(f"where a delay of {DELAY} steps lies (order='nest')", fontsize=10)
    right.set_xlabel("target's spike − source's spike, when they fired (steps)")
    for axes in (left, right):
        axes.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
    right.legend(title="dendritic_delay_fraction", frameon=False, loc="upper left", fontsize=9, title_fontsize=9,
                 alignment="left")
    figure.savefig(path, dpi=110)
    print(f"wrote {path}")


def _window(axes: Any, lags: np.ndarray, size: np.ndarray, zero: int, label: str, colour: str) -> None:
    """Points, joined by lines on each side of the lag ``zero``, which is left out: both spikes are seen in one step."""
    for side, name in ((lags < zero, label), (lags > zero, "")):
        axes.plot(lags[side], size[side], "o-", color=colour, linewidth=0.8, markersize=3.0, label=name or None)


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="docs/plasticity.png")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
