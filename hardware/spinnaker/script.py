"""Runs a network that is given as data on SpiNNaker through sPyNNaker.  Needs NumPy and sPyNNaker, nothing else.

The data are plain: lists, dicts, numbers and arrays (see ``load``).  Populations are whole, every synapse is listed, by source, then
target: sPyNNaker 1!7.4.1 loses synapses of lists in another order.  Weights are magnitudes in the unit of the target's model, delays
and times whole steps.
"""

import argparse
import importlib
import importlib.util
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

CFG = """[Machine]
version = 5
virtual_board = True
[Reports]
keep_dataspec_database = True
[Logging]
instantiate = False
"""
RULES = {"pair": "SpikePairRule", "nearest_pair": "SpikeNearestPairRule", "triplet": "PfisterSpikeTriplet", "vogels": "Vogels2011Rule"}
FOREVER = 0xFFFFFFFF  # steps


def load(path):
    """The data that ``neurosim`` wrote: JSON in which ``{"array": name}`` stands for an array of the same file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}

    def filled(part):
        if isinstance(part, dict):
            return arrays[part["array"]] if set(part) == {"array"} else {name: filled(value) for name, value in part.items()}
        return [filled(value) for value in part] if isinstance(part, list) else part

    return filled(json.loads(arrays.pop("network").item()))


class Folder:
    """Where sPyNNaker finds its configuration and leaves its reports: as a context, both the working folder and the home.

    Without a path, those of the user: a board that is configured in ``~/.spynnaker.cfg`` or ``./spynnaker.cfg``.
    """

    def __init__(self, path=None):
        self.path = None if path is None else Path(path)
        if self.path is not None:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / ".spynnaker.cfg").write_text(CFG, encoding="utf-8")

    def __enter__(self):
        self.before = None
        if self.path is not None:
            hidden = ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS")
            self.before = Path.cwd(), {name: os.environ.pop(name, None) for name in hidden}
            os.environ["HOME"] = str(self.path)
            os.chdir(self.path)
        return self

    def __exit__(self, *ignored):
        if self.before is not None:
            os.chdir(self.before[0])
            del os.environ["HOME"]
            os.environ.update({name: value for name, value in self.before[1].items() if value is not None})


# ------------------------------------------------------------------------------------------ building


def find(sim, name):
    """A class of sPyNNaker, or of its extra models."""
    return getattr(sim, name, None) or getattr(sim.extra_models, name)


def build(sim, data):
    """Set up sPyNNaker and make everything; returns populations and projections by label."""
    sim.setup(timestep=data["dt"], min_delay=data["dt"], time_scale_factor=data["time_scale_factor"])
    populations = {one["label"]: population(sim, one, data) for one in data["populations"]}
    projections = {}
    for one in data["projections"]:
        projections.setdefault(one["label"], []).append(project(sim, populations, one))
    for one in data["currents"]:
        given = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in one["parameters"].items()}
        getattr(sim, one["type"])(**given).inject_into(cells_of(populations, one))
    for one in data["records"]:
        every = {} if one["variable"] == "spikes" else {"sampling_interval": one["steps"] * data["dt"]}
        cells_of(populations, one).record(one["variable"], **every)
    return SimpleNamespace(sim=sim, data=data, populations=populations, projections=projections)


def population(sim, one, data):
    """A population with its parameters and initial states."""
    given = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in one["parameters"].items()}
    if "ticks" in one:
        rows = np.split(one["ticks"], np.cumsum(one["counts"])[:-1])
        # sPyNNaker fails where all lists are empty, and takes none.
        given["spike_times"] = [(row * data["dt"]).tolist() for row in rows] if one["ticks"].size else []
    made = sim.Population(one["size"], find(sim, one["cell"])(**given), label=one["label"], **one["settings"])
    states = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in one["initial"].items()}
    if states:
        made.initialize(**states)
    return made


def cells_of(populations, one):
    """A population, or the cells of it that are meant."""
    whole = populations[one["population"]]
    return whole if one["cells"] is None else whole[one["cells"].tolist()]


def project(sim, populations, one):
    """A projection: its synapses, listed by source, then target."""
    table = np.column_stack([one["source"], one["target"], one["weight"], one["delay"]])
    connector = sim.FromListConnector(table[np.lexsort((one["target"], one["source"]))])
    return sim.Projection(populations[one["pre"]], populations[one["post"]], connector, synapse(sim, one["rule"]),
                          receptor_type=one["receptor"], label=one["label"])


def synapse(sim, rule):
    """A static synapse, or one that learns."""
    if rule is None:
        return sim.StaticSynapse()
    given, triplet = dict(rule["parameters"]), rule["timing"] == "triplet"
    bounds = {name: given.pop(name) for name in ("w_min", "w_max")}
    if triplet:
        bounds |= {name: given.pop(name) for name in ("A3_plus", "A3_minus")}
    weight = find(sim, "WeightDependenceAdditiveTriplet" if triplet else f"{rule['weight'].capitalize()}WeightDependence")
    return sim.STDPMechanism(find(sim, RULES[rule["timing"]])(**given), weight(**bounds), backprop_delay=rule["backprop_delay"])


def missing_binaries(populations):
    """Programs that are needed and that sPyNNaker was not shipped with, a line for each; a virtual board does not look."""
    folder = Path(importlib.util.find_spec("spynnaker").submodule_search_locations[0]) / "pyNN" / "model_binaries"
    lines = []
    for label, made in populations.items():
        vertex = made._vertex
        if not hasattr(vertex, "combined_binary_file_name"):
            continue
        split = (vertex.neuron_core_binary_file_name, vertex.synapse_core_binary_file_name)
        combined = vertex.combined_binary_file_name
        if not (folder / combined).is_file() and not all((folder / name).is_file() for name in split):
            lines.append(f"population {label}: there is neither {combined} nor {' with '.join(split)}")
    return lines


# ------------------------------------------------------------------------------------------ reading back


def recorded(model, label, variable):
    """All of one recording.  Spikes: (steps, cells), by step; states: (steps, cells, values)."""
    dt = model.data["dt"]
    rows = np.asarray(model.populations[label].spinnaker_get_data(variable), dtype=float)
    if variable == "spikes":
        rows = rows.reshape(-1, 2)
        steps, cells = np.rint(rows[:, 1] / dt).astype(np.int64), rows[:, 0].astype(np.int32)
        order = np.lexsort((cells, steps))
        return steps[order], cells[order]
    rows = rows.reshape(-1, 3)
    cells, column = np.unique(rows[:, 0].astype(np.int32), return_inverse=True)
    steps, row = np.unique(np.rint(rows[:, 1] / dt).astype(np.int64), return_inverse=True)
    values = np.full((steps.size, cells.size), np.nan)
    values[row, column] = rows[:, 2]
    return steps, cells, values


def main(path):
    """Run the network of a data file as the command line asks."""
    data = load(path)
    parser = argparse.ArgumentParser(description=f"{data['label']} on SpiNNaker; made by neurosim {data['neurosim']}")
    parser.add_argument("--time", type=float, default=data["duration"], help=f"ms (default: {data['duration']:g})")
    parser.add_argument("--virtual", action="store_true", help="map onto a board that is not there; nothing is recorded")
    parser.add_argument("--save", help="result file (default: beside the data)")
    arguments = parser.parse_args()
    if not 0 < arguments.time < math.inf:
        sys.exit(f"--time must be > 0 ms, got {arguments.time:g}")
    saved = Path(arguments.save or Path(path).with_name(f"{Path(path).stem}_spinnaker.npz")).resolve()
    with tempfile.TemporaryDirectory() as folder, Folder(folder if arguments.virtual else None):
        execute(importlib.import_module("pyNN.spiNNaker"), data, arguments.time, None if arguments.virtual else saved)


def execute(sim, data, duration, saved):
    """Build, run, gather, write, say what happened."""
    began = time.perf_counter()
    model = build(sim, data)
    if lines := missing_binaries(model.populations):
        sys.exit("\n".join([f"{data['label']} cannot run on SpiNNaker:", *lines]))
    sim.run(duration)
    ran = time.perf_counter()
    results = {}
    for one in data["records"] if saved else ():
        found = recorded(model, one["population"], one["variable"])
        for key, value in zip(("steps", "cells", "values"), found, strict=False):
            results[f"{one['population']}/{one['variable']}/{key}"] = value
    cores = [f"{one.label}: {len(one._vertex.machine_vertices)}" for one in model.populations.values()]
    sim.end()
    print(f"cores: {', '.join(cores)}")
    if saved:
        np.savez_compressed(saved, duration=duration, dt=data["dt"], **results)
    print(f"{duration:g} ms in {ran - began:.1f} s; {f'wrote {saved}' if saved else 'mapped onto a virtual board, no data'}")
