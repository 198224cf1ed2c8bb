"""RFC 7541 section 6: the five representations."""

from __future__ import annotations

import pytest

from tests.support.hpack import broken, decoded, receiver
from tests.support.judged import requirement


@requirement("7541-6.1-1")
def test_6_1_index_zero() -> None:
    assert broken("80").rule.token == "hpack_index_zero"


@requirement("7541-6.2.1-1")
def test_6_2_1_with_indexing() -> None:
    decoder = receiver()
    assert decoded("410162", decoder) == [(b":authority", b"b")]
    assert decoded("4001610162", decoder) == [(b"a", b"b")]
    assert decoder.table.entries() == [(b"a", b"b"), (b":authority", b"b")]


@requirement("7541-6.2.2-1", "7541-6.2.3-1")
@pytest.mark.parametrize("first", [0x00, 0x10])
def test_6_2_2_and_6_2_3_without(first: int) -> None:
    decoder = receiver()
    assert decoded(bytes([first | 1]) + b"\x01b", decoder) == [(b":authority", b"b")]
    assert decoded(bytes([first]) + b"\x01a\x01b", decoder) == [(b"a", b"b")]
    # 'server' is 54: beyond the prefix of 4 bits
    assert decoded(bytes([first | 15, 54 - 15]) + b"\x01b", decoder) == [(b"server", b"b")]
    assert decoder.table.entries() == []


@requirement("7541-4.2-1", "7541-6.3-1")
def test_6_3_size_update_within_the_setting() -> None:
    decoder = receiver()
    error = broken("3fe21f", decoder)
    assert (error.rule.token, error.fields["actual"], error.fields["limit"]) == ("hpack_size_update_too_large", 4097, 4096)


@requirement("7541-6.3-1")
def test_6_3_larger_setting_once_acknowledged() -> None:
    decoder = receiver()
    decoder.set_allowed_table_size(65_536)
    assert decoder.table.capacity == 4096
    decoded("3fe1ff03", decoder)
    assert decoder.table.capacity == 65_536
