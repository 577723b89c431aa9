"""Astrocytes: calcium against its equations and NEST; neurons that share an astrocyte, on any number of threads."""

import math

import numpy as np
import pytest
import reference_cells as ref
from hypothesis import given
from hypothesis import strategies as st

from neurosim import (
    Astrocyte,
    DCSource,
    FixedNumberPreConnector,
    IF_curr_delta,
    IF_curr_delta_astro,
    Network,
    OneToOneConnector,
    ParameterError,
    Simulation,
    SpikeSourceArray,
    SpikeSourcePoisson,
    Uniform,
)

STATES = ("IP3", "Ca", "h")
# Rates a hundred times those of the model, so that a step makes an error to be seen.
FAST = {"tau_IP3": 70.0, "k_IP3R": 0.02, "rate_IP3R": 0.6, "rate_L": 0.011, "rate_SERCA": 0.09}


def slope(t, y, q, current=0.0):
    """The model's equations, as they stand in the docstring."""
    ip3, ca, h = y
    store = (q["Ca_tot"] - ca) / q["ratio_ER_cyt"]
    m, n = ip3 / (ip3 + q["Kd_IP3_1"]), ca / (ca + q["Kd_act"])
    channel = q["ratio_ER_cyt"] * q["rate_IP3R"] * (m * n * h) ** 3 * (store - ca)
    pump = q["rate_SERCA"] * ca**2 / (q["Km_SERCA"] ** 2 + ca**2)
    leak = q["ratio_ER_cyt"] * q["rate_L"] * (store - ca)
    inactive = q["Kd_inh"] * (ip3 + q["Kd_IP3_1"]) / (ip3 + q["Kd_IP3_2"])
    return np.array([(q["IP3_0"] - ip3) / q["tau_IP3"], channel - pump + leak + 1000.0 * current,
                     q["k_IP3R"] * (inactive * (1.0 - h) - ca * h)])


def one(cell):
    """Parameters of a single cell."""
    return {name: float(value[0]) for name, value in cell.values(1, 0, "x").items()}


def plainly(cell, initial, steps, dt, arriving, current=0.0):
    """The scheme in plain Python: IP3, Ca, h and sic after each step."""
    q, (ip3, ca, h) = one(cell), initial
    out = []
    for t in range(1, steps + 1):
        stage = [q["IP3_0"] + (ip3 - q["IP3_0"]) * math.exp(-s * dt / q["tau_IP3"]) for s in (0.0, 0.5, 0.5, 1.0)]
        k, y = [], np.array([ca, h])
        for s, weight in enumerate((0.0, 0.5, 0.5, 1.0)):
            at = y + weight * dt * k[-1] if k else y
            k.append(slope(0.0, (stage[s], *at), q, current)[1:])
        ca, h = y + dt / 6.0 * (k[0] + 2.0 * (k[1] + k[2]) + k[3])
        ca = min(max(ca, 0.0), q["Ca_tot"])
        ip3 = stage[3] + q["delta_IP3"] * arriving.get(t, 0.0)
        nanomolar = 1000.0 * (ca - q["sic_thresh"])
        out.append((ip3, ca, h, q["sic_scale"] * math.log(nanomolar) if nanomolar > 1.0 else 0.0))
    return np.array(out)


# ------------------------------------------------------------------------------------------ calcium


def spread(cell):
    """Every parameter drawn within 3 %."""
    values = {name: getattr(cell, name) for name in cell.parameters()}
    return cell.replaced(**{name: Uniform(0.97 * value, 1.03 * value) for name, value in values.items()})


@given(ip3=st.floats(0.0, 3.0), ca=st.floats(0.0, 2.0), h=st.floats(0.0, 1.0), current=st.floats(-1e-4, 1e-4),
       weight=st.floats(-50.0, 2000.0), dt=st.sampled_from([0.05, 0.1, 1.0, 5.0]), fast=st.booleans())
def test_equals_plain_python(ip3, ca, h, current, weight, dt, fast):
    cell = Astrocyte(**FAST) if fast and dt < 1.0 else Astrocyte()
    events = {3: [("excitatory", 0, weight)], 4: [("excitatory", 0, 1.0), ("excitatory", 0, 2.0)]}
    initial = {"IP3": ip3 + 0.1, "Ca": ca, "h": h}
    if weight < 0.0:
        events = {}
    _, traces = ref.drive(cell, 1, dt, 20, events, initial, (*STATES, "sic"), current)
    arriving = {3: weight, 4: 3.0} if events else {}
    expected = plainly(cell, list(initial.values()), 20, dt, arriving, current)
    for i, name in enumerate((*STATES, "sic")):
        # ln y is steep where y is just above 1: an error of rounding in Ca counts 1e3 there
        np.testing.assert_allclose(traces[name][:, 0], expected[:, i], rtol=1e-11, atol=1e-13, err_msg=name)


def test_order_of_convergence_is_the_declared_one():
    integrate = pytest.importorskip("scipy.integrate")
    cell, end = Astrocyte(**FAST), 48.0
    initial = {"IP3": 0.8, "Ca": 0.1, "h": 0.9}
    exact = integrate.solve_ivp(slope, (0.0, end), list(initial.values()), method="DOP853", rtol=1e-13, atol=1e-15,
                                args=(one(cell),)).y[:, -1]
    errors = {name: [] for name in STATES}
    for halvings in range(5):
        dt = 0.8 / 2**halvings
        _, traces = ref.drive(cell, 1, dt, round(end / dt), {}, initial, STATES)
        for name, value in zip(STATES, exact):
            errors[name].append(abs(traces[name][-1, 0] - value))
    assert max(errors["IP3"]) < 1e-12  # in closed form
    for name in ("Ca", "h"):
        orders = -np.diff(np.log2(errors[name]))
        print(f"{name}: errors {[f'{e:.1e}' for e in errors[name]]}, orders {np.round(orders, 2)}")
        assert math.isclose(np.median(orders[-3:]), Astrocyte.order, abs_tol=0.25)


@pytest.mark.parametrize("alike", [True, False])
def test_cutting_a_population_changes_no_bit(alike, rng):
    cell = Astrocyte() if alike else spread(Astrocyte())
    at = zip(rng.integers(1, 300, 99), rng.integers(0, 150, 99))
    events = {int(t): [("excitatory", int(i), 500.0)] for t, i in at}
    initial = {"IP3": Uniform(0.1, 1.0)}
    _, whole = ref.drive(cell, 150, 1.0, 300, events, initial, (*STATES, "sic"))
    _, cut = ref.drive(cell, 150, 1.0, 300, events, initial, (*STATES, "sic"), chunks=[(0, 1), (1, 70), (70, 150)])
    assert whole["sic"].max() > 0.0
    for name, trace in whole.items():
        np.testing.assert_array_equal(trace, cut[name])


def test_calcium_stays_between_nothing_and_all_of_it():
    for current, bound in ((1.0, 2.0), (-1.0, 0.0)):
        _, traces = ref.drive(Astrocyte(), 1, 0.1, 50, {}, {}, ("Ca",), current)
        assert traces["Ca"][-1, 0] == bound


NEST_NAMES = {"sic_thresh": "SIC_th", "sic_scale": "SIC_scale"}


@pytest.mark.needs("nest")
@pytest.mark.parametrize("lively", [False, True], ids=["default", "lively"])
def test_calcium_and_current_are_nests(lively, needs):
    nest = needs("nest")
    cell = Astrocyte(delta_IP3=0.2, sic_scale=2.5e-3, tau_IP3=5000.0, rate_IP3R=0.0065) if lively else Astrocyte()
    initial = {"IP3": 0.4, "Ca": 0.15, "h": 0.7} if lively else {"IP3": 1.0, "Ca": 1.0, "h": 1.0}
    times, weights = np.array([5.0, 5.1, 40.0, 90.0, 400.0]), np.array([1.0, 0.5, 2.0, 1.0, 3.0])
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = 0.1
    params = {NEST_NAMES.get(name, name): value for name, value in one(cell).items()}
    params["SIC_scale"] *= 1e3
    theirs = nest.Create("astrocyte_lr_1994", params={
        **params, "IP3": initial["IP3"], "Ca_astro": initial["Ca"], "h_IP3R": initial["h"]})
    nest.Connect(nest.Create("spike_generator", params={"spike_times": times - 0.1, "spike_weights": weights}), theirs,
                 syn_spec={"delay": 0.1})
    drive = nest.Create("dc_generator", params={"amplitude": 1e-5, "start": 299.9})
    nest.Connect(drive, theirs, syn_spec={"delay": 0.1})
    meter = nest.Create("multimeter", params={"record_from": ["IP3", "Ca_astro", "h_IP3R"], "interval": 0.1})
    nest.Connect(meter, theirs, syn_spec={"delay": 0.1})
    nest.Simulate(1000.1)

    net = Network()
    astro = net.population(1, cell, "astro", initial_values=initial).record([*STATES, "sic"])
    for t, w in zip(times, weights):
        source = net.population(1, SpikeSourceArray([t - 0.1]), f"at {t}")
        net.project(source, astro, OneToOneConnector(), weight=w, delay=0.1)
    net.inject(DCSource(amplitude=1e-8, start=300.0), astro)
    result = Simulation(net, dt=0.1).run(1000.0)
    for ours, name in zip(STATES, ("IP3", "Ca_astro", "h_IP3R")):
        trace = result.traces("astro", ours).values[1:, 0]
        np.testing.assert_allclose(trace, meter.events[name][:trace.size], rtol=1e-9, err_msg=ours)
    above = 1000.0 * (meter.events["Ca_astro"] - cell.sic_thresh)
    expected = np.where(above > 1.0, cell.sic_scale * np.log(np.maximum(above, 1.0)), 0.0)
    sic = result.traces("astro", "sic").values[1:, 0]
    np.testing.assert_allclose(sic, expected[:10000], atol=1e-9 * cell.sic_scale)
    assert expected.max() > 0.0


def test_an_astrocyte_runs_in_a_network_on_any_number_of_threads():
    def run(threads):
        net = Network(seed=3)
        source = net.population(200, SpikeSourcePoisson(rate=20.0), "in")
        astro = net.population(200, Astrocyte(delta_IP3=0.1), "astro").record(["Ca", "spikes"])
        net.project(source, astro, FixedNumberPreConnector(5), weight=1.0, delay=1.0)
        return Simulation(net, dt=1.0, threads=threads).run(300.0)

    one_thread, two = run(1), run(2)
    assert one_thread.spikes("astro").count == 0
    assert np.ptp(one_thread.traces("astro", "Ca").values[-1]) > 0.1
    np.testing.assert_array_equal(one_thread.traces("astro", "Ca").values, two.traces("astro", "Ca").values)


# ------------------------------------------------------------------------- neurons with a shared astrocyte


def groups_plainly(cell, n, dt, steps, arriving, initial):
    """Spikes (step, cell) and calcium (steps, n) of neurons in groups, one by one."""
    q = {name: value for name, value in cell.values(n, ref.SEED, "test").items()}
    size = int(q["group_size"][0])
    v, c, r = initial["v"].copy(), np.repeat(initial["c"][::size], size), np.zeros(n)
    spikes, calcium = [], []
    for t in range(1, steps + 1):
        fired = []
        for i in range(n):
            first = i // size * size
            now = c[i] * math.exp(-dt / q["tau_c"][first])
            u = (v[i] - q["v_rest"][i]) * math.exp(-dt / q["tau_m"][i])
            u += q["i_offset"][i] * q["tau_m"][i] / q["cm"][i] * (1.0 - math.exp(-dt / q["tau_m"][i]))
            u += (1.0 + q["g_astro"][i] * now) * arriving.get((t, i), 0.0)
            c[i] = now
            if r[i] > 0:
                r[i] -= 1
                continue
            v[i] = q["v_rest"][i] + u
            if u >= (q["v_thresh"][i] - q["v_rest"][i]) * (1.0 - q["kappa"][i] * math.tanh(now)):
                v[i], r[i] = q["v_reset"][i], math.floor(q["tau_refrac"][i] / dt + 0.5)
                fired.append(i)
        for i in fired:
            first = i // size * size
            c[first:first + size] += q["delta_c"][first] / size
        spikes += [(t, i) for i in fired]
        calcium.append(c.copy())
    return spikes, np.array(calcium)


@given(size=st.sampled_from([1, 2, 3, 7, 30, 600]), groups=st.integers(1, 4), alike=st.booleans(),
       kappa=st.floats(-1.0, 1.0), g_astro=st.floats(0.0, 3.0), delta_c=st.floats(0.0, 0.5),
       tau_c=st.floats(5.0, 500.0), seed=st.integers(0, 2**31))
def test_groups_equal_plain_python(size, groups, alike, kappa, g_astro, delta_c, tau_c, seed):
    n, steps, dt = size * groups, 60, 0.1
    rng = np.random.default_rng(seed)
    cell = IF_curr_delta_astro(i_offset=0.7, tau_refrac=0.5, kappa=kappa, g_astro=g_astro, delta_c=delta_c, tau_c=tau_c,
                               group_size=size)
    if not alike:
        cell = cell.replaced(tau_m=Uniform(18.0, 22.0), tau_c=Uniform(tau_c, 2 * tau_c), v_thresh=Uniform(-51.0, -49.0))
    initial = {"v": rng.uniform(-65.0, -50.0, n), "c": rng.uniform(0.0, 1.0, n)}
    events, arriving = {}, {}
    for t, i, w in zip(rng.integers(1, steps, n), rng.integers(0, n, n), rng.uniform(-3.0, 5.0, n)):
        events.setdefault(int(t), []).append(("excitatory", int(i), float(w)))
        arriving[(int(t), int(i))] = arriving.get((int(t), int(i)), 0.0) + float(w)
    spikes, calcium = groups_plainly(cell, n, dt, steps, arriving, initial)
    cut = [(0, size), (size, n)] if groups > 1 else None
    for chunks in (None, cut):
        fast, traces = ref.drive(cell, n, dt, steps, events, initial, ("c",), chunks=chunks)
        assert fast == spikes
        np.testing.assert_allclose(traces["c"], calcium, rtol=1e-12, atol=1e-14)


def test_without_calcium_the_cell_is_IF_curr_delta():
    def run(cell):
        net = Network(seed=5)
        source = net.population(50, SpikeSourcePoisson(rate=300.0), "in")
        cells = net.population(60, cell, "cells").record(["spikes", "v"])
        net.project(source, cells, FixedNumberPreConnector(20), weight=0.9, delay=0.3)
        return Simulation(net).run(300.0)

    plain = run(IF_curr_delta(i_offset=0.2, tau_refrac=2.0))
    astro = run(IF_curr_delta_astro(i_offset=0.2, tau_refrac=2.0, kappa=0.0, group_size=6))
    assert plain.spikes("cells").count > 100
    np.testing.assert_array_equal(plain.spikes("cells").times, astro.spikes("cells").times)
    np.testing.assert_array_equal(plain.spikes("cells").ids, astro.spikes("cells").ids)
    np.testing.assert_allclose(plain.traces("cells", "v").values, astro.traces("cells", "v").values, atol=1e-9)


def recurrent(size, n, seed=2):
    net = Network(seed=seed)
    source = net.population(100, SpikeSourcePoisson(rate=100.0), "in")
    cell = IF_curr_delta_astro(i_offset=0.5, kappa=0.4, g_astro=0.5, tau_c=100.0, delta_c=0.3, group_size=size)
    cells = net.population(n, cell, "cells", initial_values={"v": Uniform(-65.0, -50.0), "c": Uniform(0.0, 1.0)})
    net.project(source, cells, FixedNumberPreConnector(10), weight=1.0, delay=1.0)
    net.project(cells, cells, FixedNumberPreConnector(10), weight=Uniform(0.0, 0.5), delay=Uniform(0.5, 3.0))
    return net.record(cells, ["spikes", "c"]) or net


@pytest.mark.parametrize("size, n", [(10, 400), (64, 640), (1000, 3000), (48, 480)])
def test_groups_are_the_same_on_any_number_of_threads(size, n):
    results = []
    for threads in (1, 2, 3):
        sim = Simulation(recurrent(size, n), threads=threads)
        lo = sim._net.parts[:, sim._k.P_LO][sim._net.parts[:, sim._k.P_GROUP] == 1]
        assert (lo % size == 0).all()
        assert lo.size > 1 or threads == 1 or size % 64
        results.append(sim.run(50.0))
    assert results[0].spikes("cells").count > 500
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].spikes("cells").times, other.spikes("cells").times)
        np.testing.assert_array_equal(results[0].spikes("cells").ids, other.spikes("cells").ids)
        np.testing.assert_array_equal(results[0].traces("cells", "c").values, other.traces("cells", "c").values)


def test_long_rows_keep_groups_together():
    from neurosim.groups import STEP, Group
    for size in (1, 10, 100, 48, 4096, 2**17):
        n = 2**18 // size * size
        cell = IF_curr_delta_astro(group_size=size)
        p = cell.values(size, 0, "x")
        group = Group(STEP, n=n, step=cell.step_model(p, cell.initial_values(size, 0, "x", {}, p), 0.1))
        for threads in (1, 2, 3):
            group.cut(threads, True)
            assert group.part_size % size == 0
            assert (group.n_parts - 1) * group.part_size < n <= group.n_parts * group.part_size
            assert group.part_size <= 65536 or size > 65536 or group.n_parts == 1


@pytest.mark.parametrize("kappa", [0.0, 0.3])
def test_a_group_that_was_active_stays_so(kappa):
    """A drive that ends 1 mV below the threshold keeps those cells going whose astrocyte remembers a volley."""
    net = Network()
    cell = IF_curr_delta_astro(i_offset=0.7, tau_refrac=2.0, kappa=kappa, delta_c=0.1, tau_c=2000.0, group_size=10)
    cells = net.population(40, cell, "cells").record(["spikes", "c"])
    source = net.population(10, SpikeSourceArray(np.arange(50.0, 150.0, 10.0)), "in")
    net.project(source, cells[10:20], OneToOneConnector(), weight=20.0, delay=1.0)
    result = Simulation(net, dt=0.1).run(1000.0)
    late = result.spikes("cells").between(500.0, 1000.0)
    assert set(late.ids) == (set(range(10, 20)) if kappa else set())
    c = result.traces("cells", "c").values
    assert (c[:, :10] == 0.0).all() and (c[:, 10:20] == c[:, 10:11]).all() and c[2000, 10] > 0.5


@pytest.mark.parametrize("bad", [2.5, np.array([2.0, 2.0]), Uniform(1.0, 3.0)], ids=["fraction", "array", "drawn"])
def test_the_size_of_groups_is_one_whole_number(bad):
    with pytest.raises(ParameterError, match=r"^IF_curr_delta_astro\.group_size must be one whole number >= 1"):
        IF_curr_delta_astro(group_size=bad)


def test_a_population_must_make_whole_groups():
    net = Network()
    net.population(25, IF_curr_delta_astro(group_size=10), "cells")
    with pytest.raises(ParameterError, match="cells: 25 cells do not make whole groups .* = 10$"):
        Simulation(net)
