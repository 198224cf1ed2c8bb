"""More requests than the peer allows streams: they queue in order, time out with the reason, and never deadlock."""

from __future__ import annotations

from typing import Any, ClassVar

import anyio
import h2.settings
import pytest

import h2o_otel
from h2o_otel import Timeout
from tests.support.peers import Peer, path_of
from tests.support.waiting import eventually

MAX_STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS


class Two(Peer):
    settings: ClassVar[dict[int, int]] = {MAX_STREAMS: 2}
    most = 0

    def ended(self, stream_id: int) -> None:
        if path_of(self, stream_id) == b"/hold":
            return
        super().ended(stream_id)


async def test_requests_queue_in_order(serve: Any, client: Any) -> None:
    server = serve(Two)
    async with client() as c:
        await c.get(server.url)
        asked: list[bytes] = []

        async def one(i: int) -> None:
            asked.append(b"%d" % i)
            assert (await c.post(server.url, content=asked[-1])).status_code == 200

        async with anyio.create_task_group() as group:
            for i in range(30):
                group.start_soon(one, i)
        seen = [bytes(body) for body in server.peers[0].bodies.values()][1:]
        assert sorted(seen) == sorted(asked)
        # Two streams become free at once, and trio wakes those who wait for them in any order.
        assert max(abs(seen.index(body) - i) for i, body in enumerate(asked)) <= 1


async def test_pool_timeout_names_the_limit(serve: Any, client: Any) -> None:
    server = serve(Two)
    async with client() as c:
        await c.get(server.url)
        async with anyio.create_task_group() as group:
            group.start_soon(c.get, f"{server.url}/hold")
            group.start_soon(c.get, f"{server.url}/hold")
            await eventually(lambda: c.describe()[0]["connections"][0]["streams_open"] == 2)
            with pytest.raises(
                h2o_otel.PoolTimeout, match=r"within 0.1 s \(Timeout.pool\): 2 streams are open, the peer allows 2"
            ) as caught:
                await c.get(server.url, timeout=Timeout(pool=0.1))
            assert caught.value.request.method == "GET"
            with anyio.move_on_after(0.05):
                await c.get(server.url)
            assert c.describe()[0]["waiting"] == 0
            group.cancel_scope.cancel()
        assert (await c.get(server.url)).status_code == 200


async def test_lower_limit_does_not_deadlock(serve: Any, client: Any) -> None:
    class Lowering(Peer):
        settings: ClassVar[dict[int, int]] = {MAX_STREAMS: 10}

        def ended(self, stream_id: int) -> None:
            if stream_id == 3:
                self.h2.update_settings({MAX_STREAMS: 1})
            super().ended(stream_id)

    server = serve(Lowering)
    async with client() as c:
        await c.get(server.url)
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(c.get, server.url)
        assert c.describe()[0]["connections"][0]["streams_max"] == 1
