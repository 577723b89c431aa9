"""PyNN's connectors.  Those of the same names here make all synapses at once, the very same as PyNN's own would.

PyNN goes from target to target: it draws who is connected, evaluates the parameters of these synapses, hands them to the
projection.  Here the draws are made in the same order from the same generators, but for many targets at once, and
parameters are evaluated for all synapses together (`values_of`).  Where that could not give the same numbers, PyNN's own way is
gone.  A generator of this library (`NativeRNG`) instead of NumPy's chooses synapses as the library's connectors do.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from pyNN import connectors, errors
from pyNN.connectors import Connector, MapConnector
from pyNN.parameters import ParameterSpace, simplify
from pyNN.random import NumpyRNG, RandomDistribution

from .. import connectors as native
from ..errors import NeurosimError
from .projections import draws_in_bulk, generators, runs, values_of
from .native_rng import NativeRNG

__all__ = [
    "AllToAllConnector", "ArrayConnector", "CSAConnector", "CloneConnector", "Connector", "DisplacementDependentProbabilityConnector",
    "DistanceDependentProbabilityConnector", "FixedNumberPostConnector", "FixedNumberPreConnector", "FixedProbabilityConnector",
    "FixedTotalNumberConnector", "FromFileConnector", "FromListConnector", "IndexBasedProbabilityConnector", "MapConnector",
    "OneToOneConnector", "SmallWorldConnector",
]

_PAIRS = 4_000_000  # pairs of cells looked at together
_DRAWS = 1_000_000


class _AllAtOnce(MapConnector):
    """Hands all synapses to the projection together."""

    def _standard_connect(self, projection: Any, connection_map_generator: Callable, distance_map: Any = None) -> None:
        """As PyNN's, of which it takes the sources of one target after another."""
        space = self._parameters_from_synapse_type(projection, distance_map)
        if self._shares(space):
            super()._standard_connect(projection, connection_map_generator, distance_map)
            return
        every = np.arange(projection.pre.size, dtype=np.int32)
        found, counts = [], np.zeros(projection.post.size, dtype=np.int64)
        for target, sources in zip(range(projection.post.size), connection_map_generator(), strict=False):
            chosen = every if sources is True else np.asarray(sources)
            found.append((chosen.nonzero()[0] if chosen.dtype == bool else chosen).astype(np.int32, copy=False))
            counts[target] = found[-1].size
        pre = np.concatenate([np.empty(0, np.int32), *found])
        self._connect_all(projection, pre, np.repeat(np.arange(projection.post.size, dtype=np.int32), counts), space)

    def _shares(self, space: ParameterSpace) -> bool:
        """Whether a parameter is drawn by the generator that chooses the synapses: then draws alternate, target by target."""
        own = {id(getattr(self, "rng", None))}
        return any(own & generators(lazy) for lazy in space._parameters.values())

    def _connect_all(self, projection: Any, pre: np.ndarray, post: np.ndarray, space: ParameterSpace) -> None:
        """Evaluate the parameters of synapses, which stand by target, check them, and hand all to the projection."""
        if not pre.size:
            return
        values = values_of(space, pre, post)
        self._check(projection, values, post)
        projection._connect_pairs(pre, post, values, self.location_selector)
        if self.callback:
            for first, _ in runs(post):
                self.callback(int(post[first]) / projection.post.size)

    def _check(self, projection: Any, values: dict[str, Any], post: np.ndarray) -> None:
        """PyNN's checks of weights: of all together, and where these fail, of the synapses of each target, as PyNN checks them."""
        kind = projection.synapse_type
        for parameter, check in getattr(kind, "parameter_checks", {}).items() if self.safe else ():
            name = kind.translations[parameter]["translated_name"]
            if name not in values:
                continue
            try:
                check(values[name], projection)
            except errors.ConnectionError:
                if not isinstance(values[name], np.ndarray):
                    raise
                for first, last in runs(post):
                    check(values[name][first:last], projection)

    def _connect_rows(self, projection: Any, rows: Callable[[int, int], np.ndarray], space: ParameterSpace) -> None:
        """Connect where ``rows(first, last)``, which may be written to, has True for a target (row) and a source (column)."""
        n_pre, n_post = projection.shape
        exclude = self._excluded(projection)
        pres, counts = [], np.zeros(n_post, dtype=np.int64)
        step = max(1, _PAIRS // n_pre)
        for first in range(0, n_post, step):
            last = min(first + step, n_post)
            chosen = rows(first, last)
            exclude(chosen, first, last)
            counts[first:last] = np.count_nonzero(chosen, axis=1)
            index = np.flatnonzero(chosen)
            index -= np.repeat(np.arange(last - first) * n_pre, counts[first:last])
            pres.append(index.astype(np.int32))
        self._connect_all(projection, np.concatenate(pres), np.repeat(np.arange(n_post, dtype=np.int32), counts), space)

    def _excluded(self, projection: Any) -> Callable[[np.ndarray, int, int], Any]:
        """What takes from rows the synapses of cells to themselves, or those to lower indices, where they are not allowed."""
        allowed = self.allow_self_connections
        if allowed == "NoMutual":
            if projection.pre is not projection.post:
                raise NotImplementedError("'NoMutual' is for a projection from a population to itself")
            places = np.arange(projection.pre.size)
            return lambda chosen, first, last: np.logical_and(chosen, places > places[first:last, None], out=chosen)
        if allowed:
            return lambda chosen, first, last: None
        senders, receivers = (_numbers(cells) for cells in (projection.pre, projection.post))
        return lambda chosen, first, last: np.logical_and(chosen, senders != receivers[first:last, None], out=chosen)

    def _connect_native(self, projection: Any, connector: native.Connector, rng: Any, placed: bool = False) -> None:
        """Connect as a connector of this library does; ``placed``: which asks for positions."""
        space = self._parameters_from_synapse_type(projection)
        senders, receivers = (_numbers(cells) for cells in (projection.pre, projection.post))
        same = np.array_equal(senders, receivers)
        order = np.argsort(senders)
        place = np.minimum(np.searchsorted(senders, receivers, sorter=order), senders.size - 1)
        own = np.where(senders[order[place]] == receivers, order[place], -1).astype(np.int32)
        key = rng.key() if isinstance(rng, NativeRNG) else int(rng.next(1, "uniform_int", {"low": 0, "high": 2**31 - 1})[0])
        places: list[Any] = [cells.positions.T if placed else None for cells in (projection.pre, projection.post)]
        distances: Any = _Distances(projection.space)
        context = native.Context(projection.pre.size, projection.post.size, key, same, places[0], places[1], distances, own,
                                 projection.label)
        try:
            blocks = list(connector.blocks(context))
        except NeurosimError as error:
            raise errors.ConnectionError(str(error)) from error
        empty = np.empty(0, dtype=np.int32)
        pre, post = (np.concatenate([empty, *(block[k] for block in blocks)]) for k in (0, 1))
        self._connect_all(projection, pre, post, space)


def _numbers(cells: Any) -> np.ndarray:
    """The numbers of all cells, int64."""
    return np.asarray(cells.all_cells, dtype=np.int64)


def _plain(rng: Any) -> bool:
    """Whether several draws from a generator are the same as one large one."""
    return type(rng) is NumpyRNG


class _Distances:
    """PyNN's space, asked as this library asks its own."""

    def __init__(self, space: Any) -> None:
        self._space = space

    def distances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """From each of ``a``, shape (n, 1, 3), to each of ``b``, shape (1, m, 3); shape (n, m)."""
        return self._space.distances(a[:, 0], b[0]).reshape(a.shape[0], b.shape[1])


# ------------------------------------------------------------------------------------- without draws


class AllToAllConnector(_AllAtOnce, connectors.AllToAllConnector):
    __doc__ = connectors.AllToAllConnector.__doc__

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        n_pre, n_post = projection.shape
        space = self._parameters_from_synapse_type(projection)
        if self.allow_self_connections:
            self._connect_all(projection, np.tile(np.arange(n_pre, dtype=np.int32), n_post),
                              np.repeat(np.arange(n_post, dtype=np.int32), n_pre), space)
        else:
            self._connect_rows(projection, lambda first, last: np.ones((last - first, n_pre), dtype=bool), space)


class OneToOneConnector(_AllAtOnce, connectors.OneToOneConnector):
    __doc__ = connectors.OneToOneConnector.__doc__

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        both = np.arange(min(projection.shape), dtype=np.int32)
        self._connect_all(projection, both, both.copy(), self._parameters_from_synapse_type(projection))


class ArrayConnector(_AllAtOnce, connectors.ArrayConnector):
    __doc__ = connectors.ArrayConnector.__doc__


class CloneConnector(_AllAtOnce, connectors.CloneConnector):
    __doc__ = connectors.CloneConnector.__doc__


class CSAConnector(_AllAtOnce, connectors.CSAConnector):
    __doc__ = connectors.CSAConnector.__doc__

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        if connectors.csa.arity(self.cset) == 0:
            super().connect(projection)
            return
        within = connectors.csa.cross((0, projection.pre.size - 1), (0, projection.post.size - 1))
        table = np.array(list(within * self.cset), dtype=np.float64).reshape(-1, 4)
        table = table[np.argsort(table[:, 1], kind="stable")]
        pre, post = (table[:, k].astype(np.int32) for k in (0, 1))
        space = self._parameters_from_synapse_type(projection)
        for name in ("weight", "delay"):
            space.pop(name)
        values = values_of(space, pre, post)
        projection._connect_pairs(pre, post, {"weight": table[:, 2], "delay": table[:, 3], **values}, self.location_selector)


# ------------------------------------------------------------------------------------- lists


class FromListConnector(_AllAtOnce, connectors.FromListConnector):
    __doc__ = connectors.FromListConnector.__doc__
    conn_list: np.ndarray
    column_names: Any

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection.

        Raises
        ------
        pyNN.errors.ConnectionError
            For an index that no cell has.  (PyNN passes over those of targets.)
        """
        kind = projection.synapse_type
        known = kind.get_parameter_names()
        for name in self.column_names:
            if name not in known:
                raise ValueError(f"{name} is not a valid parameter for {type(kind).__name__}")
        if self.conn_list.size == 0:
            return
        for column, (side, cells) in enumerate((("source", projection.pre), ("target", projection.post))):
            index = self.conn_list[:, column]
            bad = ~((index >= 0) & (index < cells.size))
            if bad.any():
                raise errors.ConnectionError(
                    f"{side} index out of range: must be >= 0 and < {cells.size}, got {index[bad][0]:g} in row {bad.argmax()}")
        space = deepcopy(kind.parameter_space)
        if not all(lazy.is_homogeneous or (draws_in_bulk(lazy.base_value) and not lazy.operations) or name in self.column_names
                   for name, lazy in space.items()):
            super().connect(projection)
            return
        self.conn_list = table = self.conn_list[np.argsort(self.conn_list[:, 1])]  # this very order: PyNN's
        pre, post = (table[:, k].astype(np.int32) for k in (0, 1))
        space.shape = (pre.size,)
        for name, lazy in list(space.items()):
            if name in self.column_names:
                listed = table[:, 2 + list(self.column_names).index(name)]
                space.update(**{name: listed.astype(kind.get_schema()[name])})
            elif not lazy.is_homogeneous:  # PyNN copies the generator for each target: all begin with the same numbers
                edges = np.fromiter((first for first, _ in runs(post)), dtype=np.int64)
                sizes = np.diff(edges, append=pre.size)
                space.update(**{name: lazy.base_value.next(int(sizes.max()))[np.arange(pre.size) - np.repeat(edges, sizes)]})
        space = kind.translate(space)
        space.evaluate(simplify=True)
        values = {name: simplify(value) for name, value in space.as_dict().items()}
        projection._connect_pairs(pre, post, values, self.location_selector)


class FromFileConnector(FromListConnector, connectors.FromFileConnector):
    __doc__ = connectors.FromFileConnector.__doc__

    def __init__(self, file: Any, distributed: bool = False, location_selector: Any = None, safe: bool = True,
                 callback: Any = None) -> None:
        """Take the file, which is read when a projection is connected."""
        connectors.FromFileConnector.__init__(self, file, distributed, location_selector, safe, callback)

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        if self.distributed:
            self.file.rename(f"{self.file.name}.{projection._simulator.state.mpi_rank}")
        columns = self.file.get_metadata().get("columns", ("weight", "delay"))
        self.column_names = [name for name in columns if name not in ("i", "j")]
        self.conn_list = self.file.read()
        super().connect(projection)


# ------------------------------------------------------------------------------------- probabilities


class FixedProbabilityConnector(_AllAtOnce, connectors.FixedProbabilityConnector):
    __doc__ = connectors.FixedProbabilityConnector.__doc__

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        if isinstance(self.rng, NativeRNG) and self.allow_self_connections != "NoMutual":
            self._connect_native(projection, native.FixedProbabilityConnector(min(self.p_connect, 1.0), self.allow_self_connections),
                                 self.rng)
            return
        space = self._parameters_from_synapse_type(projection)
        if not _plain(self.rng):
            super().connect(projection)
            return
        n_pre, draw = projection.pre.size, deepcopy(self.rng).rng.random_sample  # PyNN, too, draws from a copy

        def rows(first: int, last: int) -> np.ndarray:
            return (draw((last - first) * n_pre) < self.p_connect).reshape(last - first, n_pre)

        self._connect_rows(projection, rows, space)


class DistanceDependentProbabilityConnector(_AllAtOnce, connectors.DistanceDependentProbabilityConnector):
    __doc__ = connectors.DistanceDependentProbabilityConnector.__doc__


class IndexBasedProbabilityConnector(_AllAtOnce, connectors.IndexBasedProbabilityConnector):
    __doc__ = connectors.IndexBasedProbabilityConnector.__doc__


class DisplacementDependentProbabilityConnector(_AllAtOnce, connectors.DisplacementDependentProbabilityConnector):
    __doc__ = connectors.DisplacementDependentProbabilityConnector.__doc__


class SmallWorldConnector(_AllAtOnce, connectors.SmallWorldConnector):
    __doc__ = connectors.SmallWorldConnector.__doc__

    def __init__(self, degree: float, rewiring: float, allow_self_connections: bool = True, n_connections: int | None = None,
                 location_selector: Any = None, rng: Any = None, safe: bool = True, callback: Any = None) -> None:
        """Take the numbers; `neurosim.connectors.SmallWorldConnector` says what they do."""
        super().__init__(degree, rewiring, allow_self_connections, n_connections, location_selector, rng, safe, callback)
        self.degree = degree

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection; PyNN leaves how to the simulators."""
        if self.allow_self_connections == "NoMutual":
            raise NotImplementedError("SmallWorldConnector: 'NoMutual' is not available")
        try:
            made = native.SmallWorldConnector(self.degree, self.rewiring, self.allow_self_connections, self.n_connections)
        except NeurosimError as error:
            raise errors.ConnectionError(str(error)) from error
        self._connect_native(projection, made, self.rng, placed=True)


# ------------------------------------------------------------------------------------- numbers


class _FixedNumber(_AllAtOnce, connectors.FixedNumberConnector):
    """What draws of partners have in common."""

    def _choose(self, n: int, size: int, excluded: int | None) -> np.ndarray:
        """``n`` of ``size`` cells for one cell, as PyNN draws them; int32."""
        if self.with_replacement:
            if excluded is not None:
                return self._rng_uniform_int_exclude(n, size, excluded).astype(np.int32)
            return self.rng.next(n, "uniform_int", {"low": 0, "high": size}, mask=None).astype(np.int32)
        every = np.arange(size)
        if excluded is not None:
            every = every[every != excluded]
        sets, rest = divmod(int(n), every.size)
        drawn = [self.rng.permutation(every)[:rest]] if rest else []
        return np.concatenate([np.empty(0, np.int32), *[every] * sets, *drawn]).astype(np.int32)

    def _rng_uniform_int_exclude(self, n: int, size: int, exclude: int) -> np.ndarray:
        """``n`` of ``size`` cells with replacement, ``exclude`` not among them: it is drawn again.

        PyNN's own loses count where a draw is repeated twice.
        """
        found = self.rng.next(n, "uniform_int", {"low": 0, "high": size}, mask=None)
        again = np.flatnonzero(found == exclude)
        while again.size:
            drawn = self.rng.next(again.size, "uniform_int", {"low": 0, "high": size}, mask=None)
            found[again] = drawn
            again = again[drawn == exclude]
        return found

    def _itself(self, projection: Any) -> bool:
        """Whether each cell is to be kept from itself."""
        return not self.allow_self_connections and projection.pre == projection.post

    def _connect_drawn(self, projection: Any, sources: np.ndarray, targets: np.ndarray) -> None:
        """Connect pairs that come in any order: by target, those of one target in the order of the draws."""
        from ..kernels import connect
        order = np.empty(sources.size, dtype=np.int64)
        connect.stable_order(targets, projection.post.size, np.arange(sources.size), order)
        self._connect_all(projection, sources[order], targets[order], self._parameters_from_synapse_type(projection))

    def _natively(self, projection: Any, kind: Any) -> None:
        if self.allow_self_connections == "NoMutual" or isinstance(self.n, RandomDistribution):
            raise NotImplementedError(f"{type(self).__name__} with a NativeRNG needs a number n, and has no 'NoMutual'")
        self._connect_native(projection, kind(self.n, self.allow_self_connections, self.with_replacement), self.rng)


class FixedNumberPreConnector(_FixedNumber, connectors.FixedNumberPreConnector):
    __doc__ = connectors.FixedNumberPreConnector.__doc__

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        if isinstance(self.rng, NativeRNG):
            self._natively(projection, native.FixedNumberPreConnector)
            return
        space = self._parameters_from_synapse_type(projection)
        if self._shares(space):
            super().connect(projection)
            return
        n_pre, n_post = projection.shape
        counts = np.fromiter(self._get_num_pre(n_post), dtype=np.int64, count=n_post)
        itself = self._itself(projection)
        if self.with_replacement and not itself and _plain(self.rng):
            pre = self.rng.next(int(counts.sum()), "uniform_int", {"low": 0, "high": n_pre}, mask=None).astype(np.int32)
        else:
            drawn = (self._choose(n, n_pre, target if itself else None) for target, n in enumerate(counts))
            pre = np.concatenate([np.empty(0, np.int32), *drawn])
        self._connect_all(projection, pre, np.repeat(np.arange(n_post, dtype=np.int32), counts), space)


class FixedNumberPostConnector(_FixedNumber, connectors.FixedNumberPostConnector):
    __doc__ = connectors.FixedNumberPostConnector.__doc__

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        if isinstance(self.rng, NativeRNG):
            self._natively(projection, native.FixedNumberPostConnector)
            return
        n_pre, n_post = projection.shape
        itself = self._itself(projection)
        drawn = [self._choose(self._get_num_post(), n_post, source if itself else None) for source in range(n_pre)]
        sources = np.repeat(np.arange(n_pre, dtype=np.int32), [targets.size for targets in drawn])
        self._connect_drawn(projection, sources, np.concatenate(drawn))


class FixedTotalNumberConnector(_FixedNumber, connectors.FixedTotalNumberConnector):
    __doc__ = connectors.FixedTotalNumberConnector.__doc__

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection.  (With NumPy's generator it is always with replacement, as PyNN's.)"""
        if isinstance(self.rng, NativeRNG):
            self._natively(projection, native.FixedTotalNumberConnector)
            return
        if not _plain(self.rng) or not isinstance(self.n, int):
            super().connect(projection)
            return
        n_pre, n_post = projection.shape
        total = int(self.rng.next(None, "binomial", {"n": self.n, "p": 1.0}))  # PyNN's draw of this process's share
        sources, targets = (np.empty(total, dtype=np.int32) for _ in "st")
        for first in range(0, total, _DRAWS):
            last = min(first + _DRAWS, total)
            drawn = self.rng.rng.randint(0, np.tile([n_pre, n_post], last - first))  # a source, a target, a source ...
            sources[first:last], targets[first:last] = drawn[::2], drawn[1::2]
        self._connect_drawn(projection, sources, targets)
