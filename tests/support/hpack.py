"""HPACK codecs for tests: one block in, one block out."""

from __future__ import annotations

from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.buffers.output import OutputBuffer
from h2o_otel.errors import LocalProtocolError
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.hpack.encoder import Encoder
from h2o_otel.limits import EngineLimits
from h2o_otel.rules import Violation

Fields = list[tuple[bytes, bytes]]
PSEUDO = (":method", ":scheme", ":authority", ":path", ":status", ":protocol")

# Size update to 256, which the examples of RFC 7541 appendix C.5 and C.6 have in force.
TABLE_256 = bytes.fromhex("3fe101")


class Sender:
    """An encoder and the output it writes to."""

    def __init__(self, table_bytes_max: int = 4096, names_cached_max: int = 1024, **options: Any) -> None:
        self.counters = counters.Counters()
        self.encoder = Encoder(self.counters, counters.CLIENT, table_bytes_max, names_cached_max, **options)
        self.out = OutputBuffer(self.counters, 64)

    def block(self, fields: Any) -> bytes:
        self.encoder.encode(self.out, fields)
        return self.out.take()

    def trailers(self, fields: Any) -> bytes:
        self.encoder.encode_trailers(self.out, fields)
        return self.out.take()

    def response(self, status: int, fields: Any = ()) -> bytes:
        self.encoder.encode_response(self.out, status, fields)
        return self.out.take()


def refused(sender: Sender, fields: Fields) -> LocalProtocolError:
    """The error; nothing of the block is left, and what comes next is understood."""
    before, entries, capacity = sender.out.size(), sender.encoder.table.entries(), sender.encoder.table.capacity
    with pytest.raises(LocalProtocolError) as caught:
        sender.encoder.encode(sender.out, fields)
    assert sender.out.size() == before
    assert sender.encoder.table.entries() == entries
    assert sender.encoder.table.capacity == capacity
    return caught.value


def receiver(**limits: Any) -> Decoder:
    return Decoder(counters.Counters(), counters.SERVER, EngineLimits(**limits))


def section(decoder: Decoder) -> Fields:
    """What the last block said, pseudo-header fields first."""
    pseudo = [(name.encode(), getattr(decoder, name[1:])) for name in PSEUDO]
    return [(name, value) for name, value in pseudo if value is not None] + decoder.headers


def decoded(block: bytes | str, decoder: Decoder | None = None) -> Fields:
    decoder = decoder or receiver()
    decoder.decode_block(bytes.fromhex(block) if isinstance(block, str) else block)
    return section(decoder)


def broken(block: bytes | str, decoder: Decoder | None = None) -> Violation:
    """The violation that the block is; its text can be made."""
    with pytest.raises(Violation) as caught:
        decoded(block, decoder)
    assert caught.value.rule.scope == "connection"
    assert caught.value.rule.token in str(caught.value.args)
    assert str(caught.value)
    return caught.value


def malformed(block: bytes | str, decoder: Decoder | None = None) -> str:
    """Token of the violation that concerns the stream alone, with the text of its message checked; "" for none."""
    decoder = decoder or receiver()
    decoded(block, decoder)
    if decoder.violation is None:
        return ""
    assert decoder.violation.scope == "stream"
    assert decoder.violation.message.format(stream_id=1, **decoder.violation_fields)
    return str(decoder.violation.token)


def plain(*fields: tuple[bytes, bytes], index: bool = False) -> bytes:
    """Literals without Huffman, names below 127 octets: what a peer may send and our encoder would not."""
    block = b""
    for name, value in fields:
        block += b"\x40" if index else b"\x00"
        for text in (name, value):
            size = bytes([len(text)]) if len(text) < 127 else bytes([127]) + _varint(len(text) - 127)
            block += size + text
    return block


def _varint(n: int) -> bytes:
    octets = b""
    while n >= 128:
        octets += bytes([n & 127 | 128])
        n >>= 7
    return octets + bytes([n])
