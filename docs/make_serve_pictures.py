"""Writes docs/images/serve*.jpg: what the page of `doctored serve` shows of the first picture of the README.

Needs Chromium and the extra dev. Call it anew when the page looks different, or when the embedded model or its
calibration changes.
"""

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

IMAGES = Path(__file__).with_name("images")
_PICTURES = ("removal.jpg", "copy_move.jpg", "splicing.jpg")
_LONGEST_MS = 600_000
_SHOTS = {
    "serve": ({"viewport": {"width": 1320, "height": 1000}}, 1100),
    "serve-dark": ({"viewport": {"width": 1320, "height": 1000}, "color_scheme": "dark"}, 800),
    "serve-phone": ({"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}, 390),
}


def main() -> None:
    """Start a server, show it the pictures, and photograph its page."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        sys.exit("this needs Chromium; install it, and see that the path leads to it")
    command = [sys.executable, "-m", "doctored", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[0]
        try:
            with sync_playwright() as playwright:
                options = [
                    "--no-sandbox",
                    "--disable-gpu",
                    "--no-first-run",
                    "--disable-background-networking",
                ]
                options += ["--disable-component-update", "--disable-sync"]
                browser = playwright.chromium.launch(executable_path=executable, args=options)
                for name, (context, width) in _SHOTS.items():
                    _write(IMAGES / f"{name}.jpg", _photograph(browser, url, context), width)
        finally:
            server.terminate()


def _photograph(browser: Browser, url: str, context: dict[str, object]) -> bytes:
    page = browser.new_page(**context)  # type: ignore[arg-type]
    page.goto(url)
    page.locator("#files").set_input_files([IMAGES / name for name in _PICTURES])
    unfinished = page.locator("#history .is").filter(has_text=re.compile("Sending|Waiting|Analysing"))
    expect(unfinished).to_have_count(0, timeout=_LONGEST_MS)
    page.get_by_role("button", name="splicing.jpg").first.click()
    page.locator("#cut").fill("35")
    page.mouse.move(0, 0)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(800)
    page.evaluate(
        "window.scrollTo(0, 0)"
    )  # a long list of regions makes the page scroll to what is filled in
    return page.screenshot()


def _write(path: Path, shot: bytes, width: int) -> None:
    with Image.open(io.BytesIO(shot)) as image:
        size = width, round(image.height * width / image.width)
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path, quality=82, optimize=True)


if __name__ == "__main__":
    main()
