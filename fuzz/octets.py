"""Changes to octets, with what is telling in HPACK and in frames."""

from __future__ import annotations

import random

__all__ = ["REPRESENTATIONS", "mutated"]

# Whole representations and beginnings of them (RFC 7541 section 6).
REPRESENTATIONS = [
    b"\x82\x87\x84\x41\x01a",
    b"\x88",
    b"\x80",
    b"\xbe",
    b"\xbf",
    b"\xff\x00",
    b"\xff\x80\x80\x80\x80\x10",
    b"\xff\xff\xff\xff\xff\xff\x01",
    b"\x20",
    b"\x3f\xe1\x1f",
    b"\x3f\xe1\x01",
    b"\x3f\xff\xff\xff\xff\x0f",
    b"\x40\x05x-key\x05value",
    b"\x40\x85\xf2\xb1\x2d\x42\x4f\x83\x1c\x64\x47",
    b"\x10\x08password\x06secret",
    b"\x00\x01a\x01b",
    b"\x00\x01A\x01b",
    b"\x00\x01a\x03a\r\n",
    b"\x00\x01a\x81\xff",
    b"\x00\x01a\x84\xff\xff\xff\xff",
    b"\x00\x01a\x82\xff\x7f",
    b"\x0f\x0d\x013",
    b"\x0f\x0d\x0247",
    b"\x7e\x01x",
    b"\x7f\x00\x01x",
    b"\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
    b"\x60\x03a=b",
    b"\x40\x02te\x08trailers",
    b"\x40\x0aconnection\x05close",
    b"\x42\x07CONNECT",
    b"\x00\x09:protocol\x09websocket",
    b"\x48\x03103",
    b"\x48\x03204",
    b"\x40\x7f\x00" + b"n" * 127 + b"\x00",
    b"\x40\x01l\x7f\xb9\x01" + b"v" * 312,
]
TELLING = bytes([0, 1, 2, 4, 8, 9, 0x0F, 0x10, 0x1F, 0x20, 0x3F, 0x40, 0x7F, 0x80, 0x82, 0xBE, 0xFF])


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One change: an octet, a bit, a piece less, more, twice or from the list."""
    out = bytearray(data)
    place = rng.randrange(len(out) + 1)
    what = rng.randrange(7)
    if what == 0 or not out:
        out[place:place] = rng.choice(REPRESENTATIONS)
    elif what == 1:
        out[place % len(out)] = rng.randrange(256)
    elif what == 2:
        out[place % len(out)] = rng.choice(TELLING)
    elif what == 3:
        out[place % len(out)] ^= 1 << rng.randrange(8)
    elif what == 4:
        del out[place : place + rng.choice([1, 1, 2, 8, 64])]
    elif what == 5:
        out[place:place] = out[rng.randrange(len(out)) :][: rng.choice([1, 4, 32])]
    else:
        out[place:place] = rng.randbytes(rng.choice([1, 2, 8]))
    return bytes(out[:4096])
