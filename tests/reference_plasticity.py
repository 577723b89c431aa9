"""Plastic synapses, plainly: every synapse at every step, traces decayed step by step, in extended precision.

It shares nothing with the engine but the descriptions of the rules (`STDPMechanism` and what it holds), which are read
by the names of their classes and parameters.  Slow, and meant to be read.

Weights are magnitudes here.  Delays are whole steps.
"""

import functools
import math

import numpy as np
from scipy.linalg import expm

F = np.longdouble


class Outcome:
    """``weights`` (steps + 1, n): after all that the synapses have seen up to each step;  ``sent[i]``: for each spike
    of source ``i``, in order, what synapse ``i`` sends with it (NaN for spikes that it has not seen by the last step);
    ``read`` (steps + 1, n): the weights of spikes that arrive at the targets at each step, or would."""

    def __init__(self, weights, sent, read):
        self.weights, self.sent, self.read = weights, sent, read


def split(mechanism, delay):
    """(D, A): the steps of the delay in the dendrite and in the axon."""
    delay = np.asarray(delay)
    dendrite = np.floor(mechanism.dendritic_delay_fraction * delay + 0.5).astype(int)
    return dendrite, delay - dendrite


def counts(spikes, shift, steps):
    """(steps + 1, n): how many of the spikes of each, delayed by ``shift``, are seen at each step."""
    seen = np.zeros((steps + 1, len(spikes)), int)
    for i, when in enumerate(spikes):
        for s in np.asarray(when, int):
            if s + shift[i] <= steps:
                seen[s + shift[i], i] += 1
    return seen


# --- what is between the weight and its bounds ------------------------------------------------------------------------

def factors(dependence, w):
    """f+ and f- at the weights ``w``."""
    low, high = F(dependence.w_min), F(dependence.w_max)
    name = type(dependence).__name__
    if name == "AdditiveWeightDependence":
        return high + 0 * w, high + 0 * w
    if name == "MultiplicativeWeightDependence":
        return high - w, w - low
    if name == "AdditivePotentiationMultiplicativeDepression":
        return high + 0 * w, w - low
    assert name == "GutigWeightDependence"
    return (high * ((high - w) / (high - low)) ** F(dependence.mu_plus),
            high * ((w - low) / (high - low)) ** F(dependence.mu_minus))


def clip(dependence, w):
    return np.minimum(np.maximum(w, F(dependence.w_min)), F(dependence.w_max))


# --- rules: traces that spikes of the source and of the target leave, and the changes that they make ------------------
# ``pre`` and ``post`` are dictionaries of arrays.  A spike of the target changes the weight by
# ``potentiate(w, pre, post)``, one of the source by ``depress(w, pre, post)``; whose traces are given (before or after
# a simultaneous spike) is up to the caller.

class _Pair:
    pre_taus, post_taus = {"x": "tau_plus"}, {"y": "tau_minus"}

    def __init__(self, rule, dependence, n, dt):
        self.rule, self.dependence, self.n, self.dt = rule, dependence, n, dt
        self.nearest = getattr(rule, "pairing", "all") != "all"
        self.pre = {name: np.zeros(n, F) for name in self.pre_taus}
        self.post = {name: np.zeros(n, F) for name in self.post_taus}
        self.pre["rank"] = np.full(n, -1)  # of the last event; later ones have higher ranks
        self.post["rank"] = np.full(n, -1)
        self.next = 0
        self.jump = F(1)

    def decay(self):
        for traces, taus in ((self.pre, self.pre_taus), (self.post, self.post_taus)):
            for name, tau in taus.items():
                traces[name] = traces[name] * np.exp(-F(self.dt) / F(getattr(self.rule, tau)))

    def spike(self, traces, which):
        """New traces, after a spike of those in the mask ``which``."""
        made = {name: np.where(which, self.jump if self.nearest else value + self.jump, value)
                for name, value in traces.items() if name != "rank"}
        made["rank"] = np.where(which, self.next, traces["rank"])
        self.next += 1
        return made

    def potentiate(self, w, pre, post):
        more = factors(self.dependence, w)[0] * F(self.rule.A_plus) * pre["x"]
        if self.rule.pairing == "restricted":
            more = np.where(post["rank"] < pre["rank"], more, 0)
        return more

    def depress(self, w, pre, post):
        less = factors(self.dependence, w)[1] * F(self.rule.A_minus) * post["y"]
        if self.rule.pairing == "restricted":
            less = np.where(pre["rank"] < self.post["rank"], less, 0)  # of a simultaneous one, too
        return -less


class _Triplet(_Pair):
    pre_taus, post_taus = {"r1": "tau_plus", "r2": "tau_x"}, {"o1": "tau_minus", "o2": "tau_y"}

    def potentiate(self, w, pre, post):
        rule = self.rule
        return factors(self.dependence, w)[0] * pre["r1"] * (F(rule.A2_plus) + F(rule.A3_plus) * post["o2"])

    def depress(self, w, pre, post):
        rule = self.rule
        return -factors(self.dependence, w)[1] * post["o1"] * (F(rule.A2_minus) + F(rule.A3_minus) * pre["r2"])


class _Vogels(_Pair):
    pre_taus, post_taus = {"x": "tau"}, {"y": "tau"}

    def potentiate(self, w, pre, post):
        return F(self.rule.eta) * pre["x"]

    def depress(self, w, pre, post):
        return F(self.rule.eta) * (post["y"] - 2 * F(self.rule.rho) * F(self.rule.tau) / 1000)


class _Oja(_Pair):
    def potentiate(self, w, pre, post):
        return F(self.rule.eta) * (pre["x"] - F(self.rule.alpha) * post["y"] * w)

    def depress(self, w, pre, post):
        return 0 * w


class _Clopath(_Pair):
    """The target's "spikes" are the steps in which its potential is high; their sizes are put in ``size`` and the
    filtered potential that a spike of the source meets in ``low`` before each step."""

    pre_taus, post_taus = {"x": "tau_x"}, {}

    def __init__(self, rule, dependence, n, dt):
        super().__init__(rule, dependence, n, dt)
        self.jump = 1 / F(rule.tau_x)

    def potentiate(self, w, pre, post):
        return self.size * pre["x"]

    def depress(self, w, pre, post):
        return -F(self.rule.A_LTD) * np.maximum(self.low - F(self.rule.theta_minus), 0)


_RULES = {"SpikePairRule": _Pair, "SpikeTripletRule": _Triplet, "Vogels2011Rule": _Vogels, "OjaRule": _Oja,
          "ClopathRule": _Clopath}


def clopath_potentials(rule, v, post, dt):
    """(size, low): of each step (steps + 1, n), the size of the post event there (0: none) and ubar_minus.

    ``v`` (steps + 1, n) after everything of each step, ``v[0]`` the initial one; ``post`` the steps of the spikes of
    each target.
    """
    v = np.asarray(v, F)
    u = v.copy()
    for i, when in enumerate(post):
        for p in np.asarray(when, int):
            u[p: p + round(rule.t_spike / dt), i] = F(rule.u_spike)
    low, high, size = np.empty_like(u), np.empty_like(u), np.zeros_like(u)
    low[0] = high[0] = v[0]
    for t in range(1, u.shape[0]):
        low[t] = u[t] + (low[t - 1] - u[t]) * np.exp(-F(dt) / F(rule.tau_minus))
        high[t] = u[t] + (high[t - 1] - u[t]) * np.exp(-F(dt) / F(rule.tau_plus))
        rises = (u[t] > F(rule.theta_plus)) & (high[t - 1] > F(rule.theta_minus))
        size[t] = np.where(
            rises, F(rule.A_LTP) * F(dt) * (u[t] - F(rule.theta_plus)) * (high[t - 1] - F(rule.theta_minus)), 0
        )
    return size, low


# --- the synapse ------------------------------------------------------------------------------------------------------

class _Weights:
    """The weights, changed at once."""

    def __init__(self, mechanism, weight):
        self.w = np.array(weight, F)
        self.dependence = mechanism.weight_dependence

    def advance(self, t, which, dose):
        pass

    def at(self, t):
        return self.w

    def add(self, change, which):
        self.w = np.where(which, clip(self.dependence, self.w + change), self.w)


class _Modulated(_Weights):
    """dc/dt = -c/tau_c, dd/dt = -d/tau_d, dw/dt = c (d - baseline), from the last event of each synapse on."""

    def __init__(self, mechanism, weight, dt):
        super().__init__(mechanism, weight)
        self.m, self.dt = mechanism.neuromodulation, dt
        self.c, self.d, self.since = 0 * self.w, 0 * self.w, np.zeros(self.w.size, int)

    def at(self, t):
        h = F(self.dt) * (t - self.since)
        tau_c, tau_d = F(self.m.tau_c), F(self.m.tau_d)
        both = 1 / (1 / tau_c + 1 / tau_d)
        gain = self.c * (self.d * both * -np.expm1(-h / both) - F(self.m.baseline) * tau_c * -np.expm1(-h / tau_c))
        return clip(self.dependence, self.w + gain)

    def advance(self, t, which, dose):
        """To step ``t``, an event of the synapses in ``which``."""
        h = F(self.dt) * (t - self.since)
        self.w = np.where(which, self.at(t), self.w)
        self.c = np.where(which, self.c * np.exp(-h / F(self.m.tau_c)), self.c)
        self.d = np.where(which, self.d * np.exp(-h / F(self.m.tau_d)) + dose, self.d)
        self.since = np.where(which, t, self.since)

    def add(self, change, which):
        self.c = np.where(which, self.c + change, self.c)


def run(mechanism, pre, post, weight, delay, dt, steps, v=None, doses=None, potentials=None, frozen=(), writes=None):
    """n synapses under an `STDPMechanism`.

    ``pre[i]``, ``post[i]``: steps of the spikes of the source and the target of synapse i (a source's may repeat);
    ``weight`` its first magnitude, ``delay`` in steps; ``v`` (steps + 1, n) the targets' potentials, for `ClopathRule`
    (or ``potentials``, what `clopath_potentials` makes of it); ``doses`` (steps + 1, n) or (steps + 1, 1): by how much
    the dopamine concentration rises in each step; ``frozen``: (first, last) steps between whose arrivals at the targets
    spikes leave traces and no weight changes, ``writes``: {step: weights} after the arrivals of a step (both without
    dopamine).
    """
    n = len(pre)
    weight, delay = np.broadcast_to(np.asarray(weight, F), (n,)), np.broadcast_to(np.asarray(delay, int), (n,))
    dendrite, axon = split(mechanism, delay)
    order = mechanism.order
    assert order != "spinnaker" or (dendrite >= 1).all()
    timing = mechanism.timing_dependence
    rule = _RULES[type(timing).__name__](timing, mechanism.weight_dependence, n, dt)
    rewarded = mechanism.neuromodulation is not None
    weights = _Modulated(mechanism, weight, dt) if rewarded else _Weights(mechanism, weight)
    seen = counts(pre, axon, steps)
    doses = np.zeros((steps + 1, 1), F) if doses is None else np.asarray(doses, F)
    if isinstance(rule, _Clopath):
        size, low = potentials or clopath_potentials(timing, v, post, dt)
        place = np.arange(steps + 1)[:, None] - dendrite  # the step of the target that is seen
        size = np.take_along_axis(size, np.maximum(place, 0), 0)
        place = np.where(dendrite == 0, place - 1, place)  # the potential of the step of arrival comes after it
        low = np.where(place >= 0, np.take_along_axis(low, np.maximum(place, 0), 0), -np.inf)  # nothing can be seen yet
        fired = size > 0  # nothing happens in step 0, which stands for all earlier ones
    else:
        fired = counts(post, dendrite, steps) > 0
    factor = [np.ones(len(s)) for s in pre]
    if mechanism.short_term is not None:
        factor = [short_term(mechanism.short_term, s, dt) for s in pre]
    sent = [np.full(len(s), np.nan) for s in pre]
    number = np.zeros(n, int)  # of spikes of each source seen so far
    history = np.empty((steps + 1, n))
    late = (dendrite == 0) if order == "nest" else np.full(n, order == "brian2")  # target spikes after the source's
    before = np.empty((steps + 1, n))
    on_arrival = np.ones((steps + 1, n), bool)  # whether a spike of the source changes the weight
    on_target_spike = np.ones((steps + 1, n), bool)
    now = np.arange(steps + 1)[:, None] + dendrite  # the step at which a spike that is sent now arrives
    for first, last in frozen:
        on_arrival &= ~((first < now) & (now <= last))
        on_target_spike &= np.where(late, ~((first <= now) & (now < last)), on_arrival)
    writes = writes or {}
    for step, values in writes.items():
        weights.w = np.where(step < dendrite, values, weights.w)

    def source_spikes(t, many, post_traces):
        """The spikes that the synapses see of their sources at step t, in turn."""
        for k in range(many.max()):
            which = many > k
            was = weights.at(t)
            weights.add(rule.depress(weights.at(t), rule.pre, post_traces), which & on_arrival[t])
            rule.pre = rule.spike(rule.pre, which)
            goes = was if order == "brian2" else weights.at(t)
            for i in np.flatnonzero(which):
                sent[i][number[i]] = goes[i] * factor[i][number[i]]
                number[i] += 1

    def target_spike(which, pre_traces, t):
        weights.add(rule.potentiate(weights.at(t), pre_traces, rule.post), which & on_target_spike[t])
        rule.post = rule.spike(rule.post, which)

    for t in range(steps + 1):
        if t > 0:
            rule.decay()
        many, one, dose = seen[t], fired[t], doses[t]
        weights.advance(t, (many > 0) | one | (dose != 0), dose)
        if isinstance(rule, _Clopath):
            rule.size, rule.low = size[t], low[t]
        pre_before, post_before = rule.pre, rule.post
        if (one & ~late).any():
            target_spike(one & ~late, pre_before if order == "nest" else rule.pre, t)
        if many.any():
            source_spikes(t, many, post_before if order == "nest" else rule.post)
        for step, values in writes.items():
            weights.w = np.where(now[t] == step, values, weights.w)
        before[t] = weights.at(t)
        if (one & late).any():
            target_spike(one & late, pre_before if order == "nest" else rule.pre, t)
        history[t] = weights.at(t)
    read = np.array(
        [[before[t - d, i] if t >= d else weight[i] for i, d in enumerate(dendrite)] for t in range(steps + 1)]
    )
    for step, values in writes.items():
        read[step:] = np.where(np.arange(step, steps + 1)[:, None] < dendrite, values, read[step:])
    return Outcome(history, sent, read)


@functools.lru_cache
def resources(tau_rec, tau_psc, dt):
    """What a step does to (recovered, active, inactive) resources; ``tau_psc`` 0: the released are inactive at once."""
    ends = 1.0 / tau_psc if tau_psc > 0 else 0.0
    return expm(np.array([[0.0, 0.0, 1.0 / tau_rec], [0.0, -ends, 0.0], [0.0, ends, -1.0 / tau_rec]]) * dt)


def short_term(synapse, spikes, dt):
    """What the weight is multiplied by, for each spike of a source: Tsodyks & Markram's equations, step by step."""
    u_step = math.exp(-dt / synapse.tau_facil) if synapse.tau_facil > 0 else 0.0
    big_u = synapse.U
    tau_psc, tau_rec = synapse.tau_psc, synapse.tau_rec
    state = np.array([1.0, 0.0, 0.0])  # x recovered, y active, z inactive
    step = resources(tau_rec, tau_psc, dt)
    u, now, factor = 0.0, None, []
    for s in np.asarray(spikes, int):
        for _ in range(0 if now is None else s - now):
            u *= u_step
            state = step @ state
        if now == s and synapse.tau_facil == 0:
            u = 0.0
        now = s
        u += big_u * (1.0 - u)
        released = u * state[0]
        state = state + np.array([-released, released, 0.0] if tau_psc > 0 else [-released, 0.0, released])
        factor.append(released)
    return np.array(factor)


def dopamine_by_integration(mechanism, pre, post, weight, delay, dt, steps, doses, parts=200):
    """One synapse with additive pair rule and dopamine, no bounds, by the midpoint rule in ``parts`` of a step."""
    rule, m, high = mechanism.timing_dependence, mechanism.neuromodulation, mechanism.weight_dependence.w_max
    dendrite, axon = (int(a) for a in split(mechanism, delay))
    h = dt / parts
    w, c, d, x, y = float(weight), 0.0, 0.0, 0.0, 0.0
    found = []
    for t in range(steps + 1):
        for _ in range(parts if t > 0 else 0):
            w += h * (c * (1 - h / 2 / m.tau_c)) * (d * (1 - h / 2 / m.tau_d) - m.baseline)
            c *= 1 - h / m.tau_c + (h / m.tau_c) ** 2 / 2
            d *= 1 - h / m.tau_d + (h / m.tau_d) ** 2 / 2
            x *= 1 - h / rule.tau_plus + (h / rule.tau_plus) ** 2 / 2
            y *= 1 - h / rule.tau_minus + (h / rule.tau_minus) ** 2 / 2
        d += doses[t]
        arrives, fires = t - axon in pre, t - dendrite in post
        before = x, y
        if arrives:
            x += 1
            c -= rule.A_minus * high * (y + (fires and mechanism.order == "spinnaker"))
        if fires:
            c += rule.A_plus * high * (x if mechanism.order == "brian2" else before[0])
            y += 1
        found.append(w)
    return np.array(found)
