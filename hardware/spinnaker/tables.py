"""The page of what SpiNNaker has, from the data: ``python -m neurosim.hardware.spinnaker.tables > docs/spinnaker_machine.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from . import limits
from .cells import MODELS
from .learning import RULES

__all__ = ["page"]

_EXACT = "bit for bit, held against the machine's code"

_HEAD = f"""# SpiNNaker as data

What sPyNNaker {limits.VERSION} has, as `neurosim.hardware.spinnaker.limits` holds it and `check` uses it; the tables are written by
`python -m neurosim.hardware.spinnaker.tables`. A test compares every number that can be read from the installed package, and the
list of binaries.
[What to do with it](spinnaker.md)."""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD, "## Cells", _cells(), "## Learning rules", _rules(), "## Not there", _absent(), "## Connectors", _connectors(),
             "## Numbers", _numbers()]
    return "\n\n".join(parts) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(head), ["---"] * len(list(head)), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


_SOURCES = {"SpikeSourceArray": _EXACT, "SpikeSourcePoisson": f"{_EXACT}, below 10 spikes a step"}


def _cells() -> str:
    """Each cell with what the emulator knows of it."""
    rows = []
    for one in limits.CELLS.values():
        model = MODELS.get(one.name)
        state = _SOURCES.get(one.name, "no") if model is None else _EXACT if model.verified else "unverified"
        counted = " + ".join(str(n) for n in model.instructions) if model else "-"
        rows.append([f"`{one.name}`", one.module.removeprefix("pyNN."), state, ", ".join(one.receptors) or "-",
                     one.per_core or "any", counted])
    return ("Instructions were counted in the shipped binaries: of a cell and step, + each receptor with input, + a spike. No instruction"
            " takes less than one of the core's 200,000 cycles a ms.\n\n"
            + _table(("cell", "from", "emulated", "receptors", "on a core", "instructions"), rows))


def _rules() -> str:
    cells = [one for one in limits.CELLS.values() if one.binary]
    rows = []
    for key in limits.DYNAMICS:
        if not isinstance(key, tuple):
            continue
        together = [one.name for one in cells if limits.has_binary(one.name, key) == "combined"]
        known = RULES.get(key)
        state = "no binary" if not together else "no" if known is None else _EXACT if known.verified else "unverified"
        rows.append([" ".join(key).replace("_", " "), state, ", ".join(f"`{one}`" for one in together) or "-"])
    return _table(("rule", "emulated", "cells it has a binary with"), rows)


def _absent() -> str:
    rows = [[f"`{name}`", remedy] for name, remedy in limits.ABSENT_CELLS.items()]
    rows += [[f"`{name}`", one.note] for name, one in {**limits.SYNAPSES, **limits.CONNECTORS}.items() if not one.there]
    return _table(("what", "instead"), rows)


def _connectors() -> str:
    there = ", ".join(f"`{name}`" for name, one in limits.CONNECTORS.items() if one.there)
    return f"All of these are written as lists over whole populations, so that the board has the synapses that were drawn here: {there}."


def _numbers() -> str:
    rows = [[f"`{name}`", f"{value:g}" if isinstance(value, float) else f"{value:,}", unit, what, source]
            for name, (value, unit, what, source) in limits.Machine.told().items()]
    return _table(("name", "value", "unit", "what", "source"), rows)


if __name__ == "__main__":
    sys.stdout.write(page())
