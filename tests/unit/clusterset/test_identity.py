"""Who this cluster is to the others: its key and certificate, and the Secret that holds them."""

import ssl
import sys
from base64 import b64encode

import pytest
from cryptography import x509

from lab import programs
from slash80.clusterset import identity
from slash80.clusterset.identity import Identity
from slash80.errors import InvalidConfig


@pytest.fixture(scope="module")
def made() -> Identity:
    """Make one."""
    return identity.create()


def test_certificate_cannot_vouch_for_others_and_stays_valid(made: Identity) -> None:
    """It says that it is not an authority's, and it is valid under any clock."""
    certificate = x509.load_der_x509_certificate(made.der)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)

    assert (False, True) == (constraints.value.ca, constraints.critical)
    assert (2000, 9999) == (certificate.not_valid_before_utc.year, certificate.not_valid_after_utc.year)


def test_two_certificates_have_different_names_that_say_nothing(made: Identity) -> None:
    """A stranger who is shown one learns the fingerprint of a key and no name of a cluster."""
    names = [x509.load_der_x509_certificate(one.der).subject.rfc4514_string() for one in (made, identity.create())]

    assert names[0] != names[1]
    assert all(set(name.removeprefix("CN=")) <= set("0123456789abcdef") for name in names)


def test_both_forms_are_one_certificate(made: Identity) -> None:
    """PEM is what TLS is given, and DER is what the file lists."""
    assert ssl.PEM_cert_to_DER_cert(made.certificate_pem.decode()) == made.der
    assert len(made.der) < 400


def test_secret_holds_an_identity(made: Identity) -> None:
    """What was put into a Secret is read from it again, and the key is not printed."""
    assert identity.load(made.data()) == made
    assert "PRIVATE" not in repr(made)


@pytest.mark.parametrize("data", [{}, {"tls.key": "", "tls.crt": ""}])
def test_empty_secret_holds_none(data: dict[str, str]) -> None:
    """The manifests bring an empty Secret, which is not a mistake."""
    assert identity.load(data) is None


def _texts(made: Identity) -> list[dict[str, str]]:
    other, data = identity.create().data(), made.data()
    return [
        {"tls.crt": data["tls.crt"]},
        {"tls.key": data["tls.key"]},
        data | {"tls.key": other["tls.key"]},
        data | {"tls.key": "?"},
        data | {"tls.crt": b64encode("é".encode()).decode()},
        data | {"tls.crt": b64encode(made.key_pem).decode()},
        data | {"tls.key": b64encode(made.key_pem[:50]).decode()},
    ]


@pytest.mark.parametrize("case", range(7))
def test_secret_that_holds_something_else_is_an_error(made: Identity, case: int) -> None:
    """One sentence names the Secret and says what to do; a key of another certificate is such a mistake too."""
    with pytest.raises(
        InvalidConfig, match=r"Secret slash80-clusterset: tls.key and tls.crt are not a key.*empty both"
    ):
        identity.load(_texts(made)[case])


def test_reading_an_identity_does_not_load_the_library(made: Identity) -> None:
    """Only making one does, which happens once in the life of a cluster."""
    script = (
        "import sys; from slash80.clusterset import identity\n"
        f"assert identity.load({made.data()!r})\nprint('cryptography' in sys.modules)"
    )
    assert "False" == programs.run([sys.executable, "-c", script]).strip()
