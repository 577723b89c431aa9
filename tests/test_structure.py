"""Synapses that come and go: invariants, plain references, growth curves, and running networks."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim import (
    AdditiveWeightDependence,
    AllToAllConnector,
    ClopathRule,
    Dopamine,
    FileFormatError,
    FixedProbabilityConnector,
    FromListConnector,
    GaussianGrowth,
    HomeostaticGrowth,
    IF_curr_delta,
    IF_curr_exp,
    LinearGrowth,
    Network,
    NetworkError,
    OneToOneConnector,
    ParameterError,
    Rewiring,
    Simulation,
    SpikePairRule,
    SpikeSourceArray,
    SpikeSourcePoisson,
    SpikeTripletRule,
    STDPMechanism,
    SynapticScaling,
    TsodyksMarkramSynapse,
    Uniform,
    WeightNormalization,
)
from neurosim.connectors import Context
from neurosim.parameters import stream_key
from neurosim.structure import Activity, Change, Edges, Structure, own_sources

generators = st.integers(0, 2**32).map(np.random.default_rng)
DT = 0.1


def some_edges(rng, n_pre, n_post, most=60, multiple=False):
    """Synapses by target, then source, with random weights and delays."""
    pairs = rng.integers(0, n_pre * n_post, rng.integers(0, most))
    pairs = np.sort(pairs if multiple else np.unique(pairs))
    return Edges((pairs % n_pre).astype(np.int32), (pairs // n_pre).astype(np.int32), rng.normal(size=pairs.size),
                 rng.integers(1, 30, pairs.size).astype(np.uint16))


def a_context(rng, n_pre=7, n_post=5, kind="apart"):
    places = {"pre_positions": rng.random((n_pre, 3)), "post_positions": rng.random((n_post, 3))}
    if kind == "same":
        return Context(n_pre, n_pre, same=True, pre_positions=places["pre_positions"],
                       post_positions=places["pre_positions"])
    own = np.array([-1, 3, -1, 0, 6], dtype=np.int32) if kind == "overlap" else None
    return Context(n_pre, n_post, own=own, **places)


def an_activity(rng, context):
    return Activity(rng.poisson(2.0, context.n_pre), rng.poisson(2.0, context.n_post))


def in_degrees(edges, context):
    return np.bincount(edges.post, minlength=context.n_post)


def assert_sound(rule, edges, change, context):
    """What holds after any step of any rule."""
    after = change.applied(edges)
    assert change.keep.dtype == bool and change.keep.shape == edges.pre.shape
    assert [a.dtype for a in after] == [np.int32, np.int32, np.float64, np.uint16]
    assert after.pre.size == np.count_nonzero(change.keep) + change.new.pre.size
    assert ((0 <= after.pre) & (after.pre < context.n_pre)).all()
    assert ((0 <= after.post) & (after.post < context.n_post)).all()
    assert np.array_equal(np.lexsort((after.pre, after.post)), np.arange(after.pre.size))
    assert (change.new.weight == rule.initial_weight).all()
    low, high = rule.delay_range(DT)
    assert ((low <= change.new.delay) & (change.new.delay <= high)).all()
    if not rule.allow_self_connections:
        assert (own_sources(context)[change.new.post] != change.new.pre).all()
    if not rule.allow_multiple:
        kept = set(zip(edges.pre[change.keep].tolist(), edges.post[change.keep].tolist(), strict=True))
        new = list(zip(change.new.pre.tolist(), change.new.post.tolist(), strict=True))
        assert len(set(new)) == len(new) and not kept & set(new)
    # Those that stay are untouched.
    survivors = sorted(zip(*(column[change.keep].tolist() for column in edges), strict=True))
    everything = sorted(zip(*(column.tolist() for column in after), strict=True))
    for row in survivors:
        everything.remove(row)
    assert len(everything) == change.new.pre.size
    return after


# ------------------------------------------------------------------------------------------ rewiring


def plain_rewiring(rule, key, number, edges, activity, context):
    """One attempt after the other, with the draws that the rule names; returns a list of (pre, post, new or not)."""
    n = rule.attempts(number)
    draws = {name: Uniform(0.0, 1.0).draw(stream_key(key, number, name), 0, n)
             for name in ("target", "slot", "chance", "source")}
    there = {j: [(int(p), w, s) for s, (p, q, w) in enumerate(zip(*edges[:3], strict=True)) if q == j]
             for j in range(context.n_post)}
    spiking = np.repeat(np.arange(context.n_pre), activity.pre)
    own = own_sources(context)
    for a in range(n):
        j, slot = int(draws["target"][a] * context.n_post), int(draws["slot"][a] * rule.s_max)
        if slot < len(there[j]):
            weight = there[j][slot][1]
            if draws["chance"][a] < (rule.p_elim_dep if abs(weight) < rule.threshold else rule.p_elim_pot):
                there[j].pop(slot)
            continue
        if rule.selection == "random":
            i = int(draws["source"][a] * context.n_pre)
        elif spiking.size:
            i = int(spiking[int(draws["source"][a] * spiking.size)])
        else:
            continue
        p = rule.p_form
        if rule.sigma_form is not None:
            d = math.dist(context.pre_positions[i], context.post_positions[j])
            p *= math.exp(-d * d / (2.0 * rule.sigma_form**2))
        if draws["chance"][a] >= p or (not rule.allow_self_connections and own[j] == i):
            continue
        if not rule.allow_multiple and i in [p for p, _, _ in there[j]]:
            continue
        there[j].append((i, rule.initial_weight, None))
    return {j: sorted((i, -1 if s is None else s) for i, _, s in slots) for j, slots in there.items()}


rewirings = st.builds(
    Rewiring, f_rew=st.just(400.0), s_max=st.integers(1, 12), interval=st.just(1000.0),
    selection=st.sampled_from(["random", "last"]), p_form=st.floats(0.0, 1.0),
    sigma_form=st.none() | st.floats(0.05, 5.0), p_elim_dep=st.floats(0.0, 1.0), p_elim_pot=st.floats(0.0, 1.0),
    threshold=st.floats(0.0, 2.0), initial_weight=st.floats(-1.0, 1.0), allow_self_connections=st.booleans(),
    allow_multiple=st.booleans(), initial_delay=st.sampled_from([0.1, 1.55, Uniform(0.4, 2.0)]),
)


@given(rewirings, generators, st.sampled_from(["apart", "same", "overlap"]), st.integers(1, 50))
def test_rewiring_is_the_plain_one_and_sound(rule, rng, kind, number):
    context = a_context(rng, kind=kind)
    edges = some_edges(rng, context.n_pre, context.n_post, multiple=rule.allow_multiple)
    activity = an_activity(rng, context)
    before = [column.copy() for column in edges]
    change, state = rule.step(9, number, edges, activity, {}, context, DT)
    assert state == {}
    after = assert_sound(rule, edges, change, context)
    for a, b in zip(edges, before, strict=True):
        assert np.array_equal(a, b)
    assert (in_degrees(after, context) <= np.maximum(rule.s_max, in_degrees(edges, context))).all()
    want = plain_rewiring(rule, 9, number, edges, activity, context)
    got = {j: [] for j in range(context.n_post)}
    for synapse in np.flatnonzero(change.keep):
        got[int(edges.post[synapse])].append((int(edges.pre[synapse]), int(synapse)))
    for i, j in zip(change.new.pre.tolist(), change.new.post.tolist(), strict=True):
        got[j].append((i, -1))
    assert {j: sorted(slots) for j, slots in got.items()} == want
    again, _ = rule.step(9, number, edges, activity, {}, context, DT)
    for a, b in zip([change.keep, *change.new], [again.keep, *again.new], strict=True):
        assert np.array_equal(a, b)


def test_attempts_come_at_their_rate():
    rule = Rewiring(f_rew=33.3, interval=10.0)
    counts = [rule.attempts(number) for number in range(1, 10001)]
    assert set(counts) == {0, 1} and sum(counts) == 3330
    assert Rewiring(f_rew=0.0).attempts(7) == 0


def test_slots_fill_up_and_hold(rng):
    """Without removal, every target ends with all its slots filled, by distinct sources other than itself."""
    context = a_context(rng, n_pre=12, kind="same")
    rule = Rewiring(f_rew=5000.0, s_max=6, p_form=1.0, p_elim_dep=0.0, p_elim_pot=0.0, interval=1000.0)
    edges = Edges(*(np.empty(0, t) for t in (np.int32, np.int32, np.float64, np.uint16)))
    for number in (1, 2):
        edges = rule.step(1, number, edges, an_activity(rng, context), {}, context, DT)[0].applied(edges)
    assert (in_degrees(edges, context) == 6).all()
    assert (edges.pre != edges.post).all()


def test_near_sources_are_preferred_and_weak_synapses_go(rng):
    """In the long run synapses lie as the Gaussian says, and where weak ones go sooner, strong ones are left."""
    n = 30
    places = np.stack([np.arange(n), np.zeros(n), np.zeros(n)], axis=1).astype(float)
    context = Context(n, n, pre_positions=places, post_positions=places)
    rule = Rewiring(f_rew=20000.0, s_max=15, p_form=1.0, sigma_form=3.0, p_elim_dep=0.2, p_elim_pot=0.0,
                    initial_weight=0.1, initial_delay=1.0, interval=1000.0)
    pre, post = (side.ravel().astype(np.int32) for side in np.meshgrid(np.arange(10), np.arange(n)))
    order = np.lexsort((pre, post))
    strong = Edges(pre[order], post[order], np.ones(10 * n), np.ones(10 * n, np.uint16))
    edges, far = strong, []
    for number in range(1, 31):
        edges = rule.step(1, number, edges, an_activity(rng, context), {}, context, DT)[0].applied(edges)
        if number > 10:
            weak = edges.weight == 0.1
            far.append(np.abs(edges.pre - edges.post)[weak])
    assert np.count_nonzero(edges.weight == 1.0) == 10 * n  # p_elim_pot = 0: none of the strong ones is gone
    d = np.concatenate(far)
    assert 1.0 < np.sqrt(np.mean(d.astype(float) ** 2)) < 3.6  # sigma, less what the strong ones forbid, and edges
    assert d.max() < 15


def test_the_last_to_spike_are_picked(rng):
    context = Context(50, 10)
    spikes = np.zeros(50, dtype=int)
    spikes[[7, 31]] = 3, 1
    rule = Rewiring(f_rew=3000.0, s_max=40, selection="last", p_form=1.0, p_elim_dep=0.0, p_elim_pot=0.0,
                    interval=1000.0, allow_multiple=True)
    nothing = Edges(*(np.empty(0, t) for t in (np.int32, np.int32, np.float64, np.uint16)))
    new = rule.step(1, 1, nothing, Activity(spikes, np.zeros(10)), {}, context, DT)[0].new
    assert set(new.pre.tolist()) == {7, 31}
    assert 0.65 < np.mean(new.pre == 7) < 0.85
    silent = rule.step(1, 1, nothing, Activity(np.zeros(50, int), np.zeros(10)), {}, context, DT)[0]
    assert silent.new.pre.size == 0


# ------------------------------------------------------------------------------------------ growth


@given(st.floats(0.0, 2.0), st.floats(0.0, 2.0), st.floats(1.0, 5000.0), st.floats(50.0, 20000.0))
def test_growth_is_the_integral_of_the_curve(start, limit, duration, tau):
    """Against small Euler steps; the linear curve against its closed form."""
    t = (np.arange(20000) + 0.5) * duration / 20000
    calcium = limit + (start - limit) * np.exp(-t / tau)
    curve = GaussianGrowth(nu=0.01, eta=0.2, eps=0.9)
    got = curve.grown(np.array([start]), np.array([limit]), duration, tau)
    np.testing.assert_allclose(got, np.mean(curve.rate(calcium)) * duration, rtol=1e-5, atol=1e-6 * duration)
    curve = LinearGrowth(nu=0.01, eps=0.5)
    got = curve.grown(np.array([start]), np.array([limit]), duration, tau)
    area = limit * duration + (start - limit) * tau * -math.expm1(-duration / tau)
    np.testing.assert_allclose(got, 0.01 * (duration - area / 0.5), rtol=1e-9, atol=1e-9)


@pytest.mark.needs("nest")
@pytest.mark.parametrize("curve", ["linear", "gaussian"])
def test_elements_grow_as_nest_has_them(rng, curve):
    """NEST's elements and calcium of cells that fire at given times; its Gaussian curve takes Euler steps of 0.1 ms."""
    import nest
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution, nest.structural_plasticity_update_interval = 0.1, 10.0
    nest.EnableStructuralPlasticity()
    rule = {"linear": LinearGrowth(nu=0.01, eps=0.2), "gaussian": GaussianGrowth(nu=0.01, eta=0.05, eps=0.2)}[curve]
    element = {"growth_curve": curve, "growth_rate": rule.nu, "eps": rule.eps, "z": 5.0, "tau_vacant": 1e-9}
    if curve == "gaussian":
        element["eta"] = rule.eta
    cells = nest.Create("iaf_psc_delta", 20, {"t_ref": 0.1, "synaptic_elements": {"den": element}})
    cells.set(beta_Ca=0.02, tau_Ca=1000.0)
    for cell in cells:
        times = np.unique(np.round(rng.uniform(1.0, 2990.0, rng.integers(5, 60)), 1))
        nest.Connect(nest.Create("spike_generator", 1, {"spike_times": times}), cell,
                     syn_spec={"weight": 1000.0, "delay": 0.1})
    recorder = nest.Create("spike_recorder")
    nest.Connect(cells, recorder)
    theirs = []
    for _ in range(30):
        nest.Simulate(100.0)
        theirs.append([one["den"]["z"] for one in cells.synaptic_elements])
    spikes = recorder.events
    z, calcium, ours = np.full(20, 5.0), np.zeros(20), []
    for k in range(3000):
        now = np.ceil(spikes["times"] - 1e-6) == k + 1
        limit = 0.02 * np.bincount(spikes["senders"][now] - cells[0].global_id, minlength=20) * 1000.0
        z = np.maximum(z + rule.grown(calcium, limit, 1.0, 1000.0), 0.0)
        calcium = limit + (calcium - limit) * math.exp(-0.001)
        if k % 100 == 99:
            ours.append(z.copy())
    assert np.ptp(theirs) > 15.0
    np.testing.assert_allclose(ours, theirs, atol=0.03)
    np.testing.assert_allclose(calcium, cells.Ca, atol=1e-3)


def test_fixed_points_of_the_curves():
    """Both curves vanish at eps and fall through it; the Gaussian one vanishes at eta too, and is greatest between."""
    gauss, line = GaussianGrowth(nu=0.5, eta=0.1, eps=0.7), LinearGrowth(nu=0.5, eps=0.7)
    at = np.array([0.1, 0.4, 0.7])
    np.testing.assert_allclose(gauss.rate(at), [0.0, 0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(line.rate(np.array([0.0, 0.35, 0.7])), [0.5, 0.25, 0.0], atol=1e-12)
    for curve in (gauss, line):
        below, above = curve.rate(np.array([0.69, 0.71]))
        assert below > 0.0 > above
    assert gauss.rate(np.array([0.05]))[0] < 0.0


def plain_growth(rule, key, number, edges, activity, state, context):
    """Cell by cell: elements, the synapses that stay, and how many free elements there are on both sides."""
    after, elements = {}, {}
    for side in ("pre", "post"):
        calcium, z = state[f"Ca_{side}"].copy(), state[f"z_{side}"].copy()
        steps = 2000
        h, spikes = rule.interval / steps, rule.beta_Ca * getattr(activity, side) / steps
        for _ in range(steps):
            middle = calcium * math.exp(-0.5 * h / rule.tau_Ca) + 0.5 * spikes
            z += h * getattr(rule, side).rate(middle)
            calcium = calcium * math.exp(-h / rule.tau_Ca) + spikes
        after[f"Ca_{side}"], after[f"z_{side}"] = calcium, np.maximum(z, 0.0)
        elements[side] = np.floor(after[f"z_{side}"])
    keep = [True] * edges.pre.size
    for side, ends in (("pre", edges.pre), ("post", edges.post)):
        draws = Uniform(0.0, 1.0).draw(stream_key(key, number, f"lose {side}"), 0, edges.pre.size)
        for cell in range(len(elements[side])):
            mine = [s for s in range(edges.pre.size) if keep[s] and ends[s] == cell]
            for s in sorted(mine, key=lambda s: draws[s])[int(elements[side][cell]):]:
                keep[s] = False
    return after, keep, elements


@given(generators, st.sampled_from(["apart", "same", "overlap"]), st.booleans(), st.booleans(), st.integers(1, 9))
def test_growth_is_the_plain_one_and_sound(rng, kind, multiple, itself, number):
    context = a_context(rng, kind=kind)
    rule = HomeostaticGrowth(
        pre=LinearGrowth(nu=0.004, eps=0.02), post=GaussianGrowth(nu=0.006, eta=0.001, eps=0.03), tau_Ca=2000.0,
        beta_Ca=0.01, initial_Ca=0.02, interval=500.0, initial_delay=Uniform(0.4, 2.0), allow_multiple=multiple,
        allow_self_connections=itself, tau_vacant=0.3)
    edges = some_edges(rng, context.n_pre, context.n_post, multiple=multiple)
    state = rule.initial_state(edges, context)
    np.testing.assert_array_equal(state["z_post"], in_degrees(edges, context) + 0.5)
    activity = an_activity(rng, context)
    change, after = rule.step(5, number, edges, activity, state, context, DT)
    joined = assert_sound(rule, edges, change, context)
    out, into = np.bincount(joined.pre, minlength=context.n_pre), in_degrees(joined, context)
    want, keep, elements = plain_growth(rule, 5, number, edges, activity, state, context)
    for side, there in (("pre", out), ("post", into)):  # what is lost of the free ones, put back
        after[f"z_{side}"] = after[f"z_{side}"] + 0.3 * (elements[side] - there)
    for name, values in want.items():
        np.testing.assert_allclose(after[name], values, rtol=2e-3, atol=2e-3)
    if all(np.abs(values - np.rint(values)).min() > 3e-3 for name, values in after.items() if name[0] == "z"):
        assert change.keep.tolist() == keep
    most = {side: np.floor(after[f"z_{side}"]) for side in ("pre", "post")}
    assert (out <= most["pre"]).all() and (into <= most["post"]).all()
    free = [np.sum(most["pre"] - np.bincount(edges.pre[change.keep], minlength=context.n_pre)),
            np.sum(most["post"] - np.bincount(edges.post[change.keep], minlength=context.n_post))]
    if multiple and (itself or kind == "apart"):
        assert change.new.pre.size == min(free)  # nothing forbids a pair, so the smaller side is used up
    assert change.new.pre.size <= min(free)


def test_growth_takes_cells_to_their_calcium(rng):
    """Targets whose rate is their number of synapses settle where the curve is zero; sources have elements to spare."""
    n = 20
    context = Context(40, n)
    rule = HomeostaticGrowth(
        pre=LinearGrowth(nu=2e-3, eps=10.0), post=GaussianGrowth(nu=1e-3, eta=0.0, eps=0.05), tau_Ca=5000.0,
        beta_Ca=1e-3, initial_Ca=0.0, interval=500.0, tau_vacant=0.0)
    edges = some_edges(rng, 40, n, most=200, multiple=True)
    state = rule.initial_state(edges, context)
    for number in range(1, 400):
        rates = in_degrees(edges, context) * 1.0
        change, state = rule.step(3, number, edges, Activity(np.zeros(40), rates * 0.5), state, context, DT)
        edges = change.applied(edges)
    # eps = beta tau rate / 1000 at 10 Hz: ten synapses
    assert np.abs(in_degrees(edges, context) - 10).max() <= 1
    np.testing.assert_allclose(state["Ca_post"], 0.05, rtol=0.08)


def test_elements_without_activity_leave_the_gaussian_curve_below_eta():
    """Cells that are silent lose all elements, and with them their synapses."""
    context = Context(3, 3)
    edges = Edges(np.array([0, 1, 2], np.int32), np.array([0, 1, 2], np.int32), np.ones(3), np.ones(3, np.uint16))
    rule = HomeostaticGrowth(post=GaussianGrowth(nu=1e-3, eta=0.1, eps=0.7), interval=1000.0)
    state = rule.initial_state(edges, context)
    for number in range(1, 5):
        change, state = rule.step(1, number, edges, Activity(np.zeros(3), np.zeros(3)), state, context, DT)
        edges = change.applied(edges)
    assert edges.pre.size == 0 and not state["z_post"].any()


def test_a_change_keeps_the_order():
    edges = Edges(np.array([3, 1, 3], np.int32), np.array([0, 1, 1], np.int32), np.arange(3.0), np.ones(3, np.uint16))
    new = Edges(np.array([3, 0], np.int32), np.array([1, 1], np.int32), np.array([8.0, 9.0]), np.ones(2, np.uint16))
    after = Change(np.array([True, False, True]), new).applied(edges)
    assert after.pre.tolist() == [3, 0, 3, 3] and after.post.tolist() == [0, 1, 1, 1]
    assert after.weight.tolist() == [0.0, 9.0, 2.0, 8.0]  # of one pair, the older first


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(("rule", "words"), [
    (lambda: Rewiring(s_max=0), "Rewiring.s_max must be >= 1 and <= 1e\\+09, got 0"),
    (lambda: Rewiring(s_max=2.5), "Rewiring.s_max must be a whole number, got 2.5"),
    (lambda: Rewiring(p_form=1.5), "Rewiring.p_form must be >= 0 and <= 1, got 1.5"),
    (lambda: Rewiring(selection="newest"), "Rewiring.selection must be 'random' or 'last', got 'newest'"),
    (lambda: Rewiring(sigma_form=0.0), r"Rewiring.sigma_form must be None or > 0 \(unit of positions\), got 0.0"),
    (lambda: Rewiring(allow_multiple=1), "Rewiring.allow_multiple must be True or False, got 1"),
    (lambda: Rewiring(s_min=1), "Rewiring has no parameter 's_min'; it has f_rew"),
    (lambda: Rewiring(f_rew=Uniform(1.0, 2.0)), "Rewiring.f_rew must be one number"),
    (lambda: Rewiring(initial_delay=Uniform(-1.0, 2.0)), "Rewiring.initial_delay must be > 0 ms, but .* from -1 to 2"),
    (lambda: Rewiring(initial_delay=[1.0, 2.0]), "Rewiring.initial_delay must be one number or a Distribution"),
    (lambda: HomeostaticGrowth(pre=3.0), "HomeostaticGrowth.pre must be a growth curve such as GaussianGrowth"),
    (lambda: HomeostaticGrowth(interval=0.0), "HomeostaticGrowth.interval must be > 0 ms, got 0"),
    (lambda: GaussianGrowth(eta=0.7), r"GaussianGrowth.eta must be < eps \(0.7\), got 0.7"),
    (lambda: LinearGrowth(eps=0.0), "LinearGrowth.eps must be > 0, got 0"),
])
def test_parameters_are_checked(rule, words):
    with pytest.raises(ParameterError, match=words):
        rule()


def test_what_does_not_fit_is_said_early():
    with pytest.raises(NetworkError, match=r"initial_delay must be >= dt \(1 ms\) .* got 0.5 ms"):
        Rewiring(initial_delay=0.5).validate(Context(2, 2), 1.0)
    with pytest.raises(NetworkError, match="here: Rewiring.sigma_form needs positions of both populations"):
        Rewiring(sigma_form=1.0).validate(Context(2, 2, label="here"))


# ------------------------------------------------------------------------------------------ in networks


@dataclasses.dataclass(frozen=True)
class Scripted(Structure):
    """For tests: at interval ``number`` the pairs of ``gone[number]`` are removed, those of ``come[number]`` formed."""

    interval: Any = 10.0
    initial_weight: Any = 1.0
    initial_delay: Any = 1.0
    allow_self_connections: bool = False
    allow_multiple: bool = False
    come: Any = None
    gone: Any = None

    def step(self, key, number, edges, activity, state, context, dt):
        there = set(self.gone.get(number, ()))
        keep = np.array([pair not in there for pair in zip(edges.pre.tolist(), edges.post.tolist(), strict=True)], bool)
        pairs = self.come.get(number, [])
        new = self._new(key, number, [i for i, _ in pairs], [j for _, j in pairs], np.arange(len(pairs)), dt)
        return Change(keep, new), {}


def quiet_cells(network, n, label="targets"):
    """Cells whose potential is what arrived in this step, and next to nothing of what came before."""
    return network.population(n, IF_curr_delta(tau_m=0.01, cm=1.0, v_rest=0.0, v_reset=0.0, v_thresh=1e6), label)


def test_what_arrives_is_what_the_synapses_of_that_moment_carry(rng):
    """Spike for spike: a synapse that is there when a spike arrives passes it on, even if it came after it was sent."""
    n_pre, n_post, steps, every = 6, 90, 400, 40
    trains = [np.unique(rng.integers(1, steps, 25)) for _ in range(n_pre)]
    start = [(i, j) for i in range(n_pre) for j in range(n_post) if (i + j) % 3 == 0]
    there, come, gone, history = set(start), {}, {}, []
    for number in range(1, 11):
        gone[number] = [pair for pair in sorted(there) if rng.random() < 0.2]
        there -= set(gone[number])
        come[number] = [pair for pair in [(int(rng.integers(n_pre)), int(rng.integers(n_post))) for _ in range(150)]
                        if pair not in there]
        come[number] = list(dict.fromkeys(come[number]))
        there |= set(come[number])
        history.append(set(there))
    network = Network(seed=2)
    sources = network.population(n_pre, SpikeSourceArray(spike_times=[0.1 * t for t in trains]), "sources")
    targets = quiet_cells(network, n_post)
    rule = Scripted(interval=4.0, come=come, gone=gone, initial_weight=2.0, initial_delay=2.5)
    network.project(sources, targets, FromListConnector(start), weight=1.0, delay=1.2, label="p", structure=rule)
    network.record(targets, "v")
    want = np.zeros((steps + 1, n_post))
    first = set(start)
    for i, train in enumerate(trains):
        for s in train:
            for delay, weight in ((12, 1.0), (25, 2.0)):
                t = s + delay
                if t <= steps:
                    number = (t - 1) // every  # what happens at a step comes after its arrivals
                    now = start if number == 0 else history[number - 1]
                    for j in range(n_post):
                        old = (i, j) in first and all((i, j) not in gone[k] for k in range(1, number + 1))
                        if (i, j) in now and old == (delay == 12):
                            want[t, j] += weight
    for threads in (1, 2):
        simulation = Simulation(network, threads=threads)
        v = simulation.run(40.0).traces("targets", "v").values
        np.testing.assert_allclose(v, want, atol=1e-3)
        weights = simulation.weights("p")
        assert list(zip(weights.post.tolist(), weights.pre.tolist(), strict=True)) == sorted((j, i) for i, j in there)
        counts = simulation.turnover("p")
        assert counts.times.tolist() == pytest.approx([4.0 * number for number in range(1, 11)])
        assert counts.formed.tolist() == [len(come[number]) for number in range(1, 11)]
        assert counts.removed.tolist() == [len(gone[number]) for number in range(1, 11)]
        assert counts.present.tolist() == [len(pairs) for pairs in history]


PLASTIC = {
    "pair": STDPMechanism(SpikePairRule(A_plus=0.004, A_minus=0.003), AdditiveWeightDependence(0.0, 2.0)),
    "triplet": STDPMechanism(SpikeTripletRule(A2_plus=0.001, A2_minus=0.003, A3_plus=0.002, A3_minus=0.001),
                             AdditiveWeightDependence(0.0, 2.0), order="brian2"),
    "axonal": STDPMechanism(SpikePairRule(A_plus=0.004, A_minus=0.003, pairing="nearest"),
                            AdditiveWeightDependence(0.0, 2.0), dendritic_delay_fraction=0.4),
    "short term": STDPMechanism(SpikePairRule(A_plus=0.004, A_minus=0.003), AdditiveWeightDependence(0.0, 2.0),
                                short_term=TsodyksMarkramSynapse(tau_rec=30.0)),
}


@pytest.mark.parametrize("synapse", PLASTIC)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_new_synapse_learns_as_an_old_one(rng, synapse, threads):
    """Additive changes do not depend on the weight: a synapse that comes changes by as much as one that was there."""
    n = 130
    start = [(i, j) for i in range(n) for j in range(4)]
    come = [(i, j) for i in range(n) for j in range(100, 104)]  # in rows whose other part was empty until now

    def made(structure, pairs):
        network = Network(seed=2)
        trains = [[np.sort(rng.choice(np.arange(1, 1500), 20, replace=False)) * 0.1 for _ in range(n)] for rng in
                  (np.random.default_rng(1), np.random.default_rng(2))]
        sources = network.population(n, SpikeSourceArray(spike_times=trains[0]), "sources")
        drive = network.population(n, SpikeSourceArray(spike_times=trains[1]), "drive")
        cell = IF_curr_delta(tau_m=5.0, cm=1.0, v_rest=0.0, v_reset=0.0, v_thresh=900.0, tau_refrac=0.0)
        targets = network.population(n, cell, "targets")
        network.project(drive, targets, OneToOneConnector(), weight=1000.0, delay=0.1)
        network.project(sources, targets, FromListConnector(pairs), weight=1.0, delay=1.0, label="p",
                        synapse=PLASTIC[synapse], structure=structure)
        return Simulation(network, threads=threads)

    late = made(Scripted(interval=70.0, come={1: come}, gone={}, initial_weight=1.0), start)
    early = made(None, start + come)
    late.run(70.0)
    early.run(70.0)
    before = early.weights("p")
    np.testing.assert_array_equal(late.weights("p").pre, before.pre)
    is_new = before.post >= 100
    np.testing.assert_allclose(late.weights("p").values[is_new], 1.0)
    np.testing.assert_array_equal(late.weights("p").values[~is_new], before.values[~is_new])
    late.run(69.0)
    early.run(69.0)
    gained = early.weights("p").values - before.values
    assert np.abs(gained[is_new]).max() > 0.003
    np.testing.assert_allclose((late.weights("p").values - 1.0)[is_new], gained[is_new], atol=1e-13)
    np.testing.assert_array_equal(late.weights("p").values[~is_new], early.weights("p").values[~is_new])


def a_network(structure, synapse=None, homeostasis=None, cells=140, recurrent=False):
    network = Network(seed=7)
    sources = network.population(60, SpikeSourcePoisson(rate=25.0), "sources")
    targets = network.population(cells, IF_curr_exp(tau_refrac=2.0), "targets",
                                 positions=np.random.default_rng(3).random((cells, 3)))
    network.project(sources, targets, FixedProbabilityConnector(0.4), weight=0.25, delay=1.0, label="in")
    pre = targets if recurrent else sources
    network.project(pre, targets, FixedProbabilityConnector(0.1), weight=0.25, delay=Uniform(0.5, 2.0), label="p",
                    synapse=synapse, homeostasis=homeostasis, structure=structure)
    network.record(targets, "spikes")
    return network


REWIRED = [
    (Rewiring(f_rew=20000.0, s_max=20, interval=20.0, threshold=0.3, p_elim_dep=0.3, initial_weight=0.25,
              initial_delay=Uniform(0.4, 3.0)), None, None),
    (Rewiring(f_rew=20000.0, s_max=20, interval=20.0, threshold=0.3, p_elim_dep=0.3, initial_weight=0.25,
              sigma_form=0.3, selection="last", allow_multiple=True), PLASTIC["pair"], None),
    (Rewiring(f_rew=20000.0, s_max=60, interval=50.0, threshold=0.3, p_elim_dep=0.1, p_form=1.0, initial_weight=0.25),
     STDPMechanism(SpikePairRule(A_plus=0.1, A_minus=0.1), AdditiveWeightDependence(0.0, 2.0),
                   neuromodulation=Dopamine(baseline=-0.002)),
     SynapticScaling(target_rate=8.0, eta=1.0, interval=30.0)),
    (Rewiring(f_rew=20000.0, s_max=20, interval=20.0, threshold=0.3, p_elim_dep=0.3, initial_weight=0.25),
     TsodyksMarkramSynapse(tau_rec=40.0), WeightNormalization(total=3.0, interval=20.0)),
    (Rewiring(f_rew=20000.0, s_max=20, interval=20.0, threshold=0.3, p_elim_dep=0.3, initial_weight=0.25),
     STDPMechanism(ClopathRule(theta_minus=-64.0, theta_plus=-55.0, A_LTD=1e-3, A_LTP=1e-4, u_spike=20.0),
                   AdditiveWeightDependence(0.0, 2.0)), None),
    (HomeostaticGrowth(pre=GaussianGrowth(nu=0.02, eta=-0.1, eps=0.05), post=LinearGrowth(nu=0.02, eps=0.05),
                       tau_Ca=500.0, beta_Ca=0.01, interval=20.0, initial_weight=0.25, initial_delay=1.5), None, None),
    (HomeostaticGrowth(pre=LinearGrowth(nu=0.02, eps=0.2), post=LinearGrowth(nu=0.05, eps=0.05), tau_Ca=500.0,
                       beta_Ca=0.01, interval=20.0, initial_weight=0.25), PLASTIC["short term"], None),
]


@pytest.mark.parametrize(("structure", "synapse", "homeostasis"), REWIRED)
def test_threads_portions_and_saved_states_change_nothing(structure, synapse, homeostasis, tmp_path):
    def seen(simulation):
        spikes, weights = simulation.result.spikes("targets"), simulation.weights("p")
        return [spikes.times.tolist(), spikes.ids.tolist(), weights.values.tolist(), weights.pre.tolist(),
                weights.post.tolist(), [column.tolist() for column in simulation.turnover("p")]]

    network = a_network(structure, synapse, homeostasis, recurrent=getattr(structure, "sigma_form", None) is not None)
    whole, cut = Simulation(network, threads=1), Simulation(network, threads=2)
    whole.run(400.0)
    for portion in (33.3, 66.7, 25.0, 0.1, 74.9):
        cut.run(portion)
    cut.save(tmp_path / "state.nsim")
    branch = cut.branch()
    loaded = Simulation.load(tmp_path / "state.nsim", network, threads=1)
    np.testing.assert_array_equal(loaded.weights("p").values, cut.weights("p").values)
    for one in (cut, branch, loaded):
        one.run(200.0)
    want = seen(whole)
    counts = whole.turnover("p")
    assert len(want[0]) > 50 and counts.formed.sum() > 100 and counts.removed.sum() > 20
    assert seen(cut) == want and seen(branch) == want
    assert seen(loaded)[2:] == want[2:]
    assert seen(loaded)[0] == [t for t in want[0] if t > 200.0 + 1e-9]
    whole.reset()
    whole.run(400.0)
    assert seen(whole) == want
    other = Simulation(network, seed=2, threads=1)
    other.run(400.0)
    assert seen(other)[3] != want[3]


def test_rewiring_starts_from_nothing_and_fills_the_slots():
    """A projection without a synapse grows as many as there are slots, beyond the room that it began with."""
    rule = Rewiring(f_rew=1e5, s_max=25, interval=10.0, p_form=1.0, p_elim_pot=0.0, p_elim_dep=0.0, threshold=0.0,
                    initial_weight=0.1, initial_delay=1.5)
    network = Network(seed=1)
    sources = network.population(60, SpikeSourcePoisson(rate=25.0), "sources")
    targets = network.population(140, IF_curr_exp(), "targets")
    network.project(sources, targets, FromListConnector(np.empty((0, 2))), label="p", structure=rule)
    simulation = Simulation(network, threads=2)
    simulation.run(5.0)
    assert simulation.weights("p").values.size == 0
    simulation.run(995.0)
    weights = simulation.weights("p")
    assert (np.bincount(weights.post, minlength=140) == 25).all() and (weights.values == 0.1).all()
    assert simulation.turnover("p").present[-1] == 140 * 25


def test_rewiring_keeps_what_plasticity_strengthens():
    """Sources that make their targets fire keep their synapses; those that do not lose most of theirs."""
    rule = Rewiring(f_rew=3e4, s_max=40, interval=50.0, p_form=0.2, p_elim_dep=0.4, p_elim_pot=0.001, threshold=0.5,
                    initial_weight=0.4, initial_delay=1.0)
    mechanism = STDPMechanism(SpikePairRule(A_plus=0.03, A_minus=0.045), AdditiveWeightDependence(0.0, 1.0))
    network = Network(seed=1)
    pulse = network.population(1, SpikeSourceArray(spike_times=[np.arange(20.0, 4000.0, 50.0)]), "pulse")
    together = network.population(40, IF_curr_exp(tau_refrac=2.0), "together")
    alone = network.population(40, SpikeSourcePoisson(rate=20.0), "alone")
    targets = network.population(30, IF_curr_exp(tau_refrac=5.0), "targets")
    network.project(pulse, together, AllToAllConnector(), weight=40.0)
    for sources in (together, alone):
        network.project(sources, targets, FixedProbabilityConnector(0.5), weight=0.4, delay=1.0, label=sources.label,
                        synapse=mechanism, structure=rule)
    simulation = Simulation(network, threads=1)
    simulation.run(4000.0)
    kept = {label: simulation.weights(label) for label in ("together", "alone")}
    assert kept["together"].values.mean() > 0.7 > 0.5 > kept["alone"].values.mean()
    assert kept["together"].values.size > 1.5 * kept["alone"].values.size


def test_growth_brings_a_network_to_its_rate():
    """NEST's example in small: cells without a recurrent synapse grow them until they fire at 5 Hz."""
    rule = HomeostaticGrowth(pre=LinearGrowth(nu=0.02, eps=10.0), post=LinearGrowth(nu=0.004, eps=0.05), tau_Ca=1000.0,
                             beta_Ca=0.01, interval=50.0, initial_weight=0.3, initial_delay=1.0)
    network = Network(seed=1)
    sources = network.population(50, SpikeSourcePoisson(rate=100.0), "sources")
    targets = network.population(60, IF_curr_exp(tau_refrac=2.0), "targets")
    network.project(sources, targets, FromListConnector(np.empty((0, 2))), label="p", structure=rule)
    network.record(targets, "spikes")
    simulation = Simulation(network, dt=0.5, threads=1)
    assert simulation.run(300.0).spikes("targets").rates().mean() < 0.5
    simulation.run(14700.0)
    rates = simulation.run(10000.0).spikes("targets").rates()
    assert rates.mean() == pytest.approx(5.0, rel=0.1)  # eps = beta_Ca tau_Ca rate / 1000
    assert 3.0 < rates.min() and rates.max() < 7.0


def test_frozen_synapses_stay(tmp_path):
    rule = REWIRED[0][0]
    simulation = Simulation(a_network(rule), threads=1)
    before = simulation.weights("p")
    simulation.freeze("p")
    simulation.run(100.0)
    after = simulation.weights("p")
    assert np.array_equal(before.pre, after.pre) and np.array_equal(before.values, after.values)
    assert simulation.turnover("p").formed.sum() == 0
    simulation.thaw("p")
    simulation.run(20.0)
    assert simulation.turnover("p").formed.sum() > 0


def test_a_branch_goes_its_own_way():
    """What one of the two does to its synapses leaves the other alone."""
    rule = REWIRED[0][0]
    simulation, witness = (Simulation(a_network(rule, PLASTIC["pair"]), threads=1) for _ in range(2))
    for one in (simulation, witness):
        one.run(50.0)
    branch = simulation.branch()
    branch.set_weights("p", 1.0)
    branch.run(150.0)
    for one in (simulation, witness):
        one.run(150.0)
    assert np.array_equal(simulation.weights("p").values, witness.weights("p").values)
    assert np.array_equal(simulation.weights("p").pre, witness.weights("p").pre)
    assert not np.array_equal(branch.weights("p").pre, witness.weights("p").pre)
    assert np.array_equal(simulation.result.spikes("targets").times, witness.result.spikes("targets").times)


def test_what_a_projection_may_not_be_given():
    network = Network()
    cells = network.population(5, IF_curr_exp(), "cells")
    stdp = PLASTIC["pair"]
    for arguments, error, words in [
        ({"structure": 3}, NetworkError, r"structure must be a Rewiring\(\) or a HomeostaticGrowth\(\), got 3"),
        ({"structure": Rewiring(initial_weight=-1.0)}, ParameterError, r"must be zero or positive \(nA\), got -1"),
        ({"structure": Rewiring(initial_weight=3.0), "synapse": stdp}, ParameterError, "2 nA in magnitude, got 3"),
        ({"structure": Rewiring(sigma_form=2.0)}, NetworkError, "sigma_form needs positions of both populations"),
    ]:
        with pytest.raises(error, match=words):
            network.project(cells, cells, AllToAllConnector(), **arguments)
    made = network.project(cells, cells, AllToAllConnector(), label="p", structure=Rewiring(initial_delay=0.5))
    with pytest.raises(NetworkError, match="record_weights: the synapses of projection p come and go"):
        network.record_weights(made, 10.0)
    with pytest.raises(NetworkError, match=r"initial_delay must be >= dt \(1 ms\)"):
        Simulation(network, dt=1.0)
    network.project(cells, cells, AllToAllConnector(), label="q")
    with pytest.raises(NetworkError, match="turnover: projection q has no structure="):
        Simulation(network).turnover("q")


def test_a_state_that_does_not_fit_is_refused(tmp_path):
    """A file that was tampered with: synapses of cells, or of delays, that do not exist."""
    network = a_network(REWIRED[0][0])
    simulation = Simulation(network, threads=1)
    simulation.run(50.0)
    rewirer = simulation._processes[0]
    for column, value in (("post", 140), ("pre", -1), ("delay", 31)):
        kept = {**rewirer.saved(simulation)}
        kept[column] = kept[column].copy()
        kept[column][3] = np.array(value).astype(kept[column].dtype)
        with pytest.raises(FileFormatError, match="saved state: the synapses of p do not fit this network"):
            rewirer.restore(simulation, kept)
    kept = {**rewirer.saved(simulation), "spikes_pre": np.zeros(3)}
    with pytest.raises(FileFormatError, match=r"spike counts have shape \(3,\), not \(60,\)"):
        rewirer.restore(simulation, kept)
