"""What a spike sends through synapses that transmit differently from spike to spike: one synapse, one spike after the other."""

import math

import numpy as np
import reference_plasticity

from neurosim import MultiQuantalSynapse, SimpleStochasticSynapse, TsodyksMarkramSynapse, wiring
from neurosim.kernels.random import uniform_at
from neurosim.parameters import parameters_of, stream_key


def released(synapse, spikes, dt, key=0, number=0, **values):
    """The part of its weight that synapse ``number`` sends of each of its source's spikes (steps, may repeat).

    ``values``: its parameters, where they are not those of ``synapse``; ``key`` names the stream of draws.
    """
    own = {name: values.get(name, getattr(synapse, name)) for name in parameters_of(synapse)}
    if isinstance(synapse, TsodyksMarkramSynapse):
        if own["tau_psc"] > 0:
            return reference_plasticity.short_term(TsodyksMarkramSynapse(**own), spikes, dt)
        return two_states(own["U"], own["tau_rec"], own["tau_facil"], spikes, dt)
    again = [sum(s == t for s in spikes[:k]) for k, t in enumerate(spikes)]

    def draws(k, trial):
        return draw(key, number, again[k], trial, spikes[k])

    if isinstance(synapse, SimpleStochasticSynapse):
        return np.array([float(draws(k, 0) < own["p"]) for k in range(len(spikes))])
    n = int(own["n"]) if isinstance(synapse, MultiQuantalSynapse) else 1
    return quanta(own["U"], n, own["tau_rec"], own["tau_facil"], spikes, dt, draws)


def two_states(U, tau_rec, tau_facil, spikes, dt):
    """Maass & Markram (2002), equations 1 and 2: the u and R of a spike from those of the one before."""
    u, x, sent = U, 1.0, []
    for k in range(len(spikes)):
        if k > 0:
            h = (spikes[k] - spikes[k - 1]) * dt
            x = 1.0 + (x - u * x - 1.0) * math.exp(-h / tau_rec)
            u = U + u * (1.0 - U) * (math.exp(-h / tau_facil) if tau_facil > 0 else 0.0)
        sent.append(u * x)
    return np.array(sent)


def quanta(U, n, tau_rec, tau_facil, spikes, dt, draws):
    """Release sites (Loebel et al. 2009), site by site; ``draws(k, trial)``: uniform numbers of spike k."""
    u, full, sent = U, n, []
    for k in range(len(spikes)):
        if k > 0:
            h = (spikes[k] - spikes[k - 1]) * dt
            u = U + u * (1.0 - U) * (math.exp(-h / tau_facil) if tau_facil > 0 else 0.0)
            full += sum(draws(k, 2 * m + 1) < 1.0 - math.exp(-h / tau_rec) for m in range(n - full))
        out = sum(draws(k, 2 * m) < u for m in range(full))
        full -= out
        sent.append(out / n)
    return np.array(sent)


def draw(key, number, again, trial, step):
    """The number in (0, 1) of a synapse and a spike: 36 bits of the synapse, 14 of the spike in its step, 14 of the trial."""
    return uniform_at(np.uint64(key), np.uint64(number + (again << 36) + (trial << 50)), np.uint64(step))


def sent_by(projection, synapse, spikes, seed, network_seed, dt):
    """For each synapse of a projection, in the order of its weights, what it sends of each spike of its source, weight aside.

    ``spikes``: steps of each cell of the source's population; ``seed``: the simulation's.
    """
    pre, *_ = wiring.arrays(projection, network_seed, dt)
    key = stream_key(seed, "projection", projection.label, "release")
    values = {name: wiring.synapse_values(projection, name, network_seed) for name in parameters_of(synapse)}
    return [
        released(synapse, spikes[i], dt, key, number, **{name: value[number] for name, value in values.items()})
        for number, i in enumerate(projection.pre.indices[pre])
    ]


def arrivals(projection, synapse, spikes, seed, network_seed, dt, steps):
    """(steps + 1, cells of the target's population): what arrives through a projection at each step."""
    pre, post, weight, delay = wiring.arrays(projection, network_seed, dt)
    delay = np.rint(delay / dt).astype(int)
    total = np.zeros((steps + 1, projection.post.population.size))
    for k, sent in enumerate(sent_by(projection, synapse, spikes, seed, network_seed, dt)):
        when = np.asarray(spikes[projection.pre.indices[pre[k]]], int) + delay[k]
        seen = when <= steps
        np.add.at(total, (when[seen], projection.post.indices[post[k]]), weight[k] * sent[seen])
    return total
