"""What the machine changes: a network in the exact engine, in the machine's scheme of steps, and in its fixed point.

    comparison = compare(network, 1000.0)
    print(comparison)                       # rates, spikes in common, spike distance, first divergence
    comparison.plot().savefig("compare.png")

Three simulations of one description get the same input, spike for spike: what the emulator's sources send.

* *exact*: the engine, cells solved exactly in steps of ``exact_dt``;
* *scheme*: the engine in double precision, in the machine's steps and order of events (`scheme`);
* *fixed*: the emulator, the machine's arithmetic to the last bit.

What lies between the first two is the price of whole milliseconds, between the last two that of fixed point.  The machine gives a spike
the time at which its step begins, the engine that at which it ends; here all have the latter.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from neurosim import analysis, plot
from neurosim.cells.sources import SpikeSourceArray, SpikeSourcePoisson
from neurosim.connectors import OneToOneConnector
from neurosim.description import check_dt, duration_steps
from neurosim.engine import Simulation
from neurosim.errors import NetworkError, ParameterError
from neurosim.network import Network
from neurosim.result import Result, Spikes

from .emulation import Emulation
from .scheme import in_scheme

__all__ = ["Comparison", "Difference", "Divergence", "compare", "differences", "with_given_input", "with_explicit_sources"]

PAIRS = (("exact", "fixed"), ("exact", "scheme"), ("scheme", "fixed"))


class Divergence(NamedTuple):
    """The first spike of one simulation that the other does not have: time in ms, population, neuron."""

    t: float
    population: str
    neuron: int

    def __str__(self) -> str:
        return f"{self.t:g} ms ({self.population} {self.neuron})"


@dataclasses.dataclass(frozen=True)
class Difference:
    """How the spikes of one population differ between two simulations.

    Attributes
    ----------
    shared : float
        Share of all spikes of both that have a partner in the other, of the same neuron and near enough; nan without spikes.
    distance : float
        van Rossum's distance summed over neurons, over that of the same spikes if they had nothing in common: 0 for the same trains,
        about 1 for trains that have nothing to do with each other; nan without spikes.
    first : Divergence or None
        The first spike without a partner.
    """

    shared: float
    distance: float
    first: Divergence | None


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Three results and how they differ; made by :func:`compare`.

    Attributes
    ----------
    exact, scheme, fixed : Result
        With a spike's time at the end of its step.
    dt, exact_dt : float
        Step of the machine and of the exact engine, ms.
    within : float
        How far apart two spikes of one neuron count as the same, ms.
    rates : dict
        Population -> {"exact": Hz, "scheme": Hz, "fixed": Hz}.
    pairs : dict
        ("exact", "fixed") and so on -> population -> Difference.
    saturations : dict
        (population, receptor) -> inputs that were cut off at the most that a ring buffer holds.
    input : Result
        What the sources sent, in all three.
    """

    exact: Result
    scheme: Result
    fixed: Result
    dt: float
    exact_dt: float
    within: float
    rates: dict[str, dict[str, float]]
    pairs: dict[tuple[str, str], dict[str, Difference]]
    saturations: dict[tuple[str, str], int]
    input: Result

    def first(self, pair: tuple[str, str] = ("exact", "fixed")) -> Divergence | None:
        """The first spike of all populations that only one of the two has; None where they have the same."""
        return min((one.first for one in self.pairs[pair].values() if one.first is not None), default=None)

    def as_dict(self) -> dict[str, Any]:
        """The table as plain data."""
        return {
            "label": self.fixed.label, "duration": self.fixed.duration, "dt": self.dt, "exact_dt": self.exact_dt,
            "within": self.within, "rates": self.rates,
            "saturations": {f"{label}/{receptor}": count for (label, receptor), count in self.saturations.items()},
            "differences": {f"{a} - {b}": {label: dataclasses.asdict(one) for label, one in self.pairs[a, b].items()} for a, b in PAIRS},
        }

    def __str__(self) -> str:
        title = (f"{self.fixed.label}, {self.fixed.duration:g} ms: exact in steps of {self.exact_dt:g} ms,"
                 f" scheme and fixed point in steps of {self.dt:g} ms")
        head = ["population", "exact", "scheme", "fixed", *(f"{a}-{b}" for a, b in PAIRS), "distance"]
        rows = [[label, *(f"{rate:.2f}" for rate in rates.values()), *(_percent(self.pairs[pair][label].shared) for pair in PAIRS),
                 _two(self.pairs["exact", "fixed"][label].distance)] for label, rates in self.rates.items()]
        widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
        lines = ["  ".join(cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths)))
                 for row in [head, *rows]]
        told = [f"first divergence, {a} - {b}: {self.first((a, b)) or 'none'}" for a, b in PAIRS]
        lost = sum(self.saturations.values())
        if lost:
            told.append(f"{lost:,} inputs were cut off by full ring buffers: " + ", ".join("/".join(place) for place in self.saturations))
        meaning = (f"rates in Hz; share of spikes in common, within {self.within:g} ms; "
                   "van Rossum distance exact - fixed (0 same, 1 unrelated)")
        return "\n".join([title, meaning, "", *lines, "", *told])

    def plot(self, population: str | None = None, neurons: int = 40) -> Any:
        """Spikes of some neurons, how many spikes are shared in time, rates.

        Parameters
        ----------
        population : str, optional
            Of the raster; by default the one with most spikes.
        neurons : int
            Rows of the raster: of the neurons that fired, evenly spread.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return plot.comparison({"exact": self.exact, "scheme": self.scheme, "fixed": self.fixed}, self.within, population, neurons)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100.0 * share:.1f} %"


def _two(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.3f}"


def compare(network: Network, duration: float, dt: float = 1.0, exact_dt: float = 0.1, seed: int = 1, within: float = 2.0,
            tau: float = 10.0, against: Network | None = None, progress: bool = False, **settings: Any) -> Comparison:
    """Simulate a network three times with the same input, and measure what differs.

    Parameters
    ----------
    network : Network
        Its spikes are compared where it records them; of all cells if it records none.
    duration : float
        ms.
    dt : float
        Step of the machine, ms.
    exact_dt : float
        Step of the exact engine, ms; ``dt`` must be a multiple of it.
    seed : int
        Of Poisson sources.
    within : float
        How far apart two spikes of one neuron count as the same, ms.
    tau : float
        Of the spike distance, ms.
    against : Network, optional
        What the exact engine simulates, if ``network`` only stands for it: astrocytes made of cells that the machine has, say.
        Its sources must be among those of ``network``, by label; populations of the same label are compared.
    progress : bool
        Show a bar for each simulation.
    **settings
        Of the machine, as in `deployment.Settings`.

    Raises
    ------
    NetworkError
        If the network cannot be deployed (`check` says why), or the engine cannot run it.
    ParameterError
        For a step or a duration that does not fit.
    """
    check_dt(dt, "compare: dt")
    check_dt(exact_dt, "compare: exact_dt")
    if abs(dt / exact_dt - round(dt / exact_dt)) > 1e-6 or dt < exact_dt * (1 - 1e-9):
        raise ParameterError(f"compare: dt must be a multiple of exact_dt, got {dt:g} and {exact_dt:g} ms")
    for one in (network,) if against is None else (network, against):
        if not isinstance(one, Network):
            raise ParameterError(f"compare needs a Network, got {one!r:.200}")
    if duration_steps(duration, dt) < 2:
        raise ParameterError(f"compare: duration must be at least two steps of the machine ({2 * dt:g} ms), got {duration:g} ms")
    explicit = with_explicit_sources(network)
    emulation = Emulation(explicit, dt=dt, seed=seed, **settings)
    fixed = emulation.run(duration, progress=progress)
    sent = {one.label: fixed.spikes(one.label) for one in explicit.populations if one.cell.is_source}
    given = with_given_input(explicit, sent)
    meant = given if against is None else with_given_input(with_explicit_sources(against), sent)
    exact = Simulation(meant, dt=exact_dt, seed=seed).run(duration, progress=progress)
    scheme = Simulation(in_scheme(given), dt=dt, seed=seed).run(duration - dt, progress=progress)  # ticks 0 to duration/dt - 1
    labels = [one.label for one in explicit.populations
              if not one.cell.is_source and one.label in {other.label for other in meant.populations}]
    results = {"exact": _of(exact, labels, 0.0, duration), "scheme": _of(scheme, labels, dt, duration),
               "fixed": _of(fixed, labels, dt, duration)}
    rates = {label: {name: result.spikes(label).rate() for name, result in results.items()}
             for label in _recorded(results["fixed"], labels)}
    pairs = {(a, b): {label: differences(results[a].spikes(label), results[b].spikes(label), within, tau) for label in rates}
             for a, b in PAIRS}
    lost = {place: count for place, count in emulation.saturations.items() if count}
    return Comparison(**results, dt=dt, exact_dt=exact_dt, within=within, rates=rates, pairs=pairs, saturations=lost,
                      input=_of(fixed, list(sent), 0.0, duration))


def differences(a: Spikes, b: Spikes, within: float, tau: float = 10.0) -> Difference:
    """How the spikes of one population differ in two simulations; ``within`` and ``tau`` in ms."""
    of_a, of_b = a.trains(), b.trains()
    matched, total, distance, first = 0, a.count + b.count, 0.0, None
    for neuron in sorted(of_a.keys() | of_b.keys()):
        left, right = (trains.get(neuron, np.empty(0)) for trains in (of_a, of_b))
        in_a, in_b = analysis.partnered(left, right, within)
        matched += int(in_a.sum() + in_b.sum())
        distance += analysis.van_rossum(left, right, tau)
        alone = np.concatenate([left[~in_a], right[~in_b]])
        if alone.size and (first is None or alone.min() < first.t):
            first = Divergence(float(alone.min()), b.label, neuron)
    if not total:
        return Difference(math.nan, math.nan, None)
    apart = sum(analysis.van_rossum(train, np.empty(0), tau) for trains in (of_a, of_b) for train in trains.values())
    return Difference(matched / total, distance / apart, first)


# ------------------------------------------------------------------------------------------ the same input


def with_explicit_sources(network: Network) -> Network:
    """A copy in which Poisson inputs are populations joined one to one, and all sources are recorded.

    If nothing else is recorded, neither are the spikes of all cells.
    """
    twin = copy.deepcopy(network)
    inputs, twin.inputs = twin.inputs, []
    for one in inputs:
        cell = SpikeSourcePoisson(rate=one.rate, start=one.start, duration=min(one.stop - one.start, 1e10))
        sources = twin.population(one.target.size, cell, one.label)
        twin.project(sources, one.target, OneToOneConnector(), one.weight, None, one.receptor, label=one.label)
    if not any(record.variable == "spikes" for record in twin.records):
        twin.record(twin.populations, "spikes")
    for population in twin.populations:
        if population.cell.is_source:
            population.record("spikes")
    return twin


def with_given_input(network: Network, trains: dict[str, Spikes]) -> Network:
    """A copy whose sources send the spikes that are given, by the label of the population.

    Raises
    ------
    NetworkError
        If a source of the network has none.
    """
    twin = copy.deepcopy(network)
    for population in twin.populations:
        if not population.cell.is_source:
            continue
        if population.label not in trains:
            raise NetworkError(f"{network.label}: no spikes are given for the source {population.label}")
        sent = trains[population.label].trains()
        population.cell = SpikeSourceArray(spike_times=[sent.get(k, np.empty(0)) for k in range(population.size)])
    return twin


def _recorded(result: Result, labels: list[str]) -> list[str]:
    return [label for label in labels if "spikes" in result.recorded.get(label, ())]


def _of(result: Result, labels: list[str], later: float, duration: float) -> Result:
    """The result without sources, its spikes ``later`` ms later."""
    moved = {label: dataclasses.replace(result.spikes(label), times=result.spikes(label).times + later, t_stop=duration)
             for label in _recorded(result, labels)}
    return Result(label=result.label, dt=result.dt, t_start=0.0, t_stop=duration, seed=result.seed,
                  populations={label: result.populations[label] for label in labels}, spikes=moved)
