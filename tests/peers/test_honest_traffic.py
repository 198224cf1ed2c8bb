"""Honest traffic that looks like an attack: none of the guards may hit it, with the limits as they are by default."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from h2o_otel.limits import ServerLimits
from tests.support import backends, wire
from tests.support.siege import post, request, siege
from tests.support.waiting import eventually
from tests.support.wire import data, ping, rst_stream, window_update

pytestmark = backends.asyncio_only

DEFAULTS = ServerLimits(disconnect_grace_s=0.1)


def numbers() -> Iterator[int]:
    return iter(range(1, 1_000_000, 2))


async def test_browser_that_cancels_a_hundred_requests_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each navigation; those that were not answered yet."""
    async with siege(caplog, limits=DEFAULTS, lines=0) as under:
        await under.attacker.greet()
        ids = numbers()
        for _ in range(5):
            opened = [next(ids) for _ in range(100)]
            await under.attacker.send(b"".join(request(n, b"/wait") for n in opened))
            await under.attacker.send(b"".join(rst_stream(n, 8) for n in opened))
        last = next(ids)
        await under.attacker.send(request(last))
        await under.attacker.until(lambda: last in under.attacker.answered())
        assert under.detected() == {}


async def test_all_streams_that_are_allowed_with_fewer_handlers(caplog: pytest.LogCaptureFixture) -> None:
    """A client keeps the advertised 100 streams busy; ten run at a time, the others wait, none is refused."""
    async with siege(caplog, limits=ServerLimits(running_handlers_max=10), lines=0) as under:
        await under.attacker.greet()
        ids = numbers()
        for _ in range(3):
            opened = [next(ids) for _ in range(100)]
            await under.attacker.send(b"".join(request(n, b"/work") for n in opened))
            await under.attacker.until(lambda opened=opened: set(opened) <= set(under.attacker.answered()))
        assert under.attacker.resets() == {}
        assert under.attacker.of(wire.GOAWAY) == []
        assert under.app.most <= 11
        assert under.detected() == {}


async def test_messages_of_600_octets_to_a_slow_reader(caplog: pytest.LogCaptureFixture) -> None:
    """A stream of gRPC: the window fills with small frames before anything is read."""
    async with siege(caplog, limits=DEFAULTS, lines=0) as under:
        await under.attacker.greet()
        await under.attacker.send(post(1, b"/hold"))
        await under.attacker.send(*(data(1, bytes(600)) * 40 for _ in range(10)))
        await under.attacker.send(post(3, b"/read"))
        sent = 0
        while sent < 3000:
            granted = 65_535 + sum(int.from_bytes(f.payload, "big") for f in under.attacker.of(wire.WINDOW_UPDATE) if f.stream_id == 0)
            if (400 + sent + 40) * 600 <= granted:
                await under.attacker.send(data(3, bytes(600)) * 40)
                sent += 40
            else:
                await asyncio.sleep(0.005)
        await under.attacker.send(data(3, end_stream=True))
        await under.attacker.until(lambda: 3 in under.attacker.answered())
        await under.attacker.send(rst_stream(1, 8))
        assert under.detected() == {}


async def test_upload_of_single_octets_that_is_read(caplog: pytest.LogCaptureFixture) -> None:
    async with siege(caplog, limits=DEFAULTS, lines=0) as under:
        await under.attacker.greet()
        await under.attacker.send(post(1, b"/read"))
        await under.attacker.send_all(data(1, b"x") * 50 for _ in range(100))
        await under.attacker.send(data(1, end_stream=True))
        await under.attacker.until(under.attacker.answered)
        assert under.detected() == {}


async def test_pings_that_estimate_the_bandwidth(caplog: pytest.LogCaptureFixture) -> None:
    """One for each response, and many more than the burst."""
    async with siege(caplog, limits=DEFAULTS, lines=0) as under:
        await under.attacker.greet()
        for n in range(1, 600, 2):
            await under.attacker.send(request(n))
            await under.attacker.until(lambda n=n: n in under.attacker.answered()[-3:])
            await under.attacker.send(ping())
        await under.attacker.until(lambda: len(under.attacker.of(wire.PING)) >= 300)
        assert under.detected() == {}


async def test_window_update_for_each_data_frame(caplog: pytest.LogCaptureFixture) -> None:
    async with siege(caplog, limits=DEFAULTS, lines=1) as under:
        await under.attacker.greet()
        await under.attacker.send(request(1, b"/large"))
        seen = 0
        while under.attacker.data_bytes < 1_000_000:
            await under.attacker.until(lambda seen=seen: under.attacker.data_bytes > seen)
            n, seen = under.attacker.data_bytes - seen, under.attacker.data_bytes
            await under.attacker.send(window_update(1, n) + window_update(0, n))
        assert under.detected() == {}


async def test_ninety_cookies(caplog: pytest.LogCaptureFixture) -> None:
    crumbs = [(b"cookie", b"name%d=value%d" % (n, n)) for n in range(90)]
    async with siege(caplog, limits=DEFAULTS, lines=0) as under:
        await under.attacker.greet()
        for n in range(1, 100, 2):
            await under.attacker.send(request(n, b"/", *crumbs))
        await under.attacker.until(lambda: len(under.attacker.answered()) == 50)


async def test_long_poll_outlives_the_idle_time(caplog: pytest.LogCaptureFixture) -> None:
    limits = ServerLimits(idle_timeout_s=0.5, body_rate_grace_s=0.5, send_stall_timeout_s=0.5, disconnect_grace_s=0.1)
    async with siege(caplog, limits=limits, lines=1) as under:
        await under.attacker.greet()
        await under.attacker.send(request(1, b"/wait"))
        await eventually(lambda: "/wait" in under.app.paths)
        await asyncio.sleep(1.5)
        assert under.app.running == 1
        await under.attacker.send(request(3))
        await under.attacker.until(lambda: 3 in under.attacker.answered())


async def test_slow_but_steady_upload(caplog: pytest.LogCaptureFixture) -> None:
    """2 kB a second, as a bad mobile network gives."""
    limits = ServerLimits(body_rate_grace_s=1.0)
    async with siege(caplog, limits=limits, lines=0) as under:
        await under.attacker.greet()
        await under.attacker.send(post(1, b"/read"))
        for _ in range(25):
            await under.attacker.send(data(1, bytes(200)))
            await asyncio.sleep(0.1)
        await under.attacker.send(data(1, end_stream=True))
        await under.attacker.until(under.attacker.answered)
        assert under.detected() == {}
