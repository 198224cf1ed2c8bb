"""Requests that would be smuggled and frames that are wrong: no application sees them, the stream or the connection ends with a reason."""

from __future__ import annotations

import asyncio
import time

import pytest

from h2o_otel.limits import ServerLimits
from tests.support import backends, wire
from tests.support.siege import App, Attacker, post, request, siege
from tests.support.waiting import eventually
from tests.support.wire import block, data, headers, literal, ping, rst_stream, settings, window_update

pytestmark = backends.asyncio_only

LIMITS = ServerLimits(disconnect_grace_s=0.1)
METHOD, SCHEME, PATH, HOST = (b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/bad"), (b":authority", b"test.example")


def with_field(name: bytes, value: bytes) -> bytes:
    return block(METHOD, SCHEME, PATH, HOST, (name, value))


def with_path(path: bytes) -> bytes:
    return block(METHOD, SCHEME, (b":path", path), HOST)


def with_authority(authority: bytes, *more: tuple[bytes, bytes]) -> bytes:
    return block(METHOD, SCHEME, PATH, (b":authority", authority), *more)


MALFORMED: dict[str, bytes] = {
    "upper case": with_field(b"X-Bad", b"1"),
    "space in a name": with_field(b"x bad", b"1"),
    "colon in a name": with_field(b"x:bad", b"1"),
    "CR LF in a name": with_field(b"x\r\nhost", b"1"),
    "empty name": with_field(b"", b"1"),
    "CR LF in a value": with_field(b"x", b"1\r\nhost: evil"),
    "CR in a value": with_field(b"x", b"1\rfoo"),
    "LF in a value": with_field(b"x", b"1\nfoo"),
    "NUL in a value": with_field(b"x", b"1\0"),
    "space before a value": with_field(b"x", b" 1"),
    "tab after a value": with_field(b"x", b"1\t"),
    "connection": with_field(b"connection", b"close"),
    "keep-alive": with_field(b"keep-alive", b"1"),
    "proxy-connection": with_field(b"proxy-connection", b"close"),
    "transfer-encoding": with_field(b"transfer-encoding", b"chunked"),
    "upgrade": with_field(b"upgrade", b"h2c"),
    "te other than trailers": with_field(b"te", b"gzip"),
    "second method": block(METHOD, METHOD, SCHEME, PATH, HOST),
    "second path": block(METHOD, SCHEME, PATH, PATH, HOST),
    "second authority": block(METHOD, SCHEME, PATH, HOST, HOST),
    "status": block(METHOD, SCHEME, PATH, HOST, (b":status", b"200")),
    "unknown pseudo-header field": block(METHOD, SCHEME, PATH, HOST, (b":x", b"1")),
    "pseudo-header field after others": block(METHOD, SCHEME, (b"x", b"1"), PATH, HOST),
    "no method": block(SCHEME, PATH, HOST),
    "no scheme": block(METHOD, PATH, HOST),
    "no path": block(METHOD, SCHEME, HOST),
    "empty host alone": block(METHOD, SCHEME, PATH, (b"host", b"")),
    "two hosts alone": block(METHOD, SCHEME, PATH, (b"host", b"a"), (b"host", b"a")),
    "method that is no token": block((b":method", b"GE T"), SCHEME, PATH, HOST),
    "method with a line": block((b":method", b"GET / HTTP/1.1\r\nx: y"), SCHEME, PATH, HOST),
    "scheme that is none": block(METHOD, (b":scheme", b"http\0"), PATH, HOST),
    "empty path": with_path(b""),
    "path without slash": with_path(b"bad"),
    "absolute URL": with_path(b"http://evil/"),
    "star without OPTIONS": with_path(b"*"),
    "space in the path": with_path(b"/ HTTP/1.1"),
    "CR LF in the path": with_path(b"/\r\nx: y"),
    "fragment": with_path(b"/#x"),
    "DEL in the path": with_path(b"/\x7f"),
    "octets that are not ASCII in the path": with_path("/é".encode()),
    "user information": with_authority(b"user@test.example"),
    "space in the authority": with_authority(b"a b"),
    "path in the authority": with_authority(b"a/b"),
    "empty authority": with_authority(b""),
    "host that differs": with_authority(b"a", (b"host", b"b")),
    "two hosts": with_authority(b"a", (b"host", b"a"), (b"host", b"a")),
    "content-length with a sign": with_field(b"content-length", b"+0"),
    "content-length in hexadecimal": with_field(b"content-length", b"0x0"),
    "content-length as a list": with_field(b"content-length", b"0, 0"),
    "content-length without a number": with_field(b"content-length", b""),
    "two lengths": block(METHOD, SCHEME, PATH, HOST, (b"content-length", b"0"), (b"content-length", b"0")),
    "length without a body": with_field(b"content-length", b"5"),
    "CONNECT with a path": block((b":method", b"CONNECT"), SCHEME, PATH, HOST),
    ":protocol without the setting": block((b":method", b"CONNECT"), (b":protocol", b"websocket"), SCHEME, PATH, HOST),
}


async def test_malformed_requests_end_their_streams_alone(caplog: pytest.LogCaptureFixture) -> None:
    """All on one connection, each followed by a good request."""
    async with siege(caplog, limits=LIMITS, lines=8) as under:
        await under.attacker.greet()
        wanted = {}
        for n, bad in enumerate(MALFORMED.values()):
            wanted[4 * n + 1] = "PROTOCOL_ERROR"
            await under.attacker.send(headers(4 * n + 1, bad, end_stream=True), request(4 * n + 3))
        await under.attacker.until(lambda: len(under.attacker.answered()) == len(MALFORMED))
        found = under.attacker.resets()
        assert {name: found.get(4 * n + 1) for n, name in enumerate(MALFORMED)} == dict.fromkeys(MALFORMED, "PROTOCOL_ERROR")
        assert found == wanted
        assert "/bad" not in under.app.paths
        assert under.detected() == {}


BODIES: dict[str, bytes] = {
    "more than said": post(1, b"/read", (b"content-length", b"3")) + data(1, b"four"),
    "less than said": post(1, b"/read", (b"content-length", b"5")) + data(1, b"four", end_stream=True),
    "less, ended by trailers": post(1, b"/read", (b"content-length", b"5"))
    + data(1, b"four")
    + headers(1, block((b"x", b"y")), end_stream=True),
    "trailers with a pseudo-header field": post(1, b"/read") + headers(1, block((b":path", b"/")), end_stream=True),
    "trailers with content-length": post(1, b"/read") + headers(1, block((b"content-length", b"0")), end_stream=True),
    "trailers with host": post(1, b"/read") + headers(1, block((b"host", b"evil")), end_stream=True),
    "trailers with transfer-encoding": post(1, b"/read") + headers(1, block((b"transfer-encoding", b"chunked")), end_stream=True),
    "trailers that go on": post(1, b"/read") + headers(1, block((b"x", b"y"))),
}


@pytest.mark.parametrize("name", BODIES)
async def test_malformed_bodies_are_never_complete(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with siege(caplog, limits=LIMITS, lines=2) as under:
        await under.attacker.greet()
        await under.attacker.send(BODIES[name], request(3))
        await under.attacker.until(lambda: 3 in under.attacker.answered())
        assert under.attacker.resets() == {1: "PROTOCOL_ERROR"}
        assert 1 not in under.attacker.answered()


LONG_NAME = b"\x00" + wire.integer(100_000, 7) + b"x"
CONNECTION_ERRORS: dict[str, tuple[bytes, str]] = {
    "frame larger than the setting": (wire.frame(wire.DATA, 0, 1, length=2**24 - 1), "FRAME_SIZE_ERROR"),
    "frame one octet too large": (wire.frame(wire.HEADERS, 4, 1, length=16_385), "FRAME_SIZE_ERROR"),
    "unknown frame too large": (wire.frame(0xFA, 0, 1, length=2**24 - 1), "FRAME_SIZE_ERROR"),
    "PING of 7 octets": (wire.frame(wire.PING, 0, 0, bytes(7)), "FRAME_SIZE_ERROR"),
    "SETTINGS of 5 octets": (wire.frame(wire.SETTINGS, 0, 0, bytes(5)), "FRAME_SIZE_ERROR"),
    "SETTINGS with a wrong window": (settings({4: 2**31}), "FLOW_CONTROL_ERROR"),
    "SETTINGS with a wrong frame size": (settings({5: 0}), "PROTOCOL_ERROR"),
    "SETTINGS with a wrong push": (settings({2: 2}), "PROTOCOL_ERROR"),
    "acknowledgement of nothing": (wire.settings_ack(), "PROTOCOL_ERROR"),
    "DATA on stream 0": (data(0, b"x"), "PROTOCOL_ERROR"),
    "DATA on an idle stream": (data(1, b"x"), "PROTOCOL_ERROR"),
    "RST_STREAM on an idle stream": (rst_stream(1, 8), "PROTOCOL_ERROR"),
    "WINDOW_UPDATE on an idle stream": (window_update(1, 1), "PROTOCOL_ERROR"),
    "HEADERS on an even stream": (headers(2, with_path(b"/bad"), end_stream=True), "PROTOCOL_ERROR"),
    "stream ids that go back": (request(3) + request(1, b"/bad"), "PROTOCOL_ERROR"),
    "PUSH_PROMISE of a client": (wire.push_promise(1, 2, with_path(b"/bad")), "PROTOCOL_ERROR"),
    "CONTINUATION without a block": (wire.continuation(1, b""), "PROTOCOL_ERROR"),
    "PING inside a block": (headers(1, b"", end_headers=False) + ping(), "PROTOCOL_ERROR"),
    "padding longer than the frame": (post(1, b"/hold") + wire.frame(wire.DATA, 8, 1, b"\xff"), "PROTOCOL_ERROR"),
    "window of 0 for the connection": (window_update(0, 0), "PROTOCOL_ERROR"),
    "window of the connection overflows": (window_update(0, 2**31 - 1), "FLOW_CONTROL_ERROR"),
    "more DATA than the window": (
        b"".join(post(n, b"/hold") + data(n, bytes(16_384)) * 16 for n in (1, 3, 5, 7, 9)),
        "FLOW_CONTROL_ERROR",
    ),
    "integer without an end": (headers(1, b"\x7f" + b"\xff" * 10, end_stream=True), "COMPRESSION_ERROR"),
    "integer beyond 2^32": (headers(1, b"\x7f\xff\xff\xff\xff\xff\x7f", end_stream=True), "COMPRESSION_ERROR"),
    "string longer than its block": (headers(1, LONG_NAME, end_stream=True), "COMPRESSION_ERROR"),
    "index beyond the table": (headers(1, b"\xff\x80\x01", end_stream=True), "COMPRESSION_ERROR"),
    "index 0": (headers(1, b"\x80", end_stream=True), "COMPRESSION_ERROR"),
    "Huffman EOS": (headers(1, b"\x00\x84\xff\xff\xff\xff\x00", end_stream=True), "COMPRESSION_ERROR"),
    "Huffman padding of 0": (headers(1, b"\x00\x81\x00\x00", end_stream=True), "COMPRESSION_ERROR"),
    "table larger than ours": (headers(1, b"\x3f\xe2\x1f\x82", end_stream=True), "COMPRESSION_ERROR"),
    "three table sizes": (headers(1, b"\x20\x20\x20", end_stream=True), "COMPRESSION_ERROR"),
    "table size after a field": (headers(1, literal(b"a", b"b") + b"\x20", end_stream=True), "COMPRESSION_ERROR"),
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
async def test_connection_error_is_told_once_and_nothing_more_is_parsed(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """CVE-2026-27135: what stands behind the fault is not looked at."""
    octets, code = CONNECTION_ERRORS[name]
    async with siege(caplog, limits=LIMITS, lines=5) as under:
        await under.attacker.greet()
        await under.attacker.send(octets + request(11, b"/after") + octets)
        await under.attacker.closed()
        assert not under.attacker.cut
        assert [frame.type for frame in under.attacker.frames].count(wire.GOAWAY) == 1
        assert under.attacker.goaway()[0] == code
        assert under.attacker.goaway()[1]
        assert "/after" not in under.app.paths
        assert "/bad" not in under.app.paths


async def test_streams_beyond_the_limit_are_refused_and_may_be_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    async with siege(caplog, limits=LIMITS, lines=5) as under:
        await under.attacker.greet()
        await under.attacker.send(*(request(n, b"/wait") for n in range(1, 500, 2)))
        await under.attacker.send(*(request(n) for n in range(501, 521, 2)))
        await under.attacker.until(lambda: len(under.attacker.resets()) == 10)
        assert under.attacker.resets() == dict.fromkeys(range(501, 521, 2), "REFUSED_STREAM")
        assert under.app.running == 250
        await under.attacker.send(rst_stream(1, 8), request(521))
        await under.attacker.until(lambda: 521 in under.attacker.answered())


async def test_handlers_that_outlive_their_streams_keep_their_limit(caplog: pytest.LogCaptureFixture) -> None:
    """Rapid reset against an application that takes its time: what runs is bounded, not only what is open."""
    async with siege(caplog, limits=ServerLimits(running_handlers_max=10, disconnect_grace_s=1.0), lines=3) as under:
        await under.attacker.greet()
        for n in range(1, 400, 2):
            await under.attacker.send(request(n, b"/hold"))
            if n < 20:  # Ten begin before they are cancelled, and keep their places.
                await eventually(lambda n=n: under.app.paths.count("/hold") > n // 2)
            await under.attacker.send(rst_stream(n, 8))
        assert 10 <= under.app.paths.count("/hold") < 200
        assert under.app.most <= 11
        await under.attacker.send(request(401))
        await under.attacker.until(lambda: 401 in under.attacker.answered())


async def test_many_faulty_connections_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """One line per connection, and ten a second for all of them; the next one says how many were left out."""
    began = time.monotonic()
    async with siege(caplog, limits=LIMITS, lines=1000) as under:
        for _ in range(10):
            attackers = [await Attacker().connect(under.port) for _ in range(10)]
            for attacker in attackers:
                await attacker.send(wire.PREFACE + settings() + data(0, b"x"))
            for attacker in attackers:
                await attacker.closed()
                assert attacker.goaway()[0] == "PROTOCOL_ERROR"
                await attacker.close()
    lines = [record for record in caplog.records if getattr(record, "h2o_event", "") == "h2o.connection.failed"]
    assert len(lines) <= 11 + 10 * (time.monotonic() - began)


async def test_client_that_vanishes_in_every_phase_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async with siege(caplog, limits=LIMITS, lines=0) as under:
        for octets in (b"", wire.PREFACE[:10], wire.PREFACE, wire.PREFACE + settings(), wire.PREFACE + settings() + request(1)[:20]):
            attacker = await Attacker().connect(under.port)
            await attacker.send(octets)
            await asyncio.sleep(0.01)
            await attacker.close()
        assert isinstance(under.app, App)
