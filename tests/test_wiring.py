"""From a projection to its synapses: weights, delays, portions, and refusals."""

import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim import connectors as c
from neurosim import wiring
from neurosim.errors import NetworkError, ParameterError
from neurosim.network import Projection
from neurosim.parameters import (
    Exponential,
    Integers,
    LogNormal,
    Normal,
    Uniform,
    stream_key,
)
from neurosim.space import Line, Space


def population(size, label="cells", placed=True):
    places = Line(dx=10.0).generate_positions(size) if placed else None
    made = types.SimpleNamespace(size=size, label=label, positions=places, indices=np.arange(size))
    made.population = made
    return made


def view(whole, which):
    which = np.asarray(which)
    places = None if whole.positions is None else whole.positions[which]
    return types.SimpleNamespace(size=which.size, label="view", positions=places, indices=which, population=whole)


def projection(connector, weight=0.5, delay=1.0, pre=None, post=None, **fields):
    pre = population(6, "ins") if pre is None else pre
    post = population(4, "outs") if post is None else post
    return Projection(**{"pre": pre, "post": post, "connector": connector, "weight": weight, "delay": delay,
                         "receptor": "excitatory", "label": "ins->outs", **fields})


ALL = c.AllToAllConnector()


# ------------------------------------------------------------------------------------- values


def test_numbers_stay_numbers():
    (part,) = wiring.synapses(projection(ALL, 0.25, 1.5), 1, 0.1)
    assert part.weight == 0.25 and type(part.weight) is float
    assert part.delay_steps == 15 and type(part.delay_steps) is int
    assert part.pre.dtype == part.post.dtype == np.int32 and part.pre.size == 24
    (part,) = wiring.synapses(projection(ALL, np.float32(0.25), np.array(1)), 1, 0.1)
    assert part.weight == 0.25 and part.delay_steps == 10


def test_matrices():
    weight, delay = np.arange(24.0).reshape(6, 4), 0.1 * (1 + np.arange(24).reshape(6, 4))
    for connector in (ALL, c.FixedProbabilityConnector(0.5), c.FixedNumberPreConnector(3)):
        (part,) = wiring.synapses(projection(connector, weight, delay), 1, 0.1)
        assert np.array_equal(part.weight, weight[part.pre, part.post])
        assert np.array_equal(part.delay_steps, 1 + 4 * part.pre + part.post)
        assert part.weight.dtype == np.float64 and part.delay_steps.dtype == np.uint16


def test_one_value_for_each_synapse():
    five = population(5)
    made = projection(c.OneToOneConnector(), np.arange(5), np.arange(1.0, 6), five, five)
    _, _, weight, delay = wiring.arrays(made, 1, 0.5)
    assert weight.tolist() == [0, 1, 2, 3, 4] and delay.tolist() == [1, 2, 3, 4, 5]
    rows = [(3, 1), (0, 1), (5, 0)]
    pre, _, weight, _ = wiring.arrays(projection(c.FromListConnector(rows), [10.0, 20.0, 30.0]), 1, 0.5)
    assert pre.tolist() == [5, 0, 3] and weight.tolist() == [30, 20, 10]
    pre, post, weight, _ = wiring.arrays(projection(ALL, np.arange(24)), 1, 0.5)
    assert weight.tolist() == list(range(24)) and (post * 6 + pre).tolist() == list(range(24))


def test_columns_stand_in_place_of_the_projection():
    listed = c.FromListConnector([(3, 1, 0.5, 2.0), (0, 1, 0.25, 1.0)])
    _, _, weight, delay = wiring.arrays(projection(listed, weight=9.0, delay=0.0), 1, 0.5)
    assert weight.tolist() == [0.25, 0.5] and delay.tolist() == [1, 2]
    half = c.FromListConnector([(3, 1, 0.5), (0, 1, 0.25)], ("weight",))
    assert wiring.arrays(projection(half, delay=3.0), 1, 0.5)[3].tolist() == [3, 3]


def test_distributions_are_drawn_by_running_index():
    weight, delay = Normal(1.0, 0.2), Uniform(0.5, 3.0)
    made = wiring.arrays(projection(ALL, weight, delay), 7, 0.1)
    drawn = weight.draw(stream_key(7, "projection", "ins->outs", "weight"), 0, 24)
    assert np.array_equal(made[2], drawn.astype(np.float32)) and made[2].dtype == np.float64
    drawn = delay.draw(stream_key(7, "projection", "ins->outs", "delay"), 0, 24)
    assert np.abs(made[3] - drawn).max() <= 0.05 + 1e-12


@pytest.mark.parametrize("weight", ["exp(-d / 20)", lambda d: np.exp(-d / 20)], ids=["text", "function"])
def test_functions_of_distance(weight):
    pre, post, w, d = wiring.arrays(projection(ALL, weight, "0.5 + d / 20"), 1, 0.1)
    distance = 10.0 * np.abs(pre - post)
    assert np.allclose(w, np.exp(-distance / 20)) and np.allclose(d, 0.5 + distance / 20)
    ring = Space(periodic_boundaries=((0, 60), None, None))
    distance = np.minimum(distance, 60 - distance)
    assert np.allclose(wiring.arrays(projection(ALL, weight, space=ring), 1, 0.1)[2], np.exp(-distance / 20))
    (part,) = wiring.synapses(projection(ALL, "2", lambda d: 1.0), 1, 0.1)
    assert (part.weight == 2).all() and (part.delay_steps == 10).all()
    assert part.weight.flags.writeable and part.delay_steps.flags.writeable


@given(steps=st.integers(1, 60000), dt=st.sampled_from([0.025, 0.05, 0.1, 0.125, 0.2, 0.3, 1.0]))
def test_whole_steps_stay(steps, dt):
    for delay in (steps * dt, round(steps * dt, 6), np.full((6, 4), steps * dt)):
        (part,) = wiring.synapses(projection(ALL, 1.0, delay), 1, dt)
        assert np.all(part.delay_steps == steps)


def test_delays_are_rounded():
    delay = np.array([0.1, 0.14, 0.15, 0.16, 0.24, 0.25])
    six = population(6)
    (part,) = wiring.synapses(projection(c.OneToOneConnector(), 1.0, delay, six, six), 1, 0.1)
    assert part.delay_steps.tolist() == [1, 1, 2, 2, 2, 3]
    (part,) = wiring.synapses(projection(ALL, 1.0, Uniform(0.05, 0.1)), 1, 0.1)
    assert (part.delay_steps == 1).all()


# ------------------------------------------------------------------------------------- portions


@given(most=st.integers(1, 300), seed=st.integers(0, 1000))
def test_portions_change_nothing(most, seed):
    ins, outs = population(20, "ins"), population(15, "outs")
    for connector in (ALL, c.FixedProbabilityConnector(0.4), c.FixedNumberPreConnector(30, with_replacement=True),
                      c.FixedNumberPostConnector(5), c.FixedTotalNumberConnector(100),
                      c.SmallWorldConnector(40.0, 0.2), c.FromListConnector([(i, i % 15) for i in range(20)])):
        made = projection(connector, Normal(1.0, 0.1), "0.5 + d / 100", ins, outs)
        whole, parts = wiring.arrays(made, seed, 0.1), list(wiring.synapses(made, seed, 0.1, most))
        assert all(np.array_equal(whole[k], np.concatenate([p[k] for p in parts])) for k in range(3))
        assert max(p.pre.size for p in parts) <= max(most, 30)
        again = wiring.arrays(made, seed + 1, 0.1)
        assert not np.array_equal(whole[2], again[2])


def test_label_names_the_stream():
    one, other = (wiring.arrays(projection(c.FixedNumberPreConnector(3), label=name), 1, 0.1)[0] for name in "ab")
    assert not np.array_equal(one, other)


def test_dense_and_expected():
    rows = c.FromListConnector([(3, 1, 0.5, 2.0), (3, 1, 0.25, 1.0), (0, 0, 1.0, 1.0)])
    total, count = wiring.dense(projection(rows), 1, 0.1)
    assert total[3, 1] == 0.75 and count[3, 1] == 2 and total.sum() == 1.75 and count.sum() == 3
    total, count = wiring.dense(projection(ALL, 0.5), 1, 0.1)
    assert (total == 0.5).all() and (count == 1).all()
    assert wiring.expected_synapses(projection(ALL)) == 24
    near = projection(c.DistanceDependentProbabilityConnector("d < 15"))
    assert wiring.expected_synapses(near) == wiring.dense(near, 1, 0.1)[1].sum() == 11
    assert wiring.expected_synapses(projection(c.FixedProbabilityConnector(0.25))) == 6


def test_self_connections_of_populations_and_views():
    connector = c.AllToAllConnector(allow_self_connections=False)
    whole = population(6)
    assert np.array_equal(wiring.dense(projection(connector, pre=whole, post=whole), 1, 0.1)[1], 1 - np.eye(6))
    left, right = view(whole, [0, 1, 2, 3]), view(whole, [5, 3, 0])
    count = wiring.dense(projection(connector, pre=left, post=right), 1, 0.1)[1]
    assert np.array_equal(count, np.not_equal.outer(left.indices, right.indices))
    count = wiring.dense(projection(connector, pre=whole, post=right), 1, 0.1)[1]
    assert np.array_equal(count, np.not_equal.outer(np.arange(6), right.indices))
    assert wiring.dense(projection(connector), 1, 0.1)[1].sum() == 24


def test_no_synapses():
    made = projection(c.FixedProbabilityConnector(0.0), Normal(0, 1), "1 + d")
    assert list(wiring.synapses(made, 1, 0.1)) == []
    assert [a.size for a in wiring.arrays(made, 1, 0.1)] == [0, 0, 0, 0]


# ------------------------------------------------------------------------------------- refusals

listed = c.FromListConnector([(0, 0), (1, 1)])

BAD_AT_ONCE = [
    ({"delay": 0.05}, NetworkError, "ins->outs: delay below dt: got 0.05 ms, dt is 0.1 ms"),
    ({"delay": 0.0}, NetworkError, "delay below dt: got 0 ms"),
    ({"delay": -1}, NetworkError, "got -1 ms"),
    ({"delay": np.nan}, NetworkError, "a delay must be finite, got nan ms"),
    ({"delay": np.inf}, NetworkError, "got inf ms"),
    ({"delay": 6000.2}, NetworkError, r"a delay must be <= 60000 steps \(6000 ms\), got 6000.2 ms"),
    ({"delay": np.full((6, 4), 0.01)}, NetworkError, r"got 0.01 ms at index \(0, 0\), dt is"),
    ({"delay": Normal(1.0, 0.2)}, NetworkError, r"delay below dt: Normal.*reaches down to -inf ms.*low=0.1"),
    ({"delay": Uniform(0.01, 1)}, NetworkError, "reaches down to 0.01 ms"),
    ({"delay": Exponential(1.0)}, NetworkError, "reaches down to 0 ms"),
    ({"delay": "d + x"}, ParameterError, "ins->outs: delay: 'x' in 'd [+] x' is not understood"),
    ({"delay": np.ones((4, 6))}, ParameterError, r"an array delay must have shape \(6, 4\).* got shape \(4, 6\)"),
    ({"delay": (1.0, None)}, ParameterError, "delay must be a number.* got array"),
    ({"weight": np.nan}, ParameterError, "ins->outs: a weight must be finite, got nan"),
    ({"weight": np.where(np.eye(6, 4), np.inf, 1)}, ParameterError, r"got inf at index \(0, 0\)"),
    ({"weight": True}, ParameterError, "weight must be a number"),
    ({"weight": ["a"]}, ParameterError, "weight must be a number"),
    ({"weight": np.ones((2, 2, 2))}, ParameterError, r"got shape \(2, 2, 2\)"),
    ({"weight": "d", "pre": population(6, "bare", placed=False)}, NetworkError,
     "weight depends on distance, but population 'bare' has no positions"),
    ({"connector": c.FixedNumberPreConnector(7)}, NetworkError, "ins->outs: FixedNumberPreConnector.n"),
    ({"connector": c.DistanceDependentProbabilityConnector("d"), "post": population(4, "bare", placed=False)},
     NetworkError, "needs positions, and the target population has none"),
]
assert BAD_AT_ONCE


@pytest.mark.parametrize("fields, error, message", BAD_AT_ONCE, ids=[m for *_, m in BAD_AT_ONCE])
def test_refused_before_building(fields, error, message):
    made = projection(**{"connector": ALL, **fields})
    with pytest.raises(error, match=message):
        wiring.validate(made, 0.1)
    with pytest.raises(error, match=message):
        list(wiring.synapses(made, 1, 0.1))


BAD_LATER = [
    ({"weight": np.ones(23)}, ParameterError, "ins->outs: an array weight must have one value .* got 23 values"),
    ({"weight": np.ones(25)}, ParameterError, "each of the 24 synapses, got 25 values"),
    ({"delay": [1.0] * 5}, ParameterError, "an array delay .* got 5 values"),
    ({"connector": listed, "weight": np.ones(3)}, ParameterError, "each of the 2 synapses, got 3 values"),
    ({"connector": listed, "weight": np.ones(1)}, ParameterError, "at least 2 synapses, got 1 values"),
    ({"weight": Normal(1e39, 1.0)}, ParameterError, "a weight must be finite, got inf at index 0"),
    ({"weight": "log(d)"}, ParameterError, "a weight must be finite, got -inf at index 0"),
    ({"delay": "d / 10"}, NetworkError, "delay below dt: got 0 ms at index 0, dt is 0.1 ms"),
    ({"delay": lambda d: d[:3]}, ParameterError, r"must return as many values as it is given, 24, got shape \(3,\)"),
    ({"delay": Integers(1, 100_000)}, NetworkError, "a delay must be <= 60000 steps"),
    ({"connector": c.FromListConnector([(0, 0, 0.05)], ("delay",))}, NetworkError, "delay below dt: got 0.05 ms"),
]
assert BAD_LATER


@pytest.mark.parametrize("fields, error, message", BAD_LATER, ids=[m for *_, m in BAD_LATER])
def test_refused_while_building(fields, error, message):
    with pytest.raises(error, match=message):
        list(wiring.synapses(projection(**{"connector": ALL, **fields}), 1, 0.1))


def test_dt_and_weights_without_dt():
    for dt in (0.0, -0.1, np.nan):
        with pytest.raises(ParameterError, match="dt must be > 0 ms"):
            list(wiring.synapses(projection(ALL), 1, dt))
    wiring.validate(projection(ALL, LogNormal(0.0, 1.0), 1e-9))
