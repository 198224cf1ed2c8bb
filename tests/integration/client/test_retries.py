"""GOAWAY, refused streams, lost connections and 421: what is asked again, and what must not be."""

from __future__ import annotations

import logging
import socket
from typing import Any

import anyio
import pytest

import h2o_otel
from h2o_otel import Limits, Retry, counters
from h2o_otel.telemetry import configure
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
    """Refuses the first three requests of its server."""

    def ended(self, stream_id: int) -> None:
        if sum(len(peer.requests) for peer in self.server.peers) <= 3:
            self.reset(stream_id, REFUSED_STREAM)
        else:
            super().ended(stream_id)


@requirement("9113-8.7-2")
async def test_refused_stream_is_replayed_for_idempotent_methods(serve: Any, client: Any) -> None:
    server = serve(Refusing)
    async with client() as c:
        response = await c.put(server.url, content=b"again")
        assert response.content == b"again"
        assert response.stream_id == 7
        assert (response.attempts, response.retry_reasons) == (4, ("REFUSED_STREAM",) * 3)
        assert len(server.peers) == 1


@requirement("9113-8.7-2")
async def test_post_is_not_sent_again_when_refused(serve: Any, client: Any) -> None:
    """HAProxy refuses what its backend has acted on."""
    server = serve(Refusing)
    async with client() as c:
        for send in (c.post, c.patch):
            with pytest.raises(h2o_otel.StreamReset, match=r"not sent again, since .*not idempotent: give it an Idempotency-Key") as caught:
                await send(server.url, content=b"once")
            assert (caught.value.attempts, caught.value.retry_reasons) == (1, ())
        with pytest.raises(h2o_otel.StreamReset):
            async with c.stream("POST", server.url, content=b"once"):
                pass
        assert len(server.peers[0].requests) == 3


@pytest.mark.parametrize(
    ("of_client", "of_request", "headers", "sent"),
    [
        ("idempotent", None, {"Idempotency-Key": "4711"}, 4),
        ("always", None, None, 4),
        ("never", "always", None, 4),
        ("always", "idempotent", None, 1),
        ("never", None, {"Idempotency-Key": "4711"}, 1),
        ("always", "never", None, 1),
    ],
)
async def test_policy_decides_about_refused_requests(
    serve: Any, client: Any, of_client: Any, of_request: Any, headers: Any, sent: int
) -> None:
    server = serve(Refusing)
    retry = None if of_request is None else Retry(refused=of_request)
    async with client(retry=Retry(refused=of_client)) as c:
        for send in (c.post(server.url, content=b"x", headers=headers, retry=retry),):
            if sent > 1:
                assert (await send).attempts == sent
            else:
                with pytest.raises(h2o_otel.StreamReset):
                    await send
        assert len(server.peers[0].requests) == sent


@requirement("9113-8.7-2")
async def test_never_does_not_send_a_get_again_but_after_goaway(serve: Any, client: Any) -> None:
    class Leaving(Peer):
        def ended(self, stream_id: int) -> None:
            if self.number == 1:
                self.raw(wire.goaway(0, 0))
            else:
                super().ended(stream_id)

    refusing, leaving = serve(Refusing), serve(Leaving)
    async with client(retry=Retry(refused="never")) as c:
        with pytest.raises(h2o_otel.StreamReset, match=r"not sent again, since Retry\.refused is 'never'"):
            await c.get(refusing.url)
        response = await c.post(leaving.url, content=b"unseen")
        assert (response.content, response.retry_reasons) == (b"unseen", ("GOAWAY",))


def test_policy_is_checked() -> None:
    with pytest.raises(ValueError, match=r"Retry\.refused is 'sometimes'; it is 'idempotent', 'always' or 'never'"):
        Retry(refused="sometimes")  # type: ignore[arg-type]


class Confused(Peer):
    """Ends the first request of its first connections with no error, beside a GOAWAY with one, in either order."""

    resets_first = False
    confused_max = 1

    def ended(self, stream_id: int) -> None:
        if self.number > self.confused_max:
            super().ended(stream_id)
        elif self.resets_first:
            self.raw(wire.rst_stream(stream_id, 0) + wire.goaway(stream_id, 9))
        else:
            self.raw(wire.goaway(stream_id, 9) + wire.rst_stream(stream_id, 0))


@pytest.mark.parametrize("resets_first", [True, False])
async def test_idempotent_request_that_ends_without_error_or_response_is_sent_again(serve: Any, client: Any, resets_first: bool) -> None:
    server = serve(type("_Confused", (Confused,), {"resets_first": resets_first}))
    before = counters.collect().value("pool_retries", "NO_ERROR")
    async with client() as c:
        response = await c.get(server.url)
        assert (response.status_code, response.retry_reasons) == (200, ("NO_ERROR",))
    assert counters.collect().value("pool_retries", "NO_ERROR") == before + 1
    forever = serve(type("_Confused", (Confused,), {"confused_max": 1000}))
    async with client() as c:
        with pytest.raises(h2o_otel.StreamReset, match="attempt 2 after NO_ERROR") as caught:
            await c.get(forever.url)
        assert (caught.value.attempts, caught.value.retry_reasons) == (2, ("NO_ERROR",))
        with pytest.raises(h2o_otel.StreamReset) as caught:
            await c.post(forever.url, content=b"once")
        assert caught.value.attempts == 1


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
    async with client(retry=Retry(refused="always")) as c:
        with pytest.raises(h2o_otel.StreamReset):
            await c.post(server.url, content=iter([b"once"]))
        assert len(server.peers[0].requests) == 1
        assert (await c.post(server.url, content=[b"a", b"b"])).content == b"ab"


async def test_error_of_another_attempt_says_how_often_the_request_was_sent(serve: Any, client: Any) -> None:
    class Gone(Peer):
        def ended(self, stream_id: int) -> None:
            self.server.listener.shutdown(socket.SHUT_RDWR)
            self.raw(wire.goaway(0, 0))

    server = serve(Gone)
    async with client() as c:
        with pytest.raises(h2o_otel.ConnectError, match=r"\(attempt 2 after GOAWAY\)") as caught:
            await c.post(server.url, content=b"unseen")
        assert (caught.value.attempts, caught.value.retry_reasons) == (1, ("GOAWAY",))


async def test_spans_say_how_often_and_why(serve: Any, client: Any) -> None:
    server = serve(Refusing)
    with configure("test", "traces", in_memory=True, sample_ratio=1.0, set_global=False) as telemetry:
        async with client(telemetry=telemetry) as c:
            await c.get(server.url)
        spans = [span.attributes for span in telemetry.spans() if span.name == "GET"]
    assert [span.get("http.request.resend_count") for span in spans] == [None, 1, 2, 3]
    assert [span.get("h2o.retry.reason") for span in spans] == [None, *["REFUSED_STREAM"] * 3]
    assert [span.get("error.type") for span in spans] == [*["rst_stream_received"] * 3, None]


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


@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_server_that_said_good_bye_and_left_is_no_warning_with_frames(
    serve: Any, client: Any, caplog: pytest.LogCaptureFixture, goodbye: bool
) -> None:
    class Leaving(Peer):
        def ended(self, stream_id: int) -> None:
            if goodbye:
                self.raw(wire.goaway(stream_id, 0))
            self.hang_up()

    caplog.set_level(logging.INFO, "h2o_otel")
    server = serve(Leaving)
    async with client() as c:
        with pytest.raises(h2o_otel.H2OError):
            await c.post(server.url, content=b"x")
    names = [record.h2o_event for record in caplog.records if getattr(record, "h2o_event", "").startswith("h2o.connection.")]
    assert names == ["h2o.connection.left" if goodbye else "h2o.connection.failed"]
