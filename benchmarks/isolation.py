"""What `--isolate` costs: time to read pictures in a process of their own beside reading them in this one.

    python benchmarks/isolation.py time PHOTOS --count 40 --rounds 5
    python benchmarks/isolation.py memory --megapixels 12

`time` reads the same files in turn here and apart, and prints processor time (of both processes) and time on the clock
for each picture, medians over the rounds. `memory` says how many bytes of address space each decoder takes for a pixel,
from which the limit of the other process was chosen.
"""

import argparse
import io
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from doctored.apps.file_parser import FileParser
from doctored.apps.isolation import IsolatedParser
from doctored.apps.scan.entries import Listing
from doctored.core.errors import DoctoredError
from doctored.core.read_image import decode_image

_MAX_MP, _MAX_MB = 100.0, 100.0
_KINDS = {
    "JPEG": ("JPEG", {"quality": 90}),
    "JPEG, progressive, 4:4:4": ("JPEG", {"progressive": True, "subsampling": 0}),
    "PNG": ("PNG", {"compress_level": 1}),
    "WebP": ("WEBP", {"method": 0}),
    "WebP, lossless": ("WEBP", {"lossless": True, "method": 0, "quality": 0}),
    "AVIF, 4:4:4": ("AVIF", {"speed": 10, "subsampling": "4:4:4"}),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}),
}


def main() -> None:
    options = _options()
    if options.what == "time":
        _time(options)
    elif options.what == "memory":
        _memory(options)
    else:
        _one(sys.stdin.buffer.read())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    timed = commands.add_parser("time")
    timed.add_argument("photos", type=Path, help="folder of photographs")
    timed.add_argument("--count", type=int, default=40, help="how many of them")
    timed.add_argument("--rounds", type=int, default=5)
    memory = commands.add_parser("memory")
    memory.add_argument("--megapixels", type=float, default=12)
    commands.add_parser("one", help=argparse.SUPPRESS)  # how this program calls itself
    return parser.parse_args()


def _time(options: argparse.Namespace) -> None:
    files = list(islice(_readable(options.photos), options.count))
    megapixels = statistics.mean(decode_image(name, data).pixels.size / 3e6 for name, data in files)
    print(f"{len(files)} files of {megapixels:.2f} megapixels in the mean, load {os.getloadavg()[0]:.1f}")
    here, apart, starts = [], [], []
    for _ in range(options.rounds):
        here.append(_round(FileParser(), files))
        before = _processor_seconds(), time.perf_counter()
        with IsolatedParser(_MAX_MP, _MAX_MB):
            wall = time.perf_counter() - before[1]
        starts.append((_processor_seconds() - before[0], wall))
        with IsolatedParser(_MAX_MP, _MAX_MB) as parser:
            apart.append(_round(parser, files))
    start = [statistics.median(values) for values in zip(*starts, strict=True)]
    print(
        f"starting the process: {1e3 * start[0]:.0f} ms of processor time, {1e3 * start[1]:.0f} ms on the clock"
    )
    for name, rounds in (("here", here), ("apart", apart)):
        processor, wall = (statistics.median(values) for values in zip(*rounds, strict=True))
        if name == "apart":  # its process is counted once it has ended, its start too
            processor -= start[0]
        each = 1e3 / len(files)
        print(
            f"{name:>6}: {each * processor:7.2f} ms of processor time a picture, {each * wall:7.2f} ms on the clock"
        )


def _readable(folder: Path) -> Iterator[tuple[str, bytes]]:
    for entry in Listing([str(folder)]):
        data = Path(entry.path).read_bytes()
        try:
            decode_image(entry.path, data, max_megapixels=_MAX_MP)
        except DoctoredError:
            continue
        yield entry.path, data


def _round(parser: FileParser, files: list[tuple[str, bytes]]) -> tuple[float, float]:
    before = _processor_seconds(), time.perf_counter()
    for name, data in files:
        parser.decode(name, data, max_megapixels=_MAX_MP)
    wall = time.perf_counter() - before[1]
    parser.close()
    return _processor_seconds() - before[0], wall


def _processor_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _memory(options: argparse.Namespace) -> None:
    width = round((options.megapixels * 1.5e6) ** 0.5)
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (250, 375, 3), np.uint8)
    image = Image.fromarray(small).resize((width, width * 2 // 3))
    print("bytes of address space for each pixel, beyond those of the program and the file")
    for name, (kind, settings) in _KINDS.items():
        file = io.BytesIO()
        image.save(file, kind, **settings)
        ran = subprocess.run(
            [sys.executable, __file__, "one"], input=file.getvalue(), capture_output=True, check=True
        )
        print(f"{name:>25}: {float(ran.stdout):5.1f}")


def _one(data: bytes) -> None:
    before = _address_space("VmSize")
    pixels = decode_image("picture", data).pixels
    print((_address_space("VmPeak") - before) / (pixels.size / 3))


def _address_space(which: str) -> int:
    found = re.search(rf"{which}:\s+(\d+)", Path("/proc/self/status").read_text("ascii"))
    assert found is not None
    return 1024 * int(found[1])


if __name__ == "__main__":
    main()
