"""What the plugin may answer, whatever it is asked: from the CNI specification and the Go library, not from slash80.

Imports nothing of the plugin. A violation is an AssertionError that quotes the answer.
"""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any, NoReturn

Json = dict[str, Any]

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
ANYBODY = {1, 2, 4, 5, 6, 7, 8, 11, 999}
CODES = {"ADD": ANYBODY | {100, 101, 102}, "STATUS": ANYBODY | {50, 51}, "DEL": ANYBODY | {102}, "GC": ANYBODY | {102}}
_ATTACHING = {"ADD", "DEL", "CHECK"}
_NEEDS = {  # in the order of the specification; who needs which variable
    "CNI_CONTAINERID": _ATTACHING,
    "CNI_NETNS": {"ADD", "CHECK"},
    "CNI_IFNAME": _ATTACHING,
    "CNI_PATH": _ATTACHING | {"GC", "STATUS"},
}
VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")
_SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
_INPUT_BYTES = 4 << 20
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def judge(verb: str, exit_code: int, stdout: bytes) -> Json:
    """Demand that an answer is one of those that the verb may return; return its document, or an empty one."""
    said = stdout[:600]
    assert exit_code in {0, 1}, (exit_code, said)
    assert stdout.isascii(), said
    assert stdout.count(b"\n") == stdout.endswith(b"\n"), said
    if not exit_code and verb not in {"ADD", "VERSION"}:
        assert stdout == b"", said
        return {}
    document = strict(stdout)
    assert isinstance(document, dict), said
    assert document["cniVersion"] in VERSIONS, said
    if exit_code:
        _judge_error(verb, document)
    else:
        assert "code" not in document, said
    return document


def _judge_error(verb: str, error: Json) -> None:
    code, msg = error["code"], error["msg"]
    assert set(error) <= {"cniVersion", "code", "msg", "details"}, error
    assert type(code) is int, error
    assert code in CODES.get(verb, ANYBODY), error
    assert isinstance(msg, str), error
    assert msg.strip(), error
    assert not any(unicodedata.category(character) == "Cc" for character in msg), f"more than a sentence: {msg[:600]!a}"
    assert "Traceback" not in json.dumps(error), error
    assert not msg.startswith("unexpected "), f"the engine's last resort was needed: {error}"


def strict(text: bytes | str) -> Any:  # noqa: ANN401 -- any JSON value
    """Read strict JSON, without Python's NaN and Infinity."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def first_mistake(environ: Mapping[str, str], stdin: bytes) -> int | None:
    """Return the code of the first mistake in the order of the Go library; None when it is later than the version."""
    verb = environ.get("CNI_COMMAND", "")
    if _environment_is_wrong(verb, environ):
        return 4
    if verb == "VERSION":
        return None
    try:
        conf = strict(stdin.decode()) if len(stdin) <= _INPUT_BYTES else ()
    except (ValueError, RecursionError):
        return 6
    return _first_mistake_in(verb, {} if conf is None else conf)


def _environment_is_wrong(verb: str, environ: Mapping[str, str]) -> bool:
    values = {name: environ.get(name, "") for name, verbs in _NEEDS.items() if verb in verbs}
    if not all(values.values()):
        return True
    if not (is_utf8(values.get("CNI_NETNS", "")) and is_utf8(values.get("CNI_IFNAME", ""))):
        return True  # ours, not the library's: no store and no result can hold other bytes
    if verb == "ADD" and not _can_be_made(values["CNI_IFNAME"]):
        return True  # the same
    return not (_is_name(values.get("CNI_CONTAINERID", "a")) and _is_ifname(values.get("CNI_IFNAME", "a")))


def is_utf8(value: str) -> bool:
    """Whether a variable's bytes were UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _is_name(value: str) -> bool:
    return set(value) <= _NAME | set("_.-") and value[:1] in _NAME


def _is_ifname(value: str) -> bool:
    if value in {".", ".."} or len(value.encode("utf-8", "surrogateescape")) > 15:
        return False
    return not any(c in "/:\t\n\v\f\r\x85" or unicodedata.category(c).startswith("Z") for c in value)


def _can_be_made(ifname: str) -> bool:
    """Whether the kernel makes an interface of exactly this name."""
    return "%" not in ifname and ifname not in {"lo", "all", "default"} and b"\xa0" not in ifname.encode()


def _first_mistake_in(verb: str, conf: object) -> int | None:
    if not isinstance(conf, dict):
        return 6
    lowered = {key.lower(): value for key, value in conf.items()}
    name, version = lowered.get("name"), lowered.get("cniversion")
    if not isinstance(version, str | None) or not isinstance(name, str | None):
        return 6
    if not name or not _is_name(name):
        return 7
    if verb not in VERBS:
        return 4
    version = version or VERSIONS[0]
    known = version in VERSIONS and VERSIONS.index(version) >= VERSIONS.index(_SINCE.get(verb, VERSIONS[0]))
    return None if known else 1
