"""Projections as sPyNNaker has them: weights without signs, and read as the machine stores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pyNN import common
from pyNN.recording.files import StandardTextFile
from pyNN.space import Space

from neurosim.pynn import projections as base

from ..weights import Input
from . import simulator
from .connectors import MachineConnector
from .errors import ConfigurationException, note
from .estimates import estimate
from .synapses import STDPMechanism, StaticSynapse

__all__ = ["ConnectionHolder", "Projection", "SpiNNakerProjection"]


class SpiNNakerProjection(base.Projection):
    """Synapses between two populations, or views of them."""

    _simulator = simulator
    _static_synapse_class = StaticSynapse

    def __init__(self, pre_synaptic_population: Any, post_synaptic_population: Any, connector: Any, synapse_type: Any = None,
                 source: None = None, receptor_type: str = "excitatory", space: Any = None, label: str | None = None,
                 download_synapses: bool = False, partition_id: str | None = None) -> None:
        state = self._simulator.state
        state.check_active()
        if source is not None:
            raise NotImplementedError("sPyNNaker has no cells of compartments: source must be None")
        pre, post = (_cells(one) for one in (pre_synaptic_population, post_synaptic_population))
        if not post.celltype.receptor_types:
            raise ConfigurationException(f"{post.label} is a {type(post.celltype).__name__}, which takes no input")
        if receptor_type not in post.celltype.receptor_types:
            raise ConfigurationException(f"synapse target {receptor_type} not found in {post.label}: there are"
                                         f" {', '.join(post.celltype.receptor_types)}")
        if not isinstance(connector, MachineConnector):
            raise ConfigurationException(f"connector must be one of this module's, got {connector!r:.100}")
        self.pre, self.post, self.label = pre, post, label or f"{pre.label} to {post.label} ({len(state.projections)})"
        self._given = synapse_type or StaticSynapse()
        if not isinstance(self._given, StaticSynapse):
            raise ConfigurationException(f"{self.label}: synapse_type must be StaticSynapse or STDPMechanism, got {self._given!r:.100}")
        self._waiting: list[ConnectionHolder] = []
        self._conductance = post.celltype.conductance_based
        super().__init__(pre, post, connector, self._given.drawn(self.next_seed, connector.on_machine), None, receptor_type,
                         space or Space(), self.label)
        state.restructured()

    def next_seed(self) -> int:
        """A seed for the next random numbers of these synapses: the target population decides."""
        return getattr(self.post, "grandparent", self.post).next_seed()

    # -- connecting -----------------------------------------------------------------------------

    @property
    def _sign(self) -> float:
        """Of weights in the network, where inhibitory currents are negative."""
        return -1.0 if self.receptor_type.startswith("inhibitory") and not self._conductance else 1.0

    def _connect_pairs(self, pre: np.ndarray, post: np.ndarray, values: dict[str, Any], location_selector: Any = None) -> None:
        if "weight" in values:
            weights = np.asarray(values["weight"], dtype=np.float64)
            if weights.size and weights.min() < 0 < weights.max():
                note(f"{self.label}: weights have both signs ({weights.min():g} to {weights.max():g}); the machine drops them, all act on"
                     f" {self.receptor_type}")
            elif weights.size and weights.max() < 0 and not self.receptor_type.startswith("inhibitory"):
                note(f"{self.label}: weights are negative and the receptor is {self.receptor_type}; the machine drops the sign, and they"
                     " excite (receptor_type='inhibitory' makes them inhibit)")
            values = {**values, "weight": np.abs(weights) * self._sign if weights.ndim else float(abs(weights) * self._sign)}
        if "delay" in values:
            delays = np.maximum(values["delay"], self._simulator.state.dt)
            if (delays > values["delay"]).any():
                note(f"{self.label}: delays below the time step are {self._simulator.state.dt:g} ms")
            values = {**values, "delay": delays if np.ndim(delays) else float(delays)}
        super()._connect_pairs(pre, post, values, location_selector)

    def estimate(self) -> Input:
        """What sPyNNaker expects of these synapses, from which it chooses how weights are stored."""
        connector, space = self._connector, self._given.parameter_space
        count, draws = connector.fan_in(self)
        given = []
        for name in ("weight", "delay"):
            own, lazy = connector.given(name), space[name]
            drawn = self._values[name] if own is None else own
            if own is None and not lazy.operations and callable(lazy.base_value):  # of all pairs, connected or not
                drawn = np.asarray(lazy.base_value(self.space.distances(self.pre.positions.T, self.post.positions.T)))
            given.append((None if own is not None or lazy.operations else lazy.base_value, drawn))
        return estimate(count, draws, given[0], given[1], self.synapse_type.w_max)

    # -- reading --------------------------------------------------------------------------------

    def _reads(self, native: Any) -> bool:
        return True

    def _now(self, name: str) -> Any:
        """What the machine has now: stored weights, whole steps."""
        simulation = self._simulator.state.simulation
        if name == "delay":
            per_ms = 1000.0 / round(1000.0 * self._simulator.state.dt)
            steps = np.maximum(np.rint(np.asarray(self._values[name]) * per_ms), 1.0)
            return steps / per_ms
        if name != "weight" or simulation is None:
            return self._values[name]
        if self._read is None or self._read[0] is not simulation or self._read[1] != simulation.t:
            weights = np.empty(len(self))
            for one, rows in zip(self.native, self._rows, strict=True):
                weights[slice(None) if rows is None else rows] = np.abs(simulation.weights(one).values)
            self._read = simulation, simulation.t, weights
        return self._read[2]

    def table(self, names: list[str]) -> dict[str, np.ndarray]:
        """Columns by name, of all synapses by source, then target: places in whole populations, and parameters."""
        pre, post = (np.arange(cells.size) if getattr(cells, "grandparent", cells) is cells else
                     np.asarray(cells.index_in_grandparent(np.arange(cells.size))) for cells in (self.pre, self.post))
        columns = {"source": pre[self._pre], "target": post[self._post]}
        order = np.lexsort((columns["target"], columns["source"]))
        for name in names:
            if name not in columns:
                value = self._now(name) if name in ("weight", "delay") else self._fixed(name)
                columns[name] = np.broadcast_to(value, len(self))
        return {name: column[order] for name, column in columns.items()}

    def _fixed(self, name: str) -> float:
        """A parameter that is one number for all synapses."""
        if isinstance(self.synapse_type, STDPMechanism):
            return self.synapse_type.value(name)
        raise KeyError(f"{self.label}: StaticSynapse has no {name!r}; it has weight, delay")

    def get(self, attribute_names: Any, format: str, gather: bool = True, with_address: bool = True,
            multiple_synapses: str = "last") -> ConnectionHolder:
        """Weights, delays, parameters of the rule: as the machine has them when they are asked for.

        Asked for before the first run, they are those with which it begins, and can be read after it.

        Parameters
        ----------
        attribute_names : str or list of str
        format : {"list", "array"}
            A row for each synapse, by source, then target; or matrices of shape (sources, targets) of whole populations, NaN
            where there is no synapse.
        with_address : bool
            Whether rows begin with source and target.
        multiple_synapses : "last"
        """
        if multiple_synapses != "last":
            raise ConfigurationException(f"sPyNNaker knows only multiple_synapses='last', got {multiple_synapses!r}")
        if format not in ("list", "array"):
            raise ConfigurationException(f"format must be 'list' or 'array', got {format!r}")
        names = [attribute_names] if isinstance(attribute_names, str) else list(attribute_names)
        shape = tuple(getattr(cells, "grandparent", cells).size for cells in (self.pre, self.post))
        if format == "list" and with_address:
            names = ["source", "target", *(one for one in names if one not in ("source", "target"))]
        holder = ConnectionHolder(self, names, format == "list", shape)
        if self._simulator.state.simulation is None:
            self._waiting.append(holder)
        else:
            holder.fill()
        return holder

    def answer(self) -> None:
        """Fill what was asked for before the machine was loaded."""
        for holder in self._waiting:
            holder.fill()
        self._waiting = []

    def save(self, attribute_names: Any, file: Any, format: str = "list", gather: bool = True,
             with_address: bool = True) -> None:
        """Write what `get` returns to a file, a name or one of PyNN's; before the first run, when the machine is loaded."""
        names = [attribute_names] if isinstance(attribute_names, str) else list(attribute_names)
        if names in (["all"], ["connections"]):
            names = ["weight", "delay"]
        columns = (["i", "j"] if with_address and format == "list" else []) + names

        def write(found: Any) -> None:
            made = StandardTextFile(file, mode="w") if isinstance(file, str) else file
            made.write(np.nan_to_num(np.asarray(found, dtype=np.float64)), {"columns": columns})
            made.close()

        self.get(names, format, gather, with_address).then(write)

    def set(self, **attributes: Any) -> None:
        """Not there, as in sPyNNaker."""
        raise NotImplementedError("sPyNNaker has no Projection.set(): make the projection with other weights")

    def size(self, gather: bool = True) -> int:
        """Not there, as in sPyNNaker; `len` tells."""
        raise NotImplementedError("sPyNNaker has no Projection.size(): count the rows of get('weight', 'list')")

    def set_download_synapses(self, download_synapses: bool) -> None:
        """When a board would read synapses: passed over."""


def Projection(presynaptic_population: Any, postsynaptic_population: Any, connector: Any, synapse_type: Any = None,
               source: None = None, receptor_type: str = "excitatory", space: Any = None, label: str | None = None,
               download_synapses: bool = False, partition_id: str = "SPIKE") -> SpiNNakerProjection:
    """Synapses between two populations, or views of them.

    Parameters
    ----------
    presynaptic_population, postsynaptic_population : Population or PopulationView
    connector : connector of this module
    synapse_type : StaticSynapse or STDPMechanism, optional
        Static synapses of weight 0 by default.
    source : None
    receptor_type : str
    space : Space, optional
        For distances.
    label : str, optional
    download_synapses, partition_id
        Passed over.

    Raises
    ------
    ConfigurationException
        For what sPyNNaker refuses.
    """
    return SpiNNakerProjection(presynaptic_population, postsynaptic_population, connector, synapse_type, source, receptor_type, space,
                               label, download_synapses, partition_id)


def _cells(given: Any) -> Any:
    """A population or a view; a note where the machine could not take it."""
    cells = given.as_view() if isinstance(given, common.IDMixin) else given
    if not isinstance(cells, common.BasePopulation):
        raise ConfigurationException(f"a projection joins populations and views of them, got {type(given).__name__}")
    if getattr(cells, "grandparent", cells) is not cells and (np.diff(cells.index_in_grandparent(np.arange(cells.size))) != 1).any():
        note(f"{cells.label}: sPyNNaker joins only views of neighbouring cells, pop[a:b]; here others too")
    return cells


class ConnectionHolder:
    """What `Projection.get` returns: a list of rows or of values, or one matrix or several; filled when the machine is loaded."""

    def __init__(self, projection: SpiNNakerProjection, names: list[str], as_list: bool, shape: tuple[int, ...]) -> None:
        self._projection, self._names, self._shape, self._as_list = projection, names, shape, as_list
        self._found: Any = None
        self._then: list[Callable[[Any], None]] = []

    def then(self, act: Callable[[Any], None]) -> None:
        """Call ``act`` with the values, as soon as they are there."""
        if self._found is None:
            self._then.append(act)
        else:
            act(self._found)

    def fill(self) -> None:
        """Take the values of now."""
        table = self._projection.table(self._names)
        columns = [table[name] for name in self._names]
        self._found = self._rows(columns) if self._as_list else self._matrices(columns, table)
        for act in self._then:
            act(self._found)

    def _rows(self, columns: list[np.ndarray]) -> tuple[Any, ...]:
        listed = [one.tolist() for one in columns]
        return tuple(listed[0] if len(listed) == 1 else map(list, zip(*listed, strict=True)))

    def _matrices(self, columns: list[np.ndarray], table: dict[str, np.ndarray]) -> Any:
        matrices = []
        for column in columns:
            matrix = np.full(self._shape, np.nan)
            matrix[table["source"], table["target"]] = column
            matrices.append(matrix)
        return matrices[0] if len(matrices) == 1 else tuple(matrices)

    def data(self) -> Any:
        """The values; raises NotImplementedError before they are there."""
        if self._found is None:
            raise NotImplementedError(
                f"{', '.join(self._names)} of {self._projection.label} are known when the machine is loaded: read them after run()")
        return self._found

    def __getitem__(self, which: Any) -> Any:
        return self.data()[which]

    def __len__(self) -> int:
        return len(self.data())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data())

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.data(), dtype=dtype)

    def __repr__(self) -> str:
        return repr(self.data()) if self._found is not None else f"<{', '.join(self._names)} of {self._projection.label}, after run()>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.data(), name)
