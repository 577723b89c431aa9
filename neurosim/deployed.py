"""A network that takes the steps of a framework: what goes in and comes out by the framework's own steps."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from .currents import StepCurrentSource
from .errors import NetworkError, ParameterError
from .maps import Map, Shape
from .network import Network, Population
from .signals import Signal

__all__ = ["Deployed", "Injected", "Note"]


@dataclasses.dataclass(frozen=True)
class Note:
    """Something that was converted, rounded, folded or left out, and where."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


class Injected(NamedTuple):
    """How real numbers act on a layer: currents, nA, ``weights`` times them, of which ``keep`` is left after a step."""

    layer: str
    ago: int
    weights: Map
    keep: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Deployed:
    """A network made of layers that take steps, and how its steps correspond to theirs.

    Layers are retimed: what a layer does within step t (0, 1, ...) a population does at step t + offset of its own, since
    spikes of a network take at least one step from cell to cell.

    Attributes
    ----------
    network : Network
    dt : float
        Step to simulate with, ms.
    populations : dict
        Name of each input and layer of cells -> its population.  An analog input has none.
    shapes : dict
        Name -> shape.
    inputs, outputs : tuple of str
        Names.
    offsets : dict
        Name -> steps that it lies behind the framework.
    report : tuple of Note
        What was rounded, folded, or is taken otherwise.
    scale : float
        mV that stand for 1 of the framework's unit.
    machine : bool
        Whether it is for SpiNNaker's order of events.
    """

    network: Network
    dt: float
    populations: dict[str, Population]
    shapes: dict[str, Shape]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    offsets: dict[str, int]
    report: tuple[Note, ...]
    _readouts: dict[str, Signal]
    _values: dict[str, tuple[str, float]]
    _analog: dict[str, list[Injected]]
    _injected: dict[str, list[Any]]
    _where: str
    _bias: str | None = None
    _start: int = 0
    machine: bool = False
    scale: float = 1.0

    def duration(self, steps: int) -> float:
        """ms to simulate for ``steps`` steps."""
        return (steps + max(self.offsets.values()) + self.machine) * self.dt

    def set_input(self, values: Any, name: str | None = None) -> None:
        """Give an input its values.

        Parameters
        ----------
        values : array, shape (steps, *shape of the input)
            Spikes: whole numbers >= 0, how many at each step.  For an analog input any numbers.
        name : str, optional
            Of the input; not needed where there is one.

        Raises
        ------
        ParameterError
            For an unknown name, a wrong shape, or values that are no spikes.
        """
        name = self._chosen(name, self.inputs, "Input")
        frames = np.asarray(values, dtype=np.float64)
        if frames.ndim < 1 or frames.shape[1:] not in (self.shapes[name], (math.prod(self.shapes[name]),)):
            raise ParameterError(f"{self._where}: input {name!r} takes values of shape (steps, *{self.shapes[name]}), got {frames.shape}")
        if not len(frames):
            raise ParameterError(f"{self._where}: input {name!r} takes at least one step, got {frames.shape}")
        if not np.isfinite(frames).all():
            raise ParameterError(f"{self._where}: input {name!r}: values must be finite")
        frames = frames.reshape(frames.shape[0], -1)
        if self._bias:
            self.populations[self._bias].set(spike_times=[(np.arange(frames.shape[0]) + self._start) * self.dt])
        if name in self._analog:
            self._inject(name, frames)
            return
        if (frames < 0).any() or (frames != np.rint(frames)).any():
            bad = frames[(frames < 0) | (frames != np.rint(frames))][0]
            raise ParameterError(
                f"{self._where}: input {name!r} takes spikes, whole numbers >= 0, got {bad:g}; made with analog=True it takes any numbers"
            )
        steps = (np.arange(frames.shape[0]) + self._start) * self.dt
        rows = [np.repeat(steps, column.astype(np.int64)) for column in frames.T]
        self.populations[name].set(spike_times=rows)

    def run(self, values: Any, progress: Any = False, **options: Any) -> np.ndarray:
        """The outputs that the engine gives for one input, or for a batch, one example after the other.

        Parameters
        ----------
        values : array or tensor, shape (steps, *shape of the input) or (steps, batch, *shape of the input)
        progress
            As for :meth:`neurosim.Simulation.run`.
        **options
            For :class:`neurosim.Simulation`.

        Returns
        -------
        ndarray, float64, shape (steps, [batch,] *shape of the output)
        """
        from .engine import Simulation

        name = self._chosen(None, self.inputs, "Input")
        frames, shape = np.asarray(values), self.shapes[name]
        if frames.shape[1:] not in (shape, frames.shape[1:2] + shape):
            raise ParameterError(f"{self._where}: run takes values of shape (steps, *{shape}) or (steps, batch, *{shape}),"
                                 f" got {frames.shape}")
        single = frames.shape[1:] == shape
        made = []
        for example in [frames] if single else np.moveaxis(frames, 1, 0):
            self.set_input(example)
            result = Simulation(self.network, dt=self.dt, **options).run(self.duration(len(frames)), progress=progress)
            made.append(self.output(result, len(frames)))
        return made[0] if single else np.stack(made, axis=1)

    def spikes(self, result: Any, name: str, steps: int) -> np.ndarray:
        """Spikes of a layer by the framework's own steps, from a result of the network.

        Parameters
        ----------
        result : Result
            Of a simulation over at least :meth:`duration` ms that recorded the population's spikes.
        name : str
            Of an input or layer of cells.
        steps : int

        Returns
        -------
        ndarray, int64, shape (steps, *shape)
            How many at each step.
        """
        self._chosen(name, tuple(self.populations), "layer")
        self._long_enough(result, steps)
        out = np.zeros((steps, math.prod(self.shapes[name])), dtype=np.int64)
        found = result.spikes(self.populations[name].label)
        step = np.rint(found.times / self.dt).astype(np.int64) - self.offsets[name]
        inside = (step >= 0) & (step < steps)
        np.add.at(out, (step[inside], found.ids[inside]), 1)
        return out.reshape(steps, *self.shapes[name])

    def output(self, result: Any, steps: int, name: str | None = None) -> np.ndarray:
        """What an output gives at each of the framework's steps: spikes, weighted sums of spikes, or potentials in its unit.

        Parameters are as in :meth:`spikes`; ``name`` is not needed where there is one output.

        Returns
        -------
        ndarray, float64, shape (steps, *shape)
        """
        signal = self._readouts[self._chosen(name, self.outputs, "Output")]
        out = np.zeros((steps, signal.size))
        for (source, ago), one in signal.terms.items():
            if ago < steps:
                out[ago:] += one.applied(self.sent(result, source, steps).reshape(steps, -1))[:steps - ago]
        for late, vector in signal.constant.items():
            out[late:] += vector
        return out.reshape(steps, *signal.shape)

    def sent(self, result: Any, name: str, steps: int) -> np.ndarray:
        """What a layer sends: its spikes, or for cells that never spike their value; shape (steps, *shape)."""
        if name not in self._values:
            return self.spikes(result, name, steps)
        self._long_enough(result, steps)
        variable, factor = self._values[name]
        if self.machine and result.spikes(self.populations[name].label).times.size:
            raise NetworkError(f"{self._where}: what {name!r} adds up reached the end of the machine's numbers; a smaller scale makes room")
        trace = result.traces(self.populations[name].label, variable)
        step = np.rint(trace.times / self.dt).astype(np.int64) - self.offsets[name] - self.machine  # which records before it advances
        inside = (step >= 0) & (step < steps)
        out = np.zeros((steps, trace.values.shape[1]))
        out[step[inside]] = trace.values[inside] * factor
        return out.reshape(steps, *self.shapes[name])

    def readout(self, name: str | None = None) -> Signal:
        """What an output is of what the layers send."""
        return self._readouts[self._chosen(name, self.outputs, "Output")]

    def injects(self, injection: Any) -> bool:
        """Whether an injected current is an input's value."""
        return any(injection is one for some in self._injected.values() for one in some)

    def _chosen(self, name: str | None, known: tuple[str, ...], what: str) -> str:
        """A name among those known; the only one if none is given."""
        if name is None and len(known) == 1:
            return known[0]
        if name is None:
            raise ParameterError(f"{self._where} has several nodes of kind {what}: name one of {', '.join(known)}")
        if name not in known:
            raise ParameterError(f"{self._where} has no {what} {name!r}; it has {', '.join(known)}")
        return name

    def _long_enough(self, result: Any, steps: int) -> None:
        last = max(self.offsets.values()) + steps - 1
        if result.duration < (last - 0.5) * self.dt:
            raise ParameterError(
                f"{steps} steps of {self._where} take {self.duration(steps):g} ms of the network, the result has {result.duration:g} ms"
            )

    def _inject(self, name: str, frames: np.ndarray) -> None:
        """Real values as currents into each target cell, a value for each step."""
        old = set(map(id, self._injected.get(name, ())))
        self.network.injections[:] = [one for one in self.network.injections if id(one) not in old]
        self._injected[name] = []
        for target, ago, weights, keep in self._analog[name]:
            current = weights.applied(frames)
            if np.any(keep):
                for step in range(1, len(current)):
                    current[step] += keep * current[step - 1]
            first = self.offsets[target] - (0 if self.machine else 1) + ago
            times = (first + np.arange(frames.shape[0] + 1)) * self.dt
            for cell in np.flatnonzero(current.any(axis=0)):
                source = StepCurrentSource(times, np.append(current[:, cell], 0.0))
                self._injected[name].append(self.network.inject(source, self.populations[target][int(cell)]))
