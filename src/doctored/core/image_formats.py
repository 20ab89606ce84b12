"""Which format a file has, told from its content; its name only helps to spot camera RAW files."""

from __future__ import annotations

_READ = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_ANY_CODEC_BRANDS = {b"mif1", b"msf1", b"miaf"}

CAMERA_RAW = "a camera RAW file"
_VIDEO = "a video or audio file"
# Files that people do hand in, so that the message can call them by their name.
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop document"),
    (b"%!PS", "a PostScript document"),
    (b"\x1aE\xdf\xa3", _VIDEO),
    (b"FLV", _VIDEO),
    (b"OggS", _VIDEO),
    (b"ID3", _VIDEO),
    (b"\0\0\1\xba", _VIDEO),
    (b"\0\0\1\xb3", _VIDEO),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\1\0", "an icon"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"IIRO", CAMERA_RAW),
    (b"IIRS", CAMERA_RAW),
    (b"MMOR", CAMERA_RAW),
    (b"IIU\0", CAMERA_RAW),
    (b"FUJIFILMCCD-RAW", CAMERA_RAW),
    (b"FOVb", CAMERA_RAW),
    (b"\0MRM", CAMERA_RAW),
)
# Most camera RAW files are TIFF files whose first picture is a thumbnail, so their content alone misleads.
_CAMERA_RAW_SUFFIXES = {
    *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mef"),
    *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw"),
    ".x3f",
}


def recognise(data: bytes, suffix: str) -> tuple[str | None, str]:
    """The format of a file.

    Args:
        data: The file's bytes; the first 1024 suffice.
        suffix: The ending of the file's name in lower case with its dot, or "".

    Returns:
        (format, "") with the format as in `Picture.format`, or (None, description) for a file that is not
        read; the description comes with its article: "a PDF document".
    """
    if data[4:8] == b"ftyp":
        return _recognise_iso_media(data)
    if data[:4] == b"RIFF":
        return ("WEBP", "") if data[8:12] == b"WEBP" else (None, _VIDEO)
    for magic, image_format in _READ:
        if data.startswith(magic):
            raw = image_format == "TIFF" and (suffix in _CAMERA_RAW_SUFFIXES or data[8:10] == b"CR")
            return (None, CAMERA_RAW) if raw else (image_format, "")
    for magic, description in _FOREIGN:
        if data.startswith(magic):
            return None, description
    return None, CAMERA_RAW if suffix in _CAMERA_RAW_SUFFIXES else _describe_text(data[:1024])


def _recognise_iso_media(data: bytes) -> tuple[str | None, str]:
    # The file type box: its length, "ftyp", the major brand, a version, and the compatible brands.
    box = data[: min(int.from_bytes(data[:4], "big"), 1024)]
    major = box[8:12]
    brands = {major}
    if major in _ANY_CODEC_BRANDS:
        brands |= {box[start : start + 4] for start in range(16, len(box) - 3, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF", ""
    if brands & (_HEIF_BRANDS | _ANY_CODEC_BRANDS):
        return "HEIF", ""
    return None, CAMERA_RAW if major == b"crx " else _VIDEO


def _describe_text(start: bytes) -> str:
    text = start.decode("utf-8", errors="ignore")
    # A text may be cut inside its last character, which has at most 4 bytes.
    if (
        not text
        or len(text.encode()) < len(start) - 3
        or not all(c.isprintable() or c.isspace() for c in text)
    ):
        return "a file of an unknown kind"
    lower = text.lower()
    if "<svg" in lower:
        return "an SVG drawing"
    return "a web page" if "<html" in lower or "<!doctype html" in lower else "a text file"


def webp_size_wh(data: bytes) -> tuple[int, int]:
    """Width and height that a WebP file states in its first 30 bytes.

    Raises:
        ValueError: The file ends before that, or begins with a chunk that states no size.
    """
    chunk, bits = data[12:16], int.from_bytes(data[21:25], "little")
    if len(data) >= 30:
        if chunk == b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        if chunk == b"VP8L":
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if chunk == b"VP8 ":
            width, height = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no picture size in its header")
