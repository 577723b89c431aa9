"""Scaling and normalisation of weights: against plain loops, fixed points, and in running networks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.errors import ParameterError
from neurosim.homeostasis import SynapticScaling, WeightNormalization

networks = st.integers(0, 2**32).map(np.random.default_rng)


def synapses(rng, n_post=5, most=40):
    """Weights of both signs and zeros, their targets, and spike counts."""
    n = int(rng.integers(0, most))
    weights = rng.normal(size=n) * (rng.random(n) < 0.9)
    return weights, rng.integers(0, n_post, n), rng.poisson(5.0, n_post)


def plain_scaling(rule, weights, post, counts, rate):
    rate, out = list(rate), list(weights)
    seconds = rule.interval / 1000.0
    for j, count in enumerate(counts):
        rate[j] += (count / seconds - rate[j]) * (1.0 - math.exp(-rule.interval / rule.tau_rate))
    for s, j in enumerate(post):
        size = abs(weights[s]) * math.exp(rule.eta * seconds * (1.0 - rate[j] / rule.target_rate))
        size = min(max(size, rule.w_min), rule.w_max)
        out[s] = 0.0 if weights[s] == 0 else math.copysign(size, weights[s])
    return out, rate


@given(networks, st.floats(-1.0, 1.0), st.floats(10.0, 1000.0), st.booleans())
def test_scaling_is_the_plain_one(rng, eta, interval, bounded):
    bounds = {"w_min": 0.3, "w_max": 0.9} if bounded else {}
    rule = SynapticScaling(target_rate=4.0, eta=eta, tau_rate=700.0, interval=interval, **bounds)
    state = rule.initial_state(5)
    assert state["rate"].tolist() == [4.0] * 5
    for _ in range(3):
        weights, post, counts = synapses(rng)
        before = (weights.copy(), state["rate"].copy())
        got, after = rule.apply(weights, post, counts, state)
        want, rate = plain_scaling(rule, weights, post, counts, state["rate"])
        np.testing.assert_allclose(got, want, rtol=1e-12)
        np.testing.assert_allclose(after["rate"], rate, rtol=1e-12)
        assert np.array_equal(weights, before[0]) and np.array_equal(state["rate"], before[1])
        state = after


def test_scaling_keeps_the_ratios_of_the_weights_onto_a_cell(rng):
    rule = SynapticScaling(eta=0.5)
    weights, post = rng.random(30) + 0.1, np.repeat(np.arange(3), 10)
    scaled, _ = rule.apply(weights, post, np.array([0, 5, 40]), rule.initial_state(3))
    factors = (scaled / weights).reshape(3, 10)
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1], (3, 10)), rtol=1e-12)
    assert factors[0, 0] > 1.0 > factors[2, 0]
    assert factors[1, 0] == pytest.approx(1.0, abs=1e-12)  # at the target, nothing moves


def test_scaling_brings_a_cell_that_answers_to_its_weights_to_the_target():
    """A rate that is linear in the weights is driven to the target, whatever it starts from."""
    rule = SynapticScaling(target_rate=8.0, eta=0.2, tau_rate=2000.0)
    weights, post, state = np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]), rule.initial_state(2)
    for _ in range(200):
        rates = 6.0 * np.bincount(post, weights)
        weights, state = rule.apply(weights, post, rates, state)
    np.testing.assert_allclose(6.0 * np.bincount(post, weights), 8.0, rtol=1e-3)
    np.testing.assert_allclose(state["rate"], 8.0, rtol=1e-3)


def test_scaling_does_not_depend_on_the_interval_where_rates_are_constant():
    weights = {}
    for interval in (10.0, 100.0, 1000.0):
        rule = SynapticScaling(target_rate=5.0, eta=0.05, tau_rate=20000.0, interval=interval)
        w, state = np.array([1.0]), rule.initial_state(1)
        for _ in range(int(10000 / interval)):
            w, state = rule.apply(w, np.array([0]), np.array([0.02 * interval]), state)
        weights[interval] = w[0]
        assert state["rate"][0] == pytest.approx(20.0 - 15.0 * math.exp(-0.5), rel=1e-9)
    assert weights[10.0] == pytest.approx(weights[100.0], rel=5e-3)
    assert weights[10.0] == pytest.approx(weights[1000.0], rel=5e-2)


@given(networks, st.floats(1e-3, 1e3))
def test_normalisation_keeps_the_sum_and_the_ratios(rng, total):
    rule = WeightNormalization(total=total)
    weights, post, counts = synapses(rng)
    got, state = rule.apply(weights, post, counts, rule.initial_state(5))
    assert state == {} and np.array_equal(np.sign(got), np.sign(weights))
    for j in range(5):
        mine, size = weights[post == j], np.abs(weights[post == j]).sum()
        if size > 0:
            assert np.abs(got[post == j]).sum() == pytest.approx(total, rel=1e-12)
            np.testing.assert_allclose(got[post == j], mine * (total / size), rtol=1e-12)
        else:
            assert not got[post == j].any()
    again, _ = rule.apply(got, post, counts, state)
    np.testing.assert_allclose(again, got, rtol=1e-12)


def test_normalisation_of_very_small_weights_stays_finite():
    got, _ = WeightNormalization(total=2.0).apply(np.array([5e-324, 1e-320]), np.array([0, 1]), np.zeros(2), {})
    np.testing.assert_allclose(got, [2.0, 2.0])


@pytest.mark.parametrize(("rule", "words"), [
    (lambda: SynapticScaling(target_rate=0.0), "SynapticScaling.target_rate must be > 0 Hz, got 0"),
    (lambda: SynapticScaling(interval=-1.0), "SynapticScaling.interval must be > 0 ms, got -1"),
    (lambda: SynapticScaling(w_min=2.0, w_max=1.0), r"SynapticScaling.w_min must be <= w_max \(1\), got 2"),
    (lambda: SynapticScaling(eta=[0.1, 0.2]), "SynapticScaling.eta must be one number"),
    (lambda: SynapticScaling(eta=2.0, interval=1000.0), r"\|eta\| \* interval must be <= 1 .* got 2 from eta = 2"),
    (lambda: SynapticScaling(rate=3.0), "SynapticScaling has no parameter 'rate'; it has target_rate, eta"),
    (lambda: WeightNormalization(total=0.0), "WeightNormalization.total must be > 0 nA, uS or mV, got 0"),
    (lambda: WeightNormalization(interval="1 s"), "WeightNormalization.interval must be a number"),
])
def test_parameters_are_checked(rule, words):
    with pytest.raises(ParameterError, match=words):
        rule()
