"""What a JPEG file says about its own compression."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import JpegImagePlugin

# Luma sampling factors divided by chroma sampling factors, horizontally and vertically.
_SUBSAMPLING_NAMES = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (1, 2): "4:4:0",
    (4, 1): "4:1:1",
    (4, 2): "4:1:0",
}


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


def _name_subsampling(sampling_hv: tuple[tuple[int, int], ...]) -> str:
    if len(sampling_hv) == 1:
        return "grey"
    (luma_h, luma_v), (chroma_h, chroma_v) = sampling_hv[:2]
    whole = chroma_h and chroma_v and luma_h % chroma_h == 0 and luma_v % chroma_v == 0
    if not whole or sampling_hv[1] != sampling_hv[2]:
        return "other"
    return _SUBSAMPLING_NAMES.get((luma_h // chroma_h, luma_v // chroma_v), "other")
