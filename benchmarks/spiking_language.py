"""A language model of characters, spiking: bits per character against synaptic operations, for networks of equal size.

``python -m neurosim.benchmarks.spiking_language [--quick]`` trains LIF, adaptive LIF, AstroLIF, AstroAttention networks and a GRU to tell
the next character of the King James Bible (Debian's bible-kjv-text; the first 90 % to train, the next 5 % to choose the learning rate, the
last 5 % to test).  A step is a character.  It writes results/spiking_language.json and .md and docs/learn_astrocytes_language.png.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import __version__
from ..data.text import Text, text
from ..extras import need
from ..learn import Sequential, fit
from ..learn.sequence import detached
from .memory_models import COLOURS, NAMES, built, parameters, sized, synaptic_operations, written

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "spiking_language.json"
PICTURE = HERE.parent / "docs" / "learn_astrocytes_language.png"
NEURONS = 128  # of the LIF network
RATES = (3e-3, 1e-2)
STEPS, BATCH = 128, 64
STREAMS, LONG = 32, 2048  # of the test: characters of each stream, in one go


def net(name: str, letters: int, n: int, seed: int) -> Sequential:
    """A network for this task."""
    return built(name, letters, letters, n, seed, drive=0.7, tau_m=3.0, slow=(2.0, 300.0), blocks=2)


def one_hot(letters: int) -> Any:
    """An ``encode`` for `fit`: a spike of the character's own channel at each step."""
    return lambda numbers, _: nn.functional.one_hot(numbers.T.long(), letters).float()


def windows(numbers: np.ndarray, count: int, steps: int) -> tuple[Tensor, Tensor]:
    """(characters, the next ones), shape (count, steps), evenly over a text."""
    starts = np.linspace(0, len(numbers) - steps - 1, count).astype(int)
    cut = torch.as_tensor(np.stack([numbers[at:at + steps + 1] for at in starts]).astype(np.int64))
    return cut[:, :-1].contiguous(), cut[:, 1:].contiguous()


def nats(scores: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of (B, T, letters) and (B, T)."""
    return nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten())


def batch_first(y: Tensor) -> Tensor:
    """Scores at every step."""
    return y.transpose(0, 1)


def train(name: str, words: Text, n: int, rate: float, seed: int, count: int) -> tuple[Sequential, dict[str, float]]:
    """A network trained for one pass over ``count`` windows; bits per character on validation."""
    letters = len(words.characters)
    model = net(name, letters, n, seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, -(-count // BATCH))
    began = time.process_time()
    history = fit(model, windows(words.train, count, STEPS), windows(words.validation, 256, STEPS), epochs=1, batch_size=BATCH,
                  optimiser=optimiser, readout=batch_first, loss=nats, encode=one_hot(letters), clip=1.0,
                  after_batch=lambda _: schedule.step(), keep="last", seed=seed, progress=False)
    row = history.rows[-1]
    return model, {"validation": row["validation_loss"] / math.log(2.0), "train": row["loss"] / math.log(2.0),
                   "cpu_s": time.process_time() - began}


def tested(model: Sequential, words: Text, streams: int = STREAMS) -> dict[str, Any]:
    """Bits per character of the test text, read in long streams from an empty state, and what it costs."""
    inputs, targets = windows(words.test, streams, LONG)
    x = one_hot(len(words.characters))(inputs, None)
    with torch.no_grad():
        scores = model(x)[0]
        each = nn.functional.cross_entropy(scores.flatten(0, 1), targets.T.flatten(), reduction="none").view(LONG, streams) / math.log(2.0)
    operations, rate = synaptic_operations(model, x[:512])
    # how much further back a network can look shows in how bits fall along a stream
    edges = [0, 8, 32, 128, 512, LONG]
    return {"bits": float(each[STEPS:].mean()), "operations": operations, "spikes": rate,
            "bits_by_place": {f"{a}-{b}": float(each[a:b].mean()) for a, b in zip(edges, edges[1:])}}


def generate(model: Sequential, words: Text, start: str, length: int, seed: int = 1, temperature: float = 0.7) -> str:
    """Text that a model writes after ``start``, a character a step; what it keeps of the past has one size at any length."""
    draws, encode = torch.Generator().manual_seed(seed), one_hot(len(words.characters))
    given = torch.as_tensor(words.encoded(start).astype(np.int64))[None]
    written = []
    with torch.no_grad():
        y, state = model(encode(given, None).to(next(model.parameters()).dtype))
        for _ in range(length):
            chosen = torch.multinomial(torch.softmax(y[-1] / temperature, -1), 1, generator=draws)
            written.append(int(chosen))
            y, state = model(encode(chosen, None).to(y.dtype), detached(state))
    return start + words.decoded(np.array(written))


def run(count: int, search: int, seeds: list[int], names: tuple[str, ...], results: Path | None) -> dict[str, Any]:
    """All trainings; each network's results are put into the file when they are there, beside those of others."""
    words = text()
    letters = len(words.characters)
    size = parameters(net("LIF", letters, NEURONS, 1))
    frequency = np.bincount(words.train, minlength=letters) / len(words.train)
    unigram = float(-np.log2(frequency[words.test]).mean())
    found: dict[str, Any] = {
        "neurosim": __version__, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        "text": "King James Bible, Debian bible-kjv-text 4.38", "letters": letters, "characters_trained": count * STEPS,
        "characters_searched": search * STEPS, "seeds": seeds, "rates": list(RATES), "steps": STEPS, "batch": BATCH,
        "bits_of_frequencies": unigram, "networks": {}}
    for name in names:
        n = sized(name, lambda kind, many: net(kind, letters, many, 1), size)
        tried = {rate: train(name, words, n, rate, 99, search)[1]["validation"] for rate in RATES}
        best = min(tried, key=lambda rate: tried[rate])
        one: dict[str, Any] = {"n": n, "parameters": parameters(net(name, letters, n, 1)), "rate": best,
                               "tried": {str(rate): value for rate, value in tried.items()}, "runs": []}
        for seed in seeds:
            model, row = train(name, words, n, best, seed, count)
            one["runs"].append({"seed": seed, **row, **tested(model, words)})
            last = one["runs"][-1]
            print(f"{name} n={n} rate={best} seed={seed}: validation {row['validation']:.3f}, test {last['bits']:.3f} bits a character,"
                  f" {last['operations']:.0f} operations, {row['cpu_s']:.0f} s", flush=True)
        one["sample"] = generate(model, words, "And the ", 240)
        found["networks"][name] = one
        if results is not None:
            written(found, results)
    return found


def table(found: dict[str, Any]) -> str:
    """The results as a page."""
    lines = ["# Language, character by character", "", f"neurosim {found['neurosim']}, torch {found['torch']}, Python {found['python']};"
             f" {found['text']}; {found['characters_trained']} characters to train, {found['letters']} kinds;"
             f" seeds {', '.join(map(str, found['seeds']))}."
             f" Bits per character of the test text, mean ± standard deviation over seeds; knowing only how frequent characters are gives"
             f" {found['bits_of_frequencies']:.3f}.", "",
             "| network | parameters | bits a character | of the first 8 | of 8 to 32 | of 512 on | operations a character |"
             " spikes a neuron and step | learning rate | CPU s |", "|---|---|---|---|---|---|---|---|---|---|"]
    for name, one in found["networks"].items():
        bits = np.array([each["bits"] for each in one["runs"]])
        places = [np.mean([each["bits_by_place"][key] for each in one["runs"]]) for key in ("0-8", "8-32", f"512-{LONG}")]
        operations, rate, cpu = (np.mean([each[key] for each in one["runs"]]) for key in ("operations", "spikes", "cpu_s"))
        spikes = "-" if name == "GRU" else f"{rate:.3f}"
        lines.append(f"| {name} (n = {one['n']}) | {one['parameters']} | {bits.mean():.3f} ± {bits.std():.3f} |"
                     f" {' | '.join(f'{one:.3f}' for one in places)} | {operations:.0f} | {spikes} | {one['rate']:g} | {cpu:.0f} |")
    lines += ["", "What each writes (last seed, temperature 0.7):", ""]
    for name, one in found["networks"].items():
        lines += [f"**{name}**", "", "```", one["sample"], "```", ""]
    return "\n".join(lines)


def picture(found: dict[str, Any], path: Path) -> None:
    """Bits per character against synaptic operations, and against the place in a stream."""
    figures = need("matplotlib.figure", "plot")
    figure = figures.Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, one in found["networks"].items():
        colour = COLOURS[name]
        operations, bits = ([each[key] for each in one["runs"]] for key in ("operations", "bits"))
        left.plot(operations, bits, linestyle="", marker="s" if name == "GRU" else "o", color=colour, label=name)
        keys = list(one["runs"][0]["bits_by_place"])
        by_place = np.array([[each["bits_by_place"][key] for key in keys] for each in one["runs"]])
        middle = [math.sqrt(max(int(key.split("-")[0]), 2) * int(key.split("-")[1])) for key in keys]
        right.fill_between(middle, by_place.min(0), by_place.max(0), color=colour, alpha=0.18, linewidth=0)
        right.plot(middle, by_place.mean(0), color=colour, marker="o", markersize=3.5)
    left.set(xscale="log", xlabel="synaptic operations a character (GRU: MACs, else ACs)", ylabel="bits per character, test",
             title="each seed")
    left.set_xticks([2000, 5000, 10000, 20000], ["2000", "5000", "10 000", "20 000"])
    left.minorticks_off()
    right.set(xscale="log", xlabel="characters read before", ylabel="bits per character, test", title="mean and range over seeds")
    left.legend(frameon=False, fontsize=8)
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
    parser.add_argument("--windows", type=int, default=49152, help=f"pieces of {STEPS} characters to train with")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="networks to run; others keep their results")
    a = parser.parse_args(argv)
    torch.set_num_threads(1)
    if a.quick:
        print(table(run(max(a.windows // 10, 640), 640, [1], tuple(a.only), None)))
        return
    if not a.table_only:
        run(a.windows, a.windows // 6, [1, 2, 3], tuple(a.only), a.results)
    found = json.loads(a.results.read_text(encoding="utf-8"))
    a.results.with_suffix(".md").write_text(table(found), encoding="utf-8")
    picture(found, PICTURE)


if __name__ == "__main__":
    main()
