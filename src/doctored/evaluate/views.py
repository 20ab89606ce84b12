"""The forms in which a picture is shown to a model: its file as it is, or equalised."""

import hashlib
import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from doctored.core.decoding import open_picture
from doctored.core.jpeg_facts import JpegFacts
from doctored.core.picture import Picture

AS_IS = "as_is"
EQUALISED = "equalised"
EQUALISED_QUALITY = 90


@dataclass(frozen=True)
class Shown:
    """A picture with its truth, of one size.

    Attributes:
        picture: What the model sees.
        gt_mask: (H, W) bool, True where manipulated; None for an authentic picture.
        ignored: (H, W) bool, True where pixels count as neither; None where all count.
    """

    picture: Picture
    gt_mask: NDArray[np.bool_] | None
    ignored: NDArray[np.bool_] | None


def equalised(picture: Picture) -> Picture:
    """The picture after one more save as JPEG of quality 90 and 4:2:0, in memory.

    Where manipulated and authentic files of a set were written by different programs, a model can tell these
    programs apart and know nothing of manipulations. After this they have been written by the same one.
    """
    file = io.BytesIO()
    Image.fromarray(picture.pixels).save(file, "JPEG", quality=EQUALISED_QUALITY, subsampling="4:2:0")
    return as_jpeg(picture, file.getvalue())


def as_jpeg(picture: Picture, data: bytes) -> Picture:
    """The picture that a JPEG file in memory holds, under the name of the one that it was made from."""
    with open_picture(picture.path or "the picture", data, "JPEG") as image:
        facts = JpegFacts.from_header(image)  # type: ignore[arg-type]  # opened as JPEG
        pixels = np.ascontiguousarray(np.asarray(image.convert("RGB")))
    return replace(
        picture,
        pixels=pixels,
        format="JPEG",
        stored_size_hw=(pixels.shape[0], pixels.shape[1]),
        orientation=1,
        bit_depth=8,
        mode="RGB",
        jpeg=facts,
        sha256=hashlib.sha256(data).hexdigest(),
        file_bytes=len(data),
    )
