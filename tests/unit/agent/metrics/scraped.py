"""What a scraper reads out of an answer."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from slash80.agent.metrics.exposition import Collector

Labels = frozenset[tuple[str, str]]


class Scrape(NamedTuple):
    """The values by names and labels, and the types of the metrics."""

    values: Mapping[tuple[str, Labels], float]
    types: Mapping[str, str]

    def value(self, name: str, **labels: str) -> float:
        """Return one value; raise KeyError without it."""
        return self.values[f"slash80_{name}", frozenset(labels.items())]

    def series(self, name: str) -> dict[Labels, float]:
        """Return all values of a name."""
        return {labels: value for (found, labels), value in self.values.items() if found == f"slash80_{name}"}


class _Told:
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = [*metrics]

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def read(text: str) -> Scrape:
    """Read an answer in the text format, which must name no series twice, and explain each metric."""
    values: dict[tuple[str, Labels], float] = {}
    types = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type != "unknown", family.name
        types[family.name] = family.type
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in values, key
            values[key] = sample.value
    return Scrape(values, types)


def collected(collector: Collector) -> Scrape:
    """Return what a collector tells, as a scraper reads it."""
    return read(generate_latest(_Told(collector.collect())).decode())
