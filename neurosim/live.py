"""Reading and changing cells of a simulation that is under way."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells.sources import check_dead_time
from .description import check_rate
from .errors import NetworkError, ParameterError
from .groups import ALPHA, DELTA, EXP, SOURCE, Group, Modal
from .network import Cells, Population, PopulationView
from .parameters import Distribution, Parameter

if TYPE_CHECKING:
    from .engine import Simulation

__all__ = ["Linear", "get", "set_current", "set_rate", "set_state", "to_modes", "to_states"]


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
                        net.dead[changed], net.rate, net.dead, net.start, net.stop, net.following, net.draws)
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


def set_state(sim: Simulation, target: Cells, name: str, value: Any) -> None:
    """Set a state variable; of v, refractory cells keep theirs."""
    group, first, g = _where(sim, target)
    if name not in target.cell.states:
        known = ", ".join(target.cell.states) or "none"
        raise ParameterError(f"{target.label}: {target.cell.name} has no state variable {name!r}; it has {known}")
    k, net = sim._k, sim._net
    values = _values(target, name, target.cell.states[name].unit, value)
    ids = first + target.indices
    x = net.x[net.groups[g, k.G_X]:net.groups[g, k.G_X] + group.x.size].reshape(group.x.shape)
    if group.modal is None:
        _set_stepped(sim, group, x, target, ids, name, values)
        gap = int(net.groups[g, k.G_GAP]) if name == "v" else -1
        assert group.step is not None
        for row in (sim._step % 2, 2) if gap >= 0 else ():  # what gap junctions see: a jump is no slope
            net.puts[gap + row * group.n + ids] = x[group.step.states.index("v"), ids]
        return
    free = ~np.isinf(net.h[group.y + ids]) if name == "v" else np.ones(ids.size, bool)
    ids, values, frame = ids[free], values[free], sim._step % group.modal.period
    if name == "v":  # by the difference: the synapses' part of v is not touched
        f0 = group.modal.tables[frame]
        x[0, ids] += ((values - get(sim, target, "v")[free]) / net.scale[group.y + ids]) / f0
    else:
        r = ("isyn_exc", "isyn_inh").index(name)
        now = to_states(group.modal, frame, x[:, ids])
        now.currents[r] = values
        x[:, ids] = to_modes(group.modal, frame, now)
    _wake(sim, group, g)


def _set_stepped(sim: Simulation, group: Group, x: np.ndarray, target: Cells, ids: np.ndarray, name: str, values: np.ndarray) -> None:
    """Set a state of a stepped cell, and the kernel's own rows by what they would differ by at the start."""
    population, model = target.population, group.step
    assert model is not None
    row = model.states.index(name)
    free = x[model.states.index("_r"), ids] <= 0.0 if name == "v" and "_r" in model.states else np.ones(ids.size, bool)
    first = sim._place[population.label][1]
    whole = {state: x[model.states.index(state), first:first + population.size].copy() for state in population.cell.states}
    cell: Any = sim._cells[population.label]
    p = cell.values(population.size, sim.network.seed, population.label)
    before = np.array(cell.step_model(p, whole, sim.dt).initial)
    whole[name][target.indices] = values
    change = (cell.step_model(p, whole, sim.dt).initial - before)[:, target.indices]
    for other in range(x.shape[0]):
        if other == row:
            x[row, ids[free]] = values[free]
        elif change[other].any():
            x[other, ids[free]] += change[other, free]


# ------------------------------------------------------------------------------------ modal cells


@dataclasses.dataclass
class Linear:
    """The state of linear cells at one moment, whatever frame or kernel holds it.

    Attributes
    ----------
    m : ndarray, shape (n,)
        Potential above base, in units of the modes.
    currents, slopes : ndarray, shape (receptors, n)
        Synaptic currents (nA); for alpha currents, the weights that arrived, decayed since (nA).
    """

    m: np.ndarray
    currents: np.ndarray
    slopes: np.ndarray


def _rows(modal: Modal) -> tuple[np.ndarray, int]:
    """(tables, one row for each; their width) of a modal group."""
    width = modal.period + 1
    rows = {DELTA: 2, EXP: 7, ALPHA: 9}[modal.kind]
    return modal.tables[:rows * width].reshape(rows, width), width


def _others(modal: Modal, k: int, x: np.ndarray) -> Any:
    """What the synaptic modes add to m at frame step ``k``."""
    rows, _ = _rows(modal)
    if modal.kind == EXP:
        return rows[1, k] * x[1] + rows[2, k] * x[2]
    if modal.kind == ALPHA:
        return rows[1, k] * (x[1] + k * x[2]) + rows[2, k] * (x[3] + k * x[4])
    return 0.0


def to_states(modal: Modal, k: int, x: np.ndarray) -> Linear:
    """The state of modal cells from their amplitudes ``x``, shape (modes, n), at frame step ``k``."""
    rows, width = _rows(modal)
    m = rows[0, k] * x[0] + _others(modal, k, x)
    none = np.zeros((2, x.shape[1]))
    if modal.kind == DELTA:
        return Linear(m, none[:0], none[:0])
    if modal.kind == EXP:
        return Linear(m, np.stack([x[1 + r] / rows[4 + 2 * r, k] for r in range(2)]), none)
    ends = modal.tables[9 * width:]
    currents, slopes = none, none.copy()
    for r in range(2):
        c, d = x[1 + 2 * r], x[2 + 2 * r]
        currents[r] = (c + ends[3 * r] * d + d * k) * rows[1 + r, k] * ends[3 * r + 1]
        slopes[r] = d * rows[1 + r, k] / rows[5 + 3 * r, 0]
    return Linear(m, currents, slopes)


def to_modes(modal: Modal, k: int, state: Linear) -> np.ndarray:
    """The inverse of :func:`to_states`."""
    rows, width = _rows(modal)
    x = np.zeros(({DELTA: 1, EXP: 3, ALPHA: 5}[modal.kind], state.m.size))
    for r in range(2):
        if modal.kind == EXP:
            x[1 + r] = state.currents[r] * rows[4 + 2 * r, k]
        elif modal.kind == ALPHA:
            ends = modal.tables[9 * width:]
            d = state.slopes[r] * rows[5 + 3 * r, 0] / rows[1 + r, k]
            x[2 + 2 * r] = d
            x[1 + 2 * r] = state.currents[r] / (rows[1 + r, k] * ends[3 * r + 1]) - (ends[3 * r] + k) * d
    x[0] = (state.m - _others(modal, k, x)) / rows[0, k]
    return x


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
