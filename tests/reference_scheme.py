"""SpiNNaker's order of operations in plain Python floats: one object a neuron, one dict a tick of what is under way.

Written from the equations alone (sPyNNaker 7.4.1), not from the kernels: nothing here is shared with them.
"""

import math
from collections import defaultdict

import numpy as np


class Neuron:
    """A neuron of the machine; ``kind`` is the model's name, ``p`` its parameters."""

    def __init__(self, kind, p, v, dt):
        self.kind, self.p, self.v, self.dt = kind, p, v, dt
        self.left, self.h = 0, dt
        self.u = p.get("u", 0.0)
        self.inputs = {receptor: 0.0 for receptor in ("excitatory", "inhibitory")}
        self.linear, self.falling, self.latest = (dict.fromkeys(self.inputs, 0.0) for _ in range(3))

    def tick(self, arrived, injected):
        """One tick; returns (spiked, v at its start, excitatory and inhibitory input before the membrane moves)."""
        p, dt = self.p, self.dt
        for receptor, tau in (("excitatory", "tau_syn_E"), ("inhibitory", "tau_syn_I")):
            x = arrived.get(receptor, 0.0)
            if self.kind in ("IF_curr_exp", "IF_cond_exp"):
                self.inputs[receptor] += x * p[tau] / dt * (1.0 - math.exp(-dt / p[tau]))
            elif self.kind == "IF_curr_alpha":
                charge = abs(x) * math.e * p[tau]
                if charge > 0.0:
                    self.latest[receptor] = charge
                    self.falling[receptor] = self.falling[receptor] * math.exp(-dt / p[tau]) + 1.0
                    self.linear[receptor] += charge * dt / p[tau]**2
                    self.linear[receptor] *= 1.0 - 1.0 / self.falling[receptor]
                sign = 1.0 if receptor == "excitatory" else -1.0
                self.inputs[receptor] = sign * self.linear[receptor] * self.falling[receptor]
            else:
                self.inputs[receptor] = x
        seen = (self.v, self.inputs["excitatory"], self.inputs["inhibitory"])
        spiked = self.izhikevich(injected) if self.kind == "Izhikevich" else self.leaky(injected)
        for receptor, tau in (("excitatory", "tau_syn_E"), ("inhibitory", "tau_syn_I")):
            if self.kind == "IF_curr_alpha":
                self.linear[receptor] += self.latest[receptor] * dt / p[tau]**2
                self.falling[receptor] *= math.exp(-dt / p[tau])
            elif self.kind in ("IF_curr_exp", "IF_cond_exp"):
                self.inputs[receptor] *= math.exp(-dt / p[tau])
        return spiked, *seen

    def leaky(self, injected):
        p, dt = self.p, self.dt
        resistance, keep = p["tau_m"] / p["cm"], math.exp(-dt / p["tau_m"])
        e, i = self.inputs["excitatory"], self.inputs["inhibitory"]
        if self.left > 0:
            self.left -= 1
        else:
            if self.kind == "IF_cond_exp":
                current = e * (p["e_rev_E"] - self.v) + i * (p["e_rev_I"] - self.v)
            elif self.kind == "IF_curr_delta":
                current = (e + i) / (resistance * (1.0 - keep))
            else:
                current = e + i
            goal = p["v_rest"] + resistance * (current + p["i_offset"] + injected)
            self.v = goal + (self.v - goal) * keep
        if self.v < p["v_thresh"]:
            return False
        self.v, self.left = p["v_reset"], math.ceil(p["tau_refrac"] / dt - 1e-9)
        return True

    def izhikevich(self, injected):
        p, h = self.p, self.h
        drive = 1000.0 * (p["i_offset"] + injected) + (self.inputs["excitatory"] + self.inputs["inhibitory"]) / self.dt

        def slope(v, u):
            return 140.0 + (5.0 + 0.040008544921875 * v) * v - u + drive, p["a"] * (p["b"] * v - u)

        dv, du = slope(self.v, self.u)
        middle = slope(self.v + 0.5 * h * dv, self.u + 0.5 * h * du)
        self.v, self.u, self.h = self.v + h * middle[0], self.u + h * middle[1], self.dt
        if self.v < 30.0:
            return False
        self.v, self.u, self.h = p["c"], self.u + p["d"], 1.85 * self.dt
        return True


class Synapse:
    """A synapse with the additive pair rule, all spikes pairing, weights changed when the source fires; ``rule`` may be None."""

    def __init__(self, target, receptor, weight, delay, rule):
        self.target, self.receptor, self.weight, self.delay, self.rule = target, receptor, weight, delay, rule
        self.sources, self.targets, self.done = [], [], -1  # ticks

    def send(self, t, dt):
        """The weight that a spike of the source in tick t carries, after all that the synapse has seen until then."""
        if self.rule is None:
            return self.weight
        self.weight = self.after(t, dt)
        _, tau_minus, _, down, top = self.rule
        y = sum(math.exp(-(t - p - self.delay) * dt / tau_minus) for p in self.targets if p + self.delay <= t)
        self.weight = max(self.weight - top * down * y, 0.0)
        self.done = t
        self.sources.append(t)
        return self.weight

    def after(self, t, dt):
        """The weight after all spikes of the target that have come to the synapse until tick t."""
        tau_plus, _, up, _, top = self.rule
        weight = self.weight
        for p in sorted(p + self.delay for p in self.targets if self.done < p + self.delay <= t):
            x = sum(math.exp(-(p - s) * dt / tau_plus) for s in self.sources if s < p)
            weight = min(weight + top * up * x, top)
        return weight


def run(populations, synapses, given, currents, ticks, dt):
    """Ticks 0 .. ticks - 1 of a network.

    ``populations`` maps a label to a list of `Neuron`; ``synapses`` maps (label, cell) to a list of `Synapse` whose
    target is (label, cell); ``given`` maps a tick to a list of (label, cell) that fire as sources; ``currents`` maps
    (label, cell, tick) to nA.  Returns spikes as a set of (tick, label, cell), and v and both inputs, each label ->
    array (ticks, n).
    """
    under_way = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
    into = defaultdict(list)
    for group in synapses.values():
        for one in group:
            into[one.target].append(one)
    spikes = set()
    seen = {label: np.zeros((3, ticks, len(cells))) for label, cells in populations.items()}
    for t in range(ticks):
        arriving = under_way.pop(t, {})
        fired = list(given.get(t, ()))
        for label, cells in populations.items():
            for i, cell in enumerate(cells):
                spiked, *state = cell.tick(arriving.get((label, i), {}), currents.get((label, i, t), 0.0))
                seen[label][:, t, i] = state
                if spiked:
                    fired.append((label, i))
                    for one in into[label, i]:
                        one.targets.append(t)
        for source in fired:
            spikes.add((t, *source))
            for one in synapses.get(source, ()):
                under_way[t + one.delay][one.target][one.receptor] += one.send(t, dt)
    return spikes, seen
