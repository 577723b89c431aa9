"""Two inputs, one after the other: which came first?  Delays learnt by EventProp from the worst ones, from none and from random ones.

    python -m neurosim.benchmarks.sequence_detection [--quick]

The task of Meszaros, Knight & Nowotny (Nat. Commun. 16, 2025): of two inputs each sends one spike, 10 steps apart; two leaky
integrators (tau_m 10, tau_syn 5 steps, all weights 1) should differ in their highest potential, softmax and cross-entropy.  Delays alone
are learnt (Adam, learning rate 1 step; at most 15 steps).  A pass shows four sequences, two at a time.  With the worst delays the
spikes of a sequence meet at the wrong output.  Figures go to results/sequence_detection.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

import neurosim
from neurosim import Simulation
from neurosim.learn import Sequential, evaluate, fit, last_of_time, to_network
from neurosim.learn.eventprop import EventLI
from neurosim.learn.events import spikes_at

RESULTS = Path(__file__).parent / "results"
STEPS, GAP, MOST = 25, 10.0, 15.0
LEAST, PASSES = 6, 50
STARTS = {"worst": ((0.0, GAP), (GAP, 0.0)), "none": 0.0, "random": (0.0, MOST)}


def sequences() -> tuple[torch.Tensor, torch.Tensor]:
    """Spike times (4, 1, 2) of four sequences, and which input comes first."""
    first = torch.tensor([0, 1, 0, 1])
    return torch.where(first[:, None] == torch.arange(2), 0.0, GAP).to(torch.float64)[:, None, :], first


def readout(start: Any, grid: bool = False, seed: int = 1) -> Sequential:
    """The two integrators with these delays, of which they learn."""
    return Sequential(EventLI(2, 2, steps=STEPS, tau_m=10.0, tau_syn=5.0, readout="max", weight=1.0, delays=start, max_delay=MOST,
                              grid=grid, generator=torch.Generator().manual_seed(seed)))


def passes(net: Sequential, rate: float = 1.0, least: int = LEAST, most: int = PASSES, seed: int = 1) -> tuple[int | None, bool]:
    """Learn until all sequences are told right, ``least`` passes or more.

    Returns
    -------
    int or None
        Passes after which they first were, None if that takes more than ``most``.
    bool
        Whether they are at the end.
    """
    data = sequences()
    optimiser = torch.optim.Adam([net[0].delay], lr=rate)
    solved = 0 if right(net, data) else None
    for done in range(1, most + 1):
        if solved is not None and done > least:
            break
        fit(net, data, epochs=1, batch_size=2, optimiser=optimiser, readout=last_of_time, encode=turned, seed=seed + done, progress=False)
        if solved is None and right(net, data):
            solved = done
    return solved, right(net, data)


def right(net: Sequential, data: tuple[torch.Tensor, torch.Tensor]) -> bool:
    """Whether all sequences are told right."""
    return evaluate(net, data, readout=last_of_time, encode=turned)["accuracy"] == 1.0


def turned(inputs: torch.Tensor, _: torch.Generator) -> torch.Tensor:
    """(B, K, n) -> (K, B, n)."""
    return inputs.transpose(0, 1)


def in_the_engine(delay: torch.Tensor) -> float:
    """Share told right by a network with these delays in whole steps, from the potentials that the engine records."""
    net = readout(delay.round(), grid=True)
    net[0].readout = "trace"
    deployed = to_network(net, dt=1.0, input_shape=(2,))
    inputs, targets = sequences()
    right = []
    for times, target in zip(inputs, targets, strict=True):
        deployed.set_input(spikes_at(times[:, None], STEPS)[:, 0].numpy())
        result = Simulation(deployed.network, dt=deployed.dt).run(deployed.duration(STEPS))
        right.append(deployed.output(result, STEPS).max(axis=0).argmax() == int(target))
    return float(np.mean(right))


def measured(seeds: int) -> list[dict[str, Any]]:
    """A row for each start, grid or continuous time, and learning."""
    rows = []
    for grid in (False, True):
        for start, delays in STARTS.items():
            nets = [readout(delays, grid, seed) for seed in range(1, seeds + 1)]
            taken = [passes(net, seed=100 * seed) for seed, net in enumerate(nets, 1)]
            rows.append({"time": "grid" if grid else "continuous", "start": start, "seeds": seeds, "passes": [one for one, _ in taken],
                         "right at the end": [end for _, end in taken],
                         "engine": [in_the_engine(net[0].delay.detach()) for net in nets],
                         "delays of the first": nets[0][0].used_delays().tolist()})
    return rows


def table(rows: list[dict[str, Any]], versions: dict[str, str]) -> str:
    """Markdown."""
    lines = ["| time | delays at the start | passes until all is right: median, most | not solved | right after 6 passes |"
             " right in the engine then, delays rounded |", "|---|---|---|---|---|---|"]
    for row in rows:
        solved = [one for one in row["passes"] if one is not None]
        median, most = (f"{np.median(solved):g}", f"{max(solved)}") if solved else ("-", "-")
        lines.append(f"| {row['time']} | {row['start']} | {median}, {most} | {len(row['passes']) - len(solved)} of {row['seeds']}"
                     f" | {sum(row['right at the end'])} of {row['seeds']} | {np.mean(row['engine']):.1%} |")
    return "\n".join([*lines, "", ", ".join(f"{name} {version}" for name, version in versions.items()), ""])


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="two seeds, and nothing written")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    versions = {"neurosim": neurosim.__version__, "torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}
    rows = measured(2 if given.quick else 20)
    text = table(rows, versions)
    print(text)
    if not given.quick:
        kept = json.dumps({"versions": versions, "rows": rows}, indent=1)
        (RESULTS / "sequence_detection.json").write_text(kept + "\n", encoding="utf-8")
        (RESULTS / "sequence_detection.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
