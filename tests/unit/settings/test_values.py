"""Single values, where the configuration's own tests do not tell all."""

import pytest

from slash80.errors import InvalidConfig
from slash80.settings import values
from slash80.settings.network import NetConf, parse
from unit.builders import conf


@pytest.mark.parametrize(
    ("text", "version", "found"),
    [
        ("10.0.0.5", 4, ("10.0.0.5", "10.0.0.5")),
        ("10.0.0.0/30", 4, ("10.0.0.0", "10.0.0.3")),
        ("10.0.0.1 - 10.0.1.0", 4, ("10.0.0.1", "10.0.1.0")),
        ("2001:db8::/126", 6, ("2001:db8::", "2001:db8::3")),
    ],
)
def test_range_is_an_address_a_prefix_or_first_to_last(text: str, version: int, found: values.Span) -> None:
    """All three forms become first and last address."""
    assert found == values.span(text, version)


def test_long_value_is_cut_in_messages() -> None:
    """The message ends up in a pod's event, so the value is cut."""
    with pytest.raises(InvalidConfig) as caught:
        parse(NetConf, conf(primaryFamily="x" * 100_000))

    assert len(caught.value.msg) < 300


def test_message_names_the_index_in_a_list() -> None:
    """Of many prefixes, the message names the invalid one."""
    with pytest.raises(InvalidConfig, match=r"'firewall\.trusted\[1\]' has the value '::/0'"):
        parse(NetConf, conf(firewall={"trusted": ["2001:db8::/32", "::/0"]}))


@pytest.mark.parametrize("value", [443, True, ["tcp/443"], "443/tcp"])
def test_ports_are_text_with_a_protocol(value: object) -> None:
    """A number alone says nothing of the protocol."""
    with pytest.raises(ValueError, match="as"):
        values.ports(value)

    assert values.ports("tcp/443") == values.ports(values.ports("tcp/443"))
