"""What a connection may hold after any attack, however long it went on."""

from __future__ import annotations

from typing import Any

from tests.support.engine import Peer


def stopped(peer: Peer, rule: str, result: str = "closed") -> None:
    """The guard acted once and said so in its counter, and nothing is held beyond the named limits."""
    assert [error.rule for error in peer.errors()][-1] == rule
    assert peer.counted("abuse_detections")[rule, result] == 1
    assert peer.connection.closed is (result == "closed")
    within_limits(peer.connection)


def within_limits(connection: Any) -> None:
    """Every table of the connection is inside its named bound."""
    limits = connection.limits
    assert len(connection.streams) <= limits.streams_max + limits.streams_held_max
    assert 0 <= connection.held_bytes <= limits.streams_held_bytes_max
    assert len(connection.reset_streams) <= limits.closed_streams_remembered_max
    assert len(connection.idle_priorities) <= limits.streams_max
    assert connection.guards.control_queued <= limits.control_queue_frames_max + 1
    assert connection.recv_window <= max(65_535, limits.window_bytes_max)
    if connection.closed:
        assert not connection.streams
        assert connection.held_bytes == 0
        assert connection.queued == 0
