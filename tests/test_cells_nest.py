"""Cells against NEST on the same input spikes: exact cells to the step, the others within stated tolerances."""

import numpy as np
import pytest
import reference_cells as ref

from neurosim.cells import adex, conductance, gif, hh, izhikevich, lif

nest = pytest.importorskip("nest")

NAMES = {
    lif.IF_curr_exp: "iaf_psc_exp", lif.IF_curr_alpha: "iaf_psc_alpha", lif.IF_curr_delta: "iaf_psc_delta",
    conductance.IF_cond_exp: "iaf_cond_exp", conductance.IF_cond_alpha: "iaf_cond_alpha",
    conductance.IF_cond_exp_gsfa_grr: "iaf_cond_exp_sfa_rr", conductance.IF_facets_hardware1: "iaf_cond_exp",
    adex.EIF_cond_exp_isfa_ista: "aeif_cond_exp", adex.EIF_cond_alpha_isfa_ista: "aeif_cond_alpha",
    izhikevich.Izhikevich: "izhikevich", hh.HH_cond_exp: "hh_cond_exp_traub", gif.GIF_cond_exp: "gif_cond_exp",
}
# Ours -> (NEST's name, factor).
TRANSLATED = {
    "v_rest": ("E_L", 1.0), "v_reset": ("V_reset", 1.0), "v_thresh": ("V_th", 1.0), "cm": ("C_m", 1e3),
    "tau_m": ("tau_m", 1.0), "tau_refrac": ("t_ref", 1.0), "tau_syn_E": ("tau_syn_ex", 1.0),
    "tau_syn_I": ("tau_syn_in", 1.0), "i_offset": ("I_e", 1e3), "e_rev_E": ("E_ex", 1.0),
    "e_rev_I": ("E_in", 1.0), "v_spike": ("V_peak", 1.0), "a": ("a", 1.0), "b": ("b", 1e3),
    "delta_T": ("Delta_T", 1.0), "tau_w": ("tau_w", 1.0), "gbar_Na": ("g_Na", 1e3), "gbar_K": ("g_K", 1e3),
    "g_leak": ("g_L", 1e3), "v_offset": ("V_T", 1.0), "e_rev_Na": ("E_Na", 1.0), "e_rev_K": ("E_K", 1.0),
    "e_rev_leak": ("E_L", 1.0), "delta_v": ("Delta_V", 1.0), "v_t_star": ("V_T_star", 1.0),
    "lambda0": ("lambda_0", 1.0), "c": ("c", 1.0), "d": ("d", 1.0),
    "tau_sfa": ("tau_sfa", 1.0), "e_rev_sfa": ("E_sfa", 1.0), "q_sfa": ("q_sfa", 1.0),
    "tau_rr": ("tau_rr", 1.0), "e_rev_rr": ("E_rr", 1.0), "q_rr": ("q_rr", 1.0),
}


def translated(cell, i):
    """NEST's parameters of cell i."""
    p = {name: float(value[i]) for name, value in cell.values(i + 1 if cell.is_homogeneous() else N, 0, "x").items()}
    out = {}
    for name, value in p.items():
        if name[-1] not in "123":
            theirs, factor = TRANSLATED[name]
            out[theirs] = value * factor
    if isinstance(cell, gif.GIF_cond_exp):
        for ours, theirs, factor in (("tau_eta", "tau_stc", 1), ("a_eta", "q_stc", 1e3),
                                     ("tau_gamma", "tau_sfa", 1), ("a_gamma", "q_sfa", 1)):
            out[theirs] = [p[f"{ours}{k}"] * factor for k in (1, 2, 3)]
    if "cond" in NAMES[type(cell)] and "tau_m" in out:
        out["g_L"] = out["C_m"] / out.pop("tau_m")
    if isinstance(cell, conductance.IF_facets_hardware1):
        out.update(g_L=p["g_leak"], C_m=200.0, t_ref=1.0, E_ex=0.0)
    if isinstance(cell, izhikevich.Izhikevich):
        out["b"] /= 1e3
    if "gsl_error_tol" in nest.GetDefaults(NAMES[type(cell)]):
        out["gsl_error_tol"] = 1e-9
    return out


N = 20


def nest_run(cell, n, dt, steps, events, initial=None, record=()):
    """The spikes (step, cell) and the traces of ``record`` (NEST's names), shape (steps, n)."""
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = dt
    cells = nest.Create(NAMES[type(cell)], n, params=[translated(cell, i) for i in range(n)])
    if initial:
        cells.set(initial)
    factor = 1.0 if type(cell) in (lif.IF_curr_delta, izhikevich.Izhikevich) else 1e3
    negated = "cond" in NAMES[type(cell)]
    for i in range(n):
        given = sorted((t, receptor, w) for t, found in events.items() for receptor, k, w in found if k == i)
        for sign in ("excitatory", "inhibitory"):
            mine = [(t, w) for t, receptor, w in given if receptor == sign]
            if mine:
                times, weights = np.array([t for t, _ in mine]), np.array([w for _, w in mine])
                weights = weights * factor * (-1.0 if negated and sign == "inhibitory" else 1.0)
                source = nest.Create("spike_generator", params={
                    "spike_times": np.round((times - 1) * dt, 6), "spike_weights": weights})
                nest.Connect(source, cells[i], syn_spec={"delay": dt})
    recorder = nest.Create("spike_recorder", params={"time_in_steps": True})
    nest.Connect(cells, recorder, syn_spec={"delay": dt})
    if record:
        meter = nest.Create("multimeter", params={"record_from": list(record), "interval": dt, "time_in_steps": True})
        nest.Connect(meter, cells, syn_spec={"delay": dt})
    nest.Simulate((steps + 2) * dt)
    first = cells[0].global_id
    found = recorder.get("events")
    spikes = sorted((int(t), int(i) - first) for t, i in zip(found["times"], found["senders"]) if t <= steps)
    traces = {}
    for name in record:
        found = meter.get("events")
        trace = np.full((steps, n), np.nan)
        inside = found["times"] <= steps
        trace[found["times"][inside] - 1, found["senders"][inside] - first] = found[name][inside]
        traces[name] = trace
    return spikes, traces


def events(rng, n, steps, weights, count):
    """Random input to both receptors, none at the first step."""
    found = {}
    for t, i, k in zip(rng.integers(2, steps, count), rng.integers(0, n, count), rng.integers(0, 2, count)):
        weight = float(weights[k] * rng.uniform(0.2, 1.8))
        found.setdefault(int(t), []).append((("excitatory", "inhibitory")[k], int(i), weight))
    return found


# ------------------------------------------------------------------ the same spikes, to the step

LINEAR = [
    (lif.IF_curr_exp, {"i_offset": 0.6}, (1.2, -0.6)),
    (lif.IF_curr_exp, {"i_offset": 0.6, "tau_syn_E": 20.0, "tau_syn_I": 19.999}, (0.4, -0.2)),
    (lif.IF_curr_alpha, {"i_offset": 0.6, "tau_syn_E": 2.0, "tau_syn_I": 5.0}, (1.2, -0.3)),
    (lif.IF_curr_alpha, {"i_offset": 0.6, "tau_syn_E": 20.0, "tau_syn_I": 20.001}, (0.2, -0.1)),
    (lif.IF_curr_delta, {"i_offset": 0.6}, (3.0, -1.5)),
]


@pytest.mark.parametrize("refractory", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("model, values, weights", LINEAR, ids=lambda x: getattr(x, "__name__", ""))
def test_exact_cells_spike_on_the_same_steps(model, values, weights, refractory, rng):
    steps, dt = 4000, 0.1
    cell = model(tau_refrac=refractory, **values)
    cell = cell.replaced(tau_m=rng.uniform(10.0, 25.0, N) if values.get("tau_syn_E", 0) != 20.0 else 20.0,
                         v_thresh=rng.uniform(-52.0, -48.0, N), v_reset=rng.uniform(-70.0, -60.0, N))
    given = events(rng, N, steps, weights, 8000)
    mine, traces = ref.drive(cell, N, dt, steps, given, record=("v",))
    theirs, expected = nest_run(cell, N, dt, steps, given, {"V_m": -65.0}, ("V_m",))
    assert len(mine) > 100
    assert mine == theirs
    np.testing.assert_allclose(traces["v"], expected["V_m"], rtol=0, atol=1e-9)


# ------------------------------------------------------------------ small steps, within a tolerance

# model, values, weights, NEST's state at the start, tolerance below threshold (mV), tolerance of a spike's time (steps)
NONLINEAR = {
    "IF_cond_exp": (conductance.IF_cond_exp, {"i_offset": 0.6, "tau_refrac": 2.0}, (0.03, 0.03),
                    {"V_m": -65.0}, 2e-4, 1),
    "IF_cond_alpha": (conductance.IF_cond_alpha, {"i_offset": 0.6, "tau_refrac": 2.0, "tau_syn_E": 2.0}, (0.03, 0.03),
                      {"V_m": -65.0}, 2e-4, 1),
    "IF_cond_exp_gsfa_grr": (conductance.IF_cond_exp_gsfa_grr, {"i_offset": 1.0, "tau_refrac": 2.0}, (0.03, 0.03),
                             {"V_m": -65.0}, 2e-4, 1),
    "IF_facets_hardware1": (conductance.IF_facets_hardware1, {"tau_syn_E": 5.0}, (0.014, 0.004), {"V_m": -65.0}, 2e-4, 1),
    "EIF_cond_exp": (adex.EIF_cond_exp_isfa_ista, {"i_offset": 0.5, "tau_refrac": 2.0}, (0.01, 0.01),
                     {"V_m": -70.6}, 1e-5, 2),
    "EIF_cond_alpha": (adex.EIF_cond_alpha_isfa_ista, {"i_offset": 0.5, "tau_refrac": 2.0}, (0.01, 0.01),
                       {"V_m": -70.6}, 1e-5, 2),
    # NEST takes Euler steps, here of 1 microsecond: its spikes lag by up to 0.1 ms after 150 ms.
    "Izhikevich": (izhikevich.Izhikevich, {"i_offset": 0.01}, (1.0, -1.0), {"V_m": -70.0, "U_m": -14.0}, 2e-2, 100),
    "HH_cond_exp": (hh.HH_cond_exp, {"i_offset": 0.3}, (0.03, 0.03),
                    {"V_m": -65.0, "Act_m": 0.0, "Act_n": 0.0, "Inact_h": 1.0}, 2e-2, 2),
    "GIF_cond_exp": (gif.GIF_cond_exp, {"i_offset": 0.9, "lambda0": 1e3, "delta_v": 1e-4, "a_eta1": 0.1, "a_eta2": 0.1,
                                             "a_eta3": 0.1}, (0.03, 0.03), {"V_m": -65.0}, 1e-4, 2),
}
DT = {"Izhikevich": 0.001, "HH_cond_exp": 0.005}


@pytest.mark.parametrize("name", NONLINEAR)
def test_below_threshold_as_nest(name, rng):
    model, values, weights, start, tolerance, _ = NONLINEAR[name]
    n, dt = 3, DT.get(name, 0.01)
    steps = round(60.0 / dt)
    values = {k: v for k, v in values.items() if k != "i_offset"}
    cell = model(**values)
    given = events(rng, n, steps, [0.3 * w for w in weights], 60)
    mine, traces = ref.drive(cell, n, dt, steps, given, record=("v",))
    theirs, expected = nest_run(cell, n, dt, steps, given, start, ("V_m",))
    if name == "HH_cond_exp":  # its gates start open: one spike at once
        assert len(mine) == len(theirs)
    else:
        assert not mine and not theirs
    assert np.ptp(expected["V_m"]) > 1.0
    np.testing.assert_allclose(traces["v"], expected["V_m"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", NONLINEAR)
def test_spikes_as_nest(name, rng):
    model, values, weights, start, _, tolerance = NONLINEAR[name]
    n, dt = 5, DT.get(name, 0.01)
    steps = round(150.0 / dt)
    cell = model(**values)
    given = events(rng, n, steps, weights, 300)
    mine, _ = ref.drive(cell, n, dt, steps, given)
    theirs, _ = nest_run(cell, n, dt, steps, given, start)
    assert len(mine) > 10
    for i in range(n):
        a, b = (np.array([t for t, k in found if k == i]) for found in (mine, theirs))
        assert len(a) == len(b)
        assert np.abs(a - b).max(initial=0) <= tolerance
