"""Seconds from starting Python to the first simulated spike, with no compiled kernels and with kernels ready.

    python -m neurosim.benchmarks.speed.start [--repeats 5] [--cold 1]

Both are of ``python script.py`` with :data:`SCRIPT`, from starting the process until its first line of output arrives;
a cold start has an empty folder for Numba's cache. Beside them stands ``python -c "import numba"``, which no library on
Numba can undercut. One line of JSON with the least and all of the times is printed and added to results/start.jsonl.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import neurosim

from . import measure, run

SCRIPT = """\
from neurosim import Simulation
from neurosim.models import MODELS

simulation = Simulation(MODELS["cuba"].build(), dt=0.1)
spikes = simulation.run(5.0).spikes("exc")
print(f"neuron {spikes.ids[0]} fires at {spikes.times[0]} ms", flush=True)
"""
IMPORT_NUMBA = 'import numba; print("imported", flush=True)'
OUT = run.RESULTS / "start.jsonl"


def seconds_to_output(command: list[str], cache: Path) -> float:
    """Wall seconds from starting a program until its first line of output.

    Parameters
    ----------
    cache : Path
        Folder for Numba's compiled code.

    Raises
    ------
    RuntimeError
        If it ends without a line, or with an error.
    """
    root = str(Path(neurosim.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    began = time.perf_counter()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        took = time.perf_counter() - began
        _, errors = process.communicate()
    if process.returncode or not line:
        raise RuntimeError(f"{' '.join(command)}: {errors.strip() or f'exit status {process.returncode}'}")
    return took


def measure_start(repeats: int = 5, cold: int = 1) -> dict:
    """Time cold starts, then warm ones and imports of Numba in turns.

    Returns
    -------
    dict
        ``cold_s``, ``warm_s``, ``import_numba_s``: the least; ``all`` has every time by the same names.
    """
    times = {"cold_s": [], "warm_s": [], "import_numba_s": []}
    with tempfile.TemporaryDirectory(prefix="neurosim-start-") as name:
        folder = Path(name)
        script = folder / "script.py"
        script.write_text(SCRIPT)
        for k in range(cold):
            times["cold_s"].append(seconds_to_output([sys.executable, str(script)], folder / f"cache{k}"))
        for _ in range(repeats):
            times["warm_s"].append(seconds_to_output([sys.executable, str(script)], folder / "cache0"))
            command = [sys.executable, "-c", IMPORT_NUMBA]
            times["import_numba_s"].append(seconds_to_output(command, folder / "none"))
    return {what: min(values) for what, values in times.items()} | {"all": times}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="warm starts, and imports of Numba (default 5)")
    parser.add_argument("--cold", type=int, default=1, help="cold starts (default 1; each compiles all kernels)")
    parser.add_argument("--out", type=Path, default=OUT, help="file of JSON lines")
    a = parser.parse_args()
    if a.repeats < 1 or a.cold < 1:
        parser.error("--repeats and --cold must be >= 1")
    row = {
        "benchmark": "start", "machine": run.machine_name(), "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "load": os.getloadavg()[0], "platform": measure.machine(), "version": neurosim.__version__,
    }  # fmt: skip
    row |= measure_start(a.repeats, a.cold)
    run.append_row(a.out, row)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
