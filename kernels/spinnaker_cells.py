"""SpiNNaker's neurons, in every bit: one step of all neurons of a population, in the machine's arithmetic.

A model is put together, as on the machine, from a membrane, synapses, what they act as, and adaptation; ``code`` holds
these four choices as hexadecimal digits (:func:`code_of`).  With mulk, kdivk, expk and decay of :mod:`~neurosim.kernels.fixed`
and h the step in ms, one step of a leaky neuron is::

    I = exc - inh + i_offset + injected - i_ca2
    not refractory:  a = mulk(I, R) + v_rest,   v = a - mulk(exp_TC, a - v)
    v >= v_thresh :  spike, v = v_reset, refractory for T steps, i_ca2 += i_alpha
    g = decay(g, exp(-h/tau_syn))

Izhikevich's takes one midpoint step of the second order, of 1.85 h after a spike; a neuron without leak adds mulk(I, R) and does not
fall below v_reset.  Source: neural_modelling/src/neuron of sPyNNaker (implementations/neuron_impl_standard.h, models, synapse_types,
input_types, additional_inputs), held against the binaries that sPyNNaker 7.4.1 ships.

Rows, of which each model uses some:

====== ================================================== ===== ==================================================
state  int32 (rows, n), s16.15                            par   int64 (rows, n), s16.15 or u0.32
====== ================================================== ===== ==================================================
0      v                                                  0     i_offset
1      refractory steps left, or u                        1     v_thresh
2      i_ca2, or h of the next step                       2     v_reset, or c
3...   synapses: exponential and delta one row a type,    3     refractory steps, or d
       alpha three (linear, exponential, last input);     4     v_rest, or a
       sEMD its three, the multiplier, the last           5     R = tau_m/cm, or b
       excitatory2                                        6     exp_TC = exp(-h/tau_m), or h
                                                          7, 8  e_rev_E, e_rev_I; or 1/h of jumps of v
                                                          9, 10 exp(-h/tau_ca2), i_alpha
                                                          11... two a type: decay and what of an input is added
                                                                (alpha: decay and h/tau**2); sEMD then its scale
====== ================================================== ===== ==================================================
"""

import numpy as np

from . import inlined, jit
from .fixed import FRACTION, ONE, ceilk, decay, expk, expulr, kdivk, mulk, wrap

# Digits of a code.
LEAKY, IZHIKEVICH, TRUNCATED = 0, 1, 2
EXPONENTIAL, ALPHA, DELTA, DUAL, SEMD = 0, 1, 2, 3, 4
CURRENT, CONDUCTANCE, JUMP = 0, 1, 2

STATE_SYNAPSES = 3
PAR_SYNAPSES = 11
CONDUCTANCE_SHIFT = 10
V, EXCITATORY, INHIBITORY = 0, 1, 2  # what can be recorded

_140 = 140 * ONE
_5 = 5 * ONE
_MAGIC = 1311  # 0.04
_LATE = 60620  # 1.85: how much longer the step after a spike is
_SMALL = 32  # 0.001: excitatory2 of sEMD that counts as none


def code_of(membrane, synapses=EXPONENTIAL, acts_as=CURRENT, adapts=False):
    """The number of a model."""
    return membrane | synapses << 4 | acts_as << 8 | int(adapts) << 12


@inlined
def _membrane(code):
    return code & 15


@inlined
def _synapses(code):
    return (code >> 4) & 15


@inlined
def _acts_as(code):
    return (code >> 8) & 15


# ------------------------------------------------------------------------------------ initialisation


@jit
def types_of(code):
    """How many synapse types a model has."""
    return 3 if _synapses(code) >= DUAL else 2


@jit
def rows_of(code):
    """(rows of state, rows of par)."""
    synapses, types = _synapses(code), types_of(code)
    state = STATE_SYNAPSES + (3 * types if synapses == ALPHA else types) + (2 if synapses == SEMD else 0)
    return state, PAR_SYNAPSES + (0 if synapses == DELTA else 2 * types) + (1 if synapses == SEMD else 0)


@jit
def initialise(code, words, state, par):
    """What a core makes of its parameters when it starts.

    Parameters
    ----------
    code : int
    words : ndarray, int64 (w, n)
        The machine's own structures of a neuron, one after another: membrane, input, threshold, synapses, adaptation;
        each field a row.
    state : ndarray, int32 (rows, n)
    par : ndarray, int64 (rows, n)
    """
    membrane, synapses, acts_as = _membrane(code), _synapses(code), _acts_as(code)
    for j in range(words.shape[1]):
        w = words[:, j]
        if membrane == IZHIKEVICH:
            par[4, j], par[5, j], par[2, j], par[3, j] = w[0], w[1], w[2], w[3]
            state[0, j], state[1, j], state[2, j] = w[4], w[5], w[8]
            par[0, j], par[6, j] = w[6], w[7]
            at = 9
        elif membrane == LEAKY:
            h = w[8]
            state[0, j], state[1, j] = w[0], w[7]
            par[4, j], par[5, j], par[6, j] = w[1], kdivk(w[3], w[2]), expk(-kdivk(h, w[3]))
            par[0, j], par[2, j], par[3, j] = w[4], w[5], ceilk(kdivk(w[6], h))
            at = 9
        else:
            h = w[7]
            state[0, j], state[1, j] = w[0], w[6]
            par[5, j], par[0, j], par[2, j], par[3, j] = kdivk(w[2], w[1]), w[3], w[4], ceilk(kdivk(w[5], h))
            at = 8
        if acts_as == CONDUCTANCE:
            par[7, j], par[8, j] = w[at], w[at + 1]
            at += 2
        elif acts_as == JUMP:
            par[7, j] = kdivk(ONE, w[at])
            at += 1
        par[1, j] = w[at]
        at += 1
        if synapses == DELTA:
            state[3, j], state[4, j] = w[at], w[at + 1]
            at += 2
        elif synapses == ALPHA:
            h = w[at + 8]
            for k in range(2):
                tau = w[at + 3]
                for row in range(3):
                    state[3 + 3 * k + row, j] = w[at + row]
                par[11 + 2 * k, j] = expulr(-kdivk(h, tau))
                par[12 + 2 * k, j] = kdivk(h, mulk(tau, tau)) & (ONE - 1)  # kept as a fraction: its whole part is lost
                at += 4
            at += 1
        else:
            types = types_of(code)
            h = w[at + 2 * types + (3 if synapses == SEMD else 0)]
            for k in range(types):
                tau = w[at]
                state[3 + k, j] = w[at + 1]
                lasting = expulr(-kdivk(h, tau))
                par[11 + 2 * k, j] = lasting
                par[12 + 2 * k, j] = ((kdivk(tau, h) * (0xFFFFFFFF - lasting)) >> FRACTION) & 0xFFFFFFFF
                at += 2
            if synapses == SEMD:
                state[6, j], state[7, j], par[17, j] = w[at], w[at + 1], w[at + 2]
                at += 3
            at += 1
        if code >> 12:
            par[9, j], state[2, j], par[10, j] = expk(-kdivk(w[at + 3], w[at])), w[at + 1], w[at + 2]


# ------------------------------------------------------------------------------------ a step


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
    synapses = _synapses(code)
    for k in range(ring.shape[0]):
        shift = shifts[k]
        for j in range(ring.shape[1]):
            if ring[k, j]:
                given = wrap(np.int64(ring[k, j]) << shift)
                ring[k, j] = 0
                if synapses == DELTA:
                    state[3 + k, j] += given
                elif synapses != ALPHA:
                    state[3 + k, j] += decay(given, par[12 + 2 * k, j])
                elif given > 0:
                    row = 3 + 3 * k
                    grown = wrap(decay(state[row + 1, j], par[11 + 2 * k, j]) + ONE)
                    linear = wrap(state[row, j] + mulk(given, par[12 + 2 * k, j]))
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


@inlined
def _inputs(code, state, par, j):
    """(first excitatory, second excitatory, inhibitory) of neuron j, before the driving force."""
    synapses = _synapses(code)
    if synapses == ALPHA:
        first, second = mulk(np.int64(state[3, j]), np.int64(state[4, j])), np.int64(0)
        inhibitory = mulk(np.int64(state[6, j]), np.int64(state[7, j]))
    elif synapses == DUAL:
        first, second, inhibitory = np.int64(state[3, j]), np.int64(state[4, j]), np.int64(state[5, j])
    elif synapses == SEMD:
        first, second = np.int64(0), mulk(mulk(np.int64(state[4, j]), par[17, j]), _multiplier(state, j))
        inhibitory = np.int64(state[5, j])
    else:
        first, second, inhibitory = np.int64(state[3, j]), np.int64(0), np.int64(state[4, j])
    if _acts_as(code) == CONDUCTANCE:
        return first >> CONDUCTANCE_SHIFT, second >> CONDUCTANCE_SHIFT, inhibitory >> CONDUCTANCE_SHIFT
    return first, second, inhibitory


@jit
def sample(code, variable, state, par, ids, out):
    """What the machine records of neurons ``ids`` between :func:`add_input` and :func:`advance`, into ``out`` (int32, s16.15).

    ``variable`` is V, EXCITATORY or INHIBITORY: v, gsyn_exc (currents in nA, conductances in uS, jumps in mV), gsyn_inh.
    """
    for i in range(ids.size):
        j = ids[i]
        if variable == V:
            out[i] = state[0, j]
        else:
            first, second, inhibitory = _inputs(code, state, par, j)
            out[i] = first + second if variable == EXCITATORY else inhibitory


@inlined
def _current(code, state, par, j):
    """Current of neuron j from its synapses, s16.15."""
    v = np.int64(state[0, j])
    first, second, inhibitory = _inputs(code, state, par, j)
    acts_as = _acts_as(code)
    if acts_as == CONDUCTANCE:
        force = wrap(par[7, j] - v)
        first, second = mulk(first, force), mulk(second, force)
        inhibitory = mulk(-inhibitory, wrap(par[8, j] - v))
    elif acts_as == JUMP:
        first, inhibitory = mulk(first, par[7, j]), mulk(inhibitory, par[7, j])
    return first + second - inhibitory


@inlined
def _square(v):
    """(5 + 0.04 v) v."""
    return mulk(wrap(_5 + mulk(np.int64(_MAGIC), v)), v)


@inlined
def _midpoint(state, par, current, j):
    """Izhikevich's equations over one step: the midpoint method."""
    v, u, h = np.int64(state[0, j]), np.int64(state[1, j]), np.int64(state[2, j])
    rate, b = mulk(par[4, j], h), par[5, j]
    rest = wrap(_140 + current - u)
    halfway = wrap(v + (mulk(h, wrap(rest + _square(v))) >> 1))
    risen = mulk(wrap(mulk(b, v) - u), rate) >> 1
    state[0, j] = v + mulk(h, wrap(rest - risen + _square(halfway)))
    state[1, j] = u + mulk(rate, wrap(mulk(b, halfway) - u - risen))
    state[2, j] = par[6, j]


@inlined
def _fade(code, state, par, j):
    """Synapses of neuron j at the end of a step."""
    synapses = _synapses(code)
    if synapses == DELTA:
        state[3, j] = 0
        state[4, j] = 0
    elif synapses == ALPHA:
        for k in range(2):
            row = 3 + 3 * k
            state[row, j] += mulk(np.int64(state[row + 2, j]), par[12 + 2 * k, j])
            state[row + 1, j] = decay(np.int64(state[row + 1, j]), par[11 + 2 * k, j])
    else:
        for k in range(3 if synapses >= DUAL else 2):
            state[3 + k, j] = decay(np.int64(state[3 + k, j]), par[11 + 2 * k, j])


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
    fired : ndarray, int32 (n,)
        The first of them become the neurons that spike, ascending.

    Returns
    -------
    int
        How many spike.
    """
    membrane, adapts, semd = _membrane(code), code >> 12, _synapses(code) == SEMD
    count = 0
    for j in range(state.shape[1]):
        current = _current(code, state, par, j) + par[0, j] + bias[j]
        if semd:
            state[6, j] = _multiplier(state, j)
            state[7, j] = state[4, j]
        if adapts:
            state[2, j] = mulk(np.int64(state[2, j]), par[9, j])
            current -= state[2, j]
        current = wrap(current)
        if membrane == IZHIKEVICH:
            _midpoint(state, par, current, j)
        elif state[1, j] > 0:
            state[1, j] -= 1
        elif membrane == LEAKY:
            target = wrap(mulk(current, par[5, j]) + par[4, j])
            state[0, j] = target - mulk(par[6, j], wrap(target - state[0, j]))
        else:
            state[0, j] = max(wrap(mulk(current, par[5, j]) + state[0, j]), par[2, j])
        if state[0, j] >= par[1, j]:
            state[0, j] = par[2, j]
            if membrane == IZHIKEVICH:
                state[1, j] += par[3, j]
                state[2, j] = mulk(par[6, j], np.int64(_LATE))
            else:
                state[1, j] = par[3, j]
            if adapts:
                state[2, j] += par[10, j]
            fired[count] = j
            count += 1
        _fade(code, state, par, j)
    return count
