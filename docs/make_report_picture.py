"""Writes docs/images/report.jpg: what a browser shows of a report about the first picture of the README.

Needs Chromium. Call it anew when reports look different, or when the embedded model or its calibration changes.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).with_name("images")
_SIZE_WH = 1180, 1330
_SHOWN_WIDTH = 900


def main() -> None:
    """Make the report, photograph it, and keep a reduced JPEG file."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("this needs Chromium; install it, and see that the path leads to it")
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "report.html"), Path(folder, "report.png")
        command = [sys.executable, "-m", "doctored", "report", "splicing.jpg", "--output", str(page)]
        subprocess.run(command, check=True, cwd=IMAGES)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
        options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        options += [
            f"--user-data-dir={folder}",
            f"--window-size={_SIZE_WH[0]},{_SIZE_WH[1]}",
            f"--screenshot={shot}",
        ]
        subprocess.run([browser, *options, page.as_uri()], check=True, stderr=subprocess.DEVNULL)
        with Image.open(shot) as image:
            height = round(image.height * _SHOWN_WIDTH / image.width)
            reduced = image.convert("RGB").resize((_SHOWN_WIDTH, height), Image.Resampling.LANCZOS)
            reduced.save(IMAGES / "report.jpg", quality=82, optimize=True)


if __name__ == "__main__":
    main()
