"""Learning rules in sPyNNaker's words: which of its rules a mechanism is, and with which amplitudes.

What sPyNNaker 1!7.4.1 multiplies an amplitude by before it is written (as s16.15), and so what it must be given to mean what PyNN means:

=====================================  =======================  ==========================================
rule                                   written                  given
=====================================  =======================  ==========================================
pair, nearest pair, additive           A scale                  A w_max: PyNN's additive rule is in units of w_max
pair, nearest pair, multiplicative     A                        A: a fraction of w_max - w, or of w - w_min
triplet (Pfister), additive            A w_max scale            A: sPyNNaker multiplies by itself
Vogels, additive                       A_plus scale             eta, which is in the weight's unit
=====================================  =======================  ==========================================

`scale` is 1024 for conductances.  Vogels' ``alpha`` is the source's depression in traces, 2 rho tau.
"""

from __future__ import annotations

import dataclasses

from neurosim.plasticity import (
    AdditiveWeightDependence,
    MultiplicativeWeightDependence,
    SpikePairRule,
    SpikeTripletRule,
    STDPMechanism,
    Vogels2011Rule,
)

from .deployment import Plastic, Problem

__all__ = ["STEP", "amplitudes", "plastic_of", "rescaled", "scaled"]

STEP = 2.0**-15  # of s16.15
_WEIGHTS = {AdditiveWeightDependence: "additive", MultiplicativeWeightDependence: "multiplicative"}
_AMPLITUDES = ("A_plus", "A_minus", "A3_plus", "A3_minus")
_BOUNDS = ("w_min", "w_max")


def plastic_of(synapse: STDPMechanism, label: str) -> tuple[Plastic | None, list[Problem], list[str]]:
    """The rule of a mechanism, what stands in the way, and what is different; None where there is no rule for it.

    Parameters
    ----------
    label : str
        The projection's, for problems and notes.
    """
    what = f"projection {label}"
    timing, weight = synapse.timing_dependence, synapse.weight_dependence
    problems, notes = [], []
    if synapse.dendritic_delay_fraction != 1.0:
        problems.append(Problem(what, f"dendritic_delay_fraction is {synapse.dendritic_delay_fraction:g}; the machine takes all of a delay"
                                      " as dendritic", "Set dendritic_delay_fraction=1.0"))
    if synapse.short_term is not None:
        problems.append(Problem(what, f"{type(synapse.short_term).__name__} goes with learning; the machine has no short-term plasticity",
                                "Leave short_term out"))
    if synapse.neuromodulation is not None:
        problems.append(Problem(what, "Dopamine: its learning waits for a reward, which this deployment has no words for",
                                "Leave neuromodulation out, or use Neuromodulation of pyNN.spiNNaker.extra_models in a script of your own"))
    if synapse.order != "spinnaker":
        notes.append(f"{what}: order={synapse.order!r}, but on the machine the target's spike counts first where two meet in a step"
                     " (order='spinnaker')")
    kind = _WEIGHTS.get(type(weight))
    if kind is None:
        problems.append(Problem(what, f"the machine has no {type(weight).__name__}",
                                "Use AdditiveWeightDependence or MultiplicativeWeightDependence"))
    found = _timing(timing, what, problems, notes)
    if found is None or kind is None:
        return None, problems, notes
    name, parameters = found
    parameters |= {"w_min": float(weight.w_min), "w_max": float(weight.w_max)}
    if name == "vogels" and kind != "additive" or name == "triplet" and kind != "additive":
        problems.append(Problem(what, f"there is no binary with {type(timing).__name__} and {type(weight).__name__}",
                                "Use AdditiveWeightDependence"))
        return None, problems, notes
    if kind == "additive" and name in ("pair", "nearest_pair"):
        for key in ("A_plus", "A_minus"):
            parameters[key] *= parameters["w_max"]
    if parameters["w_min"] < 0:
        problems.append(Problem(what, f"w_min is {parameters['w_min']:g}; stored weights have no sign", "Set w_min >= 0"))
    for key in _AMPLITUDES:
        if parameters.get(key, 0.0) < 0:
            problems.append(Problem(what, f"{key} is negative ({parameters[key]:g}): the machine keeps a weight below w_max when it"
                                          " potentiates and above w_min when it depresses, so this one would leave its bounds",
                                    f"Give {key} >= 0"))
    return Plastic(name, kind, parameters), problems, notes


def _timing(timing: object, what: str, problems: list[Problem], notes: list[str]) -> tuple[str, dict[str, float]] | None:
    """Name and parameters of a timing dependence; None, with a problem, where the machine has none like it."""
    if type(timing) is SpikePairRule:
        parameters = {key: float(getattr(timing, key)) for key in ("tau_plus", "tau_minus", "A_plus", "A_minus")}
        if timing.pairing == "restricted":
            problems.append(Problem(what, "SpikePairRule(pairing='restricted') is no rule of the machine",
                                    "Use pairing='all', or pairing='nearest' for the machine's nearest pairs"))
            return None
        if timing.pairing == "nearest":
            notes.append(f"{what}: the machine's nearest pairs are those of the source's spikes: each spike of the source pairs with the"
                         " last spike of the target before it and with the first one after it; here every spike of the target would"
                         " pair with the last one of the source")
        return ("pair" if timing.pairing == "all" else "nearest_pair"), parameters
    if type(timing) is SpikeTripletRule:
        if timing.pairing != "all":
            problems.append(Problem(what, f"SpikeTripletRule(pairing={timing.pairing!r}) is no rule of the machine", "Use pairing='all'"))
            return None
        parameters = {key: float(getattr(timing, key)) for key in ("tau_plus", "tau_minus", "tau_x", "tau_y", "A3_plus", "A3_minus")}
        return "triplet", parameters | {"A_plus": float(timing.A2_plus), "A_minus": float(timing.A2_minus)}
    if type(timing) is Vogels2011Rule:
        eta, tau = float(timing.eta), float(timing.tau)
        return "vogels", {"tau": tau, "alpha": 2.0 * float(timing.rho) * tau / 1000.0, "A_plus": eta, "A_minus": eta}
    remedy = {"OjaRule": "Use SpikePairRule", "ClopathRule": "Use SpikeTripletRule"}.get(type(timing).__name__, "Use SpikePairRule")
    problems.append(Problem(what, f"the machine has no {type(timing).__name__}", remedy))
    return None


def amplitudes(plastic: Plastic, scale: float) -> dict[str, float]:
    """What is written for each amplitude and bound, as a number that s16.15 must hold."""
    own = 1.0 if plastic.weight == "multiplicative" else scale
    if plastic.timing == "triplet":
        own *= plastic.parameters["w_max"]
    found = {key: value * own for key, value in plastic.parameters.items() if key in _AMPLITUDES}
    return found | {key: plastic.parameters[key] * scale for key in _BOUNDS}


def scaled(plastic: Plastic, factor: float) -> Plastic:
    """The rule where weights are ``factor`` times as large."""
    own = _BOUNDS if plastic.weight == "multiplicative" or plastic.timing == "triplet" else (*_BOUNDS, *_AMPLITUDES)
    made = {key: value * factor if key in own else value for key, value in plastic.parameters.items()}
    return dataclasses.replace(plastic, parameters=made)


def rescaled(synapse: STDPMechanism, plastic: Plastic) -> dict[str, tuple[float, float]]:
    """Parameters whose number is another one on the machine: PyNN's and sPyNNaker's."""
    timing = synapse.timing_dependence
    if plastic.timing == "vogels":
        return {"rho -> alpha": (float(timing.rho), plastic.parameters["alpha"])}
    if plastic.weight == "additive" and plastic.timing != "triplet":
        return {key: (float(getattr(timing, key)), plastic.parameters[key]) for key in ("A_plus", "A_minus")}
    return {}
