"""The Huffman code of RFC 7541 appendix B, over pointers into buffers that the caller owns.

Decoding looks 12 bits ahead: one lookup gives up to two symbols, since the commonest codes have 5
or 6 bits.  Codes longer than 12 bits are found by their length, which a canonical code allows.
Measured in C on header values: 2.0 ns an octet, as a state machine with 8 bits a step and 256 kB of
tables, where these are 16 kB; one with 4 bits a step takes 4.0 ns.  Uncompiled codecs use the twin
in ``plain.py``.
"""

from __future__ import annotations

from .. import _mem

__all__ = ["CODES", "EOS", "PADDING", "decode", "decode_bytes", "encode", "encode_bytes", "measure"]

# Bits of the code of each octet, and of EOS at 256.  The code is canonical: shorter codes come
# first and equal lengths stand in the order of the symbols, so that the lengths are all of it.
LENGTHS: tuple[int, ...] = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
)  # fmt: skip
_EOS_SYMBOL = 256
_LENGTH_MAX = 30
_PEEK_BITS = 12
# Named, since Cython makes objects of literals beyond 31 bits.
_MASK_32 = 0xFFFFFFFF
_MASK_48 = 0xFFFFFFFFFFFF

# What decode() returns instead of a size.
EOS = -1
PADDING = -2


def _codes() -> list[int]:
    codes = [0] * 257
    code = 0
    length = 5
    for symbol in sorted(range(257), key=lambda s: (LENGTHS[s], s)):
        code <<= LENGTHS[symbol] - length
        length = LENGTHS[symbol]
        codes[symbol] = code
        code += 1
    return codes


def _steps(codes: list[int]) -> list[int]:
    """For each 12 bits: first symbol << 8 | second | bits of the first << 16 | bits of both << 20 | symbols << 24; 0 for longer codes."""
    first = [-1] * (1 << _PEEK_BITS)
    for symbol in range(256):
        spare = _PEEK_BITS - LENGTHS[symbol]
        if spare >= 0:
            start = codes[symbol] << spare
            first[start : start + (1 << spare)] = [symbol] * (1 << spare)
    steps = []
    for window in range(1 << _PEEK_BITS):
        one = first[window]
        if one < 0:
            steps.append(0)
            continue
        bits = LENGTHS[one]
        two = first[(window << bits) & ((1 << _PEEK_BITS) - 1)]
        if two >= 0 and bits + LENGTHS[two] <= _PEEK_BITS:
            steps.append(one << 8 | two | bits << 16 | (bits + LENGTHS[two]) << 20 | 2 << 24)
        else:
            steps.append(one << 8 | bits << 16 | bits << 20 | 1 << 24)
    return steps


def _long_codes(codes: list[int]) -> tuple[list[int], list[int], list[int]]:
    """By length: the first window of 30 bits beyond its codes, and its first code less its place in order; then the symbols in order."""
    symbols = sorted(range(257), key=lambda s: (LENGTHS[s], s))
    ends = [0] * (_LENGTH_MAX + 1)
    offsets = [0] * (_LENGTH_MAX + 1)
    for place, symbol in enumerate(symbols):
        length = LENGTHS[symbol]
        if not ends[length]:
            offsets[length] = codes[symbol] - place
        ends[length] = (codes[symbol] + 1) << (_LENGTH_MAX - length)
    return ends, offsets, symbols


_code_list = _codes()
# The code of each octet, and of EOS.
CODES: list[int] = _code_list
_CODES = _code_list
_BITS = list(LENGTHS)
_STEPS = _steps(_code_list)
_long_lists = _long_codes(_code_list)
_LONG_ENDS = _long_lists[0]
_LONG_OFFSETS = _long_lists[1]
_LONG_SYMBOLS = _long_lists[2]


def measure(src: bytes, n: int) -> int:
    """Bits that ``src`` takes when Huffman-coded."""
    bits = 0
    for i in range(n):
        bits += _BITS[src[i]]
    return bits


def encode(dst: bytearray, pos: int, cap: int, src: bytes, n: int) -> int:
    """Write ``src``; returns the position after it.  The caller made room for what ``measure`` told."""
    window = 0
    held = 0
    for i in range(n):
        octet = src[i]
        window = (window << _BITS[octet]) | _CODES[octet]
        held += _BITS[octet]
        if held >= 32:
            held -= 32
            _mem.put_u32(dst, pos, (window >> held) & _MASK_32, cap)
            pos += 4
            window &= _MASK_32
    while held >= 8:
        held -= 8
        _mem.put_u8(dst, pos, (window >> held) & 0xFF, cap)
        pos += 1
    if held:
        # The rest of the last octet is filled with the first bits of EOS, all ones.
        _mem.put_u8(dst, pos, ((window << (8 - held)) | (0xFF >> held)) & 0xFF, cap)
        pos += 1
    return pos


def _find_long(window: int) -> int:
    """Length << 16 | symbol of the code of more than 12 bits that begins the 30 bits of ``window``."""
    length = _PEEK_BITS + 1
    while window >= _LONG_ENDS[length]:
        # Lengths without codes have an end of 0; that of EOS lies beyond every window.
        length += 1
    return (length << 16) | _LONG_SYMBOLS[(window >> (_LENGTH_MAX - length)) - _LONG_OFFSETS[length]]


def decode(src: bytes, start: int, stop: int, end: int, dst: bytearray, done: int, cap: int) -> int:
    """Write ``src[start:stop]`` at ``done``, where ``dst`` has room for ``2 * (stop - start) + 2``.

    Returns the position after it, or ``EOS`` or ``PADDING`` when ``src`` is not valid.
    """
    window = 0
    held = 0
    pos = start
    while True:
        if stop - pos >= 4 and held <= 32:
            window = ((window & _MASK_32) << 32) | _mem.u32(src, pos, end)
            held += 32
            pos += 4
        elif pos < stop:
            while pos < stop and held <= 48:
                window = ((window & _MASK_48) << 8) | _mem.u8(src, pos, end)
                held += 8
                pos += 1
        elif held < 12:
            break
        step = 1
        while held >= 12:
            # 12 is _PEEK_BITS: a variable would be read again after each octet that is written.
            step = _STEPS[(window >> (held - 12)) & 0xFFF]
            if step == 0:
                break
            # The second octet is written even when there is none: the next step overwrites it.
            _mem.put_u16(dst, done, step & 0xFFFF, cap)
            done += step >> 24
            held -= (step >> 20) & 15
        if step == 0:
            if held < _LENGTH_MAX and pos < stop:
                continue
            if held >= _LENGTH_MAX:
                step = _find_long((window >> (held - _LENGTH_MAX)) & 0x3FFFFFFF)
            else:
                step = _find_long(((window << (_LENGTH_MAX - held)) | (0x3FFFFFFF >> held)) & 0x3FFFFFFF)
            if (step >> 16) > held:
                return PADDING
            if (step & 0xFFFF) == _EOS_SYMBOL:
                return EOS
            _mem.put_u8(dst, done, step & 0xFF, cap)
            done += 1
            held -= step >> 16
    return _decode_end(window, held, dst, done, cap)


def _decode_end(window: int, held: int, dst: bytearray, done: int, cap: int) -> int:
    """The last bits, fewer than a step looks at; what is left must be padding: fewer than 8 bits, all ones (RFC 7541 section 5.2)."""
    while held:
        step = _STEPS[((window << (_PEEK_BITS - held)) | (0xFFF >> held)) & 0xFFF]
        bits = (step >> 16) & 15
        if step == 0 or bits > held:
            break
        _mem.put_u8(dst, done, (step >> 8) & 0xFF, cap)
        done += 1
        held -= bits
    if held >= 8 or ((window + 1) & ((1 << held) - 1)) != 0:
        return PADDING
    return done


def encode_bytes(data: bytes) -> bytes:
    """``data`` Huffman-coded: for tests and tools."""
    size = (measure(data, len(data)) + 7) >> 3
    room = bytearray(size)
    encode(room, 0, size, data, len(data))
    return bytes(room)


def decode_bytes(data: bytes) -> bytes | None:
    """``data`` decoded, None when it is not valid: for tests and tools."""
    n = len(data)
    cap = 2 * n + 2
    room = bytearray(cap)
    size = decode(data, 0, n, n, room, 0, cap)
    return None if size < 0 else bytes(room[:size])
