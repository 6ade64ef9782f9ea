"""A normalised picture of a namespace, and the difference of two pictures as lines a person can read."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lab.namespaces import Namespace

Snapshot = frozenset[str]

_LINK = ("ifname", "address", "mtu", "group", "master", "ifalias", "qdisc", "txqlen")
_ADDRESS = ("local", "prefixlen", "scope", "protocol", "nodad", "dynamic")
_ROUTE = (
    "type",
    "dst",
    "gateway",
    "via",
    "dev",
    "table",
    "protocol",
    "scope",
    "metric",
    "prefsrc",
    "metrics",
    "nexthops",
)
_NEIGHBOUR = ("dst", "dev", "lladdr", "router", "proxy", "state")
_RULE = ("priority", "src", "dst", "iif", "oif", "fwmark", "table", "action", "not")
_SYSCTLS = {
    "ipv4/conf": (
        "forwarding",
        "rp_filter",
        "proxy_arp",
        "route_localnet",
        "accept_redirects",
        "send_redirects",
        "arp_ignore",
    ),
    "ipv6/conf": (
        "forwarding",
        "accept_ra",
        "disable_ipv6",
        "proxy_ndp",
        "accept_redirects",
        "accept_dad",
        "addr_gen_mode",
    ),
}


def take(namespace: Namespace, *, sysctls: bool = True) -> Snapshot:
    """Picture links, addresses, routes of all tables, rules, static neighbours, nft and sysctls."""
    lines: set[str] = set()
    links, neighbours = namespace.queries("-details", "addr show", "neigh show nud permanent")
    for words in ("-4", "-6"):
        routes, rules, proxies = namespace.queries(words, "route show table all", "rule show", "neigh show proxy")
        lines.update(_lines(f"route {words}", routes, _ROUTE))
        lines.update(_lines(f"rule {words}", rules, _RULE))
        neighbours += [{**entry, "proxy": True} for entry in proxies]
    lines.update(_links(links))
    lines.update(_lines("neighbour", neighbours, _NEIGHBOUR))
    lines.update(_rules(namespace))
    if sysctls:
        lines.update(namespace.run(_sysctls))
    return frozenset(lines)


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """Return what is gone (-) and what is new (+); an empty list means that nothing changed."""
    return [f"- {line}" for line in sorted(before - after)] + [f"+ {line}" for line in sorted(after - before)]


def ruleset(namespace: Namespace) -> str:
    """Return the nft ruleset without counters, and without the elements of sets that packets fill."""
    text = namespace.command("nft", "-s", "list", "ruleset")
    sets = re.compile(r"^\t(?:set|map) [^{]*\{\n(?:\t\t.*\n|\t\t\t.*\n)*?\t\}\n", re.MULTILINE)
    return sets.sub(_without_dynamic_elements, text)


def _without_dynamic_elements(found: re.Match[str]) -> str:
    block = found[0]
    if not re.search(r"flags .*(dynamic|timeout)", block):
        return block
    return re.sub(r"\t\telements = \{[^}]*\}\n", "", block)


def _lines(title: str, entries: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> Iterable[str]:
    for entry in entries:
        yield " ".join([title, *(f"{key}={entry[key]}" for key in keys if entry.get(key) not in (None, [], ""))])


def _links(links: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for link in links:
        title = "link up" if "UP" in link["flags"] else "link down"
        yield from _lines(f"{title} {link.get('linkinfo', {}).get('info_kind', '')}", [link], _LINK)
        yield from _lines(f"address {link['ifname']}", link.get("addr_info", ()), _ADDRESS)


def _rules(namespace: Namespace) -> Iterable[str]:
    """Yield each rule with the table and chain it stands in, numbered there, so that order and repetition count."""
    table, chain, number = "", "", 0
    for line in ruleset(namespace).splitlines():
        number += 1
        if line.startswith("table"):
            table = line.rstrip(" {")
        elif line.startswith("\t") and not line.startswith("\t\t") and line.endswith("{"):
            chain, number = line.strip().rstrip(" {"), 0
        yield f"nft {table} / {chain} / {number:4} {line.strip()}"


def _sysctls() -> Iterable[str]:
    found = [f"sysctl {key}={Path('/proc/sys/net', key).read_text().strip()}" for key in ("ipv4/ip_forward",)]
    for directory, keys in _SYSCTLS.items():
        for link in Path("/proc/sys/net", directory).iterdir():
            for key in keys:
                path = link / key
                if path.exists():
                    found.append(f"sysctl {directory}/{link.name}/{key}={path.read_text().strip()}")
    return found
