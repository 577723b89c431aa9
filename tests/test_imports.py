"""Who may import whom (the table of the design), read from the sources; and what `import neurosim` loads."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each folder, and the name under which its modules are imported.
FOLDERS = {
    "kernels": "neurosim.kernels",
    "neurosim": "neurosim",
    "hardware": "neurosim.hardware",
    "benchmarks": "neurosim.benchmarks",
    "tests": "tests",
}
IMPORT_EVERYTHING = ("neurosim.benchmarks", "tests")

# Third-party modules, and those of ours (with all that lies below them) that may import them.
THIRD_PARTY = {
    "numpy": ("neurosim",),
    "numba": ("neurosim.kernels", "neurosim.engine"),
    "tqdm": ("neurosim.engine", "neurosim.progress"),
    "matplotlib": ("neurosim.plot",),
    "neo": ("neurosim.recording", "neurosim.pynn"),
    "quantities": ("neurosim.recording", "neurosim.pynn"),
    "pyNN": ("neurosim.pynn", "neurosim.hardware.pynn_export"),
    "torch": ("neurosim.learn",),
    "norse": ("neurosim.learn",),
    "snntorch": ("neurosim.learn",),
    "torchvision": ("neurosim.learn",),
    "nir": ("neurosim.hardware.nir",),
    "nirtorch": ("neurosim.hardware.nir",),
}

# Our own modules that only these may import, besides the module itself and what lies below it.
RESERVED = {
    "neurosim.hardware": ("neurosim.cli", *IMPORT_EVERYTHING),
    "neurosim.benchmarks": ("neurosim.cli", *IMPORT_EVERYTHING),
    "neurosim.cli": ("neurosim.__main__", *IMPORT_EVERYTHING),
}

# Kernels hold arithmetic; the package itself also places the cache.
KERNEL_STDLIB = {"__future__", "math", "typing"}
# The hardware folder starts from a description, not from a front door or another back door.
NOT_FOR_HARDWARE = ("neurosim.engine", "neurosim.learn", "neurosim.pynn", "neurosim.plot")

# What an `import neurosim` must not load, unless `import numba` alone already does.
HEAVY = ("torch", "pyNN", "neo", "nir", "matplotlib", "brian2", "nest", "scipy")


def within(module: str, parents: tuple[str, ...] | str) -> bool:
    """Whether a dotted name is one of these or lies below one."""
    parents = (parents,) if isinstance(parents, str) else parents
    return any(module == parent or module.startswith(parent + ".") for parent in parents)


def imports(source: str, package: str) -> Iterator[str]:
    """Dotted names that a module of ``package`` imports; `from a import b` gives a.b, which may be a name in a."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) + 1 - node.level] if node.level else []
            stem = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in ("need", "import_module", "__import__"):
                yield str(node.args[0].value)


def objection(module: str, imported: str) -> str | None:
    """Why ``module`` may not import ``imported``, or None where it may."""
    top = imported.partition(".")[0]
    if top in ("kernels", "hardware", "benchmarks"):
        return f"say neurosim.{top}"
    for reserved, importers in RESERVED.items():
        if within(imported, reserved) and not within(module, (reserved, *importers)):
            return f"only {', '.join(importers)} may"
    if within(module, IMPORT_EVERYTHING):
        return None
    if within(module, "neurosim.kernels"):
        if within(imported, ("numpy", "numba", "neurosim.kernels")) or top in KERNEL_STDLIB:
            return None
        if module == "neurosim.kernels" and top in sys.stdlib_module_names:
            return None
        return "kernels import numpy, numba, math, typing and each other"
    if within(module, "neurosim.hardware") and within(imported, NOT_FOR_HARDWARE):
        return "hardware starts from the description"
    if top == "neurosim" or top in sys.stdlib_module_names:
        return None
    if not within(module, THIRD_PARTY.get(top, ())):
        return f"only {', '.join(THIRD_PARTY.get(top, ('no module',)))} may"
    return None


def modules(folder: str) -> Iterator[tuple[str, str, Path]]:
    """(dotted name, its package, file) of each source of a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        package = ".".join([FOLDERS[folder], *path.parent.relative_to(ROOT / folder).parts])
        yield (package if path.stem == "__init__" else f"{package}.{path.stem}"), package, path


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_follow_the_table(folder):
    looked_at, wrong = 0, []
    for module, package, path in modules(folder):
        looked_at += 1
        for imported in imports(path.read_text(encoding="utf-8"), package):
            reason = objection(module, imported)
            if reason:
                wrong.append(f"{path.relative_to(ROOT)} imports {imported}: {reason}")
    assert looked_at > 0, f"{folder}/ holds no Python source"
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source", "refused"),
    [
        ("neurosim.kernels.lif", "import numba.core.extending, math", False),
        ("neurosim.kernels.lif", "from .random import uniform", False),
        ("neurosim.kernels.lif", "from ..network import Network", True),
        ("neurosim.kernels.lif", "import os", True),
        ("neurosim.kernels.lif", "from scipy.linalg import expm", True),
        ("neurosim.network", "from .kernels import random", False),
        ("neurosim.network", "from . import hardware", True),
        ("neurosim.network", "import neurosim.hardware.nir", True),
        ("neurosim.network", "def f():\n    import matplotlib.pyplot", True),
        ("neurosim.network", "need('torch', 'learn')", True),
        ("neurosim.network", "import importlib\nimportlib.import_module('neurosim.cli')", True),
        ("neurosim.network", "import kernels.random", True),
        ("neurosim.plot", "plt = need('matplotlib.pyplot', 'plot')", False),
        ("neurosim.cli", "from neurosim import hardware", False),
        ("neurosim.hardware.check", "from neurosim.network import Network", False),
        ("neurosim.hardware.check", "from ..engine import Simulation", True),
        ("neurosim.hardware.check", "import torch", True),
        ("neurosim.benchmarks.brunel", "import nest, neurosim.hardware", False),
        ("neurosim.benchmarks.brunel", "import hardware", True),
        ("tests.test_lif", "from kernels import random", True),
    ],
)
def test_the_table_refuses_what_it_should(module, source, refused):
    reasons = [objection(module, imported) for imported in imports(source, module.rpartition(".")[0])]
    assert reasons
    assert any(reasons) == refused


def fresh_interpreter(statement: str) -> tuple[set[str], float]:
    """(modules loaded, seconds) after a statement in a new interpreter."""
    code = (
        "import json, sys, time\n"
        "start = time.perf_counter()\n"
        f"{statement}\n"
        "print(json.dumps([sorted(sys.modules), time.perf_counter() - start]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, seconds = json.loads(done.stdout.splitlines()[-1])
    return set(names), seconds


def test_import_neurosim_stays_light():
    with_numba, numba_seconds = fresh_interpreter("import numba")
    loaded, seconds = fresh_interpreter("import neurosim")
    print(f"import neurosim: {seconds:.2f} s, import numba: {numba_seconds:.2f} s")
    assert "neurosim" in loaded
    assert sorted(name for name in loaded - with_numba if within(name, HEAVY)) == []
