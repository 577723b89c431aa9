"""Networks of ours on PyNN's simulators: the same spikes as the engine, refusals by name, and programs that need no neurosim."""

import dataclasses
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

import neurosim
from neurosim import (
    AdditiveWeightDependence,
    AllToAllConnector,
    DCSource,
    EIF_cond_exp_isfa_ista,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FromListConnector,
    HH_cond_exp,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Network,
    NetworkError,
    NoisyCurrentSource,
    Normal,
    OneToOneConnector,
    ParameterError,
    Rewiring,
    Simulation,
    SpikePairRule,
    SpikeSourceArray,
    SpikeSourcePoisson,
    SpikeTripletRule,
    STDPMechanism,
    StepCurrentSource,
    SynapticScaling,
    TsodyksMarkramSynapse,
    Uniform,
    Vogels2011Rule,
)
from neurosim.errors import FileFormatError
from neurosim.hardware.pynn_export import export, plan, script, targets, write_script

DT = 0.1
CELLS = {
    IF_curr_exp: {"cm": 0.25, "tau_m": 10.0, "tau_syn_E": 1.0, "tau_syn_I": 3.0, "tau_refrac": 2.0, "i_offset": 0.3},
    IF_curr_alpha: {"cm": 0.25, "tau_m": 10.0, "tau_syn_E": 1.0, "tau_syn_I": 1.0, "tau_refrac": 2.0, "i_offset": 0.3},
    IF_curr_delta: {"cm": 0.25, "tau_m": 10.0, "tau_refrac": 2.0, "i_offset": 0.3, "v_rest": -62.0},
    IF_cond_exp: {"cm": 0.25, "tau_m": 10.0, "tau_syn_E": 1.0, "tau_syn_I": 3.0, "tau_refrac": 2.0, "i_offset": 0.3},
    EIF_cond_exp_isfa_ista: {"tau_syn_E": 1.0, "tau_syn_I": 3.0, "tau_refrac": 2.0, "i_offset": 0.5},
}
WEIGHTS = {"uS": 0.02, "nA": 0.5, "mV": 2.0}
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.needs("pyNN", "neo")]


def network_of(cell, n=40, seed=3, **changed):
    """Driven and recurrent, random weights, delays and initial values, two receptors; deterministic."""
    rng = np.random.default_rng(1)
    times = [DT * np.sort(rng.choice(np.arange(20, 900), 15, replace=False)) for _ in range(20)]
    network = Network(seed=seed, label="round trip")
    drive = network.population(20, SpikeSourceArray(spike_times=times), "drive")
    cells = network.population(n, cell(**{**CELLS[cell], **changed}), "cells", initial_values={"v": Uniform(-70.0, -55.0)})
    weight = WEIGHTS[cells.cell.weight_unit]
    network.project(drive, cells, FixedProbabilityConnector(0.3), Uniform(0.5 * weight, 2.0 * weight), Uniform(0.3, 3.0))
    network.project(cells, cells, FixedNumberPreConnector(5), Uniform(0.1 * weight, 0.5 * weight), Uniform(0.1, 3.0))
    sign = 1.0 if cells.cell.weight_unit == "uS" else -1.0
    network.project(cells, cells, FixedNumberPreConnector(3), sign * weight, 1.5, "inhibitory")
    network.record([drive, cells], "spikes")
    network.record(cells[[7, 2, 11]], "v")
    return network


def by_engine(network, duration=100.0):
    return Simulation(network, dt=DT, threads=1).run(duration)


def common(one, other, slack=1):
    """The fraction of spikes of ``one`` that ``other`` has within ``slack`` steps."""
    theirs = {(round(t / DT), i) for t, i in zip(other.times, other.ids, strict=True)}
    found = [any((round(t / DT) + k, i) in theirs for k in range(-slack, slack + 1)) for t, i in zip(one.times, one.ids, strict=True)]
    return np.mean(found)


def kinds(notes):
    return {note.kind for note in notes}


# ------------------------------------------------------------------------------------------ the same spikes


@pytest.mark.needs("nest")
@pytest.mark.parametrize("cell", [IF_curr_exp, IF_curr_alpha, IF_curr_delta])
def test_linear_cells_spike_at_the_same_steps_in_nest(cell):
    network = network_of(cell)
    there, here = export(network, "nest").run(100.0), by_engine(network)
    assert here.spikes("cells").count > 200
    assert there.spikes("cells") == here.spikes("cells")
    assert there.spikes("drive") == here.spikes("drive")
    np.testing.assert_allclose(there.traces("cells", "v").values, here.traces("cells", "v").values, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(there.traces("cells", "v").ids, [2, 7, 11])
    np.testing.assert_allclose(there.traces("cells", "v").times, here.traces("cells", "v").times)


@pytest.mark.needs("nest")
@pytest.mark.parametrize(("cell", "least"), [(EIF_cond_exp_isfa_ista, 1.0), (IF_cond_exp, 0.95)])
def test_other_cells_in_nest(cell, least):
    """NEST's adaptive steps find some thresholds a step earlier or later, and what follows differs by as much."""
    network = network_of(cell)
    there, here = export(network, "nest").run(100.0), by_engine(network)
    assert here.spikes("cells").count > 200
    assert abs(there.spikes("cells").count - here.spikes("cells").count) <= 0.01 * here.spikes("cells").count
    assert common(here.spikes("cells"), there.spikes("cells")) >= least


@pytest.mark.needs("brian2")
def test_a_recurrent_network_spikes_at_the_same_steps_in_brian2():
    network = network_of(IF_curr_exp)
    network.project(network["drive"], network["cells"], FromListConnector([(0, 3), (0, 3), (1, 3)]), [0.3, 0.6, 0.2], [1.0, 2.0, 1.0])
    made = export(network, "brian2")
    there, here = made.run(60.0), by_engine(network, 60.0)
    assert here.spikes("cells").count > 100
    assert there.spikes("cells") == here.spikes("cells")
    assert there.spikes("drive") == here.spikes("drive")
    np.testing.assert_allclose(there.traces("cells", "v").values, here.traces("cells", "v").values, rtol=0, atol=1e-9)
    assert len(made.projections["drive -> cells (2)"]) == 2  # two synapses of one pair would get one weight


def test_our_own_back_end_gives_the_same_bits():
    network = network_of(IF_curr_exp)
    there, here = export(network, "neurosim.pynn").run(100.0), by_engine(network)
    assert there.spikes("cells") == here.spikes("cells")
    np.testing.assert_array_equal(there.traces("cells", "v").values, here.traces("cells", "v").values)


@pytest.mark.parametrize("synapse", [
    neurosim.SimpleStochasticSynapse(p=Uniform(0.2, 0.9)),
    neurosim.StochasticTsodyksMarkramSynapse(U=0.4, tau_rec=Uniform(20.0, 90.0), tau_facil=20.0),
    neurosim.MultiQuantalSynapse(n=neurosim.Integers(1, 6), U=0.4, tau_rec=50.0),
    TsodyksMarkramSynapse(U=Uniform(0.2, 0.8), tau_rec=60.0, tau_psc=1.0), neurosim.ElectricalSynapse(),
], ids=lambda one: type(one).__name__)
def test_synapses_that_transmit_differently_by_our_own_back_end(synapse):
    """Also what is drawn is the same: the same seed, the same labels, the same order of synapses."""
    network = network_of(IF_curr_exp)
    gamma = network.population(10, neurosim.SpikeSourceGamma(alpha=3.0, beta=150.0), "gamma")
    network.project(gamma, network["cells"], FixedProbabilityConnector(0.4), Uniform(0.1, 1.0), Uniform(0.3, 2.0), label="given")
    if isinstance(synapse, neurosim.ElectricalSynapse):
        network.project(network["cells"], network["cells"], FixedProbabilityConnector(0.2), Uniform(0.0, 0.002), label="own",
                        synapse=synapse)
    else:
        network.project(network["drive"], network["cells"], FixedProbabilityConnector(0.4), Uniform(0.1, 1.0), Uniform(0.3, 2.0),
                        label="own", synapse=synapse)
    network.record(gamma, "spikes")
    made = export(network, "neurosim.pynn", seed=7)
    there, simulation = made.run(100.0), Simulation(network, dt=DT, threads=1, seed=7)
    here = simulation.run(100.0)
    assert here.spikes("cells").count > 200 and here.spikes("gamma").count > 20
    assert there.spikes("gamma") == here.spikes("gamma")
    assert there.spikes("cells") == here.spikes("cells")
    np.testing.assert_array_equal(there.traces("cells", "v").values, here.traces("cells", "v").values)
    assert made.weights("own").unit == simulation.weights("own").unit
    np.testing.assert_array_equal(np.sort(made.weights("own").values), np.sort(simulation.weights("own").values))


@pytest.mark.needs("nest")
def test_chance_in_nest():
    """Each synapse draws for itself: as many spikes arrive as should."""
    network = Network(seed=2)
    drive = network.population(1, SpikeSourceArray(spike_times=np.arange(5.0, 105.0)), "drive")
    cells = network.population(200, IF_curr_delta(tau_m=1e6, v_thresh=1e6), "cells", initial_values={"v": -65.0})
    p = np.linspace(0.1, 0.9, 200)
    network.project(drive, cells, AllToAllConnector(), 1.0, 1.0, synapse=neurosim.SimpleStochasticSynapse(p=p))
    network.record(cells, "v")
    made = export(network, "nest")
    arrived = made.run(120.0).traces("cells", "v").values[-1] + 65.0
    assert any("draws itself which spikes are sent" in note.text for note in made.report)
    off = (arrived - 100.0 * p) / np.sqrt(100.0 * p * (1.0 - p))
    assert np.abs(off).max() < 5.0 and 0.8 < off.std() < 1.2 and abs(off.mean()) < 0.3


@pytest.mark.needs("nest")
def test_depression_by_synapse_in_nest():
    network = learning(TsodyksMarkramSynapse(U=Uniform(0.2, 0.8), tau_rec=Uniform(50.0, 200.0), tau_facil=30.0, tau_psc=2.0), weight=2.0)
    there, here = export(network, "nest").run(200.0), by_engine(network, 200.0)
    assert here.spikes("cells").count > 50
    assert there.spikes("cells") == here.spikes("cells")


@pytest.mark.needs("neuron")
def test_neuron_comes_close():
    """Implicit Euler steps: a cell that is driven spikes as often, at nearly the same times."""
    network = Network(label="driven")
    cells = network.population(10, IF_curr_exp(i_offset=np.linspace(0.8, 1.2, 10), tau_refrac=2.0), "cells")
    cells.record("spikes")
    there, here = export(network, "neuron").run(100.0), by_engine(network)
    assert here.spikes("cells").count > 20
    assert there.spikes("cells").ids.tolist() == here.spikes("cells").ids.tolist()
    np.testing.assert_allclose(there.spikes("cells").times, here.spikes("cells").times, atol=2.0)


@pytest.mark.needs("nest")
def test_currents_views_and_runs_in_parts():
    network = network_of(IF_curr_exp)
    cells = network["cells"]
    network.inject(DCSource(amplitude=0.4, start=5.0, stop=60.0), cells[3:9])
    network.inject(StepCurrentSource(times=[10.0, 30.0], amplitudes=[0.3, -0.3]), cells[[20, 12]])
    network.project(cells[10:20], cells[[3, 30, 1]], AllToAllConnector(), 0.4, 2.0)
    made, simulation = export(network, "nest"), Simulation(network, threads=1)
    for duration in (30.0, 70.0):
        there, here = made.run(duration), simulation.run(duration)
        assert there.spikes("cells") == here.spikes("cells")
        np.testing.assert_allclose(there.traces("cells", "v").times, here.traces("cells", "v").times)
    assert made.result.spikes("cells") == simulation.result.spikes("cells")
    (entry,) = [one for one in made.report if one.kind == "expanded"]
    assert entry.name == "cells[10..19] -> cells[3..1]" and "30 synapses" in entry.text


@pytest.mark.needs("nest")
def test_poisson_input_and_sources_have_their_rates():
    network = Network(seed=2)
    source = network.population(200, SpikeSourcePoisson(rate=40.0), "source")
    cells = network.population(100, IF_curr_exp(v_thresh=1e6), "cells")
    network.poisson_input(cells, rate=100.0, weight=0.5, label="background")
    network.record(source, "spikes")
    network.record(cells, "v")
    made = export(network, "nest", seed=5)
    there, here = made.run(400.0), by_engine(network, 400.0)
    assert abs(there.spikes("source").count - 3200) < 4 * np.sqrt(3200)
    mean = [result.traces("cells", "v").values[1000:].mean() for result in (there, here)]
    assert mean[0] == pytest.approx(mean[1], abs=0.5) and mean[0] > -61.0
    assert any("draws its own" in note.text for note in made.report)
    again = export(network, "nest", seed=6).run(400.0)
    assert again.spikes("source") != there.spikes("source")


# ------------------------------------------------------------------------------------------ plasticity, trained weights


def learning(synapse, weight=0.4, delay=Uniform(0.5, 3.0), n=30, m=10):
    """All of ``n`` sources, the last spike of each at 195 ms, onto ``m`` cells."""
    network = Network(seed=4, label="learning")
    rng = np.random.default_rng(2)
    times = [DT * np.sort(np.r_[rng.choice(np.arange(20, 1900), 12, replace=False), 1950]) for _ in range(n)]
    drive = network.population(n, SpikeSourceArray(spike_times=times), "drive")
    cells = network.population(m, IF_curr_exp(cm=0.25, tau_m=10.0, tau_refrac=2.0, tau_syn_E=2.0), "cells")
    network.project(drive, cells, AllToAllConnector(), Uniform(0.5 * weight, weight), delay, label="plastic", synapse=synapse)
    network.record(cells, "spikes")
    return network


@pytest.mark.needs("nest")
@pytest.mark.parametrize("dependence", [
    AdditiveWeightDependence(w_max=0.8), neurosim.MultiplicativeWeightDependence(w_max=0.8),
    neurosim.AdditivePotentiationMultiplicativeDepression(w_max=0.8), neurosim.GutigWeightDependence(w_max=0.8)])
def test_learning_in_nest(dependence):
    """NEST shows a weight as it was when its source last spiked; all do at 195 ms, and 1 ms later the engine's are the same."""
    network = learning(STDPMechanism(SpikePairRule(A_plus=0.02, A_minus=0.025, tau_minus=30.0), dependence), delay=1.0)
    made, simulation = export(network, "nest"), Simulation(network, threads=1)
    began = simulation.weights("plastic").values
    there, here = made.run(196.0), simulation.run(196.0)
    assert here.spikes("cells").count > 100
    assert there.spikes("cells") == here.spikes("cells")
    weights, ours = made.weights("plastic"), simulation.weights("plastic")
    np.testing.assert_array_equal(weights.pre, ours.pre)
    np.testing.assert_array_equal(weights.post, ours.post)
    np.testing.assert_allclose(weights.values, ours.values, rtol=0, atol=1e-12)
    assert np.abs(weights.values - began).max() > 0.02


@pytest.mark.needs("nest")
def test_short_term_plasticity_in_nest():
    network = learning(TsodyksMarkramSynapse(U=0.4, tau_rec=80.0, tau_facil=30.0, tau_psc=2.0), weight=1.5)
    there, here = export(network, "nest").run(200.0), by_engine(network, 200.0)
    assert here.spikes("cells").count > 50
    assert there.spikes("cells") == here.spikes("cells")


@pytest.mark.needs("brian2")
def test_learning_in_brian2():
    """Few cells and 50 ms, so that no two spikes meet at a synapse in one step, for which Brian2 has an order of its own."""
    mechanism = STDPMechanism(SpikePairRule(A_plus=0.05, A_minus=0.06), AdditiveWeightDependence(w_max=6.0), dendritic_delay_fraction=0.0)
    network = learning(mechanism, weight=4.0, n=4, m=2)
    made, simulation = export(network, "brian2"), Simulation(network, threads=1)
    began = simulation.weights("plastic").values
    there, here = made.run(50.0), simulation.run(50.0)
    assert here.spikes("cells").count > 5
    assert there.spikes("cells") == here.spikes("cells")
    np.testing.assert_allclose(made.weights("plastic").values, simulation.weights("plastic").values, atol=1e-9)
    assert np.abs(simulation.weights("plastic").values - began).max() > 0.1


@pytest.mark.needs("nest")
def test_trained_weights_are_exported():
    network = learning(STDPMechanism(SpikeTripletRule(A2_plus=5e-3), AdditiveWeightDependence(w_max=0.8)))
    simulation = Simulation(network, threads=1)
    simulation.run(200.0)
    trained = simulation.weights("plastic").values
    made = export(simulation, "nest", frozen=True)
    np.testing.assert_allclose(np.sort(made.weights("plastic").values), np.sort(trained), atol=1e-12)
    assert any(note.kind == "left out" and "SpikeTripletRule" in note.text for note in made.report)
    assert any("at 200 ms" in note.text for note in made.report)
    frozen = Network(seed=4)
    drive = frozen.population(30, network["drive"].cell, "drive")
    cells = frozen.population(10, network["cells"].cell, "cells")
    pre, post, _weight, delay = neurosim.wiring.arrays(network.projections[0], network.seed, DT)
    frozen.project(drive, cells, FromListConnector(np.column_stack([pre, post, trained, delay])))
    frozen.record(cells, "spikes")
    assert made.run(200.0).spikes("cells") == by_engine(frozen, 200.0).spikes("cells")
    with pytest.raises(NetworkError, match="SpikeTripletRule is not a rule of PyNN"):
        export(network, "nest", weights=simulation)


def test_synapses_that_came_and_went():
    network = Network(seed=1)
    drive = network.population(20, SpikeSourcePoisson(rate=50.0), "drive")
    cells = network.population(10, IF_curr_exp(), "cells")
    network.project(drive, cells, FixedNumberPreConnector(4), 0.2, 1.0, label="rewired",
                    structure=Rewiring(initial_weight=0.2, interval=10.0), synapse=None)
    simulation = Simulation(network, threads=1)
    simulation.run(100.0)
    (entry,) = plan.make_plan(network, DT, simulation, frozen=True).data["projections"]
    found = simulation.weights("rewired")
    np.testing.assert_array_equal(entry["pre"], found.pre)
    np.testing.assert_array_equal(entry["post"], found.post)
    assert entry["delay"] == pytest.approx(1.0)


# ------------------------------------------------------------------------------------------ what is handed over


def test_the_plan_is_the_network_evaluated():
    network = network_of(IF_curr_exp, tau_refrac=2.03)
    network.project(network["drive"], network["cells"][:20], OneToOneConnector(), 0.1, 1.0, label="view")
    network.project(network["cells"], network["cells"], OneToOneConnector(), 0.1, 1.0, label="self")
    network.project(network["cells"], network["cells"], AllToAllConnector(allow_self_connections=False), 0.01, 1.0, label="all")
    made = plan.make_plan(network, DT)
    entries = {one["label"]: one for one in made.data["projections"]}
    for projection in network.projections:
        entry = entries[projection.label]
        pre, post, weight, delay = neurosim.wiring.arrays(projection, network.seed, DT)
        assert np.array_equal(np.broadcast_to(entry["weight"], weight.shape), weight)
        assert np.array_equal(np.broadcast_to(entry["delay"], delay.shape), delay)
        if entry["connector"] == "list":
            assert np.array_equal(entry["pre"], pre) and np.array_equal(entry["post"], projection.post.indices[post])
    assert (entries["self"]["connector"], entries["all"]["connector"], entries["view"]["connector"]) == ("one to one", "all to all", "list")
    assert entries["all"]["self_connections"] is False
    assert made.problems == [] and kinds(made.notes) == {"rounded", "listed", "expanded"}
    (refractory,) = [note for note in made.notes if note.text.startswith("tau_refrac")]
    assert "by at most 0.03 ms" in refractory.text
    (delays,) = [note for note in made.notes if note.name == "cells -> cells" and note.kind == "rounded"]
    assert "200 of 200 to whole steps of 0.1 ms" in delays.text


def test_models_are_those_of_pynn_by_name_and_parameters():
    """The table, held against PyNN's own standard models."""
    standard = pytest.importorskip("pyNN.standardmodels.cells")
    synapses = pytest.importorskip("pyNN.standardmodels.synapses")
    electrodes = pytest.importorskip("pyNN.standardmodels.electrodes")
    assert len(plan.CELLS) == 15 and len(plan.TRANSMISSION) == 4 and len(plan.RULES) == 6 and len(plan.CURRENTS) == 4
    for ours in (*plan.CELLS, *plan.RULES, *plan.CURRENTS, *plan.TRANSMISSION):
        theirs = next(getattr(module, ours.__name__) for module in (standard, synapses, electrodes) if hasattr(module, ours.__name__))
        names = {field.name for field in dataclasses.fields(ours)} - {"pairing", "shared", "tau_psc"}
        names |= {"weight", "delay"} if ours in plan.TRANSMISSION else set()
        for name, parts in plan.BUNDLES.get(ours, {}).items():
            names = names - set(parts) | {name}
        assert names == set(theirs.default_parameters), ours.__name__


def test_delays_let_machines_exchange_spikes_rarely():
    network = learning(None)
    assert plan.make_plan(network, DT).data["min_delay"] == pytest.approx(0.5, abs=0.11)
    network.inject(DCSource(start=5.0), network["cells"])
    assert plan.make_plan(network, DT).data["min_delay"] == DT


@pytest.mark.needs("nest")
def test_early_spikes_are_reported():
    network = Network()
    drive = network.population(2, SpikeSourceArray(spike_times=[[0.0, 0.1, 3.04], [0.2]]), "drive")
    cells = network.population(2, IF_curr_exp(), "cells")
    network.project(drive, cells, OneToOneConnector(), 5.0)
    network.record(drive, "spikes")
    made = export(network, "nest")
    texts = [note.text for note in made.report if note.name == "drive"]
    assert texts[0].startswith("spike times: 1 of 4 to whole steps") and texts[1].startswith("2 given spikes before 0.2 ms")
    np.testing.assert_allclose(made.run(5.0).spikes("drive").times, [0.2, 0.2, 0.2, 3.0])


# ------------------------------------------------------------------------------------------ refusals


def refusing():
    """A network that PyNN cannot hold, and what must be named."""
    network = Network(seed=1, label="ours")
    cells = network.population(10, IF_curr_exp(), "cells")
    own = network.population(10, neurosim.IF_jump(), "own")
    network.population(5, neurosim.Astrocyte(), "glia")
    network.project(cells, own, OneToOneConnector(), 1.0)
    network.project(cells, cells, OneToOneConnector(), 0.1, homeostasis=SynapticScaling(), label="scaled")
    network.project(cells, cells, OneToOneConnector(), 0.1, synapse=TsodyksMarkramSynapse(), label="short")
    network.project(cells, cells, OneToOneConnector(), 0.1, synapse=STDPMechanism(SpikeTripletRule()), label="triplet")
    network.project(cells, cells, OneToOneConnector(), 0.1, synapse=STDPMechanism(SpikePairRule(pairing="nearest")), label="nearest")
    network.project(cells, cells, OneToOneConnector(), 0.1, synapse=neurosim.ElectricalSynapse(), label="gap")
    network.project(cells, cells, OneToOneConnector(), 0.1, synapse=neurosim.MultiQuantalSynapse(n=2), label="quanta")
    network.project(cells, cells, OneToOneConnector(), 0.1, synapse=TsodyksMarkramSynapse(U=Uniform(0.2, 0.5), tau_psc=4.0), label="many")
    network.record(cells, "isyn_exc")
    return network, ["population own: IF_jump is not among the models", "population glia: Astrocyte", "scaled: PyNN has no homeostasis",
                     "short: PyNN's TsodyksMarkramSynapse", "give it tau_psc=5", "triplet: SpikeTripletRule", "nearest: pairing='nearest'",
                     "gap: it has no ElectricalSynapse",
                     "quanta: n must be 1", "many: PyNN's TsodyksMarkramSynapse"]


@pytest.mark.needs("nest")
def test_all_refusals_come_at_once_before_anything_is_made():
    nest = script.simulator("nest")
    nest.setup()
    nest.Population(3, nest.IF_curr_exp())
    size = nest.simulator.nest.network_size
    network, named = refusing()
    with pytest.raises(NetworkError) as error:
        export(network, nest)
    for text in [*named, "recording of isyn_exc of cells: its IF_curr_exp can record spikes, v"]:
        assert text in str(error.value)
    assert nest.simulator.nest.network_size == size >= 3  # what was there is still there


def problems(name, network, **options):
    return targets.checks(name, plan.make_plan(network, DT, **options).data)[0]


def test_what_nest_would_get_wrong_is_refused():
    pairs = STDPMechanism(SpikePairRule(tau_minus=20.0), AdditiveWeightDependence(w_max=0.8))
    network = learning(pairs)
    assert problems("nest", network) == []
    network.project(network["drive"], network["cells"], AllToAllConnector(), 0.1, synapse=dataclasses.replace(
        pairs, timing_dependence=SpikePairRule(tau_minus=35.0)), label="other")
    network.project(network["cells"], network["cells"], AllToAllConnector(), -0.1, receptor="inhibitory", label="negative",
                    synapse=STDPMechanism(SpikePairRule(A_plus=0.0), neurosim.GutigWeightDependence(w_min=0.05, mu_plus=0.3), 0.5))
    eif = network.population(3, EIF_cond_exp_isfa_ista(), "eif", initial_values={"w": 0.1})
    assert eif.size == 3
    found = "\n".join(problems("nest", network))
    for text in ("plastic and other: tau_minus 20 and 35 ms", "negative: PyNN's rules know no", "negative: dendritic_delay_fraction",
                 "negative: w_min must be 0", "negative: mu_plus and mu_minus must be 0.5", "negative: A_plus = 0",
                 "eif: initial w must be 0"):
        assert text in found


def test_what_brian2_would_get_wrong_is_refused():
    network = learning(STDPMechanism(SpikePairRule(), neurosim.MultiplicativeWeightDependence(w_max=0.8)))
    network.population(2, HH_cond_exp(), "hh")
    network.population(2, IF_curr_alpha(tau_syn_E=20.0), "alpha")
    network.population(2, IF_curr_exp(tau_refrac=np.array([1.0, 2.0])), "mixed")
    network.population(2, SpikeSourcePoisson(rate=20000.0), "fast")
    network.project(network["drive"], network["cells"], AllToAllConnector(), 0.1, synapse=TsodyksMarkramSynapse(tau_psc=2.0), label="tm")
    found = "\n".join(problems("brian2", network))
    for text in ("plastic: pyNN.brian2 would take", "plastic: dendritic_delay_fraction must be 0", "hh: pyNN.brian2 counts",
                 "alpha: tau_syn_E and tau_m", "alpha: tau_syn_I of IF_curr_alpha", "mixed: tau_refrac", "fast: rate must be <= 10000 Hz",
                 "tm: TsodyksMarkramSynapse"):
        assert text in found


@pytest.mark.needs("nest", "neuron")
def test_a_simulator_is_asked_what_it_has():
    network = Network()
    network.population(3, IF_curr_delta(), "delta")
    network.population(3, neurosim.SpikeSourceInhGamma(), "gamma")
    with pytest.raises(NetworkError, match="population delta: it has no IF_curr_delta"):
        export(network, "neuron")
    with pytest.raises(NetworkError, match="population gamma: NEST .* has no inh_gamma_generator"):
        export(network, "nest")
    vogels = learning(STDPMechanism(Vogels2011Rule(eta=0.01)))
    with pytest.raises(NetworkError, match="projection plastic: it has no Vogels2011Rule"):
        export(vogels, "nest")


def test_bad_arguments():
    network = network_of(IF_curr_exp)
    with pytest.raises(ParameterError, match="sim must be a PyNN module"):
        export(network, np)
    with pytest.raises(ParameterError, match="sim='nowhere' cannot be imported"):
        export(network, "nowhere")
    with pytest.raises(ParameterError, match="export needs a Network"):
        export("network", "mock")
    with pytest.raises(ParameterError, match="seed must be a whole number"):
        export(network, "mock", seed=0)
    with pytest.raises(ParameterError, match="dt must be"):
        export(network, "mock", dt=-0.1)
    with pytest.raises(ParameterError, match="weights must be a Simulation of"):
        export(network, "mock", weights=Simulation(network_of(IF_curr_exp), threads=1))
    with pytest.raises(ParameterError, match="dt must be that of the simulation"):
        export(Simulation(network, threads=1), "mock", dt=0.2)
    with pytest.raises(NetworkError, match="no population"):
        export(Network(), "mock")
    made = export(network, "mock")
    with pytest.raises(ParameterError, match="duration must be > 0 ms"):
        made.run(-1.0)
    with pytest.raises(NetworkError, match="no projection 'none'"):
        made.weights("none")


def test_signs_of_drawn_weights():
    network = Network(seed=1)
    cells = network.population(50, IF_curr_exp(tau_syn_E=1.0), "cells")
    network.project(cells, cells, FixedNumberPreConnector(20), Normal(0.1, 0.1), label="tails")
    (note,) = [one for one in targets.checks("nest", plan.make_plan(network, DT).data)[1] if one.name == "tails"]
    weight = neurosim.wiring.arrays(network.projections[0], 1, DT)[2]
    assert note.text.startswith(f"{(weight < 0).sum()} weights have the other sign")
    cells.set(tau_syn_E=5.0)
    assert not [one for one in targets.checks("nest", plan.make_plan(network, DT).data)[1] if one.name == "tails"]


# ------------------------------------------------------------------------------------------ programs


def same_as_engine(path, network):
    """Holds a file of results against the engine; returns the number of spikes."""
    here = by_engine(network)
    with np.load(path) as saved:
        for label in ("drive", "cells"):
            np.testing.assert_array_equal(saved[f"{label}/spikes/cells"], here.spikes(label).ids)
            np.testing.assert_allclose(saved[f"{label}/spikes/times"], here.spikes(label).times, atol=1e-9)
        np.testing.assert_array_equal(saved["cells/v/cells"], here.traces("cells", "v").ids)
        np.testing.assert_allclose(saved["cells/v/values"], here.traces("cells", "v").values, atol=1e-9)
    assert here.spikes("cells").count > 200
    return here.spikes("cells").count


def ran(path, *arguments, before=()):
    """Run a written program in a process that cannot import neurosim."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    (path.parent / "neurosim.py").write_text("raise ImportError('this program needs no neurosim')\n")
    return subprocess.run([*before, sys.executable, str(path), *arguments], cwd=path.parent, env=environment, capture_output=True,
                          text=True, check=False, timeout=300)


@pytest.mark.needs("nest")
def test_a_written_program_gives_the_same_spikes(tmp_path):
    network = network_of(IF_curr_exp)
    network.inject(DCSource(amplitude=0.4, start=5.0, stop=60.0), network["cells"][3:9])
    report = write_script(network, tmp_path / "there.py", "nest", duration=100.0)
    done = ran(tmp_path / "there.py")
    assert done.returncode == 0, done.stderr
    count = same_as_engine(tmp_path / "there_nest.npz", network)
    assert f"cells: 40 IF_curr_exp, {count} spikes" in done.stdout
    text = (tmp_path / "there.py").read_text()
    assert "neurosim" not in text.split('"""')[2].replace("that ``neurosim`` wrote", "").replace("made by neurosim", "").replace(
        "data['neurosim']", "")
    assert all(note.text.split()[0] in text for note in report) and neurosim.__version__ in text
    compile(text, "there.py", "exec")


@pytest.mark.needs("nest", "mpi4py")
def test_a_written_program_gives_the_same_spikes_on_two_processes(tmp_path):
    """Needs NEST built with MPI: docs/pynn_export.md says how."""
    nest = script.simulator("nest").simulator.nest
    if not nest.build_info["have_mpi"] or shutil.which("mpirun") is None:
        pytest.skip("needs mpirun and NEST built with MPI")
    network = network_of(IF_curr_exp)
    network.inject(DCSource(amplitude=0.4, start=5.0, stop=60.0), network["cells"][3:9])
    write_script(network, tmp_path / "there.py", "nest", duration=100.0)
    done = ran(tmp_path / "there.py", before=["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2"])
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout and done.stdout.count("IF_curr_exp") == 1
    same_as_engine(tmp_path / "there_nest.npz", network)


def test_a_program_knows_what_other_simulators_refuse(tmp_path):
    network = Network()
    network.population(2, HH_cond_exp(), "hh").record("spikes")
    write_script(network, tmp_path / "hh.py", "nest", duration=10.0)
    done = ran(tmp_path / "hh.py", "brian2")
    assert done.returncode == 1 and "hh: pyNN.brian2 counts a spike at every step" in done.stderr


def test_files_that_cannot_be_written(tmp_path):
    network = network_of(IF_curr_exp)
    with pytest.raises(FileFormatError, match=r"must end in \.py"):
        write_script(network, tmp_path / "there.txt")
    with pytest.raises(FileFormatError, match="cannot write"):
        write_script(network, tmp_path / "nowhere" / "there.py")


def test_noise_is_drawn_for_each_cell_where_a_source_is_shared():
    network = Network()
    cells = network.population(4, IF_curr_exp(), "cells")
    network.inject(NoisyCurrentSource(stdev=0.5, dt=0.13), cells)
    made = plan.make_plan(network, DT)
    assert made.data["currents"][0]["parameters"]["dt"] == DT
    assert any("draws its own noise" in note.text for note in made.notes)
    network.inject(NoisyCurrentSource(shared=True), cells)
    data = plan.make_plan(network, DT).data
    assert [one["shared"] for one in data["currents"]] == [False, True]
    assert sum("shared=True" in note.text for note in targets.checks("nest", data)[1]) == 1
    injected = []

    class Source:
        def __init__(self, **parameters):
            assert "shared" not in parameters

        def inject_into(self, target):
            injected.append(target.size)

    sim = types.SimpleNamespace(NoisyCurrentSource=Source)
    for one in data["currents"]:
        script.inject(sim, {"cells": cells}, one, each=True)
    assert injected == [1, 1, 1, 1, 4]
