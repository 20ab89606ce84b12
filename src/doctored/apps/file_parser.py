"""Everything that parses bytes from strangers, behind one interface: here it runs in this process.

`doctored.apps.isolation` has the same in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from doctored.core.errors import ImageReadError, TooLargeError
from doctored.core.picture import Picture
from doctored.core.read_image import check_header, decode_image, read_file

if TYPE_CHECKING:
    from doctored.apps.report.content_credentials import ContentCredentials


_OPTIONS = {"max_megapixels": "--max-mp", "max_megabytes": "--max-mb"}


@contextmanager
def options_named() -> Iterator[None]:
    """Say of what is too large by which option of the command the limit is set.

    Raises:
        ImageReadError: Something was too large.
    """
    try:
        yield
    except TooLargeError as error:
        raise ImageReadError(
            f"{error.fact}; raise it with {_OPTIONS[error.limit]} if you trust the file"
        ) from error


class FileParser:
    """Parses the files that are to be analysed; a context manager that gives back what it holds."""

    def read(self, path: str, *, max_megapixels: float, max_megabytes: float) -> Picture:
        """As `doctored.core.read_image.read_image`."""
        with options_named():
            data = read_file(path, max_megabytes)
        return self.decode(path, data, max_megapixels=max_megapixels)

    def decode(self, name: str, data: bytes, *, max_megapixels: float) -> Picture:
        """As `doctored.core.read_image.decode_image`."""
        with options_named():
            return decode_image(name, data, max_megapixels=max_megapixels)

    def check_header(self, name: str, data: bytes, *, max_megapixels: float) -> None:
        """As `doctored.core.read_image.check_header`."""
        with options_named():
            check_header(name, data, max_megapixels=max_megapixels)

    def profile_name(self, profile: bytes) -> str:
        """What an ICC profile calls itself, or in a few words why that cannot be told."""
        from doctored.apps.report.colour_profile import profile_name

        return profile_name(profile)

    def check_credentials(
        self, media_type: str, data: bytes, trust_anchors: str | None
    ) -> ContentCredentials:
        """As `doctored.apps.report.content_credentials.check_manifest`."""
        from doctored.apps.report.content_credentials import check_manifest

        return check_manifest(media_type, data, trust_anchors)

    def close(self) -> None:
        """Nothing is held here."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
