"""Lateral rows that learn a subspace: against plain loops, against eigenvectors, and task after task."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.errors import ParameterError
from neurosim.subspace import LateralSubspace, oja_step, projected, quantised


def plain_step(rows, momentum, x, old, rate, decay, levels):
    """The update written out, sample by sample and entry by entry."""
    k, n = rows.shape
    update = np.zeros((k, n))
    for sample in x:
        y = [sum(rows[a, i] * sample[i] for i in range(n)) for a in range(k)]
        if levels is not None:
            y = [np.round(min(max(value, -20.0), 20.0) * levels / 20.0) * 20.0 / levels for value in y]
        back = [sum(rows[a, i] * y[a] for a in range(k)) for i in range(n)]
        for a in range(old, k):
            for i in range(n):
                update[a, i] += y[a] * (sample[i] - back[i]) / len(x)
    update = np.clip(update, -10.0, 10.0)
    moved, after = rows.copy(), momentum.copy()
    for a in range(old, k):
        after[a] = decay * momentum[a] + (1 - decay) * update[a]
        moved[a] = rows[a] + rate * after[a]
    return moved, after


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(0, 3), st.sampled_from([None, 1, 40]),
       st.floats(0.1, 30.0))
def test_a_step_is_the_plain_one(seed, k, old, levels, size):
    rng = np.random.default_rng(seed)
    rows, momentum, x = rng.normal(size=(k, 6)), rng.normal(size=(k, 6)), size * rng.normal(size=(3, 6))
    old = min(old, k)
    got = oja_step(rows, momentum, x, old, 0.01, 0.8, levels)
    want = plain_step(rows, momentum, x, old, 0.01, 0.8, levels)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    assert (got[0][:old] == rows[:old]).all() and (got[1][:old] == momentum[:old]).all()
    alone = oja_step(rows[old:], momentum[old:], x, 0, 0.01, 0.8, levels, rest=projected(rows[:old], x, levels))
    for a, b in zip(alone, want, strict=True):  # the same with the fixed rows' share computed beforehand
        np.testing.assert_allclose(a, b[old:], rtol=1e-9, atol=1e-9)


def spectrum(n, samples, rng, ratio=0.85):
    """Inputs whose second moments have the eigenvalues 1, ratio, ratio**2 ... along random axes."""
    axes = np.linalg.qr(rng.normal(size=(n, n)))[0]
    size = ratio ** (0.5 * np.arange(n))
    return (rng.normal(size=(samples, n)) * size) @ axes.T


def best_energy(x, k, fixed=None):
    """The largest share of the squared length that k rows orthogonal to the fixed ones can add to theirs."""
    moments = x.T @ x
    total = np.trace(moments)
    if fixed is not None:
        away = np.eye(x.shape[1]) - fixed.T @ np.linalg.pinv(fixed.T)
        moments = away @ moments @ away
    return 1.0 - (np.trace(moments) - np.linalg.eigvalsh(moments)[-k:].sum()) / total


def learned(space, x, batch=64):
    for first in range(0, len(x), batch):
        space.learn(x[first:first + batch])


def off_orthonormal(rows):
    return np.abs(rows @ rows.T - np.eye(len(rows))).max()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_find_the_main_subspace_task_after_task(rng, dtype):
    """One pass each: 99 % of what the best rows reach, orthonormal to 5e-3, and new rows orthogonal to the old ones."""
    first, second = spectrum(60, 16000, rng), spectrum(60, 16000, rng)
    space = LateralSubspace(60, 20, rate=0.08, dtype=dtype)
    learned(space, first)
    assert space.energy(first) > 0.99 * best_energy(first, 20)
    assert off_orthonormal(space.rows) < 5e-3
    space.freeze()
    old = space.rows.copy()
    space.grow(20)
    assert np.abs(space.rows[20:] @ old.T).max() < 1e-5
    learned(space, second)
    assert space.rows.dtype == dtype and (space.rows[:20] == old).all()
    assert space.energy(second) > 0.99 * best_energy(second, 20, old)
    assert np.abs(space.rows[20:] @ old.T).max() < 5e-3
    assert off_orthonormal(space.rows) < 5e-3
    assert space.energy(first) > 0.99 * best_energy(first, 20)


def test_rows_find_the_main_subspace_of_real_inputs(needs):
    """Handwritten digits of 8 x 8 points, as rates between 0 and 1."""
    x = needs("sklearn", "sklearn.datasets").load_digits().data / 16.0
    x = np.random.default_rng(3).permutation(x)
    space = LateralSubspace(64, 20, rate=0.05)
    learned(space, x, batch=16)
    assert space.energy(x) > 0.98 * best_energy(x, 20)
    assert off_orthonormal(space.rows) < 1e-2


def test_projection_takes_out_what_was_learned(rng):
    x = spectrum(30, 8000, rng, ratio=0.6)
    space = LateralSubspace(30, 8, rate=0.3)
    learned(space, x)
    assert np.array_equal(space.project(x), x)  # nothing is of the past yet
    space.freeze()
    rest = space.project(x)
    assert np.sum(rest**2) < 0.03 * np.sum(x**2)
    assert np.sum(rest**2) / np.sum(x**2) == pytest.approx(1.0 - space.energy(x), rel=1e-9)
    # A weight change made from the projection leaves the outputs for the main directions alone.
    inside = x @ space.rows.T @ space.rows
    change = rng.normal(size=(5, len(x))) @ rest / len(x)
    raw = rng.normal(size=(5, len(x))) @ x / len(x)
    assert np.abs(change @ inside.T).max() < 0.02 * np.abs(raw @ inside.T).max()


def test_spiking_lateral_neurons_round_their_signal(rng):
    assert quantised(np.array([0.2, 0.3, -0.3, 19.9, 50.0, -50.0]), 40).tolist() == [0.0, 0.5, -0.5, 20.0, 20.0, -20.0]
    x = 3.0 * spectrum(60, 12000, rng)
    graded, spiking = (LateralSubspace(60, 10, rate=0.02, levels=levels) for levels in (None, 400))
    for space in (graded, spiking):
        learned(space, x)
    assert spiking.energy(x) > 0.98 * graded.energy(x)
    spiking.freeze()
    y = quantised(x @ spiking.rows.T, 400)
    np.testing.assert_array_equal(spiking.project(x), x - y @ spiking.rows)


def test_capacity_is_counted_and_its_end_announced():
    space = LateralSubspace(20, 10)
    assert space.capacity == 10
    with pytest.warns(UserWarning, match="1 of 20 directions are left"):
        space.grow(9)
    with pytest.raises(ParameterError, match="2 rows do not fit: of 20 directions 1 are free"):
        space.grow(2)
    assert off_orthonormal(space.rows) < 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space.grow(0)


def test_a_saved_state_goes_on_the_same(rng):
    x = spectrum(20, 640, rng)
    one, other = LateralSubspace(20, 5, rate=0.1), LateralSubspace(20, 3, rate=0.1, seed=8)
    learned(one, x[:320])
    other.restore(one.state())
    learned(one, x[320:])
    learned(other, x[320:])
    assert np.array_equal(one.rows, other.rows)
    with pytest.raises(ParameterError, match="the state is not one of a LateralSubspace of 20 inputs"):
        one.restore({"rows": np.zeros((2, 9)), "moving": np.zeros((2, 9)), "n_old": 0})


def test_nothing_learns_without_rows_that_may(rng):
    space = LateralSubspace(6, 2)
    space.freeze()
    before = space.rows.copy()
    space.learn(rng.normal(size=(4, 6)))
    space.grow(1)
    space.learn(np.empty((0, 6)))
    assert np.array_equal(space.rows[:2], before)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"n": 0}, "n must be a whole number >= 1, got 0"),
    ({"k": 11}, "11 rows do not fit: of 10 directions 10 are free"),
    ({"k": 2.5}, "k must be a whole number >= 0, got 2.5"),
    ({"rate": 0.0}, "rate must be > 0 and < 1, got 0.0"),
    ({"momentum": 1.0}, "momentum must be >= 0 and < 1, got 1.0"),
    ({"levels": 0}, "levels must be a whole number >= 1, got 0"),
    ({"iterations": True}, "iterations must be a whole number >= 1, got True"),
    ({"dtype": np.int32}, "dtype must be float32 or float64"),
])
def test_arguments_are_checked(arguments, words):
    with pytest.raises(ParameterError, match=words):
        LateralSubspace(**{"n": 10, "k": 2, **arguments})


def test_inputs_are_checked():
    space = LateralSubspace(10, 2, rate=0.9)
    with pytest.raises(ParameterError, match=r"inputs must have shape \(batch, 10\), got \(4, 9\)"):
        space.learn(np.zeros((4, 9)))
    with pytest.raises(ParameterError, match="grew without bound"), np.errstate(all="ignore"):
        for _ in range(100):
            space.learn(np.full((1, 10), 1e3))


def test_the_seam_takes_tensors(needs):
    torch = needs("torch")
    rng = np.random.default_rng(1)
    rows, momentum, x = rng.normal(size=(3, 6)), np.zeros((3, 6)), rng.normal(size=(4, 6))
    for levels in (None, 40):
        want = oja_step(rows, momentum, x, 1, 0.01, 0.9, levels)
        got = oja_step(*map(torch.tensor, (rows, momentum, x)), 1, 0.01, 0.9, levels)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(projected(torch.tensor(rows), torch.tensor(x), levels).numpy(),
                                   projected(rows, x, levels), rtol=1e-12, atol=1e-12)
