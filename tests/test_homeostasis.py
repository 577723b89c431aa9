"""Scaling and normalisation of weights: against plain loops, fixed points, and in running networks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim import (
    AdditiveWeightDependence,
    AllToAllConnector,
    Dopamine,
    FixedProbabilityConnector,
    IF_curr_exp,
    Network,
    NetworkError,
    ParameterError,
    Simulation,
    SpikePairRule,
    SpikeSourcePoisson,
    STDPMechanism,
    SynapticScaling,
    TsodyksMarkramSynapse,
    Uniform,
    WeightNormalization,
)

networks = st.integers(0, 2**32).map(np.random.default_rng)


def synapses(rng, n_post=5, most=40):
    """Weights of both signs and zeros, their targets, and spike counts."""
    n = int(rng.integers(0, most))
    weights = rng.normal(size=n) * (rng.random(n) < 0.9)
    return weights, rng.integers(0, n_post, n), rng.poisson(5.0, n_post)


def plain_scaling(rule, weights, post, counts, rate):
    rate, out = list(rate), list(weights)
    seconds = rule.interval / 1000.0
    for j, count in enumerate(counts):
        rate[j] += (count / seconds - rate[j]) * (1.0 - math.exp(-rule.interval / rule.tau_rate))
    for s, j in enumerate(post):
        size = abs(weights[s]) * math.exp(rule.eta * seconds * (1.0 - rate[j] / rule.target_rate))
        size = min(max(size, rule.w_min), rule.w_max)
        out[s] = 0.0 if weights[s] == 0 else math.copysign(size, weights[s])
    return out, rate


@given(networks, st.floats(-1.0, 1.0), st.floats(10.0, 1000.0), st.booleans())
def test_scaling_is_the_plain_one(rng, eta, interval, bounded):
    bounds = {"w_min": 0.3, "w_max": 0.9} if bounded else {}
    rule = SynapticScaling(target_rate=4.0, eta=eta, tau_rate=700.0, interval=interval, **bounds)
    state = rule.initial_state(5)
    assert state["rate"].tolist() == [4.0] * 5
    for _ in range(3):
        weights, post, counts = synapses(rng)
        before = (weights.copy(), state["rate"].copy())
        got, after = rule.apply(weights, post, counts, state)
        want, rate = plain_scaling(rule, weights, post, counts, state["rate"])
        np.testing.assert_allclose(got, want, rtol=1e-12)
        np.testing.assert_allclose(after["rate"], rate, rtol=1e-12)
        assert np.array_equal(weights, before[0]) and np.array_equal(state["rate"], before[1])
        state = after


def test_scaling_keeps_the_ratios_of_the_weights_onto_a_cell(rng):
    rule = SynapticScaling(eta=0.5)
    weights, post = rng.random(30) + 0.1, np.repeat(np.arange(3), 10)
    scaled, _ = rule.apply(weights, post, np.array([0, 5, 40]), rule.initial_state(3))
    factors = (scaled / weights).reshape(3, 10)
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1], (3, 10)), rtol=1e-12)
    assert factors[0, 0] > 1.0 > factors[2, 0]
    assert factors[1, 0] == pytest.approx(1.0, abs=1e-12)  # at the target, nothing moves


def test_scaling_brings_a_cell_that_answers_to_its_weights_to_the_target():
    """A rate that is linear in the weights is driven to the target, whatever it starts from."""
    rule = SynapticScaling(target_rate=8.0, eta=0.2, tau_rate=2000.0)
    weights, post, state = np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]), rule.initial_state(2)
    for _ in range(200):
        rates = 6.0 * np.bincount(post, weights)
        weights, state = rule.apply(weights, post, rates, state)
    np.testing.assert_allclose(6.0 * np.bincount(post, weights), 8.0, rtol=1e-3)
    np.testing.assert_allclose(state["rate"], 8.0, rtol=1e-3)


def test_scaling_does_not_depend_on_the_interval_where_rates_are_constant():
    weights = {}
    for interval in (10.0, 100.0, 1000.0):
        rule = SynapticScaling(target_rate=5.0, eta=0.05, tau_rate=20000.0, interval=interval)
        w, state = np.array([1.0]), rule.initial_state(1)
        for _ in range(int(10000 / interval)):
            w, state = rule.apply(w, np.array([0]), np.array([0.02 * interval]), state)
        weights[interval] = w[0]
        assert state["rate"][0] == pytest.approx(20.0 - 15.0 * math.exp(-0.5), rel=1e-9)
    assert weights[10.0] == pytest.approx(weights[100.0], rel=5e-3)
    assert weights[10.0] == pytest.approx(weights[1000.0], rel=5e-2)


@given(networks, st.floats(1e-3, 1e3))
def test_normalisation_keeps_the_sum_and_the_ratios(rng, total):
    rule = WeightNormalization(total=total)
    weights, post, counts = synapses(rng)
    got, state = rule.apply(weights, post, counts, rule.initial_state(5))
    assert state == {} and np.array_equal(np.sign(got), np.sign(weights))
    for j in range(5):
        mine, size = weights[post == j], np.abs(weights[post == j]).sum()
        if size > 0:
            assert np.abs(got[post == j]).sum() == pytest.approx(total, rel=1e-12)
            np.testing.assert_allclose(got[post == j], mine * (total / size), rtol=1e-12)
        else:
            assert not got[post == j].any()
    again, _ = rule.apply(got, post, counts, state)
    np.testing.assert_allclose(again, got, rtol=1e-12)


def test_normalisation_of_very_small_weights_stays_finite():
    got, _ = WeightNormalization(total=2.0).apply(np.array([5e-324, 1e-320]), np.array([0, 1]), np.zeros(2), {})
    np.testing.assert_allclose(got, [2.0, 2.0])


@pytest.mark.parametrize(("rule", "words"), [
    (lambda: SynapticScaling(target_rate=0.0), "SynapticScaling.target_rate must be > 0 Hz, got 0"),
    (lambda: SynapticScaling(interval=-1.0), "SynapticScaling.interval must be > 0 ms, got -1"),
    (lambda: SynapticScaling(w_min=2.0, w_max=1.0), r"SynapticScaling.w_min must be <= w_max \(1\), got 2"),
    (lambda: SynapticScaling(eta=[0.1, 0.2]), "SynapticScaling.eta must be one number"),
    (lambda: SynapticScaling(eta=2.0, interval=1000.0), r"\|eta\| \* interval must be <= 1 .* got 2 from eta = 2"),
    (lambda: SynapticScaling(rate=3.0), "SynapticScaling has no parameter 'rate'; it has target_rate, eta"),
    (lambda: WeightNormalization(total=0.0), "WeightNormalization.total must be > 0 nA, uS or mV, got 0"),
    (lambda: WeightNormalization(interval="1 s"), "WeightNormalization.interval must be one number"),
])
def test_parameters_are_checked(rule, words):
    with pytest.raises(ParameterError, match=words):
        rule()


# ------------------------------------------------------------------------------------------ in networks


def a_network(homeostasis, synapse=None, weight=0.25, receptor="excitatory", rate=30.0, cells=140, offset=0.0):
    network = Network(seed=5)
    sources = network.population(60, SpikeSourcePoisson(rate=rate), "sources")
    targets = network.population(cells, IF_curr_exp(tau_refrac=2.0, i_offset=offset), "targets")
    network.project(sources, targets, FixedProbabilityConnector(0.5), weight=weight, delay=Uniform(0.5, 2.0),
                    label="in", receptor=receptor, synapse=synapse, homeostasis=homeostasis)
    network.record(targets, "spikes")
    return network


@pytest.mark.parametrize(("weight", "start"), [(0.1, "below"), (0.6, "above")])
def test_rates_go_to_the_target(weight, start):
    """Poisson input through weights that are too weak, or too strong: 10 Hz in the end, for all cells."""
    rule = SynapticScaling(target_rate=10.0, eta=2.0, tau_rate=800.0, interval=100.0)
    simulation = Simulation(a_network(rule, weight=weight), dt=0.5, threads=1)
    first = simulation.run(500.0).spikes("targets").rates().mean()
    simulation.run(9500.0)
    last = simulation.run(10000.0).spikes("targets").rates()
    assert first < 4.0 if start == "below" else first > 40.0
    assert last.mean() == pytest.approx(10.0, rel=0.05)
    assert 8.0 < last.min() and last.max() < 12.0
    weights = simulation.weights("in")
    shares = weights.values / np.bincount(weights.post, weights.values)[weights.post]
    np.testing.assert_allclose(shares, 1.0 / np.bincount(weights.post)[weights.post], rtol=1e-9)


def test_inhibition_is_scaled_the_other_way():
    rule = SynapticScaling(target_rate=10.0, eta=-2.0, tau_rate=800.0, interval=100.0)
    network = a_network(rule, weight=-0.05, receptor="inhibitory", offset=1.1, cells=20)
    simulation = Simulation(network, dt=0.5, threads=1)
    before = simulation.run(500.0).spikes("targets").rates().mean()
    simulation.run(7500.0)
    assert before > 20.0
    assert simulation.run(6000.0).spikes("targets").rates().mean() == pytest.approx(10.0, rel=0.1)
    assert (simulation.weights("in").values < 0).all()


STDP = STDPMechanism(SpikePairRule(A_plus=0.02, A_minus=0.01), AdditiveWeightDependence(0.0, 2.0))
RULES = [
    (SynapticScaling(target_rate=8.0, eta=1.0, tau_rate=300.0, interval=50.0), None),
    (SynapticScaling(target_rate=8.0, eta=1.0, tau_rate=300.0, interval=50.0, w_max=1.5), STDP),
    (WeightNormalization(total=7.0, interval=60.0), STDP),
    (WeightNormalization(total=20.0, interval=60.0), TsodyksMarkramSynapse(tau_rec=50.0)),
    (WeightNormalization(total=7.0, interval=60.0),
     STDPMechanism(SpikePairRule(A_plus=0.1, A_minus=0.1), AdditiveWeightDependence(0.0, 2.0),
                   neuromodulation=Dopamine(baseline=-0.002))),
]


@pytest.mark.parametrize(("homeostasis", "synapse"), RULES)
def test_threads_portions_and_saved_states_change_nothing(homeostasis, synapse, tmp_path):
    def seen(simulation):
        spikes, weights = simulation.result.spikes("targets"), simulation.weights("in")
        return spikes.times.tolist(), spikes.ids.tolist(), weights.values.tolist()

    network = a_network(homeostasis, synapse, weight=0.3)
    whole, cut = Simulation(network, threads=1), Simulation(network, threads=2)
    whole.run(400.0)
    for portion in (33.3, 66.7, 25.0, 0.1, 74.9):
        cut.run(portion)
    cut.save(tmp_path / "state.nsim")
    branch = cut.branch()
    loaded = Simulation.load(tmp_path / "state.nsim", network, threads=1)
    for one in (cut, branch, loaded):
        one.run(200.0)
    want = seen(whole)
    assert len(want[0]) > 50
    assert seen(cut) == want and seen(branch) == want
    assert seen(loaded)[2] == want[2]
    assert seen(loaded)[0] == [t for t in want[0] if t > 200.0 + 1e-9]
    whole.reset()
    whole.run(400.0)
    assert seen(whole) == want


def test_a_branch_reads_and_changes_its_own_weights():
    """Where weights go on changing between events, they are computed when they are asked for."""
    simulation = Simulation(a_network(*RULES[-1], weight=0.3), threads=1)
    simulation.run(100.0)
    branch = simulation.branch()
    before = branch.weights("in").values
    assert np.array_equal(simulation.weights("in").values, before)
    simulation.run(55.0)
    after = simulation.weights("in").values
    assert not np.array_equal(after, before)
    assert np.array_equal(branch.weights("in").values, before)
    assert np.array_equal(simulation.weights("in").values, after)
    branch.freeze("in")
    branch.run(55.0)
    assert np.array_equal(branch.weights("in").values, before)
    assert np.array_equal(simulation.weights("in").values, after)


def test_a_process_acts_on_the_weights_of_its_time():
    """Against the same network without it, taken apart at each interval, normalised by hand, and set again."""
    rule = WeightNormalization(total=7.0, interval=60.0)
    network, bare = a_network(rule, STDP), a_network(None, STDP)
    network.record_weights(network.projections[0], 60.0)
    whole, stepped = Simulation(network, threads=1), Simulation(bare, threads=1)
    recorded = whole.run(300.0).weights("in")
    for k in range(1, 6):
        stepped.run(60.0)
        weights = stepped.weights("in")
        after, _ = rule.apply(weights.values, weights.post, np.zeros(140), {})
        stepped.set_weights("in", np.clip(after, 0.0, 2.0))
        np.testing.assert_allclose(recorded.values[k], stepped.weights("in").values, rtol=1e-11)
    spikes = [simulation.result.spikes("targets") for simulation in (whole, stepped)]
    assert np.array_equal(spikes[0].times, spikes[1].times) and np.array_equal(spikes[0].ids, spikes[1].ids)
    np.testing.assert_allclose(np.bincount(weights.post, recorded.values[-1]), 7.0)


def test_frozen_weights_stay_while_the_rate_is_followed():
    rule = SynapticScaling(target_rate=200.0, eta=2.0, tau_rate=800.0, interval=100.0)
    simulation = Simulation(a_network(rule, cells=10), dt=0.5, threads=1)
    simulation.freeze("in")
    simulation.run(1000.0)
    assert (simulation.weights("in").values == 0.25).all()
    simulation.thaw("in")
    simulation.run(100.0)
    assert (simulation.weights("in").values > 0.25 * np.exp(0.2 * 0.3)).all()  # the rate is known to be low by now


def test_views_and_weights_that_are_set(rng):
    """Sums are over the cells of the view; weights without bounds may be set to anything of their sign."""
    network = Network(seed=5)
    sources = network.population(10, SpikeSourcePoisson(rate=50.0), "sources")
    targets = network.population(200, IF_curr_exp(), "targets")
    network.project(sources, targets[[150, 3, 70]], AllToAllConnector(), weight=0.2, label="in",
                    homeostasis=WeightNormalization(total=3.0, interval=10.0))
    simulation = Simulation(network, threads=2)
    simulation.run(10.0)
    weights = simulation.weights("in")
    np.testing.assert_allclose(np.bincount(weights.post, weights.values)[[3, 70, 150]], 3.0)
    values = rng.random(30)
    simulation.set_weights("in", values)
    simulation.run(10.0)
    after = simulation.weights("in")
    for cell in (3, 70, 150):
        mine = values[weights.post == cell]
        np.testing.assert_allclose(after.values[weights.post == cell], 3.0 * mine / mine.sum())
    with pytest.raises(ParameterError, match="weights of in must lie between 0 and inf nA in magnitude, got -1"):
        simulation.set_weights("in", -1.0)


def test_what_a_projection_may_not_be_given():
    network = Network()
    cells = network.population(5, IF_curr_exp(), "cells")
    with pytest.raises(NetworkError, match=r"homeostasis must be a SynapticScaling\(\) or a Weight.*, got 3"):
        network.project(cells, cells, AllToAllConnector(), homeostasis=3)
    network.project(cells, cells, AllToAllConnector(), label="p", homeostasis=WeightNormalization(interval=0.25))
    with pytest.raises(ParameterError, match="p: WeightNormalization: interval must be a multiple of dt = 0.1 ms"):
        Simulation(network)
    with pytest.raises(NetworkError, match=r"modulate: projection p has no neuromodulation=Dopamine\(\)"):
        network.modulate(cells, network.projections[0])
