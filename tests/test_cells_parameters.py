"""What every cell says of its parameters: names and defaults of PyNN, ranges, messages, order between parameters."""

import math
import re

import numpy as np
import pytest
import reference_cells as ref

from neurosim.cells.astrocyte import Astrocyte
from neurosim.errors import ParameterError
from neurosim.parameters import Normal, Uniform

MODELS = [*ref.step_models(), Astrocyte]
EVERY = [(model, name) for model in MODELS for name in model.parameters()]
NOT_PYNNS = ("IF_jump", "IF_cond_exp_homeostatic", "IF_curr_delta_astro", "Astrocyte")
PAIRS = [(model, low, high) for model in MODELS for low, high in model.below]


def bad_values(declared):
    """Values that the declared range must refuse."""
    values = [math.nan, math.inf, -math.inf, "many"]
    if declared.low > -math.inf:
        values += [declared.low - 1.0, np.array([declared.default, declared.low - 1e-6])]
        if declared.open_low:
            values.append(declared.low)
    if declared.high < math.inf:
        values += [declared.high + 1.0]
        if declared.open_high:
            values.append(declared.high)
    return values


@pytest.mark.parametrize("model, name", EVERY, ids=lambda x: getattr(x, "__name__", x))
def test_bad_values_are_refused(model, name):
    declared = model.parameters()[name]
    for value in bad_values(declared):
        message = rf"^{model.__name__}\.{name} must be .*{re.escape(declared.sentence)}$"
        with pytest.raises(ParameterError, match=message):
            model(**{name: value})


def test_there_are_models_and_parameters_to_test():
    assert len(MODELS) >= 11
    assert len(EVERY) > 100
    assert len(PAIRS) >= len(MODELS) - 3


@pytest.mark.parametrize("model, name", EVERY, ids=lambda x: getattr(x, "__name__", x))
def test_every_parameter_is_described(model, name):
    declared = model.parameters()[name]
    assert len(declared.sentence) > 5
    if declared.low == 0.0:
        with pytest.raises(ParameterError, match=f"{re.escape(declared.range_text())}, but Normal"):
            model(**{name: Normal(1.0, 1.0)})


@pytest.mark.parametrize("model, low, high", PAIRS, ids=lambda x: getattr(x, "__name__", x))
def test_pairs_out_of_order_are_refused(model, low, high):
    cell = model()
    top = getattr(cell, high)
    message = rf"{model.__name__}\.{low} must be < {model.__name__}\.{high}, got"
    with pytest.raises(ParameterError, match=message + f" {top:g} and {top:g}$"):
        model(**{low: top})
    with pytest.raises(ParameterError, match=message + ".* at index 2$"):
        cell.replaced(**{low: np.array([top - 1.0, top - 2.0, top + 1.0])})
    drawn = cell.replaced(**{low: Uniform(top - 1.0, top + 1.0)})
    with pytest.raises(ParameterError, match=message):
        drawn.values(100, 0, "p")
    fine = cell.replaced(**{low: Uniform(top - 2.0, top - 1.0)})
    assert (fine.values(100, 0, "p")[low] < top).all()


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_states_start_as_declared_or_as_given(model):
    cell = model()
    p, m = ref.prepared(cell, 3)
    assert m.initial.shape == (len(m.states), 3)
    assert m.initial.dtype == m.parameters.dtype == np.float64
    assert m.parameters.shape[1] == 1
    assert set(m.inputs) == set(model.receptors)
    assert set(m.inputs.values()) <= set(m.states)
    for name, state in model.states.items():
        expected = p[state.default] if isinstance(state.default, str) else state.default
        np.testing.assert_array_equal(m.initial[m.states.index(name)], np.broadcast_to(expected, 3))
        _, given = ref.prepared(cell, 3, initial={name: np.array([0.1, 0.2, 0.3])})
        np.testing.assert_array_equal(given.initial[given.states.index(name)], [0.1, 0.2, 0.3])


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_the_docstring_states_the_equations_and_the_method(model):
    assert "dt" in model.__doc__ or model.__doc__.count(":class:")
    assert model.exact != (model.order > 0)
    assert model.weight_unit in ("nA", "mV", "uS") or not model.spikes


@pytest.mark.needs("pyNN")
@pytest.mark.parametrize("model", [m for m in MODELS if m.__name__ not in NOT_PYNNS], ids=lambda m: m.__name__)
def test_names_defaults_and_units_are_pynns(model):
    from pyNN.standardmodels import cells

    theirs = getattr(cells, model.__name__)
    expected = {}
    for name, value in theirs.default_parameters.items():
        if np.ndim(getattr(value, "value", value)):
            expected.update({f"{name}{k + 1}": v for k, v in enumerate(value.value)})
        else:
            expected[name] = value
    assert {name: p.default for name, p in model.parameters().items()} == expected
    for name, p in model.parameters().items():
        unit = theirs.units.get(name, theirs.units.get(name.rstrip("123")))
        assert p.unit == unit
    initial = dict(theirs.default_initial_values)
    assert set(model.states) == set(initial) - ({"isyn_exc", "isyn_inh"} - set(model.states))
    p = model().values(1, 0, "x")
    for name, values in model().initial_values(1, 0, "x", {}, p).items():
        assert values[0] == initial[name]
