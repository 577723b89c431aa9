"""What a model is to the command line, and what their reports share: a window of time, numbers, a table."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..connectors import FixedNumberPreConnector
from ..errors import ParameterError
from ..network import Network, Population

if TYPE_CHECKING:
    from ..result import Result, Spikes

__all__ = ["TRANSIENT", "Model", "connect_at_random", "render", "settled", "sizes", "statistics"]

TRANSIENT = 500.0  # ms
COUNTED = 1000  # neurons of which synchrony is taken, which grows with their number


@dataclasses.dataclass(frozen=True)
class Model:
    """A network from the literature, ready to build.

    Attributes
    ----------
    name : str
    summary : str
        One line.
    make : callable
        ``make(scale, seed, dt, **options) -> Network``.
    describe : callable
        ``describe(result) -> str``: what the model did, beside what it should do.
    default_time, default_dt : float
        ms.
    learn : callable, optional
        Of a network that is to learn something: ``learn(scale, seed, dt, threads, progress, **options)`` teaches it and
        tests what it learnt.  What it returns has ``report() -> str``, ``save(path)`` and ``picture() -> Figure``.
    """

    name: str
    summary: str
    make: Callable[..., Network]
    describe: Callable[[Result], str]
    default_time: float = 1000.0
    default_dt: float = 0.1
    learn: Callable[..., Any] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options of :meth:`build` that only this model has, and their defaults."""
        declared = inspect.signature(self.make).parameters
        return {name: p.default for name, p in declared.items() if name not in ("scale", "seed", "dt")}

    def build(self, scale: float = 1.0, seed: int = 1, dt: float | None = None, **options: Any) -> Network:
        """The network, with the spikes of all its neurons recorded.

        Parameters
        ----------
        scale : float
            Size relative to the published network; what it changes besides the number of neurons, the model says.
        seed : int
            Of the graph, the weights and the initial values.
        dt : float, optional
            Step of the simulation that is to come, ms: the shortest delay.
        **options
            See :attr:`options`.
        """
        name = f"model {self.name}"
        scale, dt = _positive(f"{name}: scale", scale), _positive(f"{name}: dt", self.default_dt if dt is None else dt)
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            known = ", ".join(self.options) or "none"
            raise ParameterError(f"{name} has no option {unknown[0]!r}; it has {known}")
        return self.make(scale, seed, dt, **options)

    def taught(self, scale: float = 1.0, seed: int = 1, dt: float | None = None, threads: int | None = None,
               progress: bool = False, **options: Any) -> Any:
        """What the network learns; for models with :attr:`learn`, whose own arguments the options are."""
        name = f"model {self.name}"
        if self.learn is None:
            raise ParameterError(f"{name} learns nothing: build it and run it")
        common = ("scale", "seed", "dt", "threads", "progress")
        known = [k for k in inspect.signature(self.learn).parameters if k not in common]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ParameterError(f"{name} has no option {unknown[0]!r} for learning; it has {', '.join(known)}")
        scale, dt = _positive(f"{name}: scale", scale), _positive(f"{name}: dt", self.default_dt if dt is None else dt)
        return self.learn(scale, seed, dt, threads, progress, **options)

    def report(self, result: Result) -> str:
        """What the model did, as text for the terminal."""
        return self.describe(result)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0.0 < value < math.inf:
        raise ParameterError(f"{name} must be a finite number > 0, got {value!r}")
    return float(value)


def sizes(model: str, neurons: int, scale: float) -> tuple[int, int]:
    """Numbers of excitatory (80 %) and inhibitory neurons at this scale."""
    total = round(neurons * scale)
    excitatory = round(0.8 * total)
    if excitatory < 1 or total - excitatory < 1:
        raise ParameterError(f"model {model}: scale must leave neurons of both kinds (>= {5 / neurons:g}),"
                             f" got {scale:g}")
    return excitatory, total - excitatory


def connect_at_random(net: Network, exc: Population, inh: Population, k: tuple[int, int], weight: tuple[float, float],
                      delay: float) -> None:
    """Every neuron receives ``k`` (excitatory, inhibitory) inputs, their sources drawn with replacement."""
    for post in (exc, inh):
        for pre, n, w, receptor in zip((exc, inh), k, weight, ("excitatory", "inhibitory")):
            net.project(pre, post, FixedNumberPreConnector(n, with_replacement=True), w, delay, receptor)


# ------------------------------------------------------------------------------------------- reports


def settled(result: Result) -> tuple[float, float]:
    """The window to analyse, ms: without the first 500 ms, or without the first half of a run shorter than 1 s."""
    return max(result.t_start, min(TRANSIENT, 0.5 * result.t_stop)), result.t_stop


def statistics(spikes: Spikes, width: float = 3.0) -> tuple[float, float, float]:
    """Rate in Hz; CV of the interspike intervals of neurons with >= 10 spikes; synchrony of at most 1000 neurons.

    Synchrony is the variance of the spike count in bins of ``width`` ms over its mean (`neurosim.analysis.synchrony`).
    """
    counted = spikes
    if spikes.neurons.size > COUNTED:
        inside = spikes.ids <= spikes.neurons[COUNTED - 1]
        counted = dataclasses.replace(spikes, times=spikes.times[inside], ids=spikes.ids[inside])
    return spikes.rate(), spikes.cv(), counted.synchrony(width)


def number(value: float, digits: int) -> str:
    """A number, or ``-`` where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def render(head: Sequence[str], rows: Iterable[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """A table: the first column to the left, the others to the right, a rule below the head, notes below."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    width = [max(len(line[k]) for line in lines) for k in range(len(head))]
    text = ["  ".join([line[0].ljust(width[0]), *(cell.rjust(w) for cell, w in zip(line[1:], width[1:]))]).rstrip()
            for line in lines]
    text.insert(1, "  ".join("-" * w for w in width))
    return "\n".join([*text, *notes])


def plain(result: Result, notes: Sequence[str] = (), width: float = 3.0) -> str:
    """Size, rate, CV and synchrony (in bins of ``width`` ms) of every population whose spikes were recorded."""
    begin, end = settled(result)
    rows = []
    for label, info in result.populations.items():
        if "spikes" not in result.recorded[label]:
            continue
        rate, cv, synchrony = statistics(result.spikes(label).between(begin, end), width)
        rows.append((label, f"{info.size:,}", number(rate, 2), number(cv, 3), number(synchrony, 2)))
    return render(("population", "neurons", "rate Hz", "CV of ISI", "synchrony"), rows,
                  (f"From {begin:g} to {end:g} ms; synchrony in bins of {width:g} ms.", *notes))
