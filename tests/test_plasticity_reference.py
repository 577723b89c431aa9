"""The engine's learning against the plain synapses of `reference_plasticity`, driven by the engine's own spikes.

Weights are read as spikes that arrive at the target would carry them: after a dendrite of D steps, what the synapse was
D steps ago.
"""

import dataclasses

import numpy as np
import plasticity_networks as nets
import pytest
import reference_plasticity as ref
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import (
    AdditiveWeightDependence,
    Dopamine,
    FixedProbabilityConnector,
    FromListConnector,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Izhikevich,
    Network,
    Simulation,
    SpikePairRule,
    SpikeSourceArray,
    SpikeSourcePoisson,
    STDPMechanism,
    TsodyksMarkramSynapse,
    Uniform,
    wiring,
)

SEEDS = st.integers(0, 2**31)
SHORT = (TsodyksMarkramSynapse(0.3, 40.0, 60.0), TsodyksMarkramSynapse(0.4, 30.0, 0.0, 2.0))
RUNS = st.sampled_from(
    [{"threads": 1, "update": "clock"}, {"threads": 1, "update": "event"}, {"threads": 2, "update": "auto"}]
)


@st.composite
def mechanisms(draw, high=1.0, names=tuple(nets.RULES), dopamine=False):
    """Any mechanism without Clopath's rule, with at least one step in the dendrite where it would not go otherwise."""
    name = draw(st.sampled_from(sorted(names)))
    order = draw(st.sampled_from(nets.ORDERS))
    least = 0.5 if order == "spinnaker" or name == "pair, restricted" else 0.0  # half of a step is a step
    fraction = draw(st.sampled_from([f for f in (0.0, 0.3, 0.5, 1.0) if f >= least]))
    low = draw(st.sampled_from([0.0, 0.1])) * high
    dependence = draw(st.sampled_from(sorted(nets.WEIGHT))) if nets.RULES[name][1] else "additive"
    short = draw(st.sampled_from([None, None, *SHORT]))
    more = {"neuromodulation": Dopamine(30.0, 12.0, draw(st.sampled_from([0.0, 0.05])))} if dopamine else {}
    return nets.mechanism(
        name, dependence, low, high, dendritic_delay_fraction=fraction, order=order, short_term=short, **more
    )


def random_pairs(seed, n, steps, busy):
    """(pre, post, delay) of n pairs: some silent, some that fire at most steps, sources with several spikes in one."""
    rng = np.random.default_rng(seed)
    pre, post = [], []
    for _ in range(n):
        a, b = rng.choice([0, 2, 20, busy], 2)
        pre.append(np.sort(rng.integers(0, steps, min(a, steps))))
        post.append(np.sort(rng.choice(np.arange(1, steps), min(b, steps - 1), replace=False)))
    return pre, post, rng.integers(1, 40, n)


def same_weights(found, expected, high=1.0):
    np.testing.assert_allclose(found, expected.astype(float), rtol=1e-11, atol=1e-12 * high)


def same_arrivals(arrived, expected, rtol=1e-9):
    seen = ~np.isnan(arrived)
    np.testing.assert_allclose(arrived[seen], expected[seen], rtol=rtol, atol=1e-11)


@settings(max_examples=40)
@given(mechanisms(), SEEDS, RUNS, st.sampled_from([60, 250]), st.sampled_from([0.1, 0.5]))
def test_pairs(mechanism, seed, how, busy, dt):
    """Weights at the end and all that is sent, of twelve pairs."""
    check_pairs(mechanism, seed, how, busy, dt)


def check_pairs(mechanism, seed, how, busy, dt):
    n, steps = 12, 300
    pre, post, delay = random_pairs(seed, n, steps, busy)  # some events are seen by the synapse after the end
    weight = np.random.default_rng(seed + 1).uniform(0.2, 0.9, n)
    cell = nets.quiet(tau_m=dt / 2)
    network, projection = nets.pairs(mechanism, pre, post, weight, delay, dt, cell=cell)
    simulation = Simulation(network, dt=dt, **how)
    total = steps + 20
    result = simulation.run(total * dt)
    expected = ref.run(mechanism, pre, post, weight, delay, dt, total)
    same_weights(simulation.weights(projection).values, expected.read[-1])
    assert [a.tolist() for a in nets.by_neuron(result, network["pre"])] == [a.tolist() for a in pre]
    assert [a.tolist() for a in nets.by_neuron(result, network["post"])] == [a.tolist() for a in post]
    v = result.traces("post", "v").values
    arrived = np.vstack([np.zeros((1, n)), v[1:] - v[:-1] * np.exp(-2.0)])
    for i, when in enumerate(post):
        arrived[when, i] = np.nan
    same_arrivals(arrived, nets.arrivals(expected, pre, delay, total))


@settings(max_examples=10)
@given(mechanisms(), SEEDS)
def test_weights_at_any_time(mechanism, seed):
    """As they are then, of an inhibitory projection; `record_weights` says the same."""
    n, steps, every = 8, 200, 7
    pre, post, delay = random_pairs(seed, n, steps, 60)
    weight = np.random.default_rng(seed).uniform(0.2, 0.9, n)
    network, projection = nets.pairs(mechanism, pre, post, -weight, delay, receptor="inhibitory")
    network.record_weights(projection, every * nets.DT)
    simulation = Simulation(network, threads=1)
    expected = -ref.run(mechanism, pre, post, weight, delay, nets.DT, steps + 45).read
    for step in range(1, steps + 46):
        simulation.step()
        same_weights(simulation.weights(projection).values, expected[step])
    kept = simulation.result.weights("plastic")
    at = np.rint(kept.times / nets.DT).astype(int)
    assert at.tolist() == list(range(0, steps + 46, every))
    assert kept.pre.tolist() == kept.post.tolist() == list(range(n))
    same_weights(kept.values, expected[at])


@settings(max_examples=15)
@given(mechanisms(names=("pair", "pair, nearest", "pair, restricted"), dopamine=True), SEEDS, RUNS)
def test_dopamine(mechanism, seed, how):
    """From spikes of a source and from a closed loop at once; bounds are met."""
    n, steps = 12, 400
    pre, post, delay = random_pairs(seed, n, steps, 60)
    rng = np.random.default_rng(seed + 1)
    weight = rng.uniform(0.2, 0.9, n)
    network, projection = nets.pairs(mechanism, pre, post, weight, delay)
    released = np.sort(rng.integers(0, steps, 9))  # the same step more than once, perhaps
    source = network.population(1, SpikeSourceArray(spike_times=released * nets.DT), "dopamine")
    network.modulate(source, projection, 0.2, 1.3)
    network.record_weights(projection, 3.0)
    simulation = Simulation(network, **how)
    doses = np.zeros((steps + 1, 1))
    np.add.at(doses, (np.minimum(released + 13, steps), 0), np.where(released + 13 <= steps, 0.2, 0.0))
    for step, amount in ((0, 0.1), (57, 0.3), (57, 0.1), (200, -0.2)):
        if round(simulation.t / nets.DT) < step:
            simulation.run((step - round(simulation.t / nets.DT)) * nets.DT)
        simulation.reinforce(projection, amount)
        doses[step] += amount
    simulation.run(steps * nets.DT - simulation.t)
    expected = ref.run(mechanism, pre, post, weight, delay, nets.DT, steps, doses=doses)
    same_weights(simulation.weights(projection).values, expected.read[-1])
    kept = simulation.result.weights("plastic")
    same_weights(kept.values, expected.read[::30])
    v = simulation.result.traces("post", "v").values
    arrived = np.vstack([np.zeros((1, n)), v[1:] - v[:-1] * np.exp(-2.0)])
    for i, when in enumerate(post):
        arrived[when, i] = np.nan
    same_arrivals(arrived, nets.arrivals(expected, pre, delay, steps))


@pytest.mark.parametrize("order", nets.ORDERS)
def test_closed_form_of_dopamine(order):
    """The reference's closed form between events against the midpoint rule in 200 parts of a step."""
    rng = np.random.default_rng(3)
    mechanism = nets.mechanism("pair", low=-1e9, order=order, neuromodulation=Dopamine(150.0, 80.0, 0.003))
    pre, post = [*range(5, 300, 40), 100], [*range(9, 300, 33), 93]
    doses = np.zeros((401, 1))
    doses[rng.integers(0, 400, 6)] = 0.02
    exact = ref.run(mechanism, [sorted(set(pre))], [sorted(set(post))], [0.5], [7], 0.1, 400, doses=doses).weights[:, 0]
    rough = ref.dopamine_by_integration(mechanism, set(pre), set(post), 0.5, 7, 0.1, 400, doses[:, 0])
    assert np.ptp(exact) > 0.01 and exact.max() < 0.9
    np.testing.assert_allclose(exact, rough, rtol=0, atol=1e-9)


@settings(max_examples=25)
@given(st.sampled_from(nets.ORDERS), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 1.0, 3.0]), SEEDS, RUNS)
def test_clopath(order, fraction, t_spike, seed, how):
    n, steps = 12, 300
    fraction = 0.5 if order == "spinnaker" and fraction == 0.0 else fraction
    rule = nets.clopath(1.0, t_spike=t_spike)
    mechanism = STDPMechanism(rule, AdditiveWeightDependence(0.0, 1.0), dendritic_delay_fraction=fraction, order=order)
    pre, post, delay = random_pairs(seed, n, steps, 60)
    weight = np.random.default_rng(seed).uniform(0.2, 0.9, n)
    network, projection = nets.pairs(mechanism, pre, post, weight, delay)
    extra = network.population(1, SpikeSourceArray(spike_times=np.arange(5.0, 30.0, 1.7)), "extra")
    network.project(extra, network["post"], FixedProbabilityConnector(0.7), 20.0)  # above theta_plus without a spike
    simulation = Simulation(network, **how)
    result = simulation.run((steps + 45) * nets.DT)
    v = result.traces("post", "v").values
    expected = ref.run(mechanism, pre, post, weight, delay, nets.DT, steps + 45, v=v)
    same_weights(simulation.weights(projection).values, expected.read[-1])
    arrived = np.vstack([np.zeros((1, n)), v[1:] - v[:-1] * np.exp(-2.0)])
    for i, when in enumerate(post):
        arrived[when, i] = np.nan
    arrived[np.abs(arrived) > 15.0] -= 20.0
    same_arrivals(arrived, nets.arrivals(expected, pre, delay, steps + 45))


def everything(high=1.0):
    """One mechanism of each kind."""
    made = {name: nets.mechanism(name, high=high) for name in nets.RULES}
    made |= {f"pair, {name}": nets.mechanism("pair", name, high=high) for name in nets.WEIGHT}
    made["dopamine"] = nets.mechanism("pair", high=high, neuromodulation=Dopamine(100.0, 50.0, 0.01))
    made["Clopath"] = STDPMechanism(nets.clopath(high), AdditiveWeightDependence(0.0, high))
    return made


@pytest.mark.parametrize("threads, update", [(1, "clock"), (2, "event")])
@pytest.mark.parametrize("name", everything())
def test_sources_that_hardly_spike(name, threads, update):
    """Between two spikes of a source the target fires hundreds of times: what is remembered of it must not run over."""
    mechanism = everything()[name]
    steps = 3000
    post = [np.arange(1 + i, steps, 3 + i) for i in range(5)]
    pre = [np.array(times, int) for times in ([10], [2, 2990], [1500, 1501, 1501], [], range(0, steps, 999))]
    weight, delay = np.full(5, 0.5), np.array([1, 5, 20, 3, 39])
    doses = np.zeros((steps + 51, 1))
    doses[100] = 0.1
    network, projection = nets.pairs(mechanism, pre, post, weight, delay)
    simulation = Simulation(network, threads=threads, update=update)
    simulation.run(10.0)
    if name == "dopamine":
        simulation.reinforce(projection, 0.1)
    simulation.run((steps + 50) * nets.DT - 10.0)
    v = simulation.result.traces("post", "v").values
    expected = ref.run(mechanism, pre, post, weight, delay, nets.DT, steps + 50, v=v, doses=doses)
    same_weights(simulation.weights(projection).values, expected.read[-1])
    arrived = np.vstack([np.zeros((1, 5)), v[1:] - v[:-1] * np.exp(-2.0)])
    for i, when in enumerate(post):
        arrived[when, i] = np.nan
    same_arrivals(arrived, nets.arrivals(expected, pre, delay, steps + 50))


@pytest.mark.parametrize("name", [name for name in everything() if name != "dopamine"])
def test_freezing_and_writing(name):
    """Frozen weights stay while spikes leave their traces; written ones are learned from there."""
    mechanism = everything()[name]
    n, steps = 10, 400
    rng = np.random.default_rng(4)
    pre, post = nets.trains(rng, n, 90, steps), nets.trains(rng, n, 90, steps)
    delay, weight = rng.integers(1, 20, n), rng.uniform(0.2, 0.8, n)
    network, projection = nets.pairs(mechanism, pre, post, weight, delay)
    simulation = Simulation(network, threads=1)
    simulation.run(10.0)
    simulation.freeze(projection)
    still = simulation.weights(projection).values
    simulation.run(12.0)
    assert simulation.weights(projection).values.tolist() == still.tolist()
    simulation.thaw(projection)
    assert simulation.weights(projection).values.tolist() == still.tolist()
    simulation.run(5.0)
    written = rng.uniform(0.0, 1.0, n)
    simulation.set_weights(projection, written)
    assert simulation.weights(projection).values.tolist() == written.tolist()
    simulation.run(15.0)
    v = simulation.result.traces("post", "v").values
    expected = ref.run(
        mechanism, pre, post, weight, delay, nets.DT, 420, v=v, frozen=[(100, 220)], writes={270: written}
    )
    same_weights(simulation.weights(projection).values, expected.read[-1])
    assert np.abs(expected.read[-1] - written).max() > 1e-3


@pytest.mark.parametrize(
    "name",
    [
        name if name == "pair" else pytest.param(name, marks=pytest.mark.slow)
        for name in nets.RULES
    ],
)
def test_long_gaps_and_long_traces(name):
    """Longer than the tables of exponentials: seven seconds between spikes, time constants of two."""
    mechanism = nets.mechanism(name)
    timing = mechanism.timing_dependence
    slow = {field: 2000.0 + 100.0 * k for k, field in enumerate(vars(timing)) if field.startswith("tau")}
    mechanism = dataclasses.replace(mechanism, timing_dependence=dataclasses.replace(timing, **slow))
    pre = [np.array([10, 70500]), np.array([70400]), np.array([20, 66000, 70300])]
    post = [np.array([35, 40, 70450]), np.array([3, 4]), np.array([65700])]
    network, projection = nets.pairs(mechanism, pre, post, 0.5, [3, 1, 20], record=False)
    simulation = Simulation(network, threads=1, update="event")
    simulation.run(7060.0)
    expected = ref.run(mechanism, pre, post, 0.5, [3, 1, 20], nets.DT, 70600)
    assert np.abs(expected.read[-1] - 0.5).min() > 1e-5
    same_weights(simulation.weights(projection).values, expected.read[-1])


def test_dopamine_at_every_step():
    """Thousands of its events between two spikes of a source."""
    steps = 5000
    mechanism = nets.mechanism(
        "pair", order="brian2", dendritic_delay_fraction=0.5, neuromodulation=Dopamine(150.0, 5.0, 0.002)
    )
    pre, post = [[5, 9], [10, 3000, 4990], []], [[8, 12], [4, 3100], [9]]
    delay = np.array([1, 8, 20])
    network, projection = nets.pairs(mechanism, pre, post, 0.5, delay)
    times = [np.arange(steps) * nets.DT, np.arange(0, steps, 7) * nets.DT]
    every = network.population(2, SpikeSourceArray(spike_times=times), "dopamine")
    network.modulate(every, projection, 1e-4, 0.5)
    simulation = Simulation(network, threads=2)
    simulation.run(steps * nets.DT)
    doses = np.zeros((steps + 1, 1))
    doses[5:, 0] += 1e-4
    doses[np.arange(0, steps - 4, 7) + 5, 0] += 1e-4
    expected = ref.run(mechanism, pre, post, 0.5, delay, nets.DT, steps, doses=doses)
    assert np.abs(expected.read[-1] - 0.5)[:2].min() > 1e-3
    np.testing.assert_allclose(simulation.weights(projection).values, expected.read[-1].astype(float), rtol=1e-9)


@pytest.mark.parametrize("threads", [1, 2])
def test_targets_that_need_32_bits(threads):
    """Seventy thousand targets, of which a few fire."""
    n, many, steps = 300, 70000, 300
    rng = np.random.default_rng(2)
    which = np.sort(rng.choice(many, n, replace=False))
    pre, post = nets.trains(rng, n, 20, steps), nets.trains(rng, n, 20, steps)
    delay, weight = rng.integers(1, 20, n), rng.uniform(0.2, 0.8, n)
    mechanism = nets.mechanism("triplet", dendritic_delay_fraction=0.5)
    network = Network()
    sources = network.population(n, SpikeSourceArray(spike_times=[t * nets.DT for t in pre]), "pre")
    driver = network.population(n, SpikeSourceArray(spike_times=[(t - 1) * nets.DT for t in post]), "driver")
    cells = network.population(many, nets.quiet(), "post", initial_values={"v": 0.0})
    network.project(driver, cells, FromListConnector(np.column_stack([np.arange(n), which])), 3000.0, nets.DT)
    rows = np.column_stack([np.arange(n), which, weight, delay * nets.DT])
    projection = network.project(sources, cells, FromListConnector(rows), synapse=mechanism)
    simulation = Simulation(network, threads=threads)
    simulation.run(35.0)
    kept = simulation.weights(projection)
    expected = ref.run(mechanism, pre, post, weight, delay, nets.DT, 350)
    assert (kept.pre.tolist(), kept.post.tolist()) == (list(range(n)), which.tolist())
    same_weights(kept.values, expected.read[-1])


def test_frozen_dopamine_stays():
    mechanism = everything()["dopamine"]
    rng = np.random.default_rng(4)
    pre, post, delay = nets.trains(rng, 10, 90, 400), nets.trains(rng, 10, 90, 400), rng.integers(1, 20, 10)
    network, projection = nets.pairs(mechanism, pre, post, 0.5, delay)
    simulation = Simulation(network, threads=1)
    simulation.reinforce(projection, 0.02)
    simulation.run(10.0)
    simulation.freeze("plastic")
    still = simulation.weights("plastic").values
    simulation.run(10.0)
    assert simulation.weights(projection).values.tolist() == still.tolist()
    simulation.thaw("plastic")
    assert simulation.weights(projection).values.tolist() == still.tolist()
    simulation.run(10.0)
    assert np.abs(simulation.weights(projection).values - still).min() > 0


# --- networks ---------------------------------------------------------------------------------------------------------

UNIT = {"nA": 0.5, "mV": 2.0, "uS": 0.01}
CELLS = {
    "exp": lambda rng, n: IF_curr_exp(
        tau_m=10.0, cm=0.25, v_thresh=-56.0, tau_refrac=1.0, tau_syn_E=2.0, tau_syn_I=4.0
    ),
    "alpha": lambda rng, n: IF_curr_alpha(tau_m=10.0, cm=0.25, v_thresh=-56.0, tau_refrac=1.0),
    "delta": lambda rng, n: IF_curr_delta(tau_m=10.0, cm=0.25, v_thresh=-56.0, tau_refrac=0.5),
    "exp, stepped": lambda rng, n: IF_curr_exp(
        tau_m=rng.uniform(5.0, 20.0, n), cm=0.25, v_thresh=-56.0, tau_refrac=1.0
    ),
    "delta, stepped": lambda rng, n: IF_curr_delta(
        tau_m=rng.uniform(5.0, 20.0, n), cm=0.25, v_thresh=-56.0, tau_refrac=0.0
    ),
    "cond": lambda rng, n: IF_cond_exp(cm=0.25, v_thresh=-56.0, tau_refrac=1.0),
    "Izhikevich": lambda rng, n: Izhikevich(),
}
# Currents or conductances that show what arrives, by receptor: the state and its time constant.
SHOWN = {"exp": ("isyn_exc", "isyn_inh"), "exp, stepped": ("isyn_exc", "isyn_inh"), "cond": ("gsyn_exc", "gsyn_inh")}


@st.composite
def networks(draw):
    """Two populations and two of sources, joined by projections that learn, depress or stay."""
    network = Network(seed=draw(SEEDS))
    rng = np.random.default_rng(draw(SEEDS))
    kinds = [draw(st.sampled_from(sorted(CELLS))) for _ in range(2)]
    cells = []
    for k, kind in enumerate(kinds):
        n = draw(st.integers(2, 8))
        cells.append(network.population(n, CELLS[kind](rng, n), f"cells{k}"))
    times = [[0.0, 3.0, 3.0, 3.0], np.sort(rng.uniform(0, 50, 40)), [], np.sort(rng.integers(0, 50, 30)).astype(float)]
    sources = [network.population(4, SpikeSourceArray(spike_times=times), "array"),
               network.population(5, SpikeSourcePoisson(rate=80.0), "poisson")]
    for post in cells:
        unit = UNIT[post.cell.weight_unit]
        for pre in [*cells, *sources]:
            for receptor in ("excitatory", "inhibitory"):
                sign = -1.0 if receptor == "inhibitory" and post.cell.weight_unit != "uS" else 1.0
                learning, resting = mechanisms(high=3.0 * unit), st.sampled_from([None, *SHORT])
                synapse = draw(st.one_of(learning, learning, resting))
                low, high = sorted((0.3 * sign * unit, 1.5 * sign * unit))
                weight = draw(st.sampled_from([sign * unit, Uniform(low, high)]))
                some = pre[1:] if draw(st.booleans()) and pre.size > 1 else pre
                delay = draw(st.sampled_from([0.1, 1.5, Uniform(0.1, 6.0)]))
                network.project(some, post, FixedProbabilityConnector(0.6), weight, delay, receptor, synapse=synapse)
    for source in sources:
        network.project(
            source, cells[0], FixedProbabilityConnector(0.8), UNIT[cells[0].cell.weight_unit] * 4.0, Uniform(0.1, 2.0)
        )
        network.project(source, cells[1], FixedProbabilityConnector(0.8), UNIT[cells[1].cell.weight_unit] * 4.0, 0.1)
    network.record(None, "spikes")
    for kind, population in zip(kinds, cells, strict=True):
        if kind in SHOWN:
            population.record(list(SHOWN[kind]))
    return network, dict(zip(("cells0", "cells1"), kinds, strict=True))


def all_that_arrives(network, result, dt, steps, outcomes):
    """{(label, receptor): (steps + 1, n)}: by the reference, with the spikes that the engine gave."""
    total = {}
    for projection in network.projections:
        there = total.setdefault((projection.post.population.label, projection.receptor),
                                 np.zeros((steps + 1, projection.post.population.size)))
        i, j, weight, delay = wiring.arrays(projection, network.seed, dt)
        i, j, delay = projection.pre.indices[i], projection.post.indices[j], np.rint(delay / dt).astype(int)
        sends = nets.by_neuron(result, projection.pre.population)
        for k in range(i.size):
            when = sends[i[k]]
            if projection.label in outcomes:
                amount = np.sign(weight[k]) * outcomes[projection.label].sent[k]
            else:
                amount = weight[k] * (
                    1.0 if projection.synapse is None else ref.short_term(projection.synapse, when, dt)
                )
                amount = np.broadcast_to(amount, when.shape)
            seen = when + delay[k] <= steps
            np.add.at(there, (when[seen] + delay[k], j[k]), amount[seen])
    return total


def check_networks(built, seed, how, steps):
    network, kinds = built
    dt = 0.1
    simulation = Simulation(network, dt=dt, seed=seed, **how)
    result = simulation.run(steps * dt)
    assert sum(result.spikes(label).count for label in ("cells0", "cells1")) > 0
    outcomes = {}
    for projection in network.projections:
        if not isinstance(projection.synapse, STDPMechanism):
            continue
        _, _, weight, _ = wiring.arrays(projection, network.seed, dt)
        outcomes[projection.label], i, j, _ = nets.replayed(network, projection, result, dt, steps)
        kept = simulation.weights(projection)
        assert (kept.pre.tolist(), kept.post.tolist()) == (i.tolist(), j.tolist())
        same_weights(
            np.sign(weight) * kept.values,
            outcomes[projection.label].read[-1],
            projection.synapse.weight_dependence.w_max,
        )
    total = all_that_arrives(network, result, dt, steps, outcomes)
    for label, kind in kinds.items():
        for state, tau, receptor in zip(
            SHOWN.get(kind, ()), ("tau_syn_E", "tau_syn_I"), ("excitatory", "inhibitory"), strict=False
        ):
            trace = result.traces(label, state).values
            arrived = trace[1:] - trace[:-1] * np.exp(-dt / getattr(network[label].cell, tau))
            expected = total[label, receptor]
            np.testing.assert_allclose(arrived, expected[1:], rtol=1e-8, atol=1e-10 * max(1e-9, np.abs(expected).max()))


@settings(max_examples=8)
@given(networks(), SEEDS, RUNS)
def test_networks(built, seed, how):
    check_networks(built, seed, how, 250)


@pytest.mark.slow
@settings(max_examples=100)
@given(networks(), SEEDS, RUNS)
def test_many_networks(built, seed, how):
    check_networks(built, seed, how, 700)


@pytest.mark.slow
@settings(max_examples=1000)
@given(mechanisms(), SEEDS, RUNS, st.sampled_from([60, 250]), st.sampled_from([0.1, 0.5]))
def test_many_pairs(mechanism, seed, how, busy, dt):
    check_pairs(mechanism, seed, how, busy, dt)


@pytest.mark.parametrize(
    "how", [{"threads": 1, "update": "clock"}, {"threads": 2, "update": "event"}], ids=("clock", "event")
)
@pytest.mark.parametrize("kind", CELLS)
def test_potentials_and_rewards_in_networks(kind, how):
    """Clopath's rule with the potentials that cells really have, and dopamine that neurons release."""
    dt, steps = 0.1, 300
    network = Network(seed=6)
    cells = network.population(70, CELLS[kind](np.random.default_rng(1), 70), "cells")
    unit = UNIT[cells.cell.weight_unit]
    source = network.population(30, SpikeSourcePoisson(rate=60.0), "source")
    network.poisson_input(cells, 1500.0, 0.5 * unit)
    bounds = AdditiveWeightDependence(0.0, 3.0 * unit)
    rule = nets.clopath(0.1 * unit, theta_minus=-64.0, theta_plus=-60.0, u_spike=20.0)
    voltage = STDPMechanism(rule, bounds, dendritic_delay_fraction=0.5)
    rewarded = STDPMechanism(
        SpikePairRule(A_plus=0.03, A_minus=0.02), bounds, neuromodulation=Dopamine(100.0, 20.0, 0.01)
    )
    low = Uniform(0.3 * unit, 1.5 * unit)
    learning = [
        network.project(source, cells, FixedProbabilityConnector(0.3), low, Uniform(0.1, 3.0), synapse=voltage),
        network.project(cells, cells, FixedProbabilityConnector(0.05), low, Uniform(0.1, 3.0), synapse=rewarded),
    ]
    network.modulate(cells[10:20], learning[1], 0.03, 1.5)
    network.record(None, "spikes")
    cells.record("v")
    simulation = Simulation(network, seed=4, **how)
    result = simulation.run(steps * dt)
    assert result.spikes("cells").count > 20
    doses = np.zeros((steps + 1, 1))
    for released in nets.by_neuron(result, cells)[10:20]:
        np.add.at(doses, (released[released + 15 <= steps] + 15, 0), 0.03)
    for projection in learning:
        outcome, *_ = nets.replayed(
            network, projection, result, dt, steps, doses=doses, v=result.traces("cells", "v").values
        )
        np.testing.assert_allclose(
            simulation.weights(projection).values, outcome.read[-1], rtol=1e-9, atol=1e-11 * unit
        )
        assert np.ptp(outcome.read, axis=0).max() > 0.02 * unit


@pytest.mark.parametrize("threads", [1, 3])
def test_several_synapses_of_a_pair(threads):
    """A list in any order, with several synapses from one cell to another, of equal and of different delays."""
    rng = np.random.default_rng(8)
    n, steps, count = 150, 300, 4000
    rows = np.column_stack([rng.integers(0, 20, count), rng.integers(0, n, count), rng.uniform(0.2, 0.8, count),
                            rng.integers(1, 4, count) * nets.DT])
    assert np.unique(rows[:, :2], axis=0).shape[0] < count - 500
    post = nets.trains(rng, n, 30, steps)
    network = Network()
    times = [t * nets.DT for t in nets.trains(rng, 20, 30, steps)]
    sources = network.population(20, SpikeSourceArray(spike_times=times), "pre")
    driver = network.population(n, SpikeSourceArray(spike_times=[(t - 1) * nets.DT for t in post]), "driver")
    cells = network.population(n, nets.quiet(), "post", initial_values={"v": 0.0})
    network.project(driver, cells, FromListConnector(np.column_stack([np.arange(n)] * 2)), 3000.0, nets.DT)
    synapse = nets.mechanism("pair", "multiplicative")
    projection = network.project(sources, cells, FromListConnector(rows), synapse=synapse)
    network.record([sources, cells], "spikes")
    chosen = rng.permutation(count)[:50]
    network.record_weights(projection, 10.0, chosen)
    simulation = Simulation(network, threads=threads)
    result = simulation.run(20.0)
    written = simulation.weights(projection).values[::-1].copy()
    simulation.set_weights(projection, written)
    assert simulation.weights(projection).values.tolist() == written.tolist()
    result = result.append(simulation.run(15.0))
    plain, i, j, delay = nets.replayed(network, projection, result, nets.DT, 350)
    now = simulation.weights(projection)
    assert np.array_equal(now.pre, i) and np.array_equal(now.post, j)
    same_weights(written[::-1], plain.read[200])
    kept = result.weights(projection.label)
    assert kept.times.tolist() == [0.0, 10.0, 20.0, 30.0]
    assert np.array_equal(kept.pre, i[chosen]) and np.array_equal(kept.post, j[chosen])
    same_weights(kept.values[:3], plain.read[:300:100, chosen])
    first = wiring.arrays(projection, network.seed, nets.DT)[2]
    assert np.array_equal(np.sort(first), np.sort(rows[:, 2]))
    sends = nets.by_neuron(result, sources)
    pre, post = [sends[k] for k in i], [post[k] for k in j]
    after = ref.run(synapse, pre, post, first, delay, nets.DT, 350, writes={200: written})
    same_weights(now.values, after.read[-1])


def test_weights_in_a_list_are_held_against_the_bounds():
    """Those of the list, not the number that stands beside it."""
    def build(weight):
        network = Network()
        pre, post = (
            network.population(1, SpikeSourceArray(spike_times=[1.0]), "pre"),
            network.population(1, nets.quiet(), "post"),
        )
        synapse = nets.mechanism("pair", low=0.25, high=2.0)
        projection = network.project(pre, post, FromListConnector([[0, 0, weight, 0.3]]), synapse=synapse)
        return Simulation(network, threads=1).weights(projection).values.tolist()

    assert build(1.0) == [1.0]
    for bad in (0.2, 2.1):
        with pytest.raises(ValueError, match="between w_min = 0.25 and w_max = 2"):
            build(bad)
