"""A deployed network as the flat arrays that the emulator's kernel works on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.errors import NetworkError
from neurosim.kernels import spinnaker as k
from neurosim.kernels import spinnaker_sources as s
from neurosim.kernels import spinnaker_stdp as stdp

from . import sources
from .cells import MODELS
from .deployment import Deployment, LoadedCells, Sampled
from .learning import learning

__all__ = ["Layout", "build", "most_spikes", "records_of", "set_rates"]


@dataclasses.dataclass(eq=False)
class Layout:
    """Where the parts of a network lie in the arrays.

    Attributes
    ----------
    place : dict
        Label -> row of ``pops``.
    weights : dict
        Number of projections that learn -> place of each of its synapses among all.
    """

    place: dict[str, int]
    weights: dict[int, np.ndarray]


# Arrays in which populations lie one after the other: what they hold, and the shape of an entry.
_FLAT: dict[str, tuple[Any, tuple[int, ...]]] = {
    "state": (np.int32, ()), "par": (np.int64, ()), "ring": (np.uint16, ()), "shifts": (np.int64, ()), "rule": (np.int64, ()),
    "tables": (np.int32, ()), "terms": (np.int64, (stdp.TERMS,)), "post_times": (np.int32, (stdp.EVENTS,)),
    "post_traces": (np.int32, (stdp.EVENTS, 2)), "post_count": (np.int32, ()), "given_tick": (np.int64, ()), "given_id": (np.int32, ()),
    "cores": (np.int64, (2,)), "seeds": (np.uint32, (4,)), "sources": (np.int64, (s.Q_COLUMNS,)),
    "currents": (np.int64, (s.C_COLUMNS,)), "current_cells": (np.int32, ()), "current_steps": (np.int64, (2,)),
    "current_seeds": (np.uint32, (4,)),
}


class _Flat:
    """Arrays that are put one after the other."""

    def __init__(self, dtype: Any, shape: tuple[int, ...] = ()) -> None:
        self.parts, self.size, self.dtype, self.shape = [], 0, dtype, shape  # type: ignore[var-annotated]

    def add(self, part: np.ndarray) -> int:
        """Where it begins."""
        at = self.size
        part = np.asarray(part, dtype=self.dtype).reshape(-1, *self.shape)
        self.parts.append(part)
        self.size += part.shape[0]
        return at

    def joined(self) -> np.ndarray:
        return np.concatenate([np.empty((0, *self.shape), self.dtype), *self.parts])


def build(deployment: Deployment) -> tuple[k.Machine, Layout]:
    """The arrays at tick 0, without those of the recordings and without room for spikes."""
    flat = {name: _Flat(dtype, shape) for name, (dtype, shape) in _FLAT.items()}
    pops = np.zeros((len(deployment.cells), k.P_COLUMNS), np.int64)
    first = 0
    for row, cells in zip(pops, deployment.cells, strict=True):
        row[k.P_FIRST], row[k.P_N] = first, cells.size
        first += cells.size
        if cells.ticks is not None:
            _add_given(row, cells, flat)
        elif cells.is_source:
            _add_poisson(row, cells, deployment, flat)
        else:
            _add_cells(row, cells, deployment, flat)
    arrays = {name: one.joined() for name, one in flat.items()}
    rows, first_row, lags, target, delay, weight, learns, weights = _synapses(deployment, pops, first)
    machine = k.Machine(
        pops=pops, saturated=np.zeros(arrays["shifts"].size, np.int64), bias=np.zeros(first, np.int32),
        fired=np.empty(int(pops[:, k.P_N].max(initial=1)), np.int32), rows=rows, first_row=first_row, lags=lags, target=target,
        delay=delay, weight=weight, row_time=np.zeros(learns, np.int32), row_trace=np.zeros((learns, 2), np.int32),
        given_next=pops[:, k.P_GIVEN].copy(), records=np.empty((0, k.S_COLUMNS), np.int64), record_ids=np.empty(0, np.int32),
        samples=np.empty(0, np.int32), spikes=np.empty(0, np.int32), pointer=np.zeros(2, np.int64), **arrays)
    return machine, Layout({cells.label: number for number, cells in enumerate(deployment.cells)}, weights)


# ------------------------------------------------------------------------------------ populations


def _add_given(row: np.ndarray, cells: LoadedCells, flat: dict[str, _Flat]) -> None:
    assert cells.ticks is not None
    ids = np.repeat(np.arange(cells.size), [len(ticks) for ticks in cells.ticks])
    ticks = np.concatenate([np.empty(0, np.int64), *cells.ticks])
    order = np.argsort(ticks, kind="stable")
    row[k.P_KIND], row[k.P_GIVENS] = k.GIVEN, ticks.size
    row[k.P_GIVEN] = flat["given_tick"].add(ticks[order])
    flat["given_id"].add(ids[order])


def _add_poisson(row: np.ndarray, cells: LoadedCells, deployment: Deployment, flat: dict[str, _Flat]) -> None:
    dt = deployment.settings.dt
    bounds = sources.cores_of(cells)
    seed = deployment.settings.seeds.get(cells.label, sources.population_seed(deployment.settings.seed, cells.label))
    seeds = sources.core_seeds(seed, bounds.shape[0])
    table = np.zeros((cells.size, s.Q_COLUMNS), np.int64)
    table[:, s.Q_START], table[:, s.Q_END] = sources.poisson_spans(cells, dt)
    set_rates(table, sources.poisson_rates(cells), bounds, seeds, dt)
    row[k.P_KIND], row[k.P_CORES] = k.POISSON, bounds.shape[0]
    row[k.P_CORE] = flat["cores"].add(bounds + flat["sources"].size)
    flat["seeds"].add(seeds)
    flat["sources"].add(table)


def set_rates(table: np.ndarray, rates: np.ndarray, bounds: np.ndarray, seeds: np.ndarray, dt: float) -> None:
    """Give all sources of a population their rates (u32.32), core by core, as a core does."""
    tick, per_second = sources.seconds_per_tick(dt), sources.ticks_per_second(dt)
    for (lo, hi), seed in zip(bounds, seeds, strict=True):
        for source, rate in zip(table[lo:hi], rates[lo:hi], strict=True):
            s.set_rate(source, rate, tick, per_second, seed)


def _add_cells(row: np.ndarray, cells: LoadedCells, deployment: Deployment, flat: dict[str, _Flat]) -> None:
    model, dt, types = MODELS[cells.model], deployment.settings.dt, len(cells.receptors)
    par, state = model.encode(cells.parameters, cells.initial, dt, cells.label, cells.per_core)
    row[k.P_KIND], row[k.P_MODEL], row[k.P_TYPES], row[k.P_SLOTS] = k.CELLS, model.code, types, max(cells.slots, 1)
    row[k.P_STATE], row[k.P_STATES] = flat["state"].add(state), state.shape[0]
    row[k.P_PAR], row[k.P_PARS] = flat["par"].add(par), par.shape[0]
    row[k.P_RING] = flat["ring"].add(np.zeros(row[k.P_SLOTS] * types * cells.size, np.uint16))
    row[k.P_SHIFTS] = flat["shifts"].add(np.array(cells.shifts or (0,) * types))
    add_currents(row, cells, deployment, flat)
    if cells.plastic is not None:
        rule = learning(cells.plastic, cells, dt)
        row[k.P_LEARNS] = 1
        row[k.P_RULE], row[k.P_RULES] = flat["rule"].add(rule.rule), rule.rule.size
        row[k.P_TABLE], row[k.P_TABLES] = flat["tables"].add(rule.tables), rule.tables.size
        row[k.P_TERMS] = flat["terms"].add(rule.terms)
        times, traces, count = rule.history(cells.size)
        row[k.P_HISTORY] = flat["post_times"].add(times)
        flat["post_traces"].add(traces)
        flat["post_count"].add(count)


def add_currents(row: np.ndarray, cells: LoadedCells, deployment: Deployment, flat: dict[str, _Flat]) -> None:
    """The currents into a population; each core keeps a step current's place, and a noisy one's generator, of its own."""
    coded = []
    for number, (source, targets) in enumerate(cells.currents):
        steps: list[tuple[int, int]] = []
        kind, *numbers = sources.coded_current(source, deployment.settings.dt, steps, cells.label)
        at = flat["current_steps"].add(np.array(steps, dtype=np.int64).reshape(-1, 2)) if steps else 0
        if kind == s.STEPS:
            numbers[2:4] = at, at + len(steps)
        groups = [np.sort(np.asarray(targets))]
        if kind in (s.STEPS, s.NOISE):
            groups = [part for lo, hi in sources.cores_of(cells) if (part := groups[0][(groups[0] >= lo) & (groups[0] < hi)]).size]
        seed = sources.population_seed(deployment.settings.seed, f"{cells.label}/current {number}")
        for core, part in enumerate(groups):
            if kind == s.NOISE:
                numbers[4] = flat["current_seeds"].add(sources.core_seeds(seed, core + 1)[core])
            coded.append([kind, flat["current_cells"].add(part), part.size, *numbers])
    row[k.P_CURRENTS] = len(coded)
    row[k.P_CURRENT] = flat["currents"].add(np.array(coded, dtype=np.int64)) if coded else 0


# ------------------------------------------------------------------------------------ synapses


def _synapses(deployment: Deployment, pops: np.ndarray, cells: int) -> tuple[Any, ...]:
    """Rows and synapses, sorted by lag, source, and what the row belongs to.

    Static synapses of one source into one receptor are one row, whatever projection they are from; those that learn make a row
    for each projection and delay stage, since a row keeps a time and a trace.
    """
    groups: dict[tuple[int, int, int], int] = {}
    kinds, all_sources, lags = [], [], []
    for number, one in enumerate(deployment.synapses):
        own = groups.setdefault((one.post, one.receptor, number if one.plastic else -1), len(groups))
        kinds.append(np.full(one.source.size, own, np.int64))
        all_sources.append(one.source + pops[one.pre, k.P_FIRST])
        slots = int(pops[one.post, k.P_SLOTS])
        lags.append((one.delay.astype(np.int64) - 1) // slots * slots)

    def joined(parts: list[np.ndarray], dtype: Any) -> np.ndarray:
        return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)

    kind, source, lag = joined(kinds, np.int64), joined(all_sources, np.int64), joined(lags, np.int64)
    distinct = np.union1d([0], lag)
    stage = np.searchsorted(distinct, lag)
    key = (stage * cells + source) * max(len(groups), 1) + kind
    order = np.argsort(key, kind="stable")
    key = key[order]
    begins = np.flatnonzero(np.diff(key, prepend=-1))
    ends = np.append(begins[1:], key.size)[:begins.size]
    rows = np.zeros((begins.size, k.R_COLUMNS), np.int64)
    table = np.array(list(groups), dtype=np.int64).reshape(-1, 3)
    of_row = table[kind[order][begins]]
    rows[:, k.R_POP], rows[:, k.R_TYPE], rows[:, k.R_LO], rows[:, k.R_HI] = of_row[:, 0], of_row[:, 1], begins, ends
    plastic = of_row[:, 2] >= 0
    rows[:, k.R_LEARNS] = np.where(plastic, np.cumsum(plastic) - 1, -1)
    of_source = stage[order][begins] * cells + source[order][begins]
    first_row = np.zeros((distinct.size, cells + 1), np.int64)
    for at in range(distinct.size):
        first_row[at] = np.searchsorted(of_source, at * cells + np.arange(cells + 1))
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    starts = np.cumsum([0, *(one.source.size for one in deployment.synapses)])
    weights = {j: place[starts[j]:starts[j + 1]] for j, one in enumerate(deployment.synapses) if one.plastic}
    target = joined([one.target for one in deployment.synapses], np.int32)[order]
    delay = (joined([one.delay for one in deployment.synapses], np.int64) - lag).astype(np.int32)[order]
    weight = joined([one.stored for one in deployment.synapses], np.uint16)[order]
    return rows, first_row, distinct, target, delay, weight, int(plastic.sum()), weights


# ------------------------------------------------------------------------------------ what is recorded


def records_of(records: list[Sampled], deployment: Deployment, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ``records`` and their ``record_ids`` for all that is sampled; S_OUT is left to each run."""
    rows, ids, at = [], [np.empty(0, np.int32)], 0
    for one in records:
        cells = deployment[one.label]
        variables = MODELS[cells.model].variables
        if one.variable not in variables:
            raise NetworkError(f"{one.label}: SpiNNaker cannot record {one.variable}; of {cells.model} it records {', '.join(variables)}")
        chosen = np.arange(cells.size) if one.ids is None else np.asarray(one.ids)
        rows.append([layout.place[one.label], variables[one.variable][0], one.steps, at, chosen.size, 0])
        ids.append(chosen.astype(np.int32))
        at += chosen.size
    return np.array(rows, dtype=np.int64).reshape(-1, k.S_COLUMNS), np.concatenate(ids)


def most_spikes(deployment: Deployment, pops: np.ndarray, poisson: Mapping[str, Mapping[str, np.ndarray]]) -> int:
    """More spikes than a tick ever has: one a cell, all that are given at once, and Poisson numbers whose chance is below 1e-20.

    ``poisson``: parameters of Poisson sources by label.
    """
    total = 0.0
    for row, cells in zip(pops, deployment.cells, strict=True):
        if row[k.P_KIND] == k.CELLS:
            total += cells.size
        elif row[k.P_KIND] == k.GIVEN:
            ticks = np.concatenate([np.empty(0, np.int64), *(cells.ticks or ())])
            total += np.unique(ticks, return_counts=True)[1].max(initial=0)
        else:
            mean = float(np.sum(poisson[cells.label]["rate"])) * deployment.settings.dt / 1000.0
            total += np.ceil(2.0 * mean + 12.0 * np.sqrt(2.0 * mean) + 64.0)
    return int(total)
