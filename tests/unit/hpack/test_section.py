from __future__ import annotations

import pytest

from h2o_otel.counters import SERVER, Counters
from h2o_otel.hpack import kinds
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.limits import EngineLimits
from tests.support.hpack import malformed, plain, receiver

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


# -- malformed fields: the stream's fault


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
        ([(b"content-length", b"0"), (b"content-length", b"0")], "content_length_invalid"),
        ([(b":protocol", b"x"), (b":protocol", b"x")], "pseudo_duplicate"),
        ([(b"a", b"b"), (b":protocol", b"x")], "pseudo_after_field"),
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
        # And with one, where entries are examined each time that they come.
        decoder = Decoder(Counters(), SERVER, EngineLimits(), False)
        decoder.decode_block(plain(*fields, index=True))
        assert malformed(bytes(0x80 | (61 + count - i) for i in range(count)), decoder) == token


def test_first_violation_is_kept() -> None:
    assert malformed(plain((b"Bad", b"x"), (b"connection", b"x"), (b"a", b"\n"))) == "field_name_invalid"


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


@pytest.mark.parametrize("index", [False, True])
def test_limits_of_both_kinds_of_literals(index: bool) -> None:
    decoder = receiver(header_list_bytes_max=100, header_fields_max=2)
    assert malformed(plain((b"a", b"x" * 33), (b"a", b"b"), index=index), decoder) == ""
    assert malformed(plain((b"a", b"x" * 34), (b"a", b"b"), index=index), decoder) == "header_list_too_large"
    assert malformed(plain(*[(b"a", b"")] * 2, index=index), decoder) == ""
    decoder = receiver(header_list_bytes_max=99, header_fields_max=2)
    assert malformed(plain(*[(b"a", b"")] * 3, index=index), decoder) == "header_fields_too_many"
    assert len(decoder.headers) == 2


@pytest.mark.parametrize("index", [False, True])
def test_fields_limit(index: bool) -> None:
    decoder = receiver(header_fields_max=3)
    assert malformed(plain(*[(b"a", b"b")] * 3, index=index), decoder) == ""
    assert malformed(plain(*[(b"a", b"b")] * 5, index=index), decoder) == "header_fields_too_many"
    assert (len(decoder.headers), decoder.fields) == (3, 5)


def test_ninety_cookies_pass() -> None:
    decoder = receiver()
    assert malformed(plain(*[(b"cookie", b"name%d=value" % i) for i in range(90)]), decoder) == ""
    assert decoder.cookies == 90
