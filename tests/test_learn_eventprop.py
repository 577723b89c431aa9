"""EventProp: spikes are those of the equations, gradients those of finite differences, grids those of the engine."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import assume, given, settings, strategies

from neurosim import Simulation
from neurosim.errors import NetworkError, ParameterError
from neurosim.kernels import eventprop as kernel
from neurosim.learn import Sequential, to_network
from neurosim.learn.eventprop import EventLI, EventLIF
from neurosim.learn.events import excess_spikes, first_spike_scores, spike_times, spikes_at

STEPS = 80.0


def inputs(seed, cells=4, batch=2, spikes=3):
    """Spike times (spikes, batch, cells), not in order."""
    return torch.rand(spikes, batch, cells, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 40.0


def layer(seed, recurrent=False, n_in=4, n=5, weight=(2.5, 1.5), **more):
    """A layer that spikes several times."""
    loops = {"recurrent": True, "recurrent_weight": (0.0, 0.7), "recurrent_delays": (1.0, 9.0)} if recurrent else {}
    return EventLIF(n_in, n, **{"steps": STEPS, "weight": weight, "delays": (0.0, 10.0), **loops, **more},
                    generator=torch.Generator().manual_seed(seed))


def response(s, tau_m, tau_s):
    """V at s after a unit of current at 0, as a textbook writes it."""
    return np.where(s > 0, tau_s / (tau_m - tau_s) * (np.exp(-s / tau_m) - np.exp(-s / tau_s)), 0.0)


# ------------------------------------------------------------------------------------------- forward


@pytest.mark.parametrize("tau_m", [20.0, 10.0, 3.0])
@pytest.mark.parametrize("recurrent", [False, True])
def test_potentials_as_sums_of_responses_reach_the_threshold_at_the_spikes_and_nowhere_else(tau_m, recurrent):
    x, one = inputs(1), layer(2, recurrent, tau_m=tau_m, weight=(2.5 + 20.0 / tau_m, 2.0))
    times = one(x)[0].detach().numpy()
    assert np.isfinite(times).sum() > 30
    for b in range(x.shape[1]):
        for j in range(one.n):
            arrivals = [(t + one.delay[j, i].item(), one.weight[j, i].item()) for i in range(4) for t in x[:, b, i].tolist()]
            if recurrent:
                arrivals += [(t + one.recurrent_delay[j, i].item(), one.recurrent_weight[j, i].item())
                             for i in range(one.n) for t in times[:, b, i]]
            own = times[np.isfinite(times[:, b, j]), b, j]

            def v(t):
                return (sum(w * response(t - at, tau_m, 5.0) for at, w in arrivals if np.isfinite(at))
                        - sum(np.where(t > at, np.exp(-(t - at) / tau_m), 0.0) for at in own))
            assert v(own) == pytest.approx(np.ones(own.size), abs=1e-10)
            dense = np.linspace(0.0, STEPS, 20001)
            assert v(dense).max() < 1.0 + 1e-9


def test_the_first_spike_is_that_of_the_closed_form_where_tau_m_is_twice_tau_syn():
    weights = torch.tensor([[4.5], [6.0], [40.0], [3.9]], dtype=torch.float64)
    times = EventLIF(1, 4, steps=STEPS, tau_m=20.0, tau_syn=10.0, weight=weights, delays=3.0)(torch.zeros(1, 1, 1))[0][0, 0]
    x = (1.0 + np.sqrt(1.0 - 4.0 / weights[:3, 0].numpy())) / 2.0
    assert times[:3].detach().numpy() == pytest.approx(3.0 - 20.0 * np.log(x), abs=1e-12)
    assert torch.isinf(times[3])


@pytest.mark.parametrize("difference", [0.0, 1e-12, 1e-6, 1e-3])
def test_equal_time_constants_are_no_special_case(difference):
    x = inputs(3)
    near = layer(4, tau_m=5.0 + difference, weight=(3.0, 1.0))(x)[0]
    equal = layer(4, tau_m=5.0, weight=(3.0, 1.0))(x)[0]
    assert torch.isfinite(equal).sum() > 10
    found = torch.isfinite(equal)
    assert (near[found] - equal[found]).abs().max() < 200.0 * difference + 1e-12


def test_newton_from_the_left_finds_roots_however_near_the_crest():
    rng, found = np.random.default_rng(1), 0
    for _ in range(2000):
        tau_m, tau_s, v = rng.uniform(1, 30), rng.uniform(1, 30), rng.uniform(-3, 0.999)
        i = 1.0 + rng.exponential(3.0)
        top = kernel.crest(v, i, tau_m, tau_s)
        highest = kernel.potential(v, i, top, tau_m, tau_s) if np.isfinite(top) else 0.0
        theta = 1.0 if rng.random() < 0.5 or highest < 1.0 else highest * (1 - 10.0 ** rng.uniform(-14, -1))
        s = kernel.crossing(v, i, np.inf, tau_m, tau_s, theta)
        assert np.isfinite(s) == (highest >= theta)
        if np.isfinite(s):
            found += 1
            assert 0 < s <= top and kernel.potential(v, i, s, tau_m, tau_s) == pytest.approx(theta, rel=1e-13)
    assert found > 500


def test_a_cell_that_may_spike_once_spikes_as_before_once():
    x, many, one = inputs(5), layer(6), layer(6, max_spikes=1)
    assert many(x)[0].shape[0] > 1
    assert torch.equal(one(x)[0][0], many(x)[0][0]) and one(x)[0].shape[0] == 1


# ------------------------------------------------------------------------------------------- gradients


def slope(loss, leaves, direction, h=2e-5):
    """The derivative along a direction, by central differences of two widths (Richardson)."""
    start = [leaf.detach().clone() for leaf in leaves]

    def at(shift):
        with torch.no_grad():
            for leaf, begin, way in zip(leaves, start, direction, strict=True):
                leaf.copy_(begin + shift * way)
            return float(loss())
    wide, narrow = ((at(k * h) - at(-k * h)) / (2 * k * h) for k in (2, 1))
    at(0.0)
    return (4 * narrow - wide) / 3


def losses(one, out, x, which):
    """A loss of the layer's spikes."""
    times = one(x)[0]
    if which == "first spikes":
        return torch.nn.functional.cross_entropy(first_spike_scores(STEPS, 4.0)(times), torch.tensor([0, 1]))
    if which == "all spikes":
        return torch.where(torch.isfinite(times), times, 0.0).square().mean()
    if which == "counts":
        return excess_spikes(times, 2.0, STEPS)
    y = out(times)[0]
    return (y * torch.sin(torch.arange(y.numel(), dtype=torch.float64)).view_as(y)).sum()


LOSSES = ("first spikes", "all spikes", "counts", "max", "mean", "trace")


@pytest.mark.parametrize("which", LOSSES)
@pytest.mark.parametrize("recurrent", [False, True])
def test_every_gradient_is_that_of_finite_differences(recurrent, which):
    x, one = inputs(7).requires_grad_(), layer(8, recurrent)
    out = EventLI(5, 3, steps=STEPS, weight=(0.0, 1.0), delays=(0.0, 10.0), readout=which if which in ("max", "mean", "trace") else "max",
                  generator=torch.Generator().manual_seed(9))
    assert torch.isfinite(one(x)[0]).sum(0).max() >= 3

    def loss():
        return losses(one, out, x, which)
    loss().backward()
    named = [("x", x), *one.named_parameters(), *(out.named_parameters() if which in ("max", "mean", "trace") else ())]
    assert len(named) >= (5 if recurrent else 3)
    for name, leaf in named:
        want, got = np.zeros(leaf.numel()), leaf.grad.numpy().ravel()
        for k in range(leaf.numel()):
            unit = torch.zeros(leaf.numel(), dtype=torch.float64)
            unit[k] = 1.0
            want[k] = slope(loss, [leaf], [unit.view_as(leaf)])
        assert np.abs(want).max() > 0, name
        assert np.abs(got - want).max() < 1e-6 * np.abs(want).max(), name


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=strategies.integers(0, 10**6), recurrent=strategies.booleans(), which=strategies.sampled_from(LOSSES),
       tau_m=strategies.floats(4.0, 30.0), tau_syn=strategies.floats(2.0, 12.0))
def test_gradients_of_random_nets(seed, recurrent, which, tau_m, tau_syn):
    x, kinds = inputs(seed), {"tau_m": tau_m, "tau_syn": tau_syn}
    loops = {"recurrent": True, "recurrent_weight": (0.0, 0.4), "recurrent_delays": (1.0, 9.0)} if recurrent else {}
    one = EventLIF(4, 3, steps=STEPS, weight=(10.0 / tau_syn, 5.0 / tau_syn), delays=(1.0, 10.0), **kinds, **loops,
                   generator=torch.Generator().manual_seed(seed + 1))
    out = EventLI(3, 2, steps=STEPS, weight=(0.0, 1.0), delays=(1.0, 5.0), readout=which if which in ("max", "mean", "trace") else "max",
                  generator=torch.Generator().manual_seed(seed + 2), **kinds)
    first, others = one.both(x), []
    leaves = [*one.parameters(), *out.parameters()]
    draws = torch.Generator().manual_seed(seed + 3)
    way = [torch.randn(leaf.shape, generator=draws, dtype=torch.float64) for leaf in leaves]

    def loss():
        others.append(torch.isfinite(one(x)[0]).sum(0))
        return losses(one, out, x, which)
    loss().backward()
    assume(1 < int(others[0].max()) < 12)
    # Where V grazes the threshold, derivatives are as large as differences are bad.
    grad = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    assume(max(float(g.abs().max()) for g in grad) < 100.0)
    want = slope(loss, leaves, way, h=1e-5)
    assume(all(torch.equal(one, others[0]) for one in others))
    coarse = slope(loss, leaves, way, h=2e-5)
    got = sum(float((g * d).sum()) for g, d in zip(grad, way, strict=True))
    size = sum(float((g * d).abs().sum()) for g, d in zip(grad, way, strict=True))
    assume(abs(coarse - want) < 2e-7 * size)  # a maximum over time that changes place, a spike that nearly is none
    assert abs(got - want) < 1e-6 * size
    assert torch.equal(first[0], one(x)[0])


def test_silent_cells_learn_by_their_highest_potential():
    """Also where an inhibitory arrival ends the rise: then the maximum lies at that arrival."""
    x = torch.tensor([[[1.0, 5.0]], [[21.0, 31.0]]], dtype=torch.float64).requires_grad_()
    one = EventLIF(2, 2, steps=STEPS, weight=torch.tensor([[3.0, -9.0], [3.0, 0.5]], dtype=torch.float64), delays=(0.5, 1.5))
    times, peak = one.both(x)
    assert torch.isinf(times).all() and (0.1 < peak).all() and (peak < 1.0).all()
    (peak * torch.tensor([1.0, 2.0])).sum().backward()
    for leaf in (x, one.weight, one.delay):
        for k in range(leaf.numel()):
            unit = torch.zeros(leaf.numel(), dtype=torch.float64)
            unit[k] = 1.0
            want = slope(lambda: (one.both(x)[1] * torch.tensor([1.0, 2.0])).sum(), [leaf], [unit.view_as(leaf)])
            assert leaf.grad.view(-1)[k] == pytest.approx(want, abs=1e-7)
    woken = EventLIF(2, 2, steps=STEPS, weight=one.weight, delays=one.delay, wake=3.0)
    explicit = EventLIF(2, 2, steps=STEPS, weight=one.weight, delays=one.delay)
    first_spike_scores(STEPS, 1.0)(woken(x)[0]).sum().backward()
    (3.0 * (1.0 - explicit.both(x)[1]).mean()).backward()
    assert torch.equal(woken.weight.grad, explicit.weight.grad) and woken.weight.grad.abs().max() > 0


def test_threads_leave_no_trace():
    x, found = inputs(10, batch=11).requires_grad_(), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            one = layer(11, recurrent=True)
            times, peak = one.both(x)
            (torch.where(torch.isfinite(times), times, 0.0).sum() + peak.sum()).backward()
            found.append([times.detach(), peak.detach(), x.grad.clone(), *(p.grad for p in one.parameters())])
            x.grad = None
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True)) and len(found[0]) == 7


def test_a_bound_on_the_slope_bounds_gradients():
    weight = torch.tensor([[4.0 + 1e-9]], dtype=torch.float64)  # V grazes the threshold
    steep = []
    for least in (0.0, 0.1):
        one = EventLIF(1, 1, steps=STEPS, tau_m=20.0, tau_syn=10.0, weight=weight, least_slope=least)
        one(torch.zeros(1, 1, 1))[0].sum().backward()
        steep.append(abs(one.weight.grad.item()))
    assert steep[0] > 1e3 and steep[1] < 100.0


# ------------------------------------------------------------------------------------------- grid


def stack(steps, recurrent, tau_syn, seed):
    """Two layers and a readout on a grid."""
    draws = torch.Generator().manual_seed(seed)
    kinds = {"steps": steps, "tau_syn": tau_syn, "delays": (0.0, 15.0), "grid": True, "generator": draws}
    loops = {"recurrent": True, "recurrent_weight": (0.0, 0.5), "recurrent_delays": (1.0, 9.0)} if recurrent else {}
    return Sequential(EventLIF(10, 12, weight=(1.0, 1.0), **loops, **kinds), EventLIF(12, 8, weight=(1.0, 1.0), max_spikes=1, **kinds),
                      EventLI(8, 3, weight=(0.0, 1.0), readout="trace", **kinds))


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("tau_syn", [5.0, 20.0])
def test_on_a_grid_the_engine_gives_the_same_spikes(recurrent, tau_syn):
    net = stack(100, recurrent, tau_syn, 1)
    x = (torch.rand(100, 2, 10, generator=torch.Generator().manual_seed(2)) < 0.05).to(torch.float64)
    sent = net.activity(spike_times(x))
    deployed = to_network(net, dt=0.5, input_shape=(10,))
    for b in range(2):
        deployed.set_input(x[:, b].numpy())
        result = Simulation(deployed.network, dt=deployed.dt).run(deployed.duration(100))
        for name, least in (("0", 60), ("1", 4)):
            found = deployed.spikes(result, name, 100)
            assert found.sum() >= least
            assert (found == spikes_at(sent[name], 100)[:, b].numpy()).all()
        assert np.abs(deployed.output(result, 100) - sent["2"][:, b].detach().numpy()).max() < 1e-12


def test_a_finer_grid_comes_nearer_to_continuous_time():
    """A spike is found up to one step late; what that makes of later ones stays within a few."""
    x = (inputs(12) * 4).round() / 4
    exact = layer(13, delays=2.0)
    late = []
    for fine in (4, 16, 64):
        grid = layer(13, delays=2.0 * fine, steps=int(STEPS) * fine, tau_m=20.0 * fine, tau_syn=5.0 * fine, grid=True)
        first = grid(x * fine)[0][0] / fine - exact(x)[0][0]
        assert torch.isfinite(first).sum() >= 8
        first = first[torch.isfinite(first)]
        assert (first >= 0).all() and (first <= 1.0 / fine + 1e-9).all()
        times = (grid(x * fine)[0] / fine)[:3], exact(x)[0][:3]
        both = torch.isfinite(times[0]) & torch.isfinite(times[1])
        late.append((times[0] - times[1])[both].abs().max().item() * fine)
    assert max(late) < 10.0


def test_on_a_fine_grid_gradients_are_nearly_those_of_continuous_time():
    x, fine, grads = inputs(14).mul(2).round() / 2, 64, []
    for scale, grid in ((1, False), (fine, True)):
        one = layer(15, recurrent=True, delays=2.0 * scale, recurrent_delays=3.0 * scale, steps=int(STEPS) * scale, tau_m=20.0 * scale,
                    tau_syn=5.0 * scale, grid=grid)
        times = one(x * scale)[0][:2] / scale
        torch.where(torch.isfinite(times), times, 0.0).square().sum().backward()
        grads.append(torch.cat([p.grad.flatten() * (scale if "delay" in name else 1) for name, p in one.named_parameters()]))
    assert torch.nn.functional.cosine_similarity(*grads, dim=0) > 0.99


def test_delays_on_a_grid_count_rounded_and_learn_below_the_rounding():
    one = EventLIF(2, 1, steps=40, weight=6.0, delays=torch.tensor([[2.4, 3.6]]), grid=True, max_delay=10.0)
    assert one.used_delays().tolist() == [[2.0, 4.0]]
    x = torch.zeros(1, 1, 2, dtype=torch.float64)
    times = one(x)[0]
    assert times[0].item() == EventLIF(2, 1, steps=40, weight=6.0, delays=torch.tensor([[2.0, 4.0]]), grid=True)(x)[0][0].item()
    times[0].sum().backward()
    assert (one.delay.grad > 0).all()
    with torch.no_grad():
        one.delay += torch.tensor([[-9.0, 9.0]])
    one(x)
    assert one.delay.tolist() == [[0.0, 10.0]]  # what is out of range comes back


# ------------------------------------------------------------------------------------------- times, errors


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=strategies.integers(0, 10**6), rate=strategies.floats(0.0, 2.0))
def test_spikes_on_a_grid_and_times_say_the_same(seed, rate):
    spikes = torch.poisson(torch.full((12, 2, 3), rate), generator=torch.Generator().manual_seed(seed))
    times = spike_times(spikes)
    assert times.shape[0] == max(1, int(spikes.sum(0).max())) and times.dtype == torch.float64
    assert torch.equal(spikes_at(times, 12).to(spikes.dtype), spikes)
    assert torch.equal(times, torch.sort(times, 0)[0])
    assert torch.equal(spikes_at(times, 5).to(spikes.dtype), spikes[:5])


def test_times_between_steps_lie_at_the_next():
    times = torch.tensor([0.0, 0.2, 2.0, 3.5, math.inf])[:, None, None]
    assert spikes_at(times, 4)[:, 0, 0].tolist() == [1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: EventLIF(0, 1, steps=10), "EventLIF.n_in must be a whole number >= 1, got 0"),
    (lambda: EventLIF(1, 1, steps=0), "EventLIF.steps must be > 0 steps, got 0"),
    (lambda: EventLI(1, 1, steps=10, tau_m=-1.0), "EventLI.tau_m must be > 0 steps, got -1.0"),
    (lambda: EventLIF(1, 1, steps=10.5, grid=True), "EventLIF.steps must be a whole number on a grid"),
    (lambda: EventLIF(2, 1, steps=10, weight=torch.ones(2, 2)), r"EventLIF.weight must be a finite number or of shape \(1, 2\)"),
    (lambda: EventLIF(1, 1, steps=10, delays=-1.0), "EventLIF.delays must be between 0 and max_delay = inf steps"),
    (lambda: EventLIF(1, 1, steps=10, recurrent=True, recurrent_delays=0.5, grid=True), "EventLIF.recurrent_delays must be between 1"),
    (lambda: EventLIF(1, 1, steps=10, max_delay=3.0, delays=4.0), "between 0 and max_delay = 3 steps"),
    (lambda: EventLIF(1, 1, steps=10, max_spikes=0), "EventLIF.max_spikes must be a whole number >= 1 or None, got 0"),
    (lambda: EventLIF(1, 1, steps=10, v_thresh=0.0), "EventLIF.v_thresh must be > 0, got 0.0"),
    (lambda: EventLIF(1, 1, steps=10, wake=-1.0), "EventLIF.wake must be >= 0, got -1.0"),
    (lambda: EventLI(1, 1, steps=10, readout="last"), "EventLI.readout must be 'max', 'mean' or 'trace', got 'last'"),
    (lambda: EventLIF(1, 1, steps=10)(torch.zeros(3, 1, 2)), r"EventLIF takes spike times of shape \(K, B, 1\), got \(3, 1, 2\)"),
    (lambda: EventLIF(1, 1, steps=10)(-torch.ones(3, 1, 1)), "EventLIF: spike times must be >= 0, or inf for none"),
    (lambda: EventLIF(1, 1, steps=10, grid=True)(torch.full((1, 1, 1), 0.5)), "on a grid spike times must be whole steps"),
    (lambda: EventLIF(1, 1, steps=10)(torch.zeros(1, 1, 1), {}), "EventLIF takes whole sequences"),
    (lambda: spike_times(torch.full((2, 1, 1), 0.5)), "spike_times: spikes must be whole numbers >= 0"),
    (lambda: first_spike_scores(0.0, 1.0), "first_spike_scores: steps and tau must be > 0 steps"),
])
def test_bad_input_is_told(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: EventLIF(1, 1, steps=10), "make the layer with grid=True"),
    (lambda: EventLIF(1, 1, steps=10, grid=True, max_spikes=2), "no cell of a network falls silent after 2 spikes"),
])
def test_what_no_network_can_be_is_told(make, message):
    with pytest.raises(NetworkError, match=message):
        to_network(Sequential(make()), dt=1.0, input_shape=(1,))


# ------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("grid", [False, True])
def test_sequences_are_told_apart_within_six_passes_from_the_worst_delays(grid):
    from neurosim.benchmarks import sequence_detection as task

    net = task.readout(task.STARTS["worst"], grid)
    assert not task.right(net, task.sequences())
    taken, at_the_end = task.passes(net)
    assert taken <= 6 and at_the_end
    assert task.in_the_engine(net[0].delay.detach()) == 1.0


def test_silent_and_noisy_cells_learn_to_spike_twice():
    x = inputs(16, batch=3)
    for start, wanted in (((0.2, 0.1), 1), ((6.0, 1.0), 4)):
        one = layer(17, weight=start, wake=1.0)
        optimiser = torch.optim.Adam([one.weight], lr=0.1)
        before = torch.isfinite(one(x)[0]).sum(0).double()
        for _ in range(60):
            optimiser.zero_grad()
            excess_spikes(one(x)[0], 4.0, STEPS).backward()
            optimiser.step()
        after = torch.isfinite(one(x)[0]).sum(0).double()
        if wanted == 1:
            assert before.max() == 0 and after.min() >= 1
        else:
            assert before.mean() > 8 and after.mean() < 6


def test_the_yin_yang_networks_learn_and_run_in_the_engine():
    from neurosim.benchmarks import eventprop_grid, yin_yang

    row = yin_yang.trained(10, "learnt", 1, 6, (600, 90, 90))
    assert row["parameters"] == 160 and row["validation"] > 0.5  # a third would be chance
    split = yin_yang.yin_yang((90, 30, 30), 1)
    exact = yin_yang.network(10, "random", 1)
    grid = eventprop_grid.on_a_grid(exact, 2)
    assert 0.0 < eventprop_grid.lateness(grid, exact, split, 2) < 1.0
    assert eventprop_grid.differing(grid, split, 2) == 0
