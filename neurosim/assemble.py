"""From groups and synapses to the flat arrays that the compiled loop runs on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .cells.sources import SpikeSourceArray, SpikeSourceInhGamma
from .currents import coded, noise_key, noise_number
from .errors import ParameterError
from .groups import LONGEST_SLICE, SOURCE, STEP, Group
from .learning import Tables
from .network import Network, PoissonInput
from .parameters import signed, stream_key
from .recording import Recording
from .synapses import ROW_WEIGHT, WEIGHTS32, Store, SynapseBlock
from .wiring import whole_steps

__all__ = ["assemble", "source_arrays"]

_MOST_IN_ONE_ROUND = 40.0  # mean of one table of Poisson numbers
_STABLE = 0.5  # greatest conductance of all gap junctions of a cell, times dt / cm


def source_arrays(groups: list[Group]) -> dict[str, np.ndarray]:
    """Per-neuron parameters of sources, over all neurons (zeros elsewhere)."""
    total = sum(g.n for g in groups)
    arrays = {name: np.zeros(total) for name in ("rate", "dead", "start", "stop")}
    for group in groups:
        for name in arrays:
            if group.kind == SOURCE:
                arrays[name][group.y:group.y + group.n] = group.columns[name]
    return arrays


class _Flat:
    """Pieces of one flat array, collected."""

    def __init__(self, dtype: Any) -> None:
        self.pieces: list[np.ndarray] = []
        self.size = 0
        self.dtype = dtype

    def add(self, piece: Any) -> int:
        """Append; returns where it begins."""
        at = self.size
        array = np.asarray(piece, dtype=self.dtype).ravel()
        self.pieces.append(array)
        self.size += array.size
        return at

    def done(self) -> np.ndarray:
        """The array; never empty, so that its type is the same everywhere."""
        return np.concatenate([*self.pieces, np.zeros(1, dtype=self.dtype)])


def poisson_table(mean: float) -> tuple[np.ndarray, np.ndarray]:
    """(table uint8 (4096,), cdf uint32) of Poisson numbers of 32-bit words; see `neurosim.kernels.poisson`."""
    cdf, p, total, number = [], math.exp(-mean), 0.0, 0
    while total < 1.0 - 2.0**-34 and number < 250:
        total += p
        cdf.append(min(2**32 - 1, round(total * 2**32)))
        number += 1
        p *= mean / number
    bounds = np.array(cdf, dtype=np.int64)
    low = np.searchsorted(bounds, np.arange(4096, dtype=np.int64) << 20, side="right")
    high = np.searchsorted(bounds, ((np.arange(4096, dtype=np.int64) + 1) << 20) - 1, side="right")
    return np.where(low == high, low, 255).astype(np.uint8), bounds.astype(np.uint32)


def _runs(ids: np.ndarray) -> list[tuple[int, int]]:
    """Maximal runs of successive numbers: (start, stop) positions in ``ids``."""
    edges = np.flatnonzero(np.diff(ids) != 1) + 1
    return list(zip([0, *edges], [*edges, ids.size], strict=True))


class _Assembler:
    def __init__(self, network: Network, groups: list[Group], place: dict[str, tuple[Group, int]], store: Store,
                 recorded: list[Recording], dt: float, seed: int) -> None:
        from .kernels import engine
        self.k, self.network, self.groups, self.place = engine, network, groups, place
        self.store, self.recorded, self.dt, self.seed = store, recorded, dt, seed
        self.tables, self.par, self.bins = _Flat(np.float64), _Flat(np.float64), _Flat(np.float64)
        self.row_ptr, self.row_weight, self.delays = _Flat(np.uint32), _Flat(np.float64), _Flat(np.int64)
        self.lookup, self.cdf, self.zero = _Flat(np.uint8), _Flat(np.uint32), _Flat(np.float64)
        self.index, self.inj_par, self.refr = _Flat(np.int64), _Flat(np.float64), _Flat(np.int64)
        self.array_step, self.array_id = _Flat(np.int64), _Flat(np.int32)
        self.blocks: list[list[int]] = []
        self.inputs: list[list[int]] = []
        self.injections: list[list[int]] = []
        self.records: list[list[int]] = []
        self.counts = 0
        self.least = 0
        self.put_depths = put_depths(groups, store)
        self.joined = {groups.index(end) for block in store.blocks if block.gap for end in (block.source, block.target)}
        self.puts = _Flat(np.float64)
        self.learning = Tables(network, groups, place, store, dt, _Flat, seed)

    # -- rows of tables -------------------------------------------------------------------------

    def group_rows(self) -> np.ndarray:
        k, rows, x, part = self.k, [], 0, 0
        for g, group in enumerate(self.groups):
            row = [0] * k.G_SIZE
            row[k.G_KIND], row[k.G_N], row[k.G_X], row[k.G_Y] = group.kind, group.n, x, group.y
            row[k.G_PARTS], row[k.G_PART0], row[k.G_PERIOD] = group.n_parts, part, 1
            row[k.G_KEY], row[k.G_SOURCE], row[k.G_NBINS] = signed(group.key), group.source, 1
            if group.modal is not None:
                row[k.G_PERIOD], row[k.G_F] = group.modal.period, self.tables.add(group.modal.tables)
                values = np.unique(group.columns["refractory"])
                row[k.G_REFR0], row[k.G_REFRS] = self.refr.add(values), values.size
            if group.step is not None:
                row[k.G_STEP], row[k.G_NPAR] = group.address, group.step.parameters.shape[1]
                row[k.G_P], row[k.G_FIRST] = self.par.add(group.step.parameters), int(group.step.deliver_first) + int(group.step.from_zero)
            row[k.G_PUT], row[k.G_DEPTH] = -1, self.put_depths.get(g, 1)
            if g in self.put_depths:
                row[k.G_PUTROW] = group.record_row(group.members[0].cell.graded)
                ring = np.zeros((self.put_depths[g], group.n))
                ring[0] = group.x[row[k.G_PUTROW]]
                row[k.G_PUT] = self.puts.add(ring)
            row[k.G_GAP] = -1
            if g in self.joined:
                row[k.G_GAPROW] = group.record_row("v")
                v = group.x[row[k.G_GAPROW]]
                row[k.G_GAP] = self.puts.add([v, v, v, np.zeros(group.n)])
            if group.kind == SOURCE:
                cell = group.members[0].cell
                table = np.zeros((3, 1))
                if isinstance(cell, SpikeSourceInhGamma):
                    table = np.stack([cell.tbins, cell.a, cell.b * 1000.0])
                row[k.G_BINS], row[k.G_NBINS] = self.bins.add(table), table.shape[1]
            rows.append(row)
            x += group.x.size
            part += group.n_parts
        return np.array(rows, dtype=np.int64).reshape(-1, k.G_SIZE)

    def part_rows(self) -> np.ndarray:
        k, rows = self.k, []
        pointers = self.block_pointers()
        for g, group in enumerate(self.groups):
            for p in range(group.n_parts):
                lo, hi = p * group.part_size, min((p + 1) * group.part_size, group.n)
                row = [0] * k.P_SIZE
                row[k.P_GROUP], row[k.P_LO], row[k.P_HI] = g, lo, hi
                row[k.P_MOD0] = len(self.learning.modulators)
                for kind, begin, number in (("static", k.P_BLOCK0, k.P_BLOCKS), ("changing", k.P_CHANGE0, k.P_CHANGES),
                                            ("graded", k.P_GRADED0, k.P_GRADEDS), ("gap", k.P_GAP0, k.P_GAPS)):
                    row[begin] = len(self.blocks)
                    self.add_blocks(group, p, pointers, kind)
                    row[number] = len(self.blocks) - row[begin]
                row[k.P_MODS] = len(self.learning.modulators) - row[k.P_MOD0]
                row[k.P_INPUT0] = len(self.inputs)
                for one in self.network.inputs:
                    self.add_input(one, group, lo, hi)
                row[k.P_INPUTS] = len(self.inputs) - row[k.P_INPUT0]
                row[k.P_INJ0] = len(self.injections)
                self.add_injections(group, lo, hi)
                row[k.P_INJS] = len(self.injections) - row[k.P_INJ0]
                row[k.P_REC0] = len(self.records)
                self.add_records(group, lo, hi)
                row[k.P_RECS] = len(self.records) - row[k.P_REC0]
                row[k.P_LEAST] = self.least
                self.least += -(-(hi - lo) // 256)
                row[k.P_ARR0], row[k.P_ARRS] = self.add_array(group, lo, hi)
                row[k.P_SITE0], row[k.P_SITES] = self.learning.sites_of(group)
                rows.append(row)
        return np.array(rows, dtype=np.int64).reshape(-1, k.P_SIZE)

    def block_pointers(self) -> dict[int, list[int]]:
        out = {}
        for b, block in enumerate(self.store.blocks):
            weights = self.row_weight.add(np.nan_to_num(block.row_weight))
            delays = self.delays.add(block.delays)
            out[b] = [weights, delays, *(self.row_ptr.add(pointer) for pointer in block.pointer)]
        return out

    def add_blocks(self, group: Group, p: int, pointers: dict[int, list[int]], kind: str) -> None:
        k = self.k
        for b, block in enumerate(self.store.blocks):
            if block.target is not group or block.sort != kind:
                continue
            if block.bases[p + 1] == block.bases[p] and block.structure is None:
                continue
            if block.graded and block.kind == ROW_WEIGHT and not np.nan_to_num(block.row_weight).any():  # for `modulate_gain` only
                continue
            row = [0] * k.B_SIZE
            row[k.B_SOURCE] = self.groups.index(block.source)
            row[k.B_RECEPTOR] = 0 if block.graded or block.gap else group.input_row(block.receptor)
            row[k.B_WEIGHTS], row[k.B_WIDE], row[k.B_WAKES] = block.kind, int(block.wide), int(block.wakes)
            row[k.B_DELAYS], row[k.B_DELAY0] = block.delays.size, pointers[b][1]
            row[k.B_PTR], row[k.B_TARGETS] = pointers[b][2 + p], block.at + int(block.bases[p])
            row[k.B_W] = pointers[b][0] if block.kind == ROW_WEIGHT else block.weights_at + int(block.bases[p])
            row[k.B_SINCE] = block.since
            row[k.B_ROWS], row[k.B_RULE] = block.source.n, self.learning.add_rule(block, p)
            if row[k.B_RULE] >= 0:
                self.learning.add_modulators(block, row[k.B_RULE], k)
            self.learning.block_of.append(block)
            self.blocks.append(row)

    def add_input(self, one: PoissonInput, group: Group, lo: int, hi: int) -> None:
        owner, first = self.place[one.target.population.label]
        if owner is not group:
            return
        ids = first + one.target.indices
        rates = np.broadcast_to(np.asarray(one.rate, dtype=float), ids.shape)
        order = np.argsort(ids, kind="stable")
        here = order[(ids[order] >= lo) & (ids[order] < hi)]
        distinct = np.unique(rates)
        if distinct.size > 32:  # looked at over all parts: draws must not depend on them
            self.input_row(one, group, ids[here], here, rates[here], float(distinct[-1]))
            return
        for rate in distinct:
            chosen = here[rates[here] == rate]
            if rate == 0.0:
                continue
            runs = _runs(ids[chosen])
            if len(runs) > 8 or (np.diff(chosen) != 1).any():
                self.input_row(one, group, ids[chosen], chosen, float(rate))
                continue
            for a, b in runs:
                self.input_row(one, group, ids[chosen[a:b]], chosen[a:b], float(rate))

    def input_row(self, one: PoissonInput, group: Group, ids: np.ndarray, items: np.ndarray, rate: Any,
                  highest: float | None = None) -> None:
        """One row: neurons ``ids`` of the group, which are the ``items`` of the input (they address the draws)."""
        if ids.size == 0:
            return
        k = self.k
        mean = np.asarray(rate) * self.dt / 1000.0
        most = float(np.max(mean)) if highest is None else highest * self.dt / 1000.0
        rounds = max(1, math.ceil(most / _MOST_IN_ONE_ROUND))
        row = [0] * k.I_COLS
        contiguous = ids[-1] - ids[0] == ids.size - 1 and (np.diff(items) == 1).all()
        row[k.I_LO], row[k.I_SIZE], row[k.I_FIRST] = int(ids[0]), ids.size, int(items[0])
        row[k.I_INDEX] = -1 if contiguous else self.index.add(ids)
        row[k.I_ITEMS] = -1 if contiguous else self.index.add(items)
        row[k.I_RECEPTOR], row[k.I_ROUNDS] = group.input_row(one.receptor), rounds
        table, cdf = poisson_table(float(np.max(mean)) / rounds)
        row[k.I_TABLE], row[k.I_CDF], row[k.I_NCDF] = self.lookup.add(table), self.cdf.add(cdf), cdf.size
        row[k.I_ZERO] = -1 if np.ndim(mean) == 0 else self.zero.add(np.exp(-mean / rounds))
        row[k.I_WEIGHT] = self.zero.add([one.weight])
        row[k.I_START] = round(one.start / self.dt)
        row[k.I_STOP] = 2**62 if math.isinf(one.stop) else round(one.stop / self.dt)
        row[k.I_KEY] = signed(stream_key(self.seed, "input", one.label))
        row[k.I_COUNTS] = self.counts
        self.counts += 4 * ids.size
        self.inputs.append(row)

    def add_injections(self, group: Group, lo: int, hi: int) -> None:
        k = self.k
        for injection in self.network.injections:
            owner, first = self.place[injection.target.population.label]
            if owner is not group:
                continue
            ids = np.sort(first + injection.target.indices)
            ids = ids[(ids >= lo) & (ids < hi)]
            if ids.size == 0:
                continue
            kind, par = coded(injection.current, self.dt)
            row = [0] * k.J_COLS
            row[k.J_KIND], row[k.J_INDEX], row[k.J_SIZE] = kind, self.index.add(ids), ids.size
            row[k.J_PAR], row[k.J_NPAR] = self.inj_par.add(par), len(par)
            row[k.J_KEY] = noise_key(self.seed, noise_number(self.network.injections, injection))
            row[k.J_FIRST] = -1 if getattr(injection.current, "shared", True) else first
            self.injections.append(row)

    def add_records(self, group: Group, lo: int, hi: int) -> None:
        k = self.k
        for number, one in enumerate(one for one in self.recorded if one.variable != "spikes"):
            if one.group is not group:
                continue
            ids = one.first + one.ids
            here = np.flatnonzero((ids >= lo) & (ids < hi))
            if here.size == 0:
                continue
            row = [0] * k.R_COLS
            row[k.R_ROW], row[k.R_EVERY] = group.record_row(one.variable), one.every
            row[k.R_INDEX], row[k.R_SIZE] = self.index.add(ids[here]), here.size
            row[k.R_STRIDE], row[k.R_COLUMN] = ids.size, int(here[0])
            row[k.R_NUMBER] = number
            self.records.append(row)

    def add_array(self, group: Group, lo: int, hi: int) -> tuple[int, int]:
        if group.kind != SOURCE or not isinstance(group.members[0].cell, SpikeSourceArray):
            return 0, 0
        rows = group.members[0].cell.rows(group.n, group.label)[lo:hi]
        steps = np.concatenate([whole_steps(row, self.dt, least=0.0).astype(np.int64) for row in rows])
        ids = np.repeat(np.arange(lo, hi), [row.size for row in rows])
        order = np.lexsort((ids, steps))
        self.array_id.add(ids[order])
        return self.array_step.add(steps[order]), steps.size


def put_depths(groups: list[Group], store: Store) -> dict[int, int]:
    """How many steps of their output the groups that others read all the time must keep; the same for any threads."""
    depths: dict[int, int] = {}
    for block in store.blocks:
        if block.graded:  # a slice lies between reading and writing, and a change needs two steps
            g = groups.index(block.source)
            depths[g] = max(depths.get(g, 0), int(block.delays[-1]) + LONGEST_SLICE + 2)
    return depths


def check_junctions(network: Network, place: dict[str, tuple[Group, int]], store: Store, dt: float) -> None:
    """Refuse gap junctions that are too strong for the step: their currents are held over it (`ElectricalSynapse`)."""
    gaps = [block for block in store.blocks if block.gap]
    for population in network.populations if gaps else []:
        group, first = place[population.label]
        charged = getattr(population.cell, "capacitance", 0.0)
        if not any(block.target is group for block in gaps) or ("cm" not in population.cell.parameters() and not charged):
            continue
        total = np.sum([_conductance(block, store) for block in gaps if block.target is group], axis=0)[first:first + population.size]
        values = population.cell.values(population.size, network.seed, population.label)
        cm = values.get("cm", np.full(population.size, charged))
        worst = int(np.argmax(total / cm))
        if total[worst] * dt > _STABLE * cm[worst] * (1.0 + 1e-9):
            raise ParameterError(
                f"{population.label}[{worst}]: the gap junctions of a cell together must have a conductance <= {_STABLE:g} cm / dt ="
                f" {_STABLE * cm[worst] / dt:g} uS, or the step of {dt:g} ms is not stable, got {total[worst]:g} uS"
            )


def _conductance(block: SynapseBlock, store: Store) -> np.ndarray:
    """The sum of the weights onto each target; float64, shape (targets,)."""
    total = np.zeros(block.target.n)
    targets = store.targets32 if block.wide else store.targets16
    for p, pointer in enumerate(block.pointer):
        own = slice(block.bases[p], block.bases[p + 1])
        if block.kind == ROW_WEIGHT:
            weights = np.repeat(block.row_weight, np.diff(pointer.astype(np.int64)))
        else:
            weights = (store.weights32 if block.kind == WEIGHTS32 else store.weights64)[block.weights_at:][own]
        total += np.bincount(targets[block.at:][own].astype(np.int64) + p * block.target.part_size, weights, total.size)
    return total


def _table(rows: list[list[int]], columns: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, columns)


def _over_neurons(groups: list[Group], name: str, default: float) -> np.ndarray:
    pieces = [g.columns[name] if name in g.columns and g.kind < STEP else np.full(g.n, default) for g in groups]
    return np.ascontiguousarray(np.concatenate(pieces), dtype=np.float64)


def assemble(network: Network, groups: list[Group], place: dict[str, tuple[Group, int]], store: Store,
             recorded: list[Recording], dt: float, seed: int) -> tuple[Any, Tables]:
    """The ``Net`` of the compiled loop, at step 0, and the tables of plasticity.

    Spike lists and traces are sized by the simulation.
    """
    check_junctions(network, place, store, dt)
    a = _Assembler(network, groups, place, store, recorded, dt, seed)
    k = a.k
    group_rows, parts = a.group_rows(), a.part_rows()
    total = sum(g.n for g in groups)
    n_parts = parts.shape[0]
    h0 = _over_neurons(groups, "h0", math.inf)
    row_ptr, at = a.row_ptr.done(), 0
    for block in store.blocks:  # the flat array holds the pointers from now on
        for p, pointer in enumerate(block.pointer):
            block.pointer[p] = row_ptr[at:at + pointer.size]
            at += pointer.size
    net = k.Net(
        groups=group_rows, parts=parts, blocks=_table(a.blocks, k.B_SIZE), inputs=_table(a.inputs, k.I_COLS),
        injections=_table(a.injections, k.J_COLS), records=_table(a.records, k.R_COLS),
        mode=np.zeros(len(groups), np.int64), rebuild=np.zeros(n_parts, np.int64),
        x=np.concatenate([*(g.x.ravel() for g in groups), np.zeros(1)]), par=a.par.done(), tables=a.tables.done(),
        h=h0.copy(), h0=h0, rho=_over_neurons(groups, "rho", 0.0), base=_over_neurons(groups, "base", 0.0),
        scale=_over_neurons(groups, "scale", 1.0), gain=_over_neurons(groups, "gain", 0.0),
        reset=_over_neurons(groups, "reset", 0.0),
        refractory=_over_neurons(groups, "refractory", 0.0).astype(np.int32), refr_values=a.refr.done(),
        current=np.zeros(total), due=np.full(total, -1, np.int64), active=np.zeros(total, np.int32),
        n_active=np.zeros(n_parts, np.int64), spikes=np.zeros(1, np.int32),
        offsets=np.zeros(n_parts, np.int64), pointer=np.zeros((n_parts, 2), np.int64),
        row_ptr=row_ptr, targets16=store.targets16, targets32=store.targets32, row_weight=a.row_weight.done(),
        weights32=store.weights32, weights64=store.weights64, delays=a.delays.done(), lookup=a.lookup.done(),
        cdf=a.cdf.done(), zero=a.zero.done(), counts=np.zeros(a.counts + 1, np.uint16), index=a.index.done(),
        inj_par=a.inj_par.done(), following=np.full(total, math.inf), draws=np.zeros(total, np.int64),
        least=np.full(a.least + 1, math.inf), **source_arrays(groups), bins=a.bins.done(),
        array_step=a.array_step.done(), array_id=a.array_id.done(), array_next=parts[:, k.P_ARR0].copy(),
        traces=np.zeros(1), stats=np.zeros((n_parts, k.S_SIZE), np.int64), puts=a.puts.done(),
        stirred=np.ones((max(a.put_depths.values(), default=1), n_parts), np.int64), meeting=np.zeros(1, np.int64),
        full=np.zeros(4, np.int64), **a.learning.arrays(k),
    )
    return net, a.learning
