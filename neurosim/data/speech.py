"""Spoken digits as spikes of a cochlea: real speech from files of one's own, or synthetic voices.

Nothing here is shipped with the library.  The *Free Spoken Digit Dataset* (Z. Jackson and contributors; CC BY-SA 4.0; 3,000
clips of 6 speakers at 8 kHz) is in no package registry: it is read by path.  Without a path, espeak-ng (Debian package
``espeak-ng``; GPL-3+, of which what it says is no part) speaks the digits once, in many voices, accents, pitches and
speeds; what it said is kept below ``XDG_CACHE_HOME``.  It is synthetic speech and says so in `Split.source`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import fetch
from ..errors import FileFormatError, ParameterError
from .cochlea import Cochlea
from .split import Split, by_group, by_index, generator

__all__ = ["Clips", "espeak", "fsdd", "spoken"]

_WORDS = {
    "en": "zero one two three four five six seven eight nine".split(),
    "de": "null eins zwei drei vier fünf sechs sieben acht neun".split(),
}
_ACCENTS = {"en": ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd"), "de": ("de",)}
# Variants of espeak-ng 1.51 that sound like people (neither robots nor whispers).
VOICES = tuple("Andy Annie Diogo Gene Hugo Lee Mario Michael Mike adam anika antonio aunty belinda benjamin boris caleb david ed f1 f2 f3 "
               "f4 f5 grandma grandpa linda m1 m2 m3 m4 m5 m7 marcelo max michel miguel paul pedro quincy rob robert sandro shelby steph "
               "travis victor zac".split())
_RATE = 8000
_LEVEL = 0.1  # root mean square of a clip, in amplitudes of a 0 dB tone


class Clips(NamedTuple):
    """Recorded words: ``sounds`` (float32 arrays), ``digit`` (int64), ``speaker`` (str) and ``take`` (int64) of each, and what they are."""

    sounds: list[np.ndarray]
    digit: np.ndarray
    speaker: np.ndarray
    take: np.ndarray
    source: str


def spoken(path: Any = None, *, steps: int = 80, dt: float = 8.0, cochlea: Cochlea = Cochlea(), validation: Any = None, test: Any = None,
           split: str = "speaker", clips: int = 2400, languages: Sequence[str] = ("en",), seed: int = 1, poisson: bool = False,
           binary: bool = True) -> Split:
    """Spoken digits, turned into spikes of a cochlea's channels.

    Clips are cut to where there is sound, and made equally loud.

    Parameters
    ----------
    path : path, optional
        Real speech: the folder ``recordings`` of the Free Spoken Digit Dataset (``digit_speaker_take.wav``), or a file
        ``.npz`` with its arrays ``audio``, ``offsets``, ``digit``, ``speaker``, ``take`` and ``rate``.  Without it: synthetic
        voices, which needs espeak-ng the first time.
    steps, dt : int, float
        Bins of ``dt`` ms; longer clips are cut.
    cochlea : Cochlea
        Channels and neurons; its ``rate`` must be 8000 per second.
    validation, test : int or sequence of str
        Speakers of these parts, or how many, drawn by seed.  Default: 1 and 1 of the 6 real ones; an eighth of the voices
        and a sixth of them.
    split : str
        ``"speaker"``: no speaker is in two parts.  ``"take"``, for real speech: all speakers are in all parts, takes 0-4 (the
        set's own test part) to test, takes 5-9 to validate.
    clips : int
        Of synthetic speech: how many, at least; every voice says every word equally often.
    languages : sequence of str
        Of synthetic speech: ``"en"``, ``"de"``; the classes of the second follow those of the first.
    seed : int
        Of the split, the voices' pitches and speeds, and the spikes.
    poisson : bool
        Spikes by chance; else of deterministic neurons.
    binary : bool
        0 or 1 for each bin; else how many spikes.

    Returns
    -------
    Split
        Inputs uint8, shape (n, steps, channels); targets int64.

    Raises
    ------
    FileFormatError
        If a file is not what it should be, or espeak-ng is not installed.
    """
    if cochlea.rate != _RATE:
        raise ParameterError(f"spoken: the clips have {_RATE} samples per second, Cochlea.rate is {cochlea.rate}")
    if split not in ("speaker", "take") or (split == "take" and path is None):
        raise ParameterError(f"spoken.split must be 'speaker', or 'take' for real speech, got {split!r}")
    said = fsdd(path) if path is not None else espeak(clips, languages=languages, seed=seed)
    groups: tuple[tuple[str, ...], ...] = ()
    if split == "speaker":
        voices = len(np.unique(said.speaker))
        parts, groups = by_group(said.speaker, max(1, voices // 8) if validation is None else validation,
                                 max(1, voices // 6) if test is None else test, seed)
    else:
        parts = [np.flatnonzero(said.take >= 10), np.flatnonzero((said.take >= 5) & (said.take < 10)), np.flatnonzero(said.take < 5)]
    inputs = cochlea.spikes([even(sound) for sound in said.sounds], steps, dt, seed=seed if poisson else None, binary=binary)
    source = f"{said.source}, cochlea of {cochlea.channels} channels, {steps} x {dt:g} ms"
    return by_index(inputs, said.digit, parts, source, groups)


def even(sound: np.ndarray, part: float = 0.03) -> np.ndarray:
    """A clip from its first to its last sample above ``part`` of its peak, at the level that all get."""
    loud = np.flatnonzero(np.abs(sound) > part * np.abs(sound).max()) if len(sound) else np.empty(0, int)
    if not len(loud):
        raise FileFormatError("a clip is silent")
    sound = sound[loud[0]:loud[-1] + 1].astype(np.float32)
    return sound * np.float32(_LEVEL / np.sqrt(np.mean(sound**2)))


# ---------------------------------------------------------------------------------------------- real speech


def fsdd(path: Any) -> Clips:
    """The clips of the Free Spoken Digit Dataset, from its folder of wav files or a packed ``.npz`` (see `spoken`)."""
    path = Path(path)
    return _folder(path) if path.is_dir() else _packed(path)


def _packed(path: Path) -> Clips:
    try:
        with np.load(path, allow_pickle=False) as file:
            audio, offsets, digit, speaker, take, rate = (file[k] for k in ("audio", "offsets", "digit", "speaker", "take", "rate"))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise FileFormatError(f"{path} does not hold packed spoken digits: {error}") from error
    n = len(digit)
    fits = n > 0 and offsets.shape == (n + 1,) and speaker.shape == take.shape == (n,)
    if not fits or offsets[-1] != len(audio) or np.diff(offsets).min() <= 0 or int(rate) != _RATE:
        raise FileFormatError(f"{path}: {len(audio)} samples, {rate} a second, offsets {offsets.shape}, digits {digit.shape} do not fit")
    sounds = [audio[a:b].astype(np.float32) / 32768.0 for a, b in zip(offsets, offsets[1:])]
    return _real(sounds, digit, speaker, take)


def _folder(path: Path) -> Clips:
    named = [(re.fullmatch(r"(\d)_(\w+?)_(\d+)", file.stem), file) for file in path.glob("*.wav")]
    found = sorted((int(match[1]), match[2], int(match[3]), file) for match, file in named if match)
    if not found:
        raise FileFormatError(f"{path} holds no file like 7_name_12.wav")
    sounds = []
    for *_, file in found:
        rate, sound = _wav(file.read_bytes(), str(file))
        sounds.append(resampled(sound, rate))
    return _real(sounds, [f[0] for f in found], [f[1] for f in found], [f[2] for f in found])


def _real(sounds: list[np.ndarray], digit: Any, speaker: Any, take: Any) -> Clips:
    names = np.asarray(speaker, str)
    source = f"real speech (Free Spoken Digit Dataset, {len(sounds)} clips, {len(np.unique(names))} speakers)"
    return Clips(sounds, np.asarray(digit, np.int64), names, np.asarray(take, np.int64), source)


def _wav(content: bytes, name: str) -> tuple[int, np.ndarray]:
    """Samples per second and sound (float32, 1 is full scale) of a wav file of 16 bits, its first channel."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise FileFormatError(f"{name} is not a wav file: {error}") from error
    if width != 2:
        raise FileFormatError(f"{name} has samples of {8 * width} bits, not 16")
    whole = len(frames) // (2 * channels) * channels
    return rate, np.frombuffer(frames, "<i2", count=whole)[::channels].astype(np.float32) / np.float32(32768.0)


def resampled(sound: np.ndarray, rate: int) -> np.ndarray:
    """A sound of ``rate`` samples per second at 8000: without what lies above 4 kHz, by FFT, in silence."""
    if rate == _RATE:
        return sound
    pad = -(-rate // 20)  # 50 ms at both ends, so that the ends do not meet
    sound = np.pad(sound, pad)
    sound = np.pad(sound, (0, -len(sound) % rate if len(sound) < rate else 0))
    n = int(round(len(sound) * _RATE / rate))
    spectrum = np.fft.rfft(sound)[:n // 2 + 1]
    spectrum = np.pad(spectrum, (0, n // 2 + 1 - len(spectrum)))
    return (np.fft.irfft(spectrum, n) * (n / len(sound))).astype(np.float32)


# ----------------------------------------------------------------------------------------- synthetic voices


def espeak(clips: int = 2400, *, languages: Sequence[str] = ("en",), seed: int = 1,
           say: Callable[[str, str, int, int], bytes] | None = None) -> Clips:
    """Digits said by espeak-ng, in the voices ``VOICES``; made once and kept.

    Every clip has an accent, a pitch (20-80), a speed (120-220 words a minute) and white noise (25-45 dB below the speech)
    drawn by seed.  ``say(word, voice, pitch, speed)`` gives a wav file; by default it runs espeak-ng, and about 80 clips
    are made in a second.
    """
    if not languages or not set(languages) <= set(_WORDS) or len(set(languages)) != len(languages):
        raise ParameterError(f"espeak.languages must be some of {', '.join(_WORDS)}, got {languages!r}")
    words = [(language, word) for language in languages for word in _WORDS[language]]
    if int(clips) != clips or clips < 1:
        raise ParameterError(f"espeak.clips must be a whole number >= 1, got {clips}")
    takes = -(-int(clips) // (len(VOICES) * len(words)))
    rng = generator(seed, 8)
    plan = [(kind, voice, take, f"{_ACCENTS[language][rng.integers(len(_ACCENTS[language]))]}+{voice}", int(rng.integers(20, 81)),
             int(rng.integers(120, 221))) for voice in VOICES for take in range(takes) for kind, (language, _) in enumerate(words)]
    program = say or _espeak
    recipe = json.dumps([1, "espeak-ng", [words[p[0]][1] for p in plan], [p[3:] for p in plan]])
    name = f"spoken-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.npz"

    def make() -> dict[str, np.ndarray]:
        sounds = []
        for kind, _, _, voice, pitch, speed in plan:
            rate, sound = _wav(program(words[kind][1], voice, pitch, speed), f"what espeak-ng said as {voice}")
            sounds.append(np.rint(32767 * resampled(sound, rate)).clip(-32768, 32767).astype(np.int16))
        return {"audio": np.concatenate(sounds), "offsets": np.cumsum([0] + [len(sound) for sound in sounds])}

    kept = fetch.made(name, f"{len(plan)} digits spoken by espeak-ng", f"{len(plan) / 80:.0f} s", make)
    noise = generator(seed, 9)
    sounds = []
    for start, stop in zip(kept["offsets"], kept["offsets"][1:]):
        sound = even(kept["audio"][start:stop].astype(np.float32) / 32768.0)
        loud = _LEVEL * 10.0 ** (-noise.uniform(25.0, 45.0) / 20.0)
        sounds.append(sound + noise.normal(0.0, loud, len(sound)).astype(np.float32))
    source = f"synthetic speech (espeak-ng, {len(plan)} clips, {len(VOICES)} voices, {' and '.join(languages)})"
    return Clips(sounds, np.array([p[0] for p in plan], np.int64), np.array([p[1] for p in plan]), np.array([p[2] for p in plan], np.int64),
                 source)


def _espeak(word: str, voice: str, pitch: int, speed: int) -> bytes:
    program = shutil.which("espeak-ng")
    if program is None:
        raise FileFormatError("synthetic speech is made by espeak-ng, which is not installed: apt-get install espeak-ng; "
                              "or give the path of recorded digits")
    done = subprocess.run([program, "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", word], capture_output=True, check=False)
    if done.returncode or len(done.stdout) < 100:
        raise FileFormatError(f"espeak-ng did not speak as {voice}: {done.stderr.decode(errors='replace').strip()[:200]}")
    # It writes to a pipe, and so does not know how long the sound is: the sizes in the header are wrong.
    size = len(done.stdout) - 44
    return done.stdout[:4] + (size + 36).to_bytes(4, "little") + done.stdout[8:40] + size.to_bytes(4, "little") + done.stdout[44:]
