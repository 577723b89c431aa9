"""The emulator against the machine itself: shipped binaries, run from reset on software cores with what sPyNNaker's virtual board loads.

Nothing here knows the machine's arithmetic: a network goes through `pyNN.spiNNaker` and the machine code on one side and through
`Emulation` on the other, and every spike, every recorded word, every stored synapse and every learned weight has to be equal.
"""
import numpy as np
import pytest

from neurosim import (
    ACSource,
    AdditiveWeightDependence,
    AllToAllConnector,
    DCSource,
    FixedProbabilityConnector,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    MultiplicativeWeightDependence,
    Network,
    SpikePairRule,
    SpikeSourceArray,
    SpikeSourcePoisson,
    SpikeTripletRule,
    StepCurrentSource,
    STDPMechanism,
    Uniform,
    Vogels2011Rule,
)

pytestmark = pytest.mark.needs("spynnaker", "unicorn")

UNIT = {"nA": 0.8, "mV": 2.0, "uS": 0.01}  # a weight that matters, of each kind
CELLS = {
    "IF_curr_exp": lambda: IF_curr_exp(tau_m=Uniform(8.0, 25.0), tau_refrac=Uniform(0.0, 4.0)),
    "IF_cond_exp": lambda: IF_cond_exp(tau_m=Uniform(8.0, 25.0), cm=0.5),
    "IF_curr_alpha": lambda: IF_curr_alpha(tau_syn_E=3.0, tau_syn_I=4.0, cm=0.2),
    "IF_curr_delta": lambda: IF_curr_delta(cm=0.5, tau_m=10.0),
}
# sPyNNaker's own: what the tests give them instead of the defaults.
EXTRA = {
    "IF_curr_alpha": {"tau_syn_E": 3.0, "tau_syn_I": 4.0, "cm": 0.2},
    "IF_curr_delta": {"tau_m": Uniform(8.0, 25.0)},
    "Izhikevich": {"a": Uniform(0.02, 0.1), "d": Uniform(2.0, 8.0)},
    "Izhikevich_cond": {"a": Uniform(0.02, 0.1), "d": Uniform(2.0, 8.0)},
    "Izhikevich_cond_dual": {"tau_syn_E2": 9.0},
    "IF_curr_dual_exp": {"tau_m": Uniform(8.0, 25.0), "tau_syn_E2": 9.0},
    "IF_curr_exp_sEMD": {"cm": 0.3, "tau_syn_E2": 9.0},
    "IFCurrExpCa2Adaptive": {"tau_m": Uniform(8.0, 25.0), "tau_ca2": 30.0, "i_alpha": 0.2},
    "IFCurrDeltaCa2Adaptive": {"tau_ca2": 30.0, "i_alpha": 0.2},
    "IFTruncDelta": {"v_thresh": 1.0},
}
PAIR = {"tau_plus": 17.0, "tau_minus": 23.0, "A_plus": 0.03, "A_minus": 0.02}
RULES = {
    "pair": SpikePairRule(**PAIR),
    "nearest": SpikePairRule(**PAIR, pairing="nearest"),
    "triplet": SpikeTripletRule(A2_plus=0.01, A2_minus=0.02, A3_plus=0.01, A3_minus=0.005),
    "vogels": Vogels2011Rule(tau=20.0, eta=0.002, rho=3.0),
}
# Those that there is a binary for.
LEARNING = [("IF_curr_exp", rule, weight) for rule in ("pair", "nearest") for weight in ("additive", "multiplicative")] + [
    ("IF_curr_exp", "triplet", "additive"), ("IF_curr_exp", "vogels", "additive"), ("IF_cond_exp", "pair", "additive"),
    ("IF_cond_exp", "nearest", "additive"), ("IF_curr_alpha", "pair", "additive"), ("IF_curr_delta", "pair", "additive"),
    ("IF_curr_delta", "nearest", "additive")]


@pytest.fixture
def same(tmp_path):
    """``machine = same(network, ticks, **settings)``: runs both, finds no difference, and gives the machine."""
    from spinnaker_scripts import differences

    from neurosim.hardware.spinnaker.emulation import Emulation

    def compare(network, ticks, dt=1.0, **settings):
        found, machine = differences(Emulation(network, dt, **settings), tmp_path, ticks)
        assert not found, "\n".join(found)
        return machine
    return compare


def driven(seed, ticks, dt=1.0, sources=20, spikes=40):
    """A network with an array of sources that fire at random."""
    rng = np.random.default_rng(seed)
    trains = [sorted({round(float(t) * dt, 6) for t in rng.integers(1, ticks - 5, spikes)}) for _ in range(sources)]
    network = Network(seed=seed)
    return network, network.population(sources, SpikeSourceArray(spike_times=trains), "sources")


def test_one_neuron_by_hand(tmp_path):
    """The machine itself: an input of 3 nA at 5 ms decays and is integrated as the published equations say, in 15 fractional bits."""
    from spinnaker_machine import machine
    board, _ = machine('''
import pyNN.spiNNaker as sim
sim.setup(1.0)
source = sim.Population(1, sim.SpikeSourceArray([5.0]), label="source")
cell = sim.Population(1, sim.IF_curr_exp(tau_m=20.0, cm=1.0, tau_syn_E=5.0, v_rest=-65.0, v_thresh=-50.0), label="cell")
sim.Projection(source, cell, sim.OneToOneConnector(), sim.StaticSynapse(weight=3.0, delay=1.0))
cell.record(["v", "gsyn_exc"])
sim.run(30.0)
''', tmp_path)
    board.run(30)
    ticks, ids, v = board.recorded("cell", "v")
    current = board.recorded("cell", "gsyn_exc")[2][:, 0] / 32768
    assert ids == [0] and list(ticks) == list(range(30)) and board.spikes("source") == [(5, 0)]
    decay, leak = np.exp(-1 / 5), np.exp(-1 / 20)
    g = np.where(ticks > 5, 3.0 * 5.0 * (1 - decay) * decay ** (ticks - 6.0), 0.0)
    assert np.abs(current - g).max() < 30 / 32768
    expected = [-65.0]
    for value in g[:-1]:
        target = 20.0 * value - 65.0
        expected.append(target - leak * (target - expected[-1]))
    assert np.abs(v[:, 0] / 32768 - expected).max() < 0.05 and v.max() / 32768 > -60.0


@pytest.mark.parametrize("dt", [1.0, 0.1])
def test_cells(same, dt):
    """Every cell, with delays beyond its ring buffer, inhibition, recurrence and unequal parameters."""
    network, sources = driven(3, 200, dt)
    populations = [network.population(30, make(), name) for name, make in CELLS.items()]
    for one in populations:
        unit = UNIT[one.cell.weight_unit] / (1.0 if one.cell.weight_unit == "mV" else min(1.0, 5 * dt))
        inhibitory = {"weight": Uniform(0.1 * unit, 0.4 * unit) if one.cell.weight_unit == "uS" else Uniform(-0.4 * unit, -0.1 * unit),
                      "delay": Uniform(dt, 8 * dt), "receptor": "inhibitory"}
        network.project(sources, one, FixedProbabilityConnector(0.4), weight=Uniform(0.4 * unit, 2 * unit), delay=Uniform(dt, 20 * dt))
        network.project(sources, one, FixedProbabilityConnector(0.4), **inhibitory)
        network.project(one, one, FixedProbabilityConnector(0.2), **inhibitory)
    network.record([sources, *populations], "spikes")
    for one in populations:
        network.record(one, ["v", *(("isyn_exc", "isyn_inh") if one.cell.weight_unit == "nA" else ())], interval=dt)
    machine = same(network, 200, dt)
    for one in populations:
        assert len(machine.recorded(one.label, "spikes")) > 30, one.label


def test_cells_of_the_machine(same):
    """Every cell that only the machine has, each receptor of it."""
    from neurosim.hardware.spinnaker import extra
    network, sources = driven(4, 200)
    populations = [network.population(20, getattr(extra, name)(**values), name) for name, values in EXTRA.items()]
    for one in populations:
        conductance = one.cell.weight_unit == "uS"
        unit = 0.01 if conductance else 2.0
        for receptor in one.cell.receptors:
            sign = -0.3 if receptor == "inhibitory" and not conductance else 0.3 if receptor == "inhibitory" else 1.0
            network.project(sources, one, FixedProbabilityConnector(0.4), weight=Uniform(*sorted((0.4 * unit * sign, 2 * unit * sign))),
                            delay=Uniform(1.0, 20.0), receptor=receptor)
    network.record([sources, *populations], "spikes")
    for one in populations:
        truncated = one.label == "IFTruncDelta"           # whose currents the machine starts from its threshold; they cancel
        network.record(one, ["v", *(("isyn_exc", "isyn_inh") if one.cell.weight_unit == "nA" and not truncated else ())])
    machine = same(network, 200)
    for one in populations:
        assert len(machine.recorded(one.label, "spikes")) > 20, one.label


@pytest.mark.parametrize("rates", [(0.5, 5.0, 9.9, 10.1, 15.0), (19.0, 21.0, 60.0, 900.0, 9000.0)])
def test_poisson(same, rates):
    """Sources of every kind of rate below that of the normal approximation, on more than one core, and the cells that they drive."""
    network = Network(seed=9)
    cells = network.population(20, IF_curr_exp(), "cells")
    sources = []
    for rate in rates:
        one = network.population(30, SpikeSourcePoisson(rate=rate, start=3.0, duration=180.0), f"at {rate:g} Hz")
        network.project(one, cells, FixedProbabilityConnector(0.3), weight=min(0.5, 5.0 / rate), delay=Uniform(1.0, 8.0))
        sources.append(one)
    mixed = network.population(40, SpikeSourcePoisson(rate=Uniform(2.0, 60.0), start=2.5, duration=Uniform(90.0, 150.0)), "mixed")
    network.project(mixed, cells, FixedProbabilityConnector(0.3), weight=0.3, delay=Uniform(1.0, 8.0))
    network.record([*sources, mixed, cells], "spikes")
    network.record(cells, "v")
    same(network, 200, neurons_per_core={"mixed": 16})


def test_ca3_memory(same):
    """The content-addressable memory of CA3: what it learns, recalls, forgets, on the machine."""
    from neurosim.models.ca3 import CA3Memory, learn, recall
    memory = CA3Memory(backend="emulator", record="all")
    answers = memory.run([learn(0, {0, 1, 8, 9}), learn(4, {1, 5, 6}), learn(3, {4, 5, 6, 8}), recall(cue=0), recall(content={6}),
                          recall(content={0, 4}), learn(3, {1, 3, 4, 8}), recall(cue=3), recall(content={6})], every=10)
    network = memory.simulation.network
    machine = same(memory.network, 100)
    out = machine.recorded("content_out", "spikes")
    assert answers[3].content == (0, 1, 8, 9) == tuple(sorted(cell for t, cell in out if t == 30 + 6)), network.label


def test_rules(same):
    """Every learning rule that there is a binary for, from sources and recurrently, beside synapses that do not learn."""
    network, sources = driven(1, 300)
    populations = []
    for name, rule, weight in LEARNING:
        one = network.population(12, CELLS[name]() if name != "IF_curr_delta" else IF_curr_delta(), f"{name} {rule} {weight}")
        populations.append(one)
        unit = UNIT[one.cell.weight_unit]
        bounds = (AdditiveWeightDependence if weight == "additive" else MultiplicativeWeightDependence)(w_min=0.0, w_max=1.5 * unit)
        learns = STDPMechanism(RULES[rule], bounds, order="spinnaker")
        network.project(sources, one, FixedProbabilityConnector(0.4), weight=Uniform(0.5 * unit, unit), delay=Uniform(1.0, 20.0))
        network.project(sources, one, FixedProbabilityConnector(0.4), weight=Uniform(0.5 * unit, unit), delay=Uniform(1.0, 13.0),
                        synapse=learns, label=f"{one.label}, learns")
        network.project(one, one, FixedProbabilityConnector(0.4), weight=Uniform(0.1 * unit, 0.3 * unit), delay=Uniform(1.0, 13.0),
                        synapse=learns, label=f"{one.label}, to itself")
    network.record([sources, *populations], "spikes")
    for one in populations:
        network.record(one, "v")
    machine = same(network, 300)
    for one in populations:
        weights = [weight for label, *_, weight, plastic in machine.synapses(one.label) if plastic]
        assert len(machine.recorded(one.label, "spikes")) > 100 and len(set(weights)) > 20, one.label


def test_cores_and_delays(same):
    """Populations on several cores, plastic and static, with delays of several stages of delay extensions."""
    network, sources = driven(5, 420, sources=50, spikes=12)
    first = network.population(100, IF_curr_exp(tau_m=Uniform(8.0, 25.0)), "first")
    second = network.population(45, IF_curr_exp(), "second")
    learns = STDPMechanism(RULES["pair"], AdditiveWeightDependence(w_min=0.0, w_max=2.0), order="spinnaker")
    network.project(sources, first, FixedProbabilityConnector(0.1), weight=Uniform(0.5, 1.5), delay=Uniform(1.0, 300.0))
    network.project(sources, first, FixedProbabilityConnector(0.1), weight=Uniform(0.5, 1.5), delay=Uniform(1.0, 120.0), synapse=learns)
    network.project(sources, first, FixedProbabilityConnector(0.1), weight=Uniform(0.5, 1.5), delay=Uniform(130.0, 250.0), synapse=learns)
    network.project(first, second, FixedProbabilityConnector(0.15), weight=Uniform(0.5, 1.5), delay=Uniform(1.0, 30.0), synapse=learns)
    network.project(second, first, FixedProbabilityConnector(0.15), weight=Uniform(-1.0, -0.5), delay=Uniform(1.0, 90.0),
                    receptor="inhibitory")
    network.project(second, second, FixedProbabilityConnector(0.1), weight=Uniform(0.5, 1.5), delay=Uniform(1.0, 9.0))
    network.record([sources, first, second], "spikes")
    network.record([first, second], "v")
    machine = same(network, 420, neurons_per_core={"first": 50, "second": 20})
    assert len(machine.board.of("first")) == 2 and len(machine.board.of("second")) == 3
    assert any(one.kind.startswith("DelayExtension") for one in machine.of.values())


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 13))])
def test_random_networks(same, seed):
    """Sources, cells, sizes, cores, rules, weights, delays and currents, all drawn."""
    rng = np.random.default_rng(seed)
    dt = 1.0 if seed % 3 else float(rng.choice([0.1, 0.5, 2.0]))
    network, array = driven(seed, 250, dt, sources=int(rng.integers(5, 60)), spikes=int(rng.integers(5, 40)))
    sources = [array, network.population(int(rng.integers(5, 60)), SpikeSourcePoisson(rate=Uniform(1.0 / dt, 50.0 / dt)), "poisson")]
    populations, settings = [], {}
    for k in range(int(rng.integers(2, 5))):
        name = str(rng.choice(list(CELLS)))
        one = network.population(int(rng.integers(3, 130)), CELLS[name](), f"{name} {k}")
        populations.append(one)
        if rng.random() < 0.5 and dt >= 1.0:
            settings[one.label] = int(rng.integers(20, 100))
        if name != "IF_cond_exp" and rng.random() < 0.3:
            one[: one.size // 2].inject(DCSource(amplitude=float(rng.uniform(0.1, 1.0)), start=20.0 * dt, stop=150.0 * dt))
    for one in populations:
        name = one.label.rpartition(" ")[0]
        unit = UNIT[one.cell.weight_unit] / (1.0 if one.cell.weight_unit == "mV" else min(1.0, 3 * dt))
        sign = 1.0 if one.cell.weight_unit == "uS" else -1.0
        choices = [(rule, weight) for cell, rule, weight in LEARNING if cell == name]
        rule, weight = choices[int(rng.integers(len(choices)))]
        bounds = AdditiveWeightDependence if weight == "additive" else MultiplicativeWeightDependence
        learns = STDPMechanism(RULES[rule], bounds(w_min=0.0, w_max=1.5 * unit), order="spinnaker")
        few = min(one.size, settings.get(one.label, 999)) <= 60
        for pre in [*sources, *populations]:
            p, far = float(rng.uniform(0.02, 0.3)), float(rng.choice([3.4, 15.0, 60.0])) * dt
            if rng.random() < 0.7:
                network.project(pre, one, FixedProbabilityConnector(p), weight=Uniform(0.1 * unit, 0.8 * unit), delay=Uniform(dt, far))
            if rng.random() < 0.5:
                network.project(pre, one, FixedProbabilityConnector(p), weight=Uniform(*sorted((0.1 * unit * sign, 0.5 * unit * sign))),
                                delay=Uniform(dt, far), receptor="inhibitory")
            if few and dt == 1.0 and rng.random() < 0.5:
                network.project(pre, one, FixedProbabilityConnector(p), weight=Uniform(0.3 * unit, 0.9 * unit), delay=Uniform(1.0, 14.0),
                                synapse=learns)
        network.project(array, one, FixedProbabilityConnector(0.1), weight=0.2 * unit, delay=33.0 * dt)
    network.record([*sources, *populations], "spikes")
    for one in populations:
        network.record(one, "v", interval=dt)
    same(network, 250, dt, neurons_per_core=settings)


def test_saturation(same):
    """Ring buffers that are too small for what arrives hold the same on both sides."""
    network, sources = driven(7, 120)
    cells = network.population(10, IF_curr_exp(cm=20.0), "cells")
    network.project(sources, cells, AllToAllConnector(), weight=Uniform(0.5, 1.0), delay=2.0)
    network.record([sources, cells], "spikes")
    network.record(cells, ["v", "isyn_exc"])
    machine = same(network, 120, max_expected_summed_weight={"cells": (1.5, 1.5)})
    assert machine.recorded("cells", "gsyn_exc")[2].max() > 0


def test_currents(same):
    """Injected currents."""
    network = Network(seed=2)
    cells = network.population(12, IF_curr_exp(tau_m=Uniform(8.0, 25.0), cm=0.25), "cells")
    cells[0:4].inject(DCSource(amplitude=0.9, start=5.0, stop=70.0))
    cells[4:8].inject(ACSource(amplitude=0.8, offset=0.5, frequency=40.0, phase=30.0, start=2.0, stop=80.0))
    cells[8:12].inject(StepCurrentSource(times=(5.0, 17.0, 31.0), amplitudes=(1.2, -0.2, 0.9)))
    network.record(cells, ["spikes", "v"])
    machine = same(network, 100)
    assert len({cell for _, cell in machine.recorded("cells", "spikes")}) > 6


def test_a_difference_is_seen(tmp_path):
    """The comparison is one: a weight, a delay, a time constant and a rule that differ are all found."""
    from spinnaker_scripts import differences

    from neurosim.hardware.spinnaker.emulation import Emulation
    from neurosim.hardware.spinnaker.load import load
    network, sources = driven(1, 100)
    cells = network.population(6, IF_curr_exp(), "cells")
    learns = STDPMechanism(RULES["pair"], AdditiveWeightDependence(w_min=0.0, w_max=2.0), order="spinnaker")
    network.project(sources, cells, FixedProbabilityConnector(0.5), weight=1.0, delay=5.0, label="static")
    network.project(sources, cells, FixedProbabilityConnector(0.5), weight=1.0, delay=2.0, synapse=learns, label="learns")
    network.record([sources, cells], "spikes")
    network.record(cells, "v")
    deployment = load(network)
    deployment.synapses[0].stored[0] += 1
    emulation = Emulation.of(deployment)
    deployment["cells"].plastic.parameters["A_plus"] += 0.01  # in the script alone
    deployment["cells"].initial["v"][5] += 0.001
    found, machine = differences(emulation, tmp_path, 100)
    assert {line.partition(":")[0] for line in found} >= {"static", "cells.v", "learns"}, found
    assert machine.recorded("cells", "v")[2][0, 5] == emulation.result.traces("cells", "v").values[0, 5] * 32768 + 33
