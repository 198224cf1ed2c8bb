"""SETTINGS both ways: effect, acknowledgement, limits (RFC 9113 section 6.5)."""

from __future__ import annotations

import pytest

from h2o_otel.errors import LocalProtocolError
from h2o_otel.frames.types import SettingCode
from h2o_otel.limits import SETTINGS_SHARED_MAX
from h2o_otel.protocol.settings import INITIAL, _shared, with_changes
from tests.support.engine import GET, requesting, serving
from tests.support.wire import data, frame, headers, request_block, response_block, rst_stream, settings, settings_ack, window_update


def test_acknowledged_and_told() -> None:
    server, peer = serving()
    peer.sends(settings({3: 7, 6: 1000}))
    peer.gets(settings_ack())
    peer.sees("settings")
    assert server.remote_settings[SettingCode.MAX_CONCURRENT_STREAMS] == 7
    assert server.remote_settings[SettingCode.MAX_HEADER_LIST_SIZE] == 1000


def test_unknown_settings_are_ignored() -> None:
    server, peer = serving()
    before = dict(server.remote_settings)
    peer.sends(settings({0: 1, 7: 2, 0xFFFF: 3}))
    peer.gets(settings_ack())
    assert server.remote_settings == before


def test_last_value_counts() -> None:
    client, peer = requesting()
    peer.sends(frame(4, payload=bytes.fromhex("000300000005 000300000001")))
    client.send_request(GET, True, peer.now)
    assert not client.can_open_stream()


def test_max_concurrent_streams_holds_requests_back() -> None:
    client, peer = requesting()
    peer.sends(settings({3: 1}))
    stream = client.send_request(GET, True, peer.now)
    with pytest.raises(LocalProtocolError, match=r"^1 streams are open, the peer allows 1 \(RFC 9113 §5.1.2\)$"):
        client.send_request(GET, True, peer.now)
    peer.sends(headers(stream.id, response_block(204), end_stream=True))
    assert client.can_open_stream()


def test_no_streams_at_all() -> None:
    client, peer = requesting()
    peer.sends(settings({3: 0}))
    assert not client.can_open_stream()
    peer.sends(settings({3: 1}))
    assert client.can_open_stream()


def test_local_settings_wait_for_the_acknowledgement() -> None:
    server, peer = serving()
    server.update_settings([(4, 10), (3, 1)], peer.now)
    peer.gets(settings({4: 10, 3: 1}))
    peer.sends(headers(1, request_block(b"POST")), data(1, b"x" * 11), headers(3, request_block(b"POST")))
    assert server.streams_open == 2
    peer.sends(settings_ack())
    peer.forget()
    peer.sends(headers(5, request_block()))
    peer.gets(rst_stream(5, 7))
    assert server.local_settings[SettingCode.INITIAL_WINDOW_SIZE] == 10


def test_smaller_window_leaves_a_negative_one() -> None:
    """64 KiB were allowed and 200 octets used; then the window is 100: 100 - 200 = -100."""
    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST")), data(1, b"x" * 200))
    server.update_settings([(4, 100)], peer.now)
    peer.sends(settings_ack())
    assert server.streams[1].recv_window == -100
    peer.forget()
    server.credit(server.streams[1], 200, peer.now)
    peer.gets(window_update(1, 200))
    assert server.streams[1].recv_window == 100


def test_empty_data_needs_no_window() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST")), data(1, b"x" * 200))
    server.update_settings([(4, 100)], peer.now)
    peer.sends(settings_ack())
    peer.forget()
    peer.sends(data(1, end_stream=True))
    peer.sees("data 1  end")


def test_header_table_of_zero() -> None:
    server, peer = serving()
    peer.sends(settings({1: 0}), headers(1, request_block(), end_stream=True))
    peer.forget()
    server.send_response(server.streams[1], 200, [(b"x-a", b"b"), (b"x-a", b"b")], True, peer.now)
    # A size update, :status 200, and the field twice without an entry in the table to refer to.
    block = peer.gets_frames()[0].payload
    assert block[:2] == b"\x20\x88"
    assert len(block) % 2 == 0
    assert block[2 : 2 + len(block) // 2 - 1] == block[1 + len(block) // 2 :]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ((2, 2), "SETTINGS_ENABLE_PUSH is 2 (PROTOCOL_ERROR, RFC 9113 §6.5.2)"),
        ((5, 1), "SETTINGS_MAX_FRAME_SIZE is 1, outside 16384 to 16777215 (PROTOCOL_ERROR, RFC 9113 §6.5.2)"),
    ],
)
def test_bad_settings_of_our_own(entry: tuple[int, int], text: str) -> None:
    server, peer = serving()
    with pytest.raises(LocalProtocolError) as caught:
        server.update_settings([entry], peer.now)
    assert str(caught.value) == text
    peer.gets()


def test_acknowledgements_in_order() -> None:
    server, peer = serving()
    server.update_settings([(6, 1)], peer.now)
    server.update_settings([(6, 2)], peer.now)
    peer.sends(settings_ack())
    assert server.local_settings[6] == 1
    peer.sends(settings_ack())
    assert server.local_settings[6] == 2


def test_enable_connect_protocol_reaches_the_client() -> None:
    client, peer = requesting()
    peer.sends(settings({8: 1}))
    assert client.remote_settings[SettingCode.ENABLE_CONNECT_PROTOCOL] == 1


def test_repr_has_names() -> None:
    server, _ = serving()
    assert repr(server.remote_settings).startswith("Settings(HEADER_TABLE_SIZE=4096, ENABLE_PUSH=1, INITIAL_WINDOW_SIZE=65535")


def test_connections_share_equal_settings() -> None:
    first, peer = serving()
    second, other = serving()
    third, another = serving()
    for sender in (peer, other):
        sender.sends(settings({3: 7, 6: 1000}) + settings_ack())
    another.sends(settings({3: 8}))
    assert first.remote_settings is second.remote_settings
    assert first.local_settings is second.local_settings
    assert third.remote_settings[3] == 8
    assert first.remote_settings[3] == 7


def test_a_flood_of_settings_keeps_no_more_than_its_bound() -> None:
    made = [with_changes(INITIAL, {3: value}) for value in range(2 * SETTINGS_SHARED_MAX)]
    assert len(_shared) <= SETTINGS_SHARED_MAX
    assert [found[3] for found in made] == list(range(2 * SETTINGS_SHARED_MAX))
    assert INITIAL == {1: 4096, 2: 1, 4: 65_535, 5: 16_384, 8: 0, 9: 0}
