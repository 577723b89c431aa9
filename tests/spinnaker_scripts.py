"""PyNN scripts for the real `pyNN.spiNNaker`, written from what the package would load; the machine's answer beside the emulator's."""
import dataclasses

import numpy as np
from spinnaker_machine import machine

from neurosim.hardware.spinnaker.load import FOREVER, RECORDED_AS
from neurosim.hardware.spinnaker.sources import population_seed

NATIVE = {"IF_curr_exp", "IF_cond_exp", "IF_curr_alpha", "IF_curr_delta", "Izhikevich"}
TIMING = {"pair": ("sim.SpikePairRule", "tau_plus tau_minus A_plus A_minus"),
          "nearest_pair": ("sim.extra_models.SpikeNearestPairRule", "tau_plus tau_minus A_plus A_minus"),
          "triplet": ("sim.extra_models.PfisterSpikeTriplet", "tau_plus tau_minus tau_x tau_y A_plus A_minus"),
          "vogels": ("sim.extra_models.Vogels2011Rule", "alpha tau A_plus A_minus")}
WEIGHT = {"additive": "sim.AdditiveWeightDependence", "multiplicative": "sim.MultiplicativeWeightDependence"}


def _call(name, **values):
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in values.items())})"


def _numbers(values):
    """One number where all are the same, else a list."""
    values = np.asarray(values, dtype=float).tolist()
    return values[0] if len(set(values)) == 1 else values


def _rule(plastic):
    """The rule of a population's synapses, as an expression without weight and delay."""
    given = plastic.parameters
    name, keys = TIMING[plastic.timing]
    timing = _call(name, **{key: float(given[key]) for key in keys.split()})
    bounds = {key: float(given[key]) for key in ("w_min", "w_max")}
    if plastic.timing == "triplet":
        bounds |= {key: float(given[key]) for key in ("A3_plus", "A3_minus")}
        weight = _call("sim.extra_models.WeightDependenceAdditiveTriplet", **bounds)
    else:
        weight = _call(WEIGHT[plastic.weight], **bounds)
    return f"sim.STDPMechanism(timing_dependence={timing}, weight_dependence={weight}, backprop_delay={plastic.backprop_delay})"


def script_of(deployment, ticks):
    """The script of a deployment, with a run of so many ticks.

    Populations in their order, all numbers written out, every projection as a list of its synapses; sources and cells under their labels.
    """
    settings = deployment.settings
    slower = max(settings.time_scale_factor, round(1 / settings.dt))
    lines = ["import pyNN.spiNNaker as sim", _call("sim.setup", timestep=settings.dt, time_scale_factor=slower), "cells = []"]
    for one in deployment.cells:
        extra = {}
        if one.label in settings.neurons_per_core:
            extra["neurons_per_core"] = int(settings.neurons_per_core[one.label])
        if not one.is_source:
            extra |= {"ring_buffer_sigma": settings.ring_buffer_sigma, "spikes_per_second": settings.spikes_per_second}
            if one.label in settings.max_expected_summed_weight:
                extra["max_expected_summed_weight"] = list(map(float, settings.max_expected_summed_weight[one.label]))
        if one.ticks is not None:
            model = f"sim.SpikeSourceArray({[[float(t * settings.dt) for t in train] for train in one.ticks]!r})"
        elif one.is_source:
            values = {key: _numbers(one.parameters[key]) for key in ("rate", "start")}
            if not (one.parameters["duration"] >= FOREVER).all():
                values["duration"] = _numbers(one.parameters["duration"])
            model = _call("sim.SpikeSourcePoisson", **values)
            extra["seed"] = settings.seeds.get(one.label, population_seed(settings.seed, one.label))
        else:
            model = _call(f"sim.{'' if one.model in NATIVE else 'extra_models.'}{one.model}",
                          **{key: _numbers(values) for key, values in one.parameters.items()},
                          **{"seed": int(one.initial[key][0]) for key in one.initial if key == "seed"})
        given = "".join(f", {key}={value!r}" for key, value in extra.items())
        lines.append(f"cells.append(sim.Population({one.size}, {model}, label={one.label!r}{given}))")
        states = {"v": one.initial.get("v"), "u": one.initial.get("u")}
        states = {key: _numbers(value) for key, value in states.items() if value is not None}
        if states and not one.is_source:
            lines.append(_call("cells[-1].initialize", **states))
        for current, ids in one.currents:
            values = {key: np.asarray(value).tolist() for key, value in dataclasses.asdict(current).items()
                      if value is not None and np.isfinite(value).all()}
            lines += [_call(f"source = sim.{type(current).__name__}", **values),
                      f"cells[-1][{int(ids[0])}:{int(ids[-1]) + 1}].inject(source)"]
    for one in deployment.synapses:
        if not len(one.source):
            continue
        post = deployment.cells[one.post]
        # In order: of a list that is not, sPyNNaker 7.4.1 loses synapses.
        rows = sorted(zip(one.source.tolist(), one.target.tolist(), one.asked.tolist(), one.asked_delay.tolist(), strict=True))
        rule = _rule(post.plastic) if one.plastic else "sim.StaticSynapse()"
        lines.append(f"sim.Projection(cells[{one.pre}], cells[{one.post}], sim.FromListConnector({rows!r}), {rule}, "
                     f"receptor_type={post.receptors[one.receptor]!r}, label={one.label!r})")
    places = {one.label: k for k, one in enumerate(deployment.cells)}
    for one in deployment.records:
        if not deployment[one.label].is_source:
            name, every = RECORDED_AS.get(one.variable, one.variable), one.steps * settings.dt
            often = "" if name == "spikes" else f", sampling_interval={every!r}"
            lines.append(f"cells[{places[one.label]}].record([{name!r}]{often})")
    return "\n".join([*lines, f"sim.run({ticks * settings.dt!r})", ""])


def differences(emulation, folder, ticks):
    """What differs between the machine and an emulation that has not run yet, in words; and the machine, to look further.

    Every spike of every population (as packets, and as recorded), every recorded word, every weight and delay at the end are compared.
    """
    deployment, dt = emulation.deployment, emulation.dt
    script = script_of(deployment, ticks)
    board, _ = machine(script, folder)
    before = {one.label: board.synapses(one.label) for one in deployment.cells if not one.is_source}
    board.run(ticks)
    result = emulation.run(ticks * dt)
    found = []
    for one in deployment.cells:
        label = one.label
        if (label, "spikes") in {(r.label, r.variable) for r in deployment.records}:
            train = result.spikes(label)
            ours = sorted(zip(np.rint(train.times / dt).astype(int).tolist(), train.ids.tolist(), strict=True))
            if any(core.keys for core in board.board.of(label)):
                found += _differ(f"{label}: spikes sent", board.spikes(label), ours)
            if not one.is_source:
                found += _differ(f"{label}: spikes recorded", board.recorded(label, "spikes"), ours)
    for record in deployment.records:
        if record.variable != "spikes" and not deployment[record.label].is_source:
            trace = result.traces(record.label, record.variable)
            times, ids, words = board.recorded(record.label, RECORDED_AS.get(record.variable, record.variable))
            ours = np.rint(np.abs(trace.values) * 32768 * np.sign(trace.values)).astype(int)
            sign = -1 if record.variable == "isyn_inh" else 1
            theirs = words * sign
            if theirs.shape != ours.shape:
                found.append(f"{record.label}.{record.variable}: {theirs.shape} samples on the machine, {ours.shape} emulated")
            elif not np.array_equal(theirs, ours):
                k, cell = np.argwhere(theirs != ours)[0]
                found.append(f"{record.label}.{record.variable}: first at tick {times[k]}, cell {cell}: {theirs[k, cell]} on the machine, "
                             f"{ours[k, cell]} emulated")
    for one in deployment.synapses:
        if len(one.source):
            found += _synapses(deployment, one, before, board, emulation)
    return found, board


def _differ(what, theirs, ours):
    if theirs == ours:
        return []
    only, more = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs))
    return [f"{what}: {len(theirs)} on the machine, {len(ours)} emulated; only on the machine {only[:3]}, only emulated {more[:3]}"]


def _synapses(deployment, one, before, board, emulation):
    """Of a projection's synapses: those that the machine held at first, and the weights that it holds in the end."""
    pre, post = deployment.cells[one.pre], deployment.cells[one.post]
    same = [other for other in deployment.synapses if (other.pre, other.post, other.receptor, other.plastic)
            == (one.pre, one.post, one.receptor, one.plastic)]
    if one is not same[0]:
        return []                                      # compared with the first of those that share pre, post and type
    keys = [(int(s), int(t), int(d)) for other in same for s, t, d in zip(other.source, other.target, other.delay, strict=True)]
    stored = [int(w) for other in same for w in other.stored]

    def theirs(rows):
        return sorted((source, target, delay, weight) for label, source, target, kind, delay, weight, plastic in rows
                      if (label, kind, plastic) == (pre.label, one.receptor, one.plastic))
    def ours(weights):
        return sorted((*key, weight) for key, weight in zip(keys, weights, strict=True))
    found = _differ(f"{one.label}: stored synapses", theirs(before[post.label]), ours(stored))
    if one.plastic:
        unit = 2.0 ** (post.shifts[one.receptor] - 15) / post.scale
        last = [int(w) for other in same for w in np.rint(np.abs(emulation.weights(other.label).last) * other.factor / unit)]
        found += _differ(f"{one.label}: weights learned", theirs(board.synapses(post.label)), ours(last))
    return found
