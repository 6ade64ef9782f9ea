"""The engine: one document on standard output, the Go library's order of judgement, and a small import budget."""

import io
import json
import sys

import pytest

from lab import programs
from slash80 import engine
from slash80.cni.versions import SUPPORTED
from slash80.errors import InvalidConfig
from slash80.ipc import ANSWER_BYTES
from unit.builders import call, conf, environ

HEAVY = ("cryptography", "pydantic", "pyroute2", "sqlite3", "asyncio", "netaddr", "subprocess", "slash80.verbs.verbs")
# In this order: each has all mistakes of those below it, and the topmost is told.
ORDER: dict[str, tuple[dict[str, str], bytes, int]] = {
    "malformed variable": (environ(IFNAME="a/b", PATH=None), b"{", 4),
    "missing variable": (environ(PATH=None), b"{", 4),
    "no JSON": (environ("HUGO"), b"{", 6),
    "no object": (environ("HUGO"), b"[]", 6),
    "version that is not a string": (environ("HUGO"), b'{"cniVersion": 1}', 6),
    "null is an object without a name": (environ("HUGO"), b"null", 7),
    "no name": (environ("HUGO"), b'{"cniVersion": "9.9.9"}', 7),
    "unknown verb": (environ("HUGO"), b'{"cniVersion": "9.9.9", "name": "net"}', 4),
    "unknown version": (environ(), b'{"cniVersion": "9.9.9", "name": "net", "ipam": {"type": "x"}}', 1),
    "configuration": (environ(), b'{"cniVersion": "1.1.0", "name": "net"}', 7),
}


@pytest.mark.parametrize(("variables", "stdin", "code"), ORDER.values(), ids=ORDER.keys())
def test_errors_come_in_the_order_of_the_go_library(variables: dict[str, str], stdin: bytes, code: int) -> None:
    """Of several mistakes the one that the Go library finds first is reported, with exit code 1."""
    said = call(variables, stdin)

    assert (1, code) == (said.exit_code, said.code)


def test_bad_environment_is_reported_without_reading_stdin() -> None:
    """The error does not wait for a runtime that never writes."""
    assert 4 == call(environ(CONTAINERID=None), None).code


@pytest.mark.parametrize("version", SUPPORTED)
def test_error_has_the_cni_version_of_the_configuration(version: str) -> None:
    """The runtime that wrote the configuration reads the error."""
    said = call(environ(), conf(cniVersion=version, mtu=5))

    assert (version, 7) == (said.document["cniVersion"], said.code)


def test_error_without_a_version_has_the_newest() -> None:
    """Without a configuration there is no version to follow."""
    assert "1.1.0" == call(environ(IFNAME=None), b"").document["cniVersion"]


def test_configuration_without_cni_version_is_0_1_0() -> None:
    """An absent or empty cniVersion means 0.1.0, not the latest."""
    assert [
        "0.1.0",
        "0.1.0",
    ] == [call(environ(), conf(cniVersion=version, mtu=5)).document["cniVersion"] for version in (None, "")]


@pytest.mark.parametrize(
    ("verb", "version"),
    [("CHECK", "0.3.1"), ("CHECK", "0.1.0"), ("STATUS", "1.0.0"), ("GC", "1.0.0"), ("GC", "0.4.0")],
)
def test_verb_is_refused_in_versions_without_it(verb: str, version: str) -> None:
    """CHECK came with 0.4.0, STATUS and GC with 1.1.0; before that they are code 1."""
    assert 1 == call(environ(verb), conf(cniVersion=version)).code


@pytest.mark.parametrize("version", ["1.1", "1.1.1", "v1.0.0", "1.0.0 ", "0.0.0"])
def test_cni_version_must_match_exactly(version: str) -> None:
    """No version is rounded: any other is code 1, and the message names it."""
    said = call(environ(), conf(cniVersion=version))

    assert (1, True) == (said.code, repr(version) in said.document["msg"])


def test_version_lists_all_supported_versions() -> None:
    """VERSION works without any other variable and does not read standard input."""
    said = call({"CNI_COMMAND": "VERSION"}, None)

    versions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    assert (0, {"cniVersion": "1.1.0", "supportedVersions": versions}) == (said.exit_code, said.document)


def test_environment_that_is_not_utf8_is_printed_as_ascii() -> None:
    """An environment may hold any bytes, and the document about them is still ASCII."""
    said = call(environ(IFNAME="\udcff" * 16), b"{}")

    assert (4, True) == (said.code, said.document["msg"].isascii())


class _Broken(io.BytesIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, size: int | None = -1, /) -> bytes:
        raise self._error


@pytest.mark.parametrize(
    ("error", "code"), [(OSError(5, "no"), 5), (TimeoutError("late"), 5), (ZeroDivisionError("bug"), 999)]
)
def test_every_failure_is_one_error_document(error: Exception, code: int) -> None:
    """Standard input that cannot be read is code 5, and a bug is code 999 with its type."""
    said = call(environ(), _Broken(error))

    assert (1, code) == (said.exit_code, said.code)
    assert str(error.args[-1]) in said.document["msg"]


def test_out_of_memory_is_not_reported_as_a_bug() -> None:
    """The memory is the node's, or limited by its runtime."""
    said = call(environ(), _Broken(MemoryError()))

    assert (999, True) == (said.code, "not enough memory" in said.document["msg"])


def test_missing_sandbox_is_reported_after_the_configuration() -> None:
    """An ADD for a path that does not exist is code 999, and its message names the path."""
    said = call(environ(NETNS="/nowhere/at/all"), conf())

    assert (999, True) == (said.code, "/nowhere/at/all" in said.document["msg"])


@pytest.mark.parametrize("variables", [{}, {"CNI_COMMAND": "VERSION"}, {"CNI_COMMAND": "ADD"}])
def test_version_and_errors_import_no_expensive_module(variables: dict[str, str]) -> None:
    """Importing the engine, VERSION and an error of the environment load none of the expensive modules."""
    script = (
        "import io, sys, json; from slash80 import engine\n"
        f"{variables!r} and engine.run({variables!r}, io.BytesIO(), io.BytesIO())\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    assert [] == json.loads(programs.run([sys.executable, "-c", script]))


def test_answer_above_the_limit_becomes_an_error() -> None:
    """It is refused before it is sent, so that the ADD is rolled back; the engine alone refuses it too."""
    heard: list[tuple[int, bytes]] = []
    caller = engine._Caller(lambda code, text: heard.append((code, text)))
    with pytest.raises(InvalidConfig, match="'prevResult' makes the answer"):
        caller.tell(0, {"x": "\u00fc" * (ANSWER_BYTES // 6)})

    assert ([], False) == (heard, caller.told)
