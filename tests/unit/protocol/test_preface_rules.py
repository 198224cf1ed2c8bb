"""Every rule of the connection preface (RFC 9113 section 3.4): what breaks it, and what the peer and the application get for it."""

from __future__ import annotations

import pytest

from tests.support.breaking import (
    Case,
    breaks,
    breaks_slowly,
    fresh_client,
    fresh_server,
)
from tests.support.wire import (
    PREFACE,
    ping,
    settings_ack,
)

CASES = [
    Case(
        "preface_invalid",
        fresh_server,
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        "the connection began with b'GET / HTTP/1.1\\r\\nHost: a\\r', not with the client preface (PROTOCOL_ERROR, RFC 9113 §3.4)",
    ),
    Case(
        "preface_http1",
        fresh_client,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "the server answered in HTTP/1: it does not speak HTTP/2 on this port, or needs TLS with ALPN for it"
        " (PROTOCOL_ERROR, RFC 9113 §3.4)",
    ),
    Case("preface_no_settings", fresh_server, PREFACE + ping(), "the first frame was PING, not SETTINGS (PROTOCOL_ERROR, RFC 9113 §3.4)"),
    Case(
        "preface_no_settings",
        fresh_client,
        settings_ack(),
        "the first frame was SETTINGS acknowledgement, not SETTINGS (PROTOCOL_ERROR, RFC 9113 §3.4)",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it(case: Case) -> None:
    breaks(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it_octet_by_octet(case: Case) -> None:
    breaks_slowly(case)
