"""Streams used again: only what nobody holds, and nothing of the last owner is left."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from h2o_otel.counters import Counters, Snapshot
from h2o_otel.errors import ErrorCode
from h2o_otel.protocol.handler import Handler
from h2o_otel.streams.pool import StreamPool, local_stream_pool
from h2o_otel.streams.stream import Stream
from h2o_otel.tuning import Tuning
from tests.support.engine import Peer, serving
from tests.support.wire import data, headers, request_block, rst_stream

PLAIN = (int, float, bool, type(None), type)


def pool(streams_max: int = 10) -> StreamPool:
    return StreamPool(Counters(), streams_max)


def counted(block: Counters) -> dict[str, int]:
    snapshot = Snapshot()
    snapshot.add_block(block)
    return {result: snapshot.value("memory_objects", "stream", result) for result in ("hit", "miss", "held")}


def used(id: int = 1) -> Stream:
    stream = Stream(id, 10, 20, 1.0)
    stream.headers = [(b"a", b"b")]
    stream.path = b"/secret"
    stream.user = object()
    return stream


def test_stream_that_nobody_holds_is_taken_back() -> None:
    p = pool()
    p.give_all([used()])
    assert p.kept == 1
    assert counted(p.counters) == {"hit": 0, "miss": 0, "held": 0}


def test_stream_that_somebody_holds_is_left_alone() -> None:
    p = pool()
    mine = used()
    p.give_all([mine])
    assert p.kept == 0
    assert (mine.path, mine.headers, mine.generation) == (b"/secret", [(b"a", b"b")], 0)
    assert counted(p.counters)["held"] == 1


def test_pool_is_bounded() -> None:
    p = pool(2)
    p.give_all([used(i) for i in range(5)])
    assert p.kept == 2


def test_idle_ones_are_dropped() -> None:
    p = pool()
    p.give_all([used()])
    assert p.trim_unused() == 1
    assert p.kept == 0


def test_nothing_of_the_last_owner_is_kept() -> None:
    p = pool()
    marked = 2_000_000_011
    p.give_all([used(marked)])
    (kept,) = [s for s in gc.get_objects() if isinstance(s, Stream) and s.id == marked]
    assert kept.generation == 1
    assert [r for r in gc.get_referents(kept) if not isinstance(r, PLAIN)] == []


def test_one_pool_for_a_thread() -> None:
    block = Counters()
    assert local_stream_pool(block, 5) is local_stream_pool(block, 5)


def fields_of(stream: Stream) -> dict[str, Any]:
    names = [n for n in dir(stream) if not n.startswith("_") and not callable(getattr(stream, n))]
    return {n: getattr(stream, n) for n in names}


class Answering(Handler):
    """Answers at once and keeps nothing, unless ``keep`` is set."""

    def __init__(self) -> None:
        self.connection: Any = None
        self.keep: list[Stream] | None = None
        self.seen: list[tuple[int, dict[str, Any]]] = []
        self.told: list[tuple[str, int]] = []

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        self.seen.append((id(stream), fields_of(stream)))
        self.told.append(("request", stream.id))
        if self.keep is not None:
            self.keep.append(stream)
        if end_stream:
            self.connection.send_response(stream, 204, [], True, 1.0)

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        self.told.append(("data", stream.id))

    def stream_reset(self, stream: Stream, error: Any) -> None:
        self.told.append(("reset", stream.id))


POOLED = Tuning(stream_pool=True)


def answering(tuning: Tuning = POOLED) -> tuple[Any, Peer, Answering]:
    handler = Answering()
    server, peer = serving(handler=handler, tuning=tuning)
    handler.connection = server
    return server, peer, handler


def test_next_request_gets_the_same_object_as_if_new() -> None:
    server, peer, handler = answering()
    for stream_id in (1, 3):
        peer.sends(
            headers(
                stream_id, request_block(b"GET", b"/", (b"priority", b"u=1, i")) if stream_id == 1 else request_block(), end_stream=True
            )
        )
        server.data_to_send()
    (first, _), (second, again) = handler.seen
    assert first == second
    assert counted(peer.block)["hit"] == 1
    new = answering(Tuning(stream_pool=False))
    new[1].sends(headers(3, request_block(), end_stream=True))
    fresh = new[2].seen[0][1]
    assert again.pop("generation") == 1
    assert fresh.pop("generation") == 0
    assert again == fresh
    assert counted(new[1].block) == {"hit": 0, "miss": 0, "held": 0}


def test_late_frames_do_not_reach_the_next_owner() -> None:
    server, peer, handler = answering()
    peer.sends(headers(1, request_block(b"POST")))
    peer.sends(rst_stream(1, ErrorCode.CANCEL))
    server.data_to_send()
    peer.sends(headers(3, request_block(b"POST")))
    assert handler.seen[0][0] == handler.seen[1][0]
    handler.told.clear()
    # A peer may not send on what it reset; the WINDOW_UPDATE that crossed is no fault.
    peer.sends(b"\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x00\x05", data(3, b"mine"))
    assert handler.told == [("data", 3)]
    assert server.streams[3].send_window == 65_535
    assert server.streams[3].body_received == 4


def test_late_handle_never_becomes_another_stream() -> None:
    server, peer, handler = answering()
    handler.keep = []
    peer.sends(headers(1, request_block(), end_stream=True))
    server.data_to_send()
    late = handler.keep.pop()
    for stream_id in range(3, 41, 2):
        peer.sends(headers(stream_id, request_block(), end_stream=True))
        server.data_to_send()
        handler.keep.clear()
    assert (late.id, late.path, late.generation) == (1, b"/", 0)
    server.reset_stream(late, ErrorCode.CANCEL, peer.now)
    assert server.data_to_send() == b""


@pytest.mark.parametrize("generations", [3])
def test_generation_counts_owners(generations: int) -> None:
    server, peer, handler = answering()
    for n in range(generations):
        peer.sends(headers(2 * n + 1, request_block(), end_stream=True))
        server.data_to_send()
    assert [fields["generation"] for _, fields in handler.seen] == list(range(generations))
