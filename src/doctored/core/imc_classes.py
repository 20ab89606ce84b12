"""The 385 image manipulation classes of ManTra-Net's pretext task, and the levels that merge them.

Paper: Wu, AbdAlmageed and Natarajan, CVPR 2019 (the hierarchy of 7, 25, 49, 96, 185 and 385 manipulations).
Differs: 380 classes are those of the authors' class picture, in its order. The five Posterization classes
    and the rule that merges parameters (:func:`level_groups`) are inferred; together they give the published
    counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doctored.core.errors import ConfigError

Parameter = int | tuple[int, int] | None

IMC_LEVELS = (7, 25, 49, 96, 185, 385)
"""Number of groups at each level: families, types, three levels of parameter chunks, single classes."""

# One row per type: family, type, parameters in the order of the class picture, which numbers the classes.
# Posterization is not in the picture and comes last, so that the others keep the picture's numbers.
_PICTURE = (
    ("blur", "BoxBlur", "29 11 13 15 17 19 25 27 21 23 3 7 5 9 33 31"),
    ("blur", "GaussianBlur", "33 31 5 7 3 9 11 13 15 17 19 29 21 23 25 27"),
    ("blur", "MedianBlur", "21 23 25 27 29 19 15 17 11 13 9 3 7 5 33 31"),
    ("blur", "WaveletBlur", "3 5 9 7"),
    ("resample", "AREAResize", "95 73 79 36 31 89 84 63 68 25 20 57 52 15 41 47"),
    ("resample", "CUBICResize", "36 68 63 84 89 31 79 73 95 47 41 15 57 52 25 20"),
    ("resample", "LANCZOS4Resize", "36 31 79 73 47 41 89 84 15 52 57 25 20 68 63 95"),
    ("resample", "LINEARResize", "41 47 95 73 79 36 31 84 63 68 25 20 57 52 89 15"),
    ("resample", "NEARESTResize", "95 20 25 31 79 73 36 41 47 52 57 84 89 15 63 68"),
    ("compression", "JPEGCompress", "57 53 91 95 61 65 36 100 74 70 78 48 44 40 82 87"),
    (
        "compression",
        "JPEGDoubleCompress",
        "95/40 36/74 95/57 61/65 70/100 95/65 53/74 87/100 78/57 87/48 95/100 70/65 78/40 78/48 87/65 53/40 "
        "61/57 87/57 95/82 70/91 53/57 61/40 61/74 44/48 87/40 95/91 70/82 87/82 87/91 53/65 36/48 44/74 "
        "36/100 61/91 36/65 53/48 53/82 36/57 78/100 78/74 53/91 70/57 87/74 61/48 70/40 95/48 78/91 44/40 "
        "78/65 36/40 53/100 44/100 36/91 36/82 70/74 61/100 61/82 44/82 78/82 44/57 44/65 95/74 70/48 44/91",
    ),
    ("compression", "WEBPCompress", "53 87 82 100 65 61 95 91 36 57 78 70 74 40 44 48"),
    ("morphology", "CloseMorph", "19 16 14 12 10 27 23 21 25 29 34 31 6 4 2 8"),
    ("morphology", "DilateMorph", "21 23 25 27 19 14 16 10 12 29 31 34 8 2 4 6"),
    ("morphology", "ErodeMorph", "16 31 34 21 23 25 27 29 8 2 6 4 19 14 10 12"),
    ("morphology", "OpenMorph", "10 12 14 16 19 21 23 25 27 2 6 4 8 31 34 29"),
    ("noise", "GaussianNoise", "3 7 5 9 30 32 35 22 20 26 24 28 17 15 13 11"),
    ("noise", "ImpulseNoise", "13 11 17 15 9 3 5 7 28 26 24 22 20 30 32 35"),
    ("noise", "PoissonNoise", "24 26 20 22 28 3 7 5 9 35 32 30 15 17 11 13"),
    ("noise", "UniformNoise", "35 30 32 7 5 3 9 13 11 17 15 28 26 24 22 20"),
    ("quantisation", "Quantization", "50 125 225 175 100 200 150 75"),
    ("quantisation", "Dithering", "-"),
    ("contrast", "AutoContrast", "2 3 0 1 6 7 4 5"),
    ("contrast", "HistEq", "7 6 5 4 3 2 1"),
    ("quantisation", "Posterization", "3 4 5 6 7"),
)


@dataclass(frozen=True)
class ImcClass:
    """One manipulation at one strength: one of the 385, or one that was added to them.

    Args:
        index: Canonical number, 0..384; added classes go on from 385.
        family: One of the 7 names in ``IMC_FAMILIES``; an added class may found a family.
        type: One of the 25 names in ``IMC_TYPES``, spelled as in the class picture, or an added one.
        parameter: Strength. Kernel side in pixels (blur, morphology), sigma in percent of full scale
            (WaveletBlur), scale in percent (resample), quality (compression; first and second for
            JPEGDoubleCompress), amplitude in grey levels or percent of samples (noise), colours, bits, cutoff
            percent or channel bits (quantisation, contrast); None for Dithering.
        label: Type and parameter as one word, for instance "BoxBlur-29", "AREAResize-0.95" or
            "JPEGDoubleCompress-95/40".
    """

    index: int
    family: str
    type: str
    parameter: Parameter
    label: str


def extended_classes(
    classes: Sequence[ImcClass], family: str, imc_type: str, parameters: Sequence[Parameter]
) -> tuple[ImcClass, ...]:
    """Append the classes of one more type; those before keep their numbers and their groups at every level.

    Args:
        classes: What there is, numbered from 0.
        family: Where the type belongs; a new name founds a family.
        imc_type: Name of the type.
        parameters: One class for each; (None,) for a type without a strength.

    Raises:
        ConfigError: the type exists, or has no parameters or one twice.
    """
    if any(c.type == imc_type for c in classes):
        raise ConfigError(f"there already is a manipulation type {imc_type!r}; give yours another name")
    if not parameters or len(set(parameters)) < len(parameters):
        raise ConfigError(
            f"the parameters of {imc_type} must be distinct and at least one; got {list(parameters)}"
        )
    added = [
        ImcClass(index, family, imc_type, parameter, _label(family, imc_type, parameter))
        for index, parameter in enumerate(parameters, start=len(classes))
    ]
    return (*classes, *added)


def _label(family: str, imc_type: str, parameter: Parameter) -> str:
    if parameter is None:
        return imc_type
    if isinstance(parameter, tuple):
        return f"{imc_type}-{'/'.join(map(str, parameter))}"
    return f"{imc_type}-0.{parameter:02d}" if family == "resample" else f"{imc_type}-{parameter}"


def _parameter(text: str) -> Parameter:
    if text == "-":
        return None
    if "/" in text:
        first, second = text.split("/")
        return int(first), int(second)
    return int(text)


def _classes_of_the_picture() -> tuple[ImcClass, ...]:
    classes: tuple[ImcClass, ...] = ()
    for family, imc_type, texts in _PICTURE:
        classes = extended_classes(classes, family, imc_type, [_parameter(text) for text in texts.split()])
    return classes


IMC_CLASSES: tuple[ImcClass, ...] = _classes_of_the_picture()


def families_of(classes: Sequence[ImcClass]) -> tuple[str, ...]:
    """Names of the families of some classes, in order of first appearance."""
    return tuple(dict.fromkeys(c.family for c in classes))


def types_of(classes: Sequence[ImcClass]) -> tuple[str, ...]:
    """Names of the types of some classes, in order of first appearance."""
    return tuple(dict.fromkeys(c.type for c in classes))


IMC_FAMILIES: tuple[str, ...] = families_of(IMC_CLASSES)
IMC_TYPES: tuple[str, ...] = types_of(IMC_CLASSES)


def _strength(imc_class: ImcClass) -> tuple[int, ...]:
    if imc_class.parameter is None:
        return ()
    return imc_class.parameter if isinstance(imc_class.parameter, tuple) else (imc_class.parameter,)


def _chunks(level: int, classes: Sequence[ImcClass]) -> list[list[ImcClass]]:
    """The members of each group of a level, in the order of the groups."""
    if level not in IMC_LEVELS:
        raise ConfigError(f"IMC level must be one of {', '.join(map(str, IMC_LEVELS))}; got {level!r}")
    if level == 7:
        return [[c for c in classes if c.family == family] for family in families_of(classes)]
    if level == 385:
        return [[c] for c in classes]
    halvings = IMC_LEVELS.index(level) - 1
    groups = []
    for imc_type in types_of(classes):
        ascending = sorted((c for c in classes if c.type == imc_type), key=_strength)
        size = -(-len(ascending) // 2**halvings)
        groups += [ascending[start : start + size] for start in range(0, len(ascending), size)]
    return groups


def level_groups(level: int, classes: Sequence[ImcClass] = IMC_CLASSES) -> NDArray[np.int64]:
    """Which group every class belongs to at a level of the hierarchy.

    Level 7 groups by family, level 25 by type. Levels 49, 96 and 185 (k = 1, 2, 3) cut the n parameters of
    every type into chunks of ceil(n / 2^k) that are consecutive in ascending order; JPEGDoubleCompress is
    ordered by the first quality, then by the second. At level 385 every class is its own group.

    Args:
        level: A member of ``IMC_LEVELS``; it counts the groups of the 385, to which added types bring more.
        classes: The 385, or what ``extended_classes`` made of them.

    Returns:
        (len(classes),) group index of each class in order, 0..level - 1 for the 385. Families and types are
        numbered as they appear, chunks by type and then ascending parameter. Added classes join the group of
        their family at level 7, and have groups of their own after all others where theirs is new.

    Raises:
        ConfigError: the hierarchy has no such level.

    Differs: the order of parameters inside a type is inferred; only the number of groups is published. Every
        group lies inside one of the level above except Posterization-5..6 of level 96, which level 49 cuts:
        five parameters do not halve evenly.
    """
    groups = np.empty(len(classes), dtype=np.int64)
    for group, members in enumerate(_chunks(level, classes)):
        groups[[c.index for c in members]] = group
    return groups


def level_group_names(level: int, classes: Sequence[ImcClass] = IMC_CLASSES) -> tuple[str, ...]:
    """A name for every group of a level, in the order of :func:`level_groups`.

    Families and types go by their own name, one class by its label, and a chunk by its ends, for instance
    "BoxBlur-3..17".

    Raises:
        ConfigError: the hierarchy has no such level.
    """
    if level == 7:
        return families_of(classes)
    if level == 25:
        return types_of(classes)
    names = []
    for members in _chunks(level, classes):
        first, last = members[0].label, members[-1].label
        names.append(first if len(members) == 1 else f"{first}..{last.removeprefix(members[-1].type + '-')}")
    return tuple(names)
