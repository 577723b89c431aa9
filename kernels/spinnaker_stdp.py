"""sPyNNaker's deferred STDP in fixed point: what spikes of targets leave behind, and what a row does when its source fires.

Weights change only when their source fires.  Until then each cell that learns keeps its last spikes, each with a *trace*: at most
15, behind an entry at tick 0 that stands for "none yet"; a full history drops its oldest spike.  A *row* (the synapses of one
source and delay stage on a population) keeps the tick and the trace of its source's last spike.  When a row is read its synapses
see one by one the target's spikes since its last reading, then the spike itself, and the weight that results is sent.

Traces have 11 fractional bits in 16 bits and wrap around; their decay is read from a table that ends where it would be below one
bit.  Weights are worked on as s16.15 and stored in 16 bits.  Source: plasticity/stdp of sPyNNaker's C, and its binaries.

A rule is one array: codes of its timing and weight dependence, whether target spikes travel back through the synapse's delay, the
constant of Vogels' rule, then start, length and shift (ticks per entry, as a power of two) of up to four decay tables.
"""

import numpy as np

from . import inlined, jit
from .fixed import mulk, wrap

PAIR, NEAREST, TRIPLET, VOGELS = range(4)
ADDITIVE, MULTIPLICATIVE = range(2)
# Places in the array of a rule; the tables, three numbers each, come last.
TIMING, WEIGHT, BACKPROP, ALPHA, TABLES = range(5)
PLUS, MINUS, X, Y = range(4)
RULE_SIZE = TABLES + 3 * 4
# Places in the terms of a synapse type, s16.15 but for the last: the ring-buffer shift.
W_MIN, W_MAX, A2_PLUS, A2_MINUS, A3_PLUS, A3_MINUS, SHIFT = range(7)
TERMS = 7

EVENTS = 16
BITS = 11
ONE = 1 << BITS
_TO_S1615 = 4
_FULL = 0xFFFF


@inlined
def _wrap16(x):
    return ((x + 0x8000) & 0xFFFF) - 0x8000


@inlined
def _mul(a, b):
    """Product of two 16-bit numbers with 11 fractional bits, rounded down."""
    return (a * b) >> BITS


@inlined
def _decayed(rule, tables, which, ticks):
    """The decay over ``ticks``; 0 beyond the table, and for a negative time, which the machine takes for a huge one."""
    at = TABLES + 3 * which
    entry = ticks >> rule[at + 2]
    return np.int64(tables[rule[at] + entry]) if 0 <= entry < rule[at + 1] else np.int64(0)


@inlined
def _more(rule, terms, kind, w, x, y):
    """Weight w potentiated by x, and by y in the second term."""
    if rule[WEIGHT] == MULTIPLICATIVE:
        return wrap(w + mulk(mulk(wrap(terms[kind, W_MAX] - w), terms[kind, A2_PLUS]), x << _TO_S1615))
    change = mulk(terms[kind, A2_PLUS], x << _TO_S1615) + mulk(terms[kind, A3_PLUS], y << _TO_S1615)
    return min(wrap(w + change), terms[kind, W_MAX])


@inlined
def _less(rule, terms, kind, w, x, y):
    """Weight w depressed by x, and by y in the second term."""
    if rule[WEIGHT] == MULTIPLICATIVE:
        return wrap(w - mulk(mulk(wrap(w - terms[kind, W_MIN]), terms[kind, A2_MINUS]), x << _TO_S1615))
    change = mulk(terms[kind, A2_MINUS], x << _TO_S1615) + mulk(terms[kind, A3_MINUS], y << _TO_S1615)
    return max(wrap(w - change), terms[kind, W_MIN])


@jit
def post_event(rule, tables, times, traces, count, neuron, t):
    """A cell's spike joins its history.

    Parameters
    ----------
    rule : ndarray, int64 (RULE_SIZE,)
    tables : ndarray, int32
    times : ndarray, int32 (n, EVENTS)
        Ticks; entry 0 is always tick 0.
    traces : ndarray, int32 (n, EVENTS, 2)
        The fast trace just after the spike; Pfister's slow one just before it.
    count : ndarray, int32 (n,)
        Entries, at least 1.
    neuron : int
    t : int
        Tick of the spike.
    """
    timing = rule[TIMING]
    last = np.int64(count[neuron]) - 1
    before = np.int64(times[neuron, last])
    fast, slow = np.int64(0), np.int64(0)
    if timing != NEAREST:
        fast = _wrap16(_mul(np.int64(traces[neuron, last, 0]), _decayed(rule, tables, MINUS, t - before)) + ONE)
    if timing == TRIPLET:
        # What a spike at tick 0 adds is forgotten: 0 is the machine's mark for "added already".
        slow = np.int64(traces[neuron, last, 1])
        if before != 0:
            slow = _wrap16(slow + ONE)
        slow = _wrap16(_mul(slow, _decayed(rule, tables, Y, t - before)))
    if last + 1 < EVENTS:
        last += 1
        count[neuron] = last + 1
    else:
        for e in range(2, EVENTS):
            times[neuron, e - 1] = times[neuron, e]
            traces[neuron, e - 1, 0] = traces[neuron, e, 0]
            traces[neuron, e - 1, 1] = traces[neuron, e, 1]
    times[neuron, last] = t
    traces[neuron, last, 0] = fast
    traces[neuron, last, 1] = slow


@inlined
def _after_post(rule, tables, terms, kind, w, since_pre, since_post, r1, o2):
    """Weight after a spike of the target, ``since_pre`` (at least 1) ticks after the source's last one, whose trace was r1."""
    timing = rule[TIMING]
    decay = _decayed(rule, tables, PLUS, since_pre)
    if timing == NEAREST:
        # since_post leaves the synapse's delay out on one side, so that of targets far away more than the first may count.
        return _more(rule, terms, kind, w, decay if since_post >= since_pre else np.int64(0), np.int64(0))
    trace = _mul(r1, decay)
    return _more(rule, terms, kind, w, trace, _mul(trace, o2) if timing == TRIPLET else np.int64(0))


@inlined
def _after_pre(rule, tables, terms, kind, w, since_post, o1, r2):
    """Weight after a spike of the source, ``since_post`` ticks after the target's last one, whose trace was o1."""
    timing = rule[TIMING]
    decay = _decayed(rule, tables, MINUS, since_post)
    if timing == NEAREST:
        return _less(rule, terms, kind, w, decay, np.int64(0))
    trace = _mul(o1, decay)
    if timing == VOGELS:
        # Depression by a negative potentiation: no lower bound holds, and a weight below 0 wraps around when it is stored.
        return _more(rule, terms, kind, w, trace - rule[ALPHA], np.int64(0))
    return _less(rule, terms, kind, w, trace, _mul(trace, r2) if timing == TRIPLET else np.int64(0))


@jit
def pre_event(rule, tables, terms, t, kind, row, row_time, row_trace, lo, hi, targets, delays, weights, times, traces, count, ring):
    """A row is read: its weights are brought up to date and added to the ring buffers of their targets.

    Parameters
    ----------
    rule : ndarray, int64 (RULE_SIZE,)
    tables : ndarray, int32
    terms : ndarray, int64 (types, TERMS)
    t : int
        Tick in which the row's packet arrives: that of the spike, and a ring's length more for each delay stage.
    kind : int
        Synapse type of the row.
    row : int
    row_time : ndarray, int32 (rows,)
        When each was last read; 0: never.
    row_trace : ndarray, int32 (rows, 2)
        The fast trace just after that; Pfister's slow one just before it.
    lo, hi : int
        The row's synapses in the next three.
    targets, delays : ndarray, int32
        Neurons, and ticks (1 to the ring's length).
    weights : ndarray, uint16
    times, traces, count : ndarray
        Of the targets, as :func:`post_event` leaves them.
    ring : ndarray, uint16 (slots, types, n)
        Slots a power of two.

    Returns
    -------
    int64
        How often a sum was cut to 0xFFFF.

    Notes
    -----
    A delay of a whole ring is 0 on the machine: the synapse learns with that, and what it should send is dropped as too late.
    """
    slots = ring.shape[0]
    before = np.int64(row_time[row])
    r1 = np.int64(row_trace[row, 0])
    new_r2 = np.int64(0)
    if rule[TIMING] != NEAREST:
        row_trace[row, 0] = _wrap16(_mul(r1, _decayed(rule, tables, PLUS, t - before)) + ONE)
    if rule[TIMING] == TRIPLET and before != 0:
        slow = _wrap16(np.int64(row_trace[row, 1]) + ONE)
        new_r2 = _wrap16(_mul(slow, _decayed(rule, tables, X, t - before)))
    row_time[row] = t
    row_trace[row, 1] = new_r2
    shift = terms[kind, SHIFT]
    saturations = np.int64(0)
    for s in range(lo, hi):
        j = np.int64(targets[s])
        sent = np.int64(delays[s]) & (slots - 1)
        delay = sent if rule[BACKPROP] != 0 else np.int64(0)
        w = wrap(np.int64(weights[s]) << shift)
        begin, end = max(before - delay, 0), max(t - delay, 0)
        stored = np.int64(count[j])
        e = stored - 1
        while e > 0 and times[j, e] > begin:
            e -= 1
        last = np.int64(times[j, e])
        while e + 1 < stored and times[j, e + 1] <= end:
            e += 1
            post = np.int64(times[j, e]) + delay
            w = _after_post(rule, tables, terms, kind, w, post - before, post - last, r1, np.int64(traces[j, e, 1]))
            last = np.int64(times[j, e])
        if e > 0:
            w = _after_pre(rule, tables, terms, kind, w, t - (last + delay), np.int64(traces[j, e, 0]), new_r2)
        stored_weight = (w >> shift) & _FULL
        weights[s] = stored_weight
        if sent > 0:
            total = np.int64(ring[(t + sent) & (slots - 1), kind, j]) + stored_weight
            if total > _FULL:
                total = _FULL
                saturations += 1
            ring[(t + sent) & (slots - 1), kind, j] = total
    return saturations
