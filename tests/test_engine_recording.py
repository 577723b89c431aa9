"""What is recorded: which cells, at which times, in memory and in a stream; Ctrl-C and kill."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import engine_networks as nets
import numpy as np
import pytest

from neurosim import (
    FixedProbabilityConnector,
    IF_curr_exp,
    Network,
    NetworkError,
    ParameterError,
    Result,
    Simulation,
    SimulationError,
    SpikeSourceArray,
    Uniform,
    wiring,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def everything():
    """The network "mixed" with all states of all cells recorded at every step, and its result."""
    network = nets.build("mixed", record=False)
    network.record(None, "spikes")
    for population in network.populations:
        if population.cell.states:
            population.record(list(population.cell.states))
    return Simulation(network, seed=5, threads=1).run(30.0)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("update", ["clock", "event"])
def test_thinned_recordings_are_parts_of_the_whole(everything, update, threads):
    network = nets.build("mixed", record=False)
    poisson, cells, others = network["poisson"], network["cells0"], network["cells4"]
    poisson[[50, 3]].record("spikes")
    cells[5:180:9].record(["spikes", "v"], interval=0.7)
    cells[[199, 0, 5]].record("v", 0.7)
    cells[190:].record("isyn_inh")
    others.record("v", interval=30.0)
    simulation = Simulation(network, seed=5, threads=threads, update=update)
    for duration in (0.3, 14.7, 15.0):
        simulation.run(duration)
    result = simulation.result
    assert result.recorded["cells1"] == [] and result.recorded["poisson"] == ["spikes"]
    for label, ids in (("poisson", [3, 50]), ("cells0", list(range(5, 180, 9)))):
        spikes, whole = result.spikes(label), everything.spikes(label)
        assert spikes.recorded.tolist() == ids
        keep = np.isin(whole.ids, ids)
        assert keep.sum() > 0
        assert np.array_equal(spikes.times, whole.times[keep]) and np.array_equal(spikes.ids, whole.ids[keep])
    cases = [("cells0", "v", 7, sorted({0, 199, *range(5, 180, 9)})), ("cells0", "isyn_inh", 1, list(range(190, 200))),
             ("cells4", "v", 300, list(range(200)))]
    for label, variable, every, ids in cases:
        trace, whole = result.traces(label, variable), everything.traces(label, variable)
        assert trace.ids.tolist() == ids
        assert np.array_equal(trace.times, np.arange(0, 301, every) * 0.1)
        assert np.array_equal(trace.values, whole.values[::every][:, ids])


def test_the_sample_at_time_0():
    network = Network()
    v = np.array([-60.0, -71.5, -52.0])
    cells = network.population(3, IF_curr_exp(), "c", initial_values={"v": v, "isyn_exc": 0.25})
    source = network.population(1, SpikeSourceArray(spike_times=[0.0, 0.1]), "s")
    cells.record(["v", "isyn_exc"], 0.5)
    source.record("spikes")
    simulation = Simulation(network, threads=1)
    np.testing.assert_allclose(simulation.result.traces("c", "v").values, [v], rtol=0, atol=1e-12)
    result = simulation.run(1.0)
    assert result.traces("c", "v").times.tolist() == [0.0, 0.5, 1.0]
    np.testing.assert_allclose(result.traces("c", "v").values[0], v, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.traces("c", "isyn_exc").values[0], 0.25, rtol=0, atol=1e-12)
    assert result.spikes("s").times.tolist() == [0.0, 0.1]
    assert simulation.run(1.0).traces("c", "v").times.tolist() == [1.5, 2.0]
    assert np.array_equal(simulation.get(cells, "v"), simulation.result.traces("c", "v").values[-1])


def test_what_run_returns_is_a_part_of_the_result():
    network = nets.build("mixed")
    simulation = Simulation(network, seed=5, threads=1)
    runs = [simulation.run(duration) for duration in (4.0, 0.1, 20.0)]
    assert [(r.t_start, r.t_stop) for r in runs] == [pytest.approx(w) for w in ((0.0, 4.0), (4.0, 4.1), (4.1, 24.1))]
    assert runs[0].append(runs[1]).append(runs[2]) == simulation.result
    assert all(r.complete for r in runs)
    assert runs[2].spikes("cells0").times.min() > 4.1
    simulation.clear()
    last = simulation.run(3.0)
    assert simulation.result == last and last.spikes("cells0").count > 0


def test_what_cannot_be_recorded():
    for wrong in ("two intervals", "no multiple"):
        network = Network()
        cells = network.population(3, IF_curr_exp(), "c")
        cells.record("v", 0.25 if wrong == "no multiple" else 0.5)
        cells[1:].record("v", 1.0)
        with pytest.raises(NetworkError if wrong == "two intervals" else ParameterError, match="interval"):
            Simulation(network)


# ------------------------------------------------------------------------------------- streams


def test_a_stream_equals_the_result(tmp_path):
    network = nets.build("mixed")
    path = tmp_path / "run.nsim"
    with Simulation(network, seed=5, threads=2, stream=path) as simulation:
        simulation.run(10.0)
        simulation.step(3)
        simulation.run(9.7)
        cut = Result.load(path)
        assert not cut.complete and cut == simulation.result
        simulation.save(tmp_path / "state.nsim")
    assert Result.load(path).complete and Result.load(path) == simulation.result
    with Simulation.load(tmp_path / "state.nsim", network, stream=tmp_path / "later.nsim") as later:
        later.run(5.0)
        again = later.result
    stream = Result.load(tmp_path / "later.nsim")
    assert stream == again
    assert (stream.t_start, stream.t_stop) == (pytest.approx(20.0), pytest.approx(25.0))


KILLED = """
    import sys
    sys.path[:0] = [{root!r}, {tests!r}]
    import engine_networks as nets
    from neurosim import Simulation
    simulation = Simulation(nets.build("exp"), seed=5, threads=1, stream=sys.argv[1])
    for _ in range(10**6):
        simulation.run(20.0)
        print(simulation.t, flush=True)
"""


def child(tmp_path, text, *args):
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(text.format(root=str(ROOT), tests=str(ROOT / "tests"))))
    return subprocess.Popen([sys.executable, str(script), *map(str, args)], stdout=subprocess.PIPE, text=True)


def test_a_killed_run_leaves_what_was_flushed(tmp_path):
    path = tmp_path / "run.nsim"
    with child(tmp_path, KILLED, path) as process:
        told = [float(process.stdout.readline()) for _ in range(12)]
        process.kill()
        assert process.wait() == -signal.SIGKILL
    result = Result.load(path)
    assert not result.complete
    assert result.t_stop >= told[-1] - 1e-9
    simulation = Simulation(nets.build("exp"), seed=5, threads=1)
    whole = simulation.run(result.t_stop)
    assert whole.spikes("cells0").count > 1000
    assert result == whole


# ------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c(threads):
    """The run returns what it has, and goes on where it was."""
    network = nets.build("exp")
    simulation = Simulation(network, seed=5, threads=threads)
    simulation.run(5.0)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    began = time.perf_counter()
    timer.start()
    before = signal.getsignal(signal.SIGINT)
    result = simulation.run(1e7)
    assert time.perf_counter() - began < 60.0
    assert signal.getsignal(signal.SIGINT) is before
    assert not result.complete
    assert 5.0 < result.t_stop < 1e7 and result.t_stop == pytest.approx(simulation.t)
    assert result.spikes("cells0").count > 0
    more = simulation.run(10.0)
    assert more.complete and more.t_start == pytest.approx(result.t_stop)
    short = Simulation(network, seed=5, threads=1)
    short.run(simulation.t)
    assert np.array_equal(short.result.spikes("cells0").ids, simulation.result.spikes("cells0").ids)
    assert np.array_equal(short.result.spikes("cells0").times, simulation.result.spikes("cells0").times)


def test_a_bar_of_progress(capsys):
    simulation = Simulation(nets.build("exp"), seed=5, threads=1)
    assert simulation.run(20.0, progress=True) == Simulation(nets.build("exp"), seed=5, threads=1).run(20.0)
    assert "x real time" in capsys.readouterr().err


@pytest.mark.parametrize("duration", [0.0, -1.0, 0.05, 0.14, float("nan"), float("inf"), "10", True])
def test_wrong_durations(duration):
    network = Network()
    network.population(1, IF_curr_exp())
    with pytest.raises(ParameterError, match="duration"):
        Simulation(network).run(duration)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "1"])
def test_wrong_steps(n):
    network = Network()
    network.population(1, IF_curr_exp())
    with pytest.raises(ParameterError, match="step"):
        Simulation(network).step(n)


def test_weights_of_a_projection_are_those_that_act():
    network = Network(seed=3)
    pre = network.population(30, IF_curr_exp(), "pre")
    post = network.population(40, IF_curr_exp(), "post")
    made = network.project(pre[5:25], post[::-2], FixedProbabilityConnector(0.3), Uniform(0.1, 0.2), 1.0)
    weights = Simulation(network).weights(made)
    assert weights == Simulation(network, seed=9, threads=2).weights(made.label)
    assert weights.unit == "nA"
    assert weights.values.size > 60
    assert set(weights.pre) <= set(range(5, 25))
    assert set(weights.post) <= set(range(1, 40, 2))
    dense = wiring.dense(made, 3, 0.1)[0]
    total = np.zeros((30, 40))
    np.add.at(total, (weights.pre, weights.post), weights.values)
    np.testing.assert_array_equal(total[5:25, ::-2], dense)
    with pytest.raises(NetworkError, match="no projection 'other'; it has pre"):
        Simulation(network).weights("other")


def test_many_single_steps_keep_few_results():
    simulation = Simulation(nets.build("mixed"), seed=5)
    for _ in range(600):
        simulation.step()
    assert len(simulation._chunks) < 300
    assert simulation.result == Simulation(nets.build("mixed"), seed=5).run(600 * simulation.dt)


def test_what_is_added_later_is_not_left_out_in_silence():
    network = nets.build("mixed")
    simulation = Simulation(network)
    simulation.run(1.0)
    network["cells0"].record("v")
    with pytest.raises(SimulationError, match="make a new Simulation"):
        simulation.run(1.0)


def test_parameters_of_a_view():
    network = Network()
    cells = network.population(4, IF_curr_exp(tau_m=10.0), "cells")
    cells[1:3].set(tau_m=20.0, i_offset=[0.1, 0.2])
    np.testing.assert_array_equal(cells.cell.tau_m, [10.0, 20.0, 20.0, 10.0])
    np.testing.assert_array_equal(cells.cell.i_offset, [0.0, 0.1, 0.2, 0.0])
    with pytest.raises(ParameterError, match="tau_m must be > 0 ms"):
        cells[0].set(tau_m=-1.0)
    with pytest.raises(ParameterError, match=r"must be a number or 2 values, got shape \(3,\)"):
        cells[1:3].set(v_thresh=[-50.0, -51.0, -52.0])
    with pytest.raises(ParameterError, match="no parameter 'tau'"):
        cells[0].set(tau=1.0)
    cells[1:3].set(v_reset=[-40.0, -41.0], v_thresh=[-30.0, -31.0])  # together they fit
    np.testing.assert_array_equal(cells.cell.v_thresh, [-50.0, -30.0, -31.0, -50.0])
