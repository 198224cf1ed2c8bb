"""RFC 9113 section 6.10: CONTINUATION, only where a field block is open."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.support.judged import BOTH, STARTING, WITH_STREAM, accepted, connection_error, message, requirement
from tests.support.wire import CONTINUATION, END_HEADERS, continuation, data, frame, headers


@requirement("9113-6.10-1")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
@pytest.mark.parametrize("octets", [continuation(1, b"\x82"), continuation(1, b"", end_headers=False), continuation(2, b"")])
def test_no_block_is_open(make: Any, octets: bytes) -> None:
    connection_error(make(), "continuation_unexpected", octets)


@requirement("9113-6.10-1")
@pytest.mark.parametrize("make", STARTING)
def test_block_is_complete(make: Any) -> None:
    peer = make()
    connection_error(peer, "continuation_unexpected", headers(1, message(peer)), continuation(1, b""))
    peer = make()
    whole = message(peer)
    connection_error(
        peer, "continuation_unexpected", headers(1, whole[:4], end_headers=False), continuation(1, whole[4:]), continuation(1, b"")
    )
    peer = make()
    connection_error(peer, "continuation_unexpected", headers(1, message(peer)), data(1, b"x"), continuation(1, b""))


@requirement("9113-6.10-2")
@pytest.mark.parametrize("make", BOTH)
def test_continuation_on_stream_0(make: Any) -> None:
    connection_error(make(), "frame_on_stream_zero", continuation(0, b""))


@requirement("9113-6.10-2")
@pytest.mark.parametrize("make", STARTING)
def test_continuation_on_stream_0_in_a_block(make: Any) -> None:
    peer = make()
    connection_error(peer, "continuation_expected", headers(1, message(peer), end_headers=False), continuation(0, b""))


@requirement("9113-6.10-3")
@pytest.mark.parametrize("make", STARTING)
@pytest.mark.parametrize("stream_id", [3, 2, 2**31 - 1])
def test_continuation_of_another_stream(make: Any, stream_id: int) -> None:
    peer = make()
    connection_error(peer, "continuation_expected", headers(1, message(peer), end_headers=False), continuation(stream_id, b""))


@requirement("9113-6.10-4")
@pytest.mark.parametrize("make", STARTING)
@pytest.mark.parametrize("pieces", [1, 2, 8])
def test_block_in_pieces(make: Any, pieces: int) -> None:
    """Cut anywhere, inside an integer or a string, too."""
    peer = make()
    whole = message(peer, (b"x-long", b"y" * 300))
    cuts = [len(whole) * i // (pieces + 1) for i in range(pieces + 2)]
    parts = [whole[a:b] for a, b in itertools.pairwise(cuts)]
    octets = [headers(1, parts[0], end_headers=False)] + [continuation(1, part, end_headers=part is parts[-1]) for part in parts[1:]]
    assert len(accepted(peer, *octets)) == 1
    assert peer.connection.streams[1].headers == [(b"x-long", b"y" * 300)]


@requirement("9113-6.10-4")
@pytest.mark.parametrize("make", STARTING)
def test_flags_that_continuation_does_not_have(make: Any) -> None:
    peer = make()
    whole = message(peer)
    assert len(accepted(peer, headers(1, whole[:4], end_headers=False), frame(CONTINUATION, 0xFF, 1, whole[4:]))) == 1
    assert not peer.connection.streams[1].state == 5


@requirement("9113-6.10-4", "9113-4.1-2")
@pytest.mark.parametrize("make", STARTING)
def test_other_flags_do_not_end_the_block(make: Any) -> None:
    """Nor make an empty frame less empty."""
    peer = make()
    whole = message(peer)
    others = 0xFF & ~END_HEADERS
    peer.sends(headers(1, whole[:4], end_headers=False), frame(CONTINUATION, others, 1, whole[4:]))
    assert peer.happened() == []
    assert accepted(peer, continuation(1, b"")) != []
    assert peer.connection.block is None
    start = headers(1, b"", end_headers=False)
    connection_error(make(), "continuation_empty", start, frame(CONTINUATION, others, 1) * 2)


@requirement("9113-6.10-4", "9113-10.5-1")
@pytest.mark.parametrize("make", STARTING)
def test_bounds(make: Any) -> None:
    start = headers(1, b"", end_headers=False)
    connection_error(make(), "continuation_flood", start, continuation(1, b"\x82", end_headers=False) * 9)
    connection_error(make(), "continuation_empty", start, continuation(1, b"", end_headers=False) * 2)
    connection_error(make(), "header_block_too_large", start, continuation(1, bytes(16_384), end_headers=False) * 5)
