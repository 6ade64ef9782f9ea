"""Changes of the text of `clusterset.yaml` that leave people's comments and their way of writing as they are.

Text is put in where the YAML parser says that something ends, and nothing else is touched. What comes out is read
whole before it is returned: if it does not say exactly what it should, nothing is changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import yaml
from yaml.nodes import Node, ScalarNode, SequenceNode  # not from `yaml`, which in the frozen program has a few names

from slash80.errors import InvalidConfig, shown
from slash80.settings import clusterset
from slash80.settings.clusterset import Member

_HEAD = "# Which clusters belong together; the same file in each of them: slash80 clusterset apply -f FILE CONTEXT...\n"


def begun(name: str, member: Member, where: str) -> str:
    """Return a new file with one member; raise InvalidConfig for a value that cannot be."""
    text = f"{_HEAD}name: {json.dumps(name)}\nmembers:\n{clusterset.entry(member)}"
    clusterset.parse(text, where)
    return text


def extended(text: str, member: Member, where: str) -> str:
    """Return the file with one more member at its end; raise InvalidConfig where the whole would not be right."""
    before = clusterset.parse(text, where)
    listed = _value(_root(text), "members")
    if not isinstance(listed, SequenceNode) or listed.flow_style:
        raise InvalidConfig(
            f"{where} has its members in brackets; write each of them as an entry that begins with '- '"
        )
    column = listed.start_mark.column
    place = _after_comments(text, _line_after(text, _end(listed)), column)
    entry = "".join(f"{' ' * column}{line}\n" for line in clusterset.entry(member).splitlines())
    after = _inserted(text, place, entry)
    found = clusterset.parse(after, where)
    if found.name != before.name or found.members[:-1] != before.members:
        raise InvalidConfig(
            f"{where} is written in a way that cannot be extended; add this entry to its members: {entry}"
        )
    return after


def with_values(text: str, member: str, *, key: str, values: Iterable[str], where: str) -> str:
    """Return the file with more values in one of the lists of a member: of `prefixes` or `certificates`.

    Raise InvalidConfig where the whole would not be right.
    """
    before, wanted = clusterset.parse(text, where), [*values]
    after = _with_values(text, member, key=key, values=wanted)
    expected = [_texts(one, key) + (wanted if one.id == member else []) for one in before.members]
    found = clusterset.parse(after, where)
    same = found.name == before.name and _without(key, found.members) == _without(key, before.members)
    if not same or [_texts(one, key) for one in found.members] != expected:
        raise InvalidConfig(
            f"{where} is written in a way that cannot be changed; add to {key} of {member!r} {', '.join(wanted)}"
        )
    return after


def _with_values(text: str, member: str, *, key: str, values: list[str]) -> str:
    entry = next(one for one in _value(_root(text), "members").value if _value(one, "id").value == member)
    listed = _value(entry, key)
    if not isinstance(listed, SequenceNode) or not listed.value:
        raise InvalidConfig(f"{key} of member {shown(member)} is not a list; write it as one")
    last = _end(listed.value[-1])
    if listed.flow_style:
        return _inserted(text, last, "".join(f", {json.dumps(one)}" for one in values))
    dash = " " * listed.start_mark.column
    return _inserted(text, _line_after(text, last), "".join(f"{dash}- {json.dumps(one)}\n" for one in values))


def _root(text: str) -> Node:
    loader = yaml.SafeLoader(text)  # not libyaml's, whose marks count another way
    try:
        root = loader.get_single_node()
    finally:
        loader.dispose()
    if root is None:
        raise InvalidConfig("the file is empty")
    return root


def _value(node: Node, name: str) -> Node:
    """Return the value of a key of what `parse` has accepted; keys match in any case there."""
    found: Node = next(value for key, value in node.value if key.value.lower() == name)
    return found


def _end(node: Node) -> int:
    """Return where the last word of a node ends; a list without brackets ends, for YAML, after comments behind it."""
    if isinstance(node, ScalarNode) or getattr(node, "flow_style", False):
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _line_after(text: str, place: int) -> int:
    """Return where the next line begins; a comment at the end of this one stays on it."""
    if text[place - 1 : place] == "\n":
        return place
    found = text.find("\n", place)
    return len(text) if found < 0 else found + 1


def _after_comments(text: str, place: int, column: int) -> int:
    """Return where the comments end that are written deeper than a list's dashes, so about its last entry."""
    while place < len(text):
        end = _line_after(text, place + 1)
        line = text[place:end]
        if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) <= column:
            break
        place = end
    return place


def _inserted(text: str, place: int, more: str) -> str:
    ended = "" if not more.endswith("\n") or text[:place].endswith("\n") else "\n"
    return f"{text[:place]}{ended}{more}{text[place:]}"


def _texts(member: Member, key: str) -> list[str]:
    return [clusterset.in_base64(one) if isinstance(one, bytes) else str(one) for one in getattr(member, key)]


def _without(key: str, members: Iterable[Member]) -> list[Member]:
    return [one.model_copy(update={key: ()}) for one in members]
