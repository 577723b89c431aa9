"""The fixed-point STDP kernels against plain integers: every rule, on random trains that overflow histories and meet bounds."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neurosim.hardware.spinnaker import memory, ranges, rules
from neurosim.hardware.spinnaker.deployment import LoadedCells, Plastic
from neurosim.hardware.spinnaker.learning import RULES, exponential_table, learning
from neurosim.kernels import spinnaker_stdp as stdp
from tests import reference_spinnaker_stdp as reference

COMBINATIONS = sorted(RULES)
PARAMETERS = dict(w_min=0.0, w_max=1.0, A_plus=0.05, A_minus=0.06, A3_plus=0.04, A3_minus=0.03, tau_plus=20.0, tau_minus=25.0,
                  tau_x=40.0, tau_y=50.0, tau=20.0, alpha=0.12)


def cells(shifts=(2, 3), scale=1.0):
    receptors = ("excitatory", "inhibitory", "third")[: len(shifts)]
    return LoadedCells("post", 4, "IF_curr_exp", None, receptors, {}, {}, 256, scale, shifts, 32)


def build(timing, weight, dt=1.0, backprop=True, shifts=(2, 3), scale=1.0, **changes):
    return learning(Plastic(timing, weight, PARAMETERS | changes, backprop), cells(shifts, scale), dt)


class Both:
    """A population of ``n`` and rows of synapses onto it, in the kernels and in the reference."""

    def __init__(self, timing, weight, n, rows, kind=0, slots=32, **options):
        self.made = made = build(timing, weight, **options)
        self.kind, self.n = kind, n
        self.times, self.traces, self.count = made.history(n)
        self.ring = np.zeros((slots, 2, n), np.uint16)
        self.starts = np.cumsum([0, *map(len, rows)])
        flat = [synapse for row in rows for synapse in row]
        self.targets = np.array([a for a, _, _ in flat], np.int32)
        self.delays = np.array([b for _, b, _ in flat], np.int32)
        self.weights = np.array([c for _, _, c in flat], np.uint16)
        self.row_time, self.row_trace = np.zeros(len(rows), np.int32), np.zeros((len(rows), 2), np.int32)
        self.saturations = 0
        tables = []
        for place in range(len(RULES[timing, weight].taus)):
            start, size, shift = made.rule[stdp.TABLES + 3 * place : stdp.TABLES + 3 * place + 3]
            tables.append(reference.Table(made.tables[start : start + size].tolist(), int(shift)))
        law = reference.LAWS[weight](reference.Terms(*map(int, made.terms[kind])))
        rule = reference.RULES[timing](tables, int(made.rule[stdp.ALPHA]))
        self.plain = reference.Plasticity(rule, law, n, slots, bool(made.rule[stdp.BACKPROP]))
        self.synapses = [[reference.Synapse(*one) for one in row] for row in rows]
        self.states = [reference.Row() for _ in rows]

    def post(self, t, neuron):
        stdp.post_event(self.made.rule, self.made.tables, self.times, self.traces, self.count, neuron, t)
        self.plain.post(t, neuron)

    def pre(self, t, row):
        self.saturations += stdp.pre_event(
            self.made.rule, self.made.tables, self.made.terms, t, self.kind, row, self.row_time, self.row_trace, self.starts[row],
            self.starts[row + 1], self.targets, self.delays, self.weights, self.times, self.traces, self.count, self.ring)
        self.states[row] = self.plain.pre(t, self.states[row], self.synapses[row])

    def equal(self):
        """Asserts that every number that either holds is the other's."""
        assert self.weights.tolist() == [one.weight for row in self.synapses for one in row]
        assert self.ring[:, self.kind].tolist() == self.plain.ring
        assert not self.ring[:, 1 - self.kind].any()
        assert self.saturations == self.plain.saturations
        assert self.row_time.tolist() == [row.time for row in self.states]
        assert self.row_trace.tolist() == [[row.fast, row.slow] for row in self.states]
        for neuron, history in enumerate(self.plain.histories):
            kept = range(1, self.count[neuron])
            assert [[self.times[neuron, e], *self.traces[neuron, e]] for e in kept] == [[p.time, p.fast, p.slow] for p in history.spikes]
            assert self.times[neuron, 0] == 0 and not self.traces[neuron, 0].any()


def run(both, events, zero=True):
    """Events (gap, row or -1, neuron): the gap is that to the event before; ring slots are read as time goes by."""
    t = 0
    fired = set()
    for gap, row, neuron in events:
        for _ in range(min(gap, 64) if zero else 0):
            t += 1
            both.ring[t % 32] = 0
            both.plain.ring[t % 32] = [0] * both.n
        t += gap - min(gap, 64) if zero else gap
        if row < 0:
            if (t, neuron) not in fired:  # a cell fires once in a tick
                both.post(t, neuron)
            fired.add((t, neuron))
        else:
            both.pre(t, row)
        both.equal()


ROWS = st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 32), st.integers(0, 65535)), min_size=1, max_size=4),
                min_size=1, max_size=3)
GAPS = st.one_of(st.integers(0, 3), st.integers(0, 40), st.integers(0, 2000))
EVENTS = st.lists(st.tuples(GAPS, st.integers(-3, 2), st.integers(0, 3)), max_size=80)


@pytest.mark.parametrize("timing, weight", COMBINATIONS)
@given(rows=ROWS, events=EVENTS, kind=st.integers(0, 1), backprop=st.booleans(), zero=st.booleans())
@example(rows=[[(0, 1, 100)]], events=[(1, -1, 0)] * 40 + [(1, 0, 0), (500, -1, 0), (3, 0, 0)], kind=0, backprop=True, zero=True)
@example(rows=[[(0, 32, 65535), (0, 1, 65535)]], events=[(0, 0, 0), (0, -1, 0), (0, 0, 0)], kind=1, backprop=True, zero=False)
def test_kernels_equal_plain_integers(timing, weight, rows, events, kind, backprop, zero):
    both = Both(timing, weight, 4, rows, kind, backprop=backprop)
    run(both, [(gap, max(row, -1) if row < len(rows) else 0, neuron) for gap, row, neuron in events], zero)


@pytest.mark.parametrize("timing, weight", COMBINATIONS)
def test_amplitudes_that_wrap_and_bounds_that_bind(timing, weight, rng):
    """Long dense trains, time constants long enough for 16-bit traces to wrap, amplitudes up to the whole range."""
    for trial in range(6):
        size = float(rng.choice([0.01, 1.0, 50.0]))
        changes = dict(A_plus=size, A_minus=size * 1.1, A3_plus=size, A3_minus=size, w_min=0.1, tau_plus=300.0, tau_minus=400.0, tau=350.0)
        rows = [[(int(rng.integers(4)), int(rng.integers(1, 33)), int(rng.integers(65536))) for _ in range(5)] for _ in range(3)]
        both = Both(timing, weight, 4, rows, trial % 2, scale=[1.0, 1024.0][trial // 3], shifts=(9, 13), **changes)
        seen = []
        for t in range(1, 300):
            for neuron in np.flatnonzero(rng.random(4) < 0.3):
                both.post(t, int(neuron))
            for row in np.flatnonzero(rng.random(3) < 0.3):
                both.pre(t, int(row))
            seen.append(both.weights.copy())
            both.equal()
        assert (both.count == 16).all()
        assert len(np.unique(seen)) > 3
    if timing != "nearest_pair":
        assert (both.traces < 0).any(), "no trace wrapped, though the time constants are long"


@given(dt=st.sampled_from([0.1, 0.5, 1.0]), tau=st.floats(0.2, 200.0), shift=st.integers(0, 3))
def test_table_is_the_exponential_rounded_down(dt, tau, shift):
    table = exponential_table(dt, tau, shift)
    assert len(table) % 2 == 0 and table[0] == 2048
    exact = [2048 * math.exp(-((k << shift) * dt) / tau) for k in range(len(table))]
    assert all(0 <= value - entry < 1 + 1e-9 for value, entry in zip(exact, table))
    assert 2048 * math.exp(-((len(table) << shift) * dt) / tau) < 1 + 1e-9


def test_history_keeps_fifteen_spikes():
    both = Both("pair", "additive", 1, [[(0, 1, 0)]])
    for t in range(1, 41):
        both.post(t, 0)
    assert both.times[0].tolist() == [0, *range(26, 41)]


def test_pair_by_hand():
    """Source at 10, target at 15, source at 40; delay 1 in the dendrite: potentiated by A+ e^-6/20, depressed by A- e^-24/25."""
    both = Both("pair", "additive", 1, [[(0, 1, 4096)]], shifts=(0, 0), A_plus=0.25, A_minus=0.125)
    both.pre(10, 0)
    both.post(15, 0)
    both.pre(40, 0)
    both.equal()
    plus, minus = math.floor(2048 * math.exp(-6 / 20)), math.floor(2048 * math.exp(-24 / 25))
    assert both.weights[0] == 4096 + plus * 16 // 4 - minus * 16 // 8
    assert both.ring[41 % 32, 0, 0] == both.weights[0]


def test_vogels_below_zero_wraps_to_the_largest_weight():
    """There is no lower bound in the machine's code: a depressed weight of 0 becomes 0xFFFF."""
    both = Both("vogels", "additive", 1, [[(0, 1, 0)]], shifts=(5, 5))
    both.post(3, 0)
    both.pre(900, 0)
    both.equal()
    assert both.weights[0] > 0xFF00


def test_nearest_pair_takes_silence_for_a_spike_at_tick_0():
    both = Both("nearest_pair", "additive", 1, [[(0, 1, 4096)]], shifts=(0, 0), A_minus=0.0)
    both.post(4, 0)
    both.pre(20, 0)
    both.equal()
    assert both.weights[0] == 4096 + ((math.floor(2048 * math.exp(-5 / 20)) * 16 * round(0.05 * 32768)) >> 15)


@pytest.mark.parametrize("delay, sends", [(1, True), (31, True), (32, False)])
def test_a_delay_of_a_whole_ring_is_not_delivered(delay, sends):
    both = Both("pair", "additive", 1, [[(0, delay, 5)]])
    both.pre(7, 0)
    both.equal()
    assert (both.ring > 0).any() == sends


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="post: no binary.*'vogels'.*'multiplicative'"):
        build("vogels", "multiplicative")
    with pytest.raises(ValueError, match="triplet needs tau_y"):
        learning(Plastic("triplet", "additive", {k: v for k, v in PARAMETERS.items() if k != "tau_y"}), cells(), 1.0)
    with pytest.raises(ValueError, match="post: tau_plus is -1.0 ms; it must be above 0"):
        build("pair", "additive", tau_plus=-1.0)
    with pytest.raises(ValueError, match="A_plus is 71680 on the machine, outside of s16.15"):
        build("pair", "additive", A_plus=70.0, scale=1024.0)
    with pytest.raises(ValueError, match="20000.0 ms at a step of 0.1 ms needs a decay table of .* at most 65535"):
        build("pair", "additive", tau_plus=20000.0, dt=0.1)


@pytest.mark.parametrize("timing, weight", COMBINATIONS)
@pytest.mark.parametrize("scale, types, dt", [(1.0, 2, 1.0), (1024.0, 3, 0.1), (1024.0, 2, 0.5)])
def test_what_is_checked_and_placed_is_what_is_loaded(timing, weight, scale, types, dt):
    """`check` and `place` reckon amplitudes and sizes of tables by themselves: they are those of the rule that is loaded."""
    kind = RULES[timing, weight]
    names = ["w_min", "w_max", *kind.amplitudes]
    taus = [name for name, _ in kind.taus]
    plastic = Plastic(timing, weight, {name: PARAMETERS[name] for name in [*names, *taus, "alpha"]})
    made, amplitudes = learning(plastic, cells((0,) * types, scale), dt), rules.amplitudes(plastic, scale)
    assert made.terms[:, :len(names)].tolist() == [[round(amplitudes[name] * 32768) for name in names]] * types
    assert max(len(exponential_table(dt, PARAMETERS[name], shift)) for name, shift in kind.taus) == ranges.table_entries(plastic, dt)
    assert len(made.region()) == memory._rule(plastic, types, dt)


@pytest.mark.needs("spynnaker")
def test_regions_equal_those_that_spynnaker_writes(tmp_path, rng):
    """Same bytes, for every rule, at several steps, scales and numbers of synapse types."""
    asked = []
    for timing, weight in COMBINATIONS:
        for dt, scale in [(1.0, 1.0), (0.1, 1024.0), (0.5, 1024.0), (1.0, 1024.0)]:
            drawn = {name: round(float(rng.uniform(0.2, 2.0)) * value, 5) for name, value in PARAMETERS.items()}
            drawn["w_min"] = float(rng.choice([0.0, 0.01]))
            asked.append([timing, weight, drawn, bool(rng.integers(2)), dt, scale, int(rng.integers(1, 4))])
    program, answer = Path(__file__).with_name("spynnaker_regions.py"), tmp_path / "regions.json"
    done = subprocess.run([sys.executable, str(program), str(answer)], input=json.dumps(asked), cwd=tmp_path,
                          env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = json.loads(answer.read_text())
    assert len(answers) == len(asked) >= 24
    for (timing, weight, drawn, backprop, dt, scale, types), (suffix, region) in zip(asked, answers):
        made = learning(Plastic(timing, weight, drawn, backprop), cells((0,) * types, scale), dt)
        assert suffix == f"_stdp_mad_{RULES[timing, weight].suffix}"
        assert made.region().hex() == region, (timing, weight, drawn)
