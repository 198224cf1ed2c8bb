from __future__ import annotations

import random
from collections import deque

from h2o_otel.hpack.table import STATIC_ENTRIES, DynamicTable
from tests.support.hpack import Sender, plain, receiver


def test_static_entries_by_index() -> None:
    assert [STATIC_ENTRIES[i].pair for i in (1, 2, 61)] == [(b":authority", b""), (b":method", b"GET"), (b"www-authenticate", b"")]
    assert STATIC_ENTRIES[61].number == -61


def test_new_table_is_empty() -> None:
    table = DynamicTable(100)
    assert (table.capacity, table.size, table.count, table.entries()) == (100, 0, 0, [])


def test_ring_grows_and_wraps(rng: random.Random) -> None:
    # The model is a deque; several hundred entries make the ring double more than once.
    decoder = receiver(header_table_bytes=65_536, header_fields_max=10_000)
    decoder.set_allowed_table_size(65_536)
    decoder.decode_block(bytes.fromhex("3fe1ff03"))
    model: deque[tuple[bytes, bytes]] = deque()
    for i in range(4000):
        field = (b"n%d" % (i % 7), b"v%d" % i + b"x" * rng.randrange(200))
        decoder.decode_block(plain(field, index=True))
        model.appendleft(field)
        while sum(len(n) + len(v) + 32 for n, v in model) > 65_536:
            model.pop()
        if i % 97 == 0:
            assert decoder.table.entries() == list(model)
    assert decoder.table.evictions == 4000 - len(model)


def test_table_of_zero_octets() -> None:
    sender, decoder = Sender(0), receiver()
    for _ in range(3):
        assert decoder.decode_block(sender.block([(b"a", b"b")])) == [(b"a", b"b")]
    assert sender.encoder.table.entries() == decoder.table.entries() == []
