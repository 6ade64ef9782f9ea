"""How the fuzz target changes a case: variables, values deep inside the JSON, its keys, and sometimes plain bytes.

libFuzzer alone would spend its time on documents that do not parse.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from fuzz.cases import Case
from fuzz.oracle import VERBS, VERSIONS

Bytes = Callable[[bytes, int], bytes]
Place = tuple[Any, Any]  # a list or an object, and an index or key in it

VARIABLES = {
    "CNI_COMMAND": [*VERBS, *VERBS, "HUGO", ""],
    "CNI_CONTAINERID": ["c0ffee", "a" * 300, "", "-x", "a\n"],
    "CNI_NETNS": ["@POD@", "@POD@", "/proc/self/ns/net", "/nowhere", "/dev/null", "/etc/passwd", ""],
    "CNI_IFNAME": ["eth0", "net1", "lo", "all", "%d", "e\x01", "\u00e9", "a/b", "", "x" * 16],
    "CNI_PATH": ["/opt/cni/bin", ""],
    "CNI_ARGS": ["IgnoreUnknown=1;X=1", "IP=10.80.0.9", "MAC=02:00:5e:00:53:01", "K8S_POD_NAME=p", "a=b", ";", ""],
    "CNI_NETNS_OVERRIDE": ["1", "true", "no"],
}
WORDS = [
    *("10.80.0.0/12", "10.80.0.7", "2001:db8:0:1:1::/80", "2001:db8:0:1:1::7", "0.0.0.0/0", "::/0", "fe80::1%eth0"),
    *("02:00:5e:00:53:01", "auto", "closed", "open", "drop", "ipv4", "hash", "mac", "true", "@POD@", "@STATE@", "eth0"),
    *("/proc/nowhere", "/dev/null", "/etc/passwd/x", "\ud800", "a\nb", "%", "-", "", *VERSIONS),
]
NUMBERS = [0, 1, -1, 5, 68, 1280, 1500, 65535, 65536, 2**31, 2**32, 2**64, 10**40, 0.5, 1e300, True, False]
SHAPES: list[Callable[[Any], Any]] = [
    lambda value: [value],
    lambda value: [value, value],
    lambda value: {"a": value},
    lambda _: [],
    lambda _: {},
    lambda _: None,
]
ABRUPT = [b"1e999", b"NaN", b"9" * 5000, b"[" * 2000, b'{"a":' * 800, b"\xff", b'"\\ud800"', b"null"]


def mutate(data: bytes, seed: int, bytewise: Bytes) -> bytes:
    """Return another case near this one; the same seed gives the same, as far as `bytewise` does."""
    rng, case = Random(seed), Case.unpack(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        case = rng.choice(_STEPS)(case, rng, bytewise)
    return case.pack()


def _variable(case: Case, rng: Random, bytewise: Bytes) -> Case:
    name = rng.choice(list(VARIABLES))
    environ = dict(case.environ)
    how = rng.random()
    if how < 0.1:
        environ.pop(name, None)
    elif how < 0.3:
        raw = environ.get(name, "").encode("utf-8", "surrogateescape")
        environ[name] = bytewise(raw, 60).decode("utf-8", "surrogateescape")
    else:
        environ[name] = rng.choice(VARIABLES[name])
    return replace(case, environ=environ)


def _value(case: Case, rng: Random, bytewise: Bytes) -> Case:
    """Replace, reshape, move or remove one value of the document."""
    try:
        document = json.loads(case.stdin)
    except (ValueError, RecursionError):
        return _bytes(case, rng, bytewise)
    if places := list(_places(document)):
        holder, where = rng.choice(places)
        how = rng.random()
        if how < 0.1:
            del holder[where]
        elif how < 0.2 and isinstance(holder, dict):
            key = rng.choice([where.upper(), where.title(), "unknown", *(str(other) for _, other in places)])
            holder[key] = holder.pop(where)
        else:
            holder[where] = _other(holder[where], rng, bytewise)
    return replace(case, stdin=json.dumps(document).encode())


def _places(value: Any) -> list[Place]:  # noqa: ANN401 -- any JSON value
    """Return all the places of a document, without recursion: it may be deep."""
    found: list[Place] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        found.extend((holder, key) for key in keys)
        waiting.extend(holder[key] for key in keys)
    return found


def _other(value: object, rng: Random, bytewise: Bytes) -> Any:  # noqa: ANN401 -- any JSON value
    if isinstance(value, str) and rng.random() < 0.4:
        return bytewise(value.encode("utf-8", "replace"), 80).decode("utf-8", "replace")
    if rng.random() < 0.3:
        return rng.choice(SHAPES)(value)
    return rng.choice([rng.choice(WORDS), rng.choice(NUMBERS)])


def _bytes(case: Case, rng: Random, bytewise: Bytes) -> Case:
    """Change the bytes, or put something abrupt in the place of a value."""
    if rng.random() < 0.5:
        return replace(case, stdin=bytewise(case.stdin, len(case.stdin) + 64))
    before, colon, after = case.stdin.rpartition(b":") if rng.random() < 0.5 else case.stdin.partition(b":")
    return replace(case, stdin=before + colon + rng.choice(ABRUPT) + after[after.find(b",") :])


_STEPS = [_variable, _value, _value, _value, _value, _value, _value, _bytes]
