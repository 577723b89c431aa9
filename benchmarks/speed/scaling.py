"""Cost of neurosim against size, activity and threads.

    python -m neurosim.benchmarks.speed.scaling [--sweeps size,activity,threads] [--largest 1000000]
    python -m neurosim.benchmarks.speed.scaling --figure          # draws results/scaling.png from the rows alone

Sizes: M1 (all neurons fire) and M6 (1 % of them do) from 1,000 to 1,000,000 neurons with the same number of inputs
each. Activity: M6 with more and more pacemakers, under each way of updating. Threads: M1, M3 and M6, from one to all
cores. Every point is a process of its own, as in :mod:`.run`, whose rows these are; each simulates one biological
second, once.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import models, run
from .table import latest

SIZES = (1000, 3000, 10000, 30000, 100000, 300000, 1000000)
FRACTIONS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
ACTIVITY_SIZE = 100000
THREADED = (("M1", 100000), ("M3", 12500), ("M6", 1000000))
DURATION = 1000.0
OUT = run.RESULTS / "scaling.jsonl"
PEERS = ("neurosim", "neurosim-clock", "neurosim-event")
ROUND = 1  # not round 0 of run.py, which empties the cache


def thread_counts(cores: int) -> list[int]:
    """Powers of two up to the number of cores, and that number.

    Examples
    --------
    >>> thread_counts(6)
    [1, 2, 4, 6]
    """
    return sorted({1 << k for k in range(cores.bit_length()) if 1 << k <= cores} | {cores})


def sweep_size(largest: int) -> list[run.Job]:
    """M1 and M6 at every size."""
    return [run.Job(key, n, DURATION, "neurosim", 1, 1, ROUND) for key in ("M1", "M6") for n in SIZES if n <= largest]


def sweep_activity(largest: int) -> list[run.Job]:
    """M6 with a growing share of neurons that fire, under each way of updating."""
    n = min(ACTIVITY_SIZE, largest)
    return [
        run.Job(f"M6:pacemaker_fraction={fraction:g}", n, DURATION, peer, 1, 1, ROUND)
        for fraction in FRACTIONS
        for peer in PEERS
    ]


def sweep_threads(largest: int) -> list[run.Job]:
    """Three models at growing numbers of threads."""
    return [
        run.Job(key, min(n, largest), DURATION, "neurosim", threads, 1, ROUND)
        for key, n in THREADED
        for threads in thread_counts(os.cpu_count() or 1)
    ]


SWEEPS = {"size": sweep_size, "activity": sweep_activity, "threads": sweep_threads}


def figure(rows: list[dict], path: Path):
    """Draw the three sweeps beside each other and save them.

    Parameters
    ----------
    rows : list of dict
        Of :mod:`.run`, of one machine.
    path : Path
        Where the picture goes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(12, 3.8), layout="constrained")
    size, activity, threads = canvas.subplots(1, 3)
    plain = [row for row in rows if row["peer"] == "neurosim" and ":" not in row["model"]]
    _lines(size, [r for r in plain if r["threads"] == 1 and r["model"] in ("M1", "M6")], _title, "neurons", "sim_cpu_s")
    size.set(title="size, one thread", xlabel="neurons", ylabel="CPU s per biological s", xscale="log", yscale="log")
    swept = [row for row in rows if row["model"].startswith("M6:")]
    _lines(activity, swept, lambda row: f"update=\"{row['update']}\"", "rate_hz", "sim_cpu_s")
    neurons = ", ".join(f"{n:,}" for n in sorted({row["neurons"] for row in swept}))
    activity.set(title=f"activity, {neurons} neurons" if swept else "activity", xlabel="mean rate (Hz)",
                 ylabel="CPU s per biological s", xscale="log", yscale="log")  # fmt: skip
    counts = {}
    for row in plain:
        counts.setdefault((row["model"], row["size"]), set()).add(row["threads"])
    shared = [row for row in plain if len(counts[row["model"], row["size"]]) > 1]
    _lines(threads, shared, lambda row: f"{_title(row)}, {row['neurons']:,}", "threads", "sim_wall_s")
    threads.set(title="threads", xlabel="threads", ylabel="wall s per biological s", ylim=(0.0, None),
                xticks=sorted({row["threads"] for row in shared}))  # fmt: skip
    canvas.suptitle(", ".join(sorted({row["machine"] for row in rows})), fontsize="small")
    canvas.savefig(path, dpi=150)
    return canvas


def _title(row: dict) -> str:
    return f"{row['model']} {models.model(row['model']).title}"


def _lines(axes, rows: list[dict], by: Callable[[dict], str], x: str, y: str) -> None:
    """One line for each value of ``by``; ``y`` is taken for one biological second."""
    for name in sorted({by(row) for row in rows}):
        points = sorted((row[x], row[y] * 1000.0 / row["duration_ms"]) for row in rows if by(row) == name)
        axes.plot(*zip(*points, strict=True), "o-", markersize=4, label=name)
    if rows:
        axes.legend(frameon=False)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", default=",".join(SWEEPS), help=f"of {','.join(SWEEPS)} (default: all)")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="no network larger than this")
    parser.add_argument("--out", type=Path, default=OUT, help="file of JSON lines")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "neurosim-speed-scaling")
    parser.add_argument("--timeout", type=float, default=3600.0, help="s for one point")
    parser.add_argument("--again", action="store_true", help="measure also what is in the file already")
    parser.add_argument("--figure", action="store_true", help="only draw the figure, beside the rows")
    a = parser.parse_args()
    failures = 0
    if not a.figure:
        jobs = [job for name in a.sweeps.split(",") for job in SWEEPS[name](a.largest)]
        failures = run.measure_all(list(dict.fromkeys(jobs)), a.out, a.cache, a.again, a.timeout)
    rows = [row for row in latest(run.read_rows(a.out)) if row["machine"] == run.machine_name()]
    if rows:
        figure(rows, a.out.with_suffix(".png"))
        print(a.out.with_suffix(".png"))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
