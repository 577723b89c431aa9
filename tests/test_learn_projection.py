"""Orthogonal projection: against loops written out, against principal components, and task after task."""

import copy
import itertools
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch, which is not installed")

from torch import nn  # noqa: E402

from neurosim.errors import NetworkError, ParameterError  # noqa: E402
from neurosim.learn import LIF, OrthogonalProjection, Sequential  # noqa: E402
from neurosim.learn.credit import route_errors  # noqa: E402
from neurosim.subspace import oja_step, projected  # noqa: E402

LAYERS = {
    "linear": (lambda: nn.Linear(12, 7), (12,)),
    "conv": (lambda: nn.Conv2d(2, 5, 3, padding=1), (2, 6, 5)),
    "stride": (lambda: nn.Conv2d(2, 4, (3, 2), stride=(2, 1), dilation=(1, 2), padding=(0, 2), padding_mode="circular"), (2, 7, 6)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, padding="same", bias=False), (4, 5, 5)),
    "line": (lambda: nn.Conv1d(3, 4, 4, stride=2, padding=3, padding_mode="replicate"), (3, 9)),
    "line groups": (lambda: nn.Conv1d(4, 8, 5, groups=4, dilation=2), (4, 12)),
}


def draws(seed):
    return torch.Generator().manual_seed(seed)


def made(kind, seed=1):
    """A layer in double precision with weights of the seed, and the shape of its input."""
    layer, shape = LAYERS[kind][0]().double(), LAYERS[kind][1]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws(seed), dtype=torch.float64))
    return layer, shape


def pairs(layer, x, delta):
    """(group, presynaptic signal, error at the group's outputs) for each product of the layer, one after another."""
    x, delta = x.detach().numpy(), delta.detach().numpy()
    if isinstance(layer, nn.Linear):
        for a, b in zip(x.reshape(-1, x.shape[-1]), delta.reshape(-1, delta.shape[-1]), strict=True):
            yield 0, a, b
        return
    places = len(layer.kernel_size)
    if layer.padding == "same":
        pad = [(d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) for k, d in zip(layer.kernel_size, layer.dilation)]
    else:
        pad = [(p, p) for p in layer.padding]
    mode = {"zeros": "constant", "circular": "wrap", "replicate": "edge"}[layer.padding_mode]
    x = np.pad(x, [(0, 0), (0, 0), *pad], mode=mode)
    channels, outputs = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    for sample, group in itertools.product(range(len(x)), range(layer.groups)):
        for at in itertools.product(*(range(size) for size in delta.shape[2:])):
            window = tuple(slice(p * s, p * s + d * (k - 1) + 1, d)
                           for p, s, d, k in zip(at, layer.stride, layer.dilation, layer.kernel_size))
            patch = x[(sample, slice(group * channels, (group + 1) * channels), *window)]
            yield group, patch.reshape(-1), delta[(sample, slice(group * outputs, (group + 1) * outputs), *at)]
    assert places == x.ndim - 2


def written_out(layer, rows, x, delta, levels=None):
    """dW = sum of delta x_perp^T, product by product."""
    total = np.zeros((getattr(layer, "groups", 1), *layer.weight.shape[:1], layer.weight[0].numel()))[:, :, :]
    per = layer.weight.shape[0] // total.shape[0]
    total = total[:, :per]
    for group, signal, error in pairs(layer, x, delta):
        h = rows[group].numpy()
        y = h @ signal
        if levels is not None:
            y = np.round(np.clip(y, -20.0, 20.0) / 20.0 * levels) / levels * 20.0
        total[group] += np.outer(error, signal - h.T @ y)
    return total.reshape(layer.weight.shape)


def with_one_task(kind, k=3, **options):
    """A layer that has learned one task, and the projection on it."""
    layer, shape = made(kind)
    net = nn.Sequential(layer)
    projection = OrthogonalProjection(net, k, **options)
    for seed in range(10):
        net(torch.randn(8, *shape, generator=draws(seed), dtype=torch.float64))
    projection.end_task(1)
    return net, projection, shape


@pytest.mark.parametrize("levels", [None, 40])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_projected_gradient_is_delta_times_x_perp(kind, levels):
    net, projection, shape = with_one_task(kind, levels=levels)
    layer = net[0]
    rows = projection.rows("0")[:, :3]
    x = torch.randn(4, *shape, generator=draws(20), dtype=torch.float64)
    y = net(x)
    factor = torch.randn(y.shape, generator=draws(21), dtype=torch.float64)
    error = {}
    y.register_hook(lambda delta: error.__setitem__("delta", delta))
    (factor * torch.tanh(y)).sum().backward()
    want = written_out(layer, rows, x, error["delta"], levels)
    np.testing.assert_allclose(layer.weight.grad.numpy(), want, rtol=1e-12, atol=1e-12 * np.abs(want).max())
    whole = written_out(layer, 0.0 * rows, x, error["delta"])
    assert np.abs(whole - want).max() > 1e-2
    # What a learner that forms the products itself would use.
    for group, (perp, part) in enumerate(zip(projection.perpendicular("0", x), projection.signals(x)["0"])):
        np.testing.assert_allclose(perp, projected(rows[group], part, levels), rtol=1e-12, atol=1e-13)
    # A second backward pass adds to the first.
    (factor * torch.tanh(net(x))).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), 2.0 * want, rtol=1e-11, atol=1e-11 * np.abs(want).max())


@pytest.mark.parametrize("kind", ["linear", "groups", "line"])
def test_rows_learn_by_the_plain_rule(kind):
    """All signals of each batch, by Oja's subspace rule on all rows at once, old ones held."""
    layer, shape = made(kind)
    net = nn.Sequential(layer)
    projection = OrthogonalProjection(net, 3, gain=2.0, settle=7.0, iterations=2, samples=None, levels=40)
    for task in range(2):
        rows = projection.rows("0").clone()
        moving, old, size = torch.zeros_like(rows), 3 * task, [0.0] * len(rows)
        batches = [3.0 * torch.randn(5, *shape, generator=draws(10 * task + k), dtype=torch.float64) for k in range(4)]
        for count, x in enumerate(batches):
            for group, signals in enumerate(projection.signals(x)["0"]):
                length = float((projected(rows[group, :old], signals, 40)**2).sum(1).mean())
                size[group] = length if count == 0 else 0.9 * size[group] + 0.1 * length
                for k in range(2):
                    rate = 2.0 / size[group] / (1.0 + (2 * count + k) / 7.0)
                    rows[group], moving[group] = oja_step(rows[group], moving[group], signals, old, rate, 0.9, 40)
            net(x)
        np.testing.assert_allclose(projection.rows("0"), rows, rtol=1e-9, atol=1e-12)
        projection.end_task(2)


def spectrum(shape, samples, seed, ratio=0.6):
    """Signals whose second moments have the eigenvalues 1, ratio, ratio**2 ... along random axes."""
    n = int(np.prod(shape))
    axes = torch.linalg.qr(torch.randn(n, n, generator=draws(seed), dtype=torch.float64))[0]
    size = ratio ** (0.5 * torch.arange(n, dtype=torch.float64))
    return ((torch.randn(samples, n, generator=draws(seed + 1), dtype=torch.float64) * size) @ axes.T).unflatten(1, shape)


def best_energy(signals, k, fixed):
    """The largest share of squared length that k rows orthogonal to the fixed ones add to theirs."""
    moments = (signals.T @ signals).numpy()
    away = np.eye(len(moments)) - fixed.T.numpy() @ np.linalg.pinv(fixed.T.numpy())
    left = away @ moments @ away
    return 1.0 - (np.trace(left) - np.linalg.eigvalsh(left)[-k:].sum()) / np.trace(moments)


@pytest.mark.parametrize(("kind", "levels", "dtype"), [
    ("linear", None, torch.float64), ("linear", 400, torch.float64), ("linear", None, torch.float32), ("groups", None, torch.float64),
    ("line", None, torch.float64)])
def test_rows_hold_what_principal_components_hold_and_are_orthonormal(kind, levels, dtype):
    layer, shape = made(kind)
    net = nn.Sequential(layer).to(dtype)
    projection = OrthogonalProjection(net, 3, levels=levels, gain=2.0, settle=100.0)
    old = 0
    for task in range(2):
        # Larger signals than 1, so that the steps of spiking lateral neurons are small beside them.
        x = (5.0 * spectrum(shape, 4000, 10 * task + 5)).to(dtype)
        for batch in x.split(16):
            net(batch)
        for group, signals in enumerate(projection.signals(x)["0"].double()):
            rows = projection.rows("0")[group].double()
            reached = 1.0 - float((projected(rows, signals)**2).sum() / (signals**2).sum())
            best = best_energy(signals, 3 if task == 0 else 2, rows[:old])
            assert 0.985 * best < reached < best + 0.01
            assert float((rows @ rows.T - torch.eye(len(rows))).abs().max()) < 0.03
        assert projection.energy("0", projection.signals(x)["0"]) == pytest.approx(reached, abs=0.1)
        projection.end_task(2)
        old += 3


def test_rows_may_be_made_exactly_orthonormal():
    _, projection, _ = with_one_task("groups", orthonormal=True)
    rows = projection.rows("0")[:, :3]
    assert float((rows @ rows.mT - torch.eye(3)).abs().max()) < 1e-14


@pytest.mark.parametrize("optimiser", [
    lambda p: torch.optim.SGD(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    lambda p: torch.optim.AdamW(p, lr=0.01)], ids=["plain", "momentum", "adam"])
@pytest.mark.parametrize("kind", ["linear", "groups"])
def test_answers_to_old_signals_stay(kind, optimiser):
    """Signals within the old rows are answered as before, whatever the optimiser adds; others are not."""
    layer, shape = made(kind)
    net = nn.Sequential(layer)
    projection = OrthogonalProjection(net, 3, orthonormal=True)
    steps = optimiser(net.parameters())
    projection.attach(steps)
    def learn(seed):
        x = torch.randn(8, *shape, generator=draws(seed), dtype=torch.float64)
        steps.zero_grad()
        (net(x) ** 2).mean().backward()
        steps.step()
    for seed in range(3):
        learn(seed)
    projection.end_task(2)
    weight = layer.weight.detach().clone()
    for seed in range(10, 15):
        learn(seed)
    change = (layer.weight.detach() - weight).view(len(projection.rows("0")), -1, layer.weight[0].numel())
    rows = projection.rows("0")[:, :3]
    assert float((change @ rows.mT).abs().max()) < 1e-12
    assert float(change.abs().max()) > 1e-3
    projection.remove()
    learn(20)
    change = (layer.weight.detach() - weight).view_as(change)
    assert float((change @ rows.mT).abs().max()) > 1e-3


# ------------------------------------------------------------------------------------------------ learners


def spiking(seed=1):
    """Ten inputs, eight spiking cells, three readouts; double precision."""
    torch.manual_seed(seed)
    net = Sequential(nn.Linear(10, 8, bias=False), LIF(tau_m=3.0, reset="subtract", decay="euler", surrogate="sigmoid"),
                     nn.Linear(8, 3, bias=False)).double()
    with torch.no_grad():
        net[0].weight.mul_(4.0)
    return net


def spikes(seed, steps=6, batch=5):
    return (torch.rand(steps, batch, 10, generator=draws(seed)) < 0.4).double()


def by_hand(net, x, target, route, back=None, trace=None):
    """Three-factor learning written out: error of each step, sent back by B, times the slope, times a presynaptic trace."""
    first, cells, last = net
    v, traces = torch.zeros(x.shape[1], 8, dtype=torch.float64), [torch.zeros(x.shape[1], n, dtype=torch.float64) for n in (10, 8)]
    for s in x:
        current = s @ first.weight.detach().T
        u = ((1.0 - 1.0 / 3.0) * v + current - 1.0).requires_grad_()
        spike = cells.surrogate.spike(u)
        slope, = torch.autograd.grad(spike.sum(), u)
        spike = spike.detach()
        v = u.detach() + 1.0 - spike
        traces = [(1.0 - 1.0 / trace) * kept + sent for kept, sent in zip(traces, (s, spike))]
        error = (torch.softmax(spike @ last.weight.detach().T, 1) - nn.functional.one_hot(target, 3)) / len(x) / len(target)
        feedback = {"bp": last.weight.detach(), "sign": last.weight.detach().sign() / 8**0.5, "alignment": back}[route]
        yield traces, ((error @ feedback) * slope, error)


@pytest.mark.parametrize("route", ["bp", "alignment", "sign"])
def test_online_learning_with_traces_by_three_routes(route):
    """A stepwise learner that calls its layers, hands its traces in and lets torch send errors back; against loops."""
    net, target = spiking(), torch.tensor([0, 2, 1, 1, 0])
    reference = copy.deepcopy(net)
    routed = None if route == "bp" else route_errors(net, route, ("2",), seed=4)
    back = routed.feedback["2"]() if routed else None
    projection = OrthogonalProjection(net, 3, samples=None)
    steps = torch.optim.SGD(net.parameters(), lr=0.1)
    projection.attach(steps)
    watched = OrthogonalProjection(reference, 3, samples=None)
    for seed in range(6):
        if seed == 3:
            projection.end_task(2)
            watched.end_task(2)
        x = spikes(seed)
        steps.zero_grad()
        want = [torch.zeros_like(layer.weight) for layer in (reference[0], reference[2])]
        for traces, deltas in by_hand(reference, x, target, route, back, trace=3.0):
            for k, (name, trace, delta) in enumerate(zip("02", traces, deltas)):
                watched.observe(reference[int(name)], trace)
                want[k] += delta.T @ watched.perpendicular(name, trace)[0]
        first, last = net[0], net[2]
        v, kept = torch.zeros(5, 8, dtype=torch.float64), [torch.zeros(5, n, dtype=torch.float64) for n in (10, 8)]
        for s in x:
            kept[0] = (1.0 - 1.0 / 3.0) * kept[0] + s
            projection.observe(first, kept[0])
            current = first(s)
            u = (1.0 - 1.0 / 3.0) * v + current - 1.0
            sent = net[1].surrogate.spike(u)
            v = (u + 1.0 - sent).detach()
            kept[1] = (1.0 - 1.0 / 3.0) * kept[1] + sent.detach()
            projection.observe(last, kept[1])
            scores = last(sent)
            loss = nn.functional.cross_entropy(scores, target) / len(x)
            error, delta = torch.autograd.grad(loss, [scores, current])
            for layer, factor, trace in ((first, delta, kept[0]), (last, error, kept[1])):
                layer.weight.grad = (0.0 if layer.weight.grad is None else layer.weight.grad) + factor.T @ trace
        steps.step()
        for k, layer in enumerate((first, last)):
            np.testing.assert_allclose(layer.weight.grad, want[k], rtol=1e-9, atol=1e-13)
            with torch.no_grad():
                (reference[0], reference[2])[k].weight.sub_(0.1 * want[k])
        for name in "02":
            np.testing.assert_allclose(projection.rows(name), watched.rows(name), rtol=1e-12, atol=1e-12)
    assert float((projection.rows("2")[0] - projection.rows("2")[0][0]).abs().max()) > 0.1


@pytest.mark.parametrize("learner", ["OTTT", "EProp"])
def test_online_learners_are_projected(learner):
    """Those of neurosim.learn.online: rows learn what `observe` is told, gradients are those of the learner without their part along H."""
    from neurosim.learn import LI, online
    def network():
        return Sequential(*spiking(), LI(tau_m=3.0)).double()
    target = torch.tensor([0, 2, 1, 1, 0])
    told = []
    net, free = network(), network()
    projection = OrthogonalProjection(net, 3, samples=None)
    steps = torch.optim.SGD(net.parameters(), lr=0.1)
    projection.attach(steps)
    learned = getattr(online, learner)(net, steps, observe=projection.observe)
    plain = getattr(online, learner)(free, None, observe=lambda layer, trace: told.append((layer, trace)))
    rows = OrthogonalProjection(network(), 3, samples=None)
    for seed in range(4):
        if seed == 2:
            projection.end_task(1)
            rows.end_task(1)
        free.load_state_dict(net.state_dict())
        before = net[2].weight.detach().clone(), net[0].weight.detach().clone()
        free.zero_grad(set_to_none=True)
        loss = plain.step(spikes(seed), target)
        assert learned.step(spikes(seed), target) == pytest.approx(loss, rel=1e-12)
        for layer, trace in told:
            rows.observe(rows.model[0 if layer is free[0] else 2], trace)
        told.clear()
        for name, was in zip("20", before):
            h, g = rows.rows(name)[0, :3 if seed > 1 else 0], free[int(name)].weight.grad
            np.testing.assert_allclose(projection.rows(name), rows.rows(name), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(net[int(name)].weight.detach(), was - 0.1 * (g - g @ h.T @ h), rtol=1e-9, atol=1e-13)


def test_back_propagation_through_time_learns_from_every_step():
    net = spiking()
    projection = OrthogonalProjection(net, 3, samples=None)
    x, target = spikes(1), torch.tensor([0, 2, 1, 1, 0])
    sent = net.activity(x)["1"].detach()
    nn.functional.cross_entropy(net(x)[0].mean(0), target).backward()
    apart = OrthogonalProjection(spiking(), 3, samples=None)
    apart.observe(apart.model[0], x)
    apart.observe(apart.model[2], sent)
    for name in "02":  # `activity` was a pass as well
        twice = OrthogonalProjection(spiking(), 3, samples=None)
        for _ in range(2):
            twice.observe(twice.model[int(name)], x if name == "0" else sent)
        np.testing.assert_allclose(projection.rows(name), twice.rows(name), rtol=1e-12, atol=1e-13)
        assert float((apart.rows(name) - twice.rows(name)).abs().max()) > 1e-6
    projection.end_task(1)
    net.zero_grad()
    nn.functional.cross_entropy(net(x)[0].mean(0), target).backward()
    got = net[0].weight.grad.clone()
    projection.remove()
    net.zero_grad()
    nn.functional.cross_entropy(net(x)[0].mean(0), target).backward()
    h = projection.rows("0")[0, :3]
    np.testing.assert_allclose(got, net[0].weight.grad - net[0].weight.grad @ h.T @ h, rtol=1e-12, atol=1e-15)
    assert float((got - net[0].weight.grad).abs().max()) > 1e-4


@pytest.mark.parametrize("kind", ["linear", "groups", "line"])
@pytest.mark.parametrize("route", ["alignment", "sign"])
def test_errors_go_back_through_other_weights(kind, route):
    """The layer's own gradient is as ever; the one of what lies before it is that with B in place of W."""
    if kind == "line":
        layer, shape = nn.Conv1d(3, 4, 4, stride=2, padding=3).double(), (3, 9)
    elif kind == "groups":
        layer, shape = nn.Conv2d(4, 6, 3, groups=2, padding=1, bias=False).double(), (4, 5, 5)
    else:
        layer, shape = made(kind)
    net = nn.Sequential(nn.Tanh(), layer)
    routed = route_errors(net, route, seed=3)
    back = routed.feedback["1"]()
    if route == "sign":
        np.testing.assert_allclose(back, layer.weight.detach().sign() / layer.weight[0].numel()**0.5, rtol=1e-15)
    else:
        assert (back == route_errors(copy.deepcopy(net), route, seed=3).feedback["1"]()).all()
        assert float(back.abs().max()) <= layer.weight[0].numel()**-0.5
    x = torch.randn(3, *shape, generator=draws(1), dtype=torch.float64, requires_grad=True)
    y = net(x)
    (y**2).sum().backward()
    got, own = x.grad.clone(), layer.weight.grad.clone()
    routed.remove()
    x.grad = layer.weight.grad = None
    delta = 2.0 * net(x).detach()
    (net(x) * delta).sum().backward()
    np.testing.assert_allclose(own, layer.weight.grad, rtol=1e-12)
    right = x.grad.clone()
    x.grad = None
    with torch.no_grad():
        layer.weight.copy_(back)
    (net(x) * delta).sum().backward()
    np.testing.assert_allclose(got, x.grad, rtol=1e-12, atol=1e-14)
    assert float((got - right).abs().max()) > 1e-3


# ------------------------------------------------------------------------------------------------ what else it does


def test_rates_are_means_over_the_sequence():
    net, x = spiking(), spikes(3)
    plain = OrthogonalProjection(net, 2, signal="rate").signals(x)
    sent = net.activity(x)["1"].detach()
    np.testing.assert_allclose(plain["0"][0], x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(plain["2"][0], sent.mean(0), rtol=1e-12)
    late = OrthogonalProjection(net, 2, signal="rate", tau=2.0).signals(x)["2"][0]
    weights = np.exp(-(5.0 - np.arange(6)) / 2.0)
    np.testing.assert_allclose(late, np.tensordot(weights / weights.sum(), sent.numpy(), 1), rtol=1e-12)
    spelt = OrthogonalProjection(net, 2).signals(x)["2"][0]
    np.testing.assert_allclose(spelt, sent.flatten(0, 1), rtol=1e-12)


def test_only_what_is_protected_changes_from_the_second_task_on():
    net = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 4), LIF(4, train=("tau_m", "v_thresh")))
    net = nn.Sequential(nn.Sequential(*net[:3]), nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Linear(4, 2)}))
    body, heads = net
    projection = OrthogonalProjection(net, {"0.0": 2, "0.2": 2}, free=("1",))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    def learn(head, seed):
        net.train()
        optimiser.zero_grad()
        (heads[head](body(torch.randn(16, 6, generator=draws(seed))))**2).sum().backward()
        optimiser.step()
        return {name: value.clone() for name, value in net.state_dict().items()}
    def changed(a, b):
        return {name for name in a if not torch.equal(a[name], b[name])}
    first, second = learn("a", 1), learn("a", 2)
    assert changed(first, second) == {name for name in first if not name.startswith("1.b")}
    projection.end_task(1)
    assert changed(second, learn("b", 3)) == {"0.0.weight", "0.2.weight", "1.b.weight", "1.b.bias"}


def test_trained_neurons_are_frozen():
    net = Sequential(nn.Linear(10, 8), LIF(8, train=("tau_m", "v_thresh")), nn.Linear(8, 3))
    projection = OrthogonalProjection(net, 2)
    projection.end_task()
    assert [name for name, one in net.named_parameters() if one.requires_grad] == ["0.weight", "2.weight"]


def test_evaluation_teaches_nothing_and_watching_does():
    net = spiking()
    projection = OrthogonalProjection(net, 2)
    before = projection.rows("0").clone()
    with torch.no_grad():
        net(spikes(1))
    net.eval()
    net(spikes(1))
    projection.signals(spikes(1))
    assert not net.training and torch.equal(projection.rows("0"), before)
    with projection.watching(), torch.no_grad():
        net(spikes(1))
    assert not torch.equal(projection.rows("0"), before)
    before = projection.rows("0").clone()
    net[0].train()
    with projection.watching():
        projection.signals(spikes(1))  # a look at what there is
    assert torch.equal(projection.rows("0"), before)
    assert [layer.training for layer in net] == [True, False, False] and not net.training


def test_every_and_samples_take_less():
    def rows(**options):
        net = spiking()
        projection = OrthogonalProjection(net, 2, **options)
        found = []
        for seed in range(3):
            net(spikes(seed))
            found.append(projection.rows("0").clone())
        return found
    a, b, c = rows(every=2)
    assert torch.equal(a, b) and not torch.equal(b, c)
    few = rows(samples=4)
    assert torch.equal(few[2], rows(samples=4)[2]) and not torch.equal(few[2], rows(samples=4, seed=2)[2])
    assert torch.equal(rows(samples=30)[2], rows(samples=None)[2])


def test_what_is_new_is_told():
    net = nn.Sequential(nn.Linear(12, 3).double())
    projection = OrthogonalProjection(net, 6)
    one, other = spectrum((12,), 2000, 1), spectrum((12,), 2000, 7)
    for batch in one.split(16):
        net(batch)
    assert projection.novelty["0"] == 1.0  # there is nothing to compare with
    projection.end_task(2)
    net(one[:100])
    known = projection.novelty["0"]
    net(other[:100])
    assert known < 0.1 < 0.3 < projection.novelty["0"] <= 1.0


def test_a_saved_state_goes_on_alike():
    def task(net, projection, seeds):
        for seed in seeds:
            net(spikes(seed))
    net = spiking()
    projection = OrthogonalProjection(net, 3, samples=7)
    task(net, projection, range(3))
    projection.end_task(2)
    task(net, projection, range(3, 5))
    again = OrthogonalProjection(other := spiking(), 1, samples=7, seed=9)
    again.load_state_dict(copy.deepcopy(projection.state_dict()))
    for one, model in ((projection, net), (again, other)):
        task(model, one, range(5, 8))
        one.end_task(1)
    for name in "02":
        assert torch.equal(projection.rows(name), again.rows(name))
    assert again.task == 2 and again.capacity == projection.capacity
    with pytest.raises(ParameterError, match="layers"):
        OrthogonalProjection(spiking(), {"0": 3}).load_state_dict(projection.state_dict())


def test_what_is_left_is_told():
    net = spiking()
    projection = OrthogonalProjection(net, {"0": 3, "2": 2})
    assert projection.capacity == {"0": 7, "2": 6}
    assert repr(projection) == "OrthogonalProjection(0 tasks ended; fixed + learning rows: 0: 0 + 3 of 10, 2: 0 + 2 of 8)"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        projection.end_task({"0": 4})
    assert projection.capacity == {"0": 3, "2": 6}
    with pytest.raises(ParameterError, match="4 more rows do not fit: of the 10 directions of '0' 3 are free"):
        projection.end_task({"0": 4, "2": 1})
    assert projection.task == 1 and projection.capacity == {"0": 3, "2": 6}  # as if it had not been asked
    with pytest.warns(UserWarning, match="0 of 10 directions are left"):
        projection.end_task({"0": 3})
    projection.end_task({})
    assert projection.task == 3


@pytest.mark.parametrize(("options", "kind", "match"), [
    ({"rows": {"1": 2}}, NetworkError, "'1'"), ({"rows": {"0": -1}}, ParameterError, "rows of '0'"),
    ({"rows": 11}, ParameterError, "11 rows"), ({"free": ("9",)}, NetworkError, "'9'"),
    ({"gain": 0.0}, ParameterError, "gain"), ({"settle": True}, ParameterError, "settle"),
    ({"iterations": 0}, ParameterError, "iterations"), ({"samples": 0.5}, ParameterError, "samples"),
    ({"levels": 0}, ParameterError, "levels"),
    ({"momentum": 1.0}, ParameterError, "momentum"), ({"signal": "trace"}, ParameterError, "signal"), ({"tau": 2.0}, ParameterError, "tau"),
    ({"signal": "rate", "tau": -1.0}, ParameterError, "tau")])
def test_what_cannot_be_is_refused(options, kind, match):
    with pytest.raises(kind, match=match):
        OrthogonalProjection(spiking(), **{"rows": 2} | options)


def test_what_does_not_fit_is_refused():
    with pytest.raises(NetworkError, match="no Linear"):
        OrthogonalProjection(Sequential(LIF()), 2)
    projection = OrthogonalProjection(spiking(), 2)
    with pytest.raises(NetworkError, match="does not fit"):
        projection.perpendicular("0", torch.zeros(3, 4))
    with pytest.raises(NetworkError, match="no lateral rows on '1'"):
        projection.rows("1")
    with pytest.raises(NetworkError, match="grow names '1'"):
        projection.end_task({"1": 2})
    wild = OrthogonalProjection(net := nn.Sequential(nn.Linear(4, 2)), 2, gain=1e4)
    with pytest.raises(ParameterError, match="without bound"):
        for seed in range(20):
            net(torch.randn(8, 4, generator=draws(seed)))
    assert wild.task == 0
    spiking_rows = OrthogonalProjection(net := spiking(), 2, levels=40)
    spiking_rows.attach(steps := torch.optim.SGD(net.parameters(), lr=0.1))
    spiking_rows.end_task(1)
    net[0].weight.grad = torch.ones_like(net[0].weight)
    with pytest.raises(NetworkError, match="did not come by back-propagation"):
        steps.step()
    with pytest.raises(ParameterError, match="route must be"):
        route_errors(spiking(), "forward")
    with pytest.raises(NetworkError, match="'1' is no Linear"):
        route_errors(spiking(), "sign", ("1",))
    with pytest.raises(NetworkError, match="pad with zeros"):
        route_errors(nn.Sequential(nn.Conv2d(1, 1, 3, padding="same")), "sign")


# ------------------------------------------------------------------------------------------------ task after task


@pytest.mark.needs("sklearn")
def test_earlier_tasks_are_not_forgotten():
    """Three tasks of permuted digits: backward transfer at least five times closer to 0, accuracy no lower."""
    from neurosim.benchmarks import permuted_digits
    s = permuted_digits.QUICK
    plain, run = (permuted_digits.learn(s, 1, projected, 0.2) for projected in (False, True))
    (acc, bwt), (acc_with, bwt_with) = (permuted_digits.figures(one["accuracy"], 3) for one in (plain, run))
    assert bwt < -10.0 and abs(bwt_with) < abs(bwt) / 5.0 and acc_with > acc
    for row in run["rows"]:
        assert len(row) == 3
        for one in row.values():
            assert one["energy"] > 0.985 * one["best"] and one["off"] < 0.05
