"""The machine's order of operations on the exact engine: against a plain loop, against exact solutions, and at the border."""

import numpy as np
import pytest
import reference_scheme as reference
from neurosim.hardware.spinnaker.emulation import Emulation
from neurosim.hardware.spinnaker.scheme import CELLS, in_scheme

from neurosim import (
    ACSource,
    AdditiveWeightDependence,
    AllToAllConnector,
    DCSource,
    FixedProbabilityConnector,
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Izhikevich,
    Network,
    NetworkError,
    Normal,
    OneToOneConnector,
    ParameterError,
    Simulation,
    SpikePairRule,
    SpikeSourceArray,
    SpikeSourcePoisson,
    STDPMechanism,
    Uniform,
    wiring,
)

FIRST = (-70.0, -50.0)
LEAKY = {"cm": 0.5, "tau_m": 12.0, "tau_refrac": 2.1, "v_rest": -65.0, "v_reset": -66.0, "v_thresh": -55.0, "i_offset": 0.1}
CURRENTS = {**LEAKY, "tau_syn_E": 3.0, "tau_syn_I": 4.5}
KINDS = {  # model, its parameters, weights of excitation and inhibition, first v
    "IF_curr_exp": (IF_curr_exp, CURRENTS, 1.2, -0.8, FIRST),
    "IF_cond_exp": (IF_cond_exp, {**CURRENTS, "e_rev_E": 0.0, "e_rev_I": -75.0}, 0.02, 0.03, FIRST),
    "IF_cond_exp, strong": (IF_cond_exp, {**CURRENTS, "e_rev_E": 0.0, "e_rev_I": -75.0}, 0.4, 0.9, FIRST),
    "IF_curr_alpha": (IF_curr_alpha, CURRENTS, 0.7, -0.6, FIRST),
    "IF_curr_delta": (IF_curr_delta, LEAKY, 6.0, -4.0, FIRST),
    "Izhikevich": (Izhikevich, {"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0, "i_offset": 0.004}, 5.0, -3.0, (-75.0, -45.0)),
}
LEARNS = STDPMechanism(SpikePairRule(tau_plus=8.0, tau_minus=10.0, A_plus=0.1, A_minus=0.08), AdditiveWeightDependence(0.0, 2.5))


def a_network(name, seed, dt, n=12, learning=False, ticks=150):
    """Sources, and cells of one kind that differ in two parameters, excite, inhibit (and learn); delays of 1 to 6 ticks."""
    kind, parameters, up, down, first = KINDS[name]
    rng = np.random.default_rng(seed)
    net = Network(seed, "machine")
    times = [np.unique(rng.integers(0, ticks, 25)) * dt for _ in range(n)]
    spread = {"i_offset": Normal(parameters["i_offset"], 0.1 * parameters["i_offset"])}
    if name != "Izhikevich":
        spread["v_thresh"] = Uniform(-57.0, -53.0)
    sources = net.population(n, SpikeSourceArray(times), "sources")
    cells = net.population(n, kind(**{**parameters, **spread}), "cells", initial_values={"v": Uniform(*first)})
    delay = Uniform(1.0 * dt, 6.0 * dt)
    net.project(sources, cells, FixedProbabilityConnector(0.5), Uniform(0.4 * up, 1.2 * up), delay, label="in")
    net.project(sources, cells, FixedProbabilityConnector(0.2), Uniform(*sorted((0.4 * down, down))), delay, "inhibitory", label="in -")
    net.project(cells, cells, FixedProbabilityConnector(0.2), Uniform(*sorted((0.4 * down, down))), delay, "inhibitory", label="-")
    if learning:
        net.project(sources, cells, AllToAllConnector(), 0.5, 2.0 * dt, label="learning", synapse=LEARNS)
    net.inject(DCSource(amplitude=0.05 if name != "Izhikevich" else 0.003, start=20 * dt, stop=60 * dt), cells[:5])
    net.inject(ACSource(amplitude=0.1 if name != "Izhikevich" else 0.002, frequency=20.0, start=0.0), cells[3:])
    return net


def by_the_plain_loop(net, name, ticks, dt):
    """(spikes, states) of a network by `reference_scheme`."""
    cells = net["cells"]
    p = cells.cell.values(cells.size, net.seed, "cells")
    first = cells.cell.initial_values(cells.size, net.seed, "cells", cells.initial_values, p)
    if "u" in first:
        p["u"] = first["u"]
    name = name.partition(",")[0]
    neurons = [reference.Neuron(name, {key: float(values[i]) for key, values in p.items()}, float(first["v"][i]), dt)
               for i in range(cells.size)]
    synapses, learning = {}, {}
    for one in net.projections:
        rule = None
        if one.synapse is not None:
            rule = (8.0, 10.0, 0.1, 0.08, 2.5)
        pre, post, weight, delay = wiring.arrays(one, net.seed, dt)
        for k, (i, j, w, d) in enumerate(zip(pre.tolist(), post.tolist(), weight, np.rint(delay / dt))):
            made = reference.Synapse(("cells", j), one.receptor, float(w), int(d), rule)
            synapses.setdefault((one.pre.label, i), []).append(made)
            if rule is not None:
                learning[k] = made
    rows = net["sources"].cell.rows(net["sources"].size, "sources")
    given = {}
    for i, row in enumerate(rows):
        for tick in np.rint(row / dt).astype(int).tolist():
            given.setdefault(tick, []).append(("sources", i))
    (dc, first_five), (ac, others) = [(one.current, one.target.indices.tolist()) for one in net.injections]
    currents = {}
    for t in range(ticks):
        for i in range(cells.size):
            held = dc.amplitude if i in first_five and 20 <= t < 60 else 0.0
            wave = ac.amplitude * np.sin(2e-3 * np.pi * ac.frequency * t * dt) if i in others else 0.0
            currents["cells", i, t] = held + wave
    spikes, seen = reference.run({"cells": neurons}, synapses, given, currents, ticks, dt)
    return spikes, seen["cells"], learning


def spikes_of(result, label, before):
    """(tick, cell) of all spikes before a tick."""
    spikes = result.spikes(label)
    ticks = np.rint(spikes.times / result.dt).astype(int).tolist()
    return {(t, i) for t, i in zip(ticks, spikes.ids.tolist()) if t < before}


@pytest.mark.parametrize("dt", [1.0, 0.25])
@pytest.mark.parametrize("name", KINDS)
def test_every_spike_and_state_is_that_of_a_plain_loop(name, dt):
    ticks = 150
    net = a_network(name, 3, dt, learning=name == "IF_curr_exp", ticks=ticks)
    inputs = [state for state in net["cells"].cell.states if state.startswith(("isyn", "gsyn"))]
    net.record(net["cells"], ["spikes", "v", *inputs])
    net.record(net["sources"], "spikes")
    wanted, (v, *theirs), _ = by_the_plain_loop(net, name, ticks, dt)
    result = Simulation(in_scheme(net), dt=dt).run(ticks * dt)
    wanted_cells = {(t, i) for t, label, i in wanted if label == "cells"}
    assert len(wanted_cells) > 30 and len({t for t, _ in wanted_cells}) > 20
    assert spikes_of(result, "cells", ticks) == wanted_cells
    assert spikes_of(result, "sources", ticks) == {(t, i) for t, label, i in wanted if label == "sources"}
    np.testing.assert_allclose(result.traces("cells", "v").values[:ticks], v, rtol=1e-9, atol=1e-9)
    assert (np.abs(v).max() > 150.0) == (name == "IF_cond_exp, strong" and dt == 1.0)  # steps that are too long overshoot
    for name_of, one in zip(inputs, theirs):
        np.testing.assert_allclose(result.traces("cells", name_of).values[:ticks], one, rtol=1e-9, atol=1e-12)


def test_weights_that_learn_are_those_of_a_plain_loop():
    ticks, delay = 150, 2
    net = a_network("IF_curr_exp", 5, 1.0, learning=True, ticks=ticks)
    _, _, learning = by_the_plain_loop(net, "IF_curr_exp", ticks, 1.0)
    sim = Simulation(in_scheme(net), dt=1.0)
    sim.run(ticks - 1.0)
    wanted = np.array([learning[k].after(ticks - 1 - delay, 1.0) for k in range(len(learning))])
    sent = np.array([max(learning[k].sources) + delay < ticks for k in range(len(learning))])  # the last spike has arrived
    assert np.ptp(wanted) > 1.0 and sent.sum() > 80
    np.testing.assert_allclose(sim.weights("learning").values[sent], wanted[sent], rtol=0, atol=1e-9)


def test_the_first_tick_is_tick_0():
    """A cell that begins above its threshold fires at 0, and what it sends then arrives."""
    net = Network()
    cell = IF_curr_exp(tau_refrac=3.0, v_thresh=-50.0)
    a = net.population(2, cell, "a", initial_values={"v": [-30.0, -60.0]})
    b = net.population(2, IF_curr_exp(tau_syn_E=1e-3, cm=1e-3, tau_m=0.01), "b")
    net.project(a, b, OneToOneConnector(), 1e4, 3.0)
    net.inject(DCSource(amplitude=100.0, start=0.0, stop=1.0), b[1:])
    net.record([a, b], "spikes")
    net.record(a, "v")
    sim = Simulation(in_scheme(net), dt=1.0)
    result = sim.run(10.0)
    assert spikes_of(result, "a", 10) == {(0, 0)}
    assert spikes_of(result, "b", 10) == {(3, 0), (0, 1)}
    v = result.traces("a", "v").values
    assert v[0, 0] == -30.0 and (v[1:5, 0] == -65.0).all()
    again = sim.reset() or sim.run(10.0)
    assert spikes_of(again, "a", 10) == {(0, 0)} and np.array_equal(again.traces("a", "v").values, v)


def test_a_run_may_be_cut_and_followed_without_a_trace():
    ticks = 120
    net = a_network("IF_curr_exp", 8, 1.0, learning=True, ticks=ticks)
    net.record(net["cells"], ["spikes", "v"])
    whole = Simulation(in_scheme(net), dt=1.0).run(ticks)
    sim = Simulation(in_scheme(net), dt=1.0, threads=2)
    parts = [sim.run(37.0)]
    sim = sim.follow()
    parts.append(sim.run(ticks - 37.0))
    spikes = np.concatenate([np.stack([one.spikes("cells").times, one.spikes("cells").ids]) for one in parts], axis=1)
    assert np.array_equal(spikes, np.stack([whole.spikes("cells").times, whole.spikes("cells").ids]))
    v = np.concatenate([one.traces("cells", "v").values for one in parts])
    assert np.array_equal(v, whole.traces("cells", "v").values)


def test_currents_that_are_added_later_act_in_the_tick_of_their_time():
    """A current from 15 ms on is in force at tick 15, whether it was there from the start or came at 10 ms."""
    traces = []
    for late in (False, True):
        net = Network()
        cells = net.population(1, IF_curr_exp(), "cells").record("v")
        if not late:
            net.inject(DCSource(amplitude=0.5, start=15.0), cells)
        sim = Simulation(in_scheme(net), dt=1.0)
        first = sim.run(10.0).traces("cells", "v").values
        if late:
            sim.network.inject(DCSource(amplitude=0.5, start=15.0), sim.network["cells"])
            sim = sim.follow()
        traces.append(np.concatenate([first, sim.run(20.0).traces("cells", "v").values]))
    assert np.array_equal(*traces)
    v = traces[0][:, 0]
    assert (v[:16] == -65.0).all() and v[16] == pytest.approx(-65.0 + 0.5 * 20.0 * (1.0 - np.exp(-1.0 / 20.0)))


def test_a_state_that_is_set_counts_from_now_on():
    net = Network()
    net.population(2, IF_curr_exp(v_thresh=1e3), "cells").record("v")
    sim = Simulation(in_scheme(net), dt=1.0)
    sim.run(5.0)
    sim.set(sim.network["cells"][1:], v=-45.0)
    v = sim.run(2.0).traces("cells", "v").values
    assert (v[:, 0] == -65.0).all()
    np.testing.assert_allclose(v[:, 1], -65.0 + 20.0 * np.exp(-np.array([0.0, 1.0]) / 20.0), rtol=1e-12)


@pytest.mark.parametrize(("name", "tolerance"), [
    ("IF_curr_exp", 0.02), ("IF_cond_exp", 0.05), ("IF_curr_alpha", 0.05), ("IF_curr_delta", 0.02), ("Izhikevich", 0.3)])
def test_below_threshold_the_fixed_point_is_the_scheme_but_for_rounding(name, tolerance):
    ticks = 150
    net = a_network(name, 11, 1.0, ticks=ticks)
    if name == "Izhikevich":
        net.injections.clear()
        for one in list(net.projections):
            net.replace(one, weight=0.1 if one.sign > 0 else -0.1)
        net["cells"].set(i_offset=0.0)
        net["cells"].initialize(v=Uniform(-75.0, -65.0))
    else:
        net["cells"].set(v_thresh=1e3)
    # the machine's own estimate leaves too little room for conductances
    room = {"max_expected_summed_weight": {"cells": (1.0, 1.0)}} if name == "IF_cond_exp" else {}
    inputs = [state for state in net["cells"].cell.states if state.startswith(("isyn", "gsyn"))]
    net.record(net["cells"], ["spikes", "v", *inputs])
    scheme, machine = Simulation(in_scheme(net), dt=1.0).run(ticks), Emulation(net, dt=1.0, **room).run(ticks)
    assert not spikes_of(scheme, "cells", ticks) and not spikes_of(machine, "cells", ticks)
    v = scheme.traces("cells", "v").values[:ticks]
    assert np.ptp(v) > 5.0
    np.testing.assert_allclose(machine.traces("cells", "v").values, v, atol=tolerance)
    for one in inputs:
        values = scheme.traces("cells", one).values[:ticks]
        np.testing.assert_allclose(machine.traces("cells", one).values, values, atol=0.01 * np.abs(values).max())


# ------------------------------------------------------------------------------------------ convergence

def potential(name, dt, scheme):
    """v at 40 ms, below threshold, after six inputs at whole ms to each receptor with delays of 1 ms, beginning at 3 ms."""
    kind, parameters, up, down, _ = KINDS[name]
    net = Network()
    sources = net.population(2, SpikeSourceArray([[2.0, 9.0, 15.0, 16.0, 22.0, 37.0], [4.0, 9.0, 11.0, 25.0, 30.0, 31.0]]), "sources")
    cells = net.population(1, kind(**{**parameters, "v_thresh": 1e3}), "cells").record("v")
    net.project(sources[:1], cells, AllToAllConnector(), up, 1.0)
    net.project(sources[1:], cells, AllToAllConnector(), down, 1.0, "inhibitory")
    sim = Simulation(in_scheme(net) if scheme else net, dt=dt)
    return sim.run(41.0).traces("cells", "v").values[round(40.0 / dt), 0]


@pytest.mark.parametrize("name", ["IF_curr_exp", "IF_cond_exp", "IF_curr_delta"])
def test_the_scheme_converges_to_the_exact_solution(name):
    exact = potential(name, 0.0078125 if name == "IF_cond_exp" else 1.0, scheme=False)
    errors = [abs(potential(name, dt, scheme=True) - exact) for dt in (0.5, 0.25, 0.125, 0.0625)]
    measured = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[0] > 1e-4
    assert np.allclose(measured, CELLS[KINDS[name][0]].order, atol=0.15)


def test_alpha_currents_converge_unless_inputs_of_two_sizes_overlap():
    """The machine keeps a product of two buffers, the slope of one of which is that of the latest input alone."""
    def current(weights, dt, scheme):
        net = Network()
        source = net.population(2, SpikeSourceArray([[2.0], [6.0]]), "source")
        cells = net.population(1, IF_curr_alpha(tau_syn_E=5.0, v_thresh=1e3), "cells").record("isyn_exc")
        net.project(source, cells, AllToAllConnector(), weights, 1.0)
        values = Simulation(in_scheme(net) if scheme else net, dt=dt).run(40.0).traces("cells", "isyn_exc").values[:, 0]
        return values[::round(1.0 / dt)][:40]

    def errors(*weights):
        weights = np.array(weights)[:, None]
        return np.array([np.abs(current(weights, dt, True) - current(weights, dt, False)).max() for dt in (0.5, 0.25, 0.125)])

    assert errors(1.0, 0.0).max() < 1e-9
    np.testing.assert_allclose(np.log2(errors(1.0, 1.0)[:-1] / errors(1.0, 1.0)[1:]), 1.0, atol=0.1)
    assert errors(1.0, 0.2).min() > 0.2


# ------------------------------------------------------------------------------------------ the twin


def test_the_twin_is_the_network_but_for_its_cells_and_the_order_of_learning():
    net = Network(7)
    a = net.population(3, IF_curr_exp(tau_m=Uniform(10.0, 20.0)), "a")
    b = net.population(4, SpikeSourcePoisson(rate=10.0), "b")
    mechanism = STDPMechanism(LEARNS.timing_dependence, LEARNS.weight_dependence, dendritic_delay_fraction=0.5, order="nest")
    net.project(b, a, AllToAllConnector(), 0.5, 2.0, synapse=mechanism, label="learns")
    net.record(a[:2], "v")
    before = net.fingerprint()
    twin = in_scheme(net)
    assert net.fingerprint() == before and net["a"].cell == IF_curr_exp(tau_m=Uniform(10.0, 20.0))
    assert type(twin["a"].cell) is CELLS[IF_curr_exp] and type(twin["b"].cell) is SpikeSourcePoisson
    assert twin["a"].cell.name == "IF_curr_exp (SpiNNaker's scheme)"
    changed = twin.projections[0].synapse
    assert (changed.order, changed.dendritic_delay_fraction) == ("spinnaker", 1.0)
    assert changed.timing_dependence == mechanism.timing_dependence and changed.weight_dependence == mechanism.weight_dependence
    assert net.projections[0].synapse is mechanism
    drawn = [one.cell.values(3, 7, "a")["tau_m"] for one in (net["a"], twin["a"])]
    assert np.array_equal(*drawn)
    assert [(r.target.label, r.variable) for r in twin.records] == [(r.target.label, r.variable) for r in net.records]


def test_what_has_no_scheme_is_refused_by_name():
    net = Network()
    net.population(2, IF_cond_alpha(), "odd")
    with pytest.raises(NetworkError, match=r"odd: the machine's scheme is known for IF_curr_exp, .* not for"):
        in_scheme(net)
    with pytest.raises(ParameterError, match="in_scheme needs a Network, got 3"):
        in_scheme(3)
