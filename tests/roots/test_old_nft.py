"""An nft of the node that is older than the one that came along: people, and managers of firewalls, list with it."""

import re
from pathlib import Path

from lab.namespaces import Namespace, unique_name
from lab.plugin import Frozen
from lab.policies import EVERY_KIND
from lab.probes import ping
from lab.rig import Rig, configuration
from lab.topology import Site
from roots.systems import of_debian
from slash80.firewall.policies import reading
from slash80.firewall.policies.table import PolicyTable


def test_it_lists_our_table_and_loads_it_again(plugin: Path, tmp_path: Path) -> None:
    """What nft 0.9.8 of Debian 11 saves and restores is what it was: our nft and CHECK find nothing missing."""
    root = of_debian("bullseye", tmp_path)
    with Site() as site:
        host = site.node.namespace
        conf = configuration(site.node, tmp_path / "state")
        rig = Rig(site, site.node, Frozen(host, root=plugin.parents[2]), conf)
        rig = rig.having(
            firewall={
                "trusted": ["2001:db8:77::/48", "10.7.0.0/16"],
                "serviceCIDRs": ["fd00:10:96::/112"],
                "node": ["tcp/22", "tcp/8000-8100", "sctp/5000"],
                "expose": ["tcp/443", "udp/8000-8100"],
                "exposeFrom": "all",
                "metadata": ["64:ff9b::a9fe:a9fe", "169.254.42.42"],
                "hostPorts": "trusted",
            },
            runtimeConfig={
                "portMappings": list(map(_mapping, ("", site.node.ipv4, site.node.ipv6))),
                "io.kubernetes.cri.pod-annotations": {"slash80.io/expose": "sctp/9, tcp/9000-9100"},
            },
        )
        attachment = rig.attach()
        attachment.pod.ip("addr add fe80::77/64 dev eth0 nodad")
        assert ping(attachment.pod, "fe80::1%eth0", source="fe80::77%eth0") == 1  # an element with a timeout
        assert ping(site.internet, attachment.ipv6) == 1  # one with a rate
        before = _listed(host)

        saved = root.run("/usr/sbin/nft", "list", "ruleset", host=host)
        assert (0, b"") == (saved.returncode, saved.stderr)
        host.command("nft", "flush", "ruleset")
        (root.path / "saved").write_bytes(saved.stdout)
        loaded = root.run("/usr/sbin/nft", "-f", "/saved", host=host)
        assert (0, b"") == (loaded.returncode, loaded.stderr)

        assert before == _listed(host)
        rig.plugin.check(attachment.pod, rig.conf, attachment.result)
        rig.detach(attachment)


def test_it_lists_the_table_of_policies_and_loads_it_again(tmp_path: Path) -> None:
    """What nft 0.9.8 saves and restores of NetworkPolicies is what it was, by name and by rule."""
    root = of_debian("bullseye", tmp_path)
    node = Namespace.create(unique_name())
    table = PolicyTable(31)
    try:
        node.run(table.replace, EVERY_KIND)
        before, listed = node.run(table.read), _policies(node)
        assert before

        saved = root.run("/usr/sbin/nft", "list", "ruleset", host=node)
        assert (0, b"") == (saved.returncode, saved.stderr)
        node.command("nft", "flush", "ruleset")
        (root.path / "saved").write_bytes(saved.stdout)
        loaded = root.run("/usr/sbin/nft", "-f", "/saved", host=node)
        assert (0, b"") == (loaded.returncode, loaded.stderr)

        assert listed == _policies(node)
        assert before == node.run(reading.rules, table.dump)
    finally:
        table.close()
        node.delete()


def _policies(node: Namespace) -> str:
    return node.command("nft", "-s", "list", "table", "inet", "slash80-policy")


def _mapping(host_ip: str) -> dict[str, object]:
    return {"hostPort": 8080, "containerPort": 80, "hostIP": host_ip}


def _listed(host: Namespace) -> str:
    """Return the table as our nft lists it, without the time that is left of elements."""
    return re.sub(r" expires \w+", "", host.command("nft", "-s", "list", "table", "inet", "slash80"))
