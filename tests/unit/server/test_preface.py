"""The first octets of a cleartext connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from h2o_otel.limits import ServerLimits
from tests.support import backends, wire
from tests.support.peer import serving

pytestmark = backends.asyncio_loops


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def exchange(*pieces: bytes, **settings: Any) -> bytes:
    """What the server answers to ``pieces`` until it closes."""
    async with serving(app, **settings) as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0][:2])
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
        octets = await reader.read()
        writer.close()
        return octets


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.0\r\n\r\n",
        b"PUT / HTTP/1.1\r\n\r\n",
        b"PRX /\xc3\xa9 HTTP/1.1\n",
        b"m-search * HTTP/1.1\r\n",
        b"GET /" + b"x" * 8187,
    ],
)
async def test_http1_is_told_what_the_port_speaks(request_: bytes) -> None:
    answer = await exchange(request_)
    assert answer.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
    assert b"connection: close\r\n" in answer
    assert b"--http2-prior-knowledge" in answer


async def test_http1_in_pieces() -> None:
    answer = await exchange(b"G", b"ET / HT", b"TP/1.1\r", b"\n")
    assert answer.startswith(b"HTTP/1.1 505 ")


async def test_octet_by_octet_preface_begins_http2() -> None:
    block = wire.block((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"x"))
    octets = wire.PREFACE + wire.settings() + wire.settings_ack() + wire.headers(1, block, end_stream=True) + wire.goaway(0)
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0][:2])
        for octet in octets:
            writer.write(bytes([octet]))
            await asyncio.sleep(0)
        got = b""
        while not any(f.type == wire.DATA for f in wire.frames(got)):
            got += await reader.read(65_536)
        writer.close()
    assert [f.payload for f in wire.frames(got) if f.type == wire.DATA] == [b"ok"]


NEITHER = [
    b"\x16\x03\x01\x02\x00\x01",
    b"PRI * HTTP/3.0\r\n\r\n",
    b"\0\0\0\0\0\0\0\0\0",
    b"INVALID CONNECTION PREFACE\r\n\r\n",
    b"INVALID CONNECTION PREFACE",
    b"GET / HTTP/11.1",
    b"GET /\r\n",
    b"GET  / HTTP/1.1\r\n",
    b"HELO mail.example\r\n",
    b"\r\n",
    b"X" * 33,
]


@pytest.mark.parametrize("octets", NEITHER)
async def test_neither_protocol_gets_goaway(octets: bytes) -> None:
    frames = wire.frames(await exchange(octets))
    assert frames[-1].type == wire.GOAWAY
    assert frames[-1].payload[4:8] == b"\0\0\0\1"


async def test_silence_is_ended() -> None:
    assert await exchange(limits=ServerLimits(preface_timeout_s=0.3)) == b""
    assert await exchange(b"PR", limits=ServerLimits(preface_timeout_s=0.3)) == b""


async def test_silent_connection_does_not_hold_up_the_end() -> None:
    async with serving(app, timeout_graceful_shutdown=20.0) as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0][:2])
        await asyncio.sleep(0.02)
        server.stop()
        assert await reader.read() == b""
        writer.close()
