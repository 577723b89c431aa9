"""Networks for tests of plasticity: pairs of cells that fire when they are told to, and what arrived in a trace."""

import numpy as np
import reference_plasticity as ref

from neurosim import (
    AdditivePotentiationMultiplicativeDepression,
    AdditiveWeightDependence,
    ClopathRule,
    GutigWeightDependence,
    IF_curr_delta,
    MultiplicativeWeightDependence,
    Network,
    OjaRule,
    OneToOneConnector,
    Simulation,
    SpikePairRule,
    SpikeSourceArray,
    SpikeTripletRule,
    STDPMechanism,
    Vogels2011Rule,
    wiring,
)

TAU = 0.05  # ms, of the membrane of cells that only show what arrives
DT = 0.1

WEIGHT = {
    "additive": lambda low, high: AdditiveWeightDependence(low, high),
    "multiplicative": lambda low, high: MultiplicativeWeightDependence(low, high),
    "van Rossum": lambda low, high: AdditivePotentiationMultiplicativeDepression(low, high),
    "Guetig": lambda low, high: GutigWeightDependence(low, high, mu_plus=0.4, mu_minus=0.7),
}
# name -> rule, and whether it takes a dependence on the weight; amplitudes in units of the greatest weight ``high``
RULES = {
    "pair": (lambda high: SpikePairRule(17.0, 31.0, 0.03, 0.02), True),
    "pair, nearest": (lambda high: SpikePairRule(17.0, 31.0, 0.03, 0.02, pairing="nearest"), True),
    "pair, restricted": (lambda high: SpikePairRule(17.0, 31.0, 0.03, 0.02, pairing="restricted"), True),
    "triplet": (lambda high: SpikeTripletRule(16.8, 33.7, 101.0, 125.0, 0.004, 0.007, 0.006, 0.002), True),
    "triplet, nearest": (
        lambda high: SpikeTripletRule(16.8, 33.7, 51.0, 40.0, 0.004, 0.007, 0.03, 0.02, pairing="nearest"),
        True,
    ),
    "Vogels": (lambda high: Vogels2011Rule(20.0, 0.02 * high, 8.0), False),
    "Oja": (lambda high: OjaRule(25.0, 15.0, 0.02 * high, 1.3), False),
}
ORDERS = ("nest", "spinnaker", "brian2")


def rule(name, high):
    return RULES[name][0](high)


def mechanism(name, dependence="additive", low=0.0, high=1.0, **more):
    """An `STDPMechanism` of a rule of ``RULES`` with weights between ``low`` and ``high``."""
    return STDPMechanism(rule(name, high), WEIGHT[dependence](low, high), **more)


def clopath(high, **more):
    """Amplitudes that matter for weights of up to ``high`` where the potential is around 0 mV."""
    values = {
        "tau_x": 12.0,
        "tau_minus": 9.0,
        "tau_plus": 6.0,
        "theta_minus": -1.0,
        "theta_plus": 5.0,
        "A_LTD": 0.01 * high,
        "A_LTP": 2e-3 * high,
        "u_spike": 30.0,
        "t_spike": 1.0,
    }
    return ClopathRule(**{**values, **more})


def trains(rng, n, most, steps, first=1):
    """n trains of up to ``most`` spikes, at different steps from ``first`` to ``steps - 1``."""
    return [
        np.sort(rng.choice(np.arange(first, steps), rng.integers(most // 2, most + 1), replace=False)) for _ in range(n)
    ]


def quiet(**more):
    """A cell whose potential jumps by what arrives, decays to 0 within a few steps, and never reaches the threshold."""
    return IF_curr_delta(
        **{"tau_m": TAU, "cm": 1.0, "v_rest": 0.0, "v_reset": 0.0, "v_thresh": 1000.0, "tau_refrac": 0.0, **more}
    )


def pairs(synapse, pre, post, weight, delay, dt=DT, receptor="excitatory", cell=None, record=True):
    """(network, projection): n sources that spike at steps ``pre[i]``, each with one synapse of the given weight and
    delay (steps), to n cells that fire at steps ``post[i]`` >= 1, and at no other."""
    n = len(pre)
    network = Network(seed=3)
    sources = network.population(n, SpikeSourceArray(spike_times=[np.asarray(t) * dt for t in pre]), "pre")
    driver = network.population(n, SpikeSourceArray(spike_times=[(np.asarray(t) - 1) * dt for t in post]), "driver")
    cells = network.population(n, quiet() if cell is None else cell, "post", initial_values={"v": 0.0})
    network.project(driver, cells, OneToOneConnector(), 3000.0, dt, label="drive")
    weight, delay = np.broadcast_to(weight, (n,)), np.broadcast_to(delay, (n,))
    projection = network.project(sources, cells, OneToOneConnector(), weight, delay * dt, receptor, "plastic", synapse)
    if record:
        network.record([sources, cells], "spikes")
        cells.record("v")
    return network, projection


def run_pairs(synapse, pre, post, weight, delay, steps, dt=DT, receptor="excitatory", cell=None, doses=(), **more):
    """What `pairs` do: (weights at the end, arrivals (steps + 1, n) with NaN where a cell fired, v (steps + 1, n));
    ``doses``: (step, amount) of dopamine, given by the way."""
    network, projection = pairs(synapse, pre, post, weight, delay, dt, receptor, cell)
    simulation = Simulation(network, dt=dt, **{"threads": 1, **more})
    done = 0
    for step, amount in doses:
        if step > done:
            simulation.run((step - done) * dt)
        done = step
        simulation.reinforce(projection, amount)
    simulation.run((steps - done) * dt)
    result = simulation.result
    spikes = result.spikes("post")
    fired = np.zeros((steps + 1, len(pre)), bool)
    fired[np.rint(spikes.times / dt).astype(int), spikes.ids] = True
    for i, expected in enumerate(post):
        assert np.flatnonzero(fired[:, i]).tolist() == [p for p in np.asarray(expected) if p <= steps]
    v = result.traces("post", "v").values
    arrived = np.vstack([np.zeros((1, len(pre))), v[1:] - v[:-1] * np.exp(-dt / TAU)])
    arrived[fired] = np.nan
    kept = simulation.weights(projection)
    assert kept.pre.tolist() == kept.post.tolist() == list(range(len(pre)))
    return kept.values, arrived, v


def arrivals(outcome, pre, delay, steps):
    """(steps + 1, n): what reaches each target of n pairs at each step in all, from the reference's `Outcome`."""
    total = np.zeros((steps + 1, len(pre)))
    for i, when in enumerate(pre):
        for k, s in enumerate(np.asarray(when, int)):
            if s + delay[i] <= steps:
                total[s + delay[i], i] += outcome.sent[i][k]
    return total


def by_neuron(result, population):
    """The steps of the spikes of each neuron."""
    spikes = result.spikes(population.label)
    steps = np.rint(spikes.times / result.dt).astype(int)
    return [np.sort(steps[spikes.ids == i]) for i in range(population.size)]


def replayed(network, projection, result, dt, steps, doses=None, v=None):
    """The reference's (outcome, pre, post, delay) of a projection, from the spikes that were recorded.

    Weights are magnitudes; ``v`` (steps + 1, size of the target's population) is for `ClopathRule`.
    """
    i, j, weight, delay = wiring.arrays(projection, network.seed, dt)
    i, j, delay = projection.pre.indices[i], projection.post.indices[j], np.rint(delay / dt).astype(int)
    bounds = projection.synapse.weight_dependence
    weight = np.clip(np.abs(weight), bounds.w_min, bounds.w_max)
    sends, fires = by_neuron(result, projection.pre.population), by_neuron(result, projection.post.population)
    outcome = ref.run(
        projection.synapse,
        [sends[k] for k in i],
        [fires[k] for k in j],
        weight,
        delay,
        dt,
        steps,
        doses=doses,
        v=None if v is None else v[:, j],
    )
    return outcome, i, j, delay


