"""From continuous time to steps: what a network trained by EventProp loses on a grid, and what training on the grid gives back.

    python -m neurosim.benchmarks.eventprop_grid [--quick]

Small networks for the Yin-Yang set are trained in continuous time.  Then times of inputs and delays are rounded to a grid of 1, 1/2,
1/4 and 1/8 of the unit, spikes are found at its steps (accuracy, and how late hidden spikes are), and the network is trained further
there.  The engine runs test samples with the network that results.  Figures go to results/eventprop_grid.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

import numpy as np
import torch

import neurosim
from neurosim import Simulation
from neurosim.data.yin_yang import yin_yang
from neurosim.learn import Sequential, evaluate, fit, to_network
from neurosim.learn.eventprop import EventLIF
from neurosim.learn.events import first_spike_scores, spikes_at

from .yin_yang import RESULTS, STEPS, TAU_M, TAU_SYN, encoded, network

FINE = (1, 2, 4, 8)
HIDDEN, CHECKED = 10, 20


def trained(net: Sequential, split: Any, fine: int, epochs: int, rate: float, seed: int) -> Sequential:
    """Train, on a grid if the network is on one."""
    groups = [{"params": [layer.weight for layer in net], "lr": rate}, {"params": [layer.delay for layer in net], "lr": 50 * rate * fine}]
    optimiser = torch.optim.Adam(groups)
    fit(net, split.train, split.validation, epochs=epochs, batch_size=50, optimiser=optimiser, encode=coding(net, fine),
        readout=first_spike_scores(STEPS * fine, fine), clip=10.0, seed=seed, progress=False)
    return net


def coding(net: Sequential, fine: int) -> Any:
    """The encoder: spike times, on a grid rounded to it."""
    return (lambda x, g: (encoded(x) * fine).round()) if net[0].grid else (lambda x, g: encoded(x))


def on_a_grid(net: Sequential, fine: int) -> Sequential:
    """The same network with ``fine`` steps for each unit of time."""
    return Sequential(*(EventLIF(layer.n_in, layer.n, steps=int(STEPS) * fine, tau_m=TAU_M * fine, tau_syn=TAU_SYN * fine,
                                 weight=layer.weight, delays=layer.delay.detach() * fine, max_delay=STEPS * fine, max_spikes=1, grid=True,
                                 wake=1.0, least_slope=0.05) for layer in net))


def accuracy(net: Sequential, split: Any, fine: int) -> float:
    """On the test set."""
    return evaluate(net, split.test, readout=first_spike_scores(STEPS * fine, fine), encode=coding(net, fine))["accuracy"]


def lateness(net: Sequential, exact: Sequential, split: Any, fine: int) -> float:
    """How much later hidden cells spike, in units, where both do: mean over the test set."""
    points = torch.as_tensor(split.test[0])
    with torch.no_grad():
        here, there = net[0](coding(net, fine)(points, None))[0][0] / fine, exact[0](encoded(points))[0][0]
    both = torch.isfinite(here) & torch.isfinite(there)
    return (here - there)[both].mean().item()


def differing(net: Sequential, split: Any, fine: int) -> int:
    """Spikes, of cells and steps, that the engine sends and the model does not, or the other way, over some test samples."""
    deployed, steps, wrong = to_network(net, dt=1.0 / fine, input_shape=(5,)), int(STEPS) * fine, 0
    x = coding(net, fine)(torch.as_tensor(split.test[0][:CHECKED]), None)
    sent = net.activity(x)
    for b in range(x.shape[1]):
        deployed.set_input(spikes_at(x, steps)[:, b].numpy())
        result = Simulation(deployed.network, dt=deployed.dt).run(deployed.duration(steps))
        wrong += sum(int((deployed.spikes(result, name, steps) != spikes_at(one, steps)[:, b].numpy()).sum()) for name, one in sent.items())
    return wrong


def measured(seed: int, sizes: tuple[int, int, int], epochs: int, more: int) -> list[dict[str, Any]]:
    """A row for each grid."""
    split, rows = yin_yang(sizes, seed), []
    exact = trained(network(HIDDEN, "learnt", seed), split, 1, epochs, 2e-2, seed)
    for fine in FINE:
        net = on_a_grid(exact, fine)
        row = {"seed": seed, "fine": fine, "continuous": accuracy(exact, split, 1), "rounded": accuracy(net, split, fine),
               "late": lateness(net, exact, split, fine)}
        trained(net, split, fine, more, 5e-3, seed)
        rows.append(row | {"trained on": accuracy(net, split, fine), "differing": differing(net, split, fine)})
        print(rows[-1], flush=True)
    return rows


def table(rows: list[dict[str, Any]], versions: dict[str, str]) -> str:
    """Markdown: means over the seeds."""
    lines = ["| step | hidden spikes are late by, units | continuous time | on the grid | trained on there | spikes that differ in the"
             " engine |", "|---|---|---|---|---|---|"]
    for fine in FINE:
        mean = {name: np.mean([row[name] for row in rows if row["fine"] == fine]) for name in rows[0]}
        wrong = sum(row["differing"] for row in rows if row["fine"] == fine)
        shares = " | ".join(f"{mean[name]:.1%}" for name in ("continuous", "rounded", "trained on"))
        lines.append(f"| 1/{fine} | {mean['late']:.2f} | {shares} | {wrong} |")
    return "\n".join([*lines, "", ", ".join(f"{name} {version}" for name, version in versions.items()), ""])


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="one seed, a short training, and nothing written")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    versions = {"neurosim": neurosim.__version__, "torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}
    settings = ((150, 60, 150), 3, 1) if given.quick else ((1500, 500, 1000), 10, 4)
    rows = [row for seed in range(1, 2 if given.quick else 4) for row in measured(seed, *settings)]
    text = table(rows, versions)
    print(text)
    if not given.quick:
        kept = {"versions": versions, "settings": settings, "rows": rows}
        (RESULTS / "eventprop_grid.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "eventprop_grid.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
