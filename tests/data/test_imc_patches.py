import numpy as np
import pytest

from doctored.core.errors import DataError
from doctored.core.imc_classes import IMC_CLASSES
from doctored.data.imc_patches import ImcPatches
from doctored.synth.imc385 import Manipulation, Manipulations, apply_manipulation


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)


def symmetries(photo):
    for turned in (photo, photo.transpose(1, 0, 2)):
        for y in (1, -1):
            for x in (1, -1):
                yield np.ascontiguousarray(turned[::y, ::x])


def test_each_region_shows_the_manipulation_that_its_label_names(photo):
    patches = ImcPatches([photo], crop_px=32, work_px=48, regions=4, seed=0)
    checked = 0
    for number in range(12):
        crop, regions, classes = patches[number]
        assert set(np.unique(regions)) == {0, 1, 2, 3}
        for region, index in enumerate(classes):
            if IMC_CLASSES[index].family == "noise" or IMC_CLASSES[index].type == "JPEGDoubleCompress":
                continue  # these draw from the generator, so they cannot be made again from outside
            here = regions == region
            matches = [
                np.array_equal(done[top : top + 32, left : left + 32][here], crop[here])
                for done in (apply_manipulation(view, int(index), None) for view in symmetries(photo))
                for top in range(17)
                for left in range(17)
            ]
            assert any(matches), IMC_CLASSES[index].label
            checked += 1
    assert checked > 20


def test_a_number_always_gives_the_same_sample(photo):
    first = ImcPatches([photo], crop_px=32, work_px=48, regions=1, seed=3)
    second = ImcPatches([photo], crop_px=32, work_px=48, regions=1, seed=3)
    second[5]
    for a, b in zip(first[9], second[9], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[9][0], first[10][0])


def test_classes_are_drawn_uniformly(photo):
    patches = ImcPatches([photo], crop_px=32, work_px=32, regions=4, seed=0)
    drawn = np.concatenate([patches[n][2] for n in range(400)])
    families = np.array([IMC_CLASSES[index].family for index in drawn])
    # 96 of 385 classes are compression, 15 contrast; three standard deviations of 1,600 draws.
    assert abs((families == "compression").mean() - 96 / 385) < 0.033
    assert abs((families == "contrast").mean() - 15 / 385) < 0.015


def test_small_photographs_are_refused_when_none_is_left(photo):
    with pytest.raises(DataError, match="none of the 1 photographs is 96 px"):
        ImcPatches([photo], crop_px=64, work_px=96, regions=1, seed=0)


def test_added_classes_are_drawn_as_often_as_any_other(photo):
    mark = Manipulation(
        "Mark", "tone", lambda image, level, rng: np.full_like(image, level), tuple(range(200))
    )
    patches = ImcPatches(
        [photo], crop_px=32, work_px=32, regions=4, seed=0, manipulations=Manipulations([mark])
    )
    shares = []
    for number in range(200):
        crop, regions, classes = patches[number]
        shares.extend(classes >= 385)
        for region, index in enumerate(classes):
            if index >= 385:
                assert np.all(crop[regions == region] == index - 385)
    # 200 of 585 classes; three standard deviations of 800 draws.
    assert abs(np.mean(shares) - 200 / 585) < 0.05


def test_types_can_be_drawn_alike(photo):
    patches = ImcPatches([photo], crop_px=32, work_px=32, regions=4, seed=0, balance="types")
    drawn = np.concatenate([patches[n][2] for n in range(200)])
    double = np.array([IMC_CLASSES[index].type == "JPEGDoubleCompress" for index in drawn])
    assert abs(double.mean() - 1 / 25) < 0.03  # four standard deviations; by classes it would be 64 / 385


def test_a_manipulation_for_forgeries_only_is_no_class(photo):
    def negative(image, parameter, rng):
        return 255 - image

    def darken(image, levels, rng):
        return image // levels

    added = Manipulations(
        [
            Manipulation("Negative", "tone", negative, (None,), uses=("forgeries",)),
            Manipulation("Darken", "tone", darken, (2,), uses=("imc",)),
        ]
    )
    patches = ImcPatches(
        [photo], crop_px=32, work_px=48, regions=4, seed=0, manipulations=added, balance="families"
    )
    drawn = [patches[n][2] for n in range(60)]
    assert np.concatenate(drawn).max() == 385
    assert [c.label for c in patches.manipulations.classes[385:]] == ["Darken-2"]
