from __future__ import annotations

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.limits import EngineLimits
from h2o_otel.rules import Violation
from tests.support.counting import nonzero
from tests.support.hpack import Sender, decoded, malformed, plain, receiver

# -- malformed fields: the stream's fault, the table lives


def test_static_entries_are_judged() -> None:
    assert malformed(b"\x81") == "authority_invalid"
    assert malformed(bytes([0x80 | 57])) == "field_connection_specific"
    assert malformed(bytes([0x80 | 28])) == "content_length_invalid"
    assert malformed(b"\x82\x83") == "pseudo_duplicate"


def test_decoding_goes_on_after_a_violation() -> None:
    decoder = receiver()
    malformed(plain((b"Bad", b"x"), (b"a", b"b"), index=True), decoder)
    assert decoded(bytes([0x80 | 62]), decoder) == [(b"a", b"b")]
    assert decoder.violation is None


def test_name_of_a_malformed_entry_is_judged() -> None:
    decoder = receiver()
    malformed(plain((b"a", b"\n"), (b"Bad", b"x"), index=True), decoder)
    # literal without indexing, name at 63, then at 62
    assert malformed("0f300162", decoder) == ""
    assert malformed("0f2f0162", decoder) == "field_name_invalid"


# -- limits


def test_beyond_the_limit_the_table_follows() -> None:
    decoder = receiver(header_list_bytes_max=80)
    malformed(plain((b"a", b"b"), (b"c", b"d"), (b"e", b"f"), (b"g", b"h"), index=True), decoder)
    assert decoder.table.entries() == [(b"g", b"h"), (b"e", b"f"), (b"c", b"d"), (b"a", b"b")]
    assert decoder.headers == [(b"a", b"b"), (b"c", b"d")]


def test_list_limit_of_indexed_fields() -> None:
    """The size that is just allowed, and one octet more: a field of 34, and one of 66 or 67."""
    for size, token in ((33, ""), (34, "header_list_too_large")):
        decoder = receiver(header_list_bytes_max=100)
        malformed(plain((b"a", b"b"), (b"c", b"x" * size), index=True), decoder)
        assert malformed(bytes([0x80 | 63, 0x80 | 62]), decoder) == token
        assert len(decoder.headers) == (1 if token else 2)


def test_bomb_shares_one_value() -> None:
    # 4 kB in the table, then 16 000 times one octet: 65 MB, were it copied.
    decoder = receiver()
    block = plain((b"a", b"x" * 4000), index=True) + bytes([0x80 | 62]) * 16_000
    assert malformed(block, decoder) == "header_list_too_large"
    assert len(decoder.headers) == 16
    assert len({id(value) for _, value in decoder.headers}) == 1
    assert decoder.list_bytes == 16_001 * 4033


def test_bomb_of_cookies() -> None:
    decoder = receiver()
    block = plain((b"cookie", b""), index=True) + bytes([0x80 | 62]) * 4000
    assert malformed(block, decoder) == "header_fields_too_many"
    assert len(decoder.headers) == 256


def test_long_string_leaves_no_large_scratch() -> None:
    sender, decoder = Sender(), receiver(header_list_bytes_max=1_000_000)
    fields = [(b"a", b"0" * 100_000)]
    for _ in range(2):
        assert decoder.decode_block(sender.block(fields)) == fields
        assert decoder.decode_block(sender.block([(b"b", b"short")])) == [(b"b", b"short")]


# -- counters


def test_counters() -> None:
    block = Counters()
    decoder = Decoder(block, counters.SERVER, EngineLimits())
    wire = b"\x82" + plain((b"a", b"bc"), index=True) + plain((b"d", b"e")) + b"\x10\x01f\x01g" + bytes([0x80 | 62])
    decoder.decode_block(wire)
    seen = counters.Snapshot()
    seen.add_block(block)
    fields = {name: seen.value("hpack_fields", "receive", name) for name in counters.REPRESENTATIONS}
    assert fields == dict.fromkeys(counters.REPRESENTATIONS, 1)
    assert seen.value("hpack_size", "receive", "encoded") == len(wire)
    assert seen.value("hpack_size", "receive", "plain") == len(b":methodGET" + b"abc" + b"de" + b"fg" + b"abc")
    assert seen.value("hpack_table_size", "server", "receive") == 35
    decoder.close()
    after = counters.Snapshot()
    after.add_block(block)
    assert after.value("hpack_table_size") == after.value("hpack_table_capacity") == 0


def test_names_are_counted() -> None:
    """Those of the tables are no names on the wire."""
    block = Counters()
    decoder = Decoder(block, counters.CLIENT, EngineLimits())
    decoder.decode_block(plain((b"x-name-of-test-names", b"1"), (b"x-name-of-test-names", b"2")) + b"\x04\x01/" + b"\x82")
    assert nonzero(block, "hpack_names") == {("receive", "examined"): 1, ("receive", "cached"): 1}
    block = Counters()
    decoder = Decoder(block, counters.CLIENT, EngineLimits(), name_cache=False)
    decoder.decode_block(plain((b"x-name-of-test-names", b"1"), (b"x-name-of-test-names", b"2")))
    assert nonzero(block, "hpack_names") == {("receive", "examined"): 2}


def test_one_block_in_64_is_timed() -> None:
    block = Counters()
    decoder = Decoder(block, counters.CLIENT, EngineLimits())
    for _ in range(63):
        decoder.decode_block(b"\x82")
    assert nonzero(block, "hpack_time_ns") == {}
    for _ in range(127):
        decoder.decode_block(plain((b"a", b"b")) * 100)
    time_ns = nonzero(block, "hpack_time_ns")["receive",]
    # Two have been: each stands for all 64.
    assert time_ns % 64 == 0


def test_fields_that_no_hop_may_index() -> None:
    decoder = receiver()
    decoder.keep_specials()
    # :path, then "accept-language" plainly, "a" never, "b" plainly, "c" never, ":authority" never.
    block = b"\x04\x01/" + b"\x0f\x02\x01x" + b"\x10\x01a\x01x" + plain((b"b", b"x")) + b"\x10\x01c\x01x" + b"\x11\x01y"
    decoder.decode_block(block)
    assert decoder.never_indexed == [2, 4, 5]
    decoder.decode_block(b"\x10\x01a\x01x")
    assert decoder.never_indexed == [0]


@pytest.mark.parametrize("role", [counters.CLIENT, counters.SERVER])
def test_table_as_gauges(role: int) -> None:
    """Its size and capacity are those of now, whatever happened to it, and nothing is left of them in the end."""
    block = Counters()
    decoder = Decoder(block, role, EngineLimits())
    key = counters.ROLES[role], "receive"
    for n in range(3):
        decoder.decode_block(plain((b"a%d" % n, b"b"), index=True))
        assert nonzero(block, "hpack_table_size") == {key: 35 * (n + 1)}
    decoder.decode_block(b"\x3f\x29")  # 72 octets
    assert nonzero(block, "hpack_table_size") == {key: 70}
    assert nonzero(block, "hpack_table_capacity") == {key: 72}
    assert nonzero(block, "hpack_table_evictions") == {("receive",): 1}
    decoder.decode_block(plain((b"a3", b"b"), index=True))
    assert nonzero(block, "hpack_table_evictions") == {("receive",): 2}
    for _ in range(2):
        decoder.close()
        assert nonzero(block, "hpack_table_size") == nonzero(block, "hpack_table_capacity") == {}


def test_unknown_index_names_the_end_of_the_tables() -> None:
    decoder = receiver()
    decoder.decode_block(plain((b"a", b"b"), index=True))
    with pytest.raises(Violation, match="index 63, the tables end at 62"):
        decoder.decode_block(b"\xbf")


def test_errors_are_counted() -> None:
    block = Counters()
    decoder = Decoder(block, counters.SERVER, EngineLimits(header_fields_max=1))
    decoder.decode_block(b"\x82\x84" + plain((b"a", b"b"), (b"a", b"b")))
    with pytest.raises(Violation):
        decoder.decode_block(b"\x80", 5)
    seen = counters.Snapshot()
    seen.add_block(block)
    assert seen.value("hpack_errors", "receive", "header_fields_too_many") == 1
    assert seen.value("hpack_errors", "receive", "hpack_index_zero") == 1


def test_violation_names_the_stream() -> None:
    with pytest.raises(Violation, match=r"field block of stream 5: index 0 \(COMPRESSION_ERROR, RFC 7541 §6.1\)") as caught:
        receiver().decode_block(b"\x80", 5)
    assert caught.value.stream_id == 5
