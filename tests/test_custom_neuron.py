"""A user's own neuron runs like a built-in one."""

import numpy as np
import pytest

from neurosim import (
    DCSource,
    IF_curr_delta,
    Network,
    OneToOneConnector,
    ParameterError,
    Simulation,
    SpikeSourceArray,
)
from neurosim.cells.custom import neuron
from neurosim.parameters import Parameter


@neuron(
    parameters={"tau_m": Parameter(20.0, "ms", "membrane time constant", low=0.0, open_low=True), "v_thresh": 15.0},
    states={"v": 0.0}, receptors=("excitatory", "inhibitory"), weight_unit="mV",
)
def Mine(s, p, x):
    """A leaky neuron with voltage jumps and no refractory time."""
    s.v = s.v * np.exp(-x.dt / p.tau_m) + x.excitatory + x.inhibitory
    if s.v >= p.v_thresh:
        s.v = 0.0
        return True
    return False


def _network(cell, tau):
    net = Network(seed=4)
    rng = np.random.default_rng(0)
    inputs = net.population(40, SpikeSourceArray([np.unique(rng.integers(1, 2000, 120)) * 0.1 for _ in range(40)]), "in")
    cells = net.population(40, cell.replaced(tau_m=tau), "cells")
    net.project(inputs, cells, OneToOneConnector(), weight=6.0, delay=1.0)
    net.project(cells, cells[::-1], OneToOneConnector(), weight=-2.0, delay=0.3, receptor="inhibitory")
    net.record(cells, ["spikes", "v"])
    return net


@pytest.mark.parametrize("tau", [20.0, np.linspace(5.0, 40.0, 40)], ids=["alike", "each its own"])
def test_equals_the_built_in_model(tau):
    built_in = IF_curr_delta(v_rest=0.0, v_reset=0.0, v_thresh=15.0, tau_refrac=0.0)
    mine = Simulation(_network(Mine(), tau), threads=2).run(200.0)
    theirs = Simulation(_network(built_in, tau)).run(200.0)
    assert mine.spikes("cells").count > 100
    assert np.array_equal(mine.spikes("cells").times, theirs.spikes("cells").times)
    assert np.array_equal(mine.spikes("cells").ids, theirs.spikes("cells").ids)
    np.testing.assert_allclose(mine.traces("cells", "v").values, theirs.traces("cells", "v").values, atol=1e-9)


def test_current_time_and_step_reach_the_function():
    @neuron(parameters={}, states={"seen": 0.0, "late": 0.0, "step": 0.0}, receptors=())
    def Probe(s, p, x):
        s.seen, s.late, s.step = x.current, x.t, x.dt
        return False

    net = Network()
    probe = net.population(2, Probe(), "probe").record(["seen", "late", "step"])
    net.inject(DCSource(amplitude=0.7, start=2.0, stop=4.0), probe[1])
    result = Simulation(net, dt=0.5).run(6.0)
    times = result.traces("probe", "seen").times
    on = (times > 2.0) & (times <= 4.0)
    assert on.sum() == 4
    np.testing.assert_array_equal(result.traces("probe", "seen").values[:, 1], np.where(on, 0.7, 0.0))
    np.testing.assert_array_equal(result.traces("probe", "late").values[:, 0], times)
    assert (result.traces("probe", "step").values[1:] == 0.5).all()


@pytest.mark.parametrize(("make", "words"), [
    (lambda: neuron({"a b": 1.0}, {"v": 0.0}), "a b"),
    (lambda: neuron({"v": 1.0}, {"v": 0.0}), "'v'"),
    (lambda: neuron({}, {"v": 0.0}, receptors=("t",)), "'t'"),
    (lambda: neuron({}, {"_v": 0.0}), "_v"),
    (lambda: neuron({}, {"v": 0.0})(lambda v: v), "(s, p, x)"),
    (lambda: Mine(tau_m=-1.0), "Mine.tau_m must be > 0 ms, got -1: membrane time constant"),
])
def test_refuses(make, words):
    with pytest.raises(ParameterError) as caught:
        make()
    assert words in str(caught.value)


def _falls_through(s, p, x):
    s.v += 1.0
    if s.v > 10.0:
        s.v = 0.0
        return True


def _misspelt(s, p, x):
    s.v += p.tao
    return False


@pytest.mark.parametrize(("update", "words"), [
    (_falls_through, "must return True or False"),
    (_misspelt, "its parameters (p) tau;"),
])
def test_refuses_a_function_that_cannot_be_right(update, words):
    net = Network()
    net.population(2, neuron({"tau": 10.0}, {"v": 0.0})(update)(), "mine")
    with pytest.raises(ParameterError) as caught:
        Simulation(net)
    assert update.__name__ in str(caught.value)
    assert words in str(caught.value)
