"""Astrocytes, learnt delays and orthogonal projection on SpiNNaker: what each loses against its exact version.

    python -m neurosim.benchmarks.spinnaker_units [--pictures docs]

Three small networks, deployed and compared (`neurosim.hardware.spinnaker.compare`) with what they stand for:

* groups of neurons that share an astrocyte (`IF_curr_delta_astro`), made of cells that the machine has: rates before, during and after a
  stimulus to the first group, and seconds of memory;
* detectors whose delays fit one pattern of spikes each, to a tenth of a millisecond: share of patterns that the right one tells;
* a lateral population that takes a learned subspace out of its input: how much of it is left.

Results go to results/spinnaker_units.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


from neurosim.cells import IF_curr_delta_astro, IF_curr_exp, SpikeSourceArray, SpikeSourcePoisson
from neurosim.connectors import AllToAllConnector, FixedProbabilityConnector, FromListConnector
from neurosim.engine import Simulation
from neurosim.hardware.spinnaker.astrocytes import with_machine_astrocytes
from neurosim.hardware.spinnaker.compare import Comparison, compare
from neurosim.hardware.spinnaker.load import load
from neurosim.hardware.spinnaker.projection import LateralProjection, lateral_projection
from neurosim.network import Network
from neurosim.result import Result
from neurosim.subspace import LateralSubspace

RESULTS = Path(__file__).parent / "results" / "spinnaker_units.json"
WAYS = ("exact", "scheme", "fixed")

# ------------------------------------------------------------------------------------------ astrocytes

STIMULUS = (1000.0, 1500.0)  # ms
WINDOWS = {"before": (0.0, 1000.0), "during": STIMULUS, "1 s after": (1500.0, 2500.0), "2.5 s after": (2500.0, 4000.0)}
EFFECTS = {"threshold": {"kappa": 0.3, "g_astro": 0.0}, "gain": {"kappa": 0.0, "g_astro": 0.3}, "none": {"kappa": 0.0, "g_astro": 0.0}}


def groups(effect: str, size: int = 20, seed: int = 3) -> Network:
    """Two groups of cells with an astrocyte each and weak input; the first gets a stimulus of half a second."""
    net = Network(seed=seed, label=f"astrocytes: {effect}")
    drive = net.population(2 * size, SpikeSourcePoisson(rate=25.0), "drive")
    stimulus = net.population(size, SpikeSourcePoisson(rate=60.0, start=STIMULUS[0], duration=STIMULUS[1] - STIMULUS[0]), "stimulus")
    cell = IF_curr_delta_astro(tau_refrac=2.0, tau_c=1500.0, delta_c=0.03, group_size=size, **EFFECTS[effect])
    cells = net.population(2 * size, cell, "cells")
    net.project(drive, cells, FixedProbabilityConnector(0.5), weight=1.15 * 20.0 / size, delay=2.0)
    net.project(stimulus, cells[:size], AllToAllConnector(), weight=1.5 * 20.0 / size, delay=2.0)
    net.record(cells, "spikes")
    return net


def group_rates(result: Result, size: int) -> dict[str, tuple[float, float]]:
    """Rates of the two groups in the windows, Hz."""
    rates = {}
    for name, (start, stop) in WINDOWS.items():
        counts = result.spikes("cells").between(start, stop).counts()
        rates[name] = tuple(float(counts[part].mean() * 1000.0 / (stop - start)) for part in (slice(0, size), slice(size, None)))
    return rates


def astrocytes(effect: str, size: int = 20, duration: float = 4000.0) -> tuple[Comparison, dict[str, Any]]:
    """The unit as it is meant against the one that is made of the machine's cells; ``effect`` is threshold or gain."""
    net = groups(effect, size)
    comparison = compare(with_machine_astrocytes(net), duration, dt=1.0, exact_dt=1.0, against=net)
    rates = {way: group_rates(getattr(comparison, way), size) for way in WAYS}
    rates["no astrocyte"] = group_rates(Simulation(groups("none", size), dt=1.0).run(duration), size)
    return comparison, rates


# ------------------------------------------------------------------------------------------ delays

LATENCY, SPAN, GAP = 30.0, 25.0, 80.0  # ms: of a detector after a pattern begins, of a pattern, between patterns


def detectors(patterns: int = 8, channels: int = 24, shown: int = 200, jitter: float = 0.3, tau_m: float = 1.5,
              seed: int = 1) -> tuple[Network, np.ndarray]:
    """Patterns of one spike a channel, and detectors whose delays make the spikes of theirs arrive together.

    Returns
    -------
    Network
    ndarray of int, shape (shown,)
        Which pattern was shown.
    """
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.0, SPAN, (patterns, channels))
    which = rng.integers(0, patterns, shown)
    sent = np.maximum(times[which] + rng.normal(0.0, jitter, (shown, channels)), 0.0) + GAP * np.arange(shown)[:, np.newaxis]
    net = Network(seed=seed, label="learnt delays")
    source = net.population(channels, SpikeSourceArray(spike_times=[np.sort(np.round(row, 1)) for row in sent.T]), "channels")
    cell = IF_curr_exp(v_rest=0.0, v_reset=0.0, v_thresh=10.0, tau_m=tau_m, cm=1.0, tau_refrac=20.0, tau_syn_E=1.0)
    cells = net.population(patterns, cell, "detectors", initial_values={"v": 0.0})
    rows = [(i, j, 0.5 * 10.0 * 3.0 / channels * 2.2, round(LATENCY - times[j, i], 1)) for j in range(patterns) for i in range(channels)]
    net.project(source, cells, FromListConnector(rows), label="delays")
    net.record(cells, "spikes")
    return net, which


def told_right(result: Result, which: np.ndarray) -> float:
    """Share of patterns after which the right detector was the first to fire, and no other within the same window."""
    spikes = result.spikes("detectors")
    shown = np.floor(spikes.times / GAP).astype(int)
    right = 0
    for k, pattern in enumerate(which):
        fired = spikes.ids[shown == k]
        right += fired.size > 0 and fired[0] == pattern
    return right / which.size


def delays(shown: int = 200, room: bool = False, **options: Any) -> tuple[Comparison, dict[str, Any]]:
    """Detectors with delays to a tenth of a millisecond against whole milliseconds.

    sPyNNaker sizes ring buffers for cells that fire independently at 30 Hz; here a whole pattern arrives in one step.  With ``room`` it is
    told the greatest sum.
    """
    net, which = detectors(shown=shown, **options)
    settings = {"max_expected_summed_weight": {"detectors": (_greatest_sum(net), 0.0)}} if room else {}
    comparison = compare(net, GAP * shown, dt=1.0, exact_dt=0.1, **settings)
    moved = np.concatenate([np.abs(one.asked_delay - one.delay) for one in load(net, dt=1.0).synapses])
    return comparison, {"told right": {way: told_right(getattr(comparison, way), which) for way in WAYS},
                        "delays moved, ms": {"mean": float(moved.mean()), "most": float(moved.max())}}


def _greatest_sum(net: Network) -> float:
    """All weights onto one detector, nA."""
    return float(max(np.bincount(one.target, one.asked).max() for one in load(net, dt=1.0).synapses))


# ------------------------------------------------------------------------------------------ projection


def learned_rows(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows that a `LateralSubspace` learns by Hebbian plasticity from inputs in k directions, and these directions."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(n, k)))[0].T
    subspace = LateralSubspace(n, k, rate=0.3, seed=seed + 1)
    for _ in range(100):
        subspace.learn(rng.normal(size=(20, k)) @ directions + 0.05 * rng.normal(size=(20, n)))
    return subspace.rows, directions


def projected(n: int = 24, k: int = 3, mean: float = 60.0, seed: int = 0) -> tuple[Network, LateralProjection]:
    """Poisson senders whose rates lie mostly in the learned subspace, and the population that takes it out."""
    rows, directions = learned_rows(n, k, seed)
    rng = np.random.default_rng(seed + 100)
    rates = np.clip(mean + 60.0 * rng.normal(size=k) @ directions + 15.0 * rng.normal(size=n), 0.0, None)
    net = Network(seed=seed + 1, label="orthogonal projection")
    senders = net.population(n, SpikeSourcePoisson(rate=rates), "senders")
    lateral = lateral_projection(net, senders, rows, mean)
    net.record([*lateral.lateral, *lateral.output], "spikes")
    return net, lateral


def projection(duration: float = 4000.0, seed: int = 0, **options: Any) -> tuple[Comparison, dict[str, Any]]:
    """The lateral population against linear algebra on the rates that the senders had."""
    net, lateral = projected(seed=seed, **options)
    comparison = compare(net, duration, dt=1.0, exact_dt=0.1)
    settled = (0.1 * duration, duration)
    sent = comparison.input.spikes("senders").rates(settled)
    signal, meant = sent - lateral.mean, lateral.exact(sent)
    share = {"input": _share(lateral.rows, signal)}
    error, correlation = {}, {}
    for way in WAYS:
        got = lateral.rates(getattr(comparison, way), settled)
        share[way] = _share(lateral.rows, got)
        error[way] = float(np.linalg.norm(got - meant) / np.linalg.norm(meant))
        correlation[way] = float(np.corrcoef(got, meant)[0, 1])
    return comparison, {"share in the subspace": share, "relative error": error, "correlation": correlation}


def _share(rows: np.ndarray, signal: np.ndarray) -> float:
    """How much of a signal's squared length lies in the rows' subspace."""
    return float(np.sum((rows @ signal) ** 2) / np.sum(signal**2))


# ------------------------------------------------------------------------------------------ command


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pictures", type=Path, help="folder for a picture of the astrocytes")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    found = {}
    for name, (comparison, numbers) in {"astrocytes, threshold": astrocytes("threshold"), "astrocytes, gain": astrocytes("gain"),
                                        "delays": delays(), "delays, with room": delays(room=True), "projection": projection()}.items():
        found[name] = {**numbers, "comparison": comparison.as_dict()}
        print(f"{comparison}\n\n{json.dumps(numbers, indent=1)}\n")
        if given.pictures and name == "astrocytes, gain":
            comparison.plot("cells").savefig(given.pictures / "spinnaker_astrocytes.png")
    given.results.write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
