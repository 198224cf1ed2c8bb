"""HPACK: what ours decodes, ``hpack`` decodes to the same fields and the same dynamic table, and the other way round.

An input is one octet of choices and then field blocks, each behind one octet of length (255: the rest).
"""

from __future__ import annotations

import random
from collections.abc import Hashable

import hpack

from fuzz import octets
from h2o_otel.errors import LocalProtocolError
from h2o_otel.rules import Violation
from tests.support.hpack import PSEUDO, Fields, Sender, receiver, section

BLOCKS_MAX = 12
ALLOWED = [None, 0, 100, 65_536]
# What ours refuses and ``hpack`` takes: bounds of ours, and rules that it does not check.
STRICTER = {
    "hpack_size_updates": "a bound of ours",
    "hpack_string_too_long": "a bound of ours",
    "hpack_integer_too_large": "a bound of ours",
    "hpack_size_update_missing": "hpack asks for it only where its table is still larger than allowed",
}


def split(data: bytes) -> tuple[int, list[bytes]]:
    """The choices and the blocks of an input."""
    found, pos = [], 1
    while pos < len(data) and len(found) < BLOCKS_MAX:
        n = data[pos] if data[pos] < 255 else len(data)
        found.append(data[pos + 1 : pos + 1 + n])
        pos += 1 + n
    return data[0] if data else 0, found


def join(choices: int, blocks: list[bytes]) -> bytes:
    """The input of these blocks; one that is too long for its place stands last."""
    out = bytes([choices])
    for block in blocks:
        if len(block) >= 255:
            return out + b"\xff" + block
        out += bytes([len(block)]) + block
    return out


def run(data: bytes) -> Hashable:
    choices, blocks = split(data)
    limits = {"header_list_bytes_max": 2000, "header_fields_max": 20} if choices & 1 else {}
    ours, theirs = receiver(**limits), hpack.Decoder(max_header_list_size=2**24)
    sender, mirror = Sender(), hpack.Decoder(max_header_list_size=2**24)
    happened: list[Hashable] = []
    for i, block in enumerate(blocks):
        if i == 1 and (size := ALLOWED[choices >> 1 & 3]) is not None:
            ours.set_allowed_table_size(size)
            theirs.max_allowed_table_size = size
        rule, broken = "", None
        try:
            # A copy of its own, so that nothing lies behind it.
            ours.decode_block(bytes(bytearray(block)))
        except Violation as violation:
            rule, broken = violation.rule.token, violation
        accepted, expected = _theirs(theirs, block)
        happened.append(rule or (ours.violation.token if ours.violation else min(ours.fields, 4)))
        if broken is not None:
            assert rule.startswith("hpack_"), rule
            assert broken.rule.scope == "connection"
            assert str(broken)
            assert not accepted or rule in STRICTER, f"{rule}, but hpack decodes {expected}"
            break
        assert accepted, f"ours decodes {section(ours)}, hpack says {expected}"
        _same_table(ours.table, theirs)
        if ours.violation is None:
            assert _pseudo_first(expected) == section(ours)
            happened.append(_round_trip(sender, mirror, section(ours)))
        else:
            assert ours.violation.scope == "stream"
            assert ours.violation.message.format(stream_id=1, **ours.violation_fields)
    return tuple(happened)


def _theirs(decoder: hpack.Decoder, block: bytes) -> tuple[bool, Fields]:
    try:
        return True, [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except hpack.HPACKError as error:
        return False, [(type(error).__name__.encode(), str(error).encode())]


def _pseudo_first(fields: Fields) -> Fields:
    """In the order of ``section``."""
    pseudo = {name: value for name, value in fields if name.startswith(b":")}
    return [(n.encode(), pseudo[n.encode()]) for n in PSEUDO if n.encode() in pseudo] + [f for f in fields if not f[0].startswith(b":")]


def _same_table(table: object, theirs: hpack.Decoder) -> None:
    expected = [(bytes(name), bytes(value)) for name, value in theirs.header_table.dynamic_entries]
    found = list(table.entries())  # type: ignore[attr-defined]
    assert found == expected, f"{found} in ours, {expected} in hpack's"
    assert table.size == sum(len(n) + len(v) + 32 for n, v in found) <= table.capacity  # type: ignore[attr-defined]


def _round_trip(sender: Sender, mirror: hpack.Decoder, fields: Fields) -> bool:
    """What our encoder makes of the fields, ``hpack`` decodes to the same."""
    try:
        block = sender.block(fields)
    except LocalProtocolError:
        return False
    assert [(bytes(n), bytes(v)) for n, v in mirror.decode(block, raw=True)] == fields
    return True


def mutate(data: bytes, rng: random.Random) -> bytes:
    choices, blocks = split(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.randrange(len(blocks) + 1)
        what = rng.randrange(8)
        if what == 0 or not blocks:
            blocks.insert(place, b"".join(rng.choice(octets.REPRESENTATIONS) for _ in range(rng.randrange(1, 5))))
        elif what == 1:
            blocks.insert(place, rng.choice(blocks))
        elif what == 2 and len(blocks) > 1:
            del blocks[place % len(blocks)]
        elif what == 3:
            choices = rng.randrange(256)
        else:
            i = place % len(blocks)
            blocks[i] = octets.mutated(blocks[i], rng)
    return join(choices, blocks[:BLOCKS_MAX])
