"""Any octets: the decoder accepts them or raises ``Violation``, and its table stays within its bounds."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from h2o_otel.hpack.decoder import Decoder
from h2o_otel.rules import Violation
from tests.support.hpack import Sender, receiver

# Octets that begin a representation, an integer or a string, beside any.
TELLING = st.sampled_from([0x00, 0x01, 0x0F, 0x10, 0x1F, 0x20, 0x3F, 0x40, 0x7E, 0x7F, 0x80, 0x82, 0xBE, 0xBF, 0xFE, 0xFF])
HOSTILE = st.lists(TELLING | st.integers(0, 255), max_size=60).map(bytes)
VALID = [
    (b":method", b"GET"),
    (b":path", b"/some/path?with=query"),
    (b"user-agent", b"test/1.0"),
    (b"x", b"y" * 200),
    (b"authorization", b"secret"),
]


def check(decoder: Decoder, data: bytes) -> bool:
    error: Violation | None = None
    try:
        decoder.decode_block(data)
    except Violation as raised:
        error = raised
    if error is not None:
        assert error.rule.token.startswith("hpack_")
        assert error.rule.scope == "connection"
        assert str(error)
        return False
    table = decoder.table
    assert table.size == sum(len(n) + len(v) + 32 for n, v in table.entries()) <= table.capacity
    assert len(decoder.headers) <= decoder.fields
    if decoder.violation is not None:
        assert decoder.violation.scope == "stream"
        assert decoder.violation.message.format(stream_id=1, **decoder.violation_fields)
    return True


@given(blocks=st.lists(HOSTILE, max_size=6))
def test_random_octets(blocks: list[bytes]) -> None:
    decoder = receiver(header_list_bytes_max=2000, header_fields_max=20)
    for data in blocks:
        if not check(decoder, data):
            break


@given(place=st.integers(0, 10_000), octet=st.integers(0, 255), cut=st.integers(0, 10_000))
def test_damaged_blocks(place: int, octet: int, cut: int) -> None:
    data = bytearray(Sender().block(VALID))
    data[place % len(data)] = octet
    check(receiver(), bytes(data))
    check(receiver(), bytes(data[: cut % (len(data) + 1)]))


def test_every_cut_of_a_block() -> None:
    data = Sender().block(VALID)
    for end in range(len(data)):
        with contextlib.suppress(Violation):
            receiver().decode_block(data[:end])
