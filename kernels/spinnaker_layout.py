"""SpiNNaker's neurons: what a model is put together from, where its numbers lie, and what a core makes of its parameters.

A model has a membrane, synapses, what they act as, adaptation, and chance at the threshold; ``code`` holds these choices as
hexadecimal digits (:func:`code_of`).  Rows of which each uses some:

====== ================================================== ===== ==================================================
state  int32 (rows, n), s16.15                            par   int64 (rows, n), s16.15 or u0.32
====== ================================================== ===== ==================================================
0      v                                                  0     i_offset
1      refractory steps left, or u                        1     v_thresh
2      i_ca2, or h of the next step                       2     v_reset, or c
3...   synapses: exponential and delta one row a type,    3     refractory steps, or d
       alpha three (linear, exponential, last input);     4     v_rest, or a
       sEMD its three, the multiplier, the last           5     R = tau_m/cm, or b
       excitatory2; where there is chance, then the       6     exp_TC = exp(-h/tau_m), or h
       four words of a random generator                   7, 8  e_rev_E, e_rev_I; or 1/h of jumps of v
                                                          9, 10 exp(-h/tau_ca2), i_alpha; or 9 the chance, u0.32;
                                                                or 1/du_th, 1/tau_th of a hazard
                                                          11... two a type: decay and what of an input is added
                                                                (alpha: decay and h/tau**2); sEMD then its scale;
                                                                hazard h/10 and the first neuron of the core
====== ================================================== ===== ==================================================

Source: the functions ``..._initialise`` of neural_modelling/src/neuron of sPyNNaker, held against the binaries of sPyNNaker 7.4.1.
"""

from . import inlined, jit
from .fixed import FRACTION, ONE, ceilk, expk, expulr, kdivk, mulk, wrap

# Digits of a code.
LEAKY, IZHIKEVICH, TRUNCATED = 0, 1, 2
EXPONENTIAL, ALPHA, DELTA, DUAL, SEMD = 0, 1, 2, 3, 4
CURRENT, CONDUCTANCE, JUMP = 0, 1, 2
CERTAIN, FIXED_CHANCE, HAZARD = 0, 1, 2

_SHARED_SEED = (123456789, 987654321, 43219876, 6543217)  # of a core's own generator, in every program
STATE_SYNAPSES = 3
PAR_SYNAPSES = 11


def code_of(membrane, synapses=EXPONENTIAL, acts_as=CURRENT, adapts=False, chance=CERTAIN):
    """The number of a model."""
    return membrane | synapses << 4 | acts_as << 8 | int(adapts) << 12 | chance << 16


@inlined
def membrane_of(code):
    """LEAKY, IZHIKEVICH or TRUNCATED."""
    return code & 15


@inlined
def synapses_of(code):
    """EXPONENTIAL, ALPHA, DELTA, DUAL or SEMD."""
    return (code >> 4) & 15


@inlined
def use_of(code):
    """CURRENT, CONDUCTANCE or JUMP."""
    return (code >> 8) & 15


@inlined
def adapts_of(code):
    """1 or 0."""
    return (code >> 12) & 15


@inlined
def chance_of(code):
    """CERTAIN, FIXED_CHANCE or HAZARD."""
    return (code >> 16) & 15


@jit
def types_of(code):
    """How many synapse types a model has."""
    return 3 if synapses_of(code) >= DUAL else 2


@jit
def rows_of(code):
    """(rows of state, rows of par)."""
    synapses, types = synapses_of(code), types_of(code)
    state = STATE_SYNAPSES + (3 * types if synapses == ALPHA else types) + (2 if synapses == SEMD else 0) + (4 if chance_of(code) else 0)
    par = PAR_SYNAPSES + (0 if synapses == DELTA else 2 * types) + (1 if synapses == SEMD else 0) + (2 if chance_of(code) == HAZARD else 0)
    return state, par


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
    membrane, synapses, acts_as = membrane_of(code), synapses_of(code), use_of(code)
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
            par[4, j], par[5, j], par[6, j] = w[1], kdivk(w[3], w[2]), expk(wrap(-kdivk(h, w[3])))
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
        if chance_of(code) == HAZARD:
            par[9, j], par[10, j], par[1, j] = kdivk(ONE, w[at]), kdivk(ONE, w[at + 1]), w[at + 2]
            par[par.shape[0] - 2, j] = kdivk(w[at + 3], 10 * ONE)
            for k in range(4):
                state[state.shape[0] - 4 + k, j] = _SHARED_SEED[k]
            at += 3
        else:
            par[1, j] = w[at]
        at += 1
        if chance_of(code) == FIXED_CHANCE:
            par[9, j] = (w[at] * 0xFFFFFFFF) >> 16
            seed = state.shape[0] - 4
            for k in range(4):
                state[seed + k, j] = w[at + 1 + k]
            if w[at + 2] == 0:
                state[seed + 1, j] = 13031301
            state[seed + 3, j] = w[at + 4] % 698769068 + 1
            at += 5
        if synapses == DELTA:
            state[3, j], state[4, j] = w[at], w[at + 1]
            at += 2
        elif synapses == ALPHA:
            h = w[at + 8]
            for k in range(2):
                tau = w[at + 3]
                for row in range(3):
                    state[STATE_SYNAPSES + 3 * k + row, j] = w[at + row]
                par[PAR_SYNAPSES + 2 * k, j] = expulr(wrap(-kdivk(h, tau)))
                par[PAR_SYNAPSES + 1 + 2 * k, j] = kdivk(h, mulk(tau, tau)) & (ONE - 1)  # kept as a fraction: its whole part is lost
                at += 4
            at += 1
        else:
            types = types_of(code)
            h = w[at + 2 * types + (3 if synapses == SEMD else 0)]
            for k in range(types):
                tau = w[at]
                state[STATE_SYNAPSES + k, j] = w[at + 1]
                lasting = expulr(wrap(-kdivk(h, tau)))
                par[PAR_SYNAPSES + 2 * k, j] = lasting
                par[PAR_SYNAPSES + 1 + 2 * k, j] = ((kdivk(tau, h) * (0xFFFFFFFF - lasting)) >> FRACTION) & 0xFFFFFFFF
                at += 2
            if synapses == SEMD:
                state[6, j], state[7, j], par[17, j] = w[at], w[at + 1], w[at + 2]
                at += 3
            at += 1
        if adapts_of(code):
            par[9, j], state[2, j], par[10, j] = expk(wrap(-kdivk(w[at + 3], w[at]))), w[at + 1], w[at + 2]
