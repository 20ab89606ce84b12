import json
from pathlib import Path

import numpy as np
import pytest

from doctored.core.errors import ModelError
from doctored.core.jpeg_facts import JpegFacts
from doctored.core.picture import Picture
from doctored.predict import calibration as module
from doctored.predict.calibration import (
    FEWEST_LIKE,
    MOST_LIKE,
    Calibration,
    CalibrationPhotograph,
    Entry,
    compression_of,
    describe_compression,
    read_calibration,
)
from doctored.predict.raw_score import LARGEST_REGION
from predict.calibrations import make_calibration


def like(calibration: Calibration, side: int = 256, compression: float | str = "lossless") -> list[float]:
    return sorted(calibration.like((side, side), compression).scores.tolist())


def test_like_means_within_one_octave_of_size_and_compression():
    entries = [
        (side, compression, score)
        for score, (side, compression) in enumerate(
            [
                (256, "lossless"),
                (129, "lossless"),  # just within an octave
                (127, "lossless"),  # just beyond
                (511, "lossless"),
                (513, "lossless"),
                (256, 90.0),
                (256, 95.0),
                (256, 70.0),
                (256, "webp"),
            ]
        )
    ]
    calibration = make_calibration(entries)
    assert like(calibration) == [0, 1, 3]
    # Mean steps of 11.5, 5.8 and 34.6, each plus 2: within a factor of two of 90 is 95, not 70.
    assert like(calibration, compression=90.0) == [5, 6]
    assert like(calibration, compression=72.0) == [7]
    assert like(calibration, compression="webp") == [8]
    assert like(calibration, compression="gif") == []
    # Both distances count together: half an octave of size is fine, with 0.9 octaves of compression it is too far.
    assert 6 in like(calibration, 256, 90.0)
    assert 6 not in like(calibration, 400, 90.0)


def test_of_each_photograph_only_the_nearest_version_counts():
    rows = [(0, 256, 10.0), (0, 300, 11.0), (0, 128, 12.0), (1, 300, 20.0), (1, 200, 21.0)]
    calibration = make_calibration(
        [(side, "lossless", score) for _, side, score in rows], photographs=[number for number, *_ in rows]
    )
    assert like(calibration, 256) == [10, 20]
    assert like(calibration, 310) == [11, 20]
    assert like(calibration, 150) == [12, 21]


def test_no_group_outweighs_the_others():
    groups = ["large"] * 300 + ["a"] * 30 + ["b"] * 40
    rng = np.random.default_rng(0)
    sides = rng.integers(200, 300, len(groups)).tolist()
    calibration = make_calibration([(side, "lossless", n) for n, side in enumerate(sides)], groups=groups)
    found = like(calibration)
    counts = {name: sum(groups[int(n)] == name for n in found) for name in ("large", "a", "b")}
    assert counts == {"large": 70, "a": 30, "b": 40}
    # And those kept of it are its nearest.
    distances = np.abs(np.log2(np.array(sides[:300]) / 256))
    kept = [int(n) for n in found if n < 300]
    assert distances[kept].max() <= np.sort(distances)[69]


def test_a_large_group_fills_up_to_the_fewest_that_are_needed():
    groups = ["large"] * 300 + ["a"] * 5
    calibration = make_calibration([(256, "lossless", n) for n in range(305)], groups=groups)
    assert len(like(calibration)) == FEWEST_LIKE
    alone = make_calibration([(256, "lossless", n) for n in range(305)], groups=["one"] * 305)
    assert len(like(alone)) == MOST_LIKE


def test_groups_take_turns_until_there_are_enough():
    groups = [f"g{number % 2}" if number < 600 else f"small{number}" for number in range(620)]
    calibration = make_calibration([(256, "lossless", n) for n in range(620)], groups=groups)
    found = like(calibration)
    assert len(found) == MOST_LIKE
    assert {n for n in found if n >= 600} == set(range(600, 620))
    assert sum(n < 600 and n % 2 == 0 for n in found) == 90


def test_where_too_few_are_like_it_the_nearest_give_a_score():
    calibration = make_calibration([(64 + n, "lossless", float(n)) for n in range(200)])
    found = calibration.like((4000, 4000), "lossless")
    assert len(found.scores) == 0
    assert sorted(found.nearest) == [float(n) for n in range(150, 200)]
    assert len(calibration.like((150, 150), 80.0).nearest) == FEWEST_LIKE
    enough = calibration.like((150, 150), "lossless")
    assert enough.nearest is enough.scores


def test_false_alarms_are_as_promised_where_scores_depend_on_size_and_quality():
    """Leave out one photograph at a time: its rate must be uniform also where the scores shift."""
    rng = np.random.default_rng(1)
    count = 400
    octaves, qualities = rng.uniform(6, 10, count), rng.uniform(60, 95, count)
    scores = octaves + (100 - qualities) / 10 + rng.normal(size=count)
    rows = [
        (round(2**octave), round(quality, 1), score)
        for octave, quality, score in zip(octaves, qualities, scores, strict=True)
    ]
    rates = []
    for left_out, (side, quality, score) in enumerate(rows):
        found = make_calibration(rows[:left_out] + rows[left_out + 1 :]).like((side, side), quality).scores
        if len(found) >= FEWEST_LIKE:
            rates.append((np.count_nonzero(found >= score) + 1) / (len(found) + 1))
    assert len(rates) > 300
    assert 0.02 < np.mean(np.array(rates) <= 0.05) < 0.09
    assert 0.4 < np.mean(np.array(rates) <= 0.5) < 0.6


def sized(slope: float, seed: int = 0) -> list[tuple[int, str, float]]:
    """Versions at 64, 128, 256 and 512 px of 80 photographs, whose scores grow by the slope with each doubling."""
    rng = np.random.default_rng(seed)
    return [
        (64 * 2**step, "lossless", level + slope * step + rng.normal(0, 0.01))
        for level in rng.normal(size=80)
        for step in range(4)
    ]


def test_a_larger_picture_is_compared_with_smaller_ones_where_scores_fall():
    photographs = [number for number in range(80) for _ in range(4)]
    falling = make_calibration(sized(-0.5), photographs=photographs)
    assert falling.scores_fall_with_size
    found = falling.like((3000, 4000), "lossless")
    assert found.smaller
    np.testing.assert_array_equal(found.scores, falling.like((512, 512), "lossless").scores)
    assert not falling.like((512, 512), "lossless").smaller
    # Nothing is known about smaller ones, nor about other compression.
    assert len(falling.like((20, 20), "lossless").scores) == 0
    assert len(falling.like((3000, 4000), 90.0).scores) == 0


def test_a_larger_picture_is_not_judged_where_scores_rise():
    photographs = [number for number in range(80) for _ in range(4)]
    for slope in (0.02, 0.5):
        rising = make_calibration(sized(slope), photographs=photographs)
        assert not rising.scores_fall_with_size
        assert len(rising.like((3000, 4000), "lossless").scores) == 0


def test_too_few_photographs_say_nothing_about_size():
    photographs = [number for number in range(40) for _ in range(4)]
    assert not make_calibration(sized(-0.5)[:160], photographs=photographs).scores_fall_with_size


def test_it_comes_back_from_its_file_and_has_the_same_bytes_each_time(tmp_path: Path):
    entries = [(64, "lossless", 0.1), (100, 87.5, 1 / 3), (5000, "webp", -2.0)]
    calibration = make_calibration(entries, groups=["b", "a", "b"])
    for name in ("one.json", "two.json"):
        calibration.save(tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]
    stored = json.loads((tmp_path / "one.json").read_text())
    assert stored["groups"] == {"a": 1, "b": 2}
    assert stored["entries"][1] == [1, 100, 100, 87.5, 1 / 3]
    again = read_calibration(tmp_path / "one.json")
    assert again.entries == calibration.entries
    assert again.photographs == calibration.photographs
    assert len(again.sha256) == 64
    assert again.to_bytes() == calibration.to_bytes()


def test_another_model_or_raw_score_is_refused():
    calibration = make_calibration([(64, "lossless", 0.0)])
    calibration.check_model("mantranet", "ab" * 32, LARGEST_REGION.name)
    with pytest.raises(ModelError, match=r"belongs to mantranet with SHA-256 abab.*, not to other with cdcd"):
        calibration.check_model("other", "cd" * 32, LARGEST_REGION.name)
    older = make_calibration([(64, "lossless", 0.0)], raw_score="maximum")
    with pytest.raises(ModelError, match=f"raw score 'maximum', this version uses '{LARGEST_REGION.name}'"):
        older.check_model("mantranet", "ab" * 32, LARGEST_REGION.name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-30], "not a complete calibration"),
        (lambda text: text.replace('"format": 1', '"format": 9'), "has format 9, this version reads 1"),
        (lambda text: text.replace('"entries"', '"entrees"'), "entries"),
        (lambda text: text.replace("0.25", "NaN"), "score nan"),
        (lambda text: text.replace('"lossless"', "-3.5"), "JPEG quality -3.5"),
        (lambda text: text.replace('"lossless"', "1e999"), "JPEG quality inf"),
        (lambda text: text.replace("[0, 64", "[0, 1e999"), "not a complete calibration"),
        (lambda text: "[" * 100_000, "nested too deeply"),
        (lambda text: text.replace(f'"{0:064x}"', "7"), "7 is no text"),
        (lambda text: text.replace('"as they are"', "[]"), "is no text"),
        (lambda text: text.replace("[0, 64", "[7, 64"), "names no photograph"),
        (lambda text: "[]", "not a complete calibration"),
    ],
)
def test_a_damaged_file_is_a_sentence(tmp_path: Path, damage, message: str):
    path = tmp_path / "calibration.json"
    text = make_calibration([(64, "lossless", 0.25)]).to_bytes().decode()
    assert damage(text) != text
    path.write_text(damage(text))
    with pytest.raises(ModelError, match=message):
        read_calibration(path)


def test_missing_and_empty_are_sentences(tmp_path: Path):
    with pytest.raises(ModelError, match=r"none\.json cannot be read"):
        read_calibration(tmp_path / "none.json")
    with pytest.raises(ModelError, match="at least one picture"):
        make_calibration([])
    with pytest.raises(ModelError, match="cannot be written"):
        make_calibration([(64, "lossless", 0.0)]).save(tmp_path / "no" / "folder.json")


def test_compression_of_a_picture():
    picture = Picture.from_array(np.zeros((4, 4), np.uint8))
    assert compression_of(picture) == "lossless"
    assert describe_compression("lossless") == "lossless"
    webp = Picture(**{**vars(picture), "format": "WEBP"})
    assert compression_of(webp) == "webp"
    assert describe_compression("webp") == "WEBP"
    facts = JpegFacts(((8,) * 64,), ((1, 1),), "grey", False)
    jpeg = Picture(**{**vars(picture), "format": "JPEG", "jpeg": facts})
    assert compression_of(jpeg) == facts.estimated_quality
    assert describe_compression(85.4) == "JPEG quality 85"


def test_photographs_are_listed_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FEWEST_LIKE", 1)
    calibration = Calibration(
        "m", "ab", "r", "fp32", "", (CalibrationPhotograph("00", "g"),), (Entry(0, (2, 3), 9.0, 1.0),), {}
    )
    assert calibration.counts_near((2, 3)) == (1, 0, 0)
    assert calibration.counts_near((200, 300)) == (0, 1, 0)
    assert calibration.counts_near((1, 1)) == (0, 0, 1)
