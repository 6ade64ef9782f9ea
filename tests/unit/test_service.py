"""The systemd units that ship."""

import configparser
from pathlib import Path

import pytest

from slash80.cli import commands

FOLDER = Path(__file__).parents[2] / "cni"


def read(name: str) -> configparser.ConfigParser:
    """Return a unit, in which every key stands once."""
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    unit.read_string((FOLDER / name).read_text())
    return unit


@pytest.mark.parametrize(("name", "command"), [("slash80", "_agent"), ("slash80-firewall", "_repair")])
def test_a_unit_starts_a_command_that_there_is(name: str, command: str) -> None:
    """Its command line can be read, and it has few rights."""
    service = read(f"{name}.service")["Service"]
    program, *words = service["ExecStart"].split()

    assert "/opt/cni/bin/slash80" == program
    assert command == commands._parser().parse_args(words).run.__name__
    assert {"CAP_NET_ADMIN", "CAP_SYS_ADMIN"} == set(service["CapabilityBoundingSet"].split())


def test_the_agents_unit_lets_calls_finish() -> None:
    """Without Kubernetes, and it is started again however it ended."""
    service = read("slash80.service")["Service"]

    assert commands._parser().parse_args(service["ExecStart"].split()[1:]).cni_only
    assert ("notify", "always", "mixed") == tuple(service[key] for key in ("Type", "Restart", "KillMode"))


def test_the_firewall_is_looked_at_by_the_clock() -> None:
    """By intervals since its last run it would be looked at no more once the unit's condition was not met."""
    assert ["OnCalendar", "AccuracySec"] == list(read("slash80-firewall.timer")["Timer"])
    assert "/run/slash80/firewall.json" == read("slash80-firewall.service")["Unit"]["ConditionPathExists"]
