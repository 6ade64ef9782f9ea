"""The systemd unit that ships."""

import configparser
from pathlib import Path

from slash80.cli import commands

UNIT = Path(__file__).parents[2] / "cni/slash80.service"


def test_systemd_unit_starts_the_agent() -> None:
    """Its command line exists, a stop lets calls finish, and it has few rights."""
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    program, *words = service["ExecStart"].split()

    assert "/opt/cni/bin/slash80" == program
    assert commands._parser().parse_args(words).cni_only
    assert ("notify", "always", "mixed") == tuple(service[key] for key in ("Type", "Restart", "KillMode"))
    assert {"CAP_NET_ADMIN", "CAP_SYS_ADMIN"} == set(service["CapabilityBoundingSet"].split())
