"""Removal of the cgroups that sandboxes run in."""

import secrets
import subprocess

import pytest

from lab.cgroups import Cgroups, hierarchies, joining


def test_a_frozen_process_does_not_keep_its_cgroups() -> None:
    """A runtime that is killed while it changes a container leaves it frozen, and a frozen process ignores SIGKILL."""
    found = Cgroups(f"slash80-test-{secrets.token_hex(4)}", tuple(hierarchies()))
    found.create()
    freezers = [one.mountpoint / found.name / "freezer.state" for one in found.hierarchies]
    with subprocess.Popen(joining(found.leaves, ["sleep", "1000"]), stdin=subprocess.DEVNULL) as process:
        try:
            states = [one for one in freezers if one.exists()]
            if not states:
                pytest.skip("there is no freezer of version 1 here, where a frozen process can be killed anyway")
            states[0].write_text("FROZEN")
        finally:
            found.remove(kill=True)
        assert process.wait(timeout=60) != 0
    assert not any((one.mountpoint / found.name).exists() for one in found.hierarchies)
