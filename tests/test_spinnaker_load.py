"""A network as SpiNNaker loads it: shifts, stored weights, delays, rules, and what weights mean."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosim as ns
from neurosim.errors import ParameterError
from neurosim.hardware.spinnaker import cells as machine
from neurosim.hardware.spinnaker import meaning, rules
from neurosim.hardware.spinnaker.deployment import Settings
from neurosim.hardware.spinnaker.load import FOREVER, load, settings_of
from neurosim.hardware.spinnaker.weights import Input, greatest_input, input_of, resolution, shift_of, store, stored_value

weights = st.lists(st.floats(1e-6, 1000.0), min_size=1, max_size=40).map(np.array)


def pair(cell=ns.IF_curr_exp(), sources=4, size=3, **projection):
    """Two populations, all to all."""
    network = ns.Network(seed=3)
    pre, post = network.population(sources, ns.SpikeSourceArray([1.0]), "pre"), network.population(size, cell, "post")
    network.project(pre, post, **{"connector": ns.AllToAllConnector(), "weight": 0.5, **projection})
    return network


def learning(rule, weight, cell=ns.IF_curr_exp(), **more):
    return load(pair(cell, synapse=ns.STDPMechanism(rule, weight, order="spinnaker"), **{"weight": 0.1, **more}))


# ------------------------------------------------------------------------------------------ shifts


@pytest.mark.parametrize("greatest, shift", [(0.0, 0), (1e-9, 0), (0.999, 0), (1.0, 1), (1.001, 1), (2.0, 2), (6.0, 3), (8.0, 4), (60.0, 6),
                                             (64.0, 7), (65535.0, 16)])
def test_a_shift_is_the_least_power_of_two_above(greatest, shift):
    assert shift_of(greatest) == shift


def test_equal_delays_count_every_source_once():
    one, two = Input(10, 0.5, 0.0, 0.5, 0.0), Input(3, 2.0, 0.0, 4.0, 0.0)
    assert greatest_input([one, two], 1.0, 1.0) == 10 * 0.5 + 3 * 4.0
    assert greatest_input([one], 1.0, 1.0, spikes_per_second=3000.0) == 3 * 10 * 0.5  # three spikes of each in a step
    assert greatest_input([], 1.0, 1.0) == 0.0


def test_the_sum_of_conductances_is_not_scaled_but_the_greatest_is():
    assert greatest_input([Input(100, 0.006, 0.0, 0.006, 0.0)], 1024.0, 1.0) == 0.006 * 1024.0
    assert greatest_input([Input(2000, 0.006, 0.0, 0.006, 0.0)], 1024.0, 1.0) == pytest.approx(12.0)


@pytest.mark.parametrize("count, deviation, rate", [(50, 0.2, 30.0), (2000, 0.1, 30.0), (10000, 0.3, 15.0), (400, 0.0, 100.0)])
def test_different_delays_count_poisson_spikes(count, deviation, rate):
    mean, dt, sigma = 1.3, 1.0, 5.0
    spikes = count * rate * dt / 1000.0
    most = round(spikes + 3.0 * math.sqrt(spikes))
    chances = [math.exp(k * math.log(spikes) - spikes - math.lgamma(k + 1)) for k in range(most + 1)]
    # Of k spikes with weights of this deviation; sPyNNaker leaves out more than `most` of them.
    variance = spikes * mean**2 + deviation**2 * sum(k * chance for k, chance in enumerate(chances))
    one = Input(count, mean, deviation**2, 2.0, 4.0)
    assert greatest_input([one], 1.0, dt, rate, sigma) == pytest.approx(spikes * mean + sigma * math.sqrt(variance), rel=1e-9)


def test_one_synapse_has_no_variance_of_delays():
    assert greatest_input([Input(1, 0.5, 0.0, 0.5, 9.0)], 1.0, 1.0) == 0.5
    assert greatest_input([Input(1, 0.5, 0.0, 0.5, 9.0)] * 2, 1.0, 1.0) == 1.0


def test_statistics_are_those_of_magnitudes():
    one = input_of(np.array([0, 0, 1, 2]), np.array([-1.0, -3.0, -2.0, -2.0]), np.array([1, 2, 1, 2]), 0.5)
    assert one == Input(2, 2.0, 0.5, 3.0, 0.0625)
    assert input_of(np.array([0, 0]), np.array([0.0, 0.5]), np.array([1, 1]), 1.0, w_max=6.0) == Input(2, 6.0, 0.0, 6.0, 0.0)
    assert input_of(np.empty(0, int), np.empty(0), np.empty(0, int), 1.0) == Input(0, 0.0, 0.0, 0.0, 0.0)


def test_rounding_of_a_mean_can_make_delays_differ():
    """Three equal delays of 0.1 ms: their mean is not 0.1, their variance not 0, as on sPyNNaker."""
    assert input_of(np.zeros(3, int), np.ones(3), np.ones(3, int), 0.1).delay_variance > 0.0


@given(weights, st.floats(1.0, 100.0))
@settings(max_examples=60, deadline=None)
def test_greater_weights_never_lower_a_shift(values, factor):
    target = np.zeros(values.size, int)

    def shift(weight):
        return shift_of(greatest_input([input_of(target, weight, np.arange(1, values.size + 1), 1.0)], 1.0, 1.0))

    assert shift(values * factor) >= shift(values)


# ------------------------------------------------------------------------------------------ stored weights


@given(weights, st.sampled_from([1.0, 1024.0]))
@settings(max_examples=100, deadline=None)
def test_a_stored_weight_is_within_half_a_step(values, scale):
    shift = shift_of(values.max() * scale)
    stored, over = store(values, shift, scale)
    assert not over.any() and stored.dtype == np.uint16
    assert (np.abs(stored_value(stored, shift, scale) - values) <= 0.5 * resolution(shift, scale) * (1 + 1e-12)).all()


@given(weights, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_permuted_synapses_have_permuted_weights(values, random):
    order = list(range(values.size))
    random.shuffle(order)
    rows = np.column_stack([np.arange(values.size), np.zeros(values.size), values, np.ones(values.size)])

    def stored(rows):
        network = ns.Network()
        pre, post = network.population(values.size, ns.SpikeSourceArray(), "pre"), network.population(1, ns.IF_curr_exp(), "post")
        network.project(pre, post, ns.FromListConnector(rows, column_names=["weight", "delay"]))
        one = load(network).synapses[0]
        return dict(zip(one.source.tolist(), one.stored.tolist(), strict=True))

    assert stored(rows) == stored(rows[order])


def test_halves_round_to_even_and_upper_bits_are_lost():
    step = resolution(0)
    assert store(np.array([0.5, 1.5, 2.5]) * step, 0)[0].tolist() == [0, 2, 2]
    stored, over = store(np.array([65535.0, 65536.0, 65538.4]) * step, 0)
    assert stored.tolist() == [65535, 0, 2] and over.tolist() == [False, True, True]
    assert store(np.array([-1.0]), 1)[0][0] == store(np.array([1.0]), 1)[0][0]


def test_a_word_of_the_board():
    """6 nA from two sources, as in a row of the virtual board: 6 * 2**11 in the upper half of the word."""
    network = pair(sources=2, size=1, weight=6.0)
    one = load(network)
    assert one["post"].shifts == (4, 0) and one.synapses[0].stored.tolist() == [0x3000] * 2
    assert one.weights(one.synapses[0]).tolist() == [6.0] * 2


def test_the_greatest_sum_can_be_told():
    given = load(pair(), max_expected_summed_weight={"post": (100.0, 3.0)})
    assert given["post"].shifts == (7, 2)
    assert load(pair(ns.IF_cond_exp(), weight=0.1), max_expected_summed_weight={"post": (1.0, 1.0)})["post"].shifts == (11, 11)


# ------------------------------------------------------------------------------------------ places, delays, times


def test_views_become_cells_of_whole_populations():
    network = ns.Network()
    pre, post = network.population(6, ns.SpikeSourceArray(), "pre"), network.population(5, ns.IF_curr_exp(), "post")
    network.project(pre[[4, 1]], post[3:5], ns.OneToOneConnector(), weight=0.2)
    one = load(network).synapses[0]
    assert (one.source.tolist(), one.target.tolist()) == ([4, 1], [3, 4])


def test_delays_round_half_to_even_and_last_a_step_at_least():
    rows = [(k, 0, 0.1, delay) for k, delay in enumerate((0.2, 0.5, 1.5, 2.5, 2.6, 7.0))]
    network = pair(sources=6, size=1, connector=ns.FromListConnector(rows, column_names=["weight", "delay"]))
    one = load(network).synapses[0]
    assert one.delay.tolist() == [1, 1, 2, 2, 3, 7] and one.asked_delay.tolist() == [0.2, 0.5, 1.5, 2.5, 2.6, 7.0]
    assert load(network, dt=0.1).synapses[0].delay.tolist() == [2, 5, 15, 25, 26, 70]
    left = load(pair()).synapses[0]
    assert set(left.delay.tolist()) == {1} and set(left.asked_delay.tolist()) == {1.0}


@pytest.mark.parametrize("size, per_core, longest, slots", [(600, None, 5, 8), (600, None, 32, 32), (600, None, 40, 32), (600, 20, 40, 64),
                                                            (20, None, 1, 2)])
def test_steps_of_ring_buffers(size, per_core, longest, slots):
    network = pair(size=size, delay=float(longest))
    chosen = {} if per_core is None else {"post": per_core}
    assert load(network, neurons_per_core=chosen)["post"].slots == slots


def test_poisson_input_becomes_sources():
    network = ns.Network()
    post = network.population(4, ns.IF_curr_exp(), "post")
    network.poisson_input(post[1:3], 800.0, -0.25, "inhibitory", start=5.0, label="drive")
    found = load(network)
    sources, one = found["drive (sources)"], found.synapses[0]
    assert (sources.size, sources.model, sources.population, sources.per_core) == (2, "SpikeSourcePoisson", None, 500)
    assert sources.parameters["rate"].tolist() == [800.0, 800.0] and sources.parameters["start"].tolist() == [5.0, 5.0]
    assert sources.parameters["duration"].tolist() == [FOREVER] * 2
    assert (one.projection, one.source.tolist(), one.target.tolist(), one.delay.tolist()) == (None, [0, 1], [1, 2], [1, 1])
    assert found.cells[one.post].receptors[one.receptor] == "inhibitory" and one.asked.tolist() == [0.25, 0.25]


def test_given_times_are_steps():
    network = ns.Network()
    network.population(2, ns.SpikeSourceArray([[0.0, 2.4, 3.6], [1.0]]), "pre")
    found = load(network, dt=1.0)
    assert [row.tolist() for row in found["pre"].ticks] == [[0, 2, 4], [1]]
    assert any("whole steps" in note for note in found.notes)


def test_recordings_are_joined():
    network = pair()
    post = network["post"]
    network.record(post[[2, 0]], ["v", "spikes"], interval=2.0)
    network.record(post[1], "spikes")
    found = {one.variable: one for one in load(network, dt=0.5).records}
    assert found["spikes"].ids is None and found["spikes"].steps == 1
    assert found["v"].ids.tolist() == [0, 2] and found["v"].steps == 4


def test_drawn_weights_and_delays_are_those_of_the_engine():
    network = pair(weight=ns.Normal(0.5, 0.1, low=0.0), delay=ns.Uniform(1.0, 9.0))
    one = load(network, dt=1.0).synapses[0]
    pre, post, weight, delay = ns.wiring.arrays(network.projections[0], network.seed, 1.0)
    assert (one.source == pre).all() and (one.target == post).all() and (one.asked == weight).all() and (one.delay == delay).all()


# ------------------------------------------------------------------------------------------ rules


def test_amplitudes_of_pairs_are_multiplied_by_the_greatest_weight():
    plastic = learning(ns.SpikePairRule(A_plus=0.02, A_minus=0.03, tau_plus=10.0), ns.AdditiveWeightDependence(w_max=4.0))["post"].plastic
    assert (plastic.timing, plastic.weight) == ("pair", "additive")
    assert plastic.parameters == {"tau_plus": 10.0, "tau_minus": 20.0, "A_plus": 0.08, "A_minus": 0.12, "w_min": 0.0, "w_max": 4.0}


def test_other_amplitudes_are_not():
    pairs = learning(ns.SpikePairRule(A_plus=0.02), ns.MultiplicativeWeightDependence(w_max=4.0))["post"].plastic
    assert pairs.weight == "multiplicative" and pairs.parameters["A_plus"] == 0.02
    three = learning(ns.SpikeTripletRule(A2_plus=0.01), ns.AdditiveWeightDependence(w_max=4.0))["post"].plastic
    assert three.timing == "triplet" and three.parameters["A_plus"] == 0.01 and three.parameters["A3_plus"] == 6.2e-3
    assert rules.amplitudes(three, 1.0)["A_plus"] == 0.04
    vogels = learning(ns.Vogels2011Rule(eta=0.005, rho=3.0, tau=20.0), ns.AdditiveWeightDependence(w_max=4.0))["post"].plastic
    assert vogels.parameters["A_plus"] == vogels.parameters["A_minus"] == 0.005 and vogels.parameters["alpha"] == pytest.approx(0.12)


def test_nearest_pairs_are_not_quite_the_machines():
    found = learning(ns.SpikePairRule(pairing="nearest"), ns.AdditiveWeightDependence())
    assert found["post"].plastic.timing == "nearest_pair" and any("nearest" in note for note in found.notes)


def test_learning_counts_with_the_greatest_weight():
    rule = ns.STDPMechanism(ns.SpikePairRule(), ns.AdditiveWeightDependence(w_max=6.0))
    found = load(pair(sources=5, weight=0.0, synapse=rule))
    assert found["post"].shifts[0] == shift_of(5 * 6.0) and found.synapses[0].plastic and not found.problems


def test_drawn_weights_move_to_the_bounds_of_the_rule():
    rule = ns.STDPMechanism(ns.SpikePairRule(), ns.AdditiveWeightDependence(w_max=0.5))
    assert load(pair(weight=ns.Uniform(0.4, 0.9), synapse=rule)).synapses[0].asked.max() == 0.5


# ------------------------------------------------------------------------------------------ what weights mean


def after_a_spike(cell, weight, dt, steps, variable):
    """What the machine's cell does with one spike of this weight: samples of a variable."""
    network = pair(cell, sources=1, size=1, weight=weight)
    found = load(network, dt=dt)
    assert not found.problems, found.problems
    one, post = found.synapses[0], found["post"]
    model = machine.MODELS[post.model]
    par, state = model.encode(post.parameters, post.initial, dt)
    ring, shifts = np.zeros((len(post.receptors), 1), np.uint16), np.array(post.shifts, np.int64)
    ring[one.receptor, 0] = one.stored[0]
    number, scale = model.variables[variable]
    samples, word = [], np.zeros(1, np.int32)
    from neurosim.kernels import spinnaker_cells as kernel
    for _ in range(steps):
        kernel.add_input(model.code, state, par, ring, shifts)
        kernel.sample(model.code, number, state, par, np.zeros(1, np.int64), word)
        samples.append(word[0] * scale)
        kernel.advance(model.code, state, par, np.zeros(1, np.int32), np.zeros(1, np.int32))
    return np.array(samples)


def test_a_charge_of_alpha_is_that_under_its_curve():
    t = np.linspace(0.0, 400.0, 400_001)
    charge = np.trapezoid(t / 7.0 * np.exp(1.0 - t / 7.0), t)
    one = load(pair(ns.IF_curr_alpha(tau_syn_E=7.0), weight=0.3)).synapses[0]
    np.testing.assert_allclose(one.asked, 0.3 * charge, rtol=1e-6)


def test_a_weight_of_alpha_is_the_peak():
    found = after_a_spike(ns.IF_curr_alpha(tau_syn_E=5.0, tau_syn_I=5.0), 0.7, 0.1, 150, "gsyn_exc")
    assert found.max() == pytest.approx(0.7, rel=0.02) and abs(found.argmax() * 0.1 - 5.0) < 0.3


def test_a_weight_of_delta_is_the_jump():
    cell = ns.IF_curr_delta(cm=0.3, tau_m=8.0, v_thresh=0.0)
    found = after_a_spike(cell, 2.5, 1.0, 2, "v")
    assert found[1] - found[0] == pytest.approx(2.5, abs=0.005)


def test_a_weight_of_izhikevich_is_the_jump_and_lasts_a_step():
    cell = ns.Izhikevich()
    with_it, without = (after_a_spike(cell, weight, 0.1, 40, "v") for weight in (3.0, 0.0))
    assert (with_it - without)[1] == pytest.approx(3.0, abs=0.1)  # v relaxes within the step
    assert (np.diff(with_it - without)[1:3] < 0.05).all()  # nothing more comes; v relaxes
    assert load(pair(ns.Izhikevich(i_offset=0.004)))["post"].parameters["i_offset"].tolist() == [4.0] * 3


def test_what_the_network_reads_is_in_its_own_unit():
    found = load(pair(ns.IF_curr_delta(cm=0.3), weight=0.5))
    one = found.synapses[0]
    assert one.factor != 1.0 and found.described(one) == pytest.approx(0.5, rel=1e-3)
    assert found.weights(one) == pytest.approx(0.5 * one.factor, rel=1e-3)


def test_cells_may_differ_in_what_a_weight_does():
    cell = ns.IF_curr_delta(cm=np.array([0.2, 0.4, 0.8]))
    found = load(pair(cell, weight=0.5))
    assert not found.problems and np.unique(found.synapses[0].asked).size == 3
    assert meaning.factor(cell, found["post"].parameters, "excitatory", 1.0) == pytest.approx(np.array([0.2, 0.4, 0.8]) * 1.025, rel=1e-3)


def test_bounds_of_a_rule_have_the_weights_unit():
    found = learning(ns.SpikePairRule(A_plus=0.1), ns.AdditiveWeightDependence(w_max=2.0), ns.IF_curr_delta(cm=0.5))
    plastic, factor = found["post"].plastic, found.synapses[0].factor
    assert plastic.parameters["w_max"] == 2.0 * factor and plastic.parameters["A_plus"] == pytest.approx(0.2 * factor)


# ------------------------------------------------------------------------------------------ settings


def test_nothing_raises_on_the_way():
    network = ns.Network()
    bad = network.population(2, ns.EIF_cond_exp_isfa_ista(), "bad")
    good = network.population(2, ns.IF_curr_exp(), "good")
    network.project(bad, good, ns.OneToOneConnector(), weight=1.0)
    network.project(good, good, ns.FixedNumberPreConnector(1), weight=0.3)
    network.record(None, "spikes")
    found = load(network)
    assert [one.label for one in found.cells] == ["good"] and [one.label for one in found.synapses] == ["good -> good"]
    assert [one.what for one in found.problems] == ["population bad"] and [one.label for one in found.records] == ["good"]


@pytest.mark.parametrize("wrong, words", [
    ({"dt": 0.0}, "dt must be > 0"), ({"dt": 1e-5}, "at least 0.001 ms"), ({"speed": 3}, "no setting 'speed'"),
    ({"neurons_per_core": {"nobody": 5}}, "names 'nobody'"), ({"neurons_per_core": {"post": 0}}, "must be a whole number >= 1"),
    ({"spikes_per_second": math.nan}, "spikes_per_second must be > 0"), ({"neurons_per_core": 5}, "must be a dict, .* got 5"),
    ({"max_expected_summed_weight": {"post": 1.0}}, r"max_expected_summed_weight\['post'\] must be a finite number >= 0 for each receptor"),
    ({"max_expected_summed_weight": {"post": (math.nan, 1.0)}}, "for each receptor, got .nan"),
    ({"max_expected_summed_weight": {"post": (1.0, -1.0)}}, r"for each receptor, got \(1.0, -1.0\)"),
    ({"seed": 1.5}, "seed must be a whole number, got 1.5"), ({"seeds": {"pre": -1}}, "from 0 to 4294967295, got -1"),
])
def test_settings_without_meaning_are_refused(wrong, words):
    with pytest.raises(ParameterError, match=words):
        load(pair(), **wrong)


def test_only_networks_are_loaded():
    with pytest.raises(ParameterError, match="SpiNNaker needs a Network, got 'net'"):
        load("net")


def test_settings_may_be_numbers_of_numpy():
    given = {"dt": np.float64(0.5), "time_scale_factor": np.int64(2), "ring_buffer_sigma": np.float32(4.0), "seed": np.int32(7),
             "neurons_per_core": {"post": np.int64(2)}, "max_expected_summed_weight": {"post": np.array([1.0, 2.0])},
             "seeds": {"pre": np.uint32(9)}}
    made = settings_of(pair(), **given)
    assert made == Settings(dt=0.5, time_scale_factor=2, ring_buffer_sigma=4.0, seed=7, neurons_per_core={"post": 2},
                            max_expected_summed_weight={"post": (1.0, 2.0)}, seeds={"pre": 9})
    assert json.loads(json.dumps(dataclasses.asdict(made)))["dt"] == 0.5


def test_settings_may_be_replaced():
    given = Settings(dt=0.5, neurons_per_core={"post": 2})
    assert settings_of(pair(), given, dt=2.0) == Settings(dt=2.0, neurons_per_core={"post": 2})
    assert load(pair(), given)["post"].per_core == 2
    capped = load(pair(size=300), neurons_per_core={"post": 999})
    assert capped["post"].per_core == 256 and any("256 is the most" in note for note in capped.notes)


def test_a_rule_counts_only_if_its_source_is_there():
    network = ns.Network()
    absent, pre = network.population(2, ns.SpikeSourceGamma(), "absent"), network.population(2, ns.SpikeSourceArray(), "pre")
    post = network.population(2, ns.IF_curr_exp(), "post")
    for source, tau in ((absent, 10.0), (pre, 20.0)):
        rule = ns.STDPMechanism(ns.SpikePairRule(tau_plus=tau), ns.AdditiveWeightDependence(), order="spinnaker")
        network.project(source, post, ns.OneToOneConnector(), weight=0.1, synapse=rule)
    found = load(network)
    assert [one.what for one in found.problems] == ["population absent"]
    assert found["post"].plastic.parameters["tau_plus"] == 20.0


def test_notes_that_say_the_same_are_one():
    network = ns.Network()
    pre = network.population(3, ns.SpikeSourceArray([1.0]), "pre")
    posts = [network.population(3, ns.IF_curr_exp(tau_refrac=2.0), label) for label in ("a", "b")]
    for post in posts:
        synapse = ns.STDPMechanism(ns.SpikeTripletRule(), ns.AdditiveWeightDependence())
        network.project(pre, post, ns.AllToAllConnector(), weight=0.25, synapse=synapse, label=f"onto {post.label}")
    notes = load(network).notes
    assert [note for note in notes if "order=" in note][0].startswith("projections onto a, onto b: order='nest'")
    assert sum("order=" in note for note in notes) == 1
    assert [note for note in notes if "slow traces" in note][0].startswith("learning in a, b: ")
