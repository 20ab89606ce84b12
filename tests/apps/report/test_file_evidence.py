import hashlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from apps.report.cases import picture_file
from core.made_files import exif_block, jpeg_bytes, scene
from doctored.apps.report.file_evidence import gather_file_evidence
from doctored.core.read_image import decode_image, read_image

GPS = {1: "N", 2: (52.0, 30.0, 0.0), 3: "W", 4: (13.0, 15.0, 0.0)}


def evidence_of(data, **options):
    return gather_file_evidence(decode_image("photo.jpg", data), **options)


def text_of(evidence, title):
    return dict(evidence.sentences())[title]


def test_facts_are_those_of_the_file(tmp_path):
    picture = picture_file(tmp_path)
    evidence = gather_file_evidence(picture)
    data = (tmp_path / "photo.jpg").read_bytes()
    assert text_of(evidence, "SHA-256") == hashlib.sha256(data).hexdigest() == evidence.to_json()["sha256"]
    assert f"{len(data):,} bytes" in text_of(evidence, "File")
    assert "240 x 180 pixels" in text_of(evidence, "File")
    assert text_of(evidence, "EXIF").startswith("None.")
    assert text_of(evidence, "Embedded thumbnail") == "None."
    assert "About quality 90 " in text_of(evidence, "JPEG compression")
    # Table K.1 at quality 90 is a fifth of itself, rounded.
    assert "begins with 3, 2, 2, 3, 5, 8, 10, 12" in text_of(evidence, "JPEG compression")


def test_the_position_is_announced_but_not_shown_unless_asked_for():
    data = jpeg_bytes(scene(64, 64), exif=exif_block({271: "Nikon"}, gps=GPS))
    hidden, shown = evidence_of(data), evidence_of(data, show_position=True)
    assert "52" not in str(dict(hidden.sentences())["EXIF: position"])
    assert hidden.to_json()["exif"]["has_position"] is True
    assert hidden.to_json()["exif"]["position"] is None
    assert text_of(shown, "EXIF: position") == "52.50000° N, 13.25000° W"
    assert shown.to_json()["exif"]["position"] == pytest.approx([52.5, -13.25])


def test_the_thumbnail_of_another_picture_is_said_to_be_one():
    thumbnail = jpeg_bytes(scene(160, 120, seed=9))
    evidence = evidence_of(jpeg_bytes(scene(480, 360), exif=exif_block({271: "x"}, thumbnail=thumbnail)))
    assert text_of(evidence, "Embedded thumbnail").startswith("It shows something else")
    assert evidence.to_json()["thumbnail"]["similarity"] < 0.8


def test_a_damaged_thumbnail_is_a_fact_and_no_failure():
    evidence = evidence_of(
        jpeg_bytes(scene(64, 64), exif=exif_block({271: "x"}, thumbnail=b"\xff\xd8\xff no jpeg"))
    )
    assert "cannot be read" in text_of(evidence, "Embedded thumbnail")
    assert evidence.to_json()["thumbnail"]["error"]


def test_an_earlier_save_is_told_with_its_quality():
    first = decode_image("photo.jpg", jpeg_bytes(scene(), quality=60)).pixels
    evidence = evidence_of(jpeg_bytes(first, quality=90))
    assert "about quality 60" in text_of(evidence, "Saved before")
    assert evidence.to_json()["earlier_save"]["found"] is True
    assert "No traces" in text_of(evidence_of(jpeg_bytes(scene(), quality=90)), "Saved before")
    assert "Cannot be told" in text_of(evidence_of(jpeg_bytes(scene(64, 64))), "Saved before")


def test_other_formats_have_no_facts_of_jpeg_files(tmp_path):
    Image.fromarray(scene(64, 64)).save(tmp_path / "photo.png")
    evidence = gather_file_evidence(read_image(tmp_path / "photo.png"))
    assert "JPEG compression" not in dict(evidence.sentences())
    assert evidence.to_json()["jpeg"] is None


def test_the_profile_is_named(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert "sRGB" in evidence_of(jpeg_bytes(scene(64, 64), icc_profile=profile)).colour_profile
    damaged = bytes(np.random.default_rng(0).integers(0, 256, 300, np.uint8))
    assert (
        evidence_of(jpeg_bytes(scene(64, 64), icc_profile=damaged)).colour_profile == "Present but damaged."
    )
    assert evidence_of(jpeg_bytes(scene(64, 64))).colour_profile is None
