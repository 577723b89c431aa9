"""A report of `check` as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from . import limits

__all__ = ["text"]

_WIDTH = 100
_MOST = 24  # rows of a table


def text(report: Any) -> str:
    """A `Report` in words and tables of at most 100 columns, as far as labels allow."""
    deployment, placed = report.deployment, report.placement
    settings = deployment.settings
    slow = f", {settings.time_scale_factor:g} times slower than real time" if settings.time_scale_factor != 1 else ""
    found = [_count(len(some), what) for some, what in ((report.problems, "problem"), (report.notes, "note")) if some]
    verdict = ("can be deployed, with " if report.ok else "cannot be deployed: ") + " and ".join(found) if found else "can be deployed"
    parts = [f"{deployment.network.label} on SpiNNaker (sPyNNaker {limits.VERSION}), steps of {settings.dt:g} ms{slow}: {verdict}"]
    parts += [_problem(k, one) for k, one in enumerate(report.problems, 1)]
    if deployment.cells:
        about = "" if placed.exact else "about "
        loaded = {one.label for one in deployment.cells}
        absent = [one.label for one in deployment.network.populations if one.label not in loaded]
        without = f", without {_listed(absent)}" if absent else ""
        size = f"{_count(placed.cores, 'core')} on {about}{_count(placed.chips, 'chip')} of {_count(placed.boards, 'board')}"
        parts.append(_wrapped(f"{size}, {_bytes(placed.sdram())} of SDRAM for 1000 steps{without}", ""))
        parts.append(_cells(report))
    if report.projections:
        parts.append(_projections(report))
    if report.rings:
        parts.append(_rings(report))
    if report.rules:
        parts.append("\n".join(_rule(one) for one in report.rules))
    if report.notes:
        parts.append("\n".join(_wrapped(one, "- ") for one in report.notes))
    return "\n\n".join(parts)


def _problem(number: int, one: Any) -> str:
    head = _wrapped(f"{one.what}: {one.reason}.", f"{number}. ")
    return head + "\n" + textwrap.fill(f"{one.remedy}.", _WIDTH, initial_indent="   -> ", subsequent_indent="      ")


def _cells(report: Any) -> str:
    part = {one.label: one for one in report.loads}
    rows = [["population", "model", "cells", "per core", "cores", "SDRAM", "busiest core"]]
    for one in report.populations:
        rows.append([one.label + (f" (+{_count(one.stages, 'delay stage')})" if one.stages else ""), one.model, str(one.cells),
                     str(min(one.per_core, one.cells)), str(one.cores), _bytes(one.sdram), _percent(part[one.label].total)])
    return _table(rows, "ll")


def _projections(report: Any) -> str:
    rows = [["projection", "synapses", "weights asked for", "step", "worst error", "delays (ms)"]]
    for one in report.projections:
        asked = f"{one.least:.4g}" if one.least == one.greatest else f"{one.least:.4g} to {one.greatest:.4g}"
        late = f"{one.shortest:g}" if one.shortest == one.longest else f"{one.shortest:g} to {one.longest:g}"
        if one.moved:
            late += f", {'all' if one.moved == one.synapses else one.moved} moved by <= {one.off:.2g}"
        worst = f"{one.worst:.2g} ({_percent(one.relative)})" + (f", {one.zeros} are 0" if one.zeros else "")
        rows.append([one.label + (" *" if one.plastic else ""), str(one.synapses), f"{asked} {one.unit}", f"{one.step:.3g}", worst, late]
                    if one.synapses else [one.label, "0", "", "", "", ""])
    return _table(rows, "l") + ("\n* learns" if any(one.plastic for one in report.projections) else "")


def _rings(report: Any) -> str:
    rows = [["ring buffer", "shift", "room", "all at once", "expected", "spikes cut per second"]]
    for one in report.rings:
        rows.append([f"{one.label} {one.receptor}", str(one.shift), f"{one.room:.4g}", f"{one.at_once:.4g}",
                     f"{one.mean:.3g} +- {one.deviation:.2g}", "never" if one.per_second < 1e-9 else f"{one.per_second:.1e}"])
    return _table(rows, "l")


def _rule(one: Any) -> str:
    numbers = ", ".join(f"{key} {value:.6g}" for key, value in one.parameters.items())
    changed = "; ".join(f"{key} {ours:g} is {theirs:g} there" for key, (ours, theirs) in one.rescaled.items() if ours != theirs)
    return _wrapped(f"{one.label} learns by {one.timing} {one.weight}: {numbers}" + (f" ({changed})" if changed else ""), "")


def _table(rows: Sequence[Sequence[str]], left: str) -> str:
    """Columns, the first ones aligned to the left; long tables are cut."""
    more = len(rows) - 1 - _MOST
    shown = rows if more <= 1 else [*rows[:_MOST + 1]]
    widths = [max(len(row[k]) for row in shown) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) if k < len(left) else cell.rjust(width)
                       for k, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in shown]
    return "\n".join([*lines, f"and {more} more"] if more > 1 else lines)


def _wrapped(words: str, lead: str) -> str:
    return textwrap.fill(words, _WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - 4
    return ", ".join(names[:4]) + f" and {more} more" if more > 1 else ", ".join(names)


def _count(number: int, name: str) -> str:
    return f"{number} {name}" + ("" if number == 1 else "s")


def _percent(part: float) -> str:
    return f"{100.0 * part:.2g} %" if part < 1.0 else f"{100.0 * part:.0f} %"


def _bytes(number: float) -> str:
    return f"{number / 2**20:.3g} MiB" if number >= 2**20 else f"{number / 1024:.3g} KiB"
