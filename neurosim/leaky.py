"""Leaky cells by what is left after a step, as frameworks step them, told as the cells of a network with the same spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .cells.euler import RESETS, EulerAdaptiveLIF, EulerCubaLIF, EulerLIF
from .cells.lif import IF_curr_delta, IF_curr_exp, IF_jump, current_propagator
from .errors import ParameterError
from .layers import Cells
from .maps import Shape

__all__ = ["EDGE", "NEVER", "leaky", "time_constant"]

NEVER = 1e300  # mV: a threshold that nothing reaches
EDGE = 2.0**-40  # of a threshold: where rounding must not decide whether it is reached


def time_constant(keep: Any, dt: float) -> Any:
    """The ms whose exact decay over ``dt`` leaves ``keep``; the number with few digits where that is the same to 1e-15."""
    kept = np.asarray(keep, dtype=np.float64)
    tau = -dt / np.log(kept)
    short = np.vectorize(lambda value: float(f"{value:.9g}"), otypes=[np.float64])(tau)
    return np.where(np.abs(np.exp(-dt / short) - kept) <= 4e-16, short, tau)


def leaky(shape: Shape, keep: Any, dt: float, *, gain: Any = 1.0, v_thresh: Any = 1.0, v_reset: Any = 0.0, v_leak: Any = 0.0,
          reset: str = "value", strict: bool = False, keep_syn: Any = None, refractory: int = 0, adapt: tuple[Any, Any] | None = None,
          spiking: bool = True, initial: Any = None) -> Cells:
    """Cells that do in each step::

        i <- keep_syn i + x                               (without keep_syn: i = x)
        v <- v_leak + keep (v - v_leak) + gain i          spike if v >= v_thresh (+ beta a);   then reset
        a <- keep_adapt a + (1 with a spike)

    `IF_curr_delta`, `IF_curr_exp` or `IF_jump` where these give the same spikes, since the first two are what other simulators
    and machines have; else the cells of `neurosim.cells.euler`.  Potentials are in mV.

    Parameters
    ----------
    shape : tuple of int
        Of the layer.
    keep : float or array, > 0 (for the exact cells) and <= 1
        Numbers may be arrays of as many values as there are cells, here and below.
    dt : float
        ms that a step lasts.
    gain, v_thresh, v_reset, v_leak
    reset : str
        One of `neurosim.cells.euler.RESETS`; "value" sets v to ``v_reset``.
    strict : bool
        Whether a spike needs v > v_thresh.
    keep_syn : float or array, optional
    refractory : int
        Steps after a spike in which v stays at ``v_reset``.
    adapt : (keep_adapt, beta), optional
        The threshold rises by ``beta`` a.
    spiking : bool
        False: v has no threshold, and is what the layer sends.
    initial : float or array, optional
        v at the beginning; ``v_leak`` by default.

    Raises
    ------
    ParameterError
        For an unknown reset, numbers that are not finite, or a refractory time of cells that only Euler's steps say.
    """
    if reset not in RESETS:
        raise ParameterError(f"leaky: reset must be one of {', '.join(RESETS)}, got {reset!r}")
    n = int(np.prod(shape))
    given = {"keep": keep, "gain": gain, "v_thresh": v_thresh, "v_reset": v_reset, "v_leak": v_leak}
    if keep_syn is not None:
        given["keep_syn"] = keep_syn
    p = {name: _each(name, value, n, shape) for name, value in given.items()}
    exact = (reset == "value" or not spiking) and adapt is None and bool((p["keep"] > 0).all() and (p["keep"] <= 1).all())
    exact = exact and (not spiking or bool((p["v_reset"] < p["v_thresh"]).all()))
    exact = exact and (bool((p["keep"] < 1).all()) or (keep_syn is None and bool((p["keep"] == 1).all() and (p["v_leak"] == 0).all())))
    exact = exact and (keep_syn is None or bool((p["keep_syn"] > 0).all() and (p["keep_syn"] < 1).all()))
    if refractory and not exact:
        raise ParameterError("leaky: cells with a refractory time decay exactly and are reset to a value below the threshold")
    start = {} if initial is None else {"v": _plain(_each("initial", initial, n, shape))}
    stepped = None if refractory else _stepped(shape, p, reset, strict, adapt, spiking, start)
    if not exact:
        return stepped  # type: ignore[return-value]
    return _solved(shape, p, dt, strict, refractory, spiking, start, stepped)


def _each(name: str, value: Any, n: int, shape: Shape) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    try:
        array = np.broadcast_to(array if array.size == n else np.broadcast_to(array, shape), shape if array.size != n else array.shape)
    except ValueError:
        raise ParameterError(f"leaky: {name} must be one number or one for each of {n} cells, got shape {np.shape(value)}") from None
    array = array.reshape(-1) if array.size == n else np.full(n, float(array.reshape(-1)[0]))
    if not np.isfinite(array).all():
        raise ParameterError(f"leaky: {name} must be finite")
    return np.array(array)


def _plain(value: np.ndarray) -> Any:
    """An array of one value as that number."""
    return float(value[0]) if (value == value[0]).all() else value


def _plainly(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: _plain(np.atleast_1d(np.asarray(value, dtype=np.float64))) for name, value in values.items()}


def _value(spiking: bool) -> tuple[str, float] | None:
    return None if spiking else ("v", 1.0)


def _solved(shape: Shape, p: Mapping[str, np.ndarray], dt: float, strict: bool, refractory: int, spiking: bool,
            start: Mapping[str, Any], stepped: Cells | None) -> Cells:
    """Cells whose decay is exact."""
    edge = np.maximum(np.abs(p["v_thresh"]), 1e-30) * (EDGE if strict else -EDGE)
    low = p["v_reset"] if spiking else np.minimum(p["v_leak"], 0.0)
    common = {"v_rest": p["v_leak"], "v_reset": low, "v_thresh": p["v_thresh"] + edge if spiking else np.full(1, NEVER),
              "tau_refrac": np.full(1, refractory * dt), "cm": np.ones(1)}
    if (p["keep"] == 1).all():  # cm = 1 nF: 1 nA adds dt mV in a step
        begin = {"v": 0.0, **start}
        cell: Any = IF_jump(**_plainly({**common, "v_rest": np.zeros(1)}))
        return Cells(cell, shape, _plain(p["gain"]), per_current=_plain(p["gain"] / dt), value=_value(spiking), initial=begin)
    tau_m = time_constant(p["keep"], dt)
    common |= {"tau_m": tau_m, "cm": tau_m / dt * -np.expm1(-dt / tau_m)}  # as much here: what SpiNNaker stores are the weights themselves
    per_current = p["gain"] / dt
    if "keep_syn" not in p:
        return Cells(IF_curr_delta(**_plainly(common)), shape, _plain(p["gain"]), per_current=_plain(per_current),
                     value=_value(spiking), initial=start)
    tau_syn = time_constant(p["keep_syn"], dt)
    per_weight = p["gain"] / current_propagator(tau_m, tau_syn, common["cm"], dt)
    cell = IF_curr_exp(**_plainly({**common, "tau_syn_E": tau_syn, "tau_syn_I": tau_syn}))
    return Cells(cell, shape, _plain(per_weight), lag=1, per_current=_plain(per_current), keep_current=_plain(p["keep_syn"]),
                 value=_value(spiking), initial=start, instead=stepped)


def _stepped(shape: Shape, p: Mapping[str, np.ndarray], reset: str, strict: bool, adapt: tuple[Any, Any] | None, spiking: bool,
             start: Mapping[str, Any]) -> Cells:
    """Cells that take the framework's own steps."""
    n = int(np.prod(shape))
    v_thresh = p["v_thresh"] if spiking else np.full(1, NEVER)
    values = {"keep": p["keep"], "v_leak": p["v_leak"], "v_reset": p["v_reset"], "v_thresh": v_thresh,
              "reset": np.full(1, RESETS.index(reset if spiking else "none")), "reached": np.full(1, not strict)}
    if adapt is None and "keep_syn" not in p:
        gain = np.where(p["gain"] != 0, p["gain"], 1.0)
        cell = EulerLIF(**_plainly({**values, "gain": gain}))
        factor = _plain(np.where(p["gain"] != 0, 1.0, 0.0))
        return Cells(cell, shape, _plain(p["gain"]), per_current=factor, value=_value(spiking), initial=start)
    values |= {"gain": p["gain"], "keep_syn": p.get("keep_syn", np.zeros(1)), "gain_syn": np.ones(1)}
    if adapt is None:
        cell = EulerCubaLIF(**_plainly(values))
    else:
        if reset not in ("value", "subtract"):
            raise ParameterError(f"leaky: with a threshold that adapts, reset must be 'value' or 'subtract', got {reset!r}")
        keep_adapt, beta = (_each("adapt", one, n, shape) for one in adapt)
        cell = EulerAdaptiveLIF(**_plainly({**values, "keep_adapt": keep_adapt, "beta": beta}))
    return Cells(cell, shape, per_current=1.0, value=_value(spiking), initial=start)
