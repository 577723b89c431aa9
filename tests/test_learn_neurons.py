"""Neurons of learn: what they compute, what they refuse; regularisers, checkpoints, truncated back-propagation."""

import math
from collections import OrderedDict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from neurosim.errors import ParameterError  # noqa: E402
from neurosim.learn import (  # noqa: E402
    LI,
    LIF,
    AdaptiveLIF,
    Checkpointed,
    Recurrent,
    Regulariser,
    Sequential,
    Surrogate,
    fit,
    regularise,
    voltage,
)
from neurosim.learn.sequence import detached  # noqa: E402
from neurosim.learn.surrogate import _SLOPES  # noqa: E402
from test_learn_fused import gradients, net_of, normal, spikes  # noqa: E402

F64 = torch.float64


def by_hand(x, tau_m=4.0, reset="zero", decay="exact", tau_syn=None, tau_adapt=None, beta=0.0):
    """One cell, in plain Python."""
    keep = math.exp(-1 / tau_m) if decay == "exact" else 1 - 1 / tau_m
    keep_syn = 0.0 if tau_syn is None else math.exp(-1 / tau_syn) if decay == "exact" else 1 - 1 / tau_syn
    keep_adapt = 0.0 if tau_adapt is None else math.exp(-1 / tau_adapt) if decay == "exact" else 1 - 1 / tau_adapt
    v = i = a = 0.0
    sent = []
    for now in x:
        i = keep_syn * i + now
        v = keep * v + i
        level = 1.0 + beta * a
        spike = v >= level
        if spike:
            v = 0.0 if reset == "zero" else v - level
        a = keep_adapt * a + spike
        sent.append(float(spike))
    return sent


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("decay", ["exact", "euler"])
def test_spikes_by_hand(reset, decay):
    x = 0.4 + 0.3 * normal(60, 1, 1)
    plain = x.flatten().tolist()
    assert LIF(1, tau_m=4.0, reset=reset, decay=decay).double()(x)[0].flatten().tolist() == by_hand(plain, 4.0, reset, decay)
    found = LIF(1, tau_m=4.0, reset=reset, decay=decay, tau_syn=2.0).double()(0.5 * x)[0].flatten().tolist()
    assert found == by_hand([0.5 * one for one in plain], 4.0, reset, decay, tau_syn=2.0) and 0 < sum(found) < 60
    found = AdaptiveLIF(1, tau_m=4.0, reset=reset, decay=decay, tau_adapt=10.0, beta=0.5).double()(x)[0].flatten().tolist()
    assert found == by_hand(plain, 4.0, reset, decay, tau_adapt=10.0, beta=0.5) and sum(found) > 0


def test_a_spike_at_the_threshold():
    assert LIF(1)(torch.ones(1, 1, 1))[0].item() == 1.0
    assert LIF(1)(torch.full((1, 1, 1), math.nextafter(1.0, 0.0), dtype=F64))[0].item() == 0.0


def test_integrator_and_loop_by_hand():
    x = torch.tensor([1.0, 0.0, 0.0, 2.0], dtype=F64).view(4, 1, 1)
    keep = math.exp(-1 / 3)
    v, _ = LI(1, tau_m=3.0).double()(x)
    assert v.flatten().tolist() == pytest.approx([1, keep, keep**2, keep**3 + 2], rel=1e-7)
    ring = Recurrent(LIF(3, tau_m=2.0), weight=2.0 * np.roll(np.eye(3), 1, axis=0))
    first = torch.zeros(7, 1, 3)
    first[0, 0, 0] = 1.5
    assert ring(first)[0][:, 0].argmax(1).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_weights_of_a_loop_are_a_function_of_the_generator():
    one, two = Recurrent(LIF(9)), Recurrent(LIF(9), generator=torch.Generator().manual_seed(1))
    other = Recurrent(LIF(9), generator=torch.Generator().manual_seed(2))
    assert torch.equal(one.weight, two.weight) and not torch.equal(one.weight, other.weight)
    assert one.weight.abs().max() <= 1 / 3


def test_what_is_trained_stays_positive_and_has_a_value_for_each_cell():
    layer = AdaptiveLIF(5, train=("tau_m", "beta"), tau_syn=4.0)
    assert {name for name, _ in layer.named_parameters()} == {"log_tau_m", "trained_beta"}
    assert layer.tau_m.shape == layer.beta.shape == (5,) and layer.v_thresh.shape == layer.tau_syn.shape == ()
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.05)
    layer(0.5 + normal(20, 4, 5, dtype=torch.float32))[0].sum().backward()
    optimiser.step()
    assert (layer.tau_m > 0).all() and torch.isfinite(layer.tau_m).all()
    again = AdaptiveLIF(5, train=("tau_m", "beta"), tau_syn=4.0)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again.tau_m, layer.tau_m) and "tau_syn=4" in repr(layer)


@pytest.mark.parametrize(("call", "said"), [
    (lambda: LIF(0), "LIF.n must be a whole number > 0"),
    (lambda: LIF(3, tau_m=0.0), "LIF.tau_m must be > 0 steps, got 0: membrane time constant"),
    (lambda: LIF(3, tau_m=float("nan")), "got nan"),
    (lambda: LIF(3, tau_m="long"), "LIF.tau_m must be a number"),
    (lambda: LIF(3, tau_m=torch.ones(4)), r"must have shape \(3,\)"),
    (lambda: LIF(tau_m=torch.ones(4)), "needs n"),
    (lambda: LIF(3, v_thresh=-1.0), "LIF.v_thresh must be > 0 thresholds"),
    (lambda: LIF(3, reset="hard"), "LIF.reset must be one of zero, subtract, got 'hard'"),
    (lambda: LIF(3, decay="fast"), "LIF.decay must be one of exact, euler"),
    (lambda: LIF(3, surrogate="relu"), "surrogate must be one of atan"),
    (lambda: LIF(3, surrogate=1.0), "surrogate must be a name"),
    (lambda: LIF(3, detach_reset=1), "LIF.detach_reset must be True or False"),
    (lambda: LIF(3, train=("tau_syn",)), "LIF.train names 'tau_syn'; what can be trained here is tau_m, v_thresh"),
    (lambda: LI(3, train=("beta",)), "what can be trained here is tau_m"),
    (lambda: AdaptiveLIF(3, tau_adapt=-2.0), "AdaptiveLIF.tau_adapt must be > 0"),
    (lambda: Surrogate("atan", 0.0), "Surrogate.alpha must be a finite number > 0"),
    (lambda: Surrogate("atan", 1.0, -1.0), "Surrogate.scale"),
    (lambda: Recurrent(LI(3)), "Recurrent needs neurons that spike"),
    (lambda: Recurrent(LIF()), "with n given"),
    (lambda: Recurrent(LIF(3), weight=torch.ones(3, 2)), r"Recurrent.weight must be finite and of shape \(3, 3\)"),
    (lambda: LIF(3)(torch.ones(4, 2, 5)), r"LIF: input must have shape \(steps, batch, 3\), got \(4, 2, 5\)"),
    (lambda: LIF(3)(torch.ones(4, 2, 3, dtype=torch.int64)), "floating point"),
    (lambda: LIF(3)(torch.ones(4, 2, 3), {"v": torch.zeros(1, 3)}), "state 'v' must have the shape"),
    (lambda: Checkpointed(LIF(3), 0), "Checkpointed.steps"),
    (lambda: Checkpointed(nn.Linear(2, 2), 4), "needs a Layer"),
    (lambda: Regulariser(pool="all", upper=0.1), "Regulariser.pool"),
    (lambda: Regulariser(), "needs lower, upper or both"),
    (lambda: Regulariser(lower=0.3, upper=0.1), "lower must be <= upper"),
    (lambda: Regulariser("3", upper=0.1)({"1": torch.ones(2, 2, 2)}), "no layer is named '3'; there are 1"),
    (lambda: voltage(torch.zeros(1), 1.0, 0.0), "lower must be < upper"),
])
def test_refusals_name_what_is_wrong(call, said):
    with pytest.raises(ParameterError, match=said):
        call()


@pytest.mark.parametrize("name", list(_SLOPES))
def test_surrogates(name):
    one = Surrogate(name)
    u = torch.linspace(-200.0, 200.0, 400_001, dtype=F64)
    area = torch.trapezoid(one.slope(u), u).item()
    assert area == pytest.approx(0.2 if name == "fast_sigmoid" else 1.0, rel=5e-3)
    assert torch.equal(one.slope(u), one.slope(-u)) and one.slope(u).argmax() in range(199_000, 201_001)
    assert torch.allclose(Surrogate(name, scale=0.3).slope(u), 0.3 * one.slope(u))
    assert one.number == list(_SLOPES).index(name)
    assert one.spike(torch.tensor([-1e-9, 0.0, 1.0])).tolist() == [0.0, 1.0, 1.0]


# ------------------------------------------------------------------------------------------------ time in pieces


def test_truncation_is_the_gradient_with_states_held_constant():
    """Pieces whose states are detached, and the plain loop in one go in which gradients are blocked at those steps."""
    net, x = net_of(F64), spikes(24, 5, 30)
    weights = normal(24, 5, 5, seed=2)
    net.zero_grad()
    state = None
    for piece, weight in zip(x.split(7), weights.split(7)):
        y, state = net(piece, detached(state))
        (y * weight).sum().backward()
    truncated = {name: one.grad.clone() for name, one in net.named_parameters()}
    net.zero_grad()
    loss, states = 0.0, {}
    for t in range(24):
        now = x[t:t + 1]
        for name, layer in net.layers():
            if isinstance(layer, nn.Linear):
                now = layer(now)
                continue
            state = states.get(name)
            if t % 7 == 0 and state is not None:
                state = {key: one.detach() for key, one in state.items()}
            now, states[name] = layer(now, state)
        loss = loss + (now * weights[t:t + 1]).sum()
    loss.backward()
    full = gradients(net_of(F64), x)
    for name, one in net.named_parameters():
        assert (truncated[name] - one.grad).abs().max() <= 1e-11 * one.grad.abs().max(), name
    assert any((truncated[name] - one).abs().max() > 1e-3 * one.abs().max() for name, one in full.items())


@pytest.mark.parametrize("steps", [1, 6, 24, 100])
def test_checkpoints_have_the_same_gradient(steps):
    net, x = net_of(F64), spikes(24, 5, 30)
    whole = gradients(net, x)
    again = gradients(Checkpointed(net, steps), x)
    assert torch.equal(Checkpointed(net, steps)(x)[0], net(x)[0])
    for name, one in whole.items():
        assert (again["net." + name] - one).abs().max() <= 1e-11 * one.abs().max()


def test_checkpoints_keep_less():
    """Bytes that autograd saves for the way back."""
    def saved(net, x):
        total = 0

        def pack(tensor):
            nonlocal total
            total += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one):
            net(x)
        return total

    net, x = net_of(), spikes(100, 4, 30, dtype=torch.float32)
    assert saved(Checkpointed(net, 10), x) < saved(net, x) / 2


# ------------------------------------------------------------------------------------------------ regularisers


def test_penalties_by_hand():
    sent = {"1": torch.zeros(10, 2, 3), "2": torch.ones(10, 2, 3)}
    sent["1"][:5, :, 0] = 1.0  # cell 0 at 0.5, others silent
    sent["1"][0, 0, 1] = 1.0
    rates = torch.tensor([[0.5, 0.1, 0.0], [0.5, 0.0, 0.0]])
    cells, samples = rates.mean(0), rates.mean(1)
    low = Regulariser("1", lower=0.2, strength=3.0)(sent)
    assert low.item() == pytest.approx(3.0 * ((0.2 - cells).clamp(min=0) ** 2).mean().item(), rel=1e-6)
    high = Regulariser(["1"], upper=0.1, pool="population")(sent)
    assert high.item() == pytest.approx(((samples - 0.1).clamp(min=0) ** 2).mean().item(), rel=1e-6)
    each = Regulariser("1", lower=0.1, upper=0.1, pool="sample")(sent)
    assert each.item() == pytest.approx(((rates - 0.1) ** 2).mean().item(), rel=1e-6)
    assert Regulariser("*", upper=1.0)(sent).item() == 0.0
    both = regularise(Regulariser("2", upper=0.5), lambda sent: voltage(sent["2"] * 3.0, upper=2.0))(sent)
    assert both.item() == pytest.approx(0.25 + 1.0)


def test_regularisers_bring_rates_into_their_range():
    x, target = spikes(64, 15, 20, p=0.2, dtype=torch.float32), torch.zeros(64, dtype=torch.long)

    def rate(penalty):
        torch.manual_seed(1)
        net = Sequential(nn.Linear(20, 30), LIF(30, tau_m=5.0), nn.Linear(30, 2), LI(2))
        optimiser = torch.optim.Adam(net.parameters(), 1e-2)
        fit(net, (x, target), epochs=6, batch_size=32, optimiser=optimiser, regularise=penalty, progress=False)
        return net.activity(x.transpose(0, 1))["1"].mean().item()

    free, quiet, loud = rate(None), rate(Regulariser("1", upper=0.0, strength=1e3)), rate(Regulariser("1", lower=0.5, strength=1e3))
    assert quiet < 0.5 * free and loud > free + 0.05


@pytest.mark.parametrize("x, said", [
    (torch.zeros(5, 2, 9), r"layer a: Linear takes \(steps, batch, 6\), got \(5, 2, 9\)"),
    (torch.zeros(5, 2, 3), r"layer a: Linear takes \(steps, batch, 6\), got \(5, 2, 3\)"),
    (torch.zeros(5, 6), r"layer a: Linear takes \(steps, batch, 6\), got \(5, 6\)"),
    (torch.zeros(5, 2, 6, dtype=torch.float64), "weights of torch.float32 on cpu, got torch.float64"),
    (torch.zeros(5, 2, 6, dtype=torch.uint8), "weights of torch.float32 on cpu, got torch.uint8"),
    (torch.zeros(5, 2, 6, device="meta"), "got torch.float32 on meta"),
    (np.zeros((5, 2, 6), np.float32), "takes a tensor, got ndarray"),
])
def test_a_product_that_is_put_off_takes_only_what_fits(x, said):
    net = Sequential(OrderedDict(a=nn.Linear(6, 4), b=LIF(4)))
    for call in (net, net.activity):
        with pytest.raises(ParameterError, match=said):
            call(x)
