"""What SpiNNaker cannot have, refused by name with the remedy; and the report of what it makes of a network."""

import ast
import json
import math
import re

import numpy as np
import pytest

import neurosim as ns
from neurosim import cli
from neurosim.errors import NetworkError, ParameterError
from neurosim.hardware.spinnaker import extra, limits, sources
from neurosim.hardware.spinnaker.check import check
from neurosim.hardware.spinnaker.emulation import Emulation
from neurosim.hardware.spinnaker.estimates import CYCLES
from neurosim.hardware.spinnaker.load import load
from neurosim.kernels import spinnaker_sources as kernel

STDP, PAIRS, ADDITIVE = ns.STDPMechanism, ns.SpikePairRule, ns.AdditiveWeightDependence


def cells(cell, size=4, label="cells", **initial):
    network = ns.Network()
    network.population(size, cell, label, initial_values=initial or None)
    return network


def joined(cell=ns.IF_curr_exp(), sources=3, size=3, **projection):
    """Source cells, all to all onto others."""
    network = ns.Network()
    pre, post = network.population(sources, ns.SpikeSourceArray([1.0]), "pre"), network.population(size, cell, "post")
    network.project(pre, post, **{"connector": ns.AllToAllConnector(), "weight": 0.5, "label": "into post", **projection})
    return network


def taught(rule=PAIRS(), weight=ADDITIVE(), cell=ns.IF_curr_exp(), **more):
    return joined(cell, synapse=STDP(rule, weight, order="spinnaker", **more), weight=0.25)


def twice_taught():
    network = taught()
    network.project(network["pre"], network["post"], ns.OneToOneConnector(), weight=0.1, label="second",
                    synapse=STDP(PAIRS(tau_plus=17.0), ADDITIVE()))
    return network


def with_(network, change):
    change(network)
    return network


def homeostatic():
    return joined(homeostasis=ns.SynapticScaling())


def two_lengths():
    """One source, late onto two populations whose ring buffers differ."""
    network = ns.Network()
    pre = network.population(10, ns.SpikeSourceArray([1.0]), "pre")
    for size in (200, 20):
        post = network.population(size, ns.IF_curr_exp(), f"post{size}")
        network.project(pre, post, ns.FixedNumberPreConnector(2), weight=0.1, delay=260.0)
    return network


def astrocytic():
    network = ns.Network()
    pre, post = network.population(5, ns.SpikeSourcePoisson(10.0), "pre"), network.population(5, ns.IF_curr_exp(), "post")
    glia = network.population(5, ns.Astrocyte(), "glia")
    network.tripartite(pre, post, glia, ns.OneToOneConnector(), weight=0.2)
    return network


def rewarded():
    network = joined(weight=0.2, synapse=STDP(PAIRS(), ADDITIVE(), neuromodulation=ns.Dopamine()))
    network.modulate(network["pre"], "into post")
    return network


def tailed():
    """A normal distribution of weights that goes across 0."""
    return joined(weight=ns.Normal(0.1, 0.2), sources=40, size=40)


def listed(weights, **more):
    rows = [(k, 0, weight, 1.0) for k, weight in enumerate(weights)]
    return joined(sources=len(rows), size=1, connector=ns.FromListConnector(rows, column_names=["weight", "delay"]), **more)


def recorded(variable, interval=None, cell=ns.IF_curr_exp()):
    return with_(joined(cell), lambda network: network.record(network["post"], variable, interval))


def injected(current, cell=ns.IF_curr_exp()):
    return with_(cells(cell), lambda network: network.inject(current, network["cells"]))


def wide():
    """More synapses of one source on one core than a row has words."""
    rows = np.column_stack([np.zeros(300), np.arange(300) % 100])
    return joined(sources=2, size=100, connector=ns.FromListConnector(rows))


# What stands in the way: the network, settings, whose problem it is, words of the reason, words of the remedy.
REFUSED = {
    "adaptive exponential cells": (cells(ns.EIF_cond_exp_isfa_ista()), {}, "population cells", "no EIF_cond_exp_isfa_ista", "IF_cond_exp"),
    "alpha conductances": (cells(ns.IF_cond_alpha()), {}, "population cells", "no IF_cond_alpha", "IF_cond_exp"),
    "Hodgkin-Huxley cells": (cells(ns.HH_cond_exp()), {}, "population cells", "no HH_cond_exp", "Use "),
    "generalised integrate-and-fire": (cells(ns.GIF_cond_exp()), {}, "population cells", "no GIF_cond_exp", "IFCurrExpCa2Adaptive"),
    "point neurons": (cells(ns.PointNeuron(ns.AdExp(), AMPA=ns.ExpPSR())), {}, "population cells", "no PointNeuron", "Use "),
    "cells of the user's own": (cells(ns.IF_jump()), {}, "population cells", "no IF_jump", "IF_curr_delta"),
    "gamma sources": (cells(ns.SpikeSourceGamma()), {}, "population cells", "no SpikeSourceGamma", "SpikeSourceArray"),
    "refractory Poisson sources": (cells(ns.SpikeSourcePoissonRefractory()), {}, "population cells", "no SpikeSourcePoissonRefractory",
                                   "SpikeSourcePoisson"),
    "astrocytes": (astrocytic(), {}, "population glia", "no Astrocyte", "slowly integrating"),
    "slow inward currents": (astrocytic(), {}, "projection glia -> post", "acts all the time", "spiking cells"),
    "gap junctions": (with_(cells(ns.IF_curr_exp()), lambda n: n.project(n["cells"], n["cells"], ns.AllToAllConnector(False), weight=0.01,
                                                                         synapse=ns.ElectricalSynapse())),
                      {}, "projection cells -> cells", "no ElectricalSynapse", "gap junctions"),
    "short-term plasticity": (joined(synapse=ns.TsodyksMarkramSynapse()), {}, "projection into post", "no TsodyksMarkramSynapse",
                              "static synapse"),
    "stochastic synapses": (joined(synapse=ns.SimpleStochasticSynapse()), {}, "projection into post", "no SimpleStochasticSynapse",
                            "static synapse"),
    "quantal synapses": (joined(synapse=ns.MultiQuantalSynapse()), {}, "projection into post", "no MultiQuantalSynapse", "static synapse"),
    "short-term plasticity of what learns": (taught(short_term=ns.TsodyksMarkramSynapse()), {}, "projection into post",
                                             "no short-term plasticity", "Leave short_term out"),
    "homeostasis": (homeostatic(), {}, "projection into post", "no SynapticScaling", "weights"),
    "rewiring": (joined(structure=ns.Rewiring()), {}, "projection into post", "no Rewiring", "Structural"),
    "dopamine": (rewarded(), {}, "projection into post", "Dopamine", "Neuromodulation"),
    "release of dopamine": (rewarded(), {}, "dopamine of pre at into post", "no dopamine", "Leave it out"),
    "two rules into a population": (twice_taught(), {}, "projection second", "another rule", "the same parameters"),
    "axonal delays": (taught(dendritic_delay_fraction=0.5), {}, "projection into post", "dendritic_delay_fraction is 0.5",
                      "dendritic_delay_fraction=1.0"),
    "Guetig's dependence": (taught(weight=ns.GutigWeightDependence()), {}, "projection into post", "no GutigWeightDependence",
                            "MultiplicativeWeightDependence"),
    "Oja's rule": (taught(ns.OjaRule()), {}, "projection into post", "no OjaRule", "SpikePairRule"),
    "Clopath's rule": (taught(ns.ClopathRule()), {}, "projection into post", "no ClopathRule", "SpikeTripletRule"),
    "restricted pairs": (taught(PAIRS(pairing="restricted")), {}, "projection into post", "restricted", "pairing='all'"),
    "nearest triplets": (taught(ns.SpikeTripletRule(pairing="nearest")), {}, "projection into post", "nearest", "pairing='all'"),
    "multiplicative triplets": (taught(ns.SpikeTripletRule(), ns.MultiplicativeWeightDependence()), {}, "projection into post", "no binary",
                                "AdditiveWeightDependence"),
    "a rule with no binary for the cell": (joined(extra.IFTruncDelta(), weight=0.25, synapse=STDP(PAIRS(), ADDITIVE())), {},
                                           "learning in post", "without a binary for IFTruncDelta", "IF_curr_exp"),
    "negative amplitudes": (taught(PAIRS(A_plus=-0.01)), {}, "projection into post", "A_plus is negative", "A_plus >= 0"),
    "an amplitude that vanishes": (taught(ns.Vogels2011Rule()), {}, "learning in post", "0 in s16.15", "A_plus"),
    "an amplitude below every step": (taught(PAIRS(A_plus=5e-10, A_minus=0.1)), {}, "learning in post",
                                      "A_plus = 5e-10 is 0 in s16.15: nothing", "A_plus such"),
    "an amplitude that overflows": (taught(PAIRS(A_plus=9e4)), {}, "learning in post", "beyond s16.15", "smaller A_plus"),
    "bounds that overflow": (taught(weight=ADDITIVE(w_max=70000.0)), {}, "learning in post", "w_max", "smaller w_max"),
    "traces longer than a table": (taught(PAIRS(tau_plus=2000.0)), {"dt": 0.1}, "learning in post", "a table of 152494 decays",
                                   "shorter time constants"),
    "traces longer than the memory": (taught(PAIRS(tau_plus=700.0)), {"dt": 0.1}, "population post", "bytes of data memory",
                                      "shorter time constants"),
    "more learning cells than a core can remember": (joined(size=256, weight=0.25, delay=30.0, synapse=STDP(PAIRS(), ADDITIVE())), {},
                                                     "population post", "bytes of data memory", "neurons_per_core['post'] <= 128"),
    "triplets that a core cannot remember": (joined(size=256, weight=0.25, delay=30.0, synapse=STDP(ns.SpikeTripletRule(), ADDITIVE())), {},
                                             "population post", "before the first step", "neurons_per_core['post'] <= "),
    "conductances that a core cannot hold": (with_(joined(ns.IF_cond_exp(), size=256, weight=0.01, delay=17.0),
                                                   lambda n: n.record(n["post"], ["v", "gsyn_exc", "gsyn_inh"])), {},
                                             "population post", "bytes of data memory", "record fewer"),
    "a plastic delay of the whole ring": (joined(weight=0.25, delay=4.0, synapse=STDP(PAIRS(), ADDITIVE())), {}, "projection into post",
                                          "never delivers", "Change the delay by a step"),
    "a delay too long": (joined(size=600, delay=300.0), {}, "projection into post", "at most 288", "neurons_per_core"),
    "a delay too long for any core": (joined(size=600, delay=80000.0), {}, "projection into post", "at most 288",
                                      "Shorten it, or take a longer step"),
    "stages of two lengths": (two_lengths(), {}, "population pre", "stages", "neurons_per_core"),
    "weights that vanish": (listed([50.0, 1e-4]), {}, "projection into post", "1 of 2 weights vanish", "allow_zero_weights"),
    "weights too small for any step": (joined(weight=1e-6), {}, "projection into post", "vanish", "Make them greater"),
    "weights beyond the range": (joined(weight=70000.0), {}, "projection into post", "beyond s16.15", "smaller cm"),
    "conductances beyond the range": (joined(ns.IF_cond_exp(), weight=80.0), {}, "projection into post", "times 1024", "< 64 uS"),
    "weights that lose their upper bits": (joined(weight=20.0), {"max_expected_summed_weight": {"post": (4.0, 1.0)}},
                                           "projection into post", "do not fit 16 bits", "max_expected_summed_weight['post'] > 20"),
    "a sum for too few receptors": (joined(), {"max_expected_summed_weight": {"post": (4.0,)}}, "max_expected_summed_weight of post",
                                    "1 numbers for 2", "excitatory, inhibitory"),
    "weights of both signs": (tailed(), {}, "projection into post", "both signs", "bound a distribution at 0"),
    "a parameter beyond the range": (cells(ns.IF_curr_exp(v_thresh=70000.0)), {}, "population cells", "v_thresh = 70000",
                                     "within that range"),
    "an initial value beyond the range": (cells(ns.IF_cond_exp(), gsyn_exc=100.0), {}, "population cells", "initial gsyn_exc",
                                          "within that range"),
    "a resistance beyond the range": (cells(ns.IF_curr_exp(cm=1e-4)), {}, "population cells", "tau_m / cm",
                                     "greater cm"),
    "a capacitance of nothing": (cells(ns.IF_curr_exp(cm=1e-6)), {}, "population cells", "cm = 1e-06 nF is 0", "cm >= 0.001"),
    "an offset that overflows": (cells(ns.IF_curr_exp(i_offset=5000.0)), {}, "population cells", "i_offset = 5000", "smaller i_offset"),
    "a threshold that the program does not read": (cells(extra.IFTruncDelta(v_thresh=5.0)), {}, "population cells", "v_thresh must be 1 mV",
                                                   "can take"),
    "a membrane too slow": (cells(ns.IF_curr_exp(tau_m=40000.0, cm=40.0)), {}, "population cells", "never move", "tau_m <= 32768"),
    "a synapse too slow": (cells(ns.IF_curr_exp(tau_syn_E=5000.0)), {"dt": 0.1}, "population cells", "forgets",
                           "tau_syn_E <= 3276.8"),
    "a synapse too fast": (cells(ns.IF_curr_exp(tau_syn_I=1e-6)), {}, "population cells", "tau_syn_I = 1e-06 ms is 0", "tau_syn_I >="),
    "an alpha synapse too fast": (cells(ns.IF_curr_alpha()), {}, "population cells", "fraction only", "tau_syn_E > 1 ms"),
    "a refractory period too long": (cells(ns.IF_curr_exp(tau_refrac=7000.0)), {"dt": 0.1}, "population cells", "65535 steps",
                                     "shorter tau_refrac"),
    "a threshold too sharp": (cells(extra.IFCondExpStoc(du_th=1e-7)), {}, "population cells", "du_th must be at least 3.05e-05 mV",
                              "can take"),
    "a current that alternates too fast": (injected(ns.ACSource(0.5, frequency=2e7)), {}, "current into cells",
                                           "frequency = 2e+07 Hz is beyond s16.15", "smaller frequency"),
    "a rate beyond the range": (cells(ns.SpikeSourcePoisson(1e5)), {}, "population cells", "beyond u16.16", "more sources"),
    "a current beyond the range": (injected(ns.DCSource(1e5)), {}, "current into cells", "beyond s16.15", "smaller amplitude"),
    "a negative current": (injected(ns.DCSource(-0.5)), {}, "current into cells", "cannot write a negative amplitude", "StepCurrentSource"),
    "a negative phase": (injected(ns.ACSource(0.5, phase=-90.0)), {}, "current into cells", "negative phase", "180 degrees"),
    "a current that vanishes": (injected(ns.StepCurrentSource([1.0], [1e-6])), {}, "current into cells", "0 in s16.15", "amplitudes"),
    "a state the board does not record": (recorded("u", cell=ns.Izhikevich()), {}, "recording of u of post", "records no u",
                                          "Record spikes, v"),
    "an interval between steps": (recorded("v", 1.5), {}, "recording of v of post", "1.5 ms", "Use 2 ms"),
    "two intervals": (with_(recorded("v", 2.0), lambda n: n.record(n["post"][:1], "v", 4.0)), {},
                      "recording of v of post[0..0]", "two intervals", "one interval"),
    "a step between microseconds": (joined(), {"dt": 0.1005004}, "dt", "whole number of microseconds", "Use 0.1"),
    "a step that sPyNNaker rounds up": (joined(), {"dt": 3 * 0.1}, "dt", "up to 301 us", "Use 0.3 ms"),
    "a clock between microseconds": (joined(), {"time_scale_factor": 1.0000003}, "time_scale_factor", "whole number", "whole time_scale"),
    "rows longer than a row": (wide(), {}, "projection into post", "a row has room for 256", "neurons_per_core"),
    "more than real time": (cells(ns.IF_curr_exp(), 256), {"dt": 0.1}, "real time", "more than a step", "time_scale_factor"),
    "more Poisson spikes than a core can send": (cells(ns.SpikeSourcePoisson(50000.0), 500), {}, "real time", "cells ",
                                                 "time_scale_factor"),
    "ring buffers that are always full": (with_(joined(), lambda n: n.poisson_input(n["post"], 2e5, 0.5, label="drive")), {},
                                          "population post", "in a step on average", "max_expected_summed_weight"),
    "sources with a population's name": (with_(cells(ns.IF_curr_exp(), label="drive (sources)"),
                                               lambda n: n.poisson_input(n["drive (sources)"], 10.0, 0.1, label="drive")),
                                         {}, "Poisson input drive", "would be called", "Rename"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_deployed_is_refused_with_the_remedy(name):
    network, settings, what, reason, remedy = REFUSED[name]
    report = check(network, **settings)
    assert not report.ok
    found = [one for one in report.problems if one.what == what and reason in one.reason]
    assert found, "\n".join(map(str, report.problems))
    assert remedy in found[0].remedy
    assert what in str(report) and "cannot be deployed" in str(report)


def test_no_remedy_is_a_cell_that_does_something_else_there():
    broken = ("IFCondExpStoc", "IFTruncDelta")  # see docs/spinnaker.md
    assert not [remedy for remedy in limits.ABSENT_CELLS.values() if any(name in remedy for name in broken)]


def test_fewer_neurons_are_advised_only_where_they_help():
    def remedy(delay):
        return next(one.remedy for one in check(joined(size=600, delay=delay)).problems if "can have at most" in one.reason)

    longest = float(limits.max_delay(1, 2))
    assert "fewer neurons" in remedy(longest) and "fewer neurons" not in remedy(longest + 1.0)


def test_there_are_enough_refusals():
    assert len(REFUSED) >= 30


ALLOWED = {
    "views in one to one": with_(joined(), lambda n: n.project(n["pre"][1:], n["post"][:2], ns.OneToOneConnector(), weight=0.1)),
    "everything the machine has": with_(taught(), lambda n: n.record(None, "spikes")),
    "negative weights onto an inhibitory receptor": joined(weight=-0.5, receptor="inhibitory"),
    "delays that are rounded": joined(delay=1.4),
    "cells of the machine": joined(extra.Izhikevich_cond(), weight=0.05),
    "a long delay with small cores": joined(sources=20, size=20, delay=2000.0),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_can_be_deployed_is_not_refused(name):
    report = check(ALLOWED[name])
    assert report.ok and "can be deployed" in str(report), str(report)


def test_zero_weights_can_be_accepted():
    assert check(listed([50.0, 1e-4]), allow_zero_weights=True).projections[0].zeros == 1


EVERY_CELL = (ns.IF_curr_exp, ns.IF_cond_exp, ns.IF_curr_alpha, ns.IF_curr_delta, ns.Izhikevich, ns.IF_cond_alpha, ns.HH_cond_exp,
              *(getattr(extra, name) for name in extra.__all__))


def anything(rng):
    """A network of cells, rules and numbers that nobody would choose."""
    network, anyone = ns.Network(seed=int(rng.integers(1000))), []
    for k in range(rng.integers(1, 4)):
        kind = EVERY_CELL[rng.integers(len(EVERY_CELL))]
        odd = {name: float(10.0 ** rng.uniform(-7, 5)) for name, one in kind.parameters().items()
               if one.unit in ("ms", "nF", "nA") and rng.random() < 0.1}
        anyone.append(network.population(int(rng.integers(1, 300)), kind(**odd), f"cells {k}"))
    sources = [network.population(20, ns.SpikeSourcePoisson(float(10.0 ** rng.uniform(0, 6))), "poisson"),
               network.population(5, ns.SpikeSourceArray(), "silent"), network.population(3, ns.SpikeSourceGamma(), "gamma")]
    for _ in range(rng.integers(0, 6)):
        pre, post = (anyone + sources)[rng.integers(len(anyone) + 3)], anyone[rng.integers(len(anyone))]
        receptor, size = post.cell.receptors[rng.integers(len(post.cell.receptors))], float(10.0 ** rng.uniform(-8, 6))
        rules = (PAIRS(), PAIRS(pairing="nearest"), ns.SpikeTripletRule(), ns.Vogels2011Rule(eta=float(10.0 ** rng.uniform(-10, 6))),
                 PAIRS(A_plus=float(10.0 ** rng.uniform(-9, 6)), tau_plus=float(10.0 ** rng.uniform(-4, 6))))
        network.project(pre, post, ns.FixedProbabilityConnector(float(rng.choice([0.0, 0.1, 1.0]))),
                        weight=-size if receptor == "inhibitory" and post.cell.weight_unit != "uS" else size, receptor=receptor,
                        delay=float(10.0 ** rng.uniform(-1, 4)),
                        synapse=STDP(rules[rng.integers(5)], ADDITIVE(w_max=2.0 * size)) if rng.random() < 0.4 else None)
    network.inject(ns.NoisyCurrentSource(mean=float(rng.normal()), stdev=float(1e6 * rng.random())), anyone[0])
    network.record(anyone[0], "v", interval=float(rng.choice([1.0, 0.3, 2.5])))
    return network


@pytest.mark.parametrize("seed", range(25))
def test_whatever_is_asked_is_answered(seed):
    rng = np.random.default_rng(seed)
    report = check(anything(rng), dt=float(rng.choice([10.0, 1.0, 0.1, 0.025])))
    assert not report.ok and str(report) and json.dumps(report.as_dict())  # there is always the gamma source


# ------------------------------------------------------------------------------------------ the report


def test_every_weight_is_told():
    report = check(joined(weight=ns.Uniform(0.1, 0.9), delay=ns.Uniform(1.0, 4.0)))
    table, one = report.weights("into post"), report.projections[0]
    assert set(table) == {"source", "target", "asked", "stored", "value", "error", "asked_delay", "delay"}
    assert (np.abs(table["error"]) <= 0.5 * one.step).all() and (table["value"] - table["asked"] == table["error"]).all()
    assert one.worst == np.abs(table["error"]).max() and one.relative == (np.abs(table["error"]) / table["asked"]).max()
    assert one.distinct == np.unique(table["asked"]).size == 9 and one.synapses == 9
    assert one.least == table["asked"].min() and one.greatest == table["asked"].max()
    assert one.moved == np.sum(table["delay"] != table["asked_delay"]) and one.off == np.abs(table["delay"] - table["asked_delay"]).max()
    with pytest.raises(NetworkError, match="no projection 'other' is deployed; there are into post"):
        report.weights("other")


def test_the_report_is_data():
    report = check(with_(taught(PAIRS(A_plus=0.1), ADDITIVE(w_max=4.0)), lambda n: n.poisson_input(n["post"], 10.0, 0.1, label="drive")))
    found = json.loads(json.dumps(report.as_dict(weights=True)))
    assert found["ok"] and found["sPyNNaker"] == limits.VERSION and found["problems"] == []
    assert [one["label"] for one in found["populations"]] == ["pre", "post", "drive (sources)"]
    assert found["machine"]["cores"] == 3 and found["machine"]["boards"] == 1
    assert found["rules"][0]["rescaled"]["A_plus"] == [0.1, 0.4]
    assert len(found["weights"]["into post"]["stored"]) == 9 and len(found["loads"]) == 3
    assert "weights" not in report.as_dict()


def test_a_deployment_can_be_checked():
    deployment = load(joined(), dt=0.5)
    assert check(deployment).deployment is deployment


def test_rings_know_what_arrives_at_once():
    network = joined(sources=10, size=2, weight=0.5)
    ring = check(network).rings[0]
    assert (ring.label, ring.receptor, ring.shift) == ("post", "excitatory", 3)
    assert ring.at_once == 5.0 and ring.room == pytest.approx(16.0, rel=1e-4) and ring.per_second == 0.0


def test_expected_input_follows_rates():
    network = ns.Network()
    post = network.population(3, ns.IF_curr_exp(), "post")
    network.poisson_input(post, 2000.0, 0.5, label="drive")
    ring = check(network).rings[0]
    assert ring.mean == pytest.approx(2.0 * 0.5) and ring.deviation == pytest.approx(0.5 * math.sqrt(2.0))


def test_ring_buffers_that_are_often_full_are_noted():
    network = with_(joined(ns.IF_cond_exp(), sources=80, weight=0.006), lambda n: n["pre"].set(spike_times=list(range(0, 1000, 33))))
    report = check(network)
    assert report.ok and report.rings[0].per_second > 1.0
    assert any("excitatory ring buffers have room" in note and "max_expected_summed_weight" in note for note in report.notes)
    given = re.search(r"max_expected_summed_weight=(\{.*\}) makes room", " ".join(report.notes)).group(1)
    calm = check(network, max_expected_summed_weight=ast.literal_eval(given))
    assert calm.rings[0].shift <= report.rings[0].shift + 3
    assert calm.rings[0].per_second == 0.0 and not any("ring buffers have room" in note for note in calm.notes)


def test_conductances_that_one_step_cannot_follow_are_noted():
    def notes(rate, dt=1.0):
        network = cells(ns.IF_cond_exp(cm=0.2), label="post")
        network.poisson_input(network["post"], rate, 0.05, label="drive")
        return [note for note in check(network, dt=dt, max_expected_summed_weight={"post": (1.0, 1.0)}).notes if "overshoots" in note]

    assert notes(2000.0) and not notes(50.0) and not notes(2000.0, dt=0.1)


def test_parameters_are_told_as_they_act():
    notes = check(cells(ns.IF_curr_exp(tau_m=500.0, tau_refrac=0.25)), dt=0.1).notes
    assert any(note.startswith("population cells: tau_m of 500 acts as 4") for note in notes)
    assert "population cells: tau_refrac of 0.25 acts as 0.3" in notes


def test_load_grows_with_synapses_and_shrinks_with_time():
    def total(**settings):
        return next(one for one in check(joined(sources=100, size=200), **settings).loads if one.label == "post").total

    assert total(spikes_per_second=1.0) == pytest.approx(total(), rel=0.02)  # given times are known
    assert total(time_scale_factor=4) == pytest.approx(total() / 4.0)
    assert total(neurons_per_core={"post": 50}) < total()


def test_routing_tables_that_must_be_compressed_are_noted():
    def routing(size):
        network = cells(ns.IF_curr_exp(), size)
        network.project(network["cells"], network["cells"], ns.OneToOneConnector(), weight=0.5)
        return [note for note in check(network, neurons_per_core={"cells": 1}).notes if note.startswith("routing")]

    assert not routing(1023)
    assert "may need 1024 entries" in routing(1024)[0] and "has 1023" in routing(1024)[0]


def test_delays_that_are_rounded_are_counted():
    assert "2, all moved by <= 0.4" in str(check(joined(delay=1.6)))
    assert "1 to 2, 3 moved by <= 0.4" in str(check(joined(delay=[1.0, 1.0, 1.6] * 3)))
    assert "moved" not in str(check(joined(delay=2.0)))


def test_lines_are_short():
    assert max(map(len, str(check(twice_taught())).splitlines())) <= 100


# ------------------------------------------------------------------------------------------ command line


def test_command_line(tmp_path, capsys):
    script = tmp_path / "net.py"
    script.write_text("import neurosim as ns\n"
                      "def build(scale=1.0, seed=1):\n"
                      "    network = ns.Network(seed=seed)\n"
                      "    cells = network.population(int(20 * scale), ns.IF_curr_exp(), 'cells')\n"
                      "    network.project(cells, cells, ns.AllToAllConnector(), weight=0.1, delay=3.0)\n"
                      "    return network\n")
    assert cli.main(["check", str(script), "--scale", "0.5"]) == 0
    assert "can be deployed" in capsys.readouterr().out
    assert cli.main(["check", str(script), "--json", "--option", "neurons_per_core={'cells': 5}"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["populations"][0]["cores"] == 4 and found["settings"]["dt"] == 1.0
    assert cli.main(["check", str(script), "--json", "--option", "dt=0.5"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["dt"] == 0.5
    assert cli.main(["check", str(script), "--dt", "0.0105"]) == 1
    assert "1. dt: " in capsys.readouterr().out
    assert cli.main(["check", str(script), "--option", "speed=3"]) == 2
    assert "no setting 'speed'" in capsys.readouterr().err


def test_a_network_of_nothing_cannot_be_deployed():
    report = check(ns.Network(label="void"))
    assert not report.ok and "1. network void: it has no population: there is nothing to run" in str(report)
    assert "nothing to run" not in str(check(cells(ns.HH_cond_exp())))  # which has a population
    with pytest.raises(NetworkError):
        Emulation(ns.Network())


def test_what_is_no_network_is_named():
    for one in (3, None, "net"):
        with pytest.raises(ParameterError, match=f"needs a Network, got {one!r}"):
            check(one)


def test_cores_and_memory_count_the_rest():
    network = with_(joined(), lambda n: n.population(500, ns.HH_cond_exp(), "exc"))
    report = check(network)
    assert "2 cores on 1 chip of 1 board, " in str(report) and "of SDRAM for 1000 steps, without exc\n" in str(report)
    for k in range(6):
        network.population(5, ns.HH_cond_exp(), f"more {k}")
    assert "without exc, more 0, more 1, more 2 and 3 more" in " ".join(str(check(network)).split())
    assert "without" not in str(check(joined()))


def test_the_first_line_counts_what_follows():
    def first(report):
        return str(report).partition("\n")[0].rpartition(": ")[2], str(report).partition("\n")[0]

    calm = joined(ns.IF_curr_exp(tau_refrac=2.0))
    assert check(calm).notes == [] and first(check(calm))[0] == "can be deployed"
    noted = check(joined(ns.IF_curr_exp(tau_refrac=0.1)))
    assert len(noted.notes) == 1 and first(noted)[0] == "can be deployed, with 1 note"
    refused = check(joined(ns.HH_cond_exp()))
    assert first(refused)[1].endswith(f"cannot be deployed: {len(refused.problems)} problem{'s' * (len(refused.problems) > 1)}")


def test_command_line_of_a_built_in_model(capsys):
    assert cli.main(["check", "cuba", "--scale", "0.1"]) == 0
    assert "IF_curr_exp" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------ estimates


@pytest.mark.parametrize("sources, rate, weight", [(60, 500.0, 0.5), (40, 500.0, 0.5), (5, 2000.0, 1.0)])
def test_expected_saturations_are_those_of_the_emulator(sources, rate, weight):
    network = ns.Network(seed=2)
    pre, post = network.population(5 * sources, ns.SpikeSourcePoisson(rate), "pre"), network.population(100, ns.IF_curr_exp(), "post")
    network.project(pre, post, ns.FixedNumberPreConnector(sources), weight=weight)
    narrow = {"max_expected_summed_weight": {"post": (7.0, 1.0)}}
    expected = check(network, **narrow).rings[0].per_second
    emulation = Emulation(network, **narrow)
    emulation.run(1000.0)
    assert emulation.saturations["post", "excitatory"] == pytest.approx(expected, rel=0.2) and expected > 1000.0


@pytest.mark.needs("spynnaker", "unicorn")
def test_instructions_are_those_of_the_binaries(tmp_path, monkeypatch):
    """The shipped binaries run a network, and their instructions are counted: from two runs, so that start and end cancel."""
    import spinnaker_machine
    from spinnaker_scripts import script_of

    class Counting(spinnaker_machine.Core):
        def __init__(self, *given):
            super().__init__(*given)
            self.count()

    network = ns.Network()
    pre = network.population(20, ns.SpikeSourceArray(list(range(40))), "pre")
    poisson = network.population(50, ns.SpikeSourcePoisson(100.0), "poisson")
    post = network.population(100, ns.IF_curr_exp(), "post")
    network.project(pre, post, ns.FixedNumberPostConnector(31), weight=1e-3, delay=ns.Uniform(1.0, 4.0))
    network.project(poisson, post, ns.FixedNumberPostConnector(3), weight=1e-3)
    report = check(network)
    monkeypatch.setattr(spinnaker_machine, "Core", Counting)
    machine, _ = spinnaker_machine.machine(script_of(report.deployment, 40), tmp_path)
    again = spinnaker_machine.Machine(machine.board, machine.extra)
    counted = []
    for one, ticks in ((machine, 5), (again, 20)):
        one.run(ticks)
        counted.append({one.of[at].label: core.instructions for at, core in one.cores.items()})
    for one in report.loads:
        told = one.total * limits.MACHINE.clock * 1e-3 / CYCLES
        assert (counted[1][one.label] - counted[0][one.label]) / 15 == pytest.approx(told, rel=0.15), one.label


# ------------------------------------------------------------------------------------------ faults of the machine's programs


def told(network, *words, **settings):
    """Notes with all of these words."""
    return [note for note in check(network, **settings).notes if all(word in note for word in words)]


def bursting(times, timing=PAIRS(tau_plus=30.0, tau_minus=10.0), weight=ADDITIVE()):
    return with_(taught(timing, weight), lambda n: n["pre"].set(spike_times=times))


def test_traces_that_wrap_around_are_told():
    words = "learning in post", "wrap around at 16"
    assert not told(bursting(list(range(15))), *words)
    burst = np.arange(60.0)
    peak = np.exp(-burst / 30.0).sum()  # after the last spike
    assert peak > 16.0 and f"traces reach {peak:.3g} (sources) spikes" in told(bursting(burst), *words)[0]
    assert not told(bursting(burst, PAIRS(tau_plus=30.0, tau_minus=10.0, pairing="nearest")), *words)  # one spike counts
    assert "(sources)" in told(bursting(burst, ns.SpikeTripletRule(tau_plus=1.0, tau_x=30.0)), *words)[0]
    slow = taught(PAIRS(tau_plus=10.0, tau_minus=100.0), ADDITIVE())
    assert not told(slow, *words)
    assert "(targets)" in told(slow, *words, spikes_per_second=150.0)[0]

    def driven(rate):
        network = ns.Network()
        pre, post = network.population(3, ns.SpikeSourcePoisson(rate), "pre"), network.population(3, ns.IF_curr_exp(), "post")
        network.project(pre, post, ns.AllToAllConnector(), weight=0.25, synapse=STDP(PAIRS(tau_plus=20.0), ADDITIVE(), order="spinnaker"))
        return network

    assert told(driven(800.0), *words) and not told(driven(200.0), *words)


def test_a_trace_that_wraps_depresses():
    """What the note says: in the emulator a spike of the target after a long burst lowers the weight."""
    def learnt(burst):
        network = bursting(burst, PAIRS(tau_plus=30.0, tau_minus=10.0, A_plus=0.01, A_minus=0.0), ADDITIVE(w_max=1.0))
        network["post"].set(v_thresh=100.0)  # one spike, by the current
        network.inject(ns.StepCurrentSource([62.0, 63.0], [500.0, 0.0]), network["post"])
        network["pre"].set(spike_times=[*burst, 90.0])
        emulation = Emulation(network)
        emulation.run(100.0)
        return emulation.weights("into post").values[0]

    assert learnt(np.arange(50.0, 60.0)) > 0.25 > learnt(np.arange(30.0, 60.0))


def test_multiplicative_weights_beyond_their_bounds_are_told():
    words = "learning in post", "not cut at their bounds"
    bounds = ns.MultiplicativeWeightDependence(w_min=0.0, w_max=1.0)
    assert not told(taught(PAIRS(), bounds), *words)
    assert "w_max (A_plus = 1.5" in told(taught(PAIRS(A_plus=1.5), bounds), *words)[0]
    assert "w_min (A_minus = 0.9 times a trace of 3" in told(taught(PAIRS(A_minus=0.9), bounds), *words)[0]
    assert not told(taught(PAIRS(A_minus=0.9, pairing="nearest"), bounds), *words)
    assert not told(taught(PAIRS(A_plus=1.5), ADDITIVE(w_max=2.0)), *words)


def test_what_rules_do_otherwise_is_told():
    assert "steps of four ticks, 2 ms" in told(taught(ns.SpikeTripletRule()), "learning in post", "slow traces", dt=0.5)[0]
    assert told(taught(ns.Vogels2011Rule(eta=0.01)), "learning in post", "w_min is ignored")
    assert told(taught(PAIRS(pairing="nearest")), "learning in post", "as if it had fired at tick 0")
    assert not told(taught(), "learning in post")


def test_rates_of_slow_sources_are_told_as_they_act():
    def acting(rate, dt=1.0):
        return told(cells(ns.SpikeSourcePoisson(rate)), "population cells: rate of", dt=dt)

    assert not acting(9.9) and not acting(1.0) and not acting(0.0) and not acting(1000.0, 60.0)
    assert acting(0.15, 60.0) == ["population cells: rate of 0.15 Hz acts as 0.1572 Hz"]  # 16 steps a second, 106 steps
    assert acting(1e-5) == ["population cells: rate of 1e-05 Hz acts as 0 Hz"]
    assert acting([1e-4, 5.0, 5.0, 5.0])[0].startswith("population cells: rate of 0.0001 Hz acts as 0.000")


@pytest.mark.parametrize("rate, dt", [(7.77, 1.0), (0.15, 60.0), (0.0008, 1.0), (0.0001, 1.0)])
def test_rates_of_slow_sources_are_those_of_the_kernels(rate, dt):
    deployed = load(cells(ns.SpikeSourcePoisson(rate)), dt=dt)["cells"]
    source, seed = np.zeros(kernel.Q_COLUMNS, np.int64), np.array([123456789, 987654321, 362436069, 123217], np.uint32)
    kernel.set_rate(source, int(sources.poisson_rates(deployed)[0]), sources.seconds_per_tick(dt), sources.ticks_per_second(dt), seed)
    mean = np.mean([kernel._wait(source[kernel.Q_MEAN], seed) for _ in range(40_000)]) / kernel.SCALE * dt * 1e-3
    assert source[kernel.Q_MEAN] > 0 and 1.0 / mean == pytest.approx(sources.acting_rates(deployed, dt)[0], rel=0.025)


def test_the_top_of_the_sine_is_told():
    assert told(injected(ns.ACSource(0.5, frequency=10.0)), "current into cells", "wrong sign")
    assert not told(injected(ns.DCSource(0.5)), "wrong sign")
    angle = np.arange(1, 102944)  # half a turn, s16.15
    wrong = np.array([kernel.sink(int(k)) for k in angle]) < 0
    assert wrong.any() and (angle[wrong] / 32768 > np.radians(89.7)).all() and (angle[wrong] / 32768 < np.radians(90.0)).all()


def test_changes_of_a_current_in_one_step_are_told():
    current = ns.StepCurrentSource([1.0, 1.25, 1.5, 3.0], [0.5, 0.25, 1.0, 0.0])
    assert told(injected(current), "current into cells", "2 of its changes fall into the step of the one before")
    assert not told(injected(current), "fall into the step", dt=0.25)
