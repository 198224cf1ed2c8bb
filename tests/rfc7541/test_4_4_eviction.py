"""RFC 7541 sections 4.1, 4.3 and 4.4: sizes, and eviction when the table shrinks or an entry comes."""

from __future__ import annotations

from tests.support.hpack import Sender, decoded, plain, receiver
from tests.support.judged import requirement


@requirement("7541-4.1-1")
def test_4_1_size_of_an_entry() -> None:
    decoder = receiver()
    decoded(plain((b"abc", b"de"), index=True), decoder)
    assert decoder.table.size == 3 + 2 + 32


@requirement("7541-4.3-1")
def test_4_3_shrinking_evicts_the_oldest() -> None:
    decoder = receiver()
    decoded(plain((b"a", b"1"), (b"b", b"2"), (b"c", b"3"), index=True), decoder)
    decoded("3f25", decoder)  # 68 octets: two entries of 34
    assert decoder.table.entries() == [(b"c", b"3"), (b"b", b"2")]
    assert decoder.table.evictions == 1


@requirement("7541-4.4-1")
def test_4_4_insertion_evicts_the_oldest() -> None:
    decoder = receiver()
    decoded(b"\x3f\x25" + plain((b"a", b"1"), (b"b", b"2"), (b"c", b"3"), index=True), decoder)
    assert decoder.table.entries() == [(b"c", b"3"), (b"b", b"2")]


@requirement("7541-4.4-1")
def test_4_4_entry_larger_than_the_table_empties_it() -> None:
    decoder = receiver()
    fields = decoded(b"\x3f\x25" + plain((b"a", b"1"), (b"b", b"x" * 68), index=True), decoder)
    assert fields == [(b"a", b"1"), (b"b", b"x" * 68)]
    assert (decoder.table.entries(), decoder.table.size) == ([], 0)


@requirement("7541-4.4-2")
def test_4_4_name_of_the_evicted_entry() -> None:
    # The new entry takes its name from the one that it evicts.
    decoder = receiver()
    decoded(b"\x3f\x05" + plain((b"a", b"1"), index=True), decoder)
    assert decoded("7e0132", decoder) == [(b"a", b"2")]
    assert decoder.table.entries() == [(b"a", b"2")]


def test_4_4_encoder_mirrors() -> None:
    sender, decoder = Sender(68 + 32, adaptive=False), receiver()
    for i in range(20):
        fields = [(b"a", b"%d" % (i % 3)), (b"b", b"%d" % (i % 5)), (b"c", b"x" * (i * 7))]
        assert decoded(sender.block(fields), decoder) == fields
        assert decoder.table.entries() == sender.encoder.table.entries()
