"""What keeps policies, put together with what tells of other programs' changes of their table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from slash80.agent.firewall_keeper import FirewallMonitor
from slash80.agent.reconcilers.part import Surroundings
from slash80.agent.reconcilers.policy_keeper import PolicyKeeper
from slash80.firewall.policies import messages
from slash80.firewall.policies.changes import Changes
from slash80.firewall.policies.table import PolicyTable


def keeper(around: Surroundings, *, wake: Callable[[str], None]) -> PolicyKeeper:
    """Return a keeper; `wake` is called as it says, and with `policies` when another program has changed its table."""

    def committed(generation: int) -> None:
        with around.opened() as host:
            host.table.passed_over(generation)

    changed = partial(wake, "policies")
    changes = Changes(committed, changed=changed)
    monitor = FirewallMonitor(changed, changes=messages.changes_table, seen=changes.seen)
    monitor.start()
    return PolicyKeeper(around, partial(PolicyTable, changes=changes), wake=wake, ended=monitor.stop)
