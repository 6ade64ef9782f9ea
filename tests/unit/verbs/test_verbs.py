"""The verbs, as far as they need no kernel."""

import pytest

from slash80.cni.document import Document
from slash80.cni.request import Request
from slash80.errors import BadNetns, CniError, InvalidConfig
from slash80.host.context import STANDALONE
from slash80.verbs.add import add
from slash80.verbs.check import check
from slash80.verbs.gc import gc
from unit.builders import SANDBOX, conf, request_of

HOST = "/proc/self/ns/net"


def _check(request: Request) -> None:
    """CHECK."""
    check(request, STANDALONE)


def _add(request: Request) -> None:
    """ADD without a sandbox."""
    add(request, STANDALONE, lambda _: None)


def test_gc_without_a_list_touches_nothing() -> None:
    """A GC without `cni.dev/valid-attachments` neither creates nor reads the state directory."""
    assert gc(request_of(conf(stateDir="/proc/nowhere")), STANDALONE) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("verb", [_add, _check])
@pytest.mark.parametrize(
    ("keys", "code"), [({"mtu": 5}, 7), ({"ipam": {"type": "x"}}, 2), ({"prevResult": {"cniVersion": "0.4.0"}}, 6)]
)
def test_configuration_is_validated_before_anything_is_touched(verb: object, keys: Document, code: int) -> None:
    """ADD and CHECK refuse it the same way, although the sandbox does not exist either."""
    assert callable(verb)
    with pytest.raises(CniError) as caught:
        verb(request_of(conf(**keys), NETNS="/nowhere"))

    assert code == caught.value.code


def test_check_needs_a_prevresult() -> None:
    """CHECK without a prevResult fails, since there is nothing to compare the pod with."""
    with pytest.raises(InvalidConfig, match="prevResult"):
        _check(request_of(conf()))


def test_check_refuses_the_result_of_another_sandbox() -> None:
    """A result of another sandbox belongs to another attachment."""
    previous = {"interfaces": [{"name": "eth0", "sandbox": SANDBOX + "x"}]}

    with pytest.raises(InvalidConfig, match="another attachment"):
        _check(request_of(conf(prevResult=previous)))


@pytest.mark.parametrize("verb", [_add, _check])
def test_host_namespace_is_refused_before_the_state_directory(verb: object) -> None:
    """It gets no interface, cannot be a pod's, and the state directory is not touched."""
    previous = {"interfaces": [{"name": "eth0", "sandbox": HOST}]}
    assert callable(verb)
    with pytest.raises(BadNetns, match="host's own"):
        verb(request_of(conf(stateDir="/proc/nowhere", prevResult=previous), NETNS=HOST))
