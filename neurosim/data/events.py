"""Recordings of event cameras and of artificial cochleas, from files of one's own.

Spiking Heidelberg Digits and Spiking Speech Commands (B. Cramer et al. 2022; HDF5), N-MNIST (G. Orchard et al. 2015; one file of
5-byte events for each digit), DVS Gesture (A. Amir et al. 2017; AEDAT 3.1 with tables of labels), and any recordings packed
into one ``.npz``.  None is in a package registry, so none is fetched.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import FileFormatError, ParameterError
from ..extras import need
from .binned import Binned, binned
from .split import Split, by_group, stratified

__all__ = ["Events", "aedat", "dvs_gesture", "nmnist", "nmnist_events", "packed_events", "shd", "ssc"]

GESTURES = 11
_SENSOR = 34  # N-MNIST, pixels a side
_DVS = 128  # DVS Gesture, pixels a side


class Events(NamedTuple):
    """Events of a camera: ``t`` (int64, microseconds), ``x``, ``y`` (int64, pixels), ``polarity`` (int64, 0 or 1), in order of time."""

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray

    def between(self, start: int, stop: int) -> Events:
        """The events from ``start`` to before ``stop``, microseconds, with times from ``start`` on."""
        kept = (self.t >= start) & (self.t < stop)
        return Events(self.t[kept] - start, self.x[kept], self.y[kept], self.polarity[kept])


# ------------------------------------------------------------------------------------------ SHD and SSC


def shd(folder: Any, *, steps: int = 100, dt: float = 10.0, merge: int = 5, binary: bool = False, validation: Any = 0.1,
        seed: int = 1) -> Split:
    """Spiking Heidelberg Digits: spoken digits, English and German, 20 classes, 700 channels.

    Parameters
    ----------
    folder : path
        With ``shd_train.h5`` and ``shd_test.h5``, unpacked.
    steps, dt : int, float
        Bins of ``dt`` ms.
    merge : int
        Neighbouring channels that become one; 700 must be a multiple of it.
    binary : bool
        0 or 1 for each bin; else how many spikes.
    validation : float, or sequence of int
        The part of the training file to validate by, classes in proportion; or the speakers.  The test file is never touched
        for it (two of its speakers are in no other file).
    seed : int
        Of that part.

    Returns
    -------
    Split
        Inputs `Binned`, (n, steps, 700 / merge); targets int64.
    """
    inputs, targets, speakers = _spiking(Path(folder) / "shd_train.h5", steps, dt, merge, binary)
    if isinstance(validation, float):
        if not 0 < validation < 1:
            raise ParameterError(f"shd.validation must be a part in (0, 1) or speakers, got {validation}")
        train, chosen = stratified(targets, (1.0 - validation, validation), seed)
    else:
        if speakers is None:
            raise FileFormatError(f"{folder}/shd_train.h5 does not tell the speakers (extra/speaker)")
        chosen_mask = np.isin(speakers, list(validation))
        train, chosen = np.flatnonzero(~chosen_mask), np.flatnonzero(chosen_mask)
    test = _spiking(Path(folder) / "shd_test.h5", steps, dt, merge, binary)
    return Split((inputs.take(train), targets[train]), (inputs.take(chosen), targets[chosen]), test[:2],
                 f"Spiking Heidelberg Digits, {steps} x {dt:g} ms")


def ssc(folder: Any, *, steps: int = 100, dt: float = 10.0, merge: int = 5, binary: bool = False) -> Split:
    """Spiking Speech Commands: 35 words; arguments as for `shd`.  Its own three files: ``ssc_{train,valid,test}.h5``."""
    paths = [Path(folder) / f"ssc_{part}.h5" for part in ("train", "valid", "test")]
    train, validation, test = (_spiking(path, steps, dt, merge, binary)[:2] for path in paths)
    return Split(train, validation, test, f"Spiking Speech Commands, {steps} x {dt:g} ms")


def _spiking(path: Path, steps: int, dt: float, merge: int, binary: bool) -> tuple[Binned, np.ndarray, np.ndarray | None]:
    """Spikes, labels and speakers of a file in the format of the Heidelberg sets: ragged ``spikes/times`` (s) and ``units``."""
    h5py: Any = need("h5py", "data")
    channels = 700
    if merge < 1 or channels % merge:
        raise ParameterError(f"merge must divide {channels} channels, got {merge}")
    try:
        with h5py.File(path, "r") as file:
            times, units, labels = file["spikes/times"][()], file["spikes/units"][()], file["labels"][()]
            speakers = file["extra/speaker"][()] if "extra" in file and "speaker" in file["extra"] else None
    except (OSError, KeyError, RuntimeError) as error:
        raise FileFormatError(f"cannot read {path} as spikes/times, spikes/units, labels: {error}") from error
    if not len(times) == len(units) == len(labels):
        raise FileFormatError(f"{path}: {len(times)} lists of times, {len(units)} of units, {len(labels)} labels do not belong together")
    where = [np.asarray(unit, np.int64) // merge for unit in units]
    made = binned([1000.0 * np.asarray(time, np.float64) for time in times], where, (channels // merge,), steps, dt, binary=binary)
    return made, np.asarray(labels, np.int64), speakers


# --------------------------------------------------------------------------------------------- N-MNIST


def nmnist_events(content: bytes, name: str = "it") -> Events:
    """The events of an N-MNIST file (``.bin``, ``.bs2``): 5 bytes each; x, y, polarity in the highest bit of the rest, 23 bits of time."""
    if len(content) % 5:
        raise FileFormatError(f"{name} has {len(content)} bytes, not 5 for each event")
    b = np.frombuffer(content, np.uint8).reshape(-1, 5).astype(np.int64)
    return Events(((b[:, 2] & 0x7F) << 16) | (b[:, 3] << 8) | b[:, 4], b[:, 0], b[:, 1], b[:, 2] >> 7)


def nmnist(path: Any, *, steps: int = 30, dt: float = 10.0, binary: bool = True, validation: float = 0.1, seed: int = 1,
           limit: int | None = None) -> Split:
    """N-MNIST: the digits of MNIST as an event camera saw them that moved in three saccades of about 100 ms.

    Parameters
    ----------
    path : path
        A folder with ``Train/<digit>/*.bin`` and ``Test/<digit>/*.bin``; or an ``.npz`` as `packed_events` takes.
    steps, dt : int, float
        Bins of ``dt`` ms.
    binary : bool
        0 or 1 for each bin; else how many events.
    validation : float, in (0, 1)
        Part of the training recordings, classes in proportion, by ``seed``.
    limit : int, optional
        Read at most so many files of each digit and part.

    Returns
    -------
    Split
        Inputs `Binned`, (n, steps, 2, 34, 34), polarity 0 before 1; targets int64.
    """
    path = Path(path)
    if path.is_file():
        return packed_events(path, (_SENSOR, _SENSOR), steps=steps, dt=dt, binary=binary, validation=validation, seed=seed)
    parts = []
    for part in ("Train", "Test"):
        files = [(digit, file) for digit in range(10) for file in sorted((path / part / str(digit)).glob("*.bin"))[:limit]]
        if not files:
            raise FileFormatError(f"{path / part} holds no file like 7/00001.bin")
        recordings = [nmnist_events(file.read_bytes(), str(file)) for _, file in files]
        parts.append((_frames(recordings, (_SENSOR, _SENSOR), 1, steps, dt, binary), np.array([digit for digit, _ in files], np.int64)))
    return _own_test(parts, validation, seed, f"N-MNIST, recorded, {steps} x {dt:g} ms")


def packed_events(path: Any, shape: tuple[int, int], *, pool: int = 1, steps: int = 30, dt: float = 10.0, binary: bool = True,
                  validation: float = 0.1, seed: int = 1) -> Split:
    """Recordings of an event camera in one ``.npz``.

    For ``train_`` and ``test_``: ``offsets`` (where each recording begins, and the end of the last), ``x``, ``y``, ``p``, ``t``
    (microseconds) and ``label``.  ``shape`` is the sensor's (height, width), ``pool`` a side of the squares of pixels
    that become one; what lies outside the sensor is left out.  All else as for `nmnist`.
    """
    parts = []
    try:
        with np.load(path, allow_pickle=False) as file:
            for part in ("train", "test"):
                offsets, t, x, y, p, label = (file[f"{part}_{key}"].astype(np.int64) for key in ("offsets", "t", "x", "y", "p", "label"))
                if not len(offsets) == len(label) + 1 or not len(t) == len(x) == len(y) == len(p) == offsets[-1]:
                    raise FileFormatError(f"{path}: the arrays {part}_* do not belong together")
                ends = list(zip(offsets, offsets[1:]))
                recordings = [Events(t[a:b], x[a:b], y[a:b], p[a:b]) for a, b in ends]
                parts.append((_frames(recordings, shape, pool, steps, dt, binary), label))
    except (OSError, KeyError, EOFError) as error:
        raise FileFormatError(f"cannot read {path} as packed events: {error}") from error
    return _own_test(parts, validation, seed, f"{Path(path).name}, recorded, {steps} x {dt:g} ms")


def _own_test(parts: Sequence[tuple[Binned, np.ndarray]], validation: float, seed: int, source: str) -> Split:
    """A part of the training recordings to validate by; the set's own test part."""
    if not 0 < validation < 1:
        raise ParameterError(f"validation must be a part of the training recordings in (0, 1), got {validation}")
    (inputs, targets), test = parts
    train, chosen = stratified(targets, (1.0 - validation, validation), seed)
    return Split((inputs.take(train), targets[train]), (inputs.take(chosen), targets[chosen]), test, source)


def _frames(recordings: Sequence[Events], shape: tuple[int, int], pool: int, steps: int, dt: float, binary: bool) -> Binned:
    """Events sorted into bins of ``dt`` ms and squares of ``pool`` pixels: (n, steps, 2, height, width)."""
    if pool < 1 or shape[0] % pool or shape[1] % pool:
        raise ParameterError(f"pool must divide the sensor's {shape[0]} x {shape[1]} pixels, got {pool}")
    height, width = shape[0] // pool, shape[1] // pool
    times, places = [], []
    for e in recordings:
        inside = (e.x >= 0) & (e.x < shape[1]) & (e.y >= 0) & (e.y < shape[0])
        times.append(e.t[inside] / 1000.0)
        places.append(((e.polarity[inside] * height) + e.y[inside] // pool) * width + e.x[inside] // pool)
    return binned(times, places, (2, height, width), steps, dt, binary=binary)


# ----------------------------------------------------------------------------------------- DVS Gesture


def aedat(content: bytes, name: str = "it") -> Events:
    """The polarity events of a recording in the format AEDAT 3.1.

    Lines of text that begin with ``#``; then packets: a header of 28 bytes (type and source, 16 bits each; size of an event,
    offset of its time, overflow of time, capacity, number, valid, 32 bits each) and the events: bit 0 whether it is valid, bit 1
    polarity, bits 2-14 y, bits 17-29 x, then 32 bits of time in microseconds.
    """
    if not content.startswith(b"#!AER-DAT3"):
        raise FileFormatError(f"{name} does not begin with #!AER-DAT3")
    at = 0
    while content[at:at + 1] == b"#":
        end = content.find(b"\n", at) + 1
        if not end:
            raise FileFormatError(f"{name} ends within its header")
        ends, at = content[at:end].startswith(b"#!END-HEADER"), end
        if ends:
            break
    data, times = [], []
    while at < len(content):
        head = np.frombuffer(content[at:at + 28].ljust(28, b"\0"), np.dtype([("kind", "<u2"), ("source", "<u2"), ("rest", "<u4", 6)]))[0]
        size, _, overflow, _, number, _ = (int(one) for one in head["rest"])
        stop = at + 28 + size * number
        if stop > len(content) or (head["kind"] == 1 and size != 8):
            raise FileFormatError(f"{name} is damaged, or cut short, at byte {at}")
        if head["kind"] == 1:
            pairs = np.frombuffer(content, "<u4", count=2 * number, offset=at + 28).reshape(-1, 2).astype(np.int64)
            valid = (pairs[:, 0] & 1) == 1
            data.append(pairs[valid, 0])
            times.append(pairs[valid, 1] + (overflow << 31))
        at = stop
    none = np.empty(0, np.int64)
    address, t = np.concatenate([none, *data]), np.concatenate([none, *times])
    order = np.argsort(t, kind="stable")
    address = address[order]
    return Events(t[order], (address >> 17) & 0x1FFF, (address >> 2) & 0x1FFF, (address >> 1) & 1)


def dvs_gesture(folder: Any, *, steps: int = 100, dt: float = 20.0, pool: int = 4, binary: bool = True, validation: Any = 4,
                seed: int = 1) -> Split:
    """DVS Gesture: 11 gestures of 29 people before an event camera of 128 x 128 pixels.

    Parameters
    ----------
    folder : path
        With ``trials_to_train.txt``, ``trials_to_test.txt``, and for each name there (``user01_led.aedat``) the recording and
        its table ``user01_led_labels.csv``: class (1-11), start and end, microseconds.
    steps, dt : int, float
        Bins of ``dt`` ms from the beginning of a gesture; what comes later is left out.
    pool : int
        Side of the squares of pixels that become one.
    binary : bool
        0 or 1 for each bin; else how many events.
    validation : int or sequence of str
        People of the training list to validate by ("user07"), or how many, drawn by seed.  Those of the test list are others.
    seed : int

    Returns
    -------
    Split
        Inputs `Binned`, (n, steps, 2, 128 / pool, 128 / pool); targets int64 from 0.
    """
    folder = Path(folder)
    recordings: list[Events] = []
    labels: list[int] = []
    people: list[str] = []
    sizes = []
    for part in ("train", "test"):
        for trial in _text(folder / f"trials_to_{part}.txt").split():
            events = aedat(_content(folder / trial), trial)
            for kind, start, stop in _gestures(folder / f"{Path(trial).stem}_labels.csv"):
                recordings.append(events.between(start, stop))
                labels.append(kind - 1)
                people.append(trial.partition("_")[0])
        sizes.append(len(labels))
    inputs = _frames(recordings, (_DVS, _DVS), pool, steps, dt, binary)
    tested = sorted(set(people[sizes[0]:]))
    parts, groups = by_group(people, validation, tested, seed)
    targets = np.array(labels, np.int64)
    train, chosen, test = ((inputs.take(part), targets[part]) for part in parts)
    return Split(train, chosen, test, f"DVS Gesture, recorded, {steps} x {dt:g} ms", groups)


def _gestures(path: Path) -> list[tuple[int, int, int]]:
    table = csv.DictReader(_text(path).splitlines())
    try:
        rows = [(int(row["class"]), int(row["startTime_usec"]), int(row["endTime_usec"])) for row in table]
    except (KeyError, ValueError, TypeError) as error:
        raise FileFormatError(f"{path} has no columns class, startTime_usec, endTime_usec of whole numbers: {error}") from None
    bad = [kind for kind, _, _ in rows if not 1 <= kind <= GESTURES]
    if bad:
        raise FileFormatError(f"{path}: class {bad[0]} is not from 1 to {GESTURES}")
    return rows


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror or error}") from error


def _text(path: Path) -> str:
    return _content(path).decode("utf-8", "replace")
