"""Fill the README's table of speed from the rows of :mod:`.run`, from their file alone.

python -m neurosim.benchmarks.speed.readme [results/speed.jsonl]
"""

import argparse
from pathlib import Path

from . import models
from .run import RESULTS, read_rows
from .table import _number, _ratio, latest, summaries

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- speed-table -->\n", "<!-- end of speed-table -->"
SIMULATORS = {"neurosim": "neurosim", "nest": "NEST", "brian2-cpp": "Brian2, C++", "brian2-cython": "Brian2, Cython"}


def render(rows: list[dict]) -> str:
    """CPU seconds for one biological second, one thread, of the machine with the most measurements.

    A row for each model and size that neurosim has, a column for each simulator; in brackets the ratio to neurosim.
    """
    machine, measured = max(summaries(latest(rows)).items(), key=lambda item: len(item[1]))
    by_size: dict[tuple, dict[str, dict]] = {}
    for s in measured:
        if s["threads"] == 1 and s["peer"] in SIMULATORS and s["model"] in models.MODELS:
            by_size.setdefault((s["model"], s["size"]), {})[s["peer"]] = s
    peers = [peer for peer in SIMULATORS if any(peer in group for group in by_size.values())]
    lines = ["| network | neurons | " + " | ".join(SIMULATORS[peer] for peer in peers) + " |",
             "|---|---|" + "---|" * len(peers)]
    for (model, size), group in sorted(by_size.items()):
        if "neurosim" not in group:
            continue
        cells = [_cell(group, peer) for peer in peers]
        net = models.model(model)
        lines.append(f"| {net.title} | {net.neurons(size):,} | " + " | ".join(cells) + " |")
    versions = ", ".join(sorted({f"{SIMULATORS[p]} {s['version']}" for g in by_size.values() for p, s in g.items()}))
    note = (f"CPU seconds for one second of biological time, one thread, without building; in brackets, times"
            f" neurosim. {machine}; {versions}. Everything else that was measured:"
            f" [speed.md](benchmarks/speed/results/speed.md).")
    return "\n".join([*lines, "", note, ""])


def _cell(group: dict[str, dict], peer: str) -> str:
    if peer not in group:
        return "–"
    seconds = _number(group[peer]["cpu"])
    ratio = _ratio(group[peer], list(group.values()))
    return seconds if peer == "neurosim" or ratio == "–" else f"{seconds} ({ratio})"


def fill(text: str, table: str) -> str:
    """The README's text with the table between its two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README lacks the line {BEGIN.strip()} or {END}")
    return before + begin + table + end + after


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path, nargs="?", default=RESULTS / "speed.jsonl")
    parser.add_argument("--readme", type=Path, default=README)
    a = parser.parse_args()
    rows = read_rows(a.rows)
    if not latest(rows):
        parser.error(f"no measurement in {a.rows}")
    a.readme.write_text(fill(a.readme.read_text(encoding="utf-8"), render(rows)), encoding="utf-8")
    print(a.readme)


if __name__ == "__main__":
    main()
