"""What a peer chooses costs no more than what honest peers send: long priorities are ignored, malformed fields are not worked on."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from h2o_otel import counters, rules
from h2o_otel._pure import build
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.limits import EngineLimits
from tests.support.engine import serving
from tests.support.hpack import plain, receiver
from tests.support.wire import PRIORITY_UPDATE, frame, headers, priority_update, request_block

IGNORED = "fields_ignored", "priority"

MALFORMED = (
    (b"", b""),
    (b"", b"value"),
    (b"Upper", b"v"),
    (b"sp ace", b"v"),
    (b":bogus", b"v"),
    (b":path", b"/again"),
    (b"connection", b"close"),
    (b"te", b"gzip"),
    (b"x-a", b" edge"),
    (b"content-length", b"x"),
)
REQUEST = ((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"example.com"), (b":path", b"/a"))


def calls(work: Callable[[], object]) -> int:
    """Functions that ``work`` calls, of Python and of C."""
    found = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def read(decoder: Decoder, family: str, *labels: str) -> int:
    snapshot = counters.Snapshot()
    snapshot.add_block(decoder.counters)
    return snapshot.value(family, *labels)


# -- priorities


@pytest.mark.parametrize("value", [b"u=1" + b" " * 253 + b",i", b"u=1, a=(" + b'"x";p ' * 1300 + b")", b"u=1;" + b"a;" * 4000])
def test_a_long_priority_field_is_ignored_and_counted(value: bytes) -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"GET", b"/", (b"priority", value)), end_stream=True))
    stream = server.streams[1]
    assert (stream.urgency, stream.incremental) == (3, False)
    assert (b"priority", value) in stream.headers
    assert peer.read(*IGNORED) == 1
    assert sum(peer.read("priority_streams", urgency, flag) for urgency in counters.URGENCIES for flag in counters.BOOLEANS) == 0


def test_priority_fields_of_one_message_are_bounded_together() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"GET", b"/", *[(b"priority", b"u=1")] * 51), end_stream=True))
    assert server.streams[1].urgency == 1
    assert peer.read(*IGNORED) == 0
    peer.sends(headers(3, request_block(b"GET", b"/", *[(b"priority", b"u=1")] * 52, (b"priority", b"u=2")), end_stream=True))
    assert server.streams[3].urgency == 3
    assert peer.read(*IGNORED) == 1


def test_a_long_priority_update_is_ignored_and_counted() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    peer.sends(priority_update(1, b"u=1" + b" " * 253))
    assert server.streams[1].urgency == 1
    peer.sends(priority_update(1, b"u=2" + b" " * 254), priority_update(3, b"u=2" + b" " * 16_000))
    assert server.streams[1].urgency == 1
    assert server.idle_priorities == {}
    assert peer.read(*IGNORED) == 2


def test_the_limit_of_priorities_is_settable() -> None:
    server, peer = serving(EngineLimits(priority_bytes_max=4))
    peer.sends(headers(1, request_block(b"GET", b"/", (b"priority", b"u=1")), end_stream=True))
    peer.sends(headers(3, request_block(b"GET", b"/", (b"priority", b"u=1, i")), end_stream=True))
    peer.sends(frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=6,i"))
    assert (server.streams[1].urgency, server.streams[3].urgency) == (1, 3)


# -- malformed fields


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("field", MALFORMED)
def test_a_malformed_name_is_examined_once(field: tuple[bytes, bytes], index: bool) -> None:
    decoder = receiver(names_cached_max=64)
    decoder.decode_block(plain(field, index=index))
    examined = read(decoder, "hpack_names", "receive", "examined")
    decoder.decode_block(plain(*REQUEST, *[field] * 200, index=index))
    assert read(decoder, "hpack_names", "receive", "examined") == examined
    assert decoder.violation is not None


@pytest.mark.skipif(build() != "pure", reason="calls inside compiled modules are not seen")
@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("field", MALFORMED)
def test_a_malformed_field_costs_no_more_calls_than_a_valid_one(field: tuple[bytes, bytes], index: bool) -> None:
    decoder = receiver()
    valid = plain(*REQUEST, *[(b"x-a", b"v" * len(field[1]))] * 200, index=index)
    hostile = plain(*REQUEST, *[field] * 200, index=index)
    for block in (valid, hostile):
        decoder.decode_block(block)
    # A few octets are looked at once more to tell what is wrong with a value; the first fault is kept, with what its message needs.
    assert calls(lambda: decoder.decode_block(hostile)) <= 1.25 * calls(lambda: decoder.decode_block(valid))


def test_the_message_of_a_stream_error_is_made_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    text = rules.Fault.__str__
    monkeypatch.setattr(rules.Fault, "__str__", lambda fault: read.append(fault) or text(fault))
    _, peer = serving()
    peer.sends(headers(1, request_block(b"POST"), end_stream=False))
    peer.sends(headers(1, plain((b"", b"")), end_stream=True))
    assert read == []
    (reset,) = peer.errors()
    assert str(reset) == "stream 1: a field with an empty name (PROTOCOL_ERROR, RFC 9113 §8.2.1)"
    assert len(read) == 1
