"""Where ManTra-Net's adapted map of a whole picture is between the two passes: in memory, or in a file."""

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

_SHARE_OF_FREE_DISK = 0.5


class AdaptedMap(Protocol):
    """(H, W, C) float32, written and read by rows and columns of the picture."""

    def write(self, region: tuple[slice, slice], values: NDArray[np.float32]) -> None:
        """Keep the values of a region."""
        ...

    def read(self, region: tuple[slice, slice]) -> NDArray[np.float32]:
        """The values of a region that was written."""
        ...


class MapInMemory:
    """The map as an array.

    Args:
        shape: Height, width and channels.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._values = np.empty(shape, np.float32)

    def write(self, region: tuple[slice, slice], values: NDArray[np.float32]) -> None:
        self._values[region] = values

    def read(self, region: tuple[slice, slice]) -> NDArray[np.float32]:
        return self._values[region]


class MapOnDisk:
    """The map in a file without a name, which is gone when it is closed or the process ends, however it ends.

    Plain reads and writes, not memory-mapped: mapped pages would count as this process's memory.

    Args:
        shape: Height, width and channels.
        folder: On a disk with room for it.

    Raises:
        OSError: There is no room, or the folder cannot be written to. Room is reserved here, so that no later write
            can fail for want of it.
    """

    def __init__(self, shape: tuple[int, int, int], folder: Path) -> None:
        _, self._width, self._channels = shape
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed by close()
        try:
            os.posix_fallocate(self._file.fileno(), 0, map_bytes(shape))
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the room back."""
        self._file.close()

    def write(self, region: tuple[slice, slice], values: NDArray[np.float32]) -> None:
        rows, columns = region
        for row, line in zip(range(rows.start, rows.stop), values, strict=True):
            self._seek(row, columns.start)
            self._file.write(np.ascontiguousarray(line).data)

    def read(self, region: tuple[slice, slice]) -> NDArray[np.float32]:
        rows, columns = region
        values = np.empty((rows.stop - rows.start, columns.stop - columns.start, self._channels), np.float32)
        for row, line in zip(range(rows.start, rows.stop), values, strict=True):
            self._seek(row, columns.start)
            self._file.readinto(line.data)
        return values

    def _seek(self, row: int, column: int) -> None:
        self._file.seek(map_bytes((1, row * self._width + column, self._channels)))


def map_bytes(shape: tuple[int, int, int]) -> int:
    """What a map of a shape takes."""
    height, width, channels = shape
    return height * width * channels * np.dtype(np.float32).itemsize


def map_folder() -> Path | None:
    """Where maps may be kept: $TMPDIR, else /var/tmp, which is on a disk where /tmp may be memory.

    None where room in a file cannot be reserved, which Linux alone can.
    """
    return Path(os.environ.get("TMPDIR") or "/var/tmp") if hasattr(os, "posix_fallocate") else None


def disk_for_maps_mb() -> float:
    """What a map may take of the disk, in millions of bytes: half of what is free; 0 where it must not be used."""
    folder = map_folder()
    if folder is None or not os.access(folder, os.W_OK):
        return 0.0
    return _SHARE_OF_FREE_DISK * shutil.disk_usage(folder).free / 1e6
