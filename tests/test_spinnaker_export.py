"""Networks through the real sPyNNaker: what a written program does by itself, what is read back, what is refused."""

import dataclasses
import inspect
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from spinnaker_board import environment, python, run_script, synapses

import neurosim as ns
from neurosim.errors import FileFormatError, NetworkError, ParameterError
from neurosim.hardware.pynn_export import script as pynn_script
from neurosim.hardware.spinnaker import plain as plain_data
from neurosim.hardware.spinnaker import script
from neurosim.hardware.spinnaker.check import check
from neurosim.hardware.spinnaker.emulation import Emulation
from neurosim.hardware.spinnaker.export import Export, export, write_script
from neurosim.hardware.spinnaker.extra import IFCurrDeltaFixedProb
from neurosim.hardware.spinnaker.load import load
from neurosim.hardware.spinnaker.placement import place
from neurosim.hardware.spinnaker.plain import plain


def mixed(seed: int = 4) -> ns.Network:
    """All that an export has to hand over: parameters and states of each cell, arrays, Poisson, currents, learning, long delays, views."""
    rng = np.random.default_rng(seed)
    net = ns.Network(seed=seed, label="mixed")
    trains = [np.sort(rng.choice(150, 8, replace=False)).astype(float) for _ in range(30)]
    given = net.population(30, ns.SpikeSourceArray(trains), label="given")
    exc = net.population(70, ns.IF_curr_exp(tau_m=rng.uniform(10.0, 20.0, 70), tau_refrac=2.0, i_offset=0.2, tau_syn_E=3.0), label="exc",
                         initial_values={"v": rng.uniform(-65.0, -50.0, 70), "isyn_exc": 0.25, "isyn_inh": -0.125})
    inh = net.population(40, ns.IF_cond_exp(e_rev_E=0.0, e_rev_I=-80.0), label="inh", initial_values={"v": -60.0, "gsyn_exc": 0.01})
    rule = ns.STDPMechanism(ns.SpikePairRule(tau_plus=15.0, tau_minus=12.0, A_plus=0.05, A_minus=0.04),
                            ns.AdditiveWeightDependence(w_min=0.0, w_max=3.0))
    net.project(given, exc, ns.FixedProbabilityConnector(0.4), weight=ns.Uniform(0.5, 3.0), delay=ns.Uniform(1.0, 5.0), synapse=rule,
                label="learns")
    net.project(exc[10:40], inh, ns.FixedProbabilityConnector(0.3), weight=0.02, delay=ns.Uniform(1.0, 150.0), label="late")
    net.project(inh, exc[[3, 1, 60]], ns.AllToAllConnector(), weight=-0.3, delay=2.0, receptor="inhibitory", label="back")
    net.poisson_input(inh, rate=80.0, weight=0.05, label="drive")
    chance = net.population(12, IFCurrDeltaFixedProb(p_thresh=0.3), label="chance", initial_values={"seed": 7.0})
    net.project(given, chance, ns.FixedProbabilityConnector(0.5), weight=1.5, delay=1.0, label="dice")
    net.record(chance, "spikes")
    net.inject(ns.DCSource(amplitude=1.5, start=20.0, stop=80.0), exc[5:25])
    net.inject(ns.StepCurrentSource(times=[30.0, 60.0, 90.0], amplitudes=[0.5, 1.25, 0.0]), exc)
    net.record(exc, ["spikes", "v", "isyn_inh"])
    net.record(inh[4:9], ["spikes", "v"])
    return net


CORES = {"given": 16, "exc": 32, "inh": 40}


# ------------------------------------------------------------------------------------------ refused before anything is built


def test_what_cannot_be_deployed_is_refused_in_one_message(tmp_path):
    net = ns.Network(label="net")
    one = net.population(3, ns.HH_cond_exp(), label="one")
    two = net.population(3, ns.IF_curr_exp(), label="two")
    net.project(two, two, ns.AllToAllConnector(), weight=0.1, delay=100_000.0)
    for attempt in (lambda: export(net), lambda: write_script(net, tmp_path / "net.py")):
        with pytest.raises(NetworkError, match="(?s)cannot be deployed on SpiNNaker.*population one.*HH_cond_exp.*delay"):
            attempt()
    assert list(tmp_path.iterdir()) == [] and one.size == 3


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda folder: export("net"), ParameterError, "export needs a Network"),
    (lambda folder: export(mixed(), cores=3), ParameterError, "no setting 'cores'"),
    (lambda folder: write_script(mixed(), folder / "net.txt"), FileFormatError, "must end in .py"),
    (lambda folder: write_script(mixed(), folder / "none" / "net.py"), FileFormatError, "cannot write"),
    (lambda folder: write_script(mixed(), folder / "net.py", duration=-1.0), ParameterError, "duration must be > 0 ms, got -1.0"),
    (lambda folder: export(ns.Network()), NetworkError, "nothing to export")])
def test_bad_arguments(call, error, text, tmp_path):
    with pytest.raises(error, match=text):
        call(tmp_path)


def test_missing_programs_are_named(needs):
    needs("spynnaker")

    def vertex(cell, rule):
        return SimpleNamespace(_vertex=SimpleNamespace(combined_binary_file_name=f"{cell}{rule}.aplx",
                                                       neuron_core_binary_file_name=f"{cell}_neuron.aplx",
                                                       synapse_core_binary_file_name=f"synapses{rule}.aplx"))

    made = {"there": vertex("IF_curr_exp", ""), "split": vertex("IF_cond_exp", "_stdp_mad_vogels_2011_additive"),
            "absent": vertex("IF_cond_exp", "_stdp_mad_vogels_2011_multiplicative"), "source": SimpleNamespace(_vertex=object())}
    assert script.missing_binaries(made) == [
        "population absent: there is neither IF_cond_exp_stdp_mad_vogels_2011_multiplicative.aplx nor IF_cond_exp_neuron.aplx with"
        " synapses_stdp_mad_vogels_2011_multiplicative.aplx"]


# ------------------------------------------------------------------------------------------ plain data


@pytest.mark.parametrize("dt", [1.0, 0.1, 0.3, 0.7, 0.125])
def test_delays_that_are_handed_over_are_those_steps(dt):
    steps = np.arange(1, 2000)
    for slots in (1, 2, 16, 32, 256):
        given = plain_data._delays(steps, slots, dt)
        assert np.array_equal(np.rint(given * (1000.0 / round(1000 * dt))), steps)
        assert np.array_equal(np.ceil(given / dt), steps)
        assert np.array_equal(np.ceil(given / (slots * dt)), -(-steps // slots))


def test_both_kinds_of_programs_read_their_data_alike():
    assert inspect.getsource(script.load) == inspect.getsource(pynn_script.load)
    assert script.load.__module__ != pynn_script.load.__module__


def test_lists_are_sorted_and_views_expanded():
    data = plain(load(mixed(), neurons_per_core=CORES))
    late, back = (next(one for one in data["projections"] if one["label"] == label) for label in ("late", "back"))
    assert set(late["source"]) <= set(range(10, 40)) and set(back["target"]) == {1, 3, 60}
    assert [one["label"] for one in data["populations"]] == ["given", "exc", "inh", "chance", "drive (sources)"]
    exc = data["populations"][1]
    assert exc["initial"]["isyn_inh"] == 0.125 and exc["initial"]["isyn_exc"] == 0.25 and exc["settings"]["n_synapse_cores"] == 0
    assert data["populations"][2]["initial"]["isyn_exc"] == pytest.approx(0.01 * 1024, abs=2.0**-15)
    assert data["currents"][0]["cells"].tolist() == list(range(5, 25)) and data["currents"][1]["cells"] is None
    rule = next(one for one in data["projections"] if one["label"] == "learns")["rule"]
    assert rule["parameters"]["A_plus"] == pytest.approx(0.05 * 3.0) and rule["timing"] == "pair"

    class Lists:
        def __getattr__(self, name):
            return lambda *given, **named: given or named

    table = script.project(Lists(), {"inh": 0, "exc": 1}, back)[2][0]
    assert np.array_equal(table[np.lexsort((table[:, 1], table[:, 0]))], table)


# ------------------------------------------------------------------------------------------ on the virtual board


CHILD = '''
import os
from pathlib import Path
import pytest
from neurosim.errors import NetworkError, SimulationError, ParameterError
from neurosim.hardware.spinnaker.export import Export, export
from neurosim.hardware.spinnaker.load import load
from test_spinnaker_export import CORES, mixed
def places():
    return os.getcwd(), os.environ["HOME"], set(os.listdir()) - {".cache", ".config"}  # matplotlib's

before = places()
net = mixed()
with export(net, neurons_per_core=CORES) as there:
    assert (os.getcwd(), os.environ["HOME"]) == before[:2]
    assert repr(there) == "<mixed on a virtual board: 5 populations, at 1000 ms>"
    assert len(there.placement) == 11 and there.database.is_file() and there.folder in there.database.parents
    assert there.weights("late").unit == "uS" and there.weights(net.projections[0]).unit == "nA" and there.delays("late").unit == "ms"
    with pytest.raises(NetworkError, match="no projection 'nothing' here; it has learns, late, back, dice"):
        there.weights("nothing")
    with pytest.raises(SimulationError, match="a virtual board maps and does not simulate"):
        there.run(10.0)
    with pytest.raises(ParameterError, match="duration must be > 0 ms"):
        there.map(-1.0)
    folder = there.folder
assert not folder.exists()
there.end()
with pytest.raises(SimulationError, match="has ended"):
    there.placement
unmapped = Export(load(net), True)
with pytest.raises(SimulationError, match="nothing is mapped yet; call map"):
    unmapped.shifts
unmapped.map(20.0)
assert set(unmapped.shifts) == {"exc", "inh", "chance"}
unmapped.end()
assert places() == before
first = export(net)
with export(net) as second:
    with pytest.raises(SimulationError, match="sPyNNaker has another network by now"):
        first.placement
    first.end()
    assert len(second.placement) == 6
with export(net, virtual=False, neurons_per_core=CORES) as configured:  # that of the user is virtual too
    assert configured.virtual and configured.folder is None
    with pytest.raises(SimulationError, match="nothing is mapped yet"):
        configured.placement
    with pytest.raises(SimulationError, match="there is no data"):
        configured.run(10.0)
os.remove(".spynnaker.cfg")
with pytest.raises(SimulationError, match="no board is configured: name it in ~/.spynnaker.cfg"):
    export(net, virtual=False)
with export(net) as again:
    assert again.virtual and again.shifts
print("ALL WELL")
'''


@pytest.mark.needs("spynnaker")
def test_an_export_leaves_folders_as_they_were_and_says_what_it_cannot(tmp_path):
    assert "ALL WELL" in python(tmp_path, "-c", CHILD)


@pytest.mark.needs("spynnaker")
def test_a_written_program_needs_no_neurosim(tmp_path):
    net = mixed()
    notes = write_script(net, tmp_path / "net.py", duration=50.0, neurons_per_core=CORES)
    text = (tmp_path / "net.py").read_text()
    assert all(note.split()[0] in text for note in notes) and "import neurosim" not in text and "from neurosim" not in text
    compile(text, "net.py", "exec")
    elsewhere = tmp_path / "elsewhere"
    variables = {**environment(elsewhere), "PYTHONPATH": str(elsewhere)}
    (elsewhere / ".spynnaker.cfg").unlink()
    (elsewhere / "neurosim.py").write_text("raise ImportError('not here')\n")
    for name in ("net.py", "net.npz"):
        shutil.copy(tmp_path / name, elsewhere)

    def run(*arguments):
        return subprocess.run([sys.executable, "net.py", *arguments], cwd=elsewhere, env=variables, capture_output=True, text=True,
                              check=False)

    done = run("--virtual")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "cores: given: 2, exc: 3, inh: 1, chance: 1, drive (sources): 1" in done.stdout and "no data" in done.stdout
    assert set(os.listdir(elsewhere)) - {".cache", ".config"} == {"net.npz", "net.py", "neurosim.py"}
    bad = run("--time", "0")
    assert bad.returncode == 1 and "--time must be > 0 ms" in bad.stderr


@pytest.mark.needs("spynnaker")
def test_a_written_program_loads_what_was_predicted(tmp_path):
    net = mixed()
    write_script(net, tmp_path / "net.py", neurons_per_core=CORES)
    board, deployment = run_script(tmp_path / "net.py", tmp_path / "board"), load(net, neurons_per_core=CORES)
    assert len(board.application) == place(deployment).cores
    (found,) = synapses(board, "given", "exc")
    one = deployment.synapses[0]
    assert found.plastic.all()
    order = np.lexsort((one.delay, one.target, one.source))
    theirs = np.lexsort((found.delay, found.target, found.source))
    assert np.array_equal(found.weight[theirs], one.stored[order]) and np.array_equal(found.delay[theirs], one.delay[order])
    saved = np.load(tmp_path / "net_spinnaker.npz")  # a board that sends nothing
    assert saved["exc/spikes/steps"].size == 0 and saved["exc/v/values"].size == 0 and saved["duration"] == 1000.0


@pytest.mark.needs("spynnaker", "unicorn")
def test_a_written_program_on_the_machines_own_code_does_what_the_emulator_says(tmp_path):
    from spinnaker_machine import machine

    net, ticks = mixed(), 200
    write_script(net, tmp_path / "script.py", duration=float(ticks), neurons_per_core=CORES)
    there, _ = machine((tmp_path / "script.py").read_text(), tmp_path)
    there.run(ticks)
    emulation = Emulation(net, neurons_per_core=CORES)
    here = emulation.run(float(ticks))
    ids = {"exc": np.arange(70), "inh": np.arange(4, 9), "chance": np.arange(12)}
    for label, cells in ids.items():
        sent = sorted((int(tick), int(cell)) for tick, cell in there.recorded(label, "spikes"))
        ours = here.spikes(label)
        assert sent == sorted(zip(np.rint(ours.times).astype(int).tolist(), ours.ids.tolist(), strict=True))
        assert len(sent) > {"exc": 300, "inh": 0, "chance": 20}[label]
        if label == "chance":
            continue
        _, columns, words = there.recorded(label, "v")
        assert list(columns) == cells.tolist()
        trace = here.traces(label, "v")
        np.testing.assert_array_equal(np.asarray(words) / 32768.0, trace.values)


def test_a_written_program_says_what_was_changed(tmp_path):
    def said(weight, delay):
        net = ns.Network(seed=3)
        pre, post = net.population(4, ns.SpikeSourceArray([1.0]), "pre"), net.population(5, ns.IF_curr_exp(tau_refrac=2.0), "post")
        net.project(pre, post, ns.AllToAllConnector(), weight=weight, delay=delay, label="into")
        return net, write_script(net, tmp_path / "net.py"), (tmp_path / "net.py").read_text()

    _, changed, text = said(0.5, 2.0)
    assert changed == [] and "    * nothing\n" in text
    net, changed, text = said(0.3, ns.Uniform(1.0, 4.0))
    one = check(net).projections[0]
    assert changed == [f"projection into: all delays moved to whole steps, by <= {one.off:.2g} ms; weights stored in steps of"
                       f" {one.step:.3g} nA, the worst error {one.worst:.2g} nA ({100 * one.relative:.2g} %)"]
    assert one.moved == 20 and one.worst > 0 and changed[0] in " ".join(text.split()) and "* nothing" not in text
    _, changed, text = said(0.5, [1.0, 2.0, 3.0, 1.25] * 5)
    assert changed == ["projection into: 5 of 20 delays moved to whole steps, by <= 0.25 ms"]
    net.poisson_input(net["post"], 10.0, 0.3, label="drive")
    assert write_script(net, tmp_path / "net.py")[-1].startswith("Poisson input drive: weights stored in steps of")


# ------------------------------------------------------------------------------------------ what a board hands back


def test_what_a_board_recorded_becomes_a_result():
    """Tables as sPyNNaker hands them over: (cell, ms) of spikes, (cell, ms, value) of states."""
    net, dt = mixed(), 0.5
    deployment = dataclasses.replace(load(net, dt=dt), notes=["a note"])
    tables = {
        ("exc", "spikes"): [[7, 3.0], [2, 1.5], [1, 3.0], [9, 12.0]],
        ("exc", "v"): [[cell, step * dt, -60.0 - cell + step] for cell in range(70) for step in range(10, 30)],
        ("exc", "gsyn_inh"): [[cell, step * dt, 0.25 * cell] for step in range(10, 30) for cell in range(70)],
        ("inh", "spikes"): [], ("chance", "spikes"): [],
        ("inh", "v"): [[cell, step * dt, -65.0] for cell in range(4, 9) for step in range(10, 30)]}
    populations = {label: SimpleNamespace(spinnaker_get_data=lambda name, label=label: np.array(tables[label, name]))
                   for label in ("exc", "inh", "chance")}
    board = Export.__new__(Export)
    board.deployment, board.network, board.virtual, board._t = deployment, net, False, 10.0
    board._model = SimpleNamespace(data={"dt": dt}, populations=populations)
    result = board._result(0.0)
    spikes = result.spikes("exc")
    assert list(zip(spikes.times.tolist(), spikes.ids.tolist(), strict=True)) == [(1.5, 2), (3.0, 1), (3.0, 7)]
    assert result.spikes("inh").recorded.tolist() == [4, 5, 6, 7, 8] and result.spikes("inh").times.size == 0
    v, inhibition = result.traces("exc", "v"), result.traces("exc", "isyn_inh")
    assert v.values.shape == (10, 70) and v.times.tolist() == [step * dt for step in range(10, 20)] and v.values[1, 3] == -60.0 - 3 + 11
    assert np.array_equal(inhibition.values[0], -0.25 * np.arange(70)) and inhibition.unit == "nA"
    assert (result.t_start, result.t_stop, result.dt) == (0.0, 10.0, dt)
    assert result.provenance["simulator"] == "SpiNNaker"
    first, *changed = result.provenance["report"]
    assert first == "a note" and changed[0].startswith("projection learns: all delays moved to whole steps, by <= 0.25 ms")
    board._t = 15.0
    assert board._result(10.0).spikes("exc").times.tolist() == [12.0]


def test_folders_are_restored_when_something_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "somewhere")
    before = os.getcwd(), dict(os.environ)
    with pytest.raises(ZeroDivisionError), script.Folder(tmp_path):
        assert os.environ["HOME"] == str(tmp_path) and "XDG_CONFIG_HOME" not in os.environ and os.getcwd() == str(tmp_path)
        assert "virtual_board = True" in (tmp_path / ".spynnaker.cfg").read_text()
        raise ZeroDivisionError
    assert (os.getcwd(), dict(os.environ)) == before
    with script.Folder():
        assert (os.getcwd(), dict(os.environ)) == before
