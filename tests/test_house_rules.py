"""Rules about the source itself: which room may import which, what loads when, and what is public."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import doctored

SOURCE = Path(doctored.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

EVERYTHING = frozenset(
    {"core", "layers", "models", "synth", "data", "metrics", "predict", "train", "evaluate", "apps"}
)
MAY_IMPORT = {
    "core": frozenset(),
    "layers": frozenset({"core"}),
    "synth": frozenset({"core"}),
    "metrics": frozenset({"core"}),
    "models": frozenset({"core", "layers"}),
    "data": frozenset({"core", "synth"}),
    "predict": frozenset({"core", "models"}),
    "train": frozenset({"core", "models", "data", "metrics", "synth"}),
    "evaluate": frozenset({"core", "predict", "data", "metrics"}),
    "apps": EVERYTHING - {"apps"},
}
# Robustness re-attacks pictures with the generator's operators; cost counts the operations of the networks; boxes are
# scored for those that tell techniques apart, as the catalogue says.
MAY_ALSO_IMPORT = {
    "evaluate/robustness.py": {"synth"},
    "evaluate/cost.py": {"models"},
    "evaluate/box_protocol.py": {"models"},
}
# The first rewrites a PyTorch network for export; nothing that detects imports it. Only `serve` imports the others,
# which describe routes by types of FastAPI.
NEEDS_EXTRA = {
    "predict/export.py",
    *("apps/web/answers.py", "apps/web/guard.py", "apps/web/scan_page.py", "apps/web/server.py"),
}
HEAVY = (
    "c2pa",
    "cv2",
    "fastapi",
    "fsspec",
    "h5py",
    "jinja2",
    "lightning_fabric",
    "matplotlib",
    "nncf",
    "openvino",
    "pyarrow",
    "pydantic",
    "python_multipart",
    "pywt",
    "ray",
    "reportlab",
    "rich",
    "safetensors",
    "skimage",
    "sklearn",
    "starlette",
    "tensorboard",
    "torch",
    "torchvision",
    "uvicorn",
)


def parse(path):
    return ast.parse(path.read_text("utf-8"), str(path))


def name_of(path):
    return path.relative_to(SOURCE).as_posix()


def room_of(path):
    """The room of a file; None for the two files of the package itself."""
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else None


def imported_modules(tree):
    """Full names of all modules that a file imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room they enter"
            yield node.module
            # `from doctored import predict` enters the room as well.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_rooms(tree):
    for module in imported_modules(tree):
        parts = module.split(".")
        if parts[0] == "doctored" and len(parts) > 1 and parts[1] in EVERYTHING:
            yield parts[1]


def test_every_folder_is_a_room_of_the_table():
    rooms = {room_of(path) for path in FILES} - {None}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_follow_the_table_of_rooms(path):
    room = room_of(path)
    if room is None:
        return
    allowed = MAY_IMPORT[room] | {room} | MAY_ALSO_IMPORT.get(name_of(path), set())
    wrong = set(imported_rooms(parse(path))) - allowed
    assert not wrong, f"{name_of(path)} imports {', '.join(sorted(wrong))}"


def test_the_check_of_imports_sees_every_way_to_import():
    tree = ast.parse(
        "import doctored.train.loop\n"
        "from doctored import evaluate\n"
        "def f():\n    from doctored.apps.cli import main\n"
        "from doctored.core import errors\nimport torch\n"
    )
    assert set(imported_rooms(tree)) == {"train", "evaluate", "apps", "core"}


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in ("layers", "metrics")], ids=name_of)
def test_layers_and_metrics_never_see_a_path(path):
    assert not {"os", "pathlib", "io", "PIL"} & {name.split(".")[0] for name in imported_modules(parse(path))}


def test_no_room_for_odds_and_ends():
    names = {part for path in FILES for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not names & {"utils", "util", "common", "helpers", "misc"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_importing_a_module_does_nothing(path):
    """Only definitions at the top of a file; the commands of `apps` may be put together there."""
    allowed = (
        ast.Import
        | ast.ImportFrom
        | ast.FunctionDef
        | ast.AsyncFunctionDef
        | ast.ClassDef
        | ast.Assign
        | ast.AnnAssign
    )
    for node in parse(path).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
            continue
        if isinstance(node, ast.Expr) and room_of(path) == "apps" and ".add_typer(" in ast.unparse(node):
            continue
        assert isinstance(node, allowed), f"{name_of(path)}:{node.lineno} runs when imported"


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py" and room_of(p)], ids=name_of)
def test_packages_list_public_names_and_nothing_else(path):
    for node in parse(path).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        assert is_docstring or is_all or isinstance(node, ast.ImportFrom), ast.unparse(node)


FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
}


def _executes(tree):
    """What of a file could run, or load by running, what comes from outside; line number and code of each."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            if {name.split(".")[0] for name in imported_modules(ast.Module([node], []))} & FORBIDDEN_MODULES:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if (
                called in ("eval", "exec", "compile", "__import__", "os.system", "os.popen")
                or called.endswith((".read_pickle", ".to_pickle", "torch.save"))
                or (called == "torch.load" and options.get("weights_only") != "True")
                or options.get("allow_pickle", "False") != "False"
                or options.get("shell", "False") != "False"
            ):
                yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_from_outside_is_executed_or_unpickled(path):
    found = list(_executes(parse(path)))
    assert not found, f"{name_of(path)}: {found}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_durations_are_measured_by_a_clock_that_nobody_sets(path):
    calls = {ast.unparse(node.func) for node in ast.walk(parse(path)) if isinstance(node, ast.Call)}
    assert not calls & {"time.time", "time.time_ns"}, "use time.monotonic or time.perf_counter"


def test_the_check_of_execution_sees_every_way():
    ways = (
        "import pickle",
        "from joblib import load",
        "def f():\n    import yaml",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "eval(text)",
    )
    for way in ways:
        assert list(_executes(ast.parse(way))), way
    harmless = "torch.load(path, weights_only=True)\nnp.load(path)\nre.compile(text)\nnp.load(path, allow_pickle=False)"
    assert not list(_executes(ast.parse(harmless)))


def run_python(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=SOURCE.parent
    )


def test_import_doctored_loads_no_engine_and_no_command_line():
    program = (
        f"import sys, doctored; print(*sorted({{*{HEAVY!r}, 'typer', 'numpy', 'PIL'}} & set(sys.modules)))"
    )
    result = run_python(program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_the_light_rooms_import_without_the_training_libraries():
    """The base install has none of them; a single import at the top of a file would break every command."""
    modules = [
        ".".join(("doctored", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for path in FILES
        if name_of(path) not in NEEDS_EXTRA
        and (room_of(path) in ("core", "metrics", "predict", "apps") or name_of(path) == "models/catalog.py")
    ]
    program = f"""
import importlib, importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError("not in the base install, or loaded too early: " + name)

sys.meta_path.insert(0, Missing())
for module in {modules!r}:
    importlib.import_module(module)
"""
    result = run_python(program)
    assert result.returncode == 0, result.stderr


def test_public_names():
    """Removing one of these breaks somebody's program."""
    assert doctored.__all__ == ["__version__", "inspect", "trace_features"]
    assert isinstance(doctored.__version__, str)
    assert callable(doctored.inspect)
    assert callable(doctored.trace_features)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = doctored.no_such_name
