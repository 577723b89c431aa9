"""PyNN's system scenarios on neurosim and on PyNN's own back ends: which of them pass?

    python -m neurosim.benchmarks.pynn_scenarios [--back-ends neurosim,nest] [--only test_scenario1]

The scenarios are functions of PyNN's test suite, which lies in its source distribution (:mod:`.pynn_source`).  Each
runs in a process and a temporary folder of its own, on the back ends that its authors offer it to; on neurosim all run.
Outcomes are kept in results/pynn_scenarios.json, where a run replaces those that it asked for, and written as a table
to docs/pynn_scenarios.md.
"""

import importlib
import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tqdm import tqdm

from . import pynn_peers, pynn_source

PACKAGE = "pynn_system_scenarios"
RESULTS = Path(__file__).parent / "results" / "pynn_scenarios.json"
PAGE = Path(__file__).parent.parent / "docs" / "pynn_scenarios.md"
NOT_OFFERED = "–"
OTHERS = tuple(name for name in pynn_peers.BACK_ENDS if name != "neurosim")


@dataclass(frozen=True)
class Scenario:
    """A scenario function.

    Attributes
    ----------
    name : str
        Its file and its name, as in ``test_scenario1.test_scenario1a``.
    offered : tuple of str
        The back ends that PyNN's test suite runs it on.
    function : callable
        Takes the module of a back end; fails with an exception.
    """

    name: str
    offered: tuple[str, ...]
    function: Callable[..., Any]


def scenarios(source: Path) -> dict[str, Scenario]:
    """All scenario functions of an unpacked source distribution, by name.

    They are imported as modules of a package :data:`PACKAGE`, in which the decorator that would make tests for PyNN's
    back ends only notes their names.
    """
    folder = source / "test" / "system" / "scenarios"
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    package, fixtures = ModuleType(PACKAGE), ModuleType(f"{PACKAGE}.fixtures")
    package.__path__ = [str(folder)]
    fixtures.__dict__["run_with_simulators"] = _noting
    sys.modules |= {PACKAGE: package, fixtures.__name__: fixtures}
    found = {}
    for path in sorted(folder.glob("test_*.py")):
        module = importlib.import_module(f"{PACKAGE}.{path.stem}")
        for thing in vars(module).values():
            if hasattr(thing, "offered_to"):
                name = f"{path.stem}.{thing.__name__}"
                found[name] = Scenario(name, thing.offered_to, thing)
    return found


def _noting(*names: str) -> Callable:
    def note(function):
        function.offered_to = names
        return function

    return note


def _main_one(source: str, name: str, back_end: str) -> None:
    """In the process of one scenario: run it, and say as the last line how it went."""
    import pytest

    function = scenarios(Path(source))[name].function
    sim = pynn_peers.load(back_end)
    try:
        function(sim)
    except pytest.skip.Exception as reason:
        print(f"\nskipped: {reason}", flush=True)
    except Exception as error:
        traceback.print_exc()
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        text = f"{type(error).__name__}: {text[:200]} ({Path(where.filename).name}:{where.lineno})"
        print(f"\nfailed: {text}", flush=True)
    else:
        print("\npassed", flush=True)


def outcome(source: Path, name: str, back_end: str, timeout: float) -> dict[str, Any]:
    """Run one scenario on one back end, in a process of its own.

    Returns
    -------
    dict
        ``outcome`` ("passed", "failed" or "skipped"), ``seconds`` of the process, and ``said``, why it did not pass.
    """
    program = f"from {__package__}.pynn_scenarios import _main_one; _main_one(*{[str(source), name, back_end]!r})"
    with tempfile.TemporaryDirectory(prefix="pynn-scenario-") as folder:
        done = pynn_peers.run(["-W", "ignore", "-c", program], Path(folder), timeout)
    result, _, said = done.output.strip().rpartition("\n")[2].partition(": ")
    if done.status != 0 or result not in ("passed", "failed", "skipped"):
        result, said = "failed", done.last_words()
    return {"outcome": result, "seconds": round(done.wall, 1), "said": said}


def run(source: Path, back_ends: list[str], only: str, timeout: float, results: Path) -> int:
    """Run the scenarios whose name contains ``only`` and keep what came out; the number of those that failed."""
    every = scenarios(source)
    kept = read(results)
    kept["scenarios"] = {name: list(one.offered) for name, one in every.items()}
    failures = 0
    jobs = [(name, back_end) for back_end in back_ends for name, one in every.items()
            if only in name and (back_end == "neurosim" or back_end in one.offered)]  # fmt: skip
    with tqdm(jobs, unit="run") as bar:
        for name, back_end in bar:
            bar.set_description(f"{back_end} {name}")
            got = outcome(source, name, back_end, timeout)
            column = kept["back_ends"].setdefault(back_end, {"outcomes": {}})
            column |= {"versions": pynn_peers.versions(back_end), "ended": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
            column["outcomes"][name] = got
            failures += got["outcome"] == "failed"
            if got["said"]:
                tqdm.write(f"{back_end} {name} {got['outcome']}: {got['said']}")
            results.parent.mkdir(parents=True, exist_ok=True)
            results.write_text(json.dumps(kept, indent=1) + "\n")
    return failures


def read(results: Path = RESULTS) -> dict[str, Any]:
    """The outcomes that are kept: ``scenarios`` with the back ends that each is offered to, and ``back_ends``."""
    return json.loads(results.read_text()) if results.exists() else {"scenarios": {}, "back_ends": {}}


def render(kept: dict[str, Any]) -> str:
    """The page: a table of function x back end, and why something did not pass."""
    names = [name for name in pynn_peers.BACK_ENDS if name in kept["back_ends"]]
    versions = {name: kept["back_ends"][name]["versions"] for name in names}
    heads = [f"{name} {versions[name][name]}" for name in names]
    lines = [f"| scenario | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    notes, totals = [], {name: Counter() for name in names}
    for scenario in sorted(kept["scenarios"]):
        cells = []
        for name in names:
            got = kept["back_ends"][name]["outcomes"].get(scenario)
            cells.append(got["outcome"] if got else NOT_OFFERED if scenario not in offered(kept, name) else "not run")
            totals[name].update([cells[-1]] if cells[-1] != NOT_OFFERED else [])
            if got and got["outcome"] != "passed":
                notes.append(f"* {scenario}, {name}: {got['outcome']}, `{got['said']}`")
        lines.append(f"| {scenario} | {' | '.join(cells)} |")
    counts = [", ".join(f"{n} {what}" for what, n in sorted(totals[name].items())) for name in names]
    lines.append(f"| **{len(kept['scenarios'])} functions** | {' | '.join(counts)} |")
    seconds = [sum(got["seconds"] for got in kept["back_ends"][name]["outcomes"].values()) for name in names]
    lines.append(f"| s, all processes | {' | '.join(f'{value:.0f}' for value in seconds)} |")
    common = versions[names[0]] if names else {}
    stands = ", ".join(f"{name} {version}" for name, version in common.items() if name != names[0])
    why = "\n## What did not pass\n\n" + "\n".join(notes) + "\n" if notes else ""
    return f"{HEAD.format(stands=stands)}\n" + "\n".join(lines) + f"\n{why}"


def offered(kept: dict[str, Any], back_end: str) -> set[str]:
    """The scenarios that a back end is asked to run: on neurosim, all."""
    return {name for name, offers in kept["scenarios"].items() if back_end == "neurosim" or back_end in offers}


HEAD = """\
# PyNN's system scenarios

PyNN tests its back ends with scenarios: functions that build, run and check a small network, in `test/system/scenarios`
of its source distribution. `python -m neurosim.benchmarks.pynn_scenarios` fetches that, runs every function in a
process of its own and writes this page ({stands}).

*passed*, *failed* and *skipped* (by the function itself) are what was found; “–”: PyNN's decorator does not offer the
function to that back end. On neurosim all run. `issue367` has no `test_` in its name, so PyNN's own test run leaves it
out. Brian2 generates NumPy code here, as compiling takes longer than the scenarios.
"""


def main() -> None:
    """The command line."""
    parser = pynn_peers.options(__doc__, "scenario", 900.0, RESULTS, PAGE)
    a = parser.parse_args()
    back_ends = pynn_peers.chosen(a.back_ends, parser)
    failures = 0
    if not a.table_only:
        with tempfile.TemporaryDirectory(prefix="pynn-source-") as folder:
            failures = run(pynn_source.unpack(Path(folder)), back_ends, a.only, a.timeout, a.results)
    kept = read(a.results)
    a.page.parent.mkdir(parents=True, exist_ok=True)
    a.page.write_text(render(kept), encoding="utf-8")
    for name, column in kept["back_ends"].items():
        print(name, dict(Counter(got["outcome"] for got in column["outcomes"].values())))
    sys.exit(1 if failures and not a.table_only else 0)


if __name__ == "__main__":
    main()
