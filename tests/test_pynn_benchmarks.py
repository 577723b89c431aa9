"""The commands that run PyNN's scenarios and examples: what they fetch, how they read and judge, what they write."""

import argparse
import hashlib
import io
import math
import pickle
import sys
import tarfile

import numpy as np
import pytest
from neurosim.benchmarks import pynn_examples, pynn_peers, pynn_scenarios, pynn_source, pynn_speed

from neurosim.errors import FileFormatError

VERSIONS = {"PyNN": "0.13.0", "numpy": "2"}
SCENARIO = '''
from .fixtures import run_with_simulators

@run_with_simulators("nest", "brian2")
def test_one(sim):
    assert sim.name == "a back end", "another name"

@run_with_simulators("nest")
def not_a_test(sim):
    import pytest
    pytest.skip("for a reason")

def helper(sim):
    raise RuntimeError
'''


@pytest.fixture
def source(tmp_path):
    """A folder like the unpacked source distribution, with two scenarios and an example."""
    scenarios, examples = tmp_path / "test" / "system" / "scenarios", tmp_path / "examples"
    scenarios.mkdir(parents=True)
    examples.mkdir()
    (scenarios / "__init__.py").write_text("raise RuntimeError('not to be imported')")
    (scenarios / "fixtures.py").write_text("raise RuntimeError('not to be imported')")
    (scenarios / "test_some.py").write_text(SCENARIO)
    return tmp_path


# ------------------------------------------------------------------------------- fetching


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index in a folder, with a distribution of one file, and an empty cache."""
    page = tmp_path / "index" / "pynn"
    page.mkdir(parents=True)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo("pynn-0.13.0/examples/one.py")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"pass"))
    (page / pynn_source.NAME).write_bytes(content.getvalue())
    page.joinpath("index.html").write_text(f'<a href="../pynn/{pynn_source.NAME}#sha256=0">it</a>')
    real = pynn_source.read
    monkeypatch.setattr(pynn_source, "read", lambda a, what: real(a + "index.html" if a.endswith("/") else a, what))
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(pynn_source, "SHA256", hashlib.sha256(content.getvalue()).hexdigest())
    return page


def test_the_source_distribution_is_fetched_once(index, tmp_path):
    with pytest.raises(FileFormatError, match="is not at"):
        pynn_source.archive(fetch=False)
    folder = pynn_source.unpack(tmp_path / "out")
    assert (folder / "examples" / "one.py").read_text() == "pass"
    (index / "index.html").unlink()
    assert pynn_source.archive() == pynn_source.archive(fetch=False)


def test_another_file_is_not_taken_for_it(index, tmp_path):
    (index / pynn_source.NAME).write_bytes(b"something else")
    with pytest.raises(FileFormatError, match="checksum"):
        pynn_source.archive()
    assert not list((tmp_path / "cache").rglob("*"))
    (index / "index.html").write_text("nothing")
    with pytest.raises(FileFormatError, match="does not list"):
        pynn_source.archive()
    (index / "index.html").unlink()
    with pytest.raises(FileFormatError, match="cannot fetch"):
        pynn_source.archive()


# ------------------------------------------------------------------------------- scenarios


def test_scenarios_are_found_with_the_back_ends_that_they_are_offered_to(source):
    found = pynn_scenarios.scenarios(source)
    assert {name: one.offered for name, one in found.items()} == {
        "test_some.test_one": ("nest", "brian2"), "test_some.not_a_test": ("nest",)}  # fmt: skip
    found["test_some.test_one"].function(argparse.Namespace(name="a back end"))


@pytest.mark.needs("pyNN")
def test_the_outcome_of_a_scenario(source):
    failed = pynn_scenarios.outcome(source, "test_some.test_one", "nest" if not _absent("nest") else "neurosim", 120.0)
    assert failed["outcome"] == "failed" and failed["seconds"] > 0
    assert "Error: " in failed["said"]
    skipped = pynn_scenarios.outcome(source, "test_some.not_a_test", "neurosim", 120.0)
    assert (skipped["outcome"], skipped["said"]) == ("skipped", "for a reason")
    late = pynn_scenarios.outcome(source, "test_some.not_a_test", "neurosim", 0.01)
    assert (late["outcome"], late["said"]) == ("failed", "not done after 0.01 s")


def _absent(name):
    return pynn_peers.BACK_ENDS[name].missing()


def test_the_page_of_scenarios():
    kept = {"scenarios": {"a.one": ["nest"], "a.two": ["nest", "brian2"]}, "back_ends": {
        "neurosim": {"versions": {"neurosim": "1", **VERSIONS}, "outcomes": {
            "a.one": {"outcome": "passed", "seconds": 1.0, "said": ""},
            "a.two": {"outcome": "failed", "seconds": 2.0, "said": "ValueError: no"}}},
        "brian2": {"versions": {"brian2": "2.9", **VERSIONS}, "outcomes": {}}}}  # fmt: skip
    page = pynn_scenarios.render(kept)
    for line in ("| scenario | neurosim 1 | brian2 2.9 |", "| a.one | passed | – |", "| a.two | failed | not run |",
                 "| **2 functions** | 1 failed, 1 passed | 1 not run |", "| s, all processes | 3 | 0 |",
                 "* a.two, neurosim: failed, `ValueError: no`"):  # fmt: skip
        assert line in page.splitlines()
    assert "(PyNN 0.13.0, numpy 2)" in page.replace("\n", " ")


def test_the_committed_page_is_of_the_committed_results():
    assert pynn_scenarios.PAGE.read_text(encoding="utf-8") == pynn_scenarios.render(pynn_scenarios.read())
    assert pynn_examples.PAGE.read_text(encoding="utf-8") == pynn_examples.render(pynn_examples.read())


# ------------------------------------------------------------------------------- examples


def test_every_example_of_the_distribution_is_run_or_left_out_by_name(needs, tmp_path):
    try:
        folder = pynn_source.unpack(tmp_path) / "examples"
    except FileFormatError as error:
        pytest.skip(f"needs PyNN's source distribution: {error}")
    run = {example.script for example in pynn_examples.EXAMPLES}
    assert run | set(pynn_examples.LEFT_OUT) == {path.stem for path in folder.glob("*.py")}
    assert len(run) == 28 and not run & set(pynn_examples.LEFT_OUT)
    assert len({example.name for example in pynn_examples.EXAMPLES}) == len(pynn_examples.EXAMPLES)
    for example in pynn_examples.EXAMPLES:
        text = (folder / f"{example.script}.py").read_text()
        assert ('"--plot-figure"' in text) == any("--plot-figure" in word for word in example.arguments) or (
            example.script == "VAbenchmarks")


@pytest.mark.needs("neo", "quantities")
def test_what_an_example_found_is_read_from_its_files_and_its_output(tmp_path):
    import neo
    import quantities

    segment = neo.Segment()
    for times in ([1.0, 2.0], [3.0]):
        segment.spiketrains.append(neo.SpikeTrain(times, units="ms", t_stop=9.0))
    step = 1.0 * quantities.ms
    segment.analogsignals.append(neo.AnalogSignal(np.array([[1.0], [3.0]]), "mV", sampling_period=step, name="v"))
    (tmp_path / "Results" / "20260101").mkdir(parents=True)
    for stem, segments in (("net_exc_nest_np1_20260101-000000", [segment]), ("other_np1_nest", [segment, segment])):
        block = neo.Block()
        block.segments.extend(segments)
        with (tmp_path / "Results" / "20260101" / f"{stem}.pkl").open("wb") as file:
            pickle.dump(block, file)
    output = ("Excitatory rate        : 5.5 Hz\nMean firing rate:  2.0 Hz\nE --> E\t\t 81 connections\n"
              "Actual spike counts: [np.int64(0), np.int64(4)]\nNumber of Synapses : 16 e->e  9 e->i\n")  # fmt: skip
    assert pynn_examples.quantities(tmp_path, "nest", output) == {
        "net_exc: spikes": [3, math.sqrt(3)], "net_exc: v, mean, mV": [2.0, 1.0],
        "other, segment 0: spikes": [3, math.sqrt(3)], "other, segment 0: v, mean, mV": [2.0, 1.0],
        "other, segment 1: spikes": [3, math.sqrt(3)], "other, segment 1: v, mean, mV": [2.0, 1.0],
        "printed: Excitatory rate": [5.5, math.sqrt(5.5)], "printed: Mean firing rate": [2.0, math.sqrt(2.0)],
        "printed: E --> E": [81, 9], "printed: Actual spike counts [0]": [0, 0],
        "printed: Actual spike counts [1]": [4, 2], "printed: Number of Synapses [0]": [16, 4],
        "printed: Number of Synapses [1]": [9, 3]}  # fmt: skip


@pytest.mark.parametrize(("name", "ours", "others", "said"), [
    ("x: spikes", 130, [100], "within"), ("x: spikes", 131, [100], "outside"), ("x: spikes", 69, [100], "outside"),
    ("x: spikes", 105_000, [90_000, 100_000], "within"), ("x: spikes", 105_001, [90_000, 100_000], "outside"),
    ("x: spikes", 7, [], "alone"), ("Number of Synapses", 999, [1000], "within"),
    ("Number of Synapses", 999, [1000, 1000], "outside"), ("E --> E", 1000, [1000, 1000], "within"),
    ("E --> E", 999, [1000, 1001], "within"),
    ("x: v, mean, mV", -59.0, [-60.0], "within"), ("x: v, mean, mV", -58.9, [-60.0], "outside"),
    ("x: v, mean, mV", -61.5, [-62.0, -60.0], "within"),
])  # fmt: skip
def test_the_verdict_on_a_number(name, ours, others, said):
    scales = [10.0 if "mean" in name else math.sqrt(value) for value in others]
    assert pynn_examples.verdict(name, [ours, 1.0], [list(pair) for pair in zip(others, scales)]) == said


@pytest.mark.needs("pyNN")
def test_an_example_runs_with_neurosim_as_a_simulator_of_pynn(source, tmp_path):
    (source / "examples" / "tiny.py").write_text(
        "import sys\nfrom pyNN.utility import get_simulator\n"
        "sim, options = get_simulator(('--plot-figure', 'draw', {'action': 'store_true'}))\n"
        "import pyNN.neurosim\nfrom pyNN.neurosim import setup\nassert pyNN.neurosim is sim and options.plot_figure\n"
        "open('Results/figure.png', 'w').write('drawn')\nprint('Mean firing rate: ', 3.5, 'Hz', sys.argv[0])\n")
    got = pynn_examples.run_one(source, pynn_examples.Example("tiny", ("--plot-figure",)), "neurosim", 120.0,
                                tmp_path / "figures")  # fmt: skip
    assert got["ran"], got["said"]
    assert got["found"] == {"printed: Mean firing rate": [3.5, math.sqrt(3.5)]}
    assert got["figures"] == ["tiny-neurosim.png"] and (tmp_path / "figures" / "tiny-neurosim.png").exists()
    assert got["wall_s"] > 0 and got["cpu_s"] > 0
    (source / "examples" / "tiny.py").write_text("raise SystemExit('not today')")
    got = pynn_examples.run_one(source, pynn_examples.Example("tiny"), "neurosim", 120.0, tmp_path / "figures")
    assert (got["ran"], got["said"], got["found"]) == (False, "not today", {})


def test_the_page_of_examples():
    def row(found, **changes):
        return {"ran": True, "said": "", "wall_s": 1.0, "cpu_s": 2.0, "found": found, "figures": []} | changes

    kept = {"back_ends": {
        "neurosim": {"versions": {"neurosim": "1", **VERSIONS}, "examples": {
            "brunel": row({"x: spikes": [100, 10.0], "counts [0]": [5, 2.0], "counts [1]": [1, 1.0]})}},
        "nest": {"versions": {"nest": "3", **VERSIONS}, "examples": {
            "brunel": row({"x: spikes": [200, 14.0], "counts [1]": [2, 1.0]}),
            "Izhikevich": row({}, ran=False, said="no `u`")}}}}  # fmt: skip
    lines = pynn_examples.render(kept).splitlines()
    for line in ("| example | neurosim 1 | nest 3 |", "| brunel | 1.0 / 2.0 | 1.0 / 2.0 |",
                 "| Izhikevich | not run | no |", "* Izhikevich, nest: `no 'u'`",
                 "| brunel | x: spikes | 100 | 200 | outside |",
                 "| brunel | counts | 5; 1 | –; 2 | within |",
                 f"* brunel: x: spikes: {pynn_examples.REMARKS['brunel']}"):  # fmt: skip
        assert line in lines


# ------------------------------------------------------------------------------- the runner of scripts


@pytest.mark.needs("pyNN")
def test_the_runner_says_what_it_cannot_run(tmp_path, capsys):
    from neurosim.pynn.__main__ import main

    assert main([str(tmp_path / "none.py")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "usage" in capsys.readouterr().out


def test_a_back_end_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        pynn_peers.chosen("neurosim,genesis", argparse.ArgumentParser())
    assert "no such back end: genesis; there are neurosim, nest, neuron, brian2" in capsys.readouterr().err


def test_a_program_is_run_in_its_folder(tmp_path):
    program = "import os, sys; print(open('brian_preferences').read(), os.environ['X']); sys.exit('bad luck')"
    done = pynn_peers.run(["-c", program], tmp_path, 60.0, environment={"X": "y"})
    assert (done.status, done.output) == (1, pynn_peers.PREFERENCES + " y\n")
    assert done.last_words() == "bad luck" and done.wall > 0 and done.cpu > 0
    assert sys.executable


# ------------------------------------------------------------------------------- speed


def test_the_first_round_is_cold_and_back_ends_take_turns():
    jobs = pynn_speed.plan(["neurosim", "nest", "brian2-cython"], ["CUBA", "COBA"], 3, ["scripts", "connectors"])
    scripts = [job for job in jobs if job[0] == "script"]
    assert [job[1:3] for job in scripts[:4]] == [("CUBA", "neurosim"), ("CUBA", "nest"), ("CUBA", "brian2-cython"),
                                                 ("COBA", "neurosim")]  # fmt: skip
    assert [job[3] for job in scripts if job[1:3] == ("COBA", "nest")] == [True, False, False]
    assert len([job for job in scripts if job[2] == "brian2-cython"]) == 2 * 2
    wired = {job[1:] for job in jobs if job[0] == "connector"}
    assert {label for label, peer in wired if peer == "neurosim"} == set(pynn_speed.CONNECTORS)
    assert ("FixedProbability, 16 million", "nest") not in wired and ("FromList, 1 million", "nest") in wired


def test_the_tables_of_speed():
    common = {"load": 0.1, "machine": "a machine", "versions": {"neurosim": "1"}, "cpu_s": 1.0}
    script = {"what": "script", "model": "CUBA", "build_s": 0.5, "run_s": 0.25, "write_s": 0.1, "rates_hz": [5.0, 4.0]}
    rows = [
        common | {"run": "old", "what": "import", "peer": "nest", "wall_s": 77.0, "cache": "warm"},
        common | script | {"run": "x", "peer": "neurosim", "wall_s": 9.0, "cache": "cold"},
        common | script | {"run": "x", "peer": "neurosim", "wall_s": 2.0, "cache": "warm"},
        common | script | {"run": "x", "peer": "nest", "wall_s": 24.0, "cache": "warm", "build_s": 1.35},
        common | {"run": "x", "what": "import", "peer": "nest", "wall_s": 1.5, "cache": "warm"},
        common | {"run": "x", "what": "connector", "connector": "FromList, 1 million", "peer": "neurosim",
                  "wall_s": 0.2, "first_step_s": 0.3, "synapses": 1000000, "cache": "warm"},
        common | {"run": "x", "what": "connector", "connector": "FromList, 1 million", "peer": "nest", "error": "no"},
    ]  # fmt: skip
    lines = pynn_speed.render(rows).splitlines()
    for line in ("| CUBA | neurosim | 0.85 | 1 | 2 | 1 | 1 | 9 | – | 0.5 | 0.25 | 0.1 | 5.0 / 4.0 | 1 |",
                 "| CUBA | nest | 1.7 | 2 | 24 | 12 | 1 | – | 1.5 | 1.35 | 0.25 | 0.1 | 5.0 / 4.0 | 1 |",
                 "| FromList | 1,000,000 | neurosim | 0.2 | 1 | 0.3 | 1 |", "* FromList, 1 million, nest: `no`"):
        assert line in lines


@pytest.mark.needs("pyNN", "neo")
def test_a_connector_is_timed(tmp_path, monkeypatch):
    monkeypatch.setitem(pynn_speed.CONNECTORS, "few", ("neurosim", "sim.FromListConnector(pairs(50))", 20))
    row = pynn_speed.run_connector("few", "neurosim", tmp_path, 300.0)
    assert "error" not in row, row
    assert row["synapses"] == 50 and 0 < row["wall_s"] < row["process_s"]
