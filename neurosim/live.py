"""Reading and changing cells of a simulation that is under way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells.sources import check_dead_time
from .description import check_rate
from .errors import NetworkError, ParameterError
from .groups import SOURCE, Group
from .network import Cells, Population, PopulationView
from .parameters import Distribution, Parameter

if TYPE_CHECKING:
    from .engine import Simulation

__all__ = ["get", "set_current", "set_rate", "set_v"]


def _values(target: Cells, name: str, unit: str, value: Any, low: float = -math.inf) -> np.ndarray:
    checked = Parameter(0.0, unit, "set in a running simulation", low=low).check(target.label, name, value)
    if isinstance(checked, Distribution):
        raise ParameterError(f"{target.label}.{name} must be a number or {target.size} values, got {checked}")
    array = np.broadcast_to(np.asarray(checked, dtype=float), (target.size,)) if np.ndim(checked) == 0 else np.asarray(checked)
    if array.shape != (target.size,):
        raise ParameterError(f"{target.label}.{name} must be a number or {target.size} values, got shape {array.shape}")
    return array


def _where(sim: Simulation, target: Cells) -> tuple[Group, int, int]:
    if not isinstance(target, (Population, PopulationView)) or target.network is not sim.network:
        raise NetworkError(f"{target!r} does not belong to the simulated network")
    if target.population.label not in sim._place:
        raise NetworkError(f"{target.population.label} was added after the simulation had been made")
    group, first = sim._place[target.population.label]
    return group, first, sim._groups.index(group)


def set_rate(sim: Simulation, target: Cells, value: Any) -> None:
    group, first, g = _where(sim, target)
    if group.kind != SOURCE or not hasattr(target.cell, "rate"):
        raise ParameterError(f"{target.label}: {target.cell.name} has no rate to set")
    k, net = sim._k, sim._net
    rates = _values(target, "rate", "Hz", value, 0.0) / 1000.0
    ids = group.y + first + target.indices
    check_dead_time(f"{target.label}: {target.cell.name}", 1000.0 * rates, net.dead[ids])
    check_rate(f"{target.label}.rate", 1000.0 * float(rates.max()), sim.dt)
    changed, before = ids[net.rate[ids] != rates], net.rate.copy()
    net.rate[ids] = rates
    most = sim._multiplicity
    sim._multiplicity = np.where(most > 1, np.maximum(most, sim._most_per_step()), 1)
    from .kernels import sources
    row = net.groups[g]
    sources.change_rate(np.uint64(int(row[k.G_KEY]) % 2**64), changed, group.y, sim.t, sim._step == 0, before[changed],
                        net.rate, net.dead, net.start, net.stop, net.following, net.draws)
    for p in range(row[k.G_PART0], row[k.G_PART0] + group.n_parts):
        part = net.parts[p]
        sources.refresh(part[k.P_LO], part[k.P_HI], net.following[group.y:group.y + group.n], net.least[part[k.P_LEAST]:])


def set_current(sim: Simulation, target: Cells, value: Any) -> None:
    group, first, g = _where(sim, target)
    if group.kind == SOURCE:
        raise ParameterError(f"{target.label}: {target.cell.name} cannot receive a current")
    k, net = sim._k, sim._net
    amounts = _values(target, "current", "nA", value)
    period = group.modal.period if group.modal is not None else 1
    ids = first + target.indices
    held = np.array([sim._held.get(group.y + int(i), 0.0) for i in ids])
    k.shift_currents(k.core(net), group.kind, group.y, ids, amounts - held, net.x[net.groups[g, k.G_X]:],
                     net.tables[net.groups[g, k.G_F]:], sim._step % period)
    sim._held.update(zip((group.y + ids).tolist(), amounts.tolist(), strict=True))
    _wake(sim, group, g)


def set_v(sim: Simulation, target: Cells, value: Any) -> None:
    group, first, g = _where(sim, target)
    if "v" not in target.cell.states:
        raise ParameterError(f"{target.label}: {target.cell.name} has no state variable 'v'")
    k, net = sim._k, sim._net
    v = _values(target, "v", "mV", value)
    ids = first + target.indices
    if group.modal is None:
        assert group.step is not None
        at, states = net.groups[g, k.G_X] + ids, group.step.states
        free = net.x[at + states.index("_r") * group.n] <= 0.0 if "_r" in states else np.ones(ids.size, bool)
        net.x[(at + states.index("v") * group.n)[free]] = v[free]
        return
    now = get(sim, target, "v")
    free = ~np.isinf(net.h[group.y + ids])
    f0 = group.modal.tables[sim._step % group.modal.period]
    net.x[net.groups[g, k.G_X] + ids[free]] += ((v - now) / net.scale[group.y + ids])[free] / f0
    _wake(sim, group, g)


def _wake(sim: Simulation, group: Group, g: int) -> None:
    """The active lists must be made anew."""
    first = sim._net.groups[g, sim._k.G_PART0]
    sim._net.rebuild[first:first + group.n_parts] = sim._net.mode[g] if group.modal is not None else 0


def get(sim: Simulation, target: Cells, variable: str) -> np.ndarray:
    """A state variable of cells now; float64, shape (size,)."""
    k, net = sim._k, sim._net
    group, first, g = _where(sim, target)
    if variable not in list(target.cell.states):
        known = ", ".join(target.cell.states) or "none"
        raise ParameterError(f"{target.label}: {target.cell.name} has no state variable {variable!r}; it has {known}")
    ids = first + target.indices
    row = group.record_row(variable)
    x = net.x[net.groups[g, k.G_X]:net.groups[g, k.G_X] + group.x.size].reshape(group.x.shape)
    if row >= 0:
        return x[row, ids].copy()
    modal = group.modal
    assert modal is not None
    width, flat = modal.period + 1, x.ravel()
    frame = sim._step % modal.period
    if row == k.ROW_V:
        m = np.array([k.modal.value(group.kind, flat, group.n, i, modal.tables, frame, width) for i in ids])
        v = net.base[group.y + ids] + net.scale[group.y + ids] * m
        return np.where(np.isinf(net.h[group.y + ids]), net.reset[group.y + ids], v)
    return np.array([k.current_of(group.kind, flat, group.n, i, modal.tables, frame, width, -row - 2) for i in ids])
