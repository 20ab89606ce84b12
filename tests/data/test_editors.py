import io

import numpy as np
import pytest
from PIL import Image

from doctored.data.editors import EDITORS, editor_named_in


def jpeg_with_software(software: str) -> bytes:
    exif = Image.Exif()
    exif[0x0131] = software
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize(
    ("software", "editor"),
    [
        ("Adobe Photoshop 21.0 (Windows)", "photoshop"),
        ("GIMP 2.10.34", "gimp"),
        ("Adobe Photoshop Lightroom Classic 9.2", "photoshop"),
        ("Snapseed 2.0", "snapseed"),
        ("Ver.1.01", None),
        ("iPhone OS 13.3", None),
    ],
)
def test_the_software_of_a_file_decides(software: str, editor: str | None):
    assert editor_named_in(jpeg_with_software(software)) == editor


def test_names_are_found_at_the_end_too_and_not_in_the_picture_data():
    data = bytes(3_000_000)
    assert editor_named_in(data) is None
    assert editor_named_in(data + b"<xmp:CreatorTool>Paint.NET</xmp:CreatorTool>" + bytes(100)) == "paint.net"
    assert editor_named_in(data[:1_500_000] + b"gimp" + data[:1_500_000]) is None


def test_names_are_in_lower_case():
    assert all(name == name.lower() for name in EDITORS)
