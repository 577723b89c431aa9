"""One file format for streams of recorded data, saved simulation states and results: ``.nsim``.

A file is a sequence of frames that is only ever appended to, so a run that is killed leaves a file
that opens.  Nothing in a file is ever executed or unpickled: a frame is JSON and raw numbers.

::

    file     magic (8 bytes)  version (uint32)  0 (uint32)  frame  frame ...
    frame    "FRAM"  bytes of text (uint32)  bytes of data (uint64)  CRC32 of text and data (uint32)
             CRC32 of the 20 bytes before (uint32)  text  data
    text     JSON {"kind": str, "meta": {...}, "arrays": [[name, dtype, [shape]], ...]}
    data     the arrays one after the other, C order

Text and each array are padded to a multiple of 8 bytes.  All numbers are little-endian.  The first
frame has the kind ``header``; the last of a file that was closed has the kind ``end`` and counts the
frames before it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np

from .errors import FileFormatError, ParameterError

__all__ = ["Frame", "StreamReader", "StreamWriter", "array_of_npz", "decode_json", "encode_json", "is_ours", "make_room", "read",
           "read_all", "write_all"]

MAGIC = b"\x89NSIM\r\n\x1a"
VERSION = 1
HEADER, END = "header", "end"

_START = struct.Struct("<8sII")
_HEAD = struct.Struct("<4sIQI")
_CRC = struct.Struct("<I")
_HEAD_SIZE = _HEAD.size + _CRC.size
_MARK = b"FRAM"

_DTYPES = {np.dtype(name).newbyteorder("<").str: np.dtype(name).newbyteorder("<") for name in (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")}
_MAX_TEXT = 64 << 20
_MAX_DEPTH = 32
_MAX_DIMENSIONS = 8
_MAX_ITEMS = 1 << 57


class Frame(NamedTuple):
    """One entry of a file: what it is, its metadata, its arrays by name."""

    kind: str
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]


class _Place(NamedTuple):
    """Where a frame lies, as its head says."""

    offset: int
    text: int
    data: int
    crc: int

    @property
    def stop(self) -> int:
        return self.offset + _HEAD_SIZE + self.text + self.data


# --------------------------------------------------------------------------------------------- JSON


def _plain(value: Any) -> Any:
    """What JSON lacks: NumPy numbers and arrays, and paths."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} {value!r:.80}")


def _require(good: bool, reason: str) -> None:
    if not good:
        raise ValueError(reason)


def _depth_is_fine(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [inner for item in level if isinstance(item, (dict, list))
                 for inner in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return True
    return False


def encode_json(meta: Mapping[str, Any], what: str = "metadata") -> bytes:
    """Metadata as JSON (ASCII); NumPy numbers, arrays and paths become plain numbers, lists and text.

    Raises
    ------
    ParameterError
        If there is anything else in it, or if it is too deep or too long to be read again.
    """
    try:
        text = json.dumps(dict(meta), default=_plain, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(f"{what} must be numbers, text, lists and dicts, got {error}") from None
    try:
        decode_json(text)
    except ValueError as error:
        raise ParameterError(f"{what} cannot be stored: {error}") from None
    return text


def decode_json(text: bytes) -> dict[str, Any]:
    """The dict that a JSON text holds; raises ValueError if it is malformed, too deep or too long."""
    _require(len(text) <= _MAX_TEXT, f"{len(text)} bytes of JSON, more than {_MAX_TEXT}")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"JSON nested more than {_MAX_DEPTH} deep") from None
    _require(isinstance(value, dict), "the JSON is not an object")
    _require(_depth_is_fine(value), f"JSON nested more than {_MAX_DEPTH} deep")
    return value


# ------------------------------------------------------------------------------------------- writing


def _padding(size: int) -> int:
    return -size % 8


def _stored(name: str, value: Any) -> np.ndarray:
    """The array as it lies in a file; raises :class:`ParameterError` if its type has no place there."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype.newbyteorder("<").str not in _DTYPES:
        raise ParameterError(f"array {name!r} must hold bool, integers, float32 or float64, got dtype {array.dtype}")
    if array.ndim > _MAX_DIMENSIONS:
        raise ParameterError(f"array {name!r} must have at most {_MAX_DIMENSIONS} dimensions, got {array.ndim}")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _encoded(kind: str, meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[Any]:
    """A frame as a list of buffers."""
    stored = {name: _stored(name, value) for name, value in arrays.items()}
    listing = [[name, array.dtype.str, list(array.shape)] for name, array in stored.items()]
    text = encode_json({"kind": kind, "meta": dict(meta), "arrays": listing}, f"metadata of a {kind!r} frame")
    body: list[Any] = [text + b" " * _padding(len(text))]
    for array in stored.values():
        body += [array.reshape(-1).view(np.uint8), bytes(_padding(array.nbytes))]
    crc = 0
    for part in body:
        crc = zlib.crc32(part, crc)
    head = _HEAD.pack(_MARK, len(body[0]), sum(len(part) for part in body[1:]), crc)
    return [head + _CRC.pack(zlib.crc32(head)), *body]


def is_ours(path: str | os.PathLike) -> bool:
    """Whether a file begins as an ``.nsim`` file does."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def make_room(path: str, overwrite: bool = True) -> None:
    """Raise unless a file can be written there and nothing is lost by it."""
    folder = os.path.dirname(path) or os.curdir
    if not os.path.isdir(folder):
        raise FileFormatError(f"cannot write {path}: No such file or directory: {folder}")
    if not os.access(folder, os.W_OK):
        raise FileFormatError(f"cannot write {path}: the folder {folder} is not writable")
    if not os.path.lexists(path):
        return
    if not os.path.isfile(path):
        raise FileFormatError(f"cannot write {path}: it exists and is not a file")
    if not overwrite:
        raise FileFormatError(f"cannot write {path}: it exists, and overwrite=False")
    if os.path.getsize(path) and not is_ours(path):
        raise FileFormatError(f"cannot write {path}: it exists and is not an .nsim file, so it is kept")


def _create(path: str, overwrite: bool) -> BinaryIO:
    """A new file; who still reads or writes the one that it replaces keeps that one."""
    make_room(path, overwrite)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return open(path, "xb", buffering=1 << 20)


class StreamWriter:
    """Writes an ``.nsim`` file frame by frame.

    Parameters
    ----------
    path : path
        An ``.nsim`` file in its place is replaced; a file of any other kind never is.
    header : dict
        Metadata of the first frame, on disk when the constructor returns.  By convention
        ``header["content"]`` says what the file holds: ``stream``, ``state`` or ``result``.
    overwrite : bool
        False: refuse any file that exists.

    Raises
    ------
    FileFormatError
        Here, or at a later call, with the path and the reason if the file cannot be written.
        After a failure the frames written before it can still be read.
    """

    def __init__(self, path: str | os.PathLike, header: Mapping[str, Any], overwrite: bool = True) -> None:
        self.path = os.path.realpath(os.fspath(path))
        self.frames = 0
        self._size = 0
        self._file: BinaryIO | None = None
        first = _encoded(HEADER, header, {})
        try:
            self._file = _create(self.path, overwrite)
        except OSError as error:
            raise FileFormatError(f"cannot write {self.path}: {_reason(error)}") from error
        self._put([_START.pack(MAGIC, VERSION, 0), *first])
        self.flush()

    def write(self, kind: str, meta: Mapping[str, Any] | None = None, /, **arrays: Any) -> None:
        """Append a frame.  It is on disk after the next :meth:`flush`.

        Parameters
        ----------
        kind : str
            Any word but ``header`` and ``end``.
        meta : dict
            Numbers, text, lists and dicts.
        **arrays
            Of bool, integers, float32 or float64.
        """
        if not isinstance(kind, str) or not kind or kind in (HEADER, END):
            raise ParameterError(f"the kind of a frame must be a word other than {HEADER!r} and {END!r}, got {kind!r}")
        self._put(_encoded(kind, meta or {}, arrays))

    def flush(self, sync: bool = False) -> None:
        """Hand everything to the operating system: it survives the end of this process.

        Parameters
        ----------
        sync : bool
            Also wait until it is on the disk, so that it survives a power cut.
        """
        with self._failing() as file:
            file.flush()
            if sync:
                os.fsync(file.fileno())

    def close(self) -> None:
        """Write the end frame and close; a second call does nothing."""
        if self._file is None:
            return
        self._put(_encoded(END, {"frames": self.frames}, {}))
        with self._failing() as file:
            file.close()
        self._file = None

    def abandon(self) -> None:
        """Close without an end frame: the file counts as truncated."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _put(self, parts: list[Any]) -> None:
        """Append a frame, or (also if Ctrl-C comes in between) nothing."""
        before = self.frames, self._size
        with self._failing() as file:
            try:
                for part in parts:
                    file.write(part)
                self._size += sum(len(part) for part in parts)
                self.frames += 1
            except BaseException:
                self.frames, self._size = before
                file.seek(self._size)
                file.truncate()
                raise

    @contextlib.contextmanager
    def _failing(self) -> Iterator[BinaryIO]:
        if self._file is None:
            raise FileFormatError(f"cannot write {self.path}: it is closed")
        try:
            yield self._file
        except OSError as error:
            self.abandon()
            raise FileFormatError(f"cannot write {self.path}: {_reason(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        """Close; after an exception without the end frame, so that the file counts as truncated."""
        if kind is None:
            self.close()
        else:
            self.abandon()


def write_all(path: str | os.PathLike, header: Mapping[str, Any], frames: Iterable[tuple[str, Mapping, Mapping]],
              overwrite: bool = True) -> None:
    """Write a whole file, all or nothing: an older file stays until the new one is on the disk.

    Parameters
    ----------
    path : path
        As for :class:`StreamWriter`.
    header : dict
        Metadata of the first frame.
    frames : iterable of (kind, meta, arrays)
        A :class:`Frame` is one.
    """
    path = os.path.realpath(os.fspath(path))
    part = f"{path}.{os.getpid()}.part"
    try:
        make_room(path, overwrite)
        with StreamWriter(part, header) as writer:
            for kind, meta, arrays in frames:
                writer.write(kind, meta, **arrays)
            writer.flush(sync=True)
        os.replace(part, path)
    except OSError as error:
        raise FileFormatError(f"cannot write {path}: {_reason(error)}") from error
    except FileFormatError as error:
        raise FileFormatError(str(error).replace(part, path)) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


# ------------------------------------------------------------------------------------------- reading


class StreamReader:
    """The frames of an ``.nsim`` file, in their order; each is checked when it is reached.

    Attributes
    ----------
    path : Path
    complete : bool
        Whether the file was closed.  False: the writer was killed or is still at work; all frames
        that are whole are given.
    header : dict
        Metadata of the first frame.

    Raises
    ------
    FileFormatError
        If the file is empty, foreign or damaged.  A last frame that does not match its checksum
        counts as a write cut short, not as damage, if the file was not closed.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        try:
            with open(self.path, "rb") as file:
                self._size = os.fstat(file.fileno()).st_size
                self._check_start(file)
                self._places = self._scan(file)
                last = self._frame(file, self._places[-1]) if self._places else None
                self.complete = last is not None and last.kind == END
                if last is not None and self.complete:
                    self._check_end(last)
                first = self._frame(file, self._places[0]) if self._places else None
        except OSError as error:
            raise FileFormatError(f"cannot read {self.path}: {_reason(error)}") from error
        if first is None:
            raise FileFormatError(f"{self.path} ends before its first frame")
        if first.kind != HEADER:
            raise FileFormatError(f"{self.path} is damaged: the first frame is {first.kind!r}, not {HEADER!r}")
        self.header: dict[str, Any] = first.meta

    def __iter__(self) -> Iterator[Frame]:
        """The frames between the header and the end."""
        places = self._places[1:-1] if self.complete else self._places[1:]
        try:
            with open(self.path, "rb") as file:
                for place in places:
                    frame = self._frame(file, place)
                    if frame is None:
                        return
                    if frame.kind in (HEADER, END):
                        raise self._damaged(place.offset, f"a second {frame.kind!r} frame")
                    yield frame
        except OSError as error:
            raise FileFormatError(f"cannot read {self.path}: {_reason(error)}") from error

    def _damaged(self, offset: int, reason: str) -> FileFormatError:
        return FileFormatError(f"{self.path} is damaged at byte {offset}: {reason}")

    def _check_start(self, file: BinaryIO) -> None:
        start = file.read(_START.size)
        if not start:
            raise FileFormatError(f"{self.path} is empty")
        if not start.startswith(MAGIC[:len(start)]):
            raise FileFormatError(f"{self.path} is not an .nsim file")
        if len(start) < _START.size:
            raise FileFormatError(f"{self.path} ends before its first frame")
        _, version, zero = _START.unpack(start)
        if version != VERSION or zero:
            raise FileFormatError(f"{self.path} has version {version} of the format; this neurosim reads {VERSION}")

    def _scan(self, file: BinaryIO) -> list[_Place]:
        """Where the frames lie that end inside the file."""
        places: list[_Place] = []
        offset = _START.size
        while offset + _HEAD_SIZE <= self._size:
            file.seek(offset)
            head = file.read(_HEAD_SIZE)
            if len(head) < _HEAD_SIZE:
                break
            mark, text, data, crc = _HEAD.unpack_from(head)
            if mark != _MARK or _CRC.unpack_from(head, _HEAD.size)[0] != zlib.crc32(head[:_HEAD.size]):
                if self._zeros_from(file, offset):
                    break  # a power cut: the length of the file was saved, the data were not
                raise self._damaged(offset, "no frame begins there")
            place = _Place(offset, text, data, crc)
            if place.stop > self._size:
                break
            places.append(place)
            offset = place.stop
        self._tail = self._size - offset
        return places

    def _zeros_from(self, file: BinaryIO, offset: int) -> bool:
        file.seek(offset)
        while block := file.read(1 << 20):
            if block.count(0) != len(block):
                return False
        return True

    def _check_end(self, end: Frame) -> None:
        if self._tail:
            raise self._damaged(self._size - self._tail, "something follows the end frame")
        if end.meta.get("frames") != len(self._places) - 1:
            raise self._damaged(self._places[-1].offset,
                                f"the end frame counts {end.meta.get('frames')} frames, not {len(self._places) - 1}")

    def _frame(self, file: BinaryIO, place: _Place) -> Frame | None:
        """One frame; None if it is the last of the file and its writing was cut short."""
        if self._crc(file, place) != place.crc:
            if place is self._places[-1]:
                return None
            raise self._damaged(place.offset, "the checksum does not match")
        try:
            return self._parsed(file, place)
        except ValueError as error:
            raise self._damaged(place.offset, str(error)) from None

    def _crc(self, file: BinaryIO, place: _Place) -> int:
        file.seek(place.offset + _HEAD_SIZE)
        crc, left = 0, place.text + place.data
        while left and (block := file.read(min(left, 1 << 20))):
            crc, left = zlib.crc32(block, crc), left - len(block)
        return crc

    def _parsed(self, file: BinaryIO, place: _Place) -> Frame:
        """The frame there; raises ValueError for one that we would not have written."""
        file.seek(place.offset + _HEAD_SIZE)
        _require(place.text <= _MAX_TEXT, f"{place.text} bytes of text, more than {_MAX_TEXT}")
        entry: dict[str, Any] = decode_json(file.read(place.text))
        kind, meta, listing = (entry.get(key, 0) for key in ("kind", "meta", "arrays"))
        _require(isinstance(kind, str) and isinstance(meta, dict) and isinstance(listing, list),
                 "the frame lacks a kind, metadata or a list of arrays")
        described = [_described(item) for item in listing]
        sizes = [math.prod(shape) * dtype.itemsize for _, dtype, shape in described]
        _require(sum(size + _padding(size) for size in sizes) == place.data, "the sizes of the arrays do not add up")
        _require(len({name for name, _, _ in described}) == len(described), "two arrays have one name")
        # Only now is memory asked for, and no more than the file is long.
        return Frame(kind, meta, {name: _array(file, dtype, shape) for name, dtype, shape in described})


def _array(file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, dtype)
    data = array.reshape(-1).view(np.uint8)
    _require(file.readinto(data) == data.size, "the file became shorter")  # type: ignore[attr-defined]
    _require(dtype.kind != "b" or not (data > 1).any(), "a truth value is neither 0 nor 1")
    file.seek(_padding(data.size), os.SEEK_CUR)
    return array


def _described(item: Any) -> tuple[str, np.dtype, tuple[int, ...]]:
    """Name, dtype and shape of an array; raises ValueError unless they are of the kinds that we write."""
    _require(isinstance(item, list) and len(item) == 3, "an array lacks a name, a dtype or a shape")
    name, dtype, shape = item
    _require(isinstance(name, str), f"an array has the name {name!r}")
    _require(isinstance(dtype, str) and dtype in _DTYPES, f"array {name!r} has the dtype {dtype!r}")
    _require(isinstance(shape, list) and len(shape) <= _MAX_DIMENSIONS and all(type(n) is int and n >= 0 for n in shape)
             and math.prod(max(n, 1) for n in shape) <= _MAX_ITEMS, f"array {name!r} has the shape {shape}")
    return name, _DTYPES[dtype], tuple(shape)


def read(path: str | os.PathLike) -> StreamReader:
    """Open an ``.nsim`` file; iterate over the reader for its frames.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, foreign or damaged.
    """
    return StreamReader(path)


def read_all(path: str | os.PathLike, strict: bool = True,
             content: str | None = None) -> tuple[dict[str, Any], list[Frame]]:
    """The header and all frames of a file.

    Parameters
    ----------
    path : path
    strict : bool
        Refuse a file that was not closed, such as a state whose saving was cut short.
    content : str
        Refuse a file whose ``header["content"]`` is another.
    """
    reader = read(path)
    if content is not None and reader.header.get("content") != content:
        raise FileFormatError(f"{path} must hold a {content}, got a {reader.header.get('content')}")
    if strict and not reader.complete:
        raise FileFormatError(f"{path} is truncated: its writer was cut short")
    return reader.header, list(reader)


def array_of_npz(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of an .npz file: numbers only, and never more memory than the file can fill.

    ``numpy.load`` would trust the sizes that a header announces.
    """
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > 1100 * info.compress_size + 1024:  # deflate reaches 1032
        raise ValueError(f"{name} announces {info.file_size} bytes in {info.compress_size}")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} has version {version} of the .npy format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.kind not in "biuf" or dtype.itemsize > 8 or fortran:
            raise ValueError(f"{name} has the dtype {dtype}" if not fortran else f"{name} is stored by columns")
        size = math.prod(shape) * dtype.itemsize
        if info.file_size - file.tell() != size or math.prod(max(n, 1) for n in shape) > 1 << 57:
            raise ValueError(f"{name} announces {size} bytes and has {info.file_size - file.tell()}")
        data = file.read(size)
        if len(data) != size or file.read(1):
            raise ValueError(f"{name} is cut short")
        return np.frombuffer(bytearray(data), dtype).reshape(shape)
