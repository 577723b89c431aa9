"""What astrocytes put out all the time: currents in their targets, whatever the threads; tripartite connections."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    AllToAllConnector,
    Astrocyte,
    EIF_cond_alpha_isfa_ista,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Network,
    NetworkError,
    OneToOneConnector,
    ParameterError,
    Simulation,
    SpikeSourceArray,
    SpikeSourcePoisson,
    StepCurrentSource,
    Uniform,
    neuron,
    wiring,
)

RISING = {"IP3": 1.0, "Ca": 0.18, "h": 1.0}


@neuron(parameters={}, states={"seen": 0.0}, receptors=("excitatory",))
def Probe(s, p, x):
    """A neuron that shows the current into it."""
    s.seen = x.current
    return False


def driven(n, seed=1, **values):
    """A network with n astrocytes that are driven by spikes, and differ."""
    net = Network(seed=seed)
    start = {"IP3": Uniform(0.5, 1.5), "Ca": Uniform(0.15, 0.3), "h": Uniform(0.7, 1.0)}
    astro = net.population(n, Astrocyte(delta_IP3=0.1, **values), "astro", initial_values=start).record(["Ca", "sic"])
    source = net.population(20, SpikeSourcePoisson(rate=30.0), "in")
    net.project(source, astro, FixedNumberPreConnector(5), weight=1.0, delay=0.7)
    return net, astro


@settings(max_examples=12)
@given(n=st.integers(1, 5), m=st.integers(1, 5), weights=st.sampled_from(["one", "drawn", "given"]),
       delays=st.sampled_from(["one", "drawn", "long"]), seed=st.integers(0, 1000))
def test_current_is_the_weighted_sum_of_delayed_outputs(n, m, weights, delays, seed):
    net, astro = driven(n, seed)
    probe = net.population(m, Probe(), "probe").record("seen")
    rng = np.random.default_rng(seed)
    weight = {"one": 2.5, "drawn": Uniform(-1.0, 3.0), "given": rng.normal(size=(n, m))}[weights]
    delay = {"one": None, "drawn": Uniform(0.1, 5.0), "long": 17.0}[delays]
    graded = net.project(astro, probe, FixedProbabilityConnector(0.7), weight, delay, receptor="sic")
    result = Simulation(net, threads=1).run(40.0)
    put, seen = result.traces("astro", "sic").values, result.traces("probe", "seen").values
    assert n == 1 or put.max() > 0.0
    expected = np.zeros_like(seen)
    for i, j, w, d in zip(*wiring.arrays(graded, net.seed, 0.1)):
        lag = round(d / 0.1) + 1
        expected[lag:, j] += w * put[:-lag, i]
    np.testing.assert_allclose(seen, expected, atol=1e-15 * max(1.0, np.abs(expected).max()) * 100)


@pytest.mark.parametrize("weight", [2.0, Uniform(-1.0, 2.0), "given"], ids=["one", "drawn", "given"])
def test_targets_beyond_sixteen_bits(weight):
    n = 70_000
    net, astro = driven(2)
    if isinstance(weight, str):
        weight = np.linspace(-1.0, 1.0, 2 * n).reshape(2, n)
    probe, modal = net.population(n, Probe(), "probe"), net.population(n, IF_curr_exp(), "modal")
    chosen = [0, 1, 40_000, 65_535, 65_536, n - 1]
    probe[chosen].record("seen")
    modal[chosen].record("v")
    graded = [net.project(astro, cells, AllToAllConnector(), weight, 0.5, receptor="sic", label=f"to {cells.label}")
              for cells in (probe, modal)]
    result = Simulation(net, threads=1).run(20.0)
    put, seen = result.traces("astro", "sic").values, result.traces("probe", "seen").values
    assert put.max() > 0.0
    pre, post, w, _ = wiring.arrays(graded[0], net.seed, 0.1)
    matrix = np.zeros((2, n))
    matrix[pre, post] = w
    np.testing.assert_allclose(seen[6:], (put[:-6] @ matrix)[:, chosen], atol=1e-14)
    assert np.ptp(result.traces("modal", "v").values[-1]) > 0.0 or np.ndim(weight) == 0 and not hasattr(weight, "draw")


@pytest.mark.parametrize("cell", [IF_curr_delta, IF_curr_exp, IF_curr_alpha, IF_cond_exp], ids=lambda c: c.__name__)
def test_current_acts_as_one_that_is_injected(cell):
    net, astro = driven(3)
    cells = net.population(3, cell(v_thresh=-63.0), "cells").record(["v", "spikes"])
    net.project(astro, cells, OneToOneConnector(), weight=40.0, delay=1.5, receptor="sic")
    result = Simulation(net).run(100.0)
    twin = Network(seed=2)
    same = twin.population(3, cell(v_thresh=-63.0), "cells").record(["v", "spikes"])
    put = result.traces("astro", "sic").values
    for i in range(3):
        same[i].inject(StepCurrentSource(times=np.arange(1001) * 0.1 + 1.5, amplitudes=40.0 * put[:, i]))
    expected = Simulation(twin).run(100.0)
    assert expected.spikes("cells").count > 3
    np.testing.assert_array_equal(result.spikes("cells").times, expected.spikes("cells").times)
    np.testing.assert_allclose(result.traces("cells", "v").values, expected.traces("cells", "v").values, atol=1e-9)


def crowd(seed=3):
    """Astrocytes and neurons of two kinds in a loop, with recurrent delays of all lengths."""
    net, astro = driven(300, seed)
    noisy = IF_curr_exp(i_offset=0.74, tau_refrac=2.0)
    cells = net.population(400, noisy, "cells", initial_values={"v": Uniform(-65.0, -50.0)}).record("spikes")
    other = net.population(150, EIF_cond_alpha_isfa_ista(i_offset=0.45), "other").record(["spikes", "v"])
    parts = net.tripartite(cells, other, astro, FixedProbabilityConnector(0.05), p_third=0.5, pool_size=3, weight=0.002,
                           delay=Uniform(0.5, 3.0), weight_in=0.3, delay_in=1.0, weight_out=Uniform(0.0, 2.0),
                           delay_out=Uniform(0.5, 9.0))
    net.project(astro, cells, FixedProbabilityConnector(0.02), weight=3.0, delay=0.5, receptor="sic")
    net.project(astro, cells, FixedProbabilityConnector(0.01), weight=-1.0, delay=4.0, receptor="sic")
    return net, parts


def same(a, b):
    for label in ("cells", "other"):
        np.testing.assert_array_equal(a.spikes(label).times, b.spikes(label).times)
        np.testing.assert_array_equal(a.spikes(label).ids, b.spikes(label).ids)
    np.testing.assert_array_equal(a.traces("other", "v").values, b.traces("other", "v").values)
    np.testing.assert_array_equal(a.traces("astro", "sic").values, b.traces("astro", "sic").values)


@pytest.fixture(scope="module")
def plain():
    result = Simulation(crowd()[0], threads=1, update="clock").run(60.0)
    assert result.spikes("cells").count > 200
    assert result.spikes("other").count > 30
    assert result.traces("astro", "sic").values.max() > 1e-3
    return result


@pytest.mark.parametrize("threads, update", [(1, "event"), (2, "clock"), (2, "event"), (3, "auto")])
def test_threads_and_updates_change_no_bit(plain, threads, update):
    same(plain, Simulation(crowd()[0], threads=threads, update=update).run(60.0))


def test_portions_states_and_branches_change_no_bit(plain, tmp_path):
    net = crowd()[0]
    sim = Simulation(net, threads=2)
    for duration in (0.1, 0.2, 7.7, 12.0):
        sim.run(duration)
    sim.save(tmp_path / "state.nsim")
    branch = sim.branch()
    sim.run(40.0)
    same(plain, sim.result)
    branch.run(40.0)
    same(plain, branch.result)
    for threads in (1, 2):
        loaded = Simulation.load(tmp_path / "state.nsim", crowd()[0], threads=threads)
        rest = loaded.run(40.0)
        late = plain.spikes("other").times > 20.0 + 1e-9
        np.testing.assert_array_equal(rest.spikes("other").times, plain.spikes("other").times[late])
        np.testing.assert_array_equal(rest.traces("other", "v").values[-1], plain.traces("other", "v").values[-1])
    sim.reset()
    sim.run(60.0)
    same(plain, sim.result)


def test_a_silent_astrocyte_leaves_no_trace():
    net = Network()
    astro = net.population(5, Astrocyte(), "astro", initial_values={"IP3": 0.16}).record("sic")
    probe = net.population(5, Probe(), "probe").record("seen")
    net.project(astro, probe, AllToAllConnector(), weight=1.0, receptor="sic")
    sim = Simulation(net)
    result = sim.run(50.0)
    assert not result.traces("astro", "sic").values.any()
    assert not result.traces("probe", "seen").values.any()
    assert not sim._net.stirred[1:51, 0].any()


@pytest.mark.needs("nest")
@pytest.mark.parametrize("delay", [0.1, 1.0, 7.3])
def test_current_and_potential_are_nests(delay, needs):
    nest = needs("nest")
    w = 200.0
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = 0.1
    theirs = nest.Create("astrocyte_lr_1994", params={"IP3": 1.0, "Ca_astro": 0.18, "h_IP3R": 1.0})
    cell = nest.Create("aeif_cond_alpha_astro", params={"t_ref": 0.1, "gsl_error_tol": 1e-9})
    nest.Connect(theirs, cell, syn_spec={"synapse_model": "sic_connection", "weight": w, "delay": delay})
    meter = nest.Create("multimeter", params={"record_from": ["I_SIC", "V_m"], "interval": 0.1})
    recorder = nest.Create("spike_recorder")
    nest.Connect(meter, cell, syn_spec={"delay": 0.1})
    nest.Connect(cell, recorder, syn_spec={"delay": 0.1})
    nest.Simulate(300.1)

    net = Network()
    astro = net.population(1, Astrocyte(), "astro", initial_values=RISING).record("sic")
    d = nest.GetDefaults("aeif_cond_alpha_astro")
    aeif = EIF_cond_alpha_isfa_ista(
        cm=d["C_m"] / 1e3, tau_refrac=0.1, v_spike=d["V_peak"], v_reset=d["V_reset"], v_rest=d["E_L"],
        tau_m=d["C_m"] / d["g_L"], a=d["a"], b=d["b"] / 1e3, delta_T=d["Delta_T"], tau_w=d["tau_w"], v_thresh=d["V_th"])
    ours = net.population(1, aeif, "aeif").record(["v", "spikes"])
    probe = net.population(1, Probe(), "probe").record("seen")
    for target in (ours, probe):
        net.project(astro, target, OneToOneConnector(), weight=w, delay=delay, receptor="sic")
    result = Simulation(net).run(300.0)
    # the current that NEST records at t acts from t on
    seen = 1e3 * result.traces("probe", "seen").values[:, 0]
    np.testing.assert_allclose(seen[2:], meter.events["I_SIC"][:2999], atol=1e-7)
    np.testing.assert_allclose(result.spikes("aeif").times, recorder.events["times"], atol=0.1001)
    assert result.spikes("aeif").count > 3
    first = round(recorder.events["times"][0] / 0.1) - 5
    v = result.traces("aeif", "v").values[:, 0]
    np.testing.assert_allclose(v[1:first], meter.events["V_m"][:first - 1], atol=2e-3)


# ------------------------------------------------------------------------------------------ errors


def test_refusals():
    net, astro = driven(4)
    cells = net.population(4, IF_curr_exp(), "cells")
    source = net.population(4, SpikeSourceArray(), "source")
    to = OneToOneConnector()
    with pytest.raises(NetworkError, match=r"astro \(Astrocyte\) never spikes: give receptor='sic', got 'excitatory'"):
        net.project(astro, cells, to, weight=1.0)
    with pytest.raises(NetworkError, match=r"cells \(IF_curr_exp\) has no receptor 'sic'"):
        net.project(cells, cells, to, weight=1.0, receptor="sic")
    for target in (source, astro):
        with pytest.raises(NetworkError, match="cannot receive a current"):
            net.project(astro, target, to, weight=1.0, receptor="sic")
    with pytest.raises(ParameterError, match="weight must be finite"):
        net.project(astro, cells, to, weight=np.nan, receptor="sic")
    from neurosim import TsodyksMarkramSynapse
    with pytest.raises(NetworkError, match="never spikes: its synapses cannot change"):
        net.project(astro, cells, to, weight=1.0, receptor="sic", synapse=TsodyksMarkramSynapse())


# ------------------------------------------------------------------------------------- tripartite connections


def three(n_pre=30, n_post=20, n_astro=10, p=0.4, seed=1, **values):
    net = Network(seed=seed)
    pre = net.population(n_pre, IF_curr_exp(), "pre")
    post = net.population(n_post, IF_curr_exp(), "post")
    astro = net.population(n_astro, Astrocyte(), "astro")
    return net, net.tripartite(pre, post, astro, FixedProbabilityConnector(p), weight=0.1, **values)


def pairs(net, one, portion=10**6):
    found = [np.stack([part.pre, part.post], axis=1) for part in wiring.synapses(one, net.seed, 0.1, portion)]
    return np.concatenate([np.empty((0, 2), int), *found])


@settings(max_examples=25)
@given(n_pre=st.integers(1, 40), n_post=st.integers(1, 40), n_astro=st.integers(1, 12), p=st.floats(0.0, 1.0),
       p_third=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 2**40), data=st.data())
def test_the_three_projections_agree(n_pre, n_post, n_astro, p, p_third, seed, data):
    pool = data.draw(st.integers(1, n_astro))
    net, (primary, to, back) = three(n_pre, n_post, n_astro, p, seed, p_third=p_third, pool_size=pool)
    all_three = [pairs(net, one) for one in (primary, to, back)]
    main, entering, leaving = all_three
    assert len(entering) == len(leaving) <= len(main)
    if p_third in (0.0, 1.0):
        assert len(entering) == p_third * len(main)
    # each sender and each target has as many synapses with astrocytes as it has of those that were chosen from
    assert (np.bincount(entering[:, 0], minlength=n_pre) <= np.bincount(main[:, 0], minlength=n_pre)).all()
    np.testing.assert_array_equal(np.bincount(entering[:, 1], minlength=n_astro),
                                  np.bincount(leaving[:, 0], minlength=n_astro))
    chosen = [np.stack(found, axis=1) for found in to.connector._chosen(seed, 7)]
    triples = np.concatenate([np.empty((0, 3), int), *chosen])
    known = {tuple(pair) for pair in main}
    assert {(i, j) for i, _, j in triples} <= known
    assert len({(i, j) for i, _, j in triples}) == len(triples)  # each synapse of the main projection at most once
    assert sorted(map(tuple, triples[:, :2])) == sorted(map(tuple, entering))
    assert sorted(map(tuple, triples[:, 1:])) == sorted(map(tuple, leaving))
    for j in range(n_post):
        assert np.unique(triples[triples[:, 2] == j, 1]).size <= pool
    for one, whole in zip((to, back), (entering, leaving)):  # portions change nothing; by target, then source
        np.testing.assert_array_equal(pairs(net, one, 3), whole)
        np.testing.assert_array_equal(np.lexsort((whole[:, 0], whole[:, 1])), np.arange(len(whole)))
    again = three(n_pre, n_post, n_astro, p, seed, p_third=p_third, pool_size=pool)[1]
    np.testing.assert_array_equal(pairs(net, again.third_in), entering)


def test_pools():
    net, (_, _, back) = three(n_pre=60, n_post=40, n_astro=10, p=1.0, pool_size=3)
    leaving = pairs(net, back)
    pools = [np.unique(leaving[leaving[:, 1] == j, 0]) for j in range(40)]
    assert {pool.size for pool in pools} == {3}
    assert len({tuple(pool) for pool in pools}) > 20
    net, (_, _, back) = three(n_post=40, n_astro=10, p=1.0, pool_size=1, pool_type="block")
    leaving = pairs(net, back)
    np.testing.assert_array_equal(leaving[:, 0], leaving[:, 1] // 4)
    net, (_, _, back) = three(n_pre=90, n_post=5, n_astro=20, p=1.0, pool_size=4, pool_type="block")
    leaving = pairs(net, back)
    np.testing.assert_array_equal(leaving[:, 0] // 4, leaving[:, 1])
    assert np.unique(leaving[:, 0]).size == 20


@pytest.mark.parametrize("values, words", [
    ({"p_third": 1.5}, "p_third must be >= 0 and <= 1, got 1.5"),
    ({"pool_size": 11}, "pool_size must be a whole number between 1 and 10"),
    ({"pool_size": 2.0}, "pool_size must be a whole number between 1 and 10"),
    ({"pool_type": "ring"}, "pool_type must be 'random' or 'block'"),
    ({"pool_type": "block", "pool_size": 3}, "blocks need pool_size = 1 and a number of targets that 10 third"),
    ({"pool_type": "block", "pool_size": 1, "n_post": 25}, "got pool_size = 1 and 25 targets"),
    ({"weight_out": np.inf}, "weight must be finite"),
])
def test_pools_that_do_not_fit(values, words):
    net = Network()
    with pytest.raises((NetworkError, ParameterError)) as caught:
        n_post = values.pop("n_post", 20)
        pre = net.population(30, IF_curr_exp(), "pre")
        net.tripartite(pre, net.population(n_post, IF_curr_exp(), "post"), net.population(10, Astrocyte(), "astro"),
                       FixedProbabilityConnector(0.5), **values)
    assert words in str(caught.value)
    assert net.projections == []


def test_the_third_cell_may_be_a_neuron():
    net = Network()
    cells = [net.population(10, IF_curr_exp(), label) for label in ("pre", "post", "third")]
    parts = net.tripartite(*cells, AllToAllConnector(), p_third=0.5, weight=0.1, weight_in=0.2, weight_out=0.3)
    assert parts.third_out.receptor == "excitatory"
    assert not parts.third_out.graded
    assert Simulation(net).run(1.0).complete


@pytest.mark.needs("nest")
@pytest.mark.parametrize("pool_type, pool_size", [("random", 1), ("random", 4), ("random", 20), ("block", 1)])
def test_numbers_of_connections_are_distributed_as_nests(pool_type, pool_size, needs):
    nest, stats = needs("nest"), needs("scipy.stats")
    n_pre, n_post, n_astro, p, p_third, rounds = 50, 40, 20, 0.3, 0.4, 20
    theirs, ours = [], []
    for seed in range(1, rounds + 1):
        nest.ResetKernel()
        nest.verbosity = nest.VerbosityLevel.ERROR
        nest.rng_seed = seed
        pre, post = (nest.Create("aeif_cond_alpha_astro", n) for n in (n_pre, n_post))
        astro = nest.Create("astrocyte_lr_1994", n_astro)
        nest.TripartiteConnect(pre, post, astro, {"rule": "pairwise_bernoulli", "p": p},
                               {"rule": "third_factor_bernoulli_with_pool", "p": p_third, "pool_size": pool_size,
                                "pool_type": pool_type}, {"third_out": {"synapse_model": "sic_connection"}})
        found = []
        for sources, targets in ((pre, post), (pre, astro), (astro, post)):
            got = nest.GetConnections(sources, targets)
            ids = np.array([got.get("source"), got.get("target")]).T
            found.append(ids - [sources[0].global_id, targets[0].global_id])
        theirs.append(found)
        net, parts = three(n_pre, n_post, n_astro, p, seed, p_third=p_third, pool_size=pool_size, pool_type=pool_type)
        ours.append([pairs(net, one) for one in parts])
    looks = {
        "primary": lambda f: [len(f[0])], "third": lambda f: [len(f[1])],
        "into astrocytes": lambda f: np.bincount(f[1][:, 1], minlength=n_astro),
        "out of senders": lambda f: np.bincount(f[1][:, 0], minlength=n_pre),
        "into targets": lambda f: np.bincount(f[2][:, 1], minlength=n_post),
        "astrocytes of a target": lambda f: [np.unique(f[2][f[2][:, 1] == j, 0]).size for j in range(n_post)],
        "multiple": lambda f: [len(f[2]) - len(np.unique(f[2], axis=0))],
    }
    for name, look in looks.items():
        a, b = (np.concatenate([look(f) for f in side]) for side in (theirs, ours))
        p_value = stats.ks_2samp(a, b).pvalue
        print(f"{pool_type} {pool_size} {name}: NEST {a.mean():.2f} +- {a.std():.2f},"
              f" ours {b.mean():.2f} +- {b.std():.2f}, p = {p_value:.3f}")
        assert p_value > 1e-4
