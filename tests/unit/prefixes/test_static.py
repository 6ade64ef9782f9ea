"""Source `static`: prefixes of the command line and of a file."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from slash80.desired.problems import Reason
from slash80.prefixes.static import Static

ONE, OTHER, OLD = ip_network("2001:db8:0:1:1::/80"), ip_network("2001:db8:0:2:1::/80"), ip_network("10.80.1.0/24")


def test_prefix_file_has_a_prefix_on_each_line(tmp_path: Path) -> None:
    """It is read again each time; without it the flags remain."""
    static = Static([str(OLD)], tmp_path / "prefixes")
    assert (OLD,) == static.report().prefixes
    (tmp_path / "prefixes").write_text(f"# of this node\n\n{ONE} # routed\n{OTHER}\n")
    found = static.report()

    assert ("static", (OLD, ONE, OTHER), None) == (found.source, found.prefixes, found.problem)


@pytest.mark.parametrize("text", ["2001:db8::5/80", "host", "\xff"])
def test_a_line_that_is_not_a_prefix_is_a_problem(tmp_path: Path, text: str) -> None:
    """The problem names the file with the line, or the option, and no prefix of the source is used."""
    (tmp_path / "prefixes").write_bytes(b"\n" + text.encode("latin-1"))
    for found, where in ((Static([str(OLD)], tmp_path / "prefixes"), "prefixes"), (Static([text]), "--prefix has")):
        report = found.report()
        assert () == report.prefixes
        assert report.problem
        assert (Reason.PREFIX_SOURCE_FAILED, "static") == (report.problem.reason, report.problem.subject)
        assert where in report.problem.message
