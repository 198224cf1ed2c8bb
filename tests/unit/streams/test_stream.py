from __future__ import annotations

from h2o_otel.streams.states import State
from h2o_otel.streams.stream import Stream


def test_new_stream() -> None:
    stream = Stream(7, 65_535, 100, 2.5)
    assert (stream.id, stream.state, stream.send_window, stream.recv_window, stream.opened_at) == (7, State.IDLE, 65_535, 100, 2.5)
    assert (stream.status, stream.content_length, stream.urgency, stream.incremental) == (0, -1, 3, False)
    assert stream.headers is stream.trailers is stream.method is stream.path is stream.trace is stream.user is None
    assert not any([stream.local, stream.refused, stream.counted, stream.closed_by])


def test_repr_names_windows() -> None:
    assert repr(Stream(7, 10, -5, 0.0)) == "<Stream 7 state=0 send_window=10 recv_window=-5 queued=0>"


def test_window_beyond_32_bits_is_kept() -> None:
    assert Stream(1, 2**31 - 1, -(2**31), 0.0).recv_window == -(2**31)
