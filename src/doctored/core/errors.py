"""Every error that a caller may catch; each message says what was expected, what came, and what to do."""

import unicodedata

_LONGEST = 10_000  # characters; twice the longest path, which is to remain whole
_BREAKING = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Unicode's categories of what would do so: control and format characters, separators of lines and paragraphs."""


class DoctoredError(Exception):
    """Base of all errors that doctored raises on purpose.

    Args:
        message: One sentence. Damaged files bring words of their own into it: what would break or turn the line around
            is written as an escape, and the middle of a very long message is left out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_one_line(message))


class ImageReadError(DoctoredError):
    """A file could not be read as a picture."""


class TooLargeError(ImageReadError):
    """A file, or the picture in it, is larger than the limit that the caller set.

    Args:
        fact: The first half of the sentence: what is how large, and what the limit is.
        limit: The caller's argument that sets it: "max_megapixels" or "max_megabytes".
    """

    def __init__(self, fact: str, limit: str) -> None:
        self.fact, self.limit = fact, limit
        super().__init__(f"{fact}; crop it, or leave it out")

    def __reduce__(self) -> tuple[type["TooLargeError"], tuple[str, str]]:
        return TooLargeError, (self.fact, self.limit)  # from worker processes


class ShapeError(DoctoredError):
    """Arrays do not have the shapes that belong together."""


class ConfigError(DoctoredError):
    """A setting has a value that makes no sense, or does not exist."""


class DataError(DoctoredError):
    """A folder of pictures or masks does not hold what it should."""


class UndefinedMetricError(DoctoredError):
    """A score has no value for this input, for instance an AUC over one class."""


class ModelError(DoctoredError):
    """A model file is missing, damaged, or does not fit what was asked."""


class UnknownModelError(ModelError, ConfigError):
    """There is no model of the name, or in the folder, that was given."""


class CheckpointError(DoctoredError):
    """A training run cannot be saved, or cannot be continued from what is on disk."""


class MissingExtraError(DoctoredError):
    """A command needs an optional dependency that is not installed.

    Args:
        what: The thing that needs it, for instance "doctored train".
        extra: The extra of this package that brings it, for instance "train".
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed; run: pip install 'doctored[{extra}]'"
        )


def _one_line(message: str) -> str:
    if len(message) > _LONGEST:
        message = f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 4 :]}"
    return "".join(_visible(sign) for sign in message)


def _visible(sign: str) -> str:
    if unicodedata.category(sign) in _BREAKING:
        return sign.encode("unicode_escape").decode("ascii")
    return sign
