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
    "numba": ("neurosim.kernels", "neurosim.cells.custom", "neurosim.engine"),
    "llvmlite": ("neurosim.kernels",),
    "tqdm": ("neurosim.console",),
    "matplotlib": ("neurosim.plot",),
    "neo": ("neurosim.neo_export", "neurosim.hardware.spinnaker.pynn.recording"),
    "nir": ("neurosim.hardware.nir",),
    "sklearn": ("neurosim.models.digits_data",),
    "h5py": ("neurosim.data.events",),
    "quantities": ("neurosim.neo_export", "neurosim.hardware.spinnaker.pynn.recording"),
    "pyNN": ("neurosim.pynn", "neurosim.hardware.pynn_export", "neurosim.hardware.spinnaker.pynn", "neurosim.hardware.spinnaker.export",
             "neurosim.hardware.spinnaker.script"),
    "spynnaker": ("neurosim.hardware.spinnaker.export",),
    "spinn_utilities": ("neurosim.hardware.spinnaker.export",),
    "brian2": ("neurosim.hardware.pynn_export.script",),
    "torch": ("neurosim.learn",),
    "norse": ("neurosim.learn",),
    "snntorch": ("neurosim.learn",),
    "mpi4py": ("neurosim.hardware.pynn_export.script",),
}
# Of these, the ones that an installation may lack: inside a function, through `need`, which names the extra.
OPTIONAL = ("h5py", "matplotlib", "neo", "nir", "pyNN", "quantities", "sklearn", "spinn_utilities", "spynnaker",
            "torch")
# Front doors: who imports them asks for their library, and it is needed at once.
FRONT_DOORS = ("neurosim.learn", "neurosim.pynn", "neurosim.hardware.spinnaker.pynn")

# Our own modules that only these may import, besides the module itself and what lies below it.
RESERVED = {
    "neurosim.hardware": ("neurosim.cli", "neurosim.models.ca3", *IMPORT_EVERYTHING),
    "neurosim.benchmarks": ("neurosim.cli", *IMPORT_EVERYTHING),
    "neurosim.cli": ("neurosim.__main__", *IMPORT_EVERYTHING),
    "neurosim.learn": ("neurosim.cli", *IMPORT_EVERYTHING),
    "neurosim.pynn": ("neurosim.hardware.spinnaker.pynn", *IMPORT_EVERYTHING),
}

# Kernels hold arithmetic; the package itself also places the cache, and where threads meet depends on the system.
KERNEL_STDLIB = {"__future__", "math", "typing"}
KERNEL_EXCEPTIONS = {("neurosim.kernels.sync", "os")}
# The hardware folder starts from a description, not from a front door or another back door.
NOT_FOR_HARDWARE = ("neurosim.engine", "neurosim.plot")
BESIDE_THE_ENGINE = ("neurosim.hardware.spinnaker.compare",)  # runs both, and draws them

# What an `import neurosim` must not load, unless `import numba` alone already does.
HEAVY = ("torch", "pyNN", "neo", "nir", "matplotlib", "brian2", "nest", "scipy", "sklearn")


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


def imported_by(node: ast.AST) -> list[str]:
    """The absolute names that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    return []


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
        if within(imported, ("numpy", "numba", "llvmlite", "neurosim.kernels")) or top in KERNEL_STDLIB:
            return None
        if (module, imported) in KERNEL_EXCEPTIONS:
            return None
        if module == "neurosim.kernels" and top in sys.stdlib_module_names:
            return None
        return "kernels import numpy, numba, llvmlite, math, typing and each other"
    if within(module, "neurosim.hardware") and within(imported, NOT_FOR_HARDWARE) and module not in BESIDE_THE_ENGINE:
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
        ("neurosim.kernels.lif", "from llvmlite import ir", False),
        ("neurosim.kernels.lif", "from .random import uniform", False),
        ("neurosim.kernels.lif", "from ..network import Network", True),
        ("neurosim.kernels.lif", "import os", True),
        ("neurosim.kernels.lif", "from scipy.linalg import expm", True),
        ("neurosim.network", "from .kernels import random", False),
        ("neurosim.network", "import numba", True),
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
        ("neurosim.hardware.spinnaker.compare", "from neurosim.engine import Simulation", False),
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


def test_the_table_names_modules_that_exist():
    existing = {module for folder in FOLDERS for module, _, _ in modules(folder)} | {"tests"}
    named = {name for names in (*THIRD_PARTY.values(), *RESERVED.values(), NOT_FOR_HARDWARE, BESIDE_THE_ENGINE) for name in names}
    named |= {module for module, _ in KERNEL_EXCEPTIONS}
    assert sorted(named - existing) == []


def statements_run_on_import(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes outside functions and outside ``if TYPE_CHECKING:``."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def test_optional_libraries_are_imported_by_need():
    needed, wrong = set(), []
    for folder in ("neurosim", "hardware"):
        for name, _, path in modules(folder):
            front = within(name, FRONT_DOORS)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            on_import = set(map(id, statements_run_on_import(tree)))
            typing_only = {id(child) for node in ast.walk(tree)
                           if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
                           for child in ast.walk(node)}
            for node in ast.walk(tree):
                tops = {name.partition(".")[0] for name in imported_by(node)}
                if tops & set(OPTIONAL) and id(node) not in typing_only and not front:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {sorted(tops)}: use need()")
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "need" and node.args:
                    module = getattr(node.args[0], "value", "")
                    needed.add(str(module).partition(".")[0])
                    if id(node) in on_import and not front:
                        wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} needs {module} on import")
    assert wrong == []
    assert needed - {"neurosim"} == set(OPTIONAL)


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
