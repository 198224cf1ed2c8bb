"""RFC 8441: extended CONNECT, by which WebSocket and others run over a stream."""

from __future__ import annotations

from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from tests.support.engine import GET, requesting, serving
from tests.support.judged import BOTH, accepted, alive, client, connection_error, requirement, server, stream_error
from tests.support.wire import block, data, frames, headers, response_block, settings

_, SCHEME, PATH, AUTHORITY = GET
CONNECT, WEBSOCKET = (b":method", b"CONNECT"), (b":protocol", b"websocket")
WHOLE = [CONNECT, WEBSOCKET, SCHEME, PATH, AUTHORITY]


@requirement("8441-3-1")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("value", [2, 2**32 - 1])
def test_setting_above_1(make: Any, value: int) -> None:
    connection_error(make(), "settings_connect_protocol", settings({8: value}))


@requirement("8441-3-2")
def test_setting_is_not_taken_back() -> None:
    for acknowledged in (True, False):
        connection, peer = serving(handshake=acknowledged)
        peer.forget()
        with pytest.raises(LocalProtocolError, match=r"^SETTINGS_ENABLE_CONNECT_PROTOCOL was 1 and cannot be taken back \(RFC 8441 §3\)$"):
            connection.update_settings([(8, 0)], peer.now)
        peer.gets()
    connection, peer = serving(connect=False)
    connection.update_settings([(8, 0)], peer.now)
    peer.gets(settings({8: 0}))


@requirement("8441-3-2")
@pytest.mark.parametrize("connect", [True, False])
def test_server_announces_it_when_told_to(connect: bool) -> None:
    payload = frames(serving(handshake=False, connect=connect)[0].data_to_send())[0].payload
    assert (b"\0\x08\0\0\0\x01" in [payload[i : i + 6] for i in range(0, len(payload), 6)]) is connect


@requirement("8441-3-3")
@pytest.mark.parametrize("setting", [{}, {8: 0}])
def test_client_waits_for_the_setting(setting: dict[int, int]) -> None:
    peer = client()
    peer.sends(settings(setting))
    peer.forget()
    with pytest.raises(LocalProtocolError, match=r"RFC 8441 §3"):
        peer.connection.send_request(WHOLE, False, peer.now)
    peer.gets()
    peer.sends(settings({8: 1}))
    peer.forget()
    peer.connection.send_request(WHOLE, False, peer.now)
    assert accepted(server(), peer.connection.data_to_send()) == ["request 1"]


@requirement("8441-4-1")
@pytest.mark.parametrize("missing", [SCHEME, PATH, AUTHORITY])
def test_client_sends_all_of_them(missing: tuple[bytes, bytes]) -> None:
    peer = client()
    peer.sends(settings({8: 1}))
    peer.forget()
    with pytest.raises(LocalProtocolError, match=r"RFC 8441 §4"):
        peer.connection.send_request([field for field in WHOLE if field != missing], False, peer.now)
    peer.gets()


@requirement("8441-4-2")
def test_protocol_that_was_not_asked_for() -> None:
    peer = serving(connect=False)[1]
    stream_error(peer, "protocol_unexpected", headers(1, block(*WHOLE)))
    for method in (b"GET", b"POST"):
        stream_error(server(), "protocol_unexpected", headers(1, block((b":method", method), *WHOLE[1:])))
    stream_error(server(), "pseudo_duplicate", headers(1, block(*WHOLE, WEBSOCKET)))


@requirement("8441-4-3")
@pytest.mark.parametrize("missing", [SCHEME, PATH, AUTHORITY])
def test_request_that_lacks_one(missing: tuple[bytes, bytes]) -> None:
    stream_error(server(), "pseudo_missing", headers(1, block(*(field for field in WHOLE if field != missing))))


@requirement("8441-4-2", "9113-8.5-3")
def test_stream_is_a_tunnel() -> None:
    peer = server()
    accepted(peer, headers(1, block(*WHOLE)))
    stream = peer.connection.streams[1]
    assert (stream.method, stream.protocol, stream.path) == (b"CONNECT", b"websocket", b"/")
    peer.connection.send_response(stream, 200, [], False, peer.now)
    peer.connection.send_data(stream, b"down", False, peer.now)
    assert accepted(peer, data(1, b"up")) == ["data 1 up"]
    stream_error(peer, "connect_frame", headers(1, block((b"a", b"b")), end_stream=True))


def test_client_side_of_the_tunnel() -> None:
    connection, peer = requesting()
    peer.sends(settings({8: 1}))
    connection.send_request(WHOLE, False, peer.now)
    peer.forget()
    assert accepted(peer, headers(1, response_block()), data(1, b"down")) == ["response 1 200", "data 1 down"]
    alive(peer)
