"""The netlink socket: framing, acknowledgements one by one, echoes, dumps."""

import errno
import itertools
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from slash80.netlink import codec, constants
from slash80.netlink.codec import Message, NetlinkError, Step
from slash80.netlink.socket import _received
from unit.kernels import HEADER, Reply, Wire, connected, packet

ECHOED = 16
ATTRIBUTES = st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=40)), max_size=8)


def _steps(*bodies: bytes) -> list[Step]:
    return [Step(f"step {n}", codec.message(20, constants.NLM_F_ACK, body)) for n, body in enumerate(bodies)]


def _acks(*codes: int) -> Reply:
    """Tell of each message that failed, and acknowledge the last in any case, in one datagram each."""
    return lambda numbers: [
        _ack(number, code) for number, code in zip(numbers, codes, strict=True) if code or number == numbers[-1]
    ]


def _ack(number: int, code: int, *, flags: int = constants.NLM_F_CAPPED, rest: bytes = b"") -> bytes:
    body = struct.pack("=i", -code) + HEADER.pack(HEADER.size, 20, 0, number, 0) + rest
    return packet(constants.NLMSG_ERROR, flags, number, body)


def _words(text: bytes, before: bytes = b"") -> bytes:
    return before + codec.attribute(1, text + b"\0")


def test_netlink_batch_is_one_send_of_padded_messages() -> None:
    """Each message has its number and starts at a multiple of four bytes; the last asks for an acknowledgement."""
    wire = Wire(_acks(0, 0, 0), _acks(0))
    socket = connected(wire)
    socket.run(_steps(b"", b"12345", b"abcd"))

    assert [b"", b"12345", b"abcd"] == [body for _, body in wire.messages()]
    assert [1, 2, 3] == [head[3] for head, _ in wire.messages()]
    plain, last = constants.NLM_F_REQUEST, constants.NLM_F_REQUEST | constants.NLM_F_ACK
    assert [plain, plain, last] == [head[2] for head, _ in wire.messages()]
    socket.run(_steps(b"later"))
    assert [4] == [head[3] for head, _ in wire.messages()]


def test_empty_netlink_batch_sends_nothing() -> None:
    """The kernel would not answer it."""
    wire = Wire()

    assert ([], []) == (connected(wire).exchange([]), wire.sent)


def test_first_failed_step_of_a_batch_is_named() -> None:
    """The error has the errno, the step's words and the system's, once all were answered."""
    wire = Wire(_acks(0, errno.EEXIST, errno.EPERM), _acks(0))
    socket = connected(wire)
    with pytest.raises(NetlinkError, match="'step 1' failed: File exists") as caught:
        socket.run(_steps(b"", b"", b""))

    assert (errno.EEXIST, "step 1") == (caught.value.errno, caught.value.step.what)
    assert [codec.Response()] == socket.exchange(_steps(b""))


def test_a_transaction_that_is_refused_as_such_ends_with_its_first_step() -> None:
    """Of the others the kernel says nothing; the next exchange is not disturbed."""
    wire = Wire(lambda numbers: [_ack(numbers[0], errno.ERESTART)], _acks(0))
    socket = connected(wire)

    assert [errno.ERESTART, 0, 0] == [answer.errno for answer in socket.transact(_steps(b"", b"", b""))]
    assert [codec.Response()] == socket.exchange(_steps(b""))


def test_a_transaction_keeps_no_notification() -> None:
    """The kernel repeats each change that is to be echoed, without a number; what it echoes with one is the answer."""
    change = packet(20, 0, 0, b"changed")
    wire = Wire(lambda numbers: [change, packet(ECHOED, 0, numbers[1], b"told"), *_acks(0, 0)(numbers)])
    socket = connected(wire)

    assert [[], [Message(ECHOED, b"told")]] == [answer.messages for answer in socket.transact(_steps(b"", b""))]
    assert [] == socket._notifications


@pytest.mark.parametrize("repeated", [b"", b"12345678", b"12345\0\0\0"])
def test_extack_message_of_the_kernel_is_in_the_error(repeated: bytes) -> None:
    """It follows the failed message's header, and its body where the kernel repeats that."""
    flags = constants.NLM_F_ACK_TLVS | (0 if repeated else constants.NLM_F_CAPPED)
    length = HEADER.size + len(repeated.rstrip(b"\0"))
    body = struct.pack("=i", -errno.EINVAL) + HEADER.pack(length, 20, 0, 1, 0) + _words(b"Bad scope", repeated)
    wire = Wire(lambda numbers: [packet(constants.NLMSG_ERROR, flags, numbers[0], body)])

    with pytest.raises(NetlinkError, match=r"'step 0' failed: Invalid argument \(Bad scope\)"):
        connected(wire).run(_steps(b""))


def test_extack_warning_is_not_an_error() -> None:
    """The kernel may attach a message to a step that succeeded."""
    flags = constants.NLM_F_ACK_TLVS | constants.NLM_F_CAPPED
    wire = Wire(lambda numbers: [_ack(numbers[0], 0, flags=flags, rest=_words(b"deprecated"))])

    assert [codec.Response()] == connected(wire).run(_steps(b""))


def test_netlink_echo_belongs_to_its_step() -> None:
    """What a step created is part of its response, alone or with others."""
    wire = Wire(lambda n: [packet(ECHOED, 0, n[0], b"made"), packet(ECHOED, 0, n[1], b"too") + _ack(n[1], 0)])
    answers = connected(wire).run(_steps(b"", b""))

    assert [[Message(ECHOED, b"made")], [Message(ECHOED, b"too")]] == [answer.messages for answer in answers]


def test_response_with_another_sequence_number_is_ignored() -> None:
    """A message of another exchange, or the rest of an abandoned one, changes no response."""
    wire = Wire(_acks(0), lambda n: [_ack(n[0] - 1, errno.EPERM), packet(ECHOED, 0, 999, b"?"), _ack(n[1], 0)])
    socket = connected(wire)
    socket.run(_steps(b""))

    assert [codec.Response()] * 2 == socket.exchange(_steps(b"", b""))


def test_several_responses_may_share_a_datagram() -> None:
    """Each is matched by its sequence number."""
    wire = Wire(lambda n: [_ack(n[0], errno.EPERM) + _ack(n[1], errno.EEXIST)])

    assert [errno.EPERM, errno.EEXIST] == [answer.errno for answer in connected(wire).exchange(_steps(b"", b""))]


def _table(first: bytes = b"row1", *, flags: int = 0, end: bytes = bytes(4)) -> Reply:
    return lambda n: [
        packet(ECHOED, flags, n[0], first) + packet(ECHOED, 0, n[0], b"row2"),
        packet(ECHOED, 0, n[0], b"row3"),
        packet(constants.NLMSG_DONE, 0, n[0], end),
    ]


def test_dump_returns_all_rows() -> None:
    """A dump may span any number of datagrams."""
    assert [b"row1", b"row2", b"row3"] == [part.body for part in connected(Wire(_table())).dump(_steps(b"")[0])]


def test_interrupted_dump_is_read_again() -> None:
    """Only the rows of the uninterrupted dump are returned, and none of an earlier one."""
    torn = [_table(first, flags=constants.NLM_F_DUMP_INTR) for first in (b"gone", b"soon")]

    found = connected(Wire(*torn, _table())).dump(_steps(b"")[0])
    assert [b"row1", b"row2", b"row3"] == [part.body for part in found]


def test_dump_interrupted_five_times_is_an_error() -> None:
    """After five attempts the caller gets an error."""
    wire = Wire(*[_table(flags=constants.NLM_F_DUMP_INTR)] * 5)
    with pytest.raises(NetlinkError, match="Interrupted"):
        connected(wire).dump(_steps(b"")[0])

    assert 5 == len(wire.sent)


def test_dump_that_may_be_interrupted_returns_every_row() -> None:
    """If no dump was uninterrupted, each row is returned once, as seen last; an error is still one."""
    bad, torn = _table(end=struct.pack("=i", -errno.ENOENT)), _table(flags=constants.NLM_F_DUMP_INTR)
    other = _table(b"row0", flags=constants.NLM_F_DUMP_INTR)

    seen = connected(Wire(torn, torn, torn, other, torn)).dump(_steps(b"")[0], allow_interrupted=True)
    assert [b"row0", b"row1", b"row2", b"row3"] == [part.body for part in seen]
    seen = connected(Wire(torn, torn, torn, torn, other)).dump(_steps(b"")[0], allow_interrupted=True)
    assert [b"row1", b"row0", b"row2", b"row3"] == [part.body for part in seen]
    assert 3 == len(connected(Wire(torn, _table())).dump(_steps(b"")[0], allow_interrupted=True))
    with pytest.raises(NetlinkError, match="No such file"):
        connected(Wire(torn, bad)).dump(_steps(b"")[0], allow_interrupted=True)


def test_dump_that_ends_with_an_error_fails() -> None:
    """The last message may carry an error instead of the end, and half a table is not returned."""
    with pytest.raises(NetlinkError, match="No such file"):
        connected(Wire(_table(end=struct.pack("=i", -errno.ENOENT)))).dump(_steps(b"")[0])


def test_netlink_request_returns_its_response() -> None:
    """It raises what the kernel refused."""
    socket = connected(Wire(lambda n: [packet(ECHOED, 0, n[0], b"it"), _ack(n[0], 0)], _acks(errno.ENODEV)))

    assert [Message(ECHOED, b"it")] == socket.ask(_steps(b"")[0])
    with pytest.raises(NetlinkError, match="No such device"):
        socket.ask(_steps(b"")[0])


@pytest.mark.parametrize(("tick", "arrives"), [(1, True), (9, False)])
def test_notifications_are_waited_for_until_a_deadline(mocker: MockerFixture, tick: int, arrives: bool) -> None:  # noqa: FBT001
    """The deadline holds although the kernel sends other notifications all the time."""
    mocker.patch("slash80.netlink.socket.time.monotonic", side_effect=itertools.count(0, tick))
    wire = Wire()
    wire.tell(*[b"other"] * 8, b"mine")
    if arrives:
        connected(wire).wait_for_notification(lambda part: part.body == b"mine")
        return
    with pytest.raises(TimeoutError, match="did not tell"):
        connected(wire).wait_for_notification(lambda part: part.body == b"mine")


def test_each_thread_receives_into_memory_of_its_own() -> None:
    """Sockets of one thread share the memory in which they receive; what another thread receives is not put there."""
    with ThreadPoolExecutor(1) as thread:
        theirs = thread.submit(lambda: _received.buffer).result()

    assert theirs is not _received.buffer


def test_a_process_that_was_forked_receives_beside_its_parent() -> None:
    """What it receives is not in the memory of the process that it was forked from."""
    before = bytes(_received.buffer[:4])
    child = os.fork()
    if not child:
        _received.buffer[:4] = b"ours"
        os._exit(0)
    os.waitpid(child, 0)

    assert before == _received.buffer[:4]


def test_netlink_socket_is_closed_with_its_context() -> None:
    """An open socket would keep a pod's namespace alive."""
    wire = Wire()
    with connected(wire):
        assert not wire.closed

    assert wire.closed


@given(ATTRIBUTES, st.integers(0, 3))
def test_netlink_attributes_are_read_back(attributes: list[tuple[int, bytes]], words: int) -> None:
    """Attributes behind a fixed header come in order, and by type the last one counts."""
    body = bytes(4 * words) + b"".join(codec.attribute(kind, value) for kind, value in attributes)

    assert attributes == list(codec.attribute_list(body, 4 * words))
    assert dict(attributes) == codec.attributes(body, 4 * words)


@given(st.binary(max_size=80), st.integers(0, 20))
def test_any_bytes_are_read_as_attributes_without_overrun(body: bytes, offset: int) -> None:
    """The reader ends for any bytes and returns no more than there was."""
    assert sum(len(value) + 4 for _, value in codec.attribute_list(body, offset)) <= len(body) + 4
