"""Is the int8 model as good as the float32 one? Measure it on real forgeries and note it in the manifest.

    python benchmarks/check_int8.py src/doctored/embedded/mantranet FORGERIES [--limit N]

FORGERIES holds images/ and masks/ of the same names. Int8 passes, and may then be chosen unasked, if its mean pixel
AUC is at most 0.003 below that of float32 and the maps differ by less than 0.01 in the mean.
"""

import argparse
import platform
import sys
from pathlib import Path

import numpy as np

from doctored.core.read_image import read_image, read_mask
from doctored.data.paired_folder import list_pairs
from doctored.metrics.pixel import pixel_auc
from doctored.predict import Detector
from doctored.predict.export import record_int8_check

MOST_AUC_LOST = 0.003
LARGEST_MEAN_DIFFERENCE = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("forgeries", type=Path)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()

    exact = Detector.from_name(arguments.model, precision="fp32")
    quantised = Detector.from_name(arguments.model, precision="int8")
    pairs = list_pairs(arguments.forgeries)
    if arguments.limit is not None:
        pairs = pairs.limited(arguments.limit)
    scores, differences = [], []
    for image, mask in pairs.forged:
        picture = read_image(image)
        gt_mask = read_mask(mask, picture.size_hw)
        maps = [detector.inspect(picture).localization_map for detector in (exact, quantised)]
        scores.append([pixel_auc(localization_map, gt_mask) for localization_map in maps])
        differences.append(np.abs(maps[0] - maps[1]).mean(dtype=np.float64))

    auc = dict(zip(("fp32", "int8"), np.mean(scores, axis=0).tolist(), strict=True))
    difference = float(np.mean(differences))
    passed = auc["fp32"] - auc["int8"] <= MOST_AUC_LOST and difference < LARGEST_MEAN_DIFFERENCE
    figures = {
        "pixel_auc_fp32": round(auc["fp32"], 4),
        "pixel_auc_int8": round(auc["int8"], 4),
        "mean_map_difference_int8": round(difference, 5),
    }
    record_int8_check(arguments.model, passed=passed, figures=figures)
    print(f"{platform.processor() or platform.machine()}: python {' '.join(sys.argv)}")
    print(f"{len(differences)} pictures, {figures}: int8 {'passed' if passed else 'failed'}")


if __name__ == "__main__":
    main()
