"""Results as Neo objects, which electrophysiology tools read (elephant, viziphant, PyNN's users)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .extras import need
from .result import Result, Spikes, Trace

__all__ = ["to_neo"]

# What `quantities` does not know by our spelling.
_UNITS = {"": "dimensionless", "µS": "uS"}


def to_neo(result: Result) -> Any:
    """A ``neo.Block`` with one segment: a spike train for each recorded neuron, a signal for each trace.

    Spike trains carry the annotations ``source_population``, ``source_index`` (within the population) and
    ``source_id`` (within the network), and are listed by population, then neuron; one that never fired is there,
    empty.  A trace becomes an ``AnalogSignal`` with one column for each neuron, whose array annotation
    ``channel_index`` holds their indices; unevenly sampled ones become an ``IrregularlySampledSignal``.

    Raises
    ------
    ModuleNotFoundError
        If neo is not installed; the message says what brings it.
    """
    neo = need("neo", "pynn")
    block = neo.Block(name=result.label, seed=result.seed, dt=result.dt)
    segment = neo.Segment(name=result.label)
    block.segments.append(segment)
    for name, variables in result.recorded.items():
        info = result.populations[name]
        if "spikes" in variables:
            segment.spiketrains.extend(_trains(neo, result.spikes(name), name, info.offset))
        for variable in variables:
            if variable != "spikes":
                signal = _signal(neo, result.traces(name, variable), f"{name}: {variable}")
                signal.annotate(source_population=name, variable=variable)
                (segment.analogsignals if hasattr(signal, "sampling_rate") else
                 segment.irregularlysampledsignals).append(signal)
    return block


def _trains(neo: Any, spikes: Spikes, name: str, offset: int) -> list[Any]:
    return [
        neo.SpikeTrain(np.clip(times, spikes.t_start, spikes.t_stop), t_start=spikes.t_start, t_stop=spikes.t_stop,
                       units="ms", name=f"{name}[{neuron}]", source_population=name, source_index=neuron,
                       source_id=offset + neuron)
        for neuron, times in sorted(spikes.trains().items())]


def _signal(neo: Any, trace: Trace, name: str) -> Any:
    unit = _UNITS.get(trace.unit, trace.unit)
    labels = {"channel_index": trace.ids}
    gaps = np.diff(trace.times)
    if gaps.size and np.ptp(gaps) <= 1e-6 * gaps.mean():
        quantities = need("quantities", "pynn")
        period = (trace.times[-1] - trace.times[0]) / gaps.size
        return neo.AnalogSignal(trace.values, units=unit, t_start=trace.times[0] * quantities.ms,
                                sampling_period=period * quantities.ms, name=name, array_annotations=labels)
    return neo.IrregularlySampledSignal(trace.times, trace.values, units=unit, time_units="ms", name=name,
                                        array_annotations=labels)
