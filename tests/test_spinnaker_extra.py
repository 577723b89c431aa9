"""Networks of SpiNNaker's own cells: on the machine code of whole cores, and emulated."""

import numpy as np
import pytest

from neurosim import FixedProbabilityConnector, Network, SpikeSourceArray, Uniform
from neurosim.hardware.spinnaker import extra
from neurosim.hardware.spinnaker.emulation import Emulation

CELLS = {
    "IF_curr_alpha": (extra.IF_curr_alpha(tau_syn_E=Uniform(2.0, 5.0), tau_syn_I=4.0, cm=0.2), 2.0),
    "IF_curr_delta": (extra.IF_curr_delta(cm=0.5, tau_m=Uniform(8.0, 20.0)), 3.0),
    "IFCurrDeltaCa2Adaptive": (extra.IFCurrDeltaCa2Adaptive(cm=0.5, i_alpha=Uniform(0.1, 0.5)), 3.0),
    "IFCurrDeltaFixedProb": (extra.IFCurrDeltaFixedProb(cm=0.5, tau_m=10.0, v_thresh=3.0, p_thresh=Uniform(0.2, 0.9), i_offset=0.1), 3.0),
    "IFCondExpStoc": (extra.IFCondExpStoc(cm=0.5, v_thresh=-54.0, du_th=0.2), 0.01),
    "IFTruncDelta": (extra.IFTruncDelta(cm=10.0, tau_m=Uniform(1.0, 3.0)), 2.0),
    "IFCurrExpCa2Adaptive": (extra.IFCurrExpCa2Adaptive(cm=0.5, i_alpha=Uniform(0.1, 0.5)), 1.0),
    "IF_curr_dual_exp": (extra.IF_curr_dual_exp(cm=0.5, tau_syn_E2=Uniform(1.0, 9.0)), 1.0),
    "IF_curr_exp_sEMD": (extra.IF_curr_exp_sEMD(cm=0.5, scaling_factor=Uniform(0.5, 2.0)), 1.5),
    "Izhikevich": (extra.Izhikevich(a=Uniform(0.02, 0.1), d=Uniform(2.0, 8.0)), 4.0),
    "Izhikevich_cond": (extra.Izhikevich_cond(a=Uniform(0.02, 0.1), d=Uniform(2.0, 8.0)), 0.08),
    "Izhikevich_cond_dual": (extra.Izhikevich_cond_dual(a=0.05, tau_syn_E2=Uniform(1.0, 9.0)), 0.08),
}


def network_of(names, ticks: int) -> Network:
    """Each of these cells, 20 of them, driven by an array of sources through all their receptors, with seeds of their own."""
    rng = np.random.default_rng(4)
    network = Network(seed=4)
    trains = [sorted({float(t) for t in rng.integers(1, ticks - 5, ticks // 8)}) for _ in range(20)]
    sources = network.population(20, SpikeSourceArray(spike_times=trains), "sources")
    for k, name in enumerate(names):
        cell, weight = CELLS[name]
        one = network.population(20, cell, name)
        if "seed" in cell.states:
            one.initialize(seed=10.0 + k)
        for receptor in cell.receptors:
            sign = -0.3 if receptor == "inhibitory" and cell.weight_unit == "nA" else 0.3 if receptor == "inhibitory" else 1.0
            low, high = sorted((0.5 * sign * weight, 1.5 * sign * weight))
            network.project(sources, one, FixedProbabilityConnector(0.3), weight=Uniform(low, high), delay=Uniform(1.0, 12.0),
                            receptor=receptor, label=f"{name} {receptor}")
        network.record(one, ["spikes", "v"])
    return network


def test_all_cells_are_here():
    """Each has a place in the networks below."""
    assert set(CELLS) == set(extra.__all__)


@pytest.mark.needs("spynnaker", "unicorn")
def test_whole_cores(tmp_path):
    """Every spike, every sample and every synapse of all of them."""
    from spinnaker_scripts import differences

    cores = {"IFCondExpStoc": 7, "IFCurrDeltaFixedProb": 7}  # whose random generators are those of cores
    found, machine = differences(Emulation(network_of(CELLS, 200), neurons_per_core=cores), tmp_path, 200)
    assert not found, "\n".join(found)
    for name in CELLS:
        assert len(machine.recorded(name, "spikes")) > 30, name


def test_chance_follows_the_seed():
    """The same seed gives the same spikes, another one others; more chance gives more."""
    counts = []
    for seed, chance in ((1.0, 0.2), (1.0, 0.2), (2.0, 0.2), (1.0, 0.9)):
        network = Network()
        cells = network.population(300, extra.IFCurrDeltaFixedProb(v_rest=5.0, p_thresh=chance), "cells")
        cells.initialize(seed=seed)
        network.record(cells, "spikes")
        result = Emulation(network).run(100.0)
        counts.append(result.spikes("cells").ids.tolist())
    assert counts[0] == counts[1] != counts[2]
    assert [len(each) / 30000 for each in counts] == pytest.approx([0.2, 0.2, 0.2, 0.9], abs=0.01)
