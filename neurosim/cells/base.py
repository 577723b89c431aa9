"""What a cell model is: a frozen dataclass of parameters, its state variables, and how it is stepped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import ParameterError
from ..parameters import (
    Distribution,
    Parameter,
    evaluate,
    parameters_of,
    refuse_unknown,
    stream_key,
)

__all__ = ["Cell", "Component", "Model", "State", "StepModel"]


@dataclasses.dataclass(frozen=True)
class State:
    """A state variable that can be initialised and recorded.

    ``default`` is a number or the name of the parameter that gives the initial value.
    """

    unit: str
    default: float | str
    sentence: str


class Component:
    """Base of what has parameters: a dataclass that checks them on creation."""

    def __new__(cls, *args: Any, **values: Any) -> Any:
        """Refuse names that are not parameters before dataclass's own ``__init__`` raises a TypeError."""
        refuse_unknown(cls.__name__, cls, values)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, declared in parameters_of(self).items():
            value = declared.check(type(self).__name__, name, getattr(self, name))
            object.__setattr__(self, name, value)
        self.check()

    def check(self) -> None:
        """Raise :class:`ParameterError` where parameters contradict each other."""

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """The declared parameters by name."""
        return parameters_of(cls)

    @property
    def name(self) -> str:
        """The name of the model, as in messages and tables."""
        return type(self).__name__

    def replaced(self, **values: Any) -> Any:
        """The same model with some parameters changed; raises :class:`ParameterError` for a name that is not one."""
        refuse_unknown(self.name, type(self), values)
        return dataclasses.replace(self, **values)  # type: ignore[type-var]


class Model(Component):
    """Base of everything that a population can be made of.

    ``spikes`` says whether it ever does; ``graded`` names the state that it puts out all the time, if there is one.
    """

    receptors: ClassVar[tuple[str, ...]] = ()
    states: ClassVar[Mapping[str, State]] = {}
    weight_unit: ClassVar[str] = ""
    is_source: ClassVar[bool] = False
    spikes: ClassVar[bool] = True
    graded: ClassVar[str] = ""

    def values(self, n: int, seed: int, label: str) -> dict[str, np.ndarray]:
        """Every parameter for each of ``n`` cells; draws depend on the seed and the label alone.

        Raises
        ------
        ParameterError
            If an array has another length than ``n``.
        """
        return {
            name: evaluate(getattr(self, name), n, stream_key(seed, label, "parameter", name), f"{label}: {self.name}.{name}")
            for name in self.parameters()
        }

    def is_homogeneous(self) -> bool:
        """Whether every parameter is one number."""
        return all(isinstance(getattr(self, name), float) for name in self.parameters())


@dataclasses.dataclass(frozen=True)
class StepModel:
    """A population ready for a compiled stepping function (``neurosim.kernels.<module>.step``).

    Attributes
    ----------
    module : str
        Name of the kernel file.
    parameters : ndarray, float64, shape (n_parameters, n) or (n_parameters, 1)
        What the kernel reads, in the kernel's order; one column if all cells are alike.
    states : tuple of str
        Names of the rows of the state matrix; rows whose name starts with ``_`` are the kernel's own.
    initial : ndarray, float64, shape (n_states, n)
    inputs : dict
        Receptor -> name of the row to which arriving weights are added.
    deliver_first : bool
        True: what arrives at step t is added before the step to t (voltage jumps);
        False: after it (conductances and currents, which act from t on).
    from_zero : bool
        With ``deliver_first``: the first step is step 0, taken from the initial state, and a step to t has the injected current of t.
    callback : compiled callback, optional
        Used in place of a kernel file (a model of the user's own).
    function : str
        Name of the callback in the kernel file.
    together : int
        Successive neurons that act on each other within a step, so that no thread may own only some of them.
    """

    module: str
    parameters: np.ndarray
    states: tuple[str, ...]
    initial: np.ndarray
    inputs: Mapping[str, str]
    deliver_first: bool = False
    from_zero: bool = False
    function: str = "step"
    callback: Any = None
    together: int = 1


class Cell(Model):
    """A neuron model.

    ``below`` lists pairs of parameters of which the first must be less than the second, ``not_above`` pairs that may be
    equal.  ``exact`` says that the stepping kernel has no discretisation error between spikes; otherwise ``order`` is its
    order of convergence.
    ``capacitance`` (nF) is what a current charges in a model without a parameter ``cm``, if that is known.
    """

    receptors: ClassVar[tuple[str, ...]] = ("excitatory", "inhibitory")
    below: ClassVar[tuple[tuple[str, str], ...]] = ()
    not_above: ClassVar[tuple[tuple[str, str], ...]] = ()
    exact: ClassVar[bool] = False
    order: ClassVar[int] = 0
    capacitance: ClassVar[float] = 0.0

    def check(self) -> None:
        """Raise :class:`ParameterError` where the pairs of ``below`` and ``not_above`` are not in order."""
        self._check_order({name: getattr(self, name) for pair in self.below + self.not_above for name in pair})

    def _check_order(self, values: Mapping[str, Any]) -> None:
        """As :meth:`check`, on given values; what is still to be drawn is left to :meth:`values`."""
        for low, high in self.below + self.not_above:
            if not is_distribution(values[low]) and not is_distribution(values[high]):
                check_less(self.name, low, values[low], high, values[high], or_equal=(low, high) in self.not_above)

    def values(self, n: int, seed: int, label: str) -> dict[str, np.ndarray]:
        """As :meth:`Model.values`; what was drawn is checked for its order too."""
        values = super().values(n, seed, label)
        self._check_order(values)
        return values

    def initial_values(self, n: int, seed: int, label: str, given: Mapping[str, Any],
                       p: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Initial value of each declared state: as given, else its default; shape (n,) each."""
        values = {}
        for name, state in self.states.items():
            value = given.get(name, state.default)
            if isinstance(value, str):
                values[name] = p[value].copy()
            else:
                values[name] = evaluate(value, n, stream_key(seed, label, "initial", name), f"{label}: initial {name}")
        return values

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The model as a stepping kernel wants it.

        Parameters
        ----------
        p : dict of ndarray, shape (n,)
            The declared parameters.
        initial : dict of ndarray, shape (n,)
            The declared states.
        dt : float
            Step, ms.
        """
        raise NotImplementedError(f"{self.name} has no stepping kernel")


def stack(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of shape (n,) as a C-contiguous matrix; one column where every row is constant."""
    matrix = np.ascontiguousarray(np.stack([np.asarray(row, dtype=np.float64) for row in rows]))
    if matrix.shape[1] > 1 and (matrix == matrix[:, :1]).all():
        return np.ascontiguousarray(matrix[:, :1])
    return matrix


def refractory_steps(tau_refrac: np.ndarray, dt: float) -> np.ndarray:
    """Whole steps of absolute refractoriness, rounded to the nearest (halves up); float64."""
    return np.floor(tau_refrac / dt + 0.5)


def check_less(owner: str, low: str, low_value: Any, high: str, high_value: Any, or_equal: bool = False) -> None:
    """Raise :class:`ParameterError` unless ``low_value < high_value`` (or equal, if that is allowed) for every cell.

    Arrays whose lengths differ are left to :func:`~neurosim.parameters.evaluate`, which knows the right length.
    """
    try:
        a, b = np.broadcast_arrays(low_value, high_value)
    except ValueError:
        return
    bad = np.flatnonzero(a > b if or_equal else a >= b)
    if bad.size:
        where = "" if a.ndim == 0 else f" at index {int(bad[0])}"
        raise ParameterError(
            f"{owner}.{low} must be {'<=' if or_equal else '<'} {owner}.{high}, got {a.flat[bad[0]]:g} and {b.flat[bad[0]]:g}{where}"
        )


def is_distribution(value: Any) -> bool:
    """Whether a value is still to be drawn."""
    return isinstance(value, Distribution)
