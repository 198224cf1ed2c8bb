"""Every rule against floods and slowness (RFC 9113 section 10.5): what breaks it, and what the peer and the application get for it."""

from __future__ import annotations

import pytest

from tests.support.breaking import (
    Case,
    after,
    answering_server,
    breaks,
    breaks_slowly,
    fresh_server,
    open_server,
    paused_server,
    pinging_server,
    pressed_answering_server,
    pressed_server,
    server,
    strict_server,
)
from tests.support.engine import Peer
from tests.support.wire import (
    PREFACE,
    continuation,
    data,
    frame,
    goaway,
    headers,
    ping,
    priority,
    priority_update,
    request_block,
    rst_stream,
    settings,
    window_update,
)


def one_more_later(peer: Peer) -> None:
    """A small frame in a read of its own: what one read brings, nobody could read before."""
    peer.now += 0.001
    peer.sends(data(1, b"x"))


CASES = [
    Case(
        "preface_timeout",
        fresh_server,
        PREFACE,
        "no SETTINGS 10.0 s after the connection began, limit 10.0 s (PROTOCOL_ERROR, RFC 9113 §3.4)",
        then=after(10.0),
    ),
    Case(
        "header_block_timeout",
        server,
        headers(1, b"", end_headers=False),
        "the field block of stream 1 is open for 10.0 s, limit 10.0 s (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
        then=after(10.0),
    ),
    Case(
        "frame_timeout",
        open_server,
        ping()[:12],
        "PING on stream 0 is incomplete for 10.0 s, limit 10.0 s (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
        then=after(10.0),
    ),
    Case(
        "header_block_timeout",
        open_server,
        headers(3, request_block())[:12],
        "the field block of stream 3 is open for 10.0 s, limit 10.0 s (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
        then=after(10.0),
    ),
    Case("goaway_flood", server, goaway(0) * 11, "more than 10 GOAWAY frames at once (ENHANCE_YOUR_CALM, RFC 9113 §10.5)"),
    Case(
        "tls_record_flood",
        server,
        b"",
        "more than 32 TLS records without octets of the connection at once (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
        then=lambda peer: peer.connection.barren_records(33, peer.now),
    ),
    Case("ping_timeout", pinging_server, b"", "no answer to PING after 5.0 s, limit 5.0 s (NO_ERROR, RFC 9113 §6.7)", then=after(5.0)),
    Case(
        "continuation_flood",
        server,
        headers(1, b"", end_headers=False) + continuation(1, b"\x82", end_headers=False) * 9,
        "9 CONTINUATION frames in one field block, at most 8 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "continuation_empty",
        server,
        headers(1, b"", end_headers=False) + continuation(1, b"", end_headers=False) * 2,
        "2 empty CONTINUATION frames in one field block, at most 1 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "rapid_reset",
        strict_server,
        b"".join(headers(i, request_block(), end_stream=True) + rst_stream(i, 8) for i in (1, 3, 5)),
        "RST_STREAM on stream 5: more than 2 cancelled requests at once (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "made_you_reset",
        strict_server,
        b"".join(headers(i, request_block(), end_stream=True) + window_update(i, 0) for i in (1, 3, 5)),
        "stream 5: more than 2 streams had to be reset for faults of the peer (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case("ping_flood", strict_server, ping() * 3, "too_many_pings: more than 2 PINGs at once (ENHANCE_YOUR_CALM, RFC 9113 §10.5)"),
    Case("settings_flood", strict_server, settings() * 2, "more than 2 SETTINGS frames at once (ENHANCE_YOUR_CALM, RFC 9113 §10.5)"),
    Case(
        "empty_data_flood",
        open_server,
        data(1) * 11,
        "stream 1: 11 DATA frames without data, at most 10 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "empty_data_flood",
        open_server,
        (data(1) + data(1, bytes(300))) * 101,
        "stream 1: 101 DATA frames without data, at most 100 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "small_data_flood",
        strict_server,
        headers(1, request_block(b"POST")) + data(1, b"x") * 101,
        "stream 1: unread small DATA frames cost 26010 octets, at most 25600 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
        then=one_more_later,
    ),
    Case(
        "window_update_flood",
        server,
        window_update(0, 1) * 6,
        "6 WINDOW_UPDATE frames, at most 5 for what was sent (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "priority_flood",
        server,
        priority(1, 3) * 101,
        "101 priority frames, at most 100 for the streams opened (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "priority_flood",
        server,
        priority_update(1, b"u=1") * 101,
        "101 priority frames, at most 100 for the streams opened (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "glitch_flood",
        strict_server,
        frame(0xFA, 0, 0, b"x") * 3,
        "more than 2 useless frames at once, the last one of an unknown type (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "control_queue_flood",
        paused_server,
        ping() * 3,
        "3 answers wait for a peer that does not read, at most 2 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "body_stalled",
        open_server,
        b"",
        "stream 1: nothing of the body has arrived for 90.0 s, limit 90.0 s (CANCEL, RFC 9113 §10.5)",
        then=after(91.0),
    ),
    Case(
        "body_too_slow",
        pressed_server,
        b"",
        "stream 1: the body arrives at 0 octets/s, at least 240 are asked for (CANCEL, RFC 9113 §10.5)",
        then=after(8.0),
    ),
    Case(
        "send_stalled",
        answering_server,
        b"",
        "stream 1: the peer has not let any body through for 90.0 s, limit 90.0 s (CANCEL, RFC 9113 §10.5)",
        then=after(90.0),
    ),
    Case(
        "send_stalled",
        pressed_answering_server,
        b"",
        "stream 1: the peer has not let any body through for 30.0 s, limit 30.0 s (CANCEL, RFC 9113 §10.5)",
        then=after(30.0),
    ),
    Case(
        "send_too_slow",
        pressed_answering_server,
        window_update(1, 1) + window_update(0, 1),
        "stream 1: the peer takes the body at 0 octets/s, at least 256 are asked for (CANCEL, RFC 9113 §10.5)",
        then=after(12.0),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it(case: Case) -> None:
    breaks(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it_octet_by_octet(case: Case) -> None:
    breaks_slowly(case)
