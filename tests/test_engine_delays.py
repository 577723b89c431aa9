"""A spike sent at step t arrives with delay d at step t + d: every delay, every time step, every kind of target."""

import numpy as np
import pytest

from neurosim import (
    EIF_cond_exp_isfa_ista,
    FromListConnector,
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    IF_jump,
    Network,
    Simulation,
    SpikeSourceArray,
    SpikeSourcePoisson,
)

MANY = 200
N = 64
TARGETS = {
    "exp": (IF_curr_exp(), "isyn_exc", 0), "exp, stepped": (IF_curr_exp(tau_syn_E=20.0), "isyn_exc", 0),
    "alpha": (IF_curr_alpha(), "isyn_exc", 1), "alpha, stepped": (IF_curr_alpha(tau_syn_I=20.0), "isyn_exc", 1),
    "delta": (IF_curr_delta(), "v", 0), "delta, stepped": (IF_curr_delta(tau_m=np.linspace(10.0, 20.0, MANY)), "v", 0),
    "jump": (IF_jump(v_thresh=100.0), "v", 0), "cond exp": (IF_cond_exp(), "gsyn_exc", 0),
    "cond alpha": (IF_cond_alpha(), "gsyn_exc", 1), "adex": (EIF_cond_exp_isfa_ista(), "gsyn_exc", 0),
}
WEIGHT = {"nA": 0.1, "mV": 1.0, "uS": 0.001}


def first_change(trace):
    """The step at which each neuron's value first differs from the value at time 0."""
    differs = np.abs(trace.values - trace.values[0]) > 1e-9
    assert differs.any(axis=0).all()
    return differs.argmax(axis=0)


@pytest.mark.parametrize("update", ["clock", "event"])
@pytest.mark.parametrize("dt", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("sent", [0, 3])
def test_every_delay_into_every_model(sent, dt, update):
    """Neuron d - 1 gets its spike d steps after it was sent.  An alpha-shaped current starts from 0: it is seen a step later."""
    assert len(TARGETS) > 8
    network = Network()
    source = network.population(1, SpikeSourceArray(spike_times=[sent * dt]), "source")
    delays = np.arange(1, MANY + 1)
    rows = np.column_stack([np.zeros(MANY), delays - 1, delays * dt])
    for label, (cell, variable, _) in TARGETS.items():
        cells = network.population(MANY, cell, label)
        network.project(source, cells, FromListConnector(rows, column_names=("delay",)), WEIGHT[cell.weight_unit])
        cells.record(variable)
    result = Simulation(network, dt=dt, threads=1, update=update).run((MANY + 6) * dt)
    for label, (cell, variable, later) in TARGETS.items():
        trace = result.traces(label, variable)
        assert first_change(trace).tolist() == (sent + delays + later).tolist(), label


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dt", [0.05, 0.1, 1.0])
def test_a_chain_counts_steps(dt, threads):
    """Neuron k + 1 fires when the spike of neuron k arrives: times are sums of delays, over runs cut at odd places."""
    n = 130
    delays = np.random.default_rng(1).integers(1, 40, n) * dt
    network = Network()
    start = network.population(1, SpikeSourceArray(spike_times=[0.0]), "start")
    chain = network.population(n, IF_curr_delta(tau_refrac=0.0), "chain")
    network.project(start, chain[:1], FromListConnector([(0, 0)]), 20.0, delays[0])
    rows = np.column_stack([np.arange(n - 1), np.arange(1, n), delays[1:]])
    network.project(chain, chain, FromListConnector(rows, column_names=("delay",)), 20.0)
    network.record(None, "spikes")
    simulation = Simulation(network, dt=dt, threads=threads)
    total = round(delays.sum() / dt) + 3
    while simulation.t < total * dt - 1e-9:
        simulation.run(min(37, total - round(simulation.t / dt)) * dt)
    spikes = simulation.result.spikes("chain")
    assert spikes.ids.tolist() == list(range(n))
    np.testing.assert_allclose(spikes.times, np.cumsum(delays), rtol=0, atol=1e-9)
    assert simulation.result.spikes("start").times.tolist() == [0.0]


def test_the_longest_delay():
    """Longer than any call of the compiled loop."""
    network = Network()
    source = network.population(1, SpikeSourceArray(spike_times=[0.0, 12.3]), "source")
    cells = network.population(1, IF_curr_delta(), "cells")
    network.project(source, cells, FromListConnector([(0, 0)]), 20.0, 6000.0)
    cells.record("spikes")
    simulation = Simulation(network, threads=1)
    simulation.run(5999.9)
    assert simulation.result.spikes("cells").count == 0
    assert simulation.run(20.0).spikes("cells").times.round(6).tolist() == [6000.0, 6012.3]


def test_what_is_recorded_of_a_source_is_what_arrives():
    network = Network()
    source = network.population(1, SpikeSourcePoisson(rate=300.0), "source")
    cells = network.population(1, IF_curr_exp(v_thresh=1e6), "cells")
    network.project(source, cells, FromListConnector([(0, 0)]), 1.0, 0.7)
    source.record("spikes")
    cells.record("isyn_exc")
    result = Simulation(network, threads=1).run(100.0)
    times, trace = result.spikes("source").times, result.traces("cells", "isyn_exc")
    assert times.size > 15
    arrived = sum(np.where(trace.times > t + 0.7 - 1e-6, np.exp(-(trace.times - t - 0.7) / 5.0), 0.0) for t in times)
    np.testing.assert_allclose(trace.values[:, 0], arrived, rtol=0, atol=1e-10)
