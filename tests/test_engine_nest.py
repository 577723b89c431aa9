"""The whole engine against NEST: spikes on the same step."""

import numpy as np
import pytest

from neurosim import (
    FromListConnector,
    IF_curr_alpha,
    IF_curr_exp,
    Network,
    Simulation,
    SpikeSourceArray,
)

nest = pytest.importorskip("nest")

DT = 0.1
MODELS = {IF_curr_exp: "iaf_psc_exp", IF_curr_alpha: "iaf_psc_alpha"}


def nest_cells(cell, n, v):
    model = nest.Create(MODELS[type(cell)], n, params={
        "E_L": cell.v_rest, "V_reset": cell.v_reset, "V_th": cell.v_thresh, "C_m": 1e3 * cell.cm, "tau_m": cell.tau_m,
        "t_ref": cell.tau_refrac, "tau_syn_ex": cell.tau_syn_E, "tau_syn_in": cell.tau_syn_I, "I_e": 1e3 * cell.i_offset})
    model.V_m = v
    return model


def in_nest(cell, v, times, lists, duration):
    """The spikes (steps, ids) of cells driven by spike generators ``times``; ``lists`` from (drive, cells), rows of pre, post,
    nA, ms."""
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = DT
    cells = nest_cells(cell, len(v), v)
    drive = nest.Create("spike_generator", len(times), params=[{"spike_times": t} for t in times])
    recorder = nest.Create("spike_recorder")
    for pre, rows in zip((drive, cells), lists, strict=True):
        if not rows.size:
            continue
        source, target = np.array(pre.tolist()), np.array(cells.tolist())
        nest.Connect(source[rows[:, 0].astype(int)], target[rows[:, 1].astype(int)], "one_to_one",
                     {"synapse_model": "static_synapse", "weight": 1e3 * rows[:, 2], "delay": rows[:, 3]})
    nest.Connect(cells, recorder)
    nest.Simulate(duration)
    steps = np.rint(np.array(recorder.events["times"]) / DT).astype(int)
    ids = np.array(recorder.events["senders"]) - cells[0].global_id
    order = np.lexsort((ids, steps))
    return steps[order].tolist(), ids[order].tolist()


def in_neurosim(cell, v, times, lists, duration, update):
    network = Network()
    cells = network.population(len(v), cell, "cells", initial_values={"v": v})
    drive = network.population(len(times), SpikeSourceArray(spike_times=times), "drive")
    for pre, rows in zip((drive, cells), lists, strict=True):
        if not rows.size:
            continue
        for receptor, which in (("excitatory", rows[:, 2] >= 0), ("inhibitory", rows[:, 2] < 0)):
            network.project(pre, cells, FromListConnector(rows[which]), receptor=receptor)
    cells.record("spikes")
    spikes = Simulation(network, dt=DT, threads=1, update=update).run(duration).spikes("cells")
    return np.rint(spikes.times / DT).astype(int).tolist(), spikes.ids.tolist()


def rows_of(rng, n_pre, n_post, each, low, high):
    """Random synapses: pre, post, weight (every fifth sender inhibits, more strongly), delay."""
    post = np.repeat(np.arange(n_post), each)
    pre = rng.integers(0, n_pre, post.size)
    weight = rng.uniform(low, high, post.size)
    return np.column_stack([pre, post, np.where(pre % 5 == 0, -2.0 * weight, weight), rng.integers(1, 50, post.size) * DT])


def drive_times(rng, n, rate, duration):
    """Distinct times on the grid, from the first step on (NEST's generators have none at 0)."""
    steps = round(duration / DT) - 60
    return [np.sort(rng.choice(np.arange(1, steps), rng.poisson(rate * duration / 1000.0), replace=False)) * DT for _ in range(n)]


@pytest.mark.parametrize("update", ["clock", "event"])
@pytest.mark.parametrize("tau_refrac", [DT, 2.0])
@pytest.mark.parametrize("taus", [(10.0, 2.0, 5.0), (10.0, 10.0, 5.0), (10.0, 30.0, 0.5)])
@pytest.mark.parametrize("model", MODELS)
def test_driven_cells(model, taus, tau_refrac, update):
    rng = np.random.default_rng(4)
    n, duration = 30, 300.0
    cell = model(tau_m=taus[0], tau_syn_E=taus[1], tau_syn_I=taus[2], cm=0.25, v_thresh=-55.0, v_reset=-70.0, i_offset=0.1,
                 tau_refrac=tau_refrac)
    lists = [rows_of(rng, 40, n, 40, 0.05, 0.15), np.empty((0, 4))]
    args = cell, rng.uniform(-70.0, -56.0, n), drive_times(rng, 40, 150.0, duration), lists, duration
    expected = in_nest(*args)
    assert len(expected[0]) > n
    assert in_neurosim(*args, update) == expected


@pytest.mark.parametrize("model", MODELS)
def test_recurrent_network(model):
    rng = np.random.default_rng(5)
    n, duration = 200, 200.0
    cell = model(tau_m=10.0, tau_syn_E=1.0, tau_syn_I=3.0, cm=0.25, v_thresh=-50.0, tau_refrac=2.0, i_offset=0.3)
    lists = [rows_of(rng, 50, n, 20, 0.1, 0.4), rows_of(rng, n, n, 20, 0.05, 0.2)]
    args = cell, rng.uniform(-70.0, -51.0, n), drive_times(rng, 50, 100.0, duration), lists, duration
    expected = in_nest(*args)
    assert len(expected[0]) > 3 * n
    for update in ("clock", "event"):
        assert in_neurosim(*args, update) == expected
