"""Which files name an image editor: those cannot stand for untouched photographs."""

EDITORS = (
    b"photoshop",
    b"lightroom",
    b"adobe bridge",
    b"imageready",
    b"gimp",
    b"acd systems",
    b"acdsee",
    b"capture one",
    b"digikam",
    b"vsco",
    b"picasa",
    b"paint.net",
    b"paint shop",
    b"darktable",
    b"rawtherapee",
    b"snapseed",
    b"photo editor",
    b"photo gallery",
    b"noise ninja",
    b"nikon transfer",
    b"capture nx",
    b"viewnx",
    b"camedia master",
    b"olympus master",
    b"finepixviewer",
    b"finepix viewer",
    b"digital photo professional",
    b"zoombrowser",
    b"photos 2.",
    b"pmb service uploader",
    b"quicktime",
    b"imagemagick",
    b"rawpixel",
)
"""Names in lower case, of image editors and developers of raw files: they stand in EXIF, in XMP and in Photoshop's
own blocks."""

# Such blocks lie before or after the picture data. In the megabytes between, four letters would turn up by chance.
_HEAD_BYTES = 1 << 20
_TAIL_BYTES = 1 << 16


def editor_named_in(content: bytes) -> str | None:
    """The first of `EDITORS` that a picture file mentions near its beginning or end, in any case of letters.

    Args:
        content: All bytes of the file.

    Returns:
        The name in lower case; None if the file names no editor.
    """
    searched = content[:_HEAD_BYTES].lower() + b"\0" + content[_HEAD_BYTES:][-_TAIL_BYTES:].lower()
    return next((name.decode() for name in EDITORS if name in searched), None)
