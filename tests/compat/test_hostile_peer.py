"""Whatever a peer sends, the façade raises nothing but its own exceptions, says so to the peer, and is over."""

from __future__ import annotations

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from h2o_otel.compat import h2
from tests.support import wire

REQUEST = [(":method", "POST"), (":scheme", "https"), (":authority", "example.com"), (":path", "/")]
BLOCKS = [Encoder().encode(fields) for fields in (REQUEST, [(":status", "200")], [(":status", "103")], [("x", "y")], REQUEST[1:])]
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([bytes(4), bytes(5), bytes(8), b"\x00\x00\x01\x00", b"\x00\x04\x00\x00\x00\x01", *BLOCKS]),
    st.sampled_from(BLOCKS).map(lambda block: b"\x00\x00\x00\x02" + block),
)
FRAMES = st.builds(
    wire.frame,
    st.sampled_from([*range(12), wire.PRIORITY_UPDATE, 0x99]),
    st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x25, 0xFF]),
    st.sampled_from([0, 0, 1, 1, 2, 3, 4, 5, 2**31 - 1]),
    PAYLOADS,
)


def victims(validate: bool) -> list[h2.connection.H2Connection]:
    """Both ends of a connection with a stream that is open and one that has been reset."""
    client, server = (
        h2.connection.H2Connection(h2.config.H2Configuration(side, validate_inbound_headers=validate)) for side in (True, False)
    )
    client.initiate_connection()
    server.initiate_connection()
    client.send_headers(1, REQUEST)
    client.send_headers(3, REQUEST)
    client.reset_stream(3)
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    return [client, server]


def refusal(victim: h2.connection.H2Connection, octets: bytes) -> h2.exceptions.ProtocolError | None:
    """How ``victim`` refuses ``octets``, None when it takes them."""
    try:
        assert "object at" not in repr(victim.receive_data(octets))
    except h2.exceptions.ProtocolError as error:
        return error
    return None


@pytest.mark.parametrize("validate", [True, False])
@given(received=st.lists(FRAMES, min_size=1, max_size=12))
def test_only_our_exceptions_and_a_goaway(validate: bool, received: list[bytes]) -> None:
    for victim in victims(validate):
        error = next(filter(None, (refusal(victim, octets) for octets in received)), None)
        assert victim.open_inbound_streams >= 0
        sent = victim.data_to_send()
        if error is not None:
            assert (sent[-14], int.from_bytes(sent[-4:], "big")) == (wire.GOAWAY, error.error_code)
            assert victim.state_machine.state is h2.connection.ConnectionState.CLOSED
            with pytest.raises(h2.exceptions.ProtocolError):
                victim.send_headers(5, REQUEST)
