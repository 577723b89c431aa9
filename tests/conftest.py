"""What all tests share: seeds, hypothesis's profiles, and peers that may be absent."""

import importlib
import importlib.util
import os
import random

import hypothesis
import numpy as np
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("PYNEST_QUIET", "1")

SEED = 20260101

# Kernels compile inside the first example, so no example has a deadline.
hypothesis.settings.register_profile("default", deadline=None, max_examples=30)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=30, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def require(*modules: str):
    """The (last) module; skips the test, naming the first of these that is not installed."""
    for module in modules:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            pytest.skip(f"needs {module}, which is not installed")
        found = importlib.import_module(module)
    return found


@pytest.fixture(autouse=True)
def seeds():
    """The global generators start the same in every test; neurosim itself never draws from them."""
    random.seed(SEED)
    np.random.seed(SEED)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts the same in every test."""
    return np.random.default_rng(SEED)


@pytest.fixture(scope="session")
def needs():
    """``nest = needs("nest")``: imports a peer, or skips the test, naming it."""
    return require


@pytest.fixture(scope="session")
def brian2(needs):
    """Brian2 with NumPy code generation, which asks for no compiler."""
    module = needs("brian2")
    module.prefs.codegen.target = "numpy"
    return module


def pytest_runtest_setup(item):
    """``@pytest.mark.needs("nest", "pyNN")`` skips the test where one of them is missing."""
    for mark in item.iter_markers("needs"):
        require(*mark.args)
