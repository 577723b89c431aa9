"""The description of a network: plain data that every target (engine, preview, PyNN) starts from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .cells.base import Cell, Model
from .currents import CurrentSource
from .errors import NetworkError, ParameterError
from .parameters import Distribution, Parameter

__all__ = ["Injection", "Network", "PoissonInput", "Population", "PopulationView", "Projection", "Record"]

_WEIGHT_SIGN = {"excitatory": 1, "inhibitory": -1}


class Population:
    """``size`` cells of one model, made by :meth:`Network.population`.

    Attributes
    ----------
    label : str
        Unique in the network.
    cell : Model
        The model with its parameters: numbers, arrays of shape (size,), or distributions.
    positions : ndarray, shape (size, 3), or None
        In micrometres by convention; used by distance-dependent connectors.
    initial_values : dict
        State variable -> number, array or distribution.
    """

    def __init__(self, network: Network, size: int, cell: Model, label: str, positions: Any = None) -> None:
        self.network, self.size, self.cell, self.label = network, size, cell, label
        self.positions = _positions(positions, size, label, network)
        self.initial_values: dict[str, Any] = {}

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"Population({self.label!r}, {self.size} x {self.cell.name})"

    @property
    def population(self) -> Population:
        """Itself, so that a population can stand where a view can."""
        return self

    @property
    def indices(self) -> np.ndarray:
        """0 .. size - 1."""
        return np.arange(self.size)

    def __getitem__(self, which: Any) -> PopulationView:
        """A view of some cells: ``p[3]``, ``p[10:20]``, ``p[[1, 5]]``, ``p[mask]``."""
        return PopulationView(self, which)

    def sample(self, n: int, seed: int | None = None) -> PopulationView:
        """A view of ``n`` cells drawn without replacement."""
        if not 0 < n <= self.size:
            raise NetworkError(f"{self.label}.sample needs 1 to {self.size} cells, got {n}")
        rng = np.random.default_rng(self.network.seed if seed is None else seed)
        return PopulationView(self, np.sort(rng.choice(self.size, n, replace=False)))

    def initialize(self, **values: Any) -> Population:
        """Set initial values of state variables, e.g. ``initialize(v=Uniform(-65, -50))``."""
        for name, value in values.items():
            self._initialize(name, value)
        return self

    def _initialize(self, name: str, value: Any) -> None:
        if name not in self.cell.states:
            known = ", ".join(self.cell.states) or "none"
            raise ParameterError(f"{self.label}: {self.cell.name} has no state variable {name!r}; it has {known}")
        state = self.cell.states[name]
        declared = Parameter(state.default, state.unit, state.sentence)
        checked = value if isinstance(value, Distribution) else declared.check(self.label, f"initial {name}", value)
        if isinstance(checked, np.ndarray) and checked.shape != (self.size,):
            raise ParameterError(f"{self.label}.initial {name} must be a number or {self.size} values, got shape {checked.shape}")
        self.initial_values[name] = checked

    def set(self, **parameters: Any) -> Population:
        """Change parameters of the cells."""
        self.cell = self.cell.replaced(**parameters)
        return self

    def record(self, variables: str | Iterable[str], interval: float | None = None) -> Population:
        """Shorthand of :meth:`Network.record`."""
        self.network.record(self, variables, interval)
        return self

    def inject(self, current: CurrentSource) -> Population:
        """Shorthand of :meth:`Network.inject`."""
        self.network.inject(current, self)
        return self


class PopulationView:
    """Some cells of a population, in the order given; made by indexing a population."""

    def __init__(self, population: Population, which: Any) -> None:
        self.population = population
        indices = np.arange(population.size)
        try:
            chosen = np.atleast_1d(indices[np.asarray(which) if not isinstance(which, (slice, int)) else which])
        except IndexError:
            raise NetworkError(f"{population.label}[{which!r}]: indices must lie in 0 .. {population.size - 1}") from None
        if chosen.size == 0:
            raise NetworkError(f"{population.label}[{which!r}] holds no cell")
        if np.unique(chosen).size != chosen.size:
            raise NetworkError(f"{population.label}[{which!r}] names a cell twice")
        self.indices = chosen.astype(np.int64)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"{self.label} ({self.size} cells)"

    def __getitem__(self, which: Any) -> PopulationView:
        return PopulationView(self.population, self.indices[which])

    @property
    def size(self) -> int:
        """Number of cells."""
        return int(self.indices.size)

    @property
    def label(self) -> str:
        """The population's label with the size of the view."""
        return f"{self.population.label}[{self.indices[0]}..{self.indices[-1]}]"

    @property
    def network(self) -> Network:
        """The network the population belongs to."""
        return self.population.network

    @property
    def cell(self) -> Model:
        """The population's model."""
        return self.population.cell

    @property
    def positions(self) -> np.ndarray | None:
        """Positions of the cells of the view."""
        return None if self.population.positions is None else self.population.positions[self.indices]

    def initialize(self, **values: Any) -> PopulationView:
        """Set initial values of these cells only; the others keep theirs."""
        population = self.population
        for name, value in values.items():
            if name not in population.cell.states:
                population._initialize(name, value)
            state = population.cell.states[name]
            before = population.initial_values.get(name, state.default)
            if isinstance(before, Distribution) or isinstance(value, Distribution):
                from .parameters import evaluate, stream_key
                key = stream_key(self.network.seed, population.label, "initial", name)
                if isinstance(before, Distribution):
                    before = evaluate(before, population.size, key, name)
                if isinstance(value, Distribution):
                    value = evaluate(value, population.size, key ^ 1, name)[self.indices]
            if isinstance(before, str):
                before = getattr(population.cell, before)
                if isinstance(before, Distribution):
                    raise ParameterError(
                        f"{population.label}: initialise {name} of the whole population first; its default is a distribution"
                    )
            full = np.array(np.broadcast_to(np.asarray(before, dtype=float), (population.size,)))
            full[self.indices] = value
            population._initialize(name, full)
        return self

    def record(self, variables: str | Iterable[str], interval: float | None = None) -> PopulationView:
        """Shorthand of :meth:`Network.record`."""
        self.network.record(self, variables, interval)
        return self

    def inject(self, current: CurrentSource) -> PopulationView:
        """Shorthand of :meth:`Network.inject`."""
        self.network.inject(current, self)
        return self


Cells = Population | PopulationView


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from ``pre`` to ``post``; made by :meth:`Network.project`.

    ``weight`` is in nA (current-based), uS (conductance-based) or mV (voltage jumps), ``delay`` in ms.
    """

    pre: Cells
    post: Cells
    connector: Any
    weight: Any
    delay: Any
    receptor: str
    label: str
    space: Any = None

    @property
    def same(self) -> bool:
        """Whether both ends are the same cells in the same order."""
        return self.pre.population is self.post.population and (
            self.pre is self.post or np.array_equal(self.pre.indices, self.post.indices)
        )

    @property
    def own(self) -> np.ndarray | None:
        """For overlapping views: the source index of the cell that each target is, -1 for none; else None."""
        if self.pre.population is not self.post.population or self.same:
            return None
        place = np.full(self.pre.population.size, -1, dtype=np.int32)
        place[self.pre.indices] = np.arange(self.pre.size)
        return place[self.post.indices]


@dataclasses.dataclass(frozen=True, eq=False)
class PoissonInput:
    """An independent Poisson train into each target cell, without neurons of its own.

    In effect ``SpikeSourcePoisson`` cells joined one to one, at a fraction of the cost.
    """

    target: Cells
    rate: Any
    weight: float
    receptor: str
    start: float
    stop: float
    label: str


@dataclasses.dataclass(frozen=True, eq=False)
class Injection:
    """A current into cells."""

    current: CurrentSource
    target: Cells


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """What to keep: ``variable`` (``"spikes"`` or a state) of ``target``, every ``interval`` ms (None: every step)."""

    target: Cells
    variable: str
    interval: float | None


class Network:
    """A spiking network, described.

    Nothing is built or drawn here: connections, random parameters and initial values are functions of
    ``seed`` and of the labels, evaluated by whoever uses the description.

    Parameters
    ----------
    seed : int
        Decides the graph, weights, delays, random parameters and initial values
        (the seed of a `Simulation` decides Poisson spikes and noise).
    label : str
        Name for tables and plots.
    space : Space, optional
        How distances are measured.
    """

    def __init__(self, seed: int = 1, label: str = "network", space: Any = None) -> None:
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            raise ParameterError(f"Network.seed must be a whole number >= 0 and < 2**63, got {seed!r}")
        self.seed, self.label, self.space = int(seed), label, space
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.inputs: list[PoissonInput] = []
        self.injections: list[Injection] = []
        self.records: list[Record] = []

    def __getitem__(self, label: str) -> Population:
        """The population of that label."""
        for population in self.populations:
            if population.label == label:
                return population
        known = ", ".join(p.label for p in self.populations) or "none"
        raise NetworkError(f"{self.label} has no population {label!r}; it has {known}")

    def population(self, size: int, cell: Model, label: str | None = None, positions: Any = None,
                   initial_values: Mapping[str, Any] | None = None) -> Population:
        """Add ``size`` cells.

        Parameters
        ----------
        size : int
        cell : Model
            e.g. ``IF_curr_exp(tau_m=10.0)``; parameters may be arrays of shape (size,) or distributions.
        label : str, optional
            Unique; ``population0`` and so on by default.
        positions : ndarray of shape (size, 3) or a structure of `neurosim.space`, optional
        initial_values : dict, optional

        Raises
        ------
        NetworkError
            For an empty population, a label in use, a cell that is not a model.
        """
        label = f"population{len(self.populations)}" if label is None else label
        if not isinstance(label, str) or not label:
            raise NetworkError(f"a population's label must be a non-empty text, got {label!r}")
        if any(p.label == label for p in self.populations):
            raise NetworkError(f"{self.label} already has a population {label!r}: labels must differ")
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise NetworkError(f"population {label!r} must have at least 1 cell (a whole number), got {size!r}")
        if isinstance(cell, type) and issubclass(cell, Model):
            cell = cell()
        if not isinstance(cell, Model):
            raise NetworkError(f"population {label!r}: cell must be a model such as IF_curr_exp(), got {cell!r}")
        for name in cell.parameters():
            value = getattr(cell, name)
            if isinstance(value, np.ndarray) and value.shape != (int(size),):
                raise ParameterError(
                    f"{label}: {cell.name}.{name} must be a number or {size} values, got shape {value.shape}"
                )
        if hasattr(cell, "rows"):
            cell.rows(int(size), label)
        made = Population(self, int(size), cell, label, positions)
        made.initialize(**(initial_values or {}))
        self.populations.append(made)
        return made

    def project(self, pre: Cells, post: Cells, connector: Any, weight: Any = 0.0, delay: Any = 0.1,
                receptor: str = "excitatory", label: str | None = None) -> Projection:
        """Connect ``pre`` to ``post``.

        Parameters
        ----------
        pre, post : Population or PopulationView
        connector : Connector
        weight : float, ndarray, Distribution, callable of distance or expression in d
            nA, uS or mV after the target's model; negative for inhibitory synapses of current-based cells (as PyNN).
        delay : likewise, ms
            Rounded to whole steps; at least one step.
        receptor : str
            A receptor of the target's model.

        Raises
        ------
        NetworkError
            For ends of another network, a receptor the target lacks, a connector that does not fit.
        ParameterError
            For a weight of the wrong sign, not finite, or of the wrong shape.
        """
        self._own(pre)
        self._own(post)
        label = f"{pre.label} -> {post.label}" if label is None else label
        taken = {p.label for p in self.projections}
        if label in taken:
            k = 2
            while f"{label} ({k})" in taken:
                k += 1
            label = f"{label} ({k})"
        self._receptor(post, receptor, f"projection {label}")
        if not hasattr(connector, "blocks"):
            raise NetworkError(f"projection {label}: connector must be a Connector, got {connector!r}")
        made = Projection(pre, post, connector, weight, delay, receptor, label, self.space)
        _check_weight(weight, post.cell, receptor, f"projection {label}")
        _check_number(delay, f"projection {label}: delay", "ms", above=0.0)
        connector.validate(pre.size, post.size, made.same, label=label, pre_positions=pre.positions,
                           post_positions=post.positions, own=made.own)
        self.projections.append(made)
        return made

    def poisson_input(self, target: Cells, rate: Any, weight: float, receptor: str = "excitatory",
                      start: float = 0.0, stop: float = math.inf, label: str | None = None) -> PoissonInput:
        """Drive each target cell by a Poisson train of its own.

        Parameters
        ----------
        rate : float or ndarray of shape (target.size,)
            Hz, the sum over all the imagined sources of one cell.
        weight : float
            As in :meth:`project`.
        """
        self._own(target)
        label = f"Poisson -> {target.label}" if label is None else label
        self._receptor(target, receptor, f"Poisson input {label}")
        _check_weight(weight, target.cell, receptor, f"Poisson input {label}")
        if isinstance(weight, (Distribution, np.ndarray)) or callable(weight):
            raise ParameterError(f"Poisson input {label}: weight must be one number, got {weight!r}")
        rate = Parameter(0.0, "Hz", "rate of the Poisson train", low=0.0).check(label, "rate", rate)
        if isinstance(rate, np.ndarray) and rate.shape != (target.size,):
            raise ParameterError(f"{label}.rate must be a number or {target.size} values, got shape {rate.shape}")
        made = PoissonInput(target, rate, float(weight), receptor, float(start), float(stop), label)
        self.inputs.append(made)
        return made

    def inject(self, current: CurrentSource, target: Cells) -> Injection:
        """Inject a current (nA) into cells."""
        self._own(target)
        if not isinstance(current, CurrentSource):
            raise NetworkError(f"inject needs a current source such as DCSource(), got {current!r}")
        if not isinstance(target.cell, Cell):
            raise NetworkError(f"{target.label} ({target.cell.name}) cannot receive a current")
        made = Injection(current, target)
        self.injections.append(made)
        return made

    def record(self, target: Cells | Sequence[Cells] | None, variables: str | Iterable[str],
               interval: float | None = None) -> None:
        """Keep spikes or states of cells.

        Parameters
        ----------
        target : Population, PopulationView, list of them, or None for all populations
        variables : str or list of str
            ``"spikes"`` and names of state variables.
        interval : float, optional
            Sampling interval of states, ms; every step by default.
        """
        targets = self.populations if target is None else target if isinstance(target, (list, tuple)) else [target]
        for one in targets:
            self._own(one)
            for variable in [variables] if isinstance(variables, str) else variables:
                if variable != "spikes" and variable not in one.cell.states:
                    known = ", ".join(["spikes", *one.cell.states])
                    raise NetworkError(f"{one.label} ({one.cell.name}) cannot record {variable!r}; it can record {known}")
                if interval is not None:
                    _check_number(interval, f"recording of {variable} of {one.label}: interval", "ms", above=0.0)
                self.records.append(Record(one, variable, interval))

    def describe(self, dt: float = 0.1) -> Any:
        """What would be built, before anything is: sizes, synapses, memory, cost (see `neurosim.description`)."""
        from .description import Description
        return Description.of(self, dt)

    def _own(self, cells: Any) -> None:
        if not isinstance(cells, (Population, PopulationView)):
            raise NetworkError(f"expected a Population or a view of one, got {cells!r}")
        if cells.population.network is not self:
            raise NetworkError(f"population {cells.label!r} belongs to another network ({cells.population.network.label})")

    @staticmethod
    def _receptor(target: Cells, receptor: str, what: str) -> None:
        if receptor not in target.cell.receptors:
            known = ", ".join(target.cell.receptors) or "none"
            raise NetworkError(f"{what}: {target.label} ({target.cell.name}) has no receptor {receptor!r}; it has {known}")


def _positions(positions: Any, size: int, label: str, network: Network) -> np.ndarray | None:
    if positions is None:
        return None
    if hasattr(positions, "generate_positions"):
        positions = positions.generate_positions(size, network.seed, label)
    array = np.asarray(positions, dtype=float)
    if array.shape == (3, size) and size != 3:
        array = array.T
    if array.shape != (size, 3) or not np.isfinite(array).all():
        raise NetworkError(f"positions of {label!r} must be {size} finite points, shape ({size}, 3), got shape {array.shape}")
    return np.ascontiguousarray(array)


def _check_number(value: Any, name: str, unit: str, above: float = -math.inf) -> None:
    """Refuse a number or an array of numbers that is not finite or not above a bound; pass anything else."""
    if isinstance(value, (Distribution, str)) or callable(value):
        return
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ParameterError(f"{name} must be a number, an array, a Distribution or a function, got {value!r}") from None
    if array.size == 0:
        raise ParameterError(f"{name} must not be empty")
    bad = ~np.isfinite(array) | (array <= above)
    if bad.any():
        limit = f"> {above:g} {unit}" if above > -math.inf else f"finite ({unit})"
        raise ParameterError(f"{name} must be {limit}, got {array[bad].flat[0]:g}")


def _check_weight(weight: Any, cell: Model, receptor: str, name: str) -> None:
    """PyNN's rule of signs: inhibitory weights of current-based cells are negative, all others positive."""
    unit = cell.weight_unit
    _check_number(weight, f"{name}: weight", unit)
    sign = _WEIGHT_SIGN.get(receptor, 0)
    if unit == "uS":
        sign = 1
    if sign == 0 or callable(weight) or isinstance(weight, str):
        return
    if isinstance(weight, Distribution):
        low, high = weight.support()
        mean = weight.mean_value()
        low, high = (low, high) if math.isinf(low) == math.isinf(high) and not math.isinf(low) else (mean, mean)
    else:
        low, high = float(np.min(weight)), float(np.max(weight))
    if (low if sign > 0 else -high) < 0:
        word = "positive" if sign > 0 else "negative"
        worst = low if sign > 0 else high
        raise ParameterError(
            f"{name}: weight onto the {receptor} receptor of {cell.name} must be zero or {word} ({unit}), got {worst:g}"
        )
