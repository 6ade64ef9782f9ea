"""MAC addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.mac import Mac

BITS = st.integers(0, 2**48 - 1)


@pytest.mark.parametrize("text", ["02:80:0a:f4:01:05", "02:80:0A:F4:01:05", "02-80-0a-f4-01-05"])
def test_mac_is_parsed_in_the_usual_forms(text: str) -> None:
    """A MAC in any of the usual forms prints as the kernel prints it."""
    assert "02:80:0a:f4:01:05" == str(Mac.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        *("", "02:80:0a:f4:01", "02:80:0a:f4:01:05:06", "02800af40105", "02:80:0a:f4:01:0g", "2:80:a:f4:1:5"),
        *("02:80:0a:f4:01:05\n", "00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"),
    ],
)
def test_invalid_mac_is_refused(text: str) -> None:
    """Malformed, multicast and zero MACs are errors that show the text."""
    with pytest.raises(ValueError, match="MAC address") as caught:
        Mac.parse(text)

    assert f"'{text}'" in str(caught.value)


@given(BITS)
def test_local_mac_is_unicast_and_locally_administered(bits: int) -> None:
    """Any bits become a local unicast MAC, of which only two bits are changed."""
    mac = Mac.local(bits)

    assert (True, 0x02) == (mac.is_usable, mac.value >> 40 & 0x03)
    assert bits & ~(3 << 40) == mac.value & ~(3 << 40)


@given(BITS)
def test_mac_survives_text_and_bytes(bits: int) -> None:
    """A MAC written as text or as bytes parses to the same MAC."""
    mac = Mac.local(bits)

    assert mac == Mac.parse(str(mac)) == Mac.unpack(mac.value.to_bytes(6, "big"))
