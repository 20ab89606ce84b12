"""A number of a name that nothing but the name decides, to choose and shuffle by."""

import hashlib


def name_digest(name: str) -> bytes:
    """SHA-256 of a name in UTF-8; names of files need not be text, and bytes that are none count as they are."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
