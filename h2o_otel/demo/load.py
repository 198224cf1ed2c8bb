"""A steady load: scenes, each of which drives some layers, started at a fixed rate; and acts beside them."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from ..client import Client, Timeout
from ..counters import Histogram
from ..errors import StreamReset, TimeoutException
from ..tls.context import client_context
from .acts import ACTS, Act
from .peers import FrameClient

__all__ = ["LATENCY_S", "SCENES", "Load"]

# Finer than the bounds of the conventions, which begin at 5 ms: steps of a fifth, 50 us to 60 s.
LATENCY_S = tuple(5e-5 * 1.2**n for n in range(78))
# At the end, for requests under way.
LAST_S = 3.0

# Requests under way beyond which a tick is skipped and counted, so that a slow machine is not buried.
UNDER_WAY_MAX = 300


async def _item(load: Load) -> None:
    """Varying paths and values: what HPACK does with them."""
    n = random.randrange(1000)
    fields = {"x-request-id": f"{random.getrandbits(64):016x}", "accept-language": random.choice(("en", "de, en;q=0.5", "fr"))}
    if n % 3 == 0:
        fields["authorization"] = f"Bearer {random.getrandbits(256):064x}"
    if n % 2 == 0:
        # More sessions than a table of 4096 octets holds: entries come, are used, and are pushed out.
        fields["cookie"] = f"session={random.randrange(25):0300d}"
    if n % 4 == 0:
        fields["priority"] = f"u={n % 8}, i"
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


async def _hints(load: Load) -> None:
    response = await load.client.get(f"{load.url}/hints")
    load.expect([early.status_code for early in response.informational] == [103], "hints")


async def _packed(load: Load) -> None:
    response = await load.client.get(f"{load.url}/packed")
    load.expect(len(response.content) == 65_536, "packed")


async def _compute(load: Load) -> None:
    response = await load.client.get(f"{load.url}/compute")
    load.expect(response.status_code == 200, "compute")


async def _break(load: Load) -> None:
    """An application that raises in the middle of its response."""
    try:
        await load.client.get(f"{load.url}/break")
    except StreamReset:
        load.wanted["reset"] += 1
    else:
        load.expect(False, "break")


async def _timeout(load: Load) -> None:
    """A deadline that passes: this stream is reset, its neighbours are not."""
    try:
        await load.client.get(f"{load.url}/slow?seconds=3", timeout=Timeout(5.0, read=0.05))
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
    task = asyncio.ensure_future(load.client.get(f"{load.url}/slow?seconds=3"))
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
    """A kind of request, its share, and whether its duration counts as latency (it does not where the scene waits on purpose)."""

    name: str
    run: Callable[[Load], Awaitable[None]]
    weight: float
    timed: bool = False


SCENES = (
    Scene("item", _item, 60, timed=True),
    Scene("report", _report, 4, timed=True),
    Scene("stream", _stream, 3),
    Scene("upload", _upload, 4),
    Scene("order", _order, 15, timed=True),
    Scene("missing", _missing, 3, timed=True),
    Scene("fail", _fail, 1, timed=True),
    Scene("trailers", _trailers, 3, timed=True),
    Scene("hints", _hints, 1, timed=True),
    Scene("packed", _packed, 1, timed=True),
    Scene("compute", _compute, 0.5),
    Scene("break", _break, 0.5),
    Scene("timeout", _timeout, 1),
    Scene("abandon", _abandon, 1),
    Scene("slow reader", _slow_reader, 0.5),
    Scene("cancel", _cancel, 1),
    Scene("reconnect", _reconnect, 1.5),
)


class Load:
    """Starts scenes at ``rate`` a second, and acts at their times, until it is cancelled.

    Args:
        url: of the service.
        rate: scenes a second.
        make_client: a client for the service; takes other limits, and whom to trust.
        seed: of the choice of scenes.
        ca: certificate of the service's authority.
        upstream: URL of the stock service, None when it is out of reach.

    Attributes:
        started, finished: scenes and acts.
        skipped: ticks at which too many were under way.
        wanted: ends that a scene provokes (timeouts, cancellations), by kind.
        unexpected: everything else that went wrong, by kind.
        latency: seconds from the time at which a request was due to the end of its response.
    """

    def __init__(
        self,
        url: str,
        rate: float,
        make_client: Callable[..., Client],
        seed: int | None = None,
        *,
        ca: str | None = None,
        upstream: str | None = None,
    ) -> None:
        self.url = url
        self.scheme = url.partition(":")[0]
        self.rate = rate
        self.make_client = make_client
        self.ca = ca
        self.upstream = upstream
        self.client: Client = make_client()
        self.started = 0
        self.finished = 0
        self.skipped = 0
        self.wanted: Counter[str] = Counter()
        self.unexpected: Counter[str] = Counter()
        self.latency = Histogram(LATENCY_S)
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._acting: set[str] = set()

    def expect(self, ok: bool, name: str) -> None:
        """Count an answer that is not what its scene asked for."""
        if not ok:
            self.unexpected[f"{name}: wrong answer"] += 1

    def frame_client(self) -> FrameClient:
        """A connection to the service, by hand."""
        return FrameClient(self.url, self.context("h2"))

    def context(self, *alpn: str) -> ssl.SSLContext | None:
        """For connections by hand; None for a service in cleartext."""
        return client_context(ca=self.ca, alpn=alpn) if self.scheme == "https" else None

    async def run(self) -> None:
        """The load; ends, with its requests, when it is cancelled."""
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        weights = [scene.weight for scene in SCENES]
        acts_due = {act: began + act.first_s for act in ACTS}
        # Each kind once at first, so that a short run has seen everything.
        first = list(reversed(SCENES))
        async with self.client:
            try:
                while True:
                    scene = first.pop() if first else self._random.choices(SCENES, weights)[0]
                    self._start(scene, due)
                    for act, at in acts_due.items():
                        if loop.time() >= at:
                            acts_due[act] = at + act.every_s
                            # One at a time of each: on a slow machine the next comes later.
                            if act.name not in self._acting:
                                self._start(act, at)
                    due += 1.0 / self.rate
                    await asyncio.sleep(max(0.0, due - loop.time()))
            finally:
                await self._end()

    async def run_requests(self, count: int, at_once: int) -> None:
        """``count`` scenes of the mix, ``at_once`` of them under way at any time; for tests."""
        weights = [scene.weight for scene in SCENES]
        left = iter(self._random.choices(SCENES, weights, k=count))

        async def play() -> None:
            for scene in left:
                await self._play(scene, asyncio.get_running_loop().time())

        async with self.client:
            await asyncio.gather(*(play() for _ in range(at_once)))

    def _start(self, scene: Scene | Act, due: float) -> None:
        if len(self._tasks) >= UNDER_WAY_MAX:
            self.skipped += 1
            return
        task = asyncio.get_running_loop().create_task(self._play(scene, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        """Let what is under way end by itself, for a while."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_S)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _play(self, scene: Scene | Act, due: float) -> None:
        self.started += 1
        if isinstance(scene, Act):
            self._acting.add(scene.name)
        try:
            await scene.run(self)
            self.finished += 1
            if isinstance(scene, Scene) and scene.timed:
                self.latency.record(asyncio.get_running_loop().time() - due)
        except StreamReset as error:
            self.unexpected[f"{scene.name}: {error.rule}"] += 1
        except Exception as error:
            self.unexpected[f"{scene.name}: {type(error).__name__}"] += 1
        finally:
            self._acting.discard(scene.name)
