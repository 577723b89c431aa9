"""Leaky neurons over whole sequences; ``bptt_back`` is the way back in time.

One step, for each cell (potentials in any one unit)::

    x <- x + W s(t - 1)                         LOOP: weights from the cells to themselves
    i <- keep_syn i + x,    else i = x          SYNAPSE
    u = keep v + i
    s = 1 where u >= level, else 0,             level = v_thresh, or v_thresh + beta a with ADAPTS
    v <- u - s u,    or u - s level             SUBTRACT
    a <- keep_adapt a + s                       ADAPTS

and y = s; without SPIKES v = y = u.  Going back, slope(u - level) stands for ds/du (surrogate gradients: Neftci, Mostafa &
Zenke, IEEE Signal Processing Magazine 36, 2019); with DETACH the spike in the reset is a constant.

Arrays are float32 or float64, all alike: (T, B, n) over steps, samples and cells; (B, n) for states; (n,) for parameters.  Those
that a kind of cells does not need have a size of 0.  Calls for samples lo .. hi - 1 of a batch are independent.
"""

from typing import NamedTuple

import numpy as np

from . import jit
from .bptt_events import Entries, gathered, list_row

EVENTS, LOOP, SPIKES, SYNAPSE, ADAPTS, SUBTRACT, DETACH, KEEP = 1, 2, 4, 8, 16, 32, 64, 128
OF_X, OF_CELLS = 256, 512  # which gradients are asked for: of the input at each step; of keep, v_thresh, ...
LIST = 1024  # list the spikes that are sent

PARAMETERS = ("keep", "v_thresh", "keep_syn", "keep_adapt", "beta")


class Input(NamedTuple):
    """What arrives: ``x`` (T, B, n); with EVENTS rather entries of rows t B + b times ``weight`` (m, n) plus ``bias``."""

    x: np.ndarray
    entries: Entries
    weight: np.ndarray
    bias: np.ndarray


class Cells(NamedTuple):
    """Parameters (n,), and with LOOP ``weight`` (n, n) from cell to cell, (outputs, inputs), and its transpose."""

    keep: np.ndarray
    v_thresh: np.ndarray
    keep_syn: np.ndarray
    keep_adapt: np.ndarray
    beta: np.ndarray
    weight: np.ndarray
    weight_t: np.ndarray


class States(NamedTuple):
    """v, i, a, s (B, n): on entry those before the first step, on return those after the last; or gradients by them."""

    v: np.ndarray
    i: np.ndarray
    a: np.ndarray
    s: np.ndarray


class History(NamedTuple):
    """What the way back needs, (T, B, n): u; with SYNAPSE and OF_CELLS i, with ADAPTS a, both before the step."""

    u: np.ndarray
    i: np.ndarray
    a: np.ndarray


class Grads(NamedTuple):
    """Gradients, added to what is there: ``x`` (T, B, n) is written; the others float64 (n,), weights (m, n), (n, n) as x.

    ``weight`` and ``loop`` are transposed: (inputs, outputs).
    """

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    loop: np.ndarray
    keep: np.ndarray
    v_thresh: np.ndarray
    keep_syn: np.ndarray
    keep_adapt: np.ndarray
    beta: np.ndarray


BLOCK = 1024  # cells that are looked after together: those of several samples where there are few in each


@jit
def tiled(values, times):
    """``values`` (n,) so many times, one after another; whatever there is none of stays empty."""
    out = np.empty(values.size * times, values.dtype)
    for k in range(out.size):
        out[k] = values[k % values.size]
    return out


# ----------------------------------------------------------------------------------- forward


@jit
def _synapse(keep_syn, i, x):
    """x (n,) becomes the synaptic current after this step."""
    for k in range(x.size):
        now = keep_syn[k] * i[k] + x[k]
        i[k] = now
        x[k] = now


@jit
def _integrate(keep, x, v, y):
    """A leaky integrator's step."""
    for k in range(x.size):
        now = keep[k] * v[k] + x[k]
        v[k] = now
        y[k] = now


@jit
def _fire_zero(keep, level, x, v, u, y):
    """u, spikes, and v set to 0 by them."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for k in range(x.size):
        now = keep[k] * v[k] + x[k]
        spike = now >= level[k]
        u[k] = now
        v[k] = zero if spike else now
        y[k] = one if spike else zero


@jit
def _fire_subtract(keep, level, x, v, u, y):
    """u, spikes, and the threshold taken off v by them."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for k in range(x.size):
        now = keep[k] * v[k] + x[k]
        spike = now >= level[k]
        u[k] = now
        v[k] = now - level[k] if spike else now
        y[k] = one if spike else zero


@jit
def levels(v_thresh, beta, a, level):
    """Thresholds that adaptation has raised."""
    for k in range(a.size):
        level[k] = v_thresh[k] + beta[k] * a[k]


@jit
def _adapt(keep_adapt, y, a):
    for k in range(a.size):
        a[k] = keep_adapt[k] * a[k] + y[k]


@jit
def forward(lo, hi, flags, source, cells, states, history, y, at, end, sent):
    """All steps of samples lo .. hi - 1.

    Parameters
    ----------
    flags : int
        EVENTS, LOOP, SPIKES, SYNAPSE, ADAPTS, SUBTRACT, KEEP (write the history), LIST (write ``sent``).
    source : Input
    cells : Cells
    states : States
        Written.
    history : History
        Written, with KEEP.
    y : (T, B, n)
        Written.
    at, end : int
    sent : Entries
        With LIST: those of y, from place ``at`` on.

    Returns
    -------
    int
        The place after the entries; -1 where places up to ``end`` did not do.
    """
    n_steps, n_batch, n = y.shape
    rows = max(1, min(hi - lo, BLOCK // n))
    keep, keep_syn, keep_adapt, beta = (tiled(cells.keep, rows), tiled(cells.keep_syn, rows), tiled(cells.keep_adapt, rows),
                                        tiled(cells.beta, rows))
    v_thresh, fixed = tiled(cells.v_thresh, rows), tiled(cells.v_thresh, rows)
    drive, spare = np.empty(rows * n, y.dtype), np.empty(rows * n, y.dtype)
    column, value = np.empty(n, np.int32), np.empty(n, y.dtype)
    x_in, out, v, i, a, s = (source.x.reshape(-1), y.reshape(-1), states.v.reshape(-1), states.i.reshape(-1), states.a.reshape(-1),
                             states.s.reshape(-1))
    past_u, past_i, past_a = history.u.reshape(-1), history.i.reshape(-1), history.a.reshape(-1)
    events, loop, synapse, adapts, keeps = flags & EVENTS, flags & LOOP, flags & SYNAPSE, flags & ADAPTS, flags & KEEP
    entries, listing = source.entries, (flags & LIST) != 0
    for t in range(n_steps):
        for b0 in range(lo, hi, rows):
            b1 = min(b0 + rows, hi)
            c0, c1 = b0 * n, b1 * n  # among the cells of a step
            p0, p1 = t * n_batch * n + c0, t * n_batch * n + c1  # in the sequence
            m = c1 - c0
            x = drive[:m] if events or loop or synapse else x_in[p0:p1]
            for b in range(b0, b1) if events or loop else range(0):
                r, row = t * n_batch + b, x[(b - b0) * n:(b - b0 + 1) * n]
                if events:
                    row[:] = source.bias
                    gathered(entries.first[r], entries.last[r], entries.column, entries.value, source.weight, row)
                else:
                    row[:] = x_in[r * n:(r + 1) * n]
                if loop:
                    found = list_row(s[b * n:(b + 1) * n], 0, column, value)
                    gathered(0, found, column, value, cells.weight_t, row)
            if synapse:
                if not events and not loop:
                    x[:] = x_in[p0:p1]
                if keeps and flags & OF_CELLS:
                    past_i[p0:p1] = i[c0:c1]
                _synapse(keep_syn, i[c0:c1], x)
            if not flags & SPIKES:
                _integrate(keep, x, v[c0:c1], out[p0:p1])
                continue
            if adapts:
                if keeps:
                    past_a[p0:p1] = a[c0:c1]
                levels(v_thresh, beta, a[c0:c1], fixed)
            u = past_u[p0:p1] if keeps else spare[:m]
            if flags & SUBTRACT:
                _fire_subtract(keep, fixed, x, v[c0:c1], u, out[p0:p1])
            else:
                _fire_zero(keep, fixed, x, v[c0:c1], u, out[p0:p1])
            if adapts:
                _adapt(keep_adapt, out[p0:p1], a[c0:c1])
            if loop:
                s[c0:c1] = out[p0:p1]
            for b in range(b0, b1) if listing else range(0):
                if at + n > end:
                    listing = False
                    break
                r = t * n_batch + b
                sent.first[r] = at
                at = list_row(out[r * n:(r + 1) * n], at, sent.column, sent.value)
                sent.last[r] = at
    return at if listing else -1
