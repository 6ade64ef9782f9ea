"""Errors: each kind has its code, and its document is the specification's."""

import inspect

import pytest

from slash80 import errors
from slash80.errors import CniError, Failure, TryAgain

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


def test_every_kind_has_the_code_that_runtimes_know() -> None:
    """The classes and their codes are those of the interface, and none is left without one of its own."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, CniError)]

    assert CODES == {kind.__name__: kind.__dict__["code"] for kind in kinds if kind is not CniError}


def test_no_kind_is_missing_from_the_drawn_tree() -> None:
    """The module's docstring draws every kind with its code."""
    drawn = " ".join((errors.__doc__ or "").split())

    assert [] == [name for name, code in CODES.items() if f"{name} {code}" not in drawn]


def test_an_error_document_has_version_code_and_message() -> None:
    """Without details there is no such key."""
    assert {"cniVersion": "0.4.0", "code": 11, "msg": "busy"} == TryAgain("busy").document("0.4.0")


@pytest.mark.parametrize(("details", "told"), [("", "a note"), ("more", "more; a note")])
def test_notes_are_told_as_details(details: str, told: str) -> None:
    """What went wrong while undoing is added to the error and reaches the runtime."""
    error = Failure("broken", details)
    error.add_note("a note")

    assert told == error.document("1.0.0")["details"]
