"""Injected currents, with sPyNNaker's defaults: a current whose ``stop`` is not given is never on."""

from __future__ import annotations

from typing import Any

from neurosim.pynn import electrodes as base

from . import simulator
from .errors import note

__all__ = ["ACSource", "DCSource", "NoisyCurrentSource", "StepCurrentSource"]


class _Source:
    """What those with a beginning and an end have in common."""

    _simulator = simulator

    def inject_into(self, cells: Any, location: str | None = None) -> None:
        """Inject into a population, a view, or a list of cells."""
        values = self.get_parameters()  # type: ignore[attr-defined]
        if "stop" in values and values["stop"] <= values["start"]:
            note(f"{type(self).__name__}: start is {values['start']:g} ms and stop {values['stop']:g} ms, so that it is never on;"
                 " sPyNNaker's stop is 0 unless it is given")
        super().inject_into(cells)  # type: ignore[misc]


class DCSource(_Source, base.DCSource):
    """A constant current: amplitude (nA), start, stop (ms)."""

    default_parameters = {"amplitude": 0.0, "start": 0.0, "stop": 0.0}

    def __init__(self, amplitude: float = 0.0, start: float = 0.0, stop: float = 0.0) -> None:
        super().__init__(amplitude=amplitude, start=start, stop=stop)


class ACSource(_Source, base.ACSource):
    """A sine: start, stop (ms), amplitude, offset (nA), frequency (Hz), phase (degrees)."""

    default_parameters = {"start": 0.0, "stop": 0.0, "amplitude": 0.0, "offset": 0.0, "frequency": 0.0, "phase": 0.0}

    def __init__(self, start: float = 0.0, stop: float = 0.0, amplitude: float = 0.0, offset: float = 0.0, frequency: float = 0.0,
                 phase: float = 0.0) -> None:
        super().__init__(start=start, stop=stop, amplitude=amplitude, offset=offset, frequency=frequency, phase=phase)


class StepCurrentSource(_Source, base.StepCurrentSource):
    """Steps: from each of ``times`` (ms) on, one of ``amplitudes`` (nA)."""

    def __init__(self, times: Any = (), amplitudes: Any = ()) -> None:
        super().__init__(times=list(times), amplitudes=list(amplitudes))


class NoisyCurrentSource(_Source, base.NoisyCurrentSource):
    """Noise: mean, stdev (nA), start, stop (ms), a new value each dt (ms); the numbers are the machine's only in their statistics."""

    default_parameters = {"mean": 0.0, "stdev": 0.0, "start": 0.0, "stop": 0.0, "dt": 1.0}

    def __init__(self, mean: float = 0.0, stdev: float = 0.0, start: float = 0.0, stop: float = 0.0, dt: float = 1.0,
                 rng: None = None) -> None:
        super().__init__(mean=mean, stdev=stdev, start=start, stop=stop, dt=dt)
