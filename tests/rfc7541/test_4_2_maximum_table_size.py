"""RFC 7541 section 4.2: who may change the size of the table, and when it must be said."""

from __future__ import annotations

import pytest

from tests.support.hpack import Sender, broken, decoded, plain, receiver
from tests.support.judged import requirement
from tests.support.wire import integer


def test_reduced_setting_needs_an_update() -> None:
    decoder = receiver()
    decoder.set_allowed_table_size(100)
    error = broken("82", decoder)
    assert (error.rule.token, error.fields["limit"]) == ("hpack_size_update_missing", 100)


@requirement("7541-4.2-3")
def test_update_to_the_smallest_size_first() -> None:
    decoder = receiver()
    decoder.set_allowed_table_size(0)
    decoder.set_allowed_table_size(4096)
    # Size 4096 alone leaves out that the table was to be emptied.
    assert broken("3fe11f82", decoder).rule.token == "hpack_size_update_missing"


@requirement("7541-4.2-3")
@pytest.mark.parametrize("block", ["203fe11f82", "2082", "20"])
def test_smallest_then_last_size(block: str) -> None:
    decoder = receiver()
    decoder.set_allowed_table_size(0)
    decoder.set_allowed_table_size(4096)
    decoded(block, decoder)
    assert decoder.table.capacity == (4096 if "3fe11f" in block else 0)


def test_no_update_when_already_smaller() -> None:
    decoder = receiver()
    decoded("3f21", decoder)
    decoder.set_allowed_table_size(1000)
    assert decoded("82", decoder) == [(b":method", b"GET")]


def test_empty_block_also_needs_the_update() -> None:
    decoder = receiver()
    decoder.set_allowed_table_size(0)
    assert broken("", decoder).rule.token == "hpack_size_update_missing"


@requirement("7541-4.2-2")
def test_update_after_a_field() -> None:
    assert broken("8220").rule.token == "hpack_size_update_late"
    assert broken(plain((b"a", b"b")) + b"\x3f\xe1\x1f").rule.token == "hpack_size_update_late"


@requirement("7541-4.2-3")
def test_at_most_two_updates() -> None:
    error = broken("202020")
    assert (error.rule.token, error.fields["actual"], error.fields["limit"]) == ("hpack_size_updates", 3, 2)


@requirement("7541-4.2-3")
def test_encoder_says_the_smallest_and_the_last() -> None:
    sender, decoder = Sender(), receiver()
    decoder.decode_block(sender.block([(b"a", b"1")]))
    for size in (2000, 0, 1000, 70_000):
        sender.encoder.set_table_size(size)
    # The cap of 4096 holds, whatever the peer allows.
    assert sender.block([]).hex() == "203fe11f"
    assert sender.encoder.table.entries() == []
    assert sender.block([(b"a", b"1")])[0] == 0x40


@requirement("7541-4.2-2")
def test_encoder_says_one_size_once() -> None:
    sender = Sender()
    sender.encoder.set_table_size(4096)
    assert sender.block([]) == b""
    sender.encoder.set_table_size(30)
    assert sender.block([]).hex() == "3e"
    assert sender.block([]) == b""


@requirement("7541-4.2-1")
def test_encoder_caps_a_smaller_table_from_the_start() -> None:
    sender = Sender(1000)
    assert sender.block([]).hex() == "3fc907"
    sender.encoder.set_table_size(5000)
    assert sender.block([]) == b""


@pytest.mark.parametrize(
    ("allowed", "updates", "rule"),
    [
        ((50, 100), (100,), "hpack_size_update_missing"),
        ((50, 100), (50, 100), ""),
        ((50, 100), (20,), ""),
        ((100, 50, 80), (80,), "hpack_size_update_missing"),
        ((100, 50, 80), (50, 80), ""),
        ((0, 100), (100,), "hpack_size_update_missing"),
        ((0, 100), (0, 100), ""),
        ((100,), (), "hpack_size_update_missing"),
        ((100, 4096), (4096,), "hpack_size_update_missing"),
        ((5000, 6000), (), ""),
    ],
)
def test_smallest_of_several_sizes_is_asked_for(allowed: tuple[int, ...], updates: tuple[int, ...], rule: str) -> None:
    """Of all sizes that we announced since the last block, the smallest must be gone through."""
    decoder = receiver()
    for size in allowed:
        decoder.set_allowed_table_size(size)
    octets = b"".join(update(size) for size in updates) + b"\x82"
    if rule:
        assert broken(octets, decoder).rule.token == rule
    else:
        assert decoded(octets, decoder) == [(b":method", b"GET")]
        assert decoder.table.capacity == (updates[-1] if updates else 4096)


def update(size: int) -> bytes:
    octets = bytearray(integer(size, 5))
    octets[0] |= 0x20
    return bytes(octets)
