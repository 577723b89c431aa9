"""The training loop: what it learns, keeps, shows; interrupted, resumed, repeated."""

import itertools
import signal

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch, which is not installed")

from neurosim.errors import FileFormatError, ParameterError  # noqa: E402
from neurosim.learn import (  # noqa: E402
    Layer,
    Sequential,
    evaluate,
    fit,
    last_of_time,
    max_over_time,
    mean_over_time,
    scores,
    spike_count,
    sum_of_softmax,
)
from neurosim.learn.sequence import detached  # noqa: E402

nn = torch.nn


class Leak(Layer):
    """y[t] = 0.5 y[t - 1] + x[t], a layer with a state."""

    def forward(self, x, state=None):
        y, out = torch.zeros_like(x[0]) if state is None else state, []
        for one in x:
            y = 0.5 * y + one
            out.append(y)
        return torch.stack(out), y


def network(seed=1, dropout=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Sequential(nn.Linear(6, 16), nn.Tanh(), Leak(), nn.Dropout(dropout), nn.Linear(16, 3))


def data(n=120, steps=7, seed=1):
    """Three classes that differ in the slope of a channel."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, n)
    inputs = rng.normal(0.0, 0.5, (n, steps, 6))
    inputs[:, :, 0] += (targets[:, None] - 1) * np.linspace(-1.0, 1.0, steps)
    inputs[:, :, 1] += targets[:, None]
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets)


def parameters(model):
    return torch.cat([one.detach().flatten() for one in model.parameters()])


def test_it_learns_and_the_history_tells():
    model, train, held = network(), data(), data(60, seed=2)
    before = evaluate(model, held)
    history = fit(model, train, held, epochs=12, batch_size=16, optimiser=torch.optim.Adam(model.parameters(), 0.01), progress=False)
    assert history["accuracy"][-1] > 0.9 > before["accuracy"]
    assert history["validation_accuracy"].shape == history["loss"].shape == (12,)
    assert history.best == 1 + int(np.lexsort((-history["validation_loss"], history["validation_accuracy"]))[-1])
    assert evaluate(model, held) == {"loss": pytest.approx(history["validation_loss"][history.best - 1]),
                                     "accuracy": history["validation_accuracy"][history.best - 1]}
    assert not model.training and np.all(history["seconds"] > 0)
    with pytest.raises(KeyError, match="there are"):
        history["perplexity"]


def test_one_epoch_is_the_plain_loop():
    model, twin, (inputs, targets) = network(), network(), data(64)
    fit(model, (inputs, targets), epochs=1, batch_size=64, optimiser=torch.optim.SGD(model.parameters(), 0.1), progress=False)
    y, _ = twin(inputs.transpose(0, 1))
    nn.functional.cross_entropy(y.mean(0), targets).backward()
    with torch.no_grad():
        for one in twin.parameters():
            one -= 0.1 * one.grad
    torch.testing.assert_close(parameters(model), parameters(twin))


def test_a_seed_is_a_result_and_torchs_generator_is_left_alone():
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed + len(found))
        model = network(dropout=0.4)
        before = torch.get_rng_state()
        fit(model, data(), epochs=2, seed=seed, progress=False)
        assert torch.equal(torch.get_rng_state(), before)
        found.append(parameters(model))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_resumed_training_is_one_without_a_break(tmp_path):
    def trained(epochs, path):
        model = network(dropout=0.3)
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, 1, 0.7)
        history = fit(model, data(), data(40, seed=5), epochs=epochs, optimiser=optimiser, schedule=schedule, checkpoint=path,
                      progress=False)
        return parameters(model), [row["loss"] for row in history.rows]
    whole = trained(5, None)
    path = tmp_path / "training.pt"
    trained(2, path)
    parts = trained(5, path)
    assert torch.equal(whole[0], parts[0]) and whole[1] == parts[1]
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match="not a checkpoint of fit"):
        trained(1, bad)
    torch.save({"a": 1}, bad)
    with pytest.raises(FileFormatError, match="not a checkpoint of fit"):
        trained(1, bad)
    with pytest.raises(FileFormatError, match="another model"):
        fit(nn.Linear(6, 3), data(), epochs=1, checkpoint=path, progress=False)


def test_the_best_or_the_last_epoch_is_kept():
    def worse(model, epoch):
        if epoch == 2:
            with torch.no_grad():
                for one in model.parameters():
                    one.zero_()
        return {"epoch_seen": epoch}
    for keep, expected in (("best", 1), ("last", 2)):
        model = network()
        history = fit(model, data(), data(60, seed=2), epochs=2, batch_size=16, after_epoch=worse, keep=keep,
                      optimiser=torch.optim.Adam(model.parameters(), 0.03), progress=False)
        assert history.best == expected
        assert bool(parameters(model).any()) == (keep == "best")
        assert list(history["epoch_seen"]) == [1, 2]


def test_truncation_blocks_gradients_where_a_piece_begins():
    model, twin, (inputs, targets) = network(), network(), data(32, steps=6)
    fit(model, (inputs, targets), epochs=1, batch_size=32, optimiser=torch.optim.SGD(model.parameters(), 0.1), truncate=2, progress=False)
    state = None
    for piece in inputs.transpose(0, 1).split(2):
        y, state = twin(piece, state)
        state = {name: one if one is None else one.detach() for name, one in state.items()}
        twin.zero_grad()
        nn.functional.cross_entropy(y.mean(0), targets).backward()
        with torch.no_grad():
            for one in twin.parameters():
                one -= 0.1 * one.grad
    torch.testing.assert_close(parameters(model), parameters(twin))
    nested = detached({"a": (torch.ones(2, requires_grad=True) * 2, [None])})
    assert not nested["a"][0].requires_grad and nested["a"][1] == [None]


def test_regularisation_sees_what_layers_send():
    seen = []

    def quiet(sent):
        seen.append({name: tuple(y.shape) for name, y in sent.items()})
        return 10.0 * sent["2"].square().mean()
    plain, calm = network(), network()
    for model, regularise in ((plain, None), (calm, quiet)):
        fit(model, data(), epochs=4, regularise=regularise, optimiser=torch.optim.Adam(model.parameters(), 0.01), progress=False)
    assert seen[0] == {"2": (7, 64, 16)}
    size = [model.activity(data()[0].transpose(0, 1))["2"].square().mean() for model in (plain, calm)]
    assert size[1] < 0.5 * size[0]


def test_callbacks_schedule_clipping_and_encoding():
    model, calls, seen = network(), [], []
    optimiser = torch.optim.SGD(model.parameters(), 1.0)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.5)

    def encode(x, draws):
        seen.append(x.shape)
        return x[:, :1].transpose(0, 1).expand(4, -1, -1) + torch.rand((4, *x[:, 0].shape), generator=draws)
    before = parameters(model)
    fit(model, data(), epochs=2, batch_size=50, optimiser=optimiser, schedule=schedule, encode=encode, clip=1e-3, after_batch=[
        lambda m: calls.append(parameters(m)), lambda m: calls.append(None)], progress=False)
    assert len(calls) == 12 and [shape[0] for shape in seen] == [50, 50, 20] * 2
    steps = [float((b - a).norm()) for a, b in itertools.pairwise([before, *calls[::2]])]
    assert np.allclose(steps, [1e-3] * 3 + [5e-4] * 3, rtol=1e-2)


def test_an_interrupt_ends_after_the_batch():
    model, batches = network(), []

    def interrupt(_):
        batches.append(1)
        if len(batches) == 5:
            signal.raise_signal(signal.SIGINT)
    history = fit(model, data(), epochs=50, batch_size=60, after_batch=interrupt, progress=False)
    assert history.interrupted and len(batches) == 5 and len(history.rows) == 2
    assert not torch.equal(parameters(model), parameters(network()))


def test_readouts_and_scores():
    y = torch.tensor(np.random.default_rng(1).normal(size=(5, 2, 3)))
    for readout, expected in ((mean_over_time, y.mean(0)), (spike_count, y.sum(0)), (max_over_time, y.max(0).values),
                              (last_of_time, y[4]), (sum_of_softmax, torch.exp(y - y.logsumexp(-1, keepdim=True)).sum(0))):
        torch.testing.assert_close(readout(y), expected)
    model, (inputs, _) = network(), data(10)
    with torch.no_grad():
        torch.testing.assert_close(scores(model, inputs, readout=last_of_time, batch_size=3), model(inputs.transpose(0, 1))[0][-1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32])
def test_spikes_may_be_bytes_and_booleans(dtype):
    rng = np.random.default_rng(1)
    spikes = torch.tensor(rng.random((10, 5, 6)) < 0.5)
    expected = scores(network(), spikes.to(torch.float32))
    assert torch.equal(scores(network(), spikes.to(dtype)), expected)


def test_targets_that_are_no_classes_have_no_accuracy():
    inputs, _ = data(40)
    model = network()
    history = fit(model, (inputs, inputs[:, :, :3].mean(1)), (inputs, inputs[:, :, :3].mean(1)), epochs=3, loss=nn.functional.mse_loss,
                  optimiser=torch.optim.Adam(model.parameters(), 0.01), progress=False)
    assert set(history.rows[0]) == {"epoch", "loss", "validation_loss", "seconds"}
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(("change", "message"), [
    ({"epochs": 0}, "epochs must be a whole number >= 1, got 0"),
    ({"batch_size": 1.5}, "batch_size must be a whole number"),
    ({"truncate": 0}, "truncate must be"),
    ({"keep": "first"}, "keep must be 'best' or 'last', got 'first'"),
    ({"clip": 0.0}, "clip must be > 0, got 0.0"),
    ({"train": (torch.zeros(3, 2, 6), torch.zeros(4))}, "3 inputs and 4 targets"),
    ({"train": (torch.full((3, 2, 6), float("nan")), torch.zeros(3))}, "inputs of train are not a number"),
    ({"train": torch.zeros(3)}, "must be \\(inputs, targets\\), got Tensor"),
])
def test_bad_arguments(change, message):
    with pytest.raises(ParameterError, match=message):
        fit(network(), **{"train": data(8), "epochs": 1, "progress": False, **change})


def test_a_loss_that_is_not_finite_changes_nothing():
    model = network()
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        fit(model, data(8), epochs=1, loss=lambda answer, target: answer.sum() * float("nan"), progress=False)
    assert torch.equal(parameters(model), parameters(network()))


def test_progress_and_curves(capfd):
    history = fit(network(), data(40), data(20, seed=3), epochs=2)
    shown = capfd.readouterr().err
    assert "2/2" in shown and "loss" in shown and "accuracy" in shown
    pytest.importorskip("matplotlib", reason="needs matplotlib, which is not installed")
    axes = history.plot().axes
    assert [one.get_ylabel() for one in axes] == ["loss", "accuracy (%)"]
    assert [line.get_ydata().tolist() for line in axes[0].lines] == [history["loss"].tolist(), history["validation_loss"].tolist()]
    from neurosim.plot import learning_curves
    several = learning_curves({"a": [history.rows, history.rows[:1]], "b": [history.rows]})
    assert len(several.axes[0].lines) == 4 and len(several.axes[0].collections) == 2
    with pytest.raises(ParameterError, match="at least one epoch"):
        learning_curves({"a": [[]]})
