"""Acts: events that a steady load does not cause, each at its own interval.

They fill the stream limit and the windows, roll connections, and meet peers that misbehave; an act
knows how each of its requests has to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

from ..client import Timeout
from ..errors import ConnectError, PoolTimeout, RemoteProtocolError, TimeoutException, TransportError
from ..frames.types import Flag, FrameType, SettingCode
from ..limits import Limits
from .peers import OK_BLOCK, PATIENCE_S, FrameClient, FrameServer, Visit, frame, request_block, window_update
from .stage import Stage

__all__ = ["ACTS", "Act"]

BURST = 160
DOWNLOAD_BYTES = 4_194_304
UPLOAD_BYTES = 1_048_576
# Between the buffers of two sockets on loopback there is room for some MiB.
FLOODED_BYTES = 16_777_216
# More than EngineLimits.resets_received_burst and EngineLimits.pings_burst.
RESETS = 1200
PINGS = 300
CROWD = 10


async def _burst(stage: Stage) -> None:
    """More requests at once than the peer allows streams: the others wait for a stream."""
    answers = await asyncio.gather(*(stage.client.get(f"{stage.url}/slow?seconds=0.05") for _ in range(BURST)))
    stage.expect(all(answer.status_code == 200 for answer in answers), "burst")


async def _narrow(stage: Stage) -> None:
    """Small windows and slow readers: streams and the connection run out of credit."""
    limits = Limits(stream_window_bytes=65_535, connection_window_bytes=131_072, window_bytes_max=131_072)
    async with stage.make_client(limits) as client:

        async def read() -> int:
            size = 0
            async with client.stream("GET", f"{stage.url}/report?bytes=524288") as response:
                async for part in response.aiter_raw():
                    size += len(part)
                    await asyncio.sleep(0.002)
            return size

        stage.expect(await asyncio.gather(*(read() for _ in range(4))) == [524_288] * 4, "narrow windows")


async def _pressed(stage: Stage) -> None:
    """Uploads faster than the application reads: the client runs out of credit, on streams and on the connection."""
    body = b"u" * UPLOAD_BYTES
    async with stage.make_client() as client:
        answers = await asyncio.gather(*(client.post(f"{stage.url}/upload?pause=0.005", content=body) for _ in range(4)))
    stage.expect(all(answer.json() == {"received": UPLOAD_BYTES} for answer in answers), "pressed")


async def _two_ways(stage: Stage) -> None:
    """Sends, reads, sends: the request's body answers the response's."""
    turns: asyncio.Queue[bytes] = asyncio.Queue()

    async def sent() -> AsyncIterator[bytes]:
        while part := await turns.get():
            yield part

    heard = 0
    turns.put_nowait(b"ping")
    async with stage.client.stream("POST", f"{stage.url}/echo", content=sent()) as response:
        async for part in response.aiter_raw():
            heard += len(part)
            turns.put_nowait(b"ping" if heard < 40 else b"")
    stage.expect(heard == 40, "two ways")


async def _distrust(stage: Stage) -> None:
    """A client that does not know the demo's authority."""
    async with stage.make_client(verify=True) as client:
        try:
            await client.get(f"{stage.url}/")
        except ConnectError:
            stage.wanted["distrusted"] += 1
        else:
            stage.expect(False, "distrust")


# -- clients that misbehave


def _faults() -> list[tuple[str, bytes, str]]:
    """Faults that end a connection: name, bytes after the preface, the expected error code of GOAWAY."""
    ended = Flag.END_HEADERS | Flag.END_STREAM
    block = request_block("/items/1")
    resets = b"".join(
        frame(FrameType.HEADERS, ended, n, block) + frame(FrameType.RST_STREAM, 0, n, b"\x00\x00\x00\x08") for n in range(1, 2 * RESETS, 2)
    )
    return [
        ("ping of seven octets", frame(FrameType.PING, 0, 0, b"1234567"), "FRAME_SIZE_ERROR"),
        ("index beyond the table", frame(FrameType.HEADERS, ended, 1, b"\xff\xff\x7f"), "COMPRESSION_ERROR"),
        ("window beyond its limit", window_update(2**31 - 1), "FLOW_CONTROL_ERROR"),
        ("data on stream 0", frame(FrameType.DATA, 0, 0, b"x"), "PROTOCOL_ERROR"),
        ("ping flood", frame(FrameType.PING, 0, 0, b"12345678") * PINGS, "ENHANCE_YOUR_CALM"),
        ("rapid reset", resets, "ENHANCE_YOUR_CALM"),
    ]


async def _rude_clients(stage: Stage) -> None:
    """Clients that violate a rule or flood; the server must end each with the right error code."""
    for name, octets, code in _faults():
        async with stage.frame_client() as peer:
            peer.preface()
            peer.write(octets)
            answer = await peer.goodbye()
        stage.expect(answer == code, f"{name}: GOAWAY {answer or 'missing'}")
        stage.wanted["shown out"] += 1


async def _odd_client(stage: Stage) -> None:
    """A client that sends unusual but valid frames: padding, priorities, CONTINUATION, unknown types, trailers."""
    async with stage.frame_client() as peer:
        peer.preface({SettingCode.ENABLE_PUSH: 0, SettingCode.HEADER_TABLE_SIZE: 1024, SettingCode.MAX_CONCURRENT_STREAMS: 10})
        block = request_block("/upload", peer.scheme, method=3)
        peer.write(frame(0x42, 0, 0, b"from the future") + frame(FrameType.PRIORITY, 0, 1, b"\x00\x00\x00\x00\x0f"))
        peer.write(frame(FrameType.PRIORITY_UPDATE, 0, 0, b"\x00\x00\x00\x01u=2, i"))
        peer.write(frame(FrameType.HEADERS, Flag.PADDED, 1, b"\x10" + block[:5] + bytes(16)))
        peer.write(frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1, block[5:]))
        peer.write(frame(FrameType.DATA, Flag.PADDED, 1, b"\x20" + b"d" * 2000 + bytes(32)))
        peer.write(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, b"\x00\x0ax-checksum\x02ok"))
        # A fault of one stream: an upper-case field name (RFC 9113 section 8.2.1).
        peer.write(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 3, request_block("/", peer.scheme) + b"\x00\x01X\x01x"))
        stage.expect(await peer.until(FrameType.RST_STREAM, 3) is not None, "odd client: stream 3")
        # Forty new entries of 170 octets each, in a table of 4096.
        entries = b"".join(b"\x40\x05x-odd\x7e" + b"%0126d" % n for n in range(40))
        peer.write(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 5, request_block("/", peer.scheme) + entries))
        stage.expect(await peer.until(FrameType.HEADERS, 5) is not None, "odd client: stream 5")
        # A proxy's health check: GET / of no site (indexes of RFC 7541 appendix A).
        check = b"\x82\x84" + (b"\x87" if peer.scheme == "https" else b"\x86")
        peer.write(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 7, check))
        stage.expect(await peer.until(FrameType.HEADERS, 7) is not None, "odd client: stream 7")
        peer.write(frame(FrameType.PING, 0, 0, b"how long"))
        stage.expect(await peer.until(FrameType.PING) is not None, "odd client: PING")
        peer.write(frame(FrameType.GOAWAY, 0, 0, bytes(8)))


async def _stuffed(stage: Stage) -> None:
    """Opens every window and then does not read its socket: the transport fills, and the producer waits."""
    async with stage.frame_client() as peer:
        peer.preface({SettingCode.INITIAL_WINDOW_SIZE: 2 * FLOODED_BYTES})
        peer.write(window_update(2 * FLOODED_BYTES))
        path = f"/report?bytes={FLOODED_BYTES}"
        peer.write(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, request_block(path, peer.scheme)))
        await asyncio.sleep(1.0)
        size = 0
        while (found := await peer.until(FrameType.DATA, 1)) is not None:
            size += len(found.payload)
            if found.flags & Flag.END_STREAM:
                break
    stage.expect(size == FLOODED_BYTES, "stuffed")


async def _strangers(stage: Stage) -> None:
    """Connections without HTTP/2: no ALPN, no TLS."""
    # The end of such a handshake is an end of file or an error of TLS, by the time at which it comes.
    with suppress(OSError):
        async with FrameClient(stage.url, stage.context()) as peer:
            stage.expect(await peer.read() is None, "no ALPN")
    with suppress(OSError):
        async with FrameClient(stage.url.replace("https:", "http:", 1), None) as peer:
            peer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await peer.read()
    stage.wanted["strangers"] += 1


async def _crowd(stage: Stage) -> None:
    """More connections than the stock service takes."""
    if stage.upstream is None:
        return
    async with AsyncExitStack() as stack:
        for _ in range(CROWD):
            # Connections beyond the limit are refused before their handshake.
            with suppress(OSError):
                peer = await stack.enter_async_context(FrameClient(stage.upstream, stage.context("h2")))
                peer.preface()
        await asyncio.sleep(0.05)
    stage.wanted["crowded"] += 1


# -- servers that misbehave


async def _silent(visit: Visit) -> None:
    """Answers the first request only."""
    visit.respond(await visit.request())
    while await visit.request():
        pass


async def _sleepy(visit: Visit) -> None:
    """Does not answer its second request, answers a PING, and answers the third request."""
    visit.respond(await visit.request())
    await visit.request()
    while stream_id := await visit.request(pong=True):
        visit.respond(stream_id)


async def _refusing(visit: Visit) -> None:
    """The first request is refused, the next is answered."""
    visit.write(frame(FrameType.RST_STREAM, 0, await visit.request(), b"\x00\x00\x00\x07"))
    while stream_id := await visit.request():
        visit.respond(stream_id)


async def _leaving(visit: Visit) -> None:
    """The first connection sends GOAWAY without processing its request."""
    stream_id = await visit.request()
    if visit.number == 1:
        visit.write(frame(FrameType.GOAWAY, 0, 0, bytes(8)))
        return
    visit.respond(stream_id)
    await visit.request()


async def _dropping(visit: Visit) -> None:
    """The first connection closes during its second request."""
    visit.respond(await visit.request())
    stream_id = await visit.request()
    if visit.number > 1 and stream_id:
        visit.respond(stream_id)
        await visit.request()


async def _babbling(visit: Visit) -> None:
    """Octets that are no frames of HTTP/2."""
    await visit.request()
    visit.write(frame(FrameType.WINDOW_UPDATE, 0, 0, b"\x00"))
    await visit.request()


async def _padding(visit: Visit) -> None:
    stream_id = await visit.request()
    visit.write(frame(FrameType.PING, 0, 0, b"how long"))
    visit.write(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.PADDED, stream_id, b"\x08" + OK_BLOCK + bytes(8)))
    visit.write(frame(FrameType.DATA, Flag.END_STREAM | Flag.PADDED, stream_id, b"\x40" + b"d" * 100 + bytes(64)))
    await visit.request()


async def _rude_servers(stage: Stage) -> None:
    """Faults of a server that the client must handle; every request ends with a response or a documented error."""
    async with FrameServer() as server:
        for name, script, times in (
            ("refusing", _refusing, 1),
            ("leaving", _leaving, 1),
            ("dropping", _dropping, 3),
            ("padding", _padding, 1),
        ):
            server.play(script)
            async with stage.make_client() as client:
                for _ in range(times):
                    stage.expect((await client.get(server.url + "/")).status_code == 200, name)
        server.play(_babbling)
        async with stage.make_client() as client:
            await _fails(stage, client.get(server.url + "/"), "babbling", RemoteProtocolError, TransportError)
        server.play(_sleepy)
        async with stage.make_client() as client:
            await client.get(server.url + "/")
            await _fails(stage, client.get(server.url + "/", timeout=Timeout(5.0, read=0.1)), "sleepy", TimeoutException)
            stage.expect((await client.get(server.url + "/")).status_code == 200, "sleepy")
        await _silence(stage, server)
        await _full(stage, server)


async def _silence(stage: Stage, server: FrameServer) -> None:
    """The server sends nothing: the request ends by its timeout, and an unanswered PING ends the connection."""
    server.play(_silent)
    async with stage.make_client(Limits(ping_timeout_s=0.2)) as client:
        await client.get(server.url + "/")
        await _fails(stage, client.get(server.url + "/", timeout=Timeout(5.0, read=0.2)), "silent", TimeoutException)
        until = asyncio.get_running_loop().time() + PATIENCE_S
        while any(pool["connections"] for pool in client.describe()):
            if asyncio.get_running_loop().time() > until:
                stage.expect(False, "silent: the connection lives")
                return
            await asyncio.sleep(0.05)


async def _full(stage: Stage, server: FrameServer) -> None:
    """One stream is allowed and in use: the next request ends by its pool timeout."""
    server.play(_silent, {SettingCode.MAX_CONCURRENT_STREAMS: 1})
    async with stage.make_client() as client:
        await client.get(server.url + "/")
        holder = asyncio.ensure_future(client.get(server.url + "/"))
        await asyncio.sleep(0)
        try:
            await _fails(stage, client.get(server.url + "/", timeout=Timeout(5.0, pool=0.1)), "full", PoolTimeout)
        finally:
            holder.cancel()
            await asyncio.wait([holder])


async def _fails(stage: Stage, request: Awaitable[object], name: str, *kinds: type[Exception]) -> None:
    """Await a request that has to fail."""
    try:
        await request
    except kinds as error:
        stage.wanted[f"{name}: {type(error).__name__}"] += 1
    else:
        stage.expect(False, name)


class Act(NamedTuple):
    """A task that runs ``first_s`` after the start and then every ``every_s`` seconds."""

    name: str
    run: Callable[[Stage], Awaitable[None]]
    first_s: float
    every_s: float


ACTS = (
    Act("two ways", _two_ways, 0.1, 2.0),
    Act("burst", _burst, 0.3, 5.0),
    Act("narrow windows", _narrow, 0.6, 6.0),
    Act("pressed", _pressed, 0.9, 7.0),
    Act("odd client", _odd_client, 1.1, 5.0),
    Act("strangers", _strangers, 1.2, 10.0),
    Act("distrust", _distrust, 1.3, 10.0),
    Act("rude servers", _rude_servers, 1.4, 20.0),
    Act("stuffed", _stuffed, 1.6, 15.0),
    Act("rude clients", _rude_clients, 2.0, 30.0),
    Act("crowd", _crowd, 2.2, 30.0),
)
