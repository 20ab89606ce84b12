"""Cutting a picture into blocks and tiles so that every pixel is kept exactly once, with its halo around it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product


@dataclass(frozen=True)
class Span:
    """Part of one axis, in pixels of the picture.

    Attributes:
        seen: Start and stop of what the network is shown.
        kept: Start and stop of the part of it whose results are kept; it lies within `seen`, at least a halo
            away from each of its ends that is not an end of the axis.
    """

    seen: tuple[int, int]
    kept: tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A rectangle of the picture: a span of rows and one of columns."""

    rows: Span
    columns: Span

    @property
    def seen(self) -> tuple[slice, slice]:
        """Rows and columns that the network is shown."""
        return slice(*self.rows.seen), slice(*self.columns.seen)

    @property
    def kept(self) -> tuple[slice, slice]:
        """Rows and columns whose results are kept."""
        return slice(*self.rows.kept), slice(*self.columns.kept)

    @property
    def kept_of_seen(self) -> tuple[slice, slice]:
        """The kept part, counted from the start of the seen part."""
        return _moved(self.rows.kept, self.rows.seen[0]), _moved(self.columns.kept, self.columns.seen[0])

    def kept_within(self, origin_yx: tuple[int, int]) -> tuple[slice, slice]:
        """The kept part, counted from another origin in the picture."""
        return _moved(self.rows.kept, origin_yx[0]), _moved(self.columns.kept, origin_yx[1])

    def seen_within(self, origin_yx: tuple[int, int]) -> tuple[slice, slice]:
        """The seen part, counted from another origin in the picture."""
        return _moved(self.rows.seen, origin_yx[0]), _moved(self.columns.seen, origin_yx[1])

    @property
    def origin_yx(self) -> tuple[int, int]:
        """First row and column that the network is shown."""
        return self.rows.seen[0], self.columns.seen[0]

    @property
    def seen_hw(self) -> tuple[int, int]:
        """Height and width of what the network is shown."""
        return self.rows.seen[1] - self.rows.seen[0], self.columns.seen[1] - self.columns.seen[0]

    @property
    def seen_px(self) -> int:
        """Pixels that the network is shown."""
        return self.seen_hw[0] * self.seen_hw[1]


def _moved(span: tuple[int, int], origin: int) -> slice:
    return slice(span[0] - origin, span[1] - origin)


def reach(kept: tuple[int, int], length: int, halo_px: int) -> tuple[int, int]:
    """What must be seen of an axis to keep a part of it: the part, and a halo on each side where there is one."""
    return max(0, kept[0] - halo_px), min(length, kept[1] + halo_px)


def span_size(extent: int, core_px: int, halo_px: int) -> int:
    """The size of spans that together see `extent` pixels: as few as possible, and no larger than they need be.

    Args:
        extent: Pixels to be seen, halos at the ends included.
        core_px: Largest part to keep of a span with a halo on both sides.
        halo_px: How far a result depends on its surroundings.
    """
    count = max(1, -(-(extent - 2 * halo_px) // core_px))
    return -(-(extent + 2 * halo_px * (count - 1)) // count)


def spans(kept: tuple[int, int], seen: tuple[int, int], size_px: int, halo_px: int) -> list[Span]:
    """Cut a part of an axis into as few spans as possible that all see the same number of pixels.

    Args:
        kept: Start and stop of the part.
        seen: Start and stop of what the spans may see: at least `reach` of the part, and size_px pixels.
        size_px: Pixels that each span sees.
        halo_px: How far a result depends on its surroundings.
    """
    free = seen[1] - seen[0] - size_px
    count = 1 if free == 0 else 1 - (-free // (size_px - 2 * halo_px))
    starts = [seen[0] + free * i // max(1, count - 1) for i in range(count)]
    # Neighbours overlap by two halos or more; the middle of the overlap is where one takes over.
    cuts = [kept[0], *((left + size_px + right) // 2 for left, right in pairwise(starts)), kept[1]]
    return [Span((start, start + size_px), keep) for start, keep in zip(starts, pairwise(cuts), strict=True)]


def tile_regions(
    regions: Sequence[tuple[slice, slice]], size_hw: tuple[int, int], core_px: int, halo_px: int
) -> list[list[Tile]]:
    """Tiles of one shape that together keep each of some regions of a picture.

    Args:
        regions: Rows and columns to keep.
        size_hw: Height and width of the picture.
        core_px: Largest side to keep of a tile with a halo all around.
        halo_px: How far a result depends on its surroundings.

    Returns:
        For each region its tiles, row by row.
    """
    rows, columns = (
        _spans_of_parts(
            [(region[axis].start, region[axis].stop) for region in regions], length, core_px, halo_px
        )
        for axis, length in enumerate(size_hw)
    )
    return [
        [Tile(row, column) for row, column in product(row_spans, column_spans)]
        for row_spans, column_spans in zip(rows, columns, strict=True)
    ]


def _spans_of_parts(
    parts: list[tuple[int, int]], length: int, core_px: int, halo_px: int
) -> Iterator[list[Span]]:
    """For each part of an axis its spans, all of them of one size."""
    reaches = [reach(part, length, halo_px) for part in parts]
    size_px = max(span_size(last - first, core_px, halo_px) for first, last in reaches)
    for part, (first, last) in zip(parts, reaches, strict=True):
        last = min(length, max(last, first + size_px))
        yield spans(part, (min(first, last - size_px), last), size_px, halo_px)


def blocks(size_hw: tuple[int, int], most_px: int, halo_px: int) -> list[Tile]:
    """Cut a picture into blocks of one shape that, halo included, have at most about `most_px` pixels.

    One block, the whole picture, if that has no more than most_px. Blocks of a long strip are long themselves,
    so that little of them is halo.
    """
    height, width = size_hw
    if height * width <= most_px:
        return [Tile(Span((0, height), (0, height)), Span((0, width), (0, width)))]
    side = int(most_px**0.5)
    tallest = min(height, side) if width >= side else min(height, most_px // width)
    widest = min(width, most_px // tallest)
    row_spans, column_spans = (
        next(_spans_of_parts([(0, length)], length, max(1, longest - 2 * halo_px), halo_px))
        for length, longest in ((height, tallest), (width, widest))
    )
    return [Tile(row, column) for row, column in product(row_spans, column_spans)]


def tile_block(block: Tile, core_px: int, halo_px: int) -> list[Tile]:
    """Tiles that together keep what a block keeps, and see nothing outside what it sees, row by row.

    Args:
        block: One of `blocks`, made with the same halo.
        core_px: Largest side to keep of a tile with a halo all around.
        halo_px: How far a result depends on its surroundings.
    """
    row_spans, column_spans = (
        spans(span.kept, span.seen, span_size(span.seen[1] - span.seen[0], core_px, halo_px), halo_px)
        for span in (block.rows, block.columns)
    )
    return [Tile(row, column) for row, column in product(row_spans, column_spans)]
