"""Time loops, forward and backward, of neurons that share an astrocyte, and of astrocytic attention, for training.

Arrays of float32 or float64, time first: T steps, B sequences, n neurons, G = n/size astrocytes.  Sums over a step's
terms are formed in float64.  Spikes are 0 or 1 in the arrays' own type; z is how far the potential is above the threshold,
d the surrogate's derivative of a spike with respect to it.  A gradient ``g_y`` is that of the loss with respect to y.

``lif`` and ``lif_back`` are the dynamics of ``astrocyte.step_delta`` in units of the threshold, without refractoriness::

    C_t = k c_{t-1},   u_t = a v_{t-1} + (1 + g C_t) x_t,   z_t = u_t - (1 - kappa tanh C_t),   s_t = [z_t >= 0]
    v_t = u_t (1 - s_t),   c_t = C_t + e sum of the group's s_t

``attention`` and ``attention_back`` are those of `IF_curr_delta_attention`, q, k, y being query, key and value spikes::

    C_t = k_c c_{t-1},   u_t = a v_{t-1} + q_t (g C_t + b) + w y_t,   z_t = u_t - 1,   s_t = [z_t >= 0]
    v_t = u_t (1 - s_t),   c_t = C_t + h k_t (y_t - C_t)

The reset takes its spike as a constant in the backward pass (``through`` = 0), or has the surrogate's derivative too (1).
"""

import numpy as np

from . import fastmath, jit

__all__ = ["attention", "attention_back", "lif", "lif_back"]


@jit
def lif(start, stop, x, keep, keep_c, each, kappa, gain, size, v, c, s, u, z, past):
    """Steps start..stop-1 forward.

    x (T, B, n); keep (a), kappa, gain (g) (n,); keep_c (k), each (e) (G,).  In place: v (B, n), c (B, G).  Written at the steps:
    s, u, z (T, B, n) and past (T, B, G), the calcium of the step before.
    """
    n, groups = x.shape[2], c.shape[1]
    calcium = np.empty(n)
    for b in range(x.shape[1]):
        vb, cb = v[b], c[b]
        for t in range(start, stop):
            xt, st, ut, zt = x[t, b], s[t, b], u[t, b], z[t, b]
            for j in range(groups):
                past[t, b, j] = cb[j]
                now = keep_c[j] * cb[j]
                for i in range(j * size, (j + 1) * size):
                    calcium[i] = now
            for i in range(n):
                tanh = 1.0 - 2.0 / (fastmath.exp(2.0 * calcium[i]) + 1.0)
                up = keep[i] * vb[i] + (1.0 + gain[i] * calcium[i]) * xt[i]
                above = up - (1.0 - kappa[i] * tanh)
                ut[i] = up
                zt[i] = above
                st[i] = 1.0 if above >= 0.0 else 0.0
                vb[i] = 0.0 if above >= 0.0 else up
            for j in range(groups):
                fired = 0.0
                for i in range(j * size, (j + 1) * size):
                    fired += st[i]
                cb[j] = calcium[j * size] + each[j] * fired


@jit
def lif_back(start, stop, through, x, keep, keep_c, each, kappa, gain, size, s, u, d, past, g_s, first_v, g_v, g_c, g_x,
             g_keep, g_keep_c, g_each, g_kappa, g_gain):
    """Steps stop-1..start backward; arrays as in :func:`lif`, first_v (B, n) the potential before the first step of all.

    g_s (T, B, n) is read.  In place: g_v (B, n) and g_c (B, G), of the state after the last step on entry and before the first
    on return; added to: g_keep, g_kappa, g_gain (n,), g_keep_c, g_each (G,), float64.  Written: g_x (T, B, n).
    """
    n, groups = x.shape[2], g_c.shape[1]
    calcium, toward, spread = np.empty(n), np.empty(n), np.empty(n)
    for b in range(x.shape[1]):
        gv, gc = g_v[b], g_c[b]
        for t in range(stop - 1, start - 1, -1):
            xt, st, ut, dt, gs, gx = x[t, b], s[t, b], u[t, b], d[t, b], g_s[t, b], g_x[t, b]
            before, fired = (u[t - 1, b], s[t - 1, b]) if t > 0 else (first_v[b], first_v[b])
            kept = 1.0 if t > 0 else 0.0
            for j in range(groups):
                now = keep_c[j] * past[t, b, j]
                for i in range(j * size, (j + 1) * size):
                    calcium[i] = now
                    spread[i] = each[j] * gc[j]
            for i in range(n):
                tanh = 1.0 - 2.0 / (fastmath.exp(2.0 * calcium[i]) + 1.0)
                of_z = (gs[i] + spread[i] - through * ut[i] * gv[i]) * dt[i]
                of_u = gv[i] * (1.0 - st[i]) + of_z
                of_gain = of_u * xt[i]
                gx[i] = of_u * (1.0 + gain[i] * calcium[i])
                g_kappa[i] += of_z * tanh
                g_gain[i] += of_gain * calcium[i]
                g_keep[i] += of_u * before[i] * (1.0 - kept * fired[i])
                gv[i] = keep[i] * of_u
                toward[i] = of_z * kappa[i] * (1.0 - tanh * tanh) + of_gain * gain[i]
            for j in range(groups):
                total, spikes = np.float64(gc[j]), 0.0
                for i in range(j * size, (j + 1) * size):
                    total += toward[i]
                    spikes += st[i]
                g_each[j] += gc[j] * spikes
                g_keep_c[j] += total * past[t, b, j]
                gc[j] = keep_c[j] * total


@jit
def attention(x, keep, keep_c, write, gain, bonus, direct, v, c, s, u, past):
    """All steps forward: x (T, B, 3, n) are key, value and query spikes.

    keep (a), keep_c (k_c), write (h), gain (g), bonus (b), direct (w) (n,).  In place: v, c (B, n).  Written: s, u and past, the
    calcium of the step before, (T, B, n).
    """
    for b in range(x.shape[1]):
        vb, cb = v[b], c[b]
        for t in range(x.shape[0]):
            key, value, query = x[t, b, 0], x[t, b, 1], x[t, b, 2]
            st, ut, pt = s[t, b], u[t, b], past[t, b]
            for i in range(v.shape[1]):
                pt[i] = cb[i]
                now = keep_c[i] * cb[i]
                up = keep[i] * vb[i] + query[i] * (gain[i] * now + bonus[i]) + direct[i] * value[i]
                ut[i] = up
                st[i] = 1.0 if up - 1.0 >= 0.0 else 0.0
                vb[i] = 0.0 if up - 1.0 >= 0.0 else up
                cb[i] = now + write[i] * key[i] * (value[i] - now)


@jit
def attention_back(through, x, keep, keep_c, write, gain, bonus, direct, s, u, d, past, g_s, first_v, g_v, g_c, g_x,
                   g_keep, g_keep_c, g_write, g_gain, g_bonus, g_direct):
    """All steps backward; arrays as in :func:`attention` and :func:`lif_back`; g_x (T, B, 3, n), g_c (B, n)."""
    for b in range(x.shape[1]):
        gv, gc = g_v[b], g_c[b]
        for t in range(x.shape[0] - 1, -1, -1):
            key, value, query = x[t, b, 0], x[t, b, 1], x[t, b, 2]
            g_key, g_value, g_query = g_x[t, b, 0], g_x[t, b, 1], g_x[t, b, 2]
            st, ut, dt, gs, pt = s[t, b], u[t, b], d[t, b], g_s[t, b], past[t, b]
            before, fired = (u[t - 1, b], s[t - 1, b]) if t > 0 else (first_v[b], first_v[b])
            kept = 1.0 if t > 0 else 0.0
            for i in range(gv.size):
                now = keep_c[i] * pt[i]
                of_u = gv[i] * (1.0 - st[i]) + (gs[i] - through * ut[i] * gv[i]) * dt[i]
                written = gc[i] * key[i]
                of_now = of_u * query[i] * gain[i] + gc[i] - written * write[i]
                g_query[i] = of_u * (gain[i] * now + bonus[i])
                g_value[i] = of_u * direct[i] + written * write[i]
                g_key[i] = gc[i] * write[i] * (value[i] - now)
                g_keep[i] += of_u * before[i] * (1.0 - kept * fired[i])
                g_keep_c[i] += of_now * pt[i]
                g_write[i] += written * (value[i] - now)
                g_gain[i] += of_u * query[i] * now
                g_bonus[i] += of_u * query[i]
                g_direct[i] += of_u * value[i]
                gv[i] = keep[i] * of_u
                gc[i] = keep_c[i] * of_now
