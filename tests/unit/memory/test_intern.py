"""Interned values: shared, and bounded whatever a peer sends."""

from __future__ import annotations

import pytest

from h2o_otel.counters import Counters, Snapshot
from h2o_otel.memory.intern import ValueTable, local_values
from h2o_otel.tuning import Tuning
from tests.support.engine import serving
from tests.support.wire import headers, request_block


def fresh(text: str) -> bytes:
    return text.encode()


def value(block: Counters, name: str, *labels: str) -> int:
    snapshot = Snapshot()
    snapshot.add_block(block)
    return snapshot.value(name, *labels)


def test_equal_values_are_one_object() -> None:
    block = Counters()
    table = ValueTable(block, 10, 100)
    first = fresh("application/json")
    assert table.intern(first) is first
    assert table.intern(fresh("application/json")) is first
    assert value(block, "memory_interned_lookups", "hit") == 1
    assert value(block, "memory_interned_lookups", "miss") == 1


@pytest.mark.parametrize("n", [0, 101, 5000])
def test_empty_and_long_values_are_not_kept(n: int) -> None:
    block = Counters()
    table = ValueTable(block, 10, 100)
    given = b"x" * n
    assert table.intern(given) is given
    assert table.count == value(block, "memory_interned_size") == 0


def test_flood_stays_inside_the_bound_and_spares_what_is_used() -> None:
    block = Counters()
    table = ValueTable(block, 100, 100)
    used = table.intern(fresh("text/html"))
    for i in range(10_000):
        table.intern(b"made up %d" % i)
        if i % 50 == 0:
            assert table.intern(fresh("text/html")) is used
        assert table.count <= 200
    assert value(block, "memory_interned_size") <= 200 * (len("made up 10000") + 33)


def test_one_table_for_a_thread() -> None:
    block = Counters()
    assert local_values(block, 10, 10) is local_values(block, 10, 10)


AGENT = (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0)")


def entered(tuning: Tuning, *fields: tuple[bytes, bytes]) -> list[bytes]:
    """The values in the decoder's table of a connection of its own."""
    server, peer = serving(tuning=tuning)
    # Literals with incremental indexing, not Huffman coded.
    literals = b"".join(b"\x40" + bytes([len(n)]) + n + bytes([len(v)]) + v for n, v in fields)
    peer.sends(headers(1, request_block() + literals, end_stream=True))
    peer.sees("request 1 end")
    server.decoder.interned = None
    return [v for n, v in server.decoder.table.entries() if n in dict(fields)]


def test_tables_of_connections_share_values(monkeypatch: pytest.MonkeyPatch) -> None:
    table = ValueTable(Counters(), 100, 100)
    monkeypatch.setattr("h2o_otel.protocol.state.local_values", lambda *_: table)
    one, other = entered(Tuning(), AGENT)[0], entered(Tuning(), AGENT)[0]
    assert one == AGENT[1]
    assert one is other
    plain = Tuning(memory_interning=False)
    assert entered(plain, AGENT)[0] is not entered(plain, AGENT)[0]


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"set-cookie", b"x-request-id"])
def test_secret_and_volatile_values_are_not_interned(monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    table = ValueTable(Counters(), 100, 100)
    monkeypatch.setattr("h2o_otel.protocol.state.local_values", lambda *_: table)
    assert entered(Tuning(), (name, b"secret-or-new")) == [b"secret-or-new"]
    assert table.intern(b"never seen") == b"never seen"
    assert table.count == 1
