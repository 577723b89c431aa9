"""Rules against what is written about them: the window of pairs, short-term plasticity, triplets and frequency."""

import math

import numpy as np
import plasticity_networks as nets
import pytest
import reference_plasticity as ref

from neurosim import (
    AdditiveWeightDependence,
    Dopamine,
    OjaRule,
    Simulation,
    SpikePairRule,
    SpikeTripletRule,
    STDPMechanism,
    TsodyksMarkramSynapse,
    Vogels2011Rule,
)

DT = nets.DT
LAGS = np.arange(-60, 61)  # steps, at the synapse
TAU_PLUS, TAU_MINUS, A_PLUS, A_MINUS = 3.0, 5.0, 0.04, 0.03


def one_pair_each(delay, mechanism, lags=LAGS):
    """Steps (pre, post) of one spike each, such that at the synapse the target's comes ``lags`` later."""
    dendrite, axon = ref.split(mechanism, delay)
    s = 150
    return [[s]] * lags.size, [[int(s + axon + lag - dendrite)] for lag in lags]


def changes(mechanism, w, delay, lags=LAGS, receptor="excitatory"):
    pre, post = one_pair_each(delay, mechanism, lags)
    end, _, _ = nets.run_pairs(mechanism, pre, post, w, delay, 400, receptor=receptor)
    return end - w


def window(lags, order, plus, minus, tau_plus, tau_minus):
    """The double exponential, in steps of delta t = post - pre at the synapse."""
    t = lags * DT
    change = np.where(t > 0, plus * np.exp(-t / tau_plus), -minus * np.exp(t / tau_minus))
    change[lags == 0] = {"nest": 0.0, "spinnaker": -minus, "brian2": plus}[order]
    return change


# (order, dendritic_delay_fraction, delay in steps); "spinnaker" needs a step in the dendrite
SPLITS = [(order, fraction, delay) for order in nets.ORDERS for fraction in (0.0, 0.3, 0.5, 1.0) for delay in (1, 7, 30)
          if order != "spinnaker" or int(fraction * delay + 0.5) >= 1]


@pytest.mark.parametrize("order, fraction, delay", SPLITS)
def test_window_of_pairs(order, fraction, delay):
    mechanism = STDPMechanism(SpikePairRule(TAU_PLUS, TAU_MINUS, A_PLUS, A_MINUS), AdditiveWeightDependence(0.0, 2.0),
                              dendritic_delay_fraction=fraction, order=order)
    expected = window(LAGS, order, 2.0 * A_PLUS, 2.0 * A_MINUS, TAU_PLUS, TAU_MINUS)
    np.testing.assert_allclose(changes(mechanism, 1.0, delay), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("pairing", ["all", "nearest", "restricted"])
@pytest.mark.parametrize("dependence", nets.WEIGHT)
@pytest.mark.parametrize("order", nets.ORDERS)
def test_window_scales_with_the_weight(order, dependence, pairing):
    low, high, w = 0.25, 2.0, 0.8
    mechanism = STDPMechanism(
        SpikePairRule(TAU_PLUS, TAU_MINUS, A_PLUS, A_MINUS, pairing),
        nets.WEIGHT[dependence](low, high),
        dendritic_delay_fraction=0.6,
        order=order,
    )
    plus, minus = {
        "additive": (high, high),
        "multiplicative": (high - w, w - low),
        "van Rossum": (high, w - low),
        "Guetig": (high * ((high - w) / (high - low)) ** 0.4, high * ((w - low) / (high - low)) ** 0.7),
    }[dependence]
    expected = window(LAGS, order, plus * A_PLUS, minus * A_MINUS, TAU_PLUS, TAU_MINUS)
    np.testing.assert_allclose(changes(mechanism, w, 9), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("order", nets.ORDERS)
def test_window_of_an_inhibitory_synapse(order):
    """The magnitude follows the rule; the weight is negative."""
    mechanism = STDPMechanism(
        SpikePairRule(TAU_PLUS, TAU_MINUS, A_PLUS, A_MINUS), AdditiveWeightDependence(0.0, 2.0), order=order
    )
    expected = window(LAGS, order, 2.0 * A_PLUS, 2.0 * A_MINUS, TAU_PLUS, TAU_MINUS)
    np.testing.assert_allclose(changes(mechanism, -1.0, 9, receptor="inhibitory"), -expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    "order, fraction", [(order, f) for order in nets.ORDERS for f in (0.0, 1.0) if (order, f) != ("spinnaker", 0.0)]
)
def test_window_of_triplets_is_that_of_their_pairs(order, fraction):
    rule = SpikeTripletRule(TAU_PLUS, TAU_MINUS, 101.0, 125.0, A_PLUS, A_MINUS, 0.5, 0.7)
    mechanism = STDPMechanism(rule, AdditiveWeightDependence(0.0, 2.0), dendritic_delay_fraction=fraction, order=order)
    expected = window(LAGS, order, 2.0 * A_PLUS, 2.0 * A_MINUS, TAU_PLUS, TAU_MINUS)
    np.testing.assert_allclose(changes(mechanism, 1.0, 7), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("order", nets.ORDERS)
def test_window_of_inhibitory_plasticity_is_symmetric(order):
    """Each pair adds eta exp(-|dt| / tau), and each spike of the source takes 2 eta rho tau (Vogels et al. 2011)."""
    mechanism = STDPMechanism(Vogels2011Rule(4.0, 0.02, 6.0), AdditiveWeightDependence(0.0, 2.0), order=order)
    pair = 0.02 * np.exp(-np.abs(LAGS) * DT / 4.0)
    pair[LAGS == 0] = 0.0 if order == "nest" else 0.02
    expected = pair - 0.02 * 2.0 * 6.0 * 4.0 / 1000.0
    np.testing.assert_allclose(changes(mechanism, 1.0, 7), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("order", nets.ORDERS)
def test_window_of_oja(order):
    """A spike of the target takes nothing where it is the first, and adds eta x."""
    mechanism = STDPMechanism(OjaRule(4.0, 6.0, 0.02, 1.5), AdditiveWeightDependence(0.0, 2.0), order=order)
    expected = np.where(LAGS > 0, 0.02 * np.exp(-LAGS * DT / 4.0), 0.0)
    expected[LAGS == 0] = 0.02 if order == "brian2" else 0.0
    np.testing.assert_allclose(changes(mechanism, 1.0, 7), expected, rtol=1e-9, atol=1e-15)


def test_bounds_cut_changes():
    mechanism = STDPMechanism(SpikePairRule(TAU_PLUS, TAU_MINUS, 0.5, 0.5), AdditiveWeightDependence(0.9, 1.2))
    change = changes(mechanism, 1.0, 7, np.array([-1, 1]))
    np.testing.assert_allclose(change, [-0.1, 0.2], rtol=1e-12)


# --- dopamine ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("lag", [-20, 20])
def test_reward_after_a_pair(lag):
    """Izhikevich (2007): c decays from the pair on, d from the reward on; w moves by the integral of their product."""
    tau_c, tau_d, wait, after, amount = 40.0, 15.0, 200, 500, 0.3
    mechanism = STDPMechanism(SpikePairRule(TAU_PLUS, TAU_MINUS, A_PLUS, A_MINUS), AdditiveWeightDependence(0.0, 2.0),
                              neuromodulation=Dopamine(tau_c, tau_d))
    pre, post = one_pair_each(7, mechanism, np.array([lag]))
    paired = max(pre[0][0], post[0][0] + 7)
    end, _, _ = nets.run_pairs(mechanism, pre, post, 1.0, 7, paired + wait + after + 7, doses=[(paired + wait, amount)])
    c = 2.0 * (A_PLUS * math.exp(-2.0 / TAU_PLUS) if lag > 0 else -A_MINUS * math.exp(-2.0 / TAU_MINUS))
    both = 1.0 / (1.0 / tau_c + 1.0 / tau_d)
    expected = c * math.exp(-wait * DT / tau_c) * amount * both * -math.expm1(-after * DT / both)
    assert end[0] - 1.0 == pytest.approx(expected, rel=1e-9)
    assert abs(expected) > 1e-3


# --- short-term plasticity --------------------------------------------------------------------------------------------

def closed_recursion(synapse, spikes):
    """Maass & Markram (2002), or the three states of Tsodyks, Uziel & Markram (2000), from spike to spike."""
    big_u, rec, facil, psc = synapse.U, synapse.tau_rec, synapse.tau_facil, synapse.tau_psc
    x, y, u, out = 1.0, 0.0, big_u if psc == 0 else 0.0, []
    for k, s in enumerate(spikes):
        h = (s - spikes[k - 1]) * DT if k else 0.0
        keep = math.exp(-h / facil) if facil > 0 else 0.0
        if psc == 0:
            if k:
                x = 1.0 + (x - x * u - 1.0) * math.exp(-h / rec)
                u = big_u + u * (1.0 - big_u) * keep
            out.append(u * x)
            continue
        if k:
            z = 1.0 - x - y
            slow, fast = math.exp(-h / rec), math.exp(-h / psc)
            x += ((slow - 1.0) * rec - (fast - 1.0) * psc) / (psc - rec) * y + (1.0 - slow) * z
            y *= fast
        u = u * keep
        u += big_u * (1.0 - u)
        delta = u * x
        x, y = x - delta, y + delta
        out.append(delta)
    return np.array(out)


SHORT = [TsodyksMarkramSynapse(U=0.45, tau_rec=80.0), TsodyksMarkramSynapse(U=0.1, tau_rec=30.0, tau_facil=200.0),
         TsodyksMarkramSynapse(U=0.5, tau_rec=80.0, tau_psc=3.0), TsodyksMarkramSynapse(0.15, 60.0, 300.0, 2.0)]


@pytest.mark.parametrize("synapse", SHORT, ids=str)
def test_short_term_plasticity(synapse):
    """What arrives, against the closed recursion; trains from 1 Hz to several spikes in a step."""
    pre = [np.arange(0, 2000, gap) for gap in (7, 50, 313, 999)] + [np.array([3, 3, 3, 40, 40, 41, 900])]
    weight, delay, steps = np.array([0.5, 1.0, 2.0, 0.25, 1.5]), np.array([1, 5, 12, 40, 3]), 2100
    kept, arrived, _ = nets.run_pairs(synapse, pre, [[]] * 5, weight, delay, steps)
    assert kept.tolist() == weight.tolist()
    for i, spikes in enumerate(pre):
        expected = np.zeros(steps + 1)
        np.add.at(expected, spikes + delay[i], weight[i] * closed_recursion(synapse, spikes))
        np.testing.assert_allclose(arrived[:, i], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ref.short_term(synapse, spikes, DT), closed_recursion(synapse, spikes), rtol=1e-11)


@pytest.mark.parametrize("order", nets.ORDERS)
def test_short_term_on_top_of_learning(order):
    """The rule does not see it: the same weights, and what is sent is multiplied."""
    rng = np.random.default_rng(8)
    pre, post = nets.trains(rng, 20, 30, 600), nets.trains(rng, 20, 30, 600)
    weight, delay = rng.uniform(0.2, 0.8, 20), rng.integers(2, 20, 20)
    plain = nets.run_pairs(nets.mechanism("pair", order=order), pre, post, weight, delay, 700)
    both = nets.run_pairs(nets.mechanism("pair", order=order, short_term=SHORT[1]), pre, post, weight, delay, 700)
    assert both[0].tolist() == plain[0].tolist()
    for i in range(20):
        here = pre[i] + delay[i]
        factor = closed_recursion(SHORT[1], pre[i])
        seen = ~np.isnan(plain[1][here, i])
        np.testing.assert_allclose(both[1][here, i][seen], (plain[1][here, i] * factor)[seen], rtol=1e-9, atol=1e-12)


# --- triplets ---------------------------------------------------------------------------------------------------------

# Pfister & Gerstner (2006): their fits to pairings in visual cortex (Sjostrom et al. 2001), all spikes interacting, the
# full set of amplitudes and time constants and the minimal one, which has no tau_x.
FULL = SpikeTripletRule(16.8, 33.7, 101.0, 125.0, 5e-10, 7e-3, 6.2e-3, 2.3e-4)
MINIMAL = SpikeTripletRule(16.8, 33.7, 101.0, 114.0, 0.0, 7.1e-3, 6.5e-3, 0.0)
RATES = (0.1, 10.0, 20.0, 40.0, 50.0)
PAIRINGS = {0.1: 8, 10.0: 60, 20.0: 60, 40.0: 60, 50.0: 60}


def scaled(rule, by):
    """With amplitudes a fraction of the paper's: changes are linear in them, and stay within bounds."""
    return SpikeTripletRule(
        rule.tau_plus,
        rule.tau_minus,
        rule.tau_x,
        rule.tau_y,
        by * rule.A2_plus,
        by * rule.A2_minus,
        by * rule.A3_plus,
        by * rule.A3_minus,
    )


def triplet_sums(rule, pre, post):
    """The change by spikes at the times (ms) ``pre`` and ``post``, as sums of exponentials over all earlier spikes."""
    def trace(spikes, t, tau):
        before = spikes[spikes < t]
        return np.exp(-(t - before) / tau).sum()

    up = sum(trace(pre, t, rule.tau_plus) * (rule.A2_plus + rule.A3_plus * trace(post, t, rule.tau_y)) for t in post)
    down = sum(
        trace(post, t, rule.tau_minus) * (rule.A2_minus + rule.A3_minus * trace(pre, t, rule.tau_x)) for t in pre
    )
    return up - down


@pytest.fixture(scope="module")
def frequency_dependence():
    """{rule: (changes, expected)} of shape (2, rates): pairings at +10 ms and -10 ms, at the rates of RATES."""
    out = {}
    dt, by, delay = 0.5, 0.1, 1
    for name, rule in (("full", FULL), ("minimal", MINIMAL)):
        pre, post, expected = [], [], []
        for sign in (1, -1):
            for rate in RATES:
                start = 100 + np.rint(np.arange(PAIRINGS[rate]) * 1000.0 / rate / dt).astype(int)
                pre.append(start)
                post.append(start + sign * 20 - delay)  # at the synapse after the dendrite
                expected.append(triplet_sums(rule, pre[-1] * dt, (post[-1] + delay) * dt))
        steps = max(int(t[-1]) for t in pre) + 100
        mechanism = STDPMechanism(scaled(rule, by), AdditiveWeightDependence(0.0, 1.0))
        network, projection = nets.pairs(mechanism, pre, post, 0.5, delay, dt, cell=nets.quiet(tau_m=0.3), record=False)
        network["post"].record("spikes")
        simulation = Simulation(network, dt=dt, threads=1, update="event")
        result = simulation.run(steps * dt)
        assert result.spikes("post").count == 2 * sum(PAIRINGS.values())
        change = (simulation.weights(projection).values - 0.5) / by
        out[name] = change.reshape(2, -1), np.reshape(expected, (2, -1))
    return out


@pytest.mark.parametrize("name", ["full", "minimal"])
def test_triplets_at_several_rates(name, frequency_dependence):
    change, expected = frequency_dependence[name]
    np.testing.assert_allclose(change, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ["full", "minimal"])
def test_the_published_dependence_on_frequency(name, frequency_dependence):
    """Pre before post: nothing at 0.1 Hz, growing potentiation with the rate.  Post before pre: depression at low
    rates, potentiation at 40 Hz and more (Sjostrom et al. 2001; Pfister & Gerstner 2006)."""
    (before, after), _ = frequency_dependence[name]
    assert abs(before[0]) < 0.02
    assert (np.diff(before) > 0).all() and before[-2] > 0.3
    assert after[0] < -0.2 * 8 / 60 and after[1] < -0.2
    assert after[-2] > 0.1 and after[-1] > 0.1
