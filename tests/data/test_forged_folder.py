import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from doctored.core.errors import ConfigError, DataError
from doctored.core.forgery import TECHNIQUES
from doctored.data.forged_folder import MANIFEST_COLUMNS, ForgeSettings, forge_files, rebuild_file
from doctored.data.paired_folder import list_pairs

SETTINGS = ForgeSettings(count=12, seed=3, size_px=64)


def save_photograph(path, seed, size_hw=(120, 136)):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (size_hw[0] // 8, size_hw[1] // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    pixels = np.clip(coarse + rng.normal(0, 5, coarse.shape), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four usable photographs, a tiny one and one cut off."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, name in enumerate(["a.png", "b.png", "sub/c.jpg", "d.png"]):
        save_photograph(folder / name, seed)
    save_photograph(folder / "tiny.png", 9, (40, 200))
    (folder / "cut.jpg").write_bytes((folder / "sub/c.jpg").read_bytes()[:700])
    return folder


@pytest.fixture(scope="module")
def forged(photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("forged") / "out"
    progress = []
    skipped = forge_files(photos, output, SETTINGS, on_progress=lambda *state: progress.append(state))
    return output, skipped, progress


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def manifest(output):
    with (output / "manifest.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_manifest_names_every_file_and_tells_what_is_in_it(forged):
    output, _, _ = forged
    rows = manifest(output)
    assert tuple(rows[0]) == MANIFEST_COLUMNS
    assert [row["name"] for row in rows] == [f"{number:06d}" for number in range(12)]
    listed = {row[column] for row in rows for column in ("image", "mask", "source_mask", "recipe")} - {""}
    others = ("objects/", "command.json", "manifest.csv", "photographs.csv")
    assert listed == {name for name in contents(output) if not name.startswith(others)}
    for row in rows:
        with Image.open(output / row["image"]) as image, Image.open(output / row["mask"]) as mask:
            assert image.size == mask.size == (64, 64) == (int(row["width"]), int(row["height"]))
            values = np.asarray(mask)
        assert set(np.unique(values)) <= {0, 255}
        assert float(row["manipulated_fraction"]) == pytest.approx((values > 0).mean(), abs=1e-6)
        assert (values.max() == 0) == (row["technique"] == "authentic")
        assert bool(row["source_mask"]) == (row["technique"] == "copy_move")
        assert bool(row["donor"]) == (row["technique"] == "splicing")


def test_the_folder_can_be_evaluated_as_it_is(forged):
    pairs = list_pairs(forged[0])
    rows = manifest(forged[0])
    names = {
        authentic: [row["image"] for row in rows if (row["technique"] == "authentic") == authentic]
        for authentic in (True, False)
    }
    assert [path.relative_to(forged[0]).as_posix() for path, _ in pairs.forged] == names[False]
    assert [path.relative_to(forged[0]).as_posix() for path in pairs.authentic] == names[True]


def test_kinds_come_equally_often_in_shuffled_rounds(forged):
    rows = manifest(forged[0])
    for start in (0, 5):
        assert {row["technique"] for row in rows[start : start + 5]} == set(TECHNIQUES)
    assert [row["technique"] for row in rows[:5]] != [row["technique"] for row in rows[5:10]]


def test_recipes_make_the_same_files_again(forged, photos):
    output, _, _ = forged
    for row in manifest(output):
        made = rebuild_file(output / row["recipe"], photos)
        assert made.data == (output / row["image"]).read_bytes()
        with Image.open(output / row["mask"]) as mask:
            np.testing.assert_array_equal(made.forgery.gt_mask, np.asarray(mask) > 0)


def test_a_recipe_without_its_photographs_or_of_something_else_is_refused(forged, photos, tmp_path):
    path = forged[0] / "recipes" / "000000.json"
    for seed, name in enumerate(["a.png", "b.png", "sub/c.jpg", "d.png"], start=50):
        save_photograph(tmp_path / name, seed)
    with pytest.raises(DataError, match="give the file that the recipe was drawn from"):
        rebuild_file(path, tmp_path)
    with pytest.raises(DataError, match="is no recipe of a forged file"):
        rebuild_file(forged[0] / "command.json", photos)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("picture", "history", "host", "canvas_hw"), [10**6, 10**6], "more than the 100 megapixels"),
        (("picture", "history", "host", "start_yx"), [], "cannot be followed"),
        (("picture", "history", "after"), [{"step": "explode"}], "cannot be followed"),
        (("picture", "outline_xy"), "round", "cannot be followed"),
        (("save",), {"format": "jpeg", "quality": 0}, "cannot be followed"),
        (("picture", "size_px"), None, "this is no recipe"),
    ],
)
def test_an_edited_recipe_is_one_sentence(forged, photos, tmp_path, place, value, message):
    """Any step of a recipe could end in an error of its own, or take as much memory as there is."""
    document = json.loads((forged[0] / "recipes" / "000000.json").read_text())
    node = document["recipe"]
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    (tmp_path / "recipe.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=message):
        rebuild_file(tmp_path / "recipe.json", photos)


def test_bad_and_tiny_photographs_are_skipped_and_listed(forged):
    output, skipped, _ = forged
    reasons = {skip.file: skip.reason for skip in skipped}
    assert set(reasons) == {"cut.jpg", "tiny.png"}
    assert "is 200 x 40 pixels; both sides must be at least 80" in reasons["tiny.png"]
    with (output / "photographs.csv").open(newline="") as lines:
        listed = {row["file"]: row["problem"] for row in csv.DictReader(lines)}
    assert set(listed) == {"a.png", "b.png", "sub/c.jpg", "d.png", "cut.jpg", "tiny.png"}
    assert {file: problem for file, problem in listed.items() if problem} == reasons
    used = {row[role] for row in manifest(output) for role in ("host", "donor")} - {""}
    assert used <= {"a.png", "b.png", "sub/c.jpg", "d.png"}


def test_progress_counts_photographs_and_then_forgeries_to_the_end(forged):
    progress = forged[2]
    assert ("photographs", 6, 6) in progress
    assert progress[-1] == ("forgeries", 12, 12)


def test_two_processes_make_the_same_bytes_as_one(forged, photos, tmp_path):
    forge_files(photos, tmp_path / "out", SETTINGS, workers=2)
    assert contents(tmp_path / "out") == contents(forged[0])


def test_another_seed_makes_other_files(forged, photos, tmp_path):
    forge_files(photos, tmp_path / "out", replace(SETTINGS, seed=4, count=3))
    ours, theirs = contents(tmp_path / "out"), contents(forged[0])
    assert all(ours[name] != theirs.get(name) for name in ours if name.startswith("recipes/"))


def test_what_is_missing_is_made_and_what_is_there_is_kept(photos, tmp_path):
    forge_files(photos, tmp_path, replace(SETTINGS, count=4))
    whole = contents(tmp_path)
    rows = manifest(tmp_path)
    for lost in (rows[2]["recipe"], rows[2]["image"]):
        (tmp_path / lost).unlink()
    kept = rows[1]["mask"]
    (tmp_path / kept).write_bytes(b"not made again")
    seen = []
    forge_files(photos, tmp_path, replace(SETTINGS, count=4), on_progress=lambda *state: seen.append(state))
    assert seen == [("forgeries", 3, 4), ("forgeries", 4, 4)]
    assert contents(tmp_path) == whole | {kept: b"not made again"}


def test_another_command_or_other_photographs_are_refused(photos, tmp_path):
    folder = tmp_path / "photos"
    for seed in range(3):
        save_photograph(folder / f"{seed}.png", seed)
    settings = replace(SETTINGS, count=1)
    forge_files(folder, tmp_path / "out", settings)
    with pytest.raises(ConfigError, match="count was 1, is 2"):
        forge_files(folder, tmp_path / "out", replace(settings, count=2))
    save_photograph(folder / "3.png", 3)
    with pytest.raises(ConfigError, match="photographs was"):
        forge_files(folder, tmp_path / "out", settings)
    forge_files(folder, tmp_path / "out", replace(settings, count=2, kinds=("authentic",)), force=True)
    assert [row["technique"] for row in manifest(tmp_path / "out")] == ["authentic", "authentic"]


def test_outlined_objects_are_cut_out(tmp_path):
    photos = tmp_path / "photos"
    for seed in range(2):
        save_photograph(photos / "sub" / f"{seed}.png", seed)
    images = [{"id": seed, "file_name": f"{seed}.png", "width": 136, "height": 120} for seed in range(2)]
    sail = {"category_id": 1, "segmentation": [[30, 30, 70, 30, 50, 80]]}
    document = {
        "images": images,
        "categories": [{"id": 1, "name": "sail"}],
        "annotations": [{"image_id": seed, **sail} for seed in range(2)],
    }
    annotations = tmp_path / "instances.json"
    annotations.write_text(json.dumps(document))
    settings = replace(SETTINGS, count=8, kinds=("splicing",), domain="lossless")
    forge_files(photos, tmp_path / "out", settings, annotations=annotations)
    recipes = [json.loads(path.read_text()) for path in (tmp_path / "out" / "recipes").glob("*.json")]
    outlines = [recipe["recipe"]["picture"]["outline_xy"] for recipe in recipes]
    corners = [np.concatenate(outline) for outline in outlines if outline]
    assert any(np.ptp(points, axis=0).tolist() == [40, 50] for points in corners)
    with pytest.raises(ConfigError, match="annotations was"):
        forge_files(photos, tmp_path / "out", settings)


def test_results_within_the_folder_of_photographs_are_no_photographs(tmp_path):
    for seed in range(2):
        save_photograph(tmp_path / f"{seed}.png", seed)
    for _ in range(2):
        forge_files(tmp_path, tmp_path / "forged", replace(SETTINGS, count=2))
    with (tmp_path / "forged" / "photographs.csv").open(newline="") as lines:
        assert [row["file"] for row in csv.DictReader(lines)] == ["0.png", "1.png"]
    with pytest.raises(ConfigError, match="all photographs lie in"):
        forge_files(tmp_path, tmp_path, SETTINGS, force=True)


def test_one_usable_photograph_is_too_few(photos, tmp_path):
    folder = tmp_path / "photos"
    save_photograph(folder / "a.png", 0)
    save_photograph(folder / "tiny.png", 1, (16, 16))
    with pytest.raises(DataError, match=r"1 of 2 photographs can be used \(the first: tiny.png is 16 x 16"):
        forge_files(folder, tmp_path / "out", SETTINGS)


@pytest.mark.parametrize("kinds", [(), ("splicing", "splicing"), ("cloning",)])
def test_kinds_that_do_not_exist_or_come_twice_are_refused(kinds):
    with pytest.raises(ConfigError, match="--kind takes each of authentic, splicing"):
        ForgeSettings(1, kinds=kinds)


def test_a_domain_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="--domain is 'print'; choose one of web, lossless, chain"):
        ForgeSettings(1, domain="print")


def test_the_example_of_the_docs_rebuilds_a_file(forged, photos):
    page = (Path(__file__).parents[2] / "docs" / "forgeries.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    example = example.replace('"forged/', f'"{forged[0].as_posix()}/').replace('"photos"', repr(str(photos)))
    names = {}
    exec(example, names)
    assert names["made"].data == (forged[0] / manifest(forged[0])[0]["image"]).read_bytes()
