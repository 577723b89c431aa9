"""The main loop: all populations, all synapses, many steps, in one compiled function.

Populations with one model and one set of time constants form a *group*; a group is cut into
*parts*, contiguous ranges of its neurons.  A thread owns parts, does everything that changes a
part's neurons, and meets the other threads once per minimum delay.  Within a step of a part:

1. injected currents, and those that astrocytes and gap junctions cause, take their value for the interval (t-1, t];
2. conductance and adaptive models are advanced from t-1 to t (their input of step t acts from t on);
3. spikes sent at t - d arrive, for every delay d: by d, then sender, so that each neuron sums its
   input in one order whatever the parts and the threads; rows of synapses that change are brought up to date first;
4. Poisson input of step t;
5. neurons whose refractory time ends at t are released; modal neurons, voltage-jump models and
   sources are tested, and spikes of step t are written to the part's list, and remembered for plasticity;
6. states are sampled; what acts on others all the time (of astrocytes, potentials of cells with gap junctions) is put
   where later steps find it.

All tables are flat arrays; ``Core`` and ``Net`` name them.
"""

import math
from typing import NamedTuple

import numpy as np

from . import delivery, jit, modal, poisson, sources, sync
from .memory import borrow, call_hook, prefetch
from .random import normal_at
from .step import call

# columns of ``groups``
(G_KIND, G_N, G_X, G_Y, G_PARTS, G_PART0, G_PERIOD, G_F, G_STEP, G_NPAR, G_P, G_FIRST, G_REFR0, G_REFRS,
 G_SOURCE, G_BINS, G_NBINS, G_KEY, G_PUT, G_PUTROW, G_DEPTH, G_GAP, G_GAPROW, G_SIZE) = range(24)
# G_FIRST: 0 a step is taken before what arrives at its end is added, 1 after that, 2 likewise and from step 0 on
# kinds of groups; 0..2 are the modal kinds
STEP, SOURCE = 3, 4
# columns of ``parts``
(P_GROUP, P_LO, P_HI, P_ROOM, P_BLOCK0, P_BLOCKS, P_INPUT0, P_INPUTS, P_INJ0, P_INJS, P_REC0, P_RECS, P_LEAST,
 P_ARR0, P_ARRS, P_SITE0, P_SITES, P_MOD0, P_MODS, P_GRADED0, P_GRADEDS,
 P_CHANGE0, P_CHANGES, P_GAP0, P_GAPS, P_SIZE) = range(26)
# columns of ``blocks`` (one row for each block of synapses and part of its target)
(B_SOURCE, B_RECEPTOR, B_WEIGHTS, B_WIDE, B_DELAYS, B_DELAY0, B_PTR, B_TARGETS, B_W, B_WAKES, B_RULE, B_ROWS,
 B_SINCE, B_SIZE) = range(14)
ALWAYS = -(2**62)  # B_SINCE: only spikes sent after this step are delivered
ROW_WEIGHT, WEIGHTS32, WEIGHTS64, CHANGING = range(4)
# columns of ``modulators`` (who releases dopamine for a rule in a part)
M_RULE, M_SOURCE, M_MEMBERS, M_DELAY, M_AMOUNT, M_COLS = range(6)
# what the hook of ``kernels.learning`` is called for
ARRIVE, REMEMBER, SETTLE, CUT, PEEK = range(5)
# columns of ``inputs`` (Poisson input, cut by parts)
(I_LO, I_SIZE, I_INDEX, I_RECEPTOR, I_TABLE, I_CDF, I_NCDF, I_ZERO, I_ROUNDS, I_START, I_STOP, I_COUNTS, I_KEY, I_FIRST,
 I_WEIGHT, I_ITEMS, I_COLS) = range(17)
# columns of ``injections``
J_KIND, J_INDEX, J_SIZE, J_PAR, J_NPAR, J_KEY, J_FIRST, J_COLS = range(8)
DC, STEPS, AC, NOISE = 0, 1, 2, 3
# columns of ``records``
R_ROW, R_EVERY, R_INDEX, R_SIZE, R_OUT, R_STRIDE, R_COLUMN, R_NUMBER, R_COLS = range(9)
ROW_V = -1  # of a modal group; its synaptic currents are -2 - receptor
# columns of ``stats``
S_EVENTS, S_ACTIVE, S_STEPS, S_SIZE = range(4)


class Core(NamedTuple):
    """Everything the loop reads and writes; see the engine's builder for how each is made.

    Few arrays on purpose: a call that is not inlined copies them all.
    """

    groups: np.ndarray      # int64 (groups, G_SIZE)
    parts: np.ndarray       # int64 (parts, P_SIZE)
    blocks: np.ndarray      # int64 (part blocks, B_SIZE)
    inputs: np.ndarray      # int64
    injections: np.ndarray  # int64
    records: np.ndarray     # int64
    mode: np.ndarray        # int64 (groups,): 0 clock, 1 event
    rebuild: np.ndarray     # int64 (parts,): the active list must be made anew
    x: np.ndarray           # float64: modes or states, (rows, n) for each group
    par: np.ndarray         # float64: parameters of stepping kernels
    tables: np.ndarray      # float64: decay tables of modal groups
    h: np.ndarray           # float64 (neurons,): threshold in units of m; inf while refractory
    h0: np.ndarray          # float64: threshold when not refractory
    rho: np.ndarray         # float64: reset value in units of m
    base: np.ndarray        # float64: V at m = 0, mV
    scale: np.ndarray       # float64: mV for each unit of m
    gain: np.ndarray        # float64: units of m for each nA of steady current
    reset: np.ndarray       # float64: v_reset, mV
    refractory: np.ndarray  # int32 (neurons,): steps
    refr_values: np.ndarray  # int64: distinct refractory steps of each group
    current: np.ndarray     # float64 (neurons,): injected, nA
    due: np.ndarray         # int64 (neurons,): -1, or the step an active neuron is looked at next
    active: np.ndarray      # int32 (neurons,): active lists, one for each part
    n_active: np.ndarray    # int64 (parts,)
    spikes: np.ndarray      # int32: spike lists of all parts
    offsets: np.ndarray     # int64 (parts,): where each part's list begins
    pointer: np.ndarray     # int64 (parts, steps + 1): where each step's spikes begin
    row_ptr: np.ndarray     # uint32: starts of rows, by (row, delay)
    targets16: np.ndarray   # uint16
    targets32: np.ndarray   # int32
    row_weight: np.ndarray  # float64
    weights32: np.ndarray   # float32
    weights64: np.ndarray   # float64
    delays: np.ndarray      # int64: distinct delays of each block, ascending, steps
    lookup: np.ndarray      # uint8: Poisson tables
    cdf: np.ndarray         # uint32
    zero: np.ndarray        # float64: exp(-rate) of inputs whose rates differ, and weights
    counts: np.ndarray      # uint16: Poisson numbers of four steps
    index: np.ndarray       # int64: neurons of scattered inputs, injections, records
    inj_par: np.ndarray     # float64
    following: np.ndarray   # float64 (neurons,): next time of a source, ms
    draws: np.ndarray       # int64 (neurons,)
    least: np.ndarray       # float64: minima of blocks of sources
    rate: np.ndarray        # float64 (neurons,): spikes per ms
    dead: np.ndarray        # float64 (neurons,)
    start: np.ndarray       # float64 (neurons,)
    stop: np.ndarray        # float64 (neurons,)
    bins: np.ndarray        # float64: gamma parameters
    array_step: np.ndarray  # int64: steps of given spikes, ascending within a part
    array_id: np.ndarray    # int32
    array_next: np.ndarray  # int64 (parts,)
    traces: np.ndarray      # float64: sampled states
    stats: np.ndarray       # int64 (parts, S_SIZE)
    puts: np.ndarray        # float64: what graded sources put out, a ring of steps (depth, n) for each group; of groups with
    #                         gap junctions (4, n): the potential that others see, in turn, that of the last step, the current
    stirred: np.ndarray     # int64 (greatest depth, parts): whether that differs from the step before
    meeting: np.ndarray     # int64 (1,): where threads meet
    full: np.ndarray        # int64 (4,): a part has no room for another slice (two flags in turn), a source overflowed,
    #                         spikes of targets could not be remembered
    hook: np.ndarray        # uint64 (1,): address of ``kernels.learning.act``, which only networks that learn load
    table: np.ndarray       # int64 (fields, 3): address and shape of the arrays of ``Net``, for the hook


# Besides these, what only the hook reads and writes:
_LEARNING = (
    "changing",     # float64: weights that change
    "eligibility",  # float64: of synapses with dopamine
    "rules",        # int64 (part blocks that change, R_SIZE)
    "rule_par",     # float64
    "row_state",    # float64: (rows, ROW_SIZE) for each block that changes and part
    "lags",         # int64: steps in the dendrite, twice, for each delay of such blocks; astrocytes of their targets
    "sites",        # int64 (sites, S_SIZE)
    "history",      # float64: rings of steps, traces and second values of target spikes
    "heads",        # int64: how many spikes each ring has seen
    "swept",        # float64 (sites x parts): steps up to which all rows have seen target spikes
    "voltages",     # float64: filtered potentials; calcium of some steps
    "decays",       # float64: tables of exp(-k dt / tau)
    "pools",        # float64: dopamine
    "modulators",   # int64 (.., M_COLS)
    "members",      # uint8: which cells of a group release dopamine
)

Net = NamedTuple("Net", [(name, np.ndarray) for name in (*Core._fields, *_LEARNING)])  # type: ignore[misc]


def core(net):
    """The arrays that the loop is called with."""
    return Core(*net[:len(Core._fields)])


@jit
def borrowed(net):
    """The same arrays without reference counts: counting them took most of the time of small networks."""
    return Core(borrow(net.groups), borrow(net.parts), borrow(net.blocks), borrow(net.inputs), borrow(net.injections),
               borrow(net.records), borrow(net.mode), borrow(net.rebuild), borrow(net.x), borrow(net.par),
               borrow(net.tables), borrow(net.h), borrow(net.h0), borrow(net.rho), borrow(net.base),
               borrow(net.scale), borrow(net.gain), borrow(net.reset), borrow(net.refractory),
               borrow(net.refr_values), borrow(net.current), borrow(net.due), borrow(net.active),
               borrow(net.n_active), borrow(net.spikes), borrow(net.offsets), borrow(net.pointer),
               borrow(net.row_ptr), borrow(net.targets16), borrow(net.targets32), borrow(net.row_weight),
               borrow(net.weights32), borrow(net.weights64), borrow(net.delays), borrow(net.lookup), borrow(net.cdf),
               borrow(net.zero), borrow(net.counts), borrow(net.index), borrow(net.inj_par), borrow(net.following),
               borrow(net.draws), borrow(net.least), borrow(net.rate), borrow(net.dead), borrow(net.start),
               borrow(net.stop), borrow(net.bins), borrow(net.array_step), borrow(net.array_id),
               borrow(net.array_next), borrow(net.traces), borrow(net.stats), borrow(net.puts), borrow(net.stirred),
               borrow(net.meeting), borrow(net.full), borrow(net.hook), borrow(net.table))


@jit
def amplitude(kind, par, key, cell, step, dt):
    """Injected current, nA, over (step, step + 1]; ``par`` as in `neurosim.currents`, times in ms."""
    t = step * dt
    eps = 1e-9 * dt
    if step < 0:
        return 0.0
    if kind == STEPS:
        n = par.size // 2
        low, high = 0, n  # par[:low] have come
        while low < high:
            middle = (low + high) // 2
            if par[middle] <= t + eps:
                low = middle + 1
            else:
                high = middle
        return par[n + low - 1] if low > 0 else 0.0
    if t + eps < par[0] or t + eps >= par[1]:
        return 0.0
    if kind == DC:
        return par[2]
    if kind == AC:
        return par[2] + par[3] * math.sin(2.0 * math.pi * par[4] * (t - par[0]) * 1e-3 + par[5])
    held = np.int64(math.floor((t - par[0] + eps) / par[4]))
    return par[2] + par[3] * normal_at(key, cell, held)


@jit
def amplitudes(kind, par, key, cell, step, dt, out):
    """The values of a current at successive steps from ``step`` on, as the loop injects them."""
    for j in range(out.size):
        out[j] = amplitude(kind, par, key, cell, step + j, dt)


@jit
def wake(i, kind, x, n, f, k, width, reach_e, reach_i, h, due, active, count):
    """Append neuron ``i`` to the active list if it might yet reach its threshold; returns the list's length.

    ``due`` is -1 for a neuron that is not in the list, else the step before which it cannot fire unless it
    gets input.  Small arguments on purpose: ``Net`` is copied by every call that is not inlined.
    """
    if due[i] >= 0:
        due[i] = 0
    elif modal.bound(kind, x, n, i, f, k, width, reach_e, reach_i) >= h[i]:
        due[i] = 0
        active[count] = i
        count += 1
    return count


@jit
def inject(net, g, p, t, dt, x, f, k_before):
    """Give injected currents their value for (t-1, t], or, to cells that begin at step 0, that of t; modal neurons shift so that V stays.

    Returns whether any current changed.
    """
    changed = False
    kind = net.groups[g, G_KIND]
    y = net.groups[g, G_Y]
    at = t if net.groups[g, G_FIRST] == 2 else t - 1
    for j in range(net.parts[p, P_INJ0], net.parts[p, P_INJ0] + net.parts[p, P_INJS]):
        row = net.injections[j]
        par = net.inj_par[row[J_PAR]:row[J_PAR] + row[J_NPAR]]
        shared = row[J_KIND] != NOISE or row[J_FIRST] < 0
        change = 0.0
        if shared:
            change = amplitude(row[J_KIND], par, row[J_KEY], 0, at, dt) - amplitude(row[J_KIND], par, row[J_KEY], 0, at - 1, dt)
            if change == 0.0:
                continue
        changed = True
        for q in range(row[J_INDEX], row[J_INDEX] + row[J_SIZE]):
            i = net.index[q]
            if not shared:
                cell = i - row[J_FIRST]
                change = amplitude(NOISE, par, row[J_KEY], cell, at, dt) - amplitude(NOISE, par, row[J_KEY], cell, at - 1, dt)
            shift_current(net, kind, y, i, change, x, f, k_before)
    return changed


@jit
def shift_current(net, kind, y, i, change, x, f, k):
    """Change the current into neuron ``i`` by ``change`` nA at frame step ``k``."""
    net.current[y + i] += change
    if kind < STEP:
        m = change * net.gain[y + i]
        x[i] -= m / f[k]
        net.h0[y + i] -= m
        net.h[y + i] -= m
        net.rho[y + i] -= m
        net.base[y + i] += m * net.scale[y + i]


@jit
def shift_currents(net, kind, y, ids, changes, x, f, k):
    """Change the currents into neurons ``ids`` at once (a closed loop)."""
    for j in range(ids.size):
        if changes[j] != 0.0:
            shift_current(net, kind, y, ids[j], changes[j], x, f, k)


@jit
def graded(net, g, p, t, x, f, k):
    """Currents by what graded sources (astrocytes) put out: the value of step t-1-d acts over (t-1, t].

    Returns whether any current changed.  Targets get weight times the change since the step before; a part in which
    nothing changes costs one comparison.
    """
    changed = False
    kind = net.groups[g, G_KIND]
    y = net.groups[g, G_Y]
    lo, hi = net.parts[p, P_LO], net.parts[p, P_HI]
    current = net.current[y + lo:y + hi]
    for b in range(net.parts[p, P_GRADED0], net.parts[p, P_GRADED0] + net.parts[p, P_GRADEDS]):
        row = net.blocks[b]
        source = row[B_SOURCE]
        n, depth = net.groups[source, G_N], net.groups[source, G_DEPTH]
        ring = net.puts[net.groups[source, G_PUT]:]
        n_delays = row[B_DELAYS]
        row_ptr = net.row_ptr[row[B_PTR]:]
        one = row[B_WEIGHTS] == ROW_WEIGHT
        for d in range(n_delays):
            s = t - 1 - net.delays[row[B_DELAY0] + d]
            if s < 0:
                continue
            now, before = s % depth * n, (s - 1) % depth * n
            for q in range(net.groups[source, G_PART0], net.groups[source, G_PART0] + net.groups[source, G_PARTS]):
                if net.stirred[s % depth, q] == 0:
                    continue
                changed = True
                for j in range(net.parts[q, P_LO], net.parts[q, P_HI]):
                    change = ring[now + j] - ring[before + j]
                    first, last = np.int64(row_ptr[j * n_delays + d]), np.int64(row_ptr[j * n_delays + d + 1])
                    if change == 0.0 or first == last:
                        continue
                    if one:
                        change *= net.row_weight[row[B_W] + j]
                    if kind == STEP and one:
                        if row[B_WIDE] == 1:
                            delivery.add1(current, net.targets32[row[B_TARGETS] + first:row[B_TARGETS] + last], change)
                        else:
                            delivery.add1(current, net.targets16[row[B_TARGETS] + first:row[B_TARGETS] + last], change)
                        continue
                    for e in range(first, last):
                        w = 1.0
                        if row[B_WEIGHTS] == WEIGHTS32:
                            w = np.float64(net.weights32[row[B_W] + e])
                        elif not one:
                            w = net.weights64[row[B_W] + e]
                        at = row[B_TARGETS] + e
                        i = lo + (np.int64(net.targets32[at]) if row[B_WIDE] == 1 else np.int64(net.targets16[at]))
                        shift_current(net, kind, y, i, w * change, x, f, k)
    return changed


@jit
def put_out(net, g, p, t, x):
    """Keep what a part puts out at step ``t``, and whether that is new."""
    n, depth = net.groups[g, G_N], net.groups[g, G_DEPTH]
    now = net.groups[g, G_PUT] + t % depth * n
    before = net.groups[g, G_PUT] + (t - 1) % depth * n
    state = net.groups[g, G_PUTROW] * n
    stirred = np.int64(0)
    for i in range(net.parts[p, P_LO], net.parts[p, P_HI]):
        net.puts[now + i] = x[state + i]
        if net.puts[now + i] != net.puts[before + i]:
            stirred = 1
    net.stirred[t % depth, p] = stirred


@jit
def _flow(seen, own, total, row_ptr, rows, tg, w, one):
    """Add ``w (seen[source] - own[target])`` to the targets of all rows; one weight for each row if ``one``."""
    for j in range(rows):
        u = seen[j]
        for e in range(np.int64(row_ptr[j]), np.int64(row_ptr[j + 1])):
            i = np.int64(tg[e])
            total[i] += np.float64(w[j] if one else w[e]) * (u - own[i])


@jit
def through_gaps(net, g, p, t):
    """The current over (t-1, t] into cells with gap junctions: what is injected, and conductance times difference of potentials.

    Block by block, sender by sender, so that a cell sums in one order whatever the parts.  Both ends see the same two numbers.
    """
    n, at = net.groups[g, G_N], net.groups[g, G_GAP]
    y, lo, hi = net.groups[g, G_Y], net.parts[p, P_LO], net.parts[p, P_HI]
    turn = (t - 1) & 1
    own = net.puts[at + turn * n + lo:at + turn * n + hi]
    total = net.puts[at + 3 * n + lo:at + 3 * n + hi]
    total[:] = net.current[y + lo:y + hi]
    for b in range(net.parts[p, P_GAP0], net.parts[p, P_GAP0] + net.parts[p, P_GAPS]):
        row = net.blocks[b]
        source = row[B_SOURCE]
        seen = net.puts[net.groups[source, G_GAP] + turn * net.groups[source, G_N]:]
        row_ptr, w0 = net.row_ptr[row[B_PTR]:], row[B_W]
        one = row[B_WEIGHTS] == ROW_WEIGHT
        w64 = net.row_weight[w0:] if one else net.weights64[w0:]
        if row[B_WIDE] == 1:
            wide = net.targets32[row[B_TARGETS]:]
            if row[B_WEIGHTS] == WEIGHTS32:
                _flow(seen, own, total, row_ptr, row[B_ROWS], wide, net.weights32[w0:], False)
            else:
                _flow(seen, own, total, row_ptr, row[B_ROWS], wide, w64, one)
        else:
            narrow = net.targets16[row[B_TARGETS]:]
            if row[B_WEIGHTS] == WEIGHTS32:
                _flow(seen, own, total, row_ptr, row[B_ROWS], narrow, net.weights32[w0:], False)
            else:
                _flow(seen, own, total, row_ptr, row[B_ROWS], narrow, w64, one)


@jit
def show_potential(net, g, p, t, x, first, found):
    """What gap junctions see of a part over (t, t+1]: its potential in the middle, going on as in the last step.

    A reset is no slope: a cell that has just spiked (``found`` spikes from ``first`` on) and fallen shows where it is.
    """
    n, at = net.groups[g, G_N], net.groups[g, G_GAP]
    lo, hi = net.parts[p, P_LO], net.parts[p, P_HI]
    v = x[net.groups[g, G_GAPROW] * n + lo:net.groups[g, G_GAPROW] * n + hi]
    seen = net.puts[at + (t & 1) * n + lo:at + (t & 1) * n + hi]
    before = net.puts[at + 2 * n + lo:at + 2 * n + hi]
    for i in range(v.size):
        seen[i] = v[i] + 0.5 * (v[i] - before[i])
        before[i] = v[i]
    for e in range(first, first + found):
        i = np.int64(net.spikes[e]) - lo
        seen[i] = max(seen[i], v[i])


@jit
def coefficients(kind, receptor, f, k, width):
    """What a unit of weight adds to a modal neuron's rows at frame step ``k``."""
    if kind == modal.DELTA:
        return f[width + k], 0.0, 0.0
    if kind == modal.EXP:
        r = 3 + 2 * receptor
        return f[r * width + k], f[(r + 1) * width + k], 0.0
    r = 3 + 3 * receptor
    return f[r * width + k], f[(r + 1) * width + k], f[(r + 2) * width + k]


@jit
def wake_row(kind, x, n, lo, tg, f, k, width, reach_e, reach_i, h, due, active, count):
    """Test every target of a row that has just received input."""
    if kind == modal.EXP:
        f0, f1, f2 = f[k], f[width + k], f[2 * width + k]
        for j in range(tg.size):
            i = lo + np.int64(tg[j])
            a, b, c = f0 * x[i], f1 * x[n + i], f2 * x[2 * n + i]
            total = max(a, 0.0) + max(b, 0.0) + max(c, 0.0) + 1e-12 * (abs(a) + abs(b) + abs(c))
            if total >= h[i]:
                if due[i] < 0:
                    active[count] = i
                    count += 1
                due[i] = 0
    else:
        for j in range(tg.size):
            count = wake(lo + np.int64(tg[j]), kind, x, n, f, k, width, reach_e, reach_i, h, due, active, count)
    return count


@jit
def _prefetch_row(kind, x, n, lo, tg, h):
    """A large group does not fit the cache: ask for all the lines of a row's targets at once."""
    for j in range(tg.size):
        i = lo + np.int64(tg[j])
        prefetch(x, i)
        prefetch(h, i)
        if kind != modal.DELTA:
            prefetch(x, n + i)
            prefetch(x, 2 * n + i)


@jit
def add_one(kind, receptor, x, n, lo, hi, row, z, ca, cb, cc):
    """Add weight ``z`` to all targets of a row."""
    if kind == modal.EXP:
        b = (1 + receptor) * n
        delivery.add2(x[lo:hi], x[b + lo:b + hi], row, z * ca, z * cb)
    elif kind == modal.ALPHA:
        c = (1 + 2 * receptor) * n
        delivery.add3(x[lo:hi], x[c + lo:c + hi], x[c + n + lo:c + n + hi], row, z * ca, z * cb, z * cc)
    else:  # voltage jumps (row 0) and stepping models (row ``receptor``)
        r = receptor * n if kind == STEP else 0
        delivery.add1(x[r + lo:r + hi], row, z * ca)


@jit
def add_row(kind, receptor, x, n, lo, hi, row, v, ca, cb, cc):
    """Add a row's weights ``v`` to its targets."""
    if kind == modal.EXP:
        b = (1 + receptor) * n
        delivery.add2v(x[lo:hi], x[b + lo:b + hi], row, v, ca, cb)
    elif kind == modal.ALPHA:
        c = (1 + 2 * receptor) * n
        delivery.add3v(x[lo:hi], x[c + lo:c + hi], x[c + n + lo:c + n + hi], row, v, ca, cb, cc)
    else:
        r = receptor * n if kind == STEP else 0
        delivery.add1v(x[r + lo:r + hi], row, v, ca)


@jit
def _block(kind, x, n, lo, hi, receptor, t, base_step, since, delays, pointer, spikes, offsets, row_ptr, tg, w, one_weight,
           ca, cb, cc, wakes, f, k, width, reach_e, reach_i, h, due, active, count):
    """What one block of synapses brings to one part at step ``t``; returns (events, length of the active list).

    Of spikes sent after step ``since``; ``pointer`` and ``offsets`` are those of the sending group's parts; ``w`` has one
    weight for each row if ``one_weight``, else one for each synapse.
    """
    events = np.int64(0)
    n_delays = delays.size
    for d in range(n_delays):
        s = t - delays[d] - base_step
        if s < 0 or t - delays[d] <= since:
            continue
        for q in range(pointer.shape[0]):
            for e in range(offsets[q] + pointer[q, s], offsets[q] + pointer[q, s + 1]):
                sender = np.int64(spikes[e])
                first = np.int64(row_ptr[sender * n_delays + d])
                last = np.int64(row_ptr[sender * n_delays + d + 1])
                if last == first:
                    continue
                events += last - first
                row = tg[first:last]
                if wakes and tg.itemsize == 4:
                    _prefetch_row(kind, x, n, lo, row, h)
                if one_weight:
                    add_one(kind, receptor, x, n, lo, hi, row, np.float64(w[sender]), ca, cb, cc)
                else:
                    add_row(kind, receptor, x, n, lo, hi, row, w[first:last], ca, cb, cc)
                if wakes:
                    count = wake_row(kind, x, n, lo, row, f, k, width, reach_e, reach_i, h, due, active, count)
    return events, count


@jit
def deliver(net, g, p, t, base_step, kind, x, n, lo, hi, f, k, width, event, reach_e, reach_i):
    """Everything that arrives at step ``t``; returns the number of synaptic events."""
    total = np.int64(0)
    y = net.groups[g, G_Y]
    h, due = net.h[y:y + n], net.due[y:y + n]
    active = net.active[y + lo:y + hi]
    count = net.n_active[p]
    for b in range(net.parts[p, P_BLOCK0], net.parts[p, P_BLOCK0] + net.parts[p, P_BLOCKS]):
        ca, cb, cc = 1.0, 0.0, 0.0
        receptor, since = net.blocks[b, B_RECEPTOR], net.blocks[b, B_SINCE]
        if kind < STEP:
            ca, cb, cc = coefficients(kind, receptor, f, k, width)
        delays = net.delays[net.blocks[b, B_DELAY0]:net.blocks[b, B_DELAY0] + net.blocks[b, B_DELAYS]]
        source = net.blocks[b, B_SOURCE]
        q0 = net.groups[source, G_PART0]
        q1 = q0 + net.groups[source, G_PARTS]
        pointer = net.pointer[q0:q1]
        offsets = net.offsets[q0:q1]
        wakes = event and net.blocks[b, B_WAKES] == 1
        row_ptr = net.row_ptr[net.blocks[b, B_PTR]:]
        t0, w0 = net.blocks[b, B_TARGETS], net.blocks[b, B_W]
        kind_w = net.blocks[b, B_WEIGHTS]
        one = kind_w == ROW_WEIGHT
        if net.blocks[b, B_WIDE] == 1:
            if kind_w == WEIGHTS32:
                events, count = _block(kind, x, n, lo, hi, receptor, t, base_step, since, delays, pointer, net.spikes, offsets,
                                       row_ptr, net.targets32[t0:], net.weights32[w0:], False, ca, cb, cc, wakes, f, k,
                                       width, reach_e, reach_i, h, due, active, count)
            else:
                w64 = net.row_weight[w0:] if one else net.weights64[w0:]
                events, count = _block(kind, x, n, lo, hi, receptor, t, base_step, since, delays, pointer, net.spikes, offsets,
                                       row_ptr, net.targets32[t0:], w64, one, ca, cb, cc, wakes, f, k,
                                       width, reach_e, reach_i, h, due, active, count)
        elif kind_w == WEIGHTS32:
            events, count = _block(kind, x, n, lo, hi, receptor, t, base_step, since, delays, pointer, net.spikes, offsets,
                                   row_ptr, net.targets16[t0:], net.weights32[w0:], False, ca, cb, cc, wakes, f, k,
                                   width, reach_e, reach_i, h, due, active, count)
        else:
            w64 = net.row_weight[w0:] if one else net.weights64[w0:]
            events, count = _block(kind, x, n, lo, hi, receptor, t, base_step, since, delays, pointer, net.spikes, offsets,
                                   row_ptr, net.targets16[t0:], w64, one, ca, cb, cc, wakes, f, k,
                                   width, reach_e, reach_i, h, due, active, count)
        total += events
    net.n_active[p] = count
    return total


@jit
def _add_counts(row, counts, c):
    for i in range(counts.size):
        row[i] += c * counts[i]


@jit
def _wake_counted(now, lo, index, kind, x, n, f, k, width, reach_e, reach_i, h, due, active, count):
    """Test the neurons that have just received Poisson input."""
    for q in range(now.size):
        if now[q] > 0:
            i = lo + q if index.size == 0 else index[q]
            count = wake(i, kind, x, n, f, k, width, reach_e, reach_i, h, due, active, count)
    return count


@jit
def poisson_input(net, g, p, t, fresh, kind, x, n, f, k, width, event, reach_e, reach_i):
    """The Poisson input of step ``t``."""
    for j in range(net.parts[p, P_INPUT0], net.parts[p, P_INPUT0] + net.parts[p, P_INPUTS]):
        row = net.inputs[j]
        if t <= row[I_START] or t > row[I_STOP]:
            continue
        size = row[I_SIZE]
        counts = net.counts[row[I_COUNTS]:row[I_COUNTS] + 4 * size].reshape((4, size))
        if fresh or t & 3 == 0 or t == row[I_START] + 1:
            zero = net.zero[row[I_ZERO]:row[I_ZERO] + size] if row[I_ZERO] >= 0 else net.zero[:0]
            items = net.index[row[I_ITEMS]:row[I_ITEMS] + size] if row[I_ITEMS] >= 0 else net.index[:0]
            poisson.fill_quad(row[I_FIRST], items, t >> 2, row[I_ROUNDS], np.uint64(row[I_KEY]),
                              net.lookup[row[I_TABLE]:row[I_TABLE] + 4096], net.cdf[row[I_CDF]:row[I_CDF] + row[I_NCDF]],
                              zero, counts)
        now = counts[t & 3]
        receptor = row[I_RECEPTOR]
        weight = net.zero[row[I_WEIGHT]]
        ca, cb, cc = weight, 0.0, 0.0
        if kind < STEP:
            ca, cb, cc = coefficients(kind, receptor, f, k, width)
            ca, cb, cc = ca * weight, cb * weight, cc * weight
        if row[I_INDEX] < 0:
            lo = row[I_LO]
            if kind == STEP:
                _add_counts(x[receptor * n + lo:receptor * n + lo + size], now, ca)
            else:
                _add_counts(x[lo:lo + size], now, ca)
                if kind == modal.EXP:
                    _add_counts(x[(1 + receptor) * n + lo:(1 + receptor) * n + lo + size], now, cb)
                elif kind == modal.ALPHA:
                    c = (1 + 2 * receptor) * n + lo
                    _add_counts(x[c:c + size], now, cb)
                    _add_counts(x[c + n:c + n + size], now, cc)
        else:
            for q in range(size):
                if now[q] == 0:
                    continue
                i = net.index[row[I_INDEX] + q]
                if kind == STEP:
                    x[receptor * n + i] += ca * now[q]
                else:
                    x[i] += ca * now[q]
                    if kind == modal.EXP:
                        x[(1 + receptor) * n + i] += cb * now[q]
                    elif kind == modal.ALPHA:
                        x[(1 + 2 * receptor) * n + i] += cb * now[q]
                        x[(2 + 2 * receptor) * n + i] += cc * now[q]
        if event:
            y = net.groups[g, G_Y]
            index = net.index[row[I_INDEX]:row[I_INDEX] + size] if row[I_INDEX] >= 0 else net.index[:0]
            net.n_active[p] = _wake_counted(now, row[I_LO], index, kind, x, n, f, k, width, reach_e, reach_i, net.h[y:y + n],
                                            net.due[y:y + n], net.active[y + net.parts[p, P_LO]:], net.n_active[p])


@jit
def release(i, kind, x, n, f, k, width, h, h0, rho):
    """End of the refractory time: the membrane mode is set so that V is v_reset now."""
    x[i] = (rho[i] - modal.others(kind, x, n, i, f, k, width)) / f[k]
    h[i] = h0[i]


@jit
def fire(net, g, p, t, base_step, kind, x, n, lo, hi, f, k, width, event, reach_e, reach_i):
    """Release, test, and write the spikes of modal neurons at step ``t``; returns how many."""
    y = net.groups[g, G_Y]
    r0 = net.groups[g, G_REFR0]
    offset = net.offsets[p]
    out = net.spikes[offset + net.pointer[p, t - base_step]:offset + net.parts[p, P_ROOM]]
    found, count = _fire(net.refr_values[r0:r0 + net.groups[g, G_REFRS]], net.pointer[p], net.spikes[offset:], out,
                         t, base_step, kind, x, n, lo, hi, f, k, width, event, reach_e, reach_i, net.h[y:y + n],
                         net.h0[y:y + n], net.rho[y:y + n], net.refractory[y:y + n], net.due[y:y + n],
                         net.active[y + lo:y + hi], net.n_active[p])
    net.n_active[p] = count
    return found


@jit
def _fire(refractories, pointer, spikes, out, t, base_step, kind, x, n, lo, hi, f, k, width, event, reach_e, reach_i,
          h, h0, rho, refractory, due, active, count):
    """The work of :func:`fire` on one part's arrays; returns (spikes, length of the active list)."""
    for steps in refractories:
        s = t - steps - base_step
        if steps == 0 or s < 0:
            continue
        for e in range(pointer[s], pointer[s + 1]):
            i = np.int64(spikes[e])
            if refractory[i] == steps and h[i] == math.inf:  # refractory times may have changed since
                release(i, kind, x, n, f, k, width, h, h0, rho)
                if event:
                    count = wake(i, kind, x, n, f, k, width, reach_e, reach_i, h, due, active, count)
    if event:
        found, count = _search_active(t, kind, x, n, f, k, width, reach_e, reach_i, h, due, active, count, out)
    else:
        found = modal.crossings(kind, x, n, lo, hi, h, f, k, width, out)
    for e in range(found):
        i = np.int64(out[e])
        if refractory[i] == 0:
            release(i, kind, x, n, f, k, width, h, h0, rho)
            if event:
                count = wake(i, kind, x, n, f, k, width, reach_e, reach_i, h, due, active, count)
        else:
            h[i] = math.inf
    return found, count


@jit
def _search_active(t, kind, x, n, f, k, width, reach_e, reach_i, h, due, active, count, out):
    """Test the active neurons; those that fire or can no longer fire leave the list.

    A neuron below threshold is not looked at again before the step at which it could reach it: each mode
    changes by at most its size times dt / tau in a step.  Returns (spikes, length of the list); the spikes
    are put in order of their ids.
    """
    found = 0
    r0 = -math.log(f[1] / f[0])
    r1, r2 = 0.0, 0.0
    if kind != modal.DELTA:
        r1 = -math.log(f[width + 1] / f[width])
        r2 = -math.log(f[2 * width + 1] / f[2 * width])
    j = 0
    while j < count:
        i = np.int64(active[j])
        if due[i] > t:
            j += 1
            continue
        leaves = False
        m = modal.value(kind, x, n, i, f, k, width)
        if m >= h[i]:
            out[found] = i
            found += 1
            leaves = True
        elif modal.bound(kind, x, n, i, f, k, width, reach_e, reach_i) < h[i]:
            leaves = True
        if leaves:
            due[i] = -1
            count -= 1
            active[j] = active[count]
        else:
            rise = modal.steepest(kind, x, n, i, f, k, width, r0, r1, r2)
            steps = (h[i] - m) * (1.0 - 1e-9) / rise - 1e-3
            if steps > 1.0:
                due[i] = t + np.int64(min(steps, 1e6)) + 1
            j += 1
    for a in range(1, found):  # few at a time
        z = out[a]
        b = a - 1
        while b >= 0 and out[b] > z:
            out[b + 1] = out[b]
            b -= 1
        out[b + 1] = z
    return found, count


@jit
def list_active(lo, hi, kind, x, n, f, k, width, reach_e, reach_i, h, due, active):
    """Make the active list of a part anew (when event updates begin, or currents change); returns its length."""
    count = np.int64(0)
    for i in range(lo, hi):
        due[i] = -1
        count = wake(i, kind, x, n, f, k, width, reach_e, reach_i, h, due, active, count)
    return count


@jit
def count_active(lo, hi, kind, x, n, f, k, width, reach_e, reach_i, h):
    """How many neurons of a part would be active."""
    count = np.int64(0)
    for i in range(lo, hi):
        if modal.bound(kind, x, n, i, f, k, width, reach_e, reach_i) >= h[i]:
            count += 1
    return count


@jit
def send(net, g, p, t, dt, base_step, lo, hi):
    """Spikes of a source group at step ``t``; returns how many, -1 if there is no room."""
    group = net.groups[g]
    y = group[G_Y]
    n = group[G_N]
    offset = net.offsets[p] + net.pointer[p, t - base_step]
    room = net.offsets[p] + net.parts[p, P_ROOM] - offset
    out = net.spikes[offset:offset + room]
    if group[G_SOURCE] == sources.ARRAY:
        found = 0
        j = net.array_next[p]
        end = net.parts[p, P_ARR0] + net.parts[p, P_ARRS]
        while j < end and net.array_step[j] <= t:
            if found == room:
                return -1
            out[found] = net.array_id[j]
            found += 1
            j += 1
        net.array_next[p] = j
        return found
    blocks = (hi - lo + sources.BLOCK - 1) // sources.BLOCK
    least = net.least[net.parts[p, P_LEAST]:net.parts[p, P_LEAST] + blocks]
    bins = net.bins[group[G_BINS]:group[G_BINS] + 3 * group[G_NBINS]].reshape((3, group[G_NBINS]))
    return sources.emit(group[G_SOURCE], np.uint64(group[G_KEY]), lo, hi, t * dt * (1.0 + 1e-15), net.following[y:y + n],
                        net.draws[y:y + n], least, net.rate[y:y + n], net.dead[y:y + n], net.start[y:y + n],
                        net.stop[y:y + n], bins, out, room)


@jit
def sample(net, g, p, t, first_step, kind, x, n, f, k, width, dt):
    """Write the states that are recorded at step ``t``."""
    y = net.groups[g, G_Y]
    for j in range(net.parts[p, P_REC0], net.parts[p, P_REC0] + net.parts[p, P_RECS]):
        row = net.records[j]
        every = row[R_EVERY]
        if t % every != 0:
            continue
        line = (t // every) - (first_step + every - 1) // every
        out = row[R_OUT] + line * row[R_STRIDE] + row[R_COLUMN]
        what = row[R_ROW]
        for q in range(row[R_SIZE]):
            i = net.index[row[R_INDEX] + q]
            if what >= 0:
                z = x[what * n + i]
            elif what == ROW_V:
                z = modal.potential(kind, x, n, i, f, k, width, net.h[y:], net.base[y:], net.scale[y:], net.reset[y:])
            else:
                z = current_of(kind, x, n, i, f, k, width, -what - 2)
            net.traces[out + q] = z


@jit
def current_of(kind, x, n, i, f, k, width, receptor):
    """Synaptic current (nA) of a modal neuron."""
    if kind == modal.EXP:
        r = 3 + 2 * receptor
        return x[(1 + receptor) * n + i] / f[(r + 1) * width + k]
    # alpha: sum of w s exp(-s / tau) from the pair (C, D); the last row of the tables holds the constants
    c = x[(1 + 2 * receptor) * n + i]
    d = x[(2 + 2 * receptor) * n + i]
    constants = f[9 * width + 3 * receptor:9 * width + 3 * receptor + 2]
    return (c + constants[0] * d + d * k) * f[(1 + receptor) * width + k] * constants[1]


@jit
def learn(net, what, p, t, base_step, found, dt):
    """Call ``kernels.learning.act``: rows that change, and what they remember."""
    return call_hook(net.hook[0], np.uint64(net.table.ctypes.data), what, p, t, base_step, found, dt)


@jit
def begin(net, base_step, dt):
    """Step 0 of the cells that begin with it: nothing arrives, the injected currents are those of step 0; their spikes are listed."""
    for p in range(net.parts.shape[0]):
        part = net.parts[p]
        g = part[P_GROUP]
        group = net.groups[g]
        if group[G_KIND] != STEP or group[G_FIRST] != 2:
            continue
        if part[P_INJS] > 0:
            inject(net, g, p, 0, dt, net.x[group[G_X]:], net.tables[group[G_F]:], 0)
        used = net.pointer[p, -base_step]
        found = call(np.uint64(group[G_STEP]), part[P_LO], part[P_HI], group[G_N], group[G_NPAR],
                     np.uint64(net.x.ctypes.data + 8 * group[G_X]), np.uint64(net.par.ctypes.data + 8 * group[G_P]),
                     np.uint64(net.current.ctypes.data + 8 * group[G_Y]),
                     np.uint64(net.spikes.ctypes.data + 4 * (net.offsets[p] + used)), 0, dt, np.uint64(group[G_KEY]))
        net.pointer[p, 1 - base_step] = used + found
        if part[P_SITES] > 0:
            learn(net, REMEMBER, p, 0, base_step, found, dt)


@jit
def run_part(net, p, t0, t1, first_step, base_step, dt, fresh):
    """Advance part ``p`` from step t0 to step t1; sets ``full[2]`` if a source found no room."""
    part = net.parts[p]
    g = part[P_GROUP]
    group = net.groups[g]
    kind = group[G_KIND]
    n = group[G_N]
    lo, hi = part[P_LO], part[P_HI]
    y = group[G_Y]
    x = net.x[group[G_X]:]
    period = group[G_PERIOD]
    width = period + 1
    f = net.tables[group[G_F]:]
    is_modal = kind < STEP
    event = is_modal and net.mode[g] == 1
    reach_e, reach_i = modal.reach(kind, f, width)
    p_x = np.uint64(net.x.ctypes.data + 8 * group[G_X])
    p_par = np.uint64(net.par.ctypes.data + 8 * group[G_P])
    p_cur = np.uint64(net.current.ctypes.data + 8 * y)
    if part[P_GAPS] > 0:
        p_cur = np.uint64(net.puts.ctypes.data + 8 * (group[G_GAP] + 3 * n))
    p_spk = np.uint64(net.spikes.ctypes.data)
    address = np.uint64(group[G_STEP])
    events = np.int64(0)
    active = np.int64(0)
    for t in range(t0 + 1, t1 + 1):
        k = np.int64(0)
        changed = False
        if part[P_INJS] > 0 or part[P_GRADEDS] > 0:
            before = (t - 1) % period if is_modal else np.int64(0)
            changed = inject(net, g, p, t, dt, x, f, before) | graded(net, g, p, t, x, f, before)
        if part[P_GAPS] > 0:
            through_gaps(net, g, p, t)
        if is_modal:
            k = t % period
            if k == 0:
                modal.renew(kind, x, n, lo, hi, f, period, width)
            if event and changed:
                net.n_active[p] = list_active(lo, hi, kind, x, n, f, k, width, reach_e, reach_i, net.h[y:y + n],
                                              net.due[y:y + n], net.active[y + lo:y + hi])
        used = net.pointer[p, t - base_step]
        found = np.int64(0)
        if kind == STEP and group[G_FIRST] == 0:
            found = call(address, lo, hi, n, group[G_NPAR], p_x, p_par, p_cur,
                         p_spk + np.uint64(4 * (net.offsets[p] + used)), t, dt, np.uint64(group[G_KEY]))
        if part[P_BLOCKS] > 0:
            events += deliver(net, g, p, t, base_step, kind, x, n, lo, hi, f, k, width, event, reach_e, reach_i)
        if part[P_CHANGES] > 0:
            events += learn(net, ARRIVE, p, t, base_step, 0, dt)
        if part[P_INPUTS] > 0:
            poisson_input(net, g, p, t, fresh and t == t0 + 1, kind, x, n, f, k, width, event, reach_e, reach_i)
        if is_modal:
            found = fire(net, g, p, t, base_step, kind, x, n, lo, hi, f, k, width, event, reach_e, reach_i)
            active += net.n_active[p]
        elif kind == STEP:
            if group[G_FIRST] > 0:
                found = call(address, lo, hi, n, group[G_NPAR], p_x, p_par, p_cur,
                             p_spk + np.uint64(4 * (net.offsets[p] + used)), t, dt, np.uint64(group[G_KEY]))
        else:
            found = send(net, g, p, t, dt, base_step, lo, hi)
            if found < 0:
                net.full[2] = 1
                found = np.int64(0)
        net.pointer[p, t - base_step + 1] = used + found
        if part[P_SITES] > 0:
            learn(net, REMEMBER, p, t, base_step, found, dt)
        if group[G_PUT] >= 0:
            put_out(net, g, p, t, x)
        if group[G_GAP] >= 0:
            show_potential(net, g, p, t, x, net.offsets[p] + used, found)
        if part[P_RECS] > 0:
            sample(net, g, p, t, first_step, kind, x, n, f, k, width, dt)
    net.stats[p, S_EVENTS] += events
    net.stats[p, S_ACTIVE] += active
    net.stats[p, S_STEPS] += t1 - t0


@jit
def advance(net, owner, thread, n_threads, t0, t1, base_step, slice_steps, multiplicity, dt):
    """Run the parts of one thread from step t0 to t1; returns the step reached.

    ``owner`` (parts,) names each part's thread.  ``multiplicity`` (parts,) is the most spikes of a
    neuron in one step.  All threads get the same arguments but ``thread`` and leave at the same step.
    """
    return _advance(borrowed(net), owner, thread, n_threads, t0, t1, base_step, slice_steps, multiplicity, dt)


@jit
def _advance(net, owner, thread, n_threads, t0, t1, base_step, slice_steps, multiplicity, dt):
    t = t0
    meeting = np.int64(0)
    fresh = True
    for p in range(net.parts.shape[0]):
        if owner[p] == thread and net.rebuild[p] == 1:
            g = net.parts[p, P_GROUP]
            width = net.groups[g, G_PERIOD] + 1
            f = net.tables[net.groups[g, G_F]:]
            reach_e, reach_i = modal.reach(net.groups[g, G_KIND], f, width)
            y, n = net.groups[g, G_Y], net.groups[g, G_N]
            lo, hi = net.parts[p, P_LO], net.parts[p, P_HI]
            net.n_active[p] = list_active(lo, hi, net.groups[g, G_KIND], net.x[net.groups[g, G_X]:], n, f,
                                          t0 % net.groups[g, G_PERIOD], width, reach_e, reach_i, net.h[y:y + n],
                                          net.due[y:y + n], net.active[y + lo:y + hi])
            net.rebuild[p] = 0
    while t < t1:
        stop = min(t + slice_steps, t1)
        for p in range(net.parts.shape[0]):
            if owner[p] == thread:
                most = (net.parts[p, P_HI] - net.parts[p, P_LO]) * slice_steps * multiplicity[p]
                if net.pointer[p, t - base_step + 1] + most > net.parts[p, P_ROOM]:
                    net.full[meeting & 1] = 1
        if net.full[2] != 0:
            net.full[meeting & 1] = 1
        # Two flags in turn: nobody can set the next one before all have read this one.
        flag = meeting & 1
        meeting += 1
        if n_threads > 1:
            sync.meet(net.meeting, n_threads, meeting)
        if net.full[flag] != 0:
            break
        for p in range(net.parts.shape[0]):
            if owner[p] == thread:
                run_part(net, p, t, stop, t0 + 1, base_step, dt, fresh)
        fresh = False
        t = stop
    if n_threads > 1:
        meeting += 1
        sync.meet(net.meeting, n_threads, meeting)
    return t
