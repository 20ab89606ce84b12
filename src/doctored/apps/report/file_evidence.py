"""What a picture's file says apart from its pixels: evidence of its own, which never enters a score."""

from dataclasses import dataclass
from typing import Any

from doctored.apps.file_parser import FileParser
from doctored.apps.report.content_credentials import ContentCredentials, read_content_credentials
from doctored.core.double_compression import DoubleCompression, double_compression
from doctored.core.errors import ImageReadError
from doctored.core.exif_facts import ExifFacts
from doctored.core.jpeg_facts import JpegFacts
from doctored.core.picture import Picture
from doctored.core.thumbnail import ThumbnailComparison, compare_thumbnail


@dataclass(frozen=True, eq=False)
class FileEvidence:
    """Facts of one file.

    Attributes:
        sha256: Of the file.
        format: Of the file, for instance "JPEG".
        file_bytes: Its length.
        size_hw: Height and width of the picture, upright.
        bit_depth: Bits per channel.
        mode: Colour layout in Pillow's words.
        colour_profile: Name of the embedded profile, as it says; None if there is none.
        exif: None if there is no EXIF block.
        show_position: Whether the position may be shown, and not only that there is one.
        thumbnail: None if there is none, or if it cannot be read.
        thumbnail_error: Why it cannot be read; None if it can, or if there is none.
        jpeg: None for other formats.
        earlier_save: None where this cannot be told.
        credentials: Content Credentials.
    """

    sha256: str
    format: str
    file_bytes: int
    size_hw: tuple[int, int]
    bit_depth: int
    mode: str
    colour_profile: str | None
    exif: ExifFacts | None
    show_position: bool
    thumbnail: ThumbnailComparison | None
    thumbnail_error: str | None
    jpeg: JpegFacts | None
    earlier_save: DoubleCompression | None
    credentials: ContentCredentials

    def sentences(self) -> list[tuple[str, str]]:
        """Title and text of every fact, for people."""
        facts = [
            ("SHA-256", self.sha256),
            ("File", self._file()),
            ("Colour profile", self.colour_profile or "None"),
        ]
        facts += self._exif()
        facts.append(("Embedded thumbnail", self._thumbnail()))
        if self.jpeg is not None:
            facts += [
                ("JPEG compression", self._compression(self.jpeg)),
                ("Saved before", self._saved_before()),
            ]
        facts.append(("Content Credentials (C2PA)", self.credentials.sentence))
        return facts

    def _file(self) -> str:
        height, width = self.size_hw
        size = f"{width} x {height} pixels ({width * height / 1e6:.1f} megapixels)"
        return f"{self.format}, {self.file_bytes:,} bytes, {size}, {self.mode} with {self.bit_depth} bits per channel"

    def _exif(self) -> list[tuple[str, str]]:
        if self.exif is None:
            return [("EXIF", "None. Cameras write it, most messengers and social networks remove it.")]
        if not self.exif.readable:
            return [("EXIF", "Present but damaged, so that it cannot be read.")]
        named = (
            ("Camera", self.exif.camera),
            ("Lens", self.exif.lens),
            ("Software", self.exif.software),
            ("Taken", self.exif.taken),
            ("Digitised", self.exif.digitised),
            ("File changed", self.exif.changed),
            ("Author", self.exif.author),
        )
        facts = [(f"EXIF: {title.lower()}", text) for title, text in named if text]
        if self.exif.has_position:
            facts.append(("EXIF: position", self._position(self.exif)))
        return facts or [("EXIF", "Present, without camera, software or dates.")]

    def _position(self, exif: ExifFacts) -> str:
        if not self.show_position:
            return (
                "The file says where the picture was taken. Think of the people in it before you pass the file on. The "
                "position is not shown here; ask for it with --show-position."
            )
        if exif.position is None:
            return "Present but incomplete."
        north, east = exif.position
        return f"{abs(north):.5f}° {'N' if north >= 0 else 'S'}, {abs(east):.5f}° {'E' if east >= 0 else 'W'}"

    def _thumbnail(self) -> str:
        if self.thumbnail_error is not None:
            return f"Present, but it cannot be read ({self.thumbnail_error})."
        thumbnail = self.thumbnail
        if thumbnail is None:
            return "None."
        says = {
            True: "It shows the same as the picture",
            False: "It shows something else than the picture, or another part or state of it",
            None: "Whether it shows the same as the picture is not clear; look at both",
        }[thumbnail.same_picture]
        figures = f"mean difference {thumbnail.difference:.1f} of 255 grey levels"
        if thumbnail.similarity is not None:
            figures = f"similarity {thumbnail.similarity:.2f}, where 1 is the same; {figures}"
        remarks = ""
        if not thumbnail.same_shape:
            remarks += (
                ". Its shape is not that of the picture: the thumbnail has bars, or the picture was cropped"
            )
        if thumbnail.turned:
            remarks += f". It had to be turned by {thumbnail.turned} degrees to match"
        return f"{says} ({figures}){remarks}."

    def _compression(self, jpeg: JpegFacts) -> str:
        kind = "progressive" if jpeg.progressive else "baseline"
        first = ", ".join(str(step) for step in jpeg.quantization_tables[0][:8])
        return (
            f"About quality {jpeg.estimated_quality:g} on libjpeg's scale of 1 to 100, {kind}, colours "
            f"{jpeg.subsampling}; the luma table begins with {first}."
        )

    def _saved_before(self) -> str:
        found = self.earlier_save
        if found is None:
            return "Cannot be told: too small, too flat, or colours of a rare kind."
        if not found.found:
            return (
                "No traces of an earlier JPEG save of lower quality. One of the same or a higher quality leaves "
                "none, nor does one before resizing, rotating or cropping."
            )
        return (
            f"Traces of an earlier JPEG save of about quality {found.earlier_quality:.0f}, with steps "
            f"{found.step_ratio:.1f} times as large as now. Many authentic files have been saved twice; a camera's "
            "original has not."
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "sha256": self.sha256,
            "format": self.format,
            "file_bytes": self.file_bytes,
            "width": self.size_hw[1],
            "height": self.size_hw[0],
            "bit_depth": self.bit_depth,
            "mode": self.mode,
            "colour_profile": self.colour_profile,
            "exif": self._exif_json(),
            "thumbnail": self._thumbnail_json(),
            "jpeg": self.jpeg
            and {
                "estimated_quality": self.jpeg.estimated_quality,
                "quantization_tables": [[int(step) for step in t] for t in self.jpeg.quantization_tables],
                "subsampling": self.jpeg.subsampling,
                "progressive": self.jpeg.progressive,
            },
            "earlier_save": self._earlier_save_json(),
            "content_credentials": self.credentials.to_json(),
        }

    def _exif_json(self) -> dict[str, Any] | None:
        exif = self.exif
        if exif is None:
            return None
        names = (
            "readable",
            "camera",
            "lens",
            "software",
            "taken",
            "digitised",
            "changed",
            "author",
            "has_position",
        )
        position = list(exif.position) if self.show_position and exif.position else None
        return {name: getattr(exif, name) for name in names} | {"position": position}

    def _thumbnail_json(self) -> dict[str, Any] | None:
        if self.thumbnail_error is not None:
            return {"error": self.thumbnail_error} | dict.fromkeys(
                ("width", "height", "similarity", "difference", "same_shape", "turned")
            )
        thumbnail = self.thumbnail
        if thumbnail is None:
            return None
        return {
            "error": None,
            "width": thumbnail.pixels.shape[1],
            "height": thumbnail.pixels.shape[0],
            "similarity": thumbnail.similarity,
            "difference": thumbnail.difference,
            "same_shape": thumbnail.same_shape,
            "turned": thumbnail.turned,
        }

    def _earlier_save_json(self) -> dict[str, Any] | None:
        if self.earlier_save is None:
            return None
        found = self.earlier_save.found
        return {
            "found": found,
            "gain": self.earlier_save.gain,
            "frequencies": self.earlier_save.frequencies,
            "step_ratio": self.earlier_save.step_ratio if found else None,
            "quality": self.earlier_save.earlier_quality if found else None,
        }


def gather_file_evidence(
    picture: Picture,
    *,
    show_position: bool = False,
    trust_anchors: str | None = None,
    parser: FileParser | None = None,
) -> FileEvidence:
    """Collect what a picture's file says.

    Args:
        picture: As it was read from its file.
        show_position: Whether reports may show the position.
        trust_anchors: As for `read_content_credentials`, and so is the next.
        parser: What parses the file.
    """
    parser = parser or FileParser()
    thumbnail, thumbnail_error = None, None
    try:
        thumbnail = compare_thumbnail(picture, parser.decode)
    except ImageReadError as error:
        thumbnail_error = str(error)
    return FileEvidence(
        sha256=picture.sha256,
        format=picture.format,
        file_bytes=picture.file_bytes,
        size_hw=picture.size_hw,
        bit_depth=picture.bit_depth,
        mode=picture.mode,
        colour_profile=parser.profile_name(picture.icc_profile) if picture.icc_profile else None,
        exif=picture.exif,
        show_position=show_position,
        thumbnail=thumbnail,
        thumbnail_error=thumbnail_error,
        jpeg=picture.jpeg,
        earlier_save=double_compression(picture),
        credentials=read_content_credentials(picture, trust_anchors, parser),
    )
