"""Layers that take steps, as frameworks run them: plain data from which a `Network` with the same spikes is made.

Within a step a framework passes a spike through all layers; spikes of a network take at least one step from cell to
cell.  So layers are retimed: each gets an offset, the steps that it lies behind the framework.  `docs/learn_deployment.md`
derives it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from .cells.sources import SpikeSourceArray
from .connectors import FromListConnector
from .currents import DCSource, StepCurrentSource
from .deployed import Deployed, Injected
from .errors import NetworkError, ParameterError
from .layers import Cells, Connection, Description, Named, shape_after
from .maps import Map, Shape
from .network import Network, Population
from .signals import Signal, own

__all__ = ["Cells", "Connection", "Description", "Named", "Stack", "shape_after"]

D = TypeVar("D", bound=Deployed)


class Stack:
    """Inputs, layers of cells with what reaches them, and outputs; `deployed` makes a network of them.

    Attributes
    ----------
    inputs : dict
        Name -> shape.
    layers : dict
        Name -> (`Cells`, `Signal` that reaches them, of all receptors one after the other).
    outputs : dict
        Name -> `Signal`.
    analog : set of str
        Inputs that are real numbers.
    notes : list
        For the report.
    where : str
        What messages call the whole.
    """

    def __init__(self, inputs: Mapping[str, Shape], analog: Iterable[str] = (), where: str = "the stack") -> None:
        self.inputs, self.analog, self.where = dict(inputs), set(analog), where
        self.layers: dict[str, tuple[Cells, Signal]] = {}
        self.outputs: dict[str, Signal] = {}
        self.notes: list[Any] = []

    # -------------------------------------------------------------------------- from descriptions

    def add(self, what: Description, signal: Signal, name: str = "") -> Signal:
        """What a description sends where ``signal`` reaches it; its cells become layers, called ``name``."""
        if isinstance(what, Named):
            return self.add(what.what, signal, f"{name}.{what.name}" if name else what.name)
        if isinstance(what, list):
            for one in what:
                signal = self.add(one, signal, name)
            return signal
        if isinstance(what, tuple):
            ends = [self.add(one, signal, name) for one in what]
            for end in ends[1:]:
                if end.size != ends[0].size:
                    raise NetworkError(f"{self.where}: {name}: branches that meet have shapes {ends[0].shape} and {end.shape}")
            total = ends[0]
            for end in ends[1:]:
                total = total.plus(end)
            return dataclasses.replace(total, shape=shape_after(what, signal.shape))
        if isinstance(what, Connection):
            try:
                return what.of(signal)
            except NetworkError as error:
                raise NetworkError(f"{self.where}: {name}: {error}") from None
        if not isinstance(what, Cells):
            raise ParameterError(f"{self.where}: {name}: no description: {what!r:.100}")
        return self._cells(what, signal, name or "cells")

    def _cells(self, cells: Cells, signal: Signal, name: str) -> Signal:
        name = _free(name, {**self.inputs, **self.layers})
        receptors = len(cells.receptor) if isinstance(cells.receptor, tuple) else 1
        if signal.size != cells.size * receptors:
            raise NetworkError(f"{self.where}: {name}: {cells.size} cells" + (f" with {receptors} receptors" if receptors > 1 else "")
                               + f", what reaches them has shape {signal.shape}")
        before = own(name, cells.shape, 1)
        for loop in cells.loops:
            signal = signal.plus(loop.of(before))
        self.layers[name] = cells, signal.real()
        return own(name, cells.shape)

    # -------------------------------------------------------------------------- to a network

    def deployed(self, dt: float, label: str, kind: type[D] = Deployed, start: int | None = 0,  # type: ignore[assignment]
                 machine: bool = False) -> D:
        """The network.

        Parameters
        ----------
        dt : float
            ms that a step lasts.
        label : str
        kind : type
            Of what is returned.
        start : int or None
            Steps before the inputs begin; None: one more than the least delay, which is when NEST through PyNN can send.
        machine : bool
            For SpiNNaker's order of events, in which synaptic currents act in the step in which spikes arrive.

        Raises
        ------
        NetworkError
            Where layers that send real numbers lead to cells, real numbers reach cells that no current says, or a loop
            takes fewer steps than it has layers.
        """
        self._check_sources()
        bias = _free("bias", {**self.inputs, **self.layers})
        reached = {name: self._biased(one, signal, bias) for name, (one, signal) in self.layers.items()}
        spiking = {name: shape for name, shape in self.inputs.items() if name not in self.analog}
        if any(source == bias for signal in reached.values() for source, _ in signal.terms):
            spiking[bias] = (1,)
        cells = {name: one.on_machine(dt) if machine else one for name, (one, _) in self.layers.items()}
        offsets = _offsets(spiking, cells, reached)
        if offsets is None:
            looped = {name for name in cells if _in_a_loop(name, reached)}
            cells = {name: one.instead if one.lag and one.instead and name in looped else one for name, one in cells.items()}
            offsets = _offsets(spiking, cells, reached)
        if offsets is None:
            raise NetworkError(
                f"{self.where}: a loop through several neurons takes fewer steps than it has neurons ({', '.join(sorted(looped))}); spikes"
                " of a network take at least one step from cell to cell. A Delay in the loop makes room"
            )
        if start is None:
            start = 1 + min((ago + offsets[name] - offsets[source] - cells[name].lag for name, signal in reached.items()
                             for source, ago in signal.terms if source in offsets), default=0)
        offsets = {name: start + offset for name, offset in offsets.items()}
        network = Network(label=label)
        populations = {name: network.population(math.prod(shape), SpikeSourceArray(), name) for name, shape in spiking.items()}
        for name, one in cells.items():
            populations[name] = network.population(one.size, one.cell, name)
            if one.initial:
                populations[name].initialize(**one.initial)
        analog = self._join(network, populations, cells, reached, offsets, dt, machine)
        for name, population in populations.items():
            graded = name in cells and cells[name].value is not None
            network.record(population, cells[name].value[0] if graded else "spikes")  # type: ignore[index]
            if graded and machine:
                network.record(population, "spikes")
        shapes = {**self.inputs, **spiking, **{name: one.shape for name, one in cells.items()}}
        values = {name: one.value for name, one in cells.items() if one.value is not None}
        return kind(network, dt, populations, shapes, tuple(self.inputs), tuple(self.outputs), offsets,
                    tuple(dict.fromkeys(self.notes)), self.outputs, values, analog, {}, self.where,
                    bias if bias in spiking else None, start, machine)

    def _check_sources(self) -> None:
        for name, signal in self.outputs.items():
            for source, _ in signal.terms:
                if source in self.analog:
                    raise NetworkError(f"{self.where}: output {name!r} reads the analog input {source!r} itself, past all neurons")
        for name, (_, signal) in self.layers.items():
            for source, _ in signal.terms:
                if source in self.layers and self.layers[source][0].value is not None:
                    raise NetworkError(f"{self.where}: {source!r} sends its potential at every step, to {name!r}: only outputs may read"
                                       " it, cells get spikes")

    def _check_analog(self, name: str, cells: Cells, signal: Signal) -> None:
        if not np.all(np.asarray(cells.per_current) != 0) and any(source in self.analog for source, _ in signal.terms):
            raise NetworkError(f"{self.where}: {name}: real numbers reach {cells.cell.name}, to which no current does the same")

    def _biased(self, cells: Cells, signal: Signal, bias: str) -> Signal:
        """Constants that no current says as what a source sends that spikes in every step."""
        if not signal.constant or (cells.takes_constants and not isinstance(cells.receptor, tuple)):
            return signal
        terms = dict(signal.terms)
        for late, vector in signal.constant.items():
            rows = np.flatnonzero(vector)
            terms[bias, late] = Map(rows, np.zeros_like(rows), vector[rows], (vector.size, 1))
        return Signal(signal.shape, terms)

    def _join(self, network: Network, populations: Mapping[str, Population], cells: Mapping[str, Cells], reached: Mapping[str, Signal],
              offsets: Mapping[str, int], dt: float, machine: bool) -> dict[str, list[Injected]]:
        """Projections and currents; what is left to inject, by analog input."""
        analog: dict[str, list[Injected]] = {name: [] for name in self.analog}
        for name, one in cells.items():
            whole, post = reached[name], populations[name]
            self._check_analog(name, one, whole)
            receptors = one.receptor if isinstance(one.receptor, tuple) else (one.receptor,)
            for k, receptor in enumerate(receptors):
                signal = whole.part(k * one.size, one.size).real() if len(receptors) > 1 else whole
                per_current = np.broadcast_to(np.asarray(one.per_current, dtype=np.float64), one.size)
                per_weight = np.broadcast_to(np.asarray(one.per_weight, dtype=np.float64), one.size)
                for (source, ago), weights in signal.terms.items():
                    if source in self.analog:
                        analog[source].append(Injected(name, ago, weights.scaled(per_current), one.keep_current))
                        continue
                    delay = (ago + offsets[name] - offsets[source] - one.lag) * dt
                    _project(network, populations[source], post, weights.scaled(per_weight), delay, receptor)
                for late, vector in signal.constant.items():
                    _constant(network, post, vector * per_current, (offsets[name] - (not machine) + late) * dt, machine)
        return analog


def _free(stem: str, taken: Iterable[str]) -> str:
    """A name that is not taken."""
    name, k = stem, 1
    while name in taken:
        k += 1
        name = f"{stem}_{k}"
    return name


def _in_a_loop(name: str, reached: Mapping[str, Signal]) -> bool:
    waiting, seen = [name], set()
    while waiting:
        now = waiting.pop()
        for target, signal in reached.items():
            if any(source == now for source, _ in signal.terms) and target not in seen:
                seen.add(target)
                waiting.append(target)
    return name in seen


def _offsets(inputs: Iterable[str], cells: Mapping[str, Cells], reached: Mapping[str, Signal]) -> dict[str, int] | None:
    """Steps that each input and layer lies behind the framework; None if a loop is too fast."""
    offsets = {**{name: 0 for name in inputs}, **{name: 1 for name in cells}}
    for _ in range(len(offsets) + 1):
        changed = False
        for name, one in cells.items():
            for source, ago in reached[name].terms:
                least = offsets.get(source, 0) + 1 + one.lag - ago
                if source in offsets and offsets[name] < least:
                    offsets[name], changed = least, True
        if not changed:
            return offsets
    return None


def _project(network: Network, pre: Population, post: Population, weights: Map, delay: float, receptor: str | None) -> None:
    """Weights as lists of synapses; without a receptor the positive and the negative ones apart."""
    signs = [(receptor, weights.values != 0)] if receptor else [("excitatory", weights.values > 0), ("inhibitory", weights.values < 0)]
    for onto, mask in signs:
        if mask.any():
            part = weights.chosen(mask)
            rows = np.stack([part.cols, part.rows, part.values], axis=1)
            network.project(pre, post, FromListConnector(rows, ("weight",)), delay=delay, receptor=onto)


def _constant(network: Network, post: Population, current: np.ndarray, start: float, machine: bool) -> None:
    """A constant current, nA, from ``start`` on."""
    if start == 0.0 and "i_offset" in post.cell.parameters():
        post.set(i_offset=current)
        return
    for value in np.unique(current[current != 0]):
        amplitude = float(value)  # sPyNNaker cannot write a DCSource below 0
        source = StepCurrentSource([start], [amplitude]) if machine else DCSource(amplitude=amplitude, start=start)
        network.inject(source, post[np.flatnonzero(current == value)])
