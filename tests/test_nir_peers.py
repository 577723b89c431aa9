"""NIR with snntorch and norse at the other end: what they run and what the network does are equal, spike for spike."""

import contextlib
import io

import numpy as np
import pytest

for module in ("nir", "torch", "nirtorch"):
    pytest.importorskip(module, reason=f"needs {module}, which is not installed")

import nir  # noqa: E402
from nir_graphs import affine, chain, cuba, fire, full, graph, lif, recurrent, spikes, weights  # noqa: E402
from reference_nir import Executed  # noqa: E402

from neurosim import FromListConnector, IF_curr_delta, IF_curr_exp, IF_jump, Network, Simulation, SpikeSourceArray  # noqa: E402
from neurosim.hardware.nir import from_nir, to_nir  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]
STEPS = 200
FRAMEWORKS = ("snntorch", "norse")
STEP_OF = {"snntorch": 1e-4, "norse": 1e-3}  # s: their defaults


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices of this size are not worth PyTorch's threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stepped(module, frames):
    """Outputs of a module that gives (output, state), step by step."""
    import torch

    state, out = None, []
    with torch.no_grad():
        for frame in frames:
            y, state = module(torch.tensor(frame, dtype=torch.float32), state)
            out.append(y.numpy().copy())
    return np.array(out)


def run_by(framework, g, frames, dt=None):
    """What a framework makes of a graph."""
    if framework == "norse":
        norse = pytest.importorskip("norse.torch", reason="needs norse, which is not installed")
        return stepped(norse.from_nir(g, dt=dt or 1e-3), frames[:, None])[:, 0]
    pytest.importorskip("snntorch", reason="needs snntorch, which is not installed")
    from snntorch.import_nir import import_from_nir

    with contextlib.redirect_stdout(io.StringIO()):
        module = import_from_nir(g)
    return stepped(module, frames)


def ours(g, frames, **options):
    imported = from_nir(g, **options)
    imported.set_input(frames)
    result = Simulation(imported.network, dt=imported.dt, seed=1).run(imported.duration(len(frames)))
    return imported.output(result, len(frames))


def fitted(framework, kind):
    """(neurons of a kind, size of weights) that a framework runs as they are written: gains of one step."""
    dt = STEP_OF[framework]
    if kind == "LIF":
        return (lambda n: lif(n, 20 * dt, 20.0), 1.0) if framework == "snntorch" else (lambda n: lif(n, 20 * dt, 1.0), 20.0)
    if kind == "IF":
        return (lambda n: fire(n)), 1.0
    return (lambda n: cuba(n, 5 * dt, 20 * dt, 20.0, w_in=5.0)), 1.0


def conv_graph(framework):
    make, size = fitted(framework, "LIF")
    one = make(1)
    rng = np.random.default_rng(4)

    def cells(*shape):
        return nir.LIF(full(shape, one.tau[0]), full(shape, one.r[0]), full(shape, 0), full(shape, 1))

    w1, w2 = (rng.normal(0.1, 0.5, shape).astype(np.float32) * size for shape in ((4, 2, 3, 3), (6, 4, 2, 2)))
    nodes = {"c1": nir.Conv2d((9, 8), w1, (1, 2), (1, 0), (1, 1), 1, full(4, 0.02 * size)), "l1": cells(4, 9, 3)}
    pool = {"p": nir.AvgPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0]))} if framework == "snntorch" else {
        "p": nir.SumPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0]))}
    tail = {"c2": nir.Conv2d((4, 3), w2, 1, "same", 1, 1, full(6, 0.0)), "l2": cells(6, 4, 3)}
    # Flatten counts from 0 in a graph without batches; norse and snntorch hand it on to torch as it is.
    return chain((2, 9, 8), (6, 4, 3), **nodes, **pool, **tail)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["LIF", "CubaLIF", "IF", "recurrent LIF", "recurrent CubaLIF", "Conv2d"])
def test_a_graph_runs_alike(framework, name):
    if name == "IF" and framework == "snntorch":
        pytest.skip("snntorch has no IF (it runs one as Leaky(beta=0.9)); test_nir.py tests that this is refused")
    kind = name.rpartition(" ")[2]
    if name == "Conv2d":
        g, shape = conv_graph(framework), (2, 9, 8)
    else:
        make, size = fitted(framework, kind)
        shape = 12
        g = recurrent(make(20), make(8), 3, size, True, 0.02 * size) if name.startswith("recurrent") else chain(
            12, 8, a=affine(1, 20, 12, size, bias=0.01 * size), b=make(20), c=affine(2, 8, 20, 2 * size), d=make(8))
    x = spikes(31, STEPS, shape)
    wanted = run_by(framework, g, x)
    assert 50 < wanted.sum() < 0.9 * wanted.size
    for options in ({"dynamics": framework}, {"dynamics": framework, "cells": "euler"}):
        assert np.array_equal(ours(g, x, **options).reshape(wanted.shape), wanted)
    if name != "IF":  # norse takes r * dt of an IF as 1
        assert np.array_equal(Executed(g, STEP_OF[framework]).run(x).reshape(wanted.shape), wanted), "the plain reference agrees"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_ways_that_part_and_meet_again(framework):
    """norse goes depth first, so that what comes the other way comes a step later; snntorch waits for it."""
    make, size = fitted(framework, "LIF")
    nodes = {"a": affine(1, 15, 12, size), "la": make(15), "c": affine(2, 15, 15, size), "b": affine(3, 15, 12, size), "lc": make(15)}
    edges = [("input", "a"), ("a", "la"), ("la", "c"), ("c", "lc"), ("input", "b"), ("b", "lc"), ("lc", "output")]
    g = graph(nodes, edges, 12, 15)
    x = spikes(36, STEPS, 12)
    got = {dynamics: ours(g, x, dynamics=dynamics, dt=STEP_OF[framework] * 1e3) for dynamics in (framework, "euler")}
    assert 50 < got["euler"].sum() < 0.9 * got["euler"].size
    assert np.array_equal(got["euler"], got[framework]) == (framework == "snntorch")
    if framework == "norse":  # it returns what the last node of its order sends, "b" here: look at the layer itself
        assert [str(note) for note in from_nir(g, dynamics="norse").report if "loops" in str(note)] == [
            "graph: loops: what was sent in the step before goes along b -> lc"]
        module = pytest.importorskip("norse.torch", reason="needs norse, which is not installed").from_nir(g)
        seen = []
        getattr(module, "lc").register_forward_hook(lambda m, args, out: seen.append(out[0].detach().numpy()[0].copy()))
        stepped(module, x[:, None])
        assert np.array_equal(np.array(seen), got["norse"])
    else:
        assert np.array_equal(run_by(framework, g, x), got["snntorch"])


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["LIF", "CubaLIF", "recurrent LIF", "recurrent CubaLIF"])
def test_random_networks_run_alike(framework, name, record_property):
    """Weights are drawn without regard to thresholds: single and double precision may part, but hardly ever do."""
    make, size = fitted(framework, name.rpartition(" ")[2])
    differing = 0
    for seed in range(10):
        g = recurrent(make(20), make(8), 100 * seed, size, True) if name.startswith("recurrent") else chain(
            12, 8, a=affine(100 * seed, 20, 12, size), b=make(20), c=affine(100 * seed + 1, 8, 20, 2 * size), d=make(8))
        x = spikes(1000 + seed, STEPS, 12)
        differing += not np.array_equal(ours(g, x, dynamics=framework), run_by(framework, g, x))
    record_property("networks that differ", differing)
    assert differing <= 1


# ----------------------------------------------------------------------------------- what the frameworks write


class Mini:
    """snntorch layers, fed step by step."""

    def __init__(self, *layers):
        import torch

        self.net = torch.nn.Sequential(*layers)

    def run(self, frames):
        import torch

        for layer in self.net:
            if hasattr(layer, "reset_mem"):
                layer.reset_mem()  # exporting runs the network, and leaves its state
        out = []
        with torch.no_grad():
            for frame in frames:
                out.append(self.net(torch.tensor(frame, dtype=torch.float32)[None]).numpy()[0])
        return np.array(out)

    def graph(self, shape):
        import torch
        from snntorch.export_nir import export_to_nir

        return export_to_nir(self.net, torch.ones(1, *np.atleast_1d(shape)), ignore_dims=[0])


def linear(seed, post, pre, size, bias=True):
    import torch

    layer = torch.nn.Linear(pre, post, bias=bias)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights(seed, post, pre, size)))
        if bias:
            layer.bias.fill_(0.02)
    return layer


def snntorch_layer(snn, kind, n, mechanism, late, seed=9):
    import torch

    common = {"beta": torch.linspace(0.8, 0.95, n), "threshold": torch.linspace(0.8, 1.2, n), "init_hidden": True,
              "reset_mechanism": mechanism, "reset_delay": late}
    if "Synaptic" in kind:
        common["alpha"] = torch.linspace(0.6, 0.8, n)
    if kind.startswith("R"):
        layer = getattr(snn, kind)(**common, linear_features=n, all_to_all=True)
        with torch.no_grad():
            layer.recurrent.weight.copy_(torch.tensor(weights(seed, n, n, 0.5, -0.2)))
            layer.recurrent.bias.zero_()
        return layer
    return getattr(snn, kind)(**common)


@pytest.mark.parametrize(("mechanism", "late", "reset"), [
    ("zero", False, "value"), ("zero", True, "late value"), ("subtract", False, "subtract"), ("subtract", True, "late subtract"),
])
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky", "RSynaptic"])
def test_networks_that_snntorch_exports(kind, mechanism, late, reset):
    snn = pytest.importorskip("snntorch", reason="needs snntorch, which is not installed")
    if kind == "RSynaptic" and not late:
        pytest.skip("RSynaptic(reset_delay=False) of snntorch 1.0.0 raises a TypeError when it runs")
    net = Mini(linear(1, 20, 12, 1.0), snntorch_layer(snn, kind, 20, mechanism, late), linear(2, 8, 20, 1.5, False),
               snntorch_layer(snn, kind.lstrip("R"), 8, mechanism, late))
    g = net.graph(12)
    if reset == "late value" and "Leaky" in kind:  # a Leaky that is zeroed a step later forgets no input, an RLeaky does
        reset = {"1.lif": "late value"} if kind == "RLeaky" else "value"
    x = spikes(32, STEPS, 12)
    wanted = net.run(x)
    assert 50 < wanted.sum() < 0.9 * wanted.size
    assert np.array_equal(ours(g, x, dynamics="snntorch", reset=reset), wanted)


def test_a_convolutional_network_that_snntorch_exports():
    snn = pytest.importorskip("snntorch", reason="needs snntorch, which is not installed")
    import torch

    torch.manual_seed(3)

    def layer(*shape):
        return snn.Leaky(beta=torch.full(shape, 0.9), threshold=torch.full(shape, 0.4), init_hidden=True, reset_mechanism="zero",
                         reset_delay=False)

    net = Mini(torch.nn.Conv2d(2, 4, 3, padding=1), layer(4, 6, 6), torch.nn.AvgPool2d(2), torch.nn.Conv2d(4, 3, 2), layer(3, 2, 2),
               torch.nn.Flatten(), linear(2, 5, 12, 1.0), layer(5))
    x = spikes(33, STEPS, (2, 6, 6), 0.5)
    wanted = net.run(x)
    assert 50 < wanted.sum() < 0.9 * wanted.size
    assert np.array_equal(ours(net.graph((2, 6, 6)), x, dynamics="snntorch"), wanted)


@pytest.mark.parametrize("kind", ["LIF", "IF"])
def test_networks_that_norse_exports(kind):
    norse = pytest.importorskip("norse.torch", reason="needs norse, which is not installed")
    import torch

    def layer(n):
        if kind == "IF":
            return norse.IAFCell(norse.IAFParameters(v_th=torch.full((n,), 1.0)))
        return norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.linspace(50, 150, n), v_th=torch.full((n,), 1.0),
                                                       v_leak=torch.zeros(n)))

    size = 1.0 if kind == "IF" else 15.0
    net = norse.SequentialState(linear(1, 20, 12, size), layer(20), linear(2, 8, 20, 2 * size), layer(8))
    g = norse.to_nir(net, torch.ones(12), dt=1.0)  # in norse 1.1.0 the time constants are right for dt=1 only
    x = spikes(34, STEPS, 12)
    wanted = stepped(net, x)
    assert 50 < wanted.sum() < 0.9 * wanted.size
    assert np.array_equal(ours(g, x, dynamics="norse"), wanted)


# ----------------------------------------------------------------------------------- what we write

CELLS = {
    "IF_curr_delta": (IF_curr_delta(tau_refrac=0.0), 25.0),
    "IF_curr_delta, thresholds differ": (IF_curr_delta(tau_refrac=0.0, v_thresh=np.linspace(-55.0, -50.0, 20), tau_m=12.0), 25.0),
    "IF_curr_exp": (IF_curr_exp(tau_refrac=0.0), 6.0),
    "IF_jump": (IF_jump(v_thresh=15.0), 20.0),
}


@pytest.mark.parametrize("dt", [0.1, 1.0])
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", CELLS)
def test_networks_that_we_write(name, framework, loop, dt, tmp_path):
    cell, size = CELLS[name]
    if name == "IF_jump" and framework == "snntorch":
        pytest.skip("snntorch has no IF; test_nir.py tests that this is refused")
    network = Network(seed=3)
    source = network.population(12, SpikeSourceArray(), "source")
    cell = cell.replaced(**{tau: getattr(cell, tau) * dt for tau in ("tau_m", "tau_syn_E", "tau_syn_I") if hasattr(cell, tau)})
    size = size / dt if name == "IF_curr_exp" else size
    a = network.population(20, cell, "a")
    b = network.population(8, cell.replaced(v_thresh=float(np.max(cell.v_thresh))), "b")
    # A loop of IF_curr_exp takes two steps at least (the current acts from its arrival on), in the graph it would need a Delay.
    loops = [(a, a, 1, 3)] if loop and name != "IF_curr_exp" else []
    for pre, post, delay, seed in ((source, a, 2, 1), (a, b, 3, 2), *loops):
        w = weights(seed, pre.size, post.size).astype(float) * size
        for receptor, some in (("excitatory", w > 0), ("inhibitory", w < 0)):
            rows = np.column_stack([*np.nonzero(some), w[some]])
            network.project(pre, post, FromListConnector(rows, ("weight",)), delay=delay * dt, receptor=receptor)
    network.record(b, "spikes")
    exported = to_nir(network, tmp_path / "g.nir", dt=dt, target=framework)
    x = spikes(35, STEPS, 12)
    source.set(spike_times=[np.flatnonzero(column) * dt for column in x.T])
    found = Simulation(network, dt=dt, seed=1).run((STEPS + exported.offsets["b"]) * dt).spikes("b")
    at = np.rint(found.times / dt).astype(int) - exported.offsets["b"]
    got = np.zeros((STEPS, 8))
    inside = (at >= 0) & (at < STEPS)
    got[at[inside], found.ids[inside]] = 1
    wanted = run_by(framework, nir.read(tmp_path / "g.nir"), x, exported.dt)
    assert 50 < wanted.sum() < 0.9 * wanted.size
    assert np.array_equal(got, wanted)
    assert np.array_equal(ours(tmp_path / "g.nir", x, dynamics=framework, dt=exported.dt * 1e3), wanted)
