"""A `Deployment` as plain data for `script`: dicts, lists, numbers and arrays, in sPyNNaker's words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurosim.errors import NetworkError, ParameterError
from neurosim.network import Network

from .cells import MODELS
from .deployment import Deployment, LoadedCells, Settings
from .limits import CELLS, has_binary
from .load import RECORDED_AS, load
from .placement import place
from .sources import population_seed

__all__ = ["deployed", "plain", "recorded_as"]

_ONE = 32768.0
_CURRENTS = {"DCSource": ("amplitude", "start", "stop"), "ACSource": ("amplitude", "offset", "frequency", "phase", "start", "stop"),
             "StepCurrentSource": ("times", "amplitudes"), "NoisyCurrentSource": ("mean", "stdev", "start", "stop")}


def deployed(network: Network, settings: Settings | None = None, **overrides: Any) -> Deployment:
    """The deployment of a network that can be loaded and placed.

    Raises NetworkError for all that stands in the way, in one message.  What `check` only estimates (full ring buffers, cores that are
    too busy) does not.
    """
    if not isinstance(network, Network):
        raise ParameterError(f"export needs a Network, got {network!r:.200}")
    deployment = load(network, settings, **overrides)
    deployment.refuse(*place(deployment).problems)
    if not deployment.cells:
        raise NetworkError(f"{network.label} has no population: there is nothing to export")
    return deployment


def plain(deployment: Deployment) -> dict[str, Any]:
    """All that a run needs, as plain data."""
    settings, cells, dt = deployment.settings, deployment.cells, float(deployment.settings.dt)
    projections = []
    for one in deployment.synapses:
        if not one.source.size:
            continue
        post = cells[one.post]
        rule = None
        if one.plastic and post.plastic is not None:
            rule = {"timing": post.plastic.timing, "weight": post.plastic.weight, "parameters": dict(post.plastic.parameters),
                    "backprop_delay": post.plastic.backprop_delay}
        projections.append({
            "label": one.label, "pre": cells[one.pre].label, "post": post.label, "receptor": post.receptors[one.receptor],
            "source": one.source, "target": one.target, "weight": one.asked, "delay": _delays(one.delay, post.slots, dt), "rule": rule})
    return {
        "label": deployment.network.label, "dt": dt, "time_scale_factor": settings.time_scale_factor,
        "populations": [_population(deployment, one) for one in cells], "projections": projections,
        "currents": [_current(one.label, one.size, source, ids, dt) for one in cells for source, ids in one.currents],
        "records": [{"population": one.label, "variable": recorded_as(deployment[one.label], one.variable), "cells": one.ids,
                     "steps": one.steps} for one in deployment.records]}


def _population(deployment: Deployment, one: LoadedCells) -> dict[str, Any]:
    settings, known = deployment.settings, CELLS[one.model]
    given: dict[str, Any] = {"neurons_per_core": int(one.per_core)}
    made = {"label": one.label, "size": one.size, "cell": one.model, "initial": {}, "settings": given,
            "parameters": {key: _single(one.parameters[key]) for key in known.parameters if key in one.parameters}}
    if one.ticks is not None:
        made |= {"ticks": np.concatenate([*one.ticks, np.zeros(0, np.int64)]), "counts": np.array([row.size for row in one.ticks])}
    elif one.is_source:
        given["seed"] = int(settings.seeds.get(one.label, population_seed(settings.seed, one.label)))
    else:
        given |= {"ring_buffer_sigma": float(settings.ring_buffer_sigma), "spikes_per_second": float(settings.spikes_per_second)}
        if (most := settings.max_expected_summed_weight.get(one.label)) is not None:
            given["max_expected_summed_weight"] = [float(value) for value in most]
        rule = "static" if one.plastic is None else (one.plastic.timing, one.plastic.weight)
        if has_binary(one.model, rule) == "combined":
            given["n_synapse_cores"] = 0
        if "seed" in one.initial:  # of cells that draw numbers; one for all, given with the parameters
            made["parameters"]["seed"] = int(one.initial["seed"][0])
        made["initial"] = _states(one, float(settings.dt))
    return made


def _states(one: LoadedCells, dt: float) -> dict[str, Any]:
    """Initial states as the machine will have them."""
    if one.model not in MODELS:
        return {key: _single(value) for key, value in one.initial.items() if key != "seed"}
    model = MODELS[one.model]
    words = model.words(one.parameters, one.initial, dt, one.label)
    return {field[1:]: _single(row / _ONE) for field, row in zip(model.fields, words, strict=True)
            if field[0] == "~" and not field.startswith("~seed")}


def _single(values: np.ndarray) -> float | np.ndarray:
    """One number where all are the same."""
    values = np.asarray(values, dtype=np.float64)
    return float(values.flat[0]) if (values == values.flat[0]).all() else values


def _delays(steps: np.ndarray, slots: int, dt: float) -> np.ndarray:
    """Delays in ms that sPyNNaker takes for these steps: where a product is rounded up, it would find a longer delay."""
    made = steps * dt
    for low in (made / dt > steps, made / (slots * dt) > steps / slots):
        made[low] = np.nextafter(made[low], 0.0)
    return made


def _current(label: str, size: int, source: Any, ids: np.ndarray, dt: float) -> dict[str, Any]:
    name = type(source).__name__
    given = {key: getattr(source, key) for key in _CURRENTS[name]}
    if "stop" in given:
        given["stop"] = min(float(given["stop"]), math.floor(0xFFFFFFFF * dt))
    if name == "NoisyCurrentSource":
        given["dt"] = dt
    given = {key: value if isinstance(value, np.ndarray) else float(value) for key, value in given.items()}
    return {"population": label, "type": name, "cells": None if ids.size == size else ids, "parameters": given}


def recorded_as(one: LoadedCells, name: str) -> str:
    """sPyNNaker's name of what is recorded of a population."""
    known = CELLS[one.model].recordable
    return name if name in known else RECORDED_AS[name]
