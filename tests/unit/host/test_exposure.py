"""Whose annotation opens ports: by settings and namespaces, at ADD and for pods that run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from slash80.addressing.attachment import Attachment, Pod, State
from slash80.addressing.openings import Openings
from slash80.addressing.ports import PortRange
from slash80.errors import FirewallUnusable
from slash80.firewall.elements import of_attachments
from slash80.host import exposure
from slash80.host.context import Host
from slash80.settings import policy
from slash80.settings.network import NetConf
from unit.builders import attachment, host_in, netconf
from unit.host.tables import FakeTable
from unit.kernels import Kernel

PORTS = (PortRange("tcp", 443, 443),)
OPEN, CLOSED = Openings(expose=PORTS, expose_allowed=True), Openings(expose=PORTS)


def conf(state_dir: Path, expose_from: str) -> NetConf:
    """Return a network whose annotations count as the word says."""
    return netconf(stateDir=str(state_dir), firewall={"exposeFrom": expose_from})


def tell(state_dir: Path, *namespaces: str) -> None:
    """Write what the agent writes."""
    (state_dir / policy.NAME).write_text(
        json.dumps(policy.document(enforced=False, isolated=(), may_expose=namespaces))
    )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Return a host over a state directory that is there."""
    return host_in(tmp_path, Kernel({}))


def of(host: Host) -> FakeTable:
    """Return the host's firewall."""
    assert isinstance(host.table, FakeTable)
    return host.table


@pytest.mark.parametrize("namespace", ["team-a", ""])
def test_all_or_none_ask_for_no_namespace(tmp_path: Path, namespace: str) -> None:
    """In plain containerd pods have no namespace."""
    assert not exposure.refusal(conf(tmp_path, "all"), Pod(namespace))
    assert "exposeFrom has the value 'none'" in exposure.refusal(conf(tmp_path, "none"), Pod(namespace))


def test_a_label_counts_once_the_agent_has_told_of_it(tmp_path: Path) -> None:
    """Until then, and in other namespaces, nothing is opened; the sentence says what is missing."""
    labelled = conf(tmp_path, "labelled")
    assert "has not written it yet" in exposure.refusal(labelled, Pod("team-a"))

    tell(tmp_path, "team-a")
    assert not exposure.refusal(labelled, Pod("team-a"))
    for namespace in ("team-b", ""):
        assert "no label slash80.io/allow-expose=true" in exposure.refusal(labelled, Pod(namespace))


@pytest.mark.parametrize(("before", "now", "expose_from"), [(CLOSED, OPEN, "all"), (OPEN, CLOSED, "none")])
def test_pods_that_run_follow_the_settings(
    tmp_path: Path, host: Host, before: Openings, now: Openings, expose_from: str
) -> None:
    """Record and elements say the same afterwards, and a second look finds nothing to do."""
    asking, other = attachment(1, openings=before), attachment(2, since=2000.0)
    for one in (asking, other):
        host.store.keep(one)
    after = replace(asking, openings=now)
    assert [after] == exposure.judge(host, conf(tmp_path, expose_from))

    elements = of_attachments([attachment(1, openings=OPEN)]) - of_attachments([attachment(1)])
    opened = expose_from == "all"
    assert [(elements, frozenset()) if opened else (frozenset(), elements)] == of(host).changes
    assert [after, other] == host.store.attachments()
    assert [] == exposure.judge(host, conf(tmp_path, expose_from))
    assert 1 == len(of(host).changes)


def test_pods_that_run_follow_the_label(tmp_path: Path, host: Host) -> None:
    """Whatever network they are in; those of other namespaces stay as they are."""
    ours, theirs = attachment(1, openings=CLOSED), attachment(2, openings=CLOSED, pod=Pod("team-b", "p"), network="o")
    for one in (ours, theirs):
        host.store.keep(one)

    def opened() -> list[str]:
        exposure.judge(host, conf(tmp_path, "labelled"))
        return [one.pod.namespace for one in host.store.attachments() if one.openings.exposed]

    assert [] == opened()
    tell(tmp_path, "default")
    assert ["default"] == opened()
    tell(tmp_path, "team-b")
    assert ["team-b"] == opened()
    tell(tmp_path)
    assert [] == opened()


def test_a_pod_that_is_being_removed_opens_nothing(tmp_path: Path, host: Host) -> None:
    """Its addresses are another pod's next."""
    host.store.keep(attachment(openings=CLOSED, state=State.TERMINATING))
    assert [] == exposure.judge(host, conf(tmp_path, "all"))


def test_what_cannot_be_closed_in_the_firewall_is_closed_in_the_record(
    tmp_path: Path, host: Host, mocker: MockerFixture
) -> None:
    """So the next comparison of elements and records closes it, and so does a repair of the table."""
    host.store.keep(attachment(openings=OPEN))
    mocker.patch.object(host.table, "change", side_effect=FirewallUnusable("no"))
    with pytest.raises(FirewallUnusable):
        exposure.judge(host, conf(tmp_path, "none"))

    assert [CLOSED] == [one.openings for one in host.store.attachments()]


def test_a_pod_that_went_meanwhile_is_left_alone(tmp_path: Path, host: Host, mocker: MockerFixture) -> None:
    """It is looked at again under the firewall's lock, which its removal had."""
    known: list[list[Attachment]] = [[attachment(openings=CLOSED)], []]
    mocker.patch.object(host.store, "attachments", side_effect=known)
    assert [] == exposure.judge(host, conf(tmp_path, "all"))
    assert all(not add and not delete for add, delete in of(host).changes)


def test_the_log_says_why_a_pod_starts_closed(caplog: pytest.LogCaptureFixture) -> None:
    """With the pod's name and ports on one line, whatever the runtime calls it."""
    exposure.log_refusal(attachment().key, Pod("a\nb", "p"), PORTS, reason="firewall.exposeFrom has the value 'none'")
    (line,) = caplog.messages
    assert (
        "container1 of pod a\\nb/p starts with its ports tcp/443 closed: firewall.exposeFrom has the value 'none'"
        in line
    )
