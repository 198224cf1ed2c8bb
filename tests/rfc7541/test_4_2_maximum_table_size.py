"""RFC 7541 section 4.2: who may change the size of the table, and when it must be said."""

from __future__ import annotations

import pytest

from tests.support.hpack import Sender, broken, decoded, plain, receiver
from tests.support.judged import requirement


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
