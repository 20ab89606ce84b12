import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from doctored.apps import outputs
from doctored.apps.outputs import (
    OutputError,
    plan_outputs,
    prepare_folder,
    suspicion_colours,
    write_outputs,
)
from doctored.core.errors import ConfigError
from doctored.core.inspection import AnsweringModel, Inspection, PictureFacts, Timing, WitnessFinding
from doctored.core.picture import Picture
from doctored.core.read_image import read_image


def make_picture(height=5, width=7):
    return Picture.from_array(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def make_inspection(picture, localization_map):
    return Inspection(
        picture=PictureFacts.of(picture),
        model=AnsweringModel("mantranet", "0" * 64, 1.25),
        localization_map=localization_map,
        witnesses=(WitnessFinding("mantranet", "0" * 64, 0.5, np.float32(1) - localization_map),),
        regions=(),
        verdict="cannot_judge",
        reason="There is no calibration.",
        detection_score=None,
        false_alarm_rate=None,
        timing=Timing(1.0, None),
        version="0.1.0",
    )


def plan(folder, *inputs, models=("mantranet",)):
    return plan_outputs(Path(folder), inputs, models)


def stems(*inputs):
    return [one.stem for one in plan("out", *inputs)]


def test_names_are_those_that_users_rely_on():
    (files,) = plan("out", "a/photo.jpg")
    assert {kind: path.as_posix() for kind, path in files.by_kind().items()} == {
        "overlay": "out/photo.overlay.png",
        "map": "out/photo.map.png",
        "json": "out/photo.json",
        "mantranet_map": "out/photo.mantranet.map.png",
    }


def test_equal_stems_are_numbered_in_input_order():
    assert stems("a/photo.jpg", "b/photo.jpg", "photo.png") == ["photo", "photo-2", "photo-3"]
    assert stems("photo.jpg", "photo-2.jpg", "photo.png") == ["photo", "photo-2", "photo-3"]
    assert stems("photo.jpg", "photo.png", "photo-2.jpg") == ["photo", "photo-2", "photo-2-2"]
    assert stems("Photo.jpg", "photo.jpg") == ["Photo", "photo-2"]


def test_thousands_of_equal_stems_are_numbered_in_a_moment():
    """Each looked through the numbers of all before it: 4,000 took a minute."""
    inputs = [f"{number}/{'IMG' if number % 2 else 'img'}.jpg" for number in range(4000)]
    began = time.process_time()
    made = stems(*inputs)
    assert time.process_time() - began < 10
    assert made[-1] == "IMG-4000"
    assert len({stem.casefold() for stem in made}) == 4000


def test_a_name_that_is_too_long_fails_its_own_picture_only(tmp_path):
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    plans = plan(tmp_path, "a" * (longest - 4) + ".jpg", "b" * (longest - 21) + ".jpg", "c.jpg")
    prepare_folder(tmp_path, plans, [], force=False)
    picture = make_picture()
    inspection = make_inspection(picture, np.zeros((5, 7), np.float32))
    with pytest.raises(OutputError, match="its name is too long for the disk; shorten it"):
        write_outputs(plans[0], picture, inspection, {})
    assert os.listdir(tmp_path) == []
    for fitting in plans[1:]:
        write_outputs(fitting, picture, inspection, {})
    assert len(os.listdir(tmp_path)) == 8


def test_stems_that_would_share_one_file_are_kept_apart():
    # photo.mantranet.map.png is the witness's map of the first and the answer's map of the second.
    assert stems("photo.jpg", "photo.mantranet.jpg") == ["photo", "photo.mantranet-2"]


def test_maps_and_json_hold_what_was_found(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "_BAND_PX", 14)  # bands of two rows, the last one shorter
    picture = make_picture()
    localization_map = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)
    inspection = make_inspection(picture, localization_map)
    (files,) = plan(tmp_path, "photo.jpg")
    result = inspection.to_json(path="photo.jpg")
    write_outputs(files, picture, inspection, result)

    stored = np.asarray(Image.open(tmp_path / "photo.map.png"))
    assert stored.dtype == np.uint16
    assert np.abs(stored - localization_map.astype(float) * 65535).max() < 0.51
    witness = np.asarray(Image.open(tmp_path / "photo.mantranet.map.png"))
    assert np.abs(witness - (1 - localization_map.astype(float)) * 65535).max() < 0.51
    assert json.loads((tmp_path / "photo.json").read_text("utf-8")) == result
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in files.by_kind().values())


def test_overlay_is_grey_where_all_is_quiet_and_coloured_where_it_is_suspicious(tmp_path):
    picture = make_picture()
    localization_map = np.zeros((5, 7), np.float32)
    localization_map[1, 2] = 1
    localization_map[2, 2] = 0.09
    inspection = make_inspection(picture, localization_map)
    (files,) = plan(tmp_path, "photo.jpg")
    write_outputs(files, picture, inspection, inspection.to_json(path="photo.jpg"))
    overlay = np.asarray(Image.open(tmp_path / "photo.overlay.png")).astype(int)
    luma = np.asarray(Image.fromarray(picture.pixels).convert("L")).astype(int)
    quiet = np.ones((5, 7), bool)
    quiet[1, 2] = False
    assert np.abs(overlay - luma[:, :, None])[quiet].max() <= 1
    assert (overlay[quiet].min(axis=1) == overlay[quiet].max(axis=1)).all()
    colours, alphas = suspicion_colours()
    expected = luma[1, 2] * (1 - alphas[255]) + colours[255] * alphas[255]
    assert np.abs(overlay[1, 2] - expected).max() <= 2


def test_colours_rise_in_lightness_and_opacity():
    colours, alphas = suspicion_colours()
    linear = np.where(
        colours / 255 <= 0.04045, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4
    )
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    steps = np.diff(lightness)
    assert (steps > 0).all()
    assert lightness[-1] - lightness[0] > 60
    # No step is seen as a false edge: none is more than twice the mean.
    assert steps.max() < 2 * steps.mean()
    assert (np.diff(alphas) >= 0).all()
    assert (alphas[0], alphas[-1]) == (0, 0.75)


@pytest.mark.parametrize(("space", "kept"), [("sRGB", True), ("LAB", False)])
def test_only_a_profile_that_fits_rgb_goes_into_the_overlay(tmp_path, space, kept):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    source = tmp_path / "photo.png"
    Image.fromarray(make_picture().pixels).save(source, icc_profile=profile)
    picture = read_image(source)
    inspection = make_inspection(picture, np.zeros((5, 7), np.float32))
    (files,) = plan(tmp_path / "out", "photo.png")
    prepare_folder(tmp_path / "out", [files], [], force=False)
    write_outputs(files, picture, inspection, inspection.to_json(path="photo.png"))
    with Image.open(tmp_path / "out" / "photo.overlay.png") as overlay:
        assert (overlay.info.get("icc_profile") == profile) is kept


def test_existing_results_need_force(tmp_path):
    plans = plan(tmp_path, "photo.jpg")
    (tmp_path / "photo.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"photo\.json already exists.*--force"):
        prepare_folder(tmp_path, plans, ["photo.jpg"], force=False)
    prepare_folder(tmp_path, plans, ["photo.jpg"], force=True)


def test_a_picture_is_never_overwritten_even_with_force(tmp_path):
    picture = tmp_path / "photo.map.png"
    picture.write_bytes(b"evidence")
    inputs = ["photo.jpg", str(picture)]
    with pytest.raises(ConfigError, match="one of the pictures"):
        prepare_folder(tmp_path, plan(tmp_path, *inputs), inputs, force=True)


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="out cannot be written"):
        prepare_folder(tmp_path / "out", [], [], force=False)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        prepare_folder(tmp_path, [], [], force=False)


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(tmp_path, monkeypatch):
    picture = make_picture()
    inspection = make_inspection(picture, np.zeros((5, 7), np.float32))
    (files,) = plan(tmp_path, "photo.jpg")

    def fill(file, bands, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "write_png", fill)
    with pytest.raises(
        OutputError, match=r"photo\.overlay\.png cannot be written \(No space left on device\)"
    ):
        write_outputs(files, picture, inspection, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not say how much memory was taken at most"
)
def test_a_picture_of_100_megapixels_is_written_in_bounded_memory(tmp_path):
    """Picture and map take 0.7 GB themselves; overlay and maps once took as much again."""
    program = f"""
import numpy as np
from pathlib import Path
from doctored.apps.outputs import plan_outputs, write_outputs
from doctored.core.inspection import Inspection, PictureFacts, Timing
from doctored.core.picture import Picture
picture = Picture.from_array(np.zeros((10000, 10000, 3), np.uint8))
inspection = Inspection(PictureFacts.of(picture), AnsweringModel("x", "0" * 64, 0.0),
                        np.zeros((10000, 10000), np.float32), (), (), "cannot_judge",
                        "-", None, None, Timing(0, None), "0")
write_outputs(plan_outputs(Path({str(tmp_path)!r}), ["photo.png"], [])[0], picture, inspection, {{}})
# Not ru_maxrss, which starts at what the parent had.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(result.stdout) < 850_000  # in 1024 bytes
