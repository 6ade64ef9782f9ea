"""The program of a clusterset on real API servers, three of them with a router between, without nodes."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from kind import __main__ as kind
from lab.members_site import TEAM, Cluster, MembersSite, clusterset
from lab.waiting import wait_until


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MembersSite]:
    """Provide three clusters, of which the first two are a clusterset, and export a Service each."""
    with MembersSite(kind.CLUSTER_TOOLS, tmp_path_factory.mktemp("members"), "eu", "us", "ap") as found:
        eu, us, _ = found.clusters
        eu.export("web", eu.address(0xA))
        us.export("web", us.address(0xB))
        us.export("api", us.address(0xC))
        both = clusterset([eu, us])
        for one in (eu, us):
            one.file(both)
        yield found


def sees(cluster: Cluster, name: str, *addresses: str) -> None:
    """Wait until these addresses and no others are behind an imported Service, all of them ready."""
    try:
        wait_until(lambda: dict.fromkeys(addresses, True) == cluster.endpoints(name), seconds=100)
    except TimeoutError as error:
        raise TimeoutError(
            f"{error}: {cluster.endpoints(name)}, and the program said\n{cluster.log.read_text()}"
        ) from error


def test_members_import_what_the_others_export(site: MembersSite) -> None:
    """A Service of both has the endpoints of both in each, and one of a single cluster is everywhere."""
    eu, us, _ = site.clusters
    for one in (eu, us):
        sees(one, "web", eu.address(0xA), us.address(0xB))
        sees(one, "api", us.address(0xC))
        found = one.get("serviceimport", "web", "-n", TEAM)
        assert {"eu", "us"} == {cluster["cluster"] for cluster in found["status"]["clusters"]}
        assert found["spec"]["ips"]


def test_a_cluster_that_no_file_lists_imports_nothing(site: MembersSite) -> None:
    """It has a key, which is what others need to list it, and says what it lacks."""
    ap = site.clusters[2]
    ap.certificate()
    wait_until(lambda: "slash80 clusterset apply" in ap.state().get("problem", ""), seconds=100)

    assert not ap.get("serviceimports", "-A")["items"]
    assert not ap.get("endpointslices", "-n", TEAM, "-l", "multicluster.kubernetes.io/service-name")["items"]


def test_an_export_has_its_conditions(site: MembersSite) -> None:
    """Valid, Ready and no conflict, as the API names them."""
    eu = site.clusters[0]

    def found() -> dict[str, str]:
        listed = eu.get("serviceexport", "web", "-n", TEAM).get("status", {}).get("conditions", [])
        return {one["type"]: one["status"] for one in listed}

    wait_until(lambda: {"Valid": "True", "Ready": "True", "Conflict": "False"} == found(), seconds=100)


def test_a_change_is_seen_by_the_other_members(site: MembersSite) -> None:
    """An endpoint that comes, an export that goes: the others have it without being asked to look."""
    eu, us, _ = site.clusters
    us.export("api", us.address(0xC), us.address(0xD))
    sees(eu, "api", us.address(0xC), us.address(0xD))

    us.kubectl("delete", "serviceexport", "api", "-n", TEAM)
    sees(eu, "api")
    wait_until(
        lambda: not eu.get("serviceimports", "-n", TEAM, "--field-selector=metadata.name=api")["items"], seconds=100
    )


def test_a_restart_recreates_nothing(site: MembersSite) -> None:
    """What is imported stays as it is while the program is away, killed in the middle of whatever it did."""
    eu, us, _ = site.clusters

    def objects() -> set[str]:
        kinds = ("serviceimports", "endpointslices", "services")
        return {one["metadata"]["uid"] for kind_ in kinds for one in eu.get(kind_, "-n", TEAM)["items"]}

    sees(eu, "web", eu.address(0xA), us.address(0xB))
    before = objects()
    eu.stop(signal.SIGKILL)
    eu.start()
    us.export("web", us.address(0xB), us.address(0xE))
    try:
        sees(eu, "web", eu.address(0xA), us.address(0xB), us.address(0xE))
        assert before == objects()
    finally:
        us.export("web", us.address(0xB))
    sees(eu, "web", eu.address(0xA), us.address(0xB))


def test_a_member_that_dies_while_the_program_is_away_is_a_last_resort(site: MembersSite) -> None:
    """Half a minute after the program is back its endpoints are not ready any more, and none of them is deleted."""
    eu, us, _ = site.clusters
    sees(eu, "web", eu.address(0xA), us.address(0xB))
    eu.stop(signal.SIGKILL)
    us.stop(signal.SIGKILL)
    try:
        eu.start()
        wait_until(lambda: {eu.address(0xA): True, us.address(0xB): False} == eu.endpoints("web"))
    finally:
        us.start()
    sees(eu, "web", eu.address(0xA), us.address(0xB))


def test_an_api_server_that_hangs_does_not_stop_the_exchange(site: MembersSite) -> None:
    """While one cluster's API server takes requests and never answers, the others get its exports as they were."""
    eu, us, _ = site.clusters
    sees(eu, "web", eu.address(0xA), us.address(0xB))
    with us.control_plane.hanging():
        eu.stop()
        eu.start()
        sees(eu, "web", eu.address(0xA), us.address(0xB))
        wait_until(lambda: "ok" == eu.state().get("members", {}).get("us", {}).get("state"), seconds=200)


def test_a_deleted_file_ends_no_import_at_once(site: MembersSite) -> None:
    """By accident it may be pruned: what was imported stays for a quarter of an hour, and the file brings all back."""
    eu, us, _ = site.clusters
    sees(eu, "web", eu.address(0xA), us.address(0xB))
    file, gone, joined = clusterset([eu, us]), eu.said("there is no ConfigMap"), eu.said("member eu of")
    eu.file(None)
    try:
        wait_until(lambda: eu.said("there is no ConfigMap") > gone, seconds=100)
        eu.stop(signal.SIGKILL)
        eu.start()
        wait_until(lambda: eu.said("there is no ConfigMap") > gone + 1, seconds=100)
        # A member that is not asked any more is a last resort after half a minute, and a busy machine is slow.
        assert {eu.address(0xA), us.address(0xB)} == eu.endpoints("web").keys()
    finally:
        eu.file(file)
    wait_until(lambda: eu.said("member eu of") > joined, seconds=100)
    sees(eu, "web", eu.address(0xA), us.address(0xB))


def join(site: MembersSite) -> None:
    """Have the third cluster be a member, with an endpoint of the Service."""
    ap = site.clusters[2]
    ap.export("web", ap.address(0xF))
    file = clusterset(site.clusters)
    for one in site.clusters:
        one.file(file)
    addresses = [one.address(number) for one, number in zip(site.clusters, (0xA, 0xB, 0xF), strict=True)]
    for one in site.clusters:
        sees(one, "web", *addresses)


def test_a_cluster_joins_by_one_entry(site: MembersSite) -> None:
    """No other cluster is restarted, and nothing is set between pairs."""
    join(site)


def test_a_member_that_is_struck_is_gone_at_once(site: MembersSite) -> None:
    """Its endpoints are in no Service of the others any more, and it is answered by none of them."""
    join(site)
    eu, us, ap = site.clusters
    file = clusterset([eu, ap])
    for one in (eu, ap):
        one.file(file)
    for one in (eu, ap):
        sees(one, "web", eu.address(0xA), ap.address(0xF))
    wait_until(lambda: us.said("WARNING ap: ") > 0, seconds=100)


def test_programs_end_well(site: MembersSite) -> None:
    """SIGTERM ends all threads, also those that wait for other members."""
    for one in site.clusters:
        assert 0 == one.stop(), one.log.read_text()
