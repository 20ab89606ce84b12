import numpy as np

from data.benchmarks.miniatures import box_mask, load, photo, save
from doctored.data.benchmarks.korus import KORUS
from doctored.data.preparation import prepare


def test_grey_and_white_are_manipulated_and_cameras_may_share_names(tmp_path):
    source = tmp_path / "realistic-tampering-dataset"
    levels = np.where(box_mask(10, 10, 20, 20), 255, np.where(box_mask(20, 10, 30, 20), 128, 0)).astype(
        np.uint8
    )
    for camera in ("Nikon_D90", "Sony_A57"):
        save(source / camera / "tampered-realistic" / "r1.TIF", photo(1))
        save(source / camera / "pristine" / "r1.TIF", photo(2))
        save(source / camera / "ground-truth" / "r1.PNG", levels)
    save(source / "Sony_A57" / "tampered-realistic" / "r2.TIF", photo(3))
    save(source / "preview.jpg", photo(3))
    made = prepare(KORUS, source, tmp_path / "out")
    assert [row.file for row in made.rows] == [
        "authentic/Nikon_D90-pristine-r1-TIF.TIF",
        "authentic/Sony_A57-pristine-r1-TIF.TIF",
        "images/Nikon_D90-tampered-realistic-r1-TIF.TIF",
        "images/Sony_A57-tampered-realistic-r1-TIF.TIF",
    ]
    for row in made.rows[2:]:
        np.testing.assert_array_equal(load(tmp_path / "out" / row.mask) > 0, box_mask(10, 10, 30, 20))
        assert row.boxes_xyxy == ((10, 10, 30, 20),)
    assert {one.file for one in made.left_out} == {"Sony_A57/tampered-realistic/r2.TIF", "preview.jpg"}
