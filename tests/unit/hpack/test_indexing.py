from __future__ import annotations

from h2o_otel import counters
from tests.support.hpack import Sender, decoded, receiver, refused

# -- what is indexed


def test_stable_field_becomes_one_octet() -> None:
    sender = Sender()
    sender.block([(b"user-agent", b"test/1.0")])
    assert sender.block([(b"user-agent", b"test/1.0")]) == bytes([0x80 | 62])


def test_volatile_values_do_not_evict_stable_ones() -> None:
    sender = Sender()
    sender.block([(b"user-agent", b"test/1.0")])
    for i in range(1000):
        sender.block([(b":path", b"/%d" % i), (b"traceparent", b"00-%032x-%016x-01" % (i, i)), (b"x-request-id", b"%032x" % i)])
    assert (b"user-agent", b"test/1.0") in sender.encoder.table.entries()
    assert sender.encoder.table.evictions == 0
    # One donor of the name for each volatile name without a static index.
    assert len(sender.encoder.table.entries()) == 3


def test_volatile_value_is_indexed_on_second_sight() -> None:
    sender = Sender()
    sizes = [len(sender.block([(b":path", b"/status/health")])) for _ in range(3)]
    assert sizes[0] == sizes[1]
    assert sizes[2] == 1


def test_unused_values_are_left_alone_for_a_while() -> None:
    sender = Sender()
    for i in range(60):
        sender.block([(b"x-nonce", b"%d" % i)])
    assert len(sender.encoder.table.entries()) == 8
    for i in range(60, 90):
        sender.block([(b"x-nonce", b"%d" % i)])
    assert len(sender.encoder.table.entries()) > 8


def test_huge_value_is_not_indexed() -> None:
    sender = Sender()
    sender.block([(b"a", b"b")])
    sender.block([(b"c", b"d" * 4000)])
    assert sender.encoder.table.entries() == [(b"a", b"b")]


def test_second_value_of_a_name_and_evictions_of_either() -> None:
    """A name has one entry, then several beside those of the static table, then one and none again."""
    sender, decoder = Sender(adaptive=False), receiver()
    for name, static in ((b"x-one", b""), (b"vary", b""), (b"accept-encoding", b"gzip, deflate")):
        for value in (b"a", b"a", static, b"b", b"a", b"b", b"c" * 3000, b"a", b"d" * 3000, b"e" * 3000, b"a", static, b"b", b"a"):
            fields = [(name, value)]
            for size_max in (9999, 1):
                block = sender.block(fields)
                assert len(block) <= size_max
                assert decoded(block, decoder) == fields
                assert decoder.table.entries() == sender.encoder.table.entries()


def test_names_are_bounded() -> None:
    sender, decoder = Sender(names_cached_max=4), receiver()
    for i in range(500):
        fields = [(b"x-%d" % i, b"1"), (b"stable", b"2"), (b"cookie", b"c" * 30)]
        assert decoder.decode_block(sender.block(fields)) == fields
        assert decoder.table.entries() == sender.encoder.table.entries()


# -- fields in the same place as in the block before


def test_same_objects_after_an_eviction() -> None:
    sender, decoder = Sender(100), receiver()
    stable, other = (b"a", b"1" * 30), (b"b", b"2" * 30)
    for fields in ([stable], [stable], [other], [stable], [stable]):
        assert decoder.decode_block(sender.block(fields)) == fields
        assert decoder.table.entries() == sender.encoder.table.entries()


def test_same_objects_after_a_block_was_taken_back() -> None:
    sender, decoder = Sender(), receiver()
    first, second = (b"a", b"1"), (b"a", b"2")
    refused(sender, [first, (b"BAD", b"")])
    for fields in ([second], [first], [second], [first]):
        assert decoder.decode_block(sender.block(fields)) == fields
        assert decoder.table.entries() == sender.encoder.table.entries()


def test_same_value_under_another_name() -> None:
    sender, decoder = Sender(), receiver()
    value = b"value"
    for name in (b"a", b"b", b"a", b"b"):
        assert decoder.decode_block(sender.block([(name, value)])) == [(name, value)]


def test_same_objects_after_names_were_dropped() -> None:
    sender, decoder = Sender(names_cached_max=2), receiver()
    pair = (b"etag", b"1")
    for i in range(20):
        fields = [pair, (b"x-%d" % i, b"1" * 3000), pair]
        assert decoder.decode_block(sender.block(fields)) == fields
        assert decoder.table.entries() == sender.encoder.table.entries()


def test_more_fields_than_are_kept() -> None:
    sender, decoder = Sender(), receiver()
    fields = [(b"x-%d" % i, b"%d" % i) for i in range(80)]
    for part in (fields, fields[::-1], fields):
        assert decoder.decode_block(sender.block(part)) == part


# -- counters


def test_closed_encoder_leaves_the_sums() -> None:
    sender = Sender()
    sender.block([(b"a", b"b")])
    sender.encoder.close()
    block = counters.Snapshot()
    block.add_block(sender.counters)
    assert block.value("hpack_table_size") == block.value("hpack_table_capacity") == 0
