"""Spike sources and Poisson input: the generator's known answers, and statistics at fixed seeds."""

import numpy as np
import pytest
from neurosim.kernels import random
from scipy import stats

from neurosim import (
    FixedProbabilityConnector,
    IF_cond_exp,
    IF_curr_delta,
    IF_curr_exp,
    Network,
    ParameterError,
    Simulation,
    SpikeSourceInhGamma,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
)

ONES = 2**32 - 1


@pytest.mark.parametrize("word, expected", [
    (0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)), (ONES, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD))])
def test_philox_known_answers(word, expected):
    """The test vectors of philox4x32-10 that Random123 publishes."""
    assert tuple(int(x) for x in random.philox(*[word] * 6)) == expected


def run(cell, n=200, duration=2000.0, dt=0.1, seed=1, **more):
    network = Network()
    network.population(n, cell, "s").record("spikes")
    return Simulation(network, dt=dt, seed=seed, **more).run(duration).spikes("s")


@pytest.mark.parametrize("seed", [1, 2])
def test_poisson_rate_and_intervals(seed):
    rate, n, seconds = 50.0, 200, 2.0
    spikes = run(SpikeSourcePoisson(rate=rate), n, seed=seed, threads=2)
    expected = rate * n * seconds
    assert abs(spikes.count - expected) < 4.0 * np.sqrt(expected)
    counts = spikes.counts()
    assert abs(counts.var() / counts.mean() - 1.0) < 4.0 * np.sqrt(2.0 / n)
    # Times are rounded up to the step: spread them over it, so that a continuous distribution can be tested.
    rng = np.random.default_rng(0)
    intervals = np.concatenate([np.diff(np.sort(t - 0.1 * rng.random(t.size))) for t in spikes.trains().values()])
    # Intervals seen in a finite window are short of long ones: compare with those of simulated trains of the same length.
    other = [np.sort(rng.uniform(0.0, 2000.0, k)) for k in rng.poisson(rate * seconds, 500)]
    assert stats.ks_2samp(intervals, np.concatenate([np.diff(t) for t in other])).pvalue > 1e-3
    pooled = np.sort(spikes.times - 0.1 * rng.random(spikes.count))
    assert stats.kstest(pooled / 2000.0, "uniform").pvalue > 1e-3


def test_sources_are_independent_of_each_other():
    spikes = run(SpikeSourcePoisson(rate=100.0), 60, 5000.0)
    binned = np.stack([np.histogram(t, 500, (0.0, 5000.0))[0] for t in spikes.trains().values()])
    correlation = np.corrcoef(binned)[np.triu_indices(60, 1)]
    assert abs(correlation.mean()) < 4.0 / np.sqrt(500 * correlation.size)
    assert abs(correlation.std() * np.sqrt(500) - 1.0) < 0.1


def test_a_fast_source_sends_several_spikes_in_a_step():
    spikes = run(SpikeSourcePoisson(rate=30000.0), 20, 200.0)
    counts = np.zeros((2000, 20), int)
    np.add.at(counts, (np.rint(spikes.times / 0.1).astype(int) - 1, spikes.ids), 1)
    assert counts.max() > 5
    assert abs(counts.mean() - 3.0) < 4.0 * np.sqrt(3.0 / counts.size)
    assert abs(counts.var() / 3.0 - 1.0) < 4.0 * np.sqrt(2.0 / counts.size) + 0.01


def test_dead_time():
    rate, dead = 80.0, 5.0
    spikes = run(SpikeSourcePoissonRefractory(rate=rate, tau_refrac=dead), 200, 3000.0)
    intervals = spikes.intervals()
    assert intervals.min() > dead - 0.1 - 1e-9  # both times are rounded up to a step
    mean = 1000.0 / rate
    cv = (mean - dead) / mean
    assert abs(spikes.rate((100.0, 3000.0)) - rate) < 4.0 * rate * cv / np.sqrt(rate * 200 * 2.9)
    assert abs(intervals.std() / intervals.mean() - cv) < 0.02


@pytest.mark.parametrize("shape", [0.5, 1.0, 3.0, 8.0])
def test_gamma_intervals(shape):
    mean = 20.0
    spikes = run(SpikeSourceInhGamma(a=(shape,), b=(mean / 1000.0 / shape,), tbins=(0.0,)), 100, 20000.0, dt=0.5)
    intervals = spikes.intervals()
    assert intervals.size > 50000
    assert abs(intervals.mean() / mean - 1.0) < 0.02
    assert abs(intervals.std() / intervals.mean() * np.sqrt(shape) - 1.0) < 0.03


def test_gamma_bins_change_the_rate():
    cell = SpikeSourceInhGamma(a=(3.0, 3.0), b=(0.01 / 3.0, 0.04 / 3.0), tbins=(0.0, 1000.0))
    spikes = run(cell, 200)
    assert abs(spikes.rate((50.0, 1000.0)) / 100.0 - 1.0) < 0.03
    assert abs(spikes.rate((1050.0, 2000.0)) / 25.0 - 1.0) < 0.05


WINDOWED = {"poisson": SpikeSourcePoisson(rate=200.0, start=50.0, duration=100.0),
            "refractory": SpikeSourcePoissonRefractory(rate=200.0, tau_refrac=1.0, start=50.0, duration=100.0),
            "gamma": SpikeSourceInhGamma(a=(2.0,), b=(0.0025,), start=50.0, duration=100.0)}


@pytest.mark.parametrize("name", WINDOWED)
def test_windows(name):
    spikes = run(WINDOWED[name], 300, 300.0)
    assert spikes.times[0] > 50.0 and spikes.times[-1] < 150.0 + 1e-9
    assert spikes.times[0] < 51.0 and spikes.times[-1] > 149.0
    assert abs(spikes.rate((50.0, 150.0)) / 200.0 - 1.0) < 0.1


@pytest.mark.parametrize("model", [SpikeSourcePoisson, SpikeSourcePoissonRefractory])
def test_rate_zero_is_silent(model):
    assert run(model(rate=0.0), 50, 500.0).count == 0


# ------------------------------------------------------------------------------------- a changing rate


@pytest.mark.parametrize("model", [SpikeSourcePoisson, SpikeSourcePoissonRefractory])
def test_setting_the_rate(model, tmp_path):
    network = Network()
    source = network.population(200, model(rate=0.0), "s")
    source.record("spikes")
    simulation = Simulation(network, threads=2)
    assert simulation.run(200.0).spikes("s").count == 0
    rates = np.where(np.arange(200) < 100, 20.0, 20000.0)
    simulation.set(source, rate=rates)
    simulation.save(tmp_path / "state.nsim")
    expected = simulation.branch().run(100.0)
    counts = expected.spikes("s").counts()
    assert abs(counts[:100].sum() / 200.0 - 1.0) < 0.3 and abs(counts[100:].sum() / 200000.0 - 1.0) < 0.02
    assert Simulation.load(tmp_path / "state.nsim", network, threads=1).run(100.0) == expected
    simulation.set(source[100:], rate=0.0)
    assert set(simulation.run(100.0).spikes("s").ids.tolist()) <= set(range(100))
    simulation.reset()
    assert simulation.run(200.0).spikes("s").count == 0


@pytest.mark.parametrize("dead", [0.0, 4.0])
def test_a_rate_set_at_every_millisecond(dead):
    """A closed loop that changes the rate all the time gets the mean rate that it asks for."""
    network = Network()
    source = network.population(500, SpikeSourcePoissonRefractory(rate=100.0, tau_refrac=dead), "s")
    source.record("spikes")
    simulation = Simulation(network, threads=1)
    for k in range(400):
        simulation.set(source, rate=99.0 if k % 2 else 101.0)
        simulation.run(1.0)
    spikes = simulation.result.spikes("s")
    assert abs(spikes.rate((50.0, 400.0)) / 100.0 - 1.0) < 0.04
    assert spikes.intervals().min() > dead - 0.1 - 1e-9


def test_a_rate_too_high_for_the_dead_time_is_refused():
    network = Network()
    source = network.population(3, SpikeSourcePoissonRefractory(rate=10.0, tau_refrac=10.0), "s")
    simulation = Simulation(network, threads=1)
    with pytest.raises(ParameterError, match="tau_refrac"):
        simulation.set(source, rate=100.0)


# ------------------------------------------------------------------------------------- Poisson input


def numbers(rate, n=100, steps=2000, dt=0.1, cell=None, **more):
    """How many events each neuron got at each step, (steps, n): from jumps of 1 mV, the leak being undone."""
    network = Network()
    cells = network.population(n, IF_curr_delta(v_thresh=1e12), "c")
    for label in more.pop("labels", (None,)):
        network.poisson_input(cells, rate, 1.0, label=label, **more)
    cells.record("v")
    v = Simulation(network, dt=dt, threads=1).run(steps * dt).traces("c", "v").values + 65.0
    jumps = v[1:] - v[:-1] * np.exp(-dt / 20.0)
    assert np.abs(jumps - np.rint(jumps)).max() < 1e-5
    return np.rint(jumps).astype(int)


@pytest.mark.parametrize("rate, dt", [(300.0, 0.1), (8000.0, 0.1), (30000.0, 1.0), (150000.0, 1.0)])
def test_poisson_input_numbers(rate, dt):
    """Mean, variance and distribution; independence of neurons, of successive steps and of the four steps of one draw."""
    counts = numbers(rate, dt=dt)
    mean, size = rate * dt / 1000.0, counts.size
    assert abs(counts.mean() - mean) < 4.0 * np.sqrt(mean / size)
    assert abs(counts.var() / mean - 1.0) < 4.0 * np.sqrt((2.0 + 1.0 / mean) / size)
    expected = stats.poisson.pmf(np.arange(counts.max() + 1), mean) * size
    seen = np.bincount(counts.ravel())
    often = expected > 10
    assert often.sum() >= 2
    assert stats.chi2.sf((((seen - expected) ** 2 / expected)[often]).sum(), often.sum() - 1) > 1e-3
    z = (counts - mean) / np.sqrt(mean)
    for lag in range(1, 9):
        assert abs((z[lag:] * z[:-lag]).mean()) < 4.5 / np.sqrt(size), lag
    for apart in (1, 2, 50):
        assert abs((z[:, apart:] * z[:, :-apart]).mean()) < 4.5 / np.sqrt(size), apart


def test_two_inputs_of_one_population_are_independent():
    network = Network()
    cells = network.population(300, IF_curr_exp(v_thresh=1e9), "c")
    network.poisson_input(cells, 2000.0, 1.0)
    network.poisson_input(cells, 2000.0, -1.0, "inhibitory")
    assert len({one.label for one in network.inputs}) == 2
    cells.record(["isyn_exc", "isyn_inh"])
    result = Simulation(network, threads=1).run(100.0)
    e, i = (result.traces("c", name).values[500:] for name in ("isyn_exc", "isyn_inh"))
    assert e.std() > 1.0
    assert abs(np.corrcoef(e.ravel(), i.ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("many", [False, True])
def test_rates_of_each_neuron(many):
    """A few rates or many, among them 0; the draws do not depend on the threads."""
    rates = np.linspace(0.0, 9000.0, 200) if many else np.resize([0.0, 1000.0, 9000.0], 200)
    counts = numbers(rates, 200, 4000)
    assert counts[:, rates == 0.0].sum() == 0
    expected = rates * 0.4
    assert (np.abs(counts.sum(axis=0) - expected) < 4.5 * np.sqrt(expected) + 1e-9).all()


@pytest.mark.parametrize("top", [9000.0, 90000.0])
def test_rates_of_each_neuron_in_parts(top):
    network = Network()
    cells = network.population(200, IF_curr_exp(v_thresh=1e9), "c")
    network.poisson_input(cells, np.repeat(np.linspace(0.0, top, 50), 4), 0.1)
    network.poisson_input(cells[::-1], np.repeat(np.linspace(0.0, top, 50), 4), -0.1, "inhibitory")
    cells.record("v", 1.0)
    runs = [Simulation(network, dt=1.0, threads=threads).run(50.0) for threads in (1, 2, 3)]
    assert runs[0] == runs[1] == runs[2]


def test_poisson_input_window():
    counts = numbers(5000.0, 50, 400, start=10.3, stop=25.7)
    total = counts.sum(axis=1)
    assert total[:103].sum() == 0 and total[257:].sum() == 0  # row k is step k + 1
    assert (total[103:257] > 0).all()


def test_poisson_input_equals_given_sources_in_the_mean():
    """PoissonInput and SpikeSourcePoisson through synapses give the same mean and spread of conductance."""
    network = Network()
    cells = network.population(400, IF_cond_exp(v_thresh=1e9), "a")
    network.poisson_input(cells, 1000.0, 0.01)
    others = network.population(400, IF_cond_exp(v_thresh=1e9), "b")
    source = network.population(1000, SpikeSourcePoisson(rate=10.0), "s")
    network.project(source, others, FixedProbabilityConnector(0.1), 0.01, 0.1)
    network.record([cells, others], "gsyn_exc", 5.0)
    result = Simulation(network, threads=1).run(300.0)
    a, b = (result.traces(label, "gsyn_exc").values[10:] for label in "ab")
    expected = 1.0 * 5.0 * 0.01  # rate/ms * tau * weight
    assert abs(a.mean() / expected - 1.0) < 0.03 and abs(b.mean() / expected - 1.0) < 0.06
    assert abs(a.std() / (0.01 * np.sqrt(0.5 * 5.0 * 1.0)) - 1.0) < 0.05
