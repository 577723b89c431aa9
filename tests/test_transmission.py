"""Synapses that transmit differently from spike to spike, each in its own way: against a plain reference that uses the same
counters, against NEST and theory, and the same whatever the threads, chunks, updates, saving and branching."""

import dataclasses
import itertools
import math

import numpy as np
import plasticity_networks as nets
import pytest
import reference_transmission as ref
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    AllToAllConnector,
    ArrayConnector,
    Astrocyte,
    Dopamine,
    FileFormatError,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FromListConnector,
    Gamma,
    HomeostaticGrowth,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_exp,
    Integers,
    MultiQuantalSynapse,
    Network,
    NetworkError,
    OneToOneConnector,
    ParameterError,
    Rewiring,
    SimpleStochasticSynapse,
    Simulation,
    SpikeSourceArray,
    SpikeSourcePoisson,
    STDPMechanism,
    StochasticTsodyksMarkramSynapse,
    TsodyksMarkramSynapse,
    Uniform,
    WeightNormalization,
    wiring,
)
from neurosim.parameters import parameters_of, stream_key

DT = nets.DT
KINDS = (TsodyksMarkramSynapse, SimpleStochasticSynapse, StochasticTsodyksMarkramSynapse, MultiQuantalSynapse)
# what a parameter may be: in one value for each of k synapses, and drawn
RANGE = {"U": (0.05, 1.0), "p": (0.0, 1.0), "tau_rec": (1.0, 80.0), "tau_facil": (0.0, 60.0)}
SITES = 6


def some_values(name, rng, shape):
    if name == "n":
        return rng.integers(1, SITES + 1, shape).astype(float)
    values = rng.uniform(*RANGE[name], shape)
    return np.where(rng.random(shape) < 0.2, 0.0, values) if name == "tau_facil" else values


def some_parameter(form, name, rng, n_pre, n_post, many):
    """A parameter as a number, an array by synapse, an array by pair of cells, or drawn."""
    if form == "drawn":
        return Integers(1, SITES) if name == "n" else Uniform(*RANGE[name])
    shape = {"number": (), "listed": (many,), "matrix": (n_pre, n_post)}[form]
    value = some_values(name, rng, shape)
    return float(value) if form == "number" else value


def shown(network, projection, seed, steps, **how):
    """(what arrived at quiet cells at each step, the spikes of each source)."""
    simulation = Simulation(network, dt=DT, seed=seed, **{"threads": 1, **how})
    result = simulation.run(steps * DT)
    v = result.traces(projection.post.population.label, "v").values
    return (
        np.vstack([np.zeros((1, v.shape[1])), v[1:] - v[:-1] * np.exp(-DT / nets.TAU)]),
        nets.by_neuron(result, projection.pre.population),
    )


@st.composite
def projections(draw, kinds, forms=("number", "listed", "matrix", "drawn")):
    """(network, projection, its synapse type): a few sources, some of whose spikes fall into one step, and quiet cells."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n_pre, n_post = int(rng.integers(1, 6)), int(rng.integers(1, 8))
    network = Network(seed=draw(st.integers(0, 100)))
    times = [np.sort(rng.integers(0, 400, rng.integers(0, 40))) * DT for _ in range(n_pre + 1)]
    sources = network.population(n_pre + 1, SpikeSourceArray(spike_times=times), "sources").record("spikes")
    network.population(3, nets.quiet(), "others")
    cells = network.population(n_post + 2, nets.quiet(), "cells", initial_values={"v": 0.0}).record("v")
    pre = sources if draw(st.booleans()) else sources[rng.permutation(n_pre + 1)[:n_pre]]
    post = cells if draw(st.booleans()) else cells[rng.permutation(n_post + 2)[:n_post]]
    connector, many = AllToAllConnector(), pre.size * post.size
    if draw(st.booleans()):
        many = int(rng.integers(0, 30))
        ends = np.stack([rng.integers(0, pre.size, many), rng.integers(0, post.size, many)], axis=1)
        connector = FromListConnector(ends)  # some pairs more than once
    kind = draw(st.sampled_from(kinds))
    names = [name for name in parameters_of(kind()) if name != "tau_psc"]
    chosen = {name: some_parameter(draw(st.sampled_from(forms)), name, rng, pre.size, post.size, many) for name in names}
    if kind is TsodyksMarkramSynapse:
        chosen["tau_psc"] = draw(st.sampled_from([0.0, 0.0, 0.7]))
    synapse = kind(**chosen)
    sign = draw(st.sampled_from([1.0, -1.0]))
    weight = draw(st.sampled_from([0.7 * sign, Uniform(*sorted((0.2 * sign, 2.0 * sign)))]))
    delay = draw(st.sampled_from([0.1, 1.3, Uniform(0.1, 3.0)]))
    made = network.project(pre, post, connector, weight, delay, "excitatory" if sign > 0 else "inhibitory", "made", synapse)
    return network, made, synapse


def check_arrivals(built, seed, threads, steps=430):
    network, made, synapse = built
    found, spikes = shown(network, made, seed, steps, threads=threads)
    expected = ref.arrivals(made, synapse, spikes, seed, network.seed, DT, steps)
    assert expected.shape == found.shape
    rounding = 1e-12 if getattr(synapse, "tau_psc", 0.0) == 0 else 1e-10  # the reference of three states goes step by step
    np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding * max(1.0, np.abs(expected).max()))
    return spikes, expected


# ------------------------------------------------------------------------------------ against the reference


@settings(max_examples=60)
@given(projections([TsodyksMarkramSynapse]), st.integers(1, 2))
def test_every_synapse_has_its_own_depression(built, threads):
    check_arrivals(built, 1, threads)


@settings(max_examples=90)
@given(projections(KINDS[1:]), st.integers(0, 2**40), st.integers(1, 2))
def test_chance_is_a_function_of_counters(built, seed, threads):
    check_arrivals(built, seed, threads)


def one_of_each(**more):
    """A network in which many synapses of one source each show in a cell of their own."""
    rng = np.random.default_rng(4)
    many, network = 300, Network(seed=9)
    times = np.sort(rng.integers(0, 3000, 120)) * DT
    source = network.population(1, SpikeSourceArray(spike_times=[times]), "source").record("spikes")
    made = []
    for k, kind in enumerate(KINDS):
        cells = network.population(many, nets.quiet(), f"cells{k}", initial_values={"v": 0.0}).record("v")
        given = {name: some_values(name, rng, many) for name in parameters_of(kind()) if name != "tau_psc"}
        made.append(network.project(source, cells, AllToAllConnector(), 1.0, 0.5, "excitatory", f"{k}", kind(**given)))
    return network, made


def test_many_synapses_of_one_source():
    """Long trains and long rows, so that something is sent and something fails."""
    network, made = one_of_each()
    for one in made:
        _, expected = check_arrivals((network, one, one.synapse), 3, 1, 3100)
        share = np.count_nonzero(expected) / (np.count_nonzero(expected.any(axis=1)) * expected.shape[1])
        assert (0.05 < share < 0.95) if one.synapse.draws else share == 1.0, (one.synapse, share)


@pytest.mark.parametrize("tau_psc", [0.0, 3.0])
@pytest.mark.parametrize("weight", [0.8, Uniform(0.2, 1.0)])
def test_equal_values_for_all_are_one_number(weight, tau_psc):
    found, steps = [], 1500
    for each in (False, True):
        network = Network(seed=5)
        times = [np.sort(np.random.default_rng(i).integers(0, 1400, 60)) * DT for i in range(20)]
        sources = network.population(20, SpikeSourceArray(spike_times=times), "sources").record("spikes")
        cells = network.population(30, nets.quiet(), "cells", initial_values={"v": 0.0}).record("v")
        values = {"U": 0.3, "tau_rec": 40.0, "tau_facil": 25.0}
        if each:
            values = {name: np.full((20, 30), value) for name, value in values.items()}
        synapse = TsodyksMarkramSynapse(**values, tau_psc=tau_psc)
        assert synapse.by_synapse == each
        made = network.project(sources, cells, FixedProbabilityConnector(0.5), weight, Uniform(0.1, 2.0), synapse=synapse)
        found.append(shown(network, made, 1, steps)[0])
    assert np.count_nonzero(found[0]) > 10_000
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.needs("nest")
def test_nest_has_the_same_depression(needs):
    """NEST's tsodyks2_synapse, with parameters of each synapse; its first spike uses ``u``."""
    from test_plasticity_nest import LONGEST, STEPS, parrots, sent_by, start, trains
    nest, n = needs("nest"), 400
    rng = np.random.default_rng(8)
    pre, _, delay, weight = trains(6, n)
    U, tau_rec, tau_facil = rng.uniform(0.05, 0.9, n), rng.uniform(5.0, 300.0, n), rng.uniform(1.0, 300.0, n)
    tau_facil[::5] = 0.0
    start(nest)
    sources, targets = parrots(nest, pre), parrots(nest, [np.array([], int)] * n)
    recorder = nest.Create("weight_recorder")
    nest.CopyModel("tsodyks2_synapse", "mine", {"weight_recorder": recorder})
    nest.Connect(sources, targets, "one_to_one", {
        "synapse_model": "mine", "weight": weight, "delay": delay * DT, "receptor_type": 1, "U": U, "u": U,
        "tau_rec": tau_rec, "tau_fac": tau_facil})
    nest.Simulate((STEPS + LONGEST + 10) * DT)
    expected = sent_by(recorder, sources, n)
    synapse = TsodyksMarkramSynapse(U, tau_rec, tau_facil)
    _, arrived, _ = nets.run_pairs(synapse, pre, [np.array([], int)] * n, weight, delay, STEPS + LONGEST)
    found = [arrived[s + d, i] for i, (s, d) in enumerate(zip(pre, delay, strict=True))]
    assert [len(a) for a in found] == [len(b) for b in expected] and sum(map(len, found)) > 10_000
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), rtol=1e-9)


# ------------------------------------------------------------------------------------ with learning, gains, scaling


SHORT = [
    TsodyksMarkramSynapse(Uniform(0.1, 0.9), 40.0, Uniform(0.0, 50.0)),
    TsodyksMarkramSynapse(0.4, Uniform(20.0, 60.0), 10.0, 2.0),
    SimpleStochasticSynapse(Uniform(0.2, 0.9)),
    StochasticTsodyksMarkramSynapse(0.4, 30.0, Uniform(5.0, 60.0)),
    MultiQuantalSynapse(0.5, Integers(1, 5), 30.0),
]


@pytest.mark.parametrize("order", nets.ORDERS)
@pytest.mark.parametrize("short", SHORT, ids=lambda one: type(one).__name__)
def test_on_top_of_learning(short, order):
    """The rule does not see it: weights are the same without, and what is sent is multiplied."""
    rng, steps, n = np.random.default_rng(2), 900, 60
    pre, post = nets.trains(rng, n, 40, 800, 2), nets.trains(rng, n, 40, 800, 2)
    delay, weight = rng.integers(1, 20, n), rng.uniform(0.2, 0.8, n)
    alone, sent, _ = nets.run_pairs(nets.mechanism("pair", order=order), pre, post, weight, delay, steps)
    mechanism = nets.mechanism("pair", order=order, short_term=short)
    both, arrived, _ = nets.run_pairs(mechanism, pre, post, weight, delay, steps, seed=7)
    np.testing.assert_array_equal(both, alone)
    network, projection = nets.pairs(mechanism, pre, post, weight, delay)
    factors = ref.sent_by(projection, short, pre, 7, network.seed, DT)
    seen = 0
    for i in range(n):
        when = pre[i] + delay[i]
        expected = sent[when, i] * factors[i]
        good = ~np.isnan(expected)
        np.testing.assert_array_equal(np.isnan(arrived[when, i]), ~good)
        np.testing.assert_allclose(arrived[when, i][good], expected[good], rtol=1e-9, atol=1e-12)
        seen += np.count_nonzero(good)
    assert seen > 1000


@pytest.mark.parametrize("weight", [0.5, Uniform(0.2, 1.0)])
def test_gains_multiply_it(weight):
    """A gain by calcium goes on top, whether states are a row's or a synapse's; p = 1 changes nothing, p = 0 lets nothing pass."""
    def run(synapse):
        net = Network(seed=2)
        senses = net.population(15, SpikeSourcePoisson(rate=150.0), "senses")
        cells = net.population(20, nets.quiet(), "cells", initial_values={"v": 0.0}).record("v")
        glia = net.population(4, Astrocyte(), "glia", initial_values={"IP3": Uniform(0.5, 1.5), "Ca": Uniform(0.15, 0.3)})
        made = net.project(senses, cells, FixedProbabilityConnector(0.5), weight, Uniform(0.1, 2.0), label="in", synapse=synapse)
        to = net.project(glia, cells, FixedProbabilityConnector(0.5), 0.0, receptor="sic")
        net.modulate_gain(to, made, 50.0)
        return Simulation(net, dt=DT, threads=1).run(300.0).traces("cells", "v").values

    plain = run(TsodyksMarkramSynapse(0.3, 30.0, 20.0))
    assert plain.max() > 1.0
    np.testing.assert_allclose(run(TsodyksMarkramSynapse(np.full((15, 20), 0.3), 30.0, 20.0)), plain, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(run(SimpleStochasticSynapse(1.0)), run(None))
    assert not run(SimpleStochasticSynapse(0.0)).any()


def test_scaling_goes_with_it():
    """Weights that are normalised are the same, whatever is sent of them; target cells do not fire."""
    def run(synapse):
        net = Network(seed=3)
        senses = net.population(15, SpikeSourcePoisson(rate=50.0), "senses")
        cells = net.population(20, nets.quiet(), "cells", initial_values={"v": 0.0}).record("v")
        made = net.project(senses, cells, FixedProbabilityConnector(0.5), Uniform(0.2, 1.0), label="in", synapse=synapse,
                           homeostasis=WeightNormalization(3.0, interval=20.0))
        sim = Simulation(net, dt=DT, threads=1)
        v = sim.run(100.0).traces("cells", "v").values
        return sim.weights(made).values, v

    plain, each = run(TsodyksMarkramSynapse(0.3, 30.0)), run(TsodyksMarkramSynapse(np.full((15, 20), 0.3), 30.0))
    np.testing.assert_array_equal(each[0], plain[0])
    np.testing.assert_allclose(each[1], plain[1], rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(run(SimpleStochasticSynapse())[0], plain[0])


# ------------------------------------------------------------------------------------ chance


def responses(synapse, many, spikes, seed=1):
    """(spikes, many): what synapses of one source send of its spikes, one into each of ``many`` cells."""
    network = Network(seed=1)
    times = [np.asarray(spikes) * DT]
    source = network.population(1, SpikeSourceArray(spike_times=times), "source").record("spikes")
    cells = network.population(many, nets.quiet(), "cells", initial_values={"v": 0.0}).record("v")
    made = network.project(source, cells, AllToAllConnector(), 1.0, 0.1, label="made", synapse=synapse)
    found, _ = shown(network, made, seed, max(spikes) + 3)
    return found[np.asarray(spikes) + 1]


MANY = 20_000
SPIKES = [5, 60, 90, 250, 260, 265, 500, 900]


@pytest.mark.parametrize("p", [0.0, 0.03, 0.5, 0.9, 1.0])
def test_probability(p):
    sent = np.rint(responses(SimpleStochasticSynapse(p), MANY, SPIKES))
    assert set(np.unique(sent)) <= {0.0, 1.0}
    error = math.sqrt(p * (1 - p) / MANY)
    np.testing.assert_allclose(sent.mean(axis=1), p, rtol=0, atol=5 * error)
    if 0 < p < 1:  # synapses and spikes have nothing to do with each other
        deviation = (sent - p) / math.sqrt(p * (1 - p))
        for a, b in itertools.combinations(range(len(SPIKES)), 2):
            assert abs((deviation[a] * deviation[b]).mean()) < 5 / math.sqrt(MANY)
        assert abs((deviation[:, 1:] * deviation[:, :-1]).mean()) < 5 / math.sqrt(deviation.size)


@pytest.mark.parametrize("U, tau_rec, tau_facil", [(0.5, 40.0, 0.0), (0.1, 15.0, 60.0), (0.9, 100.0, 20.0)])
@pytest.mark.parametrize("n", [1, 4])
def test_mean_is_the_deterministic_one(U, tau_rec, tau_facil, n):
    """Fuhrmann et al. (2002): resources of the deterministic model are the probability that a site is ready."""
    kind = StochasticTsodyksMarkramSynapse(U, tau_rec, tau_facil)
    sent = responses(kind if n == 1 else MultiQuantalSynapse(U, n, tau_rec, tau_facil), MANY, SPIKES)
    expected = ref.two_states(U, tau_rec, tau_facil, SPIKES, DT)
    error = np.sqrt(expected * (1 - expected) / (n * MANY))  # sites are independent
    assert (np.abs(sent.mean(axis=1) - expected) < 5 * error).all()
    assert np.ptp(expected) > 20 * error.max()
    variance = expected * (1 - expected) / n
    np.testing.assert_allclose(sent.var(axis=1), variance, rtol=0.1)


@pytest.mark.parametrize("n, U", [(1, 0.3), (5, 0.5), (20, 0.15)])
def test_first_spike_is_binomial(n, U):
    sent = responses(MultiQuantalSynapse(U, n, 800.0), MANY, [7])[0]
    counts = np.bincount(np.rint(sent * n).astype(int), minlength=n + 1)
    chance = np.array([math.comb(n, k) * U**k * (1 - U) ** (n - k) for k in range(n + 1)])
    assert abs(sent.mean() - U) < 5 * math.sqrt(U * (1 - U) / n / MANY)
    np.testing.assert_allclose(sent.var(), U * (1 - U) / n, rtol=0.06)
    assert (np.abs(counts - MANY * chance) <= 5 * np.sqrt(MANY * chance * (1 - chance)) + 1).all()


def test_one_site_is_the_stochastic_model():
    """The same law, and the same draws."""
    many = responses(MultiQuantalSynapse(0.4, 1, 50.0, 30.0), 500, SPIKES)
    np.testing.assert_array_equal(responses(StochasticTsodyksMarkramSynapse(0.4, 50.0, 30.0), 500, SPIKES), many)


def test_several_spikes_of_one_step_are_drawn_apart():
    sent = responses(SimpleStochasticSynapse(0.5), MANY, [5, 5, 5])[0]
    counts = np.bincount(np.rint(sent).astype(int), minlength=4)
    np.testing.assert_allclose(counts / MANY, [1 / 8, 3 / 8, 3 / 8, 1 / 8], atol=0.02)


def test_what_draws_depend_on():
    """The simulation's seed and the projection's label; not the delay, nor the network's seed, nor other projections."""
    def run(seed=1, label="made", delay=0.1, network_seed=1, other=False):
        net = Network(seed=network_seed)
        source = net.population(1, SpikeSourceArray(spike_times=[np.array(SPIKES) * DT]), "source")
        cells = net.population(200, nets.quiet(), "cells", initial_values={"v": 0.0}).record("v")
        if other:
            idle = net.population(200, nets.quiet(), "idle")
            net.project(source, idle, AllToAllConnector(), 1.0, 0.1, synapse=SimpleStochasticSynapse())
        net.project(source, cells, AllToAllConnector(), 1.0, delay, label=label, synapse=SimpleStochasticSynapse())
        v = Simulation(net, dt=DT, seed=seed, threads=1).run(100.0).traces("cells", "v").values
        return v[np.array(SPIKES) + round(delay / DT)] > 0.5

    first = run()
    assert 0.4 < first.mean() < 0.6
    for same in (run(), run(delay=1.7), run(network_seed=2), run(other=True)):
        np.testing.assert_array_equal(same, first)
    for other in (run(seed=2), run(label="another")):
        assert 0.4 < (other == first).mean() < 0.6


# ------------------------------------------------------------------------------------ values by synapse


@pytest.mark.parametrize("connector, many", [
    (AllToAllConnector(), 42), (OneToOneConnector(), 6), (FixedProbabilityConnector(0.4), 12), (FixedNumberPreConnector(3), 21),
    (ArrayConnector(np.arange(42).reshape(6, 7) % 3 == 0), 14),
    (FromListConnector([[5, 0], [0, 6], [2, 2], [2, 2], [1, 0]]), 5),
], ids=lambda one: type(one).__name__)
def test_values_come_in_the_order_of_weights(connector, many):
    """An array is read as an array of weights is; a distribution is drawn by the synapse's place."""
    rng = np.random.default_rng(0)
    n_post = 6 if isinstance(connector, OneToOneConnector) else 7
    for values in (rng.uniform(0.1, 1.0, (6, n_post)), rng.uniform(0.1, 1.0, many)):
        network = Network(seed=3)
        a, b = network.population(6, SpikeSourcePoisson(), "a"), network.population(n_post, IF_curr_exp(), "b")
        synapse = TsodyksMarkramSynapse(U=values, tau_rec=100.0 * values, tau_facil=Uniform(0.0, 9.0))
        made = network.project(a, b, connector, values, label="made", synapse=synapse)
        weight = wiring.arrays(made, 3, DT)[2]
        assert weight.size == many
        np.testing.assert_array_equal(wiring.synapse_values(made, "U", 3), weight)
        np.testing.assert_array_equal(wiring.synapse_values(made, "tau_rec", 3), 100.0 * weight)
        np.testing.assert_array_equal(Simulation(network, dt=DT, threads=1).weights(made).values, weight)
        drawn = Uniform(0.0, 9.0).draw(stream_key(3, "projection", "made", "tau_facil"), 0, many)
        np.testing.assert_array_equal(wiring.synapse_values(made, "tau_facil", 3), drawn)
        np.testing.assert_array_equal(wiring.synapse_values(made, "tau_psc", 3), np.zeros(many))


def test_values_of_short_term():
    network = Network()
    a = network.population(5, IF_curr_exp(), "a")
    one = network.project(a, a, AllToAllConnector(), 0.5, synapse=STDPMechanism(short_term=SimpleStochasticSynapse(Uniform(0, 1))))
    assert np.ptp(wiring.synapse_values(one, "p", 1)) > 0.5
    for projection, text in ((one, "no parameter 'U'; they have p"),
                             (network.project(a, a, AllToAllConnector(), 0.5), "no parameter 'U'; they have none")):
        with pytest.raises(ParameterError, match=text):
            wiring.synapse_values(projection, "U", 1)


def test_types_are_compared_by_their_values():
    values = np.array([0.1, 0.2])
    a, b = (MultiQuantalSynapse(U=values, n=Integers(1, 3)) for _ in range(2))
    assert a == b and hash(a) == hash(b) and a != MultiQuantalSynapse(U=values[::-1], n=Integers(1, 3))
    assert STDPMechanism(short_term=a) == STDPMechanism(short_term=b)
    assert SimpleStochasticSynapse() != TsodyksMarkramSynapse() and SimpleStochasticSynapse(0.5) == SimpleStochasticSynapse()
    assert TsodyksMarkramSynapse(0.3) == TsodyksMarkramSynapse(0.3) != TsodyksMarkramSynapse(np.array([0.3]))
    values[0] = 0.9  # the type has its own
    assert a.U[0] == 0.1
    with pytest.raises(ValueError):
        a.U[0] = 0.9


# ------------------------------------------------------------------------------------ one seed, one answer


DURATION = 40.0
CELLS = {"exp": (IF_curr_exp(tau_refrac=2.0), 0.4, 2500.0), "alpha": (IF_curr_alpha(tau_refrac=2.0), 0.3, 2500.0),
         "conductances": (IF_cond_exp(tau_refrac=2.0), 0.01, 1500.0)}
BUSY = [
    *SHORT,
    STDPMechanism(nets.rule("pair", 1.0), short_term=MultiQuantalSynapse(Uniform(0.3, 0.9), 3, 25.0, 15.0)),
    STDPMechanism(nets.rule("pair", 1.0), short_term=SHORT[0], neuromodulation=Dopamine(100.0, 50.0, 0.01)),
]


def build(name):
    cell, unit, rate = CELLS[name]
    network = Network(seed=12, label=name)
    times = [[0.0, 0.0, 1.0 + i, 20.0, 20.0, 33.3] for i in range(5)]
    sources = [network.population(70, SpikeSourcePoisson(rate=Uniform(20.0, 80.0)), "poisson"),
               network.population(5, SpikeSourceArray(spike_times=times), "array")]
    cells = network.population(140, cell, "cells", initial_values={"v": Uniform(-70.0, -56.0)})
    network.poisson_input(cells, rate, 0.5 * unit)
    learning = []
    for k, synapse in enumerate(BUSY):
        pre = [cells, sources[0], sources[1]][k % 3]
        sign = -1.0 if k % 4 == 3 and name != "conductances" else 1.0
        low, high = sorted((0.2 * sign * unit, 2.0 * sign * unit))
        made = network.project(
            pre, cells[7:] if k % 2 else cells, FixedNumberPreConnector(3) if pre is cells else FixedProbabilityConnector(0.2),
            0.8 * sign * unit if k % 2 else Uniform(low, high), (0.1, 1.5, Uniform(0.1, 4.0))[k % 3],
            "inhibitory" if k % 4 == 3 else "excitatory", f"{k}", synapse)
        if made.changes:
            learning.append(made)
    network.record(None, "spikes")
    cells[::9].record("v", 0.5)
    return network, learning


def all_of(simulation, learning):
    return simulation.result, [simulation.weights(one) for one in learning]


@pytest.fixture(scope="module")
def answers():
    """name -> (network, projections that learn, what one thread computes in one run with clock updates)."""
    made = {}

    def of(name):
        if name not in made:
            network, learning = build(name)
            simulation = Simulation(network, seed=5, threads=1, update="clock")
            simulation.run(DURATION)
            made[name] = network, learning, all_of(simulation, learning)
        return made[name]

    return of


@pytest.mark.parametrize("name", CELLS)
def test_cells_fire(name, answers):
    result, _ = answers(name)[2]
    assert 2.0 < result.spikes("cells").rate() < 400.0


@pytest.mark.parametrize("threads, update", [(1, "event"), (1, "auto"), (2, "clock"), (2, "event"), (3, "auto"), (3, "clock")])
@pytest.mark.parametrize("name", CELLS)
def test_threads_and_updates(name, threads, update, answers):
    network, learning, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=threads, update=update)
    simulation.run(DURATION)
    assert all_of(simulation, learning) == expected


@pytest.mark.parametrize("name", CELLS)
def test_chunks_and_steps(name, answers):
    network, learning, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=2)
    for _ in range(60):
        simulation.step()
    for duration in (0.1, 3.7, 10.2):
        simulation.run(duration)
        if learning:
            simulation.weights(learning[0])
    simulation.run(DURATION - simulation.t)
    assert all_of(simulation, learning) == expected


@pytest.mark.parametrize("first, second", [(1, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("name", CELLS)
def test_saving(name, first, second, answers, tmp_path):
    network, learning, _ = answers(name)
    simulation = Simulation(network, seed=5, threads=first)
    simulation.run(21.3)
    simulation.save(tmp_path / "state.nsim")
    expected = simulation.run(DURATION - 21.3)
    other = Simulation.load(tmp_path / "state.nsim", network, threads=second)
    found = other.run(DURATION - 21.3)
    assert found.spikes("cells").count > 20
    for label in ("cells", "poisson"):
        assert found.spikes(label) == expected.spikes(label)
    np.testing.assert_array_equal(found.traces("cells", "v").values[-20:], expected.traces("cells", "v").values[-20:])
    for one in learning:
        np.testing.assert_array_equal(other.weights(one).values, simulation.weights(one).values)


@pytest.mark.parametrize("name", CELLS)
def test_branches_and_reset(name, answers):
    network, learning, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=2)
    simulation.run(15.0)
    twin = simulation.branch()
    simulation.run(10.0)  # leaves no trace in the twin
    twin.run(DURATION - 15.0)
    assert all_of(twin, learning) == expected
    simulation.run(DURATION - 25.0)
    assert all_of(simulation, learning) == expected
    simulation.reset()
    simulation.run(DURATION)
    assert all_of(simulation, learning) == expected


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CELLS)
def test_following(name, threads, answers):
    """With a network to which a population is added, at no matter which time."""
    network, learning = build(name)
    expected = answers(name)[2]
    simulation = Simulation(network, seed=5, threads=threads)
    for number, duration in enumerate((3.1, 11.9, 0.1)):
        simulation.run(duration)
        network.population(3, IF_curr_exp(), f"added {number}")
        simulation = simulation.follow()
    found = simulation.run(DURATION - simulation.t)
    whole = expected[0].spikes("cells")
    later = whole.times > 15.15  # 3.1 + 11.9 + 0.1, and a little
    assert later.sum() > 20
    np.testing.assert_array_equal(found.spikes("cells").times, whole.times[later])
    np.testing.assert_array_equal(found.spikes("cells").ids, whole.ids[later])
    assert [simulation.weights(one) for one in learning] == expected[1]


@pytest.mark.parametrize("before, after, goes_on", [
    (TsodyksMarkramSynapse(Uniform(0.2, 0.5), 90.0), TsodyksMarkramSynapse(Uniform(0.5, 0.8), Uniform(50.0, 90.0), 40.0), True),
    (TsodyksMarkramSynapse(0.4, 90.0), TsodyksMarkramSynapse(Uniform(0.5, 0.8), 90.0), False),
    (TsodyksMarkramSynapse(Uniform(0.5, 0.8), 90.0), TsodyksMarkramSynapse(0.4, 90.0), False),
    (TsodyksMarkramSynapse(Uniform(0.5, 0.8), 90.0), TsodyksMarkramSynapse(Uniform(0.5, 0.8), 90.0, 0.0, 1.0), False),
    (SimpleStochasticSynapse(), MultiQuantalSynapse(1.0, 5, 500.0), False),
    (MultiQuantalSynapse(1.0, 5, 1e5), MultiQuantalSynapse(Uniform(0.5, 1.0), 5, 1e5), True),
], ids=str)
def test_following_with_other_synapses(before, after, goes_on):
    """States stay where the new synapses have the same; else they begin at rest."""
    n, early, late = 40, [10, 40, 90, 120, 160], [260, 300]
    network = Network(seed=4)
    source = network.population(1, SpikeSourceArray(spike_times=[np.array(early + late) * DT]), "source")
    cells = network.population(n, nets.quiet(), "cells", initial_values={"v": 0.0}).record("v")
    made = network.project(source, cells, AllToAllConnector(), 1.0, 0.5, label="made", synapse=before)
    simulation = Simulation(network, dt=DT, seed=3, threads=2)
    simulation.run(20.0)
    network.projections[0] = dataclasses.replace(made, synapse=after)
    v = simulation.follow().run(12.0).traces("cells", "v")
    sent = np.array([v.values[np.flatnonzero(np.isclose(v.times, (s + 5) * DT))[0]] for s in late])
    rest = np.transpose(ref.sent_by(network.projections[0], after, [np.array(late)], 3, 4, DT))
    if not goes_on:
        np.testing.assert_allclose(sent, rest, rtol=1e-9, atol=1e-12)
    elif isinstance(after, MultiQuantalSynapse):  # all sites were emptied, and none recovers
        assert rest[0].all() and sent.max() < 1e-100
    else:
        U, tau_rec, old = (wiring.synapse_values(one, name, 4) for one, name in (
            (network.projections[0], "U"), (network.projections[0], "tau_rec"), (made, "U")))
        last = np.array([ref.two_states(u, 90.0, 0.0, early, DT)[-1] for u in old])
        gone = (late[0] - early[-1]) * DT
        u, x = U + old * (1.0 - U) * np.exp(-gone / 40.0), 1.0 + (last / old - last - 1.0) * np.exp(-gone / tau_rec)
        np.testing.assert_allclose(sent[0], u * x, rtol=1e-9)


def test_states_of_another_type_are_refused(tmp_path):
    def made(synapse):
        network = Network(seed=1)
        a = network.population(10, SpikeSourcePoisson(rate=50.0), "a")
        b = network.population(10, IF_curr_exp(), "b")
        network.project(a, b, AllToAllConnector(), 0.1, synapse=synapse)
        return network

    values = np.linspace(0.1, 0.9, 100)
    types = [TsodyksMarkramSynapse(values), TsodyksMarkramSynapse(values[::-1]), TsodyksMarkramSynapse(0.5),
             TsodyksMarkramSynapse(Uniform(0.1, 0.9)), StochasticTsodyksMarkramSynapse(), MultiQuantalSynapse(),
             MultiQuantalSynapse(n=2), SimpleStochasticSynapse(), SimpleStochasticSynapse(0.4)]
    assert len({made(one).fingerprint() for one in types}) == len(types)
    assert made(types[0]).fingerprint() == made(TsodyksMarkramSynapse(values.copy())).fingerprint()
    simulation = Simulation(made(types[0]), threads=1)
    simulation.run(5.0)
    simulation.save(tmp_path / "state.nsim")
    with pytest.raises(FileFormatError, match="saved from another network"):
        Simulation.load(tmp_path / "state.nsim", made(types[1]))


# ------------------------------------------------------------------------------------ memory, and what is refused


@pytest.mark.parametrize("synapse, expected", [
    (TsodyksMarkramSynapse(0.3), 0), (TsodyksMarkramSynapse(U=Uniform(0.1, 1.0)), 24),
    (TsodyksMarkramSynapse(np.full(10_000, 0.5), Gamma(2.0, 50.0)), 32),
    (TsodyksMarkramSynapse(np.full((100, 100), 0.5), tau_psc=2.0), 32), (SimpleStochasticSynapse(), 8),
    (SimpleStochasticSynapse(Uniform(0, 1)), 16), (StochasticTsodyksMarkramSynapse(), 24), (MultiQuantalSynapse(n=Integers(1, 3)), 32),
])
def test_memory_is_described(synapse, expected):
    def made(one):
        network = Network(seed=1)
        a, b = network.population(100, SpikeSourcePoisson(), "a"), network.population(100, IF_curr_exp(), "b")
        network.project(a, b, AllToAllConnector(), 0.1, synapse=one)
        simulation = Simulation(network, threads=1)
        net = simulation._net
        return network.describe().nbytes, sum(array.nbytes for array in (net.row_state, net.rule_par, net.lags))

    described, kept = np.subtract(made(synapse), made(TsodyksMarkramSynapse()))
    assert described == 10_000 * expected and abs(kept - described) < 200


def test_a_number_of_values_is_not_guessed():
    network = Network(seed=1)
    a, b = network.population(4, SpikeSourcePoisson(), "a"), network.population(3, IF_curr_exp(), "b")

    def refused(error, text, at_once=True, connector=None, **more):
        def make():
            return network.project(a, b, connector or AllToAllConnector(), 0.1, label="made", **more)

        with pytest.raises(error, match=text):
            if at_once:
                make()
            else:
                wiring.synapse_values(make(), "U", 1)
        for one in [one for one in network.projections if one.label.startswith("made")]:
            with pytest.raises(error, match=text):
                Simulation(network, threads=1)
            network.projections.remove(one)

    refused(ParameterError, r"TsodyksMarkramSynapse.U must have shape \(4, 3\).* got shape \(3, 4\)",
            synapse=TsodyksMarkramSynapse(np.full((3, 4), 0.5)))
    refused(ParameterError, "TsodyksMarkramSynapse.U must have one value for each of the 12 synapses, got 13", False,
            synapse=TsodyksMarkramSynapse(np.full(13, 0.5)))
    refused(ParameterError, "TsodyksMarkramSynapse.U must have one value for each of the at least 12 synapses, got 11", False,
            synapse=TsodyksMarkramSynapse(np.full(11, 0.5)))
    refused(ParameterError, r"TsodyksMarkramSynapse.U must have shape",
            synapse=STDPMechanism(short_term=TsodyksMarkramSynapse(np.ones((2, 2)))))
    structures = (Rewiring(10.0, 3, interval=10.0, initial_weight=0.1), HomeostaticGrowth())
    for structure, synapse in itertools.product(structures, [*SHORT, STDPMechanism(short_term=SimpleStochasticSynapse())]):
        refused(NetworkError, r"values or draws for each synapse, which synapses that come and go \(structure=\) do not have",
                synapse=synapse, structure=structure, connector=FixedProbabilityConnector(0.3))
    with pytest.raises(ParameterError, match="made.*: TsodyksMarkramSynapse.tau_psc must differ from tau_rec, got 3 ms"):
        short = TsodyksMarkramSynapse(tau_rec=Integers(3, 4), tau_psc=3.0)
        made = network.project(a, b, AllToAllConnector(), 0.1, label="made", synapse=short)
        wiring.synapse_values(made, "tau_rec", 1)


@pytest.mark.parametrize("make, text", [
    (lambda: TsodyksMarkramSynapse(U=[0.5, 0.0]), "U must be > 0 and <= 1, got 0 at index 1"),
    (lambda: TsodyksMarkramSynapse(U=Uniform(0.5, 1.5)), "U must be > 0 and <= 1, but Uniform.* reaches from 0.5 to 1.5"),
    (lambda: TsodyksMarkramSynapse(U="d"), "U must be a number, an array or a Distribution, got 'd'"),
    (lambda: TsodyksMarkramSynapse(tau_rec=[[3.0, 0.0]]), "tau_rec must be > 0 ms"),
    (lambda: TsodyksMarkramSynapse(tau_facil=[math.nan]), "tau_facil must be >= 0 ms"),
    (lambda: TsodyksMarkramSynapse(tau_psc=[1.0, 2.0]), "tau_psc must be one number"),
    (lambda: TsodyksMarkramSynapse(tau_psc=Uniform(1.0, 2.0)), "tau_psc must be one number"),
    (lambda: TsodyksMarkramSynapse(tau_rec=[2.0, 3.0], tau_psc=3.0), "tau_psc must differ from tau_rec, got 3 ms"),
    (lambda: SimpleStochasticSynapse(1.1), "p must be >= 0 and <= 1, got 1.1"),
    (lambda: SimpleStochasticSynapse(q=1.0), "has no parameter 'q'; it has p"),
    (lambda: StochasticTsodyksMarkramSynapse(tau_psc=1.0), "has no parameter 'tau_psc'; it has U, tau_rec, tau_facil"),
    (lambda: StochasticTsodyksMarkramSynapse(tau_rec=0.0), "tau_rec must be > 0 ms"),
    (lambda: MultiQuantalSynapse(n=0), "n must be >= 1 and <= 8192, got 0"),
    (lambda: MultiQuantalSynapse(n=10_000), "n must be >= 1 and <= 8192, got 10000"),
    (lambda: MultiQuantalSynapse(n=1.5), "n must be whole numbers"),
    (lambda: MultiQuantalSynapse(n=[1, 2.5]), "n must be whole numbers"),
    (lambda: MultiQuantalSynapse(n=Uniform(1, 3)), r"n must be whole numbers \(drawn ones: Integers\)"),
    (lambda: STDPMechanism(short_term="depression"), "short_term must be a Transmission, got 'depression'"),
])
def test_refused(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
