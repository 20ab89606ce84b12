import pytest

from doctored.core.errors import ShapeError, UndefinedMetricError
from doctored.metrics.averaging import mean_over_predicted_classes, mean_per_image


def test_the_two_means_differ_by_hand():
    scores = [0.2, 0.4, 0.6, 0.0, 1.0]
    predicted = ["removal", "removal", "removal", "removal", "splicing"]
    assert mean_per_image(scores) == pytest.approx(2.2 / 5)
    # the 0 is passed over: removal .4, splicing 1
    assert mean_over_predicted_classes(scores, predicted, ["splicing", "removal"]) == pytest.approx(0.7)


def test_what_the_original_printed_as_nan_is_an_error():
    with pytest.raises(UndefinedMetricError, match="copy_move"):
        mean_over_predicted_classes([0.5], ["removal"], ["removal", "copy_move"])
    with pytest.raises(UndefinedMetricError, match="removal"):
        mean_over_predicted_classes([0.0], ["removal"], ["removal"])


def test_undefined_inputs_are_named():
    with pytest.raises(UndefinedMetricError, match="none"):
        mean_per_image([])
    with pytest.raises(UndefinedMetricError, match="none"):
        mean_over_predicted_classes([], [], [])
    with pytest.raises(UndefinedMetricError, match="NaN"):
        mean_per_image([0.5, float("nan")])
    with pytest.raises(UndefinedMetricError, match="NaN"):
        mean_over_predicted_classes([float("nan")], ["removal"], ["removal"])
    with pytest.raises(ShapeError, match="2 scores, got 1"):
        mean_over_predicted_classes([0.1, 0.2], ["removal"], ["removal"])
