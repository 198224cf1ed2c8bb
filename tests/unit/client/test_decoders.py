from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2o_otel.client.decoders import LineDecoder, charset_of, decoder_of
from h2o_otel.errors import LimitExceeded, RemoteProtocolError
from h2o_otel.limits import Limits

LIMITS = Limits(decompress_free_bytes=10_000, decompress_ratio_max=10)


def bare(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


def decode(coding: str, data: bytes, size: int) -> bytes:
    decoder = decoder_of([(b"content-encoding", coding.encode())], LIMITS)
    assert decoder is not None
    return b"".join(decoder.decode(data[i : i + size]) for i in range(0, len(data), size)) + decoder.flush()


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
        ("gzip", lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]) + bytes(8)),
    ],
)
def test_codings(coding: str, encode: object, size: int) -> None:
    body = random.Random(1).randbytes(5000)
    assert decode(coding, encode(body), size) == body  # type: ignore[operator]


@pytest.mark.parametrize("coding", ["", "identity", "br", "gzip, br", "gzip," * 5])
def test_codings_left_alone(coding: str) -> None:
    if coding == "gzip," * 5:
        assert decoder_of([(b"content-encoding", coding.encode())], LIMITS) is None
    assert decoder_of([(b"content-encoding", coding.encode())], LIMITS) is None


@pytest.mark.parametrize("size", [1, 1000])
def test_growth_is_bounded(size: int) -> None:
    decoder = decoder_of([(b"content-encoding", b"gzip")], LIMITS)
    assert decoder is not None
    data, made = gzip.compress(bytes(1_000_000)), 0
    with pytest.raises(LimitExceeded) as caught:  # noqa: PT012 - which step finds it depends on the size
        for i in range(0, len(data), size):
            made += len(decoder.decode(data[i : i + size]))
    assert made <= 10_000
    assert (caught.value.limit_name, caught.value.limit) == ("decompress_ratio_max", 10)


def test_small_bodies_may_grow() -> None:
    assert decode("gzip", gzip.compress(bytes(10_000)), 1000) == bytes(10_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_truncation_is_an_error(coding: str) -> None:
    data = (gzip.compress if coding == "gzip" else zlib.compress)(b"text" * 100)
    with pytest.raises(RemoteProtocolError, match=f"the {coding} body ends in the middle"):
        decode(coding, data[:-3], 10)
    with pytest.raises(RemoteProtocolError):
        decode(coding, b"\xff" * 100, 10)


@given(st.lists(st.text(alphabet="ab\r\n\x0b\u2028\x85")))
def test_lines_are_those_of_splitlines(parts: list[str]) -> None:
    decoder = LineDecoder()
    lines = [line for part in parts for line in decoder.decode(part)] + decoder.flush()
    assert lines == "".join(parts).splitlines()


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/html; charset=UTF-8", "UTF-8"),
        ('text/html; a=b; Charset="latin-1"', "latin-1"),
        ("text/html; charset=none", None),
        ("text/html", None),
        (None, None),
    ],
)
def test_charsets(content_type: str | None, charset: str | None) -> None:
    assert charset_of(content_type) == charset
