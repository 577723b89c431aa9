"""Artificial networks as spiking ones: quantised activations, integrating cells, balance, folding, refusals, and the engine."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from neurosim import NetworkError, ParameterError, Simulation, data  # noqa: E402
from neurosim.cost import run_cost  # noqa: E402
from neurosim.hardware.spinnaker import check  # noqa: E402
from neurosim.learn import IF, QCFS, Integrator, Residual, Sequential, convert, cost, evaluate, fit, to_network  # noqa: E402
from neurosim.learn.integrating import Scale  # noqa: E402


@pytest.fixture
def draws():
    """A generator of torch that starts the same in every test, and modules made alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        yield torch.Generator().manual_seed(7)


def settled(net, x):
    """A network whose batch norms have seen data, with offsets and slopes that do something."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
    for _ in range(20):
        net.train()(x)
    return net.eval()


def mlp(act=nn.ReLU):
    return nn.Sequential(nn.Linear(12, 30), nn.BatchNorm1d(30), act(), nn.Dropout(0.5), nn.Linear(30, 20, bias=False), act(),
                         nn.Linear(20, 4))


def cnn(act=nn.ReLU):
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), act(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3, stride=2, bias=False),
                         nn.BatchNorm2d(6), act(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))


def line():
    return nn.Sequential(nn.Conv1d(2, 4, 3, padding=1, groups=2), nn.ReLU(), nn.AvgPool1d(2), nn.BatchNorm1d(4), nn.AdaptiveAvgPool1d(2),
                         nn.Flatten(), nn.Linear(8, 3))


class Block(nn.Module):
    """Two convolutions and a way past them, which may be a convolution or nothing."""

    def __init__(self, channels, past=None):
        super().__init__()
        self.one, self.norm = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.two, self.act, self.past = nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), past

    def forward(self, x):
        y = self.two(self.act(self.norm(self.one(x))))
        return self.act(y + (x if self.past is None else self.past(x)))


class Deep(nn.Module):
    """Blocks, functions in place of modules, a batch norm that has nothing to fold into, a pool as a mean."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU())
        self.blocks = nn.Sequential(Block(3), Block(3, nn.Conv2d(3, 3, 1)))
        self.norm, self.full = nn.BatchNorm2d(3), nn.Linear(3, 3)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        x = torch.add(functional.avg_pool2d(x, 2), functional.avg_pool2d(x, kernel_size=2))
        x = functional.relu(self.norm(x)).mean((2, 3))
        return self.full(functional.dropout(x, 0.5, self.training))


NETS = {"mlp": (mlp, (12,)), "cnn": (cnn, (1, 8, 8)), "line": (line, (2, 8)), "residual": (Deep, (1, 6, 6))}


def example(name, draws, samples=60):
    """(network, samples) of one of NETS."""
    make, shape = NETS[name]
    x = torch.rand((samples, *shape), generator=draws)
    return settled(make(), x), x


# ------------------------------------------------------------------------------------------------ QCFS


@pytest.mark.parametrize("levels", [1, 4, 7])
def test_qcfs_is_its_formula(levels, rng):
    z = rng.normal(0.5, 1.5, 500)
    found = QCFS(levels, 1.7).double()(torch.from_numpy(z)).detach().numpy()
    top = np.float64(np.float32(1.7))
    assert np.allclose(found, top * np.clip(np.floor(levels * z / top + 0.5), 0, levels) / levels, atol=1e-14)
    assert set(np.rint(found / top * levels)) == set(range(levels + 1))


def test_gradients_of_qcfs_pass_straight_through_the_floor(rng):
    act = QCFS(4, 2.0).double()
    z = torch.from_numpy(rng.normal(0.5, 2.0, 300)).requires_grad_()
    g = torch.from_numpy(rng.normal(size=300))
    h = act(z)
    (g * h).sum().backward()
    inside, above = (z >= -0.25) & (z < 1.75), z >= 1.75
    assert 0 < inside.sum() < 300 and above.any()
    assert torch.equal(z.grad, g * inside)
    slope = torch.where(inside, (h - z) / 2.0, above.double()).detach()
    assert act.threshold.grad.item() == pytest.approx((g * slope).sum().item(), rel=1e-12)


def test_qcfs_learns_its_threshold():
    act = QCFS(8, 4.0)
    z = torch.linspace(-1, 1, 200)
    optimiser = torch.optim.Adam(act.parameters(), lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        ((act(z) - z.relu()) ** 2).mean().backward()
        optimiser.step()
    assert 0.8 < act.threshold.item() < 1.3


@pytest.mark.parametrize(("given", "said"), [({"levels": 0}, "QCFS.levels"), ({"levels": 2.0}, "QCFS.levels"),
                                             ({"threshold": 0.0}, "QCFS.threshold")])
def test_qcfs_refuses(given, said):
    with pytest.raises(ParameterError, match=said):
        QCFS(**given)


# ------------------------------------------------------------------------------------------------ cells


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_cells_are_their_equations(reset, rng):
    x = rng.normal(0.3, 0.6, (25, 3, 2, 5))
    v, spikes = np.full((3, 2, 5), 0.25), []
    for now in x:
        v = v + now
        s = (v >= 1.0).astype(float)
        v = v - s if reset == "subtract" else v * (1.0 - s)
        spikes.append(s)
    cells = IF(0.25, reset)
    y, state = cells(torch.from_numpy(x))
    assert np.array_equal(y.numpy(), np.stack(spikes)) and 0.1 < y.mean() < 0.9
    assert np.allclose(state["v"].numpy(), v, atol=1e-12)
    first, between = cells(torch.from_numpy(x[:11]))
    second, _ = cells(torch.from_numpy(x[11:]), between)
    assert torch.equal(torch.cat([first, second]), y)


def test_spikes_of_a_constant_input_number_its_rounded_sum(rng):
    x = torch.from_numpy(rng.uniform(-0.2, 1.0, 400))
    for steps in (1, 3, 16):
        y, _ = IF()(x.expand(steps, 1, 400))
        assert torch.equal(y.sum((0, 1)), torch.floor(steps * x + 0.5).clamp(0, steps))
    assert IF()(torch.full((5, 1, 1), 3.0))[0].sum() == 5  # no more than one a step


def test_readout_adds_up(rng):
    x = torch.from_numpy(rng.normal(size=(9, 2, 3)))
    whole, _ = Integrator()(x)
    first, state = Integrator()(x[:4])
    second, state = Integrator()(x[4:], state)
    assert torch.allclose(whole, torch.cat([first, second])) and torch.equal(state, second[-1])
    assert torch.allclose(whole[-1], x.sum(0))


@pytest.mark.parametrize(("make", "said"), [(lambda: IF(1.0), "IF.initial"), (lambda: IF("even"), "IF.initial"),
                                            (lambda: IF(reset="none"), "IF.reset"),
                                            (lambda: Scale(float("nan")), "Scale.factor")])
def test_layers_refuse(make, said):
    with pytest.raises(ParameterError, match=said):
        make()


# ------------------------------------------------------------------------------------------------ conversion


@pytest.mark.parametrize("name", NETS)
def test_scores_approach_the_artificial_network(name, draws):
    ann, x = example(name, draws)
    before = {key: value.clone() for key, value in ann.state_dict().items()}
    spiking = convert(ann, x, method="max").double()
    with torch.no_grad():
        wanted = ann.double()(x.double())
    found = spiking.scores(x.double(), [20, 1000])
    error = [(one - wanted).abs().max().item() for one in found]
    assert error[1] < 0.02 * wanted.abs().max() and error[1] < 0.2 * error[0]
    assert all(torch.equal(value, before[key].to(value.dtype)) for key, value in ann.state_dict().items())
    assert not any(isinstance(one, (nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout)) for one in spiking.modules())


def test_a_layer_of_qcfs_is_met_exactly_in_as_many_steps_as_levels(draws):
    ann = nn.Sequential(nn.Linear(12, 30), QCFS(8, 0.9), nn.Linear(30, 4)).double()
    x = torch.rand((50, 12), generator=draws, dtype=torch.float64)
    spiking = convert(ann, x)
    assert spiking.thresholds == {"1": pytest.approx(0.9)}
    sent = spiking.activity(spiking.encode(x, 8))
    h = ann[1](ann[0](x)).detach()
    assert 0 < h.max() and torch.equal(sent["1"].sum(0), torch.round(h / ann[1].threshold.detach() * 8))
    assert torch.allclose(spiking.scores(x, 8), ann(x).detach(), atol=1e-12)


def test_cells_of_a_map_begin_apart(draws):
    """An even background: from one potential all cells of a map spike together, and what the next layer gets comes in volleys."""
    v = IF("spread").potentials((4, 9, 9)).ravel()
    assert v[0] == 0.5 and np.abs(np.sort(v) - (np.arange(324) + 0.5) / 324).max() < 0.01
    x = torch.full((1, 1, 9, 9), 0.3, dtype=torch.float64)
    ann = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(150, 5), nn.ReLU()).double()
    with torch.no_grad():
        for one in ann[::2]:
            if hasattr(one, "weight"):
                one.weight.copy_(torch.randn(one.weight.shape, generator=draws, dtype=torch.float64) * 0.5)
    volleys, errors = {}, {}
    for initial in (0.5, None):
        spiking = convert(ann, x, method="max", initial=initial)
        assert [spiking[k].initial for k in (1, 3, 6)] == (["spread", "spread", 0.5] if initial is None else [0.5, 0.5, 0.5])
        sent = spiking.activity(spiking.encode(x, 200))
        volleys[initial] = float(sent["1"].flatten(1).sum(1).std())
        errors[initial] = float((sent["3"].mean(0) - ann[:4](x).detach() / spiking.thresholds["3"]).abs().mean())
    assert volleys[None] < 0.3 * volleys[0.5] and errors[None] < errors[0.5]


def test_deeper_networks_of_qcfs_are_nearly_met(draws):
    ann, x = settled(mlp(lambda: QCFS(16, 2.0)), torch.rand((60, 12), generator=draws)), torch.rand((60, 12), generator=draws)
    with torch.no_grad():
        wanted = ann(x)
    spiking = convert(ann, x, method="qcfs").float()
    assert (spiking.scores(x, 16) - wanted).abs().mean() < 0.1 * wanted.std()


def test_thresholds_are_percentiles_of_activations(draws):
    ann, x = example("mlp", draws)
    with torch.no_grad():
        hidden = ann[:3](x).double().numpy()
    positive = hidden[hidden > 0]
    for given, wanted in (({}, np.percentile(positive, 99.9)), ({"percentile": 90.0}, np.percentile(positive, 90.0)),
                          ({"method": "max"}, positive.max())):
        assert convert(ann, x, **given).thresholds["2"] == pytest.approx(wanted, rel=1e-6)
    assert convert(ann, x, batch=7).thresholds == convert(ann, x).thresholds


def test_of_very_many_activations_some_are_drawn(draws, monkeypatch):
    ann, x = example("cnn", draws, 400)
    whole, largest = convert(ann, x).thresholds, convert(ann, x, method="max").thresholds
    monkeypatch.setattr("neurosim.learn.conversion._SEEN", 20_000)
    some = convert(ann, x).thresholds
    assert some != whole and some == convert(ann, x).thresholds
    assert all(some[name] == pytest.approx(theta, rel=0.1) for name, theta in whole.items())
    assert convert(ann, x, method="max").thresholds == largest


def test_mse_thresholds_lose_least(draws):
    ann, x = example("mlp", draws, 400)
    with torch.no_grad():
        hidden = ann[:3](x).double().numpy()

    def lost(theta, steps):
        return np.mean((theta * np.clip(np.floor(steps * hidden / theta + 0.5), 0, steps) / steps - np.maximum(hidden, 0)) ** 2)

    found = {steps: convert(ann, x, steps, method="mse").thresholds["2"] for steps in (4, 64)}
    assert found[4] < found[64]
    for steps, theta in found.items():
        assert lost(theta, steps) <= 1.001 * min(lost(hidden.max() * part, steps) for part in (0.3, 0.5, 0.7, 0.9, 1.0))


def test_calibration_in_single_precision_and_lists_will_do(draws):
    ann, x = example("mlp", draws)
    assert convert(ann, x.double().numpy()).thresholds == convert(ann, x).thresholds


def test_scores_do_not_depend_on_pieces(draws):
    ann, x = example("residual", draws, 20)
    spiking = convert(ann, x, 12)
    whole = spiking.scores(x.double(), [3, 12], batch=20, piece=12)
    assert torch.allclose(spiking.scores(x.double(), [3, 12], batch=7, piece=5), whole, atol=1e-12)
    assert torch.allclose(spiking.scores(x.double()), whole[1], atol=1e-12)
    seen = []
    spiking.scores(x.double(), [3, 12], batch=20, piece=5, see=seen.append)
    activity = spiking.activity(spiking.encode(x.double()))
    assert len(seen) == 3 and set(seen[0]) == {"input", *activity}
    for name, wanted in activity.items():
        assert torch.allclose(torch.cat([one[name] for one in seen]), wanted, atol=1e-12), name


def test_spikes_as_input(draws):
    ann, x = example("mlp", draws)
    spiking = convert(ann, x, 6, input="rate").float()
    frames = spiking.encode(x, 4000, torch.Generator().manual_seed(1))
    assert set(frames.unique().tolist()) == {0.0, 1.0} and (frames.mean(0) - x).abs().max() < 0.05
    one, two, other = (spiking.scores(x, 50, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    with torch.no_grad():
        assert (spiking.scores(x, 1000, torch.Generator().manual_seed(1)) - ann(x)).abs().max() < 0.15
    with pytest.raises(ParameterError, match="give a torch.Generator"):
        spiking.scores(x, 5)
    with pytest.raises(ParameterError, match=r"rates must be in \[0, 1\]"):
        convert(ann, 2 * x, input="rate")


def test_a_network_that_ends_with_an_activation_sends_spikes(draws):
    ann = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU())
    x = torch.rand((40, 5), generator=draws)
    spiking = convert(ann, x, method="max").double()
    assert isinstance(spiking[-1], IF)
    with torch.no_grad():
        assert (spiking.scores(x.double(), 2000) - ann(x)).abs().max() < 2e-3


def test_branches_become_residuals(draws):
    ann, x = example("residual", draws)
    spiking = convert(ann, x)
    kinds = [type(layer) for layer in spiking]
    assert kinds.count(Residual) == 3 and isinstance(spiking, Sequential)
    first = next(layer for layer in spiking if isinstance(layer, Residual))
    assert [type(one).__name__ for one in first.branches[0]] == ["Conv2d", "IF", "Conv2d"]
    assert [type(one).__name__ for one in first.branches[1]] == ["Scale"]
    assert first.branches[1][0].factor.item() == pytest.approx(spiking.thresholds["stem_2"] / spiking.thresholds["blocks_0_act_1"])


class Named(nn.Module):
    """Names that a network has of its own, and shapes taken from the input."""

    def __init__(self):
        super().__init__()
        self.input, self.output, self.readout, self.after = nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Linear(8, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.output(self.input(x))
        y = self.output(self.readout(x.view(x.size(0), -1)))
        y += self.output(self.readout(x.reshape(x.shape[0], 8)))
        return self.after(y)


def test_names_are_kept_apart(draws):
    ann, x = Named(), torch.rand((40, 2, 4), generator=draws)
    spiking = convert(ann, x, method="max")
    with torch.no_grad():
        assert (spiking.scores(x.double(), 3000) - ann(x)).abs().max() < 2e-3
    made = to_network(spiking, 1.0, (2, 4), analog=True)
    assert len(made.populations) == 4 and made.outputs == ("output",)
    frames = spiking.encode(x[:2].double(), 10)
    assert np.allclose(made.run(frames.numpy()), spiking(frames)[0].numpy(), atol=1e-10)


def test_training_on(draws):
    """A converted network for few steps has gradients, and learns with them."""
    ann, x = example("mlp", draws)
    with torch.no_grad():
        wanted = ann(x)
    spiking = convert(ann, x, method="max").float().requires_grad_()
    frames = spiking.encode(x, 3)

    def loss():
        return ((spiking(frames)[0][-1] / 3 - wanted) ** 2).mean()

    optimiser, before = torch.optim.Adam(spiking.parameters(), lr=3e-3), loss().item()
    for _ in range(40):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() < 0.6 * before


# ------------------------------------------------------------------------------------------------ refusals


class Function(nn.Module):
    """A network of a function between two layers."""

    def __init__(self, function, features=8):
        super().__init__()
        self.one, self.two, self.function = nn.Conv1d(2, 2, 1), nn.Linear(features, 2), function

    def forward(self, x):
        return self.two(torch.flatten(self.function(functional.relu(self.one(x))), 1))


class Branching(nn.Module):
    """Branches that are not nested: a signal of one goes into the other."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

    def forward(self, x):
        one = functional.relu(self.layers[0](x.flatten(1)))
        two = functional.relu(self.layers[1](one))
        three = functional.relu(self.layers[2](one))
        return (one + two) + (two + three)


class Deciding(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def between(*layers):
    return nn.Sequential(nn.Conv1d(2, 2, 1), nn.ReLU(), *layers, nn.Flatten())


REFUSED = {
    "MaxPool1d": (between(nn.MaxPool1d(2)), "2 (MaxPool1d) is not supported; train with AvgPool"),
    "Softmax": (between(nn.Softmax(-1)), "leave it off"),
    "LayerNorm": (between(nn.LayerNorm(4)), "train with BatchNorm"),
    "GroupNorm": (between(nn.GroupNorm(1, 2)), "train with BatchNorm"),
    "Sigmoid": (between(nn.Sigmoid()), "train with ReLU or QCFS"),
    "ReLU6": (between(nn.ReLU6()), "train with QCFS"),
    "GRU": (between(nn.GRU(4, 4)), "train a recurrent spiking layer"),
    "ConvTranspose1d": (between(nn.ConvTranspose1d(2, 2, 1)), "Linear, Conv1d, Conv2d, AvgPool"),
    "max_pool1d": (Function(lambda x: functional.max_pool1d(x, 2)), "max_pool1d is not supported; train with avg_pool"),
    "softmax": (Function(lambda x: torch.softmax(x, -1)), "leave it off"),
    "cat": (Function(lambda x: torch.cat([x, x])), "add branches"),
    "constant": (Function(lambda x: x + 1.0), "the tensors of the network alone"),
    "factor": (Function(lambda x: x * 2.0), "mul is not supported"),
    "slice": (Function(lambda x: x[:, :1], 4), "getitem is not supported"),
    "alpha": (Function(lambda x: torch.add(x, x, alpha=2)), "alpha must be 1"),
    "shapes": (Function(lambda x: x + x.mean(2, keepdim=True)), "what is added must have one shape"),
    "reshape": (Function(lambda x: x.reshape(-1, 4, 2)), "only flattening"),
    "mean": (Function(lambda x: x.mean(1), 4), "only the mean over all of space"),
    "padding_mode": (between(nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular")), "padding_mode must be 'zeros'"),
    "ceil_mode": (between(nn.AvgPool1d(3, ceil_mode=True)), "ceil_mode must be False"),
    "count_include_pad": (between(nn.AvgPool1d(3, padding=1, count_include_pad=False)), "count_include_pad must be True"),
    "AdaptiveAvgPool1d": (between(nn.AdaptiveAvgPool1d(3)), "must divide"),
    "Linear": (between(nn.Linear(4, 2)), "Flatten before it"),
    "Flatten": (nn.Sequential(nn.Conv1d(2, 2, 1), nn.ReLU(), nn.Flatten(0)), "only flattening"),
    "batch statistics": (between(nn.BatchNorm1d(2, track_running_stats=False)), "track_running_stats must be True"),
    "no activation": (nn.Sequential(nn.Flatten(), nn.Linear(8, 2)), "nothing would spike"),
    "crossing": (Branching(), "not nested"),
    "deciding": (Deciding(), "cannot be traced"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_spikes_cannot_do_is_refused_by_name(name, draws):
    ann, said = REFUSED[name]
    with pytest.raises(NetworkError) as caught:
        convert(ann, torch.rand((8, 2, 4), generator=draws))
    assert said in str(caught.value) and str(caught.value).startswith("convert: ")


@pytest.mark.parametrize(("given", "said"), [
    ({"method": "mean"}, "method must be one of"), ({"method": "mse"}, "needs steps"), ({"percentile": 0.0}, "percentile"),
    ({"input": "ttfs"}, "input must be one of"), ({"steps": 0}, "steps"), ({"reset": "none"}, "IF.reset"), ({"initial": 2.0}, "IF.initial"),
])
def test_arguments_out_of_range(given, said, draws):
    ann, x = example("mlp", draws)
    ann.train()
    with pytest.raises(ParameterError, match=said):
        convert(ann, x, **given)
    assert ann.training and all(one.training for one in ann)


def test_calibration_and_thresholds_that_cannot_be(draws):
    ann, x = example("mlp", draws)
    for bad in (x[:0], x[0, 0], x * float("nan")):
        with pytest.raises(ParameterError, match="calibration must be finite"):
            convert(ann, bad)
    with pytest.raises(ParameterError, match=r"samples of shape \(11,\) do not go through"):
        convert(ann, x[:, 1:])
    with pytest.raises(NetworkError, match="method 'qcfs' takes networks trained with QCFS alone"):
        convert(ann, x, method="qcfs")
    with torch.no_grad():
        kept = ann[4].weight[0].clone()
        ann[4].weight[0] = float("nan")
        with pytest.raises(ParameterError, match="what 5 gets is not finite"):
            convert(ann, x)
        ann[4].weight[0] = kept
    nn.init.constant_(ann[1].bias, -100.0)
    with pytest.raises(ParameterError, match="2 must have activations > 0"):
        convert(ann, x)
    negative = nn.Sequential(nn.Linear(12, 4), QCFS(), nn.Linear(4, 2))
    nn.init.constant_(negative[1].threshold, -1.0)
    with pytest.raises(ParameterError, match="1: the learnt threshold must be > 0, got -1"):
        convert(negative, x)


# ------------------------------------------------------------------------------------------------ the engine


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("given", ["current", "rate"])
@pytest.mark.parametrize("name", NETS)
def test_the_engine_sends_the_same_spikes(name, given, reset, draws):
    steps = 24
    ann, x = example(name, draws)
    spiking = convert(ann, x, steps, input=given, reset=reset)
    made = to_network(spiking, 0.5, x.shape[1:], analog=given == "current")
    cells = {name: layer for name, layer in spiking.named_modules() if isinstance(layer, IF)}
    assert len(cells) == len([one for one in made.populations if one not in ("input", "readout")]) > 0
    total = 0
    for one in x[:3].double():
        frames = spiking.encode(one[None], steps, draws)
        sent = spiking.activity(frames)
        made.set_input(frames[:, 0].numpy())
        result = Simulation(made.network, dt=made.dt).run(made.duration(steps), progress=False)
        for label in made.populations:
            wanted = frames if label == "input" else sent[label]
            found = made.sent(result, label, steps)
            if label == "readout":
                assert np.abs(found - wanted[:, 0].numpy()).max() < 1e-10
            else:
                assert np.array_equal(found, wanted[:, 0].numpy()), label
                total += found.sum()
    assert total > 100


def test_torch_and_engine_cost_the_same(draws):
    ann, x = example("mlp", draws)
    spiking = convert(ann, x, input="rate")
    made, frames = to_network(spiking, 1.0), spiking.encode(x[:1].double(), 20, draws)
    made.set_input(frames[:, 0].numpy())
    result = Simulation(made.network, dt=made.dt).run(made.duration(20), progress=False)
    found, wanted = run_cost(made.network, result, steps=20, offsets=made.offsets), cost(spiking, [frames])
    assert found.synops == wanted.acs == wanted.synops > 500


def test_spinnaker_names_what_it_does_not_have(draws):
    ann, x = example("mlp", draws)
    made = to_network(convert(ann, x, input="rate"), 1.0)
    report = str(check(made.network))
    assert "cannot be deployed" in report and "SpiNNaker has no EulerLIF" in report


def test_handwritten_digits_keep_their_accuracy():
    """scikit-learn's digits: ReLU with balanced thresholds and QCFS, T = 32."""
    pytest.importorskip("sklearn")
    split = data.digits(seed=1).map(lambda x: x.reshape(len(x), -1))
    train, validation, test = ((torch.from_numpy(x), torch.from_numpy(y)) for x, y in (split.train, split.validation, split.test))
    plain = {"encode": lambda x, generator: x, "readout": nn.Identity()}
    for act in (nn.ReLU, lambda: QCFS(8, 4.0)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            ann = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), act(), nn.Linear(64, 48), nn.BatchNorm1d(48), act(),
                                nn.Linear(48, 10))
        optimiser = torch.optim.Adam(ann.parameters(), lr=3e-3)
        fit(ann, train, validation, epochs=12, batch_size=32, optimiser=optimiser, progress=False, **plain)
        wanted = evaluate(ann, test, **plain)["accuracy"]
        scores = convert(ann, train[0], 32).float().scores(test[0], [2, 32])
        found = [(one.argmax(-1) == test[1]).float().mean().item() for one in scores]
        assert wanted > 0.93 and found[1] >= wanted - 0.005
