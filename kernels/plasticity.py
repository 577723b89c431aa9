"""Synapses that change: rules, the memory of target spikes, short-term plasticity.

A row (the synapses of one source and one delay) is brought up to date when a spike of its source arrives, from the
spikes that its targets have sent since; nothing is done for a synapse between.  What is needed for that is

* for each row: the step of its last spike, the source's traces at it, and up to which step target spikes were seen;
* for each target: the steps of its last spikes and the values of its traces at them, in a ring (a *site*); for the
  pair rules the last four once more, in one line of cache.

All steps of a row are compared in the target's own time: with D steps of delay in the dendrite, a spike that
arrives at step t met at the synapse the target spikes sent until t - 2 D.  So ``now = t - lag``, lag = 2 D.

Every change is applied by itself, in order of time, whenever the row is looked at: how often that is leaves no trace
in the weights, not even in their last bits.
"""

import math

import numpy as np

from . import inlined, jit
from .random import uniform_at

# families of rules
NONE, PAIR, TRIPLET, VOGELS, OJA, CLOPATH, DOPAMINE = range(7)
CALCIUM = 7  # no rule, but a kind of site: what astrocytes remember of their own calcium
# how a change depends on the weight
ADDITIVE, MULTIPLICATIVE, VAN_ROSSUM, GUETIG = range(4)
# which spikes pair
ALL, NEAREST, RESTRICTED = range(3)
# who comes first when both spikes meet at the synapse
NEST, SPINNAKER, BRIAN2 = range(3)
# how spikes are transmitted: the first two with a state for each row or each synapse, the others for each synapse
TWO_STATES, THREE_STATES, CHANCE, QUANTA = 1, 2, 3, 4
STATES = (0, 2, 3, 0, 2)  # numbers that a synapse keeps: u, x; u, x, y; none; u, sites that are ready

# columns of ``rules``: one row for each part of a block of synapses that change
(R_FAMILY, R_DEPENDENCE, R_PAIRING, R_ORDER, R_PAR, R_ROWS, R_SITE, R_LAGS, R_FROZEN, R_SHORT, R_SHORT_ROWS, R_PLUS, R_PLUS_SIZE,
 R_MINUS, R_MINUS_SIZE, R_C, R_POOL, R_CUT, R_SIGN, R_POOL_ROOM, R_COMING, R_GAIN, R_CALCIUM, R_CALCIUM_DELAY, R_ASTROCYTES,
 R_RELEASE, R_STATES, R_NUMBERS, R_KEY, R_VALUES) = range(30)
# behind them, for synapses that transmit each in its own way, where a parameter lies and how far apart those of two synapses
# are (0: one for all): part that is used (U or p), dt / tau_rec, dt / tau_facil (0: none), number of release sites
PART, REC, FACIL, SITES, VALUES = range(5)
R_SIZE = R_VALUES + 2 * VALUES
# columns of ``sites``: one row for each kind of memory of a group's spikes
(S_KIND, S_PAIRING, S_HISTORY, S_RING, S_N, S_HEADS, S_PAR, S_MINUS, S_MINUS_SIZE, S_SWEPT, S_LAG, S_VOLTAGE, S_DEPTH,
 S_SIZE) = range(14)
# parameters of a rule
(A_PLUS, A_MINUS, W_MIN, W_MAX, MU_PLUS, MU_MINUS, RATE_PLUS, RATE_MINUS, RATE_X, EXTRA, EXTRA2, TAU_C, TAU_D, BASELINE,
 PAR_SIZE) = range(15)
# parameters of short-term plasticity stand behind those of the rule
U, RATE_REC, RATE_FACIL, TAU_REC, TAU_PSC, RATE_PSC, SHORT_SIZE = range(7)
# and behind these, those of a gain by calcium
GAIN, CA_THRESH = range(2)
# parameters of a site
(V_MINUS, V_PLUS, V_LOW, V_HIGH, V_SPIKE, V_HELD, SITE_PAR_SIZE) = range(7)
# state of a row
LAST, SEEN, BEFORE, AFTER, SLOW, ROW_SIZE = range(6)
SHORT_ROW_SIZE = 4  # last spike; then the row's u, x, y, or how many spikes of this step came before
NEVER = -(2.0**60)
# why a row is looked at: to settle what it saw, because a spike of its source arrives, to make this moment an event,
# or because a spike arrives at a moment that was just made one
SETTLE, ARRIVAL, CUT, LATE_ARRIVAL = range(4)
_DEAD = 40.0  # a trace is nothing after so many time constants
# a pool of dopamine: the number of its events, then (step, level) of each
POOL_COUNT, POOL_EVENTS = 0, 1


@jit
def decay(table, k, rate):
    """exp(-k rate); ``table`` has its first values, with a zero at the end if they are all."""
    if k < table.size:
        return table[k]
    z = k * rate
    return math.exp(-z) if z < _DEAD else 0.0


@jit
def _bounded(z, low, top):
    return min(max(z, low), top)


@jit
def units(dependence, par):
    """The parts of potentiation and of depression that are the same for all weights."""
    plus = 1.0 if dependence == MULTIPLICATIVE else par[W_MAX]
    return plus, par[W_MAX] if dependence == ADDITIVE or dependence == GUETIG else 1.0


@jit
def stronger_by(dependence, w, amount, par):
    """What potentiation by ``amount``, times its unit, adds, bounds aside."""
    if dependence == ADDITIVE or dependence == VAN_ROSSUM:
        return amount
    top = par[W_MAX]
    if dependence == MULTIPLICATIVE:
        return (top - w) * amount
    return ((top - w) / (top - par[W_MIN])) ** par[MU_PLUS] * amount


@jit
def weaker_by(dependence, w, amount, par):
    """What depression by ``amount``, times its unit, takes away, bounds aside."""
    if dependence == ADDITIVE:
        return amount
    low = par[W_MIN]
    if dependence == GUETIG:
        return ((w - low) / (par[W_MAX] - low)) ** par[MU_MINUS] * amount
    return (w - low) * amount


@jit
def stronger(dependence, w, amount, par):
    """The weight after potentiation."""
    return _bounded(w + stronger_by(dependence, w, amount, par), par[W_MIN], par[W_MAX])


@jit
def weaker(dependence, w, amount, par):
    """The weight after depression."""
    return _bounded(w - weaker_by(dependence, w, amount, par), par[W_MIN], par[W_MAX])


@jit
def pair_synapse(dependence, pairing, order, par, z, at, e, times, ys, mask, seen, until, now, last, first_gain, gain, loss, alive,
                 plus, minus, arrives):
    """The weight of one synapse, ``z``, after the target spikes in (seen, until] and, if ``arrives``, the spike at ``now``.

    ``at`` is where the target's ring begins, ``e`` the number of its latest spike.
    """
    p = times[at + (e & mask)]
    while p > until:
        e -= 1
        p = times[at + (e & mask)]
    if alive and p > seen:
        first = e
        while times[at + ((first - 1) & mask)] > seen:
            first -= 1
        for g in range(first, e + 1):
            q = times[at + (g & mask)]
            if pairing == RESTRICTED:
                former = times[at + ((g - 1) & mask)]
                if former > last or (former == last and order == BRIAN2):
                    continue
            k = np.int64(q - last)
            z = stronger(dependence, z, (first_gain if k == 0 else gain) * decay(plus, k, par[RATE_PLUS]), par)
    if arrives:
        latest = p
        if order != SPINNAKER and p == now:
            e -= 1
            p = times[at + (e & mask)]
        y = ys[at + (e & mask)] * decay(minus, np.int64(now - p), par[RATE_MINUS])
        if pairing == RESTRICTED and (latest < last or (latest == last and order != BRIAN2)):
            y = 0.0
        z = weaker(dependence, z, loss * y, par)
    return z


@jit
def _one(mask):
    """The place of the lowest bit that is set."""
    z = (mask & (~mask + np.uint64(1))) - np.uint64(1)
    z = z - ((z >> np.uint64(1)) & np.uint64(0x5555555555555555))
    z = (z & np.uint64(0x3333333333333333)) + ((z >> np.uint64(2)) & np.uint64(0x3333333333333333))
    z = (z + (z >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((z * np.uint64(0x0101010101010101)) >> np.uint64(56))


@inlined
def _tile_recent(dependence, tg, w, steps, traces, seen, span, latest, now, last, gain, loss, low, top, plus, minus, none_plus,
                 none_minus, arrives, late):
    """Up to 64 synapses without a branch; returns, by bits, which are left to :func:`pair_synapse`.

    ``span`` is the number of steps after ``seen`` that count; ``steps`` and ``traces`` are the lines of latest spikes;
    ``late`` says that a target spike at ``last`` does not pair with the spike of the source there.
    """
    left = np.uint64(0)
    for j in range(tg.size):
        r = np.uint64(8) * np.uint64(tg[j])
        p0, p1, p2 = steps[r], steps[r + np.uint64(1)], steps[r + np.uint64(2)]
        more = (steps[r + np.uint64(3)] > seen) | (p2 > latest) | (late & ((p0 == last) | (p1 == last) | (p2 == last)))
        left |= np.uint64(more) << np.uint64(j)
        former = w[j]
        z = former
        for p in (p2, p1, p0):
            amount = gain * plus[np.uint64(p - last if np.uint64(p - seen - 1) < span else none_plus)]
            if dependence == MULTIPLICATIVE:
                amount *= top - z
            z = _bounded(z + amount, low, top)
        if arrives:
            e = np.uint64(p0 > latest) + np.uint64(p1 > latest)
            amount = loss * (traces[r + np.uint64(4) + e] * minus[np.uint64(min(now - steps[r + e], none_minus))])
            if dependence != ADDITIVE:
                amount *= z - low
            z = _bounded(z - amount, low, top)
        w[j] = former if more else z
    return left


@jit
def pair_row(dependence, pairing, order, par, tg, base, w, times, ys, recent, heads, ring, seen, until, now, last, before, after,
             alive, plus, minus, arrives):
    """Pair rule: target spikes in (seen, until], then, if ``arrives``, the spike of the row itself at ``now``.

    ``before`` and ``after`` are the source's trace around its last spike, at ``last``; ``alive`` says whether it
    is still above zero.  ``tg`` are targets relative to ``base``; ``w`` their weights.

    Most targets fire less often than four times between two spikes of a source: they are served, in tiles, without branches
    that depend on spikes, from their latest spikes (one line of cache).
    """
    unit, unit_minus = units(dependence, par)
    gain, loss = unit * par[A_PLUS] * after, unit_minus * par[A_MINUS]
    first_gain = unit * par[A_PLUS] * before if order == NEST else gain
    n = tg.size
    if alive and pairing != RESTRICTED and dependence != GUETIG and plus[plus.size - 1] == 0.0 and minus[minus.size - 1] == 0.0:
        late = order == NEST and until < now
        none_plus, none_minus = plus.size - 1, minus.size - 1
        step, former, seen_step = np.int64(now), np.int64(last), np.int64(seen)
        latest = step if order == SPINNAKER else step - 1
        span = np.uint64(max(min(np.int64(until), former + none_plus - 1) - seen_step, 0))  # later, the trace is gone
        low, top = par[W_MIN], par[W_MAX]
        traces = recent[8 * base:]
        steps = traces.view(np.int64)
        for start in range(0, n, 64):
            t, v = tg[start:min(start + 64, n)], w[start:min(start + 64, n)]
            if dependence == ADDITIVE:
                left = _tile_recent(ADDITIVE, t, v, steps, traces, seen_step, span, latest, step, former, gain, loss, low, top, plus,
                                    minus, none_plus, none_minus, arrives, late)
            elif dependence == MULTIPLICATIVE:
                left = _tile_recent(MULTIPLICATIVE, t, v, steps, traces, seen_step, span, latest, step, former, gain, loss, low, top,
                                    plus, minus, none_plus, none_minus, arrives, late)
            else:
                left = _tile_recent(VAN_ROSSUM, t, v, steps, traces, seen_step, span, latest, step, former, gain, loss, low, top,
                                    plus, minus, none_plus, none_minus, arrives, late)
            while left != np.uint64(0):
                j = start + _one(left)
                left &= left - np.uint64(1)
                i = base + np.int64(tg[j])
                w[j] = pair_synapse(dependence, ALL, order, par, w[j], i * ring, heads[i] - 1, times, ys, ring - 1, seen, until, now,
                                    last, first_gain, gain, loss, True, plus, minus, arrives)
        return
    for j in range(n):
        i = base + np.int64(tg[j])
        w[j] = pair_synapse(dependence, pairing, order, par, w[j], i * ring, heads[i] - 1, times, ys, ring - 1, seen, until, now,
                            last, first_gain, gain, loss, alive, plus, minus, arrives)


@jit
def event_row(family, dependence, order, par, tg, base, w, times, ys, zs, voltages, depth, n, heads, ring, seen, until, now,
              look, last, before, after, second, alive, plus, minus, arrives):
    """As :func:`pair_row` for the rules that need more than two traces; ``second`` is the source's slower trace before ``now``,
    ``look`` the step whose filtered potential a spike at ``now`` meets."""
    mask = ring - 1
    rate_plus, rate_minus = par[RATE_PLUS], par[RATE_MINUS]
    a_plus, a_minus = par[A_PLUS], par[A_MINUS]
    low, top = par[W_MIN], par[W_MAX]
    unit, unit_minus = units(dependence, par)
    strict = order != SPINNAKER
    for j in range(tg.size):
        i = base + np.int64(tg[j])
        at = i * ring
        e = heads[i] - 1
        p = times[at + (e & mask)]
        while p > until:
            e -= 1
            p = times[at + (e & mask)]
        z = w[j]
        if alive and p > seen:
            first = e
            while times[at + ((first - 1) & mask)] > seen:
                first -= 1
            for g in range(first, e + 1):
                q = times[at + (g & mask)]
                k = np.int64(q - last)
                trace = (before if k == 0 and order == NEST else after) * decay(plus, k, rate_plus)
                if family == TRIPLET:
                    z = stronger(dependence, z, unit * trace * (a_plus + par[EXTRA] * zs[at + (g & mask)]), par)
                elif family == OJA:
                    z = _bounded(z + a_plus * (trace - par[EXTRA] * zs[at + (g & mask)] * z), low, top)
                elif family == CLOPATH:
                    z = _bounded(z + a_plus * zs[at + (g & mask)] * trace, low, top)
                else:
                    z = _bounded(z + a_plus * trace, low, top)
        if arrives:
            if family == CLOPATH:
                if look >= 0.0:
                    u = voltages[(np.int64(look) % depth) * n + i] - par[EXTRA]
                    if u > 0.0:
                        z = _bounded(z - a_minus * u, low, top)
            elif family != OJA:
                if strict and p == now:
                    e -= 1
                    p = times[at + (e & mask)]
                y = ys[at + (e & mask)] * decay(minus, np.int64(now - p), rate_minus)
                if family == TRIPLET:
                    z = weaker(dependence, z, unit_minus * y * (a_minus + par[EXTRA2] * second), par)
                else:
                    z = _bounded(z + a_minus * (y - par[EXTRA]), low, top)
        w[j] = z


@jit
def reward(w, c, level, steps, par, dt):
    """The weight after ``steps`` with eligibility ``c`` and dopamine ``level`` at their beginning."""
    if c == 0.0 or steps == 0:
        return w
    s = steps * dt
    tau_c, tau_d = par[TAU_C], par[TAU_D]
    tau = tau_c * tau_d / (tau_c + tau_d)
    w += c * (-level * tau * math.expm1(-s / tau) + par[BASELINE] * tau_c * math.expm1(-s / tau_c))
    return _bounded(w, par[W_MIN], par[W_MAX])


@jit
def dopamine_row(dependence, pairing, order, par, tg, base, w, c, out, times, ys, heads, ring, seen, until, now, last, before,
                 after, plus, minus, why, pool, shift, cut, dt):
    """Neuromodulated pair rule: spikes change the eligibility ``c``, and dopamine turns it into weight.

    ``pool`` holds the events of dopamine, (step, level after it), ascending; ``shift`` brings their steps into the
    targets' time; ``cut`` is the last moment that was made an event.  With ``out`` (else empty) nothing is changed but the
    weights at ``now`` are written there.
    """
    mask = ring - 1
    events = np.int64(pool[POOL_COUNT])
    rate_d = dt / par[TAU_D]
    rate_c = dt / par[TAU_C]
    strict = order != SPINNAKER
    peek = out.size > 0
    unit, unit_minus = units(dependence, par)
    coming = np.int64(0)  # first event of dopamine that was not seen
    while coming < events and pool[POOL_EVENTS + 2 * coming] - shift <= seen:
        coming += 1
    start = max(last, cut)
    if coming > 0:
        start = max(start, pool[POOL_EVENTS + 2 * coming - 2] - shift)
    for j in range(tg.size):
        i = base + np.int64(tg[j])
        at = i * ring
        e = heads[i] - 1
        while times[at + (e & mask)] > until:
            e -= 1
        g = e
        while times[at + (g & mask)] > seen:
            g -= 1
        here = max(start, times[at + (g & mask)])
        m = coming
        level_at, level = NEVER, 0.0
        if m > 0:
            level_at, level = pool[POOL_EVENTS + 2 * m - 2] - shift, pool[POOL_EVENTS + 2 * m - 1]
        z, trace_c = w[j], c[j]
        g += 1
        while True:
            spike = times[at + (g & mask)] if g <= e else math.inf
            drop = pool[POOL_EVENTS + 2 * m] - shift if m < events else math.inf
            there = min(spike, drop)
            if there > until:
                break
            if here > NEVER:
                z = reward(z, trace_c, level * math.exp(-(here - level_at) * rate_d), there - here, par, dt)
                trace_c *= math.exp(-(there - here) * rate_c)
            here = there
            if spike <= drop:
                trace = after
                if pairing == RESTRICTED:
                    former = times[at + ((g - 1) & mask)]
                    if former > last or (former == last and order == BRIAN2):
                        trace = 0.0
                k = np.int64(spike - last)
                if k == 0 and order == NEST:
                    trace = before
                trace_c += stronger_by(dependence, z, unit * par[A_PLUS] * trace * decay(plus, k, par[RATE_PLUS]), par)
                g += 1
            if drop <= spike:
                level_at, level = drop, pool[POOL_EVENTS + 2 * m + 1]
                m += 1
        if why == ARRIVAL or why == CUT or peek:
            if here > NEVER:
                z = reward(z, trace_c, level * math.exp(-(here - level_at) * rate_d), now - here, par, dt)
                trace_c *= math.exp(-(now - here) * rate_c)
            if peek:
                out[j] = z
                continue
        if why == ARRIVAL or why == LATE_ARRIVAL:
            p = times[at + (e & mask)]
            latest = p
            if strict and p == now:
                e -= 1
                p = times[at + (e & mask)]
            y = ys[at + (e & mask)] * decay(minus, np.int64(now - p), par[RATE_MINUS])
            if pairing == RESTRICTED and (latest < last or (latest == last and order != BRIAN2)):
                y = 0.0
            trace_c -= weaker_by(dependence, z, unit_minus * par[A_MINUS] * y, par)
        w[j], c[j] = z, trace_c


@jit
def change_row(rule, par, state, tg, base, w, c, out, times, ys, zs, voltages, depth, n, heads, ring, tables, pool, t, lag,
               why, dt):
    """Bring a row up to date at step ``t``; ``why``: SETTLE, CUT, ARRIVAL of a spike of its source, or LATE_ARRIVAL after a CUT.

    ``state`` (ROW_SIZE,) is the row's own; ``w`` and ``c`` are the weights and eligibilities of its synapses; a
    non-empty ``out`` receives the weights of this moment, and nothing else is changed.
    """
    family, order, pairing = rule[R_FAMILY], rule[R_ORDER], rule[R_PAIRING]
    arrives = why == ARRIVAL or why == LATE_ARRIVAL
    now = np.float64(t - lag)
    until = now - 1.0 if lag == 0 or order == BRIAN2 else now
    last, seen, before, after = state[LAST], state[SEEN], state[BEFORE], state[AFTER]
    rate = par[RATE_PLUS]
    plus = tables[rule[R_PLUS]:rule[R_PLUS] + rule[R_PLUS_SIZE]]
    minus = tables[rule[R_MINUS]:rule[R_MINUS] + rule[R_MINUS_SIZE]]
    gone = now - last
    if rule[R_FROZEN] == 0 and tg.size > 0:
        alive = last > NEVER and (max(seen + 1.0, last) - last) * rate < _DEAD
        if family == PAIR:
            if arrives or alive:
                pair_row(rule[R_DEPENDENCE], pairing, order, par, tg, base, w, times, ys, zs, heads, ring, seen, until, now, last,
                         before, after, alive, plus, minus, arrives)
        elif family == DOPAMINE:
            if last > NEVER or arrives:
                dopamine_row(rule[R_DEPENDENCE], pairing, order, par, tg, base, w, c, out, times, ys, heads, ring, seen, until,
                             now, last, before, after, plus, minus, why, pool, np.float64(lag // 2),
                             now if why == LATE_ARRIVAL else np.float64(rule[R_CUT] - lag), dt)
        elif family != NONE:
            second = state[SLOW] * math.exp(-gone * par[RATE_X]) if family == TRIPLET else 0.0
            if arrives or alive or family == OJA:
                event_row(family, rule[R_DEPENDENCE], order, par, tg, base, w, times, ys, zs, voltages, depth, n, heads, ring,
                          seen, until, now, now if lag > 0 else now - 1.0, last, before, after, second, alive or family == OJA,
                          plus, minus, arrives)
    if out.size > 0:
        return
    state[SEEN] = max(seen, until)
    if arrives:
        if gone > 0.0:  # of several spikes of one step, all follow what was before the first
            state[BEFORE] = after * decay(plus, np.int64(gone), rate)
            state[AFTER] = state[BEFORE]
        state[AFTER] = state[AFTER] + 1.0 if pairing == ALL else 1.0
        if family == TRIPLET:
            slow = state[SLOW] * math.exp(-gone * par[RATE_X])
            state[SLOW] = slow + 1.0 if pairing == ALL else 1.0
        state[LAST] = now


@jit
def transmitted(kind, state, par, t, dt):
    """The part of its weight that a synapse with short-term plasticity transmits at step ``t``; ``state`` (SHORT_ROW_SIZE,)."""
    h = (np.float64(t) - state[0])
    first = state[0] == NEVER
    state[0] = np.float64(t)
    facil = math.exp(-h * par[RATE_FACIL]) if par[RATE_FACIL] > 0.0 else 0.0
    rec = math.exp(-h * par[RATE_REC])
    if kind == TWO_STATES:
        if first:
            state[1], state[2] = par[U], 1.0
        else:
            u, x = state[1], state[2]
            state[2] = 1.0 + (x - x * u - 1.0) * rec
            state[1] = par[U] + u * (1.0 - par[U]) * facil
        return state[1] * state[2]
    u, x, y = (0.0, 1.0, 0.0) if first else (state[1], state[2], state[3])
    if not first:
        psc = math.exp(-h * par[RATE_PSC])
        z = 1.0 - x - y
        u *= facil
        x += ((rec - 1.0) * par[TAU_REC] - (psc - 1.0) * par[TAU_PSC]) / (par[TAU_PSC] - par[TAU_REC]) * y + (1.0 - rec) * z
        y *= psc
    u += par[U] * (1.0 - u)
    released = u * x
    state[1], state[2], state[3] = u, x - released, y + released
    return released


@inlined
def _draw(key, number, again, trial, sent):
    """U(0, 1) of synapse ``number`` and the spike of step ``sent`` that came after ``again`` others of that step."""
    index = np.uint64(number) | (np.uint64(again) << np.uint64(36)) | (np.uint64(trial) << np.uint64(50))
    return uniform_at(key, index, sent)


@jit
def _draws(key, numbers, again, trial, sent, out):
    """One trial of each of the synapses ``numbers`` (vectorised)."""
    for j in range(out.size):
        out[j] = _draw(key, numbers[j], again, trial, sent)


@jit
def transmit_row(rule, par, psc_rate, row, states, numbers, first, n, w, t, sent):
    """What synapses ``first`` to ``first + n - 1`` of a part block send of a spike: what each releases, times its weight.

    Parameters
    ----------
    rule : ndarray, int64 (R_SIZE,)
    par : ndarray, float64
        All parameters, where ``rule`` finds its own.
    psc_rate : float
        dt / tau_psc of three states.
    row : ndarray, float64 (SHORT_ROW_SIZE,)
        The row's own, changed.
    states : ndarray, float64
        STATES[kind] for each synapse of the part block, changed.
    numbers : ndarray, int64
        The place of each synapse of the part block in its projection: it addresses the draws.
    w : ndarray, float64 (1,) or (n,)
    t, sent : int
        Steps of arrival and of the spike.

    Returns
    -------
    ndarray, float64 (n,)
    """
    kind = rule[R_RELEASE]
    key = np.uint64(rule[R_KEY])
    fresh = row[0] == NEVER
    h = np.float64(t) - row[0]
    row[1] = row[1] + 1.0 if h == 0.0 else 0.0
    row[0] = np.float64(t)
    again = np.int64(row[1])
    part, part_each = rule[R_VALUES + 2 * PART], rule[R_VALUES + 2 * PART + 1]
    out = np.empty(n)
    own = numbers[first:first + n]
    if kind == CHANCE:
        _draws(key, own, again, 0, sent, out)
        for j in range(n):
            out[j] = w[min(j, w.size - 1)] if out[j] < par[part + (first + j) * part_each] else 0.0
        return out
    lose, regain = out[:0], out[:0]  # the first trials of all sites, to release and to recover
    if kind == QUANTA:
        lose, regain = np.empty(n), np.empty(n)
        _draws(key, own, again, 0, sent, lose)
        if not fresh:
            _draws(key, own, again, 1, sent, regain)
    recs, recs_each = rule[R_VALUES + 2 * REC], rule[R_VALUES + 2 * REC + 1]
    facils, facils_each = rule[R_VALUES + 2 * FACIL], rule[R_VALUES + 2 * FACIL + 1]
    sites, sites_each = rule[R_VALUES + 2 * SITES], rule[R_VALUES + 2 * SITES + 1]
    psc = math.exp(-h * psc_rate)
    rec = facil = 0.0
    for j in range(n):
        i = first + j
        if j == 0 or recs_each > 0:
            rec = math.exp(-h * par[recs + i * recs_each])
        if j == 0 or facils_each > 0:
            rate = par[facils + i * facils_each]
            facil = math.exp(-h * rate) if rate > 0.0 else 0.0
        most = par[part + i * part_each]
        a = i * STATES[kind]
        u = most if fresh else most + states[a] * (1.0 - most) * facil
        if kind == TWO_STATES:
            x = 1.0 if fresh else 1.0 + (states[a + 1] - states[a + 1] * states[a] - 1.0) * rec
            states[a + 1] = x
            out[j] = u * x
        elif kind == THREE_STATES:
            x, y = 1.0, 0.0
            if not fresh:
                x, y = states[a + 1], states[a + 2]
                fast, slow = psc_rate, par[recs + i * recs_each]
                z = 1.0 - x - y
                x += ((rec - 1.0) * fast - (psc - 1.0) * slow) / (slow - fast) * y + (1.0 - rec) * z
                y *= psc
            out[j] = u * x
            states[a + 1], states[a + 2] = x - out[j], y + out[j]
        else:
            many = np.int64(par[sites + i * sites_each])
            ready = many if fresh else np.int64(states[a + 1])
            for m in range(many - ready):
                if (regain[j] if m == 0 else _draw(key, own[j], again, 2 * m + 1, sent)) < 1.0 - rec:
                    ready += 1
            freed = 0
            for m in range(ready):
                if (lose[j] if m == 0 else _draw(key, own[j], again, 2 * m, sent)) < u:
                    freed += 1
            states[a + 1] = np.float64(ready - freed)
            out[j] = freed / many
        states[a] = u
        out[j] *= w[min(j, w.size - 1)]
    return out


@jit
def crowded(ids, found, times, heads, ring, swept):
    """Whether remembering these spikes would leave a ring without one that all rows have seen."""
    for j in range(found):
        i = np.int64(ids[j])
        if times[i * ring + ((heads[i] + 1) & (ring - 1))] > swept:
            return True
    return False


@jit
def remember(kind, pairing, ids, found, t, times, ys, zs, heads, ring, minus, rate_minus, rate_y):
    """Spikes of step ``t``: their traces follow from the former spike's.

    The lines of latest spikes (pair rules) hold four steps, as integers, and four traces.
    """
    steps = zs.view(np.int64)
    for j in range(found):
        i = np.int64(ids[j])
        c = heads[i]
        former = i * ring + ((c - 1) & (ring - 1))
        here = i * ring + (c & (ring - 1))
        gone = np.float64(t) - times[former]
        y = ys[former] * decay(minus, np.int64(gone), rate_minus)
        if kind == TRIPLET:
            slow = zs[former] + 1.0 if pairing == ALL else 1.0
            zs[here] = slow * math.exp(-gone * rate_y)
        elif kind == OJA:
            zs[here] = y
        else:
            r = 8 * i
            for m in range(3, 0, -1):
                steps[r + m], zs[r + 4 + m] = steps[r + m - 1], zs[r + 3 + m]
            steps[r], zs[r + 4] = t, y + 1.0 if pairing == ALL else 1.0
        times[here] = np.float64(t)
        ys[here] = y + 1.0 if pairing == ALL else 1.0
        heads[i] = c + 1


@jit
def observe(lo, hi, t, v, par, times, zs, heads, ring, swept, voltages, depth, n, dt, write):
    """Voltage rule: filter the potentials ``v`` (hi - lo,) of step ``t`` and remember where they call for potentiation.

    Without ``write`` nothing is changed: it is only told whether the ring has room.  ``voltages`` holds ``depth``
    rows of the slow filter, the fast filter, and each cell's last spike.
    """
    fast, spiked = depth * n, (depth + 1) * n
    row, former = (t % depth) * n, ((t - 1) % depth) * n
    for i in range(lo, hi):
        u = v[i - lo]
        if np.float64(t) - voltages[spiked + i] < par[V_HELD]:
            u = par[V_SPIKE]
        bar = voltages[fast + i]
        if u > par[V_HIGH] and bar > par[V_LOW]:
            c = heads[i]
            here = i * ring + (c & (ring - 1))
            if not write:
                if times[i * ring + ((c + 1) & (ring - 1))] > swept:
                    return False
            else:
                times[here] = np.float64(t)
                zs[here] = dt * (u - par[V_HIGH]) * (bar - par[V_LOW])
                heads[i] = c + 1
        if write:
            voltages[fast + i] = u + (bar - u) * par[V_PLUS]
            voltages[row + i] = u + (voltages[former + i] - u) * par[V_MINUS]
    return True


@jit
def drop(pool, room, t, amount, tau_d, dt):
    """Dopamine released at step ``t``; returns whether there was room."""
    count = np.int64(pool[POOL_COUNT])
    at = POOL_EVENTS + 2 * count
    level = 0.0
    if count > 0:
        level = pool[at - 1] * math.exp(-(np.float64(t) - pool[at - 2]) * dt / tau_d)
        if pool[at - 2] == t:
            pool[at - 1] += amount
            return True
    if count == room:
        return False
    pool[at], pool[at + 1] = np.float64(t), level + amount
    pool[POOL_COUNT] = count + 1
    return True


@jit
def forget(pool, seen):
    """Drop the events of dopamine before the last one that every row has seen."""
    count = np.int64(pool[POOL_COUNT])
    first = 0
    while first + 1 < count and pool[POOL_EVENTS + 2 * first + 2] <= seen:
        first += 1
    for j in range(2 * (count - first)):
        pool[POOL_EVENTS + j] = pool[POOL_EVENTS + 2 * first + j]
    pool[POOL_COUNT] = count - first
