"""Answers that are not as they should be, value by value."""

import copy
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.made_files import exif_block, jpeg_bytes, scene
from doctored.apps.isolation import messages
from doctored.core.read_image import decode_image

EXIF = exif_block(
    {271: "Maker"},
    gps={1: "N", 2: (1.0, 2.0, 3.0), 3: "E", 4: (4.0, 5.0, 6.0)},
    thumbnail=jpeg_bytes(scene(8, 8)),
)
PICTURE = decode_image("a.jpg", jpeg_bytes(scene(30, 20), exif=EXIF))
FACTS = json.loads(json.dumps(messages.facts_of(PICTURE)))


def checked(facts):
    return messages.CheckedFacts(facts, 1, PICTURE.file_bytes)


def test_facts_come_back_as_they_were():
    back = checked(FACTS).picture(
        PICTURE.pixels, None, PICTURE.exif.thumbnail, "a.jpg", PICTURE.sha256, PICTURE.file_bytes
    )
    for field in PICTURE.__dataclass_fields__:
        if field != "pixels":
            assert getattr(back, field) == getattr(PICTURE, field), field
    assert PICTURE.exif.position is not None
    assert PICTURE.jpeg is not None


def places(value, path=()):
    """The places of all values, inner ones too."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(len(value), 1)):
            yield from places(value[key], (*path, key))


WRONG = ["\n", "x" * 5000, -1, 10**12, 10**400, 0.5, True, [], [[]], {}, {"a": 1}, [1] * 100, "javascript:"]


def test_any_single_wrong_value_is_refused_or_harmless():
    """Where another value passes, it has the same type and keeps to the same limits."""
    passed = []
    for path in places(FACTS):
        for wrong in WRONG:
            facts = copy.deepcopy(FACTS)
            target = facts
            for key in path[:-1]:
                target = target[key]
            if path:
                target[path[-1]] = wrong
            else:
                facts = wrong
            try:
                checked(facts)
            except ValueError:
                continue
            passed.append((path[-1] if path else None, wrong))
    texts = {"mode", *messages._EXIF_TEXTS}
    for name, wrong in passed:
        assert (name in texts and wrong == "javascript:") or (
            # true for a flag; coordinates; a JPEG's sampling may be of no component at all
            (name in ("readable", "has_position", "progressive") and wrong is True)
            or (name == 0 and wrong in (0.5, -1, 10**12))
            or (name == "sampling_hv" and wrong == [])
        ), (name, wrong)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(FACTS)), inner),
        max_leaves=20,
    )
)
@settings(max_examples=200, deadline=None)
def test_whatever_is_said_nothing_but_value_errors_come_of_it(value):
    for check in (checked, messages.credentials_of):
        try:
            check(value)
        except ValueError:
            continue
        pytest.fail(f"believed {value!r}")


def test_messages_with_what_follows_them():
    stream = io.BytesIO()
    pixels = np.arange(6, dtype=np.uint8)
    messages.send(stream, {"a": "caf\udce9"}, pixels, b"end")
    stream.seek(0)
    assert messages.receive(stream) == {"a": "caf\udce9"}
    assert messages.read_exactly(stream, 9) == bytes(range(6)) + b"end"
    with pytest.raises(EOFError):
        messages.receive(stream)


def test_credentials():
    valid = {"state": "valid", "sentence": "Signed.", "signer": "A", "generator": None, "failures": ["x"]}
    assert messages.credentials_of(valid) == valid | {"failures": ("x",)}
    for change in ({"state": "trusted"}, {"sentence": None}, {"failures": "x"}, {"signer": "a\x1bb"}):
        with pytest.raises(ValueError, match=r"^(an unknown word|no (line|list) of)"):
            messages.credentials_of(valid | change)
