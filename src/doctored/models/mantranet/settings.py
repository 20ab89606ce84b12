"""What the five released ManTra-Net variants differ in."""

from dataclasses import dataclass
from itertools import pairwise

from doctored.core.errors import ConfigError

FIXED_FILTERS = 12  # nine SRM and three constrained filters, in every variant


@dataclass(frozen=True)
class ManTraNetSettings:
    """The shape of a ManTra-Net.

    Attributes:
        first_layer_filters: Filters of the first layer: 12 SRM and constrained ones, the rest plain.
        widths: Channels of the five blocks of 3 x 3 convolutions (the first block has one such layer).
        feature_channels: Length of the unit feature vector per pixel.
        transform_tanh: Whether the last feature layer ends in a tanh.
        adapted_channels: Channels in which anomalies are looked for.
        window_sizes: Odd window sides in pixels, small to large; the whole picture always comes after them.
        hidden_channels: Channels of the ConvLSTM's state.
    """

    first_layer_filters: int = 16
    widths: tuple[int, int, int, int, int] = (32, 64, 128, 256, 256)
    feature_channels: int = 256
    transform_tanh: bool = False
    adapted_channels: int = 64
    window_sizes: tuple[int, ...] = (7, 15, 31)
    hidden_channels: int = 8

    def __post_init__(self) -> None:
        if self.first_layer_filters <= FIXED_FILTERS:
            raise ConfigError(
                f"first_layer_filters is {self.first_layer_filters}; {FIXED_FILTERS} of them are the SRM and "
                "constrained filters, so it needs to be larger"
            )
        counts = (*self.widths, self.feature_channels, self.adapted_channels, self.hidden_channels)
        if len(self.widths) != 5 or min(counts) < 1:
            raise ConfigError(
                f"widths is {self.widths}, and there are {self.feature_channels}, {self.adapted_channels} and "
                f"{self.hidden_channels} channels after them; give five widths, and 1 or more of each"
            )
        sizes = self.window_sizes
        ascending = all(small < large for small, large in pairwise(sizes))
        if not sizes or not ascending or any(size % 2 == 0 or size < 3 for size in sizes):
            raise ConfigError(
                f"window_sizes is {self.window_sizes}; give odd sizes of 3 or more, small to large"
            )

    @property
    def feature_halo_px(self) -> int:
        """How far the feature of a pixel sees: 2 for the 5 x 5 layer and 1 for each of twelve 3 x 3 layers."""
        return 2 + 12

    @property
    def anomaly_halo_px(self) -> int:
        """How far the anomaly score of a pixel sees on the adapted map (global statistics apart).

        Step t of T starts from a window and then passes the input convolution and T - t recurrent ones, each
        3 px, and the last convolution's 3 px; the global step comes last and has no window.
        """
        steps = len(self.window_sizes) + 1
        reaches = [
            size // 2 + 3 * (steps - t + 1) + 3 for t, size in enumerate((*self.window_sizes, 1), start=1)
        ]
        return max(reaches)


NETWORKS = {
    "mantranet": ManTraNetSettings(),
    "mantranet-small": ManTraNetSettings(widths=(16, 32, 64, 128, 128)),
}
"""Shapes to train, by name: the published one, and one of half its channels, which takes a quarter of the work."""


def released_variant(index: int) -> ManTraNetSettings:
    """Settings of one of the five released weight files; index 4 is the one its authors demonstrate.

    Raises:
        ConfigError: index is not 0..4.
    """
    if index not in range(5):
        raise ConfigError(f"ManTra-Net variant {index} does not exist; give 0, 1, 2, 3 or 4")
    return ManTraNetSettings(
        first_layer_filters=32 if index in (0, 1) else 16,
        transform_tanh=index == 0,
        window_sizes=(7, 15, 31) if index == 4 else (7, 15, 31, 63),
    )
