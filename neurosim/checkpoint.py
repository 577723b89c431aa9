"""A simulation's whole state on disk, whatever the parts and the threads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import learning, slow, store
from .currents import noise_key
from .errors import FileFormatError
from .groups import SOURCE

if TYPE_CHECKING:
    from .engine import Simulation

__all__ = ["SAVED", "capture", "number_currents", "read", "reading", "restore", "write"]

SAVED = ("x", "h", "h0", "rho", "base", "current", "following", "draws", "rate", "mode", "puts")


def capture(sim: Simulation) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """(header, arrays by kind and name): the state of a simulation, as `restore` takes it; arrays may be the simulation's own."""
    counts, spikes = _global_history(sim)
    header = {"content": "state", "fingerprint": sim.fingerprint(), "step": sim._step, "seed": sim.seed,
              "dt": sim.dt, "update": sim.update, "history": sim._history,
              "since": sim._since, "currents": sim._current_numbers}
    return header, {
        "state": {name: getattr(sim._net, name) for name in SAVED},
        "history": {"counts": counts, "spikes": spikes},
        "held": {"cells": np.array(list(sim._held), np.int64), "amounts": np.array(list(sim._held.values()), float)},
        "processes": slow.saved(sim),
        "plasticity": learning.saved(sim),
    }


def write(sim: Simulation, path: str | os.PathLike) -> None:
    """Write the state of a simulation."""
    header, state = capture(sim)
    store.write_all(path, header, [(kind, {}, arrays) for kind, arrays in state.items()])


def read(path: str | os.PathLike) -> tuple[Mapping[str, Any], list[store.Frame]]:
    """The header and the frames of a saved state."""
    header, frames = store.read_all(path, strict=True)
    if header.get("content") != "state":
        raise FileFormatError(f"{path} is not a saved simulation state (content: {header.get('content')!r})")
    return header, frames


@contextlib.contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """Within: what goes wrong is the file's fault."""
    try:
        yield
    except FileFormatError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} is not a saved simulation state: {type(error).__name__}: {error}") from error


def number_currents(sim: Simulation, numbers: Sequence[int]) -> None:
    """Let the injected currents of a simulation that was just made draw their noise by these numbers, not by their places."""
    if len(numbers) != len(sim._current_numbers) or len(set(numbers)) != len(numbers):
        raise FileFormatError(f"saved state: {len(numbers)} numbers of currents for {len(sim._current_numbers)}")
    keys = {noise_key(sim.seed, at): noise_key(sim.seed, number) for at, number in zip(sim._current_numbers, numbers, strict=True)}
    column = sim._net.injections[:, sim._k.J_KEY]
    column[:] = [keys[int(key)] for key in column]
    sim._current_numbers = list(numbers)


def _global_history(sim: Simulation) -> tuple[np.ndarray, np.ndarray]:
    """Recent spikes by group, whatever the parts: counts (groups, history), ids flat by group and step."""
    k, net = sim._k, sim._net
    counts = np.zeros((len(sim._groups), sim._history), np.int64)
    flat = []
    for g, group in enumerate(sim._groups):
        first = net.groups[g, k.G_PART0]
        parts = range(first, first + group.n_parts)
        counts[g] = sim._counts[list(parts)].sum(axis=0)
        starts = {p: np.concatenate([[0], np.cumsum(sim._counts[p])]) for p in parts}
        for s in range(sim._history):
            flat += [sim._lists[p][starts[p][s]:starts[p][s + 1]] for p in parts]
    return counts, np.concatenate([*flat, np.empty(0, np.int32)]).astype(np.int32)


def restore(sim: Simulation, header: Mapping[str, Any], state: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Put a simulation that was just made from the same network into a saved state."""
    k = sim._k
    sim._step = int(header["step"])
    if not 0 <= sim._step < 2**62:
        raise FileFormatError(f"saved state: step {sim._step} is not a time")
    for name in SAVED:
        saved, own = state["state"][name], getattr(sim._net, name)
        if saved.shape != own.shape or saved.dtype != own.dtype:
            raise FileFormatError(f"saved state: {name} has shape {saved.shape}, this network needs {own.shape}")
        own[...] = saved
    counts, flat = state["history"]["counts"], state["history"]["spikes"]
    if counts.shape != (len(sim._groups), sim._history) or flat.size != counts.sum() or (counts < 0).any():
        raise FileFormatError("saved state: the history of spikes does not fit this network")
    _split_history(sim, counts, flat)
    sim._multiplicity = np.where(sim._multiplicity > 1, sim._most_per_step(), 1)  # rates may have been set
    sim._held = {int(c): float(a) for c, a in zip(state["held"]["cells"], state["held"]["amounts"], strict=True)}
    slow.restore(sim, state["processes"])
    learning.restore(sim, state["plasticity"])
    from .kernels import sources
    for p, part in enumerate(sim._net.parts):
        group = sim._groups[part[k.P_GROUP]]
        if group.kind == SOURCE:
            sources.refresh(part[k.P_LO], part[k.P_HI], sim._net.following[group.y:group.y + group.n],
                            sim._net.least[part[k.P_LEAST]:])
            a, n = part[k.P_ARR0], part[k.P_ARRS]
            sim._net.array_next[p] = a + np.searchsorted(sim._net.array_step[a:a + n], sim._step, side="right")
    sim._net.stirred[:] = 1
    sim._net.rebuild[:] = 1
    sim._net.rebuild[[sim._groups[g].modal is None for g in sim._net.parts[:, k.P_GROUP]]] = 0
    if sim._step > 0:
        sim.clear()
    else:  # what belongs to time 0 was not yet part of a run
        sim._chunks = [sim._recorder.at_zero(sim._net, sim._base, sim.get, sim._taken())]


def _split_history(sim: Simulation, counts: np.ndarray, flat: np.ndarray) -> None:
    """Give the recent spikes to the parts."""
    k, net = sim._k, sim._net
    at = 0
    for g, group in enumerate(sim._groups):
        first = net.groups[g, k.G_PART0]
        lists: list[list[np.ndarray]] = [[] for _ in range(group.n_parts)]
        for s in range(sim._history):
            ids = flat[at:at + counts[g, s]]
            at += int(counts[g, s])
            if ids.size and (ids.min() < 0 or ids.max() >= group.n):
                raise FileFormatError("saved state: a spike of a neuron that does not exist")
            for p in range(group.n_parts):
                own = ids[ids // group.part_size == p]
                sim._counts[first + p, s] = own.size
                lists[p].append(own)
        for p in range(group.n_parts):
            sim._lists[first + p] = np.concatenate([*lists[p], np.empty(0, np.int32)]).astype(np.int32)
