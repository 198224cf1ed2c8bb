"""Scenes: the kinds of requests that a steady load is made of, each of which drives some layers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from ..client import Timeout
from ..errors import StreamReset, TimeoutException
from .stage import Stage

__all__ = ["SCENES", "Scene"]


async def _item(stage: Stage) -> None:
    """Varying paths and values, for HPACK."""
    n = random.randrange(1000)
    fields = {"x-request-id": f"{random.getrandbits(64):016x}", "accept-language": random.choice(("en", "de, en;q=0.5", "fr"))}
    if n % 3 == 0:
        fields["authorization"] = f"Bearer {random.getrandbits(256):064x}"
    if n % 2 == 0:
        # More sessions than a table of 4096 octets holds: entries are added, used and evicted.
        fields["cookie"] = f"session={random.randrange(25):0300d}"
    if n % 4 == 0:
        fields["priority"] = f"u={n % 8}, i"
    response = await stage.client.get(f"{stage.url}/items/{n}", params={"page": n % 7}, headers=fields)
    stage.expect(response.status_code == 200, "item")


async def _report(stage: Stage) -> None:
    response = await stage.client.get(f"{stage.url}/report")
    stage.expect(len(response.content) == 8192 * 31, "report")


async def _stream(stage: Stage) -> None:
    async with stage.client.stream("GET", f"{stage.url}/stream") as response:
        lines = [line async for line in response.aiter_lines()]
    stage.expect(len(lines) == 20, "stream")


async def _upload(stage: Stage) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"u" * 20_000

    response = await stage.client.post(f"{stage.url}/upload", content=parts())
    stage.expect(response.json() == {"received": 160_000}, "upload")


async def _order(stage: Stage) -> None:
    response = await stage.client.get(f"{stage.url}/order")
    stage.expect(response.status_code == 200, "order")


async def _missing(stage: Stage) -> None:
    response = await stage.client.get(f"{stage.url}/nowhere")
    stage.expect(response.status_code == 404, "missing")


async def _fail(stage: Stage) -> None:
    response = await stage.client.get(f"{stage.url}/fail")
    stage.expect(response.status_code == 500, "fail")


async def _trailers(stage: Stage) -> None:
    response = await stage.client.get(f"{stage.url}/trailers")
    stage.expect(response.trailers is not None and response.trailers.get("x-checksum") == "c0ffee", "trailers")


async def _hints(stage: Stage) -> None:
    response = await stage.client.get(f"{stage.url}/hints")
    stage.expect([early.status_code for early in response.informational] == [103], "hints")


async def _packed(stage: Stage) -> None:
    response = await stage.client.get(f"{stage.url}/packed")
    stage.expect(len(response.content) == 65_536, "packed")


async def _compute(stage: Stage) -> None:
    response = await stage.client.get(f"{stage.url}/compute")
    stage.expect(response.status_code == 200, "compute")


async def _break(stage: Stage) -> None:
    """An application that raises in the middle of its response."""
    try:
        await stage.client.get(f"{stage.url}/break")
    except StreamReset:
        stage.wanted["reset"] += 1
    else:
        stage.expect(False, "break")


async def _timeout(stage: Stage) -> None:
    """A timeout: this stream is reset, other streams continue."""
    try:
        await stage.client.get(f"{stage.url}/slow?seconds=3", timeout=Timeout(5.0, read=0.05))
    except TimeoutException:
        stage.wanted["timeout"] += 1
    else:
        stage.expect(False, "timeout")


async def _abandon(stage: Stage) -> None:
    """A response body that is abandoned after its first part."""
    async with stage.client.stream("GET", f"{stage.url}/big") as response:
        async for _ in response.aiter_raw():
            break
    stage.wanted["abandoned"] += 1


async def _slow_reader(stage: Stage) -> None:
    """Reads slower than the server writes: the stream's window closes."""
    size = 0
    async with stage.client.stream("GET", f"{stage.url}/big") as response:
        async for part in response.aiter_raw():
            size += len(part)
            await asyncio.sleep(0.001)
    stage.expect(size == 4_194_304, "slow reader")


async def _cancel(stage: Stage) -> None:
    task = asyncio.ensure_future(stage.client.get(f"{stage.url}/slow?seconds=3"))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait([task])
    stage.wanted["cancelled"] += 1


async def _reconnect(stage: Stage) -> None:
    """A connection of its own: handshake, settings, one request, GOAWAY."""
    async with stage.make_client() as client:
        response = await client.get(f"{stage.url}/")
        stage.expect(response.status_code == 200, "reconnect")


class Scene(NamedTuple):
    """A kind of request, its share, and whether its duration counts as latency (it does not where the scene waits on purpose)."""

    name: str
    run: Callable[[Stage], Awaitable[None]]
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
