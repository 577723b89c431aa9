"""A network of SpiNNaker cores, tick by tick: 16-bit ring buffers, rows of synapses, sources, what is recorded.

A core's timer runs a tick t in this order: the ring buffer's row of t goes into the cells, states are sampled, cells advance, spikes
are sent; the rows of all spikes of t are then added to the ring buffers at t + delay.  A delay beyond the ring buffer goes through a
delay extension, which sends the spike again ``lag`` ticks later; what is left of the delay fits into the ring buffer.
Arithmetic as in sPyNNaker's ``synapses.c`` and ``delay_extension.c`` (7.4.1): additions saturate at 0xFFFF.
"""

from typing import NamedTuple

import numpy as np

from . import inlined, jit
from .spinnaker_cells import add_input, sample
from .spinnaker_cells import advance as advance_cells
from .spinnaker_sources import add_current, poisson_tick
from .spinnaker_stdp import post_event, pre_event

# Columns of `Machine.pops`: its first cell among all, its size, and where its share of each flat array begins.
(P_KIND, P_FIRST, P_N, P_MODEL, P_STATE, P_STATES, P_PAR, P_PARS, P_TYPES, P_SLOTS, P_RING, P_SHIFTS, P_GIVEN, P_GIVENS,
 P_CORE, P_CORES, P_CURRENT, P_CURRENTS, P_LEARNS, P_RULE, P_RULES, P_TABLE, P_TABLES, P_TERMS, P_HISTORY) = range(25)
P_COLUMNS = 25
CELLS, GIVEN, POISSON = range(3)  # P_KIND

# Columns of `Machine.rows`: the synapses R_LO .. R_HI - 1 of one source, into one receptor of one population.
R_POP, R_TYPE, R_LO, R_HI, R_LEARNS = range(5)  # R_LEARNS: number of the row among those that learn, or -1
R_COLUMNS = 5

# Columns of `Machine.records`: a variable of cells S_IDS .. S_IDS + S_N - 1 of `record_ids`, every S_EVERY ticks, written from S_OUT on.
S_POP, S_VARIABLE, S_EVERY, S_IDS, S_N, S_OUT = range(6)
S_COLUMNS = 6

HALF_WORD = 0xFFFF


class Machine(NamedTuple):
    """All arrays; those of populations are flat, one after the other.

    Synapses: ``target`` int32 counted within the population, ``delay`` int32 (1 .. slots), ``weight`` uint16.  The rows of source s
    at lag number l are ``first_row[l, s]`` .. ``first_row[l, s + 1]``.  Spikes of tick base + k are
    ``spikes[pointer[k]:pointer[k + 1]]``, as numbers among all cells.
    """

    pops: np.ndarray  # int64 (populations, P_COLUMNS)
    state: np.ndarray  # int32
    par: np.ndarray  # int64
    ring: np.ndarray  # uint16, (slots, types, n) of each population
    shifts: np.ndarray  # int64
    saturated: np.ndarray  # int64, beside shifts: additions that saturated
    bias: np.ndarray  # int32 (cells,): injected current, s16.15
    fired: np.ndarray  # int32 (largest population,)
    rows: np.ndarray  # int64 (rows, R_COLUMNS)
    first_row: np.ndarray  # int64 (lags, cells + 1)
    lags: np.ndarray  # int64 (lags,)
    target: np.ndarray
    delay: np.ndarray
    weight: np.ndarray
    row_time: np.ndarray  # int32 (rows that learn,)
    row_trace: np.ndarray  # int32 (rows that learn, 2)
    rule: np.ndarray  # int64
    tables: np.ndarray  # int32
    terms: np.ndarray  # int64 (receptors that learn, 7)
    post_times: np.ndarray  # int32 (cells that learn, 16)
    post_traces: np.ndarray  # int32 (cells that learn, 16, 2)
    post_count: np.ndarray  # int32 (cells that learn,)
    given_tick: np.ndarray  # int64: ticks of given spikes, ascending in each population
    given_id: np.ndarray  # int32
    given_next: np.ndarray  # int64 (populations,)
    cores: np.ndarray  # int64 (Poisson cores, 2): first source and end, counted among all Poisson sources
    seeds: np.ndarray  # uint32 (Poisson cores, 4)
    sources: np.ndarray  # int64 (Poisson sources, columns of kernels.spinnaker_sources)
    currents: np.ndarray  # int64 (currents, columns of kernels.spinnaker_sources)
    current_cells: np.ndarray  # int32
    current_steps: np.ndarray  # int64 (steps, 2): tick, amplitude
    current_seeds: np.ndarray  # uint32 (noise, 4)
    records: np.ndarray  # int64 (recordings, S_COLUMNS)
    record_ids: np.ndarray  # int32
    samples: np.ndarray  # int32
    spikes: np.ndarray  # int32
    pointer: np.ndarray  # int64


@inlined
def add_row(t, lo, hi, target, delay, weight, base, width, mask, ring):
    """Add static synapses lo .. hi - 1 to ``ring`` at t + delay; returns how many additions saturated.

    The ring buffer's row of tick 0 begins at ``base`` for this receptor, the next one ``width`` later; slots are ``mask`` + 1.
    """
    saturated = 0
    for k in range(lo, hi):
        at = base + ((t + delay[k]) & mask) * width + target[k]
        total = np.int64(ring[at]) + np.int64(weight[k])
        if total > HALF_WORD:
            total = np.int64(HALF_WORD)
            saturated += 1
        ring[at] = total
    return saturated


@inlined
def _state(m, pop):
    return m.state[pop[P_STATE]:pop[P_STATE] + pop[P_STATES] * pop[P_N]].reshape((pop[P_STATES], pop[P_N]))


@inlined
def _par(m, pop):
    return m.par[pop[P_PAR]:pop[P_PAR] + pop[P_PARS] * pop[P_N]].reshape((pop[P_PARS], pop[P_N]))


@jit
def _receive(m, p, t):
    """Add the ring buffer's row of tick t to the cells' state; the row is empty afterwards."""
    pop = m.pops[p]
    n, types = pop[P_N], pop[P_TYPES]
    at = pop[P_RING] + (t & (pop[P_SLOTS] - 1)) * types * n
    row = m.ring[at:at + types * n].reshape((types, n))
    add_input(pop[P_MODEL], _state(m, pop), _par(m, pop), row, m.shifts[pop[P_SHIFTS]:pop[P_SHIFTS] + types])


@jit
def _sample(m, t, start):
    """Copy the states that are recorded at tick t; the chunk began at tick ``start``."""
    for r in range(m.records.shape[0]):
        record = m.records[r]
        every = record[S_EVERY]
        if t % every == 0:
            pop, n, first = m.pops[record[S_POP]], record[S_N], record[S_IDS]
            at = record[S_OUT] + (t // every - (start + every - 1) // every) * n
            sample(pop[P_MODEL], record[S_VARIABLE], _state(m, pop), _par(m, pop), m.record_ids[first:first + n], m.samples[at:at + n])


@jit
def _advance(m, p, t):
    """The rest of a tick of a population of cells; returns how many fired, their numbers in ``fired``."""
    pop = m.pops[p]
    n, first = pop[P_N], pop[P_FIRST]
    bias = m.bias[first:first + n]
    if pop[P_CURRENTS] > 0:
        bias[:] = 0
        for c in range(pop[P_CURRENT], pop[P_CURRENT] + pop[P_CURRENTS]):
            add_current(t, m.currents[c], m.current_cells, m.current_steps, m.current_seeds, bias)
    count = advance_cells(pop[P_MODEL], _state(m, pop), _par(m, pop), bias, m.fired)
    if pop[P_LEARNS]:
        rule = m.rule[pop[P_RULE]:pop[P_RULE] + pop[P_RULES]]
        tables = m.tables[pop[P_TABLE]:pop[P_TABLE] + pop[P_TABLES]]
        h = pop[P_HISTORY]
        for k in range(count):
            post_event(rule, tables, m.post_times[h:h + n], m.post_traces[h:h + n], m.post_count[h:h + n], m.fired[k], t)
    return count


@jit
def _learn(m, r, t):
    """Bring row r of synapses that learn up to date and add it to the ring buffer; returns how many additions saturated."""
    pop = m.pops[m.rows[r, R_POP]]
    n, types, slots, h = pop[P_N], pop[P_TYPES], pop[P_SLOTS], pop[P_HISTORY]
    return pre_event(m.rule[pop[P_RULE]:pop[P_RULE] + pop[P_RULES]], m.tables[pop[P_TABLE]:pop[P_TABLE] + pop[P_TABLES]],
                     m.terms[pop[P_TERMS]:pop[P_TERMS] + types], t, m.rows[r, R_TYPE], m.rows[r, R_LEARNS], m.row_time, m.row_trace,
                     m.rows[r, R_LO], m.rows[r, R_HI], m.target, m.delay, m.weight, m.post_times[h:h + n], m.post_traces[h:h + n],
                     m.post_count[h:h + n], m.ring[pop[P_RING]:pop[P_RING] + slots * types * n].reshape((slots, types, n)))


@jit
def _deliver(m, t, base):
    """Process the rows of all spikes that are sent in tick t, or were sent a lag before it."""
    pops, rows, first_row, spikes, pointer, ring, saturated = m.pops, m.rows, m.first_row, m.spikes, m.pointer, m.ring, m.saturated
    target, delay, weight = m.target, m.delay, m.weight
    for number in range(m.lags.size):
        sent = t - m.lags[number] - base
        if sent < 0:
            continue
        for k in range(pointer[sent], pointer[sent + 1]):
            for r in range(first_row[number, spikes[k]], first_row[number, spikes[k] + 1]):
                p, kind = rows[r, R_POP], rows[r, R_TYPE]
                if rows[r, R_LEARNS] < 0:
                    n = pops[p, P_N]
                    found = add_row(t, rows[r, R_LO], rows[r, R_HI], target, delay, weight, pops[p, P_RING] + kind * n,
                                    pops[p, P_TYPES] * n, pops[p, P_SLOTS] - 1, ring)
                else:
                    found = _learn(m, r, t)
                saturated[pops[p, P_SHIFTS] + kind] += found


@jit
def run_ticks(m, start, stop, base, worst):
    """Ticks start .. stop - 1, or fewer if the list of spikes is full; returns the next tick, or -1 - t if it was too short in tick t.

    Parameters
    ----------
    m : Machine
    base : int
        Tick of ``pointer[0]``; the spikes of ticks base .. start - 1 that a delay extension still holds are there already.
    worst : int
        The most spikes that are expected of a tick.
    """
    room = m.spikes.size
    for t in range(start, stop):
        end = m.pointer[t - base]
        if end + worst > room and t > start:
            return t
        for p in range(m.pops.shape[0]):
            if m.pops[p, P_KIND] == CELLS:
                _receive(m, p, t)
        _sample(m, t, start)
        for p in range(m.pops.shape[0]):
            kind, first = m.pops[p, P_KIND], m.pops[p, P_FIRST]
            if kind == CELLS:
                count = _advance(m, p, t)
                if end + count > room:
                    return -1 - t
                for k in range(count):
                    m.spikes[end + k] = first + m.fired[k]
                end += count
            elif kind == GIVEN:
                at, last = m.given_next[p], m.pops[p, P_GIVEN] + m.pops[p, P_GIVENS]
                while at < last and m.given_tick[at] <= t:
                    if end == room:
                        return -1 - t
                    m.spikes[end] = first + m.given_id[at]
                    end += 1
                    at += 1
                m.given_next[p] = at
            else:
                for c in range(m.pops[p, P_CORE], m.pops[p, P_CORE] + m.pops[p, P_CORES]):
                    end = poisson_tick(t, m.cores[c, 0], m.cores[c, 1], first - m.cores[m.pops[p, P_CORE], 0], m.seeds[c], m.sources,
                                       m.spikes, end)
                    if end < 0:
                        return -1 - t
        m.pointer[t - base + 1] = end
        _deliver(m, t, base)
    return stop
