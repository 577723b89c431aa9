"""A simulation that goes on where another stands, with the network as it is now.

The new simulation is made from the description like any other; then the state of the old one is put into it, as a saved
state is (`neurosim.checkpoint.restore`).  Here that state is translated from the old layout to the new.  Populations are
matched by label.  What was not changed goes on to the last bit; for the rest these rules hold, t being now:

* **Cells.**  All states stay: potentials, currents, conductances, adaptation, currents set by `Simulation.set`.  Parameters are
  those of the description from now on.  A refractory time under way gets its new length (and is over if that has passed).
  Cells of a new population begin at their initial values at t.
* **Sources.**  Those whose parameters stay go on.  Others draw their next time anew from t on, as after
  `Simulation.set(rate=...)`, and keep the dead time they are in; a gamma interval begins again.  Of given spike times, those later than t
  are sent, even if they are new; none is sent that is not.
* **Synapses.**  What arrives after t has the weight that the synapse has now, also if it was sent before.  A new projection, or one with
  another connector, passes on what is sent after t; what was under way through one that is gone is lost.  If the delays of a projection
  change, a spike sent at s arrives at s + d', d' being the new delay, if that is later than t and if s + d > t for its shortest delay d
  before; otherwise it is lost.  So nothing arrives twice, and where all delays of a projection are equal and do not get shorter,
  everything arrives.
* **Synapses that change** are matched by the projection's label and their number: weights, eligibilities and what they remember of
  spikes stay.
* **Injected currents** are functions of time: one that was added acts from t on as if it had always been there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import checkpoint, learning, live, slow, wiring
from .cells.sources import SpikeSourceArray, SpikeSourceGamma, SpikeSourceInhGamma
from .currents import noise_key
from .errors import NetworkError, ParameterError, SimulationError
from .groups import SOURCE, Group
from .network import Injection, Network, Projection, _said

if TYPE_CHECKING:
    from .engine import Simulation

__all__ = ["follow"]


def follow(sim: Simulation, network: Network | None = None) -> Simulation:
    """As `Simulation.follow`."""
    network = sim.network if network is None else network
    if not isinstance(network, Network):
        raise ParameterError(f"Simulation.follow needs a Network, got {network!r}")
    if not network.populations:
        raise NetworkError(f"{network.label} has no population: there is nothing to simulate")
    if sim._writer is not None:
        raise SimulationError("a simulation that streams cannot be followed: the file belongs to one network; close() it first")
    for population in network.populations:
        _check_same(sim, population)
    made = object.__new__(type(sim))
    made._build(network, sim.dt, sim.seed, sim.threads, sim.update, before=sim, since=_since(sim, network))
    made._may_rest, made._pace = sim._may_rest, dict(sim._pace)
    made._begin()
    _number_currents(sim, made)
    header, state = checkpoint.capture(sim)
    cells = _matched(sim, made)
    checkpoint.restore(made, header, _Translation(sim, made, cells).of(state))
    _change_currents(sim, made, cells)
    made._load_kernels()
    return made


def _check_same(sim: Simulation, population: Any) -> None:
    """Refuse another population of the same label."""
    if population.label not in sim._place:
        return
    group, _ = sim._place[population.label]
    before = next(p for p in group.members if p.label == population.label)
    cell = sim._cells[population.label]
    if type(population.cell) is not type(cell) or population.size != before.size:
        raise NetworkError(
            f"follow: population {population.label!r} was {before.size} x {cell.name} and is now {population.size} x"
            f" {population.cell.name}: give what is new a label of its own"
        )


def _since(sim: Simulation, network: Network) -> dict[str, int]:
    """Label of a projection -> the step after which a spike must be sent to be delivered by it; others deliver all."""
    before = {one.label: one for one in sim._described[1]}
    since = {}
    for one in network.projections if sim._step > 0 else ():
        old = before.get(one.label)
        if one.graded or one.electrical:
            continue
        first = sim._since.get(one.label)
        if old is None or (one is not old and _ends(one) != _ends(old)):
            first = sim._step
        elif one is not old and _said(one.delay) != _said(old.delay):  # what has not arrived anywhere yet
            first = max(sim._step - _shortest(old, sim), -1 if first is None else first)
        if first is not None:
            since[one.label] = first
    return since


def _ends(one: Projection) -> str:
    """Whom a projection joins, in words."""
    return _said((one.pre.population.label, one.pre.indices, one.post.population.label, one.post.indices, one.connector, one.receptor))


def _shortest(one: Projection, sim: Simulation) -> int:
    """The shortest delay of a projection's synapses, steps."""
    found = [int(np.min(part.delay_steps)) for part in wiring.synapses(one, sim.network.seed, sim.dt, weighted=False)
             if np.size(part.pre)]
    return min(found, default=1)


class _Cells(NamedTuple):
    """Cells of one population, before (None: there was none) and now; slices count in their groups."""

    label: str
    old: Group | None
    there: slice
    new: Group
    here: slice

    @property
    def before(self) -> slice:
        """Among all neurons of the old simulation."""
        assert self.old is not None
        return slice(self.old.y + self.there.start, self.old.y + self.there.stop)

    @property
    def now(self) -> slice:
        """Among all neurons of the new one."""
        return slice(self.new.y + self.here.start, self.new.y + self.here.stop)


def _matched(old: Simulation, new: Simulation) -> list[_Cells]:
    """The populations of the new simulation."""
    out = []
    for population in new.network.populations:
        group, first = new._place[population.label]
        here = slice(first, first + population.size)
        before, at = old._place.get(population.label, (None, 0))
        out.append(_Cells(population.label, before, slice(at, at + population.size), group, here))
    return out


def _places(old: Simulation, cells: list[_Cells]) -> np.ndarray:
    """Where each neuron of the old simulation is in the new one; -1 for those that are gone."""
    place = np.full(sum(group.n for group in old._groups), -1, np.int64)
    for one in cells:
        if one.old is not None:
            place[one.before] = np.arange(one.now.start, one.now.stop)
    return place


def _matrix(sim: Simulation, x: np.ndarray, group: Group) -> np.ndarray:
    """The states of a group, (rows, n), in the flat array of all."""
    at = sim._net.groups[sim._groups.index(group), sim._k.G_X]
    return x[at:at + group.x.size].reshape(group.x.shape)


class _Translation:
    """Puts the state of one simulation into the layout of another."""

    def __init__(self, old: Simulation, new: Simulation, cells: list[_Cells]) -> None:
        self.old, self.new, self.step, self.cells = old, new, old._step, cells

    def of(self, state: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
        """The state, translated."""
        self.before = state["state"]
        self.now = {name: getattr(self.new._net, name).copy() for name in checkpoint.SAVED}
        self.fired = self._latest(state["history"])
        for cells in self.cells:
            if cells.new.kind == SOURCE:
                self._source(cells)
            elif cells.old is None:
                self._newborn(cells)
            else:
                self._cells(cells)
        for group in self.new._groups:
            self._puts(group)
            self._gaps(group)
        return {"state": self.now, "history": self._history(state["history"]), "held": self._held(state["held"]),
                "processes": self._processes(state["processes"]), "plasticity": self._plasticity(state["plasticity"])}

    # -- cells ----------------------------------------------------------------------------------

    def _newborn(self, cells: _Cells) -> None:
        """Initial values now: modal cells stand in the frame of another step."""
        if cells.new.modal is not None and self.step > 0:
            x = _matrix(self.new, self.now["x"], cells.new)[:, cells.here]
            x[:] = live.to_modes(cells.new.modal, self.step % cells.new.modal.period, live.to_states(cells.new.modal, 0, x))

    def _cells(self, cells: _Cells) -> None:
        old, new = cells.old, cells.new
        assert old is not None
        x = _matrix(self.old, self.before["x"], old)[:, cells.there]
        y = _matrix(self.new, self.now["x"], new)[:, cells.here]
        self.now["current"][cells.now] = self.before["current"][cells.before]
        if old.modal is None and new.modal is None:
            assert old.step is not None and new.step is not None
            for row, name in enumerate(new.step.states):
                y[row] = x[old.step.states.index(name)]
            self._refractory(cells, y)
            return
        same = np.zeros(y.shape[1], bool)
        if old.modal is not None and new.modal is not None and np.array_equal(old.modal.tables, new.modal.tables):
            y[:] = x
            same[:] = True
            for name, column in new.columns.items():
                same &= column[cells.here] == old.columns[name][cells.there]
            for name in ("h", "h0", "rho", "base"):
                self.now[name][cells.now][same] = self.before[name][cells.before][same]
        if not same.all():
            self._converted(cells, x, y, np.flatnonzero(~same))

    def _converted(self, cells: _Cells, x: np.ndarray, y: np.ndarray, which: np.ndarray) -> None:
        """Cells whose parameters changed: from potential and currents to amplitudes, or to and from a stepping kernel."""
        old, new, k = cells.old, cells.new, self.step
        assert old is not None
        v, currents, slopes, left = self._logical(cells, x)
        if new.step is not None:
            named = {"v": v, "_r": left}
            if len(currents):
                named.update(isyn_exc=currents[0], isyn_inh=currents[1], _dexc=slopes[0], _dinh=slopes[1])
            for row, name in enumerate(new.step.states):
                y[row, which] = named[name][which] if name in named else 0.0
            return
        modal = new.modal
        assert modal is not None
        column = {name: values[cells.here] for name, values in new.columns.items()}
        shift = self.now["current"][cells.now] * column["gain"]
        base = column["base"] + shift * column["scale"]
        now = {"h0": column["h0"] - shift, "rho": column["rho"] - shift, "base": base}
        now["h"] = np.where(left > 0, np.inf, now["h0"])
        for name, values in now.items():
            self.now[name][cells.now][which] = values[which]
        state = live.Linear((v - base) / column["scale"], currents, slopes)
        made = live.to_modes(modal, k % modal.period, state)
        if old.modal is not None and np.array_equal(old.modal.tables, modal.tables):
            y[0, which] = made[0, which]  # synaptic modes stand as they are
        else:
            y[:, which] = made[:, which]

    def _logical(self, cells: _Cells, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(v, synaptic currents, slopes, refractory steps left by the new parameters) of cells as they were."""
        old = cells.old
        assert old is not None
        after = self._refractory_steps(cells, self.new)
        if old.modal is not None:
            state = live.to_states(old.modal, self.step % old.modal.period, x)
            waits = np.isinf(self.before["h"][cells.before])
            column = {name: values[cells.there] for name, values in old.columns.items()}
            v = np.where(waits, column["reset"], self.before["base"][cells.before] + column["scale"] * state.m)
            left = np.where(waits, np.maximum(self.fired[cells.label] + after - self.step, 0), 0)
            return v, state.currents, state.slopes, left
        assert old.step is not None
        row = {name: x[k] for k, name in enumerate(old.step.states)}
        left = np.where(row["_r"] > 0, np.maximum(row["_r"] + after - self._refractory_steps(cells, self.old), 0), 0)
        none = np.zeros((2 if "isyn_exc" in row else 0, x.shape[1]))
        if not len(none):
            return row["v"], none, none, left
        slopes = np.stack([row["_dexc"], row["_dinh"]]) if "_dexc" in row else none
        return row["v"], np.stack([row["isyn_exc"], row["isyn_inh"]]), slopes, left

    def _refractory(self, cells: _Cells, y: np.ndarray) -> None:
        """Stepped cells that are refractory: the time under way gets its new length."""
        assert cells.new.step is not None
        states = cells.new.step.states
        if "_r" in states:
            left = y[states.index("_r")]
            change = self._refractory_steps(cells, self.new) - self._refractory_steps(cells, self.old)
            left[:] = np.where(left > 0, np.maximum(left + change, 0), left)

    @staticmethod
    def _refractory_steps(cells: _Cells, sim: Simulation) -> np.ndarray:
        cell: Any = sim._cells[cells.label]
        n = cells.here.stop - cells.here.start
        values = cell.values(n, sim.network.seed, cells.label)
        if "tau_refrac" not in values:
            return np.zeros(n)
        return np.floor(values["tau_refrac"] / sim.dt + 0.5)

    # -- sources --------------------------------------------------------------------------------

    def _source(self, cells: _Cells) -> None:
        from .kernels import sources
        new, own, step = cells.new, cells.now, self.step
        cell = new.members[0].cell
        if isinstance(cell, SpikeSourceArray) or (cells.old is None and step == 0):
            return
        net, k, t = self.new._net, self.new._k, step * self.new.dt
        row = net.groups[self.new._groups.index(new)]
        key = np.uint64(int(row[k.G_KEY]) % 2**64)
        bins = net.bins[row[k.G_BINS]:row[k.G_BINS] + 3 * row[k.G_NBINS]].reshape(3, -1)
        following, draws, rate = (self.now[name][own] for name in ("following", "draws", "rate"))
        dead, start, stop = net.dead[own], net.start[own], net.stop[own]
        least = np.empty(new.n // 256 + 1)

        def anew() -> np.ndarray:
            """Next times from now on, for all."""
            times = np.empty(new.n)
            sources.prepare(new.source, key, 0, new.n, t, times, draws, least, rate, dead, start, stop, bins)
            return times

        if cells.old is None:
            following[:] = anew()
            return
        old = cells.old
        there = slice(old.y, old.y + old.n)
        before = {name: getattr(self.old._net, name)[there] for name in ("rate", "dead", "start")}
        same = np.ones(new.n, bool)
        for name in ("rate", "dead", "start", "stop"):
            same &= new.columns[name] == old.columns[name]
        was: Any = self.old._cells[cells.label]
        gamma = isinstance(cell, (SpikeSourceGamma, SpikeSourceInhGamma))
        rows = ("a", "b", "tbins") if isinstance(cell, SpikeSourceInhGamma) else ()
        if not all(np.array_equal(getattr(cell, name), getattr(was, name)) for name in rows):
            same[:] = False
        following[:], draws[:] = self.before["following"][there], self.before["draws"][there]
        rate[same] = before["rate"][same]  # may have been set
        if gamma:
            draws[~same] += 1
            following[~same] = anew()[~same]
            return
        waiting = (before["start"] >= t) & ~same  # these have not sent a spike
        following[waiting] = np.inf
        for which, fresh in ((np.flatnonzero(waiting), True), (np.flatnonzero(~same & ~waiting), step == 0)):
            sources.change_rate(key, which, 0, t, fresh, before["rate"][which], before["dead"][which], rate, dead, start, stop,
                                following, draws)

    # -- what others read -----------------------------------------------------------------------

    def _puts(self, group: Group) -> None:
        """What a graded group put out at recent steps; of steps that are not known, the earliest that is."""
        net, k = self.new._net, self.new._k
        row = net.groups[self.new._groups.index(group)]
        if row[k.G_PUT] < 0 or self.step == 0:
            return
        depth = row[k.G_DEPTH]
        ring = self.now["puts"][row[k.G_PUT]:row[k.G_PUT] + depth * group.n].reshape(depth, group.n)
        state = _matrix(self.new, self.now["x"], group)[row[k.G_PUTROW]]
        for cells in self.cells:
            if cells.new is group:
                for s in range(max(0, self.step - depth + 1), self.step + 1):
                    ring[s % depth, cells.here] = _put_at(self.old, self.before["puts"], cells, s, state[cells.here])

    def _gaps(self, group: Group) -> None:
        """The potentials that gap junctions see, which go on as in the last step; where there were none, those of now."""
        k, row = self.new._k, self.new._net.groups[self.new._groups.index(group)]
        if row[k.G_GAP] < 0:
            return
        seen = self.now["puts"][row[k.G_GAP]:row[k.G_GAP] + 4 * group.n].reshape(4, group.n)
        for cells in self.cells:
            if cells.new is group and cells.old is not None:
                before = self.old._net.groups[self.old._groups.index(cells.old)]
                if before[k.G_GAP] < 0:
                    seen[:3, cells.here] = _matrix(self.new, self.now["x"], group)[row[k.G_GAPROW], cells.here]
                else:
                    n = cells.old.n
                    seen[:, cells.here] = self.before["puts"][before[k.G_GAP]:before[k.G_GAP] + 4 * n].reshape(4, n)[:, cells.there]

    # -- spikes ---------------------------------------------------------------------------------

    def _latest(self, history: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The step of the last remembered spike of each cell, by population; far in the past where there is none."""
        latest = np.full(sum(group.n for group in self.old._groups), -2**40, np.int64)
        neurons, steps = self._events(history)
        np.maximum.at(latest, neurons, steps)
        return {cells.label: latest[cells.before] for cells in self.cells if cells.old is not None}

    def _events(self, history: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(neurons among all, steps) of the spikes that the old simulation remembers."""
        counts = history["counts"]
        steps = np.tile(np.arange(self.step - counts.shape[1] + 1, self.step + 1), counts.shape[0])
        firsts = np.repeat([group.y for group in self.old._groups], counts.sum(axis=1))
        return firsts + history["spikes"], np.repeat(steps, counts.ravel())

    def _history(self, history: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The recent spikes in the new groups, by step, then cell."""
        neurons, steps = self._events(history)
        place = _places(self.old, self.cells)
        known = (place[neurons] >= 0) & (steps > self.step - self.new._history)
        neurons, steps = place[neurons[known]], steps[known]
        column = steps - (self.step - self.new._history + 1)
        starts = np.array([group.y for group in self.new._groups], np.int64)
        group = np.searchsorted(starts, neurons, side="right") - 1
        order = np.lexsort((neurons, column, group))
        counts = np.zeros((len(starts), self.new._history), np.int64)
        np.add.at(counts, (group, column), 1)
        return {"counts": counts, "spikes": (neurons - starts[group])[order].astype(np.int32)}

    def _held(self, held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        place = _places(self.old, self.cells)[held["cells"]]
        return {"cells": place[place >= 0], "amounts": held["amounts"][place >= 0]}


    # -- synapses that change -------------------------------------------------------------------

    def _processes(self, kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What slow processes remember, for those that act on the same projections in the same way."""
        def about(process: Any) -> tuple:
            one = getattr(process, "projection", None)
            return () if one is None else (type(process.rule), one.label, one.pre.size, one.post.size)

        number_of = {about(process): number for number, process in enumerate(self.old._processes)}
        out = slow.saved(self.new)
        for number, process in enumerate(self.new._processes):
            before = number_of.get(about(process))
            if before is not None:
                out.update({f"{number}/{name[len(start):]}": array for start in (f"{before}/",) for name, array in kept.items()
                            if name.startswith(start)})
        return out

    def _plasticity(self, kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What synapses remember; those that are new begin now."""
        from .kernels import plasticity as k
        out = {name: array.copy() for name, array in learning.saved(self.new).items()}
        before = {one.label: (number, block, one) for number, block in enumerate(self.old._store.blocks) for one in block.projections
                  if f"flags{number}" in kept}
        for number, block in enumerate(self.new._store.blocks):
            if f"flags{number}" not in out:
                continue
            if f"rows{number}" in out and self.step > 0:
                lags = self.new._tables._lag_of[id(block)]
                assert block.mechanism is not None
                seen = self.step - lags - ((lags == 0) | (block.mechanism.order == "brian2"))
                out[f"rows{number}"].reshape(block.source.n, -1, k.ROW_SIZE)[:, :, k.SEEN] = seen
            for one in block.projections:
                if one.label in before:
                    was, old, former = before[one.label]
                    widths = {"rows": k.ROW_SIZE}
                    if self._transmission(out, kept, (number, block, one), (was, old, former)):
                        widths["short"] = k.SHORT_ROW_SIZE
                    self._rows(out, kept, (number, block, one), (was, old, former), widths)
                    self._synapses(out, kept, (number, block, one), (was, old, former))
        if out:
            self._sites(out, kept, k)
        return out

    def _rows(self, out: dict[str, np.ndarray], kept: dict[str, np.ndarray], now: Any, before: Any, widths: dict[str, int]) -> None:
        """What the rows of a projection remember of its senders, for delays that they had before."""
        (number, block, one), (was, old, former) = now, before
        pre = one.pre.population.label
        if pre != former.pre.population.label or type(old.synapse) is not type(block.synapse):
            return
        if block.mechanism is not None and type(old.mechanism.timing_dependence) is not type(block.mechanism.timing_dependence):
            return
        delays, here, there = np.intersect1d(block.delays, old.delays, return_indices=True)
        sender, sent = (sim._place[pre][1] + one.pre.indices for sim in (self.new, self.old))
        for name, width in widths.items():
            if f"{name}{number}" in out and f"{name}{was}" in kept and delays.size:
                rows = out[f"{name}{number}"].reshape(block.source.n, block.delays.size, width)
                rows[np.ix_(sender, here)] = kept[f"{name}{was}"].reshape(old.source.n, old.delays.size, width)[np.ix_(sent, there)]

    def _transmission(self, out: dict[str, np.ndarray], kept: dict[str, np.ndarray], now: Any, before: Any) -> bool:
        """What synapses remember each of what they sent, if they are the same and of one kind; returns whether rows may stay, too."""
        (number, block, one), (was, old, former) = now, before
        new, last = block.transmission, old.transmission
        if new is None or last is None or not (new.by_synapse or last.by_synapse):
            return True
        if type(new) is not type(last) or not new.by_synapse or not last.by_synapse or new.states != last.states:
            return False
        ends, then = (wiring.arrays(each, sim.network.seed, sim.dt) for each, sim in ((one, self.new), (former, self.old)))
        if not all(np.array_equal(ends[c], then[c]) for c in (0, 1, 3)):
            return False
        if new.states:
            by_place, values = (np.empty((each.size, new.states)) for each in (old, block))
            by_place[learning.canonical_order(old)] = kept[f"transmission{was}"]
            values[learning.places_of(self.new, one, block)] = by_place[learning.places_of(self.old, former, old)]
            out[f"transmission{number}"] = values[learning.canonical_order(block)]
        return True

    def _synapses(self, out: dict[str, np.ndarray], kept: dict[str, np.ndarray], now: Any, before: Any) -> None:
        """What each synapse of a projection keeps, if there are as many; its weights only if they are not described anew."""
        (number, block, one), (was, old, former) = now, before
        learns = one.changes and former.changes
        names = ["weights", "eligibility"] if learns else []
        if learns and one is not former and _said(one.weight) != _said(former.weight):
            names = ["eligibility"]
        names = [name for name in names if f"{name}{number}" in out and f"{name}{was}" in kept
                 and out[f"{name}{number}"].shape[1:] == kept[f"{name}{was}"].shape[1:]]
        coming = one.structure is not None and one.structure == former.structure
        if coming or (one is former and np.array_equal(block.delays, old.delays)):
            for name in names:
                out[f"{name}{number}"] = kept[f"{name}{was}"]
        elif names and block.size == old.size and len(block.projections) == 1 and one.structure is former.structure is None:
            here, there = learning.places_of(self.new, one, block), learning.places_of(self.old, former, old)
            for name in names:
                by_place, values = np.empty_like(kept[f"{name}{was}"]), np.empty_like(out[f"{name}{number}"])
                by_place[learning.canonical_order(old)] = kept[f"{name}{was}"]
                values[here] = by_place[there]
                out[f"{name}{number}"] = values[learning.canonical_order(block)]
        if learns:
            if f"pool{number}" in out and f"pool{was}" in kept:
                out[f"pool{number}"] = kept[f"pool{was}"]
            out[f"flags{number}"] = kept[f"flags{was}"]

    def _sites(self, out: dict[str, np.ndarray], kept: dict[str, np.ndarray], k: Any) -> None:
        """What is remembered of targets' spikes, potentials and calcium."""
        site_of = self.old._tables._site_of
        for key, index in self.new._tables._site_of.items():
            site = self.new._net.sites[index]
            for cells in self.cells:
                if id(cells.new) != key[0] or cells.old is None:
                    continue
                there = site_of.get((id(cells.old), *key[1:]))
                before = None if there is None else self.old._net.sites[there]
                if site[k.S_KIND] in (k.CLOPATH, k.CALCIUM):
                    self._voltages(out, kept, cells, site, before, k)
                if site[k.S_KIND] != k.CALCIUM and before is not None:
                    self._rings(out, kept, cells, site, before, k)

    def _rings(self, out: dict[str, np.ndarray], kept: dict[str, np.ndarray], cells: _Cells, site: np.ndarray, before: np.ndarray,
               k: Any) -> None:
        heads = kept["heads"][before[k.S_HEADS]:][cells.there]
        out["heads"][site[k.S_HEADS]:][cells.here] = heads
        n, m, ring, was = site[k.S_N], before[k.S_N], site[k.S_RING], before[k.S_RING]
        rings = 2 if site[k.S_KIND] == k.PAIR else 3  # times, traces, and second values
        for which in range(rings):
            new = out["history"][site[k.S_HISTORY] + which * ring * n:][:ring * n].reshape(n, ring)[cells.here]
            old = kept["history"][before[k.S_HISTORY] + which * was * m:][:was * m].reshape(m, was)[cells.there]
            entry = heads[:, None] - 1 - np.arange(min(ring, was))
            cell = np.arange(heads.size)[:, None]
            new[cell, entry % ring] = old[cell, entry % was]
        if site[k.S_KIND] == k.PAIR:
            new = out["history"][site[k.S_HISTORY] + 2 * ring * n:][:8 * n].reshape(n, 8)
            new[cells.here] = kept["history"][before[k.S_HISTORY] + 2 * was * m:][:8 * m].reshape(m, 8)[cells.there]

    def _voltages(self, out: dict[str, np.ndarray], kept: dict[str, np.ndarray], cells: _Cells, site: np.ndarray,
                  before: np.ndarray | None, k: Any) -> None:
        """Filtered potentials, or calcium, of recent steps; of steps that are not known, the earliest that is, or the value now."""
        extra = 2 if site[k.S_KIND] == k.CLOPATH else 0
        n, depth = site[k.S_N], site[k.S_DEPTH]
        new = out["voltages"][site[k.S_VOLTAGE]:][:(depth + extra) * n].reshape(-1, n)[:, cells.here]
        if before is None:
            population = next(p for p in cells.old.members if p.label == cells.label)  # type: ignore[union-attr]
            new[:depth + extra // 2] = live.get(self.old, population, "v" if extra else "Ca")
            return
        m, was = before[k.S_N], before[k.S_DEPTH]
        old = kept["voltages"][before[k.S_VOLTAGE]:][:(was + extra) * m].reshape(-1, m)[:, cells.there]
        for step in range(self.step - depth + 1, self.step + 1):
            new[step % depth] = old[max(step, self.step - was + 1) % was]
        if extra:
            new[depth:] = old[was:]


def _put_at(old: Simulation, puts: np.ndarray, cells: _Cells, step: int, now: np.ndarray) -> np.ndarray:
    """What cells put out at a step until now; the earliest that is known if that is forgotten, ``now`` if nothing is."""
    if cells.old is None:
        return now
    row = old._net.groups[old._groups.index(cells.old)]
    at, depth, n = row[old._k.G_PUT], row[old._k.G_DEPTH], cells.old.n
    if at < 0:
        return now
    step = max(step, old._step - depth + 1, 0)
    return puts[at + step % depth * n:][cells.there]


# ------------------------------------------------------------------------------------ currents


def _number_currents(old: Simulation, new: Simulation) -> None:
    """Give currents that were there the numbers by which they draw, so that noise goes on, and the others numbers of their own."""
    before, now = old._described[3], new._described[3]
    found: list[int | None] = [None] * len(now)
    left = dict(enumerate(before))
    for name in (id, _in_words):  # the same objects, then such as look the same, each for the first that is left
        places: dict[Any, list[int]] = {}
        for i, one in reversed(left.items()):
            places.setdefault(name(one), []).append(i)
        for j, one in enumerate(now):
            if found[j] is None and places and (alike := places.get(name(one))):
                at = alike.pop()
                found[j] = old._current_numbers[at]
                del left[at]
    taken = {number for number in found if number is not None}
    highest = max([len(now) - 1, *taken, *old._current_numbers])
    numbers: list[int] = []
    for j, number in enumerate(found):
        if number is None and j not in taken:
            number = j
        elif number is None:
            highest += 1
            number = highest
        taken.add(number)
        numbers.append(number)
    checkpoint.number_currents(new, numbers)


def _in_words(one: Injection) -> tuple[str, str]:
    """What an injected current is, and into whom it goes."""
    return one.target.population.label, _said((one.target.indices, one.current))


def _injected(sim: Simulation, step: int) -> dict[int, dict[int, float]]:
    """What each injected current gives over the step until ``step``: number -> neuron among all -> nA."""
    net, k = sim._net, sim._k
    number = {noise_key(sim.seed, n): n for n in sim._current_numbers}
    out: dict[int, dict[int, float]] = {}
    for part in net.parts:
        y = int(net.groups[part[k.P_GROUP], k.G_Y])
        at = step if net.groups[part[k.P_GROUP], k.G_FIRST] == 2 else step - 1
        for row in net.injections[part[k.P_INJ0]:part[k.P_INJ0] + part[k.P_INJS]]:
            ids = net.index[row[k.J_INDEX]:row[k.J_INDEX] + row[k.J_SIZE]].tolist()
            par = net.inj_par[row[k.J_PAR]:row[k.J_PAR] + row[k.J_NPAR]]
            each = out.setdefault(number[int(row[k.J_KEY])], {})
            own = row[k.J_KIND] == k.NOISE and row[k.J_FIRST] >= 0  # noise of each cell, not one for all
            one = k.amplitude(row[k.J_KIND], par, row[k.J_KEY], 0, at, sim.dt)
            for i in ids:  # all injections of one source of shared noise have one number
                value = k.amplitude(k.NOISE, par, row[k.J_KEY], i - row[k.J_FIRST], at, sim.dt) if own else one
                each[y + i] = each.get(y + i, 0.0) + value
    return out


def _change_currents(old: Simulation, new: Simulation, cells: list[_Cells]) -> None:
    """Add to the currents of all cells what they get now and did not get before."""
    place = _places(old, cells)
    change = np.zeros(new._net.current.size)
    before, now = _injected(old, old._step), _injected(new, old._step)
    for number in before.keys() | now.keys():
        delta: dict[int, float] = dict(now.get(number, {}))
        for neuron, amount in before.get(number, {}).items():
            if place[neuron] >= 0:
                delta[int(place[neuron])] = delta.get(int(place[neuron]), 0.0) - amount
        change[list(delta)] += list(delta.values())
    _change_graded(old, new, cells, change)
    k, net = new._k, new._net
    for g, group in enumerate(new._groups):
        own = change[group.y:group.y + group.n]
        if own.any():
            frame = new._step % group.modal.period if group.modal is not None else 0
            k.shift_currents(k.core(net), group.kind, group.y, np.arange(group.n), own, net.x[net.groups[g, k.G_X]:],
                             net.tables[net.groups[g, k.G_F]:], frame)


def _change_graded(old: Simulation, new: Simulation, cells: list[_Cells], change: np.ndarray) -> None:
    """Add what astrocytes give by projections that are new or changed, and take away what they gave by those that are not there now."""
    by_label = {one.label: one for one in cells}
    before, now = ([one for one in sim._described[1] if one.graded] for sim in (old, new))
    for sim, mine, others, sign in ((old, before, now, -1.0), (new, now, before, 1.0)):
        for one in mine:
            if any(one is other for other in others) or one.post.population.label not in by_label:
                continue
            pre, post, weight, delay = wiring.arrays(one, sim.network.seed, sim.dt)
            source, target = by_label.get(one.pre.population.label), by_label[one.post.population.label]
            if source is None or (sim is old and target.old is None):
                continue
            given = np.zeros(pre.size)
            steps = np.rint(delay / sim.dt).astype(int)
            for d in np.unique(steps):
                if old._step - 1 - d >= 0:
                    some = steps == d
                    state = new.get(new.network[one.pre.population.label], one.pre.cell.graded)
                    put = _put_at(old, old._net.puts, source, old._step - 1 - int(d), state)
                    given[some] = (put[one.pre.indices] * 1.0)[pre[some]] * weight[some]
            np.add.at(change, target.now.start + one.post.indices[post], sign * given)
