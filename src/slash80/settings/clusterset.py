"""The clusterset: which clusters belong together, as `clusterset.yaml` of ConfigMap `slash80-clusterset` says.

The file is the same in every cluster. From it follow whom the firewalls trust, which certificates are believed, and
which addresses and namespaces a member may export; so it is checked whole, and a mistake in one entry refuses all.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
import ssl
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Annotated, Any, NamedTuple, Self, TypeVar

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from slash80.addressing.family import Prefix
from slash80.addressing.special import special
from slash80.cni import addresses
from slash80.errors import InvalidConfig, shown
from slash80.settings import values
from slash80.settings.network import Model

try:  # twenty times faster
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # a PyYAML that was built without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

NAME = "slash80-clusterset"  # of the ConfigMap
KEY = "clusterset.yaml"
PORT = 8180
ALL = "*"

_BYTES = 1 << 20  # of a ConfigMap, as of every object in etcd
_CERTIFICATE_BYTES = 4096
_SHORTEST = {4: 8, 6: 32}
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_Value = TypeVar("_Value", bound=Hashable)
_NOT_TEXT = "it is read as a number, a date or a truth value; put it in quotes"


class Place(NamedTuple):
    """Where a member's controller may be asked: a hint, never an identity."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as in the file and in URLs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def label(value: object) -> str:
    """Read a DNS label: the id is one in the names of headless Services' endpoints."""
    if not isinstance(value, str):
        raise ValueError(_NOT_TEXT)  # noqa: TRY004 -- pydantic reports ValueErrors
    if not _LABEL.fullmatch(value):
        raise ValueError("it is not a DNS label; use 1 to 63 of a-z, 0-9 and '-', with no '-' at either end")
    return value


def _namespace(value: object) -> str:
    """Read the name of a namespace that a member may export from, or the word for all of them."""
    if value == ALL:
        return ALL
    name = label(value)
    if reserved(name):
        raise ValueError("namespaces of Kubernetes itself are never exported; remove it")
    return name


def _prefix(value: object) -> Prefix:
    """Read a prefix of a member's pods."""
    found = values.network(value)
    if found.prefixlen < _SHORTEST[found.version]:
        raise ValueError(f"it is too much to trust; give /{_SHORTEST[found.version]} or longer")
    if name := special(found):
        raise ValueError(f"no pod can have an address there: {name}; give prefixes of global addresses or ULA")
    return found


def _certificate(value: object) -> bytes:
    """Read a certificate that identifies its owner only: one of a CA would vouch for others."""
    if isinstance(value, bytes):
        value = in_base64(value)
    if not isinstance(value, str):
        raise ValueError("it must be a DER certificate in base64; copy it whole from 'slash80 clusterset add'")  # noqa: TRY004 -- pydantic reports ValueErrors
    try:
        der = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("it is not base64; copy it whole from 'slash80 clusterset add'") from error
    if len(der) > _CERTIFICATE_BYTES:
        raise ValueError(f"it has more than {_CERTIFICATE_BYTES} bytes; use the one that the controller made")
    if _length(der) != len(der):  # OpenSSL leaves unread what follows a certificate
        raise ValueError("it is not exactly one DER certificate; copy it whole from 'slash80 clusterset add'")
    _refuse_authority(der)
    return der


def _refuse_authority(der: bytes) -> None:
    """Raise ValueError for what OpenSSL does not read as a certificate, or would let vouch for other ones.

    It is OpenSSL's own judgement, since it knows more ways to be a CA than basicConstraints: version 1 is one.
    """
    store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # 0.4 ms for each; one store for all grows slow with their number
    try:
        store.load_verify_locations(cadata=der)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError("it is not a DER certificate; copy it whole from 'slash80 clusterset add'") from error
    if store.cert_store_stats()["x509_ca"]:
        raise ValueError("it is a CA's, so it could vouch for anyone; use the one that the controller made")


def _length(der: bytes) -> int:
    """Return how long the outermost value says it is, with its header (X.690, 8.1.3); 0 if that cannot be."""
    if len(der) < 2 or not der[1] & 0x80:
        return 2 + der[1] if len(der) > 1 else 0
    count = der[1] & 0x7F
    return 2 + count + int.from_bytes(der[2 : 2 + count], "big")


def place(value: object) -> Place:
    """Read `host:port`; an IPv6 address stands in brackets."""
    if isinstance(value, Place):
        return value
    if not isinstance(value, str):
        raise ValueError(_NOT_TEXT)  # noqa: TRY004 -- pydantic reports ValueErrors
    host, colon, port = value.rpartition(":")
    if not colon or not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        raise ValueError(f"it must be 'host:port', such as '[2001:db8::1]:{PORT}' or 'eu.example.net:{PORT}'")
    return Place(_host(host), int(port))


def _host(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        found = addresses.address(text[1:-1])
        if found.version == 4:
            raise ValueError("brackets are for IPv6 addresses; leave them out")
        return str(found)
    if re.fullmatch(r"[0-9.]+", text):
        return str(addresses.address(text))
    if len(text) <= 253 and all(map(_LABEL.fullmatch, text.split("."))):
        return text
    raise ValueError(f"its host is not a DNS name, an IPv4 address or an IPv6 address in brackets, as in [::1]:{PORT}")


def _date(value: object) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("it must be a date such as 2026-11-27, without a time")  # noqa: TRY004 -- pydantic reports ValueErrors
    try:
        return dt.date.fromisoformat(value)
    except ValueError as error:
        raise ValueError("it must be a date such as 2026-11-27, without a time") from error


Label = Annotated[str, BeforeValidator(label)]
MemberPrefix = Annotated[Prefix, BeforeValidator(_prefix)]
Certificate = Annotated[bytes, BeforeValidator(_certificate)]


class Member(Model):
    """A cluster that belongs to the clusterset, and the bounds of what it may say."""

    id: Label = Field(description="Its name among the members: one DNS label, constant while it is one.")
    prefixes: tuple[MemberPrefix, ...] = Field(
        min_length=1,
        max_length=256,
        description="The prefixes of its pods, global or ULA, /32 or longer (IPv4 /8): trusted by every firewall of "
        "the clusterset, and the only addresses that it may export. IPv4 only if it is routed between the members.",
    )
    certificates: tuple[Certificate, ...] = Field(
        min_length=1, max_length=2, description="Its certificate, DER in base64; two while its key is being changed."
    )
    at: tuple[Annotated[Place, BeforeValidator(place)], ...] = Field(
        (), max_length=8, description="Where its controller may be asked first, as `host:port`; a hint."
    )
    since: Annotated[dt.date, BeforeValidator(_date)] = Field(
        description="The day on which it joined: its exports count as no older, so it cannot win by an invented age."
    )
    namespaces: tuple[Annotated[str, BeforeValidator(_namespace)], ...] = Field(
        max_length=1024,
        description="The namespaces that it may export from: a list, or `['*']` for all; those of Kubernetes "
        "(`kube-*`) never.",
    )

    @model_validator(mode="after")
    def _all_or_some(self) -> Self:
        if ALL in self.namespaces and len(self.namespaces) > 1:
            raise ValueError("namespaces has '*', which is all, and others; keep '*' or the others")
        return self

    def may_export(self, namespace: str) -> bool:
        """Report whether its exports in a namespace are believed."""
        return not reserved(namespace) and (ALL in self.namespaces or namespace in self.namespaces)


class Clusterset(Model):
    """All members."""

    name: Label = Field(description="The name of the clusterset, a DNS label.")
    members: tuple[Member, ...] = Field(min_length=1, max_length=1000, description="The clusters that belong to it.")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """Check that no two members can be taken for each other."""
        _unrepeated(((one.id, one.id) for one in self.members), "id", str)
        _unrepeated(((der, one.id) for one in self.members for der in one.certificates), "certificates", in_base64)
        _disjoint((prefix, one.id) for one in self.members for prefix in one.prefixes)
        if len(self.members) > 1 and not any(one.at for one in self.members):
            raise ValueError("no member has an 'at', so none can find another one; give at least one of them a place")
        return self

    def member(self, cluster_id: str) -> Member | None:
        """Return the member of this id."""
        return next((one for one in self.members if one.id == cluster_id), None)

    def with_certificate(self, der: bytes) -> Member | None:
        """Return the member that owns exactly this certificate."""
        return next((one for one in self.members if der in one.certificates), None)

    def others(self, cluster_id: str) -> tuple[Member, ...]:
        """Return all members but one."""
        return tuple(one for one in self.members if one.id != cluster_id)


def reserved(namespace: str) -> bool:
    """Report whether a namespace is one of Kubernetes itself, from which nothing is ever exported."""
    return namespace.startswith("kube-")


def _unrepeated(found: Iterable[tuple[_Value, str]], key: str, text: Callable[[_Value], str]) -> None:
    owners: dict[_Value, str] = {}
    for value, owner in found:
        if value in owners:
            raise ValueError(
                f"members {owners[value]!r} and {owner!r} both have {key} {shown(text(value))}; keep one of them"
            )
        owners[value] = owner


def in_base64(der: bytes) -> str:
    """Write a certificate as in the file."""
    return base64.b64encode(der).decode()


def _disjoint(owned: Iterable[tuple[Prefix, str]]) -> None:
    """Raise ValueError when two members' prefixes share addresses: prefixes are nested or apart, so sorting tells."""
    outer: tuple[Prefix, str] | None = None
    for prefix, owner in sorted(owned, key=lambda one: (one[0].version, int(one[0].network_address), one[0].prefixlen)):
        if outer is None or not outer[0].overlaps(prefix):
            outer = prefix, owner
        elif outer[1] != owner:
            raise ValueError(
                f"member {outer[1]!r} has the prefix {outer[0]} and member {owner!r} {prefix}, which overlap; "
                "give each its own"
            )


def refuse_overlaps(clusterset: Clusterset, services: Collection[Prefix]) -> None:
    """Raise InvalidConfig when a member has addresses that are this cluster's Services, which are no pods."""
    for member in clusterset.members:
        for prefix in member.prefixes:
            for taken in services:
                if prefix.overlaps(taken):
                    raise InvalidConfig(
                        f"member {member.id!r} has the prefix {prefix}, which overlaps {taken}, the addresses of this "
                        f"cluster's Services; give the prefixes of its pods only in {KEY} of the ConfigMap {NAME}"
                    )


class _Loader(_SafeLoader):
    """Refuse a key that is there twice, as the first would be lost, and aliases, by which a small file grows huge."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 -- PyYAML's signature
        if node in self.constructed_objects:
            raise yaml.YAMLError(f"an alias (*) repeats {_position(node)}, which is not supported")
        return super().construct_object(node, deep)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 -- PyYAML's signature
        seen = set()
        for key, _ in node.value:
            name = str(key.value).lower()  # as the models match keys
            if name in seen:
                raise yaml.YAMLError(f"{_position(key)} has the key {shown(name)} for the second time")
            seen.add(name)
        return super().construct_mapping(node, deep)


def _position(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def parse(text: str, where: str = KEY) -> Clusterset:
    """Check the file whole; raise InvalidConfig naming the entry, the key, the value and what to do."""
    if len(text.encode(errors="surrogatepass")) > _BYTES:
        raise InvalidConfig(f"{where} has more than {_BYTES} bytes, which no ConfigMap can have; give fewer prefixes")
    try:
        document = _loaded(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date such as 2026-02-30
        raise InvalidConfig(f"{where} cannot be read: {' '.join(str(error).split())}; correct it there") from error
    try:
        return Clusterset.model_validate(document)
    except ValidationError as error:
        raise InvalidConfig(f"{where}: {_sentence(error, document)}") from error


def _loaded(text: str) -> Any:  # noqa: ANN401 -- what YAML gives
    loader = _Loader(text)  # not `yaml.load`, which the frozen program does not have
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _sentence(error: ValidationError, document: object) -> str:
    """Return pydantic's first complaint with the member's id, by which people find the entry."""
    first = error.errors(include_url=False, include_context=False)[0]
    loc, reason = first["loc"], first["msg"].removeprefix("Value error, ")
    entry, loc = _entry(loc, document)
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    if first["type"] == "missing":
        return f"{entry}the key {key!r} is missing; add it"
    if first["type"] == "extra_forbidden":
        return f"{entry}the key {shown(key)} with value {shown(first['input'])} is not known; remove it"
    if not key:
        return f"{entry}{reason}" if first["type"] == "value_error" else f"{entry}it must have keys with values"
    return f"{entry}the key {key!r} has the value {shown(first['input'])}: {reason[:1].lower()}{reason[1:]}"


def _entry(loc: tuple[int | str, ...], document: Any) -> tuple[str, tuple[int | str, ...]]:  # noqa: ANN401 -- what YAML gave
    if len(loc) < 2 or loc[0] != "members" or not isinstance(loc[1], int):
        return "", loc
    found = document["members"][loc[1]]
    named = found.get("id") if isinstance(found, dict) else None
    return f"member {shown(named)} (members[{loc[1]}]): " if named else f"members[{loc[1]}]: ", loc[2:]


def render(clusterset: Clusterset) -> str:
    """Write the file for people, so that `parse` gives the same and one member's change is one entry's in a diff."""
    return "".join((f"name: {_word(clusterset.name)}\nmembers:\n", *map(entry, clusterset.members)))


def entry(member: Member) -> str:
    """Write one member as it stands in the list at the end of the file."""
    lines = [
        f"id: {_word(member.id)}",
        f"prefixes: {json.dumps(list(map(str, member.prefixes)))}",
        f"certificates: {json.dumps(list(map(in_base64, member.certificates)))}",
        *([f"at: {json.dumps(list(map(str, member.at)))}"] if member.at else []),
        f"since: {member.since.isoformat()}",
        f"namespaces: {json.dumps(list(member.namespaces))}",
    ]
    return "".join(_indented(lines))


def _indented(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"  {line}\n" if number else f"- {line}\n"


def _word(text: str) -> str:
    """Write a label without quotes where YAML reads it as a text; `no` it does not."""
    return text if yaml.safe_load(text) == text else json.dumps(text)
