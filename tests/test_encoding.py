"""Codes of spikes: what they send, what their decoders make of it, and the same by snntorch."""

import math

import numpy as np
import pytest

from neurosim import IF_curr_delta, Network, Simulation, SpikeSourceArray, encoding
from neurosim.errors import ParameterError


def test_rates_are_the_probabilities():
    x = np.array([[0.0, 0.2], [0.7, 1.0]])
    spikes = encoding.rate(x, 20_000, seed=3)
    assert spikes.shape == (20_000, 2, 2) and spikes.dtype == np.uint8
    np.testing.assert_allclose(encoding.from_rate(spikes), x, atol=5 * np.sqrt(0.25 / 20_000))
    assert spikes[:, 0, 0].sum() == 0 and spikes[:, 1, 1].sum() == 20_000
    np.testing.assert_array_equal(spikes, encoding.rate(x, 20_000, seed=3))
    assert (spikes != encoding.rate(x, 20_000, seed=4)).any()


def test_poisson_counts_have_the_variance_of_their_mean():
    counts = encoding.rate(np.array([0.5, 3.0]), 20_000, kind="poisson", seed=1)
    np.testing.assert_allclose(counts.mean(axis=0), [0.5, 3.0], rtol=0.05)
    np.testing.assert_allclose(counts.var(axis=0), [0.5, 3.0], rtol=0.05)


def test_regular_spikes_are_evenly_spaced_and_add_up():
    x = np.array([0.0, 0.1, 1 / 3, 0.5, 0.9, 1.0])
    spikes = encoding.rate(x, 100, kind="regular")
    np.testing.assert_array_equal(spikes.sum(axis=0), np.floor(100 * x + 0.5))
    for channel in (1, 2, 3):
        assert len(np.unique(np.diff(np.flatnonzero(spikes[:, channel])))) <= 2
    np.testing.assert_allclose(encoding.from_rate(spikes), x, atol=0.5 / 100 + 1e-12)


@pytest.mark.parametrize("law", ["linear", "log"])
def test_latency_comes_back(law):
    x = np.linspace(0.0, 1.0, 101)
    spikes = encoding.latency(x, 200, law=law, threshold=0.2)
    assert (spikes.sum(axis=0) == (x >= (0.2 if law == "linear" else 0.2 * 100 / 99 - 1e-9))).all()
    first = np.argmax(spikes[:, x > 0.21], axis=0)
    assert (np.diff(first) <= 0).all() and first[0] > first[-1]
    back = encoding.from_latency(spikes, law=law, threshold=0.2)
    there = spikes.any(axis=0)
    assert (back[~there] == 0).all()
    if law == "linear":
        np.testing.assert_allclose(back[there], x[there], atol=0.5 / 199 + 1e-12)
    else:  # half a step of time, whatever that is in x
        tau = 199 / math.log(100)
        np.testing.assert_allclose(-tau * np.log1p(-0.2 / back[there]), tau * np.log(x[there] / (x[there] - 0.2)), atol=0.5 + 1e-9)


def test_the_log_law_is_a_leaky_cell():
    """A constant input x into v' = (x - v) / tau from 0 reaches the threshold when `latency` says."""
    x, tau, threshold = np.array([0.3, 0.5, 0.9]), 40.0, 0.25
    v, crossed = np.zeros(3), np.full(3, -1)
    for k in range(20_000):
        v += (x - v) * (0.01 / tau)
        crossed[(crossed < 0) & (v >= threshold)] = k
    spikes = encoding.latency(x, 200, law="log", threshold=threshold, tau=tau)
    np.testing.assert_allclose(np.argmax(spikes, axis=0), crossed * 0.01, atol=0.52)


@pytest.mark.needs("torch", "snntorch")
@pytest.mark.parametrize("law", ["linear", "log"])
def test_latency_is_that_of_snntorch(rng, needs, law):
    torch = needs("torch")
    spikegen = needs("snntorch.spikegen")
    x = np.concatenate([rng.random(200), [0.0, 1.0, 0.005]]).astype(np.float32)
    if law == "linear":
        theirs = spikegen.latency(torch.from_numpy(x), num_steps=50, threshold=0.01, normalize=True, linear=True, clip=True)
        ours = encoding.latency(x, 50, threshold=0.01)
    else:
        theirs = spikegen.latency(torch.from_numpy(x), num_steps=50, threshold=0.1, tau=5.0, clip=True, bypass=True)
        ours = encoding.latency(x, 50, law="log", threshold=0.1, tau=5.0)
    np.testing.assert_array_equal(ours, theirs.numpy())
    assert ours.sum() > 100


@pytest.mark.needs("torch", "snntorch")
def test_delta_without_following_is_that_of_snntorch(rng, needs):
    torch = needs("torch")
    spikegen = needs("snntorch.spikegen")
    signal = rng.normal(size=(40, 3, 5))
    theirs = spikegen.delta(torch.from_numpy(signal), threshold=0.4, padding=True, off_spike=True).numpy()
    ours = encoding.delta(signal, 0.4, follow=False)
    np.testing.assert_array_equal(ours[:, 0].astype(int) - ours[:, 1], theirs)
    first = spikegen.delta(torch.from_numpy(signal), threshold=0.4, off_spike=True).numpy()
    ours = encoding.delta(signal, 0.4, follow=False, start=0.0)
    np.testing.assert_array_equal(ours[:, 0].astype(int) - ours[:, 1], first)


def test_what_is_sent_on_delta_adds_up_to_the_signal(rng):
    signal = np.cumsum(rng.normal(0, 0.3, (300, 4)), axis=0)
    events = encoding.delta(signal, 0.1)
    assert events.shape == (300, 2, 4) and not (events[:, 0] * events[:, 1]).any()
    back = encoding.from_delta(events, 0.1, start=signal[0])
    assert np.abs(back - signal).max() <= 0.1 + 1e-6
    assert events.max() > 1  # several in one step, where the signal jumps
    slow = encoding.delta(signal, 0.1, most=1)
    assert slow.max() == 1


def test_a_change_of_exactly_the_threshold_is_an_event():
    signal = np.arange(50)[:, None] * 0.1
    assert (encoding.delta(signal, 0.1)[1:, 0, 0] == 1).all()


def test_the_camera_sees_contrast_not_brightness(rng):
    image = rng.uniform(0.5, 2.0, (12, 12))
    frames = encoding.saccades(image, [(0, 0), (3, 0), (0, 2)], 6)
    assert frames.shape == (13, 12, 12)
    np.testing.assert_array_equal(frames[0], image)
    np.testing.assert_allclose(frames[6, :, 3:], image[:, :-3])
    assert (frames[6, :, :3] == 0).all()
    events = encoding.camera(frames, 0.2, dark=1e-9)
    assert events.shape == (13, 2, 12, 12) and events[0].sum() == 0 and events.sum() > 100
    inside = (slice(None), slice(None), slice(4, 8), slice(4, 8))
    np.testing.assert_array_equal(events[inside], encoding.camera(50.0 * frames, 0.2, dark=1e-9)[inside])
    assert encoding.camera(np.repeat(frames[:1], 5, axis=0)).sum() == 0


def test_the_camera_noise_refractoriness_and_mismatch(rng):
    still = np.ones((400, 20, 20))
    noisy = encoding.camera(still, noise=0.02, seed=5)
    assert abs(noisy.sum() / still.size - 0.02) < 0.002
    assert abs(noisy[:, 0].sum() / noisy.sum() - 0.5) < 0.05
    np.testing.assert_array_equal(noisy, encoding.camera(still, noise=0.02, seed=5))
    ramp = np.exp(np.arange(60) * 0.1)[:, None, None] * np.ones((1, 4, 4))
    tired = encoding.camera(ramp, 0.1, dark=1e-12, refractory=4)[:, 0, 0, 0]
    assert np.diff(np.flatnonzero(tired)).min() == 5 and tired.sum() >= 55  # those held back come later, together
    varied = encoding.camera(ramp, 0.1, dark=1e-12, mismatch=0.3, seed=1).sum(axis=(0, 1))
    assert varied.std() > 3 and encoding.camera(ramp, 0.1, dark=1e-12).sum(axis=(0, 1)).std() == 0


def test_a_moved_image_is_shifted_between_pixels():
    image = np.zeros((5, 5))
    image[2, 2] = 1.0
    half = encoding.saccades(image, [(0.5, 0.0), (0.0, -0.25)], 1, margin=1)
    assert half.shape == (2, 7, 7)
    np.testing.assert_allclose(half[0, 3, 3:5], [0.5, 0.5])
    np.testing.assert_allclose(half[1, 2:4, 3], [0.25, 0.75])


def test_populations_tell_the_number():
    x = np.linspace(0.2, 0.8, 25)
    fields = encoding.receptive_fields(x, 11)
    assert fields.shape == (25, 11) and np.abs(fields.argmax(axis=1) - 10 * x).max() <= 0.5 + 1e-9
    np.testing.assert_allclose(encoding.from_population(fields), x, atol=2e-3)
    spikes = encoding.population(x, 100, 11, threshold=0.05)
    assert spikes.shape == (100, 25, 11)
    np.testing.assert_allclose(encoding.from_population(encoding.from_latency(spikes)), x, atol=0.02)
    regular = encoding.population(x, 400, 11, encode=encoding.rate, kind="regular")
    np.testing.assert_allclose(encoding.from_population(encoding.from_rate(regular)), x, atol=0.01)


def test_phases_are_binary_digits():
    x = np.arange(256) / 256
    spikes = encoding.phase(x, 24)
    assert spikes.shape == (24, 256)
    np.testing.assert_array_equal(encoding.from_phase(spikes), x)
    few = encoding.phase([0.5, 0.25, 0.75, 1.0], 4, period=4)
    np.testing.assert_array_equal(few.T, [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]])


def test_spike_times_go_to_sources_and_come_back(rng):
    spikes = rng.poisson(0.3, (50, 6)).astype(np.uint8)
    times = encoding.spike_times(spikes, 0.5, start=2.0)
    assert len(times) == 6 and times[0].min() >= 2.0
    np.testing.assert_array_equal(encoding.counted(times, 50, 0.5, start=2.0), spikes)
    net = Network()
    source = net.population(6, SpikeSourceArray(times), "source")
    net.population(1, IF_curr_delta(), "cells")
    net.record(source, "spikes")
    result = Simulation(net, dt=0.5).run(30.0)
    assert result.spikes("source").times.size == spikes.sum()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: encoding.rate([0.5, 1.5], 10), r"rate\.x must be finite and in \[0, 1\], got 1\.5"),
    (lambda: encoding.rate([np.nan], 10), "finite"),
    (lambda: encoding.rate([0.5], 0), "steps must be a whole number >= 1, got 0"),
    (lambda: encoding.rate([0.5], 10, kind="gauss"), "kind must be"),
    (lambda: encoding.rate([0.5], 10, seed=-1), "seed"),
    (lambda: encoding.latency([0.5], 1), "steps must be a whole number >= 2"),
    (lambda: encoding.latency([0.5], 10, threshold=0.0), r"threshold must be in \(0, 1\)"),
    (lambda: encoding.latency([0.5], 10, law="log", tau=-1.0), "tau must be > 0 steps"),
    (lambda: encoding.delta([[1.0]], 0.0), "threshold must be > 0"),
    (lambda: encoding.camera(np.ones((4, 4))), "shape"),
    (lambda: encoding.camera(-np.ones((2, 4, 4))), r"camera\.frames"),
    (lambda: encoding.receptive_fields(0.5, 1), "n >= 2"),
    (lambda: encoding.phase([0.5], 8, period=0), "period"),
    (lambda: encoding.from_phase(np.ones((4, 2)), period=8), "hold no period"),
    (lambda: encoding.spike_times([[0.5]], 1.0), "whole numbers"),
    (lambda: encoding.counted([[1.0]], 5, 0.0), "dt must be > 0 ms"),
])
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
