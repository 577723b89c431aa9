"""Synapses as the machine has them: cells of whole populations, steps of delay, magnitudes of weights, a rule of the target."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim import wiring
from neurosim.errors import NeurosimError
from neurosim.network import PoissonInput, Projection
from neurosim.plasticity import ElectricalSynapse, STDPMechanism

from . import limits, meaning, rules
from .deployment import LoadedCells, LoadedSynapses, Plastic
from .loading import Loading, sources_label

__all__ = ["Joining"]


class Joining(Loading):
    """The part of loading that is about projections and Poisson inputs."""

    def projection(self, one: Projection) -> None:
        """Load a projection; its weights are stored later, when all are known."""
        what = f"projection {one.label}"
        rule = self._dynamics(one, what)
        pre, post = (self.place.get(end.population.label) for end in (one.pre, one.post))
        if pre is None or post is None or one.graded or isinstance(one.synapse, ElectricalSynapse):
            return
        receptors = self.cells[post].receptors
        if one.receptor not in receptors:
            self._no_receptor(what, one.receptor, self.cells[post])
            return
        try:
            source, target, weight, asked = wiring.given_arrays(one, self.network.seed)
        except NeurosimError as error:
            self.refuse(what, str(error), "Give a connector, weights and delays that can be drawn")
            return
        source, target = (end.indices[ids].astype(np.int32) for end, ids in ((one.pre, source), (one.post, target)))
        if rule is not None and isinstance(one.synapse, STDPMechanism):
            self._teach(rule, self.cells[post], one.receptor, what)
            bounds, sign = one.synapse.weight_dependence, -1.0 if one.sign < 0 else 1.0
            weight = sign * np.clip(sign * weight, bounds.w_min, bounds.w_max)
        self._signs(one, what, weight)
        asked, delay = self._delays(what, asked, source.size)
        factor = self._factor(post, one.receptor, target, rule is not None, what)
        self.synapses.append(LoadedSynapses(one.label, one, pre, post, receptors.index(one.receptor), source, target,
                                            np.abs(weight) * factor, np.zeros(source.size, np.uint16), delay, asked,
                                            rule is not None, factor))

    def poisson(self, one: PoissonInput) -> None:
        """Join the sources of a Poisson input to its targets."""
        pre, post = self.place.get(sources_label(one)), self.place.get(one.target.population.label)
        if pre is None or post is None:
            return
        n, receptors = one.target.size, self.cells[post].receptors
        if one.receptor not in receptors:
            self._no_receptor(f"Poisson input {one.label}", one.receptor, self.cells[post])
            return
        target = one.target.indices.astype(np.int32)
        factor = self._factor(post, one.receptor, target, False, one.label)
        self.synapses.append(LoadedSynapses(
            one.label, None, pre, post, receptors.index(one.receptor), np.arange(n, dtype=np.int32), target,
            np.full(n, abs(float(one.weight))) * factor, np.zeros(n, np.uint16), np.ones(n, np.int32), np.full(n, self.dt), factor=factor))

    def _no_receptor(self, what: str, receptor: str, target: LoadedCells) -> None:
        self.refuse(what, f"{target.model} has no receptor {receptor!r} on SpiNNaker", f"Use one of {', '.join(target.receptors)}")

    def _factor(self, post: int, receptor: str, target: np.ndarray, plastic: bool, what: str) -> float | np.ndarray:
        """What weights are multiplied by to mean the same on the machine, for each synapse."""
        loaded = self.cells[post]
        assert loaded.population is not None
        found = meaning.factor(loaded.population.cell, loaded.parameters, receptor, self.dt)
        if found is None:
            return 1.0
        if (found == found[0]).all():
            return float(found[0])
        if plastic:
            self.refuse(what, f"synapses that learn onto {loaded.label}, whose cells differ in what a weight does to them on SpiNNaker",
                        f"Give all cells of {loaded.label} the same cm, tau_m and tau_syn")
        return found[target]

    def _delays(self, what: str, asked: np.ndarray | None, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Delays in ms as asked for, and in steps."""
        if asked is None:
            return np.full(n, self.dt), np.ones(n, np.int32)
        if not np.isfinite(asked).all() or (asked < 0).any():
            self.refuse(what, f"a delay of {asked[~(asked >= 0) | ~np.isfinite(asked)][0]:g} ms", "Give delays >= 0 ms that are finite")
            asked = np.where(np.isfinite(asked) & (asked >= 0), asked, self.dt)
        steps = np.maximum(np.rint(np.minimum(asked * (1000.0 / round(1000.0 * self.dt)), 2.0**31 - 1)), limits.MACHINE.min_delay)
        return asked, steps.astype(np.int32)

    def _signs(self, one: Projection, what: str, weight: np.ndarray) -> None:
        """Stored weights have no sign: the receptor is the sign."""
        if not weight.size:
            return
        low, high = float(weight.min()), float(weight.max())
        if low < 0 < high:
            self.refuse(what, f"weights have both signs ({low:g} to {high:g} {one.weight_unit}), and the machine drops the sign: all would"
                              f" act on {one.receptor}",
                        "Split it into an excitatory and an inhibitory projection, or bound a distribution at 0")
        elif (one.sign > 0 and low < 0) or (one.sign < 0 and high > 0):
            worst = low if one.sign > 0 else high
            self.refuse(what, f"a weight of {worst:g} {one.weight_unit} onto {one.receptor}: the machine drops the sign",
                        f"Use the {'inhibitory' if one.sign > 0 else 'excitatory'} receptor")

    def _dynamics(self, one: Projection, what: str) -> Plastic | None:
        """The rule by which synapses learn, if they do; what the machine has no dynamics for is refused."""
        synapse = one.synapse
        for name in ("homeostasis", "structure"):
            process = getattr(one, name)
            if process is not None:
                known = limits.SYNAPSES.get(type(process).__name__)
                self.refuse(what, f"SpiNNaker has no {type(process).__name__}", known.note if known else f"Leave {name} out")
        if one.graded:
            self.refuse(what, f"{one.pre.cell.name} acts all the time, and only spikes travel on SpiNNaker",
                        "Use a population of spiking cells that integrate slowly in its place")
        if isinstance(synapse, STDPMechanism):
            plastic, problems, notes = rules.plastic_of(synapse, one.label)
            self.problems += problems
            self.notes += notes
            return plastic
        if synapse is not None:
            known = limits.SYNAPSES.get(type(synapse).__name__)
            self.refuse(what, f"SpiNNaker has no {type(synapse).__name__}", known.note if known else "Use a static synapse")
        return None

    def _teach(self, rule: Plastic, target: LoadedCells, receptor: str, what: str) -> None:
        """Give a population its rule, or refuse another one."""
        plastic = self._scaled(rule, target, receptor)
        if target.plastic is not None and target.plastic != plastic:
            self.refuse(what, f"another rule teaches synapses of {target.label} already: {_rule(target.plastic)}; this one is"
                              f" {_rule(plastic)}",
                        "Give all learning projections into a population one rule with the same parameters, or split the population")
        target.plastic = target.plastic or plastic

    def _scaled(self, plastic: Plastic, target: LoadedCells, receptor: str) -> Plastic:
        """The rule in the machine's unit of weight."""
        assert target.population is not None
        found = meaning.factor(target.population.cell, target.parameters, receptor, self.dt)
        return plastic if found is None else rules.scaled(plastic, float(found[0]))


def _rule(plastic: Any) -> str:
    numbers = ", ".join(f"{key}={value:g}" for key, value in plastic.parameters.items())
    return f"{plastic.timing} {plastic.weight} ({numbers})"
