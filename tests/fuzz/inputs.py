"""Strategies of hypothesis for what a runtime may hand over: environments, JSON, damaged configurations.

`KEYS` names every key that the plugin reads, with the kind of value it wants and the code of any other kind.
"""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from fuzz.oracle import VERBS, VERSIONS

Json = dict[str, Any]
Path = tuple[str | int, ...]

# A byte of the environment that is not UTF-8 comes to Python as one of these; a NUL cannot be in an environment.
# \x1c to \x1f are white space to Python and not to Go.
_UNDECODABLE = st.integers(0xDC80, 0xDCFF).map(chr)
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1c\x1d\x1e\x1f") | _UNDECODABLE, max_size=40
)
LONG = st.sampled_from(["a" * 16, "é" * 8, "x" * 300, "y" * 70000, "/z" * 3000])

KEYS: Mapping[Path, tuple[str, int]] = {
    ("ipv6",): ("object", 7),
    ("ipv6", "prefixes"): ("list", 7),
    ("ipv6", "suffix"): ("word", 7),
    ("ipv6", "exclude"): ("list", 7),
    ("ipv6", "masquerade"): ("bool", 7),
    ("ipv4",): ("object", 7),
    ("ipv4", "prefixes"): ("list", 7),
    ("ipv4", "exclude"): ("list", 7),
    ("ipv4", "masquerade"): ("bool", 7),
    ("ipv4", "noMasquerade"): ("list", 7),
    ("ipv4", "cooldown"): ("number", 7),
    ("ipv4", "reserveEdges"): ("bool", 7),
    ("primaryFamily",): ("word", 7),
    ("mtu",): ("number", 7),
    ("defaultRoute",): ("bool", 7),
    ("routes",): ("list", 7),
    ("routes", 0): ("object", 7),
    ("routes", 0, "dst"): ("word", 7),
    ("routes", 0, "mtu"): ("number", 7),
    ("routes", 0, "advmss"): ("number", 7),
    ("routes", 0, "priority"): ("number", 7),
    ("firewall",): ("object", 7),
    ("firewall", "mode"): ("word", 7),
    ("firewall", "trusted"): ("list", 7),
    ("firewall", "clusterPrefixes"): ("list", 7),
    ("firewall", "nodePrefixes"): ("list", 7),
    ("firewall", "echo"): ("word", 7),
    ("firewall", "echoRate"): ("number", 7),
    ("firewall", "connectionRate"): ("number", 7),
    ("firewall", "metadata"): ("list", 7),
    ("firewall", "node"): ("list", 7),
    ("dns",): ("object", 7),
    ("dns", "nameservers"): ("list", 7),
    ("dns", "domain"): ("word", 7),
    ("stateDir",): ("word", 7),
    ("lockTimeout",): ("seconds", 7),
    ("source",): ("word", 7),
    ("runtimeConfig",): ("object", 6),
    ("runtimeConfig", "ips"): ("list", 6),
    ("runtimeConfig", "mac"): ("word", 6),
    ("runtimeConfig", "dns"): ("object", 6),
    ("runtimeConfig", "dns", "servers"): ("list", 6),
    ("runtimeConfig", "io.kubernetes.cri.pod-annotations"): ("object", 6),
    ("runtimeConfig", "io.kubernetes.cri.pod-annotations", "slash80.io/ipv4"): ("word", 7),
    ("runtimeConfig", "io.kubernetes.cri.pod-annotations", "slash80.io/expose"): ("word", 7),
    ("args",): ("object", 6),
    ("args", "cni"): ("object", 6),
    ("args", "cni", "ips"): ("list", 6),
    ("args", "cni", "mac"): ("word", 6),
    ("prevResult",): ("object", 6),
    ("prevResult", "cniVersion"): ("word", 6),
    ("prevResult", "interfaces"): ("objects", 6),
    ("prevResult", "ips"): ("objects", 6),
    ("prevResult", "routes"): ("objects", 6),
}
_TRUE = st.sampled_from([1, -1, 1.5, 10**30])
WRONG: Mapping[str, st.SearchStrategy[Any]] = {
    "object": st.sampled_from([True, "x", [5], [{}]]) | _TRUE,
    "list": st.sampled_from([True, "x", {"a": 1}, [{"a": {}}], [[[]]], [5.5]]) | _TRUE,
    "objects": st.sampled_from([True, "x", {"a": 1}, [[[]]], [{}, 5.5]]) | _TRUE,
    "word": st.sampled_from([True, ["x"], {"a": "x"}]) | _TRUE,
    "number": st.sampled_from(["x", [1], {"a": 1}, -1, 1e300, 0.5, 10**30]),
    "seconds": st.sampled_from(["x", [1], {"a": 1}, -1, 0, 1e300, 10**30]),
    "bool": st.sampled_from(["perhaps", [True], {"a": True}, 2, -1, 0.5]),
}
_TOLD = [
    *(
        "10.80.1.0/24",
        "2001:db8:0:1:1::/80",
        "::/0",
        "0.0.0.0/0",
        "10.80.1.7",
        "10.80.1.9-10.80.1.3",
        "::ffff:10.0.0.1",
    ),
    *("fe80::1%eth0", "2001:db8::%x/64", "02:00:5e:00:53:01", "ff:ff:ff:ff:ff:ff", "tcp/443", "auto", "closed", "mac"),
    *("true", "1e9", "/proc/nowhere", "/dev/null", "\ud800", "\u0130", "NaN", " ", "-", "a\nb", *VERSIONS),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(_TOLD)
)
_NAMES = sorted({part for path in KEYS for part in path if isinstance(part, str)})


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Return objects whose keys are often those that the plugin reads."""
    return st.dictionaries(st.sampled_from(_NAMES) | TEXT, values, max_size=4)


VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | objects(inner), max_leaves=8)


_EVERYBODYS: list[Path] = [("cniVersion",), ("name",), ("type",), ("ipam",), ("unknown",)]


def recased(name: str) -> st.SearchStrategy[str]:
    """Return a key in another case, as Go programs may write it."""
    return st.sampled_from([name.upper(), name.lower(), name.title(), name.swapcase()])


# Names that the kernel expands, reserves, has already, or takes for white space.
SPECIAL_NAMES = ["eth%d", "%d", "%", "a%%d", "%s", "lo", "all", "default", "eth\u00e0"]


def environments(command: st.SearchStrategy[str], netns: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    """Return environments with good, bad, empty and missing variables."""
    return st.fixed_dictionaries(
        {"CNI_COMMAND": command, "CNI_NETNS": netns},
        optional={
            "CNI_CONTAINERID": st.just("c0ffee") | TEXT | LONG,
            "CNI_IFNAME": st.just("eth0")
            | TEXT
            | LONG
            | st.sampled_from([".", "..", "a/b", "a:b", "a b", "", *SPECIAL_NAMES]),
            "CNI_PATH": st.just("/opt/cni/bin") | TEXT | LONG,
            "CNI_ARGS": ARGUMENTS,
            "CNI_NETNS_OVERRIDE": TEXT,
            "PATH": TEXT,
        },
    )


COMMANDS = st.sampled_from([*VERBS, "add", "HUGO", ""]) | TEXT
SEGMENT = st.sampled_from(
    [
        *("IgnoreUnknown=1", "IgnoreUnknown=true", "IgnoreUnknown=0", "IgnoreUnknown=x", "IP=10.80.1.9", "IP=x", "IP="),
        *("MAC=02:00:5e:00:53:01", "MAC=x", "K8S_POD_NAME=p", "K8S_POD_NAME=\udcff", "UNKNOWN=1", "novalue", "a=b=c"),
        "",
    ]
)
ARGUMENTS = st.lists(SEGMENT | TEXT, max_size=4).map(";".join)


@st.composite
def damaged(draw: st.DrawFn, conf: Json) -> Json:
    """Return a configuration with up to three of its keys, or unknown ones, replaced, renamed or taken away."""
    new: Json = json.loads(json.dumps(conf))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_EVERYBODYS) | st.sampled_from([*KEYS]))
        what = draw(st.sampled_from(["value", "value", "wrong", "case", "gone"]))
        if what == "gone":
            new.pop(str(path[0]), None)
        elif what == "case":
            rename(new, str(path[0]), draw(recased(str(path[0]))))
        else:
            kind = KEYS.get(path, ("word", 0))[0]
            new = put(new, path, draw(WRONG[kind] if what == "wrong" else VALUES))
    return new


def rename(conf: Json, name: str, other: str) -> None:
    """Return a key another name, keeping its place."""
    items = [(other if key == name else key, value) for key, value in conf.items()]
    conf.clear()
    conf.update(items)


def put(conf: Any, path: Path, value: object) -> Any:  # noqa: ANN401 -- any JSON value
    """Return a copy with the value at the path; what is not there on the way is made."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        inner = conf[0] if isinstance(conf, list) and conf else {"dst": "10.99.0.0/16"}
        return [put(inner, rest, value)]
    known = conf if isinstance(conf, dict) else {}
    return {**known, step: put(known.get(step), rest, value)}


def documents(conf: Json) -> st.SearchStrategy[bytes]:
    """Return standard inputs: damaged configurations, whole or cut off, other JSON, and no JSON at all."""
    encoded = damaged(conf).map(lambda document: json.dumps(document).encode())
    cut = st.tuples(encoded, st.integers(0, 300)).map(lambda pair: pair[0][: pair[1]])
    other = VALUES.map(lambda value: json.dumps(value).encode())
    return encoded | encoded | cut | other | st.binary(max_size=60)
