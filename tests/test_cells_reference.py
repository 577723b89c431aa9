"""Every stepping kernel against its own scheme in plain Python, alike and different cells, whole and in chunks."""

import numpy as np
import pytest
import reference_cells as ref

from neurosim.cells.base import Cell
from neurosim.parameters import Uniform

MODELS = ref.step_models()
NAMES = [m.__name__ for m in MODELS]

# What makes each model spike in the test, and how large an input is.
LIVELY = {
    "IF_curr_exp": ({"i_offset": 0.9, "tau_refrac": 1.0}, 0.4, -0.3),
    "IF_curr_alpha": ({"i_offset": 1.1, "tau_refrac": 1.0, "tau_syn_E": 2.0, "tau_syn_I": 3.0}, 0.4, -0.3),
    "IF_curr_delta": ({"i_offset": 0.9, "tau_refrac": 1.0}, 2.0, -1.5),
    "IF_curr_delta_astro": ({"i_offset": 0.7, "tau_refrac": 1.0, "g_astro": 0.5, "tau_c": 50.0}, 2.0, -1.5),
    "IF_jump": ({"i_offset": 0.05, "tau_refrac": 0.3}, 0.3, -0.2),
    "IF_cond_exp": ({"i_offset": 0.9, "tau_refrac": 1.0}, 0.02, 0.02),
    "IF_cond_alpha": ({"i_offset": 0.9, "tau_refrac": 1.0, "tau_syn_E": 2.0, "tau_syn_I": 3.0}, 0.02, 0.02),
    "IF_cond_exp_gsfa_grr": ({"i_offset": 1.2, "tau_refrac": 1.0, "q_rr": 300.0}, 0.02, 0.02),
    "IF_facets_hardware1": ({"tau_syn_E": 5.0}, 0.05, 0.01),
    "IF_cond_exp_homeostatic": ({"i_offset": 0.9, "tau_refrac": 1.0, "theta_plus": 0.5, "tau_theta": 30.0}, 0.02, 0.02),
    "EIF_cond_exp_isfa_ista": ({"i_offset": 0.8, "tau_refrac": 1.0}, 0.02, 0.02),
    "EIF_cond_alpha_isfa_ista": ({"i_offset": 0.8, "tau_refrac": 1.0}, 0.02, 0.02),
    "Izhikevich": ({"i_offset": 0.015}, 2.0, -2.0),
    "HH_cond_exp": ({"i_offset": 0.5}, 0.02, 0.02),
    "GIF_cond_exp": ({"i_offset": 1.2, "lambda0": 5.0, "a_eta1": 0.1, "a_eta2": 0.1, "a_eta3": 0.1}, 0.02, 0.02),
}


def events(rng, n, steps, weights, count):
    """Random input to both receptors."""
    found = {}
    for t, i, k in zip(rng.integers(1, steps + 1, count), rng.integers(0, n, count), rng.integers(0, 2, count)):
        weight = weights[k] * rng.uniform(0.5, 1.5)
        found.setdefault(int(t), []).append((("excitatory", "inhibitory")[k], int(i), float(weight)))
    return found


def spread(cell):
    """The same cell with every parameter that may vary drawn within 3 %."""
    changed = {}
    for name in cell.parameters():
        value = getattr(cell, name)
        if name != "group_size":
            changed[name] = Uniform(*sorted((0.97 * value, 1.03 * value)))
    return cell.replaced(**changed)


def test_all_models_have_a_reference():
    assert MODELS
    assert set(MODELS) == set(ref.MODELS) == set(ref.RULES) == set(ref.SLOPES) == set(ref.DELIVERED_TO)
    assert set(NAMES) == set(LIVELY)


@pytest.mark.parametrize("alike", [True, False], ids=["alike", "different"])
@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_kernel_equals_plain_python(model, alike, rng):
    n, steps, dt = 7, 600, 0.1
    values, *weights = LIVELY[model.__name__]
    cell = model(**values) if alike else spread(model(**values))
    given = events(rng, n, steps, weights, 300)
    record = tuple(model.states)
    current = rng.uniform(-0.005, 0.005, n) * (0.1 if model.__name__ == "Izhikevich" else 1.0)
    fast, traces = ref.drive(cell, n, dt, steps, given, record=record, current=current)
    plain, expected = ref.drive_plainly(cell, n, dt, steps, given, record=record, current=current)
    assert fast == plain
    assert len({i for _, i in fast}) == n
    for name in record:
        scale = np.abs(expected[name]).max()
        # Rounding grows along the unstable upswings of these; elsewhere it does not.
        slack = 1e-8 if model.__name__ in ("HH_cond_exp", "Izhikevich") or "EIF" in model.__name__ else 1e-12
        np.testing.assert_allclose(traces[name], expected[name], rtol=slack, atol=slack * scale, err_msg=name)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_one_step_equals_plain_python(model, rng):
    """A single step from random states, where nothing can amplify rounding: 1e-12."""
    n, dt = 400, 0.1
    values, *weights = LIVELY[model.__name__]
    cell = spread(model(**values))
    initial = {}
    for name, state in model.states.items():
        low, high = {"mV": (-80.0, -42.0), "uS": (0.0, 0.1), "nA": (0.0, 0.5), "nS": (0.0, 100.0), "": (0.0, 1.0),
                     "mV/ms": (-16.0, -8.0)}[state.unit]
        initial[name] = rng.uniform(low, high, n)
    record = tuple(model.states)
    given = events(rng, n, 1, weights, n)
    fast, traces = ref.drive(cell, n, dt, 1, given, initial, record)
    plain, expected = ref.drive_plainly(cell, n, dt, 1, given, initial, record)
    assert fast == plain
    for name in record:
        np.testing.assert_allclose(traces[name], expected[name], rtol=1e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_cutting_a_population_changes_no_bit(model, rng):
    n, steps = 150, 300
    values, *weights = LIVELY[model.__name__]
    for cell in (model(**values), spread(model(**values))):
        given = events(rng, n, steps, weights, 2000)
        record = tuple(model.states)
        whole, traces = ref.drive(cell, n, 0.1, steps, given, record=record)
        cut, again = ref.drive(cell, n, 0.1, steps, given, record=record, chunks=[(0, 1), (1, 70), (70, n)])
        assert whole == cut
        assert whole
        for name in record:
            np.testing.assert_array_equal(traces[name], again[name])


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_different_cells_with_equal_values_equal_alike_cells(model, rng):
    """The two loops of a kernel, parameters as scalars and as arrays, give the same bits."""
    n, steps = 40, 300
    values, *weights = LIVELY[model.__name__]
    alike = model(**values)
    name = next(name for name in ("cm", "a", "g_leak") if name in model.parameters())
    different = np.full(n, getattr(alike, name))
    different[-1] *= 1.01
    given = events(rng, n, steps, weights, 400)
    record = tuple(model.states)
    _, m = ref.prepared(alike.replaced(**{name: different}), n)
    assert m.parameters.shape[1] == n
    _, a = ref.drive(alike, n, 0.1, steps, given, record=record)
    _, b = ref.drive(alike.replaced(**{name: different}), n, 0.1, steps, given, record=record)
    for state in record:
        np.testing.assert_array_equal(a[state][:, :-1], b[state][:, :-1])


def test_a_user_model_may_leave_step_model_out():
    class Bare(Cell):
        pass

    with pytest.raises(NotImplementedError, match="Bare has no stepping kernel"):
        Bare().step_model({}, {}, 0.1)
