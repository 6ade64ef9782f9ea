"""`slash80 firewall repair`: puts the node's table back as an agent does, for nodes on which none runs."""

from __future__ import annotations

import argparse
import sys

from slash80.errors import CniError
from slash80.host import kept_firewall, node_facts, pod_elements, policies
from slash80.host.context import STANDALONE
from slash80.host.repair import Expected
from slash80.host.repair import repair as put_back
from slash80.settings.network import RemovalConf, parse


def repair(chosen: argparse.Namespace) -> int:
    """Put the table back if it is not what the last call put in place; 1 where that fails."""
    if kept_firewall.read(chosen.state_dir) is None:
        print("no call has put the firewall in place since the boot, so there is nothing to put back")
        return 0
    try:
        conf = parse(RemovalConf, {"stateDir": str(chosen.state_dir)})
        with STANDALONE.opened(conf) as host:
            found = put_back(host, Expected())
            elements, facts = pod_elements.reconcile(host), node_facts.reconcile(host)
            policies.restore(host)
    except (CniError, OSError) as error:
        print(f"slash80 firewall repair: {error}", file=sys.stderr)
        return 1
    if found:
        print(f"pods were open until the firewall was put back: {found}; have that program leave it alone")
    elif elements or facts:
        print("what the firewall says of pods and of the node was put right")
    return 0
