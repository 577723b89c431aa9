"""A simulation that goes on with a network that was changed: what was not changed leaves no trace, what was is what was asked for."""

import dataclasses

import engine_networks as nets
import numpy as np
import pytest
import test_graded as graded
import test_plasticity_same as plastic
import test_structure as structural
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    ACSource,
    AllToAllConnector,
    DCSource,
    EIF_cond_alpha_isfa_ista,
    EIF_cond_exp_isfa_ista,
    FixedProbabilityConnector,
    FromListConnector,
    GIF_cond_exp,
    HH_cond_exp,
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    IF_jump,
    Izhikevich,
    Network,
    NetworkError,
    NoisyCurrentSource,
    OneToOneConnector,
    ParameterError,
    Simulation,
    SimulationError,
    SpikeSourceArray,
    SpikeSourceInhGamma,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
    StepCurrentSource,
    Uniform,
    live,
)
from neurosim.groups import ALPHA, DELTA, EXP, Modal

DURATION, CUT = 50.0, 23.1


def changed(projection, **values):
    """The network's projection with other values."""
    network = projection.pre.network
    made = dataclasses.replace(projection, **values)
    network.projections[network.projections.index(projection)] = made
    return made


# ------------------------------------------------------------------------------------ nothing changed


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", nets.ALL)
def test_without_a_change_nothing_changes(name, threads):
    whole = Simulation(nets.build(name), seed=5, threads=threads, update="clock")
    expected = [whole.run(CUT), whole.run(0.1), whole.run(DURATION - CUT - 0.1)]
    simulation = Simulation(nets.build(name), seed=5, threads=threads)
    for duration, result in zip((CUT, 0.1, DURATION - CUT - 0.1), expected, strict=True):
        assert simulation.run(duration) == result
        before, simulation = simulation, simulation.follow()
        assert simulation.t == before.t and simulation.result.duration == 0.0
        assert simulation._store.targets16 is before._store.targets16  # shared, not made again
        assert before.result.t_stop == before.t


def grow(network):
    """Recordings, currents that begin later, and populations that are joined to nobody."""
    for population in [p for p in network.populations if not p.cell.is_source]:
        population.record("spikes")
        population[3:190:7].record(list(population.cell.states), interval=0.5)
        population[::3].inject(DCSource(amplitude=0.05, start=30.0))
        population[5:90].inject(NoisyCurrentSource(mean=0.02, stdev=0.3, start=CUT, dt=0.3))
        network.population(77, population.cell.replaced(tau_refrac=1.5) if _numbers(population.cell) else IF_curr_exp(),
                           f"more like {population.label}")
    network.population(3, SpikeSourcePoisson(rate=100.0), "another")


def _numbers(cell):
    return "tau_refrac" in cell.parameters() and not any(isinstance(getattr(cell, name), np.ndarray) for name in cell.parameters())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", nets.ALL)
def test_what_is_added_by_the_way_could_have_been_there_from_the_start(name, threads):
    there, later = nets.build(name, record=False), nets.build(name, record=False)
    grow(there)
    whole = Simulation(there, seed=5, threads=threads, update="clock")
    whole.run(CUT)
    expected = whole.run(DURATION - CUT)
    simulation = Simulation(later, seed=5, threads=threads)
    simulation.run(CUT)
    grow(later)
    with pytest.raises(SimulationError, match=r"added to after .*follow\(\)"):
        simulation.run(1.0)
    assert simulation.follow().run(DURATION - CUT) == expected


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", plastic.CELLS)
def test_synapses_that_change_go_on(name, threads):
    """Also where the groups of senders and targets grow, so that rows are laid out anew."""
    network, learning = plastic.build(name)
    whole = Simulation(network, seed=5, threads=threads)
    whole.run(13.3)
    expected, weights = whole.run(16.7), [whole.weights(one) for one in learning]
    for grows in (False, True):
        network, learning = plastic.build(name)
        simulation = Simulation(network, seed=5, threads=threads)
        simulation.run(13.3)
        if grows:
            cell = network["cells"].cell
            network.population(180, IF_curr_exp() if name == "stepped" else cell, "more")
        simulation = simulation.follow()
        found = simulation.run(16.7)
        assert [simulation.weights(one) for one in learning] == weights
        for label in ("cells", "poisson", "array"):
            assert found.spikes(label) == expected.spikes(label)
        for one in learning:
            assert found.weights(one.label) == expected.weights(one.label)
        np.testing.assert_array_equal(found.traces("cells", "v").values, expected.traces("cells", "v").values)


@pytest.mark.parametrize(("structure", "synapse", "homeostasis"), structural.REWIRED)
def test_synapses_that_come_and_go_go_on(structure, synapse, homeostasis):
    recurrent = getattr(structure, "sigma_form", None) is not None
    runs = []
    for follows in (False, True):
        simulation = Simulation(structural.a_network(structure, synapse, homeostasis, recurrent=recurrent), threads=1)
        simulation.run(110.0)
        simulation = simulation.follow() if follows else simulation
        weights, result, counts = simulation.weights("p"), simulation.run(120.0), simulation.turnover("p")
        runs.append((weights, result, simulation.weights("p"), [column.tolist() for column in counts]))
    assert runs[0] == runs[1]
    assert sum(runs[0][3][2]) > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_astrocytes_go_on(threads):
    whole = Simulation(graded.crowd()[0], threads=threads)
    whole.run(30.0)
    simulation = Simulation(graded.crowd()[0], threads=threads)
    simulation.run(30.0)
    graded.same(simulation.follow().run(30.0), whole.run(30.0))


def test_what_was_set_stays():
    def build():
        network = Network(seed=3)
        source = network.population(20, SpikeSourcePoisson(rate=10.0), "source")
        cells = network.population(20, IF_curr_exp(tau_refrac=2.0), "cells").record(["v", "spikes"])
        network.project(source, cells, OneToOneConnector(), weight=1.0, delay=2.0)
        simulation = Simulation(network)
        simulation.run(10.0)
        simulation.set(source, rate=400.0)
        simulation.set(cells[:7], current=0.9)
        simulation.run(10.0)
        return simulation

    whole, simulation = build(), build().follow()
    for one in (whole, simulation):
        one.set(one.network["cells"][3:9], current=0.3)  # in place of 0.9, not on top of it
    found = simulation.run(40.0)
    assert found == whole.run(40.0)
    assert found.spikes("cells").count > 10


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=4, unique=True), threads=st.integers(1, 3))
def test_following_at_any_time_leaves_no_trace(cuts, threads):
    expected = Simulation(nets.build("mixed"), seed=2, threads=1).run(40.1)
    simulation, parts = Simulation(nets.build("mixed"), seed=2, threads=threads), []
    for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 401], strict=True):
        parts.append(simulation.run((b - a) * 0.1))
        simulation = simulation.follow()
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.append(part)
    assert joined == expected


def test_before_the_first_step():
    network = nets.build("mixed")
    assert Simulation(network, seed=5).follow().run(20.0) == Simulation(network, seed=5).run(20.0)


def test_saved_branched_and_reset_after_following(tmp_path):
    network = nets.build("mixed")
    simulation = Simulation(network, seed=5)
    simulation.run(10.0)
    network["cells0"].set(i_offset=0.3)
    simulation = simulation.follow()
    simulation.save(tmp_path / "state.nsim")
    twin, loaded = simulation.branch(), Simulation.load(tmp_path / "state.nsim", network)
    expected = simulation.run(10.0)
    assert twin.run(10.0) == expected and loaded.run(10.0) == expected
    simulation.reset()
    assert simulation.run(15.0) == Simulation(network, seed=5).run(15.0)


# ------------------------------------------------------------------------------------ parameters of cells

MODELS = {
    "exp": IF_curr_exp(tau_refrac=2.0, tau_syn_E=3.0),
    "alpha": IF_curr_alpha(tau_refrac=2.0, tau_syn_E=3.0, tau_syn_I=5.0),
    "delta": IF_curr_delta(tau_refrac=2.0),
    "stepped": IF_curr_exp(tau_m=Uniform(15.0, 25.0), tau_refrac=2.0),
    "conductances": IF_cond_exp(tau_refrac=2.0),
    "alpha conductances": IF_cond_alpha(tau_refrac=2.0, tau_syn_E=2.0),
    "adaptive": EIF_cond_exp_isfa_ista(tau_refrac=2.0),
    "adaptive, alpha": EIF_cond_alpha_isfa_ista(tau_refrac=2.0),
    "no leak": IF_jump(v_rest=-65.0, v_reset=-65.0, v_thresh=-50.0, tau_refrac=2.0),
    "escape noise": GIF_cond_exp(),
    "sodium": HH_cond_exp(),
    "quadratic": Izhikevich(),
}


def driven(cell, n=6, **more):
    """n cells that get spikes from both sides all the time."""
    network = Network(seed=4)
    cells = network.population(n, cell, "cells", **more).record(["spikes", *cell.states])
    for receptor, sign in (("excitatory", 1.0), ("inhibitory", -1.0)):
        times = [np.arange(1.0 + 0.7 * i, 60.0, 2.3 + 0.9 * i + (sign < 0)) for i in range(n)]
        source = network.population(n, SpikeSourceArray(spike_times=times), receptor)
        weight = {"nA": 0.3, "mV": 1.5, "uS": 0.01}[cell.weight_unit]
        network.project(source, cells, OneToOneConnector(), weight=weight * (1.0 if cell.weight_unit == "uS" else sign), delay=1.7,
                        receptor=receptor)
    return network


def close(found, expected, after=0.0):
    """Equal spikes and states but for rounding."""
    for label in {key[0] for key in expected._traces}:
        a, b = found.spikes(label), expected.spikes(label)
        np.testing.assert_allclose(a.times, b.times[b.times > after + 1e-9], atol=1e-9)
        np.testing.assert_array_equal(a.ids, b.ids[b.times > after + 1e-9])
    for key, trace in expected._traces.items():
        late = trace.times > after + 1e-9
        np.testing.assert_allclose(found.traces(*key).values, trace.values[late], rtol=1e-7, atol=1e-7, err_msg=str(key))


@pytest.mark.parametrize("name", MODELS)
def test_an_offset_acts_as_a_current_from_now_on(name):
    network, twin = driven(MODELS[name]), driven(MODELS[name])
    amount = {"sodium": 0.3, "quadratic": 4e-3, "no leak": 0.3}.get(name, 0.25)
    twin["cells"].inject(DCSource(amplitude=amount, start=20.3))
    simulation = Simulation(network)
    simulation.run(20.3)
    network["cells"].set(i_offset=network["cells"].cell.i_offset + amount)
    with pytest.raises(SimulationError, match=r"changed after .*follow\(\)"):
        simulation.run(1.0)
    expected = Simulation(twin).run(50.0)
    close(simulation.follow().run(29.7), expected, 20.3)
    assert expected.spikes("cells").count > 0


@pytest.mark.parametrize("name", ["exp", "alpha", "delta"])
def test_between_modes_and_a_stepping_kernel(name):
    """A threshold out of reach for one cell changes the parameters' form only: the state goes through both representations."""
    network = driven(MODELS[name])
    expected = Simulation(network).run(50.0)
    simulation = Simulation(network)
    simulation.run(12.3)
    network["cells"].set(tau_m=np.where(np.arange(6) == 5, 19.0, 20.0))  # unequal: stepped
    simulation = simulation.follow()
    assert simulation._groups[0].modal is None
    found = simulation.run(10.0)
    for variable in network["cells"].cell.states:
        kept = expected.traces("cells", variable)
        window = (kept.times > 12.3 + 1e-9) & (kept.times < 22.3 + 1e-9)
        np.testing.assert_allclose(found.traces("cells", variable).values[:, :5], kept.values[window][:, :5], atol=1e-9)
    network["cells"].set(tau_m=20.0)
    simulation = simulation.follow()
    assert simulation._groups[0].modal is not None
    found, late = simulation.run(27.7), expected.traces("cells", "v").times > 22.3 + 1e-9
    np.testing.assert_allclose(found.traces("cells", "v").values[:, :5], expected.traces("cells", "v").values[late][:, :5], atol=1e-9)
    spikes, kept = found.spikes("cells"), expected.spikes("cells")
    late = (kept.times > 22.3 + 1e-9) & (kept.ids < 5)
    np.testing.assert_allclose(spikes.times[spikes.ids < 5], kept.times[late])
    assert kept.count > 5


@pytest.mark.parametrize("values", [{"tau_m": 7.0}, {"tau_syn_E": 0.9}, {"cm": 0.3}, {"v_rest": -60.0}, {"v_thresh": -58.0},
                                    {"tau_m": 12.0, "tau_syn_E": 12.0}, {"v_reset": -70.0, "i_offset": 0.5}])
@pytest.mark.parametrize("name", ["exp", "alpha", "delta", "stepped", "conductances"])
def test_parameters_change_and_the_state_stays(name, values):
    """As a new simulation that begins with these parameters in this state (no spikes under way, nobody refractory)."""
    cell = MODELS[name]
    values = {key: value for key, value in values.items() if key in cell.parameters() and not (name == "stepped" and key == "tau_m")}
    network = driven(cell)
    for source in ("excitatory", "inhibitory"):
        times = [row[row < 9.0] for row in network[source].cell.spike_times]
        network[source].cell = SpikeSourceArray(spike_times=times)
    simulation = Simulation(network)
    simulation.run(13.0)
    states = {state: simulation.get(network["cells"], state) for state in cell.states}
    slopes = simulation._net.x.copy()
    network["cells"].set(**values)
    simulation = simulation.follow()
    for state, before in states.items():
        np.testing.assert_allclose(simulation.get(network["cells"], state), before, atol=1e-10)
    found = simulation.run(20.0)
    if name == "alpha":  # rising currents are no state that can be given: the next test looks at them
        return
    assert slopes.size
    fresh = Network(seed=4)
    fresh.population(6, network["cells"].cell, "cells", initial_values=states).record(["spikes", *cell.states])
    expected = Simulation(fresh).run(20.0)
    for state in states:
        np.testing.assert_allclose(found.traces("cells", state).values, expected.traces("cells", state).values[1:], atol=1e-7)
    np.testing.assert_array_equal(found.spikes("cells").ids, expected.spikes("cells").ids)


def test_rising_currents_change_their_time_constant():
    """The current that the arrivals so far give goes on by i' = -i/tau + d e/tau, d' = -d/tau with the new tau."""
    network = Network()
    source = network.population(1, SpikeSourceArray(spike_times=[1.0, 2.0]), "source")
    cells = network.population(1, IF_curr_alpha(tau_syn_E=3.0, v_thresh=1e3), "cells").record("isyn_exc")
    network.project(source, cells, OneToOneConnector(), weight=0.5, delay=1.0)
    simulation = Simulation(network)
    simulation.run(4.0)
    cells.set(tau_syn_E=1.5)
    found = simulation.follow().run(5.0).traces("cells", "isyn_exc")
    since = 4.0 - np.array([2.0, 3.0])
    d = 0.5 * np.exp(-since / 3.0).sum()
    i = 0.5 * (np.e / 3.0 * since * np.exp(-since / 3.0)).sum()
    s = found.times - 4.0
    np.testing.assert_allclose(found.values[:, 0], (i + d * np.e / 1.5 * s) * np.exp(-s / 1.5), rtol=1e-9)


@pytest.mark.parametrize(("kind", "taus"), [(DELTA, (11.0,)), (EXP, (11.0, 2.0, 30.0)), (ALPHA, (11.0, 2.0, 30.0))])
def test_modes_and_states_are_inverse(kind, taus, rng):
    modal = Modal.of(kind, taus, 0.1)
    for k in (0, 1, modal.period // 2, modal.period - 1):
        x = rng.normal(size=({DELTA: 1, EXP: 3, ALPHA: 5}[kind], 7))
        scale = np.abs(x).max(axis=1, keepdims=True)
        np.testing.assert_allclose(live.to_modes(modal, k, live.to_states(modal, k, x)) / scale, x / scale, atol=1e-6)


@pytest.mark.parametrize("name", ["exp", "alpha", "delta", "stepped", "conductances", "adaptive", "no leak"])
@pytest.mark.parametrize(("before", "after", "end"), [(3.0, 5.0, 5.0), (5.0, 3.0, 3.0), (5.0, 1.0, 2.0), (0.5, 9.0, None), (3.0, 0.0, 2.0)])
def test_a_refractory_time_under_way_gets_its_new_length(name, before, after, end):
    """One spike; 2 ms later the refractory time changes; the potential leaves v_reset right after its end."""
    cell = MODELS[name].replaced(tau_refrac=before)
    network = Network()
    cells = network.population(3, cell, "cells", initial_values={"v": -30.0}).record(["spikes", "v"])
    simulation = Simulation(network, threads=1)
    first = simulation.run(2.1)
    assert first.spikes("cells").times.tolist() == [pytest.approx(0.1)] * 3
    cells.set(tau_refrac=after, i_offset=1.0)
    found = simulation.follow().run(12.0).traces("cells", "v")
    held = found.values[:, 1] == cell.v_reset
    moves = found.times[np.flatnonzero(~held)[0]] if not held.all() else np.inf
    begins = 2.1 if end is None else max(0.1 + end, 2.1)  # the end of the refractory time, which may be over
    assert moves == pytest.approx(begins + 0.1)


def test_a_view_may_change():
    network = driven(MODELS["exp"])
    simulation, plain = Simulation(network), Simulation(driven(MODELS["exp"])).run(40.0)
    simulation.run(20.0)
    network["cells"][2:4].set(i_offset=0.5)
    found = simulation.follow().run(20.0).traces("cells", "v").values
    late = plain.traces("cells", "v").values[201:]
    np.testing.assert_array_equal(found[:, [0, 1, 4, 5]], late[:, [0, 1, 4, 5]])
    assert (found[-1, 2:4] != late[-1, 2:4]).all()
