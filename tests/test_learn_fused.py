"""The kernels of the time loop against torch's autograd of a plain loop over steps: outputs, states and every gradient."""

import copy
import itertools

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings, strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from neurosim.learn import LI, LIF, AdaptiveLIF, Recurrent, Sequential, Surrogate  # noqa: E402
from neurosim.learn import functional, fused  # noqa: E402
from neurosim.learn.surrogate import _SLOPES  # noqa: E402

F64 = torch.float64
SURROGATES = sorted(_SLOPES)
NEURONS = {
    "LIF": (LIF, {"tau_m": 4.0, "v_thresh": 0.9}, ("tau_m", "v_thresh")),
    "LIF with a synapse": (LIF, {"tau_m": 4.0, "tau_syn": 2.5}, ("tau_m", "v_thresh", "tau_syn")),
    "AdaptiveLIF": (AdaptiveLIF, {"tau_m": 5.0, "tau_adapt": 6.0, "beta": 0.3}, ("tau_m", "v_thresh", "tau_adapt", "beta")),
    "AdaptiveLIF with a synapse": (AdaptiveLIF, {"tau_m": 5.0, "tau_syn": 2.0, "tau_adapt": 6.0},
                                   ("tau_m", "v_thresh", "tau_syn", "tau_adapt", "beta")),
}


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=1, dtype=F64):
    return torch.randn(*shape, generator=generator(seed), dtype=F64).to(dtype)


def spikes(*shape, p=0.1, seed=1, dtype=F64):
    return (torch.rand(*shape, generator=generator(seed), dtype=F64) < p).to(dtype)


def both(neurons, x, own=None, product=None, dtype=F64):
    """(names, kernel's numbers, plain loop's numbers): output, states, and gradients of a loss by all that has one."""
    neurons = neurons.to(dtype)
    found = []
    for run in (functional.neuron_loop, functional.plain_loop):
        drive = x.detach().clone().requires_grad_()
        zeros = neurons.initial(x if product is None else x.new_zeros(*x.shape[:2], len(product[0])))
        start = {name: (0.4 * normal(*one.shape, seed=7 + place, dtype=dtype)).requires_grad_()
                 for place, (name, one) in enumerate(zeros.items())}
        weight = None
        if own is not None:
            weight = own.detach().clone().requires_grad_()
            start["s"] = spikes(*start["v"].shape, p=0.3, seed=5, dtype=dtype).requires_grad_()
        linear = [] if product is None else [one.detach().clone().requires_grad_() for one in product]
        given_x = drive
        if product is not None:
            given_x = functional.Product(drive, *linear) if run is functional.neuron_loop else nn.functional.linear(drive, *linear)
        neurons.zero_grad()
        y, after = run(given_x, start, neurons.cell(), weight)
        loss = (y * normal(*y.shape, seed=2, dtype=dtype)).sum()
        loss = loss + sum((one * normal(*one.shape, seed=3, dtype=dtype)).sum() for one in after.values())
        loss.backward()
        values = {"y": y, "x": drive.grad, **{f"{name} after": one for name, one in after.items()},
                  **{f"{name} before": one.grad for name, one in start.items()},
                  **{name: one.grad for name, one in neurons.named_parameters()},
                  **({} if weight is None else {"own": weight.grad}),
                  **{f"linear {place}": one.grad for place, one in enumerate(linear)}}
        found.append({name: one.detach().clone() for name, one in values.items()})
    return found


def compare(found, relative=1e-12):
    """Numbers agree, relative to the largest of their kind; spikes are equal."""
    kernels, plain = found
    assert kernels.keys() == plain.keys()
    assert torch.equal(kernels["y"], plain["y"]) or relative > 1e-9 or "s after" not in kernels
    for name, one in plain.items():
        size = one.abs().max()
        assert torch.isfinite(one).all(), name
        assert (kernels[name] - one).abs().max() <= relative * size + 1e-300, (name, (kernels[name] - one).abs().max() / size)


@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize(("reset", "detach", "looped"), list(itertools.product(("zero", "subtract"), (True, False), (True, False))))
def test_every_neuron_reset_and_loop(kind, reset, detach, looped):
    make, values, train = NEURONS[kind]
    for place, name in enumerate(SURROGATES):
        neurons = make(5, reset=reset, detach_reset=detach, surrogate=name, train=train, **values)
        x = 0.5 + 0.8 * normal(11, 3, 5, seed=20 + place)
        found = both(neurons, x, own=0.6 * normal(5, 5, seed=4) if looped else None)
        assert 0.02 < found[1]["y"].mean() < 0.9
        assert all(one.abs().max() > 0 for one in found[1].values())
        compare(found)
    assert place == 6


@pytest.mark.parametrize("synapse", [None, 3.0])
def test_integrators(synapse):
    neurons = LI(4, tau_m=6.0, tau_syn=synapse, train=("tau_m", "tau_syn") if synapse else ("tau_m",))
    compare(both(neurons, normal(13, 3, 4)))


@pytest.mark.parametrize("p", [0.0, 0.05, 0.9], ids=["silent", "sparse", "dense"])
@pytest.mark.parametrize("kind", [*NEURONS, "LI"])
def test_products_are_part_of_the_loop(kind, p):
    make, values, train = {**NEURONS, "LI": (LI, {"tau_m": 5.0}, ("tau_m",))}[kind]
    product = 1.5 * normal(6, 40, seed=8), 0.4 + normal(6, seed=9)
    x = spikes(12, 9, 40, p=p)
    assert (fused.entries(x) is None) == (p == 0.9)
    looped = None if kind == "LI" else 0.5 * normal(6, 6, seed=4)
    found = both(make(6, train=train, **values), x, looped, product)
    compare(found)
    assert found[0]["y"].any()


@given(steps=st.integers(1, 9), batch=st.integers(1, 40), n=st.integers(1, 70), m=st.integers(1, 40), p=st.sampled_from([0.02, 0.15, 0.6]),
       double=st.booleans(), looped=st.booleans())
@settings(max_examples=15)
def test_any_shape(steps, batch, n, m, p, double, looped):
    dtype = F64 if double else torch.float32
    product = 2.0 * normal(n, m, seed=8, dtype=dtype), normal(n, seed=9, dtype=dtype)
    own = 0.3 * normal(n, n, seed=4, dtype=dtype) if looped else None
    found = both(AdaptiveLIF(n, tau_m=5.0, tau_syn=2.0), spikes(steps, batch, m, p=p, dtype=dtype), own, product, dtype)
    if torch.equal(found[0]["y"], found[1]["y"]):  # in single precision a sum in another order may tip a spike
        compare(found, 1e-12 if double else 3e-5)
    else:
        assert not double


def test_single_precision_of_one_layer_is_within_1e_6():
    """Without products nothing is summed in another order on the way forward: spikes are equal to the last one."""
    x = 0.3 + 0.8 * normal(100, 32, 48, dtype=torch.float32)
    for reset in ("zero", "subtract"):
        found = both(LIF(48, tau_m=8.0, reset=reset, train=("tau_m", "v_thresh")), x, dtype=torch.float32)
        assert torch.equal(found[0]["y"], found[1]["y"])
        compare(found, 1e-6)


def test_shapes_of_cells_and_parameters_for_each():
    neurons = LIF((3, 4, 5), tau_m=5.0 + torch.rand(3, 1, 1, generator=generator()), v_thresh=torch.linspace(0.5, 1.5, 60).view(3, 4, 5),
                  train=("tau_m",))
    assert neurons.tau_m.shape == (3, 4, 5) and neurons.v_thresh.shape == (3, 4, 5)
    compare(both(neurons, 0.4 + normal(7, 2, 3, 4, 5)))
    y, state = LIF(tau_m=3.0)(normal(7, 2, 3, 4, 5, dtype=torch.float32))
    assert y.shape == (7, 2, 3, 4, 5) and state["v"].shape == (2, 3, 4, 5)


@pytest.mark.parametrize("p", [0.0, 0.03, 0.6])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_linear_takes_spikes_one_by_one(p, dtype):
    x = (spikes(6, 70, 33, p=p, dtype=dtype) * normal(6, 70, 33, seed=6, dtype=dtype)).requires_grad_()
    weight, bias = normal(21, 33, seed=2, dtype=dtype).requires_grad_(), normal(21, seed=3, dtype=dtype).requires_grad_()
    out = []
    for run in (functional.linear, nn.functional.linear):
        for one in (x, weight, bias):
            one.grad = None
        y = run(x, weight, bias)
        (y * normal(6, 70, 21, seed=4, dtype=dtype)).sum().backward()
        out.append((y.detach(), x.grad, weight.grad, bias.grad))
    for one, other in zip(*out):
        assert (one - other).abs().max() <= (1e-13 if dtype == F64 else 2e-6) * max(1.0, other.abs().max())


def net_of(dtype=torch.float32, **options):
    torch.manual_seed(3)
    net = Sequential(nn.Linear(30, 40), LIF(40, tau_m=8.0, **options), nn.Linear(40, 24), Recurrent(AdaptiveLIF(24, tau_syn=3.0)),
                     nn.Linear(24, 5), LI(5))
    with torch.no_grad():
        for one in (net[0], net[2]):
            one.weight *= 5.0
    return net.to(dtype)


def gradients(net, x, state=None):
    net.zero_grad()
    y, state = net(x, state)
    (y * normal(*y.shape, seed=2, dtype=x.dtype)).sum().backward()
    return {name: one.grad.clone() for name, one in net.named_parameters()}


def test_listed_spikes_and_pictures_of_a_net_agree():
    """A net that hands lists of spikes from layer to layer, and layers called one by one with full tensors."""
    net, x = net_of(F64), spikes(20, 6, 30)
    y, after = net(x)
    sent = net.activity(x)
    assert torch.equal(sent["5"], y) and sent["3"].mean() > 0.01 and sent["1"].mean() > 0.01
    hidden, _ = net[1](nn.functional.linear(x, net[0].weight, net[0].bias))
    assert torch.equal(hidden, sent["1"])
    again, state = net(x[:9])
    rest, state = net(x[9:], state)
    assert torch.equal(torch.cat([again, rest]), y)
    for name, value in after["3"].items():
        assert torch.equal(value, state["3"][name])


def test_lists_of_spikes_do_not_outlive_a_change():
    spiking, _ = LIF(40, tau_m=8.0)(0.5 * normal(10, 4, 40, dtype=torch.float32))
    weight = normal(3, 40, dtype=torch.float32)
    before = functional.linear(spiking, weight)
    spiking.mul_(2.0)
    after = functional.linear(spiking, weight)
    assert before.any() and torch.allclose(after, 2.0 * before)


def test_copies_and_files_of_spikes_are_tensors_only(tmp_path):
    with torch.no_grad():
        spiking, _ = LIF(40, tau_m=8.0)(0.5 * normal(10, 4, 40, dtype=torch.float32))
    torch.save(spiking, tmp_path / "spikes.pt")
    assert (tmp_path / "spikes.pt").stat().st_size < 2 * spiking.numel() * 4
    for one in (torch.load(tmp_path / "spikes.pt", weights_only=False), copy.deepcopy(spiking)):
        assert torch.equal(one, spiking) and torch.equal(functional.linear(one, torch.eye(40)), spiking)


def test_hooks_see_what_layers_do():
    net, x, seen = net_of(), spikes(5, 3, 30, dtype=torch.float32), []
    plain, _ = net(x)
    handles = [net[0].register_forward_hook(lambda m, args, out: seen.append(out)),
               net[2].register_forward_pre_hook(lambda m, args: seen.append(args[0]))]
    watched, _ = net(x)
    assert [one.shape[-1] for one in seen] == [40, 40] and torch.allclose(watched, plain)
    for handle in handles:
        handle.remove()


def test_threads_change_nothing(monkeypatch):
    """Where products go spike by spike; dense ones are torch's, which may sum in another order on more threads."""
    monkeypatch.setattr(fused, "SPARSE", 0.9)
    net, x = net_of(), spikes(15, 33, 30, dtype=torch.float32)
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append((net(x)[0].detach(), gradients(net, x)))
    finally:
        torch.set_num_threads(threads)
    for y, grads in found[1:]:
        assert torch.equal(y, found[0][0])
        for name, one in grads.items():
            assert torch.equal(one, found[0][1][name]), name


def test_memory_is_used_again_only_when_it_is_free():
    x = 0.5 + normal(300, 40, 30, dtype=torch.float32)
    layer = LIF(30, tau_m=4.0)
    first, _ = layer(x)
    copy = first.clone()
    for _ in range(3):
        layer(x + 1.0)
    assert torch.equal(first, copy)


def test_what_needs_no_gradient_gets_none():
    x = normal(8, 3, 30, dtype=torch.float32)
    net = Sequential(nn.Linear(30, 10), LIF(10, tau_m=4.0))
    net.requires_grad_(False)
    assert not net(x)[0].requires_grad
    net[0].bias.requires_grad_(True)
    net(x)[0].sum().backward()
    assert net[0].weight.grad is None and net[0].bias.grad is not None and x.grad is None
    with torch.no_grad():
        assert not net(x)[0].requires_grad


def test_second_derivatives_are_the_plain_loops():
    x = (0.5 + normal(6, 2, 4)).requires_grad_()
    layer = LIF(4, tau_m=4.0).double()
    first, = torch.autograd.grad(functional.plain_loop(x, layer.initial(x), layer.cell())[0].sum(), x, create_graph=True)
    assert torch.autograd.grad((first**2).sum(), x)[0].abs().sum() > 0
    first, = torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable|does not require grad"):
        torch.autograd.grad((first**2).sum(), x)


def test_other_types_of_numbers_go_step_by_step():
    x = normal(6, 2, 4).to(torch.bfloat16)
    y, state = LIF(4, tau_m=4.0).to(torch.bfloat16)(x)
    assert y.dtype == torch.bfloat16 and state["v"].dtype == torch.bfloat16


@pytest.mark.parametrize("name", SURROGATES)
def test_the_smooth_twin_has_the_surrogates_gradient(name):
    """A spike made smooth (the integral of the slope) has the surrogate as its derivative; the kernel's backward is that of the
    plain loop with it, tested by finite differences where nothing is discontinuous: one step, no reset of what follows."""
    slope = Surrogate(name)
    u = torch.linspace(-0.9, 0.9, 31, dtype=F64) + 0.013
    grid = torch.linspace(-1.0, 1.0, 200001, dtype=F64)
    area = torch.cumulative_trapezoid(slope.slope(grid), grid)
    index = ((u + 1.0) / 1e-5).round().long()
    width = 100
    by_differences = (area[index + width - 1] - area[index - width - 1]) / (2 * width * 1e-5)
    x = (u + 1.0).view(1, 1, -1).clone().requires_grad_()
    y, _ = LIF(31, surrogate=slope).double()(x)
    y.sum().backward()
    near_a_corner = (u.abs() - {"boxcar": 0.5, "triangle": 1.0}.get(name, 9.0)).abs() < 2e-3
    assert torch.allclose(x.grad.flatten()[~near_a_corner], by_differences[~near_a_corner], rtol=2e-4, atol=2e-4)
    assert near_a_corner.sum() < 4
