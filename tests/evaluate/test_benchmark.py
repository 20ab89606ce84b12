import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from doctored.apps.evaluate_cli import LoadDetector
from doctored.core.errors import ConfigError, DataError, ModelError, ShapeError, UndefinedMetricError
from doctored.evaluate.benchmark import EvaluateSettings, evaluate
from doctored.evaluate.protocols import make_protocol
from evaluate.fakes import SIZE_HW, FakeDetector, brightness, constant, loader, make_folder, save


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "set")


def run(folder, output=None, force=False, workers=1, on_progress=None, load=None, **settings):
    """An evaluation of `brightness`, and whatever else the loader knows, without yardsticks."""
    given = {"models": ("brightness",), "yardsticks": False, "data": (folder,), **settings}
    load = load or loader(brightness=brightness, constant=constant)
    return evaluate(
        EvaluateSettings(**given), load, output, force=force, workers=workers, on_progress=on_progress
    )


def values_of(evaluation, view="as_is"):
    return {(row.detector, row.metric): row.value for row in evaluation.rows if row.view == view}


def test_values_agree_with_scikit_learn(folder):
    evaluation = run(folder, models=("brightness", "constant"))
    aucs, precisions, f1s, best_f1s, means, labels, pooled = [], [], [], [], [], [], ([], [])
    for kind, label in (("images", 1), ("authentic", 0)):
        for path in sorted((folder / kind).iterdir()):
            grey = np.asarray(Image.open(path))[..., 0]
            means.append(grey.mean())
            labels.append(label)
            if label:
                truth = (np.asarray(Image.open(folder / "masks" / path.name)) > 0).ravel()
                aucs.append(roc_auc_score(truth, grey.ravel()))
                precisions.append(average_precision_score(truth, grey.ravel()))
                f1s.append(f1_score(truth, grey.ravel() >= 51))
                best_f1s.append(max(f1_score(truth, grey.ravel() >= level) for level in np.unique(grey)))
                pooled[0].append(truth)
                pooled[1].append(grey.ravel())
    evaluation_at_fifth = run(folder, protocol=make_protocol(threshold=51 / 255))
    values, at_fifth = values_of(evaluation), values_of(evaluation_at_fifth)
    assert values["brightness", "pixel_auc"] == pytest.approx(np.mean(aucs))
    assert values["brightness", "pixel_average_precision"] == pytest.approx(np.mean(precisions))
    assert values["brightness", "best_pixel_f1"] == pytest.approx(np.mean(best_f1s))
    assert at_fifth["brightness", "pixel_f1"] == pytest.approx(np.mean(f1s))
    assert values["brightness", "pooled_pixel_auc"] == pytest.approx(
        roc_auc_score(*map(np.concatenate, pooled))
    )
    assert values["brightness", "image_auc_of_mean"] == pytest.approx(roc_auc_score(labels, means))
    assert values["brightness", "image_auc"] == values["brightness", "image_auc_of_mean"]
    assert 0.6 < values["brightness", "shuffled_pixel_auc"] < 1
    assert values["constant", "pixel_auc"] == values["constant", "image_auc"] == 0.5
    first = next(record for record in evaluation.records if record["name"] == "f0.png")
    assert (first["model"], first["pixel_auc"]) == ("brightness", pytest.approx(aucs[0]))


def test_intervals_are_repeatable_and_hold_the_value(folder):
    first = run(folder, seed=3)
    assert first.rows == run(folder, seed=3).rows
    assert first.rows != run(folder, seed=4).rows
    rows = [row for row in first.rows if row.low is not None]
    assert all(row.low - 1e-12 <= row.value <= row.high + 1e-12 for row in rows if "tpr" not in row.metric)
    pixel_row = next(row for row in rows if row.metric == "pixel_auc")
    scores = [record["pixel_auc"] for record in first.records if record["pixel_auc"] is not None]
    # of a mean of six: about two standard errors to either side
    assert pixel_row.high - pixel_row.low == pytest.approx(4 * np.std(scores) / np.sqrt(6), rel=0.25)


def test_whole_pictures_are_scored_twice_if_there_are_authentic_ones(folder):
    detector = FakeDetector(brightness)
    evaluation = run(folder, load=loader(brightness=detector))
    assert {row.view for row in evaluation.rows} == {"as_is", "equalised"}
    assert {row.metric for row in evaluation.rows if row.view == "equalised"} >= {"image_auc"}
    assert not any("pixel" in row.metric for row in evaluation.rows if row.view == "equalised")
    assert [picture.format for picture in detector.seen] == ["PNG"] * 12 + ["JPEG"] * 12
    assert {row.view for row in run(folder, equalised=False).rows} == {"as_is"}


def test_without_authentic_pictures_there_is_no_image_score(tmp_path):
    evaluation = run(make_folder(tmp_path / "set", authentic=False))
    assert {row.view for row in evaluation.rows} == {"as_is"}
    assert not any(row.metric.startswith("image") or row.metric == "flagged_area" for row in evaluation.rows)


def test_a_limit_evaluates_half_of_each_class_and_reports_progress(folder):
    steps = []
    evaluation = run(folder, limit=6, on_progress=lambda *step: steps.append(step))
    assert len(evaluation.cases) == 6
    assert sum(case.mask is None for case in evaluation.cases) == 3
    assert steps == [(number, 12) for number in range(1, 13)]


def test_several_sets_keep_their_own_rows(folder, tmp_path):
    other = make_folder(tmp_path / "other" / "set", count=3, seed=5, authentic=False)
    evaluation = run(folder, data=(folder, other))
    pictures = {row.data: row.pictures for row in evaluation.rows if row.metric == "pixel_auc"}
    assert pictures == {"set": 6, "set-2": 3}


def test_yardsticks_and_file_facts_come_along_unless_left_out(folder):
    evaluation = evaluate(EvaluateSettings(("centre",), (folder,)), LoadDetector())
    assert list(dict.fromkeys(row.detector for row in evaluation.rows)) == [
        "centre",
        "sharpness",
        "ela",
        "noise",
        "file_facts",
    ]


def test_several_processes_give_what_one_gives(folder):
    settings = EvaluateSettings(("centre", "sharpness"), (folder,), yardsticks=False)
    one = evaluate(settings, LoadDetector())
    two = evaluate(settings, LoadDetector(threads=1), workers=2)
    assert two.rows == one.rows
    assert two.comparisons == one.comparisons


def test_the_same_call_goes_on_and_measures_nothing_twice(folder, tmp_path):
    class StopsAfter(FakeDetector):
        def __init__(self, count):
            super().__init__(brightness)
            self.count = count

        def inspect(self, picture):
            if len(self.seen) == self.count:
                raise KeyboardInterrupt
            return super().inspect(picture)

    output = tmp_path / "out"
    first, second, third = StopsAfter(7), StopsAfter(99), StopsAfter(0)
    with pytest.raises(KeyboardInterrupt):
        run(folder, output, load=loader(brightness=first))
    evaluation = run(folder, output, load=loader(brightness=second))
    assert len(second.seen) == 24 - 7
    whole = run(folder)
    assert evaluation.rows == whole.rows
    assert run(folder, output, load=loader(brightness=third)).rows == whole.rows


def test_an_output_of_something_else_needs_force(folder, tmp_path):
    output = tmp_path / "out"
    run(folder, output)
    with pytest.raises(ConfigError, match="--force"):
        run(folder, output, seed=1)
    run(folder, output, seed=1, force=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="already holds something"):
        run(folder, tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("sha256", "1" * 64, r"SHA-256 of brightness was \"0+\.\.\., is \"1+\.\.\."),
        ("precision", "bf16", 'precision of brightness was "fp32", is "bf16"'),
        ("calibration_sha256", "c" * 64, r"calibration of brightness was null, is \"c+\.\.\."),
    ],
)
def test_results_of_two_versions_of_a_model_are_not_mixed(folder, tmp_path, name, value, sentence):
    """Those of another precision or calibration were shown as if they were of the one that was asked for."""
    output = tmp_path / "out"
    run(folder, output)
    other = FakeDetector(lambda picture: 1 - brightness(picture))
    setattr(other, name, value)
    with pytest.raises(ConfigError, match=rf"another command \({sentence}\).*--force"):
        run(folder, output, load=loader(brightness=other))
    assert other.seen == []
    evaluation = run(folder, output, force=True, load=loader(brightness=other))
    assert len(other.seen) == len(evaluation.records) == 24


def test_results_of_models_that_were_loaded_otherwise_are_not_mixed(folder, tmp_path):
    settings, load = (
        EvaluateSettings(("brightness",), (folder,), yardsticks=False),
        loader(brightness=brightness),
    )
    evaluate(settings, load, tmp_path / "out", loaded_with={"tile": 512})
    with pytest.raises(ConfigError, match="tile was 512, is 256"):
        evaluate(settings, load, tmp_path / "out", loaded_with={"tile": 256})
    evaluate(settings, load, tmp_path / "out", loaded_with={"tile": 512})


def test_undefined_pictures_are_counted_aside(folder):
    save(folder / "masks" / "f2.png", np.zeros(SIZE_HW, np.uint8))
    save(folder / "masks" / "f3.png", np.full(SIZE_HW, 255, np.uint8))
    rows = {row.metric: row for row in run(folder).rows if row.view == "as_is"}
    for metric in ("pixel_auc", "best_pixel_f1", "pixel_f1", "shuffled_pixel_auc", "pooled_pixel_auc"):
        assert (rows[metric].pictures, rows[metric].undefined) == (4, 2), metric
    assert rows["image_auc"].pictures == 12


def test_ignored_pixels_do_not_count(folder):
    """With the half that misleads ignored, the brightness separates the rest."""
    pixels = np.zeros((*SIZE_HW, 3), np.uint8)
    gt_mask, ignored = np.zeros(SIZE_HW, bool), np.zeros(SIZE_HW, bool)
    gt_mask[:, 9:27], ignored[:, 18:] = True, True
    pixels[:, :18][gt_mask[:, :18]] = 50
    pixels[:, 27:] = 200
    save(folder / "images" / "f0.png", pixels)
    save(folder / "masks" / "f0.png", gt_mask.astype(np.uint8) * 255)
    without = {record["name"]: record for record in run(folder).records if record["view"] == "as_is"}
    save(folder / "ignore" / "f0.png", ignored.astype(np.uint8) * 255)
    with_ignored = {record["name"]: record for record in run(folder).records if record["view"] == "as_is"}
    assert with_ignored["f0.png"]["pixel_auc"] == 1
    assert with_ignored["f0.png"]["shuffled_pixel_auc"] == 1
    assert with_ignored["f0.png"]["best_pixel_f1"] == 1
    # Of 27 authentic-or-forged column pairs: forged 9 at 50 and 9 at 0, authentic 9 at 0 and 9 at 200.
    assert without["f0.png"]["pixel_auc"] == pytest.approx(0.5 * 0.5 + 0.5 * 0.25)
    assert without["f1.png"]["pixel_auc"] == with_ignored["f1.png"]["pixel_auc"]
    save(folder / "ignore" / "f9.png", ignored.astype(np.uint8) * 255)
    with pytest.raises(DataError, match="no picture in images/ has: f9;"):
        run(folder)


def test_conventions_change_what_they_name(folder):
    plain = values_of(run(folder))["brightness", "pixel_auc"]
    dark = loader(brightness=lambda picture: 1 - brightness(picture))
    flipped = run(folder, load=dark, protocol=make_protocol(polarity_flip=True))
    assert values_of(flipped)["brightness", "pixel_auc"] == pytest.approx(plain)
    mostly = np.zeros(SIZE_HW, np.uint8)
    mostly[:, :30] = 255
    for number in range(6):
        save(folder / "masks" / f"f{number}.png", mostly)
    without = values_of(run(folder))["brightness", "pixel_auc"]
    inverted = run(folder, protocol=make_protocol("mantranet"))
    assert values_of(inverted)["brightness", "pixel_auc"] == pytest.approx(1 - without)
    assert {row.metric for row in inverted.rows} == {"pixel_auc", "shuffled_pixel_auc"}


def test_wrong_inputs_are_named(folder):
    with pytest.raises(ConfigError, match="at least one detector"):
        run(folder, models=())
    with pytest.raises(ConfigError, match="at least one folder"):
        run(folder, data=())
    with pytest.raises(ConfigError, match="named twice"):
        run(folder, models=("brightness", "brightness"))
    small = loader(brightness=lambda picture: np.zeros((3, 3), np.float32))
    with pytest.raises(ShapeError, match="localization_map"):
        run(folder, load=small)
    nan = loader(brightness=lambda picture: np.full(picture.size_hw, np.nan, np.float32))
    with pytest.raises(UndefinedMetricError, match=r"brightness on .*f0\.png: the map holds NaN"):
        run(folder, load=nan)
    with pytest.raises(ModelError, match="no model 'nobody'"):
        run(folder, models=("nobody",), load=LoadDetector(threads=1), workers=2)
    save(folder / "masks" / "f2.png", np.eye(5, dtype=np.uint8) * 255)
    with pytest.raises(ShapeError, match=r"f2\.png"):
        run(folder)
    (folder / "masks" / "f2.png").unlink()
    with pytest.raises(DataError, match="without a mask: f2"):
        run(folder)
