"""The virtual board of sPyNNaker for tests: a PyNN script goes in, what would be loaded onto each core comes out.

sPyNNaker runs in an interpreter of its own, in a folder of its own that is its home as well: it writes configuration and reports, and
changes logging.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
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
            core = at.get((x, y, p))
            if core is None:
                continue
            core.sizes[number], core.names[number] = size, label or ""
            if content is not None:
                core.regions[number] = bytes(content)


# ------------------------------------------------------------------------------------------ what a packet brings


@dataclasses.dataclass
class Found:
    """Synapses that packets reach: cells of their populations, delays in steps, synapse types, stored weights, and whether they learn."""

    source: np.ndarray
    target: np.ndarray
    delay: np.ndarray
    kind: np.ndarray
    weight: np.ndarray
    plastic: np.ndarray

    def table(self) -> np.ndarray:
        """One row a synapse, sorted."""
        made = np.column_stack([self.source, self.target, self.kind, self.delay, self.weight, self.plastic]).astype(np.int64)
        return made[np.lexsort(made.T[::-1])]


def synapses(board: Board, pre: str, post: str) -> list[Found]:
    """For each projection from one population to another, in the order in which they were made: its synapses as the cores hold them.

    Every key that a cell of ``pre``, or a stage of its delay extension, sends is looked up in the population table of every core of
    ``post``, as a core does for a packet, and the row that it finds is read.
    """
    parts: dict[int, list[np.ndarray]] = {}
    for core in board.of(post, "Population"):
        shape = core.words("SynapseParams")
        bits, kinds, slots = int(shape[2]), int(shape[3]), 1 << int(shape[4])
        blocks, rows = population_table(core.words("PopTable")), core.words("SynBlocks") if "SynBlocks" in core.names.values() else None
        for sender in [*board.of(pre), *board.of(f"{pre}_delayed")]:
            cells, late, stages = sender.last - sender.first + 1, sender.kind.startswith("Delay"), 1
            if late:
                stages = int(sender.words("delay_params")[5])
            for key, _mask in sender.keys:
                sent = key + (np.arange(cells * stages) << COLOUR)
                stage, cell = np.divmod(np.arange(cells * stages), cells)
                for which, (found, length, start) in enumerate(looked_up(blocks, sent)):
                    if start is None:
                        continue
                    for place, neuron in enumerate(found):
                        row = rows[start + neuron * (length + 3):start + (neuron + 1) * (length + 3)]
                        word, weight, plastic = row_of(row)
                        if word.size:
                            delay = (word >> (bits + kinds)) & (slots - 1)
                            delay = np.where(delay == 0, slots, delay) + (late * (stage[place] + 1)) * slots
                            parts.setdefault(which, []).append(np.stack([
                                np.full(word.size, sender.first + cell[place]), core.first + (word & ((1 << bits) - 1)), delay,
                                (word >> bits) & ((1 << kinds) - 1), weight, np.full(word.size, plastic)]))
    return [Found(*np.concatenate(parts[which], axis=1)) if which in parts else Found(*np.zeros((6, 0), int))
            for which in range(max(parts, default=-1) + 1)]


COLOUR = 4  # bits of a key that tell the step


def population_table(words: np.ndarray) -> list[tuple[int, int, int, int, int, list[tuple[int, int | None]]]]:
    """(key, mask, mask of the core's number, its shift, neurons a core, [(words of a row, first word or None)]) for each entry."""
    count = int(words[0])
    addresses = words[2 + 5 * count:]
    entries = []
    for key, mask, where, cores, neurons in words[2:2 + 5 * count].reshape(count, 5).astype(np.int64).tolist():
        start, number = where & 0x1FFF, where >> 16
        listed = [((one & 0xFF) + 1, None if one >> 8 == 0xFFFFFF else (one >> 8) * 4) for one in addresses[start:start + number].tolist()]
        entries.append((key, mask, cores & 0xFFFF, cores >> 16, neurons & 0xFFFF, listed))
    return entries


def looked_up(entries: list, sent: np.ndarray) -> list[tuple[np.ndarray, int, int | None]]:
    """For each block of rows that these keys (of one core) lead to: (numbers of rows, words of a row, first word)."""
    for key, mask, cores, shift, neurons, listed in entries:
        if ((sent & mask) == key).all():
            local = (sent & ~(mask | cores << shift)) >> COLOUR
            found = ((sent >> shift) & cores) * neurons + local
            return [(found, length, start) for length, start in listed]
        assert not ((sent & mask) == key).any()
    return []


def row_of(row: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Words that tell target, type and delay of the synapses of a row, their weights, and whether they learn."""
    size = int(row[0])
    fixed, plastic = int(row[1 + size]), int(row[2 + size])
    assert not (fixed and plastic)
    body = row[3 + size:]
    if fixed:
        return body[:fixed].astype(np.int64) & 0xFFFF, body[:fixed].astype(np.int64) >> 16, False
    header = size - (plastic + 1) // 2 if plastic else 0
    weights = row[1 + header:1 + size].copy().view("<u2")[:plastic]
    return body.copy().view("<u2")[:plastic].astype(np.int64), weights.astype(np.int64), True


# ------------------------------------------------------------------------------------------ networks through the export

EXPORTER = '''
import pickle, shutil, sys
from pathlib import Path
import spinnaker_networks
from neurosim.errors import NetworkError, SimulationError
from neurosim.hardware.spinnaker import export, plain
from spynnaker.pyNN.data import SpynnakerDataView as View
def read(what, label):
    try:
        return what(label)
    except SimulationError as error:
        return str(error)
if "unchecked" in sys.argv:
    plain.place = lambda deployment: type("Fits", (), {"problems": []})
made = []
for name, arguments, settings in pickle.loads(Path("jobs").read_bytes()):
    try:
        there = export(getattr(spinnaker_networks, name)(*arguments), **settings)
    except NetworkError as error:
        made.append({"refused": str(error)})
        continue
    with there:
        database = Path.cwd() / f"{len(made)}.sqlite3"
        shutil.copy(there.database, database)
        routes = {f"{table.x},{table.y}": table.number_of_entries for table in View.get_uncompressed().routing_tables}
        made.append({"cores": [one._asdict() for one in there.placement], "shifts": there.shifts, "database": database, "routes": routes,
                     "chips": View.get_n_chips_needed(), "ethernets": len(View.get_machine().ethernet_connected_chips),
                     "weights": {label: read(there.weights, label) for label in there.projections},
                     "delays": {label: read(there.delays, label) for label in there.projections}})
Path("made").write_bytes(pickle.dumps(made))
'''


@dataclasses.dataclass
class Exported:
    """A network that was exported to the virtual board: the board, what the export read back, and the chips and boards that sPyNNaker
    asked for and got; or why it was ``refused``."""

    board: Board | None
    shifts: dict
    weights: dict
    delays: dict
    chips: int = 0
    boards: int = 0
    refused: str = ""


def exported(jobs: list[tuple[str, tuple, dict]], folder: Path, *flags: str) -> list[Exported]:
    """Export networks, each given as the name of a function of `spinnaker_networks`, its arguments, and settings.

    With the flag ``unchecked``, whether or not they can be placed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jobs").write_bytes(pickle.dumps(jobs))
    output = python(folder, "-c", EXPORTER, *flags)
    found = []
    for one in pickle.loads((folder / "made").read_bytes()):
        if "refused" in one:
            found.append(Exported(None, {}, {}, {}, refused=one["refused"]))
            continue
        cores = [Core(**{**core, "keys": [list(key) for key in core["keys"]], "sdram": list(core["sdram"])}) for core in one["cores"]]
        read_regions(one["database"], cores)
        board = Board(one["database"], cores, Path(), one["routes"], None, output)
        found.append(Exported(board, one["shifts"], one["weights"], one["delays"], one["chips"], one["ethernets"]))
    return found
