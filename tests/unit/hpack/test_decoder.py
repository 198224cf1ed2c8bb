from __future__ import annotations

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters
from h2o_otel.hpack import kinds
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.limits import Limits
from h2o_otel.rules import Violation
from tests.support.hpack import Sender, decoded, malformed, plain, receiver

REQUEST = ((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"example.com"), (b":path", b"/a"))


def test_attributes_of_a_request() -> None:
    decoder = receiver()
    fields = [
        (b"host", b"example.com"),
        (b"content-length", b"12"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"te", b"trailers"),
        (b"priority", b"u=1"),
    ]
    decoder.decode_block(plain(*REQUEST, *fields))
    assert (decoder.method, decoder.scheme, decoder.authority, decoder.path) == (b"GET", b"https", b"example.com", b"/a")
    assert (decoder.status, decoder.status_code, decoder.protocol) == (None, 0, None)
    assert decoder.pseudo == 1 << kinds.METHOD | 1 << kinds.SCHEME | 1 << kinds.AUTHORITY | 1 << kinds.PATH
    assert decoder.headers == fields
    assert (decoder.host, decoder.content_length, decoder.cookies, decoder.te, decoder.priority) == (b"example.com", 12, 2, True, b"u=1")
    assert (decoder.fields, decoder.violation, decoder.violation_fields) == (10, None, {})
    assert decoder.list_bytes == sum(len(n) + len(v) + 32 for n, v in [*REQUEST, *fields])


def test_next_block_begins_from_nothing() -> None:
    decoder = receiver()
    decoder.decode_block(
        plain(*REQUEST, (b"host", b"a"), (b"content-length", b"1"), (b"cookie", b"c"), (b"te", b"trailers"), (b"priority", b"i"))
    )
    first = decoder.headers
    decoder.decode_block(plain((b":status", b"204"), (b"Bad", b"x")))
    assert decoder.violation is not None
    decoder.decode_block(b"")
    empty = (
        decoder.method,
        decoder.scheme,
        decoder.authority,
        decoder.path,
        decoder.status,
        decoder.protocol,
        decoder.host,
        decoder.priority,
    )
    assert empty == (None,) * 8
    assert (decoder.status_code, decoder.pseudo, decoder.headers, decoder.fields, decoder.list_bytes) == (0, 0, [], 0, 0)
    assert (decoder.content_length, decoder.cookies, decoder.te, decoder.violation, decoder.violation_fields) == (-1, 0, False, None, {})
    assert len(first) == 5


def test_extended_connect() -> None:
    decoder = receiver()
    decoder.decode_block(plain((b":method", b"CONNECT"), (b":protocol", b"websocket")))
    assert (decoder.protocol, decoder.violation) == (b"websocket", None)


def test_priority_lines_are_joined() -> None:
    decoder = receiver()
    decoder.decode_block(plain((b"priority", b"u=1"), (b"priority", b"i")))
    assert decoder.priority == b"u=1, i"


# -- malformed fields: the stream's fault, the table lives


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize(
    ("fields", "token"),
    [
        ([(b"", b"x")], "field_name_empty"),
        ([(b"Upper", b"x")], "field_name_invalid"),
        ([(b"a", b"\rx")], "field_value_invalid"),
        ([(b"a", b"x\n")], "field_value_invalid"),
        ([(b"a", b"x\x00y")], "field_value_invalid"),
        ([(b"a", b" x")], "field_value_invalid"),
        ([(b"a", b"x ")], "field_value_invalid"),
        ([(b"a", b"\tx")], "field_value_invalid"),
        ([(b"a", b" ")], "field_value_invalid"),
        ([(b"cookie", b"a\x00")], "field_value_invalid"),
        ([(b"host", b"a\n")], "field_value_invalid"),
        ([(b"connection", b"close")], "field_connection_specific"),
        ([(b"transfer-encoding", b"chunked")], "field_connection_specific"),
        ([(b"te", b"gzip")], "field_te"),
        ([(b"te", b"trailers, gzip")], "field_te"),
        ([(b":unknown", b"x")], "pseudo_unknown"),
        ([(b":path", b"/"), (b":path", b"/")], "pseudo_duplicate"),
        ([(b"a", b"b"), (b":path", b"/")], "pseudo_after_field"),
        ([(b"cookie", b"b"), (b":path", b"/")], "pseudo_after_field"),
        ([(b":method", b"")], "method_invalid"),
        ([(b":scheme", b"")], "scheme_invalid"),
        ([(b":authority", b"")], "authority_invalid"),
        ([(b":authority", b"a@b")], "authority_invalid"),
        ([(b":authority", b"a b")], "authority_invalid"),
        ([(b":path", b"")], "path_invalid"),
        ([(b":path", b"a")], "path_invalid"),
        ([(b":path", b"/ HTTP/1.1")], "path_invalid"),
        ([(b":path", b"/a#b")], "path_invalid"),
        ([(b":status", b"20")], "status_invalid"),
        ([(b":status", b"2000")], "status_invalid"),
        ([(b":status", b"+20")], "status_invalid"),
        ([(b":status", b"099")], "status_invalid"),
        ([(b":status", b"600")], "status_invalid"),
        ([(b"content-length", b"")], "content_length_invalid"),
        ([(b"content-length", b"-1")], "content_length_invalid"),
        ([(b"content-length", b"1, 1")], "content_length_invalid"),
        ([(b"content-length", b"9" * 19)], "content_length_invalid"),
        ([(b"content-length", b"1"), (b"content-length", b"1")], "content_length_invalid"),
        ([(b"host", b"a"), (b"host", b"a")], "host_mismatch"),
        ([(b":path", b"*")], ""),
        ([(b":authority", b"[::1]:443")], ""),
        ([(b"te", b"Trailers")], ""),
        ([(b"a", b"")], ""),
        ([(b"a", b"x\ty \x01\x7f\xff")], ""),
        ([(b"content-length", b"0")], ""),
        ([(b"content-length", b"9" * 18)], ""),
        ([(b":status", b"599")], ""),
    ],
)
def test_malformed(fields: list[tuple[bytes, bytes]], token: str, index: bool) -> None:
    decoder = receiver()
    assert malformed(plain(*fields, index=index), decoder) == token
    if index:
        # As indices, from the newest to the oldest: judged the same without a second look.
        count = len(fields)
        assert malformed(bytes(0x80 | (61 + count - i) for i in range(count)), decoder) == token


def test_static_entries_are_judged() -> None:
    assert malformed(b"\x81") == "authority_invalid"
    assert malformed(bytes([0x80 | 57])) == "field_connection_specific"
    assert malformed(bytes([0x80 | 28])) == "content_length_invalid"
    assert malformed(b"\x82\x83") == "pseudo_duplicate"


def test_first_violation_is_kept() -> None:
    assert malformed(plain((b"Bad", b"x"), (b"connection", b"x"), (b"a", b"\n"))) == "field_name_invalid"


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


def test_message_is_cut() -> None:
    decoder = receiver()
    malformed(plain((b"A" * 5000, b"x")), decoder)
    assert len(decoder.violation_fields["got"]) == 64


# -- limits


def test_list_limit() -> None:
    decoder = receiver(header_list_bytes_max=100)
    assert malformed(plain((b"a", b"x" * 67)), decoder) == ""
    assert malformed(plain((b"a", b"x" * 68)), decoder) == "header_list_too_large"
    assert decoder.violation_fields == {"actual": 101, "limit": 100}
    assert decoder.headers == []


def test_fields_limit() -> None:
    decoder = receiver(header_fields_max=3)
    assert malformed(plain(*[(b"a", b"b")] * 3), decoder) == ""
    assert malformed(plain(*[(b"a", b"b")] * 5), decoder) == "header_fields_too_many"
    assert (len(decoder.headers), decoder.fields) == (3, 5)


def test_beyond_the_limit_the_table_follows() -> None:
    decoder = receiver(header_list_bytes_max=80)
    malformed(plain((b"a", b"b"), (b"c", b"d"), (b"e", b"f"), (b"g", b"h"), index=True), decoder)
    assert decoder.table.entries() == [(b"g", b"h"), (b"e", b"f"), (b"c", b"d"), (b"a", b"b")]
    assert decoder.headers == [(b"a", b"b"), (b"c", b"d")]


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


def test_ninety_cookies_pass() -> None:
    decoder = receiver()
    assert malformed(plain(*[(b"cookie", b"name%d=value" % i) for i in range(90)]), decoder) == ""
    assert decoder.cookies == 90


def test_long_string_leaves_no_large_scratch() -> None:
    sender, decoder = Sender(), receiver(header_list_bytes_max=1_000_000)
    fields = [(b"a", b"0" * 100_000)]
    for _ in range(2):
        assert decoder.decode_block(sender.block(fields)) == fields
        assert decoder.decode_block(sender.block([(b"b", b"short")])) == [(b"b", b"short")]


# -- counters


def test_counters() -> None:
    block = Counters()
    decoder = Decoder(block, counters.SERVER, Limits())
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


def test_errors_are_counted() -> None:
    block = Counters()
    decoder = Decoder(block, counters.SERVER, Limits(header_fields_max=1))
    decoder.decode_block(b"\x82\x84")
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
