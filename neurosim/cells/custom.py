"""A neuron of the user's own: a small Python function, compiled by Numba."""

from __future__ import annotations

import dataclasses
import inspect
import keyword
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..parameters import Parameter, numbers
from .base import Cell, State, StepModel, stack

__all__ = ["neuron"]


def neuron(parameters: Mapping[str, float | Parameter], states: Mapping[str, float | State],
           receptors: Sequence[str] = ("excitatory", "inhibitory"), weight_unit: str = "",
           ) -> Callable[[Callable], type[Cell]]:
    """Make a cell model of a function ``update(s, p, x)`` that advances one neuron by one step.

    Parameters
    ----------
    parameters : dict
        Name -> default, or a :class:`neurosim.Parameter` with unit, range and sentence.
    states : dict
        Name -> initial value, or a :class:`neurosim.State`.  They can be initialised and recorded.
    receptors : sequence of str
    weight_unit : str
        Unit of weights onto this model (``"nA"``, ``"uS"`` or ``"mV"`` bring PyNN's rule of signs).

    Returns
    -------
    decorator
        It turns ``update(s, p, x)`` into a class of cells of the same name.  ``s.<state>`` is read and
        written; ``p.<parameter>`` is read; ``x.<receptor>`` is the sum of the weights that arrive at this
        step, ``x.current`` the injected current (nA), ``x.t`` the time reached and ``x.dt`` the step (ms).
        The function returns whether the neuron spikes.

    Raises
    ------
    ParameterError
        For names that clash or are no identifiers, or a function of other arguments.

    Notes
    -----
    What it costs: the function is compiled once in each Python process for each model (about a second), not cached;
    a step of a neuron then takes about as long as the same arithmetic in C, plus some ns to load and store the states.
    Such populations are updated at every step (``update="event"`` does not apply to them).

    Examples
    --------
    >>> @neuron(parameters={"tau": 10.0, "v_thresh": 1.0}, states={"v": 0.0}, receptors=("excitatory",))
    ... def Leaky(s, p, x):
    ...     s.v += x.excitatory - x.dt / p.tau * s.v
    ...     if s.v >= p.v_thresh:
    ...         s.v = 0.0
    ...         return True
    ...     return False
    >>> Leaky(tau=5.0).tau
    5.0
    """
    if not isinstance(parameters, Mapping) or not isinstance(states, Mapping) or not states:
        raise ParameterError(
            f"a neuron model needs dicts of parameters and of at least one state, got {parameters!r}, {states!r}"
        )
    if weight_unit not in ("", "nA", "uS", "mV"):
        raise ParameterError(f"a neuron model's weight_unit must be 'nA', 'uS', 'mV' or '', got {weight_unit!r}")
    for name, value in {**parameters, **states}.items():
        if not isinstance(value, (Parameter, State)) and not _is_number(value):
            raise ParameterError(f"a neuron model's {name} must have a finite number as default, got {value!r}")
    _check_names("parameter", parameters)
    _check_names("state", states)
    _check_names("receptor", receptors)
    for clash in set(parameters) & set(states) | set(receptors) & {"current", "t", "dt"}:
        raise ParameterError(f"a neuron model has two things named {clash!r}")

    def decorate(update: Callable) -> type[Cell]:
        if list(inspect.signature(update).parameters) != ["s", "p", "x"]:
            raise ParameterError(f"{update.__name__} must take the arguments (s, p, x), got {inspect.signature(update)}")
        declared = {name: value if isinstance(value, Parameter) else Parameter(float(value), "", f"parameter {name}")
                    for name, value in parameters.items()}
        fields = [(name, Any, dataclasses.field(default=one.default, metadata={"parameter": one}))
                  for name, one in declared.items()]
        namespace = {
            "__doc__": update.__doc__ or f"A neuron model of the user's own, {update.__name__}.",
            "__module__": update.__module__, "receptors": tuple(receptors), "weight_unit": weight_unit,
            "states": {name: value if isinstance(value, State) else State("", float(value), f"state {name}")
                       for name, value in states.items()},
            "step_model": _step_model, "_update": staticmethod(update), "_compiled": [],
        }
        return dataclasses.make_dataclass(update.__name__, fields, bases=(Cell,), namespace=namespace, frozen=True)

    return decorate


def _is_number(value: Any) -> bool:
    array = numbers(value)
    return array is not None and array.ndim == 0 and bool(np.isfinite(array))


def _check_names(what: str, names: Any) -> None:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ParameterError(f"a neuron model's {what}s must be a list of names, got {names!r}")
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise ParameterError(f"a {what}'s name must be an identifier without a leading underscore, got {name!r}")


def _step_model(self: Any, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
    """The compiled function, and the arrays that it runs on."""
    kind = type(self)
    if not kind._compiled:
        kind._compiled.append(_compile(kind))
    n = next(iter(initial.values())).size
    rows = [*initial.values(), *(np.zeros(n) for _ in kind.receptors)]
    inputs = {receptor: f"_{receptor}" for receptor in kind.receptors}
    parameters = stack(list(p.values())) if p else np.zeros((1, 1))
    return StepModel(
        module="", callback=kind._compiled[0], parameters=parameters, states=(*initial, *inputs.values()),
        initial=np.stack(rows), inputs=inputs, deliver_first=True,
    )


def _compile(kind: Any) -> Any:
    """The callback that loads a neuron's states, calls the user's function, and stores them."""
    import numba

    from ..kernels.step import SIGNATURE

    update = numba.njit(kind._update, error_model="numpy")
    n_states, n_inputs, n_parameters = len(kind.states), len(kind.receptors), len(kind.parameters())
    state_type = np.dtype([(name, np.float64) for name in kind.states])
    parameter_type = np.dtype([(name, np.float64) for name in kind.parameters()] or [("_none", np.float64)])
    input_type = np.dtype([(name, np.float64) for name in (*kind.receptors, "current", "t", "dt")])
    _check_function(kind, update, state_type, parameter_type, input_type)

    def step(lo, hi, n, n_par, S, P, J, out, t, dt, key):
        s_flat, p_flat, x_flat = np.empty(n_states), np.empty(max(n_parameters, 1)), np.empty(n_inputs + 3)
        s, p, x = s_flat.view(state_type)[0], p_flat.view(parameter_type)[0], x_flat.view(input_type)[0]
        states = numba.carray(S, (n_states + n_inputs, n))
        parameters = numba.carray(P, (max(n_parameters, 1), n_par))
        current = numba.carray(J, n)
        spiked = numba.carray(out, n)
        x_flat[n_inputs + 1] = t * dt
        x_flat[n_inputs + 2] = dt
        found = 0
        for i in range(lo, hi):
            for j in range(n_states):
                s_flat[j] = states[j, i]
            for j in range(n_parameters):
                p_flat[j] = parameters[j, i if n_par > 1 else 0]
            for j in range(n_inputs):
                x_flat[j] = states[n_states + j, i]
                states[n_states + j, i] = 0.0
            x_flat[n_inputs] = current[i]
            if update(s, p, x):
                spiked[found] = i
                found += 1
            for j in range(n_states):
                states[j, i] = s_flat[j]
        return found

    return numba.cfunc(SIGNATURE, error_model="numpy")(step)


def _check_function(kind: Any, update: Any, *records: np.dtype) -> None:
    """Compile the user's function alone: it must use what the model has, and return a truth value on every path."""
    import numba
    from numba.core.errors import NumbaError

    signature = tuple(numba.from_dtype(record) for record in records)
    try:
        update.compile(signature)
    except (NumbaError, KeyError) as error:
        raise ParameterError(
            f"{kind.__name__} cannot be compiled: {str(error).strip().splitlines()[0]}. Its states (s) are"
            f" {', '.join(kind.states)}; its parameters (p) {', '.join(kind.parameters()) or 'none'}; its inputs (x)"
            f" {', '.join((*kind.receptors, 'current', 't', 'dt'))}"
        ) from error
    returned = update.overloads[signature].signature.return_type
    if not isinstance(returned, numba.types.Boolean):
        raise ParameterError(
            f"{kind.__name__} must return True or False, whether it spikes, on every path; Numba finds {returned}"
        )
