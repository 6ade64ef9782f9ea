"""Metrics of calls, as a scraper reads them."""

from slash80.agent.call_counts import CallCounts
from slash80.agent.metrics.calls import CallMetrics
from unit.agent.metrics.scraped import collected


def test_calls_are_told_by_command_code_and_way() -> None:
    """And how long they took; what was never called is not there."""
    counts = CallCounts(2)
    for tally, code in zip(counts.workers, (0, 100), strict=True):
        tally.count("ADD", code, 0.004)
    counts.notes.count("DEL", 0, 0.5)
    found = collected(CallMetrics(counts))

    assert 1 == found.value("cni_requests_total", command="ADD", code="0", via="agent")
    assert 1 == found.value("cni_requests_total", command="ADD", code="100", via="agent")
    assert 1 == found.value("cni_requests_total", command="DEL", code="0", via="note")
    assert 4 == len(found.series("cni_requests_total"))
    took = {
        le: found.value("cni_request_seconds_bucket", command="ADD", via="agent", le=le) for le in ("0.003", "0.005")
    }
    assert {"0.003": 0, "0.005": 2} == took
    assert 0.008 == found.value("cni_request_seconds_sum", command="ADD", via="agent")
    assert 1 == found.value("cni_request_seconds_count", command="DEL", via="note")
    assert "histogram" == found.types["slash80_cni_request_seconds"]


def test_adds_and_dels_are_there_before_the_first_one() -> None:
    """Or the first one would be no increase."""
    found = collected(CallMetrics(CallCounts(1)))

    assert {0.0} == {*found.series("cni_requests_total").values()}
    assert ["ADD", "DEL"] == sorted(dict(labels)["command"] for labels in found.series("cni_requests_total"))
    assert 0 == found.value("cni_request_seconds_count", command="ADD", via="agent")
