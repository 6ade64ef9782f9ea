"""What the documents say of the configuration is what the models say."""

from pathlib import Path

from checks.reference import reference

ROOT = Path(__file__).parents[2]


def test_configuration_page_is_made_from_the_models() -> None:
    """docs/configuration.md is what `make docs` writes."""
    assert reference() == (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
