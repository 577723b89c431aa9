"""Cells with dendrites: a tree of sections, cut into compartments that are neurons of the engine side by side."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import ParameterError
from ..parameters import Settings, Value, parameter
from .base import Cell, State, StepModel, stack

__all__ = ["CompartmentalCell", "Section"]

_LONGEST_PART = 0.025  # ms
_NEVER = 1e9  # mV


@dataclasses.dataclass(frozen=True)
class Section(Settings):
    """An unbranched piece of a cell, straight from ``diameter`` to ``diameter_end``; it begins where its parent ends.

    Cut into an odd number of compartments, each shorter than a tenth of the length constant at 100 Hz (Hines & Carnevale
    2001, the d_lambda rule), or into ``pieces``.  ``g_Na`` and ``g_K`` are the channels of Hodgkin & Huxley (1952) at 6.3 degrees.
    """

    name: str = "soma"
    parent: str | None = None
    length: Any = parameter(20.0, "um", "length", low=0, open_low=True)
    diameter: Any = parameter(20.0, "um", "diameter where it begins", low=0, open_low=True)
    diameter_end: Any = parameter(0.0, "um", "diameter where it ends; 0: as where it begins", low=0)
    cm: Any = parameter(1.0, "uF/cm2", "capacitance of the membrane", low=0, open_low=True)
    Ra: Any = parameter(100.0, "ohm cm", "resistance along the inside", low=0, open_low=True)
    g_pas: Any = parameter(0.0, "S/cm2", "leak conductance", low=0)
    e_pas: Any = parameter(-65.0, "mV", "reversal potential of the leak")
    g_Na: Any = parameter(0.0, "S/cm2", "maximal conductance of sodium", low=0)
    g_K: Any = parameter(0.0, "S/cm2", "maximal conductance of potassium", low=0)
    pieces: Any = parameter(0.0, "", "number of compartments; 0: by the rule", low=0, high=1e6)

    @property
    def compartments(self) -> int:
        """How many it is cut into."""
        if self.pieces:
            return int(self.pieces)
        constant = 1e5 * math.sqrt(self._mean_diameter / (4.0 * math.pi * 100.0 * self.Ra * self.cm))
        return 1 + 2 * int((0.999 + self.length / (0.1 * constant)) / 2.0)

    @property
    def _mean_diameter(self) -> float:
        return 0.5 * (self.diameter + (self.diameter_end or self.diameter))

    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Area (cm2) and resistance (Mohm) of the first and the second half of each compartment; shape (compartments, 2)."""
        n = self.compartments
        radius = 0.5e-4 * np.linspace(self.diameter, self.diameter_end or self.diameter, 2 * n + 1)
        height = 0.5e-4 * self.length / n
        begin, end = radius[:-1], radius[1:]
        area = math.pi * (begin + end) * np.hypot(height, begin - end)
        return area.reshape(n, 2), (1e-6 * self.Ra * height / (math.pi * begin * end)).reshape(n, 2)


@dataclasses.dataclass(frozen=True)
class CompartmentalCell(Cell):
    """A cell with dendrites, every compartment of which is a neuron of its population::

        C dv/dt = sum over neighbours of g (v' - v) - g_pas (v - e_pas) - g_Na m**3 h (v - e_rev_Na) - g_K n**4 (v - e_rev_K)
                  - gsyn_exc (v - e_rev_E) - gsyn_inh (v - e_rev_I) + i_offset + injected current
        dx/dt   = alpha_x (1 - x) - beta_x x,   x = m, h, n

    with the rates of Hodgkin & Huxley (1952) at 6.3 degrees, resting at -65 mV.  ``net.population(5 * cell.compartments, cell)`` is five
    cells; :meth:`at` tells which of its neurons are, say, all somata, to be recorded, connected or injected into.  A
    spike is reported by the compartment in the middle of ``source`` when v passes ``v_thresh`` upwards.

    Where several sections begin at the end of one, each is joined to its last compartment by itself: of the potential at the
    branching point they know only that.  Gates begin at their steady state.

    Numerical method: Strang's splitting; gates by exact exponentials, the tree by the Crank-Nicolson rule and Hines' (1984)
    elimination, order 2, in parts of at most 0.025 ms.  NEURON's default takes implicit Euler steps (order 1).
    """

    sections: tuple[Section, ...] = (Section(),)
    source: str = ""
    e_rev_Na: Value = parameter(50.0, "mV", "reversal potential of sodium")
    e_rev_K: Value = parameter(-77.0, "mV", "reversal potential of potassium")
    e_rev_E: Value = parameter(0.0, "mV", "reversal potential of excitatory input")
    e_rev_I: Value = parameter(-80.0, "mV", "reversal potential of inhibitory input")
    tau_syn_E: Value = parameter(0.2, "ms", "decay time of excitatory conductance", low=0, open_low=True)
    tau_syn_I: Value = parameter(2.0, "ms", "decay time of inhibitory conductance", low=0, open_low=True)
    i_offset: Value = parameter(0.0, "nA", "constant current into a compartment")
    v_thresh: Value = parameter(10.0, "mV", "potential whose passing is a spike")

    states: ClassVar[Mapping[str, State]] = {
        "v": State("mV", -65.0, "membrane potential"),
        "gsyn_exc": State("uS", 0.0, "excitatory synaptic conductance"),
        "gsyn_inh": State("uS", 0.0, "inhibitory synaptic conductance"),
        "m": State("", 0.0, "activation of sodium; by default at its steady state"),
        "h": State("", 0.0, "inactivation of sodium; by default at its steady state"),
        "n": State("", 0.0, "activation of potassium; by default at its steady state"),
    }
    weight_unit: ClassVar[str] = "uS"
    order: ClassVar[int] = 2

    def check(self) -> None:
        """Raise :class:`ParameterError` for sections that do not make a tree."""
        known: set[str] = set()
        if not isinstance(self.sections, (tuple, list)) or not self.sections:
            raise ParameterError(f"{self.name}.sections must be a row of Section, got {self.sections!r:.200}")
        object.__setattr__(self, "sections", tuple(self.sections))
        for k, one in enumerate(self.sections):
            if not isinstance(one, Section):
                raise ParameterError(f"{self.name}.sections must be a row of Section, got {one!r:.200}")
            if one.name in known:
                raise ParameterError(f"{self.name}: two sections are called {one.name!r}")
            if (one.parent is None) != (k == 0) or (k and one.parent not in known):
                raise ParameterError(
                    f"{self.name}: section {one.name!r} must have a parent that stands before it (the first has none), got {one.parent!r}")
            known.add(one.name)
        object.__setattr__(self, "source", self.source or self.sections[0].name)
        self._section(self.source)

    def _section(self, name: str) -> int:
        names = [one.name for one in self.sections]
        if name not in names:
            raise ParameterError(f"{self.name} has no section {name!r}; it has {', '.join(names)}")
        return names.index(name)

    @property
    def compartments(self) -> int:
        """Compartments of one cell."""
        return sum(one.compartments for one in self.sections)

    def at(self, section: str, cells: Any = 0, x: float = 0.5) -> np.ndarray:
        """The neurons that lie a part ``x`` (0 to 1) along a section of the given cells.

        Parameters
        ----------
        section : str
        cells : int or sequence of int
            Which cells, counted from 0.
        x : float

        Returns
        -------
        ndarray of int, shape (number of cells,)

        Raises
        ------
        ParameterError
            For a section that there is not, or an x outside 0 to 1.
        """
        if not 0.0 <= x <= 1.0:
            raise ParameterError(f"{self.name}.at: x must be >= 0 and <= 1, got {x!r}")
        k = self._section(section)
        first = sum(one.compartments for one in self.sections[:k])
        n = self.sections[k].compartments
        return np.atleast_1d(np.asarray(cells, np.int64)) * self.compartments + first + min(int(x * n), n - 1)

    def is_homogeneous(self) -> bool:
        """Never: compartments differ."""
        return False

    def values(self, n: int, seed: int, label: str) -> dict[str, np.ndarray]:
        """As :meth:`Cell.values`; ``n`` neurons must make whole cells."""
        if n % self.compartments:
            raise ParameterError(f"{label}: {n} neurons do not make whole cells of {self.compartments} compartments")
        return super().values(n, seed, label)

    def initial_values(self, n: int, seed: int, label: str, given: Mapping[str, Any],
                       p: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """As :meth:`Cell.initial_values`; gates are at their steady state unless given."""
        values = super().initial_values(n, seed, label, given, p)
        from ..kernels.compartments import steady
        gates = dict(zip(("m", "h", "n"), steady(values["v"]), strict=True))
        return {**values, **{name: gate for name, gate in gates.items() if name not in given}}

    def tree(self) -> dict[str, np.ndarray]:
        """One cell, cut; arrays of shape (compartments,): parent (-1: none), g_axial to it, g_pas, g_Na, g_K (uS), cm (nF), e_pas (mV)."""
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("parent", "g_axial", "cm", "g_pas", "g_Na", "g_K", "e_pas")}
        last: dict[str, tuple[int, float]] = {}  # of a section: its last compartment, the resistance from its middle to its end
        first = 0
        for one in self.sections:
            area, resistance = one.halves()
            n, whole = area.shape[0], area.sum(axis=1)
            parent, before = np.arange(first - 1, first + n - 1), np.concatenate([[0.0], resistance[:-1, 1]])
            if one.parent is None:
                parent[0] = -1
            else:
                parent[0], before[0] = last[one.parent]
            axial = 1.0 / (before + resistance[:, 0])
            if one.parent is None:
                axial[0] = 0.0
            last[one.name] = (first + n - 1, float(resistance[-1, 1]))
            first += n
            for name, column in (("parent", parent), ("g_axial", axial), ("cm", 1e3 * one.cm * whole), ("g_pas", 1e6 * one.g_pas * whole),
                                 ("g_Na", 1e6 * one.g_Na * whole), ("g_K", 1e6 * one.g_K * whole), ("e_pas", np.full(n, one.e_pas))):
                columns[name].append(column)
        return {name: np.concatenate(parts).astype(float) for name, parts in columns.items()}

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.compartments.step``."""
        size, n = self.compartments, p["i_offset"].size
        tree = {name: np.tile(column, n // size) for name, column in self.tree().items()}
        parts = np.ceil(dt / _LONGEST_PART - 1e-9)
        sends = np.zeros(n, bool)
        sends[self.at(self.source, np.arange(n // size))] = True
        rows = [tree["parent"], tree["g_axial"], tree["cm"], tree["g_pas"], tree["e_pas"], tree["g_Na"], tree["g_K"],
                p["e_rev_Na"], p["e_rev_K"], p["e_rev_E"], p["e_rev_I"], p["i_offset"],
                np.exp(-0.5 * dt / parts / p["tau_syn_E"]), np.exp(-0.5 * dt / parts / p["tau_syn_I"]),
                np.where(sends, p["v_thresh"], _NEVER), np.full(n, float(size)), np.full(n, parts)]
        return StepModel(
            module="compartments", parameters=stack(rows), states=tuple(self.states),
            initial=np.stack([initial[name] for name in self.states]),
            inputs={"excitatory": "gsyn_exc", "inhibitory": "gsyn_inh"}, together=size,
        )
