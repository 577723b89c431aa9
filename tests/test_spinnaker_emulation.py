"""The SpiNNaker emulator: held against plain integers bit by bit; delivery, delays, saturation, recording, chunks, errors."""

import csv
import os
import signal
import threading
import time
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reference_spinnaker
from neurosim import AllToAllConnector, FromListConnector, IF_cond_exp, IF_curr_delta, IF_curr_exp, Network, SpikeSourceArray, Uniform
from neurosim.hardware.spinnaker import emulation as module
from neurosim.hardware.spinnaker.emulation import Emulation, emulate
from neurosim.hardware.spinnaker.load import load
from neurosim.models import ca3, coba
from neurosim.plasticity import AdditiveWeightDependence, SpikePairRule, STDPMechanism

CA3 = Path(__file__).resolve().parents[2] / "shared" / "data" / "ca3" / "experiment1.tsv"
slowly = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


# ------------------------------------------------------------------------------------ against plain integers


@st.composite
def networks(draw, plastic=True):
    """Small networks with strong weights, long delays and few slots: (deployment, ticks).  The first cells may learn."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dt = draw(st.sampled_from([1.0, 0.5]))
    net = Network(seed=1)
    sources = [net.population(n, SpikeSourceArray([np.unique(rng.integers(0, 60, 8)) * dt for _ in range(n)]), f"source{k}")
               .record("spikes") for k, n in enumerate(rng.integers(1, 4, draw(st.integers(1, 2))))]
    cells = []
    for k in range(draw(st.integers(1, 3))):
        n, model = int(rng.integers(1, 7)), draw(st.sampled_from([IF_curr_exp, IF_cond_exp, IF_curr_delta])) if k else IF_curr_exp
        cell = model(v_rest=-65.0, v_reset=-66.0, v_thresh=-55.0, tau_m=rng.uniform(5, 30, n), cm=rng.uniform(0.2, 1, n),
                     tau_refrac=rng.uniform(0.0, 4.0), i_offset=rng.uniform(0.0, 0.6, n))
        one = net.population(n, cell, f"cells{k}").record("spikes").initialize(v=rng.uniform(-66, -54, n))
        cells.append(one.record(["v", *(name for name in one.cell.states if "syn" in name)]))
    learns = plastic and draw(st.booleans())
    rule = STDPMechanism(SpikePairRule(tau_plus=8.0, tau_minus=11.0, A_plus=0.3, A_minus=0.2), AdditiveWeightDependence(0.0, 1.0))
    for k in range(draw(st.integers(1, 5))):
        pre, post = [*sources, *cells][rng.integers(len(sources) + len(cells))], cells[rng.integers(len(cells)) if k else 0]
        strength = {"nA": 2.0, "uS": 0.05, "mV": 8.0}[post.cell.weight_unit]
        count = int(rng.integers(1, 20))
        receptor = ["excitatory", "inhibitory"][rng.integers(2) if k else 0]
        sign = -1.0 if receptor == "inhibitory" and post.cell.weight_unit != "uS" else 1.0
        rows = [(int(rng.integers(pre.size)), int(rng.integers(post.size)), sign * strength * rng.uniform(0.05, 1.0),
                 dt * int(rng.integers(1, 40))) for _ in range(count)]
        mine = rule if learns and post is cells[0] and receptor == "excitatory" else None
        net.project(pre, post, FromListConnector(rows), receptor=receptor, label=f"projection{k}", synapse=mine)
    deployment = load(net, dt=dt)
    assert all("never delivers" in one.reason for one in deployment.problems), [str(one) for one in deployment.problems]
    deployment.problems.clear()
    for one in deployment.cells:
        if one.slots:  # fewer than a population so small would get, so that delays need extensions
            one.slots = draw(st.sampled_from([4, 16, 64]))
    louder = draw(st.sampled_from([1, 1, 6]))  # so that sums saturate
    for one in deployment.synapses:
        one.stored = np.minimum(one.stored.astype(int) * louder, 65535).astype(np.uint16)
    return deployment, 60


@slowly
@given(networks())
def test_every_bit_of_random_networks(case):
    deployment, ticks = case
    reference = reference_spinnaker.Network(deployment).run(ticks)
    emulation = Emulation.of(deployment)
    result = emulation.run(ticks * deployment.settings.dt)
    assert emulated_spikes(deployment, result) == reference.spikes
    dt = deployment.settings.dt
    for k, cells in enumerate(deployment.cells):
        if cells.is_source:
            continue
        v = np.array([[reference.v[t, k, j] for j in range(cells.size)] for t in range(ticks)]) / 32768
        trace = result.traces(cells.label, "v")
        assert np.array_equal(trace.values, v) and np.array_equal(trace.times, np.arange(ticks) * dt)
        for kind, name in enumerate(("exc", "inh")):
            recorded = [one.variable for one in deployment.records if one.label == cells.label and one.variable.endswith(f"syn_{name}")]
            for variable in recorded:
                g = np.array([[reference.g[t, k, j][kind] for j in range(cells.size)] for t in range(ticks)])
                g = (g >> 10) if cells.scale > 1 else g
                sign = -1.0 if variable == "isyn_inh" else 1.0
                assert np.array_equal(result.traces(cells.label, variable).values, sign * g / 32768)
    for k, one in enumerate(deployment.synapses):
        weights = emulation.weights(one.projection)
        one.stored = np.array(reference.stored[k], np.uint16)
        assert np.array_equal(np.abs(weights.values), deployment.described(one))
        assert np.array_equal(weights.pre, one.source) and np.array_equal(weights.post, one.target)
        assert (np.sign(weights.values) * one.projection.sign >= 0).all()
    for (label, receptor), count in emulation.saturations.items():
        number = next(k for k, cells in enumerate(deployment.cells) if cells.label == label)
        assert (count > 0) == (reference.saturations[number, ("excitatory", "inhibitory").index(receptor)] > 0)


def emulated_spikes(deployment, result):
    """[(tick, population, cell)], sorted."""
    found = []
    for k, cells in enumerate(deployment.cells):
        spikes = result.spikes(cells.label)
        ticks = np.rint(spikes.times / deployment.settings.dt).astype(int)
        found += zip(ticks.tolist(), [k] * ticks.size, spikes.ids.tolist())
    return sorted(found)


# ------------------------------------------------------------------------------------ delivery


@slowly
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 9), st.booleans())
def test_delivery_is_a_product_of_matrices(seed, n, m, crowded):
    """One volley: what lies in the ring buffers is spikes times weights, for each delay, and no more than 0xFFFF."""
    rng = np.random.default_rng(seed)
    net = Network()
    fires = rng.random(n) < 0.7
    source = net.population(n, SpikeSourceArray([[0.0] if one else [] for one in fires]), "source")
    cells = net.population(m, IF_curr_exp(), "cells")
    weight = np.zeros((2, 16, n, m), np.int64)  # receptor, delay
    for kind, receptor in enumerate(("excitatory", "inhibitory")):
        count = int(rng.integers(1, 40))
        rows = [(int(rng.integers(n)), int(rng.integers(m)), (1 - 2 * kind) * rng.uniform(0.1, 4.0), float(rng.integers(1, 16)))
                for _ in range(count)]
        net.project(source, cells, FromListConnector(rows), receptor=receptor, label=receptor)
    deployment = load(net, max_expected_summed_weight={"cells": (2.0, 2.0) if crowded else (200.0, 200.0)}, allow_zero_weights=True)
    deployment.problems.clear()  # single weights may be too large on purpose
    for one in deployment.synapses:
        if crowded:
            one.stored = np.minimum(one.asked * 10000, 65535).astype(np.uint16)
        for i, j, w, delay in zip(one.source, one.target, one.stored, one.delay):
            weight[one.receptor, delay, i, j] += w
    emulation = Emulation.of(deployment)
    emulation.run(1.0)
    slots = deployment["cells"].slots
    ring = emulation._m.ring.reshape(slots, 2, m)
    expected = np.zeros((slots, 2, m), np.int64)
    for kind in range(2):
        for delay in range(1, 16):
            if weight[kind, delay].any():
                expected[delay % slots, kind] += fires.astype(np.int64) @ weight[kind, delay]
    assert np.array_equal(ring, np.minimum(expected, 0xFFFF))
    assert any(emulation.saturations.values()) == bool((expected > 0xFFFF).any())


def crowd(n=30, seed=3, split=None, dt=1.0, slots=None, **kind):
    """A recurrent network of two populations with delays up to 25 steps, its cells in an order of their own."""
    rng = np.random.default_rng(seed)
    order = np.random.default_rng(seed + 1).permutation(n) if kind.get("permuted") else np.arange(n)
    offset, v = rng.uniform(0.6, 1.2, n), rng.uniform(-65, -50, n)
    pairs = np.argwhere(rng.random((n, n)) < 0.2)
    w, d = rng.uniform(0.05, 0.6, len(pairs)), dt * rng.integers(1, 26, len(pairs))
    net = Network()
    cells = net.population(n, IF_curr_exp(i_offset=offset[order]), "cells").record(["spikes", "v"]).initialize(v=v[order])
    place = np.argsort(order)
    rows = [(place[i], place[j], x, y) for (i, j), x, y in zip(pairs, w, d)]
    half = len(rows) // 2
    net.project(cells, cells, FromListConnector(rows[:half]), label="excites")
    net.project(cells, cells, FromListConnector([(i, j, -x, y) for i, j, x, y in rows[half:]]), receptor="inhibitory", label="inhibits")
    deployment = load(net, dt=dt, neurons_per_core={"cells": split} if split else {})
    assert not deployment.problems
    if slots:
        deployment["cells"].slots = slots
    return Emulation.of(deployment), order


def test_the_order_of_cells_does_not_matter():
    one, _ = crowd()
    other, order = crowd(permuted=True)
    a, b = one.run(300.0), other.run(300.0)
    assert a.spikes("cells").count > 200
    back = order[b.spikes("cells").ids]
    assert sorted(zip(a.spikes("cells").times, a.spikes("cells").ids)) == sorted(zip(b.spikes("cells").times, back))
    assert np.array_equal(a.traces("cells", "v").values[:, order], b.traces("cells", "v").values)


@pytest.mark.parametrize("slots", [2, 8, 16, 128])
def test_a_delay_extension_is_a_long_delay(slots):
    assert crowd(slots=slots)[0].run(300.0) == crowd(slots=32)[0].run(300.0)


@pytest.mark.parametrize("split", [1, 7])
def test_cores_leave_no_trace(split):
    assert crowd(split=split)[0].run(300.0) == crowd()[0].run(300.0)


def test_a_last_step_of_the_ring_buffer_is_its_first():
    """A delay of as many steps as there are slots arrives, for synapses that do not learn."""
    net = Network()
    source = net.population(1, SpikeSourceArray([3.0]), "source")
    cell = net.population(1, IF_curr_exp(), "cell").record("isyn_exc")
    net.project(source, cell, AllToAllConnector(), weight=1.0, delay=8.0)
    deployment = load(net)
    deployment["cell"].slots = 8
    trace = Emulation.of(deployment).run(20.0).traces("cell", "isyn_exc")
    assert np.flatnonzero(trace.values[:, 0])[0] == 11


def test_saturation_is_counted():
    net = Network()
    source = net.population(5, SpikeSourceArray([2.0]), "source")
    cells = net.population(3, IF_curr_exp(), "cells").record("isyn_exc")
    net.project(source, cells, AllToAllConnector(), weight=1.5, label="all")
    emulation = Emulation(net, max_expected_summed_weight={"cells": (1.5, 1.0)})
    result = emulation.run(6.0)
    # A shift of 1: room for 4 nA less a bit, so that of 1.5 nA five times the last three additions are cut, in each cell
    assert emulation.saturations == {("cells", "excitatory"): 9, ("cells", "inhibitory"): 0}
    assert result.provenance["saturations"] == {"cells/excitatory": 9}
    whole = 65535 / 16384 * 5.0 * (1 - np.exp(-0.2))
    assert result.traces("cells", "isyn_exc").values[3] == pytest.approx(whole, rel=1e-3)


def test_a_buffer_that_is_just_full_has_lost_nothing():
    """65535 stored units fit, one more is cut."""
    net = Network()
    source = net.population(2, SpikeSourceArray([2.0]), "source")
    cells = net.population(2, IF_curr_exp(), "cells")
    net.project(source, cells, AllToAllConnector(), weight=0.5)
    deployment = load(net)
    one = deployment.synapses[0]
    one.stored[:] = np.where(one.source == 0, 30000, 35535 + one.target)
    emulation = Emulation.of(deployment)
    emulation.run(3.0)
    assert emulation.saturations["cells", "excitatory"] == 1
    assert emulation._m.ring.max() == 65535 and (emulation._m.ring == 65535).sum() == 2


# ------------------------------------------------------------------------------------ chunks, recording


@slowly
@given(networks(), st.integers(1, 59), st.integers(1, 20))
def test_runs_and_chunks_leave_no_trace(case, first, chunk):
    deployment, ticks = case
    dt, before = deployment.settings.dt, module._CHUNK_TICKS
    whole = Emulation.of(deployment)
    expected = whole.run(ticks * dt)
    other = Emulation.of(deployment)
    try:
        module._CHUNK_TICKS = chunk
        a, b = other.run(first * dt), other.run((ticks - first) * dt)
    finally:
        module._CHUNK_TICKS = before
    assert a.append(b) == expected == other.result
    for one in deployment.synapses:
        assert np.array_equal(whole.weights(one.label).values, other.weights(one.label).values)
    other.reset()
    assert other.t == 0.0 and other.run(ticks * dt) == expected


def test_recording_of_views_and_intervals():
    net = Network()
    cells = net.population(6, IF_curr_exp(i_offset=Uniform(0.5, 1.5)), "cells")
    cells[[4, 1]].record(["spikes", "v"], interval=3.0)
    every = net.population(6, cells.cell, "every").record(["spikes", "v", "isyn_exc", "isyn_inh"])
    every.set(i_offset=cells.cell.values(6, net.seed, "cells")["i_offset"])
    emulation = Emulation(net)
    emulation.run(20.0)
    result = emulation.run(41.0)
    spikes, trace = result.spikes("cells"), result.traces("cells", "v")
    assert spikes.recorded.tolist() == trace.ids.tolist() == [1, 4] and spikes.window == (20.0, 61.0) and trace.unit == "mV"
    assert trace.times.tolist() == list(np.arange(21.0, 61.0, 3.0))
    whole = emulation.result
    assert np.array_equal(whole.traces("cells", "v").values, whole.traces("every", "v").values[::3][:, [1, 4]])
    mine = np.isin(whole.spikes("every").ids, [1, 4])
    assert np.array_equal(whole.spikes("cells").times, whole.spikes("every").times[mine]) and mine.any()
    assert whole.traces("every", "isyn_inh").unit == "nA"
    emulation.clear()
    assert emulation.result.spikes("cells").count == 0 and emulation.result.t_start == 61.0
    assert emulation.run(5.0).t_stop == 66.0 and emulation.result.t_start == 61.0


def test_times_of_spikes_and_samples():
    """Given for 3 ms, sent in tick 3, in the cell with delay 2 in tick 5, seen in v at the start of tick 6."""
    net = Network()
    source = net.population(1, SpikeSourceArray([3.0]), "source").record("spikes")
    cell = net.population(1, IF_curr_exp(tau_refrac=20.0), "cell").record(["v", "isyn_exc", "spikes"])
    net.project(source, cell, AllToAllConnector(), weight=100.0, delay=2.0)
    result = emulate(net, 10.0)
    assert result.spikes("source").times.tolist() == [3.0]
    assert np.flatnonzero(result.traces("cell", "isyn_exc").values[:, 0])[0] == 5
    assert np.flatnonzero(result.traces("cell", "v").values[:, 0] != -65.0).size == 0  # it fires in tick 5 and is reset within it
    assert result.spikes("cell").times.tolist() == [5.0]


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name != "posix", reason="needs POSIX signals")
def test_ctrl_c():
    emulation, _ = crowd()
    emulation.run(5.0)
    timer, before = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)), signal.getsignal(signal.SIGINT)
    timer.start()
    result = emulation.run(1e8)
    assert signal.getsignal(signal.SIGINT) is before
    assert not result.complete and 5.0 < result.t_stop < 1e8 and result.t_stop == emulation.t
    assert result.spikes("cells").count > 0
    more = emulation.run(10.0)
    assert more.complete and more.t_start == result.t_stop


def test_a_bar_of_progress(capsys):
    assert crowd()[0].run(200.0, progress=True) == crowd()[0].run(200.0)
    assert "200/200 ms" in capsys.readouterr().err


# ------------------------------------------------------------------------------------ speed


def test_vogels_abbott_is_faster_than_real_time():
    """4000 cells, 320,000 synapses, 15 Hz: a second takes a tenth of one on one processor; here it must take less than one."""
    emulation = Emulation(coba.build(1.0, 1, 1.0))
    assert sum(one.source.size for one in emulation.deployment.synapses) == 320_000
    emulation.run(50.0)
    began = time.process_time()
    result = emulation.run(1000.0)
    assert time.process_time() - began < 1.0
    assert 5.0 < result.spikes("exc").rate() < 40.0


# ------------------------------------------------------------------------------------ CA3


@pytest.mark.skipif(not CA3.exists(), reason="the recorded spikes of CA3 (../shared/data/ca3) are not here")
def test_ca3_as_recorded_on_the_machine():
    rows = list(csv.reader(CA3.open(), delimiter="\t"))

    def column(name):
        at = rows[0].index(name)
        return sorted((int(row[0]), cell) for row in rows[1:] if row[at] != "-" for cell in literal_eval(row[at]))

    net = ca3.network(5, 10, record="all")
    for label, name in (("cue_in", "INcue"), ("content_in", "INcont")):
        net[label].set(spike_times=[[float(t) for t, cell in column(name) if cell == c] for c in range(net[label].size)])
    result = emulate(net, 90.0)
    names = {"cue_1": "CA3cueCueRecall", "content_1": "CA3contCueRecall", "content_2": "CA3contCond", "condition": "CA3contCondInt",
             "cue_2": "CA3cueContRecall", "content_3": "CA3contContRecall", "cue_merged": "CA3MergeCue",
             "content_merged": "CA3MergeCont", "cue_out": "OUTcue", "content_out": "OUTcont"}
    total = 0
    for label, name in names.items():
        spikes = result.spikes(label)
        assert list(zip(np.rint(spikes.times).astype(int).tolist(), spikes.ids.tolist())) == column(name), label
        total += spikes.count
    assert total == 262
