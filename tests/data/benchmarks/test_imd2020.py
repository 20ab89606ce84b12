from data.benchmarks.miniatures import box_mask, photo, save
from doctored.data.benchmarks.imd2020 import IMD2020
from doctored.data.preparation import prepare


def test_one_folder_for_each_original(tmp_path):
    source = tmp_path / "IMD2020"
    for folder, names in {"1a1ogs": ("c8tf5mq_0", "c8tt_1"), "1a3oag": ("c8tt_1",)}.items():
        save(source / folder / f"{folder}_orig.jpg", photo(len(names)))
        for name in names:
            save(source / folder / f"{name}.png", photo(5))
            save(source / folder / f"{name}_mask.png", box_mask(5, 6, 20, 17))
    save(source / "1a3oag" / "alone_0.jpg", photo(6))
    save(source / "1a3oag" / "lost_0_mask.png", box_mask(5, 6, 20, 17))
    made = prepare(IMD2020, source, tmp_path / "out")
    assert [(row.file, row.technique) for row in made.rows] == [
        ("authentic/1a1ogs_orig.jpg", "authentic"),
        ("authentic/1a3oag_orig.jpg", "authentic"),
        # Two pictures of one name in different folders are told apart by these.
        ("images/1a1ogs-c8tt_1-png.png", "manipulated"),
        ("images/1a3oag-c8tt_1-png.png", "manipulated"),
        ("images/c8tf5mq_0.png", "manipulated"),
    ]
    assert all(row.boxes_xyxy == ((5, 6, 20, 17),) for row in made.rows if row.mask)
    assert {one.file: one.reason for one in made.left_out} == {
        "1a3oag/alone_0.jpg": "has no mask alone_0_mask beside it",
        "1a3oag/lost_0_mask.png": "is a mask without a picture",
    }
