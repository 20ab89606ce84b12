"""Write the split of the development photographs into those to learn from, to calibrate on and to test on.

    python benchmarks/make_split.py PHOTOS src/doctored/data/splits/development.csv

PHOTOS holds the photographs and their manifest.csv. A role gets whole sources. A camera model that occurs
in several roles stays in the one where it has most pictures; its others are not used. Photographs for
calibration name no editor anywhere in the file and have a short side of at least 256 pixels.
"""

import argparse
import csv
from collections import Counter, defaultdict
from pathlib import Path

from doctored.core.read_image import read_image
from doctored.data.editors import editor_named_in
from doctored.data.photographs import ROLES, Photograph, list_photographs

# Training gets the widest choice of cameras and of web JPEGs; calibration gets the sources whose full-size
# originals serve for calibration at real sizes (elementary, budgie, debian_wallpapers).
ROLE_OF_SOURCE = {
    "metadata_extractor": "train",
    "imagenet_samples": "train",
    "coco128_yolo": "train",
    "bsds500": "train",
    "clothing_cc0": "train",
    "exif_samples": "calibration",
    "elementary": "calibration",
    "budgie": "calibration",
    "debian_wallpapers": "calibration",
    "prnu_nat": "test",
    "sfm_camera": "test",
    "ucid": "test",
    "kodak": "test",
    "popos": "test",
}
CALIBRATION_MIN_SIDE_PX = 256


def fit_for_calibration(photograph: Photograph) -> bool:
    """Whether a photograph may stand for an untouched one of ordinary size."""
    return (
        min(read_image(photograph.path).size_hw) >= CALIBRATION_MIN_SIDE_PX
        and editor_named_in(photograph.path.read_bytes()) is None
    )


def assign_roles(photographs: list[Photograph]) -> dict[str, str]:
    """The role of every photograph, by file."""
    roles = {photograph.file: ROLE_OF_SOURCE[str(photograph.source)] for photograph in photographs}
    for photograph in photographs:
        if roles[photograph.file] == "calibration" and not fit_for_calibration(photograph):
            roles[photograph.file] = "unused"

    role_counts: dict[str, Counter[str]] = defaultdict(Counter)
    for photograph in photographs:
        if photograph.camera is not None and roles[photograph.file] != "unused":
            role_counts[photograph.camera][roles[photograph.file]] += 1
    for photograph in photographs:
        if photograph.camera in role_counts:
            counts = role_counts[photograph.camera]
            # The rarer role wins a tie: one picture is worth more there.
            keeper = max(counts, key=lambda role: (counts[role], ROLES.index(role)))
            if roles[photograph.file] != keeper:
                roles[photograph.file] = "unused"
    return roles


def main() -> None:
    """Write the split, and print how many photographs each role got."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="the photographs and their manifest.csv")
    parser.add_argument("split", type=Path, help="CSV file to write")
    arguments = parser.parse_args()
    photo_folder, split_file = arguments.photos, arguments.split
    roles = assign_roles(list_photographs(photo_folder))
    with split_file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(("file", "role"))
        writer.writerows(sorted(roles.items()))
    print(", ".join(f"{role} {count}" for role, count in Counter(roles.values()).most_common()))


if __name__ == "__main__":
    main()
