"""GC on a host with a kernel by its words: what goes, what stays, and what is told."""

import errno
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from slash80.addressing.attachment import Attachment, Key, alias_of, hashed
from slash80.errors import Failure
from slash80.host.context import CallContext, Host
from slash80.verbs.gc import gc
from unit.builders import attachment, conf, host_in, request_of
from unit.kernels import Kernel
from unit.wiring.plans import link

pytestmark = pytest.mark.usefixtures("connections")


def _showing(*ones: Attachment, network: str = "net") -> dict[str, Any]:
    """Return the answers of a kernel that has the host ends of these."""
    ends = {
        one.host_ifname: [link(one.host_ifname, 10 + i, ifalias=alias_of(one.key, network))]
        for i, one in enumerate(ones)
    }
    answers: dict[str, Any] = {f"ip link show {name}": shown for name, shown in ends.items()}
    answers |= {f"ip link del {name}": 0 for name in ends}
    return answers | {"ip link show": [shown for (shown,) in ends.values()]}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Give a host that has nothing yet."""
    return host_in(tmp_path / "state", Kernel({}))


def _collect(host: Host, *listed: Key, having: dict[str, Any]) -> list[str]:
    """Call GC for network `net` with this list, and return which links were deleted."""
    kernel = Kernel(having)
    host.netlink = kernel
    valid = [{"containerID": key.container_id, "ifname": key.ifname} for key in listed]
    document = conf(cniVersion="1.1.0", **{"cni.dev/valid-attachments": valid})
    gc(request_of(document, COMMAND="GC"), CallContext(lambda _: nullcontext(host)))
    return [words.removeprefix("ip link del ") for words in kernel.done if words.startswith("ip link del ")]


ONE, TWO = attachment(1), attachment(2)


def test_what_is_not_listed_is_removed_with_its_link(host: Host) -> None:
    """The listed one keeps both its record and its link."""
    for one in (ONE, TWO):
        host.store.keep(one)

    assert [TWO.host_ifname] == _collect(host, ONE.key, having=_showing(ONE, TWO))
    assert [ONE] == host.store.attachments()


def test_a_record_of_another_network_stays(host: Host) -> None:
    """Its runtime has a list of its own."""
    other = attachment(1, network="other")
    host.store.keep(other)

    assert [] == _collect(host, having=_showing(other, network="other"))
    assert [other] == host.store.attachments()


@pytest.mark.parametrize("network", ["net", hashed("net")])
def test_a_host_end_of_the_network_without_a_record_goes(host: Host, network: str) -> None:
    """The store was lost since; the alias says whose it is, with a long name hashed."""
    assert [ONE.host_ifname] == _collect(host, having=_showing(ONE, network=network))


def test_a_host_end_of_another_network_without_a_record_is_spared(host: Host) -> None:
    """A pod of that network may be alive behind it."""
    assert [] == _collect(host, having=_showing(ONE, network="other"))


def test_a_host_end_of_ours_with_neither_alias_nor_record_goes(host: Host) -> None:
    """No call can be waiting for it: an ADD writes the record before the link, and the alias last."""
    name = ONE.host_ifname
    bare = link(name, ifalias=None)
    having = {"ip link show": [bare], f"ip link show {name}": [bare], f"ip link del {name}": 0}

    assert [name] == _collect(host, having=having)


def test_a_host_end_without_a_record_whose_container_is_listed_is_spared(host: Host) -> None:
    """The list names the container with another interface, and its pod is alive."""
    assert [] == _collect(host, Key(ONE.key.container_id, "net1"), having=_showing(ONE))


def test_a_listed_attachment_without_its_link_is_released(host: Host) -> None:
    """Its namespace vanished, and nothing else would free its addresses."""
    for one in (ONE, TWO):
        host.store.keep(one)

    assert [] == _collect(host, ONE.key, TWO.key, having=_showing(ONE))
    assert [ONE] == host.store.attachments()


def test_an_attachment_that_was_finished_while_it_was_looked_at_stays(host: Host) -> None:
    """Its link had no alias in the list of all links, and has it now: the runtime could not know of it yet."""
    host.store.keep(ONE)
    having = _showing(ONE) | {"ip link show": [link(ONE.host_ifname, ifalias=None)]}

    assert [] == _collect(host, having=having)
    assert [ONE] == host.store.attachments()


def test_what_cannot_be_removed_does_not_keep_the_rest(host: Host) -> None:
    """The error names the attachment and the reason, and the network."""
    for one in (ONE, TWO):
        host.store.keep(one)
    having = _showing(ONE, TWO) | {f"ip link del {ONE.host_ifname}": errno.EPERM}
    with pytest.raises(Failure, match=f"GC of network 'net' removed what it could, but: {ONE.key}: .*not permitted"):
        _collect(host, having=having)

    assert [ONE] == host.store.attachments()


def test_links_that_wait_for_their_deletion_are_deleted_first(host: Host) -> None:
    """An agent that is gone left them, and their addresses are free then."""
    host.store.keep(ONE)
    host.store.mark_terminating(ONE.host_ifname)
    dying = link(ONE.dying_name, group=21377)

    assert [ONE.dying_name] == _collect(host, having={"ip link show": [dying], f"ip link del {ONE.dying_name}": 0})
    assert [] == host.store.attachments()


def test_a_reaping_that_fails_is_told_and_the_collection_goes_on(host: Host) -> None:
    """Its error is one of the problems in the message, and unlisted attachments are removed all the same."""
    host.store.keep(TWO)
    dying = [link(ONE.dying_name, 3, group=21377)]
    having = _showing(TWO)
    having |= {"ip link show": [*dying, *having["ip link show"]], f"ip link del {ONE.dying_name}": errno.EPERM}
    with pytest.raises(Failure, match=f"ip link del {ONE.dying_name}"):
        _collect(host, having=having)

    assert [] == host.store.attachments()
