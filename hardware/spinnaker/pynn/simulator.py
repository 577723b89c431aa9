"""The state behind a script: one `neurosim.Network`, and the machine that is emulated with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.parameters import stream_key
from neurosim.pynn import simulator as base

from ..check import Report, check
from ..deployment import Problem
from ..emulation import Emulation
from ..load import load
from ..placement import LOST
from ..weights import resolution
from .errors import SpynnakerException, note

__all__ = ["ID", "State", "name", "state"]

name = "SpiNNaker emulated by neurosim"


class ID(base.ID):
    """One cell: its number, with the parameters of the cell as attributes; as a view of this cell it records and connects."""

    @property
    def id(self) -> int:
        """Its place in the population."""
        return int(self.parent.id_to_index(self))

    def get_parameters(self) -> dict[str, Any]:
        """All parameters, by name."""
        return {name: values[0] for name, values in self.as_view().get(self.celltype.get_parameter_names()).items()}

    def __getattr__(self, attribute: str) -> Any:
        if attribute in ("record", "get_data", "spinnaker_get_data", "get_spike_counts", "set", "set_state", "initialize"):
            return getattr(self.as_view(), attribute)
        return super().__getattr__(attribute)


class State(base.State):
    """What `setup` begins: the network that the script describes, what it says of the machine, and its emulation.

    Attributes
    ----------
    active : bool
        From `setup` to `end`.
    simulation : Emulation or None
        None before the first run and after `reset`.
    time_scale_factor : int
    per_core, synapse_cores, delay_extensions : dict
        Cell type -> what `set_number_of_neurons_per_core` and its like were told.
    """

    active = False

    def begin(self, dt: float, min_delay: Any, max_delay: Any = "auto", time_scale_factor: int = 1,  # type: ignore[override]
              seed: int = 1, progress: bool = False) -> None:
        """Forget everything and take new settings."""
        self.time_scale_factor = time_scale_factor
        self.per_core: dict[type, int] = {}
        self.synapse_cores: dict[type, int | None] = {}
        self.delay_extensions: dict[type, bool] = {}
        super().begin(dt, min_delay, max_delay, seed=seed, progress=progress)

    def clear(self) -> None:
        """Forget all populations, projections, currents and recordings."""
        self.has_run = False
        self._structural = False
        super().clear()

    def reset(self) -> None:
        """Back to time 0 and to initial values; what was described and chosen for recording stays."""
        self._structural = False
        super().reset()

    def check_active(self) -> None:
        """Raise before `setup` and after `end`."""
        if not self.active:
            raise SpynnakerException("call setup() first: nothing can be described before setup() or after end()")

    def seed_of(self, *names: Any) -> int:
        """A seed, 0 to 2**31 - 1, that the seed of `setup` and ``names`` decide."""
        return int(stream_key(self.seed, "pynn", *map(str, names)) % 2**31)

    def initialized(self, cells: Any, variable: str, values: Any) -> None:
        """On the machine, initial values never change what runs."""

    def set_now(self, cells: Any, variable: str, values: Any) -> None:
        """State variables were given values in the middle of a simulation; the next run starts with them."""
        super().initialized(cells, variable, values)

    def restructured(self) -> None:
        """Something was added that the machine can take up only after a reset."""
        self._structural = True
        self.changed()

    def settings(self) -> dict[str, Any]:
        """What `Emulation` is told besides the network: see `Settings`.

        Returns
        -------
        dict
            Keywords of `Emulation`, `emulate` and `check`; without ``dt``.
        """
        found: dict[str, Any] = {
            "time_scale_factor": self.time_scale_factor, "seed": self.seed, "allow_zero_weights": True, "neurons_per_core": {},
            "max_expected_summed_weight": {}, "seeds": {}}
        for population in self.populations:
            for key, value in population.settings().items():
                found[key][population.native.label] = value
        return {key: value for key, value in found.items() if value != {}}

    def made(self) -> Emulation:
        """The machine with the network as it is described, at time 0.

        Raises
        ------
        neurosim.errors.NetworkError
            For what a board would refuse: all of it, with the reasons and what to do instead.
        """
        settings = self.settings()
        if self.segment_counter:  # other spikes of Poisson sources in each segment
            settings["seed"] += self.segment_counter
            settings["seeds"] = {label: self.seed_of(seed, self.segment_counter) for label, seed in settings.get("seeds", {}).items()}
        deployment = load(self.network, dt=self.dt, **settings)
        report = check(deployment)
        faults = [one for one in report.placement.problems if LOST in one.reason]  # of its lists: the machine takes such delays
        deployment.problems += [one for one in report.placement.problems if one not in deployment.problems and one not in faults]
        emulation = Emulation.of(deployment)
        _tell(report, faults)
        self._structural = False
        return emulation

    def run_until(self, tstop: float) -> None:
        """Advance to the step nearest to ``tstop`` ms; warns of input that was cut off."""
        before = {} if self.simulation is None else self.simulation.saturations
        super().run_until(tstop)
        for (label, receptor), count in self.simulation.saturations.items():
            more = count - before.get((label, receptor), 0)
            if more:
                note(f"{label}: {more} additions to the {receptor} ring buffers were cut off, for more arrives in a step than sPyNNaker"
                     " expects; Population(max_expected_summed_weight=[...]) tells it the greatest input of a step for each receptor")

    def prepare(self) -> None:
        """Make the machine, or let it take up what was changed.

        Raises
        ------
        NotImplementedError
            If populations, projections or recordings were added since the last run: the machine must be reset first.
        """
        if self.simulation is not None and self._structural:
            raise NotImplementedError(
                f"the network cannot be changed between runs without resetting: populations, projections or recordings were added at"
                f" {self.t:g} ms; call reset() before run()")
        super().prepare()
        self.has_run = True
        for projection in self.projections:
            projection.answer()


def _tell(report: Report, faults: list[Problem]) -> None:
    """Warn of what a board does without a word: loses weights, is late, cuts input off."""
    deployment = report.deployment
    for one in deployment.synapses:
        lost = int(np.count_nonzero((one.stored == 0) & (one.asked > 0)))
        if lost and not one.plastic:
            post = deployment.cells[one.post]
            note(f"{one.label}: {lost} of {one.asked.size} weights are stored as 0, the smallest that {post.label} can have being"
                 f" {resolution(post.shifts[one.receptor], post.scale):.3g}")
    for text in [*(one for one in report.problems if one not in faults), *report.notes]:
        note(str(text))


state = State()
