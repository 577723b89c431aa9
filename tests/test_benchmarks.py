"""The speed benchmarks: every simulator gets the same numbers, rows are planned, kept and rendered as told."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from neurosim.benchmarks import stdp_windows
from neurosim.benchmarks.speed import measure, models, run, scaling, start, table

from neurosim.models import microcircuit as shipped
from neurosim.parameters import Normal, Uniform

RANDOM = ("M1", "M2", "M3", "M6")
DELTA_ONLY = {"cm"}  # of IF_curr_delta: v jumps by the weight, whatever the capacitance


@pytest.fixture(scope="module")
def peer():
    """The module that measures neurosim."""
    from neurosim.benchmarks.speed import peer_neurosim

    return peer_neurosim


def a_row(**changes):
    """A row as run.py writes it."""
    row = {
        "model": "M1", "size": 4000, "neurons": 4000, "duration_ms": 1000.0, "peer": "neurosim", "version": "0",
        "update": "auto", "threads": 1, "seed": 1, "cache": "warm", "import_s": 1.0, "compile_s": 2.0, "build_s": 4.0,
        "sim_wall_s": 3.0, "sim_cpu_s": 2.0, "peak_mb": 100.0, "spikes": 20000, "rate_hz": 5.0, "syn_events": 1.6e6,
        "note": "", "repeat": 1, "machine": "a machine", "started": "2026-01-01T00:00:00+0000", "load": 0.1,
        "platform": {"system": "Linux", "python": "3.11"}, "run": "first",
    }  # fmt: skip
    return row | changes


def cells(text):
    """The rows of a Markdown table, as dicts by column."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    lines = [[cell.strip() for cell in row] for row in rows]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


# ------------------------------------------------------------------------------- the same numbers for all


def test_all_models_that_neurosim_has_are_compared(peer):
    assert sorted([*RANDOM, "M5"]) == sorted([*peer.SHIPPED, "M5"])
    assert set(models.MODELS) == set(run.ORDER) == {*RANDOM, "M4", "M5"}


@pytest.mark.parametrize("key", RANDOM)
def test_a_shipped_random_network_has_the_numbers_that_the_peers_get(peer, key):
    size = 1000
    net, built = models.model(key), peer.network(key, size, seed=1)
    exc, inh = built["exc"], built["inh"]
    assert (exc.size, inh.size) == (net.excitatory(size), size - net.excitatory(size))
    pacemakers = np.zeros(exc.size)
    pacemakers[: net.pacemakers(size)] = net.pacemaker_current
    compared = 0
    for cells_of in (exc, inh):
        for name in cells_of.cell.parameters():
            if name in DELTA_ONLY and isinstance(net.cell, models.DeltaCell):
                continue
            usual = pacemakers if cells_of is exc and net.pacemaker_fraction else 0.0
            expected = usual if name == "i_offset" and not hasattr(net.cell, "i_offset") else getattr(net.cell, name)
            assert np.array_equal(getattr(cells_of.cell, name), expected), name
            compared += 1
        assert cells_of.initial_values == {"v": Uniform(*net.v_init)}
    assert compared >= 2 * len(dataclasses.fields(net.cell))
    assert len(built.projections) == 4
    for projection in built.projections:
        excitatory = projection.pre is exc
        assert projection.connector.n == (net.indegree_E if excitatory else net.indegree_I)
        assert projection.connector.with_replacement and projection.connector.allow_self_connections
        assert projection.weight == (net.weight_E if excitatory else net.weight_I)
        assert projection.delay == net.delay
    driven = [(one.target.label, one.rate, one.weight) for one in built.inputs]
    assert driven == ([(p.label, net.poisson_rate, net.weight_E) for p in (exc, inh)] if net.poisson_rate else [])
    assert not net.poisson_rate or net.poisson_inputs > 0
    assert {(r.target.label, r.variable) for r in built.records} == {("exc", "spikes"), ("inh", "spikes")}


@pytest.mark.parametrize("scale", [0.1, 1])
def test_the_shipped_microcircuit_has_the_numbers_that_the_peers_get(peer, scale):
    m, built = models.microcircuit(scale), peer.network("M5", scale, seed=1)
    assert [p.label for p in built.populations] == list(m.names)
    assert [p.size for p in built.populations] == m.sizes.tolist()
    for k, population in enumerate(built.populations):
        for field in dataclasses.fields(m.cell):
            assert getattr(population.cell, field.name) == getattr(m.cell, field.name)
        assert population.cell.i_offset == m.i_offset[k]
        assert population.initial_values == {"v": Normal(m.v_init[k], m.v_init_sd[k])}
    by_ends = {(p.post.label, p.pre.label): p for p in built.projections}
    assert len(by_ends) == len(built.projections) == np.count_nonzero(m.synapses)
    for i, j in zip(*np.nonzero(m.synapses), strict=True):
        p = by_ends[m.names[i], m.names[j]]
        assert p.connector.n == m.synapses[i, j] and p.connector.with_replacement
        low, high = (0.0, np.inf) if m.weight[i, j] > 0 else (-np.inf, 0.0)
        assert p.weight == Normal(m.weight[i, j], m.weight_sd[i, j], low, high)
        assert p.delay == Normal(m.delay[i, j], m.delay_sd[i, j], low=models.DT)
    assert [(one.target.label, one.weight) for one in built.inputs] == [(name, m.poisson_weight) for name in m.names]
    assert [one.rate for one in built.inputs] == pytest.approx(m.poisson_inputs * m.poisson_rate, rel=1e-12)


def test_the_sizes_of_m5_are_scales():
    net = models.model("M5")
    assert net.sizes == (0.1, 1)
    assert net.neurons(1) == 77169 == shipped.SIZES.sum()
    assert net.synapses(1) == pytest.approx(298.88e6, rel=1e-4)


def test_pacemakers_can_be_changed_and_nothing_else(peer):
    built = peer.network("M6:pacemaker_fraction=0.05", 1000, seed=1)
    current = built["exc"].cell.i_offset
    assert (current[:50] == models.model("M6").pacemaker_current).all() and not current[50:].any()
    with pytest.raises(measure.NotAvailableError, match="without changes of delay"):
        peer.network("M6:delay=2", 1000, seed=1)


def test_the_plastic_network_has_the_numbers_that_the_peers_get(peer):
    net, built = models.model("M4"), peer.network("M4", 1000, seed=1)
    learning = [one for one in built.projections if one.changes]
    assert [(one.pre.label, one.post.label) for one in learning] == [("exc", "exc")]
    rule, bounds = learning[0].synapse.timing_dependence, learning[0].synapse.weight_dependence
    assert (rule.A_plus, rule.A_minus, bounds.w_min, bounds.w_max) == (0.01, 0.01, 0.0, 0.2)
    assert (rule.tau_plus, rule.tau_minus) == (net.stdp.tau_plus, net.stdp.tau_minus)
    assert built.describe().synapses == 1000 * (net.indegree_E + net.indegree_I)
    assert [one.rate for one in built.inputs] == [net.poisson_rate] * 2
    assert peer.run("M4", 1000, 20.0)["spikes"] > 0


# ------------------------------------------------------------------------------- measuring


@pytest.mark.parametrize("mode", ["auto", "clock", "event"])
def test_a_measurement_of_neurosim_starts_at_time_zero(peer, mode):
    from neurosim import Simulation

    row = peer.run("M6", 1000, 60.0, seed=3, mode=mode)
    result = Simulation(peer.network("M6", 1000, 3), dt=models.DT, seed=3, threads=1).run(60.0)
    spikes = sum(result.spikes(label).count for label in ("exc", "inh"))
    assert row["spikes"] == spikes > 0
    assert row["rate_hz"] == pytest.approx(spikes / 1000 / 0.06)
    assert row["syn_events"] == 100 * spikes
    assert row["peer"] == ("neurosim" if mode == "auto" else f"neurosim-{mode}")
    assert (row["update"], row["precision"], row["threads"]) == (mode, "double", 1)
    assert row["sim_cpu_s"] > 0 and row["build_s"] > 0 and row["peak_mb"] > 50
    json.dumps(row)


def test_the_rate_of_m1_is_that_of_the_other_simulators(peer):
    """5.0 to 5.4 Hz in the first second: NEST 5.0 to 5.2, Brian2 5.1 to 5.3, GeNN 5.4 (4 seeds)."""
    assert 4.8 < peer.run("M1", 4000, 1000.0)["rate_hz"] < 5.6


@pytest.mark.needs("psutil")
def test_a_model_that_is_not_available_leaves_a_row_that_says_so(peer, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["peer", "M6:delay=2", "1000"])
    measure.main(peer.run, peer.MODES)
    assert json.loads(capsys.readouterr().out) == {"left_out": "neurosim is measured without changes of delay"}


# ------------------------------------------------------------------------------- planning and keeping


def usual_plan(**changes):
    """The jobs of a default run."""
    return run.plan(**{"keys": list(run.ORDER), "sizes": None, "peers": list(run.USUAL), "threads": [1], "repeats": 3,
                       "seed": 1, "quick": False} | changes)  # fmt: skip


def test_what_matters_comes_first_and_what_takes_long_last():
    jobs = usual_plan()
    seen = list(dict.fromkeys((job.model, job.size) for job in jobs))
    assert list(dict.fromkeys(key for key, _ in seen)) == ["M3", "M4", "M6", "M1", "M2", "M5"]
    assert set(seen[-3:]) == run.BIG
    assert seen[:-3] == [("M3", 12500), ("M4", 10000), ("M6", 100000), ("M1", 4000), ("M1", 20000), ("M2", 4000), ("M2", 20000),
                         ("M5", 0.1)]  # fmt: skip
    nest = [job for job in jobs if job.peer == "nest" and job.model == "M6"]
    assert [(job.size, job.duration_ms) for job in nest] == [(100000, 100.0), (1000000, 100.0)]
    full = {job.peer: job.duration_ms for job in jobs if (job.model, job.size) == ("M5", 1)}
    assert (full["neurosim"], full["nest"]) == (10000.0, 200.0)


def test_the_tables_of_exceptions_name_what_exists():
    tables = [*run.REPEATS, *run.MEMORY, *run.LEFT_OUT, *((k, n, p) for p, k, n in models.OTHER_DURATION)]
    assert tables
    for key, size, peer in tables:
        assert size in models.model(key).sizes
        assert peer in {name for one in run.PEERS for name in (one, one.partition("-")[0])}


def test_only_neurosims_first_model_empties_its_cache():
    cold = [(job.model, job.peer) for job in usual_plan() if job.repeat == 0]
    assert [key for key, name in cold if name == "neurosim"] == ["M3"]
    assert [key for key, name in cold if name == "brian2-cpp"] == list(run.ORDER)
    assert len({run.row_key(dataclasses.asdict(job) | {"machine": ""}) for job in usual_plan()}) == len(usual_plan())


@pytest.mark.needs("psutil")
def test_what_does_not_fit_is_left_out_by_name(tmp_path, monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 12.3e9}))
    job = run.Job("M5", 1, 200.0, "nest", 1, 1, 1)
    assert run.reason_to_leave_out(job) == "needs 16 GB of free memory, 12.3 GB are free"
    assert "drawn in Python" in run.reason_to_leave_out(dataclasses.replace(job, peer="brian2-cpp"))
    assert run.reason_to_leave_out(dataclasses.replace(job, peer="neurosim")) == ""
    out = tmp_path / "rows.jsonl"
    assert run.measure_all([job, dataclasses.replace(job, repeat=2)], out, tmp_path, again=False, timeout=1.0) == 0
    (row,) = run.read_rows(out)
    assert row["left_out"] == "needs 16 GB of free memory, 12.3 GB are free" and not run.is_measurement(row)


def test_a_finished_measurement_is_not_repeated_and_a_failed_one_is(tmp_path, monkeypatch):
    asked = []

    def fake(job, cache, timeout):
        asked.append(job)
        where = dataclasses.asdict(job) | {"machine": run.machine_name()}
        return where | ({"error": "no luck"} if job.peer == "nest" else {})

    monkeypatch.setattr(run, "measure_job", fake)
    out = tmp_path / "rows.jsonl"
    jobs = [run.Job("M1", 4000, 1.0, peer, 1, 1, repeat) for repeat in (0, 1) for peer in ("neurosim", "nest")]
    assert run.measure_all(jobs, out, tmp_path, again=False, timeout=1.0) == 1
    assert [(job.peer, job.repeat) for job in asked] == [("neurosim", 0), ("nest", 0), ("neurosim", 1)]
    asked.clear()
    run.measure_all(jobs, out, tmp_path, again=False, timeout=1.0)
    assert [(job.peer, job.repeat) for job in asked] == [("nest", 0)]


# ------------------------------------------------------------------------------- tables and figures


def test_the_table_gives_real_time_factors_and_ratios_within_one_run():
    rows = [
        a_row(), a_row(repeat=2, sim_cpu_s=1.0, sim_wall_s=1.5),
        a_row(peer="nest", sim_cpu_s=8.0, duration_ms=500.0),
        a_row(peer="brian2-cpp", sim_cpu_s=8.0, run="second"),
        a_row(peer="brian2-cython", rate_hz=9.0, sim_cpu_s=5.0),
        a_row(model="M5", size=1, peer="nest") | {"left_out": "needs 16 GB"},
    ]  # fmt: skip
    text = table.render(rows)
    lines = cells(text)
    columns = list(lines[0])
    assert columns.index("real-time factor") == columns.index("CPU s / bio s") + 1
    by_peer = {line["simulator"].split()[0]: line for line in lines}
    assert len(by_peer) == len(lines) == 4
    assert (by_peer["neurosim"]["CPU s / bio s"], by_peer["neurosim"]["real-time factor"]) == ("1", "1.5")
    assert (by_peer["nest"]["CPU s / bio s"], by_peer["nest"]["CPU, neurosim = 1"]) == ("16", "16")
    assert by_peer["brian2-cpp"]["CPU, neurosim = 1"] == "–"  # measured in another run
    assert by_peer["brian2-cython"]["rate Hz"] == "9 !"
    assert by_peer["neurosim"]["warm start s"] == "7" and by_peer["neurosim"]["cold start s"] == "–"
    assert "* M5 1, nest: needs 16 GB." in text


def test_the_sweeps_cover_sizes_activity_and_threads():
    size, activity = scaling.sweep_size(1_000_000), scaling.sweep_activity(1_000_000)
    assert {job.model for job in size} == {"M1", "M6"}
    assert (min(job.size for job in size), max(job.size for job in size)) == (1000, 1_000_000)
    assert {models.model(job.model).pacemaker_fraction for job in activity} == set(scaling.FRACTIONS)
    assert {job.peer for job in activity} == set(scaling.PEERS)
    assert {1} < {job.threads for job in scaling.sweep_threads(1000)} or scaling.thread_counts(1) == [1]
    assert scaling.thread_counts(2) == [1, 2]


@pytest.mark.needs("matplotlib")
def test_the_figure_of_the_sweeps(tmp_path):
    rows = [a_row(size=n, neurons=n, sim_cpu_s=n * 1e-5) for n in (1000, 3000)]
    rows += [a_row(size=1000, neurons=1000, threads=2)]
    rows += [a_row(model=f"M6:pacemaker_fraction={f}", update=u, peer=f"neurosim-{u}", rate_hz=f * 25)
             for f in (0.01, 0.1) for u in ("clock", "event")]  # fmt: skip
    figure = scaling.figure(rows, tmp_path / "scaling.png")
    size, activity, threads = figure.axes
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    assert size.get_lines()[0].get_xydata().tolist() == [[1000, 0.01], [3000, pytest.approx(0.03)]]
    assert [text.get_text() for text in activity.get_legend().get_texts()] == ['update="clock"', 'update="event"']
    assert threads.get_lines()[0].get_xdata().tolist() == [1, 2]


def test_the_script_of_the_start_benchmark_prints_a_spike():
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    done = subprocess.run([sys.executable, "-c", start.SCRIPT], env=env, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"neuron \d+ fires at \d+\.\d+ ms\n", done.stdout)


def test_a_program_that_fails_has_no_starting_time(tmp_path):
    assert 0 < start.seconds_to_output([sys.executable, "-c", "print(1)"], tmp_path) < 30
    with pytest.raises(RuntimeError, match="no spikes today"):
        start.seconds_to_output([sys.executable, "-c", "raise SystemExit('no spikes today')"], tmp_path)


def test_windows_of_pairs_differ_where_spikes_meet():
    meet = np.array([-1, 0, 1]) - stdp_windows.DELAY
    found = {order: stdp_windows.changes(order, 1.0, meet) for order in stdp_windows.AT_ZERO}
    away = stdp_windows.RULE.A_plus * np.exp(-0.1), -stdp_windows.RULE.A_minus * np.exp(-0.1)
    for order, change in {"nest": 0.0, "spinnaker": -0.008, "brian2": 0.01}.items():
        assert found[order] == pytest.approx([away[1], change, away[0]])


@pytest.mark.needs("matplotlib")
def test_the_picture_of_the_windows(tmp_path, capsys):
    stdp_windows.draw(str(tmp_path / "windows.png"))
    assert (tmp_path / "windows.png").stat().st_size > 10_000
    assert "windows.png" in capsys.readouterr().out
