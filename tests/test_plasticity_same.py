"""One seed, one answer, while synapses learn: whatever the threads, chunks, updates, saving, branching, reading."""

import numpy as np
import plasticity_networks as nets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    AdditiveWeightDependence,
    Dopamine,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    IF_cond_exp,
    IF_curr_delta,
    IF_curr_exp,
    Izhikevich,
    Network,
    Simulation,
    SpikeSourceArray,
    SpikeSourcePoisson,
    STDPMechanism,
    TsodyksMarkramSynapse,
    Uniform,
)

DURATION = 30.0
ODD = (0.1, 3.7, 0.2, 7.0, 3.4, 0.1, 15.5)
N = 140  # enough for three parts of 64 neurons
UNIT = {"nA": 0.4, "mV": 2.0, "uS": 0.01}
CELLS = {
    "exp": lambda: IF_curr_exp(tau_m=10.0, cm=0.25, v_thresh=-55.0, tau_syn_E=2.0, tau_syn_I=12.0, tau_refrac=2.0),
    "delta": lambda: IF_curr_delta(tau_m=10.0, cm=0.25, v_thresh=-55.0, tau_refrac=1.0),
    "stepped": lambda: IF_curr_exp(tau_m=Uniform(5.0, 20.0), cm=0.25, v_thresh=-55.0, tau_refrac=2.0),
    "conductances": lambda: IF_cond_exp(cm=0.25, v_thresh=-55.0, tau_refrac=2.0),
    "adaptive jumps": lambda: Izhikevich(),
}
DRIVE = {"exp": 2500.0, "delta": 1000.0, "stepped": 2000.0, "conductances": 1000.0, "adaptive jumps": 2500.0}  # Hz
FEW = ("exp", "delta", "conductances")
SHORT = (TsodyksMarkramSynapse(0.3, 40.0, 60.0), TsodyksMarkramSynapse(0.4, 30.0, 0.0, 3.0))


def synapses(high, rest):
    """One of each kind, with weights of up to ``high`` and potentials around ``rest``."""
    made = [nets.mechanism(name, high=high, order=nets.ORDERS[k % 3], dendritic_delay_fraction=(1.0, 0.5)[k % 2])
            for k, name in enumerate(nets.RULES)]
    made += [
        nets.mechanism("pair", name, high=high, order="brian2", dendritic_delay_fraction=0.0, short_term=SHORT[k % 2])
        for k, name in enumerate(nets.WEIGHT)
    ]
    made += [nets.mechanism("pair", high=high, neuromodulation=Dopamine(100.0, 50.0, 0.01)), *SHORT,
             STDPMechanism(nets.clopath(0.1 * high, theta_minus=rest, theta_plus=rest + 5.0, u_spike=rest + 60.0),
                           AdditiveWeightDependence(0.0, high))]
    return made


def build(name):
    """A recurrent network of cells of one kind, all of whose synapses change."""
    network = Network(seed=12, label=name)
    times = [[0.0, 0.0, 1.0 + i, 20.0, 20.0, 33.3] for i in range(5)]
    sources = [network.population(70, SpikeSourcePoisson(rate=Uniform(20.0, 80.0)), "poisson"),
               network.population(5, SpikeSourceArray(spike_times=times), "array")]
    cells = network.population(N, CELLS[name](), "cells", initial_values={"v": Uniform(-70.0, -56.0)})
    unit = UNIT[cells.cell.weight_unit]
    network.poisson_input(cells, DRIVE[name], 0.5 * unit)
    learning = []
    for k, synapse in enumerate(synapses(2.0 * unit, -65.0)):
        pre = [cells, sources[0], sources[1]][k % 3]
        receptor = "inhibitory" if k % 4 == 3 else "excitatory"
        sign = -1.0 if receptor == "inhibitory" and cells.cell.weight_unit != "uS" else 1.0
        low, high = sorted((0.2 * sign * unit, sign * unit))
        weight = 0.5 * sign * unit if k % 5 == 0 else Uniform(low, high)
        delay = (0.1, 1.5, Uniform(0.1, 4.0))[(k // 2) % 3]
        connector = FixedNumberPreConnector(3) if pre is cells else FixedProbabilityConnector(0.2)
        made = network.project(
            pre, cells[7:] if k % 2 else cells, connector, weight, delay, receptor, f"{k}", synapse=synapse
        )
        if isinstance(synapse, STDPMechanism):
            learning.append(made)
            network.record_weights(made, 2.5, None if k % 2 else range(0, 20, 3))
            if synapse.neuromodulation is not None:
                network.modulate(sources[1], made, 0.02, 0.7)
    network.record(None, "spikes")
    cells[::9].record("v", 0.5)
    return network, learning


def all_of(simulation, learning):
    """What must be the same: everything recorded, and all weights."""
    return simulation.result, [simulation.weights(projection) for projection in learning]


def same(found, expected):
    assert found[0] == expected[0]
    for label in (str(k) for k in range(99)):
        if label in expected[0]._weights:
            assert found[0].weights(label) == expected[0].weights(label), label
    assert found[1] == expected[1]


@pytest.fixture(scope="module")
def answers():
    """name -> (network, its projections that learn, what one thread computes in one run with clock updates)."""
    made = {}

    def of(name):
        if name not in made:
            network, learning = build(name)
            simulation = Simulation(network, seed=5, threads=1, update="clock")
            simulation.run(DURATION)
            made[name] = network, learning, all_of(simulation, learning)
        return made[name]

    return of


@pytest.mark.parametrize("name", CELLS)
def test_weights_change(name, answers):
    _, learning, (result, weights) = answers(name)
    assert 2.0 < result.spikes("cells").rate() < 500.0
    for projection, now in zip(learning, weights, strict=True):
        kept = result.weights(projection.label)
        assert kept.values.shape[0] == 13 and np.isfinite(now.values).all()
        assert np.ptp(kept.values, axis=0).max() > 1e-3 * projection.synapse.weight_dependence.w_max, projection.label
        bounds = projection.synapse.weight_dependence
        assert (np.abs(now.values) <= bounds.w_max).all() and (np.abs(now.values) >= bounds.w_min).all()


@pytest.mark.parametrize("threads, update", [(1, "event"), (1, "auto"), (2, "clock"), (2, "event"), (3, "auto")])
@pytest.mark.parametrize("name", CELLS)
def test_threads_and_updates(name, threads, update, answers):
    network, learning, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=threads, update=update)
    simulation.run(DURATION)
    same(all_of(simulation, learning), expected)


@pytest.mark.parametrize("threads, update", [(1, "clock"), (2, "event")])
@pytest.mark.parametrize("name", FEW)
def test_chunks(name, threads, update, answers):
    network, learning, expected = answers(name)
    assert abs(sum(ODD) - DURATION) < 1e-9
    simulation = Simulation(network, seed=5, threads=threads, update=update)
    for duration in ODD:
        simulation.run(duration)
    same(all_of(simulation, learning), expected)


@pytest.mark.parametrize("update", ["clock", "event"])
@pytest.mark.parametrize("name", FEW)
def test_reading_weights_disturbs_nothing(name, update, answers):
    """Steps one by one, and in some of them all weights are read; those that are recorded are the same."""
    network, learning, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=1, update=update)
    kept = {projection.label: expected[0].weights(projection.label) for projection in learning}
    at = {label: {round(t / 0.1): k for k, t in enumerate(weights.times)} for label, weights in kept.items()}
    steps = 0
    for n in [1] * 60 + [7] * 20 + [100]:
        simulation.step(n)
        steps += n
        for k, projection in enumerate(learning):
            if (steps + k) % 3 == 0 or steps in at[projection.label]:
                now = simulation.weights(projection)
                if steps in at[projection.label]:
                    chosen = np.arange(now.values.size) if k_all(projection) else np.arange(0, 20, 3)
                    row = kept[projection.label].values[at[projection.label][steps]]
                    assert now.values[chosen].tolist() == row.tolist(), projection.label
    same(all_of(simulation, learning), expected)


def k_all(projection):
    """Whether all weights of the projection are recorded."""
    return int(projection.label) % 2 == 1


@pytest.mark.parametrize("first, second", [(1, 2), (3, 1)])
@pytest.mark.parametrize("name", FEW)
def test_save_and_load(name, first, second, answers, tmp_path):
    network, learning, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=first, update="event")
    runs = []
    for k, duration in enumerate((0.1, 6.3, 11.1, 12.5)):
        runs.append(simulation.run(duration))
        simulation.save(tmp_path / f"{k}.nsim")
        again, learning = build(name)
        simulation = Simulation.load(tmp_path / f"{k}.nsim", again, threads=second if k % 2 == 0 else first,
                                     update=("clock", "event", "auto")[k % 3])
    joined = runs[0]
    for run in runs[1:]:
        joined = joined.append(run)
    same((joined, [simulation.weights(projection) for projection in learning]), expected)


@pytest.mark.parametrize("update", ["clock", "event"])
@pytest.mark.parametrize("name", FEW)
def test_branch_and_reset(name, update, answers):
    """A twin learns on its own."""
    network, learning, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=2, update=update)
    simulation.run(9.1)
    twin, other = simulation.branch(), simulation.branch()
    for projection in learning:
        other.set_weights(
            projection, np.sign(other.weights(projection).values) * projection.synapse.weight_dependence.w_max
        )
    for _ in range(10):  # interleaved, in unequal pieces
        other.run(0.7)
        twin.run(0.3)
        simulation.run(0.9)
    twin.run(DURATION - 12.1)
    simulation.run(DURATION - 18.1)
    same(all_of(simulation, learning), expected)
    same(all_of(twin, learning), expected)
    assert other.result.spikes("cells") != expected[0].spikes("cells")
    simulation.reset()
    assert simulation.t == 0.0
    for projection in learning:
        fresh = Simulation(network, seed=5, threads=1).weights(projection)
        assert simulation.weights(projection) == fresh
    simulation.run(DURATION)
    same(all_of(simulation, learning), expected)


def test_interventions_are_the_same_everywhere(answers, tmp_path):
    """Freezing, writing and rewards at odd times; saved and loaded in between, on other numbers of threads."""
    network, _, _ = answers("exp")
    found = []
    for threads, update, saves in ((1, "clock", False), (2, "event", False), (1, "event", True), (3, "clock", True)):
        simulation, learning = Simulation(network, seed=5, threads=threads, update=update), answers("exp")[1]
        for step in range(6):
            simulation.run(3.3)
            one = learning[step * 2 % len(learning)]
            (simulation.thaw if step % 3 == 2 else simulation.freeze)(one)
            changed = learning[(step + 5) % len(learning)]
            simulation.set_weights(changed, 0.9 * simulation.weights(changed).values)
            for projection in learning:
                if projection.synapse.neuromodulation is not None:
                    simulation.reinforce(projection, 0.01 * step)
            if saves:
                simulation.save(tmp_path / "now.nsim")
                again, learning = build("exp")
                simulation = Simulation.load(tmp_path / "now.nsim", again, threads=4 - threads, update=update)
        simulation.run(10.0)
        found.append([simulation.weights(projection) for projection in learning])
        found[-1].append(simulation.get(simulation.network["cells"], "v").tolist())
    assert found[1] == found[0] and found[2] == found[0] and found[3] == found[0]


@pytest.mark.parametrize("name", CELLS)
def test_learning_that_cannot_change_is_static(name):
    """Amplitudes of 0: the spikes of a network without plasticity, to the last bit."""
    def run(synapse):
        network = Network(seed=2)
        source = network.population(50, SpikeSourcePoisson(rate=60.0), "source")
        cells = network.population(N, CELLS[name](), "cells")
        unit = UNIT[cells.cell.weight_unit]
        network.poisson_input(cells, 2000.0, 0.5 * unit)
        array = np.random.default_rng(1).uniform(0.2, 0.8, (50, N)) * unit
        network.project(
            source, cells, FixedProbabilityConnector(0.3), array, Uniform(0.1, 3.0), synapse=synapse and synapse(unit)
        )
        network.project(
            cells, cells, FixedNumberPreConnector(5), Uniform(0.2 * unit, unit), 1.5, synapse=synapse and synapse(unit)
        )
        network.record(None, "spikes")
        cells[::7].record("v")
        return Simulation(network, seed=3, threads=2, update="event").run(100.0)

    def still(unit):
        return STDPMechanism(nets.SpikePairRule(A_plus=0.0, A_minus=0.0), AdditiveWeightDependence(0.0, 10.0 * unit))

    assert run(None).spikes("cells").count > 100
    assert run(still) == run(None)


@settings(max_examples=10)
@given(st.sampled_from(sorted(nets.RULES)), st.sampled_from(nets.ORDERS), st.integers(0, 2**31))
def test_renumbering_renumbers_the_weights(name, order, seed):
    """Pairs in another order learn the same, to the last bit."""
    rng = np.random.default_rng(seed)
    n, steps = 30, 300
    pre, post = nets.trains(rng, n, 40, steps), nets.trains(rng, n, 40, steps)
    delay, weight, place = rng.integers(1, 30, n), rng.uniform(0.2, 0.8, n), rng.permutation(n)
    mechanism = nets.mechanism(name, order=order)
    plain, _, _ = nets.run_pairs(mechanism, pre, post, weight, delay, steps)
    mixed, _, _ = nets.run_pairs(
        mechanism, [pre[i] for i in place], [post[i] for i in place], weight[place], delay[place], steps
    )
    assert mixed.tolist() == plain[place].tolist()
