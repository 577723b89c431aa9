"""Spikes of integrate-and-fire neurons in continuous time, event by event, and the exact gradients by their adjoint.

    tau_m dV/dt = -V + I,   tau_s dI/dt = -I;    I += w where a spike arrives;    V = theta: spike, V = 0

Sources: Wunderlich & Pehle, "Event-based backpropagation can compute exact gradients for spiking neural networks", Sci. Rep.
11, 2021; with delays Meszaros, Knight & Nowotny, "Efficient event-based delay learning in spiking neural networks", Nat.
Commun. 16, 2025.  Where these write lambda_V and lambda_I, here stand p_V = dL/dV = -tau_m lambda_V and
p_I = dL/dI = -tau_s lambda_I, what the loss gains from a little more V or I at that time:

    backwards over s:      p_I <- p_I exp(-s/tau_s) + p_V kappa(s),     p_V <- p_V exp(-s/tau_m)
    at an arrival:         dL/dw += p_I,     dL/d(time of arrival) = w (p_I/tau_s - p_V/tau_m)
    at a spike:            p_V <- (p_V I - tau_m dL/d(time of the spike)) / (I - theta)

where kappa(s) is V at s after I = 1 at 0.  Only spikes are kept from the forward pass.  Times are in any one unit, inf: no spike.
All arrays are float64.  With ``grid`` spikes are found at whole times only; delays and input times must be whole then.
"""

import math

import numpy as np

from . import jit

_INF = math.inf


@jit
def kappa(s, tau_m, tau_s):
    """V at ``s`` after a unit of I at 0; accurate also where the time constants are equal or nearly so."""
    x = abs(tau_m - tau_s) / (tau_m * tau_s) * s
    ratio = -math.expm1(-x) / x if x > 0.0 else 1.0
    return s / tau_m * math.exp(-s / max(tau_m, tau_s)) * ratio


@jit
def potential(v, i, s, tau_m, tau_s):
    """V after ``s`` without input."""
    return v * math.exp(-s / tau_m) + i * kappa(s, tau_m, tau_s)


@jit
def crest(v, i, tau_m, tau_s):
    """How long V rises without input, until it meets I; 0 if it falls, inf if it rises for ever."""
    if i <= v:
        return 0.0
    delta = tau_m - tau_s
    below = v * delta + tau_s * i
    if below == 0.0:
        return _INF
    y = (i - v) / below
    z = delta * y
    if z <= -1.0:
        return _INF
    s = tau_m * tau_s * y * (math.log1p(z) / z if z != 0.0 else 1.0)
    return s if s > 0.0 else _INF


@jit
def crossing(v, i, limit, tau_m, tau_s, theta):
    """When V reaches theta within ``limit``, inf if it does not; v < theta.

    V can reach theta only while I > theta, and rises until it meets I.  Up to there it is concave (V'' tau_m = I' - V' < 0), so
    Newton's method from the left never oversteps the root.
    """
    if not i > theta:
        return _INF
    end = min(crest(v, i, tau_m, tau_s), limit)
    if not end < _INF or potential(v, i, end, tau_m, tau_s) < theta:
        return _INF
    s = 0.0
    for _ in range(100):
        now = potential(v, i, s, tau_m, tau_s)
        slope = (i * math.exp(-s / tau_s) - now) / tau_m
        if not slope > 0.0:
            break
        step = (theta - now) / slope
        s = min(s + step, end)
        if not step > 1e-15 * (s + tau_s):
            break
    return max(s, 0.0)


@jit
def next_spike(v, i, limit, tau_m, tau_s, theta, grid):
    """(time of the next spike or inf, tau_m dV/dt where theta is crossed)."""
    s = crossing(v, i, limit, tau_m, tau_s, theta)
    if s == _INF:
        return _INF, 0.0
    slope = i * math.exp(-s / tau_s) - theta
    if grid:
        k = max(math.ceil(s - 1e-9), 1.0)
        if potential(v, i, k, tau_m, tau_s) < theta:
            k += 1.0
        s = k if k <= limit and potential(v, i, k, tau_m, tau_s) >= theta else _INF
    return s, slope


@jit
def _push(heap, source, size, time, who):
    """Put an arrival into a binary heap by time."""
    at = size
    while at > 0 and heap[(at - 1) // 2] > time:
        heap[at], source[at] = heap[(at - 1) // 2], source[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at], source[at] = time, who


@jit
def _pop(heap, source, size):
    """Take the first arrival out; ``size`` is that before."""
    time, who = heap[size - 1], source[size - 1]
    last, at = size - 1, 0
    while 2 * at + 1 < last:
        child = 2 * at + 1
        if child + 1 < last and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= time:
            break
        heap[at], source[at] = heap[child], source[child]
        at = child
    heap[at], source[at] = time, who


@jit
def _higher(v, i, t, until, tau_m, tau_s, peak):
    """Note in ``peak`` (value, time, slope at a kink) where V is highest between t and ``until``."""
    s = until - t
    top = crest(v, i, tau_m, tau_s)
    if top < s:
        value, time, slope = potential(v, i, top, tau_m, tau_s), t + top, 0.0
    else:
        value, time = potential(v, i, s, tau_m, tau_s), until
        slope = (i * math.exp(-s / tau_s) - value) / tau_m
    if value > peak[0]:
        peak[0], peak[1], peak[2] = value, time, slope


@jit
def _climb(tree, key, leaves, c):
    """Renew the tournament's winners above leaf ``c``."""
    p = (leaves + c) // 2
    while p > 0:
        left, right = tree[2 * p], tree[2 * p + 1]
        tree[p] = left if key[left] <= key[right] else right
        p //= 2


@jit
def _group(lo, hi, x_time, x_cell, weight, delay, r_weight, r_delay, tau_m, tau_s, theta, end, grid, most, times, currents,
           slopes, peak):
    """Forward for cells lo to hi of one sample, which may project to each other; True if ``times`` is too small."""
    m, a, room = hi - lo, x_time.size, times.shape[1]
    loops = r_weight.size > 0
    arrive, order = np.empty((m, a)), np.empty((m, a), np.int64)
    for c in range(m):
        late = np.empty(a)
        for k in range(a):
            late[k] = x_time[k] + delay[lo + c, x_cell[k]]
        order[c] = np.argsort(late)
        for k in range(a):
            arrive[c, k] = late[order[c, k]]
    held = m * room if loops else 0
    heap, source, size = np.empty((m, held)), np.empty((m, held), np.int64), np.zeros(m, np.int64)
    leaves = 1
    while leaves < m:
        leaves *= 2
    key, fires = np.full(leaves, _INF), np.zeros(m, np.bool_)
    tree = np.zeros(2 * leaves, np.int64)
    for c in range(leaves):
        tree[leaves + c] = c
    t, v, i, slope = np.zeros(m), np.zeros(m), np.zeros(m), np.zeros(m)
    place, sent = np.zeros(m, np.int64), np.zeros(m, np.int64)
    for c in range(m):
        key[c] = arrive[c, 0] if a and arrive[c, 0] <= end else _INF
    for p in range(leaves - 1, 0, -1):
        left, right = tree[2 * p], tree[2 * p + 1]
        tree[p] = left if key[left] <= key[right] else right
    while True:
        c = tree[1] if leaves > 1 else 0
        now = key[c]
        if now == _INF:
            break
        s = now - t[c]
        if fires[c]:
            if sent[c] == room:
                return True
            i[c] *= math.exp(-s / tau_s)
            times[lo + c, sent[c]], currents[lo + c, sent[c]], slopes[lo + c, sent[c]] = now, i[c], slope[c]
            sent[c] += 1
            v[c], t[c] = 0.0, now
            if loops:
                for d in range(m):
                    there = now + r_delay[d, c]
                    if there <= end and sent[d] != most:
                        _push(heap[d], source[d], size[d], there, c)
                        size[d] += 1
                        if there < key[d]:
                            key[d], fires[d] = there, False
                            _climb(tree, key, leaves, d)
        else:
            if sent[c] == 0:
                _higher(v[c], i[c], t[c], now, tau_m, tau_s, peak[lo + c])
            v[c] = potential(v[c], i[c], s, tau_m, tau_s)
            i[c] *= math.exp(-s / tau_s)
            t[c] = now
            if size[c] and not (place[c] < a and arrive[c, place[c]] <= heap[c, 0]):
                i[c] += r_weight[c, source[c, 0]]
                _pop(heap[c], source[c], size[c])
                size[c] -= 1
            else:
                i[c] += weight[lo + c, x_cell[order[c, place[c]]]]
                place[c] += 1
        upcoming = arrive[c, place[c]] if place[c] < a else _INF
        if size[c]:
            upcoming = min(upcoming, heap[c, 0])
        fires[c] = False
        if sent[c] == most:
            key[c] = _INF
        else:
            key[c] = upcoming if upcoming <= end else _INF
            after, slope[c] = next_spike(v[c], i[c], min(upcoming, end) - t[c], tau_m, tau_s, theta, grid)
            if after < _INF:
                key[c], fires[c] = t[c] + after, True
        _climb(tree, key, leaves, c)
    for c in range(m):
        if sent[c] == 0:
            _higher(v[c], i[c], t[c], end, tau_m, tau_s, peak[lo + c])
            if peak[lo + c, 1] == end:
                peak[lo + c, 2] = 0.0
    return False


@jit
def spikes_of(times, who, when):
    """List the finite entries of ``times`` (cells, k): places in the flat array to ``who``, times to ``when``; their number."""
    count = 0
    for c in range(times.shape[0]):
        for k in range(times.shape[1]):
            if times[c, k] < _INF:
                who[count], when[count] = c * times.shape[1] + k, times[c, k]
                count += 1
    return count


@jit
def forward(x, weight, delay, r_weight, r_delay, tau_m, tau_s, theta, end, grid, most, times, currents, slopes, peak):
    """Spikes of one layer for some samples.

    Parameters
    ----------
    x : (samples, inputs, k)
        Times of the inputs' spikes.
    weight, delay : (cells, inputs)
    r_weight, r_delay : (cells, cells) or (0, 0)
        From cell (column) to cell (row).
    end : float
        Last time.
    grid : bool
    most : int
        A cell is silent after so many spikes; -1: any number.
    times, currents, slopes : (samples, cells, room)
        Times of spikes (inf at the start), I then, and tau_m dV/dt before them.
    peak : (samples, cells, 3)
        Of cells without a spike: highest V, its time, and dV/dt before it where an arrival makes V turn (else 0).  Begins as
        (0, -1, 0).

    Returns
    -------
    bool
        Whether ``room`` is too small; then the rest is of no use.
    """
    who, when = np.empty(x.shape[1] * x.shape[2], np.int64), np.empty(x.shape[1] * x.shape[2])
    cells = weight.shape[0]
    step = cells if r_weight.size else 1
    for b in range(x.shape[0]):
        count = spikes_of(x[b], who, when)
        source = who[:count] // max(x.shape[2], 1)
        for lo in range(0, cells, step):
            if _group(lo, lo + step, when[:count], source, weight, delay, r_weight, r_delay, tau_m, tau_s, theta, end, grid,
                      most, times[b], currents[b], slopes[b], peak[b]):
                return True
    return False


@jit
def _back(c, until, arrive, code, left, t, pv, pi, a, x_place, x_cell, k_in, s_place, k_out, lo, weight, r_weight, tau_m,
          tau_s, peak, g_peak, g_weight, g_delay, g_r_weight, g_r_delay, g_x, g_times):
    """Take cell c's adjoint back to ``until``, over all arrivals from there on."""
    row = lo + c
    while left[c] > 0 and arrive[c, left[c] - 1] >= until:
        left[c] -= 1
        ta, which = arrive[c, left[c]], code[c, left[c]]
        kink = 0.0
        if g_peak[row] != 0.0 and ta <= peak[row, 1] < t[c]:
            _to(c, peak[row, 1], t, pv, pi, tau_m, tau_s)
            if ta == peak[row, 1] and peak[row, 2] != 0.0:
                kink = g_peak[row]
            else:
                pv[c] += g_peak[row]
        _to(c, ta, t, pv, pi, tau_m, tau_s)
        loop = which >= a
        pre = s_place[which - a] // k_out if loop else x_cell[which]
        w = r_weight[row, pre] if loop else weight[row, pre]
        shift = w * (pi[c] / tau_s - pv[c] / tau_m) + kink * peak[row, 2]
        if loop:
            g_r_weight[row, pre] += pi[c]
            g_r_delay[row, pre] += shift
            g_times[pre, s_place[which - a] % k_out] += shift
        else:
            g_weight[row, pre] += pi[c]
            g_delay[row, pre] += shift
            g_x[pre, x_place[which] % k_in] += shift
        pv[c] += kink


@jit
def _to(c, time, t, pv, pi, tau_m, tau_s):
    """Backwards over a stretch without events."""
    s = t[c] - time
    if s > 0.0:
        pi[c] = pi[c] * math.exp(-s / tau_s) + pv[c] * kappa(s, tau_m, tau_s)
        pv[c] *= math.exp(-s / tau_m)
        t[c] = time


@jit
def backward(x, weight, delay, r_weight, r_delay, tau_m, tau_s, end, least, times, currents, slopes, peak, g_peak, g_times,
             g_weight, g_delay, g_r_weight, g_r_delay, g_x):
    """The adjoint of :func:`forward`: gradients of a loss from those with respect to spike times and peaks.

    Parameters
    ----------
    x to end, times to peak
        As in :func:`forward`.
    least : float
        tau_m dV/dt before a spike counts as at least this.
    g_peak : (samples, cells)
        dL/d(peak).
    g_times : (samples, cells, room)
        dL/d(times); what comes through the layer's own loops is added.
    g_weight, g_delay, g_r_weight, g_r_delay, g_x
        Gradients, added to.
    """
    cells, k_in, k_out = weight.shape[0], x.shape[2], times.shape[2]
    x_place, x_when = np.empty(x.shape[1] * k_in, np.int64), np.empty(x.shape[1] * k_in)
    s_place, s_when = np.empty(cells * k_out, np.int64), np.empty(cells * k_out)
    loops = r_weight.size > 0
    step = cells if loops else 1
    for b in range(x.shape[0]):
        a = spikes_of(x[b], x_place, x_when)
        x_cell = x_place[:a] // max(k_in, 1)
        for lo in range(0, cells, step):
            spikes = spikes_of(times[b, lo:lo + step], s_place, s_when)
            r = spikes if loops else 0
            arrive, code = np.empty((step, a + r)), np.empty((step, a + r), np.int64)
            left = np.zeros(step, np.int64)
            late = np.empty(a + r)
            for c in range(step):
                for k in range(a):
                    late[k] = x_when[k] + delay[lo + c, x_cell[k]]
                for k in range(r):
                    pre = s_place[k] // k_out
                    late[a + k] = s_when[k] + r_delay[c, pre]
                code[c] = np.argsort(late)
                for k in range(a + r):
                    arrive[c, k] = late[code[c, k]]
                    if arrive[c, k] <= end:
                        left[c] += 1
            t, pv, pi = np.full(step, end), np.zeros(step), np.zeros(step)
            for c in range(step):
                if peak[b, lo + c, 1] == end:
                    pv[c] += g_peak[b, lo + c]
            order = np.argsort(s_when[:spikes])
            for last in range(spikes - 1, -2, -1):
                until = s_when[order[last]] if last >= 0 else -_INF
                for c in range(step):
                    _back(c, until, arrive, code, left, t, pv, pi, a, x_place, x_cell, k_in, s_place, k_out, lo, weight,
                          r_weight, tau_m, tau_s, peak[b], g_peak[b], g_weight, g_delay, g_r_weight, g_r_delay, g_x[b],
                          g_times[b])
                if last >= 0:
                    c, k = s_place[order[last]] // k_out, s_place[order[last]] % k_out
                    _to(c, until, t, pv, pi, tau_m, tau_s)
                    slope = max(slopes[b, lo + c, k], least)
                    pv[c] = (pv[c] * currents[b, lo + c, k] - tau_m * g_times[b, lo + c, k]) / slope
    return 0


@jit
def trace(x, weight, delay, tau_m, tau_s, end, values, integral):
    """V of cells that never spike, at the times 0, 1, 2 ..., and its integral from 0 to ``end``.

    ``values`` (samples, steps, cells) and ``integral`` (samples, cells) begin as zeros; the rest as in :func:`forward`.
    """
    place, when = np.empty(x.shape[1] * x.shape[2], np.int64), np.empty(x.shape[1] * x.shape[2])
    for b in range(x.shape[0]):
        a = spikes_of(x[b], place, when)
        cell = place[:a] // max(x.shape[2], 1)
        for j in range(weight.shape[0]):
            late = np.empty(a)
            for k in range(a):
                late[k] = when[k] + delay[j, cell[k]]
            order = np.argsort(late)
            t, v, i, step = 0.0, 0.0, 0.0, 0
            for k in range(a + 1):
                now = late[order[k]] if k < a else _INF
                while step < values.shape[1] and step <= now:
                    values[b, step, j] = potential(v, i, step - t, tau_m, tau_s)
                    step += 1
                if now > end:
                    break
                w = weight[j, cell[order[k]]]
                integral[b, j] -= w * tau_s * math.expm1(-(end - now) / tau_s)
                v = potential(v, i, now - t, tau_m, tau_s)
                i = i * math.exp(-(now - t) / tau_s) + w
                t = now
            integral[b, j] -= tau_m * potential(v, i, end - t, tau_m, tau_s)


@jit
def trace_backward(x, weight, delay, tau_m, tau_s, end, g_values, g_integral, g_weight, g_delay, g_x):
    """The adjoint of :func:`trace`; gradients are added to."""
    place, when = np.empty(x.shape[1] * x.shape[2], np.int64), np.empty(x.shape[1] * x.shape[2])
    k_in = x.shape[2]
    t, pv, pi = np.zeros(1), np.zeros(1), np.zeros(1)
    for b in range(x.shape[0]):
        a = spikes_of(x[b], place, when)
        cell = place[:a] // max(k_in, 1)
        for j in range(weight.shape[0]):
            late = np.empty(a)
            for k in range(a):
                late[k] = when[k] + delay[j, cell[k]]
            order = np.argsort(late)
            t[0], pv[0], pi[0], step = max(end, g_values.shape[1] - 1.0), 0.0, 0.0, g_values.shape[1] - 1
            g = g_integral[b, j]
            for k in range(a - 1, -1, -1):
                ta, which = late[order[k]], order[k]
                while step >= 0 and step >= ta:
                    _to(0, float(step), t, pv, pi, tau_m, tau_s)
                    pv[0] += g_values[b, step, j]
                    step -= 1
                if ta > end and ta > t[0]:
                    continue
                _to(0, ta, t, pv, pi, tau_m, tau_s)
                here, shift = pi[0], weight[j, cell[which]] * (pi[0] / tau_s - pv[0] / tau_m)
                if ta <= end:
                    rest = kappa(end - ta, tau_m, tau_s)
                    here -= g * (tau_s * math.expm1(-(end - ta) / tau_s) + tau_m * rest)
                    shift -= g * weight[j, cell[which]] * rest
                g_weight[j, cell[which]] += here
                g_delay[j, cell[which]] += shift
                g_x[b, cell[which], place[which] % k_in] += shift
