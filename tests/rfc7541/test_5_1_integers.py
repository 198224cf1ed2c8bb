"""RFC 7541 section 5.1: integers, bounded to six octets and 2^32 - 1."""

from __future__ import annotations

import pytest

from tests.support.hpack import broken, decoded, receiver
from tests.support.judged import requirement


@requirement("7541-5.1-1")
def test_zeros_at_the_end_are_legal() -> None:
    # Size 31 + 0, in more octets than it needs.
    decoder = receiver()
    decoded("3f8080808000", decoder)
    assert decoder.table.capacity == 31


@requirement("7541-5.1-1")
def test_too_many_octets() -> None:
    error = broken("3f808080808000")
    assert (error.rule.token, error.fields["limit"]) == ("hpack_integer_too_large", 6)


@requirement("7541-5.1-1")
def test_largest_value() -> None:
    # 2^32 - 1 passes as an integer; as a size it is beyond the setting.
    error = broken("3fe0ffffff0f")
    assert (error.rule.token, error.fields["actual"]) == ("hpack_size_update_too_large", 2**32 - 1)
    assert broken("3fe1ffffff0f").rule.token == "hpack_integer_too_large"
    assert broken("3fffffffff7f").rule.token == "hpack_integer_too_large"
    # 31 + 2^32, and 127 + 2^34: the bits beyond 32 are not lost on the way, as they were in compiled code.
    assert broken("3f8080808010").rule.token == "hpack_integer_too_large"
    assert broken("ff8080808040").rule.token == "hpack_integer_too_large"


@pytest.mark.parametrize("block", ["ff", "ff80", "7f", "0f", "1f", "1fff", "3f", "3fff", "007f", "00ff80"])
def test_block_ends_inside(block: str) -> None:
    assert broken(block).rule.token == "hpack_truncated"


def test_index_of_several_octets() -> None:
    error = broken("ff8001")
    assert (error.rule.token, error.fields["actual"]) == ("hpack_index_unknown", 127 + 128)
