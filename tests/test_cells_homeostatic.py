"""The threshold that a cell's own spikes raise: when it rises, how it comes back, how it is held."""

import math

import numpy as np
import pytest
import reference_cells as ref

from neurosim import IF_cond_exp, IF_cond_exp_homeostatic, Network, Simulation
from neurosim.errors import ParameterError

SHARED = {"i_offset": 0.9, "tau_refrac": 1.0}


def one(cell, steps, initial=None, events=None, dt=0.1):
    """Spikes' steps and the traces of v and theta of one cell."""
    spikes, traces = ref.drive(cell, 1, dt, steps, events, initial, record=("v", "theta"))
    return [t for t, _ in spikes], traces["v"][:, 0], traces["theta"][:, 0]


@pytest.mark.parametrize("alike", [True, False])
def test_without_theta_it_is_if_cond_exp_to_the_last_bit(alike, rng):
    n, steps = 700, 200  # more than a tile
    cm = 1.0 if alike else rng.uniform(0.9, 1.1, n)
    given = {int(t): [("excitatory", int(i), 0.03), ("inhibitory", int(i) // 2, 0.02)]
             for t, i in zip(rng.permutation(steps)[:150], rng.integers(0, n, 150))}
    plain = ref.drive(IF_cond_exp(cm=cm, **SHARED), n, 0.1, steps, given, record=("v", "gsyn_exc", "gsyn_inh"))
    cell = IF_cond_exp_homeostatic(cm=cm, theta_plus=0.0, **SHARED)
    found = ref.drive(cell, n, 0.1, steps, given, record=("v", "gsyn_exc", "gsyn_inh"))
    assert found[0] == plain[0] and len(plain[0]) > 50
    for name, trace in plain[1].items():
        np.testing.assert_array_equal(found[1][name], trace)


def test_theta_rises_at_each_spike_and_decays_between():
    tau, plus, dt = 40.0, 0.7, 0.1
    cell = IF_cond_exp_homeostatic(theta_plus=plus, tau_theta=tau, **SHARED)
    spikes, _, theta = one(cell, 2000)
    assert len(spikes) > 3
    assert theta[spikes[0] - 2] == 0.0
    times = np.arange(1, 2001)
    expected = sum(np.where(times >= t, plus * np.exp(-(times - t) * dt / tau), 0.0) for t in spikes)
    np.testing.assert_allclose(theta, expected, rtol=1e-12)


def test_intervals_grow_until_rise_and_decay_balance():
    cell = IF_cond_exp_homeostatic(theta_plus=0.5, tau_theta=200.0, **SHARED)
    spikes, *_ = one(cell, 20_000)
    intervals = np.diff(spikes)
    assert intervals[0] < intervals[3] < intervals[-1]
    assert np.ptp(intervals[-10:]) <= 1
    plain, *_ = one(cell.replaced(theta_plus=0.0), 20_000)
    assert len(spikes) < 0.8 * len(plain)


def test_the_threshold_is_v_thresh_plus_theta():
    """A cell whose potential settles between the two spikes with the one theta and not with the other."""
    cell = IF_cond_exp_homeostatic(i_offset=0.8, theta_plus=0.0, tau_theta=1e30)  # v settles at -49 mV
    assert one(cell, 3000, {"theta": 0.9})[0]
    assert not one(cell, 3000, {"theta": 1.1})[0]
    assert one(cell.replaced(v_thresh=-51.0), 3000, {"theta": 1.1})[0]


def test_theta_can_be_held():
    """theta_plus = 0 and a time constant of 1e30 ms: not a bit of theta changes."""
    cell = IF_cond_exp_homeostatic(theta_plus=0.0, tau_theta=1e30, **SHARED)
    spikes, _, theta = one(cell, 3000, {"theta": 1.2345})
    assert len(spikes) > 3
    assert (theta == 1.2345).all()


def test_theta_decays_while_refractory():
    cell = IF_cond_exp_homeostatic(theta_plus=1.0, tau_theta=50.0, i_offset=0.9, tau_refrac=30.0)
    spikes, v, theta = one(cell, 700)
    t = spikes[0]
    assert (v[t - 1:t + 299] == -65.0).all()
    assert theta[t + 198] == pytest.approx(math.exp(-19.9 / 50.0), rel=1e-12)


def test_large_steps_stay_stable():
    cell = IF_cond_exp_homeostatic(tau_syn_E=1.0, tau_syn_I=2.0, e_rev_I=-100.0)
    events = {k: [("excitatory", 0, 5.0), ("inhibitory", 0, 50.0)] for k in range(1, 40)}
    _, v, theta = one(cell, 200, events=events, dt=1.0)
    assert ((v >= -100.0) & (v <= 0.0)).all() and np.isfinite(theta).all()


def test_in_a_network_theta_is_initialised_recorded_and_read():
    net = Network(seed=3)
    theta = np.array([0.0, 1.0, 2.0, 3.0])
    cell = IF_cond_exp_homeostatic(theta_plus=0.25, **SHARED)
    cells = net.population(4, cell, "cells", initial_values={"theta": theta})
    net.record(cells, ["spikes", "theta"])
    sim = Simulation(net, dt=0.1, threads=1)
    np.testing.assert_array_equal(sim.get(cells, "theta"), theta)
    result = sim.run(400.0)
    counts = result.spikes("cells").counts()
    assert (np.diff(counts) < 0).any() and (np.diff(counts) <= 0).all()
    np.testing.assert_allclose(sim.get(cells, "theta"), theta + 0.25 * counts, rtol=1e-3)
    np.testing.assert_array_equal(result.traces("cells", "theta").values[-1], sim.get(cells, "theta"))
    frozen = Network(seed=3)
    held = frozen.population(4, cells.cell.replaced(theta_plus=0.0, tau_theta=1e30), "cells",
                             initial_values={"theta": sim.get(cells, "theta")})
    again = Simulation(frozen, dt=0.1, threads=1)
    again.run(100.0)
    np.testing.assert_array_equal(again.get(held, "theta"), sim.get(cells, "theta"))


def test_bad_values_are_refused():
    for values in ({"theta_plus": -0.1}, {"tau_theta": 0.0}, {"tau_theta": math.inf}, {"v_reset": -40.0}):
        with pytest.raises(ParameterError):
            IF_cond_exp_homeostatic(**values)
