"""Synapses that change, in the main loop: what arrives through them, and what they remember of target spikes.

The main loop calls :func:`act` through its address, and hands over where the arrays of ``Net`` lie: networks whose
synapses stay neither compile nor load any of this.
"""

import numpy as np
from numba import carray, types

from . import compiled_callback, jit, modal, plasticity
from .engine import (
    ARRIVE,
    B_DELAY0,
    B_DELAYS,
    B_PTR,
    B_RECEPTOR,
    B_ROWS,
    B_RULE,
    B_SINCE,
    B_SOURCE,
    B_TARGETS,
    B_W,
    B_WAKES,
    B_WEIGHTS,
    CUT,
    G_F,
    G_KIND,
    G_N,
    G_PART0,
    G_PARTS,
    G_PERIOD,
    G_X,
    G_Y,
    M_AMOUNT,
    M_DELAY,
    M_MEMBERS,
    M_RULE,
    M_SOURCE,
    P_CHANGE0,
    P_CHANGES,
    P_GROUP,
    P_HI,
    P_LO,
    P_MOD0,
    P_MODS,
    P_SITE0,
    P_SITES,
    REMEMBER,
    ROW_WEIGHT,
    SETTLE,
    STEP,
    Net,
    add_one,
    add_row,
    coefficients,
    wake_row,
)
from .memory import pointer

_HUGE = 2**40


@jit
def _row(table, j, dtype):
    return carray(pointer(table[3 * j], dtype), table[3 * j + 1])


@jit
def _table(table, j, dtype):
    return carray(pointer(table[3 * j], dtype), (table[3 * j + 1], table[3 * j + 2]))


@jit
def opened(table):
    """The arrays of ``Net``, from their addresses and shapes."""
    return Net(_table(table, 0, np.int64), _table(table, 1, np.int64), _table(table, 2, np.int64),
               _table(table, 3, np.int64), _table(table, 4, np.int64), _table(table, 5, np.int64),
               _row(table, 6, np.int64), _row(table, 7, np.int64), _row(table, 8, np.float64),
               _row(table, 9, np.float64), _row(table, 10, np.float64), _row(table, 11, np.float64),
               _row(table, 12, np.float64), _row(table, 13, np.float64), _row(table, 14, np.float64),
               _row(table, 15, np.float64), _row(table, 16, np.float64), _row(table, 17, np.float64),
               _row(table, 18, np.int32), _row(table, 19, np.int64), _row(table, 20, np.float64),
               _row(table, 21, np.int64), _row(table, 22, np.int32), _row(table, 23, np.int64),
               _row(table, 24, np.int32), _row(table, 25, np.int64), _table(table, 26, np.int64),
               _row(table, 27, np.uint32), _row(table, 28, np.uint16), _row(table, 29, np.int32),
               _row(table, 30, np.float64), _row(table, 31, np.float32), _row(table, 32, np.float64),
               _row(table, 33, np.int64), _row(table, 34, np.uint8), _row(table, 35, np.uint32),
               _row(table, 36, np.float64), _row(table, 37, np.uint16), _row(table, 38, np.int64),
               _row(table, 39, np.float64), _row(table, 40, np.float64), _row(table, 41, np.int64),
               _row(table, 42, np.float64), _row(table, 43, np.float64), _row(table, 44, np.float64),
               _row(table, 45, np.float64), _row(table, 46, np.float64), _row(table, 47, np.float64),
               _row(table, 48, np.int64), _row(table, 49, np.int32), _row(table, 50, np.int64),
               _row(table, 51, np.float64), _table(table, 52, np.int64), _row(table, 53, np.float64),
               _table(table, 54, np.int64), _row(table, 55, np.int64), _row(table, 56, np.int64),
               _row(table, 57, np.uint64), _table(table, 58, np.int64), _row(table, 59, np.float64),
               _row(table, 60, np.float64), _table(table, 61, np.int64), _row(table, 62, np.float64),
               _row(table, 63, np.float64), _row(table, 64, np.int64), _table(table, 65, np.int64),
               _row(table, 66, np.float64), _row(table, 67, np.int64), _row(table, 68, np.float64),
               _row(table, 69, np.float64), _row(table, 70, np.float64), _row(table, 71, np.float64),
               _table(table, 72, np.int64), _row(table, 73, np.uint8))


@jit
def gained(w, row, lo, calcium, astrocytes, par):
    """A row's weights (one, or one for each target) times the gains of its targets, by the mean calcium of their astrocytes.

    ``astrocytes``: where each cell's begin, then their ids; a cell without any has gain 1.
    """
    out = np.empty(row.size)
    for j in range(row.size):
        i = lo + np.int64(row[j])
        first, last = astrocytes[i], astrocytes[i + 1]
        factor, level = 1.0, 0.0
        for e in range(first, last):
            level += calcium[astrocytes[e]]
        if last > first:
            factor = max(0.0, 1.0 + par[plasticity.GAIN] * max(level / (last - first) - par[plasticity.CA_THRESH], 0.0))
        out[j] = factor * w[min(j, w.size - 1)]
    return out


@jit
def _changing_block(kind, x, n, lo, hi, receptor, t, base_step, since, delays, pointer, spikes, offsets, row_ptr, tg, w, c, one_weight,
                    ca, cb, cc, wakes, f, k, width, reach_e, reach_i, h, due, active, count, rule, par, rows, short_rows, lags,
                    site, history, heads, voltages, tables, pool, calcium, astrocytes, all_par, states, numbers, dt):
    """As :func:`_block` for synapses that change: rows are brought up to date before they are added."""
    events = np.int64(0)
    n_delays = delays.size
    learns = rule[plasticity.R_FAMILY] != plasticity.NONE
    sent_first = learns and rule[plasticity.R_ORDER] == plasticity.BRIAN2
    coming = rule[plasticity.R_COMING] == 1  # rows may get synapses later: they are kept up to date without any
    short, release = rule[plasticity.R_SHORT], rule[plasticity.R_RELEASE] > 0
    psc = par[plasticity.PAR_SIZE + plasticity.RATE_PSC]
    sign = np.float64(rule[plasticity.R_SIGN])
    ring, cells, depth = site[plasticity.S_RING], site[plasticity.S_N], site[plasticity.S_DEPTH]
    many = ring * cells
    times, ys, zs = history[:many], history[many:2 * many], history[2 * many:]
    none = w[:0]
    gains = astrocytes.size > 0
    gain = par[plasticity.PAR_SIZE + plasticity.SHORT_SIZE:]
    for d in range(n_delays):
        s = t - delays[d] - base_step
        if s < 0 or t - delays[d] <= since:
            continue
        for q in range(pointer.shape[0]):
            for e in range(offsets[q] + pointer[q, s], offsets[q] + pointer[q, s + 1]):
                sender = np.int64(spikes[e])
                at = sender * n_delays + d
                first, last = np.int64(row_ptr[at]), np.int64(row_ptr[at + 1])
                if last == first and not coming:
                    continue
                events += last - first
                row = tg[first:last]
                z = sign
                if short > 0:
                    z *= plasticity.transmitted(short, short_rows[at * plasticity.SHORT_ROW_SIZE:], par[plasticity.PAR_SIZE:], t, dt)
                if one_weight and (gains or release):
                    v = w[sender:sender + 1]
                    if gains:
                        v = gained(v, row, lo, calcium, astrocytes, gain)
                    if release:
                        v = plasticity.transmit_row(rule, all_par, psc, short_rows[at * plasticity.SHORT_ROW_SIZE:], states, numbers,
                                                    first, last - first, v, t, t - delays[d])
                    add_row(kind, receptor, x, n, lo, hi, row, v, z * ca, z * cb, z * cc)
                elif one_weight:
                    add_one(kind, receptor, x, n, lo, hi, row, z * w[sender], ca, cb, cc)
                else:
                    v = w[first:last]
                    own = c[first:last] if c.size > 0 else none
                    state = rows[at * plasticity.ROW_SIZE:(at + 1) * plasticity.ROW_SIZE]
                    if learns:
                        plasticity.change_row(rule, par, state, row, lo, v, own, none, times, ys, zs, voltages, depth, cells,
                                              heads, ring, tables, pool, t, lags[d],
                                              plasticity.CUT if sent_first else plasticity.ARRIVAL, dt)
                    sent = gained(v, row, lo, calcium, astrocytes, gain) if gains else v
                    if release:
                        sent = plasticity.transmit_row(rule, all_par, psc, short_rows[at * plasticity.SHORT_ROW_SIZE:], states,
                                                       numbers, first, last - first, sent, t, t - delays[d])
                    add_row(kind, receptor, x, n, lo, hi, row, sent, z * ca, z * cb, z * cc)
                    if sent_first:
                        plasticity.change_row(rule, par, state, row, lo, v, own, none, times, ys, zs, voltages, depth, cells,
                                              heads, ring, tables, pool, t, lags[d], plasticity.LATE_ARRIVAL, dt)
                if wakes:
                    count = wake_row(kind, x, n, lo, row, f, k, width, reach_e, reach_i, h, due, active, count)
    return events, count


@jit
def arrive(net, p, t, dt, base_step):
    """Everything that arrives at step ``t`` through synapses that change; returns the number of synaptic events."""
    part = net.parts[p]
    group = net.groups[part[P_GROUP]]
    kind, n, y = group[G_KIND], group[G_N], group[G_Y]
    lo, hi = part[P_LO], part[P_HI]
    x = net.x[group[G_X]:]
    width = group[G_PERIOD] + 1
    f = net.tables[group[G_F]:]
    k = np.int64(0)
    if kind < STEP:
        k = t % group[G_PERIOD]
    event = kind < STEP and net.mode[part[P_GROUP]] == 1
    reach_e, reach_i = modal.reach(kind, f, width)
    h, due = net.h[y:y + n], net.due[y:y + n]
    active = net.active[y + lo:y + hi]
    total = np.int64(0)
    for b in range(part[P_CHANGE0], part[P_CHANGE0] + part[P_CHANGES]):
        ca, cb, cc = 1.0, 0.0, 0.0
        row = net.blocks[b]
        if kind < STEP:
            ca, cb, cc = coefficients(kind, row[B_RECEPTOR], f, k, width)
        q0 = net.groups[row[B_SOURCE], G_PART0]
        q1 = q0 + net.groups[row[B_SOURCE], G_PARTS]
        one = row[B_WEIGHTS] == ROW_WEIGHT
        rule, par, rows, short_rows, lags, site, history, heads, voltages, pool, c = _of_rule(net, b)
        w = net.row_weight[row[B_W]:] if one else net.changing[row[B_W]:]
        calcium, astrocytes = net.voltages[:0], net.lags[:0]
        if rule[plasticity.R_GAIN] == 1:
            source = net.sites[rule[plasticity.R_CALCIUM]]
            line = (t - rule[plasticity.R_CALCIUM_DELAY]) % source[plasticity.S_DEPTH]
            calcium = net.voltages[source[plasticity.S_VOLTAGE] + line * source[plasticity.S_N]:]
            astrocytes = net.lags[rule[plasticity.R_ASTROCYTES]:]
        wakes = event and row[B_WAKES] == 1
        events, count = _changing_block(
            kind, x, n, lo, hi, row[B_RECEPTOR], t, base_step, row[B_SINCE], net.delays[row[B_DELAY0]:row[B_DELAY0] + row[B_DELAYS]],
            net.pointer[q0:q1], net.spikes, net.offsets[q0:q1], net.row_ptr[row[B_PTR]:], net.targets16[row[B_TARGETS]:], w, c, one,
            ca, cb, cc, wakes, f, k, width, reach_e, reach_i, h, due, active, net.n_active[p], rule, par, rows,
            short_rows, lags, site, history, heads, voltages, net.decays, pool, calcium, astrocytes, net.rule_par,
            net.row_state[rule[plasticity.R_STATES]:], net.lags[rule[plasticity.R_NUMBERS]:], dt)
        net.n_active[p] = count
        total += events
    return total


@jit
def _of_rule(net, b):
    """The arrays of a part block that changes."""
    rule = net.rules[net.blocks[b, B_RULE]]
    par = net.rule_par[rule[plasticity.R_PAR]:]
    rows = net.row_state[rule[plasticity.R_ROWS]:]
    short_rows = net.row_state[rule[plasticity.R_SHORT_ROWS]:]
    lags = net.lags[rule[plasticity.R_LAGS]:]
    site = net.sites[rule[plasticity.R_SITE]]
    history = net.history[site[plasticity.S_HISTORY]:]
    heads = net.heads[site[plasticity.S_HEADS]:]
    voltages = net.voltages[site[plasticity.S_VOLTAGE]:]
    pool = net.pools[rule[plasticity.R_POOL]:]
    c = net.eligibility[rule[plasticity.R_C]:] if rule[plasticity.R_FAMILY] == plasticity.DOPAMINE else net.eligibility[:0]
    return rule, par, rows, short_rows, lags, site, history, heads, voltages, pool, c


@jit
def settle_block(net, b, p, t, dt, out, why):
    """Bring all rows of a part block that changes up to date at step ``t``; ``why``: SETTLE or CUT.

    With ``out`` (the block's synapses, else empty) only the weights of this moment are written there.
    """
    rule, par, rows, short_rows, lags, site, history, heads, voltages, pool, c = _of_rule(net, b)
    n_delays = net.blocks[b, B_DELAYS]
    row_ptr = net.row_ptr[net.blocks[b, B_PTR]:]
    t0, w0 = net.blocks[b, B_TARGETS], net.blocks[b, B_W]
    lo = net.parts[p, P_LO]
    ring, cells, depth = site[plasticity.S_RING], site[plasticity.S_N], site[plasticity.S_DEPTH]
    many = ring * cells
    times, ys, zs = history[:many], history[many:2 * many], history[2 * many:]
    w = net.changing[w0:]
    none = net.changing[:0]
    for at in range(net.blocks[b, B_ROWS] * n_delays):
        first, last = np.int64(row_ptr[at]), np.int64(row_ptr[at + 1])
        if last == first and rule[plasticity.R_COMING] == 0:
            continue
        state = rows[at * plasticity.ROW_SIZE:(at + 1) * plasticity.ROW_SIZE]
        own = c[first:last] if c.size > 0 else none
        piece = out[first:last] if out.size > 0 else none
        lag = lags[at % n_delays]
        plasticity.change_row(rule, par, state, net.targets16[t0 + first:t0 + last], lo, w[first:last], own, piece, times, ys,
                              zs, voltages, depth, cells, heads, ring, net.decays, pool, t, lag, why, dt)


@jit
def settle_part(net, p, s, t, dt):
    """Bring all rows that look at site ``s`` up to date, so that older target spikes may be forgotten."""
    none = net.changing[:0]
    for b in range(net.parts[p, P_CHANGE0], net.parts[p, P_CHANGE0] + net.parts[p, P_CHANGES]):
        r = net.blocks[b, B_RULE]
        if net.rules[r, plasticity.R_SITE] == s and net.rules[r, plasticity.R_FAMILY] != plasticity.NONE:
            settle_block(net, b, p, t, dt, none, plasticity.SETTLE)
            if net.rules[r, plasticity.R_FAMILY] == plasticity.DOPAMINE:
                plasticity.forget(net.pools[net.rules[r, plasticity.R_POOL]:], np.float64(t - 1 - net.sites[s, plasticity.S_LAG]))
    at = net.sites[s, plasticity.S_SWEPT] + p - net.groups[net.parts[p, P_GROUP], G_PART0]
    net.swept[at] = np.float64(t - 1 - net.sites[s, plasticity.S_LAG])


@jit
def remember(net, p, t, dt, found, base_step):
    """Let plasticity know the spikes (and potentials, or calcium) of step ``t``."""
    g, lo, hi = net.parts[p, P_GROUP], net.parts[p, P_LO], net.parts[p, P_HI]
    kind, n = net.groups[g, G_KIND], net.groups[g, G_N]
    x, f = net.x[net.groups[g, G_X]:], net.tables[net.groups[g, G_F]:]
    width = net.groups[g, G_PERIOD] + 1
    k = t % net.groups[g, G_PERIOD] if kind < STEP else np.int64(0)
    begin = net.offsets[p] + net.pointer[p, t - base_step]
    ids = net.spikes[begin:begin + found]
    y = net.groups[g, G_Y]
    for s in range(net.parts[p, P_SITE0], net.parts[p, P_SITE0] + net.parts[p, P_SITES]):
        site = net.sites[s]
        if site[plasticity.S_KIND] == plasticity.CALCIUM:
            now, state = site[plasticity.S_VOLTAGE] + t % site[plasticity.S_DEPTH] * n, site[plasticity.S_MINUS] * n
            for i in range(lo, hi):
                net.voltages[now + i] = x[state + i]
            continue
        ring, many = site[plasticity.S_RING], site[plasticity.S_RING] * n
        history = net.history[site[plasticity.S_HISTORY]:]
        times, ys, zs = history[:many], history[many:2 * many], history[2 * many:]
        heads = net.heads[site[plasticity.S_HEADS]:site[plasticity.S_HEADS] + n]
        par = net.rule_par[site[plasticity.S_PAR]:]
        at = site[plasticity.S_SWEPT] + p - net.groups[g, G_PART0]
        if site[plasticity.S_KIND] == plasticity.CLOPATH:
            voltages = net.voltages[site[plasticity.S_VOLTAGE]:]
            depth = site[plasticity.S_DEPTH]
            for e in range(found):
                voltages[(depth + 1) * n + ids[e]] = np.float64(t)
            v = np.empty(hi - lo)
            for i in range(lo, hi):
                if kind == STEP:
                    v[i - lo] = x[site[plasticity.S_MINUS] * n + i]
                else:
                    v[i - lo] = modal.potential(kind, x, n, i, f, k, width, net.h[y:], net.base[y:], net.scale[y:], net.reset[y:])
            if not plasticity.observe(lo, hi, t, v, par, times, zs, heads, ring, net.swept[at], voltages, depth, n, dt, False):
                settle_part(net, p, s, t, dt)
                if not plasticity.observe(lo, hi, t, v, par, times, zs, heads, ring, net.swept[at], voltages, depth, n, dt, False):
                    net.full[3] = 1
            plasticity.observe(lo, hi, t, v, par, times, zs, heads, ring, net.swept[at], voltages, depth, n, dt, True)
        elif found > 0:
            minus = net.decays[site[plasticity.S_MINUS]:site[plasticity.S_MINUS] + site[plasticity.S_MINUS_SIZE]]
            if plasticity.crowded(ids, found, times, heads, ring, net.swept[at]):
                settle_part(net, p, s, t, dt)
                if plasticity.crowded(ids, found, times, heads, ring, net.swept[at]):
                    net.full[3] = 1
            plasticity.remember(site[plasticity.S_KIND], site[plasticity.S_PAIRING], ids, found, t, times, ys, zs, heads, ring,
                                minus, par[0], par[1])


@jit
def modulate(net, p, t, dt, base_step):
    """Dopamine released by spikes that arrive at step ``t``."""
    for m in range(net.parts[p, P_MOD0], net.parts[p, P_MOD0] + net.parts[p, P_MODS]):
        row = net.modulators[m]
        s = t - row[M_DELAY] - base_step
        if s < 0:
            continue
        count = np.int64(0)
        q0 = net.groups[row[M_SOURCE], G_PART0]
        for q in range(q0, q0 + net.groups[row[M_SOURCE], G_PARTS]):
            for e in range(net.offsets[q] + net.pointer[q, s], net.offsets[q] + net.pointer[q, s + 1]):
                count += np.int64(net.members[row[M_MEMBERS] + np.int64(net.spikes[e])])
        if count > 0:
            rule = net.rules[row[M_RULE]]
            release_dopamine(net, p, rule, t, count * net.rule_par[row[M_AMOUNT]], dt)


@jit
def release_dopamine(net, p, rule, t, amount, dt):
    """Raise the dopamine of a rule in a part by ``amount`` at step ``t``."""
    pool = net.pools[rule[plasticity.R_POOL]:]
    tau_d = net.rule_par[rule[plasticity.R_PAR] + plasticity.TAU_D]
    room = rule[plasticity.R_POOL_ROOM]
    if not plasticity.drop(pool, room, t, amount, tau_d, dt):
        settle_part(net, p, rule[plasticity.R_SITE], t - 1, dt)
        if not plasticity.drop(pool, room, t, amount, tau_d, dt):
            net.full[3] = 1


@compiled_callback(types.int64(types.CPointer(types.int64), types.int64, types.int64, types.int64, types.int64, types.int64, types.float64))
def act(table, what, p, t, base_step, found, dt):
    """What the main loop, and the simulation between its calls, ask of synapses that change, for part ``p`` at step ``t``.

    ARRIVE and REMEMBER (``found`` spikes): see :func:`arrive`, :func:`remember`.  SETTLE: all rows are brought up to date.  CUT: those of
    block ``found``, and this moment is made an event of theirs.  PEEK: the weights of block ``found`` are written to the
    address ``base_step``.
    """
    net = opened(table)
    none = net.changing[:0]
    if what == ARRIVE:
        if net.parts[p, P_MODS] > 0:
            modulate(net, p, t, dt, base_step)
        return arrive(net, p, t, dt, base_step)
    if what == REMEMBER:
        remember(net, p, t, dt, found, base_step)
    elif what == SETTLE:
        for s in range(net.parts[p, P_SITE0], net.parts[p, P_SITE0] + net.parts[p, P_SITES]):
            settle_part(net, p, s, t, dt)
    elif what == CUT:
        settle_block(net, found, p, t, dt, none, plasticity.CUT)
    else:
        settle_block(net, found, p, t, dt, carray(pointer(base_step, np.float64), _HUGE), plasticity.SETTLE)
    return 0
