"""``spynnaker.pyNN.utilities.neo_convertor``: tables of numbers from Neo blocks, for scripts that use them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["convert_analog_signal", "convert_data", "convert_data_list", "convert_gsyn", "convert_gsyn_exc_list", "convert_gsyn_inh_list",
           "convert_spikes", "convert_spiketrains", "convert_v_list", "count_spikes", "count_spiketrains"]


def convert_analog_signal(signal_array: Any, time_unit: Any = None) -> np.ndarray:
    """Rows (cell, time, value) of a signal; ``time_unit``: by default that of the signal, ms."""
    ids = np.asarray(signal_array.annotations["channel_names"])
    times = (signal_array.times if time_unit is None else signal_array.times.rescale(time_unit)).magnitude
    return np.column_stack((np.repeat(ids, times.size), np.tile(times, ids.size), signal_array.magnitude.T.ravel()))


def _segment(data: Any, run: int) -> Any:
    if not run < len(data.segments):
        raise ValueError(f"the data have {len(data.segments)} segments: run must be below that, counted from 0, got {run}")
    return data.segments[run]


def convert_data(data: Any, name: str, run: int = 0) -> np.ndarray:
    """Rows of one variable of a block, in the segment number ``run``."""
    if name == "all":
        raise ValueError("variables are converted one at a time: name must be one of them, got 'all'")
    segment = _segment(data, run)
    return convert_spiketrains(segment.spiketrains) if name == "spikes" else convert_analog_signal(segment.filter(name=name)[0])


def convert_data_list(data: Any, name: str, runs: Iterable[int] | None = None) -> list[np.ndarray]:
    """Rows of one variable, for each segment."""
    return [convert_data(data, name, run) for run in (range(len(data.segments)) if runs is None else runs)]


def convert_v_list(data: Any, runs: Iterable[int] | None = None) -> list[np.ndarray]:
    """Rows of ``v``, for each segment."""
    return convert_data_list(data, "v", runs)


def convert_gsyn_exc_list(data: Any, runs: Iterable[int] | None = None) -> list[np.ndarray]:
    """Rows of ``gsyn_exc``, for each segment."""
    return convert_data_list(data, "gsyn_exc", runs)


def convert_gsyn_inh_list(data: Any, runs: Iterable[int] | None = None) -> list[np.ndarray]:
    """Rows of ``gsyn_inh``, for each segment."""
    return convert_data_list(data, "gsyn_inh", runs)


def convert_gsyn(gsyn_exc: Any, gsyn_inh: Any) -> np.ndarray:
    """Rows (cell, time, excitatory, inhibitory) of two blocks, which may be one."""
    exc, inh = convert_data(gsyn_exc, "gsyn_exc"), convert_data(gsyn_inh, "gsyn_inh")
    if not np.array_equal(exc[:, :2], inh[:, :2]):
        raise ValueError(f"cells or times of gsyn_exc and gsyn_inh differ ({len(exc)} and {len(inh)} samples)")
    return np.column_stack((exc, inh[:, 2]))


def convert_spiketrains(spiketrains: Any) -> np.ndarray:
    """Rows (cell, time) of trains."""
    rows = [np.column_stack((np.full(len(one), one.annotations["source_index"]), one.magnitude)) for one in spiketrains]
    return np.concatenate([np.empty((0, 2)), *rows])


def convert_spikes(neo: Any, run: int = 0) -> np.ndarray:
    """Rows (cell, time) of a block, in the segment number ``run``."""
    return convert_spiketrains(_segment(neo, run).spiketrains)


def count_spiketrains(spiketrains: Any) -> int:
    """Spikes of trains."""
    return sum(map(len, spiketrains))


def count_spikes(neo: Any) -> int:
    """Spikes of a block's first segment."""
    return count_spiketrains(neo.segments[0].spiketrains)
