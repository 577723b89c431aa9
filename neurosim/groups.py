"""Groups: populations that one kernel advances together, and the arrays that it advances."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .cells.base import Cell, StepModel, refractory_steps
from .cells.lif import IF_curr_alpha, IF_curr_delta, IF_curr_exp
from .cells.sources import (
    SpikeSourceArray,
    SpikeSourceGamma,
    SpikeSourceInhGamma,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
)
from .errors import ParameterError, SimulationError
from .network import Network, Population
from .parameters import stream_key

__all__ = ["LONGEST_SLICE", "Group", "Modal", "make_groups"]

DELTA, EXP, ALPHA, STEP, SOURCE = range(5)
LONGEST_SLICE = 64  # steps between two meetings of the threads, at most; what others look back at is kept for longer
_MODAL = {IF_curr_delta: DELTA, IF_curr_exp: EXP, IF_curr_alpha: ALPHA}
_ROWS = {DELTA: 1, EXP: 3, ALPHA: 5}
_SOURCES = {SpikeSourcePoisson: 0, SpikeSourceArray: 1, SpikeSourceInhGamma: 2, SpikeSourcePoissonRefractory: 3,
            SpikeSourceGamma: 4}
_SPAN = 30.0  # a frame lasts until its fastest mode has decayed by exp(-30)
# Time constants closer than this (relative) are stepped: the modes would cancel, by 1 / x or, alpha, 1 / x**2.
_NEAR = {DELTA: 0.0, EXP: 3e-3, ALPHA: 2e-1}


@dataclasses.dataclass
class Modal:
    """The decay tables of a modal group (see `neurosim.kernels.modal`)."""

    kind: int
    period: int
    tables: np.ndarray

    @classmethod
    def of(cls, kind: int, taus: Sequence[float], dt: float) -> Modal:
        """Tables for time constants (tau_m, tau_syn_E, tau_syn_I) in ms; (tau_m,) for voltage jumps."""
        period = int(np.clip(math.floor(_SPAN * min(taus) / dt), 1, 4096))
        k = np.arange(period + 1)
        decay = [np.exp(-k * dt / tau) for tau in taus]
        tau_m = taus[0]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            rows = [decay[0]]
            if kind == DELTA:
                rows.append(1.0 / decay[0])
            elif kind == EXP:
                factors = [tau / (tau - tau_m) for tau in taus[1:]]
                rows += [factor * d for factor, d in zip(factors, decay[1:], strict=True)]
                for factor, d in zip(factors, decay[1:], strict=True):
                    rows += [-factor / decay[0], 1.0 / d]
            else:
                rows += decay[1:]
                ends = np.zeros(max(period + 1, 6))
                for r, (tau, d) in enumerate(zip(taus[1:], decay[1:], strict=True)):
                    q = math.e / (tau - tau_m)
                    p = -q * tau_m * tau / (tau - tau_m)
                    rows += [-p / decay[0], (p - q * k * dt) / d, q * dt / d]
                    ends[3 * r:3 * r + 3] = (tau_m * tau / (tau - tau_m) / dt, (tau - tau_m) / tau, tau / (math.e * dt))
                rows.append(ends)
        return cls(kind, period, np.concatenate(rows))


@dataclasses.dataclass(eq=False)
class Group:
    """Populations side by side in one set of arrays.

    Attributes
    ----------
    y : int
        The group's first neuron in the arrays over all neurons.
    part_size : int
        Neurons in each part but the last.
    """

    kind: int
    members: list[Population] = dataclasses.field(default_factory=list)
    n: int = 0
    y: int = 0
    part_size: int = 0
    n_parts: int = 1
    modal: Modal | None = None
    step: StepModel | None = None
    address: int = 0
    source: int = 0
    key: int = 0
    x: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, 0)))
    columns: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        """Labels of the members."""
        return ", ".join(p.label for p in self.members)

    @property
    def rows(self) -> int:
        """Rows of the state matrix."""
        return self.x.shape[0]

    def input_row(self, receptor: str) -> int:
        """Which input a receptor is, as the kernel counts: a state row for stepped cells, else 0 or 1."""
        if self.step is not None:
            return self.step.states.index(self.step.inputs[receptor])
        return self.members[0].cell.receptors.index(receptor)

    def record_row(self, variable: str) -> int:
        """The row of a state variable; negative for what is computed from modes."""
        if self.step is not None:
            return self.step.states.index(variable)
        return {"v": -1, "isyn_exc": -2, "isyn_inh": -3}[variable]

    def states_row(self, variable: str) -> int:
        """The row of the state matrix that holds a variable; 0 where it is computed from modes."""
        return self.step.states.index(variable) if self.step is not None else 0

    def cut(self, threads: int, dense: bool) -> None:
        """Choose the parts: one for each thread, more if rows are long and targets would not fit 16 bits."""
        self.n_parts = threads if self.n >= 64 * threads else 1
        if dense:
            self.n_parts = max(self.n_parts, threads * math.ceil(self.n / (65536 * threads)))
        size = math.ceil(self.n / self.n_parts)
        if self.n_parts > 1:
            whole = math.lcm(64, self.step.together if self.step is not None else 1)  # cache lines, and what must stay together
            size = whole * math.ceil(size / whole)
            if dense and size > 65536 >= whole:
                size = 65536 // whole * whole
            self.n_parts = math.ceil(self.n / size)
        self.part_size = size


def _key(population: Population, values: dict[str, np.ndarray], dt: float, stepped: bool) -> tuple:
    """Populations with equal keys share a group; what must be ``stepped`` is not modal."""
    cell = population.cell
    if cell.is_source:
        return ("source", population.label)
    kind = None if stepped else _modal_kind(cell, values, dt)
    if kind is not None:
        names = ["tau_m"] if kind == DELTA else ["tau_m", "tau_syn_E", "tau_syn_I"]
        return ("modal", type(cell), *(float(values[name][0]) for name in names))
    if cell.is_homogeneous():
        return ("step", type(cell), *(float(v[0]) for v in values.values()))
    return ("step", population.label)


def _modal_kind(cell: Any, values: dict[str, np.ndarray], dt: float) -> int | None:
    kind = _MODAL.get(type(cell))
    if kind is None:
        return None
    names = ["tau_m"] if kind == DELTA else ["tau_m", "tau_syn_E", "tau_syn_I"]
    if any((values[name] != values[name][0]).any() for name in names):
        return None
    if min(values[name][0] for name in names) * _SPAN < dt:  # a mode would not last for one step
        return None
    tau_m = values["tau_m"][0]
    if any(abs(values[name][0] / tau_m - 1.0) < _NEAR[kind] for name in names[1:]):
        return None
    return kind


def make_groups(network: Network, dt: float, seed: int) -> tuple[list[Group], dict[str, tuple[Group, int]]]:
    """Groups with their initial state, and where each population lies: label -> (group, first neuron)."""
    values = {p.label: p.cell.values(p.size, network.seed, p.label) for p in network.populations}
    joined = {end.population.label for one in network.projections if one.electrical for end in (one.pre, one.post)}
    by_key: dict[tuple, Group] = {}
    place: dict[str, tuple[Group, int]] = {}
    for population in network.populations:
        cell = population.cell
        key = _key(population, values[population.label], dt, population.label in joined)
        if key not in by_key:
            kind = SOURCE if key[0] == "source" else STEP if key[0] == "step" else _MODAL[type(cell)]
            by_key[key] = Group(kind, key=stream_key(seed, "group", population.label))
        group = by_key[key]
        place[population.label] = (group, group.n)
        group.members.append(population)
        group.n += population.size
    groups = list(by_key.values())
    y = 0
    for group in groups:
        group.y = y
        y += group.n
        _fill(group, values, network.seed, dt)
    return groups, place


def _fill(group: Group, values: dict[str, dict[str, np.ndarray]], seed: int, dt: float) -> None:
    if group.kind == SOURCE:
        _fill_source(group, values)
        return
    p = {name: np.concatenate([values[m.label][name] for m in group.members]) for name in values[group.members[0].label]}
    cells: list[Cell] = [m.cell for m in group.members]  # type: ignore[misc]
    each = [cell.initial_values(m.size, seed, m.label, m.initial_values, values[m.label])
            for cell, m in zip(cells, group.members, strict=True)]
    initial = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
    with np.errstate(all="ignore"):
        if group.kind == STEP:
            _fill_step(group, cells[0], p, initial, dt)
        else:
            _fill_modal(group, p, initial, dt)
    arrays = [group.x, *group.columns.values(), *([group.step.parameters] if group.step is not None else [])]
    if not all(np.isfinite(array).all() for array in arrays):
        raise ParameterError(
            f"{group.label}: {cells[0].name} has parameters or initial values too extreme for dt = {dt:g} ms"
        )


def _fill_modal(group: Group, p: dict[str, np.ndarray], initial: dict[str, np.ndarray], dt: float) -> None:
    names = ["tau_m"] if group.kind == DELTA else ["tau_m", "tau_syn_E", "tau_syn_I"]
    group.modal = Modal.of(group.kind, [float(p[name][0]) for name in names], dt)
    resistance = p["tau_m"] / p["cm"]
    one = np.ones(group.n)
    scale, gain = (one, resistance) if group.kind == DELTA else (resistance, one)
    base = p["v_rest"] + resistance * p["i_offset"]
    group.columns = {
        "base": base, "scale": scale, "gain": gain, "reset": p["v_reset"],
        "h0": (p["v_thresh"] - base) / scale, "rho": (p["v_reset"] - base) / scale,
        "refractory": refractory_steps(p["tau_refrac"], dt),
    }
    group.x = np.zeros((_ROWS[group.kind], group.n))
    group.x[0] = (initial["v"] - base) / scale
    for receptor, name in enumerate(("isyn_exc", "isyn_inh") if group.kind != DELTA else ()):
        tau, tau_m = p[names[1 + receptor]][0], p["tau_m"][0]
        factor = tau / (tau - tau_m)
        if group.kind == EXP:
            group.x[1 + receptor] = initial[name]
        else:
            group.x[1 + 2 * receptor] = factor * initial[name]
        group.x[0] -= factor * initial[name]


def _fill_step(group: Group, cell: Cell, p: dict[str, np.ndarray], initial: dict[str, np.ndarray], dt: float) -> None:
    model = cell.step_model(p, initial, dt)
    group.step = model
    group.x = np.ascontiguousarray(model.initial, dtype=np.float64)
    if model.callback is not None:
        group.address = model.callback.address
    else:
        module = importlib.import_module(f".kernels.{model.module}", __package__)
        group.address = getattr(module, model.function).address


def _fill_source(group: Group, values: dict[str, dict[str, np.ndarray]]) -> None:
    population = group.members[0]
    cell = population.cell
    try:
        group.source = _SOURCES[type(cell)]
    except KeyError:
        raise SimulationError(f"{population.label}: the engine has no source {cell.name}") from None
    p = values[population.label]
    zero = np.zeros(group.n)
    group.columns = {
        "rate": p.get("rate", p.get("beta", zero)) / 1000.0, "dead": p.get("tau_refrac", p.get("alpha", zero)),
        "start": p.get("start", zero), "stop": p.get("start", zero) + p.get("duration", zero),
    }
