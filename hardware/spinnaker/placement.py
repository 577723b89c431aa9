"""Which core holds what: a `Deployment` cut into pieces and put onto chips, as sPyNNaker 1!7.4.1 does it.

Pieces, delay extensions and SDRAM are sPyNNaker's to the core and byte; so are chips and cores on one board (``ApplicationPlacer``).
Of more than one board only the numbers of chips and boards are told, as sPyNNaker estimates them (``ChipCounter``).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from .deployment import Deployment, LoadedCells, Problem
from .limits import CELLS, MACHINE, cell_binaries, has_binary
from .memory import GATHERER, MONITOR, Edge, Memory, array_memory, cells_memory, delay_memory, longest_rows, poisson_memory, row_words

__all__ = ["PLANNED_STEPS", "Placement", "Vertex", "edges_of", "place"]

# sPyNNaker plans memory for runs of this many steps and pauses longer runs to read it: cfg [Buffers] minimum_auto_time_steps.
PLANNED_STEPS = 1000
# Chips of a board (x, y), those with 17 cores, and where a chip's links lead, by number.
CHIPS = tuple((x, y) for x in range(8) for y in range(max(0, x - 4), min(8, x + 4)))
SMALL = frozenset({(1, 1), (1, 3), (3, 1), (3, 3), (3, 5), (5, 2), (5, 4), (5, 6)})
LINKS = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))


@dataclasses.dataclass(eq=False)
class Vertex:
    """What runs on one core.

    Attributes
    ----------
    label : str
        Of the population; of a delay extension that of its source.
    kind : str
        neurons, array, poisson or delays.
    first, last : int
        Cells, both included.
    binary : str
    memory : Memory
    stages : int
        Of a delay extension.
    chip : (int, int) or None
    core : int or None
        Both None where there is more than one board.
    """

    label: str
    kind: str
    first: int
    last: int
    binary: str
    memory: Memory
    stages: int = 0
    chip: tuple[int, int] | None = None
    core: int | None = None


@dataclasses.dataclass(eq=False)
class Placement:
    """A deployment on chips.

    Attributes
    ----------
    vertices : list of Vertex
        In the order in which they are placed; monitors are left out.
    chips, boards : int
        Chips with at least one of them, and boards.
    exact : bool
        Whether chips and cores are known (one board), not estimated.
    stages : dict
        Label of a source -> stages of its delay extension.
    entries : int
        Most entries that a chip's routing table has before it is compressed: cores that send.
    problems : list of Problem
        What does not fit.
    """

    vertices: list[Vertex]
    chips: int
    boards: int
    exact: bool
    stages: dict[str, int]
    entries: int
    problems: list[Problem]

    @property
    def cores(self) -> int:
        """Application cores: neurons, sources and delay extensions."""
        return len(self.vertices)

    @property
    def all_cores(self) -> int:
        """With the monitor of each chip of the boards and the packet gatherer of each board."""
        return self.cores + self.boards * (MACHINE.chips_per_board * MACHINE.monitor_cores + MACHINE.gatherer_cores)

    def of(self, label: str, kind: str | None = None) -> list[Vertex]:
        """The vertices of a population; with kind ``"delays"``, its delay extension."""
        return [one for one in self.vertices if one.label == label and (one.kind == kind if kind else one.kind != "delays")]

    def sdram(self, steps: int = PLANNED_STEPS) -> int:
        """Bytes of all application cores for a run of so many steps."""
        return sum(one.memory.total(steps) for one in self.vertices)

    def __str__(self) -> str:
        head = (f"{self.cores} cores on {self.chips} chip{'s' * (self.chips > 1)} of {self.boards} board{'s' * (self.boards > 1)}"
                f" ({self.sdram() / 2**20:.1f} MiB for {PLANNED_STEPS} steps{'' if self.exact else '; chips estimated'})")
        return "\n".join([head, *(f"    {_where(one)}  {one.memory.total(PLANNED_STEPS):>9} B  {one.label}"
                                  f"[{one.first}:{one.last + 1}] {one.kind}{f' ({one.stages} stages)' if one.stages else ''}"
                                  for one in self.vertices)])


def place(deployment: Deployment) -> Placement:
    """Cut a deployment into pieces and put them onto chips.

    Parameters
    ----------
    deployment : Deployment

    Returns
    -------
    Placement
        What does not fit is among its ``problems``: nothing is raised.
    """
    problems: list[Problem] = []
    edges = edges_of(deployment, problems)
    stages = {deployment.cells[k].label: most for k in range(len(deployment.cells))
              if (most := max((edge.stages for edge in edges if edge.pre == k), default=0))}
    groups = []
    for k, cells in enumerate(deployment.cells):
        groups.append([Vertex(cells.label, *piece) for piece in _pieces(deployment, k, [edge for edge in edges if edge.post == k])])
    for edge in _delayed(deployment, edges):
        source = deployment.cells[edge.pre]
        groups.append([Vertex(source.label, "delays", first, last, "delay_extension.aplx", delay_memory(), edge.stages)
                       for first, last in _slices(source)])
    vertices = [one for group in groups for one in group]
    chips, boards = _count(vertices)
    exact = boards == 1 and _put(groups, problems)
    if exact:
        chips = len({one.chip for one in vertices})
    sends = {edge.pre for edge in edges}
    senders = sum(len(group) for k, group in enumerate(groups) if k in sends or k >= len(deployment.cells))
    return Placement(vertices, chips, boards, exact, stages, senders, problems)


# ------------------------------------------------------------------------------------------ pieces


def edges_of(deployment: Deployment, problems: list[Problem] | None = None) -> list[Edge]:
    """The edges between populations, by target, then source as it first comes; with the stages of the source's delay extension."""
    problems = [] if problems is None else problems
    pairs: dict[tuple[int, int], list] = {}
    for one in deployment.synapses:
        if one.source.size:
            pairs.setdefault((one.pre, one.post), []).append(one)
    needed = {}
    for (pre, post), synapses in pairs.items():
        slots, longest = deployment.cells[post].slots, max(int(one.delay.max()) for one in synapses)
        needed[pre, post] = math.ceil(longest / slots) - 1
    made = []
    for (pre, post), synapses in sorted(pairs.items(), key=lambda pair: pair[0][1]):
        source, target = deployment.cells[pre], deployment.cells[post]
        stages = max(count for (one, _), count in needed.items() if one == pre) if needed[pre, post] else 0
        made.append(Edge(pre, post, synapses, source.size, min(source.per_core or source.size, source.size), stages))
        problems += _rows(made[-1], target, source)
        problems += _misplaced(made[-1], target, source)
    return made


def _rows(edge: Edge, target: LoadedCells, source: LoadedCells) -> Iterator[Problem]:
    """Rows that are longer than the table of a core can say."""
    for one in edge.synapses:
        count = max(longest_rows(one, min(target.per_core, target.size), target.slots))
        if row_words(count, target.plastic if one.plastic else None) > MACHINE.row_length:
            yield Problem(f"projection {one.label}", f"one cell of {source.label} has {count} synapses on one core of {target.label}, and a"
                          f" row has room for {MACHINE.row_length} words", "Use fewer neurons_per_core of the target")


LOST = "sPyNNaker loses synapses"
"""Of problems that are a fault of sPyNNaker's lists, and none of the machine."""


def _misplaced(edge: Edge, target: LoadedCells, source: LoadedCells) -> Iterator[Problem]:
    """Lists with two delay stages or more: sPyNNaker 1!7.4.1 counts their rows with the target's neurons per core, not the source's."""
    per_core = min(target.per_core, target.size)
    if edge.stages > 1 and (source.size % per_core or edge.per_core != per_core):
        yield Problem(f"population {source.label} to {target.label}",
                      f"delays of more than {2 * target.slots} steps: {LOST} unless each core of {source.label} holds"
                      f" {per_core} cells, as those of {target.label} do",
                      f"Use shorter delays, or fewer neurons_per_core of {target.label}, or make all cores of both of one size")


def _delayed(deployment: Deployment, edges: Sequence[Edge]) -> Iterator[Edge]:
    """One edge for each source that has a delay extension, in the order in which projections name them."""
    for pre in dict.fromkeys(one.pre for one in deployment.synapses if one.source.size):
        yield from [edge for edge in edges if edge.pre == pre and edge.stages][:1]


def _slices(cells: LoadedCells) -> list[tuple[int, int]]:
    """First and last cell of each core."""
    per_core = cells.per_core or cells.size
    return [(first, min(first + per_core, cells.size) - 1) for first in range(0, cells.size, per_core)]


def _pieces(deployment: Deployment, k: int, edges: Sequence[Edge]) -> Iterator[tuple[str, int, int, str, Memory]]:
    cells, dt = deployment.cells[k], deployment.settings.dt
    recorded = any(one.label == cells.label for one in deployment.records)
    if not cells.is_source:
        rule = "static" if cells.plastic is None else (cells.plastic.timing, cells.plastic.weight)
        combined, split = cell_binaries(cells.model, rule)
        binary = split[0] if has_binary(cells.model, rule) == "split" else combined
        memory = cells_memory(deployment, cells, edges, len(CELLS[cells.model].recordable) - 1)
        yield from (("neurons", first, last, binary, memory) for first, last in _slices(cells))
    elif cells.ticks is not None:
        for first, last in _slices(cells):
            yield "array", first, last, "reverse_iptag_multicast_source.aplx", array_memory(cells.ticks[first:last + 1], recorded)
    else:
        for first, last in _slices(cells):
            yield "poisson", first, last, "spike_source_poisson.aplx", poisson_memory(cells, last - first + 1, recorded, dt)


# ------------------------------------------------------------------------------------------ chips


def _count(vertices: Sequence[Vertex]) -> tuple[int, int]:
    """Chips and boards that sPyNNaker asks for: all chips alike, filled one after the other."""
    chips = cores = memory = 0
    for one in vertices:
        size = one.memory.total(PLANNED_STEPS)
        if not cores or memory < size:
            chips, cores, memory = chips + 1, _user_cores(), MACHINE.sdram - MONITOR
        cores, memory = cores - 1, memory - size
    return chips, max(1, -(-chips // MACHINE.chips_per_board))


def _user_cores() -> int:
    return MACHINE.cores_per_chip - MACHINE.scamp_cores - MACHINE.monitor_cores


def _put(groups: Sequence[Sequence[Vertex]], problems: list[Problem]) -> bool:
    """Give vertices their chips and cores on one board; whether there is room.

    A population goes onto chips that are linked, starting on the first chip that is not full; if its neighbourhood has no room, it is
    tried again from the next chip.
    """
    free = {chip: list(range(2 + (chip == (0, 0)), MACHINE.cores_per_chip - (chip in SMALL))) for chip in CHIPS}
    used = {chip: MONITOR + (GATHERER if chip == (0, 0) else 0) for chip in CHIPS}
    most = MACHINE.sdram - MONITOR
    cap = most - most // _user_cores()
    full: set[tuple[int, int]] = set()
    waiting = iter(CHIPS)
    again: list[tuple[int, int]] = []
    tried: list[tuple[int, int]] = []
    for group in groups:
        sizes = [one.memory.total(PLANNED_STEPS) for one in group]
        if max(sizes, default=0) > most:
            problems.append(Problem(f"population {group[0].label}", f"a core needs {max(sizes)} bytes of SDRAM, and a chip has {most}",
                                    "Use fewer neurons_per_core, or record less"))
            return False
        again += tried
        tried.clear()
        while True:
            found = _neighbourhood(sizes, free, used, full, cap, again, waiting, tried)
            if found is None:
                problems.append(Problem("placement", f"no room for {group[0].label} on {len(CHIPS)} linked chips",
                                        "Use fewer cells or more neurons_per_core, or ask for more boards"))
                return False
            if found:
                break
        for one, size, chip in zip(group, sizes, found, strict=True):
            one.chip, one.core = chip, free[chip].pop(0)
            used[chip] += size
    return True


def _neighbourhood(sizes: Sequence[int], free: dict, used: dict, full: set, cap: int, again: list, waiting: Iterator,
                   tried: list) -> list[tuple[int, int]] | None:
    """A chip for each of these sizes; empty if the next start has too little room around it, None if there is no start left."""
    prepared: set[tuple[int, int]] = set()
    nearby: dict[tuple[int, int], None] = {}
    chip: tuple[int, int] | None = None
    cores = memory = 0
    found = []

    def opens(candidate: tuple[int, int], size: int) -> bool:
        nonlocal chip, cores, memory
        if not free[candidate] or used[candidate] > cap:
            full.add(candidate)
            return False
        prepared.add(candidate)
        if used[candidate] + size > MACHINE.sdram:
            return False
        chip, cores, memory = candidate, len(free[candidate]), used[candidate] + size
        for dx, dy in LINKS:
            beside = (candidate[0] + dx, candidate[1] + dy)
            if beside in free and beside not in full and beside not in prepared:
                nearby[beside] = None
        return True

    for size in sizes:
        if chip is None:
            while True:
                start = next((one for one in _starts(again, waiting) if one not in full), None)
                if start is None:
                    return None
                tried.append(start)
                if opens(start, size):
                    break
        elif cores and memory + size <= MACHINE.sdram:
            memory += size
        else:
            while nearby:
                beside = next(iter(nearby))
                del nearby[beside]
                if opens(beside, size):
                    break
            else:
                return []
        cores -= 1
        found.append(chip)
    return found  # type: ignore[return-value]


def _starts(again: list, waiting: Iterator) -> Iterator[tuple[int, int]]:
    """Chips that were tried before, then the others."""
    while again:
        yield again.pop(0)
    yield from waiting


def _where(one: Vertex) -> str:
    return "     -   " if one.chip is None else f"({one.chip[0]}, {one.chip[1]}) {one.core:>2}"
