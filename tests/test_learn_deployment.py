"""Modules as networks and networks as modules: what is said of each layer, what is refused, and what comes back."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch, which is not installed")

from torch import nn  # noqa: E402

from neurosim import IF_curr_exp, Network, Simulation, SpikePairRule, SpikeSourceArray, SpikeSourcePoisson  # noqa: E402
from neurosim import AdditiveWeightDependence, AllToAllConnector, IF_curr_delta, STDPMechanism  # noqa: E402
from neurosim import maps, neuron  # noqa: E402
from neurosim.cells.euler import RESETS, EulerLIF  # noqa: E402
from neurosim.errors import NetworkError, ParameterError  # noqa: E402
from neurosim.leaky import EDGE, NEVER, leaky, time_constant  # noqa: E402
from neurosim.learn import (  # noqa: E402
    LI,
    LIF,
    AdaptiveLIF,
    Layer,
    Recurrent,
    Residual,
    Sequential,
    describe,
    from_network,
    to_network,
)
from neurosim.signals import Signal, own  # noqa: E402
from neurosim.stack import Cells, Connection, Stack, shape_after  # noqa: E402

STEPS = 40


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def linear(n_in, n_out, gain=3.0, bias=True, seed=1):
    layer = nn.Linear(n_in, n_out, bias=bias)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in layer.parameters():
            one.copy_((2.0 * torch.rand(one.shape, generator=draws) - 1.0) * (gain if one.dim() > 1 else 0.3) / n_in**0.5)
    return layer


def spikes(*shape, rate=0.25, seed=5, dtype=torch.float64):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).to(dtype)


def ready(net):
    return net.double().eval()


def sent(net, x):
    with torch.no_grad():
        return net(x)[0].numpy()


# ----------------------------------------------------------------------------------- linear maps


def some_batch_norm(kind, n):
    layer = kind(n)
    draws = torch.Generator().manual_seed(2)
    for held in (layer.running_mean, layer.running_var, layer.weight.data, layer.bias.data):
        held.copy_(torch.rand(n, generator=draws) + 0.1)
    return layer


LINEAR = {
    "Linear": (lambda: linear(6, 4), (6,)),
    "Linear without bias": (lambda: linear(6, 4, bias=False), (6,)),
    "Linear of several rows": (lambda: linear(5, 4), (3, 5)),
    "Conv1d": (lambda: nn.Conv1d(2, 4, 3, stride=2, padding=1, dilation=2, groups=2), (2, 9)),
    "Conv2d": (lambda: nn.Conv2d(3, 2, (3, 2), padding=(1, 0)), (3, 5, 4)),
    "Conv2d same": (lambda: nn.Conv2d(3, 2, 3, padding="same", bias=False), (3, 5, 4)),
    "Conv3d": (lambda: nn.Conv3d(1, 2, 2), (1, 3, 4, 3)),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), (3, 8)),
    "AvgPool2d": (lambda: nn.AvgPool2d((2, 3), stride=(1, 2), padding=(1, 1)), (2, 5, 7)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, 1)), (2, 4, 3)),
    "Flatten": (lambda: nn.Flatten(), (2, 3, 4)),
    "Flatten from 2": (lambda: nn.Flatten(2), (2, 3, 4)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 3)), (6,)),
    "BatchNorm1d": (lambda: some_batch_norm(nn.BatchNorm1d, 4), (4,)),
    "BatchNorm2d": (lambda: some_batch_norm(nn.BatchNorm2d, 3), (3, 2, 4)),
    "Dropout": (lambda: nn.Dropout(0.5), (4,)),
    "Identity": (lambda: nn.Identity(), (4, 2)),
    "nn.Sequential": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(12, 5)), (1, 4, 5)),
}


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_layer_is_its_map(name):
    make, shape = LINEAR[name]
    layer = make().double().eval()
    x = torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    stack = Stack({"input": shape})
    signal = stack.add(describe(layer, shape, 1.0), own("input", shape))
    with torch.no_grad():
        wanted = layer(x)
    assert signal.shape == tuple(wanted.shape[1:])
    made = sum(one.applied(x.numpy().reshape(3, -1)) for one in signal.terms.values())
    made = made + sum(signal.constant.values(), np.zeros(signal.size))
    np.testing.assert_allclose(made.reshape(wanted.shape), wanted.numpy(), rtol=1e-12, atol=1e-12)


def test_all_known_layers_are_tested():
    """A layer of torch's own that is registered has a line above."""
    known = {kind.__name__ for kind in describe.registry if kind.__module__.startswith("torch.")}
    tested = {type(make()).__name__ for make, _ in LINEAR.values()}
    like = {"AvgPool3d": "AvgPool2d", "BatchNorm3d": "BatchNorm2d", "Dropout1d": "Dropout", "Dropout2d": "Dropout",
            "Dropout3d": "Dropout", "FeatureAlphaDropout": "Dropout",
            "AlphaDropout": "Dropout", "AdaptiveAvgPool1d": "AdaptiveAvgPool2d"}
    assert len(known) > 10
    assert {like.get(name, name) for name in known} <= tested


def test_connections_in_series_add_their_delays():
    """Of each pair of cells there is a synapse for each way, with the delays of the way added."""
    one = Connection(maps.dense(np.array([[1.0, 2.0], [0.0, 3.0]])), (2,), np.array([0, 2, 5]))
    two = Connection(maps.dense(np.array([[1.0, 10.0]])), (1,), np.array([1, 4]), bias=np.array([0.5]))
    bias = Connection(maps.diagonal(np.ones(2)), (2,), bias=np.array([1.0, 2.0]))
    signal = two.of(bias.of(one.of(own("x", (2,))))).real()
    found = {ago: signal.terms["x", ago].array().tolist() for _, ago in signal.terms}
    assert found == {1: [[1.0, 0.0]], 3: [[0.0, 2.0]], 9: [[0.0, 30.0]]}
    assert {late: vector.tolist() for late, vector in signal.constant.items()} == {0: [0.5], 1: [1.0], 4: [20.0]}


def test_a_connection_of_wrong_sizes_is_refused():
    with pytest.raises(ParameterError, match=r"3 outputs, shape \(3,\), got weights of shape \(2, 2\)"):
        Connection(maps.diagonal(np.ones(2)), (3,))
    for delays in (np.array([1, 2, 3]), -1, 0.5):
        with pytest.raises(ParameterError, match="Connection.delays must be whole numbers of steps >= 0"):
            Connection(maps.diagonal(np.ones(2)), (2,), delays)
    with pytest.raises(ParameterError, match="must be finite"):
        Connection(maps.diagonal(np.array([1.0, np.nan])), (2,))


# ----------------------------------------------------------------------------------- cells


def test_native_cells_are_taken_where_they_do_the_same():
    def kind(**more):
        return type(leaky((2,), 0.9, 1.0, **more).cell).__name__

    assert kind() == kind(strict=True) == kind(spiking=False) == "IF_curr_delta"
    assert kind(keep_syn=0.5) == kind(keep_syn=[0.5, 0.6], refractory=3) == "IF_curr_exp"
    assert type(leaky((2,), 1.0, 1.0).cell).__name__ == "IF_jump"
    assert {kind(reset=reset) for reset in RESETS[1:]} == {"EulerLIF"}
    assert kind(v_reset=2.0) == kind(keep_syn=0.0, v_reset=1.0).replace("Cuba", "") == "EulerLIF"
    assert kind(adapt=(0.9, 0.1)) == kind(adapt=(0.9, 0.1), keep_syn=0.5) == "EulerAdaptiveLIF"
    cells = leaky((2,), 0.9, 0.5, keep_syn=0.5)
    assert cells.lag == 1 and type(cells.instead.cell).__name__ == "EulerCubaLIF" and cells.instead.lag == 0
    assert leaky((2,), np.exp(-1 / 20), 0.1).cell.tau_m == 2.0, "time constants that one would write"
    assert np.exp(-0.1 / time_constant(0.123456789, 0.1)) == pytest.approx(0.123456789, rel=1e-14)
    assert leaky((2,), 0.9, 1.0, v_thresh=2.0).cell.v_thresh == 2.0 * (1 - EDGE) < 2.0
    assert leaky((2,), 0.9, 1.0, v_thresh=2.0, strict=True).cell.v_thresh > 2.0
    assert leaky((2,), 0.9, 1.0, spiking=False).cell.v_thresh == NEVER
    for message, given in {"reset must be one of value, subtract": {"reset": "soft"}, "keep must be finite": {"gain": 1.0, "keep": np.inf},
                           "refractory time decay exactly": {"reset": "subtract", "refractory": 2},
                           "v_thresh must be one number or one for each of 2 cells": {"v_thresh": [1.0, 2.0, 3.0]},
                           "reset must be 'value' or 'subtract', got 'late value'": {"adapt": (0.9, 0.1), "reset": "late value"}}.items():
        with pytest.raises(ParameterError, match=message):
            leaky(**{"shape": (2,), "keep": 0.9, "dt": 1.0, **given})


@pytest.mark.parametrize("make", [lambda: LIF(1, tau_m=7.0), lambda: LIF(1, tau_m=7.0, reset="subtract")], ids=["zero", "subtract"])
def test_what_just_reaches_the_threshold(make):
    """Weights equal to the threshold, from rest, at many steps: rounding does not decide."""
    net = ready(Sequential(nn.Linear(1, 1, bias=False), make()))
    nn.init.ones_(net[0].weight)
    x = torch.zeros(2000, 1, 1, dtype=torch.float64)
    x[::13] = 1.0
    wanted = sent(net, x)
    assert wanted.sum() == len(x[::13])
    assert np.array_equal(to_network(net).run(x), wanted)


def test_potentials_are_scaled_and_nothing_changes():
    net = ready(Sequential(linear(6, 8), LIF(8), linear(8, 5), AdaptiveLIF(5, tau_syn=4.0), linear(5, 2), LI(2, tau_syn=3.0)))
    x = spikes(STEPS, 6)
    one, many = to_network(net, scale=1.0), to_network(net, scale=1024.0)
    assert many.populations["1"].cell.v_thresh == 1024.0 * one.populations["1"].cell.v_thresh
    assert np.array_equal(one.run(x), many.run(x)), "a power of 2 changes no rounding"
    np.testing.assert_allclose(to_network(net, scale=3.7).run(x), sent(net, x[:, None])[:, 0], rtol=1e-9, atol=1e-12)


def test_steps_of_any_length():
    net = ready(Sequential(linear(6, 8), LIF(8, tau_syn=4.0), linear(8, 5), LIF(5), linear(5, 2), LI(2)))
    x = spikes(STEPS, 3, 6)
    for dt in (0.1, 0.5, 2.0):
        deployed = to_network(net, dt)
        assert deployed.dt == dt and deployed.populations["1"].cell.tau_m == 20.0 * dt
        np.testing.assert_allclose(deployed.run(x), sent(net, x), rtol=1e-9, atol=1e-12)


# ----------------------------------------------------------------------------------- stacks


def test_branches_meet_in_the_step_in_which_they_part():
    body = Sequential(linear(8, 8, seed=2), LIF(8, tau_syn=3.0), linear(8, 8, seed=3), LIF(8))
    net = ready(Sequential(linear(6, 8), LIF(8), Residual(body), linear(8, 8, seed=4), LIF(8, reset="subtract"),
                           Residual(linear(8, 4, seed=5), Sequential(linear(8, 4, seed=6), LIF(4))), linear(4, 3), LI(3)))
    x = spikes(STEPS, 2, 6)
    deployed = to_network(net)
    assert list(deployed.populations) == ["input", "bias", "1", "2.1.1", "2.1.3", "4", "5.1.1", "7"]
    np.testing.assert_allclose(deployed.run(x), sent(net, x), rtol=1e-9, atol=1e-12)
    with pytest.raises(NetworkError, match=r"branches that meet have shapes \(4,\) and \(5,\)"):
        to_network(ready(Sequential(linear(4, 4), LIF(4), Residual(linear(4, 4), linear(4, 5)))))
    with pytest.raises(ParameterError, match="at least one branch"):
        Residual()


def test_a_module_at_two_places():
    shared = linear(8, 8, seed=2)
    net = ready(Sequential(linear(6, 8), LIF(8), shared, LIF(8, tau_m=5.0), shared, LIF(8)))
    x = spikes(STEPS, 2, 6)
    assert sent(net, x).sum() > 10
    assert np.array_equal(to_network(net).run(x), sent(net, x))


@pytest.mark.parametrize("tau_syn", [None, 5.0])
def test_real_numbers_are_injected(tau_syn):
    net = ready(Sequential(linear(6, 8), LIF(8, tau_syn=tau_syn), linear(8, 5), LIF(5)))
    x = torch.randn(STEPS, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    deployed = to_network(net, analog=True)
    assert "input" not in deployed.populations and type(deployed.populations["1"].cell).__name__.startswith("IF_curr")
    assert 10 < sent(net, x).sum() < 0.9 * sent(net, x).size
    assert np.array_equal(deployed.run(x), sent(net, x))
    assert np.array_equal(deployed.run(x), sent(net, x)), "what was injected before is gone"
    with pytest.raises(ParameterError, match="takes spikes, whole numbers >= 0, got .*; made with analog=True it takes any numbers"):
        to_network(net).run(x)
    with pytest.raises(NetworkError, match="reads the analog input 'input' itself"):
        to_network(ready(Sequential(Residual(Sequential(linear(6, 6), LIF(6))))), analog=True, input_shape=6)


def test_a_bias_begins_with_the_first_step():
    """Through the membrane as a current, through a synapse as a source that spikes in every step; not a step early."""
    net = ready(Sequential(linear(4, 6), LIF(6), linear(6, 5), LIF(5, tau_syn=4.0), linear(5, 3), LI(3, tau_syn=4.0)))
    with torch.no_grad():
        for layer in (net[0], net[2], net[4]):
            layer.bias.copy_(torch.rand(layer.bias.shape, generator=torch.Generator().manual_seed(4)) + 0.05)
    x = torch.zeros(STEPS, 4, dtype=torch.float64)
    wanted = sent(net, x[:, None])[:, 0]
    deployed = to_network(net)
    assert wanted[0].all() and "bias" in deployed.populations and len(deployed.network.injections) == 6
    np.testing.assert_allclose(deployed.run(x), wanted, rtol=1e-9, atol=1e-12)


def test_the_result_is_an_ordinary_network(tmp_path):
    net = ready(Sequential(linear(6, 8), LIF(8), linear(8, 5, bias=False), Recurrent(LIF(5))))
    x = spikes(STEPS, 6)
    deployed = to_network(net, label="small")
    deployed.set_input(x)
    result = Simulation(deployed.network, dt=1.0).run(deployed.duration(STEPS))
    assert np.array_equal(deployed.spikes(result, "input", STEPS), x)
    assert deployed.offsets == {"input": 2, "1": 3, "3": 4}
    assert "small" in str(deployed.network.describe() if hasattr(deployed.network, "describe") else deployed.network.label)
    for message, call in {
        "has no layer 'x'; it has input, 1, 3": lambda: deployed.spikes(result, "x", STEPS),
        "has no Output 'y'": lambda: deployed.output(result, STEPS, "y"),
        r"takes values of shape \(steps, \*\(6,\)\), got \(3, 7\)": lambda: deployed.set_input(np.zeros((3, 7))),
        r"run takes values of shape \(steps, \*\(6,\)\) or": lambda: deployed.run(np.zeros((3, 2, 7))),
        "1000 steps of small take 1004 ms of the network": lambda: deployed.output(result, 1000),
    }.items():
        with pytest.raises(ParameterError, match=message):
            call()


# ----------------------------------------------------------------------------------- what is refused


class Wild(nn.Module):
    def forward(self, x):
        return x * x


REFUSED = {
    "trained: |2: Wild is neither a linear map nor a layer of cells": lambda: [linear(4, 4), LIF(4), Wild()],
    "ReLU is neither": lambda: [linear(4, 4), nn.ReLU(), LIF(4)],
    "'1' sends its potential at every step, to '3': only outputs may read": lambda: [linear(4, 4), LI(4), linear(4, 4), LIF(4)],
    r"Linear is for 5 values, what reaches it has shape \(4,\)": lambda: [linear(4, 4), LIF(4), linear(5, 2), LIF(2)],
    r"LIF is for cells of shape \(5,\), what reaches it has shape \(4,\)": lambda: [linear(4, 4), LIF(5)],
    "Conv1d is for 4 channels in 1 dimensions": lambda: [linear(4, 4), nn.Conv1d(4, 4, 1), LIF()],
    "padding_mode must be 'zeros', got 'circular'": lambda: [linear(4, 4), nn.Unflatten(1, (1, 4)),
                                                             nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), LIF()],
    "without running statistics": lambda: [linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False), LIF(4)],
    "ceil_mode, divisor_override": lambda: [linear(4, 4), nn.Unflatten(1, (1, 4)), nn.AvgPool1d(3, ceil_mode=True), LIF()],
    "it has no named layer of cells": lambda: [linear(4, 4)],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_counterpart_is_refused(message):
    with pytest.raises(NetworkError, match=message):
        to_network(Sequential(*REFUSED[message]()).eval())


def test_wrong_arguments():
    net = Sequential(linear(4, 4), LIF(4))
    for message, given in {"dt must be > 0 ms, got 0": {"dt": 0}, "scale must be > 0 mV": {"scale": -1.0},
                           "target must be None or 'spinnaker'": {"target": "loihi"}}.items():
        with pytest.raises(ParameterError, match=message):
            to_network(net, **given)
    with pytest.raises(ParameterError, match=r"takes at least one step, got \(0, 4\)"):
        to_network(net).run(np.zeros((0, 4)))
    with pytest.raises(ParameterError, match="input_shape must be given"):
        to_network(Sequential(nn.Conv2d(1, 1, 1), LIF()))
    with pytest.raises(NetworkError, match=r"SpiNNaker has no cells that do the same as 1 \(EulerLIF\)"):
        to_network(Sequential(linear(4, 4), LIF(4, reset="subtract")), target="spinnaker")
    assert "EulerLIF stays in the engine" in str(to_network(Sequential(linear(4, 4), LIF(4, reset="subtract"))).report[0])
    looped = to_network(Sequential(linear(4, 4), Recurrent(LIF(4, tau_syn=3.0))))
    assert [str(note) for note in looped.report] == ["1: EulerCubaLIF stays in the engine: no other simulator or machine has these cells;"
                                                     " with target='spinnaker' the loop has room for IF_curr_exp"]
    with pytest.raises(ParameterError, match="a description is a Connection"):
        shape_after("x", (1,))


def test_a_loop_without_room_is_refused():
    """Two populations that answer each other within a step have no offsets."""
    stack = Stack({"input": (1,)})
    cells = Cells(IF_curr_delta(), (1,))
    both = maps.diagonal(np.ones(1))
    stack.layers = {"a": (cells, Signal((1,), {("input", 0): both, ("b", 1): both})), "b": (cells, Signal((1,), {("a", 0): both}))}
    with pytest.raises(NetworkError, match=r"fewer steps than it has neurons \(a, b\)"):
        stack.deployed(1.0, "loop")
    stack.layers["a"] = cells, Signal((1,), {("input", 0): both, ("b", 2): both})
    assert stack.deployed(1.0, "loop").offsets == {"input": 0, "a": 1, "b": 2}


def test_a_layer_of_ones_own():
    class Held(Layer):
        """Spikes where the input is above 0.5, whatever was before."""

        def forward(self, x, state=None):
            return (x > 0.5).to(x.dtype), None

    @describe.register
    def _(module: Held, shape, dt):
        return Cells(EulerLIF(keep=0.0, v_thresh=0.5), shape, per_current=1.0)

    net = ready(Sequential(linear(6, 8, seed=9), Held(), linear(8, 3, seed=9), LIF(3)))
    x = spikes(STEPS, 2, 6)
    assert np.array_equal(to_network(net).run(x), sent(net, x)) and sent(net, x).any()


@neuron(parameters={"v_thresh": 0.5}, states={"v": 0.0}, receptors=("plus", "times"))
def Gated(s, p, x):
    """v <- v / 2 + plus (1 + times)."""
    s.v = 0.5 * s.v + x.plus * (1.0 + x.times)
    return s.v >= p.v_thresh


def test_cells_with_several_receptors():
    """Connections have an output for each cell and receptor, one receptor after the other; biases go through weights."""
    into = linear(6, 8, seed=4).double()
    loop = Connection(maps.dense(np.vstack([np.zeros((4, 4)), np.eye(4)])), (8,), 2)
    stack = Stack({"input": (6,)})
    gated = Cells(Gated(), (4,), receptor=("plus", "times"), loops=(loop,))
    stack.outputs["out"] = stack.add([describe(into, (6,), 1.0), gated], own("input", (6,)), "gated")
    x = spikes(STEPS, 6, rate=0.4)
    with torch.no_grad():
        plus, times = into(x).numpy()[:, :4], into(x).numpy()[:, 4:]
    v, wanted = np.zeros(4), np.zeros((STEPS + 3, 4))
    for t in range(STEPS):
        v = 0.5 * v + plus[t] * (1.0 + times[t] + wanted[t])
        wanted[t + 3] = v >= 0.5
    deployed = stack.deployed(1.0, "gated")
    assert "bias" in deployed.populations and 20 < wanted.sum() < 0.9 * wanted.size
    assert np.array_equal(deployed.run(x), wanted[3:])


# ----------------------------------------------------------------------------------- from_network

BACK = {
    "LIF": lambda: [linear(6, 8), LIF(8, v_thresh=1.3), linear(8, 4), LIF(4, tau_m=[5.0, 6.0, 7.0, 30.0])],
    "tau_syn": lambda: [linear(6, 8), LIF(8, tau_syn=5.0), linear(8, 4), LI(4, tau_syn=3.0)],
    "loop and readout": lambda: [linear(6, 8, bias=False), Recurrent(LIF(8)), linear(8, 4)],
    "subtract": lambda: [linear(6, 8), LIF(8, reset="subtract"), linear(8, 4), Recurrent(LIF(4, tau_syn=4.0))],
    "adaptive": lambda: [linear(6, 8), AdaptiveLIF(8, beta=0.4, tau_adapt=30.0), linear(8, 4), AdaptiveLIF(4, tau_syn=4.0)],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", BACK)
def test_there_and_back(name, dtype):
    net = Sequential(*BACK[name]()).to(dtype).eval()
    for dt in (1.0, 0.1):
        deployed = to_network(net, dt)
        back = from_network(deployed, dtype=dtype).eval()
        same_parameters(net, back, dtype)
        x = spikes(STEPS, 2, 6, dtype=dtype)
        np.testing.assert_allclose(sent(net, x), sent(back, x), rtol=1e-12 if dtype == torch.float64 else 0.0)
        again = to_network(back, dt)
        assert [one.label.removesuffix("output") for one in again.network.populations] == [
            one.label for one in deployed.network.populations]
        if "output" not in dict(back.named_children()):
            same_parameters(net, from_network(deployed.network, dt, scale=64.0, dtype=dtype), dtype)


def same_parameters(one, two, dtype):
    a, b = ([*net.parameters(), *net.buffers()] for net in (one, two))
    assert len(a) == len(b) > 2
    for p, q in zip(a, b):
        assert p.dtype == q.dtype == dtype
        assert torch.equal(p, q) if dtype == torch.float32 else torch.allclose(p, q, rtol=1e-12, atol=1e-15)


def test_delays_come_back():
    from neurosim.learn.delays import DelayedLinear
    from neurosim.learn.recurrent_delays import RecurrentDelays

    net = Sequential(DelayedLinear(6, 8, 5, bias=True, dtype=torch.float64), RecurrentDelays(LIF(8, tau_syn=4.0), 6),
                     DelayedLinear(8, 4, 3, kernel_count=2, dtype=torch.float64), LIF(4)).double()
    for layer in (net[0], net[1], net[2]):
        layer.round_()
    net.eval()
    back = from_network(to_network(net), dtype=torch.float64).eval()
    x = spikes(STEPS, 2, 6, rate=0.5)
    assert sent(net, x).sum() > 20 and np.array_equal(sent(net, x), sent(back, x))
    assert torch.equal(back[0].delay, net[0].delay) and torch.allclose(back[0].weight, net[0].weight, rtol=1e-12)
    assert torch.equal(back[1].delay, net[1].delay) and torch.allclose(back[1].weight, net[1].weight, rtol=1e-12)
    assert np.array_equal(to_network(back).run(x), sent(net, x))


def test_what_plasticity_changed_comes_back():
    net = Sequential(linear(6, 5, gain=8.0, bias=False), LIF(5), linear(5, 3, bias=False), LIF(3)).eval()
    with torch.no_grad():
        net[0].weight.abs_()
    deployed = to_network(net)
    (into,) = [one for one in deployed.network.projections if one.pre.population.label == "input"]
    rule = STDPMechanism(timing_dependence=SpikePairRule(A_plus=0.05, A_minus=0.04),
                         weight_dependence=AdditiveWeightDependence(w_min=0.0, w_max=64.0 * 8.0))
    deployed.network.replace(into, synapse=rule)
    deployed.set_input(spikes(200, 6))
    simulation = Simulation(deployed.network, dt=1.0)
    simulation.run(deployed.duration(200))
    learnt = simulation.weights(deployed.network.projections[0])
    back = from_network(simulation, scale=64.0)
    matrix = np.zeros((5, 6))
    matrix[learnt.post, learnt.pre] = learnt.values / 64.0
    np.testing.assert_allclose(back[0].weight.detach().numpy(), matrix, rtol=1e-6)
    assert np.abs(matrix - net[0].weight.numpy(force=True)).max() > 0.01, "it has learnt"
    assert torch.equal(back[2].weight, net[2].weight)


def other(cell, more=None):
    net = Network()
    source = net.population(2, SpikeSourceArray(), "source")
    cells = net.population(3, cell, "cells")
    net.project(source, cells, AllToAllConnector(), weight=1.0, delay=1.0)
    if more:
        more(net, source, cells)
    return net


def fine(**more):
    return IF_curr_exp(**{"tau_refrac": 0.0, **more})


NOT_BACK = {
    "EIF_cond_exp_isfa_ista does not become a layer": lambda: other(__import__("neurosim").EIF_cond_exp_isfa_ista()),
    "tau_refrac must be 0 ms": lambda: other(IF_curr_exp(tau_refrac=2.0)),
    "v_reset must be the resting potential": lambda: other(fine(v_reset=-70.0)),
    "tau_syn_E and tau_syn_I must be equal": lambda: other(fine(tau_syn_E=3.0)),
    "it must begin at rest": lambda: other(fine(), lambda net, source, cells: cells.initialize(v=-60.0)),
    "a constant current into the membrane passes by": lambda: other(fine(i_offset=0.1)),
    "there must be one population of sources, there are source, more": lambda: other(
        fine(), lambda net, source, cells: net.population(2, SpikeSourcePoisson(), "more")),
    "it gets spikes from nowhere": lambda: other(fine(), lambda net, source, cells: net.population(2, fine(), "alone")),
    "layers must follow one another": lambda: other(fine(), lambda net, source, cells: net.project(
        source, net.population(2, fine(), "beside"), AllToAllConnector(), weight=1.0, delay=1.0)),
}


@pytest.mark.parametrize("message", NOT_BACK)
def test_networks_that_are_no_chain_of_layers(message):
    with pytest.raises(NetworkError, match=message):
        from_network(NOT_BACK[message]())


def test_any_chain_becomes_a_module():
    """Potentials around -65 mV, delays, per-cell thresholds: the module's spikes are the network's."""
    rng = np.random.default_rng(3)
    net = Network(seed=2)
    source = net.population(8, SpikeSourceArray([np.flatnonzero(rng.random(60) < 0.3) * 1.0 for _ in range(8)]), "source")
    cells = net.population(6, IF_curr_exp(tau_refrac=0.0, v_thresh=rng.uniform(-60, -50, 6)), "cells").record("spikes")
    out = net.population(3, IF_curr_delta(tau_refrac=0.0), "out").record("spikes")
    net.project(source, cells, AllToAllConnector(), weight=rng.uniform(0, 3, (8, 6)), delay=rng.integers(1, 6, (8, 6)) * 1.0)
    net.project(cells, out, AllToAllConnector(), weight=rng.uniform(0, 9, (6, 3)), delay=3.0)
    net.project(cells, cells, AllToAllConnector(), weight=-0.2, delay=4.0, receptor="inhibitory")
    result = Simulation(net, dt=1.0).run(80.0)
    module = from_network(net, dtype=torch.float64).eval()
    x = torch.zeros(60, 1, 8, dtype=torch.float64)
    for times, channel in zip(source.cell.spike_times, range(8)):
        x[np.asarray(times, int), 0, channel] = 1.0
    made = module.activity(x)
    for label, offset in (("cells", 2), ("out", 5)):
        found = np.zeros((60, made[label].shape[2]))
        one = result.spikes(label)
        step = np.rint(one.times).astype(int) - offset
        inside = (step >= 0) & (step < 60)
        found[step[inside], one.ids[inside]] = 1
        assert found.sum() > 20 and np.array_equal(found, made[label].detach().numpy()[:, 0])


def test_from_network_takes_networks():
    with pytest.raises(ParameterError, match="needs a Deployed, a Network or a Simulation, got 3"):
        from_network(3)
