"""What send() puts on the wire, and what it refuses."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.limits import ServerLimits
from tests.support import backends
from tests.support.peer import Answer, connected
from tests.support.waiting import eventually

pytestmark = backends.asyncio_loops

NO_ERROR, INTERNAL_ERROR = 0, 2
START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def start(status: int = 200, *headers: tuple[Any, Any], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


async def answer_to(*messages: dict[str, Any], method: str = "GET", faults: list[BaseException] | None = None, **settings: Any) -> Answer:
    """What a client gets from an application that sends ``messages``; its exception goes to ``faults``."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            for message in messages:
                await send(message)
        except Exception as error:
            if faults is not None:
                faults.append(error)
            raise

    async with connected(app, **settings) as peer:
        return await peer.request(method).done()


async def test_whole_response_is_headers_and_one_data_frame() -> None:
    answer = await answer_to(start(201, (b"content-type", b"text/x")), body(b"hello"))
    assert (answer.status, answer.body, answer.data_frames, answer.reset) == (201, b"hello", 1, None)
    assert answer[b"content-type"] == b"text/x"
    assert answer[b"date"].endswith(b" GMT")


async def test_empty_body_ends_with_the_head() -> None:
    answer = await answer_to(start(302, (b"location", b"/x")), body())
    assert (answer.status, answer.data_frames, answer.ended) == (302, 0, True)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_bodyless_responses_send_no_data(method: str, status: int) -> None:
    answer = await answer_to(start(status, (b"x", b"1")), body(b"abc", True), body(b"def"), method=method)
    assert (answer.status, answer.body, answer.data_frames, answer.ended, answer.reset) == (status, b"", 0, True, None)


@pytest.mark.parametrize("status", [204, 304])
async def test_status_without_a_body_has_no_content_length(status: int) -> None:
    answer = await answer_to(start(status, (b"Content-Length", b"3"), (b"x", b"1")), body(b"abc"))
    assert (answer.status, answer[b"content-length"], answer[b"x"]) == (status, None, b"1")


async def test_head_keeps_content_length() -> None:
    answer = await answer_to(start(200, (b"content-length", b"5")), body(), method="HEAD")
    assert answer[b"content-length"] == b"5"


async def test_names_become_lower_case_and_hop_by_hop_fields_go() -> None:
    before = counters.collect().slots[counters.slot("asgi_fields_dropped")]
    answer = await answer_to(start(200, (b"X-Name", b" v "), (b"Connection", b"close"), (b"transfer-encoding", b"chunked")), body(b"a"))
    assert answer[b"x-name"] == b"v"
    assert {name for name, _ in answer.headers} == {b":status", b"x-name", b"date"}
    assert counters.collect().slots[counters.slot("asgi_fields_dropped")] == before + 2


async def test_own_date_and_server_are_kept() -> None:
    answer = await answer_to(start(200, (b"Date", b"x"), (b"server", b"y")), body(b"a"), server_header="h2o-otel")
    assert [value for name, value in answer.headers if name in (b"date", b"server")] == [b"x", b"y"]


async def test_server_field_is_added_when_asked_for() -> None:
    assert (await answer_to(start(), body(b"a"), server_header="h2o-otel"))[b"server"] == b"h2o-otel"
    assert (await answer_to(start(), body(b"a"), date_header=False))[b"date"] is None


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ((b"x", b"a\r\nb"), "field"),
        ((b"x\n", b"a"), "field"),
        ((b"x", b"a\0"), "field"),
        (("x", "a"), "bytes"),
        ((b"", b"a"), "empty"),
        ((b"content-length", b"x"), "content-length"),
    ],
)
async def test_invalid_field_is_a_500(field: Any, text: str) -> None:
    faults: list[BaseException] = []
    answer = await answer_to(start(200, field), body(b"a"), faults=faults)
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert text in str(faults[0])


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [start()],
        [body(b"x")],
        [start(101), body()],
        [start(600), body()],
        [start(), start()],
        [{"type": "websocket.accept"}],
        [start(200, (b"content-length", b"2")), body(b"abc")],
        [start(200, (b"content-length", b"4")), body(b"abc")],
    ],
)
async def test_fault_before_the_response_is_a_500(messages: list[Any]) -> None:
    answer = await answer_to(*messages)
    assert (answer.status, answer.ended) == (500, True)
    assert answer[b"content-type"] == b"text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "messages",
    [
        [start(), body(b"x", True)],
        [start(), body(b"x", True), start()],
        [start(200, (b"content-length", b"4")), body(b"abc", True), body(b"de")],
        [start(200, (b"content-length", b"4")), body(b"abc", True), body()],
        [start(200, trailers=True), body(b"abc", True)],
    ],
)
async def test_fault_after_the_response_began_is_a_reset(messages: list[Any]) -> None:
    answer = await answer_to(*messages)
    assert (answer.status, answer.reset) == (200, INTERNAL_ERROR)


async def test_raised_exception_is_a_500_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await asyncio.sleep(0)
        raise KeyError("nope")

    with caplog.at_level(logging.ERROR):
        async with connected(app) as peer:
            answer = await peer.get("/where")
    assert answer.status == 500
    (record,) = [r for r in caplog.records if "http.server.request.exception" in r.getMessage()]
    assert "KeyError" in record.getMessage()
    assert "/where" in record.getMessage()


async def test_application_that_raises_when_called_is_a_500() -> None:
    def app(scope: Any) -> None:
        """The signature of ASGI 2."""

    async with connected(app) as peer:
        assert (await peer.get()).status == 500
        assert (await peer.get()).status == 500


async def test_application_may_return_any_awaitable() -> None:
    def app(scope: Any, receive: Any, send: Any) -> Any:
        async def work() -> None:
            await send(START)
            await send(body(b"x"))

        return asyncio.ensure_future(work())

    async with connected(app) as peer:
        assert (await peer.get()).body == b"x"


async def test_body_after_the_end_raises() -> None:
    faults: list[BaseException] = []
    answer = await answer_to(start(), body(b"x"), body(b"y"), faults=faults)
    assert (answer.body, answer.ended) == (b"x", True)
    assert "complete" in str(faults[0])


async def test_bytearray_and_memoryview_are_copied() -> None:
    data = bytearray(b"abc" * 10_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": data, "more_body": True})
        data[:] = b"xyz" * 10_000
        await send({"type": "http.response.body", "body": memoryview(data)})

    async with connected(app) as peer:
        assert (await peer.get()).body == b"abc" * 10_000 + b"xyz" * 10_000


async def test_trailers() -> None:
    trailers = {"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")]}
    answer = await answer_to(start(200, trailers=True), body(b"abc"), trailers)
    assert (answer.body, answer.trailers, answer.ended, answer.reset) == (b"abc", [(b"x-sum", b"1")], True, None)


async def test_trailers_wait_behind_a_large_body() -> None:
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}
    answer = await answer_to(start(200, trailers=True), body(b"a" * 500_000), trailers)
    assert (len(answer.body), answer.trailers, answer.ended) == (500_000, [(b"x-sum", b"1")], True)


async def test_announced_trailers_that_never_come_end_the_stream() -> None:
    answer = await answer_to(start(200, trailers=True), body(b"abc"))
    assert (answer.body, answer.trailers, answer.ended, answer.reset) == (b"abc", None, True, None)


async def test_trailers_unannounced_are_refused() -> None:
    faults: list[BaseException] = []
    await answer_to(start(), body(b"abc", True), {"type": "http.response.trailers", "headers": []}, faults=faults)
    assert "trailers: True" in str(faults[0])


async def test_early_hints_come_before_the_response() -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
    answer = await answer_to(hint, start(), body(b"x"))
    assert answer.informational == [[(b":status", b"103"), (b"link", b"</a.css>; rel=preload")]]
    assert answer.status == 200


async def test_client_that_expects_100_gets_it_when_the_body_is_asked_for() -> None:
    asked = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        whole, more = b"", scope["path"] != "/sync"
        while more:
            await asked.wait()
            message = await receive()
            whole, more = whole + message["body"], message["more_body"]
        await send(START)
        await send(body(whole))

    async with connected(app) as peer:
        answer = peer.request("POST", headers=[("expect", "100-Continue")], end=False)
        other = peer.request("POST", end=False)
        await peer.get("/sync")
        assert answer.informational == []
        asked.set()
        while not answer.informational:
            await answer.change()
        for held in (answer, other):
            peer.send(held, b"ab")
            await peer.get("/sync")
            peer.send(held, b"cd", end=True)
            assert ((await held.done()).status, held.body) == (200, b"abcd")
        # Once, and only for who asked.
        assert answer.informational == [[(b":status", b"100")]]
        assert other.informational == []


async def test_no_100_without_a_reader_or_after_the_body_began() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "PUT":
            while (await receive())["more_body"]:
                pass
        await send(START)
        await send(body(b"x"))

    async with connected(app) as peer:
        expects = [("expect", "100-continue")]
        refused = await peer.request("POST", headers=expects, end=False).done()
        whole = await peer.request("PUT", headers=expects, body=b"abc").done()
        assert (refused.informational, refused.body, whole.informational, whole.body) == ([], b"x", [], b"x")


async def no_thanks(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(body(b"no thanks"))


def outcomes() -> dict[str, int]:
    snapshot = counters.collect()
    return {name: snapshot.value("streams", "server", name) for name in counters.OUTCOMES}


def since(before: dict[str, int]) -> dict[str, int]:
    return {name: value - before[name] for name, value in outcomes().items() if value != before[name]}


ENGINES = pytest.mark.parametrize("engine", ["native", "h2"])


@ENGINES
@pytest.mark.parametrize("drain_s", [0.0, 0.05])
async def test_early_response_ends_with_reset_no_error(engine: str, drain_s: float) -> None:
    before = outcomes()
    async with connected(no_thanks, engine=engine, limits=ServerLimits(request_drain_s=drain_s)) as peer:
        answer = peer.request("POST", end=False)
        while answer.reset is None:
            await answer.change()
        assert (answer.body, answer.ended, answer.reset) == (b"no thanks", True, NO_ERROR)
        assert (await peer.get()).body == b"no thanks"
    assert since(before) == {"completed": 2}


@ENGINES
async def test_upload_goes_on_after_an_early_response_until_its_end(engine: str) -> None:
    """Clients that read the answer only when they have sent everything get to read it: windows open, nothing is reset."""
    before = outcomes()
    async with connected(no_thanks, engine=engine, limits=ServerLimits(request_drain_s=3600.0)) as peer:
        answer = peer.request("POST", end=False)
        await answer.done()
        left = 1_500_000
        while left:
            await eventually(lambda: peer.h2.local_flow_control_window(peer.stream_of(answer)))
            n = min(peer.h2.local_flow_control_window(peer.stream_of(answer)), left, 16_384)
            left -= n
            peer.send(answer, b"x" * n, end=not left)
        await peer.heard()
        assert (answer.body, answer.ended, answer.reset) == (b"no thanks", True, None)
        assert (await peer.get()).body == b"no thanks"
    assert since(before) == {"completed": 2}


@ENGINES
async def test_octets_of_an_unwanted_upload_are_bounded(engine: str) -> None:
    async with connected(no_thanks, engine=engine, limits=ServerLimits(request_drain_s=3600.0, request_drain_bytes=50_000)) as peer:
        answer = peer.request("POST", end=False)
        await answer.done()
        for _ in range(4):
            assert answer.reset is None
            peer.send(answer, b"x" * 12_000)
            await peer.heard()
        peer.send(answer, b"x" * 12_000)
        while answer.reset is None:
            await answer.change()
        assert answer.reset == NO_ERROR


@ENGINES
async def test_get_that_ends_with_an_empty_data_frame_is_not_reset(engine: str) -> None:
    """Apache sends every GET so, and the answer may be there first."""
    before = outcomes()
    async with connected(no_thanks, engine=engine) as peer:
        for _ in range(20):
            answer = peer.request(end=False)
            await answer.done()
            peer.send(answer, b"", end=True)
        await peer.heard()
        assert {each.reset for each in peer.answers.values()} == {None}
    assert since(before) == {"completed": 20}


@ENGINES
@pytest.mark.parametrize("how", ["reset", "close"])
async def test_client_that_ends_after_a_full_answer_has_a_completed_request(
    engine: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """curl cancels an upload that it has an answer for, or closes the connection: nothing failed."""
    before = outcomes()
    async with connected(no_thanks, engine=engine, limits=ServerLimits(request_drain_s=3600.0)) as peer:
        answer = peer.request("POST", end=False)
        await answer.done()
        if how == "reset":
            peer.cancel(answer)
        else:
            await peer.close()
        await eventually(lambda: since(before))
    assert since(before) == {"completed": 1}
    assert "h2o.connection.failed" not in caplog.text


class Waits:
    """An application that sends the head and waits for ``go`` before the rest, or fails."""

    def __init__(self, late: bool = False, fails: bool = False, headers: Any = ()) -> None:
        self.go = asyncio.Event()
        self.started = asyncio.Event()
        self._late, self._fails, self._headers = late, fails, list(headers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._late:
            await asyncio.sleep(0)
        await send(start(200, *self._headers))
        self.started.set()
        if self._fails:
            raise KeyError("before any wait")
        await self.go.wait()
        await send(body(b"later"))


@ENGINES
@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("late", [True, False])
async def test_head_goes_out_while_the_application_waits(engine: str, eager: bool, late: bool) -> None:
    app = Waits(late)
    async with connected(app, engine=engine, eager_tasks=eager) as peer:
        answer = peer.request()
        await eventually(lambda: answer.status)
        assert (answer.status, answer.body, answer.ended) == (200, b"", False)
        app.go.set()
        assert (await answer.done()).body == b"later"


async def test_head_of_a_response_without_a_body_ends_it() -> None:
    app = Waits()
    async with connected(app) as peer:
        answer = await peer.request("HEAD").done()
        assert (answer.status, answer.body, answer.ended) == (200, b"", True)
        app.go.set()


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("late", [True, False])
async def test_fault_between_head_and_any_wait_is_a_500(eager: bool, late: bool) -> None:
    async with connected(Waits(late, fails=True), eager_tasks=eager) as peer:
        answer = await peer.get()
        assert (answer.status, answer.body, answer.reset) == (500, b"Internal Server Error", None)


async def test_invalid_head_raises_in_the_applications_next_send() -> None:
    app = Waits(headers=[(b"x", b"a\0b")])
    async with connected(app) as peer:
        answer = peer.request()
        await app.started.wait()
        await peer.heard()
        assert not answer.status
        app.go.set()
        await answer.done()
        assert (answer.status, answer.body) == (500, b"Internal Server Error")


async def test_early_response_that_is_queued_is_reset_after_its_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"x" * 600_000))

    async with connected(app) as peer:
        answer = peer.request("POST", end=False)
        while answer.reset is None:
            await answer.change()
        assert (len(answer.body), answer.ended, answer.reset) == (600_000, True, NO_ERROR)


async def test_concurrent_requests_end_in_any_order() -> None:
    gates = {f"/{i}": asyncio.Event() for i in range(20)}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gates[scope["path"]].wait()
        await send(START)
        await send(body(scope["path"].encode()))

    async with connected(app) as peer:
        answers = {path: peer.request(path=path) for path in gates}
        await asyncio.sleep(0.01)
        for path in reversed(gates):
            gates[path].set()
            assert (await answers[path].done()).body == path.encode()
