"""Render the rows of :mod:`.run` as a Markdown table, from their file alone.

python -m neurosim.benchmarks.speed.table [results/speed.jsonl] [--out results/speed.md]
"""

import argparse
from collections import defaultdict
from pathlib import Path

from .run import RESULTS, is_measurement, read_rows, row_key

COLUMNS = (
    "model", "size", "simulator", "threads", "T ms", "CPU s / bio s", "real-time factor", "CPU, neurosim = 1",
    "cold start s", "warm start s", "build s", "peak MB", "rate Hz", "syn. events / CPU s", "runs", "load",
)  # fmt: skip
REFERENCE = "neurosim"
RATE_TOLERANCE = 0.1

LEGEND = """\
Each number is the least of the runs, with the same seed. CPU seconds and the *real-time factor* (wall seconds; below 1
is faster than real time) are of the loop over time alone, for one second of biological time; CPU is user and system
time of all threads. *CPU, neurosim = 1*: how many times the CPU seconds that neurosim took in the same run of the
benchmark, at as many threads. *Cold start*: from starting the process to the first step, with no compiled code ready
(imports, compilation and building); *warm start*: the same with compiled code ready; *build*: the part of it that makes
the network. *Peak*: largest resident memory of the simulating process (of a Brian2 C++ program this is without any
Python). *Synaptic events*: spikes times the mean number of synapses of a neuron; Poisson input is not counted. *Load*:
load average when the runs began, at most. A rate marked `!` is more than 10 % off the mean of the simulators in its
group: there the work is not equal. All compute in double precision.
"""


def latest(rows: list[dict]) -> list[dict]:
    """The newest good row of each key."""
    return list({row_key(row): row for row in rows if is_measurement(row)}.values())


def summary(rows: list[dict]) -> dict:
    """What the table says of the repetitions of one measurement."""
    seconds = rows[0]["duration_ms"] / 1000.0
    best = min(rows, key=lambda row: row["sim_cpu_s"])
    cold = [row for row in rows if row["cache"] != "warm"]
    warm = [row for row in rows if row["cache"] != "cold"]
    return {
        **{name: best[name] for name in ("model", "size", "peer", "version", "threads", "duration_ms", "note")},
        "cpu": best["sim_cpu_s"] / seconds,
        "wall": min(row["sim_wall_s"] for row in rows) / seconds,
        "cold": min((row["import_s"] + row["compile_s"] + row["build_s"] for row in cold), default=None),
        "warm": min((row["import_s"] + row["compile_s"] + row["build_s"] for row in warm), default=None),
        "build": min((row["build_s"] for row in warm), default=None),
        "cpu_by_run": {run: min(row["sim_cpu_s"] for row in rows if row["run"] == run) / seconds
                       for run in {row["run"] for row in rows}},
        "peak": min(row["peak_mb"] for row in rows),
        "rate": sum(row["rate_hz"] for row in rows) / len(rows),
        "events": best["syn_events"] / best["sim_cpu_s"],
        "runs": len(rows),
        "load": max(row["load"] for row in rows),
    }


def summaries(rows: list[dict]) -> dict[str, list[dict]]:
    """By machine, one summary for each model, size, threads and simulator, in this order."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["machine"], row["model"], row["size"], row["threads"], row["peer"], row["duration_ms"]].append(row)
    by_machine = defaultdict(list)
    for key in sorted(groups, key=lambda k: (*k[:4], k[4] != REFERENCE, k[4])):
        by_machine[key[0]].append(summary(groups[key]))
    return dict(by_machine)


def _number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"


def _ratio(own: dict, peers: list[dict]) -> str:
    """CPU seconds of this simulator over those of neurosim, the least of each in the runs that have both."""
    base = next((s["cpu_by_run"] for s in peers if s["peer"] == REFERENCE), {})
    both = base.keys() & own["cpu_by_run"].keys()
    return _number(min(own["cpu_by_run"][run] for run in both) / min(base[run] for run in both)) if both else "–"


def _line(own: dict, peers: list[dict]) -> tuple[str, ...]:
    mean = sum(s["rate"] for s in peers) / len(peers)
    off = " !" if abs(own["rate"] - mean) > RATE_TOLERANCE * mean else ""
    return (
        own["model"], f"{own['size']}", f"{own['peer']} {own['version']}", str(own["threads"]),
        f"{own['duration_ms']:g}", _number(own["cpu"]), _number(own["wall"]), _ratio(own, peers),
        _number(own["cold"]), _number(own["warm"]), _number(own["build"]), _number(own["peak"]),
        _number(own["rate"]) + off, f"{own['events']:.2e}", str(own["runs"]), f"{own['load']:.1f}",
    )  # fmt: skip


def _place(row: dict) -> tuple:
    return row["model"], row["size"], row["peer"]


def render(rows: list[dict]) -> str:
    """The whole page."""
    parts = ["# What a simulation costs", "", LEGEND]
    absent = {_place(row): row["left_out"] for row in rows if "left_out" in row}
    rows = latest(rows)
    for row in rows:
        absent.pop(_place(row), None)
    for machine, measured in summaries(rows).items():
        groups = defaultdict(list)
        for s in measured:
            groups[s["model"], s["size"], s["threads"]].append(s)
        parts += [f"## {machine}", "", "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
        parts += ["| " + " | ".join(_line(s, groups[s["model"], s["size"], s["threads"]])) + " |" for s in measured]
        platforms = sorted({f"{r['platform']['system']}, Python {r['platform']['python']}" for r in rows
                            if r["machine"] == machine})  # fmt: skip
        days = sorted({row["started"][:10] for row in rows if row["machine"] == machine})
        parts += ["", f"Measured {' to '.join(dict.fromkeys((days[0], days[-1])))}; {'; '.join(platforms)}.", ""]
        notes = sorted({f"* {s['model']}, {s['peer']}: {s['note']}." for s in measured if s["note"]})
        parts += ["Where a simulator departs from the model:", "", *notes, ""] if notes else []
    missing = [f"* {model} {size}, {peer}: {reason}." for (model, size, peer), reason in sorted(absent.items())]
    parts += ["Not measured:", "", *missing, ""] if missing else []
    return "\n".join(parts)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path, nargs="?", default=RESULTS / "speed.jsonl")
    parser.add_argument("--out", type=Path, help="default: beside the rows, with the ending .md")
    a = parser.parse_args()
    rows = read_rows(a.rows)
    if not latest(rows):
        parser.error(f"no measurement in {a.rows}")
    out = a.out or a.rows.with_suffix(".md")
    out.write_text(render(rows))
    print(out)


if __name__ == "__main__":
    main()
