"""`config.yaml`: everything has a default, and what cannot be used is named."""

from pathlib import Path

import pytest

from slash80.errors import CniError
from slash80.settings import cluster as cluster_settings
from slash80.settings.cluster import ClusterSettings


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n", "{}"])
def test_cluster_settings_have_defaults(tmp_path: Path, text: str | None) -> None:
    """Without a config.yaml, and with an empty one, every key has its default."""
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)

    assert ClusterSettings() == cluster_settings.read(tmp_path / "config.yaml")


def test_cluster_settings_accept_every_key(tmp_path: Path) -> None:
    """Every documented key is read, node prefixes in either place."""
    (tmp_path / "config.yaml").write_text(
        "firewall: {mode: closed, nodePrefixes: ['2001:db8:1::/64'], serviceCIDRs: [10.96.0.0/16]}\n"
        "prefixSources: [spec]\nnodeRoutes: none\nnodePrefixes: [10.0.0.0/8]\nmtu: 1400\n"
        "ipv4: {cooldown: 60}\nipv6: {suffix: ipv4}\n"
    )
    found = cluster_settings.read(tmp_path / "config.yaml")
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
    ],
)
def test_invalid_cluster_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    """The error names file, key and value on one line."""
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(CniError) as caught:
        cluster_settings.read(tmp_path / "config.yaml")

    assert words in caught.value.msg
    assert "\n" not in caught.value.msg
