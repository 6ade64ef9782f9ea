"""Bad input on a living node: whatever is asked, nothing stays in the kernel or the store, and each answer is one.

One site serves all examples; what a node's first pod brings and what follows the configuration (the firewall's table,
the routes that keep a prefix here) is not counted as left.
"""

import json
import os
import re
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
    return bool(re.search("nft table (inet|arp) slash80 ", line)) or (
        "type=unreachable" in line and "protocol=180" in line
    )


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
    """Return damaged configurations whose state directory is the test's own, or one that cannot be."""
    folders = st.just(conf["stateDir"]) | st.sampled_from(NO_FOLDERS)
    return st.builds(_in_folder, inputs.damaged(conf), folders)


def _in_folder(conf: Json, folder: str) -> Json:
    return {key: value for key, value in conf.items() if key.lower() != "statedir"} | {"stateDir": folder}


@EXAMPLES
@given(data=st.data())
def test_add_with_a_damaged_configuration(node: Node, data: st.DataObject) -> None:
    """A damaged configuration is refused, or it works and is removed; either way nothing is left."""
    node.add(data.draw(damaged(node.conf)))


@EXAMPLES
@given(previous=inputs.objects(inputs.VALUES), version=st.sampled_from(oracle.VERSIONS))
def test_add_with_any_previous_result(node: Node, previous: Json, version: str) -> None:
    """What cannot be extended is refused before the pod is wired, not after."""
    node.add(changed(node.conf, cniVersion=version) | {"prevResult": previous | {"cniVersion": version}})


@EXAMPLES
@given(pod_options=inputs.objects(inputs.VALUES), arguments=inputs.ARGUMENTS)
def test_add_with_any_runtime_requests(node: Node, pod_options: Json, arguments: str) -> None:
    """Requests from all sources are satisfied or refused."""
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
    """Without an attachment the other verbs change nothing."""
    valid = {"cni.dev/valid-attachments": data.draw(inputs.VALUES)} if verb == "GC" else {}
    node.call(verb, data.draw(damaged(node.conf)) | valid, CNI_ARGS=data.draw(inputs.ARGUMENTS))

    node.assert_empty()


@EXAMPLES
@given(data=st.data())
def test_check_with_any_prevresult(node: Node, data: st.DataObject) -> None:
    """CHECK reports what differs from the result, and changes nothing."""
    ours = {"name": "eth0", "sandbox": str(node.pod.path), "mac": data.draw(inputs.SCALARS)}
    previous = data.draw(inputs.objects(inputs.VALUES)) | {"interfaces": [ours]}
    for key in ("ips", "routes"):
        previous[key] = data.draw(st.lists(inputs.objects(inputs.VALUES), max_size=3))

    assert node.call("CHECK", node.conf | {"prevResult": previous}).code == 1
    node.assert_empty()


@EXAMPLES
@given(data=st.data())
def test_attachment_survives_bad_calls(node: Node, data: st.DataObject) -> None:
    """A second ADD and a CHECK with any damage leave an attachment whole; DEL without a sandbox removes it."""
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
def test_prevresult_of_any_depth_is_written_or_refused(node: Node, depth: int, shape: str) -> None:
    """A result that was read can be written again, or it is refused before the pod is wired."""
    inner = "1"
    for _ in range(depth):
        inner = shape.format(inner)
    assert node.add(f'{json.dumps(node.conf)[:-1]}, "prevResult": {{"x": {inner}}}}}'.encode()) in {0, 6}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "9" * 4000])
def test_nan_and_infinity_do_not_reach_a_result(node: Node, number: str) -> None:
    """A result holds no number that a runtime could not parse; a large integer is allowed."""
    code = node.add(f'{json.dumps(node.conf)[:-1]}, "prevResult": {{"x": {number}}}}}'.encode())

    assert code == (0 if number.isdigit() else 6)


@pytest.mark.parametrize("folder", NO_FOLDERS)
@pytest.mark.parametrize("verb", ["ADD", "CHECK", "GC"])
def test_impossible_state_dir_is_code_5_or_7(node: Node, verb: str, folder: str) -> None:
    """A value that is not a path is code 7, one that cannot be created is code 5."""
    interface = {"name": "eth0", "sandbox": str(node.pod.path)}
    conf = node.conf | {"stateDir": folder, "cni.dev/attachments": [], "prevResult": {"interfaces": [interface]}}

    assert node.call(verb, conf).json["code"] == (7 if folder in NO_FOLDERS[-2:] else 5)
    node.assert_empty()


@pytest.mark.parametrize(("folder", "code"), [("/dev/null", 50), ("/etc/passwd/x", 50), ("relative", 7)])
def test_status_of_an_impossible_state_dir(node: Node, folder: str, code: int) -> None:
    """STATUS reports what can be seen, and creates nothing to find out."""
    assert node.call("STATUS", node.conf | {"stateDir": folder}).json["code"] == code


def test_del_needs_no_state_directory(node: Node) -> None:
    """DEL succeeds with any path as stateDir."""
    for folder in NO_FOLDERS[:-2]:
        assert node.call("DEL", node.conf | {"stateDir": folder}).code == 0


def cpu_seconds() -> float:
    """Return how much CPU time this process and the programs that it ran have used."""
    return sum(os.times()[:4])


MANY: Mapping[str, Json] = {
    "300 routes": {"routes": [{"dst": f"10.9.{n % 256}.{n // 256}/32"} for n in range(300)]},
    "2000 routes": {"routes": [{"dst": f"10.9.{n % 256}.{n // 256}/32"} for n in range(2000)]},
    "30000 routes": {"routes": [{"dst": f"10.9.{n % 256}.{n // 256}/32"} for n in range(30000)]},
    "30000 prefixes": {"ipv4": {"prefixes": [f"10.{n // 256}.{n % 256}.0/24" for n in range(30000)]}},
    "40000 trusted": {"firewall": {"trusted": [f"2001:db8:{n:x}::/48" for n in range(40000)]}},
    "40000 excluded": {"ipv4": {"exclude": [f"10.80.{n % 256}.{n // 256}" for n in range(40000)]}},
    "40000 requests": {"runtimeConfig": {"ips": [f"10.80.{n % 256}.{n // 256}" for n in range(40000)]}},
    "the same route twice": {"routes": [{"dst": "10.9.0.0/16"}] * 2},
}


@pytest.mark.parametrize("many", MANY.values(), ids=MANY.keys())
def test_longest_lists_of_a_document_are_accepted_or_refused(node: Node, many: Json) -> None:
    """They work or are refused with the key, in half of the time that an ADD may take if no one else has the CPU."""
    conf = changed(node.conf, **many)
    before = cpu_seconds()
    outcome = node.call("ADD", conf)
    took = cpu_seconds() - before
    node.call("DEL", node.conf)

    assert took < 30
    assert outcome.code == 0 or outcome.json["code"] in {6, 7, 100}
    node.assert_empty()


@pytest.mark.parametrize("requested", ["\ud800", "zz", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
def test_impossible_mac_is_code_7(node: Node, requested: str) -> None:
    """A MAC that no interface can have is refused."""
    assert node.add(node.conf | {"runtimeConfig": {"mac": requested}}) == 7


def test_document_of_ten_megabytes_is_refused_for_its_size(node: Node) -> None:
    """It is refused for its size, whatever it contains."""
    assert node.add(node.conf | {"unknown": "x" * 10_000_000}) == 6


def test_state_dir_that_is_a_file_is_code_5(node: Node, tmp_path: Path) -> None:
    """The file is untouched."""
    file = tmp_path / "file"
    file.write_text("mine")

    assert node.add(node.conf | {"stateDir": str(file)}) == 5
    assert file.read_text() == "mine"
