"""What a PyNN script costs on neurosim, NEST and Brian2, from starting Python to its end; and what connectors cost.

    python -m neurosim.benchmarks.pynn_speed [--repeats 3] [--back-ends neurosim,nest] [--what scripts,connectors]

The script is VAbenchmarks (CUBA and COBA) of PyNN's examples (:mod:`.pynn_source`), unchanged, with NEST and Brian2 as
PyNN imports them, Brian2 both with NumPy and with Cython code.  A process each; the back ends take turns (A B A B).
The folders for compiled code (Numba's, Cython's) start empty, so the first round is cold, the others are warm.  Rows
are appended to results/pynn_speed.jsonl; the newest run is written as tables to results/pynn_speed.md.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from . import pynn_peers, pynn_source
from .speed import measure
from .speed.run import append_row, machine_name, read_rows

RESULTS = Path(__file__).parent / "results" / "pynn_speed.jsonl"
TABLES = RESULTS.with_suffix(".md")
MODELS = ("CUBA", "COBA")
PARTS = {"build": "Build time", "run": "Simulation time", "write": "Writing time"}


@dataclass(frozen=True)
class Peer:
    """A back end as it is measured.

    Attributes
    ----------
    back_end : str
        Of :data:`.pynn_peers.BACK_ENDS`.
    preferences : str
        For Brian2: what its ``brian_preferences`` hold.
    rounds : int
        At most this many.
    """

    back_end: str
    preferences: str = ""
    rounds: int = 1000


CYTHON = 'codegen.target = "cython"\ncodegen.runtime.cython.cache_dir = {cache!r}\n'
PEERS = {
    "neurosim": Peer("neurosim"),
    "nest": Peer("nest"),
    "brian2": Peer("brian2", pynn_peers.PREFERENCES, rounds=1),
    "brian2-cython": Peer("brian2", CYTHON, rounds=2),
}
CONNECTORS = {
    "FixedProbability, 16 million": ("neurosim", "sim.FixedProbabilityConnector(0.1, rng=rng)", 12650),
    "FixedProbability, 1.6 million": ("neurosim nest", "sim.FixedProbabilityConnector(0.1, rng=rng)", 4000),
    "FixedProbability, 160,000": ("neurosim nest brian2", "sim.FixedProbabilityConnector(0.01, rng=rng)", 4000),
    "FromList, 1 million": (
        "neurosim nest", "sim.FromListConnector(pairs(1_000_000))", 4000),
    "FromList, 100,000": (
        "neurosim nest brian2", "sim.FromListConnector(pairs(100_000))", 4000),
    "FixedTotalNumber, 100,000": ("neurosim nest", "sim.FixedTotalNumberConnector(100_000, rng=rng)", 4000),
    "FixedTotalNumber, 10,000": (
        "neurosim nest brian2", "sim.FixedTotalNumberConnector(10_000, rng=rng)", 4000),
}
"""The back ends that get it, the connector, and the size of both populations."""
CONNECT = """\
import time
import numpy
from pyNN.random import NumpyRNG
import {module} as sim

def pairs(n):
    rng = numpy.random.default_rng(1)
    pre, post = rng.integers(0, {size}, n), rng.integers(0, {size}, n)
    return numpy.column_stack([pre, post, rng.uniform(0.0, 1.0, n), numpy.full(n, 1.0)])

sim.setup(timestep=0.1, min_delay=0.1, max_delay=10.0)
pre = sim.Population({size}, sim.IF_curr_exp())
post = sim.Population({size}, sim.IF_curr_exp())
rng = NumpyRNG(seed=1)
connector = {connector}
cpu, wall = time.process_time(), time.perf_counter()
projection = sim.Projection(pre, post, connector, sim.StaticSynapse(weight=0.5, delay=1.0))
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
before = time.perf_counter()
sim.run(0.1)
run = time.perf_counter() - before
print("measured", wall, cpu, run, projection.size())
"""
"""Prints wall and CPU seconds of the projection, wall seconds of a first step, and the number of synapses."""


def run_script(source: Path, model: str, peer: str, cold: bool, cache: Path, timeout: float) -> dict[str, Any]:
    """Run VAbenchmarks once; the row: seconds of the process and of the parts that the script prints, and its rates."""
    one = PEERS[peer]
    script = str(source / "examples" / "VAbenchmarks.py")
    program = ["-m", "neurosim.pynn", script] if one.back_end == "neurosim" else [script]
    done = _run([*program, one.back_end, model], one, cache, timeout)
    row = {"what": "script", "model": model, "peer": peer, "cache": "cold" if cold else "warm"}
    if done.status != 0:
        return row | {"error": done.last_words()}
    parts = {name: float(_found(rf"{label} *: *(\S+) s", done.output)) for name, label in PARTS.items()}
    rates = [float(_found(rf"{which} rate *: *(\S+) Hz", done.output)) for which in ("Excitatory", "Inhibitory")]
    return row | {"wall_s": done.wall, "cpu_s": done.cpu, "rates_hz": rates} | {f"{k}_s": v for k, v in parts.items()}


def run_import(peer: str, cache: Path, timeout: float) -> dict[str, Any]:
    """Time importing the back end alone, in a process."""
    done = _run(["-c", f"import {pynn_peers.BACK_ENDS[PEERS[peer].back_end].module}"], PEERS[peer], cache, timeout)
    row = {"what": "import", "peer": peer, "cache": "warm"}
    return row | ({"wall_s": done.wall, "cpu_s": done.cpu} if done.status == 0 else {"error": done.last_words()})


def run_connector(label: str, peer: str, cache: Path, timeout: float) -> dict[str, Any]:
    """Make one projection; the row: its seconds, those of the first step after it, and the number of its synapses."""
    _, connector, size = CONNECTORS[label]
    module = pynn_peers.BACK_ENDS[PEERS[peer].back_end].module
    program = CONNECT.format(module=module, connector=connector, size=size)
    done = _run(["-c", program], PEERS[peer], cache, timeout)
    row = {"what": "connector", "connector": label, "peer": peer, "cache": "warm"}
    if done.status != 0:
        return row | {"error": done.last_words()}
    wall, cpu, first, n = (float(value) for value in _found(r"^measured (.*)$", done.output).split())
    return row | {"wall_s": wall, "cpu_s": cpu, "first_step_s": first, "synapses": int(n), "process_s": done.wall}


def _run(program: list[str], peer: Peer, cache: Path, timeout: float) -> pynn_peers.Outcome:
    with tempfile.TemporaryDirectory(prefix="pynn-speed-") as name:
        (Path(name) / "Results").mkdir()
        return pynn_peers.run(["-W", "ignore", *program], Path(name), timeout,
                              preferences=peer.preferences.format(cache=str(cache / "cython")),
                              environment={"NUMBA_CACHE_DIR": str(cache / "numba")})  # fmt: skip


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise ValueError(f"the output has no line like {pattern!r}: {text[-500:]!r}")
    return match[1]


def plan(peers: list[str], models: list[str], repeats: int, what: list[str]) -> list[tuple]:
    """What is run, in order: scripts round after round over the peers, then imports, then connectors in turns."""
    jobs: list[tuple] = []
    if "scripts" in what:
        jobs += [("script", model, peer, k == 0) for k in range(repeats) for model in models
                 for peer in peers if k < PEERS[peer].rounds]  # fmt: skip
        jobs += [("import", peer) for _ in range(repeats) for peer in peers]
    if "connectors" in what:
        jobs += [("connector", label, peer) for _ in range(repeats) for label, (on, _, _) in CONNECTORS.items()
                 for peer in peers if peer in on.split()]  # fmt: skip
    return jobs


def run(jobs: list[tuple], out: Path, timeout: float) -> int:
    """Run what is planned and append the rows; the number of failures.  What failed once is not tried again."""
    began, failures, over = time.strftime("%Y-%m-%dT%H:%M:%S%z"), 0, set()
    with tempfile.TemporaryDirectory(prefix="pynn-speed-cache-") as name, tqdm(jobs, unit="run") as bar:
        cache, source = Path(name), pynn_source.unpack(Path(name))
        for kind, *rest in bar:
            key = (kind, *rest[:2])
            if key in over:
                continue
            bar.set_description(" ".join(map(str, key)))
            load = os.getloadavg()[0]
            if kind == "script":
                row = run_script(source, *rest, cache=cache, timeout=timeout)
            elif kind == "import":
                row = run_import(*rest, cache=cache, timeout=timeout)
            else:
                row = run_connector(*rest, cache=cache, timeout=timeout)
            versions = pynn_peers.versions(PEERS[row["peer"]].back_end)
            append_row(out, row | {"run": began, "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "load": load,
                                   "machine": machine_name(), "platform": measure.machine(), "versions": versions})
            if "error" in row:
                over.add(key)
                failures += 1
                tqdm.write(f"{' '.join(map(str, key))}: {row['error']}")
    return failures


def render(rows: list[dict[str, Any]]) -> str:
    """The tables of the newest run in these rows: the least of its repetitions."""
    newest = max(row["run"] for row in rows)
    rows = [row for row in rows if row["run"] == newest]
    good = [row for row in rows if "error" not in row]
    versions = {name: version for row in good for name, version in row["versions"].items()}
    load = max((row["load"] for row in good), default=0.0)
    text = [HEAD.format(run=newest, machine=rows[0]["machine"], load=load,
                        versions=", ".join(f"{name} {version}" for name, version in versions.items()))]  # fmt: skip
    scripts = _grouped(good, "script", "model")
    imports = {row["peer"]: min(r["wall_s"] for r in good if r["what"] == "import" and r["peer"] == row["peer"])
               for row in good if row["what"] == "import"}  # fmt: skip
    if scripts:
        text += [SCRIPTS, "| script | back end | build, run, write s | neurosim = 1 | process s | neurosim = 1 | CPU s "
                          "| cold s | import s | build s | run s | write s | rates Hz | runs |",
                 "|---" * 14 + "|"]  # fmt: skip
    for (model, peer), those in scripts.items():
        warm = [row for row in those if row["cache"] == "warm"] or those
        ours = [row for row in scripts.get((model, "neurosim"), []) if row["cache"] == "warm"]
        best = min(warm, key=_inside)
        wall = min(row["wall_s"] for row in warm)
        numbers = [_inside(best), _inside(best) / min(map(_inside, ours)) if ours else None,
                   wall, wall / min(row["wall_s"] for row in ours) if ours else None, min(row["cpu_s"] for row in warm),
                   min((row["wall_s"] for row in those if row["cache"] == "cold"), default=None), imports.get(peer),
                   best["build_s"], best["run_s"], best["write_s"]]  # fmt: skip
        rates = " / ".join(f"{value:.1f}" for value in best["rates_hz"])
        text.append(f"| {model} | {peer} | {' | '.join(map(_number, numbers))} | {rates} | {len(warm)} |")
    connectors = _grouped(good, "connector", "connector")
    if connectors:
        text += [CONNECTORS_HEAD, "| connector | synapses | back end | wall s | CPU s | first step s | runs |",
                 "|---" * 7 + "|"]  # fmt: skip
    for (label, peer), those in connectors.items():
        numbers = [min(row[name] for row in those) for name in ("wall_s", "cpu_s", "first_step_s")]
        what = f"{label.partition(',')[0]} | {those[0]['synapses']:,}"
        text.append(f"| {what} | {peer} | {' | '.join(map(_number, numbers))} | {len(those)} |")
    failed = sorted({f"* {row.get('model') or row.get('connector') or 'import'}, {row['peer']}: `{row['error']}`"
                     for row in rows if "error" in row})
    return "\n".join([*text, *(["", "Failed:", "", *failed] if failed else [])]) + "\n"


def _grouped(rows: list[dict[str, Any]], what: str, by: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    groups = defaultdict(list)
    for row in rows:
        if row["what"] == what:
            groups[row[by], row["peer"]].append(row)
    order = list(dict.fromkeys(place for place, _ in groups))
    return dict(sorted(groups.items(), key=lambda item: order.index(item[0][0])))


def _inside(row: dict[str, Any]) -> float:
    """Seconds from the first population to the last file, as the script measures them."""
    return sum(row[f"{part}_s"] for part in PARTS)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


HEAD = """\
# Speed of PyNN scripts

Run of {run} on {machine} ({versions}); load average when a run began at most {load:.2f}. The least of the runs counts.
"""
SCRIPTS = """\
## VAbenchmarks, end to end

*Build, run, write*: wall seconds that the script prints for making the network, simulating a second and writing the
files, as a sum and one by one. *Process*: wall seconds from starting Python to its end, and CPU seconds, with compiled
code ready; *cold*: the same in the first round, where what a back end compiles is compiled. *Import*: a process that
only imports the back end; most of that is PyNN's own, the same for all.  neurosim loads its machine code in `setup`, which
the script calls before its clock starts; it counts in *process*.
`brian2` generates NumPy code, `brian2-cython` Cython code.
"""
CONNECTORS_HEAD = """
## Connectors

Seconds to make a projection between two populations, static synapses of one weight and delay; *first step*: what the
back end has put off until it runs.
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = ",".join(name for name in PEERS)
    parser.add_argument("--back-ends", default=usual, help=f"of {usual} (default: all)")
    parser.add_argument("--models", default=",".join(MODELS), help="CUBA, COBA or both, as in CUBA,COBA (default)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds; the first is cold (default 3)")
    parser.add_argument("--what", default="scripts,connectors", help="scripts, connectors or both (default)")
    parser.add_argument("--timeout", type=float, default=1800.0, help="s for one process (default 1800)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of JSON lines; the tables go beside it")
    parser.add_argument("--table-only", action="store_true", help="run nothing, write the tables from the rows")
    a = parser.parse_args()
    peers, models, what = ([one for one in text.split(",") if one] for text in (a.back_ends, a.models, a.what))
    for asked, known in ((peers, PEERS), (models, MODELS), (what, ("scripts", "connectors"))):
        if unknown := set(asked) - set(known):
            parser.error(f"no such thing: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if a.repeats < 2:
        parser.error("--repeats must be >= 2: the first round is cold")
    there = set(pynn_peers.chosen(",".join(dict.fromkeys(PEERS[name].back_end for name in peers)), parser))
    failures = 0
    if not a.table_only:
        jobs = plan([name for name in peers if PEERS[name].back_end in there], models, a.repeats, what)
        failures = run(jobs, a.out, a.timeout)
    tables = render(read_rows(a.out))
    a.out.with_suffix(".md").write_text(tables, encoding="utf-8")
    print(tables)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
