"""A learning rule as sPyNNaker loads it: decay tables and parameters in fixed point, for the kernels and as the bytes of its region.

What sPyNNaker's amplitudes mean differs from rule to rule:

=========================================  ==========================================================================
pair, nearest_pair, vogels with additive   ``A_plus``, ``A_minus`` are in the weight's unit: PyNN's, times ``w_max``
                                           (of Vogels' rule ``A_plus`` is PyNN's ``eta``, and ``A_minus`` unused)
pair, nearest_pair with multiplicative     numbers, as in PyNN: a change is ``A_plus`` (``w_max`` - w)
triplet with additive                      numbers, as in PyNN: sPyNNaker multiplies all four by ``w_max`` itself
=========================================  ==========================================================================

Multiplicative weights are not cut at their bounds, nor those of Vogels' rule at ``w_min``.
"""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from neurosim.hardware.spinnaker.deployment import LoadedCells, Plastic
from neurosim.kernels import spinnaker_stdp as stdp

__all__ = ["RULES", "Instructions", "Learning", "Rule", "exponential_table", "learning"]

_LONGEST = 0xFFFF
_S1615 = 32768


class Instructions(NamedTuple):
    """What a rule costs a core, in ARM instructions (those included that a condition skips), counted in the binaries.

    A row read is ``row`` + synapses (``synapse`` + ``post`` * target spikes since its last reading) where the target has fired;
    a spike of a cell adds ``event`` once its history is full.
    """

    row: int
    synapse: int
    post: int
    event: int


class Rule(NamedTuple):
    """A combination for which sPyNNaker ships binaries.

    ``timing`` and ``weight`` are the kernels' codes; ``taus`` names the time constants in the order of their tables, each with
    the table's shift; ``amplitudes`` those of the weight dependence in their order; ``suffix`` ends the names of the binaries.
    ``verified`` tells whether a test holds the kernels against the machine's own code, ``instructions`` what it costs there,
    ``history`` the bytes of data memory for the spikes of a cell.
    """

    timing: int
    weight: int
    taus: tuple[tuple[str, int], ...]
    amplitudes: tuple[str, ...]
    suffix: str
    verified: bool
    instructions: Instructions
    history: int


_PAIR = (("tau_plus", 0), ("tau_minus", 0))
_ONE_TERM = ("A_plus", "A_minus")
_ADD, _TIMES = stdp.ADDITIVE, stdp.MULTIPLICATIVE
_TRIPLET = (*_PAIR, ("tau_x", 2), ("tau_y", 2)), (*_ONE_TERM, "A3_plus", "A3_minus")
RULES: dict[tuple[str, str], Rule] = {
    ("pair", "additive"): Rule(
        stdp.PAIR, _ADD, _PAIR, _ONE_TERM, "pair_additive", True, Instructions(74, 136, 33, 104), 100),
    ("pair", "multiplicative"): Rule(
        stdp.PAIR, _TIMES, _PAIR, _ONE_TERM, "pair_multiplicative", True, Instructions(74, 142, 34, 104), 100),
    ("nearest_pair", "additive"): Rule(
        stdp.NEAREST, _ADD, _PAIR, _ONE_TERM, "nearest_pair_additive", True, Instructions(55, 121, 35, 46), 68),
    ("nearest_pair", "multiplicative"): Rule(
        stdp.NEAREST, _TIMES, _PAIR, _ONE_TERM, "nearest_pair_multiplicative", True, Instructions(55, 125, 38, 46), 68),
    ("triplet", "additive"): Rule(
        stdp.TRIPLET, _ADD, *_TRIPLET, "pfister_triplet_additive", True, Instructions(95, 153, 48, 130), 196),
    ("vogels", "additive"): Rule(
        stdp.VOGELS, _ADD, (("tau", 0),), _ONE_TERM, "vogels_2011_additive", True, Instructions(74, 129, 31, 104), 100),
}


def exponential_table(dt: float, tau: float, shift: int = 0) -> np.ndarray:
    """exp(-t/tau) with 11 fractional bits, rounded down, until it is below one bit.

    Parameters
    ----------
    dt, tau : float
        ms.
    shift : int
        Entry k is for time k * 2**shift * dt.

    Returns
    -------
    ndarray, uint16
        An even number of entries.

    Raises
    ------
    ValueError
        If it had more than 65535 entries.
    """
    rate = dt / float(tau)
    pairs, rest = divmod(math.log(stdp.ONE) / rate / (1 << shift), 2)
    size = (int(pairs) + (rest > 0)) * 2
    if size > _LONGEST:
        raise ValueError(f"a time constant of {tau} ms at a step of {dt} ms needs a decay table of {size} entries; at most {_LONGEST}")
    return np.floor(np.exp((np.arange(size) << shift) * -rate) * stdp.ONE).astype(np.uint16)


def _s1615(what: str, value: float) -> int:
    bits = round(Decimal(str(float(value))) * _S1615)
    if not -(2**31) <= bits < 2**31:
        raise ValueError(f"{what} is {value:g} on the machine, outside of s16.15: -65536 to below 65536")
    return int(bits)


@dataclasses.dataclass(eq=False)
class Learning:
    """A rule in a population, ready for the kernels.

    Attributes
    ----------
    plastic : Plastic
    rule : ndarray, int64
        As `neurosim.kernels.spinnaker_stdp` reads it.
    tables : ndarray, int32
        All decay tables in a row.
    terms : ndarray, int64, shape (types, TERMS)
        Bounds, amplitudes (s16.15) and ring-buffer shift for each synapse type.
    verified : bool
        Whether the kernels were held against the machine's own code.
    """

    plastic: Plastic
    rule: np.ndarray
    tables: np.ndarray
    terms: np.ndarray
    verified: bool

    def history(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times, traces and counts of target spikes for ``n`` cells, before the first spike."""
        return (np.zeros((n, stdp.EVENTS), np.int32), np.zeros((n, stdp.EVENTS, 2), np.int32), np.ones(n, np.int32))

    def region(self) -> bytes:
        """What sPyNNaker writes to the region ``synapseDynamicsParams`` of each core."""
        kind = RULES[self.plastic.timing, self.plastic.weight]
        parts = [np.array([self.rule[stdp.BACKPROP]], np.int32)]
        if kind.timing == stdp.VOGELS:
            parts.append(np.array([self.rule[stdp.ALPHA]], np.int32))
        for place in range(len(kind.taus)):
            start, size, shift = self.rule[stdp.TABLES + 3 * place : stdp.TABLES + 3 * place + 3]
            parts += [np.array([size, shift], np.uint16), self.tables[start : start + size].astype(np.uint16)]
        parts.append(self.terms[:, : 2 + len(kind.amplitudes)].astype(np.int32))
        return b"".join(part.tobytes() for part in parts)


def learning(plastic: Plastic, cells: LoadedCells, dt: float) -> Learning:
    """The rule of a population as the machine works it.

    Parameters
    ----------
    plastic : Plastic
        With all parameters of its rule: ``w_min``, ``w_max``, ``A_plus``, ``A_minus``, and of pair, nearest_pair and triplet
        ``tau_plus`` and ``tau_minus``, of triplet ``tau_x``, ``tau_y``, ``A3_plus`` and ``A3_minus``, of vogels ``tau`` and ``alpha``.
    cells : LoadedCells
        For the scale of weights and the ring-buffer shifts.
    dt : float
        ms.

    Raises
    ------
    ValueError
        If no binary has the combination, a parameter is missing, a time constant is not above 0, or a number does not fit.
    """
    kind = RULES.get((plastic.timing, plastic.weight))
    if kind is None:
        raise ValueError(f"{cells.label}: no binary of sPyNNaker has the timing rule {plastic.timing!r} with the weight dependence "
                         f"{plastic.weight!r}; there are {', '.join(f'{a} with {b}' for a, b in RULES)}")
    names = ["w_min", "w_max", *(name for name, _ in kind.taus), *kind.amplitudes]
    names += ["alpha"] if kind.timing == stdp.VOGELS else []
    missing = [name for name in names if name not in plastic.parameters]
    if missing:
        raise ValueError(f"{cells.label}: the rule {plastic.timing} needs {', '.join(missing)}")
    values = plastic.parameters

    rule = np.zeros(stdp.RULE_SIZE, np.int64)
    rule[[stdp.TIMING, stdp.WEIGHT, stdp.BACKPROP]] = kind.timing, kind.weight, plastic.backprop_delay
    if kind.timing == stdp.VOGELS:
        rule[stdp.ALPHA] = round(float(values["alpha"]) * stdp.ONE)
    tables: list[np.ndarray] = []
    for place, (name, shift) in enumerate(kind.taus):
        if not values[name] > 0:
            raise ValueError(f"{cells.label}: {name} is {values[name]} ms; it must be above 0")
        table = exponential_table(dt, values[name], shift)
        rule[stdp.TABLES + 3 * place : stdp.TABLES + 3 * place + 3] = sum(map(len, tables)), len(table), shift
        tables.append(table)
    if kind.timing == stdp.VOGELS:  # one table for both sides
        rule[stdp.TABLES + 3 : stdp.TABLES + 6] = rule[stdp.TABLES : stdp.TABLES + 3]

    # In sPyNNaker's order of multiplication, which rounding can show.
    unit = cells.scale if kind.weight == stdp.ADDITIVE else 1.0
    relative = values["w_max"] if kind.timing == stdp.TRIPLET else 1.0
    terms = np.zeros((len(cells.receptors), stdp.TERMS), np.int64)
    for place, name in enumerate(("w_min", "w_max")):
        terms[:, place] = _s1615(f"{cells.label}: {name}", values[name] * cells.scale)
    for place, name in enumerate(kind.amplitudes, stdp.A2_PLUS):
        terms[:, place] = _s1615(f"{cells.label}: {name}", values[name] * relative * unit)
    terms[:, stdp.SHIFT] = cells.shifts
    return Learning(plastic, rule, np.concatenate(tables).astype(np.int32), terms, kind.verified)
