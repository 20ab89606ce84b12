"""What the forgery generator is held to, measured on a folder of photographs.

Forgeries per second of every kind on one core, whether file facts and global statistics give forged pictures
away, and how evenly the masks cover the picture.

Run: python benchmarks/forgeries.py PHOTOS [--split CSV --role ROLE] [--pool FOLDER] [--size PX] [--count N]
"""

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from doctored.core.forgery import TECHNIQUES
from doctored.data.forgery_stream import ForgeryStream
from doctored.data.photograph_pool import PhotographPool, build_pool
from doctored.data.photographs import list_photographs, read_split, with_role
from doctored.synth.histories import smallest_side_px
from forgery_statistics import coverage_deviation, global_statistics, leak_auc
from imc_operators import processor_name

BAR_FORGERIES_PER_SECOND = 15
BAR_AUC = (0.45, 0.55)
BAR_COVERAGE = 0.1


def forgeries_per_second(stream: ForgeryStream, count: int) -> float:
    """Samples made one after the other per second of processor time, which other programs do not change."""
    stream[0]  # the first call of an operator loads its library
    start = time.process_time()
    for number in range(count):
        stream[number]
    return count / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--split", type=Path, help="CSV with columns file and role")
    parser.add_argument("--role", default="train", help="role of the photographs to use")
    parser.add_argument("--pool", type=Path, help="folder of a prepared pool; made if it is not there")
    parser.add_argument("--size", type=int, default=256, help="side of a forgery in pixels")
    parser.add_argument("--count", type=int, default=1000, help="forgeries for the statistics")
    arguments = parser.parse_args()

    cv2.setNumThreads(1)
    folder = arguments.pool or Path(tempfile.mkdtemp())
    if not (folder / "index.json").exists():
        photographs = list_photographs(arguments.photos)
        if arguments.split:
            photographs = with_role(photographs, read_split(arguments.split), arguments.role)
        build_pool(photographs, folder, min_side_px=smallest_side_px(arguments.size))
    pool = PhotographPool(folder)

    versions = f"Python {platform.python_version()}, OpenCV {cv2.__version__}, NumPy {np.__version__}"
    print(f"machine: {processor_name()}, {os.cpu_count()} cores, one used; {versions}")
    print(f"command: python {shlex.join(sys.argv)}")
    objects = sum(len(source.objects) for source in pool)
    print(f"photographs: {len(pool)} with {objects} objects; forgeries of {arguments.size} px\n")
    speeds = []
    for kind in TECHNIQUES:
        speeds.append(forgeries_per_second(ForgeryStream(pool, arguments.size, shares={kind: 1}), 60))
        print(f"{kind:<12} {speeds[-1]:8.1f} per second")
    print(f"{'all alike':<12} {len(speeds) / sum(1 / speed for speed in speeds):8.1f} per second "
          f"(bar: {BAR_FORGERIES_PER_SECOND})\n")  # fmt: skip

    half = dict.fromkeys(TECHNIQUES, 0.125) | {"authentic": 0.5}
    stream = ForgeryStream(pool, arguments.size, seed=1, shares=half)
    forgeries = [stream[number] for number in range(arguments.count)]
    facts = np.array([global_statistics(forgery) for forgery in forgeries])
    kinds = np.array([forgery.technique for forgery in forgeries])
    domains = np.array([forgery.recipe.domain for forgery in forgeries])
    for name, chosen in (
        ("all", np.ones(len(kinds), bool)),
        *((kind, (kinds == kind) | (kinds == "authentic")) for kind in TECHNIQUES[1:]),
        *((domain, domains == domain) for domain in sorted(set(domains))),
    ):
        auc = leak_auc(facts[chosen], kinds[chosen] != "authentic")
        print(f"forged from authentic by global statistics, {name:<12} AUC {auc:.3f} (n = {chosen.sum()})")
    print(f"bar for all: {BAR_AUC[0]} to {BAR_AUC[1]}\n")

    deviation = coverage_deviation([forgery.gt_mask for forgery in forgeries if forgery.gt_mask.any()])
    print(f"largest deviation of the mean mask from its mean, an eighth away from the border: {deviation:.1%} "
          f"(bar: {BAR_COVERAGE:.0%})")  # fmt: skip


if __name__ == "__main__":
    main()
