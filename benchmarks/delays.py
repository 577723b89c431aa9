"""Delays that are learnt, on a task that only delays solve; what rounding them costs; the trained network in the engine and on SpiNNaker.

    python -m neurosim.benchmarks.delays [--quick] [--seeds 1 2 3] [--picture docs/learn_delays.png]

Ten classes of twenty channels; every channel spikes once in a sample, at a time that depends on the class, give or take two steps
(`neurosim.data.delay_coded`: 1000 samples to train, 200 to validate, 500 to test).  Sixteen hidden LIF neurons with a time constant of
1.005 steps remember nothing from step to step (0.5 %); delays of at most 24 steps lie between input and hidden cells.  The output is
linear, summed over time after a softmax (Hammouamri et al. 2024).  All ways train for as long, with the same learning rates; seeds
are those of the task and the network.

* none: no delays;
* fixed: random whole delays that stay;
* DCLS: delays learnt with the paper's schedule (a gauss narrowed to half a step) and rounded at the end;
* learnt: the same until half of the epochs, from then with whole delays in the forward pass; from three quarters of them delays stay.

*As trained* is the accuracy on the test set with the delays as they act in training's last epoch, *rounded* with whole steps.
*In a row*: all test samples one after the other, silent in between, in torch, in the engine and on SpiNNaker (`to_network`); the spikes
of both are compared with torch's for every hidden neuron and step.  Neurons that a bias lets fire in silence have then fired before a
sample begins, which they have not where each sample is run by itself: that, not the deployment, is what *in a row* changes.
Results go to results/delays.json and .md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import neurosim
from neurosim import Simulation
from neurosim.data import Split, delay_coded
from neurosim.hardware.spinnaker.emulation import Emulation
from neurosim.learn import (
    LI, LIF, DelayedLinear, DelaySchedule, Sequential, Surrogate, as_trained, clamp_delays, delay_layers, delay_rates, evaluate, fit,
    parameter_groups, round_delays, rounded, rounding_gap, sum_of_softmax, to_network,
)

RESULTS = Path(__file__).parent / "results"
NAMES = {"none": "no delays", "none, slow": "no delays, slow cells", "fixed": "fixed random", "DCLS": "DCLS", "learnt": "learnt"}
WAYS = tuple(NAMES)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is trained and how; time constants and delays in steps."""

    sizes: tuple[int, ...] = (20, 16, 10)
    max_delay: int = 24
    delayed_output: bool = False
    tau: float = 1.005
    slow: float = 10.0
    dropout: float = 0.0
    epochs: int = 48
    batch: int = 50
    lr: float = 1e-3
    delay_lr: float = 0.1


def network(way: str, recipe: Recipe, seed: int) -> Sequential:
    """DelayedLinear, batch norm, LIF for each hidden layer; then the readout."""
    generator, parts = torch.Generator().manual_seed(seed), []
    last, tau = len(recipe.sizes) - 2, recipe.slow if way == "none, slow" else recipe.tau
    for place, (n_in, n_out) in enumerate(zip(recipe.sizes[:-1], recipe.sizes[1:])):
        delayed = not way.startswith("none") and (place < last or recipe.delayed_output)
        layer = DelayedLinear(n_in, n_out, recipe.max_delay if delayed else 0, generator=generator)
        parts.append(layer if delayed and way != "fixed" else layer.round_())
        if place < last:
            parts += [nn.BatchNorm1d(n_out), LIF(n_out, tau_m=tau, decay="euler", surrogate=Surrogate("atan", 5.0))]
            parts += [nn.Dropout(recipe.dropout)] if recipe.dropout else []
        else:
            parts.append(LI(n_out, tau_m=tau, decay="euler"))
    return Sequential(*parts)


def parameters(way: str, recipe: Recipe) -> int:
    """Numbers that are learnt at some time."""
    model = network(way, recipe, 1)
    return sum(one.numel() for one in model.parameters() if one.requires_grad)


def tensors(part: tuple[np.ndarray, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(part[0].astype(np.float32)), torch.from_numpy(part[1])


def accuracy(model: nn.Module, part: tuple[np.ndarray, np.ndarray]) -> float:
    return evaluate(model, tensors(part), readout=sum_of_softmax)["accuracy"]


def trained(way: str, recipe: Recipe, split: Split, seed: int, progress: bool = False) -> tuple[Sequential, list[dict[str, float]]]:
    """The model after its last epoch, and the history's rows."""
    model = network(way, recipe, seed)
    optimiser = torch.optim.Adam(parameter_groups(model, recipe.lr, recipe.delay_lr))
    schedule = DelaySchedule(recipe.epochs, **({"straight_through": None, "freeze": None} if way == "DCLS" else {}))
    schedule(model)

    def unrounded(model: nn.Module, epoch: int) -> dict[str, float]:
        with as_trained(model):
            return {"as_trained": accuracy(model, split.validation)}

    after = [unrounded, schedule] if way == "DCLS" else [schedule]
    history = fit(model, tensors(split.train), tensors(split.validation), epochs=recipe.epochs, batch_size=recipe.batch,
                  optimiser=optimiser, schedule=delay_rates(optimiser, recipe.epochs), readout=sum_of_softmax,
                  after_batch=clamp_delays, after_epoch=after, keep="last", seed=seed, progress=progress)
    return model, history.rows


# ------------------------------------------------------------------------------------------ deployed


def joined(inputs: np.ndarray, silence: int) -> np.ndarray:
    """Samples (n, steps, channels) one after the other with so many silent steps in between: (n * (steps + silence), channels)."""
    return np.pad(inputs, ((0, 0), (0, silence), (0, 0))).reshape(-1, inputs.shape[2])


def share(output: np.ndarray, part: tuple[np.ndarray, np.ndarray]) -> float:
    """Accuracy of what the readout sends for joined samples."""
    inputs, targets = part
    by_sample = output.reshape(len(targets), -1, output.shape[-1])[:, :inputs.shape[1]].transpose(1, 0, 2)
    return float((sum_of_softmax(torch.from_numpy(by_sample.copy())).argmax(1).numpy() == targets).mean())


def deployed(model: Sequential, part: tuple[np.ndarray, np.ndarray], scale: float = 64.0) -> dict[str, Any]:
    """The rounded network in torch, in the engine and on SpiNNaker's emulator, with the same joined samples."""
    model = rounded(model).double().eval()
    x = joined(part[0], 8 + sum(layer.max_delay for layer in delay_layers(model)))  # no spike of a sample reaches the next
    names = [name for name, layer in model.layers() if isinstance(layer, LIF)]
    with torch.no_grad():
        sent = {name: y[:, 0].numpy() for name, y in model.activity(torch.from_numpy(x[:, None].astype(np.float64))).items()}
    *_, answer = sent.values()
    row: dict[str, Any] = {"torch": share(answer, part), "spikes": int(sum(sent[name].sum() for name in names))}
    for target in (None, "spinnaker"):
        made = to_network(model, 1.0, x.shape[1], scale=scale, target=target)
        made.set_input(x)
        if target is None:
            result = Simulation(made.network, dt=1.0).run(made.duration(len(x)))
        else:
            emulation = Emulation(made.network, 1.0, allow_zero_weights=True)
            result = emulation.run(made.duration(len(x)))
        name = target or "engine"
        row[name] = share(made.output(result, len(x)), part)
        row[f"{name}_differing"] = int(sum((made.spikes(result, one, len(x)) != sent[one]).sum() for one in names))
    return row


def measured(way: str, recipe: Recipe, split: Split, seed: int, progress: bool = False, scale: float = 64.0
             ) -> tuple[dict[str, Any], Sequential]:
    """All figures of one way and seed."""
    began = time.process_time()
    model, rows = trained(way, recipe, split, seed, progress)
    seconds = time.process_time() - began
    before, after = rounding_gap(model, lambda one: accuracy(one, split.test))
    row = {"way": way, "seed": seed, "as_trained": before, "rounded": after, "validation": rows[-1]["validation_accuracy"],
           "cpu_s": seconds, **deployed(model, split.test, scale),
           "history": [{key: round(value, 5) for key, value in one.items() if key != "seconds"} for one in rows]}
    print(way, f"seed {seed}: as trained {before:.3f}, rounded {after:.3f}, engine {row['engine']:.3f}"
          f" ({row['engine_differing']} of {row['spikes']} spikes differ), SpiNNaker {row['spinnaker']:.3f}"
          f" ({row['spinnaker_differing']} differ); {seconds:.0f} s of CPU", flush=True)
    return row, model


def example(model: Sequential, start: torch.Tensor, split: Split) -> dict[str, Any]:
    """One class as its best detector among the hidden neurons gets it: spikes of a sample, and when they arrive."""
    inputs, targets = split.test
    with torch.no_grad():
        fired = model.eval().activity(tensors(split.test)[0].transpose(0, 1))["2"].sum(0).numpy()
    rates = np.stack([fired[targets == kind].mean(0) for kind in range(split.classes)])
    margin = rates - (rates.sum(0) - rates) / (len(rates) - 1)
    kind, cell = np.unravel_index(margin.argmax(), margin.shape)
    layer, sample = model[0], int(np.flatnonzero(targets == kind)[0])
    return {"class": int(kind), "cell": int(cell), "rate": float(rates[kind, cell]), "sent": inputs[sample].argmax(0).tolist(),
            "delay": layer.whole_delays()[cell, :, 0].tolist(), "weight": layer.weight[cell, :, 0].tolist(),
            "started": start.flatten().tolist(), "learnt": layer.whole_delays().flatten().tolist()}


# ------------------------------------------------------------------------------------------ results


def plain(recipe: Recipe) -> dict[str, Any]:
    """As it comes back from a file."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def merged(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    """With the rows of other seeds that were found earlier with the same recipe."""
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["recipe"] == found["recipe"] and before["source"] == found["source"]:
            found = before | found
            new = {(row["way"], row["seed"]) for row in found["rows"]}
            found["rows"] += [row for row in before["rows"] if (row["way"], row["seed"]) not in new]
    found["rows"].sort(key=lambda row: (row["seed"], WAYS.index(row["way"])))
    return found


def table(found: dict[str, Any]) -> str:
    """Markdown: one line for each way, means over seeds and, for gaps, the worst."""
    lines = ["| delays | parameters | as trained | rounded | gap, points (worst seed) | rounded, in a row | engine, in a row |"
             " spikes that differ | SpiNNaker, in a row | spikes that differ |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    recipe = Recipe(**found["recipe"])
    for way in WAYS:
        rows = [row for row in found["rows"] if row["way"] == way]
        if not rows:
            continue

        def mean(key: str, rows: list = rows) -> str:
            values = np.array([row[key] for row in rows]) * 100.0
            return f"{values.mean():.1f} ± {values.std():.1f}"

        gaps = np.array([row["as_trained"] - row["rounded"] for row in rows]) * 100.0
        differing, far = (sum(row[f"{where}_differing"] for row in rows) for where in ("engine", "spinnaker"))
        lines.append(f"| {way} | {parameters(way, recipe)} | {mean('as_trained')} | {mean('rounded')} |"
                     f" {gaps.mean():.1f} ({gaps.max():.1f}) | {mean('torch')} | {mean('engine')} |"
                     f" {differing} of {sum(row['spikes'] for row in rows)} | {mean('spinnaker')} | {far} |")
    seeds = len({row["seed"] for row in found["rows"]})
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    head = f"Accuracy on the test set, %, mean ± standard deviation over {seeds} seeds. {found['source']}. {versions}."
    return "\n".join([head, "", *lines, ""])


def curves(axes: Any, found: dict[str, Any], colours: dict[str, str]) -> None:
    """Accuracy on the validation set with whole delays, after each epoch; of DCLS also as it is trained."""
    def line(rows: list, key: str, colour: str, style: str, label: str) -> None:
        values = np.array([[100.0 * epoch[key] for epoch in row["history"]] for row in rows])
        epochs = np.arange(1, values.shape[1] + 1)
        axes.plot(epochs, values.mean(0), style, color=colour, label=label, lw=1.6)
        axes.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.12, lw=0)

    for way in WAYS:
        rows = [row for row in found["rows"] if row["way"] == way]
        if rows:
            line(rows, "validation_accuracy", colours[way], "-", NAMES[way] + (", rounded" if way == "DCLS" else ""))
            if way == "DCLS":
                line(rows, "as_trained", colours[way], ":", "DCLS, not rounded")
    axes.set(xlabel="epoch", ylabel="accuracy (validation), %", ylim=(0, 103))
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def picture(found: dict[str, Any]) -> Any:
    """Learning curves; what rounding costs; a class before and after the delays; delays before and after learning."""
    from neurosim.extras import need
    figure = need("matplotlib.figure", "plot").Figure(figsize=(11.0, 7.2), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    colours = {"none": "0.55", "fixed": "tab:blue", "DCLS": "tab:orange", "learnt": "tab:green"}
    curves(axes[0], found, colours)
    axes[0].set_title("Learning, with whole delays")
    ways = [way for way in WAYS if any(row["way"] == way for row in found["rows"])]
    kinds = {"as_trained": "as trained", "rounded": "rounded", "spinnaker": "on SpiNNaker"}
    for k, (key, shade) in enumerate(zip(kinds, (0.35, 0.7, 1.0))):
        for place, way in enumerate(ways):
            values = [100.0 * row[key] for row in found["rows"] if row["way"] == way]
            at = place + 0.27 * (k - 1)
            axes[1].bar(at, np.mean(values), 0.25, color=colours[way], alpha=shade)
            axes[1].plot([at] * len(values), values, ".", color="k", ms=4)
            axes[1].text(at, 2, kinds[key], rotation=90, ha="center", va="bottom", fontsize=7, color="k" if shade < 0.9 else "w")
    axes[1].set_xticks(range(len(ways)), [NAMES[way] for way in ways])
    axes[1].set(ylabel="accuracy (test), %", ylim=(0, 103), title="What rounding costs; a dot is a seed")
    shown = found["example"]
    sent, delay, weight = (np.array(shown[key]) for key in ("sent", "delay", "weight"))
    order = np.argsort(sent)
    rows, size = np.arange(len(sent)), 12 + 90 * np.abs(weight) / np.abs(weight).max()
    helps = weight[order] > 0
    axes[2].hlines(rows, sent[order], (sent + delay)[order], color="0.85", lw=1)
    axes[2].plot(sent[order], rows, "|", color="0.3", ms=9, mew=2, label="sent")
    for mask, colour, label in ((helps, "tab:red", "arrives, excites"), (~helps, "tab:blue", "arrives, inhibits")):
        axes[2].scatter((sent + delay)[order][mask], rows[mask], size[order][mask], color=colour, label=label, zorder=3, lw=0)
    axes[2].set(xlabel="step", ylabel="channel, by time", title="A pattern on its way to a neuron that tells it", xlim=(-1, 64))
    axes[2].set_yticks(range(0, len(sent), 5))
    axes[2].legend(frameon=False, fontsize=8, loc="lower right")
    bins = np.arange(-0.5, 25.5)
    axes[3].hist(np.rint(shown["started"]), bins, color="0.8", label="at the beginning")
    axes[3].hist(shown["learnt"], bins, histtype="step", color=colours["learnt"], lw=1.8, label="learnt")
    axes[3].set(xlabel="delay, steps", ylabel="synapses", title="Delays of all synapses")
    axes[3].legend(frameon=False, fontsize=8)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def versions() -> dict[str, str]:
    return {"neurosim": neurosim.__version__, "Python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def kept(found: dict[str, Any], name: str) -> None:
    """Written as json and as a table, beside what was found with other seeds."""
    RESULTS.mkdir(exist_ok=True)
    found = merged(RESULTS / f"{name}.json", found)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=None, separators=(",", ":")) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(table(found), encoding="utf-8")
    print(table(found))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds and a third of the epochs; writes delays_quick")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], metavar="S", help="of task and network; others are kept")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    parser.add_argument("--draw", action="store_true", help="only table and picture, from the results that are there")
    arguments = parser.parse_args(argv)
    name = "delays_quick" if arguments.quick else "delays"
    recipe = Recipe(epochs=16) if arguments.quick else Recipe()
    if not arguments.draw:
        torch.set_num_threads(1)
        for seed in arguments.seeds[:2 if arguments.quick else None]:
            split = delay_coded(seed=seed, jitter=2.0)
            found: dict[str, Any] = {"versions": versions(), "source": split.source.split(", seed")[0], "recipe": plain(recipe), "rows": []}
            for way in ("none", "fixed", "DCLS", "learnt"):
                row, model = measured(way, recipe, split, seed)
                found["rows"].append(row)
                if way == "learnt" and seed == 1:
                    start = round_delays(network("learnt", recipe, seed))[0].delay.detach()
                    found["example"] = example(model, start, split)
            kept(found, name)
    else:
        kept(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")), name)
    if arguments.picture:
        picture(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))).savefig(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
