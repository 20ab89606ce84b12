"""Notebooks run from top to bottom, hold no results, and can be opened where doctored is not installed."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BY_NAME = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@BY_NAME
# The client's event loop and its kernel's sockets close when they are collected, and say so.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    """The kernel is this Python, so that the install cell finds the package and does nothing."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    printed = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any(output.output_type == "display_data" for output in printed), "it shows no picture"
    complaints = [output.text for output in printed if output.get("name") == "stderr"]
    assert not [text for text in complaints if "Warning" in text or "Error" in text]


@BY_NAME
def test_a_notebook_is_kept_without_results(path):
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert path.stat().st_size < 20_000


@BY_NAME
def test_the_first_code_cell_installs_the_package(path):
    cells = [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    source = "".join(cells[0]["source"])
    assert "find_spec" in source
    assert '%pip install --quiet "doctored[' in source


def test_every_notebook_is_on_its_page():
    page = (ROOT / "docs" / "notebooks.md").read_text("utf-8")
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"](../notebooks/{path.name})" in page
