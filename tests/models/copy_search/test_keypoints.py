"""Points and their descriptions, against loops over the definitions and against turned and mirrored pictures."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from doctored.models.copy_search import keypoints
from doctored.models.copy_search.keypoints import DISC_RADIUS_PX, find_keypoints

LUMINANCE = data.camera()[100:260, 180:380].astype(np.float32)


def test_points_are_the_local_maxima_of_the_smaller_eigenvalue():
    found = {(int(x), int(y)) for x, y in find_keypoints(LUMINANCE, 10_000).xy}
    gradient_y = ndimage.correlate1d(LUMINANCE.astype(np.float64), [-0.5, 0, 0.5], axis=0)
    gradient_x = ndimage.correlate1d(LUMINANCE.astype(np.float64), [-0.5, 0, 0.5], axis=1)

    def smaller_eigenvalue(y, x):
        window = slice(y - 2, y + 3), slice(x - 2, x + 3)
        slopes = np.stack([gradient_y[window].ravel(), gradient_x[window].ravel()])
        return np.linalg.eigvalsh(slopes @ slopes.T / slopes.shape[1])[0]

    margin = DISC_RADIUS_PX + 1
    rows, columns = range(margin, margin + 40), range(margin, margin + 40)
    expected = set()
    for y in rows:
        for x in columns:
            around = [smaller_eigenvalue(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            if around[4] > 1 and around[4] >= max(around):
                expected.add((x, y))
    assert expected
    assert {(x, y) for x, y in found if x in columns and y in rows} == expected


def test_points_beyond_the_limit_are_dropped_evenly():
    everywhere = find_keypoints(LUMINANCE, 10_000).xy
    kept = find_keypoints(LUMINANCE, len(everywhere) // 2).xy
    assert len(kept) == len(everywhere) // 2
    cells = {tuple(cell) for cell in everywhere.astype(int) // 32}
    # Each square that has a point keeps one.
    assert {tuple(cell) for cell in kept.astype(int) // 32} == cells


def test_a_description_is_the_expansion_of_its_disc_in_circular_harmonics():
    points = find_keypoints(LUMINANCE, 50)
    x, y = points.xy[7].astype(int)
    radius = DISC_RADIUS_PX
    totals = {}
    weights = {}
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            distance = np.hypot(dy, dx) / (radius + 0.5)
            for ring in range(4):
                weight = max(0.0, 1 - abs(3 * distance - ring)) if distance <= 1 else 0.0
                for order in range(6):
                    if order == 0 or ring > 0:
                        turned = weight * np.exp(-1j * order * np.arctan2(dy, dx))
                        totals.setdefault((order, ring), []).append((LUMINANCE[y + dy, x + dx], turned))
                        if order == 0:
                            weights.setdefault((dy, dx), []).append((ring, weight))
    norms = {key: np.sqrt(sum(abs(turned) ** 2 for _, turned in values)) for key, values in totals.items()}
    disc = {place: sum(weight / norms[0, ring] for ring, weight in rings) for place, rings in weights.items()}
    mean = sum(LUMINANCE[y + dy, x + dx] * weight for (dy, dx), weight in disc.items()) / sum(disc.values())
    expected = np.array(
        [sum((value - mean) * turned for value, turned in totals[key]) / norms[key] for key in sorted(totals)]
    )
    np.testing.assert_allclose(points.moments[7], expected / np.linalg.norm(expected), atol=2e-4)


def of_points(found, xy):
    """Indices of the points at given places."""
    place = {(int(x), int(y)): number for number, (x, y) in enumerate(found.xy)}
    return [place[int(x), int(y)] for x, y in xy]


def test_upright_descriptions_stay_when_a_picture_is_turned():
    square = LUMINANCE[:, :160]
    points, turned = find_keypoints(square, 10_000), find_keypoints(np.rot90(square).copy(), 10_000)
    # A quarter turn to the left takes (x, y) to (y, 159 - x).
    same = of_points(turned, np.column_stack([points.xy[:, 1], 159 - points.xy[:, 0]]))
    np.testing.assert_allclose(turned.upright()[same], points.upright(), atol=2e-3)
    by = np.angle(np.exp(1j * (turned.angle[same] - points.angle)))
    np.testing.assert_allclose(by, np.pi / 2, atol=2e-3)


def test_upright_descriptions_stay_when_a_picture_is_mirrored():
    points, flipped = find_keypoints(LUMINANCE, 10_000), find_keypoints(LUMINANCE[::-1].copy(), 10_000)
    same = of_points(flipped, np.column_stack([points.xy[:, 0], 159 - points.xy[:, 1]]))
    np.testing.assert_allclose(flipped.mirrored().upright()[same], points.upright(), atol=2e-3)


def test_light_and_contrast_do_not_change_a_description():
    points, lighter = find_keypoints(LUMINANCE, 10_000), find_keypoints(1.3 * LUMINANCE + 40, 10_000)
    same = of_points(lighter, points.xy)
    np.testing.assert_allclose(lighter.upright()[same], points.upright(), atol=2e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (15, 15), (22, 22), (23, 40)])
def test_pictures_without_room_for_a_disc_have_no_points(shape):
    assert len(find_keypoints(np.zeros(shape, np.float32), 10).xy) == 0


def test_circular_harmonics_have_norm_one():
    np.testing.assert_allclose(np.linalg.norm(keypoints._HARMONICS, axis=1), 1, rtol=1e-5)
