"""Reward-modulated STDP in the engine, as a learner of a model's weights."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn

from neurosim.errors import NetworkError, ParameterError
from neurosim.learn import LIF, Recurrent, Sequential
from neurosim.learn.reward import RewardSTDP, right_answer

HALF = 20


def model(seed):
    """Senses that project to two actions, which inhibit each other."""
    senses = nn.Linear(2 * HALF, 2, bias=False)
    with torch.no_grad():
        senses.weight.copy_(0.1 + 0.02 * torch.rand(2, 2 * HALF, generator=torch.Generator().manual_seed(seed)))
    return Sequential(senses, Recurrent(LIF(2), weight=torch.tensor([[0.0, -1.0], [-1.0, 0.0]])))


def trials(draws, number=10, steps=150):
    """Noise, with one half of the senses more active; which half it is."""
    shown = torch.randint(0, 2, (number,), generator=draws)
    rate = torch.where((torch.arange(2 * HALF) // HALF)[None] == shown[:, None], 0.03, 0.005)
    return (torch.rand(steps, number, 2 * HALF, generator=draws) < rate).to(torch.float32), shown


def learner(net, **more):
    return RewardSTDP(net, "0", (2 * HALF,), **{"w_max": 0.3, "gap": 150, **more})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reward_goes_up(seed):
    draws, net = torch.Generator().manual_seed(seed), model(seed)
    taught = learner(net)
    rewards = [-taught.step(*trials(draws)) for _ in range(14)]
    assert np.mean(rewards[:2]) < 0.5 and np.mean(rewards[-3:]) > 0.9
    assert taught.rewards[:10] and np.mean(taught.rewards[:10]) == pytest.approx(rewards[0])
    weight = net[0].weight.detach()
    assert weight[0, :HALF].mean() > 1.3 * weight[1, :HALF].mean() and weight[1, HALF:].mean() > 1.3 * weight[0, HALF:].mean()
    # What was learnt in the engine is the model's: it answers right without the engine.
    x, shown = trials(draws, 20)
    assert (net(x)[0].sum(0).argmax(-1) == shown).float().mean() > 0.9


def test_without_dopamine_nothing_is_learnt_and_spikes_are_the_models():
    net, draws = model(4), torch.Generator().manual_seed(4)
    before, seen = net[0].weight.detach().clone(), []
    taught = learner(net, amount=0.0, reward=lambda counts, target: seen.append(counts.tolist()) or 0.0)
    for _ in range(2):  # the second batch goes on where the first ended
        x, shown = trials(draws, 3)
        taught.step(x, shown)
        assert net(x)[0].sum(0).int().tolist() == seen[-3:]
    assert sum(map(sum, seen)) > 20
    assert (net[0].weight - before).abs().max() < 1e-6


def test_expectations_are_kept_for_each_target_and_rewards_count_beyond_them():
    taught = learner(model(5), reward=lambda counts, target: 1.0 + target, remember=0.5)
    x, _ = trials(torch.Generator().manual_seed(5), 4)
    assert taught.step(x, torch.tensor([0, 1, 0, 0])) == -1.25
    assert taught.expected == {0: 0.875, 1: 1.0}


def test_the_optimiser_makes_the_step():
    draws, changes = torch.Generator().manual_seed(6), []
    data = trials(draws, 5)
    for rate in (None, 1.0, 0.5):
        net = model(6)
        before = net[0].weight.detach().clone()
        optimiser = None if rate is None else torch.optim.SGD([net[0].weight], lr=rate)
        learner(net, optimiser=optimiser).step(*data)
        changes.append(net[0].weight.detach() - before)
    assert changes[0].abs().max() > 1e-4
    assert torch.allclose(changes[1], changes[0], atol=1e-7) and torch.allclose(changes[2], 0.5 * changes[0], atol=1e-7)


def test_changes_stay_off_what_an_orthogonal_projection_protects():
    from neurosim.learn.projection import OrthogonalProjection

    net, draws = model(7), torch.Generator().manual_seed(7)
    projection = OrthogonalProjection(net, {"0": 3}, orthonormal=True)
    optimiser = torch.optim.SGD([net[0].weight], lr=1.0)
    projection.attach(optimiser)
    taught = learner(net, optimiser=optimiser, observe=projection.observe)
    for _ in range(3):
        taught.step(*trials(draws, 5))
    projection.end_task()
    before = net[0].weight.detach().clone()
    taught.step(*trials(draws, 5))
    change = net[0].weight.detach() - before
    rows = projection.rows("0")[0]
    assert rows.shape == (3, 2 * HALF) and change.abs().max() > 1e-4
    assert (change @ rows.T).abs().max() < 1e-3 * change.norm()


@pytest.mark.parametrize(("counts", "target", "reward"), [([3, 1], 0, 1.0), ([3, 1], 1, -1.0), ([2, 2], 0, -1.0), ([0, 0], 1, -1.0)])
def test_right_answers(counts, target, reward):
    assert right_answer(np.array(counts), target) == reward


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"w_max": 0.05}, NetworkError, "weights of 0 must be between 0 and w_max = 0.05"),
    ({"layer": "1"}, NetworkError, "'1' must name an nn.Linear of the model, without a bias"),
    ({"w_max": -1.0}, ParameterError, "RewardSTDP.w_max must be > 0, got -1.0"),
    ({"gap": 0}, ParameterError, "RewardSTDP.gap must be a whole number of steps >= 1, got 0"),
    ({"remember": 2.0}, ParameterError, "RewardSTDP.remember must be between 0 and 1, got 2.0"),
])
def test_bad_input_is_told(change, error, message):
    net = model(1)
    with pytest.raises(error, match=message):
        RewardSTDP(net, change.pop("layer", "0"), (2 * HALF,), **change)
