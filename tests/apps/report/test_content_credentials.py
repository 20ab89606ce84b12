import datetime
import io
import sys

import pytest

from core.made_files import jpeg_bytes, scene
from doctored.apps.report.content_credentials import read_content_credentials
from doctored.core.picture import Picture
from doctored.core.read_image import read_image

PIXELS = scene(120, 90)
ORGANISATION = "Example <b>Press</b>"


def certificate(subject, issuer, key, issuer_key, *, authority):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    def name(common_name):
        oid = x509.NameOID
        pairs = (
            (oid.COUNTRY_NAME, "DE"),
            (oid.ORGANIZATION_NAME, ORGANISATION),
            (oid.COMMON_NAME, common_name),
        )
        return x509.Name([x509.NameAttribute(kind, value) for kind, value in pairs])

    usage = dict.fromkeys(
        (
            *(
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
            ),
            *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    usage |= {"key_cert_sign": True, "crl_sign": True} if authority else {"digital_signature": True}
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2025, 1, 1))
        .not_valid_after(datetime.datetime(2125, 1, 1))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if not authority:
        purposes = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def signed():
    """A signed JPEG file, and the certificate of the authority behind its signer in PEM format."""
    c2pa = pytest.importorskip("c2pa")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = certificate("Authority", "Authority", authority_key, authority_key, authority=True)
    camera = certificate("Camera 7", "Authority", key, authority_key, authority=False)
    pem = serialization.Encoding.PEM
    anchors = authority.public_bytes(pem)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = camera.public_bytes(pem) + anchors
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=private, ta_url=None)
    )
    manifest = {
        "claim_generator_info": [{"name": "Example camera"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [{"action": "c2pa.opened"}]}}],
    }
    manifest["assertions"][0]["data"]["actions"] = [
        {
            "action": "c2pa.created",
            "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
        }
    ]
    file = io.BytesIO()
    with c2pa.Builder(manifest) as builder:
        builder.sign(signer, "image/jpeg", io.BytesIO(jpeg_bytes(PIXELS)), file)
    return file.getvalue(), anchors.decode("ascii")


def read(folder, data, trust_anchors=None):
    path = folder / "photo.jpg"
    path.write_bytes(data)
    return read_content_credentials(read_image(path), trust_anchors)


def test_a_signer_whom_nobody_knows_is_not_called_valid(tmp_path, signed):
    found = read(tmp_path, signed[0])
    assert found.state == "unknown_signer"
    assert found.signer == f"{ORGANISATION}, Camera 7"
    assert found.generator == "Example camera"
    assert "anyone can make such a certificate" in found.sentence
    assert found.failures == ("signingCredential.untrusted",)


def test_a_signer_on_the_list_of_trust_is_valid(tmp_path, signed):
    data, anchors = signed
    found = read(tmp_path, data, anchors)
    assert found.state == "valid"
    assert found.failures == ()


def test_a_changed_pixel_breaks_the_signature_even_of_a_trusted_signer(tmp_path, signed):
    data, anchors = signed
    changed = bytearray(data)
    changed[-500] ^= 1
    found = read(tmp_path, bytes(changed), anchors)
    assert found.state == "broken"
    assert any("dataHash" in failure for failure in found.failures)


def test_a_file_without_has_none(tmp_path):
    pytest.importorskip("c2pa")
    assert read(tmp_path, jpeg_bytes(PIXELS)).state == "none"


def test_without_the_library_nothing_is_checked_and_the_line_to_run_is_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read(tmp_path, jpeg_bytes(PIXELS))
    assert found.state == "not_checked"
    assert "pip install 'doctored[c2pa]'" in found.sentence


def test_a_picture_that_is_no_file_or_has_changed_is_not_checked(tmp_path):
    pytest.importorskip("c2pa")
    assert read_content_credentials(Picture.from_array(PIXELS)).state == "not_checked"
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg_bytes(PIXELS))
    picture = read_image(path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "has changed" in read_content_credentials(picture).sentence
    path.unlink()
    assert "has changed or vanished" in read_content_credentials(picture).sentence
