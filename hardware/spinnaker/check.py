"""What stands between a network and the board, and what the board makes of it: ``print(check(network))`` before touching one."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from neurosim.errors import NetworkError
from neurosim.network import Network, Projection
from neurosim.plasticity import STDPMechanism

from . import limits, report, rules
from .deployment import Deployment, LoadedSynapses, Problem, Settings
from .estimates import Load, Ring, ample, loads, rings, traces
from .load import load
from .loading import together
from .placement import PLANNED_STEPS, Placement, place
from .weights import resolution

__all__ = ["Report", "Rule", "Stored", "Told", "check", "stored"]

_FULL_TIME = 1.0  # of a step
_SELDOM = 1e-3  # times a second
_HIGH = 3.0  # standard deviations
_WRAPPED = 16.0  # what a trace of 16 bits, 11 of them behind the point and one the sign, has no room for


class Told(NamedTuple):
    """A population on the board.

    Attributes
    ----------
    label, model : str
    cells, per_core, cores : int
    sdram : int
        Bytes of its cores for a run of 1000 steps.
    slots, stages : int
        Steps of its ring buffers; stages of the delay extension for what it sends late.
    """

    label: str
    model: str
    cells: int
    per_core: int
    cores: int
    sdram: int
    slots: int
    stages: int


class Stored(NamedTuple):
    """Weights and delays of a projection, as asked for and as stored; weights are magnitudes in the network's unit.

    Attributes
    ----------
    label, unit : str
    synapses : int
    least, greatest : float
        Weights asked for.
    distinct : int
        Different weights asked for.
    step : float
        Difference of neighbouring weights on the machine.
    worst, relative : float
        Greatest error of a weight, and greatest error of one in proportion to it (of those that are not 0).
    zeros : int
        Weights that are asked for, and stored as 0.
    shortest, longest : float
        Delays on the machine, ms.
    moved : int
        Delays that are rounded to whole steps.
    off : float
        By how much at most, ms.
    plastic : bool
    """

    label: str
    unit: str
    synapses: int
    least: float
    greatest: float
    distinct: int
    step: float
    worst: float
    relative: float
    zeros: int
    shortest: float
    longest: float
    moved: int
    off: float
    plastic: bool


class Rule(NamedTuple):
    """What learns in a population: sPyNNaker's rule with its parameters, and those that are other numbers than the network's."""

    label: str
    timing: str
    weight: str
    parameters: dict[str, float]
    rescaled: dict[str, tuple[float, float]]


@dataclasses.dataclass(eq=False)
class Report:
    """What `check` found; print it.

    Attributes
    ----------
    deployment : Deployment
    placement : Placement
    problems : list of Problem
        Why the network cannot be deployed; empty if it can.
    notes : list of str
        What is different on the machine.
    populations : list of Told
    projections : list of Stored
    rules : list of Rule
    rings : list of Ring
    loads : list of Load
    """

    deployment: Deployment
    placement: Placement
    problems: list[Problem]
    notes: list[str]
    populations: list[Told]
    projections: list[Stored]
    rules: list[Rule]
    rings: list[Ring]
    loads: list[Load]

    @property
    def ok(self) -> bool:
        """Whether the network can be deployed."""
        return not self.problems

    def __str__(self) -> str:
        return report.text(self)

    def weights(self, projection: Projection | str) -> dict[str, np.ndarray]:
        """Every synapse of a projection, or of a Poisson input by its label.

        Returns
        -------
        dict of ndarray, shape (k,)
            ``source``, ``target`` (cells of the whole populations), ``asked`` and ``value`` (magnitudes in the network's unit),
            ``stored`` (uint16), ``error`` (value - asked), ``asked_delay`` and ``delay`` (ms).

        Raises
        ------
        NetworkError
            If it is not among what is deployed.
        """
        label = projection if isinstance(projection, str) else projection.label
        for one in self.deployment.synapses:
            if one.label == label:
                value, asked = self.deployment.described(one), one.asked / one.factor
                return {"source": one.source, "target": one.target, "asked": asked, "stored": one.stored, "value": value,
                        "error": value - asked, "asked_delay": one.asked_delay, "delay": one.delay * self.deployment.settings.dt}
        known = ", ".join(one.label for one in self.deployment.synapses) or "none"
        raise NetworkError(f"no projection {label!r} is deployed; there are {known}")

    def as_dict(self, weights: bool = False) -> dict[str, Any]:
        """All of it as plain data that can be written as JSON.

        Parameters
        ----------
        weights : bool
            Every synapse too.
        """
        placed, settings = self.placement, self.deployment.settings
        found: dict[str, Any] = {
            "network": self.deployment.network.label, "sPyNNaker": limits.VERSION, "ok": self.ok, "settings": dataclasses.asdict(settings),
            "problems": [one._asdict() for one in self.problems], "notes": list(self.notes),
            "machine": {"cores": placed.cores, "chips": placed.chips, "boards": placed.boards, "exact": placed.exact,
                        "sdram": placed.sdram(), "steps": PLANNED_STEPS, "routing_entries": placed.entries},
        }
        for name in ("populations", "projections", "rules", "rings", "loads"):
            found[name] = [one._asdict() for one in getattr(self, name)]
        if weights:
            found["weights"] = {one.label: {key: value.tolist() for key, value in self.weights(one.label).items()}
                                for one in self.deployment.synapses}
        return _plain(found)


def check(network: Network | Deployment, settings: Settings | None = None, **overrides: Any) -> Report:
    """Look at a network as SpiNNaker would have it.

    Parameters
    ----------
    network : Network or Deployment
        What `neurosim.hardware.spinnaker.load.load` gave is taken as it is.
    settings : Settings, optional
    **overrides
        Fields of `Settings`, such as ``dt=0.5``, ``neurons_per_core={"exc": 64}`` or ``allow_zero_weights=True``.

    Returns
    -------
    Report
        ``print(report)`` for a terminal; ``report.ok``, ``report.problems``, ``report.as_dict()`` for a program.

    Raises
    ------
    ParameterError
        For what is no network, and for settings that have no meaning.
    """
    deployment = network if isinstance(network, Deployment) else load(network, settings, **overrides)
    placement = place(deployment)
    found, busy = rings(deployment), loads(deployment)
    problems = [*_empty(deployment), *deployment.problems, *placement.problems, *_full(deployment, found), *_late(busy, deployment)]
    notes = [*deployment.notes, *_crowded(deployment, found), *_unsteady(deployment, found), *_traced(deployment),
             *_routed(placement)]
    return Report(deployment, placement, problems, together(notes), _populations(deployment, placement),
                  [stored(deployment, one) for one in deployment.synapses], _rules(deployment), found, busy)


def _empty(deployment: Deployment) -> list[Problem]:
    """A network with nothing to run."""
    if deployment.network.populations:
        return []
    return [Problem(f"network {deployment.network.label}", "it has no population: there is nothing to run", "Add a population")]


def _populations(deployment: Deployment, placement: Placement) -> list[Told]:
    told = []
    for one in deployment.cells:
        vertices = placement.of(one.label)
        told.append(Told(one.label, one.model, one.size, one.per_core, len(vertices), sum(v.memory.total(PLANNED_STEPS) for v in vertices),
                         one.slots, placement.stages.get(one.label, 0)))
    return told


def stored(deployment: Deployment, one: LoadedSynapses) -> Stored:
    """Weights and delays of a projection, or of a Poisson input."""
    post, dt = deployment.cells[one.post], deployment.settings.dt
    unit = post.population.cell.weight_unit if post.population is not None else ""
    step = resolution(post.shifts[one.receptor], post.scale) / float(np.max(one.factor))
    if not one.asked.size:
        return Stored(one.label, unit, 0, 0.0, 0.0, 0, step, 0.0, 0.0, 0, 0.0, 0.0, 0, 0.0, one.plastic)
    asked, value = one.asked / one.factor, deployment.described(one)
    error, late = np.abs(value - asked), np.abs(one.delay * dt - one.asked_delay)
    some = asked > 0
    relative = float((error[some] / asked[some]).max()) if some.any() else 0.0
    return Stored(one.label, unit, asked.size, float(asked.min()), float(asked.max()), np.unique(asked).size, step, float(error.max()),
                  relative, int((some & (one.stored == 0)).sum()), float(one.delay.min() * dt), float(one.delay.max() * dt),
                  int((late > 1e-9 * dt).sum()), float(late.max()), one.plastic)


def _rules(deployment: Deployment) -> list[Rule]:
    told = []
    for k, cells in enumerate(deployment.cells):
        if cells.plastic is None:
            continue
        given = next((one.projection for one in deployment.synapses if one.post == k and one.plastic), None)
        if given is not None and isinstance(given.synapse, STDPMechanism):
            told.append(Rule(cells.label, cells.plastic.timing, cells.plastic.weight, dict(cells.plastic.parameters),
                             rules.rescaled(given.synapse, cells.plastic)))
    return told


def _full(deployment: Deployment, found: list[Ring]) -> list[Problem]:
    """Ring buffers that are full all the time."""
    return [Problem(f"population {one.label}", f"its {one.receptor} input is {one.mean:.4g} in a step on average, and its ring buffers have"
                                               f" room for {one.room:.4g}",
                    f"Give {_room(deployment, one.label, found)}, or spikes_per_second if cells fire less")
            for one in found if one.mean > one.room]


def _crowded(deployment: Deployment, found: list[Ring]) -> list[str]:
    return [f"population {one.label}: {one.receptor} ring buffers have room for {one.room:.4g} in a step, one spike of each source"
            f" makes {one.at_once:.4g}, and about {one.per_second:.2g} times a second a spike finds them full: what is over is lost"
            f" ({_room(deployment, one.label, found)} makes room)"
            for one in found if one.mean <= one.room and one.per_second > _SELDOM]


def _room(deployment: Deployment, label: str, found: list[Ring]) -> str:
    return f"max_expected_summed_weight={{{label!r}: {ample(deployment, label, found)}}}"


def _unsteady(deployment: Deployment, found: list[Ring]) -> list[str]:
    """Conductances that move the potential too far in one step: the machine holds the current that they make for all of it."""
    notes, dt = [], deployment.settings.dt
    for cells in deployment.cells:
        if cells.scale == 1.0 or "cm" not in cells.parameters:
            continue
        total = 0.0
        for one in (one for one in found if one.label == cells.label):
            name = {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"}[one.receptor]
            steps = float(cells.parameters[name].max()) / dt  # that an input lasts
            total += min(one.mean, one.room) * steps + _HIGH * one.deviation * math.sqrt(0.5 * steps)
        reached = total * dt / float(cells.parameters["cm"].min())
        if reached > 1.0:
            notes.append(f"population {cells.label}: a conductance of {total:.3g} uS, to be expected at times, moves v in one step by"
                         f" {reached:.2g} times its distance from the reversal potential: above 1 v overshoots, above 2 it swings ever"
                         " further (take a shorter step)")
    return notes


def _traced(deployment: Deployment) -> list[str]:
    """Traces of learning rules beyond what the machine has room for, or great enough to push weights over their bounds."""
    notes = []
    for one in traces(deployment):
        plastic, what = deployment[one.label].plastic, f"learning in {one.label}"
        assert plastic is not None
        sides = (("sources", one.source, "A_plus", "w_max"), ("targets", one.target, "A_minus", "w_min"))
        if far := [f"{most:.3g} ({name})" for name, most, _, _ in sides if most >= _WRAPPED]:
            notes.append(f"{what}: at the expected rates traces reach {' and '.join(far)} spikes within a time constant, and wrap around"
                         f" at {_WRAPPED:g}, so that potentiation becomes depression and the other way round (give shorter time constants,"
                         " or spikes_per_second if cells fire less)")
        over = [f"{bound} ({amplitude} = {plastic.parameters[amplitude]:g} times a trace of {most:.3g})"
                for _, most, amplitude, bound in sides if plastic.parameters.get(amplitude, 0.0) * most > 1.0]
        if plastic.weight == "multiplicative" and over:
            notes.append(f"{what}: multiplicative weights are not cut at their bounds, and a step can go beyond {' and '.join(over)}")
    return notes


def _routed(placement: Placement) -> list[str]:
    """Routing tables that only fit if they can be compressed."""
    most = limits.MACHINE.router_entries
    if placement.entries <= most:
        return []
    return [f"routing: a chip may need {placement.entries} entries, one for each core that sends, and its table has {most}: it maps if"
            " sPyNNaker can compress them (more neurons_per_core make fewer cores)"]


def _late(busy: list[Load], deployment: Deployment) -> list[Problem]:
    """Cores that do not get through a step in time."""
    late = sorted((one for one in busy if one.total > _FULL_TIME), key=lambda one: -one.total)
    if not late:
        return []
    factor = math.ceil(late[0].total * deployment.settings.time_scale_factor)
    told = ", ".join(f"{one.label} {one.total:.3g}" for one in late[:4]) + (f" and {len(late) - 4} more" if len(late) > 4 else "")
    worst = late[0]
    rows = f", {worst.rows:.0f} rows with {worst.synapses:.0f} synapses in a step" if worst.rows else ""
    return [Problem("real time", f"cores would need more than a step for each step, by estimate: {told} ({worst.cells} cells on a"
                                 f" core{rows})",
                    f"Run it slower with time_scale_factor={factor}, put fewer neurons on a core (neurons_per_core), or give"
                    " spikes_per_second if cells fire less")]


def _plain(value: Any) -> Any:
    """Numbers and containers of the standard library."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value
