from data.benchmarks.miniatures import box_mask, photo, save
from doctored.data.benchmarks.dso1 import DSO1
from doctored.data.preparation import prepare


def test_black_is_spliced_and_the_other_set_of_the_archive_is_passed_over(tmp_path):
    source = tmp_path / "tifs-database"
    for number in (1, 2):
        save(source / "DSO-1" / f"splicing-0{number}.png", photo(number))
    save(source / "DSO-1" / "normal-01.png", photo(3))
    save(source / "DSI-1" / "splicing-01.png", photo(4))
    save(source / "DSO-1-Fake-Images-Masks" / "splicing-01.png", ~box_mask(5, 6, 20, 17))
    save(source / "DSO-1-Fake-Images-Masks" / "splicing-09.png", ~box_mask(5, 6, 20, 17))
    made = prepare(DSO1, source, tmp_path / "out")
    assert [(row.file, row.technique, row.boxes_xyxy) for row in made.rows] == [
        ("authentic/normal-01.png", "authentic", ()),
        ("images/splicing-01.png", "splicing", ((5, 6, 20, 17),)),
    ]
    assert {one.file: one.reason for one in made.left_out} == {
        "DSO-1/splicing-02.png": "has no mask in dso-1-fake-images-masks",
        "DSO-1-Fake-Images-Masks/splicing-09.png": "is a mask without a picture",
    }


def test_masks_of_the_other_polarity_are_noticed(tmp_path):
    source = tmp_path / "tifs-database"
    for number in (1, 2, 3):
        save(source / "DSO-1" / f"splicing-0{number}.png", photo(number))
        mask = box_mask(5, 6, 20, 17)
        save(source / "DSO-1-Fake-Images-Masks" / f"splicing-0{number}.png", mask if number < 3 else ~mask)
    warnings = prepare(DSO1, source, tmp_path / "out").warnings
    assert "2 of 3 masks mark more than half of their picture; they may be inverted" in warnings
