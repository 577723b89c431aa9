"""One test over every stepping kernel: its order of convergence is the declared one."""

import math

import numpy as np
import pytest
import reference_cells as ref

MODELS = ref.step_models()
T = 4.8  # ms

# A smooth path without spikes that moves every state, and the longest step at which the order shows.
PATHS = {
    "IF_curr_exp": ({"i_offset": 0.1}, {"isyn_exc": 0.5, "isyn_inh": -0.2}, 0.4),
    "IF_curr_alpha": ({"i_offset": 0.1}, {"isyn_exc": 0.5, "isyn_inh": -0.2}, 0.4),
    "IF_curr_delta": ({"i_offset": 0.1}, {"v": -60.0}, 0.4),
    "IF_curr_delta_astro": ({"i_offset": 0.1}, {"v": -60.0, "c": 0.5}, 0.4),
    "IF_jump": ({"i_offset": 0.1}, {"v": -1.0}, 0.4),
    "IF_cond_exp": ({"tau_syn_E": 2.0}, {"v": -60.0, "gsyn_exc": 0.05, "gsyn_inh": 0.03}, 0.4),
    "IF_cond_exp_homeostatic": ({"tau_syn_E": 2.0, "tau_theta": 5.0},
                                {"v": -60.0, "theta": 10.0, "gsyn_exc": 0.05, "gsyn_inh": 0.03}, 0.4),
    "IF_cond_exp_gsfa_grr": ({"tau_syn_E": 2.0},
                             {"v": -60.0, "gsyn_exc": 0.05, "gsyn_inh": 0.03, "g_r": 100.0, "g_s": 30.0}, 0.4),
    "IF_facets_hardware1": ({"tau_syn_E": 2.0}, {"v": -60.0, "gsyn_exc": 0.01, "gsyn_inh": 0.03}, 0.4),
    "IF_cond_alpha": ({"tau_syn_E": 2.0}, {"v": -60.0, "gsyn_exc": 0.05, "gsyn_inh": 0.03}, 0.4),
    "EIF_cond_exp_isfa_ista": ({"v_spike": 0.0}, {"v": -52.0, "w": 0.05, "gsyn_exc": 0.01, "gsyn_inh": 0.003}, 0.4),
    "EIF_cond_alpha_isfa_ista": ({"v_spike": 0.0}, {"v": -52.0, "w": 0.05, "gsyn_exc": 0.01, "gsyn_inh": 0.003}, 0.4),
    "Izhikevich": ({"i_offset": 0.002}, {"v": -68.0, "u": -12.0}, 0.4),
    "HH_cond_exp": ({"i_offset": 0.1},
                    {"v": -62.0, "gsyn_exc": 0.01, "gsyn_inh": 0.01, "h": 0.9, "m": 0.05, "n": 0.1}, 0.025),
    "GIF_cond_exp": ({"lambda0": 0.0},
                     {"v": -60.0, "v_t": -40.0, "i_eta": 0.3, "gsyn_exc": 0.05, "gsyn_inh": 0.03}, 0.4),
}
# Arrivals at the first step's end, where the model has second variables for them.
ALPHA = {"IF_curr_alpha": (0.3, -0.2), "IF_cond_alpha": (0.02, 0.02), "EIF_cond_alpha_isfa_ista": (0.002, 0.01)}


def exact(model, q, y0):
    """States at T by an eighth-order Runge-Kutta method."""
    integrate = pytest.importorskip("scipy.integrate")
    solution = integrate.solve_ivp(ref.SLOPES[model], (0.0, T), y0, method="DOP853", rtol=1e-12, atol=1e-14, args=(q,))
    return solution.y[:, -1]


def errors(model, dts):
    """Error of v at T for each step length, from the same state at t = 0."""
    values, initial, _ = PATHS[model.__name__]
    cell = model(**values)
    q = {name: float(value[0]) for name, value in cell.values(1, 0, "x").items()}
    start = cell.initial_values(1, 0, "x", initial, cell.values(1, 0, "x"))
    y0 = [float(value[0]) for value in start.values()]
    weights = ALPHA.get(model.__name__)
    if weights or model.__name__ in ("IF_curr_exp", "IF_cond_exp", "EIF_cond_exp_isfa_ista"):
        y0 += weights or (0.0, 0.0)
    expected = exact(model, q, y0)[0]
    found = []
    for dt in dts:
        steps = round(T / dt)
        given = {0: [("excitatory", 0, weights[0]), ("inhibitory", 0, weights[1])]} if weights else {}
        _, traces = ref.drive(cell, 1, dt, steps, given, initial, ("v",))
        found.append(abs(traces["v"][-1, 0] - expected))
    return found


def test_every_model_is_here():
    assert MODELS
    assert {m.__name__ for m in MODELS} == set(PATHS)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_order_of_convergence(model):
    longest = PATHS[model.__name__][2]
    dts = [longest / 2**k for k in range(5)]
    error = errors(model, dts)
    if model.exact:
        assert max(error) < 1e-10
        return
    assert error[-1] > 1e-13, "error too small to measure an order"
    slopes = np.diff(np.log2(error)) * -1.0
    steepest = slopes[np.array(error[1:]) > 1e-11]
    print(f"{model.__name__}: errors {[f'{e:.1e}' for e in error]}, orders {np.round(slopes, 2)}")
    assert math.isclose(np.median(steepest[-2:]), model.order, abs_tol=0.25)
