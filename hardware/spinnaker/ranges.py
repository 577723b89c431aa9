"""Numbers that the machine cannot hold, or that become other numbers there: problems and notes of single parts of a network.

The machine computes in s16.15: 32 bits, 15 of them behind the point, between -65536 and 65536; what lies beyond wraps around.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurosim.cells import Izhikevich
from neurosim.currents import FOREVER, ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from neurosim.errors import ParameterError

from . import data_memory, limits, rules, sources
from .cells import MODELS
from .deployment import Deployment, LoadedCells, LoadedSynapses, Plastic, Problem, Settings
from .weights import resolution

__all__ = ["fixed", "of_cells", "of_current", "of_memory", "of_rule", "of_synapses", "table_entries"]

_ONE = 32768
_TAUS = ("tau_syn_E", "tau_syn_I", "tau_syn_E2")
_LOG_ONE = math.log(2048)  # STDP traces have 11 bits behind the point
_ENTRIES = 65535  # of a table of decays
_WITH = {"A_plus": ("A3_plus",), "A_minus": ("A3_minus",), "A3_plus": ("A_plus",), "A3_minus": ("A_minus",)}
_EXPECTED = 0.01  # relative change of a parameter from which it is told


def fixed(value: Any) -> np.ndarray:
    """As s16.15: whole numbers of 2**-15 in float64, halves to even, without a bound."""
    return np.rint(np.asarray(value, dtype=np.float64) * _ONE)


def _worst(values: np.ndarray, bad: np.ndarray, unit: str = "") -> str:
    """The first bad value, and whose it is where cells differ."""
    first = f"{values[bad][0]:g}" + (f" {unit}" if unit else "")
    if (values == values[0]).all():
        return first
    more = int(bad.sum()) - 1
    return f"{first} (cell {int(np.flatnonzero(bad)[0])}" + (f" and {more} more)" if more else ")")


# ------------------------------------------------------------------------------------------ cells


def of_cells(made: LoadedCells, dt: float) -> tuple[list[Problem], list[str]]:
    """Parameters and initial values of a population."""
    what, problems, notes = f"population {made.label}", [], []
    if made.is_source:
        problems = _of_source(made, what)
        return problems, [] if problems else _acting_rates(made, what, dt)
    if made.model == "IF_curr_alpha" and any(np.any(made.initial.get(name, 0.0)) for name in ("isyn_exc", "isyn_inh")):
        problems.append(Problem(what, "an initial isyn_exc or isyn_inh of IF_curr_alpha has no place on SpiNNaker", "Leave them 0"))
    for name, values in [*made.parameters.items(), *((f"initial {name}", values) for name, values in made.initial.items())]:
        scaled = values * (made.scale if "gsyn" in name else 1.0)
        bad = (fixed(scaled) >= 2**31) | (fixed(scaled) < -(2**31))
        if bad.any():
            problems.append(Problem(what, f"{name} = {_worst(values, bad)} is beyond s16.15, -65536 to 65536",
                                    f"Give {name} within that range, in other units of weight and capacitance if need be"))
    if not problems and "tau_m" in made.parameters and "cm" in made.parameters:
        problems += _of_membrane(made, what, dt)
    for name in (one for one in _TAUS if one in made.parameters):
        values = made.parameters[name]
        if (bad := fixed(values) < 1).any():
            problems.append(Problem(what, f"{name} = {_worst(values, bad, 'ms')} is 0 in s16.15", f"Give {name} >= 0.001 ms"))
        elif (bad := _steps_of(dt, values) == 0).any():
            problems.append(Problem(what, f"{name} = {_worst(values, bad, 'ms')}: dt / {name} is 0 in s16.15, and the machine then forgets"
                                          " input after one step", f"Give {name} <= {dt * _ONE:g} ms"))
        elif made.model == "IF_curr_alpha" and (bad := dt / values**2 >= 1.0).any():
            problems.append(Problem(what, f"{name} = {_worst(values, bad, 'ms')}: dt / {name}**2 must be < 1; of"
                                          f" {dt / values[bad][0] ** 2:g} SpiNNaker keeps the fraction only, so that input would be lost",
                                    f"Give {name} > {math.sqrt(dt):.3g} ms, or a shorter step"))
    if made.model == "IFCondExpStoc":
        notes.append(f"{what}: SpiNNaker's program has the sign of the hazard's exponent wrong: from v_thresh - 5 du_th on cells fire for"
                     " certain")
    if not problems:
        try:
            MODELS[made.model].encode(made.parameters, made.initial, dt, per_core=made.per_core)
            notes += _acting(made, what, dt)
        except ParameterError as error:
            problems.append(Problem(what, str(error), "Give a value that the machine's program can take"))
    return problems, notes


def _steps_of(dt: float, tau: np.ndarray) -> np.ndarray:
    """dt / tau in units of 2**-15, as the machine divides."""
    return np.floor(fixed(dt) * _ONE / np.maximum(fixed(tau), 1.0))


def _of_membrane(made: LoadedCells, what: str, dt: float) -> list[Problem]:
    """A leaky membrane: its resistance, its decay, its refractory period."""
    problems: list[Problem] = []
    tau, cm, refractory = (made.parameters[name] for name in ("tau_m", "cm", "tau_refrac"))
    for name, values, unit in (("cm", cm, "nF"), ("tau_m", tau, "ms")):
        if (bad := fixed(values) < 1).any():
            problems.append(Problem(what, f"{name} = {_worst(values, bad, unit)} is 0 in s16.15", f"Give {name} >= 0.001 {unit}"))
    if problems:
        return problems
    resistance = np.floor(fixed(tau) * _ONE / fixed(cm)) / _ONE
    if (bad := resistance >= 65536).any():
        problems.append(Problem(what, f"the resistance tau_m / cm = {_worst(tau / cm, bad, 'MOhm')} is beyond s16.15, < 65536",
                                "Give a greater cm, and weights and i_offset greater by as much"))
    drive = np.abs(made.parameters["i_offset"] * resistance + made.parameters.get("v_rest", 0.0))
    if not problems and (bad := drive >= 65536).any():
        problems.append(Problem(what, f"i_offset = {_worst(made.parameters['i_offset'], bad, 'nA')} drives the membrane towards"
                                      f" {drive[bad][0]:g} mV, beyond s16.15", "Give a smaller i_offset"))
    if (bad := _steps_of(dt, tau) == 0).any():
        problems.append(Problem(what, f"tau_m = {_worst(tau, bad, 'ms')}: dt / tau_m is 0 in s16.15, and the potential would never move",
                                f"Give tau_m <= {dt * _ONE:g} ms, or a longer step"))
    if (bad := refractory / dt >= 65536).any():
        problems.append(Problem(what, f"tau_refrac = {_worst(refractory, bad, 'ms')} is more than 65535 steps",
                                "Give a shorter tau_refrac"))
    return problems


def _acting(made: LoadedCells, what: str, dt: float) -> list[str]:
    """Parameters that are other numbers on the machine: stored with 15 bits behind the point, decays made from dt/tau with as many."""
    found, notes = MODELS[made.model].effective(made.parameters, dt), []
    pulse = made.population is not None and type(made.population.cell) is Izhikevich
    for name, values in made.parameters.items():
        if name not in found or (pulse and name in _TAUS):
            continue
        off = np.abs(found[name] - values)
        if (off > (1e-4 * dt if name == "tau_refrac" else _EXPECTED * np.abs(values))).any():
            notes.append(f"{what}: {name} of {_span(values)} acts as {_span(found[name])}")
    return notes


def _span(values: np.ndarray) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _acting_rates(made: LoadedCells, what: str, dt: float) -> list[str]:
    """Slow Poisson sources, whose mean interval is rounded down to whole steps."""
    if made.model != "SpikeSourcePoisson":
        return []
    rate, acting = made.parameters["rate"], sources.acting_rates(made, dt)
    off = np.abs(acting - rate) > _EXPECTED * rate
    return [f"{what}: rate of {_span(rate[off])} Hz acts as {_span(acting[off])} Hz"] if off.any() else []


def _of_source(made: LoadedCells, what: str) -> list[Problem]:
    if made.model != "SpikeSourcePoisson":
        return []
    rate, problems = made.parameters["rate"], []
    if (bad := rate >= 65536.0).any():
        problems.append(Problem(what, f"rate = {_worst(rate, bad, 'Hz')} is beyond u16.16, < 65536",
                                "Give lower rates to more sources"))
    if (bad := made.parameters["start"] >= 2.0**32).any():
        problems.append(Problem(what, f"start = {_worst(made.parameters['start'], bad, 'ms')} is beyond 32 bits", "Give an earlier start"))
    return problems


# ------------------------------------------------------------------------------------------ synapses


def of_synapses(one: LoadedSynapses, target: LoadedCells, overflowed: np.ndarray, settings: Settings) -> list[Problem]:
    """Weights and delays of a projection that was stored."""
    what, problems = f"projection {one.label}" if one.projection else f"Poisson input {one.label}", []
    if not one.asked.size:
        return problems
    unit, shift = _weight_unit(target), target.shifts[one.receptor]
    asked, factor = one.asked / one.factor, float(np.max(one.factor))  # as the network has them
    step = resolution(shift, target.scale) / factor
    receptor = target.receptors[one.receptor]
    most = float(asked.max())
    if float(one.asked.max()) * target.scale >= 65536.0:
        times = f" (times {target.scale * factor:g})" if target.scale * factor != 1 else ""
        problems.append(Problem(what, f"a weight of {most:g} {unit} is beyond s16.15{times}",
                                f"Give weights < {65536 / target.scale / factor:g} {unit}, with a smaller cm if need be"))
    elif overflowed.any():
        problems.append(Problem(what, f"{int(overflowed.sum())} weights up to {most:g} {unit} do not fit 16 bits of {step:.3g} {unit};"
                                      " sPyNNaker would drop their upper bits",
                                f"Give max_expected_summed_weight[{target.label!r}] > {float(one.asked.max()):g} for {receptor}, or leave"
                                " it out"))
    lost = (one.asked > 0) & (one.stored == 0) & ~overflowed
    if lost.any() and not settings.allow_zero_weights:
        worst = float(asked[lost].max())
        problems.append(Problem(what, f"{int(lost.sum())} of {one.asked.size} weights vanish: {worst:g} {unit} and less are"
                                      f" stored as 0, because what arrives at {target.label} ({receptor}) is counted in steps of"
                                      f" {step:.3g} {unit}",
                                "Make them greater or the greatest ones onto this receptor smaller, give"
                                f" max_expected_summed_weight[{target.label!r}], or accept it with allow_zero_weights=True"))
    longest = limits.max_delay(min(target.size, target.per_core), len(target.receptors))
    delay = int(one.delay.max())
    fewer = delay <= limits.max_delay(1, len(target.receptors))  # neurons on a core make room for it
    if delay > longest:
        problems.append(Problem(what, f"a delay of {delay * settings.dt:g} ms is {delay} steps; {target.label} can have at most {longest}"
                                      f" ({longest * settings.dt:g} ms)",
                                f"Shorten it, take a longer step, or put fewer neurons on a core (neurons_per_core[{target.label!r}] <"
                                f" {min(target.size, target.per_core)})" if fewer else "Shorten it, or take a longer step"))
    elif one.plastic and target.slots and (at := one.delay % target.slots == 0).any():
        steps, neurons = int(one.delay[at][0]), min(target.size, target.per_core)
        longer = f"give some other synapse onto {target.label} a delay above {target.slots * settings.dt:g} ms"
        if target.slots == limits.delay_slots(neurons, len(target.receptors)):
            longer = f"put fewer neurons on a core (neurons_per_core[{target.label!r}] < {neurons})"
        problems.append(Problem(what, f"{int(at.sum())} synapses that learn have a delay of {steps * settings.dt:g} ms, a multiple of the"
                                      f" {target.slots} steps of the ring buffer of {target.label}: sPyNNaker 7.4.1 never delivers them",
                                f"Change the delay by a step, or {longer}"))
    return problems


def _weight_unit(target: LoadedCells) -> str:
    return target.population.cell.weight_unit if target.population is not None else ""


# ------------------------------------------------------------------------------------------ learning


def table_entries(plastic: Plastic, dt: float) -> int:
    """Entries of the longest of a rule's tables of decays."""
    tables = (("tau", 0), ("tau_plus", 0), ("tau_minus", 0), ("tau_x", 2), ("tau_y", 2))
    return max(2 * math.ceil(_LOG_ONE * plastic.parameters[name] / dt / 2**shift / 2)
               for name, shift in tables if name in plastic.parameters)


def of_memory(deployment: Deployment, cells: LoadedCells) -> list[Problem]:
    """The data memory of the cores of a population, where it is known."""
    learns = cells.plastic and (cells.plastic.timing, cells.plastic.weight)
    if cells.model not in data_memory.STATE or limits.has_binary(cells.model, learns or "static") != "combined":
        return []
    try:
        problems = data_memory.of_cells(deployment, cells)
    except ValueError:  # its rule cannot be written, which `of_rule` has told
        return []
    if not problems:
        return []
    into = [one for one in deployment.synapses if deployment.cells[one.post] is cells and one.delay.size]
    longest = max((int(one.delay.max()) for one in into), default=0)
    before = cells.per_core, cells.slots
    fits = 0
    for fits in range(min(cells.size, cells.per_core) - 1, -1, -1):
        cells.per_core, cells.slots = fits, limits.ring_slots(fits, len(cells.receptors), longest)
        if not fits or data_memory.data_memory(deployment, cells).total <= data_memory.HEAP:
            break
    cells.per_core, cells.slots = before
    remedy = "Give shorter time constants or a longer step: its tables alone do not fit"
    if fits:
        remedy = f"Give neurons_per_core[{cells.label!r}] <= {fits}, shorten the longest delay, or record fewer variables"
    return [one._replace(remedy=remedy) for one in problems]


def of_rule(target: LoadedCells, dt: float) -> tuple[list[Problem], list[str]]:
    """The rule of a population's plastic synapses."""
    plastic, what = target.plastic, f"learning in {target.label}"
    assert plastic is not None
    problems, notes = [], []
    binary = limits.has_binary(target.model, (plastic.timing, plastic.weight))
    if binary is None:
        problems.append(Problem(what, f"sPyNNaker {limits.VERSION} comes without a binary for {target.model} with the {plastic.timing} rule"
                                      f" and {plastic.weight} weights", _other_binary(target.model)))
    elif binary == "split":
        notes.append(f"{what}: {target.model} with the {plastic.timing} {plastic.weight} rule needs separate cores for cells and synapses")
    if (entries := table_entries(plastic, dt)) > _ENTRIES:
        problems.append(Problem(what, f"its longest time constant needs a table of {entries} decays, and a table has room for {_ENTRIES}",
                                "Give shorter time constants, or a longer step"))
    stored = rules.amplitudes(plastic, target.scale)
    steps = {name: resolution(shift) for name, shift in zip(target.receptors, target.shifts, strict=True)}
    for name, value in stored.items():
        given = plastic.parameters[name]
        small = f"{name} = {given:g} is {'' if math.isclose(value, given) else f'{value:.3g} on the machine, '}0 in s16.15"
        if not -65536 <= value < 65536:
            problems.append(Problem(what, f"{name} = {given:g} is {value:g} on the machine, beyond s16.15",
                                    f"Give a smaller {name} or w_max"))
        elif value and not fixed(value) and any(fixed(stored.get(other, 0.0)) for other in _WITH.get(name, ())):
            notes.append(f"{what}: {small}")
        elif value and not fixed(value):
            problems.append(Problem(what, f"{small}: nothing would be learnt by it",
                                    f"Give {name} such that it is at least {rules.STEP:.3g} there, or 0"))
    if plastic.timing == "triplet":
        notes.append(f"{what}: the slow traces, of tau_x and tau_y, decay in steps of four ticks, {4 * dt:g} ms")
    elif plastic.timing == "vogels":
        notes.append(f"{what}: w_min is ignored, a weight that falls below 0 wraps around to the greatest, and before a target's first"
                     " spike its sources do not depress")
    elif plastic.timing == "nearest_pair":
        notes.append(f"{what}: before its first spike a source counts as if it had fired at tick 0")
    worst = max(steps.values(), default=0.0)
    if plastic.weight == "additive" and not problems and 0 < stored["A_plus"] < worst:
        notes.append(f"{what}: one pairing adds at most {stored['A_plus'] / target.scale:.3g}, less than the step of stored weights,"
                     f" {worst / target.scale:.3g}: single pairings are lost, and depression always takes a whole step")
    return problems, notes


def _other_binary(model: str) -> str:
    """What there is instead."""
    there = [f"{timing} {weight}" for timing, weight in (key for key in limits.DYNAMICS if isinstance(key, tuple))
             if limits.has_binary(model, (timing, weight))]
    return f"Use {', '.join(there)}" if there else "Use static synapses, or IF_curr_exp"


# ------------------------------------------------------------------------------------------ currents

_UNSIGNED = {DCSource: ("amplitude",), ACSource: ("amplitude", "offset", "phase"), NoisyCurrentSource: ("mean",)}
_POSITIVE = {
    DCSource: "Use a StepCurrentSource with times (start, stop) and amplitudes (amplitude, 0)",
    ACSource: "Give a phase of 180 degrees more for a negative amplitude, phases from 0 to 360, and a StepCurrentSource for the offset",
    NoisyCurrentSource: "Give a mean of 0, and a StepCurrentSource for the mean",
}


def of_current(current: Any, what: str, dt: float) -> tuple[list[Problem], list[str]]:
    """An injected current."""
    problems, notes = [], []
    sizes = {DCSource: ("amplitude",), ACSource: ("amplitude", "offset"), StepCurrentSource: ("amplitudes",),
             NoisyCurrentSource: ("mean", "stdev")}
    for name in sizes.get(type(current), ()):
        values = np.atleast_1d(np.asarray(getattr(current, name), dtype=np.float64))
        bad = (fixed(values) >= 2**31) | (fixed(values) < -(2**31))
        if bad.any():
            problems.append(Problem(what, f"{name} = {values[bad][0]:g} nA is beyond s16.15, -65536 to 65536", f"Give a smaller {name}"))
        elif (lost := (values != 0) & (fixed(values) == 0)).any():
            problems.append(Problem(what, f"{name} = {values[lost][0]:g} nA is 0 in s16.15",
                                    f"Give {name} of at least {rules.STEP:.3g} nA"))
    if isinstance(current, ACSource):
        for name, unit, factor in (("frequency", "Hz", 2e-3 * math.pi), ("phase", "degrees", math.pi / 180.0)):
            if not -(2**31) <= fixed(getattr(current, name) * factor) < 2**31:
                problems.append(Problem(what, f"{name} = {getattr(current, name):g} {unit} is beyond s16.15, where it is counted in radians"
                                              f"{' per ms' if unit == 'Hz' else ''}", f"Give a smaller {name}"))
    for name in _UNSIGNED.get(type(current), ()):
        if getattr(current, name) < 0:
            problems.append(Problem(what, f"{name} = {getattr(current, name):g}: sPyNNaker 7.4.1 cannot write a negative {name} of"
                                          f" {type(current).__name__}", _POSITIVE[type(current)]))
    if isinstance(current, ACSource) and dt != 1.0 and current.frequency:
        notes.append(f"{what}: sPyNNaker counts its time in steps, not in ms: {current.frequency:g} Hz are {current.frequency / dt:g} Hz on"
                     f" the machine (give frequency={current.frequency * dt:g} there)")
    if isinstance(current, ACSource) and current.amplitude:
        notes.append(f"{what}: in a step where the sine is 1 to 15 bits, less than 0.3 degrees before its top, the machine takes -1 for"
                     " it: the current has the wrong sign for that step")
    given = [np.atleast_1d(np.asarray(getattr(current, name, 0.0), dtype=np.float64)) for name in ("start", "stop", "times")]
    times = np.concatenate(given)
    times = times[times < FOREVER]
    early = times - np.floor(times / dt + 1e-9) * dt
    if (early > 1e-6 * dt).any():
        notes.append(f"{what}: its times are moved back to whole steps, by at most {early.max():.3g} ms")
    if isinstance(current, StepCurrentSource):
        ticks = np.floor(np.asarray(current.times, dtype=np.float64) / dt + 1e-9)
        if (together := int((np.diff(ticks) == 0).sum())):
            notes.append(f"{what}: {together} of its changes fall into the step of the one before; each cell that asks takes one, so that"
                         " several in a step are spread over cells and later steps")
    if isinstance(current, NoisyCurrentSource) and abs(current.dt - dt) > 1e-9 * dt:
        notes.append(f"{what}: noise has a new value every step of {dt:g} ms, not every {current.dt:g} ms")
    return problems, notes
