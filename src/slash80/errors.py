"""The CNI error and its kinds, grouped by who acts on them; each kind owns the code that runtimes see.

    CniError
    |-- the author of the configuration, or the caller
    |     IncompatibleVersion 1, UnsupportedField 2, BadEnvironment 4, Undecodable 6, InvalidConfig 7, BadNetns 8
    |-- the node's operator
    |     IoFailure 5, NotReady 50, Degraded 51, NoFreeAddress 100, FirewallUnusable 101, BelongsToAnother 102
    |-- the caller, by trying again: TryAgain 11
    `-- everything else: Failure 999

Source: CNI specification 1.1.0, section 2.3; codes from 100 on are this plugin's own.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import ClassVar

_SHOWN = 100


def shown(value: object) -> str:
    """Show a value from outside within a sentence: in ASCII, on one line, and cut when it is long."""
    if isinstance(value, str):
        text = ascii(value[: _SHOWN + 1])
    else:
        # piece by piece, since a whole document of megabytes takes longer than all that is done with it
        text = "".join(islice(json.JSONEncoder(default=str).iterencode(value), _SHOWN + 1))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _on_one_line(text: str) -> str:
    """Escape what would break a sentence, whichever value brought it, and cut a monster in the middle."""
    short = text if len(text) <= 2000 else f"{text[:1000]} ... {text[-900:]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short)


class CniError(Exception):
    """An error that a runtime is told: a sentence with the value and the next step."""

    code: ClassVar[int] = 999

    def __init__(self, msg: str, details: str = "") -> None:
        """Keep the sentence and, for people who look closer, the details."""
        super().__init__(msg)
        self.msg = msg
        self.details = details

    def document(self, version: str) -> dict[str, object]:
        """Return the error object of the specification, in the configuration's version."""
        document: dict[str, object] = {"cniVersion": version, "code": self.code, "msg": _on_one_line(self.msg)}
        details = "; ".join(filter(None, [self.details, *getattr(self, "__notes__", [])]))
        return document | {"details": details} if details else document


class IncompatibleVersion(CniError):
    """The configuration's version, or the verb in that version, is not supported."""

    code = 1


class UnsupportedField(CniError):
    """The configuration asks for something that this plugin does not do."""

    code = 2


class BadEnvironment(CniError):
    """An environment variable is missing or malformed."""

    code = 4


class IoFailure(CniError):
    """Standard input or the state directory cannot be read or written."""

    code = 5


class Undecodable(CniError):
    """Standard input, or a part of it, is not what the specification says."""

    code = 6


class InvalidConfig(CniError):
    """A key of the configuration has a value that cannot be used."""

    code = 7


class BadNetns(CniError):
    """CNI_NETNS is the host's own network namespace, or none at all."""

    code = 8


class TryAgain(CniError):
    """Something is busy that will soon be free."""

    code = 11


class NotReady(CniError):
    """STATUS: no pod can be attached now."""

    code = 50


class Degraded(CniError):
    """STATUS: no pod can be attached now, and those that run may be affected."""

    code = 51


class NoFreeAddress(CniError):
    """Every address of a family is allocated or reserved."""

    code = 100


class FirewallUnusable(CniError):
    """The base firewall cannot be put in place, so no pod may be attached."""

    code = 101


class BelongsToAnother(CniError):
    """An address, route or link that was asked for belongs to another program."""

    code = 102


class Failure(CniError):
    """Anything else that went wrong."""

    code = 999
