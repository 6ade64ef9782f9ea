"""Who this cluster is to the other members: an Ed25519 key, and a certificate that it has signed itself.

A certificate is believed because every member's file lists it, byte for byte. It says nothing by itself: no name
that a stranger who connects could read, no time at which it stops being valid, and no right to sign others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from slash80.cluster.credentials import MemoryFiles
from slash80.errors import InvalidConfig

SECRET = "slash80-clusterset"  # noqa: S105 -- the name of the object, not what is in it
_KEY, _CERTIFICATE = "tls.key", "tls.crt"
# A clock that is wrong must not shut a cluster out. The end is RFC 5280's for what has none (4.1.2.5).
_BEGIN, _END = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key, and the certificate of its public one, in both of its forms."""

    key_pem: bytes = field(repr=False)
    certificate_pem: bytes
    der: bytes

    def data(self) -> dict[str, str]:
        """Return the `data` of a Secret that holds it."""
        parts = {_KEY: self.key_pem, _CERTIFICATE: self.certificate_pem}
        return {name: base64.b64encode(part).decode() for name, part in parts.items()}

    def prove_by(self, context: ssl.SSLContext) -> None:
        """Have a TLS context show this certificate; raise OSError where the key is not that of the certificate."""
        with MemoryFiles() as files:
            certificate, key = files.add("certificate", self.certificate_pem), files.add("key", self.key_pem)
            context.load_cert_chain(
                certificate, key, password=""
            )  # else OpenSSL asks a terminal for that of an encrypted key


def create() -> Identity:
    """Make a key and its certificate."""
    # here and not above: this is done once in a cluster's life, and costs 14 MiB
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    # OpenSSL looks certificates up by their subjects, so each has one of its own
    fingerprint = hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:32]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, fingerprint)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(_BEGIN).not_valid_after(_END)
    # said, and not only left out: OpenSSL takes some certificates without it for authorities
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    certificate = builder.sign(key, algorithm=None)
    pem, unencrypted = serialization.Encoding.PEM, serialization.NoEncryption()
    return Identity(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted),
        certificate.public_bytes(pem),
        certificate.public_bytes(serialization.Encoding.DER),
    )


def load(data: Mapping[str, str]) -> Identity | None:
    """Return what a Secret's `data` holds, or None for one that nothing was put into yet; raise InvalidConfig."""
    if not data.get(_KEY) and not data.get(_CERTIFICATE):
        return None
    try:
        key, pem = (base64.b64decode(data.get(name, ""), validate=True) for name in (_KEY, _CERTIFICATE))
        found = Identity(key, pem, ssl.PEM_cert_to_DER_cert(pem.decode("ascii").strip()))
        found.prove_by(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    except (OSError, ValueError, binascii.Error) as error:
        what = f"{_KEY} and {_CERTIFICATE} are not a key and its certificate in PEM ({error})"
        then = "empty both and restart the Deployment slash80-clusterset: it makes new ones, which go into the file"
        raise InvalidConfig(f"Secret {SECRET}: {what}; {then}") from error
    return found
