"""One call as it came in: environment and configuration, judged in the order in which the Go library judges them."""

from __future__ import annotations

from dataclasses import dataclass

from slash80.cni import document, environment, versions
from slash80.cni import prevresult as previous_results
from slash80.cni.document import Document
from slash80.cni.environment import Environment
from slash80.errors import BadEnvironment, InvalidConfig, Undecodable, shown

_VALID = ("cni.dev/valid-attachments", "cni.dev/attachments")


@dataclass(frozen=True, slots=True)
class Request:
    """What a runtime asks: the verb with its variables, and the configuration for network `network`."""

    env: Environment
    conf: Document
    version: str
    network: str


def judge(env: Environment, conf: Document, version: str) -> Request:
    """Put a call together; raise the CniError that the Go library would, in its order: name, verb, version."""
    request = Request(env=env, conf=conf, version=version, network=_network(conf))
    if env.command not in environment.VERBS:
        msg = f"unknown CNI_COMMAND: {shown(env.command)}; use one of {', '.join(environment.VERBS)}"
        raise BadEnvironment(msg)
    versions.require(version, env.command)
    return request


def version_of(conf: Document) -> str:
    """Return the configuration's version: without one the oldest, not the newest (specification 0.1.0)."""
    version = document.get(conf, "cniVersion")
    if version is not None and not isinstance(version, str):
        msg = f"'cniVersion' is {shown(version)}, but must be a string such as \"{versions.NEWEST}\""
        raise Undecodable(msg)
    return version or versions.OLDEST


def previous(request: Request) -> Document | None:
    """Return `prevResult`, or None; raise Undecodable when it is not a result or has another version.

    Raise InvalidConfig for a value in it that is unusable.
    """
    if document.get(request.conf, "prevResult") is None:
        return None
    result = document.section(request.conf, "prevResult")
    version = document.get(result, "cniVersion") or request.version
    if version != request.version:
        msg = f"'prevResult' has cniVersion {shown(version)}, but the configuration has '{request.version}'"
        raise Undecodable(msg)
    previous_results.check(result, request.version)
    return result


def valid_attachments(request: Request) -> list[tuple[str, str]] | None:
    """Return the container IDs and interfaces that a runtime calls valid at GC; None without a list.

    The tagged specification calls the key `cni.dev/attachments`, later it is `cni.dev/valid-attachments`; libcni sends
    both, and `null` for an empty list. Anything that is not a list raises Undecodable: it must not mean that all may
    go.
    """
    name = next((key for key in _VALID if key in request.conf), None)
    if name is None:
        return None
    entries = [] if request.conf[name] is None else request.conf[name]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        msg = f"'{name}' must be a list of objects with containerID and ifname; nothing was removed"
        raise Undecodable(msg)
    pairs = [(document.get(entry, "containerID"), document.get(entry, "ifname")) for entry in entries]
    if not all(isinstance(value, str) for pair in pairs for value in pair):
        msg = f"'{name}' has an entry without containerID or ifname; nothing was removed"
        raise Undecodable(msg)
    return pairs


def _network(conf: Document) -> str:
    name = document.get(conf, "name")
    if name is not None and not isinstance(name, str):
        msg = f"'name' is {shown(name)}, but must be a string"
        raise Undecodable(msg)
    if not name or not environment.valid_name(name):
        msg = f"the network's 'name' is {shown(name)}, but must consist of letters, digits, '_', '.' and '-'"
        raise InvalidConfig(msg)
    return name
