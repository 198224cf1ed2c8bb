"""Whatever a server sends, the properties and methods of a response raise nothing but the documented tree."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from h2o_otel import counters
from h2o_otel.client.decoders import DecodedBody, charset_of, decoder_of, text_decoder, text_of
from h2o_otel.client.request import Request
from h2o_otel.client.response import Response
from h2o_otel.errors import H2OError, JSONDecodeError, LimitExceeded, TransportError
from h2o_otel.limits import CLIENT_LIMITS, Limits
from tests.support.responses import response_of

NO_TEXT = ["zlib", "hex", "rot13", "base64", "bz2", "quopri", "uu", "idna", "punycode", "undefined", "unicode_escape", "raw-unicode-escape"]
NO_NAMES = ["no-such", "", "\x00", "../../etc", "é", "utf-8\x00", "a" * 5000, "encodings.zlib_codec", "aliases", "mbcs", "'", '"utf-8']
TEXT = [
    "utf-8",
    "UTF-8",
    "latin-1",
    "utf-7",
    "utf-16",
    "utf-32",
    "utf-8-sig",
    "iso2022_jp_2",
    "hz",
    "shift_jis",
    "big5",
    "cp037",
    "ascii",
    "gb18030",
]
charsets = st.sampled_from([*NO_TEXT, *NO_NAMES, *TEXT]) | st.text(max_size=20)
octets = st.binary(max_size=300) | st.sampled_from([b"[" * 200_000, b"1" * 5000, b'"\xff"', b"\xef\xbb\xbf{}", b"NaN", b"\x1b$A" * 100])
names = st.sampled_from([b"content-type", b"content-encoding", b"content-length", b"set-cookie", b"link", b"location", b"date", b"x"])
codings = st.sampled_from([b"gzip", b"deflate", b"gzip, deflate", b"br", b"gzip," * 50, b"\xff"])
fields = st.lists(st.tuples(names, st.binary(max_size=60) | codings), max_size=6)


def touch(response: Response) -> None:
    """Look at every property, and call every method that needs no argument and does not wait."""
    for name in dir(Response):
        if name.startswith("__") or name == "_read_body":
            continue
        try:
            value = getattr(response, name)
            if callable(value) and name in ("json", "raise_for_status"):
                value()
        except H2OError:
            pass
    repr(response)
    for headers in (response.headers, response.trailers, *(head.headers for head in response.informational)):
        if headers is not None:
            for name in headers:
                assert isinstance(headers[name], str)
                headers.get_list(name, split_commas=True)
            repr(headers)
            headers.multi_items()


async def drain(response: Response) -> None:
    for iterator in (response.aiter_bytes(7), response.aiter_text(5), response.aiter_lines(), response.aiter_bytes()):
        async for piece in iterator:
            assert isinstance(piece, (bytes, str))


@given(st.integers(0, 2**31 - 1) | st.sampled_from([200, 301, 404, 500, 599]), charsets, fields, fields, octets, st.booleans())
@example(200, "zlib", [], [], b"text", False)
@example(200, "idna", [], [], b"text\xff", False)
@example(200, "utf-16", [], [], b"no mark", False)
@example(200, "iso2022_jp_2", [], [], b"\x1b" * 300, False)
@example(200, "utf-8", [], [], b"[" * 200_000, False)
def test_every_property_and_method(status: int, charset: str, head: Any, trailers: Any, body: bytes, packed: bool) -> None:
    content_type = (b"content-type", f"text/plain; charset={charset}".encode("utf-8", "replace"))
    if packed:
        head = [*head, (b"content-encoding", b"gzip")]
        body = gzip.compress(body)
    try:
        response = response_of(status, [content_type, *head], body, trailers)
    except TransportError:
        return
    touch(response)
    asyncio.run(drain(response))


@pytest.mark.parametrize("charset", [*NO_TEXT, *NO_NAMES])
def test_what_is_no_encoding_of_text_is_ignored(charset: str) -> None:
    response = response_of(200, [(b"content-type", f'text/plain; charset="{charset}"'.encode())], "é".encode())
    if charset == '"utf-8':
        # Quotes are taken off, however many.
        assert response.charset_encoding == "utf-8"
    else:
        assert response.charset_encoding is None
    assert (response.encoding, response.text) == ("utf-8", "é")


@pytest.mark.parametrize("charset", TEXT)
@given(st.lists(st.binary(max_size=20)))
def test_text_never_fails(charset: str, pieces: list[bytes]) -> None:
    assert charset_of(f"text/plain; charset={charset}") == charset
    assert isinstance(text_of(b"".join(pieces), charset), str)
    decoder = text_decoder(charset)
    for piece in pieces:
        assert isinstance(decoder.decode(piece), str)
    assert isinstance(decoder.decode(b"", True), str)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 200_000, b"1" * 5000, b'"\xff"', b"\x00"])
def test_json_that_is_none(body: bytes) -> None:
    response = response_of(200, [], body)
    with pytest.raises(JSONDecodeError) as caught:
        response.json()
    assert isinstance(caught.value, json.JSONDecodeError)
    assert isinstance(caught.value.request, Request)


# -- content codings


def coded(body: bytes, coding: bytes = b"gzip", limits: Limits = CLIENT_LIMITS) -> bytes:
    return response_of(200, [(b"content-encoding", coding)], body, limits=limits).content


EMPTY = gzip.compress(b"")


def test_empty_members_are_counted() -> None:
    assert coded(EMPTY * 100 + gzip.compress(b"last")) == b"last"
    before = counters.collect().value("client_decoded", "too_large")
    for times in (101, 3000, 100_000):
        with pytest.raises(LimitExceeded, match=r"Limits\.decompress_empty_members_max is 100") as caught:
            coded(EMPTY * times)
        assert (caught.value.limit_name, caught.value.limit) == ("decompress_empty_members_max", 100)
    assert counters.collect().value("client_decoded", "too_large") == before + 3
    assert coded(EMPTY * 3000, limits=Limits(decompress_empty_members_max=3000)) == b""


def test_members_cost_as_much_as_they_are_long() -> None:
    """What is left behind a member is not copied with each of them: 2 MB of tiny members would copy 100 GB."""
    one = gzip.compress(b"x")
    limits = Limits(decompress_empty_members_max=0)
    assert coded(one * 50_000, limits=limits) == b"x" * 50_000


def test_memory_of_hollow_and_of_dense_bodies() -> None:
    for body, ratio in ((EMPTY * 100_000, 0.5), (gzip.compress(bytes(30_000_000)), 1.3)):
        tracemalloc.start()
        try:
            base = tracemalloc.get_traced_memory()[0]
            size = len(body)
            try:
                found = coded(body, limits=Limits(decompress_ratio_max=2000))
                size = len(found)
            except LimitExceeded:
                pass
            peak = tracemalloc.get_traced_memory()[1] - base
        finally:
            tracemalloc.stop()
        assert peak <= ratio * size + 300_000


@pytest.mark.parametrize(
    ("body", "coding", "result"),
    [
        (gzip.compress(b"x"), b"gzip", "complete"),
        (gzip.compress(zlib.compress(b"x")), b"deflate, gzip", "complete"),
        (gzip.compress(b"x")[:-1], b"gzip", "truncated"),
        (b"garbage", b"gzip", "invalid"),
        (gzip.compress(bytes(3_000_000)), b"gzip", "too_large"),
    ],
)
def test_results_are_counted(body: bytes, coding: bytes, result: str) -> None:
    before = counters.collect().value("client_decoded", result)
    try:
        coded(body, coding)
        assert result == "complete"
    except TransportError:
        assert result != "complete"
    assert counters.collect().value("client_decoded", result) == before + 1


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5), st.integers(1, 50))
def test_members_in_any_pieces(members: list[bytes], size: int) -> None:
    body = b"".join(map(gzip.compress, members))
    decoder = decoder_of([(b"content-encoding", b"gzip")], CLIENT_LIMITS)
    assert decoder is not None
    whole = DecodedBody(decoder, CLIENT_LIMITS)
    for start in range(0, len(body), size):
        whole.add(body[start : start + size])
    whole.add(b"", True)
    assert whole.take() == b"".join(members)
