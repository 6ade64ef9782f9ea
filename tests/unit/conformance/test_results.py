"""What is read of a run of the end-to-end tests: names, progress, results."""

from pathlib import Path

import pytest

from conformance.results import Result, ended, listed, passed, read, table

_DNS = "[sig-network] DNS should provide DNS for services [Conformance]"
_HOSTPORT = "[sig-network] HostPort validates that there is no conflict [Conformance]"
_PROXY = "[sig-network] Proxy version v1 should proxy through a service [Conformance]"
_LIST = f"""The following spec names can be used with 'ginkgo run --focus/skip':
    test/e2e/storage/csi.go:31: [sig-storage] CSI should mount [Conformance]
    test/e2e/network/dns.go:147: {_DNS}
    test/e2e/network/dns.go:90: [sig-network] DNS should resolve what is not in the profile
"""
_REPORT = f"""<?xml version="1.0" encoding="UTF-8"?>
<testsuites><testsuite name="Kubernetes e2e suite">
<testcase name="[It] {_DNS}" status="passed" time="12.3"></testcase>
<testcase name="[It] {_HOSTPORT}" status="failed" time="61">
<failure message="" type="failed">[FAILED] no answer | at all
In [It] at: hostport.go:180</failure></testcase>
<testcase name="[It] {_PROXY}" status="skipped" time="0"><skipped message="skipped"></skipped></testcase>
<testcase name="[It] [sig-storage] CSI should mount" status="skipped"><skipped message="skipped"></skipped></testcase>
{{more}}</testsuite></testsuites>
"""


def _read(folder: Path, names: list[str], more: str = "") -> dict[str, Result]:
    report = folder / "junit_01.xml"
    report.write_text(_REPORT.format(more=more))
    return {result.name: result for result in read(report, names)}


def test_spec_names_come_from_the_list_of_the_tests_themselves() -> None:
    """What `e2e.test --list-tests` prints has a heading, and each spec's place in the source, which go."""
    assert ["[sig-storage] CSI should mount [Conformance]", _DNS] == listed(_LIST)[:2]


def test_each_chosen_spec_has_one_result(tmp_path: Path) -> None:
    """A spec has passed, or it failed with the first line of what was said; others of the report are left out."""
    found = _read(tmp_path, [_DNS, _HOSTPORT])

    assert {_DNS: Result(_DNS, "passed", 12.3), _HOSTPORT: found[_HOSTPORT]} == found
    assert ("failed", "no answer \\| at all") == (found[_HOSTPORT].outcome, found[_HOSTPORT].note)


@pytest.mark.parametrize("name", [_PROXY, "[sig-network] a spec that the report lacks"])
def test_spec_that_an_interrupted_run_did_not_reach_was_not_run(tmp_path: Path, name: str) -> None:
    """Ginkgo reports it as skipped without a reason, or not at all, and neither is a skip."""
    assert Result(name, "not run") == _read(tmp_path, [name])[name]


def test_without_a_report_no_spec_was_run(tmp_path: Path) -> None:
    """A run that ended before it wrote a report leaves every spec as not run."""
    assert [Result(_DNS, "not run")] == read(tmp_path / "junit_01.xml", [_DNS])


def test_spec_that_skips_itself_was_not_run(tmp_path: Path) -> None:
    """Its reason stands beside the result; only what the list of skips names may be left out of a good run."""
    more = f'<testcase name="[It] {_DNS} 2"><skipped message="skipped - needs 2 nodes"></skipped></testcase>'

    assert Result(f"{_DNS} 2", "not run", note="needs 2 nodes") == _read(tmp_path, [f"{_DNS} 2"], more)[f"{_DNS} 2"]


def test_failure_around_the_specs_is_a_result_too(tmp_path: Path) -> None:
    """When what precedes all specs fails, it is listed, although no spec has its name."""
    more = '<testcase name="[SynchronizedBeforeSuite]" time="1"><failure>no nodes</failure></testcase>'

    assert "failed" == _read(tmp_path, [_DNS], more)["[SynchronizedBeforeSuite]"].outcome


@pytest.mark.parametrize(
    ("outcomes", "good"),
    [
        (["passed", "skipped"], True),
        (["passed", "failed"], False),
        (["passed", "not run"], False),
        (["skipped"], False),
        ([], False),
    ],
)
def test_run_is_good_when_specs_passed_and_no_other_failed(outcomes: list[str], *, good: bool) -> None:
    """A run in which nothing passed proves nothing, and a spec that was not run is as bad as one that failed."""
    assert good is passed([Result(_DNS, outcome) for outcome in outcomes])


def test_table_has_what_failed_first(tmp_path: Path) -> None:
    """The numbers come before the table, and what needs attention stands at its top."""
    rows = [*table([*_read(tmp_path, [_DNS, _PROXY, _HOSTPORT]).values()])]

    assert "1 passed, 1 not run, 1 failed." == rows[0]
    assert [_HOSTPORT, _PROXY, _DNS] == [row.split(" | ")[0].removeprefix("| ") for row in rows[4:]]


def test_progress_shows_each_spec_as_it_ends() -> None:
    """Ginkgo's line with the seconds is followed by the spec's name and labels, and all else of the log is left out."""
    log = [
        "------------------------------\n",
        "• [12.345 seconds]\n",
        f"{_DNS} [sig-network, Conformance]\n",
        "test/e2e/network/dns.go:147\n",
        "  STEP: Creating a pod\n",
        "• [FAILED] [61.000 seconds]\n",
        f"{_HOSTPORT.replace('HostPort', 'HostPort [It]')} [sig-network, Conformance]\n",
        "• [1.000 seconds]\n",
        "------------------------------\n",
    ]

    assert [f"passed   12.3 s  {_DNS}", f"failed   61.0 s  {_HOSTPORT}"] == [*ended(log)]
