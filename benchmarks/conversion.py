"""MNIST by networks converted from artificial ones: accuracy and synaptic operations against the number of steps.

``python -m neurosim.benchmarks.conversion`` trains a multilayer perceptron and a small convolutional network, with ReLU and with
QCFS, three seeds each; converts them; counts right answers on the 10,000 test images; runs some images in the engine and
compares every spike with torch's; and writes results/conversion.json, conversion.md and docs/learn_conversion.png.  It goes on
where it was stopped.  ``--quick`` does all of it on few images and writes nowhere unless told ``--out``.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from torch import nn

from .. import Simulation, __version__, data, wiring
from ..cost import run_cost
from ..extras import need
from ..learn import QCFS, convert, evaluate, fit, to_network
from ..learn.conversion import Converted

HERE = Path(__file__).resolve().parent
STEPS = (1, 2, 4, 8, 16, 32, 64, 128)
SHORT = STEPS[:6]  # the convolutional network with seeds other than the first
SEEDS = (1, 2, 3)
NETS = ("MLP", "CNN")
KINDS = ("ReLU", "QCFS")
STAIRS = {"MLP": (8, 4.0), "CNN": (16, 2.0)}  # levels and first threshold of QCFS, chosen on validation images of another seed
EPOCHS = {"MLP": 5, "CNN": 3}
CALIBRATION = 1000  # training images that thresholds are balanced on
ENGINE_STEPS = 32
METHODS = {"99.9 %": {}, "99 %": {"percentile": 99.0}, "max": {"method": "max"}, "mse": {"method": "mse"},
           "99.9 %, from v = 1/2": {"initial": 0.5}, "99.9 %, from v = 0": {"initial": 0.0}, "99.9 %, reset to 0": {"reset": "zero"}}


def network(net: str, kind: str) -> nn.Sequential:
    """784-256-256-10, or two convolutions with average pools and two full layers; batch norm before each activation."""
    def act() -> nn.Module:
        return nn.ReLU() if kind == "ReLU" else QCFS(*STAIRS[net])

    if net == "MLP":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.BatchNorm1d(256), act(), nn.Dropout(0.2),
                             nn.Linear(256, 256), nn.BatchNorm1d(256), act(), nn.Dropout(0.2), nn.Linear(256, 10))
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), act(), nn.AvgPool2d(2),
                         nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), act(), nn.AvgPool2d(2), nn.Flatten(),
                         nn.Linear(784, 64), nn.BatchNorm1d(64), act(), nn.Linear(64, 10))


def images(part: tuple[np.ndarray, np.ndarray], most: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """(images with a channel, labels), as tensors."""
    return torch.from_numpy(part[0][:most])[:, None], torch.from_numpy(part[1][:most])


def trained(net: str, kind: str, seed: int, split: data.Split, most: int | None, epochs: int) -> nn.Sequential:
    """An artificial network; the epoch that is kept is chosen on validation images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ann = network(net, kind)
    optimiser = torch.optim.Adam(ann.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    fit(ann, images(split.train, most), images(split.validation, most), epochs=epochs, batch_size=128, optimiser=optimiser,
        schedule=schedule, encode=plain, readout=nn.Identity(), seed=seed, progress=False)
    return ann


def plain(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Images as they are: an artificial network knows no time."""
    return x


def right(ann: nn.Module, part: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Accuracy of an artificial network, %."""
    return 100.0 * evaluate(ann, part, encode=plain, readout=nn.Identity(), batch_size=500)["accuracy"]


def operations(ann: nn.Sequential, x: torch.Tensor) -> int:
    """Multiply-accumulates of an image."""
    count = 0
    with torch.no_grad():
        for layer in ann:
            x = layer(x)
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                count += x[0].numel() * layer.weight[0].numel()
    return count


def fans(made: Any) -> dict[str, torch.Tensor]:
    """Synapses that leave each cell of the network, by population."""
    found = {name: np.zeros(one.size, np.int64) for name, one in made.populations.items()}
    for projection in made.network.projections:
        for block in wiring.synapses(projection, made.network.seed, made.dt):
            found[projection.pre.label] += np.bincount(block.pre, minlength=projection.pre.size)
    return {name: torch.from_numpy(fan).float() for name, fan in found.items()}


def measured(spiking: Converted, made: Any, part: tuple[torch.Tensor, torch.Tensor], steps: tuple[int, ...]) -> dict[str, list[float]]:
    """Accuracy, %, and synaptic operations and spikes of an image, after each number of steps."""
    fan = fans(made)
    synops, spikes = np.zeros(max(steps)), np.zeros(max(steps))
    at = 0

    def see(sent: dict[str, torch.Tensor]) -> None:
        nonlocal at
        now = len(sent["input"])
        for name, each in fan.items():
            if name in sent and each.any():
                cells = sent[name].flatten(2).sum(1)
                synops[at:at + now] += (cells @ each).numpy()
                spikes[at:at + now] += cells.sum(1).numpy()
        at = (at + now) % max(steps)

    x, target = part
    scores = spiking.scores(x, steps, torch.Generator().manual_seed(1), see=see)
    return {"accuracy": [100.0 * float((one.argmax(-1) == target).float().mean()) for one in scores],
            "synops": [float(synops[:k].sum() / len(x)) for k in steps], "spikes": [float(spikes[:k].sum() / len(x)) for k in steps]}


def in_engine(spiking: Converted, x: torch.Tensor, steps: int) -> dict[str, float]:
    """Every spike of the engine beside torch's, in double precision."""
    exact = spiking.double()
    made = to_network(exact, 1.0, x.shape[1:], analog=True)
    spikes = differing = cells = 0
    synops, apart = [], 0.0
    for one in x.double():
        frames = exact.encode(one[None], steps)
        with torch.no_grad():
            sent = exact.activity(frames)
        made.set_input(frames[:, 0].numpy())
        result = Simulation(made.network, dt=made.dt).run(made.duration(steps), progress=False)
        for name in made.populations:
            ours, theirs = made.sent(result, name, steps), sent[name][:, 0].numpy()
            if name == "readout":
                apart = max(apart, float(np.abs(ours - theirs).max()))
                continue
            spikes, differing, cells = spikes + int(theirs.sum()), differing + int((ours != theirs).sum()), cells + ours[0].size
        synops.append(run_cost(made.network, result, steps=steps, offsets=made.offsets).synops)
    return {"images": len(x), "steps": steps, "cells": cells // len(x), "spikes": spikes, "differing": differing,
            "output_apart": apart, "synops": float(np.mean(synops))}


def row(net: str, kind: str, seed: int, split: data.Split, quick: bool) -> dict[str, Any]:
    """One network: trained, converted, measured; the first seed also in the engine, with other thresholds on validation images."""
    most, epochs, steps = (2000, 1, STEPS[:5]) if quick else (None, EPOCHS[net], STEPS if net == "MLP" or seed == 1 else SHORT)
    ann = trained(net, kind, seed, split, most, epochs)
    found: dict[str, Any] = {"net": net, "kind": kind, "seed": seed}
    calibration = images(split.train, CALIBRATION)[0]
    test, held = images(split.test, 300 if quick else None), images(split.validation, 200 if quick else 1000)
    found["ann"], found["macs"] = right(ann, test), operations(ann, calibration[:1])
    spiking = convert(ann, calibration)
    found["thresholds"] = spiking.thresholds
    made = to_network(spiking, 1.0, (1, 28, 28), analog=True)
    found["cells"] = sum(one.size for one in made.populations.values())
    found["synapses"] = int(sum(float(fan.sum()) for fan in fans(made).values()))
    found |= {"steps": list(steps), **measured(convert(ann, calibration).float(), made, test, steps)}
    if net == "MLP" and kind == "ReLU":
        rates = convert(ann, calibration, input="rate")
        found["rate"] = measured(rates.float(), to_network(rates, 1.0, (1, 28, 28)), test, tuple(k for k in steps if k <= 32))
    if seed == 1:
        found["engine"] = in_engine(spiking, test[0][:2 if quick else 20], 8 if quick else ENGINE_STEPS)
        if kind == "ReLU":
            found["methods"] = {}
            for name, given in METHODS.items():
                other = convert(ann, calibration, ENGINE_STEPS, **given).float()
                scores = other.scores(held[0], [k for k in steps if k <= ENGINE_STEPS])
                found["methods"][name] = [100.0 * float((one.argmax(-1) == held[1]).float().mean()) for one in scores]
            found["ann_validation"] = right(ann, held)
    return found


# ------------------------------------------------------------------------------------------------ what is written


def chosen(rows: list[dict[str, Any]], net: str, kind: str) -> list[dict[str, Any]]:
    """The rows of a network, one a seed."""
    return [one for one in rows if one["net"] == net and one["kind"] == kind]


def over_seeds(rows: list[dict[str, Any]], field: str, k: int) -> np.ndarray:
    """A field after the k-th number of steps, for each seed that went so far."""
    return np.array([one[field][k] for one in rows if len(one["steps"]) > k])


def table(found: dict[str, Any]) -> str:
    """The page of results."""
    rows = sorted(found["rows"], key=lambda one: (NETS.index(one["net"]), KINDS.index(one["kind"]), one["seed"]))
    out = ["# Conversion of artificial networks", "", "`python -m neurosim.benchmarks.conversion`; "
           + ", ".join(f"{name} {version}" for name, version in found["versions"].items()), "", found["source"], "",
           "Accuracy on the test images, %, mean and smallest of the seeds; what is lost against the artificial network of the same seed,"
           " mean and largest, points; synaptic operations of an image, thousands (artificial: multiply-accumulates).", "",
           "| | T | seeds | accuracy | least | lost | most lost | operations, 10³ | spikes |", "|---|---|---|---|---|---|---|---|---|"]
    for net in NETS:
        for kind in KINDS:
            group = chosen(rows, net, kind)
            if not group:
                continue
            ann = np.array([one["ann"] for one in group])
            macs = group[0]["macs"] / 1e3
            out.append(f"| {net}, {kind} | artificial | {len(ann)} | {ann.mean():.2f} | {ann.min():.2f} | | | {macs:.0f} | |")
            for k, steps in enumerate(max((one["steps"] for one in group), key=len)):
                hits, ops, spikes = (over_seeds(group, field, k) for field in ("accuracy", "synops", "spikes"))
                lost = np.array([one["ann"] - one["accuracy"][k] for one in group if len(one["steps"]) > k])
                out.append(f"| | {steps} | {len(hits)} | {hits.mean():.2f} | {hits.min():.2f} | {lost.mean():.2f} | {lost.max():.2f} |"
                           f" {ops.mean() / 1e3:.0f} | {spikes.mean():.0f} |")
    rates = [one for one in rows if "rate" in one]
    short = rates[0]["steps"][:len(rates[0]["rate"]["accuracy"])]
    out += ["", f"MLP, ReLU, pixels as rates of spikes ({len(rates)} seeds):", "",
            "| | " + " | ".join(f"T = {k}" for k in short) + " |", "|---|" + "---|" * len(short)]
    for name, field, scale, digits in (("accuracy", "accuracy", 1.0, 2), ("synaptic operations, 10³", "synops", 1e-3, 0)):
        values = np.mean([one["rate"][field] for one in rates], axis=0) * scale
        out.append(f"| {name} | " + " | ".join(f"{v:.{digits}f}" for v in values) + " |")
    out += ["", "In the engine, seed 1, beside torch in double precision:", "",
            "| | images | T | cells | synapses | spikes | differing | readout apart |", "|---|---|---|---|---|---|---|---|"]
    out += [f"| {one['net']}, {one['kind']} | {e['images']} | {e['steps']} | {one['cells']} | {one['synapses']} | {e['spikes']} |"
            f" {e['differing']} | {e['output_apart']:.1g} |" for one in rows if (e := one.get("engine"))]
    out += ["", "Ways to balance thresholds, seed 1, accuracy on 1000 validation images, % (artificial: "
            + ", ".join(f"{one['net']} {one['ann_validation']:.1f}" for one in rows if "ann_validation" in one) + "):", "",
            "| | " + " | ".join(f"T = {k}" for k in short) + " |", "|---|" + "---|" * len(short)]
    for one in rows:
        for name, values in one.get("methods", {}).items():
            out.append(f"| {one['net']}, {name} | " + " | ".join(f"{v:.1f}" for v in values) + " |")
    return "\n".join(out) + "\n"


def draw(found: dict[str, Any], path: Path) -> None:
    """Accuracy against T, synaptic operations against T, error against operations; one row a network."""
    figure = need("matplotlib.figure", "plot").Figure(figsize=(11, 6.6), layout="constrained")
    axes = figure.subplots(2, 3)
    for line, net in zip(axes, NETS):
        for kind, colour in zip(KINDS, ("tab:blue", "tab:orange")):
            group = chosen(found["rows"], net, kind)
            if not group:
                continue
            steps = max((one["steps"] for one in group), key=len)
            hits, ops = (np.array([over_seeds(group, field, k).mean() for k in range(len(steps))]) for field in ("accuracy", "synops"))
            ann = float(np.mean([one["ann"] for one in group]))
            for one in group:
                line[0].plot(one["steps"], one["accuracy"], color=colour, alpha=0.35, linewidth=0.8)
            line[0].plot(steps, hits, "o-", color=colour, markersize=4, label=f"{kind}, spiking")
            line[0].axhline(ann, color=colour, linestyle=":", linewidth=1, label=f"{kind}, artificial")
            line[1].plot(steps, ops, "o-", color=colour, markersize=4, label=f"{kind}, spiking")
            line[2].plot(ops, 100 - hits, "o-", color=colour, markersize=4, label=f"{kind}, spiking")
            line[2].plot(group[0]["macs"], 100 - ann, "*", color=colour, markersize=10, label=f"{kind}, artificial (MACs)")
            line[1].axhline(group[0]["macs"], color="0.4", linestyle=":", linewidth=1,
                            label="artificial (MACs)" if kind == KINDS[-1] else None)
        line[0].axvline(32, color="0.85", linewidth=0.8, zorder=0)
        line[0].set(xscale="log", xlabel="steps T", ylabel=f"{net}: test accuracy (%)")
        line[0].set_ylim(92.0, 99.6)
        line[1].set(xscale="log", yscale="log", xlabel="steps T", ylabel="synaptic operations per image")
        line[2].set(xscale="log", yscale="log", xlabel="operations per image", ylabel="test error (%)")
        line[2].set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        line[2].minorticks_off()
        for axis in line[:2]:
            axis.set_xticks(STEPS, [str(k) for k in STEPS])
            axis.minorticks_off()
        for axis in line:
            axis.legend(fontsize=7)
            axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train, convert, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, help="folder for results (default: beside this file; with --quick nowhere)")
    parser.add_argument("--picture", type=Path, default=HERE.parent / "docs" / "learn_conversion.png")
    parser.add_argument("--draw", action="store_true", help="only write page and picture anew")
    given = parser.parse_args()
    out = given.out or (None if given.quick else HERE / "results")
    split = data.mnist()
    found: dict[str, Any] = {"versions": {"neurosim": __version__, "torch": torch.__version__.partition("+")[0], "numba": numba.__version__,
                                          "numpy": np.__version__, "Python": platform.python_version()}, "source": split.source, "rows": []}
    file = out / "conversion.json" if out else None
    if file and file.exists():
        found = json.loads(file.read_text())
    done = {(one["net"], one["kind"], one["seed"]) for one in found["rows"]}
    todo = [(net, kind, seed) for seed in SEEDS[:1 if given.quick else None] for net in NETS for kind in KINDS]
    for key in [] if given.draw else [key for key in todo if key not in done]:
        began = time.perf_counter()
        one = row(*key, split, given.quick)
        found["rows"].append(one)
        print(*key, f"artificial {one['ann']:.2f}", *(f"T={k}: {a:.2f}" for k, a in zip(one["steps"], one["accuracy"])),
              f"after {time.perf_counter() - began:.0f} s", one.get("engine", ""), flush=True)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(found, indent=1) + "\n")
    print(", ".join(f"{name} {version}" for name, version in found["versions"].items()))
    if out:
        (out / "conversion.md").write_text(table(found), encoding="utf-8")
        draw(found, given.picture)
    else:
        print(table(found))


if __name__ == "__main__":
    main()
