"""Errors: each kind has its code, and its document is the specification's."""

import inspect

import pytest

from slash80 import errors
from slash80.errors import CniError, Failure, TryAgain, shown

CODES = {
    "IncompatibleVersion": 1,
    "UnsupportedField": 2,
    "BadEnvironment": 4,
    "IoFailure": 5,
    "Undecodable": 6,
    "InvalidConfig": 7,
    "BadNetns": 8,
    "TryAgain": 11,
    "NotReady": 50,
    "Degraded": 51,
    "NoFreeAddress": 100,
    "FirewallUnusable": 101,
    "BelongsToAnother": 102,
    "Failure": 999,
}


def test_every_error_class_has_its_cni_code() -> None:
    """The classes and their codes are those of the interface, and every class has one."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, CniError)]

    assert CODES == {kind.__name__: kind.__dict__["code"] for kind in kinds if kind is not CniError}


def test_error_tree_in_the_docstring_is_complete() -> None:
    """The module's docstring draws every class with its code."""
    drawn = " ".join((errors.__doc__ or "").split())

    assert [] == [name for name, code in CODES.items() if f"{name} {code}" not in drawn]


def test_error_document_has_version_code_and_message() -> None:
    """Without details there is no such key."""
    assert {"cniVersion": "0.4.0", "code": 11, "msg": "busy"} == TryAgain("busy").document("0.4.0")


@pytest.mark.parametrize(("details", "told"), [("", "a note"), ("more", "more; a note")])
def test_notes_of_an_error_become_its_details(details: str, told: str) -> None:
    """What failed during a rollback is added to the error and reaches the runtime."""
    error = Failure("broken", details)
    error.add_note("a note")

    assert told == error.document("1.0.0")["details"]


def test_a_large_value_is_shown_by_its_beginning() -> None:
    """A document of megabytes within a sentence costs no more than what is shown of it."""
    value = [{"address": "x"}] * 1_000_000
    assert '[{"address": "x"}, {"address"' == shown(value)[:29]
    assert 103 == len(shown(value)) == len(shown("x" * 1_000_000))
