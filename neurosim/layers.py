"""What a layer is that takes steps: linear maps, cells, and how these follow one another; plain data for `neurosim.stack`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .cells.lif import IF_curr_exp, current_propagator
from .errors import NetworkError, ParameterError
from .maps import Map, Shape
from .signals import Signal

__all__ = ["CEILING", "Cells", "Connection", "Description", "Named", "per_weight", "shape_after"]

CEILING = 65535.0  # mV: below the end of s16.15
Description = Any  # Connection | Cells | Named | list of these in series | tuple of these in parallel, summed


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

    def __post_init__(self) -> None:
        waits, size = np.asarray(self.delays), math.prod(self.shape)
        if self.weights.shape[0] != size or (self.bias is not None and self.bias.shape != (size,)):
            bias = "" if self.bias is None else f" and a bias of shape {self.bias.shape}"
            raise ParameterError(f"Connection: {size} outputs, shape {self.shape}, got weights of shape {self.weights.shape}{bias}")
        if waits.shape not in ((), self.weights.values.shape) or waits.dtype.kind not in "iu" or (waits < 0).any():
            raise ParameterError("Connection.delays must be whole numbers of steps >= 0, one or one for each entry of weights"
                                 f" ({self.weights.values.size}), got {waits.dtype} of shape {waits.shape}")
        if not np.isfinite(self.weights.values).all() or (self.bias is not None and not np.isfinite(self.bias).all()):
            raise ParameterError("Connection: weights and biases must be finite")

    def of(self, signal: Signal) -> Signal:
        """What it makes of a signal."""
        if signal.size != self.weights.shape[1]:
            raise NetworkError(f"a connection is for {self.weights.shape[1]} values, got shape {signal.shape}")
        made = signal.through(self.weights, self.shape, self.delays)
        return made if self.bias is None else made.plus(Signal(self.shape, {}, {0: self.bias}))


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
        Current, nA, that acts as an input of 1 in that step; 0 where no current does: biases then come as spikes of a source.
    keep_current : float or ndarray
        Part of such an input that is left after a step, for currents that pass by the synapse.
    value : tuple or None
        For layers that send no spikes: (recorded variable, factor to the framework's unit).
    initial : mapping
        Initial values of the cell's states.
    loops : tuple of Connection
        From the layer to itself; what was sent in the step before, or ``delays`` steps before that.
    receptor : str or tuple of str or None
        What a connection into the layer acts on; None: "excitatory" and "inhibitory" by its sign.  Of several, connections
        and loops into the layer have as many outputs for each, one receptor after the other.
    instead : Cells or None
        With a lag: the same without, for loops that have no room for it.
    """

    cell: Any
    shape: Shape
    per_weight: Any = 1.0
    lag: int = 0
    per_current: Any = 0.0
    keep_current: Any = 0.0
    value: tuple[str, float] | None = None
    initial: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    loops: tuple[Connection, ...] = ()
    receptor: Any = None
    instead: Cells | None = None

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @property
    def takes_constants(self) -> bool:
        """Whether a constant current acts as a bias."""
        return bool(np.all(np.asarray(self.per_current) != 0)) and not np.any(np.asarray(self.keep_current))

    def on_machine(self, dt: float) -> Cells:
        """The same in SpiNNaker's order: a synaptic current acts in the step in which a spike arrives, held over the step.

        Cells without a threshold get the highest that there is; who reads them looks whether it was reached.
        """
        made = self if self.value is None else dataclasses.replace(self, cell=self.cell.replaced(v_thresh=CEILING))
        if not isinstance(self.cell, IF_curr_exp):
            return made
        smaller = per_weight(self.cell, dt, True)  # with so much less resistance a weight is what it adds to v
        given: Any = self.cell.cm
        cm = np.multiply(given, smaller)
        return dataclasses.replace(made, cell=made.cell.replaced(cm=cm if cm.ndim else float(cm)), lag=0, instead=None,
                                   per_weight=self.per_weight * per_weight(self.cell, dt, False), per_current=self.per_current * smaller)

    def scaled(self, factor: float) -> Cells:
        """The same with all potentials, currents and weights times a factor.

        Nothing else changes in cells that are linear below their threshold; those whose weights are not in mV or nA stay as they are.
        """
        if factor == 1.0 or self.cell.weight_unit not in ("mV", "nA"):
            return self
        declared = self.cell.parameters()
        cell = self.cell.replaced(**{name: np.multiply(getattr(self.cell, name), factor) for name, one in declared.items()
                                     if one.unit in ("mV", "nA")})
        states = self.cell.states
        initial = {name: np.multiply(value, factor) if states[name].unit in ("mV", "nA") else value for name, value in self.initial.items()}
        value = self.value
        if value is not None and states[value[0]].unit in ("mV", "nA"):
            value = value[0], value[1] / factor
        return dataclasses.replace(
            self, cell=cell, initial=initial, value=value, per_weight=np.multiply(self.per_weight, factor),
            per_current=np.multiply(self.per_current, factor), instead=self.instead and self.instead.scaled(factor))


def per_weight(cell: Any, dt: float, machine: bool) -> np.ndarray:
    """mV that a weight of 1 adds to v in the first step after a spike, in the order of events of the engine or the machine."""
    if not isinstance(cell, IF_curr_exp):
        return np.ones(())
    values: Any = [getattr(cell, name) for name in ("tau_m", "tau_syn_E", "cm")]
    tau_m, tau, cm = np.broadcast_arrays(*values)
    if not machine:
        return current_propagator(tau_m, tau, cm, dt)
    return tau_m / cm * np.expm1(-dt / tau_m) * tau / dt * np.expm1(-dt / tau)


@dataclasses.dataclass(frozen=True, eq=False)
class Named:
    """A description with a name: cells in it are called so, or ``name.inner``."""

    name: str
    what: Description


def shape_after(what: Description, shape: Shape) -> Shape:
    """The shape of what a description sends, if that of its input is ``shape``."""
    if isinstance(what, Named):
        return shape_after(what.what, shape)
    if isinstance(what, list):
        for one in what:
            shape = shape_after(one, shape)
        return shape
    if isinstance(what, tuple):
        return shape_after(what[0], shape)
    if not isinstance(what, (Connection, Cells)):
        raise ParameterError(f"a description is a Connection, Cells, Named, a list or a tuple of these, got {what!r:.100}")
    return what.shape
