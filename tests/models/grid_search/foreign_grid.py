"""Pictures that have been JPEG files, and one with a part of another."""

import io

import numpy as np
from PIL import Image
from skimage import data

from core.made_files import jpeg_bytes


def saved(pixels, quality):
    """The pixels of a JPEG file of a picture."""
    return np.asarray(Image.open(io.BytesIO(jpeg_bytes(pixels, quality=quality))))


def picture_with_a_foreign_square():
    """A photograph from a JPEG file with a square at x 160 to 264, y 80 to 184 from another.

    A block of the second file that starts at its column 0 and row 0 lies at 157, 75 of the picture.
    """
    picture = saved(data.astronaut()[:300, :384], 85).copy()
    picture[80:184, 160:264] = saved(data.coffee()[:300, :384], 75)[5:109, 3:107]
    return picture
