"""Whatever is encoded is decoded, by ours and by ``hpack``, over shared state, size changes and failed blocks."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2o_otel.errors import LocalProtocolError
from h2o_otel.hpack import huffman as huffman_code
from tests.support.hpack import Fields, Sender, receiver

VOLATILE = [b"traceparent", b"x-request-id", b"etag", b"cookie", b"set-cookie", b"authorization", b"content-type", b"date", b"accept"]
NAMES = st.sampled_from(VOLATILE) | st.from_regex(rb"\A[a-z0-9-]{1,12}\Z").filter(
    lambda n: n not in (b"te", b"host", b"connection", b"upgrade", b"keep-alive", b"priority")
)
OCTETS = st.binary(max_size=60).map(lambda v: v.translate(None, b"\x00\r\n").strip(b" \t"))
VALUES = st.sampled_from([b"", b"1", b"text/html", b"gzip"]) | OCTETS | st.integers(0, 3000).map(lambda n: b"v" * n)
BLOCKS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
SIZES = st.sampled_from([0, 33, 100, 300, 1365, 4096, 5000])
# A block, a new setting of the peer, or a block that cannot be sent.
STEP = st.tuples(st.just("block"), BLOCKS) | st.tuples(st.just("size"), SIZES) | st.tuples(st.just("refused"), BLOCKS)
STEPS = st.lists(STEP, max_size=25)


@given(steps=STEPS, cap=SIZES, huffman=st.booleans(), adaptive=st.booleans(), names_max=st.sampled_from([0, 2, 1024]))
def test_encoder_to_both_decoders(steps: list[tuple[str, object]], cap: int, huffman: bool, adaptive: bool, names_max: int) -> None:
    sender = Sender(cap, names_max, huffman=huffman, adaptive=adaptive)
    ours, theirs = receiver(), hpack.Decoder(max_header_list_size=1 << 20)
    for what, value in steps:
        if what == "size":
            sender.encoder.set_table_size(value)
            ours.set_allowed_table_size(value)
            theirs.max_allowed_table_size = value
        elif what == "refused":
            with pytest.raises(LocalProtocolError):
                sender.block([*value, (b"Refused", b"")])
            assert sender.out.size() == 0
        else:
            block = sender.block(value)
            assert ours.decode_block(block) == value
            assert ours.violation is None
            assert theirs.decode(block, raw=True) == value
            entries = sender.encoder.table.entries()
            assert ours.table.entries() == entries
            assert [tuple(entry) for entry in theirs.header_table.dynamic_entries] == entries
            assert sender.encoder.table.size == sum(len(n) + len(v) + 32 for n, v in entries) <= sender.encoder.table.capacity


@given(blocks=st.lists(BLOCKS | SIZES, max_size=20), huffman=st.booleans())
def test_decoder_of_the_reference_encoder(blocks: list[Fields | int], huffman: bool) -> None:
    ours, theirs = receiver(), hpack.Encoder()
    changed = False
    for value in blocks:
        if isinstance(value, int):
            # The reference forgets an update when the same size is set twice before a block.
            if not changed and value <= 4096 and value != theirs.header_table_size:
                theirs.header_table_size = value
                ours.set_allowed_table_size(value)
                changed = True
        else:
            assert ours.decode_block(theirs.encode(value, huffman=huffman)) == value
            assert ours.table.entries() == [tuple(entry) for entry in theirs.header_table.dynamic_entries]
            changed = False


@given(data=st.binary(max_size=200))
def test_any_octets_through_huffman(data: bytes) -> None:
    assert huffman_code.decode_bytes(huffman_code.encode_bytes(data)) == data
