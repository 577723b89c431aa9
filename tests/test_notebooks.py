"""Every notebook runs from its first cell to its last, and lies in the repository as it ran."""

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def printed(cells):
    """What each cell of code printed, and the kinds of its other outputs; long reports, tagged so, may come to be worded otherwise."""
    return [("".join("".join(one["text"]) for one in cell["outputs"] if one.get("name") == "stdout"),
             [sorted(one["data"]) for one in cell["outputs"] if "data" in one])
            for cell in cells if cell["cell_type"] == "code" and "report" not in cell["metadata"].get("tags", ())]


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS] == ["ca3_memory.ipynb", "trained_delays.ipynb"]


@pytest.mark.needs("nbclient", "nbformat", "ipykernel", "matplotlib")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_says_what_it_said(path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    notebook = nbformat.read(path, as_version=4)
    before = printed(notebook.cells)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    assert len(before) > 5 and printed(notebook.cells) == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_ran_without_error(path):
    assert path.stat().st_size < 200_000
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    ran = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert ran == list(range(1, len(ran) + 1)) and len(ran) > 5
    assert not any(one["output_type"] == "error" for cell in cells for one in cell.get("outputs", ()))
