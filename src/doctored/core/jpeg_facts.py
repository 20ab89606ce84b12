"""What a JPEG file says about its own compression."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import JpegImagePlugin

# Mean step of the luma table that the standard gives as an example (ITU-T T.81, table K.1), which libjpeg calls
# quality 50 and scales for every other quality.
_MEAN_STEP_AT_50 = 57.625

# Luma sampling factors divided by chroma sampling factors, horizontally and vertically.
_SUBSAMPLING_NAMES = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (1, 2): "4:4:0",
    (4, 1): "4:1:1",
    (4, 2): "4:1:0",
}
SUBSAMPLINGS = frozenset({*_SUBSAMPLING_NAMES.values(), "grey", "other"})
"""All that `JpegFacts.subsampling` can be."""


@dataclass(frozen=True)
class JpegFacts:
    """How a JPEG file was compressed, as its header states it.

    Attributes:
        quantization_tables: One table per colour component in the order of the frame (Y, Cb, Cr), each 64
            steps in natural order: entry 8 * v + u belongs to vertical frequency v, horizontal u.
        sampling_hv: One (horizontal, vertical) sampling factor per colour component.
        subsampling: "4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "4:1:0", "grey" for one component, or
            "other".
        progressive: True if the coefficients come in several scans.
    """

    quantization_tables: tuple[tuple[int, ...], ...]
    sampling_hv: tuple[tuple[int, int], ...]
    subsampling: str
    progressive: bool

    @property
    def estimated_quality(self) -> float:
        """The libjpeg quality, 1..100, whose luma table has about the same mean step as the file's.

        Cameras and editors have tables of their own shape; this says only how coarse theirs are in the mean. Below
        15 it comes out too high, since steps end at 255.
        """
        luma = self.quantization_tables[0]
        return quality_of_percent(100 * sum(luma) / len(luma) / _MEAN_STEP_AT_50)

    @classmethod
    def from_header(cls, image: JpegImagePlugin.JpegImageFile) -> JpegFacts:
        """The facts that Pillow parsed from a file's header.

        Raises:
            KeyError: A component names a quantization table that the header does not define.
        """
        sampling_hv = tuple((horizontal, vertical) for _, horizontal, vertical, _ in image.layer)
        return cls(
            quantization_tables=tuple(tuple(image.quantization[table]) for *_, table in image.layer),
            sampling_hv=sampling_hv,
            subsampling=_name_subsampling(sampling_hv),
            progressive=bool(image.info.get("progressive", False)),
        )


def quality_of_percent(percent: float) -> float:
    """The libjpeg quality, 1..100, at which steps are this many percent of those of quality 50."""
    quality = 100 - percent / 2 if percent <= 100 else 5000 / percent
    return min(100.0, max(1.0, round(quality, 1)))


def _name_subsampling(sampling_hv: tuple[tuple[int, int], ...]) -> str:
    if len(sampling_hv) == 1:
        return "grey"
    (luma_h, luma_v), (chroma_h, chroma_v) = sampling_hv[:2]
    whole = chroma_h and chroma_v and luma_h % chroma_h == 0 and luma_v % chroma_v == 0
    if not whole or sampling_hv[1] != sampling_hv[2]:
        return "other"
    return _SUBSAMPLING_NAMES.get((luma_h // chroma_h, luma_v // chroma_v), "other")
