import sys

import pytest

from apps.report.signing import ORGANISATION, signed_file
from core.made_files import jpeg_bytes, scene
from doctored.apps.report.content_credentials import read_content_credentials
from doctored.core.picture import Picture
from doctored.core.read_image import read_image

PIXELS = scene(120, 90)


@pytest.fixture(scope="module")
def signed():
    pytest.importorskip("c2pa")
    return signed_file(PIXELS)


def read(folder, data, trust_anchors=None):
    path = folder / "photo.jpg"
    path.write_bytes(data)
    return read_content_credentials(read_image(path), trust_anchors)


def test_a_signer_whom_nobody_knows_is_not_called_valid(tmp_path, signed):
    found = read(tmp_path, signed[0])
    assert found.state == "unknown_signer"
    assert found.signer == f"{ORGANISATION}, Camera 7"
    assert found.generator == "Example camera"
    assert "anyone can make such a certificate" in found.sentence
    assert found.failures == ("signingCredential.untrusted",)


def test_a_signer_on_the_list_of_trust_is_valid(tmp_path, signed):
    data, anchors = signed
    found = read(tmp_path, data, anchors)
    assert found.state == "valid"
    assert found.failures == ()


def test_a_changed_pixel_breaks_the_signature_even_of_a_trusted_signer(tmp_path, signed):
    data, anchors = signed
    changed = bytearray(data)
    changed[-500] ^= 1
    found = read(tmp_path, bytes(changed), anchors)
    assert found.state == "broken"
    assert any("dataHash" in failure for failure in found.failures)


def test_a_file_without_has_none(tmp_path):
    pytest.importorskip("c2pa")
    assert read(tmp_path, jpeg_bytes(PIXELS)).state == "none"


def test_without_the_library_nothing_is_checked_and_the_line_to_run_is_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read(tmp_path, jpeg_bytes(PIXELS))
    assert found.state == "not_checked"
    assert "pip install 'doctored[c2pa]'" in found.sentence


def test_a_picture_that_is_no_file_or_has_changed_is_not_checked(tmp_path):
    pytest.importorskip("c2pa")
    assert read_content_credentials(Picture.from_array(PIXELS)).state == "not_checked"
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg_bytes(PIXELS))
    picture = read_image(path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "has changed" in read_content_credentials(picture).sentence
    path.unlink()
    assert "has changed or vanished" in read_content_credentials(picture).sentence
