import csv
import json

import numpy as np
import pytest
from PIL import Image

from doctored.core.errors import ConfigError, DataError
from doctored.data.coco_forgeries import CocoSettings, forge_coco, forgery_name
from doctored.data.hash_split import split_pictures
from doctored.synth.coco_synthetic import Paste

SETTINGS = CocoSettings(tries=40, categories=("dog", "bed"), seed=1)


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """Thirty pictures of a dog each, every third of a bed too; the dog of picture n fills 10 + n columns."""
    folder = tmp_path_factory.mktemp("coco")
    images, annotations = [], []
    for number in range(30):
        height, width = (50, 60) if number % 2 else (60, 50)
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:012d}.png")
        images.append({"id": number, "file_name": f"{number:012d}.png", "height": height, "width": width})
        right = 10 + number
        square = [[5, 8, 5 + right, 8, 5 + right, 20, 5, 20]]
        annotations.append({"image_id": number, "category_id": 18, "segmentation": square})
        if number % 3 == 0:
            code = {"counts": [30, 15, height * width - 45], "size": [height, width]}
            annotations.append({"image_id": number, "category_id": 65, "segmentation": code})
    images.append({"id": 30, "file_name": "gone.png", "height": 9, "width": 9})
    images.append({"id": 31, "file_name": f"{0:012d}.png", "height": 9, "width": 9})
    for number in (30, 31):
        annotations.append({"image_id": number, "category_id": 18, "segmentation": [[0, 0, 4, 0, 4, 4]]})
    categories = [{"id": 18, "name": "dog"}, {"id": 65, "name": "bed"}]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return folder, path


@pytest.fixture(scope="module")
def forged(coco, tmp_path_factory):
    output = tmp_path_factory.mktemp("out")
    return output, forge_coco(*coco, output, SETTINGS)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def lines_of(output, split):
    return (output / f"{split}_filter_single.txt").read_text().splitlines()


def test_lists_name_every_picture_with_its_box_counted_from_one(forged):
    output, _ = forged
    named = set()
    for split in ("train", "test"):
        lines = lines_of(output, split)
        assert lines
        for line in lines:
            name, x1, y1, x2, y2, label = line.split(" ")
            assert label == "tamper"
            assert name.split("_")[3:] == [x1, y1, x2, y2, name.split("_")[-1]]
            rows, columns = np.nonzero(np.asarray(Image.open(output / "mask" / f"{name}.png")))
            box = columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1
            assert box == (int(x1), int(y1), int(x2), int(y2))
            named.add(name)
    assert named == {path.stem for path in output.glob("*.png")} == {p.stem for p in output.glob("mask/*")}


def test_no_source_picture_is_on_both_sides(forged):
    output, _ = forged
    sources = {
        split: {part for line in lines_of(output, split) for part in line.split("_")[1:3]}
        for split in ("train", "test")
    }
    assert not sources["train"] & sources["test"]
    expected = split_pictures([str(number) for number in range(30)])
    for split, used in sources.items():
        assert used <= {number for number, side in expected.items() if side == split}


def test_the_manifest_says_what_was_pasted_where(forged, coco):
    output, _ = forged
    with (output / "manifest.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(lines_of(output, "train")) + len(lines_of(output, "test"))
    sharp = next(row for row in rows if row["blurred"] == "False")
    background = np.asarray(Image.open(coco[0] / sharp["background"]))
    image = np.asarray(Image.open(output / f"{sharp['name']}.png"))
    mask = np.asarray(Image.open(output / "mask" / f"{sharp['name']}.png")) > 0
    np.testing.assert_array_equal(image[~mask], background[~mask])
    assert np.any(image[mask] != background[mask])
    box = [int(sharp[key]) for key in ("x1", "y1", "x2", "y2")]
    assert mask[box[1] : box[3], box[0] : box[2]].any(axis=0).all()


def test_pictures_that_are_gone_or_of_another_size_are_skipped_and_named(forged):
    reasons = [skip.reason for skip in forged[1]]
    assert len(reasons) == 2
    assert "gone.png" in reasons[0]
    assert reasons[1] == "000000000000.png is 50 x 60 pixels but was annotated at 9 x 9"


def test_a_stopped_command_goes_on_and_processes_do_not_matter(forged, coco, tmp_path):
    forge_coco(*coco, tmp_path / "out", SETTINGS, workers=2)
    assert contents(tmp_path / "out") == contents(forged[0])
    for path in list((tmp_path / "out").glob("recipes/00000*.json")):
        path.unlink()
    (tmp_path / "out" / "train_filter_single.txt").unlink()
    forge_coco(*coco, tmp_path / "out", SETTINGS)
    assert contents(tmp_path / "out") == contents(forged[0])
    with pytest.raises(ConfigError, match="seed was 1, is 2"):
        forge_coco(*coco, tmp_path / "out", CocoSettings(40, ("dog", "bed"), seed=2))
    forge_coco(*coco, tmp_path / "out", CocoSettings(30, ("dog",), seed=2), force=True)
    assert all(path.name.endswith("_dog.png") for path in (tmp_path / "out").glob("*.png"))


def test_categories_that_are_not_outlined_are_refused_with_those_that_are(coco, tmp_path):
    with pytest.raises(ConfigError, match="outlines no cat; choose with --category among bed, dog"):
        forge_coco(*coco, tmp_path, CocoSettings(categories=("cat",)))


def test_identifiers_that_make_the_same_names_are_refused(tmp_path):
    images = [{"id": name, "file_name": "a.png", "height": 9, "width": 9} for name in ("a b", "a-b", "c")]
    objects = [
        {"image_id": image["id"], "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4]]} for image in images
    ]
    document = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "dog"}]}
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="make the same names: a b, a-b;"):
        forge_coco(tmp_path, path, tmp_path / "out", SETTINGS)


def test_names_of_forgeries_by_hand():
    """A box over columns 10..16 and rows 5..8, counted from 0, is 11 6 17 9 when counting from 1."""
    paste = Paste("train", "dining table", "000000000009", "sub/b 2.png", blurred=True)
    name = forgery_name(paste, (10, 5, 17, 9))
    assert name == "Tp_000000000009_sub-b-2-png_11_6_17_9_dining-table"
