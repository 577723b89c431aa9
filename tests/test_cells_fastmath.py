"""The vectorisable exponential against NumPy's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neurosim.kernels import fastmath


@pytest.mark.parametrize("low, high", [(-708.0, 709.0), (-50.0, 50.0), (-1.0, 0.0), (-1e-3, 1e-3), (-1e-12, 1e-12)])
def test_within_one_ulp_over_the_whole_range(low, high, rng):
    x = np.concatenate([rng.uniform(low, high, 20_000), [low, high]])
    found = np.array([fastmath.exp(a) for a in x])
    expected = np.exp(x)
    assert (np.abs(found - expected) <= np.spacing(expected)).all()


@given(st.floats(-708.0, 709.0))
def test_relative_error(x):
    assert abs(fastmath.exp(x) / math.exp(x) - 1.0) < 3e-16


def test_ends():
    assert fastmath.exp(0.0) == 1.0
    assert fastmath.exp(-1e9) == pytest.approx(math.exp(-708.0), rel=1e-15)
    assert fastmath.exp(1e9) == pytest.approx(math.exp(709.0), rel=1e-15)
    assert math.isnan(fastmath.exp(math.nan))
