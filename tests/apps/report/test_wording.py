import pytest

from apps.report.cases import inspection_of, picture_file
from core.made_files import exif_block
from doctored.apps.report.file_evidence import gather_file_evidence
from doctored.apps.report.wording import false_alarms, misleading, not_checked, place_title, verdict_sentence


@pytest.fixture
def picture(tmp_path):
    return picture_file(tmp_path)


def test_the_verdict_can_be_quoted(picture):
    sentence = verdict_sentence("folder/photo.jpg", inspection_of(picture))
    assert sentence.endswith(
        "found signs of manipulation in photo.jpg: of authentic pictures like it, 2 in 100 score this high."
    )
    assert "no proof" in verdict_sentence("photo.jpg", inspection_of(picture, verdict="no_signs", rate=0.4))
    sentence = verdict_sentence("photo.jpg", inspection_of(picture, verdict="cannot_judge"))
    assert sentence.endswith("cannot judge photo.jpg: the reason.")


def test_the_rate_is_told_with_what_it_rests_on_and_what_it_is_not(picture):
    text = false_alarms(inspection_of(picture))
    assert "149 authentic pictures of like size and compression: 2 of them score as high" in text
    assert "about 2 in 100 authentic pictures" in text
    assert "the limit for the verdict is 5 in 100" in text
    assert "not the probability" in text


def test_a_comparison_with_smaller_pictures_says_so(picture):
    text = false_alarms(inspection_of(picture, smaller=True))
    assert "149 authentic pictures of like compression that are smaller, because too few as large" in text
    assert "like size" not in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"verdict": "cannot_judge", "rate": None, "comparison": False}, "has not been calibrated"),
        ({"verdict": "cannot_judge", "rate": 0.5}, "for the reason above"),
    ],
)
def test_no_rate_is_told_where_there_is_none_to_quote(picture, options, words):
    text = false_alarms(inspection_of(picture, **options))
    assert words in text
    assert "in 100" not in text


def test_what_could_mislead_depends_on_the_file(tmp_path):
    bare = picture_file(tmp_path)
    camera = picture_file(tmp_path, size=(400, 300), exif=exif_block({271: "Nikon"}))

    def sentences(picture):
        return "\n".join(misleading(inspection_of(picture), gather_file_evidence(picture)))

    assert "screenshot or come from a messenger" in sentences(bare)
    assert "small (240 x 180 pixels)" in sentences(bare)
    assert "screenshot or come from a messenger" not in sentences(camera)
    assert "is small" not in sentences(camera)
    for picture in (bare, camera):
        assert "out of scope" in sentences(picture)
        assert "a median filter makes authentic pictures look manipulated" in sentences(picture)
        assert "no proof of authenticity" in sentences(picture)
        assert "another JPEG grid may have been put there honestly: a logo, a caption" in sentences(picture)
        assert not_checked(gather_file_evidence(picture))


def test_family_and_witnesses_are_named_only_where_the_result_has_them():
    bare = {"technique": "copy_move", "box_xyxy": [0, 0, 1, 1], "score": 0.5, "witnesses": []}
    region = bare | {"family": None, "family_score": None}
    assert place_title(2, region) == "2. Copy-move: content from elsewhere in the same picture"
    named = region | {
        "family": "compression",
        "family_score": 0.625,
        "witnesses": ["mantranet", "constrained-rcnn"],
    }
    assert place_title(2, named).endswith(
        "picture; recompressed (0.62); seen by mantranet and constrained-rcnn"
    )
    of_three = region | {"witnesses": ["mantranet", "constrained-rcnn", "grid-search"]}
    assert place_title(2, of_three).endswith("; seen by mantranet, constrained-rcnn and grid-search")
    twin = region | {"twin_box_xyxy": [10, 20, 50, 35]}
    assert place_title(3, twin) == "3. Copy-move: the same as 40 x 15 pixels at 10, 20, one of both copied"
    foreign = region | {"technique": None, "jpeg_grid_xy": [5, 3]}
    assert place_title(4, foreign) == (
        "4. Manipulated, technique unknown, compressed on another JPEG grid than the rest (blocks start at 5, 3 of "
        "every 8 pixels)"
    )
    assert "technique unknown" in place_title(1, region | {"technique": None})
