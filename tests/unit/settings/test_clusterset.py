"""`clusterset.yaml`: one file says who belongs together; it is used whole or not at all."""

import datetime as dt
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import members
from slash80.errors import InvalidConfig
from slash80.settings import clusterset
from slash80.settings.clusterset import Place

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True) | st.sampled_from(
    ["no", "1e3", "null", "0"]
)


def refusal(text: str) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(InvalidConfig) as caught:
        clusterset.parse(text, "clusterset.yaml")
    assert "\n" not in caught.value.msg
    return caught.value.msg


def test_every_key_is_read() -> None:
    """A member has its id, prefixes, certificates as bytes, places, day and namespaces."""
    found = members.member(
        7, at=["[2001:DB8::a1]:8180", "eu.example.net:443", "192.0.2.1:1"], namespaces=["shop", "pay"]
    )

    assert ("c7", (ip_network("2001:db8:7::/48"),)) == (found.id, found.prefixes)
    assert (members.certificate(7),) == found.certificates
    assert (Place("2001:db8::a1", 8180), Place("eu.example.net", 443), Place("192.0.2.1", 1)) == found.at
    assert (dt.date(2026, 11, 27), ("shop", "pay")) == (found.since, found.namespaces)


def test_members_are_found_by_id_and_by_certificate() -> None:
    """A cluster finds itself by its own certificate, and only by exactly that one."""
    found = members.clusterset(3)

    assert found.members[1] == found.member("c1") == found.with_certificate(members.certificate(1))
    assert (found.members[0], found.members[2]) == found.others("c1")
    assert found.member("c9") is found.with_certificate(members.certificate(9)) is None


@pytest.mark.parametrize(
    ("listed", "namespace", "allowed"),
    [
        (["*"], "shop", True),
        (["*"], "kube-system", False),
        (["shop"], "shop", True),
        (["shop"], "pay", False),
        ([], "shop", False),
    ],
)
def test_a_member_exports_from_its_namespaces_only(listed: list[str], namespace: str, *, allowed: bool) -> None:
    """All namespaces only when it says so, and those of Kubernetes never."""
    assert allowed == members.member(namespaces=listed).may_export(namespace)


@pytest.mark.parametrize("key", ["id", "prefixes", "certificates", "since", "namespaces"])
def test_a_key_without_a_default_has_to_be_there(key: str) -> None:
    """Nothing is assumed of whom to trust: the entry and the key are named."""
    entry = members.entry(1)
    del entry[key]
    found = refusal(members.text(entry))

    assert f"the key '{key}' is missing" in found
    assert "members[0]" in found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "EU"}, "member 'EU' (members[1]): the key 'id' has the value 'EU': it is not a DNS label"),
        ({"id": "a" * 64}, "it is not a DNS label"),
        ({"id": "a.b"}, "it is not a DNS label"),
        ({"id": False}, "'id' has the value false: it is read as a number"),
        ({"id": "c0"}, "members 'c0' and 'c0' both have id 'c0'; keep one of them"),
        ({"prefixes": []}, "'prefixes' has the value []"),
        ({"prefixes": ["2001:db8:1::1/48"]}, "'prefixes[0]' has the value '2001:db8:1::1/48'"),
        ({"prefixes": ["2001::/20"]}, "it is too much to trust; give /32 or longer"),
        ({"prefixes": ["128.0.0.0/7"]}, "give /8 or longer"),
        ({"prefixes": ["fe80:1::/64"]}, "link-local"),
        ({"prefixes": ["ff02::/64"]}, "multicast"),
        ({"prefixes": ["::1/128"]}, "loopback"),
        ({"prefixes": ["::/128"]}, "unspecified"),
        ({"prefixes": ["::ffff:10.0.0.0/104"]}, "IPv4-mapped"),
        ({"prefixes": ["64:ff9b::/96"]}, "NAT64"),
        ({"prefixes": ["2002:a00::/40"]}, "6to4"),
        ({"prefixes": ["4000::/32"]}, "neither global unicast nor ULA"),
        ({"prefixes": ["169.0.0.0/8"]}, "link-local"),
        ({"prefixes": ["2001:db8:1::/64"] * 257}, "'prefixes'"),
        ({"prefixes": ["2001:db8::/40"]}, "member 'c1' has the prefix 2001:db8::/40 and member 'c0' 2001:db8::/48"),
        ({"prefixes": ["2001:db8:0:1::/64"]}, "member 'c0' has the prefix 2001:db8::/48 and member 'c1'"),
        ({"certificates": []}, "'certificates' has the value []"),
        ({"certificates": ["MIH1"]}, "'certificates[0]' has the value 'MIH1': it is not exactly one DER certificate"),
        ({"certificates": ["-"]}, "it is not base64"),
        ({"certificates": [members.encoded(members.LEAF + b"\0")]}, "not exactly one"),
        ({"certificates": [members.encoded(b"\x30\x01\x00")]}, "it is not a DER certificate"),
        ({"certificates": [members.encoded(bytes(5000))]}, "4096 bytes"),
        ({"certificates": [members.encoded(members.certificate(n)) for n in (1, 2, 3)]}, "'certificates'"),
        ({"certificates": [members.encoded(members.certificate(0))]}, "members 'c0' and 'c1' both have certificates"),
        ({"at": ["eu.example.net"]}, "'at[0]' has the value 'eu.example.net': it must be 'host:port'"),
        ({"at": ["eu_1:80"]}, "its host is not a DNS name"),
        ({"at": ["[fe80::1%eth0]:80"]}, "has a zone"),
        ({"at": ["a:65536"]}, "it must be 'host:port'"),
        ({"since": "yesterday"}, "it must be a date such as 2026-11-27"),
        ({"since": dt.datetime(2026, 1, 1, 1, tzinfo=dt.UTC)}, "without a time"),
        ({"namespaces": ["kube-system"]}, "'namespaces[0]' has the value 'kube-system'"),
        ({"namespaces": ["team-*"]}, "it is not a DNS label"),
        ({"namespaces": ["*", "shop"]}, "keep '*' or the others"),
        ({"namespace": ["shop"]}, "the key 'namespace' with value [\"shop\"] is not known; remove it"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], words: str) -> None:
    """One sentence names the entry, the key, the value and what to do."""
    assert words in refusal(members.text(members.entry(0), members.entry(1, **changes)))


@pytest.mark.parametrize("kind", members.AUTHORITIES)
def test_a_certificate_that_could_vouch_for_others_is_refused(kind: str) -> None:
    """OpenSSL would trust whatever its owner signs, in each of the ways in which it takes one for a CA's."""
    assert "it is a CA's" in refusal(members.text(members.entry(1, certificates=[members.AUTHORITIES[kind]])))


def test_a_certificate_without_extensions_is_its_owners_only() -> None:
    """A version 3 certificate that does not speak of CAs cannot vouch, and OpenSSL takes nothing that it signed."""
    assert members.member(certificates=[members.encoded(members.WITHOUT_EXTENSIONS)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must have keys with values"),
        ("[]", "must have keys with values"),
        ("name: shop\nmembers: []", "'members'"),
        ("members: [1]\nname: shop", "members[0]: it must have keys with values"),
        ("a: [", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("since: 2026-02-30", "cannot be read"),
        (f"# {'x' * (1 << 20)}", "1048576 bytes"),
        ("name: shop\nName: pay", "line 2 has the key 'name' for the second time"),
        ("name: &a shop\nmembers: [*a]", "an alias (*) repeats line 1, which is not supported"),
        ("name: \ud800", "cannot be read"),
    ],
)
def test_another_file_is_refused(text: str, words: str) -> None:
    """Nothing of it is guessed, and no entry is lost to a key that is there twice."""
    assert words in refusal(text)


def test_a_key_that_is_there_twice_in_an_entry_is_refused() -> None:
    """YAML's readers would silently keep the later list of namespaces."""
    text = members.text(members.entry(0)).replace("  since:", "  namespaces: []\n  since:")

    assert "has the key 'namespaces' for the second time" in refusal(text)


def test_prefixes_within_one_anothers_are_a_members_own_matter() -> None:
    """A member may list a prefix that another of its own has, and what lies behind is still compared with others."""
    nested = ["2001:db8::/40", "2001:db8:1::/48"]
    assert 2 == len(members.member(0, prefixes=nested).prefixes)

    text = members.text(members.entry(0, prefixes=nested), members.entry(2, prefixes=["2001:db8:2::/48"]))
    assert "member 'c0' has the prefix 2001:db8::/40 and member 'c2' 2001:db8:2::/48" in refusal(text)


def test_members_have_to_be_able_to_find_one_another() -> None:
    """One place is enough for all of them, and one member alone needs none."""
    entries = [members.entry(number, at=[]) for number in range(2)]

    assert "no member has an 'at'" in refusal(members.text(*entries))
    assert clusterset.parse(members.text(entries[0]))
    assert clusterset.parse(members.text(entries[0], members.entry(1)))


def test_the_addresses_of_services_are_not_members() -> None:
    """What is a Service here would be trusted as another cluster's pods: member and both prefixes are named."""
    found = members.clusterset(2)
    clusterset.refuse_overlaps(found, [ip_network("10.96.0.0/12"), ip_network("2001:db8:2::/108")])

    with pytest.raises(
        InvalidConfig, match=r"member 'c1' has the prefix 2001:db8:1::/48, which overlaps 2001:db8:1::/108"
    ):
        clusterset.refuse_overlaps(found, [ip_network("2001:db8:1::/108")])


ENTRIES = st.fixed_dictionaries(
    {
        "at": st.just(["[::1]:1", "no:8180"]),
        "since": st.dates(),
        "namespaces": st.just(["*"]) | st.lists(LABELS, max_size=3),
    }
)


@given(st.lists(LABELS, min_size=1, max_size=4, unique=True), st.data(), LABELS)
def test_what_is_written_for_people_is_read_as_the_same(ids: list[str], data: st.DataObject, name: str) -> None:
    """Rendering loses nothing, whatever YAML would make of a name, and rendering that again changes nothing."""
    entries = [members.entry(number, id=one, **data.draw(ENTRIES)) for number, one in enumerate(ids)]
    found = clusterset.parse(members.text(*entries, name=name))
    text = clusterset.render(found)

    assert found == clusterset.parse(text)
    assert text == clusterset.render(clusterset.parse(text))
    assert text.endswith(clusterset.entry(found.members[-1]))


def test_a_thousand_members_fit() -> None:
    """Their file has the room of a ConfigMap."""
    assert 1000 == len(members.clusterset(1000).members)
