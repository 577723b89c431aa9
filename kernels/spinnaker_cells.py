"""SpiNNaker's neurons, in every bit: one step of all neurons of a population, in the machine's arithmetic.

With mulk, expk and decay of :mod:`~neurosim.kernels.fixed` and h the step in ms, one step of a leaky neuron is::

    I = exc - inh + i_offset + injected - i_ca2
    not refractory:  a = mulk(I, R) + v_rest,   v = a - mulk(exp_TC, a - v)
    v >= v_thresh :  spike, v = v_reset, refractory for T steps, i_ca2 += i_alpha
    g = decay(g, exp(-h/tau_syn))

Izhikevich's takes one midpoint step of the second order, of 1.85 h after a spike; a neuron without leak adds mulk(I, R) and does not
fall below v_reset.  Source: neural_modelling/src/neuron of sPyNNaker (implementations/neuron_impl_standard.h, models, synapse_types,
input_types, additional_inputs), held against the binaries that sPyNNaker 7.4.1 ships.

Each part of a step is a loop over all neurons that LLVM vectorises.  Arrays are those of :mod:`~neurosim.kernels.spinnaker_layout`.
"""

import numpy as np

from . import inlined, jit
from .fixed import ONE, decay, expk, kdivk, mulk, wrap
from .spinnaker_layout import (
    ALPHA,
    CONDUCTANCE,
    DELTA,
    FIXED_CHANCE,
    HAZARD,
    IZHIKEVICH,
    JUMP,
    LEAKY,
    PAR_SYNAPSES,
    SEMD,
    STATE_SYNAPSES,
    adapts_of,
    chance_of,
    membrane_of,
    synapses_of,
    types_of,
    use_of,
)
from .spinnaker_sources import draw

V, EXCITATORY, INHIBITORY = 0, 1, 2  # what can be recorded

_SHIFT = 10  # of conductances
_140 = 140 * ONE
_5 = 5 * ONE
_MAGIC = 1311  # 0.04
_LATE = 60620  # 1.85: how much longer the step after a spike is
_SMALL = 32  # 0.001: excitatory2 of sEMD that counts as none
_MOST = 26214  # 0.8: the greatest probability of a spike in a step, where a hazard decides


@jit
def add_input(code, state, par, ring, shifts):
    """Take the input of this step out of the ring buffers, which are emptied.

    Parameters
    ----------
    code : int
    state : ndarray, int32 (rows, n)
    par : ndarray, int64 (rows, n)
    ring : ndarray, uint16 (types, n)
        The slot of this step.
    shifts : ndarray, int64 (types,)
    """
    synapses = synapses_of(code)
    for k in range(ring.shape[0]):
        shift = shifts[k]
        for j in range(ring.shape[1]):
            if ring[k, j]:
                given = wrap(np.int64(ring[k, j]) << shift)
                ring[k, j] = 0
                if synapses == DELTA:
                    state[STATE_SYNAPSES + k, j] += given
                elif synapses != ALPHA:
                    state[STATE_SYNAPSES + k, j] += decay(given, par[PAR_SYNAPSES + 1 + 2 * k, j])
                elif given > 0:
                    row = STATE_SYNAPSES + 3 * k
                    grown = wrap(decay(state[row + 1, j], par[PAR_SYNAPSES + 2 * k, j]) + ONE)
                    linear = wrap(state[row, j] + mulk(given, par[PAR_SYNAPSES + 1 + 2 * k, j]))
                    state[row, j] = mulk(linear, ONE - kdivk(ONE, grown))
                    state[row + 1, j] = grown
                    state[row + 2, j] = given


@inlined
def _multiplier(state, j):
    """sEMD: excitatory at the moment at which excitatory2 begins, until that has faded."""
    second = state[4, j]
    if second >= _SMALL and state[6, j] == 0 and state[7, j] == 0:
        return np.int64(state[3, j])
    return np.int64(0) if second < _SMALL else np.int64(state[6, j])


@jit
def _input(code, state, par, k, out):
    """Input of receptor k of all neurons, int32 (n,): nA, uS (times 1024 on the machine until here) or mV."""
    synapses = synapses_of(code)
    if synapses == ALPHA:
        row = STATE_SYNAPSES + 3 * k
        linear, grown = state[row], state[row + 1]
        for j in range(out.size):
            out[j] = mulk(np.int64(linear[j]), np.int64(grown[j]))
    elif synapses == SEMD and k == 0:
        out[:] = 0
    elif synapses == SEMD and k == 1:
        for j in range(out.size):
            out[j] = mulk(mulk(np.int64(state[4, j]), par[17, j]), _multiplier(state, j))
    else:
        g, shift = state[STATE_SYNAPSES + k], _SHIFT if use_of(code) == CONDUCTANCE else 0
        for j in range(out.size):
            out[j] = g[j] >> shift


@jit
def sample(code, variable, state, par, ids, out):
    """What the machine records of neurons ``ids`` between :func:`add_input` and :func:`advance`, into ``out`` (int32, s16.15).

    ``variable`` is V, EXCITATORY or INHIBITORY: v, gsyn_exc (currents in nA, conductances in uS, jumps in mV), gsyn_inh.
    """
    if variable == V:
        for i in range(ids.size):
            out[i] = state[0, ids[i]]
        return
    given = np.empty(state.shape[1], np.int32)
    last = types_of(code) - 1
    _input(code, state, par, last if variable == INHIBITORY else 0, given)
    for i in range(ids.size):
        out[i] = given[ids[i]]
    if variable == EXCITATORY and last == 2:
        _input(code, state, par, 1, given)
        for i in range(ids.size):
            out[i] += given[ids[i]]


@jit
def _collect(code, state, par, bias, given, current):
    """Current of all neurons, int32 (n,), with ``given`` to work in; adaptation and sEMD's memory go a step on."""
    acts_as, types, v = use_of(code), types_of(code), state[0]
    for j in range(current.size):
        current[j] = par[0, j] + bias[j]
    for k in range(types):
        _input(code, state, par, k, given)
        sign = 1 if k < types - 1 else -1
        if acts_as == CONDUCTANCE:
            reversal = par[7] if sign == 1 else par[8]
            for j in range(current.size):
                current[j] += sign * mulk(sign * np.int64(given[j]), wrap(reversal[j] - v[j]))
        elif acts_as == JUMP:
            for j in range(current.size):
                current[j] += sign * mulk(np.int64(given[j]), par[7, j])
        else:
            for j in range(current.size):
                current[j] += sign * given[j]
    if synapses_of(code) == SEMD:
        for j in range(current.size):
            state[6, j] = _multiplier(state, j)
            state[7, j] = state[4, j]
    if adapts_of(code):
        for j in range(current.size):
            state[2, j] = mulk(np.int64(state[2, j]), par[9, j])
            current[j] -= state[2, j]


@inlined
def _square(v):
    """(5 + 0.04 v) v."""
    return mulk(wrap(_5 + mulk(np.int64(_MAGIC), v)), v)


@jit
def _midpoint(state, par, current):
    """Izhikevich's equations over one step: the midpoint method."""
    for j in range(current.size):
        v, u, h = np.int64(state[0, j]), np.int64(state[1, j]), np.int64(state[2, j])
        rate, b = mulk(par[4, j], h), par[5, j]
        rest = wrap(_140 + current[j] - u)
        halfway = wrap(v + (mulk(h, wrap(rest + _square(v))) >> 1))
        risen = mulk(wrap(mulk(b, v) - u), rate) >> 1
        state[0, j] = v + mulk(h, wrap(rest - risen + _square(halfway)))
        state[1, j] = u + mulk(rate, wrap(mulk(b, halfway) - u - risen))
        state[2, j] = par[6, j]


@jit
def _leak(state, par, current):
    """Leaky neurons over one step; those that are refractory wait."""
    v, left = state[0], state[1]
    for j in range(current.size):
        waits = left[j] > 0
        target = wrap(mulk(np.int64(current[j]), par[5, j]) + par[4, j])
        new = np.int32(target - mulk(par[6, j], wrap(target - v[j])))
        v[j] = v[j] if waits else new
        left[j] = left[j] - 1 if waits else left[j]


@jit
def _integrate(state, par, current):
    """Neurons without leak over one step."""
    for j in range(current.size):
        if state[1, j] > 0:
            state[1, j] -= 1
        else:
            state[0, j] = max(wrap(mulk(np.int64(current[j]), par[5, j]) + state[0, j]), par[2, j])


@jit
def _chosen(state, par, fired, count):
    """Keep those that chance lets spike; each draws from a generator of its own."""
    seeds, kept = state[state.shape[0] - 4:].view(np.uint32), 0
    for i in range(count):
        j = fired[i]
        if draw(seeds[:, j]) < par[9, j]:
            fired[kept] = j
            kept += 1
    return kept


@jit
def _at_risk(state, par, fired):
    """Those that spike by a hazard exp((v - v_thresh)/du_th)/tau_th; the neurons of a core draw in turn from one generator.

    The machine takes 1 - exp(+h/10 hazard), whose sign is wrong: as a number without sign it is above every draw, so that a
    neuron spikes for certain where the hazard is not too small to be seen (v above about v_thresh - 5 du_th), up to
    v_thresh + 5 du_th, and beyond that with probability 0.8.
    """
    seeds, rows, count = state[state.shape[0] - 4:].view(np.uint32), par.shape[0], 0
    for j in range(state.shape[1]):
        random = draw(seeds[:, par[rows - 1, j]]) & 0xFFFF
        exponent = mulk(wrap(np.int64(state[0, j]) - par[1, j]), par[9, j])
        chance = np.int64(_MOST)
        if exponent < _5:
            step = mulk(mulk(par[10, j], par[rows - 2, j]), expk(exponent))
            chance = mulk(wrap(ONE - expk(step)), np.int64(_MOST)) & 0x7FFFFFFF
        if chance >= random >> 1:
            fired[count] = j
            count += 1
    return count


@jit
def _fire(code, state, par, fired):
    """Reset those at the threshold; returns how many, their numbers in ``fired``."""
    if chance_of(code) == HAZARD:
        count = _at_risk(state, par, fired)
    else:
        count = 0
        for j in range(state.shape[1]):
            fired[count] = j
            count += state[0, j] >= par[1, j]
        if chance_of(code) == FIXED_CHANCE:
            count = _chosen(state, par, fired, count)
    for i in range(count):
        j = fired[i]
        state[0, j] = par[2, j]
        if membrane_of(code) == IZHIKEVICH:
            state[1, j] += par[3, j]
            state[2, j] = mulk(par[6, j], np.int64(_LATE))
        else:
            state[1, j] = par[3, j]
        if adapts_of(code):
            state[2, j] += par[10, j]
    return count


@jit
def _fade(code, state, par):
    """Synapses at the end of a step."""
    n, synapses = state.shape[1], synapses_of(code)
    if synapses == DELTA:
        state[3:5] = 0
    elif synapses == ALPHA:
        for k in range(2):
            row = STATE_SYNAPSES + 3 * k
            linear, grown, last = state[row], state[row + 1], state[row + 2]
            for j in range(n):
                linear[j] += mulk(np.int64(last[j]), par[PAR_SYNAPSES + 1 + 2 * k, j])
                grown[j] = decay(np.int64(grown[j]), par[PAR_SYNAPSES + 2 * k, j])
    else:
        for k in range(types_of(code)):
            g, lasting = state[STATE_SYNAPSES + k], par[PAR_SYNAPSES + 2 * k]
            for j in range(n):
                g[j] = decay(np.int64(g[j]), lasting[j])


@jit
def advance(code, state, par, bias, fired):
    """One step of all neurons, after :func:`add_input` and what is recorded.

    Parameters
    ----------
    code : int
    state : ndarray, int32 (rows, n)
    par : ndarray, int64 (rows, n)
    bias : ndarray, int32 (n,)
        Injected current, s16.15, nA.
    fired : ndarray, int32 (n,) or more
        The first of them become the neurons that spike, ascending.

    Returns
    -------
    int
        How many spike.
    """
    given, current = np.empty(state.shape[1], np.int32), np.empty(state.shape[1], np.int32)
    _collect(code, state, par, bias, given, current)
    if membrane_of(code) == LEAKY:
        _leak(state, par, current)
    elif membrane_of(code) == IZHIKEVICH:
        _midpoint(state, par, current)
    else:
        _integrate(state, par, current)
    count = _fire(code, state, par, fired)
    _fade(code, state, par)
    return count
