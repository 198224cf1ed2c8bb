from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from h2o_otel.client.content import encode_body
from h2o_otel.client.timeouts import USE_CLIENT_DEFAULT, Timeout, timeout_of
from h2o_otel.errors import LocalProtocolError, StreamConsumed


def made() -> Iterator[bytes]:
    yield b"1"


@pytest.mark.parametrize("content", [b"1", "1", bytearray(b"1"), memoryview(b"1"), [b"1"], (b"1",), io.BytesIO(b"1")])
def test_bodies_that_can_be_sent_twice(content: Any) -> None:
    body, _ = encode_body(content, None, None)
    for _ in range(2):
        assert body.replayable
        assert (body.data or b"".join(body.chunks())) == b"1"


def test_body_that_is_gone_once_read() -> None:
    body, fields = encode_body(made(), None, None)
    assert body.replayable
    assert list(body.chunks()) == [b"1"]
    assert (body.replayable, fields) == (False, [])
    with pytest.raises(StreamConsumed):
        body.chunks()


def test_mutable_content_is_copied() -> None:
    content = bytearray(b"before")
    body, _ = encode_body(content, None, None)
    content[:] = b"after!"
    assert body.data == b"before"


@pytest.mark.parametrize("content", [1, {"a": 1}, object()])
def test_what_is_no_body(content: Any) -> None:
    with pytest.raises(LocalProtocolError, match="content is of type"):
        encode_body(content, None, None)


def test_chunks_are_bytes() -> None:
    body, _ = encode_body(["text"], None, None)
    with pytest.raises(LocalProtocolError, match="yielded str"):
        list(body.chunks())


def test_timeouts() -> None:
    assert timeout_of(None) == Timeout(connect=None, read=None, write=None, pool=None, total=None)
    two = Timeout(2, read=3, total=9)
    assert (two.connect, two.read, two.write, two.pool, two.total) == (2, 3, 2, 2, 9)
    assert timeout_of(2).total is None
    assert Timeout(two, read=4) == Timeout(2, read=4, total=9)
    assert Timeout().connect == 5
    assert not USE_CLIENT_DEFAULT
    with pytest.raises(ValueError, match=r"Timeout\.read is -1"):
        Timeout(read=-1)
