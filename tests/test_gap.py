"""Gap junctions: against matrix exponentials, a plain loop, NEST and NEURON; charge, order, and the same bits whatever the threads."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    AllToAllConnector,
    Astrocyte,
    DCSource,
    EIF_cond_alpha_isfa_ista,
    ElectricalSynapse,
    FixedProbabilityConnector,
    FromListConnector,
    GIF_cond_exp,
    HH_cond_exp,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    IF_jump,
    Izhikevich,
    Network,
    NetworkError,
    Normal,
    OneToOneConnector,
    ParameterError,
    Rewiring,
    Simulation,
    SpikeSourceArray,
    SpikeSourcePoisson,
    SynapticScaling,
    Uniform,
    neuron,
    wiring,
)

HIGH = 1e6
GAP = ElectricalSynapse()


@neuron(parameters={"slope": 0.0}, states={"v": 0.0, "seen": 0.0}, receptors=("excitatory",))
def Ramp(s, p, x):
    """A potential that rises at its own pace, and shows the current into the cell."""
    s.seen = x.current
    s.v += p.slope * x.dt
    return False


def conductances(projections, seed, populations, dt=0.1):
    """The sum of all junctions between each two cells, (cells, cells), symmetric."""
    first = dict(zip([p.label for p in populations], np.cumsum([0, *(p.size for p in populations)])))
    g = np.zeros((sum(p.size for p in populations),) * 2)
    for one in projections:
        pre, post, weight, _ = wiring.arrays(one, seed, dt)
        i = first[one.pre.population.label] + one.pre.indices[pre]
        j = first[one.post.population.label] + one.post.indices[post]
        np.add.at(g, (i, j), weight)
        np.add.at(g, (j, i), weight)
    np.fill_diagonal(g, 0.0)  # a junction of a cell with itself carries nothing
    return g


def exponential(matrix, t):
    """exp(matrix t) of a small matrix, by scaling and squaring."""
    halvings = max(0, int(np.ceil(np.log2(max(np.abs(matrix).sum(1).max() * t, 1e-30)))) + 4)
    scaled, term, out = matrix * t / 2.0**halvings, np.eye(len(matrix)), np.eye(len(matrix))
    for k in range(1, 20):
        term = term @ scaled / k
        out = out + term
    for _ in range(halvings):
        out = out @ out
    return out


# ------------------------------------------------------------------------------------ passive cells

PASSIVE = {
    "exp": (IF_curr_exp, {"tau_syn_E": 3.0}), "alpha": (IF_curr_alpha, {}), "delta": (IF_curr_delta, {}), "cond": (IF_cond_exp, {}),
    "gif": (GIF_cond_exp, {"v_t_star": HIGH}),
}


def two_passive(name, dt, g=0.02):
    cell, more = PASSIVE[name]
    high = {} if name == "gif" else {"v_thresh": HIGH}
    net = Network()
    a = net.population(1, cell(tau_m=20.0, cm=0.5, v_rest=-65.0, **high, **more), "a", initial_values={"v": -50.0}).record("v")
    b = net.population(1, cell(tau_m=10.0, cm=0.3, v_rest=-70.0, **high, **more), "b", initial_values={"v": -80.0}).record("v")
    net.project(a, b, OneToOneConnector(), weight=g, synapse=GAP)
    result = Simulation(net, dt=dt, threads=1).run(40.0)
    found = np.column_stack([result.traces(label, "v").values[:, 0] for label in "ab"])
    matrix = np.array([[-1 / 20.0 - g / 0.5, g / 0.5], [g / 0.3, -1 / 10.0 - g / 0.3]])
    rest = np.linalg.solve(matrix, [65.0 / 20.0, 70.0 / 10.0])
    step, v = exponential(matrix, dt), [np.array([-50.0, -80.0])]
    for _ in range(len(found) - 1):
        v.append(rest + step @ (v[-1] - rest))
    return found, np.array(v)


@pytest.mark.parametrize("name", PASSIVE)
def test_two_passive_cells_are_followed_with_order_two(name):
    errors = []
    for dt in (0.4, 0.2, 0.1, 0.05):
        found, expected = two_passive(name, dt)
        errors.append(np.abs(found - expected).max())
        assert np.ptp(expected, axis=0).min() > 3.0
    assert errors[2] < 2.5e-3, errors
    ratios = np.array(errors[:-1]) / errors[1:]
    assert (3.6 < ratios).all() and (ratios < 4.4).all(), ratios


WEIGHTS = {"one": 0.003, "drawn": Uniform(0.0, 0.006), "given": "given"}


def meshed(seed, weights, spiking=False, permutation=None):
    """Two populations of different cells with junctions within and between, all projections electrical; (network, projections)."""
    rng = np.random.default_rng(seed)
    n, m = 7, 5
    net = Network(seed=seed)
    values = {"cm": rng.uniform(0.3, 1.0, n), "i_offset": rng.uniform(0.0, 0.6, n)}
    start = {"v": rng.uniform(-70.0, -55.0, n)}
    high = -57.0 if spiking else HIGH
    a = net.population(n, IF_curr_exp(v_thresh=high, tau_refrac=0.5, v_reset=-66.0, **values), "a", initial_values=start)
    b = net.population(m, IF_curr_exp(v_thresh=high, tau_m=12.0, tau_refrac=0.0, cm=0.4, i_offset=0.55), "b", initial_values={
        "v": rng.uniform(-70.0, -55.0, m)})
    w = [rng.uniform(0.0, 0.006, shape) if weights == "given" else WEIGHTS[weights] for shape in ((n, m), (n, n), (m, 2))]
    joined = [net.project(a, b, FixedProbabilityConnector(0.4), weight=w[0], synapse=GAP),
              net.project(a, a, AllToAllConnector(), weight=w[1], synapse=GAP),
              net.project(b, a[[5, 2]], FixedProbabilityConnector(0.7), weight=w[2], synapse=GAP)]
    net.record(None, ["v", "spikes"])
    return net, joined


@settings(max_examples=9)
@given(weights=st.sampled_from(sorted(WEIGHTS)), seed=st.integers(0, 1000))
def test_a_mesh_follows_the_matrix_exponential(weights, seed):
    net, joined = meshed(seed, weights)
    dt = 0.02
    result = Simulation(net, dt=dt, threads=1).run(20.0)
    found = np.hstack([result.traces(label, "v").values for label in "ab"])
    g = conductances(joined, net.seed, net.populations)
    assert (g == g.T).all() and (g > 0.0).sum() > 40
    cm = np.concatenate([net["a"].cell.cm, np.full(5, 0.4)])
    tau = np.repeat([20.0, 12.0], [7, 5])
    drive = np.concatenate([net["a"].cell.i_offset, np.full(5, 0.55)])
    matrix = (g - np.diag(g.sum(1))) / cm[:, None] - np.diag(1.0 / tau)
    rest = np.linalg.solve(matrix, 65.0 / tau - drive / cm)
    expected = rest + (exponential(matrix, 20.0) @ (found[0] - rest))
    np.testing.assert_allclose(found[-1], expected, atol=2e-4)
    alone = rest_alone(found[0], drive, cm, tau, 20.0)
    assert np.abs(expected - alone).max() > 1.0


def rest_alone(v, drive, cm, tau, t):
    """v after t ms without junctions."""
    rest = -65.0 + drive * tau / cm
    return rest + (v - rest) * np.exp(-t / tau)


# ------------------------------------------------------------------------------------ spiking cells, beside a plain loop


def plain_loop(v, g, cm, tau, drive, reset, refractory, thresh, steps, dt):
    """The documented scheme, cell by cell: v at every step (steps + 1, cells), and spikes (step, cell)."""
    n = v.size
    v, seen, left = v.copy(), v.copy(), np.zeros(n)
    keep = np.exp(-dt / tau)
    traces, spikes = [v.copy()], []
    for t in range(1, steps + 1):
        before = v.copy()
        for i in range(n):
            current = drive[i] + sum(g[j, i] * (seen[j] - seen[i]) for j in range(n))
            if left[i] > 0:
                left[i] -= 1
            else:
                v[i] = -65.0 + (before[i] + 65.0) * keep[i] + tau[i] / cm[i] * (1.0 - keep[i]) * current
        seen = v + 0.5 * (v - before)
        for i in range(n):
            if v[i] >= thresh:
                v[i], left[i] = reset[i], refractory[i]
                seen[i] = max(v[i], v[i] + 0.5 * (v[i] - before[i]))
                spikes.append((t, i))
        traces.append(v.copy())
    return np.array(traces), spikes


@pytest.mark.parametrize("weights", WEIGHTS)
def test_spiking_cells_are_those_of_a_plain_loop(weights):
    net, joined = meshed(11, weights, spiking=True)
    result = Simulation(net, threads=1).run(60.0)
    found = np.hstack([result.traces(label, "v").values for label in "ab"])
    a = net["a"].cell
    traces, spikes = plain_loop(
        found[0], conductances(joined, net.seed, net.populations), np.concatenate([a.cm, np.full(5, 0.4)]),
        np.repeat([20.0, 12.0], [7, 5]), np.concatenate([a.i_offset, np.full(5, 0.55)]), np.repeat([-66.0, -65.0], [7, 5]),
        np.repeat([5, 0], [7, 5]), -57.0, 600, 0.1)
    np.testing.assert_allclose(found, traces, atol=1e-9)
    mine = [(round(t / 0.1), i + first) for label, first in (("a", 0), ("b", 7))
            for t, i in zip(result.spikes(label).times, result.spikes(label).ids)]
    assert sorted(mine) == sorted(spikes) and len(spikes) > 20


def test_current_is_conductance_times_the_difference_in_the_middle_of_the_step():
    net = Network()
    cells = net.population(3, Ramp(slope=np.array([1.0, -2.0, 0.5])), "cells", initial_values={"v": np.array([0.0, 4.0, 1.0])})
    other = net.population(1, Ramp(slope=0.0), "other", initial_values={"v": 10.0})
    net.project(cells, cells, FromListConnector([(0, 1), (1, 0), (1, 2)]), weight=0.5, synapse=GAP)
    net.project(other, cells, FromListConnector([(0, 2), (0, 2)]), weight=0.25, synapse=GAP)
    net.record(None, ["v", "seen"])
    cells[[1]].inject(DCSource(amplitude=3.0, start=1.0))
    sim = Simulation(net)
    sim.set(cells[[0]], current=-7.0)
    result = sim.run(2.0)
    t = np.arange(20) * 0.1
    middle = t + 0.05
    middle[0] = 0.0  # before the first step there is no slope
    a, b, c = middle, 4.0 - 2.0 * middle, 1.0 + 0.5 * middle
    expected = np.column_stack([1.0 * (b - a) - 7.0, 1.0 * (a - b) + 0.5 * (c - b) + 3.0 * (t > 1.0 - 1e-9),
                                0.5 * (b - c) + 0.5 * (10.0 - c)])
    np.testing.assert_allclose(result.traces("cells", "seen").values[1:], expected, atol=1e-12)
    np.testing.assert_allclose(result.traces("other", "seen").values[1:, 0], 0.5 * (c - 10.0), atol=1e-12)


@pytest.mark.parametrize("cell", [IF_curr_exp, IF_curr_alpha, IF_curr_delta, IF_cond_exp, EIF_cond_alpha_isfa_ista, GIF_cond_exp,
                                  HH_cond_exp, Izhikevich], ids=lambda cell: cell.__name__)
def test_a_driven_cell_pulls_its_neighbour_and_is_held_back(cell):
    amplitude, weight = (0.01, 1e-5) if cell is Izhikevich else (0.5, 0.01)
    traces = []
    for g in (0.0, weight):
        net = Network()
        cells = net.population(2, cell(), "cells", initial_values={"v": -65.0}).record("v")
        cells[[0]].inject(DCSource(amplitude=amplitude, start=5.0))
        net.project(cells, cells, FromListConnector([(0, 1)]), weight=g, synapse=GAP)
        traces.append(Simulation(net).run(8.0).traces("cells", "v").values)
    (alone, joined), at = traces, 60
    assert np.abs(joined[:51, 0] - joined[:51, 1]).max() == 0.0
    assert joined[at, 0] < alone[at, 0] and joined[at, 1] > alone[at, 1]


# ------------------------------------------------------------------------------------ properties


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), weights=st.sampled_from(sorted(WEIGHTS)))
def test_charge_is_conserved(seed, weights):
    """What leaves one cell enters the other: without leaks the sum of cm v stays, while the potentials meet."""
    rng = np.random.default_rng(seed)
    net = Network(seed=seed)
    cm, start = rng.uniform(0.2, 2.0, 9), rng.uniform(-80.0, -50.0, 9)
    cells = net.population(9, IF_jump(cm=cm, v_thresh=HIGH), "cells", initial_values={"v": start}).record("v")
    for pre, post in ((cells, cells), (cells[:4], cells[3:])):
        weight = rng.uniform(0.0, 0.006, (pre.size, post.size)) if weights == "given" else WEIGHTS[weights]
        net.project(pre, post, FixedProbabilityConnector(0.6), weight=weight, synapse=GAP)
    v = Simulation(net, threads=1).run(100.0).traces("cells", "v").values
    charge = v @ cm
    assert np.abs(charge - charge[0]).max() < 1e-11 * np.abs(charge[0])
    assert np.ptp(v[-1]) < np.ptp(v[0])


@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_order_of_cells_does_not_count(seed):
    rng = np.random.default_rng(seed)
    n = 12
    pairs = [(i, j) for i in range(n) for j in range(n) if i < j and rng.random() < 0.4]
    weight, cm = rng.uniform(0.0, 0.005, len(pairs)), rng.uniform(0.3, 1.0, n)
    drive, start = rng.uniform(0.3, 0.9, n), rng.uniform(-70.0, -55.0, n)
    order = rng.permutation(n)  # the cell that was order[k] is k now
    place = np.argsort(order)
    runs = []
    for at, of in ((np.arange(n), np.arange(n)), (place, order)):
        net = Network()
        cells = net.population(n, IF_curr_exp(cm=cm[of], i_offset=drive[of]), "cells", initial_values={"v": start[of]})
        cells.record(["v", "spikes"])
        swapped = [(at[j], at[i]) if k % 2 else (at[i], at[j]) for k, (i, j) in enumerate(pairs)]
        net.project(cells, cells, FromListConnector(swapped), weight=weight, synapse=GAP)
        runs.append(Simulation(net, threads=1).run(50.0))
    v, w = (run.traces("cells", "v").values for run in runs)
    np.testing.assert_allclose(v[:, order], w, atol=1e-9)
    spikes = [sorted((round(t / 0.1), int(i)) for t, i in zip(run.spikes("cells").times, ids))
              for run, ids in zip(runs, (runs[0].spikes("cells").ids, order[runs[1].spikes("cells").ids]))]
    assert spikes[0] == spikes[1] and len(spikes[0]) > 5


def test_potentials_that_are_set_are_no_slope():
    """What follows `Simulation.set(v=...)` is what follows a start with these potentials."""
    def made(v):
        net = Network()
        cells = net.population(3, IF_curr_exp(v_thresh=HIGH), "cells", initial_values={"v": v}).record("v")
        net.project(cells, cells, AllToAllConnector(), weight=0.02, synapse=GAP)
        return Simulation(net), cells

    start = np.array([-60.0, -70.0, -66.0])
    sim, cells = made(np.array([-55.0, -80.0, -65.0]))
    sim.run(1.3)
    sim.set(cells, v=start)
    found, expected = sim.run(5.0), made(start)[0].run(5.0)
    np.testing.assert_allclose(found.traces("cells", "v").values, expected.traces("cells", "v").values[1:], atol=1e-11)


# ------------------------------------------------------------------------------------ the same bits


def crowd(seed=3):
    """Cells of five kinds, large enough to be cut, with junctions and spikes between them."""
    net = Network(seed=seed)
    rest = {"v": Uniform(-70.0, -52.0)}
    exp = net.population(300, IF_curr_exp(i_offset=1.6, tau_refrac=2.0), "exp", initial_values=rest)
    adex = net.population(200, EIF_cond_alpha_isfa_ista(i_offset=1.2), "adex", initial_values=rest)
    hh = net.population(130, HH_cond_exp(i_offset=0.6), "hh", initial_values=rest)
    delta = net.population(140, IF_curr_delta(i_offset=1.6, tau_refrac=1.0), "delta", initial_values=rest)
    free = net.population(200, IF_curr_exp(i_offset=0.8, tau_refrac=2.0), "free", initial_values=rest)
    for k, (a, b, w) in enumerate([(exp, exp, 0.002), (exp, adex, Uniform(0.0, 0.002)), (hh, exp, Normal(0.001, 0.0003, low=0.0)),
                                   (delta, adex, 0.0005), (adex, adex, Uniform(0.0, 0.001)), (hh, delta, lambda d: 0.001 + 0.0 * d)]):
        if callable(w):
            hh.positions, delta.positions = np.zeros((130, 3)), np.ones((140, 3))
        net.project(a, b, FixedProbabilityConnector(0.03), weight=w, synapse=GAP, label=f"gap {k}")
    net.project(exp, free, FixedProbabilityConnector(0.1), weight=0.05, delay=Uniform(0.5, 3.0))
    net.project(free, exp, FixedProbabilityConnector(0.1), weight=-0.05, delay=1.5, receptor="inhibitory")
    noise = net.population(50, SpikeSourcePoisson(rate=50.0), "noise")
    net.project(noise, adex, FixedProbabilityConnector(0.2), weight=0.002, delay=0.7)
    net.record([exp, adex, hh, delta, free], ["spikes"])
    adex.record("v")
    delta[::7].record("v")
    return net


@pytest.fixture(scope="module")
def plain():
    result = Simulation(crowd(), threads=1, update="clock").run(40.0)
    for label in ("exp", "adex", "hh", "delta", "free"):
        assert result.spikes(label).count > 20, label
    return result


@pytest.mark.parametrize("threads, update", [(1, "event"), (2, "clock"), (2, "event"), (3, "auto")])
def test_threads_and_updates_change_no_bit(plain, threads, update):
    assert Simulation(crowd(), threads=threads, update=update).run(40.0) == plain


def test_portions_states_and_branches_change_no_bit(plain, tmp_path):
    sim = Simulation(crowd(), threads=2)
    parts = [sim.run(duration) for duration in (0.1, 0.2, 7.6, 12.0)]
    sim.save(tmp_path / "state.nsim")
    branch = sim.branch()
    sim.run(20.1)
    assert sim.result == plain
    branch.run(20.1)
    assert branch.result == plain
    before = parts[0].append(parts[1]).append(parts[2]).append(parts[3])
    for threads in (1, 3):
        assert before.append(Simulation.load(tmp_path / "state.nsim", crowd(), threads=threads).run(20.1)) == plain
    sim.reset()
    sim.run(40.0)
    assert sim.result == plain


def test_a_network_that_is_followed_unchanged_changes_no_bit(plain):
    sim = Simulation(crowd(), threads=2)
    first = sim.run(19.9)
    again = sim.follow()
    second = again.run(3.3)
    assert first.append(second).append(again.follow().run(16.8)) == plain


@pytest.mark.parametrize("before", [None, 0.002])
def test_junctions_that_come_or_change_act_from_then_on(before):
    """On the potentials that there are: as in a network that begins with these."""
    def made(start):
        net = Network()
        cells = net.population(4, IF_curr_exp(v_thresh=HIGH, i_offset=0.1), "cells", initial_values={"v": start}).record("v")
        return net, cells

    def join(net, cells, weight):
        return net.project(cells, cells, FromListConnector([(0, 1), (2, 1), (3, 0)]), weight=weight, synapse=GAP)

    net, cells = made(np.array([-70.0, -60.0, -55.0, -66.0]))
    if before:
        joined = join(net, cells, before)
    sim = Simulation(net)
    start = sim.run(5.0).traces("cells", "v").values[-1]
    if before:
        net.replace(joined, weight=0.02)
    else:
        join(net, cells, 0.02)
    found = sim.follow().run(10.0).traces("cells", "v").values
    other, twins = made(start)
    join(other, twins, 0.02)
    expected = Simulation(other).run(10.0).traces("cells", "v").values[1:]
    if before:  # the potentials have a slope at that time, which those of the twins have not
        np.testing.assert_allclose(found, expected, atol=0.02)
        assert np.abs(found - expected).max() > 1e-6
    else:
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_junctions_do_matter(plain):
    without = crowd()
    without.projections = [one for one in without.projections if not one.electrical]
    assert len(without.projections) == 3
    assert Simulation(without, threads=1).run(40.0) != plain


@pytest.mark.parametrize("weight", [1e-7, Uniform(0.0, 1e-7), "given"], ids=["one", "drawn", "given"])
def test_targets_beyond_sixteen_bits(weight):
    n = 70_000
    hub_first = np.arange(n) % 3 == 0
    if isinstance(weight, str):
        weight = np.linspace(0.0, 1e-7, 2 * n).reshape(2, n)
    net = Network()
    hubs = net.population(2, Ramp(), "hubs", initial_values={"v": np.array([10.0, -10.0])}).record("seen")
    cells = net.population(n, Ramp(), "cells", initial_values={"v": 1.0 * hub_first})
    chosen = [0, 1, 40_000, 65_535, 65_536, n - 1]
    cells[chosen].record("seen")
    joined = net.project(hubs, cells, AllToAllConnector(), weight=weight, synapse=GAP)
    result = Simulation(net, threads=1).run(0.2)
    matrix = np.zeros((2, n))
    pre, post, w, _ = wiring.arrays(joined, net.seed, 0.1)
    matrix[pre, post] = w
    flow = matrix * (np.array([[10.0], [-10.0]]) - hub_first)
    np.testing.assert_allclose(result.traces("cells", "seen").values[-1], flow.sum(0)[chosen], atol=1e-18)
    np.testing.assert_allclose(result.traces("hubs", "seen").values[-1], -flow.sum(1), rtol=1e-12)


def test_who_has_no_junctions_does_not_pay():
    net = Network()
    free, a, b = (net.population(10, IF_curr_exp(), label) for label in ("free", "a", "b"))
    net.project(free, a, AllToAllConnector(), weight=0.1, delay=2.0)
    sim = Simulation(net)
    k = sim._k
    assert sim._slice == 20 and len(sim._groups) == 1 and sim._groups[0].modal is not None
    assert (sim._net.groups[:, k.G_GAP] == -1).all() and not sim._net.parts[:, k.P_GAPS].any() and sim._net.puts.size == 1
    net.project(a, b, OneToOneConnector(), weight=0.01, synapse=GAP)
    sim = Simulation(net)
    kinds = {p.label: sim._place[p.label][0].modal is not None for p in net.populations}
    assert kinds == {"free": True, "a": False, "b": False} and sim._slice == 1


def test_description_and_weights_know_them():
    net = Network()
    a, b = net.population(4, IF_curr_delta(), "a"), net.population(3, IF_curr_exp(), "b")
    joined = net.project(a, b, AllToAllConnector(), weight=0.01, synapse=GAP)
    sim = Simulation(net)
    found = sim.weights(joined)
    assert found.unit == "uS" and found.values.size == 12 and (found.values == 0.01).all()
    described = net.describe(0.1)
    assert described.synapses == 12 and described.cost_per_second(0.0) > 12 * 2 * 1e4 * 0.5e-9
    print(described)
    twin = Network()
    a, b = twin.population(4, IF_curr_delta(), "a"), twin.population(3, IF_curr_exp(), "b")
    twin.project(a, b, AllToAllConnector(), weight=0.01)
    assert twin.fingerprint() != net.fingerprint()


# ------------------------------------------------------------------------------------ peers

SETTLED, DRIVEN, END = 60.0, 0.5, 75.0  # ms, nA, ms: one spike of the first cell, in a pair at rest


def two_hodgkin_huxley(dt):
    """v of a driven cell and its neighbour, at every step."""
    net = Network()
    cells = net.population(2, HH_cond_exp(), "cells", initial_values={"v": -65.0}).record("v")
    cells[[0]].inject(DCSource(amplitude=DRIVEN, start=SETTLED))
    net.project(cells, cells, FromListConnector([(0, 1)]), weight=0.01, synapse=GAP)
    return Simulation(net, dt=dt).run(END).traces("cells", "v").values


@pytest.mark.needs("nest")
def test_two_hodgkin_huxley_cells_are_nests(needs):
    """NEST iterates its gap junctions to a tolerance (hh_cond_beta_gap_traub: the same membrane)."""
    nest = needs("nest")
    dt = 0.01
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=dt, use_wfr=True, wfr_comm_interval=dt, wfr_tol=1e-9, wfr_max_iterations=30)
    p = HH_cond_exp()
    cells = nest.Create("hh_cond_beta_gap_traub", 2, params={
        "C_m": 1e3 * p.cm, "g_Na": 1e3 * p.gbar_Na, "g_K": 1e3 * p.gbar_K, "g_L": 1e3 * p.g_leak, "E_Na": p.e_rev_Na, "E_K": p.e_rev_K,
        "E_L": p.e_rev_leak, "V_T": p.v_offset, "V_m": -65.0})
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": dt})
    nest.Connect(meter, cells, syn_spec={"delay": dt})
    source = nest.Create("dc_generator", params={"amplitude": 1e3 * DRIVEN, "start": SETTLED - dt})
    nest.Connect(source, cells[0], syn_spec={"delay": dt})
    nest.Connect(cells[0], cells[1], {"rule": "one_to_one", "make_symmetric": True}, {"synapse_model": "gap_junction", "weight": 10.0})
    nest.Simulate(END + 2 * dt)
    events = meter.events
    order = np.lexsort((events["senders"], events["times"]))
    steps, v = np.round(events["times"][order][::2] / dt).astype(int), events["V_m"][order].reshape(-1, 2)
    nest.ResetKernel()
    ours = two_hodgkin_huxley(dt)
    theirs = np.full_like(ours, np.nan)
    theirs[steps[steps < len(ours)]] = v[steps < len(ours)]
    rising = slice(1, round(64.0 / dt))
    assert np.abs(theirs[rising] - ours[rising]).max() < 1e-3
    assert np.abs(theirs[1:, 1] - ours[1:, 1]).max() < 6e-3
    after = slice(round(SETTLED / dt), None)
    assert np.ptp(theirs[after, 0]) > 100.0
    size = np.ptp(theirs[after, 1])
    assert 3.0 < size < 6.0 and abs(np.ptp(ours[after, 1]) / size - 1.0) < 1e-3


NEURON = f"""
import sys
import numpy as np
import pyNN.neuron as sim
from neuron import h
sim.setup(timestep=0.0025, min_delay=0.0025)
cells = sim.Population(2, sim.HH_cond_exp())
cells.initialize(v=-65.0)
cells[0:1].inject(sim.DCSource(amplitude={DRIVEN}, start={SETTLED}))
cells.record("v")
context, gaps = sim.simulator.state.parallel_context, []
for i in range(2):
    section = cells[i]._cell.source_section
    context.source_var(section(0.5)._ref_v, 1000 + i, sec=section)
    gaps.append(h.Gap(0.5, sec=section))
    gaps[i].g = 0.01
    context.target_var(gaps[i], gaps[i]._ref_vgap, 1001 - i)
context.setup_transfer()
sim.run({END})
np.save(sys.argv[1], cells.get_data().segments[0].analogsignals[0].magnitude)
"""


@pytest.mark.needs("neuron", "pyNN")
def test_two_hodgkin_huxley_cells_are_neurons(tmp_path):
    """PyNN's gap.mod at both ends, as its ElectricalSynapse would lay them; in a process of its own, since NEURON keeps its transfers.

    Rates come from tables there, which moves the resting potential by 0.02 mV.
    """
    script = tmp_path / "pair.py"
    script.write_text(NEURON)
    subprocess.run([sys.executable, str(script), str(tmp_path / "v.npy")], check=True, cwd=tmp_path, capture_output=True, timeout=300)
    theirs, ours = np.load(tmp_path / "v.npy")[::4], two_hodgkin_huxley(0.01)
    rising = slice(round(SETTLED / 0.01), round(64.0 / 0.01))
    assert np.abs(theirs[:rising.start] - ours[:rising.start])[100:].max() < 0.03
    assert np.abs(theirs[rising] - ours[rising])[:, 1].max() < 0.03
    after = slice(rising.start, None)
    size = np.ptp(theirs[after, 1])
    assert 3.0 < size < 6.0 and abs(np.ptp(ours[after, 1]) / size - 1.0) < 0.01
    assert abs(theirs[:, 0].argmax() - ours[:, 0].argmax()) <= 2


# ------------------------------------------------------------------------------------ errors


def ends(pre=None, post=None):
    net = Network()
    return net, net.population(3, pre or IF_curr_exp(), "pre"), net.population(3, post or IF_curr_exp(), "post")


@pytest.mark.parametrize("values, error, words", [
    ({"weight": -0.01}, ParameterError, "zero or positive (uS), got -0.01"),
    ({"weight": np.full((3, 3), -1.0)}, ParameterError, "zero or positive (uS), got -1"),
    ({"weight": Normal(0.1, 0.1)}, ParameterError, "zero or positive (uS)"),
    ({"weight": np.inf}, ParameterError, "finite"),
    ({"delay": 1.0}, NetworkError, "no delay"),
    ({"connector": FromListConnector([(0, 1, 0.1, 2.0)], column_names=["weight", "delay"])}, NetworkError, "no delay"),
    ({"receptor": "inhibitory"}, NetworkError, "no receptor"),
    ({"homeostasis": SynapticScaling()}, NetworkError, "cannot change"),
    ({"structure": Rewiring(p_form=0.1)}, NetworkError, "cannot change"),
    ({"synapse": ElectricalSynapse}, NetworkError, "synapse must be"),
], ids=str)
def test_what_a_junction_has_not(values, error, words):
    net, a, b = ends()
    given_ = {"connector": AllToAllConnector(), "weight": 0.01, "synapse": GAP} | values
    with pytest.raises(error) as info:
        net.project(a, b, **given_)
    assert words in str(info.value), info.value
    assert not net.projections


def test_a_column_of_negative_weights():
    net, a, b = ends()
    net.project(a, b, FromListConnector([(0, 1, -0.1)], column_names=["weight"]), synapse=GAP)
    with pytest.raises(ParameterError, match="zero or positive"):
        Simulation(net)


@pytest.mark.parametrize("cell", [SpikeSourcePoisson(), SpikeSourceArray(), Astrocyte()], ids=lambda cell: cell.name)
@pytest.mark.parametrize("side", ["pre", "post"])
def test_cells_without_a_potential(cell, side):
    net, a, b = ends(**{side: cell})
    with pytest.raises(NetworkError, match=f"{side}.*{cell.name}.*has no potential 'v'"):
        net.project(a, b, AllToAllConnector(), weight=0.01, synapse=GAP)


@pytest.mark.parametrize("cell, limit", [(IF_curr_exp(cm=0.2), 1.0), (Izhikevich(), 0.005), (HH_cond_exp(), 1.0)],
                         ids=["lif", "izhikevich", "hodgkin-huxley"])
def test_too_strong_for_the_step(cell, limit):
    """Just below the limit a pair stays bounded; above it is refused, with the cell and the limit named."""
    assert limit == 0.5 * getattr(cell, "cm", 1e-3) / 0.1
    for factor in (0.999, 1.001):
        net = Network()
        a = net.population(3, cell, "a", initial_values={"v": np.array([-65.0, -66.0, -65.0])}).record("v")
        net.project(a[[1]], a[[0, 2]], AllToAllConnector(), weight=factor * limit / 2.0, synapse=GAP)
        if factor > 1.0:
            with pytest.raises(ParameterError, match=rf"a\[1\].*<= 0.5 cm / dt = {limit:g} uS.*0.1 ms"):
                Simulation(net)
        else:
            v = Simulation(net).run(50.0).traces("a", "v").values
            assert np.isfinite(v).all() and (cell.name != "IF_curr_exp" or np.abs(v + 65.0).max() < 3.0)


def test_gains_are_for_spikes():
    net, a, b = ends()
    astro = net.population(3, Astrocyte(), "astro")
    graded = net.project(astro, b, OneToOneConnector(), weight=0.0, receptor="sic")
    joined = net.project(a, b, OneToOneConnector(), weight=0.01, synapse=GAP)
    with pytest.raises(NetworkError, match="gap junctions: no spikes"):
        net.modulate_gain(graded, joined, 1.0)
