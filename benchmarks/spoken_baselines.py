"""Does time matter in the spoken digits?  Linear classifiers on the spikes of a cochlea, with and without time.

    python -m neurosim.benchmarks.spoken_baselines [--path FSDD] [--quick]

Logistic regression on spike counts of each channel over the whole clip (1 piece: no time), and over 4 and 8 pieces of it;
how strongly it is regularised is chosen on the validation speakers, the accuracy is that on the test speakers.  Synthetic voices are
spoken by espeak-ng, with other voices, pitches and speeds for each seed; of the real speech of the Free Spoken Digit Dataset, given by
path, each speaker is the test once.  Figures go to results/spoken_baselines.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression

import neurosim
from neurosim import data
from neurosim.data.speech import even, fsdd

RESULTS = Path(__file__).parent / "results"
PIECES = (1, 4, 8)
STRENGTHS = (0.01, 0.1)  # inverse strengths of regularisation


def counts(inputs: np.ndarray, pieces: int) -> np.ndarray:
    """Spikes of each channel in each of so many pieces of time, float32, shape (n, pieces * channels)."""
    parts = np.array_split(inputs, pieces, axis=1)
    return np.stack([part.sum(axis=1, dtype=np.float32) for part in parts], axis=1).reshape(len(inputs), -1)


def accuracy(split: data.Split, pieces: int) -> tuple[float, float]:
    """(validation, test) accuracy, with the strength that does best on validation."""
    (x, y), (x_v, y_v), (x_t, y_t) = ((counts(inputs, pieces), targets) for _, (inputs, targets) in split.parts())
    found = []
    for strength in STRENGTHS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of steps that do not suffice to the last digit
            model = LogisticRegression(C=strength, max_iter=60).fit(x, y)
        found.append((model.score(x_v, y_v), model.score(x_t, y_t)))
    return max(found, key=lambda pair: pair[0])


def splits(path: str | None, quick: bool) -> list[data.Split]:
    """Of one kind of speech."""
    if path is None:
        return [data.spoken(clips=480 if quick else 2400, seed=seed) for seed in ((1,) if quick else (1, 2, 3))]
    clips, made = fsdd(path), []
    inputs = data.Cochlea().spikes([even(sound) for sound in clips.sounds], 80, 8.0)  # as data.spoken has them, once for all splits
    speakers = [str(name) for name in np.unique(clips.speaker)]
    for one, other in list(zip(speakers, speakers[1:] + speakers[:1]))[:1 if quick else None]:
        parts, groups = data.by_group(clips.speaker, [other], [one])
        made.append(data.by_index(inputs, clips.digit, parts, clips.source, groups))
    return made


def measured(path: str | None, quick: bool) -> dict[str, Any]:
    """Accuracies of one kind of speech, by pieces and split."""
    made = splits(path, quick)
    rows = {pieces: [accuracy(split, pieces) for split in made] for pieces in (PIECES[::2] if quick else PIECES)}
    return {"source": made[0].source, "tests": [split.groups[2] for split in made],
            "density": float(np.mean([split.train[0].mean() for split in made])),
            "validation": {pieces: [one for one, _ in row] for pieces, row in rows.items()},
            "test": {pieces: [other for _, other in row] for pieces, row in rows.items()}}


def table(kinds: list[dict[str, Any]], versions: dict[str, str]) -> str:
    """Markdown."""
    pieces = list(kinds[0]["test"])
    heads = ["no time" if one == 1 else f"{one} pieces" for one in pieces]
    lines = ["| speech | " + " | ".join(heads) + " |", "|---" * (len(pieces) + 1) + "|"]
    for kind in kinds:
        row = [f"{100 * np.mean(kind['test'][one]):.1f} ± {100 * np.std(kind['test'][one]):.1f} %" for one in pieces]
        lines.append(f"| {kind['source']} | " + " | ".join(row) + " |")
    told = "Accuracy on the test speakers: mean and standard deviation over " + ", ".join(
        f"{len(kind['tests'])} ({kind['source'].partition(' (')[0]})" for kind in kinds) + " sets of them."
    return "\n".join([*lines, "", told, "", ", ".join(f"{name} {version}" for name, version in versions.items()), ""])


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--path", help="folder or .npz of the Free Spoken Digit Dataset, to measure as well")
    parser.add_argument("--quick", action="store_true", help="one split, a fifth of the synthetic clips, and nothing written")
    given = parser.parse_args(arguments)
    versions = {"neurosim": neurosim.__version__, "numpy": np.__version__, "scikit-learn": sklearn.__version__,
                "python": platform.python_version()}
    kinds = [measured(path, given.quick) for path in [None, *([given.path] if given.path else [])]]
    text = table(kinds, versions)
    print(text)
    if not given.quick:
        kept = json.dumps({"versions": versions, "kinds": kinds}, indent=1)
        (RESULTS / "spoken_baselines.json").write_text(kept + "\n", encoding="utf-8")
        (RESULTS / "spoken_baselines.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
