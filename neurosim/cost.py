"""What running a network costs: memory, operations and energy, in the terms of NeuroBench.

`learn.cost` measures a torch module, `run_cost` a run of a `Network`; both give a `Cost`, so that a trained net and the network
made of it can be put side by side.  The terms are those of Yik et al. ("The NeuroBench framework for benchmarking neuromorphic
computing algorithms and systems", 2025); where we count otherwise than the package ``neurobench`` the attribute says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import wiring
from .errors import ParameterError

__all__ = ["ENERGIES", "Cost", "Energies", "Group", "Joint", "averaged", "run_cost"]


@dataclasses.dataclass(frozen=True)
class Energies:
    """Energy, J, of a multiply-accumulate, an accumulate, and an update of a membrane, with where the numbers are from."""

    name: str
    mac: float
    ac: float
    update: float
    source: str


_HOROWITZ = "M. Horowitz, \"Computing's energy problem\", ISSCC 2014, figure 1.1.9 (45 nm, 0.9 V); arithmetic alone, no memory: "
ENERGIES = {
    one.name: one for one in (
        Energies("float32", 4.6e-12, 0.9e-12, 4.6e-12, _HOROWITZ + "multiplication 3.7 pJ, addition 0.9 pJ; an update is one of each"),
        Energies("float16", 1.5e-12, 0.4e-12, 1.5e-12, _HOROWITZ + "multiplication 1.1 pJ, addition 0.4 pJ; an update is one of each"),
        Energies("int32", 3.2e-12, 0.1e-12, 3.2e-12, _HOROWITZ + "multiplication 3.1 pJ, addition 0.1 pJ; an update is one of each"),
        Energies("int8", 0.23e-12, 0.03e-12, 0.23e-12, _HOROWITZ + "multiplication 0.2 pJ, addition 0.03 pJ; an update is one of each"),
        Energies("loihi", float("nan"), 23.6e-12, 81e-12, "M. Davies et al., \"Loihi\", IEEE Micro 38 (2018), as others cite it: "
                 "23.6 pJ for a synaptic spike operation, 81 pJ for the update of an active neuron; it has no MAC"),
    )
}
"""By name.  Ratios mean more than sums: what moves data costs more than arithmetic, and is not in the first four."""


@dataclasses.dataclass(frozen=True)
class Joint:
    """Connections from one layer to another; operations are per sample.

    Attributes
    ----------
    name : str
    weights, nonzero : int
        Weights, and those of them that are not 0.
    dense : float
        Multiply-accumulates if every input and every weight counted.
    effective : float
        Those in which neither input nor weight is 0.
    spiking : bool
        Whether all inputs are 0, 1 or -1, so that a product is an addition (AC), none a multiplication (MAC).
    """

    name: str
    weights: int
    nonzero: int
    dense: float
    effective: float
    spiking: bool


@dataclasses.dataclass(frozen=True)
class Group:
    """Cells, or units, of a layer; numbers are per sample.

    Attributes
    ----------
    name : str
    cells : int
    sent, signals : float
        How many of its outputs are not 0, and how many there are, over all steps; 0 and 0 for cells that send no signals
        (potentials that are only read).
    updates : float
        Changes of a membrane potential: every cell at the first step, then those whose potential after a step is not that
        after the step before.  0 for units without one.
    counted : bool
        False: potentials were not known, and every cell is taken to change at every step.
    """

    name: str
    cells: int
    sent: float
    signals: float
    updates: float
    counted: bool = True


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a sample costs.

    Attributes
    ----------
    footprint : int
        Bytes of parameters and buffers.
    parameters : int
    samples, steps : int
        That were measured; steps of a sample (1 for a network without time).
    seconds : float
        Of computing, per sample; NaN if it was not measured.
    joints, groups : tuple
        By layer.
    notes : tuple of str
        What was not counted.
    """

    footprint: int
    parameters: int
    samples: int
    steps: int
    seconds: float
    joints: tuple[Joint, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()

    @property
    def connection_sparsity(self) -> float:
        """The part of weights that is 0."""
        weights = sum(one.weights for one in self.joints)
        return 1.0 - sum(one.nonzero for one in self.joints) / weights if weights else 0.0

    @property
    def activation_sparsity(self) -> float:
        """The part of signals of cells and units that is 0, over all steps and samples."""
        signals = sum(one.signals for one in self.groups)
        return 1.0 - sum(one.sent for one in self.groups) / signals if signals else 0.0

    @property
    def dense(self) -> float:
        """Synaptic operations if nothing were 0."""
        return float(sum(one.dense for one in self.joints))

    @property
    def macs(self) -> float:
        """Effective multiply-accumulates: of real numbers."""
        return float(sum(one.effective for one in self.joints if not one.spiking))

    @property
    def acs(self) -> float:
        """Effective accumulates: of spikes."""
        return float(sum(one.effective for one in self.joints if one.spiking))

    @property
    def synops(self) -> float:
        """Effective synaptic operations of both kinds."""
        return self.macs + self.acs

    @property
    def updates(self) -> float:
        """Membrane updates."""
        return float(sum(one.updates for one in self.groups))

    @property
    def rate(self) -> float:
        """Steps computed per second, all samples of a batch counting."""
        return self.steps / self.seconds if self.seconds > 0 else float("nan")

    def energy(self, table: str | Energies = "float32") -> float:
        """J: operations and membrane updates by a table of `ENERGIES`; NaN if it has no number for one that occurs."""
        if isinstance(table, str):
            if table not in ENERGIES:
                raise ParameterError(f"there is no table of energies {table!r}; there are {', '.join(ENERGIES)}")
            table = ENERGIES[table]
        terms = ((self.macs, table.mac), (self.acs, table.ac), (self.updates, table.update))
        return float(sum(count * each for count, each in terms if count))

    def neurobench(self) -> dict[str, Any]:
        """By the names, and in the nesting, of the package ``neurobench``."""
        return {"Footprint": self.footprint, "ParameterCount": self.parameters, "ConnectionSparsity": round(self.connection_sparsity, 4),
                "ActivationSparsity": self.activation_sparsity, "MembraneUpdates": self.updates,
                "SynapticOperations": {"Effective_MACs": self.macs, "Effective_ACs": self.acs, "Dense": self.dense}}

    def __str__(self) -> str:
        lines = [f"{self.parameters} parameters, {self.footprint} bytes; {self.samples} samples of {self.steps} steps",
                 f"sparsity: connections {self.connection_sparsity:.4f}, activations {self.activation_sparsity:.4f}",
                 f"per sample: dense {self.dense:.6g}, effective MACs {self.macs:.6g}, ACs {self.acs:.6g}, "
                 f"membrane updates {self.updates:.6g}"]
        if self.seconds == self.seconds:
            lines.append(f"{1e3 * self.seconds:.4g} ms per sample, {self.rate:.6g} steps per second")
        lines += [f"{name}: {self.energy(name):.3g} J" for name in ("float32", "int8")]
        return "\n".join([*lines, *self.notes])


# -------------------------------------------------------------------------------------------- a run of a network


def run_cost(network: Any, result: Any, *, steps: int | None = None, offsets: Mapping[str, int] | None = None,
             seconds: float = float("nan"), bytes_per_weight: int = 8) -> Cost:
    """The cost of a run.

    A spike costs one accumulate for each synapse that leaves its cell and has a weight; every population that projects to
    another must have recorded its spikes.  Membrane updates need ``v`` recorded at every step (what changes by less than 1e-12 of
    a layer's largest potential is rounding, no update); where it was not, all cells count at every step, and `Group.counted` says so.

    Parameters
    ----------
    network : Network
    result : Result
        Of one run of it, which is one sample.
    steps : int, optional
        Count so many steps (default: all).
    offsets : mapping, optional
        Label of a population -> the step that is its first, as in `Deployed.offsets`; default 0.
    seconds : float
        That the run took.
    bytes_per_weight : int
        For the footprint.

    Returns
    -------
    Cost
        A joint is all projections from one population to another.  Its ``weights`` are the pairs of cells that could be
        joined, so ``dense`` is what a full matrix would take; ``parameters`` are the synapses.
    """
    offsets = offsets or {}
    dt = float(result.dt)
    whole = int(round(result.duration / dt))
    window = whole + 1 if steps is None else int(steps)  # a spike of the last step has the time at which the run ends
    steps = whole if steps is None else int(steps)
    pairs: dict[tuple[str, str], list[Any]] = {}
    for projection in network.projections:
        pairs.setdefault((_label(projection.pre), _label(projection.post)), []).append(projection)
    sizes = {population.label: population.size for population in network.populations}
    spikes = {pre: _spikes(result, pre, sizes[pre], window, offsets.get(pre, 0), dt) for pre, _ in pairs}
    joints, synapses = [], 0
    for (pre, post), projections in pairs.items():
        fan = np.zeros(sizes[pre], np.int64)
        for projection in projections:
            sources = _cells(projection.pre)
            for block in wiring.synapses(projection, network.seed, dt):
                there = np.broadcast_to(np.asarray(block.weight) != 0, block.pre.shape)
                fan += np.bincount(sources[block.pre[there]], minlength=sizes[pre])
        possible = max(sizes[pre] * sizes[post], int(fan.sum()))
        synapses += int(fan.sum())
        joints.append(Joint(f"{pre} -> {post}", possible, int(fan.sum()), float(possible * steps), float((spikes[pre] * fan).sum()), True))
    groups = [_group(population, result, spikes, steps, window, offsets.get(population.label, 0), dt)
              for population in network.populations if not population.cell.is_source]
    return Cost(bytes_per_weight * synapses, synapses, 1, steps, seconds, tuple(joints), tuple(groups))


def _label(side: Any) -> str:
    return getattr(side, "population", side).label


def _cells(side: Any) -> np.ndarray:
    """The places, in their population, of the cells of a population or view."""
    return np.asarray(side.indices) if hasattr(side, "population") else np.arange(side.size)


def _spikes(result: Any, label: str, size: int, window: int, first: int, dt: float) -> np.ndarray:
    """How often each cell spiked, int64, shape (size,)."""
    found = result.spikes(label)
    at = np.rint(found.times / dt).astype(np.int64) - first
    return np.bincount(found.ids[(at >= 0) & (at < window)], minlength=size)


def _group(population: Any, result: Any, spikes: Mapping[str, np.ndarray], steps: int, window: int, first: int, dt: float) -> Group:
    label, size = population.label, population.size
    try:
        sent = spikes[label] if label in spikes else _spikes(result, label, size, window, first, dt)
    except ParameterError:
        sent = None
    try:
        trace = result.traces(label, "v")
    except ParameterError:
        trace = None
    at = np.empty(0, np.int64) if trace is None else np.rint(trace.times / dt).astype(np.int64) - first
    inside = (at >= window - steps) & (at < window)  # of a whole run, without the initial values
    counted = trace is not None and inside.sum() == steps and trace.values.shape[1] == size
    updates = size * steps
    if counted and trace is not None:
        v = trace.values[inside]
        updates = size + np.count_nonzero(np.abs(np.diff(v, axis=0)) > 1e-12 * np.abs(v).max(initial=0.0))
    signals = 0.0 if sent is None else float(size * steps)
    return Group(label, size, 0.0 if sent is None else float(sent.sum()), signals, float(updates), counted)


def averaged(costs: Sequence[Cost]) -> Cost:
    """The mean over samples of several measurements of one network."""
    if not costs:
        raise ParameterError("averaged: there is nothing to average")
    samples = sum(one.samples for one in costs)
    share = [one.samples / samples for one in costs]
    first = costs[0]

    def mean(kind: str, place: int, field: str) -> float:
        return float(sum(s * getattr(getattr(one, kind)[place], field) for s, one in zip(share, costs)))

    joints = tuple(dataclasses.replace(one, dense=mean("joints", k, "dense"), effective=mean("joints", k, "effective"),
                                       spiking=all(other.joints[k].spiking for other in costs)) for k, one in enumerate(first.joints))
    groups = tuple(dataclasses.replace(one, sent=mean("groups", k, "sent"), signals=mean("groups", k, "signals"),
                                       updates=mean("groups", k, "updates")) for k, one in enumerate(first.groups))
    seconds = float(sum(s * one.seconds for s, one in zip(share, costs)))
    return dataclasses.replace(first, samples=samples, seconds=seconds, joints=joints, groups=groups)
