"""Every error that a caller may catch; each message says what was expected, what came, and what to do."""


class DoctoredError(Exception):
    """Base of all errors that doctored raises on purpose."""


class ImageReadError(DoctoredError):
    """A file could not be read as a picture."""


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
