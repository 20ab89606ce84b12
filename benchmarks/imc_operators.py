"""Patches per second of every manipulation type on one core, and of uniformly drawn classes.

Run: python benchmarks/imc_operators.py [--size PX] [--patches N]
"""

import argparse
import os
import platform
import shlex
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from doctored.core.imc_classes import IMC_CLASSES, IMC_TYPES, ImcClass
from doctored.synth.imc385 import apply_manipulation

BAR_PATCHES_PER_SECOND = 200


def textured_patch(size_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A patch as hard as a detailed photograph: shapes of all scales and a little sensor noise."""
    patch = np.full((size_px, size_px, 3), 128.0)
    for cells in (2, 4, 8, 16, 32):
        coarse = rng.normal(0, 60 / np.sqrt(cells), (cells, cells, 3))
        patch += cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.rint(patch + rng.normal(0, 2, patch.shape)), 0, 255).astype(np.uint8)


def patches_per_second(patches: list[NDArray[np.uint8]], classes: list[ImcClass]) -> float:
    """Speed of applying one class to one patch, over the classes given, patches taken in turn."""
    rng = np.random.default_rng(1)
    start = time.perf_counter()
    for turn, imc_class in enumerate(classes):
        apply_manipulation(patches[turn % len(patches)], imc_class, rng)
    return len(classes) / (time.perf_counter() - start)


def processor_name() -> str:
    """The model of the processor where the system tells it, else its architecture."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="side of a patch in pixels")
    parser.add_argument("--patches", type=int, default=2000, help="patches of uniformly drawn classes")
    arguments = parser.parse_args()

    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    patches = [textured_patch(arguments.size, rng) for _ in range(16)]
    drawn = [IMC_CLASSES[index] for index in rng.integers(0, len(IMC_CLASSES), arguments.patches)]
    patches_per_second(patches, list(IMC_CLASSES))  # the first call of an operator loads its library

    versions = f"Python {platform.python_version()}, OpenCV {cv2.__version__}, NumPy {np.__version__}"
    print(f"machine: {processor_name()}, {os.cpu_count()} cores, one used; {versions}")
    print(f"command: python {shlex.join(sys.argv)}")
    print(f"patches: {arguments.size} x {arguments.size} x 3, 8 bits\n")
    for imc_type in IMC_TYPES:
        classes = [c for c in IMC_CLASSES if c.type == imc_type]
        speed = patches_per_second(patches, classes * (64 // len(classes)))
        print(f"{imc_type:<20} {speed:10.0f} per second")
    speed = patches_per_second(patches, drawn)
    print(f"\n{len(drawn)} uniformly drawn classes: {speed:.0f} per second (bar: {BAR_PATCHES_PER_SECOND})")


if __name__ == "__main__":
    main()
