import os
import sys
import zipfile

import pytest

from doctored.apps.scan.entries import Listing, Shard, read_list
from doctored.core.errors import ConfigError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files of several kinds, in a folder to work in."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.JPG", "a.png", "deep/c.tiff", "deep/notes.txt", "._a.png", "deep/deeper/d.webp"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path


def paths(*sources, **options):
    return [entry.path for entry in Listing(sources, **options)]


def test_a_folder_stands_for_its_pictures_in_a_fixed_order(folder):
    listing = Listing(["photos"])
    found = [os.path.relpath(entry.path, "photos").replace(os.sep, "/") for entry in listing]
    assert found == ["a.png", "b.JPG", "deep/c.tiff", "deep/deeper/d.webp"]
    assert listing.passed_over == 2
    assert len(list(listing)) == 4, "it can be listed anew"
    assert listing.passed_over == 2


def test_every_file_on_demand_and_always_by_name(folder):
    assert len(paths("photos", every_file=True)) == 6
    assert paths("photos/deep/notes.txt") == ["photos/deep/notes.txt"]


def test_patterns_and_missing_files(folder):
    assert paths("photos/*.png") == [os.path.join("photos", "a.png")]
    assert paths("nowhere/*.jpg") == ["nowhere/*.jpg"], "an error of its own row, not silence"
    (entry,) = Listing(["gone.jpg"])
    assert (entry.file_bytes, entry.modified, entry.problem) == (None, None, None)


def test_an_entry_knows_length_and_change(folder):
    (entry,) = Listing(["photos/a.png"])
    os.utime("photos/a.png", ns=(1, 2))
    (later,) = Listing(["photos/a.png"])
    assert entry.file_bytes == 5
    assert later.modified == "2" != entry.modified


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_are_followed_and_loops_are_not(folder):
    os.symlink("..", "photos/deep/up")
    os.symlink("self", "photos/self")
    os.symlink("nowhere.png", "photos/dangling.png")
    os.mkdir("elsewhere")
    (folder / "elsewhere" / "e.png").write_bytes(b"1")
    os.symlink("../elsewhere", "photos/linked")
    found = paths("photos")
    assert sorted(os.path.basename(path) for path in found) == [
        *("a.png", "b.JPG", "c.tiff", "d.webp", "dangling.png", "e.png")
    ]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_an_entry_with_a_problem(folder):
    os.chmod("photos/deep", 0)
    problems = [entry for entry in Listing(["photos"]) if entry.problem]
    os.chmod("photos/deep", 0o700)
    assert [entry.path for entry in problems] == [os.path.join("photos", "deep")]
    assert "cannot be listed" in problems[0].problem


def test_a_folder_that_vanishes_is_an_entry_with_a_problem(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    (entry,) = Listing(["photos"])
    assert entry.problem == "the folder photos cannot be listed (Permission denied); allow reading it"


def test_archives_stand_for_the_pictures_in_them(folder):
    with zipfile.ZipFile("photos/z.zip", "w") as archive:
        archive.writestr("in/x.jpg", b"123")
        archive.writestr("in/notes.txt", b"123")
        archive.writestr("more.tar.gz", b"123")
    entries = {entry.path: entry for entry in Listing(["photos/z.zip"])}
    assert list(entries) == ["photos/z.zip!/in/x.jpg", "photos/z.zip!/more.tar.gz"]
    assert entries["photos/z.zip!/in/x.jpg"].archive == "photos/z.zip"
    assert entries["photos/z.zip!/in/x.jpg"].file_bytes == 3
    assert "archive inside an archive" in entries["photos/z.zip!/more.tar.gz"].problem
    (folder / "broken.zip").write_bytes(b"PK no archive")
    (broken,) = Listing(["broken.zip"])
    assert "cannot be unpacked" in broken.problem


def test_maps_are_no_pictures_to_look_at(folder):
    """A scan of a folder that holds its own maps once looked at them the second time."""
    assert paths("photos", leave_out="photos/deep") == [
        os.path.join("photos", name) for name in ("a.png", "b.JPG")
    ]
    assert len(paths("photos", leave_out="photos/maps")) == 4, "not there yet"


def test_shards_divide_all_files_among_them(folder):
    parts = [paths("photos", every_file=True, shard=Shard.parse(f"{number}/3")) for number in (1, 2, 3)]
    assert sorted(path for part in parts for path in part) == sorted(paths("photos", every_file=True))
    # sha256("a/b.jpg") begins with 4a51636246e7c418, which divided by 3 leaves 0.
    assert [Shard(number, 3).holds("a/b.jpg") for number in (1, 2, 3)] == [True, False, False]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"])
def test_impossible_shards_are_a_sentence(text):
    with pytest.raises(ConfigError, match="shard"):
        Shard.parse(text)


def test_lists(folder):
    (folder / "list.txt").write_bytes("photos\r\n\nfür.png\n".encode())
    assert read_list("list.txt") == ["photos", "für.png"]
    with pytest.raises(ConfigError, match="cannot be read"):
        read_list("nowhere.txt")
