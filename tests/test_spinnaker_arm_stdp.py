"""The fixed-point STDP kernels against sPyNNaker's own ARM code: every weight, trace, history entry and ring buffer word."""

import numpy as np
import pytest

from neurosim.hardware.spinnaker.deployment import LoadedCells, Plastic
from neurosim.hardware.spinnaker.learning import RULES, learning
from neurosim.kernels import spinnaker_stdp as stdp
from tests.arm import DTCM, folder, read, segments
from tests.arm_stdp import BINARIES, DELAY_BITS, PlasticCore

pytestmark = pytest.mark.needs("unicorn", "spynnaker")

EVENTS, SYNAPSES, CELLS, ROWS = 1000, 16, 8, 6
SLOTS = 1 << DELAY_BITS


def parameters(rng, strong):
    """Of any rule: gentle, or so strong that bounds bind and traces wrap."""
    size, tau = (1.5, 150.0) if strong else (0.1, 20.0)
    names = {"A_plus": 2 * size, "A_minus": size, "A3_plus": size, "A3_minus": size, "tau_plus": tau, "tau_minus": tau, "tau_x": 2 * tau,
             "tau_y": 2 * tau, "tau": tau, "alpha": 0.2}
    return {name: float(value * rng.uniform(0.6, 1.4)) for name, value in names.items()} | {"w_min": 0.05, "w_max": 3.9 if strong else 1.0}


class Side:
    """The kernels' arrays."""

    def __init__(self, made, rng, kinds):
        self.made, self.kinds = made, kinds
        self.times, self.traces, self.count = made.history(CELLS)
        self.ring = np.zeros((SLOTS, 2, CELLS), np.uint16)
        size = ROWS * SYNAPSES
        self.targets = rng.integers(0, CELLS, size).astype(np.int32)
        self.delays = rng.integers(1, SLOTS + 1, size).astype(np.int32)
        span = 65535 if rng.random() < 0.5 else 9000
        self.weights = rng.choice([0, span, *rng.integers(0, span + 1, 30)], size).astype(np.uint16)
        self.targets[:2], self.delays[:2], self.weights[:2] = 1, 3, 65535  # two that no ring buffer can hold
        self.row_time, self.row_trace = np.zeros(ROWS, np.int32), np.zeros((ROWS, 2), np.int32)
        self.saturations = self.skipped = 0

    def post(self, t, neuron):
        stdp.post_event(self.made.rule, self.made.tables, self.times, self.traces, self.count, neuron, t)

    def pre(self, t, row):
        part = slice(SYNAPSES * row, SYNAPSES * (row + 1))
        self.skipped += int((self.delays[part] == SLOTS).sum())
        self.saturations += stdp.pre_event(
            self.made.rule, self.made.tables, self.made.terms, t, self.kinds[row], row, self.row_time, self.row_trace, part.start,
            part.stop, self.targets, self.delays, self.weights, self.times, self.traces, self.count, self.ring)


def same(side, core, row, neuron):
    """Asserts that all numbers of a row or a neuron, and those of the ring, are equal."""
    width = core.binary.traces
    if row is not None:
        time, traces, weights = core.read_row(row, SYNAPSES)
        assert (side.row_time[row], side.row_trace[row, :width].tolist()) == (time, traces)
        np.testing.assert_array_equal(side.weights[SYNAPSES * row : SYNAPSES * (row + 1)], weights)
    if neuron is not None:
        times, traces, kept = core.read_history(neuron)
        count = side.count[neuron]
        np.testing.assert_array_equal(side.times[neuron, :count], times)
        np.testing.assert_array_equal(side.traces[neuron, :count, :width], traces)
        np.testing.assert_array_equal(times, kept)  # why the kernels need not keep the second
    np.testing.assert_array_equal(side.ring, core.ring())
    assert core.counts() == (side.saturations, side.skipped)


@pytest.mark.parametrize("strong", [False, True], ids=["gentle", "strong"])
@pytest.mark.parametrize("backprop", [True, False], ids=["backprop", "no backprop"])
@pytest.mark.parametrize("timing, weight", sorted(RULES))
def test_events_in_the_machines_own_code(timing, weight, backprop, strong, rng):
    shifts = (1, 2) if strong else (0, 3)
    cells = LoadedCells("post", CELLS, "IF_curr_exp", None, ("excitatory", "inhibitory"), {}, {}, CELLS, 1.0, shifts, SLOTS)
    made = learning(Plastic(timing, weight, parameters(rng, strong), backprop), cells, 1.0)
    core = PlasticCore(RULES[timing, weight].suffix, made.region(), CELLS, shifts)
    kinds = rng.integers(0, 2, ROWS)
    side = Side(made, rng, kinds)
    for row in range(ROWS):
        part = slice(SYNAPSES * row, SYNAPSES * (row + 1))
        core.write_row(row, int(kinds[row]), side.targets[part], side.delays[part], side.weights[part])
    side.post(0, 0)
    core.post(0, 0)
    same(side, core, None, 0)
    side.pre(1, 0)
    core.pre(1, 0)
    same(side, core, 0, None)
    assert side.saturations == 1
    t, pres, fired = 1, 1, set()
    for _ in range(1, EVENTS):
        gap = int(rng.choice([0, 1, 2, 5, 20, 400 if rng.random() < 0.1 else 8]))
        for slot in range(t + 1, t + 1 + min(gap, SLOTS)):
            side.ring[slot % SLOTS] = 0
            core.clear(slot % SLOTS)
        t += gap
        row = neuron = None
        if rng.random() < (0.25 if (t // 700) % 2 else 0.6):
            row = int(rng.integers(ROWS))
            side.pre(t, row)
            core.pre(t, row)
            pres += 1
        else:
            neuron = int(rng.integers(CELLS))
            if (t, neuron) in fired:
                continue
            fired.add((t, neuron))
            side.post(t, neuron)
            core.post(t, neuron)
        same(side, core, row, neuron)
    assert pres > EVENTS // 4 and side.skipped > 0 and (side.count == stdp.EVENTS).all()


@pytest.mark.parametrize("timing, weight", sorted(RULES))
def test_instructions_of_a_row_and_of_a_spike(timing, weight, rng):
    """What a rule is said to cost, counted for rows of one to five synapses with one to six spikes to catch up on."""
    kind = RULES[timing, weight]
    cells = LoadedCells("post", CELLS, "IF_curr_exp", None, ("excitatory", "inhibitory"), {}, {}, CELLS, 1.0, (0, 0), SLOTS)
    made = learning(Plastic(timing, weight, parameters(rng, False)), cells, 1.0)
    for size in (1, 2, 5):
        for spikes in (1, 2, 6):
            core = PlasticCore(kind.suffix, made.region(), CELLS, (0, 0))
            core.write_row(0, 0, np.full(size, 1), np.full(size, 2), np.full(size, 5000))
            core.post(1, 1)
            core.pre(10, 0)
            for k in range(spikes):
                core.post(12 + 3 * k, 1)
            cost = kind.instructions
            assert core.count(core.pre, 60, 0) == cost.row + size * (cost.synapse + spikes * cost.post)
    for t in range(100, 120):
        core.post(t, 1)
    assert core.count(core.post, 120, 1) == cost.event


def body(code, start):
    """A function's words up to the constants behind it, the first of which is an address in data memory."""
    words = np.frombuffer(code, "<u4", (len(code) - start) // 4, start)
    return words[: int(np.argmax((words >> 16) == DTCM >> 16))].tobytes()


@pytest.mark.parametrize("suffix", BINARIES)
def test_binaries_of_other_cells_hold_the_same_functions(suffix):
    """Word for word, so that what holds for IF_curr_exp holds for them: all but those that also rewire."""
    ours = dict(segments(read(f"IF_curr_exp_stdp_mad_{suffix}")))[0]
    functions = [body(ours, start) for start in (BINARIES[suffix].post, BINARIES[suffix].pre)]
    assert all(len(function) > 4 * 60 for function in functions)
    others = sorted(folder().glob(f"*_stdp_mad_{suffix}.aplx"))
    assert len(others) >= 2 and any(path.name.startswith("synapses_") for path in others)
    for path in others:
        code = dict(segments(path.read_bytes()))[0]
        assert all(code.count(function) == 1 for function in functions), path.name


def test_every_rule_that_claims_to_be_verified_has_a_binary_here():
    assert {kind.suffix: kind.history for kind in RULES.values()} == {suffix: 4 * one.history for suffix, one in BINARIES.items()}
    assert {kind.suffix for kind in RULES.values() if kind.verified} == set(BINARIES) and BINARIES
