"""Learning one task after another: digits whose pixels are shuffled anew in each task, with and without orthogonal projection.

    python -m neurosim.benchmarks.permuted_digits [--quick] [--picture docs/learn_projection.png]

A spiking network 784-800-800-10 learns permuted-MNIST tasks, each in one pass, with one readout for all; nothing of a task is kept
for later ones.  Measured for every seed: test accuracy of each task after each task, their mean at the end (ACC), what the earlier
tasks lost or gained since they were learned (backward transfer, BWT: mean of last minus first, in points), after 3 and after 10
tasks; and of the lateral rows, after each task, the energy they reach of that task's signals beside the best that rows
could reach (principal components; for later tasks orthogonal to the old rows), and how far they are from orthonormal.

The learning rate is the one that does best *without* projection on held-out training images (accuracy after 3 tasks); the test
images are for the report.  ``--quick`` is the same with scikit-learn's 8 x 8 digits, 64-100-100-10, and with other learners:
spiking lateral neurons; online learning with traces (OTTT), whose errors go back through the weights, through fixed random ones, or
through the weights' signs.

Numbers go to results/permuted_digits.json and .md (with ``--quick`` to results/permuted_digits_quick.*); a file that is there is gone
on from, seed by seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurosim import data
from neurosim.extras import need
from neurosim.learn import LI, LIF, Layer, OrthogonalProjection, Sequential, evaluate, fit, route_errors
from neurosim.learn.online import OTTT

RESULTS = Path(__file__).parent / "results"
LAYERS = ("input", "hidden", "output")
NAMES = {"mnist": "MNIST", "digits": "scikit-learn's digits"}
RATES = (0.05, 0.1, 0.2)
LEARNERS = {"BPTT": "", "BPTT, spiking lateral neurons": "", "OTTT": "", "OTTT, feedback alignment": "alignment",
            "OTTT, sign-symmetric": "sign"}
LEVELS = 40
COLOURS = ("#c8553d", "#3b6fb6", "#4f8f4f")


@dataclasses.dataclass(frozen=True)
class Settings:
    """One experiment; the rows are the paper's."""

    source: str = "mnist"
    tasks: int = 10
    seeds: tuple[int, ...] = (1, 2, 3)
    width: int = 800
    steps: int = 4
    samples: int = 6000  # of a task
    batch: int = 64
    tau_m: float = 2.0  # steps
    scale: float = 3.5  # of torch's initial weights, so that cells fire
    rows: tuple[int, int, int] = (80, 200, 100)
    grow: tuple[int, ...] = (70, 70, 50, 50, 50, 30, 30, 30, 10)
    gain: float = 8.0
    settle: float = 400.0
    iterations: int = 15
    every: int = 4
    passes: int = 5  # of the task's samples by the lateral rows once it is learned
    rehearsed: int = 256  # samples at once in these


QUICK = Settings("digits", 3, (1, 2, 3), 100, 4, 1000, 16, rows=(20, 30, 20), grow=(10, 10), gain=4.0, settle=300.0, every=1, rehearsed=64)


def images(s: Settings) -> list[np.ndarray]:
    """Images as rows, and labels: to train, to validate, to test."""
    split = getattr(data, s.source)()
    return [part for x, y in (split.train, split.validation, split.test) for part in (x.reshape(len(x), -1), y)]


class Held(Layer):
    """What is sent once, held for several steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return x.expand(self.steps, *x.shape[1:]), None


def network(s: Settings, pixels: int, seed: int, online: bool = False) -> Sequential:
    """Pixels as currents, two layers of spiking cells, and weighted spikes for each class (``online``: through a leaky integrator)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = [nn.Linear(n, m, bias=False) for n, m in ((pixels, s.width), (s.width, s.width), (s.width, 10))]
    with torch.no_grad():
        for layer in weights[:2]:
            layer.weight *= s.scale
    cells = [LIF(tau_m=s.tau_m, reset="subtract", decay="euler", surrogate="sigmoid") for _ in range(2)]
    if online:
        return Sequential(weights[0], cells[0], weights[1], cells[1], weights[2], LI(tau_m=s.tau_m, decay="euler"))
    return Sequential(weights[0], Held(s.steps), cells[0], weights[1], cells[1], weights[2])


def best_share(signals: Tensor, fixed: Tensor, k: int) -> float:
    """The largest share of the squared length of signals (m, n) that ``k`` rows orthogonal to the fixed ones reach with these."""
    moments = (signals.T @ signals).double()
    total = float(moments.trace())
    if len(fixed):
        base = torch.linalg.qr(fixed.double().T)[0]
        moments = moments - base @ (base.T @ moments)
        moments = moments - (moments @ base) @ base.T
    return 1.0 - (float(moments.trace()) - float(torch.linalg.eigvalsh(moments)[-k:].sum())) / total


def row_figures(projection: OrthogonalProjection, signals: dict[str, Tensor], old: dict[str, int]) -> dict[str, Any]:
    """For each layer: energy of the rows, the best there could be, distance from orthonormal, directions left."""
    found = {}
    for label, name in zip(LAYERS, projection.capacity):
        rows, seen = projection.rows(name)[0], signals[name][0]
        best = best_share(seen, rows[:old[name]], len(rows) - old[name])
        found[label] = {"energy": projection.energy(name, signals[name]), "best": best, "rows": len(rows),
                        "off": float((rows @ rows.T - torch.eye(len(rows))).abs().max()), "left": projection.capacity[name]}
    return found


def learn(s: Settings, seed: int, projected: bool, rate: float, tasks: int | None = None, held_out: bool = False,
          learner: str = "BPTT") -> dict[str, Any]:
    """One network through all tasks: accuracies, after each task on all so far, in per cent; and the rows."""
    began, tasks, online = time.process_time(), tasks or s.tasks, learner.startswith("OTTT")
    x, y, *others = (torch.from_numpy(part) for part in images(s))
    judged = others[:2] if held_out else others[2:]
    draws = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(x.shape[1], generator=draws) for _ in range(tasks)]
    net = network(s, x.shape[1], seed, online)
    if LEARNERS[learner]:
        route_errors(net, LEARNERS[learner], seed=seed)
    names = [name for name, layer in net.layers() if isinstance(layer, nn.Linear)]
    optimiser = torch.optim.SGD(net.parameters(), lr=rate)
    projection = OrthogonalProjection(
        net, dict(zip(names, s.rows)), signal="rate", gain=s.gain, settle=s.settle, iterations=s.iterations, every=s.every,
        levels=LEVELS if "spiking" in learner else None, orthonormal=True, seed=seed) if projected else None

    def encode(x: Tensor, _: Any = None) -> Tensor:
        return x.expand(s.steps, *x.shape) if online else x[None]

    accuracy: list[list[float]] = []
    rows = []
    for task, order in enumerate(orders):
        chosen = torch.randperm(len(x), generator=draws)[:s.samples]
        task_x, task_y = x[chosen][:, order], y[chosen]
        if online:
            if projection is not None and task == 0:
                projection.attach(optimiser)
            rule = OTTT(net, optimiser, observe=projection.observe if projection is not None else None)
            for batch in torch.randperm(len(task_x), generator=draws).split(s.batch):
                rule.step(encode(task_x[batch]), task_y[batch])
        else:
            fit(net, (task_x, task_y), epochs=1, batch_size=s.batch, optimiser=optimiser, encode=encode, seed=seed * 100 + task,
                progress=False)
        if projection is not None:
            with torch.no_grad(), projection.watching():
                for _ in range(s.passes * (not online)):  # online, rows learn from the traces alone
                    for batch in torch.randperm(len(task_x), generator=draws).split(s.rehearsed):
                        net(encode(task_x[batch]))
            old = {name: r + sum(s.grow[:task - 1]) if task else 0 for name, r in zip(names, s.rows)}
            rows.append(row_figures(projection, projection.signals(encode(task_x)), old))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # few directions left: the table says how many
                projection.end_task(s.grow[task] if task + 1 < tasks else 0)
        accuracy.append([100.0 * evaluate(net, (judged[0][:, one], judged[1]), encode=encode, batch_size=500)["accuracy"]
                         for one in orders[:task + 1]])
        print(f"{learner}, seed {seed}, {'with' if projected else 'without'}, task {task + 1}:", *(f"{one:.1f}" for one in accuracy[-1]),
              f"({time.process_time() - began:.0f} CPU s)", flush=True)
    return {"seed": seed, "projected": projected, "accuracy": accuracy, "rows": rows, "cpu_s": time.process_time() - began}


def learners(s: Settings, rate: float) -> list[dict[str, Any]]:
    """ACC and BWT after all tasks with each other learner, without and with projection; means over the seeds."""
    rows = []
    for learner in list(LEARNERS)[1:]:
        row: dict[str, Any] = {"learner": learner}
        for projected, word in ((False, "without"), (True, "with")):
            runs = [figures(learn(s, seed, projected, rate, learner=learner)["accuracy"], s.tasks) for seed in s.seeds]
            row |= {f"{name}_{word}": float(np.mean([one[k] for one in runs])) for k, name in enumerate(("acc", "bwt"))}
        rows.append(row)
    return rows


def figures(accuracy: list[list[float]], tasks: int) -> tuple[float, float]:
    """(ACC, BWT) after so many tasks."""
    last = accuracy[tasks - 1]
    return float(np.mean(last)), float(np.mean([last[k] - accuracy[k][k] for k in range(tasks - 1)]))


def chosen_rate(s: Settings) -> list[dict[str, float]]:
    """Held-out accuracy and backward transfer after 3 tasks without projection, for each learning rate."""
    rows = []
    for rate in RATES:
        acc, bwt = figures(learn(s, 0, False, rate, tasks=3, held_out=True)["accuracy"], 3)
        rows.append({"rate": rate, "acc": acc, "bwt": bwt})
    return rows


def summary(found: dict[str, Any]) -> list[dict[str, Any]]:
    """For 3 and for all tasks: mean and standard deviation over the seeds, with and without."""
    rows = []
    for tasks in sorted({3, found["settings"]["tasks"]}):
        row: dict[str, Any] = {"tasks": tasks}
        for projected in (False, True):
            runs = [figures(run["accuracy"], tasks) for run in found["runs"] if run["projected"] == projected]
            word = "with" if projected else "without"
            for k, name in enumerate(("acc", "bwt")):
                row[f"{name}_{word}"] = float(np.mean([one[k] for one in runs]))
                row[f"{name}_{word}_sd"] = float(np.std([one[k] for one in runs], ddof=1)) if len(runs) > 1 else 0.0
        seeds = [run["seed"] for run in found["runs"] if run["projected"]]
        rows.append(row | {"seeds": seeds, "closer": abs(row["bwt_without"] / row["bwt_with"])})
    return rows


def table(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    s = found["settings"]
    layers = "-".join(str(n) for n in (found["pixels"], s["width"], s["width"], 10))
    seeds = ", ".join(str(n) for n in found["summary"][0]["seeds"])
    quick = " --quick" if s["source"] == "digits" else ""
    lines = ["# One task after another", "", f"`python -m neurosim.benchmarks.permuted_digits{quick}`, "
             + ", ".join(f"{name} {version}" for name, version in found["versions"].items()) + ".", "",
             f"{found['name']}, pixels permuted anew in each task; {layers}, {s['steps']} steps, one pass over {s['samples']} images a",
             f"task, SGD {found['rate']:g}, batch {s['batch']}; mean ± standard deviation (seeds {seeds}), on the test",
             "images: accuracy in per cent, backward transfer in points.", "",
             "| tasks | ACC without | ACC with projection | BWT without | BWT with projection | closer to 0 |", "|---|---|---|---|---|---|"]
    for r in found["summary"]:
        names = ("acc_without", "acc_with", "bwt_without", "bwt_with")
        cells = [f"{r[name]:.2f}" + f" ± {r[name + '_sd']:.2f}" * (len(r["seeds"]) > 1) for name in names]
        lines.append(f"| {r['tasks']} | {' | '.join(cells)} | {r['closer']:.1f} × |")
    if "learners" in found:
        lines += ["", "Other learners, after all tasks:", "",
                  "| learner | ACC without | ACC with projection | BWT without | BWT with projection |", "|---|---|---|---|---|"]
        lines += [f"| {r['learner']} | {r['acc_without']:.2f} | {r['acc_with']:.2f} | {r['bwt_without']:.2f} | {r['bwt_with']:.2f} |"
                  for r in found["learners"]]
    lines += ["", "Lateral rows after each task: energy of the task's signals, over the best possible (lowest of all seeds); largest entry",
              "of |H Hᵀ − 1| as learned, before the rows are made orthonormal (highest of all seeds); rows, and directions left.", "",
              "| task | " + " | ".join(f"{name}: of best | off | rows, left" for name in LAYERS) + " |",
              "|---" * (3 * len(LAYERS) + 1) + "|"]
    runs = [run["rows"] for run in found["runs"] if run["projected"]]
    for task in range(s["tasks"]):
        cells = []
        for name in LAYERS:
            same = [run[task][name] for run in runs]
            cells += [f"{min(one['energy'] / one['best'] for one in same):.4f}", f"{max(one['off'] for one in same):.3f}",
                      f"{same[0]['rows']}, {same[0]['left']}"]
        lines.append(f"| {task + 1} | {' | '.join(cells)} |")
    lines += ["", "Learning rate, chosen without projection on held-out training images after 3 tasks: "
              + "; ".join(f"{one['rate']:g}: ACC {one['acc']:.2f}, BWT {one['bwt']:.2f}" for one in found["choice"]) + ".", ""]
    for word, projected in (("without", False), ("with", True)):
        seconds = np.mean([run["cpu_s"] for run in found["runs"] if run["projected"] == projected])
        lines.append(f"CPU seconds of a run {word} projection, tests included: {seconds:.0f}.")
    return "\n".join(lines) + "\n"


def picture(found: dict[str, Any]) -> Any:
    """Accuracy of all tasks so far, what became of the first, the matrices, and the rows' energy: a matplotlib Figure."""
    plt = need("matplotlib.figure", "plot")
    figure = plt.Figure(figsize=(11.0, 7.0), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    tasks = found["settings"]["tasks"]
    at = np.arange(1, tasks + 1)
    mean_matrix = {}
    for projected, label, colour in ((False, "without", COLOURS[0]), (True, "with projection", COLOURS[1])):
        runs = [run["accuracy"] for run in found["runs"] if run["projected"] == projected]
        means, first = ([[one(row) for row in run] for run in runs] for one in (np.mean, lambda row: row[0]))
        for ax, curves in ((axes[0], means), (axes[1], first)):
            for k, curve in enumerate(curves):
                ax.plot(at, curve, "-", color=colour, lw=0.7, alpha=0.5)
            ax.plot(at, np.mean(curves, axis=0), "o-", color=colour, ms=4, lw=1.8, label=label)
        full = np.full((tasks, tasks), np.nan)
        for k in range(tasks):
            full[k, :k + 1] = np.mean([run[k] for run in runs], axis=0)
        mean_matrix[label] = full
    axes[0].set(xlabel="tasks learned", ylabel="test accuracy, %", title="mean of all tasks so far")
    axes[1].set(xlabel="tasks learned", ylabel="test accuracy, %", title="the first task")
    low = float(np.floor(min(np.nanmin(one) for one in mean_matrix.values()) / 5.0) * 5.0)
    for ax, (label, full) in zip(axes[3:], mean_matrix.items()):
        shown = ax.imshow(full, cmap="viridis", vmin=low, vmax=100.0, extent=(0.5, tasks + 0.5, tasks + 0.5, 0.5))
        ax.set(xlabel="tested on task", ylabel="after task", title=label, xticks=at, yticks=at)
    figure.colorbar(shown, ax=axes[4], label="test accuracy, %", shrink=0.8)
    runs = [run["rows"] for run in found["runs"] if run["projected"]]
    for name, colour in zip(LAYERS, COLOURS):
        ratio = np.array([[100.0 * row[name]["energy"] / row[name]["best"] for row in run] for run in runs])
        axes[2].plot(at, ratio.mean(0), "o-", color=colour, ms=4, label=f"{name} weights")
        axes[2].fill_between(at, ratio.min(0), ratio.max(0), color=colour, alpha=0.2, lw=0)
        for kind, style in (("energy", "o-"), ("best", "--")):
            curve = np.mean([[100.0 * row[name][kind] for row in run] for run in runs], axis=0)
            axes[5].plot(at, curve, style, color=colour, ms=4, lw=1.2, label=f"{name} weights" if kind == "energy" else None)
    axes[2].axhline(98.5, color="0.5", lw=1, ls=":")
    axes[2].set(xlabel="task", ylabel="energy of the rows, % of best", title="lateral rows against PCA", ylim=(97.5, 100.2))
    axes[5].set(xlabel="task", ylabel="of its signals' energy, %", title="held by rows (dashed: the best)")
    for ax in (axes[0], axes[1], axes[2], axes[5]):
        ax.legend(frameon=False, fontsize=7)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xticks(at)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="scikit-learn's digits, 3 tasks, a small network")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    s = QUICK if arguments.quick else Settings()
    path = arguments.results / f"permuted_digits{'_quick' * arguments.quick}.json"
    head = {"name": NAMES[s.source], "pixels": images(s)[0].shape[1], "settings": json.loads(json.dumps(dataclasses.asdict(s))),
            "versions": {"Python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}}
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if any(found.get(name) != head[name] for name in ("name", "settings")):
        found = {"runs": []}
    found |= head
    print(*(f"{name} {version}" for name, version in head["versions"].items()))
    if "choice" not in found:
        found["choice"] = chosen_rate(s)
    found["rate"] = max(found["choice"], key=lambda one: one["acc"])["rate"]
    for seed in s.seeds:
        for projected in (False, True):
            if not any((run["seed"], run["projected"]) == (seed, projected) for run in found["runs"]):
                found["runs"].append(learn(s, seed, projected, found["rate"]))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if arguments.quick and "learners" not in found:
        found["learners"] = learners(s, found["rate"])
    found["summary"] = summary(found)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table(found), encoding="utf-8")
    print(table(found))
    if arguments.picture:
        picture(found).savefig(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
