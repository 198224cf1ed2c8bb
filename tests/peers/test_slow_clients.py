"""Clients that hold on to a server without using it: each phase has its end, and a dribble does not put it off."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from h2o_otel.limits import ServerLimits
from tests.support import backends, wire
from tests.support.peers import Certificates
from tests.support.siege import App, Attacker, post, request, siege
from tests.support.waiting import eventually, still
from tests.support.wire import continuation, data, headers, ping, window_update

pytestmark = backends.asyncio_only

# Long enough for a machine that stops now and then, between two steps of a test, too.
SHORT = ServerLimits(
    preface_timeout_s=0.5,
    settings_ack_timeout_s=0.5,
    header_block_timeout_s=0.5,
    frame_timeout_s=0.5,
    idle_timeout_s=0.8,
    tls_handshake_timeout_s=0.5,
    body_stall_timeout_s=0.5,
    body_rate_grace_s=0.5,
    send_stall_timeout_s=0.5,
    send_stall_pressure_s=0.5,
    send_rate_grace_s=0.5,
    disconnect_grace_s=0.1,
)
PATIENT = replace(SHORT, idle_timeout_s=None)


async def dribble(attacker: Attacker, piece: bytes) -> None:
    """``piece`` again and again, until the server has closed."""
    while not attacker.ended.is_set():
        await attacker.send(piece)
        await asyncio.sleep(0.02)
    await attacker.closed()


async def test_preface_octet_by_octet(caplog: pytest.LogCaptureFixture) -> None:
    async with siege(caplog, limits=SHORT, lines=0) as under:
        await under.attacker.send(wire.PREFACE[:3])
        await under.attacker.closed()
        assert under.attacker.frames == []


async def test_preface_without_settings(caplog: pytest.LogCaptureFixture) -> None:
    async with siege(caplog, limits=SHORT) as under:
        await under.attacker.send(wire.PREFACE)
        await under.attacker.closed()
        code, reason = under.attacker.goaway()
        assert code == "PROTOCOL_ERROR"
        assert "no SETTINGS" in reason


async def test_settings_are_never_acknowledged(caplog: pytest.LogCaptureFixture) -> None:
    """CVE-2019-9515's other half: requests go on meanwhile."""
    async with siege(caplog, limits=PATIENT) as under:
        await under.attacker.send(wire.PREFACE + wire.settings())
        numbers = iter(range(1, 10_000, 2))
        while not under.attacker.ended.is_set():
            await under.attacker.send(request(next(numbers)))
            await asyncio.sleep(0.02)
        code, reason = under.attacker.goaway()
        assert code == "SETTINGS_TIMEOUT"
        assert f"limit {SHORT.settings_ack_timeout_s} s" in reason


async def test_field_block_that_never_ends(caplog: pytest.LogCaptureFixture) -> None:
    async with siege(caplog, limits=replace(PATIENT, continuation_frames_max=1000)) as under:
        await under.attacker.greet()
        await under.attacker.send(headers(1, b"\x82", end_headers=False))
        await dribble(under.attacker, continuation(1, b"\x86", end_headers=False))
        assert under.attacker.goaway()[0] == "ENHANCE_YOUR_CALM"
        assert under.detected() == {("header_block_timeout", "closed"): 1}


@pytest.mark.parametrize("beside", ["nothing", "a long poll"])
@pytest.mark.parametrize(("frame", "rule"), [(wire.HEADERS, "header_block_timeout"), (wire.PING, "frame_timeout"), (0xFA, "frame_timeout")])
async def test_frame_that_never_ends(frame: int, rule: str, beside: str, caplog: pytest.LogCaptureFixture) -> None:
    """However its octets come, and whatever else is open."""
    length = 8 if frame == wire.PING else 16_000
    async with siege(caplog, limits=PATIENT) as under:
        await under.attacker.greet()
        if beside != "nothing":
            await under.attacker.send(request(1, b"/wait"))
        await under.attacker.send(wire.frame(frame, 4, 0 if frame == wire.PING else 3, length=length))
        if frame == wire.PING:
            await under.attacker.closed()
        else:
            await dribble(under.attacker, b"\x00")
        assert under.attacker.goaway()[0] == "ENHANCE_YOUR_CALM"
        assert under.detected() == {(rule, "closed"): 1}


IDLERS: dict[str, bytes] = {
    "nothing": b"",
    "pings": ping(),
    "unknown frames": wire.frame(0xFA, 0, 0, b"x"),
    "window updates": b"",
    "priorities": wire.priority(1, 3),
}


@pytest.mark.parametrize("name", IDLERS)
async def test_idle_connection_ends_whatever_it_says(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with siege(caplog, limits=SHORT, lines=0) as under:
        await under.attacker.greet()
        await under.attacker.send(request(1))
        await under.attacker.until(under.attacker.answered)
        await dribble(under.attacker, IDLERS[name])
        assert under.attacker.goaway() == ("NO_ERROR", "idle")


@pytest.mark.parametrize(
    ("percent", "piece", "rule"),
    [
        (75, b"", "body_stalled"),
        (0, b"", "body_too_slow"),
        (0, data(1, b"x"), "body_too_slow"),
        (0, data(1, b"", padding=100), "body_too_slow"),
    ],
)
async def test_body_that_does_not_come(percent: int, piece: bytes, rule: str, caplog: pytest.LogCaptureFixture) -> None:
    """While nothing is short a dribble passes; the answer is 408 in any case."""
    limits = replace(PATIENT, empty_data_in_a_row_max=1000, empty_data_max=1000, pressure_percent=percent)
    async with siege(caplog, limits=limits, lines=9) as under:
        await under.attacker.greet()
        await under.attacker.send(post(1, b"/read"))
        while 1 not in under.attacker.answered():
            await under.attacker.send(piece)
            await asyncio.sleep(0.05)
        assert under.detected() == {(rule, "refused"): 1}
        await eventually(lambda: under.app.running == 0)
        await under.attacker.send(request(3))
        await under.attacker.until(lambda: 3 in under.attacker.answered())


async def test_windows_held_at_zero(caplog: pytest.LogCaptureFixture) -> None:
    """CVE-2019-9511, CVE-2019-9517: a hundred large responses that nobody takes."""
    async with siege(caplog, limits=PATIENT, lines=5) as under:
        await under.attacker.greet({4: 0})
        await under.attacker.send(*(request(n, b"/large") for n in range(1, 200, 2)))
        await eventually(lambda: under.app.paths.count("/large") == 100)
        queued = under.app.sent
        assert queued <= PATIENT.send_buffer_connection_bytes + 100 * 10_000
        await under.attacker.until(lambda: len(under.attacker.resets()) == 100)
        assert under.app.sent == queued
        assert under.detected() == {("send_stalled", "reset"): 100}
        await eventually(lambda: under.app.running == 0)
        assert under.app.ended == ["ClientDisconnected"] * 100


async def test_response_taken_octet_by_octet(caplog: pytest.LogCaptureFixture) -> None:
    limits = replace(PATIENT, window_updates_base=1000, pressure_percent=0)
    async with siege(caplog, limits=limits, lines=9) as under:
        await under.attacker.greet({4: 1})
        await under.attacker.send(request(1, b"/large"))
        while not under.attacker.resets():
            await under.attacker.send(window_update(1, 1))
            await asyncio.sleep(0.05)
        assert under.attacker.resets() == {1: "CANCEL"}
        assert under.detected() == {("send_too_slow", "reset"): 1}


async def test_socket_that_is_not_read(caplog: pytest.LogCaptureFixture) -> None:
    """Windows are wide open, TCP is not: the stall ends the stream, and with the last one the connection, without the idle time."""
    async with siege(caplog, limits=replace(SHORT, idle_timeout_s=None), receive_buffer=4096) as under:
        await under.attacker.greet({4: 2**31 - 1})
        await under.attacker.send(window_update(0, 2**31 - 70_000), request(1, b"/large"))
        under.attacker.pause()
        await eventually(lambda: under.app.ended == ["ClientDisconnected"])
        assert under.detected() == {("send_stalled", "reset"): 1}
        await eventually(lambda: len(under.server.service.connections) == 1)


async def test_window_that_is_not_opened_by_a_peer_that_does_not_read(caplog: pytest.LogCaptureFixture) -> None:
    """The socket takes everything, but nobody answers: with the last stream the connection goes, too."""
    async with siege(caplog, limits=replace(SHORT, idle_timeout_s=None)) as under:
        await under.attacker.greet()
        under.attacker.pause()
        await under.attacker.send(request(1, b"/large"))
        await eventually(lambda: under.app.ended == ["ClientDisconnected"])
        await eventually(lambda: len(under.server.service.connections) == 1)


async def test_answers_that_are_not_read_pile_up_only_so_far(caplog: pytest.LogCaptureFixture) -> None:
    """CVE-2019-9514, CVE-2019-9512 with a socket that is full."""
    limits = replace(PATIENT, pings_burst=10_000, send_stall_timeout_s=30.0)
    async with siege(caplog, limits=limits, receive_buffer=4096) as under:
        await under.attacker.greet({4: 2**31 - 1})
        await under.attacker.send(window_update(0, 2**31 - 70_000), request(1, b"/large"))
        under.attacker.pause()
        await eventually(lambda: "/large" in under.app.paths)
        await still(lambda: under.app.sent)
        await under.attacker.send_all(ping() * 100 for _ in range(100))
        await eventually(lambda: under.detected() == {("control_queue_flood", "closed"): 1})
        under.attacker.resume()
        await under.attacker.closed()


# -- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("octets", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x40\x00" + bytes(100)])
async def test_handshake_that_does_not_go_on(octets: bytes, certificates: Certificates) -> None:
    from tests.support.peer import serving

    issued = certificates.issued
    async with serving(App(), limits=SHORT, ssl_certfile=issued.certificate, ssl_keyfile=issued.key) as server:
        attacker = await Attacker().connect(server.addresses[0][1])
        await attacker.send(octets)
        await attacker.closed()
        await attacker.close()
