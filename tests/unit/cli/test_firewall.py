"""`slash80 firewall show` in words, for what a kernel may have in force."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from slash80.addressing.metadata import SERVICES4, SERVICES6
from slash80.addressing.openings import PortMapping
from slash80.addressing.ports import TCP, UDP, PortRange
from slash80.cli import commands
from slash80.errors import FirewallUnusable
from slash80.firewall.in_force import Dropped, InForce
from slash80.firewall.installed import TableState
from slash80.firewall.records import Element, Ruleset
from slash80.host import kept_firewall
from slash80.host.kept_firewall import KeptFirewall
from slash80.netlink.codec import Step

RULESET = Ruleset("text", "fingerprint", ())
CLOSED = InForce(
    closed=True,
    strict=True,
    trusted=(ip_network("2001:db8:a::/48"),),
    services=(ip_network("10.96.0.0/16"),),
    echo=10,
    connections=2000,
    metadata=(*SERVICES4[1:], *SERVICES6),
    node=(PortRange("tcp", 22, 22), PortRange("udp", 8000, 8100)),
    expose=(PortRange("tcp", 443, 443),),
    exposed=((ip_address("10.80.1.5"), PortRange("udp", 53, 53)),),
    host_ports="trusted",
    mappings=(PortMapping(TCP, ip_address("0.0.0.0"), 8080, 80), PortMapping(UDP, ip_address("::1"), 53, 53)),
    masquerade=("ipv4",),
    pods=(ip_address("10.80.1.5"), ip_address("2001:db8:0:1:1::5")),
    dropped=(Dropped("untrusted", "ipv4", 7, 420), Dropped("untrusted", "ipv6", 0, 0)),
    misrouted=(Dropped("misrouted", "ipv6", 3, 180),),
    age=5.4,
)
REPAIRED = "put back 2 times since the boot, the last time since the table was deleted"
WORDS = [
    f"table      whole; of network net, put in place 5 s ago, {REPAIRED}",
    "pods       closed: hosts outside open no connection to them but as said here",
    "trusted    2001:db8:a::/48 on links that lead back to them",
    "services   NodePorts and load balancers lead everybody to pods, ClusterIPs (10.96.0.0/16) only who is trusted",
    "exposed    every pod tcp/443, 10.80.1.5 udp/53",
    "pings      10 a second from each source outside",
    "rate       2000 connections a second for each pod and source",
    "metadata   pods reach DNS and NTP only at 10 addresses of clouds; open: 169.254.169.254",
    "node       pods reach tcp/22, udp/8000-8100, DNS and Services on it",
    "host ports tcp 0.0.0.0:8080, udp [::1]:53; for trusted sources",
    "masquerade ipv4",
    "addresses  2 that pods send from",
    "misrouted  3 packets of ipv6 from trusted sources by links that do not lead back: 2001:db8:a::7 by eth1 lately",
    "",
    "DROPPED    FAMILY  PACKETS  BYTES  WHICH",
    "untrusted  ipv4    7        420    packets that opened a connection to a pod from outside",
]
WHOLE = TableState("fingerprint", "net", whole=True)
Show = Callable[..., tuple[int, str, str]]
OPEN = replace(CLOSED, closed=False, node=None, connections=-1, dropped=(), misrouted=(), age=None)
LATELY = Element("misrouted6", ("eth1", ip_address("2001:db8:a::7")))


@dataclass
class Table:
    """A kernel that has this in force, in a table of this state and digest."""

    found: InForce = CLOSED
    state: TableState | None = WHOLE
    digest_: str = "as it should be"
    allowed: bool = True

    def installed(self, _: Ruleset) -> TableState | None:
        """Return the state of the table."""
        if not self.allowed:
            raise FirewallUnusable("the kernel refuses to show it; run as root")
        return self.state

    def digest(self, _: Ruleset) -> str:
        """Return the hash of the rules."""
        return self.digest_

    def dump(self, _: Step) -> None:
        """Have nothing to list: what is in force is read by another."""

    def misrouted(self) -> frozenset[Element]:
        """Return links and sources."""
        return frozenset({LATELY})

    def close(self) -> None:
        """Be closed."""


class _AsItShouldBe:
    def digest(self, _: Ruleset) -> str:
        return "as it should be"


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a state directory whose calls have put the table in place."""
    monkeypatch.setattr("slash80.cli.firewall.Expected", _AsItShouldBe)
    kept_firewall.write(tmp_path, KeptFirewall(RULESET, "net", 2, "the table was deleted"))
    return tmp_path


@pytest.fixture
def show(state_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """Return a function that runs the command on a kernel, and returns exit code, output and errors."""

    def run(table: Table, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("slash80.cli.firewall.InstalledTable", lambda: table)
        monkeypatch.setattr("slash80.cli.firewall.in_force.read", lambda _: table.found)
        code = commands.main(["firewall", "show", "--state-dir", str(state_dir), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_closed_pods_are_shown_in_words(show: Show) -> None:
    """Who may open connections, what of the node is reached, and what was dropped; without what has counted nothing."""
    code, said, _ = show(Table())

    assert 0 == code
    assert WORDS == said.splitlines()


def test_open_pods_are_shown_in_words(show: Show) -> None:
    """What limits closed pods only is left out."""
    _, said, _ = show(Table(OPEN))

    names = [line.partition(" ")[0] for line in said.splitlines()]
    assert ["table", "pods", "rate", "metadata", "node", "host", "masquerade", "addresses", "", "nothing"] == names
    assert "pods reach everything on it" in said


@pytest.mark.parametrize(("echo", "word"), [(-1, "open"), (0, "drop"), (10, "limit")])
def test_programs_get_the_words_of_the_configuration(show: Show, echo: int, word: str) -> None:
    """Settings under the names and in the words in which they are given."""
    _, said, _ = show(Table(replace(CLOSED, echo=echo)), "-o", "json")
    found = json.loads(said)

    assert ("closed", word, ["tcp/22", "udp/8000-8100"]) == (found["mode"], found["echo"], found["node"])
    assert {"reason": "untrusted", "family": "ipv4", "packets": 7, "bytes": 420}.items() <= found["dropped"][0].items()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (Table(state=None), "there is no table inet slash80, so pods of this node are open to all"),
        (Table(state=TableState("", "", whole=True)), "table inet slash80 is another program's"),
        (Table(allowed=False), "the kernel refuses to show it; run as root"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(show: Show, table: Table, said: str) -> None:
    """With the next step, and exit code 1."""
    code, out, error = show(table)

    assert (1, "", 1) == (code, out, error.count("\n"))
    assert error.startswith(f"slash80 firewall show: {said}")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (Table(digest_="another"), "rules or sets were changed by another program"),
        (Table(state=TableState("fingerprint", "net", whole=False)), "it is dormant, so nothing is dropped"),
        (Table(state=TableState("fingerprint", "net", whole=False, damaged=("edge",))), "chains edge were changed"),
        (Table(state=TableState("other", "net", whole=True)), "another stateDir or version of slash80"),
    ],
)
def test_a_table_that_is_not_as_it_should_be_is_shown_and_named(show: Show, table: Table, said: str) -> None:
    """The rules that are in force matter most then; the exit code is 1."""
    code, out, _ = show(table)

    assert 1 == code
    assert out.startswith("table      NOT as it should be: ")
    assert said in out.splitlines()[0]
    assert "2001:db8:a::/48" in out
