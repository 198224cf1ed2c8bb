"""Envoy in front of our server: what it does with a burst on a cold connection."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import hpack
import pytest

from h2o_otel import counters
from tests.support import wire
from tests.support.backends import asyncio_only
from tests.support.peer import serving
from tests.support.proxies import Proxy, envoy
from tests.support.waiting import eventually

pytestmark = [asyncio_only, pytest.mark.time_limit(120)]

BURST = 300


class Together:
    """Answers no request before ``wanted`` requests run at once."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.running = self.most = 0
        self.connections: set[tuple[str, int]] = set()
        self._go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        self.connections.add(scope["client"])
        if self.running == self.wanted:
            self._go.set()
        await self._go.wait()
        self.running -= 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def statuses(port: int, requests: int) -> dict[int, bytes]:
    """Send that many requests in one write; the ``:status`` of each stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(wire.PREFACE + wire.settings())
    writer.write(b"".join(wire.headers(2 * n + 1, wire.request_block(), end_stream=True) for n in range(requests)))
    decoder = hpack.Decoder()
    found: dict[int, bytes] = {}
    ended: set[int] = set()
    while len(ended) < requests:
        head = await reader.readexactly(9)
        kind, flags, stream_id = head[3], head[4], int.from_bytes(head[5:], "big")
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        if kind == wire.HEADERS:
            found[stream_id] = dict(decoder.decode(payload, raw=True))[b":status"]
        elif kind == wire.RST_STREAM:
            found[stream_id] = b"reset"
        elif kind == wire.SETTINGS and not flags & wire.ACK:
            writer.write(wire.settings_ack())
        if kind == wire.RST_STREAM or (kind in (wire.HEADERS, wire.DATA) and flags & wire.END_STREAM):
            ended.add(stream_id)
    writer.close()
    return found


def upstream(proxy: Proxy) -> dict[str, int]:
    """Envoy's counters of the cluster."""
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/stats?format=json&filter=cluster.server", timeout=10) as answer:
        return {each["name"].removeprefix("cluster.server."): each.get("value", 0) for each in json.load(answer)["stats"] if "name" in each}


@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_burst_on_a_cold_connection(engine: str, tmp_path: Path) -> None:
    """Envoy sends all of it on one connection, before it has read our SETTINGS; each refusal would be a 503 to its client."""
    app = Together(250)
    before = counters.collect()
    async with serving(app, engine=engine) as server:
        with envoy(tmp_path, server.addresses[0][1]) as proxy:
            found = await asyncio.wait_for(statuses(proxy.port, BURST), 60)
            counted = await asyncio.to_thread(upstream, proxy)
    assert sorted(found) == [2 * n + 1 for n in range(BURST)]
    assert set(found.values()) == {b"200"}
    assert app.most == 250
    assert len(app.connections) == counted["upstream_cx_total"] == 1
    assert counted["upstream_rq_rx_reset"] == 0
    after = counters.collect()
    assert after.value("streams", "server", "refused") == before.value("streams", "server", "refused")
    assert after.labelled.get("abuse_detections", {}) == before.labelled.get("abuse_detections", {})


async def test_bursts_that_follow(tmp_path: Path) -> None:
    """On a connection whose limit Envoy has read it opens a second one instead."""
    app = Together(1)
    async with serving(app) as server:
        with envoy(tmp_path, server.addresses[0][1]) as proxy:
            for _ in range(3):
                found = await asyncio.wait_for(statuses(proxy.port, BURST), 60)
                assert set(found.values()) == {b"200"}
            counted = await asyncio.to_thread(upstream, proxy)
    await eventually(lambda: app.running == 0)
    assert counted["upstream_rq_rx_reset"] == 0
