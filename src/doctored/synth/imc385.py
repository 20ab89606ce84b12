"""The operator behind each of the 25 manipulation types, those that were added, and the one way to apply them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from doctored.core.errors import ConfigError, ShapeError
from doctored.core.imc_classes import (
    IMC_CLASSES,
    ImcClass,
    Parameter,
    extended_classes,
    families_of,
    types_of,
)
from doctored.synth.operators import blur, compression, contrast, morphology, noise, quantisation, resample
from doctored.synth.operators.arrays import Rgb, UnroundedRgb

Operator = Callable[[Rgb, Any, np.random.Generator], Rgb | UnroundedRgb]
"""Takes an RGB picture, the parameter of the class and a generator; returns grey levels of the same shape."""

Use = Literal["imc", "forgeries"]
"""Where a manipulation is met: in image manipulation classification, or inside the regions of forgeries."""

Balance = Literal["classes", "types", "families"]
"""What is drawn alike: single classes, the types of which some have more classes, or the families."""

OPERATORS: dict[str, Operator] = {
    "BoxBlur": blur.box_blur,
    "GaussianBlur": blur.gaussian_blur,
    "MedianBlur": blur.median_blur,
    "WaveletBlur": blur.wavelet_blur,
    "AREAResize": resample.area_resize,
    "CUBICResize": resample.cubic_resize,
    "LANCZOS4Resize": resample.lanczos4_resize,
    "LINEARResize": resample.linear_resize,
    "NEARESTResize": resample.nearest_resize,
    "JPEGCompress": compression.jpeg_compress,
    "JPEGDoubleCompress": compression.jpeg_double_compress,
    "WEBPCompress": compression.webp_compress,
    "CloseMorph": morphology.close_morph,
    "DilateMorph": morphology.dilate_morph,
    "ErodeMorph": morphology.erode_morph,
    "OpenMorph": morphology.open_morph,
    "GaussianNoise": noise.gaussian_noise,
    "ImpulseNoise": noise.impulse_noise,
    "PoissonNoise": noise.poisson_noise,
    "UniformNoise": noise.uniform_noise,
    "Quantization": quantisation.quantization,
    "Dithering": quantisation.dithering,
    "AutoContrast": contrast.auto_contrast,
    "HistEq": contrast.hist_eq,
    "Posterization": quantisation.posterization,
}


@dataclass(frozen=True)
class Manipulation:
    """A type of manipulation beyond the 25: everything that is to be said about it.

    Args:
        type: Its name, one word.
        family: Where it belongs: one of the 7 families, or a new one.
        operator: What it does.
        parameters: The strengths that are classes of their own; (None,) if there is only one.
        uses: Where it is to be met; ("imc",) or ("forgeries",) keeps it out of the other.
    """

    type: str
    family: str
    operator: Operator
    parameters: tuple[Parameter, ...]
    uses: tuple[Use, ...] = ("imc", "forgeries")


class Manipulations:
    """What samples can be made with: the 385 classes, and after them those of added types.

    Args:
        added: The added types in order; one inserted before others renumbers these.

    Attributes:
        added: As given.
        classes: All classes; the position is the index.
        operators: By type.

    Raises:
        ConfigError: A type exists already, its parameters are none or not distinct, or its uses are none or
            unknown.
    """

    def __init__(self, added: Sequence[Manipulation] = ()) -> None:
        self.added = tuple(added)
        self.classes = IMC_CLASSES
        for manipulation in self.added:
            if not manipulation.uses or not set(manipulation.uses) <= set(get_args(Use)):
                raise ConfigError(
                    f"the uses of {manipulation.type} are {manipulation.uses}; choose some of {get_args(Use)}"
                )
            self.classes = extended_classes(
                self.classes, manipulation.family, manipulation.type, manipulation.parameters
            )
        self.operators = OPERATORS | {manipulation.type: manipulation.operator for manipulation in self.added}

    @property
    def types(self) -> tuple[str, ...]:
        """Names of all types, the 25 first."""
        return types_of(self.classes)

    def used_in(self, use: Use) -> "Manipulations":
        """The 385 and those added types that are to be met there, numbered without the others."""
        return Manipulations([manipulation for manipulation in self.added if use in manipulation.uses])

    def draw(self, rng: np.random.Generator, balance: Balance = "types") -> ImcClass:
        """Draw a class.

        Args:
            rng: Source of the choice.
            balance: "classes" draws all classes alike; "types" all types, then all classes of the type; "families"
                all families, then all classes of the family.
        """
        drawn_from: Sequence[ImcClass] = self.classes
        if balance == "types":
            imc_type = self.types[rng.integers(len(self.types))]
            drawn_from = [imc_class for imc_class in self.classes if imc_class.type == imc_type]
        elif balance == "families":
            families = families_of(self.classes)
            family = families[rng.integers(len(families))]
            drawn_from = [imc_class for imc_class in self.classes if imc_class.family == family]
        return drawn_from[int(rng.integers(len(drawn_from)))]


MANIPULATIONS = Manipulations(
    added=[
        # One entry here makes a manipulation known everywhere, for instance:
        # Manipulation("Vignette", "tone", vignette, parameters=(10, 20, 40)),
    ]
)
"""What training, forgeries and the documentation use unless they are given something else."""


def apply_manipulation(
    image: Rgb,
    imc_class: ImcClass | int,
    rng: np.random.Generator,
    rounded: bool = True,
    manipulations: Manipulations = MANIPULATIONS,
) -> Rgb | UnroundedRgb:
    """Apply a manipulation to a picture.

    Args:
        image: (H, W, 3) uint8 RGB, any size from 1 x 1; left as it is.
        imc_class: The class, or its index: 0..384, or above for an added one.
        rng: Source of noise and of the shift of double JPEG; the other classes of the 385 draw nothing from it.
        rounded: Round half to even and clip to 0..255, as any stored picture is. False keeps what the
            operator computed: noise and wavelet denoising then leave fractions and values outside 0..255,
            which give these classes away.
        manipulations: Where the class is from.

    Returns:
        A new (H, W, 3) array: uint8, or with ``rounded=False`` float32 in grey levels.

    Raises:
        ShapeError: image is not (H, W, 3) uint8 with at least one pixel, or an added operator changed its size.
        ConfigError: there is no such class.

    Differs: the authors' noise and wavelet operators leave unrounded values; ``rounded=False`` is that mode.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype != np.uint8:
        raise ShapeError(
            "a manipulation needs an RGB picture of shape (H, W, 3) and dtype uint8; "
            f"got {image.shape} {image.dtype}"
        )
    classes = manipulations.classes
    if not isinstance(imc_class, ImcClass):
        if not 0 <= imc_class < len(classes):
            raise ConfigError(f"manipulation classes are numbered 0..{len(classes) - 1}; got {imc_class}")
        imc_class = classes[imc_class]
    if imc_class.type not in manipulations.operators:
        raise ConfigError(f"{imc_class.label} is none of the manipulations in use; pass those it belongs to")
    operator = manipulations.operators[imc_class.type]
    manipulated = operator(np.ascontiguousarray(image), imc_class.parameter, rng)
    if manipulated.shape != image.shape:
        raise ShapeError(
            f"{imc_class.label} made {manipulated.shape} of a picture of {image.shape}; an operator keeps the size"
        )
    if not rounded:
        return np.asarray(manipulated, np.float32)
    if manipulated.dtype == np.uint8:
        return np.ascontiguousarray(manipulated, np.uint8)
    return np.clip(np.rint(manipulated), 0, 255).astype(np.uint8)
