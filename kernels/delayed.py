"""Sums of delayed copies: what synapses with delays of their own do to whole sequences, and its gradients.

A cross-correlation with a kernel of few taps around each synapse's delay: the cost goes with the taps, not with the longest
delay.  Sequences are float32 or float64 of shape (blocks, channels, steps * LANES): a block has `LANES` examples of the
batch, side by side, so that a delay of d steps is a shift by d * LANES numbers and all loops run over neighbours.  Taps have
the same dtype and shape (outputs, inputs, taps); tap s of synapse (i, j) stands for the delay ``first[i, j] + s`` steps,
``first`` int64 (outputs, inputs).  Taps that are 0 cost nothing.
"""


from . import inlined, jit

LANES = 16
WIDE = 8 * LANES


@inlined
def _range(shift, size):
    """(first, behind the last) index k with 0 <= k - shift < size and 0 <= k < size."""
    return max(shift, 0), min(size, size + shift)


@inlined
def _add(value, x, y):
    """y += value x."""
    for k in range(y.size):
        y[k] += value * x[k]


@inlined
def _dot(x, y, sums):
    """Sum of x y, whose size is a multiple of LANES; ``sums`` (WIDE,) are partial sums that do not wait for each other."""
    sums[:] = 0.0
    whole = x.size // WIDE * WIDE
    for k in range(0, whole, WIDE):
        a, b = x[k:k + WIDE], y[k:k + WIDE]
        for lane in range(WIDE):
            sums[lane] += a[lane] * b[lane]
    a, b = x[whole:], y[whole:]
    for lane in range(a.size):
        sums[lane] += a[lane] * b[lane]
    half = WIDE
    while half > LANES:
        half //= 2
        for lane in range(half):
            sums[lane] += sums[half + lane]
    total = 0.0
    for lane in range(LANES):
        total += sums[lane]
    return total


@jit
def forward(x, first, taps, y):
    """y[n, i, t] += sum over j, s of taps[i, j, s] x[n, j, t - first[i, j] - s]; x is 0 outside."""
    size = x.shape[2]
    for n in range(x.shape[0]):
        for i in range(taps.shape[0]):
            row = y[n, i]
            for j in range(taps.shape[1]):
                column = x[n, j]
                for s in range(taps.shape[2]):
                    value = taps[i, j, s]
                    if value != 0.0:
                        shift = (first[i, j] + s) * LANES
                        low, high = _range(shift, size)
                        _add(value, column[low - shift:high - shift], row[low:high])


@jit
def backward_input(gradient, first, taps, out):
    """out[n, j, t] += sum over i, s of taps[i, j, s] gradient[n, i, t + first[i, j] + s]: the transposed of `forward`."""
    size = gradient.shape[2]
    for n in range(gradient.shape[0]):
        for j in range(taps.shape[1]):
            row = out[n, j]
            for i in range(taps.shape[0]):
                column = gradient[n, i]
                for s in range(taps.shape[2]):
                    value = taps[i, j, s]
                    if value != 0.0:
                        shift = (first[i, j] + s) * LANES
                        low, high = _range(shift, size)
                        _add(value, column[low:high], row[low - shift:high - shift])


@jit
def backward_taps(gradient, x, first, sums, out):
    """out[i, j, s] += sum over n, t of gradient[n, i, t] x[n, j, t - first[i, j] - s].

    ``sums`` (WIDE,), is working space.
    """
    size = x.shape[2]
    for n in range(x.shape[0]):
        for i in range(out.shape[0]):
            row = gradient[n, i]
            for j in range(out.shape[1]):
                column = x[n, j]
                for s in range(out.shape[2]):
                    shift = (first[i, j] + s) * LANES
                    low, high = _range(shift, size)
                    out[i, j, s] += _dot(row[low:high], column[low - shift:high - shift], sums)
