"""Codes of spikes in training: seeds from the training's generator."""

import numpy as np
import pytest

from neurosim import data, encoding

torch = pytest.importorskip("torch")
learn = pytest.importorskip("neurosim.learn")


def test_each_batch_is_drawn_anew_and_a_seed_repeats_it():
    x = torch.full((4, 3), 0.5)
    encode = learn.encoder(encoding.rate, 30)
    draws = torch.Generator().manual_seed(1)
    first, second = encode(x, draws), encode(x, draws)
    assert first.shape == (30, 4, 3) and first.dtype == torch.get_default_dtype() and not torch.equal(first, second)
    assert torch.equal(first, encode(x, torch.Generator().manual_seed(1)))
    fixed = learn.encoder(encoding.rate, 30, seed=5)
    assert torch.equal(fixed(x, draws), fixed(x, draws))
    np.testing.assert_array_equal(fixed(x, draws), encoding.rate(x.numpy(), 30, seed=5))
    np.testing.assert_array_equal(learn.encoder(encoding.latency, 12, law="log")(x, draws), encoding.latency(x.numpy(), 12, law="log"))


@pytest.mark.needs("sklearn")
def test_digits_are_learnt_from_latencies():
    split = data.some(data.digits(), (400, 100, 100)).map(lambda x: x.reshape(len(x), -1))
    net = learn.Sequential(torch.nn.Linear(64, 32), learn.LIF(32, tau_m=5.0), torch.nn.Linear(32, 10), learn.LI(10, tau_m=5.0))
    with torch.no_grad():
        draws = torch.Generator().manual_seed(1)
        for layer in (net[0], net[2]):
            layer.weight.copy_(0.3 * torch.randn(layer.weight.shape, generator=draws))
            layer.bias.zero_()
    encode = learn.encoder(encoding.latency, 10, threshold=0.2)
    learn.fit(net, split.train, split.validation, epochs=12, batch_size=50, optimiser=torch.optim.Adam(net.parameters(), lr=0.01),
              encode=encode, progress=False)
    assert learn.evaluate(net, split.test, encode=encode)["accuracy"] > 0.7
