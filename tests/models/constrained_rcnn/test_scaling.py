import pytest

from doctored.models.constrained_rcnn.scaling import scaling_for
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings, compat


@pytest.mark.parametrize(
    ("size_hw", "expected"),
    [
        ((600, 800), (600, 800)),
        ((384, 256), (900, 600)),
        ((2000, 3000), (600, 900)),
        ((1080, 1920), (562, 1000)),
        ((1920, 1080), (1000, 562)),
    ],
)
def test_published_sizes(size_hw: tuple[int, int], expected: tuple[int, int]):
    assert scaling_for(size_hw, compat()).network_hw == expected


def test_ours_never_resizes():
    scaling = scaling_for((3001, 17), ConstrainedRCNNSettings())
    assert scaling.network_hw == scaling.picture_hw == (3001, 17)
    assert scaling.factor == 1
