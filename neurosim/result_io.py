"""Results on disk: ``.npz``, ``.nsim``, and the stream that a run writes while it goes on.

A stream and a saved result hold the same frames (see :mod:`neurosim.store`):

=============  =================================================  ===========================
kind           metadata                                           arrays
=============  =================================================  ===========================
``header``     content, label, dt, t_start, seed, populations     --
``positions``  population                                         positions
``recording``  population, variable (``spikes`` or a state)       ids (absent: all neurons)
``spikes``     population                                         times, ids
``trace``      population, variable, unit                         times, ids, values
``weights``    projection, unit                                   values, pre, post, times
``progress``   t: all recordings up to this time are written      --
``provenance`` anything                                           --
=============  =================================================  ===========================
"""

from __future__ import annotations

import contextlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from . import store
from .analysis import TOLERANCE
from .errors import FileFormatError, ParameterError
from .result import PopulationInfo, Result, Spikes, Trace, Weights, joined_weights

__all__ = ["ResultWriter", "load", "save"]


class ResultWriter:
    """Writes recordings to an ``.nsim`` file as they come.

    Parameters
    ----------
    path : path
        See :class:`neurosim.store.StreamWriter`.
    label, dt, t_start, seed, populations
        As for :class:`neurosim.result.Result`.
    content : str
        ``stream`` or ``result``.
    overwrite : bool
        False: refuse any file that exists.
    """

    def __init__(self, path: str | os.PathLike, *, label: str, dt: float, t_start: float, seed: int,
                 populations: Mapping[str, PopulationInfo], content: str = "stream", overwrite: bool = True) -> None:
        header = {"content": content, **_header(label, dt, t_start, seed, populations)}
        self._out = store.StreamWriter(path, header, overwrite=overwrite)
        self.path = self._out.path
        for name, info in populations.items():
            if info.positions is not None:
                self._out.write("positions", {"population": name}, positions=info.positions)

    def recording(self, population: str, variable: str, ids: np.ndarray | None = None) -> None:
        """Say that ``spikes`` of a population will come, from these neurons; None: from all."""
        self._out.write("recording", {"population": population, "variable": variable},
                        **({} if ids is None else {"ids": np.asarray(ids, dtype=np.int32)}))

    def spikes(self, population: str, times: np.ndarray, ids: np.ndarray) -> None:
        """Append spikes, later than those before: times in ms, ids within the population."""
        if len(times):
            self._out.write("spikes", {"population": population}, times=np.asarray(times, dtype=np.float64),
                            ids=np.asarray(ids, dtype=np.int32))

    def trace(self, population: str, variable: str, unit: str, times: np.ndarray, ids: np.ndarray,
              values: np.ndarray) -> None:
        """Append samples: times in ms, shape (n,), ids, shape (m,), the same in each call, values, shape (n, m)."""
        self._out.write("trace", {"population": population, "variable": variable, "unit": unit}, times=times,
                        ids=np.asarray(ids, dtype=np.int32), values=values)

    def weights(self, projection: str, weights: Weights) -> None:
        """Append the weights of a projection; of those that say no times the last ones count."""
        arrays = {"values": weights.values, "pre": weights.pre, "post": weights.post, "times": weights.times}
        self._out.write("weights", {"projection": projection, "unit": weights.unit},
                        **{name: array for name, array in arrays.items() if array is not None})

    def progress(self, t: float, sync: bool = False) -> None:
        """Say that all recordings up to ``t`` ms are written, and hand them to the operating system."""
        self._out.write("progress", {"t": float(t)})
        self._out.flush(sync)

    def close(self, provenance: Mapping[str, Any] | None = None) -> None:
        """Write where it all came from, and the end."""
        if provenance is not None:
            self._out.write("provenance", provenance)
        self._out.close()

    def abandon(self) -> None:
        """Close, leaving the file as that of a run that was cut short."""
        self._out.abandon()


def _header(label: str, dt: float, t_start: float, seed: int, populations: Mapping[str, PopulationInfo]) -> dict:
    entries = {name: {"size": int(info.size), "model": info.model, "offset": int(info.offset), "role": info.role}
               for name, info in populations.items()}
    return {"label": label, "dt": float(dt), "t_start": float(t_start), "seed": int(seed), "populations": entries}


def save(result: Result, path: str | os.PathLike) -> None:
    """Write a result; the suffix, ``.nsim`` or ``.npz``, decides how.  See :meth:`Result.save`."""
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        _save_npz(result, path)
    elif suffix == ".nsim":
        _save_nsim(result, path)
    else:
        raise ParameterError(f"the name of a result must end in .nsim or .npz, got {os.fspath(path)!r}")


def load(path: str | os.PathLike) -> Result:
    """Read a result or a stream, whatever its name.  See :meth:`Result.load`."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return _load_npz(path) if start == b"PK\x03\x04" else _load_nsim(path)
    except FileFormatError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Whole frames of valid checksum, but not such as a result is made of.
        raise FileFormatError(f"{path} does not hold a result: {type(error).__name__}: {error}") from error


# --------------------------------------------------------------------------------------------- .nsim


def _save_nsim(result: Result, path: str | os.PathLike) -> None:
    target = os.path.realpath(os.fspath(path))
    store.make_room(target)
    part = f"{target}.{os.getpid()}.part"
    try:
        writer = ResultWriter(part, label=result.label, dt=result.dt, t_start=result.t_start, seed=result.seed,
                              populations=result.populations, content="result")
        _write_recordings(result, writer)
        os.replace(part, target)
    except OSError as error:
        raise FileFormatError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def _write_recordings(result: Result, writer: ResultWriter) -> None:
    for name, spikes in result._spikes.items():
        writer.recording(name, "spikes", spikes.recorded)
        writer.spikes(name, spikes.times, spikes.ids)
    for (name, variable), trace in result._traces.items():
        writer.trace(name, variable, trace.unit, trace.times, trace.ids, trace.values)
    for name, weights in result._weights.items():
        writer.weights(name, weights)
    writer.progress(result.t_stop, sync=True)
    writer.close(result.provenance)


class _Collected:
    """What has been read of a file so far."""

    def __init__(self, header: Mapping[str, Any]) -> None:
        self.header = header
        self.reached: float | None = None
        self.positions: dict[str, np.ndarray] = {}
        self.recorded: dict[str, np.ndarray | None] = {}
        self.spikes: dict[str, list[dict[str, np.ndarray]]] = {}
        self.traces: dict[tuple[str, str], list[Trace]] = {}
        self.weights: dict[str, list[Weights]] = {}
        self.provenance: dict[str, Any] = {}

    def add(self, kind: str, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take one frame; kinds of a later version are passed over."""
        if kind == "positions":
            self.positions[meta["population"]] = arrays["positions"]
        elif kind == "recording" and meta["variable"] == "spikes":
            self.recorded[meta["population"]] = arrays.get("ids")
            self.spikes.setdefault(meta["population"], [])
        elif kind == "spikes":
            self.spikes.setdefault(meta["population"], []).append(arrays)
        elif kind == "trace":
            key = meta["population"], meta["variable"]
            self.traces.setdefault(key, []).append(Trace(unit=meta["unit"], **arrays))
        elif kind == "weights":
            self.weights.setdefault(meta["projection"], []).append(Weights(unit=meta["unit"], **arrays))
        elif kind == "progress":
            self.reached = float(meta["t"])
        elif kind == "provenance":
            self.provenance.update(meta)

    def result(self, complete: bool) -> Result:
        """The result, up to the time that all recordings reached."""
        start = float(self.header["t_start"])
        stop = self._latest() if self.reached is None else self.reached
        populations = {
            name: PopulationInfo(entry["size"], entry["model"], self.positions.get(name), entry["offset"],
                                 entry.get("role", ""))
            for name, entry in self.header["populations"].items()}
        spikes = {name: self._spikes(name, populations[name].size, start, stop) for name in self.spikes}
        return Result(label=self.header["label"], dt=self.header["dt"], t_start=start, t_stop=stop,
                      seed=self.header["seed"], populations=populations, spikes=spikes,
                      traces={key: _joined(chunks, stop) for key, chunks in self.traces.items()},
                      weights={key: joined_weights(chunks) for key, chunks in self.weights.items()},
                      provenance=self.provenance, complete=complete)

    def _latest(self) -> float:
        times = [chunk["times"] for chunks in self.spikes.values() for chunk in chunks]
        times += [trace.times for chunks in self.traces.values() for trace in chunks]
        return max((float(t[-1]) for t in times if t.size), default=float(self.header["t_start"]))

    def _spikes(self, name: str, size: int, start: float, stop: float) -> Spikes:
        chunks = self.spikes[name]
        times = np.concatenate([chunk["times"] for chunk in chunks] or [np.empty(0)])
        ids = np.concatenate([chunk["ids"] for chunk in chunks] or [np.empty(0, np.int32)])
        n = np.searchsorted(times, stop + TOLERANCE, "right")
        return Spikes(times[:n], ids[:n], size, start, stop, self.recorded.get(name), name)


def _joined(chunks: list[Trace], stop: float) -> Trace:
    times = np.concatenate([chunk.times for chunk in chunks])
    values = np.concatenate([chunk.values for chunk in chunks])
    n = np.searchsorted(times, stop + TOLERANCE, "right")
    return Trace(times[:n], chunks[0].ids, values[:n], chunks[0].unit)


def _load_nsim(path: str | os.PathLike) -> Result:
    reader = store.read(path)
    content = reader.header.get("content")
    if content not in ("stream", "result"):
        raise FileFormatError(f"{path} holds a {content}, not a result or a stream")
    collected = _Collected(reader.header)
    for frame in reader:
        collected.add(*frame)
    return collected.result(reader.complete)


# ---------------------------------------------------------------------------------------------- .npz


def _save_npz(result: Result, path: str | os.PathLike) -> None:
    """Arrays named ``population/spikes/times``, ``population/v/values``, ...; ``meta`` is JSON in bytes.

    A character of a label that means something in a path is written as in a URL.
    """
    arrays: dict[str, np.ndarray] = {}
    listing: list[dict[str, Any]] = []

    def put(kind: str, meta: dict[str, Any], *names: str, **values: np.ndarray | None) -> None:
        folder = "/".join(quote(name, safe=" ") for name in names)
        kept = {name: np.asarray(value) for name, value in values.items() if value is not None}
        arrays.update({f"{folder}/{name}": value for name, value in kept.items()})
        listing.append({"kind": kind, "meta": meta, "arrays": {name: f"{folder}/{name}" for name in kept}})

    for name, info in result.populations.items():
        if info.positions is not None:
            put("positions", {"population": name}, name, positions=info.positions)
    for name, spikes in result._spikes.items():
        put("recording", {"population": name, "variable": "spikes"}, name, "recorded", ids=spikes.recorded)
        put("spikes", {"population": name}, name, "spikes", times=spikes.times, ids=spikes.ids)
    for (name, variable), trace in result._traces.items():
        put("trace", {"population": name, "variable": variable, "unit": trace.unit}, name, "traces", variable,
            times=trace.times, ids=trace.ids, values=trace.values)
    for name, weights in result._weights.items():
        put("weights", {"projection": name, "unit": weights.unit}, "weights", name,
            values=weights.values, pre=weights.pre, post=weights.post, times=weights.times)
    meta = {**_header(result.label, result.dt, result.t_start, result.seed, result.populations), "content": "result",
            "t_stop": result.t_stop, "complete": result.complete, "frames": listing, "provenance": result.provenance}
    arrays["meta"] = np.frombuffer(store.encode_json(meta), dtype=np.uint8)
    _write_zip(os.path.realpath(os.fspath(path)), arrays)


def _write_zip(target: str, arrays: Mapping[str, np.ndarray]) -> None:
    part = f"{target}.{os.getpid()}.part"
    try:
        if os.path.lexists(target) and not (os.path.isfile(target) and _is_result_npz(target)):
            raise FileFormatError(f"cannot write {target}: it exists and is not a result, so it is kept")
        with open(part, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        raise FileFormatError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def _is_result_npz(path: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "meta.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def _load_npz(path: str | os.PathLike) -> Result:
    try:
        with zipfile.ZipFile(path) as archive:
            meta = store.decode_json(store.array_of_npz(archive, "meta").tobytes())
            if meta.get("content") != "result":
                raise FileFormatError(f"{path} does not hold a result")
            collected = _Collected(meta)
            for entry in meta["frames"]:
                arrays = {name: store.array_of_npz(archive, where) for name, where in entry["arrays"].items()}
                collected.add(entry["kind"], entry["meta"], arrays)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise FileFormatError(f"{path} is damaged: {error}") from error
    collected.reached = float(meta["t_stop"])
    collected.provenance = meta["provenance"]
    return collected.result(bool(meta["complete"]))
