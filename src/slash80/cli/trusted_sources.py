"""Trusted sources that came in by a link which does not lead back to them, and so were not trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from slash80.addressing.family import Address, Prefix
from slash80.desired.problems import Problem, Reason
from slash80.firewall.elements import address_of
from slash80.firewall.installed import InstalledTable
from slash80.firewall.records import Element


def problems(answered_by: Callable[[Address], str]) -> list[Problem]:
    """Return a problem for each trusted prefix and link; `answered_by` names the link by which the node answers."""
    table = InstalledTable()
    try:
        if not (found := table.misrouted()):
            return []
        own = table.own()
        return list(_problems(answered_by, found, own=own.own if own else (), trusted=table.trusted()))
    finally:
        table.close()


def _problems(
    answered_by: Callable[[Address], str], found: Iterable[Element], *, own: Iterable[Prefix], trusted: Iterable[Prefix]
) -> Iterator[Problem]:
    examples: dict[tuple[str, Prefix], Address] = {}
    for one in found:
        address = address_of(one)
        if prefix := next((prefix for prefix in (*own, *trusted) if address in prefix), None):
            key = one.ifname, prefix
            examples[key] = min(address, examples.get(key, address))
    for (link, prefix), address in sorted(examples.items(), key=str):
        if prefix in own:
            words = f"packets from {address} came in by {link}, but {prefix} is this node's own: they are forged"
            yield Problem(Reason.TRUSTED_SOURCE, str(prefix), f"{words}; look for who sends them")
            continue
        words = f"packets from {address} of trusted {prefix} came in by {link}"
        back = f"but the node answers by {answered_by(address)}, so they are not trusted"
        advice = "correct the routes, or set firewall.trustedSource to loose"
        yield Problem(Reason.TRUSTED_SOURCE, str(prefix), f"{words}, {back}; {advice}")
