"""Astrocytes, learnt delays and orthogonal projection with the cells that SpiNNaker has, against what they stand for."""

import numpy as np
import pytest

from neurosim import FixedProbabilityConnector, IF_curr_delta_astro, IF_curr_exp, Network, Normal, Simulation, SpikeSourceArray, Uniform
from neurosim.benchmarks import spinnaker_units as units
from neurosim.errors import NetworkError, ParameterError
from neurosim.hardware.spinnaker.astrocytes import with_machine_astrocytes
from neurosim.hardware.spinnaker.emulation import Emulation
from neurosim.hardware.spinnaker.load import load
from neurosim.hardware.spinnaker.projection import lateral_projection


@pytest.mark.parametrize(("effect", "near"), [("threshold", 0.2), ("gain", 0.1)])
def test_a_group_remembers_a_stimulus_as_it_does_with_an_astrocyte(effect, near):
    """Two and a half seconds after the stimulus its group still fires at the rate of the exact unit, which without calcium it would not."""
    comparison, rates = units.astrocytes(effect)
    for window in units.WINDOWS:
        assert rates["fixed"][window] == pytest.approx(rates["exact"][window], rel=near, abs=1.0)
    assert rates["fixed"]["2.5 s after"][0] > 1.5 * rates["no astrocyte"]["2.5 s after"][0]
    assert rates["fixed"]["before"][0] == pytest.approx(rates["no astrocyte"]["before"][0], rel=0.25)
    assert comparison.pairs["exact", "fixed"]["cells"].distance < 0.6


def one_group(**parameters):
    """Cells with an astrocyte whose calcium is given and stays, and a sender that fires once."""
    net = Network(label="held")
    sender = net.population(1, SpikeSourceArray(spike_times=[50.0]), "sender")
    cell = IF_curr_delta_astro(v_thresh=0.0, tau_c=30000.0, delta_c=0.0, group_size=4, **parameters)
    cells = net.population(4, cell, "cells").record(["spikes", "v"])
    net.project(sender, cells, FixedProbabilityConnector(1.0), weight=2.0, delay=3.0, label="input")
    return net


@pytest.mark.parametrize("calcium", [0.0, 0.4, 0.9, 1.6, 5.0])
def test_gain_follows_calcium_in_steps(calcium):
    """What a spike adds to v, against 1 + g_astro c up to c_max, to within half a step."""
    net = one_group(kappa=0.0, g_astro=1.5)
    net["cells"].initialize(c=calcium)
    trace = Emulation(with_machine_astrocytes(net, steps=10, c_max=2.0)).run(80.0).traces("cells", "v")
    jump = trace.values[trace.times == 54.0, 0] - trace.values[trace.times == 53.0, 0]
    assert jump[0] == pytest.approx(2.0 * (1.0 + 1.5 * min(calcium, 2.0)), abs=2.0 * 1.5 * 2.0 / 10 / 2 + 0.05)


@pytest.mark.parametrize("calcium", [0.0, 0.3, 0.8, 1.5])
def test_depolarisation_follows_calcium(calcium):
    """The mean of v, against kappa tanh c of the way to the threshold, to within a step."""
    net = one_group(kappa=0.4)
    net["cells"].initialize(c=calcium)
    trace = Emulation(with_machine_astrocytes(net)).run(1000.0).traces("cells", "v")
    risen = trace.values[trace.times > 300.0].mean() + 65.0
    assert risen == pytest.approx(0.4 * np.tanh(calcium) * 65.0, abs=0.4 * 65.0 / 8)


def test_a_copy_through_a_relay_takes_as_long_as_its_synapse():
    comparison, _ = units.astrocytes("gain", size=10, duration=600.0)
    loaded = load(with_machine_astrocytes(units.groups("gain", 10)), dt=1.0)
    delays = {one.label: set(one.delay.tolist()) for one in loaded.synapses}
    assert delays["drive -> cells"] == {2} and delays["drive -> cells: to relays"] == delays["drive -> cells: gain"] == {1}
    assert comparison.pairs["exact", "scheme"]["cells"].shared > 0.5


@pytest.mark.parametrize(("change", "error", "message"), [
    (lambda net: with_machine_astrocytes(net, steps=0), ParameterError, "steps must be a whole number from 1 to 64, got 0"),
    (lambda net: with_machine_astrocytes(net, period=1.0), ParameterError, r"period must be >= 2 steps \(2 ms\).*got 1.0"),
    (lambda net: with_machine_astrocytes(net, c_max=0.0), ParameterError, "c_max must be > 0 and <= 100, got 0.0"),
    (lambda net: with_machine_astrocytes(Network(label="empty")), NetworkError, "empty has no population of IF_curr_delta_astro"),
    (lambda net: (net["cells"].set(tau_c=Uniform(100.0, 200.0)), with_machine_astrocytes(net)), NetworkError,
     "cells: tau_c of IF_curr_delta_astro must be one number for all cells"),
    (lambda net: (net["cells"].initialize(c=Normal(1.0, 0.1)), with_machine_astrocytes(net)), NetworkError,
     "initial c must be a number or an array"),
])
def test_what_cannot_be_made_of_other_cells_is_refused(change, error, message):
    net = one_group(kappa=0.1)
    with pytest.raises(error, match=message):
        change(net)
    assert isinstance(net["cells"].cell, IF_curr_delta_astro)


def test_detectors_with_whole_delays_and_room_in_the_ring_buffers_tell_patterns():
    """To whole milliseconds nothing is lost here, unless a pattern that arrives in one step is cut off."""
    full, numbers = units.delays(shown=60)
    assert sum(full.saturations.values()) > 0 and numbers["told right"]["fixed"] < 0.8
    roomy, numbers = units.delays(shown=60, room=True)
    assert not roomy.saturations and numbers["delays moved, ms"]["most"] <= 0.5
    assert min(numbers["told right"].values()) >= 0.95


def test_the_lateral_population_takes_the_subspace_out():
    _, numbers = units.projection(duration=2000.0)
    share = numbers["share in the subspace"]
    assert share["input"] > 0.3 and max(share[way] for way in units.WAYS) < 0.01
    assert max(numbers["relative error"].values()) < 0.2 and min(numbers["correlation"].values()) > 0.98


def test_the_exact_part_is_orthogonal_to_the_rows(rng):
    net, lateral = units.projected(n=9, k=2)
    rates = rng.uniform(0, 100, 9)
    left = lateral.exact(rates)
    meant = (np.eye(2) - lateral.rows @ lateral.rows.T) @ lateral.rows @ (rates - lateral.mean)
    np.testing.assert_allclose(lateral.rows @ left, meant, atol=1e-9)
    assert [one.size for one in (*lateral.lateral, *lateral.output)] == [2, 2, 9, 9]
    assert Simulation(net, dt=1.0).run(50.0).complete


@pytest.mark.parametrize(("rows", "mean", "message"), [
    (np.eye(3), 10.0, r"rows must be numbers of shape \(k, 4\), got \(3, 3\)"),
    (2.0 * np.eye(4)[:2], 10.0, "rows must be orthonormal, got lengths and products up to 3"),
    (np.eye(4)[:2], -1.0, "mean must be >= 0 Hz, got -1.0"),
    ("rows", 1.0, "rows must be numbers"),
])
def test_a_projection_that_cannot_be_made_is_refused(rows, mean, message):
    net = Network()
    senders = net.population(4, IF_curr_exp(), "senders")
    with pytest.raises(ParameterError, match=message):
        lateral_projection(net, senders, rows, mean)
    assert net.populations == [senders]
    with pytest.raises(NetworkError, match="senders must be a whole population"):
        lateral_projection(net, senders[:2], np.eye(2), 1.0)
