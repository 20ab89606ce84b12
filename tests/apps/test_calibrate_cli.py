import csv
import json
import math

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from doctored.apps import calibrate as module
from doctored.apps.calibrate import group_of, version_scores
from doctored.apps.cli import app
from doctored.core.picture import Picture
from doctored.data.photographs import Photograph
from doctored.predict.calibration import read_calibration
from doctored.predict.detector import Detector


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def save_photo(path, seed, size=(256, 256), **options):
    """Blurred noise, more or less sharp."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    blurred = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)).astype(float)
    pixels = blurred + rng.normal(size=blurred.shape) * rng.uniform(1, 9)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, **options)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """52 photographs in two folders, half of them JPEG."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(52):
        name, options = (f"b/{seed:02d}.jpg", {"quality": 90}) if seed % 2 else (f"a/{seed:02d}.png", {})
        save_photo(folder / name, seed, **options)
    return folder


@pytest.fixture(scope="module")
def calibration_file(photos):
    path = photos.parent / "calibration" / "sharpness.json"
    result = run("calibrate", photos, "--model", "sharpness", "--output", path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("52 photographs of 2 groups in 494 versions; 0 left out\n")
    return path


def test_a_calibration_gives_verdicts_with_numbers(photos, calibration_file, tmp_path):
    save_photo(tmp_path / "new.png", 1000)
    save_photo(tmp_path / "small.jpg", 1001, (96, 72), quality=80)
    save_photo(tmp_path / "large.png", 1002, (1600, 1200))
    save_photo(tmp_path / "other.webp", 1003)
    paths = [tmp_path / name for name in ("new.png", "small.jpg", "large.png", "other.webp")]
    result = run("detect", "--json", "--model", "sharpness", "--calibration", calibration_file, *paths)
    assert result.exit_code == 0, result.stderr
    new, small, large, other = (json.loads(line) for line in result.stdout.splitlines())
    for judged in (new, small, large):
        assert judged["verdict"] in ("manipulated", "no_signs")
        comparison = judged["calibration"]
        assert 50 <= comparison["pictures"] <= 52
        assert judged["false_alarm_rate"] == (comparison["as_high"] + 1) / (comparison["pictures"] + 1)
        assert (judged["detection_score"] >= 0.5) == (judged["false_alarm_rate"] <= 0.05)
        assert "of authentic pictures like this one" in judged["reason"]
    # Noise counts for less in the larger cells of larger pictures.
    assert large["calibration"]["smaller"]
    assert "of like compression that are smaller" in large["reason"]
    assert other["verdict"] == "cannot_judge"
    assert "too few WEBP files" in other["reason"]
    assert 0 < other["detection_score"] < 1


def test_the_rate_is_the_one_counted_by_hand(photos, calibration_file, tmp_path):
    """A 256 px PNG is like the 52 photographs in their lossless form, whose sides are all the same."""
    save_photo(tmp_path / "new.png", 1000)
    detector = Detector.from_name("sharpness", calibration=calibration_file)
    pixels = np.asarray(Image.open(tmp_path / "new.png"))
    inspection = detector.inspect(Picture.from_array(pixels))
    own = inspection.witnesses[0].raw_score
    others = [
        detector.raw_score(np.asarray(Image.open(path).convert("RGB"))) for path in sorted(photos.glob("*/*"))
    ]
    assert inspection.comparison.pictures == 52
    assert inspection.false_alarm_rate == (sum(score >= own for score in others) + 1) / 53


def test_summary_for_people(calibration_file, tmp_path):
    save_photo(tmp_path / "new.png", 1000)
    save_photo(tmp_path / "other.webp", 1003)
    files = tmp_path / "new.png", tmp_path / "other.webp"
    result = run("detect", "--model", "sharpness", "--calibration", calibration_file, "--fpr", 0.5, *files)
    assert "false-alarm rate 0." in result.stdout
    assert "for ranking only" in result.stdout.split("other.webp")[1]
    assert run("detect", files[0], "--model", "sharpness", "--fpr", 7).exit_code == 2


def test_another_model_is_refused(calibration_file, tmp_path):
    save_photo(tmp_path / "new.png", 1000)
    stored = json.loads(calibration_file.read_text())
    path = tmp_path / "other.json"
    path.write_text(calibration_file.read_text().replace(stored["model_sha256"], "0" * 64))
    result = run("detect", tmp_path / "new.png", "--model", "sharpness", "--calibration", path)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "Error: the calibration belongs to sharpness with SHA-256 000000000000..."
    )


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A folder of five photographs and their calibration."""
    folder = tmp_path_factory.mktemp("few")
    for seed in range(5):
        save_photo(folder / "photos" / f"{seed}.png", seed)
    calibration = folder / "few.json"
    assert run("calibrate", folder / "photos", "--model", "sharpness", "--output", calibration).exit_code == 0
    return folder / "photos", calibration


def test_the_same_bytes_again_and_no_overwriting(few, tmp_path):
    photos, calibration = few
    again = tmp_path / "again.json"
    assert run("calibrate", photos, "--model", "sharpness", "--output", again).exit_code == 0
    assert again.read_bytes() == calibration.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.json"]
    refused = run("calibrate", photos, "--model", "sharpness", "--output", again)
    assert refused.exit_code == 2
    assert "already exists" in refused.stderr
    assert run("calibrate", photos, "--model", "sharpness", "--output", tmp_path).exit_code == 2
    assert run("calibrate", photos, "--model", "centre", "--output", again, "--force").exit_code == 0
    assert read_calibration(again).model == "centre"


def test_it_goes_on_where_it_was_stopped(few, tmp_path, monkeypatch):
    photos, calibration = few
    output = tmp_path / "stopped.json"
    original, calls = module.version_scores, []

    def stops(*arguments):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(module, "version_scores", stops)
    run("calibrate", photos, "--model", "sharpness", "--output", output)
    assert not output.exists()
    journal = tmp_path / ".stopped.json.journal"
    # As if the power had failed within a line.
    journal.write_text(journal.read_text() + '{"sha256": "ab')
    calls.clear()
    monkeypatch.setattr(module, "version_scores", lambda *arguments: calls.append(1) or original(*arguments))
    assert run("calibrate", photos, "--model", "sharpness", "--output", output).exit_code == 0
    assert len(calls) == 2
    assert output.read_bytes() == calibration.read_bytes()
    assert not journal.exists()


def test_what_was_found_for_another_command_is_not_used(few, tmp_path):
    photos, _ = few
    output = tmp_path / "one.json"
    (tmp_path / ".one.json.journal").write_text(
        '{"model_sha256": "other"}\n{"sha256": "ab", "entries": []}\n'
    )
    assert run("calibrate", photos, "--model", "centre", "--output", output, "--no-variants").exit_code == 0
    assert len(read_calibration(output).entries) == 5


def test_what_cannot_stand_for_an_untouched_picture_is_left_out_and_listed(tmp_path):
    folder = tmp_path / "in"
    save_photo(folder / "good.png", 0)
    save_photo(folder / "same.png", 0)
    save_photo(folder / "small.png", 1, (400, 248))
    exif = Image.Exif()
    exif[0x0131] = "GIMP 2.10"
    save_photo(folder / "edited.jpg", 2, exif=exif)
    (folder / "broken.jpg").write_bytes(b"no picture")
    result = run("calibrate", folder, "--model", "centre", "--output", tmp_path / "out.json")
    assert result.exit_code == 1
    assert "1 photographs of 1 groups" in result.stdout
    assert "4 left out" in result.stdout
    for sentence in (
        "left out (cannot be read):",
        "edited.jpg names the editor 'gimp'",
        "small.png is 400 x 248 pixels; both sides must be at least 256",
        "same.png is the same file as an earlier one",
    ):
        assert sentence in result.stderr
    assert read_calibration(tmp_path / "out.json").left_out == {
        "cannot be read": 1,
        "names an editor": 1,
        "same file as another": 1,
        "short side under 256 px": 1,
    }
    (folder / "good.png").unlink()
    (folder / "same.png").unlink()
    nothing = run("calibrate", folder, "--model", "centre", "--output", tmp_path / "none.json")
    assert nothing.exit_code == 1
    assert "none of the 3 pictures can be used" in nothing.stderr
    assert not (tmp_path / "none.json").exists()


def test_a_split_and_a_manifest_say_what_to_use(tmp_path):
    folder = tmp_path / "in"
    for number in range(4):
        save_photo(folder / f"{number}.png", number)
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ("file", "source", "make", "model"),
                ("0.png", "one", "Canon", "EOS"),
                ("1.png", "one", "", ""),
                ("2.png", "two", "SONY", "X"),
            ]
        )
    split = tmp_path / "split.csv"
    split.write_text("file,role\n0.png,calibration\n1.png,calibration\n2.png,train\n3.png,calibration\n")
    output = tmp_path / "out.json"
    result = run(
        "calibrate", folder, "--model", "centre", "--split", split, "--output", output, "--no-variants"
    )
    assert result.exit_code == 0, result.stderr
    groups = [photograph.group for photograph in read_calibration(output).photographs]
    assert groups == ["one: canon", "one", "."]


def test_groups():
    def group(**facts):
        return group_of(Photograph(**{"path": None, "file": "x/y/z.jpg", **facts}))

    assert group() == "x/y"
    assert group(source="s") == "s"
    assert group(source="s", make="nikon") == "s: nikon"


def test_versions_of_a_picture():
    picture = Picture.from_array(np.random.default_rng(0).integers(0, 256, (260, 300, 3), np.uint8))

    def size(pixels):
        return math.prod(pixels.shape[:2])

    plain = list(version_scores(picture, size, with_variants=False, seed=0))
    assert plain == [(260, 300, "lossless", 78000)]
    all_of_them = list(version_scores(picture, size, with_variants=True, seed=0))
    # The file, and 64, 91, 128, 181 and 256 px with and without loss.
    assert len(all_of_them) == 1 + 2 * 5
    assert {height for height, *_ in all_of_them} == {260, 256, 181, 128, 91, 64}
    assert all(score == height * width for height, width, _, score in all_of_them)
    assert sum(compression == "lossless" for *_, compression, _ in all_of_them) == 1 + 5
