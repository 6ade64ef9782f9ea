"""Certificates that a hostile member makes."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from slash80.clusterset.identity import Identity
from unit.clusterset import exchange_rig as rig


@pytest.fixture(scope="session")
def forged() -> tuple[Identity, Identity]:
    """Return a certificate that may sign others, and one that it has signed."""
    issuer, leaf = (rig.someone(number) for number in (98, 99))
    return _signed(issuer, issuer, authority=True), _signed(issuer, leaf, authority=False)


def _signed(issuer: Identity, owner: Identity, *, authority: bool) -> Identity:
    keys = [load_pem_private_key(one.key_pem, None) for one in (issuer, owner)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in ("issuer", "leaf")]
    builder = x509.CertificateBuilder().issuer_name(names[0]).subject_name(names[0 if authority else 1])
    builder = builder.public_key(keys[1].public_key()).serial_number(1 + authority)  # type: ignore[arg-type]
    builder = builder.not_valid_before(datetime(2000, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2100, 1, 1, tzinfo=UTC)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    certificate = builder.sign(keys[0], None)  # type: ignore[arg-type]
    return Identity(owner.key_pem, certificate.public_bytes(Encoding.PEM), certificate.public_bytes(Encoding.DER))
