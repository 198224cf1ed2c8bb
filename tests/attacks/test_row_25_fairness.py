"""Row 25: a connection that floods gets its turn, and no more, so that the one beside it gets its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters, Snapshot
from h2o_otel.io.driver import Driver
from h2o_otel.io.memory import VirtualLoop, pair
from h2o_otel.io.transport import Transport
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import DEFAULT_TUNING
from h2o_otel.tls.certificates import Authority
from h2o_otel.tls.context import ClientTLS, ServerTLS, client_context, server_context
from tests.support.ends import Exchange, Server, body, client_driver, server_driver
from tests.support.engine import serving
from tests.support.wire import PREFACE, data, frame, headers, request_block, rst_stream, settings, settings_ack

LIMITS = replace(SERVER_LIMITS, glitches_burst=1_000_000, streams_max=10_000)
USELESS = frame(0xFA, 0, 0, b"x")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class BusyLoop(VirtualLoop):
    """Each look at the clock costs a millisecond and a half."""

    def now(self) -> float:
        self._now += 0.0015
        return self._now


class Wire(Transport):
    """Keeps what is written and whether it reads."""

    def __init__(self) -> None:
        Transport.__init__(self)
        self.written = bytearray()
        self.reading = True
        self.greedy = False

    def write(self, chunks: list[bytes | memoryview]) -> int:
        self.written += b"".join(chunks)
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def feed(driver: Driver, octets: bytes) -> None:
    view = driver.get_buffer(-1)
    view[: len(octets)] = octets
    driver.buffer_updated(len(octets))


def on_wire(loop: VirtualLoop, **options: Any) -> tuple[Driver, Server, Wire]:
    driver, handler = server_driver(loop, **{"limits": LIMITS, **options})
    wire = Wire()
    driver.attach(wire)
    feed(driver, PREFACE + settings() + settings_ack())
    return driver, handler, wire


class TestRow25Turns:
    """What the engine parses at once."""

    def test_attack_of_frames(self) -> None:
        server, peer = serving(LIMITS)
        octets = USELESS * 1000
        before, used, turns = server.frames_received, 0, 0
        while used < len(octets):
            used += server.receive_into(bytearray(octets), used, len(octets), peer.now)
            turns += 1
            assert server.frames_received - before <= turns * 256
            assert server.turn_over is (used < len(octets))
        assert turns == 4
        assert server.frames_received - before == 1000

    def test_attack_of_streams(self) -> None:
        server, peer = serving(LIMITS)
        octets = bytearray(b"".join(headers(2 * n + 1, request_block(), end_stream=True) for n in range(200)))
        used = server.receive_into(octets, 0, len(octets), peer.now)
        assert server.turn_over
        assert len(server.streams) == 128
        assert used + server.receive_into(octets, used, len(octets), peer.now) == len(octets)
        assert not server.turn_over
        assert len(server.streams) == 200

    def test_attack_of_streams_beyond_a_smaller_limit(self) -> None:
        """The request that opens the last stream of a turn is its last frame, and each turn has as many again."""
        server, peer = serving(replace(LIMITS, turn_streams_max=10))
        octets = bytearray(b"".join(headers(2 * n + 1, request_block(), end_stream=True) for n in range(25)))
        used = 0
        for opened in (10, 20, 25):
            used += server.receive_into(octets, used, len(octets), peer.now)
            assert len(server.streams) == opened
            assert server.turn_over is (opened < 25)

    @pytest.mark.parametrize("reset", [False, True])
    def test_attack_of_requests_and_resets(self, reset: bool) -> None:
        """A request counts twice, and so does RST_STREAM, for what the application does about it: 128 frames are a turn of 256."""
        server, peer = serving(replace(LIMITS, turn_streams_max=10_000))
        before = server.frames_received
        frames = [headers(2 * n + 1, request_block(), end_stream=True) + (rst_stream(2 * n + 1, 8) if reset else b"") for n in range(200)]
        octets = bytearray(b"".join(frames))
        server.receive_into(octets, 0, len(octets), peer.now)
        assert server.turn_over
        assert server.frames_received - before == 128

    def test_attack_of_faults(self) -> None:
        """Frames that break a rule of their stream cost most, and count as 17."""
        server, peer = serving(replace(LIMITS, resets_sent_burst=10_000))
        octets = bytearray(b"".join(headers(2 * n + 1, b"\x82", end_stream=True) for n in range(300)))
        server.receive_into(octets, 0, len(octets), peer.now)
        assert server.turn_over
        assert peer.read("frames", "server", "receive", "HEADERS") == 16

    def test_honest_incomplete_frame_is_no_end_of_a_turn(self) -> None:
        server, peer = serving(LIMITS)
        octets = bytearray(USELESS * 10 + USELESS[:5])
        assert server.receive_into(octets, 0, len(octets), peer.now) == 100
        assert not server.turn_over

    def test_a_turn_is_counted(self) -> None:
        server, peer = serving(LIMITS)
        octets = bytearray(USELESS * 300)
        used = server.receive_into(octets, 0, len(octets), peer.now)
        server.receive_into(octets, used, len(octets), peer.now)
        counts = peer.block.histogram("frame_turn_frames", counters.SERVER).read()[0]
        assert counts[8] == 1  # of 256 frames
        assert counts[6] == 1  # of 44

    def test_receive_is_for_those_who_have_one_connection(self) -> None:
        server, peer = serving(LIMITS)
        peer.sends(USELESS * 1000)
        assert server.frames_received == 1002

    def test_switched_off(self) -> None:
        server, peer = serving(LIMITS, tuning=replace(DEFAULT_TUNING, protocol_fair_scheduling=False))
        octets = bytearray(USELESS * 1000 + b"".join(headers(2 * n + 1, request_block(), end_stream=True) for n in range(200)))
        assert server.receive_into(octets, 0, len(octets), peer.now) == len(octets)
        assert len(server.streams) == 200


class TestRow25Fairness:
    """What the driver makes of it."""

    def test_attack_beside_an_honest_connection(self) -> None:
        loop, block = BusyLoop(), Counters()
        flood, _, wire = on_wire(loop, block=block)
        honest, _, answers = on_wire(loop, block=block)
        loop.run()
        answers.written.clear()
        seen: list[int] = []
        begun = flood.connection.frames_received

        def ask() -> None:
            feed(honest, headers(1, request_block(b"GET", b"/5"), end_stream=True))
            seen.append(flood.connection.frames_received - begun)

        loop.call_soon(lambda: feed(flood, USELESS * 5000))
        loop.call_soon(ask)
        loop.turn()
        # The flood had 2 ms: two slices on this clock.  It is not read from until it has had its turns.
        assert seen == [512]
        assert not wire.reading
        assert data(1, body(5)) in answers.written or data(1, body(5), end_stream=True) in answers.written
        turns = loop.run()
        assert flood.connection.frames_received - begun == 5000
        assert turns >= 9
        assert wire.reading
        snapshot = Snapshot()
        snapshot.add_block(block)
        assert snapshot.value("io_yields", "server") >= 8
        assert snapshot.value("buffer_copied", "tail") >= 4000

    def test_honest_burst_that_takes_no_time_is_one_turn(self) -> None:
        loop = VirtualLoop()
        driver, _, wire = on_wire(loop)
        feed(driver, USELESS * 5000)
        assert driver.connection.frames_received == 5002
        assert wire.reading

    def test_what_is_asked_is_begun_in_its_turn(self) -> None:
        """And answered in order, although the reading stops in between."""
        loop = BusyLoop()
        driver, handler, wire = on_wire(loop)
        loop.run()
        wire.written.clear()
        feed(driver, b"".join(headers(2 * n + 1, request_block(b"GET", b"/4"), end_stream=True) for n in range(700)))
        assert handler.batches >= 2
        assert 0 < len(wire.written) < 700 * 20
        loop.run()
        assert driver.connection.requests == 700
        assert wire.written.count(b"\x00\x00\x04\x00\x01") == 700

    def test_end_of_file_waits_behind_what_arrived_before_it(self) -> None:
        loop = BusyLoop()
        driver, handler, _ = on_wire(loop)
        feed(driver, USELESS * 2000 + headers(1, request_block(b"GET", b"/5"), end_stream=True))
        driver.eof_received()
        assert handler.lost == []
        assert not driver.closing
        loop.run()
        assert driver.connection.requests == 1
        assert driver.closing

    def test_lost_connection_is_read_to_its_end(self) -> None:
        loop = BusyLoop()
        driver, handler, _ = on_wire(loop)
        feed(driver, USELESS * 2000 + headers(1, request_block(b"POST"), end_stream=False) + data(1, b"x" * 10))
        driver.connection_lost(ConnectionResetError("gone"))
        assert driver.connection.requests == 1
        assert [error.rule for error in handler.resets] == ["connection_lost"]
        assert len(handler.lost) == 1
        loop.run()

    def test_fault_in_a_later_turn(self) -> None:
        loop = BusyLoop()
        driver, handler, wire = on_wire(loop)
        feed(driver, USELESS * 1500 + data(0, b"x") + USELESS * 1500)
        assert not driver.closing
        loop.run()
        assert [error.rule for error in handler.terminated] == ["frame_on_stream_zero"]
        # What is left of the peer's octets is drained, not parsed.
        assert driver.connection.frames_received < 1600
        assert wire.reading

    def test_bug_of_a_handler_in_a_later_turn(self, caplog: pytest.LogCaptureFixture) -> None:
        class Broken(Server):
            def request_received(self, stream: Any, end_stream: bool) -> None:
                raise RuntimeError("a bug")

        loop = BusyLoop()
        driver, _, _ = on_wire(loop, handler=Broken())
        feed(driver, USELESS * 1500 + headers(1, request_block(), end_stream=True))
        loop.run()
        assert driver.closing
        assert "internal error" in caplog.text

    @pytest.mark.parametrize(("frames", "yields"), [(100, False), (3000, True)])
    def test_upload_of_crumbs_over_tls(self, authority: Authority, frames: int, yields: bool) -> None:
        """Records that are decrypted wait as frames, the others as records."""
        loop, block = BusyLoop(), Counters()
        wide = replace(SERVER_LIMITS, connection_window_bytes=16_777_216, stream_window_bytes=1_048_576)
        leaf = authority.issue()
        server, handler = server_driver(
            loop, tls=ServerTLS(context=server_context(leaf.certificate, leaf.key)).pump(), limits=wide, block=block
        )
        client, _ = client_driver(loop, tls=ClientTLS(context=client_context(ca=authority.certificate)).pump("localhost"))
        pair(loop, client, server)
        loop.run()
        fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"test"), (b":path", b"/")]
        exchange = Exchange(loop.create_waiter())
        stream = client.connection.send_request(fields, False, loop.now(), exchange)
        for n in range(frames):
            client.connection.send_data(stream, b"x" * 100, n == frames - 1, loop.now())
        client.wake()
        loop.run()
        assert exchange.data == b"%d" % (100 * frames)
        assert handler.resets == []
        snapshot = Snapshot()
        snapshot.add_block(block)
        assert (snapshot.value("io_yields", "server") > 0) is yields
