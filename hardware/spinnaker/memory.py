"""SDRAM of each core, to the byte, as sPyNNaker 1!7.4.1 reckons it before it places them: a fixed part and a part of each step.

Its reckoning is of the worst case: all cores of a population count as much as a full one, parameters as if all cells differed.
Regions and their sizes: ``PopulationVertex.get_*_size``, ``SplitterPopulationVertexFixed``, ``SpikeSourcePoissonVertex``,
``ReverseIPTagMulticastSourceMachineVertex``, ``SplitterDelayVertexSlice``, and what these call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from neurosim.currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource

from .deployment import Deployment, LoadedCells, LoadedSynapses, Plastic, Sampled

__all__ = ["GATHERER", "MONITOR", "Edge", "Memory", "array_memory", "cells_memory", "delay_memory", "longest_rows", "most_spikes",
           "poisson_memory", "row_words"]

_WORD = 4
_SYSTEM = 412  # application pointer table, simulation interface
_PROFILE = 4
MONITOR, GATHERER = 488476, 477250  # of extra_monitor_support and data_speed_up_packet_gatherer

# Structures of a cell's parameters: words of those common to a core, of those of each cell, and (structures, fields) of the generator,
# which exists where all of them can be generated on the machine.
_LIF, _STRUCTS = 9, 5
_PARAMETERS = {
    "IF_curr_exp": (1, _LIF + 1 + 5, _STRUCTS),
    "IF_cond_exp": (1, _LIF + 2 + 1 + 5, _STRUCTS),
    "IF_curr_alpha": (1, _LIF + 1 + 9, _STRUCTS),
    "IF_curr_delta": (1, _LIF + 1 + 1 + 2, _STRUCTS),
    "Izhikevich": (1, 9 + 1 + 5, _STRUCTS),
    "IFCondExpStoc": (1, _LIF + 2 + 4 + 5, _STRUCTS),
    "IFCurrDeltaCa2Adaptive": (1, _LIF + 1 + 1 + 2 + 4, _STRUCTS + 1),
    "IFCurrDeltaFixedProb": (1, _LIF + 1 + 6 + 2, 0),
    "IFCurrExpCa2Adaptive": (1, _LIF + 1 + 5 + 4, _STRUCTS + 1),
    "IFTruncDelta": (1, 8 + 1 + 1 + 2, _STRUCTS),
    "IF_curr_dual_exp": (1, _LIF + 1 + 7, _STRUCTS),
    "IF_curr_exp_sEMD": (1, _LIF + 1 + 10, _STRUCTS),
    "Izhikevich_cond": (1, 9 + 2 + 1 + 5, _STRUCTS),
    "Izhikevich_cond_dual": (1, 9 + 2 + 1 + 7, _STRUCTS),
    "StocExp": (0, 8, 0),
    "StocExpStable": (0, 11, 0),
    "StocSigma": (0, 9, 0),
}


class Memory(NamedTuple):
    """Bytes: ``fixed``, and ``per_step`` for what is recorded."""

    fixed: int
    per_step: float

    def total(self, steps: int) -> int:
        """Bytes for a run of so many steps."""
        return math.ceil(self.fixed + self.per_step * steps)


class Edge(NamedTuple):
    """All synapses from one population to another: their places, the neurons of the source, its cores' size, and its delay stages."""

    pre: int
    post: int
    synapses: list[LoadedSynapses]
    neurons: int
    per_core: int
    stages: int


def row_words(synapses: int, plastic: Plastic | None) -> int:
    """Words of a row of so many synapses, without its header of 3."""
    if plastic is None or not synapses:
        return synapses
    trace = {"nearest_pair": 0, "triplet": 4}.get(plastic.timing, 2)
    header = 4 * math.ceil((4 + trace) / 4)
    return math.ceil(synapses / 2) + math.ceil((header + 2 * synapses) / 4)


def longest_rows(one: LoadedSynapses, per_core: int, slots: int) -> tuple[int, int]:
    """Most synapses of one source on one core: those within the ring buffer, and those that may come late.

    A delay of just the ring buffer's length counts for both: sPyNNaker adds the least float to it, and nothing is added.
    """
    place = one.source.astype(np.int64) << 32 | (one.target // per_core)
    return _most(place[one.delay <= slots]), _most(place[one.delay >= slots])


def _most(places: np.ndarray) -> int:
    return int(np.unique(places, return_counts=True)[1].max()) if places.size else 0


def _matrix(edges: Sequence[Edge], cells: LoadedCells, per_core: int) -> int:
    """Bytes of the synaptic matrix of a core."""
    address = 2 * _WORD
    for edge in edges:
        cores = math.ceil(edge.neurons / edge.per_core)
        for one in edge.synapses:
            for count, stages in zip(longest_rows(one, per_core, cells.slots), (1, edge.stages), strict=True):
                if count and stages:
                    row = (row_words(count, cells.plastic if one.plastic else None) + 3) * _WORD
                    for _ in range(cores):
                        address = -(-address // 16) * 16 + edge.per_core * row * stages
    return address


_TABLES = {"tau_plus": 1, "tau_minus": 1, "tau_x": 4, "tau_y": 4, "tau": 1}


def _rule(plastic: Plastic | None, types: int, dt: float) -> int:
    """Bytes of the region of a learning rule: tables of exponentials, bounds and amplitudes."""
    if plastic is None:
        return 0
    # Two entries a word, one of every `apart` steps, until the exponential is below the least trace.
    tables = sum(1 + math.ceil(math.log(2048.0) / (dt / plastic.parameters[name]) / apart / 2.0)
                 for name, apart in _TABLES.items() if name in plastic.parameters)
    return _WORD * (1 + tables + (plastic.timing == "vogels") + (6 if plastic.timing == "triplet" else 4) * types)


def _current(source: object) -> int:
    """Bytes of a current source."""
    if isinstance(source, StepCurrentSource):
        return 8 * (len(source.times) + 1) + 8
    return {DCSource: 12, ACSource: 24, NoisyCurrentSource: 36}[type(source)]


def _recorded(records: Sequence[Sampled], per_core: int) -> Memory:
    """What the recording of cells takes."""
    fixed, per_step = 0.0, 0.0
    for one in records:
        count = per_core if one.ids is None else int(np.bincount(one.ids // per_core).max())
        size = _WORD + _WORD * (math.ceil(count / 32) if one.variable == "spikes" else count)
        fixed += 8 + size - size / one.steps
        per_step += size / one.steps
    return Memory(math.ceil(fixed), math.ceil(per_step))


def cells_memory(deployment: Deployment, cells: LoadedCells, edges: Sequence[Edge], variables: int) -> Memory:
    """Of a core that holds neurons and their synapses.

    Parameters
    ----------
    edges : sequence of Edge
        That end here, in the order in which sPyNNaker meets them.
    variables : int
        How many besides spikes the model can record.
    """
    n, types = min(cells.per_core, cells.size), len(cells.receptors)
    common, each, structs = _PARAMETERS[cells.model]
    indices = 4 * math.ceil(n / 2)
    parameters = _WORD * (common + each * n)
    regions = variables + 1 + 2
    size = _SYSTEM + (4 + 12 * regions) + 8 * regions + (24 + 4 * 22) + _PROFILE  # 22: counters of provenance
    size += 5 * _WORD + _WORD * types + _WORD * n
    size += 2 * parameters
    size += _WORD if not cells.currents else (5 * _WORD + _WORD * n + sum(2 * _WORD * n + _current(one) for one, _ in cells.currents))
    size += 8 + variables * (12 + indices) + 8 + indices
    size += 8 + variables * (16 + indices) + 12 + indices
    size += 48 + 16 * structs + (common + each) * (8 + 24 * n) if structs else 0
    size += 28 + _WORD * types
    size += _rule(cells.plastic, types, deployment.settings.dt)
    size += _matrix(edges, cells, n)
    delayed = [1 + (edge.stages > 0) for edge in edges]
    size += 8 + 20 * sum(delayed) + _WORD * sum(count * len(edge.synapses) for count, edge in zip(delayed, edges, strict=True))
    size += 76 + 8 * types + _WORD * sum(delayed)
    size += 8 + sum(2 * 16 + _WORD * (math.ceil(edge.neurons / 32) + math.ceil(edge.neurons * edge.stages / 32)) for edge in edges)
    kept = _recorded([one for one in deployment.records if one.label == cells.label], n)
    return Memory(size + kept.fixed, kept.per_step)


def most_spikes(rate: float, dt: float) -> float:
    """Spikes of a Poisson source in a step that all but one of 1000 steps stay below, plus one."""
    mean = rate * dt / 1000.0
    if mean < 0.01:
        return 1.0
    count, below = 0, math.exp(-mean) if mean < 700.0 else 0.0
    if not below:
        count = max(0, int(mean - 12.0 * math.sqrt(mean)))
    while below < 0.999:
        count += 1
        below += math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
    return count + 1.0


def poisson_memory(cells: LoadedCells, n: int, recorded: bool, dt: float) -> Memory:
    """Of a core that holds n Poisson sources."""
    size = _SYSTEM + 28 + _WORD * (15 + n) + _WORD * 8 * n + _WORD * (9 * n + 2) + 16 + 8 + _PROFILE + 12 + 2 * n
    if not recorded:
        return Memory(size, 0.0)
    per_step = 8 + _WORD * math.ceil(n / 32) * most_spikes(float(cells.parameters["rate"].max()), dt)
    return Memory(size + math.ceil(5 * per_step), per_step)


def array_memory(ticks: Sequence[np.ndarray], recorded: bool) -> Memory:
    """Of a core that sends given spikes; room for the busiest step in every step."""
    every = np.concatenate([*ticks, np.zeros(0, np.int64)])
    busiest = int(np.unique(every, return_counts=True)[1].max()) if every.size else 0
    per_step = (6 * math.ceil(busiest / 61) + _WORD * busiest) * (1 + recorded)
    return Memory(_SYSTEM + 52 + 16 + 8 + 24 + per_step, float(per_step))


def delay_memory() -> Memory:
    """Of a core that holds spikes back."""
    return Memory(_SYSTEM + 36 + 24 + 4 * 12, 0.0)
