"""Whatever a runtime hands over: one error document with the right code, and nothing is made before it is judged.

The verdicts come from `fuzz.oracle`, which knows the specification and not the plugin.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import inputs, oracle
from profiles import examples
from slash80 import engine
from unit.builders import conf, environ

Json = dict[str, Any]

# No sandbox is ever found, so an ADD or CHECK that is otherwise right ends there.
NOWHERE = inputs.TEXT.map(lambda text: f"/nowhere/{text}")
NOWHERE_READABLE = NOWHERE.filter(oracle.is_utf8)
DEEP = [100, 400, 700, *range(900, 1000, 7), 1000, 100_000]
LARGEST = 4 << 20


@dataclass(frozen=True)
class Judge:
    """Calls the engine on a state directory that must never be created, and has the answer judged."""

    state_dir: Path

    def conf(self, **changes: Any) -> Json:  # noqa: ANN401 -- any JSON value
        """Return a good configuration with this state directory and changed keys."""
        return conf(**{"cniVersion": "1.1.0", "stateDir": str(self.state_dir), **changes})

    def raw(self, words: str) -> bytes:
        """Return a good configuration with further keys as they are written."""
        return f"{json.dumps(self.conf())[:-1]}, {words}}}".encode()

    def code(self, variables: Mapping[str, str], stdin: Json | bytes) -> int:
        """Return the code of a refusal, 0 for a success; in either case nothing was created."""
        raw = stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode()
        stdout = io.BytesIO()
        exit_code = engine.run(variables, io.BytesIO(raw), stdout)
        error = oracle.judge(variables.get("CNI_COMMAND", ""), exit_code, stdout.getvalue())
        assert not self.state_dir.exists()
        return int(error["code"]) if exit_code else 0


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """A judge for this module."""
    return Judge(tmp_path_factory.mktemp("bad_input") / "state")


def adding(**changes: str | None) -> dict[str, str]:
    """Return the environment of an ADD whose sandbox does not exist."""
    return environ("ADD", **{"NETNS": "/nowhere/at/all", **changes})


@settings(max_examples=examples(100))
@given(data=st.data())
def test_environment_is_validated_like_the_go_library(judge: Judge, data: st.DataObject) -> None:
    """Variables are checked before standard input, malformed and missing ones are code 4, and nothing is created."""
    variables = data.draw(inputs.environments(inputs.COMMANDS, NOWHERE | st.just("")))
    for broken in (b"{", b'{"cniVersion": "1.1.0"}'):
        expected = oracle.first_mistake(variables, broken)

        assert judge.code(variables, broken) == (expected or 0)


@settings(max_examples=examples(250))
@given(data=st.data())
def test_standard_input_is_validated_like_the_go_library(judge: Judge, data: st.DataObject) -> None:
    """The first mistake in the library's order is reported; valid input fails at the configuration or the sandbox."""
    variables = environ(data.draw(st.sampled_from(["ADD", "CHECK"])), NETNS=data.draw(NOWHERE_READABLE), ARGS="")
    stdin = data.draw(inputs.documents(judge.conf()))
    expected = oracle.first_mistake(variables, stdin)
    found = judge.code(variables, stdin)

    assert found in ({2, 6, 7, 999} if expected is None else {expected})


@settings(max_examples=examples(75))
@given(data=st.data())
@pytest.mark.parametrize("verb", ["GC", "STATUS", "DEL", "HUGO"])
def test_every_verb_validates_in_the_same_order(judge: Judge, verb: str, data: st.DataObject) -> None:
    """An invalid document is refused alike for every verb, before its keys are read."""
    variables = environ(verb, NETNS="")
    stdin = data.draw(inputs.documents(judge.conf()).filter(lambda raw: oracle.first_mistake(variables, raw)))

    assert judge.code(variables, stdin) == oracle.first_mistake(variables, stdin)


@given(data=st.data())
@pytest.mark.parametrize("path", inputs.KEYS, ids=lambda path: ".".join(map(str, path)))
def test_value_of_the_wrong_type_is_refused(judge: Judge, path: inputs.Path, data: st.DataObject) -> None:
    """A value of the wrong type is code 6 or 7 before anything is created, in any case of the key."""
    kind, code = inputs.KEYS[path]
    document = inputs.put(judge.conf(), path, data.draw(inputs.WRONG[kind]))
    if data.draw(st.booleans()):
        inputs.rename(document, str(path[0]), data.draw(inputs.recased(str(path[0]))))

    assert judge.code(adding(), document) == code


@given(value=inputs.VALUES, name=st.sampled_from(["ipv4", "ipv6", "firewall", "routes"]))
def test_unknown_key_in_a_section_is_code_2(judge: Judge, name: str, value: object) -> None:
    """An unknown key inside slash80's objects is code 2 unless it is null; one beside them is left to other plugins."""
    inner: Any = {**judge.conf().get(name, {}), "unknown": value}
    document = judge.conf(**{name: [{"dst": "10.9.0.0/16", **inner}] if name == "routes" else inner})

    assert judge.code(adding(), document) == (999 if value is None else 2)
    assert judge.code(adding(), judge.conf(unknown=value)) == 999


def arguments_are_wrong(text: str) -> bool:
    """Judge CNI_ARGS as the Go library does; the empty key, which no runtime sends, is left to the plugin."""
    pairs = [segment.split("=") for segment in text.split(";")] if text else []
    if any(len(pair) != 2 for pair in pairs) or not oracle.is_utf8(text):
        return True
    named = {pair[0]: pair[1] for pair in pairs}
    ignore = named.pop("IgnoreUnknown", "0").lower()
    if ignore not in {"0", "1", "true", "false"}:
        return True
    return ignore in {"0", "false"} and any(key not in {"IP", "MAC", "K8S_POD_NAME"} for key in named)


@settings(max_examples=examples(125))
@given(text=inputs.ARGUMENTS.filter(lambda text: not any(part.startswith("=") for part in text.split(";"))))
def test_arguments_are_validated_like_the_go_library(judge: Judge, text: str) -> None:
    """A malformed segment, an unknown key or a bad IgnoreUnknown is code 4; an invalid request is code 6 or 7."""
    found = judge.code(adding(ARGS=text), judge.conf())

    assert found == 4 if arguments_are_wrong(text) else found in {6, 7, 999}


@settings(max_examples=examples(125))
@given(pod_options=inputs.objects(inputs.VALUES), where=st.sampled_from(["runtimeConfig", "args", "prevResult"]))
def test_arguments_and_prevresult_are_refused_or_pass(judge: Judge, pod_options: Json, where: str) -> None:
    """Any object there is refused as unsupported, undecodable or unusable, or the call continues to the sandbox."""
    for verb in ("ADD", "CHECK"):
        document = judge.conf(**{where: {"cni": pod_options, **pod_options} if where == "args" else pod_options})

        assert judge.code(environ(verb, NETNS="/nowhere/at/all"), document) in {2, 6, 7, 999}


@given(value=inputs.VALUES.filter(lambda value: value is not None and not isinstance(value, list)))
@pytest.mark.parametrize("key", ["cni.dev/valid-attachments", "cni.dev/attachments"])
def test_gc_refuses_anything_but_a_list(judge: Judge, key: str, value: object) -> None:
    """A value that is not a list must not pass for an empty one, which would remove everything."""
    assert judge.code(environ("GC"), judge.conf(**{key: value})) == 6


def nested(depth: int) -> Iterator[str]:
    """Yield deep values for the places where the plugin looks into what it gets."""
    lists, maps = "[" * depth + "]" * depth, '{"a": ' * depth + "1" + "}" * depth
    for deep in (lists, maps):
        yield from (f'"{key}": {deep}' for key in ("unknown", "routes", "ipam", "runtimeConfig", "prevResult", "dns"))
        yield from (f'"runtimeConfig": {{"{key}": {deep}}}' for key in ("bandwidth", "ips", "mac", "dns"))
        yield f'"prevResult": {{"interfaces": [{deep}]}}'
        yield f'"cniVersion": {deep}'
        yield f'"name": {deep}'


@pytest.mark.parametrize("depth", DEEP)
def test_deeply_nested_document_is_refused_or_read(judge: Judge, depth: int) -> None:
    """At any depth a document is either refused or read."""
    for words in nested(depth):
        assert judge.code(adding(), judge.raw(words)) in {2, 6, 7, 999}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_nan_and_infinity_are_refused(judge: Judge, number: str) -> None:
    """Python reads and writes NaN and Infinity, and a runtime could not read the result."""
    assert judge.code(adding(), judge.raw(f'"mtu": {number}')) in {6, 7}
    assert judge.code(adding(), judge.raw(f'"prevResult": {{"x": {number}}}')) == 6


@pytest.mark.parametrize("digits", [20, 4300, 4301, 100_000])
@pytest.mark.parametrize("key", ["mtu", "ipv4", "lockTimeout", "routes", "name", "runtimeConfig"])
def test_huge_integers_are_refused(judge: Judge, key: str, digits: int) -> None:
    """Integers of any length are refused where a number is expected."""
    assert judge.code(adding(), judge.raw(f'"{key}": {"9" * digits}')) in {6, 7}


def test_last_of_a_repeated_key_wins(judge: Judge) -> None:
    """At the top and inside objects the last value of a repeated key is used, as in Go."""
    assert judge.code(adding(), judge.raw('"mtu": 5, "mtu": 1500')) == 999
    assert judge.code(adding(), judge.raw('"mtu": 1500, "mtu": 5')) == 7
    assert judge.code(adding(), judge.raw('"firewall": {"mode": "closed", "mode": "ajar"}')) == 7


@pytest.mark.parametrize(
    ("verbs", "path", "code"),
    [
        ("ADD DEL STATUS GC", ("name",), 7),
        ("ADD DEL STATUS GC", ("cniVersion",), 1),
        ("ADD DEL STATUS GC", ("stateDir",), 7),
        ("ADD STATUS", ("ipv6", "suffix"), 7),
        ("ADD STATUS", ("ipv6", "prefixes"), 7),
        ("ADD", ("runtimeConfig", "io.kubernetes.cri.pod-annotations", "slash80.io/ipv4"), 7),
        ("ADD", ("runtimeConfig", "io.kubernetes.cri.pod-annotations", "slash80.io/expose"), 7),
    ],
)
def test_lone_surrogates_are_refused(judge: Judge, verbs: str, path: inputs.Path, code: int) -> None:
    """A name, path or word with half a character is refused where it is read, in an ASCII message."""
    document = inputs.put(judge.conf(), path, "/x\ud800")
    for verb in verbs.split():
        assert judge.code(environ(verb, NETNS="/nowhere/at/all"), document) == code


@pytest.mark.parametrize("name", ["CONTAINERID", "IFNAME", "NETNS", "ARGS"])
def test_environment_that_is_not_utf8_is_code_4(judge: Judge, name: str) -> None:
    """Neither kernel names nor rows of the store can hold such bytes: code 4, before anything is created."""
    value = "K8S_POD_NAME=p\udcff" if name == "ARGS" else "e\udcff"

    assert judge.code(adding(**{name: value}), judge.conf()) == 4


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("ipv6", "prefixes"), ["2001:db8:0:1:1::%x/80"]),
        (("ipv6", "exclude"), ["2001:db8:0:1:1::7%x"]),
        (("firewall", "trusted"), ["2001:db8::%}\n/48"]),
        (("routes",), [{"dst": "2001:db8::%x/48"}]),
    ],
)
def test_prefix_with_a_zone_is_code_7(judge: Judge, path: inputs.Path, value: object) -> None:
    """Python accepts a zone in an address, which would end up in nft's text."""
    assert judge.code(adding(), inputs.put(judge.conf(), path, value)) == 7


class _Endless(io.RawIOBase):
    """A standard input that never ends; it counts what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return as much as is asked for, which must be bounded."""
        assert 0 < size
        self.taken += size
        return b" " * size


def test_endless_standard_input_is_code_6(judge: Judge) -> None:
    """No more than the limit is read of it."""
    endless, stdout = _Endless(), io.BytesIO()

    exit_code = engine.run(adding(), endless, stdout)  # type: ignore[arg-type]

    assert oracle.judge("ADD", exit_code, stdout.getvalue())["code"] == 6
    assert endless.taken <= LARGEST + 1


def test_document_of_ten_megabytes_is_refused(judge: Judge) -> None:
    """It is refused for its size, valid or not."""
    for stdin in (b" " * 10_000_000, json.dumps(judge.conf(unknown="x" * 10_000_000)).encode()):
        assert judge.code(adding(), stdin) == 6


def test_list_of_a_hundred_thousand_is_code_6(judge: Judge) -> None:
    """No network needs such a list, and what a network has is kept in memory."""
    for many in (
        {"routes": [{"dst": "10.9.0.0/16"}] * 100_000},
        {"firewall": {"trusted": ["2001:db8::/32"] * 100_000}},
    ):
        assert judge.code(adding(), judge.conf(**many)) == 6


def test_error_about_a_large_value_stays_small(judge: Judge) -> None:
    """An answer to the agent's launcher has at most 4 MiB, so a large value is shown in part."""
    for key in ("name", "cniVersion", "stateDir"):
        document, stdout = judge.conf(**{key: "\u00e9" * (LARGEST // 3)}), io.BytesIO()

        engine.run(adding(), io.BytesIO(json.dumps(document, ensure_ascii=False).encode()), stdout)

        assert len(stdout.getvalue()) < LARGEST
