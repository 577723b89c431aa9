"""The pages say what is so: examples run, links lead somewhere, commands exist, public names are explained."""

import importlib.util
import inspect
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import neurosim
from neurosim import cli

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/*.md")) + [
    ROOT / "benchmarks" / "README.md"
]
MARK = "<!-- test-command -->\n"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What a link into a page may name after the #: its headings, as GitHub spells them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links() -> list[tuple[Path, str]]:
    """Every relative link of the pages, pictures too."""
    found = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("mailto:"):
                found.append((page, target))
    return found


EXAMPLES = [(page, k, code) for page in PAGES for k, code in enumerate(blocks(page, "python"))]


def test_there_are_examples_and_links():
    pages = {"README.md", "astrocytes.md", "ca3.md", "engine-step.md", "models.md", "neurons.md", "nir.md", "plasticity.md", "pynn.md",
             "pynn_export.md", "spinnaker.md", "spinnaker_pynn.md", "learn.md", "learn_astrocytes.md", "learn_conversion.md",
             "learn_cost.md",
             "learn_data.md", "learn_delays.md", "learn_deployment.md", "learn_eventprop.md", "learn_neurons.md", "learn_online.md",
             "learn_projection.md"}
    assert {page.name for page, _, _ in EXAMPLES} == pages
    assert len(links()) > 10


@pytest.mark.parametrize(("page", "number", "code"), EXAMPLES, ids=[f"{p.name}-{k}" for p, k, _ in EXAMPLES])
def test_examples_run(page, number, code, tmp_path, monkeypatch, capsys, needs):
    if "plot" in code:
        needs("matplotlib")
    for module in {"nir.md": ["nir"], "pynn.md": ["pyNN", "neo"], "pynn_export.md": ["pyNN", "nest"],
                   "spinnaker_pynn.md": ["pyNN", "neo"]}.get(page.name, []):
        needs(module)
    if page.name.startswith("learn") or "neurosim import learn" in code:
        needs("torch")
    script = tmp_path / "example.py"
    script.write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script))
    assert capsys.readouterr().out.strip(), "an example shows something"
    for picture in re.findall(r'savefig\("(.*?)"\)', code):
        assert (tmp_path / picture).stat().st_size > 10_000


def test_the_readme_example_is_short_and_alive(tmp_path, monkeypatch, needs):
    needs("matplotlib")
    code = blocks(ROOT / "README.md", "python")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 16
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    result = runpy.run_path("example.py")["result"]
    assert 2.0 < result.spikes("exc").rate() < 20.0


def test_the_reward_example_learns(tmp_path):
    (code,) = [code for code in blocks(ROOT / "docs" / "plasticity.md", "python") if "reinforce" in code]
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    right = runpy.run_path(str(tmp_path / "example.py"))["right"]
    assert sum(right[:20]) < 18 and sum(right[-50:]) > 45


@pytest.mark.parametrize(("page", "target"), links(), ids=lambda value: getattr(value, "name", value))
def test_links_lead_somewhere(page, target):
    path, _, anchor = target.partition("#")
    goal = (page.parent / path).resolve() if path else page
    assert goal.is_relative_to(ROOT)
    assert goal.exists()
    if anchor:
        assert anchor in anchors(goal)


def test_the_readme_states_its_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first, second = blocks(ROOT / "README.md", "sh")
    for command in (first, second):
        assert command.count("\n") == 1, "one line, to be pasted"
        assert command.startswith('python3.11 -m venv .venv && .venv/bin/pip install -q -e ".[')
    assert text.count(MARK) == 1
    assert text[text.index(MARK) + len(MARK):].startswith("```sh\n" + second)
    assert second.rstrip().endswith("&& .venv/bin/python -m pytest")


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_the_ci_script_finds_the_test_command():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    program = re.search(r"awk '(.*?)' README.md", script, flags=re.DOTALL)
    assert program
    done = subprocess.run(["awk", program[1], "README.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == blocks(ROOT / "README.md", "sh")[1]


def test_commands_of_neurosim_are_understood():
    (command,) = [line for line in blocks(ROOT / "README.md", "sh") if "bin/neurosim" in line]
    words = shlex.split(command.rpartition("&&")[2])
    arguments = cli._parser().parse_args(words[1:])
    assert (arguments.target, arguments.scale, arguments.time) == ("microcircuit", 0.1, 1000.0)


def test_modules_that_the_pages_run_exist():
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    modules = {name for text in texts.values() for name in re.findall(r"python -m (neurosim[\w.]*\w)", text)}
    assert modules
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []


def test_every_module_is_on_the_map():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    named = {name.strip("/") for name in re.findall(r"`([\w./]+)`", text)}
    here = [p for folder in ("neurosim", "neurosim/cells", "neurosim/learn", "kernels") for p in (ROOT / folder).glob("*.py")]
    assert here
    hidden = {"__init__", "__main__", "base"}
    missing = [str(p.relative_to(ROOT)) for p in here if p.stem not in named and p.stem not in hidden]
    assert missing == []


@pytest.mark.parametrize("name", neurosim.__all__)
def test_public_names_have_docstrings(name):
    thing = getattr(neurosim, name)
    text = thing.__dict__.get("__doc__") if inspect.isclass(thing) else thing.__doc__
    assert text, f"{name} has no docstring"
    assert not text.startswith(f"{name}("), f"{name} has only the docstring that dataclass makes"
    if not inspect.isclass(thing):
        return
    bare = [
        member for member, value in inspect.getmembers(thing)
        if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, property))
        and getattr(value, "__module__", "").startswith("neurosim") and not inspect.getdoc(value)
        and not inspect.getdoc(getattr(inspect.getmro(thing)[1], member, None))
    ]
    assert bare == []


def test_all_is_sorted_and_complete():
    assert sorted(neurosim.__all__) == neurosim.__all__
    public = {name for name, value in vars(neurosim).items()
              if not name.startswith("_") and not inspect.ismodule(value) and name != "Path"}
    assert public == set(neurosim.__all__)


def test_the_speed_table_is_filled_from_rows():
    from neurosim.benchmarks.speed import readme

    def row(peer, cpu):
        return {"machine": "a machine, 2 cores", "run": "1", "started": "2026-01-01T00:00:00", "model": "M1",
                "size": 4000, "threads": 1, "peer": peer, "duration_ms": 500.0, "seed": 1, "repeat": 0,
                "version": "1.0", "note": "", "cache": "warm", "import_s": 0.5, "compile_s": 0.0, "build_s": 0.1,
                "sim_cpu_s": cpu, "sim_wall_s": cpu, "peak_mb": 100.0, "rate_hz": 5.0, "syn_events": 1e6,
                "load": 0.1, "spikes": 1000}

    table = readme.render([row("neurosim", 0.02), row("nest", 0.3)])
    assert "| CUBA | 4,000 | 0.04 | 0.6 (15) |" in table.splitlines()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    once = readme.fill(text, table)
    assert table in once
    assert readme.fill(once, table) == once
