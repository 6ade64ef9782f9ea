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
def test_network_must_have_a_name(name: object, code: int) -> None:
    """The name follows the rules of a container ID: absent or malformed is code 7, not a string is code 6."""
    with pytest.raises(CniError, match="'name'") as caught:
        request_of(conf(name=name))

    assert code == caught.value.code


def test_name_and_version_match_in_any_case() -> None:
    """Name and version are found without regard to case, as in Go."""
    found = request_of({"NAME": "net", "CNIVERSION": "0.4.0"})

    assert ("net", "0.4.0") == (found.network, found.version)


@pytest.mark.parametrize("version", [5, ["1.0.0"], {}, True])
def test_cni_version_must_be_a_string(version: object) -> None:
    """A cniVersion that is not a string is code 6."""
    with pytest.raises(CniError, match="cniVersion") as caught:
        request.version_of({"cniVersion": version})

    assert 6 == caught.value.code


def test_unknown_verb_has_the_words_of_the_go_library() -> None:
    """The error of an unknown CNI_COMMAND has the Go library's words."""
    with pytest.raises(CniError, match=r"^unknown CNI_COMMAND: 'add'") as caught:
        request.judge(environment.read(environ("add")), conf(), "9.9.9")

    assert 4 == caught.value.code


@pytest.mark.parametrize("key", ["cniVersion", "CNIVersion", "cniversion"])
def test_prevresult_has_the_version_of_the_configuration(key: str) -> None:
    """A previous result is passed on unchanged if its version, in any case, is the configuration's."""
    previous = {key: "1.0.0", "x": 1}

    assert previous == request.previous(request_of(conf(prevResult=previous)))


def test_prevresult_without_version_has_that_of_the_configuration() -> None:
    """Plugins may leave the version out."""
    assert {"ips": []} == request.previous(request_of(conf(prevResult={"ips": []})))


@pytest.mark.parametrize("absent", [{}, {"prevResult": None}])
def test_prevresult_may_be_absent_or_null(absent: dict[str, None]) -> None:
    """An absent prevResult and null are the same."""
    assert request.previous(request_of(conf(**absent))) is None


@pytest.mark.parametrize("previous", [{"cniVersion": "0.4.0"}, {"cniVersion": 5}, [], "x"])
def test_prevresult_of_another_version_is_code_6(previous: object) -> None:
    """Another version, or a value that is not an object, is code 6."""
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
def test_gc_list_of_valid_attachments_is_read(keys: Document, valid: list[tuple[str, str]] | None) -> None:
    """A missing key means no list, null an empty one; the newer key wins over the one of the tagged specification."""
    assert valid == request.valid_attachments(request_of(conf(**keys)))


@pytest.mark.parametrize(
    "value", ["x", 5, {}, "", False, 0, [5], [None], [{}], [{"containerID": "a"}], [{"containerID": "a", "ifname": 5}]]
)
def test_gc_without_a_valid_list_is_code_6(value: object) -> None:
    """A value that is not a list of attachments must not pass for an empty one."""
    with pytest.raises(Undecodable, match=f"'{VALID}'.*nothing was removed"):
        request.valid_attachments(request_of(conf(**{VALID: value})))
