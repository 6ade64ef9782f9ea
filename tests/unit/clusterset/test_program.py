"""The parts of the program put together, with an API server that is the test's."""

import threading
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from lab.kube import CONFIG_MAPS, NAMESPACES, FakeApi, config_map, namespace
from lab.waiting import wait_until
from slash80.cluster.api import Api
from slash80.cluster.credentials import ClientConfig
from slash80.cluster.runner import Pace
from slash80.clusterset import identity, program, run, state
from slash80.clusterset.cluster_facts import ClusterFacts, ask
from slash80.clusterset.exporter import Exported, Exporter
from slash80.clusterset.program import Beginning, Program
from slash80.clusterset.silence import Verdict, judge
from slash80.clusterset.state import State
from slash80.settings.clusterset import KEY, NAME, render
from unit.clusterset import exchange_rig as rig

OWN = "slash80-system"
MCS, SLICES = "/apis/multicluster.x-k8s.io", "/apis/discovery.k8s.io/v1/endpointslices"
SECRETS = f"/api/v1/namespaces/{OWN}/secrets"
CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"
FILE = render(rig.clusterset(rig.member("eu", 1, port=1), rig.member("us", 2, port=1)))


def group(name: str, *versions: str) -> dict[str, Any]:
    """Return what the API says of a group."""
    return {"metadata": {"name": name}, "versions": [{"version": version} for version in versions]}


@pytest.fixture
def server() -> Iterator[FakeApi]:
    """Provide an API server with ServiceExports, the file and what belongs to the program."""
    found = FakeApi(page=1000)
    kinds = (f"{MCS}/v1beta1/serviceexports", f"{MCS}/v1beta1/serviceimports", SLICES, "/api/v1/services")
    found.objects |= {path: {} for path in (*kinds, SECRETS, "/apis")}
    found.objects["/api/v1/configmaps"] = found.objects[CONFIG_MAPS]
    found.objects["/api/v1/secrets"] = found.objects[SECRETS]
    for name in ("default", OWN):
        found.put(NAMESPACES, namespace(name))
    found.put("/apis", group("multicluster.x-k8s.io", "v1beta1"))
    found.put(CIDRS, {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["fd00:10:96::/112"]}})
    found.put(CONFIG_MAPS, config_map(NAME, **{KEY: FILE}))
    found.put(CONFIG_MAPS, config_map(state.NAME))
    secret = {"metadata": {"name": "slash80-clusterset", "namespace": OWN}, "data": rig.someone(1).data()}
    found.put(SECRETS, secret)
    yield found
    found.stop()


class Running:
    """A program that runs; `lost` is why it wants to be started again."""

    def __init__(self, server: FakeApi, *, again: bool = False) -> None:
        self.server, self.lost = server, list[str]()
        self.api = Api(ClientConfig(server.start()))
        self.facts: ClusterFacts = ask(self.api, OWN)
        begin = Beginning(rig.someone(1), self.facts)
        if again:
            begin = run._beginning(self.api, OWN, run.Options(("", 0), unrestricted=True))
        self.program = Program(self.api, OWN, begin, listen=("127.0.0.1", 0), lost=self.lost.append)
        self.program.start()

    def stop(self) -> None:
        """End it."""
        self.program.stop()
        self.api.close()

    def says(self) -> State:
        """Return what it says in its state."""
        found = self.server.objects[CONFIG_MAPS][f"{OWN}/{state.NAME}"].get("data", {}).get(state.KEY)
        return state.read(found) if found else State()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the program say and ask everything without delay."""
    monkeypatch.setattr(program, "_FIRST_REPORT", 0.0)
    monkeypatch.setattr(program, "_REPORT_EVERY", 0.0)
    monkeypatch.setattr(program, "_ASK_AGAIN", Pace(minimum=0.05, maximum=0.1, retry=0.1))


@pytest.mark.usefixtures("soon")
def test_a_member_among_this_clusters_services_is_refused(server: FakeApi) -> None:
    """The program compares the file with the ranges that its API server has."""
    server.put(CIDRS, {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["2001:db8:2:ffff::/112"]}})
    running = Running(server)
    try:
        assert (ip_network("2001:db8:2:ffff::/112"),) == running.facts.services
        wait_until(lambda: "ClustersetInvalid" in [one.reason for one in running.says().problems])
        (problem,) = [one for one in running.says().problems if one.reason == "ClustersetInvalid"]
        assert "member 'us' has the prefix 2001:db8:2::/48, which overlaps 2001:db8:2:ffff::/112" in problem.message
        assert not running.lost
    finally:
        running.stop()


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("change", ["properties", "families"])
def test_what_comes_later_has_the_program_started_again(change: str, server: FakeApi) -> None:
    """A person who brings ClusterProperties, or a second family, restarts nothing."""
    server.writes.families = ["IPv6"]
    running = Running(server)
    try:
        wait_until(lambda: "eu" == running.says().cluster)
        assert not running.lost
        if change == "properties":
            server.put("/apis", group("about.k8s.io", "v1beta1"))
        else:
            server.writes.families = ["IPv6", "IPv4"]
        wait_until(lambda: bool(running.lost))
        assert "changed from" in running.lost[0]
    finally:
        running.stop()


class _Held(Exporter):
    """Judges exports when the test lets it."""

    free = threading.Event()

    def exported(self, *given: Any, **more: Any) -> Exported:  # noqa: ANN401 -- handed on
        """Wait, and judge."""
        assert self.free.wait(200)
        return super().exported(*given, **more)


@pytest.fixture
def us() -> Iterator[rig.Cluster]:
    """Run another member."""
    found = rig.Cluster(rig.someone(2), rig.File())
    with rig.running(found):
        yield found


@pytest.mark.usefixtures("soon")
def test_a_restart_deletes_no_import_however_late_the_namespaces_are_known(server: FakeApi, us: rig.Cluster) -> None:
    """Before that a member's exports would be taken for those of namespaces elsewhere, so it is not asked yet."""
    imports = f"{MCS}/v1beta1/serviceimports"
    us.file.now = rig.clusterset(rig.member("eu", 1, port=1), rig.member("us", 2, port=us.server.port))
    us.feed.publish(rig.exports("db"))
    server.put(NAMESPACES, namespace(rig.SHOP))
    server.put(CONFIG_MAPS, config_map(NAME, **{KEY: render(us.file.now)}))
    before = Running(server)
    try:
        wait_until(lambda: f"{rig.SHOP}/db" in server.objects[imports])
    finally:
        before.stop()
    server.forbidden.add(f"{NAMESPACES}?")
    server.seen.clear()
    after = Running(server)
    try:
        wait_until(lambda: "WatchFailed" in [one.reason for one in after.says().problems])
        assert (1, "eu") == (len(us.seen), after.says().cluster)
        server.forbidden.clear()
        wait_until(lambda: 2 == len(us.seen))
        us.feed.publish(rig.exports("db", "web"))
        wait_until(lambda: {f"{rig.SHOP}/db", f"{rig.SHOP}/web"} == server.objects[imports].keys())
        assert not [one for one in server.seen if one.startswith("DELETE")]
    finally:
        after.stop()


@pytest.fixture
def eu(server: FakeApi, us: rig.Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """Run the program of a cluster that exports `shop/db`; both list each other."""
    monkeypatch.setattr(program, "Exporter", _Held)
    _Held.free.set()
    server.put(NAMESPACES, namespace(rig.SHOP))
    metadata = {"name": "db", "namespace": rig.SHOP, "uid": "db", "creationTimestamp": "2027-01-01T00:00:00Z"}
    spec = {"type": "ClusterIP", "ipFamilies": ["IPv6"], "ports": [{"port": 80, "protocol": "TCP"}]}
    server.put("/api/v1/services", {"metadata": {**metadata}, "spec": spec})
    server.put(f"{MCS}/v1beta1/serviceexports", {"metadata": {**metadata}})
    server.writes.families = ["IPv6"]
    entry = rig.member("us", 2, port=us.server.port)
    us.file.now = rig.clusterset(rig.member("eu", 1, port=1), entry)
    us.feed.publish({})
    server.put(CONFIG_MAPS, config_map(NAME, **{KEY: render(us.file.now)}))
    running = Running(server)
    try:
        us.file.now = rig.clusterset(rig.member("eu", 1, port=running.program.port), entry)
        wait_until(lambda: f"{rig.SHOP}/db" in server.objects[f"{MCS}/v1beta1/serviceimports"])
        yield running
    finally:
        _Held.free.set()
        running.stop()


def _mistake(server: FakeApi, running: Running) -> None:
    """Delete the file, and put one there that cannot be used."""
    server.remove(CONFIG_MAPS, f"{OWN}/{NAME}")
    wait_until(lambda: "ClustersetMissing" in [one.reason for one in running.says().problems])
    server.put(CONFIG_MAPS, config_map(NAME, **{KEY: "a mistake"}))
    wait_until(lambda: "ClustersetInvalid" in [one.reason for one in running.says().problems])
    assert "" == running.says().cluster


@pytest.mark.usefixtures("soon")
def test_a_cluster_that_is_a_member_again_does_not_say_that_it_exports_nothing(
    server: FakeApi, us: rig.Cluster, eu: Running
) -> None:
    """Its exports are judged once more, which takes a moment: until then no one is answered, and nothing is deleted."""
    assert us.file.now
    _mistake(server, eu)
    wait_until(lambda: bool(eu.says().exports) and not eu.says().exports[0].ready)
    _Held.free.clear()
    server.seen.clear()
    server.put(CONFIG_MAPS, config_map(NAME, **{KEY: render(us.file.now)}))
    wait_until(lambda: "eu" == eu.says().cluster)
    us.followers.follow()
    follower = us.followers.all["eu"]
    wait_until(lambda: follower.complete or "does not know its own exports yet" in follower.problem)
    assert not follower.complete
    us.feed.publish(rig.exports("web"))
    wait_until(lambda: rig.exports("web") == eu.program._members.exports["us"])
    _Held.free.set()
    wait_until(lambda: f"{rig.SHOP}/web" in server.objects[f"{MCS}/v1beta1/serviceimports"])

    def answered() -> bool:
        us.followers_clock.advance(31)
        return follower.complete

    wait_until(answered)
    assert [f"{rig.SHOP}/db"] == [str(name) for name in follower.exports]
    assert not [one for one in server.seen if one.startswith("DELETE")]


@pytest.mark.usefixtures("soon")
def test_members_are_remembered_while_the_file_cannot_be_used(server: FakeApi, us: rig.Cluster, eu: Running) -> None:
    """When it is corrected a member that is silent has as long as before: it is not known for never having answered."""
    wait_until(lambda: "us" in eu.says().members and eu.says().members["us"].answered is not None)
    _mistake(server, eu)
    wait_until(lambda: bool(eu.says().exports) and not eu.says().exports[0].ready)

    assert eu.says().members["us"].answered is not None


@pytest.mark.usefixtures("soon")
def test_a_new_key_deletes_no_import(server: FakeApi, us: rig.Cluster, eu: Running) -> None:
    """The file does not list it yet, which is no reason to forget who this cluster was in the last one."""
    us.feed.publish(rig.exports("web"))
    both = {f"{rig.SHOP}/db", f"{rig.SHOP}/web"}
    wait_until(lambda: both == server.objects[f"{MCS}/v1beta1/serviceimports"].keys() and "eu" == eu.says().cluster)
    eu.stop()
    server.put(SECRETS, {"metadata": {"name": "slash80-clusterset", "namespace": OWN}, "data": {}})
    server.seen.clear()
    after = Running(server, again=True)
    try:
        wait_until(lambda: "ClusterNotListed" in [one.reason for one in after.says().problems])
        wait_until(lambda: bool(after.program._writing._writer.wanted))
        found = identity.load(server.objects[SECRETS][f"{OWN}/slash80-clusterset"]["data"])
        assert found
        own = rig.member("eu", 1, rig.someone(1).der, found.der, port=after.program.port)
        us.file.now = rig.clusterset(own, rig.member("us", 2, port=us.server.port))
        server.put(CONFIG_MAPS, config_map(NAME, **{KEY: render(us.file.now)}))
        us.feed.publish(rig.exports("api", "web"))
        wait_until(lambda: f"{rig.SHOP}/api" in server.objects[f"{MCS}/v1beta1/serviceimports"])
        assert not [one for one in server.seen if one.startswith("DELETE")]
    finally:
        after.stop()


def test_a_namespace_that_was_away_between_two_looks_is_asked_for(
    server: FakeApi, us: rig.Cluster, eu: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a member exports to it may have been dropped meanwhile, and the member does not say it twice."""
    looks, free = threading.Semaphore(0), threading.Event()

    def held(*given: Any) -> Verdict:  # noqa: ANN401 -- handed on
        looks.release()
        assert free.wait(200)
        return judge(*given)

    monkeypatch.setattr(program, "judge", held)
    eu.program._wake("imports")
    assert looks.acquire(timeout=200)
    try:
        server.remove(NAMESPACES, rig.SHOP)
        wait_until(lambda: rig.SHOP not in eu.program._here())
        us.feed.publish(rig.exports("web"))
        wait_until(lambda: rig.SHOP in eu.program._followers.all["us"]._elsewhere)
        server.put(NAMESPACES, namespace(rig.SHOP))
        wait_until(lambda: rig.SHOP in eu.program._here())
    finally:
        free.set()
    wait_until(lambda: f"{rig.SHOP}/web" in server.objects[f"{MCS}/v1beta1/serviceimports"])


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("number", "lost"), [(1, False), (2, True)], ids=["the same key", "another key"])
def test_only_another_key_in_the_secret_has_the_program_started_again(
    number: int, *, lost: bool, server: FakeApi
) -> None:
    """What else a Secret has, such as what cert-manager puts there, is not the program's."""
    data = {**rig.someone(number).data(), "ca.crt": ""}
    running = Running(server)
    try:
        server.put(SECRETS, {"metadata": {"name": "slash80-clusterset", "namespace": OWN}, "data": data})
        server.seen.clear()

        def looked() -> bool:
            running.program._reporter.wake()
            return sum("/secrets/" in one for one in [*server.seen]) > 1

        wait_until(looked)
        assert lost is bool(running.lost)
    finally:
        running.stop()
