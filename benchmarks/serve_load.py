"""How `doctored serve` behaves when many clients send pictures at once.

    python benchmarks/serve_load.py                                  # 20 clients for two minutes
    python benchmarks/serve_load.py --seconds 10 --model sharpness

Starts a server of its own. Each client sends a picture of 0.1 megapixels, asks for its job until it is over, gets the
result, and sends the next one; a refusal (429, 503) makes it wait a second. Every job that was accepted is followed to
its end. What comes back apart from that is an error, and the exit status is 1 if there was one.
"""

import argparse
import io
import platform
import shlex
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

_REFUSALS = (429, 503)
_SIZE_WH = 360, 270


class Tally:
    """What all clients met.

    Attributes:
        statuses: Of the answers to uploads.
        seconds: From sending to the result, of each job.
        errors: Sentences.
    """

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.errors: list[str] = []


def main() -> None:
    options = _options()
    print(f"python {shlex.join(sys.argv)}")
    print(f"{platform.machine()}, {platform.platform()}, load {_load()}")
    command = [sys.executable, "-m", "doctored", "serve", "--port", "0", "--model", options.model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[0]
        try:
            tally, warm, peak_mb = _measure(url, server.pid, options)
        finally:
            server.terminate()
    accepted = tally.statuses[202]
    print(f"warm server, one client: {warm:.2f} s from upload to result")
    print(f"{options.clients} clients for {options.seconds:g} s: answers to uploads {dict(tally.statuses)}")
    print(f"jobs accepted {accepted}, answered {len(tally.seconds)}, errors {len(tally.errors)}")
    if tally.seconds:
        print(
            f"seconds to a result: median {statistics.median(tally.seconds):.1f}, most {max(tally.seconds):.1f}"
        )
    print(f"resident memory at most {peak_mb[1]:.0f} MB, {peak_mb[0]:.0f} MB before the load")
    for error in tally.errors[:5]:
        print(f"error: {error}")
    sys.exit(bool(tally.errors) or accepted != len(tally.seconds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--model", default="mantranet")
    return parser.parse_args()


def _measure(url: str, pid: int, options: argparse.Namespace) -> tuple[Tally, float, tuple[float, float]]:
    tally, first = Tally(), Tally()
    with httpx.Client(base_url=url, trust_env=False, timeout=600) as client:
        for seed in (1, 2):  # the first one compiles the network for its tiles
            _send(client, _picture(seed), first)
    before_mb = _peak_mb(pid)
    stop_at = time.monotonic() + options.seconds
    threads = [
        threading.Thread(target=_run_client, args=(url, seed, stop_at, tally))
        for seed in range(options.clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally, first.seconds[-1], (before_mb, _peak_mb(pid))


def _run_client(url: str, seed: int, stop_at: float, tally: Tally) -> None:
    picture = _picture(seed)
    with httpx.Client(base_url=url, trust_env=False, timeout=600) as client:
        while time.monotonic() < stop_at:
            try:
                _send(client, picture, tally)
            except Exception as error:
                tally.errors.append(f"{type(error).__name__}: {error}")


def _send(client: httpx.Client, picture: bytes, tally: Tally) -> None:
    start = time.monotonic()
    answer = client.post("/inspect", files={"picture": ("photo.jpg", picture)})
    tally.statuses[answer.status_code] += 1
    if answer.status_code in _REFUSALS:
        time.sleep(1)
        return
    if answer.status_code != 202:
        tally.errors.append(f"upload: {answer.status_code} {answer.text[:200]}")
        return
    while (job := client.get(answer.headers["location"]).json())["state"] not in ("done", "failed"):
        time.sleep(0.2)
    result = client.get(f"/jobs/{job['id']}/result")
    if result.status_code != 200:
        tally.errors.append(f"result: {result.status_code} {result.text[:200]}")
        return
    tally.seconds.append(time.monotonic() - start)


def _picture(seed: int) -> bytes:
    small = np.random.default_rng(seed).integers(0, 256, (27, 36, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize(_SIZE_WH, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return (
        next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024 / 1e6
    )


def _load() -> str:
    return Path("/proc/loadavg").read_text("ascii").split()[0]


if __name__ == "__main__":
    main()
