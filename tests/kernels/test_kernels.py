"""The stories of the netns tier on Debian's kernels, and the plugin on nodes that have a kernel and nothing else."""

import json
from typing import Any

import pytest

from kernels.conftest import Guests
from kernels.debian import RELEASES
from kernels.machine import Run
from kernels.stories import STORIES, name_of

SERIES = pytest.mark.parametrize("series", RELEASES)


@SERIES
@pytest.mark.parametrize("story", STORIES)
def test_story(guests: Guests, series: str, story: str) -> None:
    """A story of the netns tier has the same end on this kernel as on the one that it was written on."""
    run = guests.stories(series)
    found = [result for result in run.results if name_of(result["test"]) == story]
    failed = [f"{result['test']}: {result['text']}" for result in found if result["outcome"] == "failed"]

    assert not failed, "\n\n".join(failed)
    assert any(result["outcome"] == "passed" for result in found), f"it was not told: {run.console[-4000:]}"


@SERIES
def test_the_kernel_and_the_oldest_cpu(guests: Guests, series: str) -> None:
    """The machine has the kernel that is meant, and a CPU of the first x86-64, without what came later."""
    machine = step(guests.bare(series), "machine")

    assert machine["release"].startswith(f"{series}.")
    assert not {"ssse3", "sse4_1", "popcnt", "avx"} & set(machine["flags"].split())


@SERIES
def test_version_on_a_bare_node(guests: Guests, series: str) -> None:
    """VERSION is answered where there is no library and no other program."""
    assert "1.1.0" in step(guests.bare(series), "VERSION")["said"]["supportedVersions"]


@SERIES
def test_pod_on_a_bare_node(guests: Guests, series: str) -> None:
    """ADD, CHECK and DEL work where there is no library and no other program, and nothing is left of the pod."""
    run = guests.bare(series)

    assert {address["address"].rpartition("/")[2] for address in step(run, "ADD")["said"]["ips"]} == {"32", "128"}
    assert step(run, "CHECK")["said"] == {}
    assert step(run, "DEL")["said"] == {}
    assert step(run, "left")["links"] == "lo"


@SERIES
def test_bare_node_reaches_its_pod(guests: Guests, series: str) -> None:
    """The node's first packet reaches the pod in both families."""
    assert {"ipv4": 0, "ipv6": 0} == step(guests.bare(series), "ping")["codes"]


def step(run: Run, name: str) -> dict[str, Any]:
    """Return what came of one step of the bare node's script; it must have ended well."""
    found = [result for result in run.results if result["step"] == name]
    assert found, f"the node did not get to {name}: {run.console[-4000:]}"
    assert found[-1].get("code", 0) == 0, json.dumps(found[-1])
    return found[-1]
