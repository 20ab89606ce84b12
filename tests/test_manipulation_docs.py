"""The table of the manipulations is the code's, and the tutorial that adds one works as written."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from doctored.core.imc_classes import IMC_CLASSES
from doctored.synth.imc385 import OPERATORS, Manipulation, Manipulations

ROOT = Path(__file__).parents[1]
TUTORIAL = (ROOT / "docs" / "add-a-manipulation.md").read_text("utf-8")
FUNCTION, IMPORT, ENTRY, EXPERIMENT = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)

spec = importlib.util.spec_from_file_location("page", ROOT / "docs" / "make_manipulations_page.py")
GENERATOR = importlib.util.module_from_spec(spec)
spec.loader.exec_module(GENERATOR)


def test_the_table_is_up_to_date():
    assert GENERATOR.PAGE.read_text("utf-8") == GENERATOR.page(), "run: make docs"


def test_the_table_holds_each_of_the_385_once_with_its_operator():
    page = GENERATOR.page(Manipulations())
    rows = dict(re.findall(r"^\| (\d+) \| (\S+) \| ", page, re.MULTILINE))
    assert rows == {str(c.index): c.label for c in IMC_CLASSES}
    for imc_type, operator in OPERATORS.items():
        section = page.split(f"### {imc_type}\n")[1].split("\n### ")[0]
        assert f"`{operator.__module__}.{operator.__name__}`" in section
        assert operator.__doc__.splitlines()[0].replace("``", "`") in section


def test_a_new_manipulation_and_its_family_get_a_section():
    page = GENERATOR.page(Manipulations([Manipulation("Sepia", "tone", OPERATORS["BoxBlur"], (3, 5))]))
    assert "386 classes" not in page
    assert "387 classes of 26 types in 8 families" in page
    assert "\n## tone\n\n### Sepia\n" in page
    assert "\n| 386 | Sepia-5 | Sepia-5 | Sepia-5 | Sepia-5 |\n" in page


def test_the_experiment_of_the_tutorial_runs():
    names = {"photographs": [np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)]}
    exec(FUNCTION, names)
    exec(EXPERIMENT, names)
    assert names["image"].shape == (64, 64, 3)
    assert names["regions"].shape == (64, 64)
    assert len(names["tried"].classes) == 388


@pytest.fixture(scope="module")
def extended_package(tmp_path_factory):
    """A copy of the package to which the tutorial's manipulation was added as it says."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "src/doctored/synth/operators/mosaic.py").write_text(FUNCTION, "utf-8")
    path = folder / "src/doctored/synth/imc385.py"
    text = path.read_text("utf-8")
    text = text.replace(
        "from doctored.synth.operators import", IMPORT + "from doctored.synth.operators import", 1
    )
    text, lists = re.subn(r"^MANIPULATIONS = .*?^\)\n", ENTRY, text, flags=re.DOTALL | re.MULTILINE)
    assert lists == 1
    path.write_text(text, "utf-8")
    return folder / "src"


def run(source, *command):
    paths = os.pathsep.join((str(source), str(ROOT / "tests")))
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_entry_is_enough_for_training_and_for_enhancement(extended_package):
    script = """
import numpy as np
from doctored.core.forgery import Source
from doctored.data.imc_patches import ImcPatches
from doctored.synth.forge import draw_recipe, make_forgery
from doctored.synth.imc385 import MANIPULATIONS, apply_manipulation
photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
patches = ImcPatches([photo], crop_px=32, work_px=48, regions=4, seed=0)
drawn = {int(index) for number in range(200) for index in patches[number][2]}
print(max(drawn), MANIPULATIONS.classes[385].label)
rng = np.random.default_rng(1)
print("Pixelate" in {MANIPULATIONS.draw(rng).type for _ in range(300)})
done = apply_manipulation(photo, 386, rng)
host, donor = Source("a", "0", photo), Source("b", "1", photo)
recipes = [draw_recipe(host, donor, "enhancement", 64, seed, "lossless") for seed in range(80)]
print(any("Pixelate" in make_forgery(r, host, donor).recipe.choices["manipulation"] for r in recipes))
print(len(np.unique(done[:8, :8].reshape(-1, 3), axis=0)), done.dtype)
"""
    assert run(extended_package, "-c", script).split() == ["387", "Pixelate-4", "True", "True", "1", "uint8"]


def test_the_entry_is_enough_for_the_table_and_the_tests(extended_package):
    outdated = subprocess.run(
        [sys.executable, "docs/make_manipulations_page.py", "--check"],
        env=os.environ | {"PYTHONPATH": str(extended_package)}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert outdated.returncode == 1
    assert "manipulations.md is out of date; run: make docs" in outdated.stderr
    chosen = "every_class_changes or no_two or gives_the_same"
    printed = run(
        extended_package,
        "-m",
        "pytest",
        "-q",
        "tests/synth/test_imc385.py",
        "-k",
        chosen,
        "-p",
        "no:cacheprovider",
    )
    assert "78 passed" in printed  # three tests of each of 26 types
