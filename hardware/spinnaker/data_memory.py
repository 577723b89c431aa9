"""The data memory (DTCM) of a core: whether what a program asks for as it starts finds room.

sPyNNaker does not ask.  A population that does not fit is mapped and loaded without complaint, and its cores stop with a run time error
before the first step.  What is taken, and how much there is, was counted in the shipped programs (allocations of SARK, each with a head
of 8 bytes).
"""

from __future__ import annotations

from typing import NamedTuple

from neurosim.currents import StepCurrentSource

from . import limits
from .deployment import Deployment, LoadedCells, Problem
from .learning import RULES, learning

__all__ = ["HEAP", "STATE", "DataMemory", "data_memory", "of_cells"]

HEAP = 60756  # bytes: 65536 less data and stacks of the fullest program; up to 40 more in others

# Bytes of a cell: its state and parameters, and 8 for which of its variables are recorded.
STATE = {
    "IF_curr_exp": 72, "IF_cond_exp": 80, "IF_curr_alpha": 88, "IF_curr_delta": 60, "Izhikevich": 76, "Izhikevich_cond": 84,
    "Izhikevich_cond_dual": 96, "IF_curr_dual_exp": 84, "IF_curr_exp_sEMD": 96, "IFCurrExpCa2Adaptive": 84, "IFCurrDeltaCa2Adaptive": 72,
    "IFCurrDeltaFixedProb": 80, "IFCondExpStoc": 92, "IFTruncDelta": 48,
}
_REST, _SOURCE, _DELAYED, _MATRIX = 5248, 28, 40, 4
_RULE, _HEAD = 72, 8
_CURRENTS, _CURRENT, _INJECTED = 520, 48, 16


class DataMemory(NamedTuple):
    """Bytes of the fullest core of a population.

    ``ring`` buffers, ``state`` of the cells, ``histories`` of their spikes and ``tables`` of decays where they learn, ``recording``
    buffers, ``currents`` injected, and the ``rest``: buffers for packets and rows, the table of sources.
    """

    ring: int
    state: int
    histories: int
    tables: int
    recording: int
    currents: int
    rest: int

    @property
    def total(self) -> int:
        """The sum."""
        return sum(self)


def data_memory(deployment: Deployment, cells: LoadedCells) -> DataMemory:
    """What the cores of a population take, cells and synapses on the same core.

    Never less than it is; up to 32 bytes more, and where currents are injected up to some 100 bytes more.

    Raises
    ------
    ValueError
        If the size of the model's cells is not known.
    """
    if cells.model not in STATE:
        raise ValueError(f"{cells.label}: the size of {cells.model} is not known; known are {', '.join(STATE)}")
    n = min(cells.size, cells.per_core)
    place = next(k for k, one in enumerate(deployment.cells) if one is cells)
    arriving = [one for one in deployment.synapses if one.post == place and len(one.source)]
    sources = {one.pre for one in arriving}
    late = {one.pre for one in arriving if (one.delay > cells.slots).any()}
    variables = {one.variable for one in deployment.records if one.label == cells.label} - {"spikes"}
    histories = tables = 0
    if cells.plastic is not None:
        kind = RULES[cells.plastic.timing, cells.plastic.weight]
        histories = kind.history * n
        tables = _RULE + 2 * learning(cells.plastic, cells, deployment.settings.dt).tables.size + (4 + _HEAD) * len(kind.taus)
    currents = 0
    if cells.currents:
        currents = _CURRENTS + 4 * n
        for source, ids in cells.currents:
            steps = len(source.times) if isinstance(source, StepCurrentSource) else 0
            currents += _CURRENT + _INJECTED * min(len(ids), n) + 8 * steps
    return DataMemory(
        ring=2 * cells.slots * 2 ** (limits.bits(n) + limits.bits(len(cells.receptors))),
        state=STATE[cells.model] * n,
        histories=histories,
        tables=tables,
        recording=4 * n * len(variables) + 4 * -(-n // 32),
        currents=currents,
        rest=_REST + _SOURCE * len(sources) + _DELAYED * len(late) + _MATRIX * len(arriving),
    )


def of_cells(deployment: Deployment, cells: LoadedCells) -> list[Problem]:
    """A problem if a core of the population could not start."""
    need = data_memory(deployment, cells)
    if need.total <= HEAP:
        return []
    parts = ", ".join(f"{name} {value}" for name, value in need._asdict().items() if value)
    n = min(cells.size, cells.per_core)
    return [Problem(f"population {cells.label}",
                    f"{n} cells a core take {need.total} bytes of data memory ({parts}); a core has {HEAP}, and its program would stop"
                    " before the first step",
                    f"Put fewer on a core (neurons_per_core[{cells.label!r}]), shorten the longest delay, or record fewer variables")]
