"""Numbers to spikes, and back: rate, latency, delta, event-camera, population and phase codes.

An encoder makes of an array of shape (...) spikes of shape (steps, ...), or of a signal of shape (steps, ...) events of the same
steps: uint8, how many at each step.  What is drawn by chance is a function of a seed.  `spike_times` makes of spikes what
`SpikeSourceArray` takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import ParameterError

__all__ = ["camera", "counted", "delta", "from_delta", "from_latency", "from_phase", "from_population", "from_rate", "latency", "phase",
           "population", "rate", "receptive_fields", "saccades", "spike_times"]


# -------------------------------------------------------------------------------------------------- rate


def rate(x: Any, steps: int, *, kind: str = "bernoulli", seed: int = 1) -> np.ndarray:
    """Spikes at a rate of ``x`` per step.

    Parameters
    ----------
    x : array_like, shape (...)
        Spikes per step: in [0, 1]; for ``"poisson"`` from 0 to 100.
    steps : int
    kind : str
        ``"bernoulli"``: at each step a spike with probability x.  ``"poisson"``: a Poisson number of spikes at each step, which
        may be several.  ``"regular"``: by no chance at all, evenly spaced; after t steps there were x t spikes, rounded to the
        nearest whole number, half up.
    seed : int

    Returns
    -------
    ndarray, uint8, shape (steps, ...)
    """
    if kind not in ("bernoulli", "poisson", "regular"):
        raise ParameterError(f"rate.kind must be 'bernoulli', 'poisson' or 'regular', got {kind!r}")
    x = _numbers("rate.x", x, 0.0, 100.0 if kind == "poisson" else 1.0)
    if kind == "regular":
        after = np.floor(np.multiply.outer(np.arange(_steps(steps) + 1), x) + 0.5)
        return np.diff(after, axis=0).astype(np.uint8)
    rng = _rng(seed)
    if kind == "poisson":
        return np.minimum(rng.poisson(x, (_steps(steps), *x.shape)), 255).astype(np.uint8)
    return (rng.random((_steps(steps), *x.shape), dtype=np.float32) < x.astype(np.float32)).astype(np.uint8)


def from_rate(spikes: Any) -> np.ndarray:
    """Spikes per step, float64, shape (...), of spikes of shape (steps, ...)."""
    return np.asarray(spikes).mean(axis=0, dtype=np.float64)


# ----------------------------------------------------------------------------------------------- latency


def latency(x: Any, steps: int, *, law: str = "linear", threshold: float = 0.01, tau: float | None = None) -> np.ndarray:
    """One spike each, the earlier the larger ``x``; none below the threshold.

    Parameters
    ----------
    x : array_like in [0, 1], shape (...)
    steps : int, >= 2
    law : str
        ``"linear"``: at step (steps - 1) (1 - x).  ``"log"``: when the potential of a leaky cell driven by x from step 0 on
        reaches the threshold, tau ln(x / (x - threshold)); never, if that is after the last step.  Both to the nearest step.
    threshold : float, in (0, 1)
        Smaller x never spike.  (snntorch's ``spikegen.latency`` lets them spike at the last step unless ``clip=True``.)
    tau : float, optional
        Time constant of ``"log"``, steps.  Default: (steps - 1) / ln 100, with which what is 1 % above the threshold spikes at
        the last step.  (snntorch's ``normalize=True`` takes what makes the latest spike of the *batch* the last step.)

    Returns
    -------
    ndarray, uint8, shape (steps, ...)
    """
    x, tau = _latency_settings(x, steps, law, threshold, tau)
    with np.errstate(divide="ignore", invalid="ignore"):
        when = (steps - 1) * (1.0 - x) if law == "linear" else tau * np.log(x / np.maximum(x - threshold, 0.0))
    when = np.where((x >= threshold) & (when < steps - 0.5), when, np.inf)
    return (np.arange(steps).reshape(-1, *[1] * x.ndim) == np.rint(when)).astype(np.uint8)


def from_latency(spikes: Any, *, law: str = "linear", threshold: float = 0.01, tau: float | None = None) -> np.ndarray:
    """The x that `latency` encodes by the first spike of each, float64, shape (...); 0 where there is none.

    Exact to half a step of time.  A spike of ``"log"`` at step 0 stands for anything that large: 1 is given.
    """
    spikes = np.asarray(spikes)
    _, tau = _latency_settings(0.0, len(spikes), law, threshold, tau)
    when = np.argmax(spikes > 0, axis=0)
    with np.errstate(divide="ignore"):
        x = 1.0 - when / (len(spikes) - 1) if law == "linear" else np.minimum(threshold / -np.expm1(-when / tau), 1.0)
    return np.where((spikes > 0).any(axis=0), x, 0.0)


def _latency_settings(x: Any, steps: int, law: str, threshold: float, tau: float | None) -> tuple[np.ndarray, float]:
    if law not in ("linear", "log"):
        raise ParameterError(f"latency.law must be 'linear' or 'log', got {law!r}")
    if not 0 < threshold < 1:
        raise ParameterError(f"latency.threshold must be in (0, 1), got {threshold}")
    tau = (_steps(steps, 2) - 1) / math.log(100.0) if tau is None else tau
    if not tau > 0:
        raise ParameterError(f"latency.tau must be > 0 steps, got {tau}")
    return _numbers("latency.x", x, 0.0, 1.0), tau


# ------------------------------------------------------------------------------------- delta, event camera


def delta(signal: Any, threshold: float = 0.1, *, follow: bool = True, start: Any = None, most: int = 255) -> np.ndarray:
    """Events where a signal has changed: send on delta.

    Parameters
    ----------
    signal : array_like, shape (steps, ...)
    threshold : float, > 0
        Change for one event.
    follow : bool
        Events are counted from a reference that each moves by the threshold, so that they add up to the signal
        (`from_delta`).  False: whether the change since the step before reaches the threshold, as snntorch's ``spikegen.delta``.
    start : float or array_like, optional
        The reference, or signal, before the first step; default: that of the first step.
    most : int
        Events of one kind at one step; further ones come in the next steps.

    Returns
    -------
    ndarray, uint8, shape (steps, 2, ...)
        How many events up ([:, 0]) and down ([:, 1]).
    """
    signal = _numbers("delta.signal", signal)
    if not threshold > 0 or not 1 <= most <= 255:
        raise ParameterError(f"delta: threshold must be > 0 and most from 1 to 255, got {threshold} and {most}")
    if signal.ndim < 1 or not len(signal):
        raise ParameterError(f"delta.signal must have the shape (steps, ...), got {signal.shape}")
    before = np.broadcast_to(_numbers("delta.start", signal[0] if start is None else start), signal.shape[1:])
    if not follow:
        change = np.diff(signal, axis=0, prepend=before[None])
        return np.stack([change >= threshold, change <= -threshold], axis=1).astype(np.uint8)
    return _changes(signal, before, np.full(signal.shape[1:], float(threshold)), most, 0)


def from_delta(events: Any, threshold: float = 0.1, start: Any = 0.0) -> np.ndarray:
    """The signal, float64, shape (steps, ...), from events of `delta` that follow it: within a threshold of it."""
    events = np.asarray(events)
    return np.asarray(start) + threshold * np.cumsum(events[:, 0].astype(np.int64) - events[:, 1], axis=0)


def _changes(signal: np.ndarray, reference: np.ndarray, threshold: np.ndarray, most: int, silent: int) -> np.ndarray:
    """Events up and down of a signal from a reference that follows; none for ``silent`` steps after one."""
    events = np.zeros((len(signal), 2, *signal.shape[1:]), np.uint8)
    reference, wait = reference.astype(np.float64), np.zeros(signal.shape[1:], np.int64)
    for t, now in enumerate(signal):
        # A part in a million of a threshold forgives the rounding of the reference, so that a change of exactly one counts.
        n = np.clip(np.trunc((now - reference) / threshold * (1.0 + 1e-6)), -most, most) * (wait <= 0)
        reference += n * threshold
        events[t, 0], events[t, 1] = np.maximum(n, 0.0), np.maximum(-n, 0.0)
        wait = np.where(n != 0, silent, wait - 1)
    return events


def camera(frames: Any, threshold: float = 0.2, *, dark: float = 0.1, mismatch: float = 0.0, refractory: int = 0, noise: float = 0.0,
           most: int = 255, seed: int = 1) -> np.ndarray:
    """Events of an event camera: where the logarithm of the brightness has changed.

    Parameters
    ----------
    frames : array_like >= 0, shape (steps, ..., height, width)
        Brightness.
    threshold : float, > 0
        Change of ln(dark + brightness) for one event; the reference moves by it.
    dark : float, > 0
        Added to the brightness (the dark current): raising it hides changes in the dark.
    mismatch : float, >= 0
        Standard deviation of the thresholds of pixels, relative to the threshold, drawn once (at least a tenth of it is left).
    refractory : int
        Steps after an event in which a pixel sends none.
    noise : float, in [0, 1]
        Probability per pixel and step of an event that means nothing, up or down alike.
    most : int
        Events of one kind of a pixel at one step.
    seed : int

    Returns
    -------
    ndarray, uint8, shape (steps, 2, ..., height, width)
        Brighter ([:, 0]) and darker ([:, 1]).  The first step has only noise: it sets the references.
    """
    frames = _numbers("camera.frames", frames, 0.0)
    if frames.ndim < 3 or not len(frames):
        raise ParameterError(f"camera.frames must have the shape (steps, ..., height, width), got {frames.shape}")
    if not (threshold > 0 and dark > 0 and mismatch >= 0 and refractory >= 0 and 0 <= noise <= 1 and 1 <= most <= 255):
        raise ParameterError("camera: threshold and dark must be > 0, mismatch and refractory >= 0, noise in [0, 1], most from 1 to 255; "
                             f"got {threshold}, {dark}, {mismatch}, {refractory}, {noise}, {most}")
    rng, shape = _rng(seed), frames.shape[1:]
    each = threshold * np.maximum(1.0 + mismatch * rng.standard_normal(shape), 0.1) if mismatch else np.full(shape, float(threshold))
    light = np.log(dark + frames)
    events = _changes(light, light[0], each, most, int(refractory))
    if noise:
        drawn = rng.random((len(frames), *shape), dtype=np.float32)
        events[:, 0] = np.minimum(events[:, 0].astype(int) + (drawn < noise / 2), most)
        events[:, 1] = np.minimum(events[:, 1].astype(int) + (drawn > 1.0 - noise / 2), most)
    return events


def saccades(images: Any, path: Sequence[tuple[float, float]], steps: int, *, margin: int = 0) -> np.ndarray:
    """Images moved along a path, as a camera sees them that makes saccades.

    Parameters
    ----------
    images : array_like, shape (..., height, width)
    path : sequence of (float, float)
        Corners, (right, down) in pixels; between them the movement is uniform.
    steps : int
        Frames of each piece of the path.
    margin : int
        Empty pixels put around the image first.  What comes from beyond the edge is 0.

    Returns
    -------
    ndarray, float64, shape ((len(path) - 1) * steps + 1, ..., height + 2 margin, width + 2 margin)
    """
    images, corners = _numbers("saccades.images", images), np.asarray(path, float)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 2 or images.ndim < 2:
        raise ParameterError(f"saccades: path must be two corners (right, down) or more, images (..., height, width); got {corners.shape}, "
                             f"{images.shape}")
    images = np.pad(images, [(0, 0)] * (images.ndim - 2) + [(margin, margin)] * 2)
    part = np.arange(_steps(steps)) / steps
    places = [start + (stop - start) * u for start, stop in zip(corners, corners[1:]) for u in part] + [corners[-1]]
    return np.stack([_moved(_moved(images, right, -1), down, -2) for right, down in places])


def _moved(images: np.ndarray, by: float, axis: int) -> np.ndarray:
    """Images shifted by a number of pixels along an axis: linear between pixels, 0 from beyond."""
    whole = math.floor(by)
    return (1.0 - (by - whole)) * _shifted(images, whole, axis) + (by - whole) * _shifted(images, whole + 1, axis)


def _shifted(images: np.ndarray, by: int, axis: int) -> np.ndarray:
    n = images.shape[axis]
    moved = np.roll(images, by, axis)
    lost = np.arange(n) < by if by >= 0 else np.arange(n) >= n + by
    return moved * ~(lost[:, None] if axis == -2 else lost)


# --------------------------------------------------------------------------------------- population, phase


def receptive_fields(x: Any, n: int, *, low: float = 0.0, high: float = 1.0, width: float | None = None) -> np.ndarray:
    """The answers of ``n`` Gaussian receptive fields to ``x``: float64, shape (..., n), from 0 to 1.

    Their centres lie evenly from ``low`` to ``high``; ``width`` is their standard deviation (default: the distance of centres).
    """
    if int(n) != n or n < 2 or not low < high or not (width is None or width > 0):
        raise ParameterError(f"receptive_fields: n >= 2, low < high and width > 0 are needed, got {n}, {low}, {high}, {width}")
    centres = np.linspace(low, high, int(n))
    return np.exp(-0.5 * ((_numbers("receptive_fields.x", x)[..., None] - centres) / (width or centres[1] - centres[0])) ** 2)


def population(x: Any, steps: int, n: int, *, low: float = 0.0, high: float = 1.0, width: float | None = None,
               encode: Callable[..., np.ndarray] = latency, **settings: Any) -> np.ndarray:
    """Spikes, uint8, shape (steps, ..., n), of ``n`` cells with Gaussian receptive fields for each number.

    ``encode`` (`latency`, `rate`, `phase`) makes spikes of their answers, with ``settings``.
    """
    return encode(receptive_fields(x, n, low=low, high=high, width=width), steps, **settings)


def from_population(answers: Any, *, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """The x, shape (...), that a population's answers, shape (..., n), stand for: the mean of centres weighted by them.

    Answers are what the decoder of the code gives of the spikes (`from_latency`, `from_rate`).  At the ends of the range the
    mean lies too far inside, since there are no fields beyond; NaN where no cell answers.
    """
    answers = _numbers("from_population.answers", answers, 0.0)
    with np.errstate(invalid="ignore"):
        return answers @ np.linspace(low, high, answers.shape[-1]) / answers.sum(axis=-1)


def phase(x: Any, steps: int, *, period: int = 8) -> np.ndarray:
    """The binary digits of ``x``, the most significant first, once in every period: a spike in phase k stands for 2^-(k + 1).

    ``x`` in [0, 1], shape (...), is rounded to the nearest number of ``period`` digits below 1.  After "weighted spikes" (Kim et
    al. 2018, "Deep neural networks with weighted spikes").  Returns uint8, shape (steps, ...).
    """
    if not 1 <= period <= 32:
        raise ParameterError(f"phase.period must be from 1 to 32 steps, got {period}")
    whole = np.minimum(np.rint(_numbers("phase.x", x, 0.0, 1.0) * 2.0**period), 2.0**period - 1).astype(np.int64)
    places = period - 1 - np.arange(_steps(steps)) % period
    return ((whole >> places.reshape(-1, *[1] * whole.ndim)) & 1).astype(np.uint8)


def from_phase(spikes: Any, *, period: int = 8) -> np.ndarray:
    """The x, float64, shape (...), of a phase code: the mean over the whole periods in ``spikes``, shape (steps, ...)."""
    spikes = np.asarray(spikes)
    n = len(spikes) // period
    if n < 1:
        raise ParameterError(f"from_phase: {len(spikes)} steps hold no period of {period}")
    weights = 0.5 ** (1 + np.arange(n * period) % period)
    return np.tensordot(weights, spikes[: n * period].astype(np.float64), 1) / n


# ---------------------------------------------------------------------------------------- spikes and times


def spike_times(spikes: Any, dt: float, *, start: float = 0.0) -> list[np.ndarray]:
    """When each channel spikes, ms: what ``SpikeSourceArray(spike_times)`` takes.

    Parameters
    ----------
    spikes : array_like of whole numbers >= 0, shape (steps, ...)
        How many at each step; channels are taken in the order of their indices.
    dt, start : float
        Length of a step, and the time of the first one, ms.
    """
    spikes = np.asarray(spikes)
    if spikes.ndim < 1 or not dt > 0 or not start >= 0:
        raise ParameterError(f"spike_times: shape (steps, ...), dt > 0 and start >= 0 ms are needed; got {spikes.shape}, {dt}, {start}")
    if (spikes < 0).any() or (spikes != np.rint(spikes)).any():
        raise ParameterError("spike_times: spikes must be whole numbers >= 0")
    flat = spikes.reshape(len(spikes), -1).astype(np.int64)
    return [start + dt * np.repeat(np.arange(len(flat)), channel).astype(np.float64) for channel in flat.T]


def counted(times: Sequence[Any], steps: int, dt: float, *, start: float = 0.0) -> np.ndarray:
    """How many spikes of each channel fall to each step, uint8, shape (steps, channels); those outside are left out.

    The inverse of `spike_times`: times, ms, are rounded to the nearest step, at most 255 in one.
    """
    if not dt > 0:
        raise ParameterError(f"counted.dt must be > 0 ms, got {dt}")
    out = np.zeros((_steps(steps), len(times)), np.int64)
    for channel, one in enumerate(times):
        at = np.rint((np.asarray(one, float) - start) / dt).astype(np.int64)
        np.add.at(out[:, channel], at[(at >= 0) & (at < steps)], 1)
    return np.minimum(out, 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------ checks


def _numbers(name: str, x: Any, low: float = -math.inf, high: float = math.inf) -> np.ndarray:
    try:
        x = np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must be numbers: {error}") from None
    bad = x[~((x >= low) & (x <= high) & np.isfinite(x))]
    if bad.size:
        raise ParameterError(f"{name} must be finite and in [{low:g}, {high:g}], got {bad.flat[0]:g}")
    return x


def _steps(steps: int, least: int = 1) -> int:
    if int(steps) != steps or steps < least:
        raise ParameterError(f"steps must be a whole number >= {least}, got {steps}")
    return int(steps)


def _rng(seed: int) -> np.random.Generator:
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ParameterError(f"seed must be a whole number >= 0, got {seed!r}")
    return np.random.default_rng(int(seed))
