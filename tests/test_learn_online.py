"""Learning online: traces give the gradients that their definitions say, whatever the length of the sequence."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn

from neurosim.errors import NetworkError, ParameterError
from neurosim.learn import LI, LIF, AdaptiveLIF, Recurrent, Sequential
from neurosim.learn.online import OTTT, EProp

KINDS = {
    "LIF, zero": lambda: LIF(6, tau_m=7.0),
    "LIF, subtract": lambda: LIF(6, tau_m=7.0, reset="subtract"),
    "LIF, synapse": lambda: LIF(6, tau_m=7.0, tau_syn=3.0),
    "LIF, through the reset": lambda: LIF(6, tau_m=7.0, detach_reset=False),
    "LIF, each its own": lambda: LIF(6, tau_m=np.linspace(3.0, 9.0, 6), v_thresh=np.linspace(0.8, 1.2, 6)),
    "adaptive": lambda: AdaptiveLIF(6, tau_m=7.0, tau_adapt=15.0, beta=0.4),
    "adaptive, synapse, zero": lambda: AdaptiveLIF(6, tau_m=7.0, tau_syn=2.0, reset="zero", tau_adapt=15.0, beta=0.4),
}


@pytest.fixture(autouse=True)
def in_double_precision():
    """Everything here is compared to 1e-10."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def model(neurons, recurrent=False, seed=1, bias=True, wide=1.5):
    """One hidden layer and a leaky readout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, second = nn.Linear(5, 6, bias=bias), nn.Linear(6, 3, bias=bias)
    hidden = Recurrent(neurons, weight=torch.randn(6, 6, generator=torch.Generator().manual_seed(seed)) * 0.3) if recurrent else neurons
    with torch.no_grad():
        first.weight.mul_(wide)
    return Sequential(first, hidden, second, LI(3, tau_m=5.0))


def data(steps=12, batch=4, n=5, seed=2):
    """Spikes and classes."""
    draws = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, n, generator=draws) < 0.4).to(torch.float64), torch.randint(0, 3, (batch,), generator=draws)


def by_hand(net, x, target):
    """Gradients of the mean loss by back-propagation through a plain loop whose recurrent spikes are constants."""
    layers = [layer for _, layer in net.layers()]
    hidden = layers[1].neurons if isinstance(layers[1], Recurrent) else layers[1]
    loop, cell, out = getattr(layers[1], "weight", None), hidden.cell(), 0.0
    state = {name: torch.zeros(x.shape[1], 6) for name in hidden.initial(torch.zeros(1, x.shape[1], 6))}
    sent, total, y = torch.zeros(x.shape[1], 6), 0.0, 0.0
    keep = layers[3].kept("tau_m")
    for now in x:
        current = layers[0](now) if loop is None else layers[0](now) + sent.detach() @ loop.T
        if "i" in state:
            state["i"] = current = cell.keep_syn * state["i"] + current
        v = cell.keep * state["v"] + current
        level = cell.v_thresh + (cell.beta * state["a"] if "a" in state else 0.0)
        sent = cell.surrogate.spike(v - level)
        gone = sent.detach() if cell.detach_reset else sent
        state["v"] = v - gone * (level if cell.subtract else v)
        if "a" in state:
            state["a"] = cell.keep_adapt * state["a"] + sent
        y = keep * y + layers[2](sent)
        out = out + sent.detach().sum()
        total = total + nn.functional.cross_entropy(y, target) / len(x)
    assert 20 < out < 0.9 * x.shape[0] * x.shape[1] * 6
    return total.item(), torch.autograd.grad(total, list(net.parameters()))


# ------------------------------------------------------------------------------------------- e-prop


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_eprop_is_back_propagation_with_recurrent_spikes_held_constant(kind, recurrent):
    net, (x, target) = model(KINDS[kind](), recurrent), data()
    want_loss, want = by_hand(net, x, target)
    assert EProp(net).step(x, target) == pytest.approx(want_loss, rel=1e-12)
    for (name, one), grad in zip(net.named_parameters(), want, strict=True):
        assert grad.abs().max() > 0, name
        assert (one.grad - grad).abs().max() < 1e-10 * grad.abs().max(), name


def test_without_recurrent_weights_eprop_is_the_gradient():
    net, (x, target) = model(LIF(6, tau_m=7.0)), data()
    y, _ = net(x)
    want = torch.autograd.grad(nn.functional.cross_entropy(y.flatten(0, 1), target.repeat(len(x))), list(net.parameters()))
    EProp(net).step(x, target)
    assert all((one.grad - grad).abs().max() < 1e-10 for one, grad in zip(net.parameters(), want, strict=True))


def test_random_feedback_takes_the_place_of_the_readouts_weights_and_nothing_else():
    net, (x, target) = model(LIF(6), recurrent=True), data()
    EProp(net, feedback="random").step(x, target)
    random = [one.grad.clone() for one in net.parameters()]
    net.zero_grad()
    learner = EProp(net, feedback="random")
    with torch.no_grad():
        learner.feedback_weight.copy_(net[2].weight.T)
    learner.step(x, target)
    same = [one.grad.clone() for one in net.parameters()]
    net.zero_grad()
    EProp(net).step(x, target)
    assert all(torch.allclose(one.grad, grad, atol=1e-14) for one, grad in zip(net.parameters(), same, strict=True))
    names = [name for name, _ in net.named_parameters()]
    differ = {name: not torch.allclose(a, b) for name, a, b in zip(names, random, same, strict=True)}
    assert differ == {name: not name.startswith("2.") for name in names}


def test_adaptive_feedback_grows_like_the_readout():
    net, (x, target) = model(LIF(6)), data()
    learner = EProp(net, feedback="adaptive", decay=0.05)
    assert len(learner.parameters()) == len(list(net.parameters())) + 1
    learner.optimiser = torch.optim.SGD(learner.parameters(), lr=0.5)
    alike = []
    for _ in range(150):
        alike.append(nn.functional.cosine_similarity(learner.feedback_weight.flatten(), net[2].weight.T.flatten(), dim=0).item())
        learner.step(x, target)
    assert alike[0] < 0.6 and alike[-1] > 0.98


# ------------------------------------------------------------------------------------------- OTTT


def deep(seed=1, conv=False):
    """Several layers with soft reset."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if conv:
            return Sequential(nn.Conv2d(2, 3, 3, padding=1), LIF(tau_m=4.0, reset="subtract", v_thresh=0.5), nn.AvgPool2d(2), nn.Flatten(),
                              nn.Linear(12, 3), LI(3, tau_m=6.0))
        return Sequential(nn.Linear(5, 7), LIF(7, tau_m=4.0, reset="subtract", v_thresh=0.5), nn.Linear(7, 6),
                          LIF(6, tau_m=3.0, reset="subtract", v_thresh=0.4), nn.Linear(6, 3), LI(3, tau_m=6.0))


def ottt_by_hand(net, x, target):
    """Its definition: for each step, errors of that step; outer products with traces."""
    layers = [layer for _, layer in net.layers()]
    pairs = [(layers[k], layers[k + 1]) for k in range(0, len(layers), 2)]
    v = [torch.zeros(x.shape[1], one.out_features) for one, _ in pairs]
    trace = [torch.zeros(x.shape[1], one.in_features + 1) for one, _ in pairs]
    grads, total = [torch.zeros(one.out_features, one.in_features + 1) for one, _ in pairs], 0.0
    for now in x:
        signal, slopes = now, []
        for k, (weights, neurons) in enumerate(pairs):
            keep = float(neurons.kept("tau_m"))
            trace[k] = keep * trace[k] + torch.cat([signal, torch.ones(len(signal), 1)], 1)
            v[k] = keep * v[k] + signal @ weights.weight.T + weights.bias
            signal = v[k]
            if isinstance(neurons, LIF):
                slopes.append(neurons.surrogate.slope(v[k] - neurons.v_thresh))
                signal = (v[k] >= neurons.v_thresh).to(v[k])
                v[k] = v[k] - neurons.v_thresh * signal
        share = torch.softmax(signal, 1)
        total += float(-torch.log(share.gather(1, target[:, None])).mean()) / len(x)
        error = (share - nn.functional.one_hot(target, 3)) / len(target) / len(x)
        for k in reversed(range(len(pairs))):
            grads[k] += error.T @ trace[k]
            if k:
                error = error @ pairs[k][0].weight * slopes[k - 1]
    return total, grads


@torch.no_grad()
def test_ottt_is_its_definition():
    net, (x, target) = deep(), data()
    want_loss, want = ottt_by_hand(net, x, target)
    with torch.enable_grad():
        assert OTTT(net).step(x, target) == pytest.approx(want_loss, rel=1e-12)
    for k, grad in enumerate(want):
        got = torch.cat([net[2 * k].weight.grad, net[2 * k].bias.grad[:, None]], 1)
        assert grad.abs().max() > 1e-4 and (got - grad).abs().max() < 1e-10


@pytest.mark.parametrize("conv", [False, True])
def test_ottt_is_exact_for_the_last_layer(conv):
    net = deep(conv=conv)
    x, target = data(n=32 if conv else 5)
    x = x.view(12, 4, 2, 4, 4) if conv else x
    y, _ = net(x)
    last = net[4]
    want = torch.autograd.grad(nn.functional.cross_entropy(y.flatten(0, 1), target.repeat(len(x))), [last.weight, last.bias])
    OTTT(net).step(x, target)
    assert torch.allclose(last.weight.grad, want[0], atol=1e-12) and torch.allclose(last.bias.grad, want[1], atol=1e-12)
    assert net[0].weight.grad.abs().max() > 1e-5


def test_ottt_of_a_convolution_is_that_of_its_matrix():
    from neurosim import maps

    net, (x, target) = deep(conv=True), data(n=32)
    matrix = maps.conv(net[0].weight.detach().numpy(), (2, 4, 4), 1, 1, 1, 1)[0].array()
    flat = nn.Linear(32, 48)
    with torch.no_grad():
        flat.weight.copy_(torch.from_numpy(matrix))
        flat.bias.copy_(net[0].bias.repeat_interleave(16))
    other = Sequential(flat, nn.Unflatten(1, (3, 4, 4)), LIF(tau_m=4.0, reset="subtract", v_thresh=0.5), nn.AvgPool2d(2), nn.Flatten(),
                       net[4], LI(3, tau_m=6.0))
    OTTT(net).step(x.view(12, 4, 2, 4, 4), target)
    for one in other[5].parameters():
        one.grad = None
    OTTT(other).step(x, target)
    assert torch.allclose(flat.bias.grad.view(3, 16).sum(1), net[0].bias.grad)
    centre = flat.weight.grad.view(3, 16, 2, 16).diagonal(dim1=1, dim2=3).sum(-1)  # the middle of the kernel: place to same place
    assert torch.allclose(centre, net[0].weight.grad[:, :, 1, 1])


def test_each_step_may_change_the_weights():
    net, (x, target) = deep(), data()
    before = [one.detach().clone() for one in net.parameters()]
    learner = OTTT(net, torch.optim.SGD(net.parameters(), lr=0.1), every_step=True)
    assert learner.step(x, target) > learner.step(x, target)
    assert all(not torch.equal(one, old) for one, old in zip(net.parameters(), before, strict=True))


def test_a_projection_sees_what_errors_are_multiplied_with():
    net, (x, target) = deep(), data()
    seen = []
    OTTT(net, observe=lambda layer, signal: seen.append((layer, signal))).step(x, target)
    traces = [signal for layer, signal in seen if layer is net[0]]
    assert len(traces) == len(x) and len(seen) == 3 * len(x)
    keep = float(net[1].kept("tau_m"))
    assert torch.allclose(traces[2], keep**2 * x[0] + keep * x[1] + x[2])


# ------------------------------------------------------------------------------------------- both


LEARNERS = {"OTTT": lambda net, **more: OTTT(net, **more), "EProp": lambda net, **more: EProp(net, **more)}


def network(name):
    """One that the learner takes."""
    return deep() if name == "OTTT" else model(AdaptiveLIF(6), recurrent=True)


@pytest.mark.parametrize("name", LEARNERS)
def test_what_is_carried_along_does_not_grow_with_the_sequence(name):
    learner, numbers = LEARNERS[name](network(name)), []
    advance = learner.advance

    def watched(x, target, share, carried):
        value = advance(x, target, share, carried)
        held = tensors(carried)
        assert held and not any(one.requires_grad for one in [*held, value])  # nothing hangs on a graph
        numbers.append(sum(one.numel() for one in held))
        return value
    learner.advance = watched
    learner.step(*data(40))
    assert len(numbers) == 40 and set(numbers[1:]) == {numbers[-1]}


def tensors(carried):
    """All tensors in a nest of containers."""
    if isinstance(carried, torch.Tensor):
        return [carried]
    inner = carried.values() if isinstance(carried, dict) else carried if isinstance(carried, (tuple, list)) else ()
    return [one for part in inner for one in tensors(part)]


@pytest.mark.parametrize("name", LEARNERS)
def test_they_learn(name):
    net, (x, target) = network(name), data(batch=8)
    learner = LEARNERS[name](net, optimiser=torch.optim.Adam(net.parameters(), lr=0.02))
    losses = [learner.step(x, target) for _ in range(60)]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("name", LEARNERS)
def test_weights_of_steps_and_targets_of_steps(name):
    net, (x, target) = network(name), data()
    last = torch.zeros(len(x))
    last[-1] = 1.0
    y, _ = net(x)
    assert LEARNERS[name](net).step(x, target, last) == pytest.approx(nn.functional.cross_entropy(y[-1], target).item(), rel=1e-9)
    each = target.repeat(len(x), 1)
    net.zero_grad()
    one = LEARNERS[name](net).step(x, target)
    grads = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    assert LEARNERS[name](net).step(x, each) == one
    assert all(torch.equal(p.grad, grad) for p, grad in zip(net.parameters(), grads, strict=True))


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: OTTT(Sequential(nn.Linear(5, 3), LIF(3))), NetworkError, "LIF with reset='subtract'"),
    (lambda: OTTT(Sequential(nn.Linear(5, 3))), NetworkError, "must end in neurons"),
    (lambda: OTTT(Sequential(nn.Linear(5, 3), nn.Linear(3, 3), LI(3))), NetworkError, "layer 0 must be followed by neurons before layer 1"),
    (lambda: OTTT(Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3), LI(3))), NetworkError, "BatchNorm1d. has parameters"),
    (lambda: OTTT(deep(), every_step=True), ParameterError, "every_step needs an optimiser"),
    (lambda: EProp(deep()), NetworkError, "EProp needs Sequential"),
    (lambda: EProp(model(LIF(6, train="tau_m"))), NetworkError, "time constants and thresholds are not trained"),
    (lambda: EProp(model(LIF(6)), feedback="none"), ParameterError, "EProp.feedback must be"),
    (lambda: EProp(model(LIF(6)), decay=-1.0), ParameterError, "EProp.decay must be >= 0"),
    (lambda: EProp(model(LIF(6))).step(torch.zeros(3, 2, 5), torch.zeros(4, dtype=torch.int64)), ParameterError, "targets must be"),
    (lambda: OTTT(deep()).step(*data(), torch.ones(3)), ParameterError, r"weights must have shape \(12,\), got \(3,\)"),
])
def test_bad_input_is_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_online_learning_and_orthogonal_projection_go_together():
    from neurosim.learn.projection import OrthogonalProjection

    net, (x, target) = deep(), data()
    projection = OrthogonalProjection(net, {"0": 2, "2": 2, "4": 2}, orthonormal=True, gain=0.5, iterations=1)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    projection.attach(optimiser)
    learner = OTTT(net, optimiser, observe=projection.observe)
    for _ in range(3):
        learner.step(x, target)
    projection.end_task()
    before = {name: one.detach().clone() for name, one in net.named_parameters()}
    learner.step(*data(seed=3))
    for name in ("0", "2", "4"):
        change, rows = net[int(name)].weight.detach() - before[f"{name}.weight"], projection.rows(name)[0]
        assert change.abs().max() > 1e-6 and (change @ rows.T).abs().max() < 1e-8
        assert torch.equal(net[int(name)].bias, before[f"{name}.bias"])
