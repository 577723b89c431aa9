"""The PyNN back end beyond what PyNN's own scenarios ask: segments, changes between runs, errors, and what it describes."""

import gc
import weakref

import numpy as np
import pytest

import neurosim

pytestmark = pytest.mark.needs("pyNN", "neo")


@pytest.fixture
def sim():
    import neurosim.pynn as back_end
    back_end.setup(timestep=0.1)
    return back_end


def small(sim, seed=3, **cell):
    """Sources, cells that they drive, and a recurrent projection with random weights and delays."""
    rng = sim.NumpyRNG(seed=seed)
    sources = sim.Population(20, sim.SpikeSourcePoisson(rate=80.0), label="sources")
    v = sim.RandomDistribution("uniform", (-65, -55), rng=rng)
    cells = sim.Population(30, sim.IF_curr_exp(**cell), initial_values={"v": v}, label="cells")
    weights = sim.RandomDistribution("uniform", (0.1, 0.5), rng=sim.NumpyRNG(seed=seed + 1))
    delays = sim.RandomDistribution("uniform", (0.2, 3.0), rng=sim.NumpyRNG(seed=seed + 2))
    sim.Projection(sources, cells, sim.FixedProbabilityConnector(0.5, rng=rng), sim.StaticSynapse(weight=weights, delay=delays))
    sim.Projection(cells, cells, sim.FixedNumberPreConnector(5, rng=rng), sim.StaticSynapse(weight=0.2, delay=delays))
    cells.record(["spikes", "v"])
    return sources, cells


def trains(population, **kind):
    segment = population.get_data(**kind).segments[-1]
    return [np.asarray(one.magnitude) for one in segment.spiketrains], np.asarray(segment.analogsignals[0].magnitude)


def test_a_run_in_pieces_is_one_run(sim):
    _, cells = small(sim)
    sim.run(200.0)
    whole = trains(cells)
    sim.setup(timestep=0.1)
    _, cells = small(sim)
    for duration in (0.1, 49.9, 100.0):
        sim.run(duration)
    sim.run_until(200.0)
    pieces = trains(cells)
    assert sum(map(len, whole[0])) > 50
    assert all(np.array_equal(a, b) for a, b in zip(whole[0], pieces[0], strict=True))
    assert np.array_equal(whole[1], pieces[1]) and whole[1].shape == (2001, 30)


def test_it_is_the_engines_network(sim):
    """The description of the script, simulated by itself, gives the same spikes."""
    _, cells = small(sim)
    network = sim.describe_network()
    assert isinstance(network, neurosim.Network) and {p.label for p in network.populations} == {"sources", "cells"}
    spikes = neurosim.Simulation(network, dt=0.1, seed=1, threads=2, update="clock").run(200.0).spikes("cells")
    sim.run(200.0)
    found, _ = trains(cells)
    assert spikes.times.size > 50
    for k, train in enumerate(found):
        np.testing.assert_allclose(train, spikes.times[spikes.ids == k], atol=1e-9)


def test_segments_keep_their_data_and_trials_differ(sim):
    _, cells = small(sim)
    for _ in range(3):
        sim.run(100.0)
        sim.reset()
    block = cells.get_data()
    assert len(block.segments) == 3
    counts = [sum(len(one) for one in segment.spiketrains) for segment in block.segments]
    starts = [segment.analogsignals[0][0].magnitude for segment in block.segments]
    assert min(counts) > 20 and len(set(counts)) > 1  # noise goes on; initial values do not change
    assert np.array_equal(starts[0], starts[1]) and np.array_equal(starts[0], starts[2])


def test_cleared_data_begin_where_the_last_ended(sim):
    _, cells = small(sim)
    sim.run(50.0)
    first = cells.get_data(clear=True).segments[0]
    sim.run(30.0)
    second = cells.get_data().segments[0]
    assert first.analogsignals[0].shape == (501, 30) and second.analogsignals[0].shape == (301, 30)
    assert float(second.analogsignals[0].t_start) == 50.0
    assert np.array_equal(first.analogsignals[0][-1].magnitude, second.analogsignals[0][0].magnitude)
    assert all(50.0 < float(t) <= 80.0 for train in second.spiketrains for t in train)
    assert sum(cells.get_spike_counts().values()) == sum(len(train) for train in second.spiketrains)


def test_cells_recorded_later_have_no_samples_before(sim):
    p = sim.Population(4, sim.IF_cond_exp(i_offset=0.5))
    p[:2].record("v", sampling_interval=0.5)
    sim.run(10.0)
    p[2:3].record("v", sampling_interval=0.5)
    sim.run(10.0)
    v = p.get_data().segments[0].analogsignals[0]
    assert v.shape == (41, 3) and float(v.sampling_period) == 0.5
    assert np.isnan(v.magnitude[:20, 2]).all() and not np.isnan(v.magnitude[20:]).any()
    np.testing.assert_allclose(v.magnitude[20:, 2], v.magnitude[20:, 0])


def test_samples_lie_at_their_times_whatever_the_interval_was(sim):
    p = sim.Population(2, sim.IF_cond_exp(i_offset=0.5))
    q = sim.Population(1, sim.IF_cond_exp(i_offset=0.5))
    q.record("v")
    p.record("v", sampling_interval=1.0)
    sim.run(10.3)
    p.get_data(clear=True)  # the next sample is that at 11.0, not at 10.3
    sim.run(9.7)
    p.record(None)
    p.record("v", sampling_interval=0.5)
    sim.run(5.0)
    v, every = p.get_data().segments[0].analogsignals[0], q.get_data().segments[0].analogsignals[0].magnitude[:, 0]
    steps = np.rint(v.times.magnitude / 0.1).astype(int)
    assert steps[0] == 105 and steps[-1] == 250 and float(v.sampling_period) == 0.5
    there = ~np.isnan(v.magnitude[:, 0])
    assert steps[there].tolist() == [*range(110, 200, 10), *range(200, 251, 5)]
    assert np.array_equal(v.magnitude[there, 1], every[steps[there]])


def test_given_times_after_the_step_at_which_they_act_are_not_lost(sim):
    p = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.04, 5.04, 7.951]))
    p.record("spikes")
    found = []
    for duration in (5.0, 2.9, 0.1):
        sim.run(duration)
        found.append(p.get_data(clear=True).segments[0].spiketrains[0].magnitude.tolist())
    assert found == [[1.04], [5.04], [7.951]]


def test_initial_values_of_views_and_single_cells(sim):
    p = sim.Population(6, sim.IF_cond_exp())
    view = p[1:5]
    view.initialize(v=[-60.0, -61.0, -62.0, -63.0])
    view[[1, 3]].initialize(v=-70.0)
    p[0].set_initial_value("v", -58.0)
    assert p[3].get_initial_value("v") == -62.0
    expected = [-58.0, -60.0, -70.0, -62.0, -70.0, -65.0]
    assert p.initial_values["v"].evaluate().tolist() == expected and view.initial_values["v"].tolist() == expected[1:5]
    p.record("v")
    sim.run(0.1)
    assert p.get_data().segments[0].analogsignals[0].magnitude[0].tolist() == expected
    with pytest.raises(KeyError, match="V"):
        p.initialize(V=-60.0)


def test_setup_lets_go_of_what_was_there(sim):
    def made():
        _, cells = small(sim)
        sim.run(1.0)
        return weakref.ref(cells), weakref.ref(sim.describe_network()), weakref.ref(sim.simulator.state.projections[0])

    kept = made()
    assert all(one() is not None for one in kept) and kept[0]()[0].parent is kept[0]()
    sim.setup(timestep=0.1)
    gc.collect()
    assert [one() for one in kept] == [None] * 3


def test_a_script_without_labels_gives_the_same_when_it_is_run_again(sim):
    def trains_of_sources():
        sim.setup(timestep=0.1)
        sources = sim.Population(5, sim.SpikeSourcePoisson(rate=100.0))
        sources.record("spikes")
        sim.run(200.0)
        return [train.magnitude.tolist() for train in sources.get_data().segments[0].spiketrains]

    first = trains_of_sources()
    assert all(first) and trains_of_sources() == first


def test_time_passes_without_populations(sim):
    assert sim.run(10.0) == 10.0
    p = sim.Population(2, sim.IF_cond_exp(i_offset=1.0), label="nothing")
    p.record("v")
    assert sim.run(5.0) == 15.0
    v = p.get_data().segments[0].analogsignals[0]
    assert v.shape == (51, 2) and float(v.t_start) == 10.0 and v.magnitude[0, 0] == -65.0


def test_recorded_currents(sim):
    p = sim.Population(3, sim.IF_curr_exp(v_thresh=1000.0, tau_m=5.0))
    noise = sim.NoisyCurrentSource(mean=0.1, stdev=0.2, start=2.0, stop=8.0, dt=0.5)
    steady = sim.DCSource(amplitude=0.1, start=1.0, stop=50.0)
    steady.inject_into(p[:1])
    noise.inject_into(p[1:])
    steady.record()
    noise.record()
    p.record("v")
    sim.run(5.0)
    steady.amplitude = 0.2
    later = sim.ACSource(amplitude=0.3)
    later.inject_into(p[:1])
    sim.run(5.0)
    later.record()
    sim.run(2.0)
    dc, ac, made = (one.get_data() for one in (steady, later, noise))
    assert dc.shape == made.shape == (121, 1) and ac.shape == (21, 1) and float(ac.t_start) == 10.0
    np.testing.assert_allclose(dc.magnitude[[0, 9, 10, 49, 50, 120], 0], [0, 0, 0.1, 0.1, 0.2, 0.2])
    # the noise that is recorded is what the cell got: C dv/dt = i - C v / tau, solved over each step with i constant
    v, current = p.get_data().segments[0].analogsignals[0].magnitude[:, 1] + 65.0, made.magnitude[:-1, 0]
    decay = np.exp(-0.1 / 5.0)
    assert np.ptp(current) > 0.1
    np.testing.assert_allclose(v[1:], v[:-1] * decay + current * 5.0 * (1 - decay), atol=1e-9)


def test_plastic_weights_stay_when_the_network_is_described_between_runs(sim):
    sources = sim.Population(4, sim.SpikeSourcePoisson(rate=100.0))
    cells = sim.Population(3, sim.IF_curr_exp(i_offset=1.0))
    rule = sim.STDPMechanism(sim.SpikePairRule(A_plus=0.1, A_minus=0.1), sim.AdditiveWeightDependence(w_max=1.0), weight=0.5)
    projection = sim.Projection(sources, cells, sim.AllToAllConnector(), rule)
    sim.run(50.0)
    learned = projection.get("weight", "array")
    assert np.ptp(learned) > 0
    projection.set(tau_plus=10.0)
    sim.describe_network()
    assert np.array_equal(projection.get("weight", "array"), learned)
    projection.set(weight=0.3)
    sim.describe_network()
    sim.run(0.1)
    np.testing.assert_allclose(projection.get("weight", "array"), 0.3, atol=0.05)


def test_plastic_weights_that_were_set_are_those_after_a_reset(sim):
    def network(weight):
        sources = sim.Population(2, sim.SpikeSourceArray(spike_times=np.arange(5.0, 100.0, 10.0)))
        cells = sim.Population(2, sim.IF_curr_exp(i_offset=1.0))
        rule = sim.STDPMechanism(sim.SpikePairRule(A_plus=0.01, A_minus=0.012), sim.AdditiveWeightDependence(0.0, 0.1), weight=weight)
        return sim.Projection(sources, cells, sim.AllToAllConnector(), rule)

    projection = network(0.03)
    sim.run(30.0)
    projection.set(weight=0.05)
    sim.run(30.0)
    assert projection.get("weight", "array")[0, 0] != 0.05
    sim.reset()
    assert (projection.get("weight", "array") == 0.05).all()
    sim.run(40.0)
    found = projection.get("weight", "array")
    sim.setup(timestep=0.1)
    projection = network(0.05)
    sim.run(40.0)
    assert np.array_equal(projection.get("weight", "array"), found) and found[0, 0] != 0.05


@pytest.mark.parametrize("change", ["i_offset", "tau_m", "weight", "rate", "v", "inject", "new population"])
def test_what_is_changed_between_runs_counts_from_then_on(sim, change):
    sources, cells = small(sim)
    projection = sim.simulator.state.projections[0]
    sim.run(100.0)
    if change == "i_offset":
        cells[:10].set(i_offset=1.0)
    elif change == "tau_m":
        cells.set(tau_m=10.0)
    elif change == "weight":
        projection.set(weight=0.0)
    elif change == "rate":
        sources.set(rate=0.0)
    elif change == "v":
        cells.initialize(v=-80.0)
    elif change == "inject":
        cells.inject(sim.DCSource(amplitude=-2.0))
    else:
        more = sim.Population(5, sim.SpikeSourceArray(spike_times=np.arange(101.0, 190.0, 2.0)), label="more")
        sim.Projection(more, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.2, delay=0.5))
    sim.run(100.0)
    changed, v = trains(cells)
    sim.setup(timestep=0.1)
    _, same = small(sim)
    sim.run(200.0)
    plain, v_plain = trains(same)
    for one, other in zip(changed, plain, strict=True):
        assert np.array_equal(one[one <= 100.0], other[other <= 100.0])
    # v as initialised and i_offset act at once or in the step that follows
    assert np.array_equal(v[:1000], v_plain[:1000]) and not np.array_equal(v[1001:], v_plain[1001:])
    counts = [sum((one > 110.0).sum() for one in train) for train in (changed, plain)]
    assert counts[0] != counts[1]
    if change in ("weight", "rate", "inject", "tau_m"):
        assert counts[0] < counts[1]


def test_callbacks_between_steps_may_change_the_network(sim):
    source = sim.Population(3, sim.SpikeSourcePoisson(rate=50.0))
    source.record("spikes")
    asked = []

    def faster(t):
        asked.append(t)
        source.set(rate=50.0 + 50.0 * len(asked))
        return t + 100.0

    sim.run(500.0, callbacks=[faster])
    np.testing.assert_allclose(asked, [0.0, 100.0, 200.0, 300.0, 400.0, 500.0])
    times = np.concatenate([train.magnitude for train in source.get_data().segments[0].spiketrains])
    early, late = (times < 200.0).sum(), (times > 300.0).sum()
    assert late > 1.4 * early > 0


@pytest.mark.parametrize("end", [2.96, 3.0, 3.04])
def test_callbacks_end_with_the_run(sim, end):
    sim.Population(1, sim.IF_cond_exp())
    called = []

    def each(t):
        called.append(t)
        return t + 1.0

    assert sim.run_until(end, callbacks=[each]) == pytest.approx(3.0)
    np.testing.assert_allclose(called, [0, 1, 2, 3], atol=1e-9)
    with pytest.raises(ValueError, match="less than half a step"):
        sim.run(1.0, callbacks=[lambda t: t + 0.04])


def test_plastic_weights_are_read_and_set_between_runs(sim):
    pre = sim.Population(3, sim.SpikeSourceArray(spike_times=np.arange(5.0, 400.0, 20.0)))
    post = sim.Population(2, sim.SpikeSourceArray(spike_times=[]))
    post = sim.Population(2, sim.IF_curr_exp(tau_m=5.0))
    drive = sim.Population(1, sim.SpikeSourceArray(spike_times=np.arange(8.0, 400.0, 20.0)))
    sim.Projection(drive, post, sim.AllToAllConnector(), sim.StaticSynapse(weight=50.0, delay=0.1))
    stdp = sim.STDPMechanism(sim.SpikePairRule(tau_plus=20.0, tau_minus=20.0, A_plus=0.01, A_minus=0.012),
                             sim.AdditiveWeightDependence(w_min=0.0, w_max=0.1), weight=0.01, delay=0.5)
    projection = sim.Projection(pre, post, sim.AllToAllConnector(), stdp)
    assert projection.get("weight", format="array").tolist() == [[0.01] * 2] * 3
    sim.run(200.0)
    learnt = projection.get("weight", format="array")
    assert (learnt > 0.011).all()
    projection.set(weight=0.05)
    assert (projection.get("weight", format="array") == 0.05).all()
    sim.run(200.0)
    assert (projection.get("weight", format="array") > 0.051).all()
    sim.reset()
    assert (projection.get("weight", format="array") <= 0.05).all()
    assert projection.get("A_plus", format="list", with_address=False) == [0.01] * 6


def test_cells_that_pynn_has_no_name_for(sim):
    jump = sim.native_cell_type("IF_jump")
    p = sim.Population(2, jump(v_thresh=1.0, v_reset=0.0), initial_values={"v": 0.0})
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0, 2.0, 3.0, 4.0]))
    sim.Projection(source, p, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.6, delay=0.1))
    p.record("spikes")
    sim.run(6.0)
    assert p.get_spike_counts() == {p[0]: 2, p[1]: 2}
    from pyNN.errors import InvalidModelError
    with pytest.raises(InvalidModelError, match="no cell model 'IF_jmp'"):
        sim.native_cell_type("IF_jmp")


def test_errors_are_pynns(sim):
    from pyNN import errors
    with pytest.raises(errors.InvalidParameterValueError, match="tau_m must be > 0 ms, got -1"):
        sim.Population(2, sim.IF_curr_exp(tau_m=-1.0))
    with pytest.raises(errors.NonExistentParameterError, match="tau_mem"):
        sim.IF_curr_exp(tau_mem=1.0)
    p = sim.Population(2, sim.IF_curr_exp())
    with pytest.raises(errors.InvalidParameterValueError, match="cm must be > 0 nF"):
        p.set(cm=0.0)
    with pytest.raises(errors.InvalidParameterValueError, match="cm"):
        p.set(cm=None)
    assert p.get("cm") == 1.0
    with pytest.raises(errors.RecordingError, match="Available variables are spikes,v"):
        p.record("gsyn_exc")
    with pytest.raises(errors.InvalidParameterValueError, match="sampling_interval must be a multiple of the time step 0.1 ms"):
        p.record("v", sampling_interval=0.25)
    with pytest.raises(errors.ConnectionError, match="negative"):
        sim.Projection(p, p, sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0), receptor_type="inhibitory")
    with pytest.raises(TypeError, match="spike source"):
        sim.Population(1, sim.SpikeSourceArray()).inject(sim.DCSource())
    with pytest.raises(ValueError, match="twice"):
        sim.DCSource().inject_into([p[1], p[1]])
    with pytest.raises(errors.NoModelAvailableError, match="voltage_dependence"):
        sim.STDPMechanism(sim.SpikePairRule(), sim.AdditiveWeightDependence(), voltage_dependence=object())
    with pytest.raises(ValueError, match="in the past"):
        sim.run(1.0)
        sim.run_until(0.5)


def test_every_standard_model_of_pynn_is_there(sim):
    """Each cell and source that PyNN declares can be made, run and recorded."""
    from pyNN.standardmodels import StandardCellType, cells, electrodes, synapses
    declared = [name for name, one in vars(cells).items() if isinstance(one, type) and issubclass(one, StandardCellType)
                and one is not StandardCellType]
    assert len(declared) >= 18
    assert set(declared) <= set(sim.list_standard_models())
    for module in (synapses, electrodes):
        names = [name for name, one in vars(module).items() if isinstance(one, type) and getattr(one, "default_parameters", None)
                 and one.__module__ == module.__name__]
        assert names and all(hasattr(sim, name) for name in names)
    for name in sorted(set(declared) - {"PointNeuron", "MultiCompartmentNeuron"}):
        kind = getattr(sim, name)
        p = sim.Population(2, kind(), label=name)
        p.record(kind.recordable)
    sim.run(2.0)
    for p in list(sim.simulator.state.populations):
        segment = p.get_data().segments[0]
        assert {one.name for one in segment.analogsignals} == set(p.celltype.recordable) - {"spikes"}


@pytest.mark.needs("nest")
def test_spikes_are_those_of_pynn_nest(sim):
    """The same script, on deterministic input, gives NEST's spikes to the step."""
    import pyNN.nest as nest

    def script(s):
        s.setup(timestep=0.1, min_delay=0.1, verbosity="error", spike_precision="on_grid")
        rng = s.NumpyRNG(seed=11)
        times = [np.sort(np.round(np.random.default_rng(k).uniform(1.0, 190.0, 30), 1)) for k in range(15)]
        times = [one - 1e-4 for one in times]  # PyNN's NEST would move some of the rounded times by a step
        sources = s.Population(15, s.SpikeSourceArray(spike_times=times))
        cells = s.Population(25, s.IF_curr_exp(tau_refrac=2.0, i_offset=0.3))
        cells.initialize(v=-65.0)
        for pre, p in ((sources, 0.6), (cells, 0.2)):
            s.Projection(pre, cells, s.FixedProbabilityConnector(p, rng=rng),
                         s.StaticSynapse(weight=s.RandomDistribution("uniform", (0.1, 0.9), rng=s.NumpyRNG(seed=5)),
                                         delay=s.RandomDistribution("uniform", (0.2, 2.0), rng=s.NumpyRNG(seed=6))))
        cells.record("spikes")
        s.run(200.0)
        found = [np.asarray(one.magnitude) for one in cells.get_data().segments[0].spiketrains]
        s.end()
        return found

    ours, theirs = script(sim), script(nest)
    assert sum(map(len, theirs)) > 100
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("kind", ["DCSource", "NoisyCurrentSource"])
def test_recorded_currents_are_those_that_act(sim, kind):
    """A cell without a leak to speak of adds them up; over several runs, segments and a change in between."""
    given = {"DCSource": {"amplitude": 0.3}, "NoisyCurrentSource": {"mean": 0.2, "stdev": 0.5, "dt": 0.3}}[kind]
    cells = sim.Population(2, sim.IF_curr_exp(cm=1.0, tau_m=1e6, v_thresh=1e6))
    current = getattr(sim, kind)(start=5.0, stop=40.0, **given)
    for one in cells:
        one.inject(current)
    current.record()
    cells.record("v")
    assert current.get_data().magnitude.ravel().tolist() == [0.0]
    found = []
    for first in (20.0, 30.0):
        sim.run(first)
        cells.inject(sim.DCSource(amplitude=0.0))  # numbers of injections change, noise does not
        sim.run(50.0 - first)
        v = np.asarray(cells.get_data(clear=True).segments[-1].analogsignals[0].magnitude)
        kept = current.get_data()
        np.testing.assert_allclose(kept.times.rescale("ms").magnitude, 0.1 * np.arange(501))
        found.append(kept.magnitude.ravel())
        np.testing.assert_allclose(np.diff(v, axis=0), 0.1 * np.column_stack([found[-1][:-1]] * 2), rtol=0, atol=5e-6)
        sim.reset()
    assert np.ptp(found[0]) > 0.2 and not found[0][:50].any() and not found[0][400:].any()
    assert np.array_equal(*found) == (kind == "DCSource")  # each segment draws anew
