"""The environment of a call: which variables each verb needs, how they must look, and CNI_ARGS."""

import pytest

from slash80.cni import environment
from slash80.errors import BadEnvironment
from unit.builders import environ

NEEDED = {
    "ADD": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
    "DEL": ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
    "CHECK": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
    "GC": ["CNI_PATH"],
    "STATUS": ["CNI_PATH"],
}
BAD_IDS = ["-a", ".a", "_a", "a/b", "a b", "a\n", "\na", "ä", "a\udcff", "a\0"]
GOOD_IDS = ["a", "0", "A.b_c-d", "a" * 1000]
BAD_IFNAMES = [
    *("a" * 16, "ä" * 8, "\udcff" * 16),  # 16 bytes each
    *(".", "..", "a/b", "a:b", "a b", "a\n", "a\t", "a\u2003b", "a\u0085", "a\udcff"),
]
GOOD_IFNAMES = ["a", "a" * 15, "ä" * 7, "...", "eth0.100", "-"]


@pytest.mark.parametrize(("verb", "names"), NEEDED.items(), ids=NEEDED.keys())
@pytest.mark.parametrize("empty", [{}, dict.fromkeys(NEEDED["ADD"], "")])
def test_all_missing_variables_are_listed_at_once(verb: str, names: list[str], empty: dict[str, str]) -> None:
    """Absent and empty variables that the verb needs are listed once, in the Go library's order and words."""
    with pytest.raises(BadEnvironment) as caught:
        environment.read({"CNI_COMMAND": verb, **empty})

    assert f"required env variables [{','.join(names)}] missing" == caught.value.msg


@pytest.mark.parametrize("verb", NEEDED)
def test_verb_runs_with_exactly_its_variables(verb: str) -> None:
    """A verb runs with exactly its variables, and others do not matter."""
    given = {name: value for name, value in environ(verb).items() if name in [*NEEDED[verb], "CNI_COMMAND"]}

    assert verb == environment.read({**given, "PYTHONPATH": "/x", "TRACEPARENT": "y"}).command


def test_version_needs_no_variable() -> None:
    """VERSION works without any variable of an attachment."""
    assert "VERSION" == environment.read({"CNI_COMMAND": "VERSION"}).command


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("CONTAINERID", value) for value in BAD_IDS), *(("IFNAME", value) for value in BAD_IFNAMES)],
)
def test_malformed_variable_is_named_with_its_value(name: str, value: str) -> None:
    """Malformed IDs and interface names are refused, and the message names variable and value in ASCII."""
    with pytest.raises(BadEnvironment) as caught:
        environment.read(environ(**{name: value}))

    assert f"CNI_{name}={value!a}" in caught.value.msg


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("CONTAINERID", value) for value in GOOD_IDS), *(("IFNAME", value) for value in GOOD_IFNAMES)],
)
def test_well_formed_variable_is_accepted_unchanged(name: str, value: str) -> None:
    """IDs have no maximum length, and names are counted in bytes."""
    read = environment.read(environ(**{name: value}))

    assert value in {read.container_id, read.ifname}


@pytest.mark.parametrize("ifname", ["eth%d", "%d", "100%", "lo", "all", "default", "eth\u00e0"])
def test_interface_name_that_the_kernel_changes_is_refused_at_add(ifname: str) -> None:
    """The kernel expands '%d', reserves some names and takes a byte of 'à' for a space; DEL accepts such names."""
    with pytest.raises(BadEnvironment, match="CNI_IFNAME=") as caught:
        environment.read(environ(IFNAME=ifname))

    assert ascii(ifname) in caught.value.msg
    assert ifname == environment.read(environ("DEL", IFNAME=ifname)).ifname


def test_malformed_variable_is_reported_before_missing_ones() -> None:
    """A format error of a present variable wins over the list of missing ones."""
    with pytest.raises(BadEnvironment, match="CNI_IFNAME='a/b'"):
        environment.read(environ(CONTAINERID=None, IFNAME="a/b", PATH=None))


@pytest.mark.parametrize("verb", ["GC", "STATUS"])
def test_unneeded_variables_are_not_validated(verb: str) -> None:
    """Variables of an attachment do not matter to verbs without one."""
    assert verb == environment.read(environ(verb, CONTAINERID="a/b", IFNAME="a/b")).command


def test_del_accepts_an_empty_namespace() -> None:
    """Runtimes call DEL with an empty CNI_NETNS after the sandbox is gone."""
    assert "" == environment.read(environ("DEL", NETNS="")).netns


@pytest.mark.parametrize("command", ["", "add", "ADD ", "HUGO"])
def test_unknown_verb_is_judged_after_standard_input(command: str) -> None:
    """As in the Go library, standard input is checked before the verb."""
    assert command == environment.read(environ(command)).command


@pytest.mark.parametrize(
    ("value", "on"), [("1", True), ("true", True), ("TRUE", True), ("0", False), ("yes", False), ("", False)]
)
def test_netns_override_is_1_or_true(value: str, on: bool) -> None:  # noqa: FBT001
    """CNI_NETNS_OVERRIDE accepts 1 and true in any case; anything else leaves the guard on."""
    assert on == environment.read(environ(NETNS_OVERRIDE=value)).netns_override


ARGUMENTS = {
    "": {},
    "K8S_POD_NAME=web;IP=10.0.0.1": {"K8S_POD_NAME": "web", "IP": "10.0.0.1"},
    "MAC=02:00:5e:00:53:01;K8S_POD_UID=": {"MAC": "02:00:5e:00:53:01", "K8S_POD_UID": ""},
    "X=1;IgnoreUnknown=1": {"X": "1"},
    "IgnoreUnknown=TRUE;X=1;ip=5": {"X": "1", "ip": "5"},
    "IgnoreUnknown=0;IP=::1": {"IP": "::1"},
}


@pytest.mark.parametrize(("text", "pairs"), ARGUMENTS.items())
def test_cni_args_are_pairs(text: str, pairs: dict[str, str]) -> None:
    """CNI_ARGS is K=V;K=V in any order, and IgnoreUnknown allows other keys."""
    assert pairs == environment.arguments(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *(("IP=1.2.3.4;", "''"), ("IP=a=b", "'IP=a=b'"), ("IP", "'IP'"), (";IP=1", "''")),
        *(("X=1", "X"), ("X=1;IgnoreUnknown=0", "X"), ("ip=1.2.3.4", "ip"), ("ignoreunknown=1", "ignoreunknown")),
        *(("IgnoreUnknown=maybe", "'maybe'"), ("IgnoreUnknown=", "''")),
    ],
)
def test_malformed_cni_args_are_named(text: str, shown: str) -> None:
    """A segment without exactly one '=', an unknown key and an invalid boolean are errors that name the variable."""
    with pytest.raises(BadEnvironment, match="CNI_ARGS") as caught:
        environment.arguments(text)

    assert shown in caught.value.msg
