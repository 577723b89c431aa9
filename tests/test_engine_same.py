"""One seed, one answer: whatever the threads, the chunks, the way of updating, saving, branching, resetting."""

import threading

import engine_networks as nets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    ACSource,
    FixedProbabilityConnector,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Network,
    Simulation,
    SpikeSourcePoisson,
    StepCurrentSource,
)

DURATION = 50.0
ODD = (0.1, 3.7, 0.2, 11.0, 6.4, 0.1, 28.5)


@pytest.fixture(scope="module")
def answers():
    """name -> (network, what one thread computes in one run with clock updates)."""
    made = {}

    def of(name):
        if name not in made:
            network = nets.build(name)
            made[name] = network, Simulation(network, seed=5, threads=1, update="clock").run(DURATION)
        return made[name]

    return of


def test_there_are_networks():
    assert len(nets.LINEAR) >= 5 and len(nets.OTHERS) >= 3


@pytest.mark.parametrize("name", nets.ALL)
def test_all_populations_spike(name, answers):
    _, result = answers(name)
    for population in result.populations:
        assert result.spikes(population).count > 0, population
        if population.startswith("cells") and name != "busy":
            assert 1.0 < result.spikes(population).rate() < 2000.0, population


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("update", ["clock", "event", "auto"])
@pytest.mark.parametrize("name", nets.LINEAR)
def test_threads_and_updates(name, update, threads, answers):
    network, expected = answers(name)
    assert Simulation(network, seed=5, threads=threads, update=update).run(DURATION) == expected


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("name", nets.OTHERS)
def test_threads(name, threads, answers):
    network, expected = answers(name)
    assert Simulation(network, seed=5, threads=threads).run(DURATION) == expected


@pytest.mark.parametrize("update", ["event", "auto"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", nets.ALL)
def test_chunks(name, threads, update, answers):
    network, expected = answers(name)
    assert abs(sum(ODD) - DURATION) < 1e-9
    simulation = Simulation(network, seed=5, threads=threads, update=update)
    for duration in ODD:
        simulation.run(duration)
    assert simulation.result == expected


@pytest.mark.parametrize("update", ["clock", "event"])
@pytest.mark.parametrize("name", nets.ALL)
def test_single_steps(name, update, answers):
    network, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=1, update=update)
    found = {label: [] for label in expected.populations}
    for n in [1] * 120 + [7] * 40 + [100]:
        for label, ids in simulation.step(n).items():
            found[label] += ids.tolist()
    assert simulation.result == expected
    for label, ids in found.items():
        spikes = expected.spikes(label)
        assert ids == spikes.ids[spikes.times > 0.0].tolist()


@pytest.mark.parametrize("first, second", [(1, 2), (3, 1)])
@pytest.mark.parametrize("name", nets.ALL)
def test_save_and_load(name, first, second, answers, tmp_path):
    network, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=first, update="event")
    runs = []
    for k, duration in enumerate((0.1, 12.3, 20.1, 17.5)):
        runs.append(simulation.run(duration))
        simulation.save(tmp_path / f"{k}.nsim")
        again = nets.build(name)
        simulation = Simulation.load(tmp_path / f"{k}.nsim", again, threads=second if k % 2 == 0 else first,
                                     update=("clock", "event", "auto")[k % 3])
        assert simulation.t == pytest.approx(sum(r.duration for r in runs))
    joined = runs[0]
    for run in runs[1:]:
        joined = joined.append(run)
    assert joined == expected


def test_save_before_the_first_step(answers, tmp_path):
    network, expected = answers("mixed")
    Simulation(network, seed=5, threads=2).save(tmp_path / "0.nsim")
    assert Simulation.load(tmp_path / "0.nsim", network, threads=1).run(DURATION) == expected


@pytest.mark.parametrize("update", ["clock", "event"])
@pytest.mark.parametrize("name", nets.ALL)
def test_branch_and_reset(name, update, answers):
    network, expected = answers(name)
    simulation = Simulation(network, seed=5, threads=2, update=update)
    simulation.run(23.1)
    twin = simulation.branch()
    for _ in range(10):  # interleaved, in unequal pieces
        twin.run(0.3)
        simulation.run(1.2)
    twin.run(DURATION - 26.1)
    simulation.run(DURATION - 35.1)
    assert simulation.result == expected
    assert twin.result == expected
    simulation.reset()
    assert simulation.t == 0.0
    assert simulation.run(DURATION) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_two_simulations_interleaved(threads, answers):
    pairs = [(Simulation(answers(name)[0], seed=5, threads=threads), answers(name)[1]) for name in ("mixed", "cond exp")]
    for _ in range(20):
        for simulation, _ in pairs:
            simulation.run(2.5)
    for simulation, expected in pairs:
        assert simulation.result == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_simulations_in_python_threads(threads, answers):
    """Four at once; kernels' threads of one call must not wait for those of another."""
    names = ["exp", "mixed", "cond exp", "exp"]
    simulations = [Simulation(answers(name)[0], seed=5, threads=threads) for name in names]

    def work(simulation):
        for _ in range(50):
            simulation.run(DURATION / 50)

    workers = [threading.Thread(target=work, args=(one,), daemon=True) for one in simulations]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
        assert not worker.is_alive()
    for name, simulation in zip(names, simulations, strict=True):
        assert simulation.result == answers(name)[1]


def test_the_seed_matters(answers):
    network, expected = answers("exp")
    other = Simulation(network, seed=6, threads=1).run(DURATION)
    assert other.spikes("poisson") != expected.spikes("poisson")
    assert other.spikes("cells0") != expected.spikes("cells0")


TAU = st.floats(0.05, 80.0)


@settings(max_examples=40)
@given(st.sampled_from([IF_curr_exp, IF_curr_alpha, IF_curr_delta]), TAU, TAU, TAU, st.floats(0.3, 3.0), st.floats(-1.0, 1.2),
       st.sampled_from([0.0, 0.1, 1.0, 7.0]), st.sampled_from([0.1, 1.0]), st.integers(0, 2**31))
def test_neurons_that_sleep_miss_no_spike(model, tau_m, tau_e, tau_i, strength, drive, tau_refrac, dt, seed):
    """Sparse input, so that neurons enter and leave the active list, over many frames; ``drive`` moves the resting level from
    far below to above the threshold, ``strength`` is of the order of the threshold for one input."""
    rng = np.random.default_rng(seed)
    network = Network(seed=seed)
    synapses = {} if model is IF_curr_delta else {"tau_syn_E": tau_e, "tau_syn_I": tau_i}
    cm = 0.25
    cells = network.population(30, model(
        tau_m=tau_m, cm=cm, v_thresh=rng.uniform(-60.0, -50.0, 30), v_reset=-70.0, tau_refrac=tau_refrac,
        i_offset=drive * 10.0 * cm / tau_m, **synapses), "cells", initial_values={"v": rng.uniform(-75.0, -55.0, 30)})
    source = network.population(20, SpikeSourcePoisson(rate=20.0), "source")
    peak = 10.0 if model is IF_curr_delta else 10.0 * cm / tau_e * (1.0 + tau_e / tau_m)
    network.project(source, cells, FixedProbabilityConnector(0.3), strength * peak, dt)
    network.project(source, cells, FixedProbabilityConnector(0.3), -0.8 * strength * peak, 3.0, "inhibitory")
    network.project(cells, cells, FixedProbabilityConnector(0.05), 0.3 * strength * peak, dt)
    cells[:5].inject(StepCurrentSource(times=(40.0, 90.0), amplitudes=(10.0 * cm / tau_m, -0.1)))
    cells[5:8].inject(ACSource(amplitude=12.0 * cm / tau_m, frequency=30.0, start=100.0, stop=150.0))
    cells.record(["spikes", "v"], 10.0)
    runs = []
    for update in ("clock", "event"):
        simulation = Simulation(network, dt=dt, seed=seed, threads=1, update=update)
        simulation.run(77.0)
        runs.append(simulation.run(323.0))
    assert runs[0] == runs[1]
