"""Our client against servers that mean it harm: every request ends in time, with a reason, and the next one is served elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

import h2o_otel
from h2o_otel import AsyncClient, Timeout, counters
from h2o_otel.limits import CLIENT_LIMITS
from tests.support import wire
from tests.support.hostile import Conn, Script, hostile
from tests.support.peers import Certificates
from tests.support.wire import continuation, data, frame, goaway, headers, ping, priority, push_promise, rst_stream, settings, window_update

TOTAL = Timeout(2.0, total=1.0)
# For what must come about in the end, on a busy machine, too.
PATIENT = Timeout(30.0)
LATE_S = 15.0
GROWTH_BYTES_MAX = 6_000_000
# Each replay of a request may find its new connection ended, and its own count goes on from there.
MADE_MAX = sum(range(1, CLIENT_LIMITS.retries_max + 2))
OK = wire.response_block(200)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def _lean() -> Iterator[None]:
    """Memory grows by no more than a few windows, whatever the server sends."""
    with hostile(lambda conn: None, lambda conn: None) as server, contextlib.suppress(h2o_otel.TransportError):
        # Whatever is imported on first use is in memory then.
        asyncio.run(once(server.url))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert grown < GROWTH_BYTES_MAX


async def once(url: str) -> None:
    async with AsyncClient() as client:
        await client.get(url, timeout=TOTAL)


async def failure(client: AsyncClient, url: str, kind: Any = h2o_otel.TransportError, limits: Any = PATIENT) -> Any:
    """The error of one GET, which must come in time and know its request."""
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        await client.get(url, timeout=limits)
    assert time.monotonic() - began < LATE_S
    assert caught.value.request.method == "GET"
    return caught.value


def after_request(act: Callable[[Conn, int], None], values: dict[int, int] | None = None) -> Script:
    """A server that greets, waits for a request, and then does ``act(conn, stream_id)``."""

    def script(conn: Conn) -> None:
        conn.greet(values)
        act(conn, conn.request())

    return script


async def recovered(client: AsyncClient, url: str) -> None:
    """The flooded connection is left, if not for the next request then for one of those that follow."""
    for _ in range(5):
        with contextlib.suppress(h2o_otel.TransportError):
            assert (await client.get(url, timeout=Timeout(5.0, total=5.0))).content == b"ok"
            return
    pytest.fail("no request after the flood was answered")


# -- floods and drips

FLOODS: dict[str, bytes] = {
    "informational responses": headers(1, wire.response_block(103, (b"link", b"x" * 1000))),
    "pings": ping(),
    "settings": settings({4: 65_535}),
    "empty data": data(1),
    "data of padding": data(1, padding=255),
    "tiny data": data(1, b"x"),
    "window updates": window_update(1, 1),
    "priorities": priority(1, 3),
    "unknown frames": frame(0xFA, 0, 1, bytes(100)),
    "trailers that do not end": headers(1, wire.block((b"x", b"y" * 1000))),
    "answers to pings that were not sent": ping(ack=True),
    "resets of streams long gone": rst_stream(1, 8),
    "GOAWAYs": goaway(2**31 - 1, 0, b"x" * 1000),
    "promises": push_promise(1, 2, wire.request_block()),
    "data beyond the window": data(1, bytes(16_384)),
}
BEGUN = {"empty data", "data of padding", "tiny data", "data beyond the window", "trailers that do not end"}


async def held_open(client: AsyncClient, url: str) -> None:
    """Read one piece of the body at most, and wait."""
    async with client.stream("GET", url, timeout=TOTAL) as response:
        await response.aiter_raw().__anext__()
        while response.exchange.error is None:  # noqa: ASYNC110 -- nothing is read any more
            await anyio.sleep(0.01)
        raise response.exchange.error


@pytest.mark.usefixtures("_lean")
@pytest.mark.parametrize("name", FLOODS)
async def test_flood_ends_inside_the_total_time(name: str) -> None:
    def act(conn: Conn, stream_id: int) -> None:
        if name in BEGUN:
            conn.send(headers(stream_id, OK))
        conn.flood(FLOODS[name])

    limits = replace(CLIENT_LIMITS, connection_window_bytes=1_048_576, stream_window_bytes=1_048_576)
    with hostile(after_request(act)) as server:
        async with AsyncClient(limits=limits) as client:
            began = time.monotonic()
            with pytest.raises(h2o_otel.TransportError) as caught:
                await held_open(client, server.url)
            assert time.monotonic() - began < LATE_S
            assert str(caught.value)
            await recovered(client, server.url)


DRIPS: dict[str, bytes] = {
    "octets of the body": data(1, b"."),
    "pings": ping(),
    "unknown frames": frame(0xFA, 0, 0, b""),
}


@pytest.mark.parametrize("name", DRIPS)
async def test_drip_ends_at_the_total_time(name: str) -> None:
    def act(conn: Conn, stream_id: int) -> None:
        conn.send(headers(stream_id, OK))
        conn.drip(DRIPS[name])

    with hostile(after_request(act)) as server:
        async with AsyncClient() as client:
            error = await failure(client, server.url, h2o_otel.TotalTimeout, Timeout(2.0, total=0.3))
            assert error.timeout_s == 0.3


async def test_head_that_never_comes_whole() -> None:
    """CONTINUATION, frame by frame, and then a frame octet by octet: no head, no read."""

    def blocks(conn: Conn, stream_id: int) -> None:
        conn.send(headers(stream_id, OK, end_headers=False))
        conn.drip(continuation(stream_id, b"", end_headers=False), 0.1)

    def octets(conn: Conn, stream_id: int) -> None:
        conn.send(frame(wire.HEADERS, 4, stream_id, length=16_000))
        conn.drip(b"\x00")

    for act in (blocks, octets):
        with hostile(after_request(act), after_request(act)) as server:
            async with AsyncClient() as client:
                await failure(client, server.url, (h2o_otel.ReadTimeout, h2o_otel.RemoteProtocolError), Timeout(30.0, read=0.3))
                await failure(client, server.url, h2o_otel.TransportError, Timeout(2.0, total=0.3))


async def test_informational_drip_does_not_put_off_the_read_timeout() -> None:
    def act(conn: Conn, stream_id: int) -> None:
        conn.drip(headers(stream_id, wire.response_block(102)), 0.1)

    with hostile(after_request(act)) as server:
        async with AsyncClient() as client:
            await failure(client, server.url, h2o_otel.ReadTimeout, Timeout(30.0, read=0.4))


# -- bombs


@pytest.mark.usefixtures("_lean")
async def test_header_bomb_is_that_requests_error() -> None:
    def act(conn: Conn, stream_id: int) -> None:
        big = b"\x40" + wire.integer(1, 7) + b"x" + wire.integer(3900, 7) + bytes([65]) * 3900
        conn.send(headers(stream_id, OK + big + b"\xbe" * 3000, end_stream=True))
        conn.serve()

    with hostile(after_request(act)) as server:
        async with AsyncClient() as client:
            error = await failure(client, server.url, h2o_otel.StreamReset)
            assert error.rule == "header_list_too_large"
            assert (await client.get(server.url, timeout=PATIENT)).content == b"ok"
            assert len(server.connections) == 1


async def test_compressed_bomb_is_found_before_it_is_in_memory() -> None:
    bomb = gzip.compress(bytes(30_000_000))

    def act(conn: Conn, stream_id: int) -> None:
        conn.send(headers(stream_id, wire.response_block(200, (b"content-encoding", b"gzip"))))
        conn.send(*(data(stream_id, bomb[i : i + 16_384]) for i in range(0, len(bomb), 16_384)), data(stream_id, end_stream=True))
        conn.serve()

    with hostile(after_request(act)) as server:
        async with AsyncClient() as client:
            tracemalloc.start()
            error = await failure(client, server.url, h2o_otel.LimitExceeded)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert error.limit_name == "decompress_ratio_max"
            assert peak < 100 * len(bomb) + 4_000_000
            assert (await client.get(server.url, timeout=PATIENT)).content == b"ok"


# -- truncation


def cut_off(how: str) -> Script:
    def act(conn: Conn, stream_id: int) -> None:
        conn.send(headers(stream_id, OK), data(stream_id, b"half"))
        if how == "reset":
            conn.reset()
        elif how == "inside a frame":
            conn.send(frame(wire.DATA, 1, stream_id, b"x", length=10))
        elif how == "GOAWAY first":
            conn.send(goaway(stream_id, 0))

    return after_request(act)


@pytest.mark.parametrize("how", ["FIN", "reset", "inside a frame", "GOAWAY first"])
async def test_body_without_its_end_is_an_error(how: str) -> None:
    with hostile(cut_off(how)) as server:
        async with AsyncClient() as client:
            await failure(client, server.url, h2o_otel.ReadError)
            assert (await client.get(server.url, timeout=PATIENT)).content == b"ok"


@pytest.mark.parametrize("notify", [True, False])
async def test_tls_that_ends_early_is_an_error(notify: bool, certificates: Certificates) -> None:
    def act(conn: Conn, stream_id: int) -> None:
        conn.send(headers(stream_id, OK), data(stream_id, b"half"))
        if notify:
            conn.sock.unwrap()

    with hostile(after_request(act), context=certificates.context()) as server:
        async with AsyncClient(verify=certificates.ca) as client:
            await failure(client, server.url, h2o_otel.ReadError)
            assert (await client.get(server.url, timeout=PATIENT)).content == b"ok"


# -- SETTINGS, limits, replays

BAD_SETTINGS: dict[str, tuple[bytes, int]] = {
    "MAX_FRAME_SIZE 0": (settings({5: 0}), 1),
    "MAX_FRAME_SIZE 2^24": (settings({5: 2**24}), 1),
    "INITIAL_WINDOW_SIZE 2^31": (settings({4: 2**31}), 3),
    "ENABLE_PUSH of a server": (settings({2: 1}), 1),
    "ENABLE_CONNECT_PROTOCOL 2": (settings({8: 2}), 1),
    "five octets": (frame(wire.SETTINGS, 0, 0, bytes(5)), 6),
    "on a stream": (frame(wire.SETTINGS, 0, 1), 1),
    "33 entries": (settings({0xF000 + n: 1 for n in range(33)}), 11),
    "PING before them": (ping(), 1),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
async def test_bad_settings_end_the_connection_with_a_reason(name: str) -> None:
    octets, code = BAD_SETTINGS[name]

    def script(conn: Conn) -> None:
        conn.send(octets)
        conn.until_hung_up()

    with hostile(script, script) as server:
        async with AsyncClient() as client:
            # The first of them may be known before the request is sent: then another connection is tried.
            error = await failure(client, server.url, (h2o_otel.RemoteProtocolError, h2o_otel.ConnectError))
            assert "RFC 9113" in str(error) or "RFC 8441" in str(error)
        assert {conn.goaway_code() for conn in server.connections} == {code}


async def test_no_streams_allowed_is_a_pool_timeout() -> None:
    def script(conn: Conn) -> None:
        conn.greet({3: 0})
        conn.until_hung_up()

    with hostile(script, script) as server:
        async with AsyncClient() as client:
            # The first request may be on its way before SETTINGS are here.
            await failure(client, server.url, (h2o_otel.PoolTimeout, h2o_otel.ReadTimeout), Timeout(30.0, read=0.3, pool=0.3))
            error = await failure(client, server.url, h2o_otel.PoolTimeout, Timeout(30.0, read=0.3, pool=0.3))
            assert "the peer allows 0" in str(error)


def refuses(conn: Conn) -> None:
    conn.greet()
    while True:
        conn.send(rst_stream(conn.request(), 7))


def goes_away(conn: Conn) -> None:
    conn.greet()
    conn.request()
    conn.send(goaway(0, 0))
    conn.until_hung_up()


def leaves_at_once(conn: Conn) -> None:
    conn.send(settings(), goaway(0, 0))


def hangs_up(conn: Conn) -> None:
    return


@pytest.mark.parametrize("script", [refuses, goes_away, leaves_at_once, hangs_up])
async def test_replays_end(script: Script) -> None:
    with hostile(script, script) as server:
        async with AsyncClient() as client:
            for _ in range(2):
                before = sum(retries().values())
                await failure(client, server.url, h2o_otel.TransportError)
                assert sum(retries().values()) - before <= CLIENT_LIMITS.retries_max
        assert len(server.connections) <= 2 * MADE_MAX


@pytest.mark.parametrize("script", [leaves_at_once, hangs_up])
async def test_replays_end_with_tls(script: Script, certificates: Certificates) -> None:
    """After the handshake nothing is sent before the peer's end is here."""
    with hostile(script, script, certificates.context()) as server:
        async with AsyncClient(verify=certificates.ca) as client:
            await failure(client, server.url, h2o_otel.TransportError)
        assert len(server.connections) <= MADE_MAX


def retries() -> dict[Any, int]:
    return dict(counters.collect().labelled.get("pool_retries", {}))


# -- malformed responses

FIRST = (b":status", b"200")
MALFORMED: dict[str, bytes] = {
    "CR LF in a value": wire.block(FIRST, (b"x", b"1\r\nset-cookie: evil")),
    "LF in a value": wire.block(FIRST, (b"x", b"1\n2")),
    "NUL in a value": wire.block(FIRST, (b"x", b"1\0")),
    "space at the edge of a value": wire.block(FIRST, (b"x", b" 1")),
    "upper case": wire.block(FIRST, (b"X", b"1")),
    "empty name": wire.block(FIRST, (b"", b"1")),
    "no status": wire.block((b"x", b"1")),
    "two statuses": wire.block(FIRST, FIRST),
    "status after a field": wire.block((b"x", b"1"), FIRST),
    "status 99": wire.block((b":status", b"99")),
    "status 600": wire.block((b":status", b"600")),
    "status 1000": wire.block((b":status", b"1000")),
    "status +20": wire.block((b":status", b"+20")),
    "status 101": wire.block((b":status", b"101")),
    "empty status": wire.block((b":status", b"")),
    "a request's field": wire.block(FIRST, (b":path", b"/")),
    "unknown pseudo-header field": wire.block(FIRST, (b":x", b"1")),
    "connection": wire.block(FIRST, (b"connection", b"close")),
    "transfer-encoding": wire.block(FIRST, (b"transfer-encoding", b"chunked")),
    "length that is no number": wire.block(FIRST, (b"content-length", b"1x")),
    "two lengths": wire.block(FIRST, (b"content-length", b"0"), (b"content-length", b"0")),
    "length without a body": wire.block(FIRST, (b"content-length", b"5")),
    "informational that ends the stream": wire.block((b":status", b"103")),
}


async def test_malformed_responses_are_errors_of_their_requests() -> None:
    """All on one connection, with a good answer after each."""

    def script(conn: Conn) -> None:
        conn.greet()
        for bad in MALFORMED.values():
            conn.send(headers(conn.request(), bad, end_stream=True))
            conn.ok(conn.request())
        conn.until_hung_up()

    with hostile(script) as server:
        async with AsyncClient() as client:
            for name in MALFORMED:
                with pytest.raises(h2o_otel.RemoteProtocolError) as caught:
                    await client.get(server.url, timeout=PATIENT)
                assert caught.value.scope == "stream", name
                assert caught.value.initiator == "local", name
                assert (await client.get(server.url, timeout=PATIENT)).content == b"ok"
        assert len(server.connections) == 1


BODIES: dict[str, list[bytes]] = {
    "shorter than said": [headers(1, wire.response_block(200, (b"content-length", b"9"))), data(1, b"half", end_stream=True)],
    "longer than said": [headers(1, wire.response_block(200, (b"content-length", b"2"))), data(1, b"half", end_stream=True)],
    "shorter, with trailers": [
        headers(1, wire.response_block(200, (b"content-length", b"9"))),
        data(1, b"half"),
        headers(1, wire.block((b"x", b"y")), end_stream=True),
    ],
    "body before the head": [data(1, b"half", end_stream=True)],
    "body after a 103": [headers(1, wire.response_block(103)), data(1, b"half", end_stream=True)],
    "trailers with a status": [headers(1, OK), data(1, b"half"), headers(1, OK, end_stream=True)],
    "trailers that go on": [headers(1, OK), data(1, b"half"), headers(1, wire.block((b"x", b"y")))],
    "window of 0": [headers(1, OK), window_update(1, 0)],
    "window overflow": [headers(1, OK), window_update(1, 2**31 - 1)],
}


@pytest.mark.parametrize("name", BODIES)
async def test_malformed_bodies_never_look_complete(name: str) -> None:
    def act(conn: Conn, stream_id: int) -> None:
        conn.send(*BODIES[name])
        conn.serve()

    with hostile(after_request(act)) as server:
        async with AsyncClient() as client:
            error = await failure(client, server.url, h2o_otel.RemoteProtocolError)
            assert error.scope == "stream"
            assert (await client.get(server.url, timeout=PATIENT)).content == b"ok"
        assert len(server.connections) == 1


CONNECTION_ERRORS: dict[str, bytes] = {
    "promise that nobody asked for": push_promise(1, 2, wire.request_block()),
    "response on an even stream": headers(2, OK, end_stream=True),
    "response on a stream that is not open": headers(7, OK, end_stream=True),
    "frame larger than the setting": frame(wire.DATA, 0, 1, length=2**24 - 1),
    "window of the connection overflows": window_update(0, 2**31 - 1),
    "index beyond the table": headers(1, b"\xff\x80\x01", end_stream=True),
    "GOAWAY that raises the last stream": goaway(1) + goaway(3),
    "priority update of a server": wire.priority_update(1, b"u=1"),
    "HTTP/1.1": b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
    "octets without sense": bytes(range(256)) * 80,
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
async def test_connection_error_names_its_rule_and_is_told_to_the_server(name: str) -> None:
    def act(conn: Conn, stream_id: int) -> None:
        conn.send(CONNECTION_ERRORS[name])
        conn.until_hung_up()

    with hostile(after_request(act)) as server:
        async with AsyncClient() as client:
            error = await failure(client, server.url, h2o_otel.RemoteProtocolError)
            assert error.scope == "connection"
            assert error.rule
            assert (await client.get(server.url, timeout=PATIENT)).content == b"ok"
        assert server.connections[0].goaway_code()


# -- ALPN and servers of other protocols


def speaks_http1(conn: Conn) -> None:
    conn.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    conn.until_hung_up()


@pytest.mark.parametrize("secure", [True, False])
async def test_http1_server_is_named_in_the_error(secure: bool, certificates: Certificates) -> None:
    """One that agreed on h2 and speaks HTTP/1.1, and a cleartext one that knows nothing else."""
    with hostile(speaks_http1, speaks_http1, certificates.context() if secure else None) as server:
        async with AsyncClient(verify=certificates.ca) as client:
            # Known before the request is sent, another connection is tried, and another.
            error = await failure(client, server.url, (h2o_otel.RemoteProtocolError, h2o_otel.ConnectError))
            assert "HTTP/1" in str(error)


@pytest.mark.parametrize("alpn", [("http/1.1",), ()])
async def test_server_that_does_not_agree_on_h2(alpn: tuple[str, ...], certificates: Certificates) -> None:
    context = certificates.context(("http/1.1",))
    if not alpn:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.issued.certificate, certificates.issued.key)
    with hostile(speaks_http1, speaks_http1, context) as server:
        async with AsyncClient(verify=certificates.ca) as client:
            error = await failure(client, server.url, h2o_otel.ConnectError)
            assert "h2" in str(error)
        assert all(not conn.frames for conn in server.connections)


async def test_flood_on_an_idle_connection_costs_no_request() -> None:
    def act(conn: Conn, stream_id: int) -> None:
        conn.ok(stream_id)
        conn.flood(ping())

    with hostile(after_request(act)) as server:
        async with AsyncClient() as client:
            assert (await client.get(server.url, timeout=PATIENT)).content == b"ok"
            await anyio.sleep(0.1)
            assert (await client.get(server.url, timeout=PATIENT)).content == b"ok"
