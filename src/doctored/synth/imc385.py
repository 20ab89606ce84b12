"""The operator behind each of the 25 manipulation types, and the one way to apply any of the 385 classes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from doctored.core.errors import ConfigError, ShapeError
from doctored.core.imc_classes import IMC_CLASSES, ImcClass
from doctored.synth.operators import blur, compression, contrast, morphology, noise, quantisation, resample
from doctored.synth.operators.arrays import Rgb, UnroundedRgb

Operator = Callable[[Rgb, Any, np.random.Generator], Rgb | UnroundedRgb]
"""Takes an RGB picture, the parameter of the class and a generator; returns grey levels of the same shape."""

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


def apply_manipulation(
    image: Rgb, imc_class: ImcClass | int, rng: np.random.Generator, rounded: bool = True
) -> Rgb | UnroundedRgb:
    """Apply one of the 385 manipulations to a picture.

    Args:
        image: (H, W, 3) uint8 RGB, any size from 1 x 1; left as it is.
        imc_class: The class, or its index 0..384.
        rng: Source of noise and of the shift of double JPEG; the other classes draw nothing from it.
        rounded: Round half to even and clip to 0..255, as any stored picture is. False keeps what the
            operator computed: noise and wavelet denoising then leave fractions and values outside 0..255,
            which give these classes away.

    Returns:
        A new (H, W, 3) array: uint8, or with ``rounded=False`` float32 in grey levels.

    Raises:
        ShapeError: image is not (H, W, 3) uint8 with at least one pixel.
        ConfigError: there is no class of that index.

    Differs: the authors' noise and wavelet operators leave unrounded values; ``rounded=False`` is that mode.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype != np.uint8:
        raise ShapeError(
            "a manipulation needs an RGB picture of shape (H, W, 3) and dtype uint8; "
            f"got {image.shape} {image.dtype}"
        )
    if not isinstance(imc_class, ImcClass):
        if not 0 <= imc_class < len(IMC_CLASSES):
            raise ConfigError(f"manipulation classes are numbered 0..{len(IMC_CLASSES) - 1}; got {imc_class}")
        imc_class = IMC_CLASSES[imc_class]
    manipulated = OPERATORS[imc_class.type](np.ascontiguousarray(image), imc_class.parameter, rng)
    if not rounded:
        return np.asarray(manipulated, np.float32)
    if manipulated.dtype == np.uint8:
        return np.ascontiguousarray(manipulated, np.uint8)
    return np.clip(np.rint(manipulated), 0, 255).astype(np.uint8)
