"""Measure neurosim and its peers on the same models, in turns, and keep every row.

    python -m neurosim.benchmarks.speed.run --models M1,M3 --repeats 3

Each measurement is a process of its own, with one simulator in it. Repetitions go round the peers (A B A B), so that
a change of the machine's load meets them all; the first round of a model starts Brian2 with an empty cache, that of the
first model neurosim, whose kernels are the same for all. What takes minutes comes last and is measured once or twice
(:data:`BIG`, :data:`REPEATS`). Rows are appended to a file of JSON lines as they come. A run that was stopped goes on
where it was: a row that is in the file, by :data:`KEY`, is not measured again, unless ``--again`` is given; then the
newer row counts.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from . import measure, models

RESULTS = Path(__file__).parent / "results"
KEY = ("machine", "model", "size", "duration_ms", "peer", "threads", "seed", "repeat")
QUICK_MS = 100.0
ORDER = ("M3", "M4", "M6", "M1", "M2", "M5")
"""The usual models, the most telling first."""
BIG = {("M6", 1000000), ("M1", 100000), ("M5", 1)}
"""Model and size of what is measured after everything else."""

# By model, size and family of peer ("brian2" for both kinds). Fewer rounds than asked for, where one takes long:
REPEATS = {
    ("M2", 4000, "nest"): 2,
    ("M5", 0.1, "nest"): 2,
    ("M2", 20000, "nest"): 1,
    ("M3", 12500, "nest"): 2,
    ("M4", 10000, "nest"): 2,
    ("M6", 100000, "nest"): 1,
    ("M6", 1000000, "neurosim"): 2,
    ("M6", 1000000, "nest"): 1,
    ("M6", 1000000, "brian2"): 1,
    ("M1", 100000, "nest"): 1,
    ("M1", 100000, "brian2"): 2,
    ("M5", 1, "neurosim"): 1,
    ("M5", 1, "nest"): 1,
}
# Free memory that a process needs, in units of 1e9 bytes:
MEMORY = {
    ("M6", 1000000, "nest"): 10.0,
    ("M6", 1000000, "brian2"): 3.0,
    ("M5", 1, "neurosim"): 4.0,
    ("M5", 1, "nest"): 16.0,
}
# Not measured at all, and why:
LEFT_OUT = {
    ("M5", 1, "brian2"): "0.3 billion synapses would be drawn in Python",
    ("M6", 1000000, "brian2-cython"): "the C++ program of Brian2 stands for it at this size",
    ("M1", 100000, "brian2-cython"): "the C++ program of Brian2 stands for it at this size",
}


@dataclass(frozen=True)
class Peer:
    """A simulator: how it is run, and how often.

    Attributes
    ----------
    module, mode : str
        What runs it.
    needs : str
        Package that must be installed.
    compiles : {"once", "model", ""}
        Whether it compiles code: the same for all models, or for each one.
    threads : bool
        Whether it takes more than one.
    rounds : int
        At most this many.
    """

    module: str
    mode: str
    needs: str
    compiles: str
    threads: bool = True
    rounds: int = 1000

    def missing(self) -> bool:
        """Whether the package of this simulator is not installed."""
        return importlib.util.find_spec(self.needs) is None


PEERS = {
    "neurosim": Peer("peer_neurosim", "auto", "numba", compiles="once"),
    "neurosim-clock": Peer("peer_neurosim", "clock", "numba", compiles="once"),
    "neurosim-event": Peer("peer_neurosim", "event", "numba", compiles="once"),
    "nest": Peer("peer_nest", "grid", "nest", compiles=""),
    "brian2-cpp": Peer("peer_brian2", "cpp", "brian2", compiles="model"),
    "brian2-cython": Peer("peer_brian2", "cython", "brian2", compiles="model", threads=False, rounds=2),
}
USUAL = ("neurosim", "nest", "brian2-cpp", "brian2-cython")
QUICK = USUAL[:3]


@dataclass(frozen=True)
class Job:
    """One measurement to make; with ``machine`` its fields are the key of its row."""

    model: str
    size: float
    duration_ms: float
    peer: str
    threads: int
    seed: int
    repeat: int

    def look_up(self, table: dict, default=None):
        """What a table has for this model, size and peer, or for this model, size and the peer's family."""
        place = self.model.partition(":")[0], self.size
        return table.get((*place, self.peer), table.get((*place, self.peer.partition("-")[0]), default))

    @property
    def label(self) -> str:
        """Short name for the progress bar."""
        return f"{self.model} {self.size:g} {self.peer} x{self.threads} #{self.repeat}"


def machine_name() -> str:
    """Processor and number of cores: rows of different machines are never compared."""
    m = measure.machine()
    return f"{m['cpu']}, {m['cores']} cores"


def plan(
    keys: list[str],
    sizes: list[float] | None,
    peers: list[str],
    threads: list[int],
    repeats: int,
    seed: int,
    quick: bool,
) -> list[Job]:
    """Every measurement, in the order of making them: for each model and size, round after round over the peers.

    The rounds of a peer are numbered from 0 where the first starts with an empty cache, else from 1.
    """
    jobs = []
    for key in keys:
        wanted = sizes or (models.model(key).sizes[:1] if quick else models.model(key).sizes)
        for size in wanted:
            for repeat in range(repeats):
                for n in threads:
                    for name in peers:
                        if n > 1 and not PEERS[name].threads:
                            continue
                        duration = QUICK_MS if quick else models.default_duration(key, size, name)
                        cold = size == wanted[0] and n == threads[0] and (
                            key == keys[0] or PEERS[name].compiles != "once")
                        job = Job(key, size, duration, name, n, seed, repeat + (not cold))
                        if repeat < min(PEERS[name].rounds, job.look_up(REPEATS, repeats)):
                            jobs.append(job)
    return sorted(jobs, key=lambda job: (job.model.partition(":")[0], job.size) in BIG)


def row_key(row: dict) -> tuple:
    """What tells a row from the others."""
    return tuple(row[name] for name in KEY)


def read_rows(path: Path) -> list[dict]:
    """All rows of a file of JSON lines; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def is_measurement(row: dict) -> bool:
    """Whether a row holds a measurement, not the reason why there is none."""
    return "error" not in row and "left_out" not in row


def append_row(path: Path, row: dict) -> None:
    """Write one row at the end of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def _environment(job: Job, cache: Path) -> dict:
    """Environment of the measured process: its folder for compiled code, and no threads but those asked for."""
    peer = PEERS[job.peer]
    folder = cache / (peer.module if peer.compiles == "once" else job.peer)
    if job.repeat == 0 and peer.compiles:
        shutil.rmtree(folder, ignore_errors=True)
    return os.environ | {
        measure.CACHE_VARIABLE: str(folder),
        "NUMBA_CACHE_DIR": str(folder),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": str(job.threads),
    }


def reason_to_leave_out(job: Job) -> str:
    """Why this is not measured on this machine now; empty if it is."""
    import psutil

    free, needed = psutil.virtual_memory().available / 1e9, job.look_up(MEMORY, 0.0)
    if free < needed:
        return f"needs {needed:g} GB of free memory, {free:.1f} GB are free"
    return job.look_up(LEFT_OUT, "")


def measure_job(job: Job, cache: Path, timeout: float) -> dict:
    """Run one measurement in a fresh process; the row, or ``"error"`` (it failed) or ``"left_out"`` (it cannot run)."""
    peer = PEERS[job.peer]
    command = [
        sys.executable, "-W", "ignore", "-m", f"{__package__}.{peer.module}", job.model, f"{job.size!r}",
        "--duration", f"{job.duration_ms!r}", "--threads", str(job.threads), "--seed", str(job.seed),
        "--mode", peer.mode,
    ]  # fmt: skip
    where = asdict(job) | {
        "machine": machine_name(), "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "load": os.getloadavg()[0],
        "platform": measure.machine(),
    }  # fmt: skip
    if reason := reason_to_leave_out(job):
        return where | {"left_out": reason}
    try:
        done = subprocess.run(
            command, env=_environment(job, cache), capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return where | {"error": f"not done after {timeout:g} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        said = (done.stderr or done.stdout).strip().splitlines()
        return where | {"error": said[-1] if said else f"exit status {done.returncode}"}
    return json.loads(lines[-1]) | where


def measure_all(jobs: list[Job], out: Path, cache: Path, again: bool, timeout: float) -> int:
    """Make the measurements that are not in the file; the number of those that failed.

    Every row gets the time at which this run of all began as ``run``: only rows of one run are compared. A failure, or
    what was left out, is stored as a row that says so, named, and tried again the next time; further repetitions of
    that peer on that model and size are not.
    """
    name, began = machine_name(), time.strftime("%Y-%m-%dT%H:%M:%S%z")
    done = set() if again else {row_key(row) for row in read_rows(out) if is_measurement(row)}
    jobs = [job for job in jobs if (name, *asdict(job).values()) not in done]
    failures, over = 0, set()
    with tqdm(jobs, unit="run") as bar:
        for job in bar:
            what = (job.model, job.size, job.peer, job.threads)
            if what in over:
                continue
            bar.set_description(job.label)
            row = measure_job(job, cache, timeout) | {"run": began}
            append_row(out, row)
            if not is_measurement(row):
                over.add(what)
                failures += "error" in row
                tqdm.write(f"{job.label}: {row.get('error') or 'left out, ' + row['left_out']}")
    return failures


def _list(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=_list, default=list(ORDER),
                        help=f"as in M1,M3 (default {','.join(ORDER)})")  # fmt: skip
    parser.add_argument("--sizes", type=_list, help="instead of the sizes of the models, as in 4000,20000")
    parser.add_argument(
        "--peers", type=_list,
        help=f"of {','.join(PEERS)} (default {','.join(USUAL)}; quick {','.join(QUICK)})",
    )
    parser.add_argument("--repeats", type=int, help="rounds, fewer of what takes long (default 3; quick: 1)")
    parser.add_argument("--threads", type=_list, default=["1"], help="as in 1,2 (default 1)")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same in all rounds: the least time of equal work counts"
    )
    parser.add_argument("--quick", action="store_true", help=f"smallest sizes, {QUICK_MS:g} ms: to see that it works")
    parser.add_argument("--again", action="store_true", help="measure also what is in the file already")
    parser.add_argument("--timeout", type=float, default=3600.0, help="s for one measurement (default 3600)")
    parser.add_argument(
        "--out", type=Path, help="file of JSON lines (default results/speed.jsonl or results/quick.jsonl)"
    )
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "neurosim-speed",
                        help="folder for what the peers compile; emptied in the first round")  # fmt: skip
    a = parser.parse_args()
    for key in a.models:
        models.model(key)
    a.peers = a.peers or list(QUICK if a.quick else USUAL)
    a.repeats = a.repeats or (1 if a.quick else 3)
    if unknown := set(a.peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return a


def main() -> None:
    """The command line."""
    a = _arguments()
    out = a.out or RESULTS / ("quick.jsonl" if a.quick else "speed.jsonl")
    for name in a.peers:
        if PEERS[name].missing():
            print(f"{name}: left out, {PEERS[name].needs} is not installed")
    peers = [name for name in a.peers if not PEERS[name].missing()]
    sizes = [measure.number(size) for size in a.sizes] if a.sizes else None
    jobs = plan(a.models, sizes, peers, [int(n) for n in a.threads], a.repeats, a.seed, a.quick)
    print(f"{machine_name()}; load {os.getloadavg()[0]:.2f}; rows go to {out}")
    failures = measure_all(jobs, out, a.cache, a.again, a.timeout)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
