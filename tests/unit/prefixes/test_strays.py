"""Which parts of a node's own prefixes other nodes ignore."""

import json
import sys
from ipaddress import ip_network

from lab import programs
from slash80.desired.problems import Reason
from slash80.prefixes import strays

# Everything that a call or a process that answers calls loads, and the command line up to where the agent forks.
ANSWERING = """
import sys
from slash80.agent import run
from slash80.cli import commands
run.run = lambda *arguments: print("netaddr" in sys.modules)
commands.main(["agent", "--node=a", "--state-dir=/nowhere"])
"""


def test_what_lies_outside_the_clusters_prefixes_is_named() -> None:
    """Two adjacent prefixes of the cluster cover what spans them, and only the part outside is a problem."""
    cluster = [ip_network("2001:db8:0:0::/65"), ip_network("2001:db8:0:0:8000::/65"), ip_network("10.80.0.0/16")]
    found = strays.problems(["2001:db8::/64", "10.80.0.0/15"], cluster, [])

    assert [(Reason.PREFIX_OUTSIDE_CLUSTER, "10.81.0.0/16")] == [(one.reason, one.subject) for one in found]
    assert "10.81.0.0/16 of this node lies outside clusterPrefixes" in found[0].message


def test_without_the_clusters_prefixes_nothing_lies_outside() -> None:
    """Then other nodes take what `spec.podCIDRs` says."""
    assert [] == strays.problems(["2001:db8::/64"], [], ["10.96.0.0/12"])


def test_what_is_shared_with_the_services_is_named() -> None:
    """Other nodes would send what is meant for a Service to a pod."""
    (found,) = strays.problems(["10.96.0.0/24", "10.80.1.0/24"], [], ["10.96.0.0/12"])
    assert (Reason.PREFIX_OVERLAPS_SERVICES, "10.96.0.0/24") == (found.reason, found.subject)


def test_no_process_that_answers_calls_loads_netaddr() -> None:
    """The agent forks the processes that answer before its controller looks for the first time."""
    assert "False" == programs.run([sys.executable, "-c", ANSWERING]).strip()


def test_no_room_of_a_call_loads_netaddr() -> None:
    """An ADD without an agent starts Python each time, and netaddr would add 20 ms to that."""
    script = "import sys, json; import slash80.verbs.add; print(json.dumps('netaddr' in sys.modules))"
    assert not json.loads(programs.run([sys.executable, "-c", script]))
