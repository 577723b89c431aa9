"""The order "brian2" against Brian2: the example of its documentation, with delays on both sides of the synapse."""

import numpy as np
import plasticity_networks as nets
import pytest
import reference_plasticity as ref

from neurosim import AdditiveWeightDependence, SpikePairRule, STDPMechanism

DT = nets.DT
N, STEPS, LONGEST = 200, 800, 40
TAU_PLUS, TAU_MINUS, A_PLUS, A_MINUS, HIGH = 17.0, 31.0, 0.03, 0.025, 2.0


def in_brian2(brian2, pre, post, weight, axon, dendrite, steps):
    """(weights (steps + 1, n) at the end of each step, what each spike of each source sends)."""
    ms = brian2.ms
    brian2.start_scope()
    brian2.defaultclock.dt = DT * ms

    def cells(trains):
        ids = np.repeat(np.arange(len(trains)), [len(t) for t in trains])
        return brian2.SpikeGeneratorGroup(len(trains), ids, np.concatenate(trains) * DT * ms)

    sources, targets = cells(pre), cells(post)
    amplitudes = {"Apre": A_PLUS * HIGH, "Apost": -A_MINUS * HIGH, "wmax": HIGH}
    values = {"taupre": TAU_PLUS * ms, "taupost": TAU_MINUS * ms, **amplitudes}
    synapses = brian2.Synapses(sources, targets, """
        w : 1
        sent : 1
        dapre/dt = -apre / taupre : 1 (event-driven)
        dapost/dt = -apost / taupost : 1 (event-driven)
        """, on_pre="""
        sent = w
        apre += Apre
        w = clip(w + apost, 0, wmax)
        """, on_post="""
        apost += Apost
        w = clip(w + apre, 0, wmax)
        """, namespace=values)
    synapses.connect(j="i")
    synapses.w = weight
    synapses.pre.delay, synapses.post.delay = axon * DT * ms, dendrite * DT * ms
    monitor = brian2.StateMonitor(synapses, ["w", "sent"], record=True, when="end")
    network = brian2.Network(sources, targets, synapses, monitor)
    network.run((steps + 1) * DT * ms, namespace={})
    weights, sent = monitor.w[:].T, monitor.sent[:].T
    return weights, [sent[np.asarray(t) + axon[i], i] for i, t in enumerate(pre)]


@pytest.mark.parametrize("fraction", [0.0, 0.4, 1.0])
@pytest.mark.needs("brian2")
def test_documented_example(fraction, brian2):
    """With fraction 0, all of the delay is the axon's, as where Brian2's ``delay`` is given alone."""
    rng = np.random.default_rng(9)
    delay, weight = rng.integers(1, LONGEST, N), rng.uniform(0.2, 1.8, N)
    pre, post = nets.trains(rng, N, 50, STEPS), nets.trains(rng, N, 50, STEPS)
    mechanism = STDPMechanism(SpikePairRule(TAU_PLUS, TAU_MINUS, A_PLUS, A_MINUS), AdditiveWeightDependence(0.0, HIGH),
                              dendritic_delay_fraction=fraction, order="brian2")
    dendrite, axon = ref.split(mechanism, delay)
    assert sum(np.intersect1d(s + a, p + d).size for s, a, p, d in zip(pre, axon, post, dendrite, strict=True)) > 100
    steps = STEPS + LONGEST
    weights, sent = in_brian2(brian2, pre, post, weight, axon, dendrite, steps)
    assert np.median(np.ptp(weights, axis=0)) > 0.1
    plain = ref.run(mechanism, pre, post, weight, delay, DT, steps)
    np.testing.assert_allclose(plain.weights, weights, rtol=1e-11, atol=1e-13)
    end, arrived, _ = nets.run_pairs(
        mechanism, pre, post, weight, delay, steps + LONGEST
    )  # all that the synapses saw, in the dendrite
    np.testing.assert_allclose(end, weights[-1], rtol=1e-10, atol=1e-12)
    for i in range(N):
        np.testing.assert_allclose(plain.sent[i], sent[i], rtol=1e-11, atol=1e-13)
        found = arrived[pre[i] + delay[i], i]
        seen = ~np.isnan(found)
        np.testing.assert_allclose(found[seen], sent[i][seen], rtol=1e-9, atol=1e-11)
