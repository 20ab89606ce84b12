"""`doctored train combination`, with yardsticks for witnesses."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from doctored.apps.cli import app
from doctored.apps.combine import check_free_witnesses, fit_combination
from doctored.core.errors import ConfigError, ModelError
from doctored.core.forgery import Forgery
from doctored.core.inspection import WitnessFinding
from doctored.data.licences import licence_note
from doctored.predict.combination import COMBINATION_FILE, read_combination
from doctored.predict.detector import load_witness

SIDE = 16


class Stream:
    """Pictures of noise; in every second one a square is manipulated."""

    seed = 0

    def __getitem__(self, number):
        gt_mask = np.zeros((SIDE, SIDE), bool)
        if number % 2:
            gt_mask[2:8, 3:9] = True
        image = np.full((SIDE, SIDE, 3), 10 * (number % 2), np.uint8)
        image[gt_mask] = 200
        return Forgery(image, gt_mask, None, "splicing" if number % 2 else "authentic", None)


class Knowing:
    """A witness who tells manipulated from authentic pixels as well as it is said to."""

    precision = "fp32"

    def __init__(self, name, share_right):
        self.name, self.sha256, self.share_right = name, name[0] * 64, share_right
        self.rng = np.random.default_rng(len(name))

    def look(self, pixels, on_progress):
        right = self.rng.random(pixels.shape[:2]) < self.share_right
        says = np.where(right, pixels[..., 0] == 200, pixels[..., 0] != 200)
        return WitnessFinding(
            self.name,
            self.sha256,
            float(self.rng.normal(pixels.max() / 200)),
            np.where(says, 0.75, 0.25).astype(np.float32),
        )


def test_weights_are_those_that_follow_from_how_often_witnesses_are_right():
    better, worse = Knowing("better", 0.9), Knowing("worse one", 0.6)
    fitted = fit_combination([better, worse], Stream(), 400, lambda done, total: None)
    # A witness who is right with probability p is worth log(p / (1 - p)), and says log 3 where it is right.
    np.testing.assert_allclose(
        fitted.of_map.weights, [np.log(9) / np.log(3), np.log(1.5) / np.log(3)], rtol=0.1
    )
    # Every second picture is authentic, of the others half counts as authentic: one to three.
    assert fitted.of_map.bias == pytest.approx(-np.log(3), abs=0.1)
    assert fitted.hashes == ("b" * 64, "w" * 64)
    assert fitted.figures["pixel_auc_better"] == pytest.approx(0.9, abs=0.02)
    assert fitted.figures["pixel_auc_worse one"] == pytest.approx(0.6, abs=0.02)
    assert fitted.figures["image_auc"] >= fitted.figures["image_auc_better"] - 0.02


def test_what_a_copy_came_from_is_neither():
    class WithSource(Stream):
        def __getitem__(self, number):
            sample = super().__getitem__(number)
            # All that is not manipulated is a source, but for one row.
            source_mask = ~sample.gt_mask
            source_mask[0] = False
            return Forgery(sample.image, sample.gt_mask, source_mask, sample.technique, None)

    class RightInTheRow(Knowing):
        def look(self, pixels, on_progress):
            says = np.where(pixels[..., 0] == 200, 0.75, 0.75).astype(np.float32)
            says[0] = 0.25
            return WitnessFinding(self.name, self.sha256, float(self.rng.normal()), says)

    fitted = fit_combination(
        [RightInTheRow("row", 1), Knowing("half", 0.5)], WithSource(), 20, lambda done, total: None
    )
    assert fitted.of_map.weights[0] > 5  # never wrong on what counts


def test_twins_are_refused():
    with pytest.raises(ModelError, match="different names"):
        fit_combination([Knowing("a", 0.5), Knowing("a", 0.6)], Stream(), 4, lambda done, total: None)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Pictures of noise of two sources, each with a brighter part that has an outline."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 120, (260, 270, 3), np.uint8)
        pixels[60:180, 80:200] += 100
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def combined(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("combined")
    result = CliRunner().invoke(app, arguments(photos, folder / "both"))
    assert result.exit_code == 0, result.output
    return folder / "both", result.output


def arguments(photographs, output, *more, witnesses=("noise", "ela")):
    named = [part for name in witnesses for part in ("--witness", name)]
    return [
        "train", "combination", str(photographs), "--output", str(output), "--samples", "24", "--crop-px", "128",
        *named, *more,
    ]  # fmt: skip


def test_the_command_writes_a_rule_that_detect_takes(combined, tmp_path, photos):
    folder, said = combined
    rule = read_combination(folder / COMBINATION_FILE)
    assert [one.model for one in rule.witnesses] == ["noise", "ela"]
    assert [one.sha256 for one in rule.witnesses] == [load_witness(name).sha256 for name in ("noise", "ela")]
    assert "24 generated samples of 128 px (web, chain)" in rule.fitted_on
    assert str(folder / COMBINATION_FILE) in said
    picture = next(photos.glob("*.jpg"))
    result = CliRunner().invoke(
        app, ["detect", str(picture), "--model", str(folder), "--output", str(tmp_path / "out"), "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["model"]["name"] == "both"
    assert found["model"]["sha256"] == rule.sha256
    assert [witness["name"] for witness in found["witnesses"]] == ["noise", "ela"]
    assert {"overlay", "map", "noise_map", "ela_map", "json"} == set(found["outputs"])


def test_a_combination_is_not_overwritten_unasked(combined, photos):
    folder, _ = combined
    before = (folder / COMBINATION_FILE).read_bytes()
    result = CliRunner().invoke(app, arguments(photos, folder))
    assert result.exit_code == 2
    assert "already exists" in result.stderr
    assert (folder / COMBINATION_FILE).read_bytes() == before
    again = CliRunner().invoke(app, arguments(photos, folder, "--force"))
    assert again.exit_code == 0, again.output
    assert (folder / COMBINATION_FILE).read_bytes() == before  # same samples, same weights


@pytest.mark.parametrize("witnesses", [("noise",), ("noise", "noise")])
def test_fewer_than_two_models_are_refused(tmp_path, photos, witnesses):
    result = CliRunner().invoke(app, arguments(photos, tmp_path / "x", witnesses=witnesses))
    assert result.exit_code == 2
    assert "two different models" in result.stderr


def test_an_unknown_domain_is_refused(tmp_path, photos):
    result = CliRunner().invoke(app, arguments(photos, tmp_path / "x", "--domain", "paper"))
    assert result.exit_code == 2
    assert "choose web, lossless, chain" in result.stderr


def test_the_score_can_be_that_of_one_witness(combined, tmp_path, photos):
    folder, _ = combined
    result = CliRunner().invoke(app, arguments(photos, tmp_path / "ela", "--score-of", "ela"))
    assert result.exit_code == 0, result.output
    rule, fitted = (read_combination(path / COMBINATION_FILE) for path in (tmp_path / "ela", folder))
    assert [one.score_weight for one in rule.witnesses] == [0, 1]
    assert [one.map_weight for one in rule.witnesses] == [one.map_weight for one in fitted.witnesses]
    assert rule.figures["image_auc"] == rule.figures["image_auc_ela"]
    result = CliRunner().invoke(app, arguments(photos, tmp_path / "x", "--score-of", "nobody"))
    assert result.exit_code == 2
    assert "choose noise or ela" in result.stderr


def test_the_weight_of_a_score_can_be_set(combined, tmp_path, photos):
    folder, _ = combined
    result = CliRunner().invoke(app, arguments(photos, tmp_path / "set", "--score-weight", "ela=2.5"))
    assert result.exit_code == 0, result.output
    rule, fitted = (read_combination(path / COMBINATION_FILE) for path in (tmp_path / "set", folder))
    assert rule.witnesses[1].score_weight == 2.5
    assert rule.witnesses[0] == fitted.witnesses[0]
    assert rule.fitted_on.endswith("; set, not fitted: score of ela 2.5")


def test_the_figure_of_a_set_weight_is_that_of_the_set_weight():
    first, second = Knowing("a", 0.9), Knowing("b", 0.2)
    only = fit_combination([first, second], Stream(), 40, lambda done, total: None, {"a": 0.0, "b": 1.0})
    assert only.score_weights.tolist() == [0, 1]
    assert only.figures["image_auc"] == only.figures["image_auc_b"]


def test_a_score_of_one_witness_is_not_weighed_too(photos, tmp_path):
    """The weight counted for nothing, without a word."""
    both = ["--score-of", "noise", "--score-weight", "ela=3"]
    result = CliRunner().invoke(app, arguments(photos, tmp_path / "x", *both))
    assert result.exit_code == 2
    assert "--score-weight ela=3 would count for nothing; give one of both" in result.stderr


def test_a_file_in_the_way_is_refused_before_photographs_are_read(photos, tmp_path):
    (tmp_path / "x").write_text("mine")
    result = CliRunner().invoke(app, arguments(photos, tmp_path / "x"))
    assert result.exit_code == 1
    assert "x cannot be written (File exists)" in result.stderr
    assert os.listdir(tmp_path) == ["x"], "no pool was prepared"


@pytest.mark.parametrize("text", ["ela", "ela=", "ela=-1", "ela=nan", "ela=inf", "centre=1", "=1"])
def test_weights_that_cannot_be_set_are_refused(tmp_path, photos, text):
    result = CliRunner().invoke(app, arguments(photos, tmp_path / "x", "--score-weight", text))
    assert result.exit_code == 2
    assert "noise or ela with a number of 0 or more, such as ela=3" in result.stderr.replace("\n", " ")


@pytest.fixture(scope="module")
def part_free(photos, tmp_path_factory):
    """The photographs with a manifest that calls half of them free."""
    folder = tmp_path_factory.mktemp("part-free")
    rows = ["file,source,licence"]
    for number, path in enumerate(sorted(photos.iterdir())):
        (folder / path.name).write_bytes(path.read_bytes())
        rows.append(f"{path.name},source {number},{'research' if number % 2 else 'CC0'}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_rule_has_a_note_of_what_it_was_fitted_on(part_free, tmp_path):
    whole = CliRunner().invoke(app, arguments(part_free, tmp_path / "whole"))
    assert whole.exit_code == 0, whole.output
    note = (tmp_path / "whole" / "LICENCE.txt").read_text("utf-8")
    assert "photographs: research [not known to be free]" in note
    assert "about the rule alone" in note
    # Yardsticks and searches have learned from nothing.
    witnesses = ("noise", "copy-search")
    free = CliRunner().invoke(
        app, arguments(part_free, tmp_path / "free", "--free-only", witnesses=witnesses)
    )
    assert free.exit_code == 0, free.output
    assert "3 of 6 photographs are free" in free.stderr
    note = (tmp_path / "free" / "LICENCE.txt").read_text("utf-8")
    assert "photographs: CC0 [free]" in note
    assert "not known to be free" not in note


def test_with_free_photographs_alone_the_networks_of_the_package_are_refused(part_free, tmp_path):
    """They learned from others too, and were taken without a word."""
    for witnesses in ((), ("mantranet", "constrained-rcnn", "grid-search")):
        result = CliRunner().invoke(
            app, arguments(part_free, tmp_path / "x", "--free-only", witnesses=witnesses)
        )
        assert result.exit_code == 2
        said = " ".join(result.stderr.split())
        assert "mantranet and constrained-rcnn may have learned from others" in said
        assert (
            "name with --witness runs that were trained with --free-only, exports of these, or searches"
            in said
        )
    assert os.listdir(tmp_path) == [], "nothing was prepared"


def test_networks_that_learned_from_free_photographs_alone_are_taken(tmp_path):
    free, tainted, export = (tmp_path / name for name in ("free", "tainted", "export"))
    for folder in (free, tainted, export):
        folder.mkdir()
    (free / "run.json").write_text('{"free_only": true}')
    (tainted / "run.json").write_text('{"free_only": false}')
    (export / "LICENCE.txt").write_text(licence_note({"CC0": 3}))
    check_free_witnesses([str(free), str(export), "ela", "copy-search", "grid-search", "nowhere"])
    with pytest.raises(ConfigError, match="tainted may have learned from others"):
        check_free_witnesses([str(free), str(tainted)])
