"""What the documents say is what the models, the benchmark and the manifests say."""

import re
from pathlib import Path

from checks.reference import reference

ROOT = Path(__file__).parents[2]


def test_configuration_page_is_made_from_the_models() -> None:
    """docs/configuration.md is what `make docs` writes."""
    assert reference() == (ROOT / "docs/configuration.md").read_text(encoding="utf-8")


def test_the_readme_quotes_the_ratios_of_the_published_benchmark() -> None:
    """The README's ratios to bridge and host-local are those in docs/benchmarks/results.md."""
    results = (ROOT / "docs/benchmarks/results.md").read_text(encoding="utf-8")
    add, delete = (
        re.search(rf"^\| {verb} p50 +\|[^|]*\| +([\d.]+) \|", results, re.MULTILINE) for verb in ("ADD", "DEL")
    )
    assert add is not None
    assert delete is not None

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"an ADD takes {add[1]} and a DEL {delete[1]} of the time" in readme


def test_the_page_of_conformance_lists_every_spec_of_the_clusterset() -> None:
    """Each of the 27 tests has its row in docs/conformance.md, in the same order, and no row is without a test."""
    rows = re.findall(
        r"^\| (required|optional) (\d+): ", (ROOT / "docs/conformance.md").read_text("utf-8"), re.MULTILINE
    )
    source = (ROOT / "tests/unit/clusterset/test_conformance.py").read_text(encoding="utf-8")
    tests = re.findall(r"^def test_(required|optional)_(\d+)_", source, re.MULTILINE)

    assert 27 == len(tests)
    assert tests == rows
