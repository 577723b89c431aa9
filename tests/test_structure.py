"""Synapses that come and go: invariants, plain references, growth curves, and running networks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.connectors import Context
from neurosim.errors import NetworkError, ParameterError
from neurosim.parameters import Uniform, stream_key
from neurosim.structure import (
    Activity,
    Change,
    Edges,
    GaussianGrowth,
    HomeostaticGrowth,
    LinearGrowth,
    Rewiring,
    own_sources,
)

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
    edges, activity = some_edges(rng, context.n_pre, context.n_post, multiple=rule.allow_multiple), an_activity(rng, context)
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
        for cell, count in enumerate(getattr(activity, side)):
            steps = 4000
            h = rule.interval / steps
            for _ in range(steps):
                middle = calcium[cell] * math.exp(-0.5 * h / rule.tau_Ca)
                middle += 0.5 * rule.beta_Ca * count / steps
                z[cell] += h * getattr(rule, side).rate(np.array([middle]))[0]
                calcium[cell] = calcium[cell] * math.exp(-h / rule.tau_Ca) + rule.beta_Ca * count / steps
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
        allow_self_connections=itself)
    edges = some_edges(rng, context.n_pre, context.n_post, multiple=multiple)
    state = rule.initial_state(edges, context)
    np.testing.assert_array_equal(state["z_post"], in_degrees(edges, context) + 0.5)
    activity = an_activity(rng, context)
    change, after = rule.step(5, number, edges, activity, state, context, DT)
    joined = assert_sound(rule, edges, change, context)
    want, keep, elements = plain_growth(rule, 5, number, edges, activity, state, context)
    for name, values in want.items():
        np.testing.assert_allclose(after[name], values, rtol=2e-3, atol=2e-3)
    if all(np.abs(values - np.rint(values)).min() > 3e-3 for name, values in after.items() if name[0] == "z"):
        assert change.keep.tolist() == keep
    most = {side: np.floor(after[f"z_{side}"]) for side in ("pre", "post")}
    out, into = np.bincount(joined.pre, minlength=context.n_pre), in_degrees(joined, context)
    assert (out <= most["pre"]).all() and (into <= most["post"]).all()
    free = [np.sum(most["pre"] - np.bincount(edges.pre[change.keep], minlength=context.n_pre)),
            np.sum(most["post"] - np.bincount(edges.post[change.keep], minlength=context.n_post))]
    if multiple and (itself or kind == "apart"):
        assert change.new.pre.size == min(free)  # nothing forbids a pair, so the smaller side is used up
    assert change.new.pre.size <= min(free)


def test_growth_takes_cells_to_their_calcium(rng):
    """Targets whose rate is their number of synapses settle where the curve is zero; the sources have elements to spare."""
    n = 20
    context = Context(40, n)
    rule = HomeostaticGrowth(
        pre=LinearGrowth(nu=2e-3, eps=10.0), post=GaussianGrowth(nu=1e-3, eta=0.0, eps=0.05), tau_Ca=5000.0,
        beta_Ca=1e-3, initial_Ca=0.0, interval=500.0)
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
    (lambda: Rewiring(initial_delay=Uniform(-1.0, 2.0)), "Rewiring.initial_delay must be > 0 ms, but .* reaches from -1"),
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
