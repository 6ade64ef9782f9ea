"""The writer: what it writes, how little of it, and in which order."""

from dataclasses import replace
from typing import Any

import pytest

from slash80.cluster.api import Refused
from slash80.cluster.objects.conditions import Condition
from slash80.cluster.objects.servicespec import MANAGED_BY
from slash80.cluster.subscription import Subscription
from slash80.clusterset.documents import MANAGER, Members, derived, properties
from slash80.clusterset.records import Import, Name
from unit.clusterset.clusters import NOW, WEB, endpoints, imported
from unit.clusterset.rig import EXPORTS, IMPORTS, NAMESPACES, PROPERTIES, SERVICES, SLICES, Rig

ONE = {"eu": endpoints("2001:db8:1::a")}
BOTH = ONE | {"us": endpoints("2001:db8:2::a", node="worker")}
ABSENT = frozenset({"eu"})


@pytest.fixture
def rig() -> Rig:
    """Return a cluster with nothing in it."""
    return Rig()


def many(number: int, namespace: str = "shop") -> list[Import]:
    """Return so many imports."""
    return [imported(ONE, name=Name(namespace, f"service-{one}")) for one in range(number)]


def ips(rig: Rig) -> list[str]:
    """Return the clusterset IPs of shop/web."""
    return list(rig.objects(IMPORTS)["shop/web"]["spec"].get("ips", []))


def test_an_import_can_be_used_when_it_is_written(rig: Rig) -> None:
    """Service, slices and import are there, and the import has the Service's address and is ready."""
    rig.want(imported(BOTH))
    rig.settle()
    found = rig.objects(IMPORTS)["shop/web"]

    assert [rig.objects(SERVICES)[f"shop/{derived(WEB)}"]["spec"]["clusterIP"]] == ips(rig)
    assert "True" == found["status"]["conditions"][0]["status"]
    assert 2 == len(rig.objects(SLICES))
    assert not rig.writer.problems


def test_each_object_is_written_once(rig: Rig) -> None:
    """The import needs a second write for its address, and one for its status."""
    rig.want(imported(ONE))
    rig.settle()

    assert ["serviceimports", "services", "serviceimports", "endpointslices", "status"] == [
        one.rsplit("/", 1)[1] if one.endswith("status") else one.rsplit("/", 2)[1] for one in rig.api.sent
    ]


def test_what_has_not_changed_is_not_written(rig: Rig) -> None:
    """Neither when the same is wanted again, nor after the process was started again."""
    rig.want(imported(BOTH))
    rig.settle()
    rig.api.sent.clear()
    rig.want(imported(BOTH))
    rig.settle()
    rig.start()
    rig.want(imported(BOTH))
    rig.settle()

    assert [] == rig.api.sent


def test_one_endpoint_is_one_write(rig: Rig) -> None:
    """Nothing but its slice is touched."""
    rig.want(imported(BOTH))
    rig.settle()
    rig.api.sent.clear()
    rig.want(imported(BOTH | {"eu": endpoints("2001:db8:1::a", "2001:db8:1::b")}))
    rig.settle()
    (only,) = rig.api.sent

    assert "/endpointslices/web-eu-v6-" in only


def test_what_is_not_wanted_any_more_is_deleted(rig: Rig) -> None:
    """The import goes first, since DNS follows it; nothing is left, not even with a garbage collector that is late."""
    rig.server.writes.collecting = False
    rig.want(imported(BOTH))
    rig.settle()
    rig.api.sent.clear()
    rig.want()
    rig.settle()

    assert {SLICES: {}, IMPORTS: {}, SERVICES: {}} == rig.everything
    assert "DELETE" == rig.api.sent[0].partition(" ")[0]
    assert "serviceimports" in rig.api.sent[0]


def test_what_a_former_process_has_left_is_deleted(rig: Rig) -> None:
    """After a start all that is ours is compared, also of Services that are not exported any more."""
    rig.want(imported(BOTH), *many(3))
    rig.settle()
    rig.start()
    rig.want(imported(BOTH))
    rig.settle()

    assert {"shop/web"} == rig.objects(IMPORTS).keys()


def test_nothing_is_deleted_of_a_member_that_has_not_answered_yet(rig: Rig) -> None:
    """After a restart it is not known what it exports; an empty answer is something else than none."""
    rig.want(imported(BOTH), *many(2))
    rig.settle()
    before = rig.everything
    rig.start()
    rig.want(imported({"us": BOTH["us"]}), members=Members("us", unheard=ABSENT))
    rig.settle()
    kept = rig.everything
    rig.want(imported({"us": BOTH["us"]}), members=Members("us"))
    rig.settle()

    assert before == kept
    assert [{"cluster": "us"}] == rig.objects(IMPORTS)["shop/web"]["status"]["clusters"]
    assert 1 == len(rig.objects(SLICES))


def test_a_member_that_died_while_the_program_was_away_is_a_last_resort(rig: Rig) -> None:
    """What it exports is not known, so its slices become one as they are, each by one write, and nothing is deleted."""
    ends = endpoints("2001:db8:1::a", zone="a", hostname="db-0", zone_hints=("a",))
    rig.want(imported({"eu": ends, "us": BOTH["us"]}))
    rig.settle()
    before = rig.everything
    rig.start()
    alone = imported({"us": BOTH["us"]})
    rig.want(alone, members=Members("us", unheard=ABSENT))
    rig.settle()
    assert before == rig.everything
    rig.api.sent.clear()
    for _ in range(2):
        rig.want(alone, members=Members("us", silent=ABSENT, unheard=ABSENT))
        rig.settle()
        rig.start()

    assert ["web-eu"] == [one.rpartition("/")[2][:6] for one in rig.api.sent]
    silent = rig.everything
    rig.want(imported({"eu": ends, "us": BOTH["us"]}), members=Members("us", silent=ABSENT))
    rig.settle()
    assert silent == rig.everything
    assert 1 == len(rig.api.sent)
    rig.want(imported({"eu": ends, "us": BOTH["us"]}))
    rig.settle()
    assert before == rig.everything
    assert not rig.writer.problems


def test_slices_that_kube_proxy_does_not_read_are_no_last_resort(rig: Rig) -> None:
    """CoreDNS answers with ready endpoints alone, so those of a headless Service stay ready until they are deleted."""
    rig.want(imported(ONE, headless=True))
    rig.settle()
    before = rig.everything
    rig.start()
    rig.want(members=Members("us", silent=ABSENT, unheard=ABSENT))
    rig.settle()

    assert before == rig.everything


def test_a_slice_in_the_place_of_ours_is_not_made_a_last_resort(rig: Rig) -> None:
    """What is read before it is changed may be another program's by then."""
    rig.want(imported(ONE))
    rig.settle()
    (key,) = rig.objects(SLICES)
    rig.start()
    path = f"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/{key.partition('/')[2]}"
    rig.server.writes.delete(path)
    body = {"metadata": {"name": key.partition("/")[2]}, "addressType": "IPv6", "endpoints": [{"addresses": ["::1"]}]}
    theirs = rig.server.writes.create(path.rpartition("/")[0], body)
    rig.want(members=Members("us", silent=ABSENT, unheard=ABSENT))
    rig.settle(seconds=10)

    assert theirs == rig.objects(SLICES)[key]


def test_the_endpoints_of_a_member_that_is_gone_are_deleted_but_not_the_address(rig: Rig) -> None:
    """When it comes back, the Service has the same clusterset IP."""
    rig.want(imported(ONE))
    rig.settle()
    before = ips(rig)
    rig.want(members=Members("us", gone=ABSENT))
    rig.settle()
    assert not rig.objects(SLICES)
    rig.want(imported(ONE))
    rig.settle()

    assert before == ips(rig)
    assert 1 == len(rig.objects(SLICES))


def test_a_silent_member_changes_its_slices_alone(rig: Rig) -> None:
    """And they are as before when it is back."""
    rig.want(imported(BOTH))
    rig.settle()
    before = rig.everything
    rig.api.sent.clear()
    rig.want(imported(BOTH), members=Members("us", silent=ABSENT))
    rig.settle()
    assert ["web-eu"] == [one.rpartition("/")[2][:6] for one in rig.api.sent]
    rig.want(imported(BOTH))
    rig.settle()

    assert before == rig.everything


def test_an_import_of_another_controller_is_left_alone_and_named(rig: Rig) -> None:
    """Two controllers of the API in one cluster would write against each other without end."""
    path = "/apis/multicluster.x-k8s.io/v1beta1/namespaces/shop/serviceimports/web"
    body = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceImport", "metadata": {"name": "web"}}
    theirs = rig.server.writes.apply(path, body | {"spec": {"type": "Headless"}}, manager="lighthouse", force=True)
    rig.refresh()
    rig.want(imported(ONE), *many(1))
    rig.settle()
    (problem,) = rig.writer.problems.values()

    assert theirs == rig.objects(IMPORTS)["shop/web"]
    assert 1 == len(rig.objects(SLICES))
    assert "ServiceImport shop/web was made by another program (lighthouse)" in problem.message
    assert ("ObjectOfOther", "ServiceImport shop/web") == (problem.reason, problem.subject)


def test_a_service_that_has_the_name_is_left_alone_until_it_is_deleted(rig: Rig) -> None:
    """The import says why it is not ready, and becomes so as soon as the name is free."""
    name = derived(WEB)
    rig.server.writes.create("/api/v1/namespaces/shop/services", {"metadata": {"name": name}, "spec": {"ports": []}})
    rig.refresh()
    rig.want(imported(ONE))
    rig.settle()
    assert "made by another program" in rig.objects(IMPORTS)["shop/web"]["status"]["conditions"][0]["message"]
    rig.server.writes.delete(f"/api/v1/namespaces/shop/services/{name}")
    rig.refresh()
    rig.settle()

    assert ips(rig)
    assert not rig.writer.problems


def test_a_slice_that_has_the_name_is_not_taken_over(rig: Rig) -> None:
    """What the watch of our slices does not show is another program's, and the API server refuses the apply."""
    rig.want(imported(ONE))
    rig.settle()
    (key,) = rig.objects(SLICES)
    rig.want()
    rig.settle()
    body = {"metadata": {"name": key.partition("/")[2]}, "addressType": "IPv6", "endpoints": [{"addresses": ["::1"]}]}
    rig.server.writes.create("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", body)
    rig.want(imported(ONE))
    rig.settle(seconds=10)

    assert body["endpoints"] == rig.objects(SLICES)[key]["endpoints"]
    assert ["EndpointSlice"] == [why.subject.partition(" ")[0] for why in rig.writer.problems.values()]


def test_an_object_that_came_in_the_place_of_ours_is_left_alone(rig: Rig) -> None:
    """A change and a deletion are for the object that the watch has shown, which its uid says."""
    rig.want(imported(ONE))
    rig.settle()
    (key,) = rig.objects(SLICES)
    path = f"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/{key.partition('/')[2]}"
    rig.server.writes.delete(path)
    body = {"metadata": {"name": key.partition("/")[2]}, "addressType": "IPv6", "endpoints": []}
    theirs = rig.server.writes.create(path.rpartition("/")[0], body)
    rig.want(imported({"eu": endpoints("2001:db8:1::a", ready=False)}))
    rig.writer.write()
    rig.want()
    rig.settle(seconds=10)

    assert theirs == rig.objects(SLICES)[key]


def test_a_change_of_headlessness_replaces_service_and_address(rig: Rig) -> None:
    """The import stays, as it is the same Service for DNS; the derived Service goes and comes."""
    rig.want(imported(ONE))
    rig.settle()
    rig.want(imported(ONE, headless=True))
    rig.settle()
    assert not rig.objects(SERVICES)
    assert not ips(rig)
    rig.want(imported(ONE))
    rig.settle()

    assert ips(rig)
    assert not rig.writer.problems


def test_a_family_more_or_less_keeps_the_address_of_the_other_one(rig: Rig) -> None:
    """The first family of a Service cannot be changed, so it stays the first one while it is wanted at all."""
    rig.want(imported(ONE, families=(4,)))
    rig.settle()
    first = ips(rig)
    rig.want(imported(ONE, families=(6, 4)))
    rig.settle()
    both = ips(rig)
    rig.want(imported(ONE, families=(4,)))
    rig.settle()

    assert first == both[:1] == ips(rig)
    assert 2 == len(both)
    assert not rig.writer.problems


def test_a_change_of_the_first_family_replaces_the_service(rig: Rig) -> None:
    """Where the family that came first is not wanted any more, the API server takes no change of it."""
    rig.want(imported(ONE, families=(4,)))
    rig.settle()
    rig.want(imported(ONE, families=(6,)))
    rig.settle()

    assert ips(rig)[0].startswith("fd00:")
    assert not rig.writer.problems


def test_fifty_writes_are_made_in_a_second(rig: Rig) -> None:
    """A first fill of thousands of objects must not take the API server from others."""
    rig.want(*many(50))
    while rig.writer.pending:
        rig.writer.write()
        rig.time.seconds += 0.1

    assert 250 == rig.writer.written
    assert (250 - 50) / 50 == pytest.approx(rig.time.seconds - 1000, abs=1)


def test_a_single_change_does_not_wait_for_many(rig: Rig) -> None:
    """A Service that changes while ten thousand objects are written is changed among the next."""
    rig.want(*many(60))
    rig.writer.write()
    rig.want(*many(60), imported(ONE))
    rig.settle(seconds=1)

    assert "True" == rig.objects(IMPORTS)["shop/web"]["status"]["conditions"][0]["status"]
    assert rig.writer.pending > 30


def test_many_do_not_wait_for_single_changes_without_end(rig: Rig) -> None:
    """Every fifth name is one of the many, however fast others change."""
    rig.want(*many(30))
    for number in range(60):
        rig.want(*many(30), imported({"eu": endpoints(f"2001:db8:1::{number:x}")}))
        rig.writer.write()
        rig.time.seconds += 0.1

    assert len(rig.objects(IMPORTS)) == 31


def test_a_member_that_changes_all_the_time_does_not_keep_others_waiting(rig: Rig) -> None:
    """Few names at once, and each as much to write as there can be: what another member changes is among the next."""
    eu, us = frozenset({"eu"}), frozenset({"us"})
    names = [Name("shop", f"service-{one}") for one in range(300)]
    headless = set[Name]()
    for turn in range(60):
        headless ^= {*names[turn * 15 % 300 :][:15]}
        theirs = [replace(imported(ONE, name=one, headless=one in headless), changed_by=eu) for one in names]
        rig.want(*theirs, members=Members("here"))
        rig.settle(seconds=0.5)
    rig.want(*theirs, replace(imported({"us": endpoints("2001:db8:2::a")}), changed_by=us), members=Members("here"))
    rig.settle(seconds=1)

    assert rig.writer.pending > 100
    assert "True" == rig.objects(IMPORTS)["shop/web"]["status"]["conditions"][0]["status"]


def test_own_changes_are_never_too_many(rig: Rig) -> None:
    """A cluster's own endpoints are its own affair, however often they change."""
    for number in range(700):
        own = replace(imported({"us": endpoints(f"2001:db8:1::{number:x}")}), changed_by=frozenset({"us"}))
        rig.want(*many(60), own)
    rig.settle(seconds=1)

    assert "True" == rig.objects(IMPORTS)["shop/web"]["status"]["conditions"][0]["status"]
    assert rig.writer.pending > 30


def test_a_quota_costs_the_objects_of_its_namespace_only(rig: Rig) -> None:
    """The object is tried again, seldom, and written as soon as the quota allows it."""
    rig.server.writes.full = {"far"}
    rig.want(*many(2), *many(1, "far"))
    rig.settle(seconds=600)
    asked = len([one for one in rig.api.sent if "/far/" in one])

    assert {"shop/service-0", "shop/service-1"} == rig.objects(IMPORTS).keys()
    assert asked < 12
    assert "exceeded quota" in str(next(iter(rig.writer.problems.values())))
    rig.server.writes.full = set()
    rig.settle(seconds=600)
    assert "far/service-0" in rig.objects(IMPORTS)
    assert not rig.writer.problems


@pytest.mark.parametrize(
    ("unknown", "wanted", "instead"),
    [
        ({"PreferSameZone", "PreferSameNode"}, "PreferSameZone", "PreferClose"),
        ({"PreferSameZone", "PreferSameNode"}, "PreferSameNode", None),
        ({"PreferSameZone", "PreferSameNode", "PreferClose"}, "PreferSameZone", None),
    ],
)
def test_a_traffic_distribution_that_the_api_server_refuses_is_left_out(
    unknown: set[str], wanted: str, instead: str | None, rig: Rig
) -> None:
    """An exporter's Kubernetes may be newer: the Service is there, by the old name of the same, and people are told."""
    rig.server.writes.unsupported = unknown
    one = imported(ONE, traffic_distribution=wanted)
    rig.want(one)
    rig.settle(seconds=1)
    asked = len(rig.api.sent)
    rig.refresh()
    rig.settle()
    (service,) = rig.objects(SERVICES).values()

    assert instead == service["spec"].get("trafficDistribution")
    assert wanted == rig.objects(IMPORTS)["shop/web"]["spec"]["trafficDistribution"]
    assert ips(rig)
    assert asked == len(rig.api.sent)
    assert f"refuses trafficDistribution {wanted} in a Service" in str(rig.writer.refused[0])
    assert not rig.writer.problems
    rig.want(imported(ONE))
    rig.settle()
    assert not rig.writer.refused


def test_another_refusal_of_a_service_with_a_traffic_distribution_is_a_failure(rig: Rig) -> None:
    """A quota is no reason to leave anything out."""
    rig.server.writes.full = {"far"}
    one = imported(ONE, traffic_distribution="PreferClose", name=Name("far", "web"))
    rig.want(one)
    rig.settle(seconds=60)
    rig.server.writes.full = set()
    rig.settle(seconds=600)
    (service,) = rig.objects(SERVICES).values()

    assert "PreferClose" == service["spec"]["trafficDistribution"]


def test_what_cannot_be_written_is_no_problem_any_more_when_it_is_not_wanted(rig: Rig) -> None:
    """Else what a member exported once would be a problem until the program ends, and hide those of now."""
    rig.server.writes.full = {"far"}
    rig.want(*many(2, "far"))
    rig.settle(seconds=10)
    assert rig.writer.problems
    rig.want()
    rig.settle(seconds=10)

    assert not rig.writer.problems


def test_a_deletion_that_is_refused_is_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An admission webhook may have refused it for a moment only."""
    rig.want(imported(ONE))
    rig.settle()
    deleted, refusals = rig.api.delete, [Refused(403, "denied by a webhook")] * 3

    def delete(path: str, *, uid: str) -> None:
        if refusals:
            raise refusals.pop()
        deleted(path, uid=uid)

    monkeypatch.setattr(rig.api, "delete", delete)
    rig.want()
    rig.settle(seconds=60)

    assert not any(rig.objects(path) for path in (IMPORTS, SERVICES, SLICES))
    assert not rig.writer.problems


def test_names_that_nothing_was_written_of_are_forgotten(rig: Rig) -> None:
    """A hostile member exports other Services in each answer: neither what has to be looked at nor else grows by it."""
    rig.want(*many(100))
    rig.writer.write()
    for number in range(100):
        rig.want(*(imported(ONE, name=Name("shop", f"other-{number}-{one}")) for one in range(100)))

    assert rig.writer.pending <= 250
    rig.want()
    rig.settle()
    assert not rig.writer.pending
    assert set() == rig.view.news([Subscription(lambda: None, 1)], rig.writer.wanted)


@pytest.mark.parametrize("gone", [True, False])
def test_a_namespace_that_is_being_deleted_costs_its_own_objects_only(rig: Rig, *, gone: bool) -> None:
    """Nothing can be created in it, and the others go on."""
    rig.server.objects[NAMESPACES]["far"]["metadata"]["deletionTimestamp"] = NOW
    if gone:
        rig.server.remove(NAMESPACES, "far")
    rig.want(*many(2), *many(2, "far"))
    rig.settle(seconds=60)
    rig.want(*many(2))
    rig.settle(seconds=600)

    assert {"shop/service-0", "shop/service-1"} == rig.objects(IMPORTS).keys()


def test_an_object_that_is_changed_back_each_time_is_written_seldom_and_named(rig: Rig) -> None:
    """Two programs that write against each other would fill the API server's log without end."""
    rig.want(imported(ONE))
    rig.settle()
    (key,) = rig.objects(SLICES)
    path = f"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/{key.partition('/')[2]}"
    identity = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {}}
    rig.api.sent.clear()
    for _ in range(600):
        rig.server.writes.apply(path, identity | {"endpoints": [], "addressType": "IPv6"}, manager="them", force=True)
        rig.refresh()
        rig.writer.write()
        rig.time.seconds += 1

    assert 3 <= len(rig.api.sent) < 20
    assert "is changed back by another program each time" in str(next(iter(rig.writer.problems.values())))


def test_what_a_person_changed_is_put_back(rig: Rig) -> None:
    """Also a Service or a slice that was deleted."""
    rig.want(imported(BOTH))
    rig.settle()
    before = rig.everything
    rig.server.writes.delete(f"/api/v1/namespaces/shop/services/{derived(WEB)}")
    rig.refresh()
    rig.settle()

    assert before == rig.everything


def test_a_server_that_is_away_is_waited_for(rig: Rig) -> None:
    """Nothing is lost, and it is not asked without pause."""
    rig.api.away = True
    rig.want(imported(ONE))
    rig.settle(seconds=300)
    assert "Nothing can be written: the server is away." == str(rig.writer.problems[""])
    rig.api.away = False
    rig.settle()

    assert ips(rig)
    assert not rig.writer.problems


def test_the_conditions_of_an_export_are_written_once(rig: Rig) -> None:
    """They are a status, so that nothing else of the user's object is touched; an export that is gone gets none."""
    path = "/apis/multicluster.x-k8s.io/v1beta1/namespaces/shop/serviceexports/web"
    body = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": {"name": "web"}}
    rig.server.writes.apply(path, body, manager="kubectl", force=True)
    rig.refresh()
    condition = Condition("Ready", "True", "Ready", "It is.", 1, NOW)
    for _ in range(2):
        rig.want(web=(condition,), other=(condition,))
        rig.settle()

    assert [f"PATCH {path}/status"] == rig.api.sent
    assert [condition.document()] == rig.objects(EXPORTS)["shop/web"]["status"]["conditions"]


def test_a_cluster_says_who_it_is_while_it_is_a_member(rig: Rig) -> None:
    """Both properties are written, and deleted when it is not one any more."""
    rig.want(properties=properties("us", "shop"))
    rig.settle()
    assert "us" == rig.objects(PROPERTIES)["cluster.clusterset.k8s.io"]["spec"]["value"]
    rig.want()
    rig.settle()

    assert not rig.objects(PROPERTIES)


def test_a_property_of_another_program_is_left_alone_and_named(rig: Rig) -> None:
    """Another controller may have named the cluster already."""
    body: dict[str, Any] = {"metadata": {"name": "cluster.clusterset.k8s.io"}, "spec": {"value": "theirs"}}
    rig.server.writes.create(PROPERTIES, body)
    rig.refresh()
    for wanted in (properties("us", "shop"), []):
        rig.want(properties=wanted)
        rig.settle()

    assert "theirs" == rig.objects(PROPERTIES)["cluster.clusterset.k8s.io"]["spec"]["value"]
    assert {"cluster.clusterset.k8s.io"} == rig.objects(PROPERTIES).keys()


def test_nothing_is_written_before_it_is_known_what_is_wanted(rig: Rig) -> None:
    """A change that the watches show does not count before the first answer of what is to be."""
    rig.want(imported(ONE))
    rig.settle()
    rig.start()
    rig.refresh()
    rig.api.sent.clear()

    assert float("inf") == rig.writer.write()
    assert [] == rig.api.sent


def test_ours_has_our_label_and_manager(rig: Rig) -> None:
    """By the label the admission policy and `leave` know it; by the manager a change of others is noticed."""
    rig.want(imported(ONE))
    rig.settle()

    for path in (IMPORTS, SERVICES):
        (one,) = rig.objects(path).values()
        assert MANAGER == one["metadata"]["labels"][MANAGED_BY]
        assert {MANAGER} == {entry["manager"] for entry in one["metadata"]["managedFields"]}


def test_an_object_that_is_being_deleted_is_waited_for(rig: Rig) -> None:
    """A finalizer of another program keeps it; it is neither changed nor deleted again, and written when it is gone."""
    rig.want(imported(ONE))
    rig.settle()
    service = rig.objects(SERVICES)[f"shop/{derived(WEB)}"]
    service["metadata"]["deletionTimestamp"] = NOW
    rig.refresh()
    rig.api.sent.clear()
    rig.want(replace(imported(ONE), clusters=("ap", "eu")))
    rig.settle()
    assert not [one for one in rig.api.sent if "/services/" in one]
    rig.server.remove(SERVICES, f"shop/{derived(WEB)}")
    rig.refresh()
    rig.settle()

    assert ips(rig)


def test_a_member_that_answers_has_only_its_own_services_looked_at(rig: Rig) -> None:
    """After a start a hundred members answer one after the other, and each has a part in a few Services only."""
    rig.want(imported(BOTH), *(imported({"ap": ONE["eu"]}, name=Name("shop", f"ap-{one}")) for one in range(20)))
    rig.settle()
    rig.start()
    wanted = [imported({"us": BOTH["us"]})]
    rig.want(*wanted, members=Members("us", unheard=frozenset({"ap", "eu"})))
    rig.settle()
    rig.want(*wanted, members=Members("us", unheard=frozenset({"ap"})))

    assert 1 == rig.writer.pending


def test_looking_at_many_names_does_not_keep_a_change_waiting(rig: Rig) -> None:
    """A comparison of all takes seconds, in which nothing may have to be written."""
    rig.want(*many(120))
    rig.settle()
    rig.start()
    rig.want(*many(120))

    assert 0.0 == rig.writer.write()
    assert 20 == rig.writer.pending - 1  # the ClusterProperties are looked at, too
