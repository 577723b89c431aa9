"""What a network will be, before it is built: sizes, synapses, memory, cost."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import wiring
from .cells.sources import SpikeSourceGamma, SpikeSourceInhGamma
from .errors import NetworkError, ParameterError
from .network import Network, Population
from .parameters import Distribution
from .plasticity import transmission_of
from .synapses import ROW_WEIGHT, WEIGHTS32, weight_kind

__all__ = ["Description"]

_WEIGHT_BYTES = {ROW_WEIGHT: 0, WEIGHTS32: 4}
_NS_EVENT, _NS_CHANGING, _NS_LINEAR, _NS_STEPPED, _NS_POISSON = 1.0, 8.0, 0.3, 3.0, 1.0  # measured, one thread
_NS_TRANSMISSION = 15.0  # of synapses that transmit each in its own way
_CHANGING_ROW, _REMEMBERED = 40.0, 1100.0  # bytes: a row of synapses that learn; the spikes of one of their targets
_EVENTS_PER_STEP = 1000
_REFRACTORY_STEPS = 10_000_000
_LINEAR = ("IF_curr_exp", "IF_curr_alpha", "IF_curr_delta")


@dataclasses.dataclass(frozen=True, eq=False)
class Description:
    """The expected size and cost of a network; print it.

    Attributes
    ----------
    neurons : int
        Sources included.
    synapses : float
        Expected number.
    nbytes : float
        Expected memory of the built network.
    by_projection : list of (label, expected synapses)
    """

    network: Network
    dt: float
    neurons: int
    synapses: float
    nbytes: float
    by_projection: list[tuple[str, float]]

    @classmethod
    def of(cls, network: Network, dt: float) -> Description:
        """Describe a network for a step of ``dt`` ms.

        Raises
        ------
        NetworkError, ParameterError
            Where the description cannot be built with this step: a delay below dt, a connector that does not fit.
        """
        check_dt(dt, "dt")
        _check_rates(network, dt)
        _check_refractory(network, dt)
        by_projection, nbytes = [], 0.0
        for projection in network.projections:
            wiring.validate(projection, dt)
            expected = wiring.expected_synapses(projection)
            by_projection.append((projection.label, expected))
            learns = projection.changes or projection.dynamics is not None
            wide = 2 if learns or projection.post.population.size <= 65536 else 4
            weight = _WEIGHT_BYTES.get(weight_kind(projection), 8)
            kept = (2 if projection.electrical else 1) * expected  # gap junctions lie in the rows of both ends
            nbytes += kept * (wide + weight + (8 if getattr(projection.synapse, "neuromodulation", None) else 0))
            transmission = transmission_of(projection.synapse)
            nbytes += expected * transmission.bytes_of_synapse if transmission is not None else 0.0
            row = 8.0 + (_CHANGING_ROW if learns else 0.0)
            nbytes += row * projection.pre.size * _distinct_delays(projection.delay, dt)  # rows, and filling them
            nbytes += _REMEMBERED * projection.post.population.size if learns else 0.0
        neurons = sum(p.size for p in network.populations)
        nbytes += neurons * 200.0
        return cls(network, float(dt), neurons, sum(n for _, n in by_projection), nbytes, by_projection)

    def is_dense(self, members: Sequence[Population]) -> bool:
        """Whether rows into these populations are long enough to be cut finely, or change (their targets are 16 bits wide)."""
        into = {p.label for p in members}
        if any(one.post.population.label in into and (one.changes or one.dynamics is not None or one.gain is not None)
               for one in self.network.projections):
            return True
        synapses = sum(n for projection, (_, n) in zip(self.network.projections, self.by_projection, strict=True)
                       if projection.post.population.label in into)
        return synapses > 500.0 * max(1, self.neurons)

    @property
    def microseconds_per_slice(self) -> float:
        """Estimated work between two meetings of threads, at a mean rate of 5 Hz."""
        shortest = min((_shortest(p.delay, self.dt) for p in self.network.projections), default=10.0 * self.dt)
        return self.cost_per_second(5.0) * 1e6 * max(shortest, self.dt) / 1000.0

    def cost_per_second(self, rate: float) -> float:
        """Estimated CPU seconds for a second of the network at a mean rate (Hz) of its neurons, one thread."""
        steps = 1000.0 / self.dt
        seconds = 0.0
        for p in self.network.populations:
            per_step = _NS_LINEAR if p.cell.name in _LINEAR else 0.01 if p.cell.is_source else _NS_STEPPED
            seconds += p.size * steps * per_step * 1e-9
        seconds += sum(one.target.size for one in self.network.inputs) * steps * _NS_POISSON * 1e-9
        for one, (_, synapses) in zip(self.network.projections, self.by_projection, strict=True):
            events = 2.0 * steps if one.electrical else rate  # gap junctions act both ways, at every step
            each = _NS_CHANGING if one.changes else _NS_EVENT
            transmission = transmission_of(one.synapse)
            if transmission is not None and transmission.by_synapse:
                each += _NS_TRANSMISSION
            seconds += synapses * events * each * 1e-9
        return seconds

    def check_memory(self) -> None:
        """Raise :class:`NetworkError` if the network cannot fit into this machine's memory."""
        free = _free_memory()
        if free is not None and self.nbytes > free:
            raise NetworkError(
                f"{self.network.label} needs about {self.nbytes / 2**30:.3g} GiB ({self.synapses:.3g} synapses),"
                f" but only {free / 2**30:.3g} GiB of memory are free: lower its scale, or run it elsewhere through PyNN"
            )

    def __str__(self) -> str:
        lines = [f"{self.network.label}: {self.neurons} cells in {len(self.network.populations)} populations, "
                 f"{_si(self.synapses)} synapses in {len(self.by_projection)} projections"]
        width = max((len(p.label) for p in self.network.populations), default=0)
        lines += [f"  {p.label:{width}}  {p.size:>9}  {p.cell.name}" for p in self.network.populations]
        shown = sorted(self.by_projection, key=lambda one: -one[1])
        width = max((len(label) for label, _ in shown[:12]), default=0)
        lines += [f"  {label:{width}}  {_si(n):>9} synapses" for label, n in shown[:12]]
        if len(shown) > 12:
            lines.append(f"  and {len(shown) - 12} more projections with {_si(sum(n for _, n in shown[12:]))} synapses")
        lines += [f"  {one.label}: Poisson input into {one.target.size} cells" for one in self.network.inputs]
        lines.append(f"memory: about {_bytes(self.nbytes)}")
        lines.append(f"cost at dt = {self.dt:g} ms, one thread: about {self.cost_per_second(1.0):.2g} CPU s for a second at a "
                     f"mean rate of 1 Hz, {self.cost_per_second(10.0):.2g} at 10 Hz")
        return "\n".join(lines)


def check_dt(dt: Any, name: str) -> None:
    """Raise :class:`ParameterError` unless dt is a number of ms that time can be counted in."""
    if isinstance(dt, bool) or not isinstance(dt, (int, float, np.number)) or not 1e-6 <= dt <= 1000:
        raise ParameterError(f"{name} must be >= 1e-06 and <= 1000 ms, got {dt!r:.100}")


def duration_steps(duration: Any, dt: float) -> int:
    """Whole steps of a duration in ms; raises :class:`ParameterError` unless it is a positive multiple of dt."""
    if isinstance(duration, bool) or not isinstance(duration, (int, float, np.number)) or not math.isfinite(duration) or duration <= 0:
        raise ParameterError(f"duration must be > 0 ms, got {duration!r}")
    steps = round(duration / dt)
    if steps < 1 or abs(steps * dt - duration) > 1e-6 * dt * max(1.0, steps * 1e-6):
        raise ParameterError(f"duration must be a multiple of dt = {dt:g} ms, got {duration:g} ms")
    return int(steps)


def check_threads(threads: Any, name: str) -> None:
    """Raise :class:`ParameterError` unless this is a number of threads."""
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or not 1 <= threads <= 256:
        raise ParameterError(f"{name} must be between 1 and 256, got {threads!r}")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_rates(network: Network, dt: float) -> None:
    """Refuse trains of more events in a step than there is room for."""
    rates = [(f"{one.label}: {one.cell.name}.rate", getattr(one.cell, "rate", 0.0)) for one in network.populations]
    rates += [(f"{one.label}: {one.cell.name}, 1 / (a b)", 1.0 / (one.cell.a * one.cell.b))
              for one in network.populations if isinstance(one.cell, SpikeSourceInhGamma)]
    rates += [(f"{one.label}: {one.cell.name}, beta / alpha", one.cell.mean_rate())
              for one in network.populations if isinstance(one.cell, SpikeSourceGamma)]
    rates += [(f"Poisson input {one.label}.rate", one.rate) for one in network.inputs]
    for name, rate in rates:
        check_rate(name, rate.mean_value() if isinstance(rate, Distribution) else float(np.max(rate)), dt)


def _check_refractory(network: Network, dt: float) -> None:
    """Refuse refractory periods that cannot be counted in steps."""
    for one in network.populations:
        given = 0.0 if one.cell.is_source else getattr(one.cell, "tau_refrac", 0.0)
        longest = given.support()[0] if isinstance(given, Distribution) else float(np.max(given))
        if longest > _REFRACTORY_STEPS * dt:
            raise ParameterError(
                f"{one.label}: {one.cell.name}.tau_refrac must be <= {_REFRACTORY_STEPS * dt:g} ms,"
                f" {_REFRACTORY_STEPS} steps of {dt:g} ms, got {longest:g}"
            )


def check_rate(name: str, rate: float, dt: float) -> None:
    """Raise :class:`ParameterError` if a rate in Hz asks for more events in a step than there is room for."""
    most = _EVENTS_PER_STEP * 1000.0 / dt
    if rate > most:
        raise ParameterError(
            f"{name} must be <= {most:g} Hz, {_EVENTS_PER_STEP} events in a step of {dt:g} ms, got {rate:g}"
        )


def _distinct_delays(delay: Any, dt: float) -> float:
    """About how many different delays a row of synapses may have."""
    if isinstance(delay, Distribution):
        low, high = delay.support()
        high = high if np.isfinite(high) else 4.0 * delay.mean_value()
        return min(max((high - low) / dt, 1.0), 60000.0)
    if isinstance(delay, str) or callable(delay):
        return 50.0
    return 1.0 if delay is None else float(np.unique(delay).size)


def _shortest(delay: Any, dt: float) -> float:
    if delay is None:
        return dt
    if isinstance(delay, Distribution):
        return max(delay.support()[0], 0.0)
    if isinstance(delay, str) or callable(delay):
        return 0.0
    return float(np.min(delay))


def _si(n: float) -> str:
    for limit, unit in ((1e9, "billion"), (1e6, "million")):
        if n >= limit:
            return f"{n / limit:.3g} {unit}"
    return f"{n:.0f}"


def _bytes(n: float) -> str:
    for limit, unit in ((2**30, "GiB"), (2**20, "MiB")):
        if n >= limit:
            return f"{n / limit:.3g} {unit}"
    return f"{n / 1024:.3g} KiB"


def _free_memory() -> float | None:
    """Bytes that can still be had; None where the system does not tell."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return float(line.split()[1]) * 1024.0
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, AttributeError):
        return None
