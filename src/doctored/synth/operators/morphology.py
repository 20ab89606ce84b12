"""Morphology: minima and maxima over squares, per channel; pixels outside the picture do not count.

A square of even side has no centre: its maxima and minima here reach one pixel further to the upper left.
"""

import cv2
import numpy as np

from doctored.synth.operators.arrays import Rgb


def erode_morph(image: Rgb, side_px: int, rng: np.random.Generator) -> Rgb:
    """Minimum over a square of ``side_px`` x ``side_px`` pixels."""
    return cv2.erode(image, _square(side_px))


def dilate_morph(image: Rgb, side_px: int, rng: np.random.Generator) -> Rgb:
    """Maximum over a square of ``side_px`` x ``side_px`` pixels."""
    return cv2.dilate(image, _square(side_px))


def open_morph(image: Rgb, side_px: int, rng: np.random.Generator) -> Rgb:
    """Erosion, then dilation: bright details smaller than the square vanish.

    Differs: the dilation uses the mirrored square, as the definition of an opening asks; OpenCV's ready-made
        opening does not, and moves the picture by one pixel when the side is even.
    """
    return cv2.dilate(cv2.erode(image, _square(side_px)), _square(side_px), anchor=_mirrored_anchor(side_px))


def close_morph(image: Rgb, side_px: int, rng: np.random.Generator) -> Rgb:
    """Dilation, then erosion: dark details smaller than the square vanish.

    Differs: the erosion uses the mirrored square, see :func:`open_morph`.
    """
    return cv2.erode(cv2.dilate(image, _square(side_px)), _square(side_px), anchor=_mirrored_anchor(side_px))


def _square(side_px: int) -> Rgb:
    return np.ones((side_px, side_px), np.uint8)


def _mirrored_anchor(side_px: int) -> tuple[int, int]:
    return ((side_px - 1) // 2, (side_px - 1) // 2)
