"""What a run leaves behind: spikes, traces, weights, and where they came from."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import analysis
from .errors import ParameterError

if TYPE_CHECKING:
    from .network import Network
    from .plot import ResultPlot

__all__ = ["PopulationInfo", "PopulationResult", "Result", "Spikes", "Trace", "Weights", "concatenate",
           "joined_weights", "populations_of"]

Window = tuple[float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationInfo:
    """What a result knows of a population.

    Attributes
    ----------
    size : int
        Number of neurons.
    model : str
        Name of the cell model.
    positions : ndarray or None
        Shape (size, dimensions).
    offset : int
        Number of neurons in the populations before it.
    role : str
        ``excitatory`` or ``inhibitory`` if all its synapses are; else empty.  It decides colours.
    """

    size: int
    model: str = ""
    positions: np.ndarray | None = None
    offset: int = 0
    role: str = ""


def populations_of(network: Network) -> dict[str, PopulationInfo]:
    """What a result should know of the populations of a network, by label."""
    infos: dict[str, PopulationInfo] = {}
    offset = 0
    sends: dict[str, set[str]] = {}
    for projection in network.projections:
        sends.setdefault(projection.pre.population.label, set()).add(projection.receptor)
    for population in network.populations:
        receptors = sends.get(population.label, set())
        role = next(iter(receptors)) if len(receptors) == 1 else ""
        infos[population.label] = PopulationInfo(population.size, population.cell.name, population.positions, offset,
                                                 role if role in ("excitatory", "inhibitory") else "")
        offset += population.size
    return infos


@dataclasses.dataclass(frozen=True, eq=False)
class Spikes:
    """The spikes of one population.

    Attributes
    ----------
    times : ndarray, float64, ms
        Ascending.  A spike found in the step from t - dt to t has the time t.
    ids : ndarray, int32
        The neuron of each, counted within the population.
    size : int
        Neurons of the population.
    t_start, t_stop : float
        The window that was recorded, ms: t_start < t <= t_stop.
    recorded : ndarray or None
        Ids of the neurons that were recorded, ascending; None: all.
    label : str
        Of the population.
    """

    times: np.ndarray
    ids: np.ndarray
    size: int
    t_start: float
    t_stop: float
    recorded: np.ndarray | None = None
    label: str = ""

    def __post_init__(self) -> None:
        times, ids = np.ascontiguousarray(self.times, dtype=np.float64), np.ascontiguousarray(self.ids)
        name = f"spikes of {self.label!r}"
        if times.ndim != 1 or times.shape != ids.shape:
            raise ParameterError(f"{name}: times and ids must be flat and equally long, got shapes"
                                 f" {times.shape} and {ids.shape}")
        if not -np.inf < self.t_start <= self.t_stop < np.inf:
            raise ParameterError(f"{name}: t_stop must be >= t_start, got {self.t_start} to {self.t_stop} ms")
        if not (times[1:] >= times[:-1]).all():
            raise ParameterError(f"{name}: times must ascend")
        near = analysis.TOLERANCE
        if times.size and not (times[0] >= self.t_start - near and times[-1] <= self.t_stop + near):
            raise ParameterError(f"{name}: times must lie between {self.t_start:g} and {self.t_stop:g} ms,"
                                 f" got {times[0]:g} to {times[-1]:g}")
        if ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= self.size):
            raise ParameterError(f"{name}: ids must be integers from 0 to {self.size - 1},"
                                 f" got {ids.min()} to {ids.max()} ({ids.dtype})")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "ids", ids.astype(np.int32, copy=False))
        if self.recorded is not None:
            object.__setattr__(self, "recorded", np.unique(np.asarray(self.recorded, dtype=np.int32)))

    def __eq__(self, other: object) -> bool:
        """The same spikes of the same neurons over the same time; labels do not count."""
        if not isinstance(other, Spikes):
            return NotImplemented
        return (self.size == other.size and self.window == other.window
                and np.array_equal(self.neurons, other.neurons)
                and np.array_equal(self.times, other.times) and np.array_equal(self.ids, other.ids))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (f"<{self.count} spikes of {self.label!r}: {self.neurons.size} neurons,"
                f" {self.t_start:g} to {self.t_stop:g} ms>")

    def __len__(self) -> int:
        return self.times.size

    @property
    def count(self) -> int:
        """Number of spikes."""
        return self.times.size

    @property
    def window(self) -> Window:
        """(t_start, t_stop), ms."""
        return self.t_start, self.t_stop

    @property
    def neurons(self) -> np.ndarray:
        """Ids of the recorded neurons."""
        return np.arange(self.size, dtype=np.int32) if self.recorded is None else self.recorded

    def between(self, t0: float, t1: float) -> Spikes:
        """Those with t0 < t <= t1 (ms); the recorded window shrinks with them."""
        if not t1 >= t0:
            raise ParameterError(f"a window must not end before it begins, got {t0} to {t1} ms")
        first, last = np.searchsorted(self.times, np.array([t0, t1]) + analysis.TOLERANCE, "right")
        if t0 <= self.t_start:
            first = 0  # a spike at the very start of the recording belongs to the windows that begin there
        start = min(max(t0, self.t_start), self.t_stop)
        return dataclasses.replace(self, times=self.times[first:last], ids=self.ids[first:last],
                                   t_start=start, t_stop=max(start, min(t1, self.t_stop)))

    def _within(self, window: Window | None) -> Spikes:
        return self if window is None else self.between(*window)

    def counts(self, window: Window | None = None) -> np.ndarray:
        """Spikes of each recorded neuron; int64, shape (n_recorded,), in the order of :attr:`neurons`."""
        counts = np.bincount(self._within(window).ids, minlength=self.size)
        return counts if self.recorded is None else counts[self.recorded]

    def rates(self, window: Window | None = None) -> np.ndarray:
        """Rate of each recorded neuron, Hz; nan over an empty window."""
        within = self._within(window)
        seconds = (within.t_stop - within.t_start) / 1000.0
        return within.counts() / seconds if seconds > 0 else np.full(within.neurons.size, np.nan)

    def rate(self, window: Window | None = None) -> float:
        """Mean rate of the recorded neurons, Hz, in (t0, t1] ms or over the whole recording."""
        rates = self.rates(window)
        return float(rates.mean()) if rates.size else float("nan")

    def of(self, neuron: int) -> np.ndarray:
        """Times of the spikes of one neuron, ms."""
        if neuron not in self.neurons:
            raise ParameterError(f"neuron {neuron} of {self.label!r} was not recorded;"
                                 f" {self.neurons.size} of {self.size} were")
        return self.times[self.ids == neuron]

    def trains(self) -> dict[int, np.ndarray]:
        """Times of the spikes, ms, of each recorded neuron, also of those without any."""
        trains = {int(neuron): np.empty(0) for neuron in self.neurons}
        fired, times, starts = analysis.grouped(self.times, self.ids)
        trains.update(zip(fired.tolist(), np.split(times, starts[1:-1])))
        return trains

    def intervals(self) -> np.ndarray:
        """All intervals between successive spikes of one neuron, ms."""
        return analysis.intervals(self.times, self.ids)[0]

    def cv(self, min_spikes: int = 10) -> float:
        """Irregularity: see :func:`neurosim.analysis.cv`."""
        return analysis.cv(self.times, self.ids, min_spikes)

    def histogram(self, width: float, window: Window | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Spikes in bins of ``width`` ms: counts, shape (n,), and edges in ms, shape (n + 1,)."""
        return analysis.bin_counts(self.times, window or self.window, width)

    def synchrony(self, width: float = 3.0) -> float:
        """Variance over mean of the population's count in bins: see :func:`neurosim.analysis.synchrony`."""
        return analysis.synchrony(self.times, self.window, width)

    def correlation(self, width: float = 5.0, n_neurons: int = 200) -> float:
        """Mean correlation of pairs of neurons: see :func:`neurosim.analysis.correlation`."""
        return analysis.correlation(self.times, self.ids, self.window, width, n_neurons)


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """A variable of some neurons, sampled.

    Attributes
    ----------
    times : ndarray, float64, ms, shape (n_times,)
    ids : ndarray, int32, shape (n_ids,)
        Neurons, counted within the population.
    values : ndarray, float32 or float64, shape (n_times, n_ids)
    unit : str
    """

    times: np.ndarray
    ids: np.ndarray
    values: np.ndarray
    unit: str = ""

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        values = values if values.dtype == np.float32 else values.astype(np.float64, copy=False)
        object.__setattr__(self, "times", np.asarray(self.times, dtype=np.float64))
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=np.int32))
        object.__setattr__(self, "values", values)
        if self.times.ndim != 1 or self.ids.ndim != 1 or values.shape != (self.times.size, self.ids.size):
            raise ParameterError(f"values of a trace must have one row for each time and one column for each id: shape"
                                 f" ({self.times.size}, {self.ids.size}), got {values.shape}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        return (self.unit == other.unit and np.array_equal(self.times, other.times)
                and np.array_equal(self.ids, other.ids) and np.array_equal(self.values, other.values, equal_nan=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<trace of {self.ids.size} neurons at {self.times.size} times, {self.unit}>"

    def of(self, neuron: int) -> np.ndarray:
        """The values of one neuron, shape (n_times,)."""
        column = np.flatnonzero(self.ids == neuron)
        if not column.size:
            raise ParameterError(f"neuron {neuron} was not recorded; recorded: {_few(self.ids.tolist())}")
        return self.values[:, column[0]]


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a projection, at one time or at several.

    Attributes
    ----------
    values : ndarray, shape (n_synapses,), or (n_times, n_synapses) if there are ``times``
    unit : str
    pre, post : ndarray or None
        Neurons, counted within their populations.
    times : ndarray or None
        ms, ascending.
    """

    values: np.ndarray
    unit: str = ""
    pre: np.ndarray | None = None
    post: np.ndarray | None = None
    times: np.ndarray | None = None

    @property
    def last(self) -> np.ndarray:
        """The latest weights, shape (n_synapses,).

        Raises
        ------
        ParameterError
            If none were taken.
        """
        if self.times is not None and not self.times.size:
            raise ParameterError("no weights are kept: the run was shorter than the interval of the recording, or they were cleared")
        return self.values if self.times is None else self.values[-1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Weights):
            return NotImplemented
        pairs = [(getattr(self, name), getattr(other, name)) for name in ("values", "pre", "post", "times")]
        return self.unit == other.unit and all(
            a is b if a is None or b is None else np.array_equal(a, b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationResult:
    """What was recorded of one population: ``result["exc"]``."""

    label: str
    info: PopulationInfo
    _result: Result = dataclasses.field(repr=False)

    @property
    def spikes(self) -> Spikes:
        """Its spikes."""
        return self._result.spikes(self.label)

    def trace(self, variable: str) -> Trace:
        """A recorded variable."""
        return self._result.traces(self.label, variable)


class Result:
    """What a run leaves behind.

    Parameters
    ----------
    label : str
        Of the network.
    dt : float
        Step, ms.
    t_start, t_stop : float
        The time that was simulated, ms.
    seed : int
    populations : dict of PopulationInfo
        Every population, by label.
    spikes : dict of Spikes
        Of the populations whose spikes were recorded.
    traces : dict of Trace
        By (population, variable).
    weights : dict of Weights
        By the label of the projection.
    provenance : dict
        Where the result comes from: versions, threads, the network as text, ``wall_s``, ``cpu_s`` ...; can be
        written as JSON.
    complete : bool
        False for what could be read of a run that was killed.
    """

    def __init__(self, *, label: str = "", dt: float, t_start: float, t_stop: float, seed: int,
                 populations: Mapping[str, PopulationInfo], spikes: Mapping[str, Spikes] | None = None,
                 traces: Mapping[tuple[str, str], Trace] | None = None, weights: Mapping[str, Weights] | None = None,
                 provenance: Mapping[str, Any] | None = None, complete: bool = True) -> None:
        self.label, self.dt, self.seed, self.complete = label, float(dt), seed, complete
        self.t_start, self.t_stop = float(t_start), float(t_stop)
        self.populations = dict(populations)
        self.provenance = dict(provenance or {})
        self._spikes, self._traces, self._weights = dict(spikes or {}), dict(traces or {}), dict(weights or {})
        for name in [*self._spikes, *(population for population, _ in self._traces)]:
            self._check_population(name)

    def __repr__(self) -> str:
        return (f"<result of {self.label!r}: {self.t_start:g} to {self.t_stop:g} ms,"
                f" {len(self.populations)} populations, {sum(s.count for s in self._spikes.values())} spikes>")

    def __eq__(self, other: object) -> bool:
        """The same recordings of the same simulated time; provenance does not count."""
        if not isinstance(other, Result):
            return NotImplemented
        return (self._identity() == other._identity() and self._spikes == other._spikes
                and self._traces == other._traces and self._weights == other._weights)

    __hash__ = None  # type: ignore[assignment]

    def _identity(self) -> tuple:
        sizes = {name: (info.size, info.model) for name, info in self.populations.items()}
        return self.label, self.dt, self.t_start, self.t_stop, self.seed, sizes

    def _check_population(self, population: str) -> None:
        if population not in self.populations:
            raise ParameterError(f"there is no population {population!r}; there are: {_few(self.populations)}")

    @property
    def duration(self) -> float:
        """Simulated time, ms."""
        return self.t_stop - self.t_start

    @property
    def recorded(self) -> dict[str, list[str]]:
        """What was recorded of each population: ``{"exc": ["spikes", "v"]}``."""
        return {name: (["spikes"] if name in self._spikes else []) + [v for p, v in self._traces if p == name]
                for name in self.populations}

    @property
    def plot(self) -> ResultPlot:
        """Pictures of this result: ``result.plot.raster()``; see :class:`neurosim.plot.ResultPlot`."""
        from .plot import ResultPlot
        return ResultPlot(self)

    def __getitem__(self, population: str) -> PopulationResult:
        self._check_population(population)
        return PopulationResult(population, self.populations[population], self)

    def spikes(self, population: str) -> Spikes:
        """The spikes of a population."""
        self._check_population(population)
        if population not in self._spikes:
            raise ParameterError(f"population {population!r} recorded no spikes; recorded: {_few(self._spikes)}")
        return self._spikes[population]

    def traces(self, population: str, variable: str) -> Trace:
        """A sampled variable of a population."""
        self._check_population(population)
        if (population, variable) not in self._traces:
            known = [f"{v!r} of {p!r}" for p, v in self._traces]
            raise ParameterError(f"population {population!r} recorded no {variable!r}; recorded: {_few(known, str)}")
        return self._traces[population, variable]

    def weights(self, projection: str) -> Weights:
        """The weights of a projection, as they were recorded or, in results that say no times, at the end."""
        if projection not in self._weights:
            raise ParameterError(f"the weights of {projection!r} were not kept; kept: {_few(self._weights)}"
                                 " (Simulation.weights gives those of any projection)")
        return self._weights[projection]

    def append(self, other: Result) -> Result:
        """This result and the one of the run that went on where it ended, as one."""
        return concatenate([self, other])

    def save(self, path: str | os.PathLike) -> None:
        """Write to ``.nsim``, or to ``.npz``, which NumPy alone can read; the suffix decides.

        Raises
        ------
        FileFormatError
            If the file cannot be written; a file of another kind is never replaced.
        """
        from .result_io import save
        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Result:
        """Read what :meth:`save` wrote, or the stream of a run, also of one that was killed.

        Raises
        ------
        FileFormatError
            If the file is missing, damaged, or of another kind.
        """
        from .result_io import load
        return load(path)

    def to_neo(self) -> Any:
        """The recordings as a ``neo.Block``; needs the extra ``pynn``."""
        from .neo_export import to_neo
        return to_neo(self)


def _few(names: Iterable[Any], show: Any = repr) -> str:
    """The first few names, for a message."""
    shown = [show(name) for name in names]
    return ", ".join(shown[:12]) + (f" ... ({len(shown)})" if len(shown) > 12 else "") if shown else "none"


def concatenate(results: Iterable[Result]) -> Result:
    """The results of successive runs of one simulation as one.

    Provenance is that of the last, but ``wall_s`` and ``cpu_s`` are added up; weights that say no times are those of the last.

    Raises
    ------
    ParameterError
        If they are not chunks of one run, each beginning where the one before ended.
    """
    chunks = list(results)
    if not chunks:
        raise ParameterError("concatenate needs at least one result, got none")
    first, last = chunks[0], chunks[-1]
    for a, b in itertools.pairwise(chunks):
        _check_chunks(a, b)
    provenance = {**first.provenance, **last.provenance}
    for cost in ("wall_s", "cpu_s"):
        if all(cost in chunk.provenance for chunk in chunks):
            provenance[cost] = sum(chunk.provenance[cost] for chunk in chunks)
    spikes = {name: _joined_spikes([chunk._spikes[name] for chunk in chunks]) for name in first._spikes}
    traces = {key: _joined_traces([chunk._traces[key] for chunk in chunks]) for key in first._traces}
    return Result(label=first.label, dt=first.dt, t_start=first.t_start, t_stop=last.t_stop, seed=first.seed,
                  populations=first.populations, spikes=spikes, traces=traces,
                  weights={key: joined_weights([chunk._weights[key] for chunk in chunks if key in chunk._weights])
                           for key in last._weights},
                  provenance=provenance, complete=last.complete)


def _check_chunks(a: Result, b: Result) -> None:
    what = {"seed": (a.seed, b.seed), "dt": (a.dt, b.dt), "label": (a.label, b.label),
            "populations": (a._identity()[-1], b._identity()[-1]), "recorded": (a.recorded, b.recorded)}
    for name, (one, two) in what.items():
        if one != two:
            raise ParameterError(f"results of different runs cannot be joined: {name} {one!s:.200} and {two!s:.200}")
    if abs(a.t_stop - b.t_start) > 1e-3 * a.dt:
        raise ParameterError(f"results can be joined where one ends and the next begins, got an end at {a.t_stop:g} ms"
                             f" and a beginning at {b.t_start:g} ms")


def _joined_spikes(chunks: list[Spikes]) -> Spikes:
    return dataclasses.replace(chunks[0], times=np.concatenate([chunk.times for chunk in chunks]),
                               ids=np.concatenate([chunk.ids for chunk in chunks]), t_stop=chunks[-1].t_stop)


def _joined_traces(chunks: list[Trace]) -> Trace:
    """One trace; a sample that ends one chunk and begins the next is taken once."""
    times, values = [chunks[0].times], [chunks[0].values]
    for chunk in chunks[1:]:
        reached = next((t[-1] for t in reversed(times) if t.size), -np.inf)
        new = chunk.times > reached + analysis.TOLERANCE
        times.append(chunk.times[new])
        values.append(chunk.values[new])
    return dataclasses.replace(chunks[0], times=np.concatenate(times), values=np.concatenate(values))


def joined_weights(chunks: list[Weights]) -> Weights:
    """The last, or all that were taken at their times, none twice."""
    if any(chunk.times is None for chunk in chunks):
        return chunks[-1]
    times: list[np.ndarray] = []
    values = []
    for chunk in chunks:
        reached = next((t[-1] for t in reversed(times) if t.size), -np.inf)
        new = chunk.times > reached + analysis.TOLERANCE  # type: ignore[operator]
        times.append(chunk.times[new])  # type: ignore[index]
        values.append(chunk.values[new])
    return dataclasses.replace(chunks[0], times=np.concatenate(times), values=np.concatenate(values))
