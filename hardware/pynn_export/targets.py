"""What PyNN's simulators refuse, ignore, or do differently: found by reading PyNN 0.13 and by running it beside the engine.

PyNN says itself which models a simulator lacks (`script.missing`).  Here stands what it does not say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import script
from .plan import Note

__all__ = ["TARGETS", "checks"]

Finding = str | Note  # a problem, or something to report


def checks(name: str, data: dict[str, Any]) -> tuple[list[str], list[Note]]:
    """Problems and notes of a simulator (``nest``) with a network; a simulator that is not known here has none."""
    findings = [one for check in TARGETS.get(name, ()) for one in check(data)]
    return [one for one in findings if isinstance(one, str)], [one for one in findings if not isinstance(one, str)]


def _synapses(data: dict[str, Any], kind: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The projections with a type of synapse, and its description."""
    yield from ((one, one["synapse"]) for one in data["projections"] if one["synapse"]["type"] == kind)


def _cells(data: dict[str, Any], *names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Label and parameters of the populations of some models."""
    yield from ((one["label"], one["parameters"]) for one in data["populations"] if one["cell"] in names)


def _target(data: dict[str, Any], projection: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in data["populations"] if one["label"] == projection["post_population"])


def _least(value: Any) -> float:
    return float(np.min(value))


def _most(value: Any) -> float:
    return float(np.max(value))


# ------------------------------------------------------------------------------------------ all of PyNN


def _learning(data: dict[str, Any]) -> Iterator[Finding]:
    """Rules that are PyNN's by name but not in every detail."""
    for one, spec in _synapses(data, "STDPMechanism"):
        if spec["negative"]:
            yield f"projection {one['label']}: PyNN's rules know no negative weights"
        if spec["order"] != "nest":
            yield Note("different", one["label"], f"order={spec['order']!r} was asked for; which of two spikes of a step counts first is"
                                                  " the simulator's choice")


def _early_spikes(name: str) -> Callable[[dict[str, Any]], Iterator[Finding]]:
    """Given spikes before the first step at which a source can send."""
    def check(data: dict[str, Any]) -> Iterator[Finding]:
        first = script.STEPS[name]["first"]
        if first == "after min_delay":
            first = round(data["min_delay"] / data["dt"]) + 1
        for label, parameters in _cells(data, "SpikeSourceArray"):
            steps = parameters["spike_times"]["steps"]
            if (steps < first).any():
                yield Note("rounded", label, f"{int((steps < first).sum())} given spikes before {first * data['dt']:g} ms, the first that"
                                             f" pyNN.{name} can send, come at {first * data['dt']:g} ms")
    return check


# ------------------------------------------------------------------------------------------ NEST


def _nest_weights(data: dict[str, Any]) -> Iterator[Finding]:
    """NEST chooses between the two currents of a cell by the sign of the weight."""
    for one in data["projections"]:
        target = _target(data, one)
        taus = [target["parameters"].get(f"tau_syn_{k}") for k in "EI"]
        if target["cell"] not in ("IF_curr_exp", "IF_curr_alpha") or np.array_equal(*taus):
            continue
        wrong = np.asarray(one["weight"]) * (-1.0 if one["receptor"] == "inhibitory" else 1.0) < 0
        if wrong.any():
            yield Note("different", one["label"], f"{int(wrong.sum())} weights have the other sign than its receptor: NEST adds them to the"
                                                  " other current, whose time constant differs")


def _nest_learning(data: dict[str, Any]) -> Iterator[Finding]:
    constants: dict[str, tuple[float, str]] = {}
    for one, spec in _synapses(data, "STDPMechanism"):
        label, rule = one["label"], spec["rule"]["timing_dependence"]["parameters"]
        if spec["parameters"]["dendritic_delay_fraction"] != 1.0:
            given = spec["parameters"]["dendritic_delay_fraction"]
            yield f"projection {label}: dendritic_delay_fraction must be 1 (pyNN.nest has no axonal delays), got {given:g}"
        if spec["rule"]["weight_dependence"]["parameters"]["w_min"] != 0.0:
            yield f"projection {label}: w_min must be 0, got {spec['rule']['weight_dependence']['parameters']['w_min']:g}"
        powers = [spec["rule"]["weight_dependence"]["parameters"].get(key, 0.5) for key in ("mu_plus", "mu_minus")]
        if powers != [0.5, 0.5]:
            yield f"projection {label}: mu_plus and mu_minus must be 0.5 (pyNN.nest drops others), got {powers[0]:g} and {powers[1]:g}"
        if rule.get("A_plus") == 0.0 and rule["A_minus"] != 0.0:
            yield f"projection {label}: A_plus = 0 (pyNN.nest hands over A_minus / A_plus, and depression would vanish)"
        tau, other = constants.setdefault(one["post_population"], (rule.get("tau_minus", 0.0), label))
        if tau != rule.get("tau_minus", 0.0):
            yield (f"projections {other} and {label}: tau_minus {tau:g} and {rule['tau_minus']:g} ms; in NEST it belongs to the"
                   f" target, {one['post_population']}, and must be one")
        yield Note("different", label, "weights that are read are those of the last spike of the source")


def _nest_quanta(data: dict[str, Any]) -> Iterator[Finding]:
    for one, spec in _synapses(data, "MultiQuantalSynapse"):
        if (n := _most(spec["parameters"]["n"])) > 1:
            yield f"projection {one['label']}: n must be 1 (pyNN.nest gives each site the whole weight), got up to {n:g}"


def _nest_initial(data: dict[str, Any]) -> Iterator[Finding]:
    for one in data["populations"]:
        for name, value in one["initial"].items():
            if name in ("w", "i_eta", "gsyn_exc", "gsyn_inh", "isyn_exc", "isyn_inh") and np.any(value != 0.0):
                yield f"population {one['label']}: initial {name} must be 0 (pyNN.nest sets it without converting its unit)"


def _nest_sources(data: dict[str, Any]) -> Iterator[Finding]:
    for label, parameters in _cells(data, "SpikeSourcePoissonRefractory"):
        if _most(parameters["start"]) > 0.0 or _least(parameters["duration"]) < 1e10:
            yield f"population {label}: start and duration of SpikeSourcePoissonRefractory are not in pyNN.nest"
    for one in data["currents"]:
        if one["shared"]:
            yield Note("different", f"current into {one['population']}", "shared=True: NEST draws noise for each cell all the same")
        began = one["parameters"].get("start", np.min(one["parameters"].get("times", 0.0)))
        if began < 1.5 * data["dt"]:
            text = f"it begins at {began:g} ms and acts in NEST from {2 * data['dt']:g} ms on: a device reaches cells with a delay"
            yield Note("different", f"current into {one['population']}", text)


def _nest_numerics(data: dict[str, Any]) -> Iterator[Finding]:
    for label, _ in _cells(data, "Izhikevich"):
        yield Note("different", label, "NEST takes forward Euler steps (order 1), the engine steps of order 4")


# ------------------------------------------------------------------------------------------ Brian2


def _brian2_cells(data: dict[str, Any]) -> Iterator[Finding]:
    shared = {"EIF_cond_exp_isfa_ista": ("v_thresh", "delta_T", "v_reset", "b", "tau_refrac"), "Izhikevich": ("c", "d")}
    shared["EIF_cond_alpha_isfa_ista"] = shared["EIF_cond_exp_isfa_ista"]
    for one in data["populations"]:
        label, cell, parameters = one["label"], one["cell"], one["parameters"]
        for name in shared.get(cell, ("tau_refrac",) if one["initial"] else ()):
            if isinstance(parameters.get(name), np.ndarray):
                yield f"population {label}: {name} of {cell} must be the same for all cells (pyNN.brian2 has one for a population)"
        if cell == "HH_cond_exp":
            yield f"population {label}: pyNN.brian2 counts a spike at every step that HH_cond_exp spends above -40 mV"
        if cell in ("IF_curr_exp", "IF_curr_alpha"):
            for name in ("tau_syn_E", "tau_syn_I"):
                if (np.asarray(parameters[name]) == np.asarray(parameters["tau_m"])).any():
                    yield f"population {label}: {name} and tau_m of {cell} must differ, got {_least(parameters['tau_m']):g} ms for both" \
                          " (Brian2's exact solution divides by their difference)"
        if cell == "IF_curr_alpha" and not np.array_equal(parameters["tau_syn_E"], parameters["tau_syn_I"]):
            yield f"population {label}: tau_syn_I of IF_curr_alpha must be tau_syn_E (pyNN.brian2 uses that for both)"
        if cell.startswith("IF_cond") or cell == "Izhikevich":
            yield Note("different", label, f"Brian2 takes forward Euler steps (order 1) for {cell}")
        if cell == "IF_curr_delta":
            yield Note("different", label, "in Brian2 the threshold sees a jump a step later, and jumps count in the refractory period too")
        if cell.startswith("EIF"):
            at = parameters["v_thresh"] + 5.0 * parameters["delta_T"]
            if not isinstance(at, np.ndarray):
                yield Note("different", label, f"pyNN.brian2 finds spikes at v_thresh + 5 delta_T = {at:g} mV, not at v_spike ="
                                               f" {_least(parameters['v_spike']):g} mV, with steps of order 2")


def _brian2_synapses(data: dict[str, Any]) -> Iterator[Finding]:
    for one, _spec in _synapses(data, "TsodyksMarkramSynapse"):
        yield f"projection {one['label']}: TsodyksMarkramSynapse of pyNN.brian2 recovers with tau_syn, not with tau_rec"
    for one, spec in _synapses(data, "STDPMechanism"):
        label, dependence = one["label"], spec["rule"]["weight_dependence"]["type"]
        if dependence != "AdditiveWeightDependence":
            yield f"projection {label}: pyNN.brian2 would take {dependence} for AdditiveWeightDependence"
        if spec["parameters"]["dendritic_delay_fraction"] != 0.0:
            given = spec["parameters"]["dendritic_delay_fraction"]
            yield f"projection {label}: dendritic_delay_fraction must be 0 (pyNN.brian2 has no dendritic delays), got {given:g}"
        text = "of two spikes that meet in one step, the source's counts first, and its spike is sent with the new weight"
        yield Note("different", label, text)
    for one in data["projections"]:
        if one["connector"] == "list" and len(portions := script.listed(one, True)) > 1:
            yield Note("expanded", one["label"], f"some pairs have {len(portions)} synapses: as many projections")


def _brian2_sources(data: dict[str, Any]) -> Iterator[Finding]:
    for label, parameters in _cells(data, "SpikeSourcePoisson"):
        chance = _most(parameters["rate"]) * data["dt"] / 1000.0
        if chance > 1.0:
            yield (f"population {label}: rate must be <= {1000.0 / data['dt']:g} Hz, got {_most(parameters['rate']):g} Hz"
                   " (Brian2: one spike a step)")
        elif chance > 0.05:
            yield Note("different", label, f"at most one spike a step: with {chance:.3g} expected, the variance is lower by that fraction")


def _brian2_times(data: dict[str, Any]) -> Iterator[Finding]:
    text = ("Brian2 names a spike by the beginning of its step, and counts that step as refractory: given times, recorded times and"
            " tau_refrac are moved by a step, so that they mean the same")
    yield Note("different", data["label"], text)


# ------------------------------------------------------------------------------------------ NEURON


def _neuron_numerics(data: dict[str, Any]) -> Iterator[Finding]:
    for one in data["populations"]:
        if one["initial"]:
            yield Note("different", one["label"], "NEURON takes implicit Euler steps (order 1)")
    for label, parameters in _cells(data, "SpikeSourcePoisson"):
        if _least(parameters["rate"]) == 0.0:
            yield f"population {label}: rate must be > 0 (pyNN.neuron divides by it)"


def _neuron_gaps(data: dict[str, Any]) -> Iterator[Finding]:
    for one, _spec in _synapses(data, "ElectricalSynapse"):
        yield f"projection {one['label']}: ElectricalSynapse is not handed to pyNN.neuron (it has not been compared with it)"


def _neuron_learning(data: dict[str, Any]) -> Iterator[Finding]:
    for one, spec in _synapses(data, "STDPMechanism"):
        if spec["rule"]["timing_dependence"]["type"] == "Vogels2011Rule":
            yield Note("different", one["label"], "pyNN.neuron looks at the nearest spikes only, and counts a pair in one step twice")


TARGETS: dict[str, tuple[Callable[[dict[str, Any]], Iterator[Finding]], ...]] = {
    "nest": (_learning, _early_spikes("nest"), _nest_weights, _nest_learning, _nest_quanta, _nest_initial, _nest_sources, _nest_numerics),
    "brian2": (_learning, _early_spikes("brian2"), _brian2_cells, _brian2_synapses, _brian2_sources, _brian2_times),
    "neuron": (_learning, _neuron_numerics, _neuron_learning, _neuron_gaps),
    "mock": (),
    "neurosim": (),
}
