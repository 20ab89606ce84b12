import pytest

from doctored.core.errors import UndefinedMetricError
from doctored.metrics.image import image_auc


def test_two_of_six_pairs_are_lost():
    assert image_auc([0.9, 0.3, 0.5, 0.4, 0.2], [True, True, True, False, False]) == pytest.approx(5 / 6)


def test_a_set_of_authentic_pictures_has_no_auc():
    with pytest.raises(UndefinedMetricError):
        image_auc([0.1, 0.7], [False, False])
