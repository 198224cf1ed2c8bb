"""The uncompiled twin of ``huffman.py``: the same functions by built-ins, which are a tenth of a loop over octets.

Never compiled.  ``encoder.py`` and ``decoder.py`` import this where they run as plain Python; their
.pxd files put the compiled ``huffman`` in its place.
"""

from __future__ import annotations

from .huffman import CODES, LENGTHS

__all__ = ["EOS", "PADDING", "decode", "encode", "measure", "release", "take"]

# As in ``huffman``, whose own are C integers when it is compiled.
EOS = -1
PADDING = -2
_EOS_SYMBOL = 256
_BITS = [format(code, f"0{length}b") for code, length in zip(CODES, LENGTHS, strict=True)]


class _Node:
    """A prefix of codes.

    Attributes:
        below: the node or the symbol that each bit leads to.
        steps: for each octet met here, the node where it ends and the symbols that it completes, None for EOS.
        ends: whether a string may end here: less than an octet, all ones (RFC 7541 section 5.2).
    """

    __slots__ = ("below", "ends", "steps")

    def __init__(self, prefix: str) -> None:
        self.below: dict[str, _Node | int] = {}
        self.steps: list[tuple[_Node, bytes | None] | None] = [None] * 256
        self.ends = len(prefix) < 8 and "0" not in prefix


def _tree() -> _Node:
    root = _Node("")
    for symbol, bits in enumerate(_BITS):
        node = root
        for i in range(1, len(bits)):
            below = node.below.setdefault(bits[i - 1], _Node(bits[:i]))
            assert isinstance(below, _Node)
            node = below
        node.below[bits[-1]] = symbol
    return root


_ROOT = _tree()


def _step(start: _Node, octet: int) -> tuple[_Node, bytes | None]:
    """Follow an octet from ``start``, and remember it: at most 256 for each of the 256 nodes, whatever peers send."""
    node, text = start, b""
    for bit in format(octet, "08b"):
        below = node.below[bit]
        if isinstance(below, _Node):
            node = below
            continue
        if below == _EOS_SYMBOL:
            start.steps[octet] = (_ROOT, None)
            return _ROOT, None
        text += bytes([below])
        node = _ROOT
    start.steps[octet] = (node, text)
    return node, text


def measure(src: bytes, n: int) -> int:
    """Bits that ``src`` takes when Huffman-coded."""
    return sum(map(LENGTHS.__getitem__, src))


def encode(dst: bytearray, pos: int, cap: int, src: bytes, n: int) -> int:
    """Write ``src``; returns the position after it."""
    if n == 0:
        return pos
    bits = "".join(map(_BITS.__getitem__, src))
    size = (len(bits) + 7) >> 3
    # The rest of the last octet is filled with ones.
    coded = (int(bits, 2) + 1 << size * 8 - len(bits)) - 1
    dst[pos : pos + size] = coded.to_bytes(size, "big")
    return pos + size


def decode(src: bytes, start: int, stop: int, end: int, dst: bytearray, done: int, cap: int) -> int:
    """Write ``src[start:stop]`` at ``done``; returns the position after it, or ``EOS`` or ``PADDING`` when ``src`` is not valid."""
    node = _ROOT
    texts = []
    for octet in src[start:stop]:
        step = node.steps[octet]
        if step is None:
            step = _step(node, octet)
        node, text = step
        if text is None:
            return EOS
        texts.append(text)
    if not node.ends:
        return PADDING
    decoded = b"".join(texts)
    dst[done : done + len(decoded)] = decoded
    return done + len(decoded)


# Of ``gil.pxd``: here the interpreter switches threads as it likes.


def release() -> object:
    """Give the GIL up."""
    return None


def take(state: object) -> None:
    """Take it back."""
