"""A clusterset of three whole clusters: the commands of docs/clusters.md, and what pods get of it from then on.

The tests are one story, in this order: two clusters join, the third is a stranger before it joins too, and then one
after the other goes. Each makes up for those before it that were not run.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest

from cluster.clusterset import PROGRAM, STRANGER, SYSTEM, Member, Site, looping
from cluster.pods import Pod, client_of, dial, url

MEMBERS_PORT = 8180
WEB, DB = (f"{name}.default.svc.clusterset.local" for name in ("web", "db"))
ONLY_FROM = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: only}}
spec: {{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{{from: [{{ipBlock: {{cidr: "{prefix}"}}}}]}}]}}
"""


@pytest.fixture
def members(site: Site) -> list[Member]:
    """Return the clusters, all of which have joined, if some may have left again."""
    site.join(*site.members)
    return site.members


def reaches(client: Pod, address: str) -> bool:
    """Report whether a web server answers a pod, and sees it with its own address."""
    return client.address(6) == client_of(client.run("curl", "-sgm", "5", url(address, "clientip"), check=False))


def refused(client: Pod, address: str, port: int = 8080) -> bool:
    """Report whether a pod cannot open a connection."""
    return "no\n" == client.run("sh", "-c", f"nc.openbsd -zw 3 {address} {port} && echo yes || echo no")


def answers(member: Member, host: str, *names: str) -> None:
    """Wait until each of many questions of a pod is answered, by the pods of these clusters and no others."""
    pod, tries = member.pod(), 8 * len(names)

    def answered() -> bool:
        found = dial(pod, host, 80, tries)
        if ({*found}, len(found)) != ({*names}, tries):
            raise AssertionError(f"{len(found)} of {tries} questions were answered, by {sorted({*found})}")
        return True

    member.cluster.eventually(answered, what=f"{host}, asked in {member.name}")


def found_at(client: Pod, name: str, address: str) -> bool:
    """Report whether a name of a StatefulSet's pod leads there."""
    words = ("curl", "-sm", "20", "-w", " %{remote_ip}", f"http://{name}:8080/hostname")
    return client.run(*words, check=False) == f"{name.partition('.')[0]} {address}"


def resolves(client: Pod, name: str, addresses: Iterable[str]) -> bool:
    """Report whether a name has these public addresses and no others."""
    found = client.run("busybox", "nslookup", "-type=aaaa", f"{name}.", check=False)
    return {*addresses} == {word for word in found.split() if word.startswith("2001:")}


def test_two_clusters_are_joined_by_a_file(site: Site) -> None:
    """The commands make the file of what the clusters say, and put it in place: their pods reach each other then.

    Who is asked sees the pod's own address.
    """
    eu, us, _ = site.members
    here, there = eu.pod(), us.pod()
    assert refused(here, there.address(6))
    site.join(eu, us)
    eu.cluster.eventually(partial(reaches, here, there.address(6)), what="a pod of us")
    us.cluster.eventually(partial(reaches, there, here.address(6)), what="a pod of eu")


def test_an_exported_service_has_an_address_in_each_member(site: Site) -> None:
    """The pods of both clusters answer there."""
    for member in site.members[:2]:
        member.sees("web", "eu", "us")
        answers(member, member.clusterset_ip("web"), "eu", "us")


def test_a_cluster_that_is_not_in_the_file_gets_nothing(site: Site) -> None:
    """It imports nothing, and neither pods nor the program answer it; no more do they answer a host of the Internet."""
    eu, us, ap = site.members
    stranger, program = ap.pod(), eu.program().address(6)
    assert not ap.cluster.items("serviceimports", "-A")
    for address, port in ((eu.address(), 8080), (us.address(), 8080), (program, MEMBERS_PORT)):
        assert refused(stranger, address, port)
        words = ["curl", "-sgm", "3", "--interface", STRANGER, "-w", "%{remote_ip}", url(address, port=port)]
        assert not site.sandbox.run(words, check=False)
    eu.pod().run("ping", "-c", "1", "-W", "20", STRANGER)  # so there is a way


def test_a_third_cluster_joins(site: Site) -> None:
    """By an entry of its own in the file: nothing is restarted, and all have the endpoints of all."""
    eu, _, ap = site.members
    programs = [one.program().name for one in site.members]
    site.join(ap)
    for member in site.members:
        member.sees("web", "eu", "us", "ap")
        answers(member, member.clusterset_ip("web"), "eu", "us", "ap")
    assert reaches(ap.pod(), eu.address())
    assert reaches(eu.pod(), ap.address())
    assert programs == [one.program().name for one in site.members]


def test_a_change_is_seen_by_the_other_clusters(members: list[Member]) -> None:
    """A Deployment is scaled up and down, a ServiceExport is deleted and created again."""
    eu, us, ap = members
    for replicas in (2, 1):
        us.cluster.kubectl("scale", "deployment/web", f"--replicas={replicas}")
        for member in (eu, ap):
            member.sees("web", "eu", "ap", *["us"] * replicas)
    us.unexport("web")
    for member in (eu, ap):
        member.sees("web", "eu", "ap")
    us.export("web")
    for member in (eu, ap):
        member.sees("web", "eu", "us", "ap")


def test_a_policy_admits_another_cluster_by_its_prefix(members: list[Member]) -> None:
    """An `ipBlock` of one member lets its pods in and those of the other not, until the policy is deleted."""
    eu, us, ap = members
    address = eu.address()
    eu.cluster.apply(ONLY_FROM.format(prefix=us.prefix))
    ap.cluster.eventually(partial(refused, ap.pod(), address), what="a policy in force")
    assert reaches(us.pod(), address)
    eu.cluster.kubectl("delete", "networkpolicy", "only")
    ap.cluster.eventually(partial(reaches, ap.pod(), address), what="the end of the policy")


def test_names_are_answered_in_every_cluster(members: list[Member]) -> None:
    """`clusterset.local` has a Service's address, the pods of a headless one, and those of a StatefulSet by name."""
    addresses = {one.id: one.named("db-0").address(6) for one in members}
    for member in members:
        answers(member, WEB, "eu", "us", "ap")
        pod, eventually = member.pod(), member.cluster.eventually
        for name, address in addresses.items():
            eventually(partial(found_at, pod, f"db-0.{name}.{DB}", address), what=f"db-0 of {name}")
        eventually(partial(resolves, pod, DB, addresses.values()), what="all pods of a headless Service")


def test_a_killed_program_fails_no_request(members: list[Member]) -> None:
    """All three are killed while a pod asks the Service over new connections, and start again."""
    eu = members[0]
    asked = f"while [ ! -e END ]; do curl -sm 20 http://{WEB}/hostname || echo FAILED; echo; sleep 0.1; done"
    before = [restarts(one) for one in members]
    with looping(eu.pod(), asked) as lines:
        eu.cluster.eventually(lambda: {"eu", "us", "ap"} == {*lines()}, what="answers of all clusters")
        for member in members:
            member.cluster.on(member.nodes()[0], "pkill", "-KILL", "-f", "engine clusterset serve")
        for member, count in zip(members, before, strict=True):
            member.cluster.eventually(partial(restarted, member, count), what="a restart")
        seen = len(lines())
        eu.cluster.eventually(lambda: len(lines()) > seen + 20, what="answers after the restart")
        assert {"eu", "us", "ap"} == {*lines()}


def test_status_says_that_all_is_well(site: Site, members: list[Member]) -> None:
    """In all clusters: each answers the others, and nothing was refused."""
    members[0].cluster.eventually(lambda: site.slash80("status", *site.listed()), what="a clusterset that is well")


def test_a_program_that_moves_is_found_again(members: list[Member]) -> None:
    """Its pod gets an address that the file does not have: it calls the others, and what changes there arrives."""
    eu, us, ap = members
    before = us.program().address(6)
    us.cluster.kubectl("-n", SYSTEM, "delete", "pods", "-l", f"app.kubernetes.io/name={PROGRAM}")
    us.ready(f"deployment/{PROGRAM}", namespace=SYSTEM)
    assert before != us.program().address(6)
    for replicas in (2, 1):
        us.cluster.kubectl("scale", "deployment/web", f"--replicas={replicas}")
        for member in (eu, ap):
            member.sees("web", "eu", "ap", *["us"] * replicas)


def test_a_member_whose_nodes_hang_is_a_last_resort(members: list[Member]) -> None:
    """After half a minute requests go to the others only; when it answers again, they go to it as well."""
    eu, us, ap = members
    for node in us.nodes():
        us.cluster.podman("pause", node)
    for member in (eu, ap):
        member.sees("web", "eu", "ap", silent="us")
        answers(member, WEB, "eu", "ap")
    for node in us.nodes():
        us.cluster.podman("unpause", node)
    for member in (eu, ap):
        member.sees("web", "eu", "us", "ap")
        answers(member, WEB, "eu", "us", "ap")


def test_a_member_that_is_struck_is_shut_out(site: Site, members: list[Member]) -> None:
    """Its open connection is cut, new ones are refused, and its exports are gone from the others."""
    eu, us, ap = members
    here, there = eu.address(), ap.pod()
    request = r"printf 'GET /clientip HTTP/1.1\r\nHost: eu\r\n\r\n'"
    asked = f"while [ ! -e END ]; do {request}; sleep 0.2; done | nc.openbsd {here} 8080"
    with looping(there, asked) as lines:

        def answered() -> int:
            return sum("HTTP/1.1 200" in line for line in lines())

        ap.cluster.eventually(lambda: answered() > 10, what="answers over one connection")
        assert tracked(eu, there)
        site.strike(ap)
        eu.cluster.eventually(lambda: not tracked(eu, there), what="the end of the connection")
        seen = answered()
        assert refused(there, here)
        ap.cluster.eventually(partial(refused, there, us.address()), what="the end of trust in us")
        assert seen == answered()
    for member in (eu, us):
        member.sees("web", "eu", "us")
        answers(member, WEB, "eu", "us")


def test_leaving_leaves_nothing(site: Site, members: list[Member]) -> None:
    """All that came with it is gone, and the others' pods are strangers; ServiceExports stay, without conditions."""
    eu, _, ap = members
    assert reaches(eu.pod(), ap.address())
    then = "delete -k manifests/clusterset --ignore-not-found"
    assert f"kubectl --context {ap.context} {then}" in site.slash80("leave", "--yes", ap.context)
    ap.cluster.kubectl(*then.split(), "--timeout=300s")

    assert not ap.objects() - ap.before
    exports = ap.cluster.items("serviceexports", "-A")
    assert ["db", "web"] == sorted(one["metadata"]["name"] for one in exports)
    assert not any(one.get("status", {}).get("conditions") for one in exports)
    eu.cluster.eventually(partial(refused, eu.pod(), ap.address()), what="the end of trust in ap")


def test_a_member_that_is_gone_for_good(site: Site, members: list[Member]) -> None:
    """Its cluster is deleted: the rest serves on, and nothing of it is left when it is struck."""
    eu, us, _ = members
    us.delete()
    eu.sees("web", "eu", silent="us")
    answers(eu, WEB, "eu")
    site.strike(us)
    eu.sees("web", "eu")
    answers(eu, WEB, "eu")


def restarts(member: Member) -> int:
    """Count how often the program's container has ended."""
    return int(member.program().document["status"]["containerStatuses"][0]["restartCount"])


def restarted(member: Member, before: int) -> bool:
    """Report whether the program runs again since it had ended so often."""
    (state,) = member.program().document["status"]["containerStatuses"]
    return state["restartCount"] > before and bool(state["ready"])


def tracked(member: Member, client: Pod) -> str:
    """Return what a cluster's nodes know of connections that a pod has opened."""
    words = ("conntrack", "-L", "-f", "ipv6", "-s", client.address(6), "-p", "tcp", "--state", "ESTABLISHED")
    return "".join(member.cluster.on(node, *words) for node in member.nodes())
