"""Reading and changing an emulation between two runs: states, rates, weights, and a network that was described anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim.errors import NetworkError, ParameterError
from neurosim.kernels import spinnaker as kernel
from neurosim.kernels import spinnaker_cells as cell_kernel
from neurosim.kernels import spinnaker_sources as source_kernel
from neurosim.network import Cells, Network, Population, PopulationView, Projection
from neurosim.result import Weights

from . import sources
from .cells import MODELS, words
from .deployment import LoadedCells
from .load import load
from .machine import set_rates

if TYPE_CHECKING:
    from .emulation import Emulation

__all__ = ["described", "follow", "get", "set_values", "weights"]

_ONE = 32768.0
_UNITS = {"v": "mV", "i_ca2": "nA", "isyn_exc": "nA", "isyn_inh": "nA", "gsyn_exc": "uS", "gsyn_inh": "uS"}


def described(network: Network) -> tuple[list[Any], ...]:
    """What an emulation is made from; two of them are equal if nothing was changed in between."""
    return ([(one, one.cell) for one in network.populations], list(network.projections), list(network.inputs), list(network.injections),
            list(network.records))


def _where(emulation: Emulation, target: Cells | str) -> tuple[int, np.ndarray]:
    """(number, cells) of a population, a view, or a label."""
    place = emulation._layout.place
    if isinstance(target, (Population, PopulationView)) and target.network is emulation.network:
        if target.population.label not in place:
            raise NetworkError(f"{target.population.label} was added after the emulation had been made: make a new one")
        return place[target.population.label], target.indices
    if isinstance(target, str) and target in place:
        return place[target], np.arange(emulation.deployment[target].size)
    raise NetworkError(f"{target!r} does not belong to the emulated network; it has {', '.join(place)}")


def _state_row(cells: LoadedCells, name: str) -> tuple[int, float]:
    """The row of a state variable, and what its value is multiplied by there; raises ParameterError."""
    if cells.is_source:
        raise ParameterError(f"{cells.label}: {cells.model} has no state variables, got {name!r}")
    model = MODELS[cells.model]
    known = {"v": (0, 1.0)}
    if model.membrane == cell_kernel.IZHIKEVICH:
        known["u"] = (1, 1.0)
    if model.adapts:
        known["i_ca2"] = (2, 1.0)
    if model.synapses != cell_kernel.ALPHA:
        letter, sign = ("g", 1.0) if model.acts_as == cell_kernel.CONDUCTANCE else ("i", -1.0)
        last = cell_kernel.STATE_SYNAPSES + len(cells.receptors) - 1
        known[f"{letter}syn_exc"] = (cell_kernel.STATE_SYNAPSES, cells.scale)
        known[f"{letter}syn_inh"] = (last, sign * cells.scale)
    if name not in known:
        raise ParameterError(f"{cells.label}: {cells.model} has no state variable {name!r} on the machine; it has {', '.join(known)}")
    return known[name]


def _state(emulation: Emulation, number: int) -> np.ndarray:
    row = emulation._m.pops[number]
    size = row[kernel.P_STATES] * row[kernel.P_N]
    return emulation._m.state[row[kernel.P_STATE]:row[kernel.P_STATE] + size].reshape(row[kernel.P_STATES], row[kernel.P_N])


def get(emulation: Emulation, target: Cells | str, variable: str) -> np.ndarray:
    """As `Emulation.get`."""
    number, ids = _where(emulation, target)
    row, factor = _state_row(emulation.deployment.cells[number], variable)
    return _state(emulation, number)[row, ids] / (_ONE * factor)


def set_values(emulation: Emulation, target: Cells | str, values: Mapping[str, Any]) -> None:
    """As `Emulation.set`."""
    number, ids = _where(emulation, target)
    cells = emulation.deployment.cells[number]
    given = {name: _values(f"{cells.label}.{name}", value, ids.size) for name, value in values.items()}
    if cells.label in emulation._poisson:
        if set(given) != {"rate"}:
            raise ParameterError(f"{cells.label}: of Poisson sources only the rate can be set in a run, got {', '.join(given)}")
        now = emulation._poisson[cells.label]
        rate = np.array(now["rate"], dtype=np.float64)
        rate[ids] = given["rate"]
        _poisson_anew(emulation, number, {**now, "rate": rate})
        return
    rows = {name: _state_row(cells, name) for name in given}
    stored = {name: words(value * rows[name][1]) for name, value in given.items()}
    for name, bits in stored.items():
        if ((bits < -(2**31)) | (bits >= 2**31)).any():
            bound, unit = 65536.0 / abs(rows[name][1]), _unit(cells, name)
            raise ParameterError(f"{cells.label}.{name} must be within {-bound:g} and {bound:g}{unit} on the machine (s16.15), got"
                                 f" {_span(given[name])}{unit}")
    for name, bits in stored.items():
        _state(emulation, number)[rows[name][0], ids] = bits


def _unit(cells: LoadedCells, name: str) -> str:
    """Of a state variable, with a space before it; empty where it has none."""
    known = cells.population.cell.states if cells.population is not None else {}
    unit = known[name].unit if name in known else _UNITS.get(name, "")
    return f" {unit}" if unit else ""


def _span(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _values(what: str, value: Any, size: int) -> np.ndarray:
    try:
        array = np.broadcast_to(np.asarray(value, dtype=np.float64), (size,))
    except (TypeError, ValueError):
        raise ParameterError(f"{what} must be a number or {size} values, got {value!r:.200}") from None
    if not np.isfinite(array).all():
        raise ParameterError(f"{what} must be finite, got {value!r:.200}")
    return array


def _poisson_anew(emulation: Emulation, number: int, parameters: dict[str, np.ndarray]) -> None:
    """Give the sources of a population new parameters; their cores' generators go on."""
    cells, m, dt = dataclasses.replace(emulation.deployment.cells[number], parameters=parameters), emulation._m, emulation.dt
    rates, spans = sources.poisson_rates(cells), sources.poisson_spans(cells, dt)
    first, cores = m.pops[number, kernel.P_CORE], m.pops[number, kernel.P_CORES]
    at = m.cores[first, 0]
    table = m.sources[at:at + cells.size]
    table[:, source_kernel.Q_START], table[:, source_kernel.Q_END] = spans
    set_rates(table, rates, m.cores[first:first + cores] - at, m.seeds[first:first + cores], dt)
    emulation._poisson[cells.label] = parameters
    emulation._worst = emulation._most()


def weights(emulation: Emulation, projection: Projection | str) -> Weights:
    """As `Emulation.weights`."""
    deployment = emulation.deployment
    for number, one in enumerate(deployment.synapses):
        if projection is one.projection or (isinstance(projection, str) and projection == one.label):
            place = emulation._layout.weights.get(number)
            now = one if place is None else dataclasses.replace(one, stored=emulation._m.weight[place])
            sign = -1.0 if one.projection is not None and one.projection.sign < 0 else 1.0
            population = deployment.cells[one.post].population
            unit = "" if population is None else population.cell.weight_unit
            return Weights(sign * deployment.described(now) + 0.0, unit, one.source.copy(), one.target.copy())
    known = ", ".join(one.label for one in deployment.synapses) or "none"
    raise NetworkError(f"{deployment.network.label} has no projection {projection!r}; it has {known}")


# ------------------------------------------------------------------------------------ a network described anew


def follow(emulation: Emulation) -> Emulation:
    """As `Emulation.follow`."""
    from .emulation import STATE
    old = emulation._m
    new = type(emulation).of(load(emulation.network, emulation.deployment.settings))
    _check_same(emulation, new)
    m = new._m
    for name in STATE:
        if name not in ("given_next", "sources", "seeds", "currents", "current_seeds"):
            getattr(m, name)[...] = getattr(old, name)
    m.seeds[...] = old.seeds
    m.sources[...] = old.sources
    new._tick, new._past, new._counts, new._speed = emulation._tick, emulation._past, emulation._counts, emulation._speed
    for number, cells in enumerate(new.deployment.cells):
        row, before = m.pops[number], old.pops[number]
        if row[kernel.P_KIND] == kernel.GIVEN:
            lo, n = row[kernel.P_GIVEN], row[kernel.P_GIVENS]
            m.given_next[number] = lo + np.searchsorted(m.given_tick[lo:lo + n], emulation._tick)
        elif row[kernel.P_KIND] == kernel.POISSON:
            loaded, now = emulation._loaded_poisson[cells.label], emulation._poisson[cells.label]
            changed = {name for name in loaded if not np.array_equal(loaded[name], cells.parameters[name])}
            if changed:
                _poisson_anew(new, number, {name: cells.parameters[name] if name in changed else now[name] for name in loaded})
            else:
                new._poisson[cells.label] = now
        else:
            _carry_currents(old, before, m, row)
    new._worst = new._most()
    new.clear()
    return new


def _check_same(old: Emulation, new: Emulation) -> None:
    def described(one: Emulation) -> list[tuple[Any, ...]]:
        return [(cells.label, cells.size, cells.model, cells.per_core) for cells in one.deployment.cells]

    if described(old) != described(new):
        raise NetworkError(f"{old.network.label} has other populations than the emulation: SpiNNaker needs a reset, make a new Emulation")
    same = ("rows", "first_row", "lags", "target", "delay", "shifts", "rule", "tables", "terms", "cores")
    loaded = np.array_equal(old._initial["weight"], new._initial["weight"])
    if not loaded or any(not np.array_equal(getattr(old._m, name), getattr(new._m, name)) for name in same):
        raise NetworkError(f"{old.network.label} has other synapses than the emulation: SpiNNaker needs a reset, make a new Emulation")


def _carry_currents(old: kernel.Machine, before: np.ndarray, new: kernel.Machine, row: np.ndarray) -> None:
    """Injected currents that are the same go on; others begin as if they had just been loaded."""
    s = source_kernel
    pairs = min(before[kernel.P_CURRENTS], row[kernel.P_CURRENTS])
    for was, now in zip(old.currents[before[kernel.P_CURRENT]:][:pairs], new.currents[row[kernel.P_CURRENT]:][:pairs], strict=True):
        cells = [m.current_cells[one[s.C_CELLS]:one[s.C_CELLS] + one[s.C_N]] for m, one in ((old, was), (new, now))]
        same = [s.C_KIND, s.C_N, s.C_START, s.C_STOP]
        if not np.array_equal(was[same], now[same]) or not np.array_equal(*cells):
            continue
        if now[s.C_KIND] == s.NOISE:
            new.current_seeds[now[s.C_C]] = old.current_seeds[was[s.C_C]]
        elif now[s.C_KIND] == s.STEPS:
            steps = [m.current_steps[one[s.C_A]:one[s.C_B]] for m, one in ((old, was), (new, now))]
            if np.array_equal(*steps):
                now[s.C_C:] = was[s.C_C:]
