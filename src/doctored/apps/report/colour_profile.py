"""What the colour profile in a file calls itself."""

import io

from PIL import ImageCms

from doctored.core.exif_facts import one_line

_LARGEST_PROFILE = 4_000_000


def profile_name(profile: bytes) -> str:
    """The name in an ICC profile, or in a few words why there is none.

    Args:
        profile: As embedded in a file.
    """
    if len(profile) > _LARGEST_PROFILE:
        return "Present, too large to be read."
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (OSError, ImageCms.PyCMSError):
        return "Present but damaged."
    return one_line(name) or "Present, without a name."
