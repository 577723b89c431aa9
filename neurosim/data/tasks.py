"""Made tasks in which time carries what is asked: spikes of shape (samples, steps, channels), by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import ParameterError
from .split import Part, Split, generator

__all__ = ["delay_coded", "delayed_match", "store_recall"]

_SIZES = (1000, 200, 500)


def delay_coded(sizes: Sequence[int] = _SIZES, *, classes: int = 10, channels: int = 20, steps: int = 40, jitter: float = 1.0,
                last: int | None = None, seed: int = 1) -> Split:
    """Classes that differ only in *when* each channel spikes: every channel spikes once in every sample.

    A class is one time for each channel, drawn uniformly; a sample shifts each spike by a normal number of steps, rounded.
    Counts say nothing, nor does any single channel say much: what tells classes apart is the spikes of a class falling
    together once each is delayed by what it is early.

    Parameters
    ----------
    sizes : three int
        Samples to train, validate and test; classes come in turn, so as equally often as can be.
    classes, channels, steps : int
    jitter : float, >= 0
        Standard deviation of the shifts, steps.
    last : int, optional
        Spikes of a class come before this step (default: ``steps``), so that the steps after it are silent but for jitter.
    seed : int
        Of the classes and of the samples.

    Returns
    -------
    Split
        Inputs uint8, shape (n, steps, channels), 1 where a channel spikes; targets int64.
    """
    last = steps if last is None else last
    _whole("delay_coded", classes=(classes, 2), channels=(channels, 1), steps=(steps, 2), last=(last, 1))
    if last > steps or not jitter >= 0:
        raise ParameterError(f"delay_coded: last must be at most steps, jitter >= 0 steps; got {last} of {steps}, {jitter}")
    times = generator(seed, 0).integers(0, last, (classes, channels))

    def draw(n: int, rng: np.random.Generator) -> Part:
        targets = _balanced(n, classes, rng)
        when = times[targets] + np.rint(rng.normal(0.0, jitter, (n, channels))).astype(int)
        when = np.clip(when, 0, steps - 1)
        inputs = np.zeros((n, steps, channels), np.uint8)
        inputs[np.arange(n)[:, None], when, np.arange(channels)] = 1
        return inputs, targets

    return _drawn(draw, sizes, seed, f"made: delay-coded, {classes} classes, {channels} channels, {steps} steps, jitter {jitter:g}")


def store_recall(sizes: Sequence[int] = _SIZES, *, values: int = 2, slot: int = 20, delay: tuple[int, int] = (200, 2000),
                 group: int = 10, rate: float = 0.05, noise: float = 0.0, seed: int = 1) -> Split:
    """Remember the value shown while *store* was on, through others shown since, and tell it when *recall* is on.

    After the store-recall task of Bellec et al. (2018, "Long short-term memory and learning-to-learn in networks of
    spiking neurons"): in each slot one value is shown; one slot carries the store command, the last one the recall
    command (and no value).  All other values are distractors.  Here there is one store and one recall in a sample, and
    the recall is always the last slot, so that a readout looks at the last ``slot`` steps whatever the delay was.

    Parameters
    ----------
    sizes : three int
        Samples to train, validate and test.
    values : int, >= 2
        Values to remember; chance is 1 / values.
    slot : int
        Steps of a slot.
    delay : (int, int)
        Steps from the end of the store to the beginning of the recall: least and most, in whole slots (rounded down);
        uniform between them.
    group : int
        Channels of each signal: ``values * group`` for values, then store, then recall.
    rate : float, in (0, 1]
        Probability of a spike of a channel of a signal that is on, per step.
    noise : float, in [0, 1]
        The same for one that is off.
    seed : int

    Returns
    -------
    Split
        Inputs uint8, shape (n, (2 + delay[1] // slot) * slot, (values + 2) * group); targets int64, the value stored.
    """
    _whole("store_recall", values=(values, 2), slot=(slot, 1), group=(group, 1))
    low, high = (int(one) // slot for one in delay)
    if not 0 <= low <= high:
        raise ParameterError(f"store_recall.delay must be (least, most) with 0 <= least <= most steps, got {delay}")
    _chances("store_recall", rate=rate, noise=noise)
    slots = high + 2

    def draw(n: int, rng: np.random.Generator) -> Part:
        targets = _balanced(n, values, rng)
        at = slots - 2 - rng.integers(low, high + 1, n)
        shown = rng.integers(0, values, (n, slots))
        shown[np.arange(n), at] = targets
        on = np.zeros((n, slots, values + 2), bool)
        on[np.arange(n)[:, None], np.arange(slots), shown] = True
        on[:, -1, :values] = False
        on[np.arange(n), at, values] = True
        on[:, -1, values + 1] = True
        return _spikes(on, slot, group, rate, noise, rng), targets

    return _drawn(draw, sizes, seed, f"made: store-recall, {values} values, delays {low * slot} to {high * slot} steps")


def delayed_match(sizes: Sequence[int] = _SIZES, *, patterns: int = 4, show: int = 20, delay: tuple[int, int] = (50, 200),
                  group: int = 10, rate: float = 0.1, noise: float = 0.0, seed: int = 1) -> Split:
    """Whether the second of two patterns, a delay apart, is the first again (target 1) or another (0).

    Parameters
    ----------
    sizes : three int
        Samples to train, validate and test; half of each match.
    patterns : int, >= 2
    show : int
        Steps for which a pattern is on; the second one is on in the last of the sample.
    delay : (int, int)
        Steps from the end of the first to the beginning of the second: least and most; uniform between them.
    group : int
        Channels of each pattern.
    rate, noise : float
        Probability of a spike per step of a channel whose pattern is on, and off.
    seed : int

    Returns
    -------
    Split
        Inputs uint8, shape (n, 2 * show + delay[1], patterns * group); targets int64.
    """
    _whole("delayed_match", patterns=(patterns, 2), show=(show, 1), group=(group, 1))
    low, high = (int(one) for one in delay)
    if not 0 <= low <= high:
        raise ParameterError(f"delayed_match.delay must be (least, most) with 0 <= least <= most steps, got {delay}")
    _chances("delayed_match", rate=rate, noise=noise)
    steps = 2 * show + high

    def draw(n: int, rng: np.random.Generator) -> Part:
        targets = _balanced(n, 2, rng)
        second = rng.integers(0, patterns, n)
        first = (second + np.where(targets == 1, 0, rng.integers(1, patterns, n))) % patterns
        start = high - rng.integers(low, high + 1, n)
        on = np.zeros((n, steps, patterns), bool)
        on[np.arange(n)[:, None], start[:, None] + np.arange(show), first[:, None]] = True
        on[np.arange(n)[:, None], steps - show + np.arange(show), second[:, None]] = True
        return _spikes(on, 1, group, rate, noise, rng), targets

    return _drawn(draw, sizes, seed, f"made: delayed match, {patterns} patterns, delays {low} to {high} steps")


# ------------------------------------------------------------------------------------------------ shared


def _drawn(draw: Callable[[int, np.random.Generator], Part], sizes: Sequence[int], seed: int, source: str) -> Split:
    """Three parts from three independent streams."""
    if len(sizes) != 3 or any(int(n) != n or n < 1 for n in sizes):
        raise ParameterError(f"sizes must be three whole numbers >= 1 (train, validation, test), got {sizes}")
    train, validation, test = (draw(int(n), generator(seed, 1 + k)) for k, n in enumerate(sizes))
    return Split(train, validation, test, source=f"{source}, seed {seed}")


def _balanced(n: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(np.arange(n) % classes).astype(np.int64)


def _spikes(on: np.ndarray, slot: int, group: int, rate: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Spikes of ``group`` channels for each signal, for ``slot`` steps for each entry of ``on`` (n, slots, signals)."""
    on = np.repeat(np.repeat(on, slot, axis=1), group, axis=2)
    return (rng.random(on.shape, dtype=np.float32) < np.where(on, np.float32(rate), np.float32(noise))).astype(np.uint8)


def _whole(task: str, **numbers: tuple[int, int]) -> None:
    for name, (value, least) in numbers.items():
        if int(value) != value or value < least:
            raise ParameterError(f"{task}.{name} must be a whole number >= {least}, got {value}")


def _chances(task: str, **numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 <= value <= 1:
            raise ParameterError(f"{task}.{name} must be a probability per step, got {value}")
