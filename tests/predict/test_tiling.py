import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctored.predict.tiling import Span, Tile, blocks, reach, span_size, spans, tile_block, tile_regions


def _check(result: list[Span], kept: tuple[int, int], length: int, halo_px: int) -> None:
    """Every pixel is kept once, with a halo around it where the axis goes on."""
    assert [pixel for span in result for pixel in range(*span.kept)] == list(range(*kept))
    for span in result:
        assert 0 <= span.seen[0] <= span.kept[0] < span.kept[1] <= span.seen[1] <= length
        assert span.seen[0] == 0 or span.kept[0] - span.seen[0] >= halo_px
        assert span.seen[1] == length or span.seen[1] - span.kept[1] >= halo_px


@given(
    length=st.integers(1, 400),
    ends=st.tuples(st.integers(0, 400), st.integers(1, 400)),
    core_px=st.integers(1, 120),
    halo_px=st.integers(0, 40),
)
def test_spans_keep_each_pixel_once_with_its_halo(
    length: int, ends: tuple[int, int], core_px: int, halo_px: int
):
    start = min(ends[0], length - 1)
    kept = (start, min(length, start + ends[1]))
    seen = reach(kept, length, halo_px)
    size_px = span_size(seen[1] - seen[0], core_px, halo_px)
    result = spans(kept, seen, size_px, halo_px)
    _check(result, kept, length, halo_px)
    assert {span.seen[1] - span.seen[0] for span in result} == {size_px}
    assert size_px <= max(core_px, 1) + 2 * halo_px


def test_spans_by_hand():
    # 100 px, halo 10: two spans of 60 overlap by 20, and each needs a halo on one side only.
    assert span_size(100, core_px=40, halo_px=10) == 60
    assert spans((0, 100), (0, 100), 60, 10) == [Span((0, 60), (0, 50)), Span((40, 100), (50, 100))]
    # A part of an axis sees its surroundings too.
    assert reach((20, 40), 100, 10) == (10, 50)
    assert spans((20, 40), (10, 50), 40, 10) == [Span((10, 50), (20, 40))]


def test_a_larger_core_needs_no_more_spans():
    counts = []
    for core_px in range(1, 1200):
        size_px = span_size(1000, core_px, 14)
        counts.append(len(spans((0, 1000), (0, 1000), size_px, 14)))
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1


def test_a_tile_counts_from_any_origin():
    tile = Tile(Span((15, 65), (20, 60)), Span((25, 75), (30, 70)))
    assert tile.seen == (slice(15, 65), slice(25, 75))
    assert tile.kept == (slice(20, 60), slice(30, 70))
    assert tile.kept_of_seen == (slice(5, 45), slice(5, 45))
    assert tile.kept_within((20, 30)) == (slice(0, 40), slice(0, 40))
    assert tile.seen_within((15, 25)) == (slice(0, 50), slice(0, 50))
    assert tile.origin_yx == (15, 25)
    assert tile.seen_hw == (50, 50)
    assert tile.seen_px == 2500


@given(
    size_hw=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    cut=st.floats(0, 1),
    core_px=st.integers(1, 90),
)
def test_regions_of_unlike_size_share_one_shape_of_tile(size_hw: tuple[int, int], cut: float, core_px: int):
    height, width = size_hw
    middle = round(cut * (height - 1))
    regions = [(slice(middle, height), slice(0, width))]
    if middle:
        regions.append((slice(0, middle), slice(width // 2, width)))
    result = tile_regions(regions, size_hw, core_px, halo_px=14)
    assert len({tile.seen_hw for tiles in result for tile in tiles}) == 1
    for region, tiles in zip(regions, result, strict=True):
        for axis, name in enumerate(("rows", "columns")):
            distinct = sorted({getattr(tile, name) for tile in tiles}, key=lambda span: span.kept)
            _check(distinct, (region[axis].start, region[axis].stop), size_hw[axis], 14)


@pytest.mark.parametrize("core_px", [1, 7, 50, 400])
def test_tiles_of_a_block_see_nothing_outside_it(core_px: int):
    parts = blocks((300, 280), most_px=120 * 120, halo_px=24)
    shapes = set()
    for block in parts:
        for tile in tile_block(block, core_px, halo_px=24):
            shapes.add(tile.seen_hw)
            for span, outer, length in ((tile.rows, block.rows, 300), (tile.columns, block.columns, 280)):
                assert outer.seen[0] <= span.seen[0] < span.seen[1] <= outer.seen[1]
                assert span.seen[0] == 0 or span.kept[0] - span.seen[0] >= 24
                assert span.seen[1] == length or span.seen[1] - span.kept[1] >= 24
    assert len(parts) > 4
    assert len(shapes) == 1


def test_a_small_picture_is_one_block():
    (block,) = blocks((70, 90), most_px=70 * 90, halo_px=24)
    assert block.seen == block.kept == (slice(0, 70), slice(0, 90))


@pytest.mark.parametrize("size_hw", [(500, 700), (3, 9000), (9000, 3), (60, 4000), (1000, 120)])
@pytest.mark.parametrize("most_px", [2500, 20_000])
def test_blocks_cover_the_picture_within_their_budget(size_hw: tuple[int, int], most_px: int):
    counted = [[0] * size_hw[1] for _ in range(size_hw[0])]
    for block in blocks(size_hw, most_px, halo_px=24):
        assert block.seen_px <= most_px
        rows, columns = block.kept
        for y in range(rows.start, rows.stop):
            for x in range(columns.start, columns.stop):
                counted[y][x] += 1
    assert {count for row in counted for count in row} == {1}


def test_blocks_of_a_strip_are_long():
    strip = blocks((10, 10_000), most_px=40_000, halo_px=24)
    assert len(strip) == 3
