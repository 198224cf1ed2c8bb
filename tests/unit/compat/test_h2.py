"""What the façade does beyond the h2 library: it keeps the engine's bounds, explains, counts, and leaves nothing half done."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from hpack import NeverIndexedHeaderTuple

from h2o_otel import counters
from h2o_otel.compat import h2
from h2o_otel.compat.h2.connection import H2Connection
from h2o_otel.compat.h2.settings import SettingCodes, Settings
from h2o_otel.counters import Snapshot
from tests.support import wire

REQUEST = [(":method", "POST"), (":scheme", "https"), (":authority", "example.com"), (":path", "/")]
RESPONSE = [(":status", "200")]


def server(**options: Any) -> H2Connection:
    return H2Connection(h2.config.H2Configuration(client_side=False, **options))


def exchange(client: H2Connection, other: H2Connection) -> tuple[list[h2.events.Event], list[h2.events.Event]]:
    """Carry octets both ways until there are none; what the client and the server heard."""
    heard: tuple[list[h2.events.Event], list[h2.events.Event]] = ([], [])
    while True:
        up, down = client.data_to_send(), other.data_to_send()
        if not up and not down:
            return heard
        heard[1].extend(other.receive_data(up))
        heard[0].extend(client.receive_data(down))


def connected(**options: Any) -> tuple[H2Connection, H2Connection]:
    client, other = H2Connection(), server(**options)
    client.initiate_connection()
    other.initiate_connection()
    exchange(client, other)
    return client, other


def counted() -> Snapshot:
    snapshot = Snapshot()
    snapshot.add_block(counters.local())
    return snapshot


def kinds(events: list[h2.events.Event]) -> list[str]:
    return [type(event).__name__ for event in events]


# -- explains


def test_fault_names_its_rule_and_shows_the_last_frames() -> None:
    _, other = connected()
    with pytest.raises(h2.exceptions.FlowControlError) as caught:
        other.receive_data(wire.window_update(0, 2**31 - 1))
    assert caught.value.rule == "window_overflow_connection"
    assert [str(frame).split()[2] for frame in caught.value.flight.frames()][-1] == "WINDOW_UPDATE"
    assert other.state_machine.state is h2.connection.ConnectionState.CLOSED


def test_events_before_a_fault_are_dropped_and_goaway_follows() -> None:
    client, other = connected()
    client.send_headers(1, REQUEST)
    with pytest.raises(h2.exceptions.ProtocolError):
        other.receive_data(client.data_to_send() + wire.data(1, b"x") + wire.frame(wire.PING, 0, 0, b"short"))
    assert kinds(client.receive_data(other.data_to_send())) == ["ConnectionTerminated"]
    with pytest.raises(h2.exceptions.ProtocolError):
        other.receive_data(wire.settings())


# -- leaves nothing half done


def test_refused_fields_use_up_no_stream_and_no_table() -> None:
    client, other = connected()
    with pytest.raises(h2.exceptions.ProtocolError):
        client.send_headers(1, [*REQUEST, ("x-new", "value"), (":late", "1")])
    assert client.get_next_available_stream_id() == 1
    client.send_headers(1, [*REQUEST, ("x-other", "value")], end_stream=True)
    _, heard = exchange(client, other)
    assert kinds(heard) == ["RequestReceived", "StreamEnded"]
    assert heard[0].headers[-1] == (b"x-other", b"value")  # type: ignore[attr-defined]


def test_field_of_the_wrong_type_leaves_the_table_as_it_was() -> None:
    client, other = connected()
    client.config.validate_outbound_headers = client.config.normalize_outbound_headers = False
    with pytest.raises((AttributeError, TypeError)):
        client.send_headers(1, [*REQUEST, ("x-new", "value"), ("x-wrong", 7)])
    client.send_headers(1, [*REQUEST, ("x-new", "value")], end_stream=True)
    assert kinds(exchange(client, other)[1]) == ["RequestReceived", "StreamEnded"]


def test_refused_data_leaves_the_stream_open() -> None:
    client, other = connected()
    client.send_headers(1, REQUEST)
    with pytest.raises(h2.exceptions.FlowControlError):
        client.send_data(1, bytes(65_536))
    with pytest.raises(h2.exceptions.FrameTooLargeError):
        client.send_data(1, bytes(16_385))
    client.send_data(1, b"small", end_stream=True)
    with pytest.raises(h2.exceptions.ProtocolError):
        client.send_data(1, b"more")
    assert kinds(exchange(client, other)[1]) == ["RequestReceived", "DataReceived", "StreamEnded"]
    other.send_headers(1, RESPONSE, end_stream=True)
    assert kinds(exchange(client, other)[0]) == ["ResponseReceived", "StreamEnded"]


def test_octets_are_taken_in_parts() -> None:
    client = H2Connection()
    client.initiate_connection()
    first = client.data_to_send(5)
    client.send_headers(1, REQUEST)
    client.ping(b"12345678")
    rest = client.data_to_send()
    assert first == b"PRI *"
    assert kinds(server().receive_data(first + rest)) == ["RemoteSettingsChanged", "RequestReceived", "PingReceived"]


# -- the engine's bounds


def test_ping_flood_ends_the_connection() -> None:
    _, other = connected()
    with pytest.raises(h2.exceptions.DenialOfServiceError) as caught:
        other.receive_data(wire.frame(wire.PING, 0, 0, b"12345678") * 1000)
    assert caught.value.error_code is h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
    assert caught.value.rule == "ping_flood"


def test_rapid_reset_ends_the_connection() -> None:
    client, other = connected()

    def cancel(n: int) -> int:
        client.send_headers(2 * n + 1, REQUEST, end_stream=True)
        client.reset_stream(2 * n + 1, 8)
        other.receive_data(client.data_to_send())
        return len(other.streams)

    # Streams that are over are let go when the next one opens.
    assert max(cancel(n) for n in range(1000)) == 1
    with pytest.raises(h2.exceptions.DenialOfServiceError):
        [cancel(1000 + n) for n in range(100)]


def test_fields_beyond_the_announced_size_are_refused() -> None:
    client, other = connected()
    client.send_headers(1, [*REQUEST, *[(f"x-{n}", "v" * 1000) for n in range(70)]])
    with pytest.raises(h2.exceptions.DenialOfServiceError):
        other.receive_data(client.data_to_send())


def test_promises_beyond_the_bound_are_refused_one_by_one() -> None:
    client, other = connected()
    client.send_headers(1, REQUEST, end_stream=True)
    exchange(client, other)
    for n in range(1, 103):
        other.push_stream(1, 2 * n, [(":method", "GET"), *REQUEST[1:]])
    heard, resets = exchange(client, other)
    assert kinds(heard) == ["PushedStreamReceived"] * 100
    assert kinds(resets) == ["StreamReset"] * 2


# -- settings


def test_frame_sizes_may_be_set() -> None:
    client, other = connected()
    client.max_outbound_frame_size = 50
    client.send_headers(1, [*REQUEST, ("x-long", "value" * 40)])
    with pytest.raises(h2.exceptions.FrameTooLargeError):
        client.send_data(1, bytes(51))
    other.max_inbound_frame_size = 20
    with pytest.raises(h2.exceptions.FrameTooLargeError):
        other.receive_data(client.data_to_send())


def test_settings_may_be_replaced_before_the_beginning() -> None:
    client, other = H2Connection(), server()
    other.local_settings = Settings(
        client=False,
        initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: 1, SettingCodes.INITIAL_WINDOW_SIZE: 10, SettingCodes.MAX_FRAME_SIZE: 20_000},
    )
    del other.local_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]
    other.initiate_connection()
    client.initiate_connection()
    exchange(client, other)
    assert SettingCodes.ENABLE_CONNECT_PROTOCOL in client.remote_settings
    assert (client.max_outbound_frame_size, other.max_inbound_frame_size) == (20_000, 20_000)
    client.send_headers(1, REQUEST)
    assert client.local_flow_control_window(1) == 10
    exchange(client, other)
    assert other.remote_flow_control_window(1) == 10
    with pytest.raises(h2.exceptions.TooManyStreamsError):
        client.send_headers(3, REQUEST)


def test_never_indexed_fields_stay_so_both_ways() -> None:
    client, other = connected()
    client.send_headers(1, [*REQUEST, NeverIndexedHeaderTuple("x-token", "secret"), ("x-plain", "1")], end_stream=True)
    request = exchange(client, other)[1][0]
    assert [type(field).__name__ for field in request.headers[-2:]] == ["NeverIndexedHeaderTuple", "HeaderTuple"]  # type: ignore[attr-defined]


def test_malformed_fields_are_shown_in_order_where_nobody_checks() -> None:
    client, other = connected(validate_inbound_headers=False)
    client.config.validate_outbound_headers = client.config.normalize_outbound_headers = False
    sent = [(b"x-First", b" v "), (b":path", b""), (b":method", b"GET"), (b"te", b"gzip"), (b":method", b"PUT"), (b"", b"\n")]
    client.send_headers(1, sent, end_stream=True)
    client.send_headers(3, sent, end_stream=True)
    heard = exchange(client, other)[1]
    assert [event.headers for event in heard if isinstance(event, h2.events.RequestReceived)] == [sent, sent]


# -- counts


def test_nothing_is_left_in_the_gauges() -> None:
    gc.collect()
    before = counted()
    client, other = connected()
    for stream_id in (1, 3, 5):
        client.send_headers(stream_id, REQUEST)
        client.send_data(stream_id, b"unread", pad_length=3, end_stream=stream_id == 3)
    client.reset_stream(5)
    _, heard = exchange(client, other)
    other.acknowledge_received_data(10, 1)
    other.send_headers(3, RESPONSE, end_stream=True)
    during = counted()
    assert during.value("connection_active", "client") == before.value("connection_active", "client") + 1
    assert during.value("stream_active", "server") == before.value("stream_active", "server") + 1
    assert [event.flow_controlled_length for event in heard if isinstance(event, h2.events.DataReceived)] == [10, 10, 10]
    del client, other, heard
    after = counted()
    for name, roles in (("connection_active", 2), ("stream_active", 2), ("flow_control_unread", 2)):
        for role in counters.ROLES[:roles]:
            assert after.value(name, role) == before.value(name, role), (name, role)


def test_connection_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        client, other = connected()
        client.send_headers(1, REQUEST)
        exchange(client, other)
        del client, other
        assert gc.collect() == 0
    finally:
        gc.enable()


# -- in the place of h2


def test_install_refuses_to_mix_two_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = set(h2._MODULES)
    monkeypatch.setitem(sys.modules, "h2", type(sys)("h2"))
    with pytest.raises(RuntimeError, match="before whatever imports h2"):
        h2.install()
    assert sys.modules["h2"] is not h2
    monkeypatch.delitem(sys.modules, "h2")
    for module in ours:
        monkeypatch.delitem(sys.modules, "h2." + module.__name__.rpartition(".")[2], raising=False)
    h2.install()
    h2.install()
    assert sys.modules["h2"] is h2
    assert sys.modules["h2.connection"] is h2.connection
    # Not by the monkeypatch, which would put ours back.
    for name in [name for name in sys.modules if name == "h2" or name.startswith("h2.")]:
        if getattr(sys.modules[name], "__name__", "").startswith("h2o_otel."):
            del sys.modules[name]
