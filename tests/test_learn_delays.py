"""Layers with learnt delays: kernels, gradients, streaming, schedules, whole delays, and the same spikes in the engine."""

import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn

from neurosim import Simulation
from neurosim.errors import NetworkError, ParameterError
from neurosim.learn import (
    LI,
    LIF,
    DelayedLinear,
    DelaySchedule,
    RecurrentDelays,
    Sequential,
    Surrogate,
    clamp_delays,
    delay_rates,
    evaluate,
    fit,
    parameter_groups,
    refresh_batch_norm,
    round_delays,
    rounded,
    rounding_gap,
    sum_of_softmax,
    to_network,
)
from neurosim.learn.delays import KERNELS, SITES, delayed_sum

DOUBLE = torch.float64


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def by_loops(layer, x):
    """What a layer should give: the equations of the module, delay by delay."""
    size, n_out, n_in, count = layer.max_delay + 1, layer.n_out, layer.n_in, layer.kernel_count
    d = layer.delay.expand(n_out, n_in, count)
    k = torch.arange(size, dtype=x.dtype)
    u = k - d[..., None]
    sigma = layer.width.abs() + 0.27
    f = {"gauss": torch.exp(-0.5 * (u / sigma) ** 2), "max": torch.relu(layer.width.abs() + 1 - u.abs()),
         "triangle": torch.relu(1 - u.abs())}
    h = f[layer.kernel] / (f[layer.kernel].sum(-1, keepdim=True) + 1e-7)
    if layer.mode == "straight-through":
        h = (k == d.detach().round()[..., None]).to(x.dtype) + h - h.detach()
    y = torch.zeros(*x.shape[:2], n_out, dtype=x.dtype)
    for delay in range(min(size, len(x))):
        weights = (layer.weight * h[..., delay]).sum(-1)
        y[delay:] = y[delay:] + x[:len(x) - delay] @ weights.T
    return y if layer.bias is None else y + layer.bias


# ------------------------------------------------------------------------------------------- kernels


def test_the_narrow_gauss_sums_to_the_weight_and_lies_around_the_delay():
    layer = DelayedLinear(30, 20, 24, width=0.23, dtype=DOUBLE, generator=generator())
    with torch.no_grad():
        layer.delay.clamp_(3.0, 21.0)
    first, h = layer.taps("kernel")
    k = first[..., None] + torch.arange(h.shape[-1])
    assert (h.sum(-1) - 1.0).abs().max() < 1e-6
    assert ((k * h).sum(-1) - layer.delay).abs().max() < 0.023  # of a gauss that narrow, sampled at whole steps
    with torch.no_grad():
        layer.delay.fill_(9.0)
    largest = layer.taps("kernel")[1][0, 0, 0].detach().sort().values[-3:]
    assert torch.allclose(largest, torch.tensor([0.107, 0.107, 0.787], dtype=DOUBLE), atol=1e-3)


def test_the_position_of_the_paper_is_a_delay_read_backwards():
    layer = DelayedLinear(2, 3, 24, width=0.23, dtype=DOUBLE, generator=generator())
    size, position = 25, 12.0 - layer.delay.detach()
    c = position + size // 2
    k = torch.arange(float(size), dtype=DOUBLE)
    f = torch.exp(-0.5 * ((k - c[..., None]) / 0.5) ** 2)
    kernel = (layer.weight[..., None] * f / (f.sum(-1, keepdim=True) + 1e-7))[:, :, 0]
    x = torch.randn(40, 4, 2, dtype=DOUBLE, generator=generator())
    padded = nn.functional.pad(x.permute(1, 2, 0), (size - 1, (size - 1) // 2))
    paper = nn.functional.conv1d(padded, kernel).permute(2, 0, 1)
    layer.pad_right = True
    y, _ = layer(x)
    assert y.shape == (52, 4, 3)
    assert torch.allclose(y, paper, atol=1e-7)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_values_and_gradients_are_those_of_plain_loops(kernel, site, count):
    for width in (5.0, 0.23):
        layer = DelayedLinear(5, 4, 64, kernel, count, bias=True, site=site, width=width, dtype=DOUBLE, generator=generator(3))
        x = torch.randn(70, 3, 5, dtype=DOUBLE, generator=generator(4), requires_grad=True)
        for mode in ("kernel", "straight-through"):
            layer.mode = mode
            y, wanted = layer(x)[0], by_loops(layer, x)
            assert torch.allclose(y, wanted, atol=1e-10)
            send = torch.randn(y.shape, dtype=DOUBLE, generator=generator(5))
            inputs = [x, layer.weight, layer.delay, layer.bias]
            found, there = (torch.autograd.grad((one * send).sum(), inputs) for one in (y, wanted))
            for a, b in zip(found, there, strict=True):
                assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))


def test_gradients_equal_finite_differences():
    layer = DelayedLinear(3, 2, 40, width=0.23, dtype=DOUBLE, generator=generator(8))
    x = torch.randn(50, 2, 3, dtype=DOUBLE, generator=generator(9))

    def loss(weight, delay):
        return (torch.func.functional_call(layer, {"weight": weight, "delay": delay}, (x,))[0] ** 3).sum()

    assert layer.taps()[1].shape[-1] < 20
    assert torch.autograd.gradcheck(loss, (layer.weight, layer.delay), eps=1e-6, rtol=1e-6, atol=1e-4)


def test_few_taps_and_convolution_give_the_same_sums():
    x, first = torch.randn(30, 19, 6, generator=generator()), torch.randint(-2, 24, (5, 6, 2), generator=generator())
    taps = torch.randn(5, 6, 2, 4, generator=generator())
    k = first[..., None] + torch.arange(4)
    taps = taps * ((k >= 0) & (k <= 24))
    sparse = delayed_sum(x, first, taps, 24)
    wide = torch.zeros(5, 6, 2, 25).scatter_add(3, k.clamp(0, 24), taps)
    assert torch.allclose(sparse, delayed_sum(x, torch.zeros_like(first), wide, 24), atol=1e-5)


def test_a_rounded_layer_is_a_delayed_copy():
    layer = DelayedLinear(3, 3, 9, dtype=DOUBLE, generator=generator())
    with torch.no_grad():
        layer.weight.copy_(torch.eye(3)[..., None])
        layer.delay.copy_(torch.tensor([0.3, 3.6, 8.9])[:, None, None].expand(3, 3, 1))
    x = torch.randn(20, 2, 3, dtype=DOUBLE, generator=generator())
    y, _ = layer.round_()(x)
    for j, d in enumerate((0, 4, 9)):
        assert torch.equal(y[d:, :, j], x[:20 - d, :, j]) and not y[:d, :, j].any()
    assert layer.mode == "rounded" and not layer.delay.requires_grad


def test_evaluation_and_straight_through_use_whole_delays_and_the_kernel_does_not():
    layer = DelayedLinear(6, 5, 30, width=0.23, dtype=DOUBLE, generator=generator())
    x = torch.randn(40, 2, 6, dtype=DOUBLE, generator=generator())
    whole, smeared = rounded(layer)(x)[0], layer(x)[0]
    assert (whole - smeared).abs().max() > 0.1
    layer.mode = "straight-through"
    assert torch.equal(layer(x)[0], whole)
    layer.mode = "kernel"
    assert torch.equal(layer.eval()(x)[0], whole)
    before, after = rounding_gap(layer, lambda one: one(x)[0])
    assert torch.equal(before, smeared) and torch.equal(after, whole) and layer.mode == "kernel"


# ------------------------------------------------------------------------------------------- streaming


@pytest.mark.parametrize("site", SITES)
def test_pieces_with_a_state_give_what_the_whole_sequence_gives(site):
    layer = DelayedLinear(5, 4, 12, site=site, width=0.23, dtype=DOUBLE, generator=generator())
    x = torch.randn(33, 3, 5, dtype=DOUBLE, generator=generator())
    state, parts = None, []
    for piece in x.split([2, 1, 20, 10]):
        y, state = layer(piece, state)
        assert state.shape == (12, 3, 5)
        parts.append(y)
    assert torch.allclose(torch.cat(parts), layer(x)[0], atol=1e-12)


def test_truncated_training_runs():
    net = Sequential(DelayedLinear(4, 8, 10, generator=generator()), RecurrentDelays(LIF(8, tau_m=3.0), 5), nn.Linear(8, 2), LI(2))
    x, target = (torch.rand(24, 30, 4, generator=generator()) < 0.3).float(), torch.arange(24) % 2
    before = net[0].delay.detach().clone()
    fit(net, (x, target), epochs=1, batch_size=12, truncate=7, after_batch=clamp_delays, progress=False)
    assert (net[0].delay != before).any()


# ------------------------------------------------------------------------------------------- recurrent delays


def recurrent_by_loops(layer, x, h):
    sent, state = [], None
    for t in range(len(x)):
        now = x[t]
        for k in range(min(t, h.shape[1])):
            now = now + (sent[t - 1 - k] * h[:, k]) @ layer.weight.T
        y, state = layer.neurons(now[None], state)
        sent.append(y[0])
    return torch.stack(sent)


@pytest.mark.parametrize("width", [1.5, 0.0])
@pytest.mark.parametrize("mode", ["kernel", "straight-through"])
def test_recurrent_delays_are_those_of_plain_loops(mode, width):
    layer = RecurrentDelays(LIF(6, tau_m=3.0), 12, (3.0, 9.0), width=width, generator=generator(3)).double()
    layer.mode = mode
    x = 0.8 * torch.rand(40, 5, 6, dtype=DOUBLE, generator=generator(4))
    d, s = layer.delay, 1.0 + width
    tau = torch.arange(1.0, 30.0, dtype=DOUBLE)
    h = torch.relu((s - (tau - (1.0 + d[:, None])).abs()) / s**2)
    if mode == "straight-through":
        h = (tau - 1.0 == d.detach().round()[:, None]).double() + h - h.detach()
    y, wanted = layer(x)[0], recurrent_by_loops(layer, x, h)
    assert 0.1 < float(wanted.detach().mean()) < 0.9
    assert torch.equal(y, wanted)
    send = torch.randn(y.shape, dtype=DOUBLE, generator=generator(5))
    for a, b in zip(*(torch.autograd.grad((one * send).sum(), [layer.weight, layer.delay]) for one in (y, wanted)), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))
    state, parts = None, []
    for piece in x.split([7, 1, 32]):
        part, state = layer(piece, state)
        parts.append(part)
    assert torch.equal(torch.cat(parts), y)


def test_recurrent_spikes_arrive_one_step_and_the_delay_later():
    layer = RecurrentDelays(LIF(2, tau_m=2.0), 9, generator=generator()).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 0.0], [1.5, 0.0]]))
        layer.delay.copy_(torch.tensor([4.0, 0.0]))
    x = torch.zeros(12, 1, 2)
    x[2, 0, 0] = 1.0
    y, _ = layer(x)
    assert y.nonzero().tolist() == [[2, 0, 0], [7, 0, 1]]


def test_recurrent_weights_start_orthogonal_and_dropout_is_for_training():
    layer = RecurrentDelays(LIF(20), 5, dropout=0.3, generator=generator(2))
    assert torch.allclose(layer.weight @ layer.weight.T, torch.eye(20), atol=1e-5)
    x = 0.5 * torch.rand(30, 4, 20, generator=generator())
    assert torch.equal(layer.eval()(x)[0], layer(x)[0])
    layer.train()
    assert (layer(x)[0] != layer(x)[0]).any()


# ------------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize(("max_delay", "epochs", "start"), [(24, 150, 12.0), (30, 60, 15.0)])
def test_widths_are_the_papers(max_delay, epochs, start):
    layer, width = DelayedLinear(1, 1, max_delay), start
    schedule = DelaySchedule(epochs, straight_through=None, freeze=None)
    assert float(layer.width) == start
    for epoch in range(epochs):
        schedule(layer, epoch)
        assert float(layer.width) == pytest.approx(max(width, 0.23), rel=1e-5)
        if epoch < epochs // 4 and width > 0.23:
            width *= (0.23 / start) ** (1.0 / (epochs // 4))
    assert layer.mode == "kernel" and float(layer.width) == pytest.approx(0.23)


def test_modes_follow_the_epochs_and_recurrent_widths_their_own_paper():
    net = Sequential(DelayedLinear(2, 3, 24), RecurrentDelays(LIF(3), 9))
    schedule = DelaySchedule(40, straight_through=0.5, freeze=0.75)
    modes = []
    for epoch in range(40):
        schedule(net, epoch)
        modes.append((net[0].mode, net[1].mode))
        if epoch < 30:
            assert float(net[1].width) == pytest.approx(10.0 * 0.95 ** (100.0 * epoch / 40), rel=1e-5)
    assert modes == [("kernel",) * 2] * 20 + [("straight-through",) * 2] * 10 + [("rounded",) * 2] * 10


def test_rates_are_torchs_one_cycle_and_cosine():
    net = Sequential(DelayedLinear(2, 3, 24), nn.BatchNorm1d(3))
    groups = parameter_groups(net)
    sizes = [sum(p.numel() for p in group["params"]) for group in groups]
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(1e-3, 1e-5), (1e-3, 0.0), (0.1, 0.0)] and sizes == [6, 6, 6]
    ours, spare = torch.optim.Adam(groups), nn.Parameter(torch.zeros(1))
    rates = delay_rates(ours, 30)
    one, two = torch.optim.Adam([spare], lr=1e-3), torch.optim.Adam([spare], lr=0.1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(one, 5e-3, total_steps=30)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(two, 30)
    for epoch in range(30):
        wanted = [one.param_groups[0]["lr"]] * 2 + [two.param_groups[0]["lr"]]
        assert [group["lr"] for group in ours.param_groups] == pytest.approx(wanted, rel=1e-6)
        for thing in (ours, one, two):
            thing.step()
        rates.step()
        cosine.step()
        if epoch < 29:
            cycle.step()


@pytest.mark.parametrize(("sizes", "count", "max_delay", "wanted"), [
    ((140, 256, 256, 20), 1, 24, 214_016), ((140, 512, 512, 35), 1, 30, 705_536), ((140, 512, 512, 35), 2, 30, 1_409_024),
    ((140, 512, 512, 512, 35), 1, 30, 1_230_848), ((140, 512, 512, 512, 35), 2, 30, 2_458_624)])
def test_the_papers_nets_have_the_papers_parameters(sizes, count, max_delay, wanted):
    parts = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:]):
        parts += [DelayedLinear(n_in, n_out, max_delay, kernel_count=count), nn.BatchNorm1d(n_out), LIF(n_out)]
    net = Sequential(*parts[:-2], LI(sizes[-1]))
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == wanted


def test_delays_start_within_their_range_and_are_a_function_of_the_seed():
    one, same, other = (DelayedLinear(50, 40, 24, generator=generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.delay, same.delay) and torch.equal(one.weight, same.weight) and not torch.equal(one.delay, other.delay)
    assert one.delay.min() == 0.0 and one.delay.max() == 24.0
    assert abs(one.delay.mean() - 12.0) < 0.5 and abs(one.delay.std() - 25.0 / math.sqrt(12.0)) < 0.3
    assert one.weight.abs().max() <= math.sqrt(6.0 / 50)
    with torch.no_grad():
        one.delay[0, 0, 0], one.delay[0, 1, 0] = -3.0, 99.0
    clamp_delays(one)
    assert one.delay[0, :2, 0].tolist() == [0.0, 24.0]


def test_modes_survive_saving():
    one, two = DelayedLinear(3, 2, 9, generator=generator(1)), DelayedLinear(3, 2, 9, generator=generator(2))
    two.load_state_dict(one.round_().state_dict())
    assert two.mode == "rounded" and torch.equal(two.delay, one.delay)


# ------------------------------------------------------------------------------------------- learning


def toy(n, seed, times):
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(n) % len(times))
    when = np.clip(times[target] + np.rint(rng.normal(0, 1, (n, times.shape[1]))).astype(int), 0, 39)
    x = np.zeros((n, 40, times.shape[1]), np.float32)
    x[np.arange(n)[:, None], when, np.arange(times.shape[1])] = 1
    return torch.from_numpy(x), torch.from_numpy(target)


def test_learnt_delays_beat_fixed_ones_and_rounding_costs_nothing():
    times = np.random.default_rng(1).integers(0, 40, (10, 20))
    train, test = toy(400, 2, times), toy(200, 3, times)

    def run(arm):
        one = generator(1)
        net = Sequential(DelayedLinear(20, 16, 24 if arm != "none" else 0, generator=one), nn.BatchNorm1d(16),
                         LIF(16, tau_m=1.005, decay="euler", surrogate=Surrogate("atan", 5.0)),
                         DelayedLinear(16, 10, 0, generator=one).round_(), LI(10, tau_m=1.005, decay="euler"))
        if arm == "fixed":
            round_delays(net)
        optimiser = torch.optim.Adam(parameter_groups(net))
        schedule = DelaySchedule(24)
        schedule(net)
        fit(net, train, epochs=24, batch_size=25, optimiser=optimiser, schedule=delay_rates(optimiser, 24), readout=sum_of_softmax,
            after_batch=clamp_delays, after_epoch=schedule, progress=False)
        return rounding_gap(net, lambda one: evaluate(one, test, readout=sum_of_softmax)["accuracy"])

    none, fixed, (before, after) = run("none")[1], run("fixed")[1], run("learnt")
    assert none < fixed < after and after > 0.85
    assert abs(before - after) <= 0.01


def test_batch_norm_is_estimated_anew_with_whole_delays():
    net = Sequential(DelayedLinear(4, 3, 12, width=2.0, generator=generator()), nn.BatchNorm1d(3))
    x = torch.rand(50, 8, 4, generator=generator())
    net.train()
    net(x)
    refresh_batch_norm(net, x, batch_size=8)
    inner = rounded(net)[0](x)[0].flatten(0, 1)
    assert net.training
    assert torch.allclose(net[1].running_mean, inner.mean(0), atol=1e-6) and torch.allclose(net[1].running_var, inner.var(0), rtol=1e-4)


def test_batch_norm_stays_in_the_last_phase_of_a_schedule_and_not_after_it():
    net, schedule = Sequential(DelayedLinear(4, 3, 12), nn.BatchNorm1d(3)), DelaySchedule(8, freeze=0.75)
    x = torch.rand(20, 8, 4, generator=generator())
    moved = []
    for epoch in range(9):
        schedule(net, epoch)
        before = net[1].running_mean.clone()
        net.train()(x)
        moved.append(bool((net[1].running_mean != before).any()))
    assert moved == [True] * 6 + [False] * 2 + [True]
    schedule(net, 6)
    with pytest.raises(ParameterError, match="kept as it is by something"):
        refresh_batch_norm(net, x)


@pytest.mark.parametrize("stop", [3, 7])
def test_a_resumed_training_with_a_schedule_is_one_without_a_break(tmp_path, stop):
    x = (torch.rand(24, 12, 4, generator=generator()) < 0.3).float()
    targets = torch.arange(24) % 3

    def trained(last, path):
        net = Sequential(DelayedLinear(4, 3, 6, generator=generator()), nn.BatchNorm1d(3), LIF(3))
        adam = torch.optim.Adam(parameter_groups(net, lr=0.01))
        fit(net, (x, targets), epochs=last, batch_size=8, optimiser=adam, after_batch=clamp_delays, after_epoch=DelaySchedule(8),
            checkpoint=path, progress=False)
        return net.state_dict()

    whole = trained(8, None)
    trained(stop, tmp_path / "training.pt")
    parts = trained(8, tmp_path / "training.pt")
    assert all(torch.equal(one, parts[name]) for name, one in whole.items())


# ------------------------------------------------------------------------------------------- deployment


def deep_net(seed):
    one = generator(seed)
    net = Sequential(DelayedLinear(8, 12, 14, kernel_count=2, generator=one), nn.BatchNorm1d(12),
                     RecurrentDelays(LIF(12, tau_m=3.0), 11, generator=one), DelayedLinear(12, 7, 9, bias=True, site="axon", generator=one),
                     LIF(7, tau_m=4.0), DelayedLinear(7, 3, 6, site="dendrite", generator=one), LI(3, tau_m=4.0)).double()
    with torch.no_grad():
        net[3].weight.mul_(3.0)
        net[3].bias.fill_(0.05)
    return net


@pytest.mark.parametrize("seed", [1, 2])
def test_the_engine_has_the_same_spikes_for_every_neuron_and_step(seed):
    net = deep_net(seed)
    x = (torch.rand(60, 3, 8, generator=generator(seed)) < 0.2).double()
    net.train()
    net(x)
    round_delays(net).eval()
    with torch.no_grad():
        sent = net.activity(x)
    deployed = to_network(net, 1.0, 8)
    for b in range(x.shape[1]):
        deployed.set_input(x[:, b].numpy())
        result = Simulation(deployed.network, dt=1.0).run(deployed.duration(60))
        for name in ("2", "4"):
            assert 0.01 < float(sent[name][:, b].mean()) < 0.9
            assert np.array_equal(deployed.spikes(result, name, 60), sent[name][:, b].numpy())
        assert np.allclose(deployed.output(result, 60), sent["6"][:, b].numpy(), atol=1e-12)


def test_layers_that_are_not_rounded_are_not_deployed():
    net = deep_net(1)
    net[0].round_()
    with pytest.raises(NetworkError, match=r"2.*RecurrentDelays has delays that are not whole steps.*round_delays"):
        to_network(net, 1.0, 8)
    net = deep_net(1)
    net[2].round_()
    with pytest.raises(NetworkError, match="0.*DelayedLinear has delays that are not whole steps"):
        to_network(net, 1.0, 8)
    round_delays(net)
    with pytest.raises(NetworkError, match="DelayedLinear is for 8 values"):
        to_network(net, 1.0, 9)


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(("change", "message"), [
    ({"n_in": 0}, "n_in must be a whole number >= 1, got 0"), ({"max_delay": 2.5}, "max_delay must be a whole number >= 0, got 2.5"),
    ({"kernel": "box"}, "kernel must be one of gauss, max, triangle, got 'box'"), ({"site": "soma"}, "site must be one of"),
    ({"width": -1.0}, "width must be >= 0 steps, got -1.0"), ({"kernel_count": 0}, "kernel_count must be")])
def test_bad_layers_are_refused(change, message):
    with pytest.raises(ParameterError, match=message):
        DelayedLinear(**({"n_in": 3, "n_out": 2, "max_delay": 5} | change))


def test_bad_calls_are_refused():
    layer = DelayedLinear(3, 2, 5)
    with pytest.raises(ParameterError, match=r"shape \(T, B, 3\), got \(4, 3\)"):
        layer(torch.zeros(4, 3))
    with pytest.raises(ParameterError, match="mode must be one of"):
        layer.mode = "soft"
    padded = DelayedLinear(3, 2, 5, pad_right=True)
    with pytest.raises(ParameterError, match="without a state"):
        padded(torch.zeros(4, 1, 3), torch.zeros(5, 1, 3))
    with pytest.raises(ParameterError, match="needs neurons that spike"):
        RecurrentDelays(LI(3), 4)
    with pytest.raises(ParameterError, match=r"delay must lie within 0 ... 4 steps"):
        RecurrentDelays(LIF(3), 4, (2.0, 5.0))
    with pytest.raises(ParameterError, match="dropout must be"):
        RecurrentDelays(LIF(3), 4, dropout=1.0)
    with pytest.raises(ParameterError, match=r"input must have shape \(steps, batch, 3\)"):
        RecurrentDelays(LIF(3), 4)(torch.zeros(5, 1, 2))
    with pytest.raises(ParameterError, match="straight_through must be a part"):
        DelaySchedule(10, straight_through=5)
    with pytest.raises(ParameterError, match="epochs must be a whole number"):
        DelaySchedule(0)


def test_copies_are_independent():
    net = deep_net(1)
    other = rounded(net)
    assert other[0].mode == "rounded" and net[0].mode == "kernel" and copy.deepcopy(other)[2].mode == "rounded"
