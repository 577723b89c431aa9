"""The target as data is what the installed sPyNNaker says it is."""

import dataclasses
import json

import numpy as np
import pytest
from spinnaker_board import python

import neurosim as ns
from neurosim.cells.base import Model
from neurosim.connectors import Connector
from neurosim.hardware.spinnaker import cells, data_memory, limits, weights
from neurosim.hardware.spinnaker.deployment import Settings
from neurosim.hardware.spinnaker.limits import ABSENT_CELLS, BINARIES, CELLS, CONNECTORS, DYNAMICS, MACHINE, SYNAPSES
from neurosim.kernels import spinnaker
from neurosim.kernels import spinnaker_stdp as stdp

READ = '''
import configparser, importlib, importlib.metadata, json, sys
from pathlib import Path
import pyNN.spiNNaker as sim
import spynnaker.pyNN, spinn_front_end_common
sim.setup(1.0)
asked, cells = json.load(open("asked.json"))
cfg = configparser.ConfigParser(strict=False, interpolation=None)
cfg.read(Path(spynnaker.pyNN.__file__).parent / "spynnaker.cfg")
said = {}
for name, source in asked.items():
    if source.startswith("cfg "):
        section, _, option = source[5:].partition("] ")
        said[name] = float(cfg[section][option])
    else:
        module, _, expression = source.partition(":")
        said[name] = float(eval(expression, {**vars(importlib.import_module(module))}))
models = {}
for name, module in cells.items():
    made = getattr(sim if module == "pyNN.spiNNaker" else sim.extra_models, name)
    if "Spike" in name:
        made = made(rates=[[1.0]], starts=[[0.0]]) if "Variable" in name else made()
        population = sim.Population(1, made)
        models[name] = {"recordable": sorted(population._vertex.get_recordable_variables()), "most": 
                        min(made.absolute_max_atoms_per_core, 10**6)}
        continue
    made = made()
    told = made._model
    population = sim.Population(1, made)
    receptors = []
    for target in ("excitatory", "excitatory2", "inhibitory"):
        try:
            receptors.append((told.get_synapse_id_by_target(target), target))
        except ValueError:
            pass
    models[name] = {"binary": told.binary_name, "receptors": [target for place, target in sorted(x for x in receptors if x[0] is not None)],
                    "scale": told.get_global_weight_scale(), "parameters": sorted(made.default_parameters),
                    "states": sorted(made.default_initial_values), "types": told.get_n_synapse_types(),
                    "recordable": sorted(set(population._vertex.get_recordable_variables())),
                    "most": population._vertex.get_max_atoms_per_core()}
folders = [Path(spynnaker.pyNN.__file__).parent / "model_binaries", Path(spinn_front_end_common.__file__).parent / "common_model_binaries"]
files = sorted(path.name for folder in folders for path in folder.glob("*.aplx"))
rules = {}
additive, multiplicative = sim.AdditiveWeightDependence, sim.MultiplicativeWeightDependence
for timing, rule in {"pair": sim.SpikePairRule(), "nearest_pair": sim.extra_models.SpikeNearestPairRule(),
                     "vogels": sim.extra_models.Vogels2011Rule(alpha=0.1),
                     "triplet": sim.extra_models.PfisterSpikeTriplet(20, 20, 20, 20, 1, 1)}.items():
    for weight, dependence in {"additive": additive, "multiplicative": multiplicative}.items():
        if timing == "triplet" and weight == "additive":
            dependence = sim.extra_models.WeightDependenceAdditiveTriplet
        rules[f"{timing} {weight}"] = sim.STDPMechanism(rule, dependence()).get_vertex_executable_suffix()
bits = __import__("spynnaker.pyNN.utilities.utility_calls", fromlist=["x"]).get_n_bits
print("SAID" + json.dumps([said, models, files, rules, [bits(k) for k in range(600)], importlib.metadata.version("sPyNNaker")]))
'''


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    asked = {name: source for name, (_, _, _, source) in limits.Machine.told().items() if source.startswith("cfg ") or is_code(source)}
    assert len(asked) >= 24
    (folder / "asked.json").write_text(json.dumps([asked, {one.name: one.module for one in CELLS.values()}]))
    output = python(folder, "-c", READ)
    return json.loads(output.partition("SAID")[2].splitlines()[0])


def is_code(source: str) -> bool:
    return ":" in source and " " not in source.partition(":")[0] and not source.partition(":")[2].startswith(" ") and "/" not in source


@pytest.mark.needs("spynnaker")
def test_every_number_that_sPyNNaker_holds_is_ours(said):
    told = limits.Machine.told()
    wrong = {name: (told[name][0], value) for name, value in said[0].items() if told[name][0] != value}
    assert wrong == {}
    assert said[5] == limits.VERSION


def test_every_number_names_its_source():
    for field in dataclasses.fields(MACHINE):
        assert field.metadata["what"] and field.metadata["source"], field.name


@pytest.mark.needs("spynnaker")
def test_the_list_of_binaries_is_that_of_the_package(said):
    assert said[2] == sorted(BINARIES)
    assert len(BINARIES) == 100


@pytest.mark.needs("spynnaker")
@pytest.mark.parametrize("name", CELLS)
def test_cells_are_as_sPyNNaker_makes_them(said, name):
    ours, theirs = CELLS[name], said[1][name]
    assert sorted(ours.recordable) == sorted(set(theirs["recordable"]) - {"packets-per-timestep", "rewiring"})
    assert (ours.per_core or 10**6) == theirs["most"]
    if ours.binary:
        assert f"{ours.binary}.aplx" == theirs["binary"]
        assert list(ours.receptors) == theirs["receptors"] and len(ours.receptors) == theirs["types"]
        assert ours.scale == theirs["scale"]
        assert sorted(ours.parameters) == theirs["parameters"]
        assert sorted(ours.states) == theirs["states"]
        assert f"{ours.binary}.aplx" in BINARIES


@pytest.mark.needs("spynnaker")
def test_suffixes_of_rules(said):
    assert {" ".join(key): value for key, value in DYNAMICS.items() if key != "static"} == said[3]


@pytest.mark.needs("spynnaker")
def test_bits(said):
    assert [limits.bits(count) for count in range(600)] == said[4]


@pytest.mark.parametrize(("cell", "rule", "found"), [
    ("IF_curr_exp", "static", "combined"), ("IF_curr_exp", ("pair", "additive"), "combined"),
    ("IF_curr_exp", ("vogels", "additive"), "combined"), ("IF_cond_exp", ("vogels", "additive"), "split"),
    ("IF_cond_exp", ("vogels", "multiplicative"), None), ("IF_curr_alpha", ("pair", "multiplicative"), "split"),
    ("IF_curr_delta_fixed", "static", KeyError), ("IFCurrDeltaFixedProb", ("pair", "additive"), None), ("StocExp", "static", "combined")])
def test_binaries_of_cells_with_rules(cell, rule, found):
    if found is KeyError:
        with pytest.raises(KeyError):
            limits.has_binary(cell, rule)
    else:
        assert limits.has_binary(cell, rule) == found


@pytest.mark.parametrize(("neurons", "types", "longest", "slots", "most"), [
    (256, 2, 16, 16, 288), (256, 2, 33, 32, 288), (20, 2, 1000, 256, 2304), (256, 2, 1, 2, 288), (1, 2, 3, 4, 36864), (256, 3, 40, 16, 144),
    (100, 2, 0, 1, 576)])
def test_ring_buffers_and_delays(neurons, types, longest, slots, most):
    assert limits.ring_slots(neurons, types, longest) == slots
    assert limits.max_delay(neurons, types) == most


def test_all_of_the_librarys_cells_connectors_and_synapses_are_told():
    public = [getattr(ns, name) for name in ns.__all__]
    cells = {one.__name__ for one in public if isinstance(one, type) and issubclass(one, Model)} | {"AdExp", "PointNeuron"}
    assert len(cells) > 15
    assert cells - set(CELLS) - set(ABSENT_CELLS) == set()
    connectors = {one.__name__ for one in public if isinstance(one, type) and issubclass(one, Connector)}
    assert len(connectors) > 10 and connectors - set(CONNECTORS) == set()
    rules = {one.__name__ for one in public if isinstance(one, type) and one.__module__ in (
        "neurosim.plasticity", "neurosim.homeostasis", "neurosim.subspace")}
    assert len(rules) > 15 and rules - set(SYNAPSES) == set()
    assert all(one.there or one.note for one in (*CONNECTORS.values(), *SYNAPSES.values()))
    assert np.all([remedy.startswith("Use ") for remedy in ABSENT_CELLS.values()])


def test_numbers_that_the_code_has_by_itself_are_those_of_the_machine():
    assert stdp.EVENTS == MACHINE.stdp_traces
    assert (cells.LOWEST, cells.HIGHEST, 1.0 / cells.ONE) == (MACHINE.s1615_least, MACHINE.s1615_most, MACHINE.s1615_step)
    assert {one.scale for one in CELLS.values()} == {1.0, MACHINE.conductance_scale} == {one.scale for one in cells.MODELS.values()}
    assert CELLS["SpikeSourcePoisson"].per_core == MACHINE.poisson_per_core
    assert spinnaker.HALF_WORD == 2**MACHINE.weight_bits - 1 == weights._MASK
    assert 0.9 * MACHINE.dtcm < data_memory.HEAP < MACHINE.dtcm
    settings = Settings()
    assert (settings.dt, settings.ring_buffer_sigma, settings.spikes_per_second) == (
        MACHINE.dt, MACHINE.ring_buffer_sigma, MACHINE.spikes_per_second)
