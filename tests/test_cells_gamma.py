"""Gamma sources: each spike where the draws say, intervals of the right distribution, one answer whatever the run is cut into."""

import math

import numpy as np
import pytest
from neurosim.kernels import random
from scipy import stats

from neurosim import (
    FixedProbabilityConnector,
    IF_curr_exp,
    Network,
    ParameterError,
    Simulation,
    SpikeSourceGamma,
    Uniform,
)
from neurosim.cells.sources import most_in_a_step
from neurosim.parameters import stream_key


def run(cell, n=200, duration=2000.0, dt=0.1, seed=1, **more):
    network = Network()
    network.population(n, cell, "s").record("spikes")
    return Simulation(network, dt=dt, seed=seed, **more).run(duration).spikes("s")


def test_every_spike_is_where_its_draws_say():
    n, dt, seed, duration = 7, 0.1, 3, 400.0
    alpha, beta = np.linspace(0.4, 5.0, n), np.linspace(50.0, 900.0, n)
    start, length = np.linspace(0.0, 90.0, n), np.linspace(100.0, 400.0, n)
    spikes = run(SpikeSourceGamma(alpha, beta, start, length), n, duration, dt, seed, threads=1)
    key = np.uint64(stream_key(seed, "group", "s"))
    expected = []
    for i in range(n):
        t, draw = start[i], 0
        while True:
            t += float(random.gamma_at(key, i, draw, alpha[i])) * 1000.0 / beta[i]
            if t > min(start[i] + length[i], duration):
                break
            expected.append((math.ceil(t / dt), i))
            draw += 1
    assert len(expected) > 100
    assert sorted(zip(np.rint(spikes.times / dt).astype(int).tolist(), spikes.ids.tolist())) == sorted(expected)


@pytest.mark.parametrize("alpha, beta", [(6.0, 100.0), (4.0, 200.0), (2.0, 1000.0), (1.0, 30.0), (0.5, 20.0)])
def test_intervals_are_gamma_distributed(alpha, beta):
    """Kolmogorov-Smirnov against the distribution, and the mean and the coefficient of variation of its two parameters."""
    mean = 1000.0 * alpha / beta
    spikes = run(SpikeSourceGamma(alpha=alpha, beta=beta), 50, 400.0 * mean, dt=0.01 * mean, seed=2)
    # Times are rounded up to the step: spread them over it. Each train's first 200 intervals: later ones would be cut off.
    rng = np.random.default_rng(0)
    trains = [np.sort(t - 0.01 * mean * rng.random(t.size)) for t in spikes.trains().values()]
    assert min(t.size for t in trains) > 200
    intervals = np.concatenate([np.diff(t[:201]) for t in trains])
    assert stats.kstest(intervals, "gamma", args=(alpha, 0.0, 1000.0 / beta)).pvalue > 1e-3
    n = intervals.size
    assert abs(intervals.mean() / mean - 1.0) < 4.5 / math.sqrt(alpha * n)
    assert abs(intervals.std() / intervals.mean() * math.sqrt(alpha) - 1.0) < 0.05
    assert abs(np.corrcoef(intervals[:-1], intervals[1:])[0, 1]) < 4.5 / math.sqrt(n)


def test_the_first_interval_begins_at_start():
    spikes = run(SpikeSourceGamma(alpha=3.0, beta=300.0, start=20.0), 2000, 120.0, dt=0.1)
    first = np.array([t.min() for t in spikes.trains().values() if t.size]) - 20.0
    assert first.size > 1990
    assert stats.kstest(first - 0.05, "gamma", args=(3.0, 0.0, 1000.0 / 300.0)).pvalue > 1e-3


def test_window_and_silence():
    spikes = run(SpikeSourceGamma(alpha=2.0, beta=400.0, start=50.0, duration=100.0), 300, 300.0)
    assert spikes.times[0] > 50.0 and spikes.times[-1] < 150.0 + 1e-9 and spikes.times[-1] > 149.0
    assert abs(spikes.rate((60.0, 150.0)) / 200.0 - 1.0) < 0.05
    assert run(SpikeSourceGamma(beta=0.0), 50, 500.0).count == 0


def test_drawn_parameters():
    spikes = run(SpikeSourceGamma(alpha=Uniform(1.0, 4.0), beta=100.0), 400, 4000.0, dt=1.0)
    counts = spikes.counts()
    assert counts.min() < 120 and counts.max() > 300


@pytest.mark.parametrize("alpha", [0.02, 0.1, 0.3])
def test_bursts_of_irregular_sources_find_room(alpha):
    """A small shape puts many spikes into one step."""
    mean = 20.0
    spikes = run(SpikeSourceGamma(alpha=alpha, beta=1000.0 * alpha / mean), 3, 20000.0, dt=0.5)
    steps, counts = np.unique(np.rint(spikes.times / 0.5).astype(int) * 3 + spikes.ids, return_counts=True)
    assert counts.max() > {0.02: 20, 0.1: 8, 0.3: 2}[alpha]
    most = most_in_a_step(alpha, 0.5 * alpha / mean)
    assert counts.max() <= most < 20000


def test_most_in_a_step():
    """Of a Poisson process: the quantile of the Poisson distribution."""
    for mean in (0.001, 0.1, 3.0, 50.0):
        k = most_in_a_step(1.0, mean)
        assert stats.poisson.sf(k - 2, mean) <= 1e-20 < stats.poisson.sf(k - 3, mean)


def network(seed=1):
    net = Network(seed=seed)
    source = net.population(150, SpikeSourceGamma(alpha=Uniform(0.3, 5.0), beta=np.linspace(50.0, 400.0, 150)), "gamma")
    cells = net.population(200, IF_curr_exp(i_offset=0.6), "cells")
    net.project(source, cells, FixedProbabilityConnector(0.2), 0.2, Uniform(0.2, 3.0))
    net.record([source, cells], "spikes")
    return net


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_chunks_saving_and_branches(threads, tmp_path):
    expected = Simulation(network(), seed=5, threads=1).run(60.0)
    assert expected.spikes("gamma").count > 500 and expected.spikes("cells").count > 50
    assert Simulation(network(), seed=5, threads=threads).run(60.0) == expected
    simulation = Simulation(network(), seed=5, threads=threads)
    first = simulation.run(0.1).append(simulation.run(20.2))
    simulation.save(tmp_path / "state.nsim")
    branch, again = simulation.branch(), Simulation.load(tmp_path / "state.nsim", network(), threads=1)
    for rest in (simulation.run(39.7), branch.run(39.7), again.run(39.7)):
        assert first.append(rest) == expected
    simulation.reset()
    assert simulation.run(60.0) == expected
    assert Simulation(network(), seed=6, threads=1).run(60.0) != expected


def test_following_changed_parameters():
    """The interval under way begins again; later ones are drawn by the new parameters, and unchanged sources go on."""
    net = Network()
    source = net.population(400, SpikeSourceGamma(alpha=2.0, beta=100.0), "s")
    source.record("spikes")
    simulation = Simulation(net, threads=1)
    simulation.run(100.0)
    expected = simulation.branch().run(300.0).spikes("s")
    source[:200].set(alpha=6.0, beta=1500.0)
    spikes = simulation.follow().run(300.0).spikes("s")
    for i in range(200, 400):
        np.testing.assert_array_equal(spikes.trains()[i], expected.trains()[i])
    trains = [t for i, t in spikes.trains().items() if i < 200]
    intervals = np.concatenate([np.diff(np.concatenate([[100.0], t]))[:40] for t in trains])
    assert stats.kstest(intervals + 0.05 - 0.1 * np.random.default_rng(0).random(intervals.size), "gamma",
                        args=(6.0, 0.0, 1000.0 / 1500.0)).pvalue > 1e-3
    assert abs(intervals.mean() / 4.0 - 1.0) < 0.02


def test_what_is_wrong_is_refused():
    for values, message in (({"alpha": 0.0}, r"SpikeSourceGamma\.alpha must be > 0, got 0"),
                            ({"beta": -1.0}, r"SpikeSourceGamma\.beta must be >= 0 Hz, got -1"),
                            ({"rate": 1.0}, "SpikeSourceGamma has no parameter 'rate'")):
        with pytest.raises(ParameterError, match=message):
            SpikeSourceGamma(**values)
    net = Network()
    source = net.population(2, SpikeSourceGamma(beta=1e12), "s")
    with pytest.raises(ParameterError, match=r"s: SpikeSourceGamma, beta / alpha must be <= 1e\+07 Hz"):
        net.describe()
    source.set(beta=10.0)
    with pytest.raises(ParameterError, match="SpikeSourceGamma has no rate to set"):
        Simulation(net, threads=1).set(source, rate=3.0)
