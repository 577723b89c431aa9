"""Synapses that change, described: PyNN's names, and rules that PyNN lacks.

What a rule means to the last step of time, and in which order simultaneous spikes count, is told in docs/plasticity.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from .errors import ParameterError
from .parameters import (
    Distribution,
    Integers,
    Settings,
    parameter,
    parameters_of,
    refuse_unknown,
)

__all__ = [
    "AdditivePotentiationMultiplicativeDepression", "AdditiveWeightDependence", "ClopathRule", "Dopamine", "ElectricalSynapse",
    "GutigWeightDependence", "MultiQuantalSynapse", "MultiplicativeWeightDependence", "OjaRule", "STDPMechanism",
    "SimpleStochasticSynapse", "SpikePairRule", "SpikeTripletRule", "StochasticTsodyksMarkramSynapse", "SynapseType",
    "TimingDependence", "Transmission", "TsodyksMarkramSynapse", "Vogels2011Rule", "WeightDependence", "transmission_of",
]

ORDERS = ("nest", "spinnaker", "brian2")
_PAIRINGS = ("all", "nearest", "restricted")
_GREATEST, _STEEPEST = 1e12, 1e6  # of weights; of what one spike may do to them


class SynapseType:
    """Base of what a projection may be given as ``synapse``."""


# ------------------------------------------------------------------------------------ dependence on the weight


class WeightDependence(Settings):
    """Base: how much a change of weight depends on the weight.  Weights are magnitudes, between w_min and w_max."""

    w_min: Any
    w_max: Any

    def check(self) -> None:
        """Raise unless w_min < w_max."""
        if not self.w_min < self.w_max:
            raise ParameterError(f"{type(self).__name__}.w_min must be < w_max, got {self.w_min:g} and {self.w_max:g}")


@dataclasses.dataclass(frozen=True)
class AdditiveWeightDependence(WeightDependence):
    """No dependence: both changes are in proportion to w_max (Song, Miller & Abbott 2000), and cut off at the bounds."""

    w_min: Any = parameter(0.0, "", "least weight, in the weight's unit", low=-_GREATEST, high=_GREATEST)
    w_max: Any = parameter(1.0, "", "greatest weight", low=-_GREATEST, high=_GREATEST)


@dataclasses.dataclass(frozen=True)
class MultiplicativeWeightDependence(WeightDependence):
    """Potentiation in proportion to w_max - w, depression to w - w_min (Rubin, Lee & Sompolinsky 2001)."""

    w_min: Any = parameter(0.0, "", "least weight, in the weight's unit", low=-_GREATEST, high=_GREATEST)
    w_max: Any = parameter(1.0, "", "greatest weight", low=-_GREATEST, high=_GREATEST)


@dataclasses.dataclass(frozen=True)
class AdditivePotentiationMultiplicativeDepression(WeightDependence):
    """Potentiation in proportion to w_max, depression to w - w_min (van Rossum, Bi & Turrigiano 2000)."""

    w_min: Any = parameter(0.0, "", "least weight, in the weight's unit", low=-_GREATEST, high=_GREATEST)
    w_max: Any = parameter(1.0, "", "greatest weight", low=-_GREATEST, high=_GREATEST)


@dataclasses.dataclass(frozen=True)
class GutigWeightDependence(WeightDependence):
    """Powers of the distance from the bounds (Gütig, Aharonov, Rotter & Sompolinsky 2003).

    Potentiation in proportion to w_max ((w_max - w)/(w_max - w_min))**mu_plus, depression to
    w_max ((w - w_min)/(w_max - w_min))**mu_minus.
    """

    w_min: Any = parameter(0.0, "", "least weight, in the weight's unit", low=-_GREATEST, high=_GREATEST)
    w_max: Any = parameter(1.0, "", "greatest weight", low=-_GREATEST, high=_GREATEST)
    mu_plus: Any = parameter(0.5, "", "power for potentiation: 0 additive, 1 multiplicative", low=0.0)
    mu_minus: Any = parameter(0.5, "", "power for depression", low=0.0)


# ------------------------------------------------------------------------------------ dependence on spikes


class TimingDependence(Settings):
    """Base of the rules."""

    pairings: ClassVar[tuple[str, ...]] = ("all",)

    def check(self) -> None:
        """Raise for a pairing that the rule does not have."""
        pairing = getattr(self, "pairing", "all")
        if not isinstance(pairing, str) or pairing not in self.pairings:
            raise ParameterError(f"{type(self).__name__}.pairing must be one of {', '.join(self.pairings)}, got {pairing!r}")


@dataclasses.dataclass(frozen=True)
class SpikePairRule(TimingDependence):
    """Pairs of spikes (Song, Miller & Abbott 2000; pairings after Morrison, Diesmann & Gerstner 2008, section 4.1.1)::

        spike of the target:  w <- w + f_plus(w) A_plus x          x decays with tau_plus
        spike of the source:  w <- w - f_minus(w) A_minus y        y decays with tau_minus

    x is raised by 1 at each spike of the source, y at each of the target (``pairing="all"``); or set to 1 (``"nearest"``: NEST's
    stdp_nn_symm_synapse).  ``"restricted"``: as nearest, and each spike pairs only with what no other spike of its own
    side lies between (stdp_nn_restr_synapse).  f_plus, f_minus: the weight dependence.
    """

    tau_plus: Any = parameter(20.0, "ms", "how long a spike of the source can still be followed", low=0, open_low=True)
    tau_minus: Any = parameter(20.0, "ms", "how long a spike of the target can still be followed", low=0, open_low=True)
    A_plus: Any = parameter(0.01, "", "size of potentiation", low=-_STEEPEST, high=_STEEPEST)
    A_minus: Any = parameter(0.01, "", "size of depression", low=-_STEEPEST, high=_STEEPEST)
    pairing: str = "all"

    pairings: ClassVar[tuple[str, ...]] = _PAIRINGS


@dataclasses.dataclass(frozen=True)
class SpikeTripletRule(TimingDependence):
    """Triplets of spikes (Pfister & Gerstner 2006, equations 3 and 4)::

        spike of the target:  w <- w + f_plus(w) r1 (A2_plus + A3_plus o2)
        spike of the source:  w <- w - f_minus(w) o1 (A2_minus + A3_minus r2)

    r1 (tau_plus) and r2 (tau_x) are traces of the source, o1 (tau_minus) and o2 (tau_y) of the target; r2 and o2 are taken
    just before the spike.  The published rule has no bounds and f = 1: with an additive dependence amplitudes count in
    units of w_max.  The defaults are the paper's all-to-all fit to visual cortex, A3_minus and A2_plus included.
    """

    tau_plus: Any = parameter(16.8, "ms", "fast trace of the source", low=0, open_low=True)
    tau_minus: Any = parameter(33.7, "ms", "fast trace of the target", low=0, open_low=True)
    tau_x: Any = parameter(101.0, "ms", "slow trace of the source", low=0, open_low=True)
    tau_y: Any = parameter(125.0, "ms", "slow trace of the target", low=0, open_low=True)
    A2_plus: Any = parameter(5e-10, "", "potentiation by pairs", low=-_STEEPEST, high=_STEEPEST)
    A2_minus: Any = parameter(7e-3, "", "depression by pairs", low=-_STEEPEST, high=_STEEPEST)
    A3_plus: Any = parameter(6.2e-3, "", "potentiation by triplets", low=-_STEEPEST, high=_STEEPEST)
    A3_minus: Any = parameter(2.3e-4, "", "depression by triplets", low=-_STEEPEST, high=_STEEPEST)
    pairing: str = "all"

    pairings: ClassVar[tuple[str, ...]] = _PAIRINGS[:2]


@dataclasses.dataclass(frozen=True)
class Vogels2011Rule(TimingDependence):
    """Inhibitory plasticity that steers the target towards a rate (Vogels et al. 2011, supplementary equations)::

        spike of the target:  w <- w + eta x
        spike of the source:  w <- w + eta (y - 2 rho tau)

    eta is in the weight's unit; of the weight dependence only the bounds count.
    """

    tau: Any = parameter(20.0, "ms", "time constant of both traces", low=0, open_low=True)
    eta: Any = parameter(1e-10, "", "learning rate, in the weight's unit", low=-_STEEPEST, high=_STEEPEST)
    rho: Any = parameter(3.0, "Hz", "rate of the target at which changes balance", low=0)


@dataclasses.dataclass(frozen=True)
class OjaRule(TimingDependence):
    """Oja's (1982) normalising Hebbian rule, by spikes::

        spike of the target:  w <- w + eta (x - alpha y w)

    x (tau_plus) is the source's trace, y (tau_minus) the target's before this spike.  Averaged over time, with rates r and s of source
    and target, dw/dt = eta s (tau_plus r - alpha tau_minus s w): Oja's equation, whose weights become the first
    principal component of the inputs.  On an inhibitory receptor the magnitude follows the same rule: anti-Hebbian
    learning, which makes lateral neighbours different (Földiák 1990).
    """

    tau_plus: Any = parameter(20.0, "ms", "trace of the source", low=0, open_low=True)
    tau_minus: Any = parameter(20.0, "ms", "trace of the target", low=0, open_low=True)
    eta: Any = parameter(0.001, "", "learning rate, in the weight's unit", low=-_STEEPEST, high=_STEEPEST)
    alpha: Any = parameter(1.0, "", "strength of the decay that bounds the weights", low=-_STEEPEST, high=_STEEPEST)


@dataclasses.dataclass(frozen=True)
class ClopathRule(TimingDependence):
    """Plasticity that looks at the target's potential (Clopath, Büsing, Vasilaki & Gerstner 2010, equations 1 to 3)::

        spike of the source:  w <- w - A_LTD (ubar_minus - theta_minus)+
        all the time:         dw/dt = A_LTP x (u - theta_plus)+ (ubar_plus - theta_minus)+

    ubar_minus and ubar_plus follow u with tau_minus and tau_plus; x is raised by 1/tau_x at each spike of the source and decays
    with tau_x.  Our cells have no shape of a spike: for ``t_spike`` from a spike on, u is taken to be ``u_spike``.  No
    homeostatic factor of A_LTD.  Of the weight dependence only the bounds count.
    """

    tau_x: Any = parameter(15.0, "ms", "trace of the source", low=0, open_low=True)
    tau_minus: Any = parameter(10.0, "ms", "filter of the potential, depression", low=0, open_low=True)
    tau_plus: Any = parameter(7.0, "ms", "filter of the potential, potentiation", low=0, open_low=True)
    theta_minus: Any = parameter(-70.6, "mV", "least filtered potential that changes anything")
    theta_plus: Any = parameter(-45.3, "mV", "least potential that potentiates")
    A_LTD: Any = parameter(14e-5, "", "size of depression, weight per mV", low=-_STEEPEST, high=_STEEPEST)
    A_LTP: Any = parameter(8e-5, "", "size of potentiation, weight per mV**2", low=-_STEEPEST, high=_STEEPEST)
    u_spike: Any = parameter(33.0, "mV", "potential during a spike")
    t_spike: Any = parameter(2.0, "ms", "duration of a spike", low=0)


@dataclasses.dataclass(frozen=True)
class Dopamine(Settings):
    """Changes wait for a reward (Izhikevich 2007, equations 1 to 3)::

        dc/dt = -c/tau_c + what the pair rule would do to w,     dd/dt = -d/tau_d + dopamine,     dw/dt = c (d - baseline)

    Dopamine comes from spikes (`Network.modulate`) or from a closed loop (`Simulation.reinforce`).  NEST's stdp_dopamine_synapse
    raises d by 1/tau_n for each spike.
    """

    tau_c: Any = parameter(1000.0, "ms", "how long a change waits for a reward", low=0, open_low=True)
    tau_d: Any = parameter(200.0, "ms", "how long dopamine lasts", low=0, open_low=True)
    baseline: Any = parameter(0.0, "", "dopamine at which nothing changes")


# ------------------------------------------------------------------------------------ synapses


class Transmission(Settings, SynapseType):
    """Base of synapses that transmit differently from spike to spike: what a spike sends is the weight times a number.

    A parameter is one number, an array of one value for each synapse (in the order of weights, see `neurosim.wiring`) or of
    shape (n_pre, n_post), or a `Distribution`, drawn for each synapse.
    """

    draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, declared in parameters_of(self).items():
            value = declared.check(type(self).__name__, name, getattr(self, name))
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)
        self.check()

    @property
    def by_synapse(self) -> bool:
        """Whether synapses have something each for itself: values, states or draws."""
        return self.draws or any(not isinstance(getattr(self, name), float) for name in parameters_of(self))

    @property
    def states(self) -> int:
        """How many numbers a synapse that has something for itself must remember."""
        return 2

    @property
    def bytes_of_synapse(self) -> int:
        """Memory for each synapse, besides target and weight."""
        given = sum(not isinstance(getattr(self, name), float) for name in parameters_of(self))
        return 8 * (given + self.states + int(self.draws)) if self.by_synapse else 0

    def check_recovery(self, tau_rec: Any, owner: str = "") -> None:
        """Raise where the recovery cannot be computed with these ``tau_rec`` (ms)."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            _equal(getattr(self, name), getattr(other, name)) for name in parameters_of(self))

    def __hash__(self) -> int:
        values = [getattr(self, name) for name in parameters_of(self)]
        return hash((type(self).__name__, *(one.tobytes() if isinstance(one, np.ndarray) else one for one in values)))


def transmission_of(synapse: SynapseType | None) -> Transmission | None:
    """How what synapses of a kind send differs from spike to spike, if it does."""
    found = synapse.short_term if isinstance(synapse, STDPMechanism) else synapse
    return found if isinstance(found, Transmission) else None


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)
    return bool(a == b)


@dataclasses.dataclass(frozen=True, eq=False)
class TsodyksMarkramSynapse(Transmission):
    """Short-term depression and facilitation (Tsodyks & Markram 1997; Tsodyks, Uziel & Markram 2000).

    With ``tau_psc = 0`` (NEST's tsodyks2_synapse; Maass & Markram 2002), h ms between spikes::

        x <- 1 + (x - x u - 1) exp(-h/tau_rec),   u <- U + u (1 - U) exp(-h/tau_facil),   sent: w u x

    With ``tau_psc`` > 0, the three states of Tsodyks, Uziel & Markram (2000) (NEST's tsodyks_synapse): resources that were
    sent are inactive only after they were active for tau_psc, which should be the tau_syn of the target.
    ``tau_facil = 0``: no facilitation.

    U, tau_rec and tau_facil are numbers, or have a value for each synapse (arrays, Distributions; see `Transmission`).  If all
    are numbers, the synapses of a source with equal delays share one state.
    """

    U: Any = parameter(0.5, "", "part of the resources that a spike uses", low=0, open_low=True, high=1)
    tau_rec: Any = parameter(100.0, "ms", "recovery of the resources", low=0, open_low=True)
    tau_facil: Any = parameter(0.0, "ms", "facilitation", low=0)
    tau_psc: Any = parameter(0.0, "ms", "time that resources stay active; 0: two states", low=0)

    draws: ClassVar[bool] = False

    @property
    def states(self) -> int:
        return 3 if self.tau_psc > 0 else 2

    def check(self) -> None:
        """Raise where the closed form of the three states has no value."""
        parameters_of(self)["tau_psc"].number("TsodyksMarkramSynapse", "tau_psc", self.tau_psc)
        if not isinstance(self.tau_rec, Distribution):
            self.check_recovery(self.tau_rec)

    def check_recovery(self, tau_rec: Any, owner: str = "") -> None:
        """Raise where the closed form of the three states has no value with these ``tau_rec`` (ms)."""
        if self.tau_psc > 0 and (np.abs(self.tau_psc / tau_rec - 1.0) < 1e-9).any():
            raise ParameterError(f"{owner}TsodyksMarkramSynapse.tau_psc must differ from tau_rec, got {self.tau_psc:g} ms for both")


@dataclasses.dataclass(frozen=True, eq=False)
class SimpleStochasticSynapse(Transmission):
    """Each spike is transmitted with probability p, by each synapse for itself (PyNN's; NEST's bernoulli_synapse).

    p is a number, or has a value for each synapse (arrays, Distributions; see `Transmission`).
    """

    p: Any = parameter(0.5, "", "probability that a spike is transmitted", low=0, high=1)

    @property
    def states(self) -> int:
        return 0


@dataclasses.dataclass(frozen=True, eq=False)
class StochasticTsodyksMarkramSynapse(Transmission):
    """Depression and facilitation by all or none (Fuhrmann, Segev, Markram & Tsodyks 2002).

    A synapse is ready (R = 1) or not.  At a spike, h ms after the one before::

        u <- U + u (1 - U) exp(-h/tau_facil)
        if R = 0:  R <- 1 with probability 1 - exp(-h/tau_rec)
        if R = 1:  with probability u, w is sent and R <- 0

    The first spike finds R = 1 and u = U.  On average a spike sends what it does with `TsodyksMarkramSynapse` and
    ``tau_psc = 0``.  The same, draws included, as `MultiQuantalSynapse` with one release site.  PyNN's mechanisms for NEST and
    NEURON reckon the recovery from the last release or failure to recover: that was at the last spike.  ``tau_facil = 0``:
    no facilitation, u = U.  Parameters are numbers, or have a value for each synapse (arrays, Distributions; see
    `Transmission`).
    """

    U: Any = parameter(0.5, "", "probability of release at rest", low=0, high=1)
    tau_rec: Any = parameter(100.0, "ms", "recovery after a release", low=0, open_low=True)
    tau_facil: Any = parameter(0.0, "ms", "facilitation", low=0)


@dataclasses.dataclass(frozen=True, eq=False)
class MultiQuantalSynapse(Transmission):
    """n release sites, each of which sends its part of the weight or nothing (Fuhrmann et al. 2002; Loebel et al. 2009).

    At a spike, h ms after the one before::

        u <- U + u (1 - U) exp(-h/tau_facil)
        each empty site recovers with probability 1 - exp(-h/tau_rec)
        each site that is ready releases with probability u and is then empty
        sent: w released/n

    The first spike finds all sites ready and u = U.  NEST's quantal_stp_synapse and PyNN's mechanism for NEURON agree on
    all but the last line: in NEST each site that releases sends w.  Ours is NEURON's, by which the mean of a first spike is
    w U for any n.  ``tau_facil = 0``: no facilitation, u = U.  Parameters are numbers, or have a value for each synapse
    (arrays, Distributions; see `Transmission`); n whole numbers.
    """

    U: Any = parameter(0.5, "", "probability of release of a site at rest", low=0, high=1)
    n: Any = parameter(1, "", "number of release sites, a whole number", low=1, high=8192)
    tau_rec: Any = parameter(800.0, "ms", "recovery of a site after a release", low=0, open_low=True)
    tau_facil: Any = parameter(0.0, "ms", "facilitation", low=0)

    def check(self) -> None:
        """Raise where a number of sites is not whole."""
        whole = isinstance(self.n, Integers) if isinstance(self.n, Distribution) else (np.rint(self.n) == self.n).all()
        if not whole:
            raise ParameterError(f"MultiQuantalSynapse.n must be whole numbers (drawn ones: Integers), got {self.n!r:.200}")


@dataclasses.dataclass(frozen=True)
class STDPMechanism(SynapseType):
    """A synapse that learns from spikes.

    Parameters
    ----------
    timing_dependence : TimingDependence
    weight_dependence : WeightDependence
        Also bounds the weight.  For synapses with negative weights (inhibitory, current-based) rules and bounds act on the magnitude.
    dendritic_delay_fraction : float
        Part of the delay that lies in the dendrite, 0 to 1 (rounded to whole steps): so much later the synapse sees a spike of the target.
    order : {"nest", "spinnaker", "brian2"}
        What counts when both spikes meet at the synapse in one step: nothing ("nest"), the target's first, so that the
        pair depresses ("spinnaker"), or the source's first, so that it potentiates ("brian2": the spike is also sent with the
        weight from before its own depression).
    short_term : TsodyksMarkramSynapse or another Transmission, optional
        What is sent depresses, facilitates or fails on top; the rule does not see it.
    neuromodulation : Dopamine, optional
        Changes wait for a reward.  With `SpikePairRule` only.

    Raises
    ------
    ParameterError
        For parts that are of another kind, or do not go together.
    """

    timing_dependence: TimingDependence = dataclasses.field(default_factory=SpikePairRule)
    weight_dependence: WeightDependence = dataclasses.field(default_factory=AdditiveWeightDependence)
    dendritic_delay_fraction: Any = parameter(1.0, "", "part of the delay that lies in the dendrite", low=0, high=1)
    order: str = "nest"
    short_term: Transmission | None = None
    neuromodulation: Dopamine | None = None

    def __new__(cls, *args: Any, **values: Any) -> Any:
        """Refuse names that are not parameters."""
        refuse_unknown(cls.__name__, cls, values)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, kind, optional in (("timing_dependence", TimingDependence, False), ("weight_dependence", WeightDependence, False),
                                     ("short_term", Transmission, True), ("neuromodulation", Dopamine, True)):
            value = getattr(self, name)
            if not isinstance(value, kind) and not (optional and value is None):
                raise ParameterError(f"STDPMechanism.{name} must be a {kind.__name__}, got {value!r}")
        if not isinstance(self.order, str) or self.order not in ORDERS:
            raise ParameterError(f"STDPMechanism.order must be one of {', '.join(ORDERS)}, got {self.order!r}")
        declared = dataclasses.fields(self)[2].metadata["parameter"]
        value = declared.number("STDPMechanism", "dendritic_delay_fraction", self.dendritic_delay_fraction)
        object.__setattr__(self, "dendritic_delay_fraction", value)
        if self.neuromodulation is not None and not isinstance(self.timing_dependence, SpikePairRule):
            raise ParameterError("STDPMechanism.neuromodulation goes with SpikePairRule only,"
                                 f" got {type(self.timing_dependence).__name__}")
        if not isinstance(self.timing_dependence, (SpikePairRule, SpikeTripletRule)) and not isinstance(
                self.weight_dependence, AdditiveWeightDependence):
            raise ParameterError(
                f"{type(self.timing_dependence).__name__} knows no dependence on the weight but its bounds:"
                f" weight_dependence must be an AdditiveWeightDependence, got {type(self.weight_dependence).__name__}"
            )


@dataclasses.dataclass(frozen=True)
class ElectricalSynapse(Settings, SynapseType):
    """A gap junction: a conductance g (the projection's weight, uS) between two potentials.

    One connection (i, j) acts both ways, as PyNN's: g (v_i - v_j) flows into j, and g (v_j - v_i) into i.  A pair that is connected
    twice, such as (i, j) and (j, i) by an `AllToAllConnector` within a population, has twice the conductance.  No delay, no receptor.

    Numerics: over a step from t to t + dt the current is that of the potentials extrapolated to its middle,
    v(t) + (v(t) - v(t - dt)) / 2 (Adams & Bashforth), so that smooth potentials are followed with order 2 (or that of the cell's
    method, if lower).  A reset is not extrapolated.  Stable if dt times the conductance of all junctions of a cell is at
    most half its capacitance; `Simulation` refuses more (of your own neurons it knows none that is not called ``cm``).

    Cells with gap junctions are advanced at every step, and threads meet at every step.
    """
