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

HEAVY = ("pydantic", "pyroute2", "sqlite3", "asyncio", "netaddr", "subprocess", "slash80.verbs.verbs")
# In this order: each has all mistakes of those below it, and the topmost is told.
ORDER: dict[str, tuple[dict[str, str], bytes, int]] = {
    "malformed variable": (environ(IFNAME="a/b", PATH=None), b"{", 4),
    "missing variable": (environ(PATH=None), b"{", 4),
    "no JSON": (environ("HUGO"), b"{", 6),
    "no object": (environ("HUGO"), b"[]", 6),
    "version that is no string": (environ("HUGO"), b'{"cniVersion": 1}', 6),
    "null is an object without a name": (environ("HUGO"), b"null", 7),
    "no name": (environ("HUGO"), b'{"cniVersion": "9.9.9"}', 7),
    "unknown verb": (environ("HUGO"), b'{"cniVersion": "9.9.9", "name": "net"}', 4),
    "unknown version": (environ(), b'{"cniVersion": "9.9.9", "name": "net", "ipam": {"type": "x"}}', 1),
    "configuration": (environ(), b'{"cniVersion": "1.1.0", "name": "net"}', 7),
}


@pytest.mark.parametrize(("variables", "stdin", "code"), ORDER.values(), ids=ORDER.keys())
def test_mistakes_are_told_in_the_order_of_the_go_library(variables: dict[str, str], stdin: bytes, code: int) -> None:
    """Of several mistakes the one that the Go library finds first is told, with exit code 1."""
    said = call(variables, stdin)

    assert (1, code) == (said.exit_code, said.code)


def test_a_bad_environment_is_told_without_reading_standard_input() -> None:
    """Nobody waits for a runtime that never writes when the answer is clear already."""
    assert 4 == call(environ(CONTAINERID=None), None).code


@pytest.mark.parametrize("version", SUPPORTED)
def test_errors_are_written_in_the_version_of_the_configuration(version: str) -> None:
    """The runtime that wrote the configuration reads the error."""
    said = call(environ(), conf(cniVersion=version, mtu=5))

    assert (version, 7) == (said.document["cniVersion"], said.code)


def test_errors_before_the_version_is_known_are_written_in_the_newest() -> None:
    """Without a configuration there is no version to follow."""
    assert "1.1.0" == call(environ(IFNAME=None), b"").document["cniVersion"]


def test_a_configuration_without_version_is_of_the_oldest() -> None:
    """An absent or empty cniVersion means 0.1.0, not the latest."""
    assert [
        "0.1.0",
        "0.1.0",
    ] == [call(environ(), conf(cniVersion=version, mtu=5)).document["cniVersion"] for version in (None, "")]


@pytest.mark.parametrize(
    ("verb", "version"),
    [("CHECK", "0.3.1"), ("CHECK", "0.1.0"), ("STATUS", "1.0.0"), ("GC", "1.0.0"), ("GC", "0.4.0")],
)
def test_a_verb_is_refused_in_versions_that_do_not_have_it(verb: str, version: str) -> None:
    """CHECK came with 0.4.0, STATUS and GC with 1.1.0; before that they are code 1."""
    assert 1 == call(environ(verb), conf(cniVersion=version)).code


@pytest.mark.parametrize("version", ["1.1", "1.1.1", "v1.0.0", "1.0.0 ", "0.0.0"])
def test_a_version_must_be_exactly_a_supported_one(version: str) -> None:
    """Nothing is rounded: what is not in the list is code 1, and the message says the version."""
    said = call(environ(), conf(cniVersion=version))

    assert (1, True) == (said.code, repr(version) in said.document["msg"])


def test_version_needs_nothing_and_lists_all_versions() -> None:
    """VERSION works without any other variable and does not read standard input."""
    said = call({"CNI_COMMAND": "VERSION"}, None)

    versions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    assert (0, {"cniVersion": "1.1.0", "supportedVersions": versions}) == (said.exit_code, said.document)


def test_bytes_that_are_no_utf8_come_out_as_ascii() -> None:
    """An environment may hold any bytes, and the document about them is ASCII still."""
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
def test_whatever_happens_the_runtime_gets_one_document(error: Exception, code: int) -> None:
    """Standard input that cannot be read is code 5, and a fault of ours is code 999, told with its kind."""
    said = call(environ(), _Broken(error))

    assert (1, code) == (said.exit_code, said.code)
    assert str(error.args[-1]) in said.document["msg"]


def test_too_little_memory_is_no_fault_to_report() -> None:
    """It is the node's, or a limit of its runtime's."""
    said = call(environ(), _Broken(MemoryError()))

    assert (999, True) == (said.code, "not enough memory" in said.document["msg"])


def test_a_missing_sandbox_is_told_after_the_configuration_was_judged() -> None:
    """An ADD for a path that is not there is code 999, and its message names the path."""
    said = call(environ(NETNS="/nowhere/at/all"), conf())

    assert (999, True) == (said.code, "/nowhere/at/all" in said.document["msg"])


@pytest.mark.parametrize("variables", [{}, {"CNI_COMMAND": "VERSION"}, {"CNI_COMMAND": "ADD"}])
def test_neither_version_nor_an_error_pays_for_the_rooms(variables: dict[str, str]) -> None:
    """Importing the engine, VERSION and an error of the environment load none of the expensive modules."""
    script = (
        "import io, sys, json; from slash80 import engine\n"
        f"{variables!r} and engine.run({variables!r}, io.BytesIO(), io.BytesIO())\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    assert [] == json.loads(programs.run([sys.executable, "-c", script]))


def test_an_answer_that_no_launcher_takes_is_an_error_instead() -> None:
    """Before anybody has heard of it, so that what was made is taken back; the engine by itself says the same."""
    heard: list[tuple[int, bytes]] = []
    caller = engine._Caller(lambda code, text: heard.append((code, text)))
    with pytest.raises(InvalidConfig, match="'prevResult' makes the answer"):
        caller.tell(0, {"x": "\u00fc" * (ANSWER_BYTES // 6)})

    assert ([], False) == (heard, caller.told)
