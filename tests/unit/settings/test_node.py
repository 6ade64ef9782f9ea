"""`node.json`: what it adds to a configuration, and what is said when it cannot be used."""

import json
from pathlib import Path

import pytest

from slash80.errors import CniError, InvalidConfig, TryAgain
from slash80.host import compiled_network
from slash80.settings import cluster as cluster_settings
from slash80.settings import node as nodefile

V6, V4, OLD = "2001:db8:0:1:1::/80", "10.80.1.0/24", "2001:db8:0:1:2::/80"
ONLY_OLD = f'{{"version": 1, "ipv6": [{{"prefix": "{OLD}"}}]}}'
DRAINING = ONLY_OLD.replace("}]", ', "state": "draining"}]')
FULL = json.dumps(
    {
        "version": 1,
        "ipv6": [{"prefix": V6, "state": "active"}, {"prefix": OLD, "state": "draining"}],
        "ipv4": [{"prefix": V4}],
        "primaryFamily": "ipv6",
        "mtu": 1400,
        "firewall": {"echo": "drop"},
        "options": {"ipv4": {"cooldown": 60, "exclude": ["10.80.1.7", "10.80.1.9-10.80.1.12"]}},
        "later": {"keys": "of a newer agent"},
    }
)


def _read(folder: Path, text: str | None, **keys: object) -> compiled_network.CompiledNetwork:
    if text is not None:
        (folder / "node.json").write_text(text)
    return compiled_network.read({"source": "node", "stateDir": str(folder)} | keys)


def test_node_json_provides_prefixes_and_firewall(tmp_path: Path) -> None:
    """Prefixes, firewall and options come from node.json; a draining prefix is kept and not handed out."""
    found = _read(tmp_path, FULL)

    assert [V4, V6, OLD] == [str(prefix) for prefix in found.prefixes]
    assert [V6] == [str(prefix) for prefix in found.conf.ipv6.prefixes]
    conf = found.conf
    assert ("ipv6", 1400, "drop", 60) == (conf.primary_family, conf.mtu, conf.firewall.echo, conf.ipv4.cooldown)


def test_network_configuration_overrides_node_json(tmp_path: Path) -> None:
    """Keys that both may hold are taken from the network's configuration."""
    conf = _read(tmp_path, FULL, mtu=1300, primaryFamily="ipv4", ipv4={"cooldown": 90}).conf
    assert (1300, "ipv4", 90) == (conf.mtu, conf.primary_family, conf.ipv4.cooldown)


def test_changed_node_json_takes_effect_at_once(tmp_path: Path) -> None:
    """node.json is read for each call."""
    _read(tmp_path, FULL)
    assert [OLD] == [str(p) for p in _read(tmp_path, ONLY_OLD).prefixes]


@pytest.mark.parametrize("text", [None, '{"version": 1}', DRAINING])
def test_missing_node_json_is_code_11(tmp_path: Path, text: str | None) -> None:
    """The agent may still find a prefix, so the runtime is to try again; the sentence says where to look."""
    with pytest.raises(TryAgain, match="slash80 status"):
        _read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "node.json is not a JSON document"),
        ("[" * 100_000, "node.json is not a JSON document"),
        ("[]", "node.json"),
        ('{"version": 2}', "node.json: configuration key 'version' has the value 2"),
        ('{"version": 1, "ipv6": [{"prefix": "2001:db8::1/80"}]}', "'ipv6[0].prefix' has the value '2001:db8::1/80'"),
        ('{"version": 1, "ipv6": [{"prefix": "2001:db8:0:1:1::/80", "state": "on"}]}', "'ipv6[0].state'"),
        ('{"version": 1, "ipv6": [{"prefix": "2001:db8:0:1:1::/80"}], "firewall": {"trusted": ["::/0"]}}', "'::/0'"),
        ('{"version": 1, "ipv6": [{"prefix": "2001:db8:0:1:1::/80"}], "mtu": 5}', "'mtu' has the value 5"),
        (
            '{"version": 1, "ipv6": [{"prefix": "2001:db8:0:1:1::/96"}], "options": {"ipv6": {"suffix": "mac"}}}',
            "with node.json",
        ),
        ("\udcff", "not UTF-8"),
    ],
)
def test_invalid_node_json_is_code_7(tmp_path: Path, text: str, words: str) -> None:
    """The error names the file, the key and the value."""
    (tmp_path / "node.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidConfig) as caught:
        _read(tmp_path, None)
    assert words in caught.value.msg


@pytest.mark.parametrize(
    "keys", [{"ipv6": {"prefixes": [V6]}}, {"ipv4": {"prefixes": [V4]}}, {"firewall": {"echo": "drop"}}]
)
def test_prefixes_in_conf_and_node_json_are_refused(tmp_path: Path, keys: dict[str, object]) -> None:
    """What comes from node.json must not be in the configuration as well."""
    with pytest.raises(InvalidConfig, match=r"with source 'node' it comes from node\.json"):
        _read(tmp_path, FULL, **keys)


def test_unreadable_node_json_is_named(tmp_path: Path) -> None:
    """A node.json that cannot be read is an error with its path."""
    (tmp_path / "node.json").mkdir()
    with pytest.raises(CniError, match=r"node\.json cannot be read: Is a directory"):
        _read(tmp_path, None)
    (tmp_path / "node.json").rmdir()
    with pytest.raises(InvalidConfig, match="more than 2097152 bytes"):
        _read(tmp_path, " " * (2 << 20) + "{}")
    assert nodefile.NAME == "node.json"


@pytest.mark.parametrize(("firewall", "chosen"), [("{}", "labelled"), ('{"exposeFrom": "all"}', "all")])
def test_namespaces_decide_about_ports_unless_node_json_says_otherwise(
    tmp_path: Path, firewall: str, chosen: str
) -> None:
    """A network without node.json has no namespaces; its default is that no annotation opens a port."""
    found = _read(tmp_path, ONLY_OLD.replace("}]", f'}}], "firewall": {firewall}'))

    assert chosen == found.conf.firewall.expose_from


def test_exposed_ports_go_through_node_json(tmp_path: Path) -> None:
    """They are written as text, as a person writes them."""
    given = cluster_settings.parse("firewall: {expose: [tcp/443, udp/8000-8100]}", tmp_path).firewall.given()
    found = _read(tmp_path, ONLY_OLD.replace("}]", f'}}], "firewall": {json.dumps(given)}'))

    assert ["tcp/443", "udp/8000-8100"] == [str(one) for one in found.conf.firewall.expose]
