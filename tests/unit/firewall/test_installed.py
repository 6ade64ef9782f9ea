"""The table in the kernel: what is asked, what is taken for whole, and elements of pods."""

import errno
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from lab.rulesets import CLOSED, SETTINGS
from slash80.addressing.attachment import State
from slash80.errors import FirewallUnusable, InvalidConfig
from slash80.firewall import apply, messages
from slash80.firewall.apply import Refused
from slash80.firewall.elements import of_attachments
from slash80.firewall.installed import InstalledTable, NodePods, VerifiedGeneration
from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.records import Element
from slash80.firewall.ruleset import build
from slash80.netlink.codec import Message, Response, Step, attribute
from unit.builders import attachment
from unit.firewall.tables import Tables, userdata

RULESET, OTHER = build(CLOSED), build(SETTINGS["echo-drop"])
POD = attachment(network="first")
NEW = of_attachments([POD])


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Return a kernel without the table, and an nft that changes it."""
    tables = Tables()
    monkeypatch.setattr("slash80.firewall.nf_tables.Socket", tables)
    monkeypatch.setattr(apply, "replace", tables.replace)
    monkeypatch.setattr(apply, "rewrite", _refused)
    return tables


def _refused(script: str) -> None:
    raise Refused("nft refuses the base firewall", details=script)


@pytest.fixture
def table(tables: Tables) -> InstalledTable:
    """Return the table as one thread knows it."""
    return InstalledTable()


def _none() -> NodePods:
    return NodePods([])


def _one() -> NodePods:
    return NodePods([POD])


def test_a_missing_table_is_put_in_place(tables: Tables, table: InstalledTable) -> None:
    """Its comment says the fingerprint and whose settings these are; a second time there is nothing to do."""
    assert not table.is_whole(RULESET)
    assert [True, False] == [table.ensure(RULESET, "net", _one) for _ in range(2)]
    assert [f"{RULESET.fingerprint} net"] == tables.put


def test_a_kernel_that_keeps_no_comment_is_named(
    tables: Tables, table: InstalledTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux before 5.10 has the rules and drops the table's comment; the error names the version that it takes."""
    monkeypatch.setattr(apply, "replace", lambda ruleset, *_, **__: tables.have(ruleset, ""))

    with pytest.raises(FirewallUnusable, match=r"does not keep the comment of table inet slash80, as Linux 5\.10"):
        table.ensure(RULESET, "net", _one)


def test_other_settings_are_written_into_the_table_that_is_there(
    tables: Tables, table: InstalledTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sets stay, so that a packet that is under way finds what it asks for; only a repair deletes it."""
    written: list[str] = []
    monkeypatch.setattr(apply, "rewrite", written.append)
    tables.have(RULESET, f"{RULESET.fingerprint} net")
    table.install(OTHER, "net", _one(), facts=NodeFacts())
    (script,) = written
    assert "delete table" not in script
    assert f'chain inet slash80 about {{ comment "{OTHER.fingerprint} net" ; }}' in script

    table.install(OTHER, "net", _one(), facts=NodeFacts(), anew=True)
    assert ([script], [f"{OTHER.fingerprint} net"]) == (written, tables.put)


def test_a_table_of_an_older_version_is_made_anew(
    tables: Tables, table: InstalledTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its comment itself, by which that version would take the new rules for its own if it came back."""
    monkeypatch.setattr(apply, "rewrite", lambda _: pytest.fail("its rules were written again"))
    tables.have(RULESET, "")
    body = tables.table.messages[0].body + attribute(6, userdata(f"{RULESET.fingerprint} net"))
    tables.table = Response(messages=[Message(0, body)])
    assert table.is_whole(RULESET)

    table.install(OTHER, "net", _one(), facts=NodeFacts())
    assert [f"{OTHER.fingerprint} net"] == tables.put


HARMS: dict[str, Callable[[Tables], object]] = {
    "chain gone": lambda tables: tables.delete_attachment("edge"),
    "chain flushed": lambda tables: tables.lay("edge", 0),
    "rule gone": lambda tables: tables.lay("source", 3),
    "hook gone": lambda tables: tables.lay("edge", 50, hooked=False),
    "another comment": lambda tables: tables.have(RULESET, "another comment"),
    "no comment": lambda tables: tables.have(RULESET, ""),
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
def test_a_table_that_somebody_changed_is_put_in_place_again(
    tables: Tables, table: InstalledTable, harm: Callable[[Tables], object]
) -> None:
    """A table whose chain is gone, or lost rules or its hook, or that has another comment, is replaced."""
    tables.have(RULESET, f"{RULESET.fingerprint} net")
    assert table.is_whole(RULESET)
    harm(tables)

    assert not table.is_whole(RULESET)
    assert table.ensure(RULESET, "net", _none)
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
        table.ensure(OTHER, "second", _one)
    assert [] == tables.put


@pytest.mark.parametrize(("network", "pods"), [("first", _one), ("second", _none)])
def test_settings_may_be_changed(
    tables: Tables, table: InstalledTable, network: str, pods: Callable[[], NodePods]
) -> None:
    """A network may change its own settings, and those of a network that has no pods here any more."""
    tables.have(RULESET, f"{RULESET.fingerprint} first")

    assert table.ensure(OTHER, network, pods)
    assert [f"{OTHER.fingerprint} {network}"] == tables.put


def test_settings_are_refused_while_another_state_directory_has_pods(tables: Tables, table: InstalledTable) -> None:
    """Their links are enough to know; what opens this network's pods would open those as well, whatever its name is."""
    tables.have(RULESET, f"{RULESET.fingerprint} first")
    for network in ("first", "second"):
        with pytest.raises(InvalidConfig, match=f"of another stateDir has pods here, one behind {POD.host_ifname}"):
            table.ensure(OTHER, network, lambda: NodePods([], [POD]))
    assert [] == tables.put


def test_a_table_has_the_elements_of_other_state_directories(tables: Tables, table: InstalledTable) -> None:
    """With the same settings both use the table, and the one that puts it back does so for all."""
    assert table.ensure(RULESET, "net", lambda: NodePods([], [POD]))
    assert NEW == tables.elements


def test_a_long_name_of_a_network_fits_into_the_comment(tables: Tables, table: InstalledTable) -> None:
    """Nft allows 128 bytes; the network is still known as the same one."""
    network = "n" * 300
    table.ensure(RULESET, network, _none)

    assert len(tables.put[0]) <= 128
    assert table.ensure(OTHER, network, lambda: NodePods([replace(POD, network=network)]))


def test_a_table_that_cannot_be_put_in_place_is_told(tables: Tables, table: InstalledTable) -> None:
    """If it is missing afterwards, another program writes the firewall: code 101."""
    tables.rival = True

    with pytest.raises(FirewallUnusable, match="changed 3 times while it was put in place"):
        table.ensure(RULESET, "net", _one)


def test_a_kernel_without_nf_tables_is_told(tables: Tables, table: InstalledTable) -> None:
    """ADD fails with code 101, and the message says what to load."""
    tables.works = False

    with pytest.raises(FirewallUnusable, match="enable nf_tables"):
        table.is_whole(RULESET)


def test_a_kernel_that_refuses_is_told(tables: Tables, table: InstalledTable) -> None:
    """A process without the rights to read the table fails, rather than taking it for missing."""
    tables.table = Response(errno.EPERM)

    with pytest.raises(FirewallUnusable, match=r"EPERM.*run as root"):
        table.is_whole(RULESET)


def test_a_new_pod_is_added_without_a_question(tables: Tables, table: InstalledTable) -> None:
    """The change names the generation at which the table was whole; ADD of the same pod again changes nothing."""
    table.ensure(RULESET, "net", _none)
    before = tables.asked

    assert not table.ensure(RULESET, "net", _one, new=NEW)
    assert NEW == tables.elements
    assert not table.ensure(RULESET, "net", _one, new=NEW)
    assert before + 2 == tables.asked


@pytest.mark.parametrize("new", [frozenset(), of_attachments([attachment(2)])])
def test_a_table_is_installed_with_the_elements_of_all_pods(
    tables: Tables, table: InstalledTable, new: frozenset[Element]
) -> None:
    """Those of the store and the one that comes; links that wait for their deletion need none."""
    attachments = [POD, attachment(3, state=State.TERMINATING)]

    assert table.ensure(RULESET, "net", lambda: NodePods(attachments), new=new)
    assert NEW | new == tables.elements


def test_a_table_is_installed_with_what_is_true_of_the_node(tables: Tables, table: InstalledTable) -> None:
    """In the same transaction, so that no address of the node's is believed from outside at any moment."""
    facts = NodeFacts.of([ip_network("2001:db8:0:1:1::/80")], {("eth0", "eth1")})
    table.ensure(RULESET, "net", _one, facts=lambda: facts)

    assert facts == tables.facts


def test_a_commit_of_another_process_of_the_agent_is_known(tables: Tables) -> None:
    """A pod that one process has added is no reason for the others to look at the whole table."""
    verified = VerifiedGeneration()
    one, other = InstalledTable(verified), InstalledTable(verified)
    one.ensure(RULESET, "net", _none)
    one.ensure(RULESET, "net", _one, new=NEW)
    other.change(delete=NEW)
    before = tables.asked

    assert one.is_whole(RULESET)
    assert other.is_whole(RULESET)
    assert before + 2 == tables.asked


def test_the_nodes_own_prefixes_are_read_once_for_each_look_at_the_table(
    tables: Tables, table: InstalledTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods of ours begin no new look; a foreign commit, after which the sets may say something else, does."""
    read: list[str] = []
    dump = tables.dump

    def noted(step: Step) -> list[Message]:
        read.append(str(step.values[0]))
        return dump(step)

    monkeypatch.setattr(tables, "dump", noted)
    table.ensure(RULESET, "net", _none)
    table.own()
    table.ensure(RULESET, "net", _one, new=NEW)
    table.own()
    assert ["own4", "own6"] == read

    tables.generation += 1
    table.ensure(RULESET, "net", _none)
    table.own()
    assert ["own4", "own6"] * 2 == read


def test_a_foreign_commit_is_noticed_by_the_next_pod(tables: Tables, table: InstalledTable) -> None:
    """A chain that was deleted since is there again before the pod's element, which is not lost."""
    table.ensure(RULESET, "net", _none)
    tables.delete_attachment("edge")

    assert table.ensure(RULESET, "net", _none, new=NEW)
    assert "edge" in tables.chains
    assert NEW == tables.elements


@pytest.mark.parametrize("commits", [1, 2, 3, 4])
def test_a_commit_between_look_and_change_is_no_commit_of_ours(
    tables: Tables, table: InstalledTable, commits: int
) -> None:
    """The pod gets its element, however often that happens, and the next look is at the whole table if need be."""
    table.ensure(RULESET, "net", _none)
    tables.commits = commits

    assert not table.ensure(RULESET, "net", _one, new=NEW)
    assert NEW == tables.elements
    tables.delete_attachment("edge")
    assert not table.is_whole(RULESET)


def test_a_commit_of_ours_to_another_table_needs_no_look_at_this_one(tables: Tables, table: InstalledTable) -> None:
    """It costs one question; a foreign commit that came before it is noticed all the same."""
    table.ensure(RULESET, "net", _none)
    tables.generation += 1
    table.passed_over(tables.generation)
    before = tables.asked
    assert table.is_whole(RULESET)
    assert before + 1 == tables.asked

    tables.delete_attachment("edge")
    tables.generation += 1
    table.passed_over(tables.generation)
    assert not table.is_whole(RULESET)


def test_a_change_after_a_foreign_commit_claims_nothing(tables: Tables, table: InstalledTable) -> None:
    """Deleting an element needs no whole table, and does not make others believe in one."""
    table.ensure(RULESET, "net", _one)
    tables.delete_attachment("edge")
    table.change(delete=NEW)

    assert set() == tables.elements
    assert not table.is_whole(RULESET)


def test_a_table_that_was_never_looked_at_is_not_whole_after_a_change(tables: Tables, table: InstalledTable) -> None:
    """An engine that only deletes elements makes no claim about the rest of the table."""
    tables.have(RULESET, f"{RULESET.fingerprint} net")
    table.change(add=NEW)
    tables.delete_attachment("edge")

    assert not table.is_whole(RULESET)


def test_elements_are_read_back(tables: Tables, table: InstalledTable) -> None:
    """Elements of both families are read from the kernel; without a table the answer is None."""
    assert table.elements() is None
    table.change(delete=NEW)
    table.ensure(RULESET, "net", _one)

    assert NEW == table.elements()


def test_many_elements_are_changed_in_several_transactions(tables: Tables, table: InstalledTable) -> None:
    """An attribute holds at most 64 KiB, so a thousand elements are sent in parts."""
    table.ensure(RULESET, "net", _none)
    address = ip_address("2001:db8::")
    many = {Element("pods6", (f"s80{number:012}", address + number)) for number in range(1200)}
    table.change(add=many)

    assert many == tables.elements
    assert table.is_whole(RULESET)


def test_a_change_that_is_refused_is_told(tables: Tables, table: InstalledTable) -> None:
    """The error has the `nft` command that would do the same."""
    table.ensure(RULESET, "net", _none)
    tables.refusal = errno.EPERM

    with pytest.raises(FirewallUnusable, match=r"'nft add element inet slash80 pods\d .*EPERM; run as root"):
        table.ensure(RULESET, "net", _none, new=NEW)


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
    """Type 0, length, text with a final zero; anything else is not a comment."""
    assert comment == messages.comment_of(userdata)
