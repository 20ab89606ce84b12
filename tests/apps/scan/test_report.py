import base64
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apps.scan.cases import NOISE, calibrate_noise, hasty, write_picture
from doctored.apps.scan.analyse import Limits
from doctored.apps.scan.entries import Listing
from doctored.apps.scan.report import Summary, scan_page
from doctored.apps.scan.results import FileResult, Filter
from doctored.apps.scan.run import scan


def page_of(folder, wanted=None, calibrated=True):
    calibrate_noise(folder / "calibration.json")
    changes = {"calibration": str(folder / "calibration.json")} if calibrated else {}
    settings = NOISE.__class__(**vars(NOISE) | changes)
    scan(Listing([str(folder / "photos")]), [], folder / "scan.db", settings, 1, lambda progress: None)
    return scan_page([folder / "scan.db"], wanted or Filter(), Limits(), lambda done, total: None)


@pytest.fixture
def folder(tmp_path):
    """Two versions of one picture, another one twice, and three that are broken."""
    photos = tmp_path / "photos"
    photos.mkdir()
    y, x = np.mgrid[:150, :200]
    wave = np.stack([127 + 60 * np.sin(x / 17 + k) + 60 * np.cos(y / 9 * (k + 1)) for k in range(3)], axis=2)
    Image.fromarray(wave.astype(np.uint8)).save(photos / "wave.png")
    Image.fromarray(wave.astype(np.uint8)).resize((120, 90)).save(photos / "wave small.jpg", quality=70)
    write_picture(photos / "<b>noise.png", 1, size_hw=(90, 100))
    shutil.copy(photos / "<b>noise.png", photos / "copy.png")
    for number in (1, 22):
        (photos / f"empty {number}.jpg").write_bytes(b"")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return tmp_path


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_what_the_page_says(folder):
    page = page_of(folder)
    tally = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", page))
    assert (tally["Files"], tally["Failed"], tally["Copies of others"]) == ("7", "3", "1")
    assert "The highest scores" in page
    alike = page[page.index("Pictures that look alike") : page.index("Files that failed")]
    assert "wave.png" in alike
    assert "wave small.jpg" in alike
    assert "noise.png" not in alike, "exact copies are no group"
    failed = page[page.index("Files that failed") :]
    assert re.search(r">2</td><td>the file is empty \(… bytes\)", failed), "like errors are counted together"
    assert "empty 22.jpg" in failed


def test_bars_add_up_to_the_pictures(folder):
    titles = re.findall(r"<title>[^<]* to [^<]*: (\d+) [^<]*</title>", page_of(folder))
    assert sum(map(int, titles)) == 4


@pytest.mark.parametrize(
    "scores", [(0.1, 0.1), (0.1, 0.1 + 2e-17), (0.1, 0.10000000000000002), (-2e299, 2e299)]
)
def test_bars_of_scores_that_are_as_good_as_equal_or_very_far_apart(scores):
    """NumPy refuses to cut a range into more parts than it has numbers."""
    summary = Summary()
    for number, score in enumerate(scores):
        values = dict.fromkeys(FileResult.__dataclass_fields__)
        values |= {
            "store": Path("scan.db"),
            "id": number,
            "path": "a",
            "duplicate": False,
            "quick_look": False,
        }
        summary.add(FileResult(**values | {"raw_score": score, "verdict": "no_signs"}))
    bars = summary.bars()
    assert sum(bar.counts["no_signs"] for bar in bars) == 2
    assert bars[0].low <= scores[0] <= scores[1] <= bars[-1].high


def test_names_are_escaped_and_nothing_is_loaded(folder):
    page = page_of(folder)
    assert "<b>noise" not in page
    assert "&lt;b&gt;noise.png" in page
    for tag, attributes in Tags(page).found:
        assert tag not in ("script", "link", "iframe", "object")
        assert "style" not in attributes, "the policy of the page forbids it"
        assert not any(name.startswith("on") for name in attributes)
        source = attributes.get("src") or attributes.get("href")
        assert source is None or source.startswith("data:image/"), source


def test_thumbnails_are_pictures_and_files_that_are_gone_say_so(folder):
    page_of(folder)
    (folder / "photos" / "wave.png").unlink()
    write_picture(folder / "photos" / "wave small.jpg", 9)
    page = scan_page([folder / "scan.db"], Filter(), Limits(), lambda done, total: None)
    assert "wave.png cannot be opened" in page
    assert "the file has changed since it was analysed" in page
    sources = [a["src"] for tag, a in Tags(page).found if tag == "img"]
    assert len(sources) == 4  # picture and overlay of two files of the same bytes
    for source in sources:
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
            assert image.size == (100, 90)


def test_without_a_calibration_and_without_anything(folder):
    page = page_of(folder, calibrated=False)
    assert "Raw scores, which have no meaning by themselves" in page
    nothing = scan_page([folder / "scan.db"], Filter(match="nothing*"), Limits(), lambda done, total: None)
    assert "nothing was analysed" in nothing


def test_the_page_needs_nothing_from_the_report_but_its_style():
    """Class names of the template must be in one of the two style sheets."""
    import doctored.apps.report
    import doctored.apps.scan

    here, other = (Path(package.__file__).parent for package in (doctored.apps.scan, doctored.apps.report))
    styles = (here / "page.css").read_text() + (other / "page.css").read_text()
    used = set(re.findall(r'class="([a-z-]+)"', (here / "page.html.jinja").read_text()))
    assert {name for name in used if f".{name}" not in styles} == set()


def test_quick_looks_are_counted_apart(tmp_path):
    for number in range(5):
        write_picture(tmp_path / "photos" / f"{number}.png", number, brightest=100 + 30 * number)
    scan(
        *(Listing([str(tmp_path / "photos")]), [], tmp_path / "scan.db", hasty(tmp_path / "log"), 1),
        lambda progress: None,
        fast=0.4,
    )
    page = scan_page([tmp_path / "scan.db"], Filter(), Limits(), lambda done, total: None)
    assert dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", page))["Quick look only"] == "3"
    titles = re.findall(r"<title>[^<]* to [^<]*: (\d+) [^<]*</title>", page)
    assert sum(map(int, titles)) == 2, "the histogram is of whole looks"
    highest = page[page.index("The highest scores") :]
    assert {f"{number}.png" for number in range(5) if f"{number}.png" in highest} == {"3.png", "4.png"}


def test_quick_looks_that_look_alike_say_what_they_are(folder):
    settings = hasty(folder / "log")
    scan(
        *(Listing([str(folder / "photos")]), [], folder / "scan.db", settings, 1),
        lambda progress: None,
        fast=0.01,
    )
    page = scan_page([folder / "scan.db"], Filter(), Limits(), lambda done, total: None)
    alike = page[page.index("Pictures that look alike") : page.index("Files that failed")]
    assert "quick look 12" in alike
