"""GOAWAY, refused streams, lost connections and 421: what is asked again, and what must not be."""

from __future__ import annotations

from typing import Any, ClassVar

import anyio
import pytest

import h2o_otel
from h2o_otel import Limits, counters
from tests.support import wire
from tests.support.judged import requirement
from tests.support.peers import Peer, path_of
from tests.support.waiting import eventually

REFUSED_STREAM = 7


@requirement("9113-8.7-2")
async def test_goaway_lets_requests_finish_and_replays_the_rest(serve: Any, client: Any) -> None:
    class Draining(Peer):
        def ended(self, stream_id: int) -> None:
            if self.number == 1 and stream_id == 5:
                # The streams up to 3 are served, this one was not seen.
                self.raw(wire.goaway(3, 0))
                super().ended(1)
                super().ended(3)
            elif self.number > 1 or stream_id > 5:
                super().ended(stream_id)

    server = serve(Draining)
    before = counters.collect().value("pool_retries", "GOAWAY")
    async with client() as c:
        answers: dict[int, Any] = {}

        async def one(i: int) -> None:
            answers[i] = await c.post(server.url, content=b"%d" % i)

        async with anyio.create_task_group() as group:
            for i in range(3):
                group.start_soon(one, i)
        assert [answers[i].content for i in range(3)] == [b"0", b"1", b"2"]
        assert sorted(r.connection_id for r in answers.values())[0] == sorted(r.connection_id for r in answers.values())[1]
        assert len({r.connection_id for r in answers.values()}) == 2
        assert (await c.get(server.url)).connection_id == max(r.connection_id for r in answers.values())
        await eventually(lambda: len(c.describe()[0]["connections"]) == 1)
        assert counters.collect().value("pool_retries", "GOAWAY") > before


class Refusing(Peer):
    refusals: ClassVar[dict[str, int]] = {}

    def ended(self, stream_id: int) -> None:
        left = self.refusals.setdefault(str(self.server.port), 3)
        if left:
            self.refusals[str(self.server.port)] = left - 1
            self.reset(stream_id, REFUSED_STREAM)
        else:
            super().ended(stream_id)


@requirement("9113-8.7-2")
async def test_refused_stream_is_replayed(serve: Any, client: Any) -> None:
    server = serve(Refusing)
    async with client() as c:
        response = await c.post(server.url, content=b"again")
        assert response.content == b"again"
        assert response.stream_id == 7
        assert len(server.peers) == 1


async def test_replays_end(serve: Any, client: Any) -> None:
    server = serve(Refusing)
    async with client(limits=Limits(retries_max=2)) as c:
        with pytest.raises(h2o_otel.StreamReset, match="REFUSED_STREAM") as caught:
            await c.get(server.url)
        assert caught.value.request is not None
        # Which request, where it went and how far it came.
        assert f"REFUSED_STREAM during GET {server.url}" in str(caught.value)
        assert "(stream 5 of connection " in str(caught.value)
        assert len(server.peers[0].requests) == 3


@requirement("9113-8.7-2")
async def test_body_that_cannot_be_replayed_is_not(serve: Any, client: Any) -> None:
    server = serve(Refusing)
    async with client() as c:
        with pytest.raises(h2o_otel.StreamReset):
            await c.post(server.url, content=iter([b"once"]))
        assert len(server.peers[0].requests) == 1
        assert (await c.post(server.url, content=[b"a", b"b"])).content == b"ab"


class Dying(Peer):
    """The first connection answers once, and dies with the second request."""

    def ended(self, stream_id: int) -> None:
        if self.number == 1 and stream_id > 1:
            self.hang_up()
        else:
            super().ended(stream_id)


async def test_lost_connection_is_replayed_only_where_that_is_safe(serve: Any, client: Any) -> None:
    """RFC 9110 section 9.2.2: the server may have acted on a POST; a GET may be asked again."""
    server = serve(Dying)
    async with client() as c:
        await c.get(server.url)
        with pytest.raises(h2o_otel.TransportError):
            await c.post(server.url, content=b"once")
        assert [len(peer.requests) for peer in server.peers] == [2]
    again = serve(Dying)
    async with client() as c:
        await c.get(again.url)
        assert (await c.get(again.url)).status_code == 200
        assert [len(peer.requests) for peer in again.peers] == [2, 1]


class Elsewhere(Peer):
    """The first connection is to the wrong server, and every one for ``/never``."""

    def ended(self, stream_id: int) -> None:
        path = path_of(self, stream_id)
        self.respond(stream_id, bytes(self.bodies[stream_id]), 421 if path == b"/never" or (path == b"/" and self.number == 1) else 200)


@requirement("9113-9.1.2-2")
async def test_misdirected_request_is_sent_once_more_on_a_fresh_connection(serve: Any, client: Any) -> None:
    server = serve(Elsewhere)
    before = counters.collect().value("pool_retries", "421")
    async with client() as c:
        kept = (await c.get(f"{server.url}/fine")).connection_id
        response = await c.post(f"{server.url}/", content=b"again")
        assert (response.status_code, response.content) == (200, b"again")
        assert response.connection_id != kept
        assert (await c.get(f"{server.url}/never")).status_code == 421
        assert len(server.peers) == 3
        assert (await c.post(f"{server.url}/never", content=iter([b"once"]))).status_code == 421
        async with c.stream("GET", f"{server.url}/never") as streamed:
            assert streamed.status_code == 421
        assert (await c.get(f"{server.url}/")).status_code == 200
        assert len(server.peers) == 4
        assert counters.collect().value("pool_retries", "421") >= before + 3
