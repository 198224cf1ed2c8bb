"""Pauses of clients as an application sees them, what is short, and what the log says of requests that the server ends.

Time is what the engine is told: it goes by in ``passes``, and no test waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.limits import SERVER_LIMITS, ServerLimits
from h2o_otel.server.gate import Gate
from h2o_otel.server.pressure import Pressure
from h2o_otel.telemetry import configure
from h2o_otel.telemetry.lines import flush
from tests.support import backends
from tests.support.peer import Peer, connected, serving
from tests.support.waiting import eventually

pytestmark = backends.asyncio_only

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    counters._reset_after_fork()
    yield
    counters._reset_after_fork()


class Route:
    path = "/items/{id}"


class App:
    """``/read`` answers with the size of the body; ``/echo`` sends back what comes; ``/large`` a megabyte; ``/busy`` reads late."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.running = 0
        self.go_on = asyncio.Event()
        self.reading = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = Route()
        self.running += 1
        try:
            await self.answer(scope["path"], receive, send)
            self.ended.append("")
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        except Exception as error:
            self.ended.append(type(error).__name__)
            raise
        finally:
            self.running -= 1

    async def answer(self, path: str, receive: Any, send: Any) -> None:
        if path == "/busy":
            await self.go_on.wait()
        if path == "/large":
            await send(START)
            await send({"type": "http.response.body", "body": bytes(1_000_000)})
            return
        if path == "/echo":
            await send(START)
        size, more = 0, True
        while more:
            self.reading += 1
            message = await receive()
            self.reading -= 1
            if message["type"] == "http.disconnect":
                # What most applications do, since they do not ask for the type.
                await send(START)
                return
            size, more = size + len(message["body"]), message["more_body"]
            if path == "/echo":
                await send({"type": "http.response.body", "body": message["body"], "more_body": more})
        if path != "/echo":
            await send(START)
            await send({"type": "http.response.body", "body": b"%d" % size})


async def passes(peer: Peer, seconds: int) -> None:
    """Time goes by for every connection of the server, second by second; the peer answers PINGs now and then."""
    # What the client has sent already, such as its acknowledgement of SETTINGS, is not late.
    await peer.heard()
    connections = list(peer.server.service.connections)  # type: ignore[attr-defined]
    start = max(connection.loop.now() for connection in connections)
    for second in range(1, seconds + 1):
        for connection in connections:
            if not connection.connection.closed:
                connection.connection.tick(start + second)
            connection.driver.wake()
        if second % 20 == 0:
            await peer.heard()


async def upload(peer: Peer, app: App, path: str = "/read", headers: list[tuple[str, str]] | None = None) -> Any:
    """A request of which 100 octets have come; the application waits for more."""
    answer = peer.request("POST", path, headers, body=b"x" * 100, end=False)
    await peer.heard()
    if path != "/busy":
        await eventually(lambda: app.reading == 1)
    return answer


@pytest.mark.parametrize("seconds", [8, 60])
@pytest.mark.parametrize("path", ["/read", "/echo", "/busy"])
async def test_upload_goes_on_after_a_pause(path: str, seconds: int, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    async with connected(app) as peer:
        answer = await upload(peer, app, path)
        await passes(peer, seconds)
        app.go_on.set()
        peer.send(answer, b"y" * 100, end=True)
        await answer.done()
        assert (answer.status, answer.reset) == (200, None)
        assert answer.body == (b"200" if path != "/echo" else b"x" * 100 + b"y" * 100)
    assert app.ended == [""]
    assert caplog.records == []


@pytest.mark.parametrize("percent", [75, 0])
async def test_application_that_is_busy_is_not_waited_for(percent: int) -> None:
    """It is not in receive(): the client owes nothing, not even while something is short."""
    app = App()
    async with connected(app, limits=ServerLimits(pressure_percent=percent)) as peer:
        answer = await upload(peer, app, "/busy")
        await passes(peer, 600)
        app.go_on.set()
        peer.send(answer, b"y" * 100, end=True)
        assert (await answer.done()).body == b"200"


@pytest.mark.parametrize(("percent", "seconds", "rule"), [(75, 92, "body_stalled"), (0, 7, "body_too_slow")])
async def test_body_that_does_not_come_is_answered_with_408(
    percent: int, seconds: int, rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    async with connected(app, limits=ServerLimits(pressure_percent=percent, disconnect_grace_s=0.0)) as peer:
        answer = await upload(peer, app)
        await passes(peer, seconds)
        await answer.done()
        assert (answer.status, answer.body) == (408, b"Request Timeout")
        await eventually(lambda: app.running == 0)
        # The application learns it as it learns of any client that is gone, and no fault of its own is logged.
        assert app.ended in (["ClientDisconnected"], ["cancelled"])
        assert (await peer.get("/read")).body == b"0"
    said = [record for record in caplog.records if record.h2o_event == "h2o.request.refused"]
    assert len(said) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    fields = said[0].h2o_fields
    limit = "body_stall_timeout_s" if percent else "body_rate_min_bytes_per_s"
    assert said[0].levelno == logging.WARNING
    assert fields["network.peer.address"] == "127.0.0.1"
    assert (fields["http.request.method"], fields["url.path"], fields["http.route"]) == ("POST", "/read", "/items/{id}")
    assert (fields["error.type"], fields["h2o.limit.name"], fields["h2o.limit.value"]) == (rule, limit, getattr(SERVER_LIMITS, limit))
    assert fields["h2o.hint"] == f"change it with --limit {limit}=VALUE, H2O_OTEL_LIMIT_{limit.upper()} or ServerLimits({limit}=...)"


async def test_response_that_has_begun_is_reset(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    async with connected(app, limits=ServerLimits(pressure_percent=0)) as peer:
        answer = await upload(peer, app, "/echo", [("content-length", "1000")])
        await passes(peer, 7)
        await answer.done()
        assert (answer.status, answer.reset) == (200, 8)
    assert [r.h2o_fields["error.type"] for r in caplog.records if r.h2o_event == "h2o.request.refused"] == ["body_too_slow"]


async def test_download_goes_on_after_a_pause_of_its_reader() -> None:
    app = App()
    async with connected(app, peer=Peer(credit=False)) as peer:
        answer = peer.request(path="/large")
        await eventually(lambda: len(answer.body) == 65_535)
        await passes(peer, 60)
        peer.h2.increment_flow_control_window(2_000_000)
        peer.h2.increment_flow_control_window(2_000_000, peer.stream_of(answer))
        peer.flush()
        await answer.done()
        assert (len(answer.body), answer.reset) == (1_000_000, None)


# -- the access log


async def lines_of(app: App, limits: ServerLimits, do: Any) -> list[dict[str, Any]]:
    """The fields of the access log's lines after ``do``."""
    found: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "h2o_event", "") == "h2o.access":
                found.append(record.h2o_fields)

    logger, handler = logging.getLogger("h2o_otel"), Keep()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel("INFO")
    telemetry = configure("test", "metrics", otlp=False, set_global=False, access_log=True)
    try:
        async with connected(app, limits=limits, telemetry=telemetry) as peer:
            await do(peer)
            await eventually(lambda: app.running == 0)
        flush()
    finally:
        telemetry.shutdown()
        logger.removeHandler(handler)
        logger.setLevel(level)
    return found


async def test_access_log_of_a_request_that_the_server_reset() -> None:
    app = App()

    async def stall(peer: Peer) -> None:
        answer = peer.request(path="/large")
        await eventually(lambda: len(answer.body) > 0)
        await passes(peer, 92)
        await answer.done()

    async with connected(app):
        pass
    (line,) = await lines_of(app, ServerLimits(stream_window_bytes=65_535), lambda peer: stall(_blind(peer)))
    assert (line["error.type"], line["client.address"], line["http.route"]) == ("send_stalled", "127.0.0.1", "/items/{id}")
    assert line["http.response.status_code"] == 200


def _blind(peer: Peer) -> Peer:
    peer._credit = False
    return peer


async def test_access_log_of_a_request_without_a_response() -> None:
    app = App()

    async def leave(peer: Peer) -> None:
        answer = await upload(peer, app)
        peer.cancel(answer)
        await peer.heard()

    (line,) = await lines_of(app, ServerLimits(disconnect_grace_s=0.0), leave)
    assert "http.response.status_code" not in line
    assert (line["client.address"], line["http.route"]) == ("127.0.0.1", "/items/{id}")
    assert line["error.type"]


async def test_access_log_of_a_request_that_was_answered_with_408() -> None:
    app = App()

    async def pause(peer: Peer) -> None:
        answer = await upload(peer, app)
        await passes(peer, 92)
        await answer.done()

    (line,) = await lines_of(app, ServerLimits(disconnect_grace_s=0.0), pause)
    assert (line["http.response.status_code"], line["error.type"], line["http.route"]) == (408, "body_stalled", "/items/{id}")


# -- refusals


async def test_one_line_a_second_however_many_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(App(), limits=ServerLimits(running_handlers_max=1), limit_concurrency=0 + 1) as peer:
        app: Any = peer.server.config.app  # type: ignore[attr-defined]
        held = await upload(peer, app)
        answers = [peer.request(path="/read") for _ in range(20)]
        peer.send(held, b"", end=True)
        for answer in [held, *answers]:
            await answer.done()
    assert len([r for r in caplog.records if r.h2o_event == "h2o.request.refused"]) <= 1


async def test_request_that_limit_concurrency_refuses(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    async with connected(app, limit_concurrency=1) as peer:
        held = await upload(peer, app)
        assert (await peer.get("/read")).status == 503
        peer.send(held, b"", end=True)
        assert (await held.done()).status == 200
    (said,) = [r.h2o_fields for r in caplog.records if r.h2o_event == "h2o.request.refused"]
    assert (said["error.type"], said["h2o.limit.value"], said["h2o.hint"]) == (
        "limit_concurrency",
        1,
        "raise it with --limit-concurrency N",
    )


async def test_connection_that_finds_no_place(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(App(), limits=ServerLimits(connections_max=1)) as peer:
        assert (await peer.get("/read")).status == 200
        second = await Peer().connect(peer.server.addresses[0][1])  # type: ignore[attr-defined]
        await second.closed.wait()
        await second.close()
    (said,) = [r.h2o_fields for r in caplog.records if r.h2o_event == "h2o.connection.refused"]
    assert said["network.peer.address"] == "127.0.0.1"
    assert (said["error.type"], said["h2o.limit.name"], said["h2o.limit.value"]) == ("connections_max", "connections_max", 1)
    assert said["h2o.hint"].startswith("change it with --limit connections_max=VALUE")


async def test_malformed_request_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(App()) as peer:
        answer = peer.open([(":method", "GET"), (":scheme", "http"), (":path", "/\x01"), (":authority", "a")], end=True)
        await answer.done()
    (said,) = [r.h2o_fields for r in caplog.records if r.h2o_event == "h2o.request.refused"]
    assert said["network.peer.address"] == "127.0.0.1"
    assert said["error.type"]
    assert "h2o.limit.name" not in said


# -- what is short


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, name: str, fields: dict[str, Any]) -> None:
        self.events.append((name, fields))


def gauge(resource: str) -> int:
    return counters.collect().value("pressure", resource)


async def test_connections_that_become_few() -> None:
    """Above 75 % they are short, until a tenth of that is free again."""
    from h2o_otel.io.loop import asyncio_loop

    log = Log()
    limits = ServerLimits(connections_max=40)
    pressure = Pressure(asyncio_loop(), limits, log, counters.local())
    gate = Gate(limits)
    gate.changed = pressure.connections_changed
    for n in range(30):
        assert gate.enter(f"10.0.0.{n}")
    assert (pressure.short_of(), gauge("connections")) == ("", 0)
    gate.enter("10.0.1.1")
    assert (pressure.short_of(), gauge("connections")) == ("connections", 1)
    for _ in range(3):
        gate.leave("10.0.0.0")
    assert pressure.short_of() == "connections"
    gate.leave("10.0.0.0")
    assert (pressure.short_of(), gauge("connections")) == ("", 0)
    assert [(name, fields["h2o.resource"], fields["h2o.limit.actual"]) for name, fields in log.events] == [
        ("h2o.pressure.entered", "connections", 31),
        ("h2o.pressure.left", "connections", 27),
    ]
    assert "--limit connections_max=VALUE" in log.events[0][1]["h2o.hint"]
    pressure.close()


async def test_memory_that_becomes_short_is_looked_at_without_any_traffic() -> None:
    from h2o_otel.io.memory import VirtualLoop
    from h2o_otel.memory.budget import QUEUES

    log, loop, block = Log(), VirtualLoop(), counters.local()
    pressure = Pressure(loop, ServerLimits(memory_process_bytes_max=1_000_000), log, block)
    pressure._budget.check(loop.now())
    assert gauge("memory") == 0
    block.add("memory_usage", QUEUES, 800_000)
    pressure._budget.check(loop.now())
    assert gauge("memory") == 1
    loop.advance(5.0)
    block.add("memory_usage", QUEUES, -800_000)
    loop.advance(5.0)
    assert gauge("memory") == 0
    assert [name for name, _ in log.events] == ["h2o.pressure.entered", "h2o.pressure.left"]
    pressure.close()


async def test_a_server_that_ends_while_something_is_short_shows_nothing() -> None:
    async with connected(App(), limits=ServerLimits(pressure_percent=0)) as peer:
        assert (await peer.get("/read")).status == 200
        assert gauge("memory") == 1
        assert gauge("connections") == 1
    assert [gauge(name) for name in counters.PRESSURES] == [0, 0, 0]


async def test_handlers_of_a_connection_that_become_few(caplog: pytest.LogCaptureFixture) -> None:
    """Above 75 % of them bodies must come; other connections do not notice."""
    app = App()
    limits = ServerLimits(running_handlers_max=4, disconnect_grace_s=0.0)
    async with serving(app, limits=limits) as server:
        crowded, other = [await Peer().connect(server.addresses[0][1]) for _ in range(2)]
        for peer in (crowded, other):
            peer.server = server  # type: ignore[attr-defined]
        first = await upload(other, app)
        answers = [crowded.request("POST", "/read", body=b"x", end=False) for _ in range(4)]
        await crowded.heard()
        await eventually(lambda: app.reading == 5)
        assert gauge("handlers") == 1
        await eventually(lambda: "h2o.pressure.entered" in [r.h2o_event for r in caplog.records])
        await passes(crowded, 7)
        await eventually(lambda: gauge("handlers") == 0)
        # Whoever was not asked to hurry before there were enough again goes on.
        for answer in answers:
            if not answer.ended:
                crowded.send(answer, b"y", end=True)
        assert {(await answer.done()).status for answer in answers} <= {200, 408}
        assert 408 in {answer.status for answer in answers}
        other.send(first, b"y", end=True)
        assert (await first.done()).body == b"101"
        for peer in (crowded, other):
            await peer.close()
    (entered,) = [r.h2o_fields for r in caplog.records if r.h2o_event == "h2o.pressure.entered"]
    assert (entered["h2o.resource"], entered["h2o.limit.value"], entered["network.peer.address"]) == ("handlers", 4, "127.0.0.1")
