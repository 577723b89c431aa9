"""What a deployed network asks of the machine while it runs: how full ring buffers get, and how much of a step cores need.

Estimates, from rates: those of Poisson sources and of given spike times are known, all other cells count with
``Settings.spikes_per_second``.  Time is reckoned from instructions, which were counted in the shipped binaries, and an assumed mean of
`CYCLES` for each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from neurosim.parameters import _gamma_cdf

from . import limits
from .cells import MODELS
from .deployment import Deployment, LoadedCells, LoadedSynapses, Plastic
from .learning import RULES
from .weights import resolution, store

__all__ = ["CYCLES", "Load", "Ring", "Traces", "ample", "loads", "rates", "rings", "traces"]

_FULL = 0xFFFF
_FAR, _ENOUGH, _HIGH = 8.0, 6.5, 3.0  # standard deviations


# Of an instruction, on average: 1.26 in the update of neurons, 1.24 in rows of synapses, 1.58 where packets are received
# (tests/spinnaker_cycles.py, by the table of the ARM9E-S).
CYCLES = 1.4
# Instructions of sPyNNaker 1!7.4.1 that belong to no single cell or rule: each step of a core; each packet with the row of synapses that
# it brings, and each static synapse in it; each source of a Poisson core that sends less or more than 0.01 spikes a step, and each
# of its spikes; each spike of a core with given times.
STEP, PACKET, SYNAPSE = 1000.0, 452.0, 25.0
POISSON_STEP, SLOW_SOURCE, FAST_SOURCE, POISSON_SPIKE = 380.0, 40.0, 88.0, 20.0
ARRAY_STEP, ARRAY_SPIKE = 360.0, 130.0
_SLOW = 0.01  # spikes a step
_REMEMBERED = 16  # spikes of a target


class Ring(NamedTuple):
    """The ring buffers of one synapse type of a population.

    Attributes
    ----------
    label, receptor : str
    shift : int
    step, room : float
        Resolution, and the greatest input of a step, in the network's unit of weight.
    at_once : float
        Greatest input if each source sends one spike, and all arrive in one step.
    mean, deviation : float
        Of the input of a step, at the expected rates, of the cell that gets most.
    per_second : float
        Expected number of additions in a second of the network, to all cells, that are cut because a buffer is full (what
        sPyNNaker counts as saturations).
    """

    label: str
    receptor: str
    shift: int
    step: float
    room: float
    at_once: float
    mean: float
    deviation: float
    per_second: float


class Load(NamedTuple):
    """The busiest core of a population.

    Attributes
    ----------
    label : str
    cells : int
        On that core.
    rows, synapses : float
        Rows of synapses, and synapses, that it adds in a step, on average.
    cells_part, total : float
        Of a step: what cells need, and what all needs; more than 1 cannot be in real time.
    """

    label: str
    cells: int
    rows: float
    synapses: float
    cells_part: float
    total: float


def rates(cells: LoadedCells, dt: float, spikes_per_second: float) -> np.ndarray:
    """Expected rate of each cell, Hz."""
    if cells.model == "SpikeSourcePoisson":
        return cells.parameters["rate"]
    if cells.ticks is not None:
        last = max((int(row[-1]) + 1 for row in cells.ticks if row.size), default=1)
        return np.array([row.size for row in cells.ticks]) * (1000.0 / (last * dt))
    return np.full(cells.size, float(spikes_per_second))


class Traces(NamedTuple):
    """How great the traces of a population's learning rule get, in spikes.

    Attributes
    ----------
    label : str
    source, target : float
        The greatest of its sources and of its cells.
    """

    label: str
    source: float
    target: float


def traces(deployment: Deployment) -> list[Traces]:
    """The greatest traces of each population that learns: those of given spike times as they are, else three deviations above the mean."""
    settings, found = deployment.settings, []
    for k, cells in enumerate(deployment.cells):
        into = [one for one in deployment.synapses if one.post == k and one.plastic and one.source.size]
        if cells.plastic is None or not into:
            continue
        before, after = _longest(cells.plastic, "tau_plus", "tau_x"), _longest(cells.plastic, "tau_minus", "tau_y")
        senders = [(deployment.cells[one.pre], np.unique(one.source)) for one in into]
        found.append(Traces(cells.label, max(_trace(one, ids, before, settings.dt, settings.spikes_per_second) for one, ids in senders),
                            _trace(cells, np.arange(cells.size), after, settings.dt, settings.spikes_per_second)))
    return found


def _longest(plastic: Plastic, *names: str) -> float:
    """The longest time constant of one side, ms; 0 where only one spike counts."""
    return 0.0 if plastic.timing == "nearest_pair" else max(plastic.parameters.get(name, 0.0) for name in ("tau", *names))


def _trace(cells: LoadedCells, ids: np.ndarray, tau: float, dt: float, spikes_per_second: float) -> float:
    """The greatest trace that spikes of cells leave."""
    if tau == 0.0:
        return 1.0
    if cells.ticks is not None:
        return max((_peak(cells.ticks[k], tau / dt) for k in ids), default=0.0)
    mean = float(rates(cells, dt, spikes_per_second)[ids].max()) * tau / 1000.0
    return 1.0 + mean + _HIGH * math.sqrt(0.5 * mean) if mean else 0.0


def _peak(ticks: np.ndarray, tau: float) -> float:
    """The greatest trace that these spikes leave, each 1; ``tau`` in ticks."""
    most = now = 0.0
    for decay in np.exp(np.diff(ticks, prepend=ticks[:1]) / -tau):
        now = now * decay + 1.0
        most = max(most, now)
    return most


def _most(deployment: Deployment, one: LoadedSynapses) -> np.ndarray:
    """Stored weights, of those that learn the greatest that they may become."""
    post = deployment.cells[one.post]
    if not one.plastic or post.plastic is None:
        return one.stored.astype(np.float64)
    top, _ = store(np.array([post.plastic.parameters["w_max"]]), post.shifts[one.receptor], post.scale)
    return np.maximum(one.stored, top[0]).astype(np.float64)


def rings(deployment: Deployment) -> list[Ring]:
    """The ring buffers of each population and receptor onto which something projects."""
    settings, found = deployment.settings, []
    per_step = [rates(one, settings.dt, settings.spikes_per_second) * settings.dt / 1000.0 for one in deployment.cells]
    for k, cells in enumerate(deployment.cells):
        for receptor, name in enumerate(cells.receptors):
            into = [one for one in deployment.synapses if one.post == k and one.receptor == receptor and one.target.size]
            if not into:
                continue
            once, mean, square = np.zeros(cells.size), np.zeros(cells.size), np.zeros(cells.size)
            for one in into:
                weight, often = _most(deployment, one), per_step[one.pre][one.source]
                once += np.bincount(one.target, weight, cells.size)
                mean += np.bincount(one.target, weight * often, cells.size)
                square += np.bincount(one.target, weight**2 * often, cells.size)
            step = resolution(cells.shifts[receptor], cells.scale) / float(np.max(into[0].factor))
            poisson = any(deployment.cells[one.pre].model == "SpikeSourcePoisson" for one in into)
            often = _cut(mean, square, once, poisson) * 1000.0 / settings.dt
            busiest = int(np.argmax(mean))
            found.append(Ring(cells.label, name, cells.shifts[receptor], step, _FULL * step, float(once.max()) * step,
                              float(mean[busiest]) * step, math.sqrt(square[busiest]) * step, often))
    return found


def ample(deployment: Deployment, label: str, found: list[Ring]) -> tuple[float, ...]:
    """What `Settings.max_expected_summed_weight` may be for ring buffers that are never full at the expected rates."""
    cells = deployment[label]
    given = [0.75 * 2.0**shift / cells.scale for shift in cells.shifts]  # leaves the shift as it is
    for one in (one for one in found if one.label == label):
        kind = cells.receptors.index(one.receptor)
        need = (one.mean + _ENOUGH * one.deviation) * (resolution(one.shift, cells.scale) / one.step)
        if one.per_second > 0.0:  # ring buffers hold twice the greatest input that is told
            given[kind] = max(given[kind], 0.5 * need)
    return tuple(float(f"{one:.3g}") for one in given)


def _cut(mean: np.ndarray, square: np.ndarray, once: np.ndarray, poisson: bool) -> float:
    """Expected number of additions of a step, to all cells, that find a buffer full.

    Inputs are taken for a Poisson number of equal ones with this mean and variance: N of mean m, of which k find room, and
    E[max(N - k, 0)] = m P(N >= k) - k P(N > k).
    """
    at_risk = (square > 0) & (mean + _FAR * np.sqrt(square) > _FULL)
    if not poisson:
        at_risk &= once > _FULL
    total = 0.0
    for (average, variance), count in zip(*np.unique(np.column_stack([mean, square])[at_risk], axis=0, return_counts=True), strict=True):
        m, k = average**2 / variance, math.floor(_FULL * average / variance)
        total += count * max(m * (_gamma_cdf(k, m) if k else 1.0) - k * _gamma_cdf(k + 1.0, m), 0.0)
    return total


# ------------------------------------------------------------------------------------------ time


def loads(deployment: Deployment) -> list[Load]:
    """The busiest core of each population, sources included."""
    settings, found = deployment.settings, []
    cycles = limits.MACHINE.clock * settings.dt * 1e-3 * settings.time_scale_factor / CYCLES
    per_step = [rates(one, settings.dt, settings.spikes_per_second) * settings.dt / 1000.0 for one in deployment.cells]
    for k, cells in enumerate(deployment.cells):
        cores = -(-cells.size // cells.per_core)
        where = np.arange(cells.size) // cells.per_core
        own = _of_cells(cells, per_step[k], where, cores)
        rows, synapses, spent = np.zeros(cores), np.zeros(cores), own.copy()
        for one in (one for one in deployment.synapses if one.post == k and one.target.size):
            core, often = where[one.target], per_step[one.pre]
            pairs = np.unique(one.source.astype(np.int64) * cores + core)
            packets = np.bincount(pairs % cores, often[pairs // cores], cores)
            events = np.bincount(core, often[one.source], cores)
            row, synapse, post = _of_rule(cells) if one.plastic else (0.0, SYNAPSE, 0.0)
            # Spikes of the target since the source's last one; a source that never fires reads none.
            heard = np.minimum(per_step[k][one.target], _REMEMBERED * often[one.source]) if post else np.zeros(1)
            learnt = np.bincount(core, heard, cores) if post else 0.0
            rows, synapses = rows + packets, synapses + events
            spent += packets * (PACKET + row) + events * synapse + learnt * post
        busiest = int(np.argmax(spent))
        found.append(Load(cells.label, int(np.bincount(where)[busiest]), float(rows[busiest]), float(synapses[busiest]),
                          float(own[busiest] / cycles), float(spent[busiest] / cycles)))
    return found


def _of_cells(cells: LoadedCells, per_step: np.ndarray, where: np.ndarray, cores: int) -> np.ndarray:
    """Instructions of each core in a step without what arrives, shape (cores,)."""
    sent = np.bincount(where, per_step, cores)
    if cells.ticks is not None:
        return ARRAY_STEP + ARRAY_SPIKE * sent
    if cells.is_source:
        return POISSON_STEP + np.bincount(where, np.where(per_step > _SLOW, FAST_SOURCE, SLOW_SOURCE), cores) + POISSON_SPIKE * sent
    step, given, spike = MODELS[cells.model].instructions
    return STEP + np.bincount(where, minlength=cores) * float(step + given * len(cells.receptors)) + spike * sent


def _of_rule(cells: LoadedCells) -> tuple[float, float, float]:
    """Instructions for a row of synapses that learn, a synapse, and a spike of its target since the last."""
    plastic = cells.plastic
    known = RULES.get((plastic.timing, plastic.weight)) if plastic else None
    counted = (known or RULES["pair", "additive"]).instructions
    return float(counted.row), float(counted.synapse), float(counted.post)
