"""Looking into the plugin's state directory, from outside: rows of the database, files."""

import contextlib
import sqlite3
from pathlib import Path


def attachments(state_dir: Path) -> int:
    """Count the attachments that the store knows, whatever their state."""
    return _count(state_dir, "attachment")


def living(state_dir: Path) -> int:
    """Count the attachments that are not being removed."""
    return _count(state_dir, "attachment WHERE state <> 'dying'")


def held_addresses(state_dir: Path) -> int:
    """Count the addresses that are held."""
    return _count(state_dir, "address WHERE holder IS NOT NULL")


def early_reuse(state_dir: Path) -> int:
    """Return how many addresses were reused before their cooldown."""
    with contextlib.closing(sqlite3.connect(f"file:{state_dir / 'state.db'}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT value FROM setting WHERE name = 'early_reuse'").fetchone()
        return int(count)


def forget(state_dir: Path, *host_ifnames: str) -> None:
    """Take attachments out of the store, though their links are there."""
    with contextlib.closing(sqlite3.connect(state_dir / "state.db")) as database, database:
        for name in host_ifnames:
            database.execute("DELETE FROM attachment WHERE host_ifname = ?", [name])
            database.execute("UPDATE address SET holder = NULL WHERE holder = ?", [name])


def _count(state_dir: Path, words: str) -> int:
    """Count rows; a store that an agent is only just making has no table yet. What a killed one left is rolled back."""
    path = state_dir / "state.db"
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'attachment'").fetchone():
            return 0
        (count,) = database.execute(f"SELECT count(*) FROM {words}").fetchone()
        return int(count)
