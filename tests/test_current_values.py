"""What an injected current is worth at every step: as it acts, as PyNN's back ends show it, on the grid, shared or not."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    ACSource,
    DCSource,
    IF_curr_alpha,
    IF_curr_exp,
    Network,
    NetworkError,
    NoisyCurrentSource,
    ParameterError,
    Simulation,
    SpikeSourcePoisson,
    StepCurrentSource,
    neuron,
)
from neurosim.currents import values

DT, REST = 0.1, -65.0


@neuron(parameters={}, states={"seen": 0.0}, receptors=("excitatory",))
def Probe(s, p, x):
    """A neuron that shows the current into it."""
    s.seen = x.current
    return False


# The sources that PyNN's back ends are asked about too: name -> (class, parameters).
SOURCES = {
    "constant": ("DCSource", {"amplitude": 0.5, "start": 5.0, "stop": 12.5}),
    "constant from 0": ("DCSource", {"amplitude": 0.5, "start": 0.0, "stop": 1.0}),
    "constant, early in a step": ("DCSource", {"amplitude": 0.5, "start": 2.03, "stop": 4.03}),
    "constant, late in a step": ("DCSource", {"amplitude": 0.5, "start": 2.07, "stop": 4.07}),
    "steps": ("StepCurrentSource", {"times": [5.0, 8.7, 12.5], "amplitudes": [0.4, 0.6, 0.2]}),
    "steps from 0": ("StepCurrentSource", {"times": [0.0, 4.0], "amplitudes": [0.4, 0.0]}),
    "steps, rounded": ("StepCurrentSource", {"times": [0.41, 0.42, 0.86], "amplitudes": [0.5, -0.5, 0.5]}),
    "sine": ("ACSource", {"amplitude": 0.5, "offset": 0.1, "start": 5.0, "stop": 12.5, "frequency": 100.0, "phase": 0.0}),
    "sine with a phase": ("ACSource", {"amplitude": 1.0, "offset": 0.0, "start": 5.0, "stop": 9.0, "frequency": 20.0, "phase": 90.0}),
    "sine, late in a step": ("ACSource", {"amplitude": 1.0, "offset": 0.5, "start": 2.07, "stop": 4.07, "frequency": 500.0,
                                          "phase": 30.0}),
}
KINDS = {one.__name__: one for one in (ACSource, DCSource, NoisyCurrentSource, StepCurrentSource)}
NOISY = {"mean": 0.5, "stdev": 0.05, "start": 5.0, "stop": 12.5}


def source(name):
    kind, given_ = SOURCES[name]
    return KINDS[kind](**given_)


def acted(v, tau=20.0, cm=1.0):
    """The current, nA, that was held over each step of a passive cell."""
    u, keep = v - REST, np.exp(-DT / tau)
    return (u[1:] - u[:-1] * keep) / (tau / cm * (1.0 - keep))


def passive(cell=IF_curr_exp, **more):
    net = Network()
    return net, net.population(1, cell(v_thresh=1e6, tau_m=20.0, cm=1.0, **more), "cells").record("v")


@pytest.mark.parametrize("cell", ["exp", "alpha", "stepped"])
@pytest.mark.parametrize("name", SOURCES)
def test_values_are_what_acts_and_the_potential_follows_a_step_later(name, cell):
    net, cells = passive(cell=IF_curr_alpha if cell == "alpha" else IF_curr_exp, **({"tau_syn_E": 20.0} if cell == "stepped" else {}))
    injection = net.inject(source(name), cells)
    sim = Simulation(net)
    for duration in (0.1, 7.3, 12.6):  # portions leave no trace
        sim.run(duration)
    v, i = sim.result.traces("cells", "v").values[:, 0], sim.current_of(injection)
    assert i.shape == v.shape == (201,) and i.dtype == np.float64
    np.testing.assert_allclose(acted(v), i[:-1], atol=1e-9)
    assert i.any()
    first = np.flatnonzero(i)[0]
    assert (v[:first + 1] == REST).all() and v[first + 1] != REST
    np.testing.assert_array_equal(sim.current_of(injection, 17, 120), i[17:121])
    assert sim.current_of(injection, 150, 400).shape == (251,)
    np.testing.assert_array_equal(values(source(name), DT, 0, 200), i)


def test_from_start_to_stop():
    """The four kinds, at start, within, and at stop; all is 0 outside."""
    on, off = 50, 125
    for kind, found in (
        ("ac", values(source("sine"), DT, 0, 200)), ("dc", values(source("constant"), DT, 0, 200)),
        ("noise", values(NoisyCurrentSource(**NOISY), DT, 0, 200)), ("steps", values(source("steps"), DT, 0, 200)),
    ):
        assert not found[:on].any() and (found[on] != 0.0), kind
        assert found[off - 1] != 0.0 and (found[off:] == (0.2 if kind == "steps" else 0.0)).all(), kind
    steps = values(source("steps"), DT, 0, 200)
    assert steps[86] == 0.4 and steps[87] == 0.6
    t = np.arange(on, off) * DT - 5.0
    np.testing.assert_allclose(values(source("sine"), DT, on, off - 1), 0.1 + 0.5 * np.sin(2.0 * np.pi * 0.1 * t), atol=1e-12)
    assert values(source("sine with a phase"), DT, on, on)[0] == 1.0  # the phase is that at start
    assert values(ACSource(frequency=100.0, start=5.0), DT, on, on + 1).tolist()[0] == 0.0


def test_a_sine_has_as_many_peaks_as_periods_and_v_decays_after_it():
    net, cells = passive(cell=IF_curr_alpha)
    injection = net.inject(ACSource(start=22.5, stop=122.5, amplitude=0.5, offset=0.1, frequency=100.0), cells)
    sim = Simulation(net)
    v = sim.run(150.0).traces("cells", "v").values[:, 0]
    assert (v[:226] == REST).all() and abs(v[226] - v[225]) >= 1e-9
    assert (np.diff(v[1225:]) <= 0.0).all()
    during = sim.current_of(injection)[225:1225]
    peaks = (during[1:-1] > during[:-2]) & (during[1:-1] >= during[2:])
    assert peaks.sum() == 10


def test_constant_and_steps_agree_with_the_parameter():
    """A current from time 0 is `i_offset`, whichever source it comes from; one that begins in a later run acts then."""
    net = Network()
    net.population(1, IF_curr_exp(i_offset=0.6), "alone").record("v")
    dc, steps, late = (net.population(1, IF_curr_exp(), label).record("v") for label in ("dc", "steps", "late"))
    dc.inject(DCSource(amplitude=0.6))
    steps.inject(StepCurrentSource(times=[0.0], amplitudes=[0.6]))
    late.inject(StepCurrentSource(times=[12.5, 17.5], amplitudes=[0.05, 0.1]))
    sim = Simulation(net)
    sim.run(10.0)
    sim.run(10.0)
    v = {label: sim.result.traces(label, "v").values[:, 0] for label in ("alone", "dc", "steps", "late")}
    np.testing.assert_array_equal(v["dc"], v["steps"])
    np.testing.assert_allclose(v["dc"], v["alone"], atol=1e-11)
    assert (v["late"][:126] == REST).all() and (np.diff(v["late"][125:]) > 0.0).all()


# ------------------------------------------------------------------------------------ the grid


@pytest.mark.parametrize("dt, times, expected", [
    (0.1, [0.41, 0.42, 0.86], {4: -0.5, 9: 0.7}), (0.01, [0.451, 0.452, 0.86], {45: -0.5, 86: 0.7}),
    (0.1, [0.25, 0.3, 0.34], {3: 0.7}), (0.1, [0.04, 0.05, 0.1499], {0: 0.3, 1: 0.7}),
])
def test_times_are_rounded_to_the_nearest_step_and_the_last_of_a_step_counts(dt, times, expected):
    found = values(StepCurrentSource(times=times, amplitudes=[0.3, -0.5, 0.7]), dt, 0, 100)
    plain, now = np.zeros(101), 0.0
    for step in range(101):
        now = expected.get(step, now)
        plain[step] = now
    np.testing.assert_array_equal(found, plain)


@settings(max_examples=40)
@given(steps=st.lists(st.integers(0, 300), unique=True, min_size=1, max_size=60), dt=st.sampled_from([0.1, 0.05, 0.3, 1.0]))
def test_steps_are_those_of_a_plain_search(steps, dt):
    steps = sorted(steps)
    amplitudes = np.arange(1.0, len(steps) + 1.0)
    found = values(StepCurrentSource(times=np.array(steps) * dt, amplitudes=amplitudes), dt, 0, 320)
    expected = [amplitudes[sum(s <= k for s in steps) - 1] if steps and k >= steps[0] else 0.0 for k in range(321)]
    np.testing.assert_array_equal(found, expected)


def test_any_waveform():
    wave = np.sin(np.arange(10_000) / 37.0)
    net, cells = passive()
    injection = net.inject(StepCurrentSource(times=np.arange(10_000) * DT, amplitudes=wave), cells)
    sim = Simulation(net)
    v = sim.run(1000.0).traces("cells", "v").values[:, 0]
    np.testing.assert_array_equal(sim.current_of(injection, 0, 9_999), wave)
    np.testing.assert_allclose(acted(v), wave, atol=1e-9)


# ------------------------------------------------------------------------------------ noise


def noisy(threads=1, shared=False, before=0, dt=0.5):
    """Two populations with noise, each cell's current as it acts, (steps, cells), and as it is said to be."""
    net = Network()
    if before:
        net.population(before, Probe(), "before")
    net.population(3, SpikeSourcePoisson(), "other")
    a, b = net.population(200, Probe(), "a").record("seen"), net.population(5, Probe(), "b").record("seen")
    current = NoisyCurrentSource(dt=dt, shared=shared, **NOISY)
    injections = [net.inject(DCSource(amplitude=0.0), a), net.inject(current, a[[7, 3, 190]]), net.inject(current, b)]
    sim = Simulation(net, threads=threads, seed=8)
    result = sim.run(20.0)
    seen = {"a": result.traces("a", "seen").values[1:, [7, 3, 190]], "b": result.traces("b", "seen").values[1:]}
    said = {label: sim.current_of(one) for label, one in zip("ab", injections[1:])}
    return seen, said


@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_noise_of_its_own_for_each_cell(dt):
    seen, said = noisy(dt=dt)
    for label, n in (("a", 3), ("b", 5)):
        assert said[label].shape == (201, n)
        np.testing.assert_allclose(seen[label], said[label][:-1], atol=1e-13)
        held = said[label][50:125]
        assert not said[label][:50].any() and not said[label][125:].any()
        each = round(dt / DT)
        changes = np.flatnonzero(np.diff(held, axis=0).any(axis=1)) + 1
        np.testing.assert_array_equal(changes, np.arange(each, 75, each))
        assert np.unique(held[0]).size == n
    assert not np.isin(said["a"][50], said["b"][50]).any()


def test_shared_noise_is_one_trace():
    seen, said = noisy(shared=True)
    assert said["a"].shape == said["b"].shape == (201,)
    np.testing.assert_array_equal(said["a"], said["b"])
    for label in "ab":
        np.testing.assert_allclose(seen[label], np.repeat(said["a"][:-1, None], seen[label].shape[1], axis=1), atol=1e-13)
    assert np.ptp(said["a"][50:125]) > 0.05


@pytest.mark.parametrize("shared", [False, True])
def test_noise_does_not_depend_on_threads_or_neighbours(shared):
    _, plain = noisy(shared=shared)
    for more in ({"threads": 3}, {"before": 11}):
        seen, said = noisy(shared=shared, **more)
        for label in "ab":
            np.testing.assert_array_equal(said[label], plain[label])
            np.testing.assert_allclose(seen[label].T, np.broadcast_to(said[label][:-1].T, seen[label].T.shape), atol=1e-13)


@pytest.mark.parametrize("shared", [False, True])
def test_values_after_follow_are_those_before(shared):
    """Noise, a sine and steps go on; what is added acts from then on as if it had always been there, even twice into one cell."""
    net = Network()
    cells = net.population(3, Probe(), "cells").record("seen")
    noise, sine = NoisyCurrentSource(dt=0.3, shared=shared, **NOISY), source("sine")
    injections = [net.inject(sine, cells), net.inject(noise, cells[[2, 0]]), net.inject(noise, cells)]
    sim = Simulation(net, seed=4)
    before = sim.current_of(injections[1], 0, 200)
    sim.run(6.1)
    later = net.inject(source("steps"), cells[1])
    with pytest.raises(NetworkError, match="added after"):
        sim.current_of(later)
    sim = sim.follow()
    seen = sim.run(13.9).traces("cells", "seen").values
    assert seen.shape == (139, 3)
    np.testing.assert_array_equal(sim.current_of(injections[1], 0, 200), before)
    acts = slice(61, 200)
    expected = np.repeat(sim.current_of(injections[0])[acts, None], 3, axis=1)
    expected += sim.current_of(injections[2])[acts].reshape(139, -1)
    expected[:, [2, 0]] += before[acts].reshape(139, -1)
    expected[:, 1] += sim.current_of(later)[acts]
    np.testing.assert_allclose(seen, expected, atol=1e-13)


def test_noise_has_the_moments_that_are_asked_for():
    found = values(NoisyCurrentSource(mean=0.3, stdev=0.6, shared=True), DT, 0, 39_999, key=77)
    assert abs(found.mean() - 0.3) < 4.0 * 0.6 / 200.0 and abs(found.std() / 0.6 - 1.0) < 4.0 / np.sqrt(80_000.0)
    assert (values(NoisyCurrentSource(mean=0.3, stdev=0.6, shared=True), DT, 0, 39_999, key=78) != found).all()


# ------------------------------------------------------------------------------------ errors


def test_errors():
    net, cells = passive()
    injection = net.inject(DCSource(), cells)
    other, its = passive()
    foreign = other.inject(DCSource(), its)
    sim = Simulation(net)
    with pytest.raises(NetworkError, match="is no injection of network"):
        sim.current_of(foreign)
    for first, last, words in ((-1, None, "first must be a whole number of steps >= 0, got -1"), (5, 3, "last .* >= 5, got 3"),
                               (0.5, None, "first .* got 0.5"), (0, True, "last .* got True")):
        with pytest.raises(ParameterError, match=words):
            sim.current_of(injection, first, last)
    with pytest.raises(ParameterError, match="shared must be True or False, got 'yes'"):
        NoisyCurrentSource(shared="yes")
    late = net.inject(DCSource(), cells)
    with pytest.raises(NetworkError, match="added after"):
        sim.current_of(late)


# ------------------------------------------------------------------------------------ peers

PEER = f"""
import importlib, json, sys
import numpy as np
sim = importlib.import_module("pyNN." + sys.argv[1])
found = {{}}
for name, (kind, given) in json.loads(sys.argv[2]).items():
    sim.setup(timestep={DT}, min_delay={DT})
    cells = sim.Population(1, sim.IF_curr_exp(v_thresh=1e6, v_rest={REST}, tau_m=20.0, cm=1.0))
    cells.initialize(v={REST})
    source = getattr(sim, kind)(**given)
    source.inject_into(cells)
    source.record()
    cells.record("v")
    sim.run(20.0)
    v = cells.get_data().segments[0].filter(name="v")[0].magnitude[:, 0]
    found[name] = [source.get_data().magnitude.ravel().tolist(), v.tolist()]
    sim.end()
json.dump(found, open(sys.argv[3], "w"))
"""


def peer(name, tmp_path, sources):
    """What a back end of PyNN records of currents and potentials; in a process of its own."""
    script, out = tmp_path / "peer.py", tmp_path / "found.json"
    script.write_text(PEER)
    subprocess.run([sys.executable, str(script), name, json.dumps(sources), str(out)], check=True, cwd=tmp_path, capture_output=True,
                   timeout=300)
    return {key: (np.array(i), np.array(v)) for key, (i, v) in json.loads(out.read_text()).items()}


@pytest.mark.needs("neuron", "pyNN")
def test_currents_are_neurons(tmp_path):
    found = peer("neuron", tmp_path, SOURCES)
    assert len(found) == len(SOURCES)
    for name, (theirs, v) in found.items():
        ours = values(source(name), DT, 0, 200)
        assert theirs.shape == ours.shape, name
        np.testing.assert_allclose(theirs, ours, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(acted(v), ours[:-1], atol=5e-3, err_msg=name)  # NEURON's steps are implicit: 0.25 %


@pytest.mark.needs("nest", "pyNN")
def test_currents_are_nests(tmp_path):
    """Those that begin after its shortest delay; times of all but steps must be whole steps there."""
    names = [name for name in SOURCES if "from 0" not in name and "in a step" not in name]
    assert len(names) == 5
    for name, (theirs, v) in peer("nest", tmp_path, {name: SOURCES[name] for name in names}).items():
        ours = values(source(name), DT, 0, 200)
        np.testing.assert_allclose(theirs, ours, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(acted(v), ours[:-1], atol=1e-9, err_msg=name)


@pytest.mark.needs("neuron", "nest", "pyNN")
@pytest.mark.parametrize("name", ["neuron", "nest"])
@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_noise_changes_when_a_peers_does(name, dt, tmp_path):
    theirs, _ = peer(name, tmp_path, {"noise": ("NoisyCurrentSource", {**NOISY, "dt": dt})})["noise"]
    ours = values(NoisyCurrentSource(**NOISY, dt=dt), DT, 0, 200)
    np.testing.assert_array_equal(np.flatnonzero(np.abs(np.diff(theirs)) > 1e-9), np.flatnonzero(np.diff(ours)))
