"""Connectors that say synapse by synapse, or by a rule of indices, who is connected: no chance is in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN import errors

from neurosim.pynn import connectors as base

from . import simulator
from .connectors import MachineConnector
from .errors import ConfigurationException, note

__all__ = ["AllButMeConnector", "FromFileConnector", "FromListConnector", "OneToOneOffsetConnector"]


class FromListConnector(MachineConnector, base.FromListConnector):
    """Synapses one by one: rows (source, target), (source, target, weight, delay), or with what ``column_names`` names."""

    on_machine = False

    def __init__(self, conn_list: Any, column_names: Any = None, *, safe: bool = True, verbose: bool = False,
                 callback: None = None) -> None:
        rows = np.asarray([] if conn_list is None else conn_list, dtype=np.float64)
        if rows.size and rows.ndim != 2:
            raise ConfigurationException(f"FromListConnector: rows must have equal lengths, got an array of shape {rows.shape}")
        if column_names is None and rows.size and rows.shape[1] not in (2, 4):
            raise ConfigurationException(f"FromListConnector: rows must have 2 or 4 columns without column_names, got {rows.shape[1]}")
        if column_names is not None and rows.size and rows.shape[1] != len(column_names) + 2:
            raise ConfigurationException(
                f"FromListConnector: rows must have source, target, {', '.join(column_names)}, got {rows.shape[1]} columns")
        if column_names is None and rows.size and rows.shape[1] == 2:
            column_names = []
        super().__init__(rows.reshape(-1, 4) if not rows.size else rows, column_names, safe=safe)

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection; rows that name cells which are not there are left out, as on the machine."""
        rows = self.conn_list
        if rows.size:
            inside = (rows[:, 0] < projection.shape[0]) & (rows[:, 1] < projection.shape[1])
            if not inside.all():
                note(f"{projection.label}: {np.count_nonzero(~inside)} rows of the list name cells that are not there, and are left out")
                self.conn_list = rows = rows[inside]
            steps = np.diff(rows[:, :2], axis=0)
            if ((steps[:, 0] < 0) | ((steps[:, 0] == 0) & (steps[:, 1] < 0))).any() and projection.post.size > 256:
                note(f"{projection.label}: the list is not in the order of sources, then targets; sPyNNaker 7.4.1 then loses synapses onto"
                     " targets of several cores: sort it")
        super().connect(projection)

    def given(self, name: str) -> Any:
        """A column of the list; delays in whole steps."""
        names = list(self.column_names)
        if name not in names or not self.conn_list.size:
            return None
        column, us = self.conn_list[:, 2 + names.index(name)], round(1000.0 * simulator.state.dt)
        return np.rint(column * (1000.0 / us)) * (us / 1000.0) if name == "delay" else column

    def fan_in(self, projection: Any) -> tuple[int, float]:
        """Counted."""
        rows = self.conn_list
        return (int(np.bincount(rows[:, 1].astype(np.int64)).max()) if rows.size else 0), rows.shape[0]


class FromFileConnector(FromListConnector, base.FromFileConnector):
    """Synapses from a file: that of PyNN's `StandardTextFile`, or its name."""

    def __init__(self, file: Any, distributed: bool = False, safe: bool = True, callback: None = None, verbose: bool = False) -> None:
        base.FromFileConnector.__init__(self, file, distributed, safe=safe)

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        columns = self.file.get_metadata().get("columns", ("weight", "delay"))
        self.column_names = [name for name in columns if name not in ("i", "j")]
        self.conn_list = self.file.read()
        FromListConnector.connect(self, projection)


class AllButMeConnector(MachineConnector, base.Connector):
    """Within groups, every cell to every other.

    Parameters
    ----------
    n_neurons_per_group : int, optional
        By default one group of all.
    weights : array, optional
        Of one group, by source, then target: the same for all groups.
    """

    def __init__(self, n_neurons_per_group: int | None = None, weights: Any = None, safe: bool = True, verbose: bool = False,
                 callback: None = None) -> None:
        super().__init__(safe=safe)
        self.n, self.weights = n_neurons_per_group, None if weights is None else np.asarray(weights, dtype=np.float64)
        if self.weights is not None and self.n is not None and self.weights.size != self.n * (self.n - 1):
            raise ConfigurationException(
                f"AllButMeConnector: a group of {self.n} has {self.n * (self.n - 1)} synapses, got {self.weights.size} weights")

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        size = self.n or projection.shape[0]
        if projection.shape[0] != projection.shape[1] or projection.shape[0] % size:
            raise NotImplementedError(
                f"{projection.label}: AllButMeConnector is for populations of one size, which groups of {size} divide, got"
                f" {projection.shape[0]} and {projection.shape[1]} cells")
        a, b = (one.ravel() for one in np.meshgrid(np.arange(size), np.arange(size)))
        a, b = a[a != b], b[a != b]
        groups = projection.shape[0] // size
        first = np.repeat(np.arange(groups) * size, a.size)
        pre, post = (np.tile(one, groups) + first for one in (a, b))
        space = self._parameters_from_synapse_type(projection)
        if self.weights is None:
            self._connect_all(projection, pre.astype(np.int32), post.astype(np.int32), space)
            return
        values = base.values_of(space, pre.astype(np.int32), post.astype(np.int32))
        own = self.weights[a * (size - 1) + b - (b > a)]
        projection._connect_pairs(pre.astype(np.int32), post.astype(np.int32), {**values, "weight": np.tile(own, groups)})

    def given(self, name: str) -> Any:
        """The weights."""
        return self.weights if name == "weight" else None

    def fan_in(self, projection: Any) -> tuple[int, float]:
        """All others of a group."""
        size = self.n or projection.shape[0]
        return size - 1, projection.shape[0] * (size - 1)


class OneToOneOffsetConnector(MachineConnector, base.Connector):
    """Each cell to that ``offset`` further, within groups; beyond the end to the beginning if ``wrap``."""

    def __init__(self, offset: int, wrap: bool, n_neurons_per_group: int | None = None, safe: bool = True, verbose: bool = False,
                 callback: None = None) -> None:
        super().__init__(safe=safe)
        self.offset, self.wrap, self.n = int(offset), bool(wrap), n_neurons_per_group

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        least = min(projection.shape)
        size = self.n or projection.shape[0]
        if abs(self.offset) > size:
            raise errors.ConnectionError(f"{projection.label}: offset must be within a group of {size}, got {self.offset}")
        every = np.arange(least)
        place, group = every % size + self.offset, every - every % size
        inside = np.ones(least, bool) if self.wrap else (place >= 0) & (place < size)
        target = group + place % size
        inside &= target < projection.shape[1]
        pre, post = _table((every[inside], target[inside]))
        self._connect_all(projection, pre, post, self._parameters_from_synapse_type(projection))

    def fan_in(self, projection: Any) -> tuple[int, float]:
        """One."""
        n_pre = projection.shape[0]
        return 1, n_pre if self.wrap else n_pre - n_pre // (self.n or n_pre) * abs(self.offset)


def _table(found: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets, by target, then source; int32."""
    pre, post = (np.asarray(one, dtype=np.int32) for one in found)
    order = np.lexsort((pre, post))
    return pre[order], post[order]
