"""The fixed-point STDP kernels against the exact engine with ``order="spinnaker"``: as far apart as their resolution allows.

Single synapses whose ends fire when they are told to; what is compared is the weight that each spike of the source carries.
"""

import numpy as np
import plasticity_networks as nets
import pytest

from neurosim import AdditiveWeightDependence, MultiplicativeWeightDependence, SpikePairRule, STDPMechanism, Vogels2011Rule
from neurosim.hardware.spinnaker.deployment import LoadedCells, Plastic
from neurosim.hardware.spinnaker.learning import learning
from neurosim.kernels import spinnaker_stdp as stdp

DT, STEPS, SYNAPSES, SHIFT = 1.0, 800, 60, 2
HIGH, TAU_PLUS, TAU_MINUS, PLUS, MINUS, ETA, RHO = 2.0, 17.0, 31.0, 0.03, 0.02, 0.04, 3.0
TRACE, WEIGHT, STORED = 2.0**-11, 2.0**-15, 2.0 ** (SHIFT - 15)

RULES = {
    ("pair", "additive"): (
        STDPMechanism(SpikePairRule(TAU_PLUS, TAU_MINUS, PLUS, MINUS), AdditiveWeightDependence(0.0, HIGH), order="spinnaker"),
        dict(tau_plus=TAU_PLUS, tau_minus=TAU_MINUS, A_plus=PLUS * HIGH, A_minus=MINUS * HIGH)),
    ("pair", "multiplicative"): (
        STDPMechanism(SpikePairRule(TAU_PLUS, TAU_MINUS, PLUS, MINUS), MultiplicativeWeightDependence(0.0, HIGH), order="spinnaker"),
        dict(tau_plus=TAU_PLUS, tau_minus=TAU_MINUS, A_plus=PLUS, A_minus=MINUS)),
    ("vogels", "additive"): (
        STDPMechanism(Vogels2011Rule(TAU_PLUS, ETA, RHO), AdditiveWeightDependence(0.0, HIGH), order="spinnaker"),
        dict(tau=TAU_PLUS, alpha=2 * RHO / 1000 * TAU_PLUS, A_plus=ETA, A_minus=ETA)),
}


class Trace:
    """The exact trace of a side, and how far the machine's may be from it."""

    def __init__(self, tau):
        self.tau, self.time, self.value, self.error = tau, 0, 0.0, 0.0

    def at(self, t):
        """(value, error) after the decay: the table is rounded down, the product is rounded down."""
        decay = np.exp(-(t - self.time) * DT / self.tau)
        return self.value * decay, self.error * decay + (self.value + 1.0) * TRACE

    def spike(self, t):
        self.value, self.error = self.at(t)
        self.value, self.time = self.value + 1.0, t


def bounds(pre, post, delay, tau_plus, tau_minus, amplitude):
    """For each spike of the source, how far the machine's weight may be from the exact one.

    A change is off by the amplitude times the trace's error (and by the constant of Vogels' rule, which is a trace too), by what
    the amplitude lacks, and by two products rounded down; a weight is rounded down once when it is stored.  Bounds on the weight
    bring two weights nearer, never apart.
    """
    plus, minus, total, found = Trace(tau_plus), Trace(tau_minus), 0.0, []
    events = sorted([(p + delay, 0) for p in post] + [(s, 1) for s in pre])
    for t, source in events:
        value, error = (minus if source else plus).at(t)
        total += amplitude * (error + TRACE) + (value + 1.0) * WEIGHT + 2 * WEIGHT
        (plus if source else minus).spike(t)
        if source:
            total += STORED
            found.append(total)
    return found


@pytest.mark.parametrize("timing, weight", RULES)
def test_weights_sent_are_those_of_the_engine_to_their_resolution(timing, weight, rng):
    mechanism, parameters = RULES[timing, weight]
    pre = [50 + np.flatnonzero(rng.random(STEPS - 100) < 0.08) for _ in range(SYNAPSES)]
    post = [np.union1d([2], 3 + np.flatnonzero(rng.random(STEPS - 10) < 0.05)) for _ in range(SYNAPSES)]
    delays = rng.integers(1, 12, SYNAPSES)
    start = np.round(rng.uniform(0.7, 1.3, SYNAPSES) / STORED) * STORED
    _, arrived, _ = nets.run_pairs(mechanism, pre, post, start, delays, STEPS, dt=DT)

    cells = LoadedCells("post", SYNAPSES, "IF_curr_exp", None, ("excitatory",), {}, {}, 256, 1.0, (SHIFT,), 32)
    made = learning(Plastic(timing, weight, parameters | {"w_min": 0.0, "w_max": HIGH}), cells, DT)
    times, traces, count = made.history(SYNAPSES)
    ring = np.zeros((32, 1, SYNAPSES), np.uint16)
    row_time, row_trace = np.zeros(SYNAPSES, np.int32), np.zeros((SYNAPSES, 2), np.int32)
    weights, targets = (start / STORED).astype(np.uint16), np.arange(SYNAPSES, dtype=np.int32)
    sent = [[] for _ in pre]
    fires, sends = ([set(map(int, train)) for train in side] for side in (post, pre))
    for t in range(STEPS):
        ring[t % 32] = 0
        for j in range(SYNAPSES):
            if t in fires[j]:
                stdp.post_event(made.rule, made.tables, times, traces, count, j, t)
        for j in range(SYNAPSES):
            if t in sends[j]:
                assert stdp.pre_event(made.rule, made.tables, made.terms, t, 0, j, row_time, row_trace, j, j + 1, targets,
                                      delays.astype(np.int32), weights, times, traces, count, ring) == 0
                assert ring[(t + delays[j]) % 32, 0, j] == weights[j]
                sent[j].append(weights[j] * STORED)

    taus = (TAU_PLUS, TAU_PLUS if timing == "vogels" else TAU_MINUS)
    amplitude = {"pair": max(PLUS, MINUS) * HIGH, "vogels": ETA}[timing]
    compared, moved = 0, 0.0
    for j in range(SYNAPSES):
        assert max(np.histogram(post[j], [0, *pre[j], STEPS])[0]) < 15 - 4, "a history would drop spikes"
        limits = bounds(pre[j], post[j], delays[j], *taus, amplitude)
        assert len(limits) == len(sent[j]) == len(pre[j])
        for s, machine, limit in zip(pre[j], sent[j], limits):
            exact = arrived[s + delays[j], j]
            if not np.isnan(exact):  # the target fired in that very step
                assert abs(machine - exact) <= limit
                compared += 1
                moved = max(moved, abs(exact - start[j]))
    assert compared > 1500 and moved > 0.2, "the weights were to move"
