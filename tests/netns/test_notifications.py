"""A netlink socket that is told of changes: what other programs did does not answer what it asks meanwhile."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab.namespaces import Namespace, unique_name
from slash80.netlink.socket import Socket
from slash80.wiring import link_messages, query
from unit.wiring.plans import PLAN

RTNLGRP_LINK = 1
MADE = 3  # links by the other program, with the numbers of the questions that follow


@pytest.fixture
def pair() -> Iterator[tuple[Namespace, Namespace]]:
    """Provide a node and a pod."""
    node, pod = Namespace.create(unique_name()), Namespace.create(unique_name())
    try:
        yield node, pod
    finally:
        pod.delete()
        node.delete()


def test_the_echo_of_another_programs_link_does_not_answer(pair: tuple[Namespace, Namespace]) -> None:
    """It has the number and the port of the request that made the link; an ADD deleted another call's link for it."""
    node, pod = pair
    with (
        node.run(Socket) as asking,
        node.run(Socket) as making,
        pod.path.open("rb") as netns,
        asking.subscribed(RTNLGRP_LINK),
    ):
        for number in range(MADE):
            plan = replace(PLAN, host_ifname=f"s80other{number}", ifname=f"eth{number}")
            making.run([link_messages.create_pair(plan, netns.fileno())])
        found = [query.link(asking, "lo") for _ in range(MADE)]

    assert ["lo"] * MADE == [link.name if link else "" for link in found]
