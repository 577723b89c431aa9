"""The description of a network: plain data that every target (engine, preview, PyNN) starts from."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import wiring
from .cells.base import Cell, Model
from .connectors import Connector
from .currents import CurrentSource
from .errors import NetworkError, ParameterError
from .homeostasis import Homeostasis
from .parameters import Distribution, Parameter, evaluate, numbers, stream_key
from .plasticity import ClopathRule, ElectricalSynapse, STDPMechanism, SynapseType
from .space import Space
from .structure import Structure
from .tripartite import ThirdFactorConnector, Tripartite

__all__ = ["GainModulation", "Injection", "Modulation", "Network", "PoissonInput", "Population", "PopulationView", "Projection", "Record",
           "WeightRecord"]

_WEIGHT_SIGN = {**dict.fromkeys(("excitatory", "AMPA", "NMDA"), 1),
                **dict.fromkeys(("inhibitory", "GABA", "GABAA", "GABAB"), -1)}
_MOST_CELLS = 2**31 - 1
_LATEST = 1e12  # ms


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
        if not _is_whole(n) or not 0 < n <= self.size:
            raise NetworkError(f"{self.label}.sample needs 1 to {self.size} cells, got {n!r}")
        rng = np.random.default_rng(_seed(self.network.seed if seed is None else seed, f"{self.label}.sample: seed"))
        return PopulationView(self, np.sort(rng.choice(self.size, n, replace=False)))

    def initialize(self, **values: Any) -> Population:
        """Set initial values of state variables, e.g. ``initialize(v=Uniform(-65, -50))``."""
        for name, value in values.items():
            self._initialize(name, value)
        return self

    def _initialize(self, name: str, value: Any) -> None:
        self.initial_values[name] = _initial(self, name, value)

    def set(self, **parameters: Any) -> Population:
        """Change parameters of the cells."""
        self.cell = _fitting(self.cell.replaced(**parameters), self.size, self.label)
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
        self.indices = _chosen(np.arange(population.size), which, population.label)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"{self.label} ({self.size} cells)"

    def __getitem__(self, which: Any) -> PopulationView:
        return PopulationView(self.population, _chosen(self.indices, which, self.label))

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

    def set(self, **parameters: Any) -> PopulationView:
        """Change parameters of these cells only; the others keep theirs."""
        population, declared, changed = self.population, self.cell.parameters(), {}
        for name, value in parameters.items():
            if name not in declared:
                raise ParameterError(
                    f"{self.label}: {self.cell.name} has no parameter {name!r} of single cells; it has {', '.join(declared)}"
                )
            value, before = declared[name].check(self.label, name, value), getattr(self.cell, name)
            if isinstance(before, Distribution) or isinstance(value, Distribution):
                raise ParameterError(
                    f"{self.label}.{name}: a view takes numbers, and its population must not have a distribution, got {value}"
                )
            if isinstance(value, np.ndarray) and value.shape != (self.size,):
                raise ParameterError(f"{self.label}.{name} must be a number or {self.size} values, got shape {value.shape}")
            changed[name] = self._among_all(before, value)
        population.set(**changed)
        return self

    def _among_all(self, before: Any, value: Any) -> np.ndarray:
        """Values of the whole population: these cells have new ones, the others those from before."""
        full = np.array(np.broadcast_to(np.asarray(before, dtype=float), (self.population.size,)))
        full[self.indices] = value
        return full

    def initialize(self, **values: Any) -> PopulationView:
        """Set initial values of these cells only; the others keep theirs."""
        population = self.population
        for name, value in values.items():
            value = _initial(self, name, value)
            before = population.initial_values.get(name, population.cell.states[name].default)
            if isinstance(before, Distribution) or isinstance(value, Distribution):
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
            population._initialize(name, self._among_all(before, value))
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

    ``weight`` is in nA (current-based), uS (conductance-based) or mV (voltage jumps), ``delay`` in ms (None: one step).
    ``sign`` is 1 or -1 where weights may not have the other sign.  ``synapse`` is None for weights that stay.
    """

    pre: Cells
    post: Cells
    connector: Any
    weight: Any
    delay: Any
    receptor: str
    label: str
    space: Any = None
    sign: int = 0
    synapse: SynapseType | None = None
    homeostasis: Homeostasis | None = None
    structure: Structure | None = None

    @property
    def changes(self) -> bool:
        """Whether weights may change."""
        return isinstance(self.synapse, STDPMechanism) or self.homeostasis is not None or self.structure is not None

    @property
    def graded(self) -> bool:
        """Whether the sender acts all the time, not by spikes."""
        return bool(self.pre.cell.graded)

    @property
    def electrical(self) -> bool:
        """Whether its connections are gap junctions, which act all the time and both ways."""
        return isinstance(self.synapse, ElectricalSynapse)

    @property
    def dynamics(self) -> SynapseType | None:
        """What decides how much of a weight a spike sends, and how weights change, if not all and not at all."""
        return None if self.electrical else self.synapse

    @property
    def weight_unit(self) -> str:
        """Unit of its weights."""
        return "uS" if self.electrical else self.post.cell.weight_unit

    @property
    def gain(self) -> GainModulation | None:
        """What scales all that its synapses send, if something does."""
        return next((one for one in self.post.network.gains if one.projection is self), None)

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
class Modulation:
    """Spikes of ``source`` release ``amount`` of dopamine at the synapses of ``projection``, ``delay`` ms later."""

    source: Cells
    projection: Projection
    amount: float
    delay: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class GainModulation:
    """Calcium (µM) above ``threshold`` scales what ``projection`` sends; ``astrocytes`` tells whose: a graded projection."""

    astrocytes: Projection
    projection: Projection
    gain: float
    threshold: float
    delay: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class WeightRecord:
    """Weights to keep: those of ``projection``, or its ``synapses``, every ``interval`` ms."""

    projection: Projection
    interval: float
    synapses: np.ndarray | None


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
        if space is not None and not isinstance(space, Space):
            raise ParameterError(f"Network.space must be a Space, got {space!r}")
        self.seed, self.label, self.space = _seed(seed, "Network.seed"), _text(label, "Network.label"), space
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self._taken: dict[str, dict[str, int]] = {"projection": {}, "input": {}}  # labels, and how often each was asked for
        self.inputs: list[PoissonInput] = []
        self.injections: list[Injection] = []
        self.records: list[Record] = []
        self.modulations: list[Modulation] = []
        self.gains: list[GainModulation] = []
        self.weight_records: list[WeightRecord] = []

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
        label = _text(f"population{len(self.populations)}" if label is None else label, "a population's label")
        if any(p.label == label for p in self.populations):
            raise NetworkError(f"{self.label} already has a population {label!r}: labels must differ")
        if not _is_whole(size) or size < 1:
            raise NetworkError(f"population {label!r} must have at least 1 cell (a whole number), got {size!r}")
        if size > _MOST_CELLS:
            raise NetworkError(f"population {label!r} must have at most {_MOST_CELLS} cells, got {size}")
        if isinstance(cell, type) and issubclass(cell, Model):
            cell = cell()
        if not isinstance(cell, Model) or not dataclasses.is_dataclass(cell):
            raise NetworkError(f"population {label!r}: cell must be a model such as IF_curr_exp(), got {cell!r}")
        if initial_values is not None and not isinstance(initial_values, Mapping):
            raise ParameterError(f"{label}: initial_values must be a dict of state variables, got {initial_values!r}")
        made = Population(self, int(size), _fitting(cell, int(size), label), label, positions)
        for name, value in (initial_values or {}).items():
            made._initialize(name, value)
        self.populations.append(made)
        return made

    def project(self, pre: Cells, post: Cells, connector: Any, weight: Any = 0.0, delay: Any = None,
                receptor: str = "excitatory", label: str | None = None, synapse: SynapseType | None = None,
                homeostasis: Homeostasis | None = None, structure: Structure | None = None) -> Projection:
        """Connect ``pre`` to ``post``.

        Parameters
        ----------
        pre, post : Population or PopulationView
        connector : Connector
        weight : float, ndarray, Distribution, callable of distance or expression in d
            nA, uS or mV after the target's model; negative for inhibitory synapses of current-based cells (as PyNN).
        delay : likewise, ms
            Rounded to whole steps; at least one step.  None, the default, is one step, whatever dt is.
        receptor : str
            A receptor of the target's model.  What an `Astrocyte` puts out all the time goes to ``"sic"``, as a current
            into the target: weight (a number without unit) times what it was ``delay`` before.
        synapse : STDPMechanism, TsodyksMarkramSynapse, a stochastic synapse or ElectricalSynapse, optional
            How the synapses change, or what they send of a spike; by default weights stay and are sent.  Of an
            `STDPMechanism` `weight` is what they begin with; drawn weights are moved to the bounds of the rule.
            `ElectricalSynapse`: gap junctions, with weights in uS, no delay, no receptor.
        homeostasis : SynapticScaling or WeightNormalization, optional
            What all weights onto a cell are multiplied by, at intervals.
        structure : Rewiring or HomeostaticGrowth, optional
            Which synapses are removed and formed, at intervals; `connector` gives those at the start.

        Raises
        ------
        NetworkError
            For ends of another network, a receptor the target lacks, a connector that does not fit.
        ParameterError
            For a weight of the wrong sign, not finite, of the wrong shape, or beyond the bounds of the rule.
        """
        self._own(pre)
        self._own(post)
        label = _text(f"{pre.label} -> {post.label}" if label is None else label, "a projection's label")
        label = _unused(label, self._taken["projection"])
        made = self._checked(pre, post, connector, weight, delay, receptor, label, synapse, homeostasis, structure)
        self.projections.append(made)
        return made

    def replace(self, projection: Projection | str, **changes: Any) -> Projection:
        """Describe a projection anew, with the same ends, receptor and label, at the same place.

        Parameters
        ----------
        projection : Projection or its label
        **changes : connector, weight, delay, synapse, homeostasis, structure
            As in :meth:`project`; what is not given stays.

        Returns
        -------
        Projection
            The new one, which a `Simulation` takes up by :meth:`Simulation.follow`.

        Raises
        ------
        NetworkError, ParameterError
            As :meth:`project`; the old one stays then.
        """
        old = self._joined(projection, "replace")
        names = ("connector", "weight", "delay", "synapse", "homeostasis", "structure")
        unknown = [name for name in changes if name not in names]
        if unknown:
            raise NetworkError(f"replace: projection {old.label} cannot change its {unknown[0]!r}; it can change {', '.join(names)}")
        new = {name: changes.get(name, getattr(old, name)) for name in names}
        made = self._checked(old.pre, old.post, receptor=old.receptor, label=old.label, **new)
        self.projections[next(k for k, one in enumerate(self.projections) if one is old)] = made
        for records in (self.modulations, self.gains, self.weight_records):
            for k, one in enumerate(records):
                ends = {name: made for name in ("projection", "astrocytes") if getattr(one, name, None) is old}
                if ends:
                    records[k] = dataclasses.replace(one, **ends)  # type: ignore[call-overload, type-var]
        return made

    def _checked(self, pre: Cells, post: Cells, connector: Any, weight: Any, delay: Any, receptor: str, label: str,
                 synapse: SynapseType | None, homeostasis: Homeostasis | None, structure: Structure | None) -> Projection:
        """A projection, if its parts fit together."""
        electrical = isinstance(synapse, ElectricalSynapse)
        if electrical:
            _check_junction(pre, post, connector, receptor, delay, f"projection {label}")
            if homeostasis is not None or structure is not None:
                raise NetworkError(f"projection {label}: gap junctions cannot change: homeostasis and structure must be left out")
            receptor = "gap"
        else:
            self._receptor(post, receptor, f"projection {label}", pre)
        if isinstance(connector, type) or not isinstance(connector, Connector):
            raise NetworkError(
                f"projection {label}: connector must be a connector such as AllToAllConnector(), got {connector!r}"
            )
        weight, delay = (numbers(v) if isinstance(v, (list, tuple)) and numbers(v) is not None else v
                         for v in (weight, delay))
        if pre.cell.graded:
            _check_number(weight, f"projection {label}: weight", "")
            if synapse is not None or homeostasis is not None or structure is not None:
                raise NetworkError(f"projection {label}: {pre.label} ({pre.cell.name}) never spikes: its synapses cannot change")
        sign = 0 if pre.cell.graded else _check_weight(weight, post.cell, receptor, f"projection {label}", "uS" if electrical else None)
        if delay is not None:
            _check_number(delay, f"projection {label}: delay", "ms", above=0.0)
        _check_synapse(synapse, None if "weight" in connector.columns() else weight, sign, f"projection {label}", post.cell)
        _check_slow(homeostasis, structure, synapse, sign, f"projection {label}", post.cell.weight_unit)
        made = Projection(pre, post, connector, weight, delay, receptor, label, self.space, sign, synapse, homeostasis,
                          structure)
        wiring.validate(made)
        return made

    def tripartite(self, pre: Cells, post: Cells, astrocytes: Cells, connector: Any, p_third: float = 1.0,
                   pool_size: int | None = None, pool_type: str = "random", weight: Any = 0.0, delay: Any = None,
                   receptor: str = "excitatory", synapse: SynapseType | None = None, weight_in: Any = 1.0, delay_in: Any = None,
                   synapse_in: SynapseType | None = None, weight_out: Any = 1.0, delay_out: Any = None) -> Tripartite:
        """Connect ``pre`` to ``post``, and an astrocyte to some of the synapses.

        Each synapse from a neuron i to a neuron j has, with probability ``p_third``, an astrocyte a of j's pool; then i is
        connected to a, and a to j.  The rule is that of NEST's ``third_factor_bernoulli_with_pool``.

        Parameters
        ----------
        connector, weight, delay, receptor, synapse
            Of the synapses from ``pre`` to ``post``, as in :meth:`project`.
        p_third : float
            Probability that a synapse has an astrocyte.
        pool_size : int, optional
            How many astrocytes a target may choose from, all by default.
        pool_type : {"random", "block"}
            ``"random"``: each target has a pool of its own, drawn without replacement.  ``"block"``: equal blocks side by
            side, one astrocyte to a block of targets (``pool_size=1``), or ``pool_size`` astrocytes to each target.
        weight_in, delay_in, synapse_in
            Of the synapses from ``pre`` to ``astrocytes``.
        weight_out, delay_out
            Of those from ``astrocytes`` to ``post``: graded ones for `Astrocyte`, onto the excitatory receptor for cells
            that spike.

        Returns
        -------
        Tripartite
            The three projections ``primary``, ``third_in`` and ``third_out``.

        Raises
        ------
        NetworkError, ParameterError
            As :meth:`project`, and for pools that do not fit; nothing is added then.
        """
        self._own(astrocytes)
        before = len(self.projections)
        try:
            primary = self.project(pre, post, connector, weight, delay, receptor, synapse=synapse)
            pool = astrocytes.size if pool_size is None else pool_size
            sides = [ThirdFactorConnector(primary, astrocytes.size, p_third, pool, pool_type, side) for side in ("in", "out")]
            third_in = self.project(pre, astrocytes, sides[0], weight_in, delay_in, synapse=synapse_in)
            third_out = self.project(astrocytes, post, sides[1], weight_out, delay_out, astrocytes.cell.graded or "excitatory")
        except (NetworkError, ParameterError):
            del self.projections[before:]
            raise
        return Tripartite(primary, third_in, third_out)

    def poisson_input(self, target: Cells, rate: Any, weight: float, receptor: str = "excitatory",
                      start: float = 0.0, stop: float = math.inf, label: str | None = None) -> PoissonInput:
        """Drive each target cell by a Poisson train of its own.

        Parameters
        ----------
        rate : float or ndarray of shape (target.size,)
            Hz, the sum over all the imagined sources of one cell.
        weight : float
            As in :meth:`project`.
        start, stop : float
            ms; nothing arrives outside them.  By default the train has no end.
        label : str, optional
            Decides the train, with the simulation's seed; a number is added to one that is in use.

        Raises
        ------
        NetworkError, ParameterError
            As in :meth:`project`, and for a rate that is negative, not finite, or of the wrong shape.
        """
        self._own(target)
        label = _text(f"Poisson -> {target.label}" if label is None else label, "a Poisson input's label")
        label = _unused(label, self._taken["input"])
        name = f"Poisson input {label}"
        self._receptor(target, receptor, name)
        weight = _number(weight, f"{name}: weight", target.cell.weight_unit)
        _check_weight(weight, target.cell, receptor, name)
        rate = Parameter(0.0, "Hz", "rate of the Poisson train", low=0.0).check(name, "rate", rate)
        if isinstance(rate, Distribution):
            raise ParameterError(f"{name}.rate must be a number or an array of {target.size} values, got {rate}")
        if isinstance(rate, np.ndarray) and rate.shape != (target.size,):
            raise ParameterError(f"{name}.rate must be a number or {target.size} values, got shape {rate.shape}")
        start = _number(start, f"{name}: start", "ms", 0.0)
        stop = math.inf if isinstance(stop, float) and stop == math.inf else _number(stop, f"{name}: stop", "ms", 0.0)
        if stop < start:
            raise ParameterError(f"{name}: stop must be >= start ({start:g} ms), got {stop:g} ms")
        made = PoissonInput(target, rate, weight, receptor, start, stop, label)
        self.inputs.append(made)
        return made

    def modulate(self, source: Cells, projection: Projection | str, amount: float = 1.0, delay: float | None = None) -> Modulation:
        """Let spikes of ``source`` release dopamine at all synapses of ``projection``.

        Parameters
        ----------
        amount : float
            What each spike adds to the concentration.
        delay : float, optional
            ms, whole steps; one step by default.

        Raises
        ------
        NetworkError
            For cells or a projection of another network, or a projection without `Dopamine`.
        ParameterError
            For an amount that is not finite, or a delay that is not > 0.
        """
        self._own(source)
        projection = self._learning(projection, "modulate")
        if getattr(projection.synapse, "neuromodulation", None) is None:
            raise NetworkError(f"modulate: projection {projection.label} has no neuromodulation=Dopamine()")
        name = f"modulation of {projection.label} by {source.label}"
        amount = _number(amount, f"{name}: amount", "")
        if delay is not None:
            delay = _number(delay, f"{name}: delay", "ms", 0.0, open_low=True)
        made = Modulation(source, projection, amount, delay)
        self.modulations.append(made)
        return made

    def modulate_gain(self, astrocytes: Projection, projection: Projection, gain: float, threshold: float = 0.19669,
                      delay: float | None = None) -> GainModulation:
        """Let the calcium of astrocytes scale what the synapses of ``projection`` send (gliotransmission)::

            arriving at t:  weight max(1 + gain max(Ca - threshold, 0), 0)

        Ca is the mean calcium of the target's astrocytes at t - delay (before time 0: at 0); targets without any have gain 1.

        Ours, and the simplest of its kind.  In models such as those of De Pittà et al. (2011) and Tewari & Majumdar (2012), calcium above
        a threshold releases puffs of glutamate, which outlast it and shift the probability of release at single
        synapses, within bounds.  Here the gain is the target's, follows calcium at once and has no upper bound; ``synapse``
        (short-term plasticity, learning) goes on as without it.

        Parameters
        ----------
        astrocytes : Projection
            Tells whose astrocyte is whose: a graded one (`Tripartite.third_out`), from `Astrocyte` to the population that
            ``projection`` goes to.  Its weights, which may be 0, and delays do not count, nor how often it joins two cells.
        gain : float
            Per µM; negative for depression.
        threshold : float
            µM; the default is `Astrocyte`'s for the slow inward current.
        delay : float, optional
            ms, whole steps; one step by default.

        Raises
        ------
        NetworkError
            For projections of another network, without calcium, into different populations, or with a gain already.
        ParameterError
            For a number that is not finite, a threshold below 0, or a delay that is not > 0.
        """
        astrocytes, projection = (self._joined(one, "modulate_gain") for one in (astrocytes, projection))
        if not astrocytes.graded or "Ca" not in astrocytes.pre.cell.states:
            raise NetworkError(
                f"modulate_gain: projection {astrocytes.label} comes from {astrocytes.pre.cell.name}, which has no calcium to act by"
            )
        if projection.graded:
            raise NetworkError(f"modulate_gain: {projection.pre.label} ({projection.pre.cell.name}) never spikes: nothing is sent")
        if projection.electrical:
            raise NetworkError(f"modulate_gain: projection {projection.label} has gap junctions: no spikes are sent")
        if astrocytes.post.population is not projection.post.population:
            raise NetworkError(
                f"modulate_gain: astrocytes of {astrocytes.post.population.label} (projection {astrocytes.label}) cannot act on"
                f" synapses of {projection.post.population.label} (projection {projection.label})"
            )
        if projection.gain is not None:
            raise NetworkError(f"modulate_gain: projection {projection.label} has a gain already")
        name = f"gain of {projection.label} by {astrocytes.pre.label}"
        gain = _number(gain, name, "1/uM")
        threshold = _number(threshold, f"{name}: threshold", "uM", 0.0)
        if delay is not None:
            delay = _number(delay, f"{name}: delay", "ms", 0.0, open_low=True)
        made = GainModulation(astrocytes, projection, gain, threshold, delay)
        self.gains.append(made)
        return made

    def record_weights(self, projection: Projection | str, interval: float, synapses: Sequence[int] | None = None) -> None:
        """Keep the weights of a projection over time.

        Parameters
        ----------
        projection : Projection or its label
            One whose weights change.
        interval : float
            ms, a multiple of dt.
        synapses : sequence of int, optional
            Which, counted in the order of `Simulation.weights`; all by default.

        Raises
        ------
        NetworkError, ParameterError
            For a projection of another network or without plasticity, a bad interval, or synapses below 0.
        """
        projection = self._learning(projection, "record_weights")
        if projection.structure is not None:
            raise NetworkError(
                f"record_weights: the synapses of projection {projection.label} come and go; read Simulation.weights"
            )
        interval = _number(interval, f"weights of {projection.label}: interval", "ms", 0.0, open_low=True)
        chosen = None
        if synapses is not None:
            whole = numbers(synapses)
            chosen = np.empty(0) if whole is None else np.asarray(synapses)
            if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu" or chosen.min() < 0:
                raise ParameterError(
                    f"weights of {projection.label}: synapses must be a row of whole numbers >= 0, got {synapses!r:.200}"
                )
            chosen = chosen.astype(np.int64)
        if any(one.projection is projection for one in self.weight_records):
            raise NetworkError(f"weights of {projection.label} are recorded already")
        self.weight_records.append(WeightRecord(projection, interval, chosen))

    def _learning(self, projection: Any, what: str) -> Projection:
        """A projection of this network whose weights change, by itself or its label."""
        projection = self._joined(projection, what)
        if not projection.changes:
            raise NetworkError(f"{what}: the weights of projection {projection.label} do not change")
        return projection

    def _joined(self, projection: Any, what: str) -> Projection:
        """A projection of this network, by itself or its label."""
        if isinstance(projection, str):
            found = [one for one in self.projections if one.label == projection]
            if not found:
                known = ", ".join(one.label for one in self.projections) or "none"
                raise NetworkError(f"{what}: {self.label} has no projection {projection!r}; it has {known}")
            return found[0]
        if not isinstance(projection, Projection):
            raise NetworkError(f"{what} needs a projection or its label, got {projection!r:.200}")
        if not any(projection is one for one in self.projections):
            raise NetworkError(f"{what}: projection {projection.label} belongs to another network")
        return projection

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
            Sampling interval of states, ms, a multiple of dt; every step by default.  Spikes are always kept in full.

        Raises
        ------
        NetworkError
            For what the cells do not have, and for cells of another network.
        ParameterError
            For an interval that is not > 0, or that is given where only spikes are asked for.
        """
        variables = [variables] if isinstance(variables, str) else variables
        names = list(variables) if isinstance(variables, Iterable) else []
        if not names:
            raise NetworkError(f"record needs the name of a variable, or a list of names, got {variables!r}")
        if interval is not None:
            what = f"recording of {', '.join(map(str, names))}: interval"
            interval = _number(interval, what, "ms", 0.0, open_low=True)
            if set(names) == {"spikes"}:
                raise ParameterError(f"spikes are recorded in full: interval must be left out, got {interval:g} ms")
        targets: list[Any] = [target]
        if target is None or isinstance(target, (list, tuple)):
            targets = self.populations if target is None else list(target)
        for one in targets:
            self._own(one)
            for variable in names:
                known = ["spikes", *one.cell.states]
                if variable not in known:
                    raise NetworkError(
                        f"{one.label} ({one.cell.name}) cannot record {variable!r}; it can record {', '.join(known)}"
                    )
        self.records += [Record(one, variable, interval) for one in targets for variable in names]

    def describe(self, dt: float = 0.1) -> Any:
        """What would be built, before anything is: sizes, synapses, memory, cost (see `neurosim.description`)."""
        from .description import Description
        return Description.of(self, dt)

    def fingerprint(self) -> str:
        """A hash of all that decides a simulation, recordings excepted; functions count by their names."""
        cells = [(p.label, p.size, p.cell, p.initial_values, p.positions) for p in self.populations]
        joined = [(p.label, p.pre.label, p.pre.indices, p.post.label, p.post.indices, p.connector, p.weight, p.delay,
                   p.receptor, p.synapse, p.homeostasis, p.structure) for p in self.projections]
        released = [(m.source.label, m.source.indices, m.projection.label, m.amount, m.delay) for m in self.modulations]
        scaled = [(g.astrocytes.label, g.projection.label, g.gain, g.threshold, g.delay) for g in self.gains]
        driven = [(i.label, i.target.label, i.target.indices, i.rate, i.weight, i.receptor, i.start, i.stop)
                  for i in self.inputs]
        injected = [(i.target.label, i.target.indices, i.current) for i in self.injections]
        return f"{stream_key(self.seed, self.space, _said([cells, joined, driven, injected, [*released, *scaled]])):016x}"

    def _own(self, cells: Any) -> None:
        if not isinstance(cells, (Population, PopulationView)):
            raise NetworkError(f"expected a Population or a view of one, got {cells!r}")
        if cells.population.network is not self:
            raise NetworkError(f"population {cells.label!r} belongs to another network ({cells.population.network.label})")

    @staticmethod
    def _receptor(target: Cells, receptor: str, what: str, pre: Cells | None = None) -> None:
        graded = pre.cell.graded if pre is not None else ""
        if pre is not None and graded:
            if receptor != graded:
                raise NetworkError(f"{what}: {pre.label} ({pre.cell.name}) never spikes: give receptor={graded!r}, got {receptor!r}")
            if target.cell.is_source or not target.cell.spikes:
                raise NetworkError(f"{what}: {target.label} ({target.cell.name}) cannot receive a current")
            return
        if target.cell.is_source:
            raise NetworkError(f"{what}: {target.label} ({target.cell.name}) is a source and has no receptor")
        if receptor not in target.cell.receptors:
            known = ", ".join(target.cell.receptors) or "none"
            raise NetworkError(f"{what}: {target.label} ({target.cell.name}) has no receptor {receptor!r}; it has {known}")


def _unused(label: str, taken: dict[str, int]) -> str:
    """The label, numbered if it is taken: random streams go by labels."""
    free, k = label, taken.get(label, 1)
    while free in taken:
        k += 1
        free = f"{label} ({k})"
    taken[label] = k
    taken[free] = 1
    return free


def _positions(positions: Any, size: int, label: str, network: Network) -> np.ndarray | None:
    if positions is None:
        return None
    if hasattr(positions, "generate_positions"):
        positions = positions.generate_positions(size, network.seed, label)
    array = numbers(positions)
    if array is None:
        raise NetworkError(f"positions of {label!r} must be {size} points, shape ({size}, 3), got {positions!r:.200}")
    if array.shape == (3, size) and size != 3:
        array = array.T
    if array.shape != (size, 3) or not np.isfinite(array).all():
        raise NetworkError(f"positions of {label!r} must be {size} finite points, shape ({size}, 3), got shape {array.shape}")
    return np.ascontiguousarray(array)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _seed(value: Any, name: str) -> int:
    if not _is_whole(value) or not 0 <= value < 2**63:
        raise ParameterError(f"{name} must be a whole number >= 0 and < 2**63, got {value!r}")
    return int(value)


def _text(label: Any, name: str) -> str:
    if not isinstance(label, str) or not label:
        raise NetworkError(f"{name} must be a non-empty text, got {label!r}")
    return label


def _fitting(cell: Model, size: int, label: str) -> Model:
    """The model, if its arrays have one value for each of ``size`` cells."""
    for name in cell.parameters():
        value = getattr(cell, name)
        if isinstance(value, np.ndarray) and value.shape != (size,):
            raise ParameterError(
                f"{label}: {cell.name}.{name} must be a number or {size} values, got shape {value.shape}"
            )
    if hasattr(cell, "rows"):
        cell.rows(size, label)
    return cell


def _initial(cells: Cells, name: str, value: Any) -> Any:
    """An initial value of cells: a float, an array of shape (cells.size,) or a Distribution."""
    if name not in cells.cell.states:
        known = ", ".join(cells.cell.states) or "none"
        raise ParameterError(f"{cells.label}: {cells.cell.name} has no state variable {name!r}; it has {known}")
    state = cells.cell.states[name]
    checked = Parameter(state.default, state.unit, state.sentence).check(cells.label, f"initial {name}", value)
    if isinstance(checked, np.ndarray) and checked.shape != (cells.size,):
        raise ParameterError(
            f"{cells.label}.initial {name} must be a number or {cells.size} values, got shape {checked.shape}"
        )
    return checked


def _chosen(indices: np.ndarray, which: Any, label: str) -> np.ndarray:
    """Some of these indices; int64, none twice."""
    name = f"{label}[{which!r:.100}]"
    if not isinstance(which, (slice, int)) or isinstance(which, bool):
        which = np.asarray(which) if np.size(which) else np.empty(0, np.int64)
        if which.ndim > 1 or which.dtype.kind not in "iub" or (which.ndim == 0 and which.dtype.kind == "b"):
            raise NetworkError(f"{name}: a view needs whole numbers, a slice, or a row of True and False")
    try:
        chosen = np.atleast_1d(indices[which])
    except (IndexError, TypeError, ValueError):
        raise NetworkError(f"{name}: indices must lie in 0 .. {indices.size - 1}") from None
    if chosen.size == 0:
        raise NetworkError(f"{name} holds no cell")
    if np.unique(chosen).size != chosen.size:
        raise NetworkError(f"{name} names a cell twice")
    return chosen.astype(np.int64)


def _said(value: Any) -> str:
    """What a value is, in words that do not change from one process to the next."""
    if isinstance(value, np.ndarray):
        return f"array {value.dtype} {value.shape} {zlib.crc32(np.ascontiguousarray(value).data)}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_said, value))}]"
    if isinstance(value, dict):
        return _said(sorted((str(key), _said(item)) for key, item in value.items()))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return f"{type(value).__name__} {_said(fields)}"
    return getattr(value, "__qualname__", type(value).__name__) if callable(value) else repr(value)


def _number(value: Any, name: str, unit: str, low: float = -math.inf, open_low: bool = False) -> float:
    """One finite number in a range, as a float; refuse anything else."""
    high = _LATEST if unit == "ms" else math.inf
    limit = Parameter(0.0, unit, "", low=low, high=high, open_low=open_low).range_text()
    array = None if isinstance(value, Distribution) else numbers(value)
    if array is None or array.ndim:
        raise ParameterError(f"{name} must be one number, {limit}, got {value!r:.200}")
    number = float(array)
    if not math.isfinite(number) or not low <= number <= high or (open_low and number == low):
        raise ParameterError(f"{name} must be {limit}, got {number:g}")
    return number


def _check_number(value: Any, name: str, unit: str, above: float = -math.inf) -> None:
    """Refuse a number or an array of numbers that is not finite or not above a bound; pass anything else."""
    if isinstance(value, (Distribution, str)) or callable(value):
        return
    array = numbers(value)
    if array is None:
        raise ParameterError(
            f"{name} must be a number, an array, a Distribution or a function of distance, got {value!r:.200}"
        )
    if array.size == 0:
        raise ParameterError(f"{name} must not be empty")
    bad = ~np.isfinite(array) | (array <= above)
    if bad.any():
        limit = f"> {above:g} {unit}" if above > -math.inf else f"finite ({unit})"
        where = "" if array.ndim == 0 else f" at index {', '.join(str(int(i)) for i in np.argwhere(bad)[0])}"
        raise ParameterError(f"{name} must be {limit}, got {array[bad].flat[0]:g}{where}")


def _check_synapse(synapse: Any, weight: Any, sign: int, name: str, cell: Model) -> None:
    """Refuse what is no synapse, what does not fit the target, and weights beyond the bounds."""
    if synapse is not None and not isinstance(synapse, SynapseType):
        raise NetworkError(f"{name}: synapse must be an STDPMechanism(), a TsodyksMarkramSynapse() or the like, got {synapse!r:.200}")
    if not isinstance(synapse, STDPMechanism):
        return
    bounds, unit = synapse.weight_dependence, cell.weight_unit
    if isinstance(synapse.timing_dependence, ClopathRule) and "v" not in cell.states:
        raise NetworkError(f"{name}: ClopathRule looks at the potential 'v', which {cell.name} does not have")
    if sign and bounds.w_min < 0:
        raise ParameterError(
            f"{name}: w_min of {type(bounds).__name__} must be >= 0 {unit}, got {bounds.w_min:g}: weights onto this receptor of"
            f" {cell.name} have one sign, and bounds are magnitudes"
        )
    if weight is None or isinstance(weight, (Distribution, str)) or callable(weight):
        return
    size = np.asarray(weight, dtype=float) * (sign or 1)
    bad = (size < bounds.w_min) | (size > bounds.w_max)
    if bad.any():
        raise ParameterError(
            f"{name}: weight must lie between w_min = {bounds.w_min:g} and w_max = {bounds.w_max:g} {unit} of its"
            f" {type(bounds).__name__}, got {float(size[bad].flat[0]):g} {unit}"
        )


def _check_slow(homeostasis: Any, structure: Any, synapse: Any, sign: int, name: str, unit: str) -> None:
    """Refuse what is no slow process, and new synapses whose weight may not be."""
    if homeostasis is not None and not isinstance(homeostasis, Homeostasis):
        raise NetworkError(
            f"{name}: homeostasis must be a SynapticScaling() or a WeightNormalization(), got {homeostasis!r:.200}"
        )
    if structure is None:
        return
    if not isinstance(structure, Structure):
        raise NetworkError(f"{name}: structure must be a Rewiring() or a HomeostaticGrowth(), got {structure!r:.200}")
    owner, weight = f"{name}: {type(structure).__name__}", structure.initial_weight
    if weight * sign < 0:
        word = "positive" if sign > 0 else "negative"
        raise ParameterError(f"{owner}.initial_weight must be zero or {word} ({unit}), got {weight:g}")
    if isinstance(synapse, STDPMechanism):
        bounds = synapse.weight_dependence
        size = -weight if sign < 0 else weight
        if not bounds.w_min <= size <= bounds.w_max:
            raise ParameterError(
                f"{owner}.initial_weight must lie between w_min = {bounds.w_min:g} and w_max = {bounds.w_max:g} {unit}"
                f" in magnitude, got {weight:g}"
            )


def _check_junction(pre: Cells, post: Cells, connector: Any, receptor: str, delay: Any, name: str) -> None:
    """Refuse gap junctions of what has no potential, and what chemical synapses have and gap junctions have not."""
    for cells in (pre, post):
        if cells.cell.is_source or "v" not in cells.cell.states:
            raise NetworkError(f"{name}: {cells.label} ({cells.cell.name}) has no potential 'v' for gap junctions")
    if receptor not in ("excitatory", "gap"):
        raise NetworkError(f"{name}: gap junctions have no receptor: leave it out, got {receptor!r}")
    columns = connector.columns() if isinstance(connector, Connector) and not isinstance(connector, type) else ()
    if delay is not None or "delay" in columns:
        raise NetworkError(f"{name}: gap junctions have no delay: leave it out, got {'a column of delays' if delay is None else delay}")


def _check_weight(weight: Any, cell: Model, receptor: str, name: str, unit: str | None = None) -> int:
    """PyNN's rule of signs: inhibitory weights of current-based cells are negative, all others positive; receptors are
    inhibitory or excitatory by their names, and others free in current-based cells.

    Returns 1 or -1, or 0 where both signs are good.
    """
    unit = cell.weight_unit if unit is None else unit
    _check_number(weight, f"{name}: weight", unit)
    sign = _WEIGHT_SIGN.get(receptor, 0) if unit else 0
    if unit == "uS":
        sign = 1
    if sign == 0 or callable(weight) or isinstance(weight, str):
        return sign
    if isinstance(weight, Distribution):
        low, high = weight.support()
        if unit != "uS" and math.isinf(low if sign > 0 else high):  # tails across zero are no harm to currents
            low = high = weight.mean_value()
    else:
        low, high = float(np.min(weight)), float(np.max(weight))
    if (low if sign > 0 else -high) < 0:
        word = "positive" if sign > 0 else "negative"
        worst = low if sign > 0 else high
        drawn = f" from {weight} (give low= and high=)" if isinstance(weight, Distribution) else ""
        raise ParameterError(
            f"{name}: weight onto the {receptor} receptor of {cell.name} must be zero or {word} ({unit}),"
            f" got {worst:g}{drawn}"
        )
    return sign
