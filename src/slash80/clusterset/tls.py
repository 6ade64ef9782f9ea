"""TLS between members: version 1.3, and each side believes exactly the certificates that the file lists for the other.

OpenSSL is given them as its trust store, so it refuses a stranger within the handshake. That alone would let the owner
of a listed certificate that may sign others (CA:TRUE) make more of them; so the one that was shown is compared as well.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection

from slash80.clusterset.identity import Identity


def server_context(identity: Identity, believed: Collection[bytes]) -> ssl.SSLContext:
    """Return the context of a server that asks for one of these certificates, in DER."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity, believed)
    context.num_tickets = 0  # a resumed session would show no certificate, and what is listed may have changed
    return context


def client_context(identity: Identity, believed: Collection[bytes]) -> ssl.SSLContext:
    """Return the context of a client of a server that has one of these certificates."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, identity, believed)


def shown(connection: ssl.SSLSocket) -> bytes:
    """Return the certificate that the other side has shown."""
    return connection.getpeercert(binary_form=True) or b""


def _context(side: ssl._SSLMethod, identity: Identity, believed: Collection[bytes]) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # a certificate names no host, and an address no member
    context.verify_mode = ssl.CERT_REQUIRED
    if believed:
        context.load_verify_locations(cadata=b"".join(believed))
    identity.prove_by(context)
    return context
