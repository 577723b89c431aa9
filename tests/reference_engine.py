"""A plain simulator of current-based networks: every neuron at every step, by the matrix exponential of its equations.

It shares with the engine the description of the network, the list of synapses (`neurosim.wiring.arrays`) and
the random words; no table, no frame, no group, no part, no skipped neuron.  Slow, and meant to be read.
"""

import math

import numpy as np
from neurosim.kernels import random
from scipy.linalg import expm

from neurosim import wiring
from neurosim.cells.lif import IF_curr_alpha, IF_curr_delta
from neurosim.cells.sources import (
    SpikeSourceArray,
    SpikeSourceInhGamma,
    SpikeSourcePoissonRefractory,
)
from neurosim.currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from neurosim.parameters import stream_key

V, I_E, I_I, D_E, D_I, J, ONE = range(7)  # the state of a neuron; J is the injected current, ONE is 1
RECEPTORS = ("excitatory", "inhibitory")


class Run:
    """What came out: ``spikes[label]`` (steps, ids); ``v[label]``, ``i_e``, ``i_i`` of shape (steps + 1, n).

    ``margin`` is the least distance, mV, of any neuron from its threshold at any step: a comparison of spikes
    means nothing where it is as small as rounding.
    """

    def __init__(self):
        self.spikes, self.v, self.i_e, self.i_i, self.margin = {}, {}, {}, {}, math.inf


class _Cells:
    """One population of neurons."""

    def __init__(self, population, seed, dt):
        cell, n = population.cell, population.size
        self.p = cell.values(n, seed, population.label)
        self.kind = type(cell)
        self.matrix = np.stack([self.propagator(i, dt) for i in range(n)])
        initial = cell.initial_values(n, seed, population.label, population.initial_values, self.p)
        self.y = np.zeros((n, 7))
        self.y[:, V], self.y[:, ONE] = initial["v"], 1.0
        if self.kind is not IF_curr_delta:
            self.y[:, I_E], self.y[:, I_I] = initial["isyn_exc"], initial["isyn_inh"]
        self.hold = np.zeros(n, int)
        self.refractory = np.floor(self.p["tau_refrac"] / dt + 0.5).astype(int)

    def propagator(self, i, dt):
        p = {name: float(value[i]) for name, value in self.p.items()}
        a = np.zeros((7, 7))
        a[V, V] = -1.0 / p["tau_m"]
        a[V, ONE] = p["v_rest"] / p["tau_m"] + p["i_offset"] / p["cm"]
        a[V, J] = 1.0 / p["cm"]
        if self.kind is not IF_curr_delta:
            for current, rise, tau in ((I_E, D_E, p["tau_syn_E"]), (I_I, D_I, p["tau_syn_I"])):
                a[V, current] = 1.0 / p["cm"]
                a[current, current] = a[rise, rise] = -1.0 / tau
                a[current, rise] = math.e / tau
        return expm(a * dt)

    def step(self, current, arrived):
        """From t - 1 to t; ``arrived`` (2, n) by receptor.  Returns the neurons that spike, and the margin."""
        self.y[:, J] = current
        moved = np.einsum("nij,nj->ni", self.matrix, self.y)
        held = self.hold > 0
        moved[held, V] = self.y[held, V]
        self.hold[held] -= 1
        if self.kind is IF_curr_delta:
            moved[~held, V] += arrived.sum(axis=0)[~held]
        else:
            first = D_E if self.kind is IF_curr_alpha else I_E
            moved[:, first] += arrived[0]
            moved[:, first + 1] += arrived[1]
        self.y = moved
        margin = np.abs(self.y[~held, V] - self.p["v_thresh"][~held]).min(initial=math.inf)
        spiked = np.flatnonzero(self.y[:, V] >= self.p["v_thresh"])
        self.y[spiked, V] = self.p["v_reset"][spiked]
        self.hold[spiked] = self.refractory[spiked]
        return spiked, margin


def source_steps(population, network_seed, seed, dt, steps):
    """(steps, ids) of all spikes of a source up to ``steps``."""
    cell, n = population.cell, population.size
    key = np.uint64(stream_key(seed, "group", population.label))
    p = cell.values(n, network_seed, population.label)
    found = []
    for i in range(n):
        if isinstance(cell, SpikeSourceArray):
            found += [(int(math.floor(t / dt + 0.5 + 1e-9)), i) for t in cell.rows(n, population.label)[i]]
            continue
        t, draw = float(p["start"][i]), 0
        stop = t + float(p["duration"][i])
        while True:
            if isinstance(cell, SpikeSourceInhGamma):
                t = gamma_time(cell, key, i, draw, t)
            elif p["rate"][i] == 0.0:
                break
            else:
                dead = float(p["tau_refrac"][i]) if isinstance(cell, SpikeSourcePoissonRefractory) else 0.0
                mean = 1000.0 / float(p["rate"][i]) - dead
                t += (dead if draw else 0.0) + float(random.exponential_at(key, i, draw)) * mean
            if t > min(stop, steps * dt + dt):
                break
            found.append((math.ceil(t / dt), i))
            draw += 1
    found = sorted(one for one in found if one[0] <= steps)
    return np.array([s for s, _ in found], int), np.array([i for _, i in found], int)


def gamma_time(cell, key, i, draw, t):
    """When the expected number of spikes since ``t``, ms, reaches an interval of mean 1 drawn with the shape at ``t``."""
    edges = [*cell.tbins, math.inf]
    t = max(t, edges[0])
    b = max(k for k in range(cell.a.size) if edges[k] <= t)
    left = float(random.gamma_at(key, i, draw, cell.a[b])) / cell.a[b]
    while True:
        mean = 1000.0 * cell.a[b] * cell.b[b]
        if t + left * mean <= edges[b + 1]:
            return t + left * mean
        left -= (edges[b + 1] - t) / mean
        t, b = edges[b + 1], b + 1


def poisson_number(key, item, step, mean):
    """The number of events of ``item`` in a step, by inversion of one 32-bit word for each 40 of the mean."""
    rounds = max(1, math.ceil(mean / 40.0))
    total = 0
    for r in range(rounds):
        word = int(random.philox(item, step >> 2, 0, r, key & 0xFFFFFFFF, key >> 32)[step & 3])
        u, number, p = (word + 0.5) / 2.0**32, 0, math.exp(-mean / rounds)
        below = p
        while u > below and number < 250:
            number += 1
            p *= mean / rounds / number
            below += p
        total += number
    return total


def amplitude(source, key, cell, t, dt):
    """nA of a current source over (t, t + dt]; its times count from the nearest step on, its noise goes by the cell's number."""
    near = 1e-9 * dt

    def on_grid(time):
        return np.floor(np.asarray(time) / dt + 0.5 + 1e-9) * dt

    if isinstance(source, StepCurrentSource):
        before = np.flatnonzero(on_grid(source.times) <= t + near)
        return source.amplitudes[before[-1]] if before.size else 0.0
    start, stop = float(on_grid(source.start)), float(on_grid(source.stop))
    if not start <= t + near < stop:
        return 0.0
    if isinstance(source, DCSource):
        return source.amplitude
    if isinstance(source, ACSource):
        angle = 2.0 * math.pi * source.frequency * (t - start) / 1000.0 + math.radians(source.phase)
        return source.offset + source.amplitude * math.sin(angle)
    assert isinstance(source, NoisyCurrentSource)
    held = math.floor((t - start + near) / max(source.dt, dt))
    return source.mean + source.stdev * float(random.normal_at(np.uint64(key), cell, held))


def simulate(network, dt, steps, seed):
    """Run a network of IF_curr_exp, IF_curr_alpha, IF_curr_delta and sources for ``steps`` steps."""
    run = Run()
    cells = {p.label: _Cells(p, network.seed, dt) for p in network.populations if not p.cell.is_source}
    synapses = [(p, *wiring.arrays(p, network.seed, dt)) for p in network.projections]
    latest = max((round(delay.max() / dt) for *_, delay in synapses if delay.size), default=0)
    coming = {label: np.zeros((steps + latest + 1, 2, one.y.shape[0])) for label, one in cells.items()}
    spikes = {p.label: [] for p in network.populations}
    given = {}
    for p in network.populations:
        if p.cell.is_source:
            given[p.label] = source_steps(p, network.seed, seed, dt, steps)
    for one in network.inputs:
        key = stream_key(seed, "input", one.label)
        mean = np.broadcast_to(np.asarray(one.rate, float), (one.target.size,)) * dt / 1000.0
        first, last = round(one.start / dt), steps if math.isinf(one.stop) else min(steps, round(one.stop / dt))
        receptor = RECEPTORS.index(one.receptor)
        for item, i in enumerate(one.target.indices):
            for t in range(first + 1, last + 1):
                coming[one.target.population.label][t, receptor, i] += one.weight * poisson_number(key, item, t, mean[item])

    def send(label, t, ids):
        if not len(ids):
            return
        spikes[label] += [(t, i) for i in ids]
        for projection, pre, post, weight, delay in synapses:
            if projection.pre.population.label != label:
                continue
            there = coming[projection.post.population.label]
            receptor = RECEPTORS.index(projection.receptor)
            source, target = projection.pre.indices[pre], projection.post.indices[post]
            for i in ids:
                own = source == i
                np.add.at(there, (t + np.rint(delay[own] / dt).astype(int), receptor, target[own]), weight[own])

    for label, one in cells.items():
        shape = (steps + 1, one.y.shape[0])
        run.v[label], run.i_e[label], run.i_i[label] = np.empty(shape), np.empty(shape), np.empty(shape)
        run.v[label][0], run.i_e[label][0], run.i_i[label][0] = one.y[:, V], one.y[:, I_E], one.y[:, I_I]
    for t in range(steps + 1):
        for label, (when, ids) in given.items():
            send(label, t, ids[when == t])
        if t == 0:
            continue
        for label, one in cells.items():
            current = np.zeros(one.y.shape[0])
            for number, injection in enumerate(network.injections):
                if injection.target.population.label == label:
                    key = stream_key(seed, "current", number)
                    for i in injection.target.indices:
                        current[i] += amplitude(injection.current, key, i, (t - 1) * dt, dt)
            spiked, margin = one.step(current, coming[label][t])
            run.margin = min(run.margin, margin)
            run.v[label][t], run.i_e[label][t], run.i_i[label][t] = one.y[:, V], one.y[:, I_E], one.y[:, I_I]
            send(label, t, spiked)
    for label, found in spikes.items():
        run.spikes[label] = np.array([t for t, _ in found], int), np.array([i for _, i in found], int)
    return run
