"""Astrocytic units: fused loops against plain ones, the engine's spikes, sequences in one piece and step by step."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neurosim import IF_curr_delta_astro, Network, OneToOneConnector, Simulation, SpikeSourceArray
from neurosim.cells.attention import IF_curr_delta_attention
from neurosim.errors import NetworkError, ParameterError
from neurosim.learn import AstroAttention, AstroLIF, LIF, Sequential, Surrogate, cost, describe, fit, to_network
from neurosim.learn import astro_loops as loops


@pytest.fixture(autouse=True)
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def draws(seed):
    return torch.Generator().manual_seed(seed)


def linear(inputs, outputs, deviation, generator, bias=False):
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, 0.0, deviation, generator=generator)
    if bias:
        nn.init.normal_(layer.bias, 0.1, 0.05, generator=generator)
    return layer


def outcomes(loop, tensors, rest, seed):
    """Outputs of a loop, and the gradients of a random sum of them for every tensor."""
    leaves = [None if one is None else one.detach().clone().requires_grad_() for one in tensors]
    out = loop(*leaves, *rest)
    generator = draws(seed)
    sum((torch.randn(y.shape, dtype=y.dtype, generator=generator) * y).sum() for y in out).backward()
    return [y.detach() for y in out], [None if one is None else one.grad for one in leaves]


def compare(fused, plain, tensors, rest, tolerance):
    found, gradients = outcomes(fused, tensors, rest, 7)
    expected, references = outcomes(plain, tensors, rest, 7)
    assert 0.0 < float(found[0].mean()) < 0.9
    assert torch.equal(found[0], expected[0])
    for one, other in [*zip(found[1:], expected[1:]), *((a, b) for a, b in zip(gradients, references) if b is not None)]:
        assert float((one - other).abs().max()) <= tolerance * max(1.0, float(other.abs().max()))
    for one, other in zip(gradients, references):
        assert (one is None) == (other is None)
        assert other is None or bool((other != 0).any())


# ------------------------------------------------------------------------------------------ gradients


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.integers(8, 40), size=st.sampled_from([1, 2, 3, 12]), recurrent=st.booleans(),
       detach=st.booleans(), name=st.sampled_from(["atan", "triangle", "fast_sigmoid"]))
def test_fused_gradients_of_neurons_are_those_of_a_plain_loop(seed, steps, size, recurrent, detach, name):
    generator = draws(seed)

    def r(*shape):
        return torch.rand(*shape, generator=generator)

    n, groups = 12, 12 // size
    tensors = (r(steps, 3, n) * 0.8 - 0.1, (r(n, n) - 0.5) if recurrent else None, r(n) * 0.5 + 0.4, r(groups) * 0.2 + 0.75,
               r(groups) * 0.3, r(n) - 0.4, r(n) * 2.0, r(3, n), r(3, groups), (r(3, n) > 0.5).double())
    compare(loops.lif, loops.lif_plainly, tensors, (size, Surrogate(name), detach), 1e-12)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.integers(8, 40), detach=st.booleans(), name=st.sampled_from(["atan", "sigmoid"]))
def test_fused_gradients_of_attention_are_those_of_a_plain_loop_and_of_the_scan(seed, steps, detach, name):
    generator = draws(seed)

    def r(*shape):
        return torch.rand(*shape, generator=generator)

    n = 8
    tensors = ((r(steps, 4, 3, n) > 0.5).double(), r(n) * 0.5 + 0.4, r(n) * 0.2 + 0.75, r(n), r(n) * 2.0, r(n) - 0.3, r(n) + 0.1,
               r(4, n), r(4, n))
    rest = (Surrogate(name), detach)
    compare(loops.attention, loops.attention_plainly, tensors, rest, 1e-12)
    compare(lambda *given: loops.attention_plainly(*given, parallel=True), loops.attention_plainly, tensors, rest, 1e-12)


def test_single_precision_agrees_as_far_as_it_goes():
    generator = draws(1)
    x = torch.rand(60, 4, 8, generator=generator) * 0.5
    layer = AstroLIF(8, tau_m=5.0, tau_c=40.0, kappa=0.4, g_astro=0.5, delta_c=0.4, group_size=4, recurrent=True,
                     train=("tau_m", "tau_c", "kappa", "g_astro", "delta_c"))
    gradients = []
    for kind in (torch.float64, torch.float32):
        layer.to(kind).zero_grad()
        y, _ = layer(x.to(kind))
        assert y.dtype is kind
        (y * torch.linspace(0.0, 1.0, 60, dtype=kind)[:, None, None]).sum().backward()
        gradients.append([one.grad.double() for one in layer.parameters()])
    assert len(gradients[0]) == 6
    for one, other in zip(*gradients):
        assert float((one - other).abs().max()) <= 1e-3 * float(one.abs().max())


# ------------------------------------------------------------------------------------------ sequences


def units():
    generator = draws(3)
    return {
        "neurons": (AstroLIF(12, tau_m=4.0, tau_c=30.0, g_astro=0.4, delta_c=0.5, group_size=3), 12, 0.4),
        "recurrent neurons": (AstroLIF(12, tau_m=4.0, tau_c=30.0, kappa=-0.4, group_size=4, delta_c=0.5,
                                       recurrent=0.3 * torch.randn(12, 12, generator=generator)), 12, 0.4),
        "attention": (AstroAttention(4, tau_c=30.0), 12, None),
        "attention by heads": (AstroAttention(4, heads=2, tau_c=30.0), 12, None),
    }


@pytest.mark.parametrize("name", list(units()))
def test_step_by_step_is_the_whole_sequence_and_memory_does_not_grow(name):
    layer, inputs, scale = units()[name]
    x = torch.rand(70, 3, inputs, generator=draws(2))
    x = x * scale if scale else (x < 0.4).double()
    whole, after = layer(x)
    assert whole.sum() > 20
    state, sizes = None, set()
    for t in range(len(x)):
        y, state = layer(x[t:t + 1], state)
        assert torch.equal(y[0], whole[t])
        sizes.add(total(state))
    assert len(sizes) == 1
    assert state.keys() == after.keys()
    for one in after:
        assert torch.equal(state[one], after[one])


def test_heads_are_outer_products_of_keys_and_values():
    x = (torch.rand(50, 2, 3, 6, generator=draws(4)) < 0.4).double()
    heads = AstroAttention(6, heads=2, tau_c=20.0)
    assert heads.units == 18
    found, state = heads(x.flatten(2))
    one = AstroAttention(18, tau_c=20.0)
    key, value, query = x.unbind(2)
    by_hand = [torch.stack([each[..., 3 * h + (i if which == "i" else j)] for h in range(2) for i in range(3) for j in range(3)], -1)
               for each, which in ((key, "i"), (value, "j"), (query, "i"))]
    expected, same = one(torch.cat(by_hand, -1))
    assert torch.equal(found, expected) and torch.equal(state["c"], same["c"])


def test_without_calcium_neurons_are_plain_ones():
    x = torch.rand(80, 3, 10, generator=draws(5)) * 0.5
    found, _ = AstroLIF(10, tau_m=7.0, kappa=0.0)(x)
    expected, _ = LIF(10, tau_m=7.0)(x)
    assert found.sum() > 50 and torch.equal(found, expected)


# ------------------------------------------------------------------------------------------ in the engine


def same_spikes(net, x, dt):
    """The engine's spikes are the net's for every neuron and step; returns how many there are of each population."""
    deployed = to_network(net, dt=dt)
    steps = len(x)
    for population in deployed.populations.values():
        deployed.network.record(population, "spikes")
    deployed.set_input(x.numpy())
    result = Simulation(deployed.network, dt=dt).run(deployed.duration(steps))
    sent = {name: one.detach() for name, one in net.activity(x[:, None]).items()}
    counts = {}
    for name in deployed.populations:
        if name in sent:
            np.testing.assert_array_equal(deployed.spikes(result, name, steps), sent[name][:, 0].numpy(), err_msg=name)
            counts[name] = int(sent[name].sum())
    return counts


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize(("g_astro", "bias"), [(0.4, False), (0.0, True), (0.4, True)])
def test_neurons_spike_as_in_the_engine(recurrent, g_astro, bias):
    generator = draws(11)
    back = 0.2 * torch.randn(24, 24, generator=generator) if recurrent else False
    net = Sequential(
        linear(10, 24, 0.5, generator, bias),
        AstroLIF(24, tau_m=torch.linspace(3.0, 20.0, 24), tau_c=torch.linspace(20.0, 200.0, 6), kappa=torch.linspace(-0.4, 0.6, 6),
                 g_astro=g_astro, delta_c=0.5, group_size=4, recurrent=back, train=("tau_m", "tau_c", "kappa", "delta_c")),
        linear(24, 12, 0.5, generator), AstroLIF(12, group_size=3, kappa=0.5, delta_c=0.4))
    counts = same_spikes(net, (torch.rand(150, 10, generator=generator) < 0.2).double(), 2.0)
    assert len(counts) == 2 and min(counts.values()) > 50


@pytest.mark.parametrize("heads", [None, 2])
def test_attention_spikes_as_in_the_engine(heads):
    generator = draws(12)
    attention = AstroAttention(6, heads=heads, tau_c=50.0, write=0.7, bonus=0.5, direct=0.8)
    net = Sequential(linear(10, 18, 0.8, generator), LIF(18, tau_m=3.0), attention,
                     linear(attention.units, 8, 0.8, generator), AstroLIF(8, delta_c=0.5))
    counts = same_spikes(net, (torch.rand(200, 10, generator=generator) < 0.3).double(), 1.0)
    assert len(counts) == 3 and min(counts.values()) > 10


def test_a_trained_net_spikes_as_in_the_engine():
    """After training in single precision too: what is deployed is the net in double precision."""
    torch.set_default_dtype(torch.float32)
    generator = draws(13)
    inputs, targets = (torch.rand(128, 40, 8, generator=generator) < 0.2).float(), torch.arange(128) % 2
    inputs[:, :10, 0] = torch.maximum(inputs[:, :10, 0], targets[:, None].float())
    net = Sequential(linear(8, 18, 0.7, generator), LIF(18, tau_m=3.0), AstroAttention(6, tau_c=30.0, direct=1.0),
                     linear(6, 16, 0.8, generator), AstroLIF(16, tau_m=5.0, g_astro=0.3, group_size=4, recurrent=True,
                                                             train=("tau_m", "tau_c", "kappa", "g_astro", "delta_c")),
                     linear(16, 2, 0.8, generator), AstroLIF(2, tau_m=5.0, kappa=0.0))
    before = [one.detach().clone() for one in net.parameters()]
    history = fit(net, (inputs, targets), epochs=4, batch_size=32, optimiser=torch.optim.Adam(net.parameters(), lr=0.01), progress=False)
    assert history["loss"][-1] < history["loss"][0]
    assert all(not torch.equal(one, other) for one, other in zip(before, net.parameters()))
    counts = same_spikes(net.double(), inputs[3].double(), 1.0)
    assert len(counts) == 4 and counts["2"] > 0


def test_the_cell_of_attention_is_its_equations():
    """Keys, values and queries from sources, step by step in plain Python."""
    dt, steps, rng = 0.5, 120, np.random.default_rng(3)
    shown = rng.random((steps, 3)) < 0.3
    cell = IF_curr_delta_attention(tau_m=4.0, tau_c=40.0, write=0.6, gain=1.7, bonus=0.3, direct=0.4)
    net = Network()
    unit = net.population(1, cell, "unit").record(["spikes", "v", "c"])
    for k, receptor in enumerate(cell.receptors):
        source = net.population(1, SpikeSourceArray(np.flatnonzero(shown[:, k]) * dt), receptor)
        net.project(source, unit, OneToOneConnector(), weight=1.0, delay=dt, receptor=receptor)
    result = Simulation(net, dt=dt).run((steps + 1) * dt)
    v = c = 0.0
    spikes, traces = [], []
    for t, (key, value, query) in enumerate(shown.astype(float)):
        c *= np.exp(-dt / 40.0)
        v = v * np.exp(-dt / 4.0) + query * (1.7 * c + 0.3) + 0.4 * value
        c += 0.6 * key * (value - c)
        if v >= 1.0:
            spikes.append((t + 1) * dt)
            v = 0.0
        traces.append((v, c))
    assert len(spikes) > 5
    np.testing.assert_allclose(result.spikes("unit").times, spikes)
    for k, name in enumerate("vc"):
        np.testing.assert_allclose(result.traces("unit", name).values[1:steps + 1, 0], np.array(traces)[:, k], rtol=1e-12, atol=1e-15)


def test_a_cell_of_the_neurons_has_their_quantities_in_ms():
    layer = AstroLIF(6, tau_m=4.0, tau_c=[10.0, 20.0], kappa=0.2, delta_c=0.7, group_size=3)
    cell = describe(layer, (6,), 0.5).cell
    assert isinstance(cell, IF_curr_delta_astro)
    np.testing.assert_array_equal(cell.tau_c, [5.0] * 3 + [10.0] * 3)
    np.testing.assert_array_equal(cell.tau_m, [2.0] * 6)


@pytest.mark.parametrize("name", ["LIF", "adaptive LIF", "AstroLIF", "AstroAttention", "GRU"])
def test_a_language_model_writes_step_by_step_what_it_reads_in_one_go(name):
    """Of every network of the benchmarks: the state goes on, and does not grow."""
    from neurosim.benchmarks import spiking_language as language
    from neurosim.benchmarks.memory_models import built, parameters, sized, synaptic_operations
    from neurosim.data.text import text
    words = text("the word was with the word, and the word was the word. " * 8)
    letters = len(words.characters)

    def make(kind, n):
        return built(kind, letters, letters, n, 1, drive=1.0, tau_m=3.0, slow=(2.0, 50.0), blocks=2)

    size = parameters(make("LIF", 20))
    n = sized(name, make, size)
    assert abs(parameters(make(name, n)) / size - 1.0) < 0.12
    model = make(name, n).double()
    written = language.generate(model, words, "the ", 30, temperature=1e-6)
    assert len(written) == 34 and written.startswith("the ")
    numbers = torch.as_tensor(words.encoded(written).astype(np.int64))[None]
    with torch.no_grad():
        whole, after = model(language.one_hot(letters)(numbers, None).double())
    assert whole[3:-1].argmax(-1)[:, 0].tolist() == numbers[0, 4:].tolist()
    if name != "GRU":
        x = language.one_hot(letters)(numbers, None).double()
        counted = cost(model, [x], timed=False).synops / len(x)  # per sequence
        assert synaptic_operations(model, x)[0] == pytest.approx(counted, rel=1e-12) and counted > 0
    _, early = model(language.one_hot(letters)(numbers[:, :2], None).double())
    assert total(early) == total(after) > 0


def total(state):
    """Numbers in a nest of states."""
    if isinstance(state, torch.Tensor):
        return state.numel()
    return sum(map(total, state.values() if isinstance(state, dict) else state or ()))


# ------------------------------------------------------------------------------------------ memory


def test_calcium_holds_a_value_that_membranes_forget():
    """A value shown with the key comes back at the query 150 steps later, through values without a key."""
    generator = draws(6)
    x = torch.zeros(200, 1, 3)
    x[:, 0, 1] = (torch.rand(200, generator=generator) < 0.3).double()
    answers = []
    for value in (0.0, 1.0):
        x[10:14, 0, 1], x[10:14, 0, 0], x[164:168, 0, 2] = value, 1.0, 1.0
        x[160:170, 0, 1] = 0.0
        y, _ = AstroAttention(1, tau_m=1.0, tau_c=1000.0, direct=0.2, gain=2.0)(x)
        answers.append(y.detach()[164:168].sum().item())
    assert answers == [0.0, 4.0]


@pytest.mark.slow
def test_attention_learns_to_store_and_recall():
    from neurosim.data import store_recall
    torch.set_default_dtype(torch.float32)
    data = store_recall((6400, 512, 512), values=2, slot=10, delay=(10, 20), group=5, rate=0.3, noise=0.02)
    generator = draws(1)
    net = Sequential(linear(20, 96, 0.5, generator), LIF(96, tau_m=2.0), AstroAttention(32, direct=1.0), linear(32, 2, 0.3, generator))
    fit(net, data.train, epochs=3, optimiser=torch.optim.Adam(net.parameters(), lr=0.01), encode=lambda x, _: x.transpose(0, 1).float(),
        readout=lambda y: y[-10:].mean(0), clip=1.0, progress=False)
    with torch.no_grad():
        y, _ = net(torch.as_tensor(data.test[0]).transpose(0, 1).float())
    assert float((y[-10:].mean(0).argmax(-1) == torch.as_tensor(data.test[1])).float().mean()) > 0.9


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: AstroLIF(10, group_size=3), ParameterError, "10 neurons do not make whole groups of group_size = 3"),
    (lambda: AstroLIF(0), ParameterError, "AstroLIF.n must be a whole number >= 1, got 0"),
    (lambda: AstroLIF(4, tau_m=0.0), ParameterError, "AstroLIF.tau_m must be > 0 and < inf steps, got 0.0"),
    (lambda: AstroLIF(4, kappa=1.5), ParameterError, "AstroLIF.kappa must be >= -1 and <= 1, got 1.5"),
    (lambda: AstroLIF(4, g_astro=0.0, train=("g_astro",)), ParameterError, "g_astro must be > 0 and < inf to be trained"),
    (lambda: AstroLIF(4, tau_c=[1.0, 2.0]), ParameterError, "AstroLIF.tau_c must be a finite number or 4 of them"),
    (lambda: AstroLIF(4, train=("tau",)), ParameterError, "train takes some of tau_m, tau_c, kappa, g_astro, delta_c"),
    (lambda: AstroLIF(4, train="tau_m"), ParameterError, "train takes some of"),
    (lambda: AstroLIF(4, recurrent=torch.zeros(3, 3)), ParameterError, r"recurrent must be of shape \(4, 4\), got \(3, 3\)"),
    (lambda: AstroLIF(4, surrogate="step"), ParameterError, "surrogate must be one of"),
    (lambda: AstroLIF(4)(torch.zeros(5, 2, 3)), ParameterError, r"shape \(T, B, 4\), got \(5, 2, 3\)"),
    (lambda: AstroAttention(6, heads=4), ParameterError, "6 channels do not make 4 heads of one size"),
    (lambda: AstroAttention(6, write=1.0), ParameterError, "write must be > 0 and < 1 to be trained"),
    (lambda: AstroAttention(6)(torch.zeros(5, 2, 6)), ParameterError, r"shape \(T, B, 3 \* 6\), got \(5, 2, 6\)"),
    (lambda: to_network(Sequential(linear(3, 4, 1.0, draws(1)), AstroAttention(2))), NetworkError, "is for 6 values"),
])
def test_errors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
