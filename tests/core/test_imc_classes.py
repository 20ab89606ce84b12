import numpy as np
import pytest

from doctored.core.errors import ConfigError
from doctored.core.imc_classes import (
    IMC_CLASSES,
    IMC_FAMILIES,
    IMC_LEVELS,
    IMC_TYPES,
    extended_classes,
    level_group_names,
    level_groups,
)

KERNELS = list(range(3, 34, 2))


def steps(first: int, last: int) -> list[int]:
    return [int(value) for value in np.floor(np.linspace(first, last, 16))]


QUALITIES = steps(36, 100)
GRIDS = {
    **dict.fromkeys(("BoxBlur", "GaussianBlur", "MedianBlur"), KERNELS),
    "WaveletBlur": [3, 5, 7, 9],
    **{f"{name}Resize": steps(15, 95) for name in ("AREA", "CUBIC", "LANCZOS4", "LINEAR", "NEAREST")},
    "JPEGCompress": QUALITIES,
    "JPEGDoubleCompress": [(q1, q2) for q1 in QUALITIES[0::2] for q2 in QUALITIES[1::2]],
    "WEBPCompress": QUALITIES,
    **{f"{name}Morph": steps(2, 34) for name in ("Close", "Dilate", "Erode", "Open")},
    **{f"{name}Noise": steps(3, 35) for name in ("Gaussian", "Impulse", "Poisson", "Uniform")},
    "Quantization": list(range(50, 226, 25)),
    "Dithering": [None],
    "Posterization": [3, 4, 5, 6, 7],
    "AutoContrast": list(range(8)),
    "HistEq": list(range(1, 8)),
}
FAMILY_SIZES = {
    "blur": 52,
    "resample": 80,
    "compression": 96,
    "morphology": 64,
    "noise": 64,
    "quantisation": 14,
    "contrast": 15,
}


def members(imc_type: str) -> list:
    return [c.parameter for c in IMC_CLASSES if c.type == imc_type]


def test_there_are_385_distinct_classes_numbered_in_order():
    assert [c.index for c in IMC_CLASSES] == list(range(385))
    assert len({c.label for c in IMC_CLASSES}) == 385
    assert {family: sum(c.family == family for c in IMC_CLASSES) for family in IMC_FAMILIES} == FAMILY_SIZES


@pytest.mark.parametrize("imc_type", IMC_TYPES)
def test_each_type_holds_its_whole_grid(imc_type):
    grid = GRIDS[imc_type]
    assert len(members(imc_type)) == len(grid)
    assert set(members(imc_type)) == set(grid)


def test_no_type_is_without_a_grid():
    assert set(IMC_TYPES) == set(GRIDS)
    assert len(IMC_TYPES) == 25


@pytest.mark.parametrize(
    ("leaf", "label"),
    [
        (1, "BoxBlur-29"),
        (16, "BoxBlur-31"),
        (17, "GaussianBlur-33"),
        (49, "WaveletBlur-3"),
        (52, "WaveletBlur-7"),
        (53, "AREAResize-0.95"),
        (68, "AREAResize-0.47"),
        (132, "NEARESTResize-0.68"),
        (133, "JPEGCompress-57"),
        (140, "JPEGCompress-100"),
        (149, "JPEGDoubleCompress-95/40"),
        (180, "JPEGDoubleCompress-44/74"),
        (212, "JPEGDoubleCompress-44/91"),
        (213, "WEBPCompress-53"),
        (229, "CloseMorph-19"),
        (292, "OpenMorph-29"),
        (309, "ImpulseNoise-13"),
        (356, "UniformNoise-20"),
        (357, "Quantization-50"),
        (364, "Quantization-75"),
        (365, "Dithering"),
        (366, "AutoContrast-2"),
        (374, "HistEq-7"),
        (380, "HistEq-1"),
        (381, "Posterization-3"),
        (385, "Posterization-7"),
    ],
)
def test_classes_keep_the_numbers_of_the_class_picture(leaf, label):
    """The picture counts its leaves from 1."""
    assert IMC_CLASSES[leaf - 1].label == label


def test_two_types_in_full_picture_order():
    assert members("MedianBlur") == [21, 23, 25, 27, 29, 19, 15, 17, 11, 13, 9, 3, 7, 5, 33, 31]
    assert members("PoissonNoise") == [24, 26, 20, 22, 28, 3, 7, 5, 9, 35, 32, 30, 15, 17, 11, 13]


@pytest.mark.parametrize("level", IMC_LEVELS)
def test_a_level_has_as_many_groups_as_its_name_says(level):
    groups = level_groups(level)
    assert groups.shape == (385,)
    assert groups.dtype == np.int64
    assert sorted(set(groups.tolist())) == list(range(level))
    assert len(set(level_group_names(level))) == level


def test_the_first_levels_are_families_and_types_and_the_last_is_the_classes():
    assert [level_group_names(7)[group] for group in level_groups(7)] == [c.family for c in IMC_CLASSES]
    assert [level_group_names(25)[group] for group in level_groups(25)] == [c.type for c in IMC_CLASSES]
    assert level_group_names(385) == tuple(c.label for c in IMC_CLASSES)
    np.testing.assert_array_equal(level_groups(385), np.arange(385))


@pytest.mark.parametrize(("finer", "coarser"), [(25, 7), (49, 25), (96, 49), (185, 96), (385, 185)])
def test_every_group_but_one_lies_inside_one_group_of_the_level_above(finer, coarser):
    fine, coarse = level_groups(finer), level_groups(coarser)
    split = [
        name for group, name in enumerate(level_group_names(finer)) if len(set(coarse[fine == group])) > 1
    ]
    assert split == (["Posterization-5..6"] if finer == 96 else [])


def chunks_of(imc_type: str, level: int) -> list[list]:
    """Parameters of a type, chunk by chunk in the order of the groups, each ascending."""
    groups = level_groups(level)
    found: dict[int, list] = {}
    for c in IMC_CLASSES:
        if c.type == imc_type:
            found.setdefault(int(groups[c.index]), []).append(c.parameter)
    return [sorted(found[group]) for group in sorted(found)]


def test_chunks_by_hand():
    assert chunks_of("HistEq", 49) == [[1, 2, 3, 4], [5, 6, 7]]
    assert chunks_of("HistEq", 96) == [[1, 2], [3, 4], [5, 6], [7]]
    assert chunks_of("Posterization", 49) == [[3, 4, 5], [6, 7]]
    assert chunks_of("Posterization", 96) == [[3, 4], [5, 6], [7]]
    assert chunks_of("BoxBlur", 185) == [[k, k + 2] for k in range(3, 34, 4)]
    assert chunks_of("JPEGDoubleCompress", 185)[0] == [(36, q2) for q2 in QUALITIES[1::2]]


def test_chunk_names_tell_their_ends():
    names = level_group_names(96)
    assert names[0] == "BoxBlur-3..9"
    assert "AREAResize-0.15..0.31" in names
    assert "JPEGDoubleCompress-36/40..44/100" in names
    assert "Dithering" in names
    assert names[-1] == "Posterization-7"


def test_an_unknown_level_is_refused():
    with pytest.raises(ConfigError, match=r"one of 7, 25, 49, 96, 185, 385; got 50"):
        level_groups(50)
    with pytest.raises(ConfigError, match="got 8"):
        level_group_names(8)


def test_added_types_leave_the_385_where_they_were_at_every_level():
    classes = extended_classes(IMC_CLASSES, "blur", "MotionBlur", (3, 9, 5, 7, 11))
    classes = extended_classes(classes, "tone", "Sepia", (None,))
    assert [c.label for c in classes[385:]] == [
        "MotionBlur-3", "MotionBlur-9", "MotionBlur-5", "MotionBlur-7", "MotionBlur-11", "Sepia",
    ]  # fmt: skip
    for level in IMC_LEVELS:
        groups, names = level_groups(level, classes), level_group_names(level, classes)
        np.testing.assert_array_equal(groups[:385], level_groups(level))
        assert names[:level] == level_group_names(level)
        assert sorted(set(groups.tolist())) == list(range(len(names)))


def test_groups_of_added_types_by_hand():
    classes = extended_classes(IMC_CLASSES, "blur", "MotionBlur", (3, 9, 5, 7, 11))
    classes = extended_classes(classes, "tone", "Sepia", (None,))
    # In the order of the classes: strengths 3, 9, 5, 7, 11, then Sepia.
    assert level_groups(7, classes)[385:].tolist() == [0, 0, 0, 0, 0, 7]
    assert level_groups(25, classes)[385:].tolist() == [25, 25, 25, 25, 25, 26]
    assert level_groups(49, classes)[385:].tolist() == [49, 50, 49, 49, 50, 51]  # chunks of three
    assert level_groups(96, classes)[385:].tolist() == [96, 97, 96, 97, 98, 99]  # chunks of two
    assert level_groups(185, classes)[385:].tolist() == [185, 188, 186, 187, 189, 190]
    assert level_groups(385, classes)[385:].tolist() == [385, 386, 387, 388, 389, 390]
    assert level_group_names(49, classes)[49:] == ("MotionBlur-3..7", "MotionBlur-9..11", "Sepia")
