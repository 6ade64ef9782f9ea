"""Removal under containerd: in every order and state all of a pod's network goes; repetition is fine."""

from lab.waiting import wait_until
from runtime.node import Node, Running


def test_removed_twice_and_released(node: Node) -> None:
    """Stop, stop again, remove: three DELs, the later ones without namespace and result; nothing is left."""
    with node.pods() as [pod]:
        assert node.attachments() == 1
        node.cri.stop(pod.pod)
        remains = node.remains()
        node.cri.stop(pod.pod)
        node.cri.remove(pod.pod)

    assert remains == []
    assert node.cri.pod_ids() == set()


def test_forced_removal_of_a_live_pod(node: Node) -> None:
    """A running pod removed by force leaves nothing."""
    with node.pods() as [pod]:
        node.cri.remove(pod.pod, force=True)

        assert node.remains() == []


def test_namespace_gone(node: Node) -> None:
    """The namespace died with its processes, as at a reboot: the DEL without it releases everything."""
    with node.pods() as [pod]:
        _unmount_namespace(node, pod)
        info = node.cri.inspect(pod.pod)["info"]
        node.box.run(["kill", "-9", str(info["pid"])])
        wait_until(lambda: not node.cri.is_ready(pod.pod))  # before that, containerd's stop meets a dying shim
        node.cri.stop(pod.pod)

        assert node.remains() == []


def test_namespace_unmounted_but_alive(node: Node) -> None:
    """The namespace's file is gone, a process keeps it alive: the DEL without it removes the live pair."""
    with node.pods() as [pod]:
        holder = ["nsenter", f"--net={_namespace(node, pod)}", "sleep", "60"]
        with node.box.running(holder):
            wait_until(lambda: "sleep 60" in node.box.run(["ps", "-eo", "args"]).splitlines())
            _unmount_namespace(node, pod)
            node.cri.stop(pod.pod)

            assert node.remains() == []


def test_removal_after_a_change_of_configuration(node: Node) -> None:
    """The prefixes changed under a running pod: the DEL under the new configuration still works."""
    with node.pods() as [pod]:
        node.use(node.conflist(ipv4={"prefixes": ["10.80.7.0/24"]}, ipv6={"prefixes": ["2001:db8:a:b:7::/80"]}))
        node.cri.stop(pod.pod)

        assert node.remains() == []


def _namespace(node: Node, pod: Running) -> str:
    """Return the file by which the runtime names the pod's network namespace."""
    namespaces = node.cri.inspect(pod.pod)["info"]["runtimeSpec"]["linux"]["namespaces"]
    (path,) = (namespace["path"] for namespace in namespaces if namespace["type"] == "network")
    return str(path)


def _unmount_namespace(node: Node, pod: Running) -> None:
    """Take that file away."""
    path = _namespace(node, pod)
    node.box.run(["umount", path])
    node.box.run(["rm", path])
