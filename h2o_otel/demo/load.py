"""A steady load: scenes, each of which drives some layers, started at a fixed rate."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from ..client import Client, Timeout
from ..errors import H2OError, StreamReset, TimeoutException

__all__ = ["SCENES", "Load"]

# Requests under way beyond which a tick is skipped and counted, so that a slow machine is not buried.
UNDER_WAY_MAX = 300


async def _item(load: Load) -> None:
    """Varying paths and values: what HPACK does with them."""
    n = random.randrange(1000)
    fields = {"x-request-id": f"{random.getrandbits(64):016x}", "accept-language": "en"}
    response = await load.client.get(f"{load.url}/items/{n}", params={"page": n % 7}, headers=fields)
    load.expect(response.status_code == 200, "item")


async def _report(load: Load) -> None:
    response = await load.client.get(f"{load.url}/report")
    load.expect(len(response.content) == 8192 * 31, "report")


async def _stream(load: Load) -> None:
    async with load.client.stream("GET", f"{load.url}/stream") as response:
        lines = [line async for line in response.aiter_lines()]
    load.expect(len(lines) == 20, "stream")


async def _upload(load: Load) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"u" * 20_000

    response = await load.client.post(f"{load.url}/upload", content=parts())
    load.expect(response.json() == {"received": 160_000}, "upload")


async def _order(load: Load) -> None:
    response = await load.client.get(f"{load.url}/order")
    load.expect(response.status_code == 200, "order")


async def _missing(load: Load) -> None:
    response = await load.client.get(f"{load.url}/nowhere")
    load.expect(response.status_code == 404, "missing")


async def _fail(load: Load) -> None:
    response = await load.client.get(f"{load.url}/fail")
    load.expect(response.status_code == 500, "fail")


async def _trailers(load: Load) -> None:
    response = await load.client.get(f"{load.url}/trailers")
    load.expect(response.trailers is not None and response.trailers.get("x-checksum") == "c0ffee", "trailers")


async def _timeout(load: Load) -> None:
    """A deadline that passes: this stream is reset, its neighbours are not."""
    try:
        await load.client.get(f"{load.url}/slow", timeout=Timeout(5.0, read=0.05))
    except TimeoutException:
        load.wanted["timeout"] += 1
    else:
        load.expect(False, "timeout")


async def _abandon(load: Load) -> None:
    """A body that is left after its first part."""
    async with load.client.stream("GET", f"{load.url}/big") as response:
        async for _ in response.aiter_raw():
            break
    load.wanted["abandoned"] += 1


async def _slow_reader(load: Load) -> None:
    """Reads slower than the server writes: the stream's window closes."""
    size = 0
    async with load.client.stream("GET", f"{load.url}/big") as response:
        async for part in response.aiter_raw():
            size += len(part)
            await asyncio.sleep(0.001)
    load.expect(size == 4_194_304, "slow reader")


async def _cancel(load: Load) -> None:
    task = asyncio.ensure_future(load.client.get(f"{load.url}/slow"))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait([task])
    load.wanted["cancelled"] += 1


async def _reconnect(load: Load) -> None:
    """A connection of its own: handshake, settings, one request, GOAWAY."""
    async with load.make_client() as client:
        response = await client.get(f"{load.url}/")
        load.expect(response.status_code == 200, "reconnect")


class Scene(NamedTuple):
    """A kind of request and its share."""

    name: str
    run: Callable[[Load], Awaitable[None]]
    weight: float


SCENES = (
    Scene("item", _item, 60),
    Scene("report", _report, 4),
    Scene("stream", _stream, 3),
    Scene("upload", _upload, 4),
    Scene("order", _order, 15),
    Scene("missing", _missing, 3),
    Scene("fail", _fail, 1),
    Scene("trailers", _trailers, 3),
    Scene("timeout", _timeout, 1),
    Scene("abandon", _abandon, 1),
    Scene("slow reader", _slow_reader, 0.5),
    Scene("cancel", _cancel, 1),
    Scene("reconnect", _reconnect, 1.5),
)


class Load:
    """Starts scenes at ``rate`` a second until it is cancelled.

    Attributes:
        started, finished: scenes.
        skipped: ticks at which too many were under way.
        wanted: ends that a scene provokes (timeouts, cancellations), by kind.
        unexpected: everything else that went wrong, by kind.
    """

    def __init__(self, url: str, rate: float, make_client: Callable[[], Client], seed: int | None = None) -> None:
        self.url = url
        self.rate = rate
        self.make_client = make_client
        self.client: Client = make_client()
        self.started = 0
        self.finished = 0
        self.skipped = 0
        self.wanted: Counter[str] = Counter()
        self.unexpected: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[Any]] = set()

    def expect(self, ok: bool, name: str) -> None:
        """Count an answer that is not what its scene asked for."""
        if not ok:
            self.unexpected[f"{name}: wrong answer"] += 1

    async def run(self) -> None:
        """The load; ends, with its requests, when it is cancelled."""
        loop = asyncio.get_running_loop()
        weights = [scene.weight for scene in SCENES]
        due = loop.time()
        async with self.client:
            try:
                # Each kind once at first, so that a short run has seen everything.
                first = list(SCENES)
                while True:
                    scene = first.pop() if first else self._random.choices(SCENES, weights)[0]
                    if len(self._tasks) < UNDER_WAY_MAX:
                        task = loop.create_task(self._play(scene))
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)
                    else:
                        self.skipped += 1
                    due += 1.0 / self.rate
                    await asyncio.sleep(max(0.0, due - loop.time()))
            finally:
                for task in list(self._tasks):
                    task.cancel()
                if self._tasks:
                    await asyncio.wait(self._tasks)

    async def _play(self, scene: Scene) -> None:
        self.started += 1
        try:
            await scene.run(self)
            self.finished += 1
        except StreamReset as error:
            self.unexpected[f"{scene.name}: {error.rule}"] += 1
        except H2OError as error:
            self.unexpected[f"{scene.name}: {type(error).__name__}"] += 1
