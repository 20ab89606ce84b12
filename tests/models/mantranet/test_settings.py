import pytest

from doctored.core.errors import ConfigError
from doctored.models.mantranet.settings import ManTraNetSettings, released_variant


@pytest.mark.parametrize(
    ("index", "first_layer_filters", "transform_tanh", "window_sizes"),
    [
        (0, 32, True, (7, 15, 31, 63)),
        (1, 32, False, (7, 15, 31, 63)),
        (2, 16, False, (7, 15, 31, 63)),
        (3, 16, False, (7, 15, 31, 63)),
        (4, 16, False, (7, 15, 31)),
    ],
)
def test_released_variants(
    index: int, first_layer_filters: int, transform_tanh: bool, window_sizes: tuple[int, ...]
):
    assert released_variant(index) == ManTraNetSettings(
        first_layer_filters=first_layer_filters, transform_tanh=transform_tanh, window_sizes=window_sizes
    )


def test_the_default_is_the_demonstrated_variant():
    assert ManTraNetSettings() == released_variant(4)


@pytest.mark.parametrize(("index", "anomaly_halo_px"), [(0, 40), (1, 40), (2, 40), (3, 40), (4, 24)])
def test_halos(index: int, anomaly_halo_px: int):
    settings = released_variant(index)
    assert settings.feature_halo_px == 14
    assert settings.anomaly_halo_px == anomaly_halo_px


@pytest.mark.parametrize("index", [-1, 5])
def test_a_variant_that_does_not_exist_is_refused(index: int):
    with pytest.raises(ConfigError, match=f"variant {index} does not exist; give 0, 1, 2, 3 or 4"):
        released_variant(index)


def test_a_first_layer_without_plain_filters_is_refused():
    with pytest.raises(ConfigError, match="first_layer_filters is 12"):
        ManTraNetSettings(first_layer_filters=12)
    assert ManTraNetSettings(first_layer_filters=13).first_layer_filters == 13


@pytest.mark.parametrize("window_sizes", [(), (7, 16), (1, 7), (31, 15, 7), (7, 7)])
def test_windows_that_make_no_sense_are_refused(window_sizes: tuple[int, ...]):
    with pytest.raises(ConfigError, match="give odd sizes of 3 or more, small to large"):
        ManTraNetSettings(window_sizes=window_sizes)
