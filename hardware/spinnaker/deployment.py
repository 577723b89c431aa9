"""A network as sPyNNaker would load it: numbers evaluated, weights and delays stored as the machine stores them.

This is what `check` reports, what the emulator runs, and what is exported: three readers of one `Deployment`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from neurosim.errors import NetworkError
from neurosim.network import Network, Population, Projection

from .weights import stored_value

__all__ = ["Deployment", "LoadedCells", "LoadedSynapses", "Plastic", "Problem", "Sampled", "Settings"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What sPyNNaker is told besides the network.

    Attributes
    ----------
    dt : float
        Step of the machine, ms.
    time_scale_factor : int
        How many times slower than real time the machine runs.
    neurons_per_core : Mapping
        Label of a population -> most neurons of it on one core; else the model's own limit.
    ring_buffer_sigma, spikes_per_second : float
        What the estimate of the greatest input of a step assumes: standard deviations above the mean, and the rate (Hz) of
        cells whose rate is not known.
    max_expected_summed_weight : Mapping
        Label of a population -> greatest input of a step for each receptor, in the machine's unit; replaces the estimate.
    allow_zero_weights : bool
        Accept weights that the machine stores as 0.
    seed : int
        Of Poisson sources.
    seeds : Mapping
        Label of a population of Poisson sources -> the seed that sPyNNaker is given for it; else ``seed`` and the label decide.
    """

    dt: float = 1.0
    time_scale_factor: int = 1
    neurons_per_core: Mapping[str, int] = dataclasses.field(default_factory=dict)
    ring_buffer_sigma: float = 5.0
    spikes_per_second: float = 30.0
    max_expected_summed_weight: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    allow_zero_weights: bool = False
    seed: int = 1
    seeds: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Problem(NamedTuple):
    """Why a network cannot be deployed: ``what`` it is about, the ``reason``, and what to do instead."""

    what: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}. {self.remedy}"


@dataclasses.dataclass
class Plastic:
    """The one rule of all synapses that learn in a population.

    ``timing`` is pair, nearest_pair, triplet or vogels, ``weight`` additive or multiplicative.  ``parameters`` are in sPyNNaker's
    words and units: amplitudes of pairs in the weight's unit where the dependence is additive (PyNN's times w_max), see `rules`.
    """

    timing: str
    weight: str
    parameters: dict[str, float]
    backprop_delay: bool = True


@dataclasses.dataclass(eq=False)
class LoadedCells:
    """A population, or the sources of a Poisson input.

    Attributes
    ----------
    label : str
    size : int
    model : str
        sPyNNaker's name, such as ``IF_curr_exp``.
    population : Population or None
        That of the network; None for a Poisson input.
    receptors : tuple of str
        By index of synapse type.
    parameters, initial : dict of ndarray, float64, shape (size,)
        PyNN's names and units; ``initial`` the state variables.
    per_core : int
        Most neurons on one core.
    scale : float
        What weights are multiplied by before they are stored: 1, or 1024 for conductances (in uS).
    shifts : tuple of int
        Ring-buffer shift of each synapse type.
    slots : int
        Steps that the ring buffer spans.
    ticks : tuple of ndarray or None
        Of a `SpikeSourceArray`: for each source its steps, int64, ascending.
    currents : list of (CurrentSource, ndarray of int)
        Injected, with the cells they go to.
    plastic : Plastic or None
    """

    label: str
    size: int
    model: str
    population: Population | None
    receptors: tuple[str, ...]
    parameters: dict[str, np.ndarray]
    initial: dict[str, np.ndarray]
    per_core: int
    scale: float = 1.0
    shifts: tuple[int, ...] = ()
    slots: int = 0
    ticks: tuple[np.ndarray, ...] | None = None
    currents: list[tuple[Any, np.ndarray]] = dataclasses.field(default_factory=list)
    plastic: Plastic | None = None

    @property
    def is_source(self) -> bool:
        """Whether it only sends."""
        return not self.receptors


@dataclasses.dataclass(eq=False)
class LoadedSynapses:
    """A projection's synapses, in the order of `neurosim.wiring.arrays`.

    Attributes
    ----------
    label : str
    projection : Projection or None
        That of the network; None for a Poisson input.
    pre, post : int
        Places of the populations in `Deployment.cells`.
    receptor : int
        Index of the synapse type.
    source, target : ndarray, int32, shape (k,)
        Cells, counted within their populations.
    asked : ndarray, float64, shape (k,)
        Magnitudes of weights in the machine's unit: the network's times `factor`.
    stored : ndarray, uint16, shape (k,)
    delay : ndarray, int32, shape (k,)
        Steps, at least 1.
    asked_delay : ndarray, float64, shape (k,)
        ms.
    plastic : bool
        Whether they learn, by the rule of the target population.
    factor : float or ndarray of shape (k,)
        What weights of the network are multiplied by to mean the same on the machine (see `meaning`).
    """

    label: str
    projection: Projection | None
    pre: int
    post: int
    receptor: int
    source: np.ndarray
    target: np.ndarray
    asked: np.ndarray
    stored: np.ndarray
    delay: np.ndarray
    asked_delay: np.ndarray
    plastic: bool = False
    factor: float | np.ndarray = 1.0


class Sampled(NamedTuple):
    """What is recorded: ``variable`` of cells ``ids`` (None: all) of ``label``, every ``steps``."""

    label: str
    variable: str
    ids: np.ndarray | None
    steps: int


@dataclasses.dataclass(eq=False)
class Deployment:
    """All of it, with what stands in the way (``problems``) and what was changed on the way (``notes``)."""

    network: Network
    settings: Settings
    cells: list[LoadedCells]
    synapses: list[LoadedSynapses]
    records: list[Sampled]
    problems: list[Problem]
    notes: list[str]

    def __getitem__(self, label: str) -> LoadedCells:
        """The cells of that label."""
        return next(one for one in self.cells if one.label == label)

    def refuse(self, *further: Problem) -> None:
        """Raise NetworkError if something stands in the way, with all of it; ``further``: what was found besides."""
        problems = dict.fromkeys(map(str, [*self.problems, *further]))
        if problems:
            raise NetworkError("\n  ".join([f"{self.network.label} cannot be deployed on SpiNNaker:", *problems]))

    def weights(self, synapses: LoadedSynapses) -> np.ndarray:
        """Stored weights in the machine's unit, float64: what it works with."""
        post = self.cells[synapses.post]
        return stored_value(synapses.stored, post.shifts[synapses.receptor], post.scale)

    def described(self, synapses: LoadedSynapses) -> np.ndarray:
        """Stored weights in the unit of the network's weights, float64, magnitudes."""
        return self.weights(synapses) / synapses.factor
