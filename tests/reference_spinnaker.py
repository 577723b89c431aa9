"""A deployed network in plain Python integers, a cell and a packet at a time: what the emulator's kernels are held against.

Nothing here is flat, packed or deferred: input for a tick lies in a table under that tick, however late it comes; a packet that a
delay extension sends again lies in a list under the tick in which it does so.
"""

from __future__ import annotations

import math
from collections import defaultdict
from decimal import Decimal

from reference_spinnaker_stdp import LAWS, RULES, Plasticity, Row, Synapse, Table, Terms, signed

FULL = 0xFFFF
POWERS = [round(math.exp(k - 13) * 2**32) for k in range(26)]
PARTS = [round((1 - math.exp(-k / 16)) * 2**32) for k in range(16)]


def word(x: float) -> int:
    """A number as s16.15."""
    return int(round(Decimal(repr(float(x))) * 32768))


def s32(x: int) -> int:
    return signed(x, 32)


def mul(a: int, b: int) -> int:
    """Of two s16.15."""
    return s32((a * b) >> 15)


def part(x: int, u: int) -> int:
    """s16.15 times u0.32."""
    return s32((x * u) >> 32)


def scaled(x: int, y: int) -> int:
    low = (x % 2**32) * y
    return (low >> 32) + ((low % 2**32) >= 0x7FFFFFFF) + (x >> 32) * y


def exponential(n: int) -> int:
    """exp of s16.15 n, 32 fractional bits."""
    z, f = n >> 15, n & 0x7FFF
    if f == 0:
        return POWERS[13 + z]
    f = 32768 - f
    r = POWERS[14 + z]
    r -= scaled(r, PARTS[f >> 11])
    y = (f & 0x7FF) << 17
    return r - scaled(r, 5294 + ((y * (4293434720 - ((2081624032 * y) >> 32))) >> 32))


def expk(n: int) -> int:
    return 0 if n < -340695 else exponential(n) >> 17


def expulr(n: int) -> int:
    return 0 if n < -340695 else exponential(n) % 2**32


def over(a: int, b: int) -> int:
    """a / b of two s16.15 > 0."""
    return (a << 15) // b


class Cell:
    """IF_curr_exp, IF_cond_exp or IF_curr_delta."""

    def __init__(self, model: str, p: dict[str, float], initial: dict[str, float], dt: float, shifts):
        self.model, self.shifts, h = model, shifts, word(dt)
        tau = word(p["tau_m"])
        self.rest, self.reset, self.threshold, self.offset = (word(p[k]) for k in ("v_rest", "v_reset", "v_thresh", "i_offset"))
        self.R, self.keep = over(tau, word(p["cm"])), expk(-over(h, tau))
        self.wait = -(-over(word(p["tau_refrac"]), h) >> 15)
        self.v, self.left, self.g = word(initial.get("v", p["v_rest"])), 0, [0, 0]
        self.h = h
        if model != "IF_curr_delta":
            taus = [word(p["tau_syn_E"]), word(p["tau_syn_I"])]
            self.fade = [expulr(-over(h, tau)) for tau in taus]
            self.given = [(over(tau, h) * (0xFFFFFFFF - fade) >> 15) % 2**32 for tau, fade in zip(taus, self.fade)]
        if model == "IF_cond_exp":
            self.reversal = [word(p["e_rev_E"]), word(p["e_rev_I"])]

    def receive(self, kind: int, stored: int) -> None:
        x = s32(stored << self.shifts[kind])
        self.g[kind] = s32(self.g[kind] + (x if self.model == "IF_curr_delta" else part(x, self.given[kind])))

    def current(self) -> int:
        exc, inh = self.g
        if self.model == "IF_cond_exp":
            return mul(exc >> 10, s32(self.reversal[0] - self.v)) - mul(-(inh >> 10), s32(self.reversal[1] - self.v))
        if self.model == "IF_curr_delta":
            per_step = over(32768, self.h)
            return mul(exc, per_step) - mul(inh, per_step)
        return exc - inh

    def step(self, bias: int) -> bool:
        """Whether it fires."""
        if self.left <= 0:
            alpha = s32(mul(s32(self.current() + self.offset + bias), self.R) + self.rest)
            self.v = s32(alpha - mul(self.keep, s32(alpha - self.v)))
        else:
            self.left -= 1
        fires = self.v >= self.threshold
        if fires:
            self.v, self.left = self.reset, self.wait
        self.g = [0, 0] if self.model == "IF_curr_delta" else [part(g, fade) for g, fade in zip(self.g, self.fade)]
        return fires


class Network:
    """A `Deployment`, to be run.

    After `run`: ``spikes`` [(tick, population, cell)], ``v`` and ``g`` {(tick, population, cell): value}, ``saturations``,
    ``stored`` (weights of each projection).
    """

    def __init__(self, deployment):
        self.d, dt = deployment, deployment.settings.dt
        self.cells = {}
        for number, one in enumerate(deployment.cells):
            if not one.is_source:
                for j in range(one.size):
                    p, initial = ({k: values[j] for k, values in table.items()} for table in (one.parameters, one.initial))
                    self.cells[number, j] = Cell(one.model, p, initial, dt, one.shifts)
        self.due = defaultdict(lambda: defaultdict(int))  # tick -> (population, cell, kind) -> stored weight
        self.again = defaultdict(list)  # tick -> (projection, source, stage): packets of delay extensions
        self.stored = [one.stored.tolist() for one in deployment.synapses]
        self.rules = {k: self._rule(one, dt) for k, one in enumerate(deployment.cells) if one.plastic is not None}
        self.plastic_rows: dict = defaultdict(list)
        for k, one in enumerate(deployment.synapses):
            slots = deployment.cells[one.post].slots
            for at, (i, j, delay) in enumerate(zip(one.source.tolist(), one.target.tolist(), one.delay.tolist())):
                stage = (delay - 1) // slots
                self.plastic_rows[k, i, stage].append((at, j, delay - stage * slots))
        self.row_state = {key: Row() for key in self.plastic_rows}
        self.spikes, self.v, self.g, self.saturations = [], {}, {}, defaultdict(int)

    @staticmethod
    def _rule(cells, dt):
        from neurosim.hardware.spinnaker.learning import RULES as known
        p = cells.plastic.parameters
        kind = known[cells.plastic.timing, cells.plastic.weight]
        tables = []
        for name, shift in kind.taus:
            size = 2 * math.ceil(math.log(2048) * p[name] / dt / (1 << shift) / 2)
            tables.append(Table([math.floor(math.exp(-(k << shift) * dt / p[name]) * 2048) for k in range(size)], shift))
        assert cells.plastic.timing == "pair" and cells.plastic.weight == "additive"
        terms = [Terms(*(word(p[k] * cells.scale) for k in ("w_min", "w_max", "A_plus", "A_minus")), 0, 0, shift) for shift in cells.shifts]
        made = Plasticity(RULES["pair"](tables), LAWS["additive"](terms[0]), cells.size, max(cells.slots, 1), cells.plastic.backprop_delay)
        made.terms = terms
        return made

    def add(self, tick: int, population: int, cell: int, kind: int, stored: int) -> None:
        """Saturating addition to a ring buffer."""
        total = self.due[tick][population, cell, kind] + stored
        self.saturations[population, kind] += total > FULL
        self.due[tick][population, cell, kind] = min(total, FULL)

    def row(self, t: int, k: int, source: int, stage: int) -> None:
        """A packet of a row arrives in tick t."""
        one = self.d.synapses[k]
        row = self.plastic_rows[k, source, stage]
        if not one.plastic:
            for at, j, delay in row:
                self.add(t + delay, one.post, j, one.receptor, self.stored[k][at])
            return
        learner = self.rules[one.post]
        learner.law = LAWS["additive"](learner.terms[one.receptor])
        before = self.row_state[k, source, stage]
        now = learner.rule.pre_spike(t, before)
        slots = self.d.cells[one.post].slots
        for at, j, delay in row:
            synapse = Synapse(j, delay, self.stored[k][at])
            learner.update(t, synapse, delay % slots if learner.backprop else 0, before, now)
            self.stored[k][at] = synapse.weight
            if delay % slots:
                self.add(t + delay, one.post, j, one.receptor, synapse.weight)
        self.row_state[k, source, stage] = now

    def run(self, ticks: int, bias=lambda t, population, cell: 0) -> Network:
        """Ticks 0 .. ticks - 1; ``bias`` gives injected currents, s16.15."""
        for t in range(ticks):
            for (population, j, kind), stored in self.due.pop(t, {}).items():
                self.cells[population, j].receive(kind, stored)
            fired = []
            for (population, j), cell in self.cells.items():
                self.v[t, population, j], self.g[t, population, j] = cell.v, tuple(cell.g)
                if cell.step(bias(t, population, j)):
                    fired.append((population, j))
                    if population in self.rules:
                        self.rules[population].post(t, j)
            for population, one in enumerate(self.d.cells):
                if one.ticks is not None:
                    fired += [(population, i) for i, own in enumerate(one.ticks) for tick in own if tick == t]
            self.spikes += [(t, *one) for one in sorted(fired)]
            for k, source, stage in self.again.pop(t, []):
                self.row(t, k, source, stage)
            for population, i in sorted(fired):
                for (k, source, stage) in self.plastic_rows:
                    if source == i and self.d.synapses[k].pre == population:
                        if stage:
                            self.again[t + stage * self.d.cells[self.d.synapses[k].post].slots].append((k, source, stage))
                        else:
                            self.row(t, k, source, 0)
        return self
