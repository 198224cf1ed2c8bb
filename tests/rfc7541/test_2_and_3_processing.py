"""RFC 7541 sections 2 and 3: order of fields, tables of each direction, representations one by one."""

from __future__ import annotations

from tests.support.engine import requesting, serving
from tests.support.hpack import Sender, decoded, plain, receiver
from tests.support.judged import requirement
from tests.support.wire import headers, request_block


@requirement("7541-2.1-1")
def test_2_1_order_is_kept() -> None:
    fields = [(b"b", b"2"), (b"a", b"1"), (b"b", b"1"), (b"a", b"1"), (b"c", b"")]
    assert decoded(plain(*fields)) == fields
    assert decoded(Sender().block(fields)) == fields


@requirement("7541-2.2-1")
def test_2_2_directions_have_tables_of_their_own() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block() + plain((b"a", b"1"), index=True), end_stream=True))
    assert server.decoder.table.entries() == [(b"a", b"1")]
    assert server.encoder.table.entries() == []
    client, _ = requesting()
    client.send_request([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a.example")], True, 1.0)
    assert client.encoder.table.entries() != []
    assert client.decoder.table.entries() == []


@requirement("7541-2.3.2-1")
def test_2_3_2_equal_entries_are_no_error() -> None:
    decoder = receiver()
    assert decoded(plain((b"a", b"1"), (b"a", b"1"), index=True), decoder) == [(b"a", b"1")] * 2
    assert decoder.table.entries() == [(b"a", b"1")] * 2


@requirement("7541-3.2-1")
def test_3_2_entry_can_be_used_at_once() -> None:
    """Insertions shift the indices of what follows in the same block."""
    block = plain((b"a", b"1"), index=True) + b"\xbe" + plain((b"b", b"2"), index=True) + b"\xbe\xbf"
    assert decoded(block) == [(b"a", b"1"), (b"a", b"1"), (b"b", b"2"), (b"b", b"2"), (b"a", b"1")]


@requirement("7541-3.2-1")
def test_3_2_size_update_takes_effect_before_the_fields() -> None:
    decoder = receiver()
    assert decoded(b"\x20" + plain((b"a", b"1"), index=True), decoder) == [(b"a", b"1")]
    assert decoder.table.entries() == []
