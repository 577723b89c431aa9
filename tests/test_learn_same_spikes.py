"""What was trained in torch spikes alike in the engine, on NEST through PyNN, and on the emulated SpiNNaker: neuron for neuron."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs torch, which is not installed")

from torch import nn  # noqa: E402

from neurosim import Simulation  # noqa: E402
from neurosim.hardware.pynn_export import export  # noqa: E402
from neurosim.hardware.spinnaker import compare, emulate  # noqa: E402
from neurosim.hardware.spinnaker.scheme import in_scheme  # noqa: E402
from neurosim.learn import LI, LIF, AdaptiveLIF, Recurrent, Residual, Sequential, fit, to_network  # noqa: E402
from neurosim.learn.delays import DelayedLinear  # noqa: E402
from neurosim.learn.recurrent_delays import RecurrentDelays  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]
STEPS, INPUTS, HIDDEN, CLASSES = 40, 12, 16, 2
GRID = 2.0**-9  # of the threshold: weights that the machine stores as they are


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ----------------------------------------------------------------------------------- nets, trained


def linear(n_in, n_out, gain=2.0, bias=True):
    layer = nn.Linear(n_in, n_out, bias=bias)
    draws = torch.Generator().manual_seed(n_in + n_out)
    with torch.no_grad():
        layer.weight.copy_((2.0 * torch.rand(layer.weight.shape, generator=draws) - 1.0) * gain / n_in**0.5 + 0.5 * gain / n_in)
        if bias:
            layer.bias.copy_(0.1 * torch.rand(n_out, generator=draws))
    return layer


def delayed(n_in, n_out, gain=1.0, **more):
    layer = DelayedLinear(n_in, n_out, 6, generator=torch.Generator().manual_seed(n_in), **more)
    with torch.no_grad():
        layer.weight.mul_(gain).add_(0.3 * gain / n_in)
    return layer


def stronger(cell):
    """norse's own weights, three times as large, so that there are spikes."""
    with torch.no_grad():
        cell.input_weights.mul_(3.0)
    return cell


def rates(seed=1):
    """Two classes of spike patterns, told apart by which channels spike early: (inputs (n, T, channels), targets)."""
    draws = torch.Generator().manual_seed(seed)
    targets = torch.arange(48) % CLASSES
    early = (torch.arange(INPUTS) % 2)[None, None] == targets[:, None, None]
    first = torch.arange(STEPS)[None, :, None] < STEPS // 2
    return (torch.rand(48, STEPS, INPUTS, generator=draws) < torch.where(early == first, 0.35, 0.08)).float(), targets


def trained(net):
    """A few epochs; then whole delays."""
    fit(net, rates(), epochs=3, batch_size=16, optimiser=torch.optim.Adam(net.parameters(), lr=0.01), keep="last", progress=False)
    for layer in net.modules():
        if isinstance(layer, (DelayedLinear, RecurrentDelays)):
            layer.round_()
    return net.eval()


def snn():
    return pytest.importorskip("snntorch", reason="needs snntorch, which is not installed")


def norse():
    pytest.importorskip("norse", reason="needs norse, which is not installed")
    import norse.torch

    return norse.torch


NATIVE = {
    "LIF": lambda: [linear(INPUTS, HIDDEN), LIF(HIDDEN), linear(HIDDEN, CLASSES), LIF(CLASSES)],
    "LIF, tau_syn": lambda: [linear(INPUTS, HIDDEN, 1.0), LIF(HIDDEN, tau_syn=5.0), linear(HIDDEN, CLASSES), LI(CLASSES, tau_syn=5.0)],
    "LIF, trained times": lambda: [linear(INPUTS, HIDDEN), LIF(HIDDEN, train=("tau_m", "v_thresh")), linear(HIDDEN, CLASSES),
                                   LIF(CLASSES)],
    "LIF, loop": lambda: [linear(INPUTS, HIDDEN), Recurrent(LIF(HIDDEN)), linear(HIDDEN, CLASSES), LIF(CLASSES)],
    "LIF, tau_syn, loop": lambda: [linear(INPUTS, HIDDEN, 1.0), Recurrent(LIF(HIDDEN, tau_syn=5.0)), linear(HIDDEN, CLASSES),
                                   LI(CLASSES)],
    "AdaptiveLIF, loop": lambda: [linear(INPUTS, HIDDEN), Recurrent(AdaptiveLIF(HIDDEN)), linear(HIDDEN, CLASSES),
                                  AdaptiveLIF(CLASSES, tau_syn=4.0)],
    "LIF, subtract, batch norm, residual": lambda: [
        linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN), LIF(HIDDEN, reset="subtract"),
        Residual(Sequential(linear(HIDDEN, HIDDEN), LIF(HIDDEN))), linear(HIDDEN, CLASSES), LIF(CLASSES)],
    "LIF, delays": lambda: [delayed(INPUTS, HIDDEN), LIF(HIDDEN), delayed(HIDDEN, CLASSES), LIF(CLASSES)],
    "LIF, tau_syn, delays, delayed loop": lambda: [
        delayed(INPUTS, HIDDEN, 0.5, bias=True), RecurrentDelays(LIF(HIDDEN, tau_syn=5.0), 7, (2, 6)),
        delayed(HIDDEN, CLASSES, kernel_count=2), LIF(CLASSES)],
}
NORSE = {
    "norse LIFCell": lambda n: [linear(INPUTS, HIDDEN, 15.0), n.LIFCell(), linear(HIDDEN, CLASSES), n.LICell()],
    "norse LIFRecurrentCell": lambda n: [n.LIFRecurrentCell(INPUTS, HIDDEN), linear(HIDDEN, CLASSES, 15.0), n.LIFCell()],
    "norse LIFRecurrent, LIFRefracCell": lambda n: [n.LIFRecurrent(INPUTS, HIDDEN), linear(HIDDEN, CLASSES, 15.0), n.LIFRefracCell()],
    "norse LSNNRecurrentCell, LIFBoxCell": lambda n: [stronger(n.LSNNRecurrentCell(INPUTS, HIDDEN)), linear(HIDDEN, CLASSES, 25.0),
                                                      n.LIFBoxCell()],
    "norse LIFCell, delays": lambda n: [delayed(INPUTS, HIDDEN, 10.0), n.LIFCell(), delayed(HIDDEN, CLASSES, 10.0), n.LIFCell()],
}
SNNTORCH = {
    "snntorch Leaky": lambda s: [linear(INPUTS, HIDDEN), s.Leaky(beta=0.9), linear(HIDDEN, CLASSES), s.Leaky(beta=0.8, reset_delay=False)],
    "snntorch Leaky, learnt": lambda s: [linear(INPUTS, HIDDEN), s.Leaky(beta=torch.full((HIDDEN,), 0.9), learn_beta=True, threshold=1.1,
                                                                         learn_threshold=True, reset_mechanism="zero"),
                                         linear(HIDDEN, CLASSES), s.Lapicque(beta=0.9, reset_mechanism="none")],
    "snntorch Synaptic": lambda s: [linear(INPUTS, HIDDEN, 1.0), s.Synaptic(alpha=0.8, beta=0.9, reset_mechanism="zero", reset_delay=False),
                                    linear(HIDDEN, CLASSES), s.Synaptic(alpha=0.7, beta=0.9)],
    "snntorch RLeaky": lambda s: [linear(INPUTS, HIDDEN), s.RLeaky(beta=0.9, linear_features=HIDDEN), linear(HIDDEN, CLASSES),
                                  s.RLeaky(beta=0.8, all_to_all=False, V=0.3, reset_mechanism="zero")],
    "snntorch RSynaptic": lambda s: [linear(INPUTS, HIDDEN, 0.7), s.RSynaptic(alpha=0.8, beta=0.9, linear_features=HIDDEN),
                                     linear(HIDDEN, CLASSES), s.Leaky(beta=0.9, graded_spikes_factor=0.5)],
    "snntorch Leaky, delays": lambda s: [delayed(INPUTS, HIDDEN), s.Leaky(beta=0.9), delayed(HIDDEN, CLASSES), s.Leaky(beta=0.9)],
}
ALL = [*NATIVE, *NORSE, *SNNTORCH]


def made(name):
    torch.manual_seed(3)  # norse and snntorch draw their own weights
    if name in NORSE:
        return Sequential(*NORSE[name](norse()))
    return Sequential(*(SNNTORCH[name](snn()) if name in SNNTORCH else NATIVE[name]()))


def activity(net, x):
    """What each layer of cells sends, (T, B, ...), nested ones by their whole names."""
    sent, handles = {}, []

    def keep(name):
        return lambda module, args, out: sent.__setitem__(name, out[0].detach().numpy())

    for name, layer in net.named_modules():
        where = name.replace("branches.", "")
        if hasattr(layer, "kept") or hasattr(layer, "neurons"):
            handles.append(layer.register_forward_hook(keep(where)))
    with torch.no_grad():
        sent.update({name: y.numpy() for name, y in net.activity(x).items()})
    for handle in handles:
        handle.remove()
    return sent


def differences(deployed, result, wanted, example, steps=STEPS):
    """Of each layer of cells: (neurons and steps that differ, all its spikes); potentials must agree."""
    found = {}
    for name in deployed.populations:
        if name in ("input", "bias"):
            continue
        here, there = deployed.sent(result, name, steps), wanted[name][:, example]
        if np.isin(there, (0, there.max())).all() and (here >= 0).all() and (here == np.rint(here)).all():
            found[name] = int((here != (there != 0)).sum()), int(here.sum())
        else:
            np.testing.assert_allclose(here, there, rtol=2e-4, atol=2e-5)
            found[name] = 0, int((here != 0).sum())
    assert found
    return found


def engine(deployed, x):
    deployed.set_input(x)
    return Simulation(deployed.network, dt=deployed.dt).run(deployed.duration(len(x)))


@pytest.mark.parametrize("name", ALL)
def test_trained_nets_spike_alike_in_the_engine(name):
    """For every neuron of every layer, every step, several inputs; in double precision, and in torch's single precision."""
    net = trained(made(name))
    x = rates(seed=2)[0][:3].transpose(0, 1)
    for dtype in (torch.float64, torch.float32):
        module = copy.deepcopy(net).to(dtype)
        wanted, deployed = activity(module, x.to(dtype)), to_network(module, dt=1.0)
        total = 0
        for example in range(3):
            result = engine(deployed, x[:, example])
            found = differences(deployed, result, wanted, example)
            assert all(wrong == 0 for wrong, _ in found.values()), f"{dtype}: {found}"
            total += sum(count for _, count in found.values())
            out = deployed.output(result, STEPS)
            np.testing.assert_allclose(out, wanted[net.layers()[-1][0]][:, example], rtol=2e-4, atol=2e-5)
        assert total > 50, "there is something to compare"


# ----------------------------------------------------------------------------------- any stack


@st.composite
def stacks(draw):
    """Layers of a few cells with any weights, delays, loops, synapses, resets."""
    sizes = draw(st.lists(st.integers(2, 6), min_size=2, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        tau_syn = draw(st.sampled_from([None, 2.0, 5.0]))
        gain = (2.0 if tau_syn is None else 0.7) / n_in**0.5
        kind = draw(st.sampled_from([LIF, AdaptiveLIF]))
        cells = kind(n_out, tau_m=draw(st.sampled_from([1.5, 10.0, 30.0])), tau_syn=tau_syn,
                     reset=draw(st.sampled_from(["zero", "subtract"])), decay=draw(st.sampled_from(["exact", "euler"])))
        bias = draw(st.booleans())
        if draw(st.booleans()):
            into = delayed(n_in, n_out, kernel_count=draw(st.integers(1, 2)), bias=bias)
            into.delay.data = torch.as_tensor(rng.integers(0, 7, tuple(into.delay.shape)).astype(np.float32))
        else:
            into = linear(n_in, n_out, bias=bias)
        loop = draw(st.sampled_from([None, "one step", "delays"]))
        if loop == "one step":
            cells = Recurrent(cells)
        elif loop == "delays":
            cells = RecurrentDelays(cells, 5)
            cells.delay.data = torch.as_tensor(rng.integers(0, 6, n_out).astype(np.float32))
        layers += [into, cells]
        for parameter in (p for layer in (into, cells) for name, p in layer.named_parameters() if name in ("weight", "bias")):
            parameter.data = torch.as_tensor(rng.normal(0.15, gain, tuple(parameter.shape)).astype(np.float32))
    net = Sequential(*layers).double()
    for layer in net.modules():
        if isinstance(layer, (DelayedLinear, RecurrentDelays)):
            layer.round_()
    x = torch.as_tensor(rng.random((STEPS, 1, sizes[0])) < 0.4).double()
    return net.eval(), x


@settings(max_examples=20)
@given(stacks())
def test_any_stack_spikes_alike(case):
    net, x = case
    deployed = to_network(net)
    found = differences(deployed, engine(deployed, x[:, 0]), activity(net, x), 0)
    assert all(wrong == 0 for wrong, _ in found.values()), found


# ----------------------------------------------------------------------------------- PyNN


ELSEWHERE = ["LIF", "LIF, tau_syn", "LIF, loop", "LIF, delays", "LIF, tau_syn, delays, delayed loop", "norse LIFCell, delays",
             "snntorch Leaky, learnt"]


@pytest.mark.needs("nest", "pyNN")
@pytest.mark.parametrize("name", ELSEWHERE)
def test_trained_nets_spike_alike_on_nest(name):
    """On the grid of dt, through the PyNN export: the same spikes for every neuron and step, also of readouts' potentials."""
    net = made(name) if name.endswith("learnt") else trained(made(name))
    if name.endswith("learnt"):  # its readout stays in the engine
        net = Sequential(*list(net)[:2]).eval()
    net = net.double()
    x = rates(seed=2)[0][:1].transpose(0, 1)
    deployed = to_network(net)
    assert not deployed.report, "all cells are PyNN's"
    deployed.set_input(x[:, 0])
    found = differences(deployed, export(deployed.network, "nest", dt=1.0).run(deployed.duration(STEPS)), activity(net, x.double()), 0)
    assert all(wrong == 0 and spikes > 0 for wrong, spikes in found.values()), found


# ----------------------------------------------------------------------------------- SpiNNaker


def on_grid(net):
    """Weights and biases as the machine stores them, thresholds between what these can add up to."""
    for name, parameter in net.named_parameters():
        parameter.data = torch.round(parameter.data / GRID) * GRID
    for layer in net.modules():
        if isinstance(layer, LIF):
            layer._v_thresh = layer._v_thresh - 0.5 * GRID
    return net.double().eval()


def potentials(net, x):
    """v of each layer before its test, by a plain loop over one example; and its threshold."""
    found, x = {}, x.numpy()
    for name, layer in net.layers():
        cells = getattr(layer, "neurons", layer)
        if not isinstance(cells, LIF):
            x = torch.as_tensor(x)[:, None]
            x = (layer(x)[0] if isinstance(layer, DelayedLinear) else layer(x)).detach().numpy()[:, 0]
            continue
        held = cells.kept("tau_m"), cells.kept("tau_syn"), cells.v_thresh
        keep, keep_syn, top = (None if one is None else one.numpy() for one in held)
        weight = layer.weight.detach().numpy() if layer is not cells else np.zeros((x.shape[1],) * 2)
        v, i, s = (np.zeros(x.shape[1]) for _ in range(3))
        vs, spikes = [], []
        for step in x:
            i = (0.0 if keep_syn is None else keep_syn * i) + step + weight @ s
            v = keep * v + i
            s = (v >= top).astype(float)
            vs.append(v)
            spikes.append(s)
            v = v * (1 - s)
        found[name] = np.array(vs), top, np.array(spikes)
        x = np.array(spikes)
    return found


MACHINE = {
    "LIF": lambda: [linear(INPUTS, HIDDEN), LIF(HIDDEN), linear(HIDDEN, CLASSES), LIF(CLASSES)],
    "LIF, loop": lambda: [linear(INPUTS, HIDDEN), Recurrent(LIF(HIDDEN)), linear(HIDDEN, CLASSES), LIF(CLASSES)],
    "LIF, tau_syn, loop": lambda: [linear(INPUTS, HIDDEN, 1.0), Recurrent(LIF(HIDDEN, tau_syn=5.0)), linear(HIDDEN, CLASSES, 1.0),
                                   LIF(CLASSES, tau_syn=5.0)],
    "LIF, delays": lambda: [delayed(INPUTS, HIDDEN), LIF(HIDDEN), delayed(HIDDEN, CLASSES), LIF(CLASSES)],
}


@pytest.mark.parametrize("name", MACHINE)
def test_trained_nets_on_the_emulated_machine(name):
    """In the machine's order and double precision the very same spikes, loops of one step through synapses included; in its fixed
    point, with weights on its grid, until a potential comes within rounding of the threshold, and nearly all of them."""
    net = on_grid(trained(Sequential(*MACHINE[name]())))
    x = rates(seed=2)[0][:3].transpose(0, 1).double()
    wanted, deployed = activity(net, x), to_network(net, target="spinnaker")
    assert not deployed.report
    wrong = total = 0
    for example in range(3):
        deployed.set_input(x[:, example])
        ticks = deployed.duration(STEPS)
        scheme = differences(deployed, Simulation(in_scheme(deployed.network), dt=1.0).run(ticks), wanted, example)
        assert all(one == 0 for one, _ in scheme.values()), f"{scheme}"
        result = emulate(deployed.network, ticks, allow_zero_weights=True)
        v = potentials(net, x[:, example])
        first = []
        for layer, (level, top, spikes) in v.items():
            assert np.array_equal(spikes, wanted[layer][:, example])
            off = np.argwhere(deployed.spikes(result, layer, STEPS) != spikes)
            first += [(step + deployed.offsets[layer], abs(level[step, cell] - top)) for step, cell in off]
            wrong, total = wrong + len(off), total + int(spikes.sum())
        earliest = min(first, default=(0, 0.0))[0]
        assert all(gap < 5e-4 for step, gap in first if step == earliest), "what differs first is what rounding decides"
    assert total > 100 and wrong <= 0.1 * total, f"{wrong} of {total}"


def test_compare_explains_what_the_machine_changes():
    """One description for both: without biases and synaptic currents the engine's network is the machine's, a step apart."""
    net = on_grid(trained(Sequential(linear(INPUTS, HIDDEN, bias=False), LIF(HIDDEN), delayed(HIDDEN, CLASSES), LIF(CLASSES))))
    deployed = to_network(net)
    x = rates(seed=2)[0][0]
    deployed.set_input(x)
    comparison = compare(deployed.network, deployed.duration(STEPS), exact_dt=1.0, allow_zero_weights=True)
    assert set(comparison.rates) == {"1", "3"} and min(rate["exact"] for rate in comparison.rates.values()) > 0
    for label in comparison.rates:
        assert comparison.pairs["exact", "scheme"][label].shared == 1.0
        assert comparison.pairs["scheme", "fixed"][label].shared >= 0.95
    wanted = activity(net, x[:, None].double())
    found = differences(deployed, Simulation(in_scheme(deployed.network), dt=1.0).run(deployed.duration(STEPS)), wanted, 0)
    assert all(wrong == 0 for wrong, _ in found.values()), found


def test_what_a_readout_adds_up_is_seen_on_the_machine():
    net = Sequential(linear(INPUTS, CLASSES, 1.0, bias=False), LIF(CLASSES), linear(CLASSES, 3, bias=False), LI(3)).double().eval()
    deployed, x = to_network(net, target="spinnaker"), rates(seed=2)[0][:1].transpose(0, 1).double()
    deployed.set_input(x[:, 0])
    result = emulate(deployed.network, deployed.duration(STEPS), allow_zero_weights=True)
    wanted = activity(net, x)
    assert wanted["1"].any() and np.array_equal(deployed.spikes(result, "1", STEPS), wanted["1"][:, 0])
    np.testing.assert_allclose(deployed.output(result, STEPS), wanted["3"][:, 0], atol=5e-3)


# ----------------------------------------------------------------------------------- cells as they are


def test_cells_of_snntorch_that_are_refused():
    from neurosim.errors import NetworkError
    from neurosim.learn import Foreign

    s = snn()
    for message, cell in {
        "with init_hidden=True it hides its state": s.Leaky(beta=0.9, init_hidden=True),
        "inhibition has no counterpart": s.Leaky(beta=0.9, inhibition=True),
        "state_quant has no counterpart": s.Leaky(beta=0.9, state_quant=lambda v: v),
        "snntorch's Alpha has no counterpart": s.Alpha(alpha=0.9, beta=0.8),
        "RSynaptic cannot run with reset_delay=False": s.RSynaptic(alpha=0.9, beta=0.8, linear_features=4, reset_delay=False),
    }.items():
        with pytest.raises(NetworkError, match=message):
            to_network(Sequential(linear(4, 4), cell))
    for module in (nn.ReLU(), linear(2, 2)):
        with pytest.raises(NetworkError, match="is no cell of norse or snntorch"):
            Foreign(module)
    x = torch.rand(5, 2, 4)
    cell = s.Leaky(beta=0.9)
    y, state = Foreign(cell)(x)
    first, middle = Foreign(cell)(x[:2])
    assert torch.equal(torch.cat([first, Foreign(cell)(x[2:], middle)[0]]), y) and torch.equal(Sequential(cell)(x)[0], y)


def test_cells_of_norse_that_are_refused():
    from neurosim.errors import NetworkError

    n = norse()
    from norse.torch.functional.lif_box import LIFBoxParameters

    for message, cell in {
        "norse's LIFAdExCell has no counterpart here; LIF, LI": n.LIFAdExCell(),
        "reset_method must be reset_value or reset_subtract, got own": n.LIFBoxCell(LIFBoxParameters(reset_method=own)),
    }.items():
        with pytest.raises(NetworkError, match=message):
            to_network(Sequential(linear(4, 4), cell))
    both = Sequential(n.SequentialState(linear(INPUTS, HIDDEN, 15.0), n.LIFCell())).eval()
    x = rates()[0][:1].transpose(0, 1)
    with torch.no_grad():
        wanted = both(x)[0].numpy()
    assert wanted.sum() > 20 and np.array_equal(to_network(both, input_shape=INPUTS).run(x), wanted)


def own(z, v, reset, top):
    return v
