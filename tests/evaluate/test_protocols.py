import pytest

from doctored.core.errors import ConfigError
from doctored.evaluate.protocols import FULL, make_protocol
from doctored.metrics.conventions import PLAIN, PixelConvention


def test_the_plain_convention_is_the_default():
    assert make_protocol() == FULL
    assert FULL.convention == PLAIN
    assert any("Every pixel counts" in sentence for sentence in FULL.sentences())


def test_presets_and_named_conventions_add_up_and_are_stated():
    protocol = make_protocol("mantranet", polarity_flip=True, ignored_border_px=3, threshold=0.3)
    assert protocol.convention == PixelConvention(True, 3, True)
    text = " ".join(protocol.sentences())
    for stated in ("0.3 or more", "better one", "3 px", "inverted"):
        assert stated in text
    assert protocol.shows("pixel_auc")
    assert not protocol.shows("pixel_iou")
    original = make_protocol("constrained-rcnn", average="predicted-class")
    assert original.shows("best_pixel_f1")
    assert "predicted class" in " ".join(original.sentences())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "other"}, "choose full, mantranet, constrained-rcnn"),
        ({"average": "median"}, "per-image or predicted-class"),
        ({"average": "predicted-class"}, "belongs to --protocol constrained-rcnn"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"ignored_border_px": -1}, "0 or more"),
    ],
)
def test_what_makes_no_sense_is_named(given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_protocol(**given)
