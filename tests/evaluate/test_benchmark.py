import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from doctored.core.errors import ConfigError, DataError, ShapeError, UndefinedMetricError
from doctored.evaluate.benchmark import evaluate_folder

SIZE_HW = (24, 36)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path):
    """Six forgeries that are brighter where manipulated, some of them less clearly, and six authentic pictures."""
    rng = np.random.default_rng(0)
    for number in range(6):
        gt_mask = np.zeros(SIZE_HW, bool)
        top, left = rng.integers(0, 14), rng.integers(0, 24)
        gt_mask[top : top + 8, left : left + 10] = True
        noise = rng.integers(0, 60, SIZE_HW)
        forged = np.repeat((noise + 25 * gt_mask)[..., None], 3, axis=2).astype(np.uint8)
        save(tmp_path / "images" / f"f{number}.png", forged)
        save(tmp_path / "masks" / f"f{number}.png", gt_mask.astype(np.uint8) * 255)
        authentic = np.repeat(rng.integers(0, 60, (*SIZE_HW, 1)), 3, axis=2).astype(np.uint8)
        save(tmp_path / "authentic" / f"a{number}.png", authentic)
    return tmp_path


def brightness(picture):
    return picture.pixels[..., 0].astype(np.float32) / 255


def constant(picture):
    return np.zeros(picture.size_hw, np.float32)


def rows_of(table):
    return {(row.detector, row.metric): row for row in table.rows}


def test_values_agree_with_scikit_learn(folder):
    table = evaluate_folder({"brightness": brightness, "constant": constant}, folder)
    rows = rows_of(table)
    expected, means, labels = [], [], []
    for kind, label in (("images", 1), ("authentic", 0)):
        for path in sorted((folder / kind).iterdir()):
            grey = np.asarray(Image.open(path))[..., 0]
            means.append(grey.mean())
            labels.append(label)
            if label:
                gt_mask = np.asarray(Image.open(folder / "masks" / path.name)) > 0
                expected.append(roc_auc_score(gt_mask.ravel(), grey.ravel()))
                assert table.per_picture["brightness"]["pixel_auc"][path.name] == pytest.approx(expected[-1])
    assert rows["brightness", "pixel_auc"].value == pytest.approx(np.mean(expected))
    assert rows["brightness", "image_auc_of_mean"].value == pytest.approx(roc_auc_score(labels, means))
    assert rows["brightness", "pixel_auc"].pictures == 6
    assert rows["brightness", "image_auc_of_max"].pictures == 12
    assert 0.6 < rows["brightness", "shuffled_pixel_auc"].value < 1
    assert all(row.value == row.low == row.high == 0.5 for row in table.rows if row.detector == "constant")


def test_intervals_are_repeatable_and_hold_the_value(folder):
    first = evaluate_folder({"brightness": brightness}, folder, seed=3)
    assert first.rows == evaluate_folder({"brightness": brightness}, folder, seed=3).rows
    assert first.rows != evaluate_folder({"brightness": brightness}, folder, seed=4).rows
    for row in first.rows:
        assert row.low <= row.value <= row.high
    pixel_row = rows_of(first)["brightness", "pixel_auc"]
    scores = list(first.per_picture["brightness"]["pixel_auc"].values())
    # of a mean of six: about two standard errors to either side
    assert pixel_row.high - pixel_row.low == pytest.approx(4 * np.std(scores) / np.sqrt(6), rel=0.25)


def test_a_limit_evaluates_half_of_each_class_and_reports_progress(folder):
    seen = []
    table = evaluate_folder({"constant": constant}, folder, limit=6, progress=lambda *step: seen.append(step))
    assert {row.pictures for row in table.rows} == {3, 6}
    assert seen == [(number, 6) for number in range(1, 7)]


def test_without_authentic_pictures_there_is_no_image_score(folder):
    for path in (folder / "authentic").iterdir():
        path.unlink()
    (folder / "authentic").rmdir()
    metrics = {row.metric for row in evaluate_folder({"constant": constant}, folder).rows}
    assert metrics == {"pixel_auc", "shuffled_pixel_auc"}


def test_wrong_inputs_are_named(folder):
    with pytest.raises(ConfigError, match="at least one detector"):
        evaluate_folder({}, folder)
    with pytest.raises(ShapeError, match="localization_map"):
        evaluate_folder({"small": lambda picture: np.zeros((3, 3), np.float32)}, folder)
    with pytest.raises(UndefinedMetricError, match=r"nan on .*f0\.png"):
        evaluate_folder({"nan": lambda picture: np.full(picture.size_hw, np.nan, np.float32)}, folder)
    save(folder / "masks" / "f2.png", np.zeros(SIZE_HW, np.uint8))
    with pytest.raises(DataError, match=r"f2\.png marks no pixel"):
        evaluate_folder({"constant": constant}, folder)
    save(folder / "masks" / "f2.png", np.eye(5, dtype=np.uint8) * 255)
    with pytest.raises(ShapeError, match=r"f2\.png"):
        evaluate_folder({"constant": constant}, folder)
    (folder / "masks" / "f2.png").unlink()
    with pytest.raises(DataError, match="without a mask: f2"):
        evaluate_folder({"constant": constant}, folder)
