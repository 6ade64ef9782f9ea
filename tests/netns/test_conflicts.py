"""Addresses of the node's prefixes that lead somewhere already are never given to a pod, and who has them is named."""

import ipaddress
import time
from collections.abc import Callable

import pytest

from lab import snapshot, state
from lab.namespaces import Namespace
from lab.plugin import Json
from lab.probes import Server, ask, source_seen
from lab.rig import Rig, changed, requesting
from slash80.host.cache import FACTS_TTL


def bridge(host: Namespace, *addresses: str) -> None:
    """Return the node a bridge with these addresses, as another container engine does."""
    host.ip("link add br0 type bridge", "link add br0p type veth peer name br0q", "link set br0p master br0")
    host.ip("link set br0 up", "link set br0p up", "link set br0q up")
    host.ip(*(f"addr add {address} dev br0" for address in addresses))


def picture(rig: Rig) -> tuple[list[str], int, int]:
    """Picture node and store, without the bridge, which its kernel is still bringing up."""
    lines = [line for line in snapshot.take(rig.host) if "br0" not in line]
    return sorted(lines), state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)


def refused(rig: Rig, conf: Json) -> Json:
    """ADD that must fail and change neither node nor store, and STATUS that must say the same."""
    before = picture(rig)
    error = rig.plugin.refuses("ADD", conf, netns=rig.site.pod())
    assert before == picture(rig)
    told = rig.plugin.refuses("STATUS", changed(conf, cniVersion="1.1.0"))
    assert (102, 50, error["msg"]) == (error["code"], told["code"], told["msg"])
    return error


def any_ip(rig: Rig, prefix: str) -> tuple[list[str], str]:
    """Have the node answer for every address of the prefix, as guest agents of clouds do."""
    return [f"route {{}} local {prefix} dev lo proto 66"], f"route local {prefix} dev lo proto 66 leads there"


def equal_subnet(rig: Rig, prefix: str) -> tuple[list[str], str]:
    """Return another bridge of the node the same subnet."""
    bridge(rig.host)
    host = prefix.replace("::/", "::fe/").replace(".0/", ".254/")
    return [f"addr {{}} {host} dev br0"], f"route {prefix} dev br0 proto kernel leads there"


def another_route(rig: Rig, prefix: str) -> tuple[list[str], str]:
    """Lead the prefix to another machine."""
    gateway = rig.node.router6 if ":" in prefix else rig.node.router4
    way = f"{prefix} via {gateway} dev eth0 proto static"
    return [f"route {{}} {way}"], f"route {way} leads there"


def two_halves(rig: Rig, prefix: str) -> tuple[list[str], str]:
    """Lead the prefix away by two routes."""
    halves = [f"{half} dev eth0 proto static" for half in ipaddress.ip_network(prefix).subnets()]
    return [f"route {{}} {half}" for half in halves], f"route {halves[0]} leads there, route {halves[1]} leads there"


@pytest.mark.parametrize("cycled", [False, True], ids=["a fresh node", "a node that had pods"])
@pytest.mark.parametrize("lead", [any_ip, equal_subnet, another_route, two_halves])
def test_prefix_routed_elsewhere_is_code_102(
    rig: Rig,
    family: str,
    lead: Callable[[Rig, str], tuple[list[str], str]],
    cycled: bool,  # noqa: FBT001
) -> None:
    """ADD and STATUS name prefix, route and key; when the route is gone, pods can be added again."""
    prefix = getattr(rig.node, f"prefix{family[-1]}")
    if cycled:
        rig.cycle()
    lines, words = lead(rig, prefix)
    rig.host.ip(*(line.format("add") for line in lines))

    error = refused(rig, rig.conf)

    assert words in error["msg"]
    assert f"no address of {prefix}" in error["msg"]
    assert f"{family}.prefixes" in error["msg"]
    rig.host.ip(*(line.format("del") for line in lines))
    rig.plugin.status(changed(rig.conf, cniVersion="1.1.0"))
    rig.attach()


@pytest.mark.parametrize("prefix", ["192.0.2.0/28", "192.0.2.0/29", "192.0.2.8/30"])
def test_prefix_in_the_subnet_of_the_uplink_is_refused(rig: Rig, prefix: str) -> None:
    """The first pod would get the router's address, and the others a neighbour's."""
    error = refused(rig, changed(rig.conf, ipv4={"prefixes": [prefix]}))

    assert "route 192.0.2.0/28 dev eth0 proto kernel leads there" in error["msg"]


def test_subnet_that_appears_later_is_refused(rig: Rig) -> None:
    """The prefix's own, more specific route hides the subnet by then; existing pods stay."""
    first = rig.attach()
    bridge(rig.host, "10.80.77.1/16")
    time.sleep(2 * FACTS_TTL)  # for so long pods that come close after each other share one look at the links

    assert "route 10.80.0.0/16 dev br0 proto kernel leads there" in refused(rig, rig.conf)["msg"]
    rig.plugin.check(first.pod, rig.conf, first.result)


def test_part_of_the_prefix_routed_elsewhere_is_excluded(rig: Rig) -> None:
    """Pods get the rest and reach hosts in that part; the error of an exhausted pool names the route."""
    bridge(rig.host, "10.80.1.1/25")
    small = rig.having(ipv4={"prefixes": ["10.80.1.0/24"], "exclude": ["10.80.1.130-10.80.1.254"]})
    small.plugin.status(changed(small.conf, cniVersion="1.1.0"))

    assert "10.80.1.128" == small.attach().ipv4
    assert "10.80.1.129" == small.attach().ipv4
    error = small.plugin.refuses("ADD", small.conf, netns=rig.site.pod())
    assert 100 == error["code"]
    assert "besides, route 10.80.1.0/25 dev br0 proto kernel leads there" in error["msg"]


def test_addresses_of_another_plugin_are_skipped(rig: Rig) -> None:
    """With too many of its routes in a row ADD gives up, since all other calls wait meanwhile."""
    wide = rig.having(ipv4={"prefixes": ["10.80.0.0/22"]})
    rig.host.ip(*(f"route add 10.80.0.{n} dev eth0 proto 80" for n in range(1, 41)))
    assert "10.80.0.41" == wide.attach().ipv4

    rig.host.ip(*(f"route add 10.80.{n >> 8}.{n & 255} dev eth0 proto 80" for n in range(42, 342)))
    error = wide.plugin.refuses("ADD", wide.conf, netns=rig.site.pod())
    assert 102 == error["code"]
    assert "128 addresses in a row lead elsewhere" in error["msg"]


def test_second_prefix_is_used_if_the_first_is_routed_elsewhere(rig: Rig) -> None:
    """A list of prefixes is used as far as it is not routed elsewhere."""
    bridge(rig.host, "10.80.1.254/24")
    both = rig.having(ipv4={"prefixes": ["10.80.1.0/24", "10.80.7.0/24"]})

    both.plugin.status(changed(both.conf, cniVersion="1.1.0"))
    assert "10.80.7.1" == both.attach().ipv4


HARMLESS = {
    "routes that discard the prefix": ["unreachable 2001:db8:0:1:1::/80", "blackhole 10.80.1.0/24"],
    "routes that discard a larger whole": ["prohibit 2001:db8:0:1::/56", "unreachable 10.80.0.0/16"],
    "a route to a larger whole": ["10.0.0.0/8 via 192.0.2.1", "2001:db8::/32 via 2001:db8:0:1::1"],
}


@pytest.mark.parametrize("routes", HARMLESS.values(), ids=HARMLESS.keys())
def test_discarding_routes_exclude_nothing(rig: Rig, routes: list[str]) -> None:
    """Routing software, DHCPv6 clients and private networks add such routes."""
    rig.host.ip(*(f"route add {route}" for route in routes))
    attachment = rig.attach()

    with Server(attachment.pod):
        assert rig.node.ipv6 == source_seen(rig.host, attachment.ipv6)
        assert rig.node.ipv4 == source_seen(rig.host, attachment.ipv4)


def test_hosts_on_the_link_keep_their_addresses(rig: Rig) -> None:
    """In a prefix carved out of the link's /64 the router, a neighbour and the node keep theirs."""
    router, neighbour, own = (rig.node.pod6(suffix) for suffix in ("1", "2", "3"))
    rig.host.ip(
        f"route add 2001:db8:99::/48 via {router}",
        f"neigh add {neighbour} lladdr 02:00:00:00:00:77 dev eth0 nud stale",
        f"addr add {own}/64 dev eth0 nodad",
    )
    words = {
        router: f"{router} is the gateway of route 2001:db8:99::/48 via {router} dev eth0 proto boot",
        neighbour: f"{neighbour} is a neighbour on eth0",
        own: f"route local {own}/128 dev eth0 proto kernel leads there",
    }
    for address, told in words.items():
        error = rig.plugin.refuses("ADD", requesting(rig.conf, address), netns=rig.site.pod())
        assert (102, True) == (error["code"], told in error["msg"])
    attachment = rig.attach(conf=requesting(rig.conf, rig.node.pod6("4")))
    with Server(rig.host):
        assert ask(attachment.pod, own) is not None


def test_on_link_64_is_usable_only_in_parts(rig: Rig) -> None:
    """The whole /64 would contain the router and all hosts of the link."""
    error = refused(rig, changed(rig.conf, ipv6={"prefixes": ["2001:db8:0:1::/64"]}))

    assert "route 2001:db8:0:1::/64 dev eth0 proto kernel leads there" in error["msg"]
