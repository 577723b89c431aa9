"""The engine against the plain simulator of `reference_engine`, and against matrix products."""

import engine_networks as nets
import numpy as np
import pytest
import reference_engine as ref
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neurosim import (
    ACSource,
    AllToAllConnector,
    FixedProbabilityConnector,
    FromListConnector,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Network,
    NoisyCurrentSource,
    Simulation,
    SpikeSourceArray,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
    Uniform,
    wiring,
)

MODELS = {"exp": IF_curr_exp, "alpha": IF_curr_alpha, "delta": IF_curr_delta}


def compare(network, expected, result):
    """Equal spikes everywhere; voltages to 1e-9 mV and currents to 1e-9 nA where they were recorded."""
    for label, (steps, ids) in nets.spikes(result).items():
        assert steps.tolist() == expected.spikes[label][0].tolist(), label
        assert ids.tolist() == expected.spikes[label][1].tolist(), label
    for population in network.populations:
        for variable, values in (("v", expected.v), ("isyn_exc", expected.i_e), ("isyn_inh", expected.i_i)):
            if variable in result.recorded[population.label]:
                trace = result.traces(population.label, variable)
                rows = np.rint(trace.times / result.dt).astype(int)
                np.testing.assert_allclose(trace.values, values[population.label][rows][:, trace.ids], rtol=0, atol=1e-9)


@st.composite
def networks(draw):
    """Two populations of up to six neurons, of one or two models, and everything that may act on them."""
    network = Network(seed=draw(st.integers(0, 2**31)))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    dt = draw(st.sampled_from([0.1, 0.5, 1.0]))
    populations = []
    for k in range(2):
        n = draw(st.integers(1, 6))
        model = MODELS[draw(st.sampled_from(sorted(MODELS)))]
        each = draw(st.booleans())  # parameters that differ from neuron to neuron
        value = (lambda low, high, each=each, n=n: rng.uniform(low, high, n)) if each else \
            (lambda low, high: float(rng.uniform(low, high)))
        more = {} if model is IF_curr_delta else {"tau_syn_E": float(rng.uniform(0.3, 8.0)), "tau_syn_I": value(0.3, 20.0)}
        cell = model(tau_m=float(rng.uniform(3.0, 30.0)), cm=value(0.1, 0.4), v_thresh=value(-56.0, -50.0), **more,
                     tau_refrac=draw(st.sampled_from([0.0, dt, 2.3])), i_offset=value(0.0, 0.3), v_reset=value(-75.0, -60.0))
        populations.append(network.population(n, cell, f"p{k}", initial_values={"v": rng.uniform(-70.0, -57.0, n)}))
    sources = [network.population(3, SpikeSourceArray(spike_times=[[0.0, 3.0], [2.0, 2.0, 9.0], []]), "array"),
               network.population(2, SpikeSourcePoisson(rate=300.0), "poisson"),
               network.population(2, SpikeSourcePoissonRefractory(rate=100.0, tau_refrac=3.0, start=5.0), "refractory")]
    for post in populations:
        unit = {"exp": 1.0, "alpha": 0.4, "delta": 3.0}[post.cell.name.rpartition("_")[2]]
        for pre in [*populations, *sources]:
            network.project(pre, post, FixedProbabilityConnector(0.6), Uniform(0.1 * unit, unit), Uniform(dt, 6.0))
            network.project(pre, post, FixedProbabilityConnector(0.4), -0.37 * unit, dt, "inhibitory")
        network.poisson_input(post, 500.0, 0.213 * unit)
        if draw(st.booleans()):
            post.inject(ACSource(amplitude=0.2, frequency=30.0, start=3.0))
            post[:1].inject(NoisyCurrentSource(stdev=0.3, dt=1.0))
        post.record(["spikes", *post.cell.states])
    network.record(sources, "spikes")
    return network, dt


@settings(max_examples=25)
@given(networks(), st.integers(0, 2**40))
def test_small_networks_equal_the_reference(built, seed):
    network, dt = built
    steps = 120
    expected = ref.simulate(network, dt, steps, seed)
    assume(expected.margin > 1e-8)
    for update in ("clock", "event"):
        compare(network, expected, Simulation(network, dt=dt, seed=seed, threads=1, update=update).run(steps * dt))


@pytest.mark.parametrize("name", sorted(nets.LINEAR))
def test_large_networks_equal_the_reference(name):
    """All sources, inputs and currents at once, and hundreds of neurons in parts."""
    network = nets.build(name)
    steps = 100
    expected = ref.simulate(network, 0.1, steps, 9)
    assert expected.margin > 1e-10
    result = Simulation(network, seed=9, threads=2, update="event").run(10.0)
    compare(network, expected, result)
    assert min(result.spikes(p.label).count for p in network.populations if not p.cell.is_source) > 0


@settings(max_examples=25)
@given(st.sampled_from(sorted(MODELS)), st.sampled_from(["number", "drawn", "array"]), st.integers(0, 2**31), st.data())
def test_delivery_is_the_matrix_product(name, kind, seed, data):
    """Voltages one step after arrival, of targets that never spike, are linear in the weights of the senders."""
    n, m = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 150))
    network = Network(seed=seed)
    sends = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    pre = network.population(n, SpikeSourceArray(spike_times=[[1.0] if s else [] for s in sends]), "pre")
    post = network.population(m, MODELS[name](v_thresh=1e6), "post")
    weight = {"number": 0.3, "drawn": Uniform(0.0, 2.0), "array": np.random.default_rng(seed).uniform(0, 2, (n, m))}[kind]
    projection = network.project(pre, post, FixedProbabilityConnector(0.5), weight, 0.7)
    post.record("v")
    simulation = Simulation(network, threads=data.draw(st.sampled_from([1, 2])), update=data.draw(st.sampled_from(["clock", "event"])))
    result = simulation.run(2.0)
    total, _ = wiring.dense(projection, seed, 0.1)
    one = Network()
    ones = one.population(1, SpikeSourceArray(spike_times=[1.0]), "pre")
    target = one.population(1, MODELS[name](v_thresh=1e6), "post")
    one.project(ones, target, AllToAllConnector(), 1.0, 0.7)
    target.record("v")
    response = Simulation(one, threads=1).run(2.0).traces("post", "v").values[:, 0] + 65.0
    assert response[17 if name == "delta" else 18] > 0.0 and not response[:17].any()
    expected = -65.0 + np.outer(response, sends @ total)
    np.testing.assert_allclose(result.traces("post", "v").values, expected, rtol=0, atol=1e-10)


@settings(max_examples=15)
@given(st.sampled_from(sorted(MODELS)), st.integers(0, 2**31), st.sampled_from(["clock", "event"]))
def test_renumbering_the_neurons_renumbers_the_spikes(name, seed, update):
    """Weights are multiples of 1/64: sums do not depend on their order where nothing else is added (voltage jumps); elsewhere
    rounding does, and spikes do not."""
    n = 80
    rng = np.random.default_rng(seed)
    place = rng.permutation(n)
    count = 6 * n
    pre, post = rng.integers(0, n, count), rng.integers(0, n, count)
    unit = 4.0 if name == "delta" else 1.0
    weight, delay = rng.integers(1, 64, count) / 64.0 * unit, rng.integers(1, 30, count) / 10.0
    times = [np.sort(rng.uniform(0, 20, 3)) for _ in range(n)]
    v = rng.uniform(-65.0, -56.0, n)

    def run(order):
        inverse = np.argsort(order)  # neuron i of the first network is neuron order[i] of this one
        network = Network()
        cell = MODELS[name](v_thresh=-55.0, cm=0.3, tau_refrac=2.0)
        cells = network.population(n, cell, "cells", initial_values={"v": v[inverse]})
        drive = network.population(n, SpikeSourceArray(spike_times=[times[i] for i in inverse]), "drive")
        rows = np.column_stack([order[pre], order[post], weight, delay])
        network.project(cells, cells, FromListConnector(rows))
        network.project(drive, cells, FromListConnector(np.column_stack([order, order])), 2.0 * unit, 0.1)
        network.record(None, "spikes")
        return Simulation(network, threads=1, update=update).run(30.0)

    plain, mixed = run(np.arange(n)), run(place)
    a, b = plain.spikes("cells"), mixed.spikes("cells")
    assert a.count > n / 2
    assert sorted(zip(a.times.tolist(), place[a.ids].tolist())) == sorted(zip(b.times.tolist(), b.ids.tolist()))


@pytest.mark.parametrize("update", ["clock", "event"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_targets_that_need_32_bits(name, update):
    """A part of more than 65536 neurons keeps its targets in 32 bits."""
    n = 70000
    network = Network(seed=3)
    pre = network.population(40, SpikeSourceArray(spike_times=[[0.1 * i] for i in range(40)]), "pre")
    post = network.population(n, MODELS[name](v_thresh=-64.0), "post")
    rng = np.random.default_rng(1)
    rows = np.column_stack([np.repeat(np.arange(40), 50), rng.integers(0, n, 2000)])
    rows[::7, 1] = rng.integers(65536, n, rows[::7].shape[0])
    weight = 60.0
    network.project(pre, post, FromListConnector(rows), weight, 0.5)
    post.record("spikes")
    simulation = Simulation(network, threads=1, update=update)
    spikes = simulation.run(20.0).spikes("post")
    assert set(spikes.ids.tolist()) == set(rows[:, 1].tolist())
    arrival = {}
    for i, j in rows:
        arrival.setdefault(int(j), 0.1 * i + 0.5)
    late = spikes.times - np.array([arrival[j] for j in spikes.ids.tolist()])
    assert late.min() > (-1e-9 if name == "delta" else 0.05)
    first = dict(zip(spikes.ids[::-1].tolist(), late[::-1].tolist()))
    assert max(first.values()) < 2.0
