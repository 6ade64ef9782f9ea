"""CHECK on a host with a kernel by its words: what it needs to know, what it puts right and what it names."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from slash80.addressing.attachment import Attachment, State
from slash80.errors import Failure
from slash80.host import forwarding
from slash80.host.context import CallContext, Host
from slash80.verbs.check import check
from unit.builders import HANDED, SANDBOX, attachment, conf, host_in, request_of
from unit.kernels import Kernel

ONE = attachment(1)
RESULT: dict[str, Any] = {
    "interfaces": [{"name": ONE.host_ifname}, {"name": "eth0", "sandbox": SANDBOX}],
    "ips": [{"address": "10.80.1.1/32", "interface": 1}, {"address": "2001:db8:0:1:1::1/128", "interface": 1}],
}


@pytest.fixture
def host(mocker: MockerFixture, tmp_path: Path) -> Host:
    """Return a host whose kernel has no link, and whose firewall and routes can be put right."""
    mocker.patch.object(Host, "ensure_firewall", autospec=True)
    mocker.patch.object(forwarding, "restore", autospec=True)
    mocker.patch("slash80.verbs.check.netns.socket_inside", return_value=Kernel({}))
    return host_in(tmp_path / "state", Kernel({}))


def _check(host: Host) -> None:
    with HANDED.open("rb") as namespace:
        context = CallContext(lambda _: nullcontext(host), namespace.fileno())
        request = request_of(conf(prevResult=RESULT), CONTAINERID="container1", NETNS_OVERRIDE="1")
        check(request, context)


@pytest.mark.parametrize(
    "known", [None, attachment(1, state=State.PENDING), attachment(1, state=State.TERMINATING), attachment(2)]
)
def test_check_of_an_attachment_without_a_complete_record_fails(host: Host, known: Attachment | None) -> None:
    """The record is missing, another's, or of an ADD or a DEL that is not finished: the pod has to be created again."""
    if known:
        host.store.keep(known)
    with pytest.raises(Failure, match=r"no attachment is recorded in .*; delete the pod so that it is recreated"):
        _check(host)


def test_check_names_what_the_pod_has_lost(host: Host) -> None:
    """A recorded attachment whose host end is gone fails with its name."""
    host.store.keep(ONE)
    with pytest.raises(Failure, match=f"container1.* has changed since ADD: host end {ONE.host_ifname} is missing"):
        _check(host)


def test_check_puts_right_what_is_the_nodes_though_the_pod_fails(host: Host, mocker: MockerFixture) -> None:
    """A flushed firewall or a lost discard route would meet the next pod as well, so neither is left as it is."""
    host.store.keep(ONE)
    with pytest.raises(Failure):
        _check(host)

    assert mocker.call(host, mocker.ANY, "net", ONE, dispatch=mocker.ANY) == Host.ensure_firewall.call_args  # type: ignore[attr-defined]
    forwarding.restore.assert_called_once()  # type: ignore[attr-defined]
