"""Frames as a peer may send them, legal and not, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support import wire

STREAM_IDS = st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5, 7, 9, 2**31 - 1])
SMALL = st.integers(0, 300)
INDEXED = b"\x40\x05x-key\x05value"
REQUESTS = [
    wire.request_block(),
    wire.request_block(b"POST"),
    wire.request_block(b"POST", b"/upload", (b"content-length", b"5")),
    b"\x82\x87\x84\x41\x01a",
    b"\x82\x87\x84\x41\x01a" + INDEXED,
    b"\x82\x87\x84\x41\x01a\xbe",
    b"\x20" + wire.request_block(),
]
RESPONSES = [
    b"\x88",
    b"\x88" + INDEXED,
    b"\x88\xbe",
    wire.response_block(103),
    wire.response_block(204),
    wire.response_block(200, (b"content-length", b"5")),
]
OTHERS = [b"", wire.block((b"a", b"b")), wire.block((b"Bad", b"b")), b"\x80", b"\xff\xff\xff\xff\xff\xff\xff", b"\x84", b"\x00\x7f"]


def blocks(roots: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.one_of(st.sampled_from(roots), st.sampled_from(roots), st.sampled_from(OTHERS), st.binary(max_size=30))


@st.composite
def field_blocks(draw: st.DrawFn, roots: list[bytes]) -> bytes:
    """HEADERS, whole, in pieces, padded or with a priority."""
    stream_id, block, end = draw(STREAM_IDS), draw(blocks(roots)), draw(st.booleans())
    shape = draw(st.sampled_from(["whole", "whole", "whole", "pieces", "padded", "priority", "open"]))
    flags = wire.END_STREAM if end else 0
    if shape == "padded":
        pad = draw(st.integers(0, 255))
        return wire.frame(wire.HEADERS, flags | wire.END_HEADERS | wire.PADDED, stream_id, bytes([pad]) + block + bytes(pad))
    if shape == "priority":
        depends_on = draw(st.sampled_from([0, 1, 3])).to_bytes(4, "big")
        return wire.frame(wire.HEADERS, flags | wire.END_HEADERS | wire.PRIORITY_FLAG, stream_id, depends_on + b"\x0f" + block)
    if shape == "pieces":
        cut = draw(st.integers(0, len(block)))
        first = wire.headers(stream_id, block[:cut], end_stream=end, end_headers=False)
        return first + wire.continuation(stream_id, block[cut:])
    return wire.headers(stream_id, block, end_stream=end, end_headers=shape == "whole")


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    padding = draw(st.one_of(st.none(), st.none(), st.integers(0, 255)))
    return wire.data(draw(STREAM_IDS), bytes(draw(SMALL)), end_stream=draw(st.booleans()), padding=padding)


@st.composite
def settings(draw: st.DrawFn) -> bytes:
    codes = st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 0x1234])
    values = st.sampled_from([0, 1, 2, 100, 4096, 16_384, 65_535, 2**24 - 1, 2**31 - 1, 2**31])
    return wire.settings(draw(st.dictionaries(codes, values, max_size=4)))


@st.composite
def garbage(draw: st.DrawFn) -> bytes:
    """Any frame header with a payload that need not fit it."""
    return wire.frame(draw(st.integers(0, 0x12)), draw(st.integers(0, 255)), draw(STREAM_IDS), draw(st.binary(max_size=40)))


def frames(roots: list[bytes]) -> st.SearchStrategy[bytes]:
    """One step of a peer: usually legal frames, sometimes not."""
    increments = st.sampled_from([0, 1, 1000, 2**31 - 1])
    codes = st.sampled_from([0, 1, 7, 8, 0x999])
    return st.one_of(
        field_blocks(roots),
        field_blocks(roots),
        bodies(),
        bodies(),
        settings(),
        st.builds(wire.window_update, STREAM_IDS, increments),
        st.builds(wire.rst_stream, STREAM_IDS, codes),
        st.builds(wire.ping, st.binary(min_size=8, max_size=8), ack=st.booleans()),
        st.builds(wire.goaway, STREAM_IDS, codes, st.binary(max_size=5)),
        st.builds(wire.priority, STREAM_IDS, STREAM_IDS),
        st.builds(wire.priority_update, STREAM_IDS, st.sampled_from([b"u=1", b"i", b"???"])),
        st.builds(wire.push_promise, STREAM_IDS, STREAM_IDS, blocks(REQUESTS)),
        st.just(wire.settings_ack()),
        garbage(),
    )


def to_server() -> st.SearchStrategy[list[bytes]]:
    return st.lists(frames(REQUESTS), max_size=15)


def to_client() -> st.SearchStrategy[list[bytes]]:
    return st.lists(frames(RESPONSES), max_size=15)
