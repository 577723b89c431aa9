"""Where the machine's sources and currents are not what one expects: the emulator does the same as the machine code."""

import numpy as np
import pytest

from neurosim import ACSource, AllToAllConnector, IF_cond_exp, IF_curr_exp, Network, SpikeSourcePoisson, StepCurrentSource
from neurosim.hardware.spinnaker.emulation import Emulation

pytestmark = pytest.mark.needs("spynnaker", "unicorn")


def test_crowded_steps_and_the_top_of_a_sine(tmp_path):
    """Changes of a step current that fall into one tick are taken by one cell after the other, on each core for itself; the sine of an
    alternating current is -1 where it should be 1."""
    from spinnaker_scripts import differences
    net = Network()
    cells = net.population(7, IF_curr_exp(v_thresh=100.0), "cells").record(["spikes", "v"])
    steps = StepCurrentSource(times=(2.0, 3.0, 3.2, 3.4, 50.0, 51.0, 100.0), amplitudes=(0.5, -0.3, 0.8, 0.1, 1.0, 0.2, 0.0))
    net.inject(steps, cells[1:7])
    net.inject(ACSource(amplitude=0.9, offset=0.1, frequency=37.0, phase=33.0, start=5.0, stop=110.0), cells[0:5])
    net.inject(ACSource(amplitude=1.9, offset=0.1, frequency=777.0, phase=300.0, start=0.0, stop=119.0), cells[6:7])
    others = net.population(2, IF_cond_exp(v_thresh=-40.0), "others").record(["spikes", "v"])
    net.inject(ACSource(amplitude=2.0, offset=2.0, frequency=5.0, start=0.0, stop=110.0), others)
    emulation = Emulation(net, neurons_per_core={"cells": 4})
    found, _ = differences(emulation, tmp_path, 120)
    assert not found, "\n".join(found)
    v = emulation.result.traces("others", "v").values[:, 0]
    assert v[51] < v[50] > v[49]  # the top of the sine is missing
    v = emulation.result.traces("cells", "v").values[4]
    assert len(set(v[1:4])) == 3 and v[1:3].tolist() == v[4:6].tolist()


def test_poisson_sources_of_all_kinds(tmp_path):
    """Around the rates at which the machine changes its way of drawing; every spike, and how many in a tick."""
    from spinnaker_machine import machine
    from spinnaker_scripts import script_of
    rates = {"slow": [0.0, 3.0, 15.0, 9.5, 9.99, 10.0, 10.01], "fast": [100.0, 333.3, 5000.0, 9999.0], "large": [10000.0, 10001.0, 30000.0]}
    net = Network()
    cell = net.population(1, IF_curr_exp(), "cell").record("spikes")
    for label, row in rates.items():
        start = 2.5 * np.arange(len(row))
        sources = net.population(len(row), SpikeSourcePoisson(rate=row, start=start, duration=150.0 + 10.0 * start), label).record("spikes")
        net.project(sources, cell, AllToAllConnector(), weight=0.001, label=f"of {label}")
    emulation = Emulation(net, neurons_per_core=dict.fromkeys(rates, 3), allow_zero_weights=True)
    board, _ = machine(script_of(emulation.deployment, 250), tmp_path)
    board.run(250)
    result = emulation.run(250.0)
    for label in rates:
        spikes = result.spikes(label)
        ours = sorted(zip(np.rint(spikes.times).astype(int).tolist(), spikes.ids.tolist(), strict=True))
        theirs = board.spikes(label)
        if label == "large":  # a normal variate that the machine approximates: single numbers may differ
            counts = [np.unique(one, axis=0, return_counts=True)[1] for one in (ours, theirs)]
            assert counts[0].size == counts[1].size and np.mean(counts[0] != counts[1]) < 0.01
        else:
            assert ours == theirs, label
        assert spikes.count > len(rates[label])
