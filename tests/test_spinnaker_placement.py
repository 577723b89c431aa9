"""Pieces and places that need no sPyNNaker to be told: by hand, and what does not fit.  `test_spinnaker_board` holds them against it."""

import numpy as np
import pytest
import spinnaker_networks

import neurosim as ns
from neurosim.hardware.spinnaker.deployment import Plastic
from neurosim.hardware.spinnaker.limits import MACHINE
from neurosim.hardware.spinnaker.load import load
from neurosim.hardware.spinnaker.memory import MONITOR, Memory, most_spikes, row_words
from neurosim.hardware.spinnaker.placement import PLANNED_STEPS, place


def network(**sizes):
    net = ns.Network(label="net")
    return net, [net.population(size, ns.IF_curr_exp(), label=label) for label, size in sizes.items()]


def test_slices_extensions_and_monitors():
    net, (a, b) = network(a=600, b=20)
    source = net.population(7, ns.SpikeSourceArray([[1.0]] * 7), label="source")
    noise = net.population(1200, ns.SpikeSourcePoisson(rate=10.0), label="noise")
    net.project(a, b, ns.FixedProbabilityConnector(0.1), weight=0.1, delay=300.0, label="late")
    net.project(source, a, ns.AllToAllConnector(), weight=0.1, delay=1.0)
    placed = place(load(net, neurons_per_core={"a": 250, "source": 3}))
    pieces = [(one.label, one.kind, one.first, one.last, one.core) for one in placed.vertices]
    assert pieces == [("a", "neurons", 0, 249, 3), ("a", "neurons", 250, 499, 4), ("a", "neurons", 500, 599, 5), ("b", "neurons", 0, 19, 6),
                      ("source", "array", 0, 2, 7), ("source", "array", 3, 5, 8), ("source", "array", 6, 6, 9),
                      ("noise", "poisson", 0, 499, 10), ("noise", "poisson", 500, 999, 11), ("noise", "poisson", 1000, 1199, 12),
                      ("a", "delays", 0, 249, 13), ("a", "delays", 250, 499, 14), ("a", "delays", 500, 599, 15)]
    assert placed.stages == {"a": 1} and placed.of("a", "delays")[0].stages == 1 and len(placed.of("a")) == 3
    assert (placed.cores, placed.chips, placed.boards, placed.exact) == (13, 1, 1, True)
    assert placed.all_cores == 13 + 48 + 1 and {one.chip for one in placed.vertices} == {(0, 0)}
    assert placed.entries == 3 + 3 + 3  # a, its extension, the source; noise goes nowhere
    assert noise.size == 1200
    text = str(placed)
    assert text.startswith("13 cores on 1 chip of 1 board (")
    assert "(0, 0) 13" in text and "a[0:250] delays (1 stages)" in text


def test_memory_grows_with_what_is_recorded():
    net, (a,) = network(a=64)
    silent = place(load(net))
    net.record(a, ["spikes", "v"])
    net.record(a[:10], "isyn_exc", interval=5.0)
    loud = place(load(net))
    # A record: a time stamp, then a bit or a word a cell; spikes and v in every step, gsyn_exc of 10 cells in every fifth.
    spikes, v, current = 4 + 4 * 2, 4 + 4 * 64, 4 + 4 * 10
    (one,), (two,) = silent.vertices, loud.vertices
    assert one.memory.per_step == 0 and two.memory.per_step == np.ceil(spikes + v + current / 5)
    assert two.memory.fixed - one.memory.fixed == np.ceil(3 * 8 + current - current / 5)
    assert loud.sdram(100) == two.memory.total(100) == two.memory.fixed + 100 * int(two.memory.per_step)


def test_poisson_sources_record_room_for_a_burst():
    net = ns.Network(label="net")
    sources = [net.population(10, ns.SpikeSourcePoisson(rate=rate), label=str(rate)) for rate in (5.0, 100.0, 5e5)]
    for one in sources:
        one.record("spikes")
    # One more than what 999 of 1000 steps stay below: 0.1 a step: 2; 500 a step: 571 (Poisson quantiles).
    spikes = [(one.memory.per_step - 8) / 4 for one in place(load(net)).vertices]
    assert spikes == [1, 3, 572]


@pytest.mark.needs("scipy")
def test_bursts_are_quantiles(needs):
    quantile = needs("scipy.stats").poisson.ppf
    means = np.concatenate([np.arange(0.011, 30.0, 0.37), [99.5, 400.0, 699.0, 701.0, 1500.0]])
    assert [most_spikes(1000.0 * mean, 1.0) for mean in means] == [quantile(0.999, mean) + 1 for mean in means]
    assert most_spikes(9.9, 1.0) == 1.0


@pytest.mark.parametrize(("rule", "count", "words"), [
    (None, 0, 0), (None, 7, 7), ("pair", 0, 0), ("pair", 1, 1 + 3), ("pair", 4, 2 + 4), ("nearest_pair", 3, 2 + 3), ("vogels", 5, 3 + 5),
    ("triplet", 5, 3 + 5), ("nearest_pair", 5, 3 + 4)])
def test_words_of_rows(rule, count, words):
    assert row_words(count, rule and Plastic(rule, "additive", {})) == words


def test_rows_that_are_too_long_are_a_problem():
    net, (a, b) = network(a=5, b=256)
    for _ in range(2):
        net.project(a, b, ns.AllToAllConnector(), weight=0.1, delay=1.0)
    assert place(load(net)).problems == []  # 256 words, twice
    net.project(a, b, ns.FixedTotalNumberConnector(5000), weight=0.1, delay=1.0, label="many")
    (problem,) = place(load(net)).problems
    assert problem.what == "projection many" and "a row has room for 256 words" in problem.reason
    assert "neurons_per_core" in problem.remedy
    assert place(load(net, neurons_per_core={"b": 40})).problems == []


def test_a_core_that_needs_more_memory_than_a_chip_has_is_a_problem():
    net, (a,) = network(a=256)
    source = net.population(60_000, ns.SpikeSourceArray([[1.0]] * 60_000), label="source")
    source.record("spikes")
    placed = place(load(net))
    assert not placed.exact and "a core needs" in placed.problems[0].reason and placed.problems[0].what == "population source"
    assert f"a chip has {MACHINE.sdram - MONITOR}" in placed.problems[0].reason
    assert a.size == 256 and PLANNED_STEPS == 1000


def test_a_board_that_is_full_is_a_problem():
    """761 cores: 48 chips have 856, less their monitors and the gatherer's; sPyNNaker's estimate takes one board for 768."""
    net, _ = network(a=761)
    placed = place(load(net, neurons_per_core={"a": 1}))
    free = MACHINE.cores_per_board - 48 * 2 - 1
    assert free == 759 and placed.boards == 1
    assert [one.what for one in placed.problems] == ["placement"] and "no room for a" in placed.problems[0].reason
    net, _ = network(a=759)
    placed = place(load(net, neurons_per_core={"a": 1}))
    assert placed.problems == [] and placed.chips == 48
    assert len({(*one.chip, one.core) for one in placed.vertices}) == 759


def test_stages_that_sPyNNaker_would_mix_up_are_a_problem():
    fits = spinnaker_networks.several_stages(60, 60, 900.0)
    assert place(load(fits, neurons_per_core={"a": 30, "b": 30})).problems == []
    for pre, cores in ((70, {"a": 30, "b": 30}), (60, {"a": 20, "b": 30}), (20, {"a": 30, "b": 30})):
        net = spinnaker_networks.several_stages(pre, 60, 900.0)
        (problem,) = place(load(net, neurons_per_core=cores)).problems
        assert problem.what == "population a to b" and "loses synapses" in problem.reason and "neurons_per_core" in problem.remedy
    one_stage = spinnaker_networks.several_stages(70, 60, 500.0)
    assert place(load(one_stage, neurons_per_core={"a": 30, "b": 30})).problems == []


def test_memory_of_runs():
    assert Memory(100, 2.5).total(3) == 108 and Memory(100, 0).total(10**6) == 100
