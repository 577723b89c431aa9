"""Calcium that scales what synapses send: against a plain reference, and the same whatever the threads."""

import numpy as np
import plasticity_networks as nets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    AllToAllConnector,
    Astrocyte,
    EIF_cond_alpha_isfa_ista,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FromListConnector,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Network,
    NetworkError,
    OneToOneConnector,
    ParameterError,
    Simulation,
    SimulationError,
    SpikeSourcePoisson,
    TsodyksMarkramSynapse,
    Uniform,
    WeightNormalization,
    wiring,
)

LEVELS = {"IP3": Uniform(0.5, 1.5), "Ca": Uniform(0.15, 0.3), "h": Uniform(0.7, 1.0)}
SHORT = TsodyksMarkramSynapse(0.3, 40.0, 60.0)


def factors(network, made, calcium, steps, dt=0.1):
    """(steps + 1, targets): the gain of each target at each step; ``calcium`` (steps + 1, astrocytes)."""
    pre, post, *_ = wiring.arrays(made.astrocytes, network.seed, dt)
    lag = 1 if made.delay is None else round(made.delay / dt)
    seen = calcium[np.maximum(np.arange(steps + 1) - lag, 0)]
    out = np.ones((steps + 1, made.projection.post.population.size))
    for j in np.unique(post):
        mean = seen[:, made.astrocytes.pre.indices[np.unique(pre[post == j])]].mean(axis=1)
        out[:, made.astrocytes.post.indices[j]] = np.maximum(1.0 + made.gain * np.maximum(mean - made.threshold, 0.0), 0.0)
    return out


def arrived(v, dt=0.1):
    """What arrived at `nets.quiet` cells at each step, from their potentials."""
    return np.vstack([np.zeros((1, v.shape[1])), v[1:] - v[:-1] * np.exp(-dt / nets.TAU)])


@settings(max_examples=15)
@given(n=st.integers(1, 5), m=st.integers(1, 6), weights=st.sampled_from(["one", "drawn", "given"]),
       delays=st.sampled_from(["one", "drawn", "long"]), lag=st.sampled_from([None, 0.1, 0.5, 6.7, 30.0]),
       gain=st.sampled_from([0.0, 2.0, 50.0, -4.0, -50.0]), p=st.sampled_from([0.3, 1.0]), seed=st.integers(0, 1000))
def test_what_arrives_is_scaled_by_calcium(n, m, weights, delays, lag, gain, p, seed):
    net = Network(seed=seed)
    net.population(3, Astrocyte(), "others")
    net.population(2, nets.quiet(), "other cells", initial_values={"v": 0.0})
    astro = net.population(n + 2, Astrocyte(), "astro", initial_values=LEVELS).record("Ca")
    cells = net.population(m + 1, nets.quiet(), "cells", initial_values={"v": 0.0}).record("v")
    source = net.population(4, SpikeSourcePoisson(rate=200.0), "source").record("spikes")
    rng = np.random.default_rng(seed)
    weight = {"one": 2.5, "drawn": Uniform(0.0, 3.0), "given": rng.random((4, m))}[weights]
    delay = {"one": None, "drawn": Uniform(0.1, 5.0), "long": 7.0}[delays]
    sent = net.project(source, cells[1:], FixedProbabilityConnector(0.7), weight, delay)
    plain = net.project(source, cells, OneToOneConnector() if m == 3 else AllToAllConnector(), 0.7, 0.4)
    whose = net.project(astro[2:], cells, FixedProbabilityConnector(p), 0.0, 0.3, receptor="sic")
    made = net.modulate_gain(whose, sent, gain, 0.18, lag)
    result = Simulation(net, threads=1).run(40.0)
    factor = factors(net, made, result.traces("astro", "Ca").values, 400)
    expected = np.zeros((401, m + 1))
    steps = nets.by_neuron(result, source)
    for one, scale in ((sent, factor), (plain, np.ones_like(factor))):
        for i, j, w, d in zip(*wiring.arrays(one, net.seed, 0.1)):
            j, at = one.post.indices[j], steps[i] + round(d / 0.1)
            np.add.at(expected, (at[at <= 400], j), w * scale[at[at <= 400], j])
    np.testing.assert_allclose(arrived(result.traces("cells", "v").values), expected, atol=1e-12)
    np.testing.assert_array_equal(Simulation(net).weights(sent).values, wiring.arrays(sent, net.seed, 0.1)[2])


@pytest.mark.parametrize("synapse", [SHORT, nets.mechanism("pair", high=3.0), nets.mechanism("triplet", high=3.0, order="brian2"),
                                     nets.mechanism("pair", high=3.0, short_term=SHORT)],
                         ids=["short", "pair", "triplet", "both"])
def test_synapses_change_as_without_it(synapse):
    rng = np.random.default_rng(5)
    pre, post = nets.trains(rng, 6, 12, 400), nets.trains(rng, 6, 12, 400)
    kept = []
    for gain in (None, 3.0):
        net, projection = nets.pairs(synapse, pre, post, 1.0, 4)
        astro = net.population(6, Astrocyte(), "astro", initial_values=LEVELS).record("Ca")
        whose = net.project(astro, projection.post, OneToOneConnector(), 0.0, receptor="sic")
        if gain is not None:
            made = net.modulate_gain(whose, projection, gain, 0.2, 1.0)
        sim = Simulation(net, threads=1)
        result = sim.run(40.0)
        kept.append((sim.weights(projection).values, arrived(result.traces("post", "v").values)))
    np.testing.assert_array_equal(kept[0][0], kept[1][0])
    factor = factors(net, made, result.traces("astro", "Ca").values, 400)
    quiet = np.ones((401, 6), bool)
    for j, when in enumerate(post):  # the driver's volley arrives where a cell fires
        quiet[when, j] = False
    assert (kept[1][1][quiet] > 1.2 * kept[0][1][quiet] + 1e-6).any()
    np.testing.assert_allclose(kept[1][1][quiet], (factor * kept[0][1])[quiet], atol=1e-12)


def test_weights_of_a_list():
    net = Network(seed=2)
    astro = net.population(2, Astrocyte(), "astro", initial_values=LEVELS).record("Ca")
    cells = net.population(2, nets.quiet(), "cells", initial_values={"v": 0.0}).record("v")
    source = net.population(2, SpikeSourcePoisson(rate=200.0), "source").record("spikes")
    sent = net.project(source, cells, FromListConnector([(0, 0, 1.5, 0.3), (1, 1, 2.5, 0.3)]))
    made = net.modulate_gain(net.project(astro, cells, OneToOneConnector(), 0.0, receptor="sic"), sent, 5.0)
    result = Simulation(net).run(40.0)
    factor = factors(net, made, result.traces("astro", "Ca").values, 400)
    expected = np.zeros((401, 2))
    for i, steps in enumerate(nets.by_neuron(result, source)):
        np.add.at(expected[:, i], steps[steps <= 397] + 3, 1.5 + i)
    np.testing.assert_allclose(arrived(result.traces("cells", "v").values), factor * expected, atol=1e-12)


def test_targets_beyond_sixteen_bits():
    n = 70_000
    net = Network(seed=2)
    astro = net.population(2, Astrocyte(), "astro", initial_values=LEVELS).record("Ca")
    cells = net.population(n, nets.quiet(), "cells", initial_values={"v": 0.0})
    source = net.population(1, SpikeSourcePoisson(rate=500.0), "source").record("spikes")
    sent = net.project(source, cells, AllToAllConnector(), 1.0, 0.2)
    made = net.modulate_gain(net.project(astro, cells, FixedNumberPreConnector(1), 0.0, receptor="sic"), sent, 5.0)
    chosen = [0, 1, 40_000, 65_535, 65_536, n - 1]
    cells[chosen].record("v")
    result = Simulation(net, threads=1).run(10.0)
    expected = factors(net, made, result.traces("astro", "Ca").values, 100)[:, chosen]
    at = nets.by_neuron(result, source)[0] + 2
    got = arrived(result.traces("cells", "v").values)
    assert at.size > 2
    np.testing.assert_allclose(got[at[at <= 100]], expected[at[at <= 100]], atol=1e-12)


def crowd(gain=4.0, cell=None, synapse=None):
    """Astrocytes and neurons of two kinds in a loop: what neurons send to each other is scaled by calcium."""
    net = Network(seed=3)
    start = {"v": Uniform(-58.0, -50.0)}
    cells = net.population(400, cell or IF_curr_exp(i_offset=0.85, tau_refrac=2.0), "cells", initial_values=start).record("spikes")
    other = net.population(300, EIF_cond_alpha_isfa_ista(i_offset=0.45), "other").record("spikes")
    other[::20].record("v")
    astro = net.population(250, Astrocyte(delta_IP3=0.1), "astro", initial_values=LEVELS).record("Ca", 1.0)
    net.poisson_input(other, 300.0, 0.002)
    unit = 0.5 if cells.cell.weight_unit == "mV" else 0.05
    loop = net.tripartite(cells, cells, astro, FixedProbabilityConnector(0.05), p_third=0.3, pool_size=3, weight=Uniform(0.0, unit),
                          delay=Uniform(0.5, 3.0), weight_out=0.0, synapse=synapse)
    to = net.tripartite(cells, other, astro, FixedProbabilityConnector(0.05), p_third=0.5, pool_size=2, weight=0.002, delay=0.7)
    back = net.project(other, cells, FixedProbabilityConnector(0.05), weight=-0.3 * unit, delay=1.0, receptor="inhibitory")
    if gain is not None:
        net.modulate_gain(loop.third_out, loop.primary, gain, 0.2, 1.3)
        net.modulate_gain(to.third_out, to.primary, 2.0 * gain, 0.15)
        net.modulate_gain(loop.third_out, back, -gain, 0.2, 9.0)
    return net


def same(a, b):
    for label in ("cells", "other"):
        np.testing.assert_array_equal(a.spikes(label).times, b.spikes(label).times)
        np.testing.assert_array_equal(a.spikes(label).ids, b.spikes(label).ids)
    np.testing.assert_array_equal(a.traces("other", "v").values, b.traces("other", "v").values)
    np.testing.assert_array_equal(a.traces("astro", "Ca").values, b.traces("astro", "Ca").values)


@pytest.fixture(scope="module")
def plain():
    result = Simulation(crowd(), threads=1, update="clock").run(60.0)
    assert result.spikes("cells").count > 200
    assert result.spikes("other").count > 30
    assert result.traces("astro", "Ca").values.max() > 0.3
    without = Simulation(crowd(None), threads=1, update="clock").run(60.0)
    assert without.spikes("cells").count != result.spikes("cells").count
    return result


@pytest.mark.parametrize("threads, update", [(1, "event"), (2, "clock"), (2, "event"), (3, "auto")])
def test_threads_and_updates_change_no_bit(plain, threads, update):
    same(plain, Simulation(crowd(), threads=threads, update=update).run(60.0))


def test_portions_states_and_branches_change_no_bit(plain, tmp_path):
    sim = Simulation(crowd(), threads=2)
    for duration in (0.1, 0.2, 7.7, 12.0):
        sim.run(duration)
    sim.save(tmp_path / "state.nsim")
    branch = sim.branch()
    sim.run(40.0)
    same(plain, sim.result)
    branch.run(40.0)
    same(plain, branch.result)
    for threads in (1, 3):
        loaded = Simulation.load(tmp_path / "state.nsim", crowd(), threads=threads)
        rest = loaded.run(40.0)
        for label in ("cells", "other"):
            late = plain.spikes(label).times > 20.0 + 1e-9
            np.testing.assert_array_equal(rest.spikes(label).times, plain.spikes(label).times[late])
        np.testing.assert_array_equal(rest.traces("other", "v").values[-1], plain.traces("other", "v").values[-1])
    sim.reset()
    sim.run(60.0)
    same(plain, sim.result)


@pytest.mark.parametrize("synapse", [SHORT, nets.mechanism("pair", high=0.1)], ids=["short", "pair"])
def test_threads_change_no_bit_of_synapses_that_change(synapse):
    results = [Simulation(crowd(synapse=synapse), threads=threads, update=update).run(30.0)
               for threads, update in ((1, "clock"), (3, "event"))]
    assert results[0].spikes("cells").count > 100
    same(*results)


@pytest.mark.parametrize("cell", [IF_curr_exp, IF_curr_alpha, IF_curr_delta], ids=lambda c: c.__name__)
def test_no_gain_leaves_every_bit(cell):
    made = cell(i_offset=0.85, tau_refrac=2.0)
    without, nothing = (Simulation(crowd(gain, made), threads=2).run(30.0) for gain in (None, 0.0))
    assert without.spikes("cells").count > 100
    same(without, nothing)


def test_with_what_acts_at_intervals_and_without_synapses():
    net = Network(seed=4)
    astro = net.population(5, Astrocyte(), "astro", initial_values=LEVELS)
    cells = net.population(5, IF_curr_exp(), "cells").record("spikes")
    source = net.population(5, SpikeSourcePoisson(rate=300.0), "source")
    whose = net.project(astro, cells, OneToOneConnector(), 0.0, receptor="sic")
    kept = net.project(source, cells, AllToAllConnector(), Uniform(0.1, 0.9), homeostasis=WeightNormalization(total=2.0, interval=5.0))
    net.modulate_gain(whose, kept, 10.0)
    nobody = net.project(source, cells, FixedProbabilityConnector(0.0), 1.0)
    net.modulate_gain(net.project(astro, cells, FixedProbabilityConnector(0.0), 0.0, receptor="sic"), nobody, 10.0)
    sim = Simulation(net)
    sim.run(20.0)
    np.testing.assert_allclose(np.bincount(sim.weights(kept).post, sim.weights(kept).values), 2.0)


def test_only_empty_projections():
    net = Network()
    astro, cells = net.population(3, Astrocyte(), "astro"), net.population(3, IF_curr_exp(i_offset=1.0), "cells").record("spikes")
    whose = net.project(astro, cells, OneToOneConnector(), 0.0, receptor="sic")
    net.modulate_gain(whose, net.project(cells, cells, FixedProbabilityConnector(0.0), 1.0), 1.0)
    net.project(cells, cells, FixedProbabilityConnector(0.0), 1.0, synapse=nets.mechanism("pair"))
    sim = Simulation(net)
    assert not sim._net.parts[:, sim._k.P_GRADEDS].any()  # a graded projection of weight 0 costs nothing
    assert sim.run(50.0).spikes("cells").count > 0


# ------------------------------------------------------------------------------------------ errors


def described():
    net = Network()
    cells = [net.population(4, IF_curr_exp(), label) for label in ("a", "b")]
    astro = net.population(4, Astrocyte(), "astro")
    to = OneToOneConnector()
    whose = [net.project(astro, one, to, 1.0, receptor="sic", label=f"onto {one.label}") for one in cells]
    return net, whose, net.project(*cells, to, 0.1, label="sent")


@pytest.mark.parametrize("more, words", [
    ({"gain": np.nan}, "gain of sent by astro must be finite"),
    ({"gain": [1.0, 2.0]}, "gain of sent by astro must be one number"),
    ({"threshold": -0.1}, "gain of sent by astro: threshold must be"),
    ({"delay": 0.0}, "gain of sent by astro: delay must be"),
])
def test_bad_numbers(more, words):
    net, whose, sent = described()
    with pytest.raises(ParameterError) as caught:
        net.modulate_gain(whose[1], sent, **{"gain": 1.0, **more})
    assert words in str(caught.value)
    assert net.gains == []


def test_refusals():
    net, whose, sent = described()
    with pytest.raises(NetworkError, match=r"modulate_gain needs a projection or its label, got 3"):
        net.modulate_gain(3, sent, 1.0)
    with pytest.raises(NetworkError, match=r"modulate_gain: projection sent belongs to another network"):
        net.modulate_gain(whose[1], described()[2], 1.0)
    with pytest.raises(NetworkError, match=r"projection sent comes from IF_curr_exp, which has no calcium"):
        net.modulate_gain(sent, sent, 1.0)
    with pytest.raises(NetworkError, match=r"astro \(Astrocyte\) never spikes: nothing is sent"):
        net.modulate_gain(whose[1], whose[1], 1.0)
    with pytest.raises(NetworkError, match=r"astrocytes of a \(projection onto a\) cannot act on synapses of b \(projection sent\)"):
        net.modulate_gain(whose[0], sent, 1.0)
    before = net.fingerprint()
    sim = Simulation(net)
    made = net.modulate_gain(whose[1], sent, 1.0, delay=0.05)
    assert sent.gain is made
    assert net.fingerprint() != before
    with pytest.raises(NetworkError, match="projection sent has a gain already"):
        net.modulate_gain(whose[1], sent, 1.0)
    with pytest.raises(SimulationError, match="was added to"):
        sim.run(1.0)
    with pytest.raises(NetworkError, match=r"modulation of sent: delay below dt: got 0.05 ms, dt is 0.1 ms"):
        Simulation(net)
