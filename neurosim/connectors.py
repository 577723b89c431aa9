"""Which cells a projection connects.  Names and arguments are PyNN's (Davison et al. 2008; PyNN 0.13).

A connector is data; it builds nothing until a projection asks for its :meth:`~Connector.blocks`: synapses in
coordinate form, ordered by target and, within a target, by source, in portions of bounded size.
What comes out is a function of the context's key alone, whatever the size of the portions.

Indices count within the two populations or views of the projection.  ``allow_self_connections=False``
forbids a synapse from a cell to itself; it says nothing where no cell is on both sides.
A *multiple* synapse is one of several from the same source to the same target.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np

from .errors import FileFormatError, NetworkError, ParameterError
from .parameters import Distribution, stream_key
from .space import Space, distance_function
from .store import array_of_npz

__all__ = [
    "AllToAllConnector", "ArrayConnector", "Block", "Connector", "Context", "DistanceDependentProbabilityConnector",
    "FixedNumberPostConnector", "FixedNumberPreConnector", "FixedProbabilityConnector", "FixedTotalNumberConnector",
    "FromFileConnector", "FromListConnector", "IndexBasedProbabilityConnector", "OneToOneConnector",
    "PairsConnector", "SmallWorldConnector",
]

MAX_SYNAPSES = 8_000_000
_PAIRS = 2_000_000  # pairs of cells whose probability or distance is held at once


class Context(NamedTuple):
    """What a connector is told of the two sides.

    ``same``: source i and target i are one cell.  For views that overlap otherwise, ``own`` (int32, shape
    (n_post,)) is the index among the sources of the cell that each target is, or -1.  ``key`` names the connector's own
    draws; ``seed`` is the network's, for a connector that goes through another projection.
    """

    n_pre: int
    n_post: int
    key: int = 0
    same: bool = False
    pre_positions: np.ndarray | None = None
    post_positions: np.ndarray | None = None
    space: Space = Space()
    own: np.ndarray | None = None
    label: str = "projection"
    seed: int = 0


class Block(NamedTuple):
    """Some synapses: ``pre``, ``post`` int32.

    Connectors with a list also give the ``row`` of that list and, where it has them, ``weight`` and ``delay`` (ms).
    """

    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray | None = None
    delay: np.ndarray | None = None
    row: np.ndarray | None = None


class Connector:
    """Base of the connectors."""

    def expected(self, n_pre: int, n_post: int, same: bool = False, **places: Any) -> float:
        """The expected number of synapses, without building any; ``places`` are further fields of :class:`Context`."""
        return self._expected(Context(n_pre, n_post, 0, same, **places))

    def validate(
        self, n_pre: int, n_post: int, same: bool = False, label: str = "projection", **places: Any
    ) -> None:
        """Raise :class:`NetworkError` or :class:`ParameterError` if two such sides cannot be so connected.

        Whether positions are there is looked at only where ``places`` (fields of :class:`Context`) are given.
        """
        context = Context(n_pre, n_post, 0, same, label=label, **places)
        self._check(context)
        if places:
            self._check_places(context)

    def blocks(self, context: Context, max_synapses: int = MAX_SYNAPSES) -> Iterator[Block]:
        """All synapses by target; a block has at most ``max_synapses``, or those of one target if that has more."""
        self._check(context)
        self._check_places(context)
        if max_synapses < 1:
            raise ParameterError(f"max_synapses must be >= 1, got {max_synapses}")
        if context.n_pre == 0 or context.n_post == 0:
            return
        for block in self._blocks(context, int(max_synapses)):
            if block.pre.size:
                yield block

    def columns(self) -> tuple[str, ...]:
        """Which of weight and delay the connector itself gives."""
        return ()

    def _expected(self, context: Context) -> float:
        raise NotImplementedError

    def _check(self, context: Context) -> None:
        """Whether the sizes fit; nothing can be wrong, unless a connector says so."""

    def _check_places(self, context: Context) -> None:
        """Whether the positions that it needs are there."""

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        raise NotImplementedError

    def _name(self, context: Context, field: str = "") -> str:
        return f"{context.label}: {type(self).__name__}" + (f".{field}" if field else "")


# ------------------------------------------------------------------------------------- what several share


def _flag(connector: Connector, *names: str) -> None:
    for name in names:
        value = getattr(connector, name)
        if not isinstance(value, (bool, np.bool_)):
            raise ParameterError(f"{type(connector).__name__}.{name} must be True or False, got {value!r}")


def _chance(connector: Connector, name: str) -> None:
    value = getattr(connector, name)
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
        raise ParameterError(f"{type(connector).__name__}.{name} must be >= 0 and <= 1, got {value!r}: a probability")


def _whole(connector: Connector, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ParameterError(f"{type(connector).__name__}.{name} must be a whole number >= 0, got {value!r}")


def _own(context: Context, allow_self: bool) -> np.ndarray:
    """For each target the source that it may not have, or -1; int32, shape (n_post,)."""
    if not allow_self and context.own is not None:
        return np.ascontiguousarray(context.own, dtype=np.int32)
    if not allow_self and context.same:
        return np.arange(context.n_post, dtype=np.int32)
    return np.full(context.n_post, -1, dtype=np.int32)


def _own_target(context: Context, allow_self: bool) -> np.ndarray:
    """For each source the target that it may not have, or -1; int32, shape (n_pre,)."""
    own = _own(context, allow_self)
    out = np.full(context.n_pre, -1, dtype=np.int32)
    targets = np.flatnonzero(own >= 0)
    out[own[targets]] = targets
    return out


def _pairs(context: Context, allow_self: bool) -> int:
    """How many pairs of cells may be connected."""
    return context.n_pre * context.n_post - _excepted(context, allow_self)


def _excepted(context: Context, allow_self: bool) -> int:
    """How many cells may not be connected to themselves."""
    if allow_self:
        return 0
    return context.n_post * context.same if context.own is None else int(np.count_nonzero(context.own >= 0))


def _ranges(counts: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of items whose counts add up to at most ``most``, or single items."""
    ends = np.cumsum(counts)
    first, done = 0, 0
    while first < counts.size:
        last = max(int(np.searchsorted(ends, done + most, side="right")), first + 1)
        yield first, last
        first, done = last, int(ends[last - 1])


def _slices(n: int, most: int) -> Iterator[slice]:
    return (slice(first, min(first + most, n)) for first in range(0, n, most))


def _pair_of_arrays(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)


def _sub_key(key: int, name: str) -> np.uint64:
    return np.uint64(stream_key(int(key), name))


def _sources(context: Context, counts: np.ndarray, own: np.ndarray, distinct: bool, most: int) -> Iterator[Block]:
    """``counts[t]`` random sources for each target t."""
    from .kernels import connect
    fill = connect.sources_distinct if distinct else connect.sources_with_replacement
    key = _sub_key(context.key, "sources")
    for first, last in _ranges(counts, most):
        pre, post = _pair_of_arrays(int(counts[first:last].sum()))
        fill(key, first, counts[first:last], context.n_pre, own[first:last], pre, post)
        yield Block(pre, post)


def _drawn_numbers(connector: Any, context: Context, cells: int) -> np.ndarray:
    """``connector.n`` for each of ``cells``: int64; a Distribution's draws are rounded to whole numbers."""
    if isinstance(connector.n, Distribution):
        drawn = np.rint(connector.n.draw(stream_key(int(context.key), "n"), 0, cells))
        if (drawn < 0).any():
            raise ParameterError(
                f"{connector._name(context, 'n')} must be >= 0, got {drawn.min():g} from {connector.n}"
            )
        return drawn.astype(np.int64)
    return np.full(cells, connector.n, dtype=np.int64)


def _check_number(connector: Any, context: Context, cells: int, available: int, side: str) -> None:
    """``n`` distinct partners, and any at all, must exist for each of ``cells``."""
    fewest = available - min(1, _excepted(context, connector.allow_self_connections))
    most = connector.n.support()[1] if isinstance(connector.n, Distribution) else connector.n
    if cells == 0 or most == 0 or (connector.with_replacement and fewest > 0):
        return
    if most > fewest:
        rest = "" if connector.with_replacement else " without replacement"
        excepted = "" if fewest == available else ", itself excepted"
        raise NetworkError(
            f"{connector._name(context, 'n')} must be >= 0 and <= {fewest}{rest}, got {connector.n}:"
            f" a cell has {fewest} {side} to choose from{excepted}"
        )


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


# ------------------------------------------------------------------------------------- deterministic


@dataclasses.dataclass(frozen=True)
class AllToAllConnector(Connector):
    """Every source to every target, once.

    Parameters
    ----------
    allow_self_connections
        Whether a cell connects to itself.
    """

    allow_self_connections: bool = True

    def __post_init__(self) -> None:
        _flag(self, "allow_self_connections")

    def _expected(self, context: Context) -> float:
        return float(_pairs(context, self.allow_self_connections))

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        from .kernels import connect
        own = _own(context, self.allow_self_connections)
        step = max(1, max_synapses // context.n_pre)
        for first in range(0, context.n_post, step):
            last = min(first + step, context.n_post)
            pre, post = _pair_of_arrays((last - first) * context.n_pre)
            k = connect.all_sources(first, last, context.n_pre, own, pre, post)
            yield Block(pre[:k], post[:k])


@dataclasses.dataclass(frozen=True)
class OneToOneConnector(Connector):
    """Source i to target i.  Both sides must have the same size (PyNN leaves those over unconnected)."""

    def _expected(self, context: Context) -> float:
        return float(context.n_pre)

    def _check(self, context: Context) -> None:
        if context.n_pre != context.n_post:
            raise NetworkError(
                f"{self._name(context)} needs two sides of the same size, got {context.n_pre} sources"
                f" and {context.n_post} targets"
            )

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        for part in _slices(context.n_post, max_synapses):
            both = np.arange(part.start, part.stop, dtype=np.int32)
            yield Block(both, both.copy())


@dataclasses.dataclass(frozen=True, eq=False)
class ArrayConnector(Connector):
    """Source i to target j where ``array[i, j]`` is true; shape (n_pre, n_post), no multiple synapses."""

    array: np.ndarray

    def __post_init__(self) -> None:
        try:
            array = np.asarray(self.array)
        except ValueError:
            raise ParameterError("ArrayConnector.array must have rows of the same number of values") from None
        if array.ndim != 2 or not (array.dtype == bool or np.isin(array, (0, 1)).all()):
            raise ParameterError(
                "ArrayConnector.array must be a 2-D array of True and False,"
                f" got shape {array.shape}, dtype {array.dtype}"
            )
        object.__setattr__(self, "array", _frozen(array.astype(bool)))

    def _expected(self, context: Context) -> float:
        return float(np.count_nonzero(self.array))

    def _check(self, context: Context) -> None:
        if self.array.shape != (context.n_pre, context.n_post):
            raise NetworkError(
                f"{self._name(context, 'array')} must have shape ({context.n_pre}, {context.n_post}),"
                f" sources by targets, got {self.array.shape}"
            )

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        for first, last in _ranges(np.count_nonzero(self.array, axis=0), max_synapses):
            post, pre = np.nonzero(self.array[:, first:last].T)
            yield Block(pre.astype(np.int32), (post + first).astype(np.int32))


# ------------------------------------------------------------------------------------- lists


@dataclasses.dataclass(frozen=True, eq=False)
class FromListConnector(Connector):
    """The synapses of a list; self-connections and multiple synapses are taken as they stand.

    Parameters
    ----------
    conn_list
        Rows ``(pre, post, ...)``: indices in the two populations, then the values that ``column_names`` name.
    column_names
        "weight" and/or "delay" (ms).  May be left out for rows of two, or of four: then ("weight", "delay").
        These values stand in place of the projection's own.
    """

    conn_list: Any
    column_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        try:
            table = np.asarray(self.conn_list)
        except ValueError:
            raise ParameterError("FromListConnector.conn_list must be rows of the same number of values") from None
        if table.size == 0:
            table = np.empty((0, 2 + len(self.column_names or ())))
        if table.ndim != 2 or table.shape[1] < 2 or table.dtype.kind not in "iufb":
            raise ParameterError(
                "FromListConnector.conn_list must be rows (pre, post, ...) of numbers,"
                f" got shape {table.shape}, dtype {table.dtype}"
            )
        names = self.column_names
        if names is None:
            if table.shape[1] not in (2, 4):
                raise ParameterError(
                    f"FromListConnector.column_names is needed for rows of {table.shape[1]} values, as in ('weight',)"
                )
            names = ("weight", "delay")[:table.shape[1] - 2]
        names = tuple(names) if isinstance(names, (tuple, list)) else (names,)
        if len(names) != table.shape[1] - 2 or len(set(names)) < len(names) or any(
            name not in ["weight", "delay"] for name in names
        ):
            raise ParameterError(
                f"FromListConnector.column_names must name the {table.shape[1] - 2} columns after pre and post"
                f" (weight, delay), got {names!r}"
            )
        object.__setattr__(self, "conn_list", _frozen(np.array(table, dtype=np.float64)))
        object.__setattr__(self, "column_names", names)
        _check_rows(self.conn_list, names)

    def columns(self) -> tuple[str, ...]:
        return self.column_names or ()

    def _expected(self, context: Context) -> float:
        return float(len(self.conn_list))

    def _check(self, context: Context) -> None:
        for column, (side, size) in enumerate([("pre", context.n_pre), ("post", context.n_post)]):
            index = self.conn_list[:, column]
            bad = np.flatnonzero((index < 0) | (index >= size))
            if bad.size:
                raise NetworkError(
                    f"{self._name(context, 'conn_list')} row {bad[0]}: {side} index must be >= 0 and < {size},"
                    f" the number of {side}synaptic cells, got {index[bad[0]]:g}"
                )

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        from .kernels import connect
        pre, post = (np.ascontiguousarray(self.conn_list[:, c], dtype=np.int32) for c in (0, 1))
        by_pre, order = np.empty(pre.size, dtype=np.int64), np.empty(pre.size, dtype=np.int64)
        connect.stable_order(pre, context.n_pre, np.arange(pre.size), by_pre)
        connect.stable_order(post, context.n_post, by_pre, order)
        values = {name: self.conn_list[:, 2 + c] for c, name in enumerate(self.columns())}
        for part in _slices(pre.size, max_synapses):
            rows = order[part]
            yield Block(pre[rows], post[rows], row=rows, **{name: value[rows] for name, value in values.items()})


@dataclasses.dataclass(frozen=True, eq=False)
class PairsConnector(Connector):
    """The synapses of two arrays of indices, which are kept as they are: for millions of synapses made elsewhere.

    Parameters
    ----------
    pre, post
        Indices in the two populations, shape (synapses,), whole numbers; int32 is not copied.  They must be ordered by
        target and, within a target, by source, as ``np.lexsort((pre, post))`` orders them.  Self-connections and multiple
        synapses are taken as they stand.  An array of weights or delays has its values in the same order.
    """

    pre: np.ndarray
    post: np.ndarray

    def __post_init__(self) -> None:
        for name in ("pre", "post"):
            given = np.asarray(getattr(self, name))
            if given.ndim != 1 or (given.dtype.kind not in "iu" and given.size):
                raise ParameterError(
                    f"PairsConnector.{name} must be a row of whole numbers, got shape {given.shape}, dtype {given.dtype}"
                )
            if given.size and not -2**31 <= given.min() <= given.max() < 2**31:
                raise ParameterError(f"PairsConnector.{name} must be >= 0 and < 2**31, got {given.min()} to {given.max()}")
            object.__setattr__(self, name, _frozen(given.astype(np.int32, copy=False).view()))
        pre, post = self.pre, self.post
        if pre.size != post.size:
            raise ParameterError(f"PairsConnector needs as many pre as post indices, got {pre.size} and {post.size}")
        bad = (post[1:] < post[:-1]) | ((post[1:] == post[:-1]) & (pre[1:] < pre[:-1]))
        if bad.any():
            k = int(bad.argmax())
            raise ParameterError(
                "PairsConnector.pre and .post must be ordered by target, then by source, as np.lexsort((pre, post)) does it,"
                f" got ({pre[k]}, {post[k]}) before ({pre[k + 1]}, {post[k + 1]}) at index {k}"
            )

    def _expected(self, context: Context) -> float:
        return float(self.pre.size)

    def _check(self, context: Context) -> None:
        for name, index, size in (("pre", self.pre, context.n_pre), ("post", self.post, context.n_post)):
            if index.size and not 0 <= index.min() <= index.max() < size:
                k = int(((index < 0) | (index >= size)).argmax())
                raise NetworkError(
                    f"{self._name(context, name)} must be >= 0 and < {size}, the number of {name}synaptic cells,"
                    f" got {index[k]} at index {k}"
                )

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        for part in _slices(self.pre.size, max_synapses):
            yield Block(self.pre[part], self.post[part])


def _check_rows(table: np.ndarray, names: tuple[str, ...]) -> None:
    """Indices must be whole numbers, values finite; the first row that is not is named."""
    for column, name in enumerate(("pre", "post", *names)):
        value = table[:, column]
        good = np.isfinite(value)
        if column < 2:
            good &= np.rint(value) == value
        bad = np.flatnonzero(~good)
        if bad.size:
            kind = "a whole number" if column < 2 else "finite"
            raise ParameterError(
                f"FromListConnector.conn_list row {bad[0]}: {name} must be {kind}, got {value[bad[0]]:g}"
            )


@dataclasses.dataclass(frozen=True, eq=False)
class FromFileConnector(Connector):
    """The synapses of a file, as :class:`FromListConnector` has them; read when the connector is made.

    Parameters
    ----------
    file
        A ``.npz`` with arrays ``pre`` (or ``i``), ``post`` (or ``j``) and, if wanted, ``weight`` and ``delay``; or
        text with a synapse in each line.  A text's columns are named by a comment such as
        ``# columns = ["i", "j", "weight"]`` (PyNN's header), else they are pre, post and, where there are four,
        weight and delay.
    column_names
        The names of the columns after pre and post, for a text without such a comment.
    """

    file: str | os.PathLike[str]
    column_names: tuple[str, ...] | None = None
    listed: FromListConnector = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.file, (str, os.PathLike)):
            raise ParameterError(f"FromFileConnector.file must be a path, got {self.file!r}")
        path = os.fspath(self.file)
        try:
            table, names = _read_npz(path) if path.endswith(".npz") else _read_text(path, self.column_names)
            listed = FromListConnector(table, names)
        except OSError as error:
            raise FileFormatError(f"FromFileConnector.file {path!r} cannot be read: {error}") from None
        except (ValueError, KeyError, TypeError, SyntaxError, RuntimeError, EOFError, BadZipFile, zlib.error) as error:
            raise FileFormatError(f"FromFileConnector.file {path!r} is not a list of synapses: {error}") from None
        object.__setattr__(self, "listed", listed)
        object.__setattr__(self, "column_names", listed.column_names)

    def columns(self) -> tuple[str, ...]:
        return self.listed.columns()

    def _expected(self, context: Context) -> float:
        return self.listed._expected(context)

    def _check(self, context: Context) -> None:
        self.listed._check(context._replace(label=f"{context.label}: {os.fspath(self.file)}"))

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        return self.listed._blocks(context, max_synapses)


_INDEX_NAMES = {"i": "pre", "j": "post"}


def _in_order(names: list[str], columns: list[np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The columns as a table with pre and post first, and the names of the others."""
    by_name = {_INDEX_NAMES.get(name, name): column for name, column in zip(names, columns)}
    if len(by_name) < len(columns) or not {"pre", "post"} <= set(by_name):
        raise ValueError(f"columns must be pre, post and others of different names, got {names}")
    others = tuple(name for name in by_name if name not in ("pre", "post"))
    return np.stack([by_name[name] for name in ("pre", "post", *others)], axis=1), others


def _read_npz(path: str) -> tuple[np.ndarray, tuple[str, ...]]:
    with ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        columns = [array_of_npz(archive, name).astype(np.float64).reshape(-1) for name in names]
    return _in_order(names, columns)


def _read_text(path: str, names: tuple[str, ...] | None) -> tuple[np.ndarray, tuple[str, ...] | None]:
    table = np.loadtxt(path, ndmin=2)
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("#") and line[1:].split("=")[0].strip() == "columns":
                found = [str(name) for name in ast.literal_eval(line.split("=", 1)[1].strip())]
                if set(found) & {"i", "j", "pre", "post"}:
                    if len(found) != table.shape[1]:
                        raise ValueError(f"{len(found)} columns are named, but the lines have {table.shape[1]}")
                    return _in_order(found, list(table.T))
                names = tuple(found)
                break
    return table, names


# ------------------------------------------------------------------------------------- fixed probability or number


@dataclasses.dataclass(frozen=True)
class FixedProbabilityConnector(Connector):
    """Every pair of cells with the same probability, each for itself; no multiple synapses.

    Parameters
    ----------
    p_connect
        The probability.  Raising it gives more synapses, n_pre * n_post * p_connect on average.
    allow_self_connections
        Whether a cell may connect to itself.
    """

    p_connect: float
    allow_self_connections: bool = True

    def __post_init__(self) -> None:
        _chance(self, "p_connect")
        _flag(self, "allow_self_connections")

    def _expected(self, context: Context) -> float:
        return _pairs(context, self.allow_self_connections) * float(self.p_connect)

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        from .kernels import connect
        own = _own(context, self.allow_self_connections)
        key = _sub_key(context.key, "sources")
        mean = self._expected(context)
        usual = max(1, min(max_synapses, int(mean + 6.0 * math.sqrt(mean) + 1.0)))
        first, room = 0, usual
        while first < context.n_post:
            pre, post = _pair_of_arrays(room)
            # A target that does not fit any more is drawn again for the next block; one that never fits is given room.
            last = context.n_post if room == usual else first + 1
            reached, k = connect.sources_by_chance(
                key, first, last, context.n_pre, own, float(self.p_connect), pre, post
            )
            room = min(2 * room, context.n_pre) if reached == first else usual
            first = reached
            yield Block(pre[:k], post[:k])


@dataclasses.dataclass(frozen=True)
class FixedNumberPreConnector(Connector):
    """Every target gets synapses from ``n`` sources chosen at random.

    Parameters
    ----------
    n
        The number, or a Distribution of it, drawn for each target and rounded.  Raising it gives more synapses.
    allow_self_connections
        Whether a cell may connect to itself.
    with_replacement
        If True each source is drawn from all, so that multiple synapses occur; if False the sources differ, and
        ``n`` may not exceed their number (PyNN would then start again with all of them).
    """

    n: int | Distribution
    allow_self_connections: bool = True
    with_replacement: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.n, Distribution):
            _whole(self, "n", self.n)
        _flag(self, "with_replacement", "allow_self_connections")

    def _expected(self, context: Context) -> float:
        mean = self.n.mean_value() if isinstance(self.n, Distribution) else self.n
        return float(mean) * context.n_post

    def _check(self, context: Context) -> None:
        _check_number(self, context, context.n_post, context.n_pre, "sources")

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        counts = _drawn_numbers(self, context, context.n_post)
        own = _own(context, self.allow_self_connections)
        return _sources(context, counts, own, not self.with_replacement, max_synapses)


@dataclasses.dataclass(frozen=True)
class FixedNumberPostConnector(Connector):
    """Every source makes synapses on ``n`` targets chosen at random; parameters as in :class:`FixedNumberPreConnector`.

    The draws are repeated for each 16 million synapses, so that memory stays bounded.
    """

    n: int | Distribution
    allow_self_connections: bool = True
    with_replacement: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.n, Distribution):
            _whole(self, "n", self.n)
        _flag(self, "with_replacement", "allow_self_connections")

    def _expected(self, context: Context) -> float:
        mean = self.n.mean_value() if isinstance(self.n, Distribution) else self.n
        return float(mean) * context.n_pre

    def _check(self, context: Context) -> None:
        _check_number(self, context, context.n_pre, context.n_post, "targets")

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        from .kernels import connect
        fan_out = _drawn_numbers(self, context, context.n_pre)
        own = _own_target(context, self.allow_self_connections)
        draw = _sub_key(context.key, "targets"), fan_out, own, not self.with_replacement
        counts = np.zeros(context.n_post, dtype=np.int64)
        connect.count_targets(*draw, counts)
        for begin, end in _ranges(counts, max(max_synapses, 2 * MAX_SYNAPSES)):
            starts = np.concatenate([[0], np.cumsum(counts[begin:end])])
            pre = np.empty(starts[-1], dtype=np.int32)
            connect.fill_targets(*draw, context.n_post, begin, starts[:-1].copy(), pre)
            for first, last in _ranges(counts[begin:end], max_synapses):
                part = pre[starts[first]:starts[last]]
                post = np.empty(part.size, dtype=np.int32)
                connect.repeat_targets(begin + first, counts[begin + first:begin + last], post)
                yield Block(part, post)


@dataclasses.dataclass(frozen=True)
class FixedTotalNumberConnector(Connector):
    """``n`` synapses between pairs of cells drawn uniformly from all pairs.

    First it is drawn which target each of the n pairs has, then each target's sources: in-degrees are multinomial, and
    given these the sources are uniform, which is the distribution of n pairs drawn one after the other.
    This is the random network of Vogels & Abbott (2005) when its number of synapses is fixed.

    Parameters
    ----------
    n
        The number.  Raising it gives more synapses.
    allow_self_connections
        Whether a cell may connect to itself.
    with_replacement
        If True (PyNN's default) a pair may be drawn again: multiple synapses occur.  If False the pairs differ.
    """

    n: int
    allow_self_connections: bool = True
    with_replacement: bool = True

    def __post_init__(self) -> None:
        _whole(self, "n", self.n)
        _flag(self, "with_replacement", "allow_self_connections")

    def _expected(self, context: Context) -> float:
        return float(self.n)

    def _check(self, context: Context) -> None:
        pairs = _pairs(context, self.allow_self_connections)
        if self.n > pairs and (pairs == 0 or not self.with_replacement):
            rest = "" if self.with_replacement else " without replacement"
            raise NetworkError(
                f"{self._name(context, 'n')} must be >= 0 and <= {pairs}{rest}, got {self.n}: there are {pairs} pairs"
                f" of {context.n_pre} sources and {context.n_post} targets"
            )

    def _in_degrees(self, context: Context, own: np.ndarray) -> np.ndarray:
        from .kernels import connect
        counts = np.zeros(context.n_post, dtype=np.int64)
        key = _sub_key(context.key, "in-degrees")
        distinct = not self.with_replacement
        pairs = _pairs(context, self.allow_self_connections)
        if distinct and self.n > pairs // 2:  # draw those left out, lest late draws rarely find a free pair
            connect.share_out_pairs(key, pairs - self.n, context.n_pre, own, True, counts)
            return context.n_pre - (own >= 0) - counts
        if distinct or len(set((own >= 0).tolist())) == 2:
            connect.share_out_pairs(key, self.n, context.n_pre, own, distinct, counts)
        else:
            connect.share_out(key, self.n, counts)
        return counts

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        own = _own(context, self.allow_self_connections)
        return _sources(context, self._in_degrees(context, own), own, not self.with_replacement, max_synapses)


# ------------------------------------------------------------------------------------- probabilities by place


def _by_matrix(
    connector: Connector, context: Context, allow_self: bool, field: str,
    rows: Callable[[int, int], np.ndarray], max_synapses: int,
) -> Iterator[Block]:
    """Each pair with its own probability; ``rows(first, last)`` is that of targets (rows) and sources (columns)."""
    from .kernels import connect
    own = _own(context, allow_self)
    key = _sub_key(context.key, "sources")
    step = max(1, min(max_synapses, _PAIRS) // context.n_pre)
    for first in range(0, context.n_post, step):
        last = min(first + step, context.n_post)
        p = _checked_probability(connector, context, field, rows(first, last), first, last)
        pre, post = _pair_of_arrays(p.size)
        k = connect.sources_by_matrix(key, first, p, own[first:last], pre, post)
        yield Block(pre[:k].copy(), post[:k].copy())


def _checked_probability(
    connector: Connector, context: Context, field: str, p: Any, first: int, last: int
) -> np.ndarray:
    shape = (last - first, context.n_pre)
    try:
        p = np.require(np.broadcast_to(np.asarray(p, dtype=np.float64), shape), np.float64, ["C", "W"])
    except (TypeError, ValueError):
        raise ParameterError(
            f"{connector._name(context, field)} must give a number for each pair, of shape {shape}, got {np.shape(p)}"
        ) from None
    bad = ~((p >= 0) & (p <= 1))
    if bad.any():
        t, i = np.argwhere(bad)[0]
        raise ParameterError(
            f"{connector._name(context, field)} must give probabilities >= 0 and <= 1, got {p[t, i]:g}"
            f" for source {i} and target {first + t} (clip(..., 0, 1) keeps them there)"
        )
    return p


def _expected_by_matrix(
    connector: Connector, context: Context, allow_self: bool, field: str, rows: Callable[[int, int], np.ndarray]
) -> float:
    own = _own(context, allow_self)
    total = 0.0
    step = max(1, _PAIRS // max(1, context.n_pre))
    for first in range(0, context.n_post, step):
        last = min(first + step, context.n_post)
        p = _checked_probability(connector, context, field, rows(first, last), first, last)
        targets = np.flatnonzero(own[first:last] >= 0)
        total += float(p.sum() - p[targets, own[first:last][targets]].sum())
    return total


def _check_positions(connector: Connector, context: Context) -> tuple[np.ndarray, np.ndarray]:
    if context.pre_positions is None or context.post_positions is None:
        side = "source" if context.pre_positions is None else "target"
        raise NetworkError(f"{connector._name(context)} needs positions, and the {side} population has none")
    return context.pre_positions, context.post_positions


@dataclasses.dataclass(frozen=True)
class IndexBasedProbabilityConnector(Connector):
    """Every pair with a probability that is a function of the two indices; no multiple synapses.

    Parameters
    ----------
    index_expression
        Called with arrays i (sources) and j (targets) that broadcast, of shapes (1, n_pre) and (targets, 1), for some
        of the targets at a time; returns probabilities.
    allow_self_connections
        Whether a cell may connect to itself.
    """

    index_expression: Callable[[np.ndarray, np.ndarray], Any]
    allow_self_connections: bool = True

    def __post_init__(self) -> None:
        if not callable(self.index_expression):
            raise ParameterError(
                "IndexBasedProbabilityConnector.index_expression must be a function of (i, j),"
                f" got {self.index_expression!r}"
            )
        _flag(self, "allow_self_connections")

    def _rows(self, context: Context) -> Callable[[int, int], np.ndarray]:
        sources = np.arange(context.n_pre)[None, :]
        return lambda first, last: self.index_expression(sources, np.arange(first, last)[:, None])

    def _expected(self, context: Context) -> float:
        return _expected_by_matrix(self, context, self.allow_self_connections, "index_expression", self._rows(context))

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        return _by_matrix(
            self, context, self.allow_self_connections, "index_expression", self._rows(context), max_synapses
        )


DistanceExpression = str | Callable[[np.ndarray], Any]


@dataclasses.dataclass(frozen=True)
class DistanceDependentProbabilityConnector(Connector):
    """Every pair with a probability that is a function of the cells' distance; no multiple synapses.

    Parameters
    ----------
    d_expression
        The probability as a function of an array of distances, or as text: ``"exp(-d / 100)"``, ``"d < 100"``
        (see :func:`neurosim.space.distance_function`).  Values outside 0 to 1 are refused.
    allow_self_connections
        Whether a cell may connect to itself.
    """

    d_expression: DistanceExpression
    allow_self_connections: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.d_expression, str):
            distance_function(self.d_expression)
        elif not callable(self.d_expression):
            raise ParameterError(
                "DistanceDependentProbabilityConnector.d_expression must be text or a function of distance,"
                f" got {self.d_expression!r}"
            )
        _flag(self, "allow_self_connections")

    def _check_places(self, context: Context) -> None:
        _check_positions(self, context)

    def _rows(self, context: Context) -> Callable[[int, int], np.ndarray]:
        pre, post = _check_positions(self, context)
        of = distance_function(self.d_expression) if isinstance(self.d_expression, str) else self.d_expression
        return lambda first, last: of(context.space.distances(pre[None, :, :], post[first:last, None, :]))

    def _expected(self, context: Context) -> float:
        return _expected_by_matrix(self, context, self.allow_self_connections, "d_expression", self._rows(context))

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        return _by_matrix(
            self, context, self.allow_self_connections, "d_expression", self._rows(context), max_synapses
        )


@dataclasses.dataclass(frozen=True)
class SmallWorldConnector(Connector):
    """Cells connected to their neighbours, some synapses then moved anywhere (Watts & Strogatz 1998).

    Every source first connects to all targets nearer than ``degree``.  Distances are those of the positions, where
    both sides have some; else cells stand on a ring in order of index, one unit apart (both sides then need one size).
    Then each synapse's target is moved, with probability ``rewiring``, to one drawn uniformly from those that its
    source does not have: no multiple synapses, and out-degrees are kept.  Synapses have a direction here, where
    Watts & Strogatz's edges have none.  (PyNN declares this connector, but leaves it to the simulators.)
    All synapses are held at once while blocks are made (12 bytes each).

    Parameters
    ----------
    degree
        The radius of the neighbourhood (excluded).  Raising it gives more synapses.
    rewiring
        0 leaves the lattice, 1 gives a random network of the same out-degrees.  Raising it shortens paths.
    allow_self_connections
        Whether a cell may connect to itself (at distance 0 it does, before rewiring).
    n_connections
        If given, each source keeps this many of its neighbours, chosen at random, before rewiring.
    """

    degree: float
    rewiring: float
    allow_self_connections: bool = True
    n_connections: int | None = None

    def __post_init__(self) -> None:
        degree = self.degree
        if isinstance(degree, bool) or not isinstance(degree, (int, float, np.number)) or not degree >= 0:
            raise ParameterError(f"SmallWorldConnector.degree must be >= 0, got {degree!r}: a distance")
        _chance(self, "rewiring")
        _flag(self, "allow_self_connections")
        if self.n_connections is not None:
            _whole(self, "n_connections", self.n_connections)

    def _check_places(self, context: Context) -> None:
        placed = context.pre_positions is not None and context.post_positions is not None
        if not placed and context.n_pre != context.n_post:
            raise NetworkError(
                f"{self._name(context)} needs positions, or two sides of the same size, got {context.n_pre} sources"
                f" and {context.n_post} targets without"
            )

    def _distances(self, context: Context, first: int, last: int) -> np.ndarray:
        """Distances of sources first..last-1 (rows) from all targets."""
        pre, post = context.pre_positions, context.post_positions
        if pre is not None and post is not None:
            return context.space.distances(pre[first:last, None, :], post[None, :, :])
        gap = np.abs(np.arange(first, last)[:, None] - np.arange(context.n_post)[None, :])
        return np.minimum(gap, context.n_post - gap)

    def _lattice(self, context: Context) -> tuple[np.ndarray, np.ndarray]:
        """(starts, targets): the targets of each source before rewiring."""
        from .kernels import connect
        own = _own_target(context, self.allow_self_connections)
        counts, parts = np.zeros(context.n_pre, dtype=np.int64), []
        step = max(1, _PAIRS // max(1, context.n_post))
        for first in range(0, context.n_pre, step):
            last = min(first + step, context.n_pre)
            near = self._distances(context, first, last) < self.degree
            rows = np.flatnonzero(own[first:last] >= 0)
            near[rows, own[first:last][rows]] = False
            source, target = np.nonzero(near)
            counts[first:last] = np.bincount(source, minlength=last - first)
            parts.append(target.astype(np.int32))
        starts = np.concatenate([[0], np.cumsum(counts)])
        targets = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
        if self.n_connections is None:
            return starts, targets
        if counts.size and counts.min() < self.n_connections:
            raise NetworkError(
                f"{self._name(context, 'n_connections')} must be >= 0 and <= {counts.min()}, got {self.n_connections}:"
                f" source {counts.argmin()} has {counts.min()} targets nearer than {self.degree:g}"
            )
        kept = np.empty((context.n_pre, self.n_connections), dtype=np.int32)
        connect.keep_some(_sub_key(context.key, "neighbours"), starts, self.n_connections, targets, kept)
        return np.arange(context.n_pre + 1) * self.n_connections, kept.reshape(-1)

    def _expected(self, context: Context) -> float:
        if self.n_connections is not None:
            return float(self.n_connections) * context.n_pre
        return float(self._lattice(context)[0][-1])

    def _blocks(self, context: Context, max_synapses: int) -> Iterator[Block]:
        from .kernels import connect
        starts, targets = self._lattice(context)
        own = _own_target(context, self.allow_self_connections)
        connect.rewire(_sub_key(context.key, "rewiring"), starts, float(self.rewiring), context.n_post, own, targets)
        order = np.empty(targets.size, dtype=np.int64)
        connect.stable_order(targets, context.n_post, np.arange(targets.size), order)
        sources = np.repeat(np.arange(context.n_pre, dtype=np.int32), np.diff(starts))
        for part in _slices(targets.size, max_synapses):
            rows = order[part]
            yield Block(sources[rows], targets[rows])
