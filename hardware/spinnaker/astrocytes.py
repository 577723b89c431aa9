"""Neurons with astrocytes (`IF_curr_delta_astro`), expressed with cells that SpiNNaker has.

The machine has no calcium that cells share.  Here an astrocyte is a handful of slowly integrating neurons, and gain is inhibition
that lets go:

    cells of a group ──► astrocyte, steps 0 .. m-1      the synaptic current decays with tau_c: it is the calcium c; step k fires
         ▲    ▲               │        │                while c exceeds c_k, at most every `period`
         │    └── excites ────┘        │ inhibits
         │        (threshold)          ▼
         │                        brakes, one a step    fire at every tick unless inhibited
         │                             │ inhibit
         │      gain                   ▼
         └───────────────────────── relays, one a step and sender ◄── senders

The threshold's fall ``kappa tanh c`` becomes a depolarisation by m steps, each kappa (v_thresh - v_rest)/m high on average, of
which the k-th begins where tanh c = k/m and is complete where it is (k + 1)/m.  The gain ``1 + g_astro c`` becomes m copies of each
synapse, of which the k-th passes while c > (k + 1/2) c_max/m: the gain ends at 1 + g_astro c_max.
A relay sends in the tick in which it is reached, so a copy takes the same time as its synapse if that has two ticks or more.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np

from neurosim import wiring
from neurosim.cells.astrocyte import IF_curr_delta_astro
from neurosim.cells.lif import IF_curr_delta, IF_curr_exp
from neurosim.connectors import FromListConnector
from neurosim.errors import NetworkError, ParameterError
from neurosim.network import Network, Population, Projection

__all__ = ["with_machine_astrocytes"]

_CALCIUM = 100.0  # nA for c = 1: far above the tau_c/dt units of 2**-15 nA below which a slow decay of the machine is linear
_THETA = 10.0  # mV between rest and threshold of astrocyte and brake
_STEEP = 2.0  # thresholds by which the drive grows within the first step: with tau_m = period/2 eight steps follow tanh c to within 0.06


@dataclasses.dataclass(frozen=True)
class _Astrocytes:
    """What stands for the astrocytes of one population."""

    cell: Any  # IF_curr_delta_astro
    cells: Population
    groups: int
    size: int
    steps: int
    period: float  # ms


def with_machine_astrocytes(network: Network, steps: int = 8, period: float = 10.0, c_max: float = 2.0, dt: float = 1.0) -> Network:
    """A copy of a network in which `IF_curr_delta_astro` is made of `IF_curr_delta`, slow `IF_curr_exp`, brakes and relays.

    Parameters
    ----------
    network : Network
        It stays as it is.
    steps : int
        Neurons of an astrocyte, at least 1; more of them follow calcium more smoothly.
    period : float
        Shortest interval between spikes of such a neuron, ms, at least 2 steps.
    c_max : float
        Calcium at which the gain is complete.
    dt : float
        Step of the machine, ms.

    Returns
    -------
    Network
        With the populations of before under their labels, and ``LABEL astrocyte``, ``LABEL brake`` and ``LABEL relay ...`` beside them.

    Raises
    ------
    NetworkError
        If there is no such population, or parameters differ from cell to cell.
    ParameterError
        For numbers out of range.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or not 1 <= steps <= 64:
        raise ParameterError(f"with_machine_astrocytes: steps must be a whole number from 1 to 64, got {steps!r}")
    if not 2 * dt <= period < 1000.0:
        raise ParameterError(f"with_machine_astrocytes: period must be >= 2 steps ({2 * dt:g} ms) and < 1000 ms, got {period!r}")
    if not 0.0 < c_max <= 100.0:
        raise ParameterError(f"with_machine_astrocytes: c_max must be > 0 and <= 100, got {c_max!r}")
    twin = copy.deepcopy(network)
    found = [one for one in twin.populations if isinstance(one.cell, IF_curr_delta_astro)]
    if not found:
        raise NetworkError(f"{network.label} has no population of IF_curr_delta_astro")
    for population in found:
        cell = population.cell
        differing = [name for name in cell.parameters() if not isinstance(getattr(cell, name), float)]
        if differing:
            raise NetworkError(f"{population.label}: {differing[0]} of {cell.name} must be one number for all cells, "
                               "to be made of other cells")
        common = {name: getattr(cell, name) for name in IF_curr_delta.parameters()}
        inward = [one for one in twin.projections if one.post.population is population]
        calcium = population.initial_values.pop("c", 0.0)
        population.cell = IF_curr_delta(**common)
        size = int(cell.group_size)
        unit = _Astrocytes(cell, population, population.size // size, size, int(steps), float(period))
        astrocytes = _astrocytes(twin, unit, c_max, dt, calcium)
        if cell.kappa:
            _threshold(twin, unit, astrocytes["threshold"], dt)
        if cell.g_astro:
            _gain(twin, unit, astrocytes["gain"], inward, c_max, dt)
    return twin


def _astrocytes(net: Network, unit: _Astrocytes, c_max: float, dt: float, calcium: Any) -> dict[str, Population]:
    """The slow neurons of all groups, steps side by side, and the projection that makes calcium."""
    made = {}
    m, label = unit.steps, unit.cells.label
    begins = {"threshold": (np.arctanh(np.arange(m) / m), unit.cell.kappa), "gain": ((np.arange(m) + 0.5) * c_max / m, unit.cell.g_astro)}
    for kind, (onset, wanted) in begins.items():
        if not wanted:
            continue
        width = np.diff(np.append(onset, np.arctanh((m - 0.5) / m) if kind == "threshold" else onset[-1] + c_max / m))
        resistance = _STEEP * _THETA / (_CALCIUM * width[0])  # MOhm; all steps rise as steeply as the first
        tau = 0.5 * unit.period
        cell = IF_curr_exp(v_rest=0.0, v_reset=0.0, v_thresh=_THETA, tau_m=tau, cm=tau / resistance, tau_refrac=unit.period - dt,
                           tau_syn_E=unit.cell.tau_c, i_offset=np.tile(_THETA / resistance - _CALCIUM * onset, unit.groups))
        astrocyte = net.population(unit.groups * m, cell, f"{label} astrocyte ({kind})")
        start = np.asarray(calcium, dtype=float) if not hasattr(calcium, "draw") else None
        if start is None:
            raise NetworkError(f"{label}: initial c must be a number or an array, to be made of other cells")
        first = np.broadcast_to(start, (unit.cells.size,))[::unit.size]
        astrocyte.initialize(v=0.0, isyn_exc=_CALCIUM * np.repeat(first, m))
        pairs = np.array([(i, g * m + k) for g in range(unit.groups) for i in range(g * unit.size, (g + 1) * unit.size) for k in range(m)])
        net.project(unit.cells, astrocyte, FromListConnector(pairs), weight=_CALCIUM * unit.cell.delta_c / unit.size, delay=dt,
                    label=f"{label}: calcium ({kind})")
        made[kind] = astrocyte
    return made


def _threshold(net: Network, unit: _Astrocytes, astrocyte: Population, dt: float) -> None:
    """Each step depolarises its group: jumps every `period` whose mean is a share of what the threshold would fall."""
    cell, m = unit.cell, unit.steps
    height = cell.kappa * (cell.v_thresh - cell.v_rest) / m
    jump = height * -math.expm1(-dt / cell.tau_m) * unit.period / dt
    pairs = np.array([(g * m + k, i) for g in range(unit.groups) for k in range(m) for i in range(g * unit.size, (g + 1) * unit.size)])
    net.project(astrocyte, unit.cells, FromListConnector(pairs), weight=abs(jump) * (1 if jump > 0 else -1), delay=dt,
                receptor="excitatory" if jump > 0 else "inhibitory", label=f"{unit.cells.label}: threshold")


def _gain(net: Network, unit: _Astrocytes, astrocyte: Population, inward: list[Projection], c_max: float, dt: float) -> None:
    """Brakes that the astrocyte silences, and copies of all synapses through relays that they stop."""
    label, m = unit.cells.label, unit.steps
    silent = IF_curr_exp(v_rest=0.0, v_reset=0.0, v_thresh=_THETA, tau_m=dt, cm=dt, tau_refrac=0.0, tau_syn_I=2.0 * unit.period,
                         i_offset=4.0 * _THETA)
    brake = net.population(astrocyte.size, silent, f"{label} brake", initial_values={"v": 0.0})
    one_each = np.column_stack([np.arange(astrocyte.size)] * 2)
    net.project(astrocyte, brake, FromListConnector(one_each), weight=-8.0 * _THETA, delay=dt, receptor="inhibitory",
                label=f"{label}: release")
    for one in inward:
        pre, post, weight, delay = wiring.arrays(one, net.seed, dt)
        source, group = one.pre.indices[pre], one.post.indices[post] // unit.size
        used, place = np.unique(source.astype(np.int64) * unit.groups + group, return_inverse=True)
        relay_cell = IF_curr_delta(v_rest=0.0, v_reset=0.0, v_thresh=_THETA, tau_m=0.2 * dt, cm=1.0, tau_refrac=0.0)
        relay = net.population(used.size * m, relay_cell, f"{label} relay of {one.label}", initial_values={"v": 0.0})
        relays = np.arange(used.size * m)
        net.project(one.pre.population, relay, FromListConnector(np.column_stack([used[relays // m] // unit.groups, relays])),
                    weight=2.0 * _THETA, delay=dt, label=f"{one.label}: to relays")
        brakes = (used[relays // m] % unit.groups) * m + relays % m
        net.project(brake, relay, FromListConnector(np.column_stack([brakes, relays])), weight=-4.0 * _THETA, delay=dt,
                    receptor="inhibitory", label=f"{one.label}: brakes")
        rows = [np.column_stack([place * m + k, one.post.indices[post], weight * unit.cell.g_astro * c_max / m, np.maximum(delay - dt, dt)])
                for k in range(m)]
        net.project(relay, unit.cells, FromListConnector(np.concatenate(rows), column_names=("weight", "delay")), receptor=one.receptor,
                    label=f"{one.label}: gain")
