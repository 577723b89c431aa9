"""sPyNNaker's synapses and learning rules, by its names, in its units: additive amplitudes are in the weight's unit."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
from pyNN.parameters import LazyArray
from pyNN.random import RandomDistribution

from neurosim import plasticity
from neurosim.pynn import standardmodels as base

from . import simulator
from .distributions import seeded
from .errors import ConfigurationException

__all__ = ["AdditiveWeightDependence", "MultiplicativeWeightDependence", "PfisterSpikeTriplet", "STDPMechanism", "SpikeNearestPairRule",
           "SpikePairRule", "StaticSynapse", "Vogels2011Rule", "WeightDependenceAdditiveTriplet"]


class StaticSynapse(base.StaticSynapse):
    """Synapses whose weights stay.

    Parameters
    ----------
    weight : number, list, array, RandomDistribution or expression of the distance ``d``
        nA, or uS onto conductances; the machine drops its sign, so that inhibitory ones may be given positive.
    delay : the same
        ms; by default one step.
    pad_to_length : int, optional
        Of rows in the machine's memory: passed over.
    """

    _simulator = simulator
    parameter_checks: dict[str, Any] = {}  # of signs: there are none

    def __init__(self, weight: Any = 0.0, delay: Any = None, pad_to_length: int | None = None) -> None:
        super().__init__(weight=_of_distance("weight", weight), delay=_of_distance("delay", delay))

    def drawn(self, next_seed: Any, refuse: bool) -> StaticSynapse:
        """The same with random numbers that the target's seed decides; ``refuse``: those with a generator of their own."""
        made = copy.copy(self)
        made.parameter_space = copy.deepcopy(self.parameter_space)
        for name, lazy in made.parameter_space.items():
            if isinstance(lazy, LazyArray) and isinstance(lazy.base_value, RandomDistribution):
                own = lazy.base_value.rng.seed is not None and not refuse
                lazy.base_value = lazy.base_value if own else seeded(lazy.base_value, next_seed(), name)
        return made

    @property
    def w_max(self) -> float | None:
        """The greatest weight that learning may set."""
        return None


_FUNCTIONS = {name: getattr(np, name) for name in ("arccos", "arcsin", "arctan", "arctan2", "ceil", "cos", "cosh", "exp", "fabs", "floor",
                                                   "fmod", "hypot", "log", "log10", "maximum", "minimum", "power", "sin", "sinh", "sqrt",
                                                   "tan", "tanh", "e", "pi")}


def _of_distance(name: str, given: Any) -> Any:
    """A text such as ``"0.2 * exp(-d)"`` as a function of the distance; anything else as it is."""
    if not isinstance(given, str):
        return given
    try:
        code = compile(given, given, "eval")
    except SyntaxError:
        code = None
    if code is None or not set(code.co_names) <= {"d", *_FUNCTIONS}:
        raise ConfigurationException(f"{name} must be a number, a distribution or an expression of d with {', '.join(_FUNCTIONS)};"
                                     f" got {given!r:.100}")
    return lambda d: eval(code, {"__builtins__": {}, **_FUNCTIONS}, {"d": d})


# ------------------------------------------------------------------------------------------ learning


def _quotient(product: float, factor: float) -> float:
    """What times ``factor`` is ``product`` to the last bit, if there is such a number; else the nearest."""
    if factor == 0.0:
        return 0.0
    guess = product / factor
    near = (guess, math.nextafter(guess, math.inf), math.nextafter(guess, -math.inf))
    return next((one for one in near if one * factor == product), guess)


@dataclasses.dataclass
class AdditiveWeightDependence:
    """Changes do not depend on the weight, which stays within ``w_min`` and ``w_max``."""

    w_min: float = 0.0
    w_max: float = 1.0

    def native(self) -> plasticity.WeightDependence:
        return plasticity.AdditiveWeightDependence(self.w_min, self.w_max)

    def relative(self, amplitude: float) -> float:
        """An amplitude of sPyNNaker, in the weight's unit, as the library's, in units of ``w_max``."""
        return _quotient(amplitude, self.w_max)


@dataclasses.dataclass
class MultiplicativeWeightDependence:
    """Potentiation in proportion to ``w_max - w``, depression to ``w - w_min``."""

    w_min: float = 0.0
    w_max: float = 1.0

    def native(self) -> plasticity.WeightDependence:
        return plasticity.MultiplicativeWeightDependence(self.w_min, self.w_max)

    def relative(self, amplitude: float) -> float:
        """An amplitude, which is a fraction."""
        return amplitude


@dataclasses.dataclass
class WeightDependenceAdditiveTriplet(AdditiveWeightDependence):
    """For `PfisterSpikeTriplet`: with the amplitudes of triplets, in units of ``w_max`` as those of pairs."""

    A3_plus: float = 0.01
    A3_minus: float = 0.01


@dataclasses.dataclass
class SpikePairRule:
    """Every pair of spikes; ``A_plus``, ``A_minus`` in the weight's unit where the dependence is additive, else fractions."""

    tau_plus: float = 20.0
    tau_minus: float = 20.0
    A_plus: float = 0.01
    A_minus: float = 0.01

    def native(self, weight: Any) -> plasticity.TimingDependence:
        return plasticity.SpikePairRule(self.tau_plus, self.tau_minus, weight.relative(self.A_plus), weight.relative(self.A_minus))


@dataclasses.dataclass
class SpikeNearestPairRule(SpikePairRule):
    """Pairs of nearest spikes."""

    def native(self, weight: Any) -> plasticity.TimingDependence:
        return dataclasses.replace(super().native(weight), pairing="nearest")  # type: ignore[type-var]


@dataclasses.dataclass
class PfisterSpikeTriplet:
    """Triplets of spikes; amplitudes in units of ``w_max``."""

    tau_plus: float
    tau_minus: float
    tau_x: float
    tau_y: float
    A_plus: float
    A_minus: float

    def native(self, weight: Any) -> plasticity.TimingDependence:
        if not isinstance(weight, WeightDependenceAdditiveTriplet):
            raise ConfigurationException(
                f"PfisterSpikeTriplet goes with WeightDependenceAdditiveTriplet, got {type(weight).__name__}")
        return plasticity.SpikeTripletRule(self.tau_plus, self.tau_minus, tau_x=self.tau_x, tau_y=self.tau_y, A2_plus=self.A_plus,
                                           A2_minus=self.A_minus, A3_plus=weight.A3_plus, A3_minus=weight.A3_minus)


@dataclasses.dataclass
class Vogels2011Rule:
    """Inhibitory plasticity: ``w += A_plus * (trace - alpha)``; ``A_minus`` counts for nothing on the machine."""

    alpha: float
    tau: float = 20.0
    A_plus: float = 0.01
    A_minus: float = 0.01

    def native(self, weight: Any) -> plasticity.TimingDependence:
        rho = 1000.0 * self.alpha / (2.0 * self.tau)
        near = (rho, math.nextafter(rho, math.inf), math.nextafter(rho, 0.0))
        rho = next((one for one in near if 2.0 * one * self.tau / 1000.0 == self.alpha), rho)
        return plasticity.Vogels2011Rule(tau=self.tau, eta=self.A_plus, rho=rho)


class STDPMechanism(StaticSynapse):
    """Synapses that learn from spikes, as the machine's do: at spikes of the source, with traces of 11 binary digits.

    Parameters
    ----------
    timing_dependence : SpikePairRule, or a rule of `extra_models`
    weight_dependence : AdditiveWeightDependence, MultiplicativeWeightDependence, or one of `extra_models`
    voltage_dependence : None
    dendritic_delay_fraction : 1.0
    weight, delay, pad_to_length
        As those of `StaticSynapse`.
    backprop_delay : True
    """

    def __init__(self, timing_dependence: Any, weight_dependence: Any, voltage_dependence: None = None,
                 dendritic_delay_fraction: float = 1.0, weight: Any = 0.0, delay: Any = None, pad_to_length: int | None = None,
                 backprop_delay: bool = True) -> None:
        super().__init__(weight, delay, pad_to_length)
        if voltage_dependence is not None:
            raise NotImplementedError("sPyNNaker has no voltage_dependence: it must be None")
        if dendritic_delay_fraction != 1.0:
            raise NotImplementedError(f"all delays must be dendritic: dendritic_delay_fraction must be 1.0, got {dendritic_delay_fraction}")
        if not backprop_delay:
            raise NotImplementedError("backprop_delay=False is not emulated: leave it True")
        for part, known in ((timing_dependence, (SpikePairRule, PfisterSpikeTriplet, Vogels2011Rule)),
                            (weight_dependence, (AdditiveWeightDependence, MultiplicativeWeightDependence))):
            if not isinstance(part, known):
                raise ConfigurationException(
                    f"STDPMechanism: {part!r:.100} is not one of {', '.join(one.__name__ for one in known)} and their like")
        self.timing_dependence, self.weight_dependence = timing_dependence, weight_dependence
        self.dendritic_delay_fraction, self.backprop_delay = dendritic_delay_fraction, backprop_delay
        timing_dependence.native(weight_dependence)  # raises where the two do not go together

    def native_synapse(self, values: dict[str, Any]) -> Any:  # type: ignore[override]
        """The library's mechanism, with the order of events of the machine."""
        return plasticity.STDPMechanism(self.timing_dependence.native(self.weight_dependence), self.weight_dependence.native(),
                                        order="spinnaker")

    @property
    def w_max(self) -> float:
        """The greatest weight that learning may set."""
        return self.weight_dependence.w_max

    def value(self, name: str) -> float:
        """A number of the rule."""
        for part in (self.timing_dependence, self.weight_dependence, self):
            if hasattr(part, name):
                return getattr(part, name)
        raise KeyError(f"STDPMechanism has no {name!r}")
