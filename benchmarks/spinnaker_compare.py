"""What SpiNNaker's steps and fixed point change in networks of the literature, and how fast the emulator is.

    python -m neurosim.benchmarks.spinnaker_compare [--duration 1000] [--models cuba,coba,microcircuit] [--pictures docs]

Each network is simulated three times with the same input (`neurosim.hardware.spinnaker.compare`): exactly, in the machine's scheme of steps
in double precision, and in its fixed point.  Tables go to results/spinnaker_compare.md, numbers beside it as JSON, a
picture of each network into the folder that is named.  The emulator's speed is that of a run of its own, one thread, after its
first 100 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from neurosim import models
from neurosim.hardware.spinnaker.compare import Comparison, compare
from neurosim.hardware.spinnaker.emulation import Emulation
from neurosim.network import Network

from .speed.run import machine_name

RESULTS = Path(__file__).parent / "results" / "spinnaker_compare.json"


class Case(NamedTuple):
    """A network: model, scale, step of the machine (ms), and what sPyNNaker is told besides."""

    model: str
    scale: float
    dt: float
    note: str
    settings: dict[str, Any] = {}


# The greatest sum of inputs of a step that is made room for (uS), where sPyNNaker's estimate for conductances is too low.
_ROOM = {"max_expected_summed_weight": {"exc": (0.25, 2.0), "inh": (0.25, 2.0)}}
CASES = {
    "cuba": Case("cuba", 1.0, 1.0, "Vogels-Abbott, currents, 4000 cells"),
    "coba": Case("coba", 1.0, 1.0, "Vogels-Abbott, conductances, 4000 cells"),
    "coba_fine": Case("coba", 1.0, 0.1, "the same in steps of 0.1 ms, with room in the ring buffers", _ROOM),
    "microcircuit": Case("microcircuit", 0.1, 0.1, "Potjans & Diesmann at a scale of 0.1, 7717 cells"),
}


def measure(network: Network, case: Case, duration: float) -> float:
    """CPU seconds of the emulator for a second of the machine's time."""
    emulation = Emulation(network, dt=case.dt, **case.settings)
    emulation.run(100.0)
    emulation.clear()
    began = time.process_time()
    emulation.run(duration)
    return (time.process_time() - began) * 1000.0 / duration


def told(name: str, case: Case, comparison: Comparison, cpu: float) -> str:
    """A network's part of the page."""
    return "\n".join([f"## {name}", "", f"{case.note}; the emulator takes {cpu:.3g} CPU s for a second of the machine's time"
                      f" ({1.0 / cpu:.3g} x real time).", "", "```text", str(comparison), "```", ""])


def main(arguments: list[str] | None = None) -> int:
    """Compare, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--duration", type=float, default=1000.0, help="ms")
    parser.add_argument("--models", default=",".join(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each network")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    unknown = [name for name in given.models.split(",") if name not in CASES]
    if unknown:
        parser.error(f"unknown model {unknown[0]!r}; there are: {', '.join(CASES)}")
    rows = {}
    parts = ["# Exact, in steps, in fixed point\n\n"
             f"`python -m neurosim.benchmarks.spinnaker_compare`, {machine_name()}, {given.duration:g} ms.\n"]
    for name in tqdm(given.models.split(","), disable=not sys.stderr.isatty()):
        case = CASES[name]
        network = models.MODELS[case.model].build(case.scale, 1, case.dt)
        comparison = compare(network, given.duration, dt=case.dt, **case.settings)
        cpu = measure(network, case, given.duration)
        rows[name] = {**comparison.as_dict(), "scale": case.scale, "cpu_s_per_s": cpu, "machine": machine_name()}
        parts.append(told(name, case, comparison, cpu))
        if given.pictures:
            comparison.plot().savefig(given.pictures / f"spinnaker_{name}.png")
    given.results.write_text(json.dumps(rows, indent=1, default=str) + "\n", encoding="utf-8")
    given.results.with_suffix(".md").write_text("\n".join(parts), encoding="utf-8")
    print("\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
