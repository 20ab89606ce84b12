"""One of several looks first, and what it said is kept."""

import zlib
from dataclasses import fields

import numpy as np
import pytest

from doctored.core.errors import ConfigError, DataError
from doctored.core.picture import Picture
from doctored.predict.combination import COMBINATION_FILE, Combination, WitnessWeights
from doctored.predict.detector import Detector, load_witness
from doctored.predict.panel import CombinedWitnesses
from doctored.predict.quick_look import pack, unpack
from doctored.predict.regions import TileRegions
from models.constrained_rcnn.toys import tiny_pictures


@pytest.fixture
def pair(overfitted_rcnn, tmp_path):
    """The folder of a combination of the noise yardstick and a Constrained R-CNN that finds something."""
    witnesses = load_witness("noise"), load_witness(overfitted_rcnn.folder, precision="fp32")
    models = "noise", str(overfitted_rcnn.folder)
    weights = [
        WitnessWeights(model, one.sha256, 0.5, 0.5) for model, one in zip(models, witnesses, strict=True)
    ]
    (tmp_path / COMBINATION_FILE).write_bytes(Combination(tuple(weights), 0.1, "nothing", {}).to_bytes())
    return tmp_path


def tile(regions, rois, seed):
    rng = np.random.default_rng(seed)
    return TileRegions(
        rng.random((regions, 4), np.float32) * 90,
        rng.random(regions, np.float32),
        rng.integers(1, 5, regions),
        rng.random((regions, 14, 14), np.float32),
        rng.random((rois, 4), np.float32) * 90,
        rng.standard_normal(rois, np.float32),
    )


def test_what_is_kept_is_exact():
    tiles = [tile(3, 50, 0), tile(0, 1, 1), tile(8, 50, 2)]
    found = unpack(pack(tiles))
    assert len(found) == 3
    for one, other in zip(found, tiles, strict=True):
        for field in fields(TileRegions):
            array, expected = getattr(one, field.name), getattr(other, field.name)
            assert array.dtype == expected.dtype, field.name
            np.testing.assert_array_equal(array, expected)


def test_damage_is_a_sentence():
    kept = pack([tile(2, 50, 0)])
    arrays = zlib.decompress(kept)
    for damaged in (b"", kept[:-20], b"nothing", zlib.compress(arrays[:-100]), zlib.compress(b"x" * 300)):
        with pytest.raises(DataError, match="quick look is damaged"):
            unpack(damaged)


def test_the_whole_answer_is_the_same_whether_or_not_a_quick_look_came_first(pair, monkeypatch):
    detector = Detector.from_name(pair, precision="fp32")
    picture = Picture.from_array(tiny_pictures()[0])
    look, expected = detector.quick_look(picture), detector.inspect(picture)
    engine, shown = detector._quick.engine, []
    look_at = engine.regions
    monkeypatch.setattr(engine, "regions", lambda tile: shown.append(tile) or look_at(tile))
    steps = []
    inspection = detector.inspect(picture, lambda *step: steps.append(step), kept=look.kept)
    mirrored = (picture.pixels[:, ::-1], picture.pixels[::-1], picture.pixels[::-1, ::-1])
    assert len(shown) == 3, "the network looked again at the picture as it is"
    assert all(np.array_equal(one, other) for one, other in zip(shown, mirrored, strict=True))
    assert inspection.model == expected.model
    np.testing.assert_array_equal(inspection.localization_map, expected.localization_map)
    assert len(inspection.regions) == len(expected.regions) >= 1
    for one, other in zip(inspection.regions, expected.regions, strict=True):
        assert one.to_json() == other.to_json()
        np.testing.assert_array_equal(one.mask, other.mask)
    assert [w.to_json() for w in inspection.witnesses] == [w.to_json() for w in expected.witnesses]
    assert steps == [(1, 1)], "only the yardstick has a step to do"


def test_a_quick_look_judges_nothing(pair, overfitted_rcnn, monkeypatch):
    monkeypatch.setattr("doctored.predict.witnesses.VIEWED_PX", 0)  # the other model looks once, too
    detector = Detector.from_name(pair, precision="fp32")
    picture = Picture.from_array(tiny_pictures()[0])
    inspection = detector.quick_look(picture).inspection
    alone = Detector.from_name(overfitted_rcnn.folder, precision="fp32").inspect(picture)
    assert inspection.model == alone.model
    np.testing.assert_array_equal(inspection.localization_map, alone.localization_map)
    assert (inspection.verdict, inspection.detection_score) == ("cannot_judge", None)
    assert "only constrained-rcnn has looked, quickly" in inspection.reason
    assert detector.quick_facts == ("constrained-rcnn", alone.model.sha256, "fp32")


def test_what_was_kept_of_another_picture_is_refused(pair):
    detector = Detector.from_name(pair, precision="fp32")
    picture = Picture.from_array(tiny_pictures()[0])
    two_tiles = pack([tile(1, 50, 0), tile(1, 50, 1)])
    with pytest.raises(DataError, match="saw 2 tiles of a picture that is cut into 1 now"):
        detector.inspect(picture, kept=two_tiles)


def test_one_model_alone_takes_no_quick_looks(overfitted_rcnn):
    picture = Picture.from_array(np.zeros((70, 80, 3), np.uint8))
    for name in ("noise", overfitted_rcnn.folder):
        detector = Detector.from_name(name)
        assert detector.quick_facts is None
        with pytest.raises(ConfigError, match=r"of several models, and .* has none; give both"):
            detector.quick_look(picture)
    noise, sharpness = load_witness("noise"), load_witness("sharpness")
    weights = tuple(WitnessWeights(one.name, one.sha256, 0.5, 0.5) for one in (noise, sharpness))
    without = CombinedWitnesses("pair", (noise, sharpness), Combination(weights, 0.0, "nothing", {}))
    assert Detector(without).quick_facts is None
