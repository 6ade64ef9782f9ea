"""Figures, tables and the chart."""

from xml.etree import ElementTree as ET

import pytest
from bench import chart
from bench.figures import Sample, percentile, shown, table
from hypothesis import given
from hypothesis import strategies as st


def test_caller_output_becomes_a_sample() -> None:
    """The caller prints a line for each call and the whole time at the end, and both are parsed."""
    sample = Sample.parse(["2000000 900", "4000000 1100", "8000000"])

    assert (2.0, 4.0, 1.0) == (sample.milliseconds(0.5), sample.milliseconds(1), sample.cpu_milliseconds)
    assert 250 == sample.rate


@given(st.lists(st.integers(0, 10**9), min_size=1), st.floats(0.01, 1))
def test_percentile_is_by_nearest_rank(values: list[int], share: float) -> None:
    """A percentile is the smallest value that covers its share."""
    found = percentile(values, share)

    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values) or found == min(values)


@pytest.mark.parametrize(("value", "text"), [(123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (7, "7"), ("x", "x")])
def test_figure_has_about_three_digits(value: object, text: str) -> None:
    """A figure is printed with about three significant digits."""
    assert text == shown(value)


def test_table_is_markdown_with_aligned_columns() -> None:
    """The first column is aligned to the left, the others to the right."""
    lines = list(table(["a", "b"], [["one", 1.0], ["two", 10]]))

    assert ["| a   |    b |", "| --- | ---: |", "| one | 1.00 |", "| two |   10 |"] == lines


def test_chart_has_a_bar_for_each_figure() -> None:
    """A larger figure has the longer bar, and any name is escaped."""
    root = ET.fromstring(chart.draw({"t <&>": [("a & b", 1.0), ("c", 100.0)]}))
    bars = [float(bar.attrib["width"]) for bar in root.iter("{http://www.w3.org/2000/svg}rect")]

    assert 0 < bars[0] < bars[1] <= 600
    assert "a & b" in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
