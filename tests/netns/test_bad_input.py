"""Bad input on a living node: whatever is asked, nothing stays in the kernel or the store, and each answer is one.

One site serves all examples; what a node's first pod brings and what follows the configuration (the firewall's table,
the routes that keep a prefix here) is not counted as left.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import inputs, oracle
from lab import snapshot, state
from lab.namespaces import Namespace
from lab.plugin import InProcess, Json, Outcome
from lab.rig import Rig, changed, configuration
from lab.topology import Site
from profiles import examples, of_this_run

EXAMPLES = settings(of_this_run(), max_examples=examples(80))
# Paths that lead nowhere, so that no example can write outside of the test's own directory.
NO_FOLDERS = ["/proc/nowhere", "/dev/null", "/etc/passwd/x", "/" + "x" * 300, "/" + "y/" * 3000, "relative", "/a\ud800"]
DEEP = [300, 700, *range(900, 1000, 11)]


@dataclass
class Node:
    """A node with one sandbox, and what it looked like when no pod was attached."""

    rig: Rig = field(repr=False)
    pod: Namespace
    before: snapshot.Snapshot = field(repr=False)

    @property
    def conf(self) -> Json:
        """A good configuration that knows all verbs."""
        return changed(self.rig.conf, cniVersion="1.1.0")

    def call(self, verb: str, stdin: Json | bytes, **variables: str) -> Outcome:
        """Call the plugin for the sandbox and have the answer judged."""
        environ = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": self.pod.name,
            "CNI_NETNS": str(self.pod.path),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin",
            **variables,
        }
        raw = stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode()
        outcome = self.rig.plugin.execute(environ, raw)
        oracle.judge(verb, outcome.code, outcome.stdout)
        return outcome

    def add(self, stdin: Json | bytes, **variables: str) -> int:
        """ADD, take back what succeeded, and demand that nothing is left; give the error code or 0."""
        outcome = self.call("ADD", stdin, **variables)
        if not outcome.code:
            assert self.call("DEL", self.conf, **variables).code == 0
        self.assert_empty()
        return int(outcome.json["code"]) if outcome.code else 0

    def assert_empty(self) -> None:
        """Demand that kernel and store are as they were before the first example."""
        changes = snapshot.difference(self.before, snapshot.take(self.rig.host))
        assert [line for line in changes if not _follows_the_configuration(line)] == []
        folder = self.rig.state_dir
        assert (state.attachments(folder), state.held_addresses(folder)) == (0, 0)
        assert [link["ifname"] for link in self.pod.query("link show")] == ["lo"]


def _follows_the_configuration(line: str) -> bool:
    return "nft table inet slash80 " in line or ("type=unreachable" in line and "protocol=180" in line)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The node of this module, after its first pod."""
    with Site() as site:
        state_dir = tmp_path_factory.mktemp("bad_input") / "state"
        rig = Rig(site, site.node, InProcess(site.node.namespace), configuration(site.node, state_dir))
        # more addresses than examples: a released one rests for 30 seconds
        rig = rig.having(ipv4={"prefixes": ["10.80.0.0/16"]})
        rig.cycle()
        yield Node(rig, site.pod(), snapshot.take(site.node.namespace))


def damaged(conf: Json) -> st.SearchStrategy[Json]:
    """Give damaged configurations whose state directory is the test's own, or one that cannot be."""
    folders = st.just(conf["stateDir"]) | st.sampled_from(NO_FOLDERS)
    return st.builds(_in_folder, inputs.damaged(conf), folders)


def _in_folder(conf: Json, folder: str) -> Json:
    return {key: value for key, value in conf.items() if key.lower() != "statedir"} | {"stateDir": folder}


@EXAMPLES
@given(data=st.data())
def test_add_with_a_damaged_configuration(node: Node, data: st.DataObject) -> None:
    """It is refused, or it works and is taken back; either way nothing is left."""
    node.add(data.draw(damaged(node.conf)))


@EXAMPLES
@given(previous=inputs.objects(inputs.VALUES), version=st.sampled_from(oracle.VERSIONS))
def test_add_with_any_previous_result(node: Node, previous: Json, version: str) -> None:
    """What cannot be extended is refused before the pod is wired, not after."""
    node.add(changed(node.conf, cniVersion=version) | {"prevResult": previous | {"cniVersion": version}})


@EXAMPLES
@given(pod_options=inputs.objects(inputs.VALUES), arguments=inputs.ARGUMENTS)
def test_add_with_any_wishes(node: Node, pod_options: Json, arguments: str) -> None:
    """Wishes from all sources are fulfilled or refused."""
    node.add(node.conf | {"runtimeConfig": pod_options, "args": {"cni": pod_options}}, CNI_ARGS=arguments)


@EXAMPLES
@given(
    name=inputs.TEXT.filter(lambda name: 0 < len(name) < 16) | st.sampled_from(inputs.SPECIAL_NAMES),
    container=st.just("c") | inputs.LONG,
)
def test_add_with_any_interface_name(node: Node, name: str, container: str) -> None:
    """The pod gets an interface of exactly that name, which DEL finds, or the name is refused with code 4."""
    variables = {"CNI_IFNAME": name, "CNI_CONTAINERID": container}
    outcome = node.call("ADD", node.conf, **variables)
    made = [found for _, found in node.pod.run(socket.if_nameindex) if found != "lo"]
    if outcome.code:
        assert outcome.json["code"] == 4
        assert made == []
    else:
        assert made == [name]
        assert node.call("DEL", node.conf, **variables).code == 0
    node.assert_empty()


@EXAMPLES
@given(data=st.data(), verb=st.sampled_from(["DEL", "CHECK", "GC", "STATUS", "VERSION", "HUGO"]))
def test_other_verbs_with_a_damaged_configuration(node: Node, verb: str, data: st.DataObject) -> None:
    """Where nothing is attached they change nothing."""
    valid = {"cni.dev/valid-attachments": data.draw(inputs.VALUES)} if verb == "GC" else {}
    node.call(verb, data.draw(damaged(node.conf)) | valid, CNI_ARGS=data.draw(inputs.ARGUMENTS))

    node.assert_empty()


@EXAMPLES
@given(data=st.data())
def test_check_with_any_previous_result(node: Node, data: st.DataObject) -> None:
    """It finds fault with what a previous result claims, and changes nothing."""
    ours = {"name": "eth0", "sandbox": str(node.pod.path), "mac": data.draw(inputs.SCALARS)}
    previous = data.draw(inputs.objects(inputs.VALUES)) | {"interfaces": [ours]}
    for key in ("ips", "routes"):
        previous[key] = data.draw(st.lists(inputs.objects(inputs.VALUES), max_size=3))

    assert node.call("CHECK", node.conf | {"prevResult": previous}).code == 1
    node.assert_empty()


@EXAMPLES
@given(data=st.data())
def test_what_is_attached_outlives_bad_calls(node: Node, data: st.DataObject) -> None:
    """A second ADD and a CHECK, however damaged, leave an attachment whole; DEL without a sandbox removes it."""
    result = node.call("ADD", node.conf).json
    try:
        for verb in ("ADD", "CHECK"):
            assert node.call(verb, data.draw(damaged(node.conf))).code == 1
        node.rig.plugin.check(node.pod, node.conf, result)
    finally:
        assert node.call("DEL", node.conf, CNI_NETNS="").code == 0
    node.assert_empty()


@pytest.mark.parametrize("depth", DEEP)
@pytest.mark.parametrize("shape", ["[{}]", '{{"a":{}}}'])
def test_previous_results_of_any_depth(node: Node, depth: int, shape: str) -> None:
    """One that was read can be written again, or it is refused before the pod is wired."""
    inner = "1"
    for _ in range(depth):
        inner = shape.format(inner)
    assert node.add(f'{json.dumps(node.conf)[:-1]}, "prevResult": {{"x": {inner}}}}}'.encode()) in {0, 6}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "9" * 4000])
def test_numbers_that_no_runtime_could_read_again(node: Node, number: str) -> None:
    """They are not handed on in a result; a large integer is one."""
    code = node.add(f'{json.dumps(node.conf)[:-1]}, "prevResult": {{"x": {number}}}}}'.encode())

    assert code == (0 if number.isdigit() else 6)


@pytest.mark.parametrize("folder", NO_FOLDERS)
@pytest.mark.parametrize("verb", ["ADD", "CHECK", "GC"])
def test_state_directories_that_cannot_be(node: Node, verb: str, folder: str) -> None:
    """A path that is none is code 7, one that cannot be made is code 5."""
    interface = {"name": "eth0", "sandbox": str(node.pod.path)}
    conf = node.conf | {"stateDir": folder, "cni.dev/attachments": [], "prevResult": {"interfaces": [interface]}}

    assert node.call(verb, conf).json["code"] == (7 if folder in NO_FOLDERS[-2:] else 5)
    node.assert_empty()


@pytest.mark.parametrize(("folder", "code"), [("/dev/null", 50), ("/etc/passwd/x", 50), ("relative", 7)])
def test_status_of_a_state_directory_that_cannot_be(node: Node, folder: str, code: int) -> None:
    """STATUS says so as far as looking can tell: it makes nothing to try."""
    assert node.call("STATUS", node.conf | {"stateDir": folder}).json["code"] == code


def test_removal_needs_no_state_directory(node: Node) -> None:
    """DEL succeeds wherever the state should be, as long as that is a path."""
    for folder in NO_FOLDERS[:-2]:
        assert node.call("DEL", node.conf | {"stateDir": folder}).code == 0


MANY: Mapping[str, Json] = {
    "300 routes": {"routes": [{"dst": f"10.9.{n % 256}.{n // 256}/32"} for n in range(300)]},
    "2000 routes": {"routes": [{"dst": f"10.9.{n % 256}.{n // 256}/32"} for n in range(2000)]},
    "30000 routes": {"routes": [{"dst": f"10.9.{n % 256}.{n // 256}/32"} for n in range(30000)]},
    "30000 prefixes": {"ipv4": {"prefixes": [f"10.{n // 256}.{n % 256}.0/24" for n in range(30000)]}},
    "40000 trusted": {"firewall": {"trusted": [f"2001:db8:{n:x}::/48" for n in range(40000)]}},
    "40000 excluded": {"ipv4": {"exclude": [f"10.80.{n % 256}.{n // 256}" for n in range(40000)]}},
    "40000 wishes": {"runtimeConfig": {"ips": [f"10.80.{n % 256}.{n // 256}" for n in range(40000)]}},
    "the same route twice": {"routes": [{"dst": "10.9.0.0/16"}] * 2},
}


@pytest.mark.parametrize("many", MANY.values(), ids=MANY.keys())
def test_lists_as_long_as_a_document_can_hold(node: Node, many: Json) -> None:
    """They work or are refused with the key, in half of the time that an ADD may take."""
    conf = changed(node.conf, **many)
    outcome = node.call("ADD", conf)
    node.call("DEL", node.conf)

    assert outcome.seconds < 30
    assert outcome.code == 0 or outcome.json["code"] in {6, 7, 100}
    node.assert_empty()


@pytest.mark.parametrize("wish", ["\ud800", "zz", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
def test_macs_that_no_interface_can_have(node: Node, wish: str) -> None:
    """They are code 7."""
    assert node.add(node.conf | {"runtimeConfig": {"mac": wish}}) == 7


def test_documents_of_ten_megabytes(node: Node) -> None:
    """They are refused by their size, not by what is in them."""
    assert node.add(node.conf | {"unknown": "x" * 10_000_000}) == 6


def test_state_files_are_not_replaced_by_directories(node: Node, tmp_path: Path) -> None:
    """A state directory that is a file is code 5, and the file is untouched."""
    file = tmp_path / "file"
    file.write_text("mine")

    assert node.add(node.conf | {"stateDir": str(file)}) == 5
    assert file.read_text() == "mine"
