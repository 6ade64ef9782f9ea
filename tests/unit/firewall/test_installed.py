"""The base table in the kernel: what is asked, and what is taken for whole."""

import errno
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import pytest

from slash80.errors import FirewallUnusable, InvalidConfig
from slash80.firewall import apply
from slash80.firewall.installed import InstalledTable, _comment
from slash80.firewall.records import Ruleset
from slash80.firewall.ruleset import build
from slash80.netlink.codec import Message, Response, Step, attribute
from unit.firewall.test_ruleset import CLOSED, SETTINGS

RULESET, OTHER = build(CLOSED), build(SETTINGS["echo-drop"])
GENERIC = bytes(4)


def _userdata(comment: str) -> bytes:
    text = comment.encode() + b"\0"
    return bytes([0, len(text)]) + text


@dataclass
class Tables:
    """The kernel's nf_tables: what it answers about the table and each chain, and what was put there."""

    table: Response = field(default_factory=lambda: Response(errno.ENOENT))
    chains: dict[str, Response] = field(default_factory=dict)
    put: list[str] = field(default_factory=list)
    works: bool = True
    rival: bool = False
    generation: int = 1
    asked: int = 0

    def __call__(self, protocol: int) -> Self:
        """Stand in for opening a socket."""
        if protocol != 12 or not self.works:
            raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")
        return self

    def close(self) -> None:
        """Be closed."""

    def exchange(self, steps: Sequence[Step]) -> list[Response]:
        """Answer about the generation, or the table, then about each chain by name."""
        self.asked += len(steps)
        if steps[0].what == "nft monitor":
            return [Response(messages=[Message(0, GENERIC + attribute(1, struct.pack(">I", self.generation)))])]
        names = [step.what.split()[3] for step in steps[1:]]
        return [self.table, *(self.chains.get(name, Response(errno.ENOENT)) for name in names)]

    def have(self, ruleset: Ruleset, comment: str) -> None:
        """Have the table as nft would make it."""
        body = GENERIC + attribute(1, b"slash80\0") + attribute(2, bytes(4)) + attribute(6, _userdata(comment))
        self.table = Response(messages=[Message(0, body)])
        for chain in ruleset.chains:
            self.lay(chain.name, len(chain.rules) + (0 if chain.hook else 2), hooked=bool(chain.hook))

    def lay(self, name: str, uses: int, *, hooked: bool = True) -> None:
        """Have a chain with so many rules."""
        body = GENERIC + (attribute(4, b"hook") if hooked else b"") + attribute(6, struct.pack(">I", uses))
        self.chains[name] = Response(messages=[Message(0, body)])
        self.generation += 1

    def delete_attachment(self, name: str) -> None:
        """Have a chain no more."""
        del self.chains[name]
        self.generation += 1

    def replace(self, ruleset: Ruleset, comment: str) -> None:
        """Stand in for nft."""
        self.put.append(comment)
        if not self.rival:
            self.have(ruleset, comment)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Return a kernel without the table, and an nft that changes it."""
    tables = Tables()
    monkeypatch.setattr("slash80.firewall.installed.Socket", tables)
    monkeypatch.setattr(apply, "replace", tables.replace)
    return tables


@pytest.fixture
def table(tables: Tables) -> InstalledTable:
    """Return the table as one call knows it."""
    return InstalledTable()


def _is_used(_: str) -> bool:
    return True


def _is_unused(_: str) -> bool:
    return False


def test_a_missing_table_is_put_in_place(tables: Tables, table: InstalledTable) -> None:
    """Its comment says the fingerprint and whose settings these are; a second time there is nothing to do."""
    assert not table.is_whole(RULESET)
    assert [True, False] == [table.ensure(RULESET, "net", _is_used) for _ in range(2)]
    assert [f"{RULESET.fingerprint} net"] == tables.put


def test_a_kernel_that_keeps_no_comment(tables: Tables, table: InstalledTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux before 5.10 has the rules and drops the table's comment; the error names the version that it takes."""
    monkeypatch.setattr(apply, "replace", lambda ruleset, _: tables.have(ruleset, ""))

    with pytest.raises(FirewallUnusable, match=r"does not keep the comment of table inet slash80, as Linux 5\.10"):
        table.ensure(RULESET, "net", _is_used)


HARMS: dict[str, Callable[[Tables], object]] = {
    "chain gone": lambda tables: tables.delete_attachment("edge"),
    "chain flushed": lambda tables: tables.lay("edge", 0),
    "rule gone": lambda tables: tables.lay("source", len(RULESET.chains[2].rules) - 1),
    "hook gone": lambda tables: tables.lay("edge", 50, hooked=False),
    "another comment": lambda tables: tables.have(RULESET, "somebody's"),
    "no comment": lambda tables: tables.have(RULESET, ""),
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
def test_a_table_that_somebody_changed_is_put_in_place_again(
    tables: Tables, table: InstalledTable, harm: Callable[[Tables], object]
) -> None:
    """A chain that is gone, lost rules or its hook, or another comment."""
    tables.have(RULESET, f"{RULESET.fingerprint} net")
    assert table.is_whole(RULESET)
    harm(tables)

    assert not table.is_whole(RULESET)
    assert table.ensure(RULESET, "net", _is_unused)
    assert table.is_whole(RULESET)


def test_a_table_that_nobody_touched_is_not_looked_at_again(tables: Tables, table: InstalledTable) -> None:
    """While no rule of the node has changed, the generation alone is asked; of other settings that says nothing."""
    tables.have(RULESET, f"{RULESET.fingerprint} net")
    assert table.is_whole(RULESET)
    before = tables.asked

    assert table.is_whole(RULESET)
    assert before + 1 == tables.asked
    assert not table.is_whole(OTHER)


def test_a_kernel_that_stopped_answering_is_asked_by_a_new_socket(tables: Tables, table: InstalledTable) -> None:
    """After an error nothing of what was seen is believed."""
    tables.have(RULESET, f"{RULESET.fingerprint} net")
    assert table.is_whole(RULESET)
    table.close()
    tables.works = False

    with pytest.raises(FirewallUnusable, match="enable nf_tables"):
        table.is_whole(RULESET)


def test_a_table_that_sleeps_is_not_whole(tables: Tables, table: InstalledTable) -> None:
    """The dormant flag switches all its rules off."""
    tables.have(RULESET, f"{RULESET.fingerprint} net")
    body = tables.table.messages[0].body.replace(attribute(2, bytes(4)), attribute(2, b"\0\0\0\1"))
    tables.table = Response(messages=[Message(0, body)])
    tables.generation += 1

    assert not table.is_whole(RULESET)


def test_other_settings_of_a_network_with_pods_are_kept(tables: Tables, table: InstalledTable) -> None:
    """A node has one firewall: it is code 7, naming both networks."""
    tables.have(RULESET, f"{RULESET.fingerprint} first")

    with pytest.raises(InvalidConfig, match="'second' differ from those of network 'first'"):
        table.ensure(OTHER, "second", _is_used)
    assert [] == tables.put


@pytest.mark.parametrize(("network", "in_use"), [("first", _is_used), ("second", _is_unused)])
def test_settings_may_be_changed(
    tables: Tables, table: InstalledTable, network: str, in_use: Callable[[str], bool]
) -> None:
    """By their own network, or when theirs has no pods here any more."""
    tables.have(RULESET, f"{RULESET.fingerprint} first")

    assert table.ensure(OTHER, network, in_use)
    assert [f"{OTHER.fingerprint} {network}"] == tables.put


def test_a_long_name_of_a_network_fits_into_the_comment(tables: Tables, table: InstalledTable) -> None:
    """Nft allows 128 bytes; the network is still known as the same one."""
    network = "n" * 300
    table.ensure(RULESET, network, _is_used)

    assert len(tables.put[0]) <= 128
    assert table.ensure(OTHER, network, _is_used)


def test_a_table_that_cannot_be_put_in_place_is_told(tables: Tables, table: InstalledTable) -> None:
    """When it is not there afterwards, somebody else writes the firewall: code 101."""
    tables.rival = True

    with pytest.raises(FirewallUnusable, match="changed 3 times while it was put in place"):
        table.ensure(RULESET, "net", _is_used)


def test_a_kernel_without_nf_tables_is_told(tables: Tables, table: InstalledTable) -> None:
    """It is code 101 with what to load."""
    tables.works = False

    with pytest.raises(FirewallUnusable, match="enable nf_tables"):
        table.is_whole(RULESET)


def test_a_kernel_that_refuses_is_told(tables: Tables, table: InstalledTable) -> None:
    """Without the rights, nothing is known about the table."""
    tables.table = Response(errno.EPERM)

    with pytest.raises(FirewallUnusable, match=r"EPERM.*run as root"):
        table.is_whole(RULESET)


@pytest.mark.parametrize(
    ("userdata", "comment"),
    [
        (b"\x00\x04abc\x00", "abc"),
        (b"\x00\x04abc\x00\x01\x02xy", "abc"),
        (b"\x00\x02\xff\x00", "\ufffd"),
        *((raw, "") for raw in (b"", b"\x00", b"\x00\x00", b"\x01\x04abc\x00")),
    ],
)
def test_the_comment_is_read_out_of_nfts_encoding(userdata: bytes, comment: str) -> None:
    """Type 0, length, text with a final zero; anything else is no comment."""
    assert comment == _comment(userdata)
