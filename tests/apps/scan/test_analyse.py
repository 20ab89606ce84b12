import json

import numpy as np
import pytest
from PIL import Image

from apps.scan.cases import Hasty, looked_at, write_picture
from doctored.apps.file_parser import FileParser
from doctored.apps.scan.analyse import Analyst, EarlierLook, Limits, Task, difference_hash
from doctored.apps.scan.entries import Listing
from doctored.core.read_image import read_image
from doctored.predict import Detector


def analyse(path, claim=lambda sha256: True, limits=None, maps=None):
    (entry,) = Listing([path])
    return Analyst(Detector.from_name("noise"), limits or Limits(), maps).analyse(Task(entry), claim)


def test_a_row_holds_what_detect_says(tmp_path):
    path = write_picture(tmp_path / "a.png", 1)
    found = analyse(path)
    picture = read_image(path)
    inspection = Detector.from_name("noise").inspect(picture)
    expected = inspection.to_json(path=path)
    stored = json.loads(found.result)
    assert stored == {
        key: expected[key] for key in expected if key not in ("path", "error", "outputs", "timing")
    }
    assert (found.sha256, found.width, found.height) == (picture.sha256, 90, 70)
    assert (found.format, found.compression) == ("PNG", "lossless")
    assert found.raw_score == inspection.model.raw_score
    assert (found.verdict, found.error, found.duplicate) == ("cannot_judge", None, False)
    assert found.seconds > 0


def test_the_preview_is_the_map_reduced_by_its_largest_values(tmp_path):
    path = write_picture(tmp_path / "a.png", 1)
    found = analyse(path)
    (tmp_path / "preview.png").write_bytes(found.preview)
    preview = np.asarray(Image.open(tmp_path / "preview.png"))
    whole = Detector.from_name("noise").inspect(read_image(path)).localization_map
    assert preview.shape == (35, 45)
    slow = [[whole[y : y + 2, x : x + 2].max() for x in range(0, 90, 2)] for y in range(0, 70, 2)]
    assert np.array_equal(preview, np.rint(np.array(slow) * 255))


def test_maps_are_named_by_what_the_file_holds(tmp_path):
    path = write_picture(tmp_path / "a.png", 1)
    found = analyse(path, maps=tmp_path / "maps")
    assert found.map == str(tmp_path / "maps" / found.sha256[:2] / f"{found.sha256}.png")
    whole = Detector.from_name("noise").inspect(read_image(path)).localization_map
    assert np.array_equal(np.asarray(Image.open(found.map)), np.rint(whole * 255))


def test_a_refused_claim_decodes_nothing(tmp_path, monkeypatch):
    path = write_picture(tmp_path / "a.png", 1)
    monkeypatch.setattr(FileParser, "decode", lambda *_, **__: pytest.fail("decoded"))
    asked = []
    assert analyse(path, lambda sha256: asked.append(sha256) or False) is None
    assert asked == [read_image(path).sha256]


def test_failures_are_rows_with_a_reason(tmp_path):
    gone = analyse(str(tmp_path / "gone.jpg"))
    assert "gone.jpg cannot be opened" in gone.error
    assert gone.sha256 is gone.result is gone.preview is gone.verdict is None
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    broken = analyse(str(tmp_path / "broken.jpg"))
    assert "broken.jpg looks like JPEG but is damaged" in broken.error
    assert len(broken.sha256) == 64
    large = analyse(write_picture(tmp_path / "a.png", 1), limits=Limits(max_megapixels=0.001))
    assert "more than the limit of 0.001; raise it with --max-mp" in large.error
    heavy = analyse(write_picture(tmp_path / "a.png", 1), limits=Limits(max_megabytes=0.001))
    assert "more than the limit of 0.001 MB; raise it with --max-mb" in heavy.error


def test_the_difference_hash_of_a_case_by_hand():
    ramp = np.repeat(np.arange(9, dtype=np.uint8)[None] * 20, 8, axis=0)  # darker to the left everywhere
    assert difference_hash(np.repeat(ramp[..., None], 3, axis=2)) == -1  # 64 bits set
    ramp[0, 8] = 0  # the last field of the first row is brighter than its right neighbour
    assert difference_hash(np.repeat(ramp[..., None], 3, axis=2)) & (2**64 - 1) == 2**64 - 1 - 2**56
    assert difference_hash(np.full((5, 3, 3), 80, np.uint8)) == 0


def test_versions_of_one_picture_have_hashes_that_hardly_differ(tmp_path):
    y, x = np.mgrid[:300, :400]
    pixels = np.stack(
        [127 + 60 * np.sin(x / 40 + k) + 60 * np.cos(y / 30 * (k + 1)) for k in range(3)], axis=2
    )
    image = Image.fromarray(pixels.astype(np.uint8))
    image.save(tmp_path / "a.jpg", quality=60)
    image.resize((200, 150)).save(tmp_path / "b.png")
    hashes = [difference_hash(read_image(tmp_path / name).pixels) for name in ("a.jpg", "b.png")]
    other = difference_hash(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))
    assert (hashes[0] ^ hashes[1]).bit_count() <= 4
    assert ((hashes[0] ^ other) & (2**64 - 1)).bit_count() > 15


def test_a_quick_look_and_the_whole_look_after_it(tmp_path):
    detector = Hasty(tmp_path / "log")
    analyst = Analyst(detector, Limits(), tmp_path / "maps")
    (entry,) = Listing([write_picture(tmp_path / "a.png", 1)])
    quick = analyst.analyse(Task(entry, quick=True), lambda sha256: True)
    assert (quick.quick_look, quick.model, quick.model_sha256, quick.precision) == (
        *(True, "glance", "9" * 64),
        "fp32",
    )
    assert quick.raw_score == quick.quick_score == read_image(entry.path).pixels.mean()
    assert (quick.verdict, quick.map) == ("cannot_judge", None)
    assert json.loads(quick.result)["model"]["name"] == "glance"
    earlier = EarlierLook(quick.sha256, quick.kept, 100.0)
    whole = analyst.analyse(Task(entry, earlier=earlier), lambda sha256: True)
    assert (whole.quick_look, whole.model, whole.kept) == (False, "noise", None)
    assert whole.quick_score == quick.quick_score
    assert whole.map is not None
    assert 100 < whole.seconds < 110, "both looks count"
    changed = EarlierLook("0" * 64, quick.kept, 100.0)
    again = analyst.analyse(Task(entry, earlier=changed), lambda sha256: True)
    assert again.seconds < 100
    assert [look for _, look in looked_at(tmp_path / "log")] == ["quick", "whole, kept of a.png", "whole"]


def test_a_model_that_takes_no_quick_looks_has_no_quick_score(tmp_path):
    found = analyse(write_picture(tmp_path / "a.png", 1))
    assert (found.quick_look, found.quick_score, found.kept) == (False, None, None)
