import base64
import hashlib
import html.parser
import io
import json
import re

import numpy as np
import pytest
from PIL import Image, ImageCms

from apps.report.cases import (
    MARKUP,
    failed,
    high_map,
    inspection_of,
    marked_picture,
    picture_file,
    report_of,
    section_of,
)
from apps.report.signing import ORGANISATION, signed_file
from core.made_files import exif_block, jpeg_bytes, scene
from doctored.apps.report import picture_section
from doctored.apps.report.html_page import html_page
from doctored.apps.report.pdf_pages import pdf_pages
from doctored.core.inspection import Region
from doctored.core.picture import Picture
from doctored.core.read_image import read_image

VOID = {"meta", "img", "input", "br", "link"}


class Page(html.parser.HTMLParser):
    """A page as its elements and texts; fails where tags do not match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.read, self.texts = [], [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        tag = self.open[-1] if self.open else ""
        self.texts.setdefault(tag, []).append(data)
        if tag not in ("style", "script"):
            self.read.append(data)

    @property
    def text(self):
        """What people read."""
        return " ".join("".join(self.read).split())


@pytest.fixture
def marked(tmp_path):
    """A report full of markup, with everything that a report can show."""
    thumbnail = jpeg_bytes(scene(160, 120))
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    regions = [Region((10, 20, 70, 90), "copy_move", 0.75), Region((0, 0, 9, 9), None, 0.5)]
    with_thumbnail = picture_file(
        tmp_path, exif=exif_block({271: MARKUP}, thumbnail=thumbnail), icc_profile=bytes(profile)
    )
    sections = [
        section_of(marked_picture(tmp_path), maps=[high_map((180, 240))] * 2, regions=regions),
        section_of(with_thumbnail, verdict="cannot_judge", rate=None, comparison=False),
        failed(),
    ]
    return html_page(report_of(*sections, command=f"doctored report '{MARKUP}'"))


def test_the_page_says_what_was_found(tmp_path):
    picture = picture_file(tmp_path)
    page = Page(html_page(report_of(section_of(picture))))
    assert (
        "found signs of manipulation in photo.jpg: of authentic pictures like it, 2 in 100 score" in page.text
    )
    assert "149 authentic pictures" in page.text
    assert "does not mean that it is forged with a probability of 80 %" in page.text
    assert hashlib.sha256((tmp_path / "photo.jpg").read_bytes()).hexdigest() in page.text
    assert "a" * 64 in page.text
    assert "c" * 64 in page.text
    assert "None of them has entered the verdict" in page.text
    assert "doctored report photo.jpg --output report.html" in page.text
    assert "The model marks no regions" in page.text


def test_nothing_that_a_file_says_becomes_markup(marked):
    page = Page(marked)
    names = {tag for tag, _ in page.elements}
    assert not names & {"i", "object", "iframe", "link", "base", "form", "embed"}
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert "<b>photo" not in marked
    for _, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}
    assert MARKUP.split("&")[0] in page.text


def test_what_content_credentials_say_is_text_in_every_form(tmp_path):
    """Anyone can sign with a certificate whose names are markup."""
    pytest.importorskip("c2pa")
    (tmp_path / "photo.jpg").write_bytes(signed_file(scene(120, 90), generator=MARKUP)[0])
    section = section_of(read_image(tmp_path / "photo.jpg"))
    assert section.evidence.credentials.generator == MARKUP, "it reached the report"
    report = report_of(section)
    page = html_page(report)
    assert ORGANISATION not in page
    assert "&lt;b&gt;Press&lt;/b&gt;" in page
    assert MARKUP not in page
    assert (
        json.loads(json.dumps(report.to_json()))["pictures"][0]["file"]["content_credentials"]["generator"]
        == MARKUP
    )
    pypdf = pytest.importorskip("pypdf")
    text = "".join(p.extract_text() for p in pypdf.PdfReader(io.BytesIO(pdf_pages(report))).pages)
    assert ORGANISATION in " ".join(text.split())


def test_the_page_refers_to_nothing_outside(marked):
    page = Page(marked)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, name, value[:60])
    (style,) = page.texts["style"]
    assert "url(" not in style
    assert "@import" not in style
    (script,) = page.texts["script"]
    assert not re.search(r"fetch|XMLHttp|import|https?:|innerHTML|eval", script)


def test_the_policy_lets_through_this_style_and_this_script_and_nothing_else(marked):
    page = Page(marked)
    (policy,) = (a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for kind in ("style", "script"):
        (text,) = page.texts[kind]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert set(rules) == {"default-src", "base-uri", "form-action", "img-src", "style-src", "script-src"}


def test_every_picture_is_embedded_whole_and_has_a_description(marked):
    embedded = [a for tag, a in Page(marked).elements if tag == "img" and "src" in a]
    assert len(embedded) > 15
    for attributes in embedded:
        assert attributes["alt"]
        data = base64.b64decode(attributes["src"].split(",", 1)[1], validate=True)
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.size == (int(attributes["width"]), int(attributes["height"]))


def test_two_witnesses_stand_side_by_side(marked):
    text = Page(marked).text
    assert "mantranet: its own map" in text
    assert "constrained-rcnn: its own map" in text
    assert (
        "Where they agree: the lower of the maps of mantranet and constrained-rcnn. At 0.5 or above" in text
    )
    assert "Left out" not in text


def test_the_searches_are_said_to_be_left_out_of_the_agreement(tmp_path):
    section = section_of(picture_file(tmp_path), maps=[high_map((180, 240))] * 4)
    text = Page(html_page(report_of(section))).text
    assert "Left out: copy-search and grid-search, whose maps are dark wherever they found nothing." in text


def test_regions_have_close_ups_with_technique_and_numbers(marked):
    page = Page(marked)
    assert "1. Copy-move: content from elsewhere in the same picture" in page.text
    assert "Score 0.75; 60 x 70 pixels at 10, 20" in page.text
    boxes = [a for tag, a in page.elements if tag == "rect" and a["class"] == "box"]
    assert {"x": "10", "y": "20", "width": "60", "height": "70", "class": "box"} in boxes


def test_a_failed_input_is_a_section_with_its_sentence(marked):
    text = Page(marked).text
    assert "folder/<i>lost.jpg cannot be opened (gone); check the path." in text
    assert "Could not be analysed" in text


def test_without_script_everything_can_be_read(marked):
    hidden = [(tag, a) for tag, a in Page(marked).elements if "hidden" in a]
    assert {a["class"] for _, a in hidden} == {"compare", "note needs-script"}


def test_a_large_picture_makes_no_large_file():
    rng = np.random.default_rng(0)
    picture = Picture.from_array(rng.integers(0, 256, (1900, 2700, 3), np.uint8))
    noise = rng.random(picture.size_hw).astype(np.float32)
    section = picture_section("large.png", picture, inspection_of(picture, maps=[noise]))
    assert len(html_page(report_of(section))) < 8e6
