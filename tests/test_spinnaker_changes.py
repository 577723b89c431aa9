"""What is read and changed between two runs of the SpiNNaker emulator; its sources and currents; what it refuses."""

import math

import numpy as np
import pytest

import reference_spinnaker
from neurosim import (ACSource, AllToAllConnector, DCSource, FixedProbabilityConnector, IF_cond_alpha, IF_cond_exp, IF_curr_delta,
                      IF_curr_exp, Network, NoisyCurrentSource, OneToOneConnector, SpikeSourceArray, SpikeSourcePoisson, StepCurrentSource)
from neurosim.errors import FileFormatError, NetworkError, ParameterError, SimulationError
from neurosim.hardware.spinnaker import sources
from neurosim.hardware.spinnaker.emulation import Emulation, emulate
from neurosim.hardware.spinnaker.load import load
from neurosim.kernels.spinnaker_sources import sink
from neurosim.plasticity import AdditiveWeightDependence, SpikePairRule, STDPMechanism


def small(rate=40.0, **cell):
    """Poisson sources and given spikes into cells that learn and are joined among themselves."""
    net = Network()
    noise = net.population(20, SpikeSourcePoisson(rate=rate), "noise").record("spikes")
    times = net.population(4, SpikeSourceArray([5.0, 50.0, 95.0]), "times").record("spikes")
    cells = net.population(10, IF_curr_exp(**cell), "cells").record(["spikes", "v"])
    net.project(noise, cells, FixedProbabilityConnector(0.5), weight=1.5, delay=3.0, label="noise")
    rule = STDPMechanism(SpikePairRule(tau_plus=20.0, tau_minus=20.0, A_plus=0.02, A_minus=0.021), AdditiveWeightDependence(0.0, 2.0))
    net.project(times, cells, AllToAllConnector(), weight=1.0, delay=12.0, label="learns", synapse=rule)
    net.project(cells, cells, FixedProbabilityConnector(0.3), weight=-0.4, delay=2.0, receptor="inhibitory", label="inhibits")
    return net


# ------------------------------------------------------------------------------------ reading and setting


def test_states_are_read_and_set():
    net = small()
    cells, emulation = net["cells"], Emulation(net)
    emulation.run(60.0)
    before = emulation.get(cells, "v")
    emulation.set(cells[2:4], v=[-51.0, -62.5], isyn_exc=0.25, isyn_inh=-0.5)
    assert emulation.get(cells, "v")[2:4].tolist() == [-51.0, -62.5] and emulation.get("cells", "isyn_inh")[3] == -0.5
    assert np.array_equal(np.delete(emulation.get(cells, "v"), [2, 3]), np.delete(before, [2, 3]))
    trace = emulation.run(1.0).traces("cells", "v")
    assert trace.values[0, 2:4].tolist() == [-51.0, -62.5] and np.array_equal(trace.values[0, 4:], before[4:])


def test_conductances_are_read_and_set():
    net = Network()
    emulation = Emulation(_with(net, IF_cond_exp(), "gsyn_exc"))
    emulation.set("cells", gsyn_exc=0.125, gsyn_inh=0.5)
    assert emulation.get("cells", "gsyn_exc").tolist() == [0.125, 0.125]
    assert emulation.run(1.0).traces("cells", "gsyn_exc").values[0, 0] == 0.125
    with pytest.raises(ParameterError, match="cells.gsyn_exc must be within -64 and 64 uS on the machine .*, got 100 uS"):
        emulation.set("cells", gsyn_exc=100.0)


def _with(net, cell, variable):
    net.population(2, cell, "cells").record(variable)
    return net


def test_an_emulation_says_what_it_is():
    net = _with(Network(label="small"), IF_cond_exp(), "v")
    emulation = Emulation(net, dt=0.5)
    emulation.run(1.5)
    assert repr(emulation) == "<small on SpiNNaker, emulated: 2 cells, at 1.5 ms>"


@pytest.mark.parametrize("target, values, message", [
    ("cells", {"w": 1.0}, "IF_curr_exp has no state variable 'w' on the machine; it has v, isyn_exc, isyn_inh"),
    ("cells", {"v": "high"}, "cells.v must be a number or 10 values"),
    ("cells", {"v": [1.0, 2.0]}, "cells.v must be a number or 10 values"),
    ("cells", {"v": math.nan}, "cells.v must be finite"),
    ("cells", {"v": -1e5}, "cells.v must be within -65536 and 65536 mV on the machine (s16.15), got -100000 mV"),
    ("cells", {"isyn_exc": [*range(9), 1e5]},
     "cells.isyn_exc must be within -65536 and 65536 nA on the machine (s16.15), got 0 to 100000 nA"),
    ("noise", {"v": 1.0}, "noise: of Poisson sources only the rate can be set"),
    ("noise", {"rate": -1.0}, "noise.rate must be within 0 and 65536 Hz"),
    ("times", {"v": 1.0}, "SpikeSourceArray has no state variables"),
    ("others", {"v": 1.0}, "'others' does not belong to the emulated network; it has noise, times, cells"),
])
def test_what_cannot_be_set(target, values, message):
    emulation = Emulation(small())
    before = {name: emulation._m._asdict()[name].copy() for name in ("state", "sources", "seeds")}
    with pytest.raises((ParameterError, NetworkError)) as error:
        emulation.set(target, **values)
    assert message in str(error.value)
    assert all(np.array_equal(before[name], emulation._m._asdict()[name]) for name in before)


def test_weights_are_what_is_stored():
    net = small()
    emulation = Emulation(net)
    for one in emulation.deployment.synapses:
        weights, sign = emulation.weights(one.projection), -1.0 if one.label == "inhibits" else 1.0
        assert weights.unit == "nA" and np.array_equal(weights.pre, one.source) and np.array_equal(weights.post, one.target)
        step = 2.0 ** (emulation.deployment["cells"].shifts[one.receptor] - 15)
        assert np.array_equal(weights.values, sign * np.rint(one.asked / step) * step)
    emulation.run(150.0)
    changed = emulation.weights("learns").values
    assert (changed != 1.0).any() and (changed >= 0.0).all() and (changed <= 2.0).all()
    assert np.array_equal(emulation.weights("inhibits").values, Emulation(net).weights("inhibits").values)
    with pytest.raises(NetworkError, match="has no projection 'other'; it has noise, learns, inhibits"):
        emulation.weights("other")


# ------------------------------------------------------------------------------------ Poisson sources


def test_seeds_are_those_of_spynnaker():
    """Four words a core, drawn one after the other."""
    rng = np.random.RandomState(77)
    drawn = [[rng.randint(-0x80000000, 0x7FFFFFFF) + 0x80000000 for _ in range(4)] for _ in range(3)]
    seeds = sources.core_seeds(77, 3).tolist()
    assert [row[:3] for row in seeds] == [row[:3] for row in drawn]
    assert [row[3] for row in seeds] == [row[3] % 698769068 + 1 for row in drawn]
    assert sources.population_seed(1, "a") == sources.population_seed(1, "a") != sources.population_seed(2, "a")


def test_a_word_of_a_seed_that_may_not_be_zero(monkeypatch):
    """Nor may the last one be greater than 698769068."""
    class Zeros:
        def randint(self, low, high, size):
            return np.full(size, low)

    monkeypatch.setattr(np.random, "RandomState", lambda seed: Zeros())
    assert sources.core_seeds(1, 2).tolist() == [[0, 13031301, 0, 1]] * 2


def test_a_reset_takes_currents_back_too():
    """A current in steps counts those that it took, a noisy one draws; both begin anew."""
    net = Network()
    cells = net.population(3, IF_curr_exp(), "cells").record(["spikes", "v"])
    net.inject(StepCurrentSource(times=[5.0, 30.0], amplitudes=[3.0, 0.5]), cells)
    net.inject(NoisyCurrentSource(mean=0.1, stdev=0.2), cells)
    emulation = Emulation(net)
    first = emulation.run(50.0)
    emulation.reset()
    assert emulation.run(50.0) == first and first.spikes("cells").count > 3


def test_a_saved_state_is_one_of_the_same_numbers(tmp_path):
    """Currents, rates and initial states belong to the network as synapses do; numbers of NumPy are settings as others are."""
    def network(amplitude=0.5, rate=20.0, v=-60.0):
        net = Network()
        noise = net.population(3, SpikeSourcePoisson(rate=rate), "noise")
        cells = net.population(3, IF_curr_exp(), "cells").record("v").initialize(v=v)
        net.project(noise, cells, OneToOneConnector(), weight=1.0, delay=2.0)
        net.inject(DCSource(amplitude=amplitude), cells)
        return net

    emulation = Emulation(network(), neurons_per_core={"cells": np.int64(2)}, seed=np.int32(7))
    emulation.run(20.0)
    emulation.save(tmp_path / "state")
    expected = emulation.run(20.0)
    assert Emulation.load(tmp_path / "state", network()).run(20.0) == expected
    for other in ({"amplitude": 0.6}, {"rate": 30.0}, {"v": -61.0}):
        with pytest.raises(FileFormatError, match="was saved from another network"):
            Emulation.load(tmp_path / "state", network(**other))


def test_sources_start_and_end_at_the_nearest_step():
    """Halves are rounded up, start and duration each by itself."""
    net = Network()
    starts, durations = [2.0, 2.4, 2.5, 3.5, 2.6, 0.0], [10.0, 10.4, 10.5, 10.0, 0.4, 1e12]
    net.population(6, SpikeSourcePoisson(rate=100.0, start=starts, duration=durations), "noise").record("spikes")
    first, end = sources.poisson_spans(load(net)["noise"], 1.0)
    assert first.tolist() == [2, 2, 3, 4, 3, 0] and end.tolist() == [12, 12, 14, 14, 3, 0xFFFFFFFF]
    first, end = sources.poisson_spans(load(net, dt=0.5)["noise"], 0.5)
    assert first.tolist() == [4, 5, 5, 7, 5, 0] and end.tolist() == [24, 26, 26, 27, 6, 0xFFFFFFFF]


@pytest.mark.parametrize("rate", [5.0, 15.0, 200.0, 3000.0, 9000.0, 15000.0])
def test_poisson_numbers(rate):
    """Rates within five standard errors of what the machine makes of them, and variances those of a Poisson process.

    Slow sources have whole mean intervals; the square of a normal variate has a quarter of a spike a tick too many.
    """
    net = Network()
    net.population(400, SpikeSourcePoisson(rate=rate, start=100.0, duration=1500.0), "noise").record("spikes")
    spikes = emulate(net, 2000.0).spikes("noise")
    assert spikes.times.min() >= 100.0 and spikes.times.max() < 1600.0
    counts = spikes.counts() / 1.5
    real = 1000.0 / (1000.0 // rate) if rate < 10.0 else rate + 250.0 if rate >= 10000.0 else rate
    assert abs(counts.mean() - real) < 5.0 * np.sqrt(real / 600.0) + 0.003 * real
    assert 0.75 < np.var(counts * 1.5) / (1.5 * real) < 1.3


def test_cores_draw_for_themselves_and_seeds_decide():
    def spikes(**settings):
        net = Network()
        net.population(12, SpikeSourcePoisson(rate=50.0), "noise").record("spikes")
        return emulate(net, 500.0, **settings).spikes("noise")

    assert spikes() == spikes() != spikes(seed=2)
    split = spikes(neurons_per_core={"noise": 5})
    assert split != spikes()
    first = [np.flatnonzero(one.ids < 5) for one in (split, spikes(neurons_per_core={"noise": 5}))]
    assert np.array_equal(*first)


def test_a_poisson_input_is_sources_joined_one_to_one():
    def network(explicit):
        net = Network()
        cells = net.population(8, IF_curr_exp(), "cells").record(["spikes", "v"])
        if explicit:
            sources = net.population(5, SpikeSourcePoisson(rate=300.0, start=20.0, duration=200.0), "drive (sources)")
            net.project(sources, cells[2:7], OneToOneConnector(), weight=0.8, label="drive")
        else:
            net.poisson_input(cells[2:7], rate=300.0, weight=0.8, start=20.0, stop=220.0, label="drive")
        return net

    one, other = Emulation(network(False)), Emulation(network(True))
    a, b = one.run(300.0), other.run(300.0)
    assert a.spikes("cells") == b.spikes("cells") and a.traces("cells", "v") == b.traces("cells", "v") and a.spikes("cells").count > 0
    one.set("drive (sources)", rate=0.0)
    assert one.run(100.0).spikes("cells").count == 0


def test_rates_are_set_between_runs():
    net = small(rate=0.0)
    emulation = Emulation(net)
    assert emulation.run(200.0).spikes("noise").count == 0
    emulation.set(net["noise"][:5], rate=100.0)
    spikes = emulation.run(1000.0).spikes("noise")
    assert set(spikes.ids) == set(range(5)) and 80.0 < spikes.count / 5.0 < 120.0
    emulation.reset()
    assert emulation.run(200.0).spikes("noise").count == 0


# ------------------------------------------------------------------------------------ currents


def test_the_sine_of_the_machine():
    near = np.arange(-20 * 32768, 400 * 32768, 977)
    found = np.array([sink(int(x)) for x in near])
    exact = np.sin(near / 32768) * 32768
    assert np.abs(np.abs(found) - np.abs(exact)).max() < 2.0
    assert ((np.sign(found) == np.sign(exact)) | (np.abs(exact) > 32766.9) | (np.abs(exact) < 2.0)).all()
    assert sink(51471) == -32768  # pi / 2: its 32 bits overflow


def test_currents_against_plain_integers():
    net = Network()
    cells = net.population(5, IF_curr_exp(v_thresh=1000.0), "cells").record("v")
    net.inject(DCSource(amplitude=0.7, start=3.3, stop=40.7), cells[0:3])
    net.inject(ACSource(amplitude=0.9, offset=0.1, frequency=37.0, phase=33.0, start=5.0, stop=90.0), cells[1:4])
    net.inject(StepCurrentSource(times=(2.0, 3.0, 3.2, 50.0), amplitudes=(0.5, -0.3, 0.8, 0.0)), cells[2:5])
    deployment = load(net)
    word = reference_spinnaker.word
    steps = {"taken": 0, "now": 0}

    def bias(t, population, cell):
        total = word(0.7) if cell < 3 and 3 <= t < 40 else 0
        if 1 <= cell < 4 and 5 <= t < 90:
            angle = reference_spinnaker.mul((t - 5) << 15, word(37.0 * 2 * math.pi / 1000)) + word(math.radians(33.0))
            total += word(0.1) + reference_spinnaker.mul(word(0.9), sink(angle))
        if cell >= 2:  # each that asks takes one step at most
            if steps["taken"] < 4 and t >= (2, 3, 3, 50)[steps["taken"]]:
                steps["now"] = word((0.5, -0.3, 0.8, 0.0)[steps["taken"]])
                steps["taken"] += 1
            total += steps["now"]
        return total

    reference = reference_spinnaker.Network(deployment).run(100, bias)
    emulation = Emulation.of(deployment)
    emulation.run(33.0)
    emulation.run(67.0)
    expected = np.array([[reference.v[t, 0, j] for j in range(5)] for t in range(100)]) / 32768
    assert np.array_equal(emulation.result.traces("cells", "v").values, expected)


def test_noise_has_its_mean_and_its_spread():
    net = Network()
    cells = net.population(300, IF_curr_exp(v_thresh=1000.0, tau_m=1.0, cm=1.0), "cells").record("v")
    net.inject(NoisyCurrentSource(mean=0.5, stdev=2.0, start=10.0, stop=90.0, dt=1.0), cells)
    emulation = Emulation(net, neurons_per_core={"cells": 100})
    v = emulation.run(100.0).traces("cells", "v").values + 65.0
    assert (v[:11] == 0).all()
    late, scale = v[20:91], 1.0 - math.exp(-1.0)
    assert late.mean() == pytest.approx(0.5, abs=0.05)
    assert late.std() == pytest.approx(2.0 * scale / math.sqrt(1.0 - math.exp(-2.0)), rel=0.03)
    assert abs(np.corrcoef(v[30, :100], v[30, 100:200])[0, 1]) < 0.5
    emulation.reset()
    assert np.array_equal(emulation.run(100.0).traces("cells", "v").values + 65.0, v)


# ------------------------------------------------------------------------------------ a network described anew


@pytest.mark.parametrize("network", [lambda: small(), lambda: rich()], ids=["small", "rich"])
def test_following_changes_nothing_by_itself(network):
    one, other = Emulation(network()), Emulation(network())
    one.run(30.0)
    other.run(30.0)
    for emulation in (one, other):
        emulation.set("noise", rate=70.0)
    whole = one.run(120.0)
    first = other.run(30.0)
    second = other.follow()
    assert second.t == 60.0 and second.result.spikes("cells").count == 0
    assert first.append(second.run(90.0)) == whole
    assert other.result.t_stop == 60.0
    assert np.array_equal(second.weights("learns").values, one.weights("learns").values)


def test_following_what_was_changed():
    net = small()
    emulation = Emulation(net)
    emulation.run(60.0)
    v, weights = emulation.get("cells", "v"), emulation.weights("learns").values
    net["cells"].set(i_offset=2.0)
    net["times"].set(spike_times=[10.0, 70.0])
    net["noise"].set(rate=0.0)
    net.inject(StepCurrentSource(times=(80.0, 1000.0), amplitudes=(-9.0, 0.0)), net["cells"][3:4])
    net["cells"].record("isyn_exc")
    with pytest.raises(SimulationError, match="was changed after the emulation had been made: follow"):
        emulation.run(1.0)
    emulation = emulation.follow()
    assert np.array_equal(emulation.get("cells", "v"), v) and np.array_equal(emulation.weights("learns").values, weights)
    result = emulation.run(100.0)
    assert result.spikes("noise").count == 0 and result.spikes("times").times.tolist() == [70.0] * 4
    assert result.traces("cells", "isyn_exc").times[0] == 60.0
    fired = set(result.spikes("cells").between(90.0, 160.0).ids)
    assert fired == set(range(10)) - {3}


def test_what_following_refuses():
    net = small()
    emulation = Emulation(net)
    emulation.run(10.0)
    net.population(1, IF_curr_exp(), "new")
    with pytest.raises(NetworkError, match="other populations than the emulation: SpiNNaker needs a reset"):
        emulation.follow()
    net = small()
    emulation = Emulation(net)
    emulation.run(10.0)
    net.project(net["times"], net["cells"], AllToAllConnector(), weight=0.1)
    with pytest.raises(NetworkError, match="other synapses than the emulation: SpiNNaker needs a reset"):
        emulation.follow()


def test_step_currents_go_on_where_they_were():
    net = Network()
    cells = net.population(2, IF_curr_exp(), "cells").record("v")
    net.inject(StepCurrentSource(times=(2.0, 20.0), amplitudes=(0.4, -0.2)), cells)
    net.inject(NoisyCurrentSource(mean=0.0, stdev=0.3, start=0.0, stop=100.0, dt=1.0), cells)
    whole, other = Emulation(net).run(40.0), Emulation(net)
    first = other.run(10.0)
    assert first.append(other.follow().run(30.0)) == whole


# ------------------------------------------------------------------------------------ saved states


def rich():
    """A network with all that has a state: learning, delay extensions, both kinds of sources, steps and noise."""
    net = small()
    net.inject(StepCurrentSource(times=(2.0, 90.0), amplitudes=(0.4, -0.2)), net["cells"][:6])
    net.inject(NoisyCurrentSource(mean=0.0, stdev=0.3, start=0.0, stop=1000.0, dt=1.0), net["cells"])
    cells = net.population(200, IF_cond_exp(), "others").record(["spikes", "gsyn_exc"])
    net.project(net["cells"], cells, AllToAllConnector(), weight=0.05, delay=60.0)
    return net


@pytest.mark.parametrize("first", [1.0, 60.0, 130.0])
def test_a_saved_state_leaves_no_trace(tmp_path, first):
    settings = {"neurons_per_core": {"cells": 4, "noise": 6}, "seeds": {"noise": 5}, "max_expected_summed_weight": {"others": (0.3, 1.0)}}
    net = rich()
    one, other = Emulation(net, **settings), Emulation(net, **settings)
    assert one._m.lags.tolist() == [0, 32]
    one.run(first)
    other.run(first)
    for emulation in (one, other):
        emulation.set("noise", rate=70.0)
    path = tmp_path / "state.nsim"
    other.save(path)
    other.run(5.0)  # is of no consequence
    again = Emulation.load(path, rich())
    assert again.t == first and again.result.spikes("cells").count == 0 and again.deployment.settings == one.deployment.settings
    assert again.run(200.0) == one.run(200.0)
    for label in ("noise", "learns", "inhibits"):
        assert again.weights(label) == one.weights(label)
    assert again.saturations == one.saturations and one.result.spikes("others").count > 0


def test_files_that_are_no_saved_states(tmp_path):
    net, path = rich(), tmp_path / "state.nsim"
    emulation = Emulation(net)
    result = emulation.run(50.0)
    emulation.save(path)
    net["cells"].set(tau_m=11.0)
    with pytest.raises(FileFormatError, match="from another network"):
        Emulation.load(path, net)
    whole = path.read_bytes()
    (tmp_path / "short.nsim").write_bytes(whole[:len(whole) // 2])
    result.save(tmp_path / "result.nsim")
    for name in ("short", "result", "none"):
        with pytest.raises(FileFormatError):
            Emulation.load(tmp_path / f"{name}.nsim", rich())
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 0x55
    (tmp_path / "spoilt.nsim").write_bytes(spoilt)
    with pytest.raises(FileFormatError):
        Emulation.load(tmp_path / "spoilt.nsim", rich())


# ------------------------------------------------------------------------------------ what is refused


def test_a_network_with_problems_is_refused_with_all_of_them():
    net = Network(label="two problems")
    good = net.population(3, IF_curr_exp(), "good")
    net.population(3, IF_cond_alpha(), "bad")
    net.project(good, good, OneToOneConnector(), weight=1e-6, delay=1.0, label="weak")
    net.project(good, good, OneToOneConnector(), weight=1.0, delay=1.0, label="strong")
    with pytest.raises(NetworkError) as error:
        Emulation(net)
    lines = str(error.value).splitlines()
    assert lines[0] == "two problems cannot be deployed on SpiNNaker:" and len(lines) == 3
    deployment = load(net)
    assert [line.strip() for line in lines[1:]] == [str(one) for one in deployment.problems]
    assert all(one.remedy in str(error.value) for one in deployment.problems)


@pytest.mark.parametrize("duration", [0.0, -1.0, 0.5, math.nan, math.inf, True, "10", 1e10])
def test_durations(duration):
    with pytest.raises(ParameterError, match="duration must be|the machine's clock ends"):
        emulate(small(), duration)


def test_what_is_no_network():
    with pytest.raises(ParameterError, match="Emulation needs a Network, got 3"):
        Emulation(3)
    with pytest.raises(NetworkError, match="has no population: there is nothing to emulate"):
        Emulation(Network())
    with pytest.raises(ParameterError, match="SpiNNaker has no setting 'speed'"):
        Emulation(small(), speed=3)


def test_a_population_that_nothing_reaches():
    net = Network()
    net.population(3, IF_curr_delta(i_offset=2.0), "cells").record("spikes")
    assert emulate(net, 100.0).spikes("cells").count > 0
