"""RFC 9113 section 8.2: names and values of fields, received and sent."""

from __future__ import annotations

from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from tests.support.engine import GET
from tests.support.faults import for_each
from tests.support.judged import (
    RECEIVING,
    STARTING,
    accepted,
    asked_server,
    client,
    message,
    open_client,
    open_server,
    pushing_client,
    requirement,
    stream_error,
)
from tests.support.wire import block, headers, push_promise, request_block

NOT_IN_NAMES = [*range(0x21), *range(0x41, 0x5B), *range(0x7F, 0x100), *b'"(),/;<=>?@[\\]{}']
CONNECTION_SPECIFIC = [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"]


def refused_everywhere(field: tuple[bytes, bytes]) -> None:
    """Neither a request, a response, trailers nor a promise with the field leave; nothing is sent, and the next one is."""
    asking, answering, pushing = client(), asked_server(), asked_server()
    answer, parent = answering.connection.streams[1], pushing.connection.streams[1]
    ending = open_client()
    for peer, verb in (
        (asking, lambda: asking.connection.send_request([*GET, field], True, asking.now)),
        (answering, lambda: answering.connection.send_response(answer, 200, [field], True, answering.now)),
        (answering, lambda: answering.connection.send_informational(answer, 103, [field], answering.now)),
        (ending, lambda: ending.connection.send_trailers(ending.connection.streams[1], [field], ending.now)),
        (pushing, lambda: pushing.connection.send_push_promise(parent, [*GET, field], pushing.now)),
    ):
        with pytest.raises(LocalProtocolError):
            verb()
        peer.gets()
    asking.connection.send_request(GET, True, asking.now)
    answering.connection.send_response(answer, 200, [], True, answering.now)
    answering.gets(headers(1, b"\x88", end_stream=True))


def broken_everywhere(field: tuple[bytes, bytes], rule: str) -> None:
    """A message that has the field, or trailers, are malformed in both roles."""
    for make in STARTING:
        peer = make()
        stream_error(peer, rule, headers(1, message(peer, field)))
    for make in RECEIVING:
        stream_error(make(), rule, headers(1, block(field), end_stream=True))


@requirement("9113-8.2-1")
@pytest.mark.parametrize("name", [b"Name", b"NAME", b"x-Y"])
def test_upper_case_is_not_sent(name: bytes) -> None:
    refused_everywhere((name, b"x"))


@requirement("9113-8.2.1-1", "9113-8.2-1", "9113-10.3-1")
@for_each("octet", NOT_IN_NAMES)
def test_octets_that_names_do_not_have(octet: int) -> None:
    for name in (bytes([octet]), b"a" + bytes([octet]), bytes([octet]) + b"a", b"a" + bytes([octet]) + b"b"):
        peer = open_server()
        stream_error(peer, "field_name_invalid", headers(1, block((name, b"x")), end_stream=True))
    broken_everywhere((b"a" + bytes([octet]) + b"b", b"x"), "field_name_invalid")


@requirement("9113-8.2.1-1")
def test_empty_name() -> None:
    broken_everywhere((b"", b"x"), "field_name_empty")
    refused_everywhere((b"", b"x"))


@requirement("9113-8.2.1-1")
@pytest.mark.parametrize("make", STARTING)
def test_octets_that_names_have(make: Any) -> None:
    peer = make()
    name = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
    accepted(peer, headers(1, message(peer, (name, b"x"))))
    assert peer.connection.streams[1].headers == [(name, b"x")]


@requirement("9113-8.2.1-2")
@pytest.mark.parametrize("name", [b"a:", b"a:b", b"x::"])
def test_colon_in_a_name(name: bytes) -> None:
    broken_everywhere((name, b"x"), "field_name_invalid")
    refused_everywhere((name, b"x"))


@requirement("9113-8.2.1-2", "9113-8.3-1")
@pytest.mark.parametrize("name", [b":", b":a", b":a:b", b"::", b":Method"])
def test_colon_before_a_name(name: bytes) -> None:
    for make in STARTING:
        peer = make()
        peer.sends(headers(1, block((name, b"x")) + message(peer)))
        assert next(iter(peer.counted("frame_errors")))[1] in ("pseudo_unknown", "field_name_invalid")
    refused_everywhere((name, b"x"))


@requirement("9113-8.2.1-3", "9113-10.3-1")
@pytest.mark.parametrize("octet", [0x00, 0x0A, 0x0D])
@pytest.mark.parametrize("around", [(b"", b""), (b"a", b"b"), (b"", b"b"), (b"a", b"")])
def test_octets_that_values_do_not_have(octet: int, around: tuple[bytes, bytes]) -> None:
    field = (b"a", around[0] + bytes([octet]) + around[1])
    broken_everywhere(field, "field_value_invalid")
    refused_everywhere(field)


@requirement("9113-8.2.1-4")
@pytest.mark.parametrize("value", [b" ", b"\t", b" a", b"a ", b"\ta", b"a\t", b" a ", b"a\t "])
def test_white_space_around_a_value(value: bytes) -> None:
    broken_everywhere((b"a", value), "field_value_invalid")
    refused_everywhere((b"a", value))


@requirement("9113-8.2.1-4")
@pytest.mark.parametrize("make", STARTING)
@pytest.mark.parametrize("value", [b"", b"a b", b"a\tb", b"\x01", b"\x7f", b"\x80\xff", b'a, b;c="d"'])
def test_values_that_are_taken(make: Any, value: bytes) -> None:
    peer = make()
    accepted(peer, headers(1, message(peer, (b"a", value))))
    assert peer.connection.streams[1].headers == [(b"a", value)]


@requirement("9113-8.2.1-5")
@pytest.mark.parametrize("field", [(b"a b", b"x"), (b"a\x00", b"x"), (b"\xff", b"x"), (b"a", b"b\r\nc: d")])
def test_what_could_not_be_received_is_not_sent(field: tuple[bytes, bytes]) -> None:
    refused_everywhere(field)


@requirement("9113-8.2.2-1")
@pytest.mark.parametrize("name", CONNECTION_SPECIFIC)
def test_connection_specific_fields_are_not_sent(name: bytes) -> None:
    refused_everywhere((name, b"x"))


@requirement("9113-8.2.2-2", "9113-10.3-1")
@pytest.mark.parametrize("name", CONNECTION_SPECIFIC)
@pytest.mark.parametrize("value", [b"", b"close", b"chunked", b"h2c"])
def test_connection_specific_fields_are_not_taken(name: bytes, value: bytes) -> None:
    broken_everywhere((name, value), "field_connection_specific")


@requirement("9113-8.2.2-3")
@pytest.mark.parametrize("value", [b"", b"gzip", b"trailers, gzip", b"Trailers;q=1", b"trailers,trailers"])
def test_te(value: bytes) -> None:
    broken_everywhere((b"te", value), "field_te")
    refused_everywhere((b"te", value))


@requirement("9113-8.2.2-3")
def test_te_trailers() -> None:
    peer = client()
    peer.connection.send_request([*GET, (b"te", b"trailers")], True, peer.now)
    assert len(peer.gets_frames()) == 1
    other = STARTING[0]()
    assert accepted(other, headers(1, request_block(b"GET", b"/", (b"te", b"trailers")))) == ["request 1"]


def test_promises_are_checked_alike() -> None:
    octets = push_promise(1, 2, request_block(b"GET", b"/", (b"upgrade", b"x")))
    stream_error(pushing_client(), "field_connection_specific", octets, stream_id=2)
