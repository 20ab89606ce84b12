import pytest

from doctored.core.errors import DataError
from doctored.data.list_files import ListedPicture, list_box, list_line, read_list

PICTURE = ListedPicture("Tp_1", ((10, 5, 17, 9), (0, 0, 60, 40)), ("splice", "removal"))


def released_reader(line, offset):
    """What the released reader makes of a line: first and last column and row of each box, counted from 0."""
    fields = line.split(" ")
    boxes = []
    for number in range((len(fields) - 1) // 5):
        x1, y1, x2, y2 = (float(field) for field in fields[1 + 5 * number : 5 + 5 * number])
        boxes.append((max(x1 - offset, 0), max(y1 - offset, 0), x2 - offset, y2 - offset))
    return boxes


def test_lines_by_hand():
    """A box over columns 10..16 and rows 5..8, counted from 0, is 11 6 17 9 when counting from 1."""
    assert list_line(PICTURE, counts_from_one=True) == "Tp_1 11 6 17 9 splice 1 1 60 40 removal"
    assert list_line(PICTURE, counts_from_one=False) == "Tp_1 10 5 17 9 splice 0 0 60 40 removal"
    assert list_line(ListedPicture("original", (), ()), counts_from_one=True) == "original"
    # The released reader of the sets that count from one takes both ends as inside.
    assert released_reader(list_line(PICTURE, counts_from_one=True), 1) == [(10, 5, 16, 8), (0, 0, 59, 39)]


@pytest.mark.parametrize("counts_from_one", [True, False])
def test_what_was_written_is_read(tmp_path, counts_from_one):
    pictures = [PICTURE, ListedPicture("original", (), ())]
    path = tmp_path / "list.txt"
    lines = [list_line(picture, counts_from_one=counts_from_one) for picture in pictures]
    path.write_text("\n".join(lines) + "\n\n")
    assert read_list(path, counts_from_one=counts_from_one) == pictures


def test_endings_of_pictures_are_taken_off_and_others_kept(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.b.JPG 0 0 2 2 tamper\nTp_0.5 0 0 2 2 3\n")
    first, second = read_list(path, counts_from_one=True)
    assert (first.name, first.boxes_xyxy) == ("a.b", ((0, 0, 2, 2),))
    assert (second.name, second.labels) == ("Tp_0.5", ("3",))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a 1 2 3 4", "4 fields after the name are no multiple of five"),
        ("a 1 2 3 x tamper", "invalid literal"),
        ("a 3 2 3 9 tamper", "the box 3 2 3 9 holds no pixel"),
        ("a 1 9 3 4 tamper", "the box 1 9 3 4 holds no pixel"),
        ("a -1 2 3 4 tamper", "the box -1 2 3 4 holds no pixel"),
        ("a 1 2 3 4294967296 tamper", "the box 1 2 3 4294967296 holds no pixel"),
    ],
)
def test_lines_of_another_format_are_refused_by_number(tmp_path, line, says):
    path = tmp_path / "list.txt"
    path.write_text(f"ok 1 2 3 4 tamper\n{line}\n")
    with pytest.raises(DataError, match=f"list.txt, line 2: {says}"):
        read_list(path, counts_from_one=False)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.txt cannot be read as a list"):
        read_list(tmp_path / "gone.txt", counts_from_one=False)


@pytest.mark.parametrize("name", ["a b", "", "a\tb"])
def test_fields_with_white_space_are_refused(name):
    with pytest.raises(DataError, match="cannot stand in a list"):
        list_line(ListedPicture(name, (), ()), counts_from_one=True)


def test_boxes_need_labels():
    with pytest.raises(DataError, match="Tp_1 has 2 boxes and 0 labels"):
        list_line(ListedPicture("Tp_1", PICTURE.boxes_xyxy, ()), counts_from_one=True)


def test_single_boxes():
    assert list_box((0, 0, 1, 1), counts_from_one=True) == (1, 1, 1, 1)
    assert list_box((0, 0, 1, 1), counts_from_one=False) == (0, 0, 1, 1)
