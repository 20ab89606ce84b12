"""What a scan costs beside looking at the pictures, how it scales, and what it survives.

    python benchmarks/scan.py rate PHOTOS --count 500              # pure inference, then one and two workers
    python benchmarks/scan.py many --files 20000 --kills 5         # small files, killed and resumed

`rate` looks at photographs in one process that does nothing else, and scans the same files with one worker of one
thread, with two of them, and with one worker of two threads. `many` makes small pictures, one in twenty of them
broken, scans them with the `noise` yardstick while it kills the scan again and again, and then once more without kills.
What a file costs at the beginning and at the end of a scan is measured in turn, since machines are faster and slower
from minute to minute: this scan waits before its last 2,000 files, a second one of the same files waits after its first
1,000, and from there on one goes on for 200 files, then the other.
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
from pathlib import Path

import numpy as np
from PIL import Image

from doctored.apps.scan.analyse import Limits
from doctored.apps.scan.entries import Listing
from doctored.apps.scan.run import Progress, cores, scan
from doctored.apps.scan.workers import WorkerSettings

BROKEN_EVERY = 20
SMALL_PX = 96
BEGINNING = 1000
BLOCK, BLOCKS = 200, 10
_RESAMPLES = 2000


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
    one.add_argument("--wait-from", type=int, help="from so many files on, wait for a line after every block")
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
        taken = {}
        for kind in options.only:
            workers, threads = kind.split("x")
            shown = _scan_apart(listed, Path(folder) / f"{kind}.db", options.model, workers, threads)
            seconds, cpu = shown[-1]["seconds"] - shown[0]["seconds"], _cpu(shown[-1]) - _cpu(shown[0])
            taken[kind] = seconds, cpu
            name = f"scan, {workers} workers of {threads} threads"
            print(
                f"| {name} | {seconds:.1f} | {cpu:.1f} | {seconds / len(paths):.3f} | {pure / seconds:.2f} | "
                f"{cpu / pure_cpu:.3f} |",
                flush=True,
            )
    if "1x1" in taken:
        seconds, cpu = taken["1x1"]
        print(
            f"overhead over pure inference: {seconds / pure - 1:.1%} of time, {cpu / pure_cpu - 1:.1%} of CPU time"
        )
        for kind, name in (("2x1", "two workers"), ("1x2", "one worker of two threads")):
            if kind in taken:
                print(f"{name} against one of one thread: {seconds / taken[kind][0]:.2f} times the rate")


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
    """What a scan in a process of its own says on the way: one entry for every hundred files."""
    command = _command(listed, store, model, workers, threads)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _command(listed: Path, store: Path, model: str, workers: str, threads: str) -> list[str]:
    command = [sys.executable, __file__, "one", "--list", str(listed), "--store", str(store)]
    return [*command, "--model", model, "--workers", workers, "--threads", threads]


class _Waiting:
    """A scan that waits from a number of files on, and then goes on block by block when it is told to."""

    def __init__(self, listed: Path, store: Path, workers: int, wait_from: int) -> None:
        command = _command(listed, store, "noise", str(workers), "1")
        command += ["--wait-from", str(wait_from)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.shown: list[dict[str, float]] = []
        self._until(wait_from)

    def block(self) -> float:
        """Do one block; its CPU seconds per file."""
        before = self.shown[-1]
        assert self._process.stdin is not None
        self._process.stdin.write("go on\n")
        self._until(before["done"] + BLOCK)
        return (_cpu(self.shown[-1]) - _cpu(before)) / (self.shown[-1]["done"] - before["done"])

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _until(self, done: float) -> None:
        assert self._process.stdout is not None
        while not self.shown or self.shown[-1]["done"] < done:
            self.shown.append(json.loads(self._process.stdout.readline()))


def _one(options: argparse.Namespace) -> None:
    def say(progress: Progress) -> None:
        # The first file comes after the models are loaded, which is not what is measured.
        if (progress.done and progress.done % 100 in (0, 1)) or progress.done == progress.files:
            facts = {"done": progress.done, "seconds": time.monotonic()} | _resources()
            print(json.dumps(facts), flush=True)
            waits = options.wait_from is not None and options.wait_from <= progress.done < progress.files
            if waits and progress.done % BLOCK == 0:
                sys.stdin.readline()

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


def _cpu(said: dict[str, float]) -> float:
    return said["scan_cpu_seconds"] + said["worker_cpu_seconds"]


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
        _beginning_and_end(listed, Path(folder), options)
        size = (Path(folder) / "killed.db").stat().st_size
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
    command = _command(listed, store, "noise", str(options.workers), "1")
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


def _beginning_and_end(listed: Path, folder: Path, options: argparse.Namespace) -> None:
    """Print what a file costs in processor time at the beginning of a scan and at its end, in turn, and the memory."""
    last = options.files - BLOCK * BLOCKS
    if last < BEGINNING:
        raise SystemExit(f"give {BEGINNING + BLOCK * BLOCKS} files or more")
    late = _Waiting(listed, folder / "late.db", options.workers, last)
    early = _Waiting(listed, folder / "early.db", options.workers, BEGINNING)
    pairs = np.empty((BLOCKS, 2))
    for number in range(BLOCKS):
        for place in (0, 1) if number % 2 else (1, 0):  # neither is always the second
            pairs[number, place] = (early, late)[place].block()
    early.end()
    late.end()
    print("| files | processor time per file, median | scan, MB | worker, MB |\n|---|---|---|---|")
    for name, start, blocks, shown in (
        ("beginning", BEGINNING, pairs[:, 0], early.shown),
        ("end", last, pairs[:, 1], late.shown),
    ):
        print(
            f"| {start:,} to {start + BLOCK * BLOCKS:,} ({name}) | {1000 * np.median(blocks):.2f} ms | "
            f"{shown[-1]['scan_mb']:.0f} | {shown[-1]['worker_mb']:.0f} |"
        )
    of_scan = [
        (one.shown[-1]["scan_cpu_seconds"] - one.shown[-2 * BLOCKS - 1]["scan_cpu_seconds"])
        / (BLOCK * BLOCKS)
        for one in (early, late)
    ]
    print(f"of that the process that keeps the store: {1000 * of_scan[0]:.2f} and {1000 * of_scan[1]:.2f} ms")
    rng = np.random.default_rng(0)
    drawn = pairs[rng.integers(0, BLOCKS, (_RESAMPLES, BLOCKS))].sum(axis=1)
    ratio, low, high = (
        pairs[:, 1].sum() / pairs[:, 0].sum(),
        *np.quantile(drawn[:, 1] / drawn[:, 0], (0.025, 0.975)),
    )
    print(f"the end costs {ratio:.3f} times the beginning, 95 % interval {low:.3f} to {high:.3f}")
    highest = [max(said[key] for said in late.shown) for key in ("scan_mb", "worker_mb")]
    after = next(said for said in late.shown if said["done"] >= BEGINNING)
    print(
        f"memory after {BEGINNING:,} files {after['scan_mb']:.1f} and {after['worker_mb']:.1f} MB, "
        f"at most {highest[0]:.1f} and {highest[1]:.1f} MB"
    )


if __name__ == "__main__":
    main()
