"""Plastic synapses against NEST's: what every spike sends, on random trains, a thousand pairs of neurons, with delays.

NEST has the whole delay in the dendrite.  Its synapses are between parrots, whose spikes are given; what they send is
kept by a weight recorder.
"""

import numpy as np
import plasticity_networks as nets
import pytest
import reference_plasticity as ref

from neurosim import (
    AdditiveWeightDependence,
    ClopathRule,
    Dopamine,
    GutigWeightDependence,
    Simulation,
    SpikePairRule,
    SpikeTripletRule,
    STDPMechanism,
    TsodyksMarkramSynapse,
    Vogels2011Rule,
)

pytestmark = pytest.mark.needs("nest")

DT = nets.DT
HIGH = 2.0
STEPS, LONGEST = 1500, 40


def start(nest):
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = DT


def parrots(nest, trains):
    """Neurons that spike at the given steps (>= 2)."""
    made = nest.Create("parrot_neuron", len(trains))
    generators = nest.Create(
        "spike_generator", len(trains), params=[{"spike_times": (np.asarray(t) - 1) * DT} for t in trains]
    )
    nest.Connect(generators, made, "one_to_one", {"delay": DT})
    return made


def sent_by(recorder, sources, n):
    """What each of the ``n`` synapses sent, in time."""
    events = recorder.events
    sender, time, weight = (np.array(events[name]) for name in ("senders", "times", "weights"))
    order = np.lexsort((time, sender))
    sender, weight = sender[order] - sources[0].global_id, weight[order]
    return [weight[sender == i] for i in range(n)]


def in_nest(nest, model, params, pre, post, weight, delay, steps, doses=None):
    """What pairs of neurons that spike at the steps ``pre`` and ``post`` send, by pair.

    ``params`` of the synapse, and the target's tau_minus and tau_minus_triplet; ``doses``: steps at which dopamine is
    released.
    """
    start(nest)
    sources, targets = parrots(nest, pre), parrots(nest, post)
    params = dict(params)
    for name in ("tau_minus", "tau_minus_triplet"):
        if name in params:
            targets.set({name: params.pop(name)})
    recorder = nest.Create("weight_recorder")
    if doses is not None:
        volume = nest.Create("volume_transmitter")
        nest.Connect(parrots(nest, [np.asarray(doses) - 1]), volume, syn_spec={"delay": DT})
        params["volume_transmitter"] = volume
    nest.CopyModel(model, "mine", {"weight_recorder": recorder, **params})
    nest.Connect(sources, targets, "one_to_one", {
        "synapse_model": "mine", "weight": weight, "delay": np.asarray(delay) * DT, "receptor_type": 1})
    nest.Simulate(steps * DT)
    return sent_by(recorder, sources, len(pre))


def trains(seed, n, steps=STEPS, most=40):
    """(pre, post, delay, weight in 0.2 ... 0.8): a third of the pairs coincide once at the synapse.

    The first spike of each source comes before all of its target's: NEST's nearest-neighbour synapses count one at
    time 0.
    """
    rng = np.random.default_rng(seed)
    pre, post = nets.trains(rng, n, most, steps, 2), nets.trains(rng, n, most, steps, 2)
    post = [p[p > s[0]] for s, p in zip(pre, post, strict=True)]
    return pre, post, rng.integers(1, LONGEST, n), rng.uniform(0.2, 0.8, n)


def equal(sent, expected, rtol=1e-9):
    assert [len(a) for a in sent] == [len(b) for b in expected]
    sent, expected = np.concatenate(sent), np.concatenate(expected)
    seen = ~np.isnan(sent)  # what arrives when the target fires does not show
    assert seen.mean() > 0.9
    np.testing.assert_allclose(sent[seen], expected[seen], rtol=rtol, atol=rtol * np.abs(expected).max())


def in_neurosim(synapse, pre, post, weight, delay, steps, **more):
    """What arrived at the targets, by pair and spike."""
    _, arrived, _ = nets.run_pairs(synapse, pre, post, weight, delay, steps, **more)
    return [arrived[s + d, i] for i, (s, d) in enumerate(zip(pre, delay, strict=True))]


LEARNING, RATIO = 0.02, 1.1


def pair(pairing="all", dependence=None):
    return STDPMechanism(
        SpikePairRule(17.0, 31.0, LEARNING, RATIO * LEARNING, pairing),
        dependence or AdditiveWeightDependence(0.0, HIGH),
    )


def nest_pair(mu_plus, mu_minus):
    return {
        "tau_plus": 17.0,
        "tau_minus": 31.0,
        "lambda": LEARNING,
        "alpha": RATIO,
        "mu_plus": mu_plus,
        "mu_minus": mu_minus,
        "Wmax": HIGH,
    }


# model of NEST, its parameters, ours, what multiplies the initial weights
CASES = {
    "additive": ("stdp_synapse", nest_pair(0.0, 0.0), pair(), HIGH),
    "multiplicative": (
        "stdp_synapse",
        nest_pair(1.0, 1.0),
        pair(dependence=nets.WEIGHT["multiplicative"](0.0, HIGH)),
        HIGH,
    ),
    "van Rossum": ("stdp_synapse", nest_pair(0.0, 1.0), pair(dependence=nets.WEIGHT["van Rossum"](0.0, HIGH)), HIGH),
    "Guetig": ("stdp_synapse", nest_pair(0.4, 0.7), pair(dependence=GutigWeightDependence(0.0, HIGH, 0.4, 0.7)), HIGH),
    "nearest": ("stdp_nn_symm_synapse", nest_pair(0.0, 0.0), pair("nearest"), HIGH),
    "restricted": (
        "stdp_nn_restr_synapse",
        nest_pair(0.0, 1.0),
        pair("restricted", nets.WEIGHT["van Rossum"](0.0, HIGH)),
        HIGH,
    ),
    "triplet": (
        "stdp_triplet_synapse",
        {
            "tau_plus": 16.8,
            "tau_minus": 33.7,
            "tau_plus_triplet": 101.0,
            "tau_minus_triplet": 125.0,
            "Aplus": 0.004,
            "Aminus": 0.007,
            "Aplus_triplet": 0.006,
            "Aminus_triplet": 0.002,
            "Wmax": 1.0,
        },
        STDPMechanism(
            SpikeTripletRule(16.8, 33.7, 101.0, 125.0, 0.004, 0.007, 0.006, 0.002), AdditiveWeightDependence(0.0, 1.0)
        ),
        1.0,
    ),
    # Away from the upper bound: NEST cuts the two parts of a source's change one after the other.
    "Vogels": (
        "vogels_sprekeler_synapse",
        {"tau": 20.0, "tau_minus": 20.0, "eta": 0.02, "alpha": 2 * 8.0 * 20.0 / 1000.0, "Wmax": 50.0},
        STDPMechanism(Vogels2011Rule(20.0, 0.02, 8.0), AdditiveWeightDependence(0.0, 50.0)),
        5.0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_learning(name, needs):
    model, params, synapse, scale = CASES[name]
    pre, post, delay, weight = trains(1, 1000)
    steps = STEPS + LONGEST
    expected = in_nest(needs("nest"), model, params, pre, post, scale * weight, delay, steps + 10)
    assert np.median([np.ptp(e) for e in expected]) > 0.02
    equal(in_neurosim(synapse, pre, post, scale * weight, delay, steps), expected)


@pytest.mark.parametrize("name", CASES)
def test_the_reference(name, needs):
    """The plain reference of the other tests is right about NEST."""
    model, params, synapse, scale = CASES[name]
    pre, post, delay, weight = trains(2, 150, 800)
    coincide = sum(np.intersect1d(s, p + d).size for s, p, d in zip(pre, post, delay, strict=True))
    assert coincide > 30
    expected = in_nest(needs("nest"), model, params, pre, post, scale * weight, delay, 800 + LONGEST + 10)
    equal(ref.run(synapse, pre, post, scale * weight, delay, DT, 800 + LONGEST).sent, expected, 1e-11)


SHORT = {
    "two states": ("tsodyks2_synapse", TsodyksMarkramSynapse(0.45, 80.0)),
    "two states, facilitation": ("tsodyks2_synapse", TsodyksMarkramSynapse(0.15, 60.0, 200.0)),
    "three states": ("tsodyks_synapse", TsodyksMarkramSynapse(0.45, 80.0, 0.0, 3.0)),
    "three states, facilitation": ("tsodyks_synapse", TsodyksMarkramSynapse(0.15, 60.0, 200.0, 3.0)),
}


@pytest.mark.parametrize("name", SHORT)
def test_short_term_plasticity(name, needs):
    model, synapse = SHORT[name]
    params = {"U": synapse.U, "tau_rec": synapse.tau_rec, "tau_fac": synapse.tau_facil}
    params |= {"tau_psc": synapse.tau_psc} if synapse.tau_psc else {"u": synapse.U}
    pre, _, delay, weight = trains(3, 1000)
    none = [np.array([], int)] * len(pre)
    expected = in_nest(needs("nest"), model, params, pre, none, weight, delay, STEPS + LONGEST + 10)
    equal(in_neurosim(synapse, pre, none, weight, delay, STEPS + LONGEST), expected)


@pytest.mark.parametrize("baseline, high", [(0.0, 100.0), (0.003, 8.0)])
def test_dopamine(baseline, high, needs):
    """NEST's concentration rises by 1 / tau_n with each spike; w_max 8 is met."""
    pre, post, delay, weight = trains(4, 1000, 2000)
    doses = np.sort(np.random.default_rng(5).choice(np.arange(20, 1900), 12, replace=False))
    up, down, tau_c, tau_d, steps = 0.02, 0.03, 150.0, 80.0, 2000 + LONGEST
    weight = 2.0 + 6.0 * weight
    expected = in_nest(
        needs("nest"),
        "stdp_dopamine_synapse",
        {
            "A_plus": up * high,
            "A_minus": down * high,
            "tau_plus": 17.0,
            "tau_minus": 31.0,
            "tau_c": tau_c,
            "tau_n": tau_d,
            "b": baseline,
            "Wmin": 0.0,
            "Wmax": high,
        },
        pre,
        post,
        weight,
        delay,
        steps + 10,
        doses,
    )
    synapse = STDPMechanism(SpikePairRule(17.0, 31.0, up, down), AdditiveWeightDependence(0.0, high),
                            neuromodulation=Dopamine(tau_c, tau_d, baseline))
    found = in_neurosim(synapse, pre, post, weight, delay, steps, doses=[(s, 1.0 / tau_d) for s in doses])
    moved = [np.ptp(e) for e in expected]
    assert np.median(moved) > 1.0 and max(e.max() for e in expected) <= high
    equal(found, expected)
    rises = np.zeros((steps + 1, 1))
    rises[doses] = 1.0 / tau_d
    some = slice(0, 100)
    plain = ref.run(synapse, pre[some], post[some], weight[some], delay[some], DT, steps, doses=rises).sent
    equal(plain, expected[some], 1e-8)


def test_clopath(needs):
    """The potential and its filters as NEST recorded them (of a cell of another kind), through the plain reference.

    NEST delays the filtered potentials by ``delay_u_bars``, and begins with 0 mV: no source spikes early.
    """
    nest = needs("nest")
    rng = np.random.default_rng(6)
    n, steps = 1000, 1000
    pre, delay, weight = nets.trains(rng, n, 40, steps, 60), rng.integers(1, 30, n), rng.uniform(1.0, 3.0, n)
    rule = ClopathRule(15.0, 10.0, 7.0, -70.6, -50.3, 14e-4, 8e-5)
    start(nest)
    sources = parrots(nest, pre)
    targets = nest.Create(
        "aeif_psc_delta_clopath",
        n,
        params={
            "A_LTD": rule.A_LTD,
            "A_LTP": rule.A_LTP,
            "theta_minus": rule.theta_minus,
            "theta_plus": rule.theta_plus,
            "A_LTD_const": True,
            "tau_u_bar_minus": rule.tau_minus,
            "tau_u_bar_plus": rule.tau_plus,
            "delay_u_bars": DT,
            "I_e": 300.0,
            "t_clamp": 2.0,
        },
    )
    meter = nest.Create("multimeter", params={"record_from": ["V_m", "u_bar_plus", "u_bar_minus"], "interval": DT})
    nest.Connect(meter, targets)
    nest.Connect(nest.Create("poisson_generator", params={"rate": 1000.0}), targets, syn_spec={"weight": 2.0})
    recorder = nest.Create("weight_recorder")
    nest.CopyModel(
        "clopath_synapse", "mine", {"weight_recorder": recorder, "tau_x": rule.tau_x, "Wmin": 0.0, "Wmax": 4.0}
    )
    nest.Connect(sources, targets, "one_to_one", {"synapse_model": "mine", "weight": weight, "delay": delay * DT})
    nest.Simulate((steps + 35) * DT)
    events = meter.events
    at = np.rint(np.array(events["times"]) / DT).astype(int), np.array(events["senders"]) - targets[0].global_id

    def trace(name):
        values = np.full((at[0].max() + 1, n), -70.6)
        values[at] = events[name]
        return values

    u, high, low = trace("V_m"), trace("u_bar_plus"), trace("u_bar_minus")
    high[1:], low[1:] = high[:-1].copy(), low[:-1].copy()
    rises = (u > rule.theta_plus) & (high > rule.theta_minus)
    size = np.where(rises, rule.A_LTP * DT * (u - rule.theta_plus) * (high - rule.theta_minus), 0.0)
    mechanism = STDPMechanism(rule, AdditiveWeightDependence(0.0, 4.0))
    expected = sent_by(recorder, sources, n)
    found = ref.run(mechanism, pre, [[]] * n, weight, delay, DT, u.shape[0] - 1, potentials=(size, low)).sent
    assert np.median([np.ptp(e) for e in expected]) > 0.1
    equal(found, expected, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("threads, update", [(1, "clock"), (2, "event")])
@pytest.mark.parametrize("name", CASES)
def test_long_trains(name, threads, update, needs):
    """Five seconds at 10 Hz; what is sent and the weights at the end."""
    model, params, synapse, scale = CASES[name]
    steps = 50000
    pre, post, delay, weight = trains(7, 1000, steps, 60)
    pre = [np.append(s, steps + 200) for s in pre]  # reads all that came before
    expected = in_nest(needs("nest"), model, params, pre, post, scale * weight, delay, steps + 300)
    network, projection = nets.pairs(synapse, pre, post, scale * weight, delay, record=False)
    simulation = Simulation(network, dt=DT, threads=threads, update=update)
    simulation.run((steps + 250) * DT)
    final = np.array([e[-1] for e in expected])
    np.testing.assert_allclose(simulation.weights(projection).values, final, rtol=1e-9)
