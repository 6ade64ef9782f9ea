"""The limits that docs/clusters.md promises: the figures are the code's, and what clustersets are for is within."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.members import member
from slash80.clusterset import client, connection_limits, feed, follower, refuse, state, volume, wire
from slash80.clusterset.exporter import Exporter
from slash80.clusterset.known import Reading
from slash80.clusterset.placement import MOST as IN_A_SLICE
from slash80.clusterset.records import Name
from slash80.clusterset.refuse import Admission, Limits
from slash80.settings import clusterset
from unit.clusterset.exports import endpoints, export

PAGE = (Path(__file__).parents[3] / "docs/clusters.md").read_text(encoding="utf-8")
ROWS = [
    line.split("|")[1:3] for line in PAGE.partition("## Limits")[2].partition("\n## ")[0].splitlines() if "|" in line
]
OURS = member(0)


def lengths(key: str) -> int:
    """Return how many values a member's key may have."""
    found = clusterset.Member.model_json_schema()["properties"][key]["maxItems"]
    assert isinstance(found, int)
    return found


def mib(size: int) -> str:
    """Write a size as the page does."""
    return f"{size >> 20} MiB"


def none(what: str) -> Limits:
    """Return limits by which a member may have nothing of something."""
    return Limits(most=volume.MOST | {what: 0})


FIGURES = {
    "members": ("1,000 members", clusterset.Clusterset.model_json_schema()["properties"]["members"]["maxItems"]),
    "prefixes": ("256 prefixes", lengths("prefixes")),
    "certificates": ("2 certificates", lengths("certificates")),
    "places": ("8 places", lengths("at")),
    "namespaces": ("1,024 namespaces", lengths("namespaces")),
    "exports": ("1,000 exported Services of a member", volume.MOST[volume.SERVICES]),
    "endpoints": ("50,000 endpoints", volume.MOST[volume.ENDPOINTS]),
    "slices of a member": ("5,000 EndpointSlices", volume.MOST[volume.SLICES]),
    "ports of a member": ("50,000 ports of these", volume.MOST[volume.PORTS]),
    "endpoints of a Service": ("10,000 endpoints, ", volume.OF_ONE[volume.ENDPOINTS]),
    "ports of a Service": ("10,000 ports of EndpointSlices", volume.OF_ONE[volume.PORTS]),
    "endpoints of a slice": ("100 endpoints in a slice", Limits().endpoints_per_slice),
    "slices": ("1,000 slices", wire.SLICES),
    "ports": ("100 ports", wire.PORTS),
    "labels": ("64 labels or annotations", wire.PAIRS),
    "nested": ("100,000 arrays and objects", client._NESTED),
    "connections": ("256 connections", connection_limits.MOST),
    "connections of a member": ("4 of a member", connection_limits.EACH),
    "connections of strangers": ("64 that have not shown", connection_limits.UNPROVED),
    "exports in the state": ("200 exports", state.EXPORTS),
    "examples": ("8 examples", state.EXAMPLES),
}


@pytest.mark.parametrize(("words", "figure"), FIGURES.values(), ids=FIGURES)
def test_the_page_has_the_figures_of_the_code(words: str, figure: int) -> None:
    """Each limit is named in the table's first column, with the number that is in force."""
    assert int(re.sub(r"\D", "", words.split(maxsplit=1)[0])) == figure
    assert [row for row, _ in ROWS if words in row]


@pytest.mark.parametrize(
    "words",
    [
        f"at most {mib(clusterset._BYTES)}",
        mib(feed.LINE),
        f"{mib(client.MOST)} for an answer",
        mib(follower._RATE),
        f"{mib(volume.MOST[volume.BYTES])} of text",
        f"{mib(volume.OF_ONE[volume.BYTES])} of text",
    ],
)
def test_the_page_has_the_sizes_of_the_code(words: str) -> None:
    """The file, a Service, an answer, and answers of a second."""
    assert [row for row, _ in ROWS if words in row]


def test_an_exporter_and_an_importer_agree_on_what_is_too_much() -> None:
    """What the exporter's condition says that others take is what they take, and slices are divided for that."""
    default = Exporter.exported.__kwdefaults__

    assert default
    assert Limits().most is default["most"]
    assert volume.OF_ONE[volume.SLICES] == wire.SLICES
    assert Limits().endpoints_per_slice == IN_A_SLICE


def test_a_member_of_a_large_clusterset_is_within_the_limits() -> None:
    """1,000 exports of 10 endpoints are sent in one answer, and all of them are believed."""
    exports = [
        replace(export(), name=Name("shop", f"db-{number}"), slices=(endpoints(0, count=10),)) for number in range(1000)
    ]
    sent = feed.Feed("epoch", encode=wire.encode)
    sent.publish({one.name: one for one in exports})
    answer = sent.answer("", 0)
    assert answer
    body = gzip.decompress(answer.body)
    head, *lines = map(json.loads, body.splitlines())
    known = Reading(None, head, admission=lambda: Admission(OURS, lambda: {"shop"})).take(lines)

    assert len(body) * 10 < client.MOST
    assert 1000 == len(known.exports)
    assert not known.admission.refused


@pytest.mark.parametrize(
    ("limits", "reason", "words"),
    [
        (none(volume.SERVICES), refuse.SERVICES, "shop/db: member 'c0' exports more than 0 Services"),
        (none(volume.ENDPOINTS), refuse.ENDPOINTS, "shop/db: member 'c0' exports more than 0 endpoints"),
        (none(volume.SLICES), refuse.SLICES, "shop/db: member 'c0' exports more than 0 EndpointSlices"),
        (none(volume.PORTS), refuse.SLICES, "shop/db: member 'c0' exports more than 0 ports of EndpointSlices"),
        (Limits(endpoints_per_slice=0), refuse.ENDPOINTS, "shop/db: a slice has more than 0 endpoints"),
    ],
)
def test_a_refusal_names_the_limit(limits: Limits, reason: str, words: str) -> None:
    """People read in `status` which limit it was, of which Service and which member."""
    found = Admission(OURS, lambda: {"shop"}, limits)
    found.admit(wire.encode(export()))

    assert {reason: 1} == found.refused
    assert words in found.examples[0]
