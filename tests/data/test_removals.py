import pickle

import numpy as np
import pytest

from doctored.core.errors import DataError
from doctored.data.forgery_stream import ForgeryStream
from doctored.data.removals import MadeRemovals, prepared_removals
from doctored.synth.forge import rebuild
from synth.scenes import source


def test_removals_are_made_once_and_rebuild(tmp_path):
    photographs = [source(0), source(1)]
    made = prepared_removals(photographs, tmp_path / "removals", 64, count=3)
    assert len(made) == len(made[:]) == 3
    stamp = (tmp_path / "removals" / "images.npy").stat().st_mtime_ns
    prepared_removals(photographs, tmp_path / "removals", 64, count=3)
    assert (tmp_path / "removals" / "images.npy").stat().st_mtime_ns == stamp
    for forgery in made:
        assert forgery.recipe.choices["radius_px"] >= 10
        again = rebuild(forgery.recipe, {one.file: one for one in photographs})
        np.testing.assert_array_equal(forgery.image, again.image)
        np.testing.assert_array_equal(forgery.gt_mask, again.gt_mask)
    assert len(prepared_removals(photographs, tmp_path / "removals", 64, count=2)) == 2
    assert len(pickle.dumps(made)) < 1000


def test_a_stream_takes_some_of_its_removals_from_them(tmp_path):
    photographs = [source(0), source(1)]
    made = prepared_removals(photographs, tmp_path / "removals", 64, count=2)
    stream = ForgeryStream(photographs, 64, shares={"removal": 1}, removals=made)
    wide = [stream[number].recipe.wide_inpainting for number in range(60)]
    assert 2 <= sum(wide) <= 22


def test_a_folder_without_removals_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no removals"):
        MadeRemovals(tmp_path)
    with pytest.raises(DataError, match="none of the 1 photographs"):
        prepared_removals([source(0, (40, 40))], tmp_path, 64)
