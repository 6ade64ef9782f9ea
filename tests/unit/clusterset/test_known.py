"""What an answer of a member makes of what is known of its exports."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from slash80.clusterset import wire
from slash80.clusterset.known import Known, Malformed, Reading
from slash80.clusterset.records import Name
from slash80.clusterset.refuse import Admission
from unit.clusterset import exchange_rig as rig

HERE = {rig.SHOP}


def _record(name: str, namespace: str = rig.SHOP) -> dict[str, Any]:
    return {"export": wire.encode(rig.export(name, namespace))}


def _answer(*lines: Mapping[str, Any], revision: int = 1, full: bool = True) -> list[Mapping[str, Any]]:
    return [{"epoch": "e", "revision": revision, "full": full}, *lines, {"end": len(lines)}]


def _read(answer: Iterable[Mapping[str, Any]], before: Known | None = None, here: set[str] = HERE) -> Known:
    head, *lines = answer
    admission = Admission(rig.member("theirs", 2), lambda: here)
    return Reading(before, head, admission=lambda: admission).take(lines)


def _names(known: Known) -> set[str]:
    return {name.name for name in known.exports}


def test_full_answer_is_all_there_is() -> None:
    """What was known before and is not in it is gone."""
    known = _read(_answer(_record("a"), _record("b")))
    again = _read(_answer(_record("b"), revision=2), known)

    assert [{"a", "b"}, {"b"}] == [_names(known), _names(again)]
    assert "e:2" == again.since


def test_an_answer_has_so_many_records_and_no_more() -> None:
    """Short ones cost a hostile member nothing, and this cluster their reading."""
    gone = [{"gone": [rig.SHOP, "a"]}] * 20_000

    assert "e:1" == _read(_answer(*gone)).since
    with pytest.raises(Malformed, match="more than 20000 records"):
        _read(_answer(*gone, gone[0]))


def test_changes_leave_the_rest() -> None:
    """Records that come take the place of those before, names that are gone go, also ones that were never there."""
    known = _read(_answer(_record("a"), _record("b")))
    gone = [{"gone": [rig.SHOP, name]} for name in ("a", "never")]
    after = _read(_answer(*gone, _record("c"), revision=2, full=False), known)

    assert {"b", "c"} == _names(after)
    assert {"a", "b"} == _names(known)


def test_namespace_that_is_not_here_costs_its_name() -> None:
    """Its records are dropped, and it is noted that there are any: they are asked for again when it comes."""
    known = _read(_answer(_record("a"), _record("b", "far"), _record("c", "far")))

    assert ({"a"}, {"far"}) == (_names(known), {*known.elsewhere})
    assert not known.admission.refused
    assert {"a", "b", "c"} == _names(
        _read(_answer(_record("a"), _record("b", "far"), _record("c", "far")), here={"far", "shop"})
    )


def test_namespace_that_a_member_may_not_export_from_is_not_waited_for() -> None:
    """When it comes here its records are refused as before, so no one is asked for them again."""
    bounded = rig.member("theirs", 2).model_copy(update={"namespaces": (rig.SHOP,)})
    admission = Admission(bounded, lambda: HERE)
    head, *lines = _answer(_record("a"), _record("b", "far"))
    known = Reading(None, head, admission=lambda: admission).take(lines)

    assert ({"a"}, set()) == (_names(known), {*known.elsewhere})
    assert 1 == sum(known.admission.refused.values())


def test_record_that_is_refused_takes_the_place_of_the_one_before() -> None:
    """What was believed of a Service counts no more when its record says what is not believed."""
    known = _read(_answer(_record("a"), _record("b")))
    lie = {"export": wire.encode(rig.export("a")) | {"ports": "all"}}
    after = _read(_answer(lie, {"export": None}, revision=2, full=False), known)

    assert {"b"} == _names(after)
    assert 2 == sum(after.admission.refused.values())


@pytest.mark.parametrize(
    "answer",
    [
        [{}],
        [{"epoch": "e", "revision": 1}],
        [{"epoch": 5, "revision": 1, "full": True}, {"end": 0}],
        [{"epoch": "e f", "revision": 1, "full": True}, {"end": 0}],
        [{"epoch": "e" * 65, "revision": 1, "full": True}, {"end": 0}],
        [{"epoch": "e", "revision": -1, "full": True}, {"end": 0}],
        [{"epoch": "e", "revision": 10**15, "full": True}, {"end": 0}],
        [{"epoch": "e", "revision": "1", "full": True}, {"end": 0}],
        [{"epoch": "e", "revision": 1, "full": 1}, {"end": 0}],
        [{"epoch": "e", "revision": 1, "full": True}],
        [{"epoch": "e", "revision": 1, "full": True}, {"end": 1}],
        [{"epoch": "e", "revision": 1, "full": True}, {"end": 0}, {"gone": ["a", "b"]}],
        [{"epoch": "e", "revision": 1, "full": True}, {"other": 0}, {"end": 1}],
        [{"epoch": "e", "revision": 1, "full": True}, {"gone": "ab"}, {"end": 1}],
        [{"epoch": "e", "revision": 1, "full": True}, {"gone": ["a", 1]}, {"end": 1}],
        [{"epoch": "e", "revision": 1, "full": False}, {"end": 0}],
        [{"epoch": "f", "revision": 1, "full": False}, {"end": 0}],
    ],
)
def test_what_is_not_an_answer_changes_nothing(answer: list[dict[str, Any]]) -> None:
    """It is refused as a whole, and a sentence says what it has; changes of another epoch are such a case."""
    known = _read(_answer(_record("a"))) if answer[0].get("epoch") == "f" else None

    with pytest.raises(Malformed, match="an answer"):
        _read(answer, known)


def test_foreign_namespaces_are_bounded() -> None:
    """A member that invents namespaces fills no memory."""
    known = _read(_answer(*(_record("a", f"n{number}") for number in range(2000))))
    assert 1000 == len(known.elsewhere)
    assert Name("n0", "a") not in known.exports
