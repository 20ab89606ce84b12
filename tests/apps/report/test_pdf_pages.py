import io

import pytest

from apps.report.cases import (
    WITNESSES,
    failed,
    high_map,
    marked_picture,
    picture_file,
    report_of,
    section_of,
)
from doctored.apps.report.pdf_pages import pdf_pages
from doctored.core.inspection import Region

pypdf = pytest.importorskip("pypdf")
pytest.importorskip("reportlab")


def read(data):
    """Text and number of pictures of a file, by another library."""
    pages = pypdf.PdfReader(io.BytesIO(data)).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    return text, sum(len(page.images) for page in pages)


def test_the_pages_say_what_the_html_page_says(tmp_path):
    picture = picture_file(tmp_path)
    text, pictures = read(pdf_pages(report_of(section_of(picture))))
    assert (
        "found signs of manipulation in photo.jpg: of authentic pictures like it, 2 in 100 score this high."
        in text
    )
    assert "149 authentic pictures" in text
    assert "forged with a probability of 80 %" in text
    assert picture.sha256 in text
    assert "None of them has entered the verdict" in text
    assert "out of scope" in text
    assert "doctored report photo.jpg --output report.html" in text
    assert "Page 2" in text
    assert pictures >= 7


def test_markup_and_foreign_letters_are_text(tmp_path):
    marked = section_of(marked_picture(tmp_path), maps=[high_map((180, 240))] * 2)
    text, _ = read(pdf_pages(report_of(marked, section_of(picture_file(tmp_path, "中.jpg")), failed())))
    assert "<b>photo<!--.jpg" in text
    assert "<script>alert('x')</script>" in text
    assert "\\u4e2d.jpg" in text
    assert "Where they agree" in text
    assert "folder/<i>lost.jpg cannot be opened (gone); check the path." in text


def test_three_witnesses_have_their_maps_and_the_networks_agree(tmp_path):
    """The names of the two that agree were asked of all witnesses, and the default model has more."""
    picture = picture_file(tmp_path)
    everywhere, half = high_map((180, 240), (0, 0, 240, 180)), high_map((180, 240), (0, 0, 120, 180))
    nowhere = high_map((180, 240), value=0.2)
    text, pictures = read(pdf_pages(report_of(section_of(picture, maps=[everywhere, half, nowhere]))))
    assert all(f"{name}: its own map" in text for name in WITNESSES[:3])
    shares = "are both in 50.0 % of the picture, only mantranet in 50.0 %, only constrained-rcnn in 0.0 %"
    assert shares in text
    assert "the lower of the maps of mantranet and constrained-rcnn" in text
    assert "Left out: copy-search, whose map is dark wherever it found nothing." in text
    of_two, fewer = read(pdf_pages(report_of(section_of(picture, maps=[everywhere, half]))))
    assert "copy-search" not in of_two
    assert pictures == fewer + 1


def test_regions_and_odd_shapes_fit_on_pages(tmp_path):
    regions = [Region((0, y, 9, y + 9), "removal", 0.5) for y in range(0, 90, 10)]
    tall = picture_file(tmp_path, size=(100, 2000))
    wide = picture_file(tmp_path, size=(2000, 100))
    sections = [section_of(tall, regions=regions), section_of(wide, maps=[high_map((100, 2000))])]
    text, _ = read(pdf_pages(report_of(*sections)))
    assert "Removal: something was covered" in text


def test_the_same_report_has_the_same_bytes(tmp_path):
    report = report_of(section_of(picture_file(tmp_path)))
    assert pdf_pages(report) == pdf_pages(report)
