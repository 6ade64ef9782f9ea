"""What packets do by the rules that policies become, in the words that these rules use.

It stands in for the kernel. A word that is not known here fails the test: then it has to be taught what nf_tables does.
"""

import re
from ipaddress import ip_network

from slash80.addressing.family import Address
from slash80.addressing.ports import Protocol
from slash80.policy.model import Direction, Endpoint, Flow
from slash80.policy.records import ACCEPT, CLOSED, DROPPED, Dispatched, Member, PolicyRules

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_VERSIONS = {"ip": 4, "ip6": 6}
_TERM = re.compile(
    r"(?:(?P<proto>tcp|udp|sctp) dport (?P<first>\d+)(?:-(?P<last>\d+))?"
    r"|meta l4proto (?P<number>\d+)"
    r"|(?P<self>ip6?) saddr \. ip6? daddr @(?P<selves>self[46])"
    r"|(?P<named>ip6?) daddr \. meta l4proto \. th dport @(?P<ports>n[46]-[0-9a-f]+)"
    r"|(?P<ip>ip6?) (?P<side>[sd])addr (?:@(?P<set>[ab][46]-[0-9a-f]+)|(?P<prefix>[0-9a-f.:]+/\d+)))(?: |$)"
)


class Wall:
    """A node's rules, and its interfaces by their addresses."""

    def __init__(self, rules: PolicyRules, endpoints: list[Endpoint]) -> None:
        self._rules = rules
        self._ifnames = {address: one.ifname for one in endpoints for address in one.addresses}

    def allows(self, flow: Flow) -> bool:
        """Report whether the first packet of a flow passes this node, by `egress` and then by `ingress`."""
        return self._passes(Direction.EGRESS, flow.source, flow) and self._passes(
            Direction.INGRESS, flow.destination, flow
        )

    def _passes(self, direction: Direction, subject: Address, flow: Flow) -> bool:
        ifname = self._ifnames.get(subject)
        if ifname is None:
            return True  # not one of this node's
        verdict = self._rules.verdicts.get(Dispatched(direction, ifname, subject), CLOSED)  # a miss is a drop
        if verdict in {ACCEPT, CLOSED}:
            return verdict == ACCEPT
        assert verdict.startswith(f"{direction[0]}{subject.version}-")
        for rule in self._rules.chains[verdict]:
            words, _, end = rule.rpartition("goto ") if "goto " in rule else rule.rpartition("accept")
            if self._matches(words, flow):
                assert end in {"", DROPPED[direction]}
                return not end
        raise AssertionError(f"chain {verdict} has no end")

    def _matches(self, words: str, flow: Flow) -> bool:
        rest = words
        while rest:
            found = _TERM.match(rest)
            assert found, f"unknown word in '{words}': {rest}"
            if not self._holds(found, flow):
                return False
            rest = rest[found.end() :]
        return True

    def _holds(self, found: re.Match[str], flow: Flow) -> bool:
        if found["proto"]:
            first, last = int(found["first"]), int(found["last"] or found["first"])
            assert first <= last, "nft refuses a range that ends before it begins, and with it the whole transaction"
            return flow.protocol == PROTOCOLS[found["proto"]] and first <= flow.port <= last
        if found["number"]:
            return flow.protocol == int(found["number"])
        header = found["self"] or found["named"] or found["ip"]
        if flow.source.version != _VERSIONS[header]:
            return False
        if found["selves"]:
            return self._has(found["selves"], (flow.source, flow.destination))
        if found["ports"]:
            # th reads whatever stands where ports would be; only the protocol in the key keeps that out
            return self._has(found["ports"], (flow.destination, Protocol(flow.protocol), flow.port))
        address = flow.source if found["side"] == "s" else flow.destination
        return self._has(found["set"], address) if found["set"] else address in ip_network(found["prefix"])

    def _has(self, name: str, member: Member) -> bool:
        found = self._rules.sets[name]  # nft refuses a rule that names a set which is not there
        if not found.interval:
            return member in found.members
        ranges = [one for one in found.members if isinstance(one, tuple) and len(one) == 2]
        return any(int(first) <= int(member) <= int(last) for first, last in ranges)  # type: ignore[arg-type]
