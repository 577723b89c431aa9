"""Projections of the PyNN back end: reading, setting and saving, one by one, together and while weights change."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.needs("pyNN")
pytest.importorskip("pyNN")

import pyNN.mock as mock  # noqa: E402
from pyNN import common, errors  # noqa: E402
from pyNN.core import IndexBasedExpression  # noqa: E402
from pyNN.random import NumpyRNG, RandomDistribution  # noqa: E402

import neurosim.pynn as sim  # noqa: E402
from neurosim import wiring  # noqa: E402
from neurosim.pynn import projections, simulator  # noqa: E402

MULTIPLE = ["last", "first", "sum", "min", "max"]


def two(connector, synapse=None, sizes=(4, 3), module=sim, **settings):
    """A projection between two new populations."""
    module.setup(timestep=0.1)
    p, q = (module.Population(n, module.IF_cond_exp()) for n in sizes)
    return module.Projection(p, q, connector(module), synapse(module) if synapse else module.StaticSynapse(weight=0.5, delay=1.0),
                             receptor_type="excitatory", **settings)


LISTED = [(0, 0, 0.1, 1.0), (1, 0, 0.2, 2.0), (3, 0, 0.3, 3.0), (1, 1, 0.4, 4.0), (1, 0, 0.5, 5.0), (2, 2, 0.6, 6.0), (1, 0, 0.25, 7.0)]


def listed(module=sim):
    return two(lambda one: one.FromListConnector(LISTED), module=module)


# ------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("names", ["weight", "delay", ["weight"], ["weight", "delay"], ["delay", "weight"]])
@pytest.mark.parametrize("gather", [True, False, "all"])
def test_get_is_pynns(names, gather):
    mine, theirs = listed(), listed(mock)
    for address in (True, False):
        lists = [prj.get(names, "list", gather=gather, with_address=address) for prj in (mine, theirs)]
        assert lists[0] == lists[1]
    for several in MULTIPLE:
        np.testing.assert_array_equal(mine.get(names, "array", gather=gather, multiple_synapses=several),
                                      theirs.get(names, "array", gather=gather, multiple_synapses=several))


@given(rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.floats(-9, 9), st.floats(0.1, 9)), min_size=6, max_size=40))
def test_several_synapses_between_two_cells(rows):
    mine, theirs = (two(lambda one: one.FromListConnector(rows), module=module) for module in (sim, mock))
    for several in MULTIPLE:
        np.testing.assert_array_equal(mine.get(["weight", "delay"], "array", multiple_synapses=several),
                                      theirs.get(["weight", "delay"], "array", multiple_synapses=several))


def test_types_of_what_is_read():
    prj = listed()
    first = prj.get("weight", "list")[0]
    assert [type(one) for one in first] == [int, int, float]
    assert prj.get("weight", "array").dtype == np.float64
    assert prj.shape == (4, 3) and prj.size() == len(prj) == 7
    with pytest.raises(Exception, match="format must be"):
        prj.get("weight", "table")
    with pytest.raises(ValueError, match="multiple_synapses"):
        prj.get("weight", "array", multiple_synapses="mean")
    with pytest.raises(KeyError):
        prj.get("U", "list")


def test_nothing_connected():
    prj = two(lambda one: one.FromListConnector([]))
    assert len(prj) == 0 and prj.get("weight", "list") == [] and list(prj.connections) == []
    assert np.isnan(prj.get("weight", "array")).all()
    prj.set(weight=0.3)
    assert sim.describe_network().projections == []
    sim.run(1.0)


# ------------------------------------------------------------------------------------- one by one


def test_connections():
    prj = listed()
    all_of_them = prj.connections
    assert len(all_of_them) == 7 and isinstance(all_of_them[0], common.Connection)
    assert [c.as_tuple("presynaptic_index", "postsynaptic_index", "weight", "delay") for c in prj] == prj.get(["weight", "delay"], "list")
    assert [c.weight for c in prj[1:4]] == [row[2] for row in prj.get("weight", "list")[1:4]]
    assert prj[-1].as_tuple("delay") == prj[6].as_tuple("delay")
    with pytest.raises(IndexError):
        prj[7]
    with pytest.raises(AttributeError, match="has no 'U'"):
        prj[0].U
    with pytest.raises(AttributeError, match="has no 'U' that could be set"):
        prj[0].U = 0.5
    with pytest.raises(AttributeError):
        prj[0].presynaptic_index = 2


def test_one_synapse_is_set():
    prj = two(lambda one: one.AllToAllConnector())
    assert prj._values == {"weight": 0.5, "delay": 1.0}
    network = sim.describe_network()
    for k, value in [(2, 0.1), (5, 0.2), (2, 0.3)]:
        prj[k].weight = value
        assert prj.stale and prj[k].weight == value
    expected = np.full(12, 0.5)
    expected[[2, 5]] = 0.3, 0.2
    assert prj.get("weight", "list", with_address=False) == expected.tolist()
    assert prj._values["delay"] == 1.0
    (native,) = sim.describe_network().projections
    assert sim.describe_network() is network and not prj.stale
    assert np.array_equal(wiring.arrays(native, 1, 0.1)[2], expected)
    prj[0].delay = 2.0
    assert prj.longest_delay() == 2.0 and prj.shortest_delay() == 1.0
    for _ in range(2):
        with pytest.raises(errors.ConnectionError, match="out of range"):
            prj[0].delay = 0.01
        assert prj[0].delay == 2.0


def test_setting_one_leaves_the_givers_array():
    class Given(sim.Connector):
        parameter_names = ()

        def connect(self, projection):
            projection._convergent_connect([0, 1], 0, weight=weights, delay=1.0)

    weights = np.array([0.1, 0.2])
    prj = two(lambda one: Given())
    prj[0].weight = 0.7
    prj[1].weight = 0.8
    assert weights.tolist() == [0.1, 0.2] and prj.get("weight", "list", with_address=False) == [0.7, 0.8]


# ------------------------------------------------------------------------------------- all together


def table(prj):
    return np.array(prj.get(["weight", "delay"], "list"))


def test_set_numbers_arrays_lists():
    prj = listed()
    pre, post = table(prj)[:, :2].astype(int).T
    prj.set(weight=0.25, delay=2)
    assert prj._values == {"weight": 0.25, "delay": 2.0}
    matrix = np.arange(12.0).reshape(4, 3)
    prj.set(weight=matrix)
    assert np.array_equal(table(prj)[:, 2], matrix[pre, post])
    prj.set(weight=np.where(np.isnan(prj.get("weight", "array")), np.nan, 2 * matrix).astype(float))
    assert np.array_equal(table(prj)[:, 2], 2 * matrix[pre, post])
    pairs = np.argwhere(~np.isnan(prj.get("weight", "array")))  # by source, then target
    for kind in (list, np.array):
        values = np.linspace(0.1, 0.5, len(pairs))
        prj.set(weight=kind(values), delay=kind(values + 1.0))
        full = np.full((4, 3), np.nan)
        full[tuple(pairs.T)] = values
        np.testing.assert_array_equal(prj.get("weight", "array", multiple_synapses="max"), full)
        assert np.array_equal(table(prj)[:, 3], full[pre, post] + 1.0)
    with pytest.raises(errors.InvalidDimensionsError, match="weight must have one value for each of the 5 connected pairs .* got 7"):
        prj.set(weight=[0.1] * 7)
    with pytest.raises(errors.NonExistentParameterError):
        prj.set(U=0.5)
    with pytest.raises(errors.InvalidDimensionsError):
        prj.set(weight=np.ones((3, 4)))


class Sum(IndexBasedExpression):
    def __call__(self, i, j):
        return i + 10.0 * j + 0.0 * self.projection.shape[0]


def test_set_functions():
    prj = listed()
    pre, post = table(prj)[:, :2].astype(int).T
    distance = np.abs(pre - post)
    prj.set(weight=lambda d: 0.5 + d, delay="1.0 + 2*d")
    assert np.array_equal(table(prj)[:, 2:], np.column_stack([0.5 + distance, 1.0 + 2 * distance]))
    prj.set(weight=Sum())
    assert np.array_equal(table(prj)[:, 2], pre + 10.0 * post)
    assert copy.deepcopy(prj) is prj


@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize("portion", [1, 7, 1000])
def test_set_random(monkeypatch, clipped, portion):
    """Drawn for all pairs of cells, as PyNN's back ends draw them: by source, then target."""
    monkeypatch.setattr(projections, "_PAIRS", portion)
    prj = listed()
    pre, post = table(prj)[:, :2].astype(int).T

    def made():
        if clipped:
            return RandomDistribution("normal_clipped", (0.5, 0.5, 0.1, 0.9), rng=NumpyRNG(3))
        return RandomDistribution("uniform", (0.1, 0.9), rng=NumpyRNG(3))

    prj.set(weight=made())
    assert np.array_equal(table(prj)[:, 2], made().next(12).reshape(4, 3)[pre, post])


@pytest.mark.filterwarnings("ignore::Warning")
def test_names_of_old():
    prj = listed()
    prj.setWeights(0.5)
    prj.setDelays(2.0)
    prj.randomizeWeights(RandomDistribution("uniform", (0.1, 0.9), rng=NumpyRNG(3)))
    weights = np.array(prj.getWeights("list"))
    assert weights.shape == (7,) and prj.getDelays("list") == [2.0] * 7
    counts, bins = prj.weightHistogram(min=0.0, max=1.0, nbins=4)
    assert counts.sum() == 7 and bins.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert np.array_equal(counts, np.histogram(weights, 4, (0, 1))[0])


def test_parameters_of_each_synapse():
    prj = two(lambda one: one.AllToAllConnector(),
              lambda one: one.TsodyksMarkramSynapse(weight=0.1, delay=1.0, U=lambda d: 0.1 + 0.1 * d, tau_rec=100.0))
    assert prj.get("U", "array")[3, 0] == 0.1 + 0.1 * 3
    prj.set(U=0.3, tau_rec=[float(k) for k in range(1, 13)])
    assert prj._values["U"] == 0.3
    assert prj.get("tau_rec", "array").tolist() == np.arange(1.0, 13.0).reshape(4, 3).tolist()


@pytest.mark.parametrize("format", ["list", "array"])
def test_save(tmp_path, format):
    files = []
    for module in (mock, sim):
        path = tmp_path / f"{module.__name__}.txt"
        listed(module).save("all" if format == "list" else "weight", str(path), format=format, with_address=format == "list")
        files.append(path.read_text())
    assert files[0].replace("np.int64", "").replace("np.float64", "") == files[1] or _numbers(files[0]) == _numbers(files[1])
    assert "columns" in files[1]
    if format == "list":
        again = two(lambda one: one.FromFileConnector(str(path)))
        assert sorted(again.get(["weight", "delay"], "list")) == sorted(listed().get(["weight", "delay"], "list"))


def _numbers(text):
    return [[float(one) for one in line.split()] for line in text.splitlines() if not line.startswith("#")]


def test_described():
    prj = listed()
    assert "FromListConnector" in prj.describe()
    assert prj.label == f"{prj.pre.label}→{prj.post.label}" and repr(prj) == f'Projection("{prj.label}")'
    prj.annotate(source="me")
    with pytest.raises(NotImplementedError, match="'u' cannot be initialized"):
        prj._set_initial_value_array("u", 1.0)


# ------------------------------------------------------------------------------------- in the network


def test_a_change_replaces_what_was_described():
    prj = listed()
    other = sim.Projection(prj.post, prj.pre, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.5), receptor_type="inhibitory")
    network = sim.describe_network()
    before = list(network.projections)
    prj.set(weight=0.125)
    sim.describe_network()
    assert network.projections[0] is not before[0] and network.projections[1] is before[1] is other.native[0]
    assert network.projections[0] is prj.native[0] and prj.native[0].label == before[0].label
    assert prj.native[0].weight == 0.125 and prj.native[0].receptor == "excitatory" and other.native[0].receptor == "inhibitory"


@pytest.mark.parametrize("ordered", [True, False])
def test_synapses_are_handed_over_in_order(ordered):
    """By target, then source, whatever the order in which they were made; parameters go along."""
    rng = np.random.default_rng(2)
    rows = np.column_stack([rng.integers(0, 20, 300), rng.integers(0, 15, 300), rng.uniform(0, 1, 300), rng.uniform(1, 2, 300)])
    if ordered:
        rows = rows[np.lexsort((rows[:, 0], rows[:, 1]))]
    two(lambda one: one.FromListConnector(rows), sizes=(20, 15))
    (native,) = sim.describe_network().projections
    pre, post, weight, _ = wiring.arrays(native, 1, 0.1)
    assert (np.lexsort((pre, post)) == np.arange(300)).all()
    assert sorted(zip(pre.tolist(), post.tolist(), weight.tolist())) == sorted((int(a), int(b), w) for a, b, w, _ in rows.tolist())
    assert np.array_equal(np.array(native.delay)[np.argsort(weight)], rows[np.argsort(rows[:, 2]), 3])


@pytest.mark.parametrize(("kind", "names"), [
    ("TsodyksMarkramSynapse", ("U", "tau_rec", "tau_facil")), ("SimpleStochasticSynapse", ("p",)),
    ("StochasticTsodyksMarkramSynapse", ("U", "tau_rec", "tau_facil")), ("MultiQuantalSynapse", ("U", "tau_rec", "tau_facil"))])
def test_parameters_of_each_synapse_reach_the_network(kind, names):
    """In the order of the synapses there, which is another than that in which they were made."""
    def synapse(module):
        drawn = {name: RandomDistribution("uniform", (0.1, 0.9), rng=NumpyRNG(k)) for k, name in enumerate(names)}
        return getattr(module, kind)(weight=0.1, delay=1.0, **drawn)

    prj = two(lambda one: one.FixedNumberPreConnector(5, rng=NumpyRNG(3)), synapse, sizes=(20, 15))
    assert projections._order(prj._pre, prj._post, 20, 15) is not None
    (native,) = sim.describe_network().projections
    for name in names:
        values = getattr(native.synapse, name)
        assert np.ptp(values) > 0.5
        assert np.array_equal(values, prj.get(name, "array")[native.connector.pre, native.connector.post])
    sim.run(1.0)


def test_electrical_synapses_have_no_delay():
    p = two(lambda one: one.OneToOneConnector()).pre
    prj = sim.Projection(p, p, sim.AllToAllConnector(allow_self_connections=False), sim.ElectricalSynapse(weight=0.01),
                         receptor_type="excitatory")
    assert prj.get("weight", "list")[0] == (1, 0, 0.01)
    assert prj._values == {"weight": 0.01} and prj.shortest_delay() == prj.longest_delay() == 0.1
    sim.run(1.0)
    assert prj.native[0].delay is None and prj.native[0].weight == 0.01


# ------------------------------------------------------------------------------------- weights that change


def learning(connector=lambda: sim.FixedNumberPreConnector(4, rng=NumpyRNG(1)), ends=lambda p, q: (p, q)):
    sim.setup(timestep=0.1)
    p = sim.Population(12, sim.SpikeSourcePoisson(rate=200.0))
    q = sim.Population(8, sim.IF_curr_exp(i_offset=1.0))
    rule = sim.STDPMechanism(sim.SpikePairRule(A_plus=0.02, A_minus=0.01), sim.AdditiveWeightDependence(w_min=0.0, w_max=1.0),
                             weight=RandomDistribution("uniform", (0.2, 0.6), rng=NumpyRNG(2)), delay=1.0)
    return sim.Projection(*ends(p, q), connector(), rule, receptor_type="excitatory")


@pytest.mark.parametrize("ends", [lambda p, q: (p, q), lambda p, q: (p[2:9], q[:5]), lambda p, q: (p[6:] + p[:5], q[4:] + q[:3])])
def test_weights_that_change_are_read_from_the_simulation(ends):
    prj = learning(ends=ends)
    before = prj.get("weight", "array")
    sim.run(200.0)
    after = prj.get("weight", "array")
    assert (np.isnan(after) == np.isnan(before)).all() and (after != before)[~np.isnan(after)].mean() > 0.5
    network = simulator.state.network
    senders, receivers = (np.array(cells.all_cells, int) for cells in (prj.pre, prj.post))
    found = {}
    for one in prj.native:
        weights = simulator.state.simulation.weights(one.label)
        for i, j, w in zip(weights.pre, weights.post, weights.values):
            found[int(i), 12 + int(j)] = w  # p comes first
    assert [one.size for one in network.populations] == [12, 8] and len(found) == len(prj)
    for (i, j), value in np.ndenumerate(after):
        if not np.isnan(value):
            assert found[senders[i], receivers[j]] == value


def test_weights_that_change_are_written_into_the_simulation():
    prj = learning()
    sim.run(50.0)
    simulation = simulator.state.simulation
    values = np.linspace(0.1, 0.9, len(prj))
    prj.set(weight=values.tolist())
    expected = prj.get("weight", "array")
    assert np.allclose(np.sort(expected[~np.isnan(expected)]), values, rtol=1e-6)
    assert simulator.state.simulation is simulation and not prj.stale
    prj[5].weight = 0.5
    assert prj[5].weight == 0.5
    (native,) = prj.native
    weights = simulation.weights(native.label)
    np.testing.assert_array_equal(weights.values, prj.get("weight", "array")[weights.pre, weights.post])
    sim.run(50.0)
    assert not np.array_equal(prj.get("weight", "array"), expected, equal_nan=True)


def test_other_parameters_change_and_weights_stay():
    prj = learning()
    sim.run(50.0)
    learned = prj.get("weight", "list")
    prj.set(A_plus=0.0, A_minus=0.0)
    assert prj.get("weight", "list") == learned and prj.stale
    sim.run(50.0)
    assert np.allclose(prj.get("weight", "list"), learned, rtol=1e-6)


def test_reset_brings_back_the_weights_of_the_start():
    prj = learning()
    before = prj.get("weight", "list")
    sim.run(100.0)
    after = prj.get("weight", "list")
    assert after != before
    sim.reset()
    assert prj.get("weight", "list") == before
    sim.run(100.0)
    assert prj.get("weight", "list") != before


def test_static_weights_change_between_runs():
    """What is set after a run holds in the next one."""
    sim.setup(timestep=0.1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[5.0, 25.0, 45.0]))
    cell = sim.Population(1, sim.IF_curr_exp(v_thresh=1000.0, tau_syn_E=1.0, tau_m=2.0))
    prj = sim.Projection(source, cell, sim.OneToOneConnector(), sim.StaticSynapse(weight=1.0, delay=1.0))
    cell.record("v")
    for weight in (1.0, 3.0, 0.0):
        prj.set(weight=weight)
        sim.run(20.0)
    rise = cell.get_data().segments[0].analogsignals[0].magnitude[:, 0] - cell.get("v_rest")
    peaks = [rise[k * 200:(k + 1) * 200].max() for k in range(3)]
    assert peaks[0] > 0.4
    assert peaks[1] == pytest.approx(3 * peaks[0], rel=0.02)
    assert peaks[2] < 0.1 * peaks[0]


@pytest.mark.needs("nest")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("receptor", ["excitatory", "inhibitory"])
def test_resources_stay_active_for_the_time_constant_of_the_target(receptor):
    """What pyNN.nest does: three states, with the target's own tau_syn."""
    import pyNN.nest as nest

    def potential(module, **options):
        module.setup(timestep=0.1, **options)
        times = np.cumsum(np.arange(20.0, 2.0, -1.0)) - (1e-4 if module is nest else 0.0)  # which moves some a step by rounding
        source = module.Population(1, module.SpikeSourceArray(spike_times=times))
        cells = module.Population(2, module.IF_curr_exp(tau_syn_E=5.0, tau_syn_I=8.0))
        weight = 0.5 if receptor == "excitatory" else -0.5
        synapse = module.TsodyksMarkramSynapse(U=0.4, tau_rec=50.0, tau_facil=20.0, weight=weight, delay=1.0)
        made = module.Projection(source, cells, module.AllToAllConnector(), synapse, receptor_type=receptor)
        cells.record("v")
        module.run(250.0)
        return made, cells.get_data().segments[0].analogsignals[0].magnitude

    made, found = potential(sim)
    _, expected = potential(nest, spike_precision="on_grid", min_delay=1.0)
    assert made.native[0].synapse.tau_psc == {"excitatory": 5.0, "inhibitory": 8.0}[receptor]
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_targets_of_short_term_plasticity_have_one_time_constant():
    made = two(lambda one: one.AllToAllConnector(), lambda one: one.TsodyksMarkramSynapse(weight=0.1, delay=1.0))
    made.post.set(tau_syn_E=[2.0, 3.0, 4.0])
    with pytest.raises(errors.InvalidParameterValueError, match="tau_syn_E of the targets .* one number, got 2 to 4 ms"):
        sim.run(1.0)
    cell = sim.PointNeuron(sim.AdExp(), AMPA=sim.ExpPSR(tau_syn=3.0), NMDA=sim.BetaPSR())
    for receptor, tau in (("AMPA", 3.0), ("NMDA", 0.0)):
        sim.setup(timestep=0.1)
        p, q = sim.Population(2, sim.SpikeSourceArray()), sim.Population(2, cell)
        made = sim.Projection(p, q, sim.AllToAllConnector(), sim.TsodyksMarkramSynapse(weight=0.1, delay=1.0), receptor_type=receptor)
        sim.run(1.0)
        assert made.native[0].synapse.tau_psc == tau


def test_electrical_synapses_of_composed_cells():
    """Their receptors have names of their own, which a gap junction does not ask for."""
    sim.setup(timestep=0.1)
    p, q = (sim.Population(2, sim.PointNeuron(sim.AdExp(i_offset=i), AMPA=sim.AlphaPSR())) for i in (0.3, 0.0))
    made = sim.Projection(p, q, sim.OneToOneConnector(), sim.ElectricalSynapse(weight=0.001))
    q.record("v")
    sim.run(20.0)
    assert made.native[0].receptor == "gap"
    assert (np.diff(q.get_data().segments[0].analogsignals[0].magnitude, axis=0)[5:] > 0).all()
