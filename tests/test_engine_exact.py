"""Below threshold the engine equals closed forms to 1e-10 mV, however long the run and whatever the time constants."""

import math

import numpy as np
import pytest

from neurosim import (
    DCSource,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Network,
    OneToOneConnector,
    Simulation,
    SpikeSourceArray,
)

REST, TAU_M, CM = -65.0, 10.0, 0.5
TIMES = [0.0, 1.7, 1.8, 20.0, 137.3, 137.3, 400.0, 777.7, 1500.1]
# Equal, and on both sides of where the engine changes from modes to stepping (3e-3 for exp, 0.2 for alpha).
NEAR = [0.0, 1e-9, -1e-9, 1e-4, -1e-4, 2.9e-3, -2.9e-3, 3.1e-3, -3.1e-3, 0.19, -0.19, 0.21, -0.21, 0.4]
SYNAPSES = [TAU_M * (1.0 + near) for near in NEAR] + [0.2, 2.0, 40.0]
WEIGHT, DELAY = 1.5, 0.3


def near_sum(x, shift):
    """The integral over (0, 1) of u**shift exp(x u), by its series in x, |x| < 1."""
    return sum(x**j / math.factorial(j) / (j + shift + 1) for j in range(25))


def response(model, s, tau):
    """mV at ``s`` ms after a unit weight arrived."""
    if s < 0.0:
        return 0.0
    if model is IF_curr_delta:
        return math.exp(-s / TAU_M)
    # 1/cm exp(-s/tau_m) times the integral over r in (0, s) of current(r) exp(r/tau_m)
    a = 1.0 / TAU_M - 1.0 / tau
    x = a * s
    if model is IF_curr_exp:
        if abs(x) < 1.0:
            return math.exp(-s / TAU_M) / CM * s * near_sum(x, 0)
        return (math.exp(-s / tau) - math.exp(-s / TAU_M)) / CM / a
    if abs(x) < 1.0:
        return math.e / tau / CM * math.exp(-s / TAU_M) * s * s * near_sum(x, 1)
    # integral of r exp(a r): (r/a - 1/a**2) exp(a r) + 1/a**2, each exponential taken with the decay of the membrane
    return math.e / tau / CM * ((s / a - 1.0 / a**2) * math.exp(-s / tau) + math.exp(-s / TAU_M) / a**2)


CASES = [(IF_curr_delta, 5.0)] + [(model, tau) for model in (IF_curr_exp, IF_curr_alpha) for tau in SYNAPSES]


def test_there_are_cases_on_both_sides_of_the_switch():
    assert len(CASES) > 25


@pytest.mark.parametrize("update", ["clock", "event"])
@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_closed_form(update, dt):
    """One neuron for each time constant, all in one network; v every 0.5 ms for 2 s."""
    network = Network()
    source = network.population(1, SpikeSourceArray(spike_times=[round(t / dt) * dt for t in TIMES]), "source")
    for k, (model, tau) in enumerate(CASES):
        more = {} if model is IF_curr_delta else {"tau_syn_E": tau}
        cell = model(v_rest=REST, tau_m=TAU_M, cm=CM, v_thresh=1e6, i_offset=0.1, **more)
        cells = network.population(1, cell, f"p{k}", initial_values={"v": -70.0})
        network.project(source, cells, OneToOneConnector(), WEIGHT, 0.5)
        cells.inject(DCSource(amplitude=0.2, start=50.0, stop=900.0))
        cells.record("v", interval=5.5)
    result = Simulation(network, dt=dt, threads=1, update=update).run(2002.0)
    arrivals = [round(t / dt) * dt + 0.5 for t in TIMES]
    worst = {}
    for k, (model, tau) in enumerate(CASES):
        trace = result.traces(f"p{k}", "v")
        assert trace.times.size == 365
        r = TAU_M / CM
        expected = []
        for t in trace.times:
            v = REST + r * 0.1 * -math.expm1(-t / TAU_M) - 5.0 * math.exp(-t / TAU_M)
            v += sum(WEIGHT * response(model, t - at if abs(t - at) > 1e-9 else 0.0, tau) for at in arrivals)
            on, off = max(0.0, t - 50.0), max(0.0, t - 900.0)
            v += r * 0.2 * (math.exp(-off / TAU_M) - math.exp(-on / TAU_M))
            expected.append(v)
        worst[model.__name__, tau] = float(np.abs(trace.values[:, 0] - expected).max())
    bad = {key: error for key, error in worst.items() if not error < 1e-10}
    assert not bad
