"""What a core's data memory must hold, against what the shipped programs ask for when they start on a core in software."""

import numpy as np
import pytest

from neurosim import (
    ACSource,
    AdditiveWeightDependence,
    DCSource,
    FixedProbabilityConnector,
    FromListConnector,
    IF_cond_exp,
    IF_curr_exp,
    Network,
    SpikePairRule,
    SpikeSourceArray,
    SpikeTripletRule,
    StepCurrentSource,
    STDPMechanism,
    Vogels2011Rule,
)
from neurosim.hardware.spinnaker import extra
from neurosim.hardware.spinnaker.data_memory import HEAP, STATE, data_memory, of_cells
from neurosim.hardware.spinnaker.load import load

ALPHA = {"tau_syn_E": 2.0, "tau_syn_I": 3.0}
CELLS = {"IF_curr_exp": IF_curr_exp(), "IF_cond_exp": IF_cond_exp(), "IF_curr_alpha": extra.IF_curr_alpha(**ALPHA),
         "IF_curr_delta": extra.IF_curr_delta(), "Izhikevich": extra.Izhikevich(), "Izhikevich_cond": extra.Izhikevich_cond(),
         "Izhikevich_cond_dual": extra.Izhikevich_cond_dual(), "IF_curr_dual_exp": extra.IF_curr_dual_exp(),
         "IF_curr_exp_sEMD": extra.IF_curr_exp_sEMD(), "IFCurrExpCa2Adaptive": extra.IFCurrExpCa2Adaptive(),
         "IFCurrDeltaCa2Adaptive": extra.IFCurrDeltaCa2Adaptive(), "IFTruncDelta": extra.IFTruncDelta(),
         "IFCurrDeltaFixedProb": extra.IFCurrDeltaFixedProb(), "IFCondExpStoc": extra.IFCondExpStoc()}
RULES = {"pair": SpikePairRule(20.0, 35.0), "nearest": SpikePairRule(20.0, 20.0, pairing="nearest"), "triplet": SpikeTripletRule(),
         "vogels": Vogels2011Rule()}


def sources(network, n=10):
    return network.population(n, SpikeSourceArray(spike_times=[[5.0]] * n), f"sources of {network.label}")


def learns(rule, high):
    return STDPMechanism(RULES[rule], AdditiveWeightDependence(0.0, high), order="spinnaker")


def heap(core):
    """(bytes, of them free) of a core's heap, whose head is the only place that points 16 bytes beyond itself."""
    base = 0x400000
    words = np.frombuffer(bytes(core.uc.mem_read(base, 0x10000)), np.uint32).astype(np.int64)
    at = next(k for k in range(words.size - 4) if words[k + 1] == base + 4 * k + 16)
    return int(words[at + 2] - words[at + 1]), int(words[at + 3])


@pytest.fixture
def started(tmp_path):
    """``{label: (bytes, free)} = started(deployment)``: heaps after all programs have started."""
    from spinnaker_machine import machine
    from spinnaker_scripts import script_of

    def start(deployment, ticks=20):
        made, _ = machine(script_of(deployment, ticks), tmp_path)
        return {one.label: heap(made.cores[core.x, core.y, core.p]) for one in deployment.cells if not one.is_source
                for core in made.board.of(one.label, "Population")[:1]}

    return start


def pair_network(n):
    network = Network(seed=2, label="pair")
    post = network.population(n, IF_curr_exp(), "post").record(["spikes", "v"])
    network.project(sources(network), post, FixedProbabilityConnector(0.3), weight=0.5, delay=60.0, synapse=learns("pair", 1.0))
    return network


@pytest.mark.needs("spynnaker", "unicorn")
def test_what_is_reckoned_is_what_is_taken(started):
    """Every model; every rule; several sources, projections, delays, recordings and currents."""
    network = Network(seed=1, label="all")
    first, second = sources(network), network.population(12, SpikeSourceArray(spike_times=[[5.0]] * 12), "second")
    for model, cell in CELLS.items():
        network.project(first, network.population(20, cell, model), FixedProbabilityConnector(0.5), weight=0.01, delay=3.0)
    for rule in RULES:
        post = network.population(45, IF_curr_exp(), rule).record(["spikes", "v"])
        network.project(first, post, FixedProbabilityConnector(0.5), weight=0.5, delay=12.0, synapse=learns(rule, 1.0))
    conductances = network.population(33, IF_cond_exp(), "conductances").record(["spikes", "v", "gsyn_exc", "gsyn_inh"])
    for delay in (1.0, 7.0, 30.0):
        network.project(first, conductances, FixedProbabilityConnector(0.5), weight=0.01, delay=delay)
    network.project(second, conductances, FixedProbabilityConnector(0.5), weight=0.01, delay=2.0, synapse=learns("pair", 0.02))
    late = network.population(120, IF_curr_exp(), "late")
    network.project(first, late, FixedProbabilityConnector(0.5), weight=0.5, delay=3.0)
    network.project(first, late, FixedProbabilityConnector(0.5), weight=0.5, delay=100.0)
    network.project(second, late, FromListConnector([(0, 0, 0.5, 100.0)]))
    injected = network.population(20, IF_curr_exp(), "injected")
    network.project(first, injected, FixedProbabilityConnector(0.5), weight=0.5, delay=3.0)
    injected.inject(DCSource(amplitude=0.1, start=1.0, stop=9.0))
    injected[3:9].inject(ACSource(amplitude=0.1, start=1.0, stop=9.0, frequency=10.0))
    injected[5:6].inject(StepCurrentSource(times=(1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 9.0), amplitudes=(0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.0)))
    deployment = load(network)
    heaps = started(deployment)
    assert set(STATE) == set(CELLS) and set(heaps) == {one.label for one in deployment.cells if not one.is_source}
    for label, (size, free) in heaps.items():
        assert HEAP <= size <= HEAP + 40
        assert 0 <= data_memory(deployment, deployment[label]).total - (size - free) <= (96 if label == "injected" else 32), label


@pytest.mark.needs("spynnaker", "unicorn")
def test_the_last_that_fits_starts_and_the_next_does_not(started):
    from spinnaker_core import MachineError

    fits = [n for n in range(66, 129) if not of_cells(deployment := load(pair_network(n)), deployment["post"])]
    largest = fits[-1]
    assert fits == list(range(66, largest + 1)) and largest < 128
    assert 0 <= started(load(pair_network(largest)))["post"][1] < 300
    with pytest.raises(MachineError, match="run time error 19"):
        started(load(pair_network(largest + 1)))


def test_a_problem_says_what_takes_the_room():
    deployment = load(pair_network(128))
    problem, = of_cells(deployment, deployment["post"])
    assert str(problem).startswith("population post: 128 cells a core take ")
    assert "ring 32768, state 9216, histories 12800, " in str(problem) and "neurons_per_core['post']" in problem.remedy
