"""A network in PyNN's words: plain data for `script`, what cannot be said in them, and what was changed on the way."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from neurosim import cells, currents, plasticity, wiring
from neurosim.cells.base import Cell, refractory_steps
from neurosim.connectors import AllToAllConnector, OneToOneConnector
from neurosim.network import Network, Population, Projection
from neurosim.parameters import Distribution, parameters_of
from neurosim.recording import interval_steps

__all__ = ["BUNDLES", "CELLS", "CURRENTS", "RULES", "TRANSMISSION", "Note", "Plan", "make_plan"]

# What PyNN has under the same name, with the same parameters.  Everything else is ours alone.
CELLS = (
    cells.IF_curr_exp, cells.IF_curr_alpha, cells.IF_curr_delta, cells.IF_cond_exp, cells.IF_cond_alpha, cells.EIF_cond_exp_isfa_ista,
    cells.EIF_cond_alpha_isfa_ista, cells.HH_cond_exp, cells.Izhikevich, cells.GIF_cond_exp, cells.SpikeSourceArray,
    cells.SpikeSourcePoisson, cells.SpikeSourcePoissonRefractory, cells.SpikeSourceGamma, cells.SpikeSourceInhGamma,
)
CURRENTS = (currents.DCSource, currents.StepCurrentSource, currents.ACSource, currents.NoisyCurrentSource)
TRANSMISSION = (
    plasticity.TsodyksMarkramSynapse, plasticity.SimpleStochasticSynapse, plasticity.StochasticTsodyksMarkramSynapse,
    plasticity.MultiQuantalSynapse,
)
RULES = (
    plasticity.SpikePairRule, plasticity.Vogels2011Rule, plasticity.AdditiveWeightDependence, plasticity.MultiplicativeWeightDependence,
    plasticity.AdditivePotentiationMultiplicativeDepression, plasticity.GutigWeightDependence,
)
# The exceptions to "the same parameters": what is several parameters here and one row of numbers in PyNN.
BUNDLES = {cells.GIF_cond_exp: {name: [f"{name}{k}" for k in (1, 2, 3)] for name in ("tau_eta", "tau_gamma", "a_eta", "a_gamma")}}

_EVER = 1e10  # ms: PyNN's duration of a source that does not stop
_TOLERANCE = 1e-9  # of a step: what a whole number of steps may be off


class Note(NamedTuple):
    """Something that is not as it was described: ``kind`` is rounded, listed, expanded, different or left out."""

    kind: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {self.text}"


@dataclasses.dataclass
class Plan:
    """``data`` for `script.build`; ``problems``: what PyNN has no word for; ``notes``: what was changed."""

    data: dict[str, Any]
    problems: list[str]
    notes: list[Note]

    def note(self, kind: str, name: str, text: str) -> None:
        """Add a note."""
        self.notes.append(Note(kind, name, text))


def make_plan(network: Network, dt: float, simulation: Any = None, frozen: bool = False) -> Plan:
    """Evaluate all that a network draws, and say it in PyNN's words.

    Parameters
    ----------
    dt : float
        Step, ms.
    simulation : Simulation, optional
        Take the weights that projections have there now.
    frozen : bool
        Leave learning out: weights stay as they are.
    """
    made = Plan({"label": network.label, "dt": dt, "network_seed": network.seed, "populations": [], "projections": [],
                 "currents": [], "records": []}, [], [])
    for population in network.populations:
        _population(made, network, population, dt)
    for projection in network.projections:
        _projection(made, network, projection, dt, simulation, frozen)
    _delays(made, network, dt)
    for one in network.inputs:
        _poisson(made, one)
    for injection in network.injections:
        _current(made, injection, dt)
    _records(made, network, dt)
    made.problems += [f"dopamine released by {one.source.label} at {one.projection.label}: PyNN has no neuromodulation"
                      for one in network.modulations if not frozen]
    made.problems += [f"gain of {one.projection.label}: PyNN has no astrocytes" for one in network.gains]
    for record in network.weight_records:
        made.note("left out", record.projection.label, f"weights every {record.interval:g} ms: PyNN records none over time")
    return made


# ------------------------------------------------------------------------------------------ populations


def _population(made: Plan, network: Network, population: Population, dt: float) -> None:
    cell, label, n = population.cell, population.label, population.size
    if type(cell) not in CELLS:
        known = ", ".join(one.__name__ for one in CELLS)
        made.problems.append(f"population {label}: {cell.name} is not among the models that can be exported, {known}")
        return
    values = cell.values(n, network.seed, label)
    drawn = [name for name in values if isinstance(getattr(cell, name), Distribution)]
    initial = {}
    if isinstance(cell, Cell):
        initial = cell.initial_values(n, network.seed, label, population.initial_values, values)
        drawn += [f"initial {name}" for name in initial if isinstance(population.initial_values.get(name), Distribution)]
    if drawn:
        made.note("listed", label, f"{', '.join(drawn)}: {n} drawn values as numbers")
    if "tau_refrac" in values and isinstance(cell, Cell):
        whole = refractory_steps(values["tau_refrac"], dt) * dt
        _rounded(made, label, "tau_refrac", values["tau_refrac"], whole, dt)
        values["tau_refrac"] = whole
    parameters: dict[str, Any] = {name: _plain(value) for name, value in values.items()}
    for name, parts in BUNDLES.get(type(cell), {}).items():
        rows = [parameters.pop(part) for part in parts]
        if any(isinstance(row, np.ndarray) for row in rows):
            made.problems.append(f"population {label}: {name} of {cell.name} must be the same for all cells")
        parameters[name] = {"row": rows}
    if isinstance(cell, cells.SpikeSourceArray):
        parameters["spike_times"] = _given_times(made, cell, n, label, dt)
    if isinstance(cell, cells.SpikeSourceInhGamma):
        parameters.update({name: {"row": getattr(cell, name).tolist()} for name in ("a", "b", "tbins")})
    made.data["populations"].append({
        "label": label, "size": n, "cell": cell.name, "parameters": parameters, "positions": population.positions,
        "initial": {name: _plain(value) for name, value in initial.items()},
    })


def _given_times(made: Plan, cell: Any, n: int, label: str, dt: float) -> dict[str, np.ndarray]:
    rows = cell.rows(n, label)
    times = np.concatenate([np.empty(0), *rows])
    steps = wiring.whole_steps(times, dt, least=0.0)
    _rounded(made, label, "spike times", times, steps * dt, dt)
    return {"steps": steps.astype(np.int64), "counts": np.array([row.size for row in rows])}


def _plain(values: np.ndarray) -> float | np.ndarray:
    """One number where all are the same."""
    return float(values[0]) if values.size and (values == values[0]).all() else values


def _rounded(made: Plan, name: str, what: str, given: np.ndarray, taken: np.ndarray, dt: float) -> None:
    off = np.abs(given - taken)
    bad = off > _TOLERANCE * dt * np.maximum(1.0, np.abs(given) / dt)
    if bad.any():
        made.note("rounded", name, f"{what}: {int(bad.sum())} of {given.size} to whole steps of {dt:g} ms, by at most {off.max():.4g} ms")


# ------------------------------------------------------------------------------------------ projections


def _projection(made: Plan, network: Network, one: Projection, dt: float, simulation: Any, frozen: bool) -> None:
    spec = _synapse(made, network, one, frozen)
    if one.graded:
        made.problems.append(f"projection {one.label}: {one.pre.cell.name} acts all the time, PyNN's projections act by spikes")
    if spec is None or one.graded or any(type(end.cell) not in CELLS for end in (one.pre, one.post)):
        return
    pre, post, weight, delay = wiring.arrays(one, network.seed, dt)
    pre, post = one.pre.indices[pre].astype(np.int32), one.post.indices[post].astype(np.int32)
    _told(made, network, one, weight, delay, dt)
    if simulation is not None and one.changes:
        pre, post, weight, delay = _present(made, one, simulation, post, delay, dt)
    elif (rule := spec.get("rule")) and weight.size:  # as a simulation begins
        bounds, sign = rule["weight_dependence"]["parameters"], -1.0 if one.sign < 0 else 1.0
        within = sign * np.clip(sign * weight, bounds["w_min"], bounds["w_max"])
        if (within != weight).any():
            made.note("different", one.label, f"{int((within != weight).sum())} drawn weights moved to the bounds of the rule")
        weight = within
    whole = one.pre.size == one.pre.population.size and one.post.size == one.post.population.size
    entry = {"label": one.label, "pre_population": one.pre.population.label, "post_population": one.post.population.label,
             "receptor": one.receptor, "synapse": spec, "connector": "list", "weight": _plain(weight) if weight.size else 0.0,
             "delay": None if one.electrical else _plain(delay) if delay.size else dt}
    in_order = all((side.indices[1:] > side.indices[:-1]).all() for side in (one.pre, one.post))
    same_for_all = not any(isinstance(value, np.ndarray) for value in (entry["weight"], entry["delay"], *spec["parameters"].values()))
    several = min(one.pre.size, one.post.size) > 1  # PyNN 0.13 stumbles over populations of one cell
    if whole and in_order and same_for_all and several and weight.size and one.structure is None:
        if isinstance(one.connector, AllToAllConnector):
            entry.update(connector="all to all", self_connections=one.connector.allow_self_connections)
        elif isinstance(one.connector, OneToOneConnector):
            entry.update(connector="one to one")
    if entry["connector"] == "list":
        entry.update(pre=pre, post=post)
        made.note("expanded" if not whole else "listed", one.label,
                  f"{type(one.connector).__name__} of {one.pre.label} and {one.post.label}: {pre.size} synapses, one by one")
    made.data["projections"].append(entry)


def _told(made: Plan, network: Network, one: Projection, weight: np.ndarray, delay: np.ndarray, dt: float) -> None:
    """Say what was drawn and rounded."""
    for name, given, taken, unit in (("weight", one.weight, weight, one.weight_unit), ("delay", one.delay, delay, "ms")):
        if taken.size and (isinstance(given, (Distribution, str)) or callable(given)):
            made.note("listed", one.label, f"{name} {given}: {taken.size} values as numbers, {taken.min():.6g} to {taken.max():.6g} {unit}")
    if delay.size and (one.delay is not None or "delay" in one.connector.columns()):
        _rounded(made, one.label, "delays", wiring.given_delays(one, network.seed), delay, dt)


def _present(made: Plan, one: Projection, simulation: Any, post: np.ndarray, delay: np.ndarray, dt: float) -> tuple:
    """The synapses as they are in a simulation now."""
    found = simulation.weights(one)
    made.note("different", one.label, f"{found.values.size} weights as they were at {simulation.t:g} ms")
    if one.structure is not None:
        if isinstance(_plain(delay) if delay.size else dt, np.ndarray) or not (one.delay is None or isinstance(one.delay, float)):
            made.problems.append(f"projection {one.label}: synapses came and went, and their delays differ: they are not known")
        delay = np.full(found.values.size, delay[0] if delay.size else dt)
    return found.pre.astype(np.int32), found.post.astype(np.int32), np.asarray(found.values, float), delay


def _synapse(made: Plan, network: Network, one: Projection, frozen: bool) -> dict[str, Any] | None:
    """PyNN's synapse type; None, and the problem noted, where there is none."""
    what, synapse = f"projection {one.label}", one.synapse
    for name in ("homeostasis", "structure"):
        process = getattr(one, name)
        if process is not None and frozen:
            made.note("left out", one.label, f"{type(process).__name__}: weights and synapses stay as they are")
        elif process is not None:
            made.problems.append(f"{what}: PyNN has no {name} ({type(process).__name__}); frozen=True leaves it out")
    if isinstance(synapse, plasticity.Transmission):
        return _short_term(made, network, one, synapse)
    if isinstance(synapse, plasticity.ElectricalSynapse):
        return {"type": "ElectricalSynapse", "parameters": {}}
    if isinstance(synapse, plasticity.STDPMechanism) and frozen:
        made.note("left out", one.label, f"{type(synapse.timing_dependence).__name__}: weights stay as they are")
        return _short_term(made, network, one, synapse.short_term) if synapse.short_term else {"type": "StaticSynapse", "parameters": {}}
    if isinstance(synapse, plasticity.STDPMechanism):
        return _learning(made, one, synapse)
    if synapse is not None:
        made.problems.append(f"{what}: {type(synapse).__name__} is not a synapse of PyNN")
        return None
    return {"type": "StaticSynapse", "parameters": {}}


def _short_term(made: Plan, network: Network, one: Projection, synapse: Any) -> dict[str, Any] | None:
    """What a spike sends differs from spike to spike; parameters that differ between synapses are arrays, as weights are."""
    if type(synapse) not in TRANSMISSION:
        made.problems.append(f"projection {one.label}: {type(synapse).__name__} is not a synapse of PyNN")
        return None
    names = [name for name in parameters_of(synapse) if name != "tau_psc"]
    if isinstance(synapse, plasticity.TsodyksMarkramSynapse) and not _as_active(made, one, synapse):
        return None
    given = {name: getattr(synapse, name) for name in names}
    drawn = [name for name, value in given.items() if isinstance(value, Distribution)]
    if drawn:
        made.note("listed", one.label, f"{', '.join(drawn)}: a drawn value for each synapse as numbers")
    if synapse.draws:
        made.note("different", one.label, f"{type(synapse).__name__}: each simulator draws itself which spikes are sent")
    values = {name: value if isinstance(value, float) else wiring.synapse_values(one, name, network.seed) for name, value in given.items()}
    parameters: dict[str, Any] = {name: value if isinstance(value, float) or not value.size else _plain(value)
                                  for name, value in values.items()}
    if isinstance(parameters.get("n"), float):
        parameters["n"] = int(parameters["n"])
    return {"type": type(synapse).__name__, "parameters": parameters}


def _as_active(made: Plan, one: Projection, synapse: plasticity.TsodyksMarkramSynapse) -> bool:
    """PyNN's synapse has three states, and takes the time that resources stay active from the target's synapses."""
    name = {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"}.get(one.receptor, "")
    tau = getattr(one.post.cell, name, None)
    if isinstance(tau, float) and math.isclose(tau, synapse.tau_psc, rel_tol=1e-9):
        return True
    wanted = f"tau_psc={tau:g}" if isinstance(tau, float) else f"one {name or 'time constant'} for all targets"
    made.problems.append(
        f"projection {one.label}: PyNN's TsodyksMarkramSynapse keeps resources active for {name or 'tau_syn'} of"
        f" {one.post.label}; this one has tau_psc={synapse.tau_psc:g} ms (give it {wanted})")
    return False


def _learning(made: Plan, one: Projection, synapse: Any) -> dict[str, Any] | None:
    parts = {"timing_dependence": synapse.timing_dependence, "weight_dependence": synapse.weight_dependence}
    known = ", ".join(rule.__name__ for rule in RULES)
    bad = [f"{type(part).__name__} is not a rule of PyNN (it has {known})" for part in parts.values() if type(part) not in RULES]
    if getattr(synapse.timing_dependence, "pairing", "all") != "all":
        bad.append(f"pairing={synapse.timing_dependence.pairing!r}: PyNN's SpikePairRule pairs all spikes")
    if synapse.short_term is not None:
        bad.append("learning and short-term plasticity in one synapse: PyNN has no name for it")
    if synapse.neuromodulation is not None:
        bad.append("PyNN has no neuromodulation")
    made.problems += [f"projection {one.label}: {text}; frozen=True leaves learning out" for text in bad]
    if bad:
        return None
    rule = {key: {"type": type(part).__name__, "parameters": {field.name: getattr(part, field.name) for field in dataclasses.fields(part)
                                                               if "parameter" in field.metadata}} for key, part in parts.items()}
    return {"type": "STDPMechanism", "parameters": {"dendritic_delay_fraction": synapse.dendritic_delay_fraction}, "rule": rule,
            "order": synapse.order, "negative": one.sign < 0}


def _delays(made: Plan, network: Network, dt: float) -> None:
    """The least and the greatest delay, and where nothing stands against it a least one that lets machines exchange spikes rarely."""
    delays = [one["delay"] for one in made.data["projections"] if one["delay"] is not None]
    shortest = min((float(np.min(delay)) for delay in delays), default=dt)
    firsts = [one["parameters"]["spike_times"]["steps"] for one in made.data["populations"] if "spike_times" in one["parameters"]]
    early = any(steps.size and steps.min() * dt <= shortest + 0.5 * dt for steps in firsts)
    made.data["min_delay"] = dt if early or network.injections else shortest
    made.data["max_delay"] = max((float(np.max(delay)) for delay in delays), default=dt)


# ------------------------------------------------------------------------------------------ input, currents, recordings


def _poisson(made: Plan, one: Any) -> None:
    """A source for each target, joined one to one."""
    if type(one.target.cell) not in CELLS:
        return
    n, label, delay = one.target.size, f"{one.label} (sources)", made.data["min_delay"]
    rate = one.rate if isinstance(one.rate, float) else np.asarray(one.rate, float)
    parameters = {"rate": rate, "start": one.start, "duration": _EVER if math.isinf(one.stop) else one.stop - one.start}
    made.data["populations"].append({"label": label, "size": n, "cell": "SpikeSourcePoisson", "parameters": parameters, "positions": None,
                                     "initial": {}})
    entry = {"label": one.label, "pre_population": label, "post_population": one.target.population.label, "receptor": one.receptor,
             "synapse": {"type": "StaticSynapse", "parameters": {}}, "weight": one.weight, "delay": delay, "connector": "list",
             "pre": np.arange(n, dtype=np.int32), "post": one.target.indices.astype(np.int32)}
    made.data["projections"].append(entry)
    made.note("different", one.label, f"Poisson input as {n} sources, joined one to one: each simulator draws its own trains")


def _current(made: Plan, injection: Any, dt: float) -> None:
    current, target = injection.current, injection.target
    name = f"current into {target.label}"
    if type(current) not in CURRENTS:
        made.problems.append(f"{name}: PyNN has no {type(current).__name__}")
        return
    parameters = {field.name: getattr(current, field.name) for field in dataclasses.fields(current)}
    shared = parameters.pop("shared", False)
    for key in ("start", "stop", "times"):
        if key in parameters:
            given = np.atleast_1d(parameters[key])
            whole = wiring.whole_steps(given, dt, least=0.0) * dt
            if key != "stop" or given[0] < currents.FOREVER:
                _rounded(made, name, key, given, whole, dt)
                parameters[key] = whole if key == "times" else float(whole[0])
    if isinstance(current, currents.NoisyCurrentSource):
        parameters["dt"] = float(wiring.whole_steps(max(current.dt, dt), dt)) * dt
        made.note("different", name, "each simulator draws its own noise")
    part = None if target.size == target.population.size else target.indices.tolist()
    made.data["currents"].append({"type": type(current).__name__, "parameters": parameters, "population": target.population.label,
                                  "indices": part, "shared": bool(shared)})


def _records(made: Plan, network: Network, dt: float) -> None:
    """One entry for each population and variable; recordings of the same variable are joined, as the engine does."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for record in network.records:
        population, indices = record.target.population, record.target.indices
        if type(population.cell) not in CELLS:
            continue
        key = (population.label, record.variable)
        steps = 1
        if record.interval is not None and record.variable != "spikes":
            steps = interval_steps(record.interval, dt, f"recording of {record.variable} of {record.target.label}")
        entry = merged.setdefault(key, {"population": key[0], "variable": key[1], "indices": indices, "interval": steps * dt})
        if abs(entry["interval"] - steps * dt) > _TOLERANCE:
            made.problems.append(f"{record.variable} of {population.label} is recorded at two intervals")
        entry["indices"] = np.union1d(entry["indices"], indices)
    intervals: dict[str, float] = {}
    for (label, variable), entry in merged.items():
        entry["indices"] = None if entry["indices"].size == network[label].size else entry["indices"].tolist()
        if variable != "spikes" and intervals.setdefault(label, entry["interval"]) != entry["interval"]:
            made.problems.append(
                f"recording of {variable} of {label}: PyNN samples all states of a population at one interval, not at"
                f" {intervals[label]:g} and {entry['interval']:g} ms")
    made.data["records"] = list(merged.values())
