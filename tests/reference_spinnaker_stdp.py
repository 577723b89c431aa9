"""sPyNNaker's deferred STDP in plain Python integers, a rule at a time: what the kernels are held against."""

from __future__ import annotations

import dataclasses

ONE = 2048


def signed(x: int, bits: int) -> int:
    """The low ``bits`` of ``x`` as a signed number."""
    x %= 1 << bits
    return x - (1 << bits) if x >> (bits - 1) else x


def product(a: int, b: int) -> int:
    """Of two s16.15, in 32 bits."""
    return signed((a * b) >> 15, 32)


@dataclasses.dataclass
class Table:
    """A decay, by ticks."""

    values: list[int]
    shift: int = 0

    def __call__(self, ticks: int) -> int:
        place = (ticks % 2**32) >> self.shift
        return self.values[place] if place < len(self.values) else 0


@dataclasses.dataclass
class Terms:
    """Of the weight dependence, s16.15."""

    w_min: int
    w_max: int
    a2_plus: int
    a2_minus: int
    a3_plus: int
    a3_minus: int
    shift: int


@dataclasses.dataclass
class Post:
    """A spike of a target, with its traces."""

    time: int = 0
    fast: int = 0
    slow: int = 0


class History:
    """The last fifteen spikes of a target."""

    def __init__(self):
        self.spikes: list[Post] = []

    def add(self, spike: Post) -> None:
        self.spikes = [*self.spikes, spike][-15:]

    @property
    def last(self) -> Post:
        return self.spikes[-1] if self.spikes else Post()


@dataclasses.dataclass
class Row:
    """What is kept of a source."""

    time: int = 0
    fast: int = 0
    slow: int = 0


class Additive:
    """Changes of so much, cut at the bound they move towards."""

    def __init__(self, terms: Terms):
        self.terms = terms

    def more(self, w: int, x: int, y: int = 0) -> int:
        w = signed(w + product(self.terms.a2_plus, 16 * x) + product(self.terms.a3_plus, 16 * y), 32)
        return min(w, self.terms.w_max)

    def less(self, w: int, x: int, y: int = 0) -> int:
        w = signed(w - product(self.terms.a2_minus, 16 * x) - product(self.terms.a3_minus, 16 * y), 32)
        return max(w, self.terms.w_min)


class Multiplicative(Additive):
    """Changes of so much of what is left to the bound."""

    def more(self, w: int, x: int, y: int = 0) -> int:
        room = product(signed(self.terms.w_max - w, 32), self.terms.a2_plus)
        return signed(w + product(room, 16 * x), 32)

    def less(self, w: int, x: int, y: int = 0) -> int:
        room = product(signed(w - self.terms.w_min, 32), self.terms.a2_minus)
        return signed(w - product(room, 16 * x), 32)


class Pair:
    """Traces add up."""

    def __init__(self, tables: list[Table], alpha: int = 0):
        self.plus, self.minus = tables[:2]

    def post_spike(self, t: int, last: Post) -> Post:
        return Post(t, signed(((last.fast * self.minus(t - last.time)) >> 11) + ONE, 16))

    def pre_spike(self, t: int, row: Row) -> Row:
        return Row(t, signed(((row.fast * self.plus(t - row.time)) >> 11) + ONE, 16))

    def after_post(self, law, w: int, t: int, post: Post, before: Post, row: Row) -> int:
        return law.more(w, (row.fast * self.plus(t - row.time)) >> 11)

    def after_pre(self, law, w: int, t: int, post: Post, seen: int, row: Row) -> int:
        return law.less(w, (post.fast * self.minus(t - seen)) >> 11)


class NearestPair(Pair):
    """Only the last spike of the other side counts, and of the target's only the first after it."""

    def post_spike(self, t: int, last: Post) -> Post:
        return Post(t)

    def pre_spike(self, t: int, row: Row) -> Row:
        return Row(t)

    def after_post(self, law, w: int, t: int, post: Post, before: Post, row: Row) -> int:
        return law.more(w, 0 if before.time > row.time else self.plus(t - row.time))

    def after_pre(self, law, w: int, t: int, post: Post, seen: int, row: Row) -> int:
        return law.less(w, self.minus(t - seen))


class Triplet(Pair):
    """Pfister and Gerstner 2006: slow traces, seen just before the spike they belong to, weigh a second term."""

    def __init__(self, tables: list[Table], alpha: int = 0):
        self.plus, self.minus, self.x, self.y = tables

    def post_spike(self, t: int, last: Post) -> Post:
        own = ONE if last.time else 0
        slow = (signed(last.slow + own, 16) * self.y(t - last.time)) >> 11
        return Post(t, super().post_spike(t, last).fast, signed(slow, 16))

    def pre_spike(self, t: int, row: Row) -> Row:
        slow = (signed(row.slow + ONE, 16) * self.x(t - row.time)) >> 11 if row.time else 0
        return Row(t, super().pre_spike(t, row).fast, signed(slow, 16))

    def after_post(self, law, w: int, t: int, post: Post, before: Post, row: Row) -> int:
        fast = (row.fast * self.plus(t - row.time)) >> 11
        return law.more(w, fast, (fast * post.slow) >> 11)

    def after_pre(self, law, w: int, t: int, post: Post, seen: int, row: Row) -> int:
        fast = (post.fast * self.minus(t - seen)) >> 11
        return law.less(w, fast, (fast * row.slow) >> 11)


class Vogels(Pair):
    """Vogels et al. 2011: every pairing potentiates, every spike of the source depresses, unbounded below."""

    def __init__(self, tables: list[Table], alpha: int = 0):
        super().__init__([tables[0], tables[0]])
        self.alpha = alpha

    def after_pre(self, law, w: int, t: int, post: Post, seen: int, row: Row) -> int:
        return law.more(w, ((post.fast * self.minus(t - seen)) >> 11) - self.alpha)


RULES = {"pair": Pair, "nearest_pair": NearestPair, "triplet": Triplet, "vogels": Vogels}
LAWS = {"additive": Additive, "multiplicative": Multiplicative}


@dataclasses.dataclass
class Synapse:
    """A target, ticks of delay, and 16 bits of weight."""

    target: int
    delay: int
    weight: int


class Plasticity:
    """A population of ``n`` that learns, and its ring buffer of one synapse type: slot -> neuron -> sum."""

    def __init__(self, rule: Pair, law: Additive, n: int, slots: int, backprop: bool = True):
        self.rule, self.law, self.backprop = rule, law, backprop
        self.histories = [History() for _ in range(n)]
        self.ring = [[0] * n for _ in range(slots)]
        self.saturations = 0

    def post(self, t: int, neuron: int) -> None:
        """The neuron fires."""
        history = self.histories[neuron]
        history.add(self.rule.post_spike(t, history.last))

    def pre(self, t: int, row: Row, synapses: list[Synapse]) -> Row:
        """The source of a row fires; returns the row's new state."""
        now = self.rule.pre_spike(t, row)
        for synapse in synapses:
            sent = synapse.delay % len(self.ring)
            self.update(t, synapse, sent if self.backprop else 0, row, now)
            if sent:
                slot = self.ring[(t + sent) % len(self.ring)]
                total = slot[synapse.target] + synapse.weight
                self.saturations += total > 0xFFFF
                slot[synapse.target] = min(total, 0xFFFF)
        return now

    def update(self, t: int, synapse: Synapse, delay: int, row: Row, now: Row) -> None:
        """The synapse sees the target's spikes since the row's last spike, then the row's new one."""
        w = signed(synapse.weight << self.law.terms.shift, 32)
        spikes = self.histories[synapse.target].spikes
        begin, end = max(row.time - delay, 0), max(t - delay, 0)
        old = [spike for spike in spikes if spike.time <= begin]
        last = old[-1] if old else Post()
        window = [spike for spike in spikes if begin < spike.time <= end]
        for spike in window:
            w = self.rule.after_post(self.law, w, spike.time + delay, spike, last, row)
            last = spike
        if old or window:
            w = self.rule.after_pre(self.law, w, t, last, last.time + delay, now)
        synapse.weight = (w >> self.law.terms.shift) % 65536
