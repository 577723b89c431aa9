"""Current-based cells below threshold against the matrix exponential and against closed forms."""

import math

import numpy as np
import pytest
import reference_cells as ref
from hypothesis import assume, example, given
from hypothesis import strategies as st

import neurosim
from neurosim.cells.lif import (
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    IF_jump,
    alpha_propagator,
    current_propagator,
)

TAU = st.floats(0.2, 60.0)
# Nothing, the last digit, a little, and much apart.
NEAR = st.sampled_from([0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-4, 1e-2, 0.5])
UNIT = st.floats(-1, 1)
DT = st.sampled_from([0.01, 0.1, 1.0])
HIGH = 1e9  # a threshold out of reach


def by_matrix(cell, t, weights):
    """v after t ms of a cell at rest to which both weights came at time 0, by scipy's matrix exponential."""
    linalg = pytest.importorskip("scipy.linalg")
    alpha = isinstance(cell, IF_curr_alpha)
    start = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])  # v - v_rest, two currents, their second variables, 1
    start[3:5] = weights if alpha else 0.0
    start[1:3] = 0.0 if alpha else weights
    a = np.zeros((6, 6))
    a[0] = [-1.0 / cell.tau_m, 1.0 / cell.cm, 1.0 / cell.cm, 0.0, 0.0, cell.i_offset / cell.cm]
    for k, tau in ((1, cell.tau_syn_E), (2, cell.tau_syn_I)):
        a[k, k] = a[k + 2, k + 2] = -1.0 / tau
        a[k, k + 2] = math.e / tau
    return cell.v_rest + (linalg.expm(a * t) @ start)[0]


@given(st.sampled_from([IF_curr_exp, IF_curr_alpha]), TAU, TAU, NEAR, UNIT, UNIT, UNIT, DT)
@example(IF_curr_exp, 20.0, 20.0, 0.0, 1.0, 0.5, -0.5, 0.1)
@example(IF_curr_alpha, 20.0, 20.0, 0.0, 1.0, 0.5, -0.5, 0.1)
@example(IF_curr_alpha, 20.0, 0.5, 1e-9, 1.0, 0.5, -0.5, 0.1)
def test_below_threshold_equals_the_matrix_exponential(model, tau_m, tau_e, near, i_offset, w_e, w_i, dt):
    cell = model(tau_m=tau_m, tau_syn_E=tau_e, tau_syn_I=tau_m * (1.0 + near), i_offset=i_offset, v_thresh=HIGH)
    steps = 25
    events = {0: [("excitatory", 0, w_e), ("inhibitory", 0, w_i)]}
    _, traces = ref.drive(cell, 1, dt, steps, events, record=("v",))
    for k in (1, steps):
        assert abs(traces["v"][k - 1, 0] - by_matrix(cell, k * dt, (w_e, w_i))) < 1e-10


@given(TAU, st.floats(0.1, 5.0), st.floats(-2, 2), DT)
def test_equal_time_constants_closed_form(tau, cm, weight, dt):
    """v(t) = w t/cm exp(-t/tau) for an exponential current, e w t**2/(2 cm tau) exp(-t/tau) for an alpha-shaped one."""
    events = {0: [("excitatory", 0, weight)]}
    for model, shape in ((IF_curr_exp, lambda t: t), (IF_curr_alpha, lambda t: math.e * t * t / (2.0 * tau))):
        cell = model(tau_m=tau, tau_syn_E=tau, cm=cm, v_rest=0.0, v_thresh=HIGH)
        _, traces = ref.drive(cell, 1, dt, 30, events, record=("v",))
        expected = [weight / cm * shape(k * dt) * math.exp(-k * dt / tau) for k in range(1, 31)]
        np.testing.assert_allclose(traces["v"][:, 0], expected, rtol=1e-12, atol=1e-12)


def test_alpha_weight_is_the_peak_of_the_current():
    cell = IF_curr_alpha(tau_syn_E=2.0, v_thresh=HIGH)
    _, traces = ref.drive(cell, 1, 0.1, 100, {0: [("excitatory", 0, 0.7)]}, record=("isyn_exc",))
    assert traces["isyn_exc"].argmax() + 1 == 20
    assert traces["isyn_exc"].max() == pytest.approx(0.7, rel=1e-12)


@given(TAU, TAU, st.sampled_from([0.01, 0.1, 1.0, 10.0]), NEAR)
def test_propagators_equal_quadrature(tau_m, tau_syn, dt, near):
    """Also where the two time constants agree to the last digits, where the textbook formula divides 0 by 0."""
    assume(dt / min(tau_m, tau_syn) < 30.0)
    for a, b in ((tau_m, tau_syn), (tau_m, tau_m * (1.0 + near))):
        arrays = [np.array([x]) for x in (a, b, 1.0)]
        for power, propagator in ((0, current_propagator), (1, alpha_propagator)):
            assert propagator(*arrays, dt)[0] == pytest.approx(ref._response(a, b, dt, power), rel=2e-12)


@given(st.floats(0.5, 50.0), st.lists(st.tuples(st.integers(1, 30), st.floats(-3, 3)), max_size=10))
def test_delta_is_a_sum_of_decaying_jumps(tau_m, jumps):
    events = {}
    for t, w in jumps:
        events.setdefault(t, []).append(("excitatory" if w > 0 else "inhibitory", 0, w))
    _, traces = ref.drive(IF_curr_delta(tau_m=tau_m, v_thresh=HIGH), 1, 0.1, 30, events, record=("v",))
    for k in range(1, 31):
        expected = -65.0 + sum(w * math.exp(-(k - t) * 0.1 / tau_m) for t, w in jumps if t <= k)
        assert abs(traces["v"][k - 1, 0] - expected) < 1e-10


def test_jump_counts_its_input_and_forgets_nothing():
    cell = IF_jump(v_thresh=1.0)
    events = {t: [("excitatory", 0, 0.25)] for t in range(100, 400, 50)}
    spikes, traces = ref.drive(cell, 1, 1.0, 400, events, record=("v",))
    assert spikes == [(250, 0)]
    assert traces["v"][199, 0] == 0.75
    assert traces["v"][-1, 0] == 0.5


@pytest.mark.parametrize("model, weight", [(IF_curr_delta, 20.0), (IF_jump, 20.0)])
def test_a_jump_while_refractory_is_lost(model, weight):
    cell = model(tau_refrac=0.3, v_rest=0.0, v_reset=0.0, v_thresh=10.0)
    events = {t: [("excitatory", 0, weight)] for t in (5, 6, 8, 9)}
    spikes, traces = ref.drive(cell, 1, 0.1, 12, events, record=("v",))
    assert spikes == [(5, 0), (9, 0)]
    assert (traces["v"][:, 0] == 0.0).all()


@pytest.mark.parametrize("model", [IF_curr_exp, IF_curr_alpha, IF_curr_delta])
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_v_stays_at_reset_for_the_refractory_steps(model, steps):
    cell = model(tau_refrac=0.1 * steps, i_offset=2.0, v_reset=-70.0)
    spikes, traces = ref.drive(cell, 1, 0.1, 200, record=("v",))
    first = spikes[0][0]
    v = traces["v"][:, 0]
    assert (v[first - 1:first + steps] == -70.0).all()
    assert v[first + steps] > -70.0


@pytest.mark.parametrize("name", ["EIF_cond_exp_isfa_ista", "EIF_cond_alpha_isfa_ista", "PointNeuron"])
def test_without_an_upswing_the_threshold_is_hard(name):
    """delta_T = 0: an adaptive cell is a leaky one that spikes at v_thresh, as in NEST."""
    numbers = dict(tau_m=10.0, cm=0.2, v_rest=-65.0, v_reset=-65.0, v_thresh=-50.0, tau_refrac=2.0, i_offset=0.4)
    adaptive = dict(**numbers, v_spike=-40.0, a=0.0, b=0.0, delta_T=0.0)
    cell = neurosim.PointNeuron(neurosim.AdExp(**adaptive)) if name == "PointNeuron" else getattr(neurosim, name)(**adaptive)
    net = neurosim.Network()
    net.population(1, cell, "sharp", initial_values={"v": -65.0}).record("spikes")
    net.population(1, neurosim.IF_cond_exp(**numbers), "leaky", initial_values={"v": -65.0}).record("spikes")
    result = neurosim.Simulation(net, dt=0.1).run(200.0)
    assert result.spikes("sharp").times.size > 5
    np.testing.assert_allclose(result.spikes("sharp").times, result.spikes("leaky").times, atol=0.1 + 1e-9)
