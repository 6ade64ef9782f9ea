"""Which specs are not run, and why."""

import re
from pathlib import Path

import pytest

from conformance.results import Result
from conformance.skips import Skip, divided, read, unused

_PAGE = Path(__file__).parents[3] / "docs/conformance.md"
_DNS = "[sig-network] DNS should provide DNS for services [Conformance]"
_POLICY = "[sig-network] Netpol NetworkPolicy should deny ingress [Feature:NetworkPolicy]"
_SCTP = "[sig-network] [Feature:IPv6DualStack] should function for pod-Service: sctp [Feature:SCTPConnectivity]"


def test_skipped_spec_has_its_reason_as_result() -> None:
    """A spec that matches the list of skips is not run, and its result says why."""
    run, skipped = divided([_DNS, _SCTP], [Skip("sctp", "needs SCTP")])

    assert ([_DNS], [Result(_SCTP, "skipped", note="needs SCTP")]) == (run, skipped)


def test_skip_that_matches_no_spec_is_found() -> None:
    """When upstream renames a spec, its entry in the list is named instead of being kept for nothing."""
    skips = [Skip(r"\[Feature:NetworkPolicy\]", ""), Skip(r"DNS \(renamed\)", "")]

    assert [r"DNS \(renamed\)"] == unused(skips, [_DNS, _POLICY])


@pytest.mark.parametrize(
    ("name", "skipped"), [(_DNS, False), (_POLICY, False), (f"{_POLICY} as SCTP is not TCP", False), (_SCTP, True)]
)
def test_list_that_ships_names_what_cannot_run(name: str, *, skipped: bool) -> None:
    """What needs SCTP, which kernels may lack, is in it; DNS and NetworkPolicy, also of SCTP by name alone, are not."""
    assert skipped is bool(divided([name], read())[1])


def test_no_conformance_spec_is_skipped() -> None:
    """All conformance specs of the published results are run: what Kubernetes promises is not struck by a pattern."""
    names = re.findall(r"^\| (\[sig-network\].*?\[Conformance\]) \|", _PAGE.read_text(), re.MULTILINE)

    assert names
    assert (names, []) == divided(names, read())
