"""Plasticity refuses what it cannot mean, with names, values and units; nothing is lost by that."""

import numpy as np
import pytest

from neurosim import (
    AdditiveWeightDependence,
    AllToAllConnector,
    Astrocyte,
    ClopathRule,
    Dopamine,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FromListConnector,
    GutigWeightDependence,
    IF_cond_exp,
    IF_curr_exp,
    MultiplicativeWeightDependence,
    Network,
    NetworkError,
    OjaRule,
    ParameterError,
    Simulation,
    SimulationError,
    SpikePairRule,
    SpikeSourcePoisson,
    SpikeTripletRule,
    STDPMechanism,
    TsodyksMarkramSynapse,
    Uniform,
    Vogels2011Rule,
    WeightNormalization,
)


def two(cell=None, seed=1):
    """(network, sources, targets)."""
    net = Network(seed=seed)
    return net, net.population(4, SpikeSourcePoisson(rate=50.0), "a"), net.population(3, cell or IF_curr_exp(), "b")


@pytest.mark.parametrize("make, error, message", [
    (lambda: SpikePairRule(tau_plus=0.0), ParameterError, "SpikePairRule.tau_plus must be > 0 ms, got 0"),
    (lambda: SpikePairRule(tau_plus=[1.0, 2.0]), ParameterError, "tau_plus must be one number"),
    (lambda: SpikePairRule(pairing="nearby"), ParameterError, "pairing must be one of all, nearest, restricted, got 'nearby'"),
    (lambda: SpikeTripletRule(pairing="restricted"), ParameterError, "pairing must be one of all, nearest"),
    (lambda: SpikePairRule(tau_plus="20 ms"), ParameterError, "tau_plus must be one number, > 0 ms, got '20 ms'"),
    (lambda: SpikePairRule(pairing=np.array(["all", "nearest"])), ParameterError, "pairing must be one of"),
    (lambda: SpikePairRule(tau=20.0), ParameterError, "SpikePairRule has no parameter 'tau'"),
    (lambda: AdditiveWeightDependence(1.0, 1.0), ParameterError, "w_min must be < w_max, got 1 and 1"),
    (lambda: GutigWeightDependence(mu_plus=-1.0), ParameterError, "mu_plus must be >= 0"),
    (lambda: SpikePairRule(A_plus=1e308), ParameterError, "A_plus must be >= -1e.06 and <= 1e.06, got 1e.308"),
    (lambda: Vogels2011Rule(rho=-1.0), ParameterError, "rho must be >= 0 Hz"),
    (lambda: Dopamine(tau_c=-1.0), ParameterError, "tau_c must be > 0 ms"),
    (lambda: TsodyksMarkramSynapse(U=1.5), ParameterError, "U must be > 0 and <= 1"),
    (lambda: TsodyksMarkramSynapse(tau_rec=3.0, tau_psc=3.0), ParameterError, "tau_psc must differ from tau_rec"),
    (lambda: STDPMechanism("pair"), ParameterError, "timing_dependence must be a TimingDependence, got 'pair'"),
    (lambda: STDPMechanism(weight_dependence=None), ParameterError, "weight_dependence must be a WeightDependence"),
    (lambda: STDPMechanism(order="neuron"), ParameterError, "order must be one of nest, spinnaker, brian2, got 'neuron'"),
    (lambda: STDPMechanism(dendritic_delay_fraction=1.5), ParameterError, "dendritic_delay_fraction must be >= 0 and <= 1"),
    (lambda: STDPMechanism(OjaRule(), MultiplicativeWeightDependence()), ParameterError, "must be an AdditiveWeightDependence"),
    (lambda: STDPMechanism(SpikeTripletRule(), neuromodulation=Dopamine()), ParameterError, "goes with SpikePairRule only"),
])  # fmt: skip
def test_a_rule_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("values, error, message", [
    ({"synapse": "stdp"}, NetworkError, "synapse must be an STDPMechanism"),
    ({"synapse": STDPMechanism(), "weight": 2.0}, ParameterError, "w_min = 0 and w_max = 1 nA .* got 2 nA"),
    ({"synapse": STDPMechanism(), "weight": np.full((4, 3), 1.5)}, ParameterError, "got 1.5 nA"),
    ({"synapse": STDPMechanism(weight_dependence=AdditiveWeightDependence(-1.0, 1.0)), "weight": 0.5}, ParameterError,
     "w_min of AdditiveWeightDependence must be >= 0 nA, got -1"),
])  # fmt: skip
def test_a_projection_that_cannot_learn(values, error, message):
    net, a, b = two()
    with pytest.raises(error, match=message):
        net.project(a, b, AllToAllConnector(), delay=1.0, **values)
    assert net.projections == []


def test_the_voltage_rule_needs_a_voltage():
    net, a, b = two(Astrocyte())
    with pytest.raises(NetworkError, match="'v', which Astrocyte does not have"):
        net.project(a, b, AllToAllConnector(), weight=0.1, synapse=STDPMechanism(ClopathRule()))


@pytest.mark.parametrize("weight, ends", [(Uniform(0.5, 2.0), (0.5, 1.0)), (Uniform(-0.5, -0.2), None)])
def test_drawn_weights_are_moved_to_the_bounds(weight, ends):
    net, a, b = two()
    receptor = "excitatory" if ends else "inhibitory"
    one = net.project(a, b, AllToAllConnector(), weight=weight, receptor=receptor, synapse=STDPMechanism())
    values = Simulation(net).weights(one).values
    if ends:
        assert values.min() >= ends[0] and values.max() == ends[1]
    else:
        assert values.max() <= -0.2 and values.min() >= -0.5


def test_listed_weights_beyond_the_bounds_are_refused():
    net, a, b = two()
    net.project(a, b, FromListConnector([[0, 0, 3.0, 1.0]]), label="listed", synapse=STDPMechanism())
    with pytest.raises(ParameterError, match="listed: weights must lie between w_min = 0 and w_max = 1 nA in magnitude, got 3"):
        Simulation(net)


@pytest.mark.parametrize("order, pairing", [("spinnaker", "all"), ("nest", "restricted")])
def test_orders_that_need_a_dendrite(order, pairing):
    net, a, b = two()
    rule = STDPMechanism(SpikePairRule(pairing=pairing), dendritic_delay_fraction=0.0, order=order)
    net.project(a, b, AllToAllConnector(), weight=0.5, delay=1.0, label="p", synapse=rule)
    with pytest.raises(NetworkError, match="p: .* at least one step of delay in the dendrite"):
        Simulation(net)


def test_what_a_simulation_refuses_leaves_it_as_it_was():
    net, a, b = two(IF_cond_exp())
    learns = net.project(a, b, AllToAllConnector(), weight=0.5, label="learns", synapse=STDPMechanism())
    stays = net.project(a, b, AllToAllConnector(), weight=0.5, label="stays")
    sim = Simulation(net, threads=1)
    sim.run(50.0)
    before = sim.weights(learns).values
    for call, error, message in [
        (lambda: sim.set_weights(learns, 2.0), ParameterError, "between 0 and 1 uS in magnitude, got 2"),
        (lambda: sim.set_weights(learns, [0.5, 0.5]), ParameterError, "has 12 synapses: values must be a finite number or as many"),
        (lambda: sim.set_weights(learns, float("nan")), ParameterError, "finite"),
        (lambda: sim.set_weights(stays, 0.1), NetworkError, "the weights of projection stays do not change"),
        (lambda: sim.set_weights("nobody", 0.1), NetworkError, "has no projection 'nobody'; it has learns, stays"),
        (lambda: sim.freeze(stays), NetworkError, "do not change"),
        (lambda: sim.reinforce(learns, 1.0), NetworkError, "learns has no neuromodulation"),
    ]:
        with pytest.raises(error, match=message):
            call()
    np.testing.assert_array_equal(sim.weights(learns).values, before)
    sim.run(50.0)


def test_dopamine_and_recording_are_checked_when_they_are_described():
    net, a, b = two()
    plain = net.project(a, b, AllToAllConnector(), weight=0.5, label="plain")
    pair = net.project(a, b, AllToAllConnector(), weight=0.5, label="pair", synapse=STDPMechanism())
    waits = net.project(a, b, AllToAllConnector(), weight=0.5, label="waits", synapse=STDPMechanism(neuromodulation=Dopamine()))
    for call, error, message in [
        (lambda: net.modulate(a, pair, 1.0), NetworkError, "pair has no neuromodulation"),
        (lambda: net.modulate(a, waits, float("inf")), ParameterError, "amount must be finite"),
        (lambda: net.modulate(a, waits, 1.0, delay=0.0), ParameterError, "delay must be > 0"),
        (lambda: net.modulate(a, "nobody"), NetworkError, "has no projection 'nobody'; it has plain, pair, waits"),
        (lambda: net.modulate(a, 3), NetworkError, "needs a projection or its label, got 3"),
        (lambda: net.record_weights(plain, 1.0), NetworkError, "plain do not change"),
        (lambda: net.record_weights(pair, 0.0), ParameterError, "interval must be > 0"),
        (lambda: net.record_weights(pair, 1.0, [-1]), ParameterError, "whole numbers >= 0"),
        (lambda: net.record_weights("pair", 1.0, [[1], [2, 3]]), ParameterError, "whole numbers >= 0"),
    ]:
        with pytest.raises(error, match=message):
            call()
    net.record_weights(pair, 0.25)
    with pytest.raises(ParameterError, match="interval must be a multiple of dt = 0.1 ms, got 0.25"):
        Simulation(net)


def test_a_synapse_costs_less_than_twelve_bytes():
    """All that belongs to a synapse that learns, with 800 of them on a cell: rows, traces and what targets remember."""
    net = Network(seed=1)
    cells = net.population(1600, IF_curr_exp(), "cells")
    net.project(cells, cells, FixedNumberPreConnector(800), weight=0.5, delay=1.5, synapse=STDPMechanism())
    sim = Simulation(net, threads=1)
    arrays = sim._net
    used = sum(getattr(arrays, name).nbytes for name in (
        "targets16", "targets32", "weights32", "weights64", "changing", "eligibility", "row_ptr", "row_state", "history", "heads",
        "voltages", "swept", "pools", "rules", "rule_par", "decays"))
    assert used / (1600 * 800) < 12.0


def test_a_projection_without_synapses_learns_nothing():
    net, a, b = two()
    empty = net.project(a, b, FixedProbabilityConnector(0.0), weight=0.1, delay=1.0, synapse=STDPMechanism())
    net.record_weights(empty, 10.0)
    b.set(i_offset=2.0)
    b.record("spikes")
    sim = Simulation(net, threads=1)
    result = sim.run(50.0)
    assert result.spikes("b").count > 0 and sim.weights(empty).values.size == 0
    assert result.weights(empty.label).values.shape == (6, 0)


@pytest.mark.parametrize("delay", [1e7, 1e12])
def test_a_release_may_not_wait_for_ever(delay):
    net, a, b = two()
    waits = net.project(a, b, AllToAllConnector(), weight=0.5, label="waits", synapse=STDPMechanism(neuromodulation=Dopamine()))
    net.modulate(a, waits, 1.0, delay=delay)
    with pytest.raises(NetworkError, match="modulation of waits: a delay must be <= 60000 steps"):
        Simulation(net)


def test_a_projection_that_came_late_is_not_simulated():
    net, a, b = two()
    sim = Simulation(net, threads=1)
    late = net.project(a, b, AllToAllConnector(), weight=0.5, label="late", synapse=STDPMechanism())
    for call in (lambda: sim.weights(late), lambda: sim.freeze("late"), lambda: sim.set_weights(late, 0.1)):
        with pytest.raises(SimulationError, match="late was added after the simulation had been made"):
            call()


def test_slow_processes_act_on_their_own_projection_alone():
    """Another projection with equal synapses between the same cells keeps its weights."""
    net, a, b = two()
    short = TsodyksMarkramSynapse()
    scaled = net.project(a, b, AllToAllConnector(), weight=0.5, label="scaled", synapse=short,
                         homeostasis=WeightNormalization(1.0, interval=10.0))
    other = net.project(a, b, AllToAllConnector(), weight=Uniform(5.0, 6.0), label="other", synapse=short)
    sim = Simulation(net, threads=1)
    before = sim.weights(other).values
    sim.run(20.0)
    np.testing.assert_array_equal(sim.weights(other).values, before)
    np.testing.assert_allclose(np.bincount(sim.weights(scaled).post, sim.weights(scaled).values), 1.0)
