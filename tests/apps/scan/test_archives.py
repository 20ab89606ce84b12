import io
import struct
import tarfile
import zipfile

import pytest

from doctored.apps.scan.archives import ArchiveReader, list_members
from doctored.core.errors import ImageReadError

CONTENT = {"a.jpg": b"first" * 50, "deep/b.png": b"second" * 300, "../../etc/c.jpg": b"third"}


def make(path, content=CONTENT):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("deep") if hasattr(archive, "mkdir") else None
            for name, data in content.items():
                archive.writestr(name, data)
    else:
        mode = {".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz", ".tar": "w"}[path.suffix]
        with tarfile.open(path, mode) as archive:
            for name, data in content.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return str(path)


@pytest.fixture
def reader():
    opened = ArchiveReader()
    yield opened
    opened.close()


ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@pytest.mark.parametrize("ending", ENDINGS)
def test_members_in_order_with_their_bytes(tmp_path, reader, ending):
    path = make(tmp_path / f"archive{ending}")
    members = list(list_members(path))
    assert [member.name for member in members] == list(CONTENT)
    assert all(member.problem is None for member in members)
    for member in [*members, members[0]]:  # and backwards
        assert reader.read(path, member.position, member.file_bytes, "x", 1) == CONTENT[member.name]


def test_two_archives_in_turn(tmp_path, reader):
    first, second = make(tmp_path / "1.zip"), make(tmp_path / "2.tar.gz")
    for path in (first, second, first):
        for member in list_members(path):
            assert reader.read(path, member.position, member.file_bytes, "x", 1) == CONTENT[member.name]


def test_the_same_name_twice_is_two_members(tmp_path, reader):
    path = tmp_path / "twice.tar"
    with tarfile.open(path, "w") as archive:
        for data in (b"one", b"two!"):
            info = tarfile.TarInfo("a.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    members = list(list_members(str(path)))
    assert [member.name for member in members] == ["a.jpg", "a.jpg (2)"]
    read = [reader.read(str(path), m.position, m.file_bytes, m.name, 1) for m in members]
    assert read == [b"one", b"two!"]


def test_a_large_member_is_refused_before_it_is_unpacked(tmp_path, reader, monkeypatch):
    path = make(tmp_path / "bomb.zip", {"zeros.png": bytes(3_000_000)})
    (member,) = list_members(path)
    monkeypatch.setattr(reader, "_read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(ImageReadError, match=r"zeros.png has 3 MB unpacked, more than the limit of 2 MB"):
        reader.read(path, member.position, member.file_bytes, "zeros.png", 2)


def test_a_member_that_understates_its_length_is_not_unpacked_further(tmp_path, reader):
    path = tmp_path / "liar.zip"
    make(path, {"zeros.png": bytes(3_000_000)})
    data = path.read_bytes()
    lie, truth = struct.pack("<I", 1000), struct.pack("<I", 3_000_000)
    assert data.count(truth) == 2  # in the header of the member and in the directory
    path.write_bytes(data.replace(truth, lie))
    (member,) = list_members(str(path))
    assert member.file_bytes == 1000
    with pytest.raises(ImageReadError, match=r"zeros.png cannot be unpacked|another length"):
        reader.read(str(path), member.position, member.file_bytes, "zeros.png", 1)


def test_encrypted_members_and_links_have_a_problem(tmp_path):
    path = tmp_path / "secret.zip"
    make(path, {"a.jpg": b"x"})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\3\4") + 6] |= 1  # the flag in the header of the member
    data[data.rindex(b"PK\1\2") + 8] |= 1  # and in the directory
    path.write_bytes(data)
    (member,) = list_members(str(path))
    assert "encrypted" in member.problem
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        info = tarfile.TarInfo("evil.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    (link,) = list_members(str(tmp_path / "links.tar"))
    assert "link to /etc/passwd" in link.problem


@pytest.mark.parametrize("ending", ENDINGS)
def test_damage_is_a_sentence(tmp_path, reader, ending):
    path = tmp_path / f"whole{ending}"
    make(path, {"a.jpg": bytes(range(256)) * 400, "b.jpg": b"x" * 5000})
    first = next(iter(list_members(str(path))))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])

    def list_and_read():
        list(list_members(str(path)))
        reader.read(str(path), first.position, first.file_bytes, "a.jpg", 1)

    with pytest.raises(ImageReadError, match=r"cannot be unpacked|another length"):
        list_and_read()
    path.unlink()
    with pytest.raises(ImageReadError, match="cannot be unpacked"):
        list(list_members(str(path)))


def test_listing_a_tar_file_keeps_no_headers(tmp_path, monkeypatch):
    """tarfile remembers every header it has passed, a kilobyte each, which a million members would not fit."""
    path = make(tmp_path / "many.tar", {f"{number}.jpg": b"x" for number in range(50)})
    archives = []
    opened = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda **options: archives.append(opened(**options)) or archives[-1])
    for number, _ in enumerate(list_members(path)):
        assert len(archives[0].members) <= 1, number


def _header(name, size, kind=b"0"):
    """A header of a tar file with any length, negative ones too."""
    content = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    content[124:136] = b"\xff" + (size & (1 << 88) - 1).to_bytes(11, "big") if size < 0 else b"%011o\0" % size
    content[156:157] = kind
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    return bytes(content)


@pytest.mark.parametrize("kind", [b"0", b"S"])
def test_a_member_of_negative_length_ends_the_list(tmp_path, kind):
    """The next header is looked for before it: the same member came again and again, without end."""
    path = tmp_path / "a.tar"
    path.write_bytes(_header("first.jpg", 0) + _header("again.jpg", -512, kind) + bytes(1024))
    with pytest.raises(ImageReadError, match="a member ends before it begins"):
        list(list_members(str(path)))


def test_a_member_of_negative_length_is_not_read(tmp_path, reader):
    """Reading -1 bytes is reading all that there is."""
    path = make(tmp_path / "a.tar")
    with pytest.raises(ImageReadError, match="is empty"):
        reader.read(path, 512, -1, "a.jpg", 1)


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.bz2", ".tar.xz"])
def test_what_unpacks_to_far_more_than_its_length_is_refused_at_once(tmp_path, reader, ending, monkeypatch):
    """846 bytes of bzip2 are a gigabyte; a hundred kilobytes took minutes to find that out."""
    monkeypatch.setattr("doctored.apps.scan.archives._LEAST_UNPACKED", 100_000)
    path = make(tmp_path / f"a{ending}", {"a.jpg": bytes(10_000_000), "b.jpg": b"second"})
    found = []
    with pytest.raises(ImageReadError, match="more than 100 times its length; unpack it first"):
        found.extend(list_members(path))
    assert [member.name for member in found] == ["a.jpg"]
    with pytest.raises(ImageReadError, match="more than 100 times its length"):
        reader.read(path, found[0].position, found[0].file_bytes, "a.jpg", 500)
