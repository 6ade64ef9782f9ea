"""MAC addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.mac import Mac

BITS = st.integers(0, 2**48 - 1)


@pytest.mark.parametrize("text", ["02:80:0a:f4:01:05", "02:80:0A:F4:01:05", "02-80-0a-f4-01-05"])
def test_a_mac_is_read_in_the_usual_forms(text: str) -> None:
    """Whatever the form, it prints as the kernel does."""
    assert "02:80:0a:f4:01:05" == str(Mac.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        *("", "02:80:0a:f4:01", "02:80:0a:f4:01:05:06", "02800af40105", "02:80:0a:f4:01:0g", "2:80:a:f4:1:5"),
        *("02:80:0a:f4:01:05\n", "00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"),
    ],
)
def test_what_no_interface_can_have_is_refused(text: str) -> None:
    """Malformed, multicast and zero addresses are errors that show the text."""
    with pytest.raises(ValueError, match="MAC address") as caught:
        Mac.parse(text)

    assert f"'{text}'" in str(caught.value)


@given(BITS)
def test_a_local_mac_is_unicast_and_locally_administered(bits: int) -> None:
    """Whatever the bits, and only two of them are changed."""
    mac = Mac.local(bits)

    assert (True, 0x02) == (mac.addresses_ready, mac.value >> 40 & 0x03)
    assert bits & ~(3 << 40) == mac.value & ~(3 << 40)


@given(BITS)
def test_a_mac_is_printed_and_read_back(bits: int) -> None:
    """As text and as bytes."""
    mac = Mac.local(bits)

    assert mac == Mac.parse(str(mac)) == Mac.unpack(mac.value.to_bytes(6, "big"))
