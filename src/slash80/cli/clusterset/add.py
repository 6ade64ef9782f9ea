"""`slash80 clusterset add -f FILE CONTEXT...`: an entry in the file for each cluster, from what the cluster says."""

from __future__ import annotations

import argparse
import json
import stat
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from slash80.addressing.family import Prefix
from slash80.cli.clusterset import textfile
from slash80.cli.clusterset.changes import fingerprint
from slash80.cli.clusterset.contexts import each
from slash80.cli.clusterset.facts import Facts, facts
from slash80.cli.tables import printable
from slash80.errors import CniError, InvalidConfig
from slash80.settings import clusterset, clusterset_text
from slash80.settings.clusterset import Clusterset, Member, Place, in_base64, label, place
from slash80.store import files

_MOST = 2  # certificates of a member
_OWN_MODE = 0o644  # nothing in the file is secret


class _Usage(Exception):
    """The command was used wrongly: a sentence."""


@dataclass(slots=True)
class _Done:
    """What came of one cluster."""

    context: str
    id: str = ""
    change: str = "none"
    prefixes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str = ""


def add(chosen: argparse.Namespace) -> int:
    """Write the entries; 1 where one cluster could not be added, 2 where it was used wrongly."""
    try:
        return _added(chosen)
    except _Usage as usage:
        print(f"slash80 clusterset add: {usage}", file=sys.stderr)
        return 2
    except (CniError, OSError) as error:
        print(f"slash80 clusterset add: {error}", file=sys.stderr)
        return 1


def _added(chosen: argparse.Namespace) -> int:
    if (chosen.id or chosen.at) and len(set(chosen.contexts)) > 1:
        raise _Usage("--id and --at are of one cluster, so give one CONTEXT")
    file = _File(chosen)
    done = []
    for one in each(chosen, lambda context, api: facts(context, api, with_ipv4=chosen.with_ipv4)):
        result = _Done(one.context, problem=one.problem)
        if one.result:
            try:
                file.take(one.context, one.result, result)
            except CniError as error:
                result.problem = str(error)
        done.append(result)
    file.write()
    if chosen.output == "json":
        print(json.dumps([asdict(one) for one in done], indent=2))
    else:
        _show(chosen.file, done)
    return 1 if any(one.problem for one in done) else 0


class _File:
    """The file, which is written when all clusters were asked."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        """Read it; raise CniError or OSError."""
        self._chosen, self._path = chosen, chosen.file.resolve()  # the file and not a link to it is replaced
        self._where = str(chosen.file)
        self._before = textfile.read(self._path) or ""
        self._text = self._before
        found = self._clusterset()
        if found and chosen.name not in {"", found.name}:
            what = f"{self._where} is of the clusterset {found.name}, and --name says {chosen.name}"
            raise InvalidConfig(f"{what}; leave out --name, or give another file")

    def take(self, context: str, found: Facts, result: _Done) -> None:
        """Have an entry for a cluster; raise CniError where that would not be right."""
        there = self._clusterset()
        name = self._chosen.id
        if there and (known := there.with_certificate(found.certificate)):
            if name and name != known.id:
                raise InvalidConfig(
                    f"it is in {self._where} with the id {known.id}, which must not change; leave out --id"
                )
            self._kept(known, found, result)
            return
        result.id = name or _id(context)
        if there and (known := there.member(result.id)):
            self._with_another_key(known, found, result)
        else:
            self._new(there, found, result)

    def write(self) -> None:
        """Replace the file, all at once, if anything has changed."""
        if self._text != self._before:
            mode = stat.S_IMODE(self._path.stat().st_mode) if self._path.exists() else _OWN_MODE
            files.replace(self._path, self._text, mode=mode)

    def _clusterset(self) -> Clusterset | None:
        return clusterset.parse(self._text, self._where) if self._text.strip() else None

    def _new(self, there: Clusterset | None, found: Facts, result: _Done) -> None:
        # not checked here: the file is read whole with it, which names key and value of what cannot be
        member = Member.model_construct(
            id=result.id,
            prefixes=found.prefixes,
            certificates=(found.certificate,),
            at=(_place(self._chosen.at),) if self._chosen.at else found.at,
            since=datetime.now(UTC).date(),
            namespaces=_namespaces(self._chosen, result.id),
        )
        if there:
            self._text = clusterset_text.extended(self._text, member, self._where)
        else:
            name = self._chosen.name or _id(self._path.stem, "--name")
            self._text = clusterset_text.begun(name, member, self._where)
        result.change, result.prefixes = "added", [*map(str, found.prefixes)]
        _note_left_out(found, result)

    def _kept(self, known: Member, found: Facts, result: _Done) -> None:
        """Have prefixes in the entry that the cluster has got since; none is taken away."""
        result.id = known.id
        new = [one for one in found.prefixes if not any(_within(one, listed) for listed in known.prefixes)]
        if new:
            values = [*map(str, new)]
            self._text = clusterset_text.with_values(
                self._text, known.id, key="prefixes", values=values, where=self._where
            )
            result.change, result.prefixes = "prefixes", values
        old = [one for one in known.prefixes if not any(one.overlaps(other) for other in _alike(one, found))]
        for prefix in old:
            result.notes.append(f"its clusterPrefixes have nothing of {prefix} any more; strike it if it is not used")
        if self._chosen.at and _place(self._chosen.at) not in known.at:
            result.notes.append(f"where it is asked first stays as it is; change its key 'at' in {self._where}")
        wanted = self._chosen.namespaces
        if wanted is not None and {*_split(wanted)} != {*known.namespaces}:
            result.notes.append(f"its namespaces stay {', '.join(known.namespaces)}; change them in {self._where}")

    def _with_another_key(self, known: Member, found: Facts, result: _Done) -> None:
        """Have a second certificate of a cluster that has made itself another key."""
        if not any(one.overlaps(other) for one in known.prefixes for other in _alike(one, found)):
            listed, seen = (", ".join(map(str, prefixes)) for prefixes in (known.prefixes, found.prefixes))
            raise InvalidConfig(
                f"the member {known.id} of {self._where} has the prefixes {listed}, and this cluster {seen}, so it is "
                "another one; give it an --id of its own"
            )
        if len(known.certificates) >= _MOST:
            raise InvalidConfig(
                f"member {known.id} of {self._where} has {_MOST} certificates already, and this cluster's is another "
                "one; strike one that is not used any more"
            )
        values = [in_base64(found.certificate)]
        self._text = clusterset_text.with_values(
            self._text, known.id, key="certificates", values=values, where=self._where
        )
        result.change = "certificate"
        old = fingerprint(known.certificates[0])
        result.notes.append(
            f"its certificate is another one now, {fingerprint(found.certificate)}, and both are listed; strike the "
            f"first one ({old}) when every cluster has this file"
        )


def _alike(prefix: Prefix, found: Facts) -> list[Prefix]:
    """Return the prefixes of a cluster that are of the same family, including those that were left out."""
    return [one for one in (*found.prefixes, *found.left_out) if one.version == prefix.version]


def _within(inner: Prefix, outer: Prefix) -> bool:
    return inner.version == outer.version and inner.overlaps(outer) and inner.prefixlen >= outer.prefixlen


def _note_left_out(found: Facts, result: _Done) -> None:
    if found.left_out:
        left_out = ", ".join(map(str, found.left_out))
        result.notes.append(
            f"{left_out} of its clusterPrefixes is left out: other clusters do not trust it; give --with-ipv4 where it "
            "is routed between the clusters and no other has the same"
        )


def _id(text: str, option: str = "--id") -> str:
    try:
        return label(text)
    except ValueError as error:
        raise InvalidConfig(f"{text} cannot be its name: {error}; or give {option}") from error


def _place(text: str) -> Place:
    try:
        return place(text)
    except (ValueError, CniError) as error:
        raise _Usage(f"--at is {text}, but {error}") from error


def _namespaces(chosen: argparse.Namespace, member: str) -> tuple[str, ...]:
    """Return what the option says, or a person."""
    given = chosen.namespaces
    if given is None:
        if not sys.stdin.isatty():
            what = f"which namespaces may {member} export from?"
            raise _Usage(f"{what} Give --namespaces with their names and commas in between, or '*' for all")
        question = f"Which namespaces may {member} export from (names with commas in between, * for all)? "
        print(question, end="", file=sys.stderr, flush=True)
        given = sys.stdin.readline()
    names = _split(given)
    if not names:
        raise _Usage(f"no namespaces were named from which {member} may export, so nothing was added")
    return names


def _split(names: str) -> tuple[str, ...]:
    return tuple(filter(None, (one.strip() for one in names.split(","))))


def _show(path: Path, done: Sequence[_Done]) -> None:
    words = {
        "added": "added to {} as {} with {}",
        "prefixes": "in {} as {} with {} more",
        "certificate": "in {} as {} with a second certificate",
        "none": "in {} as {} already",
    }
    for one in done:
        if one.problem:
            print(f"slash80 clusterset add: {one.context}: {printable(one.problem)}", file=sys.stderr)
            continue
        print(f"{one.context}: {words[one.change].format(path, one.id, ', '.join(one.prefixes))}")
        for note in one.notes:
            print(f"{one.context}: {printable(note)}")
    if any(one.change != "none" for one in done):
        print(f"next: slash80 clusterset apply -f {path}, with the contexts of all members")
