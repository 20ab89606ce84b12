"""Content Credentials (C2PA): a signed statement in a file about where it comes from, read by the official library."""

import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from doctored.apps.file_parser import FileParser
from doctored.core.exif_facts import one_line
from doctored.core.picture import Picture

CredentialState = Literal["valid", "unknown_signer", "broken", "none", "not_checked"]
CREDENTIAL_STATES = get_args(CredentialState)

_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}
_UNKNOWN_SIGNER = "signingCredential.untrusted"
_MOST_FAILURES = 5


@dataclass(frozen=True)
class ContentCredentials:
    """What the manifest of a file is worth.

    Attributes:
        state: "valid" (intact, and signed by somebody on the list of trust that was given), "unknown_signer" (intact,
            but anybody may have signed it), "broken" (file or manifest were changed after signing), "none", or
            "not_checked".
        sentence: The same for people.
        signer: Organisation and name in the signing certificate, as it says.
        generator: The program or device that made the manifest, as it says.
        failures: What failed, in the words of the standard.
    """

    state: CredentialState
    sentence: str
    signer: str | None = None
    generator: str | None = None
    failures: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self) | {"failures": list(self.failures)}


def read_content_credentials(
    picture: Picture, trust_anchors: str | None = None, parser: FileParser | None = None
) -> ContentCredentials:
    """Check the manifest in a picture's file. Nothing is fetched: no manifest, no list of trust, no revocation.

    Args:
        picture: As it was read from its file, which is read once more.
        trust_anchors: Certificates in PEM format of those who are trusted; with None every signer is unknown.
        parser: What parses the file; None for this process.
    """
    media_type = _MEDIA_TYPES.get(picture.format)
    if picture.path is None or media_type is None:
        return not_checked(f"there are none in this format ({picture.format})")
    data = _same_file(picture)
    if data is None:
        return not_checked("the file has changed or vanished since it was analysed")
    return (parser or FileParser()).check_credentials(media_type, data, trust_anchors)


def check_manifest(media_type: str, data: bytes, trust_anchors: str | None) -> ContentCredentials:
    """Check the manifest in a file.

    Args:
        media_type: Of the file, for instance "image/jpeg".
        data: The whole file.
        trust_anchors: As for `read_content_credentials`.
    """
    try:
        import c2pa
    except ImportError:
        return not_checked("their library is not installed; run: pip install 'doctored[c2pa]'")
    settings: dict[str, Any] = {
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}
    }
    if trust_anchors is not None:
        settings["trust"] = {"trust_anchors": trust_anchors}
    try:
        context = c2pa.Context(c2pa.Settings.from_dict(settings))
        with c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader:
            return _judge(reader.get_validation_state(), json.loads(reader.json()))
    except c2pa.C2paError as error:
        return _without_manifest(str(error))


def _same_file(picture: Picture) -> bytes | None:
    """The file's bytes, if they are still those that were analysed."""
    assert picture.path is not None
    try:
        if os.path.getsize(picture.path) != picture.file_bytes:
            return None
        with open(picture.path, "rb") as file:
            data = file.read(picture.file_bytes + 1)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == picture.sha256 else None


def _judge(state: str | None, store: dict[str, Any]) -> ContentCredentials:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = manifest.get("signature_info") or {}
    names = [one_line(str(signature[key])) for key in ("issuer", "common_name") if signature.get(key)]
    signer = ", ".join(names) or None
    generators = manifest.get("claim_generator_info") or [{}]
    generator = one_line(str(generators[0].get("name") or manifest.get("claim_generator") or "")) or None
    failures = _failures(store)
    by = f" by {signer}" if signer else ""
    if state == "Trusted":
        sentence = f"Signed{by}, who is on your list of trust, and unchanged since."
        return ContentCredentials("valid", sentence, signer, generator, failures)
    if state == "Valid" and set(failures) <= {_UNKNOWN_SIGNER}:
        sentence = (
            f"Signed{by} and unchanged since, but nobody vouches that this is really who signed: "
            "anyone can make such a certificate."
        )
        return ContentCredentials("unknown_signer", sentence, signer, generator, failures)
    sentence = "Broken: file or statement were changed after signing, or the signature is not valid."
    return ContentCredentials("broken", sentence, signer, generator, failures)


def _failures(store: dict[str, Any]) -> tuple[str, ...]:
    """Codes of what failed, each once."""
    failures: Sequence[dict[str, Any]] = store.get("validation_status") or ()
    return tuple(dict.fromkeys(one_line(str(failure.get("code"))) for failure in failures))[:_MOST_FAILURES]


def _without_manifest(message: str) -> ContentCredentials:
    if message.startswith("ManifestNotFound"):
        return ContentCredentials("none", "None in the file, as in most files.")
    if "remote" in message.lower():
        return not_checked("they lie on a server, and nothing is fetched from there")
    return ContentCredentials(
        "broken", f"There is a statement, but it cannot be read ({' '.join(message.split())[:160]})."
    )


def not_checked(reason: str) -> ContentCredentials:
    """Content Credentials of which nothing is known.

    Args:
        reason: Why, without a full stop.
    """
    return ContentCredentials("not_checked", f"Not checked: {reason}.")
