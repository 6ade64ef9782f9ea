"""Which connections get the bit, of those that connection tracking has."""

import errno
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from unittest.mock import patch

import pytest

from slash80.addressing.family import Address
from slash80.errors import FirewallUnusable
from slash80.firewall.policies import revoke as module
from slash80.firewall.policies.revoke import revoke
from slash80.netlink.codec import Message, Response, Step, attribute, attributes
from slash80.policy.model import Flow
from unit.kernels import Kernel

POD, PEER = ip_address("10.80.1.5"), ip_address("10.80.1.6")
POD6, PEER6 = ip_address("2001:db8::5"), ip_address("2001:db8::6")
EXPECTED, ASSURED = 1, 4
BIT = 1 << 30


class Connections(Kernel):
    """Has TCP connections from the first to the second address, port 80, with a status and a mark."""

    def __init__(self, *connections: tuple[Address, Address, int, int], code: int = 0) -> None:
        super().__init__({})
        self._connections, self._code = connections, code
        self.marked: list[tuple[int, int]] = []

    def dump(
        self, step: Step, *, allow_interrupted: bool = False, only: Callable[[bytes], bool] | None = None
    ) -> list[Message]:
        """Return those of the family that is asked for, whatever the filter says."""
        version = {2: 4, 10: 6}[step.message[16]]
        bodies = [_body(*one) for one in self._connections if one[0].version == version]
        return [Message(0, body) for body in bodies if only is None or only(body)]

    def exchange(self, steps: Sequence[Step]) -> list[Response]:
        """Note marks and masks."""
        for step in steps:
            found = attributes(step.message, 20)
            self.marked.append((int.from_bytes(found[8], "big"), int.from_bytes(found[21], "big")))
        return [Response(self._code) for _ in steps]


def _body(source: Address, target: Address, status: int, mark: int) -> bytes:
    original, reply = _tuple(source, (5000, 80)), _tuple(target, (80, 5000))
    numbers = attribute(3, status.to_bytes(4, "big")) + attribute(8, mark.to_bytes(4, "big"))
    return bytes(4) + attribute(1, original) + attribute(2, reply) + numbers


def _tuple(source: Address, ports: tuple[int, int]) -> bytes:
    kind = 1 if source.version == 4 else 3
    numbers = (
        attribute(1, b"\6") + attribute(2, ports[0].to_bytes(2, "big")) + attribute(3, ports[1].to_bytes(2, "big"))
    )
    return attribute(1, attribute(kind, source.packed)) + attribute(2, numbers)


def _revoked(kernel: Connections, *, allowed: bool) -> int:
    with patch.object(module, "Socket", lambda _: kernel):
        return revoke([POD, POD6], lambda _: allowed, 30)


@pytest.mark.parametrize(("allowed", "ended", "marked"), [(False, 2, [(BIT, BIT)] * 2), (True, 0, [])])
def test_what_is_not_allowed_gets_the_bit(*, allowed: bool, ended: int, marked: list[tuple[int, int]]) -> None:
    """Connections in both families, from the pod and to it, get the bit under a mask that leaves the others."""
    kernel = Connections((POD, PEER, ASSURED, 0), (PEER6, POD6, ASSURED, 7))

    assert ended == _revoked(kernel, allowed=allowed)
    assert marked == kernel.marked


def test_what_is_allowed_again_loses_the_bit() -> None:
    """A connection with the bit that is allowed loses it, and is not counted; one that has it already keeps it."""
    kernel = Connections((POD, PEER, ASSURED, BIT | 7))

    assert 0 == _revoked(kernel, allowed=True)
    assert [(0, BIT)] == kernel.marked
    kernel.marked.clear()
    assert 0 == _revoked(kernel, allowed=False)
    assert [] == kernel.marked


def test_what_a_helper_expects_and_what_others_have_is_left_alone() -> None:
    """A data connection of FTP belongs to the one that asked for it; connections of other addresses are not judged."""
    kernel = Connections((POD, PEER, ASSURED | EXPECTED, 0), (PEER, PEER, ASSURED, 0))

    assert 0 == _revoked(kernel, allowed=False)
    assert [] == kernel.marked


def test_what_is_not_judged_keeps_the_bit_or_goes_without_it() -> None:
    """Another program may use it for connections that are no pod's."""
    kernel = Connections((POD, PEER, ASSURED, BIT), (PEER, POD, ASSURED, 0))
    with patch.object(module, "Socket", lambda _: kernel):
        assert 0 == revoke([POD], lambda _: None, 30)
    assert [] == kernel.marked


def test_what_has_ended_by_itself_is_no_error() -> None:
    """An entry may go between the listing and the mark; any other refusal is named."""
    assert 1 == _revoked(Connections((POD, PEER, ASSURED, 0), code=errno.ENOENT), allowed=False)
    with pytest.raises(FirewallUnusable, match="no longer allow cannot be ended: 'conntrack -U --mark"):
        _revoked(Connections((POD, PEER, ASSURED, 0), code=errno.EPERM), allowed=False)


def test_a_flow_says_who_asked_whom() -> None:
    """The source is that of the first packet, destination and port are those of who answers."""
    with patch.object(module, "Socket", lambda _: Connections((PEER, POD, ASSURED, 0), (POD, PEER, ASSURED, 0))):
        assert 1 == revoke([POD], Flow(PEER, POD, 6, 80).__eq__, 30)
