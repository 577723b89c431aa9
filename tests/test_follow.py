"""A simulation that goes on with a network that was changed: what was not changed leaves no trace, what was is what was asked for."""

import dataclasses

import engine_networks as nets
import numpy as np
import pytest
import test_gap as junctions
import test_graded as graded
import test_plasticity_same as plastic
import test_structure as structural
import test_transmission as transmission
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    ACSource,
    AllToAllConnector,
    DCSource,
    EIF_cond_alpha_isfa_ista,
    EIF_cond_exp_isfa_ista,
    ElectricalSynapse,
    FixedProbabilityConnector,
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
    TsodyksMarkramSynapse,
    Uniform,
    live,
)
from neurosim.groups import ALPHA, DELTA, EXP, Modal

DURATION, CUT = 50.0, 23.1


def changed(projection, **values):
    """The network's projection with other values, unchecked."""
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


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", transmission.CELLS)
def test_synapses_that_transmit_each_in_their_own_way_go_on(name, threads):
    runs = []
    for follows in (0, 1, 2):
        network, learning = transmission.build(name)
        simulation = Simulation(network, seed=5, threads=threads)
        simulation.run(13.3)
        if follows == 2:
            network.population(300, network["cells"].cell, "more")
        simulation = simulation.follow() if follows else simulation
        result = simulation.run(16.7)
        runs.append([[simulation.weights(one) for one in learning], *(result.spikes(label) for label in ("cells", "poisson", "array")),
                     result.traces("cells", "v").values.tolist()])
    assert runs[0] == runs[1] == runs[2]
    assert runs[0][1].count > 5


@pytest.mark.parametrize("threads", [1, 2])
def test_gap_junctions_go_on(threads):
    runs = []
    for follows in (False, True):
        network = junctions.crowd()
        simulation = Simulation(network, threads=threads)
        simulation.run(20.3)
        if follows:
            network.population(90, network["hh"].cell, "more")
            simulation = simulation.follow()
        result = simulation.run(20.0)
        runs.append([*(result.spikes(label) for label in ("exp", "adex", "hh", "delta", "free")),
                     result.traces("adex", "v").values.tolist(), result.traces("delta", "v").values.tolist()])
    assert runs[0] == runs[1]


def test_gap_junctions_that_are_new_begin_without_a_slope():
    network = Network()
    cells = network.population(2, IF_curr_exp(v_thresh=0.0), "cells", initial_values={"v": [-65.0, -55.0]}).record("v")
    simulation = Simulation(network)
    simulation.run(3.0)
    v = simulation.get(cells, "v")
    network.project(cells[0], cells[1], OneToOneConnector(), weight=0.05, synapse=ElectricalSynapse())
    twin = Network()
    same = twin.population(2, IF_curr_exp(v_thresh=0.0), "cells", initial_values={"v": v}).record("v")
    twin.project(same[0], same[1], OneToOneConnector(), weight=0.05, synapse=ElectricalSynapse())
    found, expected = simulation.follow().run(20.0), Simulation(twin).run(20.0)
    np.testing.assert_allclose(found.traces("cells", "v").values, expected.traces("cells", "v").values[1:], atol=1e-9)


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
    "exp": IF_curr_exp(tau_refrac=2.0, tau_syn_E=3.0, v_thresh=-63.5),
    "alpha": IF_curr_alpha(tau_refrac=2.0, tau_syn_E=3.0, tau_syn_I=5.0, v_thresh=-63.5),
    "delta": IF_curr_delta(tau_refrac=2.0, v_thresh=-61.0),
    "stepped": IF_curr_exp(tau_m=Uniform(15.0, 25.0), tau_refrac=2.0, v_thresh=-63.5),
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
    amount = {"sodium": 0.3, "quadratic": 4e-3, "no leak": 0.3, "escape noise": 1.5}.get(name, 0.25)
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
    network = driven(MODELS[name].replaced(i_offset=0.15))
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


# ------------------------------------------------------------------------------------ sources


def lonely(**cells):
    network = Network(seed=8)
    for label, cell in cells.items():
        network.population(40, cell, label).record("spikes")
    return network


def test_sources_whose_parameters_stay_go_on_and_others_are_drawn_anew():
    def build():
        return lonely(stays=SpikeSourcePoisson(rate=50.0), faster=SpikeSourcePoisson(rate=20.0), dead=SpikeSourcePoissonRefractory(
            rate=100.0, tau_refrac=5.0), gamma=SpikeSourceInhGamma(a=(2.0,), b=(0.01,), tbins=(0.0,)), gone=SpikeSourcePoisson())

    whole, network = Simulation(build()), build()
    whole.run(100.0)
    simulation = Simulation(network)
    simulation.run(100.0)
    last = {i: simulation.result.spikes("dead").times[simulation.result.spikes("dead").ids == i].max(initial=-9.0) for i in range(40)}
    whole.set(whole.network["faster"], rate=300.0)
    network["faster"].set(rate=300.0)
    network["dead"].set(rate=150.0)
    network["gamma"].set(a=(5.0,), b=(0.001,))
    network.population(40, SpikeSourcePoissonRefractory(rate=200.0, tau_refrac=3.0), "new").record("spikes")
    network.records = [one for one in network.records if one.target.label != "gone"]
    network.populations.remove(network["gone"])
    expected, found = whole.run(200.0), simulation.follow().run(200.0)
    for label in ("stays", "faster"):  # as by Simulation.set
        assert found.spikes(label) == expected.spikes(label)
    assert "gone" not in found.recorded
    for label, rate, dead in (("dead", 150.0, 5.0), ("new", 200.0, 3.0)):
        spikes = found.spikes(label)
        assert spikes.rate() == pytest.approx(rate, rel=0.1)
        for i in range(40):
            own = spikes.times[spikes.ids == i]
            assert np.diff(own).min() > dead - 0.1 - 1e-9
            if label == "dead":
                assert own[0] > last[i] + dead - 0.1 - 1e-9
    assert found.spikes("gamma").rate() == pytest.approx(200.0, rel=0.1)
    assert found.spikes("new").times.min() > 100.0


def test_sources_that_begin_or_end_at_another_time():
    network = lonely(late=SpikeSourcePoissonRefractory(rate=200.0, tau_refrac=1.0, start=150.0), long=SpikeSourcePoisson(rate=200.0),
                     ended=SpikeSourcePoisson(rate=200.0, duration=50.0))
    simulation = Simulation(network)
    simulation.run(100.0)
    network["late"].set(start=20.0)
    network["long"].set(duration=110.0)
    network["ended"].set(duration=120.0, start=10.0)
    found = simulation.follow().run(100.0)
    assert 100.0 < found.spikes("late").times.min() < 102.0
    assert 108.0 < found.spikes("long").times.max() <= 110.0 + 0.1
    assert 128.0 < found.spikes("ended").times.max() <= 130.0 + 0.1


def test_rates_that_were_set_stay_unless_they_are_described_anew():
    network = lonely(a=SpikeSourcePoisson(rate=10.0), b=SpikeSourcePoisson(rate=10.0))
    simulation = Simulation(network)
    simulation.run(1.0)
    for label in "ab":
        simulation.set(network[label], rate=500.0)
    network["b"].set(rate=40.0)
    found = simulation.follow().run(1000.0)
    assert found.spikes("a").rate() == pytest.approx(500.0, rel=0.05)
    assert found.spikes("b").rate() == pytest.approx(40.0, rel=0.1)


@settings(max_examples=20)
@given(before=st.lists(st.integers(0, 100), max_size=6), after=st.lists(st.integers(0, 100), max_size=6), now=st.integers(1, 80),
       delay=st.integers(1, 30), threads=st.integers(1, 2))
def test_given_times(before, after, now, delay, threads):
    """Those until now were sent, or not; those later are: and each arrives once, also those that were under way."""
    network = Network()
    source = network.population(3, SpikeSourceArray(spike_times=[np.array(before) * 0.1] * 3), "source").record("spikes")
    cells = network.population(3, IF_jump(v_thresh=1e9), "cells").record("v")
    network.project(source, cells, OneToOneConnector(), weight=1.0, delay=delay * 0.1)
    simulation = Simulation(network, threads=threads)
    simulation.run(now * 0.1)
    network["source"].set(spike_times=np.array(after) * 0.1)
    simulation = simulation.follow()
    found = simulation.run(14.0)
    sent = sorted(k for k in after if k > now)
    assert np.rint(found.spikes("source").times * 10).astype(int).tolist() == [k for k in sent for _ in range(3)]
    arrived = np.bincount([k + delay for k in sent + [k for k in before if k <= now]], minlength=400).cumsum()
    steps = np.rint(found.traces("cells", "v").times * 10).astype(int)
    np.testing.assert_array_equal(found.traces("cells", "v").values, np.repeat(arrived[steps][:, None], 3, axis=1))


# ------------------------------------------------------------------------------------ synapses


def counting(weight=1.0, delay=2.0, times=(1.0, 2.0, 3.0, 9.0)):
    """A source and a cell that counts what arrives."""
    network = Network()
    source = network.population(2, SpikeSourceArray(spike_times=times), "source")
    cells = network.population(2, IF_jump(v_thresh=1e9), "cells").record("v")
    return network, network.project(source, cells, OneToOneConnector(), weight=weight, delay=delay, label="p")


def arrivals(result):
    """(time, how much arrived) at the first cell."""
    trace = result.traces("cells", "v")
    jumps = np.diff(trace.values[:, 0], prepend=result.traces("cells", "v").values[0, 0])
    return [(round(float(trace.times[k]), 6), float(jumps[k])) for k in np.flatnonzero(jumps)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_changed_weight_holds_for_what_arrives_from_now_on(threads):
    network, projection = counting()
    simulation = Simulation(network, threads=threads)
    assert arrivals(simulation.run(3.5)) == [(3.0, 1.0)]
    changed(projection, weight=5.0)
    with pytest.raises(SimulationError, match=r"changed after .*follow\(\)"):
        simulation.step()
    assert arrivals(simulation.follow().run(10.0)) == [(4.0, 5.0), (5.0, 5.0), (11.0, 5.0)]


def test_changed_weights_of_many_synapses():
    """Drawn, given, one for all; what else is in the same block goes on."""
    def build():
        network = Network(seed=2)
        source = network.population(50, SpikeSourcePoisson(rate=100.0), "source")
        cells = network.population(60, IF_curr_exp(v_thresh=-40.0), "cells").record("v")
        for label, weight in (("a", Uniform(0.0, 0.1)), ("b", Uniform(0.0, 0.1)), ("c", 0.05), ("d", np.full((50, 60), 0.03))):
            network.project(source, cells, FixedProbabilityConnector(0.3), weight=weight, delay=Uniform(0.1, 3.0), label=label)
        return network

    network, silent = build(), build()
    simulation = Simulation(network, threads=1)
    simulation.run(20.0)
    for projection in network.projections[:]:
        changed(projection, weight=0.0 if np.ndim(projection.weight) == 0 else np.zeros((50, 60)))
    stopped = simulation.follow()
    assert all(not stopped.weights(label).values.any() for label in "abcd")
    found = stopped.run(30.0).traces("cells", "v").values
    start = simulation.get(network["cells"], "v"), simulation.get(network["cells"], "isyn_exc")
    silent.projections.clear()
    silent["cells"].initialize(v=start[0], isyn_exc=start[1])
    np.testing.assert_allclose(found, Simulation(silent).run(30.0).traces("cells", "v").values[1:], atol=1e-9)


@pytest.mark.parametrize("longer", [False, True])  # whether others have longer delays, so that more spikes are remembered
@pytest.mark.parametrize("plastic", [False, True])
@pytest.mark.parametrize(("delay", "expected"), [(2.0, [4.0, 5.0, 11.0]), (1.0, [4.0, 10.0]), (0.4, [9.4]), (4.0, [6.0, 7.0, 13.0])])
def test_a_changed_delay(delay, expected, plastic, longer):
    """Sent at 1, 2, 3 and 9 ms; at 3.5 ms the delay of 2 ms changes.  The spike of 1 ms has arrived, and does not arrive again; that of
    2 ms is lost where it would have arrived already."""
    network, projection = counting()
    if longer:
        network.project(network["source"], network["cells"], OneToOneConnector(), weight=0.0, delay=30.0)
    if plastic:
        projection = network.replace(projection, synapse=TsodyksMarkramSynapse(U=1.0, tau_rec=1e-3))
    simulation = Simulation(network)
    assert arrivals(simulation.run(3.5)) == [(3.0, 1.0)]
    network.replace(projection, delay=delay)
    simulation = simulation.follow().follow()
    assert arrivals(simulation.run(12.0)) == [(time, 1.0) for time in expected]
    if longer:
        simulation.reset()
        assert arrivals(simulation.run(4.5)) == [(1.0 + k + delay, 1.0) for k in range(3) if 1.0 + k + delay <= 4.5]


@settings(max_examples=25)
@given(before=st.lists(st.integers(1, 40), min_size=2, max_size=2), after=st.lists(st.integers(1, 40), min_size=2, max_size=2),
       now=st.integers(1, 60), threads=st.integers(1, 2))
def test_changed_delays_of_several_synapses(before, after, now, threads):
    """The rule of `neurosim.follow`, spike by spike."""
    sent = np.arange(1, 80, 3)
    network, projection = counting(times=sent * 0.1, delay=np.array(before) * 0.1)
    simulation = Simulation(network, threads=threads)
    first = simulation.run(now * 0.1).traces("cells", "v").values
    network.replace(projection, delay=np.array(after) * 0.1)
    found = np.concatenate([first, simulation.follow().run(14.0).traces("cells", "v").values])
    for i in range(2):
        steps = [s + before[i] for s in sent if s + before[i] <= now]
        if after == before:
            steps += [s + before[i] for s in sent if s + before[i] > now]
        else:
            steps += [s + after[i] for s in sent if s + after[i] > now and s + min(before) > now]
        np.testing.assert_array_equal(found[:, i], np.bincount(steps, minlength=400).cumsum()[:len(found)])


def test_projections_and_populations_come_and_go(tmp_path):
    network, projection = counting()
    simulation = Simulation(network)
    simulation.run(3.5)
    network.projections.remove(projection)
    simulation = simulation.follow()
    assert arrivals(simulation.run(3.0)) == []
    late = network.population(1, SpikeSourceArray(spike_times=[2.0, 8.0]), "late")  # 2.0 is past
    network.project(late, network["cells"], AllToAllConnector(), weight=7.0, delay=0.5)
    network.project(network["source"], network["cells"], OneToOneConnector(), weight=3.0, delay=4.0)
    simulation = simulation.follow()
    assert simulation.t == 6.5
    simulation.save(tmp_path / "state.nsim")
    for one in (simulation, Simulation.load(tmp_path / "state.nsim", network, threads=2)):
        assert arrivals(one.run(10.0)) == [(8.5, 7.0), (13.0, 3.0)]  # what was sent at 3.0 had no way to go


def test_plastic_synapses_with_other_delays_or_weights():
    """Weights and eligibilities go with the synapse; described anew, they begin anew."""
    network, learning = plastic.build("delta")
    simulation = Simulation(network, seed=5, threads=1)
    simulation.run(13.3)
    before = {one.label: simulation.weights(one) for one in learning}
    a, b, c = learning[:3]
    changed(a, delay=Uniform(0.5, 7.0))
    changed(b, weight=0.7 * b.synapse.weight_dependence.w_max * (b.sign or 1))
    network.weight_records = [one for one in network.weight_records if one.projection not in (a, b)]
    simulation = simulation.follow()
    for one in learning:
        now = simulation.weights(one.label)
        if one is b:
            np.testing.assert_allclose(np.abs(now.values), 0.7 * b.synapse.weight_dependence.w_max)
        else:
            np.testing.assert_array_equal(now.values, before[one.label].values)
        np.testing.assert_array_equal(now.pre, before[one.label].pre)
    simulation.run(10.0)
    assert all(np.isfinite(simulation.weights(one.label).values).all() for one in learning)
    assert not np.array_equal(simulation.weights(a.label).values, before[a.label].values)


def test_frozen_projections_stay_frozen():
    network, learning = plastic.build("delta")
    simulation = Simulation(network, seed=5)
    simulation.run(5.0)
    simulation.freeze(learning[0])
    simulation = simulation.follow()
    before = simulation.weights(learning[0])
    simulation.run(10.0)
    assert simulation.weights(learning[0]) == before
    simulation.thaw(learning[0])
    simulation.run(10.0)
    assert simulation.weights(learning[0]) != before


# ------------------------------------------------------------------------------------ currents

CURRENTS = {
    "constant": DCSource(amplitude=0.3, start=5.0, stop=60.0),
    "steps": StepCurrentSource(times=(5.0, 25.0), amplitudes=(0.3, 0.1)),
    "sine": ACSource(amplitude=0.3, frequency=30.0, start=3.0),
    "noise": NoisyCurrentSource(mean=0.2, stdev=0.4, start=3.0, dt=0.7),
}


@pytest.mark.parametrize("name", ["exp", "alpha", "delta", "stepped", "conductances"])
@pytest.mark.parametrize("current", CURRENTS)
def test_currents_come_and_go(name, current):
    """From now on, a current that is added acts as if it had always been there; one that is removed is gone, and others go on."""
    def build(first, second):
        network = driven(MODELS[name])
        for one in (first, second):
            if one is not None:
                network["cells"][1:4].inject(one)
        return network

    other = NoisyCurrentSource(mean=0.1, stdev=0.2)
    network, kept = build(CURRENTS[current], other), build(None, other)
    simulation = Simulation(network)
    simulation.run(20.3)
    v = {state: simulation.get(network["cells"], state) for state in network["cells"].cell.states}
    injection = network.injections.pop(0)
    simulation = simulation.follow()
    assert simulation._current_numbers == [1]
    now = {state: simulation.get(network["cells"], state) for state in v}
    for state in v:
        np.testing.assert_allclose(now[state], v[state], atol=1e-9)
    current_now = simulation._net.current[:6].copy()
    expected = Simulation(kept)
    expected._net.injections[:, expected._k.J_KEY] = simulation._net.injections[:, simulation._k.J_KEY]
    expected.run(20.3)
    np.testing.assert_allclose(current_now, expected._net.current[:6], atol=1e-12)
    simulation.run(5.0)
    network.injections.append(injection)
    simulation = simulation.follow()
    assert simulation._current_numbers == [1, 2]
    simulation.run(4.7)
    every = Simulation(build(other, CURRENTS[current]))
    keys = {int(key): n for n, key in enumerate(dict.fromkeys(every._net.injections[:, every._k.J_KEY].tolist()))}
    ours = list(dict.fromkeys(simulation._net.injections[:, simulation._k.J_KEY].tolist()))
    every._net.injections[:, every._k.J_KEY] = [ours[keys[int(key)]] for key in every._net.injections[:, every._k.J_KEY]]
    every.run(30.0)
    np.testing.assert_allclose(simulation._net.current[:6], every._net.current[:6], atol=1e-12)


def test_a_current_that_is_added_moves_no_potential():
    network = driven(MODELS["exp"])
    simulation = Simulation(network)
    simulation.run(10.0)
    before = simulation.get(network["cells"], "v")
    network["cells"].inject(DCSource(amplitude=0.8))
    simulation = simulation.follow()
    np.testing.assert_allclose(simulation.get(network["cells"], "v"), before, atol=1e-11)
    simulation.run(0.1)
    assert (simulation.get(network["cells"], "v") > before + 0.02).all()


def test_astrocytes_come_and_go():
    def build(weight):
        network = Network(seed=3)
        astro = network.population(3, graded.Astrocyte(), "astro", initial_values=graded.RISING).record("sic")
        cells = network.population(3, IF_cond_exp(v_thresh=0.0), "cells").record("v")
        if weight:
            network.project(astro, cells, OneToOneConnector(), weight=weight, delay=1.7, receptor="sic")
        return network

    network = build(2.0)
    simulation = Simulation(network)
    simulation.run(300.0)
    put = simulation.result.traces("astro", "sic").values
    assert put.max() > 0.0
    changed(network.projections[0], weight=-1.0, delay=2.5)
    simulation = simulation.follow()
    np.testing.assert_allclose(simulation._net.current[3:6], -put[-1 - 1 - 25], atol=1e-12)
    rest = simulation.run(50.0)
    put = np.concatenate([put, rest.traces("astro", "sic").values])
    np.testing.assert_allclose(simulation._net.current[3:6], -put[-1 - 1 - 25], atol=1e-12)
    network.projections.clear()
    simulation = simulation.follow()
    np.testing.assert_allclose(simulation._net.current[3:6], 0.0, atol=1e-12)


# ------------------------------------------------------------------------------------ setting states


@pytest.mark.parametrize("name", MODELS)
def test_any_state_can_be_set_in_a_running_simulation(name):
    """At time 0 that is what initial values do; later, what is set is what is there, and nothing else moves."""
    cell = MODELS[name]
    for k, state in enumerate(cell.states):
        value = {"v": -64.2, "u": -3.0, "v_t": -45.0}.get(state, 0.02 * (k + 1))
        network, twin = driven(cell), driven(cell)
        twin["cells"].initialize(**{state: value})
        simulation = Simulation(network)
        simulation.set(network["cells"], **{state: value})
        np.testing.assert_allclose(simulation.get(network["cells"], state), value, rtol=1e-12)
        simulation.run(20.0)
        expected = Simulation(twin)
        expected.run(20.0)
        assert simulation.result.spikes("cells") == expected.result.spikes("cells")
        for other in cell.states:
            np.testing.assert_allclose(simulation.result.traces("cells", other).values[1:],
                                       expected.result.traces("cells", other).values[1:], rtol=1e-7, atol=1e-9)
        spikes = simulation.result.spikes("cells")
        free = [i for i in range(6) if not (spikes.times[spikes.ids == i] > 17.9).any()][:2]  # v of others stays
        assert len(free) == 2
        before = {other: simulation.get(network["cells"], other) for other in cell.states}
        simulation.set(network["cells"][free], **{state: [value, 1.01 * value]})
        for other in cell.states:
            now = before[other].copy()
            if other == state:
                now[free] = value, 1.01 * value
            np.testing.assert_allclose(simulation.get(network["cells"], other), now, rtol=1e-9, atol=1e-9)
        simulation.run(1.0)


def test_what_cannot_be_set():
    network = driven(MODELS["exp"])
    simulation = Simulation(network)
    for values, words in (({"w": 1.0}, "isyn_exc"), ({"isyn_exc": float("nan")}, "isyn_exc"), ({"isyn_inh": [1.0, 2.0]}, "6 values"),
                          ({"tau_m": 3.0}, r"follow\(\)")):
        with pytest.raises(ParameterError, match=words):
            simulation.set(network["cells"], **values)
    with pytest.raises(ParameterError, match="no states"):
        simulation.set(network["excitatory"], v=1.0)


# ------------------------------------------------------------------------------------ refusals


def test_refusals(tmp_path):
    network = driven(MODELS["exp"])
    simulation = Simulation(network)
    simulation.run(1.0)
    with pytest.raises(ParameterError, match="needs a Network, got 3"):
        simulation.follow(3)
    with pytest.raises(NetworkError, match="has no population"):
        simulation.follow(Network())
    smaller = driven(MODELS["exp"], n=5)
    with pytest.raises(NetworkError, match=r"'cells' was 6 x IF_curr_exp and is now 5 x IF_curr_exp"):
        simulation.follow(smaller)
    network["cells"].cell = IF_curr_alpha()
    with pytest.raises(NetworkError, match="is now 6 x IF_curr_alpha"):
        simulation.follow()
    streaming = Simulation(driven(MODELS["exp"]), stream=tmp_path / "run.nsim")
    streaming.run(1.0)
    with pytest.raises(SimulationError, match="streams cannot be followed"):
        streaming.follow()
    streaming.close()
    assert streaming.follow().t == 1.0


def test_another_network_with_the_same_populations():
    """Nothing is the same object, all is matched by label."""
    whole, first, second = (nets.build("mixed") for _ in range(3))
    expected = Simulation(whole, seed=5)
    expected.run(CUT)
    simulation = Simulation(first, seed=5)
    simulation.run(CUT)
    assert simulation.follow(second).run(DURATION - CUT) == expected.run(DURATION - CUT)


def test_a_bad_change_leaves_the_simulation_as_it_was():
    network = driven(MODELS["exp"])
    simulation = Simulation(network)
    simulation.run(10.0)
    kept = network.projections[0]
    wrong = changed(kept, delay=0.01)
    with pytest.raises(NetworkError, match="below dt"):
        simulation.follow()
    network.projections[network.projections.index(wrong)] = kept
    simulation.run(10.0)
    assert simulation.result == Simulation(driven(MODELS["exp"])).run(20.0)
