"""Projections: all synapses in flat arrays, without an object for each; described to the network when it is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from pyNN import common, errors
from pyNN.core import IndexBasedExpression
from pyNN.parameters import LazyArray, ParameterSpace
from pyNN.random import NumpyRNG, RandomDistribution
from pyNN.space import Space

from ..connectors import PairsConnector
from ..network import Network
from ..plasticity import SynapseType, TsodyksMarkramSynapse
from . import simulator
from .native_rng import NativeRNG
from .standardmodels import ElectricalSynapse, StaticSynapse

__all__ = ["Connection", "Connections", "Projection", "generators", "values_of"]

Values = float | np.ndarray
_SLACK = 1e-9  # relative: 3 * 0.1 ms is 0.3 ms
_PAIRS = 4_000_000  # pairs of cells for which something is drawn at once


# ------------------------------------------------------------------------------------- parameters of synapses


def generators(value: Any) -> set[int]:
    """Which random number generators a `LazyArray` draws from."""
    if isinstance(value, RandomDistribution):
        return {id(value.rng)}
    if isinstance(value, LazyArray):
        return generators(value.base_value).union(*(generators(argument) for _, argument in value.operations))
    return set()


def draws_in_bulk(distribution: Any) -> bool:
    """Whether n numbers drawn at once are those of several draws of n altogether.

    They are for NumPy's generator, unless those out of range are drawn again after each draw.
    """
    return (isinstance(distribution, RandomDistribution) and type(distribution.rng) in (NumpyRNG, NativeRNG)
            and distribution.name != "normal_clipped")


def values_of(space: ParameterSpace, pre: np.ndarray, post: np.ndarray) -> dict[str, Values]:
    """The parameters of synapses, as PyNN finds them when it goes from target to target.

    Parameters
    ----------
    space : ParameterSpace
        Of shape (n_pre, n_post).
    pre, post : ndarray of int, shape (synapses,)
        The synapses of one target stand together.

    Returns
    -------
    dict
        A float where a parameter is the same for all, else float64 of shape (synapses,).
    """
    found: dict[str, Values] = {}
    slow: dict[str, LazyArray] = {}
    used = [generator for lazy in space._parameters.values() for generator in generators(lazy)]
    for name, lazy in space.items():
        base = lazy.base_value
        if lazy.is_homogeneous:
            found[name] = float(lazy.evaluate(simplify=True))
        elif isinstance(base, _Listed) and not lazy.operations:
            found[name] = base(pre, post)
        elif isinstance(base, np.ndarray) and base.ndim == 2 and not lazy.operations:
            found[name] = base[pre, post].astype(np.float64, copy=False)
        elif draws_in_bulk(base) and not lazy.operations and used.count(id(base.rng)) == 1:
            found[name] = base.next(pre.size).astype(np.float64, copy=False)
        else:
            slow[name] = lazy
            found[name] = np.empty(pre.size)
    if slow:
        for first, last in runs(post):
            sources, target = pre[first:last].astype(np.int64), int(post[first])
            for name, lazy in slow.items():
                found[name][first:last] = lazy[sources, target]  # type: ignore[index]
    return {name: found[name] for name in space.keys()}


def runs(post: np.ndarray) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of synapses one after the other that have the same target."""
    edges = np.flatnonzero(post[1:] != post[:-1]) + 1
    yield from zip([0, *edges.tolist()], [*edges.tolist(), post.size], strict=True) if post.size else ()


class _Listed(IndexBasedExpression):
    """Values of the connected pairs of cells, in the order of the rows of the matrix."""

    def __init__(self, projection: Projection, name: str, values: Any) -> None:
        pairs = np.unique(projection._pairs())
        values = np.asarray(values, dtype=np.float64)
        if values.shape != pairs.shape:
            raise errors.InvalidDimensionsError(
                f"{name} must have one value for each of the {pairs.size} connected pairs of cells of {projection.label},"
                f" got {values.size}")
        self._pairs, self._values, self._width = pairs, values, projection.post.size

    def __call__(self, i: np.ndarray, j: Any) -> np.ndarray:
        """The values of connected pairs."""
        return self._values[np.searchsorted(self._pairs, np.asarray(i, dtype=np.int64) * self._width + j)]

    def __deepcopy__(self, memo: Any) -> _Listed:
        return self


# ------------------------------------------------------------------------------------- projections


class Connection(common.Connection):
    """One synapse of a projection: its ends and, as attributes that may be set, its parameters."""

    projection: Projection
    index: int

    def __init__(self, projection: Projection, index: int) -> None:
        """Synapse number ``index`` of ``projection``."""
        object.__setattr__(self, "projection", projection)
        object.__setattr__(self, "index", index)

    @property
    def presynaptic_index(self) -> int:
        """Which of ``projection.pre`` sends."""
        return int(self.projection._pre[self.index])

    @property
    def postsynaptic_index(self) -> int:
        """Which of ``projection.post`` receives."""
        return int(self.projection._post[self.index])

    def __getattr__(self, name: str) -> float:
        if name.startswith("_") or name not in self.projection._values:
            raise AttributeError(f"a synapse of {self.projection.label} has no {name!r}")
        value = self.projection._now(name)
        return float(value[self.index]) if isinstance(value, np.ndarray) else value

    def __setattr__(self, name: str, value: float) -> None:
        if name not in self.projection._values:
            raise AttributeError(f"a synapse of {self.projection.label} has no {name!r} that could be set")
        self.projection._set_one(name, self.index, value)

    def as_tuple(self, *attribute_names: str) -> tuple[Any, ...]:
        """Some of its attributes."""
        return tuple(getattr(self, name) for name in attribute_names)


class Connections(Sequence):
    """The synapses of a projection as `Connection` objects, made when they are asked for."""

    def __init__(self, projection: Projection) -> None:
        """All of ``projection``."""
        self._projection = projection

    def __len__(self) -> int:
        return len(self._projection)

    def __getitem__(self, which: Any) -> Any:
        chosen = range(len(self))[which]
        return Connection(self._projection, chosen) if isinstance(chosen, int) else [Connection(self._projection, k) for k in chosen]


class Projection(common.Projection):
    __doc__ = common.Projection.__doc__
    _simulator = simulator
    _static_synapse_class = StaticSynapse

    def __init__(self, presynaptic_population: Any, postsynaptic_population: Any, connector: Any, synapse_type: Any = None,
                 source: Any = None, receptor_type: Any = None, space: Any = Space(), label: Any = None) -> None:
        """Connect the cells; see the class."""
        common.Projection.__init__(self, presynaptic_population, postsynaptic_population, connector, synapse_type, source,
                                   receptor_type, space, label)
        self._chunks: list[tuple[np.ndarray, np.ndarray, dict[str, Values]]] = []
        self._joined: tuple[np.ndarray, np.ndarray, dict[str, Values]] | None = None
        self._read: tuple[Any, float, np.ndarray] | None = None
        self._writable: set[str] = set()
        self.native: list[Any] = []
        self._rows: list[np.ndarray | None] = []
        self._rewritten = False  # weights were written into the simulation, which the network does not know
        self.stale = True
        connector.connect(self)
        self._simulator.state.projections.append(self)
        self._simulator.state.changed()

    # -- connecting -----------------------------------------------------------------------------

    def _convergent_connect(self, presynaptic_indices: Any, postsynaptic_index: int, location_selector: Any = None,
                            **connection_parameters: Any) -> None:
        """Synapses onto one cell; parameters are numbers, or one value for each.  What PyNN's own connectors call."""
        pre = np.asarray(presynaptic_indices, dtype=np.int32).ravel()
        self._connect_pairs(pre, np.full(pre.size, postsynaptic_index, dtype=np.int32), connection_parameters, location_selector)

    def _connect_pairs(self, pre: np.ndarray, post: np.ndarray, values: dict[str, Any], location_selector: Any = None) -> None:
        """Synapses between cells pre[k] and post[k], int32; values are numbers, or arrays with one for each."""
        if location_selector is not None:
            raise NotImplementedError(
                f"{self.label}: neurosim.pynn has no synapses at places of a cell: location_selector must be None,"
                f" got {location_selector!r}")
        if "delay" in values:
            self._check_delays(values["delay"])
        plain = {name: float(value) if np.ndim(value) == 0 else np.asarray(value, dtype=np.float64) for name, value in values.items()}
        self._chunks.append((pre, post, plain))
        self._joined = None

    def _check_delays(self, delays: Any) -> None:
        """Refuse delays below one step.  (What `setup` is told of the shortest and the longest delay is no limit in PyNN 0.13.)"""
        shortest = self._simulator.state.dt
        bad = ~((np.asarray(delays) >= shortest * (1 - _SLACK)) & np.isfinite(delays))
        if bad.any():
            raise errors.ConnectionError(
                f"{self.label}: Delay ({np.asarray(delays)[bad].flat[0]:g} ms) is out of range: it must be at least one step,"
                f" {shortest:g} ms")

    def _join(self) -> tuple[np.ndarray, np.ndarray, dict[str, Values]]:
        """pre, post and parameters of all synapses, in the order in which they were made."""
        if self._joined is None:
            if len(self._chunks) != 1:
                names = dict.fromkeys(name for _, _, values in self._chunks for name in values) or self.synapse_type.get_native_names()
                sizes = [pre.size for pre, _, _ in self._chunks]
                empty = np.empty(0, dtype=np.int32)
                self._chunks = [(np.concatenate([empty, *(pre for pre, _, _ in self._chunks)]),
                                 np.concatenate([empty, *(post for _, post, _ in self._chunks)]),
                                 {name: _joined([values[name] for _, _, values in self._chunks], sizes) for name in names})]
            self._joined = self._chunks[0]
        return self._joined

    @property
    def _pre(self) -> np.ndarray:
        return self._join()[0]

    @property
    def _post(self) -> np.ndarray:
        return self._join()[1]

    @property
    def _values(self) -> dict[str, Values]:
        return self._join()[2]

    def _pairs(self) -> np.ndarray:
        """pre * n_post + post of all synapses."""
        return self._pre.astype(np.int64) * self.post.size + self._post

    def __deepcopy__(self, memo: Any) -> Projection:
        """Itself: PyNN copies expressions of indices, which know their projection."""
        return self

    def __len__(self) -> int:
        return sum(pre.size for pre, _, _ in self._chunks)

    def __getitem__(self, i: Any) -> Any:
        return self.connections[i]

    @property
    def connections(self) -> Connections:
        """All synapses, as objects that are made when they are asked for."""
        return Connections(self)

    def shortest_delay(self) -> float:
        """Of all synapses, ms; one step where they have no delay."""
        return float(np.min(self._values.get("delay", self._simulator.state.dt)))

    def longest_delay(self) -> float:
        """Of all synapses, ms; one step where they have no delay."""
        return float(np.max(self._values.get("delay", self._simulator.state.dt)))

    # -- parameters -----------------------------------------------------------------------------

    @property
    def _learning(self) -> bool:
        """Whether weights are to be read from the simulation: not what was described anew after it had been made."""
        simulation = self._simulator.state.simulation
        if simulation is None or self.stale or not any(one.changes for one in self.native):
            return False
        known = {id(one) for one in simulation._described[1]}
        return all(id(one) in known for one in self.native)

    def _now(self, name: str) -> Values:
        """A parameter of all synapses; weights that change, as they are now."""
        if name != "weight" or not self._learning:
            return self._values[name]
        simulation = self._simulator.state.simulation
        assert simulation is not None
        if self._read is None or self._read[0] is not simulation or self._read[1] != simulation.t:
            weights = np.empty(len(self))
            for one, rows in zip(self.native, self._rows, strict=True):
                weights[slice(None) if rows is None else rows] = simulation.weights(one.label).values
            self._read = simulation, simulation.t, weights
        return self._read[2]

    def _take(self, values: dict[str, Values]) -> None:
        """New values of parameters, for the next run; weights that change are written into the simulation."""
        unknown = [name for name in values if name not in self._values]
        if unknown:
            raise errors.NonExistentParameterError(unknown[0], type(self.synapse_type).__name__, list(self._values))
        if "delay" in values:
            self._check_delays(values["delay"])
        if self._learning:
            simulation = self._simulator.state.simulation
            assert simulation is not None
            if list(values) == ["weight"]:
                full = np.broadcast_to(values["weight"], len(self))
                for one, rows in zip(self.native, self._rows, strict=True):
                    simulation.set_weights(one.label, full if rows is None else full[rows])
                self._keep(values)
                self._rewritten = True
                return
            self._keep({"weight": self._now("weight")})
        self._keep(values)
        self.stale = True
        self._simulator.state.changed()

    def forget(self) -> None:
        """Before the simulation begins anew: weights that were written into the old one are described to it."""
        self.stale, self._rewritten, self._read = self.stale or self._rewritten, False, None

    def _keep(self, values: dict[str, Values]) -> None:
        self._values.update(values)
        self._writable.difference_update(values)
        self._read = None

    def _set_one(self, name: str, index: int, value: float) -> None:
        """A new value of a parameter of one synapse."""
        if (name == "weight" and self._learning) or name not in self._writable:
            values = np.array(np.broadcast_to(self._now(name), len(self)))
            values[index] = value
            self._take({name: values})
            self._writable.add(name)
            return
        if name == "delay":
            self._check_delays(value)
        self._values[name][index] = value  # type: ignore[index]
        self.stale = True
        self._simulator.state.changed()

    def _value_list_to_array(self, attributes: dict[str, Any]) -> dict[str, Any]:
        def listed(value: Any) -> bool:
            return isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim == 1)

        return {name: _Listed(self, name, value) if listed(value) else value for name, value in attributes.items()}

    def _set_attributes(self, parameter_space: ParameterSpace) -> None:
        self._take({name: self._evaluated(lazy) for name, lazy in parameter_space.items()})

    def _evaluated(self, lazy: LazyArray) -> Values:
        """A parameter that is set: drawn for all pairs of cells, row by row, as PyNN draws it, then taken for the synapses."""
        pre, post = self._pre, self._post
        if not isinstance(lazy.base_value, RandomDistribution) or len(generators(lazy)) != 1:
            return values_of(_space(lazy), pre, post)["value"]
        if not draws_in_bulk(lazy.base_value) or lazy.operations:
            return np.asarray(lazy.evaluate(), dtype=np.float64)[pre, post]
        n_pre, n_post = self.shape
        values, order = np.empty(pre.size), np.argsort(pre, kind="stable")
        starts = np.searchsorted(pre, np.arange(n_pre + 1), sorter=order)
        step = max(1, _PAIRS // n_post)
        for first in range(0, n_pre, step):
            last = min(first + step, n_pre)
            rows = order[starts[first]:starts[last]]
            drawn = lazy.base_value.next((last - first) * n_post).reshape(last - first, n_post)
            values[rows] = drawn[pre[rows] - first, post[rows]]
        return values

    def _set_initial_value_array(self, variable: str, value: Any) -> None:
        """Synapses start at rest: other values are refused."""
        rest = self.synapse_type.rest.get(variable)
        rest = self._values.get(rest, rest) if isinstance(rest, str) else rest
        base = value.base_value if isinstance(value, LazyArray) else value
        given = base.evaluate(simplify=True) if isinstance(base, LazyArray) else base
        if rest is None or not isinstance(given, (int, float, np.number)) or np.any(np.asarray(rest) != float(given)):
            raise NotImplementedError(
                f"{self.label}: synapses of type {type(self.synapse_type).__name__} start at rest"
                f" ({', '.join(f'{name} = {at}' for name, at in self.synapse_type.rest.items()) or 'without states'});"
                f" {variable!r} cannot be initialized to {given!r:.100}")

    # -- reading --------------------------------------------------------------------------------

    def _column(self, name: str) -> Values:
        """An end or a parameter of all synapses."""
        if name in ("presynaptic_index", "postsynaptic_index"):
            return self._pre if name == "presynaptic_index" else self._post
        if name not in self._values:
            raise errors.NonExistentParameterError(name, type(self.synapse_type).__name__, list(self._values))
        return self._now(name)

    def _get_attributes_as_list(self, names: Any) -> list[tuple[Any, ...]]:
        columns = [self._column(name) for name in names]
        listed = [column.tolist() if isinstance(column, np.ndarray) else repeat(column, len(self)) for column in columns]
        return list(zip(*listed, strict=True))

    def _get_attributes_as_arrays(self, names: Any, multiple_synapses: str = "sum") -> list[np.ndarray]:
        pre, post = self._pre, self._post
        out = []
        for name in names:
            values, matrix = np.broadcast_to(self._column(name), pre.shape), np.full(self.shape, np.nan)
            if multiple_synapses == "first":
                backwards = np.arange(pre.size - 1, -1, -1)
                matrix[pre[backwards], post[backwards]] = values[backwards]
            else:
                matrix[pre, post] = 0.0 if multiple_synapses == "sum" else values
            if multiple_synapses in ("sum", "min", "max"):
                {"sum": np.add, "min": np.minimum, "max": np.maximum}[multiple_synapses].at(matrix, (pre, post), values)
            out.append(matrix)
        return out

    # -- describing -----------------------------------------------------------------------------

    def describe_to(self, network: Network) -> None:
        """Add the synapses to the network, or bring them up to date there: a projection for each pair of populations."""
        parts: list[tuple[Any, Any, dict[str, Any]]] = []
        rows_of = []
        for native_pre, native_post, pre, post, rows in self._parts():
            order = _order(pre, post, native_pre.size, native_post.size)
            if order is not None:
                pre, post = pre[order], post[order]
                rows = order if rows is None else rows[order]
            values = {name: value if rows is None or not isinstance(value, np.ndarray) else value[rows]
                      for name, value in self._values.items()}
            parts.append((native_pre, native_post, {
                "connector": PairsConnector(pre, post), "weight": values["weight"], "delay": values.get("delay"),
                "synapse": self._native_synapse(values, native_post)}))
            rows_of.append(rows)
        if self.native:
            self.native = [network.replace(old, **what) for old, (_, _, what) in zip(self.native, parts, strict=True)]
        else:
            receptor = "gap" if isinstance(self.synapse_type, ElectricalSynapse) else self.receptor_type
            self.native = [network.project(a, b, receptor=receptor, label=self.label, **what) for a, b, what in parts]
        self._rows = [rows if self._reads(one) else None for one, rows in zip(self.native, rows_of, strict=True)]
        self._read, self.stale = None, False

    def _reads(self, native: Any) -> bool:
        """Whether weights of a projection of the network are read from the simulation."""
        return native.changes

    def _native_synapse(self, values: dict[str, Values], post: Any) -> SynapseType | None:
        """The synapse type; with short-term plasticity, resources stay active for the ``tau_syn`` of the targets, as in PyNN."""
        made = self.synapse_type.native_synapse(values)
        if not isinstance(made, TsodyksMarkramSynapse):
            return made
        name = {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"}.get(self.receptor_type, f"{self.receptor_type}.tau_syn")
        taus = np.unique(np.broadcast_to(getattr(post.population.cell, name, 0.0), post.population.size)[post.indices])
        if taus.size > 1:
            raise errors.InvalidParameterValueError(
                f"{self.label}: {name} of the targets of a TsodyksMarkramSynapse must be one number, got {taus[0]:g} to {taus[-1]:g} ms")
        return dataclasses.replace(made, tau_psc=float(taus[0]))

    def _parts(self) -> Iterator[tuple[Any, Any, np.ndarray, np.ndarray, np.ndarray | None]]:
        """Pairs of native populations: with each, the synapses in their indices, and which these are (None: all)."""
        pres, posts = (self._simulator.state.native_cells(cells) for cells in (self.pre, self.post))
        if len(pres) == len(posts) == 1:
            if len(self):
                yield pres[0][0], posts[0][0], self._pre, self._post, None
            return
        pre_part, pre_index = _places(pres, self.pre.size)
        post_part, post_index = _places(posts, self.post.size)
        part = pre_part[self._pre].astype(np.int64) * len(posts) + post_part[self._post]
        order = np.argsort(part, kind="stable")
        starts = np.searchsorted(part, np.arange(len(pres) * len(posts) + 1), sorter=order)
        for k in range(len(pres) * len(posts)):
            rows = order[starts[k]:starts[k + 1]]
            if rows.size:
                yield (pres[k // len(posts)][0], posts[k % len(posts)][0], pre_index[self._pre[rows]], post_index[self._post[rows]],
                       rows)


def _joined(values: list[Values], sizes: list[int]) -> Values:
    """One number if all chunks have the same, else an array; 0 where there is no chunk."""
    if not any(isinstance(value, np.ndarray) for value in values) and len(set(values)) < 2:
        return values[0] if values else 0.0
    return np.concatenate([np.broadcast_to(value, size) for value, size in zip(values, sizes, strict=True)])


def _space(lazy: LazyArray) -> ParameterSpace:
    return ParameterSpace({"value": lazy}, None, lazy.shape)


def _places(parts: list[tuple[Any, np.ndarray]], size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each cell of an assembly: which part it is in, and which cell of that part it is; int32."""
    part, index = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32)
    for k, (_, chosen) in enumerate(parts):
        part[chosen], index[chosen] = k, np.arange(chosen.size)
    return part, index


def _order(pre: np.ndarray, post: np.ndarray, n_pre: int, n_post: int) -> np.ndarray | None:
    """What brings synapses into order by target, then by source; None if they are."""
    if not ((post[1:] < post[:-1]) | ((post[1:] == post[:-1]) & (pre[1:] < pre[:-1]))).any():
        return None
    from ..kernels import connect
    by_pre, order = np.empty(pre.size, dtype=np.int64), np.empty(pre.size, dtype=np.int64)
    connect.stable_order(pre, n_pre, np.arange(pre.size), by_pre)
    connect.stable_order(post, n_post, by_pre, order)
    return order
