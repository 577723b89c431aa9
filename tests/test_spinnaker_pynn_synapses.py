"""Projections of scripts for sPyNNaker: connectors, rules, what is read back, and how weights will be stored."""

import warnings

import numpy as np
import pytest

pytest.importorskip("pyNN", reason="needs PyNN, which is not installed")

from spinnaker_dialect import begun, cells, noted  # noqa: F401

import neurosim.hardware.spinnaker.pynn as sim
from neurosim.errors import NetworkError
from neurosim.hardware.spinnaker import weights
from neurosim.hardware.spinnaker.pynn import estimates, simulator

# ------------------------------------------------------------------------------------------ projections


def test_weights_and_delays_are_those_of_the_machine():
    source, target = sim.Population(2, sim.SpikeSourceArray([1])), cells(2)
    made = sim.Projection(source, target, sim.FromListConnector([(0, 0, 0.05, 2.2), (1, 1, -0.0133337, 1.4), (0, 1, 0.5, 0.2)]))
    early = made.get(["weight", "delay"], "list")
    with pytest.raises(NotImplementedError, match="after run"):
        len(early)
    sim.run(1)
    shift = simulator.state.simulation.deployment[target.label].shifts[0]
    stored = [float(np.rint(one * 2.0 ** (15 - shift)) / 2.0 ** (15 - shift)) for one in (0.05, 0.5, 0.0133337)]
    assert list(early) == [[0, 0, stored[0], 2.0], [0, 1, stored[1], 1.0], [1, 1, stored[2], 1.0]]
    assert list(made.get("delay", "list", with_address=False)) == [2.0, 1.0, 1.0]
    matrix, delays = made.get(["weight", "delay"], format="array")
    assert np.isnan(matrix[1, 0]) and matrix[0, 1] == stored[1] and delays[0, 0] == 2.0
    assert np.asarray(early).shape == (3, 4)


def test_views_are_told_in_the_indices_of_their_populations():
    source, target = sim.Population(6, sim.SpikeSourceArray([1])), cells(6)
    made = sim.Projection(source[2:4], target[1:3], sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0))
    odd = noted(lambda: sim.Projection(source[[0, 5]], target[3], sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0)), "neighbouring")
    sim.run(1)
    assert [row[:2] for row in made.get("weight", "list")] == [[2, 1], [2, 2], [3, 1], [3, 2]]
    assert [row[:2] for row in odd.get("weight", "list")] == [[0, 3], [5, 3]]
    assert made.get("weight", "array").shape == (6, 6)


def test_saved_synapses_make_the_same_projection(tmp_path):
    source, target = sim.Population(4, sim.SpikeSourceArray([1])), cells(5)
    made = sim.Projection(source, target, sim.FixedNumberPreConnector(2), sim.StaticSynapse(
        weight=sim.RandomDistribution("uniform", low=0.1, high=2.0), delay=3.0))
    made.save(["weight", "delay"], str(tmp_path / "before.txt"))
    sim.run(1)
    rows = list(made.get(["weight", "delay"], "list"))
    made.save(["weight", "delay"], str(tmp_path / "synapses.txt"))
    assert (tmp_path / "before.txt").read_text() == (tmp_path / "synapses.txt").read_text()
    sim.setup(1.0)
    again = sim.Projection(sim.Population(4, sim.SpikeSourceArray([1])), cells(5), sim.FromFileConnector(str(tmp_path / "synapses.txt")))
    listed = sim.Projection(again.pre, cells(5, "other"), sim.FromListConnector(rows))
    sim.run(1)
    assert list(again.get(["weight", "delay"], "list")) == list(listed.get(["weight", "delay"], "list")) == rows


def test_signs_do_not_count():
    def once(weight, receptor):
        sim.setup(1.0)
        target = cells(1, label="target")
        made = sim.Projection(sim.Population(1, sim.SpikeSourceArray([2])), target, sim.OneToOneConnector(),
                              sim.StaticSynapse(weight=weight), receptor_type=receptor)
        target.record(["v", "gsyn_inh"])
        sim.run(10)
        return target.spinnaker_get_data("v").tolist(), list(made.get("weight", "list")), target.spinnaker_get_data("gsyn_inh")[:, 2].min()

    for receptor in ("excitatory", "inhibitory"):
        assert once(1.5, receptor) == once(-1.5, receptor)
    assert once(1.5, "inhibitory")[0] != once(1.5, "excitatory")[0]
    assert once(1.5, "inhibitory")[2] >= 0.0
    noted(lambda: sim.Projection(cells(2, "a"), cells(2, "b"), sim.FromListConnector([(0, 0, 1.0, 1.0), (1, 1, -1.0, 1.0)])), "both signs")


def test_rules_are_the_machines():
    w = sim.AdditiveWeightDependence(w_min=0.1, w_max=0.3)
    sources, target = sim.Population(2, sim.SpikeSourceArray([1])), cells(2)
    made = sim.Projection(sources, target, sim.OneToOneConnector(), sim.STDPMechanism(sim.SpikePairRule(A_plus=0.01, A_minus=0.013), w,
                                                                                       weight=0.2, delay=1.0))
    sim.run(1)
    plastic = simulator.state.simulation.deployment[target.label].plastic
    assert (plastic.timing, plastic.weight) == ("pair", "additive")
    assert plastic.parameters["A_plus"] == 0.01 and plastic.parameters["A_minus"] == 0.013  # not times w_max, to the last bit
    assert list(made.get("tau_plus", "list", with_address=False)) == [20.0, 20.0]
    models, multiplicative = sim.extra_models, sim.MultiplicativeWeightDependence(0.0, 2.0)
    triplet = models.WeightDependenceAdditiveTriplet(0.0, 4.0, 0.03, 0.002)
    for timing, weight, name, expected in (
            (models.SpikeNearestPairRule(10.0, 20.0, 0.1, 0.2), w, "nearest_pair", {"tau_plus": 10.0, "A_plus": 0.1}),
            (sim.SpikePairRule(A_plus=0.1), multiplicative, "pair", {"A_plus": 0.1, "w_max": 2.0}),
            (models.Vogels2011Rule(alpha=0.12, tau=20.0, A_plus=0.05), w, "vogels", {"alpha": 0.12, "A_plus": 0.05}),
            (models.PfisterSpikeTriplet(16.8, 33.7, 101.0, 125.0, 0.05, 0.07), triplet, "triplet", {"A_plus": 0.05, "A3_plus": 0.03})):
        sim.setup(1.0)
        target = cells(2)
        sim.Projection(sim.Population(2, sim.SpikeSourceArray([1])), target, sim.OneToOneConnector(),
                       sim.STDPMechanism(timing, weight, weight=0.2, delay=1.0))
        sim.run(1)
        plastic = simulator.state.simulation.deployment[target.label].plastic
        assert plastic.timing == name and {key: plastic.parameters[key] for key in expected} == expected


def test_amplitudes_keep_every_bit():
    rng = np.random.default_rng(1)
    lost = 0
    for amplitude, w_max in rng.uniform(0.001, 8.0, (500, 2)):
        relative = sim.AdditiveWeightDependence(0.0, w_max).relative(amplitude)
        assert abs(relative * w_max - amplitude) <= np.spacing(amplitude)
        lost += relative * w_max != amplitude
    assert lost < 100  # where no number times w_max is the amplitude, the nearest is


def test_all_rules_of_a_population_must_agree():
    target, source = cells(2), sim.Population(2, sim.SpikeSourceArray([1]))
    for amplitude in (0.1, 0.2):
        sim.Projection(source, target, sim.OneToOneConnector(), sim.STDPMechanism(sim.SpikePairRule(A_plus=amplitude),
                                                                                 sim.AdditiveWeightDependence(), weight=0.5, delay=1.0))
    with pytest.raises(NetworkError, match="another rule"):
        sim.run(1)


def test_what_the_machine_refuses_is_refused_with_the_remedy():
    sim.Projection(sim.Population(1, sim.SpikeSourceArray([1])), cells(300), sim.AllToAllConnector(), sim.StaticSynapse(delay=5000.0))
    with pytest.raises(NetworkError, match="5000 ms.*neurons_per_core"):
        sim.run(1)


def test_rows_that_are_too_long_are_refused():
    """What `check` finds when it places the network."""
    rows = sorted((0, k % 20, 1.0, 1.0) for k in range(300))
    sim.Projection(sim.Population(1, sim.SpikeSourceArray([1])), cells(20), sim.FromListConnector(rows))
    with pytest.raises(NetworkError, match="300 synapses on one core"):
        sim.run(1)


def test_weights_that_vanish_are_told():
    sim.Projection(sim.Population(2, sim.SpikeSourceArray([1])), cells(2), sim.FromListConnector([(0, 0, 1e-6, 1.0), (1, 1, 3.0, 1.0)]))
    noted(lambda: sim.run(1), "1 of 2 weights are stored as 0")


def test_input_that_is_cut_off_is_told():
    source = sim.Population(20, sim.SpikeSourceArray([1, 2, 3]))
    for limit in (None, [1000.0, 0.0]):
        target = sim.Population(1, sim.IF_curr_exp(), max_expected_summed_weight=limit or [30.0, 0.0])
        sim.Projection(source, target, sim.AllToAllConnector(), sim.StaticSynapse(weight=20.0))
        if limit is None:
            noted(lambda: sim.run(10), r"excitatory ring buffers were cut off.*max_expected_summed_weight")
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error", sim.MachineWarning)
                warnings.filterwarnings("ignore", message=".*tau_refrac")
                sim.run(10)
        sim.setup(1.0)
        source = sim.Population(20, sim.SpikeSourceArray([1, 2, 3]))


# ------------------------------------------------------------------------------------------ connectors


def pairs(connector, n_pre, n_post, pre=None, post=None, **synapse):
    source = pre or sim.Population(n_pre, sim.SpikeSourceArray([1]), structure=sim.Line())
    target = post or sim.Population(n_post, sim.IF_curr_exp(), structure=sim.Line())
    made = sim.Projection(source, target, connector, sim.StaticSynapse(**{"weight": 1.0, **synapse}))
    sim.run(1)
    return [tuple(row[:2]) for row in made.get("weight", "list")]


@pytest.mark.parametrize(("connector", "expected"), [
    (lambda: sim.OneToOneConnector(), [(k, k) for k in range(4)]),
    (lambda: sim.ArrayConnector(np.eye(4, 5, k=1)), [(k, k + 1) for k in range(4)]),
    (lambda: sim.extra_models.OneToOneOffsetConnector(1, False), [(0, 1), (1, 2), (2, 3)]),
    (lambda: sim.extra_models.OneToOneOffsetConnector(-1, True), [(0, 3), (1, 0), (2, 1), (3, 2)]),
    (lambda: sim.IndexBasedProbabilityConnector("(i == 2) * (j < 3) * 1.0"), [(2, 0), (2, 1), (2, 2)]),
    (lambda: sim.DistanceDependentProbabilityConnector("d < 1.5"),
     [(i, j) for i in range(4) for j in range(5) if abs(i - j) < 1.5]),
    (lambda: sim.DistanceDependentProbabilityConnector("(d[0] < 0.5) * 1.0"), [(k, k) for k in range(4)]),
    (lambda: sim.FixedProbabilityConnector(1.0), [(i, j) for i in range(4) for j in range(5)]),
    (lambda: sim.FromListConnector([(3, 4), (0, 1), (3, 4)]), [(0, 1), (3, 4), (3, 4)]),
    (lambda: sim.FromListConnector(np.array([(3, 4, 2.5), (0, 1, 1.5)]), ["weight"]), [(0, 1), (3, 4)]),
    (lambda: sim.FromListConnector([(3, 4, 2.0)], column_names=["delay"]), [(3, 4)]),
    (lambda: sim.SmallWorldConnector(1.5, 0.0), [(i, j) for i in range(4) for j in range(5) if abs(i - j) <= 1.5]),
])
def test_connectors_without_chance(connector, expected):
    assert pairs(connector(), 4, 5) == expected


@pytest.mark.parametrize(("connector", "least", "most"), [
    (lambda: sim.FixedProbabilityConnector(0.3), 900, 1500),
    (lambda: sim.FixedTotalNumberConnector(700), 700, 700),
    (lambda: sim.FixedNumberPreConnector(7), 560, 560),
    (lambda: sim.FixedNumberPostConnector(9, with_replacement=True), 450, 450),
    (lambda: sim.DistanceDependentProbabilityConnector("exp(-d / 10.0)"), 500, 1500),
    (lambda: sim.IndexBasedProbabilityConnector("0.25 + 0.0 * i"), 700, 1300),
])
def test_connectors_with_chance(connector, least, most):
    first = pairs(connector(), 50, 80)
    assert least <= len(first) <= most
    sim.setup(1.0, rng_seed=2)
    assert pairs(connector(), 50, 80) != first


def test_no_cell_to_itself():
    for make in (sim.AllToAllConnector, lambda allow_self_connections: sim.FixedProbabilityConnector(1.0, allow_self_connections)):
        sim.setup(1.0)
        population = cells(5)
        others = [(i, j) for i in range(5) for j in range(5) if i != j]
        assert pairs(make(allow_self_connections=False), 5, 5, population, population) == others


def test_groups_where_the_winner_takes_all():
    population = cells(6)
    made = sim.Projection(population, population, sim.extra_models.AllButMeConnector(3, weights=np.arange(1.0, 7.0)))
    sim.run(1)
    assert [tuple(row[:3]) for row in made.get("weight", "list")] == [
        (a + g, b + g, 2.0 * a + b + (b < a)) for g in (0, 3) for a in range(3) for b in range(3) if a != b]


def test_kernels():
    """Against a loop over all pairs of cells."""
    shape_pre, shape_post = (5, 7), (3, 4)
    kernel = np.round(np.random.default_rng(3).uniform(0.1, 1.0, (3, 5)), 3)
    source, target = sim.Population(35, sim.SpikeSourceArray([1])), cells(12)
    steps, start = (2, 2), (0, 1)
    made = sim.Projection(source, target, sim.KernelConnector(shape_pre, shape_post, kernel.shape, weight_kernel=kernel, delay_kernel=4.0,
                                                              post_sample_steps_in_pre=steps, post_start_coords_in_pre=start))
    sim.run(1)
    expected = {}
    for i in range(35):
        for j in range(12):
            row, column = (start[a] + divmod(j, 4)[a] * steps[a] - divmod(i, 7)[a] for a in (0, 1))
            at = (kernel.shape[0] // 2 - row, kernel.shape[1] // 2 - column)
            if 0 <= at[0] < kernel.shape[0] and 0 <= at[1] < kernel.shape[1]:
                expected[i, j] = kernel[at]
    found = {tuple(row[:2]): row[2:] for row in made.get(["weight", "delay"], "list")}
    assert found.keys() == expected.keys() and all(delay == 4.0 for _, delay in found.values())
    assert all(abs(found[pair][0] - weight) < 1e-3 for pair, weight in expected.items())


def test_the_order_of_a_list_does_not_matter_but_is_told():
    rows = [(0, 299, 1.0, 1.0), (1, 0, 2.0, 1.0), (0, 1, 3.0, 1.0)]
    source, target = sim.Population(2, sim.SpikeSourceArray([1])), cells(300)
    made = noted(lambda: sim.Projection(source, target, sim.FromListConnector(rows)), "not in the order")
    gone = noted(lambda: sim.Projection(source, target, sim.FromListConnector([*rows, (7, 0, 1.0, 1.0)])), "1 rows of the list")
    sim.run(1)
    assert [tuple(row) for row in made.get(["weight", "delay"], "list")] == sorted(rows) == [
        tuple(row) for row in gone.get(["weight", "delay"], "list")]


# ------------------------------------------------------------------------------------------ estimates


@pytest.mark.needs("scipy")
def test_binomial_quantiles_are_scipys(needs):
    binom = needs("scipy.stats").binom
    rng, compared = np.random.default_rng(5), 0
    for trials, chance in zip(rng.integers(1, 5000, 200), rng.uniform(0.0, 1.0, 200) ** 3, strict=True):
        total = float(trials) * 100.0
        for risk in (1e-2, 1e-4, 1e-5):
            assert estimates.most_selected(total, int(trials), chance, risk) == binom.ppf(1.0 - risk / total, trials, chance)
            compared += 1
    assert compared == 600
    assert estimates.most_selected(1e7, 10**7, 0.02) == binom.ppf(1.0 - 1e-9, 10**7, 0.02)


@pytest.mark.needs("scipy")
@pytest.mark.parametrize(("name", "values", "scipys", "arguments"), [
    ("uniform", {"low": 0.2, "high": 0.9}, "uniform", (0.2, 0.7)),
    ("normal", {"mu": 0.5, "sigma": 0.1}, "norm", (0.5, 0.1)),
    ("exponential", {"beta": 0.3}, "expon", (0.0, 0.3)),
    ("lognormal", {"mu": -1.0, "sigma": 0.4}, "lognorm", (0.4, 0.0, np.exp(-1.0))),
    ("normal_clipped", {"mu": 1.0, "sigma": 0.5, "low": 0.2, "high": 1.4}, "truncnorm", (-1.6, 0.8, 1.0, 0.5)),
])
def test_moments_and_quantiles_are_scipys(needs, name, values, scipys, arguments):
    one = getattr(needs("scipy.stats"), scipys)(*arguments)
    assert np.allclose(estimates._moments(name, values), (one.mean(), one.var()), rtol=1e-10)
    for chance in (1e-6, 0.3, 1.0 - 1e-6):
        assert np.isclose(estimates._quantile(name, values, chance), one.ppf(chance), rtol=1e-8)


def test_delays_of_a_list_count_in_whole_steps():
    """Of 1.1 and 0.9 ms both are one step: as for equal delays, there is room for all weights at once."""
    source = sim.Population(2, sim.SpikeSourceArray([1]))
    for delays, equal in (((1.1, 0.9), True), ((1.6, 0.9), False)):
        made = sim.Projection(source, cells(1), sim.FromListConnector([(k, 0, 5.0, delay) for k, delay in enumerate(delays)]))
        assert (made.estimate().delay_variance == 0.0) == equal
        assert (weights.greatest_input([made.estimate()], 1.0, 1.0) == 10.0) == equal


def test_the_script_decides_how_weights_are_stored():
    """A distribution counts with what it may give, not with what was drawn; explicit numbers of the script win."""
    source, normal = sim.Population(10, sim.SpikeSourceArray([1])), sim.RandomDistribution("normal", mu=1.0, sigma=0.2)
    drawn = sim.Population(10, sim.IF_curr_exp(), label="drawn")
    given = sim.Population(10, sim.IF_curr_exp(), label="given", max_expected_summed_weight=[100.0, 0.0])
    for target in (drawn, given):
        made = sim.Projection(source, target, sim.AllToAllConnector(), sim.StaticSynapse(weight=normal, delay=1.0))
    sim.run(1)
    deployment = simulator.state.simulation.deployment
    extreme = 1.0 + 0.2 * 3.719016485455709  # of 100 draws, but for a chance of 0.01
    assert made.estimate().greatest == pytest.approx(extreme, rel=1e-9) and made.estimate().mean == 1.0
    assert deployment["drawn"].shifts == (weights.shift_of(10 * extreme), 0)
    assert deployment["given"].shifts == (7, 0)
