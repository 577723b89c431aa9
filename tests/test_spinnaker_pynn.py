"""Scripts for sPyNNaker on the emulation: what they may say, what they get, and what they are told."""

import dataclasses
import inspect
import json
import os
import runpy
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("pyNN", reason="needs PyNN, which is not installed")

import spinnaker_examples as examples

import neurosim.hardware.spinnaker.pynn as sim
from neurosim.errors import NetworkError
from neurosim.hardware.spinnaker import extra, weights
from neurosim.hardware.spinnaker.emulation import emulate
from neurosim.hardware.spinnaker.pynn import absent, connectors, estimates, simulator
from neurosim.hardware.spinnaker.pynn.__main__ import main, standing_in

ALL = [name for name, text in vars(examples).items() if name.isupper() and isinstance(text, str)]


@pytest.fixture(autouse=True)
def begun():
    """A machine with steps of 1 ms; notes that a test does not ask for are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.MachineWarning)
        sim.setup(timestep=1.0)
        yield


def noted(action, match):
    with pytest.warns(sim.MachineWarning, match=match):
        return action()


def cells(n=3, label="cells", **parameters):
    return sim.Population(n, sim.IF_curr_exp(**parameters), label=label)


def spikes_of(population):
    return [(int(cell), float(time)) for cell, time in population.spinnaker_get_data("spikes")]


# ------------------------------------------------------------------------------------------ whole scripts


@pytest.mark.parametrize("name", ALL)
def test_a_script_says_what_its_network_says(name, tmp_path):
    """Spikes and samples are those of `emulate` on the network and the settings that the script describes."""
    script = tmp_path / "script.py"
    script.write_text(getattr(examples, name).replace("sim.end()", ""), encoding="utf-8")
    with standing_in():
        runpy.run_path(str(script))
    settings = sim.machine_settings()
    result = emulate(sim.describe_network(), sim.get_current_time(), **settings)
    compared = 0
    for population in simulator.state.populations:
        for variable in population.recorder.chosen:
            if variable == "spikes":
                there = result.spikes(population.label)
                rows = np.column_stack((there.ids, there.times))
                assert population.spinnaker_get_data("spikes").tolist() == rows[np.lexsort((rows[:, 1], rows[:, 0]))].tolist()
            else:
                native, sign = population.celltype.native_variable(variable)
                there = sign * result.traces(population.label, native).values
                assert np.array_equal(population.spinnaker_get_data(variable, as_matrix=True), there)
            compared += 1
    assert compared and any(len(spikes_of(one)) for one in simulator.state.populations if "spikes" in one.recorder.chosen)


def test_a_script_runs_as_it_is(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import spynnaker8 as old, spynnaker.pyNN as new, pyNN.spiNNaker as p\n"
                      "from pyNN.spiNNaker.extra_models import SpikeNearestPairRule\n"
                      "assert old is new is p and p.extra_models.SpikeNearestPairRule is SpikeNearestPairRule\n"
                      "import sys\np.setup(1.0)\ncells = p.Population(2, p.IF_curr_exp(i_offset=2.0))\ncells.record('spikes')\np.run(100)\n"
                      "print(sys.argv[1:], cells.mean_spike_count())\np.end()\n")
    command = [sys.executable, "-W", "ignore", "-m", "neurosim.hardware.spinnaker.pynn", str(script), "an argument"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.stdout.startswith("['an argument'] ") and float(done.stdout.split()[-1]) > 3
    assert main([str(tmp_path / "nothing.py")]) == 2
    assert main(["--help"]) == 0


def test_it_stands_in_only_for_a_while():
    before = sys.modules.get("spynnaker8")
    with standing_in() as emulation:
        assert sys.modules["spynnaker8"] is emulation is sim
    assert sys.modules.get("spynnaker8") is before


def test_vogels_and_abbott_in_small():
    """A balanced network, with all that its script draws: active, neither silent nor at every step."""
    sim.set_number_of_neurons_per_core(sim.IF_cond_exp, 100)
    model = sim.IF_cond_exp(cm=0.2, tau_m=20.0, tau_syn_E=5.0, tau_syn_I=10.0, e_rev_E=0.0, e_rev_I=-80.0, v_rest=-60.0, v_reset=-60.0,
                            v_thresh=-50.0, tau_refrac=5.0)
    exc = sim.Population(320, model, label="exc", seed=1, additional_parameters={"max_expected_summed_weight": [1.0, 6.0]})
    inh = sim.Population(80, model, label="inh", seed=2, additional_parameters={"max_expected_summed_weight": [1.0, 6.0]})
    stimulus = sim.Population(20, sim.SpikeSourcePoisson(rate=100.0, duration=50.0), label="stimulus", seed=3)
    for group in (exc, inh):
        group.initialize(v=sim.RandomDistribution("uniform", low=-65.0, high=-50.0))
        for source, weight, receptor in ((exc, 0.04, "excitatory"), (inh, 0.51, "inhibitory")):
            sim.Projection(source, group, sim.FixedProbabilityConnector(0.1), sim.StaticSynapse(weight=weight, delay=1.0),
                           receptor_type=receptor)
        sim.Projection(stimulus, group, sim.FixedProbabilityConnector(0.5), sim.StaticSynapse(weight=0.1, delay=1.0))
        group.record("spikes")
    sim.run(200)
    assert 1.0 < exc.mean_spike_count() < 20.0
    assert len(simulator.state.simulation.deployment.cells) == 3
    assert simulator.state.simulation.deployment["exc"].per_core == 100


def test_two_runs_of_a_script_are_the_same_and_seeds_decide():
    def once(seed, rng_seed=1):
        sim.setup(1.0, rng_seed=rng_seed)
        noise = sim.Population(20, sim.SpikeSourcePoisson(rate=50.0), label="noise", seed=seed)
        target = sim.Population(20, sim.IF_curr_exp(), label="target", seed=seed)
        made = sim.Projection(noise, target, sim.FixedProbabilityConnector(0.5), sim.StaticSynapse(weight=2.0))
        target.record("spikes")
        noise.record("spikes")
        sim.run(100)
        return list(made.get("weight", "list")), spikes_of(target), spikes_of(noise)

    assert once(3) == once(3)
    assert all(a != b for a, b in zip(once(3), once(4), strict=True))
    assert once(None) == once(None)
    assert all(a != b for a, b in zip(once(None), once(None, rng_seed=2), strict=True))


# ------------------------------------------------------------------------------------------ time and segments


def test_runs_follow_each_other_as_one():
    def once(*parts):
        sim.setup(1.0)
        population = cells(4, i_offset=1.2)
        population.record(["spikes", "v"], sampling_interval=1.0)
        for part in parts:
            sim.run(part)
        return spikes_of(population), population.spinnaker_get_data("v").tolist(), sim.get_current_time()

    assert once(90) == once(40, 50) == once(1, 88, 1)


def test_parameters_change_between_runs_without_a_reset():
    population, source = cells(2), sim.Population(1, sim.SpikeSourceArray([5]), label="given")
    noise = sim.Population(5, sim.SpikeSourcePoisson(rate=0.0), label="noise")
    for one in (population, source, noise):
        one.record("spikes")
    sim.run(50)
    assert not spikes_of(population) and not spikes_of(noise) and spikes_of(source) == [(0, 5.0)]
    population.set(i_offset=[0.0, 3.0])
    source.set(spike_times=[60, 70.5])
    noise.set(rate=400.0)
    sim.run(50)
    assert {cell for cell, time in spikes_of(population)} == {1}
    assert spikes_of(source) == [(0, 5.0), (0, 60.0), (0, 71.0)]  # 70.5 ms is sent in the next step
    assert all(time >= 50 for _, time in spikes_of(noise)) and len(spikes_of(noise)) > 50
    assert population.get("i_offset") == [0.0, 3.0]


def test_reset_begins_a_segment_and_keeps_parameters():
    population = cells(2, i_offset=1.5)
    population.record(["spikes", "v"])
    sim.run(60)
    first = spikes_of(population)
    sim.reset()
    assert sim.get_current_time() == 0.0
    noted(lambda: population.get_data(), "after reset")
    population.set(i_offset=0.0)
    sim.run(30)
    block = population.get_data()
    assert [one.name for one in block.segments] == ["segment0", "segment1"]
    assert [(k, float(t)) for k, train in enumerate(block.segments[0].spiketrains) for t in train] == first
    assert [one.analogsignals[0].shape for one in block.segments] == [(60, 2), (30, 2)]
    assert not spikes_of(population)


def test_the_network_grows_only_after_a_reset():
    population = cells()
    population.record("spikes")
    sim.run(10)
    more = cells(2, label="more")
    with pytest.raises(NotImplementedError, match="cannot be changed between runs without resetting"):
        sim.run(10)
    sim.reset()
    sim.Projection(population, more, sim.AllToAllConnector())
    sim.run(10)
    population.record("v")
    with pytest.raises(NotImplementedError, match="recordings"):
        sim.run(10)


def test_initial_values_count_from_a_reset_and_states_at_once():
    population = cells(2)
    population.record("v")
    population.initialize(v=[-60.0, -61.0])
    sim.run(2)
    assert population.spinnaker_get_data("v", as_matrix=True)[0].tolist() == [-60.0, -61.0]
    noted(lambda: population.initialize(v=-55.0), "without reset")
    population.set_state(v=-52.0)
    sim.run(1)
    assert population.spinnaker_get_data("v", as_matrix=True)[2].tolist() == [-52.0, -52.0]
    assert population.current_values["v"].max() < -52.0
    sim.reset()
    sim.run(1)
    assert population.spinnaker_get_data("v", as_matrix=True)[0].tolist() == [-55.0, -55.0]


def test_callbacks_and_run_until():
    population, seen = cells(1, i_offset=2.0), []
    population.record("spikes")

    def count(t):
        seen.append(t)
        return t + 20.0

    sim.run(60, callbacks=[count])
    assert seen[:3] == [0.0, 20.0, 40.0]
    assert sim.run_until(100.4) == 100.0
    assert sim.run_for(3) == 103.0
    with pytest.raises(ValueError, match="past"):
        sim.run_until(50)


# ------------------------------------------------------------------------------------------ recording


def test_each_variable_has_its_interval_and_its_cells():
    population = cells(6, i_offset=1.0)
    population[1:4].record("v", sampling_interval=2.0)
    population.record("gsyn_exc", sampling_interval=5.0)
    population[[0, 5]].record("spikes")
    sim.run(20)
    segment = population.get_data().segments[0]
    v, gsyn = (segment.filter(name=name)[0] for name in ("v", "gsyn_exc"))
    assert (v.shape, gsyn.shape) == ((10, 3), (4, 6))
    assert list(v.annotations["channel_names"]) == [1, 2, 3] and float(v.sampling_rate) == 500.0
    assert str(gsyn.units.dimensionality) == "uS"
    assert len(population[2:4].get_data("v").segments[0].analogsignals[0].T) == 2
    noted(lambda: population[0:2].get_data("v"), r"no v of cells \[0\]")
    assert population[5].get_spike_counts() == {5: population.get_spike_counts()[5]}
    rows = population.spinnaker_get_data("v")
    assert rows.shape == (30, 3) and rows[:3, :2].tolist() == [[1.0, 0.0], [1.0, 2.0], [1.0, 4.0]]


def test_clearing_data():
    population = cells(2, i_offset=2.0)
    population.record(["spikes", "v"])
    sim.run(30)
    before = population.get_data(clear=True).segments[0]
    sim.run(20)
    after = population.get_data().segments[0]
    assert float(after.analogsignals[0].t_start) == 30.0 and after.analogsignals[0].shape == (20, 2)
    assert all(float(train.t_start) == 30.0 and (train >= train.t_start).all() for train in after.spiketrains)
    assert before.analogsignals[0].shape == (30, 2)


def test_recording_to_files(tmp_path):
    population = cells(2, i_offset=2.0)
    population.record("spikes", to_file=str(tmp_path / "on_end.pkl"))
    population.record("v")
    sim.run(30)
    population.write_data(str(tmp_path / "now.pkl"), "v")
    sim.end()
    neo = pytest.importorskip("neo")
    read = neo.io.PickleIO(str(tmp_path / "now.pkl")).read_block()
    assert read.segments[0].analogsignals[0].shape == (30, 2)
    assert len(neo.io.PickleIO(str(tmp_path / "on_end.pkl")).read_block().segments[0].spiketrains) == 2


def test_what_recording_refuses():
    population, source = cells(), sim.Population(2, sim.SpikeSourceArray([1]))
    for action, error, match in (
            (lambda: population.record("w"), KeyError, "not possible to record 'w'"),
            (lambda: source.record("v"), KeyError, "there is spikes"),
            (lambda: population.record("v", sampling_interval=1.5), sim.ConfigurationException, "whole multiple of the time step 1 ms"),
            (lambda: population.record(None, sampling_interval=1.0), sim.ConfigurationException, "turns recording off"),
            (lambda: population.get_data(), sim.ConfigurationException, "call run"),
            (lambda: population.get_spike_counts(), sim.ConfigurationException, "call run")):
        with pytest.raises(error, match=match):
            action()
    population.record("all")
    assert set(population.recorder.chosen) == {"v", "gsyn_exc", "gsyn_inh", "spikes"}
    population.record(None)
    population.record("v")
    with pytest.raises(sim.ConfigurationException, match="one interval for all cells"):
        population.record("v", sampling_interval=2.0)
    sim.run(3)
    with pytest.raises(sim.ConfigurationException, match="spikes was not recorded"):
        population.get_data("spikes")


# ------------------------------------------------------------------------------------------ projections


def test_weights_and_delays_are_those_of_the_machine():
    source, target = sim.Population(2, sim.SpikeSourceArray([1])), cells(2)
    made = sim.Projection(source, target, sim.FromListConnector([(0, 0, 0.05, 2.2), (1, 1, -0.0133337, 1.4), (0, 1, 0.5, 0.2)]))
    early = made.get(["weight", "delay"], "list")
    with pytest.raises(NotImplementedError, match="after run"):
        len(early)
    sim.run(1)
    shift = simulator.state.simulation.deployment[target.label].shifts[0]
    stored = [float(np.rint(one * 2.0 ** (15 - shift)) / 2.0 ** (15 - shift)) for one in (0.05, 0.5, 0.0133337)]
    assert list(early) == [[0, 0, stored[0], 2.0], [0, 1, stored[1], 1.0], [1, 1, stored[2], 1.0]]
    assert list(made.get("delay", "list", with_address=False)) == [2.0, 1.0, 1.0]
    matrix, delays = made.get(["weight", "delay"], format="array")
    assert np.isnan(matrix[1, 0]) and matrix[0, 1] == stored[1] and delays[0, 0] == 2.0
    assert np.asarray(early).shape == (3, 4)


def test_views_are_told_in_the_indices_of_their_populations():
    source, target = sim.Population(6, sim.SpikeSourceArray([1])), cells(6)
    made = sim.Projection(source[2:4], target[1:3], sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0))
    odd = noted(lambda: sim.Projection(source[[0, 5]], target[3], sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0)), "neighbouring")
    sim.run(1)
    assert [row[:2] for row in made.get("weight", "list")] == [[2, 1], [2, 2], [3, 1], [3, 2]]
    assert [row[:2] for row in odd.get("weight", "list")] == [[0, 3], [5, 3]]
    assert made.get("weight", "array").shape == (6, 6)


def test_saved_synapses_make_the_same_projection(tmp_path):
    source, target = sim.Population(4, sim.SpikeSourceArray([1])), cells(5)
    made = sim.Projection(source, target, sim.FixedNumberPreConnector(2), sim.StaticSynapse(
        weight=sim.RandomDistribution("uniform", low=0.1, high=2.0), delay=3.0))
    made.save(["weight", "delay"], str(tmp_path / "before.txt"))
    sim.run(1)
    rows = list(made.get(["weight", "delay"], "list"))
    made.save(["weight", "delay"], str(tmp_path / "synapses.txt"))
    assert (tmp_path / "before.txt").read_text() == (tmp_path / "synapses.txt").read_text()
    sim.setup(1.0)
    again = sim.Projection(sim.Population(4, sim.SpikeSourceArray([1])), cells(5), sim.FromFileConnector(str(tmp_path / "synapses.txt")))
    listed = sim.Projection(again.pre, cells(5, "other"), sim.FromListConnector(rows))
    sim.run(1)
    assert list(again.get(["weight", "delay"], "list")) == list(listed.get(["weight", "delay"], "list")) == rows


def test_signs_do_not_count():
    def once(weight, receptor):
        sim.setup(1.0)
        target = cells(1, label="target")
        made = sim.Projection(sim.Population(1, sim.SpikeSourceArray([2])), target, sim.OneToOneConnector(), sim.StaticSynapse(weight=weight),
                              receptor_type=receptor)
        target.record(["v", "gsyn_inh"])
        sim.run(10)
        return target.spinnaker_get_data("v").tolist(), list(made.get("weight", "list")), target.spinnaker_get_data("gsyn_inh")[:, 2].min()

    for receptor in ("excitatory", "inhibitory"):
        assert once(1.5, receptor) == once(-1.5, receptor)
    assert once(1.5, "inhibitory")[0] != once(1.5, "excitatory")[0]
    assert once(1.5, "inhibitory")[2] >= 0.0
    noted(lambda: sim.Projection(cells(2, "a"), cells(2, "b"), sim.FromListConnector([(0, 0, 1.0, 1.0), (1, 1, -1.0, 1.0)])), "both signs")


def test_rules_are_the_machines():
    w = sim.AdditiveWeightDependence(w_min=0.1, w_max=0.3)
    sources, target = sim.Population(2, sim.SpikeSourceArray([1])), cells(2)
    made = sim.Projection(sources, target, sim.OneToOneConnector(), sim.STDPMechanism(sim.SpikePairRule(A_plus=0.01, A_minus=0.013), w,
                                                                                       weight=0.2, delay=1.0))
    sim.run(1)
    plastic = simulator.state.simulation.deployment[target.label].plastic
    assert (plastic.timing, plastic.weight) == ("pair", "additive")
    assert plastic.parameters["A_plus"] == 0.01 and plastic.parameters["A_minus"] == 0.013  # not times w_max, to the last bit
    assert list(made.get("tau_plus", "list", with_address=False)) == [20.0, 20.0]
    models, multiplicative = sim.extra_models, sim.MultiplicativeWeightDependence(0.0, 2.0)
    triplet = models.WeightDependenceAdditiveTriplet(0.0, 4.0, 0.03, 0.002)
    for timing, weight, name, expected in (
            (models.SpikeNearestPairRule(10.0, 20.0, 0.1, 0.2), w, "nearest_pair", {"tau_plus": 10.0, "A_plus": 0.1}),
            (sim.SpikePairRule(A_plus=0.1), multiplicative, "pair", {"A_plus": 0.1, "w_max": 2.0}),
            (models.Vogels2011Rule(alpha=0.12, tau=20.0, A_plus=0.05), w, "vogels", {"alpha": 0.12, "A_plus": 0.05}),
            (models.PfisterSpikeTriplet(16.8, 33.7, 101.0, 125.0, 0.05, 0.07), triplet, "triplet", {"A_plus": 0.05, "A3_plus": 0.03})):
        sim.setup(1.0)
        target = cells(2)
        sim.Projection(sim.Population(2, sim.SpikeSourceArray([1])), target, sim.OneToOneConnector(),
                       sim.STDPMechanism(timing, weight, weight=0.2, delay=1.0))
        sim.run(1)
        plastic = simulator.state.simulation.deployment[target.label].plastic
        assert plastic.timing == name and {key: plastic.parameters[key] for key in expected} == expected


def test_amplitudes_keep_every_bit():
    rng = np.random.default_rng(1)
    lost = 0
    for amplitude, w_max in rng.uniform(0.001, 8.0, (500, 2)):
        relative = sim.AdditiveWeightDependence(0.0, w_max).relative(amplitude)
        assert abs(relative * w_max - amplitude) <= np.spacing(amplitude)
        lost += relative * w_max != amplitude
    assert lost < 100  # where no number times w_max is the amplitude, the nearest is


def test_all_rules_of_a_population_must_agree():
    target, source = cells(2), sim.Population(2, sim.SpikeSourceArray([1]))
    for amplitude in (0.1, 0.2):
        sim.Projection(source, target, sim.OneToOneConnector(), sim.STDPMechanism(sim.SpikePairRule(A_plus=amplitude),
                                                                                 sim.AdditiveWeightDependence(), weight=0.5, delay=1.0))
    with pytest.raises(NetworkError, match="another rule"):
        sim.run(1)


def test_what_the_machine_refuses_is_refused_with_the_remedy():
    sim.Projection(sim.Population(1, sim.SpikeSourceArray([1])), cells(300), sim.AllToAllConnector(), sim.StaticSynapse(delay=5000.0))
    with pytest.raises(NetworkError, match="5000 ms.*neurons_per_core"):
        sim.run(1)


def test_weights_that_vanish_are_told():
    sim.Projection(sim.Population(2, sim.SpikeSourceArray([1])), cells(2), sim.FromListConnector([(0, 0, 1e-6, 1.0), (1, 1, 3.0, 1.0)]))
    noted(lambda: sim.run(1), "1 of 2 weights are stored as 0")


# ------------------------------------------------------------------------------------------ connectors


def pairs(connector, n_pre, n_post, pre=None, post=None, **synapse):
    source = pre or sim.Population(n_pre, sim.SpikeSourceArray([1]), structure=sim.Line())
    target = post or sim.Population(n_post, sim.IF_curr_exp(), structure=sim.Line())
    made = sim.Projection(source, target, connector, sim.StaticSynapse(**{"weight": 1.0, **synapse}))
    sim.run(1)
    return [tuple(row[:2]) for row in made.get("weight", "list")]


@pytest.mark.parametrize(("connector", "expected"), [
    (lambda: sim.OneToOneConnector(), [(k, k) for k in range(4)]),
    (lambda: sim.ArrayConnector(np.eye(4, 5, k=1)), [(k, k + 1) for k in range(4)]),
    (lambda: sim.extra_models.OneToOneOffsetConnector(1, False), [(0, 1), (1, 2), (2, 3)]),
    (lambda: sim.extra_models.OneToOneOffsetConnector(-1, True), [(0, 3), (1, 0), (2, 1), (3, 2)]),
    (lambda: sim.IndexBasedProbabilityConnector("(i == 2) * (j < 3) * 1.0"), [(2, 0), (2, 1), (2, 2)]),
    (lambda: sim.DistanceDependentProbabilityConnector("d < 1.5"),
     [(i, j) for i in range(4) for j in range(5) if abs(i - j) < 1.5]),
    (lambda: sim.DistanceDependentProbabilityConnector("(d[0] < 0.5) * 1.0"), [(k, k) for k in range(4)]),
    (lambda: sim.FixedProbabilityConnector(1.0), [(i, j) for i in range(4) for j in range(5)]),
    (lambda: sim.FromListConnector([(3, 4), (0, 1), (3, 4)]), [(0, 1), (3, 4), (3, 4)]),
    (lambda: sim.FromListConnector(np.array([(3, 4, 2.5), (0, 1, 1.5)])), [(0, 1), (3, 4)]),
    (lambda: sim.FromListConnector([(3, 4, 2.0)], column_names=["delay"]), [(3, 4)]),
    (lambda: sim.SmallWorldConnector(1.5, 0.0), [(i, j) for i in range(4) for j in range(5) if abs(i - j) <= 1.5]),
])
def test_connectors_without_chance(connector, expected):
    assert pairs(connector(), 4, 5) == expected


@pytest.mark.parametrize(("connector", "least", "most"), [
    (lambda: sim.FixedProbabilityConnector(0.3), 900, 1500),
    (lambda: sim.FixedTotalNumberConnector(700), 700, 700),
    (lambda: sim.FixedNumberPreConnector(7), 560, 560),
    (lambda: sim.FixedNumberPostConnector(9, with_replacement=True), 450, 450),
    (lambda: sim.DistanceDependentProbabilityConnector("exp(-d / 10.0)"), 500, 1500),
    (lambda: sim.IndexBasedProbabilityConnector("0.25 + 0.0 * i"), 700, 1300),
])
def test_connectors_with_chance(connector, least, most):
    first = pairs(connector(), 50, 80)
    assert least <= len(first) <= most
    sim.setup(1.0, rng_seed=2)
    assert pairs(connector(), 50, 80) != first


def test_no_cell_to_itself():
    for make in (sim.AllToAllConnector, lambda allow_self_connections: sim.FixedProbabilityConnector(1.0, allow_self_connections)):
        sim.setup(1.0)
        population = cells(5)
        assert pairs(make(allow_self_connections=False), 5, 5, population, population) == [(i, j) for i in range(5) for j in range(5) if i != j]


def test_groups_where_the_winner_takes_all():
    population = cells(6)
    made = sim.Projection(population, population, sim.extra_models.AllButMeConnector(3, weights=np.arange(1.0, 7.0)))
    sim.run(1)
    assert [tuple(row[:3]) for row in made.get("weight", "list")] == [
        (a + g, b + g, 2.0 * a + b + (b < a)) for g in (0, 3) for a in range(3) for b in range(3) if a != b]


def test_kernels():
    """Against a loop over all pairs of cells."""
    rng, shape_pre, shape_post, kernel = np.random.default_rng(2), (5, 7), (3, 4), rng_kernel()
    source, target = sim.Population(35, sim.SpikeSourceArray([1])), cells(12)
    steps, start = (2, 2), (0, 1)
    made = sim.Projection(source, target, sim.KernelConnector(shape_pre, shape_post, kernel.shape, weight_kernel=kernel, delay_kernel=4.0,
                                                              post_sample_steps_in_pre=steps, post_start_coords_in_pre=start))
    sim.run(1)
    expected = {}
    for i in range(35):
        for j in range(12):
            row, column = (start[a] + divmod(j, 4)[a] * steps[a] - divmod(i, 7)[a] for a in (0, 1))
            at = (kernel.shape[0] // 2 - row, kernel.shape[1] // 2 - column)
            if 0 <= at[0] < kernel.shape[0] and 0 <= at[1] < kernel.shape[1]:
                expected[i, j] = kernel[at]
    found = {tuple(row[:2]): row[2:] for row in made.get(["weight", "delay"], "list")}
    assert found.keys() == expected.keys() and all(delay == 4.0 for _, delay in found.values())
    assert all(abs(found[pair][0] - weight) < 1e-3 for pair, weight in expected.items())
    assert rng is not None


def rng_kernel():
    return np.round(np.random.default_rng(3).uniform(0.1, 1.0, (3, 5)), 3)


def test_the_order_of_a_list_does_not_matter_but_is_told():
    rows = [(0, 299, 1.0, 1.0), (1, 0, 2.0, 1.0), (0, 1, 3.0, 1.0)]
    source, target = sim.Population(2, sim.SpikeSourceArray([1])), cells(300)
    made = noted(lambda: sim.Projection(source, target, sim.FromListConnector(rows)), "not in the order")
    gone = noted(lambda: sim.Projection(source, target, sim.FromListConnector([*rows, (7, 0, 1.0, 1.0)])), "1 rows of the list")
    sim.run(1)
    assert [tuple(row) for row in made.get(["weight", "delay"], "list")] == sorted(rows) == [
        tuple(row) for row in gone.get(["weight", "delay"], "list")]


# ------------------------------------------------------------------------------------------ estimates


@pytest.mark.needs("scipy")
def test_binomial_quantiles_are_scipys(needs):
    binom = needs("scipy.stats").binom
    rng, compared = np.random.default_rng(5), 0
    for trials, chance in zip(rng.integers(1, 5000, 200), rng.uniform(0.0, 1.0, 200) ** 3, strict=True):
        total = float(trials) * 100.0
        for risk in (1e-2, 1e-4, 1e-5):
            assert estimates.most_selected(total, int(trials), chance, risk) == binom.ppf(1.0 - risk / total, trials, chance)
            compared += 1
    assert compared == 600
    assert estimates.most_selected(1e7, 10**7, 0.02) == binom.ppf(1.0 - 1e-9, 10**7, 0.02)


@pytest.mark.needs("scipy")
@pytest.mark.parametrize(("name", "values", "scipys", "arguments"), [
    ("uniform", {"low": 0.2, "high": 0.9}, "uniform", (0.2, 0.7)),
    ("normal", {"mu": 0.5, "sigma": 0.1}, "norm", (0.5, 0.1)),
    ("exponential", {"beta": 0.3}, "expon", (0.0, 0.3)),
    ("lognormal", {"mu": -1.0, "sigma": 0.4}, "lognorm", (0.4, 0.0, np.exp(-1.0))),
    ("normal_clipped", {"mu": 1.0, "sigma": 0.5, "low": 0.2, "high": 1.4}, "truncnorm", (-1.6, 0.8, 1.0, 0.5)),
])
def test_moments_and_quantiles_are_scipys(needs, name, values, scipys, arguments):
    one = getattr(needs("scipy.stats"), scipys)(*arguments)
    assert np.allclose(estimates._moments(name, values), (one.mean(), one.var()), rtol=1e-10)
    for chance in (1e-6, 0.3, 1.0 - 1e-6):
        assert np.isclose(estimates._quantile(name, values, chance), one.ppf(chance), rtol=1e-8)


def test_the_script_decides_how_weights_are_stored():
    """A distribution counts with what it may give, not with what was drawn; explicit numbers of the script win."""
    source, normal = sim.Population(10, sim.SpikeSourceArray([1])), sim.RandomDistribution("normal", mu=1.0, sigma=0.2)
    drawn = sim.Population(10, sim.IF_curr_exp(), label="drawn")
    given = sim.Population(10, sim.IF_curr_exp(), label="given", max_expected_summed_weight=[100.0, 0.0])
    for target in (drawn, given):
        made = sim.Projection(source, target, sim.AllToAllConnector(), sim.StaticSynapse(weight=normal, delay=1.0))
    sim.run(1)
    deployment = simulator.state.simulation.deployment
    extreme = 1.0 + 0.2 * 3.719016485455709  # of 100 draws, but for a chance of 0.01
    assert made.estimate().greatest == pytest.approx(extreme, rel=1e-9) and made.estimate().mean == 1.0
    assert deployment["drawn"].shifts == (weights.shift_of(10 * extreme), 0)
    assert deployment["given"].shifts == (7, 0)


# ------------------------------------------------------------------------------------------ currents


def test_currents():
    population = cells(3)
    population.record("v")
    sim.DCSource(amplitude=1.0, start=5.0, stop=15.0).inject_into(population[0:1])
    sim.StepCurrentSource(times=[10.0, 20.0], amplitudes=[0.5, 0.0]).inject_into(population[1:2])
    noted(lambda: population.inject(sim.DCSource(amplitude=5.0)), "never on")
    sim.run(30)
    v = population.spinnaker_get_data("v", as_matrix=True)
    assert v[:6, 0].tolist() == [-65.0] * 6 and v[15, 0] > -60.0 and v[29, 0] < v[15, 0]
    assert v[10, 1] == -65.0 and v[20, 1] > -63.0
    assert (v[:, 2] == -65.0).all()


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(("action", "error", "match"), [
    (lambda: cells().set(v=-60.0), KeyError, "state variable, which initialize"),
    (lambda: cells().set(nothing=1), KeyError, "'nothing' is not a parameter of IF_curr_exp"),
    (lambda: cells().get("v"), KeyError, "not a parameter"),
    (lambda: cells().initialize(w=1), KeyError, "not a state variable"),
    (lambda: sim.IF_curr_exp(foo=1), TypeError, "no parameter 'foo'"),
    (lambda: sim.Population(0, sim.IF_curr_exp()), sim.ConfigurationException, "must be > 0"),
    (lambda: sim.Population(2.5, sim.IF_curr_exp()), sim.ConfigurationException, "whole number"),
    (lambda: sim.Population(2, sim.IF_curr_exp(), {"tau_m": 3.0}), sim.ConfigurationException, "cellparams must be None"),
    (lambda: sim.Population(2, "IF_curr_exp"), sim.ConfigurationException, "cell type"),
    (lambda: sim.Population(2, sim.IF_curr_exp(), n_steps_per_timestep=2), NotImplementedError, "n_steps_per_timestep"),
    (lambda: cells().positions, ValueError, "no positions"),
    (lambda: cells() + cells(), NotImplementedError, "no assemblies"),
    (lambda: cells().nearest((0, 0, 0)), NotImplementedError, "nearest"),
    (lambda: sim.initialize(cells(), v=sim.RandomDistribution("uniform", (-70, -60), rng=sim.NumpyRNG(seed=1))),
     sim.ConfigurationException, "seed=... to the target population"),
    (lambda: sim.Projection(cells(), cells(), sim.FixedProbabilityConnector(0.5, rng=sim.NumpyRNG(seed=1))),
     sim.ConfigurationException, "rng in FixedProbabilityConnector"),
    (lambda: sim.Projection(cells(), cells(), sim.AllToAllConnector(), sim.StaticSynapse(
        weight=sim.RandomDistribution("uniform", (0, 1), rng=sim.NumpyRNG(seed=1)))), sim.ConfigurationException, "RandomDistribution"),
    (lambda: sim.FixedProbabilityConnector(1.5), sim.ConfigurationException, "within 0 and 1"),
    (lambda: sim.FromListConnector([(0, 0, 1, 1, 1)]), sim.ConfigurationException, "columns"),
    (lambda: sim.Projection(cells(), cells(), sim.FixedNumberPreConnector(4)), sim.ConfigurationException, "n <= 3"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector(), receptor_type="third"), sim.ConfigurationException, "third not found"),
    (lambda: sim.Projection(cells(), sim.Population(1, sim.SpikeSourceArray()), sim.OneToOneConnector()), sim.ConfigurationException,
     "takes no input"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector(), source="soma"), NotImplementedError, "compartments"),
    (lambda: sim.Projection([1], cells(), sim.OneToOneConnector()), sim.ConfigurationException, "populations and views"),
    (lambda: sim.Projection(cells(), cells(), "all"), sim.ConfigurationException, "connector must be"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector(), "static"), sim.ConfigurationException, "synapse_type must be"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector()).set(weight=1), NotImplementedError, "no Projection.set"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector()).size(), NotImplementedError, "no Projection.size"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector()).get("weight", "table"), sim.ConfigurationException, "'list' or 'array'"),
    (lambda: sim.STDPMechanism(sim.SpikePairRule(), sim.AdditiveWeightDependence(), dendritic_delay_fraction=0.5), NotImplementedError,
     "dendritic"),
    (lambda: sim.STDPMechanism(sim.SpikePairRule(), sim.AdditiveWeightDependence(), backprop_delay=False), NotImplementedError, "backprop"),
    (lambda: sim.STDPMechanism("pairs", sim.AdditiveWeightDependence()), sim.ConfigurationException, "is not one of"),
    (lambda: sim.STDPMechanism(sim.extra_models.PfisterSpikeTriplet(1, 1, 1, 1, 1, 1), sim.AdditiveWeightDependence()),
     sim.ConfigurationException, "AdditiveTriplet"),
    (lambda: sim.set_number_of_neurons_per_core("IF_curr_exp", 5), sim.ConfigurationException, "cell type"),
    (lambda: sim.set_number_of_neurons_per_core(sim.IF_curr_exp, 500), sim.SpynnakerException, "at most 256"),
    (lambda: sim.setup(1.0, n_chips_required=1, n_boards_required=1), sim.ConfigurationException, "not both"),
    (lambda: sim.get_max_delay(), NotImplementedError, "its own"),
])
def test_what_is_refused(action, error, match):
    with pytest.raises(error, match=match):
        action()


def test_nothing_before_setup_or_after_end():
    population = cells()
    sim.end()
    for action in (lambda: cells(), lambda: sim.run(1), lambda: population.record("v"), lambda: sim.reset()):
        with pytest.raises(sim.SpynnakerException, match="setup"):
            action()
    noted(sim.end, "ignored")


@pytest.mark.parametrize(("names", "module"), [(absent.ABSENT, sim), (absent.EXTRA, sim.extra_models), (absent.DEVICES, sim.external_devices)])
def test_what_is_not_there_says_what_to_use(names, module):
    for name, sentence in names.items():
        stand_in = getattr(module, name)
        with pytest.raises(NotImplementedError, match=f"{name}: "):
            stand_in(1, two=2)
        assert sentence in stand_in.__doc__
        assert not isinstance(3, stand_in)


def test_notes_name_the_line_of_the_script():
    with pytest.warns(sim.MachineWarning, match="never on") as caught:
        sim.DCSource(amplitude=1.0).inject_into(cells())
    assert caught[0].filename == __file__
    noted(lambda: sim.setup(), "0.1 ms")
    noted(lambda: sim.setup(1.0, max_delay=10.0), "max_delay is ignored")
    noted(lambda: sim.setup(1.0, colour="red"), "colour")
    noted(lambda: sim.IF_curr_exp(v=-60.0), "state variable")
    noted(lambda: sim.Population(2, sim.IF_curr_exp(), speed=3), "speed will be ignored")


# ------------------------------------------------------------------------------------------ beside sPyNNaker


NAMES = '''
import inspect, json
import spynnaker.pyNN as sim
def told(one):
    target = one.__init__ if isinstance(one, type) else one
    names = [] if not callable(one) else [
        [p.name, str(p.kind), None if p.default is p.empty else repr(p.default)] for p in inspect.signature(target).parameters.values()]
    plain = lambda given: {k: repr(v) for k, v in dict(given or {}).items()}
    return {"signature": [one for one in names if one[0] != "self"], "parameters": plain(getattr(one, "default_parameters", None)),
            "initial": plain(getattr(one, "default_initial_values", None))}
parts = {"": sim, "extra_models": sim.extra_models, "external_devices": sim.external_devices}
print("NAMES", json.dumps({part: {name: told(getattr(module, name, None)) for name in module.__all__} for part, module in parts.items()}))
'''


@pytest.mark.needs("spynnaker", "pyNN")
def test_every_name_of_spynnaker_is_there_or_says_what_to_use(tmp_path):
    """Names, order and defaults of arguments, parameters of models and their defaults, state variables and theirs."""
    from spinnaker_board import python
    told = json.loads(python(tmp_path, "-c", NAMES).partition("NAMES ")[2].splitlines()[0])
    here = {"": sim, "extra_models": sim.extra_models, "external_devices": sim.external_devices}
    lacking = {"": absent.ABSENT, "extra_models": absent.EXTRA, "external_devices": absent.DEVICES}
    assert all(len(names) > 10 for names in told.values())
    for part, names in told.items():
        for name, theirs in names.items():
            assert hasattr(here[part], name), f"{part} {name}"
            ours = getattr(here[part], name)
            if name in lacking[part]:
                continue
            _same_arguments(name, ours, theirs["signature"])
            if theirs["parameters"] and name != "SpikeSourceArray":
                found = {one: value for one, value in ours.default_parameters.items()}
                if name != "SpikeSourcePoisson":
                    assert found == {one: float(value) for one, value in theirs["parameters"].items()}, name
                assert found.keys() == theirs["parameters"].keys(), name
                expected = {one: float(value) for one, value in theirs["initial"].items()}
                unknown = expected.keys() - ours.default_initial_values.keys()
                assert all(expected[one] == 0.0 and one.startswith("isyn") for one in unknown), (name, unknown)
                assert ours.default_initial_values == {one: expected[one] for one in ours.default_initial_values}, name


def _same_arguments(name, ours, theirs):
    """Each argument of sPyNNaker is there, in its place, with its default."""
    if not theirs or any(kind in ("VAR_POSITIONAL",) for _, kind, _ in theirs) and name not in ("Assembly",):
        return
    positional = [one for one in theirs if not one[1].startswith("VAR")]
    target = ours.__init__ if isinstance(ours, type) else ours
    found = [one for one in inspect.signature(target).parameters.values() if one.name != "self"]
    open_ended = any(one.kind is one.VAR_KEYWORD for one in found)
    if not positional or (open_ended and len(found) <= 2):
        return
    assert [one.name for one in found if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)][:len(positional)] == [
        one[0] for one in positional], name
    for (argument, _, default), one in zip(positional, found, strict=False):
        if default is None:
            assert one.default is one.empty or one.default is None, f"{name}({argument})"
        elif one.default is not one.empty:
            assert repr(one.default) == default or _number(one.default) == _number(default), f"{name}({argument}={default})"


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return repr(value)


def test_the_extra_cells_are_all_there():
    """Every cell of `extra` has its place in the front door, by its own name."""
    for name in extra.__all__:
        found = getattr(sim, name, None) or getattr(sim.extra_models, name)
        assert found.native is getattr(extra, name)
        assert dataclasses.is_dataclass(found.native)
    assert {"IF_curr_exp", "IF_cond_exp", "SpikeSourceArray"} <= set(sim.list_standard_models())
    assert issubclass(sim.KernelConnector, connectors.MachineConnector)
