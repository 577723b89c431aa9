"""setup.cfg against the folders; the version, in all the places that state it; extras and their messages."""

import ast
import configparser
import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import neurosim
from neurosim.extras import need

ROOT = Path(__file__).resolve().parent.parent
TOP_FOLDERS = ("neurosim", "kernels", "hardware", "benchmarks")
NOT_SHIPPED = {".py", ".md", ".pyc", ".nbi", ".nbc"}


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    assert parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def package_folders(config) -> dict[str, Path]:
    """The folder of each package listed in setup.cfg."""
    moved = dict(re.split(r"\s*=\s*", line) for line in lines(config["options"]["package_dir"]))
    folders = {}
    for package in lines(config["options"]["packages"]):
        for name, folder in moved.items():
            if package == name or package.startswith(name + "."):
                folders[package] = ROOT / folder / package[len(name) + 1:].replace(".", "/")
                break
        else:
            folders[package] = ROOT / package.replace(".", "/")
    return folders


def sources() -> list[Path]:
    found = [path for folder in TOP_FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert found
    return found


def data_files() -> list[Path]:
    return [
        path
        for folder in TOP_FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in NOT_SHIPPED and not path.name.startswith(".")
        and path.parent.name != "results"  # measurements belong to the repository, not to the package
    ]


def test_packages_listed_are_the_folders_with_an_init(config):
    listed = set(package_folders(config).values())
    assert listed == {path.parent for path in sources() if path.name == "__init__.py"}


def test_every_source_lies_in_a_package(config):
    listed = set(package_folders(config).values())
    assert [str(path.relative_to(ROOT)) for path in sources() if path.parent not in listed] == []


def test_data_files_are_shipped(config):
    shipped = set()
    for package, folder in package_folders(config).items():
        for pattern in lines(config["options.package_data"]["*"]) + lines(
            config["options.package_data"].get(package, "")
        ):
            shipped.update(folder.glob(pattern))
    assert [str(path.relative_to(ROOT)) for path in data_files() if path not in shipped] == []


def test_pyproject_holds_only_the_build_system():
    headings = re.findall(r"^\[.*\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings == ["[build-system]"]


def test_version_is_the_same_everywhere():
    version = neurosim.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, flags=re.MULTILINE) == [version]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d.*?)\]", changelog, flags=re.MULTILINE)[0] == version
    try:
        installed = importlib.metadata.version("neurosim-snn")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("neurosim-snn is not installed; the checkout agrees with itself")
    assert installed == version


def test_subpackages_come_from_the_checkout():
    import neurosim.hardware
    import neurosim.kernels

    assert Path(neurosim.kernels.__file__).parent == ROOT / "kernels"
    assert Path(neurosim.hardware.__file__).parent == ROOT / "hardware"


def test_need_returns_the_module():
    assert need("json.decoder", "plot") is sys.modules["json.decoder"]


def test_need_names_the_extra():
    with pytest.raises(ImportError, match="^no_such_module is not installed") as caught:
        need("no_such_module.below", "plot")
    assert 'pip install "neurosim-snn[plot]"' in str(caught.value)


def test_need_names_what_a_module_lacks(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"half_there \(which imports no_such_module\) is not installed"):
        need("half_there", "learn")


def test_need_lets_a_broken_module_speak(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("raise ImportError('libfoo.so: cannot open')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="^libfoo"):
        need("broken_module", "learn")


def test_extras_that_the_sources_name_exist(config):
    named = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "need":
                named.update(argument.value for argument in node.args[1:] if isinstance(argument, ast.Constant))
    assert named, "no source calls need(module, extra)"
    assert named <= set(config["options.extras_require"])


@pytest.mark.slow
@pytest.mark.needs("pip")
def test_wheel_holds_every_source_and_data_file(config, tmp_path):
    checkout = tmp_path / "checkout"
    for folder in TOP_FOLDERS:
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(checkout)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("neurosim_snn-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = set()
    for path in sources() + data_files():
        parts = path.relative_to(ROOT).parts
        expected.add("/".join(parts if parts[0] == "neurosim" else ("neurosim", *parts)))
    assert held == expected
