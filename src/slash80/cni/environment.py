"""The environment of a call: one table says which variable each verb needs and how it must look."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slash80.errors import BadEnvironment, shown

VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*")
_IFNAME_BYTES = 15  # IFNAMSIZ of the kernel, less its final zero
_SETTINGS = {"all", "default"}  # of /proc/sys/net/*/conf, which no link may take (sysctl_dev_name_is_allowed)
_SPACE_OF_LATIN1 = 0xA0  # white space to the kernel, which knows no UTF-8 (dev_valid_name in net/core/dev.c)


def valid_name(value: str) -> bool:
    """Report whether a container ID or network name is valid: letters, digits and `_.-`, a letter or digit first."""
    return _NAME.fullmatch(value) is not None


def _container_id(value: str) -> str:
    if valid_name(value):
        return ""
    return "must consist of letters, digits, '_', '.' and '-' and start with a letter or digit"


def _utf8(value: str) -> str:
    """Refuse bytes that are no UTF-8: neither the store nor a result could hold them."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "must be UTF-8"
    return ""


def _ifname(value: str) -> str:
    if len(os.fsencode(value)) > _IFNAME_BYTES:
        return f"must have at most {_IFNAME_BYTES} bytes"
    if value in {".", ".."} or any(c in "/:" or c.isspace() for c in value):
        return "must be neither '.' nor '..' and hold no '/', ':' or white space"
    return _utf8(value)


def _new_ifname(value: str) -> str:
    """Refuse what the kernel would refuse, or take for another name; a removal may name it, of what never was."""
    if "%" in value:
        return "must hold no '%', which the kernel replaces by a number of its own choice"
    if value == "lo" or value in _SETTINGS:
        return "must not be 'lo', 'all' or 'default', which mean something else in every network namespace"
    if _SPACE_OF_LATIN1 in value.encode():
        return "must hold no character whose UTF-8 has the byte 0xa0, which the kernel takes for white space"
    return ""


@dataclass(frozen=True, slots=True)
class _Variable:
    name: str
    needed_by: frozenset[str]
    wrong: Callable[[str], str] = lambda _: ""
    wrong_at_add: Callable[[str], str] = lambda _: ""


_ATTACHING = frozenset({"ADD", "DEL", "CHECK"})
_TABLE = (  # in the order in which missing ones are reported
    _Variable("CNI_CONTAINERID", _ATTACHING, _container_id),
    _Variable("CNI_NETNS", frozenset({"ADD", "CHECK"}), _utf8),
    _Variable("CNI_IFNAME", _ATTACHING, _ifname, _new_ifname),
    _Variable("CNI_PATH", frozenset(VERBS) - {"VERSION"}),
)


@dataclass(frozen=True, slots=True)
class Environment:
    """The CNI variables of a call; those that a verb does not need may be empty."""

    command: str
    container_id: str
    netns: str
    ifname: str
    args: str
    netns_override: bool


def read(environ: Mapping[str, str]) -> Environment:
    """Check and read the variables; raise BadEnvironment naming all that are missing, or the first malformed one.

    An unknown command passes: what is on standard input is judged first (contract of the Go library).
    """
    command = environ.get("CNI_COMMAND", "")
    needed = [variable for variable in _TABLE if command in variable.needed_by]
    for variable in needed:
        value = environ.get(variable.name, "")
        reason = variable.wrong(value) or (variable.wrong_at_add(value) if command == "ADD" else "") if value else ""
        if reason:
            msg = f"environment variable {variable.name}={shown(value)} {reason}"
            raise BadEnvironment(msg)
    if missing := [variable.name for variable in needed if not environ.get(variable.name)]:
        msg = f"required env variables [{','.join(missing)}] missing"
        raise BadEnvironment(msg)
    return Environment(
        command=command,
        container_id=environ.get("CNI_CONTAINERID", ""),
        netns=environ.get("CNI_NETNS", ""),
        ifname=environ.get("CNI_IFNAME", ""),
        args=environ.get("CNI_ARGS", ""),
        netns_override=environ.get("CNI_NETNS_OVERRIDE", "").lower() in {"1", "true"},
    )


def needed() -> dict[str, frozenset[str]]:
    """Name the verbs that need each variable."""
    return {variable.name: variable.needed_by for variable in _TABLE}


def pairs(text: str) -> dict[str, str]:
    """Split CNI_ARGS, `K=V;K=V`; raise BadEnvironment for a malformed segment."""
    if reason := _utf8(text):
        msg = f"environment variable CNI_ARGS={shown(text)} {reason}"
        raise BadEnvironment(msg)
    found: dict[str, str] = {}
    for segment in text.split(";") if text else ():
        key, equals, value = segment.partition("=")
        if not key or not equals or "=" in value:
            msg = f"environment variable CNI_ARGS has the segment {shown(segment)}, which is not of the form KEY=VALUE"
            raise BadEnvironment(msg)
        found[key] = value
    return found


def arguments(text: str) -> dict[str, str]:
    """Split CNI_ARGS and check its keys; raise BadEnvironment.

    Keys other than IP, MAC and K8S_POD_* are an error unless IgnoreUnknown is true (contract of the Go library).
    """
    found = pairs(text)
    ignore = found.pop("IgnoreUnknown", "false")
    if ignore.lower() not in {"1", "true", "0", "false"}:
        msg = f"environment variable CNI_ARGS has IgnoreUnknown={shown(ignore)}, which is neither true nor false"
        raise BadEnvironment(msg)
    unknown = [key for key in found if key not in {"IP", "MAC"} and not key.startswith("K8S_POD_")]
    if unknown and ignore.lower() not in {"1", "true"}:
        msg = f"environment variable CNI_ARGS has the unknown keys {unknown}; remove them or add IgnoreUnknown=1"
        raise BadEnvironment(msg)
    return found
