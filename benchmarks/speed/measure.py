"""Clocks, memory, the machine, and the row that one measurement leaves: shared by the peers.

A peer's ``run`` returns a row; :func:`main` makes a program of it that prints the row as its last line. Peak memory
is the high-water mark of the process itself (``VmHWM``): ``ru_maxrss`` would be inherited from the process that
started it.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from . import models

CACHE_VARIABLE = "NEUROSIM_SPEED_CACHE"


class NotAvailableError(Exception):
    """A simulator cannot run this model; says why."""


def cpu_seconds() -> float:
    """User and system time of this process, all threads, s."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Stopwatch:
    """Wall and CPU seconds of a ``with`` block.

    Attributes
    ----------
    wall, cpu : float
        s; 0 until the block has ended.
    """

    wall = cpu = 0.0

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()
        return self

    def __exit__(self, *error) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, cpu_seconds() - self._cpu


def peak_mb() -> float:
    """Largest resident memory of this process so far, in units of 1e6 bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def process_age() -> float:
    """Wall seconds since this process was started: the imports, when called first thing after them."""
    import psutil

    return time.time() - psutil.Process().create_time()


def machine() -> dict:
    """Processor, number of cores and operating system of this machine."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x.partition(":")[2].strip() for x in info.read_text().splitlines() if x.startswith("model name")]
        name = names[0] if names else name
    return {"cpu": name, "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def cache_directory() -> Path:
    """Folder for what a peer compiles; a start is cold where nothing fitting lies there.

    It is named by the environment variable ``NEUROSIM_SPEED_CACHE``; without it, a new temporary folder.
    """
    named = os.environ.get(CACHE_VARIABLE)
    folder = Path(named) if named else Path(tempfile.mkdtemp(prefix="neurosim-speed-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def row(
    model_key: str,
    size: float,
    duration: float,
    *,
    peer: str,
    version: str,
    threads: int,
    seed: int,
    spikes: int,
    cache: str,
    import_s: float,
    compile_s: float,
    build_s: float,
    wall_s: float,
    cpu_s: float,
    peak: float,
    update: str = "clock",
    note: str = "",
) -> dict:
    """One measurement, in the order of the columns.

    Parameters
    ----------
    cache : {"cold", "warm", "none"}
        Whether compiled code lay ready at the start; "none" for a peer that compiles nothing.
    import_s, compile_s, build_s : float
        Wall s until the imports were done, of generating and compiling code, and of building the network.
    wall_s, cpu_s : float
        s, of the simulation alone.
    peak : float
        Largest resident memory of the simulating process, MB.
    update : str
        How neurons are updated.
    note : str
        Where this peer departs from the model.
    """
    neurons = models.model(model_key).neurons(size)
    return {
        "model": model_key, "size": size, "neurons": neurons, "duration_ms": duration, "peer": peer, "version": version,
        "update": update, "precision": "double", "threads": threads, "seed": seed, "cache": cache, "import_s": import_s,
        "compile_s": compile_s, "build_s": build_s, "sim_wall_s": wall_s, "sim_cpu_s": cpu_s, "peak_mb": peak,
        "spikes": int(spikes), "rate_hz": spikes / neurons / duration * 1000.0,
        "syn_events": models.synaptic_events(model_key, size, spikes), "note": note,
    }  # fmt: skip


def number(text: str) -> float | int:
    """A size as written on the command line: an integer where it is one, as ``0.1`` is a scale."""
    value = float(text)
    return int(value) if value.is_integer() else value


def main(run: Callable[..., dict], modes: tuple[str, ...]) -> None:
    """Run one measurement as the command line asks and print its row, one line of JSON, at the end.

    What the simulator cannot run leaves a row that only says why, under ``"left_out"``.
    """
    import_s = process_age()
    parser = argparse.ArgumentParser(description=run.__doc__.splitlines()[0])
    parser.add_argument("model", help="M1 to M6, with changes as in M6:pacemaker_fraction=0.05")
    parser.add_argument("size", type=number, help="neurons; for M5 the scale")
    parser.add_argument("--duration", type=float, help="biological time in ms (default: that of the model)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", choices=modes, default=modes[0])
    a = parser.parse_args()
    peer = Path(run.__code__.co_filename).stem.removeprefix("peer_")
    duration = models.default_duration(a.model, a.size, peer) if a.duration is None else a.duration
    try:
        measured = run(a.model, a.size, duration, a.threads, a.seed, a.mode)
        measured["import_s"] += import_s
    except NotAvailableError as error:
        measured = {"left_out": str(error)}
    print(json.dumps(measured), flush=True)
