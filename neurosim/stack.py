"""Layers that take steps, as frameworks run them: plain data from which a `Network` with the same spikes is made.

Within a step a framework passes a spike through all layers; spikes of a network take at least one step from cell to
cell.  So layers are retimed: each gets an offset, the steps that it lies behind the framework.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from .maps import Map, Shape

__all__ = ["Cells", "Connection", "Layer", "Link"]


@dataclasses.dataclass(frozen=True, eq=False)
class Connection:
    """A linear map from one layer's signals to the next's input, synapse by synapse.

    Attributes
    ----------
    weights : Map
        Shape (outputs, inputs), in the framework's unit.
    shape : tuple of int
        Of the output, without time and batch.
    delays : int or ndarray
        Steps, one number or one for each entry of ``weights``; 0: within the step.
    bias : ndarray, shape (outputs,), or None
        Added at every step.
    """

    weights: Map
    shape: Shape
    delays: Any = 0
    bias: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one layer, and how the framework's numbers become those of the network.

    Attributes
    ----------
    cell : Cell
        Of the network; parameters are numbers, or arrays with one for each cell.
    shape : tuple of int
    per_weight : float or ndarray
        The network's weight (mV or nA) for a weight of 1.
    lag : int
        Steps from the arrival of a spike to its first effect on the test of the threshold (1 for ``IF_curr_exp``).
    per_current : float or ndarray
        Constant current, nA, that acts as a bias of 1 at every step.
    value : tuple or None
        For layers that send no spikes: (recorded variable, factor to the framework's unit).
    initial : mapping
        Initial values of the cell's states.
    loops : tuple of Connection
        From the layer to itself; what was sent in the step before, or ``delays`` steps before that.
    receptor : str or tuple of str or None
        What a connection into the layer acts on; None: "excitatory" and "inhibitory" by its sign.
    """

    cell: Any
    shape: Shape
    per_weight: Any = 1.0
    lag: int = 0
    per_current: Any = 0.0
    value: tuple[str, float] | None = None
    initial: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    loops: tuple[Connection, ...] = ()
    receptor: Any = None


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A named layer of a stack: cells, or an input (``cells`` is None)."""

    label: str
    shape: Shape
    cells: Cells | None


@dataclasses.dataclass(frozen=True, eq=False)
class Link:
    """A connection between two named layers; ``ago`` steps ago is when its signals were sent (1 in a loop)."""

    pre: str
    post: str
    connection: Connection
    ago: int = 0
