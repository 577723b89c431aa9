"""Scripts for sPyNNaker on the emulation: what they may say, what they get, and what they are told."""

import os
import runpy
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("pyNN", reason="needs PyNN, which is not installed")

import spinnaker_examples as examples
from spinnaker_dialect import begun, cells, noted  # noqa: F401

import neurosim.hardware.spinnaker.pynn as sim
from neurosim.hardware.spinnaker.emulation import emulate
from neurosim.hardware.spinnaker.pynn import errors, simulator
from neurosim.hardware.spinnaker.pynn.__main__ import main, standing_in

ALL = [name for name, text in vars(examples).items() if name.isupper() and isinstance(text, str)]


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
                      "from spynnaker8.utilities import neo_convertor\nassert neo_convertor.count_spikes\n"
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


def test_poisson_sources_go_on_after_a_reset():
    noise = [sim.Population(10, sim.SpikeSourcePoisson(rate=100.0), label=f"noise {seed}", seed=seed) for seed in (None, 3)]
    for one in noise:
        one.record("spikes")
    trials = []
    for _ in range(3):
        sim.run(50)
        trials.append([spikes_of(one) for one in noise])
        sim.reset()
    assert all(trials[k][which] != trials[k + 1][which] for k in (0, 1) for which in (0, 1))


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


def test_states_of_all_models_can_be_read():
    kinds = [sim.IF_curr_alpha(tau_syn_E=3.0, tau_syn_I=3.0), sim.IF_cond_exp(), sim.Izhikevich(), sim.extra_models.IFCurrExpCa2Adaptive()]
    made = [sim.Population(2, kind, initial_values={"v": [-61.0, -62.0]}) for kind in kinds]
    assert [one.current_values["v"].tolist() for one in made] == [[-61.0, -62.0]] * 4
    sim.run(1)
    for one in made:
        assert {"v", "isyn_exc"} <= set(one.current_values) or one is made[0]
        assert one.current_values["v"].shape == (2,) and one[1:2].current_values["v"].tolist() == one.current_values["v"][1:].tolist()
    assert made[2].current_values["u"].tolist() != [-14.0, -14.0]


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


def test_the_procedural_functions_and_single_cells(tmp_path):
    source = sim.create(sim.SpikeSourceArray, {"spike_times": [1, 5]}, n=3)
    target = sim.create(sim.IF_curr_exp(i_offset=0.1), n=4)
    made = sim.connect(source, target, weight=0.1, delay=2.0, receptor_type="excitatory", p=1)
    sim.record("v", target, str(tmp_path / "v.pkl"))
    target[0].i_offset = 1.0
    target[2].set(tau_m=10.0)
    target[3].initialize(v=-60.0)
    target[1].record("spikes")
    for cell in target:
        cell.v_thresh = -51.0
    assert target.get(["i_offset", "v_thresh"]) == {"i_offset": [1.0, 0.1, 0.1, 0.1], "v_thresh": [-51.0] * 4}
    assert (target[0].i_offset, target[2].tau_m, target[2].id, target[1:3].get("tau_m")) == (1.0, 10.0, 2, [20.0, 10.0])
    assert target.initial_values["v"].tolist() == [-65.0, -65.0, -65.0, -60.0]
    target[3].inject(sim.DCSource(amplitude=0.4, start=1.0, stop=20.0))
    sim.run(20)
    assert len(made.get("weight", "list")) == 12 and target[1].get_spike_counts() == {1: target.get_spike_counts()[1]}
    v = target.spinnaker_get_data("v", as_matrix=True)
    assert v[0, 3] == -60.0 and v[10, 3] - v[10, 1] > 5.0  # of the 5 mV at first, 3 are left
    sim.end()
    assert (tmp_path / "v.pkl").stat().st_size > 0


def test_sheets_have_positions():
    sheet = sim.Population(9, sim.IF_curr_exp(tau_m=sim.RandomDistribution("uniform", low=10, high=20)), structure=sim.Grid2D(1.0))
    assert sheet.positions.shape == (3, 9) and sim.distance(sheet[0], sheet[4]) == pytest.approx(np.sqrt(2.0))
    drawn = sheet.get("tau_m")
    assert len(set(drawn)) == 9 and all(10 <= one < 20 for one in drawn)
    assert sheet.sample(4).size == 4


def test_an_empty_script_passes_time():
    assert sim.run(10) == 10.0 and sim.get_time_step() == 1.0 and sim.get_min_delay() == 1.0
    assert (sim.rank(), sim.num_processes(), sim.name()) == (0, 1, "SpiNNaker emulated by neurosim")


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


def test_data_as_tables():
    """``neo_convertor`` gives the rows of `spinnaker_get_data`."""
    population = cells(3, i_offset=1.7)
    population.record(["spikes", "v", "gsyn_exc", "gsyn_inh"])
    sim.run(40)
    block, tables = population.get_data(), sim.utilities.neo_convertor
    for variable in ("spikes", "v"):
        assert tables.convert_data(block, variable).tolist() == population.spinnaker_get_data(variable).tolist()
    assert tables.convert_spikes(block).shape == (tables.count_spikes(block), 2) and tables.count_spikes(block) > 5
    assert [one.shape for one in tables.convert_v_list(block)] == [(120, 3)]
    assert tables.convert_gsyn(block, block).shape == (120, 4)
    assert len(tables.convert_gsyn_exc_list(block)) == len(tables.convert_gsyn_inh_list(block)) == 1
    for action in (lambda: tables.convert_data(block, "all"), lambda: tables.convert_spikes(block, 1)):
        with pytest.raises(ValueError, match="got"):
            action()


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


def test_a_population_without_a_label_is_not_called_none():
    sim.setup(1.0)
    for size, label, said in ((0, None, "a population must be > 0, got 0"), (2.5, "exc", "population exc must be a whole number, got 2.5")):
        with pytest.raises(errors.ConfigurationException, match=f"size of {said}"):
            sim.Population(size, sim.IF_curr_exp(), label=label)
