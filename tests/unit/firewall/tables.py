"""A stand-in for the kernel's nf_tables: one table with chains, and elements of sets; no netlink, no nft."""

import errno
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Self

from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.records import ABOUT, Element, Ruleset
from slash80.netlink.codec import Message, NetlinkError, Response, Step, attribute, attributes

GENERIC = bytes(4)
NEWGEN = 10 << 8 | 15


def userdata(comment: str) -> bytes:
    """Return a comment as libnftnl encodes it."""
    text = comment.encode() + b"\0"
    return bytes([0, len(text)]) + text


@dataclass
class Tables:
    """What the kernel answers about the table, each chain and the elements, and what was installed."""

    table: Response = field(default_factory=lambda: Response(errno.ENOENT))
    chains: dict[str, Response] = field(default_factory=dict)
    elements: set[Element] = field(default_factory=set)
    facts: NodeFacts = field(default_factory=NodeFacts)
    put: list[str] = field(default_factory=list)
    works: bool = True
    rival: bool = False
    commits: int = 0  # of others, each before the next change of elements
    refusal: int = 0  # of changes of elements
    generation: int = 1
    asked: int = 0

    def __call__(self, protocol: int) -> Self:
        """Stand in for opening a socket."""
        if protocol != 12 or not self.works:
            raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")
        return self

    def close(self) -> None:
        """Be closed."""

    def exchange(self, steps: Sequence[Step]) -> list[Response]:
        """Answer about the generation, or the table, then about each chain by name."""
        self.asked += len(steps)
        if steps[0].what == "nft monitor":
            return [self._generation()]
        names = [step.what.split()[-1] for step in steps[1:]]
        return [self.table, *(self.chains.get(name, Response(errno.ENOENT)) for name in names)]

    def transact(self, steps: Sequence[Step]) -> list[Response]:
        """Change elements, unless another generation is expected, the table is missing or the kernel refuses."""
        self.asked += 1
        answers = [Response() for _ in steps]
        if self.commits:
            self.commits, self.generation = self.commits - 1, self.generation + 1
        expected = attributes(steps[0].message, 20).get(1)
        if expected and int.from_bytes(expected, "big") != self.generation:
            return [Response(errno.ERESTART), *answers[1:]]
        if code := self.refusal or self.table.errno:
            return [answers[0], *(Response(code) for _ in steps[1:])]
        before = set(self.elements)
        for step in steps[1:]:
            change = set.update if " add " in step.what else set.difference_update
            change(self.elements, step.values[1].elements)  # type: ignore[attr-defined]
        if before != self.elements:
            self.generation += 1
            answers[1] = self._generation()
        return answers

    def dump(self, step: Step) -> list[Message]:
        """Answer with the elements of a set."""
        if self.table.errno:
            raise NetlinkError(step, self.table)
        if step.what == "nft list chains inet":
            names = [attribute(1, b"slash80\0") + attribute(3, name.encode() + b"\0") for name in self.chains]
            return [Message(0, GENERIC + name) for name in names]
        if not step.values:  # of all sets
            return []
        found = [one.packed for one in self.elements if one.set_name == step.values[0]]
        parts = [list(zip((1, 10, 2), packed, strict=True)) for packed in found]  # NFTA_SET_ELEM_KEY, _KEY_END, _DATA
        listed = b"".join(
            attribute(1, b"".join(attribute(kind, attribute(1, value)) for kind, value in element if value))
            for element in parts
        )
        return [Message(0, GENERIC + attribute(3, listed))]

    def have(self, ruleset: Ruleset, comment: str) -> None:
        """Have the table as nft would make it."""
        body = GENERIC + attribute(1, b"slash80\0") + attribute(2, bytes(4))
        self.table = Response(messages=[Message(0, body)])
        for chain in ruleset.chains:
            own = comment if chain.name == ABOUT else ""
            self.lay(chain.name, ruleset.uses(chain), hooked=bool(chain.hook), comment=own)

    def lay(self, name: str, uses: int, *, hooked: bool = True, comment: str = "") -> None:
        """Have a chain with so many rules."""
        body = GENERIC + (attribute(4, b"hook") if hooked else b"") + attribute(6, struct.pack(">I", uses))
        body += attribute(12, userdata(comment)) if comment else b""
        self.chains[name] = Response(messages=[Message(0, body)])
        self.generation += 1

    def delete_attachment(self, name: str) -> None:
        """Have a chain no more."""
        del self.chains[name]
        self.generation += 1

    def replace(self, ruleset: Ruleset, comment: str, elements: Collection[Element], *, facts: NodeFacts) -> None:
        """Stand in for nft."""
        self.put.append(comment)
        if not self.rival:
            self.elements, self.facts = set(elements), facts
            self.have(ruleset, comment)

    def _generation(self) -> Response:
        return Response(messages=[Message(NEWGEN, GENERIC + attribute(1, struct.pack(">I", self.generation)))])
