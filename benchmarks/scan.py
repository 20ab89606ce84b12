"""What a scan costs beside looking at the pictures, how it scales, and what it survives.

    python benchmarks/scan.py rate PHOTOS --count 500              # pure inference, then one and two workers
    python benchmarks/scan.py many --files 20000 --kills 5         # small files, killed and resumed

`rate` looks at photographs in one process that does nothing else, and scans the same files with one worker of one
thread, with two of them, and with one worker of two threads. `many` makes small pictures, one in twenty of them
broken, scans them with the `noise` yardstick while it kills the scan again and again, and then once more without kills
to see what a file costs at the beginning and at the end.
"""

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from doctored.apps.scan.analyse import Limits
from doctored.apps.scan.entries import Listing
from doctored.apps.scan.run import Progress, cores, scan
from doctored.apps.scan.workers import WorkerSettings

BROKEN_EVERY = 20
SMALL_PX = 96
_WINDOW = 1000


def main() -> None:
    options = _options()
    if options.what == "one":
        _one(options)
        return
    _print_machine()
    if options.what == "rate":
        _rate(options)
    else:
        _many(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    rate = commands.add_parser("rate")
    rate.add_argument("photos", type=Path, help="folder of photographs")
    rate.add_argument("--count", type=int, default=500, help="how many of them")
    rate.add_argument("--model", default="mantranet", help="name or folder")
    rate.add_argument("--max-mp", type=float, default=400, help="leave larger pictures out")
    rate.add_argument(
        "--only", nargs="+", help="for instance 1x1 2x1: workers x threads", default=["1x1", "2x1", "1x2"]
    )
    many = commands.add_parser("many")
    many.add_argument("--files", type=int, default=20_000, help="how many pictures, broken ones included")
    many.add_argument("--kills", type=int, default=5, help="how often the scan is killed")
    many.add_argument("--workers", type=int, default=cores(), help="processes")
    one = commands.add_parser("one", help=argparse.SUPPRESS)  # how this program calls itself
    for name in ("list", "store", "model", "workers", "threads"):
        one.add_argument(f"--{name}")
    return parser.parse_args()


def _print_machine() -> None:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            name = line.partition(": ")[2]
            break
    print(f"command: {' '.join([Path(sys.executable).name, *sys.argv])}")
    print(f"machine: {name}, {cores()} of {os.cpu_count()} cores, {memory_gb:.0f} GB, {platform.system()}")
    print(f"load before: {os.getloadavg()[0]:.1f}\n", flush=True)


def _settings(model: str, threads: int) -> WorkerSettings:
    return WorkerSettings(model, "cpu", "auto", 0.05, None, threads, Limits())


def _rate(options: argparse.Namespace) -> None:
    from doctored.core.errors import DoctoredError
    from doctored.core.read_image import read_image

    paths, seen = [], set[str]()
    for entry in Listing([str(options.photos)]):
        try:
            sha256 = read_image(entry.path, max_megapixels=options.max_mp).sha256
        except DoctoredError:
            continue
        if sha256 in seen:
            continue  # a scan would take its result over
        seen.add(sha256)
        paths.append(entry.path)
        if len(paths) == options.count:
            break
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "list.txt"
        listed.write_text("\n".join(paths), "utf-8")
        print(f"{len(paths)} photographs")
        print(
            "| what | seconds | CPU seconds | seconds per file | rate against pure inference | CPU against it |"
        )
        print("|---|---|---|---|---|---|")
        pure, pure_cpu = _pure_inference(paths, options.model)
        print(
            f"| pure inference, one thread | {pure:.1f} | {pure_cpu:.1f} | {pure / len(paths):.3f} | 1 | 1 |"
        )
        for kind in options.only:
            workers, threads = kind.split("x")
            shown = _scan_apart(listed, Path(folder) / f"{kind}.db", options.model, workers, threads)
            seconds, cpu = (shown[-1][key] - shown[0][key] for key in ("seconds", "cpu_seconds"))
            name = f"scan, {workers} workers of {threads} threads"
            print(
                f"| {name} | {seconds:.1f} | {cpu:.1f} | {seconds / len(paths):.3f} | {pure / seconds:.2f} | "
                f"{cpu / pure_cpu:.3f} |",
                flush=True,
            )


def _pure_inference(paths: list[str], model: str) -> tuple[float, float]:
    """Seconds and CPU seconds of `inspect` alone; reading is left out, so that all else counts as overhead."""
    from doctored.core.read_image import read_image

    detector = _settings(model, 1).detector()
    detector.inspect(read_image(paths[0]))
    seconds = cpu_seconds = 0.0
    for path in paths[1:]:  # the scan is timed from the end of its first file on
        picture = read_image(path)
        before = time.process_time()
        seconds += detector.inspect(picture).timing.seconds
        cpu_seconds += time.process_time() - before
    return seconds, cpu_seconds


def _scan_apart(listed: Path, store: Path, model: str, workers: str, threads: str) -> list[dict[str, float]]:
    """What a scan in a process of its own says on the way: one entry each time something was finished."""
    command = [sys.executable, __file__, "one", "--list", str(listed), "--store", str(store)]
    command += ["--model", model, "--workers", workers, "--threads", threads]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _one(options: argparse.Namespace) -> None:
    def say(progress: Progress) -> None:
        # The first file comes after the models are loaded, which is not what is measured.
        if (progress.done and progress.done % 100 in (0, 1)) or progress.done == progress.files:
            facts = {"done": progress.done, "seconds": time.monotonic()} | _resources()
            print(json.dumps(facts), flush=True)

    sources = Path(options.list).read_text("utf-8").splitlines()
    listing = Listing(sources)
    scan(
        listing,
        [],
        Path(options.store),
        _settings(options.model, int(options.threads)),
        int(options.workers),
        say,
    )


def _resources() -> dict[str, float]:
    """Resident memory of this process and of its largest child, in MB, and CPU seconds of it and of all children."""
    parent, children = os.getpid(), _children(os.getpid())
    return {
        "scan_mb": _memory_mb(parent),
        "worker_mb": max((_memory_mb(pid) for pid in children), default=0.0),
        "scan_cpu_seconds": time.process_time(),
        "worker_cpu_seconds": sum(_cpu_seconds(pid) for pid in children),
    }


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(child) for child in text.split()]


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _many(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        photos, listed = Path(folder) / "photos", Path(folder) / "list.txt"
        broken = _make_pictures(photos, options.files)
        listed.write_text(str(photos), "utf-8")
        print(
            f"{options.files} files of {SMALL_PX} px, {broken} of them broken; noise; {options.workers} workers"
        )
        _kill_and_resume(listed, Path(folder) / "killed.db", options, broken)
        shown = _scan_apart(listed, Path(folder) / "whole.db", "noise", str(options.workers), "1")
        _print_flatness(shown)
        size = (Path(folder) / "whole.db").stat().st_size
        print(f"the store takes {size / options.files:.0f} bytes per file")


def _make_pictures(folder: Path, count: int) -> int:
    """Small JPEG files, no two alike, and broken ones; how many are broken."""
    rng = np.random.default_rng(0)
    broken = 0
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % BROKEN_EVERY == BROKEN_EVERY - 1:
            path.write_bytes(b"\xff\xd8\xff" + number.to_bytes(4, "big"))
            broken += 1
        else:
            coarse = rng.integers(0, 256, (SMALL_PX // 8, SMALL_PX // 8, 3), np.uint8)
            Image.fromarray(coarse).resize((SMALL_PX, SMALL_PX)).save(path, quality=85)
    return broken


def _kill_and_resume(listed: Path, store: Path, options: argparse.Namespace, broken: int) -> None:
    command = [sys.executable, __file__, "one", "--list", str(listed), "--store", str(store)]
    command += ["--model", "noise", "--workers", str(options.workers), "--threads", "1"]
    kept = [0]
    for number in range(1, options.kills + 1):
        stop = number * options.files // (options.kills + 1)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = next(d for d in (json.loads(line)["done"] for line in process.stdout) if d >= stop)
            process.kill()
        time.sleep(1)
        kept.append(_count(store, "done"))
        if kept[-1] < said:
            raise SystemExit(f"lost: {said} were said to be finished, {kept[-1]} are there")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rows, failed = _count(store, "1"), _count(store, "error IS NOT NULL")
    print(f"killed {options.kills} times, at {', '.join(map(str, kept[1:]))} finished files")
    print(f"rows {rows} (wanted {options.files}), with a reason for failing {failed} (wanted {broken})")
    print(f"not finished {_count(store, 'NOT done')}")
    if (rows, failed) != (options.files, broken):
        raise SystemExit("the rows are not what they should be")


def _count(store: Path, condition: str) -> int:
    with closing(sqlite3.connect(store)) as database:
        return int(database.execute(f"SELECT total({condition}) FROM files").fetchone()[0])


def _print_flatness(shown: list[dict[str, float]]) -> None:
    marks = [said for said in shown if said["done"] % _WINDOW == 0 and said["done"]]
    print(
        "| files | seconds per file | CPU seconds per file | scan, MB | worker, MB |\n|---|---|---|---|---|"
    )
    for before, after in zip(marks, islice(marks, 1, None), strict=False):
        files = after["done"] - before["done"]
        wall = (after["seconds"] - before["seconds"]) / files
        cpu = (after["cpu_seconds"] - before["cpu_seconds"]) / files
        print(
            f"| {before['done']:.0f} to {after['done']:.0f} | {wall:.5f} | {cpu:.5f} | "
            f"{after['parent_mb']:.0f} | {after['worker_mb']:.0f} |"
        )


if __name__ == "__main__":
    main()
