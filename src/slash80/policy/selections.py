"""The pods of a cluster, and the members of the sets that select them, kept up to date one change at a time.

Pods of one namespace with equal labels are selected alike, so a selector is compared once for each group of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from slash80.addressing.family import Address, Family
from slash80.policy.model import Labels, Namespace, Pod
from slash80.policy.records import Member, PeerSet
from slash80.policy.words import Selection


@dataclass(slots=True, eq=False)
class _Group:
    """Pods of one namespace with the same labels, by name."""

    namespace: str
    labels: Labels
    pods: dict[str, Pod] = field(default_factory=dict)
    selected: list[_Selected] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Selected:
    """What is selected: the members by family, and the same as a set that was handed out and does not change."""

    selection: Selection
    members: dict[int, set[Member]] = field(default_factory=lambda: {4: set(), 6: set()})
    frozen: dict[int, PeerSet] = field(default_factory=dict)

    def change(self, pod: Pod, addresses: Iterable[Address], *, add: bool) -> None:
        """Add or remove addresses of a pod's."""
        number = self.selection.number(pod)
        if self.selection.port and number is None:
            return
        for address in addresses:
            members = self.members[address.version]
            port = self.selection.port
            member: Member = address if port is None or number is None else (address, port.protocol, number)
            (members.add if add else members.discard)(member)
            self.frozen.pop(address.version, None)

    def set_of(self, family: Family) -> PeerSet:
        """Return one family's members; the same object as long as nothing changes."""
        version = family.version
        if version not in self.frozen:
            self.frozen[version] = PeerSet(self.selection.type(family), frozenset(self.members[version]))
        return self.frozen[version]


class Selections:
    """Pods and namespaces, and what was asked to be selected of them."""

    def __init__(self) -> None:
        self.namespaces: dict[str, Namespace] = {}
        self._pods: dict[tuple[str, str], Pod] = {}
        self._owners: dict[Address, Pod] = {}
        self._rivals: dict[Address, list[Pod]] = {}  # where several pods claim an address, all of them
        self._groups: dict[str, dict[frozenset[tuple[str, str]], _Group]] = {}
        self._selected: dict[str, _Selected] = {}

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All pods, also those that cannot be selected."""
        return tuple(self._pods.values())

    def put_namespace(self, name: str, new: Namespace | None) -> None:
        """Replace a namespace, or remove it; its pods stay, as those of a namespace without labels."""
        before = self._labels(name)
        if new:
            self.namespaces[name] = new
        else:
            self.namespaces.pop(name, None)
        labels = self._labels(name)
        for one in self._selected.values():
            selected = one.selection.selects_namespace(name, labels)
            if selected is not one.selection.selects_namespace(name, before):
                for group in self._groups.get(name, {}).values():
                    if one.selection.pods.matches(group.labels):
                        self._join(group, one, add=selected)

    def put_pod(self, key: tuple[str, str], new: Pod | None) -> None:
        """Replace the pod of a namespace and name, or remove it."""
        old = self._pods.get(key)
        if old == new:
            return
        touched = {address for pod in (old, new) if pod and pod.selectable for address in pod.addresses}
        # Another pod may claim an address of this one's: so each is taken from its owner, and given to the new owner.
        self._change(touched, add=False)
        if old:
            del self._pods[key]
            self._forget(old)
        if new:
            self._pods[key] = new
            self._remember(new)
        self._change(touched, add=True)

    def set_of(self, selection: Selection, family: Family) -> PeerSet:
        """Return the set of what is selected, which is kept up to date from now on."""
        found = self._selected.get(selection.key)
        if found is None:
            found = self._selected[selection.key] = _Selected(selection)
            for group in self._groups_of(selection):
                self._join(group, found, add=True)
        return found.set_of(family)

    def keep(self, keys: Collection[str]) -> None:
        """Stop keeping other selections up to date."""
        gone = {key: one for key, one in self._selected.items() if key not in keys}
        if not gone:
            return
        for group in (group for groups in self._groups.values() for group in groups.values()):
            group.selected = [one for one in group.selected if one.selection.key not in gone]
        for key in gone:
            del self._selected[key]

    def _labels(self, namespace: str) -> Labels:
        found = self.namespaces.get(namespace)
        return found.labels if found else {}

    def _group(self, pod: Pod) -> _Group:
        """Return a pod's group, which is made for the first of its pods."""
        groups = self._groups.setdefault(pod.namespace, {})
        key = frozenset(pod.labels.items())
        if key not in groups:
            group = groups[key] = _Group(pod.namespace, pod.labels)
            labels = self._labels(pod.namespace)
            for one in self._selected.values():
                if one.selection.selects_namespace(pod.namespace, labels) and one.selection.pods.matches(pod.labels):
                    group.selected.append(one)
        return groups[key]

    def _groups_of(self, selection: Selection) -> Iterator[_Group]:
        names = self._groups if selection.namespaces else [selection.namespace]
        for name in names:
            if selection.selects_namespace(name, self._labels(name)):
                for group in self._groups.get(name, {}).values():
                    if selection.pods.matches(group.labels):
                        yield group

    def _join(self, group: _Group, selected: _Selected, *, add: bool) -> None:
        """Let a group's pods be selected, or no longer."""
        (group.selected.append if add else group.selected.remove)(selected)
        for pod in group.pods.values():
            selected.change(pod, [one for one in pod.addresses if self._owners[one] is pod], add=add)

    def _change(self, addresses: Iterable[Address], *, add: bool) -> None:
        for address in addresses:
            owner = self._owners.get(address)
            if owner:
                for selected in self._group(owner).selected:
                    selected.change(owner, [address], add=add)

    def _remember(self, pod: Pod) -> None:
        if pod.selectable:
            self._group(pod).pods[pod.name] = pod
            for address in set(pod.addresses):
                if address in self._owners:
                    self._decide(address, [*self._rivals.get(address, [self._owners[address]]), pod])
                else:
                    self._owners[address] = pod

    def _forget(self, pod: Pod) -> None:
        if not pod.selectable:
            return
        group = self._group(pod)
        del group.pods[pod.name]
        if not group.pods:
            del self._groups[pod.namespace][frozenset(pod.labels.items())]
        for address in set(pod.addresses):
            rivals = self._rivals.pop(address, [])
            if rivals:
                self._decide(address, [one for one in rivals if one is not pod])
            else:
                del self._owners[address]

    def _decide(self, address: Address, rivals: list[Pod]) -> None:
        """Let the newest of the pods that claim an address own it."""
        self._owners[address] = max(rivals, key=lambda pod: pod.claim)
        if len(rivals) > 1:
            self._rivals[address] = rivals
