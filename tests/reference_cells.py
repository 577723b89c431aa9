"""Cells in plain Python: a driver that steps a compiled model, and every model again in scalar arithmetic.

``RULES`` holds, for each model, the same numerical scheme as its kernel, written neuron by neuron from the declared
parameters; ``SLOPES`` the differential equations themselves, for a general solver.
"""

import dataclasses
import functools
import importlib
import math

import numpy as np
from neurosim.kernels import random, step

from neurosim.cells import adex, astrocyte, conductance, gif, hh, homeostatic, izhikevich, lif
from neurosim.cells.base import Cell

MODULES = (lif, conductance, homeostatic, adex, izhikevich, hh, gif, astrocyte)
MODELS = [model for module in MODULES for model in map(vars(module).get, module.__all__) if model.spikes]
SEED = 5


def step_models() -> list:
    """Every neuron of neurosim that has a stepping kernel; astrocytes, PointNeuron and cells with dendrites have tests of their own."""
    found = [c for c in Cell.__subclasses__() if c.__module__.startswith("neurosim.cells") and "step_model" in vars(c)]
    return sorted((c for c in found if dataclasses.is_dataclass(c) and c.spikes and c.__name__ != "CompartmentalCell"),
                  key=lambda c: c.__name__)


def prepared(cell, n=1, dt=0.1, initial=None):
    """(parameters, StepModel) of n cells."""
    p = cell.values(n, SEED, "test")
    return p, cell.step_model(p, cell.initial_values(n, SEED, "test", initial or {}, p), dt)


def drive(cell, n=1, dt=0.1, steps=100, events=None, initial=None, record=(), current=0.0, key=1, chunks=None):
    """Step n cells through the compiled kernel.

    ``events`` maps a step to a list of (receptor, cell, weight).  Returns the spikes as a list of (step, cell) and
    the recorded states, shape (steps, n) each.
    """
    _, m = prepared(cell, n, dt, initial)
    callback = getattr(importlib.import_module(f"neurosim.kernels.{m.module}"), m.function)
    state = np.ascontiguousarray(m.initial, dtype=np.float64)
    rows = np.ascontiguousarray(m.parameters, dtype=np.float64)
    injected = np.ascontiguousarray(np.broadcast_to(np.asarray(current, float), (n,)))
    out = np.full(n, -1, dtype=np.int32)
    pointers = [np.uint64(a.ctypes.data) for a in (state, rows, injected, out)]
    traces = {name: np.empty((steps, n)) for name in record}
    spikes = []

    def deliver(t):
        for receptor, i, weight in (events or {}).get(t, ()):
            state[m.states.index(m.inputs[receptor]), i] += weight

    if not m.deliver_first:
        deliver(0)
    for t in range(1, steps + 1):
        if m.deliver_first:
            deliver(t)
        for lo, hi in chunks or [(0, n)]:
            count = step.call(np.uint64(callback.address), lo, hi, n, rows.shape[1], *pointers, t, dt, np.uint64(key))
            spikes += [(t, int(i)) for i in out[:count]]
        if not m.deliver_first:
            deliver(t)
        for name, trace in traces.items():
            trace[t - 1] = state[m.states.index(name)]
    return spikes, traces


def drive_plainly(cell, n=1, dt=0.1, steps=100, events=None, initial=None, record=(), current=0.0, key=1):
    """As :func:`drive`, by the rules of this file."""
    p = cell.values(n, SEED, "test")
    start = cell.initial_values(n, SEED, "test", initial or {}, p)
    rule = RULES[type(cell)]
    current = np.broadcast_to(np.asarray(current, float), (n,))
    cells = []
    for i in range(n):
        c = {name: float(value[i]) for name, value in start.items()}
        c.update(r=0, x=0.0, dexc=0.0, dinh=0.0, eta=[0.0, 0.0, c.get("i_eta", 0.0)], key=key, i=i)
        q = {name: float(value[i]) for name, value in p.items()}
        if "v_t" in c:
            c["gamma"] = [0.0, 0.0, c["v_t"] - q["v_t_star"]]
        q["R"] = math.floor(q.get("tau_refrac", 2.0) / dt + 0.5)
        cells.append((c, q))
    traces = {name: np.empty((steps, n)) for name in record}
    spikes = []
    for t in range(1, steps + 1):
        arriving = (events or {}).get(t, ())
        for i, (c, q) in enumerate(cells):
            c["t"] = t
            if DELIVERED_TO[type(cell)][0] == "x":
                c["x"] = sum(w for _, k, w in arriving if k == i)
            if rule(c, q, dt, float(current[i])):
                spikes.append((t, i))
        if DELIVERED_TO[type(cell)][0] != "x":
            for receptor, i, w in arriving:
                cells[i][0][DELIVERED_TO[type(cell)][receptor == "inhibitory"]] += w
        for name, trace in traces.items():
            trace[t - 1] = [c[name] for c, _ in cells]
    return spikes, traces


# --------------------------------------------------------------------- schemes


def _fire(c, q, moved, threshold):
    """The common rule of threshold, reset and refractoriness."""
    if c["r"] > 0:
        c["r"] -= 1
        return False
    c["v"] = moved
    if moved >= threshold:
        c["v"], c["r"] = q["v_reset"], q["R"]
        return True
    return False


def _decay_currents(c, q, dt, alpha):
    for current, d, tau in (("isyn_exc", "dexc", q["tau_syn_E"]), ("isyn_inh", "dinh", q["tau_syn_I"])):
        f = math.exp(-dt / tau)
        c[current] = (c[current] + (math.e / tau * dt * c[d] if alpha else 0.0)) * f
        c[d] *= f


@functools.cache
def _response(tau_m, tau, dt, power):
    """The integral over the step of exp(-(dt - s)/tau_m) s**power exp(-s/tau), by 40 Gauss points."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    s = 0.5 * dt * (nodes + 1.0)
    return float(0.5 * dt * np.sum(weights * np.exp(-(dt - s) / tau_m) * s**power * np.exp(-s / tau)))


def _if_curr(c, q, dt, j, alpha):
    u = (c["v"] - q["v_rest"]) * math.exp(-dt / q["tau_m"])
    u += (q["i_offset"] + j) * q["tau_m"] / q["cm"] * (1.0 - math.exp(-dt / q["tau_m"]))
    for current, d, tau in (("isyn_exc", "dexc", q["tau_syn_E"]), ("isyn_inh", "dinh", q["tau_syn_I"])):
        u += c[current] * _response(q["tau_m"], tau, dt, 0) / q["cm"]
        if alpha:
            u += c[d] * math.e / tau * _response(q["tau_m"], tau, dt, 1) / q["cm"]
    _decay_currents(c, q, dt, alpha)
    return _fire(c, q, q["v_rest"] + u, q["v_thresh"])


def _if_curr_delta(c, q, dt, j):
    f = math.exp(-dt / q["tau_m"])
    u = (c["v"] - q["v_rest"]) * f + (q["i_offset"] + j) * q["tau_m"] / q["cm"] * (1.0 - f) + c["x"]
    return _fire(c, q, q["v_rest"] + u, q["v_thresh"])


def _if_jump(c, q, dt, j):
    return _fire(c, q, c["v"] + (q["i_offset"] + j) * dt / q["cm"] + c["x"], q["v_thresh"])


def _if_curr_delta_astro(c, q, dt, j):
    """One cell that has an astrocyte of its own."""
    c["c"] *= math.exp(-dt / q["tau_c"])
    f = math.exp(-dt / q["tau_m"])
    u = (c["v"] - q["v_rest"]) * f + (q["i_offset"] + j) * q["tau_m"] / q["cm"] * (1.0 - f)
    u += (1.0 + q["g_astro"] * c["c"]) * c["x"]
    height = (q["v_thresh"] - q["v_rest"]) * (1.0 - q["kappa"] * math.tanh(c["c"]))
    if _fire(c, q, q["v_rest"] + u, q["v_rest"] + height):
        c["c"] += q["delta_c"]
        return True
    return False


def _conductances(c, q, s):
    """Both conductances s ms later."""
    return [(c[g] + math.e * s / tau * c[d]) * math.exp(-s / tau)
            for g, d, tau in (("gsyn_exc", "dexc", q["tau_syn_E"]), ("gsyn_inh", "dinh", q["tau_syn_I"]))]


def _decay_conductances(c, q, dt):
    c["gsyn_exc"], c["gsyn_inh"] = _conductances(c, q, dt)
    c["dexc"] *= math.exp(-dt / q["tau_syn_E"])
    c["dinh"] *= math.exp(-dt / q["tau_syn_I"])


def _midpoint(c, q, dt, current):
    """v after a step with the conductances of its middle."""
    g_e, g_i = _conductances(c, q, 0.5 * dt)
    g_l = q["cm"] / q["tau_m"]
    total = g_l + g_e + g_i
    level = (g_l * q["v_rest"] + g_e * q["e_rev_E"] + g_i * q["e_rev_I"] + current) / total
    return level + (c["v"] - level) * math.exp(-total / q["cm"] * dt)


def _if_cond(c, q, dt, j):
    moved = _midpoint(c, q, dt, q["i_offset"] + j)
    _decay_conductances(c, q, dt)
    return _fire(c, q, moved, q["v_thresh"])


def _if_cond_gsfa_grr(c, q, dt, j):
    g_e, g_i = _conductances(c, q, 0.5 * dt)
    g_s, g_r = (1e-3 * c[g] * math.exp(-0.5 * dt / q[tau]) for g, tau in (("g_s", "tau_sfa"), ("g_r", "tau_rr")))
    pairs = [(q["cm"] / q["tau_m"], q["v_rest"]), (g_e, q["e_rev_E"]), (g_i, q["e_rev_I"]), (g_s, q["e_rev_sfa"]),
             (g_r, q["e_rev_rr"])]
    total = sum(g for g, _ in pairs)
    level = (sum(g * e for g, e in pairs) + q["i_offset"] + j) / total
    moved = level + (c["v"] - level) * math.exp(-total / q["cm"] * dt)
    _decay_conductances(c, q, dt)
    c["g_s"] *= math.exp(-dt / q["tau_sfa"])
    c["g_r"] *= math.exp(-dt / q["tau_rr"])
    if _fire(c, q, moved, q["v_thresh"]):
        c["g_s"] += q["q_sfa"]
        c["g_r"] += q["q_rr"]
        return True
    return False


def _facets(q, dt=1.0):
    """The parameters with what the hardware fixes: 0.2 nF, 1 ms, 0 mV."""
    return {**q, "cm": 0.2, "tau_m": 0.2 / (1e-3 * q["g_leak"]), "e_rev_E": 0.0, "i_offset": 0.0, "R": math.floor(1.0 / dt + 0.5)}


def _if_cond_homeostatic(c, q, dt, j):
    c["theta"] *= math.exp(-dt / q["tau_theta"])
    moved = _midpoint(c, q, dt, q["i_offset"] + j)
    _decay_conductances(c, q, dt)
    if _fire(c, q, moved, q["v_thresh"] + c["theta"]):
        c["theta"] += q["theta_plus"]
        return True
    return False


def _runge_kutta(slope, y, s, h):
    k1 = slope(s, y)
    k2 = slope(s + 0.5 * h, [a + 0.5 * h * b for a, b in zip(y, k1)])
    k3 = slope(s + 0.5 * h, [a + 0.5 * h * b for a, b in zip(y, k2)])
    k4 = slope(s + h, [a + h * b for a, b in zip(y, k3)])
    return [a + h / 6.0 * (b1 + 2.0 * (b2 + b3) + b4) for a, b1, b2, b3, b4 in zip(y, k1, k2, k3, k4)]


def _adex(c, q, dt, j):
    g_l = q["cm"] / q["tau_m"]
    a = 1e-3 * q["a"]

    def grown(v):
        return math.exp(min((min(v, q["v_spike"]) - q["v_thresh"]) / q["delta_T"], 50.0))

    def slope(s, y):
        v, w = min(y[0], q["v_spike"]), y[1]
        g_e, g_i = _conductances(c, q, s)
        i = g_l * (q["v_rest"] - v + q["delta_T"] * grown(v))
        i += g_e * (q["e_rev_E"] - v) + g_i * (q["e_rev_I"] - v)
        return [(i - w + q["i_offset"] + j) / q["cm"], (a * (v - q["v_rest"]) - w) / q["tau_w"]]

    s, spiked, held = 0.0, False, c["r"] > 0
    while not held and not spiked and s < dt:
        rate = (1.0 + grown(c["v"])) / q["tau_m"] + sum(_conductances(c, q, s)) / q["cm"]
        h, end = dt - s, dt
        if rate * h > 0.25:
            h = 0.25 / rate
            end = s + h
        c["v"], c["w"] = _runge_kutta(slope, [c["v"], c["w"]], s, h)
        s = end
        if c["v"] >= q["v_spike"]:
            spiked = True
            c["w"] += q["b"]
    if held or spiked:
        level = a * (q["v_reset"] - q["v_rest"])
        c["v"], c["w"] = q["v_reset"], level + (c["w"] - level) * math.exp((s - dt) / q["tau_w"])
        c["r"] = q["R"] if spiked else c["r"] - 1
    _decay_conductances(c, q, dt)
    return spiked


def _izhikevich(c, q, dt, j):
    current = 1000.0 * (q["i_offset"] + j)

    def slope(s, y):
        v, u = min(y[0], 30.0), y[1]
        return [0.04 * v * v + 5.0 * v + 140.0 - u + current, q["a"] * (q["b"] * v - u)]

    s = 0.0
    while s < dt:
        rate = abs(0.08 * min(c["v"], 30.0) + 5.0)
        h, end = dt - s, dt
        if rate * h > 0.5:
            h = 0.5 / rate
            end = s + h
        c["v"], c["u"] = _runge_kutta(slope, [c["v"], c["u"]], s, h)
        s = end
    c["v"] += c["x"]
    if c["v"] >= 30.0:
        c["v"], c["u"] = q["c"], c["u"] + q["d"]
        return True
    return False


def _trap(x):
    return x / math.expm1(x) if abs(x) > 1e-9 else 1.0 - 0.5 * x


def _rates(u):
    """(alpha, beta) of h, m, n."""
    return {"h": (0.128 * math.exp((17 - u) / 18), 4 / (1 + math.exp((40 - u) / 5))),
            "m": (0.32 * 4 * _trap((13 - u) / 4), 0.28 * 5 * _trap((u - 40) / 5)),
            "n": (0.032 * 5 * _trap((15 - u) / 5), 0.5 * math.exp((10 - u) / 40))}


def _hh(c, q, dt, j):
    def gates(s):
        for name, (alpha, beta) in _rates(c["v"] - q["v_offset"]).items():
            level = alpha / (alpha + beta)
            c[name] = level + (c[name] - level) * math.exp(-s * (alpha + beta))

    parts = math.ceil(dt / 0.025 - 1e-9)
    h, before = dt / parts, c["v"]
    for _ in range(parts):
        gates(0.5 * h)
        g_e, g_i = _conductances(c, q, 0.5 * h)
        pairs = [(q["gbar_Na"] * c["m"]**3 * c["h"], q["e_rev_Na"]), (q["gbar_K"] * c["n"]**4, q["e_rev_K"]),
                 (q["g_leak"], q["e_rev_leak"]), (g_e, q["e_rev_E"]), (g_i, q["e_rev_I"])]
        total = sum(g for g, _ in pairs)
        level = (sum(g * e for g, e in pairs) + q["i_offset"] + j) / total
        c["v"] = level + (c["v"] - level) * math.exp(-total / q["cm"] * h)
        gates(0.5 * h)
        _decay_conductances(c, q, h)
    if c["r"] > 0:
        c["r"] -= 1
        return False
    if c["v"] >= q["v_offset"] + 30.0 and c["v"] < before:
        c["r"] = q["R"]
        return True
    return False


def _gif(c, q, dt, j):
    eta = sum(c["eta"][k] * math.exp(-0.5 * dt / q[f"tau_eta{k + 1}"]) for k in range(3))
    moved = _midpoint(c, q, dt, q["i_offset"] + j - eta)
    _decay_conductances(c, q, dt)
    c["eta"] = [c["eta"][k] * math.exp(-dt / q[f"tau_eta{k + 1}"]) for k in range(3)]
    c["gamma"] = [c["gamma"][k] * math.exp(-dt / q[f"tau_gamma{k + 1}"]) for k in range(3)]
    spiked = False
    if c["r"] > 0:
        c["r"] -= 1
    else:
        c["v"] = moved
        rate = 1e-3 * q["lambda0"] * math.exp(min((moved - q["v_t_star"] - sum(c["gamma"])) / q["delta_v"], 700.0))
        if random.uniform_at(np.uint64(c["key"]), c["i"], c["t"]) < 1.0 - math.exp(-rate * dt):
            spiked = True
            c["v"], c["r"] = q["v_reset"], q["R"]
            c["eta"] = [c["eta"][k] + q[f"a_eta{k + 1}"] for k in range(3)]
            c["gamma"] = [c["gamma"][k] + q[f"a_gamma{k + 1}"] for k in range(3)]
    c["v_t"] = q["v_t_star"] + sum(c["gamma"])
    c["i_eta"] = sum(c["eta"])
    return spiked


RULES = {
    lif.IF_curr_exp: lambda *a: _if_curr(*a, alpha=False), lif.IF_curr_alpha: lambda *a: _if_curr(*a, alpha=True),
    lif.IF_curr_delta: _if_curr_delta, lif.IF_jump: _if_jump,
    conductance.IF_cond_exp: _if_cond, conductance.IF_cond_alpha: _if_cond,
    conductance.IF_cond_exp_gsfa_grr: _if_cond_gsfa_grr,
    conductance.IF_facets_hardware1: lambda c, q, dt, j: _if_cond(c, _facets(q, dt), dt, j),
    homeostatic.IF_cond_exp_homeostatic: _if_cond_homeostatic,
    adex.EIF_cond_exp_isfa_ista: _adex, adex.EIF_cond_alpha_isfa_ista: _adex,
    izhikevich.Izhikevich: _izhikevich, hh.HH_cond_exp: _hh, gif.GIF_cond_exp: _gif,
    astrocyte.IF_curr_delta_astro: _if_curr_delta_astro,
}
_PLAIN, _ALPHA, _JUMP = ("gsyn_exc", "gsyn_inh"), ("dexc", "dinh"), ("x", "x")
DELIVERED_TO = {
    lif.IF_curr_exp: ("isyn_exc", "isyn_inh"), lif.IF_curr_alpha: _ALPHA, lif.IF_curr_delta: _JUMP, lif.IF_jump: _JUMP,
    conductance.IF_cond_exp: _PLAIN, conductance.IF_cond_alpha: _ALPHA, conductance.IF_cond_exp_gsfa_grr: _PLAIN,
    conductance.IF_facets_hardware1: _PLAIN, homeostatic.IF_cond_exp_homeostatic: _PLAIN,
    adex.EIF_cond_exp_isfa_ista: _PLAIN, adex.EIF_cond_alpha_isfa_ista: _ALPHA,
    izhikevich.Izhikevich: _JUMP, hh.HH_cond_exp: _PLAIN, gif.GIF_cond_exp: _PLAIN, astrocyte.IF_curr_delta_astro: _JUMP,
}


# --------------------------------------------------------------------- differential equations
# Each: slope(t, y, q) with y in the order of STATE_ORDER; alpha-shaped inputs add their second variables.


def _slope_curr(t, y, q):
    v, e, i, de, di = y
    te, ti = q["tau_syn_E"], q["tau_syn_I"]
    return [(q["v_rest"] - v) / q["tau_m"] + (e + i + q["i_offset"]) / q["cm"],
            -e / te + math.e / te * de, -i / ti + math.e / ti * di, -de / te, -di / ti]


def _slope_cond(t, y, q):
    v, e, i, de, di = y
    te, ti = q["tau_syn_E"], q["tau_syn_I"]
    current = e * (q["e_rev_E"] - v) + i * (q["e_rev_I"] - v) + q["i_offset"]
    return [(q["v_rest"] - v) / q["tau_m"] + current / q["cm"],
            -e / te + math.e / te * de, -i / ti + math.e / ti * di, -de / te, -di / ti]


def _slope_gsfa_grr(t, y, q):
    v, e, i, r, s = y
    dv, de, di, *_ = _slope_cond(t, [v, e, i, 0.0, 0.0], q)
    dv += 1e-3 * (r * (q["e_rev_rr"] - v) + s * (q["e_rev_sfa"] - v)) / q["cm"]
    return [dv, de, di, -r / q["tau_rr"], -s / q["tau_sfa"]]


def _slope_homeostatic(t, y, q):
    v, theta, e, i = y
    dv, de, di, *_ = _slope_cond(t, [v, e, i, 0.0, 0.0], q)
    return [dv, -theta / q["tau_theta"], de, di]


def _slope_adex(t, y, q):
    dv, *dg = _slope_cond(t, [y[0], *y[2:]], q)
    dv += q["delta_T"] / q["tau_m"] * math.exp((y[0] - q["v_thresh"]) / q["delta_T"]) - y[1] / q["cm"]
    return [dv, (1e-3 * q["a"] * (y[0] - q["v_rest"]) - y[1]) / q["tau_w"], *dg]


def _slope_izhikevich(t, y, q):
    v, u = y
    return [0.04 * v * v + 5 * v + 140 - u + 1000 * q["i_offset"], q["a"] * (q["b"] * v - u)]


def _slope_hh(t, y, q):
    v, e, i, h, m, n = y
    current = q["gbar_Na"] * m**3 * h * (q["e_rev_Na"] - v) + q["gbar_K"] * n**4 * (q["e_rev_K"] - v)
    current += q["g_leak"] * (q["e_rev_leak"] - v) + e * (q["e_rev_E"] - v) + i * (q["e_rev_I"] - v) + q["i_offset"]
    rates = _rates(v - q["v_offset"])
    gates = [rates[k][0] * (1 - x) - rates[k][1] * x for k, x in zip("hmn", (h, m, n))]
    return [current / q["cm"], -e / q["tau_syn_E"], -i / q["tau_syn_I"], *gates]


def _slope_gif(t, y, q):
    v, v_t, eta, e, i = y
    leak = (q["v_rest"] - v) / q["tau_m"]
    current = e * (q["e_rev_E"] - v) + i * (q["e_rev_I"] - v) + q["i_offset"] - eta
    return [leak + current / q["cm"], -(v_t - q["v_t_star"]) / q["tau_gamma3"], -eta / q["tau_eta3"],
            -e / q["tau_syn_E"], -i / q["tau_syn_I"]]


SLOPES = {
    lif.IF_curr_exp: _slope_curr, lif.IF_curr_alpha: _slope_curr,
    lif.IF_curr_delta: lambda t, y, q: [(q["v_rest"] - y[0]) / q["tau_m"] + q["i_offset"] / q["cm"]],
    lif.IF_jump: lambda t, y, q: [q["i_offset"] / q["cm"]],
    conductance.IF_cond_exp: _slope_cond, conductance.IF_cond_alpha: _slope_cond,
    conductance.IF_cond_exp_gsfa_grr: _slope_gsfa_grr,
    conductance.IF_facets_hardware1: lambda t, y, q: _slope_cond(t, [*y, 0.0, 0.0], _facets(q))[:3],
    homeostatic.IF_cond_exp_homeostatic: _slope_homeostatic,
    adex.EIF_cond_exp_isfa_ista: _slope_adex, adex.EIF_cond_alpha_isfa_ista: _slope_adex,
    izhikevich.Izhikevich: _slope_izhikevich, hh.HH_cond_exp: _slope_hh, gif.GIF_cond_exp: _slope_gif,
    astrocyte.IF_curr_delta_astro: lambda t, y, q: [
        (q["v_rest"] - y[0]) / q["tau_m"] + q["i_offset"] / q["cm"], -y[1] / q["tau_c"]],
}
