"""From a `Network` to a `Deployment`: all that is drawn evaluated, views expanded, numbers as the machine will have them.

Nothing raises on the way: what stands in the way is collected, and the rest is loaded.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from neurosim import cells, wiring
from neurosim.cells.base import Cell, Model
from neurosim.currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from neurosim.errors import NeurosimError
from neurosim.network import Network, PoissonInput, Population

from . import limits, meaning, ranges
from .deployment import Deployment, LoadedCells, LoadedSynapses, Sampled, Settings
from .joining import Joining
from .loading import settings_of, sources_label, together
from .weights import greatest_input, input_of, shift_of, store

__all__ = ["FOREVER", "RECORDED_AS", "load", "machine_model", "settings_of"]

FOREVER = float(0xFFFFFFFF)  # ms: sPyNNaker's duration of a source that does not stop
# The names under which the machine records what has another name here.
RECORDED_AS = {"isyn_exc": "gsyn_exc", "isyn_inh": "gsyn_inh"}
# Models of neurosim that the machine has under the same name; `meaning` tells where they are not the same.
_MODELS = (cells.IF_curr_exp, cells.IF_cond_exp, cells.IF_curr_alpha, cells.IF_curr_delta, cells.Izhikevich, cells.SpikeSourceArray,
           cells.SpikeSourcePoisson)
_CURRENTS = (DCSource, ACSource, StepCurrentSource, NoisyCurrentSource)
_EXTRA = f"{__package__}.extra"
_TOLERANCE = 1e-9  # of a step


def load(network: Network, settings: Settings | None = None, **overrides: Any) -> Deployment:
    """Evaluate a network as sPyNNaker would load it.

    Parameters
    ----------
    settings : Settings, optional
    **overrides
        Fields of `Settings` to replace, such as ``dt=0.5``.

    Returns
    -------
    Deployment
        With ``problems``, empty if the network can be deployed, as far as its parts are concerned (`check` also places it).

    Raises
    ------
    ParameterError
        For settings that have no meaning: an unknown name, a label that no population has, a step that is no time.
    """
    settings = settings_of(network, settings, **overrides)
    loading = _Network(network, settings)
    for population in network.populations:
        loading.population(population)
    for one in network.inputs:
        loading.sources(one)
    for projection in network.projections:
        loading.projection(projection)
    for one in network.inputs:
        loading.poisson(one)
    loading.record()
    loading.store()
    loading.told()
    for injection in network.injections:
        loading.current(injection)
    loading.absent()
    made = Deployment(network, settings, loading.cells, loading.synapses, loading.records, loading.problems, together(loading.notes))
    made.problems += [problem for one in made.cells if not one.is_source for problem in ranges.of_memory(made, one)]
    return made


def machine_model(cell: Model) -> str | None:
    """sPyNNaker's name of a model, or None where it has none."""
    name = type(cell).__name__
    return name if type(cell) in _MODELS or (type(cell).__module__ == _EXTRA and name in limits.CELLS) else None


class _Network(Joining):
    """A network on its way into a `Deployment`."""

    # -------------------------------------------------------------------------------------- cells

    def population(self, one: Population) -> None:
        """Load a population."""
        name, what, n = machine_model(one.cell), f"population {one.label}", one.size
        if name is None:
            remedy = limits.ABSENT_CELLS.get(one.cell.name, f"Use one of {', '.join(kind.__name__ for kind in _MODELS)}")
            self.refuse(what, f"SpiNNaker has no {one.cell.name}", remedy)
            return
        known = limits.CELLS[name]
        try:
            values = one.cell.values(n, self.network.seed, one.label)
            initial = {}
            if isinstance(one.cell, Cell):
                initial = one.cell.initial_values(n, self.network.seed, one.label, one.initial_values, values)
        except NeurosimError as error:
            self.refuse(what, str(error), "Give values that the model takes")
            return
        values = meaning.adapted(one.cell, values, self.dt)
        ticks = self._ticks(one, what) if name == "SpikeSourceArray" else None
        if name == "SpikeSourcePoisson":
            values["duration"] = np.minimum(values["duration"], FOREVER)
        self._add(LoadedCells(one.label, n, name, one, known.receptors, values, initial, self._per_core(one.label, n, known.per_core),
                              known.scale, ticks=ticks))

    def sources(self, one: PoissonInput) -> None:
        """Load the sources of a Poisson input."""
        n, label = one.target.size, sources_label(one)
        if label in self.place or any(label == other.label for other in self.network.populations):
            self.refuse(f"Poisson input {one.label}", f"its sources would be called {label!r}, as a population is", "Rename one of them")
            return
        length = FOREVER if math.isinf(one.stop) else min(one.stop - one.start, FOREVER)
        values = {"rate": np.array(np.broadcast_to(one.rate, n), dtype=np.float64), "start": np.full(n, one.start),
                  "duration": np.full(n, length)}
        self._add(LoadedCells(label, n, "SpikeSourcePoisson", None, (), values, {},
                              self._per_core(label, n, limits.CELLS["SpikeSourcePoisson"].per_core)))

    def _add(self, made: LoadedCells) -> None:
        self.place[made.label] = len(self.cells)
        self.cells.append(made)
        problems, notes = ranges.of_cells(made, self.dt)
        self.problems += problems
        self.notes += notes

    def _per_core(self, label: str, n: int, most: int) -> int:
        asked, most = self.settings.neurons_per_core.get(label), most or n
        if asked is not None and asked > most:
            self.notes.append(f"population {label}: {asked} neurons per core were asked for, {most} is the most")
        return min(asked or most, most)

    def _ticks(self, one: Any, what: str) -> tuple[np.ndarray, ...]:
        rows = one.cell.rows(one.size, one.label)
        ticks = tuple(wiring.whole_steps(row, self.dt, least=0.0).astype(np.int64) for row in rows)
        off = max((float(np.abs(row - tick * self.dt).max()) for row, tick in zip(rows, ticks, strict=True) if row.size), default=0.0)
        if off > _TOLERANCE * self.dt:
            self.notes.append(f"{what}: spike times are moved to whole steps, by at most {off:.3g} ms")
        last = max((int(tick[-1]) for tick in ticks if tick.size), default=0)
        if last >= 2**32:
            self.refuse(what, f"a spike at {last * self.dt:g} ms lies beyond 2**32 steps", "Give earlier spike times")
        crowd = np.bincount(np.concatenate(ticks)[np.concatenate(ticks) < 10**7]) if last else np.zeros(1)
        if crowd.size and crowd.max() > limits.MACHINE.array_spikes_per_step:
            self.notes.append(f"{what}: {int(crowd.max())} spikes in step {int(crowd.argmax())}; more than"
                              f" {limits.MACHINE.array_spikes_per_step} of one source array at once may be lost on the way")
        return ticks

    # -------------------------------------------------------------------------------------- how weights are stored

    def store(self) -> None:
        """Choose shifts from all that arrives, then store weights."""
        for k, target in enumerate(self.cells):
            if target.is_source:
                continue
            into = [one for one in self.synapses if one.post == k]
            target.shifts = self._shifts(target, into)
            longest = max((int(one.delay.max()) for one in into if one.delay.size), default=0)
            target.slots = limits.ring_slots(min(target.size, target.per_core), len(target.receptors), longest)
            for one in into:
                one.stored, over = store(one.asked, target.shifts[one.receptor], target.scale)
                self.problems += ranges.of_synapses(one, target, over, self.settings)
            if target.plastic is not None:
                problems, notes = ranges.of_rule(target, self.dt)
                self.problems += problems
                self.notes += notes

        self._stages()

    def _stages(self) -> None:
        """A source's late spikes all wait in one delay extension, whose stages have one length: that of its targets' ring buffers."""
        waits: dict[int, dict[int, str]] = defaultdict(dict)
        for one in self.synapses:
            target = self.cells[one.post]
            if one.delay.size and int(one.delay.max()) > target.slots:
                waits[one.pre].setdefault(target.slots, target.label)
        for source, targets in waits.items():
            if len(targets) > 1:
                told = " and ".join(f"{slots} steps ({label})" for slots, label in sorted(targets.items()))
                self.refuse(f"population {self.cells[source].label}", f"its long delays go to ring buffers of {told}, and sPyNNaker gives a"
                            " source one delay extension, with stages of one length",
                            "Give these targets the same number of neurons on a core (neurons_per_core), or shorten the delays")

    def _shifts(self, target: LoadedCells, into: list[LoadedSynapses]) -> tuple[int, ...]:
        given = self.settings.max_expected_summed_weight.get(target.label)
        if given is not None:
            if len(given) != len(target.receptors):
                self.refuse(f"max_expected_summed_weight of {target.label}", f"{len(given)} numbers for {len(target.receptors)} receptors",
                            f"Give one for each of {', '.join(target.receptors)}")
                given = (tuple(given) + (0.0,) * len(target.receptors))[:len(target.receptors)]
            return tuple(shift_of(float(one) * target.scale) for one in given)
        inputs = defaultdict(list)
        for one in into:
            w_max = target.plastic.parameters["w_max"] if one.plastic and target.plastic else None
            inputs[one.receptor].append(input_of(one.target, one.asked, one.delay, self.dt, w_max))
        told = {"spikes_per_second": self.settings.spikes_per_second, "sigma": self.settings.ring_buffer_sigma}
        return tuple(shift_of(greatest_input(inputs[kind], target.scale, self.dt, **told)) for kind in range(len(target.receptors)))

    # -------------------------------------------------------------------------------------- currents, recordings, the rest

    def current(self, injection: Any) -> None:
        """Load an injected current."""
        current, target = injection.current, self.place.get(injection.target.population.label)
        what = f"current into {injection.target.label}"
        if type(current) not in _CURRENTS:
            self.refuse(what, f"SpiNNaker has no {type(current).__name__}", f"Use {', '.join(one.__name__ for one in _CURRENTS)}")
            return
        problems, notes = ranges.of_current(current, what, self.dt)
        self.problems += problems
        self.notes += notes
        if target is not None:
            given = meaning.current(injection.target.cell, current)
            self.cells[target].currents.append((given, injection.target.indices.astype(np.int64)))

    def record(self) -> None:
        """What is recorded: one entry for each population and variable."""
        merged: dict[tuple[str, str], tuple[np.ndarray, int]] = {}
        for one in self.network.records:
            population, name = one.target.population, one.variable
            if population.label not in self.place:
                continue
            known, what = limits.CELLS[self.cells[self.place[population.label]].model], f"recording of {name} of {one.target.label}"
            if RECORDED_AS.get(name, name) not in known.recordable and name not in known.recordable:
                self.refuse(what, f"SpiNNaker records no {name} of {known.name}", f"Record {', '.join(known.recordable)}")
                continue
            steps, interval = 1, one.interval
            if interval is not None and name != "spikes":
                steps = max(1, round(interval / self.dt))
                if abs(steps * self.dt - interval) > 1e-6 * self.dt:
                    self.refuse(what, f"an interval of {interval:g} ms is not a whole number of steps of {self.dt:g} ms",
                                f"Use {steps * self.dt:g} ms")
            ids, before = np.sort(one.target.indices), merged.get((population.label, name))
            if before is not None and before[1] != steps:
                self.refuse(what, f"{name} is recorded at two intervals, {before[1] * self.dt:g} and {steps * self.dt:g} ms",
                            "Use one interval")
            merged[population.label, name] = (ids if before is None else np.union1d(before[0], ids), steps)
        for (label, name), (ids, steps) in merged.items():
            self.records.append(Sampled(label, name, None if ids.size == self.network[label].size else ids, steps))

    def told(self) -> None:
        """What is said of several parts at once."""
        sources = [one for one in self.cells if one.population is None]
        if sources:
            self.notes.append(f"Poisson input of {', '.join(one.label.removesuffix(' (sources)') for one in sources)}: SpikeSourcePoisson"
                              " cells, joined one to one; spikes take a step to arrive")
        alike = defaultdict(list)
        for one in self.cells:
            if one.population is not None and (text := meaning.told(one.population.cell)) is not None:
                alike[text].append(one.label)
        self.notes += [f"{', '.join(labels)}: {text}" for text, labels in alike.items()]

    def absent(self) -> None:
        """What the machine has no part for, and what is left out."""
        for one in self.network.modulations:
            self.refuse(f"dopamine of {one.source.label} at {one.projection.label}", "SpiNNaker has no dopamine of neurosim",
                        "Leave it out, or use Neuromodulation of pyNN.spiNNaker.extra_models in a script of your own")
        for one in self.network.gains:
            self.refuse(f"gain of {one.projection.label}", f"SpiNNaker has no astrocytes ({one.astrocytes.label})",
                        "Leave it out, or put the gain into the weights")
        for one in self.network.weight_records:
            self.notes.append(f"projection {one.projection.label}: weights are not recorded over time; read them after a run")
