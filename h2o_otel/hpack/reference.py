"""The library ``hpack`` in the place of our tables: what ``Tuning.hpack_ring_table`` being off puts in.

Never compiled, and imported only then.  Fields are checked and counted by our encoder and decoder
as ever; these code them, with a table that is a deque of pairs and is searched from end to end.
"""

from __future__ import annotations

import re

from ..counters import Counters
from ..rules import RULES, Rule

try:
    import hpack
except ImportError as error:
    raise ImportError(
        "Tuning.hpack_ring_table is off, which puts the library hpack in the place of our codec: pip install hpack"
    ) from error

__all__ = ["ReferenceDecoder", "ReferenceEncoder"]

_STATIC_COUNT = 61


class Broken(Exception):
    """A block that the reference does not take: the rule, and the numbers of its message."""

    def __init__(self, rule: Rule, actual: int = 0, limit: int = 0) -> None:
        super().__init__(rule.token)
        self.rule = rule
        self.actual = actual
        self.limit = limit


class ReferenceEncoder:
    """Codes the fields of a block at its end, so that a block that is given up has changed nothing."""

    def __init__(self, counters: Counters, huffman: bool) -> None:
        self._encoder = hpack.Encoder()
        self._counters = counters
        self._huffman = huffman
        self._fields: list[tuple[bytes, bytes, bool]] = []

    def add(self, name: bytes, value: bytes, secret: bool) -> None:
        self._fields.append((name, value, secret))

    def drop(self) -> None:
        self._fields.clear()

    def finish(self) -> bytes:
        """The block."""
        changes = self._encoder.table_size_changes
        if changes:
            # RFC 7541 section 4.2 has the smallest and the last size signalled; the library signals every one.
            self._encoder.table_size_changes = sorted({min(changes), changes[-1]})
            self._encoder.header_table.resized = True
        block = self._encoder.encode(self._fields, huffman=self._huffman)
        self._fields.clear()
        return block

    def resize(self, size: int) -> None:
        if size != self._encoder.header_table_size:
            self._encoder.header_table_size = size


class ReferenceDecoder:
    """Decodes whole blocks.

    Args:
        list_bytes_max: fields that add up to more than four times as much end the connection, since
            the library goes on to the end of a block only below its own limit.
    """

    def __init__(self, list_bytes_max: int) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=4 * list_bytes_max)

    def allow(self, size: int) -> None:
        self._decoder.max_allowed_table_size = size

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """The fields.

        Raises:
            Broken: the coding is, or the fields are beyond all limits.
        """
        decoder = self._decoder
        try:
            return [(name, value) for name, value in decoder.decode(block, raw=True)]
        except hpack.InvalidTableIndexError as error:
            found = re.search(r"\d+", str(error))
            index = int(found[0]) if found else 0
            if index == 0:
                raise Broken(RULES.hpack_index_zero) from error
            raise Broken(RULES.hpack_index_unknown, index, _STATIC_COUNT + len(decoder.header_table.dynamic_entries)) from error
        except hpack.InvalidTableSizeError as error:
            if decoder.header_table_size > decoder.max_allowed_table_size:
                raise Broken(RULES.hpack_size_update_missing, 0, decoder.max_allowed_table_size) from error
            raise Broken(RULES.hpack_size_update_too_large, decoder.max_allowed_table_size + 1, decoder.max_allowed_table_size) from error
        except hpack.OversizedHeaderListError as error:
            limit = decoder.max_header_list_size
            raise Broken(RULES.header_block_too_large, limit + 1, limit) from error
        except (hpack.HPACKDecodingError, IndexError) as error:
            raise Broken(RULES.hpack_truncated) from error
