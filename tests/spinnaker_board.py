"""The virtual board of sPyNNaker for tests: a PyNN script goes in, what would be loaded onto each core comes out.

sPyNNaker runs in an interpreter of its own, in a folder of its own that is its home as well: it writes configuration and reports, and
changes logging.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent

CFG = """[Machine]
version = 5
virtual_board = True
[Mode]
mode = Production
[Reports]
keep_dataspec_database = True
[Logging]
instantiate = False
"""

# Runs a script, and writes down what sPyNNaker made of it before it is told to end.
RUNNER = '''
import json, runpy, sys
import pyNN.spiNNaker as sim
end, sim.end = sim.end, lambda *ignored: None
sys.argv = sys.argv[1:]
names = runpy.run_path(sys.argv[0], run_name="__main__")
from spynnaker.pyNN.data import SpynnakerDataView as View
cores = []
infos = View.get_routing_infos()
for at in View.iterate_placemements():
    vertex = at.vertex
    piece = vertex.vertex_slice
    keys = [[int(info.key), int(info.mask)] for name in infos.get_partitions_from(vertex)
            for info in [infos.get_info_from(vertex, name)]]
    cores.append({"x": at.x, "y": at.y, "p": at.p, "binary": vertex.get_binary_file_name(), "kind": type(vertex).__name__,
                  "label": vertex.app_vertex.label if vertex.app_vertex else vertex.label, "first": int(piece.lo_atom),
                  "last": int(piece.hi_atom), "keys": keys, "sdram": [int(vertex.sdram_required.fixed),
                  float(vertex.sdram_required.per_timestep)]})
from pathlib import Path
said = {"database": str(View.get_ds_database_path()), "cores": cores, "paths": View.get_executable_path("IF_curr_exp.aplx")}
said["routes"] = {f"{table.x},{table.y}": table.number_of_entries for table in View.get_uncompressed().routing_tables}
Path("said.json").write_text(json.dumps(said))
Path("kept.json").write_text(json.dumps(names.get("KEEP")))
end()
'''


@dataclasses.dataclass
class Core:
    """One core: where it is, its program, what part of which population it holds, and its regions of memory.

    ``kind`` is the class of sPyNNaker's machine vertex (PopulationMachineVertex, DelayExtensionMachineVertex,
    SpikeSourcePoissonMachineVertex, SpikeSourceArrayMachineVertex, and system's); ``regions`` holds the bytes that are written, by
    number, and ``sizes`` what is reserved; ``keys`` (key, mask) of each partition of packets that it sends; ``sdram`` (bytes, bytes a
    step) as sPyNNaker reckons.
    """

    x: int
    y: int
    p: int
    binary: str
    kind: str
    label: str
    first: int
    last: int
    keys: list[list[int]]
    sdram: list[float]
    regions: dict[int, bytes] = dataclasses.field(default_factory=dict)
    sizes: dict[int, int] = dataclasses.field(default_factory=dict)
    names: dict[int, str] = dataclasses.field(default_factory=dict)

    @property
    def system(self) -> bool:
        """Whether sPyNNaker put it there by itself."""
        return self.label.startswith("SYSTEM:")

    def words(self, name: str) -> np.ndarray:
        """A region's content as uint32, by its label."""
        number = next(number for number, label in self.names.items() if label == name)
        return np.frombuffer(self.regions[number], dtype="<u4")


@dataclasses.dataclass
class Board:
    """What sPyNNaker made of a script: ``database`` (path of ds.sqlite3), ``cores``, ``binaries`` (folder of the ``.aplx`` files),
    ``routes`` (entries of each chip's routing table, uncompressed), and ``kept``: what the script left in a variable ``KEEP``."""

    database: Path
    cores: list[Core]
    binaries: Path
    routes: dict[str, int]
    kept: object
    output: str

    def of(self, label: str, kind: str = "") -> list[Core]:
        """The cores of a population, by their first cell."""
        return sorted((one for one in self.cores if one.label == label and one.kind.startswith(kind)), key=lambda one: one.first)

    @property
    def application(self) -> list[Core]:
        """All cores but the system's."""
        return [one for one in self.cores if not one.system]


def environment(folder: Path, cfg: str = CFG) -> dict[str, str]:
    """Variables for a process that uses sPyNNaker in ``folder`` alone; writes its configuration there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".spynnaker.cfg").write_text(cfg, encoding="utf-8")
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    hidden = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**hidden, "HOME": str(folder), "PYTHONPATH": os.pathsep.join(filter(None, paths)), "MPLBACKEND": "Agg"}


def python(folder: Path, *arguments: str, cfg: str = CFG, timeout: float = 500.0) -> str:
    """Output of a Python process in ``folder``, which must end well."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment(folder, cfg), capture_output=True, text=True,
                          timeout=timeout, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout + done.stderr


def run_script(script: str | Path, folder: Path, *arguments: str, timeout: float = 500.0) -> Board:
    """Run a PyNN script (its text, or its path) for ``pyNN.spiNNaker`` on the virtual board; it must call ``run`` once.

    A variable ``KEEP`` of the script that JSON can hold is handed back.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(script, Path):
        (folder / "script.py").write_text(script, encoding="utf-8")
        script = folder / "script.py"
    output = python(folder, "-c", RUNNER, str(script), *arguments, timeout=timeout)
    said = json.loads((folder / "said.json").read_text())
    cores = [Core(**one) for one in said["cores"]]
    read_regions(Path(said["database"]), cores)
    return Board(Path(said["database"]), cores, Path(said["paths"]).parent, said["routes"], json.loads((folder / "kept.json").read_text()),
                 output)


def read_regions(database: Path, cores: list[Core]) -> None:
    """Fill in the regions from sPyNNaker's database of what is to be loaded."""
    at = {(one.x, one.y, one.p): one for one in cores}
    with sqlite3.connect(database) as connection:
        for x, y, p, number, content, size, label in connection.execute(
                "SELECT x, y, p, region_num, content, size, region_label FROM region"):
            core = at[x, y, p]
            core.sizes[number], core.names[number] = size, label or ""
            if content is not None:
                core.regions[number] = bytes(content)
