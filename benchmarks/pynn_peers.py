"""The PyNN back ends that are compared: how each is imported, told apart and run in a process of its own."""

import argparse
import importlib.metadata
import importlib.util
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import neurosim

from ..extras import need

__all__ = ["BACK_ENDS", "BackEnd", "Outcome", "chosen", "load", "run", "versions"]


@dataclass(frozen=True)
class BackEnd:
    """A PyNN back end.

    Attributes
    ----------
    module : str
        What a script imports.
    distribution, needs : str
        What brings the simulator: the distribution and its module.
    """

    module: str
    distribution: str
    needs: str

    def missing(self) -> str:
        """The module that is not installed; empty if all are."""
        absent = [name for name in ("pyNN", self.needs) if importlib.util.find_spec(name) is None]
        return absent[0] if absent else ""


BACK_ENDS = {
    "neurosim": BackEnd("neurosim.pynn", "neurosim-snn", "neurosim"),
    "nest": BackEnd("pyNN.nest", "nest-simulator", "nest"),
    "neuron": BackEnd("pyNN.neuron", "neuron", "neuron"),
    "brian2": BackEnd("pyNN.brian2", "brian2", "brian2"),
}
PREFERENCES = 'codegen.target = "numpy"\n'
"""For Brian2: a compiler run for each object takes minutes, and longer than what is simulated."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes
    ----------
    status : int or None
        Its exit status; None if it was stopped at the time limit.
    wall, cpu : float
        s, of the process and those that it started.
    output, errors : str
    """

    status: int | None
    wall: float
    cpu: float
    output: str
    errors: str

    def last_words(self) -> str:
        """The last line that it wrote, of its errors if there are any."""
        said = [line.strip() for line in (self.errors.strip() or self.output).splitlines() if line.strip()]
        return said[-1][:300] if said else f"exit status {self.status}"


def load(name: str) -> ModuleType:
    """The module of a back end."""
    return need(BACK_ENDS[name].module, "peers" if name != "neurosim" else "pynn")


def options(about: str, unit: str, timeout: float, results: Path, page: Path) -> argparse.ArgumentParser:
    """What the commands that run things on the back ends, one by one, have in common; ``unit``: what one of these is called."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--back-ends", default=",".join(BACK_ENDS), help="as in neurosim,nest (default: all four)")
    parser.add_argument("--only", default="", help=f"run what has this in the name of its {unit}")
    parser.add_argument("--timeout", type=float, default=timeout, help=f"s for one {unit} (default {timeout:g})")
    parser.add_argument("--results", type=Path, default=results, help="file of JSON")
    parser.add_argument("--page", type=Path, default=page, help="file of Markdown; pictures lie beside it")
    parser.add_argument("--table-only", action="store_true", help="run nothing, write the page from the results")
    return parser


def chosen(text: str, parser: argparse.ArgumentParser) -> list[str]:
    """The back ends that a command line asks for, as in ``neurosim,nest``; says which of them are not installed."""
    asked = [name for name in text.split(",") if name]
    if unknown := set(asked) - set(BACK_ENDS):
        parser.error(f"no such back end: {', '.join(sorted(unknown))}; there are {', '.join(BACK_ENDS)}")
    for name in asked:
        if absent := BACK_ENDS[name].missing():
            print(f"{name}: left out, {absent} is not installed")
    return [name for name in asked if not BACK_ENDS[name].missing()]


def versions(name: str) -> dict[str, str]:
    """Versions of a back end's simulator, and of what all of them stand on."""
    simulator = neurosim.__version__ if name == "neurosim" else importlib.metadata.version(BACK_ENDS[name].distribution)
    return {name: simulator} | {other: importlib.metadata.version(other) for other in ("PyNN", "neo", "numpy")} | {
        "python": sys.version.split()[0]}


def run(
    command: list[str],
    folder: Path,
    timeout: float,
    preferences: str = PREFERENCES,
    environment: dict[str, str] | None = None,
) -> Outcome:
    """Run Python in a folder, with this package importable, no display, one thread, and Brian2 told how to compile.

    Parameters
    ----------
    command : list of str
        What follows ``python``.
    timeout : float
        s
    preferences : str
        What the file ``brian_preferences`` in that folder holds.
    environment : dict, optional
        Further variables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "brian_preferences").write_text(preferences)
    path = os.pathsep.join(filter(None, [str(Path(neurosim.__file__).parent.parent), os.environ.get("PYTHONPATH")]))
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])  # NEURON's own
    env = os.environ | {"PYTHONPATH": path, "PATH": programs, "MPLBACKEND": "Agg", "PYNEST_QUIET": "1",
                        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | (environment or {})  # fmt: skip
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    try:
        done = subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, timeout=timeout, check=False)  # fmt: skip
        status, output, errors = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        status, output, errors = None, "", f"not done after {timeout:g} s"
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Outcome(status, wall, cpu, output, errors)
