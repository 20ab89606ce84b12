"""Files with Content Credentials, signed by an authority of our own."""

import datetime
import io

from core.made_files import jpeg_bytes

ORGANISATION = "Example <b>Press</b>"


def _certificate(subject, issuer, key, issuer_key, *, authority):
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


def signed_file(pixels, generator="Example camera"):
    """A signed JPEG file, and the certificate of the authority behind its signer in PEM format.

    Args:
        pixels: Of the picture.
        generator: What claims to have made the statement.
    """
    import c2pa
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("Authority", "Authority", authority_key, authority_key, authority=True)
    camera = _certificate("Camera 7", "Authority", key, authority_key, authority=False)
    pem = serialization.Encoding.PEM
    anchors = authority.public_bytes(pem)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = camera.public_bytes(pem) + anchors
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=private, ta_url=None)
    )
    manifest = {
        "claim_generator_info": [{"name": generator}],
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
        builder.sign(signer, "image/jpeg", io.BytesIO(jpeg_bytes(pixels)), file)
    return file.getvalue(), anchors.decode("ascii")
