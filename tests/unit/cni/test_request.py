"""A call put together from environment and configuration."""

import pytest

from slash80.cni import environment, request
from slash80.cni.document import Document
from slash80.errors import CniError, Undecodable
from unit.builders import conf, environ, request_of


@pytest.mark.parametrize(
    ("name", "code"),
    [(None, 7), ("", 7), ("a/b", 7), ("a\n", 7), (".a", 7), ("ä", 7), (5, 6), (["a"], 6)],
)
def test_a_network_must_have_a_name(name: object, code: int) -> None:
    """The name is like a container ID: absent or malformed is code 7, no string is code 6."""
    with pytest.raises(CniError, match="'name'") as caught:
        request_of(conf(name=name))

    assert code == caught.value.code


def test_keys_may_be_in_any_case() -> None:
    """Name and version are found as Go finds them."""
    found = request_of({"NAME": "net", "CNIVERSION": "0.4.0"})

    assert ("net", "0.4.0") == (found.network, found.version)


@pytest.mark.parametrize("version", [5, ["1.0.0"], {}, True])
def test_a_version_must_be_a_string(version: object) -> None:
    """Anything else is code 6."""
    with pytest.raises(CniError, match="cniVersion") as caught:
        request.version_of({"cniVersion": version})

    assert 6 == caught.value.code


def test_an_unknown_verb_is_told() -> None:
    """The words are the Go library's."""
    with pytest.raises(CniError, match=r"^unknown CNI_COMMAND: 'add'") as caught:
        request.judge(environment.read(environ("add")), conf(), "9.9.9")

    assert 4 == caught.value.code


@pytest.mark.parametrize("key", ["cniVersion", "CNIVersion", "cniversion"])
def test_a_previous_result_is_of_the_configurations_version(key: str) -> None:
    """A previous result is given as it came when its version, in any case, is the configuration's."""
    previous = {key: "1.0.0", "x": 1}

    assert previous == request.previous(request_of(conf(prevResult=previous)))


def test_a_previous_result_without_version_has_the_configurations() -> None:
    """Plugins may leave it out."""
    assert {"ips": []} == request.previous(request_of(conf(prevResult={"ips": []})))


@pytest.mark.parametrize("absent", [{}, {"prevResult": None}])
def test_there_may_be_no_previous_result(absent: dict[str, None]) -> None:
    """Absent and null are the same."""
    assert request.previous(request_of(conf(**absent))) is None


@pytest.mark.parametrize("previous", [{"cniVersion": "0.4.0"}, {"cniVersion": 5}, [], "x"])
def test_a_previous_result_of_another_kind_is_refused(previous: object) -> None:
    """Another version, or no object at all, is code 6."""
    with pytest.raises(CniError, match="'prevResult'") as caught:
        request.previous(request_of(conf(prevResult=previous)))

    assert 6 == caught.value.code


VALID, TAGGED = "cni.dev/valid-attachments", "cni.dev/attachments"
ONE, TWO = ({"containerID": f"container{n}", "ifname": "eth0"} for n in (1, 2))


@pytest.mark.parametrize(
    ("keys", "valid"),
    [
        ({}, None),
        ({VALID: None}, []),
        ({VALID: []}, []),
        ({VALID: [ONE, TWO]}, [("container1", "eth0"), ("container2", "eth0")]),
        ({TAGGED: [ONE]}, [("container1", "eth0")]),
        ({TAGGED: [ONE], VALID: [TWO]}, [("container2", "eth0")]),
        ({VALID: [{"ContainerID": "container1", "IfName": "eth0", "x": 1}]}, [("container1", "eth0")]),
    ],
)
def test_a_runtime_says_which_attachments_are_valid(keys: Document, valid: list[tuple[str, str]] | None) -> None:
    """No key is no list, null is an empty one; the newer key's beats the tagged specification's."""
    assert valid == request.valid_attachments(request_of(conf(**keys)))


@pytest.mark.parametrize(
    "value", ["x", 5, {}, "", False, 0, [5], [None], [{}], [{"containerID": "a"}], [{"containerID": "a", "ifname": 5}]]
)
def test_a_list_that_is_none_removes_nothing(value: object) -> None:
    """Whatever cannot be read as a list of attachments must not be taken for one without any: code 6."""
    with pytest.raises(Undecodable, match=f"'{VALID}'.*nothing was removed"):
        request.valid_attachments(request_of(conf(**{VALID: value})))
