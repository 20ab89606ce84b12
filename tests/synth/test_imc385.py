import numpy as np
import pytest

from doctored.core.errors import ConfigError, ShapeError
from doctored.core.imc_classes import IMC_CLASSES, IMC_TYPES
from doctored.synth.imc385 import MANIPULATIONS, OPERATORS, Manipulation, Manipulations, apply_manipulation

UNROUNDED_TYPES = {"WaveletBlur", "GaussianNoise", "UniformNoise", "PoissonNoise"}


def picture(size_hw: tuple[int, int] = (96, 104), lowest: int = 40, highest: int = 200) -> np.ndarray:
    """Coarse and fine texture between two grey levels, both of which occur in every channel."""
    rng = np.random.default_rng(7)
    height, width = size_hw
    coarse = rng.integers(lowest, highest + 1, (height // 7 + 1, width // 7 + 1, 3))
    coarse = coarse.repeat(7, axis=0).repeat(7, axis=1)[:height, :width]
    image = np.clip(coarse + rng.integers(-9, 10, coarse.shape), lowest, highest).astype(np.uint8)
    image[0, 0], image[-1, -1] = lowest, highest
    return image


def manipulate(imc_class, image, seed=1, **options):
    return apply_manipulation(image, imc_class, np.random.default_rng(seed), **options)


@pytest.fixture(scope="module")
def results() -> list[np.ndarray]:
    return [manipulate(c, picture()) for c in MANIPULATIONS.classes]


def test_every_type_has_an_operator():
    assert set(OPERATORS) == set(IMC_TYPES)
    assert set(MANIPULATIONS.operators) == set(MANIPULATIONS.types)


@pytest.mark.parametrize("imc_type", MANIPULATIONS.types)
def test_every_class_changes_the_picture_and_keeps_size_and_dtype(imc_type, results):
    for c in MANIPULATIONS.classes:
        if c.type == imc_type:
            assert results[c.index].dtype == np.uint8
            assert results[c.index].shape == (96, 104, 3)
            assert np.any(results[c.index] != picture()), c.label


@pytest.mark.parametrize("imc_type", MANIPULATIONS.types)
def test_no_two_classes_of_a_type_do_the_same(imc_type, results):
    """Includes the neighbours in the grid."""
    of_type = [results[c.index].tobytes() for c in MANIPULATIONS.classes if c.type == imc_type]
    assert len(set(of_type)) == len(of_type)


@pytest.mark.parametrize("imc_type", MANIPULATIONS.types)
def test_a_seed_gives_the_same_picture_twice(imc_type, results):
    for c in MANIPULATIONS.classes:
        if c.type == imc_type:
            np.testing.assert_array_equal(manipulate(c.index, picture()), results[c.index], err_msg=c.label)


def test_only_noise_and_double_jpeg_depend_on_the_seed(results):
    seeded = {c.type for c in IMC_CLASSES if np.any(manipulate(c, picture(), seed=2) != results[c.index])}
    assert seeded == {"GaussianNoise", "UniformNoise", "PoissonNoise", "ImpulseNoise", "JPEGDoubleCompress"}


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (7, 1), (5, 3)])
def test_every_class_works_on_tiny_pictures(size_hw):
    image = np.random.default_rng(3).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    for c in MANIPULATIONS.classes:
        manipulated = manipulate(c, image)
        assert manipulated.shape == image.shape, c.label
        assert manipulated.dtype == np.uint8, c.label


def test_the_picture_itself_is_left_alone_even_as_a_read_only_view():
    image = picture((64, 64))
    view = image[8:40, 8:40]
    view.flags.writeable = False
    before = view.copy()
    for c in MANIPULATIONS.classes:
        from_view = manipulate(c, view)
        np.testing.assert_array_equal(view, before, err_msg=c.label)
        np.testing.assert_array_equal(from_view, manipulate(c, before), err_msg=c.label)
        assert not np.shares_memory(from_view, image), c.label


def test_rounding_is_half_to_even_and_clips():
    values = np.array([-3.0, 0.5, 1.5, 2.5, 254.5, 255.5, 300.0, 7.4, 7.6], np.float32)
    constant = Manipulation("Ramp", "tone", lambda *_: values.repeat(3).reshape(1, 9, 3), parameters=(None,))
    image, added = np.zeros((1, 9, 3), np.uint8), Manipulations([constant])
    assert manipulate(385, image, manipulations=added)[0, :, 0].tolist() == [0, 0, 2, 2, 254, 255, 255, 7, 8]
    unrounded = manipulate(385, image, manipulations=added, rounded=False)
    np.testing.assert_array_equal(unrounded[0, :, 0], values)


def test_unrounded_mode_differs_from_the_stored_picture_by_rounding_and_clipping_only(results):
    for c in IMC_CLASSES[::5]:
        unrounded = manipulate(c, picture(), rounded=False)
        assert unrounded.dtype == np.float32
        np.testing.assert_allclose(np.clip(unrounded, 0, 255), results[c.index], atol=0.5, err_msg=c.label)
        if c.type not in UNROUNDED_TYPES:
            np.testing.assert_array_equal(unrounded, results[c.index], err_msg=c.label)


def test_unrounded_mode_keeps_fractions_and_overshoot():
    strongest = next(c for c in IMC_CLASSES if c.label == "GaussianNoise-35")
    unrounded = manipulate(strongest, picture(), rounded=False)
    assert unrounded.max() > 255
    assert np.mean(unrounded != np.rint(unrounded)) > 0.9


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_other_arrays_are_refused(image):
    with pytest.raises(ShapeError, match=r"RGB picture of shape \(H, W, 3\) and dtype uint8; got"):
        manipulate(0, image)


@pytest.mark.parametrize("index", [-1, 385])
def test_other_indices_are_refused(index):
    with pytest.raises(ConfigError, match=rf"numbered 0\.\.384; got {index}"):
        manipulate(index, picture())


def lighten(image, levels, rng):
    return np.minimum(image.astype(np.int16) + levels, 255).astype(np.uint8)


LIGHTEN = Manipulation("Lighten", "tone", lighten, parameters=(5, 10))


def test_the_385_keep_their_places_whatever_is_added_to_the_package():
    assert MANIPULATIONS.classes[:385] == IMC_CLASSES
    assert MANIPULATIONS.types[:25] == IMC_TYPES


def test_an_added_type_comes_after_the_385_and_is_applied_by_index_or_class():
    added = Manipulations([LIGHTEN])
    assert added.classes[:385] == IMC_CLASSES
    assert [c.label for c in added.classes[385:]] == ["Lighten-5", "Lighten-10"]
    np.testing.assert_array_equal(manipulate(386, picture(), manipulations=added), picture() + 10)
    by_class = manipulate(added.classes[385], picture(), manipulations=added)
    np.testing.assert_array_equal(by_class, picture() + 5)
    np.testing.assert_array_equal(manipulate(3, picture(), manipulations=added), manipulate(3, picture()))


def test_types_are_drawn_alike_and_then_their_strengths():
    added, rng = Manipulations([LIGHTEN]), np.random.default_rng(0)
    drawn = [added.draw(rng).label for _ in range(5200)]
    # 26 types: 200 of each expected, standard deviation 14; JPEGDoubleCompress has 64 strengths, this one two.
    assert abs(sum(label.startswith("JPEGDouble") for label in drawn) - 200) < 60
    assert abs(drawn.count("Lighten-5") - 100) < 45
    assert abs(drawn.count("Lighten-10") - 100) < 45


@pytest.mark.parametrize(
    ("balance", "double_jpeg", "lightened"),
    # Of 387 classes, 26 types and 8 families; 64 of the 96 compressions are double JPEG.
    [("classes", 64 / 387, 2 / 387), ("types", 1 / 26, 1 / 26), ("families", 64 / 96 / 8, 1 / 8)],
)
def test_what_is_drawn_alike_can_be_chosen(balance, double_jpeg, lightened):
    added, rng = Manipulations([LIGHTEN]), np.random.default_rng(0)
    drawn = [added.draw(rng, balance).type for _ in range(4000)]
    for imc_type, share in (("JPEGDoubleCompress", double_jpeg), ("Lighten", lightened)):
        deviation = np.sqrt(share * (1 - share) / 4000)
        assert abs(drawn.count(imc_type) / 4000 - share) < 4 * deviation, imc_type


def test_an_added_type_is_met_where_it_is_to_be():
    first = Manipulation("Lighten", "tone", lighten, parameters=(5, 10), uses=("forgeries",))
    second = Manipulation("Brighten", "tone", lighten, parameters=(20,), uses=("imc",))
    both = Manipulations([first, second])
    assert [c.label for c in both.classes[385:]] == ["Lighten-5", "Lighten-10", "Brighten-20"]
    assert [c.label for c in both.used_in("imc").classes[385:]] == ["Brighten-20"]
    assert both.used_in("imc").classes[385].index == 385
    assert [c.label for c in both.used_in("forgeries").classes[385:]] == ["Lighten-5", "Lighten-10"]
    assert Manipulations([LIGHTEN]).used_in("imc").classes == Manipulations([LIGHTEN]).classes


def test_uses_that_do_not_exist_are_refused():
    for uses in ((), ("enhancement",)):
        with pytest.raises(ConfigError, match="the uses of Lighten"):
            Manipulations([Manipulation("Lighten", "tone", lighten, (1,), uses=uses)])


def test_a_class_that_is_not_in_use_is_refused():
    added = Manipulations([LIGHTEN])
    with pytest.raises(ConfigError, match="Lighten-5 is none of the manipulations in use"):
        manipulate(added.classes[385], picture())


def test_a_name_that_exists_and_parameters_that_make_no_classes_are_refused():
    for manipulation, message in (
        (Manipulation("BoxBlur", "blur", lighten, (1,)), "already is a manipulation type 'BoxBlur'"),
        (Manipulation("Lighten", "tone", lighten, (1, 1)), r"distinct and at least one; got \[1, 1\]"),
        (Manipulation("Lighten", "tone", lighten, ()), r"distinct and at least one; got \[\]"),
    ):
        with pytest.raises(ConfigError, match=message):
            Manipulations([manipulation])


def test_an_operator_that_changes_the_size_is_named():
    crop = Manipulation("Crop", "geometry", lambda image, parameter, rng: image[1:], parameters=(None,))
    with pytest.raises(ShapeError, match=r"Crop made \(95, 104, 3\) of a picture of \(96, 104, 3\)"):
        manipulate(385, picture(), manipulations=Manipulations([crop]))
