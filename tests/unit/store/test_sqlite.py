"""The store on disk: several processes at once, and whatever may happen to its file."""

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from lab.waiting import wait_until
from slash80.addressing.attachment import Assignment, Attachment
from slash80.addressing.choose import Ledger
from slash80.addressing.openings import NO_OPENINGS
from slash80.addressing.pool import Range
from slash80.errors import IoFailure, TryAgain
from slash80.store.sqlite import SqliteStore
from unit.builders import OPENINGS, attachment
from unit.store import crowd
from unit.store.reserving import reserve

MakeStore = Callable[..., SqliteStore]
KILLED = """
import os, pathlib, signal, sys
from slash80.store.sqlite import SqliteStore
store = SqliteStore(pathlib.Path(sys.argv[1]), survey=list, timeout=5, clock=lambda: 1000.0)
with store._transaction() as connection:
    connection.execute("PRAGMA cache_size = 1")
    rows = ((4, n.to_bytes(4, "big"), "s80aaaaaaaaaaaa") for n in range(5000))
    connection.executemany("INSERT INTO address (family, packed, holder) VALUES (?, ?, ?)", rows)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return the state directory, which does not exist yet."""
    return tmp_path / "state"


@pytest.fixture
def make(directory: Path) -> MakeStore:
    """Return a function that opens a store in the directory, over a kernel that has these attachments."""

    def make_store(*surveyed: Attachment, timeout: float = 5) -> SqliteStore:
        return SqliteStore(directory, survey=lambda: surveyed, timeout=timeout, clock=lambda: 5000.0)

    return make_store


def always(_ledger: Ledger, _secret: bytes, _known: Sequence[Attachment]) -> Assignment:
    """Choose the first address of each family."""
    return attachment(1).assignment


def nothing(_ledger: Ledger, _secret: bytes, _known: Sequence[Attachment]) -> Assignment:
    """Choose no address."""
    return Assignment(None, None, None)


def names(store: SqliteStore) -> list[str]:
    """Return the containers that a store has."""
    return [found.key.container_id for found in store.attachments()]


def test_row_is_visible_to_another_process(make: MakeStore) -> None:
    """The file is all that two processes share, and a row of one is read by the other."""
    make().keep(attachment())

    assert [attachment()] == make().attachments()


def test_store_directory_is_accessible_for_its_owner_only(make: MakeStore, directory: Path) -> None:
    """No other user can read the secret or the pods' names."""
    make().keep(attachment())

    assert 0o700 == directory.stat().st_mode & 0o777


@pytest.mark.parametrize("early", [True, False])
def test_removed_or_replaced_store_is_read_back_from_the_kernel(
    make: MakeStore,
    directory: Path,
    early: bool,  # noqa: FBT001
) -> None:
    """The attachments of the kernel are known again, others are forgotten, and an open store follows the path."""
    store = make(attachment(2))
    if not early:
        store.keep(attachment(1))
        (directory / "state.db").unlink()

    assert ["container2"] == names(store)


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage! " * 5000)


def _hole(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def _half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _stump(path: Path) -> None:
    os.truncate(path, 50)


@pytest.mark.parametrize("damage", [_garbage, _hole, _half, _stump])
def test_damaged_store_is_moved_aside_and_created_again(
    make: MakeStore, directory: Path, damage: Callable[[Path], None]
) -> None:
    """The kernel's attachments are known at once, and the damaged file is kept for inspection."""
    make().keep(attachment(1))
    damage(directory / "state.db")
    damaged = (directory / "state.db").read_bytes()
    store = make(attachment(2))

    assert ["container2"] == names(store)
    assert damaged in [path.read_bytes() for path in directory.glob("state.*") if path.name != "state.db"]
    assert attachment(3).key == reserve(store, attachment(3), nothing).key


def test_empty_store_file_is_a_new_store(make: MakeStore, directory: Path) -> None:
    """A process killed between creating and writing the file does no harm."""
    directory.mkdir(mode=0o700)
    (directory / "state.db").touch()

    assert ["container2"] == names(make(attachment(2)))


def _removed(path: Path) -> None:
    path.unlink()


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("lose", [_removed, _emptied])
@pytest.mark.parametrize("noticed", [True, False])
def test_reservation_of_a_lost_store_is_kept_in_the_next(
    make: MakeStore, directory: Path, lose: Callable[[Path], None], *, noticed: bool
) -> None:
    """The row is written to the next file, which another process may have created without it."""
    store = make()
    reserved = reserve(store, attachment(1), always)
    lose(directory / "state.db")
    if noticed:
        assert [] == names(make())
    store.keep(reserved)

    assert ["container1"] == names(make(reserved))
    assert reserved.host_ifname == store.read(lambda ledger: ledger.use(ip_address("10.80.1.1"))).holder  # type: ignore[union-attr]


def test_reservation_of_the_same_store_is_not_written_twice(make: MakeStore, directory: Path) -> None:
    """Keeping a row costs one stat of the file."""
    store = make()
    reserved = reserve(store, attachment(1), always)
    before = (directory / "state.db").read_bytes()
    store.keep(reserved)

    assert before == (directory / "state.db").read_bytes()
    store.release(reserved.host_ifname)
    store.keep(reserved)
    assert ["container1"] == names(store)


def test_failed_recovery_leaves_no_half_made_store(directory: Path) -> None:
    """The next call reads the kernel again, and finds everything."""

    def fail() -> list[Attachment]:
        raise LookupError

    clock = dict.fromkeys(["clock"], lambda: 5000.0)
    with pytest.raises(LookupError):
        SqliteStore(directory, survey=fail, timeout=5, **clock).attachments()
    assert ["container1"] == names(SqliteStore(directory, survey=lambda: [attachment()], timeout=5, **clock))


def test_store_of_a_newer_version_serves_only_del(make: MakeStore, directory: Path) -> None:
    """During an upgrade ADD is told to try again, and DEL works."""
    make().keep(attachment(1))
    with closing(sqlite3.connect(directory / "state.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("ALTER TABLE attachment ADD COLUMN later TEXT")
    store = make()

    with pytest.raises(TryAgain, match="newer slash80"):
        reserve(store, attachment(2), nothing)
    assert attachment(1) == store.get(attachment(1).host_ifname)
    store.release(attachment(1).host_ifname)
    assert [] == names(store)


def test_store_of_the_version_before_gets_its_missing_column(make: MakeStore, directory: Path) -> None:
    """Its pods stay on record, further ones may have openings, and a connection of that version goes on working."""
    make().keep(attachment(1))
    of_before = sqlite3.connect(directory / "state.db", isolation_level=None)
    with closing(of_before):
        of_before.execute("ALTER TABLE attachment DROP COLUMN openings")
        opened = replace(attachment(2), openings=OPENINGS)
        make().keep(opened)
        columns = "host_ifname, container_id, ifname, network, netns, pod_namespace, pod_name, pod_uid, state, since"
        values = "'s80x', 'c', 'eth0', 'n', '', '', '', '', 'ready', 9"
        of_before.execute(f"INSERT INTO attachment ({columns}) VALUES ({values})")

    found = {one.host_ifname: one for one in make().attachments()}
    assert [attachment(1), opened] == [found[one.host_ifname] for one in (attachment(1), opened)]
    assert found["s80x"].openings == NO_OPENINGS


def test_killed_writer_leaves_the_previous_rows(make: MakeStore, directory: Path) -> None:
    """Half-written pages are rolled back by the process that opens the file next."""
    store = make()
    store.keep(attachment(1))
    before = (directory / "state.db").read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(directory)], capture_output=True, check=False)

    assert (-9, b"") == (done.returncode, done.stderr)
    assert before != (directory / "state.db").read_bytes()
    assert (directory / "state.db-journal").stat().st_size
    assert ["container1"] == names(store)
    assert make().read(lambda ledger: ledger.use(ip_address("0.0.0.5"))) is None


def test_busy_store_lock_is_code_11(make: MakeStore) -> None:
    """Every method gives up after the configured time."""
    make().keep(attachment(1))
    other = make(timeout=0.02)

    def choose(_ledger: Ledger, _secret: bytes, _known: Sequence[Attachment]) -> Assignment:
        with pytest.raises(TryAgain, match="lock"):
            other.attachments()
        return Assignment(None, None, None)

    reserve(make(), attachment(2), choose)
    assert ["container1", "container2"] == names(other)


WRITING: dict[str, Callable[[SqliteStore], object]] = {
    "reserve": lambda store: reserve(store, attachment(2), nothing),
    "keep": lambda store: store.keep(attachment(2)),
    "terminate": lambda store: store.mark_terminating(attachment(1).host_ifname),
    "release": lambda store: store.release(attachment(1).host_ifname),
}
METHODS: dict[str, Callable[[SqliteStore], object]] = {
    **WRITING,
    "get": lambda store: store.get(attachment(1).host_ifname),
    "attachments": lambda store: store.attachments(),
    "held": lambda store: store.held([attachment(1)]),
    "read": lambda store: store.read(lambda _: None),
}
BACKUP, BEGINNING, WRITER = "BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"  # what another program may be at


@contextmanager
def locked(directory: Path, how: str) -> Iterator[None]:
    """Keep the database locked, as another program does."""
    with closing(sqlite3.connect(directory / "state.db", isolation_level=None)) as other:
        other.execute(how)
        if how == BACKUP:
            other.execute("SELECT * FROM setting").fetchone()
        yield


@pytest.mark.parametrize(
    ("how", "method"),
    [*((how, method) for how in (BACKUP, BEGINNING) for method in WRITING), *((WRITER, method) for method in METHODS)],
)
@pytest.mark.parametrize("opened", [True, False])
def test_database_locked_by_another_program_is_code_11(
    make: MakeStore, directory: Path, how: str, method: str, *, opened: bool
) -> None:
    """While opening, reading, beginning or committing, the error names the file and nothing is changed."""
    make().keep(attachment(1))
    store = make(timeout=0.02)
    if opened:
        store.attachments()
    with locked(directory, how), pytest.raises(TryAgain, match=f"another program.*{directory}/state.db.*fuser") as told:
        METHODS[method](store)

    assert 11 == told.value.code
    assert [attachment(1)] == store.attachments()
    METHODS[method](store)


@pytest.mark.parametrize("how", [BACKUP, BEGINNING, WRITER])
@pytest.mark.parametrize("opened", [True, False])
def test_database_lock_of_another_program_is_waited_for(
    make: MakeStore, directory: Path, how: str, *, opened: bool
) -> None:
    """A lock that is released in time does not affect the call."""
    make().keep(attachment(1))
    store = make(timeout=60)
    if opened:
        store.attachments()
    with ThreadPoolExecutor(1) as pool:
        with locked(directory, how):
            keeping = pool.submit(store.keep, attachment(2))
            wait_until(lambda: _is_held(directory / "lock") or keeping.done())
        keeping.result()

    assert ["container1", "container2"] == sorted(names(store))


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("where", ["state", "state.db"])
def test_unwritable_store_is_code_5(make: MakeStore, directory: Path, where: str) -> None:
    """The error names the path and what to check."""
    if where == "state":
        directory.write_text("a file")
    else:
        (directory / "state.db").mkdir(parents=True)
        directory.chmod(0o700)

    with pytest.raises(IoFailure, match=f"^{directory}.*check the space and the permissions"):
        make().attachments()


def test_addresses_rested_for_an_hour_are_forgotten(make: MakeStore, directory: Path) -> None:
    """After an hour an address counts as unused, and the table stays small."""
    first, second = attachment(1), attachment(2)
    moments = iter([1000.0, 5000.0])
    store = SqliteStore(directory, survey=list, timeout=5, clock=lambda: next(moments))
    for each in (first, second):
        store.keep(each)
        store.release(each.host_ifname)

    addresses = [*first.assignment.addresses[:1], *second.assignment.addresses[:1]]
    seen = store.read(lambda ledger: [ledger.use(address) for address in addresses])
    assert [True, False] == [found is None for found in seen]


def test_long_search_for_unused_addresses_is_cut_short(make: MakeStore, mocker: MockerFixture) -> None:
    """The next search continues where it stopped, and in the end every unused address is found."""
    mocker.patch("slash80.store.ledger._ROWS", 2)
    store, within = make(), Range(ip_address("10.80.1.1"), ip_address("10.80.1.6"))
    for number in (1, 2, 3, 4, 6):
        store.keep(attachment(number))
    found = [store.read(lambda ledger: list(map(str, ledger.unused(within)))) for _ in range(3)]

    assert [[], [], ["10.80.1.5"]] == found


def test_store_removed_in_mid_transaction_affects_one_call(make: MakeStore, directory: Path) -> None:
    """That call fails or succeeds, and the next one works with the kernel's state."""
    store = make(attachment(2))
    store.keep(attachment(1))

    def choose(_ledger: Ledger, _secret: bytes, _known: Sequence[Attachment]) -> Assignment:
        (directory / "state.db").unlink()
        return attachment(3).assignment

    with suppress(IoFailure, TryAgain):
        reserve(store, attachment(3), choose)
    assert ["container2"] == names(store)


def test_a_new_file_with_the_number_of_the_lost_one_is_not_taken_for_it(
    make: MakeStore, directory: Path, mocker: MockerFixture
) -> None:
    """A file system gives the inode number of a removed file to the next; what was reserved in the first is kept."""
    mocker.patch("slash80.store.sqlite._identity", return_value=(1, 1))
    store = make()
    reserved = reserve(store, attachment(1), lambda *_: attachment(1).assignment)
    (directory / "state.db").unlink()
    store.close()
    store.keep(attachment(2))  # as another thread's call opens the new file
    store.keep(reserved)

    assert ["container1", "container2"] == sorted(names(store))


@pytest.mark.parametrize(("what", "removals"), [("keeps", 0), ("removes", 2)])
def test_a_crowd_gets_no_address_twice(tmp_path: Path, what: str, removals: int) -> None:
    """Two processes of eight threads each are all served, and the store agrees with the kernel in the end.

    While the file is there, no address is given that the kernel refuses. Each time that it is removed, once by each
    process, the call that was writing may fail, and each that was under way may find its address given to another.
    """
    (tmp_path / "kernel").mkdir()
    command = [sys.executable, "-B", "-m", "unit.store.crowd", str(tmp_path)]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    crowds = [subprocess.Popen([*command, n, "8", what], stdout=subprocess.PIPE, env=environment) for n in "ab"]
    seen = [[int(word) for word in process.communicate()[0].split()] for process in crowds]

    taken, disturbed = map(sum, zip(*seen, strict=True))
    assert taken <= removals * 2 * 8
    assert disturbed <= removals
    known = crowd.shared(tmp_path).attachments()
    assert _held(crowd.Kernel(tmp_path / "kernel").survey()) == _held(known)
    assert 2 * 8 * crowd.ROUNDS // 2 == len(known)


def _held(attachments: Iterable[Attachment]) -> set[tuple[str, object]]:
    return {(found.host_ifname, found.assignment.ipv4) for found in attachments}


def test_damaged_store_that_cannot_be_moved_aside_is_a_sentence(make: MakeStore, directory: Path) -> None:
    """The error names the state directory and the system's reason, and no lock is left for the next call."""
    (directory / "state.damaged").mkdir(parents=True)
    directory.chmod(0o700)
    (directory / "state.db").write_bytes(b"x" * 20000)
    store = make(attachment(2))
    with pytest.raises(IoFailure, match=f"{directory}: Is a directory"):
        store.attachments()

    (directory / "state.damaged").rmdir()
    assert ["container2"] == names(store)


@pytest.mark.parametrize("size", [0, 20000])
def test_store_damaged_while_open_is_created_again(make: MakeStore, directory: Path, size: int) -> None:
    """The call that notices continues with the kernel's state."""
    store = make(attachment(2))
    store.keep(attachment(1))
    (directory / "state.db").write_bytes(b"x" * size)

    store.keep(attachment(3))
    assert ["container2", "container3"] == sorted(names(store))
