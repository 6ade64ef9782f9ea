"""Making and removing wires: what is told about things that are in the way."""

import errno
from dataclasses import replace
from ipaddress import ip_address

import pytest

from slash80.addressing.attachment import dying_name
from slash80.addressing.family import IPV4, IPV6
from slash80.errors import BelongsToAnother, Failure
from slash80.wiring import address_messages, link_messages, route_messages, veth
from slash80.wiring.veth import AddressInUse
from unit.kernels import Kernel
from unit.wiring.plans import PLAN, link, route

NAME, SHOW = PLAN.host_ifname, f"ip link show {PLAN.host_ifname}"
DELETE = f"ip link del {NAME}"
FOUR = PLAN.addresses[0]


@pytest.mark.parametrize(("code", "gone"), [([], True), (errno.ENODEV, True)])
def test_host_end_is_deleted(code: int | list[bytes], gone: bool) -> None:  # noqa: FBT001
    """It does not matter if the kernel deleted it first."""
    kernel = Kernel({SHOW: [link(NAME)], DELETE: code})

    assert gone == veth.detach(kernel, NAME)
    assert DELETE in kernel.done


@pytest.mark.parametrize("found", [errno.ENODEV, [link(NAME, kind="dummy")], [link(NAME, group=0, ifalias=None)]])
def test_foreign_link_is_not_deleted(found: int | list[bytes]) -> None:
    """A link of that name without slash80's marks stays, and a missing one is fine."""
    kernel = Kernel({SHOW: found})

    assert not veth.detach(kernel, NAME)
    assert [SHOW, SHOW.replace("s80", "x80")] == kernel.done


def test_deferred_host_end_is_deleted() -> None:
    """It is deleted under either name, or both."""
    dying = DELETE.replace("s80", "x80")
    kernel = Kernel({SHOW.replace("s80", "x80"): [link(dying_name(NAME), group=21377)], dying: []})

    assert veth.detach(kernel, NAME)
    assert dying in kernel.done


def test_refused_deletion_names_the_ip_command() -> None:
    """The `ip` command in the message can be tried by hand."""
    with pytest.raises(Failure, match=f"'{DELETE}' failed: Operation not permitted.*run it on the node"):
        veth.detach(Kernel({SHOW: [link(NAME)], DELETE: errno.EPERM}), NAME)


def test_host_end_is_looked_up_by_name() -> None:
    """A host end is found by its name, or is None."""
    found = veth.host_end(Kernel({SHOW: [link(NAME)]}), NAME)

    assert (5, None) == (found and found.index, veth.host_end(Kernel({}), NAME))


def test_foreign_link_with_the_host_end_name_is_code_102() -> None:
    """The error says what the link is."""
    with pytest.raises(BelongsToAnother, match=rf"link {NAME} \(kind dummy, group 3\) .*rename or delete it"):
        veth.host_end(Kernel({SHOW: [link(NAME, kind="dummy", group=3)]}), NAME)


def test_existing_pod_interface_is_left_untouched() -> None:
    """The kernel refuses to create the pair, and nothing else is done."""
    create = link_messages.create_pair(PLAN, 9).what
    kernel = Kernel({create: errno.EEXIST})

    with pytest.raises(Failure, match=f"eth0 exists already in the network namespace {PLAN.netns}; it is left"):
        veth.attach(kernel, Kernel({}), PLAN, netns_fd=9)
    assert [create, SHOW] == kernel.done


def test_host_end_left_by_a_killed_call_is_recognised() -> None:
    """Rolling back deletes it, so the next ADD succeeds."""
    create = link_messages.create_pair(PLAN, 9).what
    kernel = Kernel({create: errno.EEXIST, SHOW: [link(NAME)]})

    with pytest.raises(veth.HostEndLeft, match=NAME):
        veth.attach(kernel, Kernel({}), PLAN, netns_fd=9)


CONFLICTS = {
    "another attachment's": ([route(f"{FOUR}/32")], [link("s80bbbbbbbbbbbb")], AddressInUse, "s80bbbbbbbbbbbb"),
    "another link's": ([route(f"{FOUR}/32")], [link("eth0", kind="")], BelongsToAnother, "dev eth0 proto 180"),
    "another protocol's": ([route(f"{FOUR}/32", proto=3)], [link("s80bbbbbbbbbbbb")], BelongsToAnother, "proto boot"),
    "nowhere": ([route(f"{FOUR}/32", index=0, kind=7)], [], BelongsToAnother, "route unreachable 10.80.1.1/32 proto"),
    "gone": ([route("0.0.0.0/0")], [], Failure, "gone now; try again"),
}


@pytest.mark.parametrize(("routes", "links", "kind", "words"), CONFLICTS.values(), ids=CONFLICTS.keys())
def test_address_conflict_names_the_holder(
    routes: list[bytes], links: list[bytes], kind: type[Exception], words: str
) -> None:
    """Another attachment's address is chosen again; a foreign route is code 102, naming it."""
    error = veth._conflict(
        Kernel({f"ip route get {FOUR}": routes, "ip link show (index 5)": links or errno.ENODEV}), FOUR
    )

    assert (kind, True) == (type(error), words in str(error))
    assert str(FOUR) in str(error)


def test_address_in_use_names_its_attachment() -> None:
    """The caller then checks whether that attachment is alive."""
    error = AddressInUse(ip_address("10.80.1.5"), "s80bbbbbbbbbbbb")

    assert (999, "s80bbbbbbbbbbbb", ip_address("10.80.1.5")) == (error.code, error.holder, error.address)


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        ([route("0.0.0.0/0", gateway="192.0.2.1", proto=3)], True),
        ([route("0.0.0.0/0", gateway="169.254.1.1")], False),
        ([route("0.0.0.0/0", index=0, kind=7, proto=3)], False),
        ([route("10.0.0.0/8", gateway="192.0.2.1", proto=3)], False),
    ],
)
def test_foreign_default_route_is_code_102(rows: list[bytes], refused: bool) -> None:  # noqa: FBT001
    """The route is named; slash80's own and more specific ones are fine, and so is a namespace without any."""
    pod = Kernel({"ip -4 route show; ip -6 route show": rows})
    veth.refuse_other_defaults(pod, replace(PLAN, routes=()))
    if not refused:
        veth.refuse_other_defaults(pod, PLAN)
        return

    with pytest.raises(BelongsToAnother, match=r"IPv4 default route already \(protocol 3, via 192\.0\.2\.1\)"):
        veth.refuse_other_defaults(pod, PLAN)


def test_mtu_below_1280_is_refused_with_ipv6() -> None:
    """The kernel would disable IPv6 silently."""
    with pytest.raises(Failure, match="MTU 1279 of the uplink is too small for IPv6"):
        veth.attach(Kernel({}), Kernel({}), replace(PLAN, mtu=1279), netns_fd=9)


def test_step_of_the_host_end_that_is_refused_is_a_failure() -> None:
    """An ADD must not go on with half of its wires; the sentence has the command."""
    step = address_messages.add_gateway(NAME, 5, IPV4).what
    done = [address_messages.add_gateway(NAME, 5, IPV6), link_messages.configure_host_end(NAME, 5, PLAN.families)]
    done += [
        link_messages.set_up(NAME, 5),
        *(route_messages.add_host_route(NAME, 5, address) for address in PLAN.addresses),
    ]

    with veth.translated():
        veth._wire_host_end(Kernel({one.what: 0 for one in done} | {step: 0}), PLAN, 5)
    with pytest.raises(Failure, match=step), veth.translated():
        veth._wire_host_end(Kernel({one.what: 0 for one in done} | {step: errno.EPERM}), PLAN, 5)


def test_spare_index_is_one_that_no_link_has() -> None:
    """After a million pods the kernel's own count is there too, and a taken index looks like a taken name."""
    first = (1 << 20) + (PLAN.host_mac.value & 0xFFFF)
    taken = {f"ip link show (index {index})": [link("other", index)] for index in (first, first + 1)}

    assert first == veth._spare_index(Kernel({}), PLAN)
    assert first + 2 == veth._spare_index(Kernel(taken), PLAN)


def test_without_a_spare_index_nothing_is_made() -> None:
    """The range that was looked at is named."""
    first = (1 << 20) + (PLAN.host_mac.value & 0xFFFF)
    taken = {f"ip link show (index {index})": [link("other", index)] for index in range(first, first + 64)}

    with pytest.raises(Failure, match=f"no interface index from {first} to {first + 63} is free"):
        veth._spare_index(Kernel(taken), PLAN)
