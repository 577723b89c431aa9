"""Spoken digits as spikes of a cochlea: no delays, fixed random ones and learnt ones; before and after rounding, and on SpiNNaker.

    python -m neurosim.benchmarks.spoken_delays [--quick] [--seeds 1 2 3] [--speech PATH] [--picture docs/learn_delays_spoken.png]

Ten digits in 80 bins of 8 ms from 40 channels (`neurosim.data.spoken`).  No voice of the test set is in the
other two.  Without a path it is synthetic speech (espeak-ng); with ``--speech`` the
recordings of the Free Spoken Digit Dataset.

64 hidden LIF neurons with a time constant of 10 ms as in the paper (1.256 steps; Hammouamri et al. 2024), batch norm, dropout; delays of
at most 24 steps (192 ms) before them and before the readout.  Ways as in `neurosim.benchmarks.delays`; besides, *none, slow*: no delays,
but a time constant of 10 steps (80 ms).
Figures go to results/spoken_delays.json and .md (with ``--speech``: spoken_delays_real).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from neurosim.benchmarks.delays import NAMES, RESULTS, WAYS, Recipe, curves, kept, measured, plain, versions
from neurosim.data import spoken

COLOURS = {"none": "0.55", "none, slow": "tab:purple", "fixed": "tab:blue", "DCLS": "tab:orange", "learnt": "tab:green"}


def picture(found: dict[str, Any]) -> Any:
    """Learning curves, and the test set with whole delays: each sample by itself, all in a row, and these on SpiNNaker."""
    import numpy as np

    from neurosim.extras import need
    figure = need("matplotlib.figure", "plot").Figure(figsize=(11.0, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    curves(axes[0], found, COLOURS)
    axes[0].set_title("Spoken digits: voices to choose by")
    ways = [way for way in WAYS if any(row["way"] == way for row in found["rows"])]
    for k, (key, mark) in enumerate((("rounded", "o"), ("torch", "s"), ("spinnaker", "^"))):
        for place, way in enumerate(ways):
            values = np.array([100.0 * row[key] for row in found["rows"] if row["way"] == way])
            at = np.full(len(values), place + 0.22 * (k - 1))
            axes[1].plot(at, values, mark, color=COLOURS[way], ms=5, alpha=0.6, mew=0)
            axes[1].plot(at[:1] + np.array([-0.09, 0.09]), [values.mean()] * 2, "k", lw=1.6)
    for mark, label in (("o", "each by itself"), ("s", "in a row"), ("^", "in a row, SpiNNaker")):
        axes[1].plot([], [], mark, color="0.4", label=label)
    axes[1].set_xticks(range(len(ways)), [NAMES[way].replace(" ", "\n") for way in ways])
    axes[1].set(ylabel="accuracy (test), %", title="Voices never heard; a mark is a seed, a line the mean")
    axes[1].legend(frameon=False, fontsize=8)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, a few epochs, a quarter of the clips")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="S", help="of split and network; others are kept")
    parser.add_argument("--speech", type=Path, metavar="PATH", help="the Free Spoken Digit Dataset instead of synthetic speech")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    parser.add_argument("--draw", action="store_true", help="only table and picture, from the results that are there")
    arguments = parser.parse_args(argv)
    name = "spoken_delays" + ("_real" if arguments.speech else "") + ("_quick" if arguments.quick else "")
    recipe = Recipe(sizes=(40, 64, 10), delayed_output=True, tau=10.05 / 8.0, dropout=0.2, epochs=4 if arguments.quick else 24, batch=64)
    path = RESULTS / f"{name}.json"
    if not arguments.draw:
        torch.set_num_threads(1)
        for seed in arguments.seeds[:1 if arguments.quick else None]:
            split = spoken(arguments.speech, seed=seed, clips=480 if arguments.quick else 2400)
            for way in ("none", "fixed", "learnt", "none, slow", "DCLS"):
                row, _ = measured(way, recipe, split, seed, scale=16.0)
                kept({"versions": versions(), "source": split.source, "recipe": plain(recipe), "rows": [row]}, name)
    else:
        kept(json.loads(path.read_text(encoding="utf-8")), name)
    if arguments.picture:
        picture(json.loads(path.read_text(encoding="utf-8"))).savefig(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
