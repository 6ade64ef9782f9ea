"""`slash80 firewall show` on a node: what is in force there and what was dropped, as the kernel has it."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab import forgery
from lab.attacker import Attacker
from lab.rig import Rig, changed
from netns.conftest import root


def shown(rig: Rig, *words: str, code: int = 0) -> str:
    """Run the command, which must end with this code, and return what it prints."""
    command = f'"$0" firewall show --state-dir "$1" {" ".join(words)} 2>&1; echo $?'
    program = root() / "opt/cni/bin/slash80"
    *lines, ended = rig.host.command("sh", "-c", command, str(program), str(rig.state_dir)).splitlines()
    assert code == int(ended), "\n".join(lines)
    return "\n".join(lines)


def document(rig: Rig, *, code: int = 0) -> dict[str, Any]:
    """Return what programs get."""
    found: dict[str, Any] = json.loads(shown(rig, "-o", "json", code=code))
    return found


def test_the_default_rules_are_shown(rig: Rig) -> None:
    """Closed but for Services, with the table whole and just put in place."""
    pod = rig.attach()
    found = document(rig)

    table = found.pop("table")
    assert (True, "slash80", 0) == (table["whole"], table["network"], table["repairs"])
    assert 0 <= found.pop("age") < 600
    expected: dict[str, Any] = {
        "mode": "closed",
        "trusted": [],
        "trustedSource": "strict",
        "services": [],
        "echo": "limit",
    }
    expected |= {"echoRate": 10, "metadata": [], "node": "open", "masquerade": ["ipv4"]}
    assert expected == {key: found[key] for key in expected}
    assert set(pod.addresses) == set(found["podAddresses"])
    assert "169.254.169.254" in found["metadataClosed"]


def test_what_is_opened_and_closed_is_shown(rig: Rig) -> None:
    """Every setting as the kernel's sets and rules have it, ports and ranges too."""
    node = ["tcp/22", "tcp/8000-8100", "tcp/65000-65535", "udp/1"]
    firewall = {"trusted": ["2001:db8:ffff::/64", "198.51.100.0/24"], "trustedSource": "loose", "node": node}
    firewall |= {"serviceCIDRs": ["10.96.0.0/16"], "echo": "drop", "metadata": ["169.254.169.254"]}
    rig = rig.having(firewall=firewall, ipv6={"masquerade": True})
    rig.attach()
    found = document(rig)

    expected = {"trusted": ["198.51.100.0/24", "2001:db8:ffff::/64"], "trustedSource": "loose", "node": node}
    expected |= {"services": ["10.96.0.0/16"], "echo": "drop", "metadata": ["169.254.169.254"]}
    assert expected | {"masquerade": ["ipv4", "ipv6"]} == {key: found[key] for key in (*expected, "masquerade")}


@pytest.mark.parametrize("whose", ["all", "none"])
def test_exposed_ports_are_shown(rig: Rig, whose: str) -> None:
    """Those of every pod, and those of single pods if their annotations count."""
    rig = rig.having(firewall={"expose": ["tcp/443", "udp/5000-6000"], "exposeFrom": whose})
    annotations = {"slash80.io/expose": "tcp/8000-8100"}
    conf = changed(rig.conf, runtimeConfig={"io.kubernetes.cri.pod-annotations": annotations})
    pod = rig.attach(None, conf)
    found = document(rig)

    assert ["tcp/443", "udp/5000-6000"] == found["expose"]
    assert ({f"{one} tcp/8000-8100" for one in pod.addresses} if whose == "all" else set()) == set(found["exposed"])


@pytest.mark.parametrize("reached", ["open", "trusted", "none"])
def test_host_ports_are_shown(rig: Rig, reached: str) -> None:
    """Which there are, by one address or by every one, and from where they are reached."""
    rig = rig.having(firewall={"hostPorts": reached})
    asked = [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": rig.node.ipv4},
        {"hostPort": 53, "containerPort": 53, "protocol": "udp"},
    ]
    rig.attach(None, changed(rig.conf, runtimeConfig={"portMappings": asked}))
    found = document(rig)

    assert reached == found["hostPorts"]
    assert {f"tcp {rig.node.ipv4}:8080", "udp 0.0.0.0:53", "udp [::]:53"} == set(found["portMappings"])


def test_an_open_network_is_shown(rig: Rig) -> None:
    """Nothing is trusted or pinged less than anything else; metadata services are closed all the same."""
    rig.having(firewall={"mode": "open", "node": []}).attach()
    said = shown(rig)

    assert "open to everybody" in said
    assert "pods reach DNS and NTP only at 11 addresses" in said
    assert "pods reach DNS and Services on it" in said


def test_what_was_dropped_is_shown_by_reason_and_family(routed: Rig, attacker: Attacker) -> None:
    """Packets and bytes, of a stranger's connections and of a pod that asks for credentials."""
    pod = routed.attach()
    attacker.strike(*pod.addresses, ports=(22,))
    for _ in range(3):
        forgery.send(pod.pod, forgery.datagram((pod.ipv6, 4711), ("fd00:ec2::254", 80)))
    assert [] == attacker.answers(*pod.addresses)
    found = {(one["reason"], one["family"]): (one["packets"], one["bytes"]) for one in document(routed)["dropped"]}

    assert 2 == found["untrusted", "ipv4"][0] == found["untrusted", "ipv6"][0]
    assert (3, 3 * 48) == found["metadata", "ipv6"]
    assert (0, 0) == found["metadata", "ipv4"]
    row = next(line.split() for line in shown(routed).splitlines() if line.startswith("metadata  ") and "ipv6" in line)
    assert ["metadata", "ipv6", "3", "144", "packets"] == row[:5]


def test_a_missing_table_is_one_sentence(rig: Rig) -> None:
    """With what it means, and what to do."""
    rig.attach()
    rig.host.nft("delete table inet slash80")

    said = "there is no table inet slash80, so pods of this node are open to all"
    next_step = "the next ADD or an agent puts it in place"
    assert f"slash80 firewall show: {said}; {next_step}" == shown(rig, code=1)


def test_another_programs_table_is_one_sentence(rig: Rig) -> None:
    """Its rules are nothing that could be said in words."""
    rig.host.nft("add table inet slash80")

    assert "is another program's" in shown(rig, code=1)


def test_a_changed_table_is_named(rig: Rig) -> None:
    """Whether a rule was added, or only a prefix to a set; the rest is shown as it is."""
    rig.attach()
    rig.host.nft("add element inet slash80 trusted6 { 2001:db8:bad::/48 }")
    found = document(rig, code=1)
    assert (False, ["2001:db8:bad::/48"]) == (found["table"]["whole"], found["trusted"])

    rig.host.nft("insert rule inet slash80 edge accept")
    assert "NOT as it should be: chains edge were changed by another program" in shown(rig, code=1)


def test_another_state_directory_cannot_say_what_should_be(rig: Rig, tmp_path: Path) -> None:
    """What is in force is shown all the same."""
    rig.attach()
    other = Rig(rig.site, rig.node, rig.plugin, {**rig.conf, "stateDir": str(tmp_path / "other")})

    assert "closed" == document(other, code=1)["mode"]
