"""Changes that keep a file well-formed enough to get past the first checks: blind bytes would not.

Each takes a file and a random generator and returns another file; what it cannot parse it changes blindly.
"""

import bz2
import gzip
import io
import json
import lzma
import random
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    255,
    256,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**53,
    2**63,
    -(2**63),
    10**30,
)
FRACTIONS = (0.0, -0.0, 0.5, -1.5, 1e-320, 1e300, -1e300, float("nan"), float("inf"), float("-inf"))
TEXTS = (
    *(
        "",
        " ",
        "a",
        "0",
        "-1",
        "1e999",
        "nan",
        "inf",
        "None",
        "..",
        "../../x",
        "/etc/passwd",
        "/dev/zero",
        "a/b",
        "\0",
        "\n",
        "\x1b[31m",
    ),
    *(
        "\ud800",
        "é",
        "\U0001d7d9",
        "%s%n{}",
        "x" * 5000,
        "9" * 5000,
        "a,b",
        '"',
        "'",
        "1 2 3 4",
        "C:\\x",
        "~",
        ";",
        "2024-02-30",
        "0001-01-01T00:00+14:00",
    ),
)


def blind(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, put in, repeated or taken out."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(content) + 1)
        kind = rng.randrange(5)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[place : place + 1] = bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))])
        elif kind == 2:
            del content[place : place + rng.choice((1, 2, 4, 16))]
        elif kind == 3:
            content[place:place] = rng.randbytes(rng.choice((1, 2, 4, 8)))
        else:
            value = rng.choice(NUMBERS) & 0xFFFFFFFF
            content[place : place + 4] = struct.pack(rng.choice("<>") + "I", value)
    return bytes(content)


def json_values(data: bytes, rng: random.Random) -> bytes:
    """Values and keys of a JSON document."""
    try:
        document = json.loads(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            document = _changed(document, rng)
        text = json.dumps(document)
    except (ValueError, RecursionError):
        return blind(data, rng)
    if rng.random() < 0.01:
        text = "[" * 10_000 + text
    return text.encode("utf-8", "surrogatepass")


def _changed(node: Any, rng: random.Random) -> Any:
    if isinstance(node, dict) and node and rng.random() < 0.85:
        key = rng.choice(list(node))
        kind = rng.random()
        if kind < 0.75:
            return node | {key: _changed(node[key], rng)}
        if kind < 0.85:
            return {name: value for name, value in node.items() if name != key}
        if kind < 0.95:
            return {rng.choice(TEXTS) if name == key else name: value for name, value in node.items()}
        return node | {key: node[rng.choice(list(node))]}
    if isinstance(node, list) and node and rng.random() < 0.85:
        place = rng.randrange(len(node))
        kind = rng.random()
        if kind < 0.7:
            return [*node[:place], _changed(node[place], rng), *node[place + 1 :]]
        if kind < 0.8:
            return [*node[:place], *node[place + 1 :]]
        return [*node[:place], *[node[place]] * rng.choice((2, 2, 100)), *node[place + 1 :]]
    if isinstance(node, (int, float)) and rng.random() < 0.5:
        with_care = node * rng.choice((-1, 2, 10)) + rng.choice((-1, 0, 1))
        return with_care if abs(with_care) < 10**40 else 0
    return rng.choice(
        (
            None,
            True,
            False,
            [],
            {},
            [node],
            {"a": node},
            rng.choice(NUMBERS),
            rng.choice(FRACTIONS),
            rng.choice(TEXTS),
            str(node),
        )
    )


def fields_of_lines(data: bytes, rng: random.Random) -> bytes:
    """Fields of lines that are separated by commas, semicolons, bars or spaces."""
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        row = rng.randrange(len(lines))
        separator = rng.choice([mark for mark in ",;| " if mark in lines[row]] or [","])
        columns = lines[row].split(separator)
        place = rng.randrange(len(columns))
        kind = rng.random()
        if kind < 0.6:
            columns[place] = rng.choice((*TEXTS, str(rng.choice(NUMBERS)), str(rng.choice(FRACTIONS))))
        elif kind < 0.7:
            del columns[place]
        elif kind < 0.8:
            columns.insert(place, columns[place])
        elif kind < 0.9:
            lines.insert(row, lines[row])
            continue
        else:
            del lines[row]
            lines = lines or [""]
            continue
        lines[row] = separator.join(columns)
    changed = "\n".join(lines).encode(
        "utf-8", "surrogateescape" if "\ud800" not in "".join(lines) else "replace"
    )
    return blind(changed, rng) if rng.random() < 0.1 else changed


def png_chunks(data: bytes, rng: random.Random) -> bytes:
    """Chunks of a PNG file, with checksums that are right."""
    chunks: list[tuple[bytes, bytes]] = []
    position = 8
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += length + 12
    if not chunks:
        return blind(data, rng)
    place = rng.randrange(len(chunks))
    kind, content = chunks[place]
    choice = rng.random()
    if choice < 0.6:
        if kind == b"IDAT" and rng.random() < 0.5:
            try:
                content = zlib.compress(blind(zlib.decompressobj().decompress(content, 1 << 20), rng))
            except zlib.error:
                content = blind(content, rng)
        else:
            content = blind(content, rng)
        chunks[place] = kind, content
    elif choice < 0.75:
        names = (
            b"iCCP",
            b"zTXt",
            b"iTXt",
            b"tEXt",
            b"eXIf",
            b"tRNS",
            b"PLTE",
            b"acTL",
            b"fcTL",
            b"fdAT",
            b"pHYs",
            b"gAMA",
        )
        chunks.insert(
            place,
            (
                rng.choice(names),
                rng.choice((content, b"x\0\0" + zlib.compress(bytes(1 << 16)), b"", bytes(20))),
            ),
        )
    elif choice < 0.9:
        chunks.insert(rng.randrange(len(chunks)), chunks[place])
    else:
        del chunks[place]
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def tiff_entries(data: bytes, rng: random.Random) -> bytes:
    """Entries of a directory in a TIFF file, or in the EXIF block of another file."""
    start = data.find(b"Exif\0\0") + 6 if b"Exif\0\0" in data else 0
    content = bytearray(data)
    order = "<" if data[start : start + 2] == b"II" else ">"
    try:
        (offset,) = struct.unpack_from(order + "I", data, start + 4)
        directories = []
        while offset and len(directories) < 5:
            (count,) = struct.unpack_from(order + "H", data, start + offset)
            directories.append((start + offset, count))
            for number in range(count):
                tag, _, _, value = struct.unpack_from(order + "HHII", data, start + offset + 2 + 12 * number)
                if tag in (0x8769, 0x8825, 0xA005, 0x014A):
                    directories.append((start + value, *struct.unpack_from(order + "H", data, start + value)))
            (offset,) = struct.unpack_from(order + "I", data, start + offset + 2 + 12 * count)
        for _ in range(rng.choice((1, 1, 2))):
            at, count = rng.choice(directories)
            entry = at + 2 + 12 * rng.randrange(count)
            part = rng.randrange(4)
            if part == 0:
                tags = (
                    254,
                    256,
                    257,
                    258,
                    259,
                    262,
                    273,
                    274,
                    277,
                    278,
                    279,
                    284,
                    317,
                    320,
                    322,
                    323,
                    324,
                    325,
                    338,
                    339,
                )
                tags += (330, 347, 0x8769, 0x8825, 0xA005, 0x0201, 0x0202, 0x927C, 700, 33432, 34377, 34675)
                struct.pack_into(order + "H", content, entry, rng.choice(tags))
            elif part == 1:
                struct.pack_into(order + "H", content, entry + 2, rng.randrange(20))
            else:
                value = rng.choice((*NUMBERS, len(data), at - start, rng.randrange(len(data)))) & 0xFFFFFFFF
                struct.pack_into(order + "I", content, entry + (4 if part == 2 else 8), value)
    except (struct.error, ValueError, IndexError):
        return blind(data, rng)
    return bytes(content)


def picture(data: bytes, rng: random.Random) -> bytes:
    """A picture file, by its format."""
    if data.startswith(b"\x89PNG") and rng.random() < 0.8:
        return png_chunks(data, rng)
    if (data[:2] in (b"II", b"MM") or b"Exif\0\0" in data) and rng.random() < 0.6:
        return tiff_entries(data, rng)
    return blind(data, rng)


def safetensors_header(data: bytes, rng: random.Random) -> bytes:
    """The header of a safetensors file, whose stated length stays right."""
    length = int.from_bytes(data[:8], "little")
    header = json_values(data[8 : 8 + length], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def zip_members(data: bytes, rng: random.Random) -> bytes:
    """Contents and names of what is in a ZIP file, with checksums that are right."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info), info.compress_type) for info in archive.infolist()]
    except Exception:
        return blind(data, rng)
    if not members:
        return blind(data, rng)
    place = rng.randrange(len(members))
    name, content, method = members[place]
    choice = rng.random()
    if choice < 0.7:
        content = blind(content[:200], rng) + content[200:] if rng.random() < 0.7 else blind(content, rng)
    elif choice < 0.8:
        name = rng.choice(TEXTS[:10]) or "x"
    elif choice < 0.9:
        method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    else:
        content += bytes(rng.choice((100, 1 << 20)))
    members[place] = name, content, method
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content, method in members:
            archive.writestr(zipfile.ZipInfo(name.replace("\ud800", "?")), content, method)
    return blind(file.getvalue(), rng) if rng.random() < 0.2 else file.getvalue()


def tar_headers(data: bytes, rng: random.Random) -> bytes:
    """Fields of the headers of a tar file, with checksums that are right."""
    if len(data) < 512:
        return blind(data, rng)
    content = bytearray(data)
    at = 512 * rng.randrange(len(content) // 512)
    start, length = rng.choice(
        ((0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155))
    )
    value = rng.choice(
        (
            *(
                bytes(length),
                b"7" * length,
                b"\xff" * length,
                b"\x80" + b"\0" * (length - 1),
                b"-1",
                b"..",
                b"/x",
            ),
            *(bytes([rng.choice(b"01234567LKxgSVDNAMX")]), rng.randbytes(length), b"00000000010"),
        )
    )
    content[at + start : at + start + length] = value[:length].ljust(length, b"\0")
    content[at + 148 : at + 156] = b" " * 8
    content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
    return bytes(content)


def sqlite_cells(data: bytes, rng: random.Random) -> bytes:
    """Values in the tables of an SQLite file."""
    database = sqlite3.connect(":memory:")
    try:
        database.deserialize(data)
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = rng.choice(names)
        columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
        column = rng.choice(columns)
        values = (
            None,
            *(n for n in NUMBERS if -(2**63) <= n < 2**63),
            *FRACTIONS,
            *(t for t in TEXTS if "\ud800" not in t),
            b"\xff\0x",
        )
        (old,) = database.execute(f'SELECT "{column}" FROM "{table}" LIMIT 1').fetchone() or (None,)
        value = rng.choice(values)
        if isinstance(old, str) and old.startswith(("{", "[")) and rng.random() < 0.8:
            value = json_values(old.encode(), rng).decode("utf-8", "replace")
        database.execute(f'UPDATE "{table}" SET "{column}" = ?', (value,))
        database.commit()
        return database.serialize()
    except (sqlite3.Error, IndexError, UnicodeError, ValueError, MemoryError):
        return blind(data, rng)
    finally:
        database.close()


def compressed_tar(data: bytes, rng: random.Random) -> bytes:
    """Headers of a tar file inside its compression."""
    for module in (gzip, bz2, lzma):
        try:
            inner = module.decompress(data)
        except Exception:
            continue
        return bytes(module.compress(tar_headers(inner, rng)))
    return blind(data, rng)
