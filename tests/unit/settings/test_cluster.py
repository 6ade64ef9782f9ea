"""`config.yaml`: everything has a default, and what cannot be used is named."""

from pathlib import Path

import pytest

from slash80.errors import CniError
from slash80.settings import cluster as cluster_settings
from slash80.settings.cluster import ClusterSettings

PATH = Path("config.yaml")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_cluster_settings_have_defaults(text: str) -> None:
    """With an empty config.yaml every key has its default."""
    assert ClusterSettings() == cluster_settings.parse(text, PATH)
    assert "labelled" == cluster_settings.parse(text, PATH).firewall.expose_from


def test_no_file_is_not_an_empty_one(tmp_path: Path) -> None:
    """A ConfigMap that was deleted must not be taken for one that was emptied."""
    assert cluster_settings.read(tmp_path / PATH) is None
    (tmp_path / PATH).touch()
    assert "" == cluster_settings.read(tmp_path / PATH)


@pytest.mark.parametrize(("content", "words"), [(bytes(1 + (1 << 20)), "1048576 bytes"), (b"\xff", "cannot be read")])
def test_a_file_that_no_config_map_can_be_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """It is read up to the size of an object of the API, and must be text."""
    (tmp_path / PATH).write_bytes(content)
    with pytest.raises(CniError, match=words):
        cluster_settings.read(tmp_path / PATH)


def test_cluster_settings_accept_every_key() -> None:
    """Every documented key is read, node prefixes in either place."""
    text = (
        "firewall: {mode: closed, nodePrefixes: ['2001:db8:1::/64'], serviceCIDRs: [10.96.0.0/16]}\n"
        "prefixSources: [spec]\nnodeRoutes: none\nnodePrefixes: [10.0.0.0/8]\nmtu: 1400\n"
        "ipv4: {cooldown: 60}\nipv6: {suffix: ipv4}\n"
    )
    found = cluster_settings.parse(text, PATH)
    assert ["2001:db8:1::/64", "10.0.0.0/8"] == [str(prefix) for prefix in found.all_node_prefixes]
    assert (["spec"], "none", 1400, "ipv4") == (found.prefix_sources, found.node_routes, found.mtu, found.ipv6.suffix)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("firewall: {trusted: ['::/0']}", "config.yaml: configuration key 'firewall.trusted[0]' has the value '::/0'"),
        ("prefixSources: [dns]", "'prefixSources[0]' has the value 'dns'"),
        ("prefixSources: []", "'prefixSources'"),
        ("routes: auto", "configuration key 'routes' with value 'auto' is not supported"),
        ("[1, 2]", "config.yaml: "),
        ("a: [", "cannot be read"),
        ("a: \x00", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("mtu: 100", "'mtu' has the value 100"),
    ],
)
def test_invalid_cluster_setting_is_named(text: str, words: str) -> None:
    """The error names file, key and value on one line."""
    with pytest.raises(CniError) as caught:
        cluster_settings.parse(text, PATH)

    assert words in caught.value.msg
    assert "\n" not in caught.value.msg
