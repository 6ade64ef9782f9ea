"""A rig: one site, the plugin on a node of it, and a configuration that fits; what most tests start from."""

import secrets
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lab.namespaces import Namespace
from lab.plugin import InProcess, Json, Plugin
from lab.topology import Node, Site


def configuration(node: Node, state_dir: Path, **changes: object) -> Json:
    """Return the configuration of a node, changed as `changed` does it."""
    conf: Json = {
        "cniVersion": "1.0.0",
        "name": "slash80",
        "type": "slash80",
        "stateDir": str(state_dir),
        "socket": str(state_dir / "cni.sock"),
        "ipv6": {"prefixes": [node.prefix6]},
        "ipv4": {"prefixes": [node.prefix4]},
        "lockTimeout": 50,  # the most: on a busy machine an agent, or a hundred threads, hold a lock for long
    }
    return changed(conf, **changes)


def changed(conf: Json, **changes: object) -> Json:
    """Return a copy with these keys replaced; objects are merged one level deep, None removes a key."""
    new = dict(conf)
    for key, value in changes.items():
        new[key] = {**conf.get(key, {}), **value} if isinstance(value, dict) else value
    return {key: value for key, value in new.items() if value is not None}


def requesting(conf: Json, *addresses: str) -> Json:
    """Return a copy that asks for these addresses through the `ips` capability."""
    return changed(conf, runtimeConfig={"ips": list(addresses)})


@dataclass(frozen=True)
class Attachment:
    """One interface of a pod, as ADD reported it."""

    pod: Namespace
    result: Json
    ifname: str = "eth0"

    @cached_property
    def ipv6(self) -> str:
        """The pod's IPv6 address."""
        return self._address(":")

    @cached_property
    def ipv4(self) -> str:
        """The pod's IPv4 address."""
        return self._address(".")

    @property
    def addresses(self) -> tuple[str, str]:
        """Both addresses, IPv6 first."""
        return self.ipv6, self.ipv4

    @property
    def host_ifname(self) -> str:
        """The name of the host end."""
        return str(self.result["interfaces"][0]["name"])

    def _address(self, mark: str) -> str:
        found = [str(ip["address"]).partition("/")[0] for ip in self.result["ips"] if mark in ip["address"]]
        assert len(found) == 1, f"one address with {mark!r} expected in {self.result}"
        return found[0]


@dataclass(frozen=True)
class Rig:
    """The plugin at work on one node of a site."""

    site: Site
    node: Node
    plugin: Plugin
    conf: Json

    @property
    def host(self) -> Namespace:
        """The node's namespace."""
        return self.node.namespace

    def on(self, node: Node) -> "Rig":
        """Return a rig on another node of the same site, with a state of its own."""
        state_dir = self.state_dir.with_name(f"state{node.number}")
        return Rig(self.site, node, self.plugin.on(node.namespace, state_dir), configuration(node, state_dir))

    def having(self, **changes: object) -> "Rig":
        """Return the same rig with a changed configuration, as `changed` does it."""
        return replace(self, conf=changed(self.conf, **changes))

    def in_process(self) -> "Rig":
        """Return the same rig called in this process, which loads nothing: a tenth of the time of a process."""
        return replace(self, plugin=InProcess(self.host))

    @property
    def state_dir(self) -> Path:
        """Where the plugin keeps its state."""
        return Path(self.conf["stateDir"])

    def lose_state(self) -> None:
        """Lose the state directory, at once: it gets another name, under which nothing looks for it.

        Removed file by file it would not stay lost, and often not be removed at all: an agent that serves writes into
        it meanwhile, and what it has open it keeps open either way.
        """
        self.state_dir.rename(self.state_dir.with_name(f"{self.state_dir.name}-lost-{secrets.token_hex(3)}"))

    def attach(self, pod: Namespace | None = None, conf: Json | None = None, **more: str) -> Attachment:
        """ADD for a new pod, or for `pod`; must succeed."""
        pod = pod or self.site.pod()
        return Attachment(pod, self.plugin.add(pod, conf or self.conf, **more), more.get("ifname", "eth0"))

    def detach(self, attachment: Attachment, conf: Json | None = None) -> None:
        """DEL as the runtime sends it first: namespace and prevResult there; must succeed."""
        conf = changed(conf or self.conf, prevResult=attachment.result)
        self.plugin.delete(attachment.pod, conf, ifname=attachment.ifname)

    def cycle(self) -> None:
        """ADD and DEL once, so that all is there that the first pod of a node brings and that stays."""
        self.detach(self.attach())
