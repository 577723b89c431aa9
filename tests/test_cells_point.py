"""Composed cells: against their equations in plain Python, the cells of fixed receptors, and NEST's multisynapse models."""

import copy
import math
import pickle

import numpy as np
import pytest
import reference_cells as ref

from neurosim import (
    AdditiveWeightDependence,
    AdExp,
    AllToAllConnector,
    AlphaPSR,
    BetaPSR,
    CurrExpPostSynapticResponse,
    EIF_cond_alpha_isfa_ista,
    EIF_cond_exp_isfa_ista,
    ExpPSR,
    FixedProbabilityConnector,
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_exp,
    LIF,
    Network,
    Normal,
    OneToOneConnector,
    ParameterError,
    PointNeuron,
    Result,
    Simulation,
    SpikePairRule,
    SpikeSourceArray,
    SpikeSourcePoisson,
    STDPMechanism,
    Uniform,
)
from neurosim.cells.lif import IF_curr_exp as PlainIF

Curr = CurrExpPostSynapticResponse
DRIVEN = {"LIF": {"i_offset": 1.3, "tau_refrac": 1.0}, "AdExp": {"i_offset": 0.8, "tau_refrac": 1.0}}
STRUCTURES = {
    "LIF, no receptor": PointNeuron(LIF(**DRIVEN["LIF"])),
    "LIF, currents": PointNeuron(LIF(**DRIVEN["LIF"]), a=Curr(tau_syn=1.0), b=Curr(tau_syn=20.0), GABAA=Curr(tau_syn=2.0)),
    "LIF, one of each": PointNeuron(LIF(**DRIVEN["LIF"]), a=ExpPSR(tau_syn=3.0), b=AlphaPSR(tau_syn=2.0, e_syn=-70.0),
                                    c=BetaPSR(tau_rise=0.5, tau_decay=4.0), d=BetaPSR(tau_rise=2.0, tau_decay=2.0, e_syn=-80.0)),
    "AdExp, currents": PointNeuron(AdExp(**DRIVEN["AdExp"]), AMPA=Curr(tau_syn=1.0), slow=Curr(tau_syn=30.0)),
    "AdExp, one of each": PointNeuron(AdExp(**DRIVEN["AdExp"]), a=BetaPSR(), b=ExpPSR(e_syn=-80.0), c=AlphaPSR(tau_syn=1.0)),
    "AdExp, alpha": PointNeuron(AdExp(**DRIVEN["AdExp"]), AMPA=AlphaPSR(tau_syn=1.0), NMDA=AlphaPSR(tau_syn=20.0),
                                GABAA=AlphaPSR(tau_syn=1.5, e_syn=-70.0), GABAB=AlphaPSR(tau_syn=15.0, e_syn=-90.0)),
}
NAMES = list(STRUCTURES)


def weight_of(cell, receptor):
    """An input of some size; currents of one of two receptors are negative."""
    if cell.weight_unit == "uS":
        return 0.02
    charge = 0.4 / getattr(cell, f"{receptor}.tau_syn")
    return -charge if cell.receptors.index(receptor) % 2 else charge


def events(rng, cell, n, steps, count, factor=1.0):
    """Random input to all receptors."""
    found = {}
    for t, i, k in zip(rng.integers(2, steps, count), rng.integers(0, n, count), rng.integers(0, max(len(cell.receptors), 1), count)):
        if cell.receptors:
            weight = factor * weight_of(cell, cell.receptors[k]) * rng.uniform(0.5, 1.5)
            found.setdefault(int(t), []).append((cell.receptors[k], int(i), float(weight)))
    return found


def spread(cell):
    """The same cell with every parameter drawn within 3 %."""
    values = {name: Uniform(*sorted((0.97 * getattr(cell, name), 1.03 * getattr(cell, name)))) for name in cell.parameters()}
    for name in values:  # rise and decay may be equal: let neither pass the other
        if name.endswith("tau_rise"):
            values[name] = 0.9 * getattr(cell, name)
    return cell.replaced(**values)


# ------------------------------------------------------------------ plain Python


def after(kind, q, g, d, s):
    """(g, d) of a response s ms later, by the closed forms."""
    if kind is BetaPSR and q["tau_rise"] != q["tau_decay"]:
        rise, decay = q["tau_rise"], q["tau_decay"]
        peak = rise * decay / (decay - rise) * math.log(decay / rise)
        c = 1.0 / (math.exp(-peak / decay) - math.exp(-peak / rise))
        return g * math.exp(-s / decay) + c * d * (math.exp(-s / decay) - math.exp(-s / rise)), d * math.exp(-s / rise)
    tau = q["tau_decay"] if kind is BetaPSR else q["tau_syn"]
    return (g + math.e * s / tau * d) * math.exp(-s / tau), d * math.exp(-s / tau)


class Plain:
    """One composed cell."""

    def __init__(self, cell, p, initial, dt):
        self.kinds, self.membrane, self.dt = cell.kinds, cell.membrane_type, dt
        self.q = {name: float(value) for name, value in p.items()}
        self.own = {r: {f: self.q[f"{r}.{f}"] for f in kind.parameters()} for r, kind in self.kinds.items()}
        self.c = {name: float(value) for name, value in initial.items()}
        self.d = dict.fromkeys(self.kinds, 0.0)
        self.held, self.hold = 0, math.floor(self.q["tau_refrac"] / dt + 0.5)

    def inputs(self, s):
        """(conductance, current at v = 0) s ms after the start of the step."""
        total = pushed = 0.0
        for r, kind in self.kinds.items():
            g, _ = after(kind, self.own[r], self.c[f"{r}.{kind.state}"], self.d[r], s)
            total += g if kind.conductance else 0.0
            pushed += g * (self.own[r]["e_syn"] if kind.conductance else 1.0)
        return total, pushed

    def relax(self):
        for r, kind in self.kinds.items():
            name = f"{r}.{kind.state}"
            self.c[name], self.d[r] = after(kind, self.own[r], self.c[name], self.d[r], self.dt)

    def receive(self, receptor, weight):
        kind = self.kinds[receptor]
        if kind.rises:
            self.d[receptor] += weight
        else:
            self.c[f"{receptor}.{kind.state}"] += weight

    def step(self, j):
        q, c, dt = self.q, self.c, self.dt
        if self.membrane is AdExp:
            return self.adex(j)
        if all(kind is Curr for kind in self.kinds.values()):
            f = math.exp(-dt / q["tau_m"])
            moved = q["v_rest"] + (c["v"] - q["v_rest"]) * f + (q["i_offset"] + j) * q["tau_m"] / q["cm"] * (1.0 - f)
            for r in self.kinds:
                moved += c[f"{r}.isyn"] * ref._response(q["tau_m"], self.own[r]["tau_syn"], dt, 0) / q["cm"]
        else:
            total, pushed = self.inputs(0.5 * dt)
            total += q["cm"] / q["tau_m"]
            level = (q["cm"] / q["tau_m"] * q["v_rest"] + pushed + q["i_offset"] + j) / total
            moved = level + (c["v"] - level) * math.exp(-total / q["cm"] * dt)
        self.relax()
        if self.held:
            self.held -= 1
            return False
        c["v"] = moved
        if moved >= q["v_thresh"]:
            c["v"], self.held = q["v_reset"], self.hold
            return True
        return False

    def adex(self, j):
        q, c, dt = self.q, self.c, self.dt
        g_l, a = q["cm"] / q["tau_m"], 1e-3 * q["a"]

        def grown(v):
            return math.exp(min((min(v, q["v_spike"]) - q["v_thresh"]) / q["delta_T"], 50.0))

        def slope(s, y):
            v, w = min(y[0], q["v_spike"]), y[1]
            total, pushed = self.inputs(s)
            i = g_l * (q["v_rest"] - v + q["delta_T"] * grown(v)) + pushed - total * v
            return [(i - w + q["i_offset"] + j) / q["cm"], (a * (v - q["v_rest"]) - w) / q["tau_w"]]

        s, spiked, held = 0.0, False, self.held > 0
        while not held and not spiked and s < dt:
            rate = (1.0 + grown(c["v"])) / q["tau_m"] + abs(self.inputs(s)[0]) / q["cm"]
            h, end = dt - s, dt
            if rate * h > 0.25:
                h = 0.25 / rate
                end = s + h
            c["v"], c["w"] = ref._runge_kutta(slope, [c["v"], c["w"]], s, h)
            s = end
            if c["v"] >= q["v_spike"]:
                spiked = True
                c["w"] += q["b"]
        if held or spiked:
            level = a * (q["v_reset"] - q["v_rest"])
            c["v"], c["w"] = q["v_reset"], level + (c["w"] - level) * math.exp((s - dt) / q["tau_w"])
            self.held = self.hold if spiked else self.held - 1
        self.relax()
        return spiked


def drive_plainly(cell, n, dt, steps, given, record=(), current=0.0):
    """As ``reference_cells.drive``, by :class:`Plain`."""
    p = cell.values(n, ref.SEED, "test")
    start = cell.initial_values(n, ref.SEED, "test", {}, p)
    cells = [Plain(cell, {k: v[i] for k, v in p.items()}, {k: v[i] for k, v in start.items()}, dt) for i in range(n)]
    current = np.broadcast_to(np.asarray(current, float), (n,))
    traces = {name: np.empty((steps, n)) for name in record}
    spikes = []
    for t in range(1, steps + 1):
        spikes += [(t, i) for i, one in enumerate(cells) if one.step(float(current[i]))]
        for receptor, i, w in given.get(t, ()):
            cells[i].receive(receptor, w)
        for name, trace in traces.items():
            trace[t - 1] = [one.c[name] for one in cells]
    return spikes, traces


@pytest.mark.parametrize("alike", [True, False], ids=["alike", "different"])
@pytest.mark.parametrize("name", NAMES)
def test_kernel_equals_plain_python(name, alike, rng):
    n, steps, dt = 5, 500, 0.1
    cell = STRUCTURES[name] if alike else spread(STRUCTURES[name])
    given = events(rng, STRUCTURES[name], n, steps, 300)
    record = tuple(cell.states)
    current = rng.uniform(-0.005, 0.005, n)
    fast, traces = ref.drive(cell, n, dt, steps, given, record=record, current=current)
    plain, expected = drive_plainly(cell, n, dt, steps, given, record, current)
    assert fast == plain
    assert len({i for _, i in fast}) == n
    for state in record:
        scale = np.abs(expected[state]).max()
        slack = 1e-8 if cell.membrane_type is AdExp else 1e-11  # rounding grows along the unstable upswings
        np.testing.assert_allclose(traces[state], expected[state], rtol=slack, atol=slack * scale, err_msg=state)


@pytest.mark.parametrize("name", NAMES)
def test_cutting_a_population_changes_no_bit(name, rng):
    n, steps = 300, 200  # more than two tiles
    for cell in (STRUCTURES[name], spread(STRUCTURES[name])):
        given = events(rng, STRUCTURES[name], n, steps, 3000)
        record = tuple(cell.states)
        whole, traces = ref.drive(cell, n, 0.1, steps, given, record=record)
        cut, again = ref.drive(cell, n, 0.1, steps, given, record=record, chunks=[(0, 1), (1, 140), (140, n)])
        assert whole == cut and whole
        for state in record:
            np.testing.assert_array_equal(traces[state], again[state])


@pytest.mark.parametrize("name", NAMES)
def test_different_cells_with_equal_values_equal_alike_cells(name, rng):
    n, steps = 40, 200
    alike = STRUCTURES[name]
    cm = np.full(n, alike.cm)
    cm[-1] *= 1.01
    given = events(rng, alike, n, steps, 400)
    record = tuple(alike.states)
    _, a = ref.drive(alike, n, 0.1, steps, given, record=record)
    _, b = ref.drive(alike.replaced(cm=cm), n, 0.1, steps, given, record=record)
    for state in record:
        np.testing.assert_array_equal(a[state][:, :-1], b[state][:, :-1])
    assert (a["v"][:, -1] != b["v"][:, -1]).any()


# ------------------------------------------------------------------ the order of the methods


def exact(cell, start, arrived, t):
    """v at t by an eighth-order method, the arrivals ``arrived`` (receptor -> weight) being there at time 0."""
    integrate = pytest.importorskip("scipy.integrate")
    q = {name: float(value) for name, value in ((name, getattr(cell, name)) for name in cell.parameters())}
    receptors = list(cell.kinds.items())
    adapts = cell.membrane_type is AdExp

    def coefficients(r, kind):
        own = {f: q[f"{r}.{f}"] for f in kind.parameters()}
        rise, decay = own.get("tau_rise", own.get("tau_syn")), own.get("tau_decay", own.get("tau_syn"))
        if not kind.rises or rise == decay:
            return decay, rise, math.e / decay, own.get("e_syn")
        peak = rise * decay / (decay - rise) * math.log(decay / rise)
        return decay, rise, (1.0 / rise - 1.0 / decay) / (math.exp(-peak / decay) - math.exp(-peak / rise)), own.get("e_syn")

    table = [coefficients(r, kind) for r, kind in receptors]

    def slope(_, y):
        v, w = y[0], y[1]
        current, dy = q["i_offset"], []
        for k, (decay, rise, c, e_syn) in enumerate(table):
            g, d = y[2 + 2 * k:4 + 2 * k]
            current += g if e_syn is None else g * (e_syn - v)
            dy += [-g / decay + c * d, -d / rise]
        dv = (q["v_rest"] - v) / q["tau_m"] + current / q["cm"]
        if not adapts:
            return [dv, 0.0, *dy]
        dv += q["delta_T"] / q["tau_m"] * math.exp((v - q["v_thresh"]) / q["delta_T"]) - w / q["cm"]
        return [dv, (1e-3 * q["a"] * (v - q["v_rest"]) - w) / q["tau_w"], *dy]

    y0 = [start["v"], start.get("w", 0.0)]
    for r, kind in receptors:
        came = arrived.get(r, 0.0)
        y0 += [start.get(f"{r}.{kind.state}", 0.0) + (0.0 if kind.rises else came), came if kind.rises else 0.0]
    return integrate.solve_ivp(slope, (0.0, t), y0, method="DOP853", rtol=1e-12, atol=1e-14).y[0, -1]


ORDERS = {
    "LIF, currents": ({"v": -60.0, "a.isyn": 0.4}, {"b": -0.1, "GABAA": -0.2}),
    "LIF, one of each": ({"v": -60.0, "a.gsyn": 0.04}, {"a": 0.02, "b": 0.03, "c": 0.04, "d": 0.02}),
    "AdExp, currents": ({"v": -55.0, "w": 0.05}, {"AMPA": 0.1, "slow": -0.05}),
    "AdExp, one of each": ({"v": -55.0, "w": 0.05, "b.gsyn": 0.01}, {"a": 0.005, "b": 0.003, "c": 0.004}),
}


@pytest.mark.parametrize("name", ORDERS)
def test_order_of_convergence(name):
    t = 4.8
    start, arrived = ORDERS[name]
    silent = {"i_offset": 0.1, "v_spike" if "AdExp" in name else "v_thresh": 0.0}
    cell = STRUCTURES[name].replaced(**silent)
    expected = exact(cell, start, arrived, t)
    given = {0: [(receptor, 0, weight) for receptor, weight in arrived.items()]}
    error = []
    for k in range(5):
        dt = 0.2 / 2**k
        _, traces = ref.drive(cell, 1, dt, round(t / dt), given, start, ("v",))
        error.append(abs(traces["v"][-1, 0] - expected))
    if cell.exact:
        assert max(error) < 1e-10
        return
    slopes = -np.diff(np.log2(error))[np.array(error[1:]) > 1e-11]
    print(f"{name}: errors {[f'{e:.1e}' for e in error]}, orders {np.round(slopes, 2)}")
    assert slopes.size >= 2
    assert math.isclose(np.median(slopes[-2:]), cell.order, abs_tol=0.25)


# ------------------------------------------------------------------ cells of fixed receptors

FIXED = {
    "IF_curr_exp": (IF_curr_exp(tau_syn_E=2.0, tau_syn_I=4.0, **DRIVEN["LIF"]),
                    PointNeuron(LIF(**DRIVEN["LIF"]), excitatory=Curr(tau_syn=2.0), inhibitory=Curr(tau_syn=4.0))),
    "IF_cond_exp": (IF_cond_exp(**DRIVEN["LIF"]),
                    PointNeuron(LIF(**DRIVEN["LIF"]), excitatory=ExpPSR(), inhibitory=ExpPSR(e_syn=-70.0))),
    "IF_cond_alpha": (IF_cond_alpha(tau_syn_E=2.0, **DRIVEN["LIF"]),
                      PointNeuron(LIF(**DRIVEN["LIF"]), excitatory=AlphaPSR(tau_syn=2.0), inhibitory=AlphaPSR(tau_syn=0.5, e_syn=-70.0))),
    "EIF_cond_exp_isfa_ista": (EIF_cond_exp_isfa_ista(**DRIVEN["AdExp"]),
                               PointNeuron(AdExp(**DRIVEN["AdExp"]), excitatory=ExpPSR(), inhibitory=ExpPSR(e_syn=-80.0))),
    "EIF_cond_alpha_isfa_ista": (EIF_cond_alpha_isfa_ista(**DRIVEN["AdExp"]),
                                 PointNeuron(AdExp(**DRIVEN["AdExp"]), excitatory=AlphaPSR(), inhibitory=AlphaPSR(e_syn=-80.0))),
}
TO_THE_BIT = ("IF_curr_exp", "IF_cond_exp")


@pytest.mark.parametrize("name", FIXED)
def test_equals_the_cell_of_fixed_receptors(name, rng):
    """The stepping kernels, side by side: to the last bit where both sum in the same order."""
    fixed, composed = FIXED[name]
    n, steps = 150, 1000
    given = events(rng, composed, n, steps, 6000, 0.5)
    mine, traces = ref.drive(composed, n, 0.1, steps, given, record=("v",))
    theirs, expected = ref.drive(fixed, n, 0.1, steps, given, record=("v",))
    assert mine == theirs and len(mine) > 300
    if name in TO_THE_BIT:
        np.testing.assert_array_equal(traces["v"], expected["v"])
    np.testing.assert_allclose(traces["v"], expected["v"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", FIXED)
def test_equals_the_cell_of_fixed_receptors_in_a_network(name):
    """Also where the engine steps the one and keeps the modes of the other (IF_curr_exp)."""
    fixed, composed = FIXED[name]
    counts = []
    for cell in (fixed, composed):
        net = Network(seed=4)
        noise = net.population(80, SpikeSourcePoisson(rate=50.0), "noise")
        cells = net.population(40, cell, "cells", initial_values={"v": Uniform(-70.0, -55.0)})
        size = 0.1 if cell.weight_unit == "nA" else 0.004
        net.project(noise, cells, FixedProbabilityConnector(0.3), size, 1.0, "excitatory", label="e")
        net.project(cells, cells, FixedProbabilityConnector(0.2), -size if cell.weight_unit == "nA" else size, 1.5,
                    "inhibitory", label="i")
        cells.record(["spikes", "v"])
        result = Simulation(net, seed=2, threads=1).run(300.0)
        counts.append((result.spikes("cells"), result.traces("cells", "v").values))
    (mine, v), (theirs, expected) = counts
    assert mine.count > 100
    np.testing.assert_array_equal(mine.times, theirs.times)
    np.testing.assert_array_equal(mine.ids, theirs.ids)
    np.testing.assert_allclose(v, expected, rtol=0, atol=1e-6)


# ------------------------------------------------------------------ NEST

THEIRS = {"cm": ("C_m", 1e3), "tau_refrac": ("t_ref", 1.0), "v_reset": ("V_reset", 1.0), "v_rest": ("E_L", 1.0),
          "i_offset": ("I_e", 1e3), "v_spike": ("V_peak", 1.0), "a": ("a", 1.0), "b": ("b", 1e3), "delta_T": ("Delta_T", 1.0),
          "tau_w": ("tau_w", 1.0), "v_thresh": ("V_th", 1.0)}
MODELS = {"LIF, currents": "iaf_psc_exp_multisynapse", "AdExp, alpha": "aeif_cond_alpha_multisynapse",
          "AdExp, beta": "aeif_cond_beta_multisynapse"}
BETA = PointNeuron(AdExp(**DRIVEN["AdExp"]), AMPA=BetaPSR(tau_rise=0.3, tau_decay=2.0), NMDA=BetaPSR(tau_rise=2.0, tau_decay=20.0),
                   GABA=BetaPSR(tau_rise=0.5, tau_decay=8.0, e_syn=-80.0))


def nest_run(nest, model, cell, n, dt, steps, given):
    """Spikes (step, cell) and V_m (steps, n) of one of NEST's models with many receptors."""
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = dt
    params = {theirs: getattr(cell, ours) * factor for ours, (theirs, factor) in THEIRS.items() if hasattr(cell, ours)}
    if cell.membrane_type is AdExp:
        params.update(g_L=1e3 * cell.cm / cell.tau_m, gsl_error_tol=1e-9, E_rev=[cell.response(r).e_syn for r in cell.receptors])
    else:
        params["tau_m"] = cell.tau_m
    for ours, theirs in (("tau_syn", "tau_syn"), ("tau_rise", "tau_rise"), ("tau_decay", "tau_decay")):
        if ours in cell.kinds[cell.receptors[0]].parameters():
            params[theirs] = [getattr(cell.response(r), ours) for r in cell.receptors]
    cells = nest.Create(model, n, params=params)
    cells.V_m = cell.v_rest
    for i in range(n):
        for k, receptor in enumerate(cell.receptors):
            mine = sorted((t, w) for t, found in given.items() for r, c, w in found if c == i and r == receptor)
            if mine:
                source = nest.Create("spike_generator", params={
                    "spike_times": np.round([(t - 1) * dt for t, _ in mine], 6), "spike_weights": [1e3 * w for _, w in mine]})
                nest.Connect(source, cells[i], syn_spec={"delay": dt, "receptor_type": k + 1})
    recorder = nest.Create("spike_recorder", params={"time_in_steps": True})
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": dt, "time_in_steps": True})
    nest.Connect(cells, recorder, syn_spec={"delay": dt})
    nest.Connect(meter, cells, syn_spec={"delay": dt})
    nest.Simulate((steps + 2) * dt)
    first, found, seen = cells[0].global_id, recorder.get("events"), meter.get("events")
    spikes = sorted((int(t), int(i) - first) for t, i in zip(found["times"], found["senders"]) if t <= steps)
    inside = seen["times"] <= steps
    v = np.full((steps, n), np.nan)
    v[seen["times"][inside] - 1, seen["senders"][inside] - first] = seen["V_m"][inside]
    return spikes, v


@pytest.mark.needs("nest")
@pytest.mark.parametrize("refractory", [0.0, 2.0])
def test_leaky_cells_with_currents_spike_on_the_same_steps_as_nest(refractory, rng, needs):
    n, steps, dt = 5, 4000, 0.1
    cell = STRUCTURES["LIF, currents"].replaced(**{"tau_refrac": refractory, "i_offset": 0.7, "b.tau_syn": 19.0})  # NEST refuses equal ones
    given = events(rng, cell, n, steps, 3000, 2.0)
    mine, traces = ref.drive(cell, n, dt, steps, given, record=("v",))
    theirs, v = nest_run(needs("nest"), MODELS["LIF, currents"], cell, n, dt, steps, given)
    assert len(mine) > 50
    assert mine == theirs
    np.testing.assert_allclose(traces["v"], v, rtol=0, atol=1e-9)


@pytest.mark.needs("nest")
@pytest.mark.parametrize("name", ["AdExp, alpha", "AdExp, beta"])
def test_adaptive_cells_as_nest(name, rng, needs):
    nest, dt = needs("nest"), 0.01
    cell = BETA if "beta" in name else STRUCTURES[name]
    quiet = cell.replaced(i_offset=0.0)
    given = events(rng, quiet, 3, 6000, 60, 0.1)
    mine, traces = ref.drive(quiet, 3, dt, 6000, given, record=("v",))
    theirs, v = nest_run(nest, MODELS[name], quiet, 3, dt, 6000, given)
    assert not mine and not theirs and np.ptp(v) > 1.0
    np.testing.assert_allclose(traces["v"], v, rtol=0, atol=1e-5)
    n, steps = 4, 15000
    given = events(rng, cell, n, steps, 150, 0.5)
    mine, _ = ref.drive(cell, n, dt, steps, given)
    theirs, _ = nest_run(nest, MODELS[name], cell, n, dt, steps, given)
    assert len(mine) > 10
    for i in range(n):
        a, b = (np.array([t for t, k in found if k == i]) for found in (mine, theirs))
        assert len(a) == len(b)
        assert np.abs(a - b).max(initial=0) <= 2


# ------------------------------------------------------------------ responses


@pytest.mark.parametrize("response, peak", [
    (ExpPSR(tau_syn=3.0), 0.0), (AlphaPSR(tau_syn=2.0), 2.0), (BetaPSR(tau_rise=2.0, tau_decay=2.0), 2.0),
    (BetaPSR(tau_rise=1.0, tau_decay=2.0), 2.0 * math.log(2.0)), (BetaPSR(tau_rise=0.5, tau_decay=8.0), 8.0 / 15.0 * math.log(16.0)),
], ids=str)
def test_the_weight_is_the_peak(response, peak):
    dt = peak / 200 if peak else 0.01
    _, traces = ref.drive(PointNeuron(LIF(), r=response), 1, dt, 400, {0: [("r", 0, 0.7)]}, record=("r.gsyn",))
    trace = traces["r.gsyn"][:, 0]
    if peak:
        assert trace.argmax() + 1 == 200
        assert trace.max() == pytest.approx(0.7, rel=1e-12)
    else:
        np.testing.assert_allclose(trace, 0.7 * np.exp(-dt * np.arange(1, 401) / 3.0), rtol=1e-12)


@pytest.mark.parametrize("apart", [0.0, 1e-15, 1e-12, 1e-9, 1e-6])
@pytest.mark.parametrize("membrane", [LIF, AdExp])
def test_rise_and_decay_may_be_equal_or_nearly_so(membrane, apart):
    """The textbook form divides 0 by 0 there; the alpha function is the limit."""
    given = {t: [("r", 0, 0.05)] for t in (3, 40, 90)}
    run = {}
    for response in (AlphaPSR(tau_syn=2.0), BetaPSR(tau_rise=2.0 * (1.0 - apart), tau_decay=2.0)):
        _, run[type(response)] = ref.drive(PointNeuron(membrane(), r=response), 1, 0.1, 200, given, record=("v", "r.gsyn"))
    for state in ("v", "r.gsyn"):
        np.testing.assert_allclose(run[BetaPSR][state], run[AlphaPSR][state], rtol=1e-12 + 10.0 * apart, atol=1e-13)


def test_strong_conductances_and_large_steps_stay_stable():
    given = {k: [("a", 0, 5.0), ("b", 0, 50.0)] for k in range(1, 40)}
    for cell in (PointNeuron(LIF(), a=AlphaPSR(tau_syn=1.0), b=BetaPSR(tau_rise=0.1, tau_decay=2.0, e_syn=-100.0)),
                 PointNeuron(AdExp(b=0.0), a=ExpPSR(tau_syn=1.0), b=ExpPSR(tau_syn=2.0, e_syn=-100.0))):
        _, traces = ref.drive(cell, 1, 1.0, 200, given, record=("v",))
        assert ((traces["v"] > -100.1) & (traces["v"] <= 0.0)).all()


# ------------------------------------------------------------------ names, values, networks


def composed():
    return PointNeuron(AdExp(tau_m=10.0), AMPA=AlphaPSR(tau_syn=1.0), GABAA=BetaPSR(e_syn=-70.0))


def test_names_carry_the_receptor():
    cell = composed()
    assert cell.receptors == ("AMPA", "GABAA")
    assert list(cell.states) == ["v", "w", "AMPA.gsyn", "GABAA.gsyn"]
    assert list(cell.parameters())[-5:] == ["AMPA.e_syn", "AMPA.tau_syn", "GABAA.e_syn", "GABAA.tau_rise", "GABAA.tau_decay"]
    assert list(cell.parameters())[:-5] == list(AdExp.parameters())
    assert cell.membrane == AdExp(tau_m=10.0) and cell.response("GABAA") == BetaPSR(e_syn=-70.0)
    assert cell.states["AMPA.gsyn"].unit == cell.weight_unit == "uS"
    assert list(PointNeuron(LIF(), a=Curr()).states) == ["v", "a.isyn"]
    assert PointNeuron(LIF(), a=Curr()).weight_unit == "nA"
    assert eval(repr(cell), {"PointNeuron": PointNeuron, "AdExp": AdExp, "CondAlphaPostSynapticResponse": AlphaPSR,
                             "CondBetaPostSynapticResponse": BetaPSR}) == cell


def test_cells_of_one_structure_have_one_type():
    cell = composed()
    assert type(cell) is type(composed().replaced(**{"AMPA.tau_syn": 3.0}))
    assert cell == composed() and hash(cell) == hash(composed())
    assert cell != cell.replaced(tau_m=11.0)
    other = PointNeuron(AdExp(tau_m=10.0), AMPA=ExpPSR(tau_syn=1.0), GABAA=BetaPSR(e_syn=-70.0))
    assert type(cell) is not type(other) and cell != other
    assert isinstance(cell, PointNeuron) and cell.name == other.name == "PointNeuron"
    for again in (copy.copy(cell), copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        assert again == cell
    with pytest.raises(AttributeError):
        cell.tau_m = 3.0
    with pytest.raises(AttributeError):
        setattr(cell, "AMPA.tau_syn", 3.0)


def test_equal_cells_share_a_group():
    net = Network()
    for k, cell in enumerate((composed(), composed(), composed().replaced(**{"AMPA.tau_syn": 3.0}),
                              PointNeuron(AdExp(tau_m=10.0), AMPA=ExpPSR(tau_syn=1.0), GABAA=BetaPSR(e_syn=-70.0)))):
        net.population(3, cell, f"p{k}")
    groups = [simulation_group.label for simulation_group in Simulation(net, threads=1)._groups]
    assert groups == ["p0, p1", "p2", "p3"]


def test_fingerprints_tell_structures_apart():
    """Alpha and exponential responses have the same parameters."""
    prints = set()
    for response in (ExpPSR(), AlphaPSR(), AlphaPSR(tau_syn=2.0)):
        for membrane in (LIF(), AdExp()):
            net = Network()
            net.population(1, PointNeuron(membrane, r=response), "p")
            prints.add(net.fingerprint())
    assert len(prints) == 6


def test_parameters_are_set_and_read_by_the_receptors_name():
    net = Network(seed=3)
    cells = net.population(4, composed(), "cells")
    cells.set(**{"AMPA.tau_syn": 2.0, "tau_m": np.array([5.0, 6.0, 7.0, 8.0])})
    cells[1:3].set(**{"GABAA.e_syn": [-75.0, -76.0]})
    assert getattr(cells.cell, "AMPA.tau_syn") == 2.0
    assert getattr(cells.cell, "GABAA.e_syn").tolist() == [-70.0, -75.0, -76.0, -70.0]
    drawn = composed().replaced(**{"AMPA.tau_syn": Uniform(1.0, 2.0)}).values(100, 1, "p")["AMPA.tau_syn"]
    assert np.ptp(drawn) > 0.5 and (drawn >= 1.0).all() and (drawn <= 2.0).all()


WRONG = [
    (lambda: PointNeuron(), "needs one membrane"),
    (lambda: PointNeuron(IF_curr_exp()), "needs one membrane"),
    (lambda: PointNeuron(LIF(), AdExp()), "needs one membrane"),
    (lambda: PointNeuron(LIF(), a=3.0), r"PointNeuron\.a must be a response"),
    (lambda: PointNeuron(LIF(), a=AlphaPSR), r"PointNeuron\.a must be a response"),
    (lambda: PointNeuron(LIF(), **{"a.b": ExpPSR()}), "must be an identifier"),
    (lambda: PointNeuron(LIF(), _a=ExpPSR()), "without a leading underscore"),
    (lambda: PointNeuron(LIF(), a=ExpPSR(), b=Curr()), "all currents or all conductances, got a=Cond.*, b=Curr"),
    (lambda: PointNeuron(LIF(v_reset=0.0)), r"PointNeuron\.v_reset must be < PointNeuron\.v_thresh"),
    (lambda: AlphaPSR(tau_syn=0.0), r"CondAlphaPostSynapticResponse\.tau_syn must be > 0 ms"),
    (lambda: BetaPSR(e_rev=0.0), "CondBetaPostSynapticResponse has no parameter 'e_rev'"),
    (lambda: composed().replaced(**{"AMPA.tau_syn": -1.0}), r"PointNeuron\.AMPA\.tau_syn must be > 0 ms, got -1"),
    (lambda: composed().replaced(**{"NMDA.tau_syn": 1.0}), "has no parameter 'NMDA.tau_syn'"),
    (lambda: composed().replaced(**{"GABAA.tau_rise": 2.0}), r"GABAA\.tau_rise must be <= PointNeuron\.GABAA\.tau_decay, got 2 and 1\.7"),
    (lambda: composed().replaced(**{"GABAA.tau_rise": Normal(1.0, 0.5, 0.1, 3.0)}).values(99, 1, "p"), r"tau_rise must be <= .* at index"),
]


@pytest.mark.parametrize("make, message", WRONG, ids=[m for _, m in WRONG])
def test_what_is_wrong_is_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_a_membrane_is_no_cell():
    with pytest.raises(ValueError, match="must be a model"):
        Network().population(1, LIF())


@pytest.mark.parametrize("receptor, weight, good", [
    ("AMPA", 0.1, True), ("AMPA", -0.1, False), ("NMDA", -0.1, False), ("GABAA", -0.1, True), ("GABAA", 0.1, False),
    ("GABAB", 0.1, False), ("GABA", -0.1, True), ("other", 0.1, True), ("other", -0.1, True),
])
def test_signs_of_currents_go_by_the_receptors_name(receptor, weight, good):
    net = Network()
    source = net.population(1, SpikeSourcePoisson(), "s")
    cells = net.population(1, PointNeuron(LIF(), **{receptor: Curr()}), "c")
    conductances = net.population(1, PointNeuron(LIF(), **{receptor: ExpPSR()}), "d")

    def project(target):
        net.project(source, target, AllToAllConnector(), weight, 1.0, receptor)

    if good:
        project(cells)
    else:
        with pytest.raises(ParameterError, match=f"onto the {receptor} receptor of PointNeuron must be zero or"):
            project(cells)
    if weight > 0:
        project(conductances)
    else:
        with pytest.raises(ParameterError, match="must be zero or positive"):
            project(conductances)


def busy(seed=1):
    """A network of composed cells: initial values, Poisson input, several delays, plasticity."""
    net = Network(seed=seed)
    noise = net.population(30, SpikeSourcePoisson(rate=60.0), "noise")
    a = net.population(150, composed().replaced(i_offset=0.6, v_thresh=Normal(-50.0, 1.0, -55.0, -45.0)), "a",
                       initial_values={"v": Uniform(-70.0, -55.0), "AMPA.gsyn": 0.01})
    b = net.population(140, STRUCTURES["LIF, currents"], "b", initial_values={"v": Uniform(-65.0, -55.0)})
    net.poisson_input(b, 500.0, 0.3, "a")
    net.project(noise, a, FixedProbabilityConnector(0.3), 0.003, Uniform(0.5, 3.0), "AMPA")
    net.project(a, b, FixedProbabilityConnector(0.1), Uniform(-0.02, -0.01), 1.5, "GABAA")
    net.project(b, a, FixedProbabilityConnector(0.1), 0.002, 2.0, "GABAA")
    net.project(a, a, FixedProbabilityConnector(0.05), 0.001, 1.0, "AMPA",
                synapse=STDPMechanism(SpikePairRule(), AdditiveWeightDependence(w_max=0.01)))
    net.record([a, b], "spikes")
    net.record(a[:5], ["v", "w", "AMPA.gsyn", "GABAA.gsyn"])
    net.record(b[:5], ["a.isyn", "GABAA.isyn"], 0.5)
    return net


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_chunks_saving_and_branches(threads, tmp_path):
    net = busy()
    expected = Simulation(net, seed=5, threads=1).run(60.0)
    assert expected.spikes("a").count > 100 and expected.spikes("b").count > 100
    assert Simulation(net, seed=5, threads=threads).run(60.0) == expected
    simulation = Simulation(net, seed=5, threads=threads)
    first = simulation.run(20.3)
    simulation.save(tmp_path / "state.nsim")
    branch = simulation.branch()
    again = Simulation.load(tmp_path / "state.nsim", busy(), threads=1)
    for rest in (simulation.run(39.7), branch.run(39.7), again.run(39.7)):
        assert first.append(rest) == expected


def test_recordings_and_initial_values_by_name(tmp_path):
    net = Network()
    source = net.population(2, SpikeSourceArray(spike_times=[[10.0], [30.0]]), "s")
    cells = net.population(2, composed(), "cells", initial_values={"v": -60.0})
    cells.initialize(**{"GABAA.gsyn": 0.003})
    cells[0].initialize(**{"AMPA.gsyn": 0.002})
    net.project(source, cells, OneToOneConnector(), 0.01, 1.5, "AMPA")
    cells.record(["v", "AMPA.gsyn", "GABAA.gsyn"])
    simulation = Simulation(net, threads=1)
    result = simulation.run(50.0)
    ampa = result.traces("cells", "AMPA.gsyn").values
    np.testing.assert_allclose(ampa[0], [0.002, 0.0])
    assert ampa[:, 1].argmax() == 325 and ampa[:, 1].max() == pytest.approx(0.01, rel=1e-12)  # 30 + 1.5 + tau_syn
    np.testing.assert_allclose(result.traces("cells", "GABAA.gsyn").values[:, 0], 0.003 * np.exp(-np.arange(501) * 0.1 / 1.7), rtol=1e-11)
    np.testing.assert_array_equal(simulation.get(cells, "AMPA.gsyn"), ampa[-1])
    for name in ("result.nsim", "result.npz"):
        result.save(tmp_path / name)
        loaded = Result.load(tmp_path / name)
        np.testing.assert_array_equal(loaded.traces("cells", "AMPA.gsyn").values, ampa)
    with pytest.raises(ValueError, match="cannot record 'gsyn_exc'; it can record spikes, v, w, AMPA.gsyn, GABAA.gsyn"):
        cells.record("gsyn_exc")


def test_a_receptor_may_have_any_name():
    """Rows of the kernel's own, such as that of refractoriness, stay apart."""
    net = Network()
    cells = net.population(2, PointNeuron(AdExp(), r=AlphaPSR(), v=ExpPSR(), spikes=BetaPSR()), "c")
    cells.record(["v", "r.gsyn", "v.gsyn", "spikes.gsyn"])
    simulation = Simulation(net, threads=1)
    states = simulation._groups[0].step.states
    assert len(set(states)) == len(states)
    simulation.set(cells, v=-60.0)
    np.testing.assert_array_equal(simulation.get(cells, "v"), [-60.0, -60.0])


def test_a_stepped_if_curr_exp_is_meant():
    """What the comparison with IF_curr_exp drives is the propagators' kernel."""
    assert ref.prepared(PlainIF())[1].module == "lif_step"
