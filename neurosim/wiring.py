"""From a projection's description to its synapses: who, how strong, how late.

A projection is read through its attributes ``pre``, ``post`` (populations or views), ``connector``, ``weight``,
``delay`` (ms), ``label``, ``same``, ``own`` and ``space``.  Synapses come in portions and are never held all at once;
weights and delays depend on the seed, the label and a synapse's place in the connector's order, not on the portions.

A weight or a delay may be

* a number, the same for all synapses;
* a :class:`~neurosim.parameters.Distribution`, drawn for each synapse; a drawn weight is the nearest number of single
  precision, so that it takes 4 bytes wherever it is kept and is the same in all of them;
* an array of shape (n_pre, n_post), or of one value for each synapse: in the order of the list for connectors with a
  list, else in the connector's own order (by target, then by source), which for one-to-one is the cells' order;
* a function of an array of distances, or text such as ``"0.5 + d / 300"`` (both populations then need positions);
* a column of the connector's list, which stands in place of the projection's value;
* for a delay, None: one step.

The parameters of `neurosim.plasticity.Transmission` (U, tau_rec, p ...) may be the first three of these.

Where the target asks for a sign, given weights must have it; drawn ones are looked at as distributions, when described.
Delays become whole steps: rounded to the nearest, halves up.  A delay that is drawn between dt / 2 and dt
becomes one step; one that is given and is less than dt is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .connectors import MAX_SYNAPSES, Block, Context
from .errors import NetworkError, ParameterError
from .parameters import Distribution, parameters_of, stream_key
from .plasticity import Transmission, transmission_of
from .space import Space, distance_function

__all__ = ["MAX_DELAY_STEPS", "Synapses", "arrays", "context_of", "delay_steps", "dense", "expected_synapses", "given_arrays",
           "given_delays", "synapse_values", "synapses", "validate", "whole_steps"]

MAX_DELAY_STEPS = 60000
_SLACK = 1e-9  # of a step: 3 * 0.1 ms is three steps

Values = float | np.ndarray
_Rule = Callable[[Block, int], Values]  # the values of a block whose first synapse has this running index


class Synapses(NamedTuple):
    """A portion of a projection: arrays of shape (k,), or one number where it is the same for all.

    ``pre``, ``post`` int32; ``weight`` float64, in the projection's unit; ``delay_steps`` uint16.
    """

    pre: np.ndarray
    post: np.ndarray
    weight: Values
    delay_steps: int | np.ndarray


def context_of(projection: Any, seed: int = 0) -> Context:
    """What the projection's connector is told."""
    pre, post = projection.pre, projection.post
    return Context(
        n_pre=int(pre.size), n_post=int(post.size), key=stream_key(seed, "projection", projection.label, "connector"),
        same=bool(projection.same), pre_positions=pre.positions, post_positions=post.positions,
        space=getattr(projection, "space", None) or Space(), own=projection.own,
        label=projection.label, seed=seed,
    )


def expected_synapses(projection: Any) -> float:
    """The expected number of synapses; none is built."""
    return float(projection.connector._expected(context_of(projection)))


def validate(projection: Any, dt: float | None = None) -> None:
    """Raise what :func:`synapses` would raise, as far as it shows before any synapse is made.

    Without ``dt`` only the kind and the shape of delays are looked at.
    """
    context = context_of(projection)
    projection.connector._check(context)
    projection.connector._check_places(context)
    _weights(projection, context, 0)
    if (structure := getattr(projection, "structure", None)) is not None:
        structure.validate(context, dt)
    if (transmission := transmission_of(getattr(projection, "synapse", None))) is not None:
        _check_transmission(projection, context, transmission)
    if dt is not None:
        _delays(projection, context, 0, dt)
    elif projection.delay is not None:
        _rule(projection, context, "delay", 0)


def synapses(projection: Any, seed: int, dt: float, max_synapses: int = MAX_SYNAPSES,
             weighted: bool = True) -> Iterator[Synapses]:
    """The projection's synapses by target, at most ``max_synapses`` at once (or those of one target, if it has more).

    Without ``weighted`` all weights are given as 0, which saves drawing them where only places are wanted.

    Raises
    ------
    NetworkError
        If the connector does not fit the populations, or a delay does not fit the time step.
    ParameterError
        If a weight or a delay has a value or a shape that cannot be used.
    """
    context = context_of(projection, seed)
    weigh = _weights(projection, context, seed)
    wait = _delays(projection, context, seed, dt)
    first = 0
    for block in projection.connector.blocks(context, max_synapses):
        yield Synapses(block.pre, block.post, weigh(block, first) if weighted else 0.0, wait(block, first))
        first += block.pre.size
    for name in ("weight", "delay"):
        if name not in projection.connector.columns():
            _check_length(projection, name, _given(projection, name), first)


def arrays(projection: Any, seed: int, dt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All synapses at once: pre, post (int32), weight, delay in ms (float64)."""
    parts = list(synapses(projection, seed, dt))
    pre, post = (np.concatenate([np.empty(0, np.int32), *(part[c] for part in parts)]) for c in (0, 1))
    weight, steps = (
        np.concatenate([np.empty(0), *(np.broadcast_to(part[c], part.pre.shape) for part in parts)]) for c in (2, 3)
    )
    return pre, post, weight, steps * dt


def synapse_values(projection: Any, name: str, seed: int) -> np.ndarray:
    """A parameter of how spikes are transmitted, for each synapse: float64, in the order of `arrays` and of `Simulation.weights`.

    Parameters
    ----------
    projection : Projection
        With a `TsodyksMarkramSynapse`, `SimpleStochasticSynapse`, `StochasticTsodyksMarkramSynapse` or `MultiQuantalSynapse`, as
        its ``synapse`` or as the ``short_term`` of its `STDPMechanism`.  With ``structure=``: the synapses at the start.
    name : str
        Such as ``"U"``, or ``"tau_rec"`` (ms).
    seed : int
        That of the network; it decides what is drawn.

    Raises
    ------
    ParameterError
        If the projection's synapses have no such parameter, or its array or what was drawn does not fit them.
    """
    transmission = transmission_of(projection.synapse)
    known = [] if transmission is None else list(parameters_of(transmission))
    if transmission is None or name not in known:
        raise ParameterError(f"{projection.label}: its synapses have no parameter {name!r}; they have {', '.join(known) or 'none'}")
    context = context_of(projection, seed)
    value = getattr(transmission, name)
    owner = f"{type(transmission).__name__}.{name}"
    _, rule = _rule_of(projection, context, owner, value, stream_key(seed, "projection", projection.label, name))
    found, first = [np.empty(0)], 0
    for block in projection.connector.blocks(context, MAX_SYNAPSES):
        found.append(np.broadcast_to(rule(block, first), block.pre.shape))
        first += block.pre.size
    _check_length(projection, owner, value, first)
    values = np.concatenate(found)
    parameters_of(transmission)[name].check(f"{projection.label}: {type(transmission).__name__}", name, values)
    if name == "tau_rec":
        transmission.check_recovery(values, f"{projection.label}: ")
    return values


def given_delays(projection: Any, seed: int) -> np.ndarray:
    """The delays in ms as they were given or drawn, before they become whole steps; in the order of :func:`arrays`."""
    context = context_of(projection, seed)
    _value, rule = _rule(projection, context, "delay", stream_key(seed, "projection", projection.label, "delay"))
    parts, first = [np.empty(0)], 0
    for block in projection.connector.blocks(context, MAX_SYNAPSES):
        parts.append(np.broadcast_to(rule(block, first), block.pre.shape))
        first += block.pre.size
    return np.concatenate(parts)


def given_arrays(projection: Any, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """As :func:`arrays`, with delays in ms as they were given or drawn, whatever they are; None where they are left to be one step."""
    context = context_of(projection, seed)
    weigh = _weights(projection, context, seed)
    pre, post, weight, first = [np.empty(0, np.int32)], [np.empty(0, np.int32)], [np.empty(0)], 0
    for block in projection.connector.blocks(context, MAX_SYNAPSES):
        pre.append(block.pre)
        post.append(block.post)
        weight.append(np.broadcast_to(weigh(block, first), block.pre.shape))
        first += block.pre.size
    for name in ("weight", "delay"):
        if name not in projection.connector.columns():
            _check_length(projection, name, _given(projection, name), first)
    left = projection.delay is None and "delay" not in projection.connector.columns()
    return np.concatenate(pre), np.concatenate(post), np.concatenate(weight), None if left else given_delays(projection, seed)


def dense(projection: Any, seed: int, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """(weights summed, numbers of synapses), both of shape (n_pre, n_post); for tests and small plots."""
    shape = int(projection.pre.size), int(projection.post.size)
    total, count = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    for part in synapses(projection, seed, dt):
        np.add.at(total, (part.pre, part.post), part.weight)
        np.add.at(count, (part.pre, part.post), 1)
    return total, count


# ------------------------------------------------------------------------------------- rules


def _given(projection: Any, name: str) -> Any:
    """The weight or delay as it was given; lists as arrays."""
    value = getattr(projection, name)
    return np.asarray(value) if isinstance(value, (list, tuple)) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1


def _check_length(projection: Any, name: str, value: Any, n: int) -> None:
    if _is_list(value) and len(value) != n:
        raise _wrong_length(projection, name, len(value), f"{n} synapses")


def _check_transmission(projection: Any, context: Context, transmission: Transmission) -> None:
    """Refuse parameters that do not fit the projection, as far as it shows before any synapse is made."""
    owner = type(transmission).__name__
    for name in parameters_of(transmission):
        _rule_of(projection, context, f"{owner}.{name}", getattr(transmission, name), 0)
    if transmission.by_synapse and getattr(projection, "structure", None) is not None:
        raise NetworkError(
            f"{projection.label}: {owner} keeps values or draws for each synapse, which synapses that come and go (structure=) do not"
            " have; a TsodyksMarkramSynapse of numbers goes with them"
        )


def _wrong_length(projection: Any, name: str, got: int, need: str) -> ParameterError:
    return ParameterError(
        f"{projection.label}: an array {name} must have one value for each of the {need}, got {got} values"
    )


def _is_number(value: Any) -> bool:
    return not isinstance(value, (bool, np.bool_)) and (
        isinstance(value, (int, float, np.number)) or (isinstance(value, np.ndarray) and value.ndim == 0)
    )


def _rule(projection: Any, context: Context, name: str, key: int) -> tuple[Values | Distribution | None, _Rule]:
    """(what can be checked now: the number, the array or the Distribution; how a block gets its values)."""
    if name in projection.connector.columns():
        return None, lambda block, first: getattr(block, name)
    return _rule_of(projection, context, name, _given(projection, name), key)


def _rule_of(projection: Any, context: Context, name: str, value: Any, key: int) -> tuple[Values | Distribution | None, _Rule]:
    """As `_rule`, of a value that the connector does not give."""
    if _is_number(value):
        number = float(value)
        return number, lambda block, first: number
    if isinstance(value, Distribution):
        return value, lambda block, first: value.draw(key, first, block.pre.size)
    if isinstance(value, str) or callable(value):
        return None, _of_distance(projection, context, name, value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        raise ParameterError(
            f"{projection.label}: {name} must be a number, an array of numbers, a Distribution or a function of"
            f" distance, got {value!r:.200}"
        )
    if value.shape == (context.n_pre, context.n_post):
        return value, lambda block, first: value[block.pre, block.post].astype(np.float64, copy=False)
    if value.ndim != 1:
        raise ParameterError(
            f"{projection.label}: an array {name} must have shape ({context.n_pre}, {context.n_post}), sources by"
            f" targets, or one value for each synapse, got shape {value.shape}"
        )
    return value, _listed(projection, name, value)


def _listed(projection: Any, name: str, value: np.ndarray) -> _Rule:
    """One value for each synapse: by row of the connector's list, else by running index."""
    def rule(block: Block, first: int) -> Values:
        index = np.arange(first, first + block.pre.size) if block.row is None else block.row
        if index.max() >= value.size:
            raise _wrong_length(projection, name, value.size, f"at least {index.max() + 1} synapses")
        return value[index].astype(np.float64, copy=False)

    return rule


def _of_distance(projection: Any, context: Context, name: str, value: Any) -> _Rule:
    try:
        of = distance_function(value) if isinstance(value, str) else value
    except ParameterError as error:
        raise ParameterError(f"{projection.label}: {name}: {error}") from None
    pre, post = context.pre_positions, context.post_positions
    if pre is None or post is None:
        bare = projection.pre if pre is None else projection.post
        raise NetworkError(
            f"{projection.label}: {name} depends on distance, but population {bare.label!r} has no positions"
        )

    def rule(block: Block, first: int) -> Values:
        found = of(context.space.distances(pre[block.pre], post[block.post]))
        out = np.asarray(found)
        if out.dtype.kind not in "iufb":
            raise ParameterError(
                f"{projection.label}: {name}, a function of distance, must return numbers, got {found!r:.200}"
            )
        if out.shape not in ((), block.pre.shape):
            raise ParameterError(
                f"{projection.label}: {name}, a function of distance, must return as many values as it is given,"
                f" {block.pre.size}, got shape {out.shape}"
            )
        return np.require(np.broadcast_to(out, block.pre.shape), np.float64, ["C", "W"])

    return rule


def _first_bad(values: Values, bad: Any, unit: str = "") -> str:
    """The first bad value with its unit and, in an array, where it stands."""
    bad, values = np.atleast_1d(bad), np.atleast_1d(values)
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    place = "" if bad.size == 1 else f" at index {where[0] if len(where) == 1 else where}"
    return f"{values[where]:g}{unit}{place}"


# ------------------------------------------------------------------------------------- weights and delays


def _weights(projection: Any, context: Context, seed: int) -> _Rule:
    value, rule = _rule(projection, context, "weight", stream_key(seed, "projection", projection.label, "weight"))

    def check(values: Values) -> None:
        bad = ~np.isfinite(values)
        if np.any(bad):
            raise ParameterError(f"{projection.label}: a weight must be finite, got {_first_bad(values, bad)}")
        bad = np.asarray(values) * projection.sign < 0
        if not drawn and np.any(bad):
            word = "positive" if projection.sign > 0 else "negative"
            raise ParameterError(
                f"{projection.label}: a weight onto the {projection.receptor} receptor must be zero or {word},"
                f" got {_first_bad(values, bad)}"
            )

    drawn = isinstance(value, Distribution)
    if value is not None and not isinstance(value, Distribution):
        check(value)
        return rule

    def checked(block: Block, first: int) -> Values:
        values = rule(block, first)
        if drawn:
            with np.errstate(over="ignore"):
                values = np.asarray(values).astype(np.float32).astype(np.float64)
        check(values)
        return values

    return checked


def _delays(projection: Any, context: Context, seed: int, dt: float) -> Callable[[Block, int], int | np.ndarray]:
    if not (math.isfinite(dt) and dt > 0):
        raise ParameterError(f"dt must be > 0 ms, got {dt}")
    if projection.delay is None and "delay" not in projection.connector.columns():
        return lambda block, first: 1
    value, rule = _rule(projection, context, "delay", stream_key(seed, "projection", projection.label, "delay"))
    drawn = isinstance(value, Distribution)
    if isinstance(value, Distribution) and value.support()[0] < (0.5 - _SLACK) * dt:
        raise NetworkError(
            f"{projection.label}: delay below dt: {value} reaches down to {value.support()[0]:g} ms, dt is {dt:g} ms"
            f" (give a Distribution with low={dt:g})"
        )
    if value is not None and not drawn:
        fixed = delay_steps(projection.label, value, dt)
        if isinstance(value, float):
            return lambda block, first: int(fixed)
    return lambda block, first: delay_steps(projection.label, rule(block, first), dt, drawn)


def delay_steps(label: str, delay: Any, dt: float, drawn: bool = False) -> np.ndarray:
    """Whole steps, uint16, of delays in ms; those that are not drawn must be at least dt."""
    bad = ~np.isfinite(delay)
    if np.any(bad):
        raise NetworkError(f"{label}: a delay must be finite, got {_first_bad(delay, bad, ' ms')}")
    bad = np.asarray(delay) < (0.5 if drawn else 1.0) * dt * (1.0 - _SLACK)
    if np.any(bad):
        raise NetworkError(f"{label}: delay below dt: got {_first_bad(delay, bad, ' ms')}, dt is {dt:g} ms")
    steps = whole_steps(delay, dt)
    bad = steps > MAX_DELAY_STEPS
    if np.any(bad):
        raise NetworkError(
            f"{label}: a delay must be <= {MAX_DELAY_STEPS} steps ({MAX_DELAY_STEPS * dt:g} ms),"
            f" got {_first_bad(delay, bad, ' ms')}"
        )
    return steps.astype(np.uint16)


def whole_steps(time: Any, dt: float, least: float = 1.0) -> np.ndarray:
    """Delays and times (ms) in steps, rounded to the nearest, halves up, at least ``least``; float64."""
    return np.maximum(np.floor(np.asarray(time) / dt + (0.5 + _SLACK)), least)
