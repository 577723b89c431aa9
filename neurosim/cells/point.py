"""Cells composed of a membrane and any number of receptors."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import ParameterError
from ..parameters import Value, parameter, parameters_of
from .adex import AdaptiveMembrane, upswing
from .base import Cell, Component, State, StepModel, refractory_steps, stack
from .lif import current_propagator, membrane_rows

__all__ = [
    "AdExp", "AlphaPSR", "BetaPSR", "CondAlphaPostSynapticResponse", "CondBetaPostSynapticResponse",
    "CondExpPostSynapticResponse", "CurrExpPostSynapticResponse", "ExpPSR", "LIF", "PointNeuron",
]

# ------------------------------------------------------------------------------------ receptors


def between(s: Any, tau_decay: np.ndarray, tau_rise: np.ndarray) -> np.ndarray:
    """(exp(-s/tau_decay) - exp(-s/tau_rise)) / (1/tau_rise - 1/tau_decay), ms, for tau_rise <= tau_decay.

    In a form that stays accurate when the time constants are equal (s exp(-s/tau)) or nearly so.
    """
    x = (1.0 / tau_rise - 1.0 / tau_decay) * s
    ratio = np.where(x > 0.0, -np.expm1(-x) / np.where(x > 0.0, x, 1.0), 1.0)
    return s * np.exp(-s / tau_decay) * ratio


def per_peak(tau_decay: np.ndarray, tau_rise: np.ndarray) -> np.ndarray:
    """What :func:`between` is multiplied by for a peak of 1, 1/ms; e/tau where both are tau."""
    x = tau_decay / tau_rise - 1.0
    at = tau_decay * np.where(x > 0.0, np.log1p(x) / np.where(x > 0.0, x, 1.0), 1.0)
    return 1.0 / between(at, tau_decay, tau_rise)


def response_rows(dt: float, tau_decay: np.ndarray, tau_rise: np.ndarray | None = None, e_syn: np.ndarray | None = None,
                  scale: float = 1.0, kick: float | np.ndarray = 0.0) -> list[np.ndarray]:
    """A receptor's rows for ``kernels.point``.

    Parameters
    ----------
    tau_rise : ndarray, optional
        ms; without one the response is exponential.
    e_syn : ndarray, optional
        Reversal potential, mV; without one the receptor's state is a current.
    scale : float
        µS (or nA) for each unit of the receptor's state.
    kick : float or ndarray
        What a spike of the cell itself adds to the state.
    """
    one = np.ones_like(tau_decay)
    half, whole = np.exp(-0.5 * dt / tau_decay), np.exp(-dt / tau_decay)
    rows = [one * 0.0, one * (scale if e_syn is not None else 0.0), scale * (one if e_syn is None else e_syn), kick * one]
    if tau_rise is None:
        return [*rows, half, 0.0 * one, whole, 0.0 * one, 0.0 * one, 1.0 / tau_decay, 1.0 / tau_decay, 0.0 * one]
    c = per_peak(tau_decay, tau_rise)
    rows[0] = one
    return [*rows, half, c * between(0.5 * dt, tau_decay, tau_rise), whole, c * between(dt, tau_decay, tau_rise),
            np.exp(-dt / tau_rise), 1.0 / tau_decay, 1.0 / tau_rise, c]


class Response(Component):
    """A post-synaptic response; ``state`` is its recordable variable, ``rises`` says that it has a second one."""

    state: ClassVar[str] = "gsyn"
    conductance: ClassVar[bool] = True
    rises: ClassVar[bool] = False
    not_above: ClassVar[tuple[tuple[str, str], ...]] = ()

    @classmethod
    def rows(cls, p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
        """The rows of :func:`response_rows`."""
        raise NotImplementedError(f"{cls.__name__} has no rows")


@dataclasses.dataclass(frozen=True)
class CurrExpPostSynapticResponse(Response):
    """A current that decays exponentially: ``tau_syn disyn/dt = -isyn``; an arriving weight (nA) is added to isyn."""

    tau_syn: Value = parameter(5.0, "ms", "decay time of the current", low=0, open_low=True)

    state: ClassVar[str] = "isyn"
    conductance: ClassVar[bool] = False

    @classmethod
    def rows(cls, p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
        """An exponential current."""
        return response_rows(dt, p["tau_syn"])


@dataclasses.dataclass(frozen=True)
class CondExpPostSynapticResponse(Response):
    """A conductance that decays exponentially: ``tau_syn dgsyn/dt = -gsyn``, current ``gsyn (e_syn - v)``.

    An arriving weight (µS) is added to gsyn.
    """

    e_syn: Value = parameter(0.0, "mV", "reversal potential")
    tau_syn: Value = parameter(5.0, "ms", "decay time of the conductance", low=0, open_low=True)

    @classmethod
    def rows(cls, p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
        """An exponential conductance."""
        return response_rows(dt, p["tau_syn"], e_syn=p["e_syn"])


@dataclasses.dataclass(frozen=True)
class CondAlphaPostSynapticResponse(Response):
    """An alpha-shaped conductance, current ``gsyn (e_syn - v)``::

        gsyn = sum over inputs of weight (s/tau_syn) exp(1 - s/tau_syn),   s = time since arrival

    The weight (µS) is the peak, reached tau_syn after arrival.
    """

    e_syn: Value = parameter(0.0, "mV", "reversal potential")
    tau_syn: Value = parameter(5.0, "ms", "rise time of the conductance", low=0, open_low=True)

    rises: ClassVar[bool] = True

    @classmethod
    def rows(cls, p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
        """Rise and decay of one time constant."""
        return response_rows(dt, p["tau_syn"], p["tau_syn"], p["e_syn"])


@dataclasses.dataclass(frozen=True)
class CondBetaPostSynapticResponse(Response):
    """A conductance with a rise and a decay, current ``gsyn (e_syn - v)``::

        gsyn = sum over inputs of weight (exp(-s/tau_decay) - exp(-s/tau_rise))/peak,   s = time since arrival

    peak is the greatest value of the difference, so that the weight (µS) is the peak of the conductance (Roth & van
    Rossum 2009, "Modeling synapses", pp. 139-159).  tau_rise may not exceed tau_decay; where they are equal, it is an
    alpha function.
    """

    e_syn: Value = parameter(0.0, "mV", "reversal potential")
    tau_rise: Value = parameter(0.2, "ms", "rise time of the conductance", low=0, open_low=True)
    tau_decay: Value = parameter(1.7, "ms", "decay time of the conductance", low=0, open_low=True)

    rises: ClassVar[bool] = True
    not_above: ClassVar[tuple[tuple[str, str], ...]] = (("tau_rise", "tau_decay"),)

    @classmethod
    def rows(cls, p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
        """Rise and decay."""
        return response_rows(dt, p["tau_decay"], p["tau_rise"], p["e_syn"])


ExpPSR, AlphaPSR, BetaPSR = CondExpPostSynapticResponse, CondAlphaPostSynapticResponse, CondBetaPostSynapticResponse


# ------------------------------------------------------------------------------------ membranes


def conductance_rows(p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
    """The membrane of ``kernels.point.step_lif_cond``."""
    return [1.0 / p["tau_m"], p["v_rest"] / p["tau_m"] + p["i_offset"] / p["cm"], 1.0 / p["cm"],
            p["v_thresh"], p["v_reset"], refractory_steps(p["tau_refrac"], dt)]


class Membrane(Component):
    """A membrane: its states, and pairs of parameters of which the first must be less than the second."""

    states: ClassVar[Mapping[str, State]] = {}
    below: ClassVar[tuple[tuple[str, str], ...]] = ()


@dataclasses.dataclass(frozen=True)
class LIF(Membrane):
    """A leaky membrane with a fixed threshold, for :class:`PointNeuron`::

        cm dv/dt = -cm/tau_m (v - v_rest) + i_offset + the receptors' currents
        v >= v_thresh:  v <- v_reset for tau_refrac (whole steps, rounded)
    """

    cm: Value = parameter(1.0, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_refrac: Value = parameter(0.1, "ms", "refractory period after a spike", low=0)
    v_reset: Value = parameter(-65.0, "mV", "potential after a spike")
    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    tau_m: Value = parameter(20.0, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    v_thresh: Value = parameter(-50.0, "mV", "potential at which the cell spikes")

    states: ClassVar[Mapping[str, State]] = {"v": State("mV", "v_rest", "membrane potential")}
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_thresh"),)


@dataclasses.dataclass(frozen=True)
class AdExp(AdaptiveMembrane, Membrane):
    """An adaptive exponential membrane (Brette & Gerstner 2005), for :class:`PointNeuron`::

        cm dv/dt    = -g_L (v - v_rest) + g_L delta_T exp((v - v_thresh)/delta_T) - w + i_offset
                      + the receptors' currents,      g_L = cm/tau_m
        tau_w dw/dt = a (v - v_rest) - w
        v >= v_spike:  v <- v_reset,  w <- w + b;  v stays for tau_refrac (whole steps, rounded), w goes on
    """

    states: ClassVar[Mapping[str, State]] = {
        "v": State("mV", "v_rest", "membrane potential"),
        "w": State("nA", 0.0, "adaptation current"),
    }
    below: ClassVar[tuple[tuple[str, str], ...]] = (("v_reset", "v_spike"), ("v_thresh", "v_spike"))


def _adex_rows(p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
    """The membrane of ``kernels.point.step_adex``; a in µS."""
    v_spike, per_delta = upswing(p)
    return [v_spike, p["v_reset"], refractory_steps(p["tau_refrac"], dt), p["cm"] / p["tau_m"], p["v_rest"],
            p["v_thresh"], p["delta_T"], 1.0 / p["cm"], 1e-3 * p["a"], p["b"], 1.0 / p["tau_w"], p["i_offset"],
            1.0 / p["tau_m"], per_delta]


# ------------------------------------------------------------------------------------ composed cells


class PointNeuron(Cell):
    """A membrane with receptors of one's own choice, by name: ``PointNeuron(LIF(), AMPA=AlphaPSR(tau_syn=1.0))``.

    Parameters
    ----------
    membrane : LIF or AdExp
    **receptors : CurrExpPostSynapticResponse, ExpPSR, AlphaPSR or BetaPSR
        Name -> response.  All are currents or all are conductances, since weights have one unit (nA or µS).

    Raises
    ------
    ParameterError
        For something else than a membrane or a response, a name that is no identifier, currents and conductances in
        one cell, or parameters that contradict each other.

    Notes
    -----
    The membrane's parameters and states keep their names; those of a receptor carry its name, as ``"AMPA.tau_syn"`` and
    ``"AMPA.gsyn"`` (``"isyn"`` for currents), wherever a name is asked for: ``population.set(**{"AMPA.tau_syn": 2.0})``.
    Weights follow PyNN's rule of signs: positive for conductances; for currents positive onto excitatory, AMPA and NMDA,
    negative onto inhibitory, GABA, GABAA and GABAB, and free for other names.

    Numerical method: that of :class:`IF_curr_exp` (LIF with currents; exact), :class:`IF_cond_exp` (LIF with
    conductances; order 2 in dt) or :class:`EIF_cond_exp_isfa_ista` (AdExp; order 4).  NEST's
    ``iaf_psc_exp_multisynapse``, ``aeif_cond_alpha_multisynapse`` and ``aeif_cond_beta_multisynapse`` have the same equations.

    Examples
    --------
    >>> cell = PointNeuron(AdExp(tau_m=10.0), AMPA=AlphaPSR(tau_syn=1.0), GABAA=AlphaPSR(tau_syn=1.5, e_syn=-70.0))
    >>> cell.receptors, cell.replaced(**{"GABAA.e_syn": -75.0}).response("GABAA").e_syn
    (('AMPA', 'GABAA'), -75.0)
    """

    membrane_type: ClassVar[type[Membrane]] = LIF
    kinds: ClassVar[Mapping[str, type[Response]]] = {}  # receptor -> response

    # Cells of one structure share a dataclass, made when first needed, whose fields may have a dot in their names; so all
    # that goes by the names of fields (checks, values, set, fingerprints) serves them too.

    def __new__(cls, *membrane: Any, **given: Any) -> Any:
        """Of a membrane and its receptors; of the values of all parameters where the structure is known."""
        if cls is not PointNeuron:
            return super().__new__(cls, **given)
        if len(membrane) != 1 or not isinstance(membrane[0], Membrane):
            raise ParameterError(f"PointNeuron needs one membrane, LIF() or AdExp(), got {membrane!r:.200}")
        for name, response in given.items():
            if not name.isidentifier() or name.startswith("_"):
                raise ParameterError(f"PointNeuron: a receptor's name must be an identifier without a leading underscore, got {name!r}")
            if not isinstance(response, Response):
                raise ParameterError(f"PointNeuron.{name} must be a response such as AlphaPSR(), got {response!r:.200}")
        base: Any = type(membrane[0])
        return object.__new__(_structure(base, tuple((name, type(one)) for name, one in given.items())))

    def __init__(self, *membrane: Any, **given: Any) -> None:
        if membrane:
            parts = [("", membrane[0]), *((f"{name}.", one) for name, one in given.items())]
            given = {prefix + name: getattr(part, name) for prefix, part in parts for name in part.parameters()}
        for name, declared in parameters_of(self).items():
            object.__setattr__(self, name, given.get(name, declared.default))
        self.__post_init__()

    @property
    def membrane(self) -> Any:
        """The membrane with its parameters."""
        return self.membrane_type(**{name: getattr(self, name) for name in self.membrane_type.parameters()})

    def response(self, receptor: str) -> Any:
        """The response of a receptor with its parameters."""
        kind = self.kinds[receptor]
        return kind(**{name: getattr(self, f"{receptor}.{name}") for name in kind.parameters()})

    def __repr__(self) -> str:
        return f"PointNeuron({', '.join([repr(self.membrane), *(f'{r}={self.response(r)!r}' for r in self.receptors)])})"

    def _content(self) -> tuple[Any, ...]:
        return type(self), *(getattr(self, name) for name in self.parameters())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PointNeuron) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.membrane, {name: self.response(name) for name in self.receptors})

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.point``."""
        one = np.ones_like(initial["v"])
        own = {name: {field: p[f"{name}.{field}"] for field in kind.parameters()} for name, kind in self.kinds.items()}
        if self.membrane_type is AdExp:
            function, rows = "step_adex", _adex_rows(p, dt)
        elif self.exact:
            function, rows = "step_lif_curr", membrane_rows(p, dt)
        else:
            function, rows = "step_lif_cond", conductance_rows(p, dt)
        for name, kind in self.kinds.items():
            if self.exact:
                tau = own[name]["tau_syn"]
                rows += [np.exp(-dt / tau), current_propagator(p["tau_m"], tau, p["cm"], dt)]
            else:
                rows += kind.rows(own[name], dt)
        inputs = {name: f"_{name}.d" if kind.rises else f"{name}.{kind.state}" for name, kind in self.kinds.items()}
        hidden = [row for row in inputs.values() if row.startswith("_")]
        return StepModel(
            module="point", function=function, parameters=stack([len(self.kinds) * one, *rows]),
            states=(*self.states, *hidden, "_r"),
            initial=np.stack([*(initial[name] for name in self.states), *[0.0 * one] * (len(hidden) + 1)]), inputs=inputs,
        )


def _again(membrane: Membrane, receptors: Mapping[str, Response]) -> PointNeuron:
    """A cell that was pickled."""
    return PointNeuron(membrane, **receptors)


@functools.cache
def _structure(membrane: Any, receptors: tuple[tuple[str, Any], ...]) -> Any:
    """The dataclass of all cells with this membrane and these receptors."""
    conductances = {kind.conductance for _, kind in receptors}
    if len(conductances) > 1:
        raise ParameterError("PointNeuron: receptors must be all currents or all conductances, got "
                             + ", ".join(f"{name}={kind.__name__}()" for name, kind in receptors))
    currents = conductances <= {False}
    exact = membrane is LIF and currents
    unit, word = ("nA", "synaptic current") if currents else ("uS", "synaptic conductance")
    declared = {**membrane.parameters(),
                **{f"{name}.{field}": one for name, kind in receptors for field, one in kind.parameters().items()}}
    fields = {name: dataclasses.field(default=one.default, metadata={"parameter": one}) for name, one in declared.items()}
    said = ", ".join([membrane.__name__, *(f"{name}={kind.__name__}" for name, kind in receptors)])
    namespace: dict[str, Any] = {
        "__module__": __name__, "__doc__": f"A PointNeuron of {said}.",
        "__annotations__": {**dict.fromkeys(fields, Value), "structure": str}, **fields,
        "structure": dataclasses.field(default=said, init=False),  # so that fingerprints tell structures apart
        "membrane_type": membrane, "kinds": dict(receptors), "receptors": tuple(name for name, _ in receptors),
        "states": {**membrane.states, **{f"{name}.{kind.state}": State(unit, 0.0, f"{word} of {name}") for name, kind in receptors}},
        "weight_unit": unit, "below": membrane.below,
        "not_above": tuple((f"{name}.{low}", f"{name}.{high}") for name, kind in receptors for low, high in kind.not_above),
        "exact": exact, "order": 0 if exact else 2 if membrane is LIF else 4,
    }
    made = type("PointNeuron", (PointNeuron,), namespace)
    return dataclasses.dataclass(init=False, repr=False, eq=False, frozen=True)(made)
