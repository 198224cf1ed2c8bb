"""What a request made is gone when it is over, however it ended, on both sides.

Most of it is gone without the garbage collector: an error that a client keeps has no traceback, since that
has the frames of who reads the response, and so the response.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from h2o_otel import AsyncClient, Limits, ServerLimits, Timeout
from h2o_otel.server.config import ServerConfig
from h2o_otel.server.server import Server
from h2o_otel.telemetry import configure
from tests.support import backends, wire
from tests.support.leftovers import alive, collecting
from tests.support.peers import Peer, PeerServer, path_of, serving
from tests.support.waiting import eventually

TIMES = 6
# Enough for one connection of the warm-up, and the last stream of another.
SPARE = 4


class Ending(Peer):
    """Ends each response as its path says."""

    def ended(self, stream_id: int) -> None:
        path = path_of(self, stream_id).decode()[1:]
        if path in ("half", "half-reset", "half-lost", "half-goaway"):
            self.head(stream_id)
            self.body(stream_id, b"part")
        if path == "ok":
            self.respond(stream_id, b"x" * 100)
        elif path.isdecimal():
            self.respond(stream_id, b"", int(path), fields=[(b"location", b"/ok")])
        elif path == "garbage":
            self.respond(stream_id, b"garbage", fields=[(b"content-encoding", b"gzip")])
        elif path == "malformed":
            self.raw(wire.headers(stream_id, b"\x00\x01A\x01a", end_stream=True))
        elif path.endswith("reset"):
            self.reset(stream_id, 2)
        elif path.endswith("lost"):
            self.hang_up()
        elif path.endswith("goaway"):
            self.raw(wire.goaway(stream_id if "half" in path else 0, 9))
            self.hang_up()


async def get(client: AsyncClient, url: str) -> None:
    response = await client.get(url, timeout=0.02)
    assert response.text is not None
    assert None not in (response.headers, response.request, response.elapsed, response.timings)
    response.raise_for_status()


async def in_total(client: AsyncClient, url: str) -> None:
    await client.get(url, timeout=Timeout(5.0, total=0.02))


async def read(client: AsyncClient, url: str) -> None:
    async with client.stream("GET", url, timeout=0.02) as response:
        await response.aread()


async def read_pieces(client: AsyncClient, url: str) -> None:
    async with client.stream("GET", url, timeout=0.02) as response:
        async for _ in response.aiter_bytes():
            pass


async def read_lines(client: AsyncClient, url: str) -> None:
    async with client.stream("GET", url, timeout=0.02) as response:
        async for _ in response.aiter_lines():
            pass


async def leave(client: AsyncClient, url: str) -> None:
    async with client.stream("GET", url, timeout=0.02) as response:
        async for _ in response.aiter_bytes():
            break


async def leave_by_error(client: AsyncClient, url: str) -> None:
    async with client.stream("GET", url, timeout=0.02):
        raise ZeroDivisionError


async def drop(client: AsyncClient, url: str) -> None:
    response = await client.send(client.build_request("GET", url, timeout=0.02), stream=True)
    del response


async def cancel(client: AsyncClient, url: str, do: Callable[[AsyncClient, str], Awaitable[None]] = get) -> None:
    task = asyncio.ensure_future(do(client, url))
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    await task


async def cancel_reading(client: AsyncClient, url: str) -> None:
    begun = asyncio.Event()

    async def one(client: AsyncClient, url: str) -> None:
        async with client.stream("GET", url) as response:
            begun.set()
            await response.aread()

    task = asyncio.ensure_future(one(client, url))
    waiting = asyncio.ensure_future(begun.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    task.cancel()
    await task


async def upload(client: AsyncClient, url: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"a" * 1000

    await client.post(url, content=pieces(), timeout=0.02)


async def upload_that_fails(client: AsyncClient, url: str) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a"
        raise ZeroDivisionError

    await client.post(url, content=pieces())


async def invalid(client: AsyncClient, url: str) -> None:
    await client.get(url, headers={"no name": "x"})


async def nobody(client: AsyncClient, url: str) -> None:
    await client.get("http://127.0.0.1:1/")


async def ends(do: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    with suppress(Exception, asyncio.CancelledError):
        await do(*arguments)


async def assert_nothing_survives(once: Callable[[], Awaitable[None]], collector: bool) -> None:
    for _ in range(2):
        await once()
    await asyncio.sleep(0.02)
    with collecting(collector):
        before = alive()
        for _ in range(TIMES):
            await once()

        def gone() -> bool:
            if collector:
                gc.collect()
            return not [name for name, n in (alive() - before).items() if n > SPARE]

        with suppress(AssertionError):
            await eventually(gone, 5.0)
        assert gone(), alive() - before


READERS = [get, read, read_pieces, read_lines, leave]
FOR_CLIENT = [
    *[(do, path) for do in READERS for path in ("ok", "404", "301", "garbage", "malformed", "reset", "half", "half-reset")],
    *[(do, path) for do in (leave_by_error, drop) for path in ("ok", "half")],
    (in_total, "silent"),
    (get, "silent"),
    (cancel, "silent"),
    (cancel_reading, "half"),
    (upload, "ok"),
    (upload, "silent"),
    (invalid, "ok"),
]
# A connection that is gone waits for the collector, and its error with it; an error of the user has a traceback.
FOR_CLIENT_COLLECTED = [
    *[(do, path) for do in READERS for path in ("lost", "goaway", "half-lost", "half-goaway")],
    (upload_that_fails, "ok"),
    (nobody, ""),
]


def named(cases: list[tuple[Any, str]]) -> list[Any]:
    return [pytest.param(do, path, id=f"{do.__name__}-{path}") for do, path in cases]


@backends.asyncio_only
@pytest.mark.parametrize(("do", "path"), named(FOR_CLIENT))
async def test_client_without_collector(do: Any, path: str) -> None:
    with serving(Ending) as server:
        async with AsyncClient() as client:
            await assert_nothing_survives(lambda: ends(do, client, f"{server.url}/{path}"), False)


@backends.asyncio_only
@pytest.mark.parametrize(("do", "path"), named(FOR_CLIENT_COLLECTED))
async def test_client_with_collector(do: Any, path: str) -> None:
    with serving(Ending) as server:
        async with AsyncClient() as client:
            await assert_nothing_survives(lambda: ends(do, client, f"{server.url}/{path}"), True)


@backends.asyncio_loops
async def test_observed_client() -> None:
    with (
        serving(Ending) as server,
        configure("test", "detail", in_memory=True, sample_ratio=1.0, set_global=False) as telemetry,
    ):
        async with AsyncClient(telemetry=telemetry) as client:

            async def once() -> None:
                for do, path in FOR_CLIENT[::2]:
                    await ends(do, client, f"{server.url}/{path}")

            await assert_nothing_survives(once, True)


@backends.asyncio_only
async def test_responses_whose_body_failed_do_not_survive_client_and_collection() -> None:
    responses: list[weakref.ref[Any]] = []

    async def one(client: AsyncClient, url: str) -> None:
        async with client.stream("GET", url) as response:
            responses.append(weakref.ref(response))
            await response.aread()

    # Not ``serving``: its peer may be cut off in the middle of a frame.
    with PeerServer(Ending) as server:
        async with AsyncClient(timeout=Timeout(5.0, read=0.005)) as client:
            while len(responses) < 200:
                await ends(one, client, f"{server.url}/half")
    gc.collect()
    assert sum(response() is not None for response in responses) == 0


# -- the server


async def application(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    path = scope["path"][1:]
    if path == "raise":
        raise ZeroDivisionError
    if path in ("return", "wait"):
        while path == "wait":
            await receive()
            await asyncio.sleep(0)
        return
    if path == "echo":
        while (await receive()).get("more_body"):
            pass
    fields = [(b"content-length", b"5")] if path in ("short", "long") else []
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\nb")] if path == "invalid" else fields})
    more = path in ("half", "half-raise", "flood")
    await send({"type": "http.response.body", "body": b"x" * (9 if path == "long" else 1), "more_body": more})
    if path == "half-raise":
        raise ZeroDivisionError
    while path == "flood":
        await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        await asyncio.sleep(0)
    if path == "half":
        await asyncio.sleep(60)


async def leave_connection(client: AsyncClient, url: str) -> None:
    async with AsyncClient(limits=Limits(retries_max=0)) as another, another.stream("GET", url, timeout=0.02):
        raise ZeroDivisionError


async def upload_half(client: AsyncClient, url: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(60)

    await client.post(url, content=pieces(), timeout=Timeout(0.02, total=0.02))


FOR_SERVER = [
    *[(get, path) for path in ("ok", "echo", "raise", "return", "short", "long", "invalid", "half-raise", "wait", "half")],
    *[(do, path) for do in (leave, cancel_reading, leave_connection) for path in ("half", "flood")],
    (cancel, "wait"),
    (upload, "echo"),
    (upload, "ok"),
    (upload_half, "echo"),
    (upload_half, "ok"),
]


@backends.asyncio_only
@pytest.mark.parametrize("level", ["off", "detail"])
@pytest.mark.parametrize(("do", "path"), named(FOR_SERVER))
@pytest.mark.filterwarnings("ignore")
async def test_server(do: Any, path: str, level: str) -> None:
    """Connections that are gone wait for the collector, so those endings have it."""
    limits = ServerLimits(disconnect_grace_s=0.0, resets_received_burst=10_000, resets_sent_burst=10_000)
    with configure("test", level, in_memory=True, sample_ratio=1.0 if level == "detail" else None, set_global=False) as telemetry:
        server = Server(ServerConfig(app=application, port=0, lifespan="off", handle_signals=False, limits=limits, telemetry=telemetry))
        running = asyncio.ensure_future(server.serve())
        await server.wait_started()
        host, port = server.addresses[0][:2]
        async with AsyncClient(telemetry=telemetry) as client:
            await assert_nothing_survives(lambda: ends(do, client, f"http://{host}:{port}/{path}"), do is leave_connection)
        server.stop()
        await running
