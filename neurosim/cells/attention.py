"""A cell that reads an astrocyte's trace of earlier coincidences: linear attention, element by element."""

from __future__ import annotations

import math

from ..parameters import Parameter
from .base import State
from .custom import neuron

__all__ = ["IF_curr_delta_attention"]


@neuron(
    {
        "tau_m": Parameter(20.0, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True),
        "tau_c": Parameter(2000.0, "ms", "decay time of calcium; longer remembers for longer", low=0, open_low=True),
        "write": Parameter(0.5, "", "part of the way that a key takes calcium to the value", low=0, high=1),
        "gain": Parameter(2.0, "mV", "what a query adds to v for a calcium of 1"),
        "bonus": Parameter(0.0, "mV", "what a query adds to v without calcium"),
        "direct": Parameter(0.5, "mV", "what a value adds to v without key or query"),
        "v_thresh": Parameter(1.0, "mV", "potential at which the cell spikes", low=0, open_low=True),
    },
    {"v": State("mV", 0.0, "membrane potential"), "c": State("", 0.0, "calcium of the cell's astrocyte")},
    receptors=("key", "value", "query"),
)
def IF_curr_delta_attention(s, p, x):
    """A leaky neuron with voltage jumps whose astrocyte remembers which values came with a key::

        c <- c exp(-dt/tau_c);      v <- v exp(-dt/tau_m) + query (gain c + bonus) + direct value;      c <- c + write key (value - c)
        spike where v >= v_thresh,      v <- 0

    ``key``, ``value`` and ``query`` are the sums of what arrived at this step, usually spikes of weight 1.  A key writes the
    value that comes with it (none: 0) over what calcium was, by the part ``write``; a query reads calcium as it was before the write.
    Linear attention of one element: c is a sum over earlier keys and values, which takes the same memory at any length.

    The cell is ours; it reproduces no published model.  Solved exactly on the grid of dt.
    """
    now = s.c * math.exp(-x.dt / p.tau_c)
    s.v = s.v * math.exp(-x.dt / p.tau_m) + x.query * (p.gain * now + p.bonus) + p.direct * x.value
    s.c = now + p.write * x.key * (x.value - now)
    spike = s.v >= p.v_thresh
    if spike:
        s.v = 0.0
    return spike
