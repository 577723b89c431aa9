"""The command line, on a model and a simulation that cost nothing."""

import configparser
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import neurosim
from neurosim import cli
from neurosim.errors import NetworkError, SimulationError
from neurosim.network import Network
from neurosim.result import PopulationInfo, Result, Spikes

ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass
class StubModel:
    """What the command line asks of a model; keeps what it was asked."""

    summary: str = "a stub of a model"
    default_time: float = 250.0
    default_dt: float = 0.2
    asked: dict = dataclasses.field(default_factory=dict)

    def build(self, **options):
        self.asked.update(options)
        if options.get("scale", 1.0) < 0:
            raise NetworkError("model stub: scale must be > 0, got -1")
        return Network(label="stub")

    def report(self, result):
        return f"the report of {result.duration:g} ms"


class StubSimulation:
    """Every neuron of ``exc`` fires every 10 ms."""

    made = None

    def __init__(self, network, **options):
        type(self).made = self
        self.network, self.options, self.closed = network, options, False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.closed = True

    def run(self, duration, progress=False):
        self.duration, self.progress = duration, progress
        if self.network.label == "fails":
            raise SimulationError("v of 'exc' is not finite at 3 ms")
        times = np.repeat(np.arange(10.0, duration + 0.01, 10.0), 4)
        spikes = Spikes(times, np.tile(np.arange(4), times.size // 4), 4, 0.0, duration, label="exc")
        return Result(label=self.network.label, dt=self.options["dt"], t_start=0.0, t_stop=duration,
                      seed=self.options["seed"], populations={"exc": PopulationInfo(4), "inh": PopulationInfo(2, offset=4)},
                      spikes={"exc": spikes})


@pytest.fixture
def model(monkeypatch):
    import neurosim.models
    stub = StubModel()
    monkeypatch.setattr(neurosim.models, "MODELS", {"stub": stub, "another": StubModel("one more")}, raising=False)
    monkeypatch.setattr(neurosim, "Simulation", StubSimulation, raising=False)
    monkeypatch.setattr(StubSimulation, "made", None)
    monkeypatch.setattr(Network, "describe", lambda self, dt=0.1: f"description of {self.label} at {dt:g} ms")
    return stub


def script(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text("from neurosim.network import Network\n" + text)
    return str(path)


def test_run_uses_what_the_model_asks_for(model, capsys):
    assert cli.main(["run", "stub"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("the report of 250 ms\n250 ms simulated in ")
    assert out.rstrip().endswith("x real time")
    assert err == ""
    assert model.asked == {"scale": 1.0, "seed": 1}
    assert StubSimulation.made.options == {"dt": 0.2, "seed": 1, "progress": True}
    assert StubSimulation.made.progress is True


def test_run_passes_every_option_on(model, tmp_path, capsys):
    assert cli.main(["run", "stub", "--scale", "0.5", "--seed", "7", "--time", "100", "--dt", "0.1", "--threads", "2",
                     "--update", "event", "--set", "g=4.5", "--set", "state=AI", "--quiet",
                     "--stream", str(tmp_path / "s.nsim")]) == 0
    assert capsys.readouterr().out == ""
    assert model.asked == {"scale": 0.5, "seed": 7, "dt": 0.1, "g": 4.5, "state": "AI"}
    made = StubSimulation.made
    assert made.options == {"dt": 0.1, "seed": 7, "threads": 2, "update": "event", "progress": False,
                            "stream": str(tmp_path / "s.nsim")}
    assert (made.duration, made.progress, made.closed) == (100.0, False, True)


@pytest.mark.parametrize("name", ["r.npz", "r.nsim"])
def test_run_saves_and_show_shows(model, tmp_path, capsys, name):
    path = str(tmp_path / name)
    assert cli.main(["run", "stub", "--save", path, "--seed", "5"]) == 0
    capsys.readouterr()
    assert cli.main(["show", path]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "stub: 0 to 250 ms, dt 0.2 ms, seed 5"
    assert out[1].split() == ["population", "neurons", "spikes", "rate", "Hz", "CV", "of", "ISI", "synchrony"]
    assert out[3].split()[:5] == ["exc", "4", "100", "100.00", "0.000"]
    assert len(out) == 4
    assert Result.load(path).spikes("exc").count == 100


def test_pictures_are_written(model, tmp_path):
    pytest.importorskip("matplotlib")
    assert cli.main(["run", "stub", "--quiet", "--plot", str(tmp_path / "a.png"), "--save", str(tmp_path / "a.npz")]) == 0
    assert cli.main(["show", str(tmp_path / "a.npz"), "--plot", str(tmp_path / "b.pdf")]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")


def test_a_script_defines_network(model, tmp_path, capsys):
    path = script(tmp_path, "network = Network(label='mine')\nduration = 40\ndt = 0.5\n"
                            "if __name__ == '__main__':\n    raise SystemExit('not to be run')")
    assert cli.main(["run", path]) == 0
    out = capsys.readouterr().out
    assert "40 ms simulated" in out
    assert "exc" in out
    assert StubSimulation.made.network.label == "mine"
    assert StubSimulation.made.options["dt"] == 0.5
    assert cli.main(["run", path, "--time", "20", "--dt", "0.1"]) == 0
    assert (StubSimulation.made.duration, StubSimulation.made.options["dt"]) == (20.0, 0.1)


def test_a_script_defines_build_and_imports_its_neighbour(model, tmp_path, capsys):
    (tmp_path / "beside_me.py").write_text("label = 'built'")
    path = script(tmp_path, "import beside_me\ndef build(scale=1.0, seed=1, k=0):\n"
                            "    return Network(seed, f'{beside_me.label} {scale} {seed} {k}')")
    before = list(sys.path)
    assert cli.main(["describe", path, "--scale", "2", "--seed", "3", "--set", "k=9"]) == 0
    assert capsys.readouterr().out == "description of built 2.0 3 9 at 0.1 ms\n"
    assert sys.path == before


def test_describe_and_models(model, capsys):
    assert cli.main(["describe", "stub"]) == 0
    assert cli.main(["models"]) == 0
    assert capsys.readouterr().out == ("description of stub at 0.2 ms\n"
                                       "stub     a stub of a model\nanother  one more\n")


@pytest.mark.parametrize(("arguments", "message"), [
    (["run", "x"], "there is no model 'x'; there are: stub, another; a script's name ends in .py"),
    (["run", "missing.py"], "there is no script missing.py"),
    (["run", "stub", "--scale", "-1"], "model stub: scale must be > 0"),
    (["run", "stub", "--save", "a.h5"], "must end in .nsim or .npz, got 'a.h5'"),
    (["run", "stub", "--save", "/no/where/a.npz"], "cannot write /no/where/a.npz: there is no folder /no/where"),
    (["run", "stub", "--plot", "a.gif"], "must end in .png, .pdf or .svg"),
    (["run", "stub", "--set", "g"], "--set needs OPTION=VALUE, got 'g'"),
    (["show", "missing.npz"], "cannot read missing.npz"),
])
def test_errors_are_one_line_and_status_2(model, capsys, arguments, message):
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("neurosim: ")
    assert err.count("\n") == 1
    assert message in err
    assert StubSimulation.made is None  # before anything was simulated


@pytest.mark.parametrize(("text", "message"), [
    ("x = 1", "must define `network` or build(scale=1.0, seed=1)"), ("network = 3", "must give a Network, got int"),
    ("import no_such_module", "No module named 'no_such_module'"),
    ("network = Network(label='fails')", "v of 'exc' is not finite at 3 ms"),
    ("raise MemoryError('8 TB')", "not enough memory: 8 TB"),
])
def test_errors_of_scripts(model, tmp_path, capsys, text, message):
    assert cli.main(["run", script(tmp_path, text)]) == 2
    assert message in capsys.readouterr().err


def test_a_finished_network_cannot_be_scaled(model, tmp_path, capsys):
    assert cli.main(["run", script(tmp_path, "network = Network()"), "--scale", "2"]) == 2
    assert "--scale and --set need build" in capsys.readouterr().err


def test_a_bug_in_a_script_keeps_its_traceback(model, tmp_path):
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", script(tmp_path, "1 / 0")])


def test_ctrl_c_outside_a_run(model, tmp_path, capsys):
    assert cli.main(["run", script(tmp_path, "raise KeyboardInterrupt")]) == 130
    assert capsys.readouterr().err == "neurosim: interrupted\n"


def test_usage_errors_are_argparse_s(capsys):
    for arguments in ([], ["run"], ["nonsense"], ["run", "stub", "--update", "often"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 2


def test_info(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(cli.EXTRAS, "learn", ("no_such_module", "os"))
    assert cli.main(["info"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if not line.startswith("kernel"))
    assert lines["neurosim"].startswith(neurosim.__version__)
    assert f"numpy {np.__version__}" in lines["libraries"]
    assert "numba" in lines["libraries"] and "llvmlite" in lines["libraries"]
    assert f"{os.cpu_count()} cores" in lines["processor"]
    assert lines["[learn]"] == 'lacks no_such_module: pip install "neurosim-snn[learn]"'


def test_info_tells_the_size_of_the_kernel_cache(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    from neurosim.kernels import cache_directory
    assert cli.main(["info"]) == 0
    assert f"{cache_directory()}: 0 files, 0.0 MB" in capsys.readouterr().out
    cache_directory().mkdir()
    (cache_directory() / "kernel.nbc").write_bytes(bytes(1_500_000))
    assert cli.main(["info"]) == 0
    assert f"{cache_directory()}: 1 files, 1.5 MB" in capsys.readouterr().out


def test_the_extras_are_those_of_the_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    declared = set(config["options.extras_require"]) - {"test", "dev"}
    assert set(cli.EXTRAS) == declared


def test_python_m_neurosim():
    done = subprocess.run([sys.executable, "-m", "neurosim", "--version"], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0
    assert done.stdout == f"neurosim {neurosim.__version__}\n"


def test_a_script_that_imports_another_build_still_gives_its_network(tmp_path, capsys):
    (tmp_path / "other.py").write_text(
        "from neurosim import IF_curr_exp, Network\n\n"
        "def build(scale=1.0, seed=1):\n    net = Network(seed=seed)\n    net.population(int(100 * scale), IF_curr_exp(), 'p')\n"
        "    return net\n"
    )
    (tmp_path / "mine.py").write_text("from other import build\nnetwork = build(scale=3)\n")
    assert cli.main(["describe", str(tmp_path / "mine.py")]) == 0
    assert "300 cells" in capsys.readouterr().out
    assert cli.main(["describe", str(tmp_path / "other.py"), "--set", "g=5"]) == 2
    assert "cannot take these options" in capsys.readouterr().err


def test_save_and_stream_are_two_files(tmp_path, capsys):
    path = str(tmp_path / "x.nsim")
    assert cli.main(["run", "cuba", "--time", "1", "--save", path, "--stream", path]) == 2
    assert "must name two files" in capsys.readouterr().err


def test_export_writes_a_program(tmp_path, capsys):
    script, program = tmp_path / "mine.py", tmp_path / "there.py"
    script.write_text("from neurosim import IF_curr_exp, Network\nnetwork = Network(label='mine')\n"
                      "network.population(3, IF_curr_exp(tau_refrac=2.04), 'cells').record('spikes')\nduration, dt = 20.0, 0.1\n")
    assert cli.main(["export", str(script), "--to", "nest", "-o", str(program)]) == 0
    out = capsys.readouterr().out
    assert "rounded: cells: tau_refrac" in out and f"python {program} nest" in out
    assert program.is_file() and "cells: 3 IF_curr_exp" in program.read_text()
    with np.load(program.with_suffix(".npz")) as data:
        assert '"duration": 20.0' in data["network"].item()
    assert cli.main(["export", str(script), "-o", str(script)]) == 2
    assert "must not be the script" in capsys.readouterr().err
    script.write_text("from neurosim import IF_jump, Network\nnetwork = Network()\nnetwork.population(3, IF_jump(), 'own')\n")
    assert cli.main(["export", str(script), "-o", str(program)]) == 2
    assert "population own: IF_jump is not among the models" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["models"], ["check", "cuba", "--scale", "0.05"]])
def test_a_reader_who_has_enough_ends_it_quietly(command):
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-m", "neurosim", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=variables) as program:
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 141
