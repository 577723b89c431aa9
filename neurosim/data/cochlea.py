"""Sound to spikes: a bank of gammatone filters, hair cells, and neurons that fire.

    pressure -> gammatone filters -> half-wave rectification, mean over a frame -> level above a floor, in dB
             -> adaptation -> leaky integrate-and-fire neurons, or a Poisson process

One channel is one place of the basilar membrane; places are equally far apart on the scale of equivalent rectangular
bandwidths.  Everything is NumPy; a clip of half a second takes a few milliseconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ParameterError
from .split import generator

__all__ = ["Cochlea", "bandwidth"]

_RINGING = 0.08  # s of silence after the sound, into which the filters ring


def bandwidth(frequency: Any) -> Any:
    """The equivalent rectangular bandwidth, Hz, of the filter at a frequency, Hz (Glasberg & Moore 1990, eq. 3)."""
    return 24.7 * (4.37e-3 * np.asarray(frequency, float) + 1.0)


@dataclasses.dataclass(frozen=True)
class Cochlea:
    """A model of the cochlea: ``Cochlea().spikes([sound, ...], steps=80, dt=8.0)``.

    Parameters
    ----------
    channels : int
    low, high : float
        Frequencies of the first and last channel, Hz.
    rate : float
        Samples of a sound per second; more than twice ``high``.
    frame : float
        Over which the rectified output of a filter is averaged, and the time step of the neurons, ms.  Below 2 ms the
        low channels still lock to the phase of a sound.
    floor : float
        The level at which a channel begins to answer, dB; 0 dB is a tone of amplitude 1 at the channel's frequency.
    adaptation : float, in [0, 1]
        Part of its own running mean that is taken off the drive: 0 answers to the level, 1 only to its rise.
    tau_adapt : float
        Time constant of that mean, ms.
    gain : float
        Stationary potential, in thresholds, of a neuron that is driven by a level of 0 dB without adaptation.
    tau_m : float
        Membrane time constant, ms.
    refractory : float
        Least interval between two spikes of a channel, ms.
    peak : float
        Spikes per second of a Poisson channel at 0 dB.

    Notes
    -----
    The filter is the gammatone of order 4 (Patterson et al. 1992) in its complex form, of which we take the real part:
    H(f) = (1 + i (f - f_c) / b)^-4 for f > 0 with b = 1.019 ERB(f_c), so that its gain at f_c is 1.  It is applied by
    FFT, which leaves out the image of the pass-band at negative frequencies.  The hair cell is a rectifier with a
    logarithm; drive = max(0, 1 - level / floor), which is 1 at 0 dB and 0 at the floor.
    """

    channels: int = 40
    low: float = 100.0
    high: float = 3600.0
    rate: float = 8000.0
    frame: float = 1.0
    floor: float = -50.0
    adaptation: float = 0.6
    tau_adapt: float = 60.0
    gain: float = 8.0
    tau_m: float = 8.0
    refractory: float = 6.0
    peak: float = 150.0

    def __post_init__(self) -> None:
        if int(self.channels) != self.channels or self.channels < 1:
            raise ParameterError(f"Cochlea.channels must be a whole number >= 1, got {self.channels}")
        if not 0 < self.low <= self.high < self.rate / 2:
            raise ParameterError("Cochlea: 0 < low <= high < rate / 2 Hz is needed, got "
                                 f"low {self.low}, high {self.high}, rate {self.rate}")
        for name in ("frame", "tau_adapt", "gain", "tau_m", "peak"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"Cochlea.{name} must be > 0, got {getattr(self, name)}")
        if not self.floor < 0 or not 0 <= self.adaptation <= 1 or not self.refractory >= 0:
            raise ParameterError(f"Cochlea: floor must be < 0 dB, adaptation in [0, 1], refractory >= 0 ms; got {self.floor}, "
                                 f"{self.adaptation}, {self.refractory}")
        if self.samples < 1:
            raise ParameterError(f"Cochlea.frame of {self.frame} ms holds no sample at {self.rate} per second")

    @property
    def samples(self) -> int:
        """Samples of a frame."""
        return int(round(self.frame * self.rate / 1000.0))

    @property
    def frequencies(self) -> np.ndarray:
        """Of the channels, Hz, equally spaced on the ERB-rate scale (Glasberg & Moore 1990, eq. 4)."""
        low, high = (21.4 * np.log10(4.37e-3 * f + 1.0) for f in (self.low, self.high))
        return (10.0 ** (np.linspace(low, high, self.channels) / 21.4) - 1.0) / 4.37e-3

    def filtered(self, sound: Any) -> np.ndarray:
        """The filters' output, float32, shape (channels, samples), for a sound of shape (samples,)."""
        sound = np.asarray(sound, np.float32)
        if sound.ndim != 1 or not len(sound) or not np.isfinite(sound).all():
            raise ParameterError(f"a sound is a list of finite pressures, shape (samples,); got shape {sound.shape}")
        n = len(sound)
        whole = _even(n + int(_RINGING * self.rate))
        centre = self.frequencies[:, None]
        f = np.fft.rfftfreq(whole, 1.0 / self.rate)
        response = (1.0 + 1j * (f - centre) / (1.019 * bandwidth(centre))) ** -4
        return np.fft.irfft(np.fft.rfft(sound, whole) * response.astype(np.complex64), whole)[:, :n].astype(np.float32)

    def drive(self, sound: Any) -> np.ndarray:
        """What the hair cells pass on, float32, shape (frames, channels): 1 at 0 dB, 0 at the floor and below."""
        x = self.filtered(sound)
        frames = -(-x.shape[1] // self.samples)
        x = np.pad(np.maximum(x, 0.0), ((0, 0), (0, frames * self.samples - x.shape[1])))
        mean = np.pi * x.reshape(self.channels, frames, self.samples).mean(axis=2)  # a tone of amplitude 1 has the mean 1 / pi
        least = 10.0 ** (self.floor / 20.0)
        return (1.0 - 20.0 * np.log10(np.maximum(mean, least)) / self.floor).T.astype(np.float32)

    def spikes(self, sounds: Sequence[Any], steps: int, dt: float, *, seed: int | None = None, binary: bool = True) -> np.ndarray:
        """Spikes of the channels for sounds of any lengths.

        Parameters
        ----------
        sounds : sequence of array_like, each of shape (samples,)
        steps, dt : int, float
            Of the result: bins of ``dt`` ms, a whole number of frames.  Sounds are cut, or followed by silence.
        seed : int, optional
            Fire as Poisson processes by this seed.  Without one, as leaky integrate-and-fire neurons: deterministic.
        binary : bool
            1 for a bin with spikes; else how many there are.

        Returns
        -------
        ndarray, uint8, shape (sounds, steps, channels)
        """
        per = int(round(dt / self.frame))
        if steps < 1 or per < 1 or abs(per * self.frame - dt) > 1e-9:
            raise ParameterError(f"steps must be >= 1, and dt a whole number of frames of {self.frame} ms; got {steps}, {dt} ms")
        counts = np.zeros((len(sounds), steps, self.channels), np.uint8)
        for first in range(0, len(sounds), 256):
            some = sounds[first:first + 256]
            drive = np.zeros((steps * per, len(some), self.channels), np.float32)
            for k, sound in enumerate(some):
                one = self.drive(np.asarray(sound)[:steps * per * self.samples])
                drive[:len(one), k] = one
            fired = self._fired(drive, None if seed is None else generator(seed, first))
            counts[first:first + 256] = fired.reshape(steps, per, len(some), self.channels).sum(axis=1).swapaxes(0, 1)
        return np.minimum(counts, 1) if binary else counts

    def _fired(self, drive: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Spikes, bool, of the shape of ``drive`` (frames, ...)."""
        keep, follow = np.exp(-self.frame / self.tau_m), 1.0 - np.exp(-self.frame / self.tau_adapt)
        silent = int(round(self.refractory / self.frame))
        v, mean = np.zeros(drive.shape[1:], np.float32), np.zeros(drive.shape[1:], np.float32)
        wait = np.zeros(drive.shape[1:], np.int32)
        fired = np.zeros(drive.shape, bool)
        for t, level in enumerate(drive):
            level = np.maximum(level - self.adaptation * mean, 0.0)
            mean = mean + follow * (drive[t] - mean)
            ready = wait <= 0
            if rng is None:
                v = np.where(ready, keep * v + (1.0 - keep) * self.gain * level, 0.0)
                spike = v >= 1.0
                v[spike] = 0.0
            else:
                spike = ready & (rng.random(level.shape, dtype=np.float32) < -np.expm1(-level * self.peak * self.frame / 1000.0))
            wait = np.where(spike, silent - 1, wait - 1)
            fired[t] = spike
        return fired


def _even(n: int) -> int:
    """A length >= n that the FFT is fast for: 2^a 3^b."""
    best = 1 << (n - 1).bit_length()
    three = 3
    while three < best:
        two = three << max(0, (-(-n // three) - 1).bit_length())
        best = min(best, two) if two >= n else best
        three *= 3
    return best
