"""Store and recall over delays of 0.2 to 2 s: units whose astrocyte remembers, LIF, adaptive LIF and a GRU of equal size.

``python -m neurosim.benchmarks.astrocyte_memory [--quick]`` trains every network with two learning rates on one seed, chooses the
rate by validation, trains three seeds, and tests them at each delay on samples of their own.  It writes
results/astrocyte_memory.json and .md and docs/learn_astrocytes_memory.png.  A step is 10 ms.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..data import store_recall
from ..extras import need
from ..learn import Sequential, fit
from .memory_models import COLOURS, NAMES, built, parameters, sized, synaptic_operations, written

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "astrocyte_memory.json"
PICTURE = HERE.parent / "docs" / "learn_astrocytes_memory.png"
STEP = 10.0  # ms
SLOT, VALUES, CHANNELS = 10, 2, 5  # steps, values, channels of each signal
BINS = (10, 40, 80, 120, 160, 200)  # delays, steps, between which accuracy is averaged; (lowest, highest] but for the first
TASK = {"values": VALUES, "slot": SLOT, "group": CHANNELS, "rate": 0.3, "noise": 0.02}
INPUTS = (VALUES + 2) * CHANNELS
STAGES = ((20, 0.4), (50, 0.2), (100, 0.2), (200, 0.2))  # longest delay, steps, and share of the training
NEURONS = 96  # of the LIF network
RATES = (3e-3, 1e-2)
BATCH = 64


def net(name: str, n: int, seed: int) -> Sequential:
    """A network for this task."""
    return built(name, INPUTS, VALUES, n, seed, drive=0.5, tau_m=2.0, slow=(10.0, 400.0))


def answered(y: Tensor) -> Tensor:
    """Mean over the recall."""
    return y[-SLOT:].mean(0)


def as_float(inputs: Tensor, _: Any) -> Tensor:
    """uint8 samples as a sequence."""
    return inputs.transpose(0, 1).float()


def train(name: str, n: int, rate: float, seed: int, samples: int) -> tuple[Sequential, dict[str, float]]:
    """A network trained for one pass over ``samples`` samples, whose delays grow stage by stage; what it does on validation."""
    model = net(name, n, seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    batches = [round(samples * share / BATCH) for _, share in STAGES]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, sum(batches))
    began = time.process_time()
    for stage, (longest, _) in enumerate(STAGES):
        data = store_recall((batches[stage] * BATCH, 512, 1), delay=(BINS[0], longest), seed=10 * seed + stage, **TASK)
        history = fit(model, data.train, data.validation, epochs=1, batch_size=BATCH, optimiser=optimiser, readout=answered,
                      encode=as_float, clip=1.0, after_batch=lambda _: schedule.step(), keep="last", seed=seed, progress=False)
    row = history.rows[-1]
    return model, {"validation": row["validation_accuracy"], "train": row["accuracy"], "cpu_s": time.process_time() - began}


def delays_of(inputs: np.ndarray) -> np.ndarray:
    """Steps from the end of the store to the recall, of each sample: in which slot the store's channels spike most."""
    store = inputs[:, :, VALUES * CHANNELS:(VALUES + 1) * CHANNELS]
    slots = store.reshape(len(inputs), -1, SLOT * CHANNELS).sum(-1)
    return (slots.shape[1] - 2 - slots.argmax(1)) * SLOT


def tested(model: Sequential, seed: int, samples: int) -> dict[str, Any]:
    """Accuracy by delay and operations per step, on samples that nothing has seen."""
    inputs, targets = store_recall((1, 1, samples), delay=(BINS[0], BINS[-1]), seed=100000 + seed, **TASK).test
    x = as_float(torch.as_tensor(inputs), None)
    with torch.no_grad():
        right = (answered(model(x)[0]).argmax(-1) == torch.as_tensor(targets)).numpy()
    operations, rate = synaptic_operations(model, x[:, :200])
    waited = np.maximum(delays_of(inputs), BINS[0] + 1)
    accuracy = [float(right[(waited > low) & (waited <= high)].mean()) for low, high in zip(BINS, BINS[1:])]
    return {"accuracy": accuracy, "mean": float(right.mean()), "operations": operations, "rates": rate}


def run(samples: int, search: int, seeds: list[int], names: tuple[str, ...], results: Path | None) -> dict[str, Any]:
    """All trainings; each network's results are put into the file when they are there, beside those of others."""
    size = parameters(net("LIF", NEURONS, 1))
    found: dict[str, Any] = {
        "neurosim": __version__, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        "step_ms": STEP, "bins_steps": list(BINS), "task": TASK, "samples": samples, "search_samples": search, "seeds": seeds,
        "stages": [list(one) for one in STAGES], "rates": list(RATES), "batch": BATCH, "networks": {}}
    for name in names:
        n = sized(name, lambda kind, count: net(kind, count, 1), size)
        tried = {rate: train(name, n, rate, 99, search)[1]["validation"] for rate in RATES}
        best = max(tried, key=lambda rate: tried[rate])
        one: dict[str, Any] = {"n": n, "parameters": parameters(net(name, n, 1)), "rate": best,
                               "tried": {str(rate): value for rate, value in tried.items()}, "runs": []}
        for seed in seeds:
            model, row = train(name, n, best, seed, samples)
            one["runs"].append({"seed": seed, **row, **tested(model, seed, 2000 if samples > 5000 else 200)})
            last = one["runs"][-1]
            print(f"{name} n={n} rate={best} seed={seed}: validation {row['validation']:.3f}, by delay {np.round(last['accuracy'], 3)},"
                  f" {last['operations']:.0f} operations a step, {row['cpu_s']:.0f} s", flush=True)
        found["networks"][name] = one
        if results is not None:
            written(found, results)
    return found


def table(found: dict[str, Any]) -> str:
    """The results as a page."""
    edges = [steps * found["step_ms"] / 1e3 for steps in found["bins_steps"]]
    delays = [f"{low:g} to {high:g} s" for low, high in zip(edges, edges[1:])]
    lines = ["# Store and recall", "", f"neurosim {found['neurosim']}, torch {found['torch']}, Python {found['python']};"
             f" step {found['step_ms']:g} ms,"
             f" {found['task']['values']} values (chance {1 / found['task']['values']:.2f}); seeds {', '.join(map(str, found['seeds']))};"
             f" {found['samples']} samples to train."
             " Test accuracy, mean ± standard deviation over seeds.", "",
             f"| network | parameters | {' | '.join(delays)} | operations a step | spikes a neuron and step |"
             " learning rate | CPU s |",
             f"|---|---|{'---|' * len(delays)}---|---|---|---|"]
    for name, one in found["networks"].items():
        accuracy = np.array([run["accuracy"] for run in one["runs"]])
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(accuracy.mean(0), accuracy.std(0))]
        operations, rate, cpu = (np.mean([run[key] for run in one["runs"]]) for key in ("operations", "rates", "cpu_s"))
        spikes = "-" if name == "GRU" else f"{rate:.3f}"
        lines.append(f"| {name} (n = {one['n']}) | {one['parameters']} | {' | '.join(cells)} | {operations:.0f} | {spikes} |"
                     f" {one['rate']:g} | {cpu:.0f} |")
    return "\n".join(lines) + "\n"


def picture(found: dict[str, Any], path: Path) -> None:
    """Accuracy against delay, and against synaptic operations."""
    figures = need("matplotlib.figure", "plot")
    figure = figures.Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    edges = np.array(found["bins_steps"]) * found["step_ms"] / 1e3
    seconds = (edges[1:] + edges[:-1]) / 2
    for name, one in found["networks"].items():
        accuracy = np.array([run["accuracy"] for run in one["runs"]])
        colour = COLOURS[name]
        left.fill_between(seconds, accuracy.min(0), accuracy.max(0), color=colour, alpha=0.12, linewidth=0)
        left.plot(seconds, accuracy.mean(0), color=colour, marker="o", markersize=3.5, label=name)
        operations, means = ([run[key] for run in one["runs"]] for key in ("operations", "mean"))
        right.plot(operations, means, linestyle="", color=colour, marker="s" if name == "GRU" else "o")
    chance = 1.0 / found["task"]["values"]
    left.axhline(chance, color="#bbbbbb", linewidth=0.8, linestyle="--")
    left.annotate("chance", (seconds[-1], chance), xytext=(0, 3), textcoords="offset points", ha="right", fontsize=8, color="#888888")
    left.set(xlabel="delay, s", ylabel="test accuracy", ylim=(0.45, 1.02), title="mean and range over seeds")
    right.set(xlabel="synaptic operations a step (GRU: MACs, else ACs)", xscale="log", title="each seed, mean over delays")
    right.set_xticks([500, 1000, 2000, 5000, 10000], ["500", "1000", "2000", "5000", "10 000"])
    right.minorticks_off()
    left.legend(frameon=False, fontsize=8, loc="lower left")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(9)
    figure.savefig(path, dpi=130)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the training, one seed; nothing is written")
    parser.add_argument("--table-only", action="store_true", help="page and picture from the results that are there")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--samples", type=int, default=40960, help="samples to train with")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="networks to run; others keep their results")
    a = parser.parse_args(argv)
    torch.set_num_threads(1)
    if a.quick:
        print(table(run(max(a.samples // 10, 640), 640, [1], tuple(a.only), None)))
        return
    if not a.table_only:
        run(a.samples, a.samples, [1, 2, 3], tuple(a.only), a.results)
    found = json.loads(a.results.read_text(encoding="utf-8"))
    a.results.with_suffix(".md").write_text(table(found), encoding="utf-8")
    picture(found, PICTURE)


if __name__ == "__main__":
    main()
