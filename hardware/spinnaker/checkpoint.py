"""The whole state of an emulation on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim import store
from neurosim.checkpoint import reading
from neurosim.errors import FileFormatError
from neurosim.kernels import spinnaker as kernel
from neurosim.kernels import spinnaker_sources as source_kernel
from neurosim.kernels import spinnaker_stdp as stdp
from neurosim.network import Network

from .deployment import Settings
from .load import load

if TYPE_CHECKING:
    from .emulation import Emulation

__all__ = ["fingerprint", "read", "write"]

_CONTENT = "SpiNNaker state"
# What a run changes; all else is as it was loaded.  Of currents and given spikes only how far they are is kept.
KEPT = ("state", "ring", "saturated", "weight", "row_time", "row_trace", "post_times", "post_traces", "post_count", "seeds", "sources",
        "current_seeds")
_LOADED = ("pops", "par", "shifts", "rows", "first_row", "lags", "target", "delay", "rule", "tables", "terms", "given_tick", "given_id",
           "cores", "current_cells", "current_steps")


def fingerprint(emulation: Emulation) -> str:
    """A hash of all that is loaded: what does not change in a run, and how it begins."""
    digest = hashlib.blake2b(digest_size=8)
    for name in _LOADED:
        array = getattr(emulation._m, name)
        digest.update(f"{name}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    for array in emulation._initial.values():
        digest.update(array.tobytes())
    return digest.hexdigest()


def write(emulation: Emulation, path: str | os.PathLike) -> None:
    """As `Emulation.save`."""
    m, settings = emulation._m, dataclasses.asdict(emulation.deployment.settings)
    header = {"content": _CONTENT, "fingerprint": fingerprint(emulation), "tick": emulation._tick, "settings": settings}
    rates = {label: np.asarray(parameters["rate"], dtype=np.float64) for label, parameters in emulation._poisson.items()}
    frames: list[tuple[str, dict[str, Any], dict[str, np.ndarray]]] = [
        ("state", {}, {name: getattr(m, name) for name in KEPT}),
        ("currents", {}, {"steps": m.currents[:, source_kernel.C_C:]}),
        ("history", {}, {"counts": emulation._counts, "spikes": emulation._past}),
        ("rates", {"labels": list(rates)}, {str(number): rate for number, rate in enumerate(rates.values())}),
    ]
    store.write_all(path, header, frames)


def read(cls: type[Emulation], path: str | os.PathLike, network: Network) -> Emulation:
    """As `Emulation.load`."""
    header, frames = store.read_all(path, strict=True)
    if header.get("content") != _CONTENT:
        raise FileFormatError(f"{path} is not the saved state of an emulation (content: {header.get('content')!r})")
    with reading(path):
        told = dict(header["settings"])
        told["max_expected_summed_weight"] = {label: tuple(row) for label, row in told["max_expected_summed_weight"].items()}
        settings = Settings(**told)
    made = cls.of(load(network, settings))
    if header.get("fingerprint") != fingerprint(made):
        raise FileFormatError(f"{path} was saved from another network than the one given")
    with reading(path):
        _restore(made, int(header["tick"]), {frame.kind: frame for frame in frames})
    return made


def _restore(emulation: Emulation, tick: int, frames: dict[str, store.Frame]) -> None:
    m = emulation._m
    _need(0 <= tick < 2**31, f"tick {tick} is no time")
    for name in KEPT:
        saved, own = frames["state"].arrays[name], getattr(m, name)
        _need(saved.shape == own.shape and saved.dtype == own.dtype, f"{name} has shape {saved.shape}, this network needs {own.shape}")
        own[...] = saved
    _need(bool(((m.post_count >= 1) & (m.post_count <= stdp.EVENTS)).all()), "a history of spikes has an impossible length")
    steps = frames["currents"].arrays["steps"]
    kinds = m.currents[:, source_kernel.C_KIND] == source_kernel.STEPS
    taken, most = steps[kinds, 0], m.currents[kinds, source_kernel.C_B] - m.currents[kinds, source_kernel.C_A]
    _need(bool(((taken >= 0) & (taken <= most)).all()), "a step current is at a step that it does not have")
    m.currents[kinds, source_kernel.C_C:] = steps[kinds]
    for number, row in enumerate(m.pops):
        lo, n = row[kernel.P_GIVEN], row[kernel.P_GIVENS]
        m.given_next[number] = lo + np.searchsorted(m.given_tick[lo:lo + n], tick)
    counts, spikes = frames["history"].arrays["counts"], frames["history"].arrays["spikes"]
    cells = m.bias.size
    _need(counts.shape == emulation._counts.shape and bool((counts >= 0).all()) and spikes.size == counts.sum()
          and (not spikes.size or 0 <= spikes.min() <= spikes.max() < cells), "the spikes that are under way do not fit this network")
    for number, label in enumerate(frames["rates"].meta["labels"]):
        rate = frames["rates"].arrays[str(number)]
        _need(rate.shape == emulation._poisson[label]["rate"].shape, f"rates of {label}")
        emulation._poisson[label] = {**emulation._poisson[label], "rate": rate}
    emulation._worst = emulation._most()
    emulation._tick, emulation._counts, emulation._past = tick, counts.astype(np.int64), spikes.astype(np.int32)
    emulation.clear()


def _need(good: bool, reason: str) -> None:
    if not good:
        raise FileFormatError(f"saved state: {reason}")
