"""Looking whether kernel and store agree, from outside: by `ip`, `nft` and SQL, with none of the plugin's own code."""

import contextlib
import fcntl
import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from lab import programs, snapshot
from lab.namespaces import answers
from soak.world import PODS, PREFIXES, SPOTS, Json, World

GATEWAYS = {"169.254.1.1", "fe80::1"}
GROUP, PROTOCOL = "21376", "180"
FILES = {
    "state.db",
    "state.db-journal",
    "state.damaged",
    "lock",
    "locks",
    "sysctls",
    "firewall.json",
    ".firewall.json.tmp",
}


@dataclass
class Pod:
    """What is in one pod's namespace, by interface."""

    addresses: dict[str, set[str]] = field(default_factory=dict)
    macs: dict[str, str] = field(default_factory=dict)
    neighbours: dict[str, dict[str, str]] = field(default_factory=dict)
    routes: set[tuple[str, str, str]] = field(default_factory=set)  # interface, destination, gateway


@dataclass
class Picture:
    """What kernel and store have at one moment."""

    rows: dict[str, Json]  # by spot
    held: dict[str, str]  # address: host end
    links: dict[str, Json]
    routes: list[Json]
    pods: list[Pod]

    def host_end(self, name: str) -> str:
        """Return the link of an attachment that has a row."""
        return str(self.rows[name]["host_ifname"])


def take(world: World) -> Picture:
    """Look at everything."""
    rows, held = _store(world.state_dir / "state.db")
    (links,) = _ip("", "link show")
    routes = [route for family in "46" for route in _ip(f"-{family}", "route show")[0]]
    with ThreadPoolExecutor(2) as pool:
        pods = list(pool.map(_pod, [pod.name for pod in world.pods]))
    ours = {link["ifname"]: link for link in links if link["ifname"].startswith("s80")}
    return Picture(rows, held, ours, [r for r in routes if r.get("protocol") == PROTOCOL], pods)


def _ip(options: str, *questions: str) -> list[list[Json]]:
    command = ["ip", "-json", "-details", *options.split(), "-batch", "-"]
    return answers(programs.run(command, stdin="\n".join(questions)))


def _pod(name: str) -> Pod:
    links, neighbours, routes4 = _ip(f"-n {name}", "addr show", "neigh show nud permanent", "route show")
    (routes6,) = _ip(f"-6 -n {name}", "route show")
    pod = Pod()
    for link in links:
        if link["ifname"] != "lo":
            known = {info["local"] for info in link["addr_info"] if info["scope"] == "global"}
            pod.addresses[link["ifname"]], pod.macs[link["ifname"]] = known, link["address"]
    for entry in neighbours:
        if entry["dst"] in GATEWAYS:
            pod.neighbours.setdefault(entry["dev"], {})[entry["dst"]] = entry["lladdr"]
    for default, routes in (("0.0.0.0/0", routes4), ("::/0", routes6)):
        for route in routes:
            dst = default if route["dst"] == "default" else route["dst"]
            pod.routes.add((route.get("dev", ""), dst, route.get("gateway", "")))
    return pod


def _store(path: Path) -> tuple[dict[str, Json], dict[str, str]]:
    if not path.exists():
        return {}, {}
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as database:
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM attachment")]
        held = database.execute("SELECT family, packed, holder FROM address WHERE holder IS NOT NULL").fetchall()
        (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        raise AssertionError(f"the store is damaged: {verdict}")
    return {f"{row['container_id']}/{row['ifname']}": row for row in rows}, {_text(h[1]): h[2] for h in held}


def _text(packed: bytes) -> str:
    return str(ip_address(packed))


def loose(picture: Picture) -> set[str]:
    """Name the attachments of which kernel and store have different ideas, or that are not finished."""
    named = {name for name, link in picture.links.items() if link.get("ifalias")}  # which is done last
    ready = {n for n, row in picture.rows.items() if row["state"] == "ready" and row["host_ifname"] in named}
    linked = {name for name, row in picture.rows.items() if row["host_ifname"] in picture.links}
    known = {str(row["host_ifname"]) for row in picture.rows.values()}
    strangers = {owner(link) for name, link in picture.links.items() if name not in known}
    return {name for name in picture.rows if name not in ready or name not in linked} | strangers


def owner(link: Json) -> str:
    """Name the attachment that a link says it belongs to."""
    try:
        alias = json.loads(link.get("ifalias", ""))
        return f"{alias['id']}/{alias['ifname']}"
    except (ValueError, KeyError):
        return f"link {link['ifname']}"


def problems(picture: Picture, world: World) -> list[str]:
    """Return what is wrong on a node without calls in progress or half-done attachments."""
    found = [f"{name}: row without link, link without row, or pending" for name in loose(picture)]
    found += [f"{name}: attachment of no spot" for name in picture.rows if name not in SPOTS]
    if found:
        return found
    for name, row in picture.rows.items():
        found += [f"{name}: {problem}" for problem in _attachment(picture, name, row)]
    return found + _addresses(picture) + _routes(picture) + _pods(picture) + _files(world.state_dir)


def _attachment(picture: Picture, name: str, row: Json) -> list[str]:
    link, spot = picture.links[row["host_ifname"]], SPOTS[name]
    pod, found = picture.pods[spot.pod], []
    alias = json.loads(link.get("ifalias", "{}"))
    if alias != {"v": 1, "net": spot.network, "id": spot.container, "ifname": spot.ifname}:
        found.append(f"alias {alias}")
    if link.get("group") != GROUP or link["operstate"] != "UP" or row["network"] != spot.network:
        found.append(f"group {link.get('group')}, {link['operstate']}, network {row['network']}")
    given = {row[family] for family in ("ipv4", "ipv6") if row[family]}
    if len(given) != len(PREFIXES[spot.network]):
        found.append(f"addresses {given} on network {spot.network}")
    if pod.addresses.get(spot.ifname) != given:
        found.append(f"the pod has {pod.addresses.get(spot.ifname)}, the row {given}")
    gateways = {"169.254.1.1" if "." in address else "fe80::1": link["address"] for address in given}
    if pod.neighbours.get(spot.ifname) != gateways:
        found.append(f"the pod's neighbours are {pod.neighbours.get(spot.ifname)}, not {gateways}")
    if row["mac"] and row["mac"] != pod.macs.get(spot.ifname):
        found.append(f"the pod's MAC is {pod.macs.get(spot.ifname)}, not {row['mac']}")
    return found


def _addresses(picture: Picture) -> list[str]:
    """Addresses in rows, held addresses and host routes must be the same, each once."""
    rows = [(row[f], row["host_ifname"]) for row in picture.rows.values() for f in ("ipv4", "ipv6") if row[f]]
    routes = [(r["dst"], r["dev"]) for r in picture.routes if r.get("type", "unicast") == "unicast"]
    found = []
    if len({address for address, _ in rows}) != len(rows):
        found.append(f"an address is twice in {sorted(rows)}")
    if set(rows) != set(picture.held.items()):
        found.append(f"rows and held addresses differ: {sorted(set(rows) ^ set(picture.held.items()))}")
    if sorted(rows) != sorted(routes):
        found.append(f"rows and host routes differ: {sorted(set(rows) ^ set(routes))}")
    return found


def _routes(picture: Picture) -> list[str]:
    prefixes = {prefix for families in PREFIXES.values() for prefix in families.values()}
    covers = [route for route in picture.routes if route.get("type", "unicast") != "unicast"]
    wrong = [r for r in covers if r["type"] != "unreachable" or r["dst"] not in prefixes]
    twice = len({route["dst"] for route in covers}) != len(covers)
    return [f"routes of ours that should not be: {wrong or covers}"] if wrong or twice else []


def _pods(picture: Picture) -> list[str]:
    expected: list[set[str]] = [set() for _ in range(PODS)]
    for name in picture.rows:
        expected[SPOTS[name].pod].add(SPOTS[name].ifname)
    pairs = enumerate(zip(picture.pods, expected, strict=True))
    return [f"pod {n} has {sorted(pod.addresses)}, not {sorted(e)}" for n, (pod, e) in pairs if set(pod.addresses) != e]


def _files(state_dir: Path) -> list[str]:
    found = [f"file {path}" for path in state_dir.iterdir() if path.name not in FILES]
    for path in [state_dir / "lock", *(state_dir / "locks").iterdir()]:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(f"lock {path.name} is held")
    return found


def rules(world: World) -> str:
    """Return the node's rules, without counters, what they hold of pods and of the node, and who put them there."""
    text = re.sub(r'(comment "\w+) \w+"', r'\1"', snapshot.ruleset(world.host))
    filled = r"(\tset (?:pods|own)[46] \{\n(?:\t\t(?:type|flags) [^\n]*\n)+)\t\telements = \{[^}]*\}\n"
    return re.sub(filled, r"\1", text)


def differences(pod: Pod, ifname: str, result: dict[str, Any]) -> list[str]:
    """Return what of an ADD's result is not in the pod."""
    mine = next(link for link in result["interfaces"] if link.get("sandbox"))
    addresses = {str(ip["address"]).partition("/")[0] for ip in result["ips"]}
    found = [f"MAC {pod.macs.get(ifname)}, not {mine['mac']}"] if pod.macs.get(ifname) != mine["mac"] else []
    if pod.addresses.get(ifname) != addresses:
        found.append(f"addresses {pod.addresses.get(ifname)}, not {addresses}")
    missing = {(ifname, r["dst"], r["gw"]) for r in result.get("routes", ())} - pod.routes
    return found + [f"route {route} is missing" for route in missing]
