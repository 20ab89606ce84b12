"""How far CASIA's masks by difference agree with masks that others made.

python benchmarks/difference_masks.py CASIA   # images/, authentic/ and masks/ of the same names in one folder
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

from doctored.core.read_image import read_mask
from doctored.data.benchmarks.catalog import BENCHMARKS
from doctored.data.preparation import prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("casia", type=Path, help="folder of the set, with masks/")
    casia = parser.parse_args().casia
    with tempfile.TemporaryDirectory() as temporary:
        source, output = Path(temporary) / "casia", Path(temporary) / "out"
        for folder in ("images", "authentic"):
            shutil.copytree(casia / folder, source / folder)
        result = prepare(BENCHMARKS["casia-v1"], source, output)
        overlaps = {}
        for path in sorted((output / "masks").iterdir()):
            (given,) = (casia / "masks").glob(f"{path.stem}.*")
            ours, theirs = read_mask(path), read_mask(given)
            overlaps[path.stem] = np.count_nonzero(ours & theirs) / np.count_nonzero(ours | theirs)
    values = np.array(list(overlaps.values()))
    print(f"{len(values)} masks; IoU mean {values.mean():.3f}, median {np.median(values):.3f}; below 0.5:")
    for name, value in sorted(overlaps.items(), key=lambda entry: entry[1]):
        if value < 0.5:
            print(f"  {value:.2f} {name}")
    for left_out in result.left_out:
        print(f"left out: {left_out}")


if __name__ == "__main__":
    main()
