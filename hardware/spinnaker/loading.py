"""What is being loaded: a network, the settings of a machine, and what was found so far."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.errors import ParameterError
from neurosim.network import Network, PoissonInput
from neurosim.parameters import numbers

from .deployment import LoadedCells, LoadedSynapses, Problem, Sampled, Settings

__all__ = ["Loading", "settings_of", "sources_label", "together"]

_PLURAL = {"population ": "populations ", "projection ": "projections ", "current into ": "currents into ", "learning in ": "learning in "}


def settings_of(network: Network, settings: Settings | None = None, **overrides: Any) -> Settings:
    """Settings with some replaced, checked; raises ParameterError."""
    if not isinstance(network, Network):
        raise ParameterError(f"SpiNNaker needs a Network, got {network!r:.200}")
    known = [field.name for field in dataclasses.fields(Settings)]
    for name in overrides:
        if name not in known:
            raise ParameterError(f"SpiNNaker has no setting {name!r}; it has {', '.join(known)}")
    made = dataclasses.replace(settings or Settings(), **overrides)
    for name in ("dt", "time_scale_factor", "ring_buffer_sigma", "spikes_per_second"):
        value = getattr(made, name)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < math.inf:
            raise ParameterError(f"SpiNNaker setting {name} must be > 0, got {value!r}")
    if round(1000.0 * made.dt) < 1:
        raise ParameterError(f"SpiNNaker setting dt must be at least 0.001 ms (1 us), got {made.dt:g} ms")
    labels = {population.label for population in network.populations} | {sources_label(one) for one in network.inputs}
    for name in ("neurons_per_core", "max_expected_summed_weight", "seeds"):
        given = getattr(made, name)
        if not isinstance(given, Mapping):
            raise ParameterError(f"SpiNNaker setting {name} must be a dict, label of a population -> value, got {given!r}")
        for label in given:
            if label not in labels:
                known = sorted(labels)
                raise ParameterError(f"SpiNNaker setting {name} names {label!r}, which is no population; there are {', '.join(known)}")
    for label, count in made.neurons_per_core.items():
        if not _whole(count) or count < 1:
            raise ParameterError(f"SpiNNaker setting neurons_per_core[{label!r}] must be a whole number >= 1, got {count!r}")
    for label, greatest in made.max_expected_summed_weight.items():
        row = numbers(greatest)
        if row is None or row.ndim != 1 or not (np.isfinite(row) & (row >= 0.0)).all():
            raise ParameterError(f"SpiNNaker setting max_expected_summed_weight[{label!r}] must be a finite number >= 0 for each receptor,"
                                 f" got {greatest!r}")
    if not _whole(made.seed):
        raise ParameterError(f"SpiNNaker setting seed must be a whole number, got {made.seed!r}")
    for label, seed in made.seeds.items():
        if not _whole(seed) or not 0 <= seed < 2**32:
            raise ParameterError(f"SpiNNaker setting seeds[{label!r}] must be a whole number from 0 to 4294967295, got {seed!r}")
    factor = float(made.time_scale_factor)
    return dataclasses.replace(  # in numbers that can be written down
        made, dt=float(made.dt), time_scale_factor=int(factor) if factor.is_integer() else factor,
        ring_buffer_sigma=float(made.ring_buffer_sigma), spikes_per_second=float(made.spikes_per_second), seed=int(made.seed),
        neurons_per_core={label: int(count) for label, count in made.neurons_per_core.items()},
        max_expected_summed_weight={label: tuple(map(float, row)) for label, row in made.max_expected_summed_weight.items()},
        seeds={label: int(seed) for label, seed in made.seeds.items()})


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def sources_label(one: PoissonInput) -> str:
    """Of the sources of a Poisson input."""
    return f"{one.label} (sources)"


def together(notes: list[str]) -> list[str]:
    """Notes that say the same of several populations, of several projections and so on, as one."""
    found: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        kind = next((one for one in _PLURAL if note.startswith(one)), "")
        name, _, said = note[len(kind):].partition(": ")
        found.setdefault((kind, said) if kind else (note, ""), []).append(name)
    return [f"{_PLURAL[kind] if len(names) > 1 else kind}{', '.join(names)}: {said}" if kind in _PLURAL else kind
            for (kind, said), names in found.items()]


class Loading:
    """What is being loaded; ``place`` tells where a population stands in ``cells``, by its label."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings, self.dt = network, settings, float(settings.dt)
        self.cells: list[LoadedCells] = []
        self.synapses: list[LoadedSynapses] = []
        self.records: list[Sampled] = []
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.place: dict[str, int] = {}
        self._refuse_time()

    def refuse(self, what: str, reason: str, remedy: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(what, reason, remedy))

    def _refuse_time(self) -> None:
        us = 1000.0 * self.dt
        if abs(us - round(us)) > 1e-6:
            self.refuse("dt", f"{self.dt!r} ms is not a whole number of microseconds", f"Use {round(us) / 1000:g} ms")
        elif math.ceil(us) != round(us):
            self.refuse("dt", f"sPyNNaker would round {self.dt!r} ms up to {math.ceil(us)} us", f"Use {round(us) / 1000!r} ms")
        real = round(us) * self.settings.time_scale_factor
        if abs(real - round(real)) > 1e-4:
            self.refuse("time_scale_factor", f"{self.settings.time_scale_factor:g} times {us:g} us is not a whole number of microseconds",
                        "Use a whole time_scale_factor")
