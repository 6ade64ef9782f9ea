"""A clusterset's file, with certificates made beforehand: Ed25519, `CN=member`, valid until the year 9966."""

import base64
import datetime as dt
from typing import Any

import yaml

from slash80.settings.clusterset import Clusterset, Member, parse

LEAF = base64.b64decode(
    "MIH1MIGooAMCAQICFHQI9588g8r0UhJZQGov9QadjGhUMAUGAytlcDARMQ8wDQYDVQQDDAZtZW1iZXIwIBcNMjYxMTI4MjEzMzU4WhgPOTk2NjEx"
    "MDMyMTMzNThaMBExDzANBgNVBAMMBm1lbWJlcjAqMAUGAytlcAMhAOFJ78cCSR+YiHetq54D9uOUfJDjU0TWOATheWxH86k6oxAwDjAMBgNVHRMB"
    "Af8EAjAAMAUGAytlcANBAM16vhNwMY6klYhjcLyJXx1Tw3prG0vnMid1eicxx8JsNjgM2OJTDUKXfVAif3YpgsNm3yPsLD0hmRQvJBit4ww="
)
WITHOUT_EXTENSIONS = base64.b64decode(
    "MIHjMIGWoAMCAQICFH0N6a8bmMY7kHiFFEzNjEJ2+MgOMAUGAytlcDARMQ8wDQYDVQQDDAZtZW1iZXIwIBcNMjYxMTI4MjEzMzU4WhgPOTk2NjEx"
    "MDMyMTMzNThaMBExDzANBgNVBAMMBm1lbWJlcjAqMAUGAytlcAMhAOFJ78cCSR+YiHetq54D9uOUfJDjU0TWOATheWxH86k6MAUGAytlcANBAIMR"
    "hCcloBYqY31PcSRfZBQnoriFfWxvtziTex8AmlT3QjwkVazMptKKlULilMvv+vRhagmmNI9KzTcCtYguVQM="
)
AUTHORITIES = {
    "basicConstraints": (
        "MIIBFDCBx6ADAgECAhQJ8rQ9XVV6oOzdyf72IjUSCS0zSzAFBgMrZXAwETEPMA0GA1UEAwwGbWVtYmVyMCAXDTI2MTEyODIxMzM1OFoYDzk5"
        "NjYxMTAzMjEzMzU4WjARMQ8wDQYDVQQDDAZtZW1iZXIwKjAFBgMrZXADIQDhSe/HAkkfmIh3raueA/bjlHyQ41NE1jgE4XlsR/OpOqMvMC0w"
        "DAYDVR0TBAUwAwEB/zAdBgNVHQ4EFgQUCIlPkiOb4Kny0QmE058GNp8vRWowBQYDK2VwA0EANSn5PvNoOjYLc2nxqVJ+qwQlBoNH6Wf5rEGb"
        "ibaNnhCgVFqoK8JMYamDDolF2nAJTdJC6cBqapnc8S0f1e0iCg=="
    ),
    "version 1": (
        "MIHeMIGRAhRCQoCyvl8d7i8Y6RNY/f+xfq2zTzAFBgMrZXAwETEPMA0GA1UEAwwGbWVtYmVyMCAXDTI2MTEyODIxMzM1OFoYDzk5NjYxMTAz"
        "MjEzMzU4WjARMQ8wDQYDVQQDDAZtZW1iZXIwKjAFBgMrZXADIQDhSe/HAkkfmIh3raueA/bjlHyQ41NE1jgE4XlsR/OpOjAFBgMrZXADQQD4"
        "EORCTiqNl6A3zKpDXZZo6N07cwOe3DVBq31YWNWyDYB+mucC930+LCaL6cAG/wGlxvHtVbGg3+a1BuNAcOUD"
    ),
    "keyUsage": (
        "MIH0MIGnoAMCAQICFDHDi5RJCRMz0NEMAq6dS3rbm6QQMAUGAytlcDARMQ8wDQYDVQQDDAZtZW1iZXIwIBcNMjYxMTI4MjEzMzU4WhgPOTk2"
        "NjExMDMyMTMzNThaMBExDzANBgNVBAMMBm1lbWJlcjAqMAUGAytlcAMhAOFJ78cCSR+YiHetq54D9uOUfJDjU0TWOATheWxH86k6ow8wDTAL"
        "BgNVHQ8EBAMCAgQwBQYDK2VwA0EAMR32aniOKJFStpa2jbhllSzcRUE8eMuryTNiSJpF1xZBB5HDB+EbTSFrc6Dp0mqWXdPgiWVJUB27wuWT"
        "wMnRCA=="
    ),
}


def certificate(number: int) -> bytes:
    """Return a certificate like no other: its last bytes are its signature's, which reading it does not check."""
    return LEAF[:-4] + number.to_bytes(4, "big")


def encoded(der: bytes) -> str:
    """Return it as it stands in the file."""
    return base64.b64encode(der).decode()


def entry(number: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- any YAML value
    """Return a member's entry, all keys there, with some of them replaced."""
    return {
        "id": f"c{number}",
        "prefixes": [f"2001:db8:{number:x}::/48"],
        "certificates": [encoded(certificate(number))],
        "at": [f"[2001:db8:{number:x}::a]:8180"],
        "since": dt.date(2026, 11, 27),
        "namespaces": ["*"],
    } | changes


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """Write a list that two entries share twice."""
        return True


def text(*entries: dict[str, Any], name: str = "shop") -> str:
    """Return the file with these entries."""
    return str(yaml.dump({"name": name, "members": list(entries)}, Dumper=_WithoutAliases))


def clusterset(count: int) -> Clusterset:
    """Return a clusterset of so many members, c0 and on."""
    return parse(text(*map(entry, range(count))))


def member(number: int = 0, **changes: Any) -> Member:  # noqa: ANN401 -- any YAML value
    """Return one member of a clusterset, with some keys replaced."""
    return parse(text(entry(number, **changes))).members[0]
