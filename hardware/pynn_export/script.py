"""Runs a network that is given as data on a PyNN simulator.  Needs NumPy and PyNN, nothing else.

The data are plain: lists, dicts, numbers and arrays (see ``load``).

* Every synapse is listed: sender, receiver, weight (nA, uS or mV), delay (ms).  Values that all synapses share are one number.
* Times are in ms.  A spike found in the step from t - dt to t has the time t.
"""

import argparse
import importlib
import json
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# What a simulator counts differently, in steps; what is left out is 0.
#   given       added to the times of spikes that sources are told to send
#   first       the first step at which a source can send a spike; "min_delay" and one step more, where PyNN relays sources
#   reported    added to the times of spikes that are read back
#   refractory  added to tau_refrac
# pyNN.brian2 names a spike by the beginning of its step, and counts the step of the spike as refractory.  pyNN.nest subtracts a delay
# from given times, and what is then above a whole step by rounding would come a step later.
STEPS = {
    "nest": {"given": -0.001, "first": "after min_delay"},
    "brian2": {"given": -1, "first": 1, "reported": 1, "refractory": 1},
}
# What setup() must be told.  pyNN.nest would otherwise take neurons that spike between the steps.
SETUP = {"nest": {"spike_precision": "on_grid"}}
SEEDS = {"nest": "rng_seed", "neuron": "native_rng_baseseed"}  # setup's name for the seed of all that a simulator draws
ONE_SYNAPSE_A_PAIR = ("brian2",)  # two synapses of a pair in one projection would get the same weight
EVERY_STEP = ("brian2",)  # states are sampled at the wrong steps unless they are at all
SHARED_NOISE = ("brian2", "neuron")  # all cells of one source of noise would get the same


def load(path):
    """The data that ``neurosim`` wrote: JSON in which ``{"array": name}`` stands for an array of the same file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}

    def filled(part):
        if isinstance(part, dict):
            return arrays[part["array"]] if set(part) == {"array"} else {name: filled(value) for name, value in part.items()}
        return [filled(value) for value in part] if isinstance(part, list) else part

    return filled(json.loads(arrays.pop("network").item()))


def simulator(name):
    """The PyNN module of a simulator, by its short name (``nest``) or in full (``pyNN.nest``)."""
    if name == "brian2" or name == "pyNN.brian2":  # as PyNN would, but without compiling C++ for every network
        importlib.import_module("brian2").prefs.codegen.target = "numpy"
    return importlib.import_module(name if "." in name else f"pyNN.{name}")


def short(sim):
    """``nest`` for the module pyNN.nest."""
    parts = sim.__name__.split(".")
    return parts[0] if parts[-1] == "pynn" else parts[-1]


def missing(sim, data):
    """What this simulator does not have, a line for each."""
    def lacks(name):
        found = getattr(sim, name, None)
        return found is None or "ModelNotAvailable" in [base.__name__ for base in getattr(found, "__mro__", [])]

    lines, nest = [], getattr(getattr(sim, "simulator", None), "nest", None)
    for one in data["populations"]:
        model = getattr(sim, one["cell"], None)
        if lacks(one["cell"]):
            lines.append(f"population {one['label']}: it has no {one['cell']}")
        elif nest is not None and model.nest_name["on_grid"] not in nest.node_models:
            lines.append(f"population {one['label']}: NEST {nest.__version__} has no {model.nest_name['on_grid']}")
    for one in data["projections"]:
        names = [one["synapse"]["type"], *(part["type"] for part in one["synapse"].get("rule", {}).values())]
        lines += [f"projection {one['label']}: it has no {name}" for name in names if lacks(name)]
        model = getattr(getattr(sim, names[0], None), "nest_name", None)
        if nest is not None and isinstance(model, str) and model not in nest.synapse_models:
            lines.append(f"projection {one['label']}: NEST {nest.__version__} has no {model}")
    lines += [f"current into {one['population']}: it has no {one['type']}" for one in data["currents"] if lacks(one["type"])]
    cells = {one["label"]: one["cell"] for one in data["populations"]}
    for one in data["records"]:
        cell = cells[one["population"]]
        if not lacks(cell) and one["variable"] not in getattr(sim, cell).recordable:
            known = ", ".join(getattr(sim, cell).recordable)
            lines.append(f"recording of {one['variable']} of {one['population']}: its {cell} can record {known}")
    return lines


# ------------------------------------------------------------------------------------------ building


def build(sim, data, seed=1, **options):
    """Set up the simulator and make everything; returns populations and projections by label, and what was recorded of whom."""
    name, dt = short(sim), data["dt"]
    steps = STEPS.get(name, {})
    if name in SEEDS:
        options = {SEEDS[name]: seed, **options}
    if name == "brian2":
        importlib.import_module("brian2").seed(seed)
    sim.setup(timestep=dt, min_delay=data["min_delay"], max_delay=data["max_delay"], **{**SETUP.get(name, {}), **options})
    populations = {one["label"]: population(sim, one, data, steps) for one in data["populations"]}
    projections = {}
    for one in data["projections"]:
        projections[one["label"]] = [connect(sim, populations, one, rows) for rows in listed(one, name in ONE_SYNAPSE_A_PAIR)]
    for one in data["currents"]:
        inject(sim, populations, one, each=name in SHARED_NOISE)
    for one in data["records"]:
        target, interval = populations[one["population"]], one["interval"]
        if one["indices"] is not None:
            target = target[one["indices"]]
        if one["variable"] == "spikes":
            target.record("spikes")
        else:
            target.record(one["variable"], sampling_interval=dt if name in EVERY_STEP else interval)
    return SimpleNamespace(sim=sim, data=data, populations=populations, projections=projections)


def population(sim, one, data, steps):
    """A population with its parameters and initial values."""
    cell, dt = getattr(sim, one["cell"]), data["dt"]
    if not hasattr(cell, "variable_map") and cell.__module__.startswith("pyNN.nest") and "v" in one["initial"]:
        # PyNN 0.13 does not know what NEST calls the potential of this cell, and could neither set nor record it.
        cell = type(cell.__name__, (cell,), {"variable_map": {"v": "V_m"}, "scale_factors": {"v": 1}})
    parameters = dict(one["parameters"])
    if "tau_refrac" in parameters and one["initial"]:
        parameters["tau_refrac"] = parameters["tau_refrac"] + steps.get("refractory", 0) * dt
    if "spike_times" in parameters:
        parameters["spike_times"] = trains(sim, parameters["spike_times"], data, steps)
    for key, value in parameters.items():
        if isinstance(value, dict):  # one row of numbers for all cells
            parameters[key] = sim_parameter(sim, value["row"])
    made = sim.Population(one["size"], cell(**parameters), label=one["label"])
    if one["positions"] is not None:
        made.positions = one["positions"].T
    usual = made.celltype.default_initial_values if hasattr(made.celltype, "default_initial_values") else {}
    changed = {key: value for key, value in one["initial"].items() if key == "v" or np.any(value != usual.get(key, 0.0))}
    if changed:
        made.initialize(**changed)
    return made


def sim_parameter(sim, row):
    """Several numbers that are one parameter."""
    return importlib.import_module("pyNN.parameters").ArrayParameter(row)


def trains(sim, times, data, steps):
    """Given spike times, one Sequence a source, as this simulator counts them."""
    first = steps.get("first", 0)
    if first == "after min_delay":
        first = round(data["min_delay"] / data["dt"]) + 1
    at = np.maximum(times["steps"], first) + steps.get("given", 0)
    sequence = importlib.import_module("pyNN.parameters").Sequence
    return [sequence(row * data["dt"]) for row in np.split(at, np.cumsum(times["counts"])[:-1])]


def listed(one, separate):
    """The rows of a projection's list, in as many portions as a pair has synapses if they must be separate."""
    if one["connector"] != "list":
        return [None]
    if not separate or not one["pre"].size:
        return [slice(None)]
    order = np.lexsort((one["post"], one["pre"]))
    same = (np.diff(one["pre"][order]) == 0) & (np.diff(one["post"][order]) == 0)
    place, run = np.arange(order.size), np.r_[True, ~same]
    layer = np.empty(order.size, int)
    layer[order] = place - np.maximum.accumulate(np.where(run, place, 0))
    return [np.flatnonzero(layer == k) for k in range(layer.max() + 1)]


def connect(sim, populations, one, rows):
    """A projection, or one portion of its list."""
    pre, post = populations[one["pre_population"]], populations[one["post_population"]]
    spec = one["synapse"]
    given = {"weight": one["weight"], "delay": one["delay"], **spec["parameters"]}
    given = {key: value for key, value in given.items() if value is not None}
    columns = {key: value for key, value in given.items() if isinstance(value, np.ndarray)}
    shared = {key: value for key, value in given.items() if key not in columns}
    if one["connector"] == "all to all":
        connector = sim.AllToAllConnector(allow_self_connections=one["self_connections"])
    elif one["connector"] == "one to one":
        connector = sim.OneToOneConnector()
    else:
        table = np.column_stack([one["pre"][rows], one["post"][rows], *(column[rows] for column in columns.values())])
        connector = sim.FromListConnector(table, column_names=tuple(columns))
    parts = {key: getattr(sim, part["type"])(**part["parameters"]) for key, part in spec.get("rule", {}).items()}
    synapse = getattr(sim, spec["type"])(**parts, **shared)
    receptor = None if one["delay"] is None else one["receptor"]  # gap junctions have neither
    return sim.Projection(pre, post, connector, synapse, receptor_type=receptor, label=one["label"])


def inject(sim, populations, one, each):
    """A current into cells; noise is drawn for each cell."""
    cells = populations[one["population"]]
    if one["indices"] is not None:
        cells = cells[one["indices"]]
    parameters = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in one["parameters"].items()}
    own = each and one["type"] == "NoisyCurrentSource" and not one["shared"]
    for portion in [cells[k:k + 1] for k in range(cells.size)] if own else [cells]:
        getattr(sim, one["type"])(**parameters).inject_into(portion)


# ------------------------------------------------------------------------------------------ reading back


def recorded(model, label, variable):
    """All of one recording so far.  Spikes: (times, cells), ascending; states: (times, cells, values)."""
    data, dt, name = model.data, model.data["dt"], short(model.sim)
    # Each process has its own cells; gathered here, since PyNN 0.13 loses its way among sources that are in all of them.
    segment = model.populations[label].get_data(variable, gather=False).segments[-1]
    found = {}
    if variable == "spikes":
        for cell, times in gathered(model.sim, [(int(train.annotations["source_index"]), train.rescale("ms").magnitude)
                                                for train in segment.spiketrains]):
            found[cell] = max(times, found.get(cell, times), key=len)
        cells = np.repeat(np.array(list(found), np.int32), [times.size for times in found.values()])
        times = on_grid(np.concatenate([np.empty(0), *found.values()]), dt, STEPS.get(name, {}).get("reported", 0))
        order = np.lexsort((cells, times))
        return times[order], cells[order]
    for signal in segment.analogsignals:
        found.update(zip(np.asarray(signal.array_annotations["channel_index"]).tolist(), signal.magnitude.T, strict=True))
    found = dict(sorted(gathered(model.sim, list(found.items()))))
    interval = next(one["interval"] for one in data["records"] if (one["population"], one["variable"]) == (label, variable))
    values = np.array(list(found.values())).T[::round(interval / dt) if name in EVERY_STEP else 1]
    cells = np.array(list(found), np.int32)
    one = next(one for one in data["populations"] if one["label"] == label)
    if variable in one["initial"]:  # PyNN adds the first sample itself, and on several processes that of other cells
        values[0] = np.broadcast_to(one["initial"][variable], one["size"])[cells]
    return np.arange(len(values)) * interval, cells, values


def gathered(sim, rows):
    """The rows of all processes."""
    if sim.num_processes() == 1:
        return rows
    everyone = importlib.import_module("mpi4py.MPI").COMM_WORLD
    return [row for part in everyone.allgather(rows) for row in part]


def on_grid(times, dt, shift):
    """Times in ms, whole steps where they are that but for rounding, moved by ``shift`` steps."""
    steps = np.rint(times / dt)
    whole = np.abs(times / dt - steps) < 1e-3
    return np.where(whole, (steps + shift) * dt, times + shift * dt)


def main(default, path):
    """Run the network of a data file as the command line asks."""
    data = load(path)
    parser = argparse.ArgumentParser(description=f"{data['label']} on a PyNN simulator; made by neurosim {data['neurosim']}")
    parser.add_argument("simulator", nargs="?", default=default, help=f"nest, neuron, brian2, ... (default: {default})")
    parser.add_argument("--time", type=float, default=data["duration"], help=f"ms (default: {data['duration']:g})")
    parser.add_argument("--seed", type=int, default=data["seed"], help=f"of what the simulator draws (default: {data['seed']})")
    parser.add_argument("--save", help="result file (default: beside the data, with the simulator's name)")
    arguments = parser.parse_args()
    refused = data["refused"].get(arguments.simulator, [])
    if refused:
        sys.exit("\n".join([f"{data['label']} cannot run on {arguments.simulator}:", *refused]))
    if arguments.simulator not in data["refused"]:
        print(f"note: nothing is known of what {arguments.simulator} does differently", file=sys.stderr)
    sim = simulator(arguments.simulator)
    try:
        execute(sim, data, arguments, path)
    except Exception:
        if sim.num_processes() > 1:  # or the other processes would wait for ever
            traceback.print_exc()
            importlib.import_module("mpi4py.MPI").COMM_WORLD.Abort(1)
        raise


def execute(sim, data, arguments, path):
    """Build, run, gather, write, say what happened."""
    if lines := missing(sim, data):
        sys.exit("\n".join([f"{data['label']} cannot run on {arguments.simulator}:", *lines]))
    began = time.perf_counter()
    model = build(sim, data, arguments.seed)
    built = time.perf_counter()
    sim.run(arguments.time)
    ran = time.perf_counter()
    results = {}
    for one in data["records"]:  # on all processes, which exchange what they recorded
        found = recorded(model, one["population"], one["variable"])
        for key, value in zip(("times", "cells", "values"), found, strict=False):
            results[f"{one['population']}/{one['variable']}/{key}"] = value
    if sim.rank() == 0:
        saved = arguments.save or str(Path(path).with_name(f"{Path(path).stem}_{arguments.simulator}.npz"))
        np.savez_compressed(saved, duration=arguments.time, dt=data["dt"], **results)
        for one in data["populations"]:
            times = results.get(f"{one['label']}/spikes/times")
            if times is not None:
                rate = 1000.0 * times.size / one["size"] / arguments.time
                print(f"{one['label']}: {one['size']} {one['cell']}, {times.size} spikes, {rate:.3f} Hz")
        print(f"{arguments.time:g} ms on {arguments.simulator}, {sim.num_processes()} processes:"
              f" {built - began:.2f} s to build, {ran - built:.2f} s to run; wrote {saved}")
    sim.end()
